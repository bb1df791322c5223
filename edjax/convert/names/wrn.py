"""What RepDistiller and mdistiller call the layers of `edjax.models.wrn`."""

from edjax.convert.names.naming import by_rules

repdistiller = by_rules(
  (r"fragment_0/conv", "conv1"),
  (r"fragment_(\d)/block_(\d+)/shortcut_conv", "block{}.layer.{}.convShortcut"),
  (r"fragment_(\d)/block_(\d+)/(\w+)", "block{}.layer.{}.{}"),
  (r"head/bn_in", "bn1"),
  (r"head/dense", "fc"),
)
