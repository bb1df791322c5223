"""Contrastive representation distillation (Tian et al. 2020, arXiv:1910.10699, section 3.2)."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float32, Int32

from edjax.errors import UserError
from edjax.methods import embeddings
from edjax.methods.base import Batch, gather, mean
from edjax.methods.maps import unit
from edjax.models.layers import Output
from edjax.types import Labels, PerImage, RandomKey, Variables


@dataclasses.dataclass(frozen=True)
class CRD:
  r"""Student and teacher tell an image from K images of other classes by each other's memory.

  With an image's student embedding s (linear, learned, of length 1) and the teacher's t likewise,
  and a memory of both for every training image, the loss is that of s against the memory of
  teachers and of t against the memory of students, each

    −log h(own) − Σ_k log (1 − h(other_k)),   h(m) = e^(v·m/τ) / (e^(v·m/τ) + K z).

  The paper's h has K/n, with n training images, instead of K z. The authors' code divides e^(v·m/τ)
  by Z = n z first, where z is its mean over the first batch and stays from then on; n cancels, and
  their 1e-7 in the denominators, needless in logarithms, is left out. After the loss an image's
  memory m becomes momentum · m + (1 − momentum) · v, of length 1.

  The K others are drawn for every image and step, independently and uniformly from all images of
  the classes that the teacher answers for, but the image's own (RepDistiller draws without
  replacement on the CPU). Without other classes only the first term is left. Scores take a product
  [batch, n] with the whole memory where that is smaller than the [batch, K, width] of the others.
  There are two memories of n · width floats per teacher, 51 MB for 50000 images, and also a
  specialist's are for all n, so a large faculty is dear.

  Published: weight 0.8, K 16384, τ 0.07, momentum 0.5, width 128 (RepDistiller, mdistiller).

  Attributes:
    negatives: K ≥ 1.
    temperature: τ > 0.
    momentum: of the memory, from 0 to below 1.
    width: of both embeddings.
  """

  negatives: int = 16384
  temperature: float = 0.07
  momentum: float = 0.5
  width: int = 128
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    for name in ("negatives", "width"):
      if not getattr(self, name) >= 1:
        raise UserError(f"methods.crd.{name} is {getattr(self, name)}; it must be at least 1")
    if not self.temperature > 0:
      raise UserError(f"methods.crd.temperature is {self.temperature}; it must be positive")
    if not 0 <= self.momentum < 1:
      raise UserError(f"methods.crd.momentum is {self.momentum}; it must be from 0 to below 1")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    return {"params": embeddings.new(key, self.width, student_output, teacher_output)}

  def remember(self, key: RandomKey, images: int) -> Variables:
    """Banks of about length 1 as the authors begin, and averages that are not known yet."""
    bound = (3 / self.width) ** 0.5
    keys = jax.random.split(key)
    return {
      name: {
        "bank": jax.random.uniform(own, (images, self.width), jnp.float32, -bound, bound),
        "average": jnp.float32(0),
      }
      for name, own in zip(("student", "teacher"), keys, strict=True)
    }

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch] and {"student": …, "teacher": …}, each a "bank" and an "average".

    The average is that of e^((v·m − 1)/τ), z without its largest factor; 0 until there is one.
    """
    vectors = map(
      unit, embeddings.embed(variables["params"], self.width, student_output, teacher_output)
    )
    student, teacher = vectors
    memory = jax.lax.stop_gradient(variables["memory"])
    others, some = draw(batch.key, batch.index, batch.labels, batch.everyone, self.negatives)
    chosen = jnp.concatenate([batch.index[:, None], others], axis=1)
    counts = jnp.concatenate([jnp.ones_like(others[:, :1]), others * 0 + some[:, None]], axis=1)
    losses, new = jnp.zeros(batch.mask.shape), {}
    for name, own, other in (("student", student, teacher), ("teacher", teacher, student)):
      loss, average = self._contrast(other, memory[name], chosen, counts, batch)
      losses += loss
      new[name] = {"bank": self._update(memory[name]["bank"], own, batch), "average": average}
    return losses, new

  def _contrast(
    self,
    vectors: Float32[Array, "batch width"],
    memory: Variables,
    chosen: Int32[Array, "batch k"],
    counts: Int32[Array, "batch k"],
    batch: Batch,
  ) -> tuple[PerImage, Float32[Array, ""]]:
    scores = (_scores(vectors, memory["bank"], chosen) - 1) / self.temperature
    first = jnp.sum(counts * jnp.exp(scores), axis=1) / jnp.sum(counts, axis=1)
    first = jax.lax.stop_gradient(mean(first, batch))
    average = jnp.where(memory["average"] > 0, memory["average"], first)
    level = jnp.log(self.negatives * jnp.where(average > 0, average, 1))
    own, others = scores[:, 0], scores[:, 1:]
    rejected = jnp.sum(counts[:, 1:] * jax.nn.softplus(others - level), axis=1)
    return jax.nn.softplus(level - own) + rejected, average

  def _update(
    self,
    bank: Float32[Array, "images width"],
    vectors: Float32[Array, "batch width"],
    batch: Batch,
  ) -> Float32[Array, "images width"]:
    vectors = jax.lax.stop_gradient(vectors)
    fresh = unit(self.momentum * bank[batch.index] + (1 - self.momentum) * vectors)
    index = jnp.where(batch.mask > 0, batch.index, len(bank))  # padding falls outside
    return bank.at[gather(index, batch)].set(gather(fresh, batch), mode="drop")


def draw(
  key: RandomKey,
  index: Int32[Array, " batch"],
  labels: Labels,
  everyone: Int32[Array, " images"],
  count: int,
) -> tuple[Int32[Array, "batch {count}"], Bool[Array, " batch"]]:
  """Draws images of other classes; the same key and image give the same on any device.

  Args:
    key: of the step.
    index, labels: int32 [batch], of the images for which others are drawn.
    everyone: int32 [images], labels of all; those below 0 are never drawn.
    count: how many for each.

  Returns:
    int32 [batch, count], and bool [batch]: whether there are others; if not, the first mean
    nothing.
  """
  by_class = jnp.argsort(everyone)
  ranked = everyone[by_class]
  strangers = jnp.sum(everyone < 0)
  first, last = (jnp.searchsorted(ranked, labels, side=side) for side in ("left", "right"))
  own = last - first
  others = len(everyone) - strangers - own

  def one(image: Int32[Array, ""], others: Int32[Array, ""]) -> Int32[Array, " count"]:
    return jax.random.randint(jax.random.fold_in(key, image), (count,), 0, jnp.maximum(others, 1))

  places = strangers + jax.vmap(one)(index, others)
  places += jnp.where(places >= first[:, None], own[:, None], 0)  # as if its own were not there
  return by_class[jnp.minimum(places, len(everyone) - 1)], others > 0


def _scores(
  vectors: Float32[Array, "batch width"],
  bank: Float32[Array, "images width"],
  chosen: Int32[Array, "batch k"],
) -> Float32[Array, "batch k"]:
  """Products [batch, k] of [batch, width] with the rows `chosen` of the bank."""
  if len(bank) <= chosen.shape[1] * bank.shape[1]:
    everything = jnp.matmul(vectors, bank.T, precision="highest")
    return jnp.take_along_axis(everything, chosen, axis=1)
  return jnp.einsum("bw,bkw->bk", vectors, bank[chosen], precision="highest")
