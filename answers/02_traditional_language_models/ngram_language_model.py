# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# Known answers to the exercises of `ngram_language_model`: wrong ones that a test must catch, and other right ones. `llmlabs verify` grades them.

# %%
# the imports of the lab, for editors and linters; every answer below defines the whole solution cell anew
import math
from collections import Counter
from itertools import chain

import numpy as np
from numpy import ndarray

from llmlabs.lab.reference import ngram_language_model as reference


# %% exercise="ngram-counting" kind="wrong" name="more than min_count, not at least" fails="ngram-counting-example" says="seen twice or more"
def build_vocabulary(sentences: list[list[str]], min_count: int = 2) -> set[str]:
    counts = Counter(chain.from_iterable(sentences))
    return {word for word, count in counts.items() if count > min_count} | {"<unk>", "</s>"}


def pad(sentence: list[str], vocabulary: set[str], n: int) -> list[str]:
    return ["<s>"] * (n - 1) + [word if word in vocabulary else "<unk>" for word in sentence] + ["</s>"]


def count_ngrams(padded: list[list[str]], n: int) -> dict[tuple[str, ...], int]:
    counts = Counter(chain.from_iterable(zip(*(s[i:] for i in range(n)), strict=False) for s in padded))
    return {gram: count for gram, count in counts.items() if gram[-1] != "<s>"}


# %% exercise="ngram-counting" kind="wrong" name="in how many sentences a word occurs" fails="ngram-counting-properties" says="count over all sentences"
def build_vocabulary(sentences: list[list[str]], min_count: int = 2) -> set[str]:
    counts = Counter(chain.from_iterable(map(set, sentences)))
    return {word for word, count in counts.items() if count >= min_count} | {"<unk>", "</s>"}


def pad(sentence: list[str], vocabulary: set[str], n: int) -> list[str]:
    return ["<s>"] * (n - 1) + [word if word in vocabulary else "<unk>" for word in sentence] + ["</s>"]


def count_ngrams(padded: list[list[str]], n: int) -> dict[tuple[str, ...], int]:
    counts = Counter(chain.from_iterable(zip(*(s[i:] for i in range(n)), strict=False) for s in padded))
    return {gram: count for gram, count in counts.items() if gram[-1] != "<s>"}


# %% exercise="ngram-counting" kind="wrong" name="no end mark" fails="ngram-counting-example" says="padded for n = 2"
def build_vocabulary(sentences: list[list[str]], min_count: int = 2) -> set[str]:
    counts = Counter(chain.from_iterable(sentences))
    return {word for word, count in counts.items() if count >= min_count} | {"<unk>", "</s>"}


def pad(sentence: list[str], vocabulary: set[str], n: int) -> list[str]:
    return ["<s>"] * (n - 1) + [word if word in vocabulary else "<unk>" for word in sentence]


def count_ngrams(padded: list[list[str]], n: int) -> dict[tuple[str, ...], int]:
    counts = Counter(chain.from_iterable(zip(*(s[i:] for i in range(n)), strict=False) for s in padded))
    return {gram: count for gram, count in counts.items() if gram[-1] != "<s>"}


# %% exercise="ngram-counting" kind="wrong" name="n marks in front" fails="ngram-counting-example" says="padded for n = 2"
def build_vocabulary(sentences: list[list[str]], min_count: int = 2) -> set[str]:
    counts = Counter(chain.from_iterable(sentences))
    return {word for word, count in counts.items() if count >= min_count} | {"<unk>", "</s>"}


def pad(sentence: list[str], vocabulary: set[str], n: int) -> list[str]:
    return ["<s>"] * n + [word if word in vocabulary else "<unk>" for word in sentence] + ["</s>"]


def count_ngrams(padded: list[list[str]], n: int) -> dict[tuple[str, ...], int]:
    counts = Counter(chain.from_iterable(zip(*(s[i:] for i in range(n)), strict=False) for s in padded))
    return {gram: count for gram, count in counts.items() if gram[-1] != "<s>"}


# %% exercise="ngram-counting" kind="wrong" name="unknown words left out" fails="ngram-counting-example" says="padded for n = 2"
def build_vocabulary(sentences: list[list[str]], min_count: int = 2) -> set[str]:
    counts = Counter(chain.from_iterable(sentences))
    return {word for word, count in counts.items() if count >= min_count} | {"<unk>", "</s>"}


def pad(sentence: list[str], vocabulary: set[str], n: int) -> list[str]:
    return ["<s>"] * (n - 1) + [word for word in sentence if word in vocabulary] + ["</s>"]


def count_ngrams(padded: list[list[str]], n: int) -> dict[tuple[str, ...], int]:
    counts = Counter(chain.from_iterable(zip(*(s[i:] for i in range(n)), strict=False) for s in padded))
    return {gram: count for gram, count in counts.items() if gram[-1] != "<s>"}


# %% exercise="ngram-counting" kind="wrong" name="n-grams that end in <s> counted too" fails="ngram-counting-properties" says="none that ends in <s>"
def build_vocabulary(sentences: list[list[str]], min_count: int = 2) -> set[str]:
    counts = Counter(chain.from_iterable(sentences))
    return {word for word, count in counts.items() if count >= min_count} | {"<unk>", "</s>"}


def pad(sentence: list[str], vocabulary: set[str], n: int) -> list[str]:
    return ["<s>"] * (n - 1) + [word if word in vocabulary else "<unk>" for word in sentence] + ["</s>"]


def count_ngrams(padded: list[list[str]], n: int) -> dict[tuple[str, ...], int]:
    return Counter(chain.from_iterable(zip(*(s[i:] for i in range(n)), strict=False) for s in padded))


# %% exercise="ngram-counting" kind="wrong" name="the last n-gram of each sentence missing" fails="ngram-counting-example" says="-grams of"
def build_vocabulary(sentences: list[list[str]], min_count: int = 2) -> set[str]:
    counts = Counter(chain.from_iterable(sentences))
    return {word for word, count in counts.items() if count >= min_count} | {"<unk>", "</s>"}


def pad(sentence: list[str], vocabulary: set[str], n: int) -> list[str]:
    return ["<s>"] * (n - 1) + [word if word in vocabulary else "<unk>" for word in sentence] + ["</s>"]


def count_ngrams(padded: list[list[str]], n: int) -> dict[tuple[str, ...], int]:
    counts = Counter(chain.from_iterable(zip(*(s[i:-1] for i in range(n)), strict=False) for s in padded))
    return {gram: count for gram, count in counts.items() if gram[-1] != "<s>"}


# %% exercise="ngram-counting" kind="wrong" name="any n-gram with <s> in it left out" fails="ngram-counting-example" says="-grams of"
def build_vocabulary(sentences: list[list[str]], min_count: int = 2) -> set[str]:
    counts = Counter(chain.from_iterable(sentences))
    return {word for word, count in counts.items() if count >= min_count} | {"<unk>", "</s>"}


def pad(sentence: list[str], vocabulary: set[str], n: int) -> list[str]:
    return ["<s>"] * (n - 1) + [word if word in vocabulary else "<unk>" for word in sentence] + ["</s>"]


def count_ngrams(padded: list[list[str]], n: int) -> dict[tuple[str, ...], int]:
    counts = Counter(chain.from_iterable(zip(*(s[i:] for i in range(n)), strict=False) for s in padded))
    return {gram: count for gram, count in counts.items() if "<s>" not in gram}


# %% exercise="ngram-counting" kind="wrong" name="words of the sentence replaced in place" fails="ngram-counting-properties" says="pad changed its argument"
def build_vocabulary(sentences, min_count=2):
    counts = Counter(chain.from_iterable(sentences))
    return {word for word, count in counts.items() if count >= min_count} | {"<unk>", "</s>"}


def pad(sentence, vocabulary, n):
    for i in range(len(sentence)):
        if sentence[i] not in vocabulary:
            sentence[i] = "<unk>"
    return ["<s>"] * (n - 1) + sentence + ["</s>"]


def count_ngrams(padded, n):
    grams = (tuple(s[i : i + n]) for s in padded for i in range(len(s) - n + 1))
    return Counter(gram for gram in grams if gram[-1] != "<s>")


# %% exercise="ngram-counting" kind="wrong" name="the worked example by heart" fails="ngram-counting-example" says="-grams of"
def build_vocabulary(sentences, min_count=2):
    return {"cat", "sat", "the", "<unk>", "</s>"}


def pad(sentence, vocabulary, n):
    return ["<s>", "the", "<unk>", "sat", "</s>"]


def count_ngrams(padded, n):
    if n == 1:
        return {("a",): 2, ("</s>",): 1}
    return {("<s>", "a"): 1, ("a", "</s>"): 1, ("<s>", "</s>"): 1}


# %% exercise="ngram-counting" kind="right" name="plain loops that print"
def build_vocabulary(sentences, min_count=2):
    counts = {}
    for sentence in sentences:
        for word in sentence:
            counts[word] = counts.get(word, 0) + 1
    vocabulary = {"<unk>", "</s>"}
    for word in counts:
        if not counts[word] < min_count:
            vocabulary.add(word)
    print("vocabulary:", len(vocabulary))
    return vocabulary


def pad(sentence, vocabulary, n):
    result = []
    for _ in range(1, n):
        result.append("<s>")
    for word in sentence:
        result.append(word if word in vocabulary else "<unk>")
    result.append("</s>")
    return result


def count_ngrams(padded, n):
    counts = {}
    for sentence in padded:
        for end in range(n, len(sentence) + 1):
            gram = tuple(sentence[end - n : end])
            if sentence[end - 1] == "<s>":
                continue
            counts[gram] = counts.get(gram, 0) + 1
    return counts


# %% exercise="ngram-counting" kind="right" name="all sentences in one list: the marks keep them apart"
def build_vocabulary(sentences: list[list[str]], min_count: int = 2) -> set[str]:
    counts = Counter(chain.from_iterable(sentences))
    return {word for word, count in counts.items() if count >= min_count} | {"<unk>", "</s>"}


