"""The submission's end of the wire: runs in the student's kernel, does what tests ask, and knows nothing of the tests.

The student's code can read and change everything here. It can only make its own answers wrong: what they mean is
decided by the checker, which takes them for plain data or for objects that it does not trust.
"""

from __future__ import annotations

import builtins
import copy
import importlib
import linecache
import operator
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from llmlabs.grade.proxy import BINARY
from llmlabs.grade.values import WireError
from llmlabs.grade.wire import Endpoint, finish, signature, take

NOT_DEFINED = "the notebook does not define `{0}`: did the cell that defines it run?"
IMPORTED = "`{0}` was imported from {1} by the notebook's own cells: the test, or a locked cell, must import it"


def name(wanted: str) -> Any:
    """The value of a name that the notebook defines; what it only imported, the test must get from a trusted place."""
    names = get_namespace()
    if wanted not in names:
        raise NameError(NOT_DEFINED.format(wanted))
    value = names[wanted]
    if source := imported_from(value):
        raise NameError(IMPORTED.format(wanted, source))
    return value


def imported_from(value: Any) -> str:
    """The library that a module, function or class is from; "" for anything else."""
    if isinstance(value, ModuleType):
        return value.__name__
    source, own_name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if source in (None, "__main__") or not isinstance(own_name, str):
        return ""
    return source if getattr(sys.modules.get(source), own_name, None) is value else ""


def library(module: str, path: str) -> Any:
    value: Any = importlib.import_module(module)
    return operator.attrgetter(path)(value) if path else value


def set_seed(module: str, function: str, number: int) -> None:
    if module in sys.modules:
        getattr(sys.modules[module], function)(number)


def leave(context: Any, error: BaseException | None) -> Any:
    kind, trace = (type(error), error.__traceback__) if error else (None, None)
    return type(context).__exit__(context, kind, error, trace)


def _call(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda right, left: function(left, right)


OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: function for name, function in vars(operator).items() if name.startswith("__") and callable(function)},
    **{f.__name__: f for f in (getattr, setattr, delattr, dir, repr, str, format, bool)},
    **{f"__{f.__name__}__": f for f in (len, next, iter, reversed, int, float, complex, round, divmod)},
    "__call__": _call,
    "__enter__": lambda context: type(context).__enter__(context),
    "__exit__": leave,
    "__await__": finish,
    "__instancecheck__": lambda cls, value: isinstance(value, cls),
    "__subclasscheck__": lambda cls, value: issubclass(value, cls),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "take": take,
    "signature": signature,
    "name": name,
    "defined": lambda wanted: wanted in get_namespace(),
    "seed": set_seed,
}
OPERATIONS |= {f"__r{n}__": _reflected(OPERATIONS[f"__{n}__"]) for n in BINARY}


class Submission(Endpoint):
    """Answers the checker's requests in the student's kernel."""

    def named(self, module: str, path: str) -> Any:
        return library(module, path)

    def perform(self, operation: str, args: list[Any], kwargs: dict[str, Any], modes: Any) -> Any:
        torch = sys.modules.get("torch")
        if torch is None or not modes:
            return super().perform(operation, args, kwargs, modes)
        before = torch.get_default_dtype()
        torch.set_default_dtype(getattr(torch, modes[1]))
        try:
            with torch.set_grad_enabled(modes[0]):
                return super().perform(operation, args, kwargs, modes)
        finally:
            torch.set_default_dtype(before)

    def trace_of(self, error: BaseException) -> str:
        """The frames of the student's cells, with their lines."""
        lines, trace, names = [], error.__traceback__, get_namespace()
        while trace is not None:
            frame = trace.tb_frame
            if frame.f_globals is names:
                line = linecache.getline(frame.f_code.co_filename, trace.tb_lineno).strip()
                lines.append(f"line {trace.tb_lineno}, in {frame.f_code.co_name}: {line}")
            trace = trace.tb_next
        return "\n".join(lines)


def get_namespace() -> dict[str, Any]:
    from IPython.core.getipython import get_ipython

    return get_ipython().user_ns  # type: ignore[union-attr]


def _no_input(prompt: object = "") -> str:
    raise EOFError("there is nobody at the keyboard: input() cannot be used in graded code")


def begin(seconds: float) -> None:
    """Make the kernel ready for cells and tests, once a first message on the stdin channel has come.

    Before that the kernel does not know the other end of the channel, and zmq drops in silence what it sends there.

    Raises:
        TimeoutError: if none comes in time.
    """
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    shell.unobserve_all("exit_now")  # `exit()` would stop the kernel 0.1 s later: how many cells still run is chance
    if not shell.kernel.stdin_socket.poll(int(seconds * 1000)):
        raise TimeoutError("the stdin channel did not connect")


def serve(message_bytes: int, depth: int) -> None:
    """Answer requests until an empty one comes.

    Messages go over the kernel's stdin channel: a request is the reply to an `input()` prompt, whose text is the last
    answer. The first line of each is a token that the other side chose for this exchange.
    """
    from IPython.core.getipython import get_ipython

    kernel = get_ipython().kernel  # type: ignore[union-attr]
    builtins.input = _no_input  # ipykernel puts its own back after the cell
    token = "ready"
    over = False

    def exchange(text: str) -> str:
        nonlocal token
        if over:
            raise RuntimeError("the test that this object belongs to is over")
        token, _, request = kernel.raw_input(f"{token}\n{text}").partition("\n")
        return request

    end = Submission(exchange, OPERATIONS, message_bytes=message_bytes, depth=depth)
    text = ""
    try:
        while True:
            with end.lock:
                message = exchange(text)
                if not message:
                    return
                try:
                    _, request = end.unpack(message)
                except WireError as error:  # a library that the test needs is not installed here
                    text = end.refuse(error)
                    continue
            text = end.answer(request)
    finally:
        over = True
