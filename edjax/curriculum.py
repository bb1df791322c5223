"""What is taught when: subjects, grades and the curriculum, checked as a config builds them.

Pure: no data, no networks. Class indices here are *places* in the class order of the run (the order
in which the subjects teach them); the school maps them to the data set's own labels and back.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from edjax import rows
from edjax.errors import UserError, one_of, typed, within
from edjax.rows import GradeRow

GENERALIST = "generalist"  # the first; the others are "generalist_2", "generalist_3", …
SCHEDULES = ("cosine", "steps", "cycle")
TARGETS = ("slice", "seen")
VIEWS = ("one", "two")
PRECISIONS = ("float32", "bfloat16")
OPTIMISERS = ("sgd", "adamw", "dot")
CONSENSUS = ("average", "entropy", "confidence", "gradient")


@dataclasses.dataclass(frozen=True)
class Subject:
  """A set of classes that are taught together: places in the class order of the run."""

  name: str
  classes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Grade:
  """One period of the school, in which neither the student's shape nor its teachers change.

  Attributes:
    name: "grade_1", "grade_2", …
    fragments: how many, from the bottom of the network, are present.
    subjects: those seen, in order; together their classes are a prefix of the class order.
    teachers: names of the teachers that answer: a subject's name or "generalist".
    start_epoch: epochs of the school before this grade.
    reference: options of the teaching reference (`models.pupil`); of a grade that `build` made,
      empty where its head is the network's own.
    Others: as of a `rows.GradeRow`.
  """

  name: str
  fragments: int
  subjects: tuple[Subject, ...]
  teachers: tuple[str, ...]
  epochs: float
  start_epoch: float = 0.0
  image_size: float = 0.0
  teacher_size: float = 0.0
  learning_rate: float = 0.1
  final_rate: float = 0.0
  warmup_epochs: float = 0.0
  frozen: int = 0
  lower_rate: float = 1.0
  carry_momentum: bool = False
  rehearsal: float = 1.0
  methods: str = ""
  reference: tuple[tuple[str, object], ...] = ()

  def __post_init__(self) -> None:
    _check_fragments(self.fragments, self.frozen, None, self.name)
    reference = {f"reference_{key}": value for key, value in self.reference}
    rows.check(vars(self) | reference, self.name)

  @property
  def num_classes(self) -> int:
    return sum(len(subject.classes) for subject in self.subjects)


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a network learns, the same in every grade.

  Attributes:
    batch_size: images per step over all devices.
    optimiser: "sgd", "adamw" or "dot", see `optimizers.optimiser`.
    momentum: of SGD; of AdamW's first moment.
    nesterov: whether SGD's momentum is Nesterov's.
    weight_decay: of every parameter, as in the field.
    dot_delta: what the momenta of optimiser "dot" differ by from `momentum`.
    clip: largest norm of the whole gradient; 0: no limit.
    ema: how much an average of the student keeps of itself at a step, such as 0.999, once a grade
      is under way: after t steps of it no more than (1 + t) / (10 + t). Exams are of the average,
      and so is the graduate; 0: there is none. Teachers have none.
    schedule: "cosine" (from the grade's peak to its `final_rate`, in every grade anew), "steps"
      (times `factor` after each of `milestones`) or "cycle" (up to the peak and down to 0 once,
      over the compute of all grades, uninterrupted by grafts).
    rise: share of that compute over which the rate rises, under "cycle".
    milestones: after so many epochs of the whole school rates fall, under "steps".
    factor: by which they fall.
    pad: of the random crop, in pixels; 0: no crop.
    flip: mirror half of the images.
    resized: the least share of an image's area that a view shows, see `data.resized`; 0: all.
    crops: how many views an image has, drawn once for all runs; 0: drawn anew at every step.
    randaugment: how many operations of RandAugment an image goes through after crop and flip, one
      after the other, each chosen anew; 0: none.
    magnitude: of the operations of RandAugment, 0 to 30, see `policies`.
    mixup: α of the mixing of images, see `pipeline.Augment`; 0: none.
    views: "one", or "two": of every image also a strongly augmented one, see `strong`; of a light
      curve also a disturbed one.
    precision: in which networks compute while they learn, see `precision`; exams are in float32.
    target: a specialist's answer is compared with the student on the specialist's own classes
      ("slice"), or is a target over all classes the student knows, zero elsewhere ("seen").
    consensus: how teachers who answer the same image share it: "average" (by their weights),
      "entropy" (EBKD), "confidence" (CA-MKD), "gradient" (AEKD), see `consensus`.
    specialist_weight: of a specialist beside a generalist who answers the same image; theirs is 1.
  """

  batch_size: int
  optimiser: str = "sgd"
  momentum: float = 0.9
  nesterov: bool = False
  weight_decay: float = 5e-4
  dot_delta: float = 0.075
  clip: float = 0.0
  ema: float = 0.0
  schedule: str = "cosine"
  rise: float = 0.2
  milestones: tuple[int, ...] = ()
  factor: float = 0.1
  pad: int = 0
  flip: bool = False
  resized: float = 0.0
  crops: int = 0
  randaugment: int = 0
  magnitude: int = 9
  mixup: float = 0.0
  views: str = "one"
  precision: str = "float32"
  target: str = "slice"
  consensus: str = "average"
  specialist_weight: float = 1.0

  def __post_init__(self) -> None:
    typed(self, "recipe.")
    within(self.batch_size, "recipe.batch_size", least=1)
    for name in ("weight_decay", "clip", "mixup", "pad", "crops", "randaugment"):
      within(getattr(self, name), f"recipe.{name}", least=0)
    for name in ("momentum", "ema", "resized", "rise"):
      within(getattr(self, name), f"recipe.{name}", least=0, below=1)
    within(self.magnitude, "recipe.magnitude", least=0, most=30)
    within(self.factor, "recipe.factor", above=0, below=1)
    within(self.specialist_weight, "recipe.specialist_weight", above=0)
    within(self.dot_delta, "recipe.dot_delta", least=0)
    one_of(self.schedule, SCHEDULES, "recipe.schedule")
    one_of(self.target, TARGETS, "recipe.target")
    one_of(self.views, VIEWS, "recipe.views")
    one_of(self.precision, PRECISIONS, "recipe.precision")
    one_of(self.optimiser, OPTIMISERS, "recipe.optimiser")
    one_of(self.consensus, CONSENSUS, "recipe.consensus")
    if not 0 <= self.dot_delta <= min(self.momentum, 1 - self.momentum) and self.optimiser == "dot":
      raise UserError(
        f"recipe.dot_delta is {self.dot_delta}; both {self.momentum} − it and {self.momentum} + it "
        "must be momenta, from 0 to 1"
      )
    if self.resized and self.pad:
      raise UserError(
        "recipe.resized and recipe.pad are two ways to crop; set recipe.pad to 0 or "
        "recipe.resized to 0"
      )
    if self.nesterov and not (self.optimiser == "sgd" and self.momentum):
      raise UserError(
        f"recipe.nesterov is for SGD with momentum, and recipe.optimiser is {self.optimiser!r}, "
        f"recipe.momentum {self.momentum}; give recipe.nesterov=False"
      )
    rising = sorted(set(self.milestones)) == list(self.milestones)
    if not all(isinstance(epoch, int) and epoch > 0 for epoch in self.milestones) or not rising:
      raise UserError(
        f"recipe.milestones is {self.milestones}; give epochs from 1 on, each later than the one "
        "before, separated by commas"
      )


