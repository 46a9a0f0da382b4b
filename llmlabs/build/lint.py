"""The habits of a source that let bad graders through, found before anything is built."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from llmlabs.build.lint_graders import lint_graders
from llmlabs.catalogue import Lab
from llmlabs.notebook import (
    BEGIN_HIDDEN,
    BEGIN_SOLUTION,
    END_HIDDEN,
    END_SOLUTION,
    grade_id,
    graded_cells_by_exercise,
    is_solution,
    is_test,
    nbgrader_metadata,
    points,
)

MAX_CODE_LINES = 600
_NBGRADER_KEYS = {"grade", "grade_id", "locked", "points", "schema_version", "solution", "task"}
_CELL_KEYS = {"nbgrader", "tags"}
_TAGS = {"parameters", "gpu", "lab-line"}


@dataclass(frozen=True)
class Problem:
    """One fault of a source: where it is, what it is, and how to mend it."""

    path: Path
    cell: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.path}, {self.cell}: {self.what}\n  {self.mend}"


def lint(notebook: NotebookNode, path: Path, lab: Lab, grade_ids: dict[str, Path]) -> list[Problem]:
    """All problems of one source.

    Args:
        notebook: the source as read by `read_source`.
        path: its file, for the messages.
        lab: its entry in course.yml.
        grade_ids: every grade_id met so far in the course and its file; this lab's are added.
    """
    problems: list[Problem] = []
    for number, cell in enumerate(notebook.cells, start=1):
        name = grade_id(cell)
        place = f"cell {number}" + (f" ({name})" if name else "")
        problems += [Problem(path, place, what, mend) for what, mend in _cell_faults(cell)]
        if name in grade_ids:
            problems.append(
                Problem(
                    path, place, f"grade_id {name!r} is used already, in {grade_ids[name]}", "Give this cell its own."
                )
            )
        elif name:
            grade_ids[name] = path
    problems += [Problem(path, name, what, mend) for name, what, mend in lint_graders(notebook)]
    problems += [Problem(path, "the whole file", what, mend) for what, mend in _lab_faults(notebook, path, lab)]
    return problems


def _cell_faults(cell: NotebookNode) -> Iterator[tuple[str, str]]:
    """What is wrong with one cell, as (what, mend)."""
    if unknown := sorted(set(cell.metadata) - _CELL_KEYS):
        yield (
            f"unknown cell metadata: {', '.join(unknown)}",
            f"A cell header may hold {' and '.join(sorted(_CELL_KEYS))}; check the spelling.",
        )
    if unknown := sorted(set(cell.metadata.get("tags", [])) - _TAGS):
        yield f"unknown tags: {', '.join(unknown)}", f"Known tags: {', '.join(sorted(_TAGS))}."
    nbgrader = nbgrader_metadata(cell)
    if "nbgrader" in cell.metadata and (wrong := sorted(set(nbgrader) ^ _NBGRADER_KEYS)):
        keys = ", ".join(sorted(_NBGRADER_KEYS))
        yield f"nbgrader metadata has missing or unknown keys: {', '.join(wrong)}", f"It holds exactly {keys}."
    yield from _marker_faults(cell, BEGIN_SOLUTION, END_SOLUTION, allowed=is_solution(cell), needs="solution: true")
    yield from _marker_faults(cell, BEGIN_HIDDEN, END_HIDDEN, allowed=is_test(cell), needs="grade: true")
    if is_solution(cell) and cell.cell_type == "code" and BEGIN_SOLUTION not in cell.source:
        yield (
            "a solution cell without markers would be released with its solution",
            f"Put {BEGIN_SOLUTION} and {END_SOLUTION} around it.",
        )
    if is_test(cell):
        if not nbgrader.get("locked"):
            yield "a test cell that is not locked", 'Set "locked": true.'
        if not _executes_assertion(cell.source):
            yield (
                "a graded cell without an assertion gives its points to anyone",
                "Assert something at the top level of the cell.",
            )


def _marker_faults(cell: NotebookNode, begin: str, end: str, *, allowed: bool, needs: str) -> Iterator[tuple[str, str]]:
    lines = [line.strip() for line in cell.source.split("\n") if line.strip() in (begin, end)]
    if lines and not allowed:
        yield (
            f"{lines[0]} in a cell that nbgrader does not treat so",
            f"Set {needs} in the cell's nbgrader metadata, or remove the markers.",
        )
    if lines != [begin, end] * (len(lines) // 2):
        yield f"unbalanced markers: {', '.join(lines)}", f"Every {begin} needs its {end} before the next begins."


def _executes_assertion(source: str) -> bool:
    """Whether running the cell runs an assertion: an assert or a call of numpy.testing's functions, outside of defs."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return False
    stack: list[ast.AST] = list(tree.body)
    # a test may put its assertions into a function of its own, or a partial, if it calls that
    functions = {node.name: node.body for node in tree.body if isinstance(node, ast.FunctionDef)}
    aliases = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and "assert_" in ast.unparse(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called.startswith("assert_") or called in aliases:
                return True
            stack += functions.pop(called, [])
        stack += ast.iter_child_nodes(node)
    return False


def _lab_faults(notebook: NotebookNode, path: Path, lab: Lab) -> Iterator[tuple[str, str]]:
    """What is wrong with the lab as a whole, as (what, mend)."""
    cells = notebook.cells
    first = cells[0]
    if first.cell_type != "markdown" or not first.source.startswith("# "):
        yield (
            "the first cell is not a title",
            "Begin with a markdown cell: a line '# Title', then what the learner will have built.",
        )
    if sum("parameters" in cell.metadata.get("tags", []) for cell in cells) != 1:
        yield "there must be one cell tagged parameters", 'Put SCALE = "cpu" into a cell with tags=["parameters"].'
    if not any(is_test(cell) for cell in cells):
        yield "there is no test cell", "A lab has four to eight exercises, each with its test cells."
    code = sum(bool(line.strip()) for cell in cells if cell.cell_type == "code" for line in cell.source.split("\n"))
    if code > MAX_CODE_LINES:
        yield (
            f"{code} lines of code, over {MAX_CODE_LINES}",
            "Shorten it, or move what is not taught here into llmlabs/lab.",
        )
    scored = {name: sum(map(points, graded)) for name, graded in graded_cells_by_exercise(notebook).items()}
    listed = {exercise.grade_id: exercise.points for exercise in lab.exercises}
    if scored != listed:
        differing = sorted(name for name in scored.keys() | listed.keys() if scored.get(name) != listed.get(name))
        detail = "; ".join(
            f"{name}: source {scored.get(name, 0):g}, course.yml {listed.get(name, 0):g}" for name in differing
        )
        yield (
            f"the points do not add up with course.yml: {detail}",
            "A test cell's points count for the solution cell above it; mend one of the two.",
        )
