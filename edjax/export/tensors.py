"""Tensors alone, under the names that PyTorch's networks have: .safetensors, and .pth.

There is no program in them: who runs them brings the network's code. So they are read back as any
such file is, and the network that comes out is asked.
"""

import os
from typing import cast

import jax
import numpy as np

from edjax import convert, models
from edjax.errors import UserError
from edjax.export.program import Ask, Program


def write(program: Program, path: str | os.PathLike[str]) -> None:
  """Writes a state dict.

  Raises:
    UserError: if there are no such names for the network's layers, or a package is missing.
  """
  model = program.graduate.model
  if model not in convert.NAMES:
    raise UserError(
      f"tensors alone are named as in a network of PyTorch's, and none is known that is {model}; "
      "choose onnx, stablehlo or litert"
    )
  convert.write(path, program.graduate.variables, program.graduate.about)


def opened(path: str | os.PathLike[str], program: Program) -> Ask:
  """Returns the logits of the network that is read back, for images that are normalised."""
  model, classes = program.graduate.model, len(program.graduate.class_names)
  variables, _, _ = convert.read(path, model, classes)
  network = models.graduate(models.body(model), classes)
  ask = jax.jit(lambda images: cast(models.Output, network.apply(variables, images)).logits)
  return lambda images: np.asarray(ask(images))
