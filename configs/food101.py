r"""Food-101 (Bossard et al., ECCV 2014): resnet50 teaches resnet18 101,000 dishes.

python -m edjax.main --config=configs/food101.py --config.data_dir=DIR

`DIR` holds food-101.tar.gz, or food101 as tensorflow-datasets prepares it. The first run decodes
the photographs, as `python -m edjax.data prepare food101 --data_dir=DIR` does, to the middle
160×160 pixels of a short side of 160: 7.8 GB beside the archive. The recipe is the distillation
literature's for ImageNet (mdistiller, arXiv:2203.08679: 100 epochs, 0.1 at batch 256, divided by 10
after 30, 60 and 90, weight decay 1e-4, flips, and resized windows of 8 % of the area or more; here
they are of the middle square), with its weights and temperatures where it has them. `:function` is
Beyer et al. 2022 (arXiv:2106.05237) on this set: AdamW, batch 512, 1,500 steps of warm-up, a
cosine, mixup; their windows are stretched to 128 pixels, and they examine the middle 128 of 160.
Not run by edjax's authors on the photographs, only on generated ones of the archive's layout.
"""

from ml_collections import ConfigDict

from edjax.recipes import common, published

_EPOCHS = 100
_RATE = 0.1
_MILESTONES = (30, 60, 90)


def get_config(arg: str = "") -> ConfigDict:
  config = common.base("food101", "food101")
  config.student.model = "resnet18"
  config.recipe.update(batch_size=256, resized=0.08, flip=True, weight_decay=1e-4)
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.update(model="resnet50", epochs=_EPOCHS, learning_rate=_RATE)
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


def function(config: ConfigDict) -> None:
  """Function matching as published for this set; the shortest of its three lengths."""
  published.variants("imagenet")["function"](config)
  config.recipe.batch_size = 512
  common.every(config, warmup_epochs=11.3)  # 1,500 steps


def smoke(config: ConfigDict) -> None:
  """The whole way with few images, once the archive is prepared at 32 pixels."""
  common.smoke(config, train_limit=404)
  config.data.image_size = 32
  config.recipe.batch_size = 64


VARIANTS: common.Variants = {
  "curriculum": {"ce": ce, "kd": kd, "paper": paper, "ed": ed},
  "method": published.variants("imagenet") | {"function": function},
  "size": {"smoke": smoke},
}
