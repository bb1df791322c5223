"""How several teachers who answer the same image share it: pure functions over teachers.

Every function returns weights [teachers, batch] that are to be normalised over the teachers who
answer an image. So the published losses, which divide by their number once more, are those here
times a constant that a method's weight can hold: for M teachers EBKD is (M − 1)/M and CA-MKD 1/M of
it; AVER and AEKD are the same.
"""

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float32

from edjax.errors import UserError

MOST = 6  # teachers of one image that "gradient" can weigh: it tries 3^teachers sets of bounds
CAP = 0.6  # AEKD's C: no teacher has a larger share
Shares = Float32[jax.Array, "teachers batch"]
_NOBODY = -1e9  # an error beside which exp is exactly 0; infinity has no gradient


def by_entropy(entropies: Shares, present: Shares) -> Shares:
  """EBKD (Kwon et al. 2020, "Adaptive knowledge distillation based on entropy"): 1 − H_m/Σ_k H_k.

  Args:
    entropies: float32 [teachers, batch], of their answers at temperature 1, in nats.
    present: float32 [teachers, batch], 1 where a teacher answers.
  """
  total = jnp.sum(entropies * present, axis=0)
  certain = total <= 0  # nobody has a doubt, and all count alike
  weights = 1 - entropies / jnp.where(certain, 1, total)[None]
  return jnp.where((certain | _alone(present))[None], 1, weights)


def by_confidence(errors: Shares, present: Shares) -> Shares:
  """CA-MKD (Zhang et al. 2022, arXiv:2201.00007, equation 5): 1 − softmax_m(CE_m).

  Args:
    errors: float32 [teachers, batch], the teachers' cross-entropies with the labels.
    present: float32 [teachers, batch], 1 where a teacher answers.
  """
  errors = jnp.where(present > 0, errors, _NOBODY)
  return jnp.where(_alone(present)[None], 1, 1 - jax.nn.softmax(errors, axis=0))


def by_gradient(
  gradients: Float32[jax.Array, "teachers n"],
) -> Float32[jax.Array, " teachers"]:
  """AEKD (Du et al. 2020, "Agree to disagree"): the smallest mean of the teachers' gradients.

  The quadratic programme min ‖Σ_m w_m g_m‖² with Σ w = 1 and 0 ≤ w ≤ C is solved exactly: of every
  set of weights that could be at a bound, the others follow from a linear system; the best that is
  feasible is the solution. Where it is not unique the weights are as equal as they can be.

  Args:
    gradients: float32 [teachers, n], of each teacher's mean loss with respect to the student's
      logits, averaged over the batch.

  Returns:
    float32 [teachers].

  Raises:
    UserError: for more than `MOST` teachers.
  """
  count = len(gradients)
  if count > MOST:
    raise UserError(
      f"recipe.consensus 'gradient' weighs at most {MOST} teachers, but a grade has {count}"
    )
  cap = max(CAP, 1 / count)
  gram = jnp.matmul(gradients, gradients.T, precision="highest")
  gram = gram / jnp.maximum(jnp.trace(gram), 1e-30) + 1e-4 * jnp.eye(count)
  states = jnp.asarray(list(itertools.product((0.0, cap, -1.0), repeat=count)), jnp.float32)
  free = (states < 0).astype(jnp.float32)  # the others are at a bound
  bound = jnp.where(free > 0, 0, states)

  def solve(free: jax.Array, bound: jax.Array) -> jax.Array:
    # Rows of the free: gram·w + λ = 0; of the bound: w = bound; the last: Σ w = 1.
    rows = free[:, None] * gram + jnp.diag(1 - free)
    matrix = jnp.block([[rows, free[:, None]], [jnp.ones((1, count)), jnp.zeros((1, 1))]])
    # With nobody free the last row cannot be met by solving: it is checked below.
    matrix = matrix.at[-1, -1].set(jnp.where(free.sum() > 0, 0, 1))
    solution = jnp.linalg.solve(matrix, jnp.append(bound, 1.0))[:count]
    return jnp.where(free > 0, solution, bound)

  weights = jax.vmap(solve)(free, bound)
  slack = 1e-5
  feasible = (weights > -slack).all(1) & (weights < cap + slack).all(1)
  feasible &= jnp.abs(weights.sum(1) - 1) < slack
  cost = jnp.einsum("sm,mn,sn->s", weights, gram, weights, precision="highest")
  best = weights[jnp.argmin(jnp.where(feasible, cost, jnp.inf))]
  return jnp.clip(best, 0, cap)


def _alone(present: Shares) -> Bool[jax.Array, " batch"]:
  return jnp.sum(present, axis=0) < 1.5
