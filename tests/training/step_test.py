"""Training steps on mixed batches, against PyTorch and against sums written out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edjax import curriculum, models
from edjax.data.augment.pipeline import Augment
from edjax.devices import pmap
from edjax.models.cut import BODY
from edjax.models.resnet import resnet
from edjax.training import optimizers, step
from tests import school
from tests.reference import distillation, zoo
from tests.reference.resnet import ResNet
from tests.school import ANSWERS, bits

SPECIALISTS = ("subject_1", "subject_2", "subject_3")


def logits_of(desk):
  """What is said of the first batch: (student [batch, classes], {teacher: [batch, columns]})."""
  views, spec = desk.views(), desk.spec
  apply = functools.partial(spec.network.clone(axis_name=None).apply, mutable=["batch_stats"])
  student = jax.jit(lambda v, x: apply(v, x, train=True)[0].logits)(desk.variables, views)
  flat = views.reshape(len(views), -1)
  teachers = {
    name: flat @ tree["params"]["dense"]["kernel"] for name, tree in desk.teachers.items()
  }
  return np.asarray(student), teachers


def seats_of(desk, places):
  """Which rows of a batch belong to classes `places`."""
  return np.flatnonzero(np.isin(desk.places(), places))


def kl(target, guess, temperature):
  """T²·KL of logits [batch, classes], written out in float64."""
  p, q = (np.exp(x / temperature) for x in (target.astype(float), guess.astype(float)))
  p, q = (x / x.sum(1, keepdims=True) for x in (p, q))
  return temperature**2 * np.sum(p * (np.log(p) - np.log(q)), axis=1)


def hard(student, places):
  return distillation.cross_entropy(*map(torch.tensor, (student, places.astype(int)))).numpy()


@functools.cache
def plain_step(devices=1):
  """The state after the first step of the plain desk."""
  return school.grade().train(devices=devices)


def mean_loss(state):
  return float(state.sums["loss"] / state.sums["images"])


def test_mixed_batches_are_the_published_objective():
  desk = school.grade()
  assert desk.seating.seats == (3, 3, 2)
  student, teachers = logits_of(desk)
  answers = [
    distillation.Answer(
      torch.tensor(seats_of(desk, ANSWERS[name])),
      torch.tensor(ANSWERS[name]),
      torch.tensor(teachers[name][seats_of(desk, ANSWERS[name])]),
    )
    for name in SPECIALISTS
  ]
  expected = distillation.education(
    torch.tensor(student), torch.tensor(desk.places()).long(), answers, alpha=0.3, temperature=4.0
  )
  state = plain_step()
  np.testing.assert_allclose(mean_loss(state), expected, rtol=1e-5)
  assert state.sums["images"] == 8
  assert state.sums["right"] == (student.argmax(1) == desk.places()).sum()


def test_target_seen_spreads_the_answer_over_all_seen_classes():
  desk = school.grade(target="seen")
  student, teachers = logits_of(desk)
  soft = np.zeros(8)
  for name in SPECIALISTS:
    rows = seats_of(desk, ANSWERS[name])
    p = np.exp(teachers[name][rows].astype(float) / 4)
    p /= p.sum(1, keepdims=True)
    log_q = student[rows].astype(float) / 4
    log_q -= np.log(np.exp(log_q).sum(1, keepdims=True))  # over all six classes
    soft[rows] = 16 * sum(
      p[:, c] * (np.log(p[:, c]) - log_q[:, place]) for c, place in enumerate(ANSWERS[name])
    )
  expected = np.mean(0.3 * hard(student, desk.places()) + 0.7 * soft)
  np.testing.assert_allclose(mean_loss(desk.train()), expected, rtol=1e-5)


def test_teachers_of_one_image_share_it_by_weight():
  desk = school.grade(("subject_1", "subject_3", "generalist"), specialist_weight=3.0)
  student, teachers = logits_of(desk)
  soft = kl(teachers["generalist"], student[:, ANSWERS["generalist"]], 4.0)
  for name in ("subject_1", "subject_3"):
    rows = seats_of(desk, ANSWERS[name])
    own = kl(teachers[name][rows], student[rows][:, ANSWERS[name]], 4.0)
    soft[rows] = (3 * own + soft[rows]) / 4
  parts = 0.3 * hard(student, desk.places()), 0.7 * soft
  state = desk.train()
  np.testing.assert_allclose(mean_loss(state), np.mean(sum(parts)), rtol=1e-5)
  assert [name for name, _, _ in desk.spec.methods] == ["ce", "kd"]
  np.testing.assert_allclose(state.sums["losses"], np.sum(parts, axis=1), rtol=1e-5)


def test_a_teacher_is_asked_only_about_classes_the_student_knows():
  desk = school.grade(("generalist",), grown=1, seen=1)
  student, teachers = logits_of(desk)
  assert student.shape == (8, 2)
  known = teachers["generalist"][:, [3, 1]]  # the columns that stand for classes 0 and 1
  soft = kl(known, student, 4.0)
  expected = np.mean(0.3 * hard(student, desk.places()) + 0.7 * soft)
  np.testing.assert_allclose(mean_loss(desk.train()), expected, rtol=1e-5)


def torch_step(desk):
  """The first step of a desk with ResNets, all in PyTorch: (loss, student after SGD)."""
  views = torch.tensor(desk.views()).permute(0, 3, 1, 2)
  labels = torch.tensor(desk.places()).long()
  answers = []
  for name in SPECIALISTS:
    teacher = zoo.load(ResNet(8, (4, 4, 8, 8), 2), desk.teachers[name], "resnet8").eval()
    rows = torch.tensor(seats_of(desk, ANSWERS[name]))
    answers.append(
      distillation.Answer(rows, torch.tensor(ANSWERS[name]), teacher(views[rows]).logits)
    )
  student = zoo.load(ResNet(8, (4, 4, 8, 8), 6), desk.variables, "resnet8").train()
  sgd = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
  loss = distillation.education(student(views).logits, labels, answers)
  loss.backward()
  sgd.step()
  return float(loss.detach()), student


def test_a_step_equals_pytorch_and_batch_norm_sees_the_mixture():
  body = resnet(8, (4, 4, 8, 8))
  desk = school.grade(teacher_network=functools.partial(models.graduate, body))
  loss, student = torch_step(desk)
  state = desk.train()
  np.testing.assert_allclose(mean_loss(state), loss, rtol=1e-5)
  before = zoo.state(desk.variables, "resnet8")
  moved = 0
  for name, tensor in zoo.state(state.variables, "resnet8").items():
    expected = student.state_dict()[name]
    np.testing.assert_allclose(tensor, expected, rtol=1e-4, atol=1e-5, err_msg=name)
    moved += not torch.equal(tensor, before[name])
  assert moved > 20


def test_kept_statistics_are_batch_norm_that_is_evaluated_in_training():
  """PyTorch's modules in eval() while the rest trains; they stay, and scales and shifts learn."""
  desk = school.grade(teachers=(), methods={"ce": {}}, kept=BODY, momentum=0.9, weight_decay=5e-4)
  student = zoo.load(ResNet(8, (4, 4, 8, 8), 6), desk.variables, "resnet8").train()
  for module in student.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
      module.eval()
  sgd = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
  for number in range(2):
    sgd.zero_grad()
    views = torch.tensor(desk.views(number)).permute(0, 3, 1, 2)
    F.cross_entropy(student(views).logits, torch.tensor(desk.places(number)).long()).backward()
    sgd.step()
  state = desk.train(2)
  assert bits(state.variables["batch_stats"]) == bits(desk.variables["batch_stats"])
  before = zoo.state(desk.variables, "resnet8")
  for name, tensor in zoo.state(state.variables, "resnet8").items():
    expected = student.state_dict()[name]
    np.testing.assert_allclose(tensor, expected, rtol=1e-4, atol=1e-5, err_msg=name)
    assert "running" in name or not torch.equal(tensor, before[name]), name


