"""Scripts of the claim and of its methods: what they make of the runs that are done."""

import json

import pytest

from tests import command


@pytest.fixture
def done(tmp_path, monkeypatch):
  """A folder with the reports of runs of two seeds, and a script that has nothing left to do."""
  for name, top1 in (("kd_0", 0.5), ("kd_1", 0.75), ("ed_0", 0.875), ("kd_ed_0", 0.25)):
    (tmp_path / name).mkdir()
    report = {
      "student": {"top1": top1, "top1_best": top1},
      "train_macs_student": 2e12,
      "train_macs_teachers": 3e12,
      "grades": [{"seconds": 1.5}, {"seconds": 2.5}],
    }
    (tmp_path / name / "report.json").write_text(json.dumps(report))
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  return tmp_path


def test_a_script_writes_a_row_per_run(done, monkeypatch, capsys):
  import ed_vs_kd

  place = done / "cifar100"  # runs of other data sets are beside it
  for old, new in (
    ("kd_0", "kd_6_0"),
    ("kd_1", "kd_6_1"),
    ("ed_0", "ed_6_0"),
    ("kd_ed_0", "ed_6_1"),
  ):
    (place / new).parent.mkdir(exist_ok=True)
    (done / old).rename(place / new)
  monkeypatch.setattr(ed_vs_kd, "run_all", lambda *_: None)
  monkeypatch.setattr(ed_vs_kd.datasets, "load", lambda *_, **__: None)
  monkeypatch.setattr(ed_vs_kd, "arguments", lambda *_: ("digits:kd", {}))
  given = ["--dataset=cifar100", "--data_dir=DIR", f"--out={done}", "--budgets=6", "--seeds=2"]
  monkeypatch.setattr("sys.argv", ["ed_vs_kd", *given])
  ed_vs_kd.main()
  written = [json.loads(line) for line in (place / "ed_vs_kd.jsonl").read_text().splitlines()]
  assert [(row["arm"], row["seed"], row["top1"]) for row in written] == [
    ("ed", 0, 0.875),
    ("ed", 1, 0.25),
    ("kd", 0, 0.5),
    ("kd", 1, 0.75),
  ]
  kinds = {(row["dataset"], row["budget"], row["macs"], row["seconds"]) for row in written}
  assert kinds == {("cifar100", 6.0, 5e12, 4.0)}
  table = (place / "ed_vs_kd.md").read_text()
  assert "62.50 ± 17.68" in table and capsys.readouterr().out.endswith(table + "\n")
  # +37.5 and −50 points: −6.25 ± 12.7062 · 61.87 / √2
  assert "| -6.25 ± 555.90 (2) |" in table


def test_methods_are_compared_with_themselves(done, monkeypatch, capsys):
  import methods_table

  for name, top1 in {"at_6_0": 0.5, "at_6_1": 0.25, "at_ed_6_0": 0.75, "at_ed_6_1": 0.375}.items():
    (done / "cifar100" / name).mkdir(parents=True)
    report = json.loads((done / "kd_0" / "report.json").read_text())
    report["student"]["top1"] = top1
    (done / "cifar100" / name / "report.json").write_text(json.dumps(report))
  asked = {}
  monkeypatch.setattr(methods_table, "run_all", lambda runs, *_: asked.update(runs))
  monkeypatch.setattr(methods_table.datasets, "load", lambda *_, **__: None)
  monkeypatch.setattr(methods_table, "lengths", lambda *_: (1.5,))
  monkeypatch.setattr(methods_table, "unit", lambda *_: 1.0)
  tried = {"at_0.1": 0.2, "at_0.5": 0.3, "at_ed_0.1": 0.4, "at_ed_0.5": 0.3}
  tried |= dict.fromkeys(("dkd_0.1", "dkd_0.5", "dkd_ed_0.1", "dkd_ed_0.5"), 0.1)
  for name, top1 in tried.items():
    trial = done / "cifar100" / "rates" / f"{name}_3_100"
    trial.mkdir(parents=True)
    # The student's last examination on the validation part counts.
    student = {"training": "student", "split": "validation"}
    lines = [student | {"top1": 0.9}, student | {"top1": top1}, student | {"split": "test"}]
    lines += [student | {"training": "generalist", "top1": 1.0}]
    (trial / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
  given = ["--dataset=cifar100", "--data_dir=DIR", f"--out={done}", "--methods=at,dkd", "--seeds=2"]
  given += ["--rates=0.1,0.5", "--choose_at=3"]
  monkeypatch.setattr("sys.argv", ["methods_table", *given])
  methods_table.main()
  # +25 and +12.5 points: 18.75 ± 12.706 · 8.84 / √2; dkd has not been run
  lines = (done / "cifar100" / "methods_table.md").read_text().splitlines()
  assert len(lines) == 3 and lines[2].startswith(
    "| `at` | 37.50 ± 17.68 | 56.25 ± 26.52 | +18.75 ± 79.41 | 2 | 5.000, 5.000 | 4, 4 |"
  )
  said = capsys.readouterr().out.splitlines()
  assert said[:2] == [
    "at: peak of the learning rate 0.5", "at_ed: peak of the learning rate 0.1",
  ] and said[6] == lines[2]  # fmt: skip
  kept = (done / "cifar100" / "methods_table.jsonl").read_text().splitlines()
  assert [(row["arm"], row["budget"]) for row in map(json.loads, kept)] == [
    ("at", 6.0), ("at", 6.0), ("at_ed", 6.0), ("at_ed", 6.0)
  ]  # fmt: skip
  assert len(asked) == 16 and asked["dkd_ed_6_1"][0] == "--config=configs/cifar100.py:brief,ed,dkd"
  peaks = {
    name: [word for word in words if "grades.learning_rate" in word]
    for name, words in asked.items()
  }
  assert peaks["at_0.5_3_100"] == peaks["at_6_1"] == ["--config.grades.learning_rate=0.5"]
  assert peaks["at_ed_6_0"] == ["--config.grades.learning_rate=0.1"]
  assert "--config.methods.dkd.warm_up=0.5" in asked["dkd_6_0"]  # 20 of 240 epochs


def test_an_arm_of_other_networks_is_measured_against_its_own_kind(monkeypatch):
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import ed_vs_kd

  cost = {"macs": 3.0, "macs_student": 1.0, "macs_teachers": 2.0, "seconds": 1.0, "budget": 2.0}
  figures = {"kd": (0.5, 0.6), "kd_deep": (0.3, 0.5), "depth": (0.4, 0.6)}
  told = ed_vs_kd.table(
    [
      {"arm": arm, "seed": seed, "top1": top1, **cost}
      for arm, both in figures.items()
      for seed, top1 in enumerate(both)
    ]
  )
  (depth,) = [line for line in told.splitlines() if "a block of each stage" in line]
  assert "| +10.00 ± 0.00 (2), than: KD of that student |" in depth
  (deep,) = [line for line in told.splitlines() if "| KD of that student |" in line]
  assert "| -15.00 ± " in deep  # than KD
