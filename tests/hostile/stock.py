"""The same submissions graded by the engine and by stock nbgrader: `python -m tests.hostile.stock`.

It writes docs/hostile.md. Stock nbgrader runs as it comes, but for a shorter time limit of a cell: one
`nbgrader autograde --student NAME` for each case, in a copy of the course. So that this machine comes to no harm, each
runs in namespaces of its own with the file system read-only but for that copy, which is all that a hostile
submission can reach of "the host" there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook, MissingEntry

from llmlabs.build.builder import build
from llmlabs.grade.sandbox import find_bubblewrap
from llmlabs.notebook import grade_id, graded_cells_by_exercise, is_test

from .boxed import RUN_SECONDS
from .cases import CASES, EXERCISES, LAB, SECTION, Case
from .classroom import PAGE_BYTES, SEED, Classroom, grade_class, hand_in, hidden_lines

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "hostile.md"
KEPT = HERE / "stock.json"  # what stock nbgrader made of each case: 15 minutes of work
CELL_SECONDS = 10
PORT = 40404  # in the network of each box
CONFIG = f"""
c = get_config()
c.CourseDirectory.course_id = "mini"
c.Execute.timeout = {CELL_SECONDS}
"""


@dataclass
class Outcome:
    """What came of one case.

    Attributes:
        points: earned in each exercise; None if there is no grade.
        trouble: what else happened, in words.
    """

    points: list[float] | None
    trouble: list[str]

    def verdict(self, case: Case) -> str:
        """`right`, `forged` (more than the answers are worth), `lost` (less than is due) or `none`."""
        if self.points is None:
            return "none"
        if any(earned > worth for earned, worth in zip(self.points, case.worth, strict=True)):
            return "forged"
        return "lost" if any(e < due for e, due in zip(self.points, case.points, strict=True)) else "right"

    def words(self, case: Case) -> str:
        due, earned = sum(case.points), sum(self.points or ())
        said = "no grade" if self.points is None else f"{earned:g}" if earned == due else f"{earned:g} ({due:g} due)"
        return "; ".join([f"**{said}**" if self.verdict(case) in ("forged", "lost", "none") else said, *self.trouble])


def make_course(root: Path) -> None:
    """The mini course, built, with the section known to a gradebook of stock nbgrader."""
    shutil.copytree(HERE.parent / "mini", root)
    shutil.copyfile(ROOT / "nbgrader_config.py", root / "nbgrader_config.py")
    build(root, solutions=False, say=lambda line: None)


def make_stock_course(root: Path, course: Path) -> None:
    shutil.copytree(course, root, ignore=shutil.ignore_patterns("gradebook.db", "build", "*.py"))
    (root / "nbgrader_config.py").write_text(CONFIG)
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", SECTION, "--force"]
    subprocess.run(command, cwd=root, env=environment(), check=True, capture_output=True)


def environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "LLMLABS_SEED": SEED, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def grade_with_stock(case: Case, template: Path) -> Outcome:
    """Grade one case in a copy of the course, in a box."""
    with tempfile.TemporaryDirectory(prefix="stock-") as name:
        root = Path(name) / "mini"
        shutil.copytree(template, root)
        release = nbformat.read(root / "release" / SECTION / f"{LAB}.ipynb", as_version=4)
        hand_in(root, release, case, PORT)
        box = [find_bubblewrap(), "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
        box += ["--uid", "1000", "--gid", "1000", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        for folder in ("/tmp", "/dev/shm", "/run"):
            box += ["--size", str(1 << 30), "--tmpfs", folder]
        box += ["--bind", name, name, "--chdir", str(root), "--setenv", "HOME", "/tmp"]
        command = [*box, sys.executable, "-m", "tests.hostile.boxed", str(root), SECTION, case.name, str(PORT)]
        try:
            done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=RUN_SECONDS + 30)
            found = json.loads(done.stdout.strip().rpartition("\n")[2])
        except subprocess.TimeoutExpired:
            return Outcome(None, ["it never ended"])
        except ValueError:
            if done.stderr.startswith("bwrap:"):
                raise RuntimeError(f"nbgrader could not be started in its box: {done.stderr}") from None
            return Outcome(None, ["nbgrader was killed"])
        return read_outcome(case, root, found)


def read_outcome(case: Case, root: Path, found: dict[str, object]) -> Outcome:
    """The grade in nbgrader's gradebook, and what happened besides."""
    trouble = []
    if found["code"] is None:
        trouble.append(f"nbgrader did not end within {RUN_SECONDS} s")
    elif found["code"]:
        trouble.append(f"nbgrader ended with status {found['code']}")
    if found["reached"]:
        trouble.append("it reached the host")
    if found["left"]:
        trouble.append(f"{found['left']} processes live on")
    if leaked(case, root):
        trouble.append("it read the tests or the seed")
    source = nbformat.read(root / "source" / SECTION / f"{LAB}.ipynb", as_version=4)
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}", "mini") as gradebook:
        try:
            submission = gradebook.find_submission(SECTION, case.name)
        except MissingEntry:
            return Outcome(None, trouble)
        scores = {grade.name: grade.score for notebook in submission.notebooks for grade in notebook.grades}
    if found["code"] != 0 or not scores or all(score is None for score in scores.values()):
        return Outcome(None, trouble)
    if None in scores.values():
        trouble.append("some tests have no score")
    exercises = graded_cells_by_exercise(source)
    return Outcome([sum(scores.get(grade_id(c)) or 0 for c in exercises[name]) for name in EXERCISES], trouble)


