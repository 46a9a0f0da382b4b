"""A small decoder of today's kind in plain torch, for the labs that train a language model from nothing.

It is the architecture of Llama (Touvron et al. 2023, section 2.2): RMSNorm before each block, rotary positions, SwiGLU,
no biases, and here the output layer is the table of embeddings. The lab `transformer_from_scratch` teaches its parts.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, nn.Dropout(dropout)
        hidden = 8 * math.ceil(width / 3)  # 8/3 of the width, as three matrices instead of two; a multiple of 8
        self.attention_norm, self.feed_norm = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.feed_out = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, visible: Tensor | None) -> Tensor:
        batch, length, width = x.shape
        joined = self.queries_keys_values(self.attention_norm(x))
        q, k, v = joined.view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        out = functional.scaled_dot_product_attention(
            _rotate(q, cos, sin), _rotate(k, cos, sin), v, attn_mask=visible, is_causal=visible is None
        )
        x = x + self.dropout(self.attention_out(out.transpose(1, 2).reshape(batch, length, width)))
        gate, up = self.gate_up(self.feed_norm(x)).chunk(2, -1)
        fed: Tensor = self.dropout(self.feed_out(functional.silu(gate) * up))
        return x + fed


class Decoder(nn.Module):
    """A decoder with random weights, the same for the same state of torch's global random generator.

    Args:
        vocabulary: the number of tokens, V.
        width: of the vectors; a multiple of 2 * heads.
        layers: the number of blocks.
        heads: of attention.
        dropout: the share of each block's output that is dropped in training mode.
    """

    def __init__(self, vocabulary: int, width: int = 64, layers: int = 2, heads: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        if width % (2 * heads):
            raise ValueError(f"the width must be a multiple of twice the heads, got {width} and {heads}")
        self.vocabulary, self.width, self.layers, self.heads = vocabulary, width, layers, heads
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-5)
        for name, parameter in self.named_parameters():
            if (
                parameter.dim() > 1
            ):  # as GPT-2: what is added to the residual path starts smaller, the more layers there are
                deep = (2 * layers) ** -0.5 if name.endswith("_out.weight") else 1.0
                nn.init.normal_(parameter, std=0.1 if name.startswith("embedding") else deep * width**-0.5)

    def forward(self, ids: Tensor, visible: Tensor | None = None) -> Tensor:
        """Return the logits, of shape (B, T, V), of the tokens after each position.

        Args:
            ids: int64 of shape (B, T).
            visible: bool of shape (B, T, T), True where position i (axis 1) may see position j (axis 2), and each
                row has at least one True; None: every position sees itself and what is before it.
        """
        length, half = ids.shape[1], self.width // self.heads // 2
        frequencies = 10_000.0 ** -(torch.arange(half, device=ids.device) / half)
        angles = torch.arange(length, device=ids.device)[:, None] * frequencies
        cos, sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)
        x = self.embedding(ids)
        mask = None if visible is None else visible[:, None]
        for block in self.blocks:
            x = block(x, cos, sin, mask)
        return functional.linear(self.norm(x), self.embedding.weight)

    def blocks_size(self) -> int:
        """The number of parameters without the table of embeddings, the N of scaling laws."""
        return sum(parameter.numel() for parameter in self.parameters()) - self.embedding.weight.numel()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (i, i + d/2) of queries or keys, shape (B, heads, T, d), by their position's angles."""
    first, second = x.chunk(2, -1)
    return x * cos.to(x.dtype) + torch.cat([-second, first], -1) * sin.to(x.dtype)


@torch.no_grad()
def generate(
    model: nn.Module, ids: Tensor, count: int, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Continue each row by `count` sampled tokens.

    Args:
        model: takes int64 (B, T) and returns logits (B, T, V); it is left in the mode that it is in.
        ids: int64 of shape (B, T), at least one token a row.
        count: how many tokens to add.
        temperature: above 0; the logits are divided by it.
        generator: on the CPU, draws the tokens; None: torch's own.

    Returns:
        int64 of shape (B, T + count), on the device of ids.
    """
    for _ in range(count):
        chances = (model(ids)[:, -1].float() / temperature).softmax(-1)
        ids = torch.cat([ids, torch.multinomial(chances.cpu(), 1, generator=generator).to(ids.device)], 1)
    return ids
