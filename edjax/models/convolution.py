"""A convolution that XLA trains quickly on CPUs: its numbers are the plain one's.

XLA lays a kernel gradient's operands out anew, images innermost. On CPUs it fuses into that copy
whatever elementwise made the layer's input: in a residual network every sum since the first stage,
computed again for each convolution and read across memory. A matrix product is never fused, so
there the gradient's input goes through one with the identity, which leaves every finite number as
it is; `lax.optimization_barrier` is removed before fusion and does not help (jax 0.10.2). Branches
and loops, which also end a fusion, run convolutions ten times slower (jax issue 12868).
"""

import functools

import jax
import jax.numpy as jnp


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
    made = jax.lax.platform_dependent(inputs, cpu=_made, default=lambda x: x)
    to_kernel = jax.linear_transpose(lambda k: plain(made, k), kernel)
    return *to_inputs(gradient), *to_kernel(gradient)

  run.defvjp(forward, backward)
  return run(inputs, kernel)


def _made(x):
  """`x` [..., channels], as it stands in memory."""
  identity = jax.lax.optimization_barrier(jnp.eye(x.shape[-1], dtype=x.dtype))
  return jax.lax.dot_general(
    x, identity, (((x.ndim - 1,), (0,)), ((), ())), precision=jax.lax.Precision.HIGHEST
  )
