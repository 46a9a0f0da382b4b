"""Words of a text as numbers, a training loop for word vectors, and analogy questions to ask them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

FAMILIES: Final = {
    "gender": "he she his her himself herself brother sister uncle aunt father mother son daughter man woman "
    "gentleman lady husband wife boy girl nephew niece brothers sisters sons daughters",
    "past tense": "come came go went see saw speak spoke walk walked look looked know knew think thought take took "
    "give gave sit sat hear heard",
    "plural": "day days hour hours year years week weeks minute minutes month months letter letters friend friends "
    "lady ladies girl girls sister sisters",
    "comparative": "good better bad worse great greater strong stronger happy happier young younger long longer",
}
"""Common words of Austen's novels: in each family, the pairs one after the other."""

KEPT_WHOLE: Final = 0.001
"""Words of a higher relative frequency are thinned out in training."""


class NumberedText(NamedTuple):
    """A text's words: all that were read, the vocabulary (most frequent first), counts, and the text in numbers."""

    read: int
    vocabulary: list[str]
    counts: NDArray[np.int64]
    tokens: NDArray[np.int64]


def number_words(text: str, at_least: int) -> NumberedText:
    """Cut a text into runs of the letters a to z, in small letters, and number the words that occur often enough.

    Args:
        text: of any length.
        at_least: how often a word must occur to get into the vocabulary; others are left out of the text.
    """
    words = re.findall(r"[a-z]+", text.lower())
    vocabulary = [word for word, count in Counter(words).most_common() if count >= at_least]
    number = {word: i for i, word in enumerate(vocabulary)}
    tokens = np.array([number[word] for word in words if word in number], dtype=np.int64)
    return NumberedText(len(words), vocabulary, np.bincount(tokens, minlength=len(vocabulary)), tokens)


def train_word_vectors(
    pieces: tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]],
    text: NumberedText,
    window: int,
    width: int,
    epochs: int,
    lr: float = 0.3,
) -> tuple[NDArray[np.float32], list[float]]:
    """Train word vectors by skip-gram with five negatives a pair, 4,096 pairs at a time.

    In each epoch frequent words are thinned out anew: one of relative frequency f stays with probability
    sqrt(KEPT_WHOLE / f). A batch's gradients are added up for each row of the two tables, and Adagrad divides a row's
    step by the size of its past gradients; the learning rate falls to zero along a line.

    Args:
        pieces: the functions skipgram_pairs, noise_chances and negative_sampling of the lab on semantic search.
        text: what to train on.
        window: how many places away context reaches.
        width: numbers in a vector.
        epochs: passes over the text.
        lr: the learning rate at the start.

    Returns:
        (vectors, losses): the vectors of the words as centres, shape (V, width), and the mean loss of every 50 batches.
    """
    skipgram_pairs, noise_chances, negative_sampling = pieces
    rng, size, batch, negatives = np.random.default_rng(0), len(text.vocabulary), 4096, 5
    tables = [rng.uniform(-0.5, 0.5, (size, width)).astype(np.float32) / np.float32(width**0.5)]
    tables.append(np.zeros_like(tables[0]))
    past = [np.full((size, 1), 1e-8, np.float32) for _ in tables]
    stays, border = np.sqrt(KEPT_WHOLE * len(text.tokens) / text.counts), np.cumsum(noise_chances(text.counts))
    losses: list[float] = []
    for epoch in range(epochs):
        thinned = text.tokens[rng.random(len(text.tokens)) < stays[text.tokens]]
        centres, contexts = skipgram_pairs(thinned, window)
        order = rng.permutation(len(centres))
        for start in range(0, len(order) - batch + 1, batch):
            rows = order[start : start + batch]
            drawn = np.searchsorted(border, rng.random((batch, negatives))).clip(max=size - 1)
            i, j = centres[rows], np.concatenate([contexts[rows, None], drawn], axis=1)
            loss, d_centre, d_positive, d_negative = negative_sampling(
                tables[0][i], tables[1][j[:, 0]], tables[1][drawn]
            )
            losses.append(float(loss))
            rate = np.float32(lr * (1 - (epoch + start / len(order)) / epochs))
            d_context = np.concatenate([d_positive[:, None], d_negative], axis=1).reshape(-1, width)
            for table, squares, hit, grad in zip(tables, past, (i, j.ravel()), (d_centre, d_context), strict=True):
                places = (np.ones(len(hit), np.float32), (hit, np.arange(len(hit))))
                added = csr_array(places, shape=(size, len(hit))) @ grad.astype(np.float32)
                squares += (added**2).mean(axis=1, keepdims=True)
                table -= rate * added / np.sqrt(squares)
    return tables[0], [float(np.mean(losses[n : n + 50])) for n in range(0, len(losses), 50)]


