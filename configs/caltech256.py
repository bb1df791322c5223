r"""Caltech-256 (Griffin et al. 2007): resnet34 teaches resnet18 29,780 photographs.

python -m edjax.main --config=configs/caltech256.py --config.data_dir=DIR

`DIR` holds 256_ObjectCategories.tar. The first run decodes the photographs, as `python -m
edjax.data prepare caltech256 --data_dir=DIR` does, to the middle 160×160 pixels of a short side of
160: 2.3 GB beside the archive. No split is published: a fifth of each class is the test split, by
the SHA-256 of the file's name, always the same; `--config.dataset=caltech256_clutter` adds the
257th folder as a class. Nor has a distillation library a recipe for it: this is mdistiller's for
ImageNet and this pair (arXiv:2203.08679: 100 epochs, 0.1 at batch 256, divided by 10 after 30, 60
and 90, weight decay 1e-4, flips, and resized windows of 8 % of the area or more; here they are of
the middle square), with its weights and temperatures for ImageNet where it has them. Not run by
edjax's authors on the photographs, only on generated ones of the archive's layout.
"""

from ml_collections import ConfigDict

from edjax.recipes import common, published

_EPOCHS = 100
_RATE = 0.1
_MILESTONES = (30, 60, 90)


def get_config(arg: str = "") -> ConfigDict:
  config = common.base("caltech256", "caltech256")
  config.student.model = "resnet18"
  config.recipe.update(batch_size=256, resized=0.08, flip=True, weight_decay=1e-4)
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.update(model="resnet34", epochs=_EPOCHS, learning_rate=_RATE)
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
  published.kd(config, "imagenet")


def paper(config: ConfigDict) -> None:
  """The published curriculum, its 150 + 30 + 60 epochs scaled."""
  common.paper(config, (62, 13, 25), _RATE)
  config.recipe.update(schedule="steps", milestones=(62, 75, 87))


def ed(config: ConfigDict) -> None:
  """The default curriculum."""
  common.education(config, _EPOCHS, _RATE)


def smoke(config: ConfigDict) -> None:
  """The whole way with few images, once the archive is prepared at 32 pixels."""
  common.smoke(config, train_limit=500)
  config.data.image_size = 32
  config.recipe.batch_size = 64


VARIANTS: common.Variants = {
  "curriculum": {"ce": ce, "kd": kd, "paper": paper, "ed": ed},
  "method": published.variants("imagenet"),
  "size": {"smoke": smoke},
}
