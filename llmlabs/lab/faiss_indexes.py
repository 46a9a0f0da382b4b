"""FAISS's exact search, inverted lists and HNSW graphs, with what they found and how many comparisons it took.

Everything runs on one thread: with several, an HNSW graph comes out differently each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.floating]


class Setting(NamedTuple):
    """One setting of an index's knob: comparisons a query, and for each query the ids found, best first."""

    knob: int
    compared: float
    found: list[list[int]]


def exact_search(
    queries: Vectors, vectors: Vectors, k: int, metric: str = "dot", allowed: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The k nearest vectors of each query, in float32.

    Args:
        queries, vectors: of shapes (Q, d) and (N, d).
        k: may be more than N.
        metric: "dot", "cosine" or "euclidean", whose score is the distance with a minus sign.
        allowed: of shape (N,), which vectors may be found; None: all.

    Returns:
        (scores, ids), each of shape (Q, k), best first; empty places at the end hold -inf and -1.
    """
    faiss.omp_set_num_threads(1)
    q, x = (np.ascontiguousarray(v, dtype=np.float32) for v in (queries, vectors))
    if metric == "cosine":
        q, x = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (q, x))
    index = faiss.IndexFlatL2(x.shape[1]) if metric == "euclidean" else faiss.IndexFlatIP(x.shape[1])
    index.add(x)
    picked = np.arange(len(x)) if allowed is None else np.flatnonzero(allowed)
    parameters: Any = faiss.SearchParameters  # FAISS's own declarations leave out what it takes, here and below
    scores, ids = index.search(q, k, params=parameters(sel=faiss.IDSelectorBatch(picked)))
    if metric == "euclidean":
        scores = -np.sqrt(np.maximum(scores, 0))
    return np.where(ids < 0, -np.inf, scores.astype(np.float64)), ids


def inverted_index(vectors: Vectors, lists: int | Vectors) -> faiss.IndexIVFFlat:
    """An index of inverted lists by the dot product.

    Args:
        vectors: of shape (N, d).
        lists: how many centroids k-means shall find, or the centroids themselves, of shape (C, d).
    """
    faiss.omp_set_num_threads(1)
    x, quantizer = np.ascontiguousarray(vectors, dtype=np.float32), faiss.IndexFlatIP(vectors.shape[1])
    count = lists if isinstance(lists, int) else len(lists)
    index = faiss.IndexIVFFlat(quantizer, x.shape[1], count, faiss.METRIC_INNER_PRODUCT)
    if isinstance(lists, int):
        index.train(x)
    else:
        quantizer.add(np.ascontiguousarray(lists, dtype=np.float32))
        index.is_trained = True
    index.add(x)
    return index


def members(index: faiss.IndexIVFFlat) -> list[list[int]]:
    """The ids on each list, rising."""
    held: Any = index.invlists
    return [sorted(faiss.rev_swig_ptr(held.get_ids(c), held.list_size(c)).tolist()) for c in range(index.nlist)]


def graph_index(vectors: Vectors, m: int) -> faiss.IndexHNSWFlat:
    """An HNSW index by the dot product, with at most 2 m links for a vector in the lowest layer."""
    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(vectors.shape[1], m, faiss.METRIC_INNER_PRODUCT)
    index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    return index


def bottom_layer(index: faiss.IndexHNSWFlat) -> tuple[list[list[int]], int]:
    """The lowest layer of an HNSW graph, which holds every vector.

    Returns:
        (neighbours, entry): for each vector those that it is linked to, and the vector at which a search begins.
    """
    graph: Any = index.hnsw
    links, starts = faiss.vector_to_array(graph.neighbors), faiss.vector_to_array(graph.offsets)
    width = graph.nb_neighbors(0)  # places for links; those that are not used hold -1
    rows = (links[start : start + width] for start in starts[:-1].tolist())
    return [row[row >= 0].tolist() for row in rows], int(graph.entry_point)


def try_settings(index: Any, queries: Vectors, k: int, knobs: Sequence[int]) -> list[Setting]:
    """Search with each setting of an index's knob.

    Args:
        index: from `inverted_index`, whose knob is nprobe, or from `graph_index`, whose knob is efSearch.
        queries: of shape (Q, d).
        k: how many to find.
        knobs: the settings.

    Returns:
        One result a setting. The comparisons of inverted lists include those with the centroids.
    """
    q, settings = np.ascontiguousarray(queries, dtype=np.float32), []
    inverted = isinstance(index, faiss.IndexIVFFlat)
    counter = getattr(faiss.cvar, "indexIVF_stats" if inverted else "hnsw_stats")
    for knob in knobs:
        if inverted:
            index.nprobe = knob
        else:
            index.hnsw.efSearch = knob
        counter.reset()
        found = index.search(q, k)[1].tolist()
        compared = counter.ndis / len(q) + (index.nlist if inverted else 0)
        settings.append(Setting(knob, compared, [[number for number in row if number >= 0] for row in found]))
    return settings