def pad(sentence: list[str], vocabulary: set[str], n: int) -> list[str]:
    return ["<s>"] * (n - 1) + [word if word in vocabulary else "<unk>" for word in sentence] + ["</s>"]


def count_ngrams(padded: list[list[str]], n: int) -> dict[tuple[str, ...], int]:
    tokens = [*chain.from_iterable(padded)]
    counts = Counter(zip(*(tokens[i:] for i in range(n)), strict=False))
    return {gram: count for gram, count in counts.items() if gram[-1] != "<s>"}


# %% exercise="ngram-counting" kind="right" name="with zip and NLTK, and a warning"
import warnings

from nltk.lm import Vocabulary
from nltk.util import ngrams


def build_vocabulary(sentences, min_count=2):
    warnings.warn("NLTK decides", stacklevel=2)
    known = Vocabulary((word for sentence in sentences for word in sentence), unk_cutoff=min_count, unk_label="<unk>")
    return set(known) | {"<unk>", "</s>"}


def pad(sentence, vocabulary, n):
    return [*["<s>"] * (n - 1), *("<unk>" if word not in vocabulary else word for word in sentence), "</s>"]


def count_ngrams(padded, n):
    counts = Counter()
    for sentence in padded:
        counts.update(ngrams(sentence, n))
    for gram in [gram for gram in counts if gram[-1] == "<s>"]:
        del counts[gram]
    return counts


# %% exercise="ngram-additive" kind="wrong" name="k added once below, not V times" fails="ngram-additive-example" says="is k added for each of the V tokens?"
def make_table(counts: dict[tuple[str, ...], int]) -> tuple[dict, dict, dict]:
    totals: Counter = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    return counts, totals, Counter(gram[:-1] for gram in counts)


def additive(gram: tuple[str, ...], table: tuple[dict, dict, dict], vocab_size: int, k: float = 1.0) -> float:
    denominator = table[1].get(gram[:-1], 0) + k
    return (table[0].get(gram, 0) + k) / denominator if denominator else 0.0


# %% exercise="ngram-additive" kind="wrong" name="k only above" fails="ngram-additive-example" says="is k added for each of the V tokens?"
def make_table(counts: dict[tuple[str, ...], int]) -> tuple[dict, dict, dict]:
    totals: Counter = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    return counts, totals, Counter(gram[:-1] for gram in counts)


def additive(gram: tuple[str, ...], table: tuple[dict, dict, dict], vocab_size: int, k: float = 1.0) -> float:
    denominator = table[1].get(gram[:-1], 0)
    return (table[0].get(gram, 0) + k) / denominator if denominator else 0.0


# %% exercise="ngram-additive" kind="wrong" name="V taken for the followers that were seen" fails="ngram-additive-example" says="is k added for each of the V tokens?"
def make_table(counts: dict[tuple[str, ...], int]) -> tuple[dict, dict, dict]:
    totals: Counter = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    return counts, totals, Counter(gram[:-1] for gram in counts)


def additive(gram: tuple[str, ...], table: tuple[dict, dict, dict], vocab_size: int, k: float = 1.0) -> float:
    denominator = table[1].get(gram[:-1], 0) + k * table[2].get(gram[:-1], 0)
    return (table[0].get(gram, 0) + k) / denominator if denominator else 0.0


# %% exercise="ngram-additive" kind="wrong" name="no smoothing unless asked for" fails="ngram-additive-example" says="left out (1)"
def make_table(counts: dict[tuple[str, ...], int]) -> tuple[dict, dict, dict]:
    totals: Counter = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    return counts, totals, Counter(gram[:-1] for gram in counts)


def additive(gram: tuple[str, ...], table: tuple[dict, dict, dict], vocab_size: int, k: float = 0.0) -> float:
    denominator = table[1].get(gram[:-1], 0) + k * vocab_size
    return (table[0].get(gram, 0) + k) / denominator if denominator else 0.0


# %% exercise="ngram-additive" kind="wrong" name="followers counted as often as they occur" fails="ngram-additive-example" says="expected, got"
def make_table(counts: dict[tuple[str, ...], int]) -> tuple[dict, dict, dict]:
    totals: Counter = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    return counts, totals, totals


def additive(gram: tuple[str, ...], table: tuple[dict, dict, dict], vocab_size: int, k: float = 1.0) -> float:
    denominator = table[1].get(gram[:-1], 0) + k * vocab_size
    return (table[0].get(gram, 0) + k) / denominator if denominator else 0.0


# %% exercise="ngram-additive" kind="wrong" name="totals of different n-grams, not of occurrences" fails="ngram-additive-example" says="expected, got"
def make_table(counts: dict[tuple[str, ...], int]) -> tuple[dict, dict, dict]:
    totals: Counter = Counter()
    for gram in counts:
        totals[gram[:-1]] += 1
    return counts, totals, Counter(gram[:-1] for gram in counts)


def additive(gram: tuple[str, ...], table: tuple[dict, dict, dict], vocab_size: int, k: float = 1.0) -> float:
    denominator = table[1].get(gram[:-1], 0) + k * vocab_size
    return (table[0].get(gram, 0) + k) / denominator if denominator else 0.0


# %% exercise="ngram-additive" kind="wrong" name="a division by zero for a new context with k = 0" fails="ngram-additive-properties" says="division by zero"
def make_table(counts: dict[tuple[str, ...], int]) -> tuple[dict, dict, dict]:
    totals: Counter = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    return counts, totals, Counter(gram[:-1] for gram in counts)


def additive(gram: tuple[str, ...], table: tuple[dict, dict, dict], vocab_size: int, k: float = 1.0) -> float:
    denominator = table[1].get(gram[:-1], 0) + k * vocab_size
    return (table[0].get(gram, 0) + k) / denominator


# %% exercise="ngram-additive" kind="wrong" name="k = 0 and a new context: 1 / V" fails="ngram-additive-properties" says="k = 0 and a new context: 0"
def make_table(counts: dict[tuple[str, ...], int]) -> tuple[dict, dict, dict]:
    totals: Counter = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    return counts, totals, Counter(gram[:-1] for gram in counts)


def additive(gram: tuple[str, ...], table: tuple[dict, dict, dict], vocab_size: int, k: float = 1.0) -> float:
    denominator = table[1].get(gram[:-1], 0) + k * vocab_size
    return (table[0].get(gram, 0) + k) / denominator if denominator else 1.0 / vocab_size


# %% exercise="ngram-additive" kind="wrong" name="the context is the last token before only" fails="ngram-additive-properties" says="P("
def make_table(counts: dict[tuple[str, ...], int]) -> tuple[dict, dict, dict]:
    totals: Counter = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    return counts, totals, Counter(gram[:-1] for gram in counts)


def additive(gram: tuple[str, ...], table: tuple[dict, dict, dict], vocab_size: int, k: float = 1.0) -> float:
    denominator = table[1].get(gram[-2:-1], 0) + k * vocab_size
    return (table[0].get(gram, 0) + k) / denominator if denominator else 0.0


# %% exercise="ngram-additive" kind="wrong" name="a missing count added to the table" fails="ngram-additive-properties" says="changed its arguments"
def make_table(counts: dict[tuple[str, ...], int]) -> tuple[dict, dict, dict]:
    totals: Counter = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    return counts, totals, Counter(gram[:-1] for gram in counts)


def additive(gram: tuple[str, ...], table: tuple[dict, dict, dict], vocab_size: int, k: float = 1.0) -> float:
    denominator = table[1].get(gram[:-1], 0) + k * vocab_size
    return (table[0].setdefault(gram, 0) + k) / denominator if denominator else 0.0


# %% exercise="ngram-additive" kind="wrong" name="the worked example by heart" fails="ngram-additive-example" says="P("
def make_table(counts):
    return counts, {("the",): 3, ("cat",): 1}, {("the",): 2, ("cat",): 1}


def additive(gram, table, vocab_size, k=1.0):
    if k == 0:
        return 2 / 3 if gram[-1] == "cat" else 0.0
    return 3 / 8 if gram[-1] == "cat" else 1 / 8


# %% exercise="ngram-additive" kind="right" name="loops over contexts, and prints"
def make_table(counts):
    totals, followers = {}, {}
    for gram in counts:
        h = tuple(list(gram)[: len(gram) - 1])
        totals[h] = totals.get(h, 0) + counts[gram]
        followers.setdefault(h, set()).add(gram[-1])
    print(len(totals), "contexts")
    return dict(counts), totals, {h: len(words) for h, words in followers.items()}


def additive(gram, table, vocab_size, k=1.0):
    counts, totals, _ = table
    h = gram[:-1]
    seen = totals.get(h, 0)
    if seen == 0 and k == 0:
        return 0.0
    # a mixture of the MLE and the uniform distribution
    weight = seen / (seen + k * vocab_size)
    mle = counts.get(gram, 0) / seen if seen else 0.0
    return weight * mle + (1 - weight) / vocab_size


# %% exercise="ngram-additive" kind="right" name="defaultdicts and fractions"
from collections import defaultdict
from fractions import Fraction


def make_table(counts):
    totals, followers = defaultdict(int), defaultdict(int)
    for (*h, _), count in counts.items():
        totals[tuple(h)] += count
        followers[tuple(h)] += 1
    return counts, dict(totals), dict(followers)


def additive(gram, table, vocab_size, k=1.0):
    k = Fraction(k)
    try:
        return float((table[0].get(gram, 0) + k) / (table[1].get(gram[:-1], 0) + k * vocab_size))
    except ZeroDivisionError:
        return 0.0


# %% exercise="ngram-perplexity" kind="wrong" name="a product instead of a sum of logarithms" fails="ngram-perplexity-properties" says="a product underflows"
def perplexity(model, padded: list[list[str]], n: int, characters: int) -> tuple[float, float]:
    grams = [tuple(s[i - n + 1 : i + 1]) for s in padded for i in range(len(s)) if s[i] != "<s>"]
    p = [model(gram) for gram in grams]
    product = math.prod(p)
    if product == 0:
        return math.inf, math.inf
    return product ** (-1 / len(p)), product ** (-1 / characters)


