"""Comparing what a notebook's function gave with what is right, and saying in words how they differ."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np


def assert_same(got: Any, right: Any, given: str, why: str = "", tolerance: float = 0.0) -> None:
    """Assert that two values are equal: numbers, texts, None, arrays, and lists, tuples and dicts of those.

    A list equals a tuple with equal items; an array equals one of the same shape, dtype and values only.

    Args:
        got: what came back.
        right: what is expected.
        given: what was asked, in words; the message begins with it, and says where in a list or dict they differ.
        why: likely causes; the message ends with it.
        tolerance: by how much numbers may differ.

    Raises:
        AssertionError: if they differ.
    """
    if not same(got, right, tolerance):
        place, one, other = _first_difference(got, right, tolerance)
        where = f"{given}, at {place}" if place else given
        raise AssertionError(f"{where}: {_shown(other)} expected, got {_shown(one)}" + (f"; {why}" if why else ""))


def same(got: Any, right: Any, tolerance: float = 0.0) -> bool:
    """Whether two values are equal; see `assert_same`."""
    if isinstance(right, np.ndarray):
        return isinstance(got, np.ndarray) and got.dtype == right.dtype and np.array_equal(got, right)
    if isinstance(right, dict):
        return (
            isinstance(got, dict)
            and got.keys() == right.keys()
            and all(same(got[key], value, tolerance) for key, value in right.items())
        )
    if isinstance(right, list | tuple):
        return (
            isinstance(got, list | tuple)
            and len(got) == len(right)
            and all(same(one, other, tolerance) for one, other in zip(got, right, strict=True))
        )
    if isinstance(right, bool) or not isinstance(right, Real):
        return bool(got == right)
    return isinstance(got, Real) and abs(float(got) - float(right)) <= tolerance


def _first_difference(got: Any, right: Any, tolerance: float) -> tuple[str, Any, Any]:
    """Where in nested lists and dicts two unequal values differ first, and the two parts there."""
    place = ""
    while True:
        if isinstance(right, dict) and isinstance(got, dict) and got.keys() == right.keys():
            keys: Any = right
        elif isinstance(right, list | tuple) and isinstance(got, list | tuple):
            keys = range(max(len(right), len(got)))
        else:
            return place, got, right
        key = next(key for key in keys if not _same_at(key, got, right, tolerance))
        place, got, right = f"{place}[{key!r}]", _at(key, got), _at(key, right)


def _at(key: Any, items: Any) -> Any:
    """An item of a dict or list; `_Nothing` past the list's end."""
    return _Nothing() if not isinstance(items, dict) and key >= len(items) else items[key]


def _same_at(key: Any, got: Any, right: Any, tolerance: float) -> bool:
    one, other = _at(key, got), _at(key, right)
    return not isinstance(one, _Nothing) and not isinstance(other, _Nothing) and same(one, other, tolerance)


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


def _shown(value: Any, most: int = 600) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."
