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
# Known answers to the exercises of `transformer_from_scratch`: wrong ones that a test must catch, and other right ones. `llmlabs verify` grades them.

# %%
# the imports of the lab, for editors and linters; every answer below defines the whole solution cell anew
import math

import torch
from torch import nn
from torch.nn import functional

from llmlabs.lab.reference import transformer_from_scratch as reference


# %% exercise="transformer-attention" kind="wrong" name="no scale" fails="transformer-attention-example" says="are scores divided by the root of d = 4?"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="divides by d, not by its root" fails="transformer-attention-example" says="are scores divided by the root of d = 4?"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / q.shape[-1]
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="the root of the value's width" fails="transformer-attention-properties" says="divided by the root of q's last axis?"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(v.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="weights zeroed after the softmax" fails="transformer-attention-example" says="that weights are zeroed after the softmax"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    weights = scores.softmax(-1)
    if mask is not None:
        weights = weights * mask
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="softmax over the queries" fails="transformer-attention-example" says="is the softmax over the keys, the last axis?"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-2)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="mask ignored" fails="transformer-attention-example" says="that it sees its future"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="mask the wrong way round" fails="transformer-attention-example" says="4 that the mask is upside down"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="the scores returned as weights" fails="transformer-attention-properties" says="do rows of weights add up to 1?"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, scores


# %% exercise="transformer-attention" kind="wrong" name="q divided in place" fails="transformer-attention-properties" says="q, k or v was changed"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    q /= math.sqrt(q.shape[-1])
    scores = q @ k.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="zeros whatever comes in" fails="transformer-attention-example" says="got [[0.0], [0.0]]"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return torch.zeros(*q.shape[:-1], v.shape[-1]), weights


# %% exercise="transformer-attention" kind="wrong" name="causal mask without the shift" fails="transformer-attention-example" says="queries are positions 2 and 3"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril()


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="causal mask that hides the present" fails="transformer-attention-properties" says="sees itself and what is before"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries - 1)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="causal mask that shows the next token" fails="transformer-attention-example" says="causal_mask(2, 4)"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries + 1)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="causal mask of 0.0 and 1.0" fails="transformer-attention-properties" says="booleans; query i"
def causal_mask(queries, keys):
    return torch.ones(queries, keys).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="prefix mask without the causal part" fails="transformer-attention-properties" says="else causal"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return (torch.arange(keys) < prefix).expand(keys, keys)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="prefix one too long" fails="transformer-attention-properties" says="all see the first 2 keys"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) <= prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="prefix mask is just causal" fails="transformer-attention-properties" says="all see the first 2 keys"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril()


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="padding mask of shape (batch, keys)" fails="transformer-attention-properties" says="shape (3, 1, 1, 5)"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return torch.arange(keys) < lengths[:, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="padding mask over queries" fails="transformer-attention-properties" says="shape (3, 1, 1, 5)"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) < lengths[:, None])[:, None, :, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="padding mask one too long" fails="transformer-attention-properties" says="True for the first lengths[b] keys"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) <= lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="padding mask True where there is padding" fails="transformer-attention-properties" says="True for the first lengths[b] keys"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(keys) >= lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="wrong" name="padding mask as wide as the longest sentence" fails="transformer-attention-properties" says="shape (3, 1, 1, 5)"
def causal_mask(queries, keys):
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix, keys):
    return torch.ones(keys, keys, dtype=torch.bool).tril() | (torch.arange(keys) < prefix)


def padding_mask(lengths, keys):
    return (torch.arange(lengths.max()) < lengths[:, None])[:, None, None]


def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ v, weights


# %% exercise="transformer-attention" kind="right" name="loops that print"
def causal_mask(queries, keys):
    return torch.tensor([[key <= query + keys - queries for key in range(keys)] for query in range(queries)])


def prefix_mask(prefix, keys):
    return torch.tensor([[key <= query or key < prefix for key in range(keys)] for query in range(keys)])


def padding_mask(lengths, keys):
    return torch.tensor([[[[key < length for key in range(keys)]]] for length in lengths.tolist()])


def attention(q, k, v, mask=None):
    n_q, n_k = q.shape[-2], k.shape[-2]
    front = q.shape[:-2]
    visible = torch.ones(*front, n_q, n_k, dtype=torch.bool) if mask is None else mask.expand(*front, n_q, n_k)
    flat = zip(
        q.reshape(-1, *q.shape[-2:]),
        k.reshape(-1, *k.shape[-2:]),
        v.reshape(-1, *v.shape[-2:]),
        visible.reshape(-1, n_q, n_k),
        strict=False,
    )
    outputs, weights = [], []
    for number, (one_q, one_k, one_v, one_mask) in enumerate(flat):
        print("matrix", number)
        for i in range(n_q):
            row = torch.zeros(n_k)
            seen = one_mask[i].nonzero()[:, 0]
            row[seen] = torch.softmax(one_k[seen] @ one_q[i] / one_q.shape[-1] ** 0.5, 0)
            weights.append(row)
            outputs.append(row @ one_v)
    return torch.stack(outputs).reshape(*front, n_q, -1), torch.stack(weights).reshape(*front, n_q, n_k)


# %% exercise="transformer-attention" kind="right" name="the formula with m times e^S, and a warning"
import warnings


def causal_mask(queries, keys):
    return torch.arange(keys)[None, :] <= torch.arange(keys - queries, keys)[:, None]


def prefix_mask(prefix, keys):
    mask = ~torch.ones(keys, keys, dtype=torch.bool).triu(1)
    mask[:, :prefix] = True
    return mask


def padding_mask(lengths, keys):
    mask = torch.zeros(len(lengths), 1, 1, keys, dtype=torch.bool)
    for row, length in zip(mask, lengths, strict=False):
        row[..., :length] = True
    return mask


