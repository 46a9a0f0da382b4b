"""What a learner does alone: start a lab, check it with the hidden tests, see how far the course has been done."""

from llmlabs.learn.notebook_check import check

__all__ = ["check"]
