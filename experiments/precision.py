r"""How far a frozen teacher's answers move when it computes in bfloat16, on a test split.

python experiments/precision.py --config=fashion_mnist --data_dir=DIR TEACHER [TEACHER …]

A TEACHER is a folder: a graduate, or one of a run's or a cache's teachers. Per teacher: the share
of images on which both answers name the same class, and the mean KL divergence from the float32
answer to the other at temperature 4, in nats. Good enough to teach is 99.9 % and 1e-4. The
normalisations are folded, as they are in a grade.
"""

import argparse
import importlib
import pathlib
import sys

import jax
import numpy as np
import optax

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from edjax.data import datasets
from edjax.data.augment.pipeline import Augment, normalise
from edjax.data.sampler import exam_batches
from edjax.devices import xla
from edjax.models import precision
from edjax.models.analysis.folding import fold
from edjax.storage import checkpoint
from edjax.teachers import faculty

_TEMPERATURE, _BATCH = 4.0, 500


def main():
  xla.quicken_cpus()
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("teachers", nargs="+")
  parser.add_argument("--config", default="fashion_mnist", help="file in configs/, variants")
  parser.add_argument("--data_dir", default="")
  options = parser.parse_args()
  file, _, variants = options.config.partition(":")
  config = importlib.import_module(f"configs.{file}").get_config(variants)
  dataset = datasets.load(config.dataset, data_dir=options.data_dir, **config.data)
  for directory in options.teachers:
    same, divergence = compare(directory, dataset)
    print(
      f"{directory}: {100 * same.mean():.2f} % of {len(same):,} answers alike, KL {divergence:.2e}"
    )


def compare(directory, dataset):
  """Returns (bool per image of the teacher's classes: same answer?; mean divergence)."""
  names = checkpoint.load_variables(directory)[1]["classes"]
  classes = tuple(dataset.class_names.index(name) for name in names)
  teacher = faculty.load(directory, "the teacher", classes, dataset)
  shape = dataset.train.images.shape[1:]
  network, variables = fold(teacher.network, teacher.variables, shape)
  images = dataset.test.images[np.flatnonzero(np.isin(dataset.test.labels, classes))]
  how = Augment(dataset.mean, dataset.std)
  exact, rough = (answers(network, variables, how, images, k) for k in ("float32", "bfloat16"))
  theirs, ours = (jax.nn.log_softmax(logits / _TEMPERATURE) for logits in (exact, rough))
  divergence = optax.losses.kl_divergence_with_log_targets(ours, theirs)
  return exact.argmax(1) == rough.argmax(1), float(divergence.mean())


def answers(network, variables, how, images, kind):
  """Logits float32 [images, classes]."""
  variables = variables | {"params": precision.lower(variables["params"], kind)}
  ask = jax.jit(
    lambda images: network.apply(variables, precision.enter(normalise(how, images), kind)).logits
  )
  said = [ask(images[rows]) for rows in exam_batches(len(images), _BATCH)]
  return np.concatenate(said)[: len(images)].astype(np.float32)


if __name__ == "__main__":
  main()
