"""Published accuracies of pairs of networks on CIFAR-100, beside which one's own stand.

Top-1 in percent at 240 epochs. RepDistiller's (Tian et al. 2020, arXiv:1910.10699, its README) are
of the last epoch, DIST's (Huang et al. 2022, arXiv:2205.10536, its README) means of several runs;
mdistiller's (its README) are of the best epoch, as its authors say, and so flatter.
"""

from collections.abc import Collection, Mapping

Pair = tuple[str, str]  # teacher, student

DATASET = "cifar100"
ALONE = "ce"  # the student without a teacher
_REP, _DIST, _MD = "RepDistiller, last epoch", "DIST's authors", "mdistiller, best epoch"
_PAIRS: tuple[Pair, ...] = (
  ("wrn_40_2", "wrn_16_2"), ("wrn_40_2", "wrn_40_1"), ("resnet56", "resnet20"),
  ("resnet110", "resnet20"), ("resnet110", "resnet32"), ("resnet32x4", "resnet8x4"),
  ("vgg13", "vgg8"), ("vgg13", "mobilenetv2_half"), ("resnet50_cifar", "mobilenetv2_half"),
  ("resnet50_cifar", "vgg8"), ("resnet32x4", "shufflenetv1"), ("resnet32x4", "shufflenetv2"),
  ("wrn_40_2", "shufflenetv1"),
)  # fmt: skip
# A figure per pair, in that order; None where there is none.
_REPDISTILLER: Mapping[str, tuple[float | None, ...]] = {
  ALONE: (73.26, 71.98, 69.06, 69.06, 71.14, 72.50, 70.36, 64.60, 64.60, 70.36, 70.50, 71.82,
          70.50),
  "kd": (74.92, 73.54, 70.66, 70.67, 73.08, 73.33, 72.98, 67.37, 67.35, 73.81, 74.07, 74.45,
         74.83),
  "fitnet": (73.58, 72.24, 69.21, 68.99, 71.06, 73.50, 71.02, 64.14, 63.16, 70.69, 73.59, 73.54,
             73.73),
  "at": (74.08, 72.77, 70.55, 70.22, 72.31, 73.44, 71.43, 59.40, 58.58, 71.84, 71.73, 72.73,
         73.32),
  "sp": (73.83, 72.43, 69.67, 70.04, 72.69, 72.94, 72.68, 66.30, 68.08, 73.34, 73.48, 74.56,
         74.52),
  "cc": (73.56, 72.21, 69.63, 69.48, 71.48, 72.97, 70.71, 64.86, 65.43, 70.25, 71.14, 71.29,
         71.38),
  "vid": (74.11, 73.30, 70.38, 70.16, 72.61, 73.09, 71.23, 65.56, 67.57, 70.30, 73.38, 73.40,
          73.61),
  "rkd": (73.35, 72.22, 69.61, 69.25, 71.82, 71.90, 71.48, 64.52, 64.43, 71.50, 72.28, 73.21,
          72.21),
  "pkt": (74.54, 73.45, 70.34, 70.25, 72.61, 73.64, 72.88, 67.13, 66.52, 73.01, 74.10, 74.69,
          73.89),
  "ab": (72.50, 72.38, 69.47, 69.53, 70.98, 73.17, 70.94, 66.06, 67.20, 70.65, 73.55, 74.31,
         73.34),
  "ft": (73.25, 71.59, 69.84, 70.22, 72.37, 72.86, 70.58, 61.78, 60.99, 70.29, 71.75, 72.50,
         72.03),
  "fsp": (72.91, None, 69.95, 70.11, 71.89, 72.62, 70.23, None, None, None, None, None, None),
  "nst": (73.68, 72.24, 69.60, 69.53, 71.96, 73.30, 71.53, 58.16, 64.96, 71.28, 74.12, 74.68,
          74.89),
  "crd": (75.48, 74.14, 71.16, 71.46, 73.48, 75.51, 73.94, 69.73, 69.11, 74.30, 75.11, 75.65,
          76.05),
}  # fmt: skip
_OTHERS: Mapping[tuple[str, str], Mapping[Pair, float]] = {
  ("dkd", _MD): {
    ("resnet56", "resnet20"): 71.97, ("resnet110", "resnet32"): 74.11,
    ("resnet32x4", "resnet8x4"): 76.32, ("wrn_40_2", "wrn_16_2"): 76.23,
    ("wrn_40_2", "wrn_40_1"): 74.81, ("vgg13", "vgg8"): 74.68,
    ("resnet32x4", "shufflenetv1"): 76.45, ("wrn_40_2", "shufflenetv1"): 76.70,
    ("vgg13", "mobilenetv2_half"): 69.71, ("resnet50_cifar", "mobilenetv2_half"): 70.35,
  },
  ("dist", _DIST): {
    ("wrn_40_2", "wrn_40_1"): 74.43, ("resnet56", "resnet20"): 71.75,
    ("resnet32x4", "resnet8x4"): 76.31, ("resnet50_cifar", "mobilenetv2_half"): 68.66,
    ("resnet32x4", "shufflenetv1"): 76.34, ("resnet32x4", "shufflenetv2"): 77.35,
  },
}  # fmt: skip


def beside(
  dataset: str, teachers: Collection[str], student: str, methods: Collection[str]
) -> tuple[float, str] | None:
  """Returns (top-1 in percent, whose figure it is) of a pair and a method, or None.

  Args:
    dataset: its name.
    teachers: models of the teachers; none for a student alone.
    student: its model.
    methods: names of those in use, of which "ce", the labels, goes with all.
  """
  own = {*methods} - {ALONE} if teachers else {ALONE}
  if dataset != DATASET or len({*teachers}) > 1 or len(own) != 1:
    return None
  (method,) = own
  for (name, whose), figures in _OTHERS.items():
    for (teacher, other), figure in figures.items():
      if (name, {teacher}, other) == (method, {*teachers}, student):
        return figure, whose
  for (teacher, other), known in zip(_PAIRS, _REPDISTILLER.get(method, ()), strict=False):
    if known and other == student and (not teachers or teacher in teachers):
      return known, _REP
  return None
