"""What a lab's solution costs to run, written into course.yml."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from llmlabs import catalogue
from llmlabs.build.builder import describe, make_notebooks, read_sources
from llmlabs.build.execute import execute
from llmlabs.build.source import write_notebook
from llmlabs.errors import CourseError

CORES = 2


def measure(root: Path, selector: str, say: Callable[[str], None]) -> None:
    """Execute the solutions of the selected labs one after the other and write the cost of each into course.yml.

    Raises:
        CourseError: if a solution does not run to its end.
    """
    sources = read_sources(root, catalogue.load(root), selector)
    with tempfile.TemporaryDirectory(prefix="llmlabs-measure-") as folder:
        made = make_notebooks(root, Path(folder), sources)
        for source in sources:
            unexecuted = Path(folder) / "unexecuted" / f"{source.name}.ipynb"
            write_notebook(made.solutions[source.name], unexecuted)
            executed = Path(folder) / "executed" / f"{source.name}.ipynb"
            execution = execute(source.name, unexecuted, executed, "cpu", threads=CORES)
            if execution.error:
                raise CourseError(f"{source.name} does not run:\n{execution.error}", "Mend the source first.")
            say(describe(execution))
            _write_cost(root / "course.yml", source.lab.name, execution.seconds, execution.peak_memory_mb)
    catalogue.load(root)


def _write_cost(path: Path, lab: str, seconds: float, peak_memory_mb: int) -> None:
    """Replace the lab's `cost:` line, or put one above its exercises; every other byte of the file stays as it is."""
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(rf"(  - name: {lab}\n(?:    .*\n)*?)(?:    cost: .*\n)?(    exercises:)")
    cost = f"    cost: {{seconds: {seconds}, peak_memory_mb: {peak_memory_mb}}}\n"
    text, count = pattern.subn(lambda match: match[1] + cost + match[2], text)
    if count != 1:
        raise CourseError(
            f"course.yml has no entry for {lab} with a line `exercises:`.", "Add the lab's exercises first."
        )
    path.write_text(text, encoding="utf-8", newline="\n")
