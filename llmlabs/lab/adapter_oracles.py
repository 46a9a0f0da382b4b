"""What the tests of the labs on adapters compare with: PEFT's layers and bitsandbytes' 4-bit numbers, as plain tensors.

Both libraries take seconds to import, so only a lab that names this module pays for it; the grader imports it once.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from llmlabs.lab.oracles import tiny_llama

# on some processors bitsandbytes, which PEFT imports, complains about kernels that it can do without
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

import peft  # noqa: E402
from bitsandbytes import functional as bnb  # noqa: E402
from peft import IA3Config  # noqa: E402
from peft import LoraConfig as LoraConfig  # noqa: E402

CODE_LLAMA_7B: Final = {
    "vocab_size": 32016,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "tie_word_embeddings": False,
}
"""The sizes of codellama/CodeLlama-7b-hf, as its config.json gives them (Roziere et al. 2023)."""

CODE_LLAMA_34B: Final = {
    "vocab_size": 32000,
    "hidden_size": 8192,
    "intermediate_size": 22016,
    "num_hidden_layers": 48,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
}
"""The sizes of codellama/CodeLlama-34b-hf."""


def add_adapter(model: torch.nn.Module, config: Any) -> Any:
    """PEFT's `get_peft_model`, without a warning that concerns PEFT's own code: a test must not write any."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing")
        return peft.get_peft_model(model, config)


def _one_layer(weight: torch.Tensor, config: Any) -> Any:
    """PEFT's adapter around a linear layer with this weight (out, in)."""
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
    linear.weight.detach().copy_(weight)
    return add_adapter(torch.nn.Sequential(linear), config)


def _lora_layer(weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor, alpha: float, **options: Any) -> Any:
    scale: dict[str, Any] = {"r": len(a), "lora_alpha": alpha}  # PEFT declares alpha an int, and takes any number
    config = LoraConfig(target_modules=["0"], **scale, **options)
    layer = _one_layer(weight, config).base_model.model[0]
    layer.lora_A["default"].weight.detach().copy_(a)
    layer.lora_B["default"].weight.detach().copy_(b)
    return layer


