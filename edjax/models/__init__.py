"""The networks a config can name: a new one is a row of `MODELS`, a new family a file."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from edjax import own
from edjax.errors import UserError, choose
from edjax.models.curve import curve
from edjax.models.cut import Blocks
from edjax.models.efficientnet import efficientnet, efficientnet_lite
from edjax.models.imagenet_resnet import imagenet_resnet
from edjax.models.layers import Body, Network, Output, TeachingReference, parameters, shapes
from edjax.models.mobilenet import mobilenet
from edjax.models.mobilenetv2 import mobilenetv2, mobilenetv2_half
from edjax.models.resnet import resnet
from edjax.models.reused import reusing
from edjax.models.shufflenet import shufflenetv1, shufflenetv2
from edjax.models.vgg import vgg
from edjax.models.vit import vit
from edjax.models.wrn import wrn
from edjax.types import RandomKey, Variables

__all__ = [
  "MODELS", "Blocks", "Body", "Network", "Output", "begin", "blocks", "body", "fragments",
  "graduate", "parameters", "pupil", "shallow", "shapes",
]  # fmt: skip

MODELS = {
  "resnet8": resnet(8),
  "resnet14": resnet(14),
  "resnet20": resnet(20),
  "resnet32": resnet(32),
  "resnet44": resnet(44),
  "resnet56": resnet(56),
  "resnet110": resnet(110),
  "resnet8x4": resnet(8, (32, 64, 128, 256)),
  "resnet32x4": resnet(32, (32, 64, 128, 256)),
  "resnet8_half": resnet(8, (8, 8, 16, 32)),  # edjax's own: the small student of its quick runs
  "resnet20_option_a": resnet(20, option_a=True),
  "resnet32_option_a": resnet(32, option_a=True),
  "resnet44_option_a": resnet(44, option_a=True),
  "resnet56_option_a": resnet(56, option_a=True),
  "resnet110_option_a": resnet(110, option_a=True),
  "wrn_16_1": wrn(16, 1),
  "wrn_16_2": wrn(16, 2),
  "wrn_40_1": wrn(40, 1),
  "wrn_40_2": wrn(40, 2),
  "resnet18": imagenet_resnet(18),
  "resnet34": imagenet_resnet(34),
  "resnet50": imagenet_resnet(50),
  "resnet101": imagenet_resnet(101),
  "resnet152": imagenet_resnet(152),
  "resnet18_cifar": imagenet_resnet(18, small_images=True),
  "resnet34_cifar": imagenet_resnet(34, small_images=True),
  "resnet50_cifar": imagenet_resnet(50, small_images=True),
  "resnet101_cifar": imagenet_resnet(101, small_images=True),
  "resnet152_cifar": imagenet_resnet(152, small_images=True),
  "vgg8": vgg((1, 1, 1, 1, 1)),
  "vgg11": vgg((1, 1, 2, 2, 2)),
  "vgg13": vgg((2, 2, 2, 2, 2)),
  "vgg16": vgg((2, 2, 3, 3, 3)),
  "vgg19": vgg((2, 2, 4, 4, 4)),
  "mobilenetv1": mobilenet(),
  "mobilenetv2_half": mobilenetv2_half(),
  "mobilenetv2": mobilenetv2(),
  "shufflenetv1": shufflenetv1(3, (240, 480, 960)),
  "shufflenetv2": shufflenetv2((116, 232, 464)),
  "shufflenetv2_imagenet": shufflenetv2((116, 232, 464), stem=3),
  "efficientnet_b0": efficientnet(),
  "efficientnet_lite0": efficientnet_lite(),
  "deit_tiny": vit(192, 3, 16),
  "deit_small": vit(384, 6, 16),
  "vit_tiny_patch4": vit(192, 3, 4),
  "curve_small": curve((8, 8, 16, 32)),
  "curve": curve((16, 16, 32, 64), blocks=2),
}


def body(name: str) -> Body:
  """Returns the `Body` of that name: a row of `MODELS`, or one's own, as "package.module:name".

  With "+simkd256" behind it, it ends in the classifier of a teacher whose embedding is 256 wide.

  Raises:
    UserError: naming the choices, or why the user's own cannot be had.
  """
  name, reused, width = name.partition("+simkd")
  found = _imported(name) if ":" in name else choose(MODELS, name, "model")
  if not reused:
    return found
  if not width.isdigit() or int(width) < 2:
    raise UserError(
      f"model {name!r}: +simkd{width} should end in the width of a teacher's embedding, as +simkd64"
    )
  return reusing(found, int(width))


def _imported(name: str) -> Body:
  found = own.find(name, "model")
  if not isinstance(found, Body):
    raise UserError(f"model {name!r} is a {type(found).__name__}, not an edjax.models.Body")
  return found


def blocks(name: str, cut: str) -> Blocks | None:
  """Returns what cuts the network of that name by `cut`, one of `cut.CUTS`: None for "stages".

  Raises:
    UserError: as `body`, or if it cannot be cut by depth.
  """
  if cut == "stages":
    return None
  found = body(name).blocks
  if found is None:
    raise UserError(
      f"{name} cannot be cut by depth: it has no residual blocks that could be inserted without a "
      "change of its answers, or does not say so (Body.blocks); set student.cut to 'stages'"
    )
  return found


def fragments(name: str, cut: str = "stages") -> int:
  """Returns how many fragments the network of that name is cut in; raises as `blocks`."""
  deep = blocks(name, cut)
  return max(deep.counts) if deep else len(body(name).fragments)


# Called alike these three return the same network, so that what is compiled or read off it can be
# kept; but for the axis, a pupil that has all is the graduate. None is forgotten: a graduate that
# is made anew does not equal the one that a pupil was made of.
@functools.cache
def graduate(body: Body, num_classes: int) -> Network:
  """Returns the whole `Network`: every fragment and the network's own classifier."""
  head = functools.partial(body.head, num_classes=num_classes)
  return Network(body.fragments, head, epsilon=body.epsilon)


