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
# # A transformer from scratch
#
# You will build every part of a transformer from tensors: attention and its masks, positions, heads, norms, feed-forward layers, residual blocks. Then you put them together twice: as the encoder-decoder of 2017, which learns Pig Latin from single words, and as the decoder of today. The second one is the same network that runs real chat models, down to the last logit: the 134,515,008 weights of SmolLM2 go into *your* classes, and your model must give the numbers that Hugging Face's `transformers` gives. At the end you write what turns its logits into text: top-k, nucleus and beam search.
#
# Later exercises call earlier pieces as `reference.name`, for example `reference.attention`. That module holds the course's own solutions, so an exercise that you have not solved never blocks the next one. The experiments are stricter: within `with yours():` every piece that you have written replaces the course's.

# %% tags=["parameters"] nbgrader={"grade": false, "grade_id": "transformer-from-scratch-parameters", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
SCALE = "cpu"  # "gpu" trains both small models at a real size: wider, deeper, longer, on six novels, on a GPU if there is one

# %% nbgrader={"grade": false, "grade_id": "transformer-from-scratch-imports", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from llmlabs.lab import models, oracles
from llmlabs.lab.letters import austen_letters, austen_words, from_letters, pair_loss, pig_latin, to_letters
from llmlabs.lab.pieces import own_pieces
from llmlabs.lab.plotting import draw_weights, use_course_style
from llmlabs.lab.reference import transformer_from_scratch as reference
from llmlabs.lab.testing import load_parameters, seed

use_course_style()
LARGE = SCALE == "gpu"
torch.set_default_device("cuda" if LARGE and torch.cuda.is_available() else "cpu")
yours = partial(own_pieces, reference, globals())

# %% [markdown]
# ## 1. Attention, and what it may see
#
# A sentence is a row of $n$ vectors. In **attention** each position asks a question and gathers answers from other positions: its **query** $q_i$ is compared with every **key** $k_j$, and the better they match, the more of the **value** $v_j$ flows back. For $Q$ of shape $(n_q, d)$, $K$ of shape $(n_k, d)$ and $V$ of shape $(n_k, d_v)$,
#
# $$S = \frac{QK^\top}{\sqrt d}, \qquad A_{ij} = \frac{m_{ij}\, e^{S_{ij}}}{\sum_l m_{il}\, e^{S_{il}}}, \qquad \text{output} = A V .$$
#
# $A$ holds the **attention weights**: each row is at least 0 and adds up to 1. If all entries of $q$ and $k$ are independent with mean 0 and variance 1, $q \cdot k$ has variance $d$; the root keeps the scores near 1, so that the softmax is not all-or-nothing before it has learned anything. In *self*-attention $Q$, $K$, $V$ come from one sentence; in *cross*-attention $K$ and $V$ come from another one.
#
# The **mask** $m_{ij}$ is True where query $i$ may see key $j$. In code, set $S_{ij} = -\infty$ where it is False, *before* the softmax: $e^{-\infty} = 0$, and the rest still adds up to one. The mask alone makes the families of transformers:
#
# | family | what query $i$ sees | example |
# |---|---|---|
# | encoder-only | all keys | BERT |
# | decoder-only | **causal**: keys $j \le i$, never the future that it has to predict | GPT, Llama |
# | prefix LM | all keys of the first $p$ positions, else causal | UniLM |
# | encoder-decoder | the decoder causally itself, and the whole encoded source | T5 |
# | any batch | nothing of the **padding** that fills up short sentences | |
#
# A program that writes text token by token keeps old keys and values (exercise 3). Then the queries are fewer than the keys: they are the *last* $n_q$ of the $n_k$ positions.
#
# **By hand.** $d = 4$, $q_1 = k_1 = (0,0,0,0)$, $q_2 = (1,1,1,1)$, $k_2 = \frac{\ln 3}{2}(1,1,1,1)$, $V = (8, 4)^\top$. Row 2: scores $0$ and $\frac{2 \ln 3}{\sqrt 4} = \ln 3$, weights $\frac14, \frac34$, output $2 + 3 = 5$. Row 1: scores $0, 0$. Causally it sees only itself and gives $8$; without the mask $6$: it has looked ahead. `causal_mask(2, 4)` has the rows `1 1 1 0` and `1 1 1 1`.
#
# <details><summary>Hint 1</summary><code>torch.ones(n_q, n_k, dtype=torch.bool).tril(s)</code> keeps True up to the s-th diagonal above the main one. What must s be when the last query sees the last key? <code>torch.arange(keys) &lt; lengths[:, None]</code> compares every position with every length.</details>
# <details><summary>Hint 2</summary>Query i of the last n_q may see keys up to i + n_k - n_q, so s = keys - queries. The prefix mask is the causal one | "this key is among the first p". The score is <code>q @ k.transpose(-2, -1) / math.sqrt(d)</code>; then <code>masked_fill(~mask, -torch.inf)</code>, <code>softmax(-1)</code>.</details>


# %% nbgrader={"grade": false, "grade_id": "transformer-attention", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def causal_mask(queries: int, keys: int) -> Tensor:
    """The boolean mask (queries, keys) with which no position sees a later one; the queries are the last of the keys."""
    ### BEGIN SOLUTION
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)
    ### END SOLUTION


def prefix_mask(prefix: int, keys: int) -> Tensor:
    """The boolean mask (keys, keys) with which all see the first `prefix` keys, and no others after themselves."""
    ### BEGIN SOLUTION
    return causal_mask(keys, keys) | (torch.arange(keys) < prefix)
    ### END SOLUTION


