"""What code in a box cannot see, reach, use up, or outlive."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from llmlabs.grade import sandbox as module
from llmlabs.grade.sandbox import Box, RunningBox, SandboxUnavailable, available_layers, run_in_box
from llmlabs.grade.zygote import seccomp_program

from .conftest import Python


def running(mark: str) -> list[psutil.Process]:
    """The processes on this machine that have `mark` in their command line, but zombies."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if any(mark in part for part in process.info["cmdline"] or ()) and process.info["status"] != "zombie":
            found.append(process)
    return found


def none_runs(mark: str) -> bool:
    return not running(mark)


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)


def test_layers_are_active(sandbox: None) -> None:
    inactive = [layer for layer in available_layers() if not layer.active]
    assert not inactive


PROGRAMS = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        name = os.readlink(f"/proc/{pid}/exe")
        read_only = os.statvfs(f"/proc/{pid}/exe").f_flag & os.ST_RDONLY
    except PermissionError:
        continue
    if not read_only and not name.startswith("/memfd:"):
        print(name)
    try:
        os.open(f"/proc/{pid}/exe", os.O_RDWR)
        print("can write", name)
    except OSError:
        pass
"""


# --- network


def test_no_tcp_or_udp_to_the_host(python: Python) -> None:
    with socket.create_server(("0.0.0.0", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("0.0.0.0", 0))
        udp.settimeout(0.5)
        code = """
import socket, sys
for address in sys.argv[3:]:
    try:
        socket.create_connection((address, int(sys.argv[1])), timeout=2)
        print("connected to", address)
    except OSError as error:
        print("no tcp")
    try:
        socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", (address, int(sys.argv[2])))
    except OSError:
        pass
"""
        addresses = {"127.0.0.1", *(a.address for n in psutil.net_if_addrs().values() for a in n if a.family == 2)}
        _, printed, _ = python(code, tcp.getsockname()[1], udp.getsockname()[1], *sorted(addresses))
        assert printed.split("\n") == ["no tcp"] * len(addresses) + [""]
        with pytest.raises(TimeoutError):
            udp.recv(1)


def test_no_unix_socket_of_the_host(python: Python, box: Box) -> None:
    path = box.data.parent / "socket"
    abstract = f"\0{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        one.bind(str(path))
        two.bind(abstract)
        one.listen()
        two.listen()
        code = """
import socket, sys
for path in (sys.argv[1], "\\0" + sys.argv[2]):
    try:
        socket.socket(socket.AF_UNIX).connect(path)
    except OSError as error:
        print(type(error).__name__)
"""
        assert python(code, path, abstract[1:])[1].split() == ["FileNotFoundError", "ConnectionRefusedError"]


def test_own_loopback_works(python: Python) -> None:
    code = """
import socket
server = socket.create_server(("localhost", 0))
socket.create_connection(server.getsockname()).sendall(b"x")
print(server.accept()[0].recv(1), socket.gethostbyname(socket.gethostname()))
"""
    assert python(code)[1] == "b'x' 127.0.0.1\n"


def test_no_sockets_beyond_the_network_namespace(python: Python) -> None:
    """A virtual machine's host, the kernel's crypto: families that no namespace keeps apart."""
    code = """
import socket
for family in (socket.AF_VSOCK, socket.AF_ALG, socket.AF_PACKET):
    try:
        socket.socket(family, socket.SOCK_SEQPACKET if family == socket.AF_ALG else socket.SOCK_STREAM)
        print("made", family)
    except OSError as error:
        print(error.errno)
"""
    assert python(code)[1].split() == ["97"] * 3


# --- files


def test_sees_data_and_own_files_only(python: Python, box: Box) -> None:
    code = """
import os, sys
for path in sys.argv[1:]:
    try:
        print(open(path).read())
    except OSError as error:
        print(type(error).__name__)
