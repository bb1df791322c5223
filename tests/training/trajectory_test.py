"""Ten steps of distillation from one converted start: the same road in PyTorch and in edjax."""

import dataclasses

import jax
import numpy as np
import pytest
import torch

from edjax import convert, models
from edjax.convert import tensors
from tests import school
from tests.reference import zoo
from tests.reference.training import Teacher, train_step

STEPS, BATCH, RATE = 10, 6, 0.02


def converted(network, path):
  """The variables of a PyTorch network, through a file."""
  torch.save(network.state_dict(), path)
  return convert.read(path)[0]


@pytest.mark.parametrize(
  "pair",
  [
    ("resnet14", "resnet8"),
    pytest.param(("wrn_16_1", "resnet8_half"), marks=pytest.mark.slow),
  ],
)
def test_ten_steps_are_pytorchs(pair, tmp_path):
  torch.manual_seed(0)
  teacher, student = (zoo.make(name, school.CLASSES) for name in pair)
  for module in teacher.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
      module.running_mean.uniform_(-0.3, 0.3)
      module.running_var.uniform_(0.5, 1.5)
  desk = school.grade(
    ["generalist"],
    batch=BATCH,
    rate=RATE,
    momentum=0.9,
    weight_decay=5e-4,
    teacher_network=lambda classes: models.graduate(models.body(pair[0]), classes),
  )
  network = models.graduate(models.body(pair[1]), school.CLASSES)
  network = network.clone(axis_name=desk.spec.network.axis_name)
  desk = dataclasses.replace(
    desk,
    spec=dataclasses.replace(desk.spec, network=network),
    variables=converted(student, tmp_path / "student.pth"),
    teachers={"generalist": converted(teacher, tmp_path / "teacher.pth")},
  )
  fleet = school.fleet()
  run, state = desk.trainer(fleet), desk.state(fleet)
  sums = [0.0]
  for step in range(STEPS):
    state = run(state, step, step + 1)
    sums.append(float(state.sums["loss"]))
  losses = np.diff(sums) / BATCH

  # The columns of the teacher's logits mean the student's classes in this order.
  seated = [
    (Teacher(teacher.eval(), torch.tensor(school.ANSWERS["generalist"])), None, slice(None))
  ]
  optimizer = torch.optim.SGD(student.train().parameters(), RATE, 0.9, weight_decay=5e-4)
  expected = []
  for step in range(STEPS):
    images = torch.from_numpy(desk.views(step).transpose(0, 3, 1, 2).copy())
    labels = torch.from_numpy(desk.places(step)).long()
    expected.append(float(train_step(student, optimizer, images, labels, seated)))

  np.testing.assert_allclose(losses, expected, rtol=1e-3)
  assert abs(losses[-1] / losses[0] - 1) > 0.01  # the road went somewhere
  names = convert.NAMES[pair[1]]["repdistiller"]
  after = tensors.to_torch(jax.device_get(state.variables), pair[1], names)
  before = tensors.to_torch(desk.variables, pair[1], names)
  kept = {key: value for key, value in student.state_dict().items() if value.ndim}
  for name, tensor in kept.items():
    ours, theirs = after.pop(name), tensor.numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3 * np.abs(theirs).max(), err_msg=name)
    assert not np.array_equal(ours, before[name]), name
  assert not after
