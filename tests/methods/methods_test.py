"""Every method against its re-statement in PyTorch, and what all methods must keep to."""

import dataclasses
import functools
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from edjax import methods
from edjax.errors import UserError
from edjax.methods.base import begin
from tests import outputs

CASES = outputs.cases()
DEGENERATE = ("identical", "constant maps")  # where differences of like numbers are left
# Compiling is what takes time: these cases share their shapes with the usual one,
QUICK = ("random", "huge logits", "constant maps", "batch of two")
# and these methods take a minute each, so that only their usual case is quick.
LARGE = ("reviewkd", "semckd")
NAMES = [
  pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in methods.METHODS
]


def oracle(name):
  return importlib.import_module(f"tests.reference.methods.{name}")


def said(name, case=None):
  """(student's output, teacher's output), of the usual case unless another is named."""
  return getattr(oracle(name), "CASES", CASES)[case or usual(name)]


def made(name, trial=0):
  return methods.METHODS[name](**oracle(name).OPTIONS[trial])


def usual(name):
  """The case that stands for all others."""
  return getattr(oracle(name), "USUAL", "random")


def refused(name, trial):
  """{case: the error it says}."""
  cases = getattr(oracle(name), "LEFT_OUT", {})
  return cases[trial] if isinstance(cases, tuple) else cases


def trials():
  """Every method with every row of its options on every case; quick ones are not slow."""
  for name in methods.METHODS:
    for trial in range(len(oracle(name).OPTIONS)):
      for case in CASES:
        quick = not trial and (case == usual(name) or (case in QUICK and name not in LARGE))
        marks = () if quick else pytest.mark.slow
        yield pytest.param(name, trial, case, id=f"{name}-{trial}-{case}", marks=marks)


def batch(count, axis=None, mask=None):
  """Labels 0, 1, …; the teacher's classifier is any matrix at all."""
  width = outputs.WIDTHS["teacher"][-1]
  draw = np.random.default_rng(9)
  return methods.Batch(
    labels=jnp.arange(count) % outputs.CLASSES,
    index=2 * jnp.arange(count),
    mask=jnp.ones(count) if mask is None else jnp.asarray(mask, jnp.float32),
    key=jax.random.key(3),
    epoch=jnp.float32(7.25),
    everyone=jnp.arange(5 * count) // 2 % outputs.CLASSES,
    classifier={
      "kernel": jnp.asarray(draw.normal(size=(width, outputs.CLASSES)), jnp.float32),
      "bias": jnp.asarray(draw.normal(size=outputs.CLASSES), jnp.float32),
    },
    axis=axis,
  )


@functools.cache
def variables(name, trial, case):
  """As they begin, then moved a little, so that no scale is one and no bias zero."""
  method, (student, teacher) = made(name, trial), said(name, case)
  taught = teacher if method.needs_teacher else None
  fresh = begin(method, jax.random.key(0), student, taught, 5 * len(student.logits))
  assert all(fresh.values())  # what a method has nothing of it does not name
  draw = np.random.default_rng(5)
  moved = jax.tree.map(
    lambda leaf: np.asarray(leaf + 0.1 * draw.normal(size=leaf.shape), np.float32),
    fresh.get("params", {}),
  )
  return fresh | {"params": moved}


@functools.cache
def ours(name, trial):
  """Compiled once per shape: ((gradients to student and parameters), (losses, memory))."""
  method = made(name, trial)

  @jax.jit
  def differentiate(student, params, memory, teacher, batch, weights):
    def objective(student, params):
      known = memory | {"params": params}
      losses, new = method.loss(known, student, teacher if method.needs_teacher else None, batch)
      return jnp.sum(losses * weights), (losses, new)

    return jax.grad(objective, argnums=(0, 1), has_aux=True)(student, params)

  def run(student, teacher, known, batch, weights=None):
    rest = {key: tree for key, tree in known.items() if key != "params"}
    weights = jnp.full(len(batch.labels), 1 / len(batch.labels)) if weights is None else weights
    return differentiate(student, known["params"], rest, teacher, batch, weights)

  return run


def close(actual, expected, tolerance=1e-5, floor=1e-8):
  """To a share of the largest entry of each leaf, which `floor` keeps from being nothing."""

  def one(path, ours, theirs):
    theirs = np.asarray(theirs)
    scale = np.abs(theirs).max(initial=0)
    np.testing.assert_allclose(
      ours, theirs, rtol=0, atol=tolerance * scale + floor, err_msg=jax.tree_util.keystr(path)
    )

  jax.tree.map_with_path(one, actual, expected)


