"""Multi-level logit distillation, its published code's oddities as an option."""

import torch.nn.functional as F

OPTIONS = (
  {},
  {"temperatures": (2.0, 1.0, 5.0), "form": "code"},
  {"per_class": 0.3},
  {"per_class": 2.0, "form": "code"},
)


def _kl(student, teacher, temperature):
  p, q = (
    F.log_softmax(teacher.logits / temperature, 1),
    F.log_softmax(student.logits / temperature, 1),
  )
  return temperature**2 * (p.exp() * (p - q)).sum(1).mean()


def _gram(student, teacher, temperature, by_class):
  matrices = []
  for output in (student, teacher):
    p = F.softmax(output.logits / temperature, 1)
    matrices.append(p.T @ p if by_class else p @ p.T)
  return ((matrices[0] - matrices[1]) ** 2).sum() / len(matrices[0])


def loss(
  student,
  teacher,
  batch,
  variables,
  temperatures=(4.0, 3.0, 5.0, 2.0, 6.0),
  form="paper",
  per_class=0.0,
):
  views = [(student, teacher)] + ([batch.strong] if batch.strong else [])
  images, classes = student.logits.shape
  scale = per_class * classes / images if per_class else 1
  if form == "paper":
    return sum(
      _kl(*view, t) + scale * _gram(*view, t, False) + scale**2 * _gram(*view, t, True)
      for view in views
      for t in temperatures
    )
  p = F.softmax(teacher.logits, 1)
  sure, often = p.max(1).values, p.sum(0)
  m = (sure <= sure.quantile(0.5)).double().mean()
  c = (often <= often.quantile(0.5)).double().mean()
  result = sum(
    m * _kl(student, teacher, t)
    + m * scale * _gram(student, teacher, t, False)
    + c * scale**2 * _gram(student, teacher, t, True)
    for t in temperatures
  )
  if len(views) == 2:
    result += sum(_kl(*views[1], t) for t in temperatures[:-2])
    result += sum(_kl(*views[0], t) for t in temperatures[-2:])
  return result
