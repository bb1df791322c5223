"""What published PyTorch checkpoints call the layers of `edjax.models.shufflenet`.

RepDistiller's and mdistiller's networks count the layers of a V2 down unit through, left side
first. torchvision, which has V2 only, counts a side's layers together with its ReLUs.
"""

from edjax.convert.names.naming import by_rules

repdistiller = by_rules(
  (r"fragment_0/(conv|bn)", "{}1"),
  (r"fragment_(\d)/unit_0/left_(\w+)", "layer{}.0.{}"),
  (r"fragment_(\d)/unit_0/right_(conv|bn)1", "layer{}.0.{}3"),
  (r"fragment_(\d)/unit_0/right_(conv|bn)2", "layer{}.0.{}4"),
  (r"fragment_(\d)/unit_0/right_(conv|bn)3", "layer{}.0.{}5"),
  (r"fragment_(\d)/unit_(\d)/(?:right_)?(\w+)", "layer{}.{}.{}"),
  (r"head/(conv|bn)", "{}2"),
  (r"head/dense", "linear"),
)
torchvision = by_rules(
  (r"fragment_0/conv", "conv1.0"),
  (r"fragment_0/bn", "conv1.1"),
  (r"fragment_(\d)/unit_0/left_conv1", "stage{}.0.branch1.0"),
  (r"fragment_(\d)/unit_0/left_bn1", "stage{}.0.branch1.1"),
  (r"fragment_(\d)/unit_0/left_conv2", "stage{}.0.branch1.2"),
  (r"fragment_(\d)/unit_0/left_bn2", "stage{}.0.branch1.3"),
  (r"fragment_(\d)/unit_(\d)/right_conv1", "stage{}.{}.branch2.0"),
  (r"fragment_(\d)/unit_(\d)/right_bn1", "stage{}.{}.branch2.1"),
  (r"fragment_(\d)/unit_(\d)/right_conv2", "stage{}.{}.branch2.3"),
  (r"fragment_(\d)/unit_(\d)/right_bn2", "stage{}.{}.branch2.4"),
  (r"fragment_(\d)/unit_(\d)/right_conv3", "stage{}.{}.branch2.5"),
  (r"fragment_(\d)/unit_(\d)/right_bn3", "stage{}.{}.branch2.6"),
  (r"head/conv", "conv5.0"),
  (r"head/bn", "conv5.1"),
  (r"head/dense", "fc"),
  first=2,
)
