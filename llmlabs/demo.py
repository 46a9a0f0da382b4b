"""Five sample submissions of a real lab, whose grades are known before they are graded."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook

from llmlabs import catalogue
from llmlabs.build.builder import build, read_sources
from llmlabs.errors import CourseError
from llmlabs.nbgrader_course import course_directory, load_config
from llmlabs.notebook import graded_cells_by_exercise
from llmlabs.verify.answers import answers_path, read_answers
from llmlabs.verify.submissions import answered, solutions

LAB = "01_neural_networks/network_from_scratch"
PREFIX = "demo-"
NOT_A_NOTEBOOK = "Dear instructor, my notebook is on my other laptop. Here is a photo of it.\n"


def make_samples(root: Path) -> tuple[str, dict[str, str]]:
    """Write the five submissions into submitted/demo-*.

    Returns:
        The section, and for each student what was handed in.

    Raises:
        CourseError: if the gradebook holds real students, among whom sample ones have no place.
    """
    if real := _real_students(root):
        raise CourseError(
            f"The gradebook holds real students ({', '.join(sorted(real)[:3])} ...); the demo would add five more.",
            "Run the demo in a fresh clone.",
        )
    build(root, LAB, solutions=False)
    [source] = read_sources(root, catalogue.load(root), LAB)
    release = nbformat.read(root / "release" / f"{LAB}.ipynb", as_version=4)
    exercises = list(graded_cells_by_exercise(source.notebook))
    first_half = exercises[: len(exercises) // 2]
    mistake = next(a for a in read_answers(answers_path(root, source.section, source.lab)) if a.kind == "wrong")
    everything = solutions(source.notebook)
    samples = {
        "solved": (everything, "every exercise solved"),
        "half": (solutions(source.notebook, first_half), f"the first {len(first_half)} exercises solved"),
        "blank": ({}, "the release as it was handed out"),
        "mistake": (
            everything | {mistake.exercise: mistake.source},
            f"all solved but {mistake.exercise}: {mistake.name}",
        ),
    }
    handed_in = {}
    for name, (answers, what) in samples.items():
        path = _submission(root, name)
        nbformat.write(answered(release, answers), path)
        handed_in[PREFIX + name] = what
    _submission(root, "letter").write_text(NOT_A_NOTEBOOK, encoding="utf-8")
    handed_in[PREFIX + "letter"] = "a letter instead of a notebook"
    return source.section.name, handed_in


def remove_samples(root: Path) -> None:
    """Remove what the demo made, and the gradebook if nobody else is in it."""
    for folder in ("submitted", "autograded", "feedback", "build/executed"):
        for path in (root / folder).glob(f"{PREFIX}*"):
            shutil.rmtree(path)
    if not _real_students(root):
        (root / "gradebook.db").unlink(missing_ok=True)
        (root / "grades.csv").unlink(missing_ok=True)


def _submission(root: Path, name: str) -> Path:
    path = root / "submitted" / f"{PREFIX}{name}" / f"{LAB}.ipynb"
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir(parents=True)
    return path


def _real_students(root: Path) -> list[str]:
    config = load_config(root)
    if "db_url" not in config.CourseDirectory and not (root / "gradebook.db").is_file():
        return []
    coursedir = course_directory(config, assignment="")
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        return [student.id for student in gradebook.students if not student.id.startswith(PREFIX)]
