"""Networks: published sizes, and the same numbers as the PyTorch re-statements."""

import functools

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edjax import convert, errors, models
from edjax.convert import tensors
from edjax.convert.names import families
from edjax.models import pooling
from edjax.models.analysis import macs
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


def images(shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def shapes(network, shape=(1, 32, 32, 3)):
  return jax.eval_shape(network.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))


def randomised(network, shape, seed=0):
  """Variables without the zeros and ones that would hide an error in the normalisations."""
  rng = np.random.default_rng(seed)

  def leaf(path, spec):
    kind = path[-1].key
    if kind in ("scale", "var"):
      return rng.uniform(0.5, 1.5, spec.shape).astype(np.float32)
    spread = np.sqrt(2 / np.prod(spec.shape[:-1])) if kind == "kernel" else 0.2
    return (spread * rng.standard_normal(spec.shape)).astype(np.float32)

  return jax.tree_util.tree_map_with_path(leaf, shapes(network, shape))


def assert_close(actual, expected, tolerance=1e-4):
  """Every element to `tolerance` of the largest."""
  expected = np.asarray(expected)
  assert actual.shape == expected.shape
  np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def nchw(x):
  return torch.from_numpy(x.transpose(0, 3, 1, 2))


def nhwc(x):
  return x.detach().numpy().transpose(0, 2, 3, 1)


def assert_same_output(actual, expected, tolerance=1e-4):
  assert_close(actual.logits, expected.logits.detach(), tolerance)
  assert_close(actual.embedding, expected.embedding.detach(), tolerance)
  for taps in ("features", "preactivations"):
    for ours, theirs in zip(getattr(actual, taps), getattr(expected, taps), strict=True):
      assert_close(ours, nhwc(theirs), tolerance)


def initial_values(name):
  """Of fragment 0 and, where it fits on there, of the head; and of the whole re-statement."""
  shape, body = (1, 32, 32, 3), models.body(name)
  head = functools.partial(body.head, num_classes=100)
  network = models.Network(body.fragments[:1], head)
  initial = jax.jit(network.init, compiler_options={"xla_backend_optimization_level": 0})
  variables = initial(jax.random.key(0), jnp.zeros(shape))
  if name.startswith("shufflenet"):
    variables = {key: {"fragment_0": tree["fragment_0"]} for key, tree in variables.items()}
  torch.manual_seed(0)
  return zoo.state(variables, name), zoo.make(name, 100).state_dict()


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


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_pupil_is_the_lower_part_of_the_graduate(name, count):
  shape, body = (2, 32, 32, 3), models.body(name)
  whole, part = models.graduate(body, 7), models.pupil(body, count, 5)
  variables, own = randomised(whole, shape), randomised(part, shape, seed=1)
  fragments = [f"fragment_{number}" for number in range(count)]
  for collection in own:
    assert set(own[collection]) == {*fragments, "head"}
    own[collection].update({key: variables[collection][key] for key in fragments})
  x = images(shape)
  expected = jax.jit(whole.apply)(variables, x)
  actual = jax.jit(part.apply)(own, x)
  assert len(actual.features) == len(actual.preactivations) == count + 1
  # A WRN's last preactivation belongs to its head, which is the pupil's own.
  pairs = zip(
    actual.features + actual.preactivations[:count],
    expected.features[: count + 1] + expected.preactivations[:count],
    strict=True,
  )
  for ours, theirs in pairs:
    assert np.array_equal(ours, theirs)
  assert actual.logits.shape == (2, 5)
  assert actual.embedding.shape == expected.embedding.shape == (2, body.width)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_pupil_with_all_fragments_is_the_graduate(name):
  body = models.body(name)
  assert shapes(models.pupil(body, 3, 7, width=9, grid=2)) == shapes(models.graduate(body, 7))


def test_it_stays_so_however_many_others_are_asked_for():
  body = models.body("resnet8_half")
  pupil = models.pupil(body, 3, 10, "batch")
  for classes in range(11, 150):
    models.graduate(body, classes)
  assert pupil.clone(axis_name=None) == models.graduate(body, 10)


