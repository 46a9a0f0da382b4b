# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A semantic search engine
#
# You will build a search engine that finds documents by meaning: 698 documents of an invented bank, 81 opening messages of its invented customers (from the benchmark tau2-bench), and for each the documents that its authors list as required. You turn texts into vectors with a real sentence encoder, search them exactly, score the search with the measures of the field, write its old rival BM25 from the formula, join the two, and then make the search fast with the two index structures that most vector databases offer. At the end you train word vectors of your own on Jane Austen, and see how much of "king − man + woman = queen" is true. FAISS, bm25s, scikit-learn, PyTorch and sentence-transformers are the examiners.
#
# Later exercises call earlier pieces as `reference.name`, for example `reference.normalise`. That module holds the course's own solutions, so an exercise that you have not solved never blocks the next one.

# %% tags=["parameters"] nbgrader={"grade": false, "grade_id": "semantic-search-parameters", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
SCALE = "cpu"  # "gpu" trains larger word vectors for longer; this lab is all NumPy and needs no GPU

# %% nbgrader={"grade": false, "grade_id": "semantic-search-imports", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
import heapq
import re
from collections import Counter
from functools import partial
from itertools import pairwise

import faiss
import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy import ndarray
from numpy.testing import assert_allclose, assert_equal, assert_raises
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import ndcg_score

from llmlabs.lab import faiss_indexes, minilm, retrieval, word_vectors
from llmlabs.lab.data import NOVELS, austen, bank_documents
from llmlabs.lab.plotting import use_course_style
from llmlabs.lab.reference import semantic_search as reference
from llmlabs.lab.retrieval import unchanged
from llmlabs.lab.testing import seed

use_course_style()
data, encoder = bank_documents(), minilm.MiniLM()
print(f"{len(data.ids)} documents in {len(set(data.categories))} categories, {data.internal.sum()} for employees only")
print(f"{len(data.questions)} questions, with {np.mean([*map(len, data.relevant)]):.1f} relevant documents on average")
print("\nQuestion 30:", data.questions[30])
print("Relevant (CLI: credit limit increase):", *(data.titles[i] for i in sorted(data.relevant[30])), sep="\n- ")

# %% [markdown]
# ## 1. From tokens to one vector a text
#
# A **static** embedding gives each word one vector, whatever stands around it. A **contextual** encoder lets every token look at the others first. The family begins with BERT (Devlin et al. 2019): a transformer that learns by guessing hidden words from both sides. RoBERTa (Liu et al. 2019) is the same network, trained longer, on more text, with another choice of hidden words in every pass and without BERT's second task (does sentence B follow A?). Neither was made to compare sentences. Sentence-BERT (Reimers and Gurevych 2019) trains such a network further, so that texts of like meaning get close vectors. Ours, all-MiniLM-L6-v2, is a small BERT of six layers that a larger one has taught, then trained on a billion pairs of sentences.
#
# For a batch of $B$ texts, padded to $T$ tokens, the encoder returns states $h_{bt} \in \mathbb{R}^d$ ($d = 384$). The mask $m_{bt}$ is 1 for a token and 0 for padding. **Mean pooling** makes one vector of each text, and normalising gives it length 1:
#
# $$v_b = \frac{\sum_{t=1}^{T} m_{bt}\, h_{bt}}{\max\bigl(1, \sum_{t=1}^{T} m_{bt}\bigr)}, \qquad \hat v_b = \frac{v_b}{\lVert v_b \rVert}, \qquad \lVert v \rVert = \sqrt{\textstyle\sum_i v_i^2}$$
#
# States of padding are not zero. The network computes something there, and nobody looks. A mean over all $T$ states is the classic silent bug: the vector of a text then depends on how long its neighbours in the batch are.
#
# **By hand.** $h = (4, 0), (0, 2), (9, 9)$ with mask $1, 1, 0$: the sum is $(4, 2)$, the mean $(2, 1)$, not $(4.33, 3.67)$ and not $(1.33, 0.67)$. And $(3, 4)$ has length 5, so it becomes $(0.6, 0.8)$.
#
# <details><summary>Hint 1</summary><code>mask[:, :, None]</code> has shape (B, T, 1) and multiplies (B, T, d) token by token. Divide by the number of tokens, not by T.</details>
# <details><summary>Hint 2</summary><code>np.linalg.norm(x, axis=-1, keepdims=True)</code> gives the lengths in a shape that divides. <code>np.where(lengths &gt; 0, lengths, 1)</code> keeps zeros from becoming NaN.</details>


# %% nbgrader={"grade": false, "grade_id": "search-pooling", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def mean_pool(states: ndarray, mask: ndarray) -> ndarray:
    """Return the mean of each text's token states; padding does not count.

    Args:
        states: float32 or float64 of shape (B, T, d); what stands at padding is finite but means nothing.
        mask: integers or booleans of shape (B, T), 1 for a token, 0 for padding, which may stand anywhere.

    Returned is an array of shape (B, d) with the dtype of states, zeros for a text without any token. Nothing is changed.
    """
    ### BEGIN SOLUTION
    weights = mask[:, :, None].astype(states.dtype)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
    ### END SOLUTION


def normalise(vectors: ndarray) -> ndarray:
    """Scale vectors of shape (..., d) to length 1, even those of length 1e-9; zeros stay zeros. A new array of the same dtype."""
    ### BEGIN SOLUTION
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "search-pooling-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
states, last = np.array([[[4.0, 0.0], [0.0, 2.0], [9.0, 9.0]]]), [9.0]
### BEGIN HIDDEN TESTS
last += [float(np.random.default_rng(seed("search-pooling-example")).uniform(-99, 99))]
### END HIDDEN TESTS
for states[0, 2, 0] in last:
    why = f"mean_pool of {states.tolist()}, mask [[1, 1, 0]]: leave padding out of the sum and of the count"
    assert_allclose(mean_pool(states, np.array([[1, 1, 0]])), [[2, 1]], rtol=1e-9, err_msg=why)
unit = normalise(np.array([[3.0, 4.0], [0.0, 0.0]]))
assert_allclose(unit, [[0.6, 0.8], [0.0, 0.0]], rtol=1e-9, err_msg="normalise (3, 4) and (0, 0): length 5; zeros stay")

# %% nbgrader={"grade": true, "grade_id": "search-pooling-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: padding on either side, whatever stands there; texts without tokens; kinds of mask; dtypes; no side effects.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("search-pooling-properties"))
close = partial(assert_allclose, strict=True)
mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 1, 0, 1]])
for dtype, kind, tolerance in ((np.float64, np.int64, 1e-12), (np.float32, np.bool_, 1e-5)):  # rounding of short sums
    states = (rng.normal(size=(5, 5, 3)) * np.where(mask, 1, 1000)[:, :, None]).astype(dtype)
    means = [row[kept > 0].mean(axis=0) if kept.any() else np.zeros(3) for row, kept in zip(states, mask, strict=True)]
    why = f"{dtype.__name__}, mask {mask.tolist()} of {kind.__name__}: padding counts? NaN without tokens? dtype?"
    close(unchanged(mean_pool, states, mask.astype(kind)), np.array(means, dtype), tolerance, tolerance, err_msg=why)
    for shape, size in (((4,), 5.0), ((6, 4), 1e-9), ((2, 3, 4), 1.0)):
        x = (rng.normal(size=shape) * size).astype(dtype)
        x.reshape(-1, 4)[1:2] = 0
        units = [row / (np.linalg.norm(row) or 1) for row in x.reshape(-1, 4).astype(np.float64)]
        why = f"normalise {x.tolist()} ({dtype.__name__}): length along the last axis, nothing added to it; zeros stay"
        close(unchanged(normalise, x), np.reshape(units, shape).astype(dtype), tolerance, err_msg=why)
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** The notebook now embeds texts with your two functions. First it asks the library itself: sentence-transformers must give the same vectors. Then two effects that you should see once. On the left, one short question, padded as if longer texts shared its batch. On the right, the states of the *same word* in four sentences, compared by their cosine (the dot product of vectors of length 1).


# %% nbgrader={"grade": false, "grade_id": "semantic-search-embed", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
def embed(texts):
    """Vectors of length 1, shape (N, 384), through your pooling, 16 texts at a time."""
    batches = [encoder.tokenize(texts[i : i + 16]) for i in range(0, len(texts), 16)]
    return normalise(np.concatenate([mean_pool(encoder.hidden_states(*batch), batch[1]) for batch in batches]))


difference = np.abs(embed(data.questions[:4]) - minilm.library_embed(data.questions[:4])).max()
print(f"4 questions, your vectors against sentence-transformers': largest difference {difference:.1e}")
assert difference < 1e-5, "float32 rounding stays below 1e-5; something else differs"
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2))
retrieval.draw_padding(axes[0], encoder, lambda *given: normalise(mean_pool(*given)), "How do I close my account?")
lines = ["We sat on the bank of the river.", "Fish swam near the muddy bank.", "She opened an account at the bank."]
ids, mask = encoder.tokenize([*lines, "The bank raised its interest rates."])
word = normalise(encoder.hidden_states(ids, mask)[ids == encoder.tokenizer.token_to_id("bank")])
retrieval.draw_cosines(axes[1], word @ word.T, ["river 1", "river 2", "money 1", "money 2"])
plt.show()
within, across = (word[0] @ word[1] + word[2] @ word[3]) / 2, (word[:2] @ word[2:].T).mean()
print(f'"bank" twice in one meaning: cosine {within:.2f}; in two meanings: {across:.2f}')
assert within > across + 0.05, "the contexts should be told apart"

