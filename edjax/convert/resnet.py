"""What RepDistiller and mdistiller call the layers of `edjax.models.resnet`."""

from edjax.convert.naming import by_rules

repdistiller = by_rules(
  (r"fragment_0/(conv|bn)", "{}1"),
  (r"fragment_(\d)/block_(\d+)/shortcut_conv", "layer{}.{}.downsample.0"),
  (r"fragment_(\d)/block_(\d+)/shortcut_bn", "layer{}.{}.downsample.1"),
  (r"fragment_(\d)/block_(\d+)/(\w+)", "layer{}.{}.{}"),
  (r"head/dense", "fc"),
)
