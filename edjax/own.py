"""What users write themselves: found by "package.module:NAME", and called so in config.json.

A name, and not the object, is what a work directory and a graduate can keep: whoever reads them
imports it again.
"""

import functools
import importlib
import sys
from typing import Any

from edjax.errors import UserError


def find(name: str, what: str) -> Any:
  """Returns the object of a name such as "my_networks:BODY".

  Args:
    name: a module and, behind a colon, what it holds.
    what: it should be, as "model", for the message.

  Raises:
    UserError: if the module is not there, or does not hold it.
  """
  module, _, attribute = name.partition(":")
  try:
    return functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
  except (ImportError, AttributeError, ValueError) as error:
    raise UserError(f"cannot import {what} {name!r}: {error}") from error


def name_of(thing: object, what: str) -> str:
  """Returns the name by which `find` finds an object.

  Args:
    thing: at the top of a module, a script or a notebook.
    what: it is, for the message.

  Raises:
    UserError: if it has no name there.
  """
  names = [
    f"{name}:{attribute}"
    for name, module in list(sys.modules.items())
    for attribute, value in list(getattr(module, "__dict__", {}).items())
    if value is thing
  ]
  if not names:
    raise UserError(
      f"the {what} has no name: give it one at the top of a module, a script or a notebook, as in "
      f"MINE = …, by which a later run and the graduate find it"
    )
  return min(names, key=_rank)


def _rank(name: str) -> tuple[bool, bool, str]:
  """A module's own name comes before that of a script that has imported it, and what people call
  things before what notebooks keep their outputs as: `_`, `_12`.
  """
  module, _, attribute = name.partition(":")
  return module in ("__main__", "__mp_main__"), attribute.startswith("_"), name
