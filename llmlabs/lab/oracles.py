"""What the tests of the labs compare with: tiny random models of torch and transformers, and parts of transformers.

transformers takes seconds to import, so only a lab that names this module pays for it; the grader imports it once.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

WARPS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"temperature": 0.5},
    {"top_k": 4},
    {"top_k": 99},
    {"top_p": 0.6},
    {"top_p": 1e-6},
    {"top_p": 0.95},
    {"temperature": 2.5, "top_k": 5, "top_p": 0.8},
    {"temperature": 0.3, "top_k": 1},
)
"""Options of `warped_chances` to try on a dozen logits: each alone, more than there are, hardly any, all together."""


def tiny_llama(seed: int) -> LlamaForCausalLM:
    """A random Llama of transformers: 3 layers, 4 heads with 2 of keys and values, 40 tokens, no two sizes alike.

    Its weights are much larger than at the start of a training, so that every part of it matters for the logits.
    """
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        rms_norm_eps=0.01,
        rope_parameters={"rope_theta": 500.0, "rope_type": "default"},
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.detach().copy_(torch.randn(parameter.shape, generator=generator) / 3)
    return model


def llama_steps(model: LlamaForCausalLM, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The embeddings (B, n, D) of int64 ids (B, n), what the first block makes of them, and the logits (B, n, V)."""
    with torch.no_grad():
        output = model(ids, output_hidden_states=True)
    return output.hidden_states[0], output.hidden_states[1], output.logits


def tiny_transformer(seed: int, norm_first: bool) -> torch.nn.Transformer:
    """A random encoder-decoder of torch: width 8, 2 heads, 2 layers each way, feed-forward 32, no biases, no dropout.

    The weights of the norms are random, too, so that no two of them can be taken for one another.

    Args:
        seed: of the weights.
        norm_first: pre-norm instead of post-norm.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "enable_nested_tensor")  # a speed-up that pre-norm does not allow
        model = torch.nn.Transformer(8, 2, 2, 2, 32, 0.0, norm_first=norm_first, bias=False, batch_first=True)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.detach().copy_(torch.randn(parameter.shape, generator=generator) / 2)
    return model


def llama_rotation(x: torch.Tensor, positions: torch.Tensor, theta: float) -> torch.Tensor:
    """What transformers' Llama makes of queries or keys: its rotary position embedding.

    Args:
        x: float32 of shape (B, heads, n, d).
        positions: int64 of shape (n,).
        theta: the base of the frequencies.
    """
    config = LlamaConfig(head_dim=x.shape[-1], rope_parameters={"rope_theta": theta, "rope_type": "default"})
    cos, sin = LlamaRotaryEmbedding(config)(x, positions[None])
    return apply_rotary_pos_emb(x, x, cos, sin)[0]


def warped_chances(
    logits: torch.Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0
) -> torch.Tensor:
    """The probabilities that transformers' `generate` samples from: temperature, then top-k, then top-p.

    Args:
        logits: float32 of shape (V,).
        temperature: above 0.
        top_k: at least 1; None keeps all.
        top_p: above 0, at most 1.
    """
    scores = logits[None]
    for warp in (TemperatureLogitsWarper(temperature), TopKLogitsWarper(top_k or len(logits)), TopPLogitsWarper(top_p)):
        scores = warp(None, scores)
    return scores[0].softmax(-1)


def plain_beam_search(
    next_logits: Callable[[torch.Tensor], torch.Tensor],
    prompt: list[int],
    beams: int,
    steps: int,
    end: int | None = None,
) -> tuple[list[int], float]:
    """Beam search without any trick, one text at a time, to compare with.

    Args:
        next_logits: takes int64 (1, n) and returns the logits (1, V) of the next token.
        prompt: token ids.
        beams: how many texts survive a round, by the sum of their log-probabilities.
        steps: the number of rounds.
        end: a text that ends with this token is not continued, but competes; None: there is no such token.

    Returns:
        The tokens after the prompt of the likeliest text that is left, and its log-probability.
    """
    found: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(steps):
        candidates = []
        for log_p, tokens in found:
            if tokens and tokens[-1] == end:
                candidates.append((log_p, tokens))
            else:
                steps_log_p = next_logits(torch.tensor([prompt + tokens]))[0].log_softmax(-1).tolist()
                candidates += [(log_p + more, [*tokens, token]) for token, more in enumerate(steps_log_p)]
        found = sorted(candidates, reverse=True)[:beams]
    return found[0][1], found[0][0]


def next_of_two(tables: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Logits (B, V) that depend on the last token and on how many there are.

    Args:
        tables: of shape (n, V, V), used in turn: by the length of the text, then by its last token.
        ids: int64 of shape (B, length), length at least 2.
    """
    return tables[(ids.shape[1] - 2) % len(tables), ids[:, -1]]


def garden_path(ids: torch.Tensor) -> torch.Tensor:
    """Logits (B, 2) for texts of two tokens after a prompt of two: what looks worse at first turns out better.

    After three steps the likeliest texts that 1, 2 and 4 beams find differ: their first two tokens are 0 0, 0 1 and
    1 1. One that keeps the best extension of each beam, instead of the best of all, does not find the second.

    Args:
        ids: int64 of shape (B, n), n at least 2.
    """
    stages: list[Any] = [0.55, [0.51, 0.55], [[0.52, 0.7], [0.53, 0.98]]]  # the chance of token 0, by those before
    new = ids[:, 2:4]
    zero = torch.tensor(stages[new.shape[1]])[tuple(new.T)].expand(len(ids))
    return torch.stack([zero, 1 - zero], 1).log() + 5.0


