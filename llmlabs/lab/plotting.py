"""One look for all plots of the course."""

from collections.abc import Callable, Sequence
from typing import Final

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
"""The colours of Okabe and Ito (https://jfly.uni-koeln.de/color/), told apart with any common colour blindness."""


def use_course_style() -> None:
    """Set matplotlib to the course's style: readable at notebook width, colour-blind-safe, small files."""
    mpl.rcParams.update(
        {
            "axes.grid": True,
            "axes.prop_cycle": cycler(color=COLOURS),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlesize": 11,
            "figure.constrained_layout.use": True,
            "figure.dpi": 80,
            "figure.figsize": (8.0, 3.6),
            "font.size": 10,
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "savefig.dpi": 80,
        }
    )


def draw_weights(ax: Axes, weights: ArrayLike, columns: Sequence[str], rows: Sequence[str], title: str = "") -> None:
    """Draw a matrix of weights from 0 (white) to at least 1 (dark blue), such as attention from rows to columns.

    Args:
        ax: where to draw.
        weights: of shape (rows, columns); a tensor must be on the CPU.
        columns, rows: a label for each; if a label of a column has several letters, they are written upwards.
        title: what the picture shows.
    """
    values = np.asarray(weights)
    ax.imshow(values, cmap="Blues", vmin=0, vmax=max(1.0, float(values.max())))
    ax.set_xticks(range(len(columns)), columns, rotation=90 if any(len(label) > 1 for label in columns) else 0)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_title(title, fontsize=9)
    ax.grid(visible=False)


def draw_curves(
    ax: Axes,
    curve: Callable[[NDArray[np.float64], float], ArrayLike],
    points: Sequence[tuple[float, float, float]],
    low: float,
    high: float,
    label: str,
) -> None:
    """Draw measured points and, for each of their parameters, a curve over x from low to high, on a logarithmic x axis.

    Args:
        ax: where to draw.
        curve: curve(x, parameter) gives y for an array x.
        points: (x, parameter, y) of each.
        low, high: where the curves begin and end.
        label: text with {} for the parameter.
    """
    x = np.geomspace(low, high, 60)
    for number, parameter in enumerate(sorted({point[1] for point in points})):
        chosen = [(point[0], point[2]) for point in points if point[1] == parameter]
        colour = COLOURS[number % len(COLOURS)]
        ax.semilogx(*zip(*chosen, strict=True), "o", color=colour)
        ax.semilogx(x, curve(x, parameter), color=colour, label=label.format(parameter))
    ax.legend(fontsize=8)
