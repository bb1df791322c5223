"""Linear maps that make the embeddings of student and teacher comparable; both learn."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32

from edjax.methods.base import applied, constant, exact
from edjax.models.layers import Output, dense
from edjax.types import RandomKey, Variables


class Embedding(nn.Module):
  """[batch, any width] to [batch, width], one matrix and a bias."""

  width: int

  @nn.compact
  def __call__(self, x: Float32[Array, "batch _"]) -> Float32[Array, "batch {self.width}"]:
    return dense(x, self.width)


def new(key: RandomKey, width: int, student_output: Output, teacher_output: Output) -> Variables:
  """Returns the parameters {"student": …, "teacher": …} of two embeddings."""
  outputs = {"student": student_output, "teacher": teacher_output}
  return {
    name: Embedding(width).init(own, jnp.zeros((1, output.embedding.shape[1])))["params"]
    for own, (name, output) in zip(jax.random.split(key), outputs.items(), strict=True)
  }


def embed(
  params: Variables, width: int, student_output: Output, teacher_output: Output
) -> tuple[Float32[Array, "batch {width}"], Float32[Array, "batch {width}"]]:
  """Returns the student's and the teacher's, float32 [batch, width]; its network is a constant."""
  student, teacher = exact(student_output.embedding), constant(teacher_output.embedding)
  module = Embedding(width)
  return applied(module, params["student"], student), applied(module, params["teacher"], teacher)
