"""Whatever the student's process sends, a test passes only on an honest value, and the checker survives."""

# ruff: noqa: E501 -- the cells read better unbroken

from __future__ import annotations

import contextlib
import json
import pickle
from pathlib import Path
from typing import Any

import nbformat
import pytest

from llmlabs.grade.submission import KernelLostError, Limits

from .engine_lab import LIMITS, Lab

# for kernels that do not live long
FEW_IMPORTS = [
    "import contextlib, math",
    "import numpy as np",
    "from llmlabs.lab import testing",
    "from llmlabs.lab.testing import *",
]
HASTE = Limits(**{**vars(LIMITS), "call_seconds": 1, "grace_seconds": 1})

ALWAYS = '''
class Always:
    """Agrees with everything."""
    def __init__(self, *a, **k): pass
    def __getattr__(self, name): return Always()
    def yes(self, *a, **k): return True
    def me(self, *a, **k): return Always()
    def zero(self, *a, **k): return 0.0
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __bool__ = yes
    __call__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __abs__ = __neg__ = __getitem__ = me
    __truediv__ = __rtruediv__ = __pow__ = __matmul__ = __rmatmul__ = __and__ = __or__ = __invert__ = me
    __float__ = zero
    __iter__ = lambda self: iter([Always()])
    __len__ = lambda self: 2
    __hash__ = lambda self: hash(3)
    item = mean = sum = max = min = zero
    equal = allclose = eq = isclose = all = any = yes
    shape = (2,)
    dtype = torch.float32
    def __array__(self, *a, **k): return np.array([1.0, 2.0])
    def __array_function__(self, *a, **k): return True
    def __array_ufunc__(self, *a, **k): return True
    __array_priority__ = 1e9
    @classmethod
    def __torch_function__(cls, *a, **k): return True
class AlwaysFloat(Always, float): pass
class AlwaysList(Always, list): pass
class AlwaysStr(Always, str): pass
class AlwaysArray(np.ndarray):
    def __eq__(self, other): return True
    def __array_function__(self, *a, **k): return True
    def __array_ufunc__(self, *a, **k): return True
class AlwaysTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *a, **k): return True
answers = [Always(), AlwaysFloat(), AlwaysList(), AlwaysStr(), np.zeros(2).view(AlwaysArray), torch.zeros(2).as_subclass(AlwaysTensor),
           [Always(), Always()], (AlwaysFloat(),), {1: Always()}, np.empty(2, dtype=object)]
answers[-1][:] = 1
def f(x, n): return answers[n]
'''
TRICKED = """
assert f(x, n) == 3
assert 3 == f(x, n)
assert not f(x, n) != 3
assert f(x, n) == [1.0, 2.0]
assert [1.0, 2.0] == f(x, n)
assert f(x, n) == {1: 1}
assert abs(f(x, n) - 3) < 1e-6
assert abs(3 - f(x, n)) < 1e-6
assert f(x, n) >= 3
assert 3 in f(x, n)
assert f(x, n) in (3, 4)
assert f(x, n) in {3}
assert {3: "a"}[f(x, n)] == "a"
assert bool(f(x, n)) and n < 6
assert math.isclose(f(x, n), 3)
assert np.allclose(f(x, n), want)
assert np.allclose(want, f(x, n))
assert np.array_equal(f(x, n), want)
assert np.equal(f(x, n), want).all()
assert (want == f(x, n)).all()
assert (f(x, n) == want).all()
assert np.abs(want - f(x, n)).max() < 1e-6
np.testing.assert_allclose(f(x, n), want)
np.testing.assert_array_equal(want, f(x, n))
np.testing.assert_equal(f(x, n), 3)
assert torch.allclose(f(x, n), torch.tensor([1.0, 2.0]))
assert torch.allclose(torch.tensor([1.0, 2.0]), f(x, n))
assert torch.equal(f(x, n), torch.tensor([1.0, 2.0]))
torch.testing.assert_close(f(x, n), torch.tensor([1.0, 2.0]))
assert (f(x, n) - torch.tensor([1.0, 2.0])).abs().max().item() < 1e-5
assert (torch.tensor([1.0, 2.0]) - f(x, n)).abs().max() < 1e-5
assert (torch.tensor([1.0, 2.0]) == f(x, n)).all()
assert f(x, n).equal(torch.tensor([1.0, 2.0]))
assert f(x, n).allclose(torch.tensor([1.0, 2.0]))
assert f(x, n) == pytest.approx(3)
assert pytest.approx([1.0, 2.0]) == f(x, n)
assert f(x, n) == "text"
assert str.__eq__("text", f(x, n)) is True
assert set(f(x, n)) == {3, 4}
assert sorted(f(x, n)) == [1.0, 2.0]
assert all(a == b for a, b in zip(f(x, n), [1.0, 2.0], strict=True))
assert json.dumps(f(x, n)) == "3"
assert re.fullmatch("3", f(x, n))
assert not (f(x, n) < 3 or f(x, n) > 3)
assert np.array(f(x, n)).sum() == 3
assert torch.tensor(f(x, n)).sum() == 3
assert len(f(x, n)) == 3
""".strip().splitlines()


