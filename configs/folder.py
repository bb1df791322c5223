r"""Any folder of images, one sub-folder per class: your own data set.

python -m edjax.main --config=configs/folder.py --config.data_dir=DIR

DIR holds train/CLASS/*.jpg and test/CLASS/*.jpg (or val/, valid/ …), or CLASS/*.jpg, of which a
fixed fifth becomes the test split. Two classes are enough. Any sizes, grey, colour or with alpha;
`--config.data.image_size=64` sets what they are brought to. The default suits a few thousand small
pictures on a CPU; on an accelerator take larger networks:
`--config.student.model=resnet20 --config.faculty.specialist.model=resnet110 …`.
"""

from ml_collections import ConfigDict

from edjax.recipes import common, published

_EPOCHS = 30


def get_config(arg: str = "") -> ConfigDict:
  config = begin("folder")
  config.data.image_size = 32
  return common.apply(config, arg, VARIANTS)


def begin(name: str) -> ConfigDict:
  """The settings that images of any kind start from."""
  config = common.base(name, name)
  config.student.model = "resnet8"
  config.recipe.update(batch_size=64, pad=4, flip=True)
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.update(model="resnet20", epochs=_EPOCHS, learning_rate=0.1)
  config.class_order = "similar"
  return config


def ce(config: ConfigDict) -> None:
  """The student alone."""
  common.one_grade(config, "none", _EPOCHS, 0.1)


def kd(config: ConfigDict) -> None:
  """Ordinary distillation from a generalist."""
  common.one_grade(config, "generalist", _EPOCHS, 0.1)


def paper(config: ConfigDict) -> None:
  """The published curriculum, its 150 + 30 + 60 epochs scaled."""
  common.paper(config, (19, 4, 7), 0.05)
  config.recipe.update(schedule="steps", milestones=(19, 23, 27))


def ed(config: ConfigDict) -> None:
  """The default curriculum."""
  common.education(config, _EPOCHS, 0.1)


def smoke(config: ConfigDict) -> None:
  """The whole way with few images, one epoch, small networks and batches."""
  common.smoke(config, train_limit=200)
  config.recipe.batch_size = 16


VARIANTS: common.Variants = {
  "curriculum": {"ce": ce, "kd": kd, "paper": paper, "ed": ed},
  "method": published.variants(),
  "size": {"smoke": smoke},
}
