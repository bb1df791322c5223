"""What published PyTorch checkpoints call the layers of `edjax.models.imagenet_resnet`.

`torchvision` and `timm` name the networks for large images, `repdistiller` (and mdistiller) those
for small ones.
"""

from edjax.convert.names.naming import by_rules

_LAYERS = (
  (r"fragment_0/(conv|bn)", "{}1"),
  (r"fragment_(\d)/block_(\d+)/(\w+)", "layer{}.{}.{}"),
)
torchvision = by_rules(
  (r"fragment_(\d)/block_(\d+)/shortcut_conv", "layer{}.{}.downsample.0"),
  (r"fragment_(\d)/block_(\d+)/shortcut_bn", "layer{}.{}.downsample.1"),
  (r"head/dense", "fc"),
  *_LAYERS,
)
timm = torchvision
repdistiller = by_rules(
  (r"fragment_(\d)/block_(\d+)/shortcut_conv", "layer{}.{}.shortcut.0"),
  (r"fragment_(\d)/block_(\d+)/shortcut_bn", "layer{}.{}.shortcut.1"),
  (r"head/dense", "linear"),
  *_LAYERS,
)
