"""How values cross between the checker (trusted) and the submission (not trusted).

Each process holds one `Endpoint`. A message is a JSON text; nothing in it is ever unpickled, evaluated or imported by the checker.

- Immutable plain data (numbers, strings, bytes, tuples, slices, dtypes, ...) cross by value.
- Mutable plain data (lists, dicts, sets, arrays, tensors, random generators) cross by value once and are then *shared*: both ends
  keep their copy under one number, and every message carries the contents of those that changed since the last. So an argument
  changed in place, an array reached twice, or `layer.weight[0] += 1` in a test behave as they would in one process.
- Everything else stays where it is; the other end holds a `Proxy`, whose calls and attributes are messages.

What arrives is of exactly the plain type it claims to be: a number that equals everything cannot be sent. The operators of a proxy
would run the student's code with the test's values, so the checker refuses them unless a test allows them for a class.
"""

from __future__ import annotations

import base64
import inspect
import itertools
import json
import math
import operator
import re
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

Node = Any  # what JSON can hold
TEXT_LIMIT = 4_000  # characters of one message or traceback of the student's code
MAX_NODES = 5_000_000  # values in one message: more would exhaust the reader's memory long before the size limit


class WireError(Exception):
    """The other end sent something that is not a valid message."""


class Unsendable(TypeError):
    """A value cannot cross to the other end."""


class OpaqueError(TypeError):
    """A test treated an object of the notebook as if it were plain data."""


class SubmissionError(Exception):
    """The notebook's code ended by exit(), an interrupt or the like: no exception that a test could expect."""


class Lost(BaseException):
    """The submission cannot be asked any more; not an `Exception`, so that no test catches it."""


# --- plain data ---------------------------------------------------------------------------------------------------------


class Value(NamedTuple):
    """An immutable type: its name on the wire, how to take a value apart and how to build it again."""

    tag: str
    cls: type
    parts: Callable[[Any], tuple[Any, ...]]
    build: Callable[..., Any]


class Shared(NamedTuple):
    """A mutable type. Containers are compared element by element with `is`, others by a hash of `parts`.

    `make(extra)` gives an empty container, `make(*parts)` anything else; `fill(value, parts)` changes a value in place.
    """

    tag: str
    cls: type
    parts: Callable[[Any], Any]
    make: Callable[..., Any]
    fill: Callable[[Any, Any], None]
    container: bool = False
    extra: Callable[[Any], Any] = lambda value: None


def _exact(kind: type, *values: Any) -> tuple[Any, ...]:
    if any(type(value) is not kind for value in values):
        raise WireError(f"expected {kind.__name__}")
    return values


def _flat(mapping: Mapping[Any, Any]) -> list[Any]:
    return list(itertools.chain.from_iterable(mapping.items()))


def _fill_list(value: Any, parts: list[Any]) -> None:
    value[:] = parts


def _fill_set(value: Any, parts: list[Any]) -> None:
    value.clear()
    value.update(parts)


def _fill_deque(value: Any, parts: list[Any]) -> None:
    value.clear()
    value.extend(parts)


def _fill_dict(value: Any, parts: list[Any]) -> None:
    value.clear()
    for key, item in zip(parts[::2], parts[1::2], strict=True):
        value[key] = item


def _random(state: Any) -> Random:
    rng = Random()
    rng.setstate(state)
    return rng


BY_TYPE: dict[type, Value | Shared] = {}
BY_TAG: dict[str, Value | Shared] = {}
NAMED_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, object, slice, range)
} | {
    error.__name__: error
    for error in vars(sys.modules["builtins"]).values()
    if isinstance(error, type) and issubclass(error, BaseException)
}
TYPE_NAMES: dict[type, str] = {kind: name for name, kind in NAMED_TYPES.items()}


def register(*specs: Value | Shared) -> None:
    for spec in specs:
        BY_TYPE[spec.cls] = BY_TAG[spec.tag] = spec