def padding_mask(lengths: Tensor, keys: int) -> Tensor:
    """The boolean mask (batch, 1, 1, keys): True for the first lengths[b] keys of sentence b, lengths int64 (batch,)."""
    ### BEGIN SOLUTION
    return (torch.arange(keys) < lengths[:, None])[:, None, None]
    ### END SOLUTION


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the output (..., n_q, d_v) and the weights (..., n_q, n_k) of scaled dot-product attention.

    Args:
        q, k, v: float32 of shapes (..., n_q, d), (..., n_k, d), (..., n_k, d_v), equal in front; not changed.
        mask: booleans that broadcast to (..., n_q, n_k), at least one True in each row; None: all are visible.
    """
    ### BEGIN SOLUTION
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    weights = (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)
    return weights @ v, weights
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "transformer-attention-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
q, first, rows = torch.tensor([[0.0] * 4, [1.0] * 4]), 8.0, torch.tensor([[True, False], [True, True]])
### BEGIN HIDDEN TESTS
first = 9.0 + seed("transformer-attention-example") % 90
### END HIDDEN TESTS
for mask, above in ((None, first / 2 + 2), (rows, first)):
    got = attention(q.clone(), q * math.log(3) / 2, torch.tensor([[first], [4.0]]), mask)[0]
    why = f"by hand, V = ({first}, 4), mask {mask}: outputs {above} and {first / 4 + 3} expected, got {got.tolist()}: {'are scores divided by the root of d = 4? is the softmax over the keys, the last axis?' if mask is None else f'above, {first / 2 + 2} would mean that it sees its future, {first / 2} that weights are zeroed after the softmax, 4 that the mask is upside down'}"
    assert_close(got, torch.tensor([[above], [first / 4 + 3]]), msg=why)
got, right = causal_mask(2, 4), torch.tensor([[True] * 3 + [False], [True] * 4])
assert_close(got, right, msg=f"causal_mask(2, 4): queries are positions 2 and 3; {right} expected, got {got}")

# %% nbgrader={"grade": true, "grade_id": "transformer-attention-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: each mask, entry by entry; attention and its weights against PyTorch's, for batches, heads and masks of several shapes; inputs unchanged.
### BEGIN HIDDEN TESTS
torch.manual_seed(draws := seed("transformer-attention-properties"))
for n, m, p in [(1, 1, 0), (5, 5, 2), (1, 6, 6), (3, 7, 4 + draws % 3)]:
    got, right = causal_mask(n, m), torch.tensor([[j <= i + m - n for j in range(m)] for i in range(n)])
    why = f"causal_mask({n}, {m}): booleans; query i, position i + {m - n}, sees itself and what is before; {right} expected, got {got}"
    assert_close(got, right, msg=why)
    got, right = prefix_mask(p, m), torch.tensor([[j <= i or j < p for j in range(m)] for i in range(m)])
    why = f"prefix_mask({p}, {m}): booleans; all see the first {p} keys, else causal; {right} expected, got {got}"
    assert_close(got, right, msg=why)
got, real = padding_mask(torch.tensor([3, 1, 4]), 5), torch.tensor([[[[j < n for j in range(5)]]] for n in (3, 1, 4)])
why = f"padding_mask(lengths 3, 1, 4; 5 keys): booleans, shape (3, 1, 1, 5), True for the first lengths[b] keys; {real} expected, got {got}"
assert_close(got, real, msg=why)
for lead, n, mask in [((), 3, None), ((3, 2), 4, real), ((2, 3), 3, right[:3, :5])]:
    q, k, v = (torch.randn(*lead, size, d) * 2 for size, d in ((n, 6), (5, 6), (5, 3)))
    expected = functional.scaled_dot_product_attention(q, k, torch.eye(5).expand(*lead, 5, 5), mask)
    given, (output, weights) = [x.clone() for x in (q, k, v)], attention(q, k, v, *[mask][: mask is not None])
    assert all(map(torch.equal, given, (q, k, v))), "q, k or v was changed; change the scores instead"
    why = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}, mask {mask}: weights (item 0), output (item 1): divided by the root of q's last axis? softmax over the keys, after the mask? do rows of weights add up to 1? "
    assert_close((weights, output), (expected, expected @ given[2]), rtol=1e-5, atol=1e-5, msg=why.__add__)  # sums of 6
### END HIDDEN TESTS

# %% [markdown]
# **Use it: four masks, and what they cost.** Each picture is a mask over eight positions. Every one of its squares is a number to compute and, in a plain implementation, to store: twice the text costs four times as much.

# %% nbgrader={"grade": false, "grade_id": "transformer-from-scratch-plot-masks", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
masks = {"encoder-only": torch.ones(8, 8), "decoder-only (causal)": causal_mask(8, 8), "prefix LM": prefix_mask(3, 8)}
masks["padding after 5"] = padding_mask(torch.tensor([5]), 8)[0, 0].expand(8, 8)
figure, axes = plt.subplots(1, 4, figsize=(8, 2.5), sharey=True)
for ax, (name, mask) in zip(axes, masks.items(), strict=True):
    draw_weights(ax, mask.cpu(), "12345678", "12345678", name)
figure.suptitle("The mask makes the family. Row: query, column: key, blue: visible", fontsize=11)
plt.show()

# %% [markdown]
# *Think:* with a causal mask, the output at position 3 does not change when position 4 does. Which trick of training does that allow, and what would a model learn whose mask leaks?
#
# ## 2. Where am I? Sinusoids and rotations
#
# Attention is a sum over a *set*: shuffle the keys with their values and nothing changes. "Dog bites man" needs positions.
#
# - **Sinusoidal** (Vaswani et al. 2017, section 3.5): add to the vector at position $p$ a pattern of slow and fast waves. For $i = 0, \dots, \frac d2 - 1$ and even $d$: entry $2i$ is $\sin(p\,\omega_i)$, entry $2i + 1$ is $\cos(p\,\omega_i)$, with $\omega_i = 10000^{-2i/d}$.
# - **Rotary, RoPE** (Su et al. 2021, section 3.2): leave the vectors alone, and *rotate* queries and keys. Entries $i$ and $i + \frac d2$ of $x \in \mathbb{R}^d$ are a point in a plane, turned by the angle $\alpha = p\,\omega_i$ with $\omega_i = \theta^{-2i/d}$:
#
# $$\begin{pmatrix} y_i \\ y_{i + d/2} \end{pmatrix} = \begin{pmatrix} \cos\alpha & -\sin\alpha \\ \sin\alpha & \cos\alpha \end{pmatrix} \begin{pmatrix} x_i \\ x_{i + d/2} \end{pmatrix}$$
#
# Turning $q$ by $m\omega$ and $k$ by $n\omega$ changes the angle between them by $(m - n)\omega$: the score knows only the *distance*, at no cost in parameters. (The paper pairs entries $2i$ and $2i + 1$; Llama's code in `transformers` pairs the halves. Weights fit one or the other: a model loaded with the wrong pairing talks nonsense.)
#
# **By hand.** Sinusoids for $d = 4$, $p = 1$: $\omega = (1, 0.01)$, so $(\sin 1, \cos 1, \sin 0.01, \cos 0.01) \approx (0.841, 0.540, 0.010, 1.000)$. Rotation of $x = (1, 2, 0, 0)$, $\theta = 10000$, at $p = 1$: entries 0 and 2 (counted from 0) are the plane of $\omega_0 = 1$: $(1, 0)$ becomes $(0.540, 0.841)$; entries 1 and 3 turn by $0.01$: $(2, 0)$ becomes $(2.000, 0.020)$. Result: $(0.540, 2.000, 0.841, 0.020)$.
#
# <details><summary>Hint 1</summary><code>positions[:, None] * omega</code> has shape (n, d / 2): all angles at once. For the sinusoids, <code>torch.stack([sin, cos], -1).flatten(1)</code> makes sine and cosine alternate.</details>
# <details><summary>Hint 2</summary>Let a and b be the halves <code>x[..., :d // 2]</code> and <code>x[..., d // 2:]</code>. Then y is the concatenation of a cos - b sin and b cos + a sin. Angles of shape (n, d / 2) fit x of shape (batch, heads, n, d / 2) by themselves.</details>


# %% nbgrader={"grade": false, "grade_id": "transformer-positions", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def sinusoidal(positions: Tensor, dim: int) -> Tensor:
    """The sinusoidal encodings of int64 positions (n,): float32 of shape (n, dim), for even dim."""
    ### BEGIN SOLUTION
    angles = positions[:, None] * 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
    ### END SOLUTION


def rotate(x: Tensor, positions: Tensor, theta: float = 10_000.0) -> Tensor:
    """Turn x, float32 (..., n, d) with even d, by its int64 positions (n,), with base theta; x is not changed."""
    ### BEGIN SOLUTION
    half = x.shape[-1] // 2
    angles = positions[:, None] * theta ** (-torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], -1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "transformer-positions-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
p = 1
### BEGIN HIDDEN TESTS
p = 2 + seed("transformer-positions-example") % 7
### END HIDDEN TESTS
s, c, slow_s, slow_c = math.sin(p), math.cos(p), math.sin(p / 100), math.cos(p / 100)
got, right = sinusoidal(torch.tensor([p]), 4), torch.tensor([[s, c, slow_s, slow_c]])
why = f"sinusoidal, position {p}, dim 4: {right} expected, got {got}: sine and cosine in turn? rates 1 and 1/100? of the position given?"
assert_close(got, right, msg=why)
got, right = rotate(torch.tensor([[1.0, 2, 0, 0]]), torch.tensor([p])), torch.tensor([[c, 2 * slow_c, s, 2 * slow_s]])
why = f"(1, 2, 0, 0) at position {p}: {right} expected, got {got}: are entries i and i + d/2 a pair? rates 1 and 1/100? signs of the sines?"
assert_close(got, right, msg=why)

# %% nbgrader={"grade": true, "grade_id": "transformer-positions-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: sinusoids entry by entry; rotations against transformers', another base, batches of heads; x unchanged.
### BEGIN HIDDEN TESTS
torch.manual_seed(seed("transformer-positions-properties"))
positions, close = torch.randint(0, 60, (5,)), partial(assert_close, rtol=0, atol=1e-4)  # angles are known to 4e-6
for d in (2, 10):
    waves = [(math.cos if e % 2 else math.sin, 10_000 ** ((e % 2 - e) / d)) for e in range(d)]
    right = torch.tensor([[wave(p * rate) for wave, rate in waves] for p in positions.tolist()])
    why = f"sinusoidal, positions {positions.tolist()}, dim {d}: sines at even entries, cosines at odd ones? frequency 10000^(-2i/d) for each pair? of each position given? "
    close(sinusoidal(positions, d), right, msg=why.__add__)
for theta, options in ((10_000.0, {}), (500.0, {"theta": 500.0})):
    x = torch.randn(2, 3, 5, 8)
    given, got = x.clone(), rotate(x, positions, **options)
    assert torch.equal(x, given), "rotate changed x; build a new tensor"
    why = f"rotate, shape (2, 3, 5, 8), positions {positions.tolist()}, {options}, against transformers: {'theta, not always 10,000?' if options else 'entries i and i + d/2 paired? angle p theta^(-2i/d), of each position given? -sin above, +sin below?'} "
    close(got, oracles.llama_rotation(given, positions, theta), msg=why.__add__)
### END HIDDEN TESTS

# %% [markdown]
# **Use it: what the score knows.** Left, the sinusoidal pattern of each position. Right, the score of a query and a key that are equal before the rotation: one curve for queries at position 10, 60 and 110, because only the distance counts. For such a pair the score falls with the distance, in waves. For a query and a key that have nothing to do with each other it is 0 on average, at *every* distance: RoPE prefers near words only where the contents match.

# %% nbgrader={"grade": false, "grade_id": "transformer-from-scratch-plot-positions", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
figure, axes = plt.subplots(1, 2, figsize=(8, 3), width_ratios=[1, 1.3])
axes[0].imshow(sinusoidal(torch.arange(48), 32).T.cpu(), cmap="PuOr", aspect="auto", interpolation="nearest")
axes[0].set(title="Sinusoids, -1 brown, 1 purple: fast above", xlabel="position", ylabel="entry")
for start, style, width in ((10, "C0-", 6), (60, "C1--", 3.5), (110, "k:", 1.8)):
    query, keys = torch.tensor([start]), torch.arange(start, start + 150)
    scores = rotate(torch.ones(1, 64), query) @ rotate(torch.ones(150, 64), keys).T / 64
    axes[1].plot(scores[0].cpu(), style, label=f"query at position {start}", linewidth=width)
axes[1].set(title="RoPE: only distance counts", xlabel="distance from query to key", ylabel="score / largest score")
axes[1].legend()
plt.show()

# %% [markdown]
# *Think:* a model has seen distances up to 512 in training. What do the fast and the slow planes show it at distance 5,000? (The lab on positional encodings measures it.)
#
# ## 3. Many heads, few keys, and a memory
#
# One softmax can look at one place. **Multi-head attention** cuts the $D$ entries of a vector into $h$ heads of $d = D / h$ and lets each look where it likes. For $x$ of shape $(B, n, D)$ and a source $s$, which is $x$ itself (self-attention) or another sequence, the *memory* (cross-attention):
#
# $$q = x W_q^\top, \quad k = s W_k^\top, \quad v = s W_v^\top; \qquad \text{head}_j = \mathrm{attention}(q_j, k_{g(j)}, v_{g(j)}); \qquad \text{output} = [\text{head}_0, \dots, \text{head}_{h-1}]\, W_o^\top .$$
#
# Head $j$ (from 0) has the entries $jd, \dots, jd + d - 1$: a tensor $(B, n, h d)$ becomes $(B, h, n, d)$. $W_q$ and $W_o$ have shape $(D, D)$, $W_k$ and $W_v$ have $(h_{kv}\, d, D)$, where $h_{kv}$ is the number of heads of keys and values; in the attention of 2017, $h_{kv} = h$ and $g(j) = j$. Three things make it modern:
#
# - **Grouped-query attention** (Ainslie et al. 2023): only $h_{kv}$ heads of keys and values; neighbours share, $g(j) = \lfloor j\, h_{kv} / h \rfloor$. With $h = 4$, $h_{kv} = 2$, heads 0 and 1 read keys 0, heads 2 and 3 keys 1. $h_{kv} = 1$ is multi-query attention.
# - **RoPE**: queries and keys, not values, are rotated before they meet.
# - **KV cache**: in generation the past does not change, so its rotated keys and its values are kept; new ones are appended along the axis of positions, and a new token's position is the number of keys before it. What is kept has $h_{kv}$ heads: that is why sharing pays.
#
# **By hand.** $D = 2$, $h = 2$, all four matrices the identity, $x = \begin{pmatrix} 0 & 0 \\ 1 & \sqrt{\ln 3} \end{pmatrix}$. Each head is one number wide. Head 0, row 2: scores $0, 1$, weights $\frac{1}{1 + e}, \frac{e}{1 + e}$, output $0.731$. Head 1, row 2: scores $0, \ln 3$, weights $\frac14, \frac34$, output $\frac34\sqrt{\ln 3} = 0.786$. Row 1 scores all 0: $(0.5, 0.524)$. With one head of width 2 both entries of row 2 would share one weight, $0.815$.
#
# <details><summary>Hint 1</summary><code>y.unflatten(-1, (heads, -1)).transpose(1, 2)</code> splits the heads, <code>out.transpose(1, 2).flatten(2)</code> puts them side by side again. <code>k.repeat_interleave(groups, 1)</code> repeats each head for its group of queries; <code>k.repeat</code> would deal them out in turn.</details>
# <details><summary>Hint 2</summary>The order: project and split; count the keys in the cache (an empty dict is False); rotate q and k at positions past, ..., past + n - 1 if theta is given; if there is a cache, put the old keys and values in front, and store the result; repeat for the groups; attend; merge; o_proj.</details>


# %% nbgrader={"grade": false, "grade_id": "transformer-heads", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
class Attention(nn.Module):
    """Multi-head attention with shared keys and values, rotary positions and a cache; the names are Llama's."""

    def __init__(self, dim: int, heads: int, kv_heads: int | None = None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)  # query heads for one key head
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x: Tensor, memory=None, mask=None, theta=None, cache=None) -> Tensor:
        """Attend from x to memory, or to x itself: float32 of shape (B, n, dim), like x.

        Use reference.attention and reference.rotate. Keep each call's weights (B, heads, n, keys), detached, in self.weights.

        Args:
            memory: float32 of shape (B, m, dim) for cross-attention, without theta and cache; None: self-attention.
            mask: booleans that broadcast to (B, heads, n, number of keys); None: all are visible.
            theta: the base of the rotary frequencies; None: no rotation.
            cache: dict, updated in place: empty at first, after a call it holds "k" and "v" of all positions so far, (B,
                kv_heads, number of keys, head_dim), keys rotated. The positions of x follow those; None: they begin at 0.
        """
        ### BEGIN SOLUTION
        source = x if memory is None else memory
        projected = self.q_proj(x), self.k_proj(source), self.v_proj(source)
        q, k, v = (y.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for y in projected)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache is not None:
            k, v = (torch.cat([cache[name], y], 2) if past else y for name, y in (("k", k), ("v", v)))
            cache.update(k=k, v=v)
        k, v = (y.repeat_interleave(self.groups, 1) for y in (k, v))
        output, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(output.transpose(1, 2).flatten(2))
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "transformer-heads-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
b = math.log(3)
### BEGIN HIDDEN TESTS
b = 0.5 + seed("transformer-heads-example") % 1000 / 500
### END HIDDEN TESTS
for heads, scores in ((2, [1.0, b]), (1, [(1 + b) / 2**0.5] * 2)):
    load_parameters(layer := Attention(2, heads), {f"{name}_proj.weight": torch.eye(2) for name in "qkvo"})
    x = torch.tensor([[[0.0, 0.0], [1.0, b**0.5]]])
    got, right = layer(x), torch.tensor([[0.0, 0.0], scores]).sigmoid() * x[:, 1:]
    why = f"identity matrices, {heads} head(s), x = {x.tolist()}: {right.tolist()} expected, got {got.tolist()}: does each head use its own part of x, and the root of its own width?"
    assert_close(got, right, msg=why)

