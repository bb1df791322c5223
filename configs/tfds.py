r"""Any set of labelled images that tensorflow-datasets has prepared, by its name.

python -m edjax.main --config=configs/tfds.py --config.data.name=beans --config.data_dir=DIR

DIR holds beans/VERSION, prepared with file_format='array_record'; it is read without TensorFlow.
The test split is `test`, else `validation`, else a fifth of `train`. Small images of one size stay
as they are, and others become squares of 160 pixels: on a CPU rather
`--config.data.image_size=64`, and on an accelerator larger networks. The recipe and the variants
are those of configs/folder.py; where a mirror changes what is seen, as of digits and letters, add
`--config.recipe.flip=False`.
"""

from ml_collections import ConfigDict

from edjax.configs import folder
from edjax.recipes import common

VARIANTS = folder.VARIANTS


def get_config(arg: str = "") -> ConfigDict:
  config = folder.begin("tfds")
  config.data.name = ""
  return common.apply(config, arg, VARIANTS)