register(
    Value("complex", complex, lambda v: (v.real, v.imag), lambda re, im: complex(*_exact(float, re, im))),
    Value("bytes", bytes, lambda v: (base64.b64encode(v).decode(),), lambda text: base64.b64decode(text, validate=True)),
    Value("ellipsis", type(...), lambda v: (), lambda: ...),
    Value("slice", slice, lambda v: (v.start, v.stop, v.step), slice),
    Value("range", range, lambda v: (v.start, v.stop, v.step), range),
    Value("tuple", tuple, tuple, lambda *items: items),
    Value("frozenset", frozenset, tuple, lambda *items: frozenset(items)),
    Value("decimal", Decimal, lambda v: (str(v),), lambda text: Decimal(*_exact(str, text))),
    # the parts are checked because Fraction("1e999999999") would compute for hours
    Value("fraction", Fraction, lambda v: (v.numerator, v.denominator), lambda n, d: Fraction(*_exact(int, n, d))),
    Value("date", date, lambda v: (v.isoformat(),), date.fromisoformat),
    Value("time", time, lambda v: (v.isoformat(),), time.fromisoformat),
    Value("datetime", datetime, lambda v: (v.isoformat(),), datetime.fromisoformat),
    Value("timedelta", timedelta, lambda v: (v.days, v.seconds, v.microseconds), timedelta),
    Value("timezone", timezone, lambda v: (v.utcoffset(None),), timezone),
    Value("path", type(Path()), lambda v: (str(v),), Path),
    Shared("list", list, list, lambda extra: [], _fill_list, True),
    Shared("dict", dict, _flat, lambda extra: {}, _fill_dict, True),
    Shared("odict", OrderedDict, _flat, lambda extra: OrderedDict(), _fill_dict, True),
    Shared("counter", Counter, _flat, lambda extra: Counter(), _fill_dict, True),
    Shared("ddict", defaultdict, _flat, defaultdict, _fill_dict, True, lambda v: v.default_factory),
    Shared("set", set, list, lambda extra: set(), _fill_set, True),
    Shared("deque", deque, list, lambda extra: deque(maxlen=extra), _fill_deque, True, lambda v: v.maxlen),
    Shared("bytearray", bytearray, lambda v: (bytes(v),), bytearray, lambda v, parts: _fill_list(v, parts[0])),
    Shared("random", Random, lambda v: (v.getstate(),), _random, lambda v, parts: v.setstate(parts[0])),
)

# kinds of plain data only: no objects, no void, at most 10^6 characters in a string
_DTYPE = re.compile(r"[<>|](b1|[iu][1248]|f(2|4|8|16)|c(8|16|32)|[mM]8(\[\d{0,9}[a-zA-Zμ]{1,7}\])?|[SU][1-9]\d{0,5})")