@pytest.mark.parametrize("size", [32, 28])
def test_a_teaching_reference_has_the_same_shape_at_any_image_size(size):
  network = models.pupil(models.body("resnet20"), 1, 33, grid=4)
  variables = shapes(network, (1, size, size, 3))
  output = jax.eval_shape(network.apply, variables, jnp.zeros((2, size, size, 3)))
  assert output.embedding.shape == (2, 1024)
  head = jax.tree.map(lambda leaf: leaf.shape, variables["params"]["head"])
  assert head["conv"]["kernel"] == (1, 1, 16, 64)
  assert head["dense"] == {"kernel": (1024, 33), "bias": (33,)}


@pytest.mark.parametrize(
  "name,relu",
  [("resnet8", True), ("resnet8", False), ("wrn_16_1", True), ("vit_tiny_patch4", True)],
)
def test_a_teaching_reference_equals_torch(name, relu):
  shape = (2, 13, 11, 3)
  network = models.pupil(models.body(name), 2, 5, width=6, grid=2, relu=relu)
  variables = randomised(network, shape)
  params, stats = (variables[key]["head"] for key in ("params", "batch_stats"))
  output = jax.jit(network.apply)(variables, images(shape))

  def normalised(x, name):
    mean, var, scale, bias = (
      torch.from_numpy(tree[name][key])
      for tree, key in ((stats, "mean"), (stats, "var"), (params, "scale"), (params, "bias"))
    )
    return F.batch_norm(x, mean, var, scale, bias)

  x = nchw(np.array(output.features[-1]))
  if name == "wrn_16_1":
    x = normalised(x, "bn_in")
    assert_close(output.preactivations[-1], nhwc(x))
    x = F.relu(x)
  kernel = torch.from_numpy(params["conv"]["kernel"].transpose(3, 2, 0, 1))
  x = normalised(F.conv2d(x, kernel), "bn")
  x = nhwc(F.adaptive_avg_pool2d(F.relu(x) if relu else x, 2)).reshape(2, -1)
  assert output.embedding.shape == (2, 2 * 2 * 6)
  assert_close(output.embedding, x)
  assert_close(output.logits, x @ params["dense"]["kernel"] + params["dense"]["bias"])


@pytest.mark.parametrize(
  "size,grid",
  [((8, 8), (4, 4)), ((7, 5), (3, 3)), ((28, 9), (4, 2)), ((3, 2), (4, 4)), ((6, 9), (1, 1))],
)
def test_average_grid_equals_torch(size, grid):
  x = images((2, *size, 3))
  expected = nhwc(F.adaptive_avg_pool2d(nchw(x), grid))
  assert_close(pooling.average_grid(x, grid), expected, 1e-6)


def test_largest_equals_torch():
  x, slopes = images((2, 5, 7, 3)), images((2, 3))
  theirs = nchw(x).requires_grad_()
  value = F.adaptive_max_pool2d(theirs, 1)[:, :, 0, 0]
  value.backward(torch.from_numpy(np.array(slopes)))
  ours, pull = jax.vjp(jax.jit(pooling.largest), x)
  assert_close(ours, value.detach(), 0)
  assert_close(pull(slopes)[0], nhwc(theirs.grad), 0)


def test_the_gradient_of_the_largest_is_finite_where_maps_are_computed_again():
  """That of `jnp.max` was not, of a network for light curves."""
  x, other = images((2, 8, 4, 16, 32))
  mean, factor, bias = images((3, 1, 1, 1, 32), seed=1)

  def loss(mean, factor, bias):
    maps = jax.nn.relu((x - mean) * factor + bias + other * factor)
    return (pooling.largest(maps) ** 2).sum() + maps.mean()

  for slope in jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(mean, factor, bias):
    assert np.isfinite(slope).all() and np.any(slope)


