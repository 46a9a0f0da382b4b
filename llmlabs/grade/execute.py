"""Running a rebuilt submission: its cells in order, each test's outcome written into the test's cell."""

from __future__ import annotations

import asyncio
import tempfile

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from llmlabs.notebook import is_test

CELL_SECONDS = 60


def execute(notebook: NotebookNode) -> str:
    """Run a rebuilt notebook in place.

    Returns:
        What ended the run early, or "" if it came to the end.
    """
    with tempfile.TemporaryDirectory(prefix="llmlabs-") as folder:
        client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            kernel_name="python3",
            allow_errors=True,
            record_timing=False,
            resources={"metadata": {"path": folder}},
        )
        ended = ""
        try:
            asyncio.run(client.async_execute())
        except DeadKernelError:
            ended = "the notebook's process died"
        except CellTimeoutError:
            ended = f"a cell ran for more than {CELL_SECONDS} s"
    for cell in notebook.cells:
        if is_test(cell):
            _keep_message_only(cell, ended)
    return ended


def _keep_message_only(cell: NotebookNode, ended: str) -> None:
    """Leave of a failed test its error's name and message: no line of the test, nothing that was printed."""
    if cell.execution_count is None and ended:
        cell.outputs = [nbformat.v4.new_output("error", ename="NotRun", evalue=ended, traceback=[ended])]
        return
    errors = [output for output in cell.outputs if output.output_type == "error"]
    for error in errors:
        error.traceback = [f"{error.ename}: {error.evalue}"]
    cell.outputs = errors or [output for output in cell.outputs if output.output_type == "execute_result"]
