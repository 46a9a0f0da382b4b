"""The parts of README.md that are made: the catalogue from course.yml, and what is known of the graders from docs/."""

from __future__ import annotations

import re
from pathlib import Path

from llmlabs.catalogue import Catalogue, Lab, Section
from llmlabs.errors import CourseError

BEGIN, END = "<!-- catalogue: begin (made from course.yml by `llmlabs catalogue`) -->", "<!-- catalogue: end -->"
BEGIN_NUMBERS, END_NUMBERS = "<!-- numbers: begin (made from docs/ by `llmlabs catalogue`) -->", "<!-- numbers: end -->"


def up_to_date(readme: str, root: Path, course: Catalogue) -> str:
    """The README's text with all parts that are made; the numbers only where it has a place for them.

    Raises:
        CourseError: if there is no place for the catalogue, or what it is made from is not there.
    """
    readme = with_catalogue(readme, course)
    return with_numbers(readme, root) if BEGIN_NUMBERS in readme else readme


def with_catalogue(readme: str, course: Catalogue) -> str:
    """The README's text with the table between its two markers.

    Raises:
        CourseError: if the markers are not there.
    """
    return _between(readme, BEGIN, END, table(course))


def with_numbers(readme: str, root: Path) -> str:
    """The README's text with what is known of the graders: from docs/grader-quality.md and docs/hostile.md.

    Raises:
        CourseError: if the markers, or one of the tables, are not there.
    """
    pages = [root / "docs" / name for name in ("grader-quality.md", "hostile.md")]
    quality, hostile = (page.read_text(encoding="utf-8") if page.is_file() else "" for page in pages)
    sums = re.search(r"^\*\*(\d+ mutants of .+)\*\*$", quality, re.MULTILINE)
    answers = [line.split("|") for line in quality.splitlines() if line.startswith("| **lab**")]
    table = re.search(r"^\| of the submissions \|.+?(?=\n\n)", hostile, re.MULTILINE | re.DOTALL)
    if not sums or not answers or not table:
        raise CourseError("docs/grader-quality.md or docs/hostile.md has not its table.", "Run: llmlabs mutate")
    wrong, right = (sum(int(cells[column]) for cells in answers) for column in (3, 4))
    lines = [
        f"- {wrong} wrong answers, each caught by the test that must catch it; {right} other right ones, all accepted."
    ]
    lines += [f"- {sums[1]}", "- Hostile and broken submissions, graded by this engine and by nbgrader as it comes:"]
    return _between(readme, BEGIN_NUMBERS, END_NUMBERS, "\n".join([*lines, "", table[0]]))


def _between(text: str, begin: str, end: str, content: str) -> str:
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        name = begin.removeprefix("<!-- ").partition(":")[0]
        raise CourseError(f"README.md has no place for the {name}.", f"Put these two lines into it: {begin} and {end}")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text)


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
