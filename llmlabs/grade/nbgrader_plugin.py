"""The engine behind `nbgrader autograde` and formgrader's button: nbgrader_config.py names this exporter.

Stock nbgrader reads a submission, restores its locked cells, runs it with the tests in the student's own process and
scores the outputs. With this exporter, reading a submission means rebuilding and running it in the engine; scoring,
late penalties and the gradebook stay nbgrader's.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode

from llmlabs import catalogue
from llmlabs.build.builder import read_sources
from llmlabs.grade.grading import Options, make_job
from llmlabs.grade.jobs import RecordStore, run_job


class SubmissionExporter(NotebookExporter):
    """Gives nbgrader's Autograde the executed copy of a submitted file, from its record if it has been run before."""

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **kw: Any
    ) -> tuple[NotebookNode, dict[str, Any]]:
        # Autograde reads twice: first the submitted file, then what it wrote of it
        if self.parent is None or not self.parent._sanitizing or resources is None:
            return super().from_filename(filename, resources=resources, **kw)
        root = Path(self.parent.coursedir.root)
        which = resources["nbgrader"]
        [source] = read_sources(root, catalogue.load(root), f"{which['assignment']}/{which['notebook']}")
        options = Options(sandbox=os.environ.get("LLMLABS_SANDBOX", "1") != "0")
        job = make_job(source, which["student"], Path(filename), options)
        store = RecordStore(root)
        record = store.load(job)
        if record is None:
            record = run_job(job)
            store.save(job, record)
        for note in record.notes:
            self.log.warning("%s: %s", which["student"], note)
        return self.from_notebook_node(record.read_notebook(), resources=resources, **kw)
