"""Making submissions whose right grade is known: release notebooks with some answers put in."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

from nbformat import NotebookNode

from llmlabs.notebook import BEGIN_SOLUTION, END_SOLUTION, grade_id, graded_cells_by_exercise, is_solution


def answered(release: NotebookNode, answers: Mapping[str, str]) -> NotebookNode:
    """A copy of a release notebook with the given solution cells' text, by grade_id."""
    notebook = copy.deepcopy(release)
    for cell in notebook.cells:
        if is_solution(cell) and grade_id(cell) in answers:
            cell.source = answers[grade_id(cell)]
    return notebook


def solutions(source: NotebookNode, exercises: Iterable[str] | None = None) -> dict[str, str]:
    """The text of the source's solution cells, by grade_id; of some exercises only, if they are named.

    An exercise of several solution cells is named by its last one, the one above its tests.
    """
    wanted = set(exercises) if exercises is not None else None
    graded = graded_cells_by_exercise(source)
    found: dict[str, str] = {}
    run: dict[str, str] = {}
    for cell in source.cells:
        if not is_solution(cell):
            continue
        lines = [line for line in cell.source.split("\n") if line.strip() not in (BEGIN_SOLUTION, END_SOLUTION)]
        run[grade_id(cell)] = "\n".join(lines)
        if grade_id(cell) in graded:
            if wanted is None or grade_id(cell) in wanted:
                found |= run
            run = {}
    return found