def in_torch(tree):
  def leaf(x):
    x = torch.tensor(np.asarray(x))
    return x.double().requires_grad_() if x.is_floating_point() else x

  return jax.tree.map(leaf, tree)


def test_every_method_has_an_oracle():
  assert all(oracle(name).OPTIONS and oracle(name).loss for name in methods.METHODS)


@pytest.mark.parametrize("name, trial, case", list(trials()))
def test_value_and_gradients_equal_pytorch(name, trial, case):
  there, (student, teacher) = oracle(name), said(name, case)
  if case in refused(name, trial):
    with pytest.raises(UserError, match=refused(name, trial)[case]):
      made(name, trial).init(jax.random.key(0), student, teacher)
    return
  known, asked = variables(name, trial, case), batch(len(student.logits))
  theirs, taught, numbers = outputs.in_torch(student), outputs.in_torch(teacher), in_torch(known)
  told = asked.replace(classifier=in_torch(asked.classifier))
  told = told.replace(labels=torch.tensor(np.asarray(asked.labels)).long())
  expected = there.loss(theirs, taught, told, numbers, **there.OPTIONS[trial])
  weights = None
  if expected.ndim:  # defined image by image: tell the images apart
    weights = np.linspace(0.5, 2, len(student.logits), dtype=np.float32)
    (expected * torch.tensor(weights)).sum().backward()
  else:
    expected.backward()

  tolerance = getattr(there, "TOLERANCE", {}).get(case, 1e-5)
  floor = 0.3 * tolerance if case in DEGENERATE else 1e-8
  gradients, (losses, memory) = ours(name, trial)(student, teacher, known, asked, weights)
  assert losses.shape == (len(student.logits),) and losses.dtype == jnp.float32
  assert jax.tree.map(jnp.shape, memory) == jax.tree.map(jnp.shape, known.get("memory", {}))
  value = losses if expected.ndim else losses.mean()
  close(value, expected.detach().numpy(), tolerance, floor)
  wanted = jax.tree.map(
    lambda leaf: np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy(), numbers["params"]
  )
  wanted = outputs.gradients(theirs), wanted
  if case in DEGENERATE:  # rounding of other gradients is left where a leaf's own is zero
    floor = max(floor, tolerance * max(np.abs(leaf).max() for leaf in jax.tree.leaves(wanted)))
  close(gradients, wanted, tolerance, floor)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_outputs_give_finite_float32(name):
  known = variables(name, 0, usual(name))
  student, teacher = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), said(name))
  huge = jnp.asarray(CASES["huge logits"][0].logits, jnp.bfloat16)
  for logits in (student.logits, huge):
    gradients, (losses, memory) = ours(name, 0)(
      student.replace(logits=logits), teacher, known, batch(8)
    )
    assert losses.dtype == jnp.float32
    for leaf in jax.tree.leaves((gradients, losses, memory)):
      assert np.isfinite(np.asarray(leaf, np.float32)).all()
  rounded = jax.tree.map(lambda x: x.astype(jnp.float32), (student, teacher))
  exact = ours(name, 0)(*rounded, known, batch(8))[1][0]
  close(ours(name, 0)(student, teacher, known, batch(8))[1][0], exact, 1e-6)


@pytest.mark.parametrize(
  "name", [name for name in NAMES if methods.METHODS[name.values[0]].needs_teacher]
)
def test_teachers_are_constants(name):
  method, known, (student, teacher) = (
    made(name),
    variables(name, 0, usual(name)),
    said(name),
  )

  def of_teacher(teacher, classifier):
    asked = batch(8).replace(classifier=classifier)
    return method.loss(known, student, teacher, asked)[0].sum()

  value, gradient = jax.value_and_grad(of_teacher, argnums=(0, 1))(teacher, batch(8).classifier)
  assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradient))
  other = jax.tree.map(lambda leaf: leaf[::-1].copy(), teacher)
  assert of_teacher(other, batch(8).classifier) != value


@pytest.mark.parametrize("name", NAMES)
def test_padding_counts_for_nothing(name):
  """Six images and two of padding are as six images, whatever the padding holds."""
  known, outs = variables(name, 0, usual(name)), said(name)
  few = jax.tree.map(lambda leaf: leaf[:6], outs)
  fewer = batch(8)
  fewer = fewer.replace(labels=fewer.labels[:6], index=fewer.index[:6], mask=fewer.mask[:6])
  mask = np.float32([1] * 6 + [0] * 2)
  padded = batch(8, mask=mask)
  padded = padded.replace(index=padded.index.at[6:].set(0))
  expected, (losses, memory) = ours(name, 0)(*few, known, fewer)
  actual, (all_losses, remembered) = ours(name, 0)(*outs, known, padded, mask / 6)
  close(all_losses[:6], losses)
  for output, wanted in zip(
    *(jax.tree.leaves(tree[0]) for tree in (actual, expected)), strict=True
  ):
    close(output[:6], wanted)
    assert not np.asarray(output[6:]).any()
  close(actual[1], expected[1])
  close(remembered, memory)


