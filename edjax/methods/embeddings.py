"""Linear maps that make the embeddings of student and teacher comparable; both learn."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from edjax.methods.base import constant, exact
from edjax.models.layers import dense


class Embedding(nn.Module):
  """[batch, any width] to [batch, width], one matrix and a bias."""

  width: int

  @nn.compact
  def __call__(self, x):
    return dense(x, self.width)


def new(key, width, student_output, teacher_output):
  """Returns the parameters {"student": …, "teacher": …} of two embeddings."""
  outputs = {"student": student_output, "teacher": teacher_output}
  return {
    name: Embedding(width).init(own, jnp.zeros((1, output.embedding.shape[1])))["params"]
    for own, (name, output) in zip(jax.random.split(key), outputs.items(), strict=True)
  }


def embed(params, width, student_output, teacher_output):
  """Returns the student's and the teacher's, float32 [batch, width]; its network is a constant."""
  values = {
    "student": exact(student_output.embedding),
    "teacher": constant(teacher_output.embedding),
  }
  return tuple(Embedding(width).apply({"params": params[name]}, x) for name, x in values.items())
