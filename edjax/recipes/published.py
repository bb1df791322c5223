"""The published settings of every distillation algorithm, as variants of every config.

`configs/cifar100.py:dkd` is ordinary distillation, as `:kd` is, by DKD with the weights that its
paper or the field's libraries use on CIFAR-100; `:dkd,ed` is the same algorithm under the config's
own curriculum, `:dkd,paper` under the published one. None stands for a number that depends on other
settings, such as the pair of networks; `edjax.settings` has those. Sources: RepDistiller
(arXiv:1910.10699 and its scripts), mdistiller (arXiv:2203.08679 and its configs), CA-MKD
(arXiv:2201.00007 and its script), or the papers named in `edjax/methods/`.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ml_collections import ConfigDict

from edjax import rows
from edjax.rows import GradeRow

Methods = Mapping[str, Mapping[str, Any]]  # {name: {option: value}}

_CE = {"weight": 1.0}
_KD = {"weight": 1.0, "temperature": 4.0}
_SHARED_KD = {"weight": None, "temperature": 4.0}  # by how many teachers share an image
_HINTON = {"ce": {"weight": 0.1}, "kd": {"weight": 0.9, "temperature": 4.0}}
_HINTON_IMAGENET = {"ce": {"weight": 0.5}, "kd": {"weight": 0.5, "temperature": 1.0}}

# variant -> the methods it composes, as on CIFAR-100
METHODS: dict[str, Methods] = {
  "at": {"ce": _CE, "at": {"weight": 1000.0}},
  "fitnet": {"ce": _CE, "fitnet": {"weight": 100.0}},
  "sp": {"ce": _CE, "sp": {"weight": 3000.0}},
  "vid": {"ce": _CE, "vid": {"weight": 1.0}},
  "nst": {"ce": _CE, "nst": {"weight": 50.0}},
  "cc": {"ce": _CE, "cc": {"weight": 0.02, "form": "consecutive"}},
  "rkd": {"ce": _CE, "rkd": {"weight": 1.0}},
  "pkt": {"ce": _CE, "pkt": {"weight": 30000.0}},
  "kdsvd": {"ce": _CE, "kdsvd": {"weight": 1.0, "vectors": "columns"}},
  "crd": {"ce": _CE, "crd": {"weight": 0.8}},
  "crd_kd": {"ce": _CE, "kd": _KD, "crd": {"weight": 0.8}},
  "ofd": {"ce": _CE, "ofd": {"weight": 0.001}},
  "reviewkd": {"ce": _CE, "reviewkd": {"weight": None}},
  "srrl": {"ce": _CE, "kd": _KD, "srrl": {"weight": 1.0}},
  "semckd": {"ce": _CE, "kd": _KD, "semckd": {"weight": 400.0, "images": None}},
  "dkd": {"ce": _CE, "dkd": {"weight": 1.0, "beta": None}},
  "dist": {"ce": _CE, "dist": {"weight": 2.0}},
  "ctkd": {"ce": {"weight": 0.1}, "ctkd": {"weight": 0.9}},
  "lskd": {
    "ce": {"weight": 0.1},
    "kd": {"weight": 9.0, "temperature": 2.0, "standardise": True},
  },
  "mlld": {"ce": {"weight": 0.2}, "mlld": {"weight": 0.9, "per_class": 0.64}},
  "ab": {"ce": _CE, "ab": {"weight": 1.0}},
  "fsp": {"ce": _CE, "fsp": {"weight": 50.0, "form": "mean"}},
  "ft": {"ce": _CE, "ft": {"weight": 200.0, "form": "attention", "norm": True}},
  "simkd": {"simkd": {"weight": 1.0}},
  "function": {"kd": {"weight": 1.0, "temperature": 10.0}},
  "dot": _HINTON,
  "self": _HINTON,
  "average": {"ce": _CE, "kd": _KD},
  "ebkd": {"ce": _CE, "kd": _SHARED_KD},
  "aekd": {"ce": _CE, "kd": _KD},
  "camkd": {"ce": _CE, "kd": _SHARED_KD, "camkd": {"weight": None}},
}

# variant -> what is published for ImageNet instead: mdistiller, DIST's and SemCKD's authors, and
# torchdistill for standardised logits
IMAGENET: dict[str, Methods] = {
  "dkd": {"ce": _CE, "dkd": {"weight": 1.0, "beta": None, "temperature": 1.0, "warm_up": 1.0}},
  "reviewkd": {"ce": _CE, "reviewkd": {"weight": None, "warmup": 1.0}},
  "ofd": {"ce": _CE, "ofd": {"weight": 0.0001}},
  "dist": {"ce": _CE, "dist": {"weight": 2.0, "temperature": 1.0}},
  "semckd": {"ce": _CE, "kd": _KD, "semckd": {"weight": 50.0, "images": None}},
  "lskd": {
    "ce": {"weight": 0.5},
    "kd": {"weight": 9.0, "temperature": 2.0, "standardise": True},
  },
  "dot": _HINTON_IMAGENET,
  "self": _HINTON_IMAGENET,
}
SCALES: dict[str, dict[str, Any]] = {
  "cifar": {"methods": METHODS, "dot_delta": 0.075, "kd": _HINTON},
  "imagenet": {"methods": METHODS | IMAGENET, "dot_delta": 0.09, "kd": _HINTON_IMAGENET},
}

_CONSENSUS = {
  "average": "average",
  "ebkd": "entropy",
  "aekd": "gradient",
  "camkd": "confidence",
}
GENERAL = {"simkd", *_CONSENSUS}  # teachers of all classes are needed
_PHASE = 1 / 8  # of the epochs: 30 of 240
_PARAPHRASE_RATE = 1 / 5  # of the students' learning rate: 0.01 of 0.05
_FUNCTION_RATE = 0.01


def variants(scale: str = "cifar") -> dict[str, Callable[[ConfigDict], None]]:
  """Returns {variant: function of a config that has its curriculum}.

  Args:
    scale: a key of `SCALES`: of which experiments the weights are taken.
  """
  return {name: functools.partial(_apply, name, SCALES[scale]) for name in METHODS}


def kd(config: ConfigDict, scale: str = "cifar") -> None:
  """Hinton's distillation with the literature's weights."""
  config.methods = ConfigDict(SCALES[scale]["kd"])


def _apply(name: str, scale: Mapping[str, Any], config: ConfigDict) -> None:
  config.methods = ConfigDict(scale["methods"][name])
  alone = len(config.grades) == 1
  if name in ("fsp", "self"):
    for part in (config.faculty.specialist, config.faculty.generalist):
      part.model = None  # by the student, whatever that will be
  if name in ("ab", "fsp") and alone:
    first, rest = _with_first_phase(config)
    _take(config, replace(first, methods=name), replace(rest, methods="ce", teachers="none"))
  elif name == "ft":
    _paraphrase(config)
  elif name == "simkd" and any(row.fragments for row in config.grades.values()):
    _teach_below(config, "kd")
  elif name == "mlld":
    config.recipe.views = "two"
  elif name == "function":
    _match_functions(config)
  elif name == "dot":
    config.recipe.update(optimiser="dot", dot_delta=scale["dot_delta"])
  elif name in _CONSENSUS:
    config.faculty.generalists = 3
    config.recipe.update(consensus=_CONSENSUS[name], nesterov=True)


def _match_functions(config: ConfigDict) -> None:
  """Adam and a cosine for the student, while teachers learn by the config's own recipe."""
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.update(optimiser=config.recipe.optimiser, clip=config.recipe.clip)
    part.weight_decay = config.recipe.weight_decay
  config.recipe.update(optimiser="adamw", mixup=1.0, clip=1.0, weight_decay=1e-3)
  config.recipe.update(schedule="cosine", milestones=())
  highest = max(row.learning_rate for row in config.grades.values())
  for row in config.grades.values():
    row.learning_rate = _FUNCTION_RATE * row.learning_rate / highest


