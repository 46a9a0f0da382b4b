"""Does the grader of a lab grade rightly? Submissions whose grade is known go through the engine that grades students.

An exercise's answers are graded in company: the k-th wrong answer of every exercise makes one case, for their tests are
independent; and many cases are run one after the other by one submission process, whose names are put back after each.
Where that gives anything but what is due, the case is graded once more in a process of its own, and then each answer
alone, and that counts.
"""

from __future__ import annotations

import ast
import copy
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

import nbformat
from nbclient import NotebookClient
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.preprocessors import ClearHiddenTests
from nbgrader.utils import determine_grade

from llmlabs.build.builder import Source
from llmlabs.errors import CourseError
from llmlabs.grade.execute import Settings, execute, kernel_environment, make_box, preload, sandbox_available
from llmlabs.grade.provisioner import sandboxed_kernel_manager
from llmlabs.grade.rebuild import rebuild
from llmlabs.notebook import (
    BEGIN_HIDDEN,
    END_HIDDEN,
    errors_of,
    grade_id,
    graded_cells_by_exercise,
    is_solution,
    is_test,
    points,
)
from llmlabs.verify.answers import Answer, answers_path, read_answers
from llmlabs.verify.submissions import answered, solutions

MIN_WRONG, MIN_RIGHT = 3, 1
REPORTS = Path("build") / "verify"
SECONDS = 60  # of a cell in a plain notebook
LEAK_LENGTH = 25  # shorter lines of a hidden test may be anybody's
MARK = "a-hidden-test-" + "was-here"
REPEATS = 2
CASES_TOGETHER = 16  # at most, in one process
# what a function returns that does nothing: by themselves such answers must earn nothing
EMPTY = {"None": "None", "0": "0", "True": "True", "an empty list": "[]", "its first argument": ""}


@dataclass(frozen=True)
class Case:
    """One submission whose grade is known.

    Attributes:
        name: what it is, in words.
        answers: the text of its solution cells, by grade_id; the others stay blank.
        due: by exercise what its tests must give: all points (True), none (False), or what is due to an answer: all
            points, or the failure that it names. The tests of other exercises are not run.
        whole: run every cell, the ungraded experiments too.
        searched: afterwards search the memory of the process that ran it for the hidden tests.
    """

    name: str
    answers: dict[str, str]
    due: dict[str, bool | Answer]
    whole: bool = False
    searched: bool = False


@dataclass
class Outcome:
    """How a case went: problems by exercise, what each test earned and said, and the notebook as it ran.

    `again` says that it did not get what is due after other cases, and was run in a process of its own.
    """

    case: Case
    notebook: NotebookNode
    earned: dict[str, tuple[float, str]]
    problems: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0
    again: bool = False


@dataclass
class LabReport:
    """What `verify_lab` found.

    Attributes:
        name: section/lab.
        exercises: by exercise the numbers of points, tests, wrong and right answers.
        outcomes: how each case went.
        problems: what is not as it should be, one line each; none means that the lab is graded rightly.
        seconds: wall time.
    """

    name: str
    exercises: dict[str, dict[str, float]]
    outcomes: list[Outcome] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        wrong, right = (sum(numbers[kind] for numbers in self.exercises.values()) for kind in ("wrong", "right"))
        state = f"{len(self.problems)} PROBLEMS" if self.problems else "all graded as is due"
        return (
            f"{self.name}: {wrong:g} wrong and {right:g} other right answers of {len(self.exercises)} exercises in "
            f"{len(self.outcomes)} submissions, {state} ({self.seconds:.0f} s)"
        )

    def as_json(self) -> dict[str, Any]:
        cases = [
            {
                "name": o.case.name,
                "seconds": round(o.seconds, 2),
                "again": o.again,
                "points": {k: v[0] for k, v in o.earned.items()},
            }
            for o in self.outcomes
        ]
        return {
            "lab": self.name,
            "ok": not self.problems,
            "seconds": round(self.seconds, 1),
            "problems": self.problems,
            "exercises": self.exercises,
            "cases": cases,
        }


