"""What a student reads first on the feedback page: each exercise's points and, for each failed test, what was wrong."""

from __future__ import annotations

import html
import re

import nbformat
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket
from nbconvert.exporters import HTMLExporter
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from llmlabs.notebook import errors_of, grade_id, graded_cells_by_exercise, points


class _CompiledTemplates(BytecodeCache):
    """Compiled templates, kept for the life of the process."""

    def __init__(self) -> None:
        self.compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if found := self.compiled.get(bucket.key):
            bucket.bytecode_from_string(found)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.compiled[bucket.key] = bucket.bytecode_to_string()


_TEMPLATES = _CompiledTemplates()


class FeedbackExporter(HTMLExporter):
    """nbgrader's exporter of feedback, which compiles its templates once and not again for every student."""

    def _create_environment(self) -> Environment:
        environment = super()._create_environment()
        environment.bytecode_cache = _TEMPLATES
        return environment


class SummarizeExercises(NbGraderPreprocessor):
    """Put a cell with a table of the exercises and the messages of the failed tests on top of the notebook.

    Runs after GetGrades, which writes each cell's score into its metadata.
    """

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        titles = _titles(nb)
        rows, failures = ["| exercise | points |", "| :--- | :--- |"], []
        for exercise, cells in graded_cells_by_exercise(nb).items():
            earned = sum(float(cell.metadata.nbgrader.get("score") or 0) for cell in cells)
            title = titles.get(exercise, exercise)
            rows.append(f"| [{title}](#{grade_id(cells[0])}) | {earned:g} of {sum(map(points, cells)):g} |")
            for cell in cells:
                failures += [_failure(title, cell, output) for output in errors_of(cell)]
        text = "\n".join(["## Your points", "", *rows])
        if failures:
            text += "\n\n## What to look at\n\n" + "\n\n".join(failures)
        nb.cells.insert(0, nbformat.v4.new_markdown_cell(text, id="summary-of-exercises"))
        return nb, resources


def _titles(notebook: NotebookNode) -> dict[str, str]:
    """The nearest heading above each cell that has a grade_id, without the signs that would break a table."""
    titles, title = {}, ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := re.findall(r"^#+ +(.+)$", cell.source, flags=re.MULTILINE)):
            title = re.sub(r"[|\[\]]", "", found[-1])
        if grade_id(cell) and title:
            titles[grade_id(cell)] = title
    return titles


def _failure(title: str, cell: NotebookNode, error: NotebookNode) -> str:
    """One failed test; its message is escaped, for it may hold anything that the student's code returned."""
    message = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback) or f"{error.ename}: {error.evalue}")
    message = html.escape(message.removeprefix("AssertionError: ").strip())
    name = f"[{grade_id(cell)}](#{grade_id(cell)})"
    return (
        f"**{title}**, test {name} ({points(cell):g} points):\n\n<pre style='white-space: pre-wrap'>\n{message}\n</pre>"
    )
