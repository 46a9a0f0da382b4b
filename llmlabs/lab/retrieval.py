"""What the tests of a search engine compare with, a shelf of papers to search, and pictures of searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, NamedTuple

import bm25s  # type: ignore[import-untyped]
import numpy as np
from bm25s.stopwords import STOPWORDS_EN_PLUS  # type: ignore[import-untyped]
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.testing import assert_equal
from numpy.typing import NDArray

from llmlabs.lab.minilm import MiniLM
from llmlabs.lab.plotting import COLOURS


class Paper(NamedTuple):
    """A paper on arXiv: its number there, the year, the first category, the title."""

    arxiv: str
    year: int
    category: str
    title: str


PAPERS: Final = tuple(
    Paper(arxiv, year, category, title)
    for arxiv, year, category, title in (
        ("1301.3781", 2013, "cs.CL", "Efficient Estimation of Word Representations in Vector Space"),
        (
            "1603.09320",
            2016,
            "cs.DS",
            "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World graphs",
        ),
        ("1702.08734", 2017, "cs.CV", "Billion-scale similarity search with GPUs"),
        ("1706.03762", 2017, "cs.CL", "Attention Is All You Need"),
        (
            "1810.04805",
            2018,
            "cs.CL",
            "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding",
        ),
        ("1907.11692", 2019, "cs.CL", "RoBERTa: A Robustly Optimized BERT Pretraining Approach"),
        ("1908.10084", 2019, "cs.CL", "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks"),
        ("2004.04906", 2020, "cs.CL", "Dense Passage Retrieval for Open-Domain Question Answering"),
        (
            "2104.08663",
            2021,
            "cs.IR",
            "BEIR: A Heterogenous Benchmark for Zero-shot Evaluation of Information Retrieval Models",
        ),
    )
)
"""Papers behind the lab on semantic search."""

STOP_WORDS: Final[frozenset[str]] = frozenset(STOPWORDS_EN_PLUS)
"""The longer list of English stop words of bm25s."""


def library_bm25(query: list[str], documents: list[list[str]], k1: float = 1.5, b: float = 0.75) -> NDArray[np.float64]:
    """The scores of all documents for a query of at least one word, by bm25s in the form of Lucene."""
    retriever = bm25s.BM25(k1=k1, b=b, method="lucene", dtype="float64")
    retriever.index(documents, show_progress=False)
    return np.asarray(retriever.get_scores(query))


def unchanged(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `function(*args, **kwargs)` and make sure that it leaves its arguments alone.

    Raises:
        AssertionError: if an argument is another one afterwards.
    """
    before = deepcopy(args)
    result = function(*args, **kwargs)
    name = getattr(function, "__name__", "the function")
    assert_equal(args, before, f"{name} changed an argument: make new arrays and lists instead")
    return result


def plain_walk(scores: Sequence[float], links: Sequence[Sequence[int]], entry: int, ef: int) -> tuple[list[int], int]:
    """Algorithm 2 of Malkov and Yashunin (2018), written as its text goes, without a heap.

    Args:
        scores: of each vector, larger is nearer, no two alike.
        links: for each vector those that it links to.
        entry: where the walk begins.
        ef: how many are kept.

    Returns:
        (found, compared): the kept vectors, nearest first, and how many were compared.
    """
    candidates, found, met = [entry], [entry], {entry}
    while candidates:
        number = max(candidates, key=scores.__getitem__)
        candidates.remove(number)
        if len(found) == ef and scores[number] < scores[found[-1]]:
            break
        for other in links[number]:
            if other not in met:
                met.add(other)
                if len(found) < ef or scores[other] > scores[found[-1]]:
                    candidates.append(other)
                    found = sorted([*found, other], key=lambda i: -scores[i])[:ef]
    return found, len(met)