print(sorted(os.listdir(".")))
"""
    root = box.data.parent
    paths = [root / name / "file.txt" for name in ("data", "source", "answers", "other", "scratch")]
    hidden = [*paths, root / "gradebook.db", "/etc/shadow", Path.home() / ".bashrc", "/etc/hostname"]
    printed = python(code, *hidden)[1].splitlines()
    assert printed[0] == "text of data"
    assert set(printed[1:-1]) == {"FileNotFoundError"}
    assert printed[-1] == "['file.txt']"


def test_course_in_the_environment_is_refused(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    (box.data.parent / "course.yml").touch()
    monkeypatch.setattr(sys, "prefix", str(box.data.parent))
    with pytest.raises(SandboxUnavailable, match="holds the course's folder"):
        RunningBox(box)


def test_writes_only_to_memory_of_its_own(python: Python, box: Box) -> None:
    code = """
import os, sys
def writable(folder):
    try:
        open(os.path.join(folder, "probe"), "w").write("x")
        return True
    except OSError:
        return False
print([folder for folder in sys.argv[1:] if writable(folder)])
print([writable(folder) for folder in (".", "/tmp", "/dev/shm")])
os.remove("file.txt")
"""
    folders = ["/", "/usr", "/etc", "/dev", "/run", "/home", "/sys", "/proc", sys.prefix, sys.base_prefix, box.data]
    printed = python(code, *folders, Path(module.__file__).parent)[1]
    assert printed.splitlines() == ["[]", "[True, True, True]"]
    assert [path.name for path in box.scratch.iterdir()] == ["file.txt"]
    assert not Path("/tmp/probe").exists()


def test_links_and_pipes_of_a_submission(python: Python, box: Box) -> None:
    """A link is copied as a link, never followed by the grader; a named pipe is left out."""
    (box.scratch / "link").symlink_to(box.data.parent / "gradebook.db")
    os.mkfifo(box.scratch / "pipe")
    code = "import os; print(sorted(os.listdir('.')), flush=True); open('link')"
    status, printed, _ = python(code)
    assert printed.startswith("['file.txt', 'link']")
    assert "FileNotFoundError" in printed
    assert status == 1


def test_submission_that_does_not_fit(box: Box) -> None:
    (box.scratch / "big").write_bytes(bytes(1 << 20))
    with pytest.raises(OSError, match="No space left"):
        RunningBox(replace(box, scratch_bytes=1 << 16))


@pytest.mark.parametrize("folder", [".", "/tmp", "/dev/shm", "/run/llmlabs"])
def test_disk_cannot_be_filled(python: Python, folder: str) -> None:
    code = """
import sys
try:
    for number in range(100):
        open(f"{sys.argv[1]}/{number}", "wb").write(bytes(1 << 20))
except OSError as error:
    print(error.errno, number)
"""
    errno, files = map(int, python(code, folder, scratch_bytes=4 << 20)[1].split())
    assert errno == 28
    assert files <= 4


def test_file_size(python: Python) -> None:
    code = """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    open("big", "wb").write(bytes(3 << 20))
except OSError as error:
    print(error.errno)
"""
    assert python(code, file_bytes=1 << 20)[1] == "27\n"


# --- processes and the grader's secrets


def test_processes_of_the_host(python: Python) -> None:
    code = """
import os, signal, sys
print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()), os.getppid())
try:
    os.kill(int(sys.argv[1]), signal.SIGTERM)
    print("sent")
except OSError as error:
    print(type(error).__name__)
"""
    assert python(code, os.getpid())[1].splitlines() == ["[1, 2, 3] 0", "ProcessLookupError"]


def test_environment(python: Python, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMLABS_SEED", "seed-of-the-grader")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key-of-the-grader")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code = """
import glob, os
texts = [repr(dict(os.environ))]
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try:
        texts.append(open(path).read())
    except OSError:
        pass
print("-of-" + "the-grader" in "".join(texts), os.environ["HF_HUB_OFFLINE"], os.environ["HOME"], os.environ["WHERE"])
"""
    assert python(code, environment={"WHERE": "here"})[1] == "False 1 /home/student here\n"


def test_no_file_of_the_grader_is_open(python: Python) -> None:
    code = """
