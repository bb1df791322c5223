"""The distillation algorithms a config can name: one file each, one row each."""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from edjax import own
from edjax.errors import UserError, choose, within
from edjax.methods.ab import AB
from edjax.methods.at import AT
from edjax.methods.base import Batch, Method
from edjax.methods.camkd import CAMKD
from edjax.methods.cc import CC
from edjax.methods.crd import CRD
from edjax.methods.cross_entropy import CrossEntropy
from edjax.methods.ctkd import CTKD
from edjax.methods.dist import DIST
from edjax.methods.dkd import DKD
from edjax.methods.fitnet import FitNet
from edjax.methods.fsp import FSP
from edjax.methods.ft import FT
from edjax.methods.kd import KD
from edjax.methods.kdsvd import KDSVD
from edjax.methods.mlld import MLLD
from edjax.methods.nst import NST
from edjax.methods.ofd import OFD
from edjax.methods.pkt import PKT
from edjax.methods.reviewkd import ReviewKD
from edjax.methods.rkd import RKD
from edjax.methods.semckd import SemCKD
from edjax.methods.simkd import SimKD
from edjax.methods.sp import SP
from edjax.methods.srrl import SRRL
from edjax.methods.standardise import Standardised
from edjax.methods.vid import VID

__all__ = ["METHODS", "Batch", "Method", "alone", "build", "chosen", "kind"]

Built = tuple[tuple[str, float, Method], ...]

METHODS: dict[str, type[Method]] = {
  "ce": CrossEntropy,
  "kd": KD,
  "ab": AB,
  "at": AT,
  "camkd": CAMKD,
  "cc": CC,
  "crd": CRD,
  "ctkd": CTKD,
  "dist": DIST,
  "dkd": DKD,
  "fitnet": FitNet,
  "fsp": FSP,
  "ft": FT,
  "kdsvd": KDSVD,
  "mlld": MLLD,
  "nst": NST,
  "ofd": OFD,
  "pkt": PKT,
  "reviewkd": ReviewKD,
  "rkd": RKD,
  "semckd": SemCKD,
  "simkd": SimKD,
  "sp": SP,
  "srrl": SRRL,
  "vid": VID,
}


def kind(name: str, row: Mapping[str, Any]) -> type[Method]:
  """Returns the class of a method: a row of `METHODS`, or one's own.

  Args:
    name: by which a config calls it.
    row: its options. Of one's own, "method" among them is its "package.module:NAME".

  Raises:
    UserError: naming the choices, or why the user's own cannot be had.
  """
  where = row.get("method")
  if where is None:
    return choose(METHODS, name, "method")
  if name in METHODS:
    raise UserError(f"methods.{name} is edjax's own; call {where} by another name")
  found = own.find(str(where), "method")
  if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
    raise UserError(f"method {where!r} is no dataclass; see docs/your-own.md")
  missing = [each for each in ("needs_teacher", "init", "loss") if not hasattr(found, each)]
  if missing:
    raise UserError(f"method {where!r} has no {missing[0]}; see docs/your-own.md")
  return cast(type[Method], found)


def build(options: Mapping[str, Mapping[str, Any]]) -> Built:
  """Turns {"kd": {"weight": 0.7, "temperature": 4.0}, …} into ((name, weight, method), …).

  Rows of weight 0 are left out. Methods on logits have the further option `standardise`, one's own
  have `method`, see `kind`.

  Raises:
    UserError: for an unknown method (naming the choices), option or negative weight.
  """
  built = []
  for name, row in options.items():
    method = kind(name, row)
    row = {option: value for option, value in row.items() if option != "method"}
    weight = row.pop("weight", 1.0)
    within(weight, f"methods.{name}.weight", least=0)
    on_logits = getattr(method, "on_logits", False)
    standardise = row.pop("standardise", False)
    if standardise and not on_logits:
      able = ", ".join(key for key, each in METHODS.items() if getattr(each, "on_logits", False))
      raise UserError(f"methods.{name}.standardise is for methods on logits, which are {able}")
    fields = [field.name for field in dataclasses.fields(method)]
    unknown = set(row) - set(fields)
    if unknown:
      last = ["standardise"] * on_logits
      known = ", ".join(["weight", *fields, *last])
      raise UserError(f"methods.{name} has no option {sorted(unknown)[0]!r}; it has {known}")
    for field in dataclasses.fields(method):
      if field.name in row:
        _check_kind(row[field.name], field.default, f"methods.{name}.{field.name}")
    if weight:
      made = method(**row)
      built.append((name, weight, Standardised(made) if standardise else made))
  if not built:
    raise UserError("methods: no method has a weight above 0, so there is nothing to learn from")
  return tuple(built)


def _check_kind(value: Any, like: Any, key: str) -> None:
  """Checks that an option is of the kind of its default; its bounds are the method's own."""
  kind = type(like)
  if kind is float:
    within(value, key)
  elif kind is tuple and isinstance(value, (tuple, list)):
    for part in value:
      within(part, key)
  elif not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
    wanted = {bool: "True or False", int: "a whole number", str: "a name", tuple: "numbers"}[kind]
    raise UserError(f"{key} is {value!r}; it must be {wanted}")


def chosen(built: Built, names: str) -> Built:
  """Which methods teach in a grade.

  Args:
    built: from `build`.
    names: "ab" or "kd+ce"; "ft:paraphrase" for a phase of a method that has phases; "" for all.

  Returns:
    Those rows of `built`, in its order. What a phase says of a method's own parameters is not
    weighed against the others, so its weight is 1.

  Raises:
    UserError: for a name that no row has, or a phase that the method does not have.
  """
  if not names:
    return built
  phases = dict(name.partition(":")[::2] for name in names.split("+"))
  rows = {name: method for name, _, method in built}
  for name, phase in phases.items():
    method = choose(rows, name, "method of grades.methods")
    if phase and "phase" not in type(method).__dataclass_fields__:
      raise UserError(f"grades.methods: {name} has no phases, so {name}:{phase} cannot be")
  return tuple(
    (name, 1.0, dataclasses.replace(method, phase=phases[name]))
    if phases[name]
    else (name, weight, method)
    for name, weight, method in built
    if name in phases
  )


def alone(built: Built) -> Built:
  """What is left where nobody teaches: methods of labels, whose weights then add up to 1."""
  rows = [row for row in built if not row[2].needs_teacher]
  total = sum(weight for _, weight, _ in rows)
  return tuple((name, weight / total, method) for name, weight, method in rows)