def verify_lab(
    root: Path, source: Source, say: Callable[[str], None], *, jobs: int | None = None, whole: bool = True
) -> LabReport:
    """Grade every known submission of a lab, and write build/verify/SECTION/LAB.json.

    What must hold: the solution earns all points and the blank release none; each exercise solved alone earns its own;
    functions that only return None, 0, True, [] or their argument earn none; each wrong answer fails by the test that
    it names, in the words that it names; every other right answer earns all points; the tests in a plain notebook's
    kernel give solution, blank release and right answers the same; repeated runs give the same grades and messages;
    and no hidden test is in the release, the solution, the feedback or the memory of the process that runs the
    submission.

    Args:
        root: the course's folder.
        source: the lab.
        say: takes one line of progress.
        jobs: how many submissions run at a time; default: one per core.
        whole: run the solution with its ungraded experiments, too, which takes as long as the rest together.

    Raises:
        CourseError: if the lab is not built, or its answers cannot be read.
    """
    started = time.monotonic()
    path = root / "release" / f"{source.name}.ipynb"
    if not path.is_file():
        raise CourseError(f"{path.relative_to(root)} is missing.", "Run: llmlabs build")
    release = nbformat.read(path, as_version=4)
    answers = read_answers(answers_path(root, source.section, source.lab))
    report = LabReport(source.name, _numbers(source, answers), problems=_missing_answers(source, answers))
    cases = cases_of(source, answers)
    say(f"{source.name}: {len(answers)} answers of {len(report.exercises)} exercises in {len(cases)} submissions")
    verifier = Verifier(source, release)
    workers = jobs or os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        apart = [case for case in cases if case.searched or (case.whole and whole)]
        together = in_groups([case for case in cases if not (case.searched or case.whole)], workers)
        running = pool.map(verifier.run, apart), pool.map(verifier.run_together, together)
        plain = pool.map(verifier.run_plain, [case for case in cases if _runs_plain(case)])
        repeated = pool.map(verifier.run, [case for case in _repeated(cases) for _ in range(REPEATS)])
        report.outcomes = [*running[0], *itertools.chain.from_iterable(running[1])]
        for outcome in report.outcomes:
            for exercise, found in outcome.problems.items():
                report.problems += [f"{_name_in(outcome.case, exercise)}: {problem}" for problem in found]
            if outcome.case.searched:
                report.problems += found_in_memory(outcome.notebook)
        by_name = {outcome.case.name: outcome for outcome in report.outcomes}
        for outcome in plain:
            report.problems += _differences(by_name[outcome.case.name], outcome, "in a plain notebook", messages=False)
        for outcome in repeated:
            report.problems += _differences(by_name[outcome.case.name], outcome, "when it is graded again")
    report.problems += verifier.leaks(root, report.outcomes)
    report.problems = [f"{source.name}: {problem}" for problem in report.problems]
    report.seconds = time.monotonic() - started
    for problem in report.problems:
        say(problem)
    say(report.summary())
    written = root / REPORTS / f"{source.name}.json"
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    return report


def cases_of(source: Source, answers: list[Answer]) -> list[Case]:
    """Solution, blank release, empty functions, each exercise solved alone, and wrong and right answers in company."""
    exercises = tuple(graded_cells_by_exercise(source.notebook))
    solved = {exercise: solutions(source.notebook, [exercise]) for exercise in exercises}
    everything = solutions(source.notebook)
    cases = [
        Case("the solution with its experiments", everything, dict.fromkeys(exercises, True), whole=True),
        Case("the solution", everything, dict.fromkeys(exercises, True), searched=True),
        Case("the blank release", {}, dict.fromkeys(exercises, False)),
    ]
    functions = [e for e in exercises if all(map(_only_functions, solved[e].values()))]
    for what, value in EMPTY.items() if functions else ():
        texts = {key: returning(value, text) for e in functions for key, text in solved[e].items()}
        cases.append(Case(f"every function returns {what}", texts, dict.fromkeys(functions, False)))
    for alone in exercises:
        cases.append(Case(f"{alone} solved alone", solved[alone], {name: name == alone for name in exercises}))
    for kind in ("wrong", "right"):
        columns = [[answer for answer in answers if (answer.exercise, answer.kind) == (e, kind)] for e in exercises]
        for number, company in enumerate(itertools.zip_longest(*columns), start=1):
            present = [answer for answer in company if answer]
            texts = {key: text for a in present for key, text in (solved[a.exercise] | {a.exercise: a.source}).items()}
            cases.append(Case(f"{kind} answers, number {number}", texts, {a.exercise: a for a in present}))
    return cases


def _only_functions(text: str) -> bool:
    allowed = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    return all(isinstance(node, allowed) for node in ast.parse(text).body)


def returning(value: str, text: str) -> str:
    """A solution's text in which functions and methods only return a value, an expression; "" is the first argument.

    The `__init__` of a class stays as it is.
    """
    tree = ast.parse(text)
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    for body in bodies:
        for node in body:
            if isinstance(node, ast.FunctionDef) and node.name != "__init__":
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                names = [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]
                what = value or (names[0] if names else "None")
                node.body = [ast.Return(ast.parse(what, mode="eval").body)]
    return ast.unparse(ast.fix_missing_locations(tree))


