"""A gradebook in PostgreSQL: a real server, started by the test where one is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psycopg
import pytest
from nbgrader.api import Gradebook

from llmlabs.grade.grading import Options, grade_section
from llmlabs.verify.submissions import answered, solutions

from .test_teach import LAB, SECTION


def program(name: str) -> str:
    """A program of the server, which Debian keeps out of PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ["PATH"]])):
        return str(Path(found).resolve())
    pytest.skip(f"no PostgreSQL server is installed ({name} is not found); on Debian: apt install postgresql")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of an empty database of a server that listens on loopback only."""
    initdb, postgres = program("initdb"), program("postgres")
    folder = Path(tempfile.mkdtemp(prefix="llmlabs-pg-"))  # pytest's own folders are for its user only
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    as_user = []
    if os.geteuid() == 0:  # the server refuses to run as root
        as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chown(folder, 65534, 65534)
    data = str(folder / "data")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*as_user, initdb, "-D", data, "-U", "grader", "--auth=trust", "-E", "UTF8"], check=True, **quiet)  # type: ignore[call-overload]
    command = [postgres, "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    process = subprocess.Popen([*as_user, *command], **quiet)  # type: ignore[call-overload]
    try:
        end = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(f"postgresql://grader@127.0.0.1:{port}/postgres").close()
                break
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        yield f"postgresql+psycopg://grader@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder)


def test_a_class_is_graded_into_postgresql(
    server: str, built_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "mini"
    shutil.copytree(built_mini, root)
    monkeypatch.setenv("LLMLABS_DB_URL", server)
    release = nbformat.read(root / "release" / LAB, as_version=4)
    source = nbformat.read(root / "source" / LAB, as_version=4)
    for student, exercises in {"ada": ["add", "double"], "ben": ["add", "double", "largest", "clip"]}.items():
        path = root / "submitted" / student / LAB
        path.parent.mkdir(parents=True)
        nbformat.write(answered(release, solutions(source, exercises)), path)
    report = grade_section(root, SECTION, Options(workers=2), say=lambda line: None)
    assert {grade.student: grade.total for grade in report.grades} == {"ada": 12, "ben": 25}
    assert not (root / "gradebook.db").exists()
    with Gradebook(server, "llm_labs") as gradebook:
        assert gradebook.find_submission(SECTION, "ben").score == 25
    said: list[str] = []
    assert grade_section(root, SECTION, say=said.append).grades == report.grades
    assert said[-1] == "2 of 2 notebooks are unchanged since they were graded"
