"""course.yml: complete, honest about what exists, and checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmlabs import catalogue
from llmlabs.catalogue_table import BEGIN, BEGIN_NUMBERS, END, END_NUMBERS, with_catalogue, with_numbers
from llmlabs.errors import CourseError

ROOT = Path(__file__).resolve().parents[1]


def test_the_course_has_23_sections_and_92_labs() -> None:
    course = catalogue.load(ROOT)
    assert len(course.sections) == 23
    assert len(list(course.labs())) == 92


def test_every_finished_lab_has_its_files_and_a_measured_cost() -> None:
    finished = list(catalogue.load(ROOT).labs(finished=True))
    assert finished
    for section, lab in finished:
        assert lab.cost is not None, f"{lab.name}: run llmlabs measure {section.name}/{lab.name}"
        assert lab.cost.seconds <= 60, f"{lab.name} costs more than a lab may"
        assert lab.cost.peak_memory_mb <= 4096, f"{lab.name} costs more than a lab may"
        for path in (f"source/{section.name}/{lab.name}.py", f"answers/{section.name}/{lab.name}.py"):
            assert (ROOT / path).is_file(), f"{path} is missing"


def test_every_source_is_a_finished_lab() -> None:
    finished = {f"{section.name}/{lab.name}" for section, lab in catalogue.load(ROOT).labs(finished=True)}
    sources = {f"{path.parent.name}/{path.stem}" for path in (ROOT / "source").glob("*/*.py")}
    assert sources == finished


DEFECTS = [
    (
        "points: 25\n    accelerator: none\n    tools: [Python]",
        "points: 20\n    accelerator: none\n    tools: [Python]",
        "25",
    ),
    ("title: 'Double a list', points: 6", "title: 'Double a list', points: 5", "add up to 24"),
    ("grade_id: double", "grade_id: add", "share a grade_id"),
    ("grade_id: double", "grade_id: Double", "grade_id"),
    ("topics: [sums]}\n    - {grade_id: double", "topics: [differences]}\n    - {grade_id: double", "differences"),
    ("topics: {All: [sums]}", "topics: {All: [sums, products]}", "no lab covers products"),
    ("difficulty: Beginner", "difficulty: Trivial", "difficulty"),
    ("name: algebra", "name: arithmetic", "share a name"),
    ("    accelerator: none\n", "    accelerator: none\n    colour: red\n", "colour"),
    ("title: Mini\n", "title: [Mini\n", "not valid YAML"),
]


@pytest.mark.parametrize(("old", "new", "message"), DEFECTS, ids=[message for _, _, message in DEFECTS])
def test_a_bad_catalogue_is_refused(mini: Path, old: str, new: str, message: str) -> None:
    path = mini / "course.yml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CourseError, match=re.escape(message)) as caught:
        catalogue.load(mini)
    assert "course.yml" in str(caught.value)


def test_selectors() -> None:
    course = catalogue.load(ROOT)
    assert len(list(course.labs("03"))) == 4
    assert [lab.name for _, lab in course.labs("03_tokenization/bpe_from_scratch")] == ["bpe_from_scratch"]
    with pytest.raises(CourseError, match="no section or lab '99'"):
        course.labs("99")


def test_the_readme_shows_every_lab_and_says_what_is_planned() -> None:
    course = catalogue.load(ROOT)
    readme = with_catalogue(f"{BEGIN}\n{END}", course)
    assert all(lab.title in readme for _, lab in course.labs())
    assert readme.count("| planned |") == sum(not lab.finished for _, lab in course.labs())
    with pytest.raises(CourseError, match="no place for the catalogue"):
        with_catalogue("# A README without markers", course)


def test_the_readme_shows_what_is_known_of_the_graders() -> None:
    assert BEGIN_NUMBERS in (ROOT / "README.md").read_text(encoding="utf-8")
    readme = with_numbers(f"{BEGIN_NUMBERS}\n{END_NUMBERS}", ROOT)
    assert re.search(r"^- \d{3,} wrong answers, .*; \d{2,} other right ones", readme, re.MULTILINE)
    assert re.search(r"^- \d{3,} mutants of \d+ exercises", readme, re.MULTILINE)
    assert re.search(r"^\| got the grade that is due \| \d+ \| \d+ \|", readme, re.MULTILINE)
    with pytest.raises(CourseError, match="no place for the numbers"):
        with_numbers("# A README without markers", ROOT)


def test_find_root_from_a_folder_below(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMLABS_ROOT", raising=False)
    assert catalogue.find_root(mini / "source" / "01_arithmetic") == mini.resolve()
    monkeypatch.setenv("LLMLABS_ROOT", str(mini.parent))
    with pytest.raises(CourseError, match=r"No course\.yml"):
        catalogue.find_root()
