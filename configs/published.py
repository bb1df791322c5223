"""The published settings of every distillation algorithm, as variants of every config.

`configs/cifar100.py:dkd` is ordinary distillation, as `:kd` is, by DKD with the weights that its
paper or the field's libraries use on CIFAR-100; `:dkd,ed` is the same algorithm under the config's
own curriculum. A number that belongs to a pair of networks is in `PAIRS`. Sources: RepDistiller
(arXiv:1910.10699 and its scripts), mdistiller (arXiv:2203.08679 and its configs), or the papers
named in `edjax/methods/`.
"""

import functools

from ml_collections import ConfigDict

from edjax import methods

_CE = {"weight": 1.0}
_KD = {"weight": 1.0, "temperature": 4.0}
_HINTON = {"ce": {"weight": 0.1}, "kd": {"weight": 0.9, "temperature": 4.0}}

# variant -> the methods it composes
METHODS = {
  "at": {"ce": _CE, "at": {"weight": 1000.0}},
  "fitnet": {"ce": _CE, "fitnet": {"weight": 100.0}},
  "sp": {"ce": _CE, "sp": {"weight": 3000.0}},
  "vid": {"ce": _CE, "vid": {"weight": 1.0}},
  "nst": {"ce": _CE, "nst": {"weight": 50.0}},
  "cc": {"ce": _CE, "cc": {"weight": 0.02}},
  "rkd": {"ce": _CE, "rkd": {"weight": 1.0}},
  "pkt": {"ce": _CE, "pkt": {"weight": 30000.0}},
  "kdsvd": {"ce": _CE, "kdsvd": {"weight": 1.0, "vectors": "columns"}},
  "crd": {"ce": _CE, "crd": {"weight": 0.8}},
  "crd_kd": {"ce": _CE, "kd": _KD, "crd": {"weight": 0.8}},
  "ofd": {"ce": _CE, "ofd": {"weight": 0.001}},
  "reviewkd": {"ce": _CE, "reviewkd": {"weight": 5.0}},
  "srrl": {"ce": _CE, "kd": _KD, "srrl": {"weight": 1.0}},
  "semckd": {"ce": _CE, "kd": _KD, "semckd": {"weight": 400.0}},
  "dkd": {"ce": _CE, "dkd": {"weight": 1.0}},
  "dist": {"ce": _CE, "dist": {"weight": 2.0}},
  "ctkd": {"ce": {"weight": 0.1}, "ctkd": {"weight": 0.9}},
  "lskd": {
    "ce": {"weight": 0.1},
    "kd": {"weight": 9.0, "temperature": 2.0, "standardise": True},
  },
  "mlld": {"ce": {"weight": 0.2}, "mlld": {"weight": 0.9}},
  "ab": {"ce": _CE, "ab": {"weight": 1.0}},
  "fsp": {"ce": _CE, "fsp": {"weight": 50.0, "form": "mean"}},
  "ft": {"ce": _CE, "ft": {"weight": 200.0, "form": "attention", "norm": True}},
  "simkd": {"simkd": {"weight": 1.0}},
  "function": {"kd": {"weight": 1.0, "temperature": 10.0}},
  "dot": _HINTON,
  "self": _HINTON,
  "average": {"ce": _CE, "kd": _KD},
  "ebkd": {"ce": _CE, "kd": _KD},
  "aekd": {"ce": _CE, "kd": _KD},
  "camkd": {"ce": _CE, "kd": _KD},
}

# (teacher, student) -> {method: what is published for this pair instead}
PAIRS = {
  ("resnet56", "resnet20"): {"dkd": {"beta": 2.0}, "reviewkd": {"weight": 0.6}},
  ("resnet110", "resnet20"): {"dkd": {"beta": 2.0}},
  ("resnet110", "resnet32"): {"dkd": {"beta": 2.0}, "reviewkd": {"weight": 1.0}},
  ("wrn_40_2", "wrn_16_2"): {"dkd": {"beta": 6.0}},
  ("wrn_40_2", "wrn_40_1"): {"dkd": {"beta": 6.0}},
  ("wrn_40_2", "shufflenetv1"): {"dkd": {"beta": 6.0}},
  ("vgg13", "vgg8"): {"dkd": {"beta": 6.0}},
  ("vgg13", "mobilenetv2_half"): {"dkd": {"beta": 6.0}, "reviewkd": {"weight": 8.0}},
  ("resnet32x4", "shufflenetv2"): {"reviewkd": {"weight": 8.0}},
}

# (teacher, student) with unlike numbers of stages -> which belong together: those of equal size
STAGES = {("resnet18_cifar", "shufflenetv2"): "1:2,2:3,3:4"}

