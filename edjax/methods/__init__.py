"""The distillation algorithms a config can name: one file each, one row each."""

from edjax.errors import UserError, choose
from edjax.methods.ab import AB
from edjax.methods.cross_entropy import CrossEntropy
from edjax.methods.ft import FT
from edjax.methods.interface import Batch
from edjax.methods.kd import KD
from edjax.methods.ofd import OFD
from edjax.methods.reviewkd import ReviewKD
from edjax.methods.semckd import SemCKD
from edjax.methods.srrl import SRRL

__all__ = ["METHODS", "Batch", "build"]

METHODS = {
  "ce": CrossEntropy,
  "kd": KD,
  "ab": AB,
  "ft": FT,
  "ofd": OFD,
  "reviewkd": ReviewKD,
  "semckd": SemCKD,
  "srrl": SRRL,
}


def build(options):
  """Turns {"kd": {"weight": 0.7, "temperature": 4.0}, …} into ((name, weight, method), …).

  Rows of weight 0 are left out.

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
    unknown = set(row) - set(method.__dataclass_fields__)
    if unknown:
      known = ", ".join(["weight", *method.__dataclass_fields__])
      raise UserError(f"methods.{name} has no option {sorted(unknown)[0]!r}; it has {known}")
    if weight:
      built.append((name, weight, method(**row)))
  if not built:
    raise UserError("methods: no method has a weight above 0, so there is nothing to learn from")
  return tuple(built)
