"""The command: what goes wrong ends in one clear line and exit code 1, and nothing is lost."""

import errno
import json
import pathlib
import re
import shlex
import shutil

import pytest
import torch

from edjax.devices import compilation_cache as kept_programs
from edjax.report import journal
from edjax.storage import checkpoint
from tests import archives, command
from tests.command import DIGITS, files, refused
from tests.reference import zoo

pytestmark = [
  pytest.mark.usefixtures("place"),
  pytest.mark.filterwarnings("ignore:the load_module"),  # ml_collections'
]
# One grade, no teacher, the least network: two seconds.
QUICK = (
  "--config=configs/digits.py:ce,smoke",
  "--config.student.model=small",
  "--config.devices=1",
  "--config.checkpoint.every_seconds=0",
)


@pytest.mark.parametrize(
  "arguments, words",
  [
    ([], ["give a config", "--config=configs/digits.py"]),
    (["--config"], ["Missing value", "--config"]),
    (["--config=configs/mnist.py"], ["config", "configs/mnist.py", "No such file"]),
    (["--config=configs"], ["config", "directory"]),
    (["--config=configs/digits.py:kd,tiny"], ["'tiny'", "digits has", "ce, kd, paper, ed"]),
    ([*DIGITS, "--config.nope=1"], ["--config.nope=1", "no setting 'nope'"]),
    (
      [*DIGITS, "--config.recipe.batchsize=8"],
      ["--config.recipe.batchsize=8", "no setting 'recipe.batchsize'", "mean 'batch_size'"],
    ),
    ([*DIGITS, "--config.methods.kdd.weight=1"], ["no setting 'methods.kdd'", "mean 'kd'"]),
    ([*DIGITS, "--config.recipe.epochs=3"], ["no setting 'recipe.epochs'", "--config.epochs "]),
    ([*DIGITS, "--config.lr=3"], ["no setting 'lr'", "it is --config.learning_rate (or "]),
    ([*DIGITS, "--config.epochs=0"], ["epochs is 0; it must be above 0"]),
    ([*DIGITS, "--config.model=resnet8"], ["'model'", "it is --config.student.model "]),
    ([*DIGITS, "--config.temperature=3"], ["it is --config.methods.kd.temperature"]),
    ([*DIGITS, "--config.output_dir=runs"], ["'output_dir'", "it is --workdir"]),
    ([*DIGITS, "--config.methods.dkd.beta=2"], ["'dkd' is not in use", "--config=FILE.py:dkd"]),
    ([*DIGITS, "--config.recipe.optimiser=adam"], ["'adam'", "did you mean 'adamw'"]),
    ([*DIGITS, "--config.seed=abc"], ["--config.seed", "'abc'"]),
    ([*DIGITS, "--config.recipe.flip=perhaps"], ["--config.recipe.flip", "perhaps"]),
    (["--config.seed=1", *DIGITS], ["--config.seed=1", "before"]),
    ([*DIGITS, "--mode=play"], ["--mode=play", "train|exam"]),
    ([*DIGITS, "--epochs=3"], ["'epochs'"]),
    ([*DIGITS, "more"], ["'more'", "--config.key=value"]),
    ([*DIGITS, "--config.student.model=resnet21"], ["model", "'resnet21'", "wrn_16_2"]),
    ([*DIGITS, "--config.faculty.specialist.model=vgg"], ["model", "'vgg'", "resnet110"]),
    ([*DIGITS, "--config.faculty.generalist.model=vgg"], ["model", "'vgg'", "resnet110"]),
    ([*DIGITS, "--config.residence=streaming"], ["residence", "did you mean 'streamed'", "auto"]),
    ([*DIGITS, "--config.dataset=digit"], ["dataset", "did you mean 'digits'", "cifar100"]),
    (
      [*DIGITS, "--config.methods={'kb':{'weight':1.0}}"],
      ["method", "'kb'", "choose one of", "kd"],
    ),
    ([*DIGITS, "--config.methods.kd.temperature=0"], ["methods.kd.temperature", "positive"]),
    ([*DIGITS, "--config.subjects=1,none"], ["subjects", "ratio"]),
    ([*DIGITS, "--config.grades.epochs=0"], ["grade 1 of", "0 epochs", "more than 0"]),
    ([*DIGITS, "--config.grades.subjects=1.5"], ["grades.subjects", "1.5", "whole numbers"]),
    ([*DIGITS, "--config.grades.epochs=two"], ["grades.epochs", "'two'", "numbers"]),
    ([*DIGITS, "--config.grades.image_size=9"], ["grades.image_size is 9", "8 pixels"]),
    ([*DIGITS, "--config.recipe.rise=1"], ["recipe.rise is 1"]),
    ([*DIGITS, "--config.grades.epochs=" + "1," * 6 + "1"], ["7 grades"]),
    ([*DIGITS, "--config.grades.fragments=1,2,2"], ["cover the network", "2 of 3"]),
    ([*DIGITS, "--config.grades.fragments=4"], ["4 fragments", "has 3", "grades.fragments"]),
    ([*DIGITS, "--config.grades.subjects=2"], ["last grade", "of 10 classes", "grades.subjects"]),
    ([*DIGITS, "--config.grades.subjects=9"], ["9 subjects", "there are 3"]),
    (
      ["--config=configs/digits.py:smoke", "--config.grades.teachers=specialists,both"],
      ["grades.teachers has 2 entries", "3 grades"],
    ),
    (
      ["--config=configs/digits.py", "--config.grades.teachers=all"],
      ["grades.teachers", "'all'", "specialists"],
    ),
    ([*DIGITS, "--config.grades.learning_rate=0"], ["learning_rate", "positive"]),
    ([*DIGITS, "--config.grades.reference_grid=0"], ["reference_grid"]),
    ([*DIGITS, "--config.faculty.generalist.epochs=0"], ["teacher generalist", "0 epochs"]),
    ([*DIGITS, "--config.faculty.specialist.checkpoint=a"], ["names 1 teachers", "3 subjects"]),
    (
      [*DIGITS, "--config.faculty.generalist.checkpoint=a"],
      ["here/a does not", "holds no network"],
    ),
    ([*DIGITS, "--config.recipe.batch_size=30"], ["batch_size 30", "4 devices", "multiple of 4"]),
    ([*DIGITS, "--config.devices=9"], ["devices is 9", "there are 4"]),
    ([*DIGITS, "--config.recipe.batch_size=0"], ["batch_size is 0"]),
    ([*DIGITS, "--config.recipe.pad=-1"], ["recipe.pad is -1"]),
    ([*DIGITS, "--config.recipe.schedule=linear"], ["'linear'", "cosine, steps"]),
    ([*DIGITS, "--config.recipe.milestones=late"], ["recipe.milestones", "late"]),
    ([*DIGITS, "--config.recipe.target=all"], ["'all'", "slice, seen"]),
    ([*DIGITS, "--config.class_order=1,2,3"], ["class_order", "'1,2,3'", "0 to 9"]),
    ([*DIGITS, "--config.seed=-1"], ["seed is -1"]),
    ([*DIGITS, "--config.checkpoint.keep=0"], ["checkpoint.keep is 0"]),
    ([*DIGITS, "--config.data.train_limit=5"], ["train_limit=5", "10"]),
    ([*DIGITS, "--config.data.validation_fraction=1"], ["validation_fraction", "[0, 1)"]),
    (["--config=configs/cifar100.py"], ["--config.data_dir=DIR", "cifar-100-binary", "cs.toronto"]),
    (
      ["--config=configs/fashion_mnist.py", "--config.data_dir=configs"],
      ["'fashion_mnist' is not in configs", "train-images-idx3-ubyte", "zalandoresearch"],
    ),
    (["--config=configs/folder.py", "--config.data_dir=none"], ["no folder none", "<class>"]),
    ([*DIGITS, "--mode=exam"], ["runs/digits_paper_smoke", "no graduate", "without --mode=exam"]),
  ],
)
def test_bad_input(arguments, words, capfd, place):
  refused(command.give(capfd, *arguments), *words)
  # At most a note of the config is left, which does not keep the corrected command from running.
  left = {path.name for path in place.rglob("*") if path.is_file()}
  assert left <= {"config.json"}


