"""What moves the parameters of a grade: the schedule of its learning rate and the optimiser.

The parameters that learn are {"student": …, "methods": …}. An optimiser gets their gradients, or,
where it wants them `apart`, {"hard": those of hard labels, "teachers": those of what teachers say}.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from edjax.curriculum import Grade, Recipe

Parts = dict[str, Any]  # of "student" and "methods"


def learning_rate(
  grade: Grade, recipe: Recipe, steps_per_epoch: int, span: tuple[float, float] = (0.0, 1.0)
) -> optax.Schedule:
  """Returns the schedule of a grade: step within the grade -> learning rate.

  Args:
    grade: whose `learning_rate` is the peak, of the whole school's cycle too.
    recipe: says which schedule.
    steps_per_epoch: of the grade.
    span: between which shares of the school's compute the grade lies, for "cycle".
  """
  warmup = round(grade.warmup_epochs * steps_per_epoch)
  total = steps(grade, steps_per_epoch)
  if recipe.schedule == "cycle":
    return _cycle(grade.learning_rate, recipe.rise, span, total)
  if recipe.schedule == "cosine":
    after = optax.cosine_decay_schedule(
      grade.learning_rate, max(1, total - warmup), alpha=grade.final_rate
    )
  else:
    past = sum(milestone <= grade.start_epoch for milestone in recipe.milestones)
    drops = {
      round((milestone - grade.start_epoch) * steps_per_epoch) - warmup: recipe.factor
      for milestone in recipe.milestones
      if milestone > grade.start_epoch
    }
    after = optax.piecewise_constant_schedule(grade.learning_rate * recipe.factor**past, drops)
  if not warmup:
    return after
  rise = optax.linear_schedule(0.0, after(0), warmup)
  return optax.join_schedules([rise, after], [warmup])


def steps(grade: Grade, steps_per_epoch: int) -> int:
  """How many steps a grade has, one at least."""
  return max(1, round(grade.epochs * steps_per_epoch))


def _cycle(peak: float, rise: float, span: tuple[float, float], total: int) -> optax.Schedule:
  """Up in a straight line and down by a cosine, as far as `total` steps go through it.

  As the field's one cycle (Smith and Topin 2018, arXiv:1708.07120), but over compute.
  """
  start, end = span

  def rate(step: Any) -> Any:
    done = start + (end - start) * step / total
    up = done / rise if rise else 1.0
    down = 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip((done - rise) / (1 - rise), 0, 1)))
    return peak * jnp.where(done < rise, up, down)

  return rate


def apart(recipe: Recipe) -> bool:
  """Says whether the recipe's optimiser wants the gradients of labels and of teachers apart."""
  return recipe.optimiser == "dot"


def optimiser(recipe: Recipe, schedule: optax.Schedule) -> optax.GradientTransformation:
  """Returns the recipe's optimiser; weight decay is on every parameter, as in the field's recipes.

  "sgd" decays with the gradient; "adamw" apart from it, times the learning rate; "dot" is SGD with
  two momenta (Zhao et al. 2023, arXiv:2307.08436). All clip first where `clip` is not 0.
  """
  clip = (optax.clip_by_global_norm(recipe.clip),) if recipe.clip else ()
  decay = optax.add_decayed_weights(recipe.weight_decay)
  rule: tuple[optax.GradientTransformation, ...]
  if recipe.optimiser == "adamw":
    rule = optax.scale_by_adam(b1=recipe.momentum), decay
  elif recipe.optimiser == "dot":
    rule = (_two_momenta(recipe),)
  else:
    rule = decay, optax.trace(recipe.momentum, recipe.nesterov)
  return optax.chain(*clip, *rule, optax.scale_by_learning_rate(schedule))


def _two_momenta(recipe: Recipe) -> optax.GradientTransformation:
  """The labels' gradient moves the student with little momentum, the teachers' with much.

  `momentum` − `dot_delta` is for that of the labels, to which the weight decay belongs, and
  `momentum` + `dot_delta` for that of the teachers. What methods learn moves by the sum of both,
  with `momentum`.
  """

  def trace(gradients: Parts, momenta: Parts, delta: float) -> Parts:
    rates = {"student": recipe.momentum + delta, "methods": recipe.momentum}
    return {
      part: jax.tree.map(
        lambda g, m, rate=rates[part]: g + rate * m, gradients[part], momenta[part]
      )
      for part in gradients
    }

  def init(params: Any) -> dict[str, Parts]:
    return {kind: jax.tree.map(lambda leaf: 0 * leaf, params) for kind in ("hard", "teachers")}

  def update(gradients: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
    hard = jax.tree.map(lambda g, p: g + recipe.weight_decay * p, gradients["hard"], params)
    state = {
      "hard": trace(hard, state["hard"], -recipe.dot_delta),
      "teachers": trace(gradients["teachers"], state["teachers"], recipe.dot_delta),
    }
    return jax.tree.map(lambda a, b: a + b, state["hard"], state["teachers"]), state

  return optax.GradientTransformation(init, update)
