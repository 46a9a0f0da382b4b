"""From the percent sources to release/ and solutions/: jupytext reads, nbgrader strips, papermill executes."""
