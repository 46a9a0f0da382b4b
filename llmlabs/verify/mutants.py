"""Making mutants: copies of a solution with one small mistake each, of the kinds that learners make.

The operators work on Python's own `ast`. Of cosmic-ray 8.7 and mutmut 3.8 each has about half of the kinds that a
notebook on arrays needs: neither forgets a `detach`, works in place, swaps arguments or moves a slice. Both mutate
annotations or the words of errors as well, and rewrite the files of a package to start pytest for each mutant.
"""

from __future__ import annotations

import ast
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

COMPILE_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # as in a notebook


@dataclass(frozen=True)
class Mutant:
    """A solution with one mistake.

    Attributes:
        cell: which of the exercise's solution cells is changed, counted from 0.
        kind: the kind of the mistake, a key of OPERATORS.
        function: the function or method that is changed, as "Class.method"; "" at the top level of the cell.
        before, after: the lines that differ, as `ast.unparse` writes them, joined by "; ".
        nth: counts mutants of one exercise whose function, before and after are the same, from 1.
        source: the whole text of the changed cell.
    """

    cell: int
    kind: str
    function: str
    before: str
    after: str
    nth: int
    source: str


@dataclass(frozen=True)
class Place:
    """A node of a cell's tree and what the operators ask of its surroundings.

    Attributes:
        node: what may be replaced.
        parent: the node that holds it, in the field `field`, at `index` if the field is a list.
        function: the function or method around it.
        arrays: the names in that function that hold a caller's arrays, lists, dicts or sets.
        own: the names that the cell binds; a free name that is called through is a module.
    """

    node: ast.AST
    parent: ast.AST
    field: str
    index: int | None
    function: str = ""
    arrays: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()

    def put(self, node: ast.AST) -> None:
        """Put a node into this place."""
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def mutants_of(cells: list[str]) -> list[Mutant]:
    """The mutants of an exercise's solution cells, in a fixed order, without those that compile to the same code.

    Raises:
        SyntaxError: if a cell is not plain Python.
    """
    mutants = []
    count: Counter[tuple[str, str, str]] = Counter()
    for number, cell in enumerate(cells):
        tree = ast.parse(cell)
        lines = ast.unparse(tree).split("\n")
        seen = {_signature("\n".join(lines))}
        for place in _places(tree):
            for kind, operator in OPERATORS.items():
                for node in operator(place):
                    place.put(node)
                    text = ast.unparse(tree)
                    place.put(place.node)
                    try:
                        signature = _signature(text)
                    except SyntaxError:
                        continue
                    if signature in seen:
                        continue
                    seen.add(signature)
                    before, after = _difference(lines, text.split("\n"))
                    count[identity := (place.function, before, after)] += 1
                    mutants.append(Mutant(number, kind, *identity, count[identity], text))
    return mutants


# fields that hold types, or words for people: an annotation, the message of an error, the format of a number
_SKIPPED = {
    ast.arg: {"annotation"},
    ast.FunctionDef: {"returns"},
    ast.AsyncFunctionDef: {"returns"},
    ast.AnnAssign: {"annotation"},
    ast.Raise: {"exc", "cause"},
    ast.Assert: {"msg"},
    ast.FormattedValue: {"format_spec"},
}
# their output is for people, no test looks at it
_TALK = {"print", "warn", "warning", "info", "debug", "display"}


def _places(tree: ast.Module) -> Iterator[Place]:
    own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    yield from _below(tree, "", frozenset(), frozenset(own))


def _below(parent: ast.AST, function: str, arrays: frozenset[str], own: frozenset[str]) -> Iterator[Place]:
    if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        function = f"{function}.{parent.name}".lstrip(".")
    if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef):
        arrays |= _arrays(parent)
    for field, value in ast.iter_fields(parent):
        if field in _SKIPPED.get(type(parent), ()):
            continue
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST) or _is_docstring(parent, node) or _is_talk(node):
                continue
            yield Place(node, parent, field, index, function, arrays, own)
            yield from _below(node, function, arrays, own)


