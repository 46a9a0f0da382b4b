"""What the lab on chat templates imports, and its reference against slower, independent ways."""

from __future__ import annotations

import random
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from transformers.utils.chat_template_utils import render_jinja_template

from llmlabs.lab import chats, plotting
from llmlabs.lab.data import chat_corpus, labelled_replies
from llmlabs.lab.oracles import tiny_llama
from llmlabs.lab.reference import chat_templates as reference
from llmlabs.lab.testing import assert_raised, assert_returns


def roleplay(messages: list[dict[str, Any]], speaker: str, keep: bool, opened: bool) -> str:
    last = max((i for i, m in enumerate(messages) if m["role"] == "user"), default=-1)
    text = ""
    for i, m in enumerate(messages):
        text += f"<|im_start|>{m['role']}" + (f" {m['name']}\n" if m["role"] == "character" else "\n")
        if m.get("thought") and m["name"] == speaker and (keep or i > last):
            text += f"<|thought|>{m['thought']}<|/thought|>"
        text += f"<|action|>{m['action']}<|/action|>" if m.get("action") else ""
        text += m["content"] + ("\nAnn: shy\nBo: loud" if i == 0 else "") + "<|im_end|>\n"
    return text + (f"<|im_start|>character {speaker}\n" if opened else "")


def test_the_corpus_and_the_labels_are_loaded_whole() -> None:
    corpus, labelled = chat_corpus(), labelled_replies()
    assert (len(corpus), len(labelled)) == (2265, 239)
    assert {row.label for row in labelled} == {"keep", "length", "repetition", "refusal", "language"}
    assert {row.part for row in labelled} == {"tune", "test"}


def test_the_role_play_of_the_reference_is_the_table_of_the_lab() -> None:
    rng = random.Random(0)
    for turn in range(50):
        messages: list[dict[str, Any]] = [{"role": "system", "content": "S "}]
        for i in range(turn % 6):
            character = {"role": "character", "name": rng.choice(["Ann", "Bo"]), "content": f" {i}\n"}
            character |= {key: rng.choice(["", f"{key}{i}"]) for key in ("thought", "action") if rng.random() < 0.8}
            messages.append(character if rng.random() < 0.7 else {"role": "user", "content": f"{i}"})
        keep, opened = rng.random() < 0.5, rng.random() < 0.5
        options: dict[str, Any] = {"keep_thoughts": keep, "add_generation_prompt": opened, "speaker": "Bo"}
        options["cards"] = [{"name": "Ann", "persona": "shy"}, {"name": "Bo", "persona": "loud"}]
        found = render_jinja_template(conversations=[messages], chat_template=reference.roleplay_template(), **options)[
            0
        ][0]
        assert found == roleplay(messages, "Bo", keep, opened)


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ("suaua", []),
        ("aa", [(0, "reply-first"), (1, "reply-first"), (1, "same-role")]),
        ("usua", [(1, "late-system"), (2, "same-role")]),
        ("uata", [(2, "unknown-role"), (3, "same-role")]),
        ("uas", [(2, "late-system"), (2, "no-reply")]),
        ("t", [(0, "unknown-role"), (0, "no-reply")]),
        ("", [(0, "no-messages")]),
    ],
)
def test_the_faults_of_the_reference(roles: str, expected: list[tuple[int, str]]) -> None:
    names = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    assert reference.faults([{"role": names[r], "content": "x"} for r in roles]) == expected


def test_every_code_of_the_reference_has_a_sentence() -> None:
    broken = [{"role": "assistant", "content": ""}, {"role": "assistant", "content": "<|im_end|>"}, {"role": "system"}]
    codes = {code for _, code in reference.faults(broken) + reference.faults([]) + reference.faults([{}])}
    assert codes == set(chats.FAULTS)


def test_packing_of_the_reference_loses_nothing() -> None:
    rng = random.Random(1)
    sizes = [rng.randrange(1, 20) for _ in range(40)]
    examples = [([n] * size, list(range(size))) for n, size in enumerate(sizes, 100)]
    packed = reference.pack(examples, 20, 7)
    found = {}
    for ids, labels, positions, segments in zip(*packed.values(), strict=True):
        for segment in range(1, segments.max() + 1):
            at = segments == segment
            assert positions[at].tolist() == list(range(at.sum()))
            assert labels[at].tolist() == [chats.IGNORE, *range(1, at.sum())]
            found[int(ids[at][0])] = int(at.sum())
        assert set(ids[segments == 0]) <= {7}
        assert set(labels[segments == 0]) <= {chats.IGNORE}
    assert found == dict(enumerate(sizes, 100))


