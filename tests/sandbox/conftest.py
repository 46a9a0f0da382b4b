"""Boxes and kernels for the tests, and the reason to skip where there can be no sandbox."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from llmlabs.grade.provisioner import CourseKernelManager, sandboxed_kernel_manager
from llmlabs.grade.sandbox import Box, SandboxUnavailable, available_layers, run_in_box

PRELOAD = ("numpy", "numpy.random", "torch")


def _user_namespaces() -> bool:
    try:
        return int(Path("/proc/sys/user/max_user_namespaces").read_text()) > 0
    except OSError:
        return False


@pytest.fixture(scope="session", autouse=True)
def own_zygotes() -> Iterator[None]:
    """Warm processes of the tests' own, which end with them."""
    folder = tempfile.mkdtemp(prefix="llm", dir="/tmp")  # a short path, as sockets need
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        yield
    for process in psutil.process_iter(["cmdline"]):
        if any(part.startswith(folder) for part in process.info["cmdline"] or ()):
            process.kill()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sandbox() -> None:
    """Skip where no sandbox can exist; on a Linux with user namespaces its absence is a failure."""
    if sys.platform != "linux" or not _user_namespaces():
        pytest.skip("no sandbox can exist here: it needs Linux with user namespaces")
    try:
        available_layers()
    except SandboxUnavailable as error:
        pytest.fail(f"this Linux has user namespaces, but: {error}")


@pytest.fixture
def box(sandbox: None, tmp_path: Path) -> Box:
    """A box over a little course: data beside solutions, and another student's folder."""
    for name in ("scratch", "data", "source", "answers", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.txt").write_text(f"text of {name}")
    (tmp_path / "gradebook.db").write_text("grades")
    tmp_path.chmod(0o755)
    return Box(scratch=tmp_path / "scratch", data=tmp_path / "data", wall_seconds=60, cpu_seconds=60)


Python = Callable[..., tuple[int, str, str]]


@pytest.fixture
def python(box: Box) -> Python:
    """Run Python code in a box: `python(code, *arguments, **changes of the box)` -> exit code, printed, exceeded."""

    def run(code: str, *arguments: object, **changes: Any) -> tuple[int, str, str]:
        return run_in_box(replace(box, **changes), [sys.executable, "-c", code, *map(str, arguments)])

    return run


class Kernel:
    """A running kernel: `run` gives what the code printed, or the name and text of its error."""

    def __init__(self, manager: CourseKernelManager) -> None:
        self.manager = manager
        manager.start_kernel()
        self.client = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str, timeout: float = 60) -> str:
        printed: list[str] = []

        def hook(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] == "error":
                printed.append(f"{content['ename']}: {content['evalue']}")

        self.client.execute_interactive(code, output_hook=hook, timeout=timeout)
        return "".join(printed).strip()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.kill_tree()


@pytest.fixture
def kernel() -> Iterator[Callable[..., Kernel]]:
    """Start kernels: `kernel(box or None, warm=...)`; they end with the test."""
    kernels: list[Kernel] = []

    def start(box: Box | None, *, warm: bool, preload: tuple[str, ...] = PRELOAD) -> Kernel:
        manager = sandboxed_kernel_manager(box, warm=warm, preload=preload, blocking=True)
        assert isinstance(manager, CourseKernelManager)
        try:
            kernels.append(Kernel(manager))
        except BaseException:
            manager.kill_tree()
            raise
        return kernels[-1]

    yield start
    for running in kernels:
        running.close()