def _arrays(function: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    """The arguments that can be changed in place, by their annotations, and the loop variables that run over them."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    changeable = ("ndarray", "NDArray", "Tensor", "list", "dict", "set", "Float[", "Int[")
    names = {
        argument.arg
        for argument in arguments
        if argument.annotation and any(word in ast.unparse(argument.annotation) for word in changeable)
    }
    for node in ast.walk(function):
        if isinstance(node, ast.For | ast.comprehension) and names & _names(node.iter):
            names |= _names(node.target)
    return frozenset(names)


def _names(node: ast.AST) -> set[str]:
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


def _is_docstring(parent: ast.AST, node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and getattr(parent, "body", None) is not None
    )


def _is_talk(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _called(node.value) in _TALK


def _called(call: ast.Call) -> str:
    """The last name of what is called: `sum` of `x.sum(0)`, of `np.sum(x)` and of `sum(x)`."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


# ---- operators: each takes a place and yields nodes to put there


_OTHER_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}


def arithmetic(place: Place) -> Iterator[ast.AST]:
    """Another operator, or one operand alone: a forgotten scale, term or sign."""
    node = place.node
    if isinstance(node, ast.BinOp):
        if other := _OTHER_ARITHMETIC.get(type(node.op)):
            yield ast.BinOp(node.left, other(), node.right)
        yield from (node.left, node.right)
    elif isinstance(node, ast.AugAssign):
        if other := _OTHER_ARITHMETIC.get(type(node.op)):
            yield ast.AugAssign(node.target, other(), node.value)
        yield ast.Assign([node.target], node.value, lineno=0)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand


_OTHER_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq, ast.Lt, ast.Gt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


def comparison(place: Place) -> Iterator[ast.AST]:
    """Another comparison, `and` for `or`, a part of a condition left out, a branch always or never taken."""
    node, parent = place.node, place.parent
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            for other in _OTHER_COMPARISONS[type(operator)]:
                yield ast.Compare(node.left, [*node.ops[:i], other(), *node.ops[i + 1 :]], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for i in range(len(node.values)):
            yield ast.BoolOp(node.op, rest) if len(rest := node.values[:i] + node.values[i + 1 :]) > 1 else rest[0]
    if place.field == "test" and isinstance(parent, ast.If | ast.IfExp):
        yield from (ast.Constant(True), ast.Constant(False))
    elif place.field == "test" and isinstance(parent, ast.While):
        yield ast.Constant(False)
    elif place.field == "ifs":
        yield ast.Constant(True)


def constant(place: Place) -> Iterator[ast.AST]:
    """Another truth value; an integer one more or less; a float doubled and halved; another string."""
    if not isinstance(place.node, ast.Constant):
        return
    value = place.node.value
    others: tuple[float, ...] = ()
    if isinstance(value, bool):
        others = (not value,)
    elif isinstance(value, int):
        others = (value + 1, value - 1)
    elif isinstance(value, float):
        others = (2 * value, value / 2) if value else (1.0,)
    elif isinstance(value, str):
        yield ast.Constant(f"{value}x" if value not in ("inf", "-inf") else {"inf": "-inf"}.get(value, "inf"))
    for other in others:
        if not _is_neutral(place, other):
            yield ast.Constant(other)


def _is_neutral(place: Place, value: float) -> bool:
    """Whether the operation with this number is as good as the other operand alone, which `arithmetic` makes."""
    operation = place.parent.op if isinstance(place.parent, ast.BinOp) else None
    if isinstance(operation, ast.Add | ast.Sub):
        return value == 0 and (isinstance(operation, ast.Add) or place.field == "right")
    return isinstance(operation, ast.Mult) and value == 1


def axis(place: Place) -> Iterator[ast.AST]:
    """Another axis: first for last and last for first; that of `keepdims` is a constant or an argument left out."""
    if place.field == "value" and isinstance(place.parent, ast.keyword) and place.parent.arg in ("axis", "dim"):
        yield from (ast.Constant(0), ast.Constant(1), ast.UnaryOp(ast.USub(), ast.Constant(1)))


def bounds(place: Place) -> Iterator[ast.AST]:
    """Slices, ranges and indices one off; a bound or step left out. Constants in them are `constant`'s."""
    node, parent = place.node, place.parent
    if isinstance(node, ast.Slice):
        for field in ("lower", "upper", "step"):
            if getattr(node, field):
                yield ast.Slice(**{name: getattr(node, name) for name in ("lower", "upper", "step") if name != field})
        if not node.step:
            if not node.lower:
                yield ast.Slice(ast.Constant(1), node.upper)
            if not node.upper:
                yield ast.Slice(node.lower, ast.UnaryOp(ast.USub(), ast.Constant(1)))
    in_slice = isinstance(parent, ast.Slice)
    in_range = isinstance(parent, ast.Call) and place.field == "args" and _called(parent) in ("range", "arange")
    index = isinstance(parent, ast.Subscript) and place.field == "slice" and isinstance(node, ast.Name)
    if isinstance(node, ast.expr) and (in_slice or in_range or index) and not isinstance(node, ast.Constant):
        yield from (ast.BinOp(node, operator(), ast.Constant(1)) for operator in (ast.Add, ast.Sub))


def statement(place: Place) -> Iterator[ast.AST]:
    """A statement left out. The last `return` of a function stays: without it every test fails."""
    node = place.node
    if not isinstance(node, ast.stmt) or isinstance(
        node, ast.If | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Pass
    ):
        return
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return
    if isinstance(node, ast.Return) and isinstance(place.parent, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    yield ast.Pass()


# two arguments of these may change places
_SYMMETRIC = {"add", "allclose", "array_equal", "equal", "gcd", "hypot", "isclose", "isdisjoint", "logaddexp", "max"}
_SYMMETRIC |= {"maximum", "min", "minimum", "mul", "multiply", "swapaxes", "transpose"}
_ORDERED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult, ast.LShift, ast.RShift)


def arguments(place: Place) -> Iterator[ast.AST]:
    """Arguments, operands or the entries of a pair swapped; an argument left out, so that its default holds."""
    node = place.node
    if isinstance(node, ast.BinOp) and isinstance(node.op, _ORDERED):
        yield ast.BinOp(node.right, node.op, node.left)
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) == 2:
        yield ast.Tuple(node.elts[::-1], node.ctx)
    elif isinstance(node, ast.Call):
        given, named = node.args, node.keywords
        for i in range(len(given) - 1):
            if not (_called(node) in _SYMMETRIC or any(isinstance(one, ast.Starred) for one in given[i : i + 2])):
                yield ast.Call(node.func, [*given[:i], given[i + 1], given[i], *given[i + 2 :]], named)
        if len(given) > 1:
            yield ast.Call(node.func, given[:-1], named)
        for i in range(len(named)):
            if named[i].arg == "strict":  # of zip: without it is as with False
                continue
            yield ast.Call(node.func, given, named[:i] + named[i + 1 :])