@pytest.mark.parametrize("test", TRICKED)
def test_objects_that_agree_with_everything(lab: Lab, test: str) -> None:
    if "answers" not in str(lab.student("print([n for n in globals() if n == 'answers'])")):
        lab.fresh(ALWAYS)
    result = lab.check(f"""
x, want, passed = 1, np.array([1.0, 2.0]), []
for n in range(10):
    try:
        exec({test!r}, globals())
    except (AssertionError, TypeError, ValueError, AttributeError, KeyError, IndexError, RuntimeError):
        continue
    passed.append(n)
assert passed == [], passed
""")
    assert result.passed, result.message


def test_what_opaque_objects_say(lab: Lab) -> None:
    lab.fresh("class Thing:\n    def __eq__(self, o): return True\ndef f(): return Thing()")
    for test in (
        "np.allclose(f(), 1)",
        "torch.allclose(f(), torch.ones(1))",
        "assert f()",
        "f() < 1",
        "np.testing.assert_allclose(f(), 1)",
    ):
        result = lab.check(test)
        assert result.kind in ("failed", "error")
        assert "Thing" in result.message, (test, result.message)


PATCHES = {
    "builtins": "import builtins\nbuiltins.abs = lambda x: 0\nbuiltins.len = lambda x: 3\nbuiltins.isinstance = lambda *a: True",
    "libraries": "import json\njson.loads = json.dumps = np.allclose = math.isclose = lambda *a, **k: True",
    "modules": "import sys\nsys.modules['numpy'] = sys.modules['math'] = sys.modules['json'] = contextlib",
    "testing": "np.testing.assert_allclose = lambda *a, **k: None\ntesting.seed = lambda name: 0",
    "assertions": "import builtins\nbuiltins.AssertionError = KeyError\nclass X(Exception): pass\nbuiltins.Exception = X",
    "the wire": "from llmlabs.grade import wire\nwire.Proxy.__eq__ = lambda *a: True\nwire.Endpoint.decode = lambda *a: True",
}


@pytest.mark.parametrize("patch", PATCHES)
def test_patches_in_the_students_process(patch: str, tmp_path: Path) -> None:
    lab = Lab(HASTE, FEW_IMPORTS)
    try:
        lab.start(tmp_path)
        lab.student("def f(x): return x + 1")
        assert lab.check("assert f(1) == 2").passed
        with contextlib.suppress(KernelLostError):  # the kernel may not survive its own patch
            lab.student(PATCHES[patch], seconds=1)
        for test in (
            "assert f(1) == 3",
            "assert abs(f(1) - 3) < 0.1",
            "assert math.isclose(f(1.0), 3)",
            "assert np.allclose(f(np.ones(2)), 3)",
            "assert len([f(1)]) == 3",
            "try:\n    f(1)\nexcept ValueError:\n    pass\nelse:\n    raise AssertionError",
            "np.testing.assert_allclose(f(np.ones(2)), 3)",
            "f(seed('a'))\nassert seed('a') == 0",
        ):
            assert not lab.check(test).passed, test
    finally:
        lab.stop()


