"""JupyterLab on this course: nbgrader's formgrader and validate, and percent sources that open as notebooks."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from llmlabs.errors import CourseError

# opens .py files of the course as notebooks; kept in the course's own folder so that a person's settings stay theirs
SETTINGS = '{"@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"python": "Jupytext Notebook"}}}\n'


def lab_command(root: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """The command line and environment that start JupyterLab in the course's folder.

    Raises:
        CourseError: if JupyterLab is not installed.
    """
    jupyter = shutil.which("jupyter-lab", path=str(Path(sys.executable).parent))
    if jupyter is None:
        raise CourseError("JupyterLab is not installed in this environment.", "Run: make setup")
    settings = root / "build" / "jupyter" / "lab" / "settings"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "overrides.json").write_text(SETTINGS, encoding="utf-8")
    command = [jupyter, f"--port={port}", f"--ServerApp.root_dir={root}"]
    return command, {**os.environ, "JUPYTERLAB_SETTINGS_DIR": str(settings)}