# without these there is an error at once, or nothing that a test could see
_KEPT_CALLS = {"arange", "bool", "cast", "contiguous", "cpu", "default_rng", "empty", "enumerate", "eye", "filter"}
_KEPT_CALLS |= {"float", "full", "getattr", "hasattr", "int", "isinstance", "item", "iter", "len", "manual_seed", "map"}
_KEPT_CALLS |= {"next", "numpy", "ones", "open", "partial", "range", "repr", "str", "super", "tolist", "type", "zeros"}
_KEPT_CALLS |= {"zip"}


def call(place: Place) -> Iterator[ast.AST]:
    """A call left out, so that what it was applied to stays: `clone`, `detach`, a mask, a root; `no_grad`."""
    node = place.node
    if isinstance(node, ast.With) and not any(item.optional_vars for item in node.items):
        yield ast.If(ast.Constant(True), node.body, [])
    elif isinstance(node, ast.FunctionDef) and node.decorator_list:
        for i, decorator in enumerate(node.decorator_list):
            if any(word in ast.unparse(decorator) for word in ("no_grad", "inference_mode")):
                rest = node.decorator_list[:i] + node.decorator_list[i + 1 :]
                yield ast.FunctionDef(node.name, node.args, node.body, rest, node.returns, lineno=0)
    elif isinstance(node, ast.Attribute) and node.attr in ("T", "mT") and isinstance(node.ctx, ast.Load):
        yield node.value
    elif isinstance(node, ast.Call) and not (_called(node) in _KEPT_CALLS or _called(node)[:1].isupper()):
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        if receiver is not None and not (isinstance(receiver, ast.Name) and receiver.id not in place.own):
            if not (isinstance(receiver, ast.Name) and receiver.id == "self") and not _called(node).startswith("__"):
                yield receiver
        elif node.args and not isinstance(node.args[0], ast.Starred):
            yield node.args[0]


