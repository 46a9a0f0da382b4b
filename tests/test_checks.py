"""`make test` fails when it should: each of its steps on a course with one planted defect."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from llmlabs import checks
from llmlabs.build.builder import build
from llmlabs.cli import update_readme
from llmlabs.errors import CourseError

RELEASE = "release/01_arithmetic/arithmetic.ipynb"
SOLUTION = "solutions/01_arithmetic/arithmetic.ipynb"
SOURCE = "source/01_arithmetic/arithmetic.py"


def quiet(line: str) -> None:
    """Take a line of progress and drop it."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mini course, everything built."""
    here = Path(__file__).resolve().parent
    root = tmp_path_factory.mktemp("finished") / "mini"
    shutil.copytree(here / "mini", root)
    shutil.copyfile(here.parent / "nbgrader_config.py", root / "nbgrader_config.py")
    build(root, say=quiet)
    update_readme(root)
    return root


@pytest.fixture
def course(finished: Path, tmp_path: Path) -> Path:
    root = tmp_path / "mini"
    shutil.copytree(finished, root)
    return root


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_nothing_drifts_after_a_build(course: Path) -> None:
    said: list[str] = []
    checks.drift(course, None, said.append)
    assert said == ["1 labs: release, solutions, reference modules and catalogue are up to date"]


DRIFT = {
    "release edited": (RELEASE, "Four small", "Five small", "release/01_arithmetic/arithmetic.ipynb is not what"),
    "solution edited": (SOLUTION, "Four small", "Five small", "solutions/01_arithmetic/arithmetic.ipynb is not what"),
    "source edited": (SOURCE, "Four small", "Five small", "release/01_arithmetic/arithmetic.ipynb is not what"),
    "readme edited": ("README.md", "1 finished", "2 finished", "README.md's catalogue or numbers"),
    "page edited": ("docs/where-to-start.html", "Ten questions", "Nine questions", "where-to-start.html is not what"),
    "course.yml edited": ("course.yml", "seconds: 1,", "seconds: 9,", "README.md's catalogue or numbers"),
    "not executed": (SOLUTION, '"execution_count": 1', '"execution_count": null', "not executed to its end"),
}


@pytest.mark.parametrize(("file", "old", "new", "message"), DRIFT.values(), ids=DRIFT.keys())
def test_drift_is_found(course: Path, file: str, old: str, new: str, message: str) -> None:
    edit(course / file, old, new)
    with pytest.raises(CourseError, match=message):
        checks.drift(course, None, quiet)


def test_a_missing_release_is_found(course: Path) -> None:
    (course / RELEASE).unlink()
    with pytest.raises(CourseError, match=r"arithmetic\.ipynb is missing"):
        checks.drift(course, None, quiet)


def test_a_release_of_no_lab_is_found(course: Path) -> None:
    shutil.copyfile(course / RELEASE, course / "release/01_arithmetic/algebra.ipynb")
    with pytest.raises(CourseError, match=r"algebra\.ipynb has no finished lab"):
        checks.drift(course, None, quiet)


def test_a_solution_that_shows_the_machine_is_found(course: Path) -> None:
    edit(course / SOLUTION, "Four small", f"Four small {course}")
    with pytest.raises(CourseError, match="shows a path of the machine"):
        checks.drift(course, None, quiet)


def test_a_solution_notebook_that_fails_is_found(course: Path) -> None:
    edit(course / SOURCE, "return max(xs)", "return min(xs)")
    with pytest.raises(CourseError, match=r"01_arithmetic/arithmetic:(.|\n)*is it the maximum"):
        checks.notebooks(course, None, quiet)


def test_a_hidden_test_that_a_whole_notebook_fails_is_found(course: Path) -> None:
    edit(course / SOURCE, "clip(0.25)] == [0.0, 0.25]", "clip(0.25)] == [0.0, 0.5]")
    with pytest.raises(CourseError, match=r"a secret: clip\(-3\.0\)"):
        checks.notebooks(course, None, quiet)


def test_a_test_that_always_passes_is_found(course: Path) -> None:
    edit(course / SOURCE, "assert add(2, 3) == 5,", "assert True or add(2, 3) == 5,")
    with pytest.raises(CourseError, match="the blank release, add: add-example earns 1 of 1"):
        checks.grades(course, None, quiet)


def test_a_test_that_the_solution_fails_is_found(course: Path) -> None:
    edit(course / SOURCE, 'str(clip(2.0)) == "1.0",', 'str(clip(2.0)) == "3.0",')
    with pytest.raises(CourseError, match="the solution, clip: clip-example earns 0 of 1"):
        checks.grades(course, None, quiet)


def test_no_finished_lab_is_an_error(course: Path) -> None:
    text = (course / "course.yml").read_text(encoding="utf-8")
    head, _, tail = text.partition("    cost:")
    tail = tail[tail.index("  - {name: algebra") :]
    (course / "course.yml").write_text(head.replace("finished", "planned") + tail, encoding="utf-8")
    for step in (checks.drift, checks.notebooks, checks.grades):
        with pytest.raises(CourseError, match="nothing was checked"):
            step(course, None, quiet)


def test_one_failing_step_fails_the_whole_and_the_others_still_run(
    course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def fails(root: Path, jobs: int | None, say: checks.Say) -> None:
        raise CourseError("planted", "mend it")

    monkeypatch.setattr(checks, "STEPS", {"a": fails, "b": lambda root, jobs, say: ran.append("b")})
    with pytest.raises(CourseError, match="failed: a"):
        checks.run_checks(course, [], None, quiet)
    assert ran == ["b"]
    with pytest.raises(CourseError, match="no step colour"):
        checks.run_checks(course, ["colour"], None, quiet)
