"""answers/: for each exercise the wrong answers that must fail and the other right answers that must pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jupytext

from llmlabs.catalogue import Lab, Section
from llmlabs.errors import CourseError


@dataclass(frozen=True)
class Answer:
    """One answer to one exercise.

    Attributes:
        exercise: the grade_id of the exercise.
        kind: "wrong" or "right".
        name: what is special about it, a few words.
        source: the text of the solution cell.
        fails: of a wrong answer, the grade_id of the test cell that must catch it.
        says: of a wrong answer, words that the test's message must hold: they name the misconception.
    """

    exercise: str
    kind: Literal["wrong", "right"]
    name: str
    source: str
    fails: str = ""
    says: str = ""


def answers_path(root: Path, section: Section, lab: Lab) -> Path:
    return root / "answers" / section.name / f"{lab.name}.py"


def read_answers(path: Path) -> list[Answer]:
    """Read a percent file in which each code cell's header describes one answer.

        # %% exercise="causal-attention" kind="wrong" name="no mask" fails="causal-attention-example" says="its future"

    Raises:
        CourseError: if a header is incomplete or names an unknown kind.
    """
    if not path.is_file():
        raise CourseError(f"{path} is missing.", "Every finished lab has wrong and right answers; see CONTRIBUTING.md.")
    answers = []
    for number, cell in enumerate(jupytext.read(path, fmt="py:percent").cells, start=1):
        if cell.cell_type != "code" or "exercise" not in cell.metadata:
            continue
        fields = {key: str(value) for key, value in cell.metadata.items() if key in Answer.__dataclass_fields__}
        needed = {"exercise", "kind", "name"} | ({"fails", "says"} if fields.get("kind") == "wrong" else set())
        if missing := sorted(needed - fields.keys()):
            raise CourseError(
                f"{path}, cell {number}: its header lacks {', '.join(missing)}.", "Add them to the # %% line."
            )
        if fields["kind"] not in ("wrong", "right"):
            raise CourseError(
                f"{path}, cell {number}: kind is {fields['kind']!r}.", 'Write kind="wrong" or kind="right".'
            )
        answers.append(Answer(**fields, source=cell.source))  # type: ignore[arg-type]
    return answers