# %% nbgrader={"grade": true, "grade_id": "transformer-heads-properties", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# Tested here: self- and cross-attention with masks against torch.nn.MultiheadAttention; shared keys and RoPE against PyTorch's and transformers' functions; the cache's contents and results, token by token and in pieces; self.weights.
### BEGIN HIDDEN TESTS
torch.manual_seed(seed("transformer-heads-properties"))
close = partial(assert_close, rtol=1e-4, atol=1e-4)  # float32 sums of 24 products near 1
library = nn.MultiheadAttention(24, 3, bias=False, batch_first=True)
load_parameters(layer := Attention(24, 3), oracles.split_projections(library))
x, memory, hidden = torch.randn(2, 6, 24), torch.randn(2, 7, 24), torch.arange(7) >= torch.tensor([[4], [7]])
for name, source, padding in [("self", None, None), ("cross", memory, None), ("cross", memory, hidden)]:
    keys, mask = x if source is None else source, None if padding is None else ~hidden[:, None, None]
    right = library(x, keys, keys, key_padding_mask=padding, average_attn_weights=False)
    where = f"{name}-attention, 3 heads, {'no mask' if mask is None else 'padding masked'}, against torch.nn.MultiheadAttention"
    why = f"{where}: {'q from x, k and v from the memory? ' if source is not None else ''}{'the mask handed on? ' if mask is not None else ''}head j from entries jd to jd + d - 1, positions not mixed in? merged in order? o_proj last? "
    close(layer(x, source, mask), right[0].detach(), msg=why.__add__)
    why = f"{where}: self.weights, what reference.attention returns: a map for each head, of shape (2, 3, 6, keys)? "
    close(layer.weights, right[1].detach(), msg=why.__add__)
    assert not layer.weights.requires_grad, "self.weights is not detached: it would hold each call's graph in memory"
