"""Surgery on students: split, graft, freeze, graduate. Pure functions, pytree in, pytree out.

Student variables are `{"params": {"fragment_0": …, …, "head": …}, "batch_stats": {same keys}}`; a
part without batch statistics (a bare dense head) has no entry there.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Integer
from optax import OptState

from edjax.errors import UserError
from edjax.models.cut import Blocks, among_lowest
from edjax.models.layers import HEAD, LAST
from edjax.types import Variables

# {teacher: {method: what it has learned and remembers}}, "" standing for no teacher.
Memories = dict[str, dict[str, Variables]]


def split(variables: Variables) -> dict[str, Variables]:
  """Returns the parts of a student: {part: {collection: subtree}}, lowest fragment first."""
  parts = sorted({part for tree in variables.values() for part in tree}, key=_place)
  return {
    part: {name: tree[part] for name, tree in variables.items() if part in tree} for part in parts
  }


def merge(parts: Mapping[str, Variables]) -> Variables:
  """The inverse of `split`."""
  collections = sorted({name for part in parts.values() for name in part}, reverse=True)
  return {
    name: {part: tree[name] for part, tree in parts.items() if name in tree} for name in collections
  }


def graft(variables: Variables, fresh: Variables, blocks: Blocks | None = None) -> Variables:
  """Takes a student into its next grade.

  Args:
    variables: the student as the last grade left it.
    fresh: newly initialised variables of the next grade's network.
    blocks: of a student that is cut by depth.

  Returns:
    `fresh` with every fragment the student already has in its place, bit by bit. The head stays the
    new one where the student has more parts. Where it has not (only classes are added, or blocks),
    the old head is kept, and the columns of the new classes, which come last, are the fresh ones.
    Further `blocks` hand on what they are given.

  Raises:
    ValueError: if a fragment of the student is not in `fresh` with the same shapes.
  """
  old, new = split(variables), split(fresh)
  for part in old:
    if part == HEAD:
      continue
    kept = _deepened(old[part], new[part], blocks) if blocks and part in new else old[part]
    if part not in new or _shapes(kept) != _shapes(new[part]):
      raise ValueError(f"{part} of the student does not fit the next grade's network")
    new[part] = kept
  if len(old) == len(new):
    new[HEAD] = jax.tree.map(_extend, old[HEAD], new[HEAD])
  return merge(new)


def graduate(variables: Variables, columns: Integer[np.ndarray, " classes"]) -> Variables:
  """Puts the graduate's classes in the data set's own order.

  Args:
    variables: the student after its last grade; column j of its logits is place j.
    columns: int [classes]; `columns[label]` is the place of that label.

  Returns:
    Student variables whose logits are in label order.

  Raises:
    UserError: if columns have to move and the head's classifier is not named "dense".
  """
  if np.array_equal(columns, np.arange(len(columns))):
    return variables
  parts = split(variables)
  head = parts[HEAD]
  if LAST not in head["params"]:
    raise UserError(
      f"the head has no layer named {LAST!r}, whose columns stand for the classes; name its "
      "classifier so, or set class_order to 'given'"
    )
  dense = {name: leaf[..., jnp.asarray(columns)] for name, leaf in head["params"][LAST].items()}
  parts[HEAD] = head | {"params": head["params"] | {LAST: dense}}
  return merge(parts)


def partition(
  params: Variables, frozen: int, reuses: bool = False, blocks: Blocks | None = None
) -> tuple[Variables, Variables]:
  """Parts a student's parameters in (learning, fixed); `union` joins them again.

  The lowest `frozen` fragments are fixed; with −1 all of it is, the head too. Where the student
  `reuses` a teacher's classifier, that is fixed. It is cut by depth where `blocks` are given.
  """
  if frozen < 0:
    return {}, params
  learning, fixed = _divided(params, frozen, blocks)
  if reuses and HEAD in learning:
    fixed[HEAD] = {LAST: learning[HEAD][LAST]}
    learning[HEAD] = {name: leaf for name, leaf in learning[HEAD].items() if name != LAST}
  return learning, fixed


def union(learning: Variables, fixed: Variables) -> Variables:
  """The inverse of `partition`."""
  return {part: fixed.get(part, {}) | learning.get(part, {}) for part in fixed | learning}


def reuse(variables: Variables, classifier: Variables) -> Variables:
  """Gives a student a teacher's classifier, {"kernel": [width, classes], "bias": [classes]}."""
  head = variables["params"][HEAD] | {LAST: classifier}
  return variables | {"params": variables["params"] | {HEAD: head}}


