"""Mutation testing finds what it should: on the mini course with one planted weakness at a time."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from llmlabs import catalogue
from llmlabs.build.builder import Source, read_sources
from llmlabs.errors import CourseError
from llmlabs.verify import mutate, run_mutants
from llmlabs.verify.mutants import OPERATORS, mutants_of

LAB = "01_arithmetic/arithmetic"
SOURCE = f"source/{LAB}.py"
ANSWERS = f"answers/{LAB}.py"
EQUIVALENTS = f"answers/{LAB}.mutants.yml"
GIB = 2**30


def quiet(line: str) -> None:
    """Take a line of progress and drop it."""


def sources(root: Path) -> list[Source]:
    return read_sources(root, catalogue.load(root))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


# ---- making mutants

KINDS = {
    "a - b": [("arithmetic", "a + b"), ("arithmetic", "a"), ("arithmetic", "b"), ("arguments", "b - a")],
    "a @ b": [("arguments", "b @ a")],
    "-a": [("arithmetic", "a")],
    "a < b": [("comparison", "a <= b"), ("comparison", "a >= b")],
    "a != b": [("comparison", "a == b"), ("comparison", "a < b"), ("comparison", "a > b")],
    "a is None": [("comparison", "a is not None")],
    "a and b": [("comparison", "a or b"), ("comparison", "a"), ("comparison", "b")],
    "1 if a else 2": [("comparison", "1 if True else 2"), ("comparison", "1 if False else 2")],
    "[i for i in a if i]": [("comparison", "[i for i in a if True]")],
    "f(3)": [("constant", "f(4)"), ("constant", "f(2)")],
    "f(0.5)": [("constant", "f(1.0)"), ("constant", "f(0.25)")],
    "f(0.0, True, 'id')": [
        ("constant", "f(1.0, True, 'id')"),
        ("constant", "f(0.0, False, 'id')"),
        ("constant", "f(0.0, True, 'idx')"),
    ],
    "float('-inf')": [("constant", "float('inf')")],
    "a.sum(dim=2, keepdim=True)": [
        ("axis", "a.sum(dim=0, keepdim=True)"),
        ("axis", "a.sum(dim=-1, keepdim=True)"),
        ("constant", "a.sum(dim=2, keepdim=False)"),
        ("arguments", "a.sum(dim=2)"),
        ("arguments", "a.sum(keepdim=True)"),
        ("function", "a.mean(dim=2, keepdim=True)"),
    ],
    "a[:n]": [("bounds", "a[1:n]"), ("bounds", "a[:n + 1]"), ("bounds", "a[:n - 1]"), ("bounds", "a[:]")],
    "a[i]": [("bounds", "a[i + 1]"), ("bounds", "a[i - 1]")],
    "range(n)": [("bounds", "range(n + 1)"), ("bounds", "range(n - 1)")],
    "f(a, b)": [("arguments", "f(b, a)"), ("arguments", "f(a)")],
    "(a, b)": [("arguments", "(b, a)")],
    "a.detach()": [("call", "a")],
    "deepcopy(a)": [("call", "a")],
    "np.sqrt(a)": [("call", "a")],
    "a.masked_fill(m, 0.0)": [("call", "a"), ("in place", "a.masked_fill_(m, 0.0)")],
    "a * 2": [("in place", "a.__imul__(2)")],
    "np.tril(a)": [("function", "np.triu(a)")],
}


@pytest.mark.parametrize(("expression", "expected"), KINDS.items(), ids=KINDS)
def test_an_expression_is_mutated(expression: str, expected: list[tuple[str, str]]) -> None:
    made = mutants_of([f"def f(a: Tensor, b, i, m, n):\n    return {expression}"])
    found = [(mutant.kind, mutant.after.removeprefix("return ")) for mutant in made]
    assert [each for each in expected if each not in found] == []


STATEMENTS = {
    "statement left out": ("a.pop()", "statement", "pass"),
    "without no_grad": ("with torch.no_grad():\n        b = a * 2", "call", "if True:"),
    "sum": ("a += b", "arithmetic", "a -= b"),
    "overwritten, not added": ("a += b", "arithmetic", "a = b"),
    "in place": ("a = a * b", "in place", "a *= b"),
}


@pytest.mark.parametrize(("statement", "kind", "after"), STATEMENTS.values(), ids=STATEMENTS)
def test_a_statement_is_mutated(statement: str, kind: str, after: str) -> None:
    made = mutants_of([f"def f(a: Tensor, b):\n    {statement}\n    return a"])
    assert (kind, after) in [(mutant.kind, mutant.after) for mutant in made]


def test_a_decorator_that_switches_gradients_off_is_removed() -> None:
    (mutant,) = mutants_of(["@torch.no_grad()\ndef f(a):\n    return a"])
    assert (mutant.kind, ast.unparse(ast.parse(mutant.source))) == ("call", "def f(a):\n    return a")


def test_what_is_for_people_is_not_mutated() -> None:
    cell = '''
def f(a: "int | None" = None) -> tuple[int, 3]:
    """Add 1 and 2."""
    b: "list[int]"
    print(f"{a:.3f}", 1 + 2)
    if a is None:
        raise ValueError("a is " + "None", 1)
    return a
'''
    assert {mutant.after for mutant in mutants_of([cell])} == {
        "if a is not None:",
        "if True:",
        "if False:",
        "pass",  # instead of the raise
    }


def test_mutants_differ_from_the_solution_and_from_each_other_when_they_run() -> None:
    # an axis of 0 or 1, and the constant one more or less, give the same code; so does -0 for 0
    made = mutants_of(["def f(a):\n    return a.sum(axis=0) + -1"])
    assert [mutant.after for mutant in made].count("return a.sum(axis=1) + -1") == 1
    assert len({mutant.source for mutant in made}) == len(made)
    assert made == mutants_of(["def f(a):\n    return a.sum(axis=0) + -1"])


def test_equal_changes_of_two_lines_are_told_apart() -> None:
    made = mutants_of(["def f(a):\n    a.pop()\n    a.pop()\n    return a"])
    dropped = [(mutant.before, mutant.nth) for mutant in made if mutant.kind == "statement"]
    assert dropped == [("a.pop()", 1), ("a.pop()", 2)]


def test_every_operator_is_tried() -> None:
    tried = {kind for expected in KINDS.values() for kind, _ in expected} | {kind for _, kind, _ in STATEMENTS.values()}
    assert tried == set(OPERATORS)


# ---- running mutants


def ends(work: Callable[[], object], *, seconds: float = 5, memory: int = 64 * GIB) -> str:
    ((_, outcome),) = run_mutants.outcomes([lambda: (work(), None)[1]], 1, seconds, memory)
    return outcome


def fails() -> None:
    raise AssertionError


def spins() -> None:
    while True:
        pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder as the runner's."""
    (tmp_path / "setup").mkdir()
    monkeypatch.chdir(tmp_path / "setup")
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("work", "outcome"),
    {fails: "killed", sys.exit: "killed", quiet.__class__: "killed", time.monotonic: "survived"}.items(),
    ids=["assertion", "exit", "error", "nothing"],
)
def test_an_outcome(work: Callable[[], object], outcome: str) -> None:
    assert ends(work) == outcome


