"""Grading one's own notebook with the hidden tests, by the engine that grades students."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.utils import determine_grade

from llmlabs import catalogue
from llmlabs.build.builder import Source, read_sources
from llmlabs.errors import CourseError
from llmlabs.grade.rebuild import UnreadableSubmissionError, parse_submission, read_bytes, rebuild
from llmlabs.learn.work import Diary, Event, write_event
from llmlabs.notebook import BEGIN_HIDDEN, END_HIDDEN, errors_of, grade_id, graded_cells_by_exercise, is_test, points

UNANSWERED = "NotImplementedError"
CRASHED = "your code raised"  # how the engine begins what an error in the student's code says


@dataclass(frozen=True)
class ExerciseResult:
    """How one exercise went.

    Attributes:
        exercise, title: which.
        earned, possible: points.
        failed: the test cell that failed first; "" if none did.
        message: what that test said.
        advice: what to do next; "" if nothing is left to do.
    """

    exercise: str
    title: str
    earned: float
    possible: float
    failed: str = ""
    message: str = ""
    advice: str = ""

    @property
    def solved(self) -> bool:
        return self.earned >= self.possible


@dataclass(frozen=True)
class Checked:
    """How a notebook went: its lab as section/lab, a result per exercise, and what had to be said of the file."""

    lab: str
    exercises: list[ExerciseResult]
    notes: list[str]

    @property
    def earned(self) -> float:
        return sum(result.earned for result in self.exercises)

    @property
    def possible(self) -> float:
        return sum(result.possible for result in self.exercises)


def check_notebook(root: Path, path: Path) -> Checked:
    """Grade a learner's notebook and note the result in work/progress.json.

    On Linux the notebook runs in the sandbox where there can be one; on Windows, where the engine does not run, the
    tests run in the notebook's own kernel, as nbgrader would.

    Raises:
        CourseError: if the file is no notebook of the course.
    """
    if not path.is_file():
        raise CourseError(
            f"There is no file {path}.", "llmlabs start SECTION says where it put your notebooks: in work/."
        )
    try:
        submitted = parse_submission(read_bytes(path))
    except UnreadableSubmissionError as error:
        raise CourseError(f"{path} could not be read: {error}", "Save the notebook again, or start anew.") from error
    source = lab_of(root, submitted, path)
    executed, notes = _run(submitted, source)
    ran = {grade_id(cell): cell for cell in executed.cells if grade_id(cell)}
    earned = {name: float(determine_grade(cell)[0] or 0.0) for name, cell in ran.items() if is_test(cell)}
    exercises = graded_cells_by_exercise(source.notebook)
    totals = {name: sum(earned[grade_id(cell)] for cell in cells) for name, cells in exercises.items()}
    diary = write_event(root, Event(time=datetime.now(UTC), lab=source.name, points=totals))
    titles = {exercise.grade_id: exercise.title for exercise in source.lab.exercises}
    results = [
        _result(source, name, titles.get(name, name), cells, ran, totals[name], diary)
        for name, cells in exercises.items()
    ]
    return Checked(source.name, results, notes)


def lab_of(root: Path, submitted: NotebookNode, path: Path) -> Source:
    """The lab that a notebook belongs to: the one with most of its grade_ids.

    Raises:
        CourseError: if it has no exercise of the course.
    """
    theirs = {grade_id(cell) for cell in submitted.cells if grade_id(cell)}
    sources = read_sources(root, catalogue.load(root))
    shared = {s.name: len(theirs & {grade_id(cell) for cell in s.notebook.cells}) for s in sources}
    best = max(sources, key=lambda source: shared[source.name], default=None)
    if best is None or not shared[best.name]:
        raise CourseError(
            f"{path} has no exercise of this course.", "Start a lab with: llmlabs start 01, and check what it copied."
        )
    return best


def check(path: str = "") -> None:
    """Check the notebook of this cell, or the one at `path`, and show the result: for a cell in JupyterLab.

    What counts is what was saved, so save the notebook first.

    Raises:
        CourseError: if the notebook of this cell is not known, or no notebook of the course.
    """
    from IPython.display import HTML, display

    from llmlabs.learn.pages import check_table

    found = path or os.environ.get("JPY_SESSION_NAME", "")
    if not found:
        raise CourseError("Which notebook is this? Jupyter does not say.", 'Name it: check("work/.../lab.ipynb")')
    notebook = Path(found).resolve()
    display(HTML(check_table(check_notebook(catalogue.find_root(notebook.parent), notebook))))


def _run(submitted: NotebookNode, source: Source) -> tuple[NotebookNode, list[str]]:
    rebuilt = rebuild(submitted, source.notebook)
    if sys.platform == "win32":
        from llmlabs.verify.verify import run_in_plain_kernel

        run_in_plain_kernel(rebuilt.notebook)
        for cell in rebuilt.notebook.cells:
            # nbgrader takes anything on stderr for a failure
            if is_test(cell):
                cell.outputs = [output for output in cell.outputs if output.output_type != "stream"]
        return rebuilt.notebook, rebuilt.notes
    from llmlabs.grade.execute import Settings, execute, sandbox_available

    run = execute(rebuilt.notebook, Settings(sandbox=sandbox_available()))
    return run.notebook, rebuilt.notes + ([f"the run ended early, {run.ended}"] if run.ended else [])


def _result(
    source: Source,
    name: str,
    title: str,
    cells: list[NotebookNode],
    ran: dict[str, NotebookNode],
    earned: float,
    diary: Diary,
) -> ExerciseResult:
    possible = sum(map(points, cells))
    for cell in cells:
        if error := next(iter(errors_of(ran[grade_id(cell)])), None):
            failures = diary.failed_checks(source.name, name, possible)
            message, advice = _message(error), _advice(source, name, title, cell, error, failures)
            # what stopped the answer itself says more than a test that does not find it
            if (stopped := next(iter(errors_of(ran[name])), None)) and stopped.ename != UNANSWERED:
                message = f"your cell {name} stopped with {stopped.ename}: {stopped.evalue}"
                advice = f"Run the cell {name} in your notebook, and mend what it complains about."
            return ExerciseResult(name, title, earned, possible, grade_id(cell), message, advice)
    return ExerciseResult(name, title, earned, possible)


def _message(error: NotebookNode) -> str:
    if error.ename == UNANSWERED:
        return "not solved yet"
    text = _without_colour("\n".join(error.traceback) or f"{error.ename}: {error.evalue}")
    return text.removeprefix("AssertionError: ").strip()


def _advice(source: Source, name: str, title: str, cell: NotebookNode, error: NotebookNode, failures: int) -> str:
    """What to do next: more with every check that fails, hints first, the solution last."""
    if error.ename == UNANSWERED:
        return f"Read section {title!r}, then write your code in the cell {name}, and run the cell below it."
    visible = re.sub(f"{BEGIN_HIDDEN}.*?{END_HIDDEN}", "", cell.source, flags=re.DOTALL)
    if "assert" in re.sub(r"(?m)^\s*#.*$", "", visible):
        first = f"Run the cell {grade_id(cell)} in your notebook and follow the example by hand."
        if BEGIN_HIDDEN in cell.source:
            first += " If it passes there, your code fails with other values, which the message shows."
    elif CRASHED in error.evalue:
        first = (
            "Your code stopped at that line: call it in a cell of your own, with the docstring's example or a like one."
        )
    else:
        first = "This test is hidden: find the sentence of the docstring that the message is about."
    if failures <= 1:
        return first
    hints = _hints(source.notebook, name)
    if failures - 1 <= hints:
        return f"{first} Then open hint {failures - 1} of {hints}."
    return f"{first} All hints read? Compare your cell {name} with that in solutions/{source.name}.ipynb."


def _hints(notebook: NotebookNode, exercise: str) -> int:
    """How many hints the text around an exercise's solution cell has."""
    found = [cell for cell in notebook.cells if cell.cell_type == "markdown" or grade_id(cell) == exercise]
    at = next(index for index, cell in enumerate(found) if grade_id(cell) == exercise)
    around = [cell.source for cell in found[max(at - 1, 0) : at + 2] if cell.cell_type == "markdown"]
    counts = [text.count("<summary>Hint") for text in around]
    # hints stand right above the exercise, or right below; the next exercise's text follows later
    return counts[0] or counts[-1] if counts else 0


def _without_colour(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
