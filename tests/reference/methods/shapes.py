"""Layers over parameters in the layouts of Flax, and maps [batch, channels, height, width]."""

import torch
import torch.nn.functional as F


def dense(x, params):
  """x [batch, width] times kernel [width, out], and a bias where there is one."""
  y = x @ params["kernel"]
  return y + params["bias"] if "bias" in params else y


def conv(x, params, stride=1, padding=0):
  """Convolution with a kernel [height, width, in, out]."""
  kernel = params["kernel"].permute(3, 2, 0, 1)
  return F.conv2d(x, kernel, params.get("bias"), stride, padding)


def batch_norm(x, params, eps=1e-5):
  """Normalised by the statistics of this batch; [batch, channels, …]."""
  return F.batch_norm(x, None, None, params["scale"], params["bias"], training=True, eps=eps)


def pooled(x, size):
  """Average pooling to (height, width)."""
  return F.adaptive_avg_pool2d(x, size)


def same_size(ours, theirs):
  """Both maps averaged to the smaller height and the smaller width; theirs a constant."""
  size = [min(ours.shape[axis], theirs.shape[axis]) for axis in (2, 3)]
  return pooled(ours, size), pooled(theirs.detach(), size)


def paired(ours, theirs, pairs=""):
  """[(student's map, teacher's map), …] as `pairs` says, else of all stages but the stem."""
  if not pairs:
    return list(zip(ours[1:], theirs[1:], strict=True))
  return [(ours[int(pair[0])], theirs[int(pair[2])]) for pair in pairs.split(",")]


def length(x, dim=-1):
  """The Euclidean length, with no gradient where it is zero."""
  square = x.square().sum(dim)
  some = square > 0
  return torch.where(some, torch.where(some, square, 1).sqrt(), 0)


def normalised(x, dim=-1):
  """Of length 1, by the plain formula; what has no length stays zero, without a gradient."""
  own = length(x, dim).unsqueeze(dim)
  return torch.where(own > 0, x / torch.where(own > 0, own, 1), 0)


def regressor(x, params, size, relu=True):
  """The convolution that takes a map to `size`, normalised by the batch; see the literature's
  hint: 3×3 with stride 2 from twice the size, transposed 4×4 to twice the size, else unpadded.
  """
  here, size = tuple(x.shape[2:]), tuple(size)
  kernel = params["conv"]["kernel"]
  if size == (2 * here[0], 2 * here[1]):
    # Flax's kernel acts on the spread-out input as it stands, PyTorch's turned round.
    turned = kernel.flip(0, 1).permute(2, 3, 0, 1)
    y = F.conv_transpose2d(x, turned, stride=2, padding=1)
  else:
    if here[0] < size[0] or here[1] < size[1]:
      x = F.interpolate(x, size, mode="nearest-exact")
    double = tuple(x.shape[2:]) == (2 * size[0], 2 * size[1])
    y = conv(x, params["conv"], 2, 1) if double else conv(x, params["conv"])
  y = batch_norm(y, params["norm"])
  return F.relu(y) if relu else y