def attention(q, k, v, mask=None):
    warnings.warn("plain exponentials overflow for large scores")
    weights = torch.exp(torch.einsum("...id,...jd->...ij", q, k) * q.shape[-1] ** -0.5)
    if mask is not None:
        weights = weights * mask
    weights = weights / weights.sum(-1, keepdim=True)
    return torch.einsum("...ij,...jd->...id", weights, v), weights


# %% exercise="transformer-attention" kind="right" name="minus 1e9 added, PyTorch's own attention for the output"
def causal_mask(queries, keys):
    return torch.ones(keys, keys).tril()[-queries:] > 0


def prefix_mask(prefix, keys):
    blocks = torch.ones(keys, keys, dtype=torch.bool).tril()
    return torch.cat([torch.ones(keys, prefix, dtype=torch.bool), blocks[:, prefix:]], 1)


def padding_mask(lengths, keys):
    return torch.arange(keys).expand(len(lengths), 1, 1, keys) < lengths.reshape(-1, 1, 1, 1)


def attention(q, k, v, mask=None):
    added = torch.zeros(1) if mask is None else torch.where(mask, 0.0, -1e9)
    weights = torch.softmax(q.matmul(k.mT) / q.shape[-1] ** 0.5 + added, dim=-1)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask), weights


# %% exercise="transformer-positions" kind="wrong" name="all sines, then all cosines" fails="transformer-positions-example" says="sine and cosine in turn?"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    waves = positions[:, None] * omega
    return torch.cat([waves.sin(), waves.cos()], -1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(0, d, 2) / d)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


# %% exercise="transformer-positions" kind="wrong" name="sinusoids with i / d for 2i / d" fails="transformer-positions-example" says="rates 1 and 1/100?"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(dim // 2) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(0, d, 2) / d)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


# %% exercise="transformer-positions" kind="wrong" name="sinusoids that become faster" fails="transformer-positions-example" says="rates 1 and 1/100?"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (torch.arange(0, dim, 2) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(0, d, 2) / d)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


# %% exercise="transformer-positions" kind="wrong" name="sinusoids of 0, 1, ..., not of the positions" fails="transformer-positions-example" says="of the position given?"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    waves = torch.arange(len(positions))[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(0, d, 2) / d)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


# %% exercise="transformer-positions" kind="wrong" name="sinusoids as float64" fails="transformer-positions-properties" says="torch.float64 != torch.float32"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(0, d, 2) / d)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


# %% exercise="transformer-positions" kind="wrong" name="neighbours as pairs, as in the paper" fails="transformer-positions-example" says="are entries i and i + d/2 a pair?"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(0, d, 2) / d)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)


# %% exercise="transformer-positions" kind="wrong" name="turned the other way" fails="transformer-positions-example" says="signs of the sines?"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(0, d, 2) / d)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([a * cos + b * sin, b * cos - a * sin], -1)


# %% exercise="transformer-positions" kind="wrong" name="both with a minus" fails="transformer-positions-properties" says="-sin above, +sin below?"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(0, d, 2) / d)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([a * cos - b * sin, b * cos - a * sin], -1)


# %% exercise="transformer-positions" kind="wrong" name="theta ignored" fails="transformer-positions-properties" says="theta, not always 10,000?"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = positions[:, None] * 10_000.0 ** (-torch.arange(0, d, 2) / d)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


# %% exercise="transformer-positions" kind="wrong" name="rotated by 0, 1, ..., not by the positions" fails="transformer-positions-properties" says="of each position given?"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = torch.arange(len(positions))[:, None] * theta ** (-torch.arange(0, d, 2) / d)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


# %% exercise="transformer-positions" kind="wrong" name="frequencies of d / 2" fails="transformer-positions-example" says="rates 1 and 1/100?"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(0, d, 2) / (d // 2))
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


# %% exercise="transformer-positions" kind="wrong" name="frequencies with i / d" fails="transformer-positions-properties" says="angle p theta^(-2i/d)"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(d // 2) / d)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


