"""The teachers: frozen networks that answer for some classes, kept in folders, and their roles."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer

from edjax import models
from edjax.curriculum import Grade, is_generalist
from edjax.data import figures, identity
from edjax.data.datasets import Dataset
from edjax.data.figures import Figures
from edjax.errors import UserError
from edjax.start import Start
from edjax.storage import checkpoint
from edjax.types import Column, Label, Place, Size, Variables


@dataclasses.dataclass(frozen=True)
class Teacher:
  """A frozen network.

  Attributes:
    name: of its subject, or "generalist", "generalist_2", …
    model: a row of `models.MODELS`.
    classes: the data set's labels its logits stand for, column by column.
    variables: its parameters and batch statistics, on the host.
    training_macs, training_seconds: what its own training cost, where that is known.
    source: "trained" in this work directory, of the "cache", or "given" by a checkpoint.
    figures: (mean, std) of pixels by which it is shown images, where they are not the run's; else
      (), the run's.
    unsure: whether nothing says by which it was trained, so that the run's are a guess.
    start: what it began its training as, see `start.Start.noted`, or None.
  """

  name: str
  model: str
  classes: tuple[Label, ...]
  variables: Variables
  training_macs: int | None = None
  training_seconds: float | None = None
  source: str = "given"
  figures: Figures | tuple[()] = ()
  unsure: bool = False
  start: Mapping[str, str] | None = None

  @property
  def network(self) -> models.Network:
    """As a whole, with a column for each class."""
    return models.graduate(models.body(self.model), len(self.classes))


@dataclasses.dataclass(frozen=True)
class Role:
  """What one teacher does in a grade.

  Attributes:
    name: of the teacher.
    network: the teacher's.
    columns: of its logits, those whose classes the student knows.
    places: the columns of the student's logits that mean the same classes.
    weight: beside other teachers who answer the same image.
    figures: (mean, std) of pixels as it knows them, where they are not the run's; else ().
    size: (height, width) of the views that it sees; () for whole ones.
  """

  name: str
  network: models.Network
  columns: tuple[Column, ...]
  places: tuple[Place, ...]
  weight: float = 1.0
  figures: Figures | tuple[()] = ()
  size: Size = ()


def save(
  directory: str | os.PathLike[str],
  model: str,
  classes: Iterable[Label],
  dataset: Dataset,
  variables: Variables,
  start: Start | None = None,
  **info: Any,
) -> None:
  """Writes a network (a teacher or a graduate) to a folder.

  Args:
    directory: replaced as a whole.
    model: a row of `models.MODELS`.
    classes: the data set's labels, column by column.
    dataset: a `datasets.Dataset`, for the names of the classes, and the images' shape and
      normalisation.
    variables: of the whole network.
    start: what it began as, whose figures are then its own.
    **info: further JSON.
  """
  mean, std = (start and start.figures) or (dataset.mean, dataset.std)
  checkpoint.save_variables(
    directory,
    variables,
    info
    | ({"start": start.noted} if start else {})
    | {
      "model": model,
      "classes": [dataset.class_names[label] for label in classes],
      "dataset": dataset.name,
      "data": dataset.identity,
      "image_shape": list(dataset.train.images.shape[1:]),
      "mean": list(mean),
      "std": list(std),
    },
  )


def load(
  directory: str | os.PathLike[str],
  name: str,
  classes: Sequence[Label],
  dataset: Dataset,
  said: tuple[Sequence[float], Sequence[float]] = ((), ()),
  advice: str = "",
) -> Teacher:
  """Reads a teacher from a folder that `save` wrote; a graduate will do as well.

  Args:
    directory: the folder. Where it does not say which classes the network knows (a checkpoint of
      PyTorch's does not), its columns are those it must answer for, in the data set's order.
    name: what the teacher is called here.
    classes: the labels it must answer for, in any order.
    dataset: a `datasets.Dataset`.
    said: (mean, std) of pixels scaled to [0, 1], one number or one per channel, by which it is
      shown images; () for what the folder says, and the data set's where it says nothing.
    advice: of a teacher that must have been trained on these very images, what to do where it was
      not; "" of any other.

  Raises:
    UserError: if there is no sound network, or its classes or images are not those of its subject.
  """
  variables, info = checkpoint.load_variables(directory)
  if advice:
    holder = f"the teacher in {directory}"
    identity.refuse(holder, info.get("data"), dataset.identity, ("train",), advice)
  known = _known_classes(info, directory, name, [dataset.class_names[c] for c in sorted(classes)])
  shape = list(dataset.train.images.shape[1:])
  if info["image_shape"] not in (None, shape):
    raise UserError(
      f"the teacher in {directory} was trained on {info['image_shape']} images, but those of "
      f"{dataset.name} are {shape}"
    )
  own = _own_figures(info, directory, shape[-1])
  own |= figures.given_figures(name, *said, shape[-1])
  labels = tuple(Label(dataset.class_names.index(class_name)) for class_name in known)
  teacher = Teacher(
    name,
    info["model"],
    labels,
    variables,
    training_macs=info.get("training_macs"),
    training_seconds=info.get("training_seconds"),
    figures=_figures(own, dataset),
    unsure=len(own) < 2,
    start=info.get("start"),
  )
  _check_fit(teacher, directory, dataset.name, shape)
  return teacher


def _known_classes(
  info: Mapping[str, Any], directory: str | os.PathLike[str], name: str, wanted: list[str]
) -> list[str]:
  """Returns the names of a network's classes, column by column.

  Args:
    info, directory: what is said of the network, and where.
    name: of the teacher that it should be.
    wanted: the classes it must answer for, which are also those of a network that names none.

  Raises:
    UserError: if it knows others.
  """
  known = info["classes"]
  if known is None and info["num_classes"] == len(wanted):
    return wanted
  if known is None or sorted(known) != sorted(wanted):
    raise UserError(
      f"the teacher in {directory} answers for {_listed(known or [None] * info['num_classes'])}, "
      f"but {name} needs {_listed(wanted)}"
    )
  return cast(list[str], known)


def _own_figures(
  info: Mapping[str, Any], directory: str | os.PathLike[str], channels: int
) -> dict[str, tuple[float, ...]]:
  """Returns {"mean", "std"} as far as a folder says them."""
  mean, std = (tuple(info.get(key) or ()) for key in ("mean", "std"))
  return figures.given_figures(f"the network in {directory}", mean, std, channels)


def _figures(own: Mapping[str, tuple[float, ...]], dataset: Dataset) -> Figures | tuple[()]:
  """Returns (mean, std) by which a network is shown images, or () where they are the data set's."""
  usual = tuple(dataset.mean), tuple(dataset.std)
  known = own.get("mean", usual[0]), own.get("std", usual[1])
  return () if known == usual else known


def _check_fit(
  teacher: Teacher, directory: str | os.PathLike[str], dataset: str, shape: list[int]
) -> None:
  """Finds a teacher of other images: of grey ones, say, or of as many tokens as 224 pixels make."""
  error = _misfit(teacher, shape)
  if error:
    for channels, kind in ((1, "grey"), (3, "coloured")):
      if channels != shape[-1] and not _misfit(teacher, [*shape[:-1], channels]):
        raise UserError(
          f"the teacher in {directory} cannot look at the {shape} images of {dataset}: it looks at "
          f"{kind} ones, with {channels} channel{'s' if channels > 1 else ''}; save the images so, "
          "or give another teacher"
        )
    reason = " ".join(str(error).split())[:200]
    raise UserError(
      f"the teacher in {directory} cannot look at the {shape} images of {dataset}: {reason}"
    ) from error


def _misfit(teacher: Teacher, shape: list[int]) -> Exception | None:
  """Returns what a network says that cannot look at such images, or None."""
  image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
  try:
    jax.eval_shape(teacher.network.apply, teacher.variables, image)
  except (flax.errors.FlaxError, TypeError, ValueError) as error:
    return error
  return None


def fingerprint(settings: Any) -> str:
  """Returns 12 hex digits that name a teacher in a cache by everything its training depends on."""
  return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def roles(
  grade: Grade,
  teachers: Mapping[str, Teacher],
  order: Sequence[Label],
  specialist_weight: float,
  size: Size = (),
) -> tuple[Role, ...]:
  """What each teacher of a grade does.

  Args:
    grade: a `curriculum.Grade`.
    teachers: {name: Teacher}.
    order: the data set's labels in the class order of the run.
    specialist_weight: see `curriculum.Recipe`.
    size: (height, width) of the views that they see; () for whole ones.
  """
  place = {label: Place(number) for number, label in enumerate(order[: grade.num_classes])}
  made = []
  for name in grade.teachers:
    teacher = teachers[name]
    known = [(n, place[label]) for n, label in enumerate(teacher.classes) if label in place]
    columns = tuple(Column(n) for n, _ in known)
    places = tuple(place for _, place in known)
    weight = 1.0 if is_generalist(name) else specialist_weight
    network, figures = teacher.network, teacher.figures
    made.append(Role(name, network, columns, places, weight, figures, size))
  return tuple(made)


def answers_for(role: Role, grade: Grade) -> list[bool]:
  """Per subject of the grade: does this teacher answer for its seats?"""
  return [set(subject.classes) <= set(role.places) for subject in grade.subjects]


def easiest_first(
  teacher: Teacher, answered: tuple[np.ndarray, np.ndarray] | None
) -> tuple[Label, ...]:
  """Returns the labels of a teacher, those it knows best first.

  Args:
    teacher: a generalist.
    answered: (logits, columns of the true classes) on the validation part, or None if that is
      empty.

  Raises:
    UserError: without a validation part, since a choice is made.
  """
  if answered is None:
    raise UserError("class_order 'easiest' needs a validation part: set data.validation_fraction")
  logits, columns = answered
  right = logits.argmax(1) == columns
  # A class without a validation image counts as hard; ties keep the teacher's order.
  top1 = [
    right[columns == c].sum() / max(1, (columns == c).sum()) for c in range(len(teacher.classes))
  ]
  return tuple(teacher.classes[column] for column in np.argsort(-np.array(top1), kind="stable"))


def agreement(
  teachers: Sequence[Teacher],
  answers: Mapping[str, np.ndarray],
  logits: Float[np.ndarray, "images classes"],
  labels: Integer[np.ndarray, " images"],
) -> float | None:
  """Share of images on which the student says what its teachers say.

  Args:
    teachers: of the last grade.
    answers: {name: teacher's logits for the images of its classes}.
    logits: the student's [images, labels].
    labels: int [images].

  Returns:
    The fraction over all (teacher, image of the teacher's classes) pairs, the student's answer
    being taken among the teacher's classes; None without teachers.
  """
  same = []
  for teacher in teachers:
    columns = np.asarray(teacher.classes)
    own = np.isin(labels, columns)
    same.append(logits[own][:, columns].argmax(1) == answers[teacher.name].argmax(1))
  return float(np.concatenate(same).mean()) if same else None


def _listed(names: Sequence[str | None]) -> str:
  if names[0] is None:
    return f"{len(names)} classes that it does not name"
  shown = ", ".join(map(str, names[:6]))
  return f"{len(names)} classes ({shown}{', …' if len(names) > 6 else ''})"
