"""Grading: submissions are rebuilt from the source, run, and recorded by nbgrader."""
