"""What test cells use, in a notebook and in the grader alike, where the notebook's code runs in another process.

In the grader a test and the notebook exchange plain data: numbers, strings, lists, dicts, arrays, tensors. What has to
happen on the notebook's side, such as a gradient through the student's function, goes through a function of this module
marked `@inside_submission`: the grader sends its name and arguments over, the notebook's process runs it.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_submission: Any = None  # the grader's way into the submission while a test cell runs


def seed(name: str) -> int:
    """A number below 2**32 for a test's random inputs, from the grader's private seed (LLMLABS_SEED) and `name`."""
    text = f"{os.environ.get('LLMLABS_SEED') or 'public'}:{name}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def inside(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)` on the notebook's side: `inside(torch.nn.Linear, 4, 8)` is a layer for its functions.

    Args:
        function: a function or class of the notebook or of a library; not one that the test defines.
    """
    return function(*args, **kwargs) if _submission is None else _submission.inside(function, *args, **kwargs)


def allow_operators(*classes: type) -> None:
    """Let this test use the operators (`+`, `<`, `==`, `in`, truth) of these classes of the notebook.

    The grader refuses them otherwise: they run the student's code, so `result - expected` would hand over what is
    expected and take the student's word for the difference. After this call, compare plain fields: `(a + b).v == 5`.
    """
    if _submission is not None:
        _submission.allow_operators(*classes)


def inside_submission(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of a library run where the notebook runs."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs) if _submission is None else _submission.inside(wrapper, *args, **kwargs)

    return wrapper


@inside_submission
def gradient_of(function: Callable[..., Any], *inputs: Any, **options: Any) -> list[torch.Tensor | None]:
    """The gradient of `sum(function(*inputs, **options))` with respect to each input.

    Args:
        function: one of the notebook; through a lambda of the test no gradient can flow.
        inputs: tensors, of which copies are used, and anything else, which is passed on.
        options: passed on.

    Returns:
        For each floating-point tensor a tensor of its shape (zeros where the result does not depend on it), else None.
    """
    import torch

    if hasattr(type(function), "_wire"):
        raise TypeError("gradient_of() takes a function of the notebook; through one of the test no gradient can flow")
    copies = [x.detach().clone() if isinstance(x, torch.Tensor) else x for x in inputs]
    leaves = [x.requires_grad_() for x in copies if isinstance(x, torch.Tensor) and x.is_floating_point()]
    with torch.enable_grad():
        total = function(*copies, **options).sum()
    found = iter(torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True))
    return [next(found) if isinstance(x, torch.Tensor) and x.is_floating_point() else None for x in copies]


@inside_submission
def parameter_gradients(module: torch.nn.Module, *inputs: Any, **options: Any) -> dict[str, torch.Tensor]:
    """The gradient of `sum(module(*inputs, **options))` by each parameter's name; zeros for one that is unused."""
    import torch

    names, parameters = zip(*((n, p) for n, p in module.named_parameters() if p.requires_grad), strict=True)
    with torch.enable_grad():
        total = module(*inputs, **options).sum()
    return dict(
        zip(names, torch.autograd.grad(total, parameters, allow_unused=True, materialize_grads=True), strict=True)
    )


@inside_submission
def parameters_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of each parameter, by name."""
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


@inside_submission
def load_parameters(module: torch.nn.Module, parameters: Mapping[str, torch.Tensor]) -> None:
    """Set the module's parameters; those not named keep their values.

    Raises:
        KeyError: if the module has no parameter of that name. RuntimeError: if a shape differs.
    """
    own = dict(module.named_parameters())
    for name, value in parameters.items():
        if own[name].shape != value.shape:
            raise RuntimeError(f"parameter {name!r} has shape {tuple(own[name].shape)}, not {tuple(value.shape)}")
        own[name].detach().copy_(value)


@inside_submission
def take(iterable: Iterable[Any], count: int) -> list[Any]:
    """The first `count` items."""
    return list(itertools.islice(iterable, count))


@inside_submission
def raised_by(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[str, str] | None:
    """The type and message of the exception that the call raises, or None."""
    try:
        function(*args, **kwargs)
    except Exception as error:
        return type(error).__name__, str(error)
    return None


def assert_returns(expected: Any, function: Callable[..., Any], *args: Any, hint: str = "", **kwargs: Any) -> None:
    """Assert that `function(*args, **kwargs)` returns what is expected, and leaves its arguments as they were.

    Args:
        expected: plain data that `==` compares: numbers, strings, and lists, tuples and dicts of them.
        function: of the notebook.
        hint: the likely cause of another result, for the message.

    Raises:
        AssertionError: what was given, what was expected, what came back, and the hint.
    """
    given = copy.deepcopy((args, kwargs))
    call = _spell(function, *given)
    got = function(*args, **kwargs)
    assert got == expected, f"{call} should return {expected!r}, but returned {got!r}{hint and f': {hint}'}"
    assert (args, kwargs) == given, f"{call} changed its arguments to {(*args, *kwargs.values())!r}"


def assert_raised(
    kind: str, function: Callable[..., Any], *args: Any, says: str = "", hint: str = "", **kwargs: Any
) -> None:
    """Assert that `function(*args, **kwargs)` raises an exception of this type's name whose message holds `says`.

    Args:
        kind: the name of the exception's class, such as "ValueError".
        function: of the notebook or a library.
        says: what the message has to hold.
        hint: why an error is due, for the message.

    Raises:
        AssertionError: what was given, what was expected and what came.
    """
    found, message = raised_by(function, *args, **kwargs) or ("nothing", "")
    due = f"{kind}{says and f' that says {says!r}'}{hint and f' ({hint})'}"
    right = found == kind and says in message
    assert right, f"{_spell(function, args, kwargs)} should raise {due}, but raised {found} {message!r}"


def _spell(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The call as one would write it."""
    inner = [*(repr(value) for value in args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    return f"{getattr(function, '__name__', 'the function')}({', '.join(inner)})"