@pytest.mark.parametrize(
  "arguments, words",
  [
    ([*DIGITS, "--config.recipe.batchsize=8"], ["no setting 'recipe.batchsize'"]),
    (["--config=configs/mnist.py"], ["configs/mnist.py"]),
    ([*DIGITS, "--config.recipe.batch_size=41", "--workdir=/nowhere"], ["41", "2 devices"]),
  ],
)
def test_bad_input_in_a_shell(arguments, words):
  refused(command.end(command.start(*arguments, JAX_NUM_CPU_DEVICES="2")), *words)


def test_a_mistake_is_put_right_in_the_same_directory(capfd, place):
  refused(command.give(capfd, *DIGITS, "--config.class_order=1,2", "--workdir=run"), "class_order")
  assert (place / "run" / "config.json").exists()
  # No step was taken, so that the next mistake is not that of using another's directory.
  refused(
    command.give(capfd, *DIGITS, "--config.class_order=3", "--workdir=run"), "class_order is '3'"
  )


def test_truncated_data(capfd, place):
  (place / "data").mkdir()
  archives.write_fashion(place / "data")
  path = place / "data" / "t10k-images-idx3-ubyte"
  path.write_bytes(path.read_bytes()[:-1])
  given = "--config=configs/fashion_mnist.py:smoke", "--config.data_dir=data"
  refused(command.give(capfd, *given), path.name, "15696 bytes", "15695", "fetch")
  assert not (place / "runs").exists()