# %% [markdown]
# *Think:* with a static embedding all sixteen cells on the right would be 1. What would the left picture look like for a text of 200 tokens? Why does a test with one text at a time never find this bug?
#
# ## 2. Exact search: three measures and a filter
#
# Query $q$ and document $x$ are vectors in $\mathbb{R}^d$. Three measures are in use; we turn the distance around so that larger always means nearer:
#
# $$\text{dot: } q \cdot x = \sum_i q_i x_i, \qquad \text{cosine: } \frac{q \cdot x}{\lVert q\rVert\, \lVert x \rVert}, \qquad \text{euclidean: } -\lVert q - x\rVert = -\sqrt{\lVert q\rVert^2 + \lVert x\rVert^2 - 2\, q\cdot x}$$
#
# **When do they agree?** If all vectors have length 1, the cosine *is* the dot product, and the distance is $\sqrt{2 - 2\, q \cdot x}$, which falls as the dot product rises: all three give one order. With unequal lengths they part: the dot product favours long vectors, the distance those about as long as the query.
#
# **Filters.** Real search has conditions beside meaning: this customer may not see internal documents, only papers after 2018. Filter *before* you choose the best $k$. Who takes the best $k$ and then throws away what is forbidden may be left with nothing.
#
# **By hand.** $q = (1, 0)$; documents $(2, 2)$, $(1, 1)$, $(0.5, 0)$. Dot: $2, 1, 0.5$. Cosine: $0.71, 0.71, 1$. Distance: $2.24, 1, 0.5$. The third is last by the first measure and first by the two others; only the dot product ranks $(2, 2)$ over its shorter copy $(1, 1)$.
#
# <details><summary>Hint 1</summary>All dot products at once: <code>queries @ vectors.T</code>, shape (Q, N). All squared distances come from it with the formula above; rounding can make one slightly negative, so take the maximum with 0 before the root.</details>
# <details><summary>Hint 2</summary><code>np.argsort(-scores, axis=1, kind="stable")</code> puts the best first and leaves equal ones in their order. Forbidden documents get the score -inf before it.</details>
# <details><summary>Hint 3</summary>Start from <code>np.full((Q, k), -np.inf)</code> and <code>np.full((Q, k), -1)</code> and fill the first columns: that leaves the right thing in empty places.</details>


