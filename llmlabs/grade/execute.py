"""Running a rebuilt notebook in the engine, as grading, verification and nbgrader's own commands do."""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from nbformat import NotebookNode

from llmlabs import catalogue
from llmlabs.grade.checker import Checker
from llmlabs.grade.provisioner import fork_checker, sandboxed_kernel_manager
from llmlabs.grade.sandbox import Box, SandboxUnavailable, available_layers
from llmlabs.grade.submission import Limits, SubmissionRun, run_submission
from llmlabs.notebook import locked_imports

# no hub, one core for numerical libraries, plots as in a notebook
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
# what libraries import at the first use, a second or more of it
IMPORTED_LATER = {"torch": "torch._dynamo", "matplotlib.pyplot": "matplotlib_inline.backend_inline"}


# where threads parse at the same time, Python 3.11 now and then finds its own depth wrong (CPython issue 106905)
_PARSING = threading.Lock()


@dataclass(frozen=True)
class Settings:
    """How submissions are run.

    Attributes:
        sandbox: run the student's code in a box; False only for notebooks that the instructor trusts.
        warm: fork kernels from a process that has imported what the lab imports.
        seed: the grader's private seed of the hidden tests' inputs.
        limits: seconds and bytes.
        gpu: let the box see a GPU.
    """

    sandbox: bool = True
    warm: bool = True
    seed: str = ""
    limits: Limits = field(default_factory=Limits)
    gpu: bool = False


def execute(notebook: NotebookNode, settings: Settings) -> SubmissionRun:
    """Run a rebuilt notebook; it is not changed, the run holds a copy with outputs.

    Raises:
        SandboxUnavailable: if a box is asked for and cannot be had.
        RuntimeError: if the kernel or the checker cannot be started, which says nothing about the submission.
    """
    modules = preload(notebook)
    fork = partial(fork_checker, preload=modules)
    with tempfile.TemporaryDirectory(prefix="llmlabs-") as folder:
        scratch = Path(folder)
        box = make_box(scratch, settings) if settings.sandbox else None
        return run_submission(
            notebook,
            kernel_manager_factory=lambda: sandboxed_kernel_manager(
                box, warm=settings.warm, preload=modules, blocking=True
            ),
            cwd=scratch,
            limits=settings.limits,
            env=kernel_environment(),
            seed=settings.seed,
            checker_factory=partial(Checker.start, fork=fork) if settings.warm else Checker.start,
        )


def make_box(scratch: Path, settings: Settings) -> Box:
    """The box of one notebook, whose working folder is `scratch`."""
    data = catalogue.find_root() / "data"
    data = data if data.is_dir() else scratch
    wall = settings.limits.total_seconds + settings.limits.start_seconds
    environment = {**ENVIRONMENT, "LLMLABS_DATA": str(data)}
    return Box(scratch, data, wall_seconds=wall, gpu=settings.gpu, environment=environment)


def preload(notebook: NotebookNode) -> tuple[str, ...]:
    """The modules that a warm process imports for a lab, and MODULE:NAME for what may be a module in a module.

    They are the engine's own part of every kernel, what the locked cells import, and what is imported only at the first
    use, by libraries or by the course's functions, such as scikit-learn by `digits()`.
    """
    names: dict[str, None] = {"llmlabs.grade.driver": None}
    with _PARSING:
        for node in locked_imports(notebook):
            names |= dict.fromkeys(_modules(node))
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("llmlabs.lab."):
                names |= dict.fromkeys(_imported_when_called(str(node.module), [alias.name for alias in node.names]))
    for name, later in IMPORTED_LATER.items():
        if name in names:
            names[later] = None
    return tuple(names)


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    """What an import imports: modules, and MODULE:NAME for names that may be modules, such as scipy:stats."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or "", *(f"{node.module}:{alias.name}" for alias in node.names)]


@cache
def _functions(module: str) -> dict[str, ast.FunctionDef]:
    """The functions of a module, which is read and not imported."""
    spec = importlib.util.find_spec(module)
    tree = ast.parse(Path(str(spec and spec.origin)).read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def _imported_when_called(module: str, called: list[str]) -> Iterator[str]:
    """What the functions `called` of a module, and those of its functions which they use, import."""
    functions = dict(_functions(module))
    while called:
        if not (function := functions.pop(called.pop(), None)):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from _modules(node)
            elif isinstance(node, ast.Name):
                called.append(node.id)


@cache
def describe_sandbox() -> str:
    """The layers of protection that were seen to work here, in a line.

    Raises:
        SandboxUnavailable: if there can be no box, with what to do.
    """
    layers = available_layers()
    active = ", ".join(layer.name for layer in layers if layer.active)
    missing = ", ".join(layer.name for layer in layers if not layer.active)
    return active + (f"; not here: {missing}" if missing else "")


@cache
def sandbox_available() -> bool:
    """Whether a box can be had here, for notebooks that need none but are to be run as students' are."""
    try:
        available_layers()
    except SandboxUnavailable:
        return False
    return True


def kernel_environment() -> dict[str, str]:
    """The grader's environment for a kernel without a box; a box lets through an allowed part only."""
    bin_folder = str(Path(sys.executable).parent)
    return {**os.environ, **ENVIRONMENT, "PATH": bin_folder + os.pathsep + os.environ.get("PATH", os.defpath)}
