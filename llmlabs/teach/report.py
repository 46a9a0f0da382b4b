"""How a class did in a section: totals, item analysis, the commonest failed tests, trouble, near-identical answers.

Item analysis is that of classical test theory: an exercise's difficulty is the mean share of its points, and its
discrimination the correlation of its points with the points of all other exercises (Ebel 1954, "Procedures for the
analysis of classroom tests"). Below about 0.2 an exercise says little about who has understood the rest.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nbformat import NotebookNode
from rapidfuzz.distance import Indel
from rapidfuzz.process import cdist

from llmlabs import catalogue
from llmlabs.build.builder import Source, read_sources
from llmlabs.errors import CourseError
from llmlabs.grade.grading import Report, collect
from llmlabs.grade.jobs import RECORDS, Record, read_record
from llmlabs.nbgrader_course import load_config
from llmlabs.notebook import grade_id, graded_cells_by_exercise, is_solution, is_test
from llmlabs.page import render

REPORTS = Path("build") / "reports"
BINS = 10
# errors of tests that say nothing about an answer: there was none, or the test could not run
NO_MISTAKE = {"NotImplementedError", "NotSubmitted", "Unreadable", "NotRun"}
MOST_MESSAGES, MOST_PAIRS = 20, 50
ALIKE = 0.95  # of the tokens of two answers
SHORTEST = 120  # characters of own code; shorter answers are alike by chance


@dataclass(frozen=True)
class Item:
    """One exercise of a class.

    Attributes:
        exercise, title: which.
        possible: points.
        difficulty: the mean share of its points, 0 to 1: low is hard.
        discrimination: its correlation with all other exercises, -1 to 1; None where nothing varies.
        full, none: how many earned all its points, and none.
    """

    exercise: str
    title: str
    possible: float
    difficulty: float
    discrimination: float | None
    full: int
    none: int


@dataclass(frozen=True)
class Failure:
    """A failed test, with one of the messages that it gave, and how many students met it."""

    test: str
    message: str
    students: int


@dataclass(frozen=True)
class Pair:
    """Two students whose answers are nearly the same: in which exercises, and how much of their code on average."""

    first: str
    second: str
    exercises: list[str]
    alike: float


@dataclass(frozen=True)
class ClassReport:
    """All that the page shows.

    Attributes:
        section: its title.
        totals: the students' totals, of those who have one.
        most: the most that can be earned.
        bins: how many totals lie in each tenth of the points.
        items, failures, pairs: see their classes; failures and pairs the most frequent and most alike first.
        troubles: (student, what the grader had to note): crashes, time-outs, tampering, files that could not be read.
        without_score: students who have no score, through no fault of theirs.
    """

    section: str
    totals: list[float]
    most: float
    bins: list[int]
    items: list[Item]
    failures: list[Failure]
    troubles: list[tuple[str, str]]
    pairs: list[Pair]
    without_score: list[str]

    @property
    def median(self) -> float:
        return float(np.median(self.totals)) if self.totals else 0.0

    @property
    def mean(self) -> float:
        return float(np.mean(self.totals)) if self.totals else 0.0


def report_on(root: Path, section: str) -> ClassReport:
    """Read the gradebook and the records of a graded section.

    Raises:
        CourseError: if it has not been graded.
    """
    sources = read_sources(root, catalogue.load(root), section)
    if not sources:
        raise CourseError(f"Section {section} has no finished lab yet.", "course.yml says which are finished.")
    name = sources[0].section.name
    records = read_records(root, name)
    if not records:
        raise CourseError(f"{name} has not been graded yet.", f"Run: llmlabs grade {name}")
    notes = {student: [note for record in labs.values() for note in record.notes] for student, labs in records.items()}
    graded = collect(root, load_config(root), sources, notes)
    totals = [grade.total for grade in graded.grades if grade.total is not None]
    notebooks = {student: {lab: r.read_notebook() for lab, r in labs.items()} for student, labs in records.items()}
    return ClassReport(
        section=sources[0].section.title,
        totals=totals,
        most=graded.max_total,
        bins=np.histogram(totals, bins=BINS, range=(0, graded.max_total))[0].tolist(),
        items=items_of(graded, _titles(sources)),
        failures=failures_of(notebooks),
        troubles=[(student, note) for student, theirs in notes.items() for note in theirs],
        pairs=pairs_of(sources, notebooks),
        without_score=[grade.student for grade in graded.grades if grade.total is None],
    )


def read_records(root: Path, section: str) -> dict[str, dict[str, Record]]:
    """The records of a section by student and lab.

    Raises:
        CourseError: if one was spoiled, for the report would silently lack it.
    """
    found: dict[str, dict[str, Record]] = defaultdict(dict)
    for path in sorted((root / RECORDS / section).glob("*/*.json")):
        if (root / "submitted" / path.parent.name / section).is_dir():
            if not (record := read_record(path)):
                raise CourseError(f"{path.relative_to(root)} is spoiled.", f"Grade once more: llmlabs grade {section}")
            found[path.parent.name][path.stem] = record
    return dict(found)


def items_of(graded: Report, titles: dict[str, str]) -> list[Item]:
    """Difficulty and discrimination of each exercise, over the students who have a score."""
    names = list(graded.max_points)
    points = np.array([[g.exercises[n] for n in names] for g in graded.grades if g.total is not None]).reshape(
        -1, len(names)
    )
    items = []
    for column, name in enumerate(names):
        own, most = points[:, column], graded.max_points[name]
        rest = points.sum(axis=1) - own
        varies = len(own) > 1 and own.std() > 0 and rest.std() > 0
        items.append(
            Item(
                exercise=name,
                title=titles.get(name, name),
                possible=most,
                difficulty=float(own.mean() / most) if len(own) else 0.0,
                discrimination=float(np.corrcoef(own, rest)[0, 1]) if varies else None,
                full=int((own >= most).sum()),
                none=int((own == 0).sum()),
            )
        )
    return items


def failures_of(notebooks: dict[str, dict[str, NotebookNode]]) -> list[Failure]:
    """The failed tests and their messages, alike ones counted together: those that differ in numbers only."""
    students: dict[tuple[str, str], set[str]] = defaultdict(set)
    samples: dict[tuple[str, str], str] = {}
    for student, labs in notebooks.items():
        for notebook in labs.values():
            for cell in filter(is_test, notebook.cells):
                for output in cell.outputs:
                    if output.output_type == "error" and output.ename not in NO_MISTAKE:
                        message = output.evalue.strip() or output.ename
                        key = grade_id(cell), re.sub(r"[-+.\d]+(e[-+]?\d+)?", "#", message)[:120]
                        students[key].add(student)
                        samples.setdefault(key, message)
    most = Counter({key: len(found) for key, found in students.items()}).most_common(MOST_MESSAGES)
    return [Failure(key[0], samples[key], count) for key, count in most]


def pairs_of(sources: Sequence[Source], notebooks: dict[str, dict[str, NotebookNode]]) -> list[Pair]:
    """Pairs of students with nearly the same code, comments and layout apart, in at least one exercise.

    Answers that many students have, such as the only short way to write a function, are left out: an answer counts
    only if it is alike in fewer than a tenth of the class, or two students.
    """
    found: dict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    for source in sources:
        for exercise in graded_cells_by_exercise(source.notebook):
            answers = {
                student: tokens
                for student, labs in notebooks.items()
                if source.lab.name in labs and (tokens := _own_tokens(labs[source.lab.name], source.notebook, exercise))
            }
            names = list(answers)
            alike = cdist(list(answers.values()), list(answers.values()), scorer=Indel.normalized_similarity)
            np.fill_diagonal(alike, 0)
            limit = max(2, len(notebooks) // 10)
            for row, column in zip(*np.nonzero(np.triu(alike >= ALIKE)), strict=True):
                if (alike[row] >= ALIKE).sum() < limit:
                    found[names[row], names[column]].append((exercise, float(alike[row, column])))
    pairs = [
        Pair(first, second, [name for name, _ in shared], float(np.mean([value for _, value in shared])))
        for (first, second), shared in found.items()
    ]
    return sorted(pairs, key=lambda pair: (-len(pair.exercises), -pair.alike))[:MOST_PAIRS]


def _own_tokens(notebook: NotebookNode, source: NotebookNode, exercise: str) -> list[str]:
    """An answer's tokens without comments and strings; none if it is short, or as it was handed out."""
    text = next((c.source for c in notebook.cells if is_solution(c) and grade_id(c) == exercise), "")
    try:
        tokens = [
            token.string
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER)
        ]
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return []
    given = next(c.source for c in source.cells if is_solution(c) and grade_id(c) == exercise)
    signature = len("".join(line for line in given.splitlines() if line.startswith(("def ", "class "))))
    if "NotImplementedError" in tokens or len("".join(tokens)) < SHORTEST + signature:
        return []
    return tokens


def _titles(sources: Sequence[Source]) -> dict[str, str]:
    return {exercise.grade_id: exercise.title for source in sources for exercise in source.lab.exercises}


def write_report(root: Path, section: str) -> Path:
    """Write the page of a graded section; it holds students' names and messages of hidden tests, so it is not for them.

    Raises:
        CourseError: if the section has not been graded.
    """
    report = report_on(root, section)
    path = root / REPORTS / f"{next(iter(catalogue.load(root).labs(section)))[0].name}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render("report.html", report=report), encoding="utf-8", newline="\n")
    return path
