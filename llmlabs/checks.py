"""What `make test` and CI run: each step's name, outcome and time, and exit code 1 if one failed."""

from __future__ import annotations

import copy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nbformat

from llmlabs import catalogue, datasets
from llmlabs.build import reference
from llmlabs.build.builder import Source, describe, make_notebooks, read_sources
from llmlabs.build.execute import execute_all
from llmlabs.build.source import cells_hash, write_notebook
from llmlabs.catalogue_table import up_to_date
from llmlabs.errors import CourseError
from llmlabs.learn import paths
from llmlabs.notebook import grade_id, is_test

Say = Callable[[str], None]


def run_checks(root: Path, only: list[str], jobs: int | None, say: Say) -> None:
    """Run all steps, or the named ones, to their end.

    Raises:
        CourseError: with the steps that failed.
    """
    if unknown := set(only) - STEPS.keys():
        raise CourseError(f"There is no step {', '.join(sorted(unknown))}.", f"The steps are {', '.join(STEPS)}.")
    failed = []
    for name, step in STEPS.items():
        if only and name not in only:
            continue
        say(f"== {name}")
        started = time.monotonic()
        try:
            step(root, jobs, say)
        except CourseError as error:
            say(str(error))
            failed.append(name)
        outcome = "FAILED" if name in failed else "ok"
        say(f"== {name}: {outcome} ({time.monotonic() - started:.0f} s)")
    if failed:
        raise CourseError(f"failed: {', '.join(failed)}", "Run one step again with: llmlabs test --only STEP")


def lint(root: Path, jobs: int | None, say: Say) -> None:
    """ruff's rules and format, the percent sources included."""
    _run(root, "ruff", "check", ".")
    _run(root, "ruff", "format", "--check", ".")


def types(root: Path, jobs: int | None, say: Say) -> None:
    """mypy, the percent sources included."""
    _run(root, "mypy", "llmlabs", "tests", "data", "benchmarks")
    # a notebook uses a name again for something else; each file is a module of its own
    for path in _some(root, "source/*/*.py") + _some(root, "llmlabs/lab/reference/*.py"):
        _run(root, "mypy", "--config-file", "source/mypy.ini", str(path.relative_to(root)))


def data(root: Path, jobs: int | None, say: Say) -> None:
    """Every file of data/ is what its card says."""
    if problems := datasets.verify(root):
        raise CourseError("\n".join(problems), "Restore the files, or rebuild them with data/build.py.")


def unit(root: Path, jobs: int | None, say: Say) -> None:
    """pytest; it fails by itself when nothing was collected."""
    _run(root, "pytest", "--numprocesses", str(jobs or 2), "--dist", "loadfile", show=True)


def drift(root: Path, jobs: int | None, say: Say) -> None:
    """Everything built is what a build of today's source gives: release/ to the byte, solutions/ but for outputs."""
    sources = _sources(root)
    problems = []
    with tempfile.TemporaryDirectory(prefix="llmlabs-drift-") as folder:
        made = make_notebooks(root, Path(folder), sources)
        for source in sources:
            problems += _release_drift(root, source, made.release[source.name])
            problems += _solution_drift(root, source, made.solutions[source.name])
            if reference.uses_reference(source.notebook):
                path = reference.reference_path(root, source.lab)
                text = reference.reference_module(source.notebook, source.section, source.lab)
                if not path.is_file() or path.read_text(encoding="utf-8") != text:
                    problems.append(f"{path.relative_to(root)} is not what {source.path.relative_to(root)} gives")
    known = {source.name for source in sources}
    for folder_name in ("release", "solutions"):
        for path in sorted((root / folder_name).glob("*/*")):
            if f"{path.parent.name}/{path.stem}" not in known or path.suffix != ".ipynb":
                problems.append(f"{path.relative_to(root)} has no finished lab in course.yml")
    readme = (root / "README.md").read_text(encoding="utf-8")
    if readme != up_to_date(readme, root, catalogue.load(root)):
        problems.append("README.md's catalogue or numbers are not what course.yml and docs/ give")
    page = root / paths.PAGE
    if not page.is_file() or page.read_text(encoding="utf-8") != paths.start_page(catalogue.load(root)):
        problems.append(f"{paths.PAGE} is not what course.yml gives")
    if problems:
        raise CourseError("\n".join(problems), "Run: llmlabs build --all    and commit what it writes.")
    say(f"{len(sources)} labs: release, solutions, reference modules and catalogue are up to date")


