"""Around grading: what was handed in elsewhere is collected whole, a class is reported on, grades are exported."""

from __future__ import annotations

import csv
import shutil
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
from typer.testing import CliRunner

from llmlabs.cli import app
from llmlabs.errors import CourseError
from llmlabs.grade.grading import Grade, Report, grade_section
from llmlabs.grade.rebuild import MAX_BYTES
from llmlabs.teach.collecting import collect_submissions, student_id
from llmlabs.teach.report import items_of, report_on, write_report
from llmlabs.verify.submissions import answered, solutions

from .hostile.classroom import VARIANTS

SECTION = "01_arithmetic"
LAB = f"{SECTION}/arithmetic.ipynb"
LONG = """
    # {comment}
    total = 0
    for position in range(len(xs)):
        value = xs[position]
        if position == 0 or value > total:
            total = value
        elif value == total:
            total = value + 0 * position
        else:
            total = total - 0 * value
    return total
"""


def zipped(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize(
    ("name", "student", "notebook"),
    [
        ("Ada Lovelace_4711_assignsubmission_file_/arithmetic.ipynb", "ada_lovelace_4711", "arithmetic.ipynb"),
        ("Ada Lovelace_4711_assignsubmission_file/deep/arithmetic.ipynb", "ada_lovelace_4711", "arithmetic.ipynb"),
        ("lovelaceada_4711_998_arithmetic.ipynb", "lovelaceada_4711", "arithmetic.ipynb"),
        ("lovelaceada_LATE_4711_998_arithmetic-2.ipynb", "lovelaceada_4711", "arithmetic.ipynb"),
        ("ada/arithmetic (1).ipynb", "ada", "arithmetic.ipynb"),
        ("ada/homework.ipynb", "ada", "homework.ipynb"),
        ("all/ada/arithmetic.ipynb", "ada", "arithmetic.ipynb"),
        ("submitted/ada/01_arithmetic/arithmetic.ipynb", "ada", "arithmetic.ipynb"),
        ("Zoë Müller/arithmetic.ipynb", "zoe_muller", "arithmetic.ipynb"),
    ],
)
def test_each_way_of_naming_is_known(mini: Path, tmp_path: Path, name: str, student: str, notebook: str) -> None:
    result = collect_submissions(mini, "01", zipped(tmp_path / "all.zip", {name: "text"}))
    assert result.written == [mini / "submitted" / student / SECTION / notebook]
    assert result.written[0].read_text(encoding="utf-8") == "text"
    assert bool(result.late) == ("LATE" in name)


def test_nothing_is_lost_or_overwritten_unsaid(mini: Path, tmp_path: Path) -> None:
    files = {"ada/arithmetic.ipynb": "1", "ada/again/ada/arithmetic.ipynb": "2", "ben/arithmetic.ipynb": "3"}
    files |= {"ben/notes.txt": "hello", "arithmetic.ipynb": "whose?", "cleo/arithmetic.ipynb": "x" * (MAX_BYTES + 1)}
    archive = zipped(tmp_path / "all.zip", files)
    result = collect_submissions(mini, SECTION, archive)
    assert result.files == len(files)
    assert result.students == {"ada", "ben"}
    assert {place for place, _ in result.left_out} >= {"ben/notes.txt", "arithmetic.ipynb", "cleo/arithmetic.ipynb"}
    assert len(result.left_out) == 4
    assert len(collect_submissions(mini, SECTION, archive).unchanged) == 2

    changed = zipped(tmp_path / "later.zip", {"ben/arithmetic.ipynb": "4"})
    path = mini / "submitted" / "ben" / LAB
    assert collect_submissions(mini, SECTION, changed).kept == [path]
    assert path.read_text(encoding="utf-8") == "3"
    assert collect_submissions(mini, SECTION, changed, replace=True).replaced == [path]
    assert path.read_text(encoding="utf-8") == "4"


def test_a_spoiled_file_does_not_keep_the_others_out(mini: Path, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "all.zip", {"ada/arithmetic.ipynb": "the text of ada", "ben/arithmetic.ipynb": "ben"})
    archive.write_bytes(archive.read_bytes().replace(b"the text of ada", b"the text of eve"))
    result = collect_submissions(mini, "01", archive)
    assert result.students == {"ben"}
    [(place, why)] = result.left_out
    assert place == "ada/arithmetic.ipynb"
    assert "cannot be unpacked" in why


def test_a_folder_is_taken_too_but_no_link_in_it(mini: Path, tmp_path: Path) -> None:
    folder = tmp_path / "class"
    (folder / "ada").mkdir(parents=True)
    (folder / "ada" / "arithmetic.ipynb").write_text("1", encoding="utf-8")
    (folder / "ben").mkdir()
    (folder / "ben" / "arithmetic.ipynb").symlink_to(folder / "ada" / "arithmetic.ipynb")
    result = collect_submissions(mini, "01", folder)
    assert result.students == {"ada"}
    assert result.left_out == [("ben/arithmetic.ipynb", "it is a link, and no file")]


@pytest.mark.parametrize(
    "names", [["../../evil/arithmetic.ipynb"], ["/etc/arithmetic.ipynb"], ["..\\up/arithmetic.ipynb"]]
)
def test_no_name_leads_out_of_the_course(mini: Path, tmp_path: Path, names: list[str]) -> None:
    result = collect_submissions(mini, "01", zipped(tmp_path / "all.zip", dict.fromkeys(names, "text")))
    assert all((mini / "submitted").resolve() in path.resolve().parents for path in result.written)
    assert student_id("../..") == "unnamed"


def test_what_is_no_archive_is_an_error(mini: Path, tmp_path: Path) -> None:
    (tmp_path / "page.zip").write_text("<html>", encoding="utf-8")
    with pytest.raises(CourseError, match="cannot be read as a zip file"):
        collect_submissions(mini, "01", tmp_path / "page.zip")
    with pytest.raises(CourseError, match="can be told to be a student's"):
        collect_submissions(mini, "01", zipped(tmp_path / "empty.zip", {"readme.txt": "hello"}))


def graded_class(points: list[list[float]]) -> Report:
    grades = [Grade(f"s{number}", dict(zip("ab", row, strict=True)), sum(row)) for number, row in enumerate(points)]
    return Report("s", {"a": 4.0, "b": 2.0}, [*grades, Grade("lost")], Path())


def test_item_analysis_is_that_of_the_textbook() -> None:
    points = [[4.0, 2.0], [4.0, 1.0], [0.0, 0.0], [2.0, 2.0]]
    first, second = items_of(graded_class(points), {"a": "The first"})
    assert (first.title, first.full, first.none) == ("The first", 2, 1)
    assert first.difficulty == pytest.approx(10 / 16)
    assert first.discrimination == pytest.approx(np.corrcoef([4, 4, 0, 2], [2, 1, 0, 2])[0, 1])
    assert second.discrimination == pytest.approx(first.discrimination)
    assert items_of(graded_class([[4.0, 2.0]] * 3), {})[0].discrimination is None
    assert items_of(graded_class([]), {})[0].difficulty == 0


@pytest.fixture(scope="module")
def classroom(built_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve students: ten honest ones, of whom two share a long answer, a crash, and a letter."""
    root = tmp_path_factory.mktemp("teach") / "mini"
    shutil.copytree(built_mini, root)
    release = nbformat.read(root / "release" / LAB, as_version=4)
    right = solutions(nbformat.read(root / "source" / LAB, as_version=4))
    texts: dict[str, str] = {}
    for number, (changes, _) in enumerate(VARIANTS):
        texts[f"student{number}"] = nbformat.writes(answered(release, right | changes))
    for name, comment in (("student2", "mine"), ("student4", "all my own work")):
        answer = {"largest": f"def largest(xs):{LONG.format(comment=comment)}"}
        texts[name] = nbformat.writes(answered(release, right | answer))
    texts["crash"] = nbformat.writes(answered(release, right | {"double": "import os\nos._exit(1)"}))
    texts["letter"] = "Dear instructor"
    archive = zipped(root / "all.zip", {f"{name}/arithmetic.ipynb": text for name, text in texts.items()})
    assert len(collect_submissions(root, SECTION, archive).written) == len(texts)
    grade_section(root, SECTION, say=lambda line: None)
    return root


def test_the_report_counts_everybody(classroom: Path) -> None:
    report = report_on(classroom, "01")
    assert len(report.totals) == sum(report.bins) == 12
    assert report.without_score == []
    assert {student for student, _ in report.troubles} == {"crash", "letter"}
    assert any("the notebook's process ended" in note for _, note in report.troubles)
    assert report.items[0].difficulty < report.items[1].difficulty
    assert [(f.test, f.students) for f in report.failures[:1]] == [("add-properties", 2)]
    assert not any("did not run" in failure.message for failure in report.failures)


def test_the_report_finds_the_pair_and_nobody_else(classroom: Path) -> None:
    [pair] = report_on(classroom, "01").pairs
    assert (pair.first, pair.second, pair.exercises, pair.alike) == ("student2", "student4", ["largest"], 1.0)


def test_the_report_is_a_page(classroom: Path) -> None:
    page = write_report(classroom, "01").read_text(encoding="utf-8")
    assert "student2, student4" in page
    assert "For instructors" in page


def test_an_ungraded_section_has_no_report(mini: Path) -> None:
    with pytest.raises(CourseError, match="has not been graded yet"):
        write_report(mini, "01")


def test_a_spoiled_record_is_named(classroom: Path) -> None:
    path = classroom / "build" / "records" / SECTION / "crash" / "arithmetic.json"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[:100], encoding="utf-8")
    with pytest.raises(CourseError, match=r"crash/arithmetic\.json is spoiled"):
        report_on(classroom, "01")
    path.write_text(whole, encoding="utf-8")
    assert report_on(classroom, "01")


def test_grades_are_exported(classroom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMLABS_ROOT", str(classroom))
    run = CliRunner()
    for form in ("csv", "canvas"):
        done = run.invoke(app, ["export", "--format", form, "--to", str(tmp_path / f"{form}.csv")])
        assert done.exit_code == 0, done.output

    def read(form: str) -> list[list[str]]:
        with (tmp_path / f"{form}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))

    table, canvas = read("csv"), read("canvas")
    assert table[0] == ["student_id", SECTION, "total"]
    assert len(table) == len(canvas) == 2 + 12
    assert ["crash", "6.0", "6.0"] in table
    assert canvas[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", SECTION]
    assert ["letter", "", "", "letter", "", "0.0"] in canvas
    assert run.invoke(app, ["export", "--format", "excel"]).exit_code == 1
