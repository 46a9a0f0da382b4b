"""A submission as it is run: the instructor's cells, with the student's answers and extra cells put in.

Whatever was done to a notebook's metadata, tests and order, what is graded has the source's, so nothing that a student
can edit decides what a test is, what it is worth, or whether it runs.
"""

from __future__ import annotations

import copy
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import compute_checksum

from llmlabs.notebook import grade_id, is_locked, is_solution, is_test

MAX_BYTES = 20 * 2**20
NO_ANSWER = "# This cell was missing from the submission.\nraise NotImplementedError()"


class UnreadableSubmissionError(Exception):
    """The submitted file is not a notebook that can be read; the message says why."""


@dataclass
class Rebuilt:
    """The notebook to run and what had to be repaired, one sentence each."""

    notebook: NotebookNode
    notes: list[str] = field(default_factory=list)


def rebuild(submitted: NotebookNode, source: NotebookNode) -> Rebuilt:
    """Put the student's answers and extra cells into a copy of the source.

    All cells of the source come in the source's order, with its metadata and, where locked, its text. A cell is known
    by its grade_id, or by its cell id if that was lost. The student's own cells follow the cell that they followed.
    If an answer was given several times the last one counts, and the others stay as ordinary cells before it.

    Args:
        submitted: what `parse_submission` returned.
        source: the lab's notebook with solutions and hidden tests.
    """
    notes: list[str] = []
    by_grade_id = {grade_id(cell): index for index, cell in enumerate(source.cells) if grade_id(cell)}
    by_cell_id = {cell.id: index for index, cell in enumerate(source.cells)}
    answers: dict[int, NotebookNode] = {}
    extras: dict[int, list[NotebookNode]] = {}
    anchor, furthest = -1, -1
    for cell in submitted.cells:
        index = by_grade_id.get(grade_id(cell), by_cell_id.get(cell.get("id", "")))
        if index is None:
            extras.setdefault(anchor, []).append(_own_cell(cell))
            continue
        name = grade_id(source.cells[index]) or f"text cell {index + 1}"
        if index in answers and is_locked(source.cells[index]):
            notes.append(f"a copy of the locked cell {name} was dropped")
            continue
        if index in answers:
            notes.append(f"{name} was answered more than once: the last answer counts")
            extras.setdefault(anchor, []).append(_own_cell(answers[index]))
        elif index < furthest and grade_id(source.cells[index]):
            notes.append(f"{name} had been moved: put back in its place")
        answers[index] = cell
        anchor, furthest = index, max(furthest, index)

    rebuilt = copy.deepcopy(source)
    rebuilt.cells = list(extras.get(-1, []))
    for index, original in enumerate(source.cells):
        cell = copy.deepcopy(original)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        answer = answers.get(index)
        name = grade_id(original)
        if answer is None and name:
            notes.append(f"{name} was missing: added back" + (", unanswered" if is_solution(original) else ""))
        if is_solution(original) and cell.cell_type == "code":
            cell.source = answer.source if answer is not None else NO_ANSWER
        elif is_solution(original):
            cell.source = without_html(answer.source) if answer is not None else ""
        elif "parameters" in original.metadata.get("tags", []):
            pass  # a learner may run at another scale; grading is always at the course's own
        elif not name and answer is not None and cell.cell_type == "code":
            cell.source = answer.source
        elif name and answer is not None and _was_edited(answer, original):
            earlier = (
                "is that of an earlier release: today's was run" if _is_intact(answer) else "had been changed: restored"
            )
            notes.append(f"the locked cell {name} {earlier}")
        rebuilt.cells += [cell, *extras.get(index, [])]
    source_ids = by_cell_id.keys()
    for number, cell in enumerate(rebuilt.cells):
        if cell.id not in source_ids:
            cell.id = f"own-{number}"
    return Rebuilt(rebuilt, notes)


def blank(source: NotebookNode) -> NotebookNode:
    """A rebuilt notebook without any answer, for a submission that cannot be read or was not handed in."""
    return rebuild(nbformat.v4.new_notebook(), source).notebook


def read_bytes(path: Path) -> bytes:
    """The bytes of a submitted file.

    Raises:
        UnreadableSubmissionError: if it is a link, a folder, a pipe, or too large.
    """
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableSubmissionError("it is not an ordinary file")
        if status.st_size > MAX_BYTES:
            raise UnreadableSubmissionError(
                f"it has {status.st_size / 2**20:.0f} MB, more than {MAX_BYTES // 2**20} MB"
            )
        return path.read_bytes()
    except OSError as error:
        raise UnreadableSubmissionError(f"it cannot be opened: {error.strerror}") from error