# %% exercise="ngram-perplexity" kind="wrong" name="the mean of the sentences' perplexities" fails="ngram-perplexity-example" says="perplexity per token and per character"
def perplexity(model, padded, n, characters):
    each, total = [], 0.0
    for s in padded:
        p = [model(tuple(s[i - n + 1 : i + 1])) for i in range(len(s)) if s[i] != "<s>"]
        if min(p) == 0:
            return math.inf, math.inf
        surprise = -sum(map(math.log, p))
        total += surprise
        each.append(math.exp(surprise / len(p)))
    return sum(each) / len(each), math.exp(total / characters)


# %% exercise="ngram-perplexity" kind="wrong" name="the marks <s> counted among the tokens" fails="ngram-perplexity-example" says="perplexity per token"
def perplexity(model, padded: list[list[str]], n: int, characters: int) -> tuple[float, float]:
    grams = [tuple(s[i - n + 1 : i + 1]) for s in padded for i in range(len(s)) if s[i] != "<s>"]
    p = [model(gram) for gram in grams]
    surprise = -sum(map(math.log, p)) if min(p) > 0 else math.inf
    return math.exp(surprise / sum(map(len, padded))), math.exp(surprise / characters)


# %% exercise="ngram-perplexity" kind="wrong" name="the end of the sentence not predicted" fails="ngram-perplexity-example" says="perplexity per token"
def perplexity(model, padded: list[list[str]], n: int, characters: int) -> tuple[float, float]:
    grams = [tuple(s[i - n + 1 : i + 1]) for s in padded for i in range(len(s)) if s[i] not in ("<s>", "</s>")]
    p = [model(gram) for gram in grams]
    surprise = -sum(map(math.log, p)) if min(p) > 0 else math.inf
    return math.exp(surprise / len(p)), math.exp(surprise / characters)


# %% exercise="ngram-perplexity" kind="wrong" name="log of 0" fails="ngram-perplexity-properties" says="math domain error"
def perplexity(model, padded: list[list[str]], n: int, characters: int) -> tuple[float, float]:
    grams = [tuple(s[i - n + 1 : i + 1]) for s in padded for i in range(len(s)) if s[i] != "<s>"]
    p = [model(gram) for gram in grams]
    surprise = -sum(map(math.log, p))
    return math.exp(surprise / len(p)), math.exp(surprise / characters)


# %% exercise="ngram-perplexity" kind="wrong" name="impossible tokens skipped" fails="ngram-perplexity-properties" says="the text was called impossible"
def perplexity(model, padded: list[list[str]], n: int, characters: int) -> tuple[float, float]:
    grams = [tuple(s[i - n + 1 : i + 1]) for s in padded for i in range(len(s)) if s[i] != "<s>"]
    p = [q for q in map(model, grams) if q > 0]
    surprise = -sum(map(math.log, p)) if min(p) > 0 else math.inf
    return math.exp(surprise / len(p)), math.exp(surprise / characters)


# %% exercise="ngram-perplexity" kind="wrong" name="entropy in nats, no exp" fails="ngram-perplexity-example" says="perplexity per token"
def perplexity(model, padded: list[list[str]], n: int, characters: int) -> tuple[float, float]:
    grams = [tuple(s[i - n + 1 : i + 1]) for s in padded for i in range(len(s)) if s[i] != "<s>"]
    p = [model(gram) for gram in grams]
    surprise = -sum(map(math.log, p)) if min(p) > 0 else math.inf
    return surprise / len(p), surprise / characters


# %% exercise="ngram-perplexity" kind="wrong" name="bits under exp" fails="ngram-perplexity-example" says="perplexity per token"
def perplexity(model, padded: list[list[str]], n: int, characters: int) -> tuple[float, float]:
    grams = [tuple(s[i - n + 1 : i + 1]) for s in padded for i in range(len(s)) if s[i] != "<s>"]
    p = [model(gram) for gram in grams]
    surprise = -sum(map(math.log2, p)) if min(p) > 0 else math.inf
    return math.exp(surprise / len(p)), math.exp(surprise / characters)


# %% exercise="ngram-perplexity" kind="wrong" name="characters ignored" fails="ngram-perplexity-example" says="perplexity per token and per character"
def perplexity(model, padded: list[list[str]], n: int, characters: int) -> tuple[float, float]:
    grams = [tuple(s[i - n + 1 : i + 1]) for s in padded for i in range(len(s)) if s[i] != "<s>"]
    p = [model(gram) for gram in grams]
    surprise = -sum(map(math.log, p)) if min(p) > 0 else math.inf
    return math.exp(surprise / len(p)), math.exp(surprise / len(p))


# %% exercise="ngram-perplexity" kind="wrong" name="the first n - 1 positions skipped, which are words if the padding is longer" fails="ngram-perplexity-properties" says="('<s>',)"
def perplexity(model, padded: list[list[str]], n: int, characters: int) -> tuple[float, float]:
    grams = [tuple(s[i - n + 1 : i + 1]) for s in padded for i in range(n - 1, len(s))]
    p = [model(gram) for gram in grams]
    surprise = -sum(map(math.log, p)) if min(p) > 0 else math.inf
    return math.exp(surprise / len(p)), math.exp(surprise / characters)


# %% exercise="ngram-perplexity" kind="wrong" name="the worked example by heart" fails="ngram-perplexity-example" says="perplexity per token"
def perplexity(model, padded, n, characters):
    return 3 ** (1 / 4), 3 ** (1 / 12)


# %% exercise="ngram-perplexity" kind="right" name="NumPy, base 2, silent about log 0, with a progress bar"
from tqdm import tqdm


def perplexity(model, padded, n, characters):
    p = []
    for s in tqdm(padded):
        start = s.count("<s>")
        p.extend(float(model(tuple(s[end - n : end]))) for end in range(start + 1, len(s) + 1))
    with np.errstate(divide="ignore"):
        bits = -np.log2(np.array(p)).sum()
    return float(2.0 ** (bits / len(p))), float(2.0 ** (bits / characters))


# %% exercise="ngram-perplexity" kind="right" name="a loop that stops at the first zero and prints"
def perplexity(model, padded, n, characters):
    total, count = 0.0, 0
    for s in padded:
        for i, token in enumerate(s):
            if token == "<s>":
                continue
            p = model(tuple(s[i - n + 1 : i + 1]))
            if p == 0:
                print("impossible:", s[i - n + 1 : i + 1])
                return float("inf"), float("inf")
            total += math.log(1 / p)
            count += 1
    return math.e ** (total / count), math.e ** (total / characters)


# %% exercise="ngram-good-turing" kind="wrong" name="N counts n-grams, not occurrences" fails="ngram-good-turing-example" says="where N counts occurrences"
def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    n = sum(nr.values())
    return nr.get(1, 0) / n, {r: (r + 1) * nr.get(r + 1, 0) / number for r, number in nr.items()}


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    rs = sorted(nr)
    neighbours = zip(rs, [0, *rs], [*rs[1:], 2 * rs[-1] - rs[-2]], strict=False)
    z = [2 * nr[r] / (t - q) for r, q, t in neighbours]
    slope = float(np.polyfit(np.log(rs), np.log(z), 1)[0])
    raw, adjusted, keep = turing(nr)[1], {}, True
    for r in rs:
        line, ratio = r * (1 + 1 / r) ** (slope + 1), nr.get(r + 1, 0) / nr[r]
        deviation = (r + 1) * math.sqrt(ratio / nr[r] * (1 + ratio))
        keep = keep and ratio > 0 and abs(raw[r] - line) > 1.96 * deviation
        adjusted[r] = raw[r] if keep else line
    return adjusted


# %% exercise="ngram-good-turing" kind="wrong" name="r where r + 1 is due" fails="ngram-good-turing-example" says="Turing's r* of 1, 2, 3"
def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    n = sum(r * number for r, number in nr.items())
    return nr.get(1, 0) / n, {r: r * nr.get(r + 1, 0) / number for r, number in nr.items()}


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    rs = sorted(nr)
    neighbours = zip(rs, [0, *rs], [*rs[1:], 2 * rs[-1] - rs[-2]], strict=False)
    z = [2 * nr[r] / (t - q) for r, q, t in neighbours]
    slope = float(np.polyfit(np.log(rs), np.log(z), 1)[0])
    raw, adjusted, keep = turing(nr)[1], {}, True
    for r in rs:
        line, ratio = r * (1 + 1 / r) ** (slope + 1), nr.get(r + 1, 0) / nr[r]
        deviation = (r + 1) * math.sqrt(ratio / nr[r] * (1 + ratio))
        keep = keep and ratio > 0 and abs(raw[r] - line) > 1.96 * deviation
        adjusted[r] = raw[r] if keep else line
    return adjusted


# %% exercise="ngram-good-turing" kind="wrong" name="stumbles over a hole" fails="ngram-good-turing-example" says="4"
def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    n = sum(r * number for r, number in nr.items())
    return nr.get(1, 0) / n, {r: (r + 1) * nr[r + 1] / number for r, number in nr.items()}


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    rs = sorted(nr)
    neighbours = zip(rs, [0, *rs], [*rs[1:], 2 * rs[-1] - rs[-2]], strict=False)
    z = [2 * nr[r] / (t - q) for r, q, t in neighbours]
    slope = float(np.polyfit(np.log(rs), np.log(z), 1)[0])
    raw, adjusted, keep = turing(nr)[1], {}, True
    for r in rs:
        line, ratio = r * (1 + 1 / r) ** (slope + 1), nr.get(r + 1, 0) / nr[r]
        deviation = (r + 1) * math.sqrt(ratio / nr[r] * (1 + ratio))
        keep = keep and ratio > 0 and abs(raw[r] - line) > 1.96 * deviation
        adjusted[r] = raw[r] if keep else line
    return adjusted


