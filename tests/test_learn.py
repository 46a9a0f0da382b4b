"""What a learner does alone: start, check, see progress."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from llmlabs import catalogue
from llmlabs.build.builder import build
from llmlabs.cli import app
from llmlabs.errors import CourseError
from llmlabs.learn import paths
from llmlabs.learn.notebook_check import Checked, check, check_notebook
from llmlabs.learn.pages import check_table, progress_of, progress_page
from llmlabs.learn.work import DIARY, Diary, Event, read_diary, start
from llmlabs.verify.answers import read_answers
from llmlabs.verify.submissions import answered, solutions

LAB = "01_arithmetic/arithmetic"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def course(built_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "mini"
    shutil.copytree(built_mini, root)
    monkeypatch.setenv("LLMLABS_ROOT", str(root))
    return root


def solve(root: Path, exercises: list[str], **answers: str) -> Path:
    """The learner's notebook with these exercises solved, and others answered by these texts."""
    [started] = start(root, LAB)
    source = nbformat.read(root / "source" / f"{LAB}.ipynb", as_version=4)
    notebook = nbformat.read(started.path, as_version=4)
    nbformat.write(answered(notebook, solutions(source, exercises) | answers), started.path)
    return started.path


def advice(checked: Checked, exercise: str) -> str:
    return next(result.advice for result in checked.exercises if result.exercise == exercise)


def test_start_copies_the_release_and_never_overwrites(course: Path) -> None:
    [first] = start(course, "01")
    assert first.path.read_bytes() == (course / "release" / f"{LAB}.ipynb").read_bytes()
    assert not first.kept
    first.path.write_text("my work", encoding="utf-8")
    [second] = start(course, LAB)
    assert second.kept
    assert second.path.read_text(encoding="utf-8") == "my work"
    assert [event.points for event in read_diary(course).events] == [None]


def test_start_of_a_planned_lab_is_an_error(course: Path) -> None:
    with pytest.raises(CourseError, match="No lab of 01_arithmetic/algebra is finished"):
        start(course, "01_arithmetic/algebra")


def test_a_check_says_what_failed_and_what_to_do(course: Path) -> None:
    wrong = next(a for a in read_answers(course / "answers" / f"{LAB}.py") if (a.exercise, a.kind) == ("add", "wrong"))
    path = solve(course, ["double"], add=wrong.source)
    before = path.read_bytes()
    checked = check_notebook(course, path)
    assert {r.exercise: r.earned for r in checked.exercises} == {"add": 0, "double": 6, "largest": 0, "clip": 0}
    add, double, largest, _ = checked.exercises
    assert "add(2, 3) should be 5, got -1: is it a sum?" in add.message
    assert add.failed == "add-example"
    assert add.advice.startswith("Run the cell add-example in your notebook")
    assert (double.failed, double.message, double.advice) == ("", "", "")
    assert largest.message == "not solved yet"
    assert "write your code in the cell largest" in largest.advice
    assert path.read_bytes() == before
    assert "is it a sum?" in check_table(checked)


@pytest.mark.parametrize(
    ("answer", "message", "advised"),
    [
        (
            "def add(a, b:\n    return a + b",
            "your cell add stopped with SyntaxError",
            "Run the cell add in your notebook",
        ),
        ("def add(a, b):\n    return 5", "a secret", "This test is hidden"),
        ("def add(a, b):\n    return 5 if a == 2 else c", "name 'c' is not defined", "Your code stopped at that line"),
    ],
    ids=["syntax", "hidden", "crash"],
)
def test_advice_fits_what_happened(course: Path, answer: str, message: str, advised: str) -> None:
    add = check_notebook(course, solve(course, [], add=answer)).exercises[0]
    assert message in add.message
    assert add.advice.startswith(advised)


def test_a_test_is_hidden_only_if_nothing_of_it_can_be_seen(course: Path) -> None:
    path = course / "source" / f"{LAB}.py"
    visible = "assert add(2, 3) == 5,"
    hidden = f"### BEGIN HIDDEN TESTS\nassert add(0, 0) == 0\n### END HIDDEN TESTS\n{visible}"
    path.write_text(path.read_text(encoding="utf-8").replace(visible, hidden), encoding="utf-8")
    build(course, solutions=False, say=lambda line: None)
    add = check_notebook(course, solve(course, [], add="def add(a, b):\n    return 5")).exercises[0]
    assert add.advice.startswith("Run the cell add-example in your notebook")
    assert "If it passes there" in add.advice


def test_advice_grows_with_every_check_that_fails(course: Path) -> None:
    path = solve(course, [], add="def add(a, b):\n    return a - b")
    hints = []
    for _ in range(4):
        checked = check_notebook(course, path)
        hints.append(advice(checked, "add"))
    assert "hint" not in hints[0]
    assert "solutions/" in hints[-1]
    assert len(read_diary(course).checks(LAB)) == 4


