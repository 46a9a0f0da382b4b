"""Counting work instead of timing it: a count is the same on every machine, however busy it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from llmlabs.lab.testing import inside_submission


@inside_submission
def lines_run(function: Callable[..., Any], *args: Any, limit: int = 10**7, **kwargs: Any) -> tuple[Any, int]:
    """Call `function(*args, **kwargs)` and count the lines of Python that run until it returns.

    A line counts each time that it runs, also in the functions and comprehensions that are called. What libraries do
    in C, such as `sorted` or `sum`, counts as nothing, but for the lines of Python that it calls back.

    Args:
        function: of the notebook or a library.
        limit: the most lines that may run.

    Returns:
        (what the function returned, the number of lines).

    Raises:
        RuntimeError: if more than `limit` lines run.
    """
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        if event == "line":
            lines += 1
            if lines > limit:
                raise RuntimeError(f"stopped after {limit:,} lines of Python: far more than this should need")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = function(*args, **kwargs)
    finally:
        sys.settrace(before)
    return result, lines
