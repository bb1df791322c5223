"""A hint through a regressor (Romero et al. 2015, arXiv:1412.6550)."""

from tests.reference.methods import shapes

OPTIONS = ({}, {"relu": False, "pairs": "1:2"}, {"pairs": "2:1,3:3"})
# Normalisation multiplies the rounding of a constant map by 1/√1e-5.
TOLERANCE = {"constant maps": 3e-4}


def loss(student, teacher, batch, variables, pairs="2:2", relu=True):
  total = 0
  for pair in pairs.split(","):
    ours, theirs = student.features[int(pair[0])], teacher.features[int(pair[2])].detach()
    params = variables["params"][f"map_{pair[0]}"]
    guess = shapes.regressor(ours, params, theirs.shape[2:], relu)
    total = total + (guess - theirs).square().mean((1, 2, 3))
  return total
