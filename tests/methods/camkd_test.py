"""Hints of several teachers, who share each image by how well the student goes with them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from edjax import methods
from edjax.errors import UserError
from edjax.methods.camkd import CAMKD
from edjax.teachers import faculty
from edjax.training import objective
from tests import outputs, school
from tests.methods.methods_test import batch, in_torch, variables
from tests.reference.methods import camkd as reference

SEATS = np.array([0, 1, 5, 6])  # of labels 0 and 1, which the specialist answers for
COLUMNS = {"generalist": (0, 1, 2, 3, 4), "generalist_2": (0, 1, 2, 3, 4), "subject_1": (1, 0)}
FACTOR = {"generalist": 1.0, "generalist_2": 1.0, "subject_1": 2.0}


def loaded():
  """Two generalists on all eight images and a specialist on four, with its two classes only."""
  student, answers, teachers = outputs.pair()[0], {}, {}
  draw = np.random.default_rng(3)
  for number, (name, places) in enumerate(COLUMNS.items()):
    said = outputs.pair(number + 1)[1]
    if name == "subject_1":
      said = jax.tree.map(lambda leaf: leaf[SEATS], said)
      said = said.replace(logits=said.logits[:, :2])
    answers[name] = said
    dense = {"kernel": draw.normal(size=(9, len(places))), "bias": draw.normal(size=len(places))}
    teachers[name] = {"params": {"head": {"dense": jax.tree.map(np.float32, dense)}}}
  roles = tuple(
    faculty.Role(name, None, tuple(range(len(places))), places, FACTOR[name])
    for name, places in COLUMNS.items()
  )
  spec = dataclasses.replace(
    school.grade().spec,
    roles=roles,
    methods=methods.build({"camkd": {"weight": 50.0}}),
    num_classes=outputs.CLASSES,
    consensus="average",
  )
  return spec, student, answers, teachers


def test_three_teachers_share_images_by_the_students_hints():
  """Values and gradients, through the shares too, against PyTorch."""
  spec, student, answers, teachers = loaded()
  begun = objective.begin(spec, jax.random.key(0), student, answers, 40)
  params = {name: jax.tree.map(np.asarray, begun[name]["camkd"]["params"]) for name in COLUMNS}
  seats = {"subject_1": (jnp.asarray(SEATS), jnp.ones(4))}
  asked = batch(8)

  def soft(student, params):
    known = {name: {"camkd": one} for name, one in params.items()} | {"": {}}
    said = {name: (answer,) for name, answer in answers.items()}
    _, soft, parts, _ = objective.losses(
      spec, known, begun, objective.Seen((student,), said, asked, seats, teachers)
    )
    return soft.mean(), parts["camkd"]

  (to_student, to_params), losses = jax.jit(jax.grad(soft, argnums=(0, 1), has_aux=True))(
    student, params
  )

  theirs, learnt = outputs.in_torch(student), in_torch(params)
  hints, errors = torch.zeros(3, 8).double(), torch.full((3, 8), -torch.inf).double()
  for row, (name, places) in enumerate(COLUMNS.items()):
    seated = SEATS if name == "subject_1" else np.arange(8)
    own = theirs._replace(features=[x[seated] for x in theirs.features])
    labels = [places.index(label) for label in np.asarray(asked.labels)[seated]]
    told = asked.replace(
      classifier=in_torch(teachers[name]["params"]["head"]["dense"]), labels=torch.tensor(labels)
    )
    arguments = own, outputs.in_torch(answers[name]), told, {"params": learnt[name]}
    hints = hints.index_put((torch.tensor(row), torch.tensor(seated)), reference.loss(*arguments))
    errors = errors.index_put(
      (torch.tensor(row), torch.tensor(seated)), reference.errors(*arguments)
    )
  factors = torch.tensor([[FACTOR[name]] for name in COLUMNS]) * (hints > 0)
  weights = factors * (1 - torch.softmax(errors, 0))
  expected = 50 * (weights / weights.sum(0) * hints).sum(0)
  expected.mean().backward()
  np.testing.assert_allclose(losses, expected.detach(), rtol=1e-5)
  for ours, leaf in zip(
    to_student.features[1:], outputs.gradients(theirs).features[1:], strict=True
  ):
    np.testing.assert_allclose(ours, leaf, atol=1e-5 * max(np.abs(leaf).max(), 1e-3))
  for ours, leaf in zip(jax.tree.leaves(to_params), jax.tree.leaves(learnt), strict=True):
    np.testing.assert_allclose(ours, leaf.grad.numpy(), atol=1e-5 * np.abs(leaf.grad.numpy()).max())
  assert np.asarray(to_student.features[-1]).any()


@pytest.mark.parametrize("gone", ["generalist_2", "both generalists"])
def test_who_is_alone_has_the_whole_image_and_finite_gradients(gone):
  """Images that nobody answers, too, leave all gradients finite."""
  spec, student, answers, teachers = loaded()
  left = ["generalist", "subject_1"] if gone == "generalist_2" else ["subject_1"]
  seats = {"subject_1": (jnp.asarray(SEATS), jnp.ones(4))}
  spec = dataclasses.replace(spec, roles=tuple(role for role in spec.roles if role.name in left))
  if left == ["subject_1"]:  # two specialists of the same subject
    twin = dataclasses.replace(spec.roles[0], name="twin")
    spec = dataclasses.replace(spec, roles=(*spec.roles, twin))
    for table in (answers, teachers, seats):
      table["twin"] = table["subject_1"]
  begun = objective.begin(spec, jax.random.key(0), student, answers, 40)

  def soft(student):
    known = {name: {each: one["params"] for each, one in row.items()}
             for name, row in begun.items()}  # fmt: skip
    said = {role.name: (answers[role.name],) for role in spec.roles}
    _, soft, *_ = objective.losses(
      spec, known, begun, objective.Seen((student,), said, batch(8), seats, teachers)
    )
    return soft.sum(), soft

  gradient, losses = jax.grad(soft, has_aux=True)(student)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((gradient, losses)))
  others = np.setdiff1d(np.arange(8), SEATS)
  if left == ["subject_1"]:
    assert not np.asarray(losses)[others].any()
  else:
    alone, _ = CAMKD().loss(begun["generalist"]["camkd"], student, answers["generalist"], batch(8))
    np.testing.assert_allclose(losses[others], 50 * alone[others], rtol=1e-5)


def test_silent_in_the_first_epoch():
  """The authors' helper/loops.py leaves the term out where `epoch` is 1, its first."""
  student, teacher = outputs.pair()
  asked, known = batch(8), variables("camkd", 0, "random")
  for epoch, heard in ((0.0, False), (0.99, False), (1.0, True), (5.5, True)):
    losses, _ = CAMKD().loss(known, student, teacher, asked.replace(epoch=jnp.float32(epoch)))
    assert np.asarray(losses).any() == heard


