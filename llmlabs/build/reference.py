"""The solved exercises of a lab as a module, so that later exercises do not depend on the learner's earlier ones."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from nbformat import NotebookNode

from llmlabs.catalogue import Lab, Section
from llmlabs.notebook import BEGIN_SOLUTION, END_SOLUTION, is_solution, locked_imports


def uses_reference(notebook: NotebookNode) -> bool:
    """Whether the lab imports its reference module."""
    return any("llmlabs.lab.reference" in cell.source for cell in notebook.cells if cell.cell_type == "code")


def reference_path(root: Path, lab: Lab) -> Path:
    return root / "llmlabs" / "lab" / "reference" / f"{lab.name}.py"


def reference_module(notebook: NotebookNode, section: Section, lab: Lab) -> str:
    """The module's text: the imports of the lab's locked cells and its solution cells, formatted by ruff.

    In a solution cell an earlier exercise is called as `reference.name`; in the module it is just `name`.
    """
    parts = [
        f'"""The solved exercises of {section.name}/{lab.name}.\n\n'
        f"Made from source/{section.name}/{lab.name}.py by `llmlabs build`: edit that file, not this one.\n"
        '"""',
        "\n".join(ast.unparse(node) for node in locked_imports(notebook) if not _imports_reference(node)),
    ]
    for cell in notebook.cells:
        if cell.cell_type == "code" and is_solution(cell):
            lines = [line for line in cell.source.split("\n") if line.strip() not in (BEGIN_SOLUTION, END_SOLUTION)]
            parts.append("\n".join(lines).replace("reference.", ""))
    text = "\n\n".join(parts) + "\n"
    for command in (
        ["check", "--fix", "--quiet", "--isolated", "--select", "F401,I001"],
        ["format", "--line-length", "120"],
    ):
        text = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "-"], input=text, capture_output=True, text=True, check=True
        ).stdout
    return text


def _imports_reference(node: ast.Import | ast.ImportFrom) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "llmlabs.lab.reference"
