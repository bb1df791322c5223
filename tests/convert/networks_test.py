"""The network among all that a checkpoint holds: found, chosen, and what is left out is said."""

import collections

import numpy as np
import pytest
import torch

from edjax import convert, errors
from edjax.convert import __main__ as command
from tests.convert.convert_test import refused, twin

FIRST, SECOND = (twin(seed=seed).state_dict() for seed in (1, 2))
OTHER = {f"stem.{name}.weight": torch.ones(4, 4, 3, 3) for name in "ab"}
LEFT = {"total_ops": torch.zeros(1), "layer1.0.conv1.total_params": torch.zeros(1)}


def prefixed(prefix, state):
  return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def read(content, path, **options):
  """Returns (which of the two networks it is, what was said)."""
  torch.save(content, path)
  said = []
  variables, info, _ = convert.read(path, tell=said.append, **options)
  assert info["model"] == "resnet8" and len(said) < 2
  kernel = variables["params"]["head"]["dense"]["kernel"].T
  number = [np.array_equal(kernel, state["fc.weight"].numpy()) for state in (FIRST, SECOND)]
  return number.index(True) + 1, "".join(said).removeprefix(f"{path}: ")


KEYS = (
  *("ema_state_dict", "model_ema", "weights", "params", "network", "student", "teacher"),
  *("net.state_dict", "a.b.c.d"),
)


@pytest.mark.parametrize("key", KEYS)
def test_a_state_dict_under_any_name(key, tmp_path):
  content = FIRST
  for part in reversed(key.split(".")):
    content = {part: content, "epoch": 3, "losses": torch.ones(9)}
  momentum = {number: {"momentum_buffer": torch.ones(4, 4, 3, 3)} for number in range(3)}
  content["optimizer"] = {"state": momentum, "param_groups": [{"lr": 0.1}]}
  assert read(content, tmp_path / "a.pth") == (1, f"taken from {key}")


PREFIXES = {
  "module.": "",
  "module._orig_mod.": "",
  "model.": "model",
  "net.module.backbone.": "net.backbone",
  "student.encoder._orig_mod.": "student.encoder",
  "0.": "0",
}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes(prefix, tmp_path):
  key = PREFIXES[prefix]
  said = f"taken from {key}" if key else ""
  assert read(prefixed(prefix, FIRST), tmp_path / "a.pth") == (1, said)


@pytest.mark.parametrize("wrapper", ["module", "_orig_mod"])
def test_wrappers_within_names(wrapper, tmp_path):
  state = {
    name.replace("layer2.", f"layer2.{wrapper}.").replace("fc.", f"fc.{wrapper}."): tensor
    for name, tensor in FIRST.items()
  }
  assert any(wrapper in name for name in state)
  assert read(state, tmp_path / "a.pth") == (1, "")


def test_passengers_are_said(tmp_path):
  beside = LEFT | {"criterion.weight": torch.ones(7), "n_averaged": torch.tensor(3)}
  said = "left out: total_ops, layer1.0.conv1.total_params, criterion.weight, n_averaged"
  assert read(FIRST | beside, tmp_path / "a.pth") == (1, said)
  assert read(prefixed("module.", FIRST | beside), tmp_path / "b.pth") == (1, said)
  number, said = read(prefixed("model.", FIRST) | {"acc.tp": torch.ones(2)}, tmp_path / "c.pth")
  assert (number, said) == (1, "taken from model; left out: acc.tp")


@pytest.mark.parametrize(
  "extra", ["dist_token", "layer1.0.se.fc1.weight", "attention.weight", "layer4.0.conv1.weight"]
)
def test_a_network_with_more_in_it_is_not_a_smaller_one(extra, tmp_path):
  torch.save(FIRST | {extra: torch.ones(2, 2, 1, 1)}, tmp_path / "a.pth")
  assert f"not in it: {extra}" in refused(tmp_path / "a.pth")


@pytest.mark.parametrize("extra", ["1.weight", "head.weight", "fc2.0.weight", "classifier.bias"])
def test_what_may_be_a_part_of_the_network_is_asked_for(extra, tmp_path):
  prefix = "0." if extra[0] == "1" else "backbone."
  content = prefixed(prefix, FIRST) | {extra: torch.ones(2)}
  torch.save(content, tmp_path / "a.pth")
  assert extra in refused(tmp_path / "a.pth")
  number, said = read(content, tmp_path / "a.pth", key=prefix.rstrip("."))
  assert number == 1 and said.endswith(f"left out: {extra}")


