"""Proxies: what stands in one process for an object of the other.

A proxy's calls and attributes are messages. Its operators would run the student's code with the test's values, so the
checker refuses them unless a test allows them for a class; it decides itself what is equal, true or contained.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from llmlabs.grade.values import UnsendableError

if TYPE_CHECKING:
    from llmlabs.grade.wire import Endpoint


class OpaqueError(TypeError):
    """A test treated an object of the notebook as if it were plain data."""


BINARY = tuple("add sub mul truediv floordiv mod pow matmul and or xor lshift rshift divmod".split())  # noqa: SIM905
_OPERATORS = (
    "lt",
    "le",
    "gt",
    "ge",
    "neg",
    "pos",
    "abs",
    "invert",
    *(f"{x}{n}" for x in ("", "r", "i") for n in BINARY),
)
# special methods that only hand over the object's own data
_DATA = "len getitem setitem delitem next reversed int float complex round index call enter instancecheck subclasscheck"
# the only other names with double underscores that cross; __array_interface__, for one, would point into our memory
_REMOTE = {"__name__", "__qualname__", "__doc__", "__dict__", "__annotations__", "__module__", "__members__"}
# methods of arrays and tensors that compare: an object with such a method would be the judge of its own value
_COMPARISONS = {"allclose", "array_equal", "eq", "equal", "equals", "isclose", "ne"}
_LOCAL = {"_wire", "__hash__", "__copy__", "__deepcopy__", "__reduce_ex__", "__dir__", "__mro_entries__"}
_OPAQUE = "the notebook gave an object of type {!r} where plain data is needed (a number, text, list, array or tensor)"


class Info(NamedTuple):
    """What a proxy knows of its object without asking: its type's name, special methods and bases; a class's own."""

    name: str
    dunders: tuple[str, ...]
    bases: tuple[str, ...]
    own: tuple[str, ...] | None


def full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"[:200]


def describe(value: Any) -> Info:
    cls = type(value)
    dunders = [name for name in METHODS if getattr(cls, name, None) is not None]
    if cls.__eq__ is not object.__eq__:  # type: ignore[comparison-overlap]
        dunders.append("__eq__")
    own = tuple(full_name(base) for base in value.__mro__) if isinstance(value, type) else None
    return Info(cls.__name__[:100], tuple(dunders), tuple(full_name(base) for base in cls.__mro__), own)


def library_class(names: tuple[str, ...], kind: type = object) -> type | None:
    """The first named subclass of `kind` that this process has already loaded from a library: nothing is imported."""
    for name in names:
        module, _, attribute = name.rpartition(".")
        found = getattr(sys.modules.get(module), "__dict__", {}).get(attribute)
        if isinstance(found, type) and issubclass(found, kind) and not module.startswith(("__main__", "llmlabs.grade")):
            return found
    return None


def claimed_class(names: tuple[str, ...]) -> type | None:
    """The class that `isinstance` may take a proxy for: one written in Python, such as torch.nn.Linear.

    Libraries written in C trust `isinstance`, and read the memory of what claims to be a tensor as a tensor's.
    """
    found = library_class(names)
    if found is None or found.__basicsize__ - (8 if found.__weakrefoffset__ > 0 else 0) > object.__basicsize__:
        return None
    heap_type = 1 << 9  # Py_TPFLAGS_HEAPTYPE; with the size above, an object that has no fields in C
    return found if all(base.__flags__ & heap_type for base in found.__mro__[:-1]) and found is not object else None


class Proxy:
    """Stands for an object of the other process; its own type has the special methods that `describe` found."""

    __slots__ = ("__weakref__", "_wire")
    __array_ufunc__ = None  # NumPy's operators leave the decision to ours
    _wire: tuple[Endpoint, int, Info]

    def __getattribute__(self, name: str) -> Any:
        if name in _LOCAL or name in METHODS:
            return object.__getattribute__(self, name)
        if name == "__class__":
            return claimed_class(self._wire[2].bases) or type(self)
        if name == "__signature__":
            return _signature(ask(self, "signature"))
        if name in ("__array__", "__array_function__", "__torch_function__"):
            raise opaque(self)
        if name.startswith("__") and name.endswith("__") and name not in _REMOTE:
            raise AttributeError(f"{self._wire[2].name!r} object of the other process has no attribute {name!r}")
        if name in _COMPARISONS and not allowed(self):
            raise opaque(self, f"compare with torch.equal(a, b) or the like, not with its own method {name!r}")
        return ask(self, "getattr", name)

    def __setattr__(self, name: str, value: Any) -> None:
        ask(self, "setattr", name, value)

    def __delattr__(self, name: str) -> None:
        ask(self, "delattr", name)

    def __dir__(self) -> Any:
        return ask(self, "dir")

    def __repr__(self) -> str:
        return ask(self, "repr")

    def __str__(self) -> str:
        return ask(self, "str")

    def __format__(self, spec: str) -> str:
        return ask(self, "format", spec)

    def __hash__(self) -> int:
        return self._wire[1]

    def __bool__(self) -> bool:
        if not allowed(self):
            raise opaque(self, "its truth was asked for; use `is None`, or read plain data from it")
        return ask(self, "bool")

    def __eq__(self, other: object) -> Any:
        """False for plain data, whatever the object says: what equals everything must not pass for a number."""
        if self is other or "__eq__" not in self._wire[2].dunders:
            return self is other
        if allowed(self):
            return ask(self, "__eq__", other)
        if isinstance(other, Proxy):
            raise opaque(self, "it was compared with another one; compare their fields, or see allow_operators()")
        return False

    def __ne__(self, other: object) -> Any:
        if self is not other and "__eq__" in self._wire[2].dunders and allowed(self):
            return ask(self, "__ne__", other)
        return not self == other

    def __copy__(self) -> Any:
        return ask(self, "copy")

    def __deepcopy__(self, memo: Any) -> Any:
        return ask(self, "deepcopy")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise UnsendableError(f"an object of the notebook (a {self._wire[2].name}) cannot be pickled")

    def __mro_entries__(self, bases: Any) -> Any:
        raise UnsendableError("a test cannot derive from a class of the notebook")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise opaque(self)

    def __array_function__(self, *args: Any) -> Any:
        raise opaque(self)

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, *args: Any) -> Any:
        raise OpaqueError(_OPAQUE.format(next(kind.__name__ for kind in types if issubclass(kind, Proxy))))


def opaque(proxy: Proxy, why: str = "") -> OpaqueError:
    return OpaqueError(_OPAQUE.format(proxy._wire[2].name) + (f": {why}" if why else ""))


def ask(proxy: Proxy, operation: str, *args: Any, **kwargs: Any) -> Any:
    try:
        return proxy._wire[0].request(operation, proxy, *args, **kwargs)
    except (StopIteration, StopAsyncIteration, GeneratorExit) as error:
        # as itself it would silently end a loop, a map or a zip of the test, and with it the test
        if operation not in ("next", "__next__", "__anext__"):
            raise RuntimeError(f"your code raised {type(error).__name__}: {error}") from error
        raise


def allowed(proxy: Proxy) -> bool:
    """Whether the proxy's operators may run the other end's code."""
    trusted = proxy._wire[0].operators_of
    return trusted is None or not trusted.isdisjoint(proxy._wire[2].bases)


def _free(operation: str) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: ask(self, operation, *args, **kwargs)


def _guarded(operation: str) -> Callable[..., Any]:
    def method(self: Proxy, *args: Any) -> Any:
        if not allowed(self):
            raise opaque(self, f"{operation} is an operator of the notebook's own class; see allow_operators()")
        return ask(self, operation, *args)

    return method


def _iterate(self: Any) -> Iterator[Any]:
    """A sized collection comes in chunks, what may be lazy or endless one by one."""
    if "__next__" in self._wire[2].dunders:
        return self

    def items(size: int) -> Iterator[Any]:
        iterator, chunk = ask(self, "__iter__"), [None] * size
        while len(chunk) == size:
            chunk = self._wire[0].request("take", iterator, size)
            yield from chunk

    return items(32 if "__len__" in self._wire[2].dunders else 1)


def _contains(self: Any, item: Any) -> bool:
    return ask(self, "__contains__", item) if allowed(self) else any(x is item or x == item for x in self)


def _await(self: Any) -> Iterator[Any]:
    yield from ()
    return ask(self, "__await__")


METHODS: dict[str, Callable[..., Any]] = {
    **{f"__{name}__": _free(f"__{name}__") for name in _DATA.split()},
    **{f"__{name}__": _guarded(f"__{name}__") for name in _OPERATORS},
    "__iter__": _iterate,
    "__contains__": _contains,
    "__exit__": lambda self, kind, error, trace: ask(self, "__exit__", error),
    "__await__": _await,
}


@lru_cache(1000)
def proxy_class(name: str, dunders: tuple[str, ...]) -> type[Proxy]:
    methods = {dunder: METHODS[dunder] for dunder in dunders if dunder in METHODS}
    return type(name, (Proxy,), {"__slots__": (), "__module__": "submission", **methods})


def _signature(parts: Any) -> inspect.Signature:
    empty = inspect.Parameter.empty
    return inspect.Signature(
        [
            inspect.Parameter(
                name,
                inspect._ParameterKind(kind),
                default=default[0] if default else empty,
                annotation=annotation[0] if annotation else empty,
            )
            for name, kind, default, annotation in parts
        ]
    )
