"""The learner's pages: the table of a check, and how far the course has been done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llmlabs.catalogue import Catalogue, Lab, Section
from llmlabs.learn.notebook_check import Checked
from llmlabs.learn.work import WORK, Diary
from llmlabs.page import render

PAGE = WORK / "progress.html"


@dataclass(frozen=True)
class LabProgress:
    """How far a lab has been done.

    Attributes:
        section, lab: which.
        state: "planned" (not written yet), "open", "started" or "done".
        earned: the best points of its exercises, added up.
        minutes: spent, and `lab.minutes` is the estimate.
        competencies: the topics of the exercises that have all their points.
    """

    section: Section
    lab: Lab
    state: str
    earned: float
    minutes: int
    competencies: list[str]

    @property
    def percent(self) -> int:
        return round(100 * self.earned / self.lab.points)


@dataclass(frozen=True)
class Progress:
    """How far the course has been done, lab by lab in its order."""

    course: Catalogue
    labs: list[LabProgress]

    @property
    def earned(self) -> float:
        return sum(lab.earned for lab in self.labs)

    @property
    def possible(self) -> float:
        """Of the labs that are written."""
        return sum(lab.lab.points for lab in self.labs if lab.state != "planned")

    @property
    def minutes(self) -> int:
        return sum(lab.minutes for lab in self.labs)

    @property
    def done(self) -> int:
        return sum(lab.state == "done" for lab in self.labs)

    @property
    def competencies(self) -> int:
        return len({(lab.section.name, topic) for lab in self.labs for topic in lab.competencies})


def progress_of(course: Catalogue, diary: Diary) -> Progress:
    """What the diary says of every lab of the course."""
    labs = []
    for section, lab in course.labs():
        name = f"{section.name}/{lab.name}"
        best = diary.best(name)
        earned = sum(best.values())
        known = any(event.lab == name for event in diary.events)
        state = "planned" if not lab.finished else "done" if earned >= lab.points else "started" if known else "open"
        shown = [t for e in lab.exercises if best.get(e.grade_id, 0) >= e.points for t in e.topics]
        minutes = round(diary.spent(name).total_seconds() / 60)
        labs.append(LabProgress(section, lab, state, earned, minutes, list(dict.fromkeys(shown))))
    return Progress(course, labs)


def progress_page(progress: Progress) -> str:
    """One HTML page that needs no other file."""
    return render("progress.html", progress=progress)


def write_progress_page(root: Path, progress: Progress) -> Path:
    path = root / PAGE
    path.parent.mkdir(exist_ok=True)
    path.write_text(progress_page(progress), encoding="utf-8", newline="\n")
    return path


def check_table(checked: Checked) -> str:
    """The result of a check as a piece of HTML for a notebook."""
    return render("check.html", checked=checked)
