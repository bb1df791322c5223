"""PyTorch checkpoints in and out: nothing is lost, nothing runs, everything wrong is said."""

import argparse
import os

import numpy as np
import pytest
import safetensors.torch
import torch

from edjax import convert, errors, models
from edjax.convert import __main__ as command
from edjax.convert import tensors
from tests.reference.zoo import ZOO


def twin(model="resnet8", seed=0, **options):
  """A PyTorch network with no number like another."""
  torch.manual_seed(seed)
  network = ZOO[model].make(**({"classes": 7} | options)).eval()
  for tensor in network.state_dict().values():
    if tensor.is_floating_point():
      tensor.copy_(torch.rand_like(tensor) + 0.5)
    else:
      tensor.fill_(12_345)
  return network


def same(expected, actual):
  """Equal to the bit, but for the counters of batches."""
  expected = {n: t for n, t in expected.items() if not n.endswith("num_batches_tracked")}
  assert set(actual) == set(expected)
  for name, tensor in expected.items():
    assert torch.equal(torch.as_tensor(np.asarray(actual[name])), tensor), name


def wrappings(state, path):
  """What training scripts have been seen to save."""
  return {
    "raw": state,
    "model": {"epoch": 3, "model": state, "best_acc": np.float64(71.5), "optimizer": {}},
    "options": {"opt": argparse.Namespace(lr=0.1), "model": state},
    "state_dict": {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
    "net": {"net": {f"module.{name}": tensor for name, tensor in state.items()}, "acc": 1.0},
  }[path]


def test_round_trip_is_bit_identical(tmp_path):
  """File to folder to both kinds of file, which plain PyTorch loads with no name left over."""
  network = twin()
  torch.save(network.state_dict(), tmp_path / "a.pth")
  command.main([f"{tmp_path}/a.pth", f"{tmp_path}/folder"])
  for ending in ("pth", "safetensors"):
    command.main([f"{tmp_path}/folder", f"{tmp_path}/b.{ending}"])
  back = torch.load(tmp_path / "b.pth", weights_only=True)
  same(network.state_dict(), back)
  same(network.state_dict(), safetensors.torch.load_file(tmp_path / "b.safetensors"))
  ZOO["resnet8"].make(classes=7).load_state_dict(back)  # strict


@pytest.mark.parametrize("how", ["raw", "model", "options", "state_dict", "net"])
@pytest.mark.parametrize("ending", ["pth", "pt", "tar"])
def test_wrappings(how, ending, tmp_path):
  network = twin()
  torch.save(wrappings(network.state_dict(), how), tmp_path / f"a.{ending}")
  variables, info, scheme = convert.read(tmp_path / f"a.{ending}")
  assert (info["model"], info["num_classes"], scheme) == ("resnet8", 7, "repdistiller")
  same(
    network.state_dict(), tensors.to_torch(variables, "resnet8", convert.NAMES["resnet8"][scheme])
  )


def refused(path, *options):
  with pytest.raises(errors.UserError) as caught:
    command.main([str(path), str(path.with_name("folder")), *options])
  assert not path.with_name("folder").exists()
  assert str(path) in str(caught.value) and "\n" not in str(caught.value)
  return str(caught.value)


class Malice:
  """Unpickled without care, it makes a folder."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("place", ["beside", "instead"])
def test_a_malicious_pickle_runs_nothing(place, tmp_path):
  evil = Malice(tmp_path / "owned")
  found = {"model": twin().state_dict(), "note": evil} if place == "beside" else evil
  torch.save(found, tmp_path / "a.pth")
  said = refused(tmp_path / "a.pth")
  assert "run code" in said and "safetensors" in said and "mkdir" in said
  assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_truncated_files(ending, tmp_path):
  path = tmp_path / f"a.{ending}"
  names = convert.NAMES["resnet8"]["repdistiller"]
  state = {name: tensor for name, tensor in twin().state_dict().items() if tensor.ndim}
  save(state, path)
  assert names("head/dense") == "fc" and convert.read(path)
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  assert "no sound" in refused(path)
  path.write_bytes(b"")
  assert "is empty" in refused(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite(value, tmp_path):
  state = twin().state_dict()
  state["layer2.0.bn2.running_var"][3] = value
  torch.save(state, tmp_path / "a.pth")
  assert refused(tmp_path / "a.pth").endswith("not finite, in layer2.0.bn2.running_var")


def save(state, path):
  """As the ending says."""
  if path.suffix == ".safetensors":
    safetensors.torch.save_file(state, path)
  else:
    torch.save(state, path)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize(
  "kind", [torch.bfloat16, torch.float16, torch.float32, torch.float64], ids=str
)
def test_precisions(kind, ending, tmp_path):
  """PyTorch's own conversion to single precision, which loses nothing of the lower ones."""
  state = twin().state_dict()
  draw = torch.Generator().manual_seed(1)
  for name, tensor in state.items():
    if tensor.is_floating_point():
      state[name] = (torch.randn(tensor.shape, dtype=torch.float64, generator=draw) ** 5).to(kind)
  save(state, tmp_path / f"a.{ending}")
  variables, _, scheme = convert.read(tmp_path / f"a.{ending}", "resnet8")
  back = tensors.to_torch(variables, "resnet8", convert.NAMES["resnet8"][scheme])
  same({name: tensor.float() for name, tensor in state.items()}, back)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize(
  "kind,called",
  [
    (torch.float8_e4m3fn, ("F8_E4M3", "float8_e4m3fn")),
    (torch.float8_e5m2, ("F8_E5M2", "float8_e5m2")),
    (torch.complex64, ("C64", "complex64")),
  ],
)
def test_other_types_of_numbers_are_named(kind, called, ending, tmp_path):
  state = twin().state_dict()
  for name in ("bn1.weight", "layer2.0.conv1.weight"):
    state[name] = state[name].to(kind)
  save(state, tmp_path / f"a.{ending}")
  said = refused(tmp_path / f"a.{ending}")
  called = called[ending == "pth"]
  assert f"does not read: bn1.weight ({called}), layer2.0.conv1.weight ({called});" in said


@pytest.mark.parametrize("found", [[1, 2], {"epoch": 3}, {"model": 5}])
def test_files_without_a_network(found, tmp_path):
  torch.save(found, tmp_path / "a.pth")
  refused(tmp_path / "a.pth")


def test_every_network_has_names():
  assert set(convert.NAMES) == set(models.MODELS)
  assert {scheme for row in convert.NAMES.values() for scheme in row} <= set(convert.SCHEMES)
