"""A kernel and a checker for many tests, and the same tests in one plain namespace to compare with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbformat import NotebookNode

from llmlabs.grade.checker import Checker, run_test
from llmlabs.grade.submission import CheckResult, Kernel, Limits, check

ROOT = Path(__file__).resolve().parents[2]
IMPORTS = [
    "import asyncio, collections, contextlib, copy, dataclasses, enum, inspect, json, math, random, re, types",
    "from datetime import date, datetime, timedelta",
    "from decimal import Decimal",
    "from fractions import Fraction",
    "from pathlib import Path",
    "import numpy as np",
    "import pytest",
    "import torch",
    "from torch import nn",
    "from llmlabs.lab import testing",
    "from llmlabs.lab.testing import *",
]
# as %reset does, without its slow search for garbage
CLEAR = "for _n in [n for n in globals() if n[0] != '_' and n not in ('In', 'Out', 'get_ipython')]: del globals()[_n]\n"
LIMITS = Limits(cell_seconds=20, call_seconds=3, total_seconds=600, message_bytes=8 * 2**20, depth=50)


def environment() -> dict[str, str]:
    """This process's environment, in which the kernel finds the package under test."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "LLMLABS_SEED": "the-private-seed"}


def code_cell(source: str, grade_id: str = "", **nbgrader: Any) -> NotebookNode:
    cell = nbformat.v4.new_code_cell(source)
    if grade_id:
        cell.metadata["nbgrader"] = {"grade_id": grade_id, "locked": True, "points": 0, **nbgrader}
    return cell


def graded_cell(source: str, grade_id: str = "a-test", points: float = 4) -> NotebookNode:
    return code_cell(source, grade_id, grade=True, solution=False, points=points)


class Lab:
    """A notebook whose cells come one by one, after a cell of imports."""

    def __init__(self, limits: Limits = LIMITS, imports: list[str] = IMPORTS) -> None:
        self.limits, self.imports = limits, imports
        self.kernel, self.checker = Kernel(KernelManager(kernel_name="python3"), limits), self.start_checker()

    def start_checker(self) -> Checker:
        message_bytes, depth = self.limits.message_bytes, self.limits.depth
        return Checker.start(self.imports, seed="the-private-seed", message_bytes=message_bytes, depth=depth)

    def start(self, folder: Path) -> None:
        self.kernel.start(environment(), folder)
        self.student("\n".join(self.imports))

    def student(self, source: str, seconds: float = 20) -> list[NotebookNode]:
        """Run a cell of the student's; its outputs."""
        return self.kernel.run(source, seconds)[1]

    def fresh(self, source: str) -> None:
        """Run a cell of the student's in an otherwise empty notebook; it must not fail."""
        self.student(CLEAR + "\n".join(self.imports))
        errors = [output for output in self.student(source) if output.output_type == "error"]
        assert not errors, errors

    def check(self, source: str, points: float = 4) -> CheckResult:
        """Run a test cell."""
        result = check(graded_cell(source, points=points), self.kernel, self.checker, "")
        if self.checker.process.poll() is not None:
            self.checker.stop()
            self.checker = self.start_checker()
        return result

    def stop(self) -> None:
        self.kernel.stop()
        self.checker.stop()


def plain(student: str, test: str) -> str:
    """How the test ends when everything runs in one namespace: "passed", "failed" or the name of the exception."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec("\n".join(IMPORTS), names)
    # without dont_inherit the cells would run under this file's `from __future__ import annotations`
    exec(compile(student, "<student>", "exec", dont_inherit=True), names)
    try:
        run_test(test, names)  # type: ignore[arg-type]
    except (AssertionError, pytest.fail.Exception):
        return "failed"
    except Exception as error:
        return type(error).__name__
    return "passed"


def ended(result: CheckResult) -> str:
    """The same for a result of the engine."""
    return result.error_type if result.kind == "error" else result.kind
