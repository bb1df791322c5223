r"""Simulated events of the bulge: flat, outburst, lens, and lens with a planet.

edjax simulate --subject=lenses --data_dir=DIR
python -m edjax.main --config=configs/bulge.py --config.data_dir=DIR

What a network learnt here says nothing of real events until it was asked about them. See
docs/sky.md.
"""

from ml_collections import ConfigDict

from edjax.recipes import common, light_curves

VARIANTS = light_curves.VARIANTS


def get_config(arg: str = "") -> ConfigDict:
  return common.apply(light_curves.base("bulge"), arg, VARIANTS)
