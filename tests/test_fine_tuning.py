"""The text-to-SQL task, and what the labs on fine-tuning use: batches, scores, TRL, 4-bit loading, PEFT's file."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from llmlabs.lab import adapter_checks, adapter_oracles, fine_tuning
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
    fine_tuning.assert_near(torch.ones(2).half(), torch.ones(2), "why", dtype=torch.float16)
    with pytest.raises(AssertionError, match=r"why: torch\.float16 expected, got torch\.float32"):
        fine_tuning.assert_near(torch.ones(2), torch.ones(2), "why", dtype=torch.float16)


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
    vars(linear)["hidden"] = {
        "in": [torch.zeros(7), linear.weight[:3], (nn.Linear(2, 2, bias=False),)],
        "self": [linear],
    }
    assert fine_tuning.held_bytes(linear) == 4 * 5000 + 3 + 4 * 7 + 4 * 4
    assert fine_tuning.bytes_kept_for_backward(linear, torch.ones(2, 100)) >= 4 * 5000
    assert fine_tuning.bytes_kept_for_backward(nn.Identity(), torch.ones(2, 100)) == 0


class _Product(torch.autograd.Function):
    """x times a weight of 50 x 100 ones, which is kept in a way that can be chosen."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, how: str) -> torch.Tensor:
        weight = torch.ones(50, 100)
        if how == "saved":
            ctx.save_for_backward(weight)
        elif how == "attribute":
            ctx.weight = weight
        elif how == "list":
            ctx.kept = {"in": [weight, (weight,)]}
            ctx.kept["in"].append(ctx.kept)
        elif how == "layer":
            ctx.layer = nn.Linear(100, 50)
        return x @ weight.T

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grad @ torch.ones(50, 100), None


