"""Networks: published sizes, and the same numbers as the PyTorch re-statements."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from edjax import convert, errors, models
from edjax.convert import tensors
from edjax.convert.names import families
from edjax.models.analysis import macs
from tests.models.drawn import assert_close, images, nchw, nhwc, randomised, shapes
from tests.reference import zoo
from tests.reference.zoo import ZOO

FAMILIES = ("resnet8", "wrn_16_1")
SMALL_IMAGES = ((2, 32, 32, 3), (1, 29, 27, 3), (3, 28, 28, 1))
LARGE_IMAGES = ((2, 64, 64, 3), (1, 75, 61, 3))
CURVES = ((2, 1, 201, 8), (1, 1, 61, 3))
OF_SIDES = {32: SMALL_IMAGES, 224: LARGE_IMAGES, 1: CURVES}
SHAPES = {name: OF_SIDES[row.image[0]] for name, row in ZOO.items()}
# What is compiled in a few seconds, one of most families; the others are slow tests.
FAST = (
  *((name, shape) for name in FAMILIES for shape in SMALL_IMAGES),
  ("resnet8x4", SMALL_IMAGES[0]),
  ("resnet20_option_a", SMALL_IMAGES[1]),
  ("resnet18", LARGE_IMAGES[1]),
  ("resnet18_cifar", SMALL_IMAGES[2]),
  ("vgg8", SMALL_IMAGES[1]),
  ("mobilenetv2_half", SMALL_IMAGES[1]),
  ("shufflenetv2", SMALL_IMAGES[2]),
  ("efficientnet_b0", LARGE_IMAGES[1]),
  ("efficientnet_lite0", LARGE_IMAGES[1]),
  ("vit_tiny_patch4", SMALL_IMAGES[1]),
  *(("curve_small", shape) for shape in CURVES),
)
# Of these, shapes are traced in the fast tests.
LIGHT = {name for name, _ in FAST} | {
  "resnet20",
  "resnet8_half",
  "wrn_16_2",
  "mobilenetv1",
  "curve",
}


def rows(fast=LIGHT):
  """Names of all networks as parameters, slow ones marked."""
  return [pytest.param(n, marks=() if n in fast else pytest.mark.slow) for n in ZOO]


def cases():
  """(name, shape) as parameters, slow ones marked."""
  every = [(name, shape) for name in ZOO for shape in SHAPES[name]]
  every.append(("vgg8", (1, 64, 64, 3)))
  return [pytest.param(*c, marks=() if c in FAST else pytest.mark.slow) for c in every]


def assert_same_output(actual, expected, tolerance=1e-4):
  assert_close(actual.logits, expected.logits.detach(), tolerance)
  assert_close(actual.embedding, expected.embedding.detach(), tolerance)
  for taps in ("features", "preactivations"):
    for ours, theirs in zip(getattr(actual, taps), getattr(expected, taps), strict=True):
      assert_close(ours, nhwc(theirs), tolerance)


def test_every_model_has_a_size_and_a_reference():
  assert set(models.MODELS) == set(ZOO)
  assert {name for name, _ in FAST} <= set(ZOO)


@pytest.mark.parametrize("name", rows())
def test_sizes_are_the_published_ones(name):
  row = ZOO[name]
  network = models.graduate(models.body(name), row.classes)
  variables = shapes(network, (1, *row.image))
  assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == row.parameters
  assert macs.network_macs(network, row.image) / 1e6 == pytest.approx(row.millions, abs=5e-3)


@pytest.mark.parametrize("name", rows())
def test_names_match_one_to_one(name):
  """Every leaf has a tensor of its shape in the published network, and every tensor a leaf."""
  image = ZOO[name].image
  with torch.device("meta"):
    published = zoo.make(name, shape=image).state_dict()
  published = {key: tuple(t.shape) for key, t in published.items() if "batches" not in key}
  for scheme, names in convert.NAMES[name].items():
    places = tensors.layout(name, names, 7, image)
    assert len(places) == len(published) == families.TENSORS[name], scheme
    assert all(names(wrong) is None for wrong in ("", "fragment_9/conv", "head/nothing"))
  first = next(iter(convert.NAMES[name].values()))
  places = tensors.layout(name, first, 7, image)
  assert {key: place.shape for key, place in places.items()} == published


def test_an_unknown_model_names_the_nearest():
  with pytest.raises(errors.UserError, match="resnet20"):
    models.body("resnet_20")


@pytest.mark.parametrize("name,shape", cases(), ids=str)
def test_inference_equals_torch(name, shape):
  network = models.graduate(models.body(name), 7)
  variables, x = randomised(network, shape), images(shape)
  twin = zoo.load(zoo.make(name, 7, shape[1:]), variables, name).eval()
  with torch.no_grad():
    expected = twin(nchw(x))
  output = jax.jit(network.apply)(variables, x)
  assert_same_output(output, expected)
  assert len(output.features) == len(output.preactivations) == len(network.fragments) + 1


@pytest.mark.parametrize("name", rows(fast=("resnet8", "wrn_16_1", "vgg8", "curve_small")))
def test_training_equals_torch(name):
  """Outputs, gradients and running statistics of a training step, in batch statistics.

  In double precision: in single, rounding may put a value on the other side of a ReLU, and so few
  images leave a gradient that is then quite another one.
  """
  side = {32: 16, 224: 64}.get(ZOO[name].image[0])
  with jax.enable_x64(True):
    check_training(name, (4, side, side, 3) if side else (4, 1, 40, 3))


def check_training(name, shape):
  # The attention of transformers works in single precision always; they have no ReLU.
  tolerance = 1e-5 if name.startswith(("deit", "vit")) else 1e-7
  network = models.graduate(models.body(name), 5)
  variables = jax.tree.map(np.float64, randomised(network, shape))
  x, pull = np.float64(images(shape)), np.float64(images((4, 5), 1))
  twin = zoo.load(zoo.make(name, 5, shape[1:]).double(), variables, name).train()

  @jax.jit
  @functools.partial(jax.grad, has_aux=True)
  def gradients(params):
    output, updates = network.apply(
      {**variables, "params": params}, x, train=True, mutable=["batch_stats"]
    )
    return (output.logits * pull).sum(), (output, updates)

  grads, (output, updates) = gradients(variables["params"])
  expected = twin(nchw(x))
  (expected.logits * torch.from_numpy(pull)).sum().backward()

  assert_same_output(output, expected, tolerance)
  grads = zoo.state({"params": grads}, name)
  # A bias before a normalisation has no effect, and rounding for a gradient.
  floor = 1e-3 * max(parameter.grad.abs().max() for parameter in twin.parameters())
  for key, parameter in twin.named_parameters():
    apart = (grads.pop(key) - parameter.grad).abs().max()
    assert apart <= tolerance * max(parameter.grad.abs().max(), floor), key
  assert not grads
  stats, after = zoo.state(updates, name), twin.state_dict()
  for key in [key for key in after if key.endswith(("running_mean", "running_var"))]:
    assert_close(stats.pop(key), after[key], tolerance)
  assert not stats


@pytest.mark.parametrize("name", ["resnet8x4", "wrn_16_2"])
def test_initial_values_are_the_fields(name):
  """Ours and the re-statement's: He's by fan out, PyTorch's dense layer, plain normalisations."""
  network = models.graduate(models.body(name), 100)
  variables = jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
  torch.manual_seed(0)
  twin = zoo.make(name, 100)
  for values in (zoo.state(variables, name), twin.state_dict()):
    convolutions = 0
    for key, value in values.items():
      if value.ndim == 4 and value.numel() > 4000:
        convolutions += 1
        outputs, _, height, width = value.shape
        expected = (2 / (height * width * outputs)) ** 0.5
        assert abs(value.std() / expected - 1) < 0.05, key
        assert value.abs().max() > 3 * expected, f"{key} is truncated"
      elif key.endswith("running_var") or (value.ndim == 1 and key.endswith("weight")):
        assert (value == 1).all(), key
      elif key.endswith("running_mean") or (key.endswith("bias") and "fc" not in key):
        assert (value == 0).all(), key
    assert convolutions >= 6
    bound = values["fc.weight"].shape[1] ** -0.5
    assert 0.99 * bound < values["fc.weight"].abs().max() <= bound
    bias = values["fc.bias"].abs().max()
    assert bias == 0 if name.startswith("wrn") else 0.9 * bound < bias <= bound
