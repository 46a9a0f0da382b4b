"""Running one submission under limits of time and size: the student's cells in a kernel, the test cells in a checker.

The kernel is not trusted: it may send anything at any time, so what arrives is checked before it is used.
"""

from __future__ import annotations

import ast
import copy
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

import nbformat
import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from nbformat import NotebookNode

from llmlabs.grade.checker import Checker
from llmlabs.grade.wire import MAX_NODES
from llmlabs.notebook import grade_id, is_test, locked_imports, points

SECRET = "LLMLABS_SEED"  # never in the submission's environment: it decides the hidden inputs
PASSIVE = ("text/plain", "text/latex", "image/png", "image/jpeg")  # what cannot run in the browser of a reader
ERROR_LINES, ERROR_TEXT = 50, 2000  # of a traceback: lines, and characters of each


@dataclass(frozen=True)
class Limits:
    """What one submission may use: seconds of wall clock, bytes of a message and of a cell's output, depth of a value.

    A kernel that does not obey an interrupt within `grace_seconds` is killed.
    """

    cell_seconds: float = 60.0
    call_seconds: float = 30.0
    total_seconds: float = 300.0
    start_seconds: float = 60.0
    grace_seconds: float = 3.0
    message_bytes: int = 64 * 2**20
    output_bytes: int = 2**20
    all_output_bytes: int = 4 * 2**20
    depth: int = 100


@dataclass(frozen=True)
class CheckResult:
    """How one test cell ended.

    `points` is the number that the cell ended in, if it gives partial credit; `message` is for the student and holds no
    line of the test; `student_traceback` names lines of the student's own cells only.
    """

    grade_id: str
    kind: Literal["passed", "failed", "error", "timeout", "crash", "not-run"]
    message: str = ""
    error_type: str = ""
    student_traceback: str = ""
    points: float | None = None
    duration: float = 0.0

    @property
    def passed(self) -> bool:
        return self.kind == "passed"


@dataclass
class SubmissionRun:
    """The notebook as it ran, with every cell's outputs, and the outcome of each test cell in order."""

    notebook: NotebookNode
    results: list[CheckResult] = field(default_factory=list)
    ended: str = ""  # what ended the run early, in words

    @property
    def passed(self) -> bool:
        return not self.ended and all(result.passed for result in self.results)


def outcome_to_outputs(result: CheckResult) -> list[NotebookNode]:
    """The outputs that make nbgrader score the cell as `result` says."""
    if result.points is not None:
        data = {"text/plain": repr(result.points)}
        return [nbformat.v4.new_output("execute_result", data=data, execution_count=None)]
    if result.passed:
        return []
    names = {"timeout": "Timeout", "crash": "KernelDied", "not-run": "NotRun"}
    name = result.error_type or names.get(result.kind, "Error")
    lines = [f"{name}: {result.message}", *result.student_traceback.splitlines()]
    return [nbformat.v4.new_output("error", ename=name, evalue=result.message, traceback=lines)]


