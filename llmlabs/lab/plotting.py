"""One look for all plots of the course."""

from typing import Final

import matplotlib as mpl
from cycler import cycler

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
