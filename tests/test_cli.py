"""The command: short errors with exit code 1, no tracebacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def llmlabs(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llmlabs.cli", *arguments],
        cwd=root,
        env={**os.environ, "LLMLABS_ROOT": str(root), "COLUMNS": "120"},
        capture_output=True,
        text=True,
    )


ERRORS = {
    "unknown section": (["build", "99"], "The course has no section or lab '99'."),
    "unknown scale": (["build", "--scale", "huge"], "There is no scale 'huge'."),
    "nothing handed in": (["grade", "01"], "There is nothing to grade in submitted/*/01_arithmetic."),
    "unknown step": (["test", "--only", "colour"], "There is no step colour."),
    "no data": (["data", "verify"], "data"),
}


@pytest.mark.parametrize(("arguments", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_are_for_people(mini: Path, arguments: list[str], message: str) -> None:
    done = llmlabs(mini, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert 1 <= len(done.stderr.strip().splitlines()) <= 3


def test_a_folder_that_is_no_course(tmp_path: Path) -> None:
    done = llmlabs(tmp_path, "build")
    assert done.returncode == 1
    assert "No course.yml" in done.stderr


def test_build_from_the_command_line(mini: Path) -> None:
    done = llmlabs(mini, "build", "--no-solutions")
    assert done.returncode == 0, done.stderr
    assert (mini / "release/01_arithmetic/arithmetic.ipynb").is_file()
    assert "3 planned" in (mini / "README.md").read_text(encoding="utf-8")


def test_the_doctor_needs_nothing_installed() -> None:
    doctor = Path(__file__).resolve().parents[1] / "llmlabs" / "doctor.py"
    done = subprocess.run([sys.executable, "-I", "-S", str(doctor)], capture_output=True, text=True)
    assert "[ok]   Python 3.11" in done.stdout
    assert all(line.startswith(("[ok]", "[--]", "[FAIL]")) for line in done.stdout.splitlines())


def test_links_to_every_finished_lab(mini: Path) -> None:
    done = llmlabs(mini, "links", "someone/llm-labs")
    assert done.returncode == 0, done.stderr
    path = "release/01_arithmetic/arithmetic.ipynb"
    assert f"https://colab.research.google.com/github/someone/llm-labs/blob/main/{path}\n" in done.stdout
    assert f"https://mybinder.org/v2/gh/someone/llm-labs/main?urlpath=lab/tree/{path}\n" in done.stdout
    assert llmlabs(mini, "links", "https://example.org").returncode == 1
