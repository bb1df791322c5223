"""What tests of the sky share."""

import jax
import pytest


@pytest.fixture
def precisely():
  """JAX with float64, as the oracles have it."""
  with jax.enable_x64(True):
    yield
