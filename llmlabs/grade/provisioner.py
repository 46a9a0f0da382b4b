"""Kernels for Jupyter's tools: forked from a warm process, in a box, both or neither.

The entry point `llmlabs-warm` of the group `jupyter_client.kernel_provisioners` is `WarmProvisioner`. A kernelspec
that names it makes papermill, nbclient, nbconvert and JupyterLab start warm kernels, with nothing else changed:

    "metadata": {"kernel_provisioner": {"provisioner_name": "llmlabs-warm", "config": {"preload": ["numpy", "torch"]}}}

Without a list, the modules in LLMLABS_PRELOAD, separated by blanks, are preloaded.
Where a warm start is not wanted (LLMLABS_WARM=0) or not possible (another system than Linux, a preload that starts
threads, a kernel that is not this Python's ipykernel), the kernel starts in the normal way. A box is never left out:
where none can be had, the start raises SandboxUnavailable. The kernel's channels are unix sockets in a folder of its
own: no network is needed, and no free port has to be raced for.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager, KernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Bool, Instance, List, Unicode

from llmlabs.grade import zygote
from llmlabs.grade.sandbox import RUN, Box, RunningBox, allowed_environment, find_bubblewrap
from llmlabs.grade.zygote import KernelProcess, sealed_copy

IDLE_SECONDS = 60
IMPORT_SECONDS = 180
SOCKET_SECONDS = 10
# Threads that libraries would start at import: OpenBLAS's pool, and the thread of pyarrow's jemalloc
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
_USER = ("HOME", "USER", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HF_HOME", "MPLCONFIGDIR", "TMPDIR")

_started: list[subprocess.Popen[bytes]] = []  # kept, so that Python reaps those that end
_refused: dict[Path, str] = {}  # socket of a zygote that did not start -> why: it would not the next time either


class WarmProvisioner(LocalProvisioner):
    """Starts one kernel, warm or cold, in a box or not."""

    preload = List(Unicode(), help="modules, or MODULE:NAME, that the warm process imports, in order").tag(config=True)
    warm = Bool(True, help="fork the kernel from a warm process where possible").tag(config=True)
    box = Instance(Box, allow_none=True, help="None: no sandbox")

    running: RunningBox | None = None
    _folder: Path | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pinned: list[int] = []

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Choose the sockets, then do what jupyter_client does."""
        self.warm = self.warm and sys.platform == "linux" and os.environ.get("LLMLABS_WARM") != "0"
        if self.box:
            find_bubblewrap()  # what follows is for Linux
        manager = self.parent
        if (self.warm or self.box) and manager and not self._folder:
            self._folder = Path(tempfile.mkdtemp(prefix="k", dir=runtime_folder()))
            manager.transport = "ipc"
            manager.ip = str(self._folder / "k")
            manager.connection_file = str(self._folder / "kernel.json")
        prepared: dict[str, Any] = await super().pre_launch(**kwargs)
        return prepared

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel. In a box its working folder is the box's, whatever `cwd` says.

        Raises:
            SandboxUnavailable: a box is asked for and cannot be had.
            OSError: the kernel could not be started in its box.
        """
        process = await asyncio.to_thread(self._start, cmd, kwargs)
        if not process:
            return await super().launch_kernel(cmd, **kwargs)
        self.process = process  # type: ignore[assignment]
        self.pid, self.pgid = process.pid, None  # no group: signals go to the process, that is to its keeper
        assert self._folder
        sockets = self.running.root / RUN.relative_to("/") if self.running else self._folder
        with contextlib.suppress(TimeoutError):  # a client that connects too early tries again after 0.1 s only
            async with asyncio.timeout(SOCKET_SECONDS):
                while len(list(sockets.glob("k-?"))) < 5 and process.poll() is None:
                    await asyncio.sleep(0.004)
        if process.error:
            raise OSError(f"The kernel did not start: {process.error}")
        if self.running:
            self._pin(sockets)
        return self.connection_info

    def _start(self, cmd: list[str], options: Mapping[str, Any]) -> KernelProcess | None:
        """Start the kernel, warm if that can be; None: neither warm nor in a box."""
        environment = options["env"]
        if self.box:
            self._make_box(self.box)
        if self.warm:
            try:
                if Path(cmd[0]) != Path(sys.executable) or cmd[1:3] != ["-m", "ipykernel_launcher"]:
                    raise OSError(f"this is not the ipykernel of {sys.executable}: {' '.join(cmd)}")
                own = {} if self.box else _own(environment)
                preload = self.preload or os.environ.get("LLMLABS_PRELOAD", "").split()
                return self._launch(cmd, options, connect_zygote(preload, allowed_environment(environment) | own))
            except OSError as error:
                self.log.warning("No warm start: %s", error)
        return self._launch(cmd, options, None) if self.box else None

    def _make_box(self, box: Box) -> None:
        assert self._folder
        if self.running:
            self.running.kill()
        self.running = RunningBox(box)
        file = self._folder / "kernel.json"
        self.running.write(RUN / file.name, file.read_text().replace(str(self._folder), str(RUN)))

    def _pin(self, sockets: Path) -> None:
        """Link the addresses to the sockets that are there now, before any code of the student's has run.

        That code could put a link to a socket of the host in their place, where ZeroMQ would connect again.
        """
        assert self._folder
        self._unpin()
        for path in sockets.glob("k-?"):
            descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            self._pinned.append(descriptor)
            link = self._folder / path.name
            link.unlink(missing_ok=True)
            link.symlink_to(f"/proc/{os.getpid()}/fd/{descriptor}")

    def _unpin(self) -> None:
        while self._pinned:
            os.close(self._pinned.pop())

    def _launch(self, cmd: list[str], options: Mapping[str, Any], warm: socket.socket | None) -> KernelProcess:
        with Path(os.devnull).open("r+") as nothing:
            if self.running:
                argv = [argument.replace(str(self._folder), str(RUN)) for argument in cmd]
                return self.running.start(argv, options["env"], [nothing.fileno()] * 3, warm)
            files = [nothing if options.get(name) is None else options[name] for name in ("stdin", "stdout", "stderr")]
            cwd = os.fspath(options.get("cwd") or Path.cwd())
            request = {"argv": cmd, "env": options["env"], "cwd": cwd, "box": None}
            return KernelProcess(request, [f if isinstance(f, int) else f.fileno() for f in files], warm)

    async def kill(self, restart: bool = False) -> None:
        """Kill the kernel and all that it started."""
        if self.running:
            await asyncio.to_thread(self.running.kill)
        await super().kill(restart=restart)

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the box, and unless the kernel is to be restarted the sockets' folder."""
        await super().cleanup(restart=restart)
        await asyncio.to_thread(self.discard, folder=not restart)

    def discard(self, *, folder: bool) -> None:
        """End the box with all that runs in it, and remove the sockets' folder."""
        if self.running:
            self.running.kill()
        self._unpin()
        if self._folder and folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def fork_checker(
    command: Sequence[str], environment: Mapping[str, str], connection: int, *, preload: Sequence[str]
) -> KernelProcess:
    """A checker forked from a warm process of its own kind, which no student's code is ever forked from.

    Args:
        command: what would start it cold.
        environment: its environment, with the private seed; the warm process does not get that.
        connection: the descriptor of its end of the connection.
        preload: names of modules, or MODULE:NAME, in the order of import, beside the checker.

    Raises:
        OSError: it cannot be forked; the message has the reason.
    """
    if sys.platform != "linux" or os.environ.get("LLMLABS_WARM") == "0":
        raise OSError("no warm start is wanted, or possible, here")
    warm = connect_zygote((zygote.CHECKER, *preload), allowed_environment(environment) | _own(environment))
    with Path(os.devnull).open("r+") as nothing:
        request = {"argv": list(command), "env": dict(environment), "cwd": os.fspath(Path.cwd()), "box": None}
        return KernelProcess(request, [connection, nothing.fileno(), nothing.fileno()], warm)


