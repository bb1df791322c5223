"""edjax: trains small networks the way a school does (education distillation, arXiv:2311.13811).

What is listed in `__all__` is public and stays; all else may move. It is imported when it is first
asked for, so that `import edjax` takes no time.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = [
  "Curriculum",
  "Graduate",
  "UserError",
  "data",
  "distill",
  "export",
  "load",
  "methods",
  "models",
  "views",
]

_WHERE = {
  "Curriculum": "edjax.plans",
  "Graduate": "edjax.graduate",
  "UserError": "edjax.errors",
  "distill": "edjax.library",
  "load": "edjax.graduate",
  "views": "edjax.library",
}


def __getattr__(name: str) -> Any:
  if name in _WHERE:
    return getattr(importlib.import_module(_WHERE[name]), name)
  if name in __all__:
    return importlib.import_module(f"edjax.{name}")
  raise AttributeError(f"module 'edjax' has no attribute {name!r}")


def __dir__() -> list[str]:
  return [*__all__, "__version__"]
