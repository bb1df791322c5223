"""Multi-level logit distillation (Jin et al. 2023, "Multi-Level Logit Distillation", CVPR)."""

import dataclasses
import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float32

from edjax.errors import UserError, one_of
from edjax.methods.base import Batch, across, constant, exact, gather, mean, total
from edjax.models.layers import Output
from edjax.types import PerImage, RandomKey, Variables


@dataclasses.dataclass(frozen=True)
class MLLD:
  r"""Answers compared image by image, between images and between classes, at several temperatures.

  With P = softmax(logits/T) [images, classes] of student s and teacher t, summed over T:

    instance: T² · KL(P_t ‖ P_s), the mean over images
    batch:    ‖P_t P_tᵀ − P_s P_sᵀ‖² / images
    class:    ‖P_tᵀ P_t − P_sᵀ P_s‖² / classes

  Form "paper" adds the three of every view. Where the recipe has `views` "two", the second is a
  strong augmentation of the images. Form "code" is what the authors published: batch and class
  terms of the first view only; the second view's instance terms at the two last temperatures are
  the first view's; and terms of the first view are multiplied by the share of images (or classes)
  that the teacher is not surer of than of the median one, which was meant as a mask.

  Where answers are sure and classes even, the batch term is about images / classes and the class
  term its square: small for 64 images of 100 classes, as published, and ten and a hundred times
  larger for as many of 10. So `per_class` can keep them as large as they are for so many images of
  a class in a batch: they are multiplied by per_class / (images / classes), and by its square.

  Published: weight 0.9 beside cross-entropy of weight 0.1 on each view (here `ce` 0.2, their mean),
  T 4, 3, 5, 2 and 6 (authors' code for CIFAR-100). Needs logits only, so any grade may use it; a
  specialist's images are compared with each other only. Memory: [images here, images of all
  devices] and [classes, classes] per temperature.

  Attributes:
    temperatures: all above 0.
    form: "paper" or "code".
    per_class: images of a class, 0.64 for 64 of 100 classes. 0: the terms as they are.
    gather: compare the images of all devices, otherwise of each device alone.
  """

  temperatures: tuple[float, ...] = (4.0, 3.0, 5.0, 2.0, 6.0)
  form: str = "paper"
  per_class: float = 0.0
  gather: bool = True
  needs_teacher: ClassVar[bool] = True
  on_logits: ClassVar[bool] = True

  def __post_init__(self) -> None:
    if not self.temperatures or not all(temperature > 0 for temperature in self.temperatures):
      raise UserError(f"methods.mlld.temperatures is {self.temperatures}; all must be positive")
    one_of(self.form, ("paper", "code"), "methods.mlld.form")
    if not self.per_class >= 0:
      raise UserError(f"methods.mlld.per_class is {self.per_class}; it must be positive, or 0")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    return {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], its instance terms in nats times T²."""
    seen = [(student_output, teacher_output), *filter(None, (batch.strong,))]
    views = [(exact(ours.logits), constant(theirs.logits)) for ours, theirs in seen]
    if not self.gather:
      batch = dataclasses.replace(batch, axis=None)
    none = jnp.zeros(batch.mask.shape)
    told = functools.partial(_terms, batch=batch, per_class=self.per_class)
    first = [told(*views[0], temperature) for temperature in self.temperatures]
    if self.form == "paper":
      terms = [*first, *(told(*view, t) for view in views[1:] for t in self.temperatures)]
      return sum((sum(levels, none) for levels in terms), none), {}
    images, classes = _unsure(views[0][1], batch)
    loss = sum(
      (images * (instance + rows) + classes * columns for instance, rows, columns in first), none
    )
    if len(views) == 2:
      strong, weak = self.temperatures[:-2], self.temperatures[-2:]
      loss += sum((_instance(*views[1], temperature) for temperature in strong), none)
      loss += sum((_instance(*views[0], temperature) for temperature in weak), none)
    return loss, {}


def _terms(
  ours: Float32[Array, "batch classes"],
  theirs: Float32[Array, "batch classes"],
  temperature: float,
  batch: Batch,
  per_class: float,
) -> tuple[PerImage, PerImage, Float32[Array, ""]]:
  """Returns the three levels at one temperature: [batch], [batch], and a number."""
  present = gather(batch.mask, batch)[None]
  images, classes = present.shape[1], ours.shape[1]
  scale = per_class / (images / classes) if per_class else 1.0
  rows, columns = [], []
  for logits in (ours, theirs):
    p = jax.nn.softmax(logits / temperature)
    rows.append(present * jnp.matmul(p, gather(p, batch).T, precision="highest"))
    own = jnp.matmul((batch.mask[:, None] * p).T, p, precision="highest")
    columns.append(across(own, batch))
  between_classes = jnp.sum((columns[0] - columns[1]) ** 2) / classes
  return (
    _instance(ours, theirs, temperature),
    scale * jnp.sum((rows[0] - rows[1]) ** 2, axis=1),
    scale**2 * between_classes,
  )


def _instance(
  ours: Float32[Array, "batch classes"], theirs: Float32[Array, "batch classes"], temperature: float
) -> PerImage:
  student, teacher = (jax.nn.log_softmax(logits / temperature) for logits in (ours, theirs))
  return temperature**2 * optax.losses.kl_divergence_with_log_targets(student, teacher)


def _unsure(
  theirs: Float32[Array, "batch classes"], batch: Batch
) -> tuple[Float32[Array, ""], Float32[Array, ""]]:
  """The shares of images and of classes that the teacher is at most as sure of as of the median."""
  p = jax.nn.softmax(theirs)
  sure = p.max(axis=1)
  median = jnp.nanmedian(gather(jnp.where(batch.mask > 0, sure, jnp.nan), batch))
  of_classes = total(p, batch)
  images = mean((sure <= median).astype(jnp.float32), batch)
  return images, jnp.mean(of_classes <= jnp.median(of_classes))
