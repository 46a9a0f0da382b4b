"""One notebook to grade, the record of how it went, and where records are kept.

A job and a record are plain data, so that a job can run in any process on any machine. A record is known by the hash
of all that its outcome depends on: grading again finds it, and an interrupted run goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import sysconfig
import time
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import nbformat
from nbformat import NotebookNode

import llmlabs
from llmlabs.grade.execute import Settings, execute
from llmlabs.grade.rebuild import UnreadableSubmissionError, blank, fail_tests, parse_submission, rebuild

RECORDS = Path("build") / "records"


@dataclass(frozen=True)
class Job:
    """One student's notebook of one lab.

    Attributes:
        student, section, lab: whose and which.
        file: the submitted file's name; "" if nothing was handed in.
        submission: the file's bytes, or the reason in words why they cannot be read.
        source: the lab's source notebook as JSON, with solutions and hidden tests.
        settings: how it is run; a job whose settings ask for a GPU runs on a worker that has one.
    """

    student: str
    section: str
    lab: str
    file: str
    submission: bytes | str
    source: str
    settings: Settings = field(default_factory=Settings)

    @property
    def key(self) -> str:
        """The hash of all that the outcome depends on; neither the student's name nor the box changes it."""
        settings = f"{self.settings.seed} {self.settings.limits}"
        parts = [self.file, self.submission, self.source, settings, environment_hash()]
        digest = hashlib.sha256()
        for part in parts:
            raw = part if isinstance(part, bytes) else part.encode()
            digest.update(f"{len(raw)}:".encode() + raw)
        return digest.hexdigest()


@dataclass(frozen=True)
class Record:
    """How a job went.

    Attributes:
        key: the job's.
        notebook: the rebuilt and executed notebook as JSON, each test's outcome in its cell.
        notes: what had to be repaired and what ended the run early, one sentence each.
        seconds: wall time.
    """

    key: str
    notebook: str
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def read_notebook(self) -> NotebookNode:
        return nbformat.reads(self.notebook, as_version=4)


def run_job(job: Job) -> Record:
    """Rebuild and run one submission; whatever the student handed in, there is a record.

    Raises:
        RuntimeError: if the grader could not run it, which says nothing about the submission.
    """
    started = time.monotonic()
    source = nbformat.reads(job.source, as_version=4)
    notes: list[str] = []
    try:
        if isinstance(job.submission, str):
            raise UnreadableSubmissionError(job.submission)
        rebuilt = rebuild(parse_submission(job.submission), source)
    except UnreadableSubmissionError as error:
        reason = f"{job.file} could not be read: {error}" if job.file else f"{job.lab}.ipynb was not handed in"
        notebook = blank(source)
        fail_tests(notebook, "Unreadable" if job.file else "NotSubmitted", reason)
        notes.append(reason)
    else:
        run = execute(rebuilt.notebook, job.settings)
        notebook = run.notebook
        notes += rebuilt.notes
        if run.ended:
            notes.append(f"{job.lab} ended early, {run.ended}")
    return Record(job.key, nbformat.writes(notebook), notes, round(time.monotonic() - started, 2))


def read_record(path: Path) -> Record | None:
    """The record in a file, or None if there is none or the file was spoiled."""
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class RecordStore:
    """The records of a course, one JSON file a student and lab, in build/records."""

    def __init__(self, root: Path) -> None:
        self.folder = root / RECORDS

    def path(self, job: Job) -> Path:
        return self.folder / job.section / job.student / f"{job.lab}.json"

    def load(self, job: Job) -> Record | None:
        """The record of exactly this job, or None if there is none or what it depends on has changed."""
        record = read_record(self.path(job))
        return record if record and record.key == job.key else None

    def save(self, job: Job, record: Record) -> None:
        """Write a record; a process that is killed meanwhile leaves the old one or none, never half of one."""
        path = self.path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(record)), encoding="utf-8")
        partial.replace(path)


@cache
def environment_hash() -> str:
    """A hash of what runs a submission besides itself: the installed packages and the code of llmlabs."""
    digest = hashlib.sha256()
    # not all of sys.path, to which some packages add folders of their own when they are imported
    paths = sysconfig.get_paths()
    installed = distributions(path=list({paths["purelib"], paths["platlib"]}))
    for name in sorted(f"{found.metadata['Name']}=={found.version}" for found in installed):
        digest.update(name.encode())
    package = Path(llmlabs.__file__).parent
    for folder in ("grade", "lab"):
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
