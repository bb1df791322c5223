"""The losses in PyTorch: hard labels, distillation (Hinton et al. 2015, arXiv:1503.02531), and
education distillation (arXiv:2311.13811, section 3) over mixed batches."""

from typing import NamedTuple

import torch
import torch.nn.functional as F


class Answer(NamedTuple):
  """What one teacher says of its own samples.

  Attributes:
    rows: indices [n] or slice of the batch that it answers for.
    classes: indices [k] or slice of the student's logits that its columns stand for.
    logits: [n, k].
  """

  rows: torch.Tensor | slice
  classes: torch.Tensor | slice
  logits: torch.Tensor


def cross_entropy(logits, labels):
  """Returns −log softmax(logits)[label], [batch]."""
  return F.cross_entropy(logits, labels, reduction="none")


def kd(student, teacher, temperature):
  """Returns T²·KL(softmax(teacher/T) ‖ softmax(student/T)), summed over classes, [batch].

  Args:
    student: logits [batch, classes].
    teacher: logits [batch, classes], taken as constants.
    temperature: T, a number.
  """
  target = F.log_softmax(teacher.detach() / temperature, dim=1)
  guess = F.log_softmax(student / temperature, dim=1)
  divergence = F.kl_div(guess, target, reduction="none", log_target=True).sum(dim=1)
  return temperature**2 * divergence


def education(student, labels, answers, alpha=0.3, temperature=4.0):
  """Returns the loss of one step: the mean over the batch of α·CE + (1−α)·KD.

  Args:
    student: logits [batch, seen classes]; CE is over all of them.
    labels: [batch], places among the seen classes.
    answers: `Answer`s; KD compares a teacher with the student's logits of the teacher's classes.
      Each sample must have exactly one answer; with no answers the loss is the mean of CE.

  Raises:
    ValueError: if a sample is answered never or more than once.
  """
  hard = cross_entropy(student, labels)
  if not answers:
    return hard.mean()
  soft, answered = torch.zeros_like(hard), torch.zeros_like(labels)
  for rows, classes, logits in answers:
    answered[rows] += 1
    soft[rows] = kd(student[rows][:, classes], logits, temperature)
  if (answered != 1).any():
    raise ValueError(f"answers per sample are {answered.tolist()}, not one each")
  return (alpha * hard + (1 - alpha) * soft).mean()