# %% nbgrader={"grade": false, "grade_id": "search-exact", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def similarities(queries: ndarray, vectors: ndarray, metric: str) -> ndarray:
    """Compare each query with each document. Use reference.normalise(vectors) of exercise 1 for the cosine.

    Args:
        queries, vectors: float of shapes (Q, d) and (N, d), not changed.
        metric: "dot", "cosine" or "euclidean", the distance with a minus sign; a vector of zeros has cosine 0 with all.

    Returned are floats of shape (Q, N), never NaN; larger is nearer. Any other metric raises ValueError.
    """
    ### BEGIN SOLUTION
    if metric == "cosine":
        return reference.normalise(queries) @ reference.normalise(vectors).T
    if metric == "euclidean":
        squared = (queries**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * queries @ vectors.T
        return -np.sqrt(np.maximum(squared, 0))
    if metric == "dot":
        return queries @ vectors.T
    raise ValueError(f"unknown metric {metric!r}: use dot, cosine or euclidean")
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    scores = similarities(queries, vectors, metric)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    room = ((0, 0), (0, k - order.shape[1]))
    best = np.pad(np.take_along_axis(scores, order, axis=1), room, constant_values=-np.inf)
    return best, np.where(best > -np.inf, np.pad(order, room), -1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "search-exact-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
q, x, lengths = np.array([[1.0, 0.0]]), np.array([[2.0, 2.0], [1.0, 1.0], [0.5, 0.0]]), [1.0]
### BEGIN HIDDEN TESTS
lengths += [float(np.random.default_rng(seed("search-exact-example")).uniform(2, 9))]
### END HIDDEN TESTS
for c in lengths:
    by_hand = {"dot": [2 * c, c, c / 2], "cosine": [0.5**0.5, 0.5**0.5, 1]}
    by_hand["euclidean"] = [-np.hypot(2 - c, 2), -np.hypot(1 - c, 1), -abs(0.5 - c)]
    for metric, row in by_hand.items():
        why = f"{metric} of ({c}, 0) with (2, 2), (1, 1), (0.5, 0): minus sign? root? both lengths divided out?"
        assert_allclose(similarities(c * q, x, metric), [row], rtol=1e-9, err_msg=why)
got = search(np.array([[1.0]]), np.array([[5.0], [9.0], [7.0]]), 3, "dot", np.array([True, False, True]))
assert_equal(got, ([[7, 5, -np.inf]], [[2, 0, -1]]), "dot products 5, 9, 7; the 9 is forbidden: 7, 5, an empty place")

# %% nbgrader={"grade": true, "grade_id": "search-exact-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: three metrics against FAISS, with and without filters; empty places; ties; zeros; the default; no side effects.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("search-exact-properties"))
q, x = (rng.normal(size=(n, 6)) * rng.uniform(0.5, 3, size=(n, 1)) for n in (5, 40))
pairs = {"dot": q @ x.T, "euclidean": -np.linalg.norm(q[:, None] - x, axis=2)}
pairs["cosine"] = pairs["dot"] / np.linalg.norm(q, axis=1)[:, None] / np.linalg.norm(x, axis=1)
near = np.array([[300.0, 1.0], [300.0, 1.0 + 1e-9], [0.0, 0.0]])  # rounding makes squares of distances negative
for metric, expected in pairs.items():
    why = f"{metric} of 5 queries with 40 documents, every pair"
    assert_allclose(unchanged(similarities, q, x, metric), expected, rtol=1e-9, atol=1e-9, strict=True, err_msg=why)
    assert not np.isnan(similarities(near, near, metric)).any(), f"{metric} of {near}: NaN; negative root? zeros?"
    for allowed, k in ((None, 7), (np.arange(40) % 3 > 0, 7), (np.arange(40) % 14 == 3, 7), (None, 43)):
        scores, ids = faiss_indexes.exact_search(q, x, k, metric, allowed)
        got, why = unchanged(search, q, x, k, metric, allowed), f"{metric}, k = {k}, allowed: {allowed}"
        assert_equal(got[1], ids, f"ids, {why}: FAISS finds these; best first? filtered first? -1 in empty places?")
        assert_allclose(got[0], scores, rtol=1e-3, atol=1e-3, err_msg=f"scores, {why}; -inf?")  # FAISS: float32
cosines, why = similarities(near, near, "cosine"), f"cosine of {near.tolist()} with each other"
assert_allclose([*cosines[2], *cosines[:, 2]], 0, atol=1e-9, err_msg=f"{why}: zeros have cosine 0 with all, even zeros")
for bits in (rng.integers(0, 2, size=(60, 3)).astype(float), np.ones((3, 3))):  # many ties, without rounding
    ids = [sorted(range(len(bits)), key=lambda i: (-bits[i].sum(), i))]
    assert_equal(search(np.ones((1, 3)), bits, len(bits), "dot")[1], ids, "of equal scores the smaller id comes first")
angles = np.array([[1.2, 1.6], [2.0, 0.1], [9.0, 5.0]])
assert_equal(search(np.eye(2)[:1], angles, 3)[1], [[1, 2, 0]], "by default the cosine: the smallest angle first")
with assert_raises(ValueError, msg="the unknown metric 'manhattan' should raise ValueError"):
    similarities(q, x, "manhattan")
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** `data.vectors` and `data.question_vectors` were computed beforehand by the same encoder; what stands after the first 256 word pieces of a document does not count. (1) Your search against FAISS's exact index, on all questions. (2) Do the measures agree, before and after normalising? (3) Filters at work: what a customer sees. (4) Search for scientific papers is the same machine with other metadata. Each paper on arXiv has a title, an abstract, a year and categories such as cs.CL (computation and language); the shelf below holds the titles of nine papers behind this lab, searched in all years and then from 2018 on.

# %% nbgrader={"grade": false, "grade_id": "semantic-search-exact-use", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
index = faiss.IndexFlatIP(384)  # IP: inner product, another name of the dot product
index.add(data.vectors)
own = search(data.question_vectors, data.vectors, 10)[1]
print(f"(1) ten best for 81 questions: {(own == index.search(data.question_vectors, 10)[1]).mean():.1%} as in FAISS")
batches = [encoder.tokenize(texts) for texts in (data.titles[:100], data.titles[100:110])]
raw = [mean_pool(encoder.hidden_states(*batch), batch[1]) for batch in batches]
print("(2) lengths of 100 titles' vectors: {:.2f} to {:.2f}".format(*np.sort(np.linalg.norm(raw[0], axis=1))[[0, -1]]))
for name, (stored, asked) in (("as they are", raw), ("of length 1", [normalise(v) for v in raw])):
    tops = [search(asked, stored, 10, metric)[1] for metric in ("cosine", "dot", "euclidean")]
    shared = [np.mean([len({*a} & {*b}) / 10 for a, b in zip(tops[0], top, strict=True)]) for top in tops[1:]]
    print(f"    vectors {name}: of the ten best by cosine, dot finds {shared[0]:.1%}, euclidean {shared[1]:.1%}")
late = (~data.internal[own]).sum(axis=1)
print(f"(3) ten best, internal ones taken out afterwards: {late.mean():.1f} left on average, {late.min()} at worst")
early = search(data.question_vectors[30:31], data.vectors, 3, allowed=~data.internal)[1][0]
print("    filtered first, question 30:", *(f"{data.titles[i]} [{data.categories[i]}]" for i in early), sep="\n    - ")
shelf, recent = embed([p.title for p in retrieval.PAPERS]), np.array([p.year >= 2018 for p in retrieval.PAPERS])
for wish in ("fast search for nearest neighbours", "comparing the meaning of two sentences"):
    for paper in (retrieval.PAPERS[search(embed([wish]), shelf, 1, allowed=f)[1][0, 0]] for f in (None, recent)):
        print(f"(4) {wish}: arXiv:{paper.arxiv} [{paper.category}, {paper.year}] {paper.title[:60]}")

# %% [markdown]
# *Think:* the filter always returns *something*. How would you notice from the scores alone that no document fits?
#
# ## 3. Is it any good? Recall, MRR, nDCG
#
# One good example proves nothing: we have 81 questions with gold labels. A **ranking** is a list of document ids, best first; $R$ is the set of relevant ids. Let $r_p = 1$ if the document at place $p = 1, 2, \dots$ is in $R$, else 0.
#
# $$\mathrm{recall@}k = \frac{1}{|R|}\sum_{p=1}^{k} r_p, \qquad \mathrm{RR} = \frac{1}{\text{place of the first relevant document}}, \qquad \mathrm{nDCG@}k = \frac{\sum_{p=1}^{k} r_p / \log_2(p + 1)}{\sum_{p=1}^{\min(k, |R|)} 1 / \log_2(p + 1)}$$
#
# Recall asks how much was found and does not look at the order. The reciprocal rank looks at the first hit only; its mean over questions is the **MRR**. nDCG (normalised discounted cumulative gain; Järvelin and Kekäläinen 2002) pays for each hit, less at lower places: the numerator, called DCG. It divides by the DCG of a perfect ranking, so that 1 is the best possible even when $|R| < k$ or $|R| > k$.
#
# **By hand.** Ranking $7, 3, 9, 4$; $R = \{3, 4, 8\}$; $k = 3$. Recall@3: one of three, $\frac13$. First hit at place 2: RR $= \frac12$. DCG $= 1/\log_2 3 = 0.631$. Perfect: $1 + 0.631 + 0.5 = 2.131$. nDCG@3 $= 0.296$.
#
# <details><summary>Hint 1</summary><code>enumerate(ranking, start=1)</code> gives places that count from 1, as in the formulas.</details>
# <details><summary>Hint 2</summary>The perfect ranking has relevant documents at all its first places, as many as there are, but never more than k.</details>


# %% nbgrader={"grade": false, "grade_id": "search-metrics", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
# In all three, ranking is a list of document ids, best first, each at most once, perhaps fewer than k, perhaps none; an id
# of -1 is an empty place. relevant is the set of relevant ids, at least one; k is at least 1. Each returns a number.
def recall_at_k(ranking: list[int], relevant: set[int], k: int) -> float:
    """Return the share of the relevant documents that are among the first k."""
    ### BEGIN SOLUTION
    return sum(document in relevant for document in ranking[:k]) / len(relevant)
    ### END SOLUTION


def reciprocal_rank(ranking: list[int], relevant: set[int]) -> float:
    """Return 1 / the place of the first relevant document, counted from 1; 0 if there is none in the whole ranking."""
    ### BEGIN SOLUTION
    return next((1 / place for place, document in enumerate(ranking, start=1) if document in relevant), 0.0)
    ### END SOLUTION


def ndcg_at_k(ranking: list[int], relevant: set[int], k: int) -> float:
    """Return the discounted gain of the first k places, divided by that of a perfect ranking."""
    ### BEGIN SOLUTION
    gain = sum(1 / np.log2(place + 1) for place, document in enumerate(ranking[:k], start=1) if document in relevant)
    return float(gain / sum(1 / np.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1)))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "search-metrics-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
cases = [([7, 3, 9, 4], {3, 4, 8}, 3, (1 / 3, 1 / 2, 0.29608)), ([3, 4, 8], {3, 4, 8}, 3, (1, 1, 1))]
### BEGIN HIDDEN TESTS
n = int(np.random.default_rng(seed("search-metrics-example")).integers(3, 9))
cases += [([*range(100, 100 + n), 7], {7}, n + 1, (1, 1 / (n + 1), 1 / np.log2(n + 2))), ([5, 6], {1}, n, (0, 0, 0))]
### END HIDDEN TESTS
for ranking, relevant, k, expected in cases:
    got = recall_at_k(ranking, relevant, k), reciprocal_rank(ranking, relevant), ndcg_at_k(ranking, relevant, k)
    why = f"recall@k, reciprocal rank, nDCG@k of {ranking}, relevant {relevant}, k = {k}: k places looked at? counted from 1? min(k, |R|) at best?"
    assert_allclose(np.array(got, float), expected, rtol=1e-4, atol=1e-9, err_msg=why)  # by hand: five digits

# %% nbgrader={"grade": true, "grade_id": "search-metrics-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: nDCG against scikit-learn, the others against their definitions; few and many relevant; short rankings, empty places.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("search-metrics-properties"))
for count, k in [(count, k) for count in (1, 3, 8, 20) for k in (1, 4, 10, 20, 30)]:
    ranking, relevant = rng.permutation(20).tolist(), set(rng.permutation(20)[:count].tolist())
    places = [place for place, document in enumerate(ranking, start=1) if document in relevant]
    truth, order = np.isin(np.arange(20), [*relevant]).astype(float), -np.argsort(ranking).astype(float)
    expected = sum(place <= k for place in places) / count, 1 / places[0], ndcg_score([truth], [order], k=k)
    got = recall_at_k(ranking, relevant, k), reciprocal_rank(ranking, relevant), ndcg_at_k(ranking, relevant, k)
    why = f"recall@k, reciprocal rank, nDCG@k of {ranking}, relevant {relevant}, k = {k}: recall over |R|? log2(place + 1)? min(k, |R|) hits at best?"
    assert_allclose(got, expected, rtol=1e-9, atol=1e-12, err_msg=why)
none, short = (0, 0, 0), {(2,): (0.5, 1, 0.613147), (-1, 2): (0.5, 0.5, 0.386853), (-1, 5, -1, 2): (0, 0.25, 0)}
for ranking, expected in (short | {(): none, (-1, -1): none, (5, -1): none}).items():
    got = [f([*ranking], {2, 6}, *n) for f, n in ((recall_at_k, [3]), (reciprocal_rank, []), (ndcg_at_k, [3]))]
    why = f"recall@3, reciprocal rank, nDCG@3 of {ranking}, relevant 2, 6: -1 is a place without a hit; no hit gives 0"
    assert_allclose(got, expected, rtol=1e-5, atol=1e-9, err_msg=why)  # by hand: six digits
### END HIDDEN TESTS


# %% nbgrader={"grade": false, "grade_id": "semantic-search-evaluate", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
def evaluate(name, rankings):
    """Print the means over all questions; return nDCG@10 of each question."""
    pairs = [*zip(rankings, data.relevant, strict=True)]
    rows = [(recall_at_k(*p, 10), recall_at_k(*p, 50), reciprocal_rank(*p), ndcg_at_k(*p, 10)) for p in pairs]
    print("{:>27}: recall@10 {:.3f}, recall@50 {:.3f}, MRR {:.3f}, nDCG@10 {:.3f}".format(name, *np.mean(rows, axis=0)))
    return np.array([row[3] for row in rows])


dense = search(data.question_vectors, data.vectors, len(data.ids))[1].tolist()
dense_gains, rng = evaluate("MiniLM, cosine", dense), np.random.default_rng(0)
evaluate("a random order", [rng.permutation(len(data.ids)).tolist() for _ in data.questions])
worst = int(dense_gains.argmin())
print(f"\nAll ten wrong: {data.questions[worst]}\n- found first: {data.titles[dense[worst][0]]}")

# %% [markdown]
# Far better than chance, and far from perfect: ten places hold less than a quarter of the relevant documents. Part of that is the task: a question here is only the opening words of a case, the labels belong to the whole case, and with 20 relevant documents recall@10 cannot exceed ½. So compare systems on one set; a number alone says little.
#
# ## 4. BM25: what words alone can do
#
# The traditional vector of a document has one place for each word of the vocabulary and is almost all zeros: **sparse**. BM25 (Robertson and Zaragoza 2009) sets the weights. For word $w$ and document $D$, with $f$ the number of times that $w$ occurs in $D$, $|D|$ the number of words of $D$, $\overline{|D|}$ its mean over the $N$ documents, and $n_w$ the number of documents that contain $w$,
#
# $$\mathrm{weight}(w, D) = \underbrace{\ln\left(1 + \frac{N - n_w + \frac12}{n_w + \frac12}\right)}_{\text{rare words tell more}} \cdot \underbrace{\frac{f}{f + k_1\left(1 - b + b\,|D| / \overline{|D|}\right)}}_{\text{more is better, but less and less}}, \qquad \mathrm{score}(Q, D) = \sum_{w \in Q} \mathrm{weight}(w, D)$$
#
# $k_1$ says how soon repetition stops paying, $b$ from 0 to 1 how much long documents are held back. This is the form of Lucene and Elasticsearch; older ones multiply by the constant $k_1 + 1$, which changes no order. The weights do not depend on the query, so they are computed once and kept in an **inverted index**: for each word the list of documents that contain it. A query reads its own words' lists and nothing else.
#
# **By hand.** $N = 2$: $D_0 =$ "card card", $D_1 =$ "card fee fee fee fee fee"; $\overline{|D|} = 4$, $k_1 = 1$, $b = 1$. The word *card* is in both: $\ln(1 + \frac{0.5}{2.5}) = 0.182$. In $D_0$: $f = 2$, length $\frac24$: $0.182 \cdot \frac{2}{2 + 0.5} = 0.146$. In $D_1$: $0.182 \cdot \frac{1}{1 + 1.5} = 0.073$. *fee*: $\ln(1 + \frac{1.5}{1.5}) = 0.693$, times $\frac{5}{5 + 1.5}$: $0.533$.
#
# <details><summary>Hint 1</summary><code>Counter(document)</code> has f for each word of a document. A Counter over the <em>sets</em> of words of all documents has n_w.</details>
# <details><summary>Hint 2</summary><code>index.setdefault(word, []).append((number, weight))</code>, in a loop over the documents, builds the lists in the right order.</details>


# %% nbgrader={"grade": false, "grade_id": "search-bm25", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def bm25_index(documents: list[list[str]], k1: float = 1.5, b: float = 0.75) -> dict[str, list[tuple[int, float]]]:
    """Build the inverted index.

    documents: the words of each document, at least one word in each; not changed. k1 is above 0, b from 0 to 1. Returned
    is, for each word, the list of (number of the document, weight), in order, for the documents that contain the word.
    """
    ### BEGIN SOLUTION
    mean = sum(map(len, documents)) / len(documents)
    containing = Counter(word for document in documents for word in set(document))
    index: dict[str, list[tuple[int, float]]] = {}
    for number, document in enumerate(documents):
        damping = k1 * (1 - b + b * len(document) / mean)
        for word, f in Counter(document).items():
            rarity = np.log(1 + (len(documents) - containing[word] + 0.5) / (containing[word] + 0.5))
            index.setdefault(word, []).append((number, float(rarity * f / (f + damping))))
    return index
    ### END SOLUTION


def bm25_scores(query: list[str], index: dict[str, list[tuple[int, float]]], count: int) -> ndarray:
    """Score all documents for a query, as a float64 array of shape (count,).

    query: words, perhaps none; one that no document has counts nothing, one that occurs twice counts twice.
    index, count: what `bm25_index` returned, and the number of documents.
    """
    ### BEGIN SOLUTION
    scores = np.zeros(count)
    for word in query:
        for number, weight in index.get(word, []):
            scores[number] += weight
    return scores
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "search-bm25-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
index = bm25_index([["card"] * 2, ["card"] + ["fee"] * 5], k1=1.0, b=1.0)
postings, by_hand = [*index["card"], *index["fee"]], [(0, 0.14586), (1, 0.07293), (1, 0.53319)]
assert_allclose(postings, by_hand, rtol=1e-4, err_msg="card, fee: 1 + and halves in ln? |D| / mean?")
queries = [(["fee"], [0, 1]), (["card", "fee", "loan"], [3, 3]), (["fee", "fee"], [0, 2]), ([], [0, 0])]
### BEGIN HIDDEN TESTS
queries += [(["card"] * (n := int(np.random.default_rng(seed("search-bm25-example")).integers(3, 9))), [3 * n, 2 * n])]
### END HIDDEN TESTS
for query, scores in queries:
    got = bm25_scores(query, {"card": [(0, 3.0), (1, 2.0)], "fee": [(1, 1.0)]}, 2)
    assert_allclose(got, scores, err_msg=f"query {query}, card: 3 in document 0, 2 in document 1; fee: 1 in document 1")

# %% nbgrader={"grade": true, "grade_id": "search-bm25-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: weights and scores against the library bm25s for several k1 and b, the form of the index, no side effects.
### BEGIN HIDDEN TESTS
rng, words = np.random.default_rng(seed("search-bm25-properties")), [*"abcdefg"]
documents = [rng.choice(words, size, p=np.arange(7, 0, -1) / 28).tolist() for size in (1, 3, 4, 7, 12, 20, 2, 5)]
documents += [["h", "h", "h"], ["a"], ["a", "h"], words]
settings: list[dict[str, float]] = [{}, {"k1": 0.5, "b": 0.0}, {"k1": 3.0, "b": 1.0}, {"b": 0.4}]
for options in settings:
    index, where = unchanged(bm25_index, documents, **options), f"{options or 'default k1, b'}, documents {documents}"
    assert sorted(index) == sorted([*words, "h"]), f"{where}: one list for each word expected, got {sorted(index)}"
    for word in [*words, "h"]:
        weights = retrieval.library_bm25([word], documents, **options)
        why = f"{where}, list of {word!r}: (document, weight), in order; n_w counts documents, not occurrences? |D| counts repeated words? k1? b?"
        assert_allclose(index[word], [(i, w) for i, w in enumerate(weights) if w > 0], rtol=1e-9, err_msg=why)
    for query in (["a", "h"], ["b", "b", "c"], [*"gfea", "zzz"], ["zzz"]):
        got = unchanged(bm25_scores, query, reference.bm25_index(documents, **options), 12)
        why = f"{where}, query {query}: the sum of the weights; unknown words count nothing, repeated ones twice"
        assert_allclose(got, retrieval.library_bm25(query, documents, **options), rtol=1e-9, strict=True, err_msg=why)
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** The same questions, now by words. Which words are words? We take runs of letters and digits in small letters. And look at the weights of *I, my, me*. Customers use these words all the time, documents of a bank seldom, so BM25 takes them for rare and telling. A list of **stop words** takes them out.


# %% nbgrader={"grade": false, "grade_id": "semantic-search-bm25-use", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
def bm25_rankings(stop=frozenset(), **settings):
    """All documents for each question, best first; the index, too."""
    cut = [[w for w in re.findall(r"[a-z0-9]+", text.lower()) if w not in stop] for text in data.texts + data.questions]
    index = bm25_index(cut[: len(data.ids)], **settings)
    scores = [bm25_scores(words, index, len(data.ids)) for words in cut[len(data.ids) :]]
    return [np.argsort(-row, kind="stable").tolist() for row in scores], index


everything, index = bm25_rankings()
evaluate("BM25, every word", everything)
sparse = bm25_rankings(retrieval.STOP_WORDS)[0]
sparse_gains = evaluate(f"without {len(retrieval.STOP_WORDS)} stop words", sparse)
evaluate("the same with b = 0", bm25_rankings(retrieval.STOP_WORDS, b=0.0)[0])
for word in ("account", "card", "credit", "i", "my", "me"):
    print(f"{word!r} is in {len(index[word])} documents, largest weight {max(weight for _, weight in index[word]):.1f}")
retrieval.draw_bm25(plt.figure(figsize=(8, 3)))
plt.show()

# %% [markdown]
# Once the small talk is gone, a formula of the 1990s, without any training, has the nDCG of the neural encoder; with the small talk it is hardly usable here. (Stop words chosen on the questions that one reports flatter the result; ours were, so expect a little less on new ones.) The bank's products have names such as *Cobalt Blue*, which BM25 takes literally: a document without these words gets nothing for them.
#
# ## 5. Two judges: reciprocal rank fusion
#
# Do the two fail on the *same* questions? If not, join them. Cosines lie between −1 and 1 and BM25 scores anywhere above 0, so sums of scores mean little. **Reciprocal rank fusion** (Cormack, Clarke and Büttcher 2009) uses places only. With $p_i(D)$ the place of document $D$ in ranking $i$, counted from 1,
#
# $$\mathrm{RRF}(D) = \sum_{i\,:\,D \text{ is in ranking } i} \frac{1}{k + p_i(D)}$$
#
# The constant $k$, by custom 60, keeps one first place from outweighing everything: with $k = 60$ the first place is worth $\frac{1}{61}$, the tenth still $\frac{1}{70}$. So a document that both judges like beats one that a single judge loves.
#
# **By hand**, $k = 60$: rankings $[4, 8]$ and $[8, 2]$. Document 8: $\frac1{62} + \frac1{61} = 0.0325$. Document 4: $\frac1{61} = 0.0164$. Document 2: $\frac1{62} = 0.0161$.
#
# <details><summary>Hint 1</summary>A dict from document to score; <code>scores.get(document, 0.0)</code> is the score so far.</details>
# <details><summary>Hint 2</summary><code>sorted(scores.items(), key=lambda item: (-item[1], item[0]))</code> sorts by falling score, then by rising id.</details>


# %% nbgrader={"grade": false, "grade_id": "search-fusion", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def reciprocal_rank_fusion(rankings: list[list[int]], k: float = 60) -> list[tuple[int, float]]:
    """Join rankings by the places of their documents.

    Args:
        rankings: lists of document ids, best first; there may be none, some may be empty; not changed. A document need
            not be in all. An id of -1 is an empty place: no document, but the places after it keep their numbers.
        k: the constant of the formula, at least 0.

    Returned is a list of (document, score) of all documents, perhaps empty: highest score first, of equals the smaller id.
    """
    ### BEGIN SOLUTION
    scores: dict[int, float] = {}
    for ranking in rankings:
        for place, document in enumerate(ranking, start=1):
            if document != -1:
                scores[document] = scores.get(document, 0.0) + 1 / (k + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "search-fusion-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
cases = [([[4, 8], [8, 2]], [(8, 1 / 62 + 1 / 61), (4, 1 / 61), (2, 1 / 62)])]
### BEGIN HIDDEN TESTS
n = int(np.random.default_rng(seed("search-fusion-example")).integers(10, 99))
cases += [([[n, 8, 3], [8, n]], [(8, 1 / 62 + 1 / 61), (n, 1 / 61 + 1 / 62), (3, 1 / 63)]), ([[n]], [(n, 1 / 61)])]
### END HIDDEN TESTS
for rankings, expected in cases:
    why = f"rankings {rankings}, k = 60: (document, score), highest first; places count from 1; ties by id"
    assert_allclose(reciprocal_rank_fusion(rankings), expected, rtol=1e-9, err_msg=why)

# %% nbgrader={"grade": true, "grade_id": "search-fusion-properties", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
# Tested here: three rankings of unequal length, other k, empty places, ties, no rankings at all, no side effects.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("search-fusion-properties"))
for k in (60, 0, 3.5):
    rankings = [rng.permutation(12)[:size].tolist() for size in (12, 5, 8)]
    rankings[1][2] = rankings[2][0] = -1
    fused, where = unchanged(reciprocal_rank_fusion, rankings, k), f"rankings {rankings}, k = {k}"
    expected = [(i, sum(1 / (k + 1 + row.index(i)) for row in rankings if i in row)) for i in range(12)]
    why = f"{where}: (document, score), here in order of documents; absence adds nothing, -1 is none but takes a place"
    assert_allclose(sorted(fused), expected, rtol=1e-9, err_msg=why)
    assert all(b[1] - a[1] < 1e-12 for a, b in pairwise(fused)), f"{where}: not from high to low: {fused}"
tied = [document for document, _ in reciprocal_rank_fusion([[9, 4, 1, 6], [4, 9, 6, 1]])]
assert tied == [4, 9, 1, 6], f"rankings [9, 4, 1, 6], [4, 9, 6, 1]: two ties, the smaller id first; got {tied}"
assert_equal([*reciprocal_rank_fusion([]), *reciprocal_rank_fusion([[], [-1]])], [], "no documents: an empty list")
### END HIDDEN TESTS

# %% nbgrader={"grade": false, "grade_id": "semantic-search-fusion-use", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
both = [*zip(dense, sparse, strict=True)]
for k in (1, 1000, 60):
    fused = [[i for i, _ in reciprocal_rank_fusion([*pair], k)] for pair in both]
    fused_gains = evaluate(f"both, RRF with k = {k}", fused)
depths, curves = [1, 2, 5, 10, 20, 50, 100, 200, 400, 698], {}
for name, rankings in (("MiniLM", dense), ("BM25", sparse), ("both, RRF", fused)):
    pairs = [*zip(rankings, data.relevant, strict=True)]
    curves[name] = [float(np.mean([recall_at_k(*pair, k) for pair in pairs])) for k in depths]
retrieval.draw_two_judges(plt.figure(figsize=(8, 3.4)), dense_gains, sparse_gains, depths, curves)
plt.show()
rng = np.random.default_rng(0)
for name, gain in (("MiniLM", fused_gains - dense_gains), ("BM25", fused_gains - sparse_gains)):
    means = np.sort([gain[rng.integers(0, len(gain), len(gain))].mean() for _ in range(2000)])
    print(f"RRF minus {name}: {gain.mean():+.3f} nDCG@10; 95 % of samples: {means[50]:+.3f} to {means[-51]:+.3f}")
    assert means[50] > 0, "the gain should be more than luck with the choice of questions"

# %% [markdown]
# *Think:* the last two lines draw 81 questions with repetition, 2,000 times, and look at the spread of the gain (the bootstrap). With a handful of questions, which of today's comparisons would you still believe?
#
# **A map.** 384 dimensions cannot be drawn. PCA keeps the two directions of largest spread; t-SNE (van der Maaten and Hinton 2008) instead tries to keep neighbours together and gives up distances. Each dot is a document of the nine largest categories; the star is question 30, the rings are its relevant documents. How well a map keeps the categories together, we count among the ten nearest.

# %% nbgrader={"grade": false, "grade_id": "semantic-search-map", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
everything = np.concatenate([data.vectors, data.question_vectors[30:31]])
spaces = {"384 dimensions": everything, "PCA": PCA(2, svd_solver="full").fit_transform(everything)}
spaces["t-SNE"] = TSNE(init="pca", random_state=0, max_iter=300).fit_transform(everything)
kinds, maps = np.array(data.categories), {}
for name, x in spaces.items():
    kept = (kinds[search(x[:-1], x[:-1], 11, "euclidean")[1][:, 1:]] == kinds[:, None]).mean()
    maps[f"{name}: {kept:.0%} of the nearest share the category"] = x
print(*maps, sep="\n")
retrieval.draw_map(plt.figure(figsize=(7.4, 4)), maps, data.categories, sorted(data.relevant[30]))
plt.show()

# %% [markdown]
# The categories were not used to draw the maps, and the encoder has never seen them. In the two directions of PCA only 28 % of the ten nearest share the category; in the t-SNE map 59 %, nearly as many as in 384 dimensions (60 %). They need not be the *same* ten documents: we counted categories. And do not read distances *between* clusters off a t-SNE map: it gave those up. And the search itself takes place in 384 dimensions, not here.
#
# ## 6. Faster than exact, part one: inverted lists
#
# Exact search compares the query with every vector: fine for 698 documents, hopeless for a billion. The **inverted file** (IVF) spends work beforehand. Choose $C$ **centroids**, points that each stand for a region. (K-means finds good ones: put each vector with its nearest centroid, move each centroid to the mean of its vectors, repeat.) Put each vector on the list of its nearest centroid; for a query, look only into the lists of the `nprobe` centroids nearest to it. What lies just across a border is missed: the search is *approximate*. Its price is counted in comparisons, its worth in recall against the exact result.
#
# All vectors here have length 1, so nearest means the largest dot product.
#
# **By hand.** Centroids $(1, 0)$, $(0, 1)$; vectors $v_0 = (1, 0)$, $v_1 = (0.8, 0.6)$, $v_2 = (0.6, 0.8)$, $v_3 = (0, 1)$. Lists: $[0, 1]$ and $[2, 3]$. Query $(0.8, 0.6)$, `nprobe` 1, $k = 3$: two centroids and two vectors are compared, 4 in all; found are 1 (dot product 1) and 0 (0.8). But $v_2$, with 0.96, is nearer than $v_0$. It lies across the border.
#
# <details><summary>Hint 1</summary><code>(vectors @ centroids.T).argmax(axis=1)</code> is each vector's list. <code>np.flatnonzero(nearest == c).tolist()</code> are the members of list c.</details>
# <details><summary>Hint 2</summary>Collect the ids of the probed lists in one array of integers, <code>np.array(candidates, dtype=int)</code>, which also works when it is empty; compare, sort, keep k.</details>


# %% nbgrader={"grade": false, "grade_id": "search-ivf", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def build_lists(vectors: ndarray, centroids: ndarray) -> list[list[int]]:
    """Put each vector on the list of the centroid with the largest dot product, of equal ones the first.

    vectors and centroids are floats of shapes (N, d) and (C, d), not changed. Returned are, for each centroid, the ids
    0 to N - 1 of its vectors, rising, perhaps none.
    """
    ### BEGIN SOLUTION
    nearest = (vectors @ centroids.T).argmax(axis=1)
    return [np.flatnonzero(nearest == c).tolist() for c in range(len(centroids))]
    ### END SOLUTION


def ivf_search(
    query: ndarray, vectors: ndarray, centroids: ndarray, lists: list[list[int]], nprobe: int, k: int
) -> tuple[list[int], int]:
    """Search the lists of the nprobe centroids with the largest dot products with the query.

    query: float of shape (d,); no two centroids, and no two vectors, have the same dot product with it. vectors,
    centroids, lists: as for and from `build_lists`. Nothing is changed. nprobe: from 1 to C. k: at least 1.

    Returned are (ids, compared): the ids of the k vectors with the largest dot products among those in these lists, best
    first, fewer if the lists hold fewer; and the number of comparisons: C, and one for each vector in these lists.
    """
    ### BEGIN SOLUTION
    probed = np.argsort(-(centroids @ query))[:nprobe]
    candidates = np.array([number for c in probed for number in lists[c]], dtype=int)
    order = np.argsort(-(vectors[candidates] @ query))[:k]
    return candidates[order].tolist(), len(centroids) + len(candidates)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "search-ivf-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
vectors, query = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]), np.array([0.8, 0.6])
assert_equal(build_lists(vectors, np.eye(2)), [[0, 1], [2, 3]], "four vectors, two centroids: the ids on each centroid")
cases = [(1, 3, ([1, 0], 4)), (2, 3, ([1, 2, 0], 6))]
### BEGIN HIDDEN TESTS
n = int(np.random.default_rng(seed("search-ivf-example")).integers(4, 9))
cases += [(1, 1, ([1], 4)), (2, n, ([1, 2, 0, 3], 6))]
### END HIDDEN TESTS
for nprobe, k, expected in cases:
    got = ivf_search(query, vectors, np.eye(2), [[0, 1], [2, 3]], nprobe, k)
    assert_equal(got, expected, f"nprobe {nprobe}, k = {k}: ids best first; compared: C and the vectors in the lists")