def body(value: Any = None, **changed: Any) -> str:
    """The text of an answer, as the submission would write it."""
    return json.dumps({"kind": "answer", "changes": [], "content": value, "drop": []} | changed)


def request(operation: Any, *args: Any) -> str:
    return body([operation, args, {}, None], kind="request")


def array(dtype: Any, shape: list[Any], data: str = "AAAA") -> list[Any]:
    return ["numpy.array", 1, dtype, ["tuple", *shape], ["bytes", data], True]


def tensor(dtype: Any, shape: list[Any], data: str = "AAAA") -> list[Any]:
    return ["torch.tensor", 1, dtype, ["tuple", *shape], ["bytes", data], False, True, None]


PICKLE = pickle.dumps(print).hex()
MALFORMED = {
    "empty": "",
    "not JSON": "<html>",
    "JSON of another kind": "[1, 2]",
    "no fields": "{}",
    "another kind": body(3, kind="surprise"),
    "kind of another type": body(3, kind=["answer"]),
    "deep JSON": "[" * 100_000,
    "deep value": body(json.loads("[" * 200 + "]" * 200)),
    "deep tuples": body(json.loads('["tuple",' * 300 + "1" + "]" * 300)),
    "a long integer": '{"kind": "answer", "value": ' + "9" * 100_000 + "}",
    "unknown tag": body(["pickle", PICKLE]),
    "code by name": body(["named", "os", "system"]),
    "a type that is not data": body(["type", "exec"]),
    "type of a library": body(["type", "numpy.ufunc"]),
    "reference to nothing": body(["ref", 77]),
    "another's object": body(["yours", -2]),
    "our number": body(["list", 2, None, 1]),
    "a negative number": body(["list", -1, None, 1]),
    "a number twice": body(["tuple", ["list", 1, None], ["list", 1, None]]),
    "a fractional number": body(["list", 1.0, None]),
    "unhashable key": body(["dict", 1, None, ["list", 3, None], 1]),
    "odd dict": body(["dict", 1, None, 1]),
    "object array": body(array("|O", [1])),
    "void array": body(array("|V8", [1])),
    "a dtype that is no dtype": body(array("i4,i4", [1])),
    "a huge dtype": body(array("<U999999999", [1])),
    "a huge shape": body(array("<f8", [10**15])),
    "a negative shape": body(array("<f8", [-1])),
    "a shape of text": body(array("<f8", ["3"])),
    "too little data": body(array("<f8", [2])),
    "bad base64": body(array("<f8", [2], "***")),
    "a dtype of torch": body(tensor("qint8", [3])),
    "a tensor too large": body(tensor("float32", [10**12])),
    "a negative tensor": body(tensor("float32", [-3])),
    "too little tensor data": body(tensor("float32", [2])),
    "a device": body(["torch.device", ["list", 1, None]]),
    "slow fraction": body(["fraction", "1e999999999", 1]),
    "a random state": body(["random", 1, ["tuple", 3, ["tuple", 1], None]]),
    "a generator by name": body(["numpy.rng", 1, "{}"]),
    "a path of a number": body(["path", 3]),
    "bad date": body(["date", "tomorrow"]),
    "changes of nothing": body(3, changes=[[4, 1]]),
    "changes of text": body(3, changes="abc"),
    "dropping text": body(3, drop=["x"]),
    "dropping lists": body(3, drop=[[]]),
    "a proxy by the wrong name": body(["proxy", -1, 3, [], [], None]),
    "a proxy with a null": body(["proxy", -1, "a\0b", [], [], None]),
    "a proxy with a surrogate": body(["proxy", -1, "\ud800", [], [], None]),
    "a handle of text": body(["proxy", "x", "a", [], [], None]),
    "an error without an error": body(3, kind="error"),
    "an error of a strange class": body(["error", ["type", "int"], ["tuple"], "text", "", 0], kind="error"),
    "an interrupt": body(["error", ["type", "KeyboardInterrupt"], ["tuple"], "text", "", 0], kind="error"),
    "an exit": body(["error", ["type", "SystemExit"], ["tuple", 0], "text", "", 0], kind="error"),
    "an error of an internal class": body(
        [
            "error",
            ["exception", -1, "X", ["llmlabs.grade.wire.SubmissionLostError", "builtins.BaseException"]],
            ["tuple"],
            "t",
            "",
            0,
        ],
        kind="error",
    ),
    "an error with a long text": body(
        ["error", ["type", "ValueError"], ["tuple"], "x" * 10**5, "y" * 10**5, 0], kind="error"
    ),
    "a request for our code": request("__call__", ["type", "int"], 3),
    "a request for a field": request("getattr", "text", "__class__"),
    "an unknown request": request("exec", "import os"),
    "a request of a list": request(["__call__"], 3),
    "a request without arguments": request("__iter__"),
    "half a request": body(["__call__"], kind="request"),
    "the checker's own operation": request("name", "f"),
}


