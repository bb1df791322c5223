"""A network of every family goes to PyTorch and back, under every scheme of names it has."""

import tempfile

import pytest
import safetensors.torch
import torch

from edjax import convert
from edjax.convert import tensors
from tests.convert_test import same
from tests.families_test import FAMILIES
from tests.reference import zoo

SHAPE = (64, 64, 3)


def published(name, scheme):
  """Tensors with no number like another, as the re-statement has them, under a scheme's names."""
  with torch.device("meta"):
    shapes = zoo.make(name, shape=SHAPE).state_dict()
  torch.manual_seed(0)
  state = {
    key: torch.rand(like.shape) + 0.5 if like.is_floating_point() else torch.tensor(12_345)
    for key, like in shapes.items()
  }
  first, *_ = convert.NAMES[name]
  if scheme == first:
    return state
  # The re-statement's names are the first scheme's; both name the same places in edjax's network.
  theirs, ours = (
    {place.path: key for key, place in tensors.layout(name, names, 7, SHAPE).items()}
    for names in (convert.NAMES[name][scheme], convert.NAMES[name][first])
  )
  return {theirs[path]: state[key] for path, key in ours.items()}


@pytest.fixture
def folder():
  """Of files so large that pytest should not keep them."""
  with tempfile.TemporaryDirectory() as path:
    yield path


@pytest.mark.parametrize(
  "name,scheme", [(name, scheme) for name in FAMILIES for scheme in convert.NAMES[name]]
)
def test_round_trip_is_bit_identical(name, scheme, folder):
  """From one kind of file to the other and back, with no name missing or left over."""
  state = published(name, scheme)
  torch.save(state, f"{folder}/a.pth")
  for source, target in (("a.pth", "b.safetensors"), ("b.safetensors", "c.pth")):
    variables, info, found = convert.read(f"{folder}/{source}", name, 7, scheme)
    assert (info["model"], info["num_classes"], found) == (name, 7, scheme)
    assert convert.write(f"{folder}/{target}", variables, info, scheme) == scheme
  same(state, safetensors.torch.load_file(f"{folder}/b.safetensors"))
  same(state, torch.load(f"{folder}/c.pth", weights_only=True))