def parse_submission(raw: bytes) -> NotebookNode:
    """A notebook from a stranger: any version of the format, any common encoding, nothing assumed of its fields.

    Raises:
        UnreadableSubmissionError: if it is not a notebook.
    """
    if not raw.strip():
        raise UnreadableSubmissionError("the file is empty")
    try:
        data = json.loads(_decode(raw))
    except json.JSONDecodeError as error:
        raise UnreadableSubmissionError(f"it is not a notebook: no valid JSON at line {error.lineno}") from error
    except ValueError as error:  # a number of thousands of digits
        raise UnreadableSubmissionError(f"it is not a notebook: {error}") from error
    except RecursionError as error:
        raise UnreadableSubmissionError("it is not a notebook: nested too deeply") from error
    if not isinstance(data, dict) or not isinstance(data.get("nbformat"), int):
        raise UnreadableSubmissionError("it is not a notebook: it is JSON without nbformat")
    try:
        notebook = nbformat.from_dict(data)
        if notebook.nbformat != 4:
            notebook = nbformat.convert(notebook, 4)
        cells = [_own_fields(cell) for cell in notebook.cells]
    except Exception as error:
        # nbformat's converters raise whatever the damage makes them raise
        raise UnreadableSubmissionError(
            f"it is a damaged notebook ({type(error).__name__}: {str(error)[:100]})"
        ) from error
    return nbformat.v4.new_notebook(cells=[cell for cell in cells if cell])


def find_notebooks(folder: Path, sources: dict[str, NotebookNode]) -> tuple[dict[str, Path], list[str]]:
    """Which file of a submission is which lab.

    A missing lab may be there under another name ("lab (1).ipynb"): then it is the only unclaimed notebook that holds
    most of the lab's grade_ids.

    Returns:
        The file of each lab that was handed in, and notes on files that were renamed or belong to no lab.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
    found = {name: files.pop(name) for name in sources if name in files}
    notes = []
    for name in sources.keys() - found.keys():
        wanted = {grade_id(cell) for cell in sources[name].cells} - {""}
        candidates = [path for path in files.values() if 2 * len(wanted & _grade_ids(path)) > len(wanted)]
        if len(candidates) == 1:
            found[name] = files.pop(candidates[0].stem)
            notes.append(f"{found[name].name} was taken as {name}.ipynb")
    notes += [f"{path.name} is not a lab of this section: ignored" for path in files.values()]
    return found, notes


def _grade_ids(path: Path) -> set[str]:
    try:
        return {grade_id(cell) for cell in parse_submission(read_bytes(path)).cells}
    except UnreadableSubmissionError:
        return set()


def _decode(raw: bytes) -> str:
    """The text of a file in UTF-8, UTF-16 with its mark, or Latin-1, which can hold any bytes."""
    encodings = ("utf-16",) if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "latin-1")
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UnreadableSubmissionError("it is not text in a known encoding")


def _own_fields(cell: Any) -> NotebookNode | None:
    """A cell with its type, text, id and nbgrader metadata, and nothing else of what a stranger may have put there."""
    if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
        return None
    text = cell.get("source", "")
    text = "".join(map(str, text)) if isinstance(text, Sequence) and not isinstance(text, str) else str(text)
    text = text.encode("utf-8", "replace").decode("utf-8")  # JSON may hold halves of characters
    make = nbformat.v4.new_code_cell if cell["cell_type"] == "code" else nbformat.v4.new_markdown_cell
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    own = make(text, metadata={"nbgrader": nbgrader} if isinstance(nbgrader, dict) else {})
    if isinstance(cell.get("id"), str):
        own.id = cell["id"]
    return own


def _own_cell(cell: NotebookNode) -> NotebookNode:
    """A cell of the student's, with none of the metadata that makes a cell count."""
    if cell.cell_type == "code":
        return nbformat.v4.new_code_cell(cell.source)
    return nbformat.v4.new_markdown_cell(without_html(cell.source))


def without_html(text: str) -> str:
    """Markdown in which tags show as text: scripts would run in the browser of whoever reads the graded copy."""
    return text.replace("<", "&lt;")


def _was_edited(answer: NotebookNode, original: NotebookNode) -> bool:
    """Whether a locked cell's text is not what the release had: the source's lines without the hidden ones."""
    return answer.source.strip() != _visible(original.source).strip()


def _is_intact(cell: NotebookNode) -> bool:
    """Whether nbgrader's checksum says that a cell is as it was released; whoever forges it only changes a note."""
    try:
        return bool(cell.metadata.nbgrader["checksum"] == compute_checksum(cell))
    except Exception:  # its metadata is a stranger's
        return False


def _visible(source: str) -> str:
    kept, hidden = [], False
    for line in source.split("\n"):
        if "BEGIN HIDDEN TESTS" in line:
            hidden = True
        if not hidden:
            kept.append(line)
        if "END HIDDEN TESTS" in line:
            hidden = False
    return "\n".join(kept)


def fail_tests(notebook: NotebookNode, name: str, text: str) -> None:
    """Put an error output into every test cell, in place, so that none of them earns anything."""
    for cell in notebook.cells:
        if is_test(cell):
            cell.outputs = [nbformat.v4.new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])]
