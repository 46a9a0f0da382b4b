"""The solved exercises of 04_embeddings/semantic_search.

Made from source/04_embeddings/semantic_search.py by `llmlabs build`: edit that file, not this one.
"""

import heapq
from collections import Counter

import numpy as np
from numpy import ndarray


def mean_pool(states: ndarray, mask: ndarray) -> ndarray:
    """Return the mean of each text's token states; padding does not count.

    Args:
        states: float32 or float64 of shape (B, T, d); what stands at padding is finite but means nothing.
        mask: integers or booleans of shape (B, T), 1 for a token, 0 for padding, which may stand anywhere.

    Returned is an array of shape (B, d) with the dtype of states, zeros for a text without any token. Nothing is changed.
    """
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def normalise(vectors: ndarray) -> ndarray:
    """Scale vectors of shape (..., d) to length 1, even those of length 1e-9; zeros stay zeros. A new array of the same dtype."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def similarities(queries: ndarray, vectors: ndarray, metric: str) -> ndarray:
    """Compare each query with each document. Use normalise(vectors) of exercise 1 for the cosine.

    Args:
        queries, vectors: float of shapes (Q, d) and (N, d), not changed.
        metric: "dot", "cosine" or "euclidean", the distance with a minus sign; a vector of zeros has cosine 0 with all.

    Returned are floats of shape (Q, N), never NaN; larger is nearer. Any other metric raises ValueError.
    """
    if metric == "cosine":
        return normalise(queries) @ normalise(vectors).T
    if metric == "euclidean":
        squared = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squared, 0))
    if metric == "dot":
        return queries @ vectors.T
    raise ValueError(f"unknown metric {metric!r}: use dot, cosine or euclidean")


def search(
    queries: ndarray, vectors: ndarray, k: int, metric: str = "cosine", allowed: ndarray | None = None
) -> tuple[ndarray, ndarray]:
    """Find the k documents nearest to each query.

    Args:
        queries, vectors, metric: as in `similarities`.
        k: at least 1, may be more than N.
        allowed: booleans of shape (N,), which documents may be found; None: all. Nothing is changed.

    Returned are (scores, ids), each of shape (Q, k): best first, of equal scores the smaller id first. Where fewer than
    k documents are allowed, the places left at the end hold the score -inf and the id -1 (FAISS's id, too).
    """
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    room = ((0, 0), (0, k - order.shape[1]))
    best = np.pad(np.take_along_axis(scores, order, axis=1), room, constant_values=-np.inf)
    return best, np.where(best > -np.inf, np.pad(order, room), -1)


# In all three, ranking is a list of document ids, best first, each at most once, perhaps fewer than k, perhaps none; an id
# of -1 is an empty place. relevant is the set of relevant ids, at least one; k is at least 1. Each returns a number.
def recall_at_k(ranking: list[int], relevant: set[int], k: int) -> float:
    """Return the share of the relevant documents that are among the first k."""
    return sum(document in relevant for document in ranking[:k]) / len(relevant)


def reciprocal_rank(ranking: list[int], relevant: set[int]) -> float:
    """Return 1 / the place of the first relevant document, counted from 1; 0 if there is none in the whole ranking."""
    return next((1 / place for place, document in enumerate(ranking, start=1) if document in relevant), 0.0)


def ndcg_at_k(ranking: list[int], relevant: set[int], k: int) -> float:
    """Return the discounted gain of the first k places, divided by that of a perfect ranking."""
    gain = sum(1 / np.log2(place + 1) for place, document in enumerate(ranking[:k], start=1) if document in relevant)
    return float(gain / sum(1 / np.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1)))


def bm25_index(documents: list[list[str]], k1: float = 1.5, b: float = 0.75) -> dict[str, list[tuple[int, float]]]:
    """Build the inverted index.

    documents: the words of each document, at least one word in each; not changed. k1 is above 0, b from 0 to 1. Returned
    is, for each word, the list of (number of the document, weight), in order, for the documents that contain the word.
    """
    mean = sum(map(len, documents)) / len(documents)
    containing = Counter(word for document in documents for word in set(document))
    index: dict[str, list[tuple[int, float]]] = {}
    for number, document in enumerate(documents):
        damping = k1 * (1 - b + b * len(document) / mean)
        for word, f in Counter(document).items():
            rarity = np.log(1 + (len(documents) - containing[word] + 0.5) / (containing[word] + 0.5))
            index.setdefault(word, []).append((number, float(rarity * f / (f + damping))))
    return index


def bm25_scores(query: list[str], index: dict[str, list[tuple[int, float]]], count: int) -> ndarray:
    """Score all documents for a query, as a float64 array of shape (count,).

    query: words, perhaps none; one that no document has counts nothing, one that occurs twice counts twice.
    index, count: what `bm25_index` returned, and the number of documents.
    """
    scores = np.zeros(count)
    for word in query:
        for number, weight in index.get(word, []):
            scores[number] += weight
    return scores


def reciprocal_rank_fusion(rankings: list[list[int]], k: float = 60) -> list[tuple[int, float]]:
    """Join rankings by the places of their documents.

    Args:
        rankings: lists of document ids, best first; there may be none, some may be empty; not changed. A document need
            not be in all. An id of -1 is an empty place: no document, but the places after it keep their numbers.
        k: the constant of the formula, at least 0.

    Returned is a list of (document, score) of all documents, perhaps empty: highest score first, of equals the smaller id.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def build_lists(vectors: ndarray, centroids: ndarray) -> list[list[int]]:
    """Put each vector on the list of the centroid with the largest dot product, of equal ones the first.

    vectors and centroids are floats of shapes (N, d) and (C, d), not changed. Returned are, for each centroid, the ids
    0 to N - 1 of its vectors, rising, perhaps none.
    """
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]


