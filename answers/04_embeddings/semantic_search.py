# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# Known answers to the exercises of `semantic_search`: wrong ones that a test must catch, and other right ones. `llmlabs verify` grades them.

# %%
# the imports of the lab, for editors and linters; every answer below defines the whole solution cell anew
import heapq
from collections import Counter

import numpy as np
import torch

from llmlabs.lab.reference import semantic_search as reference


# %% exercise="search-pooling" kind="wrong" name="a plain mean, padding and all" fails="search-pooling-example" says="leave padding out of the sum and of the count"
def mean_pool(states, mask):
    return states.mean(axis=1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="padding left out of the sum, not of the count" fails="search-pooling-example" says="leave padding out of the sum and of the count"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).mean(axis=1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="padding left out of the count, not of the sum" fails="search-pooling-example" says="leave padding out of the sum and of the count"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return states.sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="no text without tokens foreseen" fails="search-pooling-properties" says="padding counts? NaN without tokens?"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / weights.sum(axis=1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="the first n states, as if padding always stood on the right" fails="search-pooling-properties" says="padding counts? NaN without tokens?"
def mean_pool(states, mask):
    return np.stack(
        [s[: max(1, n)].mean(axis=0) * min(1, n) for s, n in zip(states, mask.sum(axis=1), strict=True)]
    ).astype(states.dtype)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="the state of the first token" fails="search-pooling-example" says="leave padding out of the sum and of the count"
def mean_pool(states, mask):
    return states[:, 0]


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="the largest state instead of the mean" fails="search-pooling-example" says="leave padding out of the sum and of the count"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return np.where(weights > 0, states, -np.inf).max(axis=1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="one count for the whole batch" fails="search-pooling-properties" says="padding counts? NaN without tokens?"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1).max(), 1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="padding set to zero in the given array" fails="search-pooling-properties" says="changed an argument: make new arrays"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    states *= weights
    return states.sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="an integer mask makes float64 of float32" fails="search-pooling-properties" says="dtypes float64, float32 mismatch"
def mean_pool(states, mask):
    weights = mask[:, :, None]
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="an integer mask used as an index" fails="search-pooling-example" says="leave padding out of the sum and of the count"
def mean_pool(states, mask):
    return np.stack([s[m].mean(axis=0) if m.any() else 0 * s[0] for s, m in zip(states, mask, strict=True)])


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="a tiny number in the denominator" fails="search-pooling-example" says="leave padding out of the sum and of the count"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / (weights.sum(axis=1) + 1e-3)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="zeros divided by zero" fails="search-pooling-example" says="length 5; zeros stay"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / lengths


# %% exercise="search-pooling" kind="wrong" name="max(1, length): short vectors stay short" fails="search-pooling-properties" says="nothing added to it; zeros stay"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="1e-6 added to the length" fails="search-pooling-example" says="length 5; zeros stay"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / (lengths + 1e-6)


# %% exercise="search-pooling" kind="wrong" name="a length of at least 1e-6" fails="search-pooling-properties" says="nothing added to it; zeros stay"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-6)


# %% exercise="search-pooling" kind="wrong" name="the sum of the absolute values for the length" fails="search-pooling-example" says="length 5; zeros stay"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = np.abs(vectors).sum(axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="one length for the whole array" fails="search-pooling-properties" says="nothing added to it; zeros stay"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="axis 1, whatever the shape" fails="search-pooling-properties" says="axis 1 is out of bounds"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="lengths of the columns" fails="search-pooling-example" says="length 5; zeros stay"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=0, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="no square root" fails="search-pooling-example" says="length 5; zeros stay"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = (vectors**2).sum(axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="vectors scaled in place" fails="search-pooling-properties" says="changed an argument: make new arrays"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    return vectors


# %% exercise="search-pooling" kind="wrong" name="normalise in float64" fails="search-pooling-properties" says="dtypes float64, float32 mismatch"
def mean_pool(states, mask):
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors.astype(float) / np.where(lengths > 0, lengths, 1)


# %% exercise="search-pooling" kind="wrong" name="the answers of the worked example, whatever is given" fails="search-pooling-properties" says="padding counts? NaN without tokens?"
def mean_pool(states, mask):
    return np.array([[2.0, 1.0]])


def normalise(vectors):
    return np.array([[0.6, 0.8], [0.0, 0.0]])


# %% exercise="search-pooling" kind="right" name="loops over texts and tokens that print"
def mean_pool(states, mask):
    import sys

    pooled = np.zeros((states.shape[0], states.shape[2]), dtype=states.dtype)
    for b in range(states.shape[0]):
        count = 0
        for t in range(states.shape[1]):
            if mask[b, t]:
                pooled[b] += states[b, t]
                count += 1
        if count:
            pooled[b] /= count
        print(f"text {b}: {count} tokens")
        print("pooled", pooled[b], file=sys.stderr)
    return pooled


def normalise(vectors):
    result = np.zeros_like(vectors)
    for place in np.ndindex(*vectors.shape[:-1]):
        length = sum(float(x) ** 2 for x in vectors[place]) ** 0.5
        if length:
            result[place] = vectors[place] / length
        print(place, length)
    return result


# %% exercise="search-pooling" kind="right" name="einsum, and a division with where="
def mean_pool(states, mask):
    sums = np.einsum("bt,btd->bd", mask.astype(states.dtype), states)
    return (sums / np.clip(mask.sum(axis=1), 1, None)[:, None]).astype(states.dtype)


def normalise(vectors):
    lengths = np.sqrt(np.einsum("...d,...d->...", vectors, vectors))[..., None]
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths != 0)


# %% exercise="search-pooling" kind="right" name="float64 inside, boolean indices, a warning of the mean of nothing, nan_to_num"
def mean_pool(states, mask):
    chosen = [s[m.astype(bool)].astype(np.float64).mean(axis=0) for s, m in zip(states, mask, strict=True)]
    return np.nan_to_num(np.stack(chosen)).astype(states.dtype)


def normalise(vectors):
    exact = vectors.astype(np.float64)
    return np.nan_to_num(exact / np.sqrt((exact * exact).sum(-1))[..., None]).astype(vectors.dtype)


# %% exercise="search-pooling" kind="right" name="PyTorch does it"
def mean_pool(states, mask):
    s, m = torch.tensor(states), torch.tensor(mask).bool()[..., None]
    return (s.masked_fill(~m, 0).sum(1) / m.sum(1).clamp(min=1)).numpy()


def normalise(vectors):
    v = torch.tensor(vectors)
    lengths = v.norm(dim=-1, keepdim=True)
    return torch.where(lengths > 0, v / lengths, v).numpy()


# %% exercise="search-exact" kind="wrong" name="the distance without its minus sign" fails="search-exact-example" says="minus sign? root? both lengths divided out?"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the squared distance" fails="search-exact-example" says="minus sign? root? both lengths divided out?"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.maximum(squares, 0)
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the root of a slightly negative number" fails="search-exact-properties" says="NaN; negative root? zeros?"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(squares)
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the product counted once in the distance" fails="search-exact-example" says="minus sign? root? both lengths divided out?"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the cosine divides by the documents' lengths only" fails="search-exact-example" says="minus sign? root? both lengths divided out?"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return queries @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the cosine divides by the queries' lengths only" fails="search-exact-example" says="minus sign? root? both lengths divided out?"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ vectors.T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the cosine of zeros is NaN" fails="search-exact-properties" says="NaN; negative root? zeros?"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return queries @ vectors.T / np.outer(np.linalg.norm(queries, axis=1), np.linalg.norm(vectors, axis=1))
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the cosine of zeros is 1" fails="search-exact-properties" says="zeros have cosine 0 with all"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        lengths = np.outer(np.linalg.norm(queries, axis=1), np.linalg.norm(vectors, axis=1))
        return np.nan_to_num(queries @ vectors.T / lengths, nan=1.0)
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the cosine is clipped at 0" fails="search-exact-properties" says="every pair"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return np.maximum(reference.normalise(queries) @ reference.normalise(vectors).T, 0)
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="any other name taken for the distance" fails="search-exact-properties" says="the unknown metric 'manhattan' should raise ValueError"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if True:
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="an unknown metric returns nothing" fails="search-exact-properties" says="the unknown metric 'manhattan' should raise ValueError"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    return np.zeros((len(queries), len(vectors)))


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="queries scaled in place" fails="search-exact-properties" says="changed an argument: make new arrays"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-300)
        return queries @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the filter comes after the choice of the best k" fails="search-exact-properties" says="FAISS finds these; best first? filtered first?"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    again = np.argsort(-best, axis=1, kind="stable")
    return np.take_along_axis(best, again, axis=1), np.take_along_axis(ids, again, axis=1)


