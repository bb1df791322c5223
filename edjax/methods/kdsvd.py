"""Distillation of singular vectors (Lee, Kim and Song 2018, arXiv:1807.06819, section 3).

Each map of an image is a matrix of which the first right singular vectors V are kept, k of the
teacher and a few more of the student. To each of the teacher's vectors belongs the student's most
like it (the largest |cosine|), turned to point the same way; both are multiplied by the teacher's
singular value (those of a map have length 1). Then, over consecutive maps,

  loss = Σ over maps, entries c, c′ and vectors i of (R_student − R_teacher)²
  R[c, c′, i] = exp(−(V[c, i] − V_below[c′, i])²/8)

The matrix is [places, channels] in the paper, its authors' code and RepDistiller: vectors
"channels", for which both networks need equal channels. It is [channels·height, width] in
mdistiller: vectors "columns", for which sizes alone must meet. RepDistiller names no weight,
mdistiller's is 1; both look among k + 3 vectors of the student, the authors' code among k + 1. That
code halves the sum and adds it up over the batch.

A singular vector has no sign of its own; here the teacher's largest entry is positive, so that the
same images give the same loss on all machines. A student that has not grown is compared up to where
it has; below two maps there is nothing to compare. All is done image by image. Memory: R, that is
channels × channels × k numbers per image and pair of maps. The decompositions make this the slowest
method for wide maps: two per image and map, of the smaller of both Gram matrices.
"""

import dataclasses
import functools
import itertools
from collections.abc import Collection
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32

from edjax.errors import UserError, choose
from edjax.methods.base import Batch, constant, exact, same_stages
from edjax.methods.maps import same_size, unit
from edjax.models.layers import Output
from edjax.types import Map, PerImage, RandomKey, ShapedMap, Variables


@dataclasses.dataclass(frozen=True)
class KDSVD:
  """Squared difference of how consecutive singular vectors relate, per example.

  Attributes:
    k: vectors of the teacher; of small maps as many as there are.
    spare: how many more of the student's are looked at.
    vectors: what a singular vector goes over, "channels" or "columns".
    pairs: maps to compare, "" for all but the stem; see `base.same_stages`.
  """

  k: int = 1
  spare: int = 3
  vectors: str = "channels"
  pairs: str = ""
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    if not self.k >= 1:
      raise UserError(f"methods.kdsvd.k is {self.k}; it must be 1 or more")
    if not self.spare >= 0:
      raise UserError(f"methods.kdsvd.spare is {self.spare}; it must be 0 or more")
    choose(_MATRICES, self.vectors, "methods.kdsvd.vectors")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    self._maps(student_output, teacher_output)
    return {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], without unit."""
    shape = _MATRICES[self.vectors]
    matrices = [
      tuple(map(shape, same_size(exact(student), constant(teacher))))
      for student, teacher in self._maps(student_output, teacher_output)
    ]
    k = min([self.k, *(side for pair in matrices for x in pair for side in x.shape[1:])])
    aligned = [self._align(k, *pair) for pair in matrices]
    total = jnp.zeros(batch.mask.shape)
    for (below, teacher_below), (student, teacher) in itertools.pairwise(aligned):
      difference = _relate(student, below) - _relate(teacher, teacher_below)
      total += jnp.sum(difference**2, (1, 2, 3))
    return total, {}

  def _maps(
    self, student_output: Output, teacher_output: Output
  ) -> Collection[tuple[ShapedMap, ShapedMap]]:
    maps = same_stages("kdsvd", student_output.features, teacher_output.features, self.pairs)
    for name, (student, teacher) in maps.items():
      if self.vectors == "channels" and student.shape[-1] != teacher.shape[-1]:
        raise UserError(
          f"methods.kdsvd: {name} of the student has {student.shape[-1]} channels and the "
          f"teacher's {teacher.shape[-1]}; make them equal, or set methods.kdsvd.vectors to "
          "'columns'"
        )
    return maps.values()

  def _align(
    self, k: int, student: Float32[Array, "batch _ _"], teacher: Float32[Array, "batch _ entries"]
  ) -> tuple[Float32[Array, "batch entries {k}"], Float32[Array, "batch entries {k}"]]:
    """The vectors [batch, entries, k] of both, weighted by the teacher's singular values."""
    squares, vectors = _decompose(teacher)
    weights, theirs = unit(jnp.sqrt(squares[:, None, :k])), vectors[..., :k]
    peak = jnp.take_along_axis(theirs, jnp.argmax(jnp.abs(theirs), 1, keepdims=True), 1)
    theirs *= jnp.where(peak < 0, -1.0, 1.0)
    ours = _right_vectors(student, min(k + self.spare, *student.shape[1:]))
    cosine = jnp.einsum("bcs,bct->bst", ours, theirs, precision="highest")
    like = jnp.argmax(jnp.abs(cosine), 1, keepdims=True)
    turn = jnp.where(jnp.take_along_axis(cosine, like, 1) < 0, -1.0, 1.0)
    return jnp.take_along_axis(ours, like, 2) * turn * weights, theirs * weights


