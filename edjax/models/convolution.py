"""A convolution that XLA trains quickly on CPUs: its numbers are the plain one's.

XLA lays a kernel gradient's operands out anew, images innermost, and on CPUs computes in that copy
whatever elementwise made the layer's input, reading across memory. So the gradient is taken from
what is stored, see `fusion`.
"""

import functools

import jax

from edjax.models.fusion import stored


def convolve(inputs, kernel, window_strides, padding, *, feature_group_count=1, **options):
  """`jax.lax.conv_general_dilated` of NHWC and HWIO, for `nn.Conv(conv_general_dilated=…)`.

  Grouped convolutions are left to JAX. Others can be differentiated backwards as often as one
  likes, but not forwards.

  Args:
    inputs: [batch, height, width, channels].
    kernel: [rows, columns, channels, filters].
    window_strides, padding, feature_group_count, **options: as in `jax.lax`.

  Returns:
    [batch, height', width', filters].
  """
  plain = functools.partial(
    jax.lax.conv_general_dilated, window_strides=window_strides, padding=padding, **options
  )
  if feature_group_count > 1:
    return plain(inputs, kernel, feature_group_count=feature_group_count)

  @jax.custom_vjp
  def run(inputs, kernel):
    return plain(inputs, kernel)

  def forward(inputs, kernel):
    return plain(inputs, kernel), (inputs, kernel)

  def backward(saved, gradient):
    inputs, kernel = saved
    to_inputs = jax.linear_transpose(lambda x: plain(x, kernel), inputs)
    kept = stored(inputs)
    to_kernel = jax.linear_transpose(lambda k: plain(kept, k), kernel)
    return *to_inputs(gradient), *to_kernel(gradient)

  run.defvjp(forward, backward)
  return run(inputs, kernel)
