"""Which network a file holds: found by its tensors alone, and if it is none, told what is amiss."""

import jax
import numpy as np
import pytest
import torch

from edjax import convert, errors, models
from edjax.convert import __main__ as command
from edjax.convert import tensors
from tests import school
from tests.convert.convert_test import refused, twin


@pytest.mark.parametrize(
  "model,classes,channels", [("resnet8x4", 3, 3), ("resnet14", 100, 1), ("wrn_16_1", 2, 4)]
)
def test_network_classes_and_channels_are_recognised(model, classes, channels, tmp_path, capsys):
  network = twin(model, classes=classes, channels=channels)
  torch.save(network.half().state_dict(), tmp_path / "a.pth")
  command.main([f"{tmp_path}/a.pth", f"{tmp_path}/folder"])
  said = capsys.readouterr().out
  assert f"{model}, {classes} classes" in said and "repdistiller names" in said
  variables, info, _ = convert.read(tmp_path / "folder")
  whole = models.graduate(models.body(model), classes)
  shapes = school.init(whole, (32, 32, channels))
  assert jax.tree.map(np.shape, variables) == jax.tree.map(lambda leaf: leaf.shape, shapes)
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(np.float32)}
  assert info["classes"] is None


@pytest.mark.parametrize("hint", [["--model=resnet8"], []])
def test_every_difference_is_listed(hint, tmp_path):
  state = twin().state_dict()
  del state["bn1.weight"], state["layer3.0.conv2.weight"]
  state["layer1.0.conv1.weight"] = torch.ones(16, 16, 5, 5)
  state["extra.thing"], state["other.bias"] = torch.ones(2), torch.ones(3)
  torch.save(state, tmp_path / "a.pth")
  said = refused(tmp_path / "a.pth", *hint)
  assert "resnet8 with repdistiller names, 7 classes" in said
  assert "missing: bn1.weight, layer3.0.conv2.weight;" in said
  assert "not in it: extra.thing, other.bias;" in said
  assert "layer1.0.conv1.weight is (16, 16, 5, 5), not (16, 16, 3, 3)" in said


def test_shortcuts_without_parameters_are_no_forgotten_ones(tmp_path):
  """By names alike a network is neither the one with convolutions nor the one without."""
  state = twin("resnet20_option_a", classes=10).state_dict()
  torch.save(
    {"state_dict": {f"module.{name}": value for name, value in state.items()}, "best": 9.0},
    tmp_path / "a.th",
  )
  _, info, scheme = convert.read(tmp_path / "a.th")
  assert (info["model"], info["num_classes"], scheme) == ("resnet20_option_a", 10, "akamaster")
  without = {n: v for n, v in twin("resnet20").state_dict().items() if "downsample" not in n}
  torch.save(without, tmp_path / "b.pth")
  assert "missing: linear.bias, linear.weight; not in it: fc.bias" in refused(tmp_path / "b.pth")
  torch.save(state | {"layer2.0.shortcut.0.weight": torch.ones(32, 16, 1, 1)}, tmp_path / "c.pth")
  assert "not in it: layer2.0.shortcut.0.weight" in refused(tmp_path / "c.pth")


def traced(monkeypatch):
  """Names of the networks whose tensors are looked up from now on."""
  seen, layout = [], tensors.layout
  monkeypatch.setattr(tensors, "layout", lambda *given: seen.append(given[0]) or layout(*given))
  return seen


def test_no_more_networks_are_traced_than_can_be_the_nearest(tmp_path, monkeypatch):
  state = twin().state_dict()
  del state["bn1.weight"], state["layer3.0.conv2.weight"]
  torch.save(state, tmp_path / "a.pth")
  seen = traced(monkeypatch)
  assert "missing: bn1.weight, layer3.0.conv2.weight" in refused(tmp_path / "a.pth")
  assert seen == ["resnet8"]  # of the others all have two tensors more, or fewer, than this file


def test_the_nearest_need_not_have_as_many_tensors(tmp_path, monkeypatch):
  state = twin("resnet14").state_dict()
  gone = [n for n in state if n.startswith("layer") and ".0." in n and "batches" not in n][:25]
  torch.save({n: tensor for n, tensor in state.items() if n not in gone}, tmp_path / "a.pth")
  seen = traced(monkeypatch)
  assert refused(tmp_path / "a.pth").endswith(
    f"the nearest network is resnet14 with repdistiller names, 7 classes; "
    f"missing: {', '.join(sorted(gone))}"
  )
  assert seen[0] == "resnet8x4"  # whose tensors are as many


def test_a_file_of_other_names(tmp_path, monkeypatch):
  """Nothing is traced to see that no network is near, unless one says which it should be."""
  called = {"conv1": "backbone.conv", "bn1": "backbone.bn", "fc": "backbone.last"}
  state = {}
  for name, tensor in twin().state_dict().items():
    first, _, rest = name.partition(".")
    state[f"{called.get(first, f'backbone.{first}')}.{rest}"] = tensor
  torch.save(state, tmp_path / "a.pth")
  seen = traced(monkeypatch)
  said = refused(tmp_path / "a.pth")
  assert "conv1.weight" in said and "fc.weight" in said and "patch_embed.proj.weight" in said
  assert "they are called conv.weight, bn.weight, bn.bias …" in said
  assert not seen
  said = refused(tmp_path / "a.pth", "--model=resnet8")
  assert "missing: bn1.bias" in said and "not in it: bn.bias" in said


def test_a_wrong_network_or_class_count_is_said(tmp_path):
  torch.save(twin().state_dict(), tmp_path / "a.pth")
  assert "missing: layer1.1" in refused(tmp_path / "a.pth", "--model=resnet14")
  said = refused(tmp_path / "a.pth", "--model=resnet8", "--num_classes=9")
  assert "fc.weight is (7, 64), not (9, 64)" in said and "fc.bias is (7,), not (9,)" in said
  with pytest.raises(errors.UserError, match="resnet8"):
    command.main([str(tmp_path / "a.pth"), str(tmp_path / "folder"), "--model=resnet_8"])
