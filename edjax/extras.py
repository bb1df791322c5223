"""Packages that only some things need."""

import importlib
from typing import Any

from edjax.errors import UserError


def require(module: str, extra: str) -> Any:
  """Imports a module, such as "jax2onnx".

  Raises:
    UserError: if it is not installed, naming the extra of edjax that brings it.
  """
  try:
    return importlib.import_module(module)
  except ImportError as error:
    package = module.partition(".")[0]
    raise UserError(
      f"this needs {package}, which is not installed ({error}); pip install 'edjax[{extra}]'"
    ) from error
