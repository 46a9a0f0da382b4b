"""Grading the submissions of one section: run what is new, let nbgrader record it, write feedback/ and grades.csv."""

from __future__ import annotations

import copy
import csv
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from filelock import FileLock, Timeout
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.utils import parse_utc
from traitlets.config import Config

from llmlabs import catalogue
from llmlabs.build.builder import Source, pair_with_notebook, read_sources
from llmlabs.errors import CourseError
from llmlabs.grade.execute import Settings, describe_sandbox
from llmlabs.grade.jobs import Job, Record, RecordStore
from llmlabs.grade.pool import run_in_pool
from llmlabs.grade.rebuild import UnreadableSubmissionError, find_notebooks, read_bytes
from llmlabs.grade.submission import Limits
from llmlabs.nbgrader_course import convert, course_directory, load_config
from llmlabs.notebook import grade_id, graded_cells_by_exercise, points

# where the executed notebooks wait for nbgrader to record them
EXECUTED = Path("build") / "executed"


@dataclass
class Grade:
    """What one student earned in one section, by exercise; a written answer that nobody has marked yet counts 0.

    Attributes:
        total: after late penalties; None if there is no score, through no fault of the student.
        failed: the graded cells that did not earn all their points.
        notes: what had to be repaired, and what ended a run early.
    """

    student: str
    exercises: dict[str, float] = field(default_factory=dict)
    total: float | None = None
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Report:
    """The grades of one section and the most that could be earned, by exercise."""

    section: str
    max_points: dict[str, float]
    grades: list[Grade]
    feedback: Path

    @property
    def max_total(self) -> float:
        return sum(self.max_points.values())


@dataclass(frozen=True)
class Options:
    """How a run of the grader goes.

    Attributes:
        students: whom to grade; everybody who handed something in, if empty.
        force: run and record again what has not changed.
        workers: processes on this machine; default: one per core.
        scheduler: address of a Dask scheduler to use instead.
        sandbox: run the students' code in a box; without one it can do whatever the grader can.
        limits: the seconds and bytes that each notebook may use.
    """

    students: tuple[str, ...] = ()
    force: bool = False
    workers: int | None = None
    scheduler: str = ""
    sandbox: bool = True
    limits: Limits = field(default_factory=Limits)


def grade_section(
    root: Path, section: str, options: Options = Options(), *, say: Callable[[str], None] = print
) -> Report:
    """Grade the submissions in submitted/STUDENT/SECTION; one that is broken gets a note and stops no other.

    Killed at any point, it goes on from there when it is called again, and the grades are the same.

    Args:
        root: the course's folder.
        section: the section's name or number.
        options: how.
        say: takes one line of progress.

    Raises:
        CourseError: if there is nothing to grade, the section has no finished lab, or somebody else is grading.
    """
    sources = read_sources(root, catalogue.load(root), section)
    if not sources:
        raise CourseError(f"Section {section} has no finished lab yet.", "course.yml says which are finished.")
    submissions = find_submissions(root, sources[0].section.name, options.students)
    say(f"sandbox: {describe_sandbox()}" if options.sandbox else "sandbox: none, students' code has your rights")
    (root / "build").mkdir(exist_ok=True)
    try:
        with FileLock(root / "build" / "grade.lock", timeout=0):
            return _grade(root, sources, submissions, options, say)
    except Timeout as error:
        raise CourseError("Another run is grading this course.", "Wait for it to end, or stop it.") from error


def find_submissions(root: Path, section: str, students: Iterable[str] = ()) -> list[Path]:
    """The folders submitted/STUDENT/SECTION, of everybody or of the students named.

    Raises:
        CourseError: if there are none, or one of the students named has none.
    """
    found = {path.parent.name: path for path in sorted((root / "submitted").glob(f"*/{section}")) if path.is_dir()}
    if unknown := sorted(set(students) - found.keys()):
        raise CourseError(f"Nothing was handed in by {', '.join(unknown)}.", f"Look into submitted/STUDENT/{section}.")
    if not found:
        raise CourseError(
            f"There is nothing to grade in submitted/*/{section}.",
            f"Put each notebook at submitted/STUDENT/{section}/LAB.ipynb.",
        )
    wanted = set(students)
    return [path for student, path in found.items() if not wanted or student in wanted]


