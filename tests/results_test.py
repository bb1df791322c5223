"""Measured figures: pages and README say what lies in experiments/results/, as scripts write it."""

import collections
import csv
import json
import re
import types

import numpy as np
import pytest

import edjax
from edjax import settings
from edjax.et import survey
from edjax.recipes import published
from tests import command

RESULTS = command.ROOT / "experiments" / "results"
PAGES = [path.read_text() for path in (command.ROOT / "docs").glob("*.md")]
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def rows(name):
  with open(RESULTS / name, newline="") as file:
    return list(csv.DictReader(file))


@pytest.mark.parametrize("name", sorted(path.name for path in RESULTS.glob("*.csv")))
def test_the_table_behind_a_link_has_the_figures_of_its_file(name):
  (page,) = [page for page in PAGES if f"results/{name})" in page]
  table = re.search(r"^\|.*?\n\n", page[page.index(f"results/{name})") :] + "\n\n", re.M | re.S)[0]
  shown = [cell for line in table.splitlines()[2:] for cell in line.split("|")[1:]]
  labels = {cell.strip() for cell in shown if re.search(r"[a-z]{3}", cell)}
  figures = [figure for cell in shown if cell.strip() not in labels for figure in numbers(cell)]
  kept = [row[key] for row in rows(name) for key in list(row)[1:] if key not in ("n", "run", "to")]
  kept = [figure for value in kept if not re.search("[a-z]", value) for figure in numbers(value)]
  assert len(figures) > 4 and collections.Counter(figures) == collections.Counter(kept)


def test_what_is_said_of_kepler_11_is_what_was_found():
  """S/N at both published periods, then of the search: period, S/N, depth, hours, transits, χ²."""
  (page,) = [page for page in PAGES if "results/kepler11.jsonl)" in page]
  table = re.search(r"^\|.*?\n\n", page[page.index("kepler11.jsonl)") :], re.M | re.S)[0].strip()
  kept = [json.loads(line) for line in (RESULTS / "kepler11.jsonl").read_text().splitlines()]
  assert len(kept) == len(table.splitlines()[2:])
  for line, row in zip(table.splitlines()[2:], kept, strict=True):
    own = row["blind"]
    figures = [f"{at['signal']:.1f}" for at in row["published"].values()]
    figures += [f"{own['period']:.4f}", f"{own['signal']:.1f}", f"{own['depth_ppm']:.0f}"]
    figures += [f"{own['hours']:.1f}", str(own["transits"]), f"{own['scatter']:.1f}"]
    assert numbers(line) == figures
  for figure in ("count", "trial_periods", "quarters"):
    assert f"{kept[0][figure]:,} " in page


def test_what_is_said_of_lenses_is_what_was_fitted():
  """The four solutions of OGLE-2014-BLG-0939 in order of χ², and the masses of which half are."""
  (page,) = [page for page in PAGES if "results/et_masses.jsonl)" in page]
  kept = [json.loads(line) for line in (RESULTS / "et_masses.jsonl").read_text().splitlines()]
  solutions = [row for row in kept if row["part"] == "parallax"][:4]
  table = table_with(page, "| signs of u₀ ")
  for line, row in zip(table, solutions, strict=True):
    figures = [f"{row['chi_square']:.1f}", f"{row['crossing']:.2f}"]
    figures += [f"{abs(each):.3f}" for each in row["parallax"]]
    figures += [f"{row['speed_kms']:.0f}"]
    figures += [
      f"{each:.3f}" for name in ("mass_by_distance", "mass_by_motion") for each in row[name]
    ]
    figures += [f"{row['kpc_by_motion'][1]:.1f}", f"{row['evidence']:.3f}"]
    assert numbers(line) == figures
    assert line.split("|")[1].strip() == ", ".join(row["signs"]).replace("-", "−")
  limits = [row for row in kept if row["part"] == "threshold"]
  for line, row in zip(table_with(page, "| L2 seen "), limits, strict=True):
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    kind = [row[key] for key in ("geometry", "lens", "source")]
    wanted = [row[key] for key in ("of_all", "of_seen", "right_of_seen")]
    wanted = ["–" if each is None else f"{each:.{int(each < 10)}f}" for each in wanted]
    assert cells == [*kind, *wanted]
  (count,) = {row["n"] for row in kept if row["part"] == "mass"}
  assert f"{count * 72:,} events" in page and len(limits) * 6 == 72


def table_with(page, heading):
  """The rows of the table that begins with such a heading."""
  return re.search(r"^\|.*?\n\n", page[page.index(heading) :], re.M | re.S)[0].splitlines()[2:-1]


