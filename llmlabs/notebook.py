"""What the cells of a lab's notebook are: exercises, tests, locked cells."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from nbformat import NotebookNode

BEGIN_SOLUTION, END_SOLUTION = "### BEGIN SOLUTION", "### END SOLUTION"
BEGIN_HIDDEN, END_HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"


def nbgrader_metadata(cell: NotebookNode) -> dict[str, Any]:
    """The cell's nbgrader metadata; empty if it has none, or in a stranger's file something else in its place."""
    found = cell.get("metadata", {}).get("nbgrader")
    return found if isinstance(found, dict) else {}


def grade_id(cell: NotebookNode) -> str:
    return str(nbgrader_metadata(cell).get("grade_id") or "")


def is_test(cell: NotebookNode) -> bool:
    """Whether the cell is one that is scored by running it."""
    nbgrader = nbgrader_metadata(cell)
    return cell.cell_type == "code" and bool(nbgrader.get("grade")) and not nbgrader.get("solution")


def is_solution(cell: NotebookNode) -> bool:
    """Whether the learner writes in the cell."""
    return bool(nbgrader_metadata(cell).get("solution"))


def is_locked(cell: NotebookNode) -> bool:
    """Whether the cell's text is the course's and not the learner's."""
    nbgrader = nbgrader_metadata(cell)
    return bool(nbgrader) and not is_solution(cell) and bool(nbgrader.get("locked") or nbgrader.get("grade"))


def points(cell: NotebookNode) -> float:
    """The most points that the cell can earn."""
    nbgrader = nbgrader_metadata(cell)
    return float(nbgrader.get("points") or 0) if nbgrader.get("grade") else 0.0


def graded_cells_by_exercise(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    """The graded cells of each exercise, by the grade_id of the exercise, in the notebook's order.

    A test cell belongs to the nearest solution cell above it; a written answer is its own exercise.
    """
    exercises: dict[str, list[NotebookNode]] = {}
    exercise = ""
    for cell in notebook.cells:
        if is_solution(cell):
            exercise = grade_id(cell)
        if points(cell):
            exercises.setdefault(exercise, []).append(cell)
    return exercises


def errors_of(cell: NotebookNode) -> list[NotebookNode]:
    """The error outputs of a cell that was run."""
    return [output for output in cell.get("outputs", []) if output.output_type == "error"]


def locked_imports(notebook: NotebookNode) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements at the top level of the locked cells that are not graded."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and is_locked(cell) and not is_test(cell):
            yield from (node for node in ast.parse(cell.source).body if isinstance(node, ast.Import | ast.ImportFrom))
