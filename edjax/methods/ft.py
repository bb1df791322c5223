"""Factor transfer (Kim, Park and Kwak 2018, arXiv:1802.04977, sections 3.1 to 3.3).

  phase "paraphrase": mean((decoder(encoder(t)) − t)²)
  phase "transfer":   mean |F_t/‖F_t‖ − F_s/‖F_s‖|, F_t = encoder(t), F_s = translator(s)

t is the teacher's last map. In the first phase an autoencoder, the paraphraser, learns to say it in
half as many channels, whatever the student does; in the second it is constant, and the student with
its translator learns to say the same. Encoder and translator are three 3×3 convolutions with
LeakyReLU 0.1, the decoder three more (a transposed convolution of stride 1 is a convolution). Where
factors differ in size the larger is average-pooled.

The phases are grades of the same teacher: the first has "ft:paraphrase" in `grades.methods`, and
its paraphraser goes into the memory of the next. The authors train it beforehand, so nothing of the
student learns in that grade (`grades.frozen` −1), as variant `:ft` has it. A teacher who has had no
such grade is heard through a paraphraser of random weights.

Factors are normalised whole, all channels and places, as in the paper and the authors' code, whose
weight of 500 is for the mean that is taken here (equation 3 has the sum). Form "attention" is
RepDistiller's, which first averages the squares over channels, as attention transfer does; its
weight is 200, and its translator has normalisations, option `norm`. The authors' code reconstructs
by mean |…|; the paper (equation 1) and RepDistiller by squares.

While the student grows, its translator sits on the highest map it has, and the teacher's map stays
the last, so that one paraphraser serves all grades.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from edjax.errors import UserError, choose, one_of
from edjax.methods.base import Batch, applied, constant, exact, last_stage
from edjax.methods.maps import same_size, unit
from edjax.methods.projectors import Norm
from edjax.models.layers import Output, dense_init
from edjax.types import Map, PerImage, RandomKey, ShapedMap, Variables


@dataclasses.dataclass(frozen=True)
class FT:
  """Reconstruction of the teacher's last map, or absolute difference of factors, per example.

  Attributes:
    phase: "paraphrase", which teaches the paraphraser alone, or "transfer".
    rate: channels of the factors, as a share of the teacher's.
    form: how factors are normalised, "flattened" or "attention".
    norm: whether the translator normalises after each convolution.
    pairs: the last says which maps are meant, see `base.same_stages`.
  """

  phase: str = "transfer"
  rate: float = 0.5
  form: str = "flattened"
  norm: bool = False
  pairs: str = ""
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    one_of(self.phase, ("paraphrase", "transfer"), "methods.ft.phase")
    choose(_FORMS, self.form, "methods.ft.form")
    if not self.rate > 0:
      raise UserError(f"methods.ft.rate is {self.rate}; it must be positive")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    ours, theirs = self._maps(student_output, teacher_output)
    keys = jax.random.split(key)
    paraphraser, translator = self._modules(theirs)
    fresh = paraphraser.init(keys[0], jnp.zeros((1, *theirs.shape[1:])))["params"]
    if self.phase == "paraphrase":
      return {"params": {"paraphraser": fresh}}
    memory = {"memory": {"paraphraser": {"encoder": fresh["encoder"]}}}
    if ours is None:
      return memory
    x = jnp.zeros((1, *ours.shape[1:]))
    return memory | {"params": {"translator": translator.init(keys[1], x)["params"]}}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch] and the paraphraser, once it is learned, as it was."""
    ours, theirs = self._maps(student_output, teacher_output)
    paraphraser, translator = self._modules(theirs)
    theirs, params = constant(theirs), variables["params"]
    if self.phase == "paraphrase":
      again = applied(paraphraser, params["paraphraser"], theirs)
      return jnp.mean((again - theirs) ** 2, axis=(1, 2, 3)), {}
    memory = variables["memory"]
    if ours is None:
      return jnp.zeros(batch.mask.shape, jnp.float32), memory
    known = constant(memory["paraphraser"])
    theirs = applied(paraphraser, known, theirs, method="factor")
    ours = applied(translator, params["translator"], exact(ours), batch)
    factors = map(_FORMS[self.form], same_size(ours, theirs))
    ours, theirs = (unit(factor.reshape(factor.shape[0], -1)) for factor in factors)
    difference = ours - theirs
    return jnp.mean(difference * jnp.sign(difference), axis=1), memory

  def _maps(
    self, student_output: Output, teacher_output: Output
  ) -> tuple[ShapedMap | None, ShapedMap]:
    """The highest map the student has, or None, and the teacher's last."""
    maps = student_output.features, teacher_output.features
    whole = last_stage("ft", (0,) * len(maps[0]), maps[1], self.pairs)
    grown = last_stage("ft", *maps, self.pairs)
    ((_, theirs),) = whole.values()
    return next((ours for ours, _ in grown.values()), None), theirs

  def _modules(self, theirs: ShapedMap) -> tuple["Paraphraser", "Layers"]:
    factors = max(1, round(self.rate * theirs.shape[-1]))
    return Paraphraser(factors), Layers((None, factors, factors), self.norm)


class Paraphraser(nn.Module):
  """An autoencoder of maps [batch, height, width, channels] with `factors` channels inside."""

  factors: int

  @nn.compact
  def __call__(self, x: Map) -> Map:
    decoder = Layers((self.factors, x.shape[-1], x.shape[-1]), name="decoder")
    return decoder(self.factor(x))

  @nn.compact
  def factor(self, x: Map) -> Map:
    return Layers((None, self.factors, self.factors), name="encoder")(x)


class Layers(nn.Module):
  """3×3 convolutions, each with LeakyReLU 0.1, before which it may normalise.

  Attributes:
    channels: of each; None for as many as there are.
    norm: whether to normalise.
  """

  channels: tuple[int | None, ...]
  norm: bool = False

  @nn.compact
  def __call__(self, x: Map, batch: Batch | None = None) -> Map:
    for number, channels in enumerate(self.channels):
      x = nn.Conv(
        channels or x.shape[-1],
        (3, 3),
        use_bias=not self.norm,
        kernel_init=dense_init,
        name=f"conv_{number}",
      )(x)
      x = Norm(name=f"norm_{number}")(x, batch) if self.norm else x
      x = nn.leaky_relu(x, 0.1)
    return x


_FORMS = {"flattened": lambda factor: factor, "attention": lambda x: jnp.mean(x**2, axis=-1)}