def _own(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: environment[name] for name in _USER if name in environment}


def runtime_folder() -> Path:
    """This user's private folder for sockets. Its path is short, since that of a socket has at most 107 bytes.

    Raises:
        PermissionError: someone else can enter the folder of that name.
    """
    base = Path(os.environ.get("XDG_RUNTIME_DIR", "/nowhere"))
    own = base.is_dir() and base.stat().st_uid == os.getuid()
    folder = base / "llmlabs" if own else Path(f"/tmp/llmlabs-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} must be a folder that only you can enter: remove it, or set XDG_RUNTIME_DIR")
    return folder


def connect_zygote(preload: Sequence[str], environment: Mapping[str, str]) -> socket.socket:
    """A connection to the zygote with these modules and this environment, which is started if there is none.

    Raises:
        OSError: it cannot be started; the message has the end of its log.
    """
    environment = {**environment, **_ONE_THREAD}
    identity = json.dumps([sys.executable, sys.version, *preload, environment, _installed()])
    path = runtime_folder() / hashlib.sha256(identity.encode()).hexdigest()[:16]
    connection = socket.socket(socket.AF_UNIX)
    try:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            connection.connect(os.fspath(path))
            return connection
        import fcntl  # not there on Windows

        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one starts it, others wait
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                connection.connect(os.fspath(path))
                return connection
            if path not in _refused:
                _refused[path] = _start_zygote(path, preload, environment)
            if _refused[path]:
                raise OSError(_refused[path])
            del _refused[path]
            connection.connect(os.fspath(path))
            return connection
    except BaseException:
        connection.close()
        raise