@pytest.mark.usefixtures("folder")
def test_an_endless_loop_and_an_endless_wait_time_out() -> None:
    assert ends(spins, seconds=0.1) == "timed out"
    assert ends(lambda: time.sleep(1000), seconds=0.1) == "timed out"


@pytest.mark.usefixtures("folder")
@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not limit address space")
def test_a_mutant_that_wants_all_memory_is_killed() -> None:
    assert ends(lambda: bytearray(8 * GIB), memory=psutil.Process().memory_info().vms + GIB) == "killed"


@pytest.mark.usefixtures("folder")
def test_outcomes_are_those_of_their_mutants() -> None:
    works = [fails if i % 3 else lambda: None for i in range(12)]
    found = dict(run_mutants.outcomes(works, 4, 5, 64 * GIB))
    assert [found[i] for i in range(12)] == ["survived", "killed", "killed"] * 4


def test_a_fork_leaves_neither_files_nor_processes_behind(folder: Path) -> None:
    def work() -> None:
        Path("file").write_text("left", encoding="utf-8")
        sleeper = subprocess.Popen(["sleep", "1000"])
        (folder / "pid").write_text(str(sleeper.pid), encoding="utf-8")

    assert ends(work) == "survived"
    assert [path.name for path in sorted(folder.rglob("*"))] == ["pid", "setup"]
    pid = int((folder / "pid").read_text(encoding="utf-8"))
    ended = psutil.wait_procs([psutil.Process(pid)], timeout=10)[0] if psutil.pid_exists(pid) else True
    assert ended or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


