r"""CIFAR-100 (Krizhevsky 2009): resnet20 taught in three grades by a resnet110.

python -m edjax.main --config=configs/cifar100.py --config.data_dir=DIR

The recipe of the distillation literature (Tian et al. 2020, arXiv:1910.10699): 240 epochs, batch
64, 0.05 divided by 10 after 150, 180 and 210, crop of 4 pixels and flip. `:kd` is ordinary
distillation, published for this pair at 70.67 % (teacher 74.31 %, student alone 69.06 %); `:paper`
is the curriculum of arXiv:2311.13811, 150 + 30 + 60 epochs. At this length not run by edjax's
authors, who have two cores: `:brief` is what they have measured, resnet14 and a resnet8 of half
width for at most ten epochs, see docs/experiments.md.
"""

from ml_collections import ConfigDict

from edjax.recipes import common, published

_EPOCHS = 240
_BRIEF = "resnet8_half"  # the student of `:brief`


def get_config(arg: str = "") -> ConfigDict:
  return common.apply(begin("cifar100", "resnet110"), arg, VARIANTS)


def begin(name: str, teacher: str) -> ConfigDict:
  """The settings that both CIFARs start from."""
  config = common.base(name, name)
  config.recipe.update(batch_size=64, pad=4, flip=True)
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.update(model=teacher, epochs=_EPOCHS, learning_rate=0.05)
    part.update(schedule="steps", milestones=(150, 180, 210))
  config.class_order = "similar"
  return config


def brief(config: ConfigDict) -> None:
  """Small networks, ten epochs and one cycle of the rate, for two cores."""
  config.student.model = _BRIEF
  config.recipe.update(batch_size=100, schedule="cycle")
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.update(model="resnet14", epochs=12, learning_rate=0.2)
  common.growing_images(config)


def _length(config: ConfigDict) -> tuple[int, float]:
  """Epochs of whole images, and the peak of the rate."""
  return (10, 0.8) if config.student.model == _BRIEF else (_EPOCHS, 0.05)


def _ordinary(config: ConfigDict, teachers: str) -> None:
  common.one_grade(config, teachers, *_length(config))
  if config.student.model != _BRIEF:
    config.recipe.update(schedule="steps", milestones=(150, 180, 210))


def ce(config: ConfigDict) -> None:
  """The student alone."""
  _ordinary(config, "none")


def kd(config: ConfigDict) -> None:
  """Ordinary distillation from a generalist, with the literature's weights."""
  _ordinary(config, "generalist")
  published.kd(config)


def paper(config: ConfigDict) -> None:
  """The published curriculum."""
  common.paper(config, (150, 30, 60), 0.05)
  config.recipe.update(schedule="steps", milestones=(150, 180, 210))


def mixed(config: ConfigDict) -> None:
  """Specialists only, without grades: each answers for its own images of every batch."""
  _ordinary(config, "specialists")
  config.methods.ce.weight = 1.0


def stages(config: ConfigDict) -> None:
  """Growing stages and ever more classes, from a generalist."""
  epochs, rate = _length(config)
  common.stages(config, epochs, min(rate, 0.4))
  config.recipe.schedule = "cosine"


def ed(config: ConfigDict) -> None:
  """The default curriculum."""
  epochs, rate = _length(config)
  if config.student.model == _BRIEF:  # half the rate does better where small images come first
    rate /= 2
    published.kd(config)
  common.education(config, epochs, rate)


def smoke(config: ConfigDict) -> None:
  """The whole way with few images, one epoch and small networks."""
  common.smoke(config, train_limit=400)


VARIANTS: common.Variants = {
  "curriculum": {
    "ce": ce,
    "kd": kd,
    "paper": paper,
    "mixed": mixed,
    "stages": stages,
    "ed": ed,
  },
  "method": published.variants(),
  "size": {"brief": brief, "smoke": smoke},
}
