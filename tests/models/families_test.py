"""A network of every family goes to school: three grades of a folder of pictures, in seconds."""

import pytest

from configs import folder
from edjax import models
from edjax.models import layers
from edjax.recipes import common
from edjax.settings import settle
from edjax.training import loop
from tests import archives

FAMILIES = (
  "resnet8",
  "wrn_16_1",
  "resnet18",
  "resnet18_cifar",
  "resnet50",
  "vgg8",
  "mobilenetv1",
  "mobilenetv2_half",
  "mobilenetv2",
  "shufflenetv1",
  "shufflenetv2",
  "shufflenetv2_imagenet",
  "efficientnet_b0",
  "efficientnet_lite0",
  "deit_tiny",
  "vit_tiny_patch4",
  "curve_small",
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
  root = tmp_path_factory.mktemp("pictures")
  for part, count in (("train", 10), ("test", 4)):
    archives.write_tree(root / part, ("ant", "bee", "cow"), count)
  return root


def made_of(name):
  """The functions that a network's fragments are made of, down to the modules' classes."""
  return {maker.func for maker in models.body(name).fragments}


def test_no_family_is_left_out():
  assert {kind for name in FAMILIES for kind in made_of(name)} == {
    kind for name in models.MODELS for kind in made_of(name)
  }
  assert all(isinstance(models.body(name), layers.Body) for name in FAMILIES)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_three_grades(name, pictures, tmp_path):
  config = folder.get_config("smoke")
  config.data_dir, config.devices = str(pictures), 1
  config.student.model = name
  config.data.image_size = 32
  config.recipe.batch_size = 8
  common.curriculum(
    config,
    common.grade(fragments=1, subjects=1, reference_grid=2),
    common.grade(fragments=2, subjects=2),
    common.grade(),
  )
  common.every(config, learning_rate=0.01, carry_momentum=True)
  report = loop.run(settle(config), tmp_path / "run")
  whole = len(models.body(name).fragments)
  assert [len(row["fragments"]) for row in report["grades"]] == [1, 2, whole]
  assert report["student"]["exam_count"] == 12
  assert report["student"]["model"] == name