for kv_heads, theta in [(1, None), (2, None), (2, 300.0), (4, 10_000.0)]:
    weights = {f"{n}_proj.weight": torch.randn(6 * kv_heads if n in "kv" else 24, 24) / 3 for n in "qkvo"}
    load_parameters(layer := Attention(24, 4, kv_heads), weights)
    mask, (right, maps, *kept) = torch.ones(6, 6).bool().tril(), oracles.grouped_attention(x, weights, 4, theta)
    for cache, ends in list[Any]([(None, [6]), ({}, [1, 2, 3, 4, 5, 6]), ({}, [3, 4, 6])]):
        for start, end in zip([0, *ends], ends, strict=False):
            got = layer(x[:, start:end], mask=mask[start:end, :end], theta=theta, cache=cache)
            why = f"4 heads, {kv_heads} of keys, theta {theta}, causal, tokens {start} to {end - 1}, {'no cache' if cache is None else 'cache'}: {'neighbours share keys and values?' if theta is None else 'q and k rotated by theta, head by head, and v not?'}{f' positions from {start} on? old keys and values in front of the new, once each?' if start else ''} "
            close(got, right[:, start:end], msg=why.__add__)
            why = f"the cache after {end} tokens: 'k', 'v' of shape (2, {kv_heads}, {end}, 6) put into the dict given? in order, keys rotated, heads not repeated? "
            for name, y in zip("kv", [] if cache is None else kept, strict=False):
                close(cache.get(name, torch.tensor(0.0)), y[:, :, :end], msg=why.__add__)
            why = f"self.weights of this call, {'no cache' if cache is None else 'cache'}, shape (2, 4, {end - start}, {end}): kept in each call, one map for each of the 4 heads? "
            close(layer.weights, maps[:, :, start:end, :end], msg=why.__add__)
### END HIDDEN TESTS

# %% [markdown]
# *Think:* without a cache, token 1,000 costs a pass over 1,000 positions. With it, one: what then limits the speed, and why do servers care more for the cache's size than for the weights'?
#
# ## 4. Keep it in range: norms and the feed-forward layer
#
# After attention has mixed the positions, a **feed-forward** layer works on each position alone; two thirds of the weights of an encoder's block are there, three quarters in SmolLM2. Before each, a **norm** brings every vector to a common size. For one vector $x \in \mathbb{R}^D$, with weights $w, b \in \mathbb{R}^D$ that are learned:
#
# $$\mathrm{LayerNorm}(x) = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} \odot w + b, \qquad \mathrm{RMSNorm}(x) = \frac{x}{\sqrt{\frac1D \sum_i x_i^2 + \epsilon}} \odot w, \qquad \mathrm{SwiGLU}(x) = W_{\text{down}} \bigl(\mathrm{silu}(W_{\text{gate}}\, x) \odot W_{\text{up}}\, x\bigr)$$
#
# $\mu$ and $\sigma^2 = \frac1D\sum_i (x_i - \mu)^2$ are of this vector alone, not of the batch, so a sentence's result does not depend on which others it is batched with; RMSNorm (Zhang and Sennrich 2019) leaves out the mean. $\mathrm{silu}(z) = z / (1 + e^{-z})$. The original feed-forward layer was, but for its biases, $W_2 \max(0, W_1 x)$; in SwiGLU (Shazeer 2020) one projection opens or shuts gates for the other. $\odot$ multiplies entry by entry. $W_{\text{gate}}, W_{\text{up}}$ have shape $(H, D)$, $W_{\text{down}}$ has $(D, H)$; $H$ is the number of gates.
#
# **By hand.** $x = (1, 3)$, $w = 1$, $b = 0$, $\epsilon = 0$: $\mu = 2$, $\sigma = 1$, LayerNorm $(-1, 1)$. The mean square is 5: RMSNorm $(0.447, 1.342)$. SwiGLU with $D = H = 1$ and all weights 1, $x = 2$: $\mathrm{silu}(2) \cdot 2 = 1.762 \cdot 2 = 3.523$.
#
# <details><summary>Hint 1</summary>Means over the last axis with <code>keepdim=True</code>. <code>torch.var</code> divides by D - 1 unless told otherwise; here it is D.</details>
# <details><summary>Hint 2</summary><code>torch.rsqrt(z + eps)</code> is one over the root. The projections are called like functions: <code>self.up_proj(x)</code>.</details>


# %% nbgrader={"grade": false, "grade_id": "transformer-norms", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
class LayerNorm(nn.Module):
    """Layer normalisation of float32 x (..., dim), which is not changed, over the last axis; eps as in the formula."""

    def __init__(self, dim: int, eps: float = 1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        x = x - x.mean(-1, keepdim=True)
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight + self.bias
        ### END SOLUTION


class RMSNorm(nn.Module):
    """RMS normalisation of float32 x (..., dim), which is not changed, over the last axis; eps as in the formula."""

    def __init__(self, dim: int, eps: float = 1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight
        ### END SOLUTION


class SwiGLU(nn.Module):
    """The gated feed-forward layer for float32 x (..., dim), with `hidden` gates; the names are Llama's."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "transformer-norms-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
gap = 2.0
### BEGIN HIDDEN TESTS
gap = 1.0 + seed("transformer-norms-example") % 1000 / 300
### END HIDDEN TESTS
x, swiglu = torch.tensor([1.0, 1.0 + gap]), SwiGLU(1, 1)
load_parameters(swiglu, {f"{name}_proj.weight": torch.ones(1, 1) for name in ("gate", "up", "down")})
got = torch.stack([LayerNorm(2)(x.clone()), RMSNorm(2)(x.clone()), swiglu(x[:, None])[:, 0]])
right = torch.stack([torch.tensor([-1.0, 1.0]), x / x.square().mean().sqrt(), x * x * x.sigmoid()])
why = f"LayerNorm, RMSNorm, SwiGLU of ones, a row each, for {x}: {right} expected, got {got}; both means divide by D, only LayerNorm subtracts one; silu(z) is z sigmoid(z)"
assert_close(got, right, rtol=1e-3, atol=1e-3, msg=why)

# %% nbgrader={"grade": true, "grade_id": "transformer-norms-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: both norms against PyTorch's with random weights, several shapes, tiny inputs and other eps; SwiGLU against its formula; x unchanged.
### BEGIN HIDDEN TESTS
torch.manual_seed(seed("transformer-norms-properties"))
for shape, size, options in [((5,), 3.0, {}), ((2, 3, 5), 3.0, {"eps": 0.5}), ((4, 5), 2e-3, {})]:
    x, weight, bias, eps = torch.randn(shape) * size + size, torch.randn(5), torch.randn(5), options.get("eps", 1e-5)
    (gate, up), down, given = torch.randn(2, 7, 5), torch.randn(5, 7), x.clone()
    load_parameters(norm := LayerNorm(5, **options), {"weight": weight, "bias": bias})
    load_parameters(rms := RMSNorm(5, **options), {"weight": weight})
    load_parameters(gated := SwiGLU(5, 7), {"gate_proj.weight": gate, "up_proj.weight": up, "down_proj.weight": down})
    right = [functional.layer_norm(x, (5,), weight, bias, eps), functional.rms_norm(x, (5,), weight, eps)]
    right.append((functional.silu(x @ gate.T) * (x @ up.T)) @ down.T)
    for name, layer, expected in zip(("LayerNorm", "RMSNorm", "SwiGLU"), (norm, rms, gated), right, strict=True):
        why = f"{name}, x of shape {shape} near {size}{'' if name == 'SwiGLU' else f', eps {eps}'}: {'silu of the gate only, times up, then down' if name == 'SwiGLU' else 'each vector by itself, over the last axis? self.eps added under the root? times weight'}{', plus bias' if name == 'LayerNorm' else ''}? "
        assert_close(layer(x), expected, rtol=1e-4, atol=1e-5, msg=why.__add__)
        assert torch.equal(x, given), f"{name} changed x; avoid -= and *= on it"
### END HIDDEN TESTS

# %% [markdown]
# **Use it: why not batch norm?** Batch normalisation takes mean and variance of each entry over the batch. Then a sentence's numbers depend on its neighbours in the batch, and, with padding, on its length. Here the first of four vectors is normalised twice, with other neighbours each time.

# %% nbgrader={"grade": false, "grade_id": "transformer-from-scratch-batch-norm", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
first, others = torch.randn(1, 8), torch.randn(2, 3, 8)
for name, layer in (("batch norm", nn.BatchNorm1d(8)), ("layer norm", LayerNorm(8)), ("RMS norm", RMSNorm(8))):
    one, two = (layer(torch.cat([first, other]))[0] for other in others)
    print(f"{name}: the first vector {'stays' if torch.equal(one, two) else 'changes'} when its neighbours change")

# %% [markdown]
# ## 5. Blocks, and the encoder-decoder of 2017
#
# A **residual connection** adds a layer's result to what it received: the layer learns a correction, and gradients have a free road back through the sum. Where the norm stands makes two families, with $f$ the sublayer:
#
# $$\text{post-norm (2017):}\quad y = \mathrm{norm}\bigl(x + \mathrm{dropout}(f(x))\bigr) \qquad\qquad \text{pre-norm (today):}\quad y = x + \mathrm{dropout}\bigl(f(\mathrm{norm}(x))\bigr)$$
#
# **Dropout** (`nn.Dropout`) sets each entry to 0 with probability $p$ in training, and divides those that are left by $1 - p$, so that the mean stays; in evaluation it does nothing. It keeps the network from leaning on single entries.
#
# A **block** has two or three sublayers, each with its residual connection and its own norm: self-attention; in a decoder, cross-attention to the encoder's output; feed-forward. The **encoder-decoder** (Vaswani et al. 2017, section 3) reads a source and writes a target:
#
# 1. Tokens become vectors of size $D$: embedding times $\sqrt D$, plus the sinusoids of positions $0, 1, \dots$
# 2. The encoder's blocks see the whole source, but no padding; then a norm. The result is the *memory*.
# 3. The decoder's blocks see the target causally and, in cross-attention, the memory without its padding; then a norm.
# 4. The logits are the product with the embedding matrix once more (*tied* weights): a token's score is how well its own vector fits.
#
# Three departures from the paper: a norm at the end of each stack, which pre-norm needs, and linear layers without biases (both as in `torch.nn.Transformer` with `bias=False`); and no dropout on the sums of step 1.
#
# **By hand.** $x = (1, 3)$, the sublayer $f(z) = z$, LayerNorm, no dropout. Pre-norm: $(1, 3) + (-1, 1) = (0, 4)$. Post-norm: $\mathrm{norm}(2, 6) = (-1, 1)$: the size of $x$ is gone.
#
# <details><summary>Hint 1</summary>A sublayer that needs a mask becomes a function of one argument with lambda: <code>self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)</code>. Norms are used in order: <code>norm1</code> for self-attention, the next for cross-attention if there is one, the last for feed-forward.</details>
# <details><summary>Hint 2</summary>Cross-attention takes its queries from the target: <code>self.multihead_attn(y, memory, memory_mask)</code>. <code>self.embed.weight</code> has shape (vocab, dim): logits are <code>x @ self.embed.weight.T</code>.</details>


# %% nbgrader={"grade": false, "grade_id": "transformer-seq2seq", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
class Block(nn.Module):
    """A layer of the encoder, or decoder if `cross`: attention `heads`, linear2(relu(linear1)); pre- or post-norm (`pre_norm`)."""

    def __init__(self, dim: int, heads: int, cross: bool = False, pre_norm: bool = True, dropout: float = 0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None  # the cross-attention
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x: Tensor, sublayer: Callable[[Tensor], Tensor], norm: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply sublayer and norm, functions of one tensor, with self.dropout and a residual connection; x stays as it is."""
        ### BEGIN SOLUTION
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))
        ### END SOLUTION

    def forward(self, x: Tensor, mask=None, memory=None, memory_mask=None) -> Tensor:
        """Run the sublayers on x (B, n, dim), with mask; cross-attention goes to memory, with memory_mask."""
        ### BEGIN SOLUTION
        x = self.residual(x, partial(self.self_attn, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, partial(self.multihead_attn, memory=memory, mask=memory_mask), self.norm2)
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), self.norm3 or self.norm2)
        ### END SOLUTION