def draw_padding(ax: Axes, encoder: MiniLM, pool: Callable[..., NDArray[np.floating]], text: str) -> None:
    """Draw what padding does to a text's vector, if the pooling leaves it out and if it counts it.

    Args:
        ax: where to draw.
        encoder: makes the states.
        pool: takes states and a mask, returns vectors of length 1.
        text: a short one.
    """
    ids, mask = encoder.tokenize([text])
    right, lengths = pool(encoder.hidden_states(ids, mask), mask)[0], [ids.shape[1], 16, 32, 64, 128, 256]
    curves: dict[str, list[float]] = {"padding left out": [], "padding counted": []}
    for length in lengths:
        longer, shown = (np.pad(x, ((0, 0), (0, length - ids.shape[1]))) for x in (ids, mask))
        states = encoder.hidden_states(longer, shown)
        for curve, used in zip(curves.values(), (shown, np.ones_like(shown)), strict=True):
            curve.append(float(pool(states, used)[0] @ right))
    for (name, curve), style in zip(curves.items(), ("o-", "s--"), strict=True):
        ax.semilogx(lengths, curve, style, label=name, base=2)
    ax.set(title="Counted padding makes it another text", xlabel="tokens, padding included")
    ax.set_ylabel("cosine with the right vector")
    ax.set_xticks([8, 16, 32, 64, 128, 256], ["8", "16", "32", "64", "128", "256"])
    ax.legend()


def draw_cosines(ax: Axes, cosines: NDArray[np.floating], labels: Sequence[str]) -> None:
    """Draw a square matrix of cosines with its numbers; the colours go from 0.5 to 1."""
    ax.imshow(cosines, cmap="Blues", vmin=0.5, vmax=1)
    for i, j in np.ndindex(*cosines.shape):
        colour = "white" if cosines[i, j] > 0.8 else "black"
        ax.text(j, i, f"{cosines[i, j]:.2f}", ha="center", va="center", color=colour)
    ax.set_xticks(range(len(labels)), labels, fontsize=9)
    ax.set_yticks(range(len(labels)), labels, fontsize=9)
    ax.set_title("One word in four sentences: cosines")
    ax.grid(visible=False)


def draw_bm25(figure: Figure) -> None:
    """Draw the second factor of BM25's weight over occurrences, for three k1, and over length, for three b."""
    left, right = figure.subplots(1, 2, sharey=True)
    f, length = np.arange(21), np.linspace(0.1, 4, 50)
    for k1, b, style in ((0.5, 0.0, ":"), (1.5, 0.75, "-"), (5.0, 1.0, "--")):
        left.plot(f, f / (f + k1), style, label=f"k1 = {k1}")
        right.plot(length, 2 / (2 + 1.5 * (1 - b + b * length)), style, label=f"b = {b}")
    left.set(title="The tenth occurrence adds little", xlabel="occurrences f, in a document of mean length")
    left.set_ylabel("factor beside the rarity")
    right.set(title="Long documents are held back", xlabel="length / mean length (f = 2, k1 = 1.5)")
    left.legend()
    right.legend()


def draw_two_judges(
    figure: Figure,
    dense: NDArray[np.floating],
    sparse: NDArray[np.floating],
    depths: Sequence[int],
    curves: Mapping[str, Sequence[float]],
) -> None:
    """Compare two searches question by question, and recall of several over the number of documents looked at.

    Args:
        figure: where to draw the two.
        dense, sparse: nDCG@10 of each question by MiniLM and by BM25.
        depths: numbers of documents.
        curves: {name: recall at each depth}.
    """
    left, right = figure.subplots(1, 2)
    left.axline((0, 0), slope=1, color="grey", linewidth=1)
    left.scatter(dense, sparse, s=22, alpha=0.6)
    apart = int((np.abs(dense - sparse) > 0.1).sum())
    left.set(title=f"They differ by over 0.1 on {apart} of {len(dense)} questions", xlabel="nDCG@10 of MiniLM")
    left.set_ylabel("nDCG@10 of BM25")
    for (name, curve), style in zip(curves.items(), ("--", ":", "-"), strict=True):
        right.semilogx(depths, curve, style, label=name)
    right.set(title="Together they find more", xlabel="k, documents looked at", ylabel="mean recall@k")
    right.legend()


