"""Reading a lab's percent source as a notebook, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from llmlabs.catalogue import Lab, Section
from llmlabs.errors import CourseError
from llmlabs.notebook import grade_id

LAB_LINE = "lab-line"
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def source_path(root: Path, section: Section, lab: Lab) -> Path:
    return root / "source" / section.name / f"{lab.name}.py"


def read_source(path: Path, section: Section, lab: Lab) -> NotebookNode:
    """Read a percent source as a notebook whose cell ids and metadata depend on nothing but the source and course.yml.

    The line with the lab's time, difficulty, accelerator and topics is put in as the second cell, from course.yml.
    `metadata.llmlabs.source` is a hash of all this: equal hashes mean that nothing has to be built again.

    Raises:
        CourseError: if the file is missing or not a percent notebook.
    """
    if not path.is_file():
        raise CourseError(f"{path} is missing.", f"Write it, or set status: planned for {lab.name} in course.yml.")
    try:
        notebook = jupytext.read(path, fmt="py:percent")
    except Exception as error:
        raise CourseError(
            f"{path} cannot be read as a percent notebook: {error}", "Mend the cell header it names."
        ) from error
    # a source that was edited as a notebook brings the line of its last build along
    notebook.cells = [cell for cell in notebook.cells if LAB_LINE not in cell.metadata.get("tags", [])]
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(lab_line(section, lab), metadata={"tags": [LAB_LINE]}))
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        # left by jupytext: how many blank lines stood between the cells of the source
        for key in ("lines_to_next_cell", "lines_to_end_of_cell_marker"):
            cell.metadata.pop(key, None)
        cell.id = _cell_id(cell, seen)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata["llmlabs"] = {
        "lab": f"{section.name}/{lab.name}",
        "source": cells_hash(notebook),
    }
    nbformat.validate(notebook)
    return notebook


def cells_hash(notebook: NotebookNode) -> str:
    """A hash of what a person can edit in the cells: type, text, nbgrader metadata and tags, but no outputs."""
    cells = [
        (cell.cell_type, cell.source, cell.metadata.get("nbgrader"), cell.metadata.get("tags"))
        for cell in notebook.cells
    ]
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()[:16]


def lab_line(section: Section, lab: Lab) -> str:
    """The line under the title: what course.yml says of the lab."""
    accelerator = {"none": "not needed", "recommended": "a GPU helps", "required": "some cells need a GPU"}[
        lab.accelerator
    ]
    minutes = f"{lab.minutes} minutes" if lab.minutes < 120 else f"about {lab.minutes / 60:.1f} hours".replace(".0", "")
    return (
        f"**Time:** {minutes} · **Difficulty:** {section.difficulty} · **Accelerator:** {accelerator} · "
        f"**Points:** {lab.points} · **You need:** {section.prerequisites}\n\n**Topics:** {', '.join(lab.topics)}"
    )


def _cell_id(cell: NotebookNode, seen: dict[str, int]) -> str:
    """The grade_id where there is one, else a hash of the cell's type and text; a repeated one gets a number."""
    # nbformat allows 64 letters of this alphabet
    base = re.sub(r"[^a-zA-Z0-9_-]", "-", grade_id(cell))[:56] or (
        "c" + hashlib.sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:10]
    )
    seen[base] = count = seen.get(base, 0) + 1
    return base if count == 1 else f"{base}-{count}"


def write_notebook(notebook: NotebookNode, path: Path) -> bool:
    """Write a notebook unless the file holds the same bytes already; return whether it was written."""
    text = nbformat.writes(notebook) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(path)
    return True