@pytest.mark.parametrize("name", ["run", "file", "file/run"])
def test_a_work_directory_that_cannot_be(name, capfd, place, monkeypatch):
  (place / "file").write_text("")
  if name == "run":  # root may write anywhere

    def refuse(path, *_, **__):
      raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(pathlib.Path, "mkdir", refuse)
  ended = command.give(capfd, *DIGITS, f"--workdir={name}")
  refused(ended, "cannot read or write", "file" if name != "run" else "run")


# --- beside a run that is there ------------------------------------------------------------------


KD = "--config=configs/digits.py:kd,smoke", "--workdir=run"


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
  """A checkpoint as PyTorch writes them: ten classes, grey images."""
  torch.manual_seed(0)
  path = tmp_path_factory.mktemp("teacher") / "teacher.pth"
  torch.save({"model": zoo.make("resnet8_half", 10, (8, 8, 1)).state_dict()}, path)
  return path


def test_a_pytorch_checkpoint_teaches(teacher_file, small, capfd, place):
  given = (
    *KD,
    "--config.student.model=small",
    f"--config.faculty.generalist.checkpoint={teacher_file}",
    "--config.faculty.check=False",  # it has random weights
  )
  last_line(command.give(capfd, *given[:-1]), "near chance", "faculty.check")
  shutil.rmtree(place / "run")
  assert command.give(capfd, *given).code == 0
  (row,) = json.loads((place / "run" / "report.json").read_text())["teachers"]
  assert row["model"] == "resnet8_half" and row["params"] == 19_810
  (network,) = (place / "run" / "teachers" / "generalist").iterdir()
  again = files(network)
  given = f"--config.faculty.generalist.checkpoint={network}", given[-1], "--workdir=again"
  assert command.give(capfd, KD[0], "--config.student.model=small", *given).code == 0
  assert files(network) == again
  one, other = (checkpoint.load_variables(place / name / "graduate") for name in ("run", "again"))
  assert one[1]["sha256"] == other[1]["sha256"]