@pytest.mark.parametrize("name", NAMES)
def test_four_devices_are_as_one(name):
  """Losses, gradients and memories of a batch that is divided over devices."""
  method, known, (student, teacher) = (
    made(name),
    variables(name, 0, usual(name)),
    said(name),
  )
  rest = {key: tree for key, tree in known.items() if key != "params"}
  whole, divided = batch(8), batch(8, axis="devices")

  def differentiate(student, teacher, labels, index, mask):
    asked = divided.replace(labels=labels, index=index, mask=mask)

    def objective(student, params):
      given = rest | {"params": params}
      losses, memory = method.loss(given, student, teacher if method.needs_teacher else None, asked)
      return losses.mean(), (losses, memory)

    (to_student, to_params), (losses, memory) = jax.grad(objective, argnums=(0, 1), has_aux=True)(
      student, known["params"]
    )
    return to_student, jax.lax.pmean(to_params, "devices"), losses, memory

  def split(tree):
    return jax.tree.map(lambda leaf: leaf.reshape(4, 2, *leaf.shape[1:]), tree)

  to_student, to_params, losses, memory = jax.pmap(differentiate, "devices")(
    *split((student, teacher, whole.labels, whole.index, whole.mask))
  )
  (alone_student, alone_params), (alone, remembered) = ours(name, 0)(student, teacher, known, whole)
  joined = jax.tree.map(lambda leaf: leaf.reshape(8, *leaf.shape[2:]) / 4, to_student)
  close(losses.mean(), alone.mean())
  close(joined, alone_student)
  close(jax.tree.map(lambda leaf: leaf[0], to_params), alone_params)
  for device in range(4):
    close(jax.tree.map(lambda leaf, device=device: leaf[device], memory), remembered)


@pytest.mark.parametrize(
  "name",
  [
    name
    for name, method in methods.METHODS.items()
    # SemCKD's projections are normalised over all devices either way.
    if "gather" in method.__dataclass_fields__ and name != "semckd"
  ],
)
def test_devices_need_not_gather(name):
  """Then each compares its own images as if there were no others."""
  method, known, (student, teacher) = made(name), variables(name, 0, usual(name)), said(name)
  method, whole = dataclasses.replace(method, gather=False), batch(8)

  def losses(axis, student, teacher, labels, index, mask):
    asked = whole.replace(labels=labels, index=index, mask=mask, axis=axis)
    return method.loss(known, student, teacher, asked)[0]

  shares = jax.tree.map(
    lambda leaf: leaf.reshape(4, 2, *leaf.shape[1:]),
    (student, teacher, whole.labels, whole.index, whole.mask),
  )
  divided = jax.pmap(functools.partial(losses, "devices"), "devices")(*shares)
  close(divided, jax.lax.map(lambda share: losses(None, *share), shares))
  together = made(name).loss(known, student, teacher, whole)[0]
  assert not np.allclose(divided.mean(), together.mean(), rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_student_that_has_not_grown_is_taught_all_the_same(name):
  """Maps that are not there yet are None; what is there gives finite losses and gradients."""
  method, (student, teacher) = made(name), said(name)
  young = student.replace(
    features=(*student.features[:2], None, None),
    preactivations=(*student.preactivations[:2], None, None),
  )
  taught = teacher if method.needs_teacher else None
  known = begin(method, jax.random.key(0), young, taught, 40)
  assert all(known.values())
  gradients, (losses, _) = ours(name, 0)(young, teacher, {"params": {}} | known, batch(8))
  assert losses.shape == (8,)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((gradients, losses)))


@pytest.mark.parametrize("name", NAMES)
def test_init_needs_shapes_only(name):
  method, outs = made(name), said(name)
  student, teacher = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, outs))
  taught = teacher if method.needs_teacher else None
  fresh = begin(method, jax.random.key(0), student, taught, 40)
  assert set(fresh) <= {"params", "memory"}
  shapes = jax.eval_shape(lambda: begin(method, jax.random.key(0), student, taught, 40))
  assert jax.tree.map(jnp.shape, fresh) == jax.tree.map(lambda leaf: leaf.shape, shapes)
  assert hash(method) == hash(made(name))
  assert dataclasses.is_dataclass(method) and method.__doc__
