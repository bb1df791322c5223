"""What a network begins as that has been trained before, on classes of its own.

Its body is kept and its last layer is new. It is read from all that `edjax.convert` reads, and
shown images by the figures it was trained with.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from flax.traverse_util import flatten_dict, unflatten_dict

from edjax import convert
from edjax.convert import view
from edjax.data import figures
from edjax.data.figures import Figures
from edjax.errors import UserError
from edjax.models.layers import HEAD, LAST
from edjax.storage import replacing, trees
from edjax.types import Variables


@dataclasses.dataclass(frozen=True)
class Start:
  """A network that another begins as.

  Attributes:
    path: of its file or folder, as the user says it.
    model: a row of `models.MODELS`, or "package.module:NAME".
    classes: how many it knows.
    variables: of the whole network, on the host.
    sha256: digest of them.
    figures: (mean, std) of pixels, per channel, by which it has been shown images; () where nothing
      tells.
    assumed: whether these are only what is usual for such a file.
    side: of the images it was trained on, in pixels; None where nothing tells.
  """

  path: str
  model: str
  classes: int
  variables: Variables = dataclasses.field(repr=False, compare=False)
  sha256: str
  figures: Figures | tuple[()] = ()
  assumed: bool = False
  side: int | None = None

  @property
  def noted(self) -> dict[str, str]:
    """What is kept with a network that began so, JSON."""
    return {"path": self.path, "model": self.model, "sha256": self.sha256}

  def adopt(self, fresh: Variables) -> Variables:
    """Begins a network as this one.

    Args:
      fresh: newly initialised variables of a grade's network; shapes will do.

    Returns:
      `fresh` with every fragment of this network in its place, bit by bit, and what the network's
      own head has before its classifier. The classifier stays new, and a whole teaching reference.

    Raises:
      UserError: naming the parameters that differ.
    """
    was, now = (flatten_dict(tree, sep="/") for tree in (self.variables, fresh))
    ours, theirs = ({path: leaf.shape for path, leaf in tree.items()} for tree in (was, now))
    parts, whole = ({_part(path) for path in tree} for tree in (now, was))
    differing = [
      f"{path} is {_listed(ours.get(path))}, not {_listed(theirs.get(path))}"
      for path in sorted(now | was, key=lambda path: not path.startswith("params/"))
      if _part(path) in parts - {HEAD} and ours.get(path) != theirs.get(path)
    ]
    if differing:
      more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
      raise UserError(
        f"{self.path} holds another network than the one that is to start from it: "
        f"{', '.join(differing[:3])}{more}"
      )
    taken = {
      path: was[path]
      for path in now
      if _part(path) != HEAD
      or (parts == whole and ours.get(path) == theirs[path] and path.split("/")[2] != LAST)
    }
    return unflatten_dict(now | taken, sep="/")

  def said(self, side: int) -> str:
    """Returns a line about it, for a run whose images have so many pixels on their longer side."""
    parts = [f"{self.path}: {self.model} of {self.classes:,} classes, sha256 {self.sha256[:12]}…"]
    if self.figures:
      mean, std = (",".join(f"{each:g}" for each in row) for row in self.figures)
      why = ", assumed by the names of its layers" if self.assumed else ""
      parts.append(f"shown images by mean {mean} and std {std}{why}")
    else:
      parts.append("nothing says how it was shown images, so by the run's mean and std")
    if self.side and self.side != side:
      parts.append(f"trained on images of {self.side} pixels, here they have {side}")
    return "; ".join(parts)


def _part(path: str) -> str:
  return path.split("/")[1]


def _listed(shape: tuple[int, ...] | None) -> str:
  return "not there" if shape is None else str(list(shape))


def read(
  path: str, channels: int, said: tuple[Sequence[float], Sequence[float]] = ((), ())
) -> Start:
  """Reads the network that another is to begin as.

  Args:
    path: a file or a folder, as `convert.read` takes them.
    channels: of the images of the run.
    said: (mean, std) by which it has been shown images, from the user; () for what it says itself,
      or else what is usual for a file with such names of layers.

  Raises:
    UserError: if there is none, or it is not sound.
  """
  if not pathlib.Path(path).expanduser().exists():
    raise UserError(
      f"{replacing.absolute(path)} does not exist, and so nothing can start from it; name a folder "
      "of edjax's or a file of PyTorch's"
    )
  variables, info, scheme = convert.read(path)
  known, assumed = view.complete(info, scheme, dict.fromkeys(("size", "mean", "std")))
  own = {key: row for key in ("mean", "std") if (row := tuple(known[key] or ()))}
  if own.keys() & assumed.keys() and any(len(row) != channels for row in own.values()):
    own = {}  # what is usual for coloured images says nothing of others
  by = figures.given_figures(f"the network in {path}", own.get("mean"), own.get("std"), channels)
  given = figures.given_figures(f"what starts from {path}", *said, channels)
  by |= given
  return Start(
    path=path,
    model=info["model"],
    classes=info.get("num_classes") or len(info["classes"]),
    variables=variables,
    sha256=trees.sha256(variables),
    figures=(by["mean"], by["std"]) if len(by) == 2 else (),
    assumed=bool((own.keys() & assumed.keys()) - given.keys()),
    side=known["size"],
  )
