"""Counted work is the same number every time, and a count that runs away is stopped."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from llmlabs.lab.counting import lines_run


def _loop(times: int) -> int:
    total = 0
    for number in range(times):
        total += number
    return total


def _calls(times: int) -> int:
    return _loop(times) + sum(_numbers(times))


def _numbers(times: int) -> Iterator[int]:
    for number in range(times):  # noqa: UP028 a loop whose lines are counted
        yield number


def _fails() -> None:
    raise KeyError("not here")


def test_lines_of_a_loop_are_counted() -> None:
    # total = 0, the head of the loop once more than its body, return
    assert [lines_run(_loop, times) for times in (0, 1, 10)] == [(0, 3), (0, 5), (45, 23)]


def test_lines_of_what_is_called_are_counted_too() -> None:
    own, loop, numbers = 1, 23, 21
    assert lines_run(_calls, 10) == (90, own + loop + numbers)


def test_work_in_c_counts_as_nothing() -> None:
    assert lines_run(sorted, range(10_000)) == (list(range(10_000)), 0)


def test_keywords_are_passed_on() -> None:
    assert lines_run(_loop, times=10) == (45, 23)


def test_a_count_that_runs_away_is_stopped() -> None:
    assert lines_run(_loop, 10, limit=23)[1] == 23
    with pytest.raises(RuntimeError, match="stopped after 22 lines"):
        lines_run(_loop, 10, limit=22)


def test_the_tracer_of_others_comes_back_also_after_an_error() -> None:
    before = sys.gettrace()
    with pytest.raises(KeyError, match="not here"):
        lines_run(_fails)
    assert sys.gettrace() is before
