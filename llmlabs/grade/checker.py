"""The checker: a process of its own that runs the test cells, and no line of the student's.

A test cell's names are, in this order: its own and those that the locked cells import (imported here, so they are what
they seem), Python's, and those of the notebook, which are asked of the submission.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import inspect
import json
import operator
import os
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from socket import socketpair
from typing import Any, Protocol
from unittest import mock

from llmlabs.grade.proxy import OpaqueError, Proxy
from llmlabs.grade.values import UnsendableError, WireError
from llmlabs.grade.wire import (
    TEXT_LIMIT,
    Endpoint,
    Node,
    SubmissionError,
    SubmissionLostError,
    finish,
    signature,
    take,
)
from llmlabs.lab import testing

_FUNCTION_FIELDS = {"__name__", "__qualname__", "__doc__", "__annotations__", "__module__"}
_SEEDS = (("random", "seed"), ("numpy.random", "seed"), ("torch", "manual_seed"))
MEMORY_BYTES = 8 * 2**30  # of a checker: a test may build much from a small result
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


# unless this process's environment says otherwise: one core, no window for plots, no hub
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg", "HF_HUB_OFFLINE": "1"}
# errors whose own words say enough
_CLEAR = (OpaqueError, UnsendableError, SubmissionError, NameError, ImportError, SyntaxError)


def _defined_in_test(cls: type) -> bool:
    return cls.__module__ == "__main__"


def _getattr(target: Any, name: str) -> Any:
    """A field of an object that the test handed to the student's code. Not `__globals__`, which would show the test."""
    if isinstance(target, types.FunctionType | types.MethodType):
        public = name in _FUNCTION_FIELDS
    else:
        public = not name.startswith("_") and _defined_in_test(type(target))
    if not public:
        raise AttributeError(f"{type(target).__name__!r} object of the test: {name!r} cannot be read from the notebook")
    return getattr(target, name)


CALLBACKS: dict[str, Callable[..., Any]] = {
    "__call__": lambda function, *args, **kwargs: function(*args, **kwargs),
    "getattr": _getattr,
    "__getitem__": operator.getitem,
    "__contains__": operator.contains,
    "__len__": len,
    "__iter__": iter,
    "__next__": next,
    "__enter__": lambda context: type(context).__enter__(context),
    "__exit__": lambda context, error: type(context).__exit__(context, type(error) if error else None, error, None),
    "__await__": finish,
    "bool": bool,
    "str": str,
    "repr": repr,
    "take": take,
    "signature": signature,
}


class CheckerEnd(Endpoint):
    """Asks the submission on behalf of a test cell, and trusts nothing that it says."""

    first_number = 2
    releases = True

    def __init__(self, exchange: Callable[[str], str], *, message_bytes: int, depth: int) -> None:
        super().__init__(exchange, CALLBACKS, message_bytes=message_bytes, depth=depth)
        self.operators_of: set[str] = set()

    def modes(self) -> Any:
        torch = sys.modules.get("torch")
        return torch and [torch.is_grad_enabled(), str(torch.get_default_dtype()).removeprefix("torch.")]

    def perform(self, operation: str, args: list[Any], kwargs: dict[str, Any], modes: Any) -> Any:
        if not args or id(args[0]) not in self.handle_of:
            raise WireError("only objects that the test handed over can be used")
        return super().perform(operation, args, kwargs, modes)

    def encode_object(self, value: Any) -> Node:
        """Library code crosses by its name; what the test itself made stays here and is called back."""
        if isinstance(value, BaseException):
            return self.encode_error(value)
        if name := library_name(value):
            return ["named", *name]
        made_here = _defined_in_test(type(value)) or (isinstance(value, type) and _defined_in_test(value))
        code = isinstance(value, types.FunctionType | types.MethodType | types.BuiltinMethodType)
        lazy = hasattr(type(value), "__next__") or hasattr(type(value), "__await__")
        if made_here or code or lazy or type(value).__module__ in ("functools", "unittest.mock"):
            return self.export(value)
        raise UnsendableError(
            f"a {type(value).__name__} of the test cannot be handed to the notebook; make it there, with "
            "inside(cls, ...) of llmlabs.lab.testing"
        )

    # what llmlabs.lab.testing uses

    def inside(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not isinstance(function, Proxy) and library_name(function) is None:
            raise UnsendableError(
                "inside() takes a function or class of the notebook or a library, not one of the test"
            )
        return self.request("__call__", function, *args, **kwargs)

    def allow_operators(self, *classes: Any) -> None:
        for cls in classes:
            own = cls._wire[2].own if isinstance(cls, Proxy) else None
            if not own:
                raise TypeError("allow_operators() takes classes of the notebook")
            self.operators_of.add(own[0])


def library_name(value: Any) -> tuple[str, str] | None:
    """Module and name under which a library offers a function, class or module; None for anything else."""
    if isinstance(value, types.ModuleType):
        return value.__name__, ""
    module = getattr(value, "__module__", None) or "builtins"
    for name in (getattr(value, "__qualname__", ""), getattr(value, "__name__", "")):
        with contextlib.suppress(Exception):
            if module != "__main__" and operator.attrgetter(name)(sys.modules[module]) is value:
                return str(module), str(name)
    return None


class Namespace(dict[str, Any]):
    """The globals of a test cell."""

    def __init__(self, names: dict[str, Any], failed: dict[str, str], end: CheckerEnd) -> None:
        super().__init__({**names, "__name__": "__main__", "__builtins__": builtins})
        self.failed, self.end = failed, end

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            return getattr(builtins, name)
        if name.startswith("__"):
            raise KeyError(name)
        if name in self.failed:
            raise ImportError(self.failed[name])
        return self.end.request("name", name)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and self.end.request("defined", name) is True)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401


