"""Processes that become kernels: forked from a warm process (the zygote) or started cold, in a box or not.

Three kinds of process take part; only the last ever runs a student's code.

- The *zygote* imports what a lab imports and forks a keeper for each connection to its socket. It does nothing else:
  it has one thread (it refuses to fork with more), reads no request, and leaves when it has had no kernel for a
  while. All processes of a user that ask for the same modules, installed versions and environment share it.
- A *keeper* reads one request, enters the box if there is one, forks the kernel, passes signals on, reports the exit
  code, and kills the kernel when its client goes away. For a cold start the keeper is a new process, and its kernel a
  new program.
- The *kernel* drops all that came with the fork, gives up every right (`_confine`), and runs.

Forked kernels share the modules as imported, Python's hash seed (PYTHONHASHSEED chooses it) and one BLAS thread for
NumPy (torch keeps its own threads). The generators of random, numpy.random and torch are seeded anew from the
system's entropy.

multiprocessing's forkserver is not used: it imports the caller's main module into each child, and daemonic processes,
such as Dask's workers, may not use it. This file imports the standard library only: it is also run as a program, by
its path.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

MAX_REQUEST = 1 << 20
REPLY_SECONDS = 60.0
CHECKER = "llmlabs.grade.checker"  # what can be forked beside kernels; never from a process that also forks kernels

# What any kernel start imports, part of it late
_KERNEL_MODULES = """
ipykernel.kernelapp ipykernel.ipkernel ipykernel.zmqshell ipykernel.debugger tornado.platform.asyncio
IPython.core.debugger IPython.extensions.storemagic
"""
# CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET
_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000
_CLONE_NEWUSER, _CLONE_NEWCGROUP = 0x10000000, 0x02000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38


class KernelProcess:
    """A kernel behind its keeper, with that part of `subprocess.Popen` which jupyter_client uses.

    Args:
        request: `argv`, `env`, `cwd`, `box`: what `_confine` takes, or None.
        files: descriptors for the kernel's stdin, stdout and stderr; for a box also a pidfd of a process in it, then
            the `cgroup.procs` files of the groups to join.
        zygote: a connection to a zygote; None starts the program `argv` cold.

    Raises:
        OSError: the kernel could not be started.
    """

    stdin = stdout = stderr = None

    def __init__(self, request: Mapping[str, Any], files: Sequence[int], zygote: socket.socket | None) -> None:
        self.returncode: int | None = None
        self.error = ""
        self._keeper: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        if zygote:
            self._socket = zygote
        else:
            self._socket, theirs = socket.socketpair()
            with theirs:
                program = [sys.executable, "-I", "-S", __file__, str(theirs.fileno())]
                keep = [theirs.fileno()]
                self._keeper = subprocess.Popen(program, cwd="/", env={}, pass_fds=keep, start_new_session=True)
        try:
            self._socket.settimeout(REPLY_SECONDS)
            message = json.dumps(request).encode() + b"\n"
            self._socket.sendall(message[socket.send_fds(self._socket, [message], list(files)) :])
            reply = self._read()
            if "pid" not in reply:
                raise OSError(reply.get("error", "the process that starts kernels is gone"))
        except BaseException:
            self._close()
            raise
        self.pid: int = reply["pid"]

    def _read(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            data = self._socket.recv(4096)
            if not data:
                return {"exit": -signal.SIGKILL}
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _close(self) -> None:
        self._socket.close()
        if self._keeper:
            self._keeper.wait()

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while the kernel runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the kernel's end; raises subprocess.TimeoutExpired if it still runs after `timeout` seconds."""
        while self.returncode is None:
            try:
                self._socket.settimeout(timeout)
                reply = self._read()
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired("kernel", timeout or 0) from None
            except OSError:
                reply = {"exit": -signal.SIGKILL}
            self.error = reply.get("error", self.error)
            if "exit" in reply:
                self.returncode = reply["exit"]
                self._close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel's process group."""
        with contextlib.suppress(OSError):  # it has ended
            self._socket.sendall(b"%d\n" % number)

    def kill(self) -> None:
        """Kill the kernel and all that it started."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the kernel's process group to end."""
        self.send_signal(signal.SIGTERM)


def sealed_copy(program: str) -> int:
    """A descriptor of an unchangeable copy of a program in memory.

    Code in a box can reach the file that a process there was started from, by /proc/PID/exe, and past the box's
    read-only mounts. Where box and grader have one user it could change that file's mode, or later what is in it. So
    what is started outside and seen inside, the zygote and bubblewrap, is started from such a copy.
    """
    import fcntl

    copy = os.memfd_create(Path(program).name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(copy, Path(program).read_bytes())
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)
    return copy