class KernelLostError(Exception):
    """The kernel did not answer in time, or died. `kind` is that of the test which was running."""

    def __init__(self, kind: Literal["timeout", "crash", "error"], message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Kernel:
    """The submission process. After a `KernelLostError`, `alive` says whether it can still be used."""

    def __init__(self, manager: KernelManager, limits: Limits) -> None:
        self.manager, self.limits, self.alive = manager, limits, False
        self.deadline = float("inf")  # of the whole submission
        self.shown = 0  # bytes of output so far

    def start(self, env: Mapping[str, str], cwd: Path) -> None:
        """Start the kernel and load the driver.

        Raises:
            RuntimeError: if the kernel does not start, which is not the student's fault.
        """
        public = {name: value for name, value in env.items() if name != SECRET}
        self.manager.start_kernel(env=public, cwd=str(cwd), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.alive = True
        try:
            self._wait_until_ready()
            self.deadline = time.monotonic() + self.limits.total_seconds
            seconds = self.limits.start_seconds
            self.client.input("")  # the driver waits for it: from then on the kernel can send prompts
            code = f"import llmlabs.grade.driver\nllmlabs.grade.driver.begin({seconds / 2})\ndel llmlabs"
            status, _ = self.run(code, seconds, silent=True)
        except KernelLostError as lost:
            status = str(lost)
        if status != "ok":
            raise RuntimeError(
                f"the kernel could not import llmlabs.grade.driver: is llmlabs installed there? ({status})"
            )

    def _wait_until_ready(self) -> None:
        """Connect, and wait until the kernel answers and what it puts out arrives.

        jupyter_client's `wait_for_ready` does the same, and then lets 0.2 s pass without any output.

        Raises:
            KernelLostError: if that does not come in `start_seconds`.
        """
        until, requests = time.monotonic() + self.limits.start_seconds, set()
        self._connect()
        while time.monotonic() < until:
            requests.add(self.client.kernel_info())
            with suppress(TimeoutError):
                pause = time.monotonic() + 0.1
                while message := self.receive(pause):
                    if message["msg_type"] == "status" and message["parent_header"].get("msg_id") in requests:
                        return
        raise KernelLostError("crash", f"it did not answer within {self.limits.start_seconds:g} s")

    def _connect(self) -> None:
        """Open the kernel's channels, each with a bound on what waits in it: messages and bytes of each."""
        context: zmq.Context[Any] = zmq.Context()
        context.setsockopt(zmq.LINGER, 0)
        self.client: BlockingKernelClient = self.manager.client(context=context)
        self.client.session.unpack = self._unpack
        context.setsockopt(zmq.RCVHWM, 32)
        context.setsockopt(zmq.MAXMSGSIZE, 16 * self.limits.output_bytes)
        channels = [self.client.iopub_channel]  # made now, with these options
        context.setsockopt(zmq.RCVHWM, 4)
        context.setsockopt(zmq.MAXMSGSIZE, 2 * self.limits.message_bytes)
        channels[:0] = [self.client.shell_channel, self.client.stdin_channel]
        self.client.start_channels(hb=False)
        self.channels = {channel.socket: channel for channel in channels}
        self.poller = zmq.Poller()
        for socket in self.channels:
            self.poller.register(socket, zmq.POLLIN)

    @staticmethod
    def _unpack(data: bytes) -> Any:
        """Read one part of a message, unless it would fill this process's memory."""
        if sum(map(data.count, (b"[", b"{", b","))) > 2 * MAX_NODES:
            raise ValueError("the message is too large")
        return json.loads(data)

    def receive(self, until: float, *, output: bool = True) -> dict[str, Any]:
        """The next message of the kernel, answers before output; unless `output`, what it prints and shows is dropped.

        Raises:
            TimeoutError: at the time `until`. KernelLostError: if the kernel dies, or the submission's time is over.
        """
        while True:
            remaining = min(until, self.deadline) - time.monotonic()
            if remaining <= 0:
                if self.deadline > until:
                    raise TimeoutError
                self.kill()
                raise KernelLostError("timeout", f"the notebook took more than {self.limits.total_seconds:g} s in all")
            ready = dict(self.poller.poll(int(min(remaining, 0.5) * 1000) + 1))
            for socket, channel in self.channels.items():
                if socket in ready:
                    with suppress(Exception):  # whatever is not a message of the protocol
                        if not output and channel is self.client.iopub_channel:
                            socket.recv_multipart()
                        elif _is_message(message := channel.get_msg(timeout=0)):
                            return message
            if not ready and not self.manager.is_alive():
                self.alive = False
                why = getattr(self.manager, "exceeded", "") or "out of memory, a crash, or a call of exit()"
                raise KernelLostError("crash", f"the notebook's process ended: {why}")

    def execute(self, code: str, *, silent: bool, allow_stdin: bool) -> str:
        return self.client.execute(
            code, silent=silent, store_history=not silent, allow_stdin=allow_stdin, stop_on_error=False
        )

    def run(self, code: str, seconds: float, *, silent: bool = False) -> tuple[str, list[NotebookNode]]:
        """Run a cell of the student's; how it ended (`ok` or `error`) and what it put out.

        Raises:
            KernelLostError: if it does not end in time, or the kernel dies.
        """
        request = self.execute(code, silent=silent, allow_stdin=False)
        outputs = Outputs(min(self.limits.output_bytes, self.limits.all_output_bytes - self.shown))
        status, idle, until = "", False, time.monotonic() + seconds
        while not (status and idle):
            try:
                message = self.receive(until)
            except TimeoutError:
                if status:  # the last output was lost in a flood of it
                    break
                self.interrupt(request, seconds)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "execute_reply":
                status, until = str(message["content"].get("status")), time.monotonic() + 1
            elif message["msg_type"] == "status":
                idle = message["content"].get("execution_state") == "idle"
            elif not silent:
                outputs.add(message)
        self.shown += min(outputs.size, self.limits.output_bytes)
        return status, outputs.nodes

    def interrupt(self, request: str, seconds: float) -> NoReturn:
        """Interrupt what ran too long; if the kernel does not obey, kill it."""
        with suppress(RuntimeError):  # it has just ended
            self.manager.interrupt_kernel()
        stopped = self.finish(request)
        raise KernelLostError("timeout", f"it took more than {seconds:g} s" + ("" if stopped else " and did not stop"))

    def finish(self, request: str) -> bool:
        """Wait for the end of a cell, answering nothing to what it asks; if it does not end, kill the kernel."""
        until = time.monotonic() + self.limits.grace_seconds
        with suppress(TimeoutError, KernelLostError):
            while True:
                message = self.receive(until, output=False)
                if message["msg_type"] == "input_request":
                    self.client.input("")
                elif message["msg_type"] == "execute_reply" and message["parent_header"].get("msg_id") == request:
                    return True
        self.kill()
        return False

    def kill(self) -> None:
        self.alive = False
        with suppress(Exception):
            self.manager.shutdown_kernel(now=True)

    def open(self) -> None:
        """Let the driver wait for requests."""
        sizes = f"{self.limits.message_bytes}, {self.limits.depth}"
        code = f"__import__('llmlabs.grade.driver').grade.driver.serve({sizes})"
        self.request = self.execute(code, silent=True, allow_stdin=True)
        self.token = "ready"
        self.await_answer(self.limits.call_seconds)

    def ask(self, text: str, seconds: float) -> str:
        """Send a request to the driver and wait for its answer.

        Raises:
            KernelLostError: if none comes in time.
        """
        self.token = secrets.token_hex(8)
        self.client.input(f"{self.token}\n{text}")
        return self.await_answer(seconds)

    def await_answer(self, seconds: float) -> str:
        until = time.monotonic() + seconds
        while True:
            try:
                message = self.receive(until, output=False)
            except TimeoutError:
                self.interrupt(self.request, seconds)
            if message["msg_type"] == "input_request":
                # a thread of the student's may send prompts of its own: only the one that knows the token counts
                token, _, text = str(message["content"].get("prompt")).partition("\n")
                if token == self.token:
                    return text
            elif message["msg_type"] == "execute_reply" and message["parent_header"].get("msg_id") == self.request:
                raise KernelLostError("error", "it broke off the conversation")

    def close(self) -> None:
        """End what `open` began."""
        self.client.input("")
        self.finish(self.request)

    def stop(self) -> None:
        with suppress(Exception):
            self.client.stop_channels()
        self.kill()
        getattr(self.manager, "kill_tree", lambda: None)()  # of a sandbox
        with suppress(Exception):
            self.client.context.destroy(linger=0)


def _is_message(message: Any) -> bool:
    parts = (message["parent_header"], message["content"])
    return isinstance(message["msg_type"], str) and all(isinstance(part, dict) for part in parts)


class Outputs:
    """The outputs of one cell, up to a number of bytes."""

    def __init__(self, limit: int) -> None:
        self.nodes: list[NotebookNode] = []
        self.limit, self.size = limit, 0

    def add(self, message: dict[str, Any]) -> None:
        """Add what a message shows; what is not an output, or malformed, is left out."""
        kind, full = message["msg_type"], self.size > self.limit
        if kind == "clear_output":
            self.nodes.clear()
        if kind not in ("stream", "display_data", "execute_result", "error"):
            return
        # the error that ended the cell is kept after a flood of output, a flood of errors is not
        if full and (kind != "error" or any(node.output_type == "error" for node in self.nodes)):
            return
        text = json.dumps(message["content"], ensure_ascii=False).encode("utf-8", "replace")  # no lone surrogates
        self.size += len(text)
        with suppress(KeyError, TypeError, AttributeError):
            node = self._node(kind, json.loads(text))
            previous = self.nodes[-1] if self.nodes else NotebookNode()
            if self.size > self.limit and kind != "error":
                self.nodes.append(nbformat.v4.new_output("stream", text="\n... the rest was left out ...\n"))
            elif kind == "stream" and previous.get("name") == node.name:
                previous.text += node.text
            else:
                self.nodes.append(node)

    @staticmethod
    def _node(kind: str, content: dict[str, Any]) -> NotebookNode:
        if kind == "stream":
            name = "stderr" if content["name"] == "stderr" else "stdout"
            return nbformat.v4.new_output(kind, name=name, text=str(content["text"]))
        if kind == "error":
            lines = [str(line)[:ERROR_TEXT] for line in content["traceback"]][-ERROR_LINES:]
            name, text = str(content["ename"])[:ERROR_TEXT], str(content["evalue"])[:ERROR_TEXT]
            return nbformat.v4.new_output(kind, ename=name, evalue=text, traceback=lines)
        data = {name: item for name, item in content["data"].items() if isinstance(item, str) and name in PASSIVE}
        return nbformat.v4.new_output(kind, data=data)


def run_submission(
    notebook: NotebookNode,
    *,
    kernel_manager_factory: Callable[[], KernelManager],
    cwd: Path,
    limits: Limits | None = None,
    env: Mapping[str, str] | None = None,
    seed: str = "",
    checker_factory: Callable[..., Checker] = Checker.start,
) -> SubmissionRun:
    """Run a rebuilt notebook: its test cells are the course's own, its other cells the student's.

    Args:
        notebook: is not changed.
        kernel_manager_factory: gives a manager whose kernel is not started yet; a sandbox is its business.
        cwd: the folder in which the student's cells run.
        env: the environment of the student's cells, by default this process's; LLMLABS_SEED is taken out.
        seed: the grader's private seed, which only the checker gets.
        checker_factory: starts a checker, with the arguments of `Checker.start`.

    Raises:
        RuntimeError: if the kernel or the checker cannot be started, which says nothing about the submission.
    """
    limits = limits or Limits()
    run = SubmissionRun(copy.deepcopy(notebook))
    imports = [ast.unparse(node) for node in locked_imports(notebook)]

    def start_checker() -> Checker:
        return checker_factory(imports, seed=seed, message_bytes=limits.message_bytes, depth=limits.depth)

    checker = start_checker()
    kernel = Kernel(kernel_manager_factory(), limits)
    try:
        kernel.start(os.environ if env is None else env, cwd)
        for cell in run.notebook.cells:
            if cell.cell_type != "code":
                continue
            cell.outputs, cell.execution_count = [], None
            if is_test(cell):
                result = check(cell, kernel, checker, run.ended)
                if checker.process.poll() is not None:
                    checker.stop()
                    checker = start_checker()
                cell.outputs = outcome_to_outputs(result)
                run.results.append(result)
                if not kernel.alive and not run.ended:
                    run.ended = f"in the test {result.grade_id}: {result.message}"
            elif kernel.alive and "skip-execution" not in cell.metadata.get("tags", []):
                try:
                    _, cell.outputs = kernel.run(cell.source, limits.cell_seconds)
                except KernelLostError as lost:
                    cell.outputs = outcome_to_outputs(CheckResult("", lost.kind, str(lost)))
                    if not kernel.alive:
                        where = grade_id(cell) or cell.source.strip().partition("\n")[0][:60]
                        run.ended = f"in the cell {where!r}: {lost}"
    finally:
        kernel.stop()
        checker.stop()
    return run


def check(cell: NotebookNode, kernel: Kernel, checker: Checker, ended: str) -> CheckResult:
    """Run one test cell in the checker, whose questions go on to the kernel.

    The checker is left dead if the test does not end, or ends it.

    Raises:
        RuntimeError: if the checker did not start.
    """
    name = grade_id(cell)
    if not kernel.alive:
        return CheckResult(name, "not-run", f"the test did not run, because the notebook had ended {ended}")
    checker.wait_until_ready(kernel.limits.start_seconds)
    began = time.monotonic()
    try:
        found = _converse(cell.source, name, kernel, checker)
    except KernelLostError as lost:
        found = {"kind": lost.kind, "message": f"while the test called your code, {lost}"}
    except TimeoutError:
        found = {"kind": "timeout", "message": f"the test took more than {kernel.limits.cell_seconds:g} s"}
    except (EOFError, OSError):
        message = "the test's own process ended: was a result of your code very large?"
        found = {"kind": "error", "error_type": "CheckerDied", "message": message}
    result = CheckResult(name, duration=time.monotonic() - began, **found)
    most = points(cell)
    if result.points is None:
        return result
    if not 0 <= result.points <= most:
        message = f"the test gave {result.points:g} of {most:g} points"
        return replace(result, kind="error", error_type="ValueError", message=message, points=None)
    if result.points < most:
        return replace(result, kind="failed", message=f"{result.points:g} of {most:g} points")
    return result


def _converse(source: str, name: str, kernel: Kernel, checker: Checker) -> dict[str, Any]:
    """Pass messages on until the checker says how the test ended."""
    until = time.monotonic() + kernel.limits.cell_seconds
    kernel.open()
    lost: KernelLostError | None = None
    try:
        checker.send("test", source, name)
        while True:
            kind, content = checker.receive(until - time.monotonic())
            if kind == "outcome":
                break
            if lost is None:
                try:
                    seconds = min(kernel.limits.call_seconds, max(0.1, until - time.monotonic()))
                    checker.send("reply", kernel.ask(content, seconds))
                    continue
                except KernelLostError as error:
                    lost = error
            checker.send("lost", str(lost))
    except (EOFError, OSError):
        checker.stop()
        raise
    finally:
        if lost is None:
            kernel.close()
    if lost is not None:
        raise lost
    return content