def import_names(statements: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Run import statements; the names they bind, and why each of those is missing that could not be imported."""
    names: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for statement in statements:
        try:
            exec(compile(statement, "<imports>", "exec", dont_inherit=True), names)
        except Exception as error:
            for alias in ast.parse(statement).body[0].names:  # type: ignore[attr-defined]
                failed[(alias.asname or alias.name).partition(".")[0]] = f"{statement!r} failed in the checker: {error}"
    names.pop("__builtins__", None)
    return names, failed


def run_test(source: str, namespace: Namespace) -> Any:
    """Run a test cell; the value of its last expression, as a notebook would show it."""
    if magic := re.search(r"^\s*([%!].*|.*\?)$", source, re.MULTILINE):
        try:
            ast.parse(source)
        except SyntaxError:
            raise SyntaxError(f"a test cell is plain Python, without magics such as {magic[0].split()[0]!r}") from None
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = ast.parse(source)
    parts: list[tuple[ast.Module | ast.Expression, str]] = [(tree, "exec")]
    if tree.body and isinstance(last := tree.body[-1], ast.Expr):
        del tree.body[-1]
        parts.append((ast.Expression(last.value), "eval"))
    value = None
    for part, mode in parts:
        code = compile(part, "<test>", mode, flags=flags, dont_inherit=True)
        value = eval(code, namespace)
        if code.co_flags & inspect.CO_COROUTINE:
            value = finish(value)
    return None if source.rstrip().endswith(";") else value


@contextlib.contextmanager
def _seeding(end: CheckerEnd, number: int) -> Iterator[None]:
    """Start from a known random state; let a test that seeds the global generators seed the submission's as well."""

    def seeding(original: Callable[..., Any], module: str) -> Callable[..., Any]:
        def seed(value: Any = None, *args: Any) -> Any:
            end.request("seed", module, original.__name__, value)
            return original(value, *args)

        return seed

    with contextlib.ExitStack() as stack:
        for module, function in _SEEDS:
            if module in sys.modules:
                original = getattr(sys.modules[module], function)
                original(number)
                stack.enter_context(mock.patch.object(sys.modules[module], function, seeding(original, module)))
        yield


def outcome(source: str, grade_id: str, namespace: Namespace) -> dict[str, Any]:
    """Run one test cell and say how it ended, in words for the student and without a line of the test."""
    trace, kind, error_type, message = "", "passed", "", ""
    points: float | None = None
    end = namespace.end
    try:
        with mock.patch.object(testing, "_submission", end), _seeding(end, testing.seed(grade_id)):
            result = run_test(source, namespace)
        if type(result) in (int, float) or isinstance(result, _numpy_numbers()):
            points = float(result)
    except SubmissionLostError as error:
        kind, error_type, message = "lost", "", str(error)
    except BaseException as error:
        kind, error_type = "error", type(error).__name__
        message, trace = str(error), getattr(error, "student_traceback", "")
        if trace:
            message = f"your code raised {error_type}: {message}"
        elif isinstance(error, AssertionError) or error_type == "Failed":  # the latter is pytest's
            kind, message = "failed", message or "a test failed (it has no message)"
        elif isinstance(error, WireError):
            message = f"the notebook's answer could not be read: {message}"
        elif not isinstance(error, _CLEAR):
            message += " (in the test, while it used your result: has that the type and shape which the text asks for?)"
    texts = {"message": message, "error_type": error_type, "student_traceback": trace}
    return {"kind": kind, "points": points, **{name: _printable(text) for name, text in texts.items()}}


def _printable(text: str) -> str:
    """Without control characters, lone surrogates and excessive length: the text may be the student's."""
    return _CONTROL.sub("", text)[:TEXT_LIMIT].encode("utf-8", "replace").decode()


def _numpy_numbers() -> tuple[type, ...]:
    numpy = sys.modules.get("numpy")
    return (numpy.integer, numpy.floating) if numpy else ()


def serve(connection: Connection, message_bytes: int, depth: int) -> None:
    """Run the test cells that come over `connection`, a JSON text each, until it closes.

    In: ["imports", [statements]], ["test", source, grade_id], ["reply", text], ["lost", why].
    Out: ["ready"] after the imports, ["ask", text] for the submission, ["outcome", {...}].
    """
    names: dict[str, Any] = {}
    failed: dict[str, str] = {}

    def exchange(text: str) -> str:
        connection.send_bytes(json.dumps(["ask", text]).encode())
        kind, reply = json.loads(connection.recv_bytes())
        if kind == "lost":
            raise SubmissionLostError(reply)
        return reply

    while True:
        try:
            kind, *rest = json.loads(connection.recv_bytes())
        except EOFError:
            return
        if kind == "imports":
            names, failed = import_names(*rest)
            connection.send_bytes(b'["ready"]')
        elif kind == "test":
            end = CheckerEnd(exchange, message_bytes=message_bytes, depth=depth)
            result = outcome(rest[0], rest[1], Namespace(names, failed, end))
            connection.send_bytes(json.dumps(["outcome", result]).encode())


class Process(Protocol):
    """What is used of `subprocess.Popen`."""

    def poll(self) -> int | None: ...
    def kill(self) -> None: ...
    def wait(self) -> int: ...


class Checker:
    """A checker process, seen from the worker that starts it. Its streams are closed and its session is its own.

    `start` returns at once, so that the checker's imports run while the kernel starts.
    """

    def __init__(self, connection: Connection, process: Process) -> None:
        self.connection, self.process, self.ready = connection, process, False

    @classmethod
    def start(
        cls,
        imports: list[str],
        *,
        seed: str = "",
        message_bytes: int,
        depth: int,
        fork: Callable[[list[str], Mapping[str, str], int], Process] | None = None,
    ) -> Checker:
        """Start a checker.

        Args:
            imports: the import statements of the locked cells.
            seed: the grader's private seed of the hidden tests' inputs.
            message_bytes, depth: the size of a message and the depth of a value that are taken from the submission.
            fork: makes the process of a warm one that has imported the modules; it gets the command, the environment
                and the descriptor of the connection. Without it, or if it raises OSError, a new program is started.
        """
        ours, theirs = socketpair()
        # -P: a file of the student's must not stand in for a module
        command = [sys.executable, "-P", "-m", __name__, str(message_bytes), str(depth)]
        environment = {**ENVIRONMENT, **os.environ, **({"LLMLABS_SEED": seed} if seed else {})}
        process: Process | None = None
        with theirs:
            if fork:
                with contextlib.suppress(OSError):
                    process = fork(command, environment, theirs.fileno())
            process = process or subprocess.Popen(
                command,
                env=environment,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        checker = cls(Connection(ours.detach()), process)
        checker.send("imports", imports)
        return checker

    def send(self, *message: Any) -> None:
        self.connection.send_bytes(json.dumps(message).encode())

    def wait_until_ready(self, seconds: float) -> None:
        """Wait for the imports.

        Raises:
            RuntimeError: if they do not end, which is not the student's fault.
        """
        try:
            self.ready = self.ready or self.receive(seconds) == ["ready"]
        except (TimeoutError, EOFError):
            raise RuntimeError("the checker did not start in time: what do the locked cells import?") from None

    def receive(self, seconds: float) -> list[Any]:
        """The next message.

        Raises:
            TimeoutError: if none comes in that time. EOFError: if the process is gone.
        """
        if not self.connection.poll(max(seconds, 0.0)):
            raise TimeoutError
        try:
            return json.loads(self.connection.recv_bytes())
        except ConnectionError:
            raise EOFError from None

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


def main(message_bytes: str, depth: str) -> None:
    """Be a checker; its standard input is the connection."""
    import resource  # not there on Windows, where this file is only imported

    connection = Connection(os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 2)  # until here, stderr told why a checker does not start
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    serve(connection, int(message_bytes), int(depth))


if __name__ == "__main__":
    # under its real name, not as __main__: the classes of a test are known by that module
    importlib.import_module("llmlabs.grade.checker").main(*sys.argv[1:])
