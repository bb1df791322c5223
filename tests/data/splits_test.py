"""Cutting a data set: what is held out, what is left of it under a limit."""

import numpy as np
import pytest

from edjax.data import splits


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.5, 0.99])
def test_held_out_is_stratified(fraction):
  sizes = [1, 2, 3, 10, 95, 200]
  labels = np.random.default_rng(0).permutation(np.repeat(np.arange(6), sizes))
  held_out = splits.held_out(labels, fraction)
  for label, size in enumerate(sizes):
    wanted = 0 if size == 1 else min(max(int(fraction * size + 0.5), 1), size - 1)
    assert held_out[labels == label].sum() == wanted


def test_held_out_is_fixed_and_nested():
  labels = np.arange(400) % 4
  small, large = splits.held_out(labels, 0.1), splits.held_out(labels, 0.3)
  assert np.all(large[small]) and large.sum() == 120
  # The rule in plain integers: in each class, the smallest hashes of the index.
  hashes = [plain_hash(i + 231113811) for i in range(400)]
  for label in range(4):
    order = sorted(range(label, 400, 4), key=hashes.__getitem__)
    assert set(order[:10]) == set(np.flatnonzero(small & (labels == label)))


def plain_hash(z):
  mask = 2**64 - 1
  z = z * 0x9E3779B97F4A7C15 & mask
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
  z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
  return z ^ z >> 31


def test_hash_is_splitmix64():
  # First outputs of the reference generator seeded with 0 are the finaliser of its increments.
  assert plain_hash(1) == 0xE220A8397B1DCDAF
  assert plain_hash(2) == 0x6E789E6AA1B965F4


def test_limited_keeps_proportions():
  labels = np.repeat(np.arange(3), [10, 30, 60])
  assert np.bincount(labels[splits.limited(labels, 10)]).tolist() == [1, 3, 6]
  assert np.bincount(labels[splits.limited(labels, 3)]).tolist() == [1, 1, 1]
  assert np.all(splits.limited(labels, 50)[splits.limited(labels, 20)])
  assert splits.limited(labels, 1000).all()
  equal = np.arange(70) % 7
  assert set(np.bincount(equal[splits.limited(equal, 24)])) == {3, 4}
