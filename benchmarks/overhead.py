"""Where does the engine's time go beyond a notebook's own compute?

    python -m benchmarks.overhead                     # writes docs/overhead.md

The solved notebook of the lab that `benchmarks.grading` grades is taken apart, one notebook at a time, warm. The middle
of three runs of each counts. Nothing else may run meanwhile.
"""

from __future__ import annotations

import ast
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from benchmarks.grading import LAB, ROOT, class_of, make_course, own_compute, refuse_if_busy, run
from llmlabs import catalogue
from llmlabs.build.builder import pair_with_notebook, read_sources
from llmlabs.errors import CourseError
from llmlabs.grade.execute import Settings, execute
from llmlabs.grade.rebuild import rebuild
from llmlabs.notebook import is_test, locked_imports

PAGE = ROOT / "docs" / "overhead.md"
REPEATS = 3
TEXT = """# Where the engine's overhead goes

Made by `python -m benchmarks.overhead`: the solved notebook of `{lab}`,
alone on the machine, warm; each figure is the middle of {repeats} runs, and the third and fourth, small differences of
large numbers, are good to about a second. It explains the column *overhead* of [benchmarks.md](benchmarks.md).

| part of one notebook | seconds |
| :--- | ---: |
| own compute: its cells and tests in a bare process, processor time | {own:.2f} |
| start and end of box, kernel and checker (a notebook of imports only) | {start:.2f} |
| the rest of a run: {tests} tests ask the notebook's process, outputs come back | {wire:.2f} |
| the rest of `llmlabs grade`: warm processes (once), nbgrader's converters, gradebook, feedback | {record:.2f} |

A command that finds everything graded takes {command:.1f} s. Recording of one notebook overlaps with the run of the
next where there are several workers. So the box is cheap; above 0.3 s a notebook are the tests' questions to the other
process, which a blank notebook does not have, and what nbgrader does to record a grade, which stock nbgrader does too.
"""


def middle(measured: Callable[[], float]) -> float:
    return statistics.median(measured() for _ in range(REPEATS))


def wall(notebook: NotebookNode) -> float:
    """Seconds of one run in the engine, warm processes being there."""
    started = time.monotonic()
    execute(notebook, Settings())
    return time.monotonic() - started


def main() -> None:
    try:
        [source] = read_sources(ROOT, catalogue.load(ROOT), LAB)
        pair_with_notebook(source)
        refuse_if_busy()
    except CourseError as error:
        sys.exit(str(error))
    release = nbformat.read(ROOT / "release" / f"{source.name}.ipynb", as_version=4)
    student, solved = next(class_of(source, release, 1))
    rebuilt = rebuild(solved, source.notebook).notebook
    imports = rebuilt.copy()
    imports.cells = [cell for cell in rebuilt.cells if cell.cell_type == "code"][:2]
    wall(rebuilt)  # starts the warm processes
    start, whole = middle(lambda: wall(imports)), middle(lambda: wall(rebuilt))
    for node in locked_imports(source.notebook):
        exec(compile(ast.Module([node], []), "imports", "exec"), {})
    own = middle(lambda: own_compute(solved, source.notebook))
    with tempfile.TemporaryDirectory(prefix="llmlabs-overhead-") as folder:
        course = make_course(Path(folder), source, [(student, solved)], stock=False)
        arguments = ["grade", source.section.name, "--workers", "1"]
        first = middle(lambda: run(course, "llmlabs.cli", *arguments, "--force")[0])
        again = middle(lambda: run(course, "llmlabs.cli", *arguments)[0])
    text = TEXT.format(
        lab=source.name,
        repeats=REPEATS,
        own=own,
        start=start,
        wire=whole - start - own,
        tests=sum(map(is_test, rebuilt.cells)),
        record=first - again - whole,
        command=again,
    )
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