# student -> a teacher with as many channels stage by stage, which FSP compares one with the other
FLOW_TEACHERS = {
  "resnet8_half": "resnet8_half",
  "resnet18": "resnet34",
  "shufflenetv2": "shufflenetv2",
}

_CONSENSUS = {
  "average": "average",
  "ebkd": "entropy",
  "aekd": "gradient",
  "camkd": "confidence",
}
_PHASE = 1 / 8  # of the epochs: 30 of 240
_PARAPHRASE_RATE = 1 / 5  # of the students' learning rate: 0.01 of 0.05
# Of teachers in whose classifier a student can end.
_EMBEDDINGS = {
  "resnet8": 64,
  "resnet20": 64,
  "resnet56": 64,
  "resnet110": 64,
  "resnet32x4": 256,
  "wrn_40_2": 128,
  "vgg13": 512,
  "resnet18_cifar": 512,
  "resnet34": 512,
  "resnet50": 2048,
}


def variants(kd, ed):
  """Returns {variant: function of a config}.

  Args:
    kd: makes a config its own ordinary distillation.
    ed: makes it its own curriculum again; as variant "ed" it comes after all methods.
  """
  rows = {name: functools.partial(_apply, name, kd) for name in METHODS}
  return rows | {"ed": functools.partial(_under_education, ed)}


def _apply(name, kd, config):
  kd(config)
  if name == "fsp":
    for part in (config.faculty.specialist, config.faculty.generalist):
      part.model = FLOW_TEACHERS.get(config.student.model, part.model)
  pair = config.faculty.generalist.model, config.student.model
  special = PAIRS.get(pair, {})
  config.methods = ConfigDict(
    {method: row | special.get(method, {}) for method, row in METHODS[name].items()}
  )
  if pair in STAGES:
    for method, row in config.methods.items():
      if getattr(methods.METHODS[method], "pairs", None) == "":
        row.pairs = STAGES[pair]
  if name in ("ab", "fsp"):
    _first_phase(config)
    config.grades.update(teachers=("generalist", "none"), methods=(name, "ce"))
  elif name == "ft":
    _paraphrase(config)
  elif name == "simkd":
    config.student.model += f"+simkd{_EMBEDDINGS[config.faculty.generalist.model]}"
  elif name == "semckd":
    config.methods.semckd.images = config.recipe.batch_size
  elif name == "mlld":
    config.recipe.views = "two"
  elif name == "function":
    config.recipe.update(optimiser="adam", mixup=1.0, clip=1.0, weight_decay=1e-3)
    config.grades.learning_rate = (0.01,)
  elif name == "dot":
    config.recipe.optimiser = "dot"
  elif name == "self":
    config.faculty.generalist.model = config.student.model
  elif name in _CONSENSUS:
    config.faculty.generalists = 3
    config.recipe.update(consensus=_CONSENSUS[name], nesterov=True)


def _under_education(ed, config):
  for name, column in config.grades.items():
    config.grades[name] = column[-1:]  # without the phase that a method may have put before
  config.grades.methods = ("",)
  ed(config)
  if "ft" in config.methods:
    _paraphrase(config)
  if "simkd" in config.methods:
    _teach_below(config, "kd")


def _paraphrase(config):
  """FT's paraphrasers learn before the student does."""
  _first_phase(config)
  rest = len(config.grades.epochs) - 1
  config.grades.update(
    methods=("ft:paraphrase", *("ft+ce",) * rest),
    frozen=(-1, *config.grades.frozen[1:]),
    learning_rate=(
      _PARAPHRASE_RATE * config.grades.learning_rate[0],
      *config.grades.learning_rate[1:],
    ),
  )


def _teach_below(config, method):
  """Another method teaches in the grades that have no head to project to."""
  config.methods = ConfigDict(dict(config.methods) | {method: _KD})
  config.grades.methods = tuple("simkd" if not n else method for n in config.grades.fragments)


def _first_phase(config):
  """Puts a grade before the others: like the first, an eighth of all epochs, at a steady rate."""
  grades, total = config.grades, sum(config.grades.epochs)
  first, length = max(1, round(_PHASE * total)), len(config.grades.epochs)
  for name, column in grades.items():
    whole = column * length if len(column) == 1 else column
    grades[name] = (whole[0], *whole)
  grades.epochs = (first, *grades.epochs[1:])
  grades.final_rate = (1.0, *grades.final_rate[1:])
  config.recipe.milestones = tuple(first + milestone for milestone in config.recipe.milestones)
