"""The build: every finished lab's release, solution and reference module, from its source."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.converters import GenerateAssignment, GenerateSolution

from llmlabs import catalogue
from llmlabs.build import lint, reference
from llmlabs.build.execute import DEFAULT_SCALE, Execution, execute_all
from llmlabs.build.source import cells_hash, read_source, source_path, write_notebook
from llmlabs.catalogue import Catalogue, Lab, Section
from llmlabs.errors import CourseError
from llmlabs.nbgrader_course import convert, course_directory, load_config

REFERENCE_INIT = '"""The solved exercises of earlier labs and cells, made by `llmlabs build` from source/."""\n'


@dataclass(frozen=True)
class Source:
    """One finished lab and its source, read and linted."""

    section: Section
    lab: Lab
    path: Path
    notebook: NotebookNode

    @property
    def name(self) -> str:
        return f"{self.section.name}/{self.lab.name}"

    @property
    def hash(self) -> str:
        return str(self.notebook.metadata.llmlabs.source)


def read_sources(root: Path, course: Catalogue, selector: str = "") -> list[Source]:
    """The sources of the finished labs that `selector` names; all finished labs are linted, for grade_ids are course-wide.

    Raises:
        CourseError: with every problem found in the selected labs' sources.
    """
    selected = {lab.name for _, lab in course.labs(selector)}
    grade_ids: dict[str, Path] = {}
    problems: list[lint.Problem] = []
    sources = []
    for section, lab in course.labs(finished=True):
        path = source_path(root, section, lab)
        notebook = read_source(path, section, lab)
        found = lint.lint(notebook, path.relative_to(root), lab, grade_ids)
        if lab.name in selected:
            problems += found
            sources.append(Source(section, lab, path, notebook))
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the sources; nothing was built."
        raise CourseError("\n".join(str(problem) for problem in problems), count)
    return sources


def build(
    root: Path,
    selector: str = "",
    *,
    everything: bool = False,
    solutions: bool = True,
    scale: str = DEFAULT_SCALE,
    jobs: int | None = None,
    say: Callable[[str], None] = print,
) -> list[Execution]:
    """Build what changed since it was last built.

    Args:
        root: the course's folder.
        selector: a section or lab; all by default.
        everything: build also what did not change.
        solutions: build and execute solutions/ as well as release/.
        scale: the size at which the solutions run, "cpu" or "gpu".
        jobs: how many notebooks run at a time.
        say: takes one line of progress.

    Returns:
        What executing the solutions cost.

    Raises:
        CourseError: if a source has problems (nothing is built) or a solution does not run (the others are built).
    """
    sources = read_sources(root, catalogue.load(root), selector)
    for source in sources:
        pair_with_notebook(source)
    stale_release = [s for s in sources if everything or _built_hash(root / "release" / f"{s.name}.ipynb") != s.hash]
    stale_solutions = [
        s
        for s in sources
        if solutions and (everything or _built_hash(root / "solutions" / f"{s.name}.ipynb") != s.hash)
    ]
    with tempfile.TemporaryDirectory(prefix="llmlabs-build-") as folder:
        made = make_notebooks(root, Path(folder), [s for s in sources if s in stale_release or s in stale_solutions])
        for source in stale_release:
            changed = write_notebook(made.release[source.name], root / "release" / f"{source.name}.ipynb")
            say(f"release/{source.name}.ipynb {'written' if changed else 'unchanged'}")
            write_reference(root, source)
        executions = _execute_solutions(root, made, stale_solutions, scale, jobs, say)
    untouched = len(sources) - len({s.name for s in stale_release + stale_solutions})
    if untouched:
        say(f"{untouched} of {len(sources)} finished labs unchanged since their last build")
    if failed := [execution for execution in executions if execution.error]:
        details = "\n".join(f"solutions/{e.name}.ipynb was not written; its run ended with:\n{e.error}" for e in failed)
        raise CourseError(details, "Mend the source and build again.")
    return executions


@dataclass(frozen=True)
class Made:
    """What nbgrader made of some sources, by name "section/lab": the release, and the solution before it is executed."""

    release: dict[str, NotebookNode]
    solutions: dict[str, NotebookNode]


def make_notebooks(root: Path, folder: Path, sources: list[Source]) -> Made:
    """Let nbgrader make release and solution notebooks of `sources` in `folder`, an empty course of its own."""
    config = load_config(root, folder)
    for source in sources:
        write_notebook(source.notebook, folder / "source" / f"{source.name}.ipynb")
    for section in sorted({source.section.name for source in sources}):
        coursedir = course_directory(config, assignment=section)
        convert(GenerateAssignment, coursedir, config)
        convert(GenerateSolution, coursedir, config)
    made = Made({}, {})
    for source in sources:
        made.release[source.name] = nbformat.read(folder / "release" / f"{source.name}.ipynb", as_version=4)
        made.solutions[source.name] = nbformat.read(folder / "solutions" / f"{source.name}.ipynb", as_version=4)
    return made


def _execute_solutions(
    root: Path, made: Made, sources: list[Source], scale: str, jobs: int | None, say: Callable[[str], None]
) -> list[Execution]:
    if not sources:
        return []
    say(f"executing {len(sources)} solution notebook{'s' if len(sources) > 1 else ''} at scale {scale}")
    with tempfile.TemporaryDirectory(prefix="llmlabs-solutions-") as folder:
        notebooks = []
        for source in sources:
            unexecuted = Path(folder) / f"{source.name}.ipynb"
            write_notebook(made.solutions[source.name], unexecuted)
            notebooks.append((source.name, unexecuted, root / "solutions" / f"{source.name}.ipynb"))
        return execute_all(notebooks, scale=scale, jobs=jobs, done=lambda e: say(describe(e)))


def describe(execution: Execution) -> str:
    """One line on how a notebook ran."""
    outcome = "failed after" if execution.error else "ran in"
    return f"{execution.name}: {outcome} {execution.seconds:.1f} s, {execution.peak_memory_mb} MB at most"


def pair_with_notebook(source: Source) -> None:
    """Write the notebook beside the percent source, for nbgrader and JupyterLab.

    Raises:
        CourseError: if the notebook there holds edits that the percent source does not.
    """
    path = source.path.with_suffix(".ipynb")
    if path.is_file():
        found = nbformat.read(path, as_version=4)
        now = cells_hash(found)
        if now not in (source.hash, found.metadata.get("llmlabs", {}).get("source")):
            raise CourseError(
                f"{path} holds edits that {source.path.name} does not, and building would lose them.",
                f"Take them over with: jupytext --to py:percent {path}    or delete the notebook.",
            )
        if now == source.hash:
            return
    write_notebook(source.notebook, path)


def write_reference(root: Path, source: Source) -> None:
    """Write the lab's reference module, if the lab uses one."""
    if not reference.uses_reference(source.notebook):
        return
    path = reference.reference_path(root, source.lab)
    path.parent.mkdir(exist_ok=True)
    (path.parent / "__init__.py").write_text(REFERENCE_INIT, encoding="utf-8", newline="\n")
    text = reference.reference_module(source.notebook, source.section, source.lab)
    path.write_text(text, encoding="utf-8", newline="\n")


def _built_hash(path: Path) -> str:
    """The hash of the source that a built notebook was made from, or "" if it is not there or not readable."""
    try:
        return str(nbformat.read(path, as_version=4).metadata.llmlabs.source)
    except (OSError, AttributeError, ValueError):
        return ""
