r"""Tiny-ImageNet (Stanford CS231n): resnet18 teaches shufflenetv2 in three grades.

python -m edjax.main --config=configs/tiny_imagenet.py --config.data_dir=DIR

`DIR` holds tiny-imagenet-200.zip. The first run decodes its 110,000 JPEGs, as `python -m edjax.data
prepare tiny_imagenet --data_dir=DIR` does: 1.4 GB beside the archive. The 10,000 validation images
are the test split, as in the field. The pair and the recipe are mdistiller's (arXiv:2203.08679,
configs/tiny_imagenet: 200 epochs, batch 256, 0.2 divided by 10 after 60, 120 and 160, weight decay
5e-4; its optimiser is `:dot`), with shifts of 8 pixels and flips where it turns images by up to 20
degrees. Not run by edjax's authors on the images, only on generated ones of the archive's layout.
"""

from ml_collections import ConfigDict

from edjax.recipes import common, published

_EPOCHS = 200
_RATE = 0.2
_MILESTONES = (60, 120, 160)


def get_config(arg: str = "") -> ConfigDict:
  config = common.base("tiny_imagenet", "tiny_imagenet")
  config.student.model = "shufflenetv2"
  config.recipe.update(batch_size=256, pad=8, flip=True, weight_decay=5e-4)
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.update(model="resnet18_cifar", epochs=_EPOCHS, learning_rate=_RATE)
    part.update(schedule="steps", milestones=_MILESTONES)
  config.class_order = "similar"
  return common.apply(config, arg, VARIANTS)


def ce(config: ConfigDict) -> None:
  """The student alone."""
  common.one_grade(config, "none", _EPOCHS, _RATE)
  config.recipe.update(schedule="steps", milestones=_MILESTONES)


def kd(config: ConfigDict) -> None:
  """Ordinary distillation from a generalist, with the literature's weights."""
  common.one_grade(config, "generalist", _EPOCHS, _RATE)
  config.recipe.update(schedule="steps", milestones=_MILESTONES)
  published.kd(config)


def paper(config: ConfigDict) -> None:
  """The published curriculum, its 150 + 30 + 60 epochs scaled."""
  common.paper(config, (125, 25, 50), _RATE)
  config.recipe.update(schedule="steps", milestones=(125, 150, 175))


def ed(config: ConfigDict) -> None:
  """The default curriculum."""
  common.education(config, _EPOCHS, _RATE)


def smoke(config: ConfigDict) -> None:
  """The whole way with few images, once the archive is prepared at 32 pixels."""
  common.smoke(config, train_limit=400)
  config.data.image_size = 32
  config.recipe.update(batch_size=64, pad=4)


VARIANTS: common.Variants = {
  "curriculum": {"ce": ce, "kd": kd, "paper": paper, "ed": ed},
  "method": published.variants(),
  "size": {"smoke": smoke},
}
