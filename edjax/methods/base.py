"""What a distillation method is, and what methods share in reading their arguments.

A method is a frozen dataclass whose fields are its options, with two functions:

  init(key, student_output, teacher_output) -> variables
    {"params": …} for what it learns (projectors), {"memory": …} for what it remembers; {} for
    most. The outputs may be abstract: shapes come from `jax.eval_shape`, never from a config.
  loss(variables, student_output, teacher_output, batch) -> (per_example, memory)
    float32 [batch], never reduced, and the new `memory` subtree ({} where there is none). What is
    defined for a whole batch is shared out so that the mean over the batch is the definition.

One that reads nothing of the teacher's but its logits says `on_logits = True`: a config may let it
compare standardised ones, and take a teacher's answers from a bank, which holds no maps.
One that remembers something of every training image (a bank) has a third:

  remember(key, images) -> memory
    the "memory" with which it begins, for a training set of so many images.

One whose teachers share an image by how well it goes with each, not by the recipe's consensus, has

  errors(variables, student_output, teacher_output, batch) -> float32 [batch]
    of which a larger one makes the teacher's share smaller, by `weighting.by_confidence`.

The outputs are `models.Output`s of the same images: the student's restricted to the classes that
the teacher's logits answer for, column by column. The tuples of maps hold one entry per stage of
the whole network; the student's are None where it has not grown so far. Teacher outputs are
constants. `teacher_output` is None for a method with `needs_teacher = False`, which is asked once
per image, over all seen classes.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypeVar, cast, runtime_checkable

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32, Int32

from edjax.errors import UserError
from edjax.models.layers import Output
from edjax.types import Labels, PerImage, RandomKey, Variables

S = TypeVar("S")
T = TypeVar("T")


@flax.struct.dataclass
class Batch:
  """The images a method is asked about.

  Attributes:
    labels: columns of the student's logits.
    index: which training image each one is (for memories).
    mask: 0 for padding, which must not influence any other image's loss.
    key: of this step, for methods that draw; the same on every device.
    epoch: epochs of the grade before this step.
    everyone: of every training image its column of the student's logits, −1 where it is of another
      class.
    classifier: {"kernel": [width, classes], "bias": [classes]} that makes the teacher's logits of
      its embedding, or None without a teacher.
    others: columns of the labels that are mixed in by mixup, or None without.
    share: of an image in its mixture with another.
    strong: (student_output, teacher_output) of the same images seen a second time, strongly
      augmented; None where the recipe has one view.
    axis: name of the mapped axis over which the batch is divided, None where this is all of it.
  """

  labels: Labels
  index: Int32[Array, " batch"]
  mask: PerImage
  key: RandomKey
  epoch: Float32[Array, ""]
  everyone: Int32[Array, " images"]
  classifier: dict[str, Array] | None = None
  others: Labels | None = None
  share: Float32[Array, ""] | float = 1.0
  strong: tuple[Output, Output] | None = None
  axis: str | None = flax.struct.field(pytree_node=False, default=None)


@runtime_checkable
class Method(Protocol):
  """What every method has; `on_logits`, `remember` and `errors` are for those that need them."""

  __dataclass_fields__: ClassVar[dict[str, Any]]
  needs_teacher: ClassVar[bool]

  # Most ask for a teacher's output, and one for None: `needs_teacher` says which.
  def init(self, key: RandomKey, student_output: Output, teacher_output: Any) -> Variables: ...

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Any, batch: Batch
  ) -> tuple[PerImage, Variables]: ...


def begin(
  method: Method,
  key: RandomKey,
  student_output: Output,
  teacher_output: Output | None,
  images: int,
) -> Variables:
  """The variables with which a method begins; `images` are there to train on."""
  variables = method.init(key, student_output, teacher_output)
  if hasattr(method, "remember"):
    variables |= {"memory": method.remember(jax.random.fold_in(key, 1), images)}
  return {part: tree for part, tree in variables.items() if tree}


def exact(tree: T) -> T:
  """The same in float32, in which all losses are computed."""
  return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), tree)


def constant(tree: T) -> T:
  """The same in float32, without a gradient: a teacher's output."""
  return jax.lax.stop_gradient(exact(tree))


def gather(values: T, batch: Batch) -> T:
  """Puts [batch, …] of all devices together, in their order: [whole batch, …]."""
  if batch.axis is None:
    return values
  return jax.lax.all_gather(values, batch.axis, tiled=True)


