"""The configs that are installed with edjax: `--config=digits:kd` names one from any folder."""

from edjax.recipes import common, published  # for configs of one's own that say `from configs`

__all__ = ["common", "published"]
