"""The wire between the checker (trusted) and the submission (not trusted).

Each process holds one `Endpoint`. A message is a JSON text; the checker never unpickles, evaluates or imports anything
that is in it.

- Immutable plain data (numbers, strings, bytes, tuples, slices, dtypes, ...) cross by value.
- Mutable plain data (lists, dicts, sets, arrays, tensors, random generators) cross by value once and are then *shared*:
  both ends keep their copy under one number, and every message carries the contents of those that changed since the
  last. So an argument changed in place, an array reached twice, or `layer.weight[0] += 1` in a test behave as they
  would in one process.
- Everything else stays where it is; the other end holds a `Proxy`, whose calls and attributes are messages.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import operator
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from llmlabs.grade.proxy import Info, Proxy, ask, describe, full_name, library_class, proxy_class
from llmlabs.grade.values import (
    BY_TAG,
    BY_TYPE,
    NAMED_TYPES,
    TYPE_NAMES,
    Shared,
    UnsendableError,
    Value,
    WireError,
    exact,
    learn,
)

Node = Any  # what JSON can hold
TEXT_LIMIT = 4_000  # characters of one message or traceback of the student's code
MAX_NODES = 2_000_000  # values in one message: more would exhaust the reader's memory long before the size limit


class SubmissionError(Exception):
    """The notebook's code ended by exit(), an interrupt or the like: no exception that a test could expect."""


class SubmissionLostError(BaseException):
    """The submission cannot be asked any more; not an `Exception`, so that no test catches it."""


def take(iterator: Iterator[Any], count: int) -> tuple[Any, ...]:
    return tuple(itertools.islice(iterator, count))


def finish(awaitable: Any) -> Any:
    """Run an awaitable to its end, in a thread of its own because this one may be inside an event loop."""

    async def wait() -> Any:
        return await awaitable

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, wait()).result()


def signature(function: Any) -> tuple[tuple[Any, ...], ...]:
    """Name, kind, default and annotation of each parameter; the last two in a tuple, empty where there is none."""
    empty = inspect.Parameter.empty
    return tuple(
        (p.name, int(p.kind), *(() if x is empty else (x,) for x in (p.default, p.annotation)))
        for p in inspect.signature(function).parameters.values()
    )


class Mirror:
    """A mutable value that both ends hold a copy of, and what it held when the ends last agreed."""

    __slots__ = ("number", "seen", "spec", "value")

    def __init__(self, number: int, value: Any, spec: Shared) -> None:
        self.number, self.value, self.spec, self.seen = number, value, spec, None

    def state(self) -> Any:
        parts = self.spec.parts(self.value)
        return parts if self.spec.container else hash(parts)

    def changed(self) -> bool:
        now = self.state()
        if not self.spec.container:
            return now != self.seen
        return self.seen is None or len(now) != len(self.seen) or not all(map(operator.is_, now, self.seen))