@dataclasses.dataclass(frozen=True)
class Curriculum:
  """The grades in order, the subjects that partition all classes, and lines to say about them."""

  subjects: tuple[Subject, ...]
  grades: tuple[Grade, ...]
  notes: tuple[str, ...] = ()

  @property
  def num_classes(self) -> int:
    return sum(len(subject.classes) for subject in self.subjects)

  @property
  def teachers(self) -> tuple[str, ...]:
    """Names of all teachers any grade needs, subjects first."""
    needed = dict.fromkeys(name for grade in self.grades for name in grade.teachers)
    own = [subject.name for subject in self.subjects if subject.name in needed]
    return (*own, *sorted(set(needed) - set(own)))


def check_ratios(ratios: object) -> None:
  """Raises UserError if these cannot be the ratios of subjects."""
  several = ratios if isinstance(ratios, (tuple, list)) else ()
  if not several or not all(isinstance(ratio, (int, float)) and ratio > 0 for ratio in several):
    raise UserError(f"subjects is {ratios!r}; give one positive ratio per subject")


def subjects_of(ratios: Sequence[float], num_classes: int) -> tuple[Subject, ...]:
  """Cuts places 0…num_classes−1 into consecutive subjects in the given ratios.

  What rounding down leaves over goes to the last subject, as in the paper (33/33/34 of 100). A
  subject has two classes or more, as there is nothing to tell apart in one: the last ratios are
  left out until that is so. Two or three classes are thus one subject.

  Raises:
    UserError: if the ratios are none, or there are fewer than two classes.
  """
  check_ratios(ratios)
  if num_classes < 2:
    raise UserError(f"there is {num_classes} class; a school needs two to tell apart")
  ratios = tuple(ratios)
  while True:
    sizes = [int(num_classes * ratio // sum(ratios)) for ratio in ratios]
    sizes[-1] += num_classes - sum(sizes)
    if min(sizes) >= 2 or len(ratios) == 1:
      break
    ratios = ratios[:-1]
  ends = np.cumsum(sizes)
  return tuple(
    Subject(f"subject_{number + 1}", tuple(range(int(end - size), int(end))))
    for number, (size, end) in enumerate(zip(sizes, ends, strict=True))
  )


def class_order(how: str, num_classes: int, seed: int) -> tuple[int, ...]:
  """Returns the data set's labels in the order in which the subjects teach them.

  Args:
    how: "given" (0, 1, 2, …), "shuffled" (by the seed), or labels such as "0,2,4,6,1,3,5,7,9,8";
      "similar" and "easiest" need data and are resolved by the school.
    num_classes: of the data set.
    seed: int.

  Raises:
    UserError: if it is not an order of all labels.
  """
  if how == "given":
    return tuple(range(num_classes))
  if how == "shuffled":
    return tuple(int(label) for label in np.random.default_rng(seed).permutation(num_classes))
  order = tuple(int(label) if label.strip().isdigit() else -1 for label in how.split(","))
  if sorted(order) != list(range(num_classes)):
    raise UserError(
      f"class_order is {how!r}; give 'given', 'shuffled', 'similar', 'easiest' or every label from "
      f"0 to {num_classes - 1} once, separated by commas"
    )
  return order


def is_generalist(name: str) -> bool:
  """Says whether a teacher of this name answers for all classes."""
  return name.partition("_")[0] == GENERALIST


def build(
  grades: Sequence[GradeRow],
  ratios: Sequence[float],
  num_classes: int,
  num_fragments: int,
  generalists: int = 1,
  cut: str = "stages",
) -> Curriculum:
  """Builds the curriculum of a student.

  Args:
    grades: `rows.GradeRow`s.
    ratios: sizes of the subjects, see `subjects_of`.
    num_classes: of the data set.
    num_fragments: of the whole student, see `models.fragments`.
    generalists: how many answer where a grade has "generalist" or "both".
    cut: how the student is cut, see `models.cut`.

  Raises:
    UserError: naming the setting that cannot be.
  """
  subjects = subjects_of(ratios, num_classes)
  notes: tuple[str, ...] = ()
  if len(subjects) < len(ratios):
    counted = "1 subject" if len(subjects) == 1 else f"{len(subjects)} subjects"
    notes = (
      f"{num_classes} classes make {counted}, not {len(ratios)} (--config.subjects): each needs "
      "two classes or more",
    )
  built, epoch = [], 0.0
  for number, row in enumerate(grades):
    where = f"grade {number + 1} of {len(grades)}"
    seen, fragments = _seen(subjects, len(ratios), row.subjects, where), row.fragments
    fragments = fragments or num_fragments
    _check_fragments(fragments, row.frozen, num_fragments, where)
    referred = cut == "stages" and fragments < num_fragments
    built.append(
      Grade(
        name=f"grade_{number + 1}",
        fragments=fragments,
        subjects=seen,
        teachers=_teachers(row.teachers, seen, generalists, where),
        start_epoch=epoch,
        reference=tuple((key, getattr(row, f"reference_{key}")) for key in _REFERENCE)
        if referred
        else (),
        **{key: getattr(row, key) for key in _COPIED},
      )
    )
    epoch += row.epochs
  _check_growth(built, num_fragments, num_classes)
  return Curriculum(subjects, tuple(built), notes)


def ordinary(subject: Subject, num_fragments: int, grades: Sequence[GradeRow]) -> Curriculum:
  """Ordinary training as a curriculum: the whole network, one subject, no teacher.

  Args:
    subject: all that there is to learn.
    num_fragments: of the network.
    grades: rows, one where all images are of one size; of each counts what says how long it is.
  """
  taught, start = [], 0.0
  for number, row in enumerate(grades):
    name = f"grade_{number + 1}"
    own = {key: getattr(row, key) for key in _COPIED}
    taught.append(Grade(name, num_fragments, (subject,), (), start_epoch=start, **own))
    start += row.epochs
  return Curriculum((subject,), tuple(taught))


_REFERENCE = ("width", "grid", "relu")  # options of a teaching reference
_COPIED = rows.GradeRow.__dataclass_fields__.keys() & Grade.__dataclass_fields__.keys() - {
  "fragments",
  "subjects",
  "teachers",
}


def _seen(
  subjects: tuple[Subject, ...], wanted: int, count: int, where: str
) -> tuple[Subject, ...]:
  """Returns the first `count` subjects, or all where few classes made fewer than `wanted`."""
  if not 0 <= count <= wanted:
    raise UserError(
      f"{where} sees {count} subjects, but there are {wanted} (grades.subjects; 0 for all)"
    )
  return subjects[: count or len(subjects)]


def _teachers(
  teaching: str, seen: tuple[Subject, ...], generalists: int, where: str
) -> tuple[str, ...]:
  specialists = tuple(s.name for s in seen) if teaching in ("specialists", "both") else ()
  numbers = rows.generalists(teaching, generalists)
  if max(numbers, default=1) > generalists:
    counted = "there is one generalist" if generalists == 1 else f"there are {generalists}"
    raise UserError(f"{where} is taught by {teaching}, but {counted}; set faculty.generalists")
  return (*specialists, *(f"{GENERALIST}_{n}" if n > 1 else GENERALIST for n in numbers))


def _check_fragments(count: int, frozen: int, num_fragments: int | None, where: str) -> None:
  if num_fragments is None and not count >= 1:
    raise UserError(f"{where} has {count} fragments; it needs at least 1")
  if num_fragments is not None and not 1 <= count <= num_fragments:
    raise UserError(
      f"{where} has {count} fragments, but the student has {num_fragments}; set grades.fragments"
    )
  if not -1 <= frozen <= count:
    raise UserError(f"{where} freezes {frozen} of {count} fragments")


def _check_growth(grades: list[Grade], num_fragments: int, num_classes: int) -> None:
  for before, after in itertools.pairwise(grades):
    if after.fragments < before.fragments or after.num_classes < before.num_classes:
      raise UserError(f"{after.name} has fewer fragments or subjects than {before.name}")
    keeps_head = before.fragments == after.fragments < num_fragments
    if keeps_head and before.reference != after.reference:
      raise UserError(
        f"{after.name} has the fragments of {before.name} and keeps its teaching reference; "
        "let grades.reference_width, reference_grid and reference_relu be the same there"
      )
  last = grades[-1]
  if last.fragments != num_fragments:
    raise UserError(
      f"the fragments do not cover the network: the last grade has {last.fragments} of "
      f"{num_fragments}; end grades.fragments with 0 (all)"
    )
  if last.num_classes != num_classes:
    raise UserError(
      f"the last grade sees {last.num_classes} of {num_classes} classes; "
      "end grades.subjects with 0 (all)"
    )
