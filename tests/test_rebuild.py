"""A submission is rebuilt from the source: what was done to its cells and metadata decides nothing."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from llmlabs.grade.rebuild import UnreadableSubmissionError, find_notebooks, parse_submission, read_bytes, rebuild
from llmlabs.notebook import grade_id, is_test
from llmlabs.verify.submissions import answered, solutions

NAME = "01_arithmetic/arithmetic.ipynb"


@pytest.fixture
def source(built_mini: Path) -> NotebookNode:
    return nbformat.read(built_mini / "source" / NAME, as_version=4)


@pytest.fixture
def solved(built_mini: Path, source: NotebookNode) -> NotebookNode:
    return answered(nbformat.read(built_mini / "release" / NAME, as_version=4), solutions(source))


def cell(notebook: NotebookNode, name: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if grade_id(cell) == name)


def reread(notebook: NotebookNode, tmp_path: Path) -> NotebookNode:
    path = tmp_path / "submitted.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return parse_submission(read_bytes(path))


def test_an_honest_submission_needs_no_repair(solved: NotebookNode, source: NotebookNode, tmp_path: Path) -> None:
    rebuilt = rebuild(reread(solved, tmp_path), source)
    assert rebuilt.notes == []
    assert [cell.id for cell in rebuilt.notebook.cells] == [cell.id for cell in source.cells]
    assert "secret" in cell(rebuilt.notebook, "add-properties").source
    assert cell(rebuilt.notebook, "add").source == cell(solved, "add").source


def test_a_test_that_the_instructor_mended_is_nobodys_change(
    solved: NotebookNode, source: NotebookNode, tmp_path: Path
) -> None:
    mended = copy.deepcopy(source)
    cell(mended, "add-example").source = "assert add(2, 2) == 4"
    rebuilt = rebuild(reread(solved, tmp_path), mended)
    assert rebuilt.notes == ["the locked cell add-example is that of an earlier release: today's was run"]
    assert cell(rebuilt.notebook, "add-example").source == "assert add(2, 2) == 4"
    cell(solved, "add-example").source = "assert True"
    cell(solved, "double-example").metadata["nbgrader"] = {"grade_id": "double-example", "checksum": ["x"]}
    cell(solved, "double-example").source = "assert 1"
    assert rebuild(reread(solved, tmp_path), mended).notes == [
        "the locked cell add-example had been changed: restored",
        "the locked cell double-example had been changed: restored",
    ]


def edit_test(notebook: NotebookNode) -> None:
    cell(notebook, "add-example").source = "assert True"


def delete_test(notebook: NotebookNode) -> None:
    notebook.cells.remove(cell(notebook, "add-example"))


def duplicate_test(notebook: NotebookNode) -> None:
    twin = copy.deepcopy(cell(notebook, "add-example"))
    twin.id, twin.source = "twin", "pass"
    notebook.cells.append(twin)


def raise_points(notebook: NotebookNode) -> None:
    cell(notebook, "add-example").metadata.nbgrader.points = 1000


def untag_test(notebook: NotebookNode) -> None:
    cell(notebook, "add-example").metadata = {}


def tag_skip_execution(notebook: NotebookNode) -> None:
    cell(notebook, "add-example").metadata.tags = ["skip-execution"]


def swap_roles(notebook: NotebookNode) -> None:
    cell(notebook, "add-example").metadata.nbgrader |= {"solution": True, "grade": False, "locked": False}


def reverse_order(notebook: NotebookNode) -> None:
    notebook.cells.reverse()


def make_test_markdown(notebook: NotebookNode) -> None:
    cell(notebook, "add-example").cell_type = "markdown"


def nonsense_metadata(notebook: NotebookNode) -> None:
    cell(notebook, "add-example").metadata = {"nbgrader": 7, "tags": "x"}


@pytest.mark.parametrize(
    "tamper",
    [
        edit_test,
        delete_test,
        duplicate_test,
        raise_points,
        untag_test,
        tag_skip_execution,
        swap_roles,
        reverse_order,
        make_test_markdown,
        nonsense_metadata,
    ],
)
def test_tampering_changes_no_test(
    tamper: Callable[[NotebookNode], None], solved: NotebookNode, source: NotebookNode, tmp_path: Path
) -> None:
    tampered = copy.deepcopy(solved)
    tamper(tampered)
    rebuilt = rebuild(reread(tampered, tmp_path), source).notebook
    tests = [(cell.id, cell.source, cell.metadata) for cell in rebuilt.cells if is_test(cell)]
    assert tests == [(cell.id, cell.source, cell.metadata) for cell in source.cells if is_test(cell)]
    assert cell(rebuilt, "add").source == cell(solved, "add").source, "the answer itself must survive"
    nbformat.validate(rebuilt)


@pytest.mark.parametrize(
    ("tamper", "note"),
    [
        (edit_test, "the locked cell add-example had been changed: restored"),
        (delete_test, "add-example was missing: added back"),
        (duplicate_test, "a copy of the locked cell add-example was dropped"),
    ],
)
def test_what_was_repaired_is_said(
    tamper: Callable[[NotebookNode], None], note: str, solved: NotebookNode, source: NotebookNode
) -> None:
    tamper(solved)
    assert rebuild(solved, source).notes == [note]


def test_edited_text_is_the_course_s_again_without_a_note(solved: NotebookNode, source: NotebookNode) -> None:
    solved.cells[0].source = "# Mine <script>alert(1)</script>"
    rebuilt = rebuild(solved, source)
    assert rebuilt.notes == []
    assert rebuilt.notebook.cells[0].source == source.cells[0].source


def test_a_deleted_answer_counts_as_unanswered(solved: NotebookNode, source: NotebookNode) -> None:
    solved.cells.remove(cell(solved, "add"))
    rebuilt = rebuild(solved, source)
    assert rebuilt.notes == ["add was missing: added back, unanswered"]
    assert "a + b" not in cell(rebuilt.notebook, "add").source


def test_the_last_of_several_answers_counts_and_the_others_still_run(
    solved: NotebookNode, source: NotebookNode
) -> None:
    first = copy.deepcopy(cell(solved, "add"))
    first.id, first.source = "copy", "FIRST = 1"
    solved.cells.insert(solved.cells.index(cell(solved, "add")), first)
    rebuilt = rebuild(solved, source).notebook
    sources = [cell.source for cell in rebuilt.cells]
    assert "a + b" in cell(rebuilt, "add").source
    assert sources.count("FIRST = 1") == 1


def test_own_cells_stay_where_they_were(solved: NotebookNode, source: NotebookNode) -> None:
    own = nbformat.v4.new_code_cell("HELPER = 1")
    solved.cells.insert(solved.cells.index(cell(solved, "double")), own)
    rebuilt = rebuild(solved, source).notebook
    order = [cell.source for cell in rebuilt.cells]
    assert order.index("HELPER = 1") < order.index(cell(rebuilt, "double").source)
    assert order.index("HELPER = 1") > order.index(cell(rebuilt, "add-properties").source)


def test_another_scale_is_not_graded(solved: NotebookNode, source: NotebookNode) -> None:
    parameters = next(cell for cell in solved.cells if "SCALE" in cell.source)
    parameters.source = 'SCALE = "gpu"'
    assert 'SCALE = "cpu"' in [cell.source for cell in rebuild(solved, source).notebook.cells]


def test_an_old_format_is_converted(solved: NotebookNode, source: NotebookNode, tmp_path: Path) -> None:
    old = nbformat.convert(copy.deepcopy(solved), 3)
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps(old), encoding="utf-8")
    assert "a + b" in cell(rebuild(parse_submission(path.read_bytes()), source).notebook, "add").source


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_other_encodings_are_read(solved: NotebookNode, encoding: str, tmp_path: Path) -> None:
    cell(solved, "add").source = "return_value = 'Müller'"
    path = tmp_path / "encoded.ipynb"
    path.write_text(json.dumps(solved, ensure_ascii=False).replace("·", ""), encoding=encoding)
    assert "Müller" in cell(parse_submission(path.read_bytes()), "add").source


UNREADABLE = {
    "empty": (b"", "empty"),
    "letter": (b"Dear instructor", "no valid JSON"),
    "list": (b"[1, 2]", "without nbformat"),
    "no cells": (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "damaged"),
    "future": (b'{"nbformat": 99, "cells": []}', "damaged"),
    "deep": (b"[" * 200_000, "nested too deeply"),
    "cut off": (b'{"nbformat": 4, "cells": [{"cell_type": "co', "no valid JSON"),
}


@pytest.mark.parametrize(("raw", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_not_a_notebook_says_why(raw: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_bytes(raw)
    with pytest.raises(UnreadableSubmissionError, match=message):
        parse_submission(path.read_bytes())


def test_links_folders_and_giants_are_not_read(tmp_path: Path) -> None:
    link = tmp_path / "link.ipynb"
    link.symlink_to("/etc/passwd")
    folder = tmp_path / "folder.ipynb"
    folder.mkdir()
    giant = tmp_path / "giant.ipynb"
    with giant.open("wb") as file:
        file.truncate(30 * 2**20)
    messages = {"link": "ordinary", "folder": "ordinary", "giant": "30 MB"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.ipynb")
        messages["pipe"] = "ordinary"
    for name, message in messages.items():
        with pytest.raises(UnreadableSubmissionError, match=message):
            read_bytes(tmp_path / f"{name}.ipynb")


def test_a_renamed_notebook_is_found_by_its_cells(solved: NotebookNode, source: NotebookNode, tmp_path: Path) -> None:
    nbformat.write(solved, tmp_path / "arithmetic (1).ipynb")
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "scratch.ipynb")
    found, notes = find_notebooks(tmp_path, {"arithmetic": source})
    assert found == {"arithmetic": tmp_path / "arithmetic (1).ipynb"}
    assert notes == [
        "arithmetic (1).ipynb was taken as arithmetic.ipynb",
        "scratch.ipynb is not a lab of this section: ignored",
    ]
