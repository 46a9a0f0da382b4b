"""Plain data on the wire: which types cross by value, how each is taken apart, built again and changed in place.

What is built is of exactly the plain type that it claims to be, whatever the other end sent: a number that equals
everything cannot come this way.
"""

from __future__ import annotations

import base64
import builtins
import itertools
import json
import math
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, NamedTuple


class WireError(Exception):
    """The other end sent something that is not a valid message."""


class UnsendableError(TypeError):
    """A value cannot cross to the other end."""


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


def exact(kind: type, *values: Any) -> tuple[Any, ...]:
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


def _filled(blank: Callable[[], Any], fill: Callable[[Any, Any], None]) -> Callable[..., Any]:
    """A `make` for what is built empty and then filled."""

    def make(*parts: Any) -> Any:
        value = blank()
        fill(value, parts)
        return value

    return make


def _fill_random(rng: Random, parts: Any) -> None:
    rng.setstate(parts[0])


BY_TYPE: dict[type, Value | Shared] = {}
BY_TAG: dict[str, Value | Shared] = {}
_PLAIN: list[type] = [bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, slice, range]
_ERRORS = [t for t in vars(builtins).values() if isinstance(t, type) and issubclass(t, BaseException)]
# the classes that cross by name
NAMED_TYPES = {t.__name__: t for t in (*_PLAIN, object, type(None), *_ERRORS, WireError, UnsendableError)}
TYPE_NAMES: dict[type, str] = {kind: name for name, kind in NAMED_TYPES.items()}


def register(*specs: Value | Shared) -> None:
    for spec in specs:
        BY_TYPE[spec.cls] = BY_TAG[spec.tag] = spec


register(
    Value("complex", complex, lambda v: (v.real, v.imag), lambda re, im: complex(*exact(float, re, im))),
    Value(
        "bytes", bytes, lambda v: (base64.b64encode(v).decode(),), lambda text: base64.b64decode(text, validate=True)
    ),
    Value("ellipsis", type(...), lambda v: (), lambda: ...),
    Value("slice", slice, lambda v: (v.start, v.stop, v.step), slice),
    Value("range", range, lambda v: (v.start, v.stop, v.step), range),
    Value("tuple", tuple, tuple, lambda *items: items),
    Value("frozenset", frozenset, tuple, lambda *items: frozenset(items)),
    Value("decimal", Decimal, lambda v: (str(v),), lambda text: Decimal(*exact(str, text))),
    # the parts are checked because Fraction("1e999999999") would compute for hours
    Value("fraction", Fraction, lambda v: (v.numerator, v.denominator), lambda n, d: Fraction(*exact(int, n, d))),
    Value("date", date, lambda v: (v.isoformat(),), date.fromisoformat),
    Value("datetime", datetime, lambda v: (v.isoformat(),), datetime.fromisoformat),
    Value("timedelta", timedelta, lambda v: (v.days, v.seconds, v.microseconds), timedelta),
    Value("path", type(Path()), lambda v: (str(v),), Path),
    Shared("list", list, list, lambda extra: [], _fill_list, True),
    Shared("dict", dict, _flat, lambda extra: {}, _fill_dict, True),
    Shared("odict", OrderedDict, _flat, lambda extra: OrderedDict(), _fill_dict, True),
    Shared("counter", Counter, _flat, lambda extra: Counter(), _fill_dict, True),
    Shared("ddict", defaultdict, _flat, defaultdict, _fill_dict, True, lambda v: v.default_factory),
    Shared("set", set, list, lambda extra: set(), _fill_set, True),
    Shared("deque", deque, list, lambda extra: deque(maxlen=extra), _fill_deque, True, lambda v: v.maxlen),
    Shared("bytearray", bytearray, lambda v: (bytes(v),), bytearray, lambda v, parts: _fill_list(v, parts[0])),
    Shared("random", Random, lambda v: (v.getstate(),), _filled(Random, _fill_random), _fill_random),
)

# kinds of plain data only: no objects, no void, at most 10^6 characters in a string
_DTYPE = re.compile(r"[<>|](b1|[iu][1248]|f(2|4|8|16)|c(8|16|32)|[mM]8(\[\d{0,9}[a-zA-Zμ]{1,7}\])?|[SU][1-9]\d{0,5})")