def _import(name: str) -> None:
    """Import a module, or for MODULE:NAME what `from MODULE import NAME` imports."""
    module, _, inner = name.partition(":")
    imported = importlib.import_module(module)
    if inner and not hasattr(imported, inner):
        importlib.import_module(f"{module}.{inner}")


def _serve(path: Path, idle: float, modules: Sequence[str]) -> None:
    """Be the zygote: import, then fork a keeper for each connection until there was no kernel for `idle` seconds."""
    for name in (*_KERNEL_MODULES.split(), *modules):
        try:
            _import(name)
        except Exception as error:  # a module that is missing must fail in the notebook, where it can be seen
            print(f"preload of {name}: {error!r}", flush=True)
    gc.collect()
    gc.freeze()  # the collector of a child would otherwise touch, and so copy, every page
    with socket.socket(socket.AF_UNIX) as listener:
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        listener.bind(os.fspath(new))
        listener.listen(128)
        listener.settimeout(1)
        _one_thread_only()
        new.rename(path)  # appears when it is ready
        keepers, last = 0, time.monotonic()
        while keepers or time.monotonic() - last < idle:
            while keepers and os.waitpid(-1, os.WNOHANG)[0]:
                keepers -= 1
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            _one_thread_only()
            if os.fork() == 0:
                listener.close()
                connection.setblocking(True)
                _keep(connection, warm=True)
            connection.close()
            keepers, last = keepers + 1, time.monotonic()
        path.unlink(missing_ok=True)
    path.with_suffix(".log").unlink(missing_ok=True)


def _one_thread_only() -> None:
    """Exit if there is a second thread: a fork would copy its locks as they are, and not the thread that frees them."""
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    if len(names) > 1:
        sys.exit(f"a warm process must have one thread, this one has {len(names)}: {', '.join(names)}")


def _keep(connection: socket.socket, *, warm: bool) -> NoReturn:
    """Be a keeper: start the kernel that the client asks for and stay with it to its end."""
    try:
        data, files, _, _ = socket.recv_fds(connection, MAX_REQUEST, 16)
        while not data.endswith(b"\n"):
            more = connection.recv(MAX_REQUEST)
            if not more:
                os._exit(0)  # the client is gone
            data += more
        request = json.loads(data)
        box = request["box"]
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        if box:
            _libc("setns", files[3], _NAMESPACES | (_CLONE_NEWUSER if box["uid"] is None else 0))
        pid = os.fork()
        if pid == 0:
            _become_kernel(request, files, connection, warm=warm)
            os._exit(0)
        _send(connection, pid=pid)
        for file in files:
            os.close(file)
        kernel = os.pidfd_open(pid)
        while kernel not in select.select([connection.fileno(), kernel], [], [])[0]:
            for number in connection.recv(64).split() or [b"9"]:  # nothing: the client is gone
                try:
                    os.killpg(pid, int(number))
                except OSError:
                    signal.pidfd_send_signal(kernel, int(number))
        exit_code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if not box:  # in a box all end with the first process
            _kill_orphans()
        _send(connection, exit=exit_code)
    except BaseException:  # in the child: of what comes before any student code
        _send(connection, error=traceback.format_exc())
    os._exit(1)


def _send(connection: socket.socket, **reply: Any) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(reply).encode() + b"\n")