def draw_map(
    figure: Figure,
    maps: Mapping[str, NDArray[np.floating]],
    categories: Sequence[str],
    ringed: Sequence[int],
) -> None:
    """Draw the maps of two dimensions side by side, coloured by category, and the legend below.

    Args:
        figure: where to draw.
        maps: {title: places of the documents, and of a query last, shape (N + 1, 2)}; other shapes are left out.
        categories: of the N documents; the nine largest are drawn.
        ringed: documents that get a ring. The query is a star.
    """
    kinds = np.array(categories)
    names, sizes = np.unique(kinds, return_counts=True)
    flat = {title: places for title, places in maps.items() if places.shape[1] == 2}
    axes = figure.subplots(1, len(flat))
    for ax, (title, places) in zip(axes, flat.items(), strict=True):
        for number, kind in enumerate(names[np.argsort(-sizes, kind="stable")][:9]):
            x, y = places[np.flatnonzero(kinds == kind)].T
            label = kind.replace("_", " ")
            colour = [*COLOURS, "#999999"][number]
            ax.scatter(x, y, s=14, linewidth=0, marker="os^Dv<>PX"[number], color=colour, label=label)
        ax.scatter(*places[list(ringed)].T, s=70, facecolor="none", edgecolor="black", linewidth=0.9)
        ax.scatter(*places[-1], s=200, marker="*", facecolor="black", edgecolor="white")
        ax.set(title=title, xticks=[], yticks=[])
        ax.grid(visible=False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)


def draw_price(figure: Figure, curves: Mapping[str, Sequence[tuple[int, float, float]]], limit: int) -> None:
    """Draw recall over comparisons, on a logarithmic axis.

    Args:
        figure: where to draw.
        curves: {name: (knob, comparisons, recall) of each setting}; every third knob is written beside its dot, in the
            colour of the curve. What has one setting only is drawn as a black mark.
        limit: the comparisons of exact search, a grey line.
    """
    ax = figure.subplots()
    ax.axvline(limit, color="grey", linewidth=1)
    for (name, points), style in zip(curves.items(), ("o--", "s:", "^-", "kD", "k*"), strict=False):
        size = 10 if len(points) == 1 else 6
        x, y = [price for _, price, _ in points], [worth for *_, worth in points]
        fill = "none" if len(points) == 1 else "full"
        (line,) = ax.semilogx(x, y, style, label=name, markersize=size, fillstyle=fill)
        offset = {"o": (5, -11), "s": (-9, -14)}.get(style[0], (-4, 6))  # each on its own side of the curves
        for knob, price, worth in points[::3] if len(points) > 1 else []:
            colour = line.get_color()
            ax.annotate(str(knob), (price, worth), offset, textcoords="offset points", fontsize=9, color=colour)
    ax.set(title="At the same recall a graph compares less than lists", ylabel="recall@10")
    ax.set_xlabel("comparisons a query (the grey line is exact search; numbers are nprobe or ef)")
    ax.set_ylim(top=1.05)
    ax.legend(loc="lower right")


def draw_analogies(figure: Figure, shares: Mapping[tuple[str, bool, str], float]) -> None:
    """Draw the shares of analogy questions answered rightly, as bars.

    Args:
        figure: where to draw one picture for each of two models.
        shares: {(model, whether a, b and c were forbidden, family of questions): share}.
    """
    left, right = figure.subplots(1, 2, sharey=True)
    families = [*dict.fromkeys(family for *_, family in shares)]
    for ax, model in zip((left, right), dict.fromkeys(model for model, *_ in shares), strict=True):
        for exclude, shift, label in ((True, -0.2, "a, b, c forbidden"), (False, 0.2, "any word allowed")):
            heights = [shares[model, exclude, family] for family in families]
            ax.bar(np.arange(len(families)) + shift, heights, 0.4, label=label, color="C0" if exclude else "C1")
        ax.set_xticks(range(len(families)), families)
        means = [np.mean([shares[model, exclude, family] for family in families]) for exclude in (True, False)]
        ax.set_title(f"{model}: {means[0]:.0%} right, {means[1]:.0%} if a, b, c are allowed", fontsize=9)
    left.set_ylabel("share answered rightly")
    left.legend(fontsize=8)
