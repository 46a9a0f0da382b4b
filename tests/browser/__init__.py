"""`make browser-test`: JupyterLab on the course in a real browser."""