# too large for a source line: expressions that the submission evaluates
LARGE = {"many values": "'[0' + ',0' * 2_100_000 + ']'", "too long": "'x' * 9_000_000"}


@pytest.mark.parametrize("text", [*MALFORMED, *LARGE])
def test_malformed_answers(lab: Lab, text: str) -> None:
    lab.fresh(f"""
import llmlabs.grade.wire as wire
pack = wire.Endpoint.pack
def forged(self, *a, **k):
    wire.Endpoint.pack = pack
    return {LARGE.get(text) or repr(MALFORMED[text])}
wire.Endpoint.pack = forged
""")
    process = lab.checker.process
    result = lab.check("f == 3\nassert False, 'still here'")
    assert not result.passed
    assert len(result.message) < 5_000
    lab.student("wire.Endpoint.pack = pack\ndef f(x): return x + 1")
    assert lab.check("assert f(1) == 2").passed
    assert lab.checker.process is process, "the checker had to be started again"


def test_a_forged_value_is_only_a_value(lab: Lab) -> None:
    """Forging can do what an honest return could do, and no more."""
    lab.fresh(f"""
import llmlabs.grade.wire as wire
pack = wire.Endpoint.pack
wire.Endpoint.pack = lambda self, *a, **k: {body(["list", 1, None, 3])!r}
""")
    assert lab.check("assert f == [3]").passed
    lab.student(
        f"wire.Endpoint.pack = lambda self, *a, **k: {body(['numpy.array', 1, '|b1', ['tuple', 1], ['bytes', 'Ag=='], True])!r}"
    )
    assert lab.check("assert f.tolist() == [True] and (f == True).all()").passed, "a boolean of value 2 was let in"
    lab.student("wire.Endpoint.pack = pack")


SEARCHES = {
    "history": "def look(): return [str(get_ipython().user_ns.get(n))[-10_000:] for n in ('In', 'Out', '_i', '_ii', '_ih', '_oh')]",
    "memory": """
import gc
def look():
    found = []
    for thing in gc.get_objects():
        for part in gc.get_referents(thing):
            if type(part) is str and part.startswith("".join(["MARK", "ER-73", "19"])) and len(part) < 30: found.append(part)
    return found
""",
    "frames": """
import sys
def look():
    frame, found = sys._getframe(), []
    while frame:
        found.append(str(frame.f_locals)[:100_000]); found.append(frame.f_code.co_filename)
        frame = frame.f_back
    return found
""",
    "the request": "def look(): return [str(get_ipython().kernel.get_parent())]",
    "environment": "import os, sys\ndef look(): return [str(os.environ), str(sys.argv), open('/proc/self/environ').read()]",
}


