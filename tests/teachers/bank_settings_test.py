"""What an answer bank can serve, and what a config is told that it cannot."""

import dataclasses

import jax
import numpy as np
import pytest

from configs import cifar100
from edjax import methods, models
from edjax.errors import UserError
from edjax.settings import settle
from edjax.teachers import bank


def settings(made, workdir, processes=1):
  return bank.settings(settle(made).faculty, workdir, processes)


def asked(**changes):
  made = cifar100.get_config("kd")
  made.faculty.bank = "float32"
  made.update_from_flattened_dict(changes)
  return made


def test_where_it_is_kept(tmp_path):
  assert settings(asked(**{"faculty.bank": ""}), tmp_path) is None
  kept = settings(asked(), tmp_path)
  assert kept.folder == kept.own == tmp_path / "teachers"
  assert settings(asked(**{"faculty.cache": "/elsewhere"}), tmp_path).folder.name == "elsewhere"


@pytest.mark.parametrize(
  "changes, said",
  [
    (
      {"faculty.bank": "float16"},
      r"faculty.bank is 'float16' \(did you mean 'bfloat16'\?\); choose one of '', float32, bf",
    ),
    ({"faculty.bank_fill": "eager"}, "faculty.bank_fill is 'eager'; choose one of lazily, up"),
    ({"recipe.mixup": 1.0}, "recipe.mixup makes.*set faculty.bank to '', or set recipe.mixup to 0"),
    ({"recipe.views": "two"}, "recipe.views 'two' draws from views without end"),
    ({"recipe.randaugment": 2}, "recipe.randaugment draws.*or set recipe.randaugment to 0"),
    ({"recipe.pad": 0, "recipe.resized": 0.08}, "recipe.resized draws.*set recipe.crops"),
  ],
)
def test_impossible_settings(changes, said, tmp_path):
  with pytest.raises(UserError, match=said):
    settings(asked(**changes), tmp_path)


def test_several_processes(tmp_path):
  with pytest.raises(UserError, match="faculty.bank serves one process, not 2"):
    settings(asked(), tmp_path, processes=2)
  assert settings(asked(**{"faculty.bank": ""}), tmp_path, processes=2) is None


LOGITS = {"ce", "kd", "dkd", "dist", "ctkd", "mlld"}


@pytest.mark.parametrize("name", methods.METHODS)
def test_methods_that_read_more_than_logits(name, tmp_path):
  made = asked(methods={"ce": {"weight": 1.0}, name: {"weight": 1.0}})
  if name in LOGITS:
    assert settings(made, tmp_path)
    return
  said = f"methods.{name} needs more of a teacher than its logits.*faculty.bank 'float32'"
  with pytest.raises(UserError, match=said):
    settings(made, tmp_path)
  made.grades.grade_1.methods = "ce"  # it teaches in no grade
  assert settings(made, tmp_path)
  if name != "simkd":  # whose student ends in its teacher's classifier
    made.grades.grade_1.update(methods="", teachers="none")
    assert settings(made, tmp_path)


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("name", sorted(LOGITS - {"ce"}))
def test_methods_on_logits_read_nothing_else(name, standardise):
  ((_, _, method),) = methods.build({name: {"weight": 1.0, "standardise": standardise}})
  assert method.on_logits
  draw = np.random.default_rng(0)
  ours, theirs = (
    models.Output(draw.normal(size=(4, 5)).astype(np.float32), (), (), None) for _ in range(2)
  )
  nothing = dataclasses.fields(methods.Batch)
  batch = methods.Batch(**{field.name: None for field in nothing} | {"axis": None})
  batch = batch.replace(
    labels=np.arange(4), mask=np.ones(4, np.float32), epoch=np.float32(0), share=1.0
  )
  variables = method.init(jax.random.key(0), ours, theirs)
  loss, _ = method.loss(variables, ours, theirs, batch)
  assert loss.shape == (4,) and np.isfinite(loss).all()
