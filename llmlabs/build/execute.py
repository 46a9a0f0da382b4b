"""Running notebooks with papermill, several at a time, and what each one cost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from nbformat import NotebookNode

DEFAULT_SCALE = "cpu"


@dataclass(frozen=True)
class Execution:
    """How one notebook ran: wall seconds, the largest memory of its processes together, and the error that ended it."""

    name: str
    seconds: float
    peak_memory_mb: int
    error: str = ""


def execute_all(
    notebooks: Sequence[tuple[str, Path, Path]],
    *,
    scale: str = DEFAULT_SCALE,
    jobs: int | None = None,
    done: Callable[[Execution], None] = lambda execution: None,
) -> list[Execution]:
    """Execute notebooks in parallel.

    Args:
        notebooks: for each its name, the notebook, and where the executed one goes.
        scale: what the `parameters` cell's SCALE becomes.
        jobs: how many run at a time; by default as many as there are cores.
        done: called with each result as it arrives.
    """
    jobs = max(1, min(jobs or os.cpu_count() or 1, len(notebooks)))
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(execute, name, notebook, output, scale, threads) for name, notebook, output in notebooks]
        results = []
        for future in as_completed(running):
            results.append(future.result())
            done(results[-1])
    return sorted(results, key=lambda execution: execution.name)


def execute(name: str, notebook: Path, output: Path, scale: str, threads: int) -> Execution:
    """Execute one notebook with papermill in an empty folder; `output` is written only if it ran to the end."""
    command = [sys.executable, "-m", "papermill", "--kernel", "python3", "--no-progress-bar"]
    if scale != DEFAULT_SCALE:
        command += ["-p", "SCALE", scale]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore::UserWarning:papermill"}
    with tempfile.TemporaryDirectory(prefix="llmlabs-") as scratch:
        executed = Path(scratch) / "executed.ipynb"
        folder = Path(scratch) / "cwd"
        folder.mkdir()
        started = time.monotonic()
        with subprocess.Popen(
            [*command, "--cwd", str(folder), str(notebook), str(executed)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            peak = 0
            while True:
                try:
                    _, log = process.communicate(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    peak = max(peak, _memory(process.pid))
        seconds = round(time.monotonic() - started, 1)
        if process.returncode:
            return Execution(name, seconds, peak, _last_error(log))
        cleaned = without_run_marks(nbformat.read(executed, as_version=4))
        output.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(cleaned, output)
        return Execution(name, seconds, peak)


def without_run_marks(notebook: NotebookNode) -> NotebookNode:
    """Drop what papermill and the kernel note about one run (times, paths), in place; outputs stay."""
    notebook.metadata.pop("papermill", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for number, cell in enumerate(notebook.cells):
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if cell.metadata.get("tags") == []:
            del cell.metadata["tags"]
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = f"injected-parameters-{number}"
    return notebook


def _memory(pid: int) -> int:
    """The resident memory, in MB, of a process and its descendants."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for member in family:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total // 2**20


def _last_error(log: str) -> str:
    """The part of papermill's log that says what went wrong in the notebook, without terminal colours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", log)
    _, _, after = plain.rpartition("papermill.exceptions.PapermillExecutionError:")
    return (after or plain).strip()[-3000:]
