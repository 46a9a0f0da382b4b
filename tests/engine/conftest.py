"""One kernel and one checker for the tests of a module."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .engine_lab import ROOT, Lab

# the checker, too, is to find the package under test
os.environ["PYTHONPATH"] = str(ROOT)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab()
    lab.start(tmp_path_factory.mktemp("submission"))
    yield lab
    lab.stop()
