r"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): 60,000 pictures of clothes, three grades.

python -m edjax.main --config=configs/fashion_mnist.py --config.data_dir=DIR
"""

from configs import common


def get_config(arg=""):
  config = common.base("fashion_mnist", "fashion_mnist")
  config.student.model = "resnet8_half"
  config.recipe.update(batch_size=100, pad=2, flip=True)
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.update(model="resnet8", epochs=8, learning_rate=0.1)
  config.grades.update(epochs=(2, 2, 9), teachers=("specialists", "specialists", "both"))
  return common.apply(config, arg, VARIANTS)


def ce(config):
  """The student alone."""
  common.one_grade(config, "none", 12, 0.1)


def kd(config):
  """Ordinary distillation from a generalist."""
  common.one_grade(config, "generalist", 12, 0.1)


def paper(config):
  """The published curriculum, its 150 + 30 + 60 epochs scaled to 8 + 2 + 3."""
  common.paper(config, (8, 2, 3))
  config.grades.learning_rate = (0.05,)
  config.recipe.update(schedule="steps", milestones=(8, 10, 12))


def quick(config):
  """A third of the images."""
  config.data.train_limit = 20_000


def smoke(config):
  """Seconds on a CPU."""
  common.smoke(config, train_limit=500)


VARIANTS = {"ce": ce, "kd": kd, "paper": paper, "quick": quick, "smoke": smoke}
