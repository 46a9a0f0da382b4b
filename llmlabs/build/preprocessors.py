"""What the build adds to nbgrader's own preprocessors."""

from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from llmlabs.notebook import BEGIN_SOLUTION, END_SOLUTION


class RemoveSolutionMarkers(NbGraderPreprocessor):
    """Drop the lines that tell nbgrader where a solution begins and ends: a reader of the solution has no use for them."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: ResourcesDict, cell_index: int
    ) -> tuple[NotebookNode, ResourcesDict]:
        kept = [line for line in cell.source.split("\n") if line.strip() not in (BEGIN_SOLUTION, END_SOLUTION)]
        cell.source = "\n".join(kept)
        return cell, resources
