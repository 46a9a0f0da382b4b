"""The habits of test cells that let empty graders through, and docstrings that hide what is tested.

The rules read the syntax tree only. *The student's names* are those that solution cells define; a value is the
student's if an expression calls or reads one of them, or a variable that was made so.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator

from nbformat import NotebookNode

from llmlabs.notebook import grade_id, is_locked, is_solution, is_test

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SHAPES = {"shape", "ndim", "dtype", "size", "device"}
_SHAPE_CALLS = {"len", "type", "isinstance", "issubclass", "callable", "hasattr", "is_tensor"}
_ALWAYS_DEFINED = {*dir(builtins), "__name__", "get_ipython", "display", "In", "Out", "_"}


def lint_graders(notebook: NotebookNode) -> Iterator[tuple[str, str, str]]:
    """The faults of a lab's test and solution cells, as (grade_id, what, mend)."""
    students: set[str] = set()
    known: set[str] = set(_ALWAYS_DEFINED)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        try:
            tree = ast.parse(cell.source)
        except SyntaxError as error:
            yield grade_id(cell) or "a cell", f"it is not Python: {error}", "Mend the syntax."
            continue
        if is_test(cell):
            found = [*_uncalled(tree), *_odd_messages(tree), *_untrusted(tree, students), *_undefined(tree, known)]
            yield from ((grade_id(cell), what, mend) for what, mend in found)
        else:
            if is_solution(cell):
                students |= _bound(tree)
                yield from ((grade_id(cell), what, mend) for what, mend in _silent_docstrings(cell.source, tree))
            if is_solution(cell) or is_locked(cell) or "parameters" in cell.metadata.get("tags", []):
                known |= _bound(tree)


def _bound(tree: ast.AST) -> set[str]:
    """The names that a cell binds outside of its functions and classes, and those of these."""
    names: set[str] = set()
    stack = list(ast.iter_child_nodes(tree))
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        if isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        stack += ast.iter_child_nodes(node)
    return names


def _read(node: ast.AST) -> set[str]:
    return {found.id for found in ast.walk(node) if isinstance(found, ast.Name)}


def _asserting(tree: ast.AST) -> Iterator[ast.Assert | ast.Call]:
    """The assertions anywhere in a cell: assert statements and calls of assert_... functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield node
        elif isinstance(node, ast.Call) and _called(node).startswith("assert_"):
            yield node


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _uncalled(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """A function of the test that holds assertions and that nothing in the cell calls or hands on."""
    used = _read(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and any(_asserting(node)) and node.name not in used:
            yield (
                f"it defines {node.name}(), which asserts something, and never calls it",
                f"Call {node.name}() at the end of the cell.",
            )


def _odd_messages(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """`assert a, b` where b is a condition: only a is tested."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and node.msg is not None and _is_condition(node.msg):
            yield (
                f"the message of an assertion is a condition, which is never tested: {ast.unparse(node.msg)[:80]}",
                "Join the two with `and`, or make two assertions, each with a message in words.",
            )
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Tuple):
            yield "an assertion of a tuple, which is always true", "Take the parentheses off `assert (a, message)`."


def _is_condition(node: ast.expr) -> bool:
    if isinstance(node, ast.Compare | ast.BoolOp):
        return True
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    if isinstance(node, ast.Constant):
        return not isinstance(node.value, str)
    return isinstance(node, ast.Call) and _called(node) in {"all", "any", "isclose", "allclose", "equal", "isinstance"}


def _untrusted(tree: ast.Module, students: set[str]) -> Iterator[tuple[str, str]]:
    """Assertions that compare the student's values with themselves, and cells that look at shapes only."""
    theirs, made = set(students), _definitions(tree)
    for _ in made:  # a variable is the student's if what it is made of is
        theirs |= {name for name, value in made.items() if _read(value) & theirs}
    useful = shapes = 0
    assertions = list(_asserting(tree))
    for node in assertions:
        sides = _sides(node)
        expanded = [ast.dump(_expand(side, made, students)) for side in sides]
        if len(sides) == 2 and expanded[0] == expanded[1] and _read(sides[0]) & theirs:
            yield (
                f"an assertion compares the student's value with itself: {ast.unparse(node)[:80]}",
                "Compute what is expected in the test, or from a library.",
            )
            continue
        if sides and any(_read(side) & theirs for side in sides) and all(_about_shape(side, theirs) for side in sides):
            shapes += 1
            continue
        if not sides or not all(_read(side) & theirs for side in sides):
            useful += 1
    if assertions and shapes == len(assertions):
        yield (
            "it earns points for shapes and types alone",
            "Test values or properties too; a shape is a part of another test.",
        )
    elif assertions and not useful and not shapes:
        yield (
            "every assertion compares the student's values with the student's values",
            "Compute what is expected in the test, or from a library.",
        )