def make_job(source: Source, student: str, file: Path | None, options: Options) -> Job:
    """The job of grading one file; `file` is None if the lab was not handed in."""
    submission: bytes | str = ""
    if file is not None:
        try:
            submission = read_bytes(file)
        except UnreadableSubmissionError as error:
            submission = str(error)
    return Job(
        student=student,
        section=source.section.name,
        lab=source.lab.name,
        file=file.name if file else "",
        submission=submission,
        source=nbformat.writes(source.notebook),
        settings=Settings(
            sandbox=options.sandbox,
            seed=os.environ.get("LLMLABS_SEED", ""),
            limits=options.limits,
            gpu=source.lab.accelerator == "required",
        ),
    )


def register_assignment(root: Path, config: Config, sources: list[Source]) -> None:
    """Tell the gradebook the section's cells and points, as they stand in the source now."""
    for source in sources:
        pair_with_notebook(source)
        # one notebook at a time: nbgrader refuses to add a notebook to a graded assignment as a whole
        coursedir = course_directory(config, assignment=source.section.name, notebook=source.lab.name)
        # the release is the build's business; nbgrader writes another copy, which nobody needs
        coursedir.release_directory = str(Path("build") / "registered")
        convert(GenerateAssignment, coursedir, config, force=True)
    shutil.rmtree(root / "build" / "registered", ignore_errors=True)


def _grade(
    root: Path, sources: list[Source], submissions: list[Path], options: Options, say: Callable[[str], None]
) -> Report:
    section = sources[0].section.name
    config = load_config(root)
    register_assignment(root, config, sources)
    store = RecordStore(root)
    notebooks = {source.lab.name: source.notebook for source in sources}
    jobs: dict[str, list[Job]] = {}
    notes: dict[str, list[str]] = {}
    for submission in submissions:
        student = submission.parent.name
        files, notes[student] = find_notebooks(submission, notebooks)
        jobs[student] = [make_job(source, student, files.get(source.lab.name), options) for source in sources]

    records = {} if options.force else {job: record for job in _all(jobs) if (record := store.load(job))}
    todo = [job for job in _all(jobs) if job not in records]
    if records:
        say(f"{len(records)} of {len(_all(jobs))} notebooks are unchanged since they were graded")

    def done(job: Job, record: Record) -> None:
        store.save(job, record)
        records[job] = record
        detail = f": {'; '.join(record.notes)}" if record.notes else ""
        say(f"[{len(records)}/{len(_all(jobs))}] {job.student} {job.lab}, {record.seconds:.1f} s{detail}")
        record_if_complete(job.student)  # while the workers go on

    def failed(job: Job, why: str) -> None:
        notes[job.student].append(f"{job.lab} has no score: {why}")
        say(notes[job.student][-1])

    def record_if_complete(student: str) -> None:
        theirs = jobs[student]
        if not all(job in records for job in theirs):
            return
        notes[student] += [note for job in theirs for note in records[job].notes]
        try:
            _record_once(root, config, section, student, [records[job] for job in theirs], theirs, options.force)
        except CourseError as error:
            notes[student].append(f"not recorded: {error.what}")
            say(f"{student}: {notes[student][-1]}")

    for student in jobs:
        record_if_complete(student)
    if todo:
        run_in_pool(todo, done, failed, workers=options.workers, scheduler=options.scheduler)
    report = collect(root, config, sources, notes)
    export_csv(root / "grades.csv", report)
    return report


def _all(jobs: dict[str, list[Job]]) -> list[Job]:
    return [job for theirs in jobs.values() for job in theirs]