def in_groups(cases: list[Case], workers: int) -> list[list[Case]]:
    """Cases that share a process: as many groups for each worker, none larger than CASES_TOGETHER."""
    rounds = -(-len(cases) // (CASES_TOGETHER * workers))
    return [group for start in range(rounds * workers) if (group := cases[start :: rounds * workers])]


def alone(case: Case, exercise: str, source: Source) -> Case:
    """The part of a case that is about one exercise."""
    needed = solutions(source.notebook, [exercise])
    texts = {name: text for name, text in case.answers.items() if name in needed}
    return Case(case.name, texts, {exercise: case.due[exercise]})


KEEP_NAMES = "get_ipython().kept = dict(get_ipython().user_ns)"
PUT_NAMES_BACK = "(lambda names, kept: names.clear() or names.update(kept))(get_ipython().user_ns, get_ipython().kept)"


class Verifier:
    """Runs the cases of one lab."""

    def __init__(self, source: Source, release: NotebookNode) -> None:
        self.source, self.release = source, release
        self.settings = Settings(sandbox=sandbox_available())
        blocks = _hidden_blocks(source.notebook, known=nbformat.writes(release) + str(solutions(source.notebook)))
        self.hidden = list(dict.fromkeys(line for block in blocks for line in block))

    def notebook(self, case: Case) -> NotebookNode:
        """The submission of a case, rebuilt as grading does, with the cells that the case is about."""
        notebook = rebuild(answered(self.release, case.answers), self.source.notebook).notebook
        if not case.whole:
            needed = {cell_id for exercise in case.due for cell_id in needed_cells(self.source.notebook, exercise)}
            notebook.cells = [cell for cell in notebook.cells if cell.id in needed]
        return notebook

    def run(self, case: Case) -> Outcome:
        """Grade a case with the engine; an answer that gets what is not due in company is graded once more alone."""
        started = time.monotonic()
        notebook = self.notebook(case)
        if case.searched:
            mark_hidden_tests(notebook)
            notebook.cells.append(memory_probe())
        outcome = self._graded(case, execute(notebook, self.settings).notebook)
        outcome.seconds = time.monotonic() - started
        if len(case.due) > 1 and any(isinstance(due, Answer) for due in case.due.values()):
            for exercise in list(outcome.problems):
                single = alone(case, exercise, self.source)
                again = self._graded(single, execute(self.notebook(single), self.settings).notebook)
                outcome.problems.pop(exercise)
                outcome.problems |= again.problems
        return outcome

    def run_together(self, cases: list[Case]) -> list[Outcome]:
        """Grade cases one after the other in one process; one that does not get what is due, in one of its own."""
        started = time.monotonic()
        notebooks = [self.notebook(case) for case in cases]
        first = needed_cells(self.source.notebook, "")
        cells = [cell for cell in notebooks[0].cells if cell.id in first] + [nbformat.v4.new_code_cell(KEEP_NAMES)]
        ends = []
        for number, notebook in enumerate(notebooks, start=1):
            own = [cell for cell in notebook.cells if cell.id not in first]
            cells += [NotebookNode(cell, id=f"{number}-{cell.id}"[:64]) for cell in own]
            ends.append(len(cells))
            cells.append(nbformat.v4.new_code_cell(PUT_NAMES_BACK))
        limits = self.settings.limits
        settings = replace(self.settings, limits=replace(limits, total_seconds=limits.total_seconds * len(cases)))
        ran = execute(nbformat.v4.new_notebook(cells=cells), settings).notebook.cells
        seconds = (time.monotonic() - started) / len(cases)
        outcomes = []
        for case, notebook, end in zip(cases, notebooks, ends, strict=True):
            count = sum(cell.id not in first for cell in notebook.cells)
            outcome = self._graded(case, nbformat.v4.new_notebook(cells=ran[end - count : end]))
            outcome.seconds = seconds
            outcomes.append(replace(self.run(case), again=True) if outcome.problems else outcome)
        return outcomes

    def run_plain(self, case: Case) -> Outcome:
        """Grade a case as nbgrader by itself would: the tests run in the notebook's own kernel.

        nbgrader takes anything on stderr for a failure; that part of it is left out.
        """
        notebook = self.notebook(Case(case.name, case.answers, case.due))
        run_in_plain_kernel(notebook, self.settings if self.settings.sandbox else None)
        for cell in notebook.cells:
            cell.outputs = [output for output in cell.get("outputs", []) if output.output_type != "stream"]
        return self._graded(case, notebook)

    def leaks(self, root: Path, outcomes: list[Outcome]) -> list[str]:
        """Where a line of a hidden test can be seen by a student."""
        texts = {"release": nbformat.writes(self.release)}
        solution = root / "solutions" / f"{self.source.name}.ipynb"
        if solution.is_file():
            texts["solutions"] = solution.read_text(encoding="utf-8")
        for outcome in outcomes:
            shown, _ = ClearHiddenTests().preprocess(copy.deepcopy(outcome.notebook), ResourcesDict())
            texts[f"the feedback on {outcome.case.name}"] = nbformat.writes(shown)
        return [
            f"a line of a hidden test is in {place}: {line}"
            for place, text in texts.items()
            for line in self.hidden
            if json.dumps(line, ensure_ascii=False)[1:-1] in text
        ]

    def _graded(self, case: Case, notebook: NotebookNode) -> Outcome:
        tests = {grade_id(cell): cell for cell in notebook.cells if is_test(cell)}
        outcome = Outcome(case, notebook, {})
        for exercise, cells in graded_cells_by_exercise(self.source.notebook).items():
            if exercise not in case.due:
                continue
            theirs = {grade_id(cell): tests[grade_id(cell)] for cell in cells if grade_id(cell) in tests}
            for name, cell in theirs.items():
                outcome.earned[name] = float(determine_grade(cell)[0]), message_of(cell)
            if found := _problems(case.due[exercise], {name: outcome.earned[name] for name in theirs}, cells):
                outcome.problems[exercise] = found
        return outcome


def run_in_plain_kernel(notebook: NotebookNode, boxed: Settings | None = None) -> None:
    """Run all cells in a kernel of their own, as a student does, in a box if there are settings of one.

    The outputs are put into the notebook.
    """
    with tempfile.TemporaryDirectory(prefix="llmlabs-plain-") as folder:
        box = make_box(Path(folder), boxed) if boxed else None
        manager = sandboxed_kernel_manager(box, preload=preload(notebook))
        client = NotebookClient(notebook, km=manager, allow_errors=True, timeout=SECONDS, interrupt_on_timeout=True)
        try:
            client.execute(cwd=folder, env=kernel_environment())
        finally:
            manager.kill_tree()


def message_of(cell: NotebookNode) -> str:
    """What a failed test says to the student; "" if it passed."""
    return " ".join(output.evalue for output in errors_of(cell))


def text_of_outputs(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs) + message_of(cell)


def _name_in(case: Case, exercise: str) -> str:
    due = case.due[exercise]
    return f"{exercise}, {due.kind} answer {due.name!r}" if isinstance(due, Answer) else f"{case.name}, {exercise}"


def _problems(due: bool | Answer, earned: dict[str, tuple[float, str]], cells: list[NotebookNode]) -> list[str]:
    """What is not as it should be with the tests of one exercise."""
    if _is_wrong(due):
        return _wrong_answer_problems(due, earned)
    most = {grade_id(cell): points(cell) for cell in cells}
    return [
        f"{name} earns {got:g} of {most[name]:g} ({message or 'no message'})"
        for name, (got, message) in earned.items()
        if got != (most[name] if due else 0)
    ]


def _is_wrong(due: bool | Answer) -> TypeGuard[Answer]:
    return isinstance(due, Answer) and due.kind == "wrong"


def _wrong_answer_problems(answer: Answer, earned: dict[str, tuple[float, str]]) -> list[str]:
    if answer.fails not in earned:
        return [f"its header names {answer.fails}, which is no test of the exercise"]
    message = earned[answer.fails][1]
    if not message:
        others = [name for name, (_, text) in earned.items() if text]
        return [f"{answer.fails} does not catch it" + (f", {', '.join(others)} does" if others else "")]
    if answer.says not in message:
        return [f"the message of {answer.fails} lacks {answer.says!r}: {message}"]
    return []


def _runs_plain(case: Case) -> bool:
    """Whether a case is graded in a plain notebook as well: solution, blank release and right answers are."""
    right = any(isinstance(due, Answer) and due.kind == "right" for due in case.due.values())
    return case.searched or not case.answers or right


def _repeated(cases: list[Case]) -> list[Case]:
    """The cases that are graded again: the solution's exercises, and the first company of wrong answers."""
    wrong = [case for case in cases if any(map(_is_wrong, case.due.values()))]
    return [replace(case, searched=False) for case in cases if case.searched] + wrong[:1]


def _differences(first: Outcome, second: Outcome, how: str, *, messages: bool = True) -> list[str]:
    return [
        f"{first.case.name}: {name} earns {first.earned[name][0]:g}, but {second.earned[name][0]:g} {how} "
        f"({second.earned[name][1] or 'no message'})"
        for name in second.earned
        if (first.earned[name] != second.earned[name] if messages else first.earned[name][0] != second.earned[name][0])
    ]


def _hidden_blocks(source: NotebookNode, known: str) -> list[list[str]]:
    """The lines of each hidden block, but short ones and those that are in what students may know."""
    blocks = []
    for cell in source.cells:
        for part in cell.source.split(BEGIN_HIDDEN)[1:]:
            inner = (line.strip() for line in part.partition(END_HIDDEN)[0].splitlines())
            lines = dict.fromkeys(line for line in inner if len(line) >= LEAK_LENGTH)
            blocks.append([x for x in lines if json.dumps(x, ensure_ascii=False)[1:-1] not in known and x not in known])
    return [block for block in blocks if block]


def mark_hidden_tests(notebook: NotebookNode) -> None:
    """Let each hidden part of a notebook's tests begin with a string by which memory can be searched for it."""
    for cell in notebook.cells:
        lines = cell.source.split("\n")
        for number, line in reversed(list(enumerate(lines))):
            if line.strip() == BEGIN_HIDDEN:
                lines.insert(number + 1, line[: line.index("#")] + f"_mark = {MARK!r}")
        cell.source = "\n".join(lines)


def memory_probe() -> NotebookNode:
    """A cell that searches its own process's memory for MARK, which it gets in halves so as not to find itself."""
    first, second = (half.encode() for half in (MARK[: len(MARK) // 2], MARK[len(MARK) // 2 :]))
    code = f"""
found = 0
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for area, rights, *_ in [line.split() for line in maps]:
        if rights[:2] != "rw":
            continue
        start, end = (int(place, 16) for place in area.split("-"))
        try:
            memory.seek(start)
            data = memory.read(end - start)
        except OSError:
            continue
        at = data.find({first!r})
        while at >= 0:
            after = at + {len(first)}
            found += data[after : after + {len(second)}] == {second!r}
            at = data.find({first!r}, after)
        del data
print("searched:", found)
"""
    return nbformat.v4.new_code_cell(code, id="memory-probe")


def needed_cells(source: NotebookNode, exercise: str) -> set[str]:
    """The ids of the cells before the first exercise (imports, data) and of one exercise."""
    needed: set[str] = set()
    run: set[str] = set()
    current, started = "", False
    tests = graded_cells_by_exercise(source)
    for cell in source.cells:
        if is_solution(cell):
            started = True
            run.add(cell.id)
            current = grade_id(cell)
            if current in tests:
                needed |= run if current == exercise else set()
                run = set()
        elif not started or (is_test(cell) and current == exercise):
            needed.add(cell.id)
    return needed


def _numbers(source: Source, answers: list[Answer]) -> dict[str, dict[str, float]]:
    return {
        exercise: {
            "points": sum(map(points, cells)),
            "tests": len(cells),
            **{kind: sum((a.exercise, a.kind) == (exercise, kind) for a in answers) for kind in ("wrong", "right")},
        }
        for exercise, cells in graded_cells_by_exercise(source.notebook).items()
    }


def _missing_answers(source: Source, answers: list[Answer]) -> list[str]:
    exercises = graded_cells_by_exercise(source.notebook)
    problems = [f"answers name {a.exercise}, which is no exercise" for a in answers if a.exercise not in exercises]
    for exercise, numbers in _numbers(source, answers).items():
        if numbers["wrong"] < MIN_WRONG or numbers["right"] < MIN_RIGHT:
            problems.append(
                f"{exercise} has {numbers['wrong']:g} wrong and {numbers['right']:g} right answers; at least "
                f"{MIN_WRONG} and {MIN_RIGHT} are due"
            )
    return problems


def found_in_memory(notebook: NotebookNode) -> list[str]:
    """What the probe, which is a notebook's last cell, found; or that it could not search."""
    found = text_of_outputs(notebook.cells[-1])
    if not found.startswith("searched:"):
        return [f"the memory of the submission's process could not be searched: {found}"]
    times = found.removeprefix("searched:").strip()
    return [] if times == "0" else [f"hidden tests are in the memory of the submission's process, {times} times"]
