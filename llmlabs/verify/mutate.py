"""Mutation testing of the graders: which small mistakes in a solution do its tests not notice?

Outcomes and what is made of them are in docs/grader-quality.json and, for readers, docs/grader-quality.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from llmlabs import catalogue
from llmlabs.build.builder import Source, read_sources
from llmlabs.errors import CourseError
from llmlabs.grade.execute import ENVIRONMENT
from llmlabs.notebook import grade_id, graded_cells_by_exercise, is_solution, is_test
from llmlabs.verify import mutants as operators
from llmlabs.verify.answers import answers_path, read_answers
from llmlabs.verify.mutants import Mutant, mutants_of
from llmlabs.verify.run_mutants import KILLED, ORIGINAL_SECONDS, SECONDS, SURVIVED, TIMED_OUT, TIMES
from llmlabs.verify.verify import needed_cells

MIN_SCORE = 95.0  # per cent of the mutants that are not equivalent
DATA = Path("docs") / "grader-quality.json"
PAGE = Path("docs") / "grader-quality.md"
Say = Callable[[str], None]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)


class Change(_Entry):
    """What a mutant changes; the fields are those of `mutants.Mutant`."""

    exercise: str
    function: str = ""
    before: str
    after: str
    nth: int = 1

    def __str__(self) -> str:
        nth = f", number {self.nth} of its kind" if self.nth > 1 else ""
        return f"{self.exercise}, {self.function or 'top level'}{nth}:  {self.before}  ->  {self.after}"


class Equivalent(Change):
    """An entry of LAB.mutants.yml: a mutant that no fair test can kill, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    reason: str = Field(min_length=10)


class Survivor(Change):
    """A mutant that passes all tests; `reason` says why it is equivalent, "" if it is not listed as such."""

    reason: str = ""


