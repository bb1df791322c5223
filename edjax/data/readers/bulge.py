"""What events of the bulge are called, what is looked for among them, and their scalars.

Events that never were are read by `simulated`, as `edjax.data.simulation` wrote them.
"""

import numpy as np

from edjax.data.readers import curves

CLASSES = ("flat", "outburst", "lens", "planet")  # planet: a lens that has one
GROUPS = {"planet": ("planet",), "lens": ("lens", "planet")}  # what is looked for among them


def scalars(
  width: curves.Numbers,
  season: curves.Numbers,
  signal: curves.Numbers,
  deviation: curves.Numbers,
  asymmetry: curves.Numbers,
  misfit: curves.Numbers,
) -> list[curves.Numbers]:
  """Brings an event's numbers to the range of its views.

  Args:
    width: of the peak at half its height, in days.
    season: of the light curve, in days.
    signal: by how many σ a point lens is better than no change.
    deviation: by how many σ the light stands out from that lens in one place.
    asymmetry: light behind the peak less light before it, by both.
    misfit: χ² of that lens, by degrees of freedom.
  """
  return [
    curves.log_duty(width, season),
    curves.log_period(width),
    curves.log_signal(signal),
    curves.log_signal(deviation),
    asymmetry,
    np.log10(np.maximum(misfit, 1e-3)),
  ]