def test_batch_statistics_are_those_of_the_whole_batch():
  desk = school.grade()
  views = torch.tensor(desk.views()).permute(0, 3, 1, 2)
  kernel = torch.tensor(desk.variables["params"]["fragment_0"]["conv"]["kernel"])
  maps = F.conv2d(views, kernel.permute(3, 2, 0, 1), padding=1).numpy()
  old = desk.variables["batch_stats"]["fragment_0"]["bn"]
  for devices in (1, 4):
    new = plain_step(devices).variables["batch_stats"]["fragment_0"]["bn"]
    for name, moment in (("mean", maps.mean((0, 2, 3))), ("var", maps.var((0, 2, 3), ddof=1))):
      np.testing.assert_allclose(new[name], 0.9 * old[name] + 0.1 * moment, rtol=1e-4, atol=1e-6)
    alone = maps[:3].mean((0, 2, 3))  # what one subject's seats would say
    assert np.abs(new["mean"] - (0.9 * old["mean"] + 0.1 * alone)).max() > 1e-4


def test_frozen_fragments_stay_to_the_bit():
  desk = school.grade(frozen=2, teachers=("generalist",))
  state = desk.train(3)
  for collection in ("params", "batch_stats"):
    for part, tree in state.variables[collection].items():
      frozen = part in ("fragment_0", "fragment_1")
      same = bits(tree) == bits(desk.variables[collection][part])
      assert same == frozen, (collection, part)
  paths = [
    jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state.opt_state)
  ]
  assert any("fragment_2" in path for path in paths)
  assert not any("fragment_0" in path or "fragment_1" in path for path in paths)
  assert state.step == 3