def leaked(case: Case, root: Path) -> bool:
    """Whether an output of the student's own cells, or an error that they raised, holds what they should not see."""
    path = root / "autograded" / case.name / SECTION / f"{LAB}.ipynb"
    if not path.is_file():
        return False
    notebook = nbformat.read(path, as_version=4)
    own = json.dumps([cell.outputs for cell in notebook.cells if cell.cell_type == "code" and not is_test(cell)])
    errors = [output.evalue for cell in notebook.cells for output in cell.get("outputs", ()) if "evalue" in output]
    return any("secret" in text or SEED in text for text in [own, *(e for e in errors if e.startswith("found: "))])


def engine_outcome(case: Case, room: Classroom, hidden: list[str]) -> Outcome:
    points = room.points(case.name)
    if any(math.isnan(point) for point in points):
        return Outcome(None, [])
    trouble = ["it read the tests or the seed"] if room.leaks(case.name, hidden) else []
    trouble += ["it reached the host"] if room.reached else []
    trouble += [f"{len(room.survivors)} processes live on"] if room.survivors else []
    if room.page_path(case.name).stat().st_size > PAGE_BYTES:
        trouble.append("its feedback page is huge")
    return Outcome(list(points), trouble)


def grade_with_engine(course: Path, hidden: list[str]) -> dict[str, Outcome]:
    """Grade all in one class with the honest."""
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        root = Path(folder) / "mini"
        shutil.copytree(course, root)
        room = grade_class(root, CASES, say=print)
        return {case.name: engine_outcome(case, room, hidden) for case in CASES}


def write_page(rows: list[tuple[Case, Outcome, Outcome]], path: Path) -> None:
    """The table and its counts."""
    ours = Counter(engine.verdict(case) for case, engine, _ in rows)
    theirs = Counter(stock.verdict(case) for case, _, stock in rows)

    def troubled(word: str, outcomes: list[Outcome]) -> int:
        return sum(any(word in text for text in outcome.trouble) for outcome in outcomes)

    engines, stocks = [engine for _, engine, _ in rows], [stock for _, _, stock in rows]
    names = {
        "right": "got the grade that is due",
        "forged": "got points that their answers are not worth",
        "lost": "got fewer points than are due",
        "none": "got no grade",
    }
    troubles = {
        "read the tests": "showed hidden tests or the grader's seed in an output",
        "reached": "reached the host: files of the course, listeners",
        "live on": "left processes behind",
    }
    lines = [
        "# Hostile submissions",
        "",
        f"{len(rows)} hostile or broken submissions to a small lab of four exercises (25 points), graded by the engine",
        "in one class together with 30 honest ones, and one by one by nbgrader as it comes",
        f"({version('nbgrader')}, `nbgrader autograde`, a cell may take {CELL_SECONDS} s). The table is made by",
        "`python -m tests.hostile.stock`; `tests/hostile/test_hostile.py` holds the engine to its column.",
        "",
        "| of the submissions | engine | stock nbgrader |",
        "| :--- | ---: | ---: |",
        *(f"| {text} | {ours[key]} | {theirs[key]} |" for key, text in names.items()),
        *(f"| {text} | {troubled(word, engines)} | {troubled(word, stocks)} |" for word, text in troubles.items()),
        "",
        "| submission | attempts | engine | stock nbgrader |",
        "| :--- | :--- | :--- | :--- |",
        *(f"| {c.name} | {c.attempts} | {engine.words(c)} | {stock.words(c)} |" for c, engine, stock in rows),
        "",
        "For submissions that are damaged but hold right answers, all 25 points are due; for those whose harm",
        "is in one exercise, the points of the others that could still be tested.",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="run stock nbgrader again on what it has been run on")
    kept = {} if parser.parse_args().fresh or not KEPT.exists() else json.loads(KEPT.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        course, template = Path(name) / "mini", Path(name) / "stock"
        make_course(course)
        make_stock_course(template, course)
        stock: dict[str, Outcome] = {}
        for number, case in enumerate(CASES, 1):
            if case.name not in kept:
                kept[case.name] = asdict(grade_with_stock(case, template))
                KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            stock[case.name] = Outcome(**kept[case.name])
            print(f"[{number}/{len(CASES)}] {case.name}: {stock[case.name].words(case)}", flush=True)
        source = nbformat.read(course / "source" / SECTION / f"{LAB}.ipynb", as_version=4)
        engine = grade_with_engine(course, hidden_lines(source))
        write_page([(case, engine[case.name], stock[case.name]) for case in CASES], PAGE)


if __name__ == "__main__":
    main()