def _start_zygote(path: Path, preload: Sequence[str], environment: Mapping[str, str]) -> str:
    """Start a zygote and wait for its socket; why there is none, or ""."""
    path.unlink(missing_ok=True)
    log_path = path.with_suffix(".log")
    program = sealed_copy(sys.executable)
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", zygote.__file__, os.fspath(path), str(IDLE_SECONDS), *preload],
            executable=f"/proc/self/fd/{program}",
            pass_fds=[program],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=dict(environment),
            start_new_session=True,
        )
    os.close(program)
    _started.append(process)
    end = time.monotonic() + IMPORT_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            return log_path.read_text(errors="replace").strip()[-1000:] or "the warm process did not start"
        time.sleep(0.01)
    return ""


def _installed() -> list[str]:
    """What changes when a package is installed, upgraded or removed, or this one edited."""
    folders = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    paths = {*folders, *Path(__file__).parents[1].rglob("*.py")}
    return sorted(f"{path} {path.stat().st_mtime_ns}" for path in paths)


class _CourseManager(KernelManager):
    """What the two managers below share."""

    provisioner: WarmProvisioner

    def __init__(self, box: Box | None, *, warm: bool, preload: Sequence[str]) -> None:
        super().__init__()
        self.kernel_id = str(uuid.uuid4())
        options = {"box": box, "warm": warm, "preload": list(preload)}
        self.provisioner = WarmProvisioner(
            kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self, **options
        )

    @property
    def kernel_spec(self) -> KernelSpec:
        """This Python's ipykernel, whatever kernelspecs are installed."""
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")

    @property
    def exceeded(self) -> str:
        """The limit of the box that ended the kernel, in words for the student; "" if none did."""
        running, process = self.provisioner.running, self.provisioner.process
        if not running:
            return ""
        if not process or process.poll() is not None:
            running.kill()  # it has ended: let the box find out why
        return running.exceeded

    def kill_tree(self) -> None:
        """End the kernel and all that it started, whatever state it is in. It may be called more than once."""
        process = self.provisioner.process
        if process and not self.provisioner.running:
            with contextlib.suppress(psutil.NoSuchProcess):
                tree = psutil.Process(process.pid)
                for member in [*tree.children(recursive=True), tree]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        member.kill()
        self.provisioner.discard(folder=True)
        self._close_control_socket()  # Python could otherwise wait for it for ever at its exit


class AsyncCourseKernelManager(_CourseManager, AsyncKernelManager):
    """Manages one kernel; its methods are coroutines."""


class CourseKernelManager(_CourseManager):
    """Manages one kernel; its methods block."""


def sandboxed_kernel_manager(
    box: Box | None, *, warm: bool = True, preload: Sequence[str] = (), blocking: bool = False
) -> AsyncCourseKernelManager | CourseKernelManager:
    """A kernel manager ready for `start_kernel()`; call `kill_tree()` at the end, also after an error.

    Args:
        box: what the kernel sees and may use; None for no sandbox. `start_kernel` raises SandboxUnavailable where it
            cannot be.
        warm: fork the kernel from a process that has imported `preload`, where that is possible.
        preload: modules, or MODULE:NAME, in the order of import. Kernels with the same list share a warm process.
        blocking: a manager with plain methods in place of coroutines.
    """
    manager = CourseKernelManager if blocking else AsyncCourseKernelManager
    return manager(box, warm=warm, preload=preload)
