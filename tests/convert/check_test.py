"""What a converted network says to images, and what the command assumes of them, which it says."""

import shutil

import numpy as np
import pytest
import safetensors.numpy
import torch
from PIL import Image

from edjax import errors, models
from edjax.convert import __main__ as command
from tests.models.drawn import nchw, randomised
from tests.reference import zoo

USUAL = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)  # CIFAR-100
OTHER = (0.2, 0.6, 0.4), (0.5, 0.2, 0.3)
OPTIONS = ["--mean=0.2,0.6,0.4", "--std=0.5,0.2,0.3"]
SIZE, MEAN, STD = "--size=32", "--mean=0.5071,0.4867,0.4408", "--std=0.2675,0.2565,0.2761"
NETWORK = "resnet8_half"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
  """Returns (folder with a network and images of two sizes, PyTorch's answers to a view)."""
  root = tmp_path_factory.mktemp("check")
  variables = randomised(models.graduate(models.body(NETWORK), 10), (1, 32, 32, 3))
  network = zoo.load(zoo.make(NETWORK, 10), variables, NETWORK).eval()
  torch.save(network.state_dict(), root / "a.pth")
  draw = np.random.default_rng(0)
  pixels = (draw.random((10, 1, 1, 3)) * draw.integers(0, 256, (10, 32, 32, 3))).astype(np.uint8)
  sizes = {32: pixels, 16: pixels[:, ::2, ::2]}
  for size, folder in ((32, "plain"), (16, "small")):
    (root / folder).mkdir()
    for number in range(10):
      Image.fromarray(sizes[size][number]).save(root / folder / f"{number}.png")

  def answers(mean, std, size=32):
    with torch.no_grad():
      seen = nchw((sizes[size] / 255 - mean) / std).float()
      return network(seen).logits.argmax(1).tolist()

  views = [tuple(answers(*view)) for view in ((*USUAL,), (*OTHER,), (*USUAL, 16))]
  assert len(set(views)) == 3 and all(len(set(view)) > 1 for view in views)
  return root, answers


def told(place, capsys, images, *options, source="a.pth"):
  """What the command says after what it did."""
  root = place[0]
  arguments = [f"{root}/{source}", f"{root}/folder", f"--model={NETWORK}"]
  command.main([*arguments, f"--check={root}/{images}", *options])
  return capsys.readouterr().out.splitlines()[2:]


def lines(answers):
  return [f"{number}.png: {answer}" for number, answer in enumerate(answers)]


def assumed(*options):
  return f"assumed {' '.join(options)}, as networks with repdistiller names are usually trained"


def test_the_usual_is_assumed_and_said(place, capsys):
  first, *rest = told(place, capsys, "plain")
  assert first == assumed(SIZE, MEAN, STD)
  assert rest == lines(place[1](*USUAL))


def test_top1_of_a_folder_of_classes(place, capsys):
  root, answers = place
  for number in range(10):
    (root / "classes" / f"class_{number}").mkdir(parents=True)
  for number, answer in enumerate(answers(*USUAL)):
    right = answer if number < 7 else (answer + 1) % 10
    shutil.copy(root / "plain" / f"{number}.png", root / "classes" / f"class_{right}")
  first, last = told(place, capsys, "classes")
  assert first == assumed(SIZE, MEAN, STD)
  assert last == "top-1 70.00 % (7 of 10 images)"


def test_what_is_given_is_not_assumed(place, capsys):
  assert told(place, capsys, "plain", *OPTIONS, "--size=32") == lines(place[1](*OTHER))
  assert told(place, capsys, "plain", *OPTIONS) == [assumed(SIZE), *lines(place[1](*OTHER))]
  first, *rest = told(place, capsys, "small", "--size=16")
  assert (first, rest) == (assumed(MEAN, STD), lines(place[1](*USUAL, 16)))


def test_what_a_file_says_is_not_assumed(place, capsys):
  root, answers = place
  command.main([f"{root}/a.pth", f"{root}/b.safetensors", f"--model={NETWORK}"])
  note = '{"image_shape": [16, 16, 3], "mean": [0.2, 0.6, 0.4], "std": [0.5, 0.2, 0.3]}'
  tensors = safetensors.numpy.load_file(root / "b.safetensors")
  safetensors.numpy.save_file(tensors, root / "b.safetensors", metadata={"edjax": note})
  capsys.readouterr()
  said = told(place, capsys, "small", source="b.safetensors")
  assert said == lines(answers(*OTHER, 16))
  said = told(place, capsys, "small", MEAN, STD, source="b.safetensors")
  assert said == lines(answers(*USUAL, 16))


@pytest.mark.parametrize(
  "options,reason",
  [
    (["--mean=0.5"], "1 numbers in mean and 3 in std"),
    (["--mean=1,1", "--std=1,1"], "one number, or three"),
    (["--std=1,0,1"], "more than nothing"),
    (["--size=0"], "more than nothing"),
    (["--mean=0.5", "--std=0.5"], "does not take images of 32×32 pixels with 1 channels"),
  ],
)
def test_impossible_views(options, reason, place, capsys):
  with pytest.raises(errors.UserError, match=reason) as caught:
    told(place, capsys, "plain", *options)
  assert "\n" not in str(caught.value)


def test_what_is_hidden_is_no_class_and_deeper_images_are_their_class_s(place, capsys):
  root, answers = place
  for number in range(10):
    below = root / "deep" / str(number) / ("more" if number % 2 else "")
    below.mkdir(parents=True)
    shutil.copy(root / "plain" / f"{number}.png", below / "image.png")
  (root / "deep" / ".ipynb_checkpoints").mkdir()
  for odd in ("0/._image.png", "0/Thumbs.db", ".DS_Store"):
    (root / "deep" / odd).write_text("no image")
  right = sum(answer == number for number, answer in enumerate(answers(*USUAL)))
  (line,) = told(place, capsys, "deep", SIZE, MEAN, STD)
  assert line == f"top-1 {10 * right:.2f} % ({right} of 10 images)"


def test_numbers_are_sorted_as_text_and_by_value(place, capsys):
  """torchvision's order and timm's, where nothing says which a network was trained by."""
  root, answers = place
  names = [str(number) for number in range(1, 11)]
  by_value = answers(*USUAL)
  for name in names:
    (root / "numbers" / name).mkdir(parents=True)
  for number, answer in enumerate(by_value):  # the images lie as if its columns were 1, 2, … 10
    shutil.copy(root / "plain" / f"{number}.png", root / "numbers" / names[answer])
  as_text = sorted(names)
  right = sum(as_text[answer] == names[answer] for answer in by_value)
  sorted_ = "columns are the sub-folders sorted"
  said = told(place, capsys, "numbers", SIZE, MEAN, STD)
  assert said == [
    f"top-1 {10 * right:.2f} % ({right} of 10 images) if {sorted_} as text (1, 10, 2, 3 …)",
    f"top-1 100.00 % (10 of 10 images) if {sorted_} by number (1, 2, 3, 4 …)",
    "edjax sorts as text; where the other is right, convert with --classes=FILE",
  ]
  assert right < 10