# %% exercise="ngram-good-turing" kind="wrong" name="keeps r before a hole" fails="ngram-good-turing-example" says="3 stands before a hole"
def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    n = sum(r * number for r, number in nr.items())
    return nr.get(1, 0) / n, {r: (r + 1) * nr[r + 1] / number if r + 1 in nr else float(r) for r, number in nr.items()}


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    rs = sorted(nr)
    neighbours = zip(rs, [0, *rs], [*rs[1:], 2 * rs[-1] - rs[-2]], strict=False)
    z = [2 * nr[r] / (t - q) for r, q, t in neighbours]
    slope = float(np.polyfit(np.log(rs), np.log(z), 1)[0])
    raw, adjusted, keep = turing(nr)[1], {}, True
    for r in rs:
        line, ratio = r * (1 + 1 / r) ** (slope + 1), nr.get(r + 1, 0) / nr[r]
        deviation = (r + 1) * math.sqrt(ratio / nr[r] * (1 + ratio))
        keep = keep and ratio > 0 and abs(raw[r] - line) > 1.96 * deviation
        adjusted[r] = raw[r] if keep else line
    return adjusted


# %% exercise="ngram-good-turing" kind="wrong" name="the line through N_r, not through Z_r" fails="ngram-good-turing-properties" says="Simple Good-Turing for N_r"
def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    n = sum(r * number for r, number in nr.items())
    return nr.get(1, 0) / n, {r: (r + 1) * nr.get(r + 1, 0) / number for r, number in nr.items()}


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    rs = sorted(nr)
    z = [nr[r] for r in rs]
    slope = float(np.polyfit(np.log(rs), np.log(z), 1)[0])
    raw, adjusted, keep = turing(nr)[1], {}, True
    for r in rs:
        line, ratio = r * (1 + 1 / r) ** (slope + 1), nr.get(r + 1, 0) / nr[r]
        deviation = (r + 1) * math.sqrt(ratio / nr[r] * (1 + ratio))
        keep = keep and ratio > 0 and abs(raw[r] - line) > 1.96 * deviation
        adjusted[r] = raw[r] if keep else line
    return adjusted


# %% exercise="ngram-good-turing" kind="wrong" name="r* = r (1 + 1/r)^b" fails="ngram-good-turing-example" says="Simple Good-Turing of 1, 2, 3"
def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    n = sum(r * number for r, number in nr.items())
    return nr.get(1, 0) / n, {r: (r + 1) * nr.get(r + 1, 0) / number for r, number in nr.items()}


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    rs = sorted(nr)
    neighbours = zip(rs, [0, *rs], [*rs[1:], 2 * rs[-1] - rs[-2]], strict=False)
    z = [2 * nr[r] / (t - q) for r, q, t in neighbours]
    slope = float(np.polyfit(np.log(rs), np.log(z), 1)[0])
    raw, adjusted, keep = turing(nr)[1], {}, True
    for r in rs:
        line, ratio = r * (1 + 1 / r) ** slope, nr.get(r + 1, 0) / nr[r]
        deviation = (r + 1) * math.sqrt(ratio / nr[r] * (1 + ratio))
        keep = keep and ratio > 0 and abs(raw[r] - line) > 1.96 * deviation
        adjusted[r] = raw[r] if keep else line
    return adjusted


# %% exercise="ngram-good-turing" kind="wrong" name="the line for every r" fails="ngram-good-turing-properties" says="more than 1.96 deviations"
def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    n = sum(r * number for r, number in nr.items())
    return nr.get(1, 0) / n, {r: (r + 1) * nr.get(r + 1, 0) / number for r, number in nr.items()}


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    rs = sorted(nr)
    neighbours = zip(rs, [0, *rs], [*rs[1:], 2 * rs[-1] - rs[-2]], strict=False)
    z = [2 * nr[r] / (t - q) for r, q, t in neighbours]
    slope = float(np.polyfit(np.log(rs), np.log(z), 1)[0])
    raw, adjusted, keep = turing(nr)[1], {}, True
    for r in rs:
        line, ratio = r * (1 + 1 / r) ** (slope + 1), nr.get(r + 1, 0) / nr[r]
        deviation = (r + 1) * math.sqrt(ratio / nr[r] * (1 + ratio))
        keep = keep and ratio > 0 and abs(raw[r] - line) > 1.96 * deviation
        adjusted[r] = line
    return adjusted


# %% exercise="ngram-good-turing" kind="wrong" name="Turing before every r + 1 that occurs" fails="ngram-good-turing-example" says="Simple Good-Turing of 1, 2, 3"
def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    n = sum(r * number for r, number in nr.items())
    return nr.get(1, 0) / n, {r: (r + 1) * nr.get(r + 1, 0) / number for r, number in nr.items()}


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    rs = sorted(nr)
    neighbours = zip(rs, [0, *rs], [*rs[1:], 2 * rs[-1] - rs[-2]], strict=False)
    z = [2 * nr[r] / (t - q) for r, q, t in neighbours]
    slope = float(np.polyfit(np.log(rs), np.log(z), 1)[0])
    raw, adjusted, keep = turing(nr)[1], {}, True
    for r in rs:
        line, ratio = r * (1 + 1 / r) ** (slope + 1), nr.get(r + 1, 0) / nr[r]
        keep = ratio > 0
        adjusted[r] = raw[r] if keep else line
    return adjusted


# %% exercise="ngram-good-turing" kind="wrong" name="Turing again after the line" fails="ngram-good-turing-properties" says="even if a later r would pass"
def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    n = sum(r * number for r, number in nr.items())
    return nr.get(1, 0) / n, {r: (r + 1) * nr.get(r + 1, 0) / number for r, number in nr.items()}


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    rs = sorted(nr)
    neighbours = zip(rs, [0, *rs], [*rs[1:], 2 * rs[-1] - rs[-2]], strict=False)
    z = [2 * nr[r] / (t - q) for r, q, t in neighbours]
    slope = float(np.polyfit(np.log(rs), np.log(z), 1)[0])
    raw, adjusted, keep = turing(nr)[1], {}, True
    for r in rs:
        line, ratio = r * (1 + 1 / r) ** (slope + 1), nr.get(r + 1, 0) / nr[r]
        deviation = (r + 1) * math.sqrt(ratio / nr[r] * (1 + ratio))
        keep = ratio > 0 and abs(raw[r] - line) > 1.96 * deviation
        adjusted[r] = raw[r] if keep else line
    return adjusted


# %% exercise="ngram-good-turing" kind="wrong" name="one deviation instead of 1.96" fails="ngram-good-turing-properties" says="more than 1.96 deviations"
def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    n = sum(r * number for r, number in nr.items())
    return nr.get(1, 0) / n, {r: (r + 1) * nr.get(r + 1, 0) / number for r, number in nr.items()}


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    rs = sorted(nr)
    neighbours = zip(rs, [0, *rs], [*rs[1:], 2 * rs[-1] - rs[-2]], strict=False)
    z = [2 * nr[r] / (t - q) for r, q, t in neighbours]
    slope = float(np.polyfit(np.log(rs), np.log(z), 1)[0])
    raw, adjusted, keep = turing(nr)[1], {}, True
    for r in rs:
        line, ratio = r * (1 + 1 / r) ** (slope + 1), nr.get(r + 1, 0) / nr[r]
        deviation = (r + 1) * math.sqrt(ratio / nr[r] * (1 + ratio))
        keep = keep and ratio > 0 and abs(raw[r] - line) > 1.0 * deviation
        adjusted[r] = raw[r] if keep else line
    return adjusted


# %% exercise="ngram-good-turing" kind="wrong" name="rescaled to add up to N - N_1" fails="ngram-good-turing-example" says="Simple Good-Turing of 1, 2, 3"
def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    n = sum(r * number for r, number in nr.items())
    return nr.get(1, 0) / n, {r: (r + 1) * nr.get(r + 1, 0) / number for r, number in nr.items()}


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    rs = sorted(nr)
    neighbours = zip(rs, [0, *rs], [*rs[1:], 2 * rs[-1] - rs[-2]], strict=False)
    z = [2 * nr[r] / (t - q) for r, q, t in neighbours]
    slope = float(np.polyfit(np.log(rs), np.log(z), 1)[0])
    raw, adjusted, keep = turing(nr)[1], {}, True
    for r in rs:
        line, ratio = r * (1 + 1 / r) ** (slope + 1), nr.get(r + 1, 0) / nr[r]
        deviation = (r + 1) * math.sqrt(ratio / nr[r] * (1 + ratio))
        keep = keep and ratio > 0 and abs(raw[r] - line) > 1.96 * deviation
        adjusted[r] = raw[r] if keep else line
    total = sum(nr[r] * adjusted[r] for r in rs)
    left = sum(r * nr[r] for r in rs) - nr.get(1, 0)
    return {r: value * left / total for r, value in adjusted.items()}


# %% exercise="ngram-good-turing" kind="wrong" name="the gap of the largest count ends at itself" fails="ngram-good-turing-example" says="Simple Good-Turing of 1, 2, 3"
def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    n = sum(r * number for r, number in nr.items())
    return nr.get(1, 0) / n, {r: (r + 1) * nr.get(r + 1, 0) / number for r, number in nr.items()}


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    rs = sorted(nr)
    neighbours = zip(rs, [0, *rs], [*rs[1:], rs[-1]], strict=False)
    z = [2 * nr[r] / (t - q) for r, q, t in neighbours]
    slope = float(np.polyfit(np.log(rs), np.log(z), 1)[0])
    raw, adjusted, keep = turing(nr)[1], {}, True
    for r in rs:
        line, ratio = r * (1 + 1 / r) ** (slope + 1), nr.get(r + 1, 0) / nr[r]
        deviation = (r + 1) * math.sqrt(ratio / nr[r] * (1 + ratio))
        keep = keep and ratio > 0 and abs(raw[r] - line) > 1.96 * deviation
        adjusted[r] = raw[r] if keep else line
    return adjusted


# %% exercise="ngram-good-turing" kind="wrong" name="the worked example by heart" fails="ngram-good-turing-example" says="Turing's r* of 2 for"
def turing(nr):
    return 5 / 12, {1: 0.8, 2: 1.5, 3: 0.0}


def simple_good_turing(nr):
    return {1: 0.73226, 2: 1.66673, 3: 2.63604}


