"""The verification of graders: each way in which a lab could grade wrongly is planted once and found."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import nbformat
import pytest

from llmlabs import catalogue
from llmlabs.build.builder import build, read_sources
from llmlabs.verify.answers import Answer
from llmlabs.verify.submissions import solutions
from llmlabs.verify.verify import (
    MARK,
    Case,
    LabReport,
    Verifier,
    cases_of,
    found_in_memory,
    mark_hidden_tests,
    memory_probe,
    run_in_plain_kernel,
    verify_lab,
)

NAME = "01_arithmetic/arithmetic"
SOURCE, ANSWERS = f"source/{NAME}.py", f"answers/{NAME}.py"


def quiet(line: str) -> None:
    pass


@pytest.fixture
def course(built_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "mini"
    shutil.copytree(built_mini, root)
    monkeypatch.chdir(root)
    return root


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def verify(root: Path, *, rebuild: bool = True) -> LabReport:
    if rebuild:
        build(root, solutions=False, say=quiet)
    [source] = read_sources(root, catalogue.load(root), NAME)
    return verify_lab(root, source, quiet, jobs=2)


def test_the_mini_course_is_graded_rightly(course: Path) -> None:
    report = verify(course)
    assert report.problems == []
    assert report.exercises["add"] == {"points": 6, "tests": 2, "wrong": 3, "right": 1}
    written = json.loads((course / "build/verify" / f"{NAME}.json").read_text(encoding="utf-8"))
    assert written["ok"]
    assert len(written["cases"]) == len(report.outcomes) >= 10


PLANTED = {
    "a test that always passes": (SOURCE, "assert add(2, 3) == 5,", "assert True or add(2, 3) == 5,", "add-example"),
    "a test that the solution fails": (SOURCE, '== "1.0",', '== "3.0",', "clip-example earns 0 of 1"),
    "a wrong answer that is right": (ANSWERS, "return a - b", "return a + b", "add-example does not catch it"),
    "a right answer that is wrong": (ANSWERS, "[x + x for x in xs]", "[x for x in xs]", "double-example earns 0 of 1"),
    "a message without the misconception": (ANSWERS, 'says="doubled"', 'says="halved"', "lacks 'halved'"),
    "a test that is not there": (ANSWERS, 'fails="add-example"', 'fails="add-others"', "add-others, which is no test"),
    "too few answers": (ANSWERS, 'exercise="double" kind="right"', 'exercise="clip" kind="right"', "double has"),
    "tests that see the grader": (
        SOURCE,
        'assert str(clip(2.0)) == "1.0",',
        'import sys\nassert clip(2.0) == 1.0 and "llmlabs.grade.checker" in sys.modules,',
        "clip-example earns 1, but 0 in a plain notebook",
    ),
    "points for nothing": (
        SOURCE,
        "[clip(-3.0), clip(0.25)] == [0.0, 0.25]",
        "not clip(-3.0)",
        "every function returns an empty list, clip: clip-properties earns 6 of 6",
    ),
    "messages that differ from run to run": (
        SOURCE,
        "{add(2, 3)}: is it",
        "{add(2, 3)} in {__import__('os').getpid()}: is it",
        "add-example earns 0, but 0 when it is graded again",
    ),
}


@pytest.mark.parametrize(("file", "old", "new", "message"), PLANTED.values(), ids=PLANTED.keys())
def test_what_is_graded_wrongly_is_found(course: Path, file: str, old: str, new: str, message: str) -> None:
    edit(course / file, old, new)
    report = verify(course)
    assert any(message in problem for problem in report.problems), report.problems


def test_a_hidden_test_in_the_release_is_found(course: Path) -> None:
    release = course / "release" / f"{NAME}.ipynb"
    edit(release, "Four small", 'a secret: double([0.5, -3]) is not [1.0, -6]\\"\\n  ), \\"a secret: add(-1.5')
    hidden = '), "a secret: double([0.5, -3]) is not [1.0, -6]"'
    [source] = read_sources(course, catalogue.load(course), NAME)
    notebook = nbformat.read(release, as_version=4)
    verifier = Verifier(source, nbformat.v4.new_notebook())
    assert hidden in verifier.hidden
    notebook.cells[0].source += hidden
    verifier.release = notebook
    assert any("is in release" in problem and hidden in problem for problem in verifier.leaks(course, []))


def test_an_answer_that_spoils_its_company_is_graded_alone(course: Path) -> None:
    ends = '# %% exercise="add" kind="wrong" name="ends" fails="add-example" says="ended"\n'
    ends += "def add(a, b):\n    import os\n\n    os._exit(1)\n\n\n"
    path = course / ANSWERS
    path.write_text(ends + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert verify(course).problems == []


@pytest.mark.parametrize("spoils", ["global math\n    math = None", "globals()['clip'] = abs", "globals().clear()"])
def test_an_answer_that_changes_the_names_of_others_changes_nothing(course: Path, spoils: str) -> None:
    [source] = read_sources(course, catalogue.load(course), NAME)
    release = nbformat.read(course / "release" / f"{NAME}.ipynb", as_version=4)
    verifier = Verifier(source, release)
    everything = solutions(source.notebook)
    everything["clip"] = everything["clip"].replace("return min(", "return math.fsum([1]) and min(")
    spoilt = everything | {"add": f"def spoil():\n    {spoils}\n\n\nspoil()\n{everything['add']}"}
    due: dict[str, bool | Answer] = dict.fromkeys(everything, True)
    cases = [Case("spoils", spoilt, {"add": True}), Case("right", everything, due)]
    alone: list[Case] = []
    verifier.run = alone.append  # type: ignore[method-assign, assignment]
    outcomes = verifier.run_together(cases)
    assert "right" not in [case.name for case in alone]
    assert outcomes[1].problems == {}


def test_a_hidden_test_in_memory_is_found(course: Path) -> None:
    [source] = read_sources(course, catalogue.load(course), NAME)
    verifier = Verifier(source, nbformat.read(course / "release" / f"{NAME}.ipynb", as_version=4))
    [searched] = [case for case in cases_of(source, []) if case.searched]
    assert found_in_memory(verifier.run(searched).notebook) == []
    # in a plain notebook the tests run where the student's code runs
    notebook = copy.deepcopy(source.notebook)
    mark_hidden_tests(notebook)
    assert nbformat.writes(notebook).count(MARK) == 4
    notebook.cells.append(memory_probe())
    run_in_plain_kernel(notebook)
    assert "hidden tests are in the memory" in found_in_memory(notebook)[0]
    notebook.cells[-1].outputs = []
    assert "could not be searched" in found_in_memory(notebook)[0]
