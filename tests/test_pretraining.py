"""The shared parts of the pre-training labs: decoder, stories, runs, and what the tests compare with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from llmlabs.lab import pretraining_oracles as oracles
from llmlabs.lab import runs, stories
from llmlabs.lab.decoder import Decoder, generate
from llmlabs.lab.machine import peak_flops


def test_the_decoder_is_a_llama() -> None:
    torch.manual_seed(0)
    own = Decoder(30, width=16, layers=2, heads=2)
    config = LlamaConfig(
        vocab_size=30,
        hidden_size=16,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_theta": 10_000.0, "rope_type": "default"},
        tie_word_embeddings=True,
    )
    weights = {"model.embed_tokens.weight": own.embedding.weight, "model.norm.weight": own.norm.weight}
    for number in range(2):
        part, name = f"blocks.{number}.", f"model.layers.{number}."
        weights |= {
            f"{name}self_attn.{letter}_proj.weight": third
            for letter, third in zip(
                "qkv", own.get_parameter(f"{part}queries_keys_values.weight").chunk(3), strict=True
            )
        }
        gate, up = own.get_parameter(f"{part}gate_up.weight").chunk(2)
        weights |= {f"{name}mlp.gate_proj.weight": gate, f"{name}mlp.up_proj.weight": up}
        for theirs, ours in {
            "self_attn.o_proj": "attention_out",
            "mlp.down_proj": "feed_out",
            "input_layernorm": "attention_norm",
            "post_attention_layernorm": "feed_norm",
        }.items():
            weights[f"{name}{theirs}.weight"] = own.get_parameter(f"{part}{ours}.weight")
    theirs_model = LlamaForCausalLM(config).eval()
    missing = theirs_model.load_state_dict(weights, strict=False)
    assert missing.unexpected_keys == []
    assert missing.missing_keys in ([], ["lm_head.weight"])
    ids = torch.randint(30, (2, 9))
    torch.testing.assert_close(own(ids), theirs_model(ids).logits, atol=1e-5, rtol=1e-4)
    assert own.blocks_size() == sum(p.numel() for p in own.parameters()) - 30 * 16


def test_a_decoder_sees_what_is_visible() -> None:
    torch.manual_seed(0)
    model, ids = Decoder(30, width=16, layers=2, heads=2), torch.randint(30, (1, 6))
    torch.testing.assert_close(model(ids), model(ids, torch.ones(1, 6, 6, dtype=torch.bool).tril()))
    alone = torch.eye(6, dtype=torch.bool)[None]
    torch.testing.assert_close(model(ids, alone)[0], model(ids.T)[:, 0], atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="multiple of twice the heads"):
        Decoder(30, width=12, heads=4)


def test_generation_continues_and_repeats() -> None:
    model, start = Decoder(30, width=16), torch.zeros(2, 1, dtype=torch.int64)
    first, again = (generate(model, start, 5, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == (2, 6)
    assert torch.equal(first, again)
    cold = generate(model, start, 3, temperature=1e-6)
    assert torch.equal(cold[:, 1], model(start)[:, -1].argmax(-1))


def test_stories_are_coherent_and_survive_encoding() -> None:
    told = stories.stories(500, seed=4)
    assert told == stories.stories(500, seed=4)
    for story in told:
        assert stories.read(story.text) == (True, True)
        assert stories.decode(stories.encode(story.text)) == story.text
    assert len({story.text for story in told}) == 500


def test_a_contradiction_is_found() -> None:
    text = next(story.text for story in stories.stories(50, seed=0) if story.text.count("ball") > 2)
    assert stories.read(text.replace("ball", "kite", 1)) == (True, False)
    assert stories.read(text.rpartition(". ")[0]) == (False, False)
    assert stories.read(text + " Then") == (False, False)


def test_the_probabilities_of_stories_are_those_of_the_grammar() -> None:
    told = stories.stories(4000, seed=0)
    heroes = Counter(story.text.split(" was a ")[0] for story in told if " was a " in story.text.split(".")[0])
    # Anna is the first of 16 names: a chance of 1/2 over the sum of 1/2 ... 1/17; half begin with a name
    chance = 0.5 / sum(1 / rank for rank in range(2, 18)) / 2
    assert abs(heroes["Anna"] / 4000 - chance) < 6 * math.sqrt(chance / 4000)
    entropy = -np.mean([story.log_p for story in told])
    assert 20 < entropy < 35
    lengths = [len(stories.encode(story.text)) for story in told]
    assert (min(lengths), max(lengths)) == (60, 72)


def test_runs_repeat_and_draw_each_row_once_an_epoch() -> None:
    assert runs.advance(runs.tiny_run(1), 5) == runs.advance(runs.tiny_run(1), 5)
    run = runs.tiny_run(2)
    rows = torch.cat([run.next_rows() for _ in range(3)])
    assert len(set(rows.tolist())) == 6
    assert run.taken == 3


def test_an_interruption_without_a_checkpoint_shows() -> None:
    losses = runs.interrupted(lambda run: {}, lambda run, state: None, 2, 3)
    assert losses["saved"] == runs.advance(runs.tiny_run(1), 5)
    assert losses["resumed"] != losses["saved"][2:]


def test_what_was_not_restored_is_named() -> None:
    def save(run: runs.Run) -> dict[str, object]:
        return {"model": run.model.state_dict(), "taken": run.taken}

    def restore(run: runs.Run, state: dict[str, int]) -> None:
        run.taken = state["taken"]

    parts = runs.interrupted(save, restore, 1, 1)["resumed parts"]
    assert "the weights of the model" in parts
    assert "torch's random numbers" in parts
    assert "the number of batches taken" not in parts
    assert runs.unreadable(save) == ""
    assert "llmlabs.lab.decoder.Decoder" in runs.unreadable(lambda run: {"model": run.model})


def test_groups_are_named_by_identity() -> None:
    groups = runs.named_groups(
        lambda model, decay: [{"params": [*model.parameters(), torch.zeros(1)], "weight_decay": decay}],
        runs.Twice(),
        0.5,
    )
    assert groups == [(0.5, ["first.weight", "first.bias", "?"])]


def test_gradients_are_left() -> None:
    model = runs.Twice()
    runs.leave_gradients(model)
    assert all(p.grad is not None and bool((p.grad == 1).all()) for p in model.parameters())


def test_odd_modules_have_the_operations_that_are_said() -> None:
    for _, model, flops in oracles.odd_modules():
        assert flops == 6 * sum(p.numel() for p in model.parameters() if p.dim() > 1)


def test_the_plain_versions_agree_with_examples() -> None:
    assert oracles.packed([[5, 6], [7]], 4, 0) == (
        [[0, 5, 6, 0], [7, 0, 0, 0]],
        [[5, 6, 0, 7], [0, -100, -100, -100]],
        [[0, 0, 0, 1], [1, -1, -1, -1]],
    )
    seen = oracles.visible_pairs(torch.tensor([[0, 0, 1]]), torch.tensor([[False, True, True]]))
    assert seen.int().tolist() == [[[1, 1, 0], [1, 1, 0], [0, 0, 1]]]
    rates = oracles.cosine_rates(12, 4, 1.0, 0.2)
    assert [rates[t] for t in (0, 3, 4, 8, 12)] == pytest.approx([0.25, 1, 1, 0.6, 0.2])
    law = np.array([1.0, 3.0, 0.5, 3.0, 0.5])
    assert oracles.scaling_loss(law, 4.0, 9.0) == pytest.approx(1 + 1.5 + 1)
    assert oracles.searched_optimum(law, 600.0) == pytest.approx(10, rel=1e-3)
    done = oracles.rehearsed(None, {5}, 8, 3)
    assert done["the batches that the final model was trained on"] == [0, 1, 2, 6, 7, 8, 9, 10]
    assert done["the alarms"] == [5]
    assert oracles.rehearsed(None, {1, 2, 3}, 8, 9)["the error"] == "RuntimeError"
    assert [want for want, _ in oracles.packing([[5, 6], [7]], 4, 0)] == [*oracles.packed([[5, 6], [7]], 4, 0)]


def test_a_rehearsal_ends_though_the_training_does_not() -> None:
    def train(step: Callable[[int], float], *others: object) -> tuple[list[tuple[int, float]], list[int]]:
        while True:
            step(0)

    assert "goes on for ever" in oracles.rehearsed(train, set(), 3, 2)["the error"]


def test_every_machine_has_a_peak() -> None:
    name, peak = peak_flops(torch.device("cpu"))
    assert name == "this CPU"
    assert peak > 1e8
