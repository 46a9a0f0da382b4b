"""Grading that is killed in the middle goes on where it was, and the gradebook is as if nothing had happened."""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dask
import nbformat
import psutil
import pytest
from nbgrader.api import Gradebook

from llmlabs.grade.grading import Options, grade_section
from llmlabs.verify.submissions import answered, solutions

from .hostile.classroom import find_survivors, own_zygotes

LAB = "01_arithmetic/arithmetic.ipynb"
STUDENTS = ("ada", "ben", "cleo", "dan", "eve", "fay")
SLOW = "import time\ntime.sleep(1.5)\n"  # long enough to be killed in
SECONDS = 120

Scores = dict[tuple[str, str], float]


def quiet(line: str) -> None:
    """Take a line of progress and drop it."""


@pytest.fixture
def classroom(built_mini: Path, tmp_path: Path) -> Path:
    """Six students, whose totals are 6, 12, 18, 25, 6 and 12."""
    root = tmp_path / "mini"
    shutil.copytree(built_mini, root)
    release = nbformat.read(root / "release" / LAB, as_version=4)
    source = nbformat.read(root / "source" / LAB, as_version=4)
    exercises = ["add", "double", "largest", "clip"]
    for number, student in enumerate(STUDENTS):
        answers = solutions(source, exercises[: number % 4 + 1])
        path = root / "submitted" / student / LAB
        path.parent.mkdir(parents=True)
        nbformat.write(answered(release, answers | {"add": SLOW + answers["add"]}), path)
    return root


DUE = dict(zip(STUDENTS, (6, 12, 18, 25, 6, 12), strict=True))


def scores(root: Path) -> Scores:
    """Each test's points of each student as the gradebook holds them; a second row for one is an error."""
    found: Scores = {}
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}", "llm_labs") as gradebook:
        for submission in gradebook.assignment_submissions("01_arithmetic"):
            for notebook in submission.notebooks:
                for grade in notebook.grades:
                    key = (submission.student.id, grade.name)
                    assert key not in found, f"{key} is there twice"
                    found[key] = grade.score
    return found


def totals(found: Scores) -> dict[str, float]:
    return {s: sum(points for (student, _), points in found.items() if student == s) for s in STUDENTS}


@contextmanager
def grading(root: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[str], None]]]:
    """`llmlabs grade` in a process of its own, and a function that waits until it prints what matches a pattern."""
    command = [sys.executable, "-m", "llmlabs.cli", "grade", "01", "--workers", "2", *arguments]
    environment = os.environ | {"LLMLABS_ROOT": str(root), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=2, text=True)
    assert process.stdout is not None
    lines: list[str] = []

    def wait_for(pattern: str) -> None:
        for line in process.stdout or ():
            lines.append(line)
            if re.search(pattern, line):
                return
        raise AssertionError(f"{pattern!r} was not printed: {lines}")

    try:
        yield process, wait_for
    finally:
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            child.kill()
        process.kill()
        process.communicate()


def finish(root: Path) -> None:
    """Grade what is left, and see that it was less than all and came out right."""
    said: list[str] = []
    report = grade_section(root, "01", Options(workers=2), say=said.append)
    kept = [line for line in said if "unchanged since they were graded" in line]
    assert kept, f"nothing of the run that was killed has been kept: {said}"
    assert {grade.student: grade.total for grade in report.grades} == DUE
    found = scores(root)
    assert totals(found) == DUE
    assert len(found) == 8 * len(STUDENTS)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    workers = [p for p in psutil.Process(process.pid).children() if "spawn_main" in " ".join(p.cmdline())]
    assert len(workers) == 2
    return workers


def test_the_command_is_killed(classroom: Path) -> None:
    with own_zygotes() as folder, grading(classroom) as (process, wait_for):
        wait_for(r"^\[2/6\]")
        workers = workers_of(process)
        process.send_signal(signal.SIGKILL)
        process.wait(SECONDS)
        assert psutil.wait_procs(workers, timeout=20)[1] == [], "a worker outlives the command"
        assert find_survivors(folder) == [], "a notebook outlives the command"
    finish(classroom)


def test_a_worker_is_killed(classroom: Path) -> None:
    """The job that it was at is run again, and the command ends as if nothing had happened."""
    with grading(classroom) as (process, wait_for):
        wait_for(r"^\[1/6\]")
        workers_of(process)[0].kill()
        wait_for("grades.csv")
        assert process.wait(SECONDS) == 0
    assert totals(scores(classroom)) == DUE
    finish(classroom)


def dask_process(stack: ExitStack, *command: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def start_cluster(stack: ExitStack, address: str, options: list[str]) -> subprocess.Popen[bytes]:
    """A Dask scheduler at this address and one worker; returns the scheduler's process once it listens."""
    port = address.rpartition(":")[2]
    common = ["--host", "127.0.0.1", "--no-dashboard"]
    scheduler = dask_process(stack, "distributed.cli.dask_scheduler", *common, "--port", port, *options)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", int(port))) == 0:
                break
        time.sleep(0.1)
    dask_process(stack, "distributed.cli.dask_worker", address, *common, "--nthreads", "1", "--no-nanny", *options)
    return scheduler


def test_the_scheduler_is_killed(classroom: Path) -> None:
    """The command says that these have no score, in words, and ends; the next one grades them."""
    address = f"tcp://127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        scheduler = start_cluster(stack, address, [])
        process, wait_for = stack.enter_context(grading(classroom, "--scheduler", address))
        wait_for(r"^\[2/6\]")
        scheduler.kill()
        wait_for("has no score")
        wait_for("grades.csv")
        assert process.wait(SECONDS) == 0
    finish(classroom)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a self-signed certificate in one file, as Dask takes them."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "cluster.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_cluster_over_tls(classroom: Path, certificate: Path) -> None:
    address = f"tls://127.0.0.1:{free_port()}"
    files = [part for role in ("ca-file", "cert", "key") for part in (f"--tls-{role}", str(certificate))]
    names = ("ca-file", "client.key", "client.cert")
    tls = {f"distributed.comm.tls.{name}": str(certificate) for name in names}
    with ExitStack() as stack:
        start_cluster(stack, address, files)
        stack.enter_context(dask.config.set(tls))
        report = grade_section(classroom, "01", Options(scheduler=address), say=quiet)
    assert {grade.student: grade.total for grade in report.grades} == DUE
