"""What the tests share: a course small enough to be built and graded in seconds."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

# grading is for POSIX systems; learners on Windows read, run and build
if sys.platform == "win32":
    collect_ignore_glob = [
        "engine/*",
        "hostile/*",
        "sandbox/*",
        "test_checks.py",
        "test_grading.py",
        "test_mutate.py",
        "test_learn.py",
        "test_postgresql.py",
        "test_resume.py",
        "test_teach.py",
        "test_verify.py",
    ]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


@pytest.fixture
def mini(tmp_path: Path) -> Path:
    """A fresh copy of the mini course."""
    root = tmp_path / "mini"
    shutil.copytree(HERE / "mini", root)
    shutil.copyfile(ROOT / "nbgrader_config.py", root / "nbgrader_config.py")
    return root


@pytest.fixture(scope="session")
def built_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mini course with its release, built once; tests copy what they change."""
    from llmlabs.build.builder import build

    root = tmp_path_factory.mktemp("built") / "mini"
    shutil.copytree(HERE / "mini", root)
    shutil.copyfile(ROOT / "nbgrader_config.py", root / "nbgrader_config.py")
    build(root, solutions=False, say=lambda line: None)
    return root
