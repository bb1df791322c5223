"""The settings of a run, section by section: typed, and checked by whoever builds them.

Nothing is open in them: `edjax.settings` resolves what a config leaves so.
"""

import dataclasses
from typing import Any

from edjax import methods as methods_table
from edjax import models, rows
from edjax.curriculum import PRECISIONS, Recipe, check_ratios
from edjax.data import placement
from edjax.errors import UserError, choose, one_of, typed, within
from edjax.models.cut import CUTS
from edjax.rows import GradeRow

FILLS = ("lazily", "up_front")
WRITERS = ("csv", "tensorboard")


@dataclasses.dataclass(frozen=True)
class Data:
  """Which images are read, and how: what `data.datasets.load` takes.

  Attributes:
    validation_fraction: of the training images, held out to make choices by.
    train_limit: so many training images; 0: all.
    image_size: in pixels; 0: what the data set says.
    bad_images: "error", or "skip", which passes over at most one in a hundred.
    source: "auto", "files", or "tfds": what tensorflow-datasets has prepared.
    split: of light curves, parts as "published" or by whole "stars"; "auto": as published if they
      are.
    mean, std: of pixels scaled to [0, 1], one number or one per channel; (): as is usual.
  """

  validation_fraction: float = 0.1
  train_limit: int = 0
  image_size: int = 0
  bad_images: str = "error"
  source: str = "auto"
  split: str = "auto"
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()

  def __post_init__(self) -> None:
    typed(self, "data.")


@dataclasses.dataclass(frozen=True)
class Student:
  """Who is taught.

  Attributes:
    model: a network, by its row of `models.MODELS`, or "package.module:NAME" of one's own.
    cut: what a fragment is: one of the "stages", or by "depth" a further block of every stage.
    start: a file or folder of the same network, trained on other classes, with which it begins, all
      but its last layer; "": none.
    keep_statistics: see `TeacherSettings`.
  """

  model: str
  cut: str = "stages"
  start: str = ""
  keep_statistics: bool = False

  def __post_init__(self) -> None:
    typed(self, "student.")
    one_of(self.cut, CUTS, "student.cut")
    if self.start and self.cut == "depth":
      raise UserError(
        "student.start is for a student that is cut by its stages, as blocks that are inserted "
        "begin by changing nothing; set student.cut to 'stages'"
      )


@dataclasses.dataclass(frozen=True)
class TeacherSettings:
  """How teachers of a kind are trained, or where those with a checkpoint are.

  Of those that are trained the rest of the recipe is the student's.

  Attributes:
    model: a network, as of a `Student`; None: the student's. Of several generalists it may be one
      for each, separated by commas: a smaller one for lower grades, say.
    checkpoint: folders or files, one for each teacher; empty where they are trained.
    epochs: passes over the images of their classes; with `image_sizes`, so many as cost as much.
    image_sizes: longer sides of the images they see, in pixels or as shares, small ones first and
      the data set's own last, see `plans.sized`; (): whole images only.
    learning_rate: its peak.
    warmup_epochs: linear rise of the rate from 0 to the peak, part of `epochs`.
    schedule: "cosine", "steps" or "cycle", see `curriculum.Recipe`.
    milestones: epochs after which the rate falls, under "steps".
    optimiser, weight_decay, clip: see `curriculum.Recipe`; None: the recipe's.
    mean, std: by which one with a checkpoint or a start is shown images; (): its own, else the
      data's.
    start: a file or folder of a network, trained on other classes, with which training begins, all
      but its last layer, and whose model is the teacher's; "": none.
    frozen_epochs: passes before `epochs` in which a teacher with a start learns its last layer
      alone.
    body_rate: factor on the learning rate of all but the last layer of a teacher with a start.
    keep_statistics: whether batch normalisations of one with a start go on with its running mean
      and variance while it is trained, and never renew them.
  """

  model: str
  checkpoint: str | tuple[str, ...]
  epochs: float = 1.0
  image_sizes: tuple[float, ...] = ()
  learning_rate: float = 0.1
  warmup_epochs: float = 0.0
  schedule: str = "cosine"
  milestones: tuple[int, ...] = ()
  optimiser: str = "sgd"
  weight_decay: float = 5e-4
  clip: float = 0.0
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()
  start: str = ""
  frozen_epochs: float = 0.0
  body_rate: float = 0.1
  keep_statistics: bool = False


