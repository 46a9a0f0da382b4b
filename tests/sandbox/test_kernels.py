"""Kernels that are warm or cold, in a box or not: they must behave alike, and leave nothing behind."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from nbclient import NotebookClient

from llmlabs.grade import provisioner
from llmlabs.grade.execute import preload
from llmlabs.grade.provisioner import connect_zygote, runtime_folder, sandboxed_kernel_manager
from llmlabs.grade.sandbox import Box
from llmlabs.grade.zygote import KernelProcess

from .conftest import PRELOAD, Kernel
from .test_box import PROGRAMS, none_runs, running, wait_until

Start = Callable[..., Kernel]
WARM = pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
BOXED = pytest.mark.parametrize("boxed", [False, True], ids=["plain", "boxed"])
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="warm starts and boxes need Linux")


OPEN_FILES = """
expected = "anon_inode:[event", "socket:", "pipe:", "/dev/"
for fd in range(1024):
    try:
        name = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        continue
    if not name.startswith(expected):
        print(name)
"""


@WARM
@BOXED
def test_like_any_kernel(kernel: Start, box: Box, boxed: bool, warm: bool) -> None:
    started = time.monotonic()
    k = kernel(box if boxed else None, warm=warm)
    assert isinstance(k.manager.provisioner.process, KernelProcess) == (warm or boxed)
    k.run("import numpy, torch")
    print(
        f"{'warm' if warm else 'cold'}{', boxed' if boxed else ''}: {time.monotonic() - started:.2f} s to import torch"
    )
    # threads of Python, BLAS, torch; processes, by fork and by a new program
    assert k.run("import concurrent.futures as c; print(sum(c.ThreadPoolExecutor(4).map(abs, range(10))))") == "45"
    assert (
        k.run("x = torch.ones(300, 300); print(((x @ x).sum() - 300**3).item(), numpy.ones((9, 9)).dot(1).sum())")
        == "0.0 81.0"
    )
    assert k.run("import multiprocessing as m\nwith m.Pool(2) as pool: print(pool.map(abs, [-1, -2]))") == "[1, 2]"
    assert k.run("import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(6 * 7)'])") in ("42", "")
    assert k.run("!echo shell") == "shell"
    assert k.run("1/0") == "ZeroDivisionError: division by zero"
    assert k.run("import os, sys, tempfile; print(sys.argv[0][-20:], tempfile.gettempdir(), __name__)").endswith(
        "/tmp __main__"
    )
    if boxed:
        assert k.run("print(os.getcwd(), open('file.txt').read())") == "/home/student text of scratch"
    # an interrupt stops the cell, and the kernel goes on
    loop = "import time; print('begun', flush=True)\nfor i in range(3000): time.sleep(0.01)"
    message = k.client.execute(loop, stop_on_error=False)
    while k.client.get_iopub_msg(timeout=20)["msg_type"] != "stream":
        pass
    k.manager.interrupt_kernel()
    reply = k.client.get_shell_msg(timeout=20)
    assert reply["parent_header"]["msg_id"] == message
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert k.run("print('still here')") == "still here"
    k.manager.restart_kernel(now=True)
    k.client.wait_for_ready(timeout=60)
    assert k.run("print('x' in globals())") == "False"
    # a polite end leaves nothing
    k.manager.shutdown_kernel()
    assert not k.manager.is_alive()
    assert k.manager.exceeded == ""
    assert not Path(k.manager.connection_file).exists()


def test_siblings_draw_different_numbers_and_equal_ones_from_equal_seeds(kernel: Start) -> None:
    draw = "import random, numpy, torch; print(random.random(), numpy.random.rand(), torch.rand(1).item())"
    seed = "random.seed(1); numpy.random.seed(1); torch.manual_seed(1);"
    one, two = kernel(None, warm=True), kernel(None, warm=True)
    first, second = one.run(draw).split(), two.run(draw).split()
    assert not set(first) & set(second)
    assert one.run(seed + draw) == two.run(seed + draw)
    assert one.run("print(hash('text'))") == two.run("print(hash('text'))")  # documented: the zygote's


@WARM
def test_neighbours_cannot_meet(kernel: Start, box: Box, warm: bool) -> None:
    one, two = kernel(box, warm=warm), kernel(box, warm=warm)
    one.run("open('mine', 'w').write('x'); open('/tmp/mine', 'w').write('x')")
    assert two.run("import os; print([os.path.exists(p) for p in ('mine', '/tmp/mine')])") == "[False, False]"
    hidden = [str(runtime_folder()), str(Path(one.manager.connection_file).parent)]
    assert two.run(f"print([os.path.exists(p) for p in {hidden}])") == "[False, False]"
    own = "['k-1', 'k-2', 'k-3', 'k-4', 'k-5', 'kernel.json'] 0"
    assert two.run("print(sorted(os.listdir('/run/llmlabs')), os.getppid())") == own
    assert two.run(PROGRAMS) == ""
    assert two.run(OPEN_FILES) == ""
    # who kills all it can reach ends itself
    two.client.execute("import signal; os.kill(-1, signal.SIGKILL); os.kill(os.getpid(), signal.SIGKILL)")
    wait_until(lambda: not two.manager.is_alive())
    assert one.run("print('unhurt')") == "unhurt"


@pytest.mark.parametrize(
    ("code", "limits", "exceeded"),
    [
        ("import time; time.sleep(100)", {"wall_seconds": 8}, "it ran for more than 8 s"),
        ("while True: pass", {"cpu_seconds": 2}, "it used more than 2 s of processor time"),
        (
            "import os, time\nfor _ in range(8): os.fork() or (bytearray(200 << 20), time.sleep(100))",
            {"memory_bytes": 700 << 20},
            "it used more than 0.684 GiB of memory",
        ),
        ("import os; os._exit(3)", {}, ""),
    ],
    ids=["wall", "processor", "memory", "exit"],
)
def test_the_manager_says_why_it_died(
    kernel: Start, box: Box, code: str, limits: dict[str, Any], exceeded: str
) -> None:
    k = kernel(replace(box, **limits), warm=True)
    k.client.execute(code)
    wait_until(lambda: not k.manager.is_alive())
    assert k.manager.exceeded == exceeded


def test_memory_error_comes_before_the_end(kernel: Start, box: Box) -> None:
    k = kernel(replace(box, memory_bytes=700 << 20), warm=True)
    assert k.run("held = [bytearray(100 << 20) for _ in range(20)]") == "MemoryError:"
    assert k.run("print('still here')") == "still here"


def test_kill_tree(kernel: Start) -> None:
    for warm in (False, True):
        mark = str(uuid.uuid4())
        k = kernel(None, warm=warm)
        sleeper = f"[sys.executable, '-c', 'import time; time.sleep(100)', '{mark}']"
        k.run(f"import subprocess, sys; p = subprocess.Popen({sleeper}, start_new_session=True)")
        assert running(mark)
        k.manager.kill_tree()
        k.manager.kill_tree()
        wait_until(partial(none_runs, mark))


def test_plain_warm_kernel_dies_with_its_client() -> None:
    """Without a box, too, and with it what it started, however it tried to get away."""
    mark = str(uuid.uuid4())
    sleeper = [sys.executable, "-c", "import time; time.sleep(100)", mark]
    daemon = f"import os, subprocess; os.fork() or (os.setsid(), os.fork() or subprocess.run({sleeper!r}))"
    client = f"""
