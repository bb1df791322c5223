"""Every setting can be typed, whatever config it is of; configs are found from any folder."""

import json
import os
import re
import subprocess
import sys

import jax
import pytest

from edjax import methods, rows, settings, workdirs
from edjax.data import datasets
from edjax.errors import UserError
from edjax.methods import base
from tests import command, outputs
from tests.configs_test import CLASSES, MODULES
from tests.methods.methods_test import batch


def leaves(config):
  """As config.json holds them."""
  return workdirs.flat(settings.to_json(settings.settle(config)))


def forms(value):
  """How somebody who reads config.json may type what is there."""
  if isinstance(value, list):
    yield json.dumps(value)
    yield str(tuple(value))
    yield ",".join(map(str, value)) + "," * (len(value) == 1)
  elif isinstance(value, str):
    yield value
  else:
    yield from {str(value), json.dumps(value)}


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("name", CLASSES)
def test_every_setting_goes_round(name, number, typed):
  """All at once, each in one of its forms; two variants besides the default have the most."""
  for variant in ("", "semckd", "paper,ft"):
    file = f"--config=configs/{name}.py:{variant}"
    known = leaves(MODULES[name].get_config(variant))
    assert None not in known.values()
    given = [f"--config.{key}={[*forms(value)][number % len([*forms(value)])]}"
             for key, value in known.items()]  # fmt: skip
    assert leaves(typed(file, *given)) == known


@pytest.mark.parametrize(
  "text, value",
  [
    ("1", (1,)), ("1,2", (1, 2)), ("(3,)", (3,)), ("[0.5, 1]", (0.5, 1)), ("", ()), ("()", ()),
    ("a,b", ("a", "b")), ("'a,b'", ("a,b",)), ("[true, false]", (True, False)), (",", ("",)),
    ("ft:paraphrase,ft+ce", ("ft:paraphrase", "ft+ce")), ("''", ("",)), ("a", ("a",)),
    ("/x/y z,/w", ("/x/y z", "/w")),
  ],
)  # fmt: skip
def test_several_values(text, value, typed):
  setting = "faculty.specialist.checkpoint"
  config = typed("--config=configs/digits.py", f"--config.{setting}={text}")
  assert config.faculty.specialist.checkpoint == value


@pytest.mark.parametrize(
  "given, epochs",
  [
    (["grades.epochs=3,6,15"], [3, 6, 15]),
    (["grades.epochs=3"], [3, 3, 3]),
    (["grades.grade_2.epochs=6"], [5, 6, 25]),
    (["grades.grade_2.epochs=6", "grades.epochs=1"], [1, 6, 1]),  # in whatever order
    (["grades.epochs=1,2,3", "grades.epochs=4"], [4, 4, 4]),
    (["grades.fragments=1,0", "grades.subjects=0", "grades.epochs=2,4", "grades.teachers=both"],
     [2, 4]),
  ],
)  # fmt: skip
def test_settings_of_one_grade_and_of_all(given, epochs, typed):
  config = typed("--config=configs/digits.py", *(f"--config.{text}" for text in given))
  built = rows.build(config.grades.to_dict())
  assert [row.epochs for row in built] == epochs
  assert {row.learning_rate for row in built} == {0.05}
  with pytest.raises(AttributeError, match="epoch"):
    config.grades.grade_1.epoch = 1


def test_what_is_said_of_settings_of_grades(typed):
  for given, said in (
    ("grades.grade_4.epochs=1", "it has 3 grades: make another one in a config file, or give"),
    ("grades.epoch=1", "no setting 'grades.epoch' .did you mean 'epochs'"),
    ("grades.grade_2.epoch=1", "no setting 'grades.grade_2.epoch' .did you mean 'epochs'"),
    ("grades.epochs=1,2", "^grades.epochs has 2 entries, but there are 3 grades; give 1 or 3$"),
    ("grades.epochs=", "^grades.epochs has 0 entries"),
    ("grades.grade_1.carry_momentum=2", "grade_1.carry_momentum"),
  ):
    with pytest.raises(UserError, match=said):
      typed("--config=configs/digits.py", f"--config.{given}")


@pytest.mark.parametrize("method", methods.METHODS)
def test_every_option_of_a_method_can_be_typed(method, typed):
  """With the default that its class has, the option stays what it is."""
  given = f"--config.methods={{'ce':{{'weight':1.0}},'{method}':{{'weight':0.5}}}}"
  config = typed("--config=configs/digits.py:kd", given)
  row = settings.settle(config).methods[method]
  fields = set(methods.METHODS[method].__dataclass_fields__) - {"needs_teacher", "on_logits"}
  assert fields <= set(row)
  assert methods.build(settings.settle(config).methods)