def test_slowed_fragments_move_by_the_factor():
  options = {"grown": 2, "momentum": 0.0, "rate": 0.1, "teachers": (), "methods": {"ce": {}}}
  full, slowed = school.grade(**options), school.grade(lower=1, lower_rate=0.25, **options)
  before = full.variables["params"]
  moved, less = (
    jax.tree.map(np.subtract, desk.train().variables["params"], before) for desk in (full, slowed)
  )
  for part in before:
    factor = 0.25 if part == "fragment_0" else 1.0
    for a, b in zip(jax.tree.leaves(moved[part]), jax.tree.leaves(less[part]), strict=True):
      assert np.abs(a).max() > 1e-4
      np.testing.assert_allclose(b, factor * a, rtol=1e-3, atol=3e-7)


def one_step(desk):
  """{teacher: variables} -> what one step makes, on one device, under `vmap` and not `pmap`."""
  rows = jnp.asarray(desk.order()[0])
  found = {role.name: desk.where(role) for role in desk.spec.roles}
  seats = {name: where for name, where in found.items() if where is not None}
  state, labels = jax.tree.map(jnp.asarray, (desk.state(), desk.labels))
  ahead = {"images": jnp.asarray(desk.images[desk.order()[0]])}

  def run(teachers):
    def mapped(rows, seats):
      constants = step.Constants(jax.random.key(7), labels, teachers)
      return step.train_step(desk.spec, state, constants, rows, seats, ahead)

    after = jax.vmap(mapped, axis_name=pmap.AXIS)(rows[None], seats)
    return after.variables["params"], after.sums["loss"]

  return run


def test_nothing_of_a_step_has_a_gradient_in_the_teachers():
  desk = school.grade(grown=1, seen=2, teachers=("subject_1", "generalist"))
  run = one_step(desk)

  @jax.jit
  def everything(teachers):
    value, pull = jax.vjp(run, teachers)
    return value, pull(jax.tree.map(jnp.ones_like, value))[0]

  value, gradient = everything(desk.teachers)
  assert len(jax.tree.leaves(gradient)) == 2
  assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradient))
  # They do matter: other teachers make another step.
  other, _ = everything(jax.tree.map(lambda leaf: -leaf, desk.teachers))
  assert np.abs(value[1] - other[1]) > 1e-3
  kernels = [v[0]["head"]["dense"]["kernel"] for v in (value, other)]
  assert np.abs(kernels[0] - kernels[1]).max() > 1e-5


