"""What the browser tests share: a copy of the course, JupyterLab as `make lab` starts it, and a headless Chromium."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

from .served import BARE_PATH, LAB, PROGRAMS, ROOT, SECTION, STUDENT, Screenshot, Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# what a fresh clone has and JupyterLab or the build reads; no gradebook, no submissions, nothing built beside a source
COURSE = ("llmlabs", "source", "release", "data", "docs", "course.yml", "nbgrader_config.py", "README.md")
START_SECONDS = 120


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--browser", action="store_true", help="run the tests that drive JupyterLab in a Chromium")
    parser.addoption("--screenshots", type=Path, metavar="DIR", help="write a picture of each checked page here")


@pytest.fixture(scope="session", autouse=True)
def wanted(request: pytest.FixtureRequest) -> None:
    """Skip unless asked for: these tests need a browser and a minute or two."""
    # without tests/browser on the command line pytest reads this file too late to know the option
    if not request.config.getoption("--browser", default=False):
        pytest.skip("needs a Chromium; run: make browser-test")


@pytest.fixture(scope="session")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course, in which one student has handed in a solved lab."""
    from llmlabs import catalogue
    from llmlabs.build.builder import read_sources
    from llmlabs.verify.submissions import answered, solutions

    root = tmp_path_factory.mktemp("clone") / "course"
    root.mkdir()
    for name in COURSE:
        if (ROOT / name).is_dir():
            built = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", *(["*.ipynb"] * (name == "source")))
            shutil.copytree(ROOT / name, root / name, ignore=built)
        else:
            shutil.copyfile(ROOT / name, root / name)
    [source] = read_sources(root, catalogue.load(root), f"{SECTION}/{LAB}")
    release = nbformat.read(root / "release" / SECTION / f"{LAB}.ipynb", as_version=4)
    submission = root / "submitted" / STUDENT / SECTION / f"{LAB}.ipynb"
    submission.parent.mkdir(parents=True)
    nbformat.write(answered(release, solutions(source.notebook)), submission)
    return root


@pytest.fixture(scope="session")
def server(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab, of a user who has no settings and has not activated the environment."""
    folder = tmp_path_factory.mktemp("jupyter")
    home, runtime, log = folder / "home", folder / "runtime", folder / "log"
    home.mkdir()
    environment = {
        "HOME": str(home),
        "PATH": BARE_PATH,
        "LANG": "C.UTF-8",
        "LLMLABS_ROOT": str(course),
        # the copy's own package, not the one that the environment's llmlabs command points to
        "PYTHONPATH": str(course),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        # the program that JupyterLab opens its page with
        "BROWSER": "true",
    } | {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
    command = [str(PROGRAMS / "llmlabs"), "lab", "--port", str(_free_port())]
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=home, env=environment, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            url, token = _wait_until_up(process, runtime, log)
            yield Server(url, token, course, home, log, environment)
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium, the one of the machine."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install '.[browser]'")
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.fail("No Chromium on this machine. Install one, for example: apt-get install chromium")
    arguments = ["--disable-gpu", "--disable-background-networking", "--no-first-run"]
    if os.geteuid() == 0:
        # Chromium's own sandbox does not run as root
        arguments.append("--no-sandbox")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, headless=True, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """JupyterLab's page in a browser that holds the token, with no tab open and no dialog shown."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{server.url}lab?reset&token={server.token}")
    page.locator(".jp-DirListing-item").first.wait_for()
    yield page
    context.close()


@pytest.fixture
def screenshot(request: pytest.FixtureRequest, page: Page) -> Screenshot:
    return Screenshot(page, request.config.getoption("--screenshots"))


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_until_up(process: subprocess.Popen[bytes], runtime: Path, log: Path) -> tuple[str, str]:
    """The address and token that the server wrote into `runtime`, as soon as it answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            try:
                info = json.loads(path.read_text())
                urllib.request.urlopen(f"{info['url']}api", timeout=10)
                return info["url"], info["token"]
            except (ValueError, urllib.error.URLError, TimeoutError):
                pass
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")
