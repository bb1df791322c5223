"""A folder of photographs, with a teacher that starts from a network, becomes an ONNX file."""

import csv

import numpy as np
import onnxruntime
from PIL import Image

import edjax
from edjax.storage import trees
from tests.notebooks.kernel import NAME, check_report, execute, reported, shown
from tests.start_test import network


def photographs(folder):
  """Forty-two photographs of three classes, in the colours of a flag."""
  draw = np.random.default_rng(0)
  for label, colour in enumerate(np.eye(3) * 150):
    (folder / f"class {label}").mkdir(parents=True)
    for number in range(14):
      pixels = colour + draw.integers(0, 100, (30, 40, 3))
      Image.fromarray(pixels.astype(np.uint8)).save(folder / f"class {label}" / f"{number:02}.jpg")


def test_a_folder_of_photographs_becomes_an_onnx_file(compiled, tmp_path):
  photographs(tmp_path / "my photos")
  known = network(tmp_path / "known", model=NAME, shape=(16, 16, 3), mean=[0.5] * 3, std=[0.2] * 3)
  given = {
    "PHOTOS": "my photos", "START": "known", "STUDENT": NAME, "IMAGE_SIZE": 16, "BATCH_SIZE": 8,
    "SIZES": (0.5, 1.0), "TEACHER_EPOCHS": 1, "EPOCHS": 1, "UNITS_PER_HOUR": 7.0,
  }  # fmt: skip
  book = execute("own_folder", tmp_path, compiled, **given)
  workdir = tmp_path / "runs" / "photographs"
  (teacher,) = reported(workdir)["teachers"]
  assert teacher["start"] == {"path": "known", "model": NAME, "sha256": trees.sha256(known)}
  check_report(book, workdir)
  student = edjax.load(workdir)
  some = [tmp_path / "my photos" / f"class {label}" / "00.jpg" for label in range(3)]
  with open(tmp_path / "answers.csv", newline="") as file:
    rows = list(csv.DictReader(file))
  assert [row["path"] for row in rows] == [str(each.relative_to(tmp_path)) for each in some]
  assert [row["class_1"] for row in rows] == student.names(some)
  session = onnxruntime.InferenceSession(tmp_path / "student.onnx")
  (probabilities,) = session.run(None, {"images": student.read(some)})
  np.testing.assert_allclose(probabilities, student.predict(some), atol=1e-4)
  (card,) = shown(book, "export", "text/markdown")
  assert card == (tmp_path / "student.onnx.md").read_text() and "on the 9 test images" in card
  assert [len(shown(book, name)) for name in ("look", "views", "runtime")] == [1, 1, 1]