def across(summed: T, batch: Batch) -> T:
  """The sum over all devices of what each has summed up of its own images."""
  return summed if batch.axis is None else jax.lax.psum(summed, batch.axis)


def total(values: Float32[Array, "batch ..."], batch: Batch) -> Float32[Array, "..."]:
  """The sum of [batch, …] over the images of all devices; padding counts not."""
  return across(jnp.tensordot(batch.mask, values, 1, precision="highest"), batch)


def mean(values: Float32[Array, "batch ..."], batch: Batch) -> Float32[Array, "..."]:
  """The mean of [batch, …] over the images of all devices; padding counts not."""
  return total(values, batch) / jnp.maximum(total(jnp.ones_like(batch.mask), batch), 1)


def whole(maps: Sequence[T | None]) -> Sequence[T]:
  """The maps of a teacher, or of a student that is a whole network: none is missing."""
  return cast(Sequence[T], maps)


def applied(module: nn.Module, params: Variables, *inputs: Any, **options: Any) -> Any:
  """What a module says with these parameters, of what its `__call__` takes."""
  return module.apply({"params": params}, *inputs, **options)


def same_stages(
  method: str,
  student_maps: Sequence[S | None],
  teacher_maps: Sequence[T | None],
  pairs: str = "",
) -> dict[str, tuple[S, T]]:
  """Which maps are compared with each other.

  Args:
    method: its name, for the message.
    student_maps: [batch, height, width, channels] per stage, stem first; None where not grown.
    teacher_maps: the same of the teacher, all there.
    pairs: "1:1,2:3" compares the student's stage 1 with the teacher's 1, and 2 with 3; "" every
      stage but the stem with its like.

  Returns:
    {"map_1": (student's, teacher's), …} by the student's stage, of those that the student has.

  Raises:
    UserError: if the networks do not have equally many stages and `pairs` does not say which
      belong together, or names one that is not there.
  """
  if pairs:
    chosen = _chosen(method, pairs)
  else:
    chosen = [(stage, stage) for stage in range(1, len(student_maps))]
    if len(student_maps) != len(teacher_maps):
      raise UserError(
        f"methods.{method}: the student has {len(student_maps)} maps, stem included, and the "
        f"teacher {len(teacher_maps)}; say which to compare, as in methods.{method}.pairs='1:1,2:3'"
      )
  for ours, theirs in chosen:
    if not (0 <= ours < len(student_maps) and 0 <= theirs < len(teacher_maps)):
      raise UserError(
        f"methods.{method}.pairs names maps {ours}:{theirs}, but the student has "
        f"{len(student_maps)} and the teacher {len(teacher_maps)}, counted from 0"
      )
  return {
    f"map_{ours}": (student, whole(teacher_maps)[theirs])
    for ours, theirs in chosen
    if (student := student_maps[ours]) is not None
  }


def last_stage(
  method: str,
  student_maps: Sequence[S | None],
  teacher_maps: Sequence[T | None],
  pairs: str = "",
) -> dict[str, tuple[S, T]]:
  """The highest of `same_stages`, or nothing where the student has none of them yet."""
  return dict(list(same_stages(method, student_maps, teacher_maps, pairs).items())[-1:])


def depth_weights(
  method: str,
  student_maps: Sequence[object],
  teacher_maps: Sequence[object],
  pairs: str = "",
) -> dict[str, float]:
  """Every pair counts half of the next higher: {"map_1": 0.25, "map_2": 0.5, "map_3": 1.0}.

  The highest is that of the whole network, so a pair keeps its weight while the student grows.
  """
  names = same_stages(method, (0,) * len(student_maps), teacher_maps, pairs)
  return {name: 2.0 ** (place - len(names)) for place, name in enumerate(names, start=1)}


def _chosen(method: str, pairs: str) -> list[tuple[int, int]]:
  try:
    split = [pair.split(":", 1) for pair in pairs.split(",")]
    chosen = sorted((int(ours), int(theirs)) for ours, theirs in split)
  except ValueError as error:
    raise UserError(f"methods.{method}.pairs is {pairs!r}; write it as '1:1,2:3'") from error
  if len({ours for ours, _ in chosen}) < len(chosen):
    raise UserError(
      f"methods.{method}.pairs is {pairs!r}; it must name each map of the student's once, as in "
      "'1:1,2:3'"
    )
  return chosen
