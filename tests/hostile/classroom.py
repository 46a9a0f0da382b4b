"""A class of honest and hostile students, graded through the engine, and what the host saw of it."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
import psutil
from nbformat import NotebookNode

from llmlabs.grade.grading import Grade, Options, Report, grade_section
from llmlabs.grade.submission import Limits
from llmlabs.notebook import BEGIN_HIDDEN, END_HIDDEN, is_test
from llmlabs.verify.submissions import answered

from .cases import EXERCISES, FULL, LAB, RIGHT, SECTION, WRONG, Case
from .host import Host

LIMITS = Limits(cell_seconds=8, call_seconds=5, total_seconds=30, grace_seconds=1.5)
SEED = "private-7f3a91"
SCRIPT = "llmlabs-hostile-script"
MARKS = ("sleep 4321.5",)
PAGE_BYTES = 5 * 2**20  # the most that a page of feedback may have

_NAMES = "ada ben cleo dan eve fay gus hal ivy jan kai lea max nia oto pia quin ria sam tom uma vic wes xia yan zoe"
NAMES = [*_NAMES.split(), "abe", "bea", "cyd", "dot"]
VARIANTS: list[tuple[dict[str, str], tuple[float, ...]]] = [
    ({}, FULL),
    ({"add": "def add(a, b):\n    print('adding')\n    return sum([a, b])"}, FULL),
    ({"double": "import numpy\ndef double(xs):\n    return (2 * numpy.array(xs)).tolist()"}, FULL),
    ({"largest": "def largest(xs):\n    return sorted(xs)[-1]"}, FULL),
    ({"clip": "def clip(x):\n    return sorted([0.0, x, 1.0])[1]"}, FULL),
    ({"add": "def add(a, b):\n    return a - b"}, (0, 6, 6, 7)),
    ({"add": "def add(a, b):\n    return int(a) + int(b)"}, (1, 6, 6, 7)),
    ({"double": "def double(xs):\n    return xs * 2"}, (6, 5, 6, 7)),
    ({"clip": "def clip(x):\n    return max(x, 0.0)"}, (6, 6, 6, 6)),
    ({"largest": WRONG["largest"], "add": "raise NotImplementedError()"}, (0, 6, 0, 7)),
]


def honest() -> Iterator[tuple[str, dict[str, str], tuple[float, ...]]]:
    """Thirty honest students: name, answers, and the points that are due."""
    for number, name in enumerate(NAMES):
        changes, points = VARIANTS[number % len(VARIANTS)]
        yield name, RIGHT | changes, points


def hand_in(root: Path, release: NotebookNode, case: Case, port: int) -> None:
    """Put a case's submission into submitted/; `port` is where the host listens."""
    folder = root / "submitted" / case.name / SECTION
    folder.mkdir(parents=True)
    notebook = answered(release, {name: filled(text, root, port) for name, text in case.answers.items()})
    if case.edit:
        case.edit(notebook)
    raw = case.raw(notebook) if case.raw else nbformat.writes(notebook).encode()
    if case.link:
        (folder / case.file).symlink_to(case.link)
    else:
        (folder / case.file).write_bytes(raw)
    for name, text in case.files.items():
        (folder / name).write_text(text, encoding="utf-8")


def filled(text: str, root: Path, port: int) -> str:
    return text.replace("@ROOT@", str(root)).replace("@PORT@", str(port)).replace("@PID@", str(os.getpid()))


