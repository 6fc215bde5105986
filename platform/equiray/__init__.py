"""equiray: evaluate, mitigate, search and serve models that decide about people."""

__version__ = "0.1.0"
