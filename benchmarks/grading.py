"""How fast is a class graded? Stock nbgrader against the engine, cold and warm, with one and two workers, in one run.

    make bench                                        # writes docs/benchmarks.md
    python -m benchmarks.grading --lab SECTION/LAB --submissions 8

The class hands in one lab: solved, half solved, blank, and with a mistake, in turn. Before anything is graded, each
notebook's *own compute* is measured: the processor time of its cells and tests in a bare Python process that has made
all imports. What a grader takes beyond that is its overhead. Processor time is that of the whole machine, for warm
processes are nobody's children. So nothing else may run meanwhile; the benchmark refuses to start if something does.
"""

from __future__ import annotations

import argparse
import ast
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path

import nbformat
import psutil
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from llmlabs import catalogue
from llmlabs.build.builder import Source, pair_with_notebook, read_sources
from llmlabs.errors import CourseError
from llmlabs.notebook import graded_cells_by_exercise, locked_imports
from llmlabs.verify.answers import answers_path, read_answers
from llmlabs.verify.submissions import answered, solutions

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
LAB = "03_tokenization/bpe_from_scratch"
SUBMISSIONS = 40
MOST_BUSY = 0.15  # of one core, by others, before the start
STUDENTS, LABS = 500, 92
STOCK = """
c = get_config()
c.CourseDirectory.course_id = "llm_labs"
c.CourseDirectory.ignore = ["*.py"]
c.Execute.timeout = 120
"""


@dataclass(frozen=True)
class Run:
    """One way of grading the class.

    Attributes:
        name: which.
        workers: notebooks at a time.
        wall, cpu: seconds in all, processor seconds of all cores.
        total: the sum of all students' points, where tests ran outside of the students' process.
    """

    name: str
    workers: int
    wall: float
    cpu: float
    total: float


def busy_seconds() -> float:
    """Processor seconds that this machine's cores have worked since it started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def refuse_if_busy() -> None:
    before, started = busy_seconds(), time.monotonic()
    time.sleep(3)
    if (share := (busy_seconds() - before) / (time.monotonic() - started)) > MOST_BUSY:
        raise CourseError(
            f"Something else keeps {share:.0%} of a core busy, and its time would be counted.",
            "Stop it, wait a minute, and run the benchmark again.",
        )


def class_of(source: Source, release: NotebookNode, count: int) -> Iterator[tuple[str, NotebookNode]]:
    """Students and what they hand in: solved, half solved, blank, one mistake, and again."""
    exercises = list(graded_cells_by_exercise(source.notebook))
    everything, half = solutions(source.notebook), solutions(source.notebook, exercises[: len(exercises) // 2])
    wrong = cycle([a for a in read_answers(answers_path(ROOT, source.section, source.lab)) if a.kind == "wrong"])
    kinds: list[Callable[[], dict[str, str]]] = [
        lambda: everything,
        lambda: half,
        dict,
        lambda: everything | {(mistake := next(wrong)).exercise: mistake.source},
    ]
    for number, kind in enumerate(islice(cycle(kinds), count), 1):
        yield f"student{number:03}", answered(release, kind())


def own_compute(notebook: NotebookNode, source: NotebookNode) -> float:
    """Processor seconds of a notebook's cells, with the source's tests in place of the release's, imports apart."""
    tests = {cell.metadata.nbgrader.grade_id: cell.source for cell in source.cells if "nbgrader" in cell.metadata}
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    texts = [tests[c.metadata.nbgrader.grade_id] if c.metadata.nbgrader.grade else c.source for c in cells]
    child = os.fork()
    if child == 0:
        try:
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            from IPython.core.interactiveshell import InteractiveShell

            shell = InteractiveShell.instance()
            os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
            for text in texts:
                shell.run_cell(text)
        finally:
            os._exit(0)
    _, _, usage = os.wait4(child, 0)
    return usage.ru_utime + usage.ru_stime


