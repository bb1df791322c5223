"""A school gone through on paper before anything is trained: shapes only, nothing is computed.

What cannot be (a method that two networks do not fit, a network that cannot look at the images, a
batch that subjects cannot fill) comes out in seconds, as one line that names the grade and the
method or network, and not after hours of teachers.
"""

import contextlib
import dataclasses
import functools
import gc
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edjax import models
from edjax.curriculum import Grade
from edjax.data import sampler
from edjax.devices import processes
from edjax.devices.pmap import AXIS
from edjax.errors import UserError
from edjax.study import Study
from edjax.teachers import acquire, faculty, untrained
from edjax.teachers.untrained import Search
from edjax.training import grade as grades
from edjax.training import growth, optimizers
from edjax.training.evaluation import Loader
from edjax.training.spec import StepSpec
from edjax.training.step import Constants, State, train_step
from edjax.types import Label, Variables

_EXAMINED = 2  # images, abstract ones


def check(search: Search, study: Study, loader: Loader) -> dict[str, list[float]]:
  """Goes through all that a run will train.

  Args:
    search: what the run knows of its teachers.
    study: the student's `Study`; its `teachers` are those that have a checkpoint.
    loader: of the run.

  Returns:
    {name of a teacher without one, "student": MACs of training of each of its grades}.

  Raises:
    UserError: that names the grade, and the method or network, that cannot be.
  """
  cache = search.faculty.cache
  if cache:
    processes.tell(lambda: _writable(cache))
  with _garbage_left():
    return _check(search, study, loader)


def _check(search: Search, study: Study, loader: Loader) -> dict[str, list[float]]:
  teachers, traced, work = dict(study.teachers), {}, {}
  for name in study.curriculum.teachers:
    if name in teachers:
      continue
    wanted = acquire.wanted(name, study.curriculum.subjects, study.order)
    own = untrained.study(search, wanted)
    kind = own.model, own.start
    if kind not in traced:  # teachers of a kind differ by their classes
      work[name] = trace(own, loader)
      traced[kind] = sum(work[name]) / _steps(own, loader)
    else:
      with _asked(own.label):
        _seat(own, loader, 0)
      work[name] = [traced[kind] * _steps(own, loader)]
    teachers[name] = abstract(name, own.model, own.order, loader.image_shape)
  return work | {"student": trace(dataclasses.replace(study, teachers=teachers), loader)}


def _steps(study: Study, loader: Loader) -> int:
  """Of a study whose grades see the same images."""
  per_epoch = grades.seat(study, loader, 0)[2].steps
  return sum(optimizers.steps(grade, per_epoch) for grade in study.curriculum.grades)


def _seat(study: Study, loader: Loader, number: int) -> sampler.Seating:
  """Returns who sits in the batches of a grade, once its exam is known to have an image."""
  known = study.order[: study.curriculum.grades[number].num_classes]
  if np.all(loader.places("test", known) < 0):
    named = ", ".join(loader.dataset.class_names[label] for label in known[:5])
    raise UserError(
      f"the test images have none of {named}{' …' if len(known) > 5 else ''}, all the classes "
      "known by then; an exam needs one at least"
    )
  return grades.seat(study, loader, number)[2]


def abstract(
  name: str, model: str, classes: tuple[Label, ...], image_shape: tuple[int, ...]
) -> faculty.Teacher:
  """Returns a `faculty.Teacher` that is not trained yet: its variables are shapes."""
  teacher = faculty.Teacher(name, model, classes, {})
  with _asked(f"model {model!r}"):
    return dataclasses.replace(teacher, variables=models.shapes(teacher.network, image_shape))


def trace(study: Study, loader: Loader) -> list[float]:
  """Traces every grade of a study: its beginning, a step, an exam, and the graduate.

  Args:
    study: its teachers' variables may be shapes.
    loader: of the run.

  Returns:
    The MACs of training of each grade, all epochs.

  Raises:
    UserError: as `check` does.
  """
  state: Any = None
  known: dict[str, Variables] = {}
  work: list[float] = []
  for number, grade in enumerate(study.curriculum.grades):
    where = f"{study.label}, {grade.name}" if len(study.curriculum.grades) > 1 else study.label
    with _asked(where):
      seating = _seat(study, loader, number)
    for name in grade.teachers:
      known[name] = known.get(name) or _frozen(study, loader, study.teachers[name])
    frozen = {name: known[name] for name in grade.teachers}
    with _asked(where):
      _check_sizes(study, loader, grade)
    with _asked(f"{where}, model {study.model!r}"):
      schedule = optimizers.learning_rate(grade, study.recipe, seating.steps)
      spec = grades.make_spec(study, loader, number, seating, schedule)
      shape = loader.shape_at(grade.image_size)
      fresh = models.shapes(spec.network, shape)
      _examine(spec.network, fresh, spec.num_classes, shape)
      if study.start:
        study.start.adopt(fresh)
      if state is not None:
        jax.eval_shape(functools.partial(growth.graft, blocks=spec.blocks), state.variables, fresh)
      per_step = grades.macs_per_step(study, loader, grade, seating, spec)
    work.append(optimizers.steps(grade, seating.steps) * sum(per_step.values()))
    seats = grades.seats(grade, spec.roles, seating, loader.fleet.size)
    own = {name: jax.tree.map(lambda leaf: leaf[0], each) for name, each in seats.items() if each}
    state = _taught(where, loader, spec, _Begun(fresh, frozen, own, state))
  with _asked(f"{study.label}, model {study.model!r}"):
    jax.eval_shape(
      lambda variables: growth.graduate(variables, np.argsort(study.order)), state.variables
    )
  return work