import os
for fd in range(3, 1024):
    try:
        print(fd, os.readlink(f"/proc/self/fd/{fd}"))
    except OSError:
        pass
"""
    assert python(code)[1] == ""


def test_no_program_can_be_changed(python: Python) -> None:
    """What a process was started from can be reached by /proc, past the mounts of the box."""
    assert python(PROGRAMS)[1] == ""


def test_rights_cannot_be_had_back(python: Python) -> None:
    code = """
import ctypes, os, resource
libc = ctypes.CDLL(None, use_errno=True)
attempts = {
    "unshare": libc.unshare(0x10000000), "mount": libc.mount(b"none", b"/tmp", b"tmpfs", 0, None),
    "remount": libc.mount(None, b"/usr", None, 4096 | 32, None), "ptrace": libc.ptrace(16, 1, 0, 0),
    "clone": libc.syscall(56 if os.uname().machine == "x86_64" else 220, 0x10000000 | 17, 0, 0, 0, 0),
    "setuid": libc.setuid(0), "chroot": libc.chroot(b"/tmp"), "shmget": libc.shmget(0, 4096, 0o600),
}
print({name: result for name, result in attempts.items() if result != -1})
for limit in (resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU):
    try:
        resource.setrlimit(limit, (1 << 40, 1 << 40))
        print("raised", limit)
    except (ValueError, OSError):
        pass
"""
    assert python(code)[1] == "{}\n"


def test_seccomp_program_covers_both_machines() -> None:
    assert seccomp_program("riscv64") == b""
    for machine in ("x86_64", "aarch64"):
        program = seccomp_program(machine)
        assert len(program) % 8 == 0
        assert len(program) // 8 < 4096  # the kernel's limit


# --- what it uses


def test_memory_of_one_process(python: Python) -> None:
    code = """
try:
    parts = []
    while True:
        parts.append(bytearray(64 << 20))
except MemoryError:
    print(len(parts))
"""
    status, printed, _ = python(code, memory_bytes=512 << 20)
    assert status == 0
    assert 1 <= int(printed) < 8


@pytest.mark.parametrize("in_groups", [True, False])
def test_memory_of_all_processes(python: Python, in_groups: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six processes that stay below the limit each; with control groups where they are to be had, and by the watch."""
    if not in_groups:
        monkeypatch.setattr(module, "_cgroup_parents", lambda box: (_ for _ in ()).throw(OSError))
    code = """
import os, time
for _ in range(5):
    if os.fork() == 0:
        break
held = bytearray(150 << 20)
time.sleep(30)
print("not stopped")
"""
    status, printed, exceeded = python(code, memory_bytes=512 << 20)
    assert printed == ""
    assert status == -signal.SIGKILL
    assert exceeded == "it used more than 0.5 GiB of memory"


