"""The `llmlabs` command."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.prompt import Prompt
from rich.table import Table

from llmlabs import catalogue
from llmlabs.errors import CourseError

if TYPE_CHECKING:
    from llmlabs.grade.grading import Grade, Report
    from llmlabs.learn.notebook_check import Checked
    from llmlabs.learn.pages import Progress
    from llmlabs.verify.verify import LabReport

app = typer.Typer(
    help="Build, run and grade the LLM Labs course.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="The data sets of the course.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Selector = Annotated[
    str, typer.Argument(help="A section (03 or 03_tokenization) or a lab (03_tokenization/bpe_from_scratch).")
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", help="How many notebooks run at a time; default: one per core.")
]

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def course() -> Iterator[Path]:
    """The course's root; an error for people is printed without a traceback and ends the command with code 1."""
    try:
        yield catalogue.find_root()
    except CourseError as error:
        errors.print(error.what, markup=False, style="red")
        if error.mend:
            errors.print(error.mend, markup=False)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        errors.print("Stopped. What was finished is kept; run the command again to go on.")
        raise typer.Exit(130) from None


def needs_posix() -> None:
    """Refuse to grade where the engine cannot run.

    Raises:
        CourseError: on Windows.
    """
    if sys.platform == "win32":
        raise CourseError("Grading does not run on Windows.", "Use Linux, for example in WSL: https://aka.ms/wsl")


def called() -> str:
    """How this command is called here: by its path, unless the environment is active."""
    return "llmlabs" if shutil.which("llmlabs") else os.path.relpath(sys.argv[0])


def say(line: str) -> None:
    console.print(line, markup=False)


@app.command()
def build(
    selector: Selector = "",
    everything: Annotated[bool, typer.Option("--all", help="Build also what did not change.")] = False,
    solutions: Annotated[bool, typer.Option(help="Build and execute solutions/ as well as release/.")] = True,
    scale: Annotated[str, typer.Option(help="The size at which solutions run: cpu or gpu.")] = "cpu",
    jobs: Jobs = None,
) -> None:
    """Build release/ and solutions/ from source/: what changed, or everything."""
    from llmlabs.build import builder

    with course() as root:
        if scale not in ("cpu", "gpu"):
            raise CourseError(f"There is no scale {scale!r}.", "Use --scale cpu or --scale gpu.")
        builder.build(root, selector, everything=everything, solutions=solutions, scale=scale, jobs=jobs, say=say)
        update_readme(root)


@app.command()
def grade(
    section: Annotated[str, typer.Argument(help="The section, as 01_neural_networks or 01.")],
    student: Annotated[list[str] | None, typer.Option(help="Grade only this student (may be given again).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Grade again what has not changed.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes on this machine; default: one per core.")] = None,
    scheduler: Annotated[str, typer.Option(help="A Dask scheduler to use instead: tls://HOST:PORT.")] = "",
    sandbox: Annotated[
        bool, typer.Option(help="Run students' code in a box. Without one it can do whatever you can do.")
    ] = True,
) -> None:
    """Grade submitted/STUDENT/SECTION of every student; write the gradebook, feedback/ and grades.csv."""
    with course() as root:
        needs_posix()
        from llmlabs.grade.grading import Options, grade_section

        options = Options(tuple(student or ()), force, workers, scheduler, sandbox)
        print_grades(grade_section(root, section, options, say=say), root)


@app.command()
def collect(
    section: Annotated[str, typer.Argument(help="The section, as 01_neural_networks or 01.")],
    archive: Annotated[
        Path, typer.Argument(help="A zip file from Moodle or Canvas, or a folder with one per student.")
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite what was collected before and is not the same.")
    ] = False,
) -> None:
    """Put what was handed in elsewhere into submitted/STUDENT/SECTION."""
    from llmlabs.teach.collecting import collect_submissions

    with course() as root:
        result = collect_submissions(root, section, archive, replace=replace)
        for place, why in result.left_out:
            say(f"left out: {place}: {why}")
        for path in result.kept:
            say(f"not overwritten (--replace does): {path.relative_to(root)}")
        for path in result.replaced:
            say(f"replaced: {path.relative_to(root)}")
        for student in result.late:
            say(f"late, says Canvas: {student}")
        counts = {name: len(getattr(result, name)) for name in ("written", "unchanged", "replaced", "kept", "left_out")}
        told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
        say(f"{result.files} files of {len(result.students)} students: {told}")


