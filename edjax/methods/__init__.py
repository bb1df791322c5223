"""The distillation algorithms a config can name: one file each, one row each."""

import dataclasses

from edjax.errors import UserError, choose
from edjax.methods.cc import CC
from edjax.methods.crd import CRD
from edjax.methods.cross_entropy import CrossEntropy
from edjax.methods.ctkd import CTKD
from edjax.methods.dist import DIST
from edjax.methods.dkd import DKD
from edjax.methods.interface import Batch
from edjax.methods.kd import KD
from edjax.methods.pkt import PKT
from edjax.methods.rkd import RKD
from edjax.methods.standardise import Standardised

__all__ = ["METHODS", "Batch", "build"]

METHODS = {
  "ce": CrossEntropy,
  "kd": KD,
  "cc": CC,
  "crd": CRD,
  "ctkd": CTKD,
  "dist": DIST,
  "dkd": DKD,
  "pkt": PKT,
  "rkd": RKD,
}


def build(options):
  """Turns {"kd": {"weight": 0.7, "temperature": 4.0}, …} into ((name, weight, method), …).

  Rows of weight 0 are left out. Methods on logits have the further option `standardise`.

  Raises:
    UserError: for an unknown method (naming the choices), option or negative weight.
  """
  built = []
  for name, row in options.items():
    method = choose(METHODS, name, "method")
    row = dict(row)
    weight = row.pop("weight", 1.0)
    if weight < 0:
      raise UserError(f"methods.{name}.weight is {weight}; a weight is not negative")
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
    if weight:
      made = method(**row)
      built.append((name, weight, Standardised(made) if standardise else made))
  if not built:
    raise UserError("methods: no method has a weight above 0, so there is nothing to learn from")
  return tuple(built)
