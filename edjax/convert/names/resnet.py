"""What published PyTorch checkpoints call the layers of `edjax.models.resnet`.

`repdistiller` (and mdistiller) name the networks whose shortcuts are convolutions; `akamaster`,
https://github.com/akamaster/pytorch_resnet_cifar10, those whose shortcuts have no parameters.
"""

from edjax.convert.names.naming import by_rules

repdistiller = by_rules(
  (r"fragment_0/(conv|bn)", "{}1"),
  (r"fragment_(\d)/block_(\d+)/shortcut_conv", "layer{}.{}.downsample.0"),
  (r"fragment_(\d)/block_(\d+)/shortcut_bn", "layer{}.{}.downsample.1"),
  (r"fragment_(\d)/block_(\d+)/(\w+)", "layer{}.{}.{}"),
  (r"head/dense", "fc"),
)
akamaster = by_rules(
  (r"fragment_0/(conv|bn)", "{}1"),
  (r"fragment_(\d)/block_(\d+)/((?:conv|bn)[12])", "layer{}.{}.{}"),
  (r"head/dense", "linear"),
)