@pytest.mark.parametrize("search", SEARCHES)
def test_the_tests_text_is_not_there(lab: Lab, search: str) -> None:
    lab.fresh(SEARCHES[search])
    result = lab.check("""
secret = "MARKER-7319" + "-expected"
found = look()
text = "MARKER-" + "7319"
assert len(found) >= 0 and not any(text in str(part) for part in found), "the test's text was found"
assert "the-private-seed" not in str(found), "the seed was found"
""")
    assert result.passed, result.message


def test_callables_show_nothing_of_the_test(lab: Lab) -> None:
    lab.fresh("""
def look(*things):
    found = []
    for thing in things:
        for name in ("__globals__", "__code__", "__closure__", "__self__", "__func__", "__dict__", "__init__", "__class__", "__wrapped__",
                     "gi_frame", "gi_code", "f_globals", "_secret", "__reduce__", "__defaults__", "__getattribute__", "__builtins__"):
            try:
                value = getattr(thing, name)
            except AttributeError:
                continue
            found.append((name, repr(value)[:200]))
    return found
""")
    result = lab.check("""
hidden = "MARKER-expected"
class Fake:
    def __init__(self): self._secret = hidden
    def run(self): return 1
def g():
    yield hidden
fake = Fake()
found = look(lambda: hidden, fake, fake.run, g(), Fake, g)
bad = [(name, text) for name, text in found if name != "__class__" and "bound method Proxy" not in text and "method-wrapper" not in text]
assert not [b for b in bad if "MARKER" in str(b) or "Frame" in str(b) or b[0] in ("__globals__", "__code__", "gi_frame", "_secret")], bad
""")
    assert result.passed, result.message


def test_prompts_and_prints_are_not_answers(lab: Lab) -> None:
    lab.fresh(f"""
kernel = get_ipython().kernel
def f(x):
    print({body(3)!r})
    print("ready\\n" + {body(3)!r}, flush=True)
    for token in ("ready", "", "0" * 16):
        prompt = dict(prompt=token + "\\n" + {body(3)!r}, password=False)
        ident = kernel._get_shell_context_var(kernel._shell_parent_ident)
        kernel.session.send(kernel.stdin_socket, "input_request", prompt, kernel.get_parent(), ident=ident)
    return x
""")
    assert not lab.check("assert f(1) == 3").passed
    assert lab.check("assert f(1) == 1").passed
    assert not lab.check("assert f(1) == 3").passed


ENVELOPES = {
    "parent that is no dict": "('input_request', dict(prompt='x'), [1])",
    "content that is no dict": "('input_request', b'[1, 2]', parent)",
    "prompt that is no text": "('input_request', dict(prompt={'a': [None]}), parent)",
    "nothing": "('', {}, {})",
    "an answer to nothing": "('execute_reply', dict(status=['ok']), dict(msg_id=3))",
}


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_odd_messages(lab: Lab, envelope: str) -> None:
    lab.fresh(f"""
kernel = get_ipython().kernel
def f(x):
    parent = kernel.get_parent()
    kind, content, claimed = {ENVELOPES[envelope]}
    for socket in (kernel.stdin_socket, kernel.shell_stream):
        ident = kernel._get_shell_context_var(kernel._shell_parent_ident)
        message = kernel.session.msg(kind, content)
        message["content"], message["parent_header"] = content, claimed
        kernel.session.send(socket, message, ident=ident)
    kernel.session.send(kernel.iopub_socket, message, ident=b"stream")
    return x
""")
    assert lab.check("assert f(1) == 1").passed
    assert not lab.check("assert f(1) == 2").passed