def _definitions(tree: ast.Module) -> dict[str, ast.expr]:
    """The variables of a cell and what they are made of; of one that is assigned more than once, a tuple of it all."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            pairs = [pair for target in node.targets for pair in _pairs(target, node.value)]
        elif isinstance(node, ast.For | ast.comprehension):
            pairs = [(name, _element(value)) for name, value in _pairs(node.target, node.iter)]
        elif isinstance(node, ast.AugAssign):
            pairs = [(name, node.value) for name in _read(node.target)] * 2
        else:
            continue
        for name, value in pairs:
            found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else ast.Tuple(values, ast.Load()) for name, values in found.items()}


def _element(iterable: ast.expr) -> ast.expr:
    """What a loop takes from an iterable: of a variable that may hold pairs of results and expectations, unknown."""
    return ast.Tuple([] if isinstance(iterable, ast.Name) else [iterable], ast.Load())


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Each name of a target with the part of the value that it gets, as far as the syntax tells."""
    if isinstance(target, ast.Name):
        yield target.id, value
        return
    parts: list[ast.expr] = []
    if isinstance(value, ast.Tuple | ast.List):
        parts = value.elts
    elif isinstance(value, ast.Call) and _called(value) in ("zip", "product"):
        parts = value.args
    elif isinstance(value, ast.Call) and _called(value) == "enumerate":
        parts = [ast.Constant(0), *value.args[:1]]
    inner = target.elts if isinstance(target, ast.Tuple | ast.List) else []
    if inner and len(parts) == len(inner):
        for one, part in zip(inner, parts, strict=True):
            yield from _pairs(one, part)
    else:
        yield from ((name, _element(value)) for name in _read(target))


def _expand(node: ast.expr, made: dict[str, ast.expr], students: set[str]) -> ast.expr:
    """What a variable that holds a call of the student's was made by; anything else as it is."""
    value = made.get(node.id) if isinstance(node, ast.Name) else None
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in students:
        return value
    return node


def _sides(node: ast.Assert | ast.Call) -> list[ast.expr]:
    """What an assertion compares; nothing if it is no comparison for equality."""
    if isinstance(node, ast.Call):
        compares = not any(word in _called(node) for word in ("raises", "warns", "less"))
        return node.args[:2] if compares and len(node.args) >= 2 else []
    test = node.test
    if isinstance(test, ast.Compare):
        same = all(isinstance(op, ast.Eq | ast.Is | ast.GtE | ast.LtE) for op in test.ops)
        return [test.left, *test.comparators] if same else []
    compares = isinstance(test, ast.Call) and _called(test) in {"isclose", "allclose", "equal", "array_equal"}
    return test.args[:2] if isinstance(test, ast.Call) and compares else [test] if _is_shape(test) else []


def _about_shape(node: ast.expr, theirs: set[str]) -> bool:
    """Whether a side of a comparison is a shape or a type, or has nothing of the student's."""
    return _is_shape(node) or not _read(node) & theirs


def _is_shape(node: ast.expr) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in _SHAPES
    if isinstance(node, ast.Subscript):
        return _is_shape(node.value)
    return isinstance(node, ast.Call) and _called(node) in _SHAPE_CALLS


def _undefined(tree: ast.Module, known: set[str]) -> Iterator[tuple[str, str]]:
    """Names that a test needs and neither it, nor an earlier locked or solution cell, defines."""
    here = _bound(tree) | known
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS):
            arguments = node.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            here |= {argument.arg for argument in every if argument} | _bound(node)
        elif isinstance(node, ast.ClassDef):
            here |= _bound(node)
    if missing := sorted(name for name in _read(tree) if name not in here):
        yield (
            f"it needs {', '.join(missing)}, which no cell above it defines but tests",
            "Define it in the test, or import it in a locked cell: a test cell sees no other test's variables.",
        )


def _silent_docstrings(cell: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Arguments of a solution cell's functions that neither a docstring nor a comment of the cell mentions."""
    described = "\n".join(re.findall(r"#.*", cell))
    functions: list[tuple[ast.FunctionDef, bool]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            described += "\n" + (ast.get_docstring(node) or "")
        if isinstance(node, ast.Module | ast.ClassDef):
            described_here = isinstance(node, ast.ClassDef) and ast.get_docstring(node) is not None
            functions += [(inner, described_here) for inner in node.body if isinstance(inner, ast.FunctionDef)]
    for function, described_above in functions:
        if function.name.startswith("_") and function.name != "__init__":
            continue
        if not ast.get_docstring(function) and not described_above and function.name != "__init__":
            yield f"{function.name}() has no docstring", "The docstring is the specification: say what it returns."
        given = function.args
        every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        names = [argument.arg for argument in every if argument and argument.arg not in ("self", "cls")]
        if silent := [name for name in names if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", described)]:
            yield (
                f"no docstring mentions {', '.join(silent)} of {function.name}()",
                "The docstring is the whole specification: say what each argument is.",
            )
