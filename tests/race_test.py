"""The race against plain PyTorch: what its opponent computes, and what is noted of a run."""

import json
import math
import sys

import numpy as np
import pytest
import torch

from experiments import plain_kd, race
from tests.reference import zoo

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)
DATA = {
  "train_images": IMAGES,
  "train_labels": np.arange(12) % 4,
  "test_images": IMAGES[::-1].copy(),
  "test_labels": np.arange(12) % 3,
  "mean": np.array([0.5, 0.4, 0.3]),
  "std": np.array([0.2, 0.25, 0.3]),
}


def test_the_loss_by_hand():
  draw = np.random.default_rng(1)
  student, teacher = draw.normal(size=(2, 5, 4))
  labels = np.array([0, 1, 2, 3, 0])

  def shares(logits, temperature):
    raised = np.exp(logits / temperature)
    return raised / raised.sum(1, keepdims=True)

  hard = -np.log(shares(student, 1.0)[np.arange(5), labels]).mean()
  wanted, said = shares(teacher, 4.0), shares(student, 4.0)
  soft = 16 * (wanted * (np.log(wanted) - np.log(said))).sum(1).mean()
  found = plain_kd.loss_of(*map(torch.from_numpy, (student, teacher, labels)))
  assert float(found) == pytest.approx(0.1 * hard + 0.9 * soft)


def test_the_rate_makes_one_cycle():
  rates = [plain_kd.cycle(step, 100) for step in range(101)]
  assert (rates[0], rates[5], rates[10], rates[55]) == pytest.approx((0, 0.5, 1, 0.5))
  assert rates[100] == pytest.approx(0) and sorted(rates[10:]) == rates[10:][::-1]


def test_training_images_are_crops_and_mirrored_ones():
  train, test = plain_kd.loaders(DATA, batch=5, workers=0)
  torch.manual_seed(0)
  padded = np.pad(IMAGES, ((0, 0), (4, 4), (4, 4), (0, 0)))
  mean, std = (DATA[name].astype(np.float32) for name in ("mean", "std"))
  found = set()
  for image, label in (train.dataset[n % 12] for n in range(60)):
    back = np.rint((image.permute(1, 2, 0).numpy() * std + mean) * 255).astype(np.uint8)
    for mirrored in (False, True):
      whole = back[:, ::-1] if mirrored else back
      places = [
        (top, left)
        for top in range(9)
        for left in range(9)
        for number in range(12)
        if number % 4 == label and (padded[number, top : top + 8, left : left + 8] == whole).all()
      ]
      found |= {(mirrored, *place) for place in places}
  assert {place[0] for place in found} == {False, True}
  assert {place[1] for place in found} == {place[2] for place in found} == set(range(9))
  assert [len(labels) for _, labels in train] == [5, 5]
  ((images, labels),) = test
  shown = ((DATA["test_images"] / 255 - mean) / std).transpose(0, 3, 1, 2)
  np.testing.assert_allclose(images, shown, rtol=1e-5, atol=1e-5)
  assert labels.tolist() == DATA["test_labels"].tolist()


def test_only_the_student_learns():
  torch.manual_seed(0)
  train, test = plain_kd.loaders(DATA, batch=6, workers=0)
  student, teacher = zoo.make("resnet8_half", 4), zoo.make("resnet8_half", 4)
  before = [{k: v.clone() for k, v in net.state_dict().items()} for net in (student, teacher)]
  told = list(plain_kd.distil(student, teacher, train, test, epochs=2, learning_rate=0.1))
  assert len(told) == 2 and all(math.isfinite(loss) for loss, _ in told)
  now = [net.state_dict() for net in (student, teacher)]
  moved = [
    {k for k in old if not old[k].equal(new[k])} for old, new in zip(before, now, strict=True)
  ]
  assert moved[0] == set(before[0]) and not moved[1]
  with torch.no_grad():
    right = [student(image).logits.argmax(1) == labels for image, labels in test]
  assert told[-1][1] == pytest.approx(float(torch.cat(right).float().mean()))


WRITES = """
import sys, time
for top1 in (0.25, 0.5):
  print('{"top1": %s}' % top1, flush=True)
  time.sleep(0.4)
sys.exit(int(sys.argv[1]))
"""


def test_the_clock_is_read_whenever_a_line_is_written(tmp_path):
  place = tmp_path / "said.jsonl"
  seconds, lines = race.watched(["-c", WRITES, "0"], place, place, {})
  (first, one), (second, other) = lines
  assert (one, other) == ({"top1": 0.25}, {"top1": 0.5})
  assert 0.2 < second - first < seconds - first and seconds > 0.8
  with pytest.raises(SystemExit, match="failed with 3"):
    race.watched(["-c", WRITES, "3"], place, place, {})


@pytest.fixture
def raced(tmp_path, monkeypatch):
  """Runs a race of two rounds whose runs take no time; returns its lines and which runs it made."""
  made = []
  accuracy = {"pytorch": (0.6, 0.6), "edjax": (0.7, 0.5)}
  monkeypatch.setattr(race, "hand_out", lambda *_: {"model": "resnet56", "sha256": "ab"})

  def run(side):
    def told(options, out, number, teacher):
      made.append((side, number))
      top1, seconds = accuracy[side][number], 8.0 if side == "pytorch" else 6.0
      tested = [[seconds / 2, 0.6], [seconds, top1]] if side == "pytorch" else [[seconds, top1]]
      return {"seconds": seconds, "top1": top1, "tested": tested, "validated": []}

    return told

  for side in accuracy:
    monkeypatch.setattr(race, side, run(side))

  def go(*more):
    given = ["race", "--data_dir=D", "--teacher=T", "--rounds=2", f"--out={tmp_path}", *more]
    monkeypatch.setattr(sys, "argv", given)
    race.main()
    return [json.loads(line) for line in (tmp_path / "race.jsonl").read_text().splitlines()]

  return go, made, tmp_path / "race.jsonl"


def test_a_race_is_a_line_per_run(raced, capsys):
  go, made, _ = raced
  rows = go()
  assert made == [(row["side"], row["round"]) for row in rows]
  assert made == [("pytorch", 0), ("edjax", 0), ("pytorch", 1), ("edjax", 1)]
  assert [row["seconds_to"] for row in rows] == [4.0, 6.0, 4.0, None]
  said = capsys.readouterr().out
  assert "edjax: 6 s, top-1 60.00 %, n = 2" in said and "in 1 of 2 rounds" in said
  assert said.endswith("1.50\n")
  assert "| 1 | 8 | 60.00 | 6 | 70.00 | 1.50 |\n| 2 | 8 | 60.00 | 6 | 50.00 | not" in said
  assert rows[0]["asked"]["teacher"] == {"model": "resnet56", "sha256": "ab"}
  assert rows[0]["asked"]["epochs"] == 12 and "data_dir" not in rows[0]["asked"]


def test_a_race_that_was_stopped_goes_on(raced):
  go, made, path = raced
  rows = go()
  path.write_text("".join(json.dumps(row) + "\n" for row in rows[:3]))
  made.clear()
  assert go() == rows and made == [("edjax", 1)]
  with pytest.raises(SystemExit, match="another race"):
    go("--epochs=7")
