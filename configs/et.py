r"""Simulated events in the views, scalars and classes of `tess`: a survey that never was.

edjax simulate --data_dir=DIR && python -m edjax.main --config=configs/et.py --config.data_dir=DIR

What a network learnt here says nothing until it has sat the exam of real events. See docs/sky.md.
"""

from ml_collections import ConfigDict

from edjax.recipes import common, light_curves

VARIANTS = light_curves.VARIANTS


def get_config(arg: str = "") -> ConfigDict:
  return common.apply(light_curves.base("et"), arg, VARIANTS)
