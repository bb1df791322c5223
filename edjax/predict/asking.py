"""A graduate is asked about files, a batch at a time, while the next batch is decoded."""

import concurrent.futures
from collections.abc import Iterator, Sequence

import numpy as np

from edjax.data import pictures
from edjax.data.photographs.decoding import BadImage
from edjax.data.prefetch import Stream
from edjax.graduate import Graduate

Logits = np.ndarray  # [classes], of one picture


def answers(
  graduate: Graduate, paths: Sequence[str], batch_size: int
) -> Iterator[tuple[Logits | None, str]]:
  """Yields (what the graduate says of a file, ""), or (None, why there is no answer), in order.

  Every batch is filled up to `batch_size`, so that one program is compiled. The pictures of two
  batches are in memory at most.
  """

  def read(path: str) -> np.ndarray | str:
    try:
      return pictures.bring_in(path, graduate.image_shape)
    except BadImage as error:
      return f"cannot be read as an image ({error})"

  def following(start: int) -> int | None:
    return start + batch_size if start + batch_size < len(paths) else None

  with concurrent.futures.ThreadPoolExecutor() as pool:

    def decode(start: int) -> list[np.ndarray | str]:
      return list(pool.map(read, paths[start : start + batch_size]))

    with Stream(decode, following) as decoded:
      for start in range(0, len(paths), batch_size):
        batch = decoded(start)
        images = [image for image in batch if not isinstance(image, str)]
        logits = iter(graduate.logits(np.stack(images), batch_size) if images else ())
        for image in batch:
          yield (None, image) if isinstance(image, str) else _finite(next(logits))


def _finite(logits: Logits) -> tuple[Logits | None, str]:
  return (logits, "") if np.isfinite(logits).all() else (None, "the answer is not finite")


def likeliest(logits: Logits, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
  """Returns the `top` likeliest classes and their probabilities; of equal ones the first first."""
  odds = np.exp(logits.astype(np.float64) - logits.max())
  order = np.argsort(-logits, kind="stable")[:top]
  return [(classes[column], float(odds[column] / odds.sum())) for column in order]