def peft_lora(
    x: torch.Tensor, weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor, alpha: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What PEFT's LoRA layer computes.

    Args:
        x: inputs of shape (..., in).
        weight: the frozen matrix, of shape (out, in); a and b, of shapes (r, in) and (out, r), are the adapter's.
        alpha: the update is multiplied by alpha / r.

    Returns:
        (outputs of shape (..., out), the weight after PEFT's merge).
    """
    layer = _lora_layer(weight, a, b, alpha)
    with torch.no_grad():
        out = layer(x)
        layer.merge()
    return out, layer.base_layer.weight.detach()


def peft_swaps(weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor, alpha: float, times: int) -> torch.Tensor:
    """The weight after PEFT has merged an adapter and taken it out again, this many times."""
    layer = _lora_layer(weight, a, b, alpha)
    for _ in range(times):
        layer.merge()
        layer.unmerge()
    return layer.base_layer.weight.detach()


def peft_dora(
    x: torch.Tensor, weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor, magnitude: torch.Tensor, alpha: float
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """What PEFT's DoRA layer computes, and the gradient of its sum by a, b and magnitude.

    Args:
        x, weight, a, b, alpha: as for `peft_lora`; alpha / r must be the scale.
        magnitude: of shape (out,).
    """
    layer = _lora_layer(weight, a, b, alpha, use_dora=True)
    length = layer.lora_magnitude_vector["default"].weight
    length.detach().copy_(magnitude)
    out = layer(x)
    leaves = [layer.lora_A["default"].weight, layer.lora_B["default"].weight, length]
    return out.detach(), dict(zip(("a", "b", "magnitude"), torch.autograd.grad(out.sum(), leaves), strict=True))


def peft_ia3(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """What PEFT's IA3 layer computes around a matrix that is not a feed-forward one.

    Args:
        x, weight: as for `peft_lora`.
        scale: the factors, of shape (out,).
    """
    layer = _one_layer(weight, IA3Config(target_modules=["0"], feedforward_modules=[])).base_model.model[0]
    parameter = layer.ia3_l["default"]
    parameter.detach().copy_(scale.reshape(parameter.shape))
    with torch.no_grad():
        out: torch.Tensor = layer(x)
    return out


def peft_llama(seed: int, targets: Sequence[str], r: int, alpha: float = 1.0) -> Any:
    """`tiny_llama(seed)` with PEFT's LoRA around the layers of these names."""
    scale: dict[str, Any] = {"r": r, "lora_alpha": alpha}
    config = LoraConfig(target_modules=list(targets), task_type="CAUSAL_LM", **scale)
    return add_adapter(tiny_llama(seed), config)


def adapter_shapes(targets: Sequence[str], r: int) -> dict[str, tuple[int, ...]]:
    """The shape of each trained parameter of `peft_llama`: {"model.layers.0.mlp.up_proj.A": (r, 24), ...}."""
    shapes = {}
    for name, parameter in peft_llama(0, targets, r).named_parameters():
        if parameter.requires_grad:
            path, _, letter = name.removesuffix(".default.weight").rpartition(".lora_")
            shapes[f"{path.removeprefix('base_model.model.')}.{letter}"] = tuple(parameter.shape)
    return shapes


def logits_with_adapter(
    seed: int, targets: Sequence[str], r: int, alpha: float, tensors: Mapping[str, torch.Tensor], ids: torch.Tensor
) -> torch.Tensor:
    """The logits of `peft_llama` after it has loaded an adapter file's tensors.

    Args:
        seed, targets, r, alpha: of the model and its adapter.
        tensors: by the names of PEFT's adapter_model.safetensors.
        ids: int64 of shape (N, T).

    Raises:
        ValueError: if the file has a tensor too many, or lacks one.
    """
    model = peft_llama(seed, targets, r, alpha)
    loaded: Any = peft.set_peft_model_state_dict(model, dict(tensors))
    missing = [name for name in loaded.missing_keys if "lora_" in name]
    if missing or loaded.unexpected_keys:
        raise ValueError(f"PEFT misses {missing[:3]} and does not know {list(loaded.unexpected_keys)[:3]}")
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids).logits
    return logits


def load_adapter(model: Any, folder: str) -> Any:
    """PEFT's model with the adapter of a folder; what it wraps is changed in place, and is returned."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing")
        return peft.PeftModel.from_pretrained(model, folder).base_model.model


def llama_counts(config: Mapping[str, Any], targets: Sequence[str], r: int) -> dict[str, int]:
    """Count parameters of a Llama of transformers, without making its weights, and those of PEFT's LoRA on it.

    Args:
        config: arguments of LlamaConfig.
        targets: names of layers.
        r: the rank.

    Returns:
        {"linear": weights of the layers' matrices, "other": all else, "adapter": what LoRA adds}.
    """
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**config))
        total = sum(p.numel() for p in model.parameters())
        linear = sum(p.numel() for name, p in model.named_parameters() if "_proj" in name)
        adapted = add_adapter(model, LoraConfig(r=r, target_modules=list(targets)))
    adapter = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    return {"linear": linear, "other": total - linear, "adapter": adapter}


def bnb_code() -> torch.Tensor:
    """bitsandbytes' 16 values of NF4, ascending."""
    return bnb.get_4bit_type("nf4", device="cpu")


def dynamic_code() -> torch.Tensor:
    """bitsandbytes' 256 values of its dynamic 8-bit type, ascending (Dettmers 2016)."""
    return bnb.create_dynamic_map()


def bnb_nf4(weight: torch.Tensor, block: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """bitsandbytes' NF4 of a float tensor: (uint8 of shape (n / 2,), float32 maxima of the blocks)."""
    packed, state = bnb.quantize_4bit(weight, blocksize=block, quant_type="nf4")
    return packed.flatten(), state.absmax


def bnb_scales(scales: torch.Tensor) -> torch.Tensor:
    """What bitsandbytes makes of the blocks' maxima (n,): rounded to 8 bits in blocks of 256 and turned back."""
    offset = scales.mean()
    return bnb.dequantize_blockwise(*bnb.quantize_blockwise(scales - offset, blocksize=256)) + offset


def bnb_round_trip(weight: torch.Tensor) -> torch.Tensor:
    """A float32 weight after NF4 with double quantisation, as QLoRA stores it, and back."""
    packed, state = bnb.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    return bnb.dequantize_4bit(packed, state)


def bnb_bytes(weight: torch.Tensor) -> int:
    """How many bytes bitsandbytes needs for a weight in NF4 with double quantisation, its two codes left out."""
    packed, state = bnb.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    return sum(tensor.nbytes for tensor in (packed, state.absmax, state.state2.absmax, state.offset))