def _paraphrase(config: ConfigDict) -> None:
  """FT's paraphrasers learn before the student does."""
  first, *others = _with_first_phase(config)
  rate = _PARAPHRASE_RATE * first.learning_rate
  _take(
    config,
    replace(first, methods="ft:paraphrase", frozen=-1, learning_rate=rate),
    *(replace(row, methods="ft+ce") for row in others),
  )


def _teach_below(config: ConfigDict, method: str) -> None:
  """Another method teaches in the grades that have no head to project to."""
  config.methods = ConfigDict(config.methods.to_dict() | {method: _KD})
  for row in config.grades.values():
    row.methods = method if row.fragments else "simkd"


def _with_first_phase(config: ConfigDict) -> tuple[GradeRow, ...]:
  """Returns the grades behind one more: like the first, an eighth of all epochs, at a steady rate.

  The milestones of the recipe are moved to where they are then.
  """
  grades = rows.build(config.grades.to_dict())
  epochs = max(1, round(_PHASE * sum(row.epochs for row in grades)))
  config.recipe.milestones = tuple(epochs + milestone for milestone in config.recipe.milestones)
  return (replace(grades[0], epochs=epochs, final_rate=1.0), *grades)


def _take(config: ConfigDict, *grades: GradeRow) -> None:
  config.grades = ConfigDict(rows.named(grades))