class EncoderDecoder(nn.Module):
    """Reads a source and predicts a target, token by token; encoder and decoder have "layers" and a final "norm"."""

    def __init__(self, vocab: int, dim: int, heads: int, layers: int, pre_norm: bool = True, dropout: float = 0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross: bool):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids: Tensor) -> Tensor:
        """Step 1: int64 ids (B, n) become float32 vectors (B, n, dim). Use reference.sinusoidal."""
        ### BEGIN SOLUTION
        return self.embed(ids) * math.sqrt(self.dim) + reference.sinusoidal(torch.arange(ids.shape[1]), self.dim)
        ### END SOLUTION

    def encode(self, source: Tensor, lengths: Tensor) -> Tensor:
        """Steps 1, 2: the memory (B, n, dim). Use self.encoder["layers"], self.encoder["norm"], reference.padding_mask.

        source is int64 (B, n), anything after the first lengths[b] >= 1 tokens of row b; lengths is int64 (B,).
        """
        ### BEGIN SOLUTION
        x, mask = self.positioned(source), reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)
        ### END SOLUTION

    def decode(self, target: Tensor, memory: Tensor, lengths: Tensor) -> Tensor:
        """Steps 1, 3, 4: the logits (B, m, vocab) of the token that follows each of the target's, int64 (B, m).

        memory is what `encode` returned for sources of these lengths. Use reference.causal_mask too.
        """
        ### BEGIN SOLUTION
        x, m = self.positioned(target), target.shape[1]
        for block in self.decoder["layers"]:
            x = block(x, reference.causal_mask(m, m), memory, reference.padding_mask(lengths, memory.shape[1]))
        return self.decoder["norm"](x) @ self.embed.weight.T
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "transformer-seq2seq-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
factor, torch_norm = 1.0, partial(functional.layer_norm, normalized_shape=(2,))
### BEGIN HIDDEN TESTS
factor = 2.0 + seed("transformer-seq2seq-example") % 7
### END HIDDEN TESTS
for pre_norm, right in ((True, [1 - factor, 3 + factor]), (False, [-1.0, 1.0])):
    got = Block(2, 1, pre_norm=pre_norm).residual(torch.tensor([1.0, 3.0]), lambda z: factor * z, torch_norm)
    why = f"x = (1, 3), sublayer {factor} z, pre_norm={pre_norm}: {right} expected, got {got.tolist()}: what is normed, and what is added to what?"
    assert_close(got, torch.tensor(right), rtol=1e-4, atol=1e-4, msg=why)
model, lengths, ids = EncoderDecoder(9, 8, 2, 1), torch.tensor([5, 2]), torch.arange(10).view(2, 5) % 9
memory, logits = (y := model.encode(ids, lengths)), model.decode(ids, y, lengths)
ids = torch.cat([ids[:, :2], 8 - ids[:, 2:]], 1)
got, why = model.encode(ids, lengths), "padding changed the memory of what is before it: is it masked in the encoder?"
assert_close(got[1, :2], memory[1, :2], msg=why)
got, why = model.decode(ids, memory, lengths), "later targets changed earlier logits: the causal mask? memory asked?"
assert_close(got[:, :2], logits[:, :2], msg=why)

# %% nbgrader={"grade": true, "grade_id": "transformer-seq2seq-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: encoder and decoder against torch.nn.Transformer with the same weights, block by block, pre- and post-norm, padded sources; dropout of sublayers in training, none in evaluation.
### BEGIN HIDDEN TESTS
torch.manual_seed(draws := seed("transformer-seq2seq-properties"))
close = partial(assert_close, rtol=1e-3, atol=1e-3)  # float32 through four blocks, values of a few units
ids, target, lengths = torch.randint(11, (3, 6)), torch.randint(11, (3, 5)), torch.tensor([6, 1, 4])
seen, past = torch.arange(6) < lengths[:, None], torch.ones(5, 5).bool().tril()
for pre_norm in (True, False):
    library, embedding = oracles.tiny_transformer(draws, norm_first=pre_norm), torch.randn(11, 8) / 3
    weights = oracles.split_projections(library) | {"embed.weight": embedding}
    load_parameters(model := EncoderDecoder(11, 8, 2, 2, pre_norm), weights)
    x, read, memory, y, asked, logits = oracles.transformer_steps(library, embedding, ids, lengths, target)
    where = f"pre_norm={pre_norm}, sources of lengths 6, 1, 4, against torch.nn.Transformer"
    why = f"{where}: positioned: the embedding times the root of dim? plus the sinusoids of 0, 1, ..., which are not scaled? "
    close(model.positioned(ids), x, msg=why.__add__)
    why = f"{where}: a block of the encoder: self-attention with the mask, then linear2 of relu of linear1, each with its own norm, in order? "
    close(model.encoder["layers"][0](x, seen[:, None, None])[seen], read[seen], msg=why.__add__)
    why = f"{where}: a block of the decoder: self-attention with mask, cross-attention from x to memory with memory_mask, feed-forward, each with its own norm, in order? "
    close(model.decoder["layers"][0](y, past, memory, seen[:, None, None]), asked, msg=why.__add__)
    why = f"{where}: encode: positions? all blocks, each with the padding mask and no other? then the encoder's norm? "
    close(model.encode(ids, lengths)[seen], memory[seen], msg=why.__add__)
    why = f"{where}: decode: positions? all blocks, each with a causal mask for the target, a padding mask for the memory? then the decoder's norm, and the tied weights? "
    close(model.decode(target, memory, lengths), logits, msg=why.__add__)
    block, ones = Block(4, 1, pre_norm=pre_norm, dropout=0.5), torch.ones(1000)
    for training, right in ((True, [1, 15] if pre_norm else [2, 18]), (False, [8 if pre_norm else 10])):
        block.train(training)  # of 1,000 entries some are dropped and some are not, surely; the kept ones count twice
        got = sorted(set(block.residual(ones, lambda z: 3 * z + 1, lambda z: 2 * z).tolist()))
        why = f"ones, sublayer 3z + 1, norm 2z, pre_norm={pre_norm}, dropout 0.5, training={training}: entries {right} expected, got {got[:9]}: the sublayer's result is dropped, before the sum, in training only; x, all ones, is now {ones.unique().tolist()[:9]}"
        assert got == right and ones.eq(1).all(), why
### END HIDDEN TESTS