@dataclasses.dataclass(frozen=True)
class Faculty:
  """The teachers.

  Attributes:
    specialist, generalist: `TeacherSettings` of each kind. Checkpoints of generalists are one
      text, separated by commas.
    seed: of teachers that are trained.
    cache: folder in which runs share teachers and answers; "": none.
    check: whether a teacher with a checkpoint that does as chance does is an error.
    bank: in which numbers teachers' answers are kept, "float32" or "bfloat16"; "": they are asked
      anew.
    bank_fill: when they are asked for a bank, "lazily" or "up_front".
    generalists: how many teachers of all classes there are; they differ by their seed.
  """

  specialist: TeacherSettings
  generalist: TeacherSettings
  seed: int = 0
  cache: str = ""
  check: bool = True
  bank: str = ""
  bank_fill: str = "lazily"
  generalists: int = 1

  def __post_init__(self) -> None:
    typed(self, "faculty.")
    for kind, checkpoint in (("specialist", tuple), ("generalist", str)):
      part = getattr(self, kind)
      typed(part, f"faculty.{kind}.")
      if not isinstance(part.checkpoint, checkpoint):
        wanted = "one text" if checkpoint is str else "a tuple of texts"
        raise UserError(f"faculty.{kind}.checkpoint is {part.checkpoint!r}; give {wanted}")
      if part.checkpoint and part.start:
        raise UserError(
          f"faculty.{kind} has a checkpoint, of teachers that are not trained, and a start, of "
          "those that are; give one of them"
        )
      within(part.frozen_epochs, f"faculty.{kind}.frozen_epochs", least=0)
      within(part.body_rate, f"faculty.{kind}.body_rate", above=0)
    within(self.seed, "faculty.seed", least=0)
    within(self.generalists, "faculty.generalists", least=1)
    one_of(self.bank, ("", *PRECISIONS), "faculty.bank")
    one_of(self.bank_fill, FILLS, "faculty.bank_fill")
    given = str(self.generalist.checkpoint)
    several = self.generalist.model.split(",")
    if len(several) not in (1, self.generalists):
      raise UserError(
        f"faculty.generalist.model is {self.generalist.model!r}, but there are {self.generalists} "
        "generalists (faculty.generalists); give one network, or one for each"
      )
    if given and len(given.split(",")) != self.generalists:
      raise UserError(
        f"faculty.generalist.checkpoint is {given!r}, but there are {self.generalists} "
        "generalists (faculty.generalists); give one folder or file for each, separated by commas"
      )


@dataclasses.dataclass(frozen=True)
class Checkpoints:
  """From what a run that was interrupted goes on.

  Attributes:
    every_seconds: how often a checkpoint is written.
    keep: how many are kept, the newest.
  """

  every_seconds: float = 30.0
  keep: int = 2

  def __post_init__(self) -> None:
    typed(self, "checkpoint.")
    within(self.every_seconds, "checkpoint.every_seconds", least=0)
    within(self.keep, "checkpoint.keep", least=1)


@dataclasses.dataclass(frozen=True)
class Settings:
  """All settings of a run.

  Attributes:
    name: of the config, with its variants; of the work directory in runs/.
    dataset: which images, a key of `data.datasets.DATASETS`.
    data_dir: the folder in which the data set's files are.
    grades: in order.
    methods: {name: {option: value}}, see `methods.build`; not to be changed.
    subjects: ratios of the classes, in class order.
    class_order: "given", "similar" (those that are most alike last), "easiest", "shuffled", or
      every label once, separated by commas.
    seed: of initialisation, data order and augmentation.
    devices: how many are used; 0: all there are.
    compilation_cache: a folder that keeps compiled programs for later runs, or "auto"; "": none.
    residence: where images are: on the "device", "sharded" over devices, "streamed" or "auto".
    writers: what is written of a training besides metrics.jsonl: "csv", results.csv; "tensorboard".
  """

  name: str
  dataset: str
  student: Student
  grades: tuple[GradeRow, ...]
  recipe: Recipe
  methods: dict[str, dict[str, Any]]
  faculty: Faculty
  data_dir: str = ""
  data: Data = Data()
  subjects: tuple[float, ...] = (1, 1, 1)
  class_order: str = "given"
  seed: int = 0
  devices: int = 0
  compilation_cache: str = "auto"
  residence: str = "auto"
  checkpoint: Checkpoints = Checkpoints()
  writers: tuple[str, ...] = ("csv",)

  def __post_init__(self) -> None:
    check_ratios(self.subjects)
    typed(self)
    within(self.seed, "seed", least=0, below=2**32)
    choose(placement.RESIDENCES, self.residence, "residence")
    for writer in self.writers:
      one_of(writer, WRITERS, "writers")
    built = methods_table.build(self.methods)
    for row in self.grades:
      methods_table.chosen(built, row.methods)
    self._check_end()
    if self.faculty.bank:
      self._check_bank(built)

  def _check_end(self) -> None:
    """A student that ends in a teacher's classifier needs that of all classes."""
    body, cut = models.body(self.student.model), self.student.cut
    whole = 0, models.fragments(self.student.model, cut)
    for number, row in enumerate(self.grades, 1):
      own_head = cut == "depth" or row.fragments in whole
      if body.reuses and own_head and not rows.generalists(row.teachers, 1):
        raise UserError(
          f"{self.student.model} ends in its teacher's classifier, so grade_{number}, with its own "
          "head, needs a teacher of all classes: set grades.teachers to 'generalist' or "
          "'both'"
        )

  def _check_bank(self, methods: methods_table.Built) -> None:
    """A bank keeps logits, of views that can be counted."""
    recipe, advice = self.recipe, "set faculty.bank to '', or "
    if recipe.mixup:
      raise UserError(f"recipe.mixup makes new images at every step; {advice}set recipe.mixup to 0")
    if recipe.randaugment:
      raise UserError(
        f"recipe.randaugment draws from views without end; {advice}set recipe.randaugment to 0"
      )
    if recipe.views != "one":
      raise UserError(
        f"recipe.views 'two' draws from views without end; {advice}set recipe.views to 'one'"
      )
    if recipe.resized and not recipe.crops:
      raise UserError(
        f"recipe.resized draws from views without end; {advice}set recipe.crops to how many an "
        "image shall have"
      )
    for row in self.grades:
      for name, _, method in methods_table.chosen(methods, row.methods):
        taught = row.teachers != "none" and method.needs_teacher
        if taught and not getattr(method, "on_logits", False):
          raise UserError(
            f"methods.{name} needs more of a teacher than its logits, which are all that "
            f"faculty.bank {self.faculty.bank!r} keeps; {advice}leave the method out"
          )
