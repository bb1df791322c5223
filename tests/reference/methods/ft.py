"""Factor transfer (Kim, Park and Kwak 2018, arXiv:1802.04977)."""

import torch.nn.functional as F

from tests.reference.methods import shapes

OPTIONS = (
  {},
  {"phase": "paraphrase", "rate": 0.75},
  {"form": "attention", "norm": True},
  {"pairs": "1:1,3:2"},
)


def loss(
  student,
  teacher,
  batch,
  variables,
  phase="transfer",
  rate=0.5,
  form="flattened",
  norm=False,
  pairs="",
):
  ours, theirs = student.features[3], teacher.features[2 if pairs else 3].detach()
  if phase == "paraphrase":
    paraphraser = variables["params"]["paraphraser"]
    factor = layers(theirs, paraphraser["encoder"])
    assert factor.shape[1] == round(rate * theirs.shape[1])
    return (layers(factor, paraphraser["decoder"]) - theirs).square().flatten(1).mean(1)
  theirs = layers(theirs, variables["memory"]["paraphraser"]["encoder"]).detach()
  ours, theirs = shapes.same_size(layers(ours, variables["params"]["translator"], norm), theirs)
  if form == "attention":
    ours, theirs = ours.square().mean(1), theirs.square().mean(1)
  ours, theirs = shapes.normalised(ours.flatten(1)), shapes.normalised(theirs.flatten(1))
  return (ours - theirs).abs().mean(1)


def layers(x, params, norm=False):
  for number in range(3):
    x = shapes.conv(x, params[f"conv_{number}"], padding=1)
    x = shapes.batch_norm(x, params[f"norm_{number}"]) if norm else x
    x = F.leaky_relu(x, 0.1)
  return x
