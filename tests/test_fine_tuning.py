"""The text-to-SQL task, and what the labs on fine-tuning use: batches, scores, TRL, 4-bit loading, PEFT's file."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from llmlabs.lab import adapter_oracles, fine_tuning
from llmlabs.lab.bank_sql import UNSEEN, bank_database, bank_questions, rows_of


@pytest.fixture(scope="module")
def austen() -> tuple[Any, Any, torch.Tensor]:
    return fine_tuning.austen_model(steps=4, width=64)


def test_every_gold_query_runs_and_topics_are_apart() -> None:
    database, (seen, held_out) = bank_database(), bank_questions()
    assert len({question.text for question in seen + held_out}) == len(seen) + len(held_out)
    assert all(rows_of(database, question.sql) for question in seen + held_out)
    assert all(any(topic in question.text for topic in UNSEEN) for question in held_out)
    assert not any(f" {topic}" in question.text for question in seen for topic in (" on savings accounts", UNSEEN[1]))
    assert rows_of(database, "SELECT nothing") is None


def test_a_batch_counts_queries_and_their_ends_alone(austen: tuple[Any, Any, torch.Tensor]) -> None:
    _, tokenizer, _ = austen
    questions = bank_questions()[0][:3]
    batch = fine_tuning.sft_batch(questions, tokenizer)
    for row, question in enumerate(questions):
        text = batch["input_ids"][row][batch["attention_mask"][row].bool()]
        assert tokenizer.decode(text) == f"{fine_tuning.prompt(question)} {question.sql}<end>"
        answer = batch["labels"][row][batch["labels"][row] != -100]
        assert tokenizer.decode(answer) == f" {question.sql}<end>"


def test_fit_and_trl_take_the_same_steps(austen: tuple[Any, Any, torch.Tensor]) -> None:
    model, tokenizer, pages = austen
    order = fine_tuning.drawn(bank_questions()[0], 3, 4)
    batches = [fine_tuning.sft_batch(questions, tokenizer) for questions in order]
    own = deepcopy(model)
    losses = list(fine_tuning.fit(own, batches, 1e-3, warmup=1))
    pairs = [(fine_tuning.prompt(q), f" {q.sql}") for questions in order for q in questions]
    assert fine_tuning.trl_losses(deepcopy(model), tokenizer, pairs, 4, 1e-3, 1) == pytest.approx(losses, abs=1e-3)
    assert fine_tuning.score(own, batches[0])[0] < fine_tuning.score(model, batches[0])[0]
    prose = fine_tuning.prose_batch(pages[:2])
    with torch.no_grad():
        assert fine_tuning.score(model, prose)[0] == pytest.approx(model(**prose).loss.item(), abs=1e-4)
    assert len(fine_tuning.write_queries(model, tokenizer, order[0])) == 4


def test_the_full_size_path_runs_on_a_small_model(tmp_path: Path, austen: tuple[Any, Any, torch.Tensor]) -> None:
    model, tokenizer, _ = austen
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    small, its_tokenizer = fine_tuning.load_in_4_bits(str(tmp_path), device="cpu")
    kinds = {type(module).__name__ for module in small.modules()}
    assert "Linear4bit" in kinds
    pairs = [(fine_tuning.prompt(q), f" {q.sql}") for q in bank_questions()[0][:4]]
    config = adapter_oracles.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    losses = fine_tuning.trl_losses(small, its_tokenizer, pairs, 2, 1e-3, 1, config)
    assert len(losses) == 2
    assert all(0 < loss < 20 for loss in losses)


def test_peft_reads_the_file(tmp_path: Path, austen: tuple[Any, Any, torch.Tensor]) -> None:
    model, _, pages = austen
    start = fine_tuning.score(model, fine_tuning.prose_batch(pages[:2]))[0]
    kv = {0: 64, 1: 64}
    name = "base_model.model.model.layers.{}.self_attn.o_proj.lora_{}.weight"
    tensors = {name.format(layer, "A"): torch.ones(1, width) for layer, width in kv.items()}
    tensors |= {name.format(layer, "B"): torch.ones(64, 1) for layer in kv}
    assert fine_tuning.write_adapter(str(tmp_path), tensors, 1, 1.0, ["o_proj"]) > 0
    read = adapter_oracles.load_adapter(deepcopy(model), str(tmp_path))
    assert fine_tuning.score(read, fine_tuning.prose_batch(pages[:2]))[0] != pytest.approx(start, abs=1e-4)


def test_near() -> None:
    fine_tuning.assert_near(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0001]), "close")
    for got in (torch.tensor([1.0, 2.1]), torch.tensor([1.0, float("nan")]), torch.tensor([1.0]), torch.ones(2, 1)):
        with pytest.raises(AssertionError, match="why"):
            fine_tuning.assert_near(got, torch.tensor([1.0, 2.0]), "why")


def test_the_start_of_a_lora_layer() -> None:
    def layer(a: torch.Tensor, b: torch.Tensor) -> nn.Module:
        module = nn.Module()
        module.A, module.B = nn.Parameter(a), nn.Parameter(b)
        return module

    a = (torch.rand(8, 100, generator=torch.Generator().manual_seed(0)) * 2 - 1) / 10
    fine_tuning.check_start(layer(a, torch.zeros(5, 8)), 100, 5, 8)
    repeated = a[:, :1].expand(8, 100).clone()
    for wrong_a, wrong_b in ((a, torch.ones(5, 8)), (a / 10, torch.zeros(5, 8)), (repeated, torch.zeros(5, 8))):
        with pytest.raises(AssertionError, match="100 inputs"):
            fine_tuning.check_start(layer(wrong_a, wrong_b), 100, 5, 8)
    with pytest.raises(AssertionError, match="should be trained"):
        fine_tuning.check_start(nn.Linear(100, 5), 100, 5, 8)


def test_bytes_that_are_held_and_kept() -> None:
    linear = nn.Linear(100, 50, bias=False).requires_grad_(False)
    assert fine_tuning.held_bytes(linear) == 4 * 5000
    linear.extra = torch.zeros(3, dtype=torch.uint8)
    assert fine_tuning.held_bytes(linear) == 4 * 5000 + 3
    assert fine_tuning.bytes_kept_for_backward(linear, torch.ones(2, 100)) >= 4 * 5000
    assert fine_tuning.bytes_kept_for_backward(nn.Identity(), torch.ones(2, 100)) == 0


def test_oracles_agree_with_plain_formulas() -> None:
    rng = torch.Generator().manual_seed(0)
    weight, a, b, x = (torch.randn(shape, generator=rng) for shape in ((6, 5), (2, 5), (6, 2), (3, 5)))
    out, merged = adapter_oracles.peft_lora(x, weight, a, b, 4.0)
    fine_tuning.assert_near(merged, weight + 2 * b @ a, "merged")
    fine_tuning.assert_near(out, x @ merged.T, "output")
    fine_tuning.assert_near(adapter_oracles.peft_swaps(weight, a, b, 4.0, 3), weight, "swapped")
    fine_tuning.assert_near(adapter_oracles.peft_ia3(x, weight, a[0, :1].expand(6)), x @ weight.T * a[0, 0], "ia3")
    lengths = merged.norm(dim=1)
    fine_tuning.assert_near(adapter_oracles.peft_dora(x, weight, a, b, lengths, 4.0)[0], out, "dora")
    counts = adapter_oracles.llama_counts(adapter_oracles.CODE_LLAMA_34B, ["q_proj"], 1)
    assert counts["linear"] + counts["other"] == 33_743_970_304
    assert counts["adapter"] == 48 * 2 * 8192
    big = torch.randn(64, 256, generator=rng)
    assert (adapter_oracles.bnb_round_trip(big) - big).abs().mean() < 0.1
    assert adapter_oracles.bnb_bytes(big) == 64 * 256 // 2 + 256 + 4 + 4
    packed, scales = adapter_oracles.bnb_nf4(big)
    assert (packed.shape, scales.shape) == ((64 * 128,), (256,))
    assert (adapter_oracles.bnb_scales(scales) - scales).abs().max() < 0.1