# %% [markdown]
# **Use it: why the sum matters.** Twenty-four blocks with fresh weights read random vectors. Attention averages, so positions grow alike from block to block; once all vectors are the same, no later block can tell them apart (Dong et al. 2021). The picture shows how alike two positions are on average, 1 being the same direction: without residual connections, with post-norm, with pre-norm.

# %% nbgrader={"grade": false, "grade_id": "transformer-from-scratch-collapse", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
for name, style in (("no residual", ":"), ("post-norm", "--"), ("pre-norm", "-")):
    torch.manual_seed(0)
    with yours(), torch.no_grad():
        x, alike = torch.randn(8, 32, 64), []
        for _ in range(24):
            fresh: Any = Block(64, 4, pre_norm=name == "pre-norm")
            if name == "no residual":
                fresh.residual = lambda x, sublayer, norm: norm(sublayer(x))
            x = fresh(x)
            alike.append(functional.cosine_similarity(x[:, :1], x[:, 1:], dim=-1).mean().item())
    plt.plot(range(1, 25), alike, style, label=name)
    assert min(alike[3:]) > 0.99 if name == "no residual" else max(alike) < 0.99, "the sum should keep positions apart"
plt.gca().set(title="Without the sum all positions become one", xlabel="block", ylabel="mean cosine to position 0")
plt.legend()
plt.show()

# %% [markdown]
# **Use it: Pig Latin.** English words go in, letter by letter; out comes what children make of them: consonants at the front move to the end, then "ay" (*street* becomes *eetstray*; *qu* moves as one, so *quiet* becomes *ietquay*; *y* counts as a consonant at the front only). Lengths differ, so padding matters; the target is not aligned with the source, so cross-attention has to find its way. The words are from Jane Austen's novels; 300 of them are kept for the test.


# %% nbgrader={"grade": false, "grade_id": "transformer-from-scratch-pig-latin", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
def pig_loss():
    rows = torch.randint(300, len(words), (64,))
    logits = pig.decode(target[rows, :-1], pig.encode(source[rows], lengths[rows]), lengths[rows])
    return functional.cross_entropy(logits.flatten(0, 1), target[rows, 1:].flatten(), ignore_index=0)


words = austen_words(longest := 12 if LARGE else 8)
pigs, lengths, source = [*map(pig_latin, words)], torch.tensor([*map(len, words)]), from_letters(words, longest)
target = from_letters([f"^{pig}$" for pig in pigs], longest + 4)
torch.manual_seed(0)
with yours():
    pig: Any = EncoderDecoder(29, 128, 4, 3, dropout=0.1) if LARGE else EncoderDecoder(29, 48, 4, 2)
    models.train(pig, pig_loss, 2000 if LARGE else 240, 3e-3 if LARGE else 6e-3)
    written, memory = torch.ones(300, 1, dtype=torch.int64), pig.eval().encode(source[:300], lengths[:300])
    for _ in range(target.shape[1] - 1):  # greedy: always the likeliest letter
        written = torch.cat([written, pig.decode(written, memory, lengths[:300])[:, -1:].argmax(-1)], 1)
answers = [text[1:].split("$")[0] for text in to_letters(written)]
right = sum(map(str.__eq__, answers, pigs)) / 300
print(f"{right:.0%} of 300 new words right:", *map("{} -> {},".format, words[:6], answers))
assert right >= 0.85, "expected at least 85 %: which piece differs from the reference?"

# %% [markdown]
# **Where does it look?** The weights of the decoder's last cross-attention, averaged over the heads: each row is a letter that is being written, each column a letter of the source.

# %% nbgrader={"grade": false, "grade_id": "transformer-from-scratch-cross-attention", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
figure, axes = plt.subplots(1, 2, figsize=(8, 3.6))
for ax, word, written in zip(axes, ("stranger", "quiet"), ("angerstray", "ietquay"), strict=True):
    with yours(), torch.no_grad():
        pig.decode(from_letters([f"^{written}"]), pig.encode(from_letters([word]), n := torch.tensor([len(word)])), n)
    draw_weights(ax, pig.decoder["layers"][-1].multihead_attn.weights[0].mean(0).cpu(), word, [*written, "end"])
    ax.set(xlabel="letter of the source", ylabel="letter being written")
figure.suptitle("It reads from the first vowel on, then goes back for the consonants", fontsize=11)
plt.show()

# %% [markdown]
# *Think:* the encoder alone, with a mask that hides only padding, is BERT's architecture. Why can it fill a gap in a sentence, but not write one from left to right?
#
# ## 6. The decoder of today, with real weights
#
# Drop the encoder and cross-attention, and predict the next token of one sequence: the **decoder-only** model. Llama's form of it (Touvron et al. 2023) is pre-norm with RMSNorm, SwiGLU, and RoPE in every layer instead of added positions. SmolLM2 adds two things: shared keys, as in the largest models of Llama 2, and tied embeddings. A block is
#
# $$h = x + \mathrm{Attention}\bigl(\mathrm{RMSNorm}_1(x)\bigr), \qquad y = h + \mathrm{SwiGLU}\bigl(\mathrm{RMSNorm}_2(h)\bigr) .$$
#
# The model is: embedding (not scaled), blocks, one RMSNorm more, and logits by the tied embedding matrix. With caches, one dict for each block, a call is given only the *new* tokens: its mask is $n$ queries by $\text{past} + n$ keys.
#
# **By hand**, with no block at all. Vocabulary of 2, vectors $(3, 4)$ and $(0, 5)$, token 0: mean square $12.5$, RMSNorm $(3, 4)/3.536 = (0.849, 1.131)$; logits $0.849 \cdot 3 + 1.131 \cdot 4 = 7.07$ and $1.131 \cdot 5 = 5.66$.
#
# <details><summary>Hint 1</summary>How many tokens are in the past? The first block's cache knows: <code>caches[0]["k"].shape[2]</code>, if it is not empty. A model without blocks, and a call without caches, has no past.</details>
# <details><summary>Hint 2</summary>One mask, <code>reference.causal_mask(n, past + n)</code>, serves all blocks. <code>zip(self.layers, caches or [None] * len(self.layers))</code> gives each block its cache.</details>


# %% nbgrader={"grade": false, "grade_id": "transformer-llama", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
class LlamaBlock(nn.Module):
    """A block; config has the names of transformers' LlamaConfig, as `smollm2_config()` returns them."""

    def __init__(self, config: dict):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x: Tensor, mask=None, cache=None) -> Tensor:
        """Run the block on x (B, n, dim), not changed; mask and cache are for `Attention`, which also needs self.theta."""
        ### BEGIN SOLUTION
        x = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return x + self.mlp(self.post_attention_layernorm(x))
        ### END SOLUTION


class Llama(nn.Module):
    """A decoder-only model; its parameters have the names of transformers' LlamaModel."""

    def __init__(self, config: dict):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids: Tensor, caches=None) -> Tensor:
        """The logits (B, n, vocab_size) of the token that follows each of ids, int64 (B, n). Use reference.causal_mask.

        caches: for each block a dict, {} before the first call; ids follow those of earlier calls. None: ids are all.
        """
        ### BEGIN SOLUTION
        x, past = self.embed_tokens(ids), caches[0]["k"].shape[2] if caches and caches[0] else 0
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=True):
            x = layer(x, reference.causal_mask(ids.shape[1], past + ids.shape[1]), cache)
        return self.norm(x) @ self.embed_tokens.weight.T
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "transformer-llama-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
table = torch.tensor([[3.0, 4.0], [0.0, 5.0]])
### BEGIN HIDDEN TESTS
table = table + seed("transformer-llama-example") % 1000 / 300
### END HIDDEN TESTS
model = Llama({"vocab_size": 2, "hidden_size": 2, "num_hidden_layers": 0, "rms_norm_eps": 0.0})
load_parameters(model, {"embed_tokens.weight": table})
got, right = model(torch.tensor([[0, 1]])), table / table.square().mean(-1, keepdim=True).sqrt() @ table.T
why = f"no blocks, embeddings {table}, tokens 0 and 1: logits {right} expected, got {got}: the last norm? tied weights? at both positions? nothing added to the embedding?"
assert_close(got, right[None], msg=why)