@app.command()
def report(section: Annotated[str, typer.Argument(help="A section that has been graded.")]) -> None:
    """Write a page on how the class did: totals, exercises, failed tests, trouble, near-identical answers."""
    from llmlabs.teach.report import write_report

    with course() as root:
        say(f"report: {write_report(root, section).relative_to(root)} (it names students: keep it to yourself)")


@app.command()
def export(
    sections: Annotated[
        list[str] | None, typer.Argument(help="Sections to export; all that are graded by default.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="csv or canvas.")] = "csv",
    to: Annotated[str, typer.Option(help="The file to write.")] = "",
) -> None:
    """Write all grades into one table, or in the format that Canvas imports."""
    from nbgrader.api import Gradebook

    from llmlabs.nbgrader_course import course_directory, load_config
    from llmlabs.teach.export import CanvasExportPlugin, TableExportPlugin

    with course() as root:
        exporters = {"csv": TableExportPlugin, "canvas": CanvasExportPlugin}
        if form not in exporters:
            raise CourseError(f"There is no format {form!r}.", "Use --format csv or --format canvas.")
        loaded = catalogue.load(root)
        names = [next(iter(loaded.labs(section)))[0].name for section in sections or ()]
        exporter = exporters[form](assignment=names)
        exporter.to = to or exporter.file_name
        coursedir = course_directory(load_config(root), assignment="")
        with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
            if not gradebook.assignments:
                raise CourseError("Nothing has been graded yet.", "Run: llmlabs grade SECTION")
            exporter.export(gradebook)
        say(f"grades: {exporter.to}")


@app.command()
def start(selector: Selector) -> None:
    """Copy a section's or a lab's notebooks into work/ to write in; what is there already stays as it is."""
    from llmlabs.learn.work import start as start_labs

    with course() as root:
        for started in start_labs(root, selector):
            place = started.path.relative_to(root)
            say(f"{place}: " + ("yours, left as it is" if started.kept else "ready"))
        say(f"Write in it with: make lab    Check it with: {called()} check {place}")


@app.command()
def links(repository: Annotated[str, typer.Argument(help="Where the course is on GitHub: OWNER/NAME.")]) -> None:
    """Print the links that open each finished lab in Colab and in Binder."""
    with course() as root:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            raise CourseError(f"{repository} is not a repository.", "Name it as OWNER/NAME.")
        for section, found in catalogue.load(root).labs(finished=True):
            path = f"release/{section.name}/{found.name}.ipynb"
            say(f"{section.name}/{found.name}")
            say(f"  Colab:  https://colab.research.google.com/github/{repository}/blob/main/{path}")
            say(f"  Binder: https://mybinder.org/v2/gh/{repository}/main?urlpath=lab/tree/{path}")


@app.command("where-to-start")
def where_to_start() -> None:
    """Ten questions, and the path through the course that suits you."""
    from llmlabs.learn.paths import GOALS, LEVELS, PATHS, SKILLS, recommend, to_brush_up

    with course() as root:
        choices = ", ".join(f"{number} {text}" for number, text in enumerate(LEVELS))
        say(f"How well do you know these? {choices}")
        digits = [str(number) for number in range(len(LEVELS))]
        levels = {skill.name: int(Prompt.ask(skill.name, choices=digits, default="0")) for skill in SKILLS}
        for key, text in GOALS.items():
            say(f"  {key}: {text}")
        goal = Prompt.ask("I want to", choices=list(GOALS), default="all")
        path = PATHS[recommend(levels, goal)]
        say(f"\n{path.name}. {path.advice}")
        titles = {section.number: section.title for section in catalogue.load(root).sections}
        say("Sections: " + ", ".join(f"{number:02d} {titles[number]}" for number in path.sections))
        for skill in to_brush_up(levels, goal):
            say(f"To brush up: {skill.name}. {skill.first}")
        say(f"Begin with: {called()} start {path.sections[0]:02d}")


@app.command()
def check(notebook: Annotated[Path, typer.Argument(help="Your notebook, for example work/SECTION/LAB.ipynb.")]) -> None:
    """Grade your own notebook with the hidden tests: points, what failed and why, what to do next."""
    from llmlabs.learn.notebook_check import check_notebook

    with course() as root:
        say(f"checking {notebook}; this takes about as long as running all its cells")
        print_check(check_notebook(root, notebook))


@app.command()
def progress() -> None:
    """Show how far you are: points, competencies and time, here and as a page, work/progress.html."""
    from llmlabs.learn.pages import progress_of, write_progress_page
    from llmlabs.learn.work import read_diary

    with course() as root:
        found = progress_of(catalogue.load(root), read_diary(root))
        print_progress(found)
        say(f"page: {write_progress_page(root, found).relative_to(root)}")


@app.command()
def demo() -> None:
    """Grade five sample submissions of a real lab."""
    with course() as root:
        needs_posix()
        from llmlabs.demo import make_samples
        from llmlabs.grade.execute import sandbox_available
        from llmlabs.grade.grading import Options, grade_section

        section, handed_in = make_samples(root)
        for name, what in handed_in.items():
            say(f"submitted/{name}: {what}")
        # the samples are the course's own, so they may run where no sandbox can be had
        options = Options(tuple(handed_in), sandbox=sandbox_available())
        print_grades(grade_section(root, section, options, say=say), root)


@app.command("test")
def run_tests(
    only: Annotated[list[str] | None, typer.Option(help="Run only this step (may be given again).")] = None,
    jobs: Jobs = None,
) -> None:
    """Everything that must hold of the course: what CI runs."""
    from llmlabs.checks import run_checks

    with course() as root:
        run_checks(root, only or [], jobs, say)


@app.command()
def verify(selector: Selector = "", jobs: Jobs = None) -> None:
    """Grade the graders: solution, blank release, each exercise alone, wrong and right answers."""
    with course() as root:
        needs_posix()
        from llmlabs.build.builder import read_sources
        from llmlabs.verify.verify import verify_lab

        sources = read_sources(root, catalogue.load(root), selector)
        reports = [verify_lab(root, source, say, jobs=jobs) for source in sources]
        console.print(verify_table(reports))
        if problems := [problem for report in reports for problem in report.problems]:
            raise CourseError("\n".join(problems), "Mend the tests, or the answers that the lines name.")


def verify_table(reports: Sequence[LabReport]) -> Table:
    """A row per exercise, with what was graded of it and how often it was not graded rightly."""
    table = Table(box=None)
    for title in ("exercise", "points", "tests", "wrong answers", "right answers", "problems"):
        table.add_column(title, justify="left" if title == "exercise" else "right")
    for report in reports:
        table.add_row(f"[bold]{report.name}[/bold]", *[""] * 4, str(len(report.problems)))
        for exercise, numbers in report.exercises.items():
            problems = sum(exercise in problem for problem in report.problems)
            counted = [f"{numbers[kind]:g}" for kind in ("points", "tests", "wrong", "right")]
            table.add_row(f"  {exercise}", *counted, str(problems))
    return table


@app.command()
def mutate(
    selector: Selector = "",
    again: Annotated[bool, typer.Option(help="Run also labs that have not changed since they were published.")] = False,
    jobs: Jobs = None,
) -> None:
    """Put small mistakes into the solutions, see which the tests miss, and write docs/grader-quality.md."""
    with course() as root:
        needs_posix()
        from llmlabs.verify.mutate import mutate as mutate_labs

        if problems := mutate_labs(root, selector, again=again, jobs=jobs, say=say):
            raise CourseError("\n".join(problems), "Read the survivors in docs/grader-quality.md; see CONTRIBUTING.md.")


@app.command()
def measure(selector: Selector) -> None:
    """Run solutions one at a time on two cores and write seconds and peak memory into course.yml."""
    from llmlabs.build.measure import measure as measure_labs

    with course() as root:
        measure_labs(root, selector, say)
        update_readme(root)


@app.command()
def lab(
    port: Annotated[int, typer.Option(help="The port that JupyterLab listens on.")] = 8888,
    ip: Annotated[str, typer.Option(help="The address that it listens on; 0.0.0.0 in a container.")] = "localhost",
) -> None:
    """Open JupyterLab with formgrader, validate and jupytext working on this course."""
    from llmlabs.jupyter import lab_command

    with course() as root:
        command, environment = lab_command(root, port, ip=ip)
        os.chdir(root)
        if sys.platform == "win32":
            import subprocess

            raise typer.Exit(subprocess.run(command, env=environment).returncode)
        os.execve(command[0], command, environment)


@app.command()
def clean() -> None:
    """Remove caches and what the demo made; a person's submissions and grades stay."""
    from llmlabs.demo import remove_samples

    with course() as root:
        remove_samples(root)


@data_app.command("verify")
def data_verify() -> None:
    """Check every file of data/ against its card."""
    from llmlabs.datasets import load_cards, verify

    with course() as root:
        if problems := verify(root):
            raise CourseError("\n".join(problems), "Restore the files from git, or rebuild them with data/build.py.")
        cards = load_cards(root)
        say(f"{len(cards)} data sets, {sum(len(card.files) for card in cards)} files: all as their cards say")


@app.command("catalogue")
def catalogue_table() -> None:
    """Write the catalogue table of README.md from course.yml."""
    with course() as root:
        say("README.md: " + ("catalogue written" if update_readme(root) else "unchanged"))


def update_readme(root: Path) -> bool:
    """Write what is made of README.md, and docs/where-to-start.html.

    Returns:
        Whether README.md changed.
    """
    from llmlabs.catalogue_table import up_to_date
    from llmlabs.learn import paths

    (root / paths.PAGE).parent.mkdir(exist_ok=True)
    (root / paths.PAGE).write_text(paths.start_page(catalogue.load(root)), encoding="utf-8", newline="\n")

    path = root / "README.md"
    before = path.read_text(encoding="utf-8")
    after = up_to_date(before, root, catalogue.load(root))
    path.write_text(after, encoding="utf-8", newline="\n")
    return before != after


def print_check(checked: Checked) -> None:
    """A row per exercise; below, what failed and what to do next."""
    table = Table(box=None)
    table.add_column("exercise", no_wrap=True)
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("what failed, and what to do next")
    for result in checked.exercises:
        told = f"{result.failed}: {result.message}\n-> {result.advice}" if result.failed else "solved"
        table.add_row(result.title, f"{result.earned:g} of {result.possible:g}", told)
    table.add_row("all", f"{checked.earned:g} of {checked.possible:g}", "; ".join(checked.notes))
    Console(highlight=False, width=max(console.width, 110), markup=False).print(table)


def print_progress(found: Progress) -> None:
    """A row per lab that was begun, and the sums."""
    table = Table(box=None)
    for title in ("lab", "points", "minutes", "competencies shown"):
        table.add_column(title, justify="right" if title in ("points", "minutes") else "left")
    for lab in found.labs:
        if lab.state in ("started", "done"):
            minutes = f"{lab.minutes} of {lab.lab.minutes}"
            shown = ", ".join(lab.competencies)
            table.add_row(f"{lab.section.name}/{lab.lab.name}", f"{lab.earned:g} of {lab.lab.points}", minutes, shown)
    if table.row_count:
        Console(highlight=False, width=max(console.width, 110)).print(table)
    else:
        say(f"Nothing is started yet. Begin with: {called()} start 01")
    say(f"{found.earned:g} of {found.possible:g} points, {found.done} labs done, {found.minutes / 60:.1f} hours")


def print_grades(report: Report, root: Path) -> None:
    """The table of grades, and where the feedback is."""
    table = Table(title=f"{report.section}: points by exercise", title_justify="left")
    table.add_column("student", no_wrap=True)
    for number, most in enumerate(report.max_points.values(), start=1):
        table.add_column(f"E{number}\n/{most:g}", justify="right")
    table.add_column(f"total\n/{report.max_total:g}", justify="right")
    table.add_column("note")
    for grade in report.grades:
        points = [f"{grade.exercises[name]:g}" if name in grade.exercises else "-" for name in report.max_points]
        total = "none" if grade.total is None else f"{grade.total:g}"
        table.add_row(grade.student, *points, total, "; ".join(grade.notes or _failures(grade)))
    Console(highlight=False, width=max(console.width, 110)).print(table, markup=False)
    say("  ".join(f"E{number} {name}" for number, name in enumerate(report.max_points, start=1)))
    say("")
    for grade in report.grades:
        for page in sorted((report.feedback / grade.student / report.section).glob("*.html")):
            say(f"feedback: {page.relative_to(root)}")
    say("grades:   grades.csv and gradebook.db")


def _failures(grade: Grade) -> list[str]:
    if len(grade.failed) > 2:
        return [f"{len(grade.failed)} tests failed"]
    return [f"failed: {' and '.join(grade.failed)}"] if grade.failed else []


if __name__ == "__main__":
    app()