_IN_PLACE_METHODS = {"abs", "add", "addcdiv", "addcmul", "clamp", "div", "exp", "fill_diagonal", "index_add", "lerp"}
_IN_PLACE_METHODS |= {"log", "masked_fill", "mul", "neg", "pow", "relu", "rsqrt", "scatter", "sigmoid", "sqrt", "sub"}
_IN_PLACE_METHODS |= {"tanh"}
_IN_PLACE = {ast.Add: "__iadd__", ast.Sub: "__isub__", ast.Mult: "__imul__", ast.Div: "__itruediv__"}
_IN_PLACE |= {ast.Pow: "__ipow__", ast.BitOr: "__ior__"}


def in_place(place: Place) -> Iterator[ast.AST]:
    """In place what was out of place, which changes the caller's array, list or dict."""
    node = place.node
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
        match node.targets:
            case [(ast.Name() | ast.Attribute() | ast.Subscript()) as target]:
                if ast.unparse(target) == ast.unparse(node.value.left):
                    yield ast.AugAssign(target, node.value.op, node.value.right)
    elif isinstance(node, ast.BinOp) and isinstance(node.left, ast.Name | ast.Subscript):
        base = node.left.value if isinstance(node.left, ast.Subscript) else node.left
        if isinstance(base, ast.Name) and base.id in place.arrays and (name := _IN_PLACE.get(type(node.op))):
            yield ast.Call(ast.Attribute(node.left, name), [node.right], [])
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _IN_PLACE_METHODS:
        receiver = node.func.value
        if not (isinstance(receiver, ast.Name) and receiver.id not in place.own):
            yield ast.Call(ast.Attribute(receiver, f"{node.func.attr}_"), node.args, node.keywords)


_SIBLINGS = {"all": "any", "amax": "amin", "append": "appendleft", "argmax": "argmin", "ceil": "floor", "cos": "sin"}
_SIBLINGS |= {"cummax": "cummin", "cumprod": "cumsum", "endswith": "startswith", "find": "rfind", "log": "log2"}
_SIBLINGS |= {"intersection": "union", "lstrip": "rstrip", "max": "min", "maximum": "minimum", "mean": "sum"}
_SIBLINGS |= {"ones": "zeros", "ones_like": "zeros_like", "partition": "rpartition", "pop": "popleft", "std": "var"}
_SIBLINGS |= {"removeprefix": "removesuffix", "split": "rsplit", "tril": "triu"}
_SIBLINGS |= {second: first for first, second in _SIBLINGS.items()}


def function(place: Place) -> Iterator[ast.AST]:
    """A function mistaken for its sibling: `max` and `min`, `mean` and `sum`, `tril` and `triu`."""
    node, parent = place.node, place.parent
    if isinstance(parent, ast.Call) and place.field == "func":
        if isinstance(node, ast.Attribute) and node.attr in _SIBLINGS:
            yield ast.Attribute(node.value, _SIBLINGS[node.attr], node.ctx)
        elif isinstance(node, ast.Name) and node.id in ("all", "any", "max", "min"):
            yield ast.Name(_SIBLINGS[node.id], node.ctx)


OPERATORS: dict[str, Callable[[Place], Iterator[ast.AST]]] = {
    operator.__name__.replace("_", " "): operator
    for operator in (
        arithmetic,
        comparison,
        constant,
        axis,
        bounds,
        statement,
        arguments,
        call,
        in_place,
        function,
    )
}


def _difference(before: list[str], after: list[str]) -> tuple[str, str]:
    """The lines that differ, without their indentation."""
    first = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    last = 0
    while last < min(len(before), len(after)) - first - 1 and before[-1 - last] == after[-1 - last]:
        last += 1
    changed, mutated = before[first : len(before) - last], after[first : len(after) - last]
    return "; ".join(map(str.strip, changed)), "; ".join(map(str.strip, mutated))


def _signature(text: str) -> Any:
    """What Python runs: bytecode, constants and names, but not where they stand in the text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        code = compile(text, "<mutant>", "exec", flags=COMPILE_FLAGS, dont_inherit=True)
    return _of_code(code)


def _of_code(code: types.CodeType) -> Any:
    constants = tuple(
        _of_code(value) if isinstance(value, types.CodeType) else (type(value).__name__, repr(value))
        for value in code.co_consts
    )
    names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_code, constants, names, code.co_flags, code.co_argcount, code.co_exceptiontable
