"""Grading the submissions of one section: rebuild, run, let nbgrader record, write feedback/ and grades.csv."""

from __future__ import annotations

import copy
import csv
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from traitlets.config import Config

from llmlabs import catalogue
from llmlabs.build.builder import Source, pair_with_notebook, read_sources
from llmlabs.errors import CourseError
from llmlabs.grade.execute import execute
from llmlabs.grade.rebuild import UnreadableSubmissionError, blank, fail_tests, find_notebooks, read_submission, rebuild
from llmlabs.nbgrader_course import convert, course_directory, load_config
from llmlabs.notebook import grade_id, graded_cells_by_exercise

# where the executed notebooks wait for nbgrader to record them
EXECUTED = Path("build") / "executed"


@dataclass
class Grade:
    """What one student earned in one section, by exercise; a written answer that nobody has marked yet counts 0."""

    student: str
    exercises: dict[str, float] = field(default_factory=dict)
    total: float = 0.0
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


def grade_section(
    root: Path, section: str, students: Iterable[str] = (), *, say: Callable[[str], None] = print
) -> Report:
    """Grade the submissions in submitted/STUDENT/SECTION; one that is broken gets a note and stops no other.

    Args:
        root: the course's folder.
        section: the section's name or number.
        students: whom to grade; by default everybody who handed something in.
        say: takes one line of progress.

    Raises:
        CourseError: if there is nothing to grade, or the section has no finished lab.
    """
    sources = read_sources(root, catalogue.load(root), section)
    if not sources:
        raise CourseError(f"Section {section} has no finished lab yet.", "course.yml says which are finished.")
    name = sources[0].section.name
    submissions = sorted(path for path in (root / "submitted").glob(f"*/{name}") if path.is_dir())
    if wanted := set(students):
        submissions = [path for path in submissions if path.parent.name in wanted]
    if not submissions:
        raise CourseError(
            f"There is nothing to grade in submitted/*/{name}.",
            f"Put each notebook at submitted/STUDENT/{name}/LAB.ipynb.",
        )
    config = load_config(root)
    register_assignment(root, config, sources)
    notes: dict[str, list[str]] = {}
    for number, submission in enumerate(submissions, start=1):
        student = submission.parent.name
        notes[student] = run_submission(root, submission, {source.lab.name: source.notebook for source in sources})
        say(f"[{number}/{len(submissions)}] {student}" + (f": {'; '.join(notes[student])}" if notes[student] else ""))
    record(config, name, list(notes))
    report = collect(root, config, sources, notes)
    export_csv(root / "grades.csv", report)
    return report


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


def run_submission(root: Path, submission: Path, sources: dict[str, NotebookNode]) -> list[str]:
    """Rebuild and run one student's notebooks, into build/executed; return the notes on them."""
    student, section = submission.parent.name, submission.name
    found, notes = find_notebooks(submission, sources)
    destination = root / EXECUTED / student / section
    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    for name, source in sources.items():
        if name not in found:
            notebook = blank(source)
            reason = f"{name}.ipynb was not handed in"
            fail_tests(notebook, "NotSubmitted", reason)
            notes.append(reason)
        else:
            try:
                rebuilt = rebuild(read_submission(found[name]), source)
            except UnreadableSubmissionError as error:
                notebook = blank(source)
                reason = f"{found[name].name} could not be read: {error}"
                fail_tests(notebook, "Unreadable", reason)
                notes.append(reason)
            else:
                notebook = rebuilt.notebook
                notes += rebuilt.notes
                if ended := execute(notebook):
                    notes.append(f"{name}: {ended}")
        nbformat.write(notebook, destination / f"{name}.ipynb")
    timestamp = submission / "timestamp.txt"
    if timestamp.is_file():
        shutil.copyfile(timestamp, destination / timestamp.name)
    return notes


def record(config: Config, section: str, students: list[str]) -> None:
    """Let nbgrader score the executed notebooks, write the gradebook and autograded/, then feedback/."""
    config = copy.deepcopy(config)
    # the flags of `nbgrader autograde --no-execute`
    config.Execute.enabled = False
    config.ClearOutput.enabled = False
    for student in students:
        coursedir = course_directory(config, assignment=section, student=student)
        coursedir.submitted_directory = str(EXECUTED)
        convert(Autograde, coursedir, config, force=True)
        convert(GenerateFeedback, course_directory(config, assignment=section, student=student), config, force=True)


def collect(root: Path, config: Config, sources: list[Source], notes: dict[str, list[str]]) -> Report:
    """Read the gradebook back, by exercise."""
    exercises = {
        exercise: (
            source.lab.name,
            [grade_id(cell) for cell in cells],
            sum(cell.metadata.nbgrader.points for cell in cells),
        )
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
                grade.notes.append("nbgrader has no record of this submission")
            else:
                scores = {(n.name, g.name): g.score or 0.0 for n in submission.notebooks for g in n.grades}
                for exercise, (lab, cells, _) in exercises.items():
                    grade.exercises[exercise] = sum(scores.get((lab, cell), 0.0) for cell in cells)
                grade.total = submission.score - (submission.late_submission_penalty or 0.0)
            grades.append(grade)
    max_points = {exercise: float(most) for exercise, (_, _, most) in exercises.items()}
    return Report(section, max_points, grades, root / "feedback")


def export_csv(path: Path, report: Report) -> None:
    """Write one row per student: the points of each exercise, the total and the notes."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["assignment", "student_id", *report.max_points, "score", "max_score", "note"])
        for grade in report.grades:
            points = [grade.exercises.get(exercise, 0.0) for exercise in report.max_points]
            writer.writerow(
                [report.section, grade.student, *points, grade.total, report.max_total, "; ".join(grade.notes)]
            )
    partial.replace(path)