def test_shared_memory_counts(python: Python, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_cgroup_parents", lambda box: (_ for _ in ()).throw(OSError))
    code = """
import time
for number in range(3):
    open(f"/dev/shm/{number}", "wb").write(bytes(60 << 20))
time.sleep(30)
"""
    assert python(code, memory_bytes=128 << 20)[2] == "it used more than 0.125 GiB of memory"


def test_number_of_processes(python: Python) -> None:
    """200 forks, not a bomb: whoever breaks the limit must not break the machine that tests it."""
    code = """
import os, time
children = 0
try:
    for _ in range(200):
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        children += 1
except OSError as error:
    print(error.errno, children)
"""
    errno, children = map(int, python(code, processes=40)[1].split())
    assert errno == 11
    assert 30 <= children < 40


def test_one_box_does_not_use_up_anothers_processes(box: Box) -> None:
    code = """
import os, time
if os.fork() and os.fork() and os.fork() and os.fork() and os.fork():
    print("made", flush=True)
time.sleep(30)
"""
    first = RunningBox(replace(box, processes=10))
    try:
        reading, writing = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        process = first.start([sys.executable, "-c", code], {}, [null, writing, null], None)
        os.close(writing)
        os.close(null)
        with os.fdopen(reading) as printed:
            assert printed.readline() == "made\n"
            assert process.poll() is None
            second = run_in_box(replace(box, processes=10), [sys.executable, "-c", code.replace("30", "0")])
            assert second[1] == "made\n"
    finally:
        first.kill()
    assert process.wait(10) == -signal.SIGKILL


def test_open_files(python: Python) -> None:
    code = """
files = []
try:
    while True:
        files.append(open("/dev/null"))
except OSError as error:
    print(error.errno, len(files) < 50)
"""
    assert python(code, open_files=50)[1] == "24 True\n"


def test_processor_time_of_all_processes(python: Python) -> None:
    """Each process stays below the limit; they do not together."""
    code = """
import os, time
while True:
    if os.fork() == 0:
        while time.process_time() < 0.3:
            pass
        os._exit(0)
    os.wait()
"""
    status, _, exceeded = python(code, cpu_seconds=1)
    assert exceeded == "it used more than 1 s of processor time"
    assert status == -signal.SIGKILL


# --- how it ends


def test_wall_clock_ends_all(python: Python) -> None:
    mark = str(uuid.uuid4())
    code = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
os.fork()
os.setsid() if os.getpid() != 3 else None
os.fork()
time.sleep(120)
"""
    status, _, exceeded = python(code, mark, wall_seconds=1)
    assert exceeded == "it ran for more than 1 s"
    assert status == -signal.SIGKILL
    assert not running(mark)


def test_no_survivor_of_a_normal_end(python: Python) -> None:
    mark = str(uuid.uuid4())
    code = """
import os, subprocess, sys
subprocess.Popen(["sleep", "120"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp(sys.executable, [sys.executable, "-c", "import time; time.sleep(120)", sys.argv[1]])
"""
    assert python(code, mark)[0] == 0
    assert not running(mark)


def test_killing_everything_ends_the_own_box_only(python: Python) -> None:
    """The box of an ordinary user ends (its first program has the same user), root's goes on."""
    assert python("import os, signal\nos.kill(-1, signal.SIGKILL)")[0] in (0, -signal.SIGKILL)


def test_dies_with_the_grader(box: Box) -> None:
    mark = str(uuid.uuid4())
    grader = f"""
import sys
from pathlib import Path
from llmlabs.grade.sandbox import Box, run_in_box
box = Box(scratch=Path({str(box.scratch)!r}), data=Path({str(box.data)!r}), wall_seconds=100)
run_in_box(box, [sys.executable, "-c", "import os, time; os.fork() or os.setsid(); time.sleep(120)", {mark!r}])
"""
    process = subprocess.Popen([sys.executable, "-c", grader], env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
    try:
        wait_until(lambda: len([p for p in running(mark) if p.pid != process.pid]) >= 2)
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not running(mark), 2)


def test_control_groups_are_removed(python: Python, box: Box) -> None:
    """Those of a grader that was killed, too, by the next."""
    group = module._Cgroup(box)
    left = [folder.with_name("llmlabs-99999999-1") for folder in group.folders]
    for folder in left:
        folder.mkdir()
    group.remove()
    python("pass")
    assert not [folder for folder in left if folder.exists()]
    assert not list(Path("/sys/fs/cgroup").rglob(f"llmlabs-{os.getpid()}-*"))


def test_refusal_says_what_to_do(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_bubblewrap", lambda: "/bin/false")
    with pytest.raises(SandboxUnavailable, match="--no-sandbox"):
        RunningBox(box)


def test_other_systems_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    module.find_bubblewrap.cache_clear()
    with pytest.raises(SandboxUnavailable, match="on Linux only"):
        module.find_bubblewrap()
    module.find_bubblewrap.cache_clear()
