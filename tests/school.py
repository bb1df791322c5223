"""A tiny school for the tests: six classes, three subjects, a small student, known teachers."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from edjax import curriculum, methods, models
from edjax.data import sampler
from edjax.data.augment.pipeline import Augment
from edjax.devices import pmap
from edjax.models.resnet import resnet
from edjax.teachers import faculty
from edjax.training import optimizers, step
from edjax.training.spec import StepSpec

BODY = resnet(8, (4, 4, 8, 8))
SUBJECTS = ((0, 1), (2, 3), (4, 5))
CLASSES = 6
SHAPE = (8, 8, 3)
AUGMENT = Augment((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
ED = {"ce": {"weight": 0.3}, "kd": {"weight": 0.7, "temperature": 4.0}}
# What the columns of each teacher's logits mean; in no case the student's own order.
ANSWERS = {
  "subject_1": (1, 0),
  "subject_2": (2, 3),
  "subject_3": (5, 4),
  "generalist": (3, 1, 5, 0, 2, 4),
}


class Linear(nn.Module):
  """A teacher whose answer is one matrix product."""

  num_classes: int
  axis_name: str | None = None  # as every network has it

  @nn.compact
  def __call__(self, images):
    x = images.reshape(images.shape[0], -1)
    logits = nn.Dense(self.num_classes, use_bias=False, name="dense")(x)
    return models.Output(logits, (), (), x)


def pictures(count=60, shape=SHAPE, seed=0):
  """Random uint8 images, and labels 0, 1, …, 5, 0, 1, …"""
  draw = np.random.default_rng(seed).integers(0, 256, (count, *shape))
  return draw.astype(np.uint8), (np.arange(count) % CLASSES).astype(np.int32)


def pupil(grown=3, classes=CLASSES, seed=0, body=BODY, **reference):
  """Returns (network without axis, variables as numpy, all random and none like another)."""
  network = models.pupil(body, grown, classes, **reference)
  return network, random_like(init(network), seed)


def init(network, shape=SHAPE):
  """Shapes of a network's variables."""
  return jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, *shape)))


def random_like(shapes, seed=0):
  """Variables of these shapes: kernels of usual size, scales and variances around one."""
  draw = np.random.default_rng(seed)

  def leaf(path, like):
    value = draw.normal(size=like.shape)
    positive = path[-1].key in ("scale", "var")
    fan = np.prod(like.shape[:-1]) if len(like.shape) > 1 else 16
    return (np.exp(0.2 * value) if positive else value / np.sqrt(fan)).astype(np.float32)

  return jax.tree.map_with_path(leaf, shapes)


@dataclasses.dataclass(frozen=True)
class Desk:
  """A grade of the tiny school, ready for any fleet."""

  spec: StepSpec
  variables: dict
  teachers: dict
  seating: sampler.Seating
  images: np.ndarray
  labels: np.ndarray

  @property
  def members(self):
    return [
      np.flatnonzero(np.isin(self.labels, own)) for own in SUBJECTS[: len(self.seating.seats)]
    ]

  def order(self, seed=0):
    """Images of one epoch, int32 [steps, batch]."""
    return sampler.epoch_order(self.seating, self.members, (seed,), 0)

  def where(self, role, devices=1):
    """The teacher's seats, or None."""
    seen = SUBJECTS[: len(self.seating.seats)]
    return sampler.teacher_seats(
      self.seating, [set(own) <= set(role.places) for own in seen], devices
    )

  def state(self, fleet=None):
    """The first state, on the fleet's devices if there is one."""
    state = step.start(
      self.spec, jax.random.key(0), self.variables, self.teachers, self.images.shape
    )
    return fleet.replicate(state) if fleet else state

  def trainer(self, fleet, train_step=step.train_step, teachers=None):
    """Returns `run(state, first, last) -> state` over one epoch; `teachers` are on the devices."""
    run = fleet.trainer(functools.partial(train_step, self.spec))
    key, labels = fleet.replicate((jax.random.key(7), self.labels))
    constants = step.Constants(key, labels, teachers or fleet.replicate(self.teachers))
    found = {role.name: self.where(role, fleet.size) for role in self.spec.roles}
    seats = fleet.divide({name: where for name, where in found.items() if where is not None})
    rows = self.order()
    rows = rows.reshape(len(rows), fleet.size, -1).swapaxes(0, 1).copy()
    order, ahead = fleet.divide((rows, {"images": self.images[rows]}))
    return lambda state, first, last: run(state, constants, order, seats, ahead, (first, last, 0))

  def train(self, steps=1, devices=1):
    """Runs the first steps; returns the state on the host."""
    team = fleet(devices)
    return jax.device_get(self.trainer(team)(self.state(team), 0, steps))

  def views(self, number=0):
    """Images of batch `number` as the networks see them without augmentation, by definition."""
    mean, std = np.float32(AUGMENT.mean), np.float32(AUGMENT.std)
    pixels = self.images[self.order()[number]] / np.float32(255)
    return (pixels - mean[None, None, None]) / std[None, None, None]

  def places(self, number=0):
    """Labels of batch `number`."""
    return self.labels[self.order()[number]]


def grade(teachers=("subject_1", "subject_2", "subject_3"), grown=3, seen=3, batch=8, **changes):
  """Returns the `Desk` of a grade.

  Args:
    teachers: names, of `ANSWERS`.
    grown: fragments of the student.
    seen: subjects.
    batch: seats.
    **changes: fields of `curriculum.Recipe` (momentum, …), rate, methods, specialist_weight,
      teacher_network (classes -> module) and fields of `StepSpec`.
  """
  recipe = {
    key: changes.pop(key) for key in ("momentum", "nesterov", "weight_decay") if key in changes
  }
  rate = changes.pop("rate", 0.05)
  table = changes.pop("methods", ED)
  weight = changes.pop("specialist_weight", 1.0)
  make = changes.pop("teacher_network", Linear)
  images, labels = pictures()
  known = [place for own in SUBJECTS[:seen] for place in own]
  counts = [int(np.isin(labels, own).sum()) for own in SUBJECTS[:seen]]
  roles, answers = [], {}
  for number, name in enumerate(teachers):
    columns = tuple(c for c, place in enumerate(ANSWERS[name]) if place in known)
    places = tuple(ANSWERS[name][c] for c in columns)
    share = 1.0 if name == "generalist" else weight
    network = make(len(ANSWERS[name]))
    roles.append(faculty.Role(name, network, columns, places, share))
    answers[name] = jax.tree.map(lambda leaf: 3 * leaf, random_like(init(network), 10 + number))
  network, variables = pupil(grown, len(known))
  spec = StepSpec(
    network=network.clone(axis_name=pmap.AXIS),
    num_classes=len(known),
    batch_size=batch,
    methods=methods.build(table),
    roles=tuple(roles),
    tx=optimizers.optimiser(
      curriculum.Recipe(batch_size=batch, **recipe), rate if callable(rate) else lambda _: rate
    ),
    augment=AUGMENT,
  )
  spec = dataclasses.replace(spec, **changes)
  seating = sampler.seat(counts, batch)
  full = min(count // taken for count, taken in zip(counts, seating.seats, strict=True))
  seating = dataclasses.replace(seating, steps=full)  # as many as no image is shown twice in
  return Desk(spec, variables, answers, seating, images, labels)


def fleet(devices=1):
  """The first so many of the host's devices."""
  return pmap.Fleet(tuple(jax.devices()[:devices]))


def bits(tree):
  """{path: bytes} of every leaf, to tell two trees equal to the bit."""
  leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(tree))
  return {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in leaves}