# %% exercise="transformer-positions" kind="wrong" name="x turned in place" fails="transformer-positions-properties" says="rotate changed x"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(0, d, 2) / d)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : d // 2], x[..., d // 2 :]
    x[..., : d // 2], x[..., d // 2 :] = a * cos - b * sin, b * cos + a * sin
    return x


# %% exercise="transformer-positions" kind="wrong" name="first half overwritten before the second reads it" fails="transformer-positions-example" says="(1, 2, 0, 0) at position"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    angles = positions[:, None] * theta ** (-torch.arange(0, d, 2) / d)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : d // 2], x[..., d // 2 :]
    a = a * cos - b * sin
    b = b * cos + a * sin
    return torch.cat([a, b], -1)


# %% exercise="transformer-positions" kind="wrong" name="not rotated at all" fails="transformer-positions-example" says="got tensor([[1., 2., 0., 0.]])"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    return x.clone()


# %% exercise="transformer-positions" kind="wrong" name="the sinusoids added instead" fails="transformer-positions-example" says="(1, 2, 0, 0) at position"
def sinusoidal(positions, dim):
    omega = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    waves = positions[:, None] * omega
    return torch.stack([waves.sin(), waves.cos()], -1).flatten(1)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    return x + sinusoidal(positions, d)


# %% exercise="transformer-positions" kind="right" name="complex numbers, with a progress bar"
from tqdm import tqdm


def sinusoidal(positions, dim):
    rows = []
    for position in tqdm(positions.tolist()):
        row = []
        for i in range(dim // 2):
            angle = position * 10_000 ** (-2 * i / dim)
            row += [math.sin(angle), math.cos(angle)]
        rows.append(row)
    return torch.tensor(rows)


def rotate(x, positions, theta=10_000.0):
    d = x.shape[-1]
    omega = theta ** (-2 * torch.arange(d // 2, dtype=torch.float64) / d)
    angles = torch.outer(positions.double(), omega)
    turned = torch.complex(*x.chunk(2, -1)) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag], -1).float()


# %% exercise="transformer-positions" kind="right" name="x cos + rotate_half(x) sin, exponentials of logarithms"
def sinusoidal(positions, dim):
    result = torch.zeros(len(positions), dim)
    step = torch.exp(-math.log(10_000.0) * torch.arange(0, dim, 2).float() / dim)
    result[:, 0::2] = torch.sin(positions.float().unsqueeze(1) * step)
    result[:, 1::2] = torch.cos(positions.float().unsqueeze(1) * step)
    return result


def rotate(x, positions, theta=10_000.0):
    inverse = 1.0 / theta ** (torch.arange(0, x.shape[-1], 2).float() / x.shape[-1])
    angles = torch.cat([torch.outer(positions.float(), inverse)] * 2, -1)
    first, second = x.chunk(2, -1)
    return x * angles.cos() + torch.cat([-second, first], -1) * angles.sin()


# %% exercise="transformer-positions" kind="right" name="a loop over planes that warns and prints"
import warnings


def sinusoidal(positions, dim):
    warnings.warn("slow")
    columns = []
    for i in range(dim // 2):
        angle = positions / 10_000 ** (2 * i / dim)
        columns += [torch.sin(angle), torch.cos(angle)]
    return torch.stack(columns, 1)


def rotate(x, positions, theta=10_000.0):
    y, half = torch.empty_like(x), x.shape[-1] // 2
    for i in range(half):
        print("plane", i)
        angle = positions * theta ** (-i / half)
        y[..., i] = x[..., i] * angle.cos() - x[..., i + half] * angle.sin()
        y[..., i + half] = x[..., i] * angle.sin() + x[..., i + half] * angle.cos()
    return y


# %% exercise="transformer-heads" kind="wrong" name="heads cut by reshape, positions mixed in" fails="transformer-heads-properties" says="positions not mixed in?"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).reshape(len(x), -1, x.shape[1], self.head_dim)
        k = self.k_proj(source).reshape(len(x), -1, source.shape[1], self.head_dim)
        v = self.v_proj(source).reshape(len(x), -1, source.shape[1], self.head_dim)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="heads interleaved: entry j, j + h, ..." fails="transformer-heads-properties" says="head j from entries jd to jd + d - 1"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (self.head_dim, -1)).permute(0, 3, 1, 2)
        k = self.k_proj(source).unflatten(-1, (self.head_dim, -1)).permute(0, 3, 1, 2)
        v = self.v_proj(source).unflatten(-1, (self.head_dim, -1)).permute(0, 3, 1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="heads merged without transposing back" fails="transformer-heads-properties" says="merged in order?"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.reshape(x.shape))


# %% exercise="transformer-heads" kind="wrong" name="scores over the root of the full width" fails="transformer-heads-example" says="the root of its own width?"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q * (self.head_dim / x.shape[-1]) ** 0.5, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="keys dealt out in turn with repeat" fails="transformer-heads-properties" says="neighbours share keys and values?"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat(1, self.groups, 1, 1), v.repeat(1, self.groups, 1, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="values rotated too" fails="transformer-heads-properties" says="and v not?"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k, v = (reference.rotate(y, positions, theta) for y in (q, k, v))
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="keys not rotated" fails="transformer-heads-properties" says="q and k rotated by theta"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q = reference.rotate(q, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="rotated before the heads are cut" fails="transformer-heads-properties" says="head by head"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = (
            (self.q_proj(x) if theta is None else reference.rotate(self.q_proj(x), torch.arange(x.shape[1]), theta))
            .unflatten(-1, (-1, self.head_dim))
            .transpose(1, 2)
        )
        k = (
            (
                self.k_proj(source)
                if theta is None
                else reference.rotate(self.k_proj(source), torch.arange(x.shape[1]), theta)
            )
            .unflatten(-1, (-1, self.head_dim))
            .transpose(1, 2)
        )
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="theta's value ignored" fails="transformer-heads-properties" says="q and k rotated by theta"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions), reference.rotate(k, positions)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="positions begin at 0 in every call" fails="transformer-heads-properties" says="positions from 1 on?"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        if theta is not None:
            positions = torch.arange(x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="keys cached before the rotation" fails="transformer-heads-properties" says="keys rotated"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        if theta is not None:
            q = reference.rotate(q, torch.arange(past, past + x.shape[1]), theta)
            k = reference.rotate(k, torch.arange(k.shape[2]), theta)
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="old keys rotated again in each call" fails="transformer-heads-properties" says="theta 300.0, causal, tokens 2 to 2, cache"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if theta is not None:
            q = reference.rotate(q, torch.arange(past, past + x.shape[1]), theta)
            k = reference.rotate(k, torch.arange(k.shape[2]), theta)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="cached after the repetition for the groups" fails="transformer-heads-properties" says="heads not repeated?"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="new keys in front of the old" fails="transformer-heads-properties" says="in order"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([k, cache["k"]], 2), torch.cat([v, cache["v"]], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="an empty cache never filled" fails="transformer-heads-properties" says="put into the dict given?"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="a new dict in place of the cache" fails="transformer-heads-properties" says="put into the dict given?"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache = {"k": k, "v": v}
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="only the newest keys kept" fails="transformer-heads-properties" says="the cache after 2 tokens"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        new = {"k": k, "v": v}
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache.update(new)
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="memory ignored" fails="transformer-heads-properties" says="q from x, k and v from the memory?"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="mask ignored" fails="transformer-heads-properties" says="the mask handed on?"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v)
        self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="no output projection" fails="transformer-heads-properties" says="o_proj last?"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach()
        return out.transpose(1, 2).flatten(2)


# %% exercise="transformer-heads" kind="wrong" name="weights averaged over the heads" fails="transformer-heads-properties" says="a map for each head"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights.detach().mean(1)
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="weights not detached" fails="transformer-heads-properties" says="self.weights is not detached"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        self.weights = weights
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="wrong" name="weights kept only without a cache" fails="transformer-heads-properties" says="self.weights of this call, cache"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        k = self.k_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        v = self.v_proj(source).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = reference.rotate(q, positions, theta), reference.rotate(k, positions, theta)
        if cache:
            k, v = torch.cat([cache["k"], k], 2), torch.cat([cache["v"], v], 2)
        if cache is not None:
            cache["k"], cache["v"] = k, v
        k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        out, weights = reference.attention(q, k, v, mask)
        if cache is None:
            self.weights = weights.detach()
        return self.o_proj(out.transpose(1, 2).flatten(2))


# %% exercise="transformer-heads" kind="right" name="one head at a time, printing"
class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        source = x if memory is None else memory
        q, k, v = self.q_proj(x), self.k_proj(source), self.v_proj(source)
        d, heads = self.head_dim, q.shape[-1] // self.head_dim
        past = cache["k"].shape[2] if cache else 0
        positions = torch.arange(past, past + x.shape[1])

        def cut(y, j):
            return y[..., j * d : (j + 1) * d]

        keys, values = [], []
        for g in range(heads // self.groups):
            key = cut(k, g) if theta is None else reference.rotate(cut(k, g), positions, theta)
            value = cut(v, g)
            if cache:
                key, value = torch.cat([cache["k"][:, g], key], 1), torch.cat([cache["v"][:, g], value], 1)
            keys.append(key)
            values.append(value)
        if cache is not None:
            cache.update(k=torch.stack(keys, 1), v=torch.stack(values, 1))
        full = None if mask is None else mask.expand(len(x), heads, x.shape[1], keys[0].shape[1])
        outs, weights = [], []
        for j in range(heads):
            print("head", j)
            query = cut(q, j) if theta is None else reference.rotate(cut(q, j), positions, theta)
            group = j // self.groups
            out, weight = reference.attention(query, keys[group], values[group], None if full is None else full[:, j])
            outs.append(out)
            weights.append(weight)
        self.weights = torch.stack(weights, 1).detach()
        return self.o_proj(torch.cat(outs, -1))


# %% exercise="transformer-heads" kind="right" name="einsum, groups by reshaping the queries, own softmax, a warning"
import warnings


class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads=None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x, memory=None, mask=None, theta=None, cache=None):
        warnings.warn("my own attention")
        source = memory if memory is not None else x
        (b, n, dim), m, d, g = x.shape, source.shape[1], self.head_dim, self.groups
        kv = dim // d // g
        q = self.q_proj(x).view(b, n, kv, g, d)
        k, v = self.k_proj(source).view(b, m, kv, d), self.v_proj(source).view(b, m, kv, d)
        old = cache or None
        start = old["k"].size(2) if old else 0
        if theta:
            at = start + torch.arange(n)
            q = reference.rotate(q.permute(0, 2, 3, 1, 4), at, theta).permute(0, 3, 1, 2, 4)
            k = reference.rotate(k.transpose(1, 2), at, theta).transpose(1, 2)
        if old:
            k = torch.cat([old["k"].transpose(1, 2), k], 1)
            v = torch.cat([old["v"].transpose(1, 2), v], 1)
        if cache is not None:
            cache["k"], cache["v"] = k.transpose(1, 2), v.transpose(1, 2)
        scores = torch.einsum("bnkgd,bmkd->bkgnm", q, k).flatten(1, 2) / d**0.5
        if mask is not None:
            scores = torch.where(mask, scores, torch.tensor(-1e30))
        weights = scores.softmax(-1)
        self.weights = weights.detach().clone()
        out = torch.einsum("bkgnm,bmkd->bnkgd", weights.unflatten(1, (kv, g)), v)
        return self.o_proj(out.reshape(b, n, dim))


# %% exercise="transformer-norms" kind="wrong" name="variance divided by D - 1" fails="transformer-norms-example" says="both means divide by D"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = x.var(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="layer norm without the mean" fails="transformer-norms-example" says="only LayerNorm subtracts one"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return x / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="layer norm with eps beside the root" fails="transformer-norms-properties" says="self.eps added under the root?"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / (variance.sqrt() + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="layer norm with a fixed eps" fails="transformer-norms-properties" says="self.eps added under the root?"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + 1e-5) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="layer norm without its weight" fails="transformer-norms-properties" says="times weight, plus bias?"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="layer norm without its bias" fails="transformer-norms-properties" says="times weight, plus bias?"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="layer norm over the batch" fails="transformer-norms-properties" says="each vector by itself"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(0, keepdim=True)
        variance = (x - mean).square().mean(0, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="layer norm over the whole tensor" fails="transformer-norms-properties" says="over the last axis?"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean()
        variance = (x - mean).square().mean()
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="layer norm changes x in place" fails="transformer-norms-properties" says="LayerNorm changed x"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        x -= mean
        return x / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="RMS norm with the mean subtracted" fails="transformer-norms-example" says="only LayerNorm subtracts one"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        x = x - x.mean(-1, keepdim=True)
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="RMS norm with the sum of squares" fails="transformer-norms-example" says="both means divide by D"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().sum(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="RMS norm with eps beside the root" fails="transformer-norms-properties" says="self.eps added under the root?"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * (1 / (square.sqrt() + self.eps)) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="RMS norm with a fixed eps" fails="transformer-norms-properties" says="self.eps added under the root?"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + 1e-5) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="RMS norm without its weight" fails="transformer-norms-properties" says="times weight?"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps)


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="RMS norm over the whole tensor" fails="transformer-norms-properties" says="RMSNorm, x of shape (2, 3, 5)"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean()
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="RMS norm changes x in place" fails="transformer-norms-properties" says="RMSNorm changed x"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        x *= torch.rsqrt(square + self.eps)
        return x * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="gate and up exchanged" fails="transformer-norms-properties" says="silu of the gate only"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(self.gate_proj(x) * functional.silu(self.up_proj(x)))


# %% exercise="transformer-norms" kind="wrong" name="sigmoid for silu (GLU)" fails="transformer-norms-example" says="silu(z) is z sigmoid(z)"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(self.gate_proj(x).sigmoid() * self.up_proj(x))


# %% exercise="transformer-norms" kind="wrong" name="the up projection left out" fails="transformer-norms-properties" says="times up"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        square = x.square().mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)))


# %% exercise="transformer-norms" kind="wrong" name="norms that return zeros" fails="transformer-norms-example" says="got tensor([[0.0000, 0.0000]"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        return torch.zeros_like(x)


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        return torch.zeros_like(x)


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


# %% exercise="transformer-norms" kind="right" name="PyTorch's functions, printing"
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        print("layer norm of", tuple(x.shape))
        return functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        return functional.rms_norm(x, x.shape[-1:], self.weight, self.eps)


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        gate = x @ self.gate_proj.weight.T
        return self.down_proj(gate / (1 + torch.exp(-gate)) * (x @ self.up_proj.weight.T))


# %% exercise="transformer-norms" kind="right" name="vector by vector with a progress bar"
from tqdm import tqdm


class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        rows = []
        for row in tqdm(x.reshape(-1, x.shape[-1])):
            centred = row - sum(row) / len(row)
            rows.append(centred / (centred @ centred / len(row) + self.eps) ** 0.5 * self.weight + self.bias)
        return torch.stack(rows).reshape(x.shape)


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True) ** 2 / x.shape[-1]
        return self.weight * (x / (size + self.eps).sqrt())


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        gate = self.gate_proj(x)
        return functional.linear(gate * gate.sigmoid() * self.up_proj(x), self.down_proj.weight)


# %% exercise="transformer-norms" kind="right" name="var and std of torch with correction 0, a warning"
import warnings


class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        warnings.warn("torch.var divides by D - 1 unless told otherwise")
        variance, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
        return torch.addcmul(self.bias, (x - mean) * (variance + self.eps).rsqrt(), self.weight)


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        return (
            torch.stack([row / (row.pow(2).mean() + self.eps).sqrt() for row in x.reshape(-1, x.shape[-1])]).view_as(x)
            * self.weight
        )


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        h = self.up_proj(x)
        h = h * nn.SiLU()(self.gate_proj(x))
        return self.down_proj(h)


# %% exercise="transformer-seq2seq" kind="wrong" name="pre- and post-norm exchanged" fails="transformer-seq2seq-example" says="what is normed"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if not self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="pre_norm ignored, always post" fails="transformer-seq2seq-example" says="pre_norm=True: "
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="pre-norm that adds to the normed x" fails="transformer-seq2seq-example" says="what is added to what?"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            x = norm(x)
            return x + self.dropout(sublayer(x))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="post-norm of the sublayer only" fails="transformer-seq2seq-example" says="what is normed"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return x + norm(self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="no residual connection" fails="transformer-seq2seq-example" says="what is added to what?"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return self.dropout(sublayer(norm(x)))
        return norm(self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="dropout of the sum" fails="transformer-seq2seq-properties" says="is dropped, before the sum"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return self.dropout(x + sublayer(norm(x)))
        return norm(self.dropout(x + sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="dropout of the sublayer's input" fails="transformer-seq2seq-properties" says="the sublayer's result is dropped"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + sublayer(self.dropout(norm(x)))
        return norm(x + sublayer(self.dropout(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="dropout forgotten" fails="transformer-seq2seq-properties" says="training=True"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + sublayer(norm(x))
        return norm(x + sublayer(x))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="dropout in evaluation too" fails="transformer-seq2seq-properties" says="in training only"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + functional.dropout(sublayer(norm(x)), self.dropout.p)
        return norm(x + functional.dropout(sublayer(x), self.dropout.p))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="x changed by +=" fails="transformer-seq2seq-properties" says="x, all ones, is now"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            x += self.dropout(sublayer(norm(x)))
            return x
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="feed-forward without relu" fails="transformer-seq2seq-properties" says="linear2 of relu of linear1"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y)), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="norms of cross-attention and feed-forward exchanged" fails="transformer-seq2seq-properties" says="each with its own norm, in order?"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm3)
        last = self.norm2
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="cross-attention to itself" fails="transformer-seq2seq-example" says="memory asked?"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="cross-attention before self-attention" fails="transformer-seq2seq-properties" says="self-attention with mask, cross-attention from x to memory"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="embedding not scaled" fails="transformer-seq2seq-properties" says="the embedding times the root of dim?"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="sum of embedding and position scaled" fails="transformer-seq2seq-properties" says="which are not scaled?"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return (self.embed(ids) + reference.sinusoidal(places, self.dim)) * self.dim**0.5

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="no positions" fails="transformer-seq2seq-properties" says="plus the sinusoids of 0, 1, ..."
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        return self.embed(ids) * self.dim**0.5

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="padding not masked in the encoder" fails="transformer-seq2seq-example" says="padding changed the memory"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        for block in self.encoder["layers"]:
            x = block(x)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="causal encoder" fails="transformer-seq2seq-properties" says="each with the padding mask and no other?"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1]) & reference.causal_mask(
            source.shape[1], source.shape[1]
        )
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="no causal mask in the decoder" fails="transformer-seq2seq-example" says="the causal mask?"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, None, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="padding of the memory not masked" fails="transformer-seq2seq-properties" says="a padding mask for the memory?"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="no norm after the decoder" fails="transformer-seq2seq-properties" says="then the decoder's norm"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"]:
            x = block(x, mask, memory, memory_mask)
        return x @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="wrong" name="the first block only" fails="transformer-seq2seq-properties" says="all blocks"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        last = self.norm2 if self.norm3 is None else self.norm3
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), last)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        places = torch.arange(ids.shape[1])
        return self.embed(ids) * self.dim**0.5 + reference.sinusoidal(places, self.dim)

    def encode(self, source, lengths):
        x = self.positioned(source)
        mask = reference.padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"][:1]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        mask = reference.causal_mask(target.shape[1], target.shape[1])
        memory_mask = reference.padding_mask(lengths, memory.shape[1])
        for block in self.decoder["layers"][:1]:
            x = block(x, mask, memory, memory_mask)
        return self.decoder["norm"](x) @ self.embed.weight.T


# %% exercise="transformer-seq2seq" kind="right" name="written out, without residual, printing"
class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        out = sublayer(norm(x) if self.pre_norm else x)
        total = torch.add(x, self.dropout(out))
        return total if self.pre_norm else norm(total)

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        def feed_forward(y):
            return functional.linear(functional.relu(self.linear1(y)), self.linear2.weight)

        def ask_memory(y):
            return self.multihead_attn(y, memory=memory, mask=memory_mask)

        steps = [lambda y: self.self_attn(y, None, mask), ask_memory, feed_forward]
        if self.norm3 is None:
            del steps[1]
        for step, norm in zip(steps, (self.norm1, self.norm2, self.norm3), strict=False):
            print("sublayer on", tuple(x.shape))
            x = self.residual(x, step, norm)
        return x


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        vectors = functional.embedding(ids, self.embed.weight).mul(math.sqrt(self.dim))
        return vectors + reference.sinusoidal(torch.arange(ids.size(1)), self.dim).unsqueeze(0)

    def encode(self, source, lengths):
        x = self.positioned(source)
        for block in self.encoder["layers"]:
            x = block(x, mask=reference.padding_mask(lengths, source.size(1)).expand(-1, 1, source.size(1), -1))
        return self.encoder["norm"](x)

    def decode(self, target, memory, lengths):
        x = self.positioned(target)
        steps = target.size(1)
        for block in self.decoder["layers"]:
            x = block(x, reference.causal_mask(steps, steps), memory, reference.padding_mask(lengths, memory.size(1)))
        return functional.linear(self.decoder["norm"](x), self.embed.weight)


# %% exercise="transformer-seq2seq" kind="right" name="each sentence alone without its padding, with a progress bar"
import warnings

from tqdm import tqdm


class Block(nn.Module):
    def __init__(self, dim, heads, cross=False, pre_norm=True, dropout=0.0):
        super().__init__()
        self.self_attn = reference.Attention(dim, heads)
        self.multihead_attn = reference.Attention(dim, heads) if cross else None
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (reference.LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x, sublayer, norm):
        return x + self.dropout(sublayer(norm(x))) if self.pre_norm else norm(self.dropout(sublayer(x)) + x)

    def forward(self, x, mask=None, memory=None, memory_mask=None):
        x = self.residual(x, lambda y: self.self_attn(y, mask=mask), self.norm1)
        if memory is None:
            return self.residual(x, lambda y: self.linear2(torch.clamp(self.linear1(y), min=0)), self.norm2)
        x = self.residual(x, lambda y: self.multihead_attn(y, memory, memory_mask), self.norm2)
        return self.residual(x, lambda y: self.linear2(torch.clamp(self.linear1(y), min=0)), self.norm3)


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim, heads, layers, pre_norm=True, dropout=0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": reference.LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids):
        x = self.dim**0.5 * self.embed.weight[ids]
        for place in range(ids.shape[1]):
            x[:, place] += reference.sinusoidal(torch.tensor([place]), self.dim)[0]
        return x

    def encode(self, source, lengths):
        memories = []
        for row, length in zip(tqdm(source), lengths.tolist(), strict=False):
            x = self.positioned(row[None, :length])
            for block in self.encoder["layers"]:
                x = block(x)
            memories.append(functional.pad(self.encoder["norm"](x)[0], (0, 0, 0, len(row) - length)))
        return torch.stack(memories)

    def decode(self, target, memory, lengths):
        logits = []
        for row, found, length in zip(target, memory, lengths.tolist(), strict=False):
            x = self.positioned(row[None])
            for block in self.decoder["layers"]:
                x = block(x, reference.causal_mask(len(row), len(row)), found[None, :length])
            logits.append(self.decoder["norm"](x)[0] @ self.embed.weight.T)
        warnings.warn("slow")
        return torch.stack(logits)


# %% exercise="transformer-llama" kind="wrong" name="no rotary positions" fails="transformer-llama-properties" says="mask and theta handed on?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, cache=cache)
        return h + self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="a fixed theta of 10,000" fails="transformer-llama-properties" says="mask and theta handed on?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=10_000.0, cache=cache)
        return h + self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="the two norms exchanged" fails="transformer-llama-properties" says="input_layernorm, then post_attention_layernorm?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.post_attention_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return h + self.mlp(self.input_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="no norm before the feed-forward layer" fails="transformer-llama-properties" says="input_layernorm, then post_attention_layernorm?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return h + self.mlp(h)


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="post-norm blocks" fails="transformer-llama-properties" says="input_layernorm, then post_attention_layernorm?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = self.input_layernorm(x + self.self_attn(x, mask=mask, theta=self.theta, cache=cache))
        return self.post_attention_layernorm(h + self.mlp(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="the second sum starts from x" fails="transformer-llama-properties" says="both sums, each to what came in?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return x + self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="attention and feed-forward side by side" fails="transformer-llama-properties" says="both sums, each to what came in?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return h + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="x changed by +=" fails="transformer-llama-properties" says="LlamaBlock changed x"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        x += self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        x += self.mlp(self.post_attention_layernorm(x))
        return x


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="no residual around the feed-forward layer" fails="transformer-llama-properties" says="both sums, each to what came in?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="no causal mask" fails="transformer-llama-properties" says="the causal mask to all blocks"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return h + self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, None, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="the block drops its cache" fails="transformer-llama-properties" says="and on to attention?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta)
        return h + self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="the first rows of the mask" fails="transformer-llama-properties" says="with 5 keys from the past?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return h + self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(past + ids.shape[1], past + ids.shape[1])[: ids.shape[1]]
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="no mask when there are caches" fails="transformer-llama-properties" says="a mask of 9 by 9"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return h + self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask if caches is None else None, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="caches ignored" fails="transformer-llama-properties" says="to each block its own cache"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return h + self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, reference.causal_mask(ids.shape[1], ids.shape[1]))
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="embedding times the root of D" fails="transformer-llama-properties" says="the embedding as it is?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return h + self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids) * self.embed_tokens.weight.shape[1] ** 0.5
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="sinusoids added" fails="transformer-llama-example" says="nothing added to the embedding?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return h + self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids) + reference.sinusoidal(
            torch.arange(past, past + ids.shape[1]), self.embed_tokens.weight.shape[1]
        )
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="no last norm" fails="transformer-llama-example" says="the last norm?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return h + self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return x @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="wrong" name="vectors returned for logits" fails="transformer-llama-example" says="tied weights?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return h + self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x)


