"""What the tests of the labs compare with: tiny random models of torch and transformers, and parts of transformers.

transformers takes seconds to import, so only a lab that names this module pays for it; the grader imports it once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb


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
