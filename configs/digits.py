r"""Digits: 1,797 scanned digits of 8×8 pixels, taught in three grades. Needs no download.

python -m edjax.main --config=configs/digits.py

Four teachers and three grades in one to two minutes on two CPU cores; 98.7 and 98.9 % of the 451
test digits (one seed, two machines).
"""

from ml_collections import ConfigDict

from edjax.recipes import common, published


def get_config(arg: str = "") -> ConfigDict:
  config = common.base("digits", "digits")
  config.student.model = "resnet8_half"
  config.data.validation_fraction = 0.1
  config.recipe.update(batch_size=40, pad=1)
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.update(model="resnet8", epochs=20, learning_rate=0.05)
  return common.apply(config, arg, VARIANTS)


def ce(config: ConfigDict) -> None:
  """The student alone."""
  common.one_grade(config, "none", 40, 0.05)


def kd(config: ConfigDict) -> None:
  """Ordinary distillation from a generalist."""
  common.one_grade(config, "generalist", 40, 0.05)


def paper(config: ConfigDict) -> None:
  """The published curriculum, its 150 + 30 + 60 epochs scaled to 25 + 5 + 10."""
  common.paper(config, (25, 5, 10), 0.05)
  config.recipe.update(schedule="steps", milestones=(25, 30, 35))


def ed(config: ConfigDict) -> None:
  """The default curriculum: three grades."""
  common.curriculum(
    config,
    common.grade(fragments=1, subjects=1, epochs=5, learning_rate=0.05),
    common.grade(fragments=2, subjects=2, epochs=10, learning_rate=0.05),
    common.grade(epochs=25, learning_rate=0.05, teachers="both"),
  )


def smoke(config: ConfigDict) -> None:
  """The whole way with few images; what takes time is compiling."""
  common.smoke(config, train_limit=300)


VARIANTS: common.Variants = {
  "curriculum": {"ce": ce, "kd": kd, "paper": paper, "ed": ed},
  "method": published.variants(),
  "size": {"smoke": smoke},
}
