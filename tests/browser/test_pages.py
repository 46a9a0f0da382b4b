"""The pages that are no notebook, in a real browser: on a phone and a desk, light and dark."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import nbformat
import pytest

from llmlabs import catalogue
from llmlabs.build.builder import read_sources
from llmlabs.grade.grading import grade_section
from llmlabs.learn.pages import progress_of, write_progress_page
from llmlabs.learn.work import Diary, Event
from llmlabs.teach.report import write_report
from llmlabs.verify.answers import answers_path, read_answers
from llmlabs.verify.submissions import answered, solutions

from .served import LAB, ROOT, SECTION, Screenshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

OURS, NBGRADERS = ("progress", "where-to-start", "report"), ("feedback",)
WIDTHS = {"phone": 390, "desk": 1280}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
# of text against what is behind it, for small text (WCAG 2.2, success criterion 1.4.3)
LEAST_CONTRAST = 4.5
CONTRASTS = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(c => linear(c / 255))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = channels(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll("body, body *")) {
    const own = [...node.childNodes].filter(child => child.nodeType === 3).map(child => child.data.trim()).join("");
    if (!own || !node.getClientRects().length || ["SCRIPT", "STYLE"].includes(node.tagName)) continue;
    const [one, two] = [light(channels(getComputedStyle(node).color)), light(behind(node))];
    found.push([(Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05), own.slice(0, 40)]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def pages(course: Path) -> dict[str, Path]:
    """Each page's file: of a learner in the middle of a lab, of a student with a mistake, of their class."""
    [source] = read_sources(course, catalogue.load(course), f"{SECTION}/{LAB}")
    wrong = next(a for a in read_answers(answers_path(ROOT, source.section, source.lab)) if a.kind == "wrong")
    release = nbformat.read(course / "release" / SECTION / f"{LAB}.ipynb", as_version=4)
    path = course / "submitted" / "ben" / SECTION / f"{LAB}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(answered(release, solutions(source.notebook) | {wrong.exercise: wrong.source}), path)
    grade_section(course, SECTION, say=lambda line: None)
    points = {e.grade_id: float(e.points) for e in source.lab.exercises[:4]}
    events = [
        Event(time=NOON, lab=source.name),
        Event(time=NOON + timedelta(minutes=50), lab=source.name, points=points),
    ]
    return {
        "progress": write_progress_page(course, progress_of(catalogue.load(course), Diary(events=events))),
        "where-to-start": course / "docs" / "where-to-start.html",
        "feedback": course / "feedback" / "ben" / SECTION / f"{LAB}.html",
        "report": write_report(course, SECTION),
    }


@pytest.fixture
def opened(browser: Browser, pages: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, width and colour scheme of the test's parameters, opened without a network; nothing may go wrong."""
    name, width, scheme = request.param
    context = browser.new_context(viewport={"width": WIDTHS[width], "height": 844}, color_scheme=scheme, offline=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda failed: errors.append(failed.url))
    page.goto(pages[name].as_uri())
    yield page
    context.close()
    assert name in NBGRADERS or not errors, "nbgrader's page asks the network for MathJax; ours ask for nothing"


@pytest.mark.parametrize(
    "opened",
    [(name, width, scheme) for name in OURS + NBGRADERS for width in WIDTHS for scheme in ("light", "dark")],
    indirect=True,
    ids="-".join,
)
def test_a_page_fits_and_can_be_read(opened: Page, request: pytest.FixtureRequest) -> None:
    Screenshot(opened, request.config.getoption("--screenshots"))(request.node.callspec.id)
    wide, room = opened.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= room, f"the page is {wide} pixels wide and must be scrolled sideways on a screen of {room}"
    if "feedback" in opened.url:
        return  # its colours are nbgrader's
    contrasts = opened.evaluate(CONTRASTS)
    assert len(contrasts) > 10
    faint = {text: round(ratio, 1) for ratio, text in contrasts if ratio < LEAST_CONTRAST}
    assert not faint, f"text that stands out too little from its background: {faint}"


@pytest.mark.parametrize("opened", [("where-to-start", "phone", "light")], indirect=True)
def test_the_questions_lead_to_a_path(opened: Page) -> None:
    answer = opened.locator("#answer h2")
    assert answer.inner_text() == "Complete beginner"
    for skill in range(9):
        opened.locator(f"input[name=skill{skill}][value='2']").check()
    opened.locator("input[name=goal][value=research]").check()
    assert answer.inner_text() == "Research"