@pytest.mark.parametrize("name", FAMILIES)
def test_frozen_fragments_infer_and_keep_their_statistics(name):
  shape, network = (2, 16, 16, 3), models.graduate(models.body(name), 5)
  variables, x = randomised(network, shape), images(shape)
  inferred = jax.jit(network.apply)(variables, x)
  train = functools.partial(network.apply, train=True, frozen=2, mutable=["batch_stats"])
  output, updates = jax.jit(train)(variables, x)
  for ours, theirs in zip(output.features[:3], inferred.features[:3], strict=True):
    assert_close(ours, theirs, 1e-6)
  assert not np.allclose(output.features[3], inferred.features[3], rtol=0.01)
  before = flax.traverse_util.flatten_dict(variables["batch_stats"])
  after = flax.traverse_util.flatten_dict(updates["batch_stats"])
  assert set(before) == set(after)
  for path, value in before.items():
    assert np.array_equal(value, after[path]) == (path[0] in ("fragment_0", "fragment_1")), path


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


def test_macs_by_hand():
  layout = ("NHWC", "HWIO", "NHWC")
  conv = functools.partial(jax.lax.conv_general_dilated, dimension_numbers=layout)
  x, kernel = jnp.zeros((2, 9, 7, 6)), jnp.zeros((3, 3, 6, 5))
  strided = functools.partial(conv, window_strides=(2, 2), padding=((1, 1), (1, 1)))
  assert macs.count_macs(strided, x, kernel) == (2 * 5 * 4 * 5) * (3 * 3 * 6)
  grouped = functools.partial(conv, window_strides=(1, 1), padding="VALID", feature_group_count=3)
  assert macs.count_macs(grouped, x, jnp.zeros((3, 1, 2, 12))) == (2 * 7 * 7 * 12) * (3 * 1 * 2)
  dense = jnp.zeros((4, 6)), jnp.zeros((6, 5))
  assert macs.count_macs(jnp.dot, *dense) == 4 * 6 * 5
  assert macs.count_macs(jax.jit(lambda x, y: jax.nn.relu(jax.jit(jnp.dot)(x, y))), *dense) == 120
  assert macs.count_macs(lambda x, y: x + y, x, x) == 0
  batched = jnp.zeros((3, 4, 6)), jnp.zeros((3, 6, 5))
  assert macs.count_macs(jnp.matmul, *batched) == 3 * 4 * 6 * 5
  assert macs.count_macs(lambda x, y: jax.lax.map(lambda z: z @ y, x), batched[0], dense[1]) == 360
  ways = {"cpu": lambda x, y: (x @ y) + (x @ y), "default": jnp.matmul}
  assert macs.count_macs(lambda *xy: jax.lax.platform_dependent(*xy, **ways), *dense) == 120


def test_training_macs_by_hand():
  network = models.graduate(models.body("resnet8_half"), 100).clone(axis_name="device")
  lowest = (216 + 1152) * 32 * 32
  middle, highest, dense = 3584 * 16 * 16, 14336 * 8 * 8, 3200
  total = lowest + middle + highest + dense
  assert macs.training_macs(network, 0, (32, 32, 3)) == 3 * total
  assert macs.training_macs(network, 1, (32, 32, 3)) == 3 * total - 2 * lowest
  assert macs.training_macs(network, 3, (32, 32, 3)) == total + 2 * dense


@pytest.mark.parametrize(
  "name", ["resnet18", "vgg8", "mobilenetv2_half", "shufflenetv2", "vit_tiny_patch4", "curve"]
)
def test_pupils_of_all_families_have_the_graduates_lower_fragments(name):
  body, shape = models.body(name), (2, *ZOO[name].image)
  graduate = models.graduate(body, 7)
  whole = shapes(graduate, shape)
  given = jax.eval_shape(graduate.apply, whole, jnp.zeros(shape))
  for count in range(1, len(body.fragments)):
    pupil = models.pupil(body, count, 5, grid=2)
    part = shapes(pupil, shape)
    fragments = [f"fragment_{number}" for number in range(count)]
    assert set(part["params"]) == {*fragments, "head"}
    for collection in whole:
      for fragment in fragments:
        assert part[collection][fragment] == whole[collection][fragment]
    taken = jax.eval_shape(pupil.apply, part, jnp.zeros(shape))
    assert taken.features == given.features[: count + 1]
    assert taken.preactivations == given.preactivations[: count + 1]
    assert taken.logits.shape == (2, 5)
    assert taken.embedding.shape == (2, 4 * body.width)
