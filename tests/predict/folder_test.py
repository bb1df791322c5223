"""What a run reads of a folder of images, learns from and examines is what predict reads of it."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import edjax
from configs import folder as page
from edjax import settings
from edjax.data import datasets
from edjax.predict import __main__ as command
from edjax.training import loop

CLASSES = ("ant", "bee", "cow")


def write(root, count, seed):
  """Pictures of classes that can be told apart a little, of many sizes and modes."""
  draw = np.random.default_rng(seed)
  for label, name in enumerate(CLASSES):
    (root / name).mkdir(parents=True)
    for number in range(count):
      height, width = draw.integers(5, 40, 2)
      pixels = draw.integers(0, 256, (height, width, 3)) // 2
      pixels[..., label] += draw.integers(0, 128)
      image = Image.fromarray(pixels.astype(np.uint8))
      kind = ("RGB", "L", "RGBA", "P")[number % 4]
      ending = "jpg" if number % 3 == 0 and kind in ("RGB", "L") else "png"
      image.convert(kind).save(root / name / f"{number}.{ending}")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """(folder of images, work directory, report) of the shortest school."""
  root = tmp_path_factory.mktemp("folder")
  write(root / "train", 16, 0)
  write(root / "test", 12, 1)
  config = page.get_config("ce,smoke")
  config.data_dir, config.devices, config.recipe.batch_size = str(root), 1, 8
  config.data.image_size, config.student.model = 12, "tests.small:SMALL"
  report = loop.run(settings.settle(config), root / "run")
  return root, root / "run", report


def test_an_exam_and_a_prediction_agree(run, capsys, monkeypatch):
  root, workdir, report = run
  scores = root / "scores.json"
  command.main([str(workdir), str(root / "test"), f"--scores={scores}", "--top=3"])
  said = json.loads(scores.read_text())
  exam = report["student"]
  assert said["count"] == 36 and said["classes"] == list(CLASSES)
  assert said["top1"] == exam["top1"] and said["confusion"] == exam["confusion"]
  assert said["nll"] == pytest.approx(exam["nll"], rel=1e-5)
  assert len({row["answered"] for row in said["by_class"]}) > 1  # it does not always say the same

  test = datasets.load("folder", data_dir=str(root), image_size=12).test
  wanted = edjax.load(workdir).predict(test.images)
  rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
  assert [row["path"].split("/")[-2] for row in rows] == [CLASSES[k] for k in test.labels]
  for row, odds in zip(rows, wanted, strict=True):
    found = {row[f"class_{rank}"]: float(row[f"probability_{rank}"]) for rank in (1, 2, 3)}
    np.testing.assert_allclose([found[name] for name in CLASSES], odds, atol=2e-6)


def test_the_library_reads_what_an_exam_reads(run):
  root, workdir, _ = run
  student = edjax.load(workdir)
  test = datasets.load("folder", data_dir=str(root), image_size=12).test
  files = [path for name in CLASSES for path in sorted((root / "test" / name).iterdir(), key=str)]
  np.testing.assert_array_equal(student.read(files), test.images)
  assert edjax.load(workdir / "graduate").names(files[0]) == student.names(test.images[:1])
