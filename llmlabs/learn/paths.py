"""Where to start: five paths through the course, and which of them suits somebody with certain skills and a goal."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llmlabs.catalogue import Catalogue
from llmlabs.page import render

PAGE: Final = Path("docs") / "where-to-start.html"
LEVELS: Final = ("new to me", "I have used it", "I am at home in it")
GOALS: Final = {
    "all": "understand how language models work, from the ground up",
    "train": "train and adapt models",
    "build": "build applications on language models soon",
    "research": "read research, and do some",
}


@dataclass(frozen=True)
class Skill:
    """Something that the course builds on: what to read or do first if it is new."""

    name: str
    group: str
    first: str


@dataclass(frozen=True)
class CoursePath:
    """A way through the course: the numbers of its sections in order, and a sentence on how to walk it."""

    name: str
    sections: tuple[int, ...]
    advice: str


SKILLS: Final = (
    Skill("Python", "programming", "The Python Tutorial (docs.python.org), chapters 3 to 9."),
    Skill("Git", "programming", "Pro Git (git-scm.com/book), chapters 1 and 2."),
    Skill("The command line", "programming", "The Missing Semester of your CS education (MIT), lectures 1 and 2."),
    Skill("SQL", "data", "Select, join and group by; sections 22 and 23 need it, no other."),
    Skill("Linear algebra", "mathematics", "Vectors, matrix products, norms; section 1 says every shape."),
    Skill("Statistics", "mathematics", "Mean, variance, conditional probability, maximum likelihood."),
    Skill("Calculus", "mathematics", "Derivatives, the chain rule, partial derivatives."),
    Skill("The basics of machine learning", "learning", "Training, validation and test sets; overfitting; a loss."),
    Skill("Deep learning", "learning", "Section 1 is enough."),
)

PATHS: Final = {
    "beginner": CoursePath(
        "Complete beginner",
        (1, 2, 3, 4, 5),
        "Brush up what is new to you in the list below, then take Part 1 in order; the other parts follow.",
    ),
    "quick": CoursePath("Quick start", tuple(range(1, 24)), "You program: begin with section 1 and go on in order."),
    "advanced": CoursePath(
        "Advanced",
        tuple(range(6, 24)),
        "You know machine learning: begin with Part 2, or with any section that you need; Part 1 is for looking up.",
    ),
    "engineering": CoursePath(
        "LLM engineering",
        (3, 4, 5, *range(17, 24)),
        "Tokens, embeddings and the transformer first, then Part 4, which builds applications.",
    ),
    "research": CoursePath(
        "Research", tuple(range(11, 17)), "Part 3; go back to Parts 1 and 2 where a lab needs them."
    ),
}


def recommend(levels: Mapping[str, int], goal: str) -> str:
    """The key of the path that suits.

    Args:
        levels: by skill an index into LEVELS; 0 for those not named.
        goal: a key of GOALS.
    """
    return _table()[programs(levels), knows_learning(levels), goal]


def programs(levels: Mapping[str, int]) -> bool:
    """Whether somebody programs well enough to begin with section 1."""
    return levels.get("Python", 0) >= 1 and sum(levels.get(s.name, 0) for s in SKILLS if s.group == "programming") >= 2


def knows_learning(levels: Mapping[str, int]) -> bool:
    """Whether somebody knows enough of machine learning to leave Part 1 for looking up."""
    return sum(levels.get(s.name, 0) for s in SKILLS if s.group == "learning") >= 3


def to_brush_up(levels: Mapping[str, int], goal: str) -> list[Skill]:
    """The skills that are new to somebody and that the path needs."""
    wanted = {s for s in SKILLS if s.group in ("programming", "mathematics")}
    wanted |= {s for s in SKILLS if s.group == "data" and 23 in PATHS[recommend(levels, goal)].sections}
    return [skill for skill in SKILLS if skill in wanted and not levels.get(skill.name, 0)]


def _table() -> dict[tuple[bool, bool, str], str]:
    """The path for each kind of person."""
    table = {}
    for programmer, learner, goal in itertools.product((False, True), (False, True), GOALS):
        if not programmer:
            path = "beginner"
        elif goal == "build":
            path = "engineering"
        elif goal == "research" and learner:
            path = "research"
        else:
            path = "advanced" if learner else "quick"
        table[programmer, learner, goal] = path
    return table


def start_page(course: Catalogue) -> str:
    """docs/where-to-start.html: the questions, and a script that answers as `recommend` does."""
    table = {f"{int(p)}{int(m)}{goal}": path for (p, m, goal), path in _table().items()}
    sections = {section.number: section for section in course.sections}
    paths = {
        key: {
            "name": path.name,
            "advice": path.advice,
            "sections": [f"{n:02d} {sections[n].title}" for n in path.sections if n in sections],
        }
        for key, path in PATHS.items()
    }
    skills = [{"name": s.name, "group": s.group, "first": s.first} for s in SKILLS]
    data = {"table": table, "paths": paths, "skills": skills}
    return render("where-to-start.html", course=course, skills=SKILLS, levels=LEVELS, goals=GOALS, data=data)
