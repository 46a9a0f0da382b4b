"""One look for all plots of the course."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import matplotlib as mpl
import matplotlib.pyplot as plt
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


def draw_counts(counts: ArrayLike, names: Sequence[str], rows: str, columns: str) -> None:
    """Draw a square table of counts, the larger the darker, each written into its cell, as a figure of its own.

    Args:
        counts: whole numbers of shape (names, names).
        names: of the rows and of the columns.
        rows, columns: what the two sides are; the title says on how much of the whole they agree (the diagonal).
    """
    values = np.asarray(counts)
    shades = np.log1p(values)  # a few small counts beside a large one stay visible
    ax = plt.figure(figsize=(6.0, 3.8)).add_subplot()
    ax.imshow(shades, cmap="Blues", aspect="auto")
    for row, column in np.ndindex(values.shape):
        colour = "white" if shades[row, column] > 0.6 * shades.max() else "black"
        ax.text(column, row, str(values[row, column]), ha="center", va="center", color=colour)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    share = np.trace(values) / values.sum()
    ax.set(title=f"The two sides agree on {share:.0%} of {values.sum()}", xlabel=columns, ylabel=rows)
    ax.grid(visible=False)


def draw_tokens(ax: Axes, tokens: Sequence[str], marked: Sequence[bool], title: str = "", width: int = 84) -> None:
    """Draw a text token by token, each in a box, orange if it is marked and grey if not.

    Args:
        ax: where to draw.
        tokens: the text of each; a line end is drawn as ⏎, and the next token begins a new line.
        marked: for each token.
        title: what the picture shows.
        width: the characters in a line.
    """
    place, line = 0.0, 0
    for token, orange in zip(tokens, marked, strict=True):
        word = token.replace("\n", "⏎")
        if place + len(word) > width:
            place, line = 0.0, line + 1
        box = {"facecolor": COLOURS[1] if orange else "#e8e8e8", "edgecolor": "white", "pad": 2.5}
        ax.text(place, -line, word, family="DejaVu Sans Mono", fontsize=9, va="center", bbox=box)
        place += len(word) + 0.8
        if token.endswith("\n"):
            place, line = 0.0, line + 1
    ax.set(xlim=(-1, width), ylim=(-line, 0.8), title=title)
    ax.axis("off")


def draw_packed(positions: NDArray[np.int64], segments: NDArray[np.int64], mask: NDArray[np.bool_]) -> None:
    """Draw packed rows, as a figure: the position of each token, and beside it who may look at whom in row 0.

    Args:
        positions, segments: of shape (rows, n); where a segment is 0 there is padding, which stays white.
        mask: of shape (n, n), True at [i, j] if position i may look at j.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), width_ratios=[2, 1])
    image = left.imshow(np.where(segments == 0, np.nan, positions), aspect="auto", interpolation="nearest")
    figure.colorbar(image, ax=left, label="position in its chat (tokens)")
    left.set(title="Positions start again in each chat (white: padding)", xlabel="token of the row", ylabel="row")
    right.imshow(mask, cmap="Blues", interpolation="nearest")
    right.set(title="Row 0: own chat only", xlabel="position looked at", ylabel="position looking")
    for ax in (left, right):
        ax.grid(visible=False)


def draw_limits(
    limits: Sequence[float], precision: Sequence[float], recall: Sequence[float], interval: ArrayLike, name: str
) -> None:
    """Draw precision and recall against the limit of a filter, as a figure of its own.

    Args:
        limits, precision, recall: of one length.
        interval: of shape (limits, 2), the low and the high end for the precision.
        name: of the limit.
    """
    low, high = np.asarray(interval).T
    ax = plt.figure().add_subplot()
    ax.fill_between(limits, low, high, alpha=0.2, label="95 % interval of the precision")
    ax.plot(limits, precision, "o-", label="precision")
    ax.plot(limits, recall, "s--", label="recall")
    ax.set(title="A higher limit is surer, and misses more", xlabel=name, ylabel="share", ylim=(0, 1.05))
    ax.legend(loc="lower left")


def draw_by_length(
    rewards: Mapping[str, NDArray[np.float64]], lengths: NDArray[np.float64], gold: NDArray[np.float64]
) -> None:
    """Draw the rewards of several heads against the lengths of the replies, as a figure; gold scores are the colours.

    Args:
        rewards: by the title of the picture, each of shape (N,) and in standard deviations; drawn from their mean.
        lengths, gold: tokens and gold scores of the replies, of shape (N,). Every third reply is drawn.
    """
    figure, axes = plt.subplots(1, len(rewards), figsize=(7.6, 2.8), sharey=True)
    for ax, (title, r) in zip(axes, rewards.items(), strict=True):
        dots = ax.scatter(lengths[::3], (r - r.mean())[::3], s=9, c=gold[::3], cmap="viridis")
        ax.set(title=title, xlabel="length, tokens")
    axes[0].set_ylabel("reward, standard deviations")
    figure.colorbar(dots, ax=axes, label="gold score")
    figure.suptitle("The control lowers the slope, in part (sd for ten tokens more; every third reply)", fontsize=11)
    plt.show()


def draw_before_and_after(before: Mapping[str, int], after: Mapping[str, int], unit: str, title: str) -> None:
    """Draw pairs of bars, how many there were of each kind and how many are left, as a figure with a logarithmic axis.

    Args:
        before, after: counts by kind; the kinds of `before`, the most frequent first.
        unit: what is counted.
        title: what the picture shows.
    """
    names = sorted(before, key=lambda name: -before[name])
    ax = plt.figure().add_subplot()
    ax.bar(np.arange(len(names)) - 0.2, [before[name] for name in names], 0.4, label="before")
    ax.bar(np.arange(len(names)) + 0.2, [after.get(name, 0) for name in names], 0.4, label="after")
    ax.set(yscale="log", ylabel=unit, title=title)
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right")
    ax.legend()