def test_a_pytorch_checkpoint_of_other_classes(teacher_file, capfd, place):
  archives.write_tree(place / "data", ("ant", "bee", "cow"), 10)
  given = "--config=configs/folder.py:kd,smoke", "--config.data_dir=data"
  given = *given, f"--config.faculty.generalist.checkpoint={teacher_file}", "--workdir=run"
  ended = command.give(capfd, *given)
  last_line(
    ended, "answers for 10 classes that it does not name", "needs 3 classes (ant, bee, cow)"
  )


def test_a_missing_or_unfit_teacher_file(capfd, place):
  refused(command.give(capfd, *KD, "--config.faculty.generalist.checkpoint=no.pth"), "no.pth")
  given = "--config.faculty.generalist.checkpoint=student_best"
  refused(command.give(capfd, *KD, given), "student_best does not exist")
  for name in ("colour.pth", "student_best"):
    torch.save({"model": zoo.make("resnet8_half", 10).state_dict()}, place / name)
    given = f"--config.faculty.generalist.checkpoint={name}"
    refused(command.give(capfd, *KD, given), "cannot look at the [8, 8, 1] images of digits")


@pytest.mark.slow
def test_a_network_of_ones_own(small, capfd, place):
  """Named by its module, without a row in edjax; grown by grades and examined again."""
  own = "--config.student.model=tests.small:SMALL"
  given = "--config=configs/digits.py:smoke", "--config.faculty.specialist.model=small"
  given = *given, "--config.faculty.generalist.model=small", own, "--workdir=run"
  assert command.give(capfd, *given).code == 0
  ended = command.give(capfd, *given, "--mode=exam")
  assert ended.code == 0 and json.loads(ended.out)["count"] == 451


@pytest.mark.parametrize(
  "name, words",
  [
    ("tests.nowhere:SMALL", ["cannot import", "tests.nowhere"]),
    ("tests.command:LARGE", ["cannot import", "LARGE"]),
    ("tests.command:give", ["a function, not an edjax.models.Body"]),
  ],
)
def test_ones_own_that_is_not_there(name, words, capfd, place):
  refused(command.give(capfd, *KD, f"--config.student.model={name}"), name, *words)


# --- while it runs -------------------------------------------------------------------------------


def last_line(ended, *words):
  """Asserts that a run ended with a clear line, after its progress and without a traceback."""
  assert ended.code == 1 and "Traceback" not in ended.err
  last = ended.err.splitlines()[-1]
  assert last.startswith("edjax: ")
  for word in words:
    assert str(word) in last, last


def test_loss_not_finite(small, capfd, place):
  given = (*QUICK, "--config.grades.learning_rate=1e38", "--workdir=run")
  ended = command.give(capfd, *given)
  last_line(ended, "student", "loss is not finite at step", "(grade_1, epoch 1)", "learning_rate")
  broken = int(re.search(r"at step (\d+)", ended.err)[1])
  assert str(place / "run" / "checkpoints") in ended.err
  rows = journal.Journal(place / "run" / "metrics.jsonl").rows()
  assert [row["step"] for row in rows] == list(range(1, broken))
  with checkpoint.Store(place / "run" / "checkpoints") as store:
    step, arrays, _ = store.newest()
  assert step == broken - 1 and int(arrays["broken"]) == -1
  # The same command comes to the same end.
  assert command.give(capfd, *given).err.splitlines()[-1] == ended.err.splitlines()[-1]


def full_at_third_save(monkeypatch):
  """The disk is full when the third checkpoint is to be written."""
  calls = []

  def usage(path):
    calls.append(path)
    return shutil._ntuple_diskusage(10**9, 10**9, 10**9 if len(calls) < 3 else 10**3)

  monkeypatch.setattr(checkpoint.shutil, "disk_usage", usage)


def full_within_orbax(monkeypatch):
  """Orbax meets the full disk itself, and says so as tensorstore does."""

  def save(*_, **__):
    raise ValueError("RESOURCE_EXHAUSTED: Failed writing: \"0\": No space [os_error_code='28']")

  monkeypatch.setattr(checkpoint.ocp.CheckpointManager, "save", save)