# %% exercise="search-exact" kind="wrong" name="forbidden documents get the score 0" fails="search-exact-example" says="7, 5, an empty place"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, 0)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the filter forbids what it should allow" fails="search-exact-example" says="7, 5, an empty place"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, -np.inf, scores)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the filter is ignored" fails="search-exact-example" says="7, 5, an empty place"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if False:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the ids of forbidden documents stand in empty places" fails="search-exact-example" says="7, 5, an empty place"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    return best, ids


# %% exercise="search-exact" kind="wrong" name="scores of 0 in empty places" fails="search-exact-example" says="7, 5, an empty place"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.zeros((len(queries), k))
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return np.where(ids < 0, 0, best), ids


# %% exercise="search-exact" kind="wrong" name="fewer columns when k is more than N" fails="search-exact-properties" says="FAISS finds these; best first? filtered first?"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best[:, : len(vectors)], ids[:, : len(vectors)]


# %% exercise="search-exact" kind="wrong" name="of equal scores the larger id first" fails="search-exact-properties" says="the smaller id comes first"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(scores, axis=1, kind="stable")[:, ::-1][:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="an argpartition, not sorted" fails="search-exact-properties" says="the smaller id comes first"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argpartition(-scores, min(k, len(vectors)) - 1, axis=1)[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the worst first" fails="search-exact-example" says="7, 5, an empty place"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(np.where(np.isneginf(scores), np.inf, scores), axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="ids count the allowed documents only" fails="search-exact-example" says="7, 5, an empty place"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors if allowed is None else vectors[allowed], metric)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the metric is ignored" fails="search-exact-example" says="7, 5, an empty place"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, "cosine")
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the default is the dot product" fails="search-exact-properties" says="by default the cosine"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="dot", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="wrong" name="the order of the first query for all" fails="search-exact-properties" says="FAISS finds these; best first? filtered first?"
def similarities(queries, vectors, metric):
    if metric == "dot":
        return queries @ vectors.T
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squares, 0))
    raise ValueError(f"unknown metric {metric!r}")


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    order = np.repeat(order[:1], len(queries), axis=0)
    best = np.full((len(queries), k), -np.inf)
    ids = np.full((len(queries), k), -1)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    ids[:, : order.shape[1]] = order
    ids[np.isneginf(best)] = -1
    return best, ids


# %% exercise="search-exact" kind="right" name="loops over pairs that print, and sorted with a key"
def similarities(queries, vectors, metric):
    def one(q, x):
        if metric == "dot":
            return float(np.dot(q, x))
        if metric == "cosine":
            both = np.linalg.norm(q) * np.linalg.norm(x)
            return float(np.dot(q, x) / both) if both else 0.0
        if metric == "euclidean":
            return -float(np.linalg.norm(q - x))
        raise ValueError(metric)

    return np.array([[one(q, x) for x in vectors] for q in queries])


def search(queries, vectors, k, metric="cosine", allowed=None):
    rows = []
    for number, row in enumerate(similarities(queries, vectors, metric)):
        pairs = [(score, i) for i, score in enumerate(row.tolist()) if allowed is None or allowed[i]]
        pairs = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:k]
        rows.append(pairs + [(-np.inf, -1)] * (k - len(pairs)))
        print(f"query {number}: {rows[-1]}")
    return np.array([[s for s, _ in row] for row in rows]), np.array([[i for _, i in row] for row in rows])


# %% exercise="search-exact" kind="right" name="scipy's distances, the allowed documents cut out first, lexsort"
def similarities(queries, vectors, metric):
    from scipy.spatial.distance import cdist

    if metric == "euclidean":
        return -cdist(queries, vectors)
    if metric == "cosine":
        queries, vectors = reference.normalise(queries), reference.normalise(vectors)
    elif metric != "dot":
        raise ValueError("metric is dot, cosine or euclidean")
    return np.einsum("qd,nd->qn", queries, vectors)


