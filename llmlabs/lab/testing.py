"""Placeholder until the engine's helpers are there."""

import hashlib
import os


def seed(name: str) -> int:
    """A number for a test's random inputs, from the grader's seed and the name."""
    text = f"{os.environ.get('LLMLABS_SEED', 'public')}:{name}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
