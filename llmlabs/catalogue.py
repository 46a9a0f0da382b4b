"""course.yml: what the course holds. The one home of every fact about a section or a lab."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llmlabs.errors import CourseError

LABS_PER_SECTION = 4
LAB_POINTS = 25

Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
GradeId = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Exercise(_Entry):
    """One solution cell and its test cells; `points` is the sum over the test cells."""

    grade_id: GradeId
    title: str
    points: Annotated[int, Field(gt=0)]
    topics: Annotated[list[str], Field(min_length=1)]


class Cost(_Entry):
    """What the solution notebook took at the cpu scale on two cores."""

    seconds: Annotated[float, Field(gt=0)]
    peak_memory_mb: Annotated[int, Field(gt=0)]


class Lab(_Entry):
    """One notebook."""

    name: Name
    title: str
    summary: str
    status: Literal["planned", "finished"]
    minutes: Annotated[int, Field(gt=0)]
    points: Annotated[int, Field(gt=0)]
    accelerator: Literal["none", "recommended", "required"]
    tools: list[str]
    extras: list[str] = []
    topics: list[str]
    cost: Cost | None = None
    exercises: list[Exercise] = []

    @property
    def finished(self) -> bool:
        return self.status == "finished"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.points != LAB_POINTS:
            raise ValueError(f"lab {self.name}: points must be {LAB_POINTS}, found {self.points}")
        if not self.finished:
            if self.exercises or self.cost:
                raise ValueError(
                    f"lab {self.name}: a planned lab has no exercises and no cost yet; set status: finished"
                )
            return self
        if not 4 <= len(self.exercises) <= 8:
            raise ValueError(
                f"lab {self.name}: a finished lab has four to eight exercises, found {len(self.exercises)}"
            )
        total = sum(exercise.points for exercise in self.exercises)
        if total != self.points:
            raise ValueError(f"lab {self.name}: the points of its exercises add up to {total}, not to {self.points}")
        taught = {topic for exercise in self.exercises for topic in exercise.topics}
        if untaught := [topic for topic in self.topics if topic not in taught]:
            raise ValueError(
                f"lab {self.name}: no exercise teaches {', '.join(untaught)}; name it in an exercise or drop it"
            )
        if unclaimed := sorted(taught - set(self.topics)):
            raise ValueError(
                f"lab {self.name}: its exercises teach {', '.join(unclaimed)}, which the lab's topics do not list"
            )
        return self


class Section(_Entry):
    """One nbgrader assignment."""

    name: Annotated[str, Field(pattern=r"^\d\d_[a-z0-9_]+$")]
    title: str
    part: int
    difficulty: Literal["Beginner", "Beginner-Intermediate", "Intermediate", "Advanced", "Expert"]
    prerequisites: str
    topics: dict[str, list[str]]
    labs: list[Lab]

    @property
    def number(self) -> int:
        return int(self.name[:2])

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.labs) != LABS_PER_SECTION:
            raise ValueError(f"section {self.name}: a section has {LABS_PER_SECTION} labs, found {len(self.labs)}")
        topics = [topic for group in self.topics.values() for topic in group]
        if twice := [topic for topic, count in Counter(topics).items() if count > 1]:
            raise ValueError(f"section {self.name}: topics listed twice: {', '.join(twice)}")
        for lab in self.labs:
            if unknown := sorted(set(lab.topics) - set(topics)):
                raise ValueError(
                    f"section {self.name}, lab {lab.name}: not topics of the section: {', '.join(unknown)}"
                )
        claimed = {topic for lab in self.labs for topic in lab.topics}
        if missing := [topic for topic in topics if topic not in claimed]:
            raise ValueError(f"section {self.name}: no lab covers {', '.join(missing)}")
        return self


class Part(_Entry):
    number: int
    title: str


class Catalogue(_Entry):
    """The whole course."""

    title: str
    description: str
    parts: list[Part]
    sections: list[Section]

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = Counter(lab.name for _, lab in self.labs())
        if twice := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"two labs share a name: {', '.join(twice)}")
        if [section.number for section in self.sections] != list(range(1, len(self.sections) + 1)):
            raise ValueError("sections must be numbered 01, 02, 03 ... in order")
        if unknown := {section.part for section in self.sections} - {part.number for part in self.parts}:
            raise ValueError(f"sections name parts that do not exist: {sorted(unknown)}")
        grade_ids = Counter(exercise.grade_id for _, lab in self.labs() for exercise in lab.exercises)
        if twice := [grade_id for grade_id, count in grade_ids.items() if count > 1]:
            raise ValueError(f"two exercises share a grade_id: {', '.join(twice)}")
        return self

    def labs(self, selector: str = "", *, finished: bool = False) -> Iterator[tuple[Section, Lab]]:
        """All labs, or those that `selector` names.

        Args:
            selector: "03_tokenization", or "03" for short, or "03_tokenization/bpe_from_scratch"; "" for all.
            finished: leave out the labs that are only planned.

        Raises:
            CourseError: if the selector names nothing.
        """
        section_name, _, lab_name = selector.strip("/").partition("/")
        found = [
            (section, lab)
            for section in self.sections
            if section_name in ("", section.name, section.name[:2])
            for lab in section.labs
            if lab_name in ("", lab.name)
        ]
        if not found:
            raise CourseError(
                f"The course has no section or lab {selector!r}.",
                "Name one as 01_neural_networks, 01 or 01_neural_networks/network_from_scratch; course.yml lists all.",
            )
        return iter([(section, lab) for section, lab in found if lab.finished or not finished])


def find_root(start: Path | None = None) -> Path:
    """The course's root: LLMLABS_ROOT if set, else the nearest folder at or above `start` that holds course.yml."""
    if chosen := os.environ.get("LLMLABS_ROOT"):
        start = Path(chosen)
        candidates = [start]
    else:
        start = start or Path.cwd()
        # the folder that an editable installation points to is the last resort
        candidates = [start, *start.parents, Path(__file__).resolve().parents[1]]
    for folder in candidates:
        if (folder / "course.yml").is_file():
            return folder.resolve()
    raise CourseError(
        f"No course.yml in {start} or above it.", "Run the command inside the course's folder, or set LLMLABS_ROOT."
    )


def load(root: Path) -> Catalogue:
    """Read and check course.yml.

    Raises:
        CourseError: if the file is not valid, with the place and what is expected there.
    """
    path = root / "course.yml"
    try:
        return Catalogue.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise CourseError(f"{path} is not valid YAML: {error}", "Mend the line that it names.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = " > ".join(str(part) for part in first["loc"]) or "the whole file"
        raise CourseError(
            f"{path}, {place}: {first['msg'].removeprefix('Value error, ')}",
            "Mend course.yml and run the command again.",
        ) from error
