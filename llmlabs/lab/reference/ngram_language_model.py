"""The solved exercises of 02_traditional_language_models/ngram_language_model.

Made from source/02_traditional_language_models/ngram_language_model.py by `llmlabs build`: edit that file, not this one.
"""

import math
from collections import Counter
from itertools import chain

import numpy as np
from numpy import ndarray


def build_vocabulary(sentences: list[list[str]], min_count: int = 2) -> set[str]:
    """Return the words seen min_count times or more in all sentences together, and "<unk>" and "</s>", but not "<s>"."""
    counts = Counter(chain.from_iterable(sentences))
    return {word for word, count in counts.items() if count >= min_count} | {"<unk>", "</s>"}


def pad(sentence: list[str], vocabulary: set[str], n: int) -> list[str]:
    """Return n - 1 times "<s>", then the words, each that is not in the vocabulary as "<unk>", then one "</s>".

    n is 1 or more, the sentence may be empty, and the arguments are not changed.
    """
    return ["<s>"] * (n - 1) + [word if word in vocabulary else "<unk>" for word in sentence] + ["</s>"]


def count_ngrams(padded: list[list[str]], n: int) -> dict[tuple[str, ...], int]:
    """Return a dict (or Counter) from each n-gram within a sentence, a tuple of n tokens, to its count.

    N-grams whose last token is "<s>" are not counted, so sentences padded for a larger n give the same counts. The
    unigrams of [["<s>", "a", "a", "</s>"]] are {("a",): 2, ("</s>",): 1}.
    """
    counts = Counter(chain.from_iterable(zip(*(s[i:] for i in range(n)), strict=False) for s in padded))
    return {gram: count for gram, count in counts.items() if gram[-1] != "<s>"}


def make_table(counts: dict[tuple[str, ...], int]) -> tuple[dict, dict, dict]:
    """Return (counts, totals, followers), dicts or Counters, for the counts of n-grams of one length.

    counts as they were given, unchanged; totals and followers from each context that occurs, a tuple of n - 1 tokens,
    to N(h) and to T(h). From {("a", "b"): 2, ("a", "c"): 1} come totals {("a",): 3} and followers {("a",): 2}.
    """
    totals: Counter = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    return counts, totals, Counter(gram[:-1] for gram in counts)


def additive(gram: tuple[str, ...], table: tuple[dict, dict, dict], vocab_size: int, k: float = 1.0) -> float:
    """Return P_k(w | h) for the n-gram gram = (*h, w).

    Args:
        table: of n-grams, as `make_table` returns it, in plain dicts; not changed.
        vocab_size: V above, 1 or more.
        k: 0 or more. With k = 0 a context that never occurred has no estimate: return 0.0 then.
    """
    denominator = table[1].get(gram[:-1], 0) + k * vocab_size
    return (table[0].get(gram, 0) + k) / denominator if denominator else 0.0


def perplexity(model, padded: list[list[str]], n: int, characters: int) -> tuple[float, float]:
    """Return the perplexity of a text (per token, per character), two floats; both math.inf if any P is 0.

    Args:
        model: a function from an n-gram (*h, w), a tuple of n tokens, to P(w | h), that knows no other arguments.
        padded: sentences as `pad` returns them, for this n or a larger one. Every token but "<s>" is predicted.
        n, characters: n and C above, 1 or more.

    The product of all P may be far below the smallest float.
    """
    grams = [tuple(s[i - n + 1 : i + 1]) for s in padded for i in range(len(s)) if s[i] != "<s>"]
    p = [model(gram) for gram in grams]
    surprise = -sum(map(math.log, p)) if min(p) > 0 else math.inf
    return math.exp(surprise / len(p)), math.exp(surprise / characters)


def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    """Return the probability of something unseen and, for each r of nr, Turing's r* (0.0 before a hole).

    nr: from each r that occurs to N_r, both above 0, in any order; not changed. There may be no singletons.
    """
    n = sum(r * number for r, number in nr.items())
    return nr.get(1, 0) / n, {r: (r + 1) * nr.get(r + 1, 0) / number for r, number in nr.items()}


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    """Return r* by Simple Good-Turing for each r of nr, as described above, without renormalisation.

    nr: as for `turing`, with two or more different r; not changed. For {1: 5, 2: 2, 3: 1}: 0.73..., 1.66..., 2.63...
    """
    rs = sorted(nr)
    z = [2 * nr[r] / (t - q) for q, r, t in zip([0, *rs], rs, [*rs[1:], 2 * rs[-1] - rs[-2]], strict=False)]
    slope = float(np.polyfit(np.log(rs), np.log(z), 1)[0])
    raw, adjusted, keep = turing(nr)[1], {}, True
    for r in rs:
        line, ratio = r * (1 + 1 / r) ** (slope + 1), nr.get(r + 1, 0) / nr[r]
        deviation = (r + 1) * math.sqrt(ratio / nr[r] * (1 + ratio))
        keep = keep and ratio > 0 and abs(raw[r] - line) > 1.96 * deviation
        adjusted[r] = raw[r] if keep else line
    return adjusted