# %% nbgrader={"grade": true, "grade_id": "transformer-llama-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: logits against transformers' LlamaForCausalLM with the same random weights; with caches, in several pieces, the same logits as without.
### BEGIN HIDDEN TESTS
torch.manual_seed(draws := seed("transformer-llama-properties"))
library, ids = oracles.tiny_llama(draws), torch.randint(40, (2, 9))
load_parameters(model := Llama(library.config.to_dict()), dict(library.model.named_parameters()))
x, first, right = oracles.llama_steps(library, ids)  # a few units: 1e-3 is far above float32's rounding
why = "a LlamaBlock, causal mask, against LlamaForCausalLM: mask and theta handed on? input_layernorm, then post_attention_layernorm? both sums, each to what came in? "
assert_close(model.layers[0](x, torch.ones(9, 9).bool().tril()), first, rtol=1e-3, atol=1e-3, msg=why.__add__)
assert torch.equal(x, library.model.embed_tokens(ids)), "LlamaBlock changed x; avoid += on what it is given"
for caches, ends in list[Any]([(None, [9]), *(([{}, {}, {}], ends) for ends in ([9], [5, 6, 9], [*range(1, 10)]))]):
    for start, end in zip([0, *ends], ends, strict=False):
        why = f"{'with' if caches else 'without'} caches, tokens {start} to {end - 1}, against LlamaForCausalLM: {f'a mask of {end - start} by {end}, with {start} keys from the past? to each block its own cache, and on to attention?' if caches else 'the embedding as it is? the causal mask to all blocks, in order? the last norm?'} "
        assert_close(model(ids[:, start:end], caches), right[:, start:end], rtol=1e-3, atol=1e-3, msg=why.__add__)
### END HIDDEN TESTS

# %% [markdown]
# **The moment of truth.** SmolLM2-135M-Instruct (Ben Allal et al. 2025) was trained on two trillion tokens. Its 272 tensors, here dequantised from 4 bits, fit your classes name by name. Tolerance: float32 keeps seven digits; the sums of 30 blocks are taken in another order than in the library, and logits reach some tens, so they should agree within $10^{-3}$.

# %% nbgrader={"grade": false, "grade_id": "transformer-from-scratch-smollm2", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
library, tokenizer = models.smollm2()
text = "It is a truth universally acknowledged, that a single man in possession of a good"
ids = torch.tensor([tokenizer(text)["input_ids"]])
with yours(), torch.no_grad():
    with torch.device("meta"):  # takes no memory: the real weights replace these at once
        smol: Any = Llama(models.smollm2_config())
    smol.load_state_dict(library.to(ids.device).model.state_dict(), assign=True)
    mine, theirs, caches = smol(ids), library(ids).logits, [{} for _ in smol.layers]
    pieces = torch.cat([smol(piece, caches) for piece in ids.split(6, 1)], 1)
worst = max((mine - theirs).abs().max(), (pieces - mine).abs().max())
assert worst < 1e-3, f"your logits, without or with caches, differ from the library's by up to {worst}"
size = f"{sum(p.numel() for p in smol.parameters()):,} weights; {mine.numel():,} logits, up to {theirs.abs().max():.0f}"
print(f"{size}; yours, without and with caches, differ from the library's by {worst:.0e} at most")
chances, tokens = mine[0, -1].softmax(-1).topk(5)
print(f"{text} ...", *[f"{tokenizer.decode(t)!r} {p:.0%}" for p, t in zip(chances, tokens, strict=True)], sep="  ")

# %% [markdown]
# **What its heads do.** There are 270. On a text that repeats itself we measure how much weight each puts on the first token, on the token before, and on the token that *followed an earlier copy of this one*, and draw the head that does each most. The third kind, an *induction head* (Olsson et al. 2022), is how a model goes on with a pattern that it has seen once. Where there is no earlier copy, it rests on the first token.

# %% nbgrader={"grade": false, "grade_id": "transformer-from-scratch-heads", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
tokens = tokenizer(" Mr. Brown saw a fox. Mr. Brown saw a")["input_ids"]
with yours(), torch.no_grad():
    smol(torch.tensor([tokens]))
maps = torch.stack([layer.self_attn.weights[0] for layer in smol.layers]).cpu()  # (layers, heads, n, n)
here, labels = range(len(tokens)), [tokenizer.decode(token) for token in tokens]
places = {"the first token": [(i, 0) for i in here[1:]], "the token before": [(i, i - 1) for i in here[1:]]}
places["what followed last time"] = [(i, j + 1) for i in here for j in range(i) if tokens[j] == tokens[i]]
figure, axes = plt.subplots(1, 3, figsize=(8, 3.8), sharey=True)
for ax, (name, cells) in zip(axes, places.items(), strict=True):
    strength = torch.stack([maps[:, :, i, j] for i, j in cells]).mean(0)
    layer, head = divmod(int(strength.argmax()), maps.shape[1])
    draw_weights(ax, maps[layer, head], labels, labels, f"{name}: {strength.max():.0%}\nblock {layer}, head {head}")
    assert strength.max() > 0.5, f"some head should look mostly at {name}"
figure.suptitle("Heads of SmolLM2 specialise: each row is a query, each column a key", fontsize=11)
plt.show()

# %% [markdown]
# **Your own small one, on a novel.** The same class, with other sizes, reads *Emma* letter by letter. The yardstick counts which letter follows which (a bigram model); a loss of 2.0 means that the right letter gets a probability of $e^{-2} = 14\,\%$. After so short a training its text, which the last section prints, has the look of English words but no sense.