def test_teachers_stay_to_the_bit():
  desk, team = school.grade(grown=1, seen=1, teachers=("subject_1",)), school.fleet()
  teachers = team.replicate(desk.teachers)
  desk.trainer(team, teachers=teachers)(desk.state(team), 0, 2)
  assert bits(teachers) == bits(desk.teachers)


def test_the_first_broken_step_is_recorded():
  def rate(count):
    return jnp.where(count == 1, jnp.inf, 0.01)

  options = {"grown": 1, "teachers": (), "methods": {"ce": {}}}
  broken = school.grade(rate=rate, **options).train(5)
  assert broken.broken == 2 and broken.step == 5  # step 1 ruins the parameters, step 2 shows it
  assert school.grade(rate=0.01, **options).train(3).broken == -1


def test_padded_seats_count_for_nothing():
  """Seats 3, 3, 2 over four devices give teachers unequal numbers; the loss does not notice."""
  desk = school.grade()
  found = [desk.where(role, devices=4)[1] for role in desk.spec.roles]
  assert any((mask == 0).any() for mask in found)
  np.testing.assert_allclose(mean_loss(plain_step(4)), mean_loss(plain_step()), rtol=1e-6)


def test_exams_answer_in_inference_mode():
  network, variables = school.pupil(2, 4)
  images, _ = school.pictures()
  rows = np.array([3, 1, 4, 1])
  ask = jax.jit(functools.partial(step.exam_step, network, school.AUGMENT))
  got = ask(variables, images[rows])
  views = (images[rows] / 255 - np.array(school.AUGMENT.mean)[None, None, None]) / np.array(
    school.AUGMENT.std
  )[None, None, None]
  expected = network.apply(variables, views.astype(np.float32)).logits
  np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pad", [0, 2])
def test_views_are_drawn_anew_in_each_step(pad):
  """The same images twice cost a student that does not change the same only if not augmented."""
  how = Augment(school.AUGMENT.mean, school.AUGMENT.std, pad=pad, flip=pad > 0)
  desk = school.grade(grown=1, teachers=(), methods={"ce": {}}, rate=0.0, augment=how)
  team = school.fleet()
  run = desk.trainer(team)
  first = jax.device_get(state := run(desk.state(team), 0, 1)).sums
  second = jax.device_get(run(state, 0, 1)).sums
  assert second["images"] == 2 * first["images"] == 16
  same = np.isclose(second["loss"], 2 * first["loss"], rtol=1e-6)
  assert same == (pad == 0)


def test_the_two_momenta_begin_as_one_and_part():
  """DOT's first step is SGD's, since no momentum is there yet; its second is not."""
  recipes = {
    kind: curriculum.Recipe(batch_size=8, optimiser=kind, weight_decay=5e-4)
    for kind in ("sgd", "dot")
  }
  after = {}
  for kind, recipe in recipes.items():
    tx = optimizers.optimiser(recipe, lambda _: 0.05)
    desk = school.grade(tx=tx, apart=optimizers.apart(recipe))
    after[kind] = [desk.train(steps).variables["params"] for steps in (1, 2)]
  differences = [
    max(jax.tree.leaves(jax.tree.map(lambda a, b: np.abs(a - b).max(), *states)))
    for states in zip(after["sgd"], after["dot"], strict=True)
  ]
  assert differences[0] < 1e-6 < 1e-4 < differences[1]


def test_a_student_at_rest_stays_to_the_bit():
  """Parameters, head and statistics: in a phase in which only a method learns."""
  desk = school.grade(frozen=-1, momentum=0.9, weight_decay=0.1)
  state = desk.train(3)
  assert school.bits(state.variables) == school.bits(desk.variables)
  assert not jax.tree.leaves(state.opt_state[1].trace["student"])