# %% nbgrader={"grade": true, "grade_id": "search-ivf-properties", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
# Tested here: lists and results against FAISS with the same centroids, comparisons, empty lists, ties, no side effects.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("search-ivf-properties"))
x, centroids, q = (rng.normal(size=(n, 5)).astype(np.float32) for n in (60, 8, 1))
index = faiss_indexes.inverted_index(x, centroids)
lists = faiss_indexes.members(index)
assert_equal(unchanged(build_lists, x, centroids), lists, "lists of 60 vectors for 8 centroids: FAISS makes these")
for nprobe, k in ((1, 5), (2, 1), (3, 5), (5, 9), (8, 5), (8, 70)):
    tried = faiss_indexes.try_settings(index, q, k, [nprobe])[0]
    ids, compared = unchanged(ivf_search, q[0], x, centroids, lists, nprobe, k)
    where = f"60 vectors, 8 lists, nprobe {nprobe}, k = {k}, as FAISS does it"
    assert_equal([*ids], tried.found[0], f"{where}: the nearest lists? the best k in them, best first?")
    assert compared == tried.compared, f"{where}: {tried.compared} comparisons, centroids included; got {compared}"
one = np.array([[1.0, 0.0]])
assert_equal(build_lists(one, np.repeat(one, 2, axis=0)), [[0], []], "of two equal centroids the first gets the vector")
assert_equal(ivf_search(one[0], one, np.eye(2), [[], [0]], 1, 3), ([], 2), "an empty list: no ids, 2 comparisons")
### END HIDDEN TESTS