def test_a_mask_keeps_chats_apart() -> None:
    mask = chats.attention_mask(np.array([[1, 1, 2, 0, 0]]))[0]
    assert mask.astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1],
    ]


def test_losses_of_tokens_are_those_of_the_model() -> None:
    model, ids = tiny_llama(0), [3, 1, 4, 1, 5]
    with torch.inference_mode():
        expected = model(torch.tensor([ids]), labels=torch.tensor([ids])).loss.item()
    found = chats.token_losses(model, ids)
    assert found[0] == 0
    assert found[1:].mean() == pytest.approx(expected, rel=1e-5)


def test_losses_of_replies_in_a_batch_are_those_of_each_alone() -> None:
    class Letters:
        def encode(self, text: str) -> list[int]:
            return [ord(letter) % 40 for letter in text]

    model, pairs = tiny_llama(1), [("why", "because it is"), ("a longer question", "no")] * 6
    found = chats.reply_losses(model, Letters(), "Q: {}? ", pairs)
    assert len(found) == 12
    for (question, reply), losses in zip(pairs, found, strict=True):
        head = Letters().encode(f"Q: {question}? ")
        alone = chats.token_losses(model, head + Letters().encode(reply))[len(head) :]
        assert np.allclose(losses, alone, atol=1e-4)


def test_packed_chats_have_the_losses_that_they_have_alone() -> None:
    rng = random.Random(2)
    chosen = [[rng.randrange(40) for _ in range(n)] for n in (5, 7, 3)]
    packed = reference.pack([(ids, ids) for ids in chosen], 18, 0)
    found = chats.packed_losses(tiny_llama(3), packed)
    assert len(found["each alone"]) == 12
    for way in ("mask and positions", "the mask only", "the positions only"):
        assert np.allclose(found[way], found["each alone"], atol=1e-4)
    assert not np.allclose(found["neither"], found["each alone"], atol=1e-2)


def test_statistics_count_what_is_learned_and_how_mixed_it_is() -> None:
    examples = [([1, 2, 3, 4], [-100, -100, 3, 4]), ([5, 6], [-100, 6]), ([7, 8], [-100, 8]), ([9], [-100])]
    found = chats.statistics(examples, ["a", "a", "b", "b"])
    assert found["tokens"] == 9
    assert found["share of tokens learned"] == pytest.approx(4 / 9)
    assert found["effective number of categories"] == pytest.approx(2)


def test_what_is_returned_is_asserted() -> None:
    def double(x: list[int]) -> list[int]:
        return [2 * value for value in x]

    def spoil(x: list[int]) -> list[int]:
        x.append(0)
        return [2]

    assert_returns([2], double, [1])
    with pytest.raises(AssertionError, match=r"double\(\[1\]\) should return \[3\], but returned \[2\]: why"):
        assert_returns([3], double, [1], hint="why")
    with pytest.raises(AssertionError, match=r"spoil\(\[1\]\) changed its arguments to \(\[1, 0\],\)"):
        assert_returns([2], spoil, [1])


def test_what_is_raised_is_asserted() -> None:
    assert_raised("ValueError", int, "x", says="invalid literal")
    with pytest.raises(AssertionError, match=r"int\('1'\) should raise ValueError that says 'no', but raised nothing"):
        assert_raised("ValueError", int, "1", says="no")
    with pytest.raises(AssertionError, match="raised ValueError"):
        assert_raised("TypeError", int, "x")


def test_the_pictures_are_drawn() -> None:
    mpl.use("Agg")
    plotting.draw_counts([[3, 0], [1, 4]], ["a", "b"], "rows", "columns")
    assert plt.gca().get_title() == "The two sides agree on 88% of 8"
    plotting.draw_limits([0.0, 1.0], [0.5, 1.0], [1.0, 0.5], [(0.2, 0.8), (0.5, 1.0)], "limit")
    plotting.draw_by_length({"a": np.arange(6.0), "b": -np.arange(6.0)}, np.arange(6.0), np.arange(6.0))
    plotting.draw_before_and_after({"a": 5, "b": 9}, {"b": 2}, "chats", "title")
    assert [label.get_text() for label in plt.gca().get_xticklabels()] == ["b", "a"]
    segments = np.array([[1, 1, 2, 0]])
    plotting.draw_packed(np.array([[0, 1, 0, 0]]), segments, chats.attention_mask(segments)[0])
    plotting.draw_tokens(plt.figure().add_subplot(), ["<s>", "Hi", "\n", "there"], [False, True, True, False], "title")
    assert [text.get_text() for text in plt.gca().texts] == ["<s>", "Hi", "⏎", "there"]
    plt.close("all")
