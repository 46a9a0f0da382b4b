"""LLM Labs: a graded Jupyter course in LLM development."""

__version__ = "0.1.0"
