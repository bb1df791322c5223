r"""CIFAR-100 (Krizhevsky 2009): resnet20 taught in four grades by a resnet110.

python -m edjax.main --config=configs/cifar100.py --config.data_dir=DIR

The recipe of the distillation literature (Tian et al. 2020, arXiv:1910.10699): 240 epochs, batch
64, 0.05 divided by 10 after 150, 180 and 210, crop of 4 pixels and flip. `:kd` is ordinary
distillation, published for this pair at 70.67 % (teacher 74.31 %, student alone 69.06 %); `:paper`
is the curriculum of arXiv:2311.13811, 150 + 30 + 60 epochs. Not run by edjax's authors, who had no
copy of the data; the default carries over the grades chosen on Fashion-MNIST.
"""

from ml_collections import ConfigDict

from edjax.recipes import common, published

_EPOCHS = 240


def get_config(arg: str = "") -> ConfigDict:
  config = common.base("cifar100", "cifar100")
  config.recipe.update(batch_size=64, pad=4, flip=True)
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.update(model="resnet110", epochs=_EPOCHS, learning_rate=0.05)
    part.update(schedule="steps", milestones=(150, 180, 210))
  config.class_order = "similar"
  return common.apply(config, arg, VARIANTS)


def ce(config: ConfigDict) -> None:
  """The student alone."""
  common.one_grade(config, "none", _EPOCHS, 0.05)
  config.recipe.update(schedule="steps", milestones=(150, 180, 210))


def kd(config: ConfigDict) -> None:
  """Ordinary distillation from a generalist, with the literature's weights."""
  common.one_grade(config, "generalist", _EPOCHS, 0.05)
  config.recipe.update(schedule="steps", milestones=(150, 180, 210))
  published.kd(config)


def paper(config: ConfigDict) -> None:
  """The published curriculum."""
  common.paper(config, (150, 30, 60), 0.05)
  config.recipe.update(schedule="steps", milestones=(150, 180, 210))


def ed(config: ConfigDict) -> None:
  """The default curriculum."""
  common.education(config, _EPOCHS, 0.05)


def smoke(config: ConfigDict) -> None:
  """The whole way with few images, one epoch and small networks."""
  common.smoke(config, train_limit=400)


VARIANTS: common.Variants = {
  "curriculum": {"ce": ce, "kd": kd, "paper": paper, "ed": ed},
  "method": published.variants(),
  "size": {"smoke": smoke},
}
