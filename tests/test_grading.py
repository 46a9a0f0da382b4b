"""Grading a class: right grades, a note for each broken submission, nobody stopped by another, nothing leaked."""

from __future__ import annotations

import copy
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from llmlabs.errors import CourseError
from llmlabs.grade.grading import Grade, Options, Report, grade_section
from llmlabs.verify.answers import read_answers
from llmlabs.verify.submissions import answered, solutions

NAME = "01_arithmetic/arithmetic.ipynb"


def quiet(line: str) -> None:
    """Take a line of progress and drop it."""


@pytest.fixture(scope="module")
def graded(built_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A class of nine, graded once."""
    root = tmp_path_factory.mktemp("class") / "mini"
    shutil.copytree(built_mini, root)
    release = nbformat.read(root / "release" / NAME, as_version=4)
    source = nbformat.read(root / "source" / NAME, as_version=4)
    wrong, right, *_ = read_answers(root / "answers/01_arithmetic/arithmetic.py")
    everything = solutions(source)
    duplicated = answered(release, everything | {"add": wrong.source})
    duplicated.cells.append(copy.deepcopy(duplicated.cells[-1]))
    hand_in(root, "ada", answered(release, everything))
    hand_in(root, "ben", answered(release, solutions(source, ["add", "double"])))
    hand_in(root, "cleo", release)
    hand_in(root, "dan", answered(release, everything | {"add": wrong.source}))
    hand_in(root, "eve", answered(release, everything | {"add": right.source}))
    hand_in(root, "fay", duplicated)
    hand_in(root, "gus", answered(release, everything | {"double": "import os\nos._exit(1)"}))
    hand_in(root, "hal", "Dear instructor")
    (root / "submitted/ivy/01_arithmetic").mkdir(parents=True)
    return root, grade_section(root, "01", say=quiet)


def hand_in(root: Path, student: str, submission: nbformat.NotebookNode | str) -> None:
    path = root / "submitted" / student / NAME
    path.parent.mkdir(parents=True)
    path.write_text(submission if isinstance(submission, str) else nbformat.writes(submission), encoding="utf-8")


def grade_of(report: Report, student: str) -> Grade:
    return next(grade for grade in report.grades if grade.student == student)


@pytest.mark.parametrize(
    ("student", "points"),
    [
        ("ada", [6, 6, 6, 7]),
        ("ben", [6, 6, 0, 0]),
        ("cleo", [0, 0, 0, 0]),
        ("dan", [0, 6, 6, 7]),
        ("eve", [6, 6, 6, 7]),
        ("fay", [0, 6, 6, 7]),
        ("gus", [6, 0, 0, 0]),
        ("hal", [0, 0, 0, 0]),
        ("ivy", [0, 0, 0, 0]),
    ],
)
def test_everybody_gets_the_points_that_are_due(graded: tuple[Path, Report], student: str, points: list[int]) -> None:
    grade = grade_of(graded[1], student)
    assert list(grade.exercises.values()) == points
    assert grade.total == sum(points)


@pytest.mark.parametrize(
    ("student", "note"),
    [
        ("fay", "a copy of the locked cell clip-properties was dropped"),
        ("gus", "arithmetic ended early, in the cell 'double': the notebook's process ended"),
        ("hal", "arithmetic.ipynb could not be read: it is not a notebook: no valid JSON at line 1"),
        ("ivy", "arithmetic.ipynb was not handed in"),
    ],
)
def test_what_was_wrong_is_said(graded: tuple[Path, Report], student: str, note: str) -> None:
    [found] = grade_of(graded[1], student).notes
    assert found.startswith(note)


def test_feedback_names_the_failed_test_and_the_mistake_but_no_hidden_line(graded: tuple[Path, Report]) -> None:
    page = (graded[0] / "feedback/dan/01_arithmetic/arithmetic.html").read_text(encoding="utf-8")
    assert "What to look at" in page
    assert "add-example" in page
    assert "add(2, 3) should be 5, got -1: is it a sum?" in page
    assert "isclose" not in page, "a line of a hidden test is in the feedback"
    assert "Traceback (most recent call last)" not in page


def test_grades_csv_has_a_row_for_everybody(graded: tuple[Path, Report]) -> None:
    with (graded[0] / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert len(rows) == 9
    assert rows["ada"]["score"] == "25.0"
    assert rows["dan"]["add"] == "0.0"
    assert rows["dan"]["failed"] == "add-example add-properties"
    assert "could not be read" in rows["hal"]["note"]


def test_grading_again_runs_nothing_and_gives_the_same(graded: tuple[Path, Report]) -> None:
    root, first = graded
    said: list[str] = []
    assert grade_section(root, "01", say=said.append).grades == first.grades
    assert said[-1] == "9 of 9 notebooks are unchanged since they were graded"


def test_force_grades_again_and_gives_the_same(graded: tuple[Path, Report]) -> None:
    root, first = graded
    students = ("ada", "dan", "gus", "hal")
    again = grade_section(root, "01_arithmetic", Options(students, force=True), say=quiet)
    assert [grade.student for grade in again.grades] == list(students)
    assert all(grade == grade_of(first, grade.student) for grade in again.grades)


def test_nbgrader_autograde_uses_the_engine(graded: tuple[Path, Report]) -> None:
    root, report = graded
    (root / "build/records/01_arithmetic/dan/arithmetic.json").unlink()
    command = [sys.executable, "-m", "nbgrader", "autograde", "01_arithmetic", "--force"]
    environment = os.environ | {
        "LLMLABS_ROOT": str(root),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        [*command, "--CourseDirectory.student_id_exclude=ivy"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "fay: a copy of the locked cell clip-properties was dropped" in done.stderr
    assert "hal: arithmetic.ipynb could not be read" in done.stderr
    assert grade_section(root, "01", say=quiet).grades == report.grades


def test_an_unknown_student_is_an_error(graded: tuple[Path, Report]) -> None:
    with pytest.raises(CourseError, match="Nothing was handed in by zoe"):
        grade_section(graded[0], "01", Options(("ada", "zoe")), say=quiet)


def test_a_scheduler_that_others_could_reach_is_refused(graded: tuple[Path, Report]) -> None:
    with pytest.raises(CourseError, match="neither tls:// nor on this machine"):
        grade_section(graded[0], "01", Options(force=True, scheduler="tcp://192.0.2.1:8786"), say=quiet)


def test_nothing_to_grade_is_an_error(mini: Path) -> None:
    with pytest.raises(CourseError, match="nothing to grade"):
        grade_section(mini, "01", say=quiet)