# ---- a whole lab


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mini course, its mutants run."""
    here = Path(__file__).resolve().parent
    root = tmp_path_factory.mktemp("published") / "mini"
    shutil.copytree(here / "mini", root)
    assert mutate.mutate(root, jobs=2, say=quiet) == []
    return root


@pytest.fixture
def published(published_once: Path, tmp_path: Path) -> Path:
    root = tmp_path / "mini"
    shutil.copytree(published_once, root)
    return root


def test_a_good_lab_is_published(published: Path) -> None:
    lab = mutate.read_quality(published).labs[LAB]
    assert list(lab.exercises) == ["add", "double", "largest", "clip"]
    add = lab.exercises["add"]
    assert (add.tests, add.wrong_answers, add.right_answers) == (2, 3, 1)
    assert (add.mutants, add.killed, add.timed_out, add.survivors) == (3, 3, 0, ())  # a - b, a, b
    assert lab.score == 100.0
    assert "| add | 2 | 3 | 1 | 3 | 3 | 0 | 0 | 0 | 100.0 % |" in (published / mutate.PAGE).read_text(encoding="utf-8")
    assert mutate.check_published(published, sources(published)) == []


def test_a_weak_test_lets_a_mutant_survive(mini: Path) -> None:
    edit(mini / SOURCE, "assert math.isclose(sum(add(", "assert True or math.isclose(sum(add(")
    edit(mini / SOURCE, "assert add(2, 3) == 5", "assert add(2, 0) == 2")
    said: list[str] = []
    (problem,) = mutate.mutate(mini, jobs=2, say=said.append)
    assert "survived: 01_arithmetic/arithmetic, add, add:  return a + b  ->  return a - b" in said
    assert "survived: 01_arithmetic/arithmetic, add, add:  return a + b  ->  return a" in said
    lab = mutate.read_quality(mini).labs[LAB]
    assert (lab.exercises["add"].killed, lab.exercises["add"].survived) == (1, 2)
    assert f"its tests kill {lab.score} % of the mutants, 95 % are due" in problem
    assert lab.score < 95


def test_an_endless_mutant_times_out(mini: Path) -> None:
    loop = "found = list(xs)\n    while len(found) > 1:\n        found.remove(min(found))\n    return found[0]"
    edit(mini / SOURCE, "return max(xs)", loop)
    mutate.mutate(mini, jobs=2, say=quiet)
    largest = mutate.read_quality(mini).labs[LAB].exercises["largest"]
    assert largest.timed_out >= 1  # without found.remove(...)
    assert not any("remove" in survivor.before for survivor in largest.survivors)
    assert largest.mutants == largest.killed + largest.timed_out + len(largest.survivors)
    assert largest.score == mutate.score(largest.killed + largest.timed_out, largest.survived)


EQUIVALENT = """
- exercise: add
  function: add
  before: return (a + b) * abs(1)
  after: {after}
  reason: The factor is 1.
"""


def test_a_listed_equivalent_does_not_count(mini: Path) -> None:
    edit(mini / SOURCE, "return a + b", "return (a + b) * abs(1)")
    changes = ("return (a + b) / abs(1)", "return a + b", "return (a + b) * 1")
    entries = "".join(EQUIVALENT.format(after=after) for after in changes)
    (mini / EQUIVALENTS).write_text(entries, encoding="utf-8")
    said: list[str] = []
    assert mutate.mutate(mini, jobs=2, say=said.append) == []
    add = mutate.read_quality(mini).labs[LAB].exercises["add"]
    assert (add.equivalent, add.survived, add.score) == (3, 0, 100.0)
    assert not [line for line in said if line.startswith("survived")]
    row = "→ `` return (a + b) / abs(1) `` | The factor is 1. |"
    assert row in (mini / mutate.PAGE).read_text(encoding="utf-8")


STALE = """
- exercise: add
  function: add
  before: return a + b
  after: {after}
  reason: It was thought that no test can tell.