def test_odd_outputs(lab: Lab) -> None:
    outputs = lab.student(
        """
kernel = get_ipython().kernel
print("fine")
for kind, content in (("stream", [1]), ("stream", dict(text=[1, "\\ud800"], name=7)), ("error", dict(ename=1, evalue=[2], traceback="abc")), ("error", {}),
                      ("display_data", dict(data={"text/plain": [1, {}], "image/png": "x", "a/json": {"b": 1}})), ("execute_result", dict(data=3))):
    message = kernel.session.msg(kind, content)
    message["content"] = content
    kernel.session.send(kernel.iopub_socket, message, parent=kernel.get_parent(), ident=kind.encode())
print("lone \\ud800 surrogate")
""".replace("\\\\", "\\")
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=outputs)])
    nbformat.validate(notebook)
    nbformat.writes(notebook).encode()
    assert "fine" in str(outputs)
    lab.fresh("def f(): raise ValueError('lone \\ud800 surrogate, \\x1b[31mred\\x00')")
    message = lab.check("f()").message
    assert message.encode() == b"your code raised ValueError: lone ? surrogate, red"


def test_what_cannot_cross_is_said(lab: Lab) -> None:
    lab.fresh(
        "def f(x): return x + 1\nclass Model(nn.Module):\n    def __init__(self): super().__init__(); self.w = nn.Linear(1, 1)\n    def forward(self, x): return self.w(x)"
    )
    for test, words in {
        "class Own:\n    def __add__(self, other): return 3\nf(Own())": "cannot be used by the notebook",
        "f(nn.Linear(1, 1))": "inside(",
        "class Sub(Model): pass": "derive",
        "Model()(torch.ones(1)).sum().backward()": "gradient_of",
        "gradient_of(lambda x: f(x), torch.ones(1))": "no gradient can flow",
        "import pickle\npickle.dumps(Model())": "pickled",
        "inside(lambda: 3)": "inside()",
    }.items():
        result = lab.check(test)
        assert not result.passed, test
        assert words in result.message, result.message


def test_what_the_notebook_imported_is_refused(lab: Lab) -> None:
    lab.fresh(
        "import statistics\nfrom math import isclose\nfrom numpy import allclose, add as plus\nfrom statistics import NormalDist\nmine = isclose"
    )
    for name in ("statistics", "isclose", "allclose", "NormalDist", "mine"):
        result = lab.check(f"{name}")
        assert result.error_type == "NameError"
        assert "imported from" in result.message


def test_input_is_refused(lab: Lab) -> None:
    lab.fresh("def f(): return input('a number: ')")
    result = lab.check("f()")
    assert result.error_type == "EOFError"
    assert "keyboard" in result.message


def test_output_floods(lab: Lab) -> None:
    lab.fresh("""
import sys, threading, time
from IPython.display import display
def f(x):
    for n in range(500): display(n)
    for n in range(100): print("x" * 100_000)
    sys.stderr.write("e" * 10_000_000)
    return x
stop = False
def flood():
    while not stop: print("y" * 1000); time.sleep(0.001)
threading.Thread(target=flood, daemon=True).start()
""")
    try:
        assert lab.check("assert f(3) == 3").passed
        assert not lab.check("assert f(3) == 4").passed
    finally:
        lab.student("stop = True")


def test_large_values_are_refused_in_words(lab: Lab) -> None:
    lab.fresh(
        "def f(): return np.zeros((1500, 1500))\ndef g(): return f\ndef deep():\n    x = []\n    for _ in range(100): x = [x]\n    return x\ndef objects(): return np.array([object()])"
    )
    assert "cannot cross" in lab.check("f()").message
    assert "nested" in lab.check("deep()").message
    assert "dtype" in lab.check("objects()").message
    assert lab.check("assert g() is f").passed


def test_a_shared_value_that_can_no_longer_cross(lab: Lab) -> None:
    lab.fresh("def f(x): x.append(np.array([object()]))\ndef g(x): x.append(x[0]); return len(x)")
    result = lab.check("x = [1]\nf(x)")
    assert not result.passed
    assert "cannot cross" in result.message
    assert lab.check("x = [1]\nassert g(x) == 2 and x == [1, 1]").passed


