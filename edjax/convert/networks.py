"""Which of all that a checkpoint holds is the network.

A file may hold dicts within dicts, weights beside their running average, a student beside its
teacher, and names that wrappers have lengthened. Every dict of tensors is looked into. What is left
over when exactly one known network has been found is named, never dropped in silence.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from edjax.convert.recognise import ENDS
from edjax.errors import UserError

# What PyTorch's wrappers put into names, before all of them or in the middle.
_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_COUNTER = "num_batches_tracked"  # which nothing reads
# What profilers, averaging and losses leave among a network's own tensors.
_PASSENGER = re.compile(
  r"(.*\.)?(total_ops|total_params|n_averaged)|(.*_)?(criterion|criterions|loss|losses)(_\w+)?\..*"
)
# A module beside a network that may well be a part of it: of a sequence, or another last layer.
_ANOTHER_PART = re.compile(r"(\d+|fc\w*|head\w*|classifier\w*|linear\w*)\..*")
_AVERAGED = re.compile(r"(?<![a-z])(ema|swa|avg|averaged?|shadow|polyak)(?![a-z])")
T = TypeVar("T")
TOP = "."  # the key of what is not within anything


@dataclasses.dataclass(frozen=True)
class State:
  """Tensors that may be a network's.

  Attributes:
    key: where they are, such as "net.state_dict", or "student" for names that begin so.
    tensors: {name, without what `key` and wrappers add: tensor}.
    beside: names of the tensors in the same dict that are not among them.
  """

  key: str
  tensors: dict[str, Any]
  beside: tuple[str, ...]

  @property
  def averaged(self) -> bool:
    return bool(_AVERAGED.search(self.key.lower()))


def states(content: Any) -> list[State]:
  """Returns a `State` per set of tensors in what a file holds."""
  return [state for key, tensors in _dicts(content, "", ()) for state in _split(key, tensors)]


def pick(
  path: str | os.PathLike[str],
  content: Any,
  key: str | None,
  recognise: Callable[[dict[str, Any]], T],
) -> tuple[T, State, list[str]]:
  """Returns (what is recognised, its `State`, phrases on what was taken and left out).

  Args:
    path: for messages.
    content: of a file, from `files.read`.
    key: where the network is, from a user, or None. Without it weights are taken rather than their
      running average; of two networks none is.
    recognise: {name: tensor} -> anything; raises `UserError` if it is no known network.

  Raises:
    UserError: if there is no network that is known, or a choice that only a user can make.
  """
  found = states(content)
  if not found:
    raise UserError(f"{path} holds no tensors of a network{_keys(content)}")
  if key is not None:
    found = _under(path, found, key)
  networks, others, reasons = [], [], {}
  for state in found:
    try:
      networks.append((recognise(state.tensors), state))
    except UserError as error:
      reasons[state.key] = error
      others.append(state)
  if not networks:
    largest = max(found, key=lambda state: len(state.tensors))
    where = f"{path}, {largest.key}" if largest.key != TOP else path
    more = [state.key for state in others if state is not largest and _is_like_a_network(state)]
    raise UserError(
      f"{where}: {reasons[largest.key]}{f'; it also holds {_listed(more)}' if more else ''}"
    ) from reasons[largest.key]
  recognised, state = _one(path, networks, others)
  if key is None:
    _check_alone(path, state)
  said = [f"taken from {state.key}"] if state.key != TOP else []
  more = [other.key for _, other in networks if other is not state]
  said += [f"also there, and taken with --key={other}" for other in more[:1]]
  said += [f"and {_listed(more[1:])} likewise"] if more[1:] else []
  if state.beside:
    said.append(f"left out: {_listed(state.beside)}")
  return recognised, state, said


def _one(
  path: str | os.PathLike[str], networks: list[tuple[T, State]], others: list[State]
) -> tuple[T, State]:
  """Returns the network that is meant, a pair of `networks`."""
  raw = [pair for pair in networks if not pair[1].averaged] or networks
  unknown = [s.key for s in others if _is_like_a_network(s) and not s.averaged]
  if len(raw) == 1 and not unknown:
    return raw[0]
  if not unknown and all(_same(raw[0][1].tensors, state.tensors) for _, state in raw[1:]):
    return min(raw, key=lambda pair: len(pair[1].key))
  keys = [state.key for _, state in networks]
  raise UserError(
    f"{path} holds more than one network: {_listed(keys + unknown)}; say which is meant, and take "
    f"it out: python -m edjax.convert {path} FOLDER --key={keys[0]}"
  )


def _check_alone(path: str | os.PathLike[str], state: State) -> None:
  """Refuses a network beside which there is what may come before or after it."""
  parts = [name for name in state.beside if _ANOTHER_PART.fullmatch(name)]
  if parts and state.key != TOP:
    raise UserError(
      f"{path} holds a network in {state.key}, and beside it {_listed(parts)}, which may be a part "
      f"of the same one; if it is not, take the network out: python -m edjax.convert {path} FOLDER "
      f"--key={state.key}"
    )


def _under(path: str | os.PathLike[str], found: list[State], key: str) -> list[State]:
  exact = [state for state in found if state.key == key]
  within = [state for state in found if f".{key}." in f".{state.key}."]
  if not exact and not within:
    raise UserError(
      f"{path} has no network under --key={key}; choose one of {_listed([s.key for s in found])}"
    )
  return exact or within


def _dicts(content: Any, key: str, above: tuple[int, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields (key, {name: tensor}) of every dict that holds some; `above` are the ids around it."""
  if id(content) in above or not isinstance(content, (Mapping, list, tuple)):
    return
  items = content.items() if isinstance(content, Mapping) else enumerate(content)
  if isinstance(content, Mapping):
    if "param_groups" in content:
      return  # an optimiser
    own = {n: value for n, value in items if isinstance(n, str) and _is_tensor(value)}
    if any(value.ndim and _is_floating(value) for value in own.values()):
      yield key, own
  for name, value in items:
    yield from _dicts(value, f"{key}.{name}" if key else str(name), (*above, id(content)))


