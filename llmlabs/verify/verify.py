"""Does the grader of a lab grade rightly? Known submissions go through the engine that grades students."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import determine_grade

from llmlabs.build.builder import Source
from llmlabs.errors import CourseError
from llmlabs.grade.execute import Settings, execute, sandbox_available
from llmlabs.grade.rebuild import rebuild
from llmlabs.notebook import grade_id, graded_cells_by_exercise, is_solution, is_test
from llmlabs.verify.answers import Answer, answers_path, read_answers
from llmlabs.verify.submissions import answered, solutions

MIN_WRONG, MIN_RIGHT = 3, 1


@dataclass(frozen=True)
class Case:
    """One submission whose grade is known.

    Attributes:
        name: what it is, in words.
        answers: the text of its solution cells, by grade_id; the others stay blank.
        exercise: run this exercise only, or the whole notebook if empty.
        full: the exercises that must earn all their points; the tests of the others must earn none.
        wrong: the wrong answer that it holds, if it does.
    """

    name: str
    answers: dict[str, str]
    full: tuple[str, ...] = ()
    exercise: str = ""
    wrong: Answer | None = None


def cases_of(source: Source, answers: list[Answer]) -> list[Case]:
    """The solution, the blank release, each exercise solved alone, and every wrong and right answer alone."""
    exercises = tuple(graded_cells_by_exercise(source.notebook))
    solved = {exercise: solutions(source.notebook, [exercise]) for exercise in exercises}
    cases = [Case("the solution", solutions(source.notebook), exercises), Case("the blank release", {})]
    cases += [Case(f"{exercise} solved alone", solved[exercise], (exercise,), exercise) for exercise in exercises]
    for answer in answers:
        texts = solved[answer.exercise] | {answer.exercise: answer.source}
        name = f"{answer.exercise}, {answer.kind} answer {answer.name!r}"
        if answer.kind == "right":
            cases.append(Case(name, texts, (answer.exercise,), answer.exercise))
        else:
            cases.append(Case(name, texts, (), answer.exercise, answer))
    return cases


def verify_lab(root: Path, source: Source, say: Callable[[str], None], *, jobs: int | None = None) -> list[str]:
    """Grade every known submission of a lab.

    Args:
        root: the course's folder.
        source: the lab.
        say: takes one line of progress.
        jobs: how many run at a time; default: one per core.

    Returns:
        What was graded wrongly, one line each.
    """
    path = root / "release" / f"{source.name}.ipynb"
    if not path.is_file():
        raise CourseError(f"{path.relative_to(root)} is missing.", "Run: llmlabs build")
    release = nbformat.read(path, as_version=4)
    answers = read_answers(answers_path(root, source.section, source.lab))
    problems = [f"{source.name}: {problem}" for problem in _missing_answers(source, answers)]
    cases = cases_of(source, answers)
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        for case, found in zip(cases, pool.map(lambda case: check_case(case, source, release), cases), strict=True):
            problems += [f"{source.name}, {case.name}: {problem}" for problem in found]
            say(f"{source.name}, {case.name}: " + ("; ".join(found) or "as it should be"))
    wrong = sum(answer.kind == "wrong" for answer in answers)
    say(f"{source.name}: {len(cases)} submissions, {wrong} wrong and {len(answers) - wrong} other right answers")
    return problems


def check_case(case: Case, source: Source, release: NotebookNode) -> list[str]:
    """Grade one known submission and return what is not as it should be."""
    notebook = rebuild(answered(release, case.answers), source.notebook).notebook
    if case.exercise:
        notebook.cells = [cell for cell in notebook.cells if cell.id in _needed_cells(source.notebook, case.exercise)]
    notebook = execute(notebook, Settings(sandbox=sandbox_available())).notebook
    tests = {grade_id(cell): cell for cell in notebook.cells if is_test(cell)}
    if case.wrong:
        return _wrong_answer_problems(case.wrong, tests)
    due = {
        grade_id(cell)
        for exercise, cells in graded_cells_by_exercise(source.notebook).items()
        for cell in cells
        if exercise in case.full
    }
    problems = []
    for name, cell in tests.items():
        earned, most = determine_grade(cell)
        if earned != (most if name in due else 0):
            problems.append(f"{name} earns {earned:g} of {most:g} ({message_of(cell) or 'no message'})")
    return problems


def message_of(cell: NotebookNode) -> str:
    """What a failed test says to the student; "" if it passed."""
    return " ".join(output.evalue for output in cell.outputs if output.output_type == "error")


def _wrong_answer_problems(answer: Answer, tests: dict[str, NotebookNode]) -> list[str]:
    if answer.fails not in tests:
        return [f"its header names {answer.fails}, which is no test of the exercise"]
    message = message_of(tests[answer.fails])
    if not message:
        others = [name for name, cell in tests.items() if message_of(cell)]
        return [f"{answer.fails} does not catch it" + (f", {', '.join(others)} does" if others else "")]
    if answer.says not in message:
        return [f"the message of {answer.fails} lacks {answer.says!r}: {message}"]
    return []


def _needed_cells(source: NotebookNode, exercise: str) -> set[str]:
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


def _missing_answers(source: Source, answers: list[Answer]) -> list[str]:
    exercises = graded_cells_by_exercise(source.notebook)
    problems = [f"answers name {a.exercise}, which is no exercise" for a in answers if a.exercise not in exercises]
    for exercise in exercises:
        wrong = sum(answer.exercise == exercise and answer.kind == "wrong" for answer in answers)
        right = sum(answer.exercise == exercise and answer.kind == "right" for answer in answers)
        if wrong < MIN_WRONG or right < MIN_RIGHT:
            problems.append(
                f"{exercise} has {wrong} wrong and {right} right answers; at least {MIN_WRONG} and {MIN_RIGHT} are due"
            )
    return problems