"""


@pytest.mark.parametrize("after", ["return a - b", "return a * b"], ids=["killed", "none"])
def test_a_stale_equivalent_is_an_error(published: Path, after: str) -> None:
    (published / EQUIVALENTS).write_text(STALE.format(after=after), encoding="utf-8")
    (problem,) = mutate.mutate(published, jobs=2, say=quiet)
    assert "lists a mutant that does not survive" in problem
    assert f"add, add:  return a + b  ->  {after}" in problem
    assert "does not survive" in mutate.check_published(published, sources(published))[0]


BAD_ENTRIES = {
    "no reason": ("- {exercise: add, before: a, after: b}", "reason: Field required"),
    "unknown field": ("- {exercise: add, before: a, after: b, reason: long enough, x: 1}", "x: Extra inputs"),
    "twice": (2 * STALE.format(after="x"), "lists a mutant twice"),
    "no list": ("exercise: add", "not a list"),
    "no YAML": ("- {", "not valid YAML"),
}


@pytest.mark.parametrize(("text", "message"), BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_an_entry_is_checked(published: Path, text: str, message: str) -> None:
    (published / EQUIVALENTS).write_text(text, encoding="utf-8")
    (problem,) = mutate.mutate(published, jobs=2, say=quiet)
    assert message in problem


def test_what_is_published_is_not_run_again(published: Path) -> None:
    said: list[str] = []
    assert mutate.mutate(published, jobs=2, say=said.append) == []
    assert said == [f"{LAB}: unchanged since it was published", f"{LAB}: score 100.0 %"]


def test_a_solution_that_fails_its_own_tests_is_an_error(mini: Path) -> None:
    edit(mini / SOURCE, "return max(xs)", "return min(xs)")
    (problem,) = mutate.mutate(mini, jobs=2, say=quiet)
    assert "largest: the solution does not pass its own tests" in problem
    assert "is it the maximum?" in problem


def test_a_solution_that_is_no_plain_python_is_an_error(mini: Path) -> None:
    edit(mini / SOURCE, "return max(xs)", "return max(xs)\n\n%timeit largest([1, 2])")
    with pytest.raises(CourseError, match="largest: it is not Python"):
        mutate.mutate(mini, jobs=2, say=quiet)


def test_a_setup_that_fails_is_an_error(mini: Path) -> None:
    edit(mini / SOURCE, "import math", "import math\n\nmath.no_such_function()")
    (problem,) = mutate.mutate(mini, jobs=2, say=quiet)
    assert "no_such_function" in problem


DRIFT: dict[str, tuple[str, str, str, str]] = {
    "test edited": (SOURCE, "add(2, 3) == 5, f", "add(2, 3) == 5.0, f", "is older than the solutions and tests"),
    "solution edited": (SOURCE, "return a + b", "return b + a", "is older than the solutions and tests"),
    "answer added": (ANSWERS, 'exercise="add" kind="wrong" name="ignores b"', "", "is not what the answers of"),
    "page edited": (str(mutate.PAGE), "100.0 %", "99.0 %", "is not what docs/grader-quality.json gives"),
    "data edited": (str(mutate.DATA), LAB, "01_arithmetic/algebra", "has no rows for 01_arithmetic/arithmetic"),
}


@pytest.mark.parametrize(("file", "old", "new", "message"), DRIFT.values(), ids=DRIFT)
def test_a_table_that_is_out_of_date_is_found(published: Path, file: str, old: str, new: str, message: str) -> None:
    edit(published / file, old, new)
    problems = mutate.check_published(published, sources(published))
    assert problems
    assert message in problems[0]
    assert problems[0].endswith("run: llmlabs mutate")


def test_text_around_the_exercises_may_change(published: Path) -> None:
    edit(published / SOURCE, "# Four small functions", "# Four very small functions")
    assert mutate.check_published(published, sources(published)) == []


def test_a_course_without_a_table_is_found(mini: Path) -> None:
    (problem,) = mutate.check_published(mini, sources(mini))
    assert "has no rows for 01_arithmetic/arithmetic" in problem