def register_numpy() -> None:
    """Teach the wire NumPy's arrays, scalars, dtypes and random generators."""
    import numpy as np

    def name_of(dtype: np.dtype[Any]) -> str:
        name = dtype.str.replace("S0", "S1").replace("U0", "U1")
        if dtype.names or not _DTYPE.fullmatch(name):
            raise UnsendableError(f"an array of dtype {dtype} cannot cross: only numbers, booleans, dates and text can")
        return name

    def build_dtype(name: Any) -> np.dtype[Any]:
        if not _DTYPE.fullmatch(name):
            raise WireError(f"{name!r} is not the name of a plain dtype")
        return np.dtype(name)

    def parts(array: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        name = name_of(array.dtype)
        return name, array.shape, array.astype(name, copy=False).tobytes(), bool(array.flags.writeable)

    def build(name: Any, shape: Any, data: Any, writeable: Any = True) -> np.ndarray[Any, Any]:
        array = np.frombuffer(bytearray(*exact(bytes, data)), build_dtype(name)).reshape(exact(int, *shape))
        if array.dtype == np.bool_:
            array = np.asarray(
                array.view(np.uint8) != 0
            )  # a boolean that is neither 0 nor 1 equals nothing, not even itself
        array.flags.writeable = writeable is True
        return array

    def fill(array: np.ndarray[Any, Any], new: Any) -> None:
        other = build(*new)
        if (other.dtype, other.shape) != (array.dtype, array.shape):
            raise WireError(f"an array of shape {array.shape} and dtype {array.dtype} was reshaped in place")
        array[...] = other

    def rng_parts(rng: np.random.Generator) -> tuple[str]:
        if not isinstance(rng.bit_generator, np.random.PCG64):
            raise UnsendableError("of NumPy's generators only those of numpy.random.default_rng can cross")
        return (json.dumps(rng.bit_generator.state),)

    def fill_rng(rng: np.random.Generator, new: Any) -> None:
        rng.bit_generator.state = json.loads(new[0])

    register(
        Shared("numpy.array", np.ndarray, parts, build, fill),
        Shared("numpy.rng", np.random.Generator, rng_parts, _filled(np.random.default_rng, fill_rng), fill_rng),
    )
    scalar = Value("numpy.scalar", np.generic, lambda v: parts(np.asarray(v))[::2], lambda n, b: build(n, (), b)[()])
    dtype = Value("numpy.dtype", np.dtype, lambda v: (name_of(v),), build_dtype)
    BY_TAG.update({"numpy.scalar": scalar, "numpy.dtype": dtype})
    BY_TYPE.update(dict.fromkeys({*np.sctypeDict.values()} - {np.object_, np.void}, scalar))
    BY_TYPE.update({kind: dtype for kind in vars(np.dtypes).values() if isinstance(kind, type)})
    NAMED_TYPES.update({f"numpy.{kind.__name__}": kind for kind in {*np.sctypeDict.values(), np.generic}})
    TYPE_NAMES.update({kind: name for name, kind in NAMED_TYPES.items()})


def register_torch() -> None:
    """Teach the wire PyTorch's tensors (which arrive on the CPU), parameters, dtypes, devices, sizes and generators."""
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
            return tensor.clone()

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> Any:
            raise RuntimeError(
                "backward() cannot cross from the test into the notebook's code: use gradient_of() or "
                "parameter_gradients() of llmlabs.lab.testing, which differentiate where the notebook runs"
            )

    def data_of(tensor: torch.Tensor) -> bytes:
        plain = tensor.detach().cpu().resolve_conj().resolve_neg()
        # a clone, because contiguous() keeps the odd strides of an expanded tensor of one element
        flat = plain.clone(memory_format=torch.contiguous_format).reshape(-1)
        return flat.view(torch.uint8).numpy().tobytes()

    def from_data(name: Any, shape: Any, data: Any) -> torch.Tensor:
        dtype, raw = dtypes[name], bytearray(*exact(bytes, data))
        if len(raw) != math.prod(exact(int, *shape)) * dtype.itemsize:
            raise WireError("a tensor's size and data disagree")
        if not raw:
            return torch.empty(shape, dtype=dtype)
        tensor = torch.frombuffer(raw, dtype=torch.uint8 if dtype is torch.bool else dtype).reshape(shape)
        return tensor != 0 if dtype is torch.bool else tensor

    def parts(tensor: torch.Tensor) -> tuple[Any, ...]:
        if tensor.layout is not torch.strided or tensor.dtype not in names or tensor.device.type == "meta":
            raise UnsendableError(
                f"a tensor of dtype {tensor.dtype}, layout {tensor.layout}, device {tensor.device} cannot cross"
            )
        leaf, shape = tensor.is_leaf, tuple(tensor.shape)
        grad = (
            data_of(tensor.grad) if leaf and tensor.grad is not None and tensor.grad.layout is torch.strided else None
        )
        return names[tensor.dtype], shape, data_of(tensor), tensor.requires_grad, leaf, grad

    def build(name: Any, shape: Any, data: Any, requires_grad: Any, leaf: Any, grad: Any) -> torch.Tensor:
        tensor = from_data(name, shape, data).requires_grad_(requires_grad is True)
        tensor.grad = None if grad is None else from_data(name, shape, grad)
        if requires_grad is True and leaf is not True:
            with torch.enable_grad():
                return Foreign.apply(tensor)
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

    def fill_rng(rng: torch.Generator, new: Any) -> None:
        rng.set_state(torch.frombuffer(bytearray(new[0]), dtype=torch.uint8))

    register(
        Shared("torch.tensor", torch.Tensor, parts, build, fill),
        Shared("torch.parameter", torch.nn.Parameter, parts, build_parameter, fill),
        Shared(
            "torch.rng",
            torch.Generator,
            lambda v: (data_of(v.get_state()),),
            _filled(torch.Generator, fill_rng),
            fill_rng,
        ),
        Value("torch.dtype", torch.dtype, lambda v: (str(v).removeprefix("torch."),), dtypes.__getitem__),
        Value("torch.device", torch.device, lambda v: (str(v),), lambda name: torch.device(*exact(str, name))),
        Value("torch.size", torch.Size, tuple, lambda *sizes: torch.Size(exact(int, *sizes))),
    )


_LIBRARIES = {"numpy": register_numpy, "torch": register_torch}


def learn(library: str) -> bool:
    """Register a library's types at their first use, so that a lab without torch does not import it."""
    teach = _LIBRARIES.pop(library, None)
    if teach is not None:
        teach()
    return teach is not None
