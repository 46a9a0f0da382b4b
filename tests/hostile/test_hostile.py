"""A class of hostile and honest students: all get what is due, none sees the tests, nothing stays or escapes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nbformat
import pytest

from llmlabs.grade.execute import Settings, execute
from llmlabs.grade.sandbox import SandboxUnavailable, available_layers
from llmlabs.notebook import grade_id
from llmlabs.verify.submissions import answered

from .cases import CASES, LAB, SECTION, Case
from .classroom import (
    LIMITS,
    PAGE_BYTES,
    SCRIPT,
    SEED,
    Classroom,
    grade_class,
    hidden_lines,
    honest,
    own_zygotes,
    text_of,
)

HONEST = {name: points for name, _, points in honest()}
BY_NAME = {case.name: case for case in CASES}

IN_CLASS = list(BY_NAME)


@pytest.fixture(scope="module")
def sandbox() -> None:
    if sys.platform != "linux":
        pytest.skip("no sandbox can exist here: it needs Linux")
    try:
        available_layers()
    except SandboxUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def room(sandbox: None, built_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    """The class, graded once."""
    root = tmp_path_factory.mktemp("hostile") / "mini"
    shutil.copytree(built_mini, root)
    return grade_class(root, CASES)


@pytest.fixture(scope="module")
def hidden(built_mini: Path) -> list[str]:
    return hidden_lines(nbformat.read(built_mini / "source" / SECTION / f"{LAB}.ipynb", as_version=4))


def test_there_are_enough_cases_with_names_of_their_own() -> None:
    assert len(BY_NAME) == len(CASES) >= 54
    assert not BY_NAME.keys() & HONEST.keys()


@pytest.mark.parametrize("name", IN_CLASS)
def test_a_hostile_submission_gets_what_is_due(room: Classroom, name: str) -> None:
    case: Case = BY_NAME[name]
    assert room.points(name) == case.points
    told = "; ".join(room.grade(name).notes) + room.page(name)
    assert case.says in told, "neither a note nor the feedback says what is to be said"


@pytest.mark.parametrize("name", IN_CLASS)
def test_it_sees_no_hidden_test_and_no_seed(room: Classroom, hidden: list[str], name: str) -> None:
    assert room.leaks(name, hidden) == []
    assert room.page_path(name).stat().st_size < PAGE_BYTES


@pytest.mark.parametrize("name", HONEST)
def test_the_honest_get_what_they_earned(room: Classroom, name: str) -> None:
    assert room.points(name) == HONEST[name]
    assert room.grade(name).notes == []


def test_nothing_of_the_host_was_reached(room: Classroom) -> None:
    assert room.reached == []


def test_nothing_lives_on(room: Classroom) -> None:
    assert room.survivors == []


def test_the_seed_is_nowhere(room: Classroom) -> None:
    folders = ("autograded", "feedback", "build", "submitted", "release")
    files = [path for folder in folders for path in (room.root / folder).rglob("*") if path.is_file()]
    assert len(files) > len(CASES)
    assert [path for path in [*files, room.root / "grades.csv"] if SEED.encode() in path.read_bytes()] == []


def test_no_script_of_a_student_is_in_the_feedback(room: Classroom) -> None:
    page = room.page("script")
    assert f"<script>/* {SCRIPT}" not in page
    assert f"onerror='/* {SCRIPT}" not in page
    assert f'onerror="/* {SCRIPT}' not in page


@pytest.mark.parametrize("loop", ["all(map(lambda x: add(x, x) == 2 * x, [1, 2]))", "sum(map(add, [1], [2])) < 1"])
def test_stop_iteration_does_not_end_a_loop_of_a_test(
    sandbox: None, built_mini: Path, monkeypatch: pytest.MonkeyPatch, loop: str
) -> None:
    monkeypatch.chdir(built_mini)
    answer = "def add(a, b):\n    raise StopIteration"
    notebook = answered(nbformat.read(built_mini / "source" / SECTION / f"{LAB}.ipynb", as_version=4), {"add": answer})
    notebook.cells = [cell for cell in notebook.cells if grade_id(cell) in ("add", "add-example")]
    notebook.cells[-1].source = f"assert {loop}"
    with own_zygotes():
        [result] = execute(notebook, Settings(limits=LIMITS)).results
    assert not result.passed


# the instruments themselves


def test_a_leak_would_be_found(hidden: list[str]) -> None:
    assert len(hidden) >= 4
    page = text_of(f"<pre><span>{hidden[0].replace('(', '</span>(<b>')}</b></pre>")
    assert "".join(hidden[0].split()) in page


def test_no_case_holds_what_would_be_taken_for_a_leak() -> None:
    assert [case.name for case in CASES for text in case.answers.values() if "secret" in text or SEED in text] == []