def test_a_renamed_notebook_is_known_by_its_cells(course: Path, tmp_path: Path) -> None:
    path = solve(course, ["add"])
    other = tmp_path / "homework (final).ipynb"
    path.rename(other)
    assert check_notebook(course, other).earned == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Dear diary", "could not be read: it is not a notebook"),
        (nbformat.writes(nbformat.v4.new_notebook()), "has no exercise of this course"),
    ],
)
def test_what_is_no_notebook_of_the_course_is_an_error(course: Path, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "other.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match=message):
        check_notebook(course, path)
    assert not (course / DIARY).exists()


def test_a_file_that_is_not_there_is_an_error(course: Path) -> None:
    with pytest.raises(CourseError, match="There is no file"):
        check_notebook(course, course / "work" / "lost.ipynb")


def test_the_cell_of_a_notebook_checks_itself(
    course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", str(solve(course, ["add", "double", "largest", "clip"])))
    check()
    assert "HTML" in capsys.readouterr().out
    assert read_diary(course).best(LAB) == {"add": 6, "double": 6, "largest": 6, "clip": 7}
    monkeypatch.delenv("JPY_SESSION_NAME")
    with pytest.raises(CourseError, match="Which notebook is this"):
        check()


def test_the_best_points_and_the_time_are_counted() -> None:
    def event(minutes: int, **points: float) -> Event:
        return Event(time=NOON + timedelta(minutes=minutes), lab=LAB, points=points or None)

    diary = Diary(events=[event(0), event(20, add=6.0), event(50, add=0.0, clip=7.0), event(600, add=1.0)])
    assert diary.best(LAB) == {"add": 6, "clip": 7}
    assert diary.spent(LAB) == timedelta(minutes=20 + 30 + 60)
    assert diary.failed_checks(LAB, "add", 6) == 2
    assert diary.failed_checks(LAB, "clip", 7) == 1


def test_progress_shows_points_competencies_and_time(course: Path) -> None:
    diary = Diary(
        events=[
            Event(time=NOON, lab=LAB),
            Event(time=NOON + timedelta(minutes=12), lab=LAB, points={"add": 6, "double": 2, "largest": 0, "clip": 0}),
        ]
    )
    progress = progress_of(catalogue.load(course), diary)
    arithmetic, algebra = progress.labs[:2]
    assert (arithmetic.state, arithmetic.earned, arithmetic.minutes) == ("started", 8, 12)
    assert arithmetic.competencies == ["sums"]
    assert algebra.state == "planned"
    assert (progress.earned, progress.possible, progress.done) == (8, 25, 0)
    page = progress_page(progress)
    assert "8 of 25" in page
    assert "12 of 10 min" in page
    assert "Shown: sums" in page
    assert "http" not in page.replace('http-equiv="', ""), "the page loads something from elsewhere"


def test_a_spoiled_diary_is_an_error_and_stays(course: Path) -> None:
    path = course / DIARY
    path.parent.mkdir()
    path.write_text("{", encoding="utf-8")
    with pytest.raises(CourseError, match="cannot be read as a diary"):
        start(course, "01")
    assert path.read_text(encoding="utf-8") == "{"


def test_the_commands(course: Path) -> None:
    run = CliRunner()
    assert "Nothing is started yet" in run.invoke(app, ["progress"]).output
    assert "ready" in run.invoke(app, ["start", "01"]).output
    assert "yours, left as it is" in run.invoke(app, ["start", "01"]).output
    path = solve(course, ["add", "double", "largest", "clip"])
    done = run.invoke(app, ["check", str(path)])
    assert done.exit_code == 0, done.output
    assert "25 of 25" in done.output
    assert "25 of 25 points, 1 labs done" in run.invoke(app, ["progress"]).output
    assert (course / "work" / "progress.html").is_file()
    assert run.invoke(app, ["check", "nothing.ipynb"]).exit_code == 1


@pytest.mark.parametrize(
    ("levels", "goal", "path"),
    [
        ({}, "all", "beginner"),
        ({"Git": 2, "The command line": 2}, "build", "beginner"),
        ({"Python": 1, "Git": 1}, "all", "quick"),
        ({"Python": 2}, "research", "quick"),
        ({"Python": 2}, "build", "engineering"),
        ({"Python": 2, "Deep learning": 1, "The basics of machine learning": 2}, "train", "advanced"),
        ({"Python": 2, "Deep learning": 2, "The basics of machine learning": 2}, "research", "research"),
    ],
)
def test_a_path_for_everybody(levels: dict[str, int], goal: str, path: str) -> None:
    assert paths.recommend(levels, goal) == path


def test_what_to_brush_up_is_what_the_path_needs() -> None:
    assert [s.name for s in paths.to_brush_up({"Python": 2, "Git": 1, "Statistics": 1}, "all")] == [
        *("The command line", "SQL", "Linear algebra", "Calculus")
    ]
    assert "SQL" not in [s.name for s in paths.to_brush_up({}, "all")]


def test_the_questions_in_a_terminal() -> None:
    done = CliRunner().invoke(app, ["where-to-start"], input="2\n1\n1\n0\n1\n1\n1\n0\n0\nbuild\n")
    assert done.exit_code == 0, done.output
    assert "LLM engineering" in done.output
    assert "llmlabs start 03" in done.output


def test_the_page_asks_all_and_knows_all_paths() -> None:
    page = paths.start_page(catalogue.load(Path(__file__).resolve().parents[1]))
    assert all(path.name in page for path in paths.PATHS.values())
    assert page.count("<fieldset") == len(paths.SKILLS) + 1