# %% [markdown]
# ## 7. Faster than exact, part two: walking a graph
#
# **HNSW** (hierarchical navigable small world; Malkov and Yashunin 2018) links each vector to some near ones and *walks*: from an entry point it goes to neighbours that are nearer to the query, until there is none. A plain walk ends in the first dead end, so the search keeps the `ef` best vectors that it has met, and goes on as long as one of them has neighbours that it has not seen. This is algorithm 2 of the paper; the full index stacks sparse layers on top to find a good entry point.
#
# 1. Compare the entry; it is *seen*, it is a *candidate*, and it is *found*.
# 2. Take the candidate nearest to the query and remove it. If `ef` vectors are found and this candidate is farther than the worst of them: stop.
# 3. Compare each of its neighbours that is not yet seen, and mark it as seen. If fewer than `ef` are found, or it is nearer than the worst found: it becomes a candidate, and found; if more than `ef` are found now, drop the worst.
# 4. While candidates are left, go to 2. The result is what is found.
#
# **By hand.** Dot products with the query: $0.1, 0.5, 0.3, 0.4, 0.9$ for vectors 0 to 4. Links: 0–1, 0–3, 1–2, 3–4. Entry 0. With `ef` 1: from 0 we see 1 and 3 and keep 1; its neighbour 2 is worse: stop. Result $[1]$ after 4 comparisons, and the best, 4, was never seen. With `ef` 2 we keep 1 and 3; after 1 comes 3 and shows 4: result $[4, 1]$ after 5 comparisons.
#
# <details><summary>Hint 1</summary><code>heapq</code> keeps the <em>smallest</em> item first. Candidates need the best first: push (-score, number). Found ones need the worst first: push (score, number).</details>
# <details><summary>Hint 2</summary><code>found[0][0]</code> is the score of the worst found. The set of seen vectors is also the count of comparisons.</details>
# <details><summary>Hint 3</summary>while candidates: pop the best; if len(found) == ef and its score is below found[0][0], break; then a loop over its neighbours, as in step 3.</details>


