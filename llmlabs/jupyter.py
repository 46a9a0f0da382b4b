"""JupyterLab on this course: nbgrader's formgrader and Validate, and percent sources that open as notebooks."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from llmlabs.errors import CourseError

# the header of a percent file, with the empty lines below it
HEADER = re.compile(r"\A# ---\n(?:#.*\n)*?# ---\n+")

# where nbgrader looks for the folder through which the users of one machine exchange assignments
SHARED_EXCHANGE = Path("/usr/local/share/nbgrader/exchange")

# Releases are read from release/ and submissions come into submitted/, so the two lists of what the exchange holds
# stay empty; without an exchange folder they are error messages.
SERVER_CONFIG = {
    "ServerApp": {
        "jpserver_extensions": {
            "jupyterlab_jupytext": True,
            "nbgrader.server_extensions.formgrader": True,
            "nbgrader.server_extensions.validate_assignment": True,
            "nbgrader.server_extensions.assignment_list": False,
            "nbgrader.server_extensions.course_list": False,
        }
    },
    "ContentsManager": {"pre_save_hook": "llmlabs.jupyter.keep_header"},
}
PAGE_CONFIG = {
    "disabledExtensions": {
        "@jupyter/nbgrader:assignment-list": True,
        "@jupyter/nbgrader:course-list": True,
    }
}
SETTINGS = {
    # a double click opens the sources of labs and answers as notebooks; Open With > Editor shows the text
    "@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"python": "Jupytext Notebook"}},
    # the course works offline and asks nobody for news
    "@jupyterlab/apputils-extension:notification": {"checkForUpdates": False, "fetchNews": "false"},
}


def lab_command(
    root: Path, port: int, say: Callable[[str], None] = print, *, ip: str = "localhost"
) -> tuple[list[str], dict[str, str]]:
    """The command line and environment that start JupyterLab in the course's folder.

    Settings are written to and read from build/jupyter; nothing is read from or written to ~/.jupyter.

    Args:
        root: the course's folder.
        port: the port to listen on; JupyterLab takes the next free one if it is in use.
        say: takes a line on each source that nbgrader will not see.
        ip: the address to listen on.

    Raises:
        CourseError: if JupyterLab is not installed.
    """
    programs = str(Path(sys.executable).parent)
    jupyter = shutil.which("jupyter-lab", path=programs)
    if jupyter is None:
        raise CourseError("JupyterLab is not installed in this environment.", "Run: make setup")
    pair_sources(root, say)
    settings = write_settings(root)
    command = [jupyter, f"--ip={ip}", f"--port={port}", f"--ServerApp.root_dir={root}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # JupyterLab refuses to run as root, which is who everybody is in many containers
        command.append("--allow-root")
    environment = {
        **os.environ,
        # formgrader runs `alembic` and `jupyter`, which are not found when the environment is not activated
        "PATH": programs + os.pathsep + os.environ.get("PATH", os.defpath),
        "JUPYTER_CONFIG_DIR": str(settings),
    }
    return command, environment


def write_settings(root: Path) -> Path:
    """Write the course's settings of JupyterLab and nbgrader; what a person sets in JupyterLab is kept beside them.

    Returns:
        The folder that is to be Jupyter's configuration folder.
    """
    folder = root / "build" / "jupyter"
    files: dict[str, dict[str, Any]] = {
        "jupyter_server_config.json": SERVER_CONFIG,
        "labconfig/page_config.json": PAGE_CONFIG,
        "labconfig/default_setting_overrides.json": SETTINGS,
        "nbgrader_config.json": {},
    }
    if not os.access(SHARED_EXCHANGE, os.W_OK | os.X_OK):
        # formgrader warns on every page of a missing exchange folder
        exchange = root / "build" / "exchange"
        exchange.mkdir(parents=True, exist_ok=True)
        files["nbgrader_config.json"] = {"Exchange": {"root": str(exchange)}}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8", newline="\n")
    return folder


def pair_sources(root: Path, say: Callable[[str], None]) -> None:
    """Make the notebooks beside the sources that are missing or older than their source: nbgrader reads only those.

    A source that cannot be read is reported and left alone, for JupyterLab is where it will be mended.
    """
    if not any(_is_stale(path) for path in (root / "source").glob("*/*.py")):
        return
    # four seconds of imports, which an unchanged course need not wait for
    from llmlabs import catalogue
    from llmlabs.build.builder import Source, pair_with_notebook
    from llmlabs.build.source import read_source, source_path

    try:
        for section, lab in catalogue.load(root).labs(finished=True):
            path = source_path(root, section, lab)
            try:
                if not path.is_file() or _is_stale(path):
                    pair_with_notebook(Source(section, lab, path, read_source(path, section, lab)))
            except CourseError as error:
                say(f"{error.what} {error.mend}")
    except CourseError as error:
        say(f"{error.what} {error.mend}")


def _is_stale(source: Path) -> bool:
    notebook = source.with_suffix(".ipynb")
    return not notebook.is_file() or notebook.stat().st_mtime < source.stat().st_mtime


def keep_header(model: dict[str, Any], path: str, contents_manager: Any, **_: object) -> None:
    """Before JupyterLab saves a file: write the header of a percent file as it stood, if it says the same as before.

    jupytext spells every header its own way, and the kernel's display name is whatever the kernel calls itself.
    """
    file = Path(contents_manager.root_dir, path.strip("/"))
    if model["type"] != "file" or file.suffix != ".py" or not file.is_file():
        return
    before, after = HEADER.match(file.read_text(encoding="utf-8")), HEADER.match(model["content"])
    if before and after and _meaning(before[0]) == _meaning(after[0]):
        model["content"] = before[0] + model["content"][after.end() :]


def _meaning(header: str) -> object:
    """A header's contents, without the kernel's display name."""
    lines = [line.removeprefix("#").removeprefix(" ") for line in header.rstrip().splitlines()[1:-1]]
    contents = yaml.safe_load("\n".join(lines))
    contents["jupyter"].get("kernelspec", {}).pop("display_name", None)
    return contents
