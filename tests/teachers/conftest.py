"""What tests of teachers share."""

import shutil

import pytest

from edjax import models
from edjax.settings import settle
from edjax.training import loop
from tests import small
from tests.teachers.banked import KINDS, config


@pytest.fixture(scope="session")
def schools(compiled, tmp_path_factory):
  """`place(kind)`: where a kind of school was run with `live` teachers and with a `kept` bank."""
  base = tmp_path_factory.mktemp("schools")
  whole = {"checkpoint.every_seconds": 1e9}  # nothing kills these runs

  def place(kind):
    if not (base / kind).exists():
      with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.MODELS, "small", small.SMALL)
        teachers = base / kind / "teachers"
        changes = KINDS[kind] | whole | {"faculty.cache": str(teachers)}
        loop.run(settle(config(**changes)), base / kind / "live")
        shutil.copytree(teachers, base / kind / "filled")
        changes |= {"faculty.cache": str(base / kind / "filled"), "faculty.bank": "float32"}
        loop.run(settle(config(**changes)), base / kind / "kept")
    return base / kind

  return place
