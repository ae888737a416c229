"""Multi-stage fine-tuning of cross-encoder re-rankers: stores, training, scoring and tables."""

__version__ = "0.1.0"