KEY = r"[a-z_]+(?:\.[a-z_]+)+"
ADVICE = re.compile(
  rf"--config\.(?P<flag>{KEY}=[^ ;)]+)"
  rf"|(?:\bset|\bor) (?P<key>{KEY}) to (?P<value>'[^']*'|[0-9][0-9.]*)"
  rf"|(?P<given>{KEY}='[^']+')"
)


def advice(error):
  """The settings that a message tells one to give, as flags: "set a.b to 'c' or 'd'"."""
  for match in ADVICE.finditer(str(error)):
    text = match["flag"] or match["given"] or f"{match['key']}={match['value']}"
    flag = "--config." + text.replace("'", "").rstrip(".,")
    yield flag
    also = re.match(r" or '([^']+)'", str(error)[match.end() :])
    if also and match["key"]:
      yield f"{flag.partition('=')[0]}={also[1]}"


def staged(config):
  base.same_stages("at", (0,) * 4, (0,) * 5, settings.settle(config).methods["at"]["pairs"])


def taught(config):
  """The last method of a config on networks of unlike widths, eight images at once."""
  *_, (_, _, method) = methods.build(settings.settle(config).methods)
  student, teacher = outputs.pair()
  known = method.init(jax.random.key(0), student, teacher)
  jax.eval_shape(lambda: method.loss(known, student, teacher, batch(8))[0])


def loaded(config):
  datasets.load(config.dataset, data_dir=config.data_dir, **config.data)


# who complains, a variant, what is set -> how many ways out the message has to give
COMPLAINTS = [
  (settings.settle, "kd", ["recipe.resized=0.5"], 2),
  (staged, "at", [], 1),
  (settings.settle, "kd", ["faculty.bank=float32", "recipe.mixup=1.0"], 2),
  (settings.settle, "kd", ["faculty.bank=float32", "recipe.views=two"], 2),
  (settings.settle, "kd", ["faculty.bank=float32", "recipe.randaugment=2"], 2),
  (settings.settle, "kd", ["faculty.bank=float32", "recipe.resized=0.5", "recipe.pad=0"], 1),
  (settings.settle, "at", ["faculty.bank=float32"], 1),
  (settings.settle, "kd", ["student.model=resnet8_half+simkd64", "grades.teachers=specialists"], 2),
  (taught, "kdsvd", ["methods.kdsvd.vectors=channels"], 1),
  (taught, "semckd", ["methods.semckd.images=7"], 1),
  (loaded, "kd", ["data.image_size=16"], 1),
]


@pytest.mark.parametrize("ask, variant, given, ways", COMPLAINTS)
def test_advice_works_as_it_is_typed(ask, variant, given, ways, typed):
  """What messages say to do is collected from them, typed, and makes them go away."""
  given = [f"--config=configs/digits.py:{variant}", *(f"--config.{text}" for text in given)]
  with pytest.raises(UserError) as error:
    ask(typed(*given))
  advised = [*advice(error.value)]
  assert len(advised) == ways, (str(error.value), advised)
  for flag in advised:
    ask(typed(*given, flag))


@pytest.mark.parametrize(
  "variant, key, value",
  [
    ("dkd", "methods.dkd.beta", 8), ("reviewkd", "methods.reviewkd.weight", 5),
    ("semckd", "methods.semckd.images", 40), ("camkd", "methods.kd.weight", 1 / 3),
    ("kd", "faculty.generalist.model", "resnet8_half"),
    ("dot", "faculty.generalist.optimiser", "sgd"),
    ("function", "faculty.generalist.clip", 1), ("kd", "faculty.specialist.weight_decay", 5e-4),
  ],
)  # fmt: skip
def test_none_opens_a_setting_again(variant, key, value, typed):
  other = {"model": "resnet8", "optimiser": "adamw"}.get(key.rpartition(".")[2], "3")
  file = f"--config=configs/digits.py:{variant}"
  flags = [f"--config.{key}={text}" for text in (other, "None")]
  assert leaves(typed(file, flags[0]))[key] == (other if isinstance(value, str) else 3)
  assert leaves(typed(file, *flags))[key] == pytest.approx(value)


@pytest.mark.parametrize("key", ["recipe.pad", "recipe.momentum", "methods.kd.temperature"])
def test_none_where_nothing_else_says_what_it_is(key, typed):
  with pytest.raises(UserError, match=f"{key} is None, but nothing else says"):
    typed("--config=configs/digits.py:kd", f"--config.{key}=None")