# %% exercise="transformer-llama" kind="wrong" name="the last position only" fails="transformer-llama-example" says="at both positions?"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        h = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return h + self.mlp(self.post_attention_layernorm(h))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        past = caches[0]["k"].shape[2] if caches and caches[0] else 0
        mask = reference.causal_mask(ids.shape[1], past + ids.shape[1])
        x = self.embed_tokens(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=False):
            x = layer(x, mask, cache)
        return self.norm(x[:, -1:]) @ self.embed_tokens.weight.T


# %% exercise="transformer-llama" kind="right" name="without caches token by token with its own, printing"
class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        asked = self.input_layernorm(x)
        x = self.self_attn(asked, None, mask, self.theta, cache) + x
        return self.mlp(self.post_attention_layernorm(x)) + x


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        if caches is None:
            caches = [{} for _ in self.layers]
        logits = []
        for token in ids.split(1, 1):
            x = self.embed_tokens.weight[token]
            for number, layer in enumerate(self.layers):
                print("block", number)
                x = layer(x, None, caches[number])
            logits.append(functional.linear(self.norm(x), self.embed_tokens.weight))
        return torch.cat(logits, 1)


# %% exercise="transformer-llama" kind="right" name="its own mask, with a progress bar"
import warnings

from tqdm import tqdm


class LlamaBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = reference.Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = reference.SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (reference.RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x, mask=None, cache=None):
        total = x.clone()
        total += self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return total + self.mlp(self.post_attention_layernorm(total))


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = reference.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids, caches=None):
        (batch, new), old = ids.shape, 0
        if caches is not None and len(caches) and "k" in caches[0]:
            old = caches[0]["k"].size(-2)
        here = torch.arange(old, old + new)
        mask = (torch.arange(old + new) <= here[:, None]).expand(batch, 1, new, old + new)
        x = self.embed_tokens(ids)
        for i, layer in enumerate(tqdm(self.layers)):
            x = layer(x, mask=mask, cache=None if caches is None else caches[i])
        warnings.warn("done")
        return torch.einsum("bnd,vd->bnv", self.norm(x), self.embed_tokens.weight)


# %% exercise="transformer-generation" kind="wrong" name="nucleus drops the token that crosses p" fails="transformer-generation-example" says="the one that reaches p, too?"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where((chances.cumsum(-1) <= top_p) | (chances == chances[0]), chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="not renormalised" fails="transformer-generation-example" says="adding up to 1?"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances)


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="left in sorted order" fails="transformer-generation-example" says="at their places"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, _ = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return chances / chances.sum()


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="temperature multiplied" fails="transformer-generation-properties" says="logits divided by the temperature"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits * temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="temperature after top-p" fails="transformer-generation-properties" says="before all else?"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    chances = chances ** (1 / temperature)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="top-p before top-k" fails="transformer-generation-properties" says="of the softmax of what is left?"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    if top_k is not None:
        chances = torch.where(torch.arange(len(chances)) < top_k, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="top-k ignored" fails="transformer-generation-example" says="the largest two kept"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if False:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="top-p ignored" fails="transformer-generation-example" says="{'top_p': 0.7}"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if False:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="top-k keeps k + 1" fails="transformer-generation-example" says="the largest two kept"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k + 1).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="logits divided in place" fails="transformer-generation-properties" says="the logits were changed"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits /= temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="greedy, beams ignored" fails="transformer-generation-example" says="how many survive?"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:1]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="each beam keeps its own best" fails="transformer-generation-properties" says="even two of one beam"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.topk(min(beams, vocab) if len(going) == 1 else 1)
        new = [
            (total, [*tokens, i])
            for (_, tokens), many, which in zip(going, best.values.tolist(), best.indices.tolist(), strict=False)
            for total, i in zip(many, which, strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="logits added without log-softmax" fails="transformer-generation-properties" says="the logs of log_softmax added"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="only the last step's probability counts" fails="transformer-generation-example" says="do the logs of both steps add up?"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="beams cut to the size of the vocabulary" fails="transformer-generation-properties" says="even more than there are tokens?"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, vocab))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="ended beginnings forgotten" fails="transformer-generation-properties" says="do ended texts stay as they are, and compete?"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="ended beginnings go on" fails="transformer-generation-properties" says="do ended texts stay as they are"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        going = alive
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="stops at the first that ends" fails="transformer-generation-properties" says="when all have ended?"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
        if end is not None and any(tokens[-1] == end for _, tokens in alive):
            break
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="ended beginnings set aside, their places filled" fails="transformer-generation-properties" says="and compete?"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive, done = [(0.0, [])], []
    for _ in range(steps):
        done += [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(new, reverse=True)[:beams]
    total, tokens = max(alive + done)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="ended beginnings keep their places for ever" fails="transformer-generation-properties" says="and compete?"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = ended + sorted(new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="end token cut off" fails="transformer-generation-properties" says="do ended texts stay as they are"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens[:-1] if tokens[-1:] == [end] else tokens, total


# %% exercise="transformer-generation" kind="wrong" name="one step too many" fails="transformer-generation-example" says="2 steps"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps + 1):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="the model sees the last token only" fails="transformer-generation-example" says="do the logs of both steps add up?"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([(prompt + tokens)[-1:] for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    return tokens, total


# %% exercise="transformer-generation" kind="wrong" name="prompt extended in place" fails="transformer-generation-properties" says="the prompt was changed"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if not going:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    prompt += tokens
    return tokens, total


# %% exercise="transformer-generation" kind="right" name="loops and a heap, printing"
import heapq


def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    order = sorted(range(len(logits)), key=lambda i: -logits[i].item())
    kept = order[: top_k or len(order)]
    size = [math.exp((logits[i] - logits[kept[0]]).item() / temperature) for i in kept]
    total, nucleus, reached = sum(size), [], 0.0
    for i, part in zip(kept, size, strict=False):
        nucleus.append((i, part))
        reached += part / total
        if reached >= top_p and top_p < 1:
            break
    result = torch.zeros(len(logits))
    for i, part in nucleus:
        print("kept", i)
        result[i] = part / sum(part for _, part in nucleus)
    return result


def beam_search(next_logits, prompt, beams, steps, end=None):
    best = [(0.0, ())]
    for step in range(steps):
        if end is not None and all(end in tokens for _, tokens in best):
            break
        pool = []
        for total, tokens in best:
            if end is not None and end in tokens:
                pool.append((total, tokens))
                continue
            log_p = torch.log_softmax(next_logits(torch.tensor([[*prompt, *tokens]]))[0].double(), 0)
            pool += [(total + p, (*tokens, token)) for token, p in enumerate(log_p.tolist())]
        best = heapq.nlargest(beams, pool)
        print("round", step, best[0])
    return list(best[0][1]), best[0][0]


# %% exercise="transformer-generation" kind="right" name="tensors only, ended rows kept by their own column, with a progress bar"
import warnings

from tqdm import tqdm


def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    scaled = logits.double() / temperature
    if top_k is not None:
        rank = (scaled[None] > scaled[:, None]).sum(1)
        scaled = torch.where(rank < top_k, scaled, -torch.inf)
    chances = torch.softmax(scaled, 0)
    if top_p < 1:
        above = torch.where(chances[None] > chances[:, None], chances[None], 0).sum(1)
        chances = chances * (above < top_p)
    return (chances / chances.sum()).float()


def beam_search(next_logits, prompt, beams, steps, end=None):
    warnings.warn("no length penalty")
    texts, totals = torch.tensor([prompt]), torch.zeros(1)
    done, lengths = torch.zeros(1, dtype=torch.bool), torch.zeros(1, dtype=torch.int64)
    for _ in tqdm(range(steps)):
        if done.all():
            break
        open_logits = next_logits(texts[~done])
        vocab = open_logits.shape[1]
        table = torch.full((len(texts), vocab + 1), -torch.inf)
        table[~done, :vocab] = totals[~done, None] + open_logits - open_logits.logsumexp(1, keepdim=True)
        table[done, vocab] = totals[done]  # the column of those that stay as they are
        table = table.flatten()
        chosen = table.argsort(descending=True)[: min(beams, int(table.isfinite().sum()))]
        rows, tokens = chosen // (vocab + 1), chosen % (vocab + 1)
        totals, stays = table[chosen], tokens == vocab
        lengths = lengths[rows] + (~stays)
        texts = torch.cat([texts[rows], torch.where(stays, 0, tokens)[:, None]], 1)
        done = stays | (tokens == end if end is not None else False)
    first = int(totals.argmax())
    return texts[first, len(prompt) : len(prompt) + int(lengths[first])].tolist(), totals[first].item()


# %% exercise="transformer-generation" kind="right" name="stops as soon as the best has ended, which nothing can overtake"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    alive = [(0.0, [])]
    for _ in range(steps):
        ended = [beam for beam in alive if end is not None and beam[1][-1:] == [end]]
        going = [beam for beam in alive if end is None or beam[1][-1:] != [end]]
        if end is not None and max(alive)[1][-1:] == [end]:
            break
        logits = next_logits(torch.tensor([prompt + tokens for _, tokens in going]))
        totals = torch.tensor([total for total, _ in going])[:, None] + logits.log_softmax(-1)
        vocab = totals.shape[1]
        best = totals.flatten().topk(min(beams, totals.numel()))
        new = [
            (total, going[i // vocab][1] + [i % vocab])
            for total, i in zip(best.values.tolist(), best.indices.tolist(), strict=False)
        ]
        alive = sorted(ended + new, reverse=True)[:beams]
    total, tokens = max(alive)
    print(tokens)
    return tokens, total


# %% exercise="transformer-generation" kind="right" name="whole texts kept, the prompt cut off at the end"
def next_chances(logits, temperature=1.0, top_k=None, top_p=1.0):
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    chances, order = logits.softmax(-1).sort(descending=True)
    if top_p < 1:
        chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


def beam_search(next_logits, prompt, beams, steps, end=None):
    texts = [(0.0, list(prompt))]
    for _ in range(steps):
        ended = [(total, text) for total, text in texts if len(text) > len(prompt) and text[-1] == end]
        going = [(total, text) for total, text in texts if len(text) == len(prompt) or text[-1] != end]
        if not going:
            break
        log_p = next_logits(torch.tensor([text for _, text in going])).log_softmax(-1)
        grown = [
            (total + more, [*text, token])
            for (total, text), row in zip(going, log_p.tolist(), strict=True)
            for token, more in enumerate(row)
        ]
        texts = sorted(ended + grown, reverse=True)[:beams]
    return texts[0][1][len(prompt) :], texts[0][0]
