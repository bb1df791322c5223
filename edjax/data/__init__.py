"""Images and labels: what is read, from where, and how it is cut into parts.

`from_arrays`, `from_folder` and `load` give a `Dataset`, cut for training, choosing and the exam.
"""

from edjax.data.arrays import from_arrays
from edjax.data.datasets import DATASETS, Dataset, from_folder, load

__all__ = ["DATASETS", "Dataset", "from_arrays", "from_folder", "load"]