# %% exercise="ngram-good-turing" kind="right" name="least squares by hand, in loops that print"
def turing(nr):
    total, result = 0, {}
    for r in nr:
        total += r * nr[r]
        if r + 1 in nr:
            result[r] = (r + 1) * nr[r + 1] / nr[r]
        else:
            result[r] = 0.0
    return nr.get(1, 0) / total, result


def simple_good_turing(nr):
    rs = sorted(nr.keys())
    xs, ys = [], []
    for i, r in enumerate(rs):
        q = rs[i - 1] if i > 0 else 0
        t = rs[i + 1] if i + 1 < len(rs) else 2 * r - q
        xs.append(math.log(r))
        ys.append(math.log(nr[r] / (0.5 * (t - q))))
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    b = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum((x - mean_x) ** 2 for x in xs)
    a = mean_y - b * mean_x
    print("log Z =", a, "+", b, "log r")

    def smooth(r):
        return math.exp(a + b * math.log(r))

    result, switched = {}, False
    for r in rs:
        line = (r + 1) * smooth(r + 1) / smooth(r)
        if not switched and r + 1 in nr:
            x = (r + 1) * nr[r + 1] / nr[r]
            variance = (r + 1) ** 2 * nr[r + 1] / nr[r] ** 2 * (1 + nr[r + 1] / nr[r])
            switched = abs(x - line) <= 1.96 * math.sqrt(variance)
        else:
            switched = True
        result[r] = line if switched else x
    return result


# %% exercise="ngram-good-turing" kind="right" name="with scipy, and logging"
import logging

from scipy.stats import linregress


def turing(nr):
    counts = Counter(nr)
    return counts[1] / sum(r * counts[r] for r in nr), {r: (r + 1) * counts[r + 1] / counts[r] for r in nr}


def simple_good_turing(nr):
    r = np.array(sorted(nr))
    number = np.array([nr[x] for x in r.tolist()], float)
    gaps = np.append(r[1:], 2 * r[-1] - r[-2]) - np.append(0, r[:-1])
    b = linregress(np.log(r), np.log(2 * number / gaps)).slope
    logging.warning("slope %s", b)
    line = r * (1 + 1 / r) ** (b + 1)
    above = np.array([nr.get(x + 1, 0) for x in r.tolist()], float)
    own = (r + 1) * above / number
    passes = (above > 0) & (np.abs(own - line) > 1.96 * (r + 1) * np.sqrt(above / number**2 * (1 + above / number)))
    kept = np.cumprod(passes).astype(bool)
    return dict(zip(r.tolist(), np.where(kept, own, line).tolist(), strict=True))


# %% exercise="ngram-backoff" kind="wrong" name="alpha is what was freed, not divided" fails="ngram-backoff-example" says="alpha(the)"
def katz(gram: tuple[str, ...], tables: dict, adjusted: dict, weights: dict, vocab_size: int) -> float:
    if len(gram) == 1:
        return reference.additive(gram, tables[1], vocab_size)
    counts, totals, _ = tables[len(gram)]
    if gram in counts:
        return adjusted[len(gram)][counts[gram]] / totals[gram[:-1]]
    return weights.get(gram[:-1], 1.0) * katz(gram[1:], tables, adjusted, weights, vocab_size)


def backoff_weights(tables: dict, adjusted: dict, vocab_size: int) -> dict[tuple[str, ...], float]:
    weights: dict[tuple[str, ...], float] = {}
    for order in range(2, max(tables) + 1):
        counts, totals, _ = tables[order]
        freed, lower = dict.fromkeys(totals, 1.0), dict.fromkeys(totals, 1.0)
        for gram, count in counts.items():
            freed[gram[:-1]] -= adjusted[order][count] / totals[gram[:-1]]
            lower[gram[:-1]] -= katz(gram[1:], tables, adjusted, weights, vocab_size)
        weights |= {h: freed[h] for h in totals}
    return weights


# %% exercise="ngram-backoff" kind="wrong" name="alpha upside down" fails="ngram-backoff-example" says="alpha(the)"
def katz(gram: tuple[str, ...], tables: dict, adjusted: dict, weights: dict, vocab_size: int) -> float:
    if len(gram) == 1:
        return reference.additive(gram, tables[1], vocab_size)
    counts, totals, _ = tables[len(gram)]
    if gram in counts:
        return adjusted[len(gram)][counts[gram]] / totals[gram[:-1]]
    return weights.get(gram[:-1], 1.0) * katz(gram[1:], tables, adjusted, weights, vocab_size)


def backoff_weights(tables: dict, adjusted: dict, vocab_size: int) -> dict[tuple[str, ...], float]:
    weights: dict[tuple[str, ...], float] = {}
    for order in range(2, max(tables) + 1):
        counts, totals, _ = tables[order]
        freed, lower = dict.fromkeys(totals, 1.0), dict.fromkeys(totals, 1.0)
        for gram, count in counts.items():
            freed[gram[:-1]] -= adjusted[order][count] / totals[gram[:-1]]
            lower[gram[:-1]] -= katz(gram[1:], tables, adjusted, weights, vocab_size)
        weights |= {h: lower[h] / freed[h] for h in totals}
    return weights


# %% exercise="ngram-backoff" kind="wrong" name="counts as they are" fails="ngram-backoff-example" says="alpha(the)"
def katz(gram: tuple[str, ...], tables: dict, adjusted: dict, weights: dict, vocab_size: int) -> float:
    if len(gram) == 1:
        return reference.additive(gram, tables[1], vocab_size)
    counts, totals, _ = tables[len(gram)]
    if gram in counts:
        return counts[gram] / totals[gram[:-1]]
    return weights.get(gram[:-1], 1.0) * katz(gram[1:], tables, adjusted, weights, vocab_size)


def backoff_weights(tables: dict, adjusted: dict, vocab_size: int) -> dict[tuple[str, ...], float]:
    weights: dict[tuple[str, ...], float] = {}
    for order in range(2, max(tables) + 1):
        counts, totals, _ = tables[order]
        freed, lower = dict.fromkeys(totals, 1.0), dict.fromkeys(totals, 1.0)
        for gram, count in counts.items():
            freed[gram[:-1]] -= count / totals[gram[:-1]]
            lower[gram[:-1]] -= katz(gram[1:], tables, adjusted, weights, vocab_size)
        weights |= {h: freed[h] / lower[h] for h in totals}
    return weights


# %% exercise="ngram-backoff" kind="wrong" name="the rest added to seen words too" fails="ngram-backoff-example" says="P(cat | the)"
def katz(gram: tuple[str, ...], tables: dict, adjusted: dict, weights: dict, vocab_size: int) -> float:
    if len(gram) == 1:
        return reference.additive(gram, tables[1], vocab_size)
    counts, totals, _ = tables[len(gram)]
    if gram in counts:
        return adjusted[len(gram)][counts[gram]] / totals[gram[:-1]] + weights.get(gram[:-1], 1.0) * katz(
            gram[1:], tables, adjusted, weights, vocab_size
        )
    return weights.get(gram[:-1], 1.0) * katz(gram[1:], tables, adjusted, weights, vocab_size)


def backoff_weights(tables: dict, adjusted: dict, vocab_size: int) -> dict[tuple[str, ...], float]:
    weights: dict[tuple[str, ...], float] = {}
    for order in range(2, max(tables) + 1):
        counts, totals, _ = tables[order]
        freed, lower = dict.fromkeys(totals, 1.0), dict.fromkeys(totals, 1.0)
        for gram, count in counts.items():
            freed[gram[:-1]] -= adjusted[order][count] / totals[gram[:-1]]
            lower[gram[:-1]] -= katz(gram[1:], tables, adjusted, weights, vocab_size)
        weights |= {h: freed[h] / lower[h] for h in totals}
    return weights


# %% exercise="ngram-backoff" kind="wrong" name="no weight: stupid back-off" fails="ngram-backoff-example" says="P(sat | the)"
def katz(gram: tuple[str, ...], tables: dict, adjusted: dict, weights: dict, vocab_size: int) -> float:
    if len(gram) == 1:
        return reference.additive(gram, tables[1], vocab_size)
    counts, totals, _ = tables[len(gram)]
    if gram in counts:
        return adjusted[len(gram)][counts[gram]] / totals[gram[:-1]]
    return 0.4 * katz(gram[1:], tables, adjusted, weights, vocab_size)


def backoff_weights(tables: dict, adjusted: dict, vocab_size: int) -> dict[tuple[str, ...], float]:
    weights: dict[tuple[str, ...], float] = {}
    for order in range(2, max(tables) + 1):
        counts, totals, _ = tables[order]
        freed, lower = dict.fromkeys(totals, 1.0), dict.fromkeys(totals, 1.0)
        for gram, count in counts.items():
            freed[gram[:-1]] -= adjusted[order][count] / totals[gram[:-1]]
            lower[gram[:-1]] -= katz(gram[1:], tables, adjusted, weights, vocab_size)
        weights |= {h: freed[h] / lower[h] for h in totals}
    return weights


# %% exercise="ngram-backoff" kind="wrong" name="0 after an unknown context" fails="ngram-backoff-properties" says="an unknown context has alpha 1"
def katz(gram: tuple[str, ...], tables: dict, adjusted: dict, weights: dict, vocab_size: int) -> float:
    if len(gram) == 1:
        return reference.additive(gram, tables[1], vocab_size)
    counts, totals, _ = tables[len(gram)]
    if gram in counts:
        return adjusted[len(gram)][counts[gram]] / totals[gram[:-1]]
    return weights.get(gram[:-1], 0.0) * katz(gram[1:], tables, adjusted, weights, vocab_size)


def backoff_weights(tables: dict, adjusted: dict, vocab_size: int) -> dict[tuple[str, ...], float]:
    weights: dict[tuple[str, ...], float] = {}
    for order in range(2, max(tables) + 1):
        counts, totals, _ = tables[order]
        freed, lower = dict.fromkeys(totals, 1.0), dict.fromkeys(totals, 1.0)
        for gram, count in counts.items():
            freed[gram[:-1]] -= adjusted[order][count] / totals[gram[:-1]]
            lower[gram[:-1]] -= katz(gram[1:], tables, adjusted, weights, vocab_size)
        weights |= {h: freed[h] / lower[h] for h in totals}
    return weights