def _record_once(
    root: Path, config: Config, section: str, student: str, records: list[Record], jobs: list[Job], force: bool
) -> None:
    """Let nbgrader record a student's notebooks, unless it has recorded just these."""
    marker = RecordStore(root).folder / section / student / "recorded"
    submission = root / "submitted" / student / section
    beside = {"timestamp.txt": read_timestamp(submission / "timestamp.txt")}
    beside["submission_secret.txt"] = read_secret(submission / "submission_secret.txt")
    parts = [*(record.key for record in records), *beside.values()]
    keys = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    pages = [root / "feedback" / student / section / f"{job.lab}.html" for job in jobs]
    known = marker.is_file() and marker.read_text(encoding="utf-8") == keys and _is_recorded(config, section, student)
    if known and all(page.is_file() for page in pages) and not force:
        return
    marker.unlink(missing_ok=True)
    destination = root / EXECUTED / student / section
    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    for job, record in zip(jobs, records, strict=True):
        (destination / f"{job.lab}.ipynb").write_text(record.notebook, encoding="utf-8")
    for name, text in beside.items():
        if text:
            (destination / name).write_text(text, encoding="utf-8")
    record_with_nbgrader(config, section, student)
    marker.write_text(keys, encoding="utf-8")
    shutil.rmtree(destination.parent)


def read_timestamp(path: Path) -> str:
    """When a submission was handed in, as nbgrader's exchange notes it; "" if that is not noted, or no time."""
    try:
        text = read_bytes(path).decode("utf-8").strip()
        parse_utc(text)
    except (UnreadableSubmissionError, ValueError, OverflowError):
        return ""
    return text


def read_secret(path: Path) -> str:
    """The key under which nbgrader's exchange hands out feedback to who handed this in; "" if there is none."""
    try:
        text = read_bytes(path).decode("utf-8").strip()
    except (UnreadableSubmissionError, ValueError):
        return ""
    return text if re.fullmatch("[0-9a-zA-Z_-]{1,256}", text) else ""


def record_with_nbgrader(config: Config, section: str, student: str) -> None:
    """Let nbgrader score the executed notebooks, write the gradebook and autograded/, then feedback/."""
    config = copy.deepcopy(config)
    # nbgrader's stock reader, for these notebooks have been run
    config.Autograde.exporter_class = NotebookExporter
    coursedir = course_directory(config, assignment=section, student=student)
    coursedir.submitted_directory = str(EXECUTED)
    convert(Autograde, coursedir, config, force=True)
    convert(GenerateFeedback, course_directory(config, assignment=section, student=student), config, force=True)


def _is_recorded(config: Config, section: str, student: str) -> bool:
    coursedir = course_directory(config, assignment=section)
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        try:
            gradebook.find_submission(section, student)
        except MissingEntry:
            return False
    return True


def collect(root: Path, config: Config, sources: list[Source], notes: dict[str, list[str]]) -> Report:
    """Read the gradebook back, by exercise."""
    exercises: dict[str, tuple[str, list[NotebookNode]]] = {
        exercise: (source.lab.name, cells)
        for source in sources
        for exercise, cells in graded_cells_by_exercise(source.notebook).items()
    }
    section = sources[0].section.name
    grades = []
    coursedir = course_directory(config, assignment=section)
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        for student, student_notes in notes.items():
            grade = Grade(student, notes=list(student_notes))
            try:
                submission = gradebook.find_submission(section, student)
            except MissingEntry:
                grades.append(grade)
                continue
            scores = {(n.name, g.name): g.score or 0.0 for n in submission.notebooks for g in n.grades}
            for exercise, (lab, cells) in exercises.items():
                grade.exercises[exercise] = sum(scores.get((lab, grade_id(cell)), 0.0) for cell in cells)
                grade.failed += [grade_id(c) for c in cells if scores.get((lab, grade_id(c)), 0.0) < points(c)]
            grade.total = submission.score - (submission.late_submission_penalty or 0.0)
            grades.append(grade)
    max_points = {exercise: sum(map(points, cells)) for exercise, (_, cells) in exercises.items()}
    return Report(section, max_points, grades, root / "feedback")


def export_csv(path: Path, report: Report) -> None:
    """Write one row per student: the points of each exercise, the total and the notes; no score is an empty field."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["assignment", "student_id", *report.max_points, "score", "max_score", "failed", "note"])
        for grade in report.grades:
            earned = [grade.exercises.get(exercise) for exercise in report.max_points]
            writer.writerow(
                [
                    *(report.section, grade.student, *earned, grade.total, report.max_total),
                    *(" ".join(grade.failed), "; ".join(grade.notes)),
                ]
            )
    partial.replace(path)