@pytest.mark.parametrize("name, table", [("et_occurrence", "rates"), ("et_yield", "yields")])
def test_the_tables_of_planets_are_made_of_their_rows(name, table, monkeypatch):
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import et_tables

  made = [json.loads(line) for line in (RESULTS / f"{name}.jsonl").read_text().splitlines()]
  (page,) = [page for page in PAGES if f"results/{name}.jsonl)" in page]
  tables = list(getattr(et_tables, table)(made))
  assert len(tables) == 3 and all(table in page for table in tables)


@pytest.fixture
def skies(monkeypatch):
  """Tables of light curves by the rows that they are made of."""
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import bulge_real
  import kepler_why
  import sky

  made = {"kepler_why": kepler_why.table, "bulge_real": bulge_real.table}
  made |= dict.fromkeys(("sky_tess", "sky_kepler", "sky_et", "sky_bulge"), sky.table)
  return {name: table(lines(name)) for name, table in made.items()}


def test_the_tables_of_light_curves_are_made_of_their_rows(skies):
  for name, table in skies.items():
    (page,) = [page for page in PAGES if f"results/{name}.jsonl)" in page]
    assert table in page


def test_all_methods_teach_light_curves():
  """As the page tells, and none is left out."""
  rows = lines("sky_methods")
  assert {row["arm"] for row in rows} == {*published.METHODS, "kd"} and len(rows) == 32
  (page,) = [page for page in PAGES if "results/sky_methods.jsonl)" in page]
  told = " ".join(page[page.index("**All 32 methods") :].split("\n* ")[0].split())
  for group, name in (("transit-like", "transit-like events have"), ("planet", "planets")):
    found = [row[group]["average_precision"] for row in rows]
    assert f"{name} {min(found):.3f} to {max(found):.3f}" in told


def test_readme_has_the_figures_of_light_curves(skies):
  """Those of students; each as mean ± deviation."""
  readme = (command.ROOT / "README.md").read_text()
  told = readme[readme.index("| AstroNet") :].split("\n\n")[0]
  figures = _figures(told)
  assert len(figures) >= 8 and {*figures} <= {*_figures(skies["sky_tess"])}


def test_the_table_of_the_race_is_made_of_its_rows(monkeypatch):
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import race

  (page,) = [page for page in PAGES if "results/race.jsonl)" in page]
  assert race.table(lines("race")) in page


def _race(name):
  """What is told of a race: both accuracies and the time to PyTorch's, in its own; means."""
  ours, theirs = (
    [row for row in lines(name) if row["side"] == side] for side in ("edjax", "pytorch")
  )
  reached = [100 * np.mean([row["top1"] for row in rows]) for rows in (ours, theirs)]
  pairs = zip(ours, theirs, strict=True)
  return *reached, np.mean([own["seconds_to"] / other["seconds_to"] for own, other in pairs])


def test_readme_and_the_page_have_the_means_of_the_race():
  ours, theirs, share = _race("race")
  told = (command.ROOT / "README.md").read_text()
  told = told[told.index("Beside eight epochs of KD") :].split("\n* ")[0]
  for text in (f"{ours:.2f} %", f"{theirs:.2f} %", f"after {share:.2f} of the time"):
    assert text in told
  (page,) = [page for page in PAGES if "results/race.jsonl)" in page]
  assert f"by {ours - theirs:.2f} points in the mean, after {share:.2f} of its time" in page
  ours, _, share = _race("race_longer")
  assert f"came to {ours:.2f} % after {share:.2f} of the time" in page


@pytest.fixture
def methods(monkeypatch):
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import methods_table

  return methods_table


def test_the_table_of_methods_is_made_of_its_rows(methods):
  """And its least and largest gain are told on the page and in README."""
  table = methods.table(lines("methods_table"))
  (page,) = [page for page in PAGES if "results/methods_table.jsonl)" in page]
  assert table in page
  gains = sorted(map(float, re.findall(r"\+(\d+\.\d+) ±", table)))
  told = f"by {gains[0]:.2f} to {gains[-1]:.2f} points"
  assert len(gains) == 6 and told in page and told in (command.ROOT / "README.md").read_text()


def test_what_is_said_of_graduates_that_vet_is_what_was_counted(monkeypatch):
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import et_tables

  (page,) = [page for page in PAGES if "results/et_vetted.jsonl)" in page]
  assert et_tables.vetted(lines("et_vetted")) in page