def search(queries, vectors, k, metric="cosine", allowed=None):
    kept = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
    scores, ids = np.full((len(queries), k), -np.inf), np.full((len(queries), k), -1, dtype=np.int32)
    for q, row in enumerate(reference.similarities(queries, vectors[kept], metric)):
        order = np.lexsort((kept, -row))[:k]
        scores[q, : len(order)], ids[q, : len(order)] = row[order], kept[order]
    return scores, ids


# %% exercise="search-exact" kind="right" name="padded with empty documents before the sort"
def similarities(queries, vectors, metric):
    if metric not in {"dot", "cosine", "euclidean"}:
        raise ValueError(metric)
    if metric == "cosine":
        queries, vectors = reference.normalise(queries), reference.normalise(vectors)
    if metric != "euclidean":
        return queries @ vectors.T
    return -np.sqrt(((queries[:, None] - vectors[None]) ** 2).sum(axis=-1))


def search(queries, vectors, k, metric="cosine", allowed=None):
    scores = similarities(queries, vectors, metric).astype(float)
    if allowed is not None:
        scores[:, ~allowed] = -np.inf
    scores = np.hstack([scores, np.full((len(scores), k), -np.inf)])
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    scores = np.take_along_axis(scores, ids, axis=1)
    return scores, np.where(scores == -np.inf, -1, ids)


