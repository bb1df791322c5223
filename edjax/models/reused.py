"""A student that ends in its teacher's own classifier (SimKD, Chen et al. 2022, arXiv:2203.14001).

The student's last map goes through a projector to as many channels as the teacher's, is pooled, and
meets the last matrix of the teacher, which is never trained. The projector stays in the graduate.
"""

import dataclasses
import functools

import flax.linen as nn

from edjax.models.layers import Answer, Body, Norm, conv, dense, rectified
from edjax.types import Map

REDUCTION = 2  # how many times narrower the projector is inside


class ReusedClassifier(nn.Module):
  """Convolutions 1×1 and 3×3 to `width` / 2 channels and 1×1 to `width`, normalised and rectified.

  Attributes:
    num_classes: columns of the logits.
    width: channels of the teacher's last map.
    preactivated: first normalise and rectify, as pre-activation networks need.
  """

  num_classes: int
  width: int
  preactivated: bool = False

  @nn.compact
  def __call__(self, x: Map, norm: Norm) -> Answer:
    """Returns (embedding, logits, …, the last of which is the projected map)."""
    x, preactivations = rectified(x, norm, self.preactivated)
    inner = self.width // REDUCTION
    for number, (channels, size) in enumerate(((inner, 1), (inner, 3), (self.width, 1)), start=1):
      x = norm(name=f"bn{number}")(conv(channels, size, name=f"conv{number}")(x))
      x = nn.relu(x)
    embedding = x.mean(axis=(1, 2))
    return embedding, dense(embedding, self.num_classes), (*preactivations, x)


def reusing(body: Body, width: int) -> Body:
  """Returns the `Body` of a student that ends in a teacher's classifier of that width."""
  head = functools.partial(ReusedClassifier, width=width, preactivated=body.preactivated)
  return dataclasses.replace(body, head=head, reuses=True)
