"""Softmax regression representation learning (Yang et al., ICLR 2021)."""

import torch.nn.functional as F

from tests.reference.methods import shapes

OPTIONS = ({}, {"before": "embedding", "regression": 0.25})
# The normalisation divides a channel that is constant by √1e-5, and so multiplies its rounding; two
# numbers normalised are 1 and −1 whatever they were, but for an epsilon: gradients are tiny.
TOLERANCE = {"constant maps": 1e-4, "batch of two": 1e-3}


def loss(student, teacher, batch, variables, regression=1.0, before="map"):
  params = variables["params"]["connector"]
  x = student.features[3] if before == "map" else student.embedding[:, :, None, None]
  x = F.relu(shapes.batch_norm(shapes.conv(x, params["conv"]), params["norm"])).mean((2, 3))
  said = shapes.dense(x, batch.classifier)
  features = (x - teacher.embedding.detach()).square().mean(1)
  return features + regression * (said - teacher.logits.detach()).square().mean(1)
