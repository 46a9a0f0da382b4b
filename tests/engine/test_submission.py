"""A whole notebook: what runs where, what ends it, and what nbgrader makes of the outcome."""

# ruff: noqa: E501 -- the cells read better unbroken

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
import zmq
from jupyter_client.manager import KernelManager
from nbformat import NotebookNode
from nbgrader.utils import determine_grade

from llmlabs.grade.submission import CheckResult, Kernel, Limits, SubmissionRun, outcome_to_outputs, run_submission

from .engine_lab import code_cell, environment, graded_cell

QUICK = Limits(cell_seconds=4, call_seconds=2, total_seconds=60, grace_seconds=1, output_bytes=20_000)


def run(*cells: NotebookNode, folder: Path, limits: Limits = QUICK, seed: str = "private") -> SubmissionRun:
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    return run_submission(
        notebook,
        kernel_manager_factory=lambda: KernelManager(kernel_name="python3"),
        cwd=folder,
        limits=limits,
        env=environment(),
        seed=seed,
    )


def kinds(ran: SubmissionRun) -> list[str]:
    return [result.kind for result in ran.results]


def test_a_notebook(tmp_path: Path) -> None:
    (tmp_path / "statistics.py").write_text("mean = lambda x: 5", encoding="utf-8")
    cells = [
        code_cell("import math\nfrom statistics import mean\nTEN = 10\nprint('hello')", "imports"),
        code_cell("import sys", "more-imports"),
        nbformat.v4.new_markdown_cell("text"),
        code_cell("def area(r):\n    return math.pi * r ** 2\nmath.pi = 3", "area", solution=True, locked=False),
        graded_cell("assert area(1) == 3, 'by the changed pi'\nlocal = 1", "t-honest"),
        graded_cell("assert math.pi > 3.1 and mean([1, 2]) == 1.5 and TEN == 10", "t-trusted"),
        graded_cell("assert local == 1", "t-fresh"),
        graded_cell("assert area('x')", "t-raises"),
        graded_cell("assert area(1) == 4, f'for r = 1 expected 4, got {area(1)}'", "t-message"),
        graded_cell("assert area(1) == 4", "t-bare"),
        graded_cell("area(1)[7]", "t-index"),
        graded_cell("%time area(1)", "t-magic"),
        graded_cell("assert (", "t-syntax"),
        graded_cell("1 + 1.5", "t-partial"),
        graded_cell("4", "t-full"),
        graded_cell("True", "t-true"),
        graded_cell("7", "t-over"),
        graded_cell("3;", "t-quiet"),
        graded_cell("import numpy as np\nnp.float64(0.5)", "t-numpy"),
        code_cell("1 / 0"),
        code_cell("# written answer", "written", grade=True, solution=True, points=2, locked=False),
        graded_cell("assert area(0) == 0", "t-after-error"),
    ]
    ran = run(*cells, folder=tmp_path)
    found = {result.grade_id: result for result in ran.results}
    assert ran.ended == ""
    assert {name: result.kind for name, result in found.items()} == {
        "t-honest": "passed", "t-trusted": "passed", "t-fresh": "error", "t-raises": "error", "t-message": "failed", "t-bare": "failed",
        "t-index": "error", "t-magic": "error", "t-syntax": "error", "t-partial": "failed", "t-full": "passed", "t-true": "passed",
        "t-over": "error", "t-quiet": "passed", "t-numpy": "failed", "t-after-error": "passed",
    }  # fmt: skip
    assert found["t-message"].message == "for r = 1 expected 4, got 3"
    assert found["t-bare"].message == "a test failed (it has no message)"
    assert found["t-fresh"].message == "the notebook does not define `local`: did the cell that defines it run?"
    assert found["t-raises"].student_traceback == "line 2, in area: return math.pi * r ** 2"
    assert "magics" in found["t-magic"].message
    grades = {
        c.metadata.nbgrader.grade_id: determine_grade(c)[0]
        for c in ran.notebook.cells
        if c.metadata.get("nbgrader", {}).get("grade")
    }
    assert grades == {"written": None} | {
        name: 2.5 if name == "t-partial" else 0.5 if name == "t-numpy" else 4.0 if result.passed else 0
        for name, result in found.items()
    }
    assert ran.notebook.cells[0].outputs[0].text == "hello\n"
    assert ran.notebook.cells[-3].outputs[0].ename == "ZeroDivisionError"
    shown = str([c.outputs for c in ran.notebook.cells if c.metadata.get("nbgrader", {}).get("grade")])
    for line in ("assert", "area(1) ==", "<test>", "checker.py", "[7]"):
        assert line not in shown, line
    nbformat.validate(ran.notebook)
    assert not cells[0].outputs, "the notebook given was changed"


def test_environment_and_folder(tmp_path: Path) -> None:
    ran = run(
        code_cell("import os\nfrom llmlabs.lab.testing import seed", "imports"),
        code_cell(
            "where, secret, mine = os.getcwd(), os.environ.get('LLMLABS_SEED'), seed('x')\nopen('written', 'w').close()"
        ),
        graded_cell(
            f"assert where == {str(tmp_path)!r} and secret is None and os.environ['LLMLABS_SEED'] == 'private' and mine != seed('x')"
        ),
        folder=tmp_path,
    )
    assert kinds(ran) == ["passed"], ran.results
    assert (tmp_path / "written").exists()


def test_the_folder_cannot_replace_a_module_of_the_checker(tmp_path: Path) -> None:
    (tmp_path / "fractions.py").write_text("Fraction = lambda *a: 3", encoding="utf-8")
    ran = run(
        code_cell("import colorsys", "imports"),
        graded_cell("import colorsys, fractions\nassert fractions.Fraction(1, 2) == 0.5"),
        folder=tmp_path,
    )
    assert kinds(ran) == ["passed"], ran.results


