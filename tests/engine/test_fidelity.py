"""A test cell must end in the engine as it ends in a plain notebook."""

# ruff: noqa: E501 -- the cells read better unbroken

from __future__ import annotations

from typing import NamedTuple

import pytest

from .engine_lab import Lab, ended, plain


class Case(NamedTuple):
    name: str
    student: str
    test: str
    expected: str = "passed"


# each of these values must arrive as what it is, in both directions
VALUES = """
None, True, False, 0, -7, 2**64, -(3**900), 0.1, -0.0, 1e308, float("inf"), 1.5 - 2j
"", "naïve ☃ \\n", "lone \\ud800 surrogate", b"\\x00\\xff", bytearray(b"ab"), ..., slice(1, None, -1), range(3, 10**30, 2)
(), (1, (2, [3])), [], [1, [2, []]], {}, {1: 2, (1, "a"): [3], None: {}}, {1, 2}, frozenset({(1, 2)})
Decimal("1.50"), Fraction(-1, 3), date(2024, 2, 29), datetime(2024, 2, 29, 1, 2, 3, 4), timedelta(days=-1, microseconds=5)
Path("a/b"), collections.Counter("aab"), collections.OrderedDict([(2, 1), (1, 2)]), collections.deque([1, 2], maxlen=2)
int, float, list, type(None), ValueError, np.float32, torch.bfloat16, torch.device("cpu"), np.dtype("<f4"), torch.Size([2, 3])
np.float32(0.1), np.float64("-inf"), np.int8(-1), np.bool_(True), np.complex64(1j), np.float16(2), np.str_("é"), np.datetime64("2024-02-29")
np.array(3.0), np.array([]), np.zeros((0, 3), "i2"), np.arange(6.0).reshape(2, 3).T, np.array([True, False]), np.array(["a", "ßé"])
np.array([1 + 2j]), np.array([1, 2], ">i4"), np.array([1.5], "f2"), np.array(["2024", "NaT"], "M8[D]"), np.array([1, 2], "m8[s]")
np.asfortranarray(np.ones((2, 3))), np.arange(10)[::-2], np.array([b"ab"])
torch.tensor(3.0), torch.tensor([]), torch.arange(6).reshape(2, 3).T, torch.tensor([True, False]), torch.tensor([1.5]).bfloat16()
torch.tensor([1, 2], dtype=torch.int8), torch.tensor([1 + 2j]), torch.tensor([1.0]).half(), torch.ones(3).double(), torch.ones(2, 1).expand(2, 3), torch.ones(1).expand(1), torch.ones(()).expand(1, 1)
"""

SAME = """
def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return (a.dtype, a.shape, a.requires_grad) == (b.dtype, b.shape, b.requires_grad) and torch.equal(a, b)
    if isinstance(a, (np.ndarray, np.generic)):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, collections.deque):
        return a == b and a.maxlen == b.maxlen
    if isinstance(a, float):
        return repr(a) == repr(b)
    return a == b
"""

