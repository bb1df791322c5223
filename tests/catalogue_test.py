"""What `edjax models` tells of networks is what is published of them."""

import re

import pytest

from edjax import catalogue, models
from edjax.errors import UserError
from tests.reference.zoo import ZOO

LIGHT = ("resnet8", "wrn_16_1", "vgg8", "resnet18_cifar")


def table(capsys, *arguments):
  """{network: the other cells of its row}, and the first line, of what the command prints."""
  catalogue.main([*arguments])
  first, head, *rows = capsys.readouterr().out.splitlines()
  assert head.split() == ["network", "fragments", "by", "depth", "parameters", "MACs"]
  return first, {row.split()[0]: re.split(r"  +", row)[1:] for row in rows}


def amount(text):
  number, prefix = text.split(" ")
  return float(number) * {"k": 1e3, "M": 1e6, "G": 1e9}[prefix]


def test_networks_are_as_large_as_is_published(capsys):
  first, rows = table(capsys, *LIGHT)
  assert first == "for 32×32 pixels, 3 channels, 100 classes:"
  assert [*rows] == [*LIGHT]
  for name, (fragments, depth, parameters, macs) in rows.items():
    assert (ZOO[name].classes, ZOO[name].image) == (100, (32, 32, 3))
    assert parameters == f"{ZOO[name].parameters:,}"
    assert amount(macs) == pytest.approx(1e6 * ZOO[name].millions, rel=5e-3)
    assert int(fragments) == models.fragments(name)
    assert depth == ("–" if name == "vgg8" else str(models.fragments(name, "depth")))


def test_networks_of_ones_own_and_other_images(capsys):
  """By hand: kernels of 3 × 3, from 1 to 4, 6 and 8 channels, and two figures for each of these."""
  first, rows = table(capsys, "tests.small:SMALL", "--size=8", "--channels=1", "--classes=5")
  assert first == "for 8×8 pixels, 1 channels, 5 classes:"
  kernels = 9 * (1 * 4 + 4 * 6 + 6 * 8)
  macs = 9 * (16 * 1 * 4 + 16 * 4 * 6 + 4 * 6 * 8) + 8 * 5  # on maps of 4, 4 and 2 pixels a side
  wanted = ["3", "–", f"{kernels + 2 * (4 + 6 + 8) + 8 * 5 + 5:,}", f"{macs / 1e3:.2f} k"]
  assert rows == {"tests.small:SMALL": wanted}


def test_a_network_that_takes_no_such_images(capsys):
  assert table(capsys, "deit_tiny", "--size=8")[1]["deit_tiny"][-1] == "does not take such images"


def test_all_are_told_if_none_is_named(monkeypatch, capsys):
  monkeypatch.setattr(catalogue.models, "parameters", lambda *about: 1)  # tracing takes seconds
  monkeypatch.setattr(catalogue, "network_macs", lambda *about: 1)
  assert [*table(capsys)[1]] == [*models.MODELS]


@pytest.mark.parametrize(
  "arguments, words",
  [
    (["resnet9"], "unknown model 'resnet9' .did you mean"),
    (["--size=0"], "--size is 0; it must be at least 1"),
    (["--colour"], "unrecognized arguments: --colour"),
  ],
)
def test_what_a_user_can_put_right(arguments, words):
  with pytest.raises(UserError, match=words):
    catalogue.main(arguments)