# %% nbgrader={"grade": false, "grade_id": "search-graph", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def walk_graph(query: ndarray, vectors: ndarray, links: list[list[int]], entry: int, ef: int) -> tuple[list[int], int]:
    """Walk a graph towards the query, as in the four steps above; nearer means a larger dot product.

    Args:
        query: float of shape (d,).
        vectors: float of shape (N, d); no two have the same dot product with the query.
        links: for each vector the ids of its neighbours; a link need not lead back. Nothing is changed.
        entry, ef: the id of the vector to start from; how many found vectors are kept, at least 1.

    Returned are (ids, compared): those of the found vectors, nearest first, and how many different vectors were compared.
    """
    ### BEGIN SOLUTION
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
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "search-graph-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
vectors, links = np.array([[0.1], [0.5], [0.3], [0.4], [0.9]]), [[1, 3], [0, 2], [1], [0, 4], [3]]
cases = [(0, 1, ([1], 4)), (0, 2, ([4, 1], 5)), (4, 1, ([4], 2))]
### BEGIN HIDDEN TESTS
n = int(np.random.default_rng(seed("search-graph-example")).integers(5, 12))
cases += [(2, n, ([4, 1, 3, 2, 0], 5)), (0, 3, ([4, 1, 3], 5))]
### END HIDDEN TESTS
for entry, ef, expected in cases:
    got = walk_graph(np.ones(1), vectors, links, entry, ef)
    assert_equal(got, expected, f"five vectors, entry {entry}, ef {ef}: only the worst dropped? each counted once?")

# %% nbgrader={"grade": true, "grade_id": "search-graph-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: random graphs against a plain account of the four steps; a large ef is exact; unreachable vectors; no side effects.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("search-graph-properties"))
for trial, ef in [(trial, ef) for trial in range(8) for ef in (1, 2, 5, 12, 60)]:
    x, query, entry = rng.normal(size=(40, 4)), rng.normal(size=4), int(rng.integers(40))
    links, scores = [rng.choice(40, size=3, replace=False).tolist() for _ in range(40)], (x @ query).tolist()
    best, price = retrieval.plain_walk(scores, links, entry, ef)
    ids, compared = unchanged(walk_graph, query, x, links, entry, ef)
    where = f"graph {trial} of 40 vectors with 3 links each, entry {entry}, ef {ef}"
    assert_equal([*ids], best, f"{where}: the nearest candidate first? stopped only if it is worse than all ef found?")
    assert compared == price, f"{where}: {price} different vectors are compared, each counts once; got {compared}"
ring, order = [[(i + 1) % 40] for i in range(40)], sorted(range(40), key=lambda i: -scores[i])
assert_equal(walk_graph(query, x, ring, 7, 40), (order, 40), "a ring, ef 40: every vector is reached: exact")
assert_equal(walk_graph(query, x, [[] for _ in x], 7, 5), ([7], 1), "no links: only the entry can be found")
### END HIDDEN TESTS

# %% [markdown]
# **Use it: the price of recall.** 698 documents are too few to need an index, so we take 21,719 vectors of words (the input layer of MiniLM, static vectors). For 200 words: which share of the ten nearest words (the word itself is one of the ten) does each index find, and after how many comparisons? FAISS counts its own; the knobs are `nprobe` for IVF and `efSearch` for HNSW, whose graph has up to 16 or 32 links a vector. Your own two functions run on FAISS's centroids and FAISS's graph. Printed for each setting: knob (comparisons: recall@10).

# %% nbgrader={"grade": false, "grade_id": "semantic-search-indexes", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
words, table = encoder.words()
table = normalise(table)
asked = table[np.random.default_rng(0).choice(len(words), 200, replace=False)]
truth = [set(row) for row in faiss_indexes.exact_search(asked, table, 10)[1].tolist()]
ivf, graph, larger = faiss_indexes.inverted_index(table, 128), *(faiss_indexes.graph_index(table, m) for m in (8, 16))
tried = {"IVF": faiss_indexes.try_settings(ivf, asked, 10, [1, 2, 4, 8, 16, 32, 64, 128])}
for name, index in (("HNSW, M = 8", graph), ("HNSW, M = 16", larger)):
    tried[name] = faiss_indexes.try_settings(index, asked, 10, [10, 20, 40, 80, 160, 320, 640])
