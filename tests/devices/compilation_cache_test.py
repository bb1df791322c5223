"""Where compiled programs are kept: nowhere but in a folder that is the user's alone."""

import os

import jax
import pytest

from edjax.devices import compilation_cache
from edjax.errors import UserError


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
  """JAX as it is where nobody has told it anything; what a test changes is changed back."""
  names = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
  )
  before = {name: getattr(jax.config, name) for name in names}
  jax.config.update("jax_compilation_cache_dir", None)
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  yield
  for name, value in before.items():
    jax.config.update(name, value)


def used():
  return jax.config.jax_compilation_cache_dir


def test_a_command_keeps_programs_in_the_users_cache(tmp_path):
  compilation_cache.keep_for_user("auto")
  assert used() == str(compilation_cache.folder())
  assert compilation_cache.folder().parent == tmp_path / "cache" / "edjax"
  assert compilation_cache.folder().stat().st_mode & 0o777 == 0o700


def test_another_processor_has_another_folder(monkeypatch):
  here = compilation_cache.folder()
  monkeypatch.setattr(compilation_cache, "_processor", lambda: "x86_64 flags: avx512f")
  assert compilation_cache.folder() != here and compilation_cache.folder().parent == here.parent


def test_without_an_environment_it_is_below_the_home(monkeypatch, tmp_path):
  monkeypatch.delenv("XDG_CACHE_HOME")
  monkeypatch.setenv("HOME", str(tmp_path))
  monkeypatch.setattr(compilation_cache.sys, "platform", "linux")
  assert compilation_cache.folder().parent == tmp_path / ".cache" / "edjax"
  monkeypatch.setattr(compilation_cache.sys, "platform", "darwin")
  assert compilation_cache.folder().parent == tmp_path / "Library" / "Caches" / "edjax"


@pytest.mark.parametrize("setting", ["", "auto"])
def test_a_library_keeps_none_unless_it_is_told_to(setting, tmp_path):
  compilation_cache.keep(setting)
  assert used() is None and not (tmp_path / "cache").exists()


def test_nothing_is_kept_where_that_is_said(tmp_path):
  compilation_cache.keep_for_user("")
  assert used() is None and not (tmp_path / "cache").exists()


def test_what_the_user_told_jax_stays(tmp_path):
  jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
  compilation_cache.keep_for_user("auto")
  assert used() == str(tmp_path / "own")


def test_a_folder_that_others_may_write_is_not_used(tmp_path):
  compilation_cache.folder().mkdir(parents=True)
  compilation_cache.folder().chmod(0o777)
  compilation_cache.keep_for_user("auto")
  assert used() is None
  with pytest.raises(UserError, match="written by others"):
    compilation_cache.keep(str(compilation_cache.folder()))
  assert used() is None


def test_a_folder_of_somebody_else_is_not_used(monkeypatch):
  compilation_cache.folder().mkdir(parents=True, mode=0o700)
  monkeypatch.setattr(os, "getuid", lambda: 12345)
  compilation_cache.keep_for_user("auto")
  assert used() is None


def test_where_there_can_be_no_folder_nothing_happens(tmp_path):
  (tmp_path / "cache").write_text("a file")
  compilation_cache.keep_for_user("auto")
  assert used() is None


def test_the_oldest_programs_go_first(tmp_path):
  for number in range(10):
    path = tmp_path / f"{number}-cache"
    path.write_bytes(bytes(100))
    os.utime(path, (0, 1000 - number))
  compilation_cache._clear(tmp_path, most=1000)
  assert len(list(tmp_path.iterdir())) == 10
  compilation_cache._clear(tmp_path, most=900)
  assert {path.name for path in tmp_path.iterdir()} == {f"{n}-cache" for n in range(4)}