# %% exercise="ngram-backoff" kind="wrong" name="weights of the highest order only" fails="ngram-backoff-properties" says="contexts with a weight"
def katz(gram: tuple[str, ...], tables: dict, adjusted: dict, weights: dict, vocab_size: int) -> float:
    if len(gram) == 1:
        return reference.additive(gram, tables[1], vocab_size)
    counts, totals, _ = tables[len(gram)]
    if gram in counts:
        return adjusted[len(gram)][counts[gram]] / totals[gram[:-1]]
    return weights.get(gram[:-1], 1.0) * katz(gram[1:], tables, adjusted, weights, vocab_size)


def backoff_weights(tables: dict, adjusted: dict, vocab_size: int) -> dict[tuple[str, ...], float]:
    weights: dict[tuple[str, ...], float] = {}
    for order in range(max(tables), max(tables) + 1):
        counts, totals, _ = tables[order]
        freed, lower = dict.fromkeys(totals, 1.0), dict.fromkeys(totals, 1.0)
        for gram, count in counts.items():
            freed[gram[:-1]] -= adjusted[order][count] / totals[gram[:-1]]
            lower[gram[:-1]] -= reference.katz(
                gram[1:],
                tables,
                adjusted,
                reference.backoff_weights({k: tables[k] for k in tables if k < order}, adjusted, vocab_size),
                vocab_size,
            )
        weights |= {h: freed[h] / lower[h] for h in totals}
    return weights


# %% exercise="ngram-backoff" kind="wrong" name="drops the last token for the shorter n-gram" fails="ngram-backoff-example" says="P("
def katz(gram: tuple[str, ...], tables: dict, adjusted: dict, weights: dict, vocab_size: int) -> float:
    if len(gram) == 1:
        return reference.additive(gram, tables[1], vocab_size)
    counts, totals, _ = tables[len(gram)]
    if gram in counts:
        return adjusted[len(gram)][counts[gram]] / totals[gram[:-1]]
    return weights.get(gram[:-1], 1.0) * katz(gram[:-1], tables, adjusted, weights, vocab_size)


def backoff_weights(tables: dict, adjusted: dict, vocab_size: int) -> dict[tuple[str, ...], float]:
    weights: dict[tuple[str, ...], float] = {}
    for order in range(2, max(tables) + 1):
        counts, totals, _ = tables[order]
        freed, lower = dict.fromkeys(totals, 1.0), dict.fromkeys(totals, 1.0)
        for gram, count in counts.items():
            freed[gram[:-1]] -= adjusted[order][count] / totals[gram[:-1]]
            lower[gram[:-1]] -= katz(gram[1:], tables, adjusted, weights, vocab_size)
        weights |= {h: freed[h] / lower[h] for h in totals}
    return weights


# %% exercise="ngram-backoff" kind="wrong" name="the plain share of a shorter n-gram instead of its katz" fails="ngram-backoff-properties" says="division by zero"
def katz(gram, tables, adjusted, weights, vocab_size):
    if len(gram) == 1:
        return reference.additive(gram, tables[1], vocab_size)
    counts, totals, _ = tables[len(gram)]
    if gram in counts:
        return adjusted[len(gram)][counts[gram]] / totals[gram[:-1]]
    return weights.get(gram[:-1], 1.0) * katz(gram[1:], tables, adjusted, weights, vocab_size)


def backoff_weights(tables, adjusted, vocab_size):
    weights = {}
    for order in range(2, max(tables) + 1):
        counts, totals, _ = tables[order]
        freed, lower = dict.fromkeys(totals, 1.0), dict.fromkeys(totals, 1.0)
        for gram, count in counts.items():
            freed[gram[:-1]] -= adjusted[order][count] / totals[gram[:-1]]
            lower[gram[:-1]] -= reference.additive(gram[1:], tables[order - 1], vocab_size, 1.0 if order == 2 else 0.0)
        weights |= {h: freed[h] / lower[h] for h in totals}
    return weights


# %% exercise="ngram-backoff" kind="wrong" name="weights remembered in the caller's dict" fails="ngram-backoff-properties" says="katz changed its arguments"
def katz(gram: tuple[str, ...], tables: dict, adjusted: dict, weights: dict, vocab_size: int) -> float:
    if len(gram) == 1:
        return reference.additive(gram, tables[1], vocab_size)
    counts, totals, _ = tables[len(gram)]
    if gram in counts:
        return adjusted[len(gram)][counts[gram]] / totals[gram[:-1]]
    return weights.setdefault(gram[:-1], 1.0) * katz(gram[1:], tables, adjusted, weights, vocab_size)


def backoff_weights(tables: dict, adjusted: dict, vocab_size: int) -> dict[tuple[str, ...], float]:
    weights: dict[tuple[str, ...], float] = {}
    for order in range(2, max(tables) + 1):
        counts, totals, _ = tables[order]
        freed, lower = dict.fromkeys(totals, 1.0), dict.fromkeys(totals, 1.0)
        for gram, count in counts.items():
            freed[gram[:-1]] -= adjusted[order][count] / totals[gram[:-1]]
            lower[gram[:-1]] -= katz(gram[1:], tables, adjusted, weights, vocab_size)
        weights |= {h: freed[h] / lower[h] for h in totals}
    return weights


# %% exercise="ngram-backoff" kind="wrong" name="the counts of order 1 entered into the caller's adjusted" fails="ngram-backoff-properties" says="backoff_weights changed its arguments"
def katz(gram: tuple[str, ...], tables: dict, adjusted: dict, weights: dict, vocab_size: int) -> float:
    if len(gram) == 1:
        return reference.additive(gram, tables[1], vocab_size)
    counts, totals, _ = tables[len(gram)]
    if gram in counts:
        return adjusted[len(gram)][counts[gram]] / totals[gram[:-1]]
    return weights.get(gram[:-1], 1.0) * katz(gram[1:], tables, adjusted, weights, vocab_size)


def backoff_weights(tables: dict, adjusted: dict, vocab_size: int) -> dict[tuple[str, ...], float]:
    adjusted[1] = {r: float(r) for r in range(1, 40)}
    weights: dict[tuple[str, ...], float] = {}
    for order in range(2, max(tables) + 1):
        counts, totals, _ = tables[order]
        freed, lower = dict.fromkeys(totals, 1.0), dict.fromkeys(totals, 1.0)
        for gram, count in counts.items():
            freed[gram[:-1]] -= adjusted[order][count] / totals[gram[:-1]]
            lower[gram[:-1]] -= katz(gram[1:], tables, adjusted, weights, vocab_size)
        weights |= {h: freed[h] / lower[h] for h in totals}
    return weights


# %% exercise="ngram-backoff" kind="wrong" name="the worked example by heart" fails="ngram-backoff-example" says="alpha(the)"
def katz(gram, tables, adjusted, weights, vocab_size):
    return {"cat": 1 / 2, "<unk>": 1 / 6, "sat": 1 / 11, "the": 4 / 33, "</s>": 4 / 33}[gram[-1]]


def backoff_weights(tables, adjusted, vocab_size):
    return {("the",): 17 / 33}


# %% exercise="ngram-backoff" kind="right" name="context by context, with a progress bar"
from collections import defaultdict

from tqdm import tqdm


def katz(gram, tables, adjusted, weights, vocab_size):
    n = len(gram)
    if n == 1:
        counts, totals, _ = tables[1]
        return (counts.get(gram, 0) + 1) / (totals[()] + vocab_size)
    h, count = gram[:-1], tables[n][0].get(gram, 0)
    if count > 0:
        return adjusted[n][count] / tables[n][1][h]
    lower = katz(gram[1:], tables, adjusted, weights, vocab_size)
    return lower * weights[h] if h in weights else lower


def backoff_weights(tables, adjusted, vocab_size):
    weights = {}
    for order in sorted(tables)[1:]:
        counts, totals, _ = tables[order]
        grams = defaultdict(list)
        for gram in counts:
            grams[gram[:-1]].append(gram)
        for h in tqdm(totals):
            kept = sum(adjusted[order][counts[gram]] for gram in grams[h]) / totals[h]
            seen = sum(katz(gram[1:], tables, adjusted, weights, vocab_size) for gram in grams[h])
            weights[h] = (1 - kept) / (1 - seen)
    return weights


# %% exercise="ngram-backoff" kind="right" name="a loop instead of a recursion, and a warning"
import warnings
from collections import defaultdict


def katz(gram, tables, adjusted, weights, vocab_size):
    factor = 1.0
    while len(gram) > 1:
        counts, totals, _ = tables[len(gram)]
        if gram in counts:
            return factor * adjusted[len(gram)][counts[gram]] / totals[gram[:-1]]
        factor *= weights.get(gram[:-1], 1)
        gram = gram[1:]
    return factor * reference.additive(gram, tables[1], vocab_size)


def backoff_weights(tables, adjusted, vocab_size):
    warnings.warn("this takes a while", stacklevel=2)
    weights = {}
    for order in range(2, len(tables) + 1):
        above, below = defaultdict(float), defaultdict(float)
        for gram, count in tables[order][0].items():
            above[gram[:-1]] += adjusted[order][count]
            below[gram[:-1]] += katz(gram[1:], tables, adjusted, weights, vocab_size)
        for h in above:
            weights[h] = (1 - above[h] / tables[order][1][h]) / (1 - below[h])
    return weights


# %% exercise="ngram-kneser-ney" kind="wrong" name="lower orders with plain counts" fails="ngram-kneser-ney-example" says="continuation counts of the toy corpus"
def estimate_discount(counts):
    nr = Counter(counts.values())
    return nr[1] / (nr[1] + 2 * nr[2])


def kneser_ney_tables(counts, n):
    tables = {n: reference.make_table(counts)}
    for order in range(n - 1, 0, -1):
        lower = Counter()
        for gram, count in tables[order + 1][0].items():
            lower[gram[1:]] += count
        tables[order] = reference.make_table(lower)
    return tables