def register_numpy() -> None:
    """Teach the wire NumPy's arrays, scalars, dtypes and random generators."""
    import numpy as np

    def name_of(dtype: np.dtype[Any]) -> Any:
        if dtype.names is None:
            name = dtype.str.replace("S0", "S1").replace("U0", "U1")
        else:
            name = tuple((field, name_of(dtype[field])) for field in dtype.names)
        if build_dtype(name) != dtype and dtype.itemsize:
            raise Unsendable(f"an array of dtype {dtype} cannot cross: only numbers, booleans, dates and text can")
        return name

    def build_dtype(name: Any) -> np.dtype[Any]:
        if type(name) is str and _DTYPE.fullmatch(name):
            return np.dtype(name)
        if type(name) is tuple and name:
            return np.dtype([(str(field), build_dtype(part)) for field, part in name])
        raise Unsendable(f"dtype {name!r} cannot cross: only numbers, booleans, dates and text can")

    def parts(array: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        name = name_of(array.dtype)
        return name, array.shape, array.astype(build_dtype(name), copy=False).tobytes(), bool(array.flags.writeable)

    def build(name: Any, shape: Any, data: Any, writeable: Any = True) -> np.ndarray[Any, Any]:
        array = np.frombuffer(bytearray(*_exact(bytes, data)), build_dtype(name)).reshape(_exact(int, *shape))
        for field in (array[f] for f in array.dtype.names) if array.dtype.names else (array,):
            if field.dtype == np.bool_:
                field[...] = field.view(np.uint8) != 0  # a boolean that is neither 0 nor 1 equals nothing, not even itself
        array.flags.writeable = writeable is True
        return array

    def fill(array: np.ndarray[Any, Any], new: Any) -> None:
        other = build(*new)
        if (other.dtype, other.shape) != (array.dtype, array.shape):
            raise WireError(f"an array of shape {array.shape} and dtype {array.dtype} was reshaped in place")
        array[...] = other

    def build_rng(name: Any, state: Any) -> np.random.Generator:
        rng = np.random.Generator({"PCG64": np.random.PCG64, "PCG64DXSM": np.random.PCG64DXSM}[name]())
        rng.bit_generator.state = json.loads(state)
        return rng

    def rng_parts(rng: np.random.Generator) -> tuple[str, str]:
        state = dict(rng.bit_generator.state)
        if not str(state["bit_generator"]).startswith("PCG64"):
            raise Unsendable("of NumPy's generators only those of numpy.random.default_rng can cross")
        return str(state["bit_generator"]), json.dumps(state)

    def fill_rng(rng: np.random.Generator, new: Any) -> None:
        rng.bit_generator.state = json.loads(new[1])

    def legacy_parts(rng: np.random.RandomState) -> tuple[Any, ...]:
        name, keys, *rest = rng.get_state()
        return (name, np.asarray(keys).tobytes(), *rest)

    def fill_legacy(rng: np.random.RandomState, new: Any) -> None:
        rng.set_state((new[0], np.frombuffer(new[1], np.uint32), *new[2:]))

    def build_legacy(*new: Any) -> np.random.RandomState:
        rng = np.random.RandomState()
        fill_legacy(rng, new)
        return rng

    register(
        Shared("numpy.array", np.ndarray, parts, build, fill),
        Shared("numpy.rng", np.random.Generator, rng_parts, build_rng, fill_rng),
        Shared("numpy.legacy", np.random.RandomState, legacy_parts, build_legacy, fill_legacy),
    )
    scalar = Value("numpy.scalar", np.generic, lambda v: parts(np.asarray(v))[::2], lambda n, b: build(n, (), b)[()])
    dtype = Value("numpy.dtype", np.dtype, lambda v: (name_of(v),), build_dtype)
    BY_TAG.update({"numpy.scalar": scalar, "numpy.dtype": dtype})
    BY_TYPE.update(dict.fromkeys({*np.sctypeDict.values()} - {np.object_}, scalar))
    BY_TYPE.update({kind: dtype for kind in {*vars(np.dtypes).values()} if isinstance(kind, type)})
    NAMED_TYPES.update({f"numpy.{kind.__name__}": kind for kind in {*np.sctypeDict.values(), np.generic}})
    TYPE_NAMES.update({kind: name for name, kind in NAMED_TYPES.items()})


def register_torch() -> None:
    """Teach the wire PyTorch's tensors, parameters, dtypes, devices, sizes and generators. Tensors arrive on the CPU."""
    import torch

    dtypes = {
        str(dtype).removeprefix("torch."): dtype
        for dtype in vars(torch).values()
        if isinstance(dtype, torch.dtype) and not str(dtype).startswith(("torch.q", "torch.bits", "torch.float4"))
    }
    names = {dtype: name for name, dtype in dtypes.items()}

    class Foreign(torch.autograd.Function):
        """Marks a tensor that another process computed: it requires a gradient that this process cannot give."""

        @staticmethod
        def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
            return tensor.view_as(tensor)

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> Any:
            raise RuntimeError(
                "backward() cannot cross from the test into the notebook's code: use gradient_of() or "
                "parameter_gradients() of llmlabs.lab.testing, which differentiate where the notebook runs"
            )

    def data_of(tensor: torch.Tensor) -> bytes:
        flat = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        return flat.view(torch.uint8).numpy().tobytes()

    def from_data(name: Any, shape: Any, data: Any) -> torch.Tensor:
        dtype, raw = dtypes[name], bytearray(*_exact(bytes, data))
        if len(raw) != math.prod(_exact(int, *shape)) * dtype.itemsize:
            raise WireError("a tensor's size and data disagree")
        if not raw:
            return torch.empty(shape, dtype=dtype)
        tensor = torch.frombuffer(raw, dtype=torch.uint8 if dtype is torch.bool else dtype).reshape(shape)
        return tensor != 0 if dtype is torch.bool else tensor

    def parts(tensor: torch.Tensor) -> tuple[Any, ...]:
        if tensor.layout is not torch.strided or tensor.dtype not in names or tensor.device.type == "meta":
            raise Unsendable(f"a tensor of dtype {tensor.dtype}, layout {tensor.layout}, device {tensor.device} cannot cross")
        leaf, shape = tensor.is_leaf, tuple(tensor.shape)
        grad = data_of(tensor.grad) if leaf and tensor.grad is not None and tensor.grad.layout is torch.strided else None
        return names[tensor.dtype], shape, data_of(tensor), tensor.requires_grad, leaf, grad

    def build(name: Any, shape: Any, data: Any, requires_grad: Any, leaf: Any, grad: Any) -> torch.Tensor:
        tensor = from_data(name, shape, data).requires_grad_(requires_grad is True)
        tensor.grad = None if grad is None else from_data(name, shape, grad)
        if requires_grad is True and leaf is not True:
            with torch.enable_grad():
                return Foreign.apply(tensor)  # type: ignore[no-untyped-call, no-any-return]
        return tensor

    def build_parameter(*new: Any) -> torch.Tensor:
        parameter = torch.nn.Parameter(from_data(*new[:3]), requires_grad=new[3] is True)
        parameter.grad = None if new[5] is None else from_data(new[0], new[1], new[5])
        return parameter

    def fill(tensor: torch.Tensor, new: Any) -> None:
        name, shape, data, requires_grad, _, grad = new
        if dtypes[name] != tensor.dtype or tuple(shape) != tuple(tensor.shape):
            raise WireError(f"a tensor of shape {tuple(tensor.shape)} and {tensor.dtype} was reshaped in place")
        if data != data_of(tensor):
            tensor.detach().copy_(from_data(name, shape, data))
        if tensor.is_leaf:
            tensor.requires_grad_(requires_grad is True)
            tensor.grad = None if grad is None else from_data(name, shape, grad).to(tensor.device)

    def build_rng(state: Any) -> torch.Generator:
        rng = torch.Generator()
        fill_rng(rng, (state,))
        return rng

    def fill_rng(rng: torch.Generator, new: Any) -> None:
        rng.set_state(torch.frombuffer(bytearray(new[0]), dtype=torch.uint8))

    register(
        Shared("torch.tensor", torch.Tensor, parts, build, fill),
        Shared("torch.parameter", torch.nn.Parameter, parts, build_parameter, fill),
        Shared("torch.rng", torch.Generator, lambda v: (data_of(v.get_state()),), build_rng, fill_rng),
        Value("torch.dtype", torch.dtype, lambda v: (str(v).removeprefix("torch."),), dtypes.__getitem__),
        Value("torch.device", torch.device, lambda v: (str(v),), lambda name: torch.device(*_exact(str, name))),
        Value("torch.size", torch.Size, tuple, lambda *sizes: torch.Size(_exact(int, *sizes))),
    )


_LIBRARIES = {"numpy": register_numpy, "torch": register_torch}


def _learn(library: str) -> bool:
    """Register a library's types at their first use, so that a lab without torch does not import it."""
    teach = _LIBRARIES.pop(library, None)
    if teach is not None:
        teach()
    return teach is not None


# --- what does not cross: proxies -------------------------------------------------------------------------------------------

_BINARY = ("add sub mul truediv floordiv mod pow matmul and or xor lshift rshift").split()
_FREE = ("len getitem setitem delitem next reversed int float complex round index enter call instancecheck subclasscheck").split()
_COMPARE = ("lt le gt ge").split()
# operators: refused by the checker unless a test allows them for the class, see the module's docstring
GUARDED: dict[str, str] = {f"__{name}__": name for name in (*_BINARY, *_COMPARE, "divmod", "neg", "pos", "abs", "invert")}
GUARDED |= {f"__r{name}__": f"r{name}" for name in (*_BINARY, "divmod")} | {f"__i{name}__": f"i{name}" for name in _BINARY}
FREE: dict[str, str] = {f"__{name}__": name for name in (*_FREE, "copy")}
SPECIAL = ("__iter__", "__contains__", "__eq__", "__bool__", "__exit__", "__await__", "__aenter__")
# the only names with double underscores that cross; __array_interface__, for one, would let the student point at our memory
_REMOTE_DUNDERS = {"__name__", "__qualname__", "__doc__", "__dict__", "__annotations__", "__module__", "__members__", "__signature__"}
_LOCAL = {"_wire", "__class__", "__hash__", "__copy__", "__deepcopy__", "__reduce__", "__reduce_ex__", "__dir__", "__mro_entries__"}


class Info(NamedTuple):
    """What a proxy knows of its object without asking: the type's name, special methods and bases; for a class, its own bases."""

    name: str
    dunders: list[str]
    bases: list[str]
    own: list[str] | None


def full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"[:200]


def describe(value: Any) -> Info:
    cls = type(value)
    dunders = [name for name in (*FREE, *GUARDED, *SPECIAL) if getattr(cls, name, None) is not None]
    if cls.__eq__ is object.__eq__:
        dunders.remove("__eq__")
    own = [full_name(base) for base in value.__mro__] if isinstance(value, type) else None
    return Info(cls.__name__[:100], dunders, [full_name(base) for base in cls.__mro__], own)


def library_class(names: list[str]) -> type | None:
    """The first named class that this process has already loaded from a library: nothing is imported for the other end."""
    for name in names:
        module, _, attribute = name.rpartition(".")
        found = vars(sys.modules[module]).get(attribute) if module in sys.modules and module != "__main__" else None
        if isinstance(found, type) and found is not object and not module.startswith("llmlabs.grade"):
            return found
    return None


class Proxy:
    """Stands for an object of the other process. `describe` decides which special methods the proxy's own type has."""

    __slots__ = ("__weakref__", "_wire")
    __array_ufunc__ = None  # NumPy's operators leave the decision to ours
    _wire: tuple[Endpoint, int, Info]

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return library_class(self._wire[2].bases) or type(self)
        if name in _LOCAL:
            return object.__getattribute__(self, name)
        if name in ("__array__", "__array_function__", "__torch_function__"):
            raise opaque(self)
        if name.startswith("__") and name.endswith("__") and name not in _REMOTE_DUNDERS:
            raise AttributeError(f"{self._wire[2].name!r} object of the notebook: {name!r} cannot be reached from a test")
        return ask(self, "getattr", name)

    def __setattr__(self, name: str, value: Any) -> None:
        ask(self, "setattr", name, value)

    def __delattr__(self, name: str) -> None:
        ask(self, "delattr", name)

    def __dir__(self) -> Any:
        return ask(self, "dir")

    def __repr__(self) -> str:
        return str(ask(self, "repr"))

    def __str__(self) -> str:
        return str(ask(self, "str"))

    def __format__(self, spec: str) -> str:
        return str(ask(self, "format", spec))

    def __hash__(self) -> int:
        return self._wire[1]

    def __bool__(self) -> bool:
        if not allowed(self):
            raise opaque(self, "its truth was asked for; compare with `is None`, or read plain data from it")
        return bool(_exact(bool, ask(self, "bool"))[0])

    def __eq__(self, other: object) -> Any:
        if self is other:
            return True
        if "__eq__" in self._wire[2].dunders:
            if allowed(self):
                return ask(self, "eq", other)
            if isinstance(type(other), type) and issubclass(type(other), Proxy):
                raise opaque(self, "it was compared with another one; compare their fields")
        return False

    def __ne__(self, other: object) -> Any:
        same = self.__class__ and Proxy.__eq__(self, other)
        return not same if type(same) is bool else ask(self, "ne", other)

    def __deepcopy__(self, memo: Any) -> Any:
        return ask(self, "deepcopy")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise Unsendable(f"an object of the notebook (a {self._wire[2].name}) cannot be pickled")

    def __mro_entries__(self, bases: Any) -> Any:
        raise Unsendable(f"a test cannot derive from {self._wire[2].name!r}, a class of the notebook")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise opaque(self)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise opaque(self)

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise OpaqueError(_OPAQUE.format(next((t.__name__ for t in types if issubclass(t, Proxy)), "object")))


_OPAQUE = "the notebook gave an object of type {!r} where plain data is needed (a number, string, list, array or tensor)"


def opaque(proxy: Proxy, why: str = "") -> OpaqueError:
    return OpaqueError(_OPAQUE.format(proxy._wire[2].name) + (f": {why}" if why else ""))


def ask(proxy: Proxy, operation: str, *args: Any, **kwargs: Any) -> Any:
    return proxy._wire[0].request(operation, proxy, *args, **kwargs)


def allowed(proxy: Proxy) -> bool:
    """Whether the proxy's operators may run the other end's code."""
    trusted = proxy._wire[0].trusted_classes
    return trusted is None or not trusted.isdisjoint(proxy._wire[2].bases)


def _free(operation: str) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: ask(self, operation, *args, **kwargs)


def _guarded(operation: str) -> Callable[..., Any]:
    def method(self: Proxy, *args: Any) -> Any:
        if not allowed(self):
            raise opaque(self, f"the operator {operation!r} of a class of the notebook; see allow_operators()")
        return ask(self, operation, *args)

    return method


def _iterate(self: Proxy) -> Iterator[Any]:
    """A sized collection comes in chunks; what may be lazy or endless comes one by one."""
    if "__next__" in self._wire[2].dunders:
        return self  # type: ignore[return-value]

    def chunks(size: int) -> Iterator[Any]:
        iterator, chunk = ask(self, "iter"), ()
        while not chunk or len(chunk) == size:
            chunk = self._wire[0].request("take", iterator, size)
            yield from chunk
            if not chunk:
                return

    return chunks(32 if "__len__" in self._wire[2].dunders else 1)


def _contains(self: Proxy, item: Any) -> bool:
    return bool(ask(self, "contains", item)) if allowed(self) else any(x is item or x == item for x in self)  # type: ignore[attr-defined]


def _exit(self: Proxy, kind: Any, error: BaseException | None, trace: Any) -> Any:
    return ask(self, "exit", error)


def _await(self: Proxy) -> Iterator[Any]:
    yield from ()
    return ask(self, "await")


def _reverse(operation: str) -> Callable[..., Any]:
    return lambda self, other: _guarded(operation)(self, other)


_METHODS: dict[str, Callable[..., Any]] = {
    **{name: _free(operation) for name, operation in FREE.items()},
    **{name: _guarded(operation) for name, operation in GUARDED.items()},
    **{"__iter__": _iterate, "__contains__": _contains, "__exit__": _exit, "__await__": _await},
}
