"""nbgrader's exchange around the engine: released, fetched, handed in, collected, graded, and the feedback fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from llmlabs.grade.grading import grade_section, read_secret
from llmlabs.verify.submissions import answered, solutions

SECTION = "01_arithmetic"
NAME = f"{SECTION}/arithmetic.ipynb"


def nbgrader(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments, "--Exchange.root=../exchange"],
        cwd=folder,
        env=os.environ | {"HOME": str(folder), "JUPYTER_DATA_DIR": str(folder / "jupyter")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"nbgrader {' '.join(arguments)}:\n{done.stdout}{done.stderr}"


def hand_in(student: Path, solved: list[str], root: Path) -> None:
    source = nbformat.read(root / "source" / NAME, as_version=4)
    notebook = nbformat.read(root / "release" / NAME, as_version=4)
    nbformat.write(answered(notebook, solutions(source, solved)), student / NAME)
    nbgrader(student, "submit", SECTION, "--course", "llm_labs")
    nbgrader(root, "collect", SECTION, "--update")
    grade_section(root, SECTION, say=lambda line: None)
    nbgrader(root, "release_feedback", SECTION)
    nbgrader(student, "fetch_feedback", SECTION, "--course", "llm_labs")


def test_feedback_comes_back_through_the_exchange(built_mini: Path, tmp_path: Path) -> None:
    root, student, exchange = tmp_path / "mini", tmp_path / "student", tmp_path / "exchange"
    shutil.copytree(built_mini, root)
    shutil.copyfile(Path(__file__).parents[1] / "nbgrader_config.py", root / "nbgrader_config.py")
    student.mkdir()
    exchange.mkdir()
    exchange.chmod(0o777)
    nbgrader(root, "release_assignment", SECTION)
    nbgrader(student, "fetch_assignment", SECTION, "--course", "llm_labs")
    assert (student / NAME).read_bytes() == (root / "release" / NAME).read_bytes()
    hand_in(student, ["add"], root)
    [page] = student.glob(f"{SECTION}/feedback/*/arithmetic.html")
    assert "Your points" in page.read_text(encoding="utf-8")
    # handed in once more without a change: a new time and a new key, though no notebook has to run again
    hand_in(student, ["add"], root)
    assert len(list(student.glob(f"{SECTION}/feedback/*/arithmetic.html"))) == 2


@pytest.mark.parametrize("text", ["", "../../etc/passwd", "a b", "x" * 300, "\udcff"])
def test_a_key_that_nbgrader_did_not_make_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "submission_secret.txt"
    assert read_secret(path) == ""
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_secret(path) == ""
    path.write_text("0a" * 64, encoding="utf-8")
    assert read_secret(path) == "0a" * 64
