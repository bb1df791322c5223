"""The 1,797 handwritten digits of 8x8 pixels that scikit-learn brings with it: no file, no wait.

They are the test part of Alpaydin & Kaynak's "Optical Recognition of Handwritten Digits" (UCI,
1998). They have no official split, so a stratified quarter of each class, fixed for good by
`splits.held_out`, is the test split here.
"""

import numpy as np

from edjax.data import splits
from edjax.errors import UserError

TEST_FRACTION = 0.25


def read() -> tuple[splits.Split, splits.Split, tuple[str, ...]]:
  """Returns (train, test, class names).

  The published grey values v in 0..16 become round(v · 255/16), halves up: 0 stays 0, 16 becomes
  255, no two values meet.

  Raises:
    UserError: if scikit-learn is not installed.
  """
  try:
    from sklearn.datasets import load_digits
  except ImportError as error:
    raise UserError(
      "dataset 'digits' comes with scikit-learn, which is not installed: pip install 'edjax[demo]'"
    ) from error
  digits = load_digits()
  grey = digits.images.astype(np.uint16)
  images = ((grey * 255 + 8) // 16).astype(np.uint8)[..., None]
  whole = splits.Split(images, digits.target.astype(np.int32))
  test = splits.held_out(whole.labels, TEST_FRACTION)
  names = tuple(str(name) for name in digits.target_names)
  return splits.take(whole, ~test), splits.take(whole, test), names