def _relate(
  vectors: Float32[Array, "batch entries k"], below: Float32[Array, "batch entries_below k"]
) -> Float32[Array, "batch entries entries_below k"]:
  return jnp.exp(-((vectors[:, :, None] - below[:, None]) ** 2) / 8)


def _of_channels(maps: Map) -> Float32[Array, "batch rows columns"]:
  return maps.reshape(maps.shape[0], -1, maps.shape[-1])


def _of_columns(maps: Map) -> Float32[Array, "batch rows columns"]:
  return _of_channels(jnp.swapaxes(maps, 2, 3))


_MATRICES = {"channels": _of_channels, "columns": _of_columns}


def _decompose(
  matrix: Float32[Array, "batch rows columns"],
) -> tuple[Float32[Array, "batch rank"], Float32[Array, "batch columns rank"]]:
  """Squares of singular values [batch, rank], falling, and right vectors [batch, columns, rank].

  What is below a millionth of the largest square is rounding in float32; its vectors are zero.
  """
  rows, columns = matrix.shape[1:]
  shorter = "bij,bik->bjk" if columns <= rows else "bij,bkj->bik"
  gram = jnp.einsum(shorter, matrix, matrix, precision="highest")
  squares, vectors = (x[..., ::-1] for x in _eigen(gram))
  if columns > rows:
    vectors = unit(jnp.einsum("bij,bir->bjr", matrix, vectors, precision="highest"), 1)
  there = squares > jnp.maximum(1e-6 * squares[:, :1], 1e-24)
  return squares * there, vectors * there[:, None]


def _eigen(
  gram: Float32[Array, "batch n n"],
) -> tuple[Float32[Array, "batch n"], Float32[Array, "batch n n"]]:
  """Eigenvalues [batch, n] and vectors [batch, n, n].

  On a CPU one matrix after the other: jaxlib (0.10) hands the matrices of a batch to the threads
  that run the step, and waits there for them; when every thread waits so, none is left to work.
  """
  return jax.lax.platform_dependent(
    gram,
    cpu=lambda grams: jax.lax.map(lambda one: tuple(jnp.linalg.eigh(one)), grams),
    default=lambda grams: tuple(jnp.linalg.eigh(grams)),
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _right_vectors(
  matrix: Float32[Array, "batch rows columns"], count: int
) -> Float32[Array, "batch columns {count}"]:
  """The first right singular vectors [batch, columns, count] of [batch, rows, columns].

  With A = matrixᵀ matrix they turn by dv = (λI − A)⁺ dA v. Where two squares λ differ by less than
  1e-4 of the largest, only the space that the two vectors span is sure in float32, not how they lie
  in it; turning there is no gradient, which also keeps it finite.
  """
  return _decompose(matrix)[1][..., :count]


def _forward(
  matrix: Float32[Array, "batch rows columns"], count: int
) -> tuple[Float32[Array, "batch columns {count}"], tuple[Array, Array, Array]]:
  squares, vectors = _decompose(matrix)
  return vectors[..., :count], (matrix, squares, vectors)


def _backward(
  count: int, kept: tuple[Array, Array, Array], gradient: Float32[Array, "batch columns {count}"]
) -> tuple[Float32[Array, "batch rows columns"]]:
  matrix, squares, vectors = kept
  product = functools.partial(jnp.einsum, precision="highest")
  least = 1e-4 * squares[:, :1, None]

  def over(gap: Array) -> Array:
    sure = jnp.abs(gap) > least
    return jnp.where(sure, 1 / jnp.where(sure, gap, 1), 0)

  first, own = vectors[..., :count], squares[:, None, :count]
  inside = product("bcr,bck->brk", vectors, gradient)
  outside = gradient - product("bcr,brk->bck", vectors, inside)
  turned = product("bcr,brk->bck", vectors, over(own - squares[..., None]) * inside)
  turned += over(own) * outside
  turned *= own > 0
  to_matrix = product("bij,bjk,bck->bic", matrix, turned, first)
  return (to_matrix + product("bij,bjk,bck->bic", matrix, first, turned),)


_right_vectors.defvjp(_forward, _backward)
