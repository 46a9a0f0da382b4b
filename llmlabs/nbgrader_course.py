"""Driving nbgrader's converters from Python, on this course or on a copy of it elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbgrader.converters.base import BaseConverter, NbGraderException
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import SAWarning
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from llmlabs.errors import CourseError

# nbgrader runs `alembic` as a command, which is not found when the environment is used without being activated
_BIN = str(Path(sys.executable).parent)
if _BIN not in os.environ.get("PATH", "").split(os.pathsep):
    os.environ["PATH"] = _BIN + os.pathsep + os.environ.get("PATH", os.defpath)


def load_config(root: Path, course_root: Path | None = None) -> Config:
    """The configuration in `root`/nbgrader_config.py, for the course in `course_root` (default: the same folder).

    Another course root gets a gradebook of its own.
    """
    config: Config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    if course_root is not None and course_root.resolve() != root.resolve():
        config.CourseDirectory.root = str(course_root.resolve())
        config.CourseDirectory.pop("db_url", None)
    return config


def course_directory(config: Config, *, assignment: str, student: str = "*", notebook: str = "*") -> CourseDirectory:
    return CourseDirectory(config=config, assignment_id=assignment, student_id=student, notebook_id=notebook)


def convert(converter: type[BaseConverter], coursedir: CourseDirectory, config: Config, **traits: object) -> str:
    """Run one of nbgrader's converters.

    Returns:
        What it logged, warnings and worse.

    Raises:
        CourseError: if nbgrader gave up, with what it logged.
    """
    with _captured_log() as lines, warnings.catch_warnings():
        # nbgrader's own use of its database
        warnings.simplefilter("ignore", SAWarning)
        try:
            converter(coursedir=coursedir, config=config, log=logging.getLogger("llmlabs.nbgrader"), **traits).start()
        except NbGraderException as error:
            log = "\n".join(lines) or str(error)
            raise CourseError(f"nbgrader's {converter.__name__} stopped on {coursedir.assignment_id}: {log}") from error
    return "\n".join(lines)


@contextmanager
def _captured_log() -> Iterator[list[str]]:
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = logging.getLogger("llmlabs.nbgrader")
    handler = Collector(level=logging.WARNING)
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
