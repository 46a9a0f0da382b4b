"""The learner's own folder, work/: copies of the release to write in, and a diary of what was started and checked."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from llmlabs import catalogue
from llmlabs.errors import CourseError

WORK = Path("work")
DIARY = WORK / "progress.json"
LONGEST_SITTING = timedelta(minutes=60)


class Event(BaseModel):
    """A lab was started, or checked.

    Attributes:
        time: in UTC.
        lab: section/lab.
        points: what each exercise earned in a check; None for a start.
    """

    model_config = ConfigDict(frozen=True)
    time: datetime
    lab: str
    points: dict[str, float] | None = None


class Diary(BaseModel):
    """work/progress.json: all events, in the order of time."""

    events: list[Event] = []

    def checks(self, lab: str) -> list[dict[str, float]]:
        """The points of each check of a lab, the first one first."""
        return [event.points for event in self.events if event.lab == lab and event.points is not None]

    def best(self, lab: str) -> dict[str, float]:
        """The most that each exercise of a lab has earned in any check."""
        most: dict[str, float] = {}
        for points in self.checks(lab):
            most |= {name: max(earned, most.get(name, 0.0)) for name, earned in points.items()}
        return most

    def failed_checks(self, lab: str, exercise: str, possible: float) -> int:
        """How many checks in a row, the last one first, have not given an exercise all its points."""
        count = 0
        for points in reversed(self.checks(lab)):
            if points.get(exercise, 0.0) >= possible:
                break
            count += 1
        return count

    def spent(self, lab: str) -> timedelta:
        """The time from a lab's start to its last check; of what lies between two events an hour at most counts."""
        times = [event.time for event in self.events if event.lab == lab]
        return sum((min(b - a, LONGEST_SITTING) for a, b in pairwise(times)), timedelta())


@dataclass(frozen=True)
class Started:
    """A notebook of the learner's: where it is, and whether it was there before."""

    path: Path
    kept: bool


def read_diary(root: Path) -> Diary:
    """The diary; an empty one if nothing was started yet.

    Raises:
        CourseError: if the file is spoiled.
    """
    path = root / DIARY
    if not path.is_file():
        return Diary()
    try:
        return Diary.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise CourseError(f"{DIARY} cannot be read as a diary of checks.", "Mend it, or rename it.") from error


def write_event(root: Path, event: Event) -> Diary:
    """Add an event and return the diary with it; a process that is killed meanwhile leaves the old diary whole."""
    path = root / DIARY
    path.parent.mkdir(exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        diary = read_diary(root)
        diary.events.append(event)
        partial = path.with_suffix(".partial")
        partial.write_text(diary.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")
        partial.replace(path)
    return diary


def start(root: Path, selector: str) -> list[Started]:
    """Copy the release notebooks of a section or lab into work/; one that is there already stays as it is.

    Raises:
        CourseError: if the selector names nothing, or no finished lab.
    """
    labs = list(catalogue.load(root).labs(selector, finished=True))
    if not labs:
        raise CourseError(f"No lab of {selector} is finished yet.", "README.md lists those that are.")
    started = []
    for section, lab in labs:
        name = f"{section.name}/{lab.name}"
        target = root / WORK / f"{name}.ipynb"
        kept = target.exists()
        if not kept:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / "release" / f"{name}.ipynb", target)
            write_event(root, Event(time=datetime.now(UTC), lab=name))
        started.append(Started(target, kept))
    return started
