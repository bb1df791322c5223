"""A grade as the compiler sees it."""

import dataclasses

import optax

from edjax.data.augment import pipeline
from edjax.methods import Built
from edjax.models.cut import Blocks
from edjax.models.layers import Network
from edjax.teachers.faculty import Role


@dataclasses.dataclass(frozen=True)
class StepSpec:
  """A grade as the compiler sees it: everything static.

  Attributes:
    network: the student's, with `axis_name=AXIS`.
    num_classes: columns of the student's logits.
    batch_size: over all devices.
    methods: ((name, weight, method), …).
    roles: a `Role` per teacher.
    tx: the optimiser.
    apart: it wants the gradients of hard labels and of teachers apart, see `optimisers`.
    augment: how images enter.
    partners: of every seat, the seat whose image is mixed in where images are mixed.
    target: "slice" or "seen", see `curriculum.Recipe`.
    consensus: how teachers of one image share it, see `curriculum.Recipe`.
    precision: in which the networks compute, see `precision`.
    missing: stages of the whole student that have not grown yet.
    steps_per_epoch: of the grade.
    blocks: of a student that is cut by depth; None: by stages.
    frozen: fragments that do not learn; −1: nothing of the student does. Of these, of `kept` and of
      `lower`, `cut.BODY` stands for all but the last layer.
    reuses: the student ends in a teacher's classifier, which does not learn.
    kept: fragments whose normalisations keep their statistics, and normalise by them, while they
      learn.
    lower: fragments, trained before, whose updates are multiplied by `lower_rate`.
    lower_rate: that factor.
    carry_momentum: see `curriculum.Grade`.
    ema: see `curriculum.Recipe`.
  """

  network: Network
  num_classes: int
  batch_size: int
  methods: Built
  roles: tuple[Role, ...]
  tx: optax.GradientTransformation
  augment: pipeline.Augment
  apart: bool = False
  partners: tuple[int, ...] = ()
  target: str = "slice"
  consensus: str = "average"
  precision: str = "float32"
  missing: int = 0
  steps_per_epoch: int = 1
  blocks: Blocks | None = None
  frozen: int = 0
  reuses: bool = False
  kept: int = 0
  lower: int = 0
  lower_rate: float = 1.0
  carry_momentum: bool = False
  ema: float = 0.0

  @property
  def views(self) -> int:
    """How often an image is looked at in a step."""
    return 1 if self.augment.strong is None else 2