CASES = [
    Case(
        "values come",
        f"values = [{VALUES.strip()}]".replace("\n", ", "),
        SAME
        + f"""
expected = [{", ".join(VALUES.split(chr(10)))[1:-2]}]
assert len(values) == len(expected)
for got, want in zip(values, expected):
    assert same(got, want), f"{{want!r}} came as {{got!r}}"
""",
    ),
    Case(
        "values go",
        "seen = []\ndef put(x): seen.append((repr(x), type(x).__name__))",
        f"""
values = [{", ".join(VALUES.split(chr(10)))[1:-2]}]
for value in values:
    put(value)
assert [tuple(s) for s in seen] == [(repr(v), type(v).__name__) for v in values]
""",
    ),
    Case(
        "nan",
        "def f(): return [float('nan'), np.float32('nan'), torch.tensor([float('nan')])]",
        """
a, b, c = f()
assert math.isnan(a) and type(a) is float and np.isnan(b) and b.dtype == np.float32 and c.isnan().all()
""",
    ),
    Case("a wrong value", "def f(x): return x + 1", "assert f(1) == 3, 'one more'", "failed"),
    Case(
        "keyword arguments",
        "def f(a, *args, b=2, **kw): return [a, args, b, kw]",
        """
assert f(1, 2, 3, b=4, c=5) == [1, (2, 3), 4, {"c": 5}]
""",
    ),
    Case("changed list", "def f(x): x.append(x.pop(0))", "x = [1, 2, 3]; assert f(x) is None; assert x == [2, 3, 1]"),
    Case(
        "changed nested",
        "def f(d): d['a'][1]['b'].append(4); d['new'] = [1]; del d['old']",
        """
inner = []
d = {"a": (1, {"b": inner}), "old": 0}
f(d)
assert inner == [4] and d == {"a": (1, {"b": [4]}), "new": [1]}
""",
    ),
    Case(
        "changed set, deque, counter",
        "def f(s, d, c): s.add(9); d.append(9); c['x'] += 2",
        """
s, d, c = {1}, collections.deque([1, 2], 2), collections.Counter("x")
f(s, d, c)
assert s == {1, 9} and list(d) == [2, 9] and c == {"x": 3}
""",
    ),
    Case(
        "changed array",
        "def f(x): x[0] = 7; x *= 2",
        "x = np.arange(3.0); y = x; f(x); assert y.tolist() == [14.0, 2.0, 4.0]",
    ),
    Case("changed view", "def f(x): x[:] = 0", "x = np.ones((3, 3)); f(x[1]); assert x.sum() == 6"),
    Case("changed tensor", "def f(x): x.add_(1)", "x = torch.zeros(2, 3); f(x); assert x.sum() == 6"),
    Case(
        "changed transposed tensor",
        "def f(x): x[0] = 1",
        "x = torch.zeros(2, 3); f(x.T); assert x.tolist() == [[1, 0, 0], [1, 0, 0]]",
    ),
    Case(
        "an array that may not change",
        "def f(x): x[0] = 1",
        "x = np.zeros(2); x.flags.writeable = False; f(x)",
        "ValueError",
    ),
    Case(
        "an unchanged input",
        "def f(x): return x * 2",
        "x = torch.ones(2); kept = x.clone(); f(x); assert torch.equal(x, kept)",
    ),
    Case(
        "changed before an error",
        "def f(x): x.append(1); raise ValueError",
        """
x = []
try:
    f(x)
except ValueError:
    assert x == [1]
else:
    raise AssertionError
""",
    ),
    Case(
        "one list given twice", "def f(a, b): a.append(1); return a is b, len(b)", "x = []; assert f(x, x) == (True, 1)"
    ),
    Case("two equal lists", "def f(a, b): a.append(1); return a is b, len(b)", "assert f([], []) == (False, 0)"),
    Case(
        "the argument comes back",
        "def f(x): return x",
        "x = [1]; a = np.ones(2); t = torch.ones(1); assert f(x) is x and f(a) is a and f(t) is t",
    ),
    Case("a list that holds itself", "def f(x): return x[0] is x", "x = []; x.append(x); assert f(x) is True"),
    Case("a copy comes back", "def f(x): return list(x)", "x = [1]; assert f(x) is not x"),
    Case(
        "kept and changed later",
        "def keep(x):\n    global kept\n    kept = x\ndef later(): kept.append(2)",
        "x = [1]; keep(x); later(); assert x == [1, 2]",
    ),
    Case(
        "the test changes what was kept",
        "def keep(x):\n    global kept\n    kept = x\ndef look(): return list(kept)",
        "x = [1]; keep(x); x.append(5); assert look() == [1, 5]",
    ),
    Case(
        "the test changes the notebook's list",
        "store = [1]\ndef look(): return sum(store)",
        "store.append(5); assert look() == 6",
    ),
    Case("no return", "def f(): pass", "assert f() is None"),
    Case(
        "finite differences",
        """
class Layer:
    def __init__(self): self.W = np.arange(6.0).reshape(2, 3)
    def loss(self): return float((self.W ** 3).sum())
layer = Layer()
""",
        """
eps = 1e-5
for index in np.ndindex(2, 3):
    old = layer.W[index]
    layer.W[index] = old + eps
    up = layer.loss()
    layer.W[index] -= 2 * eps
    down = layer.loss()
    layer.W[index] = old
    assert abs((up - down) / (2 * eps) - 3 * old ** 2) < 1e-4
assert layer.W.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
layer.W += 1
assert layer.loss() == 441.0
layer.W = np.ones((1, 1)); assert layer.loss() == 1.0
""",
    ),
    Case(
        "through a view of a parameter",
        "model = nn.Linear(2, 1, bias=False)\ndef out(): return model(torch.ones(2)).item()",
        """
data = model.weight.data
data[:] = 1
assert out() == 2
data[0, 0] = 5
assert out() == 6
with torch.no_grad():
    model.weight.fill_(3.0)
assert out() == 6
nn.init.zeros_(model.weight)
assert out() == 0
""",
    ),
    Case(
        "a module",
        """
class Net(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.a, self.drop = nn.Linear(d, d), nn.Dropout(0.5)
    def forward(self, x): return self.drop(self.a(x))
""",
        """
torch.manual_seed(0)
net = Net(3)
net.eval()
x = torch.randn(2, 3)
assert isinstance(net, nn.Module) and isinstance(net.a, nn.Linear) and not isinstance(net, nn.Linear)
assert torch.allclose(net(x), x @ net.a.weight.T + net.a.bias)
assert isinstance(net.a.weight, nn.Parameter) and net.a.weight.requires_grad and net(x).requires_grad
assert sum(p.numel() for p in net.parameters()) == 12
assert set(net.state_dict()) == {"a.weight", "a.bias"} and [n for n, _ in net.named_parameters()] == ["a.weight", "a.bias"]
assert [type(m).__name__ for m in net.modules()] == ["Net", "Linear", "Dropout"]
with torch.no_grad():
    assert not net(x).requires_grad
    net(x).numpy()
net.a.weight = nn.Parameter(torch.zeros(3, 3))
net.load_state_dict({"a.weight": torch.eye(3), "a.bias": torch.zeros(3)})
assert torch.equal(net(x), x) and net.training is False
for p in net.parameters():
    p.requires_grad = False
assert not net(x).requires_grad
other = copy.deepcopy(net)
other.a.bias.data += 1
assert torch.equal(net(x) + 1, other(x))
""",
    ),
    Case(
        "gradients that the student leaves",
        """
def step(w, x):
    (w * x).sum().backward()
model = nn.Linear(1, 1)
def train(): model(torch.ones(1)).sum().backward()
""",
        """
w = torch.ones(2, requires_grad=True)
step(w, torch.tensor([2.0, 3.0]))
assert w.grad.tolist() == [2.0, 3.0]
step(w, torch.tensor([2.0, 3.0]))
assert w.grad.tolist() == [4.0, 6.0]
assert model.weight.grad is None
train()
assert model.weight.grad.item() == 1
""",
    ),
    Case(
        "a test's generators",
        """
def draw(rng): return rng.normal(size=3)
def sample(g): return torch.rand(3, generator=g)
def pick(r): return r.random()
""",
        """
a, b = np.random.default_rng(1), np.random.default_rng(1)
assert [draw(a).tolist(), draw(a).tolist()] == [b.normal(size=3).tolist(), b.normal(size=3).tolist()]
assert a.random() == b.random()
g, h = torch.Generator().manual_seed(2), torch.Generator().manual_seed(2)
assert torch.equal(sample(g), torch.rand(3, generator=h)) and torch.equal(torch.rand(3, generator=g), torch.rand(3, generator=h))
r, s = random.Random(3), random.Random(3)
assert pick(r) == s.random() and r.random() == s.random()
""",
    ),
    Case(
        "global seeds",
        "def f(): return [random.random(), np.random.rand(), torch.rand(1).item()]",
        """
random.seed(1); np.random.seed(1); torch.manual_seed(1)
first = f()
random.seed(1); np.random.seed(1); torch.manual_seed(1)
assert first == f() == [0.13436424411240122, np.random.RandomState(1).rand(), torch.rand(1, generator=torch.Generator().manual_seed(1)).item()]
""",
    ),
    Case(
        "default dtype",
        "def f(): return torch.ones(1).dtype",
        """
torch.set_default_dtype(torch.float64)
try:
    assert f() == torch.float64
finally:
    torch.set_default_dtype(torch.float32)
""",
    ),
    Case(
        "a class",
        """
class Stack:
    '''A stack.'''
    kind = "lifo"
    def __init__(self, items=()): self.items = list(items)
    def push(self, x): self.items.append(x); return self
    @property
    def top(self): return self.items[-1]
    @staticmethod
    def make(): return Stack([1])
    def __len__(self): return len(self.items)
    def __getitem__(self, i): return self.items[i]
    def __setitem__(self, i, v): self.items[i] = v
    def __contains__(self, x): return x in self.items
    def __iter__(self): return iter(self.items)
    def __repr__(self): return f"Stack({self.items})"
    def __call__(self, k): return k * 2
    def __format__(self, spec): return "<" + spec + ">"
""",
        """
s = Stack([1, 2])
assert s.push(3) is s and s.top == 3 and len(s) == 3 and s[0] == 1 and s[-2:] == [2, 3]
s[0] = 9
assert list(s) == [9, 2, 3] and 2 in s and 7 not in s and repr(s) == str(s) == "Stack([9, 2, 3])" and s(4) == 8
assert isinstance(s, Stack) and not isinstance(3, Stack) and not isinstance(Stack.make(), dict) and Stack.kind == "lifo"
assert hasattr(s, "push") and not hasattr(s, "pop") and getattr(s, "nothing", 5) == 5 and callable(s) and callable(Stack)
assert Stack.__name__ == "Stack" and Stack.__doc__ == "A stack." and type(s).__name__ == "Stack" and "push" in dir(s)
s.label = "x"
assert s.label == "x" and vars(s)["label"] == "x"
del s.label
assert not hasattr(s, "label") and f"{s:>4}" == "<>4>" and s != 3 and not s == [9, 2, 3] and s is not None
assert max(s) == 9 and sorted(s) == [2, 3, 9] and sum(s) == 14 and [a + b for a, b in zip(s, [1, 1, 1])] == [10, 3, 4]
assert {s: 1}[s] == 1 and s in [s] and [x for x in reversed(s)] == [3, 2, 9]
a, b, c = s
assert (a, b, c) == (9, 2, 3)
""",
    ),
    Case("no such attribute", "class A: pass", "A().x", "AttributeError"),
    Case("no len", "class A: pass", "len(A())", "TypeError"),
    Case("not callable", "class A: pass", "A()()", "TypeError"),
    Case("not iterable", "class A: pass", "list(A())", "TypeError"),
    Case("a wrong number of arguments", "def f(a): return a", "f(1, 2)", "TypeError"),
    Case(
        "dataclass",
        """
@dataclasses.dataclass
class Config:
    width: int = 3
    names: list = dataclasses.field(default_factory=list)
""",
        """
c = Config(names=["a"])
assert c.width == 3 and c.names == ["a"] and isinstance(c, Config) and repr(c) == "Config(width=3, names=['a'])"
c.names.append("b")
assert c.names == ["a", "b"]
c.width = 5
assert c.width == 5
""",
    ),
    Case(
        "named tuple",
        "Point = collections.namedtuple('Point', 'x y')\ndef f(): return Point(1, [2])",
        """
p = f()
x, y = p
assert (x, y) == (1, [2]) and p.x == 1 and p[1] == [2] and len(p) == 2 and p._fields == ("x", "y")
assert p._replace(x=5).x == 5 and 1 in p
""",
    ),
    Case(
        "enum",
        "class Kind(enum.Enum):\n    A = 1\n    B = 2\ndef f(x): return Kind.A if x else Kind.B",
        """
assert f(1) is Kind.A and f(0) == Kind.B and f(0) != Kind.A and f(1).name == "A" and f(1).value == 1
assert [k.name for k in Kind] == ["A", "B"] and Kind["B"] is Kind.B and len(Kind) == 2 and Kind(1) is Kind.A
""",
    ),
    Case(
        "lists of objects",
        "class Node:\n    def __init__(self, v, kids=()): self.v, self.kids = v, list(kids)\ntree = Node(1, [Node(2), Node(3, [Node(4)])])",
        """
def total(node): return node.v + sum(total(kid) for kid in node.kids)
assert total(tree) == 10 and tree.kids[0] is tree.kids[0] and tree.kids[0] is not tree.kids[1]
tree.kids.append(Node(10))
assert total(tree) == 20
""",
    ),
    Case(
        "generators are lazy",
        """
log = []
def count():
    n = 0
    while True:
        log.append(n)
        yield n
        n += 1
""",
        """
g = count()
assert next(g) == 0 and next(g) == 1 and log == [0, 1] and iter(g) is g
assert [x for x, _ in zip(g, range(3))] == [2, 3, 4] and take(g, 2) == [6, 7]
assert isinstance(g, collections.abc.Iterator)
def bounded(): yield from range(3)
assert list(bounded()) == [0, 1, 2]
""",
    ),
    Case(
        "generator ends",
        "def two(): yield 1; yield 2",
        "g = two(); assert list(g) == [1, 2] and next(g, None) is None; next(g)",
        "StopIteration",
    ),
    Case(
        "long collections",
        "class Many:\n    def __len__(self): return 100\n    def __iter__(self): return iter(range(100))",
        "assert list(Many()) == list(range(100))",
    ),
    Case(
        "dict views",
        "d = {'a': [1]}\ndef keys(): return d.keys()\ndef pairs(): return zip('ab', [1, 2])",
        """
assert list(keys()) == ["a"] and "a" in keys() and len(keys()) == 1 and dict(pairs()) == {"a": 1, "b": 2}
""",
    ),
    Case(
        "defaultdict",
        "counts = collections.defaultdict(lambda: collections.defaultdict(int))\ncounts['a']['b'] += 1\ndef look(): return sorted(counts)",
        """
assert counts == {"a": {"b": 1}} and counts["a"]["zzz"] == 0 and counts["new"]["b"] == 0
assert look() == ["a", "new"]
assert isinstance(counts, dict) and isinstance(counts, collections.defaultdict)
""",
    ),
    Case(
        "context manager",
        """
class Log:
    def __init__(self): self.events = []
    def __enter__(self): self.events.append("in"); return self
    def __exit__(self, kind, error, trace): self.events.append(kind and kind.__name__); return kind is KeyError
""",
        """
log = Log()
with log as entered:
    assert entered is log
with log:
    raise KeyError("swallowed")
assert log.events == ["in", None, "in", "KeyError"]
with log:
    raise ValueError
""",
        "ValueError",
    ),
    Case(
        "callables of the test",
        """
def apply(f, *args, **kw): return f(*args, **kw)
def twice(f): return lambda x: f(f(x))
def rank(words, key): return sorted(words, key=key)
""",
        """
assert apply(lambda a, b=1: a - b, 5, b=2) == 3 and rank(["aaa", "b"], len) == ["b", "aaa"]
assert rank(["xa", "wb"], lambda w: w[1]) == ["xa", "wb"] and twice(lambda x: x * 3)(2) == 18
seen = []
apply(seen.append, [1, 2])
assert seen == [[1, 2]]
assert apply(np.tanh, np.zeros(2)).tolist() == [0, 0] and apply(torch.relu, torch.tensor([-1.0])).item() == 0
x = [1]
assert apply(lambda y: y is x, x) is True
def change(y): y.append(2)
apply(change, x)
assert x == [1, 2]
assert apply(apply, lambda: 4) == 4
""",
    ),
    Case(
        "a callback that calls the notebook",
        "def outer(f, n): return f(n)\ndef inner(n): return n + 1",
        """
assert outer(lambda n: inner(n) * 10, 1) == 20
assert outer(lambda n: outer(lambda m: inner(m), n), 5) == 6
""",
    ),
    Case(
        "a test's error passes through",
        "def run(f):\n    try:\n        return f()\n    except KeyError:\n        return 'caught'",
        """
class Own(Exception): pass
def fail(error): raise error
assert run(lambda: fail(KeyError("k"))) == "caught"
marker = Own("mine")
try:
    run(lambda: fail(marker))
except Own as error:
    assert error is marker
else:
    raise AssertionError
run(lambda: fail(TimeoutError("slow")))
""",
        "TimeoutError",
    ),
    Case(
        "retries",
        """
def retry(f, times, on):
    for left in range(times, 0, -1):
        try:
            return f()
        except on:
            if left == 1: raise
""",
        """
class Flaky(Exception): pass
calls = []
def f():
    calls.append(1)
    if len(calls) < 3: raise Flaky("again")
    return "done"
assert retry(f, 5, Flaky) == "done" and len(calls) == 3
assert pytest.raises(ZeroDivisionError, retry, lambda: 1 / 0, 2, on=ZeroDivisionError)
calls.clear()
with pytest.raises(Flaky, match="again"):
    retry(f, 2, on=(Flaky, KeyError))
""",
    ),
    Case(
        "fake objects",
        """
class Agent:
    def __init__(self, llm, tools): self.llm, self.tools = llm, {t.__name__: t for t in tools}
    def run(self, task):
        reply = self.llm.complete(task, temperature=0)
        name, argument = reply.split()
        return self.tools[name](int(argument)), self.llm.calls, len(self.llm)
def schema(tool): return {"doc": tool.__doc__, "names": list(inspect.signature(tool).parameters), "x": inspect.signature(tool).parameters["x"].annotation}
""",
        """
class FakeLLM:
    def __init__(self): self.calls = 0
    def complete(self, prompt, temperature):
        self.calls += 1
        return "double 21"
    def __len__(self): return self.calls
def double(x: int, y: str = "a"):
    "Twice x."
    return 2 * x
assert Agent(FakeLLM(), [double]).run("go") == (42, 1, 1)
assert schema(double) == {"doc": "Twice x.", "names": ["x", "y"], "x": int}
""",
    ),
    Case(
        "streams from the test",
        "def total(items): return sum(items)\ndef first(items): return next(iter(items))",
        """
assert total(x for x in range(4)) == 6 and total(iter([1, 2])) == 3 and total(map(abs, [-1, -2])) == 3
def endless():
    while True: yield 7
assert first(endless()) == 7
""",
    ),
    Case(
        "threads call back",
        "from concurrent.futures import ThreadPoolExecutor\ndef ask_all(llm, prompts):\n    with ThreadPoolExecutor(4) as pool: return list(pool.map(llm, prompts))",
        """
assert ask_all(lambda p: p.upper(), list("abcdefgh")) == list("ABCDEFGH")
""",
    ),
    Case(
        "signature",
        "def f(a, b: int = 2, *rest, c, **more): pass",
        "assert str(inspect.signature(f)) == '(a, b: int = 2, *rest, c, **more)'",
    ),
    *[
        Case(
            f"raises {error}",
            f"def f(): raise {error}",
            f"""
try:
    f()
except {error.partition("(")[0]} as error:
    assert str(error) == str({error}) and error.args == ({error}).args, repr(error)
""",
        )
        for error in (
            "ValueError('bad')",
            "KeyError('k')",
            "ValueError()",
            "IndexError('i', 3)",
            "NotImplementedError()",
            "OSError(2, 'gone')",
            "np.linalg.LinAlgError('singular')",
            "UnicodeDecodeError('utf-8', b'x', 0, 1, 'r')",
            "ZeroDivisionError('z')",
        )
    ],
    Case(
        "an unsolved cell",
        "def f():\n    # YOUR CODE HERE\n    raise NotImplementedError()",
        "f()",
        "NotImplementedError",
    ),
    Case(
        "json error",
        "def f(): json.loads('{')",
        "try:\n    f()\nexcept json.JSONDecodeError as e:\n    assert 'Expecting' in str(e)\nelse:\n    assert False",
    ),
    Case("no such error", "def f(): pass", "with pytest.raises(ValueError):\n    f()", "failed"),
    Case(
        "raises and match",
        "def f(): raise ValueError('got 3 heads')",
        "with pytest.raises(ValueError, match='3 heads'):\n    f()",
    ),
    Case(
        "the notebook's own errors",
        """
class ParseError(ValueError):
    def __init__(self, text, position): super().__init__(text); self.position = position
def parse(): raise ParseError("bad token", 7)
""",
        """
for kind in (ParseError, ValueError, Exception):
    try:
        parse()
    except kind as error:
        assert str(error) == "bad token" and isinstance(error, ParseError) and type(error).__name__ == "ParseError"
        assert error.position == 7
    else:
        raise AssertionError
assert issubclass(ParseError, ValueError)
parse()
""",
        "ParseError",
    ),
    Case("a missing name", "", "undefined_name(1)", "NameError"),
    Case(
        "a missing name, caught",
        "here = 1",
        "assert 'here' in globals() and 'absent' not in globals()\ntry:\n    absent\nexcept NameError:\n    pass",
    ),
    Case("recursion", "def f(): return f()", "f()", "RecursionError"),
    Case(
        "noise costs nothing",
        """
import logging, sys, warnings
def f(x):
    print("x" * 1000); print("err", file=sys.stderr); warnings.warn("careful"); logging.getLogger().warning("hm")
    return x
""",
        "assert f(3) == 3",
    ),
    Case(
        "names of the test",
        "def f(g): return g(2)",
        """
scale = 3
def helper(n):
    return [scale * m for m in range(n)]
class Local:
    factor = scale
assert f(helper) == [0, 3] and Local.factor == 3
assert [f(lambda n, k=k: n * k) for k in range(3)] == [0, 2, 4]
""",
    ),
    Case("a name that Python has too", "def sum(x): return 'mine'", "assert max([1, 2]) == 2"),
    Case(
        "async",
        """
async def fetch(x):
    await asyncio.sleep(0)
    return x * 2
async def gather(tool, n): return await asyncio.gather(*(tool(i) for i in range(n)))
class Client:
    async def get(self): return "ok"
""",
        """
assert await fetch(4) == 8 and await Client().get() == "ok"
async def tool(i):
    await asyncio.sleep(0)
    return i * i
assert await gather(tool, 3) == [0, 1, 4]
""",
    ),
    Case(
        "operators of a class",
        """
class Value:
    def __init__(self, v): self.v = v
    def __add__(self, o): return Value(self.v + (o.v if isinstance(o, Value) else o))
    __radd__ = __add__
    def __mul__(self, o): return Value(self.v * (o.v if isinstance(o, Value) else o))
    def __neg__(self): return Value(-self.v)
    def __pow__(self, k): return Value(self.v ** k)
    def __eq__(self, o): return isinstance(o, Value) and self.v == o.v
    def __lt__(self, o): return self.v < o.v
    def __matmul__(self, o): return self.v * o.v
    def __bool__(self): return self.v != 0
    def __iadd__(self, o): self.v += o; return self
    def __float__(self): return float(self.v)
""",
        """
allow_operators(Value)
a, b = Value(2), Value(3)
assert (a + b).v == 5 and (1 + a).v == 3 and (a * b + 1).v == 7 and (-a ** 2).v == -4 and a @ b == 6
assert a == Value(2) and a != b and a < b and not Value(0) and float(b) == 3.0 and sum([a, b]).v == 5
old = a
a += 5
assert a is old and old.v == 7
""",
    ),
    Case(
        "gradient_of",
        "def f(x, n, *, scale=1.0): return scale * x ** n\ndef pair(x, y): return x * y\ndef blank(x): raise NotImplementedError",
        """
x = torch.tensor([1.0, 2.0])
g, nothing = gradient_of(f, x, 3, scale=2.0)
assert g.tolist() == [6.0, 24.0] and nothing is None and not x.requires_grad and x.grad is None
gx, gy = gradient_of(pair, x, torch.zeros(2, dtype=torch.float64))
assert gx.tolist() == [0, 0] and gy.tolist() == [1.0, 2.0] and gy.dtype == torch.float64
gradient_of(blank, x)
""",
        "NotImplementedError",
    ),
    Case(
        "helpers for modules",
        "model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))",
        """
before = parameters_of(model)
assert sorted(before) == ["0.bias", "0.weight", "1.bias", "1.weight"]
load_parameters(model, {"0.weight": torch.eye(2), "0.bias": torch.zeros(2), "1.weight": torch.ones(1, 2), "1.bias": torch.zeros(1)})
assert model(torch.tensor([2.0, 3.0])).item() == 5 and not torch.equal(before["0.weight"], torch.eye(2))
assert parameter_gradients(model, torch.tensor([2.0, 3.0]))["1.weight"].tolist() == [[2.0, 3.0]]
assert raised_by(load_parameters, model, {"0.bias": torch.zeros(3)})[0] == "RuntimeError"
assert raised_by(len, [1]) is None
""",
    ),
    Case(
        "inside",
        "def count(model): return sum(p.numel() for p in model.parameters())\ndef freeze(model):\n    for p in model.parameters(): p.requires_grad = False",
        """
model = inside(nn.Sequential, inside(nn.Linear, 2, 3), inside(nn.ReLU))
assert count(model) == 9 and isinstance(model, nn.Sequential)
freeze(model)
assert not any(p.requires_grad for p in model.parameters()) and isinstance(model[0], nn.Linear) and len(model) == 2
""",
    ),
    Case("seed", "", "assert seed('a') == seed('a') != seed('b') and 0 <= seed('a') < 2**32"),
    Case(
        "numpy testing",
        "def f(): return np.array([1.0, 2.0])",
        "np.testing.assert_allclose(f(), [1.0, 2.5], err_msg='compare')",
        "failed",
    ),
    Case("wrong shape", "def f(): return np.ones(2)", "f()[5]", "IndexError"),
    Case("wrong type", "def f(): return 'text'", "f() - 1", "TypeError"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plain(case: Case) -> None:
    assert plain(case.student, case.test) == case.expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_engine(case: Case, lab: Lab) -> None:
    lab.fresh(case.student)
    result = lab.check(case.test)
    assert ended(result) == case.expected, (result.message, result.student_traceback)
