r"""CIFAR-10 (Krizhevsky 2009): resnet20 taught in three grades by a resnet56.

python -m edjax.main --config=configs/cifar10.py --config.data_dir=DIR

DIR holds cifar-10-binary.tar.gz. The recipe and the variants are those of configs/cifar100.py: 240
epochs, batch 64, 0.05 divided by 10 after 150, 180 and 210, crop of 4 pixels and flip. Networks of
pytorch_resnet_cifar10 can be its teachers, see docs/teachers.md. Not run by edjax's authors at this
length.
"""

from ml_collections import ConfigDict

from edjax.configs import cifar100
from edjax.recipes import common

VARIANTS = cifar100.VARIANTS


def get_config(arg: str = "") -> ConfigDict:
  return common.apply(cifar100.begin("cifar10", "resnet56"), arg, VARIANTS)
