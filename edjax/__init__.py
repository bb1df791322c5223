"""edjax: trains small networks the way a school does (education distillation, arXiv:2311.13811)."""

__version__ = "0.1.0"
