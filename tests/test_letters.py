"""Texts for models of letters."""

from __future__ import annotations

import math

import pytest
import torch

from llmlabs.lab.letters import austen_letters, austen_words, from_letters, pair_loss, pig_latin, to_letters


@pytest.mark.parametrize(
    ("word", "expected"),
    [("street", "eetstray"), ("quiet", "ietquay"), ("apple", "appleay"), ("yes", "esyay"), ("my", "ymay")],
)
def test_pig_latin(word: str, expected: str) -> None:
    assert pig_latin(word) == expected


def test_words_are_short_and_there_once() -> None:
    words = austen_words(5)
    assert len(set(words)) == len(words) > 1000
    assert {len(word) for word in words} == {3, 4, 5}
    assert words == austen_words(5)


def test_letters_become_numbers_and_back() -> None:
    ids = from_letters(["^ab$", "c"], 5)
    assert ids.tolist() == [[1, 3, 4, 2, 0], [5, 0, 0, 0, 0]]
    assert to_letters(ids) == ["^ab$_", "c____"]


def test_codes_are_places_in_the_alphabet() -> None:
    alphabet, codes = austen_letters("emma")
    assert "".join(alphabet[i] for i in codes[:20].tolist()) == "EMMA By Jane Austen "
    assert alphabet == sorted(set(alphabet))


def test_the_yardstick_has_counted_what_comes_before() -> None:
    codes = torch.tensor([0, 1, 0, 1, 0, 0])  # before 4: 0 -> 1 twice, 1 -> 0 once
    expected = -(math.log(1.1 / 1.2) + math.log(0.1 / 2.2)) / 2
    assert pair_loss(codes, 4, 2) == pytest.approx(expected)