# %% exercise="search-metrics" kind="wrong" name="precision: hits divided by k" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / k


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="recall divided by min(k, R), so that 1 can be reached" fails="search-metrics-properties" says="recall over |R|? log2(place + 1)? min(k, |R|) hits at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / min(k, len(relevant))


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="recall over the whole ranking" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="recall is 1 if there is any hit" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return float(len(set(ranking[:k]) & relevant) > 0)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="hits divided by the length of the ranking" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / max(1, len(ranking[:k]))


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="the first k + 1 places" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[: k + 1]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="the place instead of its reciprocal" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="places that count from 0" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking):
        if document in relevant:
            return 1 / max(1, place)
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="the reciprocal rank looks at ten places only" fails="search-metrics-properties" says="recall over |R|? log2(place + 1)? min(k, |R|) hits at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking[:10], start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="the last hit instead of the first" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in reversed([*enumerate(ranking, start=1)]):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="no hit gives 1 / (length + 1)" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 1 / (len(ranking) + 1)


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="no hit gives None" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return None


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="a mean over all hits instead of the first" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    hits = [1 / place for place, document in enumerate(ranking, start=1) if document in relevant]
    return sum(hits) / max(1, len(hits))


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="empty places taken out before places are counted" fails="search-metrics-properties" says="-1 is a place without a hit; no hit gives 0"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate([i for i in ranking if i != -1], start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="empty places taken out before the k first are cut" fails="search-metrics-properties" says="-1 is a place without a hit; no hit gives 0"
def recall_at_k(ranking, relevant, k):
    return len(set([i for i in ranking if i >= 0][:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="the perfect ranking fills all k places" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, k + 1))


# %% exercise="search-metrics" kind="wrong" name="the perfect ranking is longer than k" fails="search-metrics-properties" says="recall over |R|? log2(place + 1)? min(k, |R|) hits at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, len(relevant) + 1))


# %% exercise="search-metrics" kind="wrong" name="the perfect ranking knows only what was found" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    hits = len(set(ranking[:k]) & relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, hits + 1)) if hits else 0.0


# %% exercise="search-metrics" kind="wrong" name="the perfect ranking is as short as the ranking" fails="search-metrics-properties" says="-1 is a place without a hit; no hit gives 0"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant), max(1, len(ranking))) + 1))


# %% exercise="search-metrics" kind="wrong" name="the gain is not divided" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    return sum(1 / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)


# %% exercise="search-metrics" kind="wrong" name="1 / place instead of 1 / log2(place + 1)" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / p for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / p for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="log2(p + 2) for places from 1" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 2) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 2) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="k ignored in the gain" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(1 / np.log2(p + 1) for p, document in enumerate(ranking, start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="wrong" name="a relevant document's id for its grade" fails="search-metrics-example" says="k places looked at? counted from 1? min(k, |R|) at best?"
def recall_at_k(ranking, relevant, k):
    return len(set(ranking[:k]) & relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    for place, document in enumerate(ranking, start=1):
        if document in relevant:
            return 1 / place
    return 0.0


def ndcg_at_k(ranking, relevant, k):
    gain = sum(document / np.log2(p + 1) for p, document in enumerate(ranking[:k], start=1) if document in relevant)
    return gain / sum(1 / np.log2(p + 1) for p in range(1, min(k, len(relevant)) + 1))


# %% exercise="search-metrics" kind="right" name="loops that print"
def recall_at_k(ranking, relevant, k):
    found = 0
    for place in range(min(k, len(ranking))):
        if ranking[place] in relevant:
            found += 1
        print(f"place {place + 1}: {found} found")
    return found / len(relevant)


def reciprocal_rank(ranking, relevant):
    place = 1
    while place <= len(ranking):
        print("looking at place", place)
        if ranking[place - 1] in relevant:
            return 1.0 / place
        place += 1
    return 0


def ndcg_at_k(ranking, relevant, k):
    import math
    import sys

    gain = perfect = 0.0
    for place in range(1, k + 1):
        if place <= len(ranking) and ranking[place - 1] in relevant:
            gain += 1 / math.log2(place + 1)
        if place <= len(relevant):
            perfect += 1 / math.log2(place + 1)
        print(place, gain, perfect, file=sys.stderr)
    return gain / perfect


# %% exercise="search-metrics" kind="right" name="NumPy arrays, natural logarithms, which cancel"
def recall_at_k(ranking, relevant, k):
    return np.isin(np.array(ranking[:k], dtype=int), [*relevant]).sum() / len(relevant)


def reciprocal_rank(ranking, relevant):
    hits = np.flatnonzero(np.isin(np.array(ranking, dtype=int), [*relevant]))
    return 1 / (hits[0] + 1) if len(hits) else 0.0


def ndcg_at_k(ranking, relevant, k):
    weights = 1 / np.log(np.arange(2, k + 2))
    hits = np.isin(np.array(ranking[:k], dtype=int), [*relevant])
    return (weights[: len(hits)] * hits).sum() / weights[: len(relevant)].sum()


# %% exercise="search-metrics" kind="right" name="one line each, sums over the relevant documents"
def recall_at_k(ranking, relevant, k):
    return sum(document in ranking[:k] for document in relevant) / len(relevant)


def reciprocal_rank(ranking, relevant):
    return max((1 / (1 + ranking.index(document)) for document in relevant if document in ranking), default=0)


def ndcg_at_k(ranking, relevant, k):
    gains = [1 / np.log2(2 + ranking.index(document)) for document in relevant if document in ranking[:k]]
    return sum(gains) / sum(1 / np.log2(2 + place) for place in range(k) if place < len(relevant))


# %% exercise="search-bm25" kind="wrong" name="no 1 in the logarithm: common words count below zero" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log((number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="a logarithm of base 10" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log10(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="n counts occurrences, not documents" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in document)
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="the halves forgotten" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word]) / holders[word])
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="ln(N / n), as in tf-idf" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(number / holders[word])
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="the older form, times k1 + 1" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f * (k1 + 1) / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="repetition pays without end" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number = len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="lengths ignored" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number = len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1)
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="mean over length, not length over mean" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * mean / len(document)))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="the number of different words for the length" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(set(document)) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="b and 1 - b exchanged" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (b + (1 - b) * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="k1 and b fixed" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    k1, b, index = 1.5, 0.75, {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="other defaults" fails="search-bm25-properties" says="n_w counts documents, not occurrences?"
def bm25_index(documents, k1=1.2, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="a posting for every occurrence" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in ((w, document.count(w)) for w in document):
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="lists sorted by weight" fails="search-bm25-properties" says="n_w counts documents, not occurrences?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return {word: sorted(found, key=lambda pair: -pair[1]) for word, found in index.items()}


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="documents numbered from 1" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents, start=1):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="documents sorted in place" fails="search-bm25-properties" says="changed an argument: make new arrays"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        document.sort()
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="a posting of weight 0 for every document" fails="search-bm25-example" says="1 + and halves in ln? |D| / mean?"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return {word: [(i, dict(found).get(i, 0.0)) for i in range(number)] for word, found in index.items()}


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="each word of the query once" fails="search-bm25-example" says="card: 3 in document 0, 2 in document 1"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in set(query):
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="unknown words raise KeyError" fails="search-bm25-example" says="KeyError: 'loan'"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index[word]:
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="unknown words are put into the index" fails="search-bm25-properties" says="changed an argument: make new arrays"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.setdefault(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="the weight replaces the score" fails="search-bm25-example" says="card: 3 in document 0, 2 in document 1"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] = weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="the number of hits instead of the weights" fails="search-bm25-example" says="card: 3 in document 0, 2 in document 1"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, _ in index.get(word, []):
            scores[i] += 1
    return scores


# %% exercise="search-bm25" kind="wrong" name="scores are integers" fails="search-bm25-properties" says="unknown words count nothing, repeated ones twice"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count, dtype=int)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += int(weight)
    return scores


# %% exercise="search-bm25" kind="wrong" name="float32" fails="search-bm25-properties" says="unknown words count nothing, repeated ones twice"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count, dtype=np.float32)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores


# %% exercise="search-bm25" kind="wrong" name="only as many scores as the last hit needs" fails="search-bm25-example" says="card: 3 in document 0, 2 in document 1"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores[: max([i + 1 for word in query for i, _ in index.get(word, [])], default=0)]


# %% exercise="search-bm25" kind="wrong" name="divided by the number of the query's words" fails="search-bm25-example" says="card: 3 in document 0, 2 in document 1"
def bm25_index(documents, k1=1.5, b=0.75):
    number, mean = len(documents), sum(map(len, documents)) / len(documents)
    holders = Counter(word for document in documents for word in set(document))
    index = {}
    for i, document in enumerate(documents):
        for word, f in Counter(document).items():
            rarity = np.log(1 + (number - holders[word] + 0.5) / (holders[word] + 0.5))
            weight = rarity * f / (f + k1 * (1 - b + b * len(document) / mean))
            index.setdefault(word, []).append((i, weight))
    return index


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word in query:
        for i, weight in index.get(word, []):
            scores[i] += weight
    return scores / max(1, len(query))


# %% exercise="search-bm25" kind="right" name="loops over words and documents that print"
def bm25_index(documents, k1=1.5, b=0.75):
    import math
    from collections import defaultdict

    index = defaultdict(list)
    lengths = [len(document) for document in documents]
    for word in sorted({word for document in documents for word in document}):
        holders = [i for i, document in enumerate(documents) if word in document]
        rarity = math.log((len(documents) + 1) / (len(holders) + 0.5))
        for i in holders:
            f = documents[i].count(word)
            norm = k1 * (1 - b + b * lengths[i] * len(lengths) / sum(lengths))
            index[word].append((i, rarity / (1 + norm / f)))
        print(f"{word}: in {len(holders)} documents")
    return dict(index)


def bm25_scores(query, index, count):
    scores = [0.0] * count
    for word in query:
        print("reading the list of", word)
        if word in index:
            for document, weight in index[word]:
                scores[document] += weight
    return np.array(scores, dtype=np.float64)


# %% exercise="search-bm25" kind="right" name="a matrix of counts, and a Counter of the query"
def bm25_index(documents, k1=1.5, b=0.75):
    column = {word: j for j, word in enumerate(dict.fromkeys(word for document in documents for word in document))}
    counts = np.zeros((len(documents), len(column)))
    for i, document in enumerate(documents):
        np.add.at(counts[i], [column[word] for word in document], 1)
    lengths, holders = counts.sum(axis=1, keepdims=True), (counts > 0).sum(axis=0)
    rarity = np.log1p((len(documents) - holders + 0.5) / (holders + 0.5))
    weights = rarity * counts / (counts + k1 * (1 - b + b * lengths / lengths.mean()))
    return {word: [(int(i), float(weights[i, j])) for i in np.flatnonzero(counts[:, j])] for word, j in column.items()}


def bm25_scores(query, index, count):
    scores = np.zeros(count)
    for word, times in Counter(query).items():
        if index.get(word):
            ids, weights = zip(*index[word], strict=True)
            scores[list(ids)] += times * np.array(weights)
    return scores


# %% exercise="search-fusion" kind="wrong" name="places count from 0" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=0):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="k ignored" fails="search-fusion-properties" says="absence adds nothing, -1 is none but takes a place"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (60 + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="only the best place counts" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = max(scores.get(document, 0.0), 1 / (k + place))
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="only the last ranking counts" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = 1 / (k + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="a mean over the rankings instead of a sum" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place) / len(rankings)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="1 / k + place" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / k + place
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="places added up, the smallest first" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + k + place
    return sorted(scores.items(), key=lambda item: (item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="lowest score first" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda item: (item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="sorted by document" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda item: item[0])


# %% exercise="search-fusion" kind="wrong" name="equal scores in the order of first sight" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda item: -item[1])


# %% exercise="search-fusion" kind="wrong" name="at equal scores the larger id" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda item: (-item[1], -item[0]))


# %% exercise="search-fusion" kind="wrong" name="only documents that all rankings have" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(
        ((d, s) for d, s in scores.items() if all(d in ranking for ranking in rankings)),
        key=lambda item: (-item[1], item[0]),
    )


# %% exercise="search-fusion" kind="wrong" name="a missing document stands behind the last place" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    for document in scores:
        scores[document] += sum(1 / (k + len(r) + 1) for r in rankings if document not in r)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="the empty place as a document" fails="search-fusion-properties" says="absence adds nothing, -1 is none but takes a place"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if True:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="places counted without the empty ones" fails="search-fusion-properties" says="absence adds nothing, -1 is none but takes a place"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate([i for i in ranking if i != -1], start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="empty places removed from the caller's lists" fails="search-fusion-properties" says="changed an argument: make new arrays"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    rankings[:] = [[None if i == -1 else i for i in ranking] for ranking in rankings]
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document is not None:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="a ranking ends at its first empty place" fails="search-fusion-properties" says="absence adds nothing, -1 is none but takes a place"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document == -1:
                break
            if document >= 0:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="all rankings cut to the shortest" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking[: min(map(len, rankings))], start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="ids without scores" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores, key=lambda document: (-scores[document], document))


# %% exercise="search-fusion" kind="wrong" name="scores rounded to four digits" fails="search-fusion-example" says="places count from 1; ties by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    scores = {document: round(score, 4) for document, score in scores.items()}
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="wrong" name="an error if there are no rankings" fails="search-fusion-properties" says="IndexError: list index out of range"
def reciprocal_rank_fusion(rankings, k=60):
    scores = dict.fromkeys(rankings[0], 0.0)
    scores.pop(-1, None)
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


# %% exercise="search-fusion" kind="right" name="over documents, with index, and it prints"
def reciprocal_rank_fusion(rankings, k=60):
    documents = {document for ranking in rankings for document in ranking} - {-1}
    joined = []
    for document in sorted(documents):
        score = sum(1 / (k + ranking.index(document) + 1) for ranking in rankings if document in ranking)
        print(f"document {document}: {score:.4f}")
        joined.append((document, score))
    return sorted(joined, key=lambda pair: pair[1], reverse=True)


# %% exercise="search-fusion" kind="right" name="a Counter, most_common after a sort by id"
def reciprocal_rank_fusion(rankings, k=60):
    scores = Counter()
    for ranking in rankings:
        scores.update({document: 1 / (k + place + 1) for place, document in enumerate(ranking)})
    del scores[-1]
    return Counter(dict(sorted(scores.items()))).most_common()


# %% exercise="search-ivf" kind="wrong" name="the farthest centroid" fails="search-ivf-example" says="the ids on each centroid"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmin(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="the wrong axis of the argmax" fails="search-ivf-example" says="the ids on each centroid"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=0)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="the last of equal centroids" fails="search-ivf-properties" says="of two equal centroids the first gets the vector"
def build_lists(vectors, centroids):
    nearest = len(centroids) - 1 - (vectors @ centroids.T)[:, ::-1].argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="the smallest distance instead of the largest dot product" fails="search-ivf-properties" says="FAISS makes these"
def build_lists(vectors, centroids):
    nearest = ((vectors[:, None] - centroids) ** 2).sum(axis=2).argmin(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="empty lists left out" fails="search-ivf-properties" says="FAISS makes these"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in np.unique(nearest)]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="centroids of the vectors instead of vectors of the centroids" fails="search-ivf-example" says="the ids on each centroid"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [[int(c)] for c in nearest]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="a vector on its two nearest lists" fails="search-ivf-example" says="the ids on each centroid"
def build_lists(vectors, centroids):
    near = np.argsort(-(vectors @ centroids.T), axis=1)[:, :2]
    return [np.flatnonzero((near == c).any(axis=1)).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="lists from the largest id to the smallest" fails="search-ivf-example" says="the ids on each centroid"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c)[::-1].tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="the farthest lists are probed" fails="search-ivf-example" says="ids best first; compared: C and the vectors in the lists"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(centroids @ query)[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="always one list" fails="search-ivf-example" says="ids best first; compared: C and the vectors in the lists"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:1]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="always every list" fails="search-ivf-example" says="ids best first; compared: C and the vectors in the lists"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="the lists at the smallest distance" fails="search-ivf-properties" says="the nearest lists? the best k in them, best first?"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(((centroids - query) ** 2).sum(axis=1))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="vectors at the smallest distance" fails="search-ivf-properties" says="the nearest lists? the best k in them, best first?"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(((vectors[candidates] - query) ** 2).sum(axis=1))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="places among the candidates instead of ids" fails="search-ivf-properties" says="the nearest lists? the best k in them, best first?"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return order.tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="the worst first" fails="search-ivf-example" says="ids best first; compared: C and the vectors in the lists"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k][::-1]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="the comparisons with the centroids not counted" fails="search-ivf-example" says="ids best first; compared: C and the vectors in the lists"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(candidates)


# %% exercise="search-ivf" kind="wrong" name="only nprobe centroids counted" fails="search-ivf-example" says="ids best first; compared: C and the vectors in the lists"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), nprobe + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="only the k found ones counted" fails="search-ivf-example" says="ids best first; compared: C and the vectors in the lists"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(order)


# %% exercise="search-ivf" kind="wrong" name="all N counted" fails="search-ivf-example" says="ids best first; compared: C and the vectors in the lists"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(vectors)


# %% exercise="search-ivf" kind="wrong" name="k cut before the sort" fails="search-ivf-example" says="ids best first; compared: C and the vectors in the lists"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    compared, candidates = len(centroids) + len(candidates), candidates[:k]
    order = np.argsort(-(vectors[candidates] @ query))
    return candidates[order].tolist(), compared


# %% exercise="search-ivf" kind="wrong" name="k best of each list" fails="search-ivf-example" says="ids best first; compared: C and the vectors in the lists"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[: k * nprobe]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="empty lists make an array of floats" fails="search-ivf-properties" says="arrays used as indices must be of integer"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]])
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="the first list grows by the others" fails="search-ivf-properties" says="changed an argument: make new arrays"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    members = lists[probed[0]]
    for c in probed[1:]:
        members += lists[c]
    candidates = np.array(members, dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="wrong" name="exact search whatever the lists" fails="search-ivf-example" says="ids best first; compared: C and the vectors in the lists"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.arange(len(vectors))
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + sum(len(lists[c]) for c in probed)


# %% exercise="search-ivf" kind="wrong" name="places left over are filled with -1" fails="search-ivf-example" says="ids best first; compared: C and the vectors in the lists"
def build_lists(vectors, centroids):
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([i for c in probed for i in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist() + [-1] * (k - len(order)), len(centroids) + len(candidates)


# %% exercise="search-ivf" kind="right" name="loops that print"
def build_lists(vectors, centroids):
    lists = [[] for _ in centroids]
    for i, vector in enumerate(vectors):
        best, where = -np.inf, 0
        for c, centroid in enumerate(centroids):
            score = float(np.dot(vector, centroid))
            if score > best:
                best, where = score, c
        lists[where].append(i)
        print(f"vector {i} on list {where}")
    return lists


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    import sys

    compared, near, found = 0, [], []
    for c, centroid in enumerate(centroids):
        near.append((float(np.dot(centroid, query)), c))
        compared += 1
    for _, c in sorted(near, reverse=True)[:nprobe]:
        for i in lists[c]:
            found.append((float(np.dot(vectors[i], query)), i))
            compared += 1
        print(f"list {c}: {len(lists[c])} vectors", file=sys.stderr)
    return [i for _, i in sorted(found, reverse=True)[:k]], compared


# %% exercise="search-ivf" kind="right" name="the exact search of exercise 2 does all of it, ids as NumPy integers"
def build_lists(vectors, centroids):
    nearest = reference.search(vectors, centroids, 1, "dot")[1][:, 0]
    return [[i for i in range(len(vectors)) if nearest[i] == c] for c in range(len(centroids))]


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    allowed = np.zeros(len(vectors), dtype=bool)
    for c in reference.search(query[None], centroids, nprobe, "dot")[1][0]:
        allowed[lists[c]] = True
    ids = reference.search(query[None], vectors, k, "dot", allowed)[1][0]
    return list(ids[ids >= 0]), len(centroids) + allowed.sum()


# %% exercise="search-ivf" kind="right" name="heapq.nlargest"
def build_lists(vectors, centroids):
    lists = {c: [] for c in range(len(centroids))}
    for i, row in enumerate(np.einsum("nd,cd->nc", vectors, centroids).tolist()):
        lists[row.index(max(row))].append(i)
    return list(lists.values())


def ivf_search(query, vectors, centroids, lists, nprobe, k):
    probed = heapq.nlargest(nprobe, range(len(centroids)), key=lambda c: centroids[c] @ query)
    members = [i for c in probed for i in lists[c]]
    return heapq.nlargest(k, members, key=lambda i: vectors[i] @ query), len(centroids) + len(members)


# %% exercise="search-graph" kind="wrong" name="no stop: the walk goes on to the last candidate" fails="search-graph-properties" says="different vectors are compared, each counts once"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        _, place = heapq.heappop(candidates)
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="right" name="it does not ask whether ef are found: until then every candidate is among the found"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="it stops behind the best found, not behind the worst" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < max(found)[0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="a greedy walk that keeps one candidate" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        candidates.clear()
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="the farthest candidate first" fails="search-graph-properties" says="the nearest candidate first? stopped only if it is worse than all ef found?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="candidates in the order of first sight" fails="search-graph-properties" says="different vectors are compared, each counts once"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = candidates.pop(0)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                candidates.append((-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="every neighbour becomes a candidate, however far" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        _, place = heapq.heappop(candidates)
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            heapq.heappush(candidates, (-score, neighbour))
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="a neighbour must be nearer even while places are free" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="nearer than the best found, not than the worst" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > max(found)[0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="never drops the worst" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if False:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="drops the best" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    found.remove(max(found))
                    heapq.heapify(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="cut to ef only at the end" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if False:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)[:ef]], len(seen)


# %% exercise="search-graph" kind="wrong" name="one too many kept" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef + 1:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="the entry is not counted" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen) - 1


# %% exercise="search-graph" kind="wrong" name="counts the vectors it went to, not those it compared" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    went = 0
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        went += 1
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], went


# %% exercise="search-graph" kind="wrong" name="counts a vector anew at each link" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    compared = 1
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            compared += 1
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], compared


# %% exercise="search-graph" kind="wrong" name="the entry is not marked as seen" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = set(), [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="seen only when the walk gets there" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        seen.add(place)
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="farthest first" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found)], len(seen)


# %% exercise="search-graph" kind="wrong" name="in the order of the heap" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in found], len(seen)


# %% exercise="search-graph" kind="wrong" name="scores beside the ids" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return sorted(found, reverse=True), len(seen)


# %% exercise="search-graph" kind="wrong" name="always starts from vector 0" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    entry = 0
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="links followed in both directions" fails="search-graph-properties" says="the nearest candidate first? stopped only if it is worse than all ef found?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in {*links[place], *(i for i, near in enumerate(links) if place in near)}:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="the smallest distance instead of the largest dot product" fails="search-graph-properties" says="the nearest candidate first? stopped only if it is worse than all ef found?"
def walk_graph(query, vectors, links, entry, ef):
    score = -float(np.linalg.norm(vectors[entry] - query))
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = -float(np.linalg.norm(vectors[neighbour] - query))
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="seen neighbours removed from the graph" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        while links[place]:
            neighbour = links[place].pop()
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return [i for _, i in sorted(found, reverse=True)], len(seen)


# %% exercise="search-graph" kind="wrong" name="exact search, which needs no graph" fails="search-graph-example" says="only the worst dropped? each counted once?"
def walk_graph(query, vectors, links, entry, ef):
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        near, place = heapq.heappop(candidates)
        if len(found) == ef and -near < found[0][0]:
            break
        for neighbour in links[place]:
            if neighbour in seen:
                continue
            seen.add(neighbour)
            score = float(vectors[neighbour] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, neighbour))
                heapq.heappush(found, (score, neighbour))
                if len(found) > ef:
                    heapq.heappop(found)
    return np.argsort(-(vectors @ query))[:ef].tolist(), len(seen)


# %% exercise="search-graph" kind="right" name="plain lists, sorted again at every step, and it prints"
def walk_graph(query, vectors, links, entry, ef):
    scores = {entry: sum(float(a) * float(b) for a, b in zip(vectors[entry], query, strict=True))}
    candidates, found = [entry], [entry]
    while candidates:
        candidates.sort(key=lambda i: scores[i])
        here = candidates.pop()
        print(f"at {here}, found {found}")
        if len(found) >= ef and scores[here] < min(scores[i] for i in found):
            break
        for i in links[here]:
            if i not in scores:
                scores[i] = sum(float(a) * float(b) for a, b in zip(vectors[i], query, strict=True))
                found = sorted([*found, i], key=lambda j: -scores[j])[:ef]
                if i in found:
                    candidates.append(i)
    return found, len(scores)


# %% exercise="search-graph" kind="right" name="all scores worked out beforehand, arrays of flags, NumPy integers"
def walk_graph(query, vectors, links, entry, ef):
    scores = vectors @ query
    seen = np.zeros(len(vectors), dtype=bool)
    open_, found = seen.copy(), seen.copy()
    seen[entry] = open_[entry] = found[entry] = True
    while open_.any():
        here = np.where(open_, scores, -np.inf).argmax()
        open_[here] = False
        if found.sum() == ef and scores[here] < scores[found].min():
            break
        for i in links[here]:
            if not seen[i]:
                seen[i] = True
                if found.sum() < ef or scores[i] > scores[found].min():
                    open_[i] = found[i] = True
                if found.sum() > ef:
                    found[np.where(found, scores, np.inf).argmin()] = False
    ids = np.flatnonzero(found)
    return list(ids[np.argsort(-scores[ids])]), seen.sum()


# %% exercise="search-skipgram" kind="wrong" name="context on the left only" fails="search-skipgram-example" says="four pairs by hand"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:]]
        contexts += [tokens[:-o]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="the window is one too small" fails="search-skipgram-properties" says="both ways? every distance?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, max(window, 2)):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="only the words exactly window places away" fails="search-skipgram-properties" says="both ways? every distance?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(window, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="each word is its own context too" fails="search-skipgram-example" says="four pairs by hand"
def skipgram_pairs(tokens, window):
    centres, contexts = [tokens], [tokens]
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="the text is a ring" fails="search-skipgram-example" says="four pairs by hand"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens, tokens]
        contexts += [np.roll(tokens, o), np.roll(tokens, -o)]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="each pair once" fails="search-skipgram-properties" says="both ways? every distance?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    pairs = np.unique(np.stack([np.concatenate(centres), np.concatenate(contexts)], axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="pairs of a word with itself left out" fails="search-skipgram-properties" says="both ways? every distance?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    centre, context = np.concatenate(centres), np.concatenate(contexts)
    return centre[centre != context], context[centre != context]


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="places instead of tokens" fails="search-skipgram-example" says="four pairs by hand"
def skipgram_pairs(tokens, window):
    centres, contexts, tokens = [], [], np.arange(len(tokens))
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="no pairs unless the whole window fits" fails="search-skipgram-example" says="four pairs by hand"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for i in range(window, len(tokens) - window):
        around = [*tokens[i - window : i], *tokens[i + 1 : i + window + 1]]
        centres += [tokens[i]] * len(around)
        contexts += around
    return np.array(centres, dtype=np.int64), np.array(contexts, dtype=np.int64)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="a negative start of the slice at the beginning of the text" fails="search-skipgram-properties" says="both ways? every distance?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for i in range(len(tokens)):
        around = [*tokens[i - window : i], *tokens[i + 1 : i + window + 1]]
        centres += [tokens[i]] * len(around)
        contexts += around
    return np.array(centres, dtype=np.int64), np.array(contexts, dtype=np.int64)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="counts without the power" fails="search-skipgram-example" says="1, 16, 81: 3/4?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts / 1
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="the power of 3/4 of the shares, not divided again" fails="search-skipgram-example" says="1, 16, 81: 3/4?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    return (counts / counts.sum()) ** 0.75


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="the power 4/3" fails="search-skipgram-example" says="1, 16, 81: 3/4?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts ** (4 / 3)
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="every word has the same chance" fails="search-skipgram-example" says="1, 16, 81: 3/4?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = np.ones(len(counts))
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="the powers are integers" fails="search-skipgram-properties" says=": 3/4"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = (counts**0.75).astype(int)
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="the naive sigmoid, which overflows" fails="search-skipgram-properties" says="a mean over pairs, a sum over negatives; finite?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (-np.log(1 / (1 + np.exp(-real))).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="1 - sigmoid under the logarithm" fails="search-skipgram-properties" says="a mean over pairs, a sum over negatives; finite?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + -np.log(1 - 1 / (1 + np.exp(-made))).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="a sum over pairs instead of a mean" fails="search-skipgram-example" says="signs? divided by B?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = 1
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="gradients of the sum, loss of the mean" fails="search-skipgram-example" says="signs? divided by B?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None]
    push = np.exp(-np.logaddexp(0, -made))[:, :, None]
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="a mean over the K negatives" fails="search-skipgram-properties" says="a mean over pairs, a sum over negatives; finite?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).mean(axis=1).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size / negative.shape[1]
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="the loss with the wrong sign" fails="search-skipgram-example" says="signs? divided by B?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(-loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="negatives pulled in instead of pushed away" fails="search-skipgram-example" says="signs? divided by B?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, -made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = -np.exp(-np.logaddexp(0, made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="the centre's gradient knows no negatives" fails="search-skipgram-properties" says="a mean over pairs, a sum over negatives; finite?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive, pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="the gradient of the positive word by itself" fails="search-skipgram-example" says="signs? divided by B?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * positive, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="sigmoid without the minus 1" fails="search-skipgram-example" says="signs? divided by B?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = np.exp(-np.logaddexp(0, -real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="one loss per pair" fails="search-skipgram-example" says="signs? divided by B?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = np.logaddexp(0, -real) + np.logaddexp(0, made).sum(axis=1)
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return loss, pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="a step of training on the centres given" fails="search-skipgram-example" says="signs? divided by B?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    centre -= 0.0001 * pull * positive
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="gradients clipped to 1" fails="search-skipgram-properties" says="a mean over pairs, a sum over negatives; finite?"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return (
        float(loss),
        np.clip(pull * positive + (push * negative).sum(axis=1), -1, 1),
        pull * centre,
        push * centre[:, None],
    )


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="a - b + c" fails="search-skipgram-example" says="is down (2), then 4"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[a] - vectors[b] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="b - a without c" fails="search-skipgram-properties" says="largest dot product with b - a + c first"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="the question's words are never excluded" fails="search-skipgram-example" says="is down (2), then 4"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if False:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="they are always excluded" fails="search-skipgram-properties" says="largest dot product with b - a + c first"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if True:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="exclude is off unless asked for" fails="search-skipgram-example" says="is down (2), then 4"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=False):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="only b and c excluded" fails="search-skipgram-properties" says="largest dot product with b - a + c first"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="only a and b excluded" fails="search-skipgram-example" says="is down (2), then 4"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="excluded after the cut to k" fails="search-skipgram-example" says="is down (2), then 4"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    ranked = np.argsort(-(vectors @ (vectors[b] - vectors[a] + vectors[c])))[:k].tolist()
    return [i for i in ranked if not exclude or i not in (a, b, c)]


# %% exercise="search-skipgram" kind="wrong" name="excluded rows set to zero in the table" fails="search-skipgram-properties" says="changed an argument: make new arrays"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        vectors[[a, b, c]] = 0
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="excluded rows get the score 0" fails="search-skipgram-example" says="is down (2), then 4"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = 0
    return np.argsort(-scores)[:k].tolist()


# %% exercise="search-skipgram" kind="wrong" name="the worst first" fails="search-skipgram-example" says="is down (2), then 4"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k][::-1].tolist()


# %% exercise="search-skipgram" kind="wrong" name="only the best one" fails="search-skipgram-example" says="is down (2), then 4"
def skipgram_pairs(tokens, window):
    centres, contexts = [], []
    for o in range(1, window + 1):
        centres += [tokens[o:], tokens[:-o]]
        contexts += [tokens[:-o], tokens[o:]]
    return np.concatenate(centres), np.concatenate(contexts)


def noise_chances(counts):
    powers = counts**0.75
    return powers / powers.sum()


def negative_sampling(centre, positive, negative):
    size = len(centre)
    real = (centre * positive).sum(axis=1)
    made = np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -real).sum() + np.logaddexp(0, made).sum()) / size
    pull = -np.exp(-np.logaddexp(0, real))[:, None] / size
    push = np.exp(-np.logaddexp(0, -made))[:, :, None] / size
    return float(loss), pull * positive + (push * negative).sum(axis=1), pull * centre, push * centre[:, None]


def analogy(vectors, a, b, c, k, exclude=True):
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:1].tolist()


