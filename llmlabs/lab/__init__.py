"""What the notebooks import: data, plotting, test helpers and the reference solutions of earlier exercises."""