def beam_trials(
    model: Callable[[torch.Tensor], torch.Tensor],
) -> list[tuple[Callable[[torch.Tensor], torch.Tensor], int, int, int | None]]:
    """Searches to try: (model, beams, steps, end token), for `model` of 5 tokens and for `garden_path`.

    Among them are one beam, more beams than tokens, as many as there are texts, no step at all, end tokens, one that
    comes at once, and a text that has ended but is no longer among the best, so that it is lost, though it would win.
    """

    def brief(ids: torch.Tensor) -> torch.Tensor:
        return model(ids) + 50.0 * (torch.arange(5) == 2)

    chances = torch.tensor([[0.65, 0.05, 0.3], [0.52, 0.47, 0.01], [0.5, 0.45, 0.05]])  # step by step, of three tokens
    losing = functools.partial(next_of_two, chances.log()[:, None].expand(3, 3, 3))
    free = [(model, 1, 4), (model, 3, 4), (model, 2, 0), *((garden_path, beams, 3) for beams in (1, 2, 4))]
    ended: list[tuple[Callable[[torch.Tensor], torch.Tensor], int, int, int | None]] = [
        (model, 2, 5, 4),
        (model, 4, 5, 0),
        (model, 9, 3, 2),
        (model, 700, 4, 1),
        (brief, 1, 6, 2),
        (losing, 2, 3, 2),
    ]
    return [*((trial, beams, steps, None) for trial, beams, steps in free), *ended]


def grouped_attention(
    x: torch.Tensor, weights: Mapping[str, torch.Tensor], heads: int, theta: float | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Causal multi-head attention with shared keys and values, by torch's kernel and transformers' rotation.

    Args:
        x: float32 of shape (B, n, D).
        weights: `q_proj.weight`, `k_proj.weight`, `v_proj.weight` and `o_proj.weight`.
        heads: how many heads D is cut into; the keys tell by their width how many they have.
        theta: the base of the rotary frequencies; None: no rotation.

    Returns:
        The output (B, n, D); the weights (B, heads, n, n); the keys, rotated, and the values, (B, heads of keys, n,
        D / heads).
    """
    dim = x.shape[-1] // heads
    q, k, v = ((x @ weights[f"{n}_proj.weight"].T).unflatten(-1, (-1, dim)).transpose(1, 2) for n in "qkv")
    if theta is not None:
        q, k = (llama_rotation(y, torch.arange(x.shape[1]), theta) for y in (q, k))
    attend = functools.partial(torch.nn.functional.scaled_dot_product_attention, is_causal=True, enable_gqa=True)
    found = attend(q, k, v)
    maps = attend(q, k, torch.eye(x.shape[1]).expand(*k.shape[:3], -1))  # the values of position j: 1 at j, else 0
    return found.transpose(1, 2).flatten(2) @ weights["o_proj.weight"].T, maps, k, v


def transformer_steps(
    model: torch.nn.Transformer,
    embedding: torch.Tensor,
    source: torch.Tensor,
    lengths: torch.Tensor,
    target: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """What torch's encoder-decoder makes of token ids, step by step (Vaswani et al. 2017, section 3).

    Args:
        model: from `tiny_transformer`.
        embedding: float32 of shape (V, D), for source, target and, transposed, for the logits.
        source: int64 of shape (B, n).
        lengths: int64 of shape (B,): what follows in a row of the source is padding.
        target: int64 of shape (B, m).

    Returns:
        The source with positions, what the first block makes of it, the memory, the target with positions, what the
        first block of the decoder makes of it and the memory, and the logits (B, m, V).
    """

    def positioned(ids: torch.Tensor) -> torch.Tensor:
        size, dim = ids.shape[1], embedding.shape[1]
        angles = torch.arange(size)[:, None] / 10_000.0 ** (torch.arange(0, dim, 2) / dim)
        return embedding[ids] * dim**0.5 + torch.stack([angles.sin(), angles.cos()], -1).flatten(1)

    hidden = torch.arange(source.shape[1]) >= lengths[:, None]
    future = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
    masks = {"tgt_mask": future, "memory_key_padding_mask": hidden}
    with torch.no_grad():
        x, y = positioned(source), positioned(target)
        memory = model.encoder(x, src_key_padding_mask=hidden)
        read = model.encoder.layers[0](x, src_key_padding_mask=hidden)
        asked = model.decoder.layers[0](y, memory, **masks)
        return x, read, memory, y, asked, model.decoder(y, memory, **masks) @ embedding.T


def split_projections(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Copies of the weights of torch's `nn.MultiheadAttention`, or of layers that hold some, named as in Llama.

    torch keeps the matrices of queries, keys and values in one, `in_proj_weight`; here they are apart, as
    `q_proj.weight`, `k_proj.weight` and `v_proj.weight`, and `out_proj` is `o_proj`. Other names stay as they are.

    Args:
        module: built with `bias=False`.
    """
    weights = {}
    for name, parameter in module.named_parameters():
        value, stem = parameter.detach().clone(), name.removesuffix("in_proj_weight")
        if stem == name:
            weights[name.replace("out_proj", "o_proj")] = value
        else:
            weights |= {f"{stem}{part}_proj.weight": third for part, third in zip("qkv", value.chunk(3), strict=True)}
    return weights