@functools.cache
def pupil(
  body: Body,
  fragments: int,
  num_classes: int,
  axis_name: str | None = None,
  width: int = 0,
  grid: int = 1,
  relu: bool = True,
) -> Network:
  """Returns the network of a grade: its lowest `fragments` under a head for `num_classes` classes.

  With all fragments the head is the network's own; with fewer it is a teaching reference of `width`
  channels (0: as wide as the graduate's embedding), pooled to `grid`×`grid`, with or without
  `relu`.

  Raises:
    UserError: if the body does not have so many fragments.
  """
  if not 1 <= fragments <= len(body.fragments):
    raise UserError(
      f"there is no network of {fragments} fragments; this one has 1 to {len(body.fragments)}"
    )
  if fragments == len(body.fragments):
    return graduate(body, num_classes).clone(axis_name=axis_name)
  reference = functools.partial(
    TeachingReference,
    num_classes=num_classes,
    width=width or body.width,
    grid=grid,
    relu=relu,
    preactivated=body.preactivated,
  )
  return Network(body.fragments[:fragments], reference, axis_name, epsilon=body.epsilon)


@functools.cache
def shallow(body: Body, fragments: int, num_classes: int, axis_name: str | None = None) -> Network:
  """Returns the network of a grade that is cut by depth: all stages with their first blocks.

  Its head is the network's own, and with all fragments it is the `graduate`.

  Args:
    body: that has `blocks`.
    fragments: how many blocks a stage has at most.
    num_classes: columns of the logits.
    axis_name: see `Network`.
  """
  whole = graduate(body, num_classes).clone(axis_name=axis_name)
  deep = body.blocks
  if deep is None or fragments >= max(deep.counts):
    return whole
  return whole.clone(fragments=deep.shallow(fragments))


def begin(network: Network, key: RandomKey, image_shape: Sequence[int]) -> Variables:
  """Returns the variables that a network begins with, for images of (height, width, channels)."""
  # Initialising runs once: compiling it without optimisation is several times quicker.
  init = jax.jit(network.init, compiler_options={"xla_backend_optimization_level": 0})
  return init(key, jnp.zeros((1, *image_shape), jnp.float32))