def test_what_is_said_of_simulated_skies_is_what_was_found():
  """Every cell of the table is of three seeds, and README's figures are among them."""
  (page,) = [page for page in PAGES if "results/et_school.jsonl)" in page]
  told = [_figures(line) for line in table_with(page, "| sky | real labels |")]
  found = collections.defaultdict(list)
  for row in lines("et_school"):
    for group in ("planet", "transit-like"):
      if group in row and row["exam"] != "real validation":
        key = row["sky"], row["labels"], row["exam"], group
        found[key].append(row[group]["average_precision"])
  figures = [f"{np.mean(each):.3f} ± {np.std(each, ddof=1):.3f}" for each in found.values()]
  assert all(len(each) == 3 for each in found.values())
  assert sorted(figures) == sorted(figure for line in told for figure in line)
  readme = (command.ROOT / "README.md").read_text()
  few = _figures(readme[readme.index("A network that learnt only") :].split("\n\n")[0])
  assert len(few) == 3 and {*few} <= {*figures}


def lines(name):
  return [json.loads(line) for line in (RESULTS / f"{name}.jsonl").read_text().splitlines()]


def test_laws_of_the_survey_are_those_that_were_fitted(monkeypatch):
  """To three digits, as survey.py has them."""
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import et_occurrence

  made = [json.loads(line) for line in (RESULTS / "et_occurrence.jsonl").read_text().splitlines()]
  fits = {
    row["sample"]: [value for value, _ in row["parameters"].values()]
    for row in made
    if "parameters" in row
    and row["weights"] == {"GK": "reliability", "dwarfs": "none"}[row["sample"]]
  }
  for law, sample, family in (
    (survey.MULDERS, "dwarfs", et_occurrence.BROKEN),
    (survey.BRYSON, "GK", et_occurrence.STRAIGHT),
  ):
    fitted = family(np.array(fits[sample]))
    for name in ("count", "period_powers", "radius_powers"):
      np.testing.assert_allclose(getattr(law, name), getattr(fitted, name), rtol=5e-3)
    if sample == "dwarfs":
      np.testing.assert_allclose(law.breaks, fitted.breaks, rtol=5e-3)


def numbers(text):
  return NUMBER.findall(text)


@pytest.fixture
def claimed(monkeypatch):
  """The script of the claim, and its kept rows by data set."""
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import ed_vs_kd

  kept = collections.defaultdict(list)
  for line in (RESULTS / "ed_vs_kd.jsonl").read_text().splitlines():
    kept[json.loads(line)["dataset"]].append(json.loads(line))
  return ed_vs_kd, kept


def test_the_tables_of_the_claim_are_made_of_its_rows(claimed):
  script, kept = claimed
  assert len(kept) == 2
  for rows in kept.values():
    assert sum(script.table(rows) in page for page in PAGES) == 1


def test_arms_of_a_budget_cost_the_same(claimed):
  for rows in claimed[1].values():
    by_budget = collections.defaultdict(list)
    for row in rows:
      by_budget[row["budget"]].append(row["macs"])
      assert row["macs"] == pytest.approx(row["macs_student"] + row["macs_teachers"])
    assert all(max(macs) / min(macs) < 1.01 for macs in by_budget.values())


@pytest.mark.parametrize("name", ["cifar100", "fashion_mnist"])
def test_all_arms_have_the_same_teachers(claimed, typed, name):
  """By the command's own flags: specialists of the same classes, too."""
  images = np.zeros((1, 32, 32, 3), np.uint8)
  script, data = claimed[0], types.SimpleNamespace(train=types.SimpleNamespace(images=images))
  known = set()
  for arm in script.ARMS:
    made = settings.settle(typed(*script.flags(*script._arm(name, data, arm))))
    known.add((made.faculty, made.class_order, made.subjects))
  assert len(known) == 1


def test_readme_has_the_figures_of_the_table(claimed, methods):
  """Each as mean ± deviation, in the order in which README tells them."""
  readme = (command.ROOT / "README.md").read_text()
  told = re.search(r"Does it help\?.*?\n\n## ", readme, re.DOTALL)[0]
  figures = re.findall(r"\d+\.\d+ ± \d+\.\d+", told)
  tables = {figure for rows in claimed[1].values() for figure in _figures(claimed[0].table(rows))}
  tables |= {*_figures(methods.table(lines("methods_table")))}
  assert len(figures) >= 4 and {*figures} <= tables


def _figures(table):
  return re.findall(r"\d+\.\d+ ± \d+\.\d+", table)


def test_the_teacher_that_is_kept_answers():
  """It is what further rows of CIFAR-100 are to be taught by."""
  teacher = edjax.load(command.ROOT / "experiments" / "results" / "cifar100_resnet14")
  images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
  odds = teacher.predict(images)
  assert odds.shape == (3, 100) and teacher.class_names[9] == "bottle"
  np.testing.assert_allclose(odds.sum(1), 1, atol=1e-5)
