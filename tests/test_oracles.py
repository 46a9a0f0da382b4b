"""What the tests of the labs compare with is right itself."""

from __future__ import annotations

import functools
import itertools
import math

import pytest
import torch

from llmlabs.lab import oracles


def test_split_projections_keep_their_order() -> None:
    layer = torch.nn.TransformerDecoderLayer(8, 2, 16, bias=False, batch_first=True)
    weights = oracles.split_projections(layer)
    joined = torch.cat([weights[f"multihead_attn.{part}_proj.weight"] for part in "qkv"])
    assert torch.equal(joined, layer.multihead_attn.in_proj_weight)
    assert torch.equal(weights["self_attn.o_proj.weight"], layer.self_attn.out_proj.weight)
    assert sum(weight.numel() for weight in weights.values()) == sum(p.numel() for p in layer.parameters())


def test_a_tiny_llama_is_the_same_for_a_seed() -> None:
    ids = torch.tensor([[1, 2, 3]])
    first, again, other = (oracles.tiny_llama(seed)(ids).logits for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_the_steps_of_a_llama_are_its_own() -> None:
    model, ids = oracles.tiny_llama(0), torch.tensor([[1, 2, 3]])
    x, first, logits = oracles.llama_steps(model, ids)
    assert torch.equal(x, model.model.embed_tokens(ids))
    assert x.shape == first.shape
    assert torch.equal(logits, model(ids).logits)


def test_a_tiny_transformer_is_the_same_for_a_seed() -> None:
    source, target = torch.randn(2, 1, 3, 8)
    first, again, other = (oracles.tiny_transformer(seed, norm_first=True)(source, target) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_the_rotation_turns_pairs_of_halves() -> None:
    turned = oracles.llama_rotation(torch.tensor([[[[1.0, 2.0, 0.0, 0.0]]]]), torch.tensor([1]), 10_000.0)
    expected = [math.cos(1), 2 * math.cos(0.01), math.sin(1), 2 * math.sin(0.01)]
    assert turned.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_chances_are_cut_in_order() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert oracles.warped_chances(logits).tolist() == pytest.approx([0.5, 0.3, 0.15, 0.05])
    assert oracles.warped_chances(logits, top_k=2).tolist() == pytest.approx([0.625, 0.375, 0, 0])
    assert oracles.warped_chances(logits, top_k=2, top_p=0.6).tolist() == pytest.approx([1, 0, 0, 0])
    assert oracles.warped_chances(logits, temperature=0.5)[0].item() == pytest.approx(0.25 / 0.365)


def test_beam_search_with_all_beams_finds_the_likeliest_text() -> None:
    torch.manual_seed(0)
    tables = torch.randn(4, 3, 3)
    scores = tables.log_softmax(-1)
    texts = {
        text: sum(scores[i, before, after].item() for i, (before, after) in enumerate(itertools.pairwise((1, *text))))
        for text in itertools.product(range(3), repeat=4)
    }
    best = max(texts, key=lambda text: texts[text])
    tokens, log_p = oracles.plain_beam_search(lambda ids: tables[ids.shape[1] - 1, ids[:, -1]], [1], 81, 4)
    assert tokens == [*best]
    assert log_p == pytest.approx(texts[best], abs=1e-5)


def test_beam_search_lets_ended_texts_compete() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    tokens, log_p = oracles.plain_beam_search(lambda ids: logits.expand(len(ids), 3), [0], 2, 5, end=0)
    assert tokens == [0]
    assert log_p == pytest.approx(math.log(0.5))


def test_the_garden_path_leads_narrow_beams_astray() -> None:
    found = {beams: oracles.plain_beam_search(oracles.garden_path, [0, 0], beams, 3)[0] for beams in (1, 2, 4)}
    assert {beams: tokens[:2] for beams, tokens in found.items()} == {1: [0, 0], 2: [0, 1], 4: [1, 1]}


def test_all_trials_of_beam_search_run() -> None:
    model = functools.partial(oracles.next_of_two, torch.randn(7, 5, 5))
    for trial, beams, steps, end in oracles.beam_trials(model):
        tokens, log_p = oracles.plain_beam_search(trial, [3, 1], beams, steps, end)
        assert len(tokens) == steps or tokens[-1] == end
        assert log_p <= 0


def test_grouped_attention_without_groups_is_multi_head_attention() -> None:
    layer, x = torch.nn.MultiheadAttention(8, 2, bias=False, batch_first=True), torch.randn(1, 3, 8)
    future = torch.ones(3, 3, dtype=torch.bool).triu(1)
    output, maps, keys, _ = oracles.grouped_attention(x, oracles.split_projections(layer), 2, None)
    right = layer(x, x, x, attn_mask=future, average_attn_weights=False)
    assert torch.allclose(output, right[0], atol=1e-6)
    assert torch.allclose(maps, right[1], atol=1e-6)
    assert keys.shape == (1, 2, 3, 4)


def test_the_steps_of_a_transformer_end_in_what_it_computes() -> None:
    model, embedding = oracles.tiny_transformer(0, norm_first=True), torch.randn(5, 8)
    source, target, lengths = torch.randint(5, (2, 4)), torch.randint(5, (2, 3)), torch.tensor([4, 2])
    x, _, memory, y, _, logits = oracles.transformer_steps(model, embedding, source, lengths, target)
    hidden, future = torch.arange(4) >= lengths[:, None], torch.ones(3, 3, dtype=torch.bool).triu(1)
    out = model(x, y, tgt_mask=future, src_key_padding_mask=hidden, memory_key_padding_mask=hidden)
    assert torch.allclose(logits, out @ embedding.T, atol=1e-5)
    assert memory.shape == (2, 4, 8)
    assert torch.allclose(x[0, 0] - embedding[source[0, 0]] * 8**0.5, torch.tensor([0.0, 1] * 4), atol=1e-6)


def test_a_text_that_has_ended_may_be_lost() -> None:
    model, beams, steps, end = oracles.beam_trials(functools.partial(oracles.next_of_two, torch.randn(7, 5, 5)))[-1]
    assert oracles.plain_beam_search(model, [1, 1], beams, steps, end)[0] == [0, 0, 0]
    assert oracles.plain_beam_search(model, [1, 1], 3, steps, end)[0] == [2]
