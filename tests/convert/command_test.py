"""Where convert writes and how it ends: nothing else is overwritten, and an error is one line."""

import json
import os
import stat
import sys

import pytest
import safetensors.torch
import torch
from PIL import Image

from edjax import convert, errors
from edjax.convert import __main__ as command
from edjax.data import __main__ as data_command
from tests.convert.convert_test import twin

USUAL = ("--size=32", "--mean=0.5,0.4,0.3", "--std=0.3,0.2,0.1")


@pytest.fixture
def source(tmp_path):
  torch.save(twin().state_dict(), tmp_path / "a.pth")
  return tmp_path / "a.pth"


def refused(*arguments):
  with pytest.raises(errors.UserError) as caught:
    command.main([str(argument) for argument in arguments])
  assert "\n" not in str(caught.value)
  return str(caught.value)


ENDINGS = "onnx tflite h5 npz mlmodel keras pkl t7 msgpack ONNX v2"


@pytest.mark.parametrize("ending", ENDINGS.split())
def test_unknown_endings_of_targets(ending, source):
  target = source.with_name(f"out.{ending}")
  assert f".{ending.lower()} file" in refused(source, target)
  assert os.listdir(source.parent) == ["a.pth"]


@pytest.mark.parametrize("name", ["b.th", "b.ckpt", "b.bin", "B.PT", "b.pth.tar", "B.SafeTensors"])
def test_endings_that_are_written(name, source):
  command.main([str(source), str(source.with_name(name))])
  assert source.with_name(name).is_file() and source.with_name(name).stat().st_size > 300_000
  assert convert.read(source.with_name(name))[1]["model"] == "resnet8"


@pytest.mark.parametrize("name", ["net", "resnet8_v1.5", ".net"])
def test_folders(name, source):
  command.main([str(source), str(source.with_name(name))])
  assert (source.with_name(name) / "info.json").is_file()


def other(kind, path):
  """Makes a file that convert did not write; returns its bytes."""
  state = {name: tensor for name, tensor in twin(seed=3).state_dict().items() if tensor.ndim}
  if kind == "safetensors":
    safetensors.torch.save_file(state, path, {"format": "pt"})
  elif kind == "text":
    path.write_text("notes")
  else:
    found = {"training": {"model": state, "optimizer": {}}, "published": twin(seed=3).state_dict()}
    torch.save(found[kind], path)
  return path.read_bytes()


@pytest.mark.parametrize("kind", ["training", "published", "safetensors", "text"])
@pytest.mark.parametrize("ending", [".pth", ".safetensors", ""])
def test_other_files_are_not_overwritten(kind, ending, source):
  target = source.with_name(f"target{ending}")
  before = other(kind, target)
  assert str(target) in refused(source, target)
  assert target.read_bytes() == before


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_own_files_are_replaced_and_all_may_read_them(ending, source):
  target = source.with_name(f"b.{ending}")
  before, mask = twin(seed=9).state_dict(), os.umask(0o022)
  try:
    torch.save(before, source)
    command.main([str(source), str(target)])
    source.unlink()
    torch.save(twin().state_dict(), source)
    command.main([str(source), str(target)])
  finally:
    os.umask(mask)
  assert stat.S_IMODE(target.stat().st_mode) == 0o644
  kernel = convert.read(target)[0]["params"]["head"]["dense"]["kernel"]
  assert (kernel.T == twin().state_dict()["fc.weight"].numpy()).all()
  assert sorted(os.listdir(source.parent)) == ["a.pth", target.name]


@pytest.mark.parametrize("target", ["folder", "b.safetensors"])
def test_what_is_given_is_kept(target, source, capsys):
  command.main([str(source), str(source.with_name(target)), *USUAL])
  assert "keeps no" not in capsys.readouterr().out
  info = convert.read(source.with_name(target))[1]
  assert (info["mean"], info["std"]) == ([0.5, 0.4, 0.3], [0.3, 0.2, 0.1])
  assert info["image_shape"] == [32, 32, 3]
  command.main([str(source.with_name(target)), str(source.with_name("again"))])
  again = json.loads((source.with_name("again") / "info.json").read_text())
  assert (again["mean"], again["std"]) == ([0.5, 0.4, 0.3], [0.3, 0.2, 0.1])


