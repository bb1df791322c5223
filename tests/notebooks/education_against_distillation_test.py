"""Both with two seeds, from one teacher: a line for each in the table, and an interval."""

import pytest

from edjax.compare import arms
from edjax.report import runs
from tests.notebooks.kernel import NAME, execute, printed, shown


def test_a_comparison_has_a_line_for_each_and_an_interval(compiled, tmp_path):
  given = {
    "DATA": "digits", "STUDENT": NAME, "TEACHER": NAME, "TEACHER_EPOCHS": 1, "EPOCHS": 1,
    "SEEDS": 2, "RATE": 0.05, "PROGRAMS": compiled["JAX_COMPILATION_CACHE_DIR"],
  }  # fmt: skip
  book = execute("education_against_distillation", tmp_path, compiled, **given)
  place = tmp_path / "runs" / "comparison"
  every = [place / f"{name}_{seed}" for name in ("distillation", "education") for seed in (0, 1)]
  plain, school = arms.arms(runs.found(every))
  (text,) = shown(book, "table", "text/markdown")
  first, second = ([part.strip() for part in row.split("|")] for row in text.splitlines()[2:])
  assert (first[1], first[3], first[4]) == ("distillation", "2", "–")
  gap = arms.gap(school, plain)  # which is of the same seeds and the same teacher
  assert gap.count == 2
  assert (second[1], second[4]) == ("education", f"{gap.mean:+.2f} ± {gap.half:.2f} (2)")
  assert school.mean("macs_student") == pytest.approx(plain.mean("macs_student"), rel=0.2)
  assert len(shown(book, "picture")) == 1
  assert "the teacher and 4 runs" in printed(book, "costs")
