"""The catalogue table of README.md, made from course.yml."""

from __future__ import annotations

import re

from llmlabs.catalogue import Catalogue, Lab, Section
from llmlabs.errors import CourseError

BEGIN, END = "<!-- catalogue: begin (made from course.yml by `llmlabs catalogue`) -->", "<!-- catalogue: end -->"


def with_catalogue(readme: str, course: Catalogue) -> str:
    """The README's text with the table between its two markers.

    Raises:
        CourseError: if the markers are not there.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(readme):
        raise CourseError(
            "README.md has no place for the catalogue.", f"Put these two lines into it: {BEGIN} and {END}"
        )
    return pattern.sub(lambda _: f"{BEGIN}\n{table(course)}\n{END}", readme)


def table(course: Catalogue) -> str:
    """One Markdown table a part, one row a lab."""
    labs = list(course.labs())
    finished = sum(lab.finished for _, lab in labs)
    lines = [f"{len(course.sections)} sections, {len(labs)} labs: {finished} finished, {len(labs) - finished} planned."]
    for part in course.parts:
        lines += ["", f"### Part {part.number}: {part.title}", ""]
        lines += ["| Section | Lab | Time | GPU | Cost on 2 cores | Status |", "| --- | --- | --- | --- | --- | --- |"]
        for section in (s for s in course.sections if s.part == part.number):
            for number, lab in enumerate(section.labs):
                lines.append(_row(section, lab, first=number == 0))
    return "\n".join(lines)


def _row(section: Section, lab: Lab, *, first: bool) -> str:
    name = f"{section.name}/{lab.name}"
    title = f"[{lab.title}](release/{name}.ipynb)" if lab.finished else lab.title
    cost = f"{lab.cost.seconds:.0f} s, {lab.cost.peak_memory_mb} MB" if lab.cost else ""
    status = f"finished ([solution](solutions/{name}.ipynb))" if lab.finished else "planned"
    gpu = {"none": "no", "recommended": "helps", "required": "**for some cells**"}[lab.accelerator]
    head = f"**{section.number:02d} {section.title}**" if first else ""
    return f"| {head} | {title} | {lab.minutes} min | {gpu} | {cost} | {status} |"