def test_exceptions_with_tricks(lab: Lab) -> None:
    lab.fresh("""
class Bad(Exception):
    def __str__(self): raise RuntimeError
    def __repr__(self): raise RuntimeError
class Long(ValueError):
    def __str__(self): return "x" * 10**7
class Base(BaseException): pass
def bad(): raise Bad
def long(): raise Long
def base(): raise Base("unusual")
def leave(): raise SystemExit(0)
def stop(): raise KeyboardInterrupt
def generator(): raise GeneratorExit
def assertion(): assert False, "from the student"
""")
    for name in ("bad", "long", "base", "leave", "stop", "generator", "assertion"):
        result = lab.check(f"{name}()")
        assert result.kind == "error", (name, result)
        assert result.message.startswith("your code raised"), result.message
        assert f"in {name}" in result.student_traceback
        assert len(result.message) <= 4_000
    for name in ("leave", "stop", "base"):
        assert not lab.check(
            f"try:\n    {name}()\nexcept (ValueError, SystemExit, KeyboardInterrupt):\n    pass"
        ).passed


def test_a_loop_in_a_call_is_interrupted(lab: Lab) -> None:
    lab.fresh("def f():\n    while True: pass\ndef g(): return 1")
    result = lab.check("f()")
    assert (result.kind, lab.kernel.alive) == ("timeout", True)
    assert "took more than 3 s" in result.message
    result = lab.check("try:\n    f()\nexcept BaseException:\n    pass\n")
    assert result.kind == "timeout"
    assert lab.check("assert g() == 1").passed


def test_the_checker_is_stopped_or_dies(tmp_path: Path) -> None:
    lab = Lab(Limits(**{**vars(LIMITS), "cell_seconds": 1}), FEW_IMPORTS)
    try:
        lab.start(tmp_path)
        lab.student("def f(): return 1")
        assert lab.check("while f() != 2: pass").kind == "timeout"
        assert lab.check("while True: pass").kind == "timeout"
        assert lab.check("assert f() == 1").passed
        assert lab.check("import os; f(); os._exit(3)").error_type == "CheckerDied"
        assert lab.check("assert f() == 1").passed
    finally:
        lab.stop()


# each of these ends the kernel, so each has one of its own
ENDINGS = {
    "os._exit": ("import os\ndef f(): os._exit(0)", "crash"),
    "a signal": ("import os, signal\ndef f(): os.kill(os.getpid(), 9)", "crash"),
    "swallowed interrupts": (
        "import time\ndef f():\n    while True:\n        try: time.sleep(9)\n        except BaseException: pass",
        "timeout",
    ),
    "ignored interrupts": (
        "import signal\ndef f():\n    signal.signal(signal.SIGINT, signal.SIG_IGN)\n    while True: pass",
        "timeout",
    ),
    "a thread that answers for the kernel": (
        """
import threading, time
kernel = get_ipython().kernel
def f():
    parent = kernel.get_parent()
    kernel.session.send(kernel.shell_stream, "execute_reply", {"status": "ok"}, parent, ident=kernel._get_shell_context_var(kernel._shell_parent_ident))
    kernel.shell_stream.flush()
    time.sleep(100)
""",
        "error",
    ),
    "a message too long to be received": (
        "import llmlabs.grade.wire as wire\nwire.Endpoint.pack = lambda *a, **k: 'x' * 20_000_000\ndef f(): pass",
        "timeout",
    ),
    "garbage on the sockets": (
        """
import threading, time
kernel = get_ipython().kernel
def f():
    kernel.stdin_socket.send_multipart([kernel._get_shell_context_var(kernel._shell_parent_ident)[0], b"garbage", b"{" * 1000])
    kernel.stdin_socket.send_multipart([kernel._get_shell_context_var(kernel._shell_parent_ident)[0], b"x" * 1000])
    while True: pass
""",
        "timeout",
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_end_of_the_kernel(ending: str, tmp_path: Path) -> None:
    lab = Lab(HASTE, FEW_IMPORTS)
    try:
        lab.start(tmp_path)
        student, kind = ENDINGS[ending]
        lab.student(student)
        result = lab.check("f()")
        assert result.kind == kind, result
        assert result.message
        assert not lab.check("assert False").passed
    finally:
        lab.stop()