import sys, time
from llmlabs.grade.provisioner import sandboxed_kernel_manager
manager = sandboxed_kernel_manager(None, preload={PRELOAD!r}, blocking=True)
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready()
client.execute({daemon!r})
time.sleep(100)
"""
    path = ":".join(sys.path)
    process = subprocess.Popen([sys.executable, "-c", client], env={**os.environ, "PYTHONPATH": path})
    try:
        wait_until(lambda: [p for p in running(mark) if p.pid != process.pid], 60)
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not running(mark))


def test_other_systems_start_normal_kernels() -> None:
    """Windows has neither these modules nor these names: the provisioner must be there all the same."""
    code = """
import signal, socket, sys
import jupyter_client.manager, jupyter_client.provisioning.local_provisioner, psutil
for name in ("fcntl", "resource"):
    sys.modules[name] = None
del socket.AF_UNIX, socket.send_fds, signal.SIGKILL, signal.pidfd_send_signal
import llmlabs.grade.provisioner as provisioner
sys.platform = "win32"
from llmlabs.grade.sandbox import SandboxUnavailable, available_layers
try:
    available_layers()
except SandboxUnavailable as error:
    print(error.what)
"""
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "Submissions can be sandboxed on Linux only.\n", done.stderr


def test_switch(kernel: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMLABS_WARM", "0")
    k = kernel(None, warm=True)
    assert isinstance(k.manager.provisioner.process, subprocess.Popen)
    assert k.manager.transport == "tcp"


def test_a_preload_with_threads_is_not_forked(
    kernel: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(99,), daemon=True).start()"
    )
    monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    manager = sandboxed_kernel_manager(None, preload=("threaded",), blocking=True)
    said: list[str] = []
    monkeypatch.setattr(manager.provisioner.log, "warning", lambda text, *values: said.append(text % values))
    try:
        manager.start_kernel()
        assert isinstance(manager.provisioner.process, subprocess.Popen)
        assert "must have one thread, this one has 2" in said[0]
        assert not [p for p in psutil.process_iter(["cmdline"]) if "threaded" in (p.info["cmdline"] or ())]
    finally:
        manager.kill_tree()


def test_a_module_in_a_module_is_preloaded(kernel: Start) -> None:
    cell = nbformat.v4.new_code_cell("from wsgiref import validate\nfrom json import dumps")
    cell.metadata["nbgrader"] = {"locked": True, "grade": False, "solution": False, "task": False}
    names = preload(nbformat.v4.new_notebook(cells=[cell]))
    assert {"wsgiref", "wsgiref:validate", "json:dumps"} <= set(names)
    k = kernel(None, warm=True, preload=names)
    assert k.run("import sys; print('wsgiref.validate' in sys.modules)") == "True"


def test_a_missing_preload_is_the_notebooks_error(kernel: Start) -> None:
    k = kernel(None, warm=True, preload=("no_such_module",))
    assert isinstance(k.manager.provisioner.process, KernelProcess)
    assert k.run("import no_such_module").startswith("ModuleNotFoundError")


def test_zygote_is_shared_and_leaves_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioner, "IDLE_SECONDS", 1)
    environment = {"PYTHONHASHSEED": "1", "PATH": os.defpath}
    before = set(runtime_folder().iterdir())
    for _ in range(2):
        connect_zygote(["json"], environment).close()
    (path,) = [p for p in set(runtime_folder().iterdir()) - before if not p.suffix]
    wait_until(lambda: len(running(str(path))) == 1)  # its two keepers have left with their clients
    monkeypatch.setattr(provisioner, "_installed", lambda: ["an upgraded package"])
    connect_zygote(["json"], environment).close()
    (other,) = [p for p in set(runtime_folder().iterdir()) - before - {path} if not p.suffix]
    wait_until(lambda: not path.exists() and not other.exists())
    wait_until(lambda: not running(str(path)))


def test_zygote_holds_no_secret(monkeypatch: pytest.MonkeyPatch, kernel: Start, box: Box) -> None:
    monkeypatch.setenv("LLMLABS_SEED", "seed-of-the-grader")
    for one in (box, None):
        kernel(one, warm=True)
    zygotes = [
        p for p in psutil.process_iter(["cmdline"]) if str(runtime_folder()) in " ".join(p.info["cmdline"] or ())
    ]
    assert zygotes
    assert not [p for p in zygotes if "LLMLABS_SEED" in p.environ()]


def test_kernelspec_is_enough_for_nbclient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("llmlabs-warm", "llmlabs.grade.provisioner:WarmProvisioner", KernelProvisionerFactory.GROUP_NAME)
    monkeypatch.setitem(KernelProvisionerFactory.instance().provisioners, entry.name, entry)
    folder = tmp_path / "kernels" / "warm"
    folder.mkdir(parents=True)
    stanza = {"provisioner_name": entry.name, "config": {"preload": list(PRELOAD)}}
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Warm", "language": "python", "metadata": {"kernel_provisioner": stanza}}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import os; os.getcwd(), os.environ['OWN']")])
    monkeypatch.setenv("OWN", "the user's")
    NotebookClient(notebook, kernel_name="warm", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert ast.literal_eval(notebook.cells[0].outputs[0].data["text/plain"]) == (str(tmp_path), "the user's")


def test_async_manager(box: Box) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("2 + 2")])

    async def execute() -> None:
        manager = sandboxed_kernel_manager(box, preload=PRELOAD)
        client = NotebookClient(notebook, km=manager)
        try:
            await client.async_execute()
        finally:
            assert client.kc
            client.kc.stop_channels()  # nbclient leaves that to the owner of the manager
            manager.kill_tree()

    asyncio.run(execute())
    assert notebook.cells[0].outputs[0].data["text/plain"] == "4"


def test_many_at_once(kernel: Start, box: Box) -> None:
    kernels = [kernel(box, warm=True) for _ in range(6)]
    messages = [k.client.execute("import torch; torch.ones(100, 100) @ torch.ones(100, 100)") for k in kernels]
    for k, message in zip(kernels, messages, strict=True):
        assert k.client.get_shell_msg(timeout=30)["parent_header"]["msg_id"] == message
        assert k.run("import os; print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit())[:3])") == "[1, 2, 3]"