# %% exercise="search-skipgram" kind="right" name="loops over places and pairs that print, and the torch of the formulas"
def skipgram_pairs(tokens, window):
    pairs = []
    for i, centre in enumerate(tokens):
        for j in range(max(0, i - window), min(len(tokens), i + window + 1)):
            if i != j:
                pairs.append((centre, tokens[j]))
        print(f"centre {centre}: {len(pairs)} pairs so far")
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def noise_chances(counts):
    weights = [float(count) ** 0.75 for count in counts]
    return np.array([weight / sum(weights) for weight in weights])


def negative_sampling(centre, positive, negative):
    import sys

    v, u, n = (torch.tensor(x, requires_grad=True) for x in (centre, positive, negative))
    scores = torch.cat([(v * u).sum(1, keepdim=True), -(n @ v[:, :, None])[:, :, 0]], dim=1)
    loss = -torch.nn.functional.logsigmoid(scores).sum(1).mean()
    loss.backward()
    print("loss", loss.item(), file=sys.stderr)
    return loss.item(), v.grad.numpy(), u.grad.numpy(), n.grad.numpy()


def analogy(vectors, a, b, c, k, exclude=True):
    target = vectors[b] - vectors[a] + vectors[c]
    rows = [i for i in range(len(vectors)) if not (exclude and i in (a, b, c))]
    return sorted(rows, key=lambda i: -float(vectors[i] @ target))[:k]