# %% nbgrader={"grade": false, "grade_id": "transformer-from-scratch-austen", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
def next_loss(starts=None):
    starts = torch.randint(unread - 256, (16,)) if starts is None else starts
    ids = codes[starts[:, None] + torch.arange(257 if LARGE else 65)]
    return functional.cross_entropy(novelist(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


alphabet, codes = austen_letters(*[] if LARGE else ["emma"])
unread, size = len(codes) * 9 // 10, len(alphabet)
bigram = pair_loss(codes, unread, size)
config = models.smollm2_config() | {"vocab_size": size, "num_attention_heads": 4, "num_key_value_heads": 2}
dim, config["num_hidden_layers"] = (384, 6) if LARGE else (96, 3)
config |= {"hidden_size": dim, "intermediate_size": 8 * dim // 3}
torch.manual_seed(0)
with yours():
    novelist = Llama(config)
    nn.init.normal_(novelist.embed_tokens.weight, std=0.1)
    models.train(novelist, next_loss, 5000 if LARGE else 180, 2e-3 if LARGE else 5e-3)
    with torch.no_grad():
        loss = next_loss(torch.arange(unread, len(codes) - 256, 300))
print(f"loss on the unread tenth: {loss:.2f}; counting pairs: {bigram:.2f}; guessing: {math.log(size):.2f}")
assert loss < bigram - 0.3, "the small model should be far better than counting pairs"

# %% [markdown]
# *Think:* the causal mask lets one pass train on all positions at once. How many predictions did a batch of 16 rows make? How many would it make without that mask?
#
# ## 7. From logits to text
#
# A model gives a probability for each next token; a *decoder* chooses. To sample, first reshape the logits $s$, in this order:
#
# 1. **Temperature** $\tau > 0$: $s / \tau$. Below 1 sharper, above 1 flatter.
# 2. **Top-k**: keep the $k$ largest.
# 3. **Top-p, nucleus** (Holtzman et al. 2020): of the softmax of what is left, keep the smallest set of likeliest tokens whose probabilities add up to at least $p$; always at least one token. It is wide where the model doubts, narrow where it is sure.
#
# What is not kept gets probability 0; the rest adds up to 1 again.
#
# **Beam search** looks for the likeliest *whole* continuation. It keeps the best $b$ beginnings (*beams*) by total log-probability $\sum_t \log p_t$. In every round each is extended by each token, and the best $b$ of all these survive. A beginning whose last *new* token is the end token stays as it is and keeps competing.
#
# **By hand.** Probabilities $(0.5, 0.3, 0.15, 0.05)$. Top-k with 2: $(0.625, 0.375, 0, 0)$. Top-p with $0.7$: $0.5$ is too little, $0.5 + 0.3$ is enough, so the same. Beams: first A $0.6$ or B $0.4$; after A the best has $0.4$, after B $0.9$. One beam (greedy) takes A and ends at $0.24$; two beams keep B alive and find $0.36$.
#
# <details><summary>Hint 1</summary>Sort once, descending. A token belongs to the nucleus if the sum of those <em>before</em> it is still below p: then the first always belongs. Bring the decision back to the tokens' places with <code>scatter</code> or with a threshold.</details>
# <details><summary>Hint 2</summary>For beam search keep a list of (log-probability, new tokens), at first [(0.0, [])]. In each round: those that ended go on as they are; all others go into one call of next_logits, log_softmax, add their sums, and <code>flatten().topk(...)</code>; index // V is the beam, index % V the token. All of one round are equally long, so they fit into one tensor.</details>


# %% nbgrader={"grade": false, "grade_id": "transformer-generation", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def next_chances(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0) -> Tensor:
    """The probabilities, float32 (V,), from which the next token is drawn. The logits (V,) are not changed.

    temperature is above 0, top_k at least 1 (None, or more than V: all), top_p above 0 (1: all). No logits are equal.
    """
    ### BEGIN SOLUTION
    chances, order = (logits / temperature).softmax(-1).sort(descending=True)
    chances[top_k or len(logits) :] = 0
    chances = chances / chances.sum()
    chances[chances.cumsum(-1) - chances >= top_p] = 0
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())
    ### END SOLUTION


def beam_search(next_logits: Callable, prompt: list[int], beams: int, steps: int, end=None) -> tuple[list[int], float]:
    """Search for the likeliest continuation; return its tokens and the natural logarithm of their probability.

    Args:
        next_logits: takes int64 (B, n), texts that begin with the prompt, and returns the logits (B, V) of the token
            that follows each; V may be smaller than beams.
        prompt: token ids, at least one; not changed, and not returned.
        beams: how many beginnings survive a round.
        steps: the number of rounds, 0 or more (0 returns ([], 0.0)); fewer if all that survive have ended.
        end: the token that ends a text, and is its last; or None. Only new tokens count: a prompt that ends in it goes on.
    """
    ### BEGIN SOLUTION
    found: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(steps):
        grown = [(log_p, tokens) for log_p, tokens in found if tokens and tokens[-1] == end]
        alive = [survivor for survivor in found if survivor not in grown]
        if not alive:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in alive]))
        totals = logits.log_softmax(-1) + torch.tensor([[log_p] for log_p, _ in alive])
        best = totals.flatten().topk(min(beams, totals.numel()))
        for log_p, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            grown.append((log_p, [*alive[index // logits.shape[1]][1], index % logits.shape[1]]))
        found = sorted(grown, reverse=True)[:beams]
    return found[0][1], found[0][0]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "transformer-generation-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
chances, other = torch.tensor([0.5, 0.3, 0.15, 0.05]), 0.9
### BEGIN HIDDEN TESTS
turn = seed("transformer-generation-example")
chances, other = chances.roll(1 + turn % 3), 0.8 + turn % 100 / 1000
### END HIDDEN TESTS
for options in ({"top_k": 2}, {"top_p": 0.7}):
    got, right = next_chances(chances.log(), **options), torch.where(chances > 0.2, chances, 0) / 0.8
    why = f"{options}, {chances}: {right} expected, got {got}: the largest two kept, at their places, and adding up to 1? with top-p, the one that reaches p, too?"
    assert_close(got, right, msg=why)
table = torch.tensor([[0.6, 0.4, 0], [0.3, 0.3, 0.4], [0.05, 0.95 - other, other]]).log()
for beams, p, tokens in ((1, 0.24, [0, 2]), (2, 0.4 * other, [1, 2])):
    got, log_p = beam_search(lambda ids: table[(ids[:, -1] + (ids.shape[1] > 1)).clamp(max=2)], [0], beams, 2)
    why = f"{beams} beam(s), 2 steps, first A 0.6, B 0.4, then at best 0.4 after A, {other} after B: {tokens} with log {p:.2f} = {math.log(p):.3f} expected, got {got}, {log_p}: do the logs of both steps add up? how many survive? new tokens only?"
    assert got == tokens and abs(log_p - math.log(p)) < 1e-4, why

# %% nbgrader={"grade": true, "grade_id": "transformer-generation-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: temperature, top-k, top-p and all together against transformers' own; beam search of several widths, with and without an end token, also where the best looks bad at first; it stops when all have ended; logits and prompt unchanged.
### BEGIN HIDDEN TESTS
torch.manual_seed(seed("transformer-generation-properties"))
logits, tables, prompt = torch.randn(12) * 2, torch.randn(7, 5, 5) * 2, [3, 1]
for options in oracles.WARPS:
    given, right, got = logits.clone(), oracles.warped_chances(logits, **options), next_chances(logits, **options)
    assert torch.equal(logits, given), f"{options}: the logits were changed; work on a copy"
    why = f"{options}, softmax {given.softmax(-1)}: {right} expected, got {got}: {'logits divided by the temperature, before all else? ' if 'temperature' in options else ''}{'the k largest kept? ' if 'top_k' in options else ''}{'the likeliest kept, with the token that reaches p, of the softmax of what is left? ' if 'top_p' in options else ''}at the tokens' own places, adding up to 1?"
    assert_close(got, right, rtol=1e-4, atol=1e-6, msg=why)
for model, beams, steps, end in oracles.beam_trials(partial(oracles.next_of_two, tables)):
    right = oracles.plain_beam_search(model, [3, 1], beams, steps, end)
    got = beam_search(model, prompt, beams, steps, end)
    why = f"prompt [3, 1], {beams} beams, {steps} steps, end {end}: {right} expected, got {got}: {'the logs of log_softmax added over all steps? of all extensions the best kept, even two of one beam, even more than there are tokens?' if end is None else 'do ended texts stay as they are, and compete? does the search stop when all have ended?'}"
    assert got[0] == right[0] and abs(got[1] - right[1]) < 1e-4, why
    assert prompt == [3, 1], f"the prompt was changed to {prompt}; build new lists"
### END HIDDEN TESTS

# %% [markdown]
# **Use it: one prompt, five ways.** With caches, each new token is one position to compute; the first line counts what that saves. Greedy decoding (`top_k=1`) always takes the likeliest token. Sampling from all 49,152 tokens (`{}`) wanders off, for the many unlikely ones are likely together; a temperature of 1.5 makes it worse. Top-k and top-p cut that tail.
#
# Beam search looks for the likeliest *whole* text. For the first beginning four beams find a far likelier one than greedy decoding, which is beam search with one. For the second they do not: in some round what greedy decoding goes on with is not among the best four, and is lost. So beams promise nothing. They help where one text is right, as in translation; the likeliest story is a dull one (Holtzman et al. 2020).


# %% nbgrader={"grade": false, "grade_id": "transformer-from-scratch-generate", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
def generate(model, ids, steps, end=None, **options):
    caches, new = [{} for _ in model.layers], list(ids)
    while steps and new != [end]:
        chances = next_chances(model(torch.tensor([new]), caches)[0, -1], **options)
        new, steps = [torch.multinomial(chances, 1).item()], steps - 1
        ids = [*ids, *new]
    return ids


question = [{"role": "user", "content": "Write one sentence about a dog on the moon."}]
prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True)["input_ids"]
n, steps, end = len(prompt), 200 if LARGE else 20, tokenizer.eos_token_id
print(f"positions for {steps} tokens: {n + steps - 1} with caches, {sum(range(n, n + steps)):,} without")
with yours(), torch.no_grad():
    for options in ({"top_k": 1}, {}, {"temperature": 1.5}, {"top_k": 40}, {"top_p": 0.9}):
        torch.manual_seed(0)
        print(options, tokenizer.decode(generate(smol, prompt, steps, end, **options)[n:]))
    for start, beams in (("The dog sat on", 1), ("The dog sat on", 4), ("I think that I", 1), ("I think that I", 4)):
        tokens, log_p = beam_search(lambda ids: smol(ids)[:, -1], tokenizer(start)["input_ids"], beams, 8, end)
        print(f"{beams} beam(s), log-probability {log_p:.2f}: {start}{tokenizer.decode(tokens)!r}")
    print("your novelist:", "".join(alphabet[i] for i in generate(novelist, codes[:9].tolist(), 120, temperature=0.7)))

# %% [markdown]
# ## Recap
#
# A transformer moves information between positions in one place only, attention: a weighted mean whose weights are computed from the data. Masks decide the family, positions enter by waves or rotations, residual sums keep depth alive, norms keep sizes in range. The architecture of 2017 and the one of today differ in a handful of lines, all of which you have written; and they are the real ones, since published weights give the published logits in your classes.
#
# **What breaks at scale.** The score matrix grows with the square of the text: kernels such as FlashAttention never store it (the lab on the mini-GPT). The KV cache outgrows the weights: shared keys, paging and quantisation shrink it. Positions beyond those of training confuse RoPE. Float32 becomes BF16, where norms and softmax are still computed in float32. And beams, copied for every request, give way to sampling.
#
# **Read on.** Vaswani et al. 2017, *Attention Is All You Need* (sections 3.1 to 3.5). Su et al. 2021, *RoFormer* (section 3.2). Zhang and Sennrich 2019, *Root Mean Square Layer Normalization*. Shazeer 2020, *GLU Variants Improve Transformer*. Xiong et al. 2020, *On Layer Normalization in the Transformer Architecture*. Dong et al. 2021, *Attention Is Not All You Need*. Ainslie et al. 2023, *GQA*. Touvron et al. 2023, *LLaMA* (section 2.2) and *Llama 2* (section 2.2). Holtzman et al. 2020, *The Curious Case of Neural Text Degeneration* (section 3.1). Olsson et al. 2022, *In-context Learning and Induction Heads*. Ben Allal et al. 2025, *SmolLM2*.
#
# **Stretch goals.** (1) Pig Latin with a decoder alone: source and target in one row, once with `causal_mask`, once with `prefix_mask`. Which learns faster? (2) Give `beam_search` a cache: its rows must be reordered with the beams. (3) Turn an induction head of SmolLM2 off (zero its columns of `o_proj`) and see what becomes of repeated text. (4) Load the weights with the other pairing of RoPE and read what the model writes.
