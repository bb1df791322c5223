r"""Kepler objects of interest: 4,993 folded light curves, confirmed planets or false positives.

python -m edjax.main --config=configs/kepler.py --config.data_dir=DIR

`DIR` holds dataset.npz and koi_of_row.npz. The parts share no star. See docs/sky.md.
"""

from ml_collections import ConfigDict

from edjax.recipes import common, light_curves

VARIANTS = light_curves.VARIANTS


def get_config(arg: str = "") -> ConfigDict:
  return common.apply(light_curves.base("kepler"), arg, VARIANTS)
