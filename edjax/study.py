"""What one network is to go through, settled before it begins."""

import dataclasses
import pathlib
from typing import Any

from edjax.curriculum import Curriculum, Recipe
from edjax.data.figures import Figures
from edjax.errors import within
from edjax.methods import Built
from edjax.start import Start
from edjax.types import Label


@dataclasses.dataclass(frozen=True)
class Study:
  """One network's schooling, as settled before it begins.

  Attributes:
    label: "student", or a teacher's name.
    model: a row of `models.MODELS`.
    cut: how it is cut in fragments, one of `models.cut.CUTS`.
    start: the network that it begins as, all but the last layer, or None.
    keep_statistics: whether what it has of its start keeps that one's batch statistics.
    curriculum: a `curriculum.Curriculum`.
    order: the data set's labels in the class order of this study.
    teachers: {name: `faculty.Teacher`}.
    recipe: a `curriculum.Recipe`.
    methods: from `methods.build`.
    seed: of initialisation, data order and augmentation.
    directory: of its checkpoints and its metrics.jsonl.
    every_seconds, keep: how often a checkpoint is written, and how many are kept.
    bank: a `bank.Settings`, how teachers' answers are kept, or None.
  """

  label: str
  model: str
  curriculum: Curriculum
  order: tuple[Label, ...]
  teachers: dict[str, Any]
  recipe: Recipe
  methods: Built
  seed: int
  directory: pathlib.Path
  every_seconds: float
  keep: int
  bank: object | None = None
  cut: str = "stages"
  start: Start | None = None
  keep_statistics: bool = False

  @property
  def figures(self) -> Figures | tuple[()]:
    """(mean, std) of pixels by which it is shown images, where they are not the run's; else ()."""
    return self.start.figures if self.start else ()

  def __post_init__(self) -> None:
    within(self.seed, "seed", least=0, below=2**32)
    within(self.every_seconds, "checkpoint.every_seconds", least=0)
    within(self.keep, "checkpoint.keep", least=1)
