"""Running a lab's mutants: a process of its own that gets a lab on its standard input and answers line by line.

It runs the cells before the first exercise once (imports, data) and forks from there, for the original of each exercise
and for each mutant. Mutants are the course's own code, so they need no box, but they may never end or ask for all
memory. A fork must not meet a second thread: numerical libraries are held to one by the environment and by `main`.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import linecache
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from llmlabs.lab.testing import seed
from llmlabs.verify.mutants import COMPILE_FLAGS

SURVIVED, KILLED, TIMED_OUT = "survived", "killed", "timed out"
MEMORY = 4 * 2**30  # bytes beyond what the process holds before the exercise; the budget of a lab
# A mutant may take this many times the original's time, and this many seconds more. Processor time counts, so that a
# busy machine changes no outcome; the wall clock, with ten times as much, ends what waits for ever.
TIMES, SECONDS, WALL = 10, 2, 10
ORIGINAL_SECONDS = 300
_PASSED, _FAILED, _BROKEN = 0, 1, 2  # exit codes of a fork


def run_cell(source: str, name: str, namespace: dict[str, Any]) -> None:
    """Run a code cell as a notebook does, `await` at its top level included."""
    filename = f"<{name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    code = compile(source, filename, "exec", flags=COMPILE_FLAGS, dont_inherit=True)
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, namespace))
    else:
        exec(code, namespace)


def run_exercise(cells: list[str], tests: list[tuple[str, str]], namespace: dict[str, Any]) -> None:
    """Run solution cells and the tests; raises what they raise.

    Args:
        cells: the text of the solution cells.
        tests: grade_id and text of each test cell, which starts from random generators of its own seed.
        namespace: the notebook's.
    """
    for cell in cells:
        run_cell(cell, "solution", namespace)
    for grade_id, test in tests:
        start_random_generators(seed(grade_id))
        run_cell(test, grade_id, namespace)


def run_original(cells: list[str], tests: list[tuple[str, str]], namespace: dict[str, Any], notes: Path) -> None:
    """Run an exercise, then write into the file `notes` the names of all modules that are loaded, or what it raised."""
    try:
        run_exercise(cells, tests, namespace)
        notes.write_text("\n".join(list(sys.modules)), encoding="utf-8")
    except BaseException:
        notes.write_text(traceback.format_exc(), encoding="utf-8")
        raise


def import_again(modules: list[str]) -> None:
    """Import what the original imported on its way, or each mutant would: the first step of torch.optim takes 0.4 s."""
    for name in modules:
        if name not in sys.modules:
            with suppress(Exception):
                importlib.import_module(name)


def start_random_generators(number: int) -> None:
    random.seed(number)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(number)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(number)


def fork(work: Callable[[], None], seconds: float, memory: int) -> int:
    """Run `work` in a fork, in a copy of the working folder, and return the fork's process id.

    Args:
        work: fails if it raises.
        seconds: of processor time, then SIGPROF ends the fork.
        memory: bytes of address space.
    """
    pid = os.fork()
    if pid == 0:
        _be_fork(work, seconds, memory)
    return pid


def _be_fork(work: Callable[[], None], seconds: float, memory: int) -> NoReturn:
    code = _BROKEN
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        folder = folder_of(os.getpid())
        shutil.copytree(Path.cwd(), folder)
        os.chdir(folder)
        _limit_memory(memory)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        code = _FAILED
        work()
        code = _PASSED
    except BaseException:
        pass
    os._exit(code)


def _limit_memory(memory: int) -> None:
    import resource  # not on Windows

    with suppress(ValueError, OSError):  # macOS does not know this limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def outcomes(works: Sequence[Callable[[], None]], jobs: int, seconds: float, memory: int) -> Iterator[tuple[int, str]]:
    """Run each of `works` in a fork of its own, `jobs` at a time; yield (its index, its outcome) as they end."""
    waiting = list(enumerate(works))[::-1]
    running: dict[int, tuple[int, float]] = {}
    stopped: set[int] = set()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                index, work = waiting.pop()
                running[fork(work, seconds, memory)] = index, time.monotonic() + WALL * seconds
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in running:
                end_group(pid)
                shutil.rmtree(folder_of(pid), ignore_errors=True)
                code = os.waitstatus_to_exitcode(status)
                if code == _BROKEN:
                    raise RuntimeError("a fork could not be prepared: is the disk full?")
                late = pid in stopped or code == -signal.SIGPROF
                yield running.pop(pid)[0], SURVIVED if code == _PASSED else TIMED_OUT if late else KILLED
                continue
            for other, (_, deadline) in running.items():
                if time.monotonic() > deadline and other not in stopped:
                    stopped.add(other)
                    end_group(other)
            time.sleep(0.002)
    finally:
        for pid in running:
            end_group(pid)


def folder_of(pid: int) -> Path:
    """The working folder of a fork: beside this process's own."""
    return Path.cwd().with_name(str(pid))


def end_group(pid: int) -> None:
    """End a fork and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def run_lab(lab: dict[str, Any], answer: Callable[..., None]) -> None:
    """Run the setup cells, then the original and the mutants of each exercise.

    Args:
        lab: "setup": the text of the cells before the first exercise; "jobs": how many forks run at a time;
            "exercises": for each its "name", solution "cells", "tests" [[grade_id, text]] and "mutants" [[cell, text]].
        answer: takes exercise=, index=, outcome= of each mutant, and exercise=, seconds= of each original.
    """
    import psutil

    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module  # where dataclasses and pickle look for what the cells define
    namespace = vars(module)
    start_random_generators(0)
    for cell in lab["setup"]:
        run_cell(cell, "setup", namespace)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    for exercise in lab["exercises"]:
        name, cells, tests = exercise["name"], exercise["cells"], exercise["tests"]
        before = os.times()
        notes = Path.cwd().with_name("notes")
        notes.write_text("", encoding="utf-8")
        original = partial(run_original, cells, tests, namespace, notes)
        _, outcome = next(outcomes([original], 1, ORIGINAL_SECONDS, psutil.Process().memory_info().vms + MEMORY))
        after = os.times()
        seconds = after.children_user - before.children_user + after.children_system - before.children_system
        noted = notes.read_text(encoding="utf-8")
        if outcome != SURVIVED:
            answer(exercise=name, original=outcome, why=noted)
            return
        answer(exercise=name, original=outcome, seconds=round(seconds, 2))
        import_again(noted.split("\n"))
        memory = psutil.Process().memory_info().vms + MEMORY
        mutants = [
            partial(run_exercise, [*cells[:i], text, *cells[i + 1 :]], tests, namespace)
            for i, text in exercise["mutants"]
        ]
        for index, outcome in outcomes(mutants, lab["jobs"], TIMES * seconds + SECONDS, memory):
            answer(exercise=name, index=index, outcome=outcome)


def main() -> None:
    """Read a lab as JSON from standard input; write answers, or {"error": ...}, one JSON object a line."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def answer(**fields: Any) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    # an order to end is an exception, so that forks end too and folders go
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    lab = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="llmlabs-mutants-") as folder:
        (Path(folder) / "setup").mkdir()
        os.chdir(Path(folder) / "setup")
        try:
            run_lab(lab, answer)
        except Exception:
            answer(error=traceback.format_exc())
        os.chdir(folder)


if __name__ == "__main__":
    main()
