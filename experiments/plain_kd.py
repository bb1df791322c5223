r"""Knowledge distillation on CIFAR as users write it in plain PyTorch: what edjax is raced against.

python experiments/plain_kd.py --data=FILE.npz --student=resnet20 --teacher=FILE --epochs=12
  [--model=resnet56] [--batch=64] [--learning_rate=0.1] [--workers=2] [--seed=0]

Of the shape of the field's own loops, such as RepDistiller's: a `DataLoader` whose workers crop and
mirror image by image, eager networks in channels_last, SGD, the teacher asked about every batch, an
exam on the test split after every epoch. The learning rate makes one cycle: up in a line, down to 0
by a cosine. Prints a JSON line per epoch. Needs the extra [test].
"""

import argparse
import json
import math
import pathlib
import sys

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tests.reference import zoo

PAD, RISE = 4, 0.1  # pixels around an image that is cropped; of the steps, those of the warm-up
_LABELS, _TEACHER, _TEMPERATURE = 0.1, 0.9, 4.0  # of the loss, as in the literature's table
_EXAM = 500  # images at a time


class Augmented(Dataset):
  """Training images, cropped at random from a black border and mirrored by chance, normalised."""

  def __init__(self, images, labels, mean, std):
    self._images, self._labels = nn.functional.pad(images, (PAD,) * 4), labels
    self._side, self._mean, self._std = images.shape[-1], mean, std

  def __len__(self):
    return len(self._labels)

  def __getitem__(self, index):
    top, left = torch.randint(2 * PAD + 1, (2,)).tolist()
    image = self._images[index, :, top : top + self._side, left : left + self._side]
    image = image.flip(-1) if torch.rand(()) < 0.5 else image
    return normalised(image, self._mean, self._std), self._labels[index]


def normalised(images, mean, std):
  """Bytes [..., channels, height, width] as floats; mean and std are [channels, 1, 1]."""
  return (images / 255 - mean) / std


def loss_of(logits, answers, labels):
  """The labels' cross-entropy and the teacher's divergence at a temperature, weighted."""
  soft = [nn.functional.log_softmax(each / _TEMPERATURE, 1) for each in (logits, answers)]
  divergence = nn.functional.kl_div(*soft, reduction="batchmean", log_target=True)
  hard = nn.functional.cross_entropy(logits, labels)
  return _LABELS * hard + _TEACHER * _TEMPERATURE**2 * divergence


def cycle(step, steps):
  """The share of the learning rate's peak at a step: up in a line, down to 0 by a cosine."""
  done = step / steps
  if done < RISE:
    return done / RISE
  return 0.5 * (1 + math.cos(math.pi * (done - RISE) / (1 - RISE)))


def distil(student, teacher, train, test, *, epochs, learning_rate):
  """Trains a student; yields (mean loss, top-1 on the test split) after every epoch.

  Args:
    student, teacher: networks of `tests.reference`.
    train, test: `DataLoader`s of normalised images and labels.
    epochs: how many.
    learning_rate: the peak.
  """
  student = student.to(memory_format=torch.channels_last)
  teacher = teacher.to(memory_format=torch.channels_last).eval()
  optimiser = torch.optim.SGD(
    student.parameters(), lr=learning_rate, momentum=0.9, weight_decay=5e-4
  )
  steps = epochs * len(train)
  schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: cycle(step, steps))
  for _ in range(epochs):
    student.train()
    total = 0.0
    for images, labels in train:
      images = images.to(memory_format=torch.channels_last)
      with torch.no_grad():
        answers = teacher(images).logits
      loss = loss_of(student(images).logits, answers, labels)
      optimiser.zero_grad()
      loss.backward()
      optimiser.step()
      schedule.step()
      total += loss.item()
    yield total / len(train), top1(student, test)


def top1(student, test):
  """The share of right answers."""
  student.eval()
  right = count = 0
  with torch.no_grad():
    for images, labels in test:
      images = images.to(memory_format=torch.channels_last)
      right += int((student(images).logits.argmax(1) == labels).sum())
      count += len(labels)
  return right / count


def loaders(data, batch, workers):
  """Returns `DataLoader`s of what a race writes of its data: training, in whole batches, and test.

  Args:
    data: {"train_images": uint8 [n, height, width, channels], "train_labels", "test_images",
      "test_labels", "mean", "std"}.
    batch: training images per step.
    workers: processes that make training images; 0: none but this.
  """
  train, test = (
    torch.from_numpy(data[f"{split}_images"]).permute(0, 3, 1, 2) for split in ("train", "test")
  )
  labels = {split: torch.from_numpy(data[f"{split}_labels"]).long() for split in ("train", "test")}
  mean, std = (torch.from_numpy(data[name]).float()[:, None, None] for name in ("mean", "std"))
  augmented = Augmented(train, labels["train"], mean, std)
  tested = TensorDataset(normalised(test, mean, std), labels["test"])
  return (
    DataLoader(augmented, batch, shuffle=True, num_workers=workers, drop_last=True),
    DataLoader(tested, _EXAM),
  )


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data", type=pathlib.Path, required=True, help="see `loaders`")
  parser.add_argument("--student", required=True)
  parser.add_argument("--model", required=True, help="of the teacher")
  parser.add_argument("--teacher", type=pathlib.Path, required=True, help="its state_dict")
  parser.add_argument("--epochs", type=int, required=True)
  parser.add_argument("--batch", type=int, default=64)
  parser.add_argument("--learning_rate", type=float, default=0.1)
  parser.add_argument("--workers", type=int, default=2)
  parser.add_argument("--seed", type=int, default=0)
  options = parser.parse_args()
  torch.manual_seed(options.seed)
  with np.load(options.data) as data:
    train, test = loaders(data, options.batch, options.workers)
    classes = int(data["train_labels"].max()) + 1
  student, teacher = (zoo.make(name, classes) for name in (options.student, options.model))
  teacher.load_state_dict(torch.load(options.teacher))
  told = distil(
    student, teacher, train, test, epochs=options.epochs, learning_rate=options.learning_rate
  )
  for number, (loss, right) in enumerate(told):
    print(json.dumps({"epoch": number + 1, "loss": loss, "top1": right}), flush=True)


if __name__ == "__main__":
  main()
