"""Does the grader of a lab grade rightly? Known submissions go through the engine that grades students."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import determine_grade

from llmlabs.build.builder import Source
from llmlabs.errors import CourseError
from llmlabs.grade.execute import execute
from llmlabs.grade.rebuild import rebuild
from llmlabs.notebook import grade_id, graded_cells_by_exercise, is_test
from llmlabs.verify.submissions import answered, solutions


def points_earned(submission: NotebookNode, source: NotebookNode) -> dict[str, float]:
    """Run one submission as a student's is run and return the points of each test cell, by grade_id."""
    notebook = rebuild(submission, source).notebook
    execute(notebook)
    return {grade_id(cell): determine_grade(cell)[0] for cell in notebook.cells if is_test(cell)}


def verify_lab(root: Path, source: Source, say: Callable[[str], None]) -> list[str]:
    """Grade the solution, the blank release and each exercise solved alone.

    Returns:
        What was graded wrongly, one line each.
    """
    path = root / "release" / f"{source.name}.ipynb"
    if not path.is_file():
        raise CourseError(f"{path.relative_to(root)} is missing.", "Run: llmlabs build")
    release = nbformat.read(path, as_version=4)
    exercises = graded_cells_by_exercise(source.notebook)
    full = {grade_id(cell): cell.metadata.nbgrader.points for cells in exercises.values() for cell in cells}
    cases = {"the solution": list(exercises), "the blank release": []}
    cases |= {f"{exercise} solved alone": [exercise] for exercise in exercises}
    problems = []
    for case, solved in cases.items():
        earned = points_earned(answered(release, solutions(source.notebook, solved)), source.notebook)
        due = {grade_id(cell) for exercise in solved for cell in exercises[exercise]}
        wrong = [name for name, most in full.items() if earned[name] != (most if name in due else 0)]
        problems += [f"{source.name}, {case}: {name} earns {earned[name]:g} of {full[name]}" for name in wrong]
        say(f"{source.name}: {case} earns {sum(earned.values()):g} of {sum(full.values())}")
    return problems
