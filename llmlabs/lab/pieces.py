"""Putting the learner's own pieces in the place of the course's."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any
from unittest.mock import patch


def own_pieces(reference: ModuleType, notebook: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """For the length of a `with` block, let what the notebook defines replace the reference's pieces of the same name.

    In a lab, solutions call earlier exercises as `reference.name`, so that they work without them. An experiment that
    is to run on the learner's own code from top to bottom says `with own_pieces(reference, globals()):`.

    Args:
        reference: the module of the lab's solutions.
        notebook: the notebook's names; those that it imported are left alone.
    """
    own = {name: value for name, value in notebook.items() if getattr(value, "__module__", "") == "__main__"}
    return patch.multiple(reference, **{name: value for name, value in own.items() if hasattr(reference, name)})
