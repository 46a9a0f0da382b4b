"""nbgrader's configuration of this course, for the `nbgrader` command, formgrader and the `llmlabs` command."""

import os
from pathlib import Path

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (put there by traitlets)

c.CourseDirectory.course_id = "llm_labs"
c.CourseDirectory.root = str(Path(__file__).resolve().parent)
c.CourseDirectory.solution_directory = "solutions"
# nbgrader copies every other file of source/ into release/: the percent sources hold the solutions
c.CourseDirectory.ignore = [".ipynb_checkpoints", "__pycache__", "*.pyc", "*.py", "feedback"]
# SQLite in gradebook.db unless an instructor names a database, for example postgresql://user@host/gradebook
if url := os.environ.get("LLMLABS_DB_URL"):
    c.CourseDirectory.db_url = url

c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError()"}

# formgrader's Validate button: a lab's longest cell may take a while on a small machine
c.Execute.timeout = 60

# autograding: submissions are rebuilt and run by the engine (docs/engine.md); nbgrader scores and records
c.Autograde.exporter_class = "llmlabs.grade.nbgrader_plugin.SubmissionExporter"
c.Autograde.sanitize_preprocessors = []
c.Autograde.autograde_preprocessors = [
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# solutions/: the solved notebook without hidden tests and markers; papermill executes it afterwards
c.GenerateSolution.preprocessors = [
    "nbgrader.preprocessors.LockCells",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.ClearHiddenTests",
    "llmlabs.build.preprocessors.RemoveSolutionMarkers",
]

# feedback/: hidden tests never leave the instructor's side
c.GenerateFeedback.exporter_class = "llmlabs.grade.feedback.FeedbackExporter"
c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "nbgrader.preprocessors.ClearHiddenTests",
    "llmlabs.grade.feedback.SummarizeExercises",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