class _Keeper(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = _Product.apply(x, self.how)
        return 3 * product + 1


@pytest.mark.parametrize("how", ["", "layer", "saved", "attribute", "list"])
def test_bytes_that_a_function_keeps(how: str) -> None:
    kept = fine_tuning.bytes_kept_for_backward(nn.Sequential(_Keeper(how), nn.Flatten()), torch.ones(2, 100))
    assert kept == (0 if how in ("", "layer") else 4 * 5000)


def test_what_is_not_copied() -> None:
    linear = nn.Linear(3, 2)
    assert "same memory" in fine_tuning.not_copied(lambda module: {"w": module.weight.detach()}, linear)
    assert "same memory" in fine_tuning.not_copied(lambda module: {"b": module.bias[1:]}, linear)
    assert "gradient" in fine_tuning.not_copied(lambda module: {"w": module.weight.clone()}, linear)
    assert fine_tuning.not_copied(lambda module: {"w": module.weight.detach().clone()}, linear) == ""


class _Ones(torch.autograd.Function):
    """x times a weight, with the gradient that is right only where that by each output is 1."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        ctx.total = total
        return x @ total.T

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.ones_like(grad) @ ctx.total, None


class _Lora(nn.Module):
    """A LoRA layer with faults that can be chosen."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.base = nn.Linear(5, 6, bias=False).requires_grad_(False)
        self.A, self.B = nn.Parameter(torch.randn(2, 5)), nn.Parameter(torch.randn(6, 2))
        self.fault, self.merged = fault, 0

    def update(self) -> torch.Tensor:
        return 3 * self.B @ self.A

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.A.detach() if self.fault == "detached" else self.A
        frozen = _Ones.apply(x, self.base.weight) if self.fault == "ones" else x @ self.base.weight.T
        return frozen + (0 if self.merged else 3) * (x @ a.T @ self.B.T)

    def merge(self) -> None:
        if not self.merged or self.fault == "twice":
            self.old = self.base.weight.detach().clone()
            self.base.weight.data += self.update().detach()
        self.merged = 1

    def unmerge(self) -> None:
        if self.merged:
            self.base.weight.data.copy_(self.old + (1e-7 if self.fault == "rounds" else 0))
        self.merged = 0


@pytest.mark.parametrize("fault", ["", "detached", "ones", "twice", "rounds"])
def test_checks_of_an_adapted_layer(fault: str) -> None:
    torch.manual_seed(0)
    layer, x = _Lora(fault), torch.randn(2, 4, 5)
    weight, merged = layer.base.weight.detach().clone(), (layer.base.weight + layer.update()).detach()
    for name, check in {
        "detached ones": lambda: adapter_checks.check_gradients(layer, x, merged, 3.0, "why", 1e-4),
        "twice rounds": lambda: adapter_checks.check_merging(layer, x, x @ merged.T, merged, weight, "why", 1e-4),
    }.items():
        if fault and fault in name:
            with pytest.raises(AssertionError, match="why"):
                check()
        else:
            check()


def test_checks_of_bytes_and_memory() -> None:
    counts = {"linear": 64 * 256 * 8, "other": 10, "adapter": 3}
    nf4 = 64 * 256 * 4 + 64 * 256 / 8 + 4 * 8
    right = {"parameters": 131082, "trained": 3, "weights": nf4 + 20 + 12, "gradients": 12, "optimizer": 24}
    adapter_checks.check_bytes(right, counts, "qlora", "why")
    with pytest.raises(AssertionError, match=r"why, optimizer: 24\.0 expected, got 36\.0"):
        adapter_checks.check_bytes(right | {"optimizer": 36}, counts, "qlora", "why")
    with pytest.raises(AssertionError, match="why, trained"):
        adapter_checks.check_bytes(right, counts, "full", "why")
    with pytest.raises(AssertionError, match="bytes a weight"):
        adapter_checks.check_memory(_Lora(""), torch.ones(2, 5), 30, 0, "why")


def test_checks_of_scales() -> None:
    code8, absmax = adapter_oracles.dynamic_code(), torch.rand(300, generator=torch.Generator().manual_seed(0))

    def right(absmax: torch.Tensor, code8: torch.Tensor) -> tuple[torch.Tensor, ...]:
        blocks = nn.functional.pad(absmax - absmax.mean(), (0, -len(absmax) % 256)).view(-1, 256)
        largest = blocks.abs().amax(1)
        shares = (blocks / largest.clamp(min=1e-30)[:, None]).flatten()[: len(absmax)]
        return (shares[:, None] - code8).abs().argmin(1).to(torch.uint8), largest, absmax.mean()

    def shifted(absmax: torch.Tensor, code8: torch.Tensor) -> tuple[torch.Tensor, ...]:
        codes, largest, mean = right(absmax, code8)
        return (codes // 2, largest, mean)

    def long(absmax: torch.Tensor, code8: torch.Tensor) -> tuple[torch.Tensor, ...]:
        codes, largest, mean = right(absmax, code8)
        return (codes.long(), largest, mean)

    def over(absmax: torch.Tensor, code8: torch.Tensor) -> tuple[torch.Tensor, ...]:
        absmax -= 1
        return right(absmax, code8)

    want, equal = adapter_oracles.bnb_scales(absmax), torch.full((3,), 0.5)
    adapter_checks.check_scales(right, absmax, code8, want)
    adapter_checks.check_scales(right, equal, code8, equal)
    for wrong, says in {shifted: "nearest value", long: "type and number", over: "changed the"}.items():
        with pytest.raises(AssertionError, match=says):
            adapter_checks.check_scales(wrong, absmax.clone(), code8, want)
    with pytest.raises(AssertionError, match="0 / 0 is NaN"):
        adapter_checks.check_scales(shifted, equal, code8, equal)


def test_follow_is_fit_and_two_scores(austen: tuple[Any, Any, torch.Tensor]) -> None:
    model, tokenizer, pages = austen
    own = deepcopy(model)
    batch, prose = fine_tuning.sft_batch(bank_questions()[0][:2], tokenizer), fine_tuning.prose_batch(pages[:1])
    curve, path = fine_tuning.follow(own, [batch] * 11, 1e-3, 1, batch, prose)
    assert len(curve) == 11
    assert path[0] == (fine_tuning.score(model, batch)[0], fine_tuning.score(model, prose)[0])
    assert len(path) == 2
    assert path[1][0] < path[0][0]


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