def test_limits_of_time(tmp_path: Path) -> None:
    ran = run(
        code_cell("def f(): return 1\ndef loop():\n    while True: pass"),
        code_cell("while True: pass"),
        graded_cell("assert f() == 1", "a"),
        graded_cell("loop()", "b"),
        graded_cell("assert f() == 1", "c"),
        code_cell(
            "import time\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass",
            "stubborn",
            solution=True,
        ),
        graded_cell("assert f() == 1", "d"),
        code_cell("print('never')"),
        graded_cell("assert f() == 1", "e"),
        folder=tmp_path,
    )
    assert kinds(ran) == ["passed", "timeout", "passed", "not-run", "not-run"]
    assert "took more than 2 s" in ran.results[1].message
    assert "stubborn" in ran.ended
    assert "stubborn" in ran.results[3].message
    assert ran.notebook.cells[1].outputs[0].ename == "Timeout"
    assert ran.notebook.cells[-2].outputs == []


def test_the_limit_for_all(tmp_path: Path) -> None:
    limits = Limits(cell_seconds=5, call_seconds=5, total_seconds=3, grace_seconds=1)
    ran = run(
        code_cell("import time\ndef f(): time.sleep(2)"),
        *[graded_cell("f()", name) for name in "abc"],
        folder=tmp_path,
        limits=limits,
    )
    assert kinds(ran) == ["passed", "timeout", "not-run"]
    assert "3 s in all" in ran.results[1].message
    assert "3 s in all" in ran.ended


@pytest.mark.parametrize("code", ["import os; os._exit(0)", "import ctypes; ctypes.string_at(0)"])
def test_the_process_ends(code: str, tmp_path: Path) -> None:
    ran = run(
        code_cell("def f(): return 1"),
        graded_cell("assert f() == 1", "a"),
        code_cell(code),
        graded_cell("assert f() == 1", "b"),
        folder=tmp_path,
    )
    assert kinds(ran)[0] == "passed"
    assert kinds(ran)[1] in ("not-run", "crash")
    assert ran.ended


@pytest.mark.parametrize("code", ["exit()", "get_ipython().exit_now = True"])
def test_a_cell_that_exits_ends_nothing_by_chance(code: str, tmp_path: Path) -> None:
    cells = [
        code_cell(code),
        code_cell("import time\ntime.sleep(0.3)"),
        code_cell("x = 1"),
        graded_cell("assert x == 1", "t"),
    ]
    ran = run(*cells, folder=tmp_path)
    assert (ran.ended, kinds(ran)) == ("", ["passed"])


def test_a_channel_that_connects_late_loses_no_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = Kernel._connect

    def connect_stdin_late(self: Kernel) -> None:
        connect(self)  # the kernel does not listen yet, so that the channels try again in a while
        socket = self.client.stdin_channel.socket
        endpoint = socket.last_endpoint.decode()
        socket.disconnect(endpoint)
        socket.setsockopt(zmq.RECONNECT_IVL, 3000)
        socket.connect(endpoint)

    monkeypatch.setattr(Kernel, "_connect", connect_stdin_late)
    ran = run(code_cell("def f(): return 1"), graded_cell("assert f() == 1"), folder=tmp_path)
    assert kinds(ran) == ["passed"], ran.results


def test_output_is_cut(tmp_path: Path) -> None:
    ran = run(
        code_cell("from IPython.display import display, clear_output\nfor i in range(3000): print('x' * 100)\n1 / 0"),
        code_cell("display(1); clear_output(); display(2)\n3"),
        folder=tmp_path,
    )
    first, second = (cell.outputs for cell in ran.notebook.cells)
    assert len(str(first)) < 60_000
    assert "left out" in str(first)
    assert first[-1].output_type == "error"
    assert [output.data["text/plain"] for output in second] == ["2", "3"]


def test_imports_that_fail(tmp_path: Path) -> None:
    ran = run(
        code_cell(
            "try:\n    import nothing\nexcept ImportError:\n    pass\nimport json, not_installed_here as absent",
            "imports",
        ),
        graded_cell("assert json.loads('1') == 1", "a"),
        graded_cell("absent.f()", "b"),
        folder=tmp_path,
    )
    assert kinds(ran) == ["passed", "error"]
    assert "not_installed_here" in ran.results[1].message


@pytest.mark.parametrize(
    ("result", "score"),
    [
        (CheckResult("a", "passed"), 4),
        (CheckResult("a", "passed", points=4.0), 4),
        (CheckResult("a", "failed", "no", points=0.0), 0),
        (CheckResult("a", "failed", "half", points=1.25), 1.25),
        (CheckResult("a", "failed", "no"), 0),
        (CheckResult("a", "error", "no", "ValueError", "line 1, in f: x"), 0),
        (CheckResult("a", "timeout", "no"), 0),
        (CheckResult("a", "crash", "no"), 0),
        (CheckResult("a", "not-run", "no"), 0),
    ],
)
def test_outputs_score_as_the_result_says(result: CheckResult, score: float) -> None:
    cell: Any = graded_cell("pass")
    cell.outputs = outcome_to_outputs(result)
    nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))
    assert determine_grade(cell)[0] == score


def test_a_kernel_that_does_not_start(tmp_path: Path) -> None:
    manager = KernelManager(kernel_name="python3")
    assert manager.kernel_spec is not None
    manager.kernel_spec.argv[:] = ["/bin/false"]
    limits = Limits(start_seconds=5)
    with pytest.raises(RuntimeError):
        run_submission(
            nbformat.v4.new_notebook(),
            kernel_manager_factory=lambda: manager,
            cwd=tmp_path,
            limits=limits,
            env=environment(),
        )
