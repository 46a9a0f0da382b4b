"""What the tokenizer labs compare with is right itself: by hand, and library against library."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from llmlabs.lab import byte_bpe
from llmlabs.lab.byte_bpe import SAMPLES, assert_same
from llmlabs.lab.data import gpt2_merges, interface_translations

PAPER = {b"low": 5, b"lower": 2, b"newest": 6, b"widest": 3}  # Sennrich et al. 2016, algorithm 1
MERGES = {(101, 115): 256, (256, 116): 257, (108, 111): 258, (258, 119): 259}


def test_the_library_learns_the_merges_of_the_paper() -> None:
    assert [*byte_bpe.library_merges(PAPER, 4).items()] == [*MERGES.items()]


def test_of_equally_frequent_pairs_the_library_takes_the_smallest() -> None:
    assert [*byte_bpe.library_merges({b"\xffa": 1, b"\x00\xff": 1, b"b ": 1}, 3)] == [(0, 255), (98, 32), (255, 97)]


def test_the_library_stops_when_no_pair_is_left() -> None:
    assert byte_bpe.library_merges({b"abc": 1}, 9) == {(97, 98): 256, (256, 99): 257}
    assert byte_bpe.library_merges({}, 9) == {}


def test_encoding_takes_the_merge_learned_first() -> None:
    assert byte_bpe.library_encode("abc", {(98, 99): 256, (97, 98): 257, (257, 99): 258}) == [97, 256]
    assert byte_bpe.library_encode("lowest é", MERGES) == [259, 257, 32, 0xC3, 0xA9]


@pytest.mark.parametrize("name", SAMPLES)
def test_two_libraries_give_the_same_tokens(name: str) -> None:
    merges = byte_bpe.library_merges(Counter(piece.encode() for piece in byte_bpe.library_pieces(SAMPLES[name])), 30)
    tiktoken = byte_bpe.tiktoken_encoding(merges, {})
    assert tiktoken.encode_ordinary(SAMPLES[name]) == byte_bpe.library_encode(SAMPLES[name], merges)
    assert tiktoken.decode(byte_bpe.library_encode(SAMPLES[name], merges)) == SAMPLES[name]


def test_special_tokens_are_tiktokens() -> None:
    encoding = byte_bpe.tiktoken_encoding({}, {"<s>": 300})
    assert encoding.encode("a<s>", allowed_special={"<s>"}) == [97, 300]
    assert encoding.encode("a<s>", disallowed_special=()) == [97, *b"<s>"]


def test_pieces_are_those_of_the_text() -> None:
    text = byte_bpe.random_text(Random(0), 500)
    assert "".join(byte_bpe.library_pieces(text)) == text
    assert byte_bpe.library_pieces("I'll pay  £20!") == ["I", "'ll", " pay", " ", " £", "20", "!"]


def test_random_text_and_pieces_are_the_same_for_a_seed() -> None:
    assert byte_bpe.random_text(Random(1), 20) == byte_bpe.random_text(Random(1), 20)
    assert byte_bpe.random_text(Random(1), 20) != byte_bpe.random_text(Random(2), 20)
    pieces = byte_bpe.random_pieces(Random(1), b"ab", 5)
    assert pieces == byte_bpe.random_pieces(Random(1), b"ab", 5)
    assert all({*piece} <= {*b"ab"} and 1 <= len(piece) <= 5 and 1 <= n <= 4 for piece, n in pieces.items())


def test_vocabularies_of_others_count_as_published() -> None:
    count = byte_bpe.counters()
    assert [*count] == ["SmolLM2", "Tekken"]
    # both have tokens for whole words, and cut numbers into single digits
    assert {name: counted("Hello world") for name, counted in count.items()} == {"SmolLM2": 2, "Tekken": 2}
    assert {name: counted("12345") for name, counted in count.items()} == {"SmolLM2": 5, "Tekken": 5}
    assert gpt2_merges().splitlines()[1] == "Ġ t"


def test_bert_knows_english_and_little_chinese() -> None:
    texts = interface_translations()
    assert byte_bpe.bert_unknown("a lamp and a switch") == 0
    assert byte_bpe.bert_unknown("lamp \U0001f680") == 0.5
    assert byte_bpe.bert_unknown("\n".join(texts["zh-Hans"])) > 0.5


def test_a_difference_is_told() -> None:
    assert_same([1], [1], "one")
    assert_same("a", "a", "a letter")
    with pytest.raises(AssertionError, match=r"^two: 2 expected, got 3$"):
        assert_same(3, 2, "two")
    with pytest.raises(AssertionError, match=r"first difference at 2: \[2, 3, 4\] expected, got \[9, 3, 4\]"):
        assert_same([0, 1, 9, 3, 4], [0, 1, 2, 3, 4], "five numbers")
    with pytest.raises(AssertionError, match=r"first difference at 4: \[4\] expected, got \[\]"):
        assert_same([0, 1, 2, 3], [0, 1, 2, 3, 4], "one is missing")
    with pytest.raises(AssertionError) as caught:
        assert_same(["a" * 1000], [], "long")
    assert len(str(caught.value)) < 500
