"""A convolution that XLA trains quickly on CPUs: its numbers are the plain one's.

XLA lays a kernel gradient's operands out anew, images innermost, and on CPUs computes in that copy
whatever elementwise made the layer's input, reading across memory. So the gradient is taken from
what is stored, see `fusion`.

Channels in groups are worse there (jax issue 13800): a depthwise convolution takes 20 to 100 times
as long as its sum over the places of the kernel, its gradients 20 to 70 times (layers of
MobileNetV2, batch 64, jax 0.10.2); those of three groups 6 times as long as group by group.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from edjax.models.cpu.fusion import stored
from edjax.models.cpu.normalisation import channel_sums
from edjax.types import Map

Kernel = Float[Array, "rows columns _ filters"]  # third: the channels of a group


def convolve(
  inputs: Map,
  kernel: Kernel,
  window_strides: Sequence[int],
  padding: Sequence[tuple[int, int]] | str,
  *,
  feature_group_count: int = 1,
  **options: Any,
) -> Map:
  """`jax.lax.conv_general_dilated` of NHWC and HWIO, for `nn.Conv(conv_general_dilated=…)`.

  It can be differentiated backwards as often as one likes, but not forwards.

  Args:
    inputs: [batch, height, width, channels].
    kernel: [rows, columns, channels / groups, filters].
    window_strides: (down, right).
    padding: ((above, below), (left, right)), or "SAME", as much as TensorFlow pads.
    feature_group_count: groups.
    **options: as in `jax.lax`.

  Returns:
    [batch, height', width', filters].
  """
  if isinstance(padding, str):
    sides = inputs.shape[1:3], kernel.shape[:2]
    padding = jax.lax.padtype_to_pads(*sides, window_strides, padding)
  plain = functools.partial(
    jax.lax.conv_general_dilated, window_strides=window_strides, padding=padding, **options
  )
  if feature_group_count == 1:
    return _dense(plain)(inputs, kernel)
  dilations = [options.get(name) or () for name in ("lhs_dilation", "rhs_dilation")]
  undilated = all(gap == 1 for gaps in dilations for gap in gaps)
  if undilated and feature_group_count == inputs.shape[-1] == kernel.shape[-1]:
    quick = _depthwise(window_strides, padding)
  else:
    quick = functools.partial(_by_group, plain=_dense(plain), groups=feature_group_count)
  plain = functools.partial(plain, feature_group_count=feature_group_count)
  either = jax.lax.platform_dependent
  return _differentiated(
    functools.partial(either, cpu=quick, default=plain),
    functools.partial(either, cpu=_pulled(quick), default=_pulled(plain)),
  )(inputs, kernel)


def _differentiated(
  value: Callable[..., Map], gradients: Callable[..., tuple[Map, Kernel]]
) -> Callable[..., Map]:
  """`value(inputs, kernel)` with a rule of its own: `gradients(inputs, kernel, gradient)`."""
  run = jax.custom_vjp(value)
  run.defvjp(
    lambda *saved: (value(*saved), saved), lambda saved, gradient: gradients(*saved, gradient)
  )
  return run


def _pulled(value: Callable[..., Map]) -> Callable[..., tuple[Map, Kernel]]:
  """The gradients of `value(inputs, kernel)`; what computes the value again is never run."""
  return lambda inputs, kernel, gradient: jax.vjp(value, inputs, kernel)[1](gradient)


def _dense(plain: Callable[..., Map]) -> Callable[..., Map]:
  """Of channels in one group."""

  def gradients(inputs: Map, kernel: Kernel, gradient: Map) -> tuple[Map, Kernel]:
    to_inputs = jax.linear_transpose(lambda x: plain(x, kernel), inputs)
    kept = stored(inputs)
    to_kernel = jax.linear_transpose(lambda k: plain(kept, k), kernel)
    return *to_inputs(gradient), *to_kernel(gradient)

  return _differentiated(plain, gradients)


def _by_group(inputs: Map, kernel: Kernel, plain: Callable[..., Map], groups: int) -> Map:
  """One convolution per group."""
  parts = zip(jnp.split(inputs, groups, -1), jnp.split(kernel, groups, -1), strict=True)
  return jnp.concatenate([plain(*part) for part in parts], -1)


def _depthwise(strides: Sequence[int], padding: Sequence[tuple[int, int]]) -> Callable[..., Map]:
  """The sum, over the places of a kernel, of what each sees of the inputs times its weights."""
  outer = [(low, high, 0) for low, high in padding]

  def value(inputs: Map, kernel: Kernel) -> Map:
    return _weighted(_padded(inputs, outer), kernel, strides).astype(inputs.dtype)

  def gradients(inputs: Map, kernel: Kernel, gradient: Map) -> tuple[Map, Kernel]:
    to_kernel = _depthwise_to_kernel(_padded(inputs, outer), gradient, kernel.shape[:2], strides)
    # The same sum over the mirrored kernel, of the gradient with zeros where strides step over.
    around = [
      (side - 1 - low, size + low - (length - 1) * stride - 1, stride - 1)
      for side, (low, _), size, length, stride in zip(
        kernel.shape[:2], padding, inputs.shape[1:3], gradient.shape[1:3], strides, strict=True
      )
    ]
    to_inputs = _weighted(_padded(gradient, around), kernel[::-1, ::-1], (1, 1))
    return to_inputs.astype(inputs.dtype), to_kernel.reshape(kernel.shape).astype(kernel.dtype)

  return _differentiated(value, gradients)


def _depthwise_to_kernel(
  padded: Map, gradient: Map, size: Sequence[int], strides: Sequence[int]
) -> Float[Array, " weights"]:
  """Image by image, since XLA sums over images and places at once ten times as slowly."""

  def add(totals: list[Map], pair: tuple[Array, Array]) -> tuple[list[Map], None]:
    image, slope = (part[None] for part in pair)
    seen = _seen(image, size, strides)
    return [total + part * slope for total, part in zip(totals, seen, strict=True)], None

  nothing = [jnp.zeros((1, *gradient.shape[1:]), padded.dtype)] * size[0] * size[1]
  totals, _ = jax.lax.scan(add, nothing, (padded, gradient))
  return channel_sums(jnp.concatenate(totals, -1))


def _padded(x: Map, edges: Sequence[tuple[int, int, int]]) -> Map:
  """Maps as sums are computed: float32 or wider; `edges` [(before, after, between)] of places."""
  wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  return jax.lax.pad(wide, jnp.zeros((), wide.dtype), [(0, 0, 0), *edges, (0, 0, 0)])


def _weighted(padded: Map, kernel: Kernel, strides: Sequence[int]) -> Map:
  weights = kernel.reshape(-1, 1, 1, 1, kernel.shape[-1])
  seen = _seen(padded, kernel.shape[:2], strides)
  return sum(part * row for part, row in zip(seen, weights, strict=True))


def _seen(padded: Map, size: Sequence[int], strides: Sequence[int]) -> Iterator[Map]:
  """Yields what each place of a kernel sees, row by row: [batch, height', width', channels]."""
  height, width = (
    (length - side) // stride * stride + 1
    for length, side, stride in zip(padded.shape[1:3], size, strides, strict=True)
  )
  for row in range(size[0]):
    for column in range(size[1]):
      yield padded[:, row : row + height : strides[0], column : column + width : strides[1]]
