r"""TESS events (Yu et al. 2019, AJ 158, 25): 16,451 light curves that people called junk, eclipsing
binary or planet candidate.

python -m edjax.main --config=configs/tess.py --config.data_dir=DIR

`DIR` holds the ten files of the published repository, or is a checkout of it. The default is a
school of three grades in which light curves grow; `:kd` is ordinary distillation, `:ce` the labels
alone. `--config.data.split=stars` holds out whole stars, which the published parts do not. See
docs/sky.md.
"""

from ml_collections import ConfigDict

from edjax.recipes import common, light_curves

VARIANTS = light_curves.VARIANTS


def get_config(arg: str = "") -> ConfigDict:
  return common.apply(light_curves.base("tess"), arg, VARIANTS)