def full_at_the_journal(monkeypatch):
  """The disk is full when a row of metrics.jsonl is to be written."""

  def write(journal, row):
    raise OSError(errno.ENOSPC, "No space left on device", str(journal.path))

  monkeypatch.setattr(journal.Journal, "write", write)


def test_disk_full(small, capfd, place):
  whole = command.give(capfd, *QUICK, "--workdir=whole")
  assert whole.code == 0 and whole.out == ""
  for number, (fill, words) in enumerate(
    (
      (full_at_third_save, ["run_0/checkpoints", "disk is full", "MB are needed", "same command"]),
      (full_within_orbax, ["run_1/checkpoints", "No space left on device", "same command"]),
      (full_at_the_journal, ["run_2/metrics.jsonl", "No space left on device", "same command"]),
    )
  ):
    with pytest.MonkeyPatch.context() as patch:
      fill(patch)
      last_line(command.give(capfd, *QUICK, f"--workdir=run_{number}"), *words)
    assert not (place / f"run_{number}" / "report.json").exists()
  again = command.give(capfd, *QUICK, "--workdir=run_0")
  assert again.code == 0 and "student: continuing after step 2, in grade_1" in again.err
  one, other = (json.loads((place / n / "report.json").read_text()) for n in ("whole", "run_0"))
  assert one["student"]["sha256"] == other["student"]["sha256"]


def test_a_name_for_the_work_directory(small, capfd, place):
  ended = command.give(capfd, *QUICK)
  assert ended.code == 0
  report = json.loads((place / "runs" / "digits_ce_smoke" / "report.json").read_text())
  assert report["run"]["command"] == shlex.join(["python", "-m", "edjax.main", *QUICK])
  assert f"top-1 {100 * report['student']['top1']:.1f} % of 451 (95 % interval " in ended.err
  assert "runs/digits_ce_smoke/report.html" in ended.err
  other = command.give(capfd, *QUICK, "--config.seed=1")
  assert other.code == 0 and "runs/digits_ce_smoke-2/report.html" in other.err
  line = next(line for line in other.err.splitlines() if "another config" in line)
  assert "seed was 0, is now 1; so the work directory is runs/digits_ce_smoke-2" in line
  for given, name in (((), ""), (("--config.seed=1",), "-2")):
    examined = command.give(capfd, *QUICK, *given, "--mode=exam")
    assert f"examined: runs/digits_ce_smoke{name}\n" in examined.err
    report = json.loads((place / "runs" / f"digits_ce_smoke{name}" / "report.json").read_text())
    assert json.loads(examined.out)["top1"] == report["student"]["top1"]


def test_a_folder_of_programs_that_others_may_write(capfd, place):
  (place / "programs").mkdir(mode=0o700)
  (place / "programs").chmod(0o777)
  refused(
    command.give(capfd, *DIGITS, "--config.compilation_cache=programs"),
    "here/programs",
    "written by others",
  )


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["programs", "auto"])
def test_compiled_programs_are_kept(tmp_path, monkeypatch, setting):
  """A second run finds all of them, and ends with the same bits."""
  monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  programs = kept_programs.folder() if setting == "auto" else tmp_path / setting
  reports = []
  for name in ("one", "two"):
    before = set(programs.glob("*-cache"))
    ended = command.end(
      command.start(
        "--config=configs/digits.py:ce,smoke",
        "--config.student.model=tests.small:SMALL",
        f"--config.compilation_cache={'auto' if setting == 'auto' else programs}",
        f"--workdir={tmp_path / name}",
      )
    )
    assert ended.code == 0, ended.err
    reports.append(json.loads((tmp_path / name / "report.json").read_text()))
  assert before and set(programs.glob("*-cache")) == before
  assert programs.stat().st_mode & 0o077 == 0
  assert reports[0]["student"]["sha256"] == reports[1]["student"]["sha256"]