def make_course(folder: Path, source: Source, submissions: list[tuple[str, NotebookNode]], *, stock: bool) -> Path:
    """A copy of the course with the class's notebooks of this lab handed in."""
    for name in ("source", "release"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copyfile(ROOT / "course.yml", folder / "course.yml")
    (folder / "data").symlink_to(ROOT / "data")
    if stock:
        (folder / "nbgrader_config.py").write_text(STOCK, encoding="utf-8")
        nbformat.write(source.notebook, folder / "source" / f"{source.name}.ipynb")
        run(folder, "nbgrader", "generate_assignment", source.section.name, "--force")
    else:
        shutil.copyfile(ROOT / "nbgrader_config.py", folder / "nbgrader_config.py")
    for student, notebook in submissions:
        path = folder / "submitted" / student / f"{source.name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    return folder


def run(folder: Path, module: str, *arguments: str, warm: bool = True) -> tuple[float, float]:
    """Run a command in a course; returns wall seconds and processor seconds."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "LLMLABS_ROOT": str(folder), "LLMLABS_DATA": str(ROOT / "data")}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "LLMLABS_WARM": "1" if warm else "0"}
    busy, started = busy_seconds(), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode and module != "nbgrader":
        raise CourseError(f"{module} {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - started, busy_seconds() - busy


def points(folder: Path, section: str) -> float:
    """The sum of all students' points; those without a score count 0."""
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", "llm_labs") as gradebook:
        return float(sum(submission.score for submission in gradebook.assignment_submissions(section)))


def measure(source: Source, count: int, say: Callable[[str], None]) -> tuple[float, list[Run]]:
    """Own compute of the class in processor seconds, and the runs, stock nbgrader first."""
    refuse_if_busy()
    release = nbformat.read(ROOT / "release" / f"{source.name}.ipynb", as_version=4)
    submissions = list(class_of(source, release, count))
    for node in locked_imports(source.notebook):
        exec(compile(ast.Module([node], []), "imports", "exec"), {})
    # equal notebooks compute the same: the cost of each different one is measured once
    handed_in = [nbformat.writes(notebook) for _, notebook in submissions]
    costs = {
        text: own_compute(notebook, source.notebook) for text, (_, notebook) in zip(handed_in, submissions, strict=True)
    }
    own = sum(costs[text] for text in handed_in)
    say(f"own compute of {count} notebooks: {own:.0f} s of a core")
    ways = [("stock nbgrader", 1, True)]
    ways += [(f"engine, {'warm' if warm else 'cold'}", n, warm) for warm in (False, True) for n in (1, 2)]
    runs = []
    for name, workers, warm in ways:
        with tempfile.TemporaryDirectory(prefix="llmlabs-bench-") as temporary:
            stock = name == "stock nbgrader"
            folder = make_course(Path(temporary), source, submissions, stock=stock)
            if stock:
                wall, cpu = run(folder, "nbgrader", "autograde", source.section.name)
                extra_wall, extra_cpu = run(folder, "nbgrader", "generate_feedback", source.section.name)
                wall, cpu = wall + extra_wall, cpu + extra_cpu
            else:
                arguments = ["grade", source.section.name, "--workers", str(workers)]
                wall, cpu = run(folder, "llmlabs.cli", *arguments, warm=warm)
            runs.append(Run(name, workers, wall, cpu, points(folder, source.section.name)))
        say(f"{name}, {workers} at a time: {wall:.0f} s, {cpu:.0f} s of processors, {runs[-1].total:g} points")
    return own, runs


PAGE_TEXT = """
Made by `make bench` (`benchmarks/grading.py`, which says how it is measured). One run on a machine with {cores} cores
({machine}) and {memory:.0f} GiB, Python {python}, nbgrader {nbgrader}.

{count} submissions of `{lab}`, a quarter each solved, half solved, blank, and solved but for one mistake; from the
files handed in to points in the gradebook and feedback pages. Their own compute, the cells and tests themselves
without any grader, is {own:.0f} s of one core, {each:.1f} s a notebook.

{table}

*Overhead* is what a notebook costs beyond its own compute: of all processors, and of a worker's time. Stock nbgrader
runs one notebook at a time. *Points* is the sum over the class: the ways of the engine must agree. Two workers can at
most halve a notebook's own compute, so the more a lab computes, the nearer "times stock" comes to the number of
workers: with no overhead at all, two workers would be {limit:.1f} times stock here.

## What a course costs

{students} students who hand in {labs} labs hand in {notebooks:,} notebooks. At this lab's figures that is
{own_hours:.0f} core hours of the notebooks' own compute; beyond it the engine, warm, takes {engine_hours:.0f} core
hours and stock nbgrader {stock_hours:.0f}. On the two cores of one small machine the engine needs {engine_wall:.0f}
hours for all, stock nbgrader {stock_wall:.0f}; on a cluster of 32 cores {cluster_wall:.1f} hours, if recording, which
one process does, keeps up. A lab's own compute is, for solved notebooks, the cost that README.md's table shows, and
less for others; the overhead hardly depends on the lab.
"""


def page(source: Source, count: int, own: float, runs: list[Run]) -> str:
    """docs/benchmarks.md."""
    stock, best = runs[0], runs[-1]
    titles = ["grader", "at a time", "submissions a minute", "times stock", "overhead, processor s", "overhead, wall s"]
    rows = [
        f"| {r.name} | {r.workers} | {count / r.wall * 60:.1f} | {stock.wall / r.wall:.1f} | "
        f"{(r.cpu - own) / count:.2f} | {(r.wall * r.workers - own) / count:.2f} | {r.total:g} |"
        for r in runs
    ]
    table = [f"| {' | '.join([*titles, 'points'])} |", f"| :--- |{' ---: |' * len(titles)}", *rows]
    hours = STUDENTS * LABS / 3600 / count  # from seconds for the class to hours for the course
    text = PAGE_TEXT.strip().format(
        cores=psutil.cpu_count(),
        machine=platform.machine(),
        memory=psutil.virtual_memory().total / 2**30,
        python=platform.python_version(),
        nbgrader=version("nbgrader"),
        count=count,
        lab=source.name,
        own=own,
        each=own / count,
        limit=stock.wall / (own / 2),
        table="@TABLE@",
        students=STUDENTS,
        labs=LABS,
        notebooks=STUDENTS * LABS,
        own_hours=hours * own,
        engine_hours=hours * (best.cpu - own),
        stock_hours=hours * (stock.cpu - own),
        engine_wall=hours * best.wall,
        stock_wall=hours * stock.wall,
        cluster_wall=hours * best.wall * best.workers / 32,
    )
    paragraphs = [textwrap.fill(part, 118) for part in text.split("\n\n")]
    return "# How fast is a class graded?\n\n" + "\n\n".join(paragraphs).replace("@TABLE@", "\n".join(table)) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", default=LAB)
    parser.add_argument("--submissions", type=int, default=SUBMISSIONS)
    chosen = parser.parse_args()
    try:
        [source] = read_sources(ROOT, catalogue.load(ROOT), chosen.lab)
        pair_with_notebook(source)
        own, runs = measure(source, chosen.submissions, lambda line: print(line, flush=True))
    except CourseError as error:
        sys.exit(str(error))
    text = page(source, chosen.submissions, own, runs)
    if (chosen.lab, chosen.submissions) == (LAB, SUBMISSIONS):
        PAGE.write_text(text, encoding="utf-8")
        print(f"written: {PAGE.relative_to(ROOT)}")
    else:
        print(text)


if __name__ == "__main__":
    main()