def ivf_search(
    query: ndarray, vectors: ndarray, centroids: ndarray, lists: list[list[int]], nprobe: int, k: int
) -> tuple[list[int], int]:
    """Search the lists of the nprobe centroids with the largest dot products with the query.

    query: float of shape (d,); no two centroids, and no two vectors, have the same dot product with it. vectors,
    centroids, lists: as for and from `build_lists`. Nothing is changed. nprobe: from 1 to C. k: at least 1.

    Returned are (ids, compared): the ids of the k vectors with the largest dot products among those in these lists, best
    first, fewer if the lists hold fewer; and the number of comparisons: C, and one for each vector in these lists.
    """
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([number for c in probed for number in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)


def walk_graph(query: ndarray, vectors: ndarray, links: list[list[int]], entry: int, ef: int) -> tuple[list[int], int]:
    """Walk a graph towards the query, as in the four steps above; nearer means a larger dot product.

    Args:
        query: float of shape (d,).
        vectors: float of shape (N, d); no two have the same dot product with the query.
        links: for each vector the ids of its neighbours; a link need not lead back. Nothing is changed.
        entry, ef: the id of the vector to start from; how many found vectors are kept, at least 1.

    Returned are (ids, compared): those of the found vectors, nearest first, and how many different vectors were compared.
    """
    score = float(vectors[entry] @ query)
    seen, candidates, found = {entry}, [(-score, entry)], [(score, entry)]
    while candidates:
        negative, number = heapq.heappop(candidates)
        if len(found) == ef and -negative < found[0][0]:
            break
        for other in {*links[number]} - seen:
            seen.add(other)
            score = float(vectors[other] @ query)
            if len(found) < ef or score > found[0][0]:
                heapq.heappush(candidates, (-score, other))
                heapq.heappush(found, (score, other))
                if len(found) > ef:
                    heapq.heappop(found)
    return [number for _, number in sorted(found, reverse=True)], len(seen)


def skipgram_pairs(tokens: ndarray, window: int) -> tuple[ndarray, ndarray]:
    """Return all pairs (centre, context) of tokens that stand at most `window` places apart, in any order.

    tokens: int64 of shape (n,), not changed; n may be smaller than window, which is at least 1. Returned are (centres,
    contexts), two int64 arrays of one length; a pair that occurs twice is in them twice.
    """
    left = np.concatenate([tokens[o:] for o in range(1, window + 1)])
    right = np.concatenate([tokens[:-o] for o in range(1, window + 1)])
    return np.concatenate([left, right]), np.concatenate([right, left])


def noise_chances(counts: ndarray) -> ndarray:
    """Return each word's chance to be drawn as a negative: float64, proportional to counts (int64) to the power 3/4."""
    return counts**0.75 / (counts**0.75).sum()


def negative_sampling(centre: ndarray, positive: ndarray, negative: ndarray) -> tuple[float, ndarray, ndarray, ndarray]:
    """Return the mean loss of B pairs and its gradients; all finite for dot products from -1000 to 1000.

    centre, positive: v of the centre and u of the word that does stand there, floats of shape (B, d).
    negative: u of the K words drawn, shape (B, K, d). No argument is changed.

    Returned are (loss, d_centre, d_positive, d_negative): a number, and the gradients of the mean, shaped like the arguments.
    """
    near, far = (centre * positive).sum(axis=1), np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -near) + np.logaddexp(0, far).sum(axis=1)).mean()
    pull = -np.exp(-np.logaddexp(0, near)) / len(centre)  # sigma(z) - 1 = -sigma(-z)
    push = np.exp(-np.logaddexp(0, -far)) / len(centre)
    d_centre = pull[:, None] * positive + np.einsum("bk,bkd->bd", push, negative)
    return float(loss), d_centre, pull[:, None] * centre, push[:, :, None] * centre[:, None, :]


def analogy(vectors: ndarray, a: int, b: int, c: int, k: int, exclude: bool = True) -> list[int]:
    """Return the k rows of vectors with the largest dot products with v_b - v_a + v_c, best first.

    vectors: float of shape (V, d), each of length 1, not changed; no two of these dot products are equal. a, b, c: row
    numbers, which may not be answers if exclude. k: at most V - 3.
    """
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()