class Endpoint:
    """One end: what it shares with the other end, and how it asks and answers.

    Args:
        exchange: sends a text to the other end and returns the text that it sends next.
        operations: what the other end may ask for.
        message_bytes: the longest message; depth: the deepest nesting of a value.
    """

    operators_of: set[str] | None = None  # the classes whose proxies' operators may be used; None: all
    first_number = 1  # the submission numbers what it shares 1, 3, 5, ..., the checker 2, 4, 6, ...
    releases = False  # the checker decides when a shared value is no longer needed

    def __init__(
        self,
        exchange: Callable[[str], str],
        operations: Mapping[str, Callable[..., Any]],
        *,
        message_bytes: int,
        depth: int,
    ) -> None:
        self.exchange, self.operations, self.message_bytes, self.depth = exchange, operations, message_bytes, depth
        self.lock = threading.RLock()  # threads of the student's code may call back at the same time
        self.numbers = itertools.count(self.first_number, 2)
        self.mirrors: dict[int, Mirror] = {}
        self.number_of: dict[int, int] = {}  # id(value) -> number
        self.held: Counter[int] = Counter()  # id(value) -> how many containers' `seen` refer to it
        self.touched: list[Mirror] = []  # shared for the first time, or changed, by the message at hand
        self.exported: dict[int, Any] = {}  # objects of ours that the other end has proxies of
        self.handle_of: dict[int, int] = {}
        self.proxies: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.stand_ins: dict[int, type[BaseException]] = {}  # exception classes of the other end
        self.dropped: set[int] = set()  # proxies and mirrors that the other end may forget

    # what the two ends do differently

    def encode_object(self, value: Any) -> Node:
        """The node of a value that is not plain data."""
        return self.export(value)

    def named(self, module: str, name: str) -> Any:
        """What the other end refers to by its name in a library."""
        raise WireError("a reference to code was sent")

    def modes(self) -> Any:
        """The settings that a request should run under."""
        return None

    def perform(self, operation: str, args: list[Any], kwargs: dict[str, Any], modes: Any) -> Any:
        if operation not in self.operations:
            raise TypeError(f"{operation!r} of an object that the test made cannot be used by the notebook")
        return self.operations[operation](*args, **kwargs)

    def trace_of(self, error: BaseException) -> str:
        return ""

    # asking and answering

    def request(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        """Ask the other end; its requests that come in between are answered.

        Raises:
            Exception: what the operation raised there, as the same built-in type.
            UnsendableError: if an argument cannot cross. WireError: if no valid answer came.
        """
        with self.lock:
            kind, content = self.unpack(self.exchange(self.pack("request", (operation, args, kwargs, self.modes()))))
            while kind == "request":
                kind, content = self.unpack(self.exchange(self.answer(content)))
        if kind == "error":
            raise content
        return content

    def answer(self, request: Any) -> str:
        try:
            value = self.perform(*request)
            with self.lock:
                return self.pack("answer", value)
        except SubmissionLostError:
            raise
        except BaseException as error:
            return self.refuse(error)

    def refuse(self, error: BaseException) -> str:
        with self.lock:
            try:
                return self.pack("error", error)
            except UnsendableError as failure:  # a shared value was changed to something that cannot cross
                return self.pack("error", failure, changes=False)

    # messages: {"kind": request | answer | error, "content": ..., "changes": [[number, *parts]], "drop": [number]}

    def pack(self, kind: str, content: Any, *, changes: bool = True) -> str:
        changed = [mirror for mirror in self.mirrors.values() if changes and mirror.changed()]
        self.touched = []
        encoders: dict[str, Callable[[Any], Node]]
        encoders = {"request": self.encode_request, "answer": self.encode, "error": self.encode_error}
        try:
            body = {
                "kind": kind,
                "changes": [[mirror.number, *self.encode_parts(mirror, 0)] for mirror in changed],
                "content": encoders[kind](content),
                "drop": self.unused(),
            }
            text = json.dumps(body, separators=(",", ":"))
            if self.too_large(text):
                limit = f"{self.message_bytes:,} bytes or {MAX_NODES:,} values"
                raise UnsendableError(f"more than {limit} cannot cross at once, and this takes {len(text):,} bytes")
        except BaseException:
            for mirror in self.touched:  # the other end has never heard of these
                self.forget(mirror.number)
            raise
        self.dropped.clear()
        self.settle([*changed, *self.touched])
        return text

    def unpack(self, text: str) -> tuple[str, Any]:
        """The kind and content of a message, whoever wrote it.

        Raises:
            WireError: whatever is wrong with it.
        """
        self.touched = []
        try:
            if self.too_large(text):
                raise WireError("the message is too large")
            body = json.loads(text)
            for number, *parts in body["changes"]:
                mirror = self.mirrors[number]
                mirror.spec.fill(mirror.value, [self.decode(part) for part in parts])
                self.touched.append(mirror)
            kind = body["kind"]
            decode = {"request": self.decode_request, "answer": self.decode, "error": self.decode}[kind]
            content = decode(body["content"])
            if kind == "error" and not isinstance(content, BaseException):
                raise WireError("an error without an error")
            for number in body["drop"]:
                self.forget(number)
        except Exception as error:  # RecursionError and MemoryError among them
            raise WireError(f"{type(error).__name__}: {str(error)[:200]}") from None
        finally:
            self.settle(self.touched)
        return kind, content

    def too_large(self, text: str) -> bool:
        return len(text) > self.message_bytes or sum(map(text.count, "[{,")) > MAX_NODES

    def encode_request(self, request: tuple[str, Iterable[Any], Mapping[str, Any], Any]) -> Node:
        operation, args, kwargs, modes = request
        return [
            operation,
            [self.encode(arg) for arg in args],
            {name: self.encode(arg) for name, arg in kwargs.items()},
            modes,
        ]

    def decode_request(self, node: Node) -> tuple[str, list[Any], dict[str, Any], Any]:
        operation, args, kwargs, modes = node
        return (
            operation,
            [self.decode(arg) for arg in args],
            {name: self.decode(arg) for name, arg in kwargs.items()},
            modes,
        )

    # shared values

    def share(self, number: int, value: Any, spec: Shared) -> Mirror:
        mirror = self.mirrors[number] = Mirror(number, value, spec)
        self.number_of[id(value)] = number
        self.touched.append(mirror)
        return mirror

    def settle(self, mirrors: list[Mirror]) -> None:
        """Note what these hold now as known to both ends."""
        for mirror in mirrors:
            self.hold(mirror, -1)
            mirror.seen = mirror.state()
            self.hold(mirror, +1)

    def hold(self, mirror: Mirror, count: int) -> None:
        if mirror.spec.container and mirror.seen is not None:
            for item in mirror.seen:
                if id(item) in self.number_of:
                    self.held[id(item)] += count

    def forget(self, number: int) -> None:
        if number < 0:
            self.handle_of.pop(id(self.exported.pop(number, None)), None)
        elif mirror := self.mirrors.pop(number, None):
            self.hold(mirror, -1)
            del self.number_of[id(mirror.value)]
            self.held.pop(id(mirror.value), None)

    def unused(self) -> list[int]:
        """What the other end may forget: proxies that are gone, shared values that only this table still refers to."""
        if self.releases:
            for number, mirror in list(self.mirrors.items()):
                # two references are the mirror's own and getrefcount's argument
                if sys.getrefcount(mirror.value) - 2 <= self.held[id(mirror.value)] and not _aliased(mirror.value):
                    self.forget(number)
                    self.dropped.add(number)
        return list(self.dropped)

    def export(self, value: Any) -> Node:
        """A handle (a negative number) by which the other end can refer to an object of ours."""
        handle = self.handle_of.setdefault(id(value), -next(self.numbers))
        self.exported[handle] = value
        if isinstance(value, type) and issubclass(value, BaseException):
            return ["exception", handle, value.__name__[:100], [full_name(base) for base in value.__mro__]]
        return ["proxy", handle, *describe(value)]

    # values

    def encode(self, value: Any, depth: int = 0) -> Node:
        kind = type(value)
        if value is None or kind is bool or kind is str or kind is float:
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**63 else ["int", hex(value)]
        if depth > self.depth:
            raise UnsendableError(f"a value nested deeper than {self.depth} levels cannot cross")
        if id(value) in self.number_of:
            return ["ref", self.number_of[id(value)]]
        spec = BY_TYPE.get(kind)
        if isinstance(spec, Value):
            parts = spec.parts(value)
            return [spec.tag, *(parts if spec.tag == "bytes" else [self.encode(part, depth + 1) for part in parts])]
        if isinstance(spec, Shared):
            mirror = self.share(next(self.numbers), value, spec)
            extra = [self.encode(spec.extra(value), depth + 1)] if spec.container else []
            return [spec.tag, mirror.number, *extra, *self.encode_parts(mirror, depth)]
        if isinstance(value, Proxy) and value._wire[0] is self:
            return ["yours", value._wire[1]]
        if learn(kind.__module__.partition(".")[0]):
            return self.encode(value, depth)
        if isinstance(value, type):
            if value in TYPE_NAMES:
                return ["type", TYPE_NAMES[value]]
            if value in self.stand_ins.values():
                return ["yours", vars(value)["_handle"]]
        return self.encode_object(value)

    def encode_parts(self, mirror: Mirror, depth: int) -> list[Node]:
        return [self.encode(part, depth + 1) for part in mirror.spec.parts(mirror.value)]

    def decode(self, node: Node, depth: int = 0) -> Any:
        if node is None or type(node) in (bool, int, float, str):
            return node
        if type(node) is not list or not node or type(node[0]) is not str or depth > self.depth + 4:
            raise WireError("a value is malformed or nested too deep")
        tag, *rest = node
        if tag in _DECODERS:
            return _DECODERS[tag](self, *rest)
        if tag not in BY_TAG:
            learn(tag.partition(".")[0])
        spec = BY_TAG[tag]
        if isinstance(spec, Value):
            return spec.build(*(rest if tag == "bytes" else [self.decode(part, depth + 1) for part in rest]))
        number, *rest = rest
        if type(number) is not int or number <= 0 or number % 2 == self.first_number % 2 or number in self.mirrors:
            raise WireError("a number was used twice")
        if not spec.container:
            return self.share(number, spec.make(*(self.decode(part, depth + 1) for part in rest)), spec).value
        value = spec.make(self.decode(rest[0], depth + 1))
        self.share(number, value, spec)  # before its items, which may refer to it
        spec.fill(value, [self.decode(part, depth + 1) for part in rest[1:]])
        return value

    def decode_named_type(self, name: str) -> type:
        learn(name.partition(".")[0])
        return NAMED_TYPES[name]

    def decode_proxy(self, handle: int, name: str, dunders: Any, bases: Any, own: Any) -> Any:
        self.dropped.discard(handle)
        proxy = self.proxies.get(handle)
        if proxy is None:
            exact(int, handle)
            exact(str, name)
            info = Info(name, exact(str, *dunders), exact(str, *bases), own and exact(str, *own))
            proxy = self.proxies[handle] = object.__new__(proxy_class(info.name, info.dunders))
            object.__setattr__(proxy, "_wire", (self, handle, info))
            weakref.finalize(proxy, self.dropped.add, handle)
        return proxy

    def decode_exception(self, handle: int, name: str, bases: Any) -> type[BaseException]:
        """A class of exceptions: a library's own if this process has it, else a stand-in that `except` can name."""
        if handle not in self.stand_ins:
            base = library_class(exact(str, *bases), Exception) or SubmissionError
            if full_name(base) == bases[0]:
                return base
            fields = {"__module__": "submission", "_handle": handle, "__getattr__": _field_of_error}
            exact(str, name)
            self.stand_ins[handle] = type(name, (base,), fields)
        return self.stand_ins[handle]

    # errors

    def encode_error(self, error: BaseException) -> Node:
        if "_origin" in vars(error):  # it came from the other end and only passed through
            return self.encode(vars(error)["_origin"])
        if not isinstance(error, Exception):
            text = f"it ended with {type(error).__name__}: an interrupt, or a call of exit()"
            return ["error", ["type", "SystemExit"], ["tuple"], text, self.trace_of(error), 0]
        try:
            text = str(error)[:TEXT_LIMIT]
        except Exception as failure:
            text = f"(its text cannot be read: {type(failure).__name__})"
        plain = all(arg is None or type(arg) in (bool, int, float, str, bytes) for arg in error.args)
        args = self.encode(error.args if plain and len(str(error.args)) < TEXT_LIMIT else (text,))
        handle = self.export(error)[1]
        return ["error", self.encode(type(error)), args, text, self.trace_of(error)[-TEXT_LIMIT:], handle]

    def decode_error(self, kind: Node, args: Node, text: str, trace: str, handle: int) -> BaseException:
        cls = self.decode(kind)
        exact(str, text, trace)
        if not (isinstance(cls, type) and issubclass(cls, Exception)):
            cls = SubmissionError
        error = _rebuilt(cls, self.decode(args), text)
        vars(error)["student_traceback"] = trace
        if handle:
            vars(error)["_origin"] = self.decode_proxy(handle, cls.__name__, (), (), None)
        return error


def _rebuilt(cls: type[Exception], args: tuple[Any, ...], text: str) -> Exception:
    """An exception of class `cls` that prints as `text`; a library's own `__init__` is not run: it may need more."""
    plain = all(base.__module__ == "builtins" or "__init__" not in vars(base) for base in cls.__mro__)
    try:
        error = cls(*args) if plain else cls.__new__(cls, *args)
        if str(error) != text:
            error.args = (text,)
            str(error)
    except Exception:
        return next(base for base in cls.__mro__ if base.__module__ == "builtins")(text)
    return error


def _field_of_error(error: BaseException, name: str) -> Any:
    """A field that the student gave to an exception of their own class."""
    if name.startswith("_") or "_origin" not in vars(error):
        raise AttributeError(f"{type(error).__name__!r} object has no attribute {name!r}")
    return ask(vars(error)["_origin"], "getattr", name)


def _aliased(value: Any) -> bool:
    """Whether a tensor's memory is also used by another tensor, which its reference count does not show."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return False
    return torch._C._storage_Use_Count(value.untyped_storage()._cdata) > 2  # the tensor's own and the storage object's


_DECODERS: dict[str, Callable[..., Any]] = {
    "int": lambda end, text: int(text, 16),
    "ref": lambda end, number: end.mirrors[number].value,
    "yours": lambda end, handle: end.exported[handle],
    "named": lambda end, module, name: end.named(module, name),
    "type": Endpoint.decode_named_type,
    "proxy": Endpoint.decode_proxy,
    "exception": Endpoint.decode_exception,
    "error": Endpoint.decode_error,
}
