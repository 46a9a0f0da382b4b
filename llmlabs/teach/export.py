"""Grades of the whole course for other programs: a table of all sections, and Canvas's own format.

Both are exporters of nbgrader as well: `nbgrader export --exporter=llmlabs.teach.export.CanvasExportPlugin`. Other than
with nbgrader's, who has no score has an empty field and not 0.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook
from nbgrader.plugins import ExportPlugin


class TableExportPlugin(ExportPlugin):
    """A row a student, a column a section, in CSV."""

    file_name = "course_grades.csv"

    def export(self, gradebook: Gradebook) -> None:
        sections, scores = self.scores(gradebook)
        most = ["(points possible)", *sections.values(), sum(sections.values())]
        rows: list[list[Any]] = [["student_id", *sections, "total"], most]
        for student, theirs in scores.items():
            known = [score for score in theirs.values() if score is not None]
            rows.append([student, *(theirs.get(name) for name in sections), sum(known) if known else None])
        self.write(rows)

    def scores(self, gradebook: Gradebook) -> tuple[dict[str, float], dict[str, dict[str, float | None]]]:
        """The points of each section, and each student's in it after late penalties; None for no score."""
        wanted, students = set(self.assignment), set(self.student)
        sections = {a.name: float(a.max_score) for a in gradebook.assignments if not wanted or a.name in wanted}
        scores: dict[str, dict[str, float | None]] = defaultdict(dict)
        for student in gradebook.students:
            if not students or student.id in students:
                scores[student.id] = {}
        for name in sections:
            for submission in gradebook.assignment_submissions(name):
                if submission.student.id in scores:
                    penalty = float(submission.late_submission_penalty or 0.0)
                    scores[submission.student.id][name] = max(0.0, float(submission.score) - penalty)
        return dict(sorted(sections.items())), dict(sorted(scores.items()))

    def write(self, rows: list[list[Any]]) -> None:
        """Write the rows to the file that --to names; all of them or, if something goes wrong, none."""
        path = Path(self.to or self.file_name)
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
        partial.replace(path)
        self.log.info("%d rows written to %s", len(rows), path)


class CanvasExportPlugin(TableExportPlugin):
    """What Canvas takes under Grades > Import (its columns: Canvas's guide "How do I import grades in the Gradebook?").

    A student collected from a Canvas zip file is called NAME_12345 here; the number goes into the column ID, by which
    Canvas knows its students. Otherwise the whole name goes into SIS Login ID.
    """

    file_name = "canvas_grades.csv"

    def export(self, gradebook: Gradebook) -> None:
        sections, scores = self.scores(gradebook)
        fixed = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
        rows: list[list[Any]] = [[*fixed, *sections], ["    Points Possible", "", "", "", "", *sections.values()]]
        for student, theirs in scores.items():
            number = re.fullmatch(r".+_(\d+)", student)
            who = [student, number[1] if number else "", "", "" if number else student, ""]
            rows.append([*who, *(theirs.get(name) for name in sections)])
        self.write(rows)