def slow(updates: Variables, lower: int, rate: float, blocks: Blocks | None = None) -> Variables:
  """Multiplies the updates of the lowest `lower` fragments by `rate`."""
  others, slowed = _divided(updates, lower, blocks)
  return union(others, jax.tree.map(lambda leaf: rate * leaf, slowed))


def carry(fresh: OptState, opt_state: OptState, grown: bool) -> OptState:
  """Optimiser state over a graft: momentum of what was there is kept, everything else is fresh.

  Args:
    fresh: state of the new grade's optimiser, newly initialised.
    opt_state: state as the last grade left it.
    grown: the student has more fragments than before, so that its head is another one.

  Returns:
    `fresh` with each leaf of the student replaced by the old leaf of the same path, or
    extended as `graft` extends the head. The momentum of what methods learn starts anew in every
    grade, and so do step counts, which drive the new grade's schedule.
  """
  old = dict(jax.tree_util.tree_leaves_with_path(opt_state))

  def pick(path: Any, leaf: jax.Array) -> jax.Array:
    names = [getattr(entry, "key", None) for entry in path]
    # A method may have a part called "student", too: what comes first says whose it is.
    whose = next((name for name in names if name in ("student", "methods")), None)
    stays = path in old and whose == "student" and not (grown and HEAD in names)
    return _extend(old[path], leaf) if stays else leaf

  return jax.tree.map_with_path(pick, fresh)


def remember(fresh: Memories, methods: Memories) -> Memories:
  """What methods have learned and remember, over a graft.

  Args:
    fresh: {teacher: {method: {"params": …, "memory": …}}} of the new grade, newly initialised.
    methods: the same as the last grade left it.

  Returns:
    `fresh` with each leaf replaced by the old one of the same teacher, method, name and shape. A
    method may hand what it has learned in one grade to its memory in the next, where it is fixed.
  """

  def name(path: Any) -> tuple[str, ...]:
    teacher, method, _, *rest = (entry.key for entry in path)
    return teacher, method, *rest

  old = {name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(methods)}

  def pick(path: Any, leaf: jax.Array) -> jax.Array:
    before = old.get(name(path))
    return leaf if before is None or before.shape != leaf.shape else before

  return jax.tree.map_with_path(pick, fresh)


def _divided(tree: Variables, lower: int, blocks: Blocks | None) -> tuple[Variables, Variables]:
  """Parts {part: {module: …}} in (the others, the lowest `lower` fragments)."""
  halves: tuple[Variables, Variables] = {}, {}
  for part, modules in tree.items():
    for module, leaves in modules.items():
      half = halves[among_lowest((part, module), lower, blocks)]
      half.setdefault(part, {})[module] = leaves
  return halves


def _deepened(old: Variables, fresh: Variables, blocks: Blocks) -> Variables:
  """A part of the network, {collection: {module: …}}, with further blocks that change nothing."""
  new: Variables = {}
  for collection, modules in fresh.items():
    kept = old.get(collection, {})
    new[collection] = kept | {
      name: blocks.identity(tree) if collection == "params" else tree
      for name, tree in modules.items()
      if name not in kept and blocks.number(name) is not None
    }
  return new


def _place(part: str) -> tuple[int, int]:
  return (1, 0) if part == HEAD else (0, int(part.removeprefix("fragment_")))


def _shapes(tree: Any) -> Any:
  return jax.tree.map(lambda leaf: leaf.shape, tree)


def _extend(old: jax.Array, fresh: jax.Array) -> jax.Array:
  if old.shape == fresh.shape:
    return old
  return jnp.asarray(fresh).at[..., : old.shape[-1]].set(old)
