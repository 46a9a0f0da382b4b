"""Words and texts for models that read and write letter by letter, as numbers, and a yardstick for such models."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from llmlabs.lab.data import NOVELS, austen

if TYPE_CHECKING:
    from torch import Tensor

LETTERS: Final = "_^$abcdefghijklmnopqrstuvwxyz"
"""What a word may consist of; its place here is a letter's number. "_" fills up, "^" begins and "$" ends a text."""


def pig_latin(word: str) -> str:
    """What children make of an English word: the consonants at its front move to the end, then comes "ay".

    "qu" moves as one; y is a consonant at the front only: street -> eetstray, quiet -> ietquay, my -> ymay.
    """
    return re.sub(r"^(y?(?:qu|[^aeiouyq])*)(.*)", r"\2\1ay", word)


def austen_words(longest: int) -> list[str]:
    """The words of Jane Austen's novels with 3 to `longest` letters, none of them a capital: each once, shuffled."""
    found = {word for name in NOVELS for word in re.findall(r"\b[a-z]+\b", austen(name)) if 3 <= len(word) <= longest}
    return random.Random(0).sample(sorted(found), len(found))


def from_letters(words: Sequence[str], width: int = 0) -> Tensor:
    """The numbers of letters, int64 of shape (words, width).

    Args:
        words: of letters in LETTERS; shorter ones are filled up with "_".
        width: at least the longest word's length; 0: just that.
    """
    import torch

    width = width or max(map(len, words))
    return torch.tensor([[LETTERS.index(letter) for letter in word.ljust(width, "_")] for word in words])


def to_letters(ids: Tensor) -> list[str]:
    """The texts of rows of numbers, as `from_letters` makes them."""
    return ["".join(LETTERS[i] for i in row) for row in ids.tolist()]


def austen_letters(*novels: str) -> tuple[list[str], Tensor]:
    """Novels of Jane Austen, all six if none is named: the alphabet, sorted, and each letter's place in it.

    Returns:
        The letters that occur, and int64 of the novels' length. Blanks and line ends in a row are one blank.
    """
    import torch

    text = " ".join(" ".join(austen(name) for name in novels or NOVELS).split())
    alphabet = sorted(set(text))
    places = {letter: place for place, letter in enumerate(alphabet)}
    return alphabet, torch.tensor([places[letter] for letter in text])


def pair_loss(codes: Tensor, start: int, size: int) -> float:
    """The mean cross-entropy, in nats a letter, on codes[start:] of a bigram model that has counted codes[:start].

    Args:
        codes: int64 of shape (n,), values below `size`.
        start: where the text begins that the model has not read.
        size: of the alphabet. Each pair counts 0.1 more than it was seen, so that none is impossible.
    """
    import torch

    counts = torch.bincount(codes[: start - 1] * size + codes[1:start], minlength=size**2).view(size, size) + 0.1
    log_p = (counts / counts.sum(1, keepdim=True)).log()
    return -log_p[codes[start - 1 : -1], codes[start:]].mean().item()
