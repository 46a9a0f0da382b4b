"""What the course needs, one line each. Runs on any Python, before anything is installed."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED_GB = 6


def main() -> int:
    """Print one line for each requirement; return 1 if something that is needed is missing.

    Each line comes with True (fine), None (can be done without) or False (missing).
    """
    lines = [python(), tool("make", "the Makefile's targets"), tool("git", "getting and updating the course")]
    lines += [disk(), packages(), memory(), gpu(), sandbox()]
    for ok, line in lines:
        print(("[ok]   " if ok else "[--]   " if ok is None else "[FAIL] ") + line)
    return int(any(ok is False for ok, _ in lines))


def python() -> tuple[bool | None, str]:
    found = platform.python_version()
    if (3, 11, 5) <= sys.version_info[:3] < (3, 12):
        return True, f"Python {found}"
    return (
        False,
        f"Python {found}: the pinned packages need 3.11 (3.11.5 or later); then: make PYTHON=/path/to/python3.11",
    )


def tool(name: str, purpose: str) -> tuple[bool | None, str]:
    path = shutil.which(name)
    return (True, f"{name}: {path}") if path else (False, f"{name} is missing (for {purpose}): install it")


def disk() -> tuple[bool | None, str]:
    free = shutil.disk_usage(ROOT).free / 2**30
    if (ROOT / ".venv" / ".installed").exists() or free >= NEEDED_GB:
        return True, f"disk: {free:.0f} GB free"
    return False, f"disk: {free:.1f} GB free, about {NEEDED_GB} GB are needed"


def packages() -> tuple[bool | None, str]:
    venv_python = ROOT / ".venv" / "bin" / "python"
    if not (ROOT / ".venv" / ".installed").exists():
        return None, "packages: not installed yet; `make setup` does it"
    code = "import torch, nbgrader, papermill, llmlabs; print(torch.__version__, nbgrader.__version__)"
    done = subprocess.run([venv_python, "-c", code], capture_output=True, text=True)
    if done.returncode:
        return False, f"packages: {done.stderr.strip().splitlines()[-1]}; remove .venv and run: make setup"
    return True, "packages: torch {}, nbgrader {}".format(*done.stdout.split())


def memory() -> tuple[bool | None, str]:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return None, "memory: not known on this system; 8 GB are enough for every lab"
    return (True if total > 7 else None), f"memory: {total:.0f} GB" + ("" if total > 7 else "; some labs want 8 GB")


def gpu() -> tuple[bool | None, str]:
    if shutil.which("nvidia-smi"):
        return True, "GPU: nvidia-smi found; labs can run with SCALE=gpu"
    return None, "GPU: none found; every lab earns full credit without one"


def sandbox() -> tuple[bool | None, str]:
    if sys.platform != "linux":
        return None, "sandbox: Linux only; grade other people's notebooks on Linux"
    if importlib.util.find_spec("ctypes") and Path("/proc/self/ns/user").exists():
        return True, "sandbox: user namespaces are there"
    return None, "sandbox: no user namespaces; grading other people's notebooks will refuse to run unprotected"


if __name__ == "__main__":
    sys.exit(main())