def _split(key: str, tensors: dict[str, Any]) -> Iterator[State]:
  """Yields a `State` per prefix under which a network's first and last layers are found."""
  tensors = {name: value for name, value in tensors.items() if not name.endswith(_COUNTER)}
  tensors = _unwrapped(tensors)
  prefixes = sorted(_prefixes(tensors), key=len, reverse=True) or [_common(tensors)]
  groups: dict[str, dict[str, Any]] = {prefix: {} for prefix in prefixes}
  rest = []
  for name, value in tensors.items():
    prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
    if prefix is None or _PASSENGER.fullmatch(name.removeprefix(prefix)):
      rest.append(name)
    else:
      groups[prefix][name.removeprefix(prefix)] = value
  for prefix, group in groups.items():
    where = ".".join(part for part in (key, prefix.rstrip(".")) if part)
    if group:
      yield State(where or TOP, group, tuple(rest))


def _unwrapped(tensors: dict[str, Any]) -> dict[str, Any]:
  """Takes the wrappers out of names, unless two would be the same then."""
  names = {
    name: ".".join(part for part in name.split(".") if part not in _WRAPPERS) for name in tensors
  }
  if len(set(names.values())) < len(names):
    return tensors
  return {names[name]: value for name, value in tensors.items()}


def _prefixes(tensors: dict[str, Any]) -> set[str]:
  """Returns what stands before a known first layer and the same network's last one."""
  return {
    name.removesuffix(first)
    for first, last in ENDS
    for name in tensors
    if (name == first or name.endswith(f".{first}")) and name.removesuffix(first) + last in tensors
  }


def _common(tensors: dict[str, Any]) -> str:
  """Returns the prefix that all names share, in whole parts: it tells more of what is amiss."""
  first, last = min(tensors, default=""), max(tensors, default="")
  shared = 0
  for number, (one, other) in enumerate(zip(first, last, strict=False)):
    if one != other:
      break
    if one == ".":
      shared = number + 1
  return first[:shared]


def _same(tensors: dict[str, Any], others: dict[str, Any]) -> bool:
  return tensors.keys() == others.keys() and all(
    value.shape == others[name].shape and bool((value == others[name]).all())
    for name, value in tensors.items()
  )


def _is_like_a_network(state: State) -> bool:
  return any(value.ndim == 4 for value in state.tensors.values())


def _is_tensor(value: object) -> bool:
  return hasattr(value, "dtype") and hasattr(value, "shape") and hasattr(value, "ndim")


def _is_floating(value: Any) -> bool:
  return "float" in str(value.dtype)


def _keys(content: Any) -> str:
  if isinstance(content, Mapping):
    return f": it holds {_listed(list(map(str, content)))}" if content else ": it is an empty dict"
  return f": it is a {type(content).__name__}"


def _listed(names: Sequence[str]) -> str:
  return ", ".join(names[:5]) + f" and {len(names) - 5} more" * (len(names) > 5)
