"""In a box of its own: let nbgrader grade one submission and print what happened besides.

`python -m tests.hostile.boxed ROOT SECTION STUDENT PORT`; it imports little, since it starts once a case.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from .host import Host

RUN_SECONDS = 120
MEMORY_BYTES = 3 << 30  # of one process


def main(root: Path, section: str, student: str, port: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    host = Host(root, port)
    command = [sys.executable, "-m", "nbgrader", "autograde", section, "--student", student]
    before = processes()
    with (root / "nbgrader.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            code: int | None = process.wait(RUN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
    time.sleep(1)
    left = len(processes() - before)
    host.close()
    print("\n" + json.dumps({"code": code, "left": left, "reached": host.reached()}), flush=True)
    os._exit(0)


def processes() -> set[str]:
    """The processes here, but zombies."""
    found = set()
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdigit() and ") Z " not in (path / "stat").read_text():
                found.add(path.name)
        except OSError:
            continue
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