@dataclass
class Classroom:
    """A graded class.

    Attributes:
        root: the course's folder.
        report: what `grade_section` returned.
        survivors: command lines of processes that outlived the grading.
        reached: what of the host was reached.
    """

    root: Path
    report: Report
    survivors: list[str]
    reached: list[str]

    def grade(self, student: str) -> Grade:
        return next(grade for grade in self.report.grades if grade.student == student)

    def points(self, student: str) -> tuple[float, ...]:
        grade = self.grade(student)
        return tuple(grade.exercises.get(exercise, float("nan")) for exercise in EXERCISES)

    def page_path(self, student: str) -> Path:
        return self.root / "feedback" / student / SECTION / f"{LAB}.html"

    def page(self, student: str) -> str:
        return self.page_path(student).read_text(encoding="utf-8")

    def outputs(self, student: str) -> str:
        """What the student's own cells put out, as the record holds it."""
        path = self.root / "build/records" / SECTION / student / f"{LAB}.json"
        notebook = nbformat.reads(json.loads(path.read_text(encoding="utf-8"))["notebook"], as_version=4)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code" and not is_test(cell)]
        return json.dumps([cell.outputs for cell in cells], ensure_ascii=False)

    def leaks(self, student: str, hidden: Iterable[str]) -> list[str]:
        """What of the hidden tests or the seed the student could see, or had in an output."""
        outputs, page = self.outputs(student), text_of(self.page(student))
        found = [f"{line!r} is in the feedback" for line in hidden if "".join(line.split()) in page]
        found += [f"{word} is in an output" for word in ("secret", SEED) if word in outputs]
        return found + ([f"{SEED} is in the feedback"] if SEED in page else [])


def text_of(page: str) -> str:
    """The text of an HTML page without tags and blanks: a page colours code word by word."""
    return "".join(html.unescape(re.sub(r"<[^>]*>", "", page)).split())


def hidden_lines(source: NotebookNode) -> list[str]:
    """The code of the hidden tests, a line each; without the messages, which a failed test shows."""
    lines: list[str] = []
    for cell in source.cells:
        if BEGIN_HIDDEN in cell.source:
            inner = cell.source.partition(BEGIN_HIDDEN)[2].partition(END_HIDDEN)[0]
            lines += [line.strip() for line in inner.splitlines() if "(" in line and '"a secret' not in line]
    return lines


@contextmanager
def own_zygotes() -> Iterator[str]:
    """Warm processes for this class alone, so that what they leave behind can be told from others'."""
    folder = tempfile.mkdtemp(prefix="llm", dir="/tmp")  # a short path, as sockets need
    with mock.patch.dict(os.environ, XDG_RUNTIME_DIR=folder):
        yield folder
    for process in processes_with(folder):
        process.kill()
    shutil.rmtree(folder)


def processes_with(*marks: str) -> list[psutil.Process]:
    """The processes whose command line holds one of these, but zombies."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or ())
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(mark in command for mark in marks):
            found.append(process)
    return found


def find_survivors(folder: str, seconds: float = 10) -> list[str]:
    """Command lines of what still runs of a class: forked kernels have that of their warm process, which may stay."""
    end = time.monotonic() + seconds
    while True:
        found = [process for process in processes_with(folder, *MARKS) if not _is_zygote(process)]
        if not found or time.monotonic() > end:
            return [f"{process.pid}: {process.cmdline()}" for process in found]
        time.sleep(0.1)


def _is_zygote(process: psutil.Process) -> bool:
    """A warm process leads its session and is a child of none of its kind."""
    with suppress(psutil.NoSuchProcess):
        parent = process.parent()
        return os.getsid(process.pid) == process.pid and (parent is None or parent.cmdline() != process.cmdline())
    return False


def grade_class(
    root: Path, cases: Iterable[Case], *, with_honest: bool = True, say: Any = lambda line: None
) -> Classroom:
    """Hand in all cases, and the honest students' work, in a built course, and grade it."""
    release = nbformat.read(root / "release" / SECTION / f"{LAB}.ipynb", as_version=4)
    host = Host(root)
    with ExitStack() as stack:
        stack.callback(host.close)
        for case in cases:
            hand_in(root, release, case, host.port)
        for name, answers, points in honest() if with_honest else ():
            hand_in(root, release, Case(name, "", points, answers=answers), host.port)
        folder = stack.enter_context(own_zygotes())
        stack.enter_context(mock.patch.dict(os.environ, LLMLABS_SEED=SEED))
        report = grade_section(root, SECTION, Options(workers=2, limits=LIMITS), say=say)
        survivors = find_survivors(folder)
        return Classroom(root, report, survivors, host.reached())
