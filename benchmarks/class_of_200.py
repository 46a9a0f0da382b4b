"""A class of 200 goes through the whole of it, and nothing is lost: `python -m benchmarks.class_of_200`.

The lab is the small one of the tests, so that it takes minutes. Students: right, wrong and blank answers, and every
fourth one a hostile or broken submission of tests/hostile. They come in a zip file as Canvas makes it; then collect,
grade, report, export. Each step's count, and each student's grade, must be what is due. Writes docs/class-of-200.md.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from llmlabs.build.builder import build
from llmlabs.verify.submissions import answered
from tests.hostile.cases import CASES, EXERCISES, LAB, NOTHING, RIGHT, SECTION
from tests.hostile.classroom import VARIANTS, filled

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "class-of-200.md"
STUDENTS = 200
# the steps of a zip file keep a file's bytes and name, but no links and no files beside it
HOSTILE = [case for case in CASES if not case.link and not case.files and case.file == f"{LAB}.ipynb"]
PORT = 9  # where a case looks for the host; nobody listens there


def submissions(root: Path, release: NotebookNode) -> Iterator[tuple[str, bytes, tuple[float, ...]]]:
    """Each student's name, file and points that are due."""
    blank = (dict.fromkeys(EXERCISES, "raise NotImplementedError()"), NOTHING)
    honest, hostile = cycle([*VARIANTS, blank]), iter(HOSTILE)
    for number in range(1, STUDENTS + 1):
        case = next(hostile, None) if number % 4 == 0 else None
        if case is None:
            changes, due = next(honest)
            name, text = "honest", nbformat.writes(answered(release, RIGHT | changes)).encode()
        else:
            answers = {key: filled(text, root, PORT) for key, text in case.answers.items()}
            notebook, due, name = answered(release, answers), case.points, re.sub("[^a-z]", "", case.name)
            if case.edit:
                case.edit(notebook)
            text = case.raw(notebook) if case.raw else nbformat.writes(notebook).encode()
        yield f"{name}_{number}", text, due


def command(root: Path, *arguments: str) -> float:
    """Run llmlabs in the course; returns the seconds that it took."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "llmlabs.cli", *arguments],
        cwd=root,
        env=os.environ | {"LLMLABS_ROOT": str(root), "COLUMNS": "200", "LLMLABS_SEED": "of the class of 200"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"llmlabs {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - started


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="llmlabs-class-") as folder:
        root = Path(folder) / "mini"
        shutil.copytree(ROOT / "tests" / "mini", root)
        shutil.copyfile(ROOT / "nbgrader_config.py", root / "nbgrader_config.py")
        build(root, solutions=False, say=lambda line: None)
        release = nbformat.read(root / "release" / SECTION / f"{LAB}.ipynb", as_version=4)
        due: dict[str, tuple[float, ...]] = {}
        with zipfile.ZipFile(root / "canvas.zip", "w") as archive:
            for student, raw, points in submissions(root, release):
                archive.writestr(f"{student}_{len(due) + 7000}_{LAB}.ipynb", raw)
                due[student] = points
        collect_seconds = command(root, "collect", SECTION, "canvas.zip")
        grade_seconds = command(root, "grade", SECTION, "--workers", "2")
        report_seconds = command(root, "report", SECTION)
        command(root, "export", "--format", "csv")
        command(root, "export", "--format", "canvas")

        grades = {row["student_id"]: row for row in rows(root / "grades.csv")}
        got = {s: tuple(float(row[name] or "nan") for name in EXERCISES) for s, row in grades.items()}
        page = (root / "build" / "reports" / f"{SECTION}.html").read_text(encoding="utf-8")
        counts = {
            "handed in": len(due),
            "collected": len(list((root / "submitted").glob(f"*/{SECTION}/*.ipynb"))),
            "in grades.csv": len(grades),
            "with a score": sum(row["score"] != "" for row in grades.values()),
            "with the points that are due": sum(got.get(student) == points for student, points in due.items()),
            "with a feedback page": len(list((root / "feedback").glob(f"*/{SECTION}/*.html"))),
            "in the report": int(re.search(r"<b>(\d+)</b>students with a score", page)[1]),  # type: ignore[index]
            "in course_grades.csv": len(rows(root / "course_grades.csv")) - 1,
            "in canvas_grades.csv": len(rows(root / "canvas_grades.csv")) - 1,
        }
    for student, points in due.items():
        if got.get(student) != points:
            print(f"{student}: {points} due, got {got.get(student)}")
    lines = [
        "# A class of 200",
        "",
        "Made by `python -m benchmarks.class_of_200`, which says how: 200 students, every fourth one with a hostile or",
        f"broken submission ({min(len(HOSTILE), STUDENTS // 4)} of tests/hostile), from collect to export.",
        "",
        "| students | number |",
        "| :--- | ---: |",
        *(f"| {name} | {number} |" for name, number in counts.items()),
        "",
        f"On two cores collecting took {collect_seconds:.0f} s, grading {grade_seconds:.0f} s, the report "
        f"{report_seconds:.0f} s.",
        "",
    ]
    PAGE.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    if set(counts.values()) != {STUDENTS}:
        sys.exit("Something was lost: the numbers differ.")


if __name__ == "__main__":
    main()
