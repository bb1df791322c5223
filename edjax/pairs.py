"""What is published for pairs of networks, and which teacher a student has: literal tables."""

from collections.abc import Callable

# (teacher, student) -> {method: what is published for this pair}. β of DKD and the ImageNet pairs
# are of mdistiller's configs, the weights of ReviewKD on CIFAR-100 of its authors' script.
PAIRS: dict[tuple[str, str], dict[str, dict[str, float]]] = {
  ("resnet56", "resnet20"): {"dkd": {"beta": 2.0}, "reviewkd": {"weight": 0.6}},
  ("resnet110", "resnet32"): {"dkd": {"beta": 2.0}, "reviewkd": {"weight": 1.0}},
  ("resnet110", "resnet20"): {"dkd": {"beta": 2.0}},  # edjax's own: as for its neighbours above
  ("resnet32x4", "resnet8x4"): {"dkd": {"beta": 8.0}, "reviewkd": {"weight": 5.0}},
  ("resnet32x4", "shufflenetv1"): {"dkd": {"beta": 8.0}, "reviewkd": {"weight": 5.0}},
  ("resnet32x4", "shufflenetv2"): {"dkd": {"beta": 8.0}, "reviewkd": {"weight": 8.0}},
  ("wrn_40_2", "wrn_16_2"): {"dkd": {"beta": 6.0}, "reviewkd": {"weight": 5.0}},
  ("wrn_40_2", "wrn_40_1"): {"dkd": {"beta": 6.0}, "reviewkd": {"weight": 5.0}},
  ("wrn_40_2", "shufflenetv1"): {"dkd": {"beta": 8.0}, "reviewkd": {"weight": 5.0}},
  ("vgg13", "vgg8"): {"dkd": {"beta": 6.0}},
  ("vgg13", "mobilenetv2_half"): {"dkd": {"beta": 6.0}},
  ("resnet50_cifar", "mobilenetv2_half"): {"dkd": {"beta": 8.0}},
  ("resnet34", "resnet18"): {"dkd": {"beta": 0.5}, "reviewkd": {"weight": 1.0}},
  ("resnet50", "resnet18"): {"dkd": {"beta": 0.5}, "reviewkd": {"weight": 1.0}},  # as of resnet34
  ("resnet50", "mobilenetv1"): {"dkd": {"beta": 2.0}, "reviewkd": {"weight": 8.0}},
}
# (teacher, student) with unlike numbers of stages -> which belong together: those of equal size
STAGES: dict[tuple[str, str], str] = {("resnet18_cifar", "shufflenetv2"): "1:2,2:3,3:4"}
# method -> {option: what it is for other pairs}
OTHERWISE: dict[str, dict[str, float]] = {
  "dkd": {"beta": 8.0},
  "reviewkd": {"weight": 5.0},
  "kd": {"weight": 1.0},
  "camkd": {"weight": 50.0},
}
# student -> a teacher with as many channels stage by stage, which FSP compares one with the other;
# for other students it is their own body. Mostly the literature's pairs.
FLOW_TEACHERS = {
  "resnet8": "resnet20",
  "resnet14": "resnet110",
  "resnet20": "resnet110",
  "resnet32": "resnet110",
  "resnet44": "resnet110",
  "resnet56": "resnet110",
  "resnet8x4": "resnet32x4",
  "resnet18": "resnet34",
  "vgg8": "vgg13",
  "wrn_16_2": "wrn_40_2",
}
# recipe.consensus -> by how much CA-MKD's authors count less of M teachers than edjax, whose shares
# add up to 1: they divide by M once more.
DIVIDED: dict[str, Callable[[int], float]] = {
  "entropy": lambda teachers: (teachers - 1) / teachers,
  "confidence": lambda teachers: 1 / teachers,
}