def look_up(words: Sequence[str], vectors: NDArray[np.floating], wanted: Sequence[str]) -> NDArray[np.floating]:
    """The vectors of the wanted words, in their order.

    Args:
        words: which word each row of `vectors` belongs to.
        vectors: of shape (V, d).
        wanted: some of the words.
    """
    index = {word: number for number, word in enumerate(words)}
    return vectors[[index[word] for word in wanted]]


def analogy_questions(words: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Every question that two pairs of a family make, if all four words are known and differ.

    Args:
        words: the known words.

    Returns:
        For each family an array of shape (n, 4): the places in `words` of a, b, c and d, where a is to b as c is to d.
    """
    index = {word: number for number, word in enumerate(words)}
    questions = {}
    for family, text in FAMILIES.items():
        listed = [index.get(word, -1) for word in text.split()]
        pairs = [pair for pair in zip(listed[::2], listed[1::2], strict=True) if -1 not in pair]
        rows = [[*one, *other] for one, other in permutations(pairs, 2) if len({*one, *other}) == 4]
        questions[family] = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return questions


def three_answers(
    analogy: Callable[..., list[int]],
    models: Mapping[str, NDArray[np.floating]],
    words: Sequence[str],
    question: str,
    exclude: bool = True,
) -> str:
    """A line with an analogy question and the three best answers of each model.

    Args:
        analogy: the function of the lab on semantic search.
        models: {name: the vectors of the words, of length 1, shape (V, d)}.
        words: the V words.
        question: the words a, b and c of "a is to b as c is to what?", with spaces between.
        exclude: whether these three are forbidden as answers.
    """
    a, b, c = question.split()
    places = [words.index(word) for word in (a, b, c)]
    answers = {name: analogy(vectors, *places, 3, exclude) for name, vectors in models.items()}
    shown = "; ".join(f"{name}: {', '.join(words[i] for i in best)}" for name, best in answers.items())
    return f"{a} : {b} as {c} : ?{'' if exclude else ' (a, b, c allowed)'}  {shown}"


def answer_shares(
    analogy: Callable[..., list[int]], models: Mapping[str, NDArray[np.floating]], words: Sequence[str]
) -> tuple[dict[tuple[str, bool, str], float], dict[tuple[str, str], float]]:
    """Ask all analogy questions, with a, b and c forbidden as answers and without.

    Args:
        analogy: the function of the lab on semantic search.
        models: {name: the vectors of the words, of length 1, shape (V, d)}.
        words: the V words.

    Returns:
        (right, echoes): {(model, forbidden, family): share of right answers}, and {(model, family): how large a share
        of the answers is a, b or c if these are allowed}. Families without questions are left out.
    """
    right, echoes = {}, {}
    for name, vectors in models.items():
        for family, rows in analogy_questions(words).items():
            if not len(rows):
                continue
            for exclude in (True, False):
                answers = np.array([analogy(vectors, a, b, c, 1, exclude)[0] for a, b, c, _ in rows.tolist()])
                right[name, exclude, family] = float((answers == rows[:, 3]).mean())
            echoes[name, family] = float((answers[:, None] == rows[:, :3]).any(axis=1).mean())
    return right, echoes
