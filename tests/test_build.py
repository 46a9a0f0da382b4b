"""The build: deterministic, only what changed, nothing lost, and no bad source gets through."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from llmlabs.build.builder import build
from llmlabs.errors import CourseError

SOURCE = "source/01_arithmetic/arithmetic.py"
RELEASE = "release/01_arithmetic/arithmetic.ipynb"
SOLUTION = "solutions/01_arithmetic/arithmetic.ipynb"


def quiet(line: str) -> None:
    """Take a line of progress and drop it."""


def edit(root: Path, old: str, new: str, file: str = SOURCE) -> None:
    path = root / file
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {file}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_release_hides_solutions_and_hidden_tests(built_mini: Path) -> None:
    text = (built_mini / RELEASE).read_text(encoding="utf-8")
    assert "raise NotImplementedError()" in text
    assert "a + b" not in text
    assert "secret" not in text
    assert "BEGIN" not in text
    # nbgrader would copy the percent source, solutions and all
    assert [path.name for path in (built_mini / "release").rglob("*") if path.is_file()] == ["arithmetic.ipynb"]


def test_solution_is_executed_and_has_no_hidden_tests(mini: Path) -> None:
    [execution] = build(mini, say=quiet)
    text = (mini / SOLUTION).read_text(encoding="utf-8")
    assert "a + b" in text
    assert "secret" not in text
    assert "BEGIN" not in text
    notebook = nbformat.read(mini / SOLUTION, as_version=4)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert "papermill" not in notebook.metadata
    assert execution.peak_memory_mb > 0


def test_a_second_build_changes_no_byte(mini: Path) -> None:
    build(mini, solutions=False, say=quiet)
    before = (mini / RELEASE).read_bytes()
    said: list[str] = []
    build(mini, solutions=False, everything=True, say=said.append)
    assert (mini / RELEASE).read_bytes() == before
    assert said == [f"{RELEASE} unchanged"]


def test_only_what_changed_is_built(mini: Path) -> None:
    build(mini, solutions=False, say=quiet)
    said: list[str] = []
    build(mini, solutions=False, say=said.append)
    assert said == ["1 of 1 finished labs unchanged since their last build"]
    edit(mini, "Four small functions", "Four tiny functions")
    said.clear()
    build(mini, solutions=False, say=said.append)
    assert said == [f"{RELEASE} written"]


def test_scale_reaches_the_parameters_cell(mini: Path) -> None:
    edit(mini, "import math\n", "import math\n\nprint(f'scale is {SCALE}')\n")
    build(mini, scale="gpu", say=quiet)
    assert "scale is gpu" in (mini / SOLUTION).read_text(encoding="utf-8")


def test_the_line_under_the_title_comes_from_course_yml(built_mini: Path) -> None:
    line = nbformat.read(built_mini / RELEASE, as_version=4).cells[1].source
    assert line.startswith("**Time:** 10 minutes · **Difficulty:** Beginner")


def test_edits_of_the_paired_notebook_are_not_overwritten(mini: Path) -> None:
    build(mini, solutions=False, say=quiet)
    paired = mini / "source/01_arithmetic/arithmetic.ipynb"
    edit(mini, "a + b", "b + a", file="source/01_arithmetic/arithmetic.ipynb")
    edit(mini, "max(xs)", "sorted(xs)[-1]")
    with pytest.raises(CourseError, match="holds edits"):
        build(mini, solutions=False, say=quiet)
    assert "b + a" in paired.read_text(encoding="utf-8")


def test_a_solution_that_does_not_run_is_not_written(mini: Path) -> None:
    edit(mini, "return a + b", "return a - b")
    with pytest.raises(
        CourseError, match=r"solutions/01_arithmetic/arithmetic.ipynb was not written(.|\n)*is it a sum"
    ):
        build(mini, say=quiet)
    assert not (mini / SOLUTION).exists()


ADD = 'assert add(2, 3) == 5, f"add(2, 3) should be 5, got {add(2, 3)}'
DEFECTS = [
    ('"grade_id": "double"', '"grade_id": "add"', "'add' is used already"),
    ('"points": 5', '"points": 4', "the points do not add up with course.yml: add: source 5, course.yml 6"),
    ("    ### BEGIN SOLUTION\n    return a + b\n    ### END SOLUTION\n", "    return a + b\n", "without markers"),
    ("    ### END SOLUTION\n", "", "unbalanced markers"),
    ("### END HIDDEN TESTS\n", "", "unbalanced markers"),
    ("import math\n", "import math\n\n### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS\n", "does not treat so"),
    ("assert add(2, 3) == 5", "add(2, 3) == 5", "without an assertion"),
    ('assert add(2, 3) == 5, f"', 'def test_add() -> None:\n    assert add(2, 3) == 5, f"', "without an assertion"),
    ('"task": false}', '"task": false, "colour": "red"}', "missing or unknown keys: colour"),
    ('tags=["parameters"]', 'tags=["parameters", "secret"]', "unknown tags: secret"),
    (
        '# %% tags=["parameters"]',
        '# %% jupyter={"source_hidden": true} tags=["parameters"]',
        "unknown cell metadata: jupyter",
    ),
    ('# %% tags=["parameters"]', "# %%", "one cell tagged parameters"),
    ("# # Arithmetic\n", "# Arithmetic\n", "not a title"),
    ('"locked": true, "points": 1', '"locked": false, "points": 1', "not locked"),
    (
        f'{ADD}: is it a sum?"',
        "def check():\n    assert add(1, 1) == 2\n\n\nassert add(2, 3) == 5",
        "check(), which asserts",
    ),
    (f'{ADD}: is it a sum?"', "assert add(2, 3) == 5, add(1, 1) == 2", "an assertion is a condition"),
    (f'{ADD}: is it a sum?"', "assert (add(2, 3) == 5, 'a sum')", "assertion of a tuple"),
    ("assert add(2, 3) == 5", "assert add(2, 3) == add(2, 3)", "the student's value with itself"),
    ("assert add(2, 3) == 5", "due = add(2, 3)\nassert add(2, 3) == due", "the student's value with itself"),
    ("assert add(2, 3) == 5", "assert add(2, 3) == add(1, 3) + 1", "every assertion compares the student's"),
    ("assert double([1, 2]) == [2, 4]", "assert len(double([1, 2])) == 2", "points for shapes and types alone"),
    ("Add two numbers: a and b.", "Add two numbers.", "no docstring mentions a, b of add()"),
    ('    """Add two numbers: a and b."""\n', "    # of a and b\n", "add() has no docstring"),
    ("assert add(2, 3) == 5", "assert add(2, three) == 5", "it needs three, which no cell above it defines"),
]


@pytest.mark.parametrize(("old", "new", "message"), DEFECTS, ids=[message for _, _, message in DEFECTS])
def test_a_bad_source_stops_the_build(mini: Path, old: str, new: str, message: str) -> None:
    edit(mini, old, new)
    with pytest.raises(CourseError, match=re.escape(message)) as caught:
        build(mini, say=quiet)
    assert "source/01_arithmetic/arithmetic.py" in str(caught.value)
    assert not (mini / "release").exists(), "a build that stops must leave nothing behind"


def test_a_source_that_is_missing_is_named(mini: Path) -> None:
    (mini / SOURCE).unlink()
    with pytest.raises(CourseError, match=r"arithmetic\.py is missing"):
        build(mini, say=quiet)