def _check_sizes(study: Study, loader: Loader, grade: Grade) -> None:
  """Finds images that cannot be shrunk to a grade's size, and networks that keep to one size."""
  whole = max(loader.image_shape[:2])
  for name in ("image_size", "teacher_size"):
    size = getattr(grade, name)
    if size > whole:
      raise UserError(
        f"grades.{name} is {size:g}, but the images have {whole} pixels; give fewer, or 0 for "
        "whole images"
      )
  networks = {f"model {study.model!r}": (models.body(study.model), grade.image_size)}
  for name in grade.teachers:
    size = grade.teacher_size or grade.image_size
    networks[f"teacher {name}"] = models.body(study.teachers[name].model), size
  for what, (body, size) in networks.items():
    shape, network = loader.shape_at(size), models.graduate(body, grade.num_classes)
    if shape == loader.image_shape:
      continue
    with _asked(what):
      seen, own = (models.shapes(network, each) for each in (shape, loader.image_shape))
    if seen != own:
      raise UserError(
        f"{what} has parameters for images of {whole} pixels, such as positions, and cannot look "
        f"at those of {max(shape[:2])}; set grades.image_size and grades.teacher_size to 0"
      )


@dataclasses.dataclass(frozen=True)
class _Begun:
  """With what a grade begins, all of it shapes.

  Attributes:
    fresh: variables of the student.
    teachers: {name: variables}.
    seats: {name: (places, mask)} of a device, of teachers who do not answer every seat.
    last: the state in which the grade before ends, or None.
  """

  fresh: Variables
  teachers: dict[str, Variables]
  seats: dict[str, Any]
  last: State | None


def _taught(where: str, loader: Loader, spec: StepSpec, begun: _Begun) -> State:
  """Returns the abstract state after a step; where there is none, names the method at fault."""
  try:
    return _step(loader, spec, begun)
  except UserError as error:  # it names the method
    raise UserError(f"{where}: {error}") from error
  except Exception as error:
    for row in spec.methods:
      with _asked(f"{where}, methods.{row[0]}"):
        _step(loader, dataclasses.replace(spec, methods=(row,)), begun)
    raise _refusal(where, error) from error


def _step(loader: Loader, spec: StepSpec, begun: _Begun) -> State:
  """Returns the abstract state after the first step of a grade."""
  devices, shape = loader.fleet.size, loader.dataset.train.images.shape
  key: Any = jax.eval_shape(lambda: jax.random.key(0))
  grow = functools.partial(grades.grow, spec, shape)
  state = jax.eval_shape(grow, key, begun.fresh, begun.teachers, begun.last)
  seated = spec.batch_size // devices
  rows = jax.ShapeDtypeStruct((seated,), jnp.int32)
  images = jax.ShapeDtypeStruct((seated, *shape[1:]), jnp.uint8)
  labels: Any = jax.ShapeDtypeStruct(shape[:1], jnp.int32)
  step = functools.partial(train_step, spec)
  traced: Any = jax.make_jaxpr(step, axis_env=[(AXIS, devices)], return_shape=True)
  constants = Constants(key, labels, begun.teachers)
  _, after = traced(state, constants, rows, begun.seats, {"images": images})
  return after


def _frozen(study: Study, loader: Loader, teacher: faculty.Teacher) -> Variables:
  """Shapes of a teacher's variables as training asks it, once it has looked at an image."""
  shape, kind = loader.image_shape, study.recipe.precision
  with _asked(f"teacher {teacher.name}, model {teacher.model!r}"):
    _examine(teacher.network, teacher.variables, len(teacher.classes), shape)
    return jax.eval_shape(
      lambda variables: grades.freeze(teacher.network, variables, shape, kind), teacher.variables
    )


def _examine(
  network: models.Network, variables: Variables, num_classes: int, image_shape: tuple[int, ...]
) -> None:
  images = jax.ShapeDtypeStruct((_EXAMINED, *image_shape), jnp.float32)
  output: Any = jax.eval_shape(network.apply, variables, images)
  if not isinstance(output, models.Output) or output.logits.shape != (_EXAMINED, num_classes):
    raise UserError(
      f"it answers {_EXAMINED} images with logits {list(output.logits.shape)}, where "
      f"[{_EXAMINED}, {num_classes}] are needed; mend its head"
    )


@contextlib.contextmanager
def _garbage_left() -> Iterator[None]:
  """Lets no search for garbage interrupt: tracing makes many objects, nearly all of them in use."""
  searched = gc.isenabled()
  gc.disable()
  try:
    yield
  finally:
    if searched:
      gc.enable()


@contextlib.contextmanager
def _asked(what: str) -> Iterator[None]:
  """Turns whatever a network or a method of the user's may raise into one line."""
  try:
    yield
  except Exception as error:
    raise _refusal(what, error) from error


def _refusal(what: str, error: Exception) -> UserError:
  if isinstance(error, UserError):
    return UserError(f"{what}: {error}")
  said = [line for line in str(error).splitlines() if line.strip()] or ["no reason given"]
  return UserError(
    f"{what} cannot be trained on these images: {type(error).__name__}: {said[0].strip()[:300]}"
  )


def _writable(folder: str) -> None:
  """Finds out whether files can be made in the cache of teachers."""
  place = pathlib.Path(folder)
  try:
    place.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place, prefix=".probe_")
    os.close(handle)
    os.unlink(name)
  except OSError as error:
    raise UserError(
      f"faculty.cache {folder} cannot be written: {error.strerror or error}; name another folder"
    ) from error
