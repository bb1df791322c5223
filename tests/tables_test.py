"""Tables hold every network, with the sizes that are known of it, and every method."""

import re

import pytest

from edjax import methods, models, settings
from edjax.recipes import published
from edjax.report.drawing import big
from experiments import school_picture, tables
from tests import command
from tests.reference.zoo import ZOO

README = (command.ROOT / "README.md").read_text()
NETWORKS = (command.ROOT / "docs" / "networks.md").read_text()
ROW = re.compile(r"`(\w+)` \| ([^|]+?) \| ([^|]+?) \|")
SHOWN = {name: (parameters, macs) for name, parameters, macs in ROW.findall(NETWORKS)}
# One of most families, which are traced in the blink of an eye.
LIGHT = ("resnet8", "resnet20_option_a", "wrn_16_1", "resnet18", "resnet18_cifar", "vgg8")


def test_every_network_is_in_the_table_once():
  assert sorted(name for name, *_ in ROW.findall(NETWORKS)) == sorted(models.MODELS)


@pytest.mark.parametrize("name", models.MODELS)
def test_a_row_says_what_is_published(name):
  parameters, macs = SHOWN[name]
  assert parameters == big(ZOO[name].parameters)
  assert amount(macs) == pytest.approx(1e6 * ZOO[name].millions, rel=5e-3)


def amount(text):
  number, prefix = text.split(" ")
  return float(number) * {"k": 1e3, "M": 1e6, "G": 1e9}[prefix]


@pytest.mark.parametrize(
  "name", [pytest.param(n, marks=() if n in LIGHT else pytest.mark.slow) for n in models.MODELS]
)
def test_a_row_is_what_the_network_has(name):
  assert SHOWN[name] == tuple(map(big, tables.size(name)))


def test_the_table_is_written_where_it_is(monkeypatch, tmp_path):
  """By a script that is told what each network has, as most are slow to trace."""
  page = tmp_path / "networks.md"
  page.write_text(tables.PLACE.sub(r"\1\2", NETWORKS))
  monkeypatch.setattr(tables, "PAGE", page)
  monkeypatch.setattr(tables, "size", lambda name: tuple(map(amount, SHOWN[name])))
  monkeypatch.setattr("sys.argv", ["tables"])
  tables.main()
  assert page.read_text() == NETWORKS


def test_every_method_and_variant_is_in_the_table():
  table = README[README.index("| what is compared |") :].split("\n\n")[0]
  named = set(re.findall(r"`(\w+)`", table))
  assert named == {*methods.METHODS, *published.METHODS, "kd", "ce"}


def test_the_picture_is_of_the_school():
  from configs import digits

  drawn = school_picture.picture(settings.settle(digits.get_config()), 10)
  assert (command.ROOT / "docs" / "school.svg").read_text() == drawn
  assert re.findall(r"grade \d, \d+ epochs", drawn) == [
    "grade 1, 5 epochs",
    "grade 2, 10 epochs",
    "grade 3, 25 epochs",
  ]
  assert drawn.count('class="fragment"') == 1 + 2 + 3
  assert drawn.count('class="teacher"') == 1 + 2 + 4