def test_what_a_pickle_cannot_keep_is_said(source, capsys):
  command.main([str(source), str(source.with_name("b.pth")), *USUAL])
  assert "b.pth: keeps no size, mean, std and classes" in capsys.readouterr().out
  command.main([str(source), str(source.with_name("b.pth"))])
  assert "keeps no" not in capsys.readouterr().out


@pytest.mark.parametrize(
  "options,reason",
  [
    (["--size=0"], "more than nothing"),
    (["--mean=0.5,0.5", "--std=1,1"], "one number, or three"),
    (["--mean=0.5", "--std=0.5"], "with 1 channels"),
    (["--mean=nan,0,0", "--std=1,1,1"], "finite"),
    (["--std=1,-1,1"], "more than nothing"),
    (["--mean=a,b,c"], "--mean"),
    (["--num_classes=x"], "--num_classes"),
    (["--names=mine"], "--names"),
    (["--nonsense=1"], "--nonsense"),
  ],
)
def test_impossible_options_write_nothing(options, reason, source):
  assert reason in refused(source, source.with_name("folder"), *options)
  assert os.listdir(source.parent) == ["a.pth"]


def test_names_of_classes_are_kept(source):
  names = [*"1 2 10 a b c".split(), "sea gull"]
  file = source.with_name("names.txt")
  file.write_text("\n".join(names) + "\n\n")
  command.main([str(source), str(source.with_name("folder")), f"--classes={file}"])
  assert convert.read(source.with_name("folder"))[1]["classes"] == names
  for wrong, reason in ((names[1:], "names 6 classes"), ([*names[1:], "2"], "twice 2")):
    file.write_text("\n".join(wrong))
    assert reason in refused(source, source.with_name("other"), f"--classes={file}")
  file.write_bytes(b"\xff\xfe\x00")
  assert "no text" in refused(source, source.with_name("other"), f"--classes={file}")
  assert not source.with_name("other").exists()


def pictures(folder):
  folder.mkdir()
  for number in range(2):
    Image.new("RGB", (32, 32), (number * 90, 9, 9)).save(folder / f"{number}.png")
  return folder


def test_a_broken_image_under_check(source):
  folder = pictures(source.with_name("images"))
  (folder / "2.png").write_bytes((folder / "1.png").read_bytes()[:40])
  assert str(folder / "2.png") in refused(source, source.with_name("out"), f"--check={folder}")


def test_one_image_under_check(source, capsys):
  folder = pictures(source.with_name("images"))
  command.main([str(source), str(source.with_name("out")), f"--check={folder / '1.png'}"])
  assert capsys.readouterr().out.splitlines()[-1].startswith("1.png: ")


def ended(monkeypatch, run, arguments):
  """Runs a command as a shell does; returns what it ends with."""
  monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
  with pytest.raises(SystemExit) as caught:
    run()
  assert "\n" not in caught.value.code and caught.value.code.startswith("edjax: ")
  return caught.value.code


@pytest.mark.parametrize("target", ["b.pth", "b.safetensors", "folder"])
def test_a_target_that_cannot_be_written(target, source, monkeypatch):
  source.with_name("place").write_text("a file, and no folder")
  target = source.with_name("place") / target
  assert "place" in ended(monkeypatch, command.run, [source, target])


@pytest.mark.parametrize("target", ["b.pth", "b.safetensors"])
def test_a_full_disk(target, source, monkeypatch):
  def full(_):
    raise OSError(28, "No space left on device", target)

  monkeypatch.setattr(os, "fsync", full)
  said = ended(monkeypatch, command.run, [source, source.with_name(target)])
  assert "No space left" in said and target in said
  assert os.listdir(source.parent) == ["a.pth"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "Input/output error", "x.pth")])
@pytest.mark.parametrize("module", [command, data_command], ids=["convert", "data"])
def test_commands_share_their_endings(error, module, monkeypatch):
  def fail(*_):
    raise error

  monkeypatch.setattr(module, "main", fail)
  said = ended(monkeypatch, module.run, [])
  assert ("interrupted" if isinstance(error, KeyboardInterrupt) else "x.pth: Input/output") in said


def test_the_parser_ends_in_one_line(monkeypatch):
  assert "--help" in ended(monkeypatch, data_command.run, ["prepare"])
  assert "required" in ended(monkeypatch, command.run, [])