class ExerciseQuality(_Entry):
    """What is known of the tests of one exercise: test cells, answers of answers/, and mutants."""

    tests: int
    wrong_answers: int
    right_answers: int
    mutants: int
    killed: int
    timed_out: int
    survivors: tuple[Survivor, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def equivalent(self) -> int:
        return sum(bool(survivor.reason) for survivor in self.survivors)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def survived(self) -> int:
        return len(self.survivors) - self.equivalent

    @computed_field  # type: ignore[prop-decorator]
    @property
    def score(self) -> float:
        """Per cent killed, those timed out included, of the mutants that are not equivalent."""
        return score(self.killed + self.timed_out, self.survived)


class LabQuality(_Entry):
    """The exercises of a lab; `source` and `operators` are hashes of what the outcomes depend on."""

    source: str
    operators: str
    exercises: dict[str, ExerciseQuality]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def score(self) -> float:
        exercises = self.exercises.values()
        return score(sum(e.killed + e.timed_out for e in exercises), sum(e.survived for e in exercises))


class Quality(_Entry):
    """docs/grader-quality.json: the labs by "section/lab"."""

    labs: dict[str, LabQuality] = {}


def score(killed: int, survived: int) -> float:
    """Per cent, rounded down to a tenth, so that 100.0 means all."""
    return int(1000 * killed / (killed + survived)) / 10 if killed + survived else 100.0


def mutate(root: Path, selector: str = "", *, again: bool = False, jobs: int | None = None, say: Say) -> list[str]:
    """Run the mutants of the finished labs that `selector` names and publish what came out.

    Args:
        root: the course's folder.
        selector: a section or lab; all by default.
        again: run also labs whose solutions, tests and operators have not changed since they were published.
        jobs: how many mutants run at a time; default: one per core.
        say: takes one line of progress.

    Returns:
        What must be mended: labs under MIN_SCORE, entries of LAB.mutants.yml that name no survivor, and labs that
        cannot be run, which are left as they were published.
    """
    course = catalogue.load(root)
    sources = read_sources(root, course, selector)
    if not sources:
        raise CourseError("No finished lab is named, so nothing was mutated.", "course.yml says which are finished.")
    finished = {f"{section.name}/{lab.name}" for section, lab in course.labs(finished=True)}
    problems = []
    for source in sources:
        labs = {name: lab for name, lab in read_quality(root).labs.items() if name in finished}
        known = labs.get(source.name)
        try:
            equivalents = read_equivalents(root, source)  # before the work, in case it cannot be read
            if known and not again and (known.source, known.operators) == (cells_hash(source), operators_hash()):
                say(f"{source.name}: unchanged since it was published")
            else:
                known = mutate_lab(root, source, say, jobs=jobs)
            found, stale = with_answers(root, source, known, equivalents)
        except CourseError as error:
            problems.append(str(error))
            continue
        labs[source.name] = found
        write_quality(root, Quality(labs=dict(sorted(labs.items()))))
        survivors = [survivor for exercise in found.exercises.values() for survivor in exercise.survivors]
        for survivor in survivors:
            if not survivor.reason:
                say(f"survived: {source.name}, {survivor}")
        say(f"{source.name}: score {found.score} %")
        problems += stale
        if found.score < MIN_SCORE:
            problems.append(f"{source.name}: its tests kill {found.score} % of the mutants, {MIN_SCORE:g} % are due")
    return problems


def mutate_lab(root: Path, source: Source, say: Say, *, jobs: int | None = None) -> LabQuality:
    """Run all mutants of a lab against the tests of their exercises.

    Raises:
        CourseError: if a solution does not pass its own tests, or the lab cannot be run.
    """
    exercises = _exercises(source)
    mutants: dict[str, list[Mutant]] = {}
    for name, exercise in exercises.items():
        mutants[name] = mutants_of(exercise["cells"])
        exercise["mutants"] = [(mutant.cell, mutant.source) for mutant in mutants[name]]
    lab = {
        "setup": _setup(source),
        "jobs": jobs or os.cpu_count() or 1,
        "exercises": [{"name": name, **exercise} for name, exercise in exercises.items()],
    }
    outcomes: dict[str, dict[int, str]] = {name: {} for name in exercises}
    started = time.monotonic()
    with closing(_run(root, source, lab)) as answers:
        for answer in answers:
            name = answer.get("exercise", "")
            if answer.get("original", SURVIVED) != SURVIVED:
                late = f" within {ORIGINAL_SECONDS} s" if answer["original"] == TIMED_OUT else ""
                raise CourseError(
                    f"{source.name}, {name}: the solution does not pass its own tests in a plain notebook{late}.",
                    "\n".join(answer["why"].strip().split("\n")[-6:]),
                )
            if "outcome" in answer:
                outcomes[name][answer["index"]] = answer["outcome"]
                if len(outcomes[name]) == len(mutants[name]):
                    count = Counter(outcomes[name].values())
                    say(
                        f"{source.name}, {name}: {len(mutants[name])} mutants, {count[KILLED]} killed, "
                        f"{count[TIMED_OUT]} timed out, {count[SURVIVED]} survived "
                        f"({time.monotonic() - started:.0f} s since the lab's start)"
                    )
    if missing := [name for name in exercises if len(outcomes[name]) < len(mutants[name])]:
        raise CourseError(f"{source.name}: the run ended before all mutants of {', '.join(missing)}.")
    return LabQuality(
        source=cells_hash(source),
        operators=operators_hash(),
        exercises={
            name: _quality(name, len(exercise["tests"]), mutants[name], outcomes[name])
            for name, exercise in exercises.items()
        },
    )


def _quality(name: str, tests: int, mutants: list[Mutant], outcomes: dict[int, str]) -> ExerciseQuality:
    count = Counter(outcomes.values())
    return ExerciseQuality(
        tests=tests,
        wrong_answers=0,
        right_answers=0,
        mutants=len(mutants),
        killed=count[KILLED],
        timed_out=count[TIMED_OUT],
        survivors=tuple(
            Survivor(exercise=name, function=m.function, before=m.before, after=m.after, nth=m.nth)
            for i, m in enumerate(mutants)
            if outcomes[i] == SURVIVED
        ),
    )


def with_answers(
    root: Path, source: Source, found: LabQuality, equivalents: list[Equivalent]
) -> tuple[LabQuality, list[str]]:
    """Add what answers/ holds: the numbers of answers, and the reasons of the survivors that are listed as equivalent.

    Returns:
        The lab, and a line for each entry that names no surviving mutant.
    """
    count = Counter((a.exercise, a.kind) for a in read_answers(answers_path(root, source.section, source.lab)))
    reasons = {_change(entry): entry.reason for entry in equivalents}
    exercises = {
        name: exercise.model_copy(
            update={
                "wrong_answers": count[name, "wrong"],
                "right_answers": count[name, "right"],
                "survivors": tuple(
                    survivor.model_copy(update={"reason": reasons.get(_change(survivor), "")})
                    for survivor in exercise.survivors
                ),
            }
        )
        for name, exercise in found.exercises.items()
    }
    alive = {_change(survivor) for exercise in found.exercises.values() for survivor in exercise.survivors}
    path = equivalents_path(root, source).relative_to(root)
    stale = [
        f"{path} lists a mutant that does not survive (there is none, or a test kills it): {entry}"
        for entry in equivalents
        if _change(entry) not in alive
    ]
    return found.model_copy(update={"exercises": exercises}), stale


def _change(change: Change) -> tuple[str, str, str, str, int]:
    return change.exercise, change.function, change.before, change.after, change.nth


def equivalents_path(root: Path, source: Source) -> Path:
    return answers_path(root, source.section, source.lab).with_suffix(".mutants.yml")


def read_equivalents(root: Path, source: Source) -> list[Equivalent]:
    """The mutants that a lab lists as equivalent; none if it has no such file.

    Raises:
        CourseError: if an entry is not complete or is there twice.
    """
    path = equivalents_path(root, source)
    if not path.is_file():
        return []
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
        if not isinstance(entries, list):
            raise CourseError(f"{path} is not a list of entries.", 'Begin each entry with "- exercise: ...".')
        found = [Equivalent.model_validate(entry) for entry in entries]
    except yaml.YAMLError as error:
        raise CourseError(f"{path} is not valid YAML: {error}", "Mend the line that it names.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = f"{' > '.join(map(str, first['loc']))}: {first['msg']}; it was given {first['input']}"
        raise CourseError(f"{path}, {place}", "An entry has exercise, function, before, after, reason.") from error
    if twice := [str(entry) for entry, n in Counter(map(_change, found)).items() if n > 1]:
        raise CourseError(f"{path} lists a mutant twice: {twice[0]}", "Remove one of the two.")
    return found


def check_published(root: Path, sources: list[Source]) -> list[str]:
    """What is wrong with the published tables: older than a lab's solutions or tests, or not what answers/ gives.

    Args:
        root: the course's folder.
        sources: all finished labs.
    """
    published = read_quality(root)
    problems = []
    for source in sources:
        known = published.labs.get(source.name)
        if known is None:
            problems.append(f"{PAGE} has no rows for {source.name}")
        elif known.source != cells_hash(source):
            problems.append(f"{PAGE} is older than the solutions and tests of {source.path.relative_to(root)}")
        else:
            fresh, stale = with_answers(root, source, known, read_equivalents(root, source))
            problems += stale
            if fresh != known:
                problems.append(f"{PAGE} is not what the answers of {source.name} give")
    if unknown := published.labs.keys() - {source.name for source in sources}:
        problems.append(f"{PAGE} has rows for {', '.join(sorted(unknown))}, which course.yml does not call finished")
    page = root / PAGE
    if not problems and (not page.is_file() or page.read_text(encoding="utf-8") != report(published)):
        problems.append(f"{PAGE} is not what {DATA} gives")
    return [f"{problem}; run: llmlabs mutate" for problem in problems]


def read_quality(root: Path) -> Quality:
    """What is published; nothing if there is no file yet."""
    path = root / DATA
    if not path.is_file():
        return Quality()
    try:
        return Quality.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise CourseError(
            f"{path} cannot be read: {error}", "Restore it from git, or delete it to make it anew."
        ) from error


def write_quality(root: Path, quality: Quality) -> None:
    """Write the data and the page made from it."""
    (root / DATA).parent.mkdir(exist_ok=True)
    for path, text in ((DATA, json.dumps(quality.model_dump(), indent=1) + "\n"), (PAGE, report(quality))):
        (root / path).write_text(text, encoding="utf-8", newline="\n")


def cells_hash(source: Source) -> str:
    """A hash of the lab's solution and test cells: what an edit of the text around them does not change."""
    cells = [(grade_id(cell), cell.source) for cell in source.notebook.cells if is_solution(cell) or is_test(cell)]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


def operators_hash() -> str:
    """A hash of what makes the mutants."""
    return hashlib.sha256(Path(operators.__file__).read_bytes()).hexdigest()[:16]


_INTRODUCTION = f"""\
# How good are the graders?

Made by `make mutate` from the labs' sources and `answers/`; as data: [grader-quality.json](grader-quality.json).

A *mutant* is a solution with one small mistake: another operator or constant, a wrong axis, a slice one off, a
statement, argument, `detach` or `clone` left out, arguments swapped, in place for out of place. It is *killed* if a
test of its exercise fails, and *timed out* if it takes more than {TIMES} times the solution's processor time and
{SECONDS} s. A mutant that passes all tests is either *equivalent*, listed below with the reason why no fair test can
tell it from the solution, or it has *survived*: a test is missing. The *score* is the share of killed and timed-out
mutants among those that are not equivalent; every lab must reach {MIN_SCORE:g} %. Wrong and right answers are those
of `answers/`, which `llmlabs verify` grades through the engine.
"""


def report(quality: Quality) -> str:
    """The page for readers."""
    exercises = [exercise for lab in quality.labs.values() for exercise in lab.exercises.values()]
    killed, late = sum(e.killed for e in exercises), sum(e.timed_out for e in exercises)
    equivalent, survived = sum(e.equivalent for e in exercises), sum(e.survived for e in exercises)
    survivors = [(name, s) for name, lab in quality.labs.items() for e in lab.exercises.values() for s in e.survivors]
    lines = [
        _INTRODUCTION,
        f"**{sum(e.mutants for e in exercises)} mutants of {len(exercises)} exercises in {len(quality.labs)} "
        f"lab{'s' * (len(quality.labs) != 1)}: {killed} killed, {late} timed out, {survived} survived, "
        f"{equivalent} equivalent; score {score(killed + late, survived)} %.**",
        "",
    ]
    for name, lab in quality.labs.items():
        lines += [
            f"## {name}",
            "",
            "| exercise | test cells | wrong answers | right answers | mutants | killed | timed out | survived "
            "| equivalent | score |",
            "| :--- | " + "---: | " * 8 + "---: |",
        ]
        for exercise, e in lab.exercises.items():
            numbers = (e.tests, e.wrong_answers, e.right_answers, e.mutants, e.killed, e.timed_out, e.survived)
            lines.append(f"| {exercise} | {' | '.join(map(str, numbers))} | {e.equivalent} | {e.score} % |")
        columns = (
            "tests",
            "wrong_answers",
            "right_answers",
            "mutants",
            "killed",
            "timed_out",
            "survived",
            "equivalent",
        )
        sums = [sum(getattr(e, column) for e in lab.exercises.values()) for column in columns]
        lines += [f"| **lab** | {' | '.join(map(str, sums))} | **{lab.score} %** |", ""]
    if survived:
        lines += [
            "## Survived: to be read",
            "",
            "| lab | exercise | function | mutant |",
            "| :--- | :--- | :--- | :--- |",
        ]
        lines += [f"| {name} {_cells(s)} |" for name, s in survivors if not s.reason]
        lines.append("")
    if equivalent:
        lines += ["## Equivalent, and why", ""]
        lines += ["| lab | exercise | function | mutant | reason |", "| :--- | :--- | :--- | :--- | :--- |"]
        lines += [f"| {name} {_cells(s)} | {s.reason.strip()} |" for name, s in survivors if s.reason]
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def _cells(survivor: Survivor) -> str:
    before, after = (f"`` {text} ``".replace("|", "\\|") for text in (survivor.before, survivor.after))
    nth = f" ({survivor.nth})" if survivor.nth > 1 else ""
    return f"| {survivor.exercise} | {survivor.function or 'top level'} | {before} → {after}{nth}"


def _setup(source: Source) -> list[str]:
    """The text of the cells before the first exercise."""
    cells = []
    for cell in source.notebook.cells:
        if is_solution(cell):
            break
        if cell.cell_type == "code":
            cells.append(cell.source)
    return cells


def _exercises(source: Source) -> dict[str, dict[str, Any]]:
    """For each exercise with tests its solution "cells" and its "tests", [grade_id, text]."""
    found: dict[str, dict[str, Any]] = {}
    for name in graded_cells_by_exercise(source.notebook):
        ids = needed_cells(source.notebook, name)
        needed = [cell for cell in source.notebook.cells if cell.id in ids and cell.cell_type == "code"]
        if tests := [(grade_id(cell), cell.source) for cell in needed if is_test(cell)]:
            found[name] = {"cells": [cell.source for cell in needed if is_solution(cell)], "tests": tests}
    return found


def _run(root: Path, source: Source, lab: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
    """Run a lab's mutants in a process of its own; yield its answers.

    Raises:
        CourseError: if the process fails.
    """
    environment = {
        **os.environ,
        **ENVIRONMENT,
        "MPLBACKEND": "agg",  # no notebook, no window
        "PYTHONHASHSEED": "0",
        "TOKENIZERS_PARALLELISM": "false",  # its threads do not live through a fork
        "LLMLABS_ROOT": str(root),
    }
    command = [sys.executable, "-m", "llmlabs.verify.run_mutants"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, encoding="utf-8"
        )
        try:
            with suppress(BrokenPipeError), cast(IO[str], process.stdin) as pipe:
                json.dump(lab, pipe)
            for line in cast(IO[str], process.stdout):
                answer = json.loads(line)
                if "error" in answer:
                    raise CourseError(f"{source.name} cannot be mutated:\n{answer['error'].strip()}")
                yield answer
            if process.wait():
                errors.seek(0)
                said = errors.read()[-2000:].strip()
                raise CourseError(f"{source.name}: the run of the mutants ended with {process.returncode}: {said}")
        finally:
            process.terminate()
            process.wait()
