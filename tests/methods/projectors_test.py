"""What makes maps comparable, against PyTorch."""

import jax
import numpy as np
import pytest
import torch

from edjax.methods.projectors import Regressor
from tests.methods.methods_test import close, in_torch
from tests.reference.methods import shapes


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(
  "here, there",
  [((4, 4), (4, 4)), ((8, 6), (4, 3)), ((3, 4), (6, 8)), ((7, 7), (4, 5)), ((3, 3), (7, 7))],
)
def test_regressor_equals_pytorch(here, there, relu):
  draw = np.random.default_rng(0)
  x = draw.normal(size=(3, *here, 2)).astype(np.float32)
  module = Regressor((*there, 5), relu)
  params = module.init(jax.random.key(0), x)["params"]
  params = jax.tree.map(lambda leaf: leaf + 0.1 * draw.normal(size=leaf.shape).astype("f"), params)
  ours = module.apply({"params": params}, x)
  theirs = shapes.regressor(
    torch.tensor(x.transpose(0, 3, 1, 2)).double(), in_torch(params), there, relu
  )
  assert ours.shape == (3, *there, 5)
  close(ours, theirs.detach().permute(0, 2, 3, 1).numpy())