centroids, (links, entry) = ivf.quantizer.reconstruct_n(0, 128), faiss_indexes.bottom_layer(graph)
lists = build_lists(table, centroids)
own = {"your IVF, nprobe 16": [ivf_search(q, table, centroids, lists, 16, 10) for q in asked]}
own["your walk, M = 8, ef 80"] = [walk_graph(q, table, links, entry, 80) for q in asked]
for name, pairs in own.items():
    price = float(np.mean([compared for _, compared in pairs]))
    tried[name] = [faiss_indexes.Setting(int(name.split()[-1]), price, [ids for ids, _ in pairs])]
prices: dict[str, list[tuple[int, float, float]]] = {}
for name, tries in tried.items():
    worth = [np.mean([recall_at_k(*pair, 10) for pair in zip(t.found, truth, strict=True)]) for t in tries]
    prices[name] = [(t.knob, t.compared, float(w)) for t, w in zip(tries, worth, strict=True)]
    print(f"{name}:", ", ".join(f"{knob} ({price:,.0f}: {w:.3f})" for knob, price, w in prices[name]))
retrieval.draw_price(plt.figure(figsize=(8, 3.8)), prices, len(words))
plt.show()
assert abs(prices["your IVF, nprobe 16"][0][2] - prices["IVF"][4][2]) < 0.01, "your IVF should find what FAISS's finds"

# %% [markdown]
# *Think:* IVF keeps a list of numbers beside the vectors, HNSW with $M = 16$ up to 32 links for each. Which would you choose for a billion vectors, and which for vectors that change all the time? And why can a metadata filter that allows one vector in a thousand break a graph search?
#
# ## 8. Where vectors come from: skip-gram
#
# MiniLM's vectors were trained by others. A very small model that learns vectors from nothing but text is **skip-gram** (word2vec, Mikolov et al. 2013). Its idea is older: *you shall know a word by the company it keeps* (Firth 1957). From the word in the centre, predict the words around it. Its sister in word2vec, **CBOW** (continuous bag of words), turns the question round: the mean of the context's vectors predicts the centre. It trains faster; skip-gram is the better one for rare words. We take skip-gram. Each word has two vectors of $d$ numbers: $v$ when it is the **centre**, $u$ when it is **context**. From every centre and each word within `window` places of it we get a *positive* pair. Predicting the context with a softmax over the vocabulary would be slow; **negative sampling** asks an easier question: is this pair real or made up? For each positive pair, $K$ words $n_1, \dots, n_K$ are drawn as made-up context, with probability proportional to $\mathrm{count}^{3/4}$ (rare words somewhat more often than in the text). With $\sigma(z) = 1/(1 + e^{-z})$, the loss of one pair is
#
# $$\ell = -\ln \sigma(v \cdot u) - \sum_{j=1}^{K} \ln \sigma(-v \cdot u_{n_j}), \qquad \frac{\partial \ell}{\partial v} = (\sigma(v\cdot u) - 1)\,u + \sum_j \sigma(v \cdot u_{n_j})\,u_{n_j}, \qquad \frac{\partial \ell}{\partial u} = (\sigma(v\cdot u) - 1)\,v, \qquad \frac{\partial \ell}{\partial u_{n_j}} = \sigma(v \cdot u_{n_j})\,v$$
#
# **Analogies.** If the step from *man* to *king* is about the step from *woman* to *queen*, then $\hat v_b - \hat v_a + \hat v_c$ (with $a$ = man, $b$ = king, $c$ = woman) should lie near *queen*. Custom forbids $a$, $b$ and $c$ as answers. We shall measure what that custom hides.
#
# **By hand.** Tokens $5, 6, 7$ and window 1: pairs $(5,6), (6,5), (6,7), (7,6)$. Counts $1, 16, 81$: powers $1, 8, 27$, so the chances are $\frac1{36}, \frac8{36}, \frac{27}{36}$. $v = (1, 0)$, $u = (\ln 3, 0)$, one negative $(0, 0)$: $\sigma = \frac34$ and $\frac12$, so $\ell = \ln\frac43 + \ln 2 = 0.981$; $\partial\ell/\partial v = -\frac14 (\ln 3, 0) = (-0.275, 0)$; $\partial\ell/\partial u = (-\frac14, 0)$; $\partial\ell/\partial u_n = (\frac12, 0)$.
#
# <details><summary>Hint 1</summary>Pairs: for each distance o from 1 to window, <code>tokens[o:]</code> and <code>tokens[:-o]</code> stand beside each other, and each is once the centre.</details>
# <details><summary>Hint 2</summary><code>np.einsum("bd,bkd->bk", centre, negative)</code> gives the K scores of each pair; the same letters in another order give the sum over k. -ln σ(z) is <code>np.logaddexp(0, -z)</code>, and σ(z) is exp of minus that: nothing overflows.</details>
# <details><summary>Hint 3</summary>The loss is a mean over the B pairs, so every gradient is divided by B.</details>


# %% nbgrader={"grade": false, "grade_id": "search-skipgram", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def skipgram_pairs(tokens: ndarray, window: int) -> tuple[ndarray, ndarray]:
    """Return all pairs (centre, context) of tokens that stand at most `window` places apart, in any order.

    tokens: int64 of shape (n,), not changed; n may be smaller than window, which is at least 1. Returned are (centres,
    contexts), two int64 arrays of one length; a pair that occurs twice is in them twice.
    """
    ### BEGIN SOLUTION
    left = np.concatenate([tokens[o:] for o in range(1, window + 1)])
    right = np.concatenate([tokens[:-o] for o in range(1, window + 1)])
    return np.concatenate([left, right]), np.concatenate([right, left])
    ### END SOLUTION


def noise_chances(counts: ndarray) -> ndarray:
    """Return each word's chance to be drawn as a negative: float64, proportional to counts (int64) to the power 3/4."""
    ### BEGIN SOLUTION
    return counts**0.75 / (counts**0.75).sum()
    ### END SOLUTION


def negative_sampling(centre: ndarray, positive: ndarray, negative: ndarray) -> tuple[float, ndarray, ndarray, ndarray]:
    """Return the mean loss of B pairs and its gradients; all finite for dot products from -1000 to 1000.

    centre, positive: v of the centre and u of the word that does stand there, floats of shape (B, d).
    negative: u of the K words drawn, shape (B, K, d). No argument is changed.

    Returned are (loss, d_centre, d_positive, d_negative): a number, and the gradients of the mean, shaped like the arguments.
    """
    ### BEGIN SOLUTION
    near, far = (centre * positive).sum(axis=1), np.einsum("bd,bkd->bk", centre, negative)
    loss = (np.logaddexp(0, -near) + np.logaddexp(0, far).sum(axis=1)).mean()
    pull = -np.exp(-np.logaddexp(0, near)) / len(centre)  # sigma(z) - 1 = -sigma(-z)
    push = np.exp(-np.logaddexp(0, -far)) / len(centre)
    d_centre = pull[:, None] * positive + np.einsum("bk,bkd->bd", push, negative)
    return float(loss), d_centre, pull[:, None] * centre, push[:, :, None] * centre[:, None, :]
    ### END SOLUTION


def analogy(vectors: ndarray, a: int, b: int, c: int, k: int, exclude: bool = True) -> list[int]:
    """Return the k rows of vectors with the largest dot products with v_b - v_a + v_c, best first.

    vectors: float of shape (V, d), each of length 1, not changed; no two of these dot products are equal. a, b, c: row
    numbers, which may not be answers if exclude. k: at most V - 3.
    """
    ### BEGIN SOLUTION
    scores = vectors @ (vectors[b] - vectors[a] + vectors[c])
    if exclude:
        scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)[:k].tolist()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "search-skipgram-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
pairs = sorted(zip(*(np.asarray(part).tolist() for part in skipgram_pairs(np.array([5, 6, 7]), 1)), strict=True))
assert pairs == [(5, 6), (6, 5), (6, 7), (7, 6)], f"tokens 5, 6, 7, window 1: four pairs by hand, got {pairs}"
assert_allclose(noise_chances(np.array([1, 16, 81])), np.array([1, 8, 27]) / 36, rtol=1e-9, err_msg="1, 16, 81: 3/4?")
sent, repeats = [np.array([[1.0, 0.0]]), np.array([[np.log(3), 0.0]]), np.zeros((1, 1, 2))], [1]
### BEGIN HIDDEN TESTS
repeats += [int(np.random.default_rng(seed("search-skipgram-example")).integers(2, 9))]
### END HIDDEN TESTS
for n in repeats:  # the mean over n equal pairs is one pair's loss
    parts = negative_sampling(*(np.repeat(x, n, axis=0) for x in sent))
    got, by_hand = [np.sum(x) for x in parts], [np.log(4 / 3) + np.log(2), -np.log(3) / 4, -0.25, 0.5]
    assert_allclose(got, by_hand, rtol=1e-9, err_msg=f"loss, gradients added up, {n} equal pairs: signs? divided by B?")
