"""Files are told by what they hold: any ending is read, and what is no network is named."""

import collections
import errno
import gzip
import io
import json
import pathlib
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from edjax import convert, errors
from tests.convert.convert_test import refused, twin

NAMES = ("a.ckpt", "a.th", "pytorch_model.bin", "a.pkl", "a.t7", "A.PTH", "student_best", "a.png")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["archive", "before archives", "safetensors"])
def test_any_ending_is_read(name, how, tmp_path):
  state = twin().state_dict()
  if how == "safetensors":
    safetensors.torch.save_file(state, tmp_path / name)
  else:
    torch.save(state, tmp_path / name, _use_new_zipfile_serialization=how == "archive")
  assert convert.is_file(tmp_path / name)
  variables, info, _ = convert.read(tmp_path / name)
  assert (info["model"], info["num_classes"]) == ("resnet8", 7)
  np.testing.assert_array_equal(
    variables["params"]["head"]["dense"]["kernel"].T, state["fc.weight"].numpy()
  )


def image(kind):
  buffer = io.BytesIO()
  Image.new("RGB", (8, 8)).save(buffer, kind)
  return buffer.getvalue()


def zipped():
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, "w") as archive:
    archive.writestr("resnet110/model.pth", b"something")
  return buffer.getvalue()


def tape(*names):
  buffer = io.BytesIO()
  with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
    for name in names:
      archive.addfile(tarfile.TarInfo(name))
  return buffer.getvalue()


def program():
  buffer = io.BytesIO()
  torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
  return buffer.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00ff\nsize 900\n"
OTHERS = {
  "web page": (lambda: b"\n <!DOCTYPE html><title>Quota exceeded</title>", "web page", "Quota"),
  "xml": (lambda: b'\xef\xbb\xbf<?xml version="1.0"?><Error>AccessDenied</Error>', "<?xml", "down"),
  "pointer": (lambda: POINTER, "Git LFS pointer", "git lfs pull"),
  "empty": (lambda: b"", "is empty", "again"),
  "zeros": (lambda: bytes(3000), "zeros", "again"),
  "json": (lambda: b'{"message": "Not Found"}', "is text", "Not Found"),
  "text": (lambda: "404: nicht gefunden – ".encode() * 40, "is text", "404"),
  "png": (lambda: image("PNG"), "PNG image", "name the file"),
  "jpeg": (lambda: image("JPEG"), "JPEG image", "name the file"),
  "gzip": (lambda: gzip.compress(b"weights"), "gzip", "unpack"),
  "zip": (zipped, "zip archive", "resnet110/model.pth"),
  "tar": (lambda: tape("a/net.pth", "a/notes"), "tar archive", "a/net.pth"),
  "oldest": (lambda: tape("sys_info", "pickle", "tensors", "storages"), "oldest format", "trust"),
  "program": (program, "TorchScript", "torch.jit.load"),
  "pickle": (lambda: pickle.dumps({"a": np.ones(3)}), "torch.save did not write", "trust"),
  "bytes": (lambda: bytes(range(200, 256)) * 9, "begins with", "again"),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("ending", [".pth", ".safetensors", ""])
def test_what_is_no_network_is_called_by_name(name, ending, tmp_path):
  content, *words = OTHERS[name]
  path = tmp_path / f"net{ending}"
  path.write_bytes(content())
  said = refused(path)
  for word in words:
    assert word in said
  assert ("trust" in said) == (name in ("oldest", "pickle"))


class Callback(torch.nn.Module):
  """A class that a checkpoint may hold, as those of Lightning do."""


def test_the_classes_of_a_pickle_are_named(tmp_path):
  state = twin().state_dict()
  beside = {"hyper_parameters": {"root": pathlib.PurePosixPath("x"), "hook": Callback}}
  torch.save({"state_dict": state} | beside, tmp_path / "last.ckpt")
  said = refused(tmp_path / "last.ckpt")
  assert "Callback" in said and "PurePosixPath" in said and "state_dict" in said
  torch.save(twin(), tmp_path / "whole.pt")
  said = refused(tmp_path / "whole.pt")
  assert "a whole network as a Python object" in said and "ResNet" in said


def test_numbers_and_arrays_beside_the_weights(tmp_path):
  state = twin().state_dict()
  beside = {
    "rng": np.random.RandomState(0).get_state(),
    "best": np.float32(3),
    "losses": [np.ones(3)],
  }
  torch.save({"model": state} | beside, tmp_path / "a.pth")
  assert convert.read(tmp_path / "a.pth")[1]["model"] == "resnet8"


NOTES = {
  "no JSON": ("not JSON {", None),
  "a list": ("[1, 2]", None),
  "other keys": (json.dumps({"author": "x", "model": 3}), None),
  "classes of another network": (json.dumps({"classes": ["a", "b"]}), None),
  "mean of another kind": (json.dumps({"mean": "0.5", "std": [0, 0, 0]}), None),
  "sound": (json.dumps({"mean": [0.1, 0.2, 0.3]}), [0.1, 0.2, 0.3]),
}


@pytest.mark.parametrize("name", NOTES)
def test_a_foreign_note_is_passed_over(name, tmp_path):
  note, mean = NOTES[name]
  state = {key: tensor for key, tensor in twin().state_dict().items() if tensor.ndim}
  safetensors.torch.save_file(state, tmp_path / "a.safetensors", {"edjax": note})
  _, info, _ = convert.read(tmp_path / "a.safetensors")
  assert info == collections.ChainMap(
    {"model": "resnet8", "num_classes": 7, "mean": mean},
    dict.fromkeys(("classes", "dataset", "image_shape", "std")),
  )


@pytest.mark.parametrize("place", ["open", "read"])
def test_what_cannot_be_read_is_not_called_damaged(place, tmp_path, monkeypatch):
  torch.save(twin().state_dict(), tmp_path / "a.pth")

  def fail(*_, **__):
    raise OSError(errno.EIO, "Input/output error")

  monkeypatch.setattr(*((zipfile, "ZipFile") if place == "open" else (torch, "load")), fail)
  with pytest.raises(OSError, match="Input/output"):
    convert.read(tmp_path / "a.pth")


def test_a_path_that_is_not_there(tmp_path):
  for name in ("a.pth", "a.PTH"):
    with pytest.raises(errors.UserError, match="no file"):
      convert.read(tmp_path / name)
  assert not convert.is_file(tmp_path / "student_best")
