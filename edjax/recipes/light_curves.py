"""How light curves are taught: what the configs of their data sets share.

A network of 99.7 thousand parameters teaches one of 11.8 thousand. Two or three classes make one
subject, as each needs two: whoever teaches answers for all of them. Four make two.
"""

import functools

from ml_collections import ConfigDict

from edjax.recipes import common, published

# Chosen on the validation parts of `tess` and `kepler`, where batches of 100 at a rate of 0.1 found
# far fewer planets in the same compute. So was that curves are not moved in time.
_BATCH, _RATE = 32, 0.03
EPOCHS, _QUICK = 24, 8


# Published weights are of pictures in a hundred classes. With these methods' a light curve's loss
# grows without bound, or the student has one answer for all. Chosen as the rate was.
_WEIGHTS = {"fsp": 0.5, "mlld": 0.03, "semckd": 4.0}


def base(name: str) -> ConfigDict:
  """Returns the settings of a data set of light curves, by its name, before any variant."""
  config = common.base(name, name)
  config.student.model = "curve_small"
  config.recipe.update(batch_size=_BATCH, pad=0, flip=True)  # reversed in time
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.update(model="curve", epochs=EPOCHS, learning_rate=_RATE)
  return config


def quick(config: ConfigDict) -> None:
  """A third of the epochs."""
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.epochs = _QUICK


def _epochs(config: ConfigDict) -> int:
  return round(config.faculty.generalist.epochs)


def ce(config: ConfigDict) -> None:
  """The student alone."""
  common.one_grade(config, "none", _epochs(config), _RATE)


def kd(config: ConfigDict) -> None:
  """Ordinary distillation from a generalist."""
  common.one_grade(config, "generalist", _epochs(config), _RATE)


def paper(config: ConfigDict) -> None:
  """The published curriculum, its 150 + 30 + 60 epochs scaled."""
  epochs = _epochs(config)
  second, third = max(1, epochs // 8), epochs // 4
  first = epochs - second - third
  common.paper(config, (first, second, third), _RATE / 2)
  ends = (first, first + second, first + second + third // 2)
  config.recipe.update(schedule="steps", milestones=tuple(dict.fromkeys(ends)))


def stages(config: ConfigDict) -> None:
  """Growing stages, from a generalist; there is but one subject to rehearse."""
  common.stages(config, _epochs(config), _RATE)
  common.every(config, rehearsal=1.0)


def ed(config: ConfigDict) -> None:
  """The default curriculum: light curves of half the length, of three quarters, and whole."""
  common.education(config, _epochs(config), _RATE)


def smoke(config: ConfigDict) -> None:
  """The whole way with few light curves, small batches; what takes time is compiling."""
  common.smoke(config, train_limit=300, model="curve_small")
  config.recipe.batch_size = 16


def _weighed(name: str, config: ConfigDict) -> None:
  """A method with a weight for light curves."""
  published.variants()[name](config)
  config.methods[name].weight = _WEIGHTS[name]


VARIANTS: common.Variants = {
  "curriculum": {"ce": ce, "kd": kd, "paper": paper, "stages": stages, "ed": ed},
  "method": published.variants() | {name: functools.partial(_weighed, name) for name in _WEIGHTS},
  "size": {"quick": quick, "smoke": smoke},
}