AVERAGED = {
  "state_dict_ema": {"state_dict": FIRST, "state_dict_ema": SECOND},
  "model_ema": {"model_ema": prefixed("module.", SECOND), "model": FIRST},
  "ema.model": {"ema": {"model": SECOND, "decay": 0.9}, "net": FIRST},
  "state_dict.ema_model": {
    "state_dict": prefixed("model.", FIRST) | prefixed("ema_model.", SECOND)
  },
}


@pytest.mark.parametrize("key", AVERAGED)
def test_weights_are_taken_rather_than_their_average(key, tmp_path):
  number, said = read(AVERAGED[key], tmp_path / "a.pth")
  assert number == 1 and said.startswith("taken from") and f"--key={key}" in said
  assert read(AVERAGED[key], tmp_path / "a.pth", key=key)[0] == 2


PAIRS = {
  "dicts": {"student": FIRST, "teacher": SECOND},
  "prefixes": {"state_dict": prefixed("student.", FIRST) | prefixed("teacher.", SECOND)},
  "bare": {**prefixed("teacher.", SECOND), **FIRST},
  "unknown": {"student": OTHER, "teacher": SECOND},
}


@pytest.mark.parametrize("how", PAIRS)
def test_two_networks_are_a_choice(how, tmp_path):
  torch.save(PAIRS[how], tmp_path / "a.pth")
  said = refused(tmp_path / "a.pth")
  assert "teacher" in said and "--key=" in said and ("student" in said) == (how != "bare")
  assert read(PAIRS[how], tmp_path / "a.pth", key="teacher")[0] == 2
  if how != "unknown":
    assert read(PAIRS[how], tmp_path / "a.pth", key="." if how == "bare" else "student")[0] == 1


def test_the_same_network_twice_is_no_choice(tmp_path):
  content = {"model": FIRST, "attacker": prefixed("model.", FIRST)}
  assert read(content, tmp_path / "a.pth")[0] == 1


def test_no_network_names_what_there_is(tmp_path, capsys):
  torch.save({"epoch": 3, "scheduler": {"last": 1}}, tmp_path / "a.pth")
  assert "no tensors of a network: it holds epoch, scheduler" in refused(tmp_path / "a.pth")
  torch.save([1, 2], tmp_path / "a.pth")
  assert "it is a list" in refused(tmp_path / "a.pth")
  torch.save({"generator": OTHER}, tmp_path / "a.pth")
  assert "a.pth, generator.stem: no tensor is called" in refused(tmp_path / "a.pth")
  torch.save({"model": FIRST}, tmp_path / "a.pth")
  assert "--key=ema" in refused(tmp_path / "a.pth", "--key=ema")
  assert "choose one of model" in refused(tmp_path / "a.pth", "--key=ema")


@pytest.mark.parametrize("how", ["parameters", "variables", "arrays"])
def test_other_kinds_of_tensors(how, tmp_path):
  make = {
    "parameters": lambda tensor: torch.nn.Parameter(tensor, tensor.is_floating_point()),
    "variables": lambda tensor: tensor.clone().requires_grad_(tensor.is_floating_point()),
    "arrays": lambda tensor: tensor.numpy(),
  }[how]
  content = {"net": {name: make(tensor) for name, tensor in FIRST.items()}}
  assert read(content, tmp_path / "a.pth") == (1, "taken from net")


def test_a_dict_that_holds_itself(tmp_path):
  content = collections.OrderedDict(model=FIRST)
  content["self"] = content
  assert read(content, tmp_path / "a.pth")[0] == 1


def test_numbers_of_what_is_not_taken_do_not_matter(tmp_path):
  broken = {name: torch.full_like(tensor, torch.nan) for name, tensor in OTHER.items()}
  content = {"model": FIRST, "ema": broken, "mask": {"a": torch.ones(3, dtype=torch.complex64)}}
  assert read(content, tmp_path / "a.pth")[0] == 1


def test_a_teacher_of_a_choice_is_a_warning(tmp_path, caplog):
  for content, count in (({"model": FIRST}, 0), (AVERAGED["model_ema"], 1), (FIRST | LEFT, 1)):
    torch.save(content, tmp_path / "a.pth")
    caplog.clear()
    convert.read(tmp_path / "a.pth")
    assert len(caplog.messages) == count


def test_the_command_says_what_it_took(tmp_path, capsys):
  torch.save(AVERAGED["state_dict_ema"], tmp_path / "a.pth")
  command.main([f"{tmp_path}/a.pth", f"{tmp_path}/b.pth", "--key=state_dict_ema"])
  assert "a.pth: taken from state_dict_ema" in capsys.readouterr().out
  written = torch.load(tmp_path / "b.pth", weights_only=True)
  assert torch.equal(written["fc.weight"], SECOND["fc.weight"])
  with pytest.raises(errors.UserError):
    convert.read(tmp_path / "a.pth", key="optimizer")
