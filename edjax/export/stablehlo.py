"""StableHLO as `jax.export` writes it, for CPU, CUDA and TPU; run by JAX.

JAX reads such files for six months at least; a graduate's folder is what is kept.
"""

import os
import pathlib

import jax
import numpy as np

from edjax.export import attached
from edjax.export.program import BATCH, Ask, Program
from edjax.extras import require

PLATFORMS = ("cpu", "cuda", "tpu")


def write(program: Program, path: str | os.PathLike[str]) -> None:
  """Writes what `jax.export.deserialize` reads; notes are attached.

  Raises:
    UserError: if a package is missing.
  """
  require("flatbuffers", "export")  # by which jax.export writes
  from jax import export

  (count,) = export.symbolic_shape(BATCH)
  exported = export.export(jax.jit(program.function), platforms=PLATFORMS)(program.images(count))
  pathlib.Path(path).write_bytes(exported.serialize())
  attached.write(path, program)


def opened(path: str | os.PathLike[str], program: Program) -> Ask:
  """Returns what a file answers, in JAX."""
  from jax import export

  exported = export.deserialize(bytearray(pathlib.Path(path).read_bytes()))
  ask = jax.jit(exported.call)
  return lambda images: np.asarray(ask(images))