def test_a_teacher_who_pools_another_map_is_compared_in_its_embedding():
  student, teacher = outputs.pair()
  wide = teacher.replace(embedding=np.repeat(teacher.embedding, 2, 1))
  known = CAMKD().init(jax.random.key(0), student, wide)
  assert known["params"]["connector"]["conv"]["kernel"].shape == (1, 1, 8, 18)
  told = batch(8).replace(classifier={"kernel": jnp.ones((18, 5)), "bias": jnp.zeros(5)})
  np.testing.assert_allclose(CAMKD().errors(known, student, wide, told), np.log(5), rtol=1e-5)
  losses, _ = CAMKD().loss(known, student, wide, told)
  hint = torch.tensor(
    student.features[-1].mean((1, 2)) @ known["params"]["connector"]["conv"]["kernel"][0, 0]
  )
  hint = torch.nn.functional.batch_norm(hint, None, None, training=True).relu()
  expected = (hint - torch.tensor(wide.embedding)).square().mean(1)
  np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_without_a_classifier():
  student, teacher = outputs.pair()
  with pytest.raises(UserError, match="methods.camkd needs teachers whose heads end in a dense"):
    known = variables("camkd", 0, "random")
    CAMKD().errors(known, student, teacher, batch(8).replace(classifier=None))
  with pytest.raises(UserError, match="methods.camkd.silent is -1"):
    methods.build({"camkd": {"silent": -1}})