def _kill_orphans() -> None:
    """End what the kernel left behind: a subreaper is the parent of all orphans, however often they forked."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while pids := children.read_text().split():
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
        for _ in pids:
            os.waitpid(-1, 0)


def _become_kernel(request: Mapping[str, Any], files: Sequence[int], connection: socket.socket, *, warm: bool) -> None:
    """Be the kernel, or the checker; returns at its end."""
    import resource  # not there on Windows, where this file is only imported

    os.setsid()
    for procs in files[4:]:
        os.write(procs, b"0")
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    os.set_inheritable(connection.fileno(), False)
    os.closerange(3, connection.fileno())
    os.closerange(connection.fileno() + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    if request["box"]:
        _confine(request["box"])
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if not warm:
        os.execvp(request["argv"][0], request["argv"])
    connection.close()
    tempfile.tempdir = None
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()
    if torch := sys.modules.get("torch"):
        torch.default_generator.seed()
    if CHECKER in request["argv"]:
        importlib.import_module(CHECKER).main(*request["argv"][4:])  # after "python -P -m llmlabs.grade.checker"
        return
    from ipykernel.kernelapp import IPKernelApp

    sys.argv = ["ipykernel_launcher", *request["argv"][3:]]  # after "python -m ipykernel_launcher"
    app = IPKernelApp.instance()
    app.initialize(sys.argv[1:])
    app.start()


def _libc(function: str, *arguments: Any) -> None:
    """Call a function of the C library; raises OSError if it fails."""
    if getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def _prctl(option: int, value: int, pointer: int = 0) -> None:
    _libc("prctl", option, *map(ctypes.c_ulong, (value, pointer, 0, 0)))


def _confine(box: Mapping[str, Any]) -> None:
    """Give up what the namespaces do not take away; nothing of it can be had back.

    Args:
        box: `uid`, None in a user namespace of its own, and `limits`: name of a resource limit -> value.
    """
    import resource

    for name, value in box["limits"].items():
        limit = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))
    if box["uid"] is not None:
        os.setgroups([])
        os.setresgid(box["uid"], box["uid"], box["uid"])
        os.setresuid(box["uid"], box["uid"], box["uid"])
    _libc("capset", struct.pack("II", 0x20080522, 0), bytes(24))  # version 3; no capability in any set
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 1)  # else /proc/self stays root's after the change of user
    os.umask(0o077)
    if program := seccomp_program(os.uname().machine):
        instructions = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(instructions))
        filter_ = ctypes.create_string_buffer(header, len(header))
        _prctl(_PR_SET_SECCOMP, 2, ctypes.addressof(filter_))


# System calls that no notebook needs and that have opened kernels before: name, number on x86_64, number on aarch64.
# System V objects are among them: they outlive their processes, and their memory is on nobody's account.
_DENIED = """
ptrace 101 117      mount 165 40        umount2 166 39      pivot_root 155 41          chroot 161 51
setns 308 268       unshare 272 97      swapon 167 224      swapoff 168 225            reboot 169 142
init_module 175 105 delete_module 176 106 finit_module 313 273 kexec_load 246 104      kexec_file_load 320 294
add_key 248 217     request_key 249 218 keyctl 250 219      bpf 321 280                perf_event_open 298 241
userfaultfd 323 282 kcmp 312 272        syslog 103 116      name_to_handle_at 303 264  open_by_handle_at 304 265
acct 163 89         quotactl 179 60     clock_settime 227 112 process_vm_readv 310 270 process_vm_writev 311 271
shmget 29 194       msgget 68 186       semget 64 190
io_uring_setup 425 425  io_uring_enter 426 426  io_uring_register 427 427  open_tree 428 428  move_mount 429 429
fsopen 430 430      fsconfig 431 431    fsmount 432 432     fspick 433 433             pidfd_getfd 438 438
process_madvise 440 440 mount_setattr 442 442 quotactl_fd 443 443 memfd_secret 447 447
"""
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SOCKET, _CLONE, _CLONE3 = (41, 198), (56, 220), 435
_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK; no AF_VSOCK, AF_ALG, AF_PACKET


def seccomp_program(machine: str) -> bytes:
    """The filter of system calls as classic BPF, 8 bytes an instruction; empty for a machine that is not listed.

    What is denied fails with EPERM, so that a program can go on; clone3, whose flags a filter cannot read, with
    ENOSYS, upon which libc uses clone.
    """
    if machine not in _AUDIT_ARCH:
        return b""
    column = list(_AUDIT_ARCH).index(machine)
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill, error = 0x7FFF0000, 0x80000000, 0x00050000
    eperm, enosys, eafnosupport = error | 1, error | 38, error | 97
    number, arch, argument = 0, 4, 16  # offsets in struct seccomp_data

    def op(code: int, value: int, skip_if_true: int = 0, skip_if_false: int = 0) -> bytes:
        return struct.pack("HBBI", code, skip_if_true, skip_if_false, value)

    program = op(load, arch) + op(equal, _AUDIT_ARCH[machine], 1) + op(give, kill) + op(load, number)
    if machine == "x86_64":
        program += op(at_least, 0x40000000, 0, 1) + op(give, kill)  # the x32 calls, with numbers of their own
    for call in _DENIED.split()[1 + column :: 3]:
        program += op(equal, int(call), 0, 1) + op(give, eperm)
    program += op(equal, _CLONE3, 0, 1) + op(give, enosys)
    program += op(equal, _CLONE[column], 0, 3) + op(load, argument)
    program += op(any_bit, _NAMESPACES | _CLONE_NEWUSER | _CLONE_NEWCGROUP, 0, 1) + op(give, eperm)
    program += op(load, number) + op(equal, _SOCKET[column], 1) + op(give, allow) + op(load, argument)
    for family in _FAMILIES:
        program += op(equal, family, 0, 1) + op(give, allow)
    return program + op(give, eafnosupport)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        _keep(socket.socket(fileno=int(sys.argv[1])), warm=False)
    _serve(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
