"""The solved exercises of 05_transformer_architecture/transformer_from_scratch.

Made from source/05_transformer_architecture/transformer_from_scratch.py by `llmlabs build`: edit that file, not this one.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional


def causal_mask(queries: int, keys: int) -> Tensor:
    """The boolean mask (queries, keys) with which no position sees a later one; the queries are the last of the keys."""
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def prefix_mask(prefix: int, keys: int) -> Tensor:
    """The boolean mask (keys, keys) with which all see the first `prefix` keys, and no others after themselves."""
    return causal_mask(keys, keys) | (torch.arange(keys) < prefix)


def padding_mask(lengths: Tensor, keys: int) -> Tensor:
    """The boolean mask (batch, 1, 1, keys): True for the first lengths[b] keys of sentence b, lengths int64 (batch,)."""
    return (torch.arange(keys) < lengths[:, None])[:, None, None]


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the output (..., n_q, d_v) and the weights (..., n_q, n_k) of scaled dot-product attention.

    Args:
        q, k, v: float32 of shapes (..., n_q, d), (..., n_k, d), (..., n_k, d_v), equal in front; not changed.
        mask: booleans that broadcast to (..., n_q, n_k), at least one True in each row; None: all are visible.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    weights = (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)
    return weights @ v, weights


def sinusoidal(positions: Tensor, dim: int) -> Tensor:
    """The sinusoidal encodings of int64 positions (n,): float32 of shape (n, dim), for even dim."""
    angles = positions[:, None] * 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


def rotate(x: Tensor, positions: Tensor, theta: float = 10_000.0) -> Tensor:
    """Turn x, float32 (..., n, d) with even d, by its int64 positions (n,), with base theta; x is not changed."""
    half = x.shape[-1] // 2
    angles = positions[:, None] * theta ** (-torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], -1)


class Attention(nn.Module):
    """Multi-head attention with shared keys and values, rotary positions and a cache; the names are Llama's."""

    def __init__(self, dim: int, heads: int, kv_heads: int | None = None):
        super().__init__()
        self.head_dim, self.groups = dim // heads, heads // (kv_heads or heads)  # query heads for one key head
        self.q_proj, self.o_proj = (nn.Linear(dim, dim, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(dim, dim // self.groups, bias=False) for _ in range(2))

    def forward(self, x: Tensor, memory=None, mask=None, theta=None, cache=None) -> Tensor:
        """Attend from x to memory, or to x itself: float32 of shape (B, n, dim), like x.

        Use attention and rotate. Keep each call's weights (B, heads, n, keys), detached, in self.weights.

        Args:
            memory: float32 of shape (B, m, dim) for cross-attention, without theta and cache; None: self-attention.
            mask: booleans that broadcast to (B, heads, n, number of keys); None: all are visible.
            theta: the base of the rotary frequencies; None: no rotation.
            cache: dict, updated in place: empty at first, after a call it holds "k" and "v" of all positions so far, (B,
                kv_heads, number of keys, head_dim), keys rotated. The positions of x follow those; None: they begin at 0.
        """
        source = x if memory is None else memory
        projected = self.q_proj(x), self.k_proj(source), self.v_proj(source)
        q, k, v = (y.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for y in projected)
        past = cache["k"].shape[2] if cache else 0
        if theta is not None:
            positions = torch.arange(past, past + x.shape[1])
            q, k = rotate(q, positions, theta), rotate(k, positions, theta)
        if cache is not None:
            k, v = (torch.cat([cache[name], y], 2) if past else y for name, y in (("k", k), ("v", v)))
            cache.update(k=k, v=v)
        k, v = (y.repeat_interleave(self.groups, 1) for y in (k, v))
        output, weights = attention(q, k, v, mask)
        self.weights = weights.detach()
        return self.o_proj(output.transpose(1, 2).flatten(2))


class LayerNorm(nn.Module):
    """Layer normalisation of float32 x (..., dim), which is not changed, over the last axis; eps as in the formula."""

    def __init__(self, dim: int, eps: float = 1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(-1, keepdim=True)
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight + self.bias


class RMSNorm(nn.Module):
    """RMS normalisation of float32 x (..., dim), which is not changed, over the last axis; eps as in the formula."""

    def __init__(self, dim: int, eps: float = 1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class SwiGLU(nn.Module):
    """The gated feed-forward layer for float32 x (..., dim), with `hidden` gates; the names are Llama's."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """A layer of the encoder, or decoder if `cross`: attention `heads`, linear2(relu(linear1)); pre- or post-norm (`pre_norm`)."""

    def __init__(self, dim: int, heads: int, cross: bool = False, pre_norm: bool = True, dropout: float = 0.0):
        super().__init__()
        self.self_attn = Attention(dim, heads)
        self.multihead_attn = Attention(dim, heads) if cross else None  # the cross-attention
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
        self.norm1, self.norm2, norm3 = (LayerNorm(dim) for _ in range(3))
        self.norm3, self.pre_norm, self.dropout = norm3 if cross else None, pre_norm, nn.Dropout(dropout)

    def residual(self, x: Tensor, sublayer: Callable[[Tensor], Tensor], norm: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply sublayer and norm, functions of one tensor, with self.dropout and a residual connection; x stays as it is."""
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))

    def forward(self, x: Tensor, mask=None, memory=None, memory_mask=None) -> Tensor:
        """Run the sublayers on x (B, n, dim), with mask; cross-attention goes to memory, with memory_mask."""
        x = self.residual(x, partial(self.self_attn, mask=mask), self.norm1)
        if self.multihead_attn is not None:
            x = self.residual(x, partial(self.multihead_attn, memory=memory, mask=memory_mask), self.norm2)
        return self.residual(x, lambda y: self.linear2(self.linear1(y).relu()), self.norm3 or self.norm2)


class EncoderDecoder(nn.Module):
    """Reads a source and predicts a target, token by token; encoder and decoder have "layers" and a final "norm"."""

    def __init__(self, vocab: int, dim: int, heads: int, layers: int, pre_norm: bool = True, dropout: float = 0.0):
        super().__init__()
        self.embed, self.dim = nn.Embedding(vocab, dim), dim
        nn.init.normal_(self.embed.weight, std=dim**-0.5)

        def stack(cross: bool):
            blocks = nn.ModuleList(Block(dim, heads, cross, pre_norm, dropout) for _ in range(layers))
            return nn.ModuleDict({"layers": blocks, "norm": LayerNorm(dim)})

        self.encoder, self.decoder = stack(cross=False), stack(cross=True)

    def positioned(self, ids: Tensor) -> Tensor:
        """Step 1: int64 ids (B, n) become float32 vectors (B, n, dim). Use sinusoidal."""
        return self.embed(ids) * math.sqrt(self.dim) + sinusoidal(torch.arange(ids.shape[1]), self.dim)

    def encode(self, source: Tensor, lengths: Tensor) -> Tensor:
        """Steps 1, 2: the memory (B, n, dim). Use self.encoder["layers"], self.encoder["norm"], padding_mask.

        source is int64 (B, n), anything after the first lengths[b] >= 1 tokens of row b; lengths is int64 (B,).
        """
        x, mask = self.positioned(source), padding_mask(lengths, source.shape[1])
        for block in self.encoder["layers"]:
            x = block(x, mask)
        return self.encoder["norm"](x)

    def decode(self, target: Tensor, memory: Tensor, lengths: Tensor) -> Tensor:
        """Steps 1, 3, 4: the logits (B, m, vocab) of the token that follows each of the target's, int64 (B, m).

        memory is what `encode` returned for sources of these lengths. Use causal_mask too.
        """
        x, m = self.positioned(target), target.shape[1]
        for block in self.decoder["layers"]:
            x = block(x, causal_mask(m, m), memory, padding_mask(lengths, memory.shape[1]))
        return self.decoder["norm"](x) @ self.embed.weight.T


class LlamaBlock(nn.Module):
    """A block; config has the names of transformers' LlamaConfig, as `smollm2_config()` returns them."""

    def __init__(self, config: dict):
        super().__init__()
        dim, eps, self.theta = config["hidden_size"], config["rms_norm_eps"], config["rope_parameters"]["rope_theta"]
        self.self_attn = Attention(dim, config["num_attention_heads"], config["num_key_value_heads"])
        self.mlp = SwiGLU(dim, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (RMSNorm(dim, eps) for _ in range(2))

    def forward(self, x: Tensor, mask=None, cache=None) -> Tensor:
        """Run the block on x (B, n, dim), not changed; mask and cache are for `Attention`, which also needs self.theta."""
        x = x + self.self_attn(self.input_layernorm(x), mask=mask, theta=self.theta, cache=cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """A decoder-only model; its parameters have the names of transformers' LlamaModel."""

    def __init__(self, config: dict):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(LlamaBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(self, ids: Tensor, caches=None) -> Tensor:
        """The logits (B, n, vocab_size) of the token that follows each of ids, int64 (B, n). Use causal_mask.

        caches: for each block a dict, {} before the first call; ids follow those of earlier calls. None: ids are all.
        """
        x, past = self.embed_tokens(ids), caches[0]["k"].shape[2] if caches and caches[0] else 0
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers), strict=True):
            x = layer(x, causal_mask(ids.shape[1], past + ids.shape[1]), cache)
        return self.norm(x) @ self.embed_tokens.weight.T


def next_chances(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0) -> Tensor:
    """The probabilities, float32 (V,), from which the next token is drawn. The logits (V,) are not changed.

    temperature is above 0, top_k at least 1 (None, or more than V: all), top_p above 0 (1: all). No logits are equal.
    """
    chances, order = (logits / temperature).softmax(-1).sort(descending=True)
    chances[top_k or len(logits) :] = 0
    chances = chances / chances.sum()
    chances[chances.cumsum(-1) - chances >= top_p] = 0
    return torch.zeros_like(chances).scatter(0, order, chances / chances.sum())


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