# %% exercise="search-skipgram" kind="right" name="pair by pair, scipy's expit, the nearest by distance"
def skipgram_pairs(tokens, window):
    near = [(i, j) for i in range(len(tokens)) for j in range(len(tokens)) if 0 < abs(i - j) <= window]
    return tokens[[i for i, _ in near]].astype(np.int64), tokens[[j for _, j in near]].astype(np.int64)


def noise_chances(counts):
    logs = 0.75 * np.log(counts)
    return np.exp(logs - np.logaddexp.reduce(logs))


def negative_sampling(centre, positive, negative):
    from scipy.special import expit, log_expit

    loss, size = 0.0, len(centre)
    d_centre, d_positive, d_negative = np.zeros_like(centre), np.zeros_like(positive), np.zeros_like(negative)
    for b in range(size):
        score = centre[b] @ positive[b]
        loss -= log_expit(score) / size
        d_centre[b] += (expit(score) - 1) * positive[b] / size
        d_positive[b] = (expit(score) - 1) * centre[b] / size
        for j in range(negative.shape[1]):
            score = centre[b] @ negative[b, j]
            loss -= log_expit(-score) / size
            d_centre[b] += expit(score) * negative[b, j] / size
            d_negative[b, j] = expit(score) * centre[b] / size
    return loss, d_centre, d_positive, d_negative


def analogy(vectors, a, b, c, k, exclude=True):
    distances = np.linalg.norm(vectors - (vectors[b] - vectors[a] + vectors[c]), axis=1)
    ranked = [int(i) for i in np.argsort(distances) if not exclude or i not in {a, b, c}]
    return ranked[:k]