got = [*analogy(np.array([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0], [0.6, 0.8]]), 0, 1, 3, 2)]
assert got == [2, 4], f"rows up, right, down, left, 53 degrees; up : right as left : ? is down (2), then 4; got {got}"

# %% nbgrader={"grade": true, "grade_id": "search-skipgram-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: pairs one by one, noise, loss and gradients against PyTorch, large scores, analogies, arguments unchanged.
### BEGIN HIDDEN TESTS
rng, names = np.random.default_rng(seed("search-skipgram-properties")), ("loss", "d_centre", "d_positive", "d_negative")
for n, window in ((12, 1), (12, 3), (4, 6), (1, 2)):
    t = (tokens := rng.integers(0, 5, size=n)).tolist()
    expected = sorted((t[i], t[j]) for i in range(n) for j in range(n) if 0 < abs(i - j) <= window)
    pairs = sorted(zip(*(np.asarray(part).tolist() for part in unchanged(skipgram_pairs, tokens, window)), strict=True))
    why = f"tokens {t}, window {window}: {expected} expected, got {pairs}; both ways? every distance?"
    assert pairs == expected, why
powers = (counts := rng.integers(1, 10_000, size=30)) ** 0.75
assert_allclose(unchanged(noise_chances, counts), powers / powers.sum(), rtol=1e-9, err_msg=f"counts {counts}: 3/4")
for batch, size in ((7, 1.0), (1, 1.0), (3, 13.0)):  # 5 * 13 ** 2 = 845 is too much for exp
    arrays = [rng.normal(size=shape) for shape in ((batch, 5), (batch, 5), (batch, 4, 5))]
    arrays[1][:1], arrays[2][:1, 0] = -arrays[0][:1], arrays[0][:1]  # the most a loss can be
    arrays = [np.sign(x) * size for x in arrays] if size > 1 else arrays
    v, u, drawn = leaves = [torch.tensor(x, requires_grad=True) for x in arrays]
    scores = torch.cat([(v * u).sum(1, keepdim=True), -(drawn @ v[:, :, None])[:, :, 0]], dim=1)
    total = -torch.nn.functional.logsigmoid(scores).sum(1).mean()
    wanted = zip(names, [total.detach(), *torch.autograd.grad(total, leaves)], strict=True)
    for (name, want), got in zip(wanted, unchanged(negative_sampling, *arrays), strict=True):
        why = f"{name}, {batch} pairs, 4 negatives, numbers of size {size}: a mean over pairs, a sum over negatives; finite? sigma - 1 for the positive?"
        assert_allclose(np.asarray(got), want.numpy(), rtol=1e-9, atol=1e-12, strict=True, err_msg=why)
vectors = reference.normalise(rng.normal(size=(25, 6)))
for k, options in ((1, {}), (5, {}), (22, {}), (5, {"exclude": False})):
    asked = rng.choice(25, 3, replace=False).tolist()
    place = np.array([-1, 1, 1]) @ vectors[asked]
    ranked = sorted(range(25), key=lambda i: -float(vectors[i] @ place))
    answers = [i for i in ranked if options or i not in asked][:k]
    got, why = [*unchanged(analogy, vectors, *asked, k, **options)], f"a, b, c = {asked}, k = {k}, {options}"
    assert got == answers, f"{why}: {answers} expected, largest dot product with b - a + c first; got {got}"
### END HIDDEN TESTS

# %% [markdown]
# **Train it.** Six novels, 729,206 words; those that occur ten times or more make a vocabulary of 3,899. Very frequent words teach little and are dropped at random: a word of relative frequency $f$ stays with probability $\sqrt{t/f}$, at most 1, $t = 0.001$. A batch of 4,096 pairs touches few rows of the two tables, each perhaps many times: a sparse matrix adds up the gradients of each row, and Adagrad divides each row's step by the size of its past gradients, so that rare words take longer steps.

# %% nbgrader={"grade": false, "grade_id": "semantic-search-train", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
text = word_vectors.number_words("\n".join(austen(title) for title in NOVELS), at_least=10)
pieces, width, epochs = (skipgram_pairs, noise_chances, negative_sampling), *((128, 8) if SCALE == "gpu" else (64, 3))
vectors, losses = word_vectors.train_word_vectors(pieces, text, window=2, width=width, epochs=epochs)
novel = normalise(vectors)
print(f"{text.read:,} words, {len(text.vocabulary):,} different ones kept; loss {losses[0]:.2f}, then {losses[-1]:.2f}")
for word in ("sister", "monday", "happy", "captain", "walked"):
    near = search(novel[text.vocabulary.index(word)][None], novel, 6)[1][0, 1:]
    print(f"{word:>9}: {', '.join(text.vocabulary[i] for i in near)}")

# %% [markdown]
# No grammar, no dictionary, not one label: days of the week, relatives and forms of verbs find each other because they stand in like places. (A loss of $6 \ln 2 \approx 4.16$ would be guessing: with $K = 5$ made-up words, as here, six questions a pair, each answered with $\frac12$.)
#
# **And the analogies?** Four families of questions, every pair with every other, over the words that both Austen's vocabulary and MiniLM's have: right is only the one expected word among thousands. Blue: the custom, with the question's three words forbidden. Orange: any word may be the answer. Last, the famous question itself. (*Queen* occurs nine times in Austen's six novels, too seldom for our vocabulary, so we ask MiniLM, among all its words.)

# %% nbgrader={"grade": false, "grade_id": "semantic-search-analogies", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
common = sorted({*text.vocabulary} & {*words}, key=text.vocabulary.index)
models = {"Austen": word_vectors.look_up(text.vocabulary, novel, common)}
models["MiniLM, input layer"] = word_vectors.look_up(words, table, common)
right, echo = word_vectors.answer_shares(analogy, models, common)
for (name, family), share in echo.items():
    print(f"{name}, {family}: if a, b and c are allowed, they are {share:.0%} of the answers")
    assert share > 0.5, "the arithmetic alone mostly returns one of its own words"
retrieval.draw_analogies(plt.figure(figsize=(8, 3.2)), right)
plt.show()
for question in ("man woman gentleman", "he himself she", "come came speak", "day days year", "good better bad"):
    print(word_vectors.three_answers(analogy, models, common, question))
for exclude in (True, False):
    print(word_vectors.three_answers(analogy, {"MiniLM, input layer": table}, words, "man king woman", exclude))

# %% [markdown]
# Look at the orange bars again. Without the custom, the word nearest to $b - a + c$ is in 86 to 100 % of the questions one of the question's own three words: the famous arithmetic is a small step from where one already stood, and forbidding three words leaves their nearest neighbours as the answer (Linzen 2016; Rogers et al. 2017). So it is with the legend: *queen* comes first if *man*, *king* and *woman* are forbidden, and is beaten by *king* if they are not. What remains is real but regular: forms of verbs, pairs of men and women in novels full of families. Comparatives are rare in six novels, and their answers poor; a model that has read the web does better. Whatever regularity a corpus has is learned, its prejudices too (Bolukbasi et al. 2016).
#
# ## Recap
#
# A text becomes a vector by pooling the states of its tokens, padding left out; with vectors of length 1 three measures are one. What an engine is worth is a number on labelled questions: here an encoder and BM25 earn the same by different means, and their places joined by RRF earn more than either. Lists and graphs buy speed with recall, and both have a knob. Word vectors come from company alone; analogies show less than the legend says.
#
# **What breaks at scale.** Long documents do not fit into 256 tokens and must be cut into passages. A billion float32 vectors of 384 numbers take 1.5 TB, so they are compressed (product quantisation; the lab on the similarity service). Filters inside approximate indexes, deletions and updates are the hard part of a vector database. A model trained on the web knows nothing of your product names: fine-tune it (the lab on one domain) or keep BM25 beside it. The next step of quality is a cross-encoder that reads question and document together and ranks the best fifty anew.
#
# **Read on.** Reimers and Gurevych 2019, *Sentence-BERT* (section 3). Devlin et al. 2019, *BERT*; Liu et al. 2019, *RoBERTa*. Robertson and Zaragoza 2009, *The Probabilistic Relevance Framework: BM25 and Beyond* (section 3). Kamphuis et al. 2020, *Which BM25 Do You Mean?* Cormack et al. 2009, *Reciprocal Rank Fusion*. Järvelin and Kekäläinen 2002 (nDCG). Malkov and Yashunin 2018, *HNSW* (algorithm 2). Johnson, Douze and Jégou 2017, *Billion-Scale Similarity Search with GPUs* (FAISS). Mikolov et al. 2013, *Distributed Representations of Words and Phrases* (section 2.2). Linzen 2016, *Issues in Evaluating Semantic Spaces Using Word Analogies*. Thakur et al. 2021, *BEIR*.
#
# **Stretch goals.** (1) Cut each document into passages, embed these, and score a document by its best passage: does nDCG rise? (2) Build the HNSW graph yourself: insert one vector at a time, find its neighbours with your own `walk_graph`. (3) Download arXiv's metadata (titles, abstracts, categories, years), put it in the place of the bank's documents, and search it with filters. (4) Train skip-gram with a window of 8: which neighbours change from kind to topic?
