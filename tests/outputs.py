"""What networks might say: outputs for the tests of methods, usual and adversarial."""

import numpy as np
import torch

from edjax import models
from tests.reference.resnet import Output

CLASSES = 5
SIZES = ((8, 8), (8, 8), (4, 4), (2, 2))
WIDTHS = {"student": (4, 4, 6, 8), "teacher": (5, 5, 7, 9)}


def network(draw, count, sizes, widths, scale=1.0):
  """A `models.Output` of random numbers; features are the rectified preactivations."""

  def normal(*shape):
    return draw.normal(size=shape).astype(np.float32)

  raw = tuple(normal(count, *s, w) for s, w in zip(sizes, widths, strict=True))
  return models.Output(
    scale * normal(count, CLASSES),
    tuple(np.maximum(x, 0) for x in raw),
    raw,
    normal(count, widths[-1]),
  )


def pair(seed=0, count=8, ours=SIZES, theirs=SIZES, widths=WIDTHS):
  draw = np.random.default_rng(seed)
  return (
    network(draw, count, ours, widths["student"], 2.0),
    network(draw, count, theirs, widths["teacher"], 3.0),
  )


def cases():
  """{name: (student's output, teacher's output)}, NHWC in NumPy."""
  student, teacher = pair()
  same = {"student": WIDTHS["teacher"], "teacher": WIDTHS["teacher"]}
  twins = pair(1, widths=same)
  signs = np.where(np.random.default_rng(2).normal(size=(8, CLASSES)) > 0, 1e4, -1e4)
  flat = [
    output.replace(
      features=tuple(np.full_like(x, 0.5) for x in output.features),
      preactivations=tuple(np.full_like(x, 0.5) for x in output.preactivations),
      embedding=np.full_like(output.embedding, 0.5),
    )
    for output in (student, teacher)
  ]
  return {
    "random": (student, teacher),
    "alike": twins,
    "identical": (twins[1], twins[1]),
    "huge logits": (
      student.replace(logits=signs.astype(np.float32)),
      teacher.replace(logits=signs[::-1].astype(np.float32)),
    ),
    "constant maps": tuple(flat),
    "batch of two": pair(3, count=2),
    "larger student": pair(4, ours=((16, 16), (16, 16), (8, 8), (4, 4))),
    "larger teacher": pair(5, theirs=((16, 16), (16, 16), (8, 8), (4, 4))),
    "odd sizes": pair(6, ours=((9, 7), (9, 7), (5, 4), (3, 2))),
  }


def in_torch(output):
  """The same for the oracles: float64, channels first, leaves that collect gradients."""

  def leaf(x):
    x = np.moveaxis(x, -1, 1) if x.ndim == 4 else x
    return torch.tensor(np.ascontiguousarray(x), dtype=torch.float64, requires_grad=True)

  return Output(
    leaf(output.logits),
    [leaf(x) for x in output.features],
    [leaf(x) for x in output.preactivations],
    leaf(output.embedding),
  )


def gradients(output):
  """Those that an oracle left in `in_torch`'s leaves, as a `models.Output` of NHWC arrays."""

  def read(leaf):
    gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    return np.moveaxis(gradient.numpy(), 1, -1) if gradient.ndim == 4 else gradient.numpy()

  return models.Output(
    read(output.logits),
    tuple(map(read, output.features)),
    tuple(map(read, output.preactivations)),
    read(output.embedding),
  )