def kneser_ney(gram, tables, discount, vocab_size):
    return reference.kneser_ney(gram, tables, discount, vocab_size)


# %% exercise="ngram-kneser-ney" kind="wrong" name="tokens after the n-gram instead of before" fails="ngram-kneser-ney-example" says="continuation counts of the toy corpus"
def estimate_discount(counts: dict[tuple[str, ...], int]) -> float:
    nr = Counter(counts.values())
    return nr[1] / (nr[1] + 2 * nr[2])


def kneser_ney_tables(counts: dict[tuple[str, ...], int], n: int) -> dict[int, tuple[dict, dict, dict]]:
    tables = {n: reference.make_table(counts)}
    for order in range(n - 1, 0, -1):
        tables[order] = reference.make_table(Counter(gram[:-1] for gram in tables[order + 1][0]))
    return tables


def kneser_ney(gram: tuple[str, ...], tables: dict, discount: float, vocab_size: int) -> float:
    if not gram:
        return 1.0 / vocab_size
    lower = kneser_ney(gram[1:], tables, discount, vocab_size)
    counts, totals, followers = tables[len(gram)]
    h = gram[:-1]
    if h not in totals:
        return lower
    return (max(counts.get(gram, 0) - discount, 0.0) + discount * followers[h] * lower) / totals[h]


# %% exercise="ngram-kneser-ney" kind="wrong" name="different contexts of full length, not different tokens" fails="ngram-kneser-ney-properties" says="the number of different tokens before"
def estimate_discount(counts: dict[tuple[str, ...], int]) -> float:
    nr = Counter(counts.values())
    return nr[1] / (nr[1] + 2 * nr[2])


def kneser_ney_tables(counts: dict[tuple[str, ...], int], n: int) -> dict[int, tuple[dict, dict, dict]]:
    tables = {n: reference.make_table(counts)}
    for order in range(n - 1, 0, -1):
        tables[order] = reference.make_table(Counter(gram[n - order :] for gram in counts))
    return tables


def kneser_ney(gram: tuple[str, ...], tables: dict, discount: float, vocab_size: int) -> float:
    if not gram:
        return 1.0 / vocab_size
    lower = kneser_ney(gram[1:], tables, discount, vocab_size)
    counts, totals, followers = tables[len(gram)]
    h = gram[:-1]
    if h not in totals:
        return lower
    return (max(counts.get(gram, 0) - discount, 0.0) + discount * followers[h] * lower) / totals[h]


# %% exercise="ngram-kneser-ney" kind="wrong" name="T(h) forgotten" fails="ngram-kneser-ney-example" says="see the example by hand"
def estimate_discount(counts: dict[tuple[str, ...], int]) -> float:
    nr = Counter(counts.values())
    return nr[1] / (nr[1] + 2 * nr[2])


def kneser_ney_tables(counts: dict[tuple[str, ...], int], n: int) -> dict[int, tuple[dict, dict, dict]]:
    tables = {n: reference.make_table(counts)}
    for order in range(n - 1, 0, -1):
        tables[order] = reference.make_table(Counter(gram[1:] for gram in tables[order + 1][0]))
    return tables


def kneser_ney(gram: tuple[str, ...], tables: dict, discount: float, vocab_size: int) -> float:
    if not gram:
        return 1.0 / vocab_size
    lower = kneser_ney(gram[1:], tables, discount, vocab_size)
    counts, totals, _ = tables[len(gram)]
    h = gram[:-1]
    if h not in totals:
        return lower
    return (max(counts.get(gram, 0) - discount, 0.0) + discount * lower) / totals[h]


# %% exercise="ngram-kneser-ney" kind="wrong" name="the lower order only for what was not seen" fails="ngram-kneser-ney-example" says="see the example by hand"
def estimate_discount(counts: dict[tuple[str, ...], int]) -> float:
    nr = Counter(counts.values())
    return nr[1] / (nr[1] + 2 * nr[2])


def kneser_ney_tables(counts: dict[tuple[str, ...], int], n: int) -> dict[int, tuple[dict, dict, dict]]:
    tables = {n: reference.make_table(counts)}
    for order in range(n - 1, 0, -1):
        tables[order] = reference.make_table(Counter(gram[1:] for gram in tables[order + 1][0]))
    return tables


def kneser_ney(gram: tuple[str, ...], tables: dict, discount: float, vocab_size: int) -> float:
    if not gram:
        return 1.0 / vocab_size
    lower = kneser_ney(gram[1:], tables, discount, vocab_size)
    counts, totals, followers = tables[len(gram)]
    h = gram[:-1]
    if h not in totals:
        return lower
    if gram in counts:
        return max(counts[gram] - discount, 0.0) / totals[h]
    return discount * followers[h] * lower / totals[h]


# %% exercise="ngram-kneser-ney" kind="wrong" name="counts below zero" fails="ngram-kneser-ney-example" says="see the example by hand"
def estimate_discount(counts: dict[tuple[str, ...], int]) -> float:
    nr = Counter(counts.values())
    return nr[1] / (nr[1] + 2 * nr[2])


def kneser_ney_tables(counts: dict[tuple[str, ...], int], n: int) -> dict[int, tuple[dict, dict, dict]]:
    tables = {n: reference.make_table(counts)}
    for order in range(n - 1, 0, -1):
        tables[order] = reference.make_table(Counter(gram[1:] for gram in tables[order + 1][0]))
    return tables


def kneser_ney(gram: tuple[str, ...], tables: dict, discount: float, vocab_size: int) -> float:
    if not gram:
        return 1.0 / vocab_size
    lower = kneser_ney(gram[1:], tables, discount, vocab_size)
    counts, totals, followers = tables[len(gram)]
    h = gram[:-1]
    if h not in totals:
        return lower
    return ((counts.get(gram, 0) - discount) + discount * followers[h] * lower) / totals[h]


# %% exercise="ngram-kneser-ney" kind="wrong" name="0 after an unknown context" fails="ngram-kneser-ney-properties" says="does an unknown context pass on?"
def estimate_discount(counts: dict[tuple[str, ...], int]) -> float:
    nr = Counter(counts.values())
    return nr[1] / (nr[1] + 2 * nr[2])


def kneser_ney_tables(counts: dict[tuple[str, ...], int], n: int) -> dict[int, tuple[dict, dict, dict]]:
    tables = {n: reference.make_table(counts)}
    for order in range(n - 1, 0, -1):
        tables[order] = reference.make_table(Counter(gram[1:] for gram in tables[order + 1][0]))
    return tables


def kneser_ney(gram: tuple[str, ...], tables: dict, discount: float, vocab_size: int) -> float:
    if not gram:
        return 1.0 / vocab_size
    lower = kneser_ney(gram[1:], tables, discount, vocab_size)
    counts, totals, followers = tables[len(gram)]
    h = gram[:-1]
    if h not in totals:
        return 0.0
    return (max(counts.get(gram, 0) - discount, 0.0) + discount * followers[h] * lower) / totals[h]


# %% exercise="ngram-kneser-ney" kind="wrong" name="an unknown context is a KeyError" fails="ngram-kneser-ney-properties" says="'</s>'"
def estimate_discount(counts: dict[tuple[str, ...], int]) -> float:
    nr = Counter(counts.values())
    return nr[1] / (nr[1] + 2 * nr[2])


def kneser_ney_tables(counts: dict[tuple[str, ...], int], n: int) -> dict[int, tuple[dict, dict, dict]]:
    tables = {n: reference.make_table(counts)}
    for order in range(n - 1, 0, -1):
        tables[order] = reference.make_table(Counter(gram[1:] for gram in tables[order + 1][0]))
    return tables


def kneser_ney(gram: tuple[str, ...], tables: dict, discount: float, vocab_size: int) -> float:
    if not gram:
        return 1.0 / vocab_size
    lower = kneser_ney(gram[1:], tables, discount, vocab_size)
    counts, totals, followers = tables[len(gram)]
    h = gram[:-1]
    return (max(counts.get(gram, 0) - discount, 0.0) + discount * followers[h] * lower) / totals[h]


# %% exercise="ngram-kneser-ney" kind="wrong" name="ends at the unigrams, without 1 / V" fails="ngram-kneser-ney-properties" says="with two words never seen"
def estimate_discount(counts: dict[tuple[str, ...], int]) -> float:
    nr = Counter(counts.values())
    return nr[1] / (nr[1] + 2 * nr[2])


def kneser_ney_tables(counts: dict[tuple[str, ...], int], n: int) -> dict[int, tuple[dict, dict, dict]]:
    tables = {n: reference.make_table(counts)}
    for order in range(n - 1, 0, -1):
        tables[order] = reference.make_table(Counter(gram[1:] for gram in tables[order + 1][0]))
    return tables


def kneser_ney(gram: tuple[str, ...], tables: dict, discount: float, vocab_size: int) -> float:
    if not gram:
        return 1.0 / vocab_size
    if len(gram) == 1:
        return tables[1][0].get(gram, 0) / tables[1][1][()]
    lower = kneser_ney(gram[1:], tables, discount, vocab_size)
    counts, totals, followers = tables[len(gram)]
    h = gram[:-1]
    if h not in totals:
        return lower
    return (max(counts.get(gram, 0) - discount, 0.0) + discount * followers[h] * lower) / totals[h]


# %% exercise="ngram-kneser-ney" kind="wrong" name="the discount without the 2" fails="ngram-kneser-ney-example" says="D of the toy bigrams"
def estimate_discount(counts: dict[tuple[str, ...], int]) -> float:
    nr = Counter(counts.values())
    return nr[1] / (nr[1] + nr[2])


def kneser_ney_tables(counts: dict[tuple[str, ...], int], n: int) -> dict[int, tuple[dict, dict, dict]]:
    tables = {n: reference.make_table(counts)}
    for order in range(n - 1, 0, -1):
        tables[order] = reference.make_table(Counter(gram[1:] for gram in tables[order + 1][0]))
    return tables


