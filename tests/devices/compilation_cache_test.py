"""Where compiled programs are kept: nowhere but in a folder that is the user's alone."""

import os
import sys
import types
import warnings
import zlib

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache as jax_cache

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


def compiled_anew(number):
  """Compiles a program that no other test has; returns what JAX warned of."""
  jax_cache.reset_cache()
  with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    jax.clear_caches()
    assert float(jax.jit(lambda x: jnp.sin(x) * number)(1.0)) != 0
  return [str(each.message) for each in told if "compilation cache" in str(each.message)]


def test_half_a_program_of_a_killed_process_is_made_anew(tmp_path):
  """JAX alone warns of it again and again."""
  try:
    compilation_cache.keep(str(tmp_path / "kept"))
    assert compiled_anew(7) == []
    whole = {path: path.read_bytes() for path in (tmp_path / "kept").glob("*-cache")}
    for half in (lambda content: content[: len(content) // 2], lambda content: b""):
      for path, content in whole.items():
        path.write_bytes(half(content))
      assert len(compiled_anew(7)) == len(compiled_anew(7)) == len(whole) > 0
      compilation_cache.keep(str(tmp_path / "kept"))
      assert compiled_anew(7) == []
      assert {path for path in whole if zlib.decompress(path.read_bytes())} == whole.keys()
  finally:
    jax.config.update("jax_compilation_cache_dir", None)
    jax_cache.reset_cache()


def test_what_has_been_looked_at_is_not_looked_at_again(tmp_path, monkeypatch):
  def write(name, content, at):
    (tmp_path / name).write_bytes(content)
    os.utime(tmp_path / name, (at, at))

  looked, whole = [], compilation_cache._whole
  monkeypatch.setattr(compilation_cache, "_whole", lambda one: looked.append(one) or whole(one))
  good = zlib.compress(b"program" * 100)
  write("a-cache", good, 1000)
  write("b-cache", good[:-1], 1001)
  write("notes", b"not JAX's", 1002)
  compilation_cache._sweep(tmp_path)
  assert len(looked) == 2 and not (tmp_path / "b-cache").exists()
  write("c-cache", b"packed in a way that is not known here", 1003)
  write("d-cache", good, 1004)
  compilation_cache._sweep(tmp_path)
  compilation_cache._sweep(tmp_path)  # the newest may have been written on
  assert len(looked) == 2 + 2 + 1
  assert {path.name for path in tmp_path.glob("*-cache")} == {"a-cache", "c-cache", "d-cache"}


def test_half_a_program_that_zstandard_packed(tmp_path, monkeypatch):
  """JAX takes it where it is installed; what cannot be unpacked here may be sound for others."""

  class ZstdError(Exception):
    pass

  def decompress(content):
    if not content.endswith(b"end"):
      raise ZstdError

  for name in ("a", "b"):
    content = b"\x28\xb5\x2f\xfd and so on" + (b"end" if name == "a" else b"")
    (tmp_path / f"{name}-cache").write_bytes(content)
  for name in ("compression", "compression.zstd", "zstandard"):
    monkeypatch.setitem(sys.modules, name, None)
  compilation_cache._sweep(tmp_path)
  assert len(list(tmp_path.glob("*-cache"))) == 2
  (tmp_path / ".swept").unlink()
  packer = types.SimpleNamespace(decompress=decompress, ZstdError=ZstdError)
  monkeypatch.setitem(sys.modules, "zstandard", packer)
  compilation_cache._sweep(tmp_path)
  assert [path.name for path in tmp_path.glob("*-cache")] == ["a-cache"]
