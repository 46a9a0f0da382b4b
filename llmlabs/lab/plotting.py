"""One look for all plots of the course."""

from collections.abc import Sequence
from typing import Final

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

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


def label(ax: Axes, title: str, x: str, y: str) -> None:
    """Give a plot its title, the names of its axes and, if curves have labels, a legend."""
    ax.set(title=title, xlabel=x, ylabel=y)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(fontsize=9)


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