def kneser_ney(gram: tuple[str, ...], tables: dict, discount: float, vocab_size: int) -> float:
    if not gram:
        return 1.0 / vocab_size
    lower = kneser_ney(gram[1:], tables, discount, vocab_size)
    counts, totals, followers = tables[len(gram)]
    h = gram[:-1]
    if h not in totals:
        return lower
    return (max(counts.get(gram, 0) - discount, 0.0) + discount * followers[h] * lower) / totals[h]


# %% exercise="ngram-kneser-ney" kind="wrong" name="continuation counts in the highest order too" fails="ngram-kneser-ney-properties" says="in order n the counts given"
def estimate_discount(counts: dict[tuple[str, ...], int]) -> float:
    nr = Counter(counts.values())
    return nr[1] / (nr[1] + 2 * nr[2])


def kneser_ney_tables(counts: dict[tuple[str, ...], int], n: int) -> dict[int, tuple[dict, dict, dict]]:
    tables = {n: reference.make_table(dict.fromkeys(counts, 1))}
    for order in range(n - 1, 0, -1):
        tables[order] = reference.make_table(Counter(gram[1:] for gram in tables[order + 1][0]))
    return tables


def kneser_ney(gram: tuple[str, ...], tables: dict, discount: float, vocab_size: int) -> float:
    if not gram:
        return 1.0 / vocab_size
    lower = kneser_ney(gram[1:], tables, discount, vocab_size)
    counts, totals, followers = tables[len(gram)]
    h = gram[:-1]
    if h not in totals:
        return lower
    return (max(counts.get(gram, 0) - discount, 0.0) + discount * followers[h] * lower) / totals[h]


# %% exercise="ngram-kneser-ney" kind="wrong" name="the worked example by heart" fails="ngram-kneser-ney-example" says="see the example by hand"
def estimate_discount(counts):
    return 5 / 9


def kneser_ney_tables(counts, n):
    return {1: ({("the",): 1, ("cat",): 1, ("<unk>",): 2, ("sat",): 2, ("</s>",): 2}, {(): 8}, {(): 5})}


def kneser_ney(gram, tables, discount, vocab_size):
    return {("sat",): 1 / 4, ("the", "cat"): 13 / 24, ("the", "sat"): 1 / 12}.get(gram, 1 / 5)


# %% exercise="ngram-kneser-ney" kind="right" name="sets of predecessors, from the bottom up, with prints"
from collections import defaultdict


def estimate_discount(counts):
    once = len([gram for gram in counts if counts[gram] == 1])
    twice = len([gram for gram in counts if counts[gram] == 2])
    print("n1", once, "n2", twice)
    return once / (once + 2 * twice)


def kneser_ney_tables(counts, n):
    tables = {n: reference.make_table(dict(counts))}
    for order in reversed(range(1, n)):
        before = defaultdict(set)
        for first, *rest in tables[order + 1][0]:
            before[tuple(rest)].add(first)
        tables[order] = reference.make_table({gram: len(tokens) for gram, tokens in before.items()})
    return tables


def kneser_ney(gram, tables, discount, vocab_size):
    p = 1 / vocab_size
    for size in range(1, len(gram) + 1):
        part = gram[len(gram) - size :]
        counts, totals, followers = tables[size]
        total = totals.get(part[:-1], 0)
        if total > 0:
            own = counts.get(part, 0)
            p = (own - min(own, discount)) / total + discount * followers[part[:-1]] / total * p
    return p


# %% exercise="ngram-kneser-ney" kind="right" name="recursion with a warning, make_table written anew"
import warnings


def estimate_discount(counts):
    values = list(counts.values())
    return values.count(1) / (values.count(1) + 2 * values.count(2))


def kneser_ney_tables(counts, n):
    def table(some):
        totals, followers = Counter(), Counter()
        for gram, count in some.items():
            totals[gram[:-1]] += count
            followers[gram[:-1]] += 1
        return some, totals, followers

    if n == 1:
        return {1: table(counts)}
    lower = Counter()
    for gram in counts:
        lower[gram[1:]] += 1
    return {n: table(counts), **kneser_ney_tables(lower, n - 1)}


def kneser_ney(gram, tables, discount, vocab_size):
    if len(gram) == 0:
        return 1 / vocab_size
    counts, totals, followers = tables[len(gram)]
    shorter = kneser_ney(gram[1:], tables, discount, vocab_size)
    if totals.get(gram[:-1], 0) == 0:
        warnings.warn(f"unknown context {gram[:-1]}", stacklevel=2)
        return shorter
    alpha = max(counts.get(gram, 0) - discount, 0) / totals[gram[:-1]]
    return alpha + discount * followers[gram[:-1]] / totals[gram[:-1]] * shorter


# %% exercise="ngram-sampling" kind="wrong" name="to the power of the temperature" fails="ngram-sampling-example" says="to the power of 1 / temperature"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** temperature
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="not divided by the sum" fails="ngram-sampling-example" says="to the power of 1 / temperature"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    return (p / p.max()) ** (1.0 / temperature)


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="no case for temperature 0" fails="ngram-sampling-example" says="division by zero"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="powers that underflow" fails="ngram-sampling-properties" says="powers underflow"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = p ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="of equal entries the last" fails="ngram-sampling-properties" says="the first of the largest"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[len(p) - 1 - np.argmax(p[::-1])]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="temperature 0 shared among equal entries" fails="ngram-sampling-properties" says="the first of the largest"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return (p == p.max()) / (p == p.max()).sum()
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="a negative temperature accepted" fails="ngram-sampling-properties" says="should raise ValueError"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="p changed in place" fails="ngram-sampling-properties" says="temper changed its argument"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    p /= p.max()
    powers = p ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="always the most likely" fails="ngram-sampling-properties" says="3,000 draws"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    tokens = ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[int(np.argmax(p))])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="the temperature not used in drawing" fails="ngram-sampling-properties" says="3,000 draws"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), 1.0)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="every candidate alike" fails="ngram-sampling-properties" says="3,000 draws"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates))])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="a new generator in every turn" fails="ngram-sampling-properties" says="3,000 draws"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        rng = np.random.default_rng(seed)
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="the seed ignored" fails="ngram-sampling-properties" says="the same seed"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="always seed 0" fails="ngram-sampling-properties" says="another seed another sentence"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(0), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="tokens[-0:] is everything" fails="ngram-sampling-properties" says="KeyError"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[-(n - 1) :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="the end mark returned" fails="ngram-sampling-example" says="without marks"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 :]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="the start marks returned" fails="ngram-sampling-example" says="without marks"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[:-1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="never stops at the end" fails="ngram-sampling-example" says="NaN"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="one token too many" fails="ngram-sampling-properties" says="greedy, 0 and 5 tokens"
def temper(p: ndarray, temperature: float) -> ndarray:
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens + 1):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="wrong" name="the worked example by heart" fails="ngram-sampling-example" says="to the power of 1 / temperature"
def temper(p, temperature):
    return {0.5: np.array([2 / 3, 1 / 6, 1 / 6]), 0.0: np.array([1.0, 0, 0])}.get(
        temperature, np.array([0.5, 0.25, 0.25])
    )


def generate(model, candidates, n, temperature, seed, max_tokens):
    return ["a", "b"]


# %% exercise="ngram-sampling" kind="right" name="logarithms, a softmax, and prints"
def temper(p, temperature):
    if temperature < 0:
        raise ValueError("the temperature is below 0")
    if temperature == 0:
        result = np.zeros(len(p))
        result[int(np.argmax(p))] = 1.0
        return result
    with np.errstate(divide="ignore"):
        logits = np.log(p) / temperature
    e = np.exp(logits - logits.max())
    return e / e.sum()


def generate(model, candidates, n, temperature, seed, max_tokens):
    rng = np.random.default_rng(seed)
    history = ("<s>",) * (n - 1)
    sentence = []
    while len(sentence) < max_tokens:
        p = temper(np.array([model((*history, w)) for w in candidates], dtype=float), temperature)
        word = str(rng.choice(np.array(candidates, dtype=object), p=p))
        if word == "</s>":
            print("end")
            break
        sentence.append(word)
        history = (*history, word)[1:] if n > 1 else ()
    return sentence


# %% exercise="ngram-sampling" kind="right" name="Python's own random numbers and a warning"
import random
import warnings


def temper(p, temperature):
    if temperature < 0:
        raise ValueError(temperature)
    best = max(p)
    if temperature == 0:
        first = list(p).index(best)
        return np.array([float(i == first) for i in range(len(p))])
    powers = [(x / best) ** (1 / temperature) if x > 0 else 0.0 for x in p]
    return np.array([x / sum(powers) for x in powers])


def generate(model, candidates, n, temperature, seed, max_tokens):
    warnings.warn("drawing", stacklevel=2)
    rng = random.Random(seed)
    tokens = ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tuple(tokens)[max(0, len(tokens) - (n - 1)) :]
        weights = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        word = rng.choices(candidates, weights=list(weights))[0]
        if word == "</s>":
            break
        tokens.append(word)
    return tokens[n - 1 :]


# %% exercise="ngram-sampling" kind="right" name="the largest of log p / temperature plus Gumbel noise"
def temper(p, temperature):
    if temperature < 0:
        raise ValueError("below 0")
    if not temperature:
        result = np.zeros(len(p))
        result[p.argmax()] = 1
        return result
    with np.errstate(divide="ignore"):
        scores = np.log(p) / temperature
    scores = np.exp(scores - scores.max())
    return scores / scores.sum()


def generate(model, candidates, n, temperature, seed, max_tokens):
    rng = np.random.default_rng(seed)
    context, out = ("<s>",) * (n - 1), []
    while len(out) < max_tokens:
        with np.errstate(divide="ignore"):
            log_p = np.log([model((*context, w)) for w in candidates])
        if temperature:
            log_p = log_p / temperature + rng.gumbel(size=len(candidates))
        word = candidates[int(log_p.argmax())]
        if word == "</s>":
            break
        out.append(word)
        context = (*context, word)[1:]
    return out