def notebooks(root: Path, jobs: int | None, say: Say) -> None:
    """papermill executes every solution notebook, freshly built, with the hidden tests that students do not get."""
    sources = _sources(root)
    with tempfile.TemporaryDirectory(prefix="llmlabs-notebooks-") as name:
        folder = Path(name)
        made = make_notebooks(root, folder, sources)
        todo = []
        for source in sources:
            unexecuted = folder / "unexecuted" / f"{source.name}.ipynb"
            write_notebook(with_hidden_tests(made.solutions[source.name], source.notebook), unexecuted)
            todo.append((source.name, unexecuted, folder / "executed" / f"{source.name}.ipynb"))
        executions = execute_all(todo, jobs=jobs, done=lambda execution: say(describe(execution)))
    if failed := [f"{e.name}:\n{e.error}" for e in executions if e.error]:
        raise CourseError("\n".join(failed), "Mend the source of each, then: llmlabs build")


def mutants(root: Path, jobs: int | None, say: Say) -> None:
    """docs/grader-quality.md is that of today's solutions, tests and answers."""
    from llmlabs.verify.mutate import check_published

    if problems := check_published(root, _sources(root)):
        raise CourseError("\n".join(problems))


def grades(root: Path, jobs: int | None, say: Say) -> None:
    """Through the engine that grades students: solution, blank release, wrong and right answers earn what is due."""
    from llmlabs.verify.verify import verify_lab

    # papermill has just run the solutions with their experiments and all tests
    reports = [verify_lab(root, source, say, jobs=jobs, whole=False) for source in _sources(root)]
    problems = [problem for report in reports for problem in report.problems]
    if problems:
        raise CourseError("\n".join(problems), "Mend the tests or the answers that the lines name.")


def with_hidden_tests(solution: nbformat.NotebookNode, source: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy of a solution notebook with the tests as grading has them."""
    tests = {grade_id(cell): cell.source for cell in source.cells if is_test(cell)}
    notebook = copy.deepcopy(solution)
    for cell in notebook.cells:
        cell.source = tests.get(grade_id(cell), cell.source)
    return notebook


def _release_drift(root: Path, source: Source, expected: nbformat.NotebookNode) -> list[str]:
    path = root / "release" / f"{source.name}.ipynb"
    if not path.is_file():
        return [f"{path.relative_to(root)} is missing"]
    if path.read_text(encoding="utf-8") != nbformat.writes(expected) + "\n":
        return [f"{path.relative_to(root)} is not what {source.path.relative_to(root)} gives"]
    return []


def _solution_drift(root: Path, source: Source, expected: nbformat.NotebookNode) -> list[str]:
    path = root / "solutions" / f"{source.name}.ipynb"
    place = str(path.relative_to(root))
    if not path.is_file():
        return [f"{place} is missing"]
    found = nbformat.read(path, as_version=4)
    problems = []
    injected = [cell for cell in found.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    found.cells = injected
    if cells_hash(found) != cells_hash(expected):
        problems.append(f"{place} is not what {source.path.relative_to(root)} gives")
    code = [cell for cell in found.cells if cell.cell_type == "code" and cell.source.strip()]
    if any(cell.execution_count is None for cell in code):
        problems.append(f"{place} was not executed to its end")
    text = nbformat.writes(found)
    if str(root) in text or str(Path.home()) in text:
        problems.append(f"{place} shows a path of the machine that built it")
    if any(output.get("name") == "stderr" for cell in code for output in cell.outputs):
        problems.append(f"{place} shows warnings or other text on stderr")
    return problems


def _sources(root: Path) -> list[Source]:
    sources = read_sources(root, catalogue.load(root))
    if not sources:
        raise CourseError("No lab is finished, so nothing was checked.", "Set status: finished for one in course.yml.")
    return sources


def _some(root: Path, pattern: str) -> list[Path]:
    """The files of a pattern; none is an error, for then a check would pass on nothing."""
    if not (paths := sorted(root.glob(pattern))):
        raise CourseError(f"No file matches {pattern}, so nothing was checked.")
    return paths


def _run(root: Path, module: str, *arguments: str, show: bool = False) -> None:
    """Run a Python module as a command in the course's folder; what it prints is shown at once, or only if it fails."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=root, text=True, capture_output=not show)
    if done.returncode:
        output = "" if show else f"\n{(done.stdout + done.stderr).strip()}"
        raise CourseError(f"{module} {' '.join(arguments)} failed with exit code {done.returncode}{output}")


STEPS: dict[str, Callable[[Path, int | None, Say], None]] = {
    "lint": lint,
    "types": types,
    "data": data,
    "drift": drift,
    "mutants": mutants,
    "unit": unit,
    "notebooks": notebooks,
    "grades": grades,
}