@pytest.mark.parametrize(
  "wrong, right",
  [
    ("recipe.image_size", "image_size"), ("model", "student.model"), ("lr", "learning_rate"),
    ("bs", "batch_size"), ("temperature", "methods.kd.temperature"), ("recipe.epochs", "epochs"),
    ("optimizer", "recipe.optimiser"), ("train_limit", "data.train_limit"),
  ],
)  # fmt: skip
def test_hints_towards_where_a_setting_is(wrong, right, typed):
  with pytest.raises(UserError, match=f"no setting '{wrong}'; it is --config.{right}"):
    typed("--config=configs/digits.py", f"--config.{wrong}=1")
  value = {"student.model": "vgg8", "recipe.optimiser": "adamw", "epochs": "3"}.get(right, "1")
  typed("--config=configs/digits.py", f"--config.{right}={value}")


def test_a_method_that_is_not_in_use_says_how_to_use_it(typed):
  with pytest.raises(UserError) as error:
    typed("--config=configs/digits.py:kd", "--config.methods.dkd.beta=2")
  advised = re.search(r'"(--config.methods=.*)"', str(error.value))[1]
  config = typed("--config=configs/digits.py:kd", advised)
  assert set(config.methods) == {"ce", "dkd"}
  assert (
    typed("--config=configs/digits.py:dkd", "--config.methods.dkd.beta=2").methods.dkd.beta == 2
  )


# --- where configs are ----------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
  """A current folder with nothing in it, and no configs on the path."""
  (tmp_path / "empty").mkdir()
  monkeypatch.chdir(tmp_path / "empty")
  return tmp_path / "empty"


@pytest.mark.parametrize(
  "name", [command.ROOT / "configs" / "digits.py", "configs/digits.py", "digits"]
)
def test_a_config_is_found_from_any_folder(name, elsewhere, typed):
  assert typed(f"--config={name}:smoke,ce").name == "digits_ce_smoke"


@pytest.mark.parametrize("place", ["edjax.recipes", "configs"])  # the second is of before
def test_ones_own_config_finds_what_all_share(place, elsewhere, typed):
  (elsewhere / "my.py").write_text(
    f"from {place} import common\n"
    "def get_config(arg=''):\n"
    "  return common.base('mine', 'digits').lock()\n"
  )
  config = typed("--config=my.py", "--config.methods.kd.standardise=True")
  assert config.name == "mine" and config.methods.kd.standardise
  with pytest.raises(UserError, match="No such file.*no.py"):
    typed("--config=no.py")


def test_from_another_folder_in_a_shell(elsewhere):
  """As a process of its own, which has imported nothing."""
  (elsewhere / "my.py").write_text("from configs import nothing\n")
  environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
  code = (
    f"import sys; sys.path.insert(0, {str(command.ROOT)!r}); from edjax import main; main.run()"
  )
  for given, said in (
    (["--config=my.py"], "from edjax.recipes import common"),
    (["--config=digits:ce", "--config.nope=1"], "no setting 'nope'"),
  ):
    done = subprocess.run(
      [sys.executable, "-c", code, *given],
      cwd=elsewhere, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


def test_of_a_setting_that_is_given_twice_the_last_counts(typed):
  """Of tuples, too, in both ways of typing them."""
  made = typed(
    "--config=configs/digits.py:kd",
    "--config.recipe.milestones=1,2",
    *("--config.data.mean", "0.5,0.6"),
    "--config.grades.epochs=1,2",
    "--config.recipe.flip",
    "--config.seed=1",
    "--config.recipe.milestones=3",
    "--noconfig.recipe.flip",
    *("--config.data.mean", "0.4"),
    "--config.grades.epochs=4",
    "--config.seed=2",
  )
  assert made.recipe.milestones == (3,) and made.data["mean"] == (0.4,)
  assert (made.seed, made.recipe.flip) == (2, False)
  assert [row.epochs for row in made.grades.values()] == [4]


@pytest.mark.parametrize("key", ["recipe.milestones", "subjects", "grades.epochs", "data.mean"])
def test_a_tuple_is_not_opened(key, typed):
  with pytest.raises(UserError, match=rf"{key}.*None"):
    typed("--config=configs/digits.py:kd", f"--config.{key}=None")
  assert (
    typed("--config=configs/digits.py:kd", "--config.recipe.milestones=").recipe.milestones == ()
  )
