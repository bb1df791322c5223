"""Networks of users' own are folded as far as their programs show, and answer as before."""

import dataclasses
import functools

import flax.linen as nn
import jax
import pytest

from edjax import models
from edjax.models.analysis.folding import fold, folded
from tests import small
from tests.models.drawn import assert_close, images, randomised

SHAPE = (2, 8, 8, 3)


def tapped(x):
  return nn.relu(x), (nn.relu(x),), (x,)


def conv(channels=4, name="conv", **options):
  return nn.Conv(channels, (3, 3), name=name, **options)


class Transposed(nn.Module):
  @nn.compact
  def __call__(self, x, norm):
    x = norm(name="bn_0")(nn.ConvTranspose(4, (2, 2), strides=(2, 2), name="up")(x))
    return tapped(norm(name="bn_1")(conv()(x)))


class Inner(nn.Module):
  norm: object

  @nn.compact
  def __call__(self, x):
    return nn.relu(self.norm(name="bn")(conv(x.shape[-1])(x)))


class Remat(nn.Module):
  @nn.compact
  def __call__(self, x, norm):
    x = nn.remat(Inner)(norm, name="inner")(norm(name="bn")(conv(use_bias=False)(x)))
    return tapped(x)


class Scanned(nn.Module):
  """Two layers in a loop, their variables stacked."""

  @nn.compact
  def __call__(self, x, norm):
    x = norm(name="bn")(conv()(x))
    loop = nn.scan(
      lambda module, x, _: (module(x), None),
      variable_axes={"params": 0, "batch_stats": 0},
      split_rngs={"params": True},
      length=2,
    )
    x, _ = loop(Inner(norm, name="inner"), x, None)
    return tapped(x)


class Conditional(nn.Module):
  """A branch that depends on the images."""

  @nn.compact
  def __call__(self, x, norm):
    inner = Inner(norm, name="inner")
    x = inner(x)
    x = jax.lax.cond(x.mean() > 0, lambda x: 2 * x, lambda x: x - 1, x)
    return tapped(norm(name="bn")(conv()(x)))


class AfterDense(nn.Module):
  @nn.compact
  def __call__(self, x, norm):
    return tapped(norm(name="bn")(nn.Dense(5, name="dense")(x)))


class Shared(nn.Module):
  """One convolution, called twice, each time before another normalisation."""

  @nn.compact
  def __call__(self, x, norm):
    shared = conv(x.shape[-1])
    x = nn.relu(norm(name="bn_0")(shared(x)))
    return tapped(norm(name="bn_1")(shared(x)))


class SharedNorm(nn.Module):
  """One normalisation after two convolutions."""

  @nn.compact
  def __call__(self, x, norm):
    shared = norm(name="bn")
    x = nn.relu(shared(conv(name="conv_0")(x)))
    return tapped(shared(conv(name="conv_1")(x)))


class Tapped(nn.Module):
  """What the convolution puts out is handed on, too."""

  @nn.compact
  def __call__(self, x, norm):
    x = conv()(x)
    return nn.relu(norm(name="bn")(x)), (x,), (x,)


class Sequential(nn.Module):
  @nn.compact
  def __call__(self, x, norm):
    return tapped(nn.Sequential([conv(), norm(name="bn"), nn.relu, conv(5, "last")])(x))


class Grouped(nn.Module):
  @nn.compact
  def __call__(self, x, norm):
    x = nn.GroupNorm(2, name="group")(conv(name="first")(x))
    return tapped(norm(name="bn")(conv()(x)))


class Standardised(nn.Module):
  """The kernel is computed: of length 1 by filter, whatever it is multiplied by."""

  @nn.compact
  def __call__(self, x, norm):
    return tapped(norm(name="bn")(nn.WeightNorm(conv())(x)))


class Own(nn.Module):
  """A normalisation that is not edjax's keeps its statistics."""

  @nn.compact
  def __call__(self, x, norm):
    x = nn.BatchNorm(use_running_average=True, name="own")(conv(name="first")(x))
    return tapped(norm(name="bn")(conv()(x)))


class Borrowed(nn.Module):
  """Another layer reads the kernel of the convolution."""

  @nn.compact
  def __call__(self, x, norm):
    layer = conv()
    x = norm(name="bn")(layer(x))
    return tapped(x + layer.variables["params"]["kernel"].mean((0, 1, 2)).reshape(1, 1, 1, -1))


class Momentous(nn.Module):
  """An option of the normalisation that what stands for it does not have."""

  @nn.compact
  def __call__(self, x, norm):
    return tapped(norm(name="bn", momentum=0.8)(conv()(x)))


class Strange(nn.Module):
  """A product that is no convolution by the module's own choice."""

  @nn.compact
  def __call__(self, x, norm):
    def squared(inputs, kernel, *args, **options):
      return jax.lax.conv_general_dilated(inputs, kernel**2, *args, **options)

    return tapped(norm(name="bn")(conv(conv_general_dilated=squared)(x)))


# How many normalisations keep a factor; None: the network stays as it is.
KEPT = {
  Transposed: 1, Remat: 1, Scanned: 1, Conditional: 0, AfterDense: 1, Shared: 2, SharedNorm: 1,
  Tapped: 1, Sequential: 0, Grouped: 0, Standardised: 1, Own: 0, Borrowed: 1, Strange: 1,
  Momentous: None,
}  # fmt: skip


@pytest.mark.parametrize("fragment", KEPT)
def test_the_same_answers(fragment):
  body = dataclasses.replace(
    small.SMALL, fragments=(fragment, functools.partial(small.Layer, 6, 2))
  )
  network = models.graduate(body, 7)
  variables = randomised(network, SHAPE)
  quick, few = fold(network, variables, SHAPE[1:])
  assert quick == folded(network, SHAPE[1:])
  x = images(SHAPE)
  jax.tree.map(assert_close, quick.apply(few, x), network.apply(variables, x))
  if KEPT[fragment] is None:
    assert quick is network and few is variables
    return
  mine = few["params"]["fragment_0"]
  left = [
    path
    for path, _ in jax.tree_util.tree_leaves_with_path(mine)
    if path[-1].key == "scale"
    and not {"group", "own"} & {step.key for step in path}
    and "WeightNorm" not in jax.tree_util.keystr(path)
  ]
  assert len(left) == KEPT[fragment]
  assert "scale" not in few["params"]["fragment_1"]["bn"]
  assert ("batch_stats" in few) == (fragment is Own)
