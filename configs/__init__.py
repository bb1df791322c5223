"""The configs that are installed with edjax: `--config=digits:kd` names one from any folder."""