def katz(gram: tuple[str, ...], tables: dict, adjusted: dict, weights: dict, vocab_size: int) -> float:
    """Return P(w | h) by back-off for gram = (*h, w); for a unigram additive(gram, tables[1], vocab_size).

    Args (none of them is changed):
        gram: of one token up to as many as the highest order.
        tables: from each order 1, 2, ..., n to the table (counts, totals, followers) of its n-grams.
        adjusted: from each order 2, ..., n to a dict from r to r*.
        weights: from each context of one token or more that occurs to its alpha.
    """
    if len(gram) == 1:
        return additive(gram, tables[1], vocab_size)
    counts, totals, _ = tables[len(gram)]
    if gram in counts:
        return adjusted[len(gram)][counts[gram]] / totals[gram[:-1]]
    return weights.get(gram[:-1], 1.0) * katz(gram[1:], tables, adjusted, weights, vocab_size)


def backoff_weights(tables: dict, adjusted: dict, vocab_size: int) -> dict[tuple[str, ...], float]:
    """Return alpha(h) for each context h of one token or more that occurs in the tables; arguments as for `katz`.

    No context was followed by the whole vocabulary: there would be nobody to give the rest to.
    """
    weights: dict[tuple[str, ...], float] = {}
    for order in range(2, max(tables) + 1):
        counts, totals, _ = tables[order]
        freed, lower = dict.fromkeys(totals, 1.0), dict.fromkeys(totals, 1.0)
        for gram, count in counts.items():
            freed[gram[:-1]] -= adjusted[order][count] / totals[gram[:-1]]
            lower[gram[:-1]] -= katz(gram[1:], tables, adjusted, weights, vocab_size)
        weights |= {h: freed[h] / lower[h] for h in totals}
    return weights


def estimate_discount(counts: dict[tuple[str, ...], int]) -> float:
    """Return D = n_1 / (n_1 + 2 n_2); at least one n-gram has a count of 1 or 2."""
    nr = Counter(counts.values())
    return nr[1] / (nr[1] + 2 * nr[2])


def kneser_ney_tables(counts: dict[tuple[str, ...], int], n: int) -> dict[int, tuple[dict, dict, dict]]:
    """Return, from each order n, n - 1, ..., 1, its table (counts, totals, followers). Use make_table(counts).

    Order n has the counts given, of n-grams, which are not changed; the others have continuation counts.
    """
    tables = {n: make_table(counts)}
    for order in range(n - 1, 0, -1):
        tables[order] = make_table(Counter(gram[1:] for gram in tables[order + 1][0]))
    return tables


def kneser_ney(gram: tuple[str, ...], tables: dict, discount: float, vocab_size: int) -> float:
    """Return P(w | h) by interpolated Kneser-Ney for gram = (*h, w); 1 / vocab_size for the empty gram ().

    Args:
        gram: of as many tokens as the highest order, or fewer.
        tables: as `kneser_ney_tables` returns them, in plain dicts; not changed.
        discount: D, from 0 to 1, for all orders.
    """
    if not gram:
        return 1.0 / vocab_size
    lower = kneser_ney(gram[1:], tables, discount, vocab_size)
    h, (counts, totals, followers) = gram[:-1], tables[len(gram)]
    if h not in totals:
        return lower
    return (max(counts.get(gram, 0) - discount, 0.0) + discount * followers[h] * lower) / totals[h]


def temper(p: ndarray, temperature: float) -> ndarray:
    """Return the distribution at this temperature: float64 of shape (V,), adding up to one, never NaN.

    Args:
        p: float64 of shape (V,), not changed: probabilities, some but not all perhaps 0, that need not add up to one.
        temperature: 0 or more; at 0 the largest entry (of equal ones the first) gets 1.0 and all others 0.0.

    Raises:
        ValueError: for a temperature below 0.
    """
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    """Draw one sentence from an n-gram model; return its tokens, without "<s>" and "</s>".

    Args:
        model: a function from an n-gram (*h, w), a tuple of n tokens, to P(w | h); n is 1 or more.
        candidates: the tokens that may be drawn, "</s>" perhaps among them; their P need not add up to one.
        temperature, seed: of `temper`, and of the draws; the same seed gives the same sentence, another seed other draws.
        max_tokens: stop after so many tokens, 0 or more.
    """
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]
