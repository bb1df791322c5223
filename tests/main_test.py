import pytest
from tests import archives, command


@pytest.mark.parametrize(
  "arguments",
  [
    ["--config=configs/digits.py:smoke", "--config.nope=1"],
    ["--config=configs/digits.py:smoke", "--config.recipe.batchsize=1"],
    ["--config=configs/digits.py:smoke", "--config.seed=abc"],
    ["--config=configs/digits.py:smoke", "--config.grades.epochs=abc"],
    ["--config=configs/digits.py:smoke", "--config.grades.epochs=1,x"],
    ["--config=configs/digits.py:smoke", "--config.grades.epochs=1,1.5,1"],
    ["--config=configs/digits.py:smoke", "--config.recipe.flip=maybe"],
    ["--config=configs/digits.py:smoke", "--config.recipe.momentum=high"],
    ["--config=configs/digits.py:smoke", "--config.data=1"],
    ["--config=configs/digits.py:smoke", "--config.data.train_limit=1.5"],
    ["--config=configs/digits.py:tiny"],
    ["--config=configs/nothere.py"],
    ["--config=configs"],
    ["--config=setup.cfg"],
    ["--config="],
    ["--config"],
    [],
    ["--workdir=x"],
    ["--nope=1"],
    ["--config=configs/digits.py", "what"],
    ["--config=configs/digits.py", "--mode=play"],
    ["--config.seed=1", "--config=configs/digits.py"],
    ["--config=configs/digits.py:smoke", "--config.student.model=resnet9"],
    ["--config=configs/digits.py:smoke", "--config.faculty.specialist.model=resnet9"],
    ["--config=configs/digits.py:smoke", "--config.dataset=digit"],
    ["--config=configs/digits.py:smoke", "--config.methods.kdd.weight=1"],
    ["--config=configs/digits.py:smoke", "--config.methods={'kdd':{'weight':1.0}}"],
    ["--config=configs/digits.py:smoke", "--config.methods.kd.temp=1"],
    ["--config=configs/digits.py:smoke", "--config.methods.kd.temperature=-1"],
    ["--config=configs/digits.py:smoke", "--config.methods.kd.weight=-1"],
    ["--config=configs/digits.py:smoke", "--config.subjects=1,1,1,1,1,1,1,1,1,1,1"],
    ["--config=configs/digits.py:smoke", "--config.subjects=1,0"],
    ["--config=configs/digits.py:smoke", "--config.grades.epochs=1,0,1"],
    ["--config=configs/digits.py:smoke", "--config.grades.epochs=1,1"],
    ["--config=configs/digits.py:smoke", "--config.grades.fragments=1,2,2"],
    ["--config=configs/digits.py:smoke", "--config.grades.fragments=2,1,3"],
    ["--config=configs/digits.py:smoke", "--config.grades.subjects=1,2,2"],
    ["--config=configs/digits.py:smoke", "--config.grades.teachers=specialist"],
    ["--config=configs/digits.py:smoke", "--config.recipe.batch_size=30"],
    ["--config=configs/digits.py:smoke", "--config.recipe.batch_size=0"],
    ["--config=configs/digits.py:smoke", "--config.recipe.batch_size=4000"],
    [
      "--config=configs/digits.py:smoke",
      "--config.recipe.batch_size=4",
      "--config.subjects=1,1,1,1,1,1",
    ],
    ["--config=configs/digits.py:smoke", "--config.recipe.schedule=line"],
    ["--config=configs/digits.py:smoke", "--config.recipe.pad=-1"],
    ["--config=configs/digits.py:smoke", "--config.recipe.target=all"],
    ["--config=configs/digits.py:smoke", "--config.recipe.weight_decay=-1"],
    ["--config=configs/digits.py:smoke", "--config.devices=5"],
    ["--config=configs/digits.py:smoke", "--config.class_order=up"],
    ["--config=configs/digits.py:smoke", "--config.checkpoint.keep=0"],
    ["--config=configs/digits.py:smoke", "--config.checkpoint.every_seconds=-1"],
    ["--config=configs/digits.py:smoke", "--config.grades.learning_rate=0"],
    ["--config=configs/digits.py:smoke", "--config.data.train_limit=3"],
    ["--config=configs/digits.py:smoke", "--config.data.validation_fraction=1"],
    ["--config=configs/digits.py:smoke", "--config.data.image_size=9"],
    ["--config=configs/digits.py:smoke", "--config.faculty.specialist.epochs=0"],
    ["--config=configs/digits.py:smoke", "--config.faculty.specialist.learning_rate=0"],
    ["--config=configs/digits.py:smoke", "--config.faculty.specialist.checkpoint=nowhere"],
    ["--config=configs/digits.py:smoke", "--config.faculty.generalist.checkpoint=nowhere"],
    ["--config=configs/digits.py:smoke", "--config.seed=-1"],
    ["--config=configs/digits.py:smoke", "--config.seed=99999999999"],
    ["--config=configs/fashion_mnist.py:smoke"],
    ["--config=configs/fashion_mnist.py:smoke", "--config.data_dir=/nowhere"],
    ["--config=configs/digits.py:smoke", "--mode=exam"],
    ["--config=configs/digits.py:smoke", "--workdir=/proc/x"],
    ["--config=configs/digits.py:smoke", "--workdir=setup.cfg"],
    ["--config=configs/digits.py:smoke", "--workdir=setup.cfg/x"],
  ],
)
def test_x(capfd, arguments, tmp_path, monkeypatch, small):
  if not any("--workdir" in a for a in arguments):
    arguments = [*arguments, f"--workdir={tmp_path}/w"]
  from edjax import school

  def no(*a, **k):
    raise SystemExit("WOULD TRAIN")

  monkeypatch.setattr(school, "attend", no)
  try:
    ended = command.give(capfd, *arguments)
    r = f"{ended.code} {ended.err!r} {ended.out!r}"
  except BaseException as e:
    r = f"RAISED {type(e)} {str(e)[:300]!r}"
  with open("/tmp/h/bad.txt", "a") as f:
    print(arguments[:-1], "\n    ", r, [str(p.name) for p in tmp_path.rglob("*")][:4], file=f)
