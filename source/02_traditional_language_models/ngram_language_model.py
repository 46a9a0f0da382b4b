# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # An n-gram language model
#
# A language model gives every next word a probability. You will build the oldest kind that works, by counting: n-grams over the novels of Jane Austen, in words and in letters, with Laplace, Good-Turing and Kneser-Ney smoothing, back-off, perplexity and sampling. At the end you rank the smoothings over model order and training size, let the model write, and measure what no amount of counting can give it: that list is why the rest of the course exists. NLTK appears as the examiner.
#
# Later exercises call earlier pieces as `reference.name`, for example `reference.make_table`. That module holds the course's own solutions, so an exercise that you have not solved never blocks the next one. (The experiments in between do use your pieces, one after the other.)

# %% tags=["parameters"] nbgrader={"grade": false, "grade_id": "ngram-language-model-parameters", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
SCALE = "cpu"  # "gpu" trains on all six novels instead of Emma alone, up to n = 7; counting uses memory, not a GPU

# %% nbgrader={"grade": false, "grade_id": "ngram-language-model-imports", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
import math
from collections import Counter
from functools import partial
from itertools import chain, product
from operator import getitem

import matplotlib.pyplot as plt
import numpy as np
from nltk.lm import MLE, KneserNeyInterpolated, Lidstone, Vocabulary
from nltk.lm.preprocessing import padded_everygram_pipeline
from nltk.probability import FreqDist, SimpleGoodTuringProbDist
from nltk.util import ngrams
from numpy import ndarray
from numpy.testing import assert_allclose, assert_equal, assert_raises

from llmlabs.lab.data import NOVELS
from llmlabs.lab.plotting import use_course_style
from llmlabs.lab.prose import novel_sentences, words
from llmlabs.lab.reference import ngram_language_model as reference
from llmlabs.lab.testing import inside, seed

use_course_style()
train, valid, test = (novel_sentences("emma", part) for part in (slice(-7), slice(-7, -3), slice(-3, None)))  # chapters
others = [s for title in NOVELS[: 6 if SCALE == "gpu" else 2] if title != "emma" for s in novel_sentences(title)]
train, MAX_N = (others + train, 7) if SCALE == "gpu" else (train, 5)
print("words to train, validate, test on:", [sum(len(words(s)) for s in part) for part in (train, valid, test)])
print(f"{train[4]}  ->  {words(train[4])}")

# %% [markdown]
# ## 1. Counting: a model is a table
#
# By the chain rule the probability of a sentence $w_1 \dots w_m$ is $\prod_i P(w_i \mid w_1 \dots w_{i-1})$. Nobody has seen enough text to count whole histories, so the **Markov assumption** cuts them: an **n-gram** model lets a token depend on the $n - 1$ tokens before it, its *context* $h = w_{i-n+1} \dots w_{i-1}$. All that is left to learn are the counts $c(h\,w)$. Three decisions come before any count:
#
# - **Padding.** The first word has no context, so put $n - 1$ marks `<s>` before the sentence. A sentence must also be able to end, so `</s>` follows it; without it the probabilities of all sentences of each single length would add up to one. `<s>` is never predicted, so no n-gram that *ends* in it is counted.
# - **Unknown words.** New text brings new words. Choose the vocabulary on the training text (words seen at least `min_count` times) and replace every other word by `<unk>`, in training too: so the model learns how often, and where, it meets something it does not know.
# - **Token.** A word or a character: the same code serves both, for a sentence is a list of strings.
#
# **By hand**, the toy corpus of this lab: *the cat sat*, *the dog sat*, *the cat ran*. Seen twice or more: cat, sat, the. So the vocabulary is $\{$cat, sat, the, `<unk>`, `</s>`$\}$, $V = 5$. For $n = 2$ the second sentence becomes `<s>` the `<unk>` sat `</s>`. The bigrams: (`<s>`, the) three times; (the, cat) and (sat, `</s>`) twice; (the, `<unk>`), (cat, sat), (cat, `<unk>`), (`<unk>`, sat), (`<unk>`, `</s>`) once: 12 in all, one for each predicted token.
#
# <details><summary>Hint 1</summary>A <code>collections.Counter</code> counts whatever can be hashed, tuples too; it is a dict.</details>
# <details><summary>Hint 2</summary>The n-grams of one sentence s are <code>tuple(s[i : i + n])</code> for i from 0 to len(s) - n. Count sentence by sentence.</details>


# %% nbgrader={"grade": false, "grade_id": "ngram-counting", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def build_vocabulary(sentences: list[list[str]], min_count: int = 2) -> set[str]:
    """Return the words seen min_count times or more in all sentences together, and "<unk>" and "</s>", but not "<s>"."""
    ### BEGIN SOLUTION
    counts = Counter(chain.from_iterable(sentences))
    return {word for word, count in counts.items() if count >= min_count} | {"<unk>", "</s>"}
    ### END SOLUTION


def pad(sentence: list[str], vocabulary: set[str], n: int) -> list[str]:
    """Return n - 1 times "<s>", then the words, each that is not in the vocabulary as "<unk>", then one "</s>".

    n is 1 or more, the sentence may be empty, and the arguments are not changed.
    """
    ### BEGIN SOLUTION
    return ["<s>"] * (n - 1) + [word if word in vocabulary else "<unk>" for word in sentence] + ["</s>"]
    ### END SOLUTION


def count_ngrams(padded: list[list[str]], n: int) -> dict[tuple[str, ...], int]:
    """Return a dict (or Counter) from each n-gram within a sentence, a tuple of n tokens, to its count.

    N-grams whose last token is "<s>" are not counted, so sentences padded for a larger n give the same counts. The
    unigrams of [["<s>", "a", "a", "</s>"]] are {("a",): 2, ("</s>",): 1}.
    """
    ### BEGIN SOLUTION
    counts = Counter(chain.from_iterable(zip(*(s[i:] for i in range(n)), strict=False) for s in padded))
    return {gram: count for gram, count in counts.items() if gram[-1] != "<s>"}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ngram-counting-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
toy = [["the", "cat", "sat"], ["the", "dog", "sat"], ["the", "cat", "ran"]]
known = {"the", "cat", "sat", "<unk>", "</s>"}
assert_equal(build_vocabulary(toy), known, "vocabulary of the toy corpus: seen twice or more, and two marks")
assert_equal(pad(toy[1], known, 2), ["<s>", "the", "<unk>", "sat", "</s>"], "'the dog sat', padded for n = 2")
cases = [("<s> a a </s>", 1, "a:2 </s>:1"), ("<s> a </s>|<s> </s>", 2, "<s>,a:1 a,</s>:1 <s>,</s>:1")]
### BEGIN HIDDEN TESTS
new = f"w{seed('ngram-counting-example') % 1000}"
cases += [(f"<s> {new} b {new} b </s>", 2, f"<s>,{new}:1 {new},b:2 b,{new}:1 b,</s>:1")]
### END HIDDEN TESTS
for text, n, right in cases:
    counts = count_ngrams([s.split() for s in text.split("|")], n)
    got = {f"{','.join(gram)}:{count}" for gram, count in counts.items()}
    why = f"{n}-grams of {text}: {right} expected, got {got}; are the first and the last there?"
    assert got == {*right.split()}, why

# %% nbgrader={"grade": true, "grade_id": "ngram-counting-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: other texts, limits and orders, against NLTK; empty sentences; text padded for a larger n; arguments unchanged.
### BEGIN HIDDEN TESTS
rng, known = np.random.default_rng(seed("ngram-counting-properties")), {"a", "b", "x", "<unk>", "</s>"}
text = [rng.choice([*"aaabbbccdefgh"], size=size).tolist() for size in (9, 0, 1, 14, 9)] + [[*"xxx"], ["y", "y"], ["z"]]
for minimum in ([], [1], [2], [3], [4]):
    right = {*Vocabulary(chain.from_iterable(text), *(minimum or [2]), unk_label="<unk>"), "</s>"}
    why = f"min_count {minimum or 'left out (2)'}, text {text}: min_count times is enough; count over all sentences"
    assert_equal(sorted(build_vocabulary(text, *minimum)), sorted(right), why)
for n, s in product((1, 2, 4), text):
    given, right = [*s], ["<s>"] * (n - 1) + [w if w in known else "<unk>" for w in s] + ["</s>"]
    assert_equal(pad(s, known, n), right, f"pad({given}, {known}, {n}): n - 1 marks in front, one behind")
    assert_equal(s, given, "pad changed its argument: build a new list")
for n, more in product((1, 2, 3), (0, 2)):
    padded = [["<s>"] * (n - 1 + more) + s + ["</s>"] for s in text]
    right = Counter(gram for s in padded for gram in ngrams(s, n) if gram[-1] != "<s>")
    why = f"{n}-grams of {padded}: within sentences; none that ends in <s>"
    assert_equal(sorted(count_ngrams(padded, n).items()), sorted(right.items()), why)
### END HIDDEN TESTS

# %% [markdown]
# **Use it: how much of new text has been seen before?** Counts from the training chapters, looked up in the last three chapters of the novel. (No single word is new, because the unknown ones have become `<unk>`.) This one picture is the problem of the whole lab.

# %% nbgrader={"grade": false, "grade_id": "ngram-language-model-plot-unseen", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
split: dict = {"words": words, "characters": list}
vocabularies = {unit: build_vocabulary([f(s) for s in train]) for unit, f in split.items()}
train_text, valid_text, test_text = (  # padded for n = 8, which serves all smaller n
    {u: [pad(f(s), vocabularies[u], 8) for s in part] for u, f in split.items()} for part in (train, valid, test)
)
for unit, top, style in (("words", MAX_N, "o-"), ("characters", 8, "s--")):
    tables = [[count_ngrams(text[unit], n) for text in (train_text, test_text)] for n in range(1, top + 1)]
    unseen = [100 * sum(new[g] for g in new if g not in known) / sum(new.values()) for known, new in tables]
    plt.plot(range(1, top + 1), unseen, style, label=f"{unit}, vocabulary {len(vocabularies[unit])}")
    print(f"{unit}, n = 1 to {top}: {np.round(unseen, 1)} % unseen")
plt.gca().set(title="Most word trigrams of the last chapters are new", xlabel="n", ylabel="unseen in training, %")
plt.legend()
plt.show()

# %% [markdown]
# ## 2. Two estimates: maximum likelihood and Laplace
#
# Let $N(h) = \sum_w c(h\,w)$ be how often the context $h$ was followed by anything, and $V$ the number of tokens that can be predicted (the vocabulary with `<unk>` and `</s>`, without `<s>`). **Maximum likelihood** (MLE) takes the share, **additive smoothing** pretends that each token followed each context $k$ times more; $k = 1$ is **Laplace**, $k = 0$ is the MLE:
#
# $$P_\mathrm{MLE}(w \mid h) = \frac{c(h\,w)}{N(h)}, \qquad P_k(w \mid h) = \frac{c(h\,w) + k}{N(h) + kV}$$
#
# The MLE makes the training text as probable as it can be, and gives all its unseen neighbours probability 0: one unseen trigram, and the whole chapter is impossible. Laplace gives the same $k$ to everything, however absurd, and there are $V$ tokens to give it to.
#
# A model asks for $N(h)$ millions of times, so we compute it once. Kneser-Ney will also need $T(h)$, the number of *different* tokens that followed $h$. We keep all three dicts together and call the triple a **table**.
#
# **By hand.** In the toy corpus $c(\text{the cat}) = 2$, $N(\text{the}) = 3$, $T(\text{the}) = 2$. MLE: $P(\text{cat} \mid \text{the}) = \frac23$, $P(\text{sat} \mid \text{the}) = 0$. Laplace: $\frac{2+1}{3+5} = \frac38$ and $\frac18$; the three tokens that never followed *the* now hold $\frac38$ of it.
#
# <details><summary>Hint 1</summary>The context of an n-gram is <code>gram[:-1]</code>; that of a unigram is the empty tuple, and all is well.</details>
# <details><summary>Hint 2</summary>Each key of counts is a different n-gram, so it adds its count to totals, and 1 to followers.</details>


# %% nbgrader={"grade": false, "grade_id": "ngram-additive", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def make_table(counts: dict[tuple[str, ...], int]) -> tuple[dict, dict, dict]:
    """Return (counts, totals, followers), dicts or Counters, for the counts of n-grams of one length.

    counts as they were given, unchanged; totals and followers from each context that occurs, a tuple of n - 1 tokens,
    to N(h) and to T(h). From {("a", "b"): 2, ("a", "c"): 1} come totals {("a",): 3} and followers {("a",): 2}.
    """
    ### BEGIN SOLUTION
    totals: Counter = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    return counts, totals, Counter(gram[:-1] for gram in counts)
    ### END SOLUTION


def additive(gram: tuple[str, ...], table: tuple[dict, dict, dict], vocab_size: int, k: float = 1.0) -> float:
    """Return P_k(w | h) for the n-gram gram = (*h, w).

    Args:
        table: of n-grams, as `make_table` returns it, in plain dicts; not changed.
        vocab_size: V above, 1 or more.
        k: 0 or more. With k = 0 a context that never occurred has no estimate: return 0.0 then.
    """
    ### BEGIN SOLUTION
    denominator = table[1].get(gram[:-1], 0) + k * vocab_size
    return (table[0].get(gram, 0) + k) / denominator if denominator else 0.0
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ngram-additive-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
pairs: dict = {("the", "cat"): 2, ("the", "<unk>"): 1, ("cat", "sat"): 1}
table = (pairs, {("the",): 3, ("cat",): 1}, {("the",): 2, ("cat",): 1})
assert make_table(dict(pairs)) == table, f"for {pairs}: {table} expected, got {make_table(dict(pairs))}"
cases = [("cat", [0.0], 2 / 3), ("sat", [0.0], 0.0), ("cat", [], 3 / 8), ("sat", [], 1 / 8)]
### BEGIN HIDDEN TESTS
k = float(np.random.default_rng(seed("ngram-additive-example")).uniform(0.1, 3))
cases += [("cat", [k], (2 + k) / (3 + 5 * k)), ("the", [k], k / (3 + 5 * k))]
### END HIDDEN TESTS
for word, more, right in cases:
    why = f"P({word} | the) in the toy corpus, k = {more or 'left out (1)'}: is k added for each of the V tokens?"
    assert_allclose(additive(("the", word), table, 5, *more), right, rtol=1e-9, err_msg=why)

# %% nbgrader={"grade": true, "grade_id": "ngram-additive-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: tables and probabilities for n = 1, 2, 3, several k, against NLTK; contexts never seen; arguments unchanged.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("ngram-additive-properties"))
for n in (1, 2, 3):
    padded = [["<s>"] * (n - 1) + rng.choice([*"aabbbcd"], size=size).tolist() + ["</s>"] for size in (8, 3, 12, 5)]
    counts = dict(reference.count_ngrams(padded, n))
    contexts = sorted({gram[:-1] for gram in counts})
    totals = {h: sum(count for gram, count in counts.items() if gram[:-1] == h) for h in contexts}
    table = (counts, totals, {h: sum(gram[:-1] == h for gram in counts) for h in contexts})
    given, got = repr(table), tuple(map(dict, make_table(counts)))
    why = f"counts, totals, followers of {counts}: N(h) adds up occurrences, T(h) counts different tokens"
    assert got == table, f"{why}: {table} expected, got {got}"
    for k, h in product((0, 0.3, 1), {contexts[0], contexts[-1], ("new",) * (n - 1)}):
        library = Lidstone(k, n) if k else MLE(n)  # its V is 7: these six and <UNK>
        library.fit([[gram for gram in counts for _ in range(counts[gram])]], [*"abcd", "</s>", "<s>"])
        for word in ("a", "d", "</s>"):
            why = f"P({word} | {h}), k = {k}, V = 7, counts {counts}: against NLTK; k = 0 and a new context: 0"
            assert_allclose(additive((*h, word), table, 7, k), library.score(word, h), rtol=1e-9, err_msg=why)
    assert repr(table) == given, "additive or make_table changed its arguments; read a missing count with .get"
### END HIDDEN TESTS

# %% [markdown]
# **Use it: where Laplace takes it from.** After *Mr.* the training chapters know few words. See what adding one to all the others does to those.

# %% nbgrader={"grade": false, "grade_id": "ngram-language-model-stolen", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
vocab_size, bigrams = len(vocabularies["words"]), make_table(count_ngrams(train_text["words"], 2))
after = sorted((gram for gram in bigrams[0] if gram[0] == "Mr."), key=lambda gram: -bigrams[0][gram])
for gram in [*after[:4], ("Mr.", "never seen")]:
    mle, laplace = (additive(gram, bigrams, vocab_size, k) for k in (0, 1))
    print(f"P({gram[1]} | Mr.): MLE {mle:.4f}, Laplace {laplace:.4f}")
print(f"Laplace gives {(vocab_size - len(after)) * laplace:.0%} to {vocab_size - len(after)} tokens never seen there")

# %% [markdown]
# ## 3. Perplexity: how surprised on average?
#
# Of two models the better is the one that finds new text less surprising. Let the test text have $M$ predicted tokens (each `</s>` counts, `<s>` does not). **Perplexity** is the inverse probability of the text, per token:
#
# $$\mathrm{PP} = \Bigl(\prod_{i=1}^{M} P(w_i \mid h_i)\Bigr)^{-1/M} = \exp\Bigl(-\frac1M \sum_{i=1}^{M} \log P(w_i \mid h_i)\Bigr)$$
#
# A perplexity of 80 means: as unsure as if at each step 80 tokens were equally likely. The exponent is cross-entropy; divided by $\ln 2$ it is in bits. Tokens differ in size, so a word model and a character model can only be compared **per character**: the same product, but with the number of characters $C$ of the text in place of $M$.
#
# A product of 10,000 probabilities soon falls below $10^{-308}$, where floating point ends: add logarithms. And a single $P = 0$ makes the perplexity infinite, which is the right answer: the model said *impossible* and was wrong.
#
# **By hand**, *the cat sat* under the MLE bigrams of the toy corpus: $P(\text{the} \mid \texttt{<s>}) = 1$, $P(\text{cat} \mid \text{the}) = \frac23$, $P(\text{sat} \mid \text{cat}) = \frac12$, $P(\texttt{</s>} \mid \text{sat}) = 1$. The product is $\frac13$, $M = 4$: $\mathrm{PP} = 3^{1/4} \approx 1.316$. With 11 characters and one end of line, $C = 12$: $3^{1/12} \approx 1.096$ per character.
#
# <details><summary>Hint 1</summary>The n-gram that ends at position i of a padded sentence is <code>tuple(sentence[i - n + 1 : i + 1])</code>.</details>
# <details><summary>Hint 2</summary><code>math.log(0)</code> raises an error: return <code>(math.inf, math.inf)</code> before it comes to that.</details>


# %% nbgrader={"grade": false, "grade_id": "ngram-perplexity", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def perplexity(model, padded: list[list[str]], n: int, characters: int) -> tuple[float, float]:
    """Return the perplexity of a text (per token, per character), two floats; both math.inf if any P is 0.

    Args:
        model: a function from an n-gram (*h, w), a tuple of n tokens, to P(w | h), that knows no other arguments.
        padded: sentences as `pad` returns them, for this n or a larger one. Every token but "<s>" is predicted.
        n, characters: n and C above, 1 or more.

    The product of all P may be far below the smallest float.
    """
    ### BEGIN SOLUTION
    grams = [tuple(s[i - n + 1 : i + 1]) for s in padded for i in range(len(s)) if s[i] != "<s>"]
    p = [model(gram) for gram in grams]
    surprise = -sum(map(math.log, p)) if min(p) > 0 else math.inf
    return math.exp(surprise / len(p)), math.exp(surprise / characters)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ngram-perplexity-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
p = {("<s>", "the"): 1.0, ("the", "cat"): 2 / 3, ("cat", "sat"): 0.5, ("sat", "</s>"): 1.0}
cases = [(p, [["<s>", "the", "cat", "sat", "</s>"]], 12, 3**0.25, 3 ** (1 / 12))]
### BEGIN HIDDEN TESTS
a, b = np.random.default_rng(seed("ngram-perplexity-example")).uniform(0.1, 0.9, size=2).tolist()
p = {("<s>", "x"): a, ("x", "</s>"): b, ("<s>", "</s>"): 1 - a}
cases += [(p, [["<s>", "x", "</s>"], ["<s>", "</s>"]], 7, *((a * b * (1 - a)) ** (-1 / size) for size in (3, 7)))]
### END HIDDEN TESTS
for p, padded, characters, *right in cases:
    why = f"perplexity per token and per character of {padded}, C = {characters}, for the probabilities {p}"
    assert_allclose(perplexity(p.__getitem__, padded, 2, characters), right, rtol=1e-9, err_msg=why)

# %% nbgrader={"grade": true, "grade_id": "ngram-perplexity-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: what the model is asked, for n = 1 to 3 and larger paddings; unequal sentences; tiny and zero probabilities.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("ngram-perplexity-properties"))
text = [rng.choice([*"abc"], size=size).tolist() for size in (7, 0, 2, 4)]
for n, more in ((1, 0), (2, 0), (3, 0), (1, 2), (2, 1)):
    padded = [["<s>"] * (n - 1 + more) + s + ["</s>"] for s in text]
    asked = [gram for s in padded for gram in ngrams(s, n) if gram[-1] != "<s>"]
    p = {gram: float(rng.uniform(0.05, 1)) for gram in asked}  # any other n-gram is a KeyError
    surprise = -sum(math.log(p[gram]) for gram in asked)
    why = f"n = {n}, text {padded}, C = 40: asked {asked}, -sum of logs {surprise:.3f}, M = {len(asked)}, one mean over all"
    right = [math.exp(surprise / len(asked)), math.exp(surprise / 40)]
    assert_allclose(perplexity(p.__getitem__, padded, n, 40), right, rtol=1e-9, err_msg=why)
long, why = [["<s>", *"ab" * 10, "</s>"]], "21 tokens, each P = 1e-30: a product underflows to 0; add logarithms"
assert_allclose(perplexity(lambda gram: 1e-30, long, 2, 42), [1e30, 1e15], rtol=1e-6, err_msg=why)
got = perplexity(lambda gram: 0.0 if gram == ("a", "b") else 0.5, long, 2, 42)
assert_equal(got, (math.inf, math.inf), "one P is 0: the text was called impossible")
### END HIDDEN TESTS

# %% [markdown]
# **Use it: the vocabulary trap.** The same bigram model ($k = 0.01$) on the same test chapters; only the vocabulary changes. In the last line it was made from the words of the *test* chapters.

# %% nbgrader={"grade": false, "grade_id": "ngram-language-model-vocabulary-trap", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
train_words, test_words, characters = [*map(words, train)], [*map(words, test)], sum(len(s) + 1 for s in test)
choices = {f"training words seen {m} times or more": build_vocabulary(train_words, m) for m in (1, 2, 20, 1000)}
choices["the words of the test chapters"], trap = build_vocabulary(test_words, 1), []
for name, vocabulary in choices.items():
    padded, known = ([pad(s, vocabulary, 2) for s in part] for part in (test_words, train_words))
    model = partial(additive, table=make_table(count_ngrams(known, 2)), vocab_size=len(vocabulary), k=0.01)
    trap.append(perplexity(model, padded, 2, characters)[0])
    unknown = np.mean([token == "<unk>" for s in padded for token in s[1:]])
    print(f"{name}: V = {len(vocabulary)}, {unknown:.1%} of the test is <unk>, perplexity {trap[-1]:.1f}")
assert trap[3] == min(trap) and trap[4] < 0.8 * trap[0], "a smaller question has a smaller answer"

# %% [markdown]
# The fourth model knows thirty words, calls half of the text `<unk>`, and has by far the lowest perplexity, because guessing `<unk>` is easy: **perplexities can be compared only for the same vocabulary and the same test text.** The last one cheats. Compare it with the first, which leaves nearly as few words unknown: it was told which words will come, so it wastes no probability on the thousands that will not, and its perplexity is a quarter lower. In use nobody tells. The vocabulary, like $k$ and everything else, is chosen on training text, or on the validation chapters that we keep for such choices.
#
# *Think:* with the training words seen at least once there is no `<unk>` in training. Which probability does additive smoothing give to an unknown word then, and which would the MLE give?
#
# ## 4. Good-Turing: what singletons say about the unseen
#
# How probable is it that the next bigram is one you have never met? Good (1953), from Turing's work: look at what you have met exactly **once**. Take any one of the $N$ bigrams out of the text: does the rest of the text contain it? No, if and only if it is such a singleton. So a share $N_1/N$ of the text is new to the rest of it, and the next bigram should be new about as often. Let $N_r$ be the number of different n-grams seen exactly $r$ times (the *frequency of frequencies*), and $N = \sum_r r N_r$. Then
#
# $$P(\text{something unseen}) = \frac{N_1}{N}, \qquad r^* = (r + 1)\,\frac{N_{r+1}}{N_r}$$
#
# where $r^*$, the **adjusted count**, is what an n-gram seen $r$ times should count for. If every count up to the largest occurs, then $\sum_r N_r r^* = N - N_1$: exactly the mass of the singletons is set free.
#
# **The trap: holes.** If no n-gram has count $r + 1$, then $N_{r+1} = 0$ and $r^* = 0$: an n-gram seen 40 times would be impossible because none was seen 41 times. The most frequent n-gram *always* sits before a hole. **Simple Good-Turing** (Gale and Sampson 1995) fills them: spread each $N_r$ over the gap between its neighbours and lay a straight line through the logarithms,
#
# $$Z_r = \frac{2 N_r}{t - q}, \qquad \log Z_r \approx a + b \log r, \qquad r^*_\mathrm{line} = (r+1)\frac{e^{a + b\log(r+1)}}{e^{a + b\log r}} = r\,\Bigl(1 + \frac1r\Bigr)^{b+1}$$
#
# $q$ and $t$ are the next counts below and above $r$ that occur (below the smallest $q = 0$; above the largest $t = 2r - q$), $a$ and $b$ come from least squares over all $r$ that occur, each once. Small counts have good data, so Turing's $r^*$ is kept there: going up from the smallest $r$, use Turing's as long as $N_{r+1} > 0$ **and** it differs from the line by more than 1.96 standard deviations, $|r^* - r^*_\mathrm{line}| > 1.96\,(r+1)\sqrt{\frac{N_{r+1}}{N_r^2}\bigl(1 + \frac{N_{r+1}}{N_r}\bigr)}$. From the first $r$ where one of the two fails, use the line for all.
#
# **By hand**, the toy bigrams: $N_1 = 5$, $N_2 = 2$, $N_3 = 1$, $N = 12$. Unseen: $\frac5{12}$. $1^* = 2 \cdot \frac25 = 0.8$, $2^* = 3 \cdot \frac12 = 1.5$, $3^* = 4 \cdot \frac01 = 0$, a hole. $Z_1 = \frac{10}{2} = 5$, $Z_2 = \frac{4}{3-1} = 2$, $Z_3 = \frac{2}{4-2} = 1$, slope $b \approx -1.45$. At $r = 1$ the line says $2^{-0.45} \approx 0.73$; 0.8 is well within 1.96 standard deviations, so all three come from the line: 0.73, 1.67, 2.64.
#
# <details><summary>Hint 1</summary><code>Counter(counts.values())</code> is the frequency of frequencies. <code>np.polyfit(x, y, 1)</code> returns slope and intercept.</details>
# <details><summary>Hint 2</summary>Loop over <code>sorted(nr)</code> with a flag that starts as True and is set to False by the first r that fails; it never becomes True again.</details>


# %% nbgrader={"grade": false, "grade_id": "ngram-good-turing", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def turing(nr: dict[int, int]) -> tuple[float, dict[int, float]]:
    """Return the probability of something unseen and, for each r of nr, Turing's r* (0.0 before a hole).

    nr: from each r that occurs to N_r, both above 0, in any order; not changed. There may be no singletons.
    """
    ### BEGIN SOLUTION
    n = sum(r * number for r, number in nr.items())
    return nr.get(1, 0) / n, {r: (r + 1) * nr.get(r + 1, 0) / number for r, number in nr.items()}
    ### END SOLUTION


def simple_good_turing(nr: dict[int, int]) -> dict[int, float]:
    """Return r* by Simple Good-Turing for each r of nr, as described above, without renormalisation.

    nr: as for `turing`, with two or more different r; not changed. For {1: 5, 2: 2, 3: 1}: 0.73..., 1.66..., 2.63...
    """
    ### BEGIN SOLUTION
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
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ngram-good-turing-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
(unseen, raw), simple = turing({1: 5, 2: 2, 3: 1}), simple_good_turing({1: 5, 2: 2, 3: 1})
checks: list = [(unseen, 5 / 12, "mass of the unseen: N_1 / N, where N counts occurrences")]
checks += [([raw[1], raw[2], raw[3]], [0.8, 1.5, 0.0], "Turing's r* of 1, 2, 3; 3 stands before a hole")]
checks += [([simple[1], simple[2], simple[3]], [0.73226, 1.66673, 2.63604], "Simple Good-Turing of 1, 2, 3: the line")]
### BEGIN HIDDEN TESTS
a, b = np.random.default_rng(seed("ngram-good-turing-example")).integers(3, 99, size=2).tolist()
checks += [(turing({2: a, 3: b})[1][2], 3 * b / a, f"Turing's r* of 2 for N_2 = {a}, N_3 = {b}")]
### END HIDDEN TESTS
for value, right, why in checks:
    assert_allclose(value, right, rtol=1e-4, atol=1e-12, err_msg=why)

# %% nbgrader={"grade": true, "grade_id": "ngram-good-turing-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: other counts, without singletons, with holes; against NLTK and a published example; nr unchanged.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("ngram-good-turing-properties"))
# the prosody data of Gale and Sampson 1995: r* of 1 is 0.7628 when all has been rescaled to add up to one
some = "1:120 2:40 3:24 4:13 5:15 6:5 7:11 8:2 9:2 10:1 12:3 14:2 15:1 16:1 17:3 19:1 20:3 21:2 23:3 24:3 25:3 26:2 27:2 28:1 31:2 32:2 33:1 34:2 36:2 41:3 43:1 45:3 46:1 47:1 50:1 71:1 84:1 101:1 105:1 121:1 124:1 146:1 162:1 193:1 199:1 224:1 226:1 254:1 257:1 339:1 421:1 456:1 481:1 483:1 1140:1 1256:1 1322:1 1530:1 2131:1 2395:1 6925:1 7846:1"
cases = [{int(r): int(number) for r, number in (pair.split(":") for pair in some.split())}, {2: 30, 3: 9, 5: 4}]
cases += [{7: 1, 2: 90, 1: 400, 4: 21, 3: 60}, {1: 70, 3: 11, 4: 2}, {1: 5000, 2: 300, 3: 290, 4: 30}]
cases += [{1: 90000, 2: 9000, 3: 2500, 4: 1500, 5: 900, 6: 100, 7: 380, 9: 50, 40: 3}, {1: 247, 2: 287, 3: 214, 5: 85}]
cases += [{r: int(2e4 / r**2.5) + int(rng.integers(1, 9)) for r in range(1, 30)}]
for nr in cases:
    given, n = dict(nr), sum(r * number for r, number in nr.items())
    (unseen, raw), simple = turing(nr), simple_good_turing(nr)
    assert_equal(nr, given, "nr was changed: read a missing number with .get")
    assert_allclose(unseen, nr.get(1, 0) / n, rtol=1e-9, err_msg=f"unseen mass of {nr}: N_1 / N, N = {n}")
    library = SimpleGoodTuringProbDist(FreqDist({(r, i): r for r in nr for i in range(nr[r])}))
    scale = sum(nr[r] * v for r, v in reference.simple_good_turing(nr).items()) / (n - nr.get(1, 0))  # NLTK rescales
    right = [[(r + 1) * nr.get(r + 1, 0) / nr[r] for r in nr], [library.prob((r, 0)) * n * scale for r in nr]]
    assert_allclose([raw[r] for r in nr], right[0], rtol=1e-9, err_msg=f"Turing's r* for N_r {nr}")
    why = f"Simple Good-Turing for N_r {nr}: Turing's r* while N_(r+1) > 0 and it is more than 1.96 deviations from the line; from the first failure the line, even if a later r would pass"
    assert_allclose([simple[r] for r in nr], right[1], rtol=1e-6, err_msg=why)
    assert len(raw) == len(simple) == len(nr), f"one r* for each r of {sorted(nr)}; got {sorted(raw)}, {sorted(simple)}"
    assert nr is not cases[0] or abs(simple[1] / scale - 0.7628) < 5e-5, "r* of 1 for the published data: 0.7628"
### END HIDDEN TESTS

# %% [markdown]
# **Use it: is it true?** Count bigrams in every second sentence, and then see how often those with count $r$ really occur in the other half (Church and Gale 1991 did this experiment on 44 million words). No theory is needed for the last column; the other two never saw that half.

# %% nbgrader={"grade": false, "grade_id": "ngram-language-model-plot-good-turing", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
half, rest = (count_ngrams(train_text["words"][start::2], 2) for start in (0, 1))
nr, ratio = Counter(half.values()), sum(half.values()) / sum(rest.values())
(unseen, raw), adjusted, real = turing(nr), simple_good_turing(nr), dict.fromkeys(nr, 0.0)
new = sum(count for gram, count in rest.items() if gram not in half) / sum(rest.values())
print(f"never seen: {unseen:.1%} predicted by N_1 / N, {new:.1%} of the other half")
for gram, count in half.items():
    real[count] += rest.get(gram, 0) * ratio / nr[count]
for r in [*range(1, 6), *sorted(nr)[-2:]]:
    print(f"r {r:4}, N_r {nr[r]:5}: Turing {raw[r]:.2f}, Simple Good-Turing {adjusted[r]:.2f}, really {real[r]:.2f}")
assert abs(unseen - new) < 0.02 and abs(adjusted[1] - real[1]) < 0.1, "Good-Turing should predict the other half"
figure, (left, right) = plt.subplots(1, 2)
left.loglog(nr.keys(), nr.values(), ".")
left.set(title="Holes wherever counts are large", xlabel="count r", ylabel="number of bigrams, $N_r$")
for values, style, name in ((raw, "s:", "Turing"), (adjusted, "o-", "Simple Good-Turing"), (real, "^--", "other half")):
    right.plot(range(1, 16), [values[r] - r for r in range(1, 16)], style, markersize=4, label=name)
right.set(title="Small counts lose 0.6 to 1 each", xlabel="count r", ylabel="adjusted count minus r", ylim=(-3, 2))
right.legend()
plt.show()

# %% [markdown]
# (Turing's points at 13 and 14 lie outside the frame: neighbouring $N_r$ are small there, and their ratio is noise.)
#
# *Think:* every small count loses nearly the same amount, whatever $r$. What would you get if you simply subtracted 0.75 from each count? Hold on to that thought for exercise 6.
#
# ## 5. Back-off: ask a shorter context
#
# Good-Turing frees some probability for what never followed $h$; who gets how much? Laplace would say: all the same. **Back-off** (Katz 1987) says: ask the context that is one token shorter, $h'$ = $h$ without its first token. With the adjusted counts $r^*$ of each order,
#
# $$P(w \mid h) = \begin{cases} \dfrac{c^*(h\,w)}{N(h)} & c(h\,w) > 0 \\[2ex] \alpha(h)\,P(w \mid h') & \text{otherwise} \end{cases} \qquad \alpha(h) = \frac{1 - \sum_{w:\,c(hw) > 0} c^*(h\,w)/N(h)}{1 - \sum_{w:\,c(hw) > 0} P(w \mid h')}$$
#
# The **back-off weight** $\alpha(h)$ is what was freed after $h$, divided by what the shorter context gives to those tokens that need it; so the sum over all $w$ is one again. If $h$ itself never occurred, $\alpha(h) = 1$. At the bottom, unigrams, there is nothing shorter to ask: we use Laplace, which does little harm where $N$ is much larger than $V$. (Katz trusts counts above 5 as they are; then a context whose followers all have large counts frees nothing, and an unseen follower gets probability 0. Simple Good-Turing avoids that: its line lowers every count as long as $b < -1$.)
#
# **By hand**, the toy bigrams with $1^* = 0.5$, $2^* = 1.5$. After *the* ($N = 3$) came *cat* twice and `<unk>` once: $\frac{1.5}3 = \frac12$ and $\frac{0.5}3 = \frac16$. Freed: $\frac13$. Laplace on unigrams ($N = 12$, $V = 5$): the $\frac4{17}$, `</s>` $\frac4{17}$, cat, sat and `<unk>` $\frac3{17}$ each. So $\alpha(\text{the}) = \frac13 \big/ \bigl(1 - \frac6{17}\bigr) = \frac{17}{33}$ and $P(\text{sat} \mid \text{the}) = \frac{17}{33} \cdot \frac3{17} = \frac1{11}$. All five: $\frac12 + \frac16 + \frac3{33} + \frac4{33} + \frac4{33} = 1$.
#
# <details><summary>Hint 1</summary><code>katz</code> is a recursion on the length of gram. In the last case, <code>weights.get(gram[:-1], 1.0)</code> is the weight, and gram[1:] the shorter n-gram.</details>
# <details><summary>Hint 2</summary>For the weights go through the orders from 2 upwards: for each n-gram that occurs add c*/N(h) to one sum of its context, and katz(gram[1:], ...) to another. The lower order's weights are there already.</details>


# %% nbgrader={"grade": false, "grade_id": "ngram-backoff", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def katz(gram: tuple[str, ...], tables: dict, adjusted: dict, weights: dict, vocab_size: int) -> float:
    """Return P(w | h) by back-off for gram = (*h, w); for a unigram reference.additive(gram, tables[1], vocab_size).

    Args (none of them is changed):
        gram: of one token up to as many as the highest order.
        tables: from each order 1, 2, ..., n to the table (counts, totals, followers) of its n-grams.
        adjusted: from each order 2, ..., n to a dict from r to r*.
        weights: from each context of one token or more that occurs to its alpha.
    """
    ### BEGIN SOLUTION
    if len(gram) == 1:
        return reference.additive(gram, tables[1], vocab_size)
    counts, totals, _ = tables[len(gram)]
    if gram in counts:
        return adjusted[len(gram)][counts[gram]] / totals[gram[:-1]]
    return weights.get(gram[:-1], 1.0) * katz(gram[1:], tables, adjusted, weights, vocab_size)
    ### END SOLUTION


def backoff_weights(tables: dict, adjusted: dict, vocab_size: int) -> dict[tuple[str, ...], float]:
    """Return alpha(h) for each context h of one token or more that occurs in the tables; arguments as for `katz`.

    No context was followed by the whole vocabulary: there would be nobody to give the rest to.
    """
    ### BEGIN SOLUTION
    weights: dict[tuple[str, ...], float] = {}
    for order in range(2, max(tables) + 1):
        counts, totals, _ = tables[order]
        freed, lower = dict.fromkeys(totals, 1.0), dict.fromkeys(totals, 1.0)
        for gram, count in counts.items():
            freed[gram[:-1]] -= adjusted[order][count] / totals[gram[:-1]]
            lower[gram[:-1]] -= katz(gram[1:], tables, adjusted, weights, vocab_size)
        weights |= {h: freed[h] / lower[h] for h in totals}
    return weights
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ngram-backoff-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
toy = [s.split() for s in ("<s> the cat sat </s>", "<s> the <unk> sat </s>", "<s> the cat <unk> </s>")]
tables = {n: reference.make_table(reference.count_ngrams(toy, n)) for n in (1, 2)}
cases = [(0.5, 1.5, 17 / 33, {"cat": 1 / 2, "<unk>": 1 / 6, "sat": 1 / 11, "the": 4 / 33, "</s>": 4 / 33})]
### BEGIN HIDDEN TESTS
a, b = np.random.default_rng(seed("ngram-backoff-example")).uniform(0.1, 0.9, size=2).tolist()
cases += [(a, 2 * b, (3 - a - 2 * b) / 3 * 17 / 11, {"cat": 2 * b / 3, "sat": (3 - a - 2 * b) / 3 * 3 / 11})]
### END HIDDEN TESTS
for one, two, alpha, probabilities in cases:
    adjusted, where = {2: {1: one, 2: two, 3: 2.5}}, f"toy corpus, 1* = {one:.3f}, 2* = {two:.3f}"
    assert_allclose(backoff_weights(tables, adjusted, 5)[("the",)], alpha, rtol=1e-9, err_msg=f"alpha(the), {where}")
    for word, p in probabilities.items():
        got = katz(("the", word), tables, adjusted, {("the",): alpha}, 5)
        assert_allclose(got, p, rtol=1e-9, err_msg=f"P({word} | the), {where}, alpha {alpha:.3f}")

# %% nbgrader={"grade": true, "grade_id": "ngram-backoff-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: three orders, every weight, sums over the vocabulary, contexts never seen, arguments unchanged.
### BEGIN HIDDEN TESTS
rng, letters = np.random.default_rng(seed("ngram-backoff-properties")), [*"abcdef", "<unk>", "</s>"]
padded = [["<s>", "<s>", *rng.choice([*"aaabbbcdef"], size=size).tolist(), "</s>"] for size in (9, 6, 4, 11)]
tables = {n: tuple(map(dict, reference.make_table(reference.count_ngrams(padded, n)))) for n in (1, 2, 3)}
adjusted = {n: {r: r - float(rng.uniform(0.3, 0.9)) for r in range(1, 40)} for n in (2, 3)}
given = repr((tables, adjusted, weights := reference.backoff_weights(tables, adjusted, 8)))
alphas = backoff_weights(tables, adjusted, 8)
assert repr((tables, adjusted, weights)) == given, "backoff_weights changed its arguments; fill a new dict"
assert_equal(sorted(alphas), sorted(weights), "contexts with a weight: all of the orders 2 and 3")
why = "1 minus the shares of the seen, over 1 minus what katz gives these same tokens after the shorter context"
for h, alpha in weights.items():
    assert_allclose(alphas[h], alpha, rtol=1e-6, err_msg=f"alpha{h}, text {padded}: {why}")
for h in (("<s>", "<s>"), max(tables[3][1]), ("a",), ("x", "a"), ("x", "x")):
    p, right = ([f((*h, w), tables, adjusted, weights, 8) for w in letters] for f in (katz, reference.katz))
    why = f"P of {letters} after {h}: c*/N(h) if seen, else alpha times the shorter context's; an unknown context has alpha 1"
    assert_allclose([*p, sum(p)], [*right, 1.0], rtol=1e-6, err_msg=f"{why}; last, their sum")
assert repr((tables, adjusted, weights)) == given, "katz changed its arguments; read a missing weight with .get"
### END HIDDEN TESTS

# %% [markdown]
# **Use it: back-off against Laplace** on the test chapters, with the adjusted counts of exercise 4 for each order.

# %% nbgrader={"grade": false, "grade_id": "ngram-language-model-backoff", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
tables = {n: make_table(count_ngrams(train_text["words"], n)) for n in (1, 2, 3)}
adjusted = {n: simple_good_turing(Counter(tables[n][0].values())) for n in (2, 3)}
weights = backoff_weights(tables, adjusted, vocab_size)
p = {w: katz(("Mr.", "Knightley", w), tables, adjusted, weights, vocab_size) for w in vocabularies["words"]}
unseen = sum(p[w] for w in p if ("Mr.", "Knightley", w) not in tables[3][0])
print(f"after 'Mr. Knightley': {unseen:.1%} for what never followed it; the sum is {sum(p.values()):.9f}")
back_off = partial(katz, tables=tables, adjusted=adjusted, weights=weights, vocab_size=vocab_size)
for name, model in ("Laplace", partial(additive, table=tables[3], vocab_size=vocab_size)), ("back-off", back_off):
    print(f"{name}, n = 3: test perplexity {perplexity(model, test_text['words'], 3, characters)[0]:.1f}")

# %% [markdown]
# ## 6. Kneser-Ney: in how many places?
#
# Two observations make the best of the classic smoothings (Kneser and Ney 1995; the interpolated form: Chen and Goodman 1999).
#
# **Discount by a constant.** Good-Turing took nearly the same from every count. So subtract a fixed $D$, estimated by $D = \frac{n_1}{n_1 + 2 n_2}$ (Ney, Essen and Kneser 1994) from the numbers $n_1$, $n_2$ of n-grams seen once and twice. A context with $T(h)$ different followers frees $D\,T(h)$, and we *mix in* the shorter context everywhere, not only for what was unseen:
#
# $$P(w \mid h) = \frac{\max(c(h\,w) - D,\, 0)}{N(h)} + \frac{D\,T(h)}{N(h)}\,P(w \mid h')$$
#
# **Count contexts, not occurrences.** *Woodhouse* is frequent in Emma, but it follows *Mr.*, *Miss* and little else. When we back off, the context was no help, so those are not the places where it will turn up. For all orders below the highest replace $c$ by the **continuation count**: the number of different tokens that were seen before the n-gram,
#
# $$c(u) = \bigl|\{v : (v, u) \text{ occurs}\}\bigr| \quad \text{for each n-gram } u \text{ shorter than } n$$
#
# with $N(h)$ and $T(h)$ computed from these counts, by the same `make_table`. Each order follows from the one above it: every *different* $(v, u)$ adds one to $u$. The recursion ends below the unigrams, with $P(w) = \frac1V$ for the empty n-gram; a context that never occurred passes the question on, $P(w \mid h) = P(w \mid h')$.
#
# **By hand**, the toy bigrams, $D = \frac12$. Tokens seen before *the*: `<s>`, so 1, though it is the most frequent word. *cat* 1 (the), `<unk>` 2 (the, cat), *sat* 2 (cat, `<unk>`), `</s>` 2 (sat, `<unk>`): $N() = 8$, $T() = 5$. $P(\text{sat}) = \frac{2 - 0.5}8 + \frac{0.5 \cdot 5}8 \cdot \frac15 = \frac14$, likewise $P(\text{cat}) = \frac18$. After *the*: $P(\text{cat} \mid \text{the}) = \frac{1.5}3 + \frac{0.5 \cdot 2}3 \cdot \frac18 = \frac{13}{24}$ and $P(\text{sat} \mid \text{the}) = 0 + \frac13 \cdot \frac14 = \frac1{12}$.
#
# <details><summary>Hint 1</summary>The continuation counts of the order below are <code>Counter(gram[1:] for gram in counts)</code>: the keys of counts are different n-grams.</details>
# <details><summary>Hint 2</summary>For <code>kneser_ney</code>: first the empty gram; then lower = kneser_ney(gram[1:], ...); then, if gram[:-1] is not among the totals, lower itself; else the formula, with tables[len(gram)].</details>


# %% nbgrader={"grade": false, "grade_id": "ngram-kneser-ney", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def estimate_discount(counts: dict[tuple[str, ...], int]) -> float:
    """Return D = n_1 / (n_1 + 2 n_2); at least one n-gram has a count of 1 or 2."""
    ### BEGIN SOLUTION
    nr = Counter(counts.values())
    return nr[1] / (nr[1] + 2 * nr[2])
    ### END SOLUTION


def kneser_ney_tables(counts: dict[tuple[str, ...], int], n: int) -> dict[int, tuple[dict, dict, dict]]:
    """Return, from each order n, n - 1, ..., 1, its table (counts, totals, followers). Use reference.make_table(counts).

    Order n has the counts given, of n-grams, which are not changed; the others have continuation counts.
    """
    ### BEGIN SOLUTION
    tables = {n: reference.make_table(counts)}
    for order in range(n - 1, 0, -1):
        tables[order] = reference.make_table(Counter(gram[1:] for gram in tables[order + 1][0]))
    return tables
    ### END SOLUTION


def kneser_ney(gram: tuple[str, ...], tables: dict, discount: float, vocab_size: int) -> float:
    """Return P(w | h) by interpolated Kneser-Ney for gram = (*h, w); 1 / vocab_size for the empty gram ().

    Args:
        gram: of as many tokens as the highest order, or fewer.
        tables: as `kneser_ney_tables` returns them, in plain dicts; not changed.
        discount: D, from 0 to 1, for all orders.
    """
    ### BEGIN SOLUTION
    if not gram:
        return 1.0 / vocab_size
    lower = kneser_ney(gram[1:], tables, discount, vocab_size)
    h, (counts, totals, followers) = gram[:-1], tables[len(gram)]
    if h not in totals:
        return lower
    return (max(counts.get(gram, 0) - discount, 0.0) + discount * followers[h] * lower) / totals[h]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ngram-kneser-ney-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
toy = [s.split() for s in ("<s> the cat sat </s>", "<s> the <unk> sat </s>", "<s> the cat <unk> </s>")]
counts = dict(reference.count_ngrams(toy, 2))
got, right = kneser_ney_tables(counts, 2)[1][0], {("the",): 1, ("cat",): 1, ("<unk>",): 2, ("sat",): 2, ("</s>",): 2}
assert dict(got) == right, f"continuation counts of the toy corpus: {right} expected, got {dict(got)}"
tables = reference.kneser_ney_tables(counts, 2)
cases = [(("sat",), 0.5, 1 / 4), (("the", "cat"), 0.5, 13 / 24), (("the", "sat"), 0.5, 1 / 12), ((), 0.5, 1 / 5)]
### BEGIN HIDDEN TESTS
d = float(np.random.default_rng(seed("ngram-kneser-ney-example")).uniform(0.1, 0.9))
cases += [(("the", "cat"), d, (2 - d) / 3 + d * 2 / 3 / 8), (("sat", "cat"), d, d / 2 / 8)]
### END HIDDEN TESTS
for gram, d, p in cases:
    why = f"P of the last token of {gram}, D = {d:.3f}, toy corpus: see the example by hand"
    assert_allclose(kneser_ney(gram, tables, d, 5), p, rtol=1e-9, err_msg=why)
assert_allclose(estimate_discount(counts), 5 / 9, err_msg="D of the toy bigrams: n_1 = 5, n_2 = 2")

# %% nbgrader={"grade": true, "grade_id": "ngram-kneser-ney-properties", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# Tested here: n = 1 to 4, several D, against NLTK; all tables; words and contexts never seen; sums; arguments unchanged.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("ngram-kneser-ney-properties"))
for n in (1, 2, 3, 4):
    padded = [["<s>"] * (n - 1) + rng.choice([*"aaabbcd"], size=size).tolist() + ["</s>"] for size in (9, 6, 1, 15)]
    counts = dict(reference.count_ngrams(padded, n))
    tables = {k: [*map(dict, table)] for k, table in reference.kneser_ney_tables(counts, n).items()}
    got = {k: [*map(dict, table)] for k, table in kneser_ney_tables(dict(counts), n).items()}
    why = f"n = {n}, text {padded}: in order n the counts given, below the number of different tokens before"
    assert got == tables, f"{why}, with totals and followers of these: {tables} expected, got {got}"
    letters, frozen = sorted({gram[-1] for gram in counts}), repr(tables)
    grams = [[g for k in range(1, n + 1) for g in ngrams(s, k) if g[-1] != "<s>"] for s in padded]
    contexts = {("<s>",) * (n - 1), ("</s>", "</s>", "b")[: n - 1], max(tables[n][1])}
    for d, h in product((0.1, float(rng.uniform(0.2, 1))), contexts):
        library, where = KneserNeyInterpolated(max(n, 2), discount=d), f"n = {n}, D = {d:.2f}, after {h}"
        library.fit(grams, [*letters, "<s>"])  # NLTK has no n = 1; there it is the MLE, as every letter was seen
        right = [library.score(w, h) if n > 1 else counts[(w,)] / sum(counts.values()) for w in letters]
        p = [kneser_ney((*h, w), tables, d, len(letters)) for w in letters]
        why = f"{where}: P of {letters} against NLTK: max(c - D, 0)? T(h)? does an unknown context pass on?"
        assert_allclose(p, right, rtol=1e-9, err_msg=why)
        p = [kneser_ney((*h, w), tables, d, len(letters) + 2) for w in [*letters, "new", "new"]]
        assert p[-1] > 0 and abs(sum(p) - 1) < 1e-9, f"{where}: with two words never seen the sum is one; P {p}"
    assert repr(tables) == frozen, "kneser_ney changed the tables; read a missing count with .get"
for some, right in ([1, 5, 1, 2, 3], 0.5), ([1, 4], 1.0), ([2, 2, 7], 0.0), ([1, 2, 2], 0.2):
    got = estimate_discount({(str(i),): r for i, r in enumerate(some)})
    assert_allclose(got, right, rtol=1e-9, err_msg=f"D for counts {some}: how many are 1, how many are 2?")
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** First NLTK's `KneserNeyInterpolated` on real sentences. Fed with the n-grams that *we* count it is the same formula, and all its scores agree with yours. Four things differ if you use it as its documentation does:
#
# 1. its padding predicts `<s>` too and adds $n - 1$ times `</s>`. After a single `<s>` it then counts `<s>` among the followers, but not among the continuations (no token comes before `<s> <s>`). So the probabilities after `<s>` add up to more than one, and with them those after `<s> <s>` below;
# 2. it ends at the unigrams, without our $\frac1V$: a word of the vocabulary that never occurred has probability 0 (if every word occurred there is no difference, since the discount taken from all of them is shared out evenly again: $\frac{c - D}N + \frac{DV}N \cdot \frac1V = \frac cN$);
# 3. its discount is 0.1 unless you set it;
# 4. it searches all contexts again at every call, so it is far too slow for a novel.
#
# (Programs for large texts, such as KenLM, go one step further: for the n-grams that begin with `<s>`, which nothing can precede, they keep the plain counts.)

# %% nbgrader={"grade": false, "grade_id": "ngram-language-model-nltk", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
known = build_vocabulary([*map(words, train[:60])])
padded = [pad(words(s), known, 3) for s in train[:60]]
ours = kneser_ney_tables(count_ngrams(padded, 3), 3)
theirs, as_documented = (KneserNeyInterpolated(3, discount=0.75) for _ in range(2))
theirs.fit([[g for k in (1, 2, 3) for g in ngrams(s, k) if g[-1] != "<s>"] for s in padded], [*known, "<s>"])
triples = [gram for s in padded[:10] for gram in ngrams(s, 3) if gram[-1] != "<s>"]
gap = max(abs(kneser_ney(gram, ours, 0.75, len(known)) - theirs.score(gram[-1], gram[:-1])) for gram in triples)
as_documented.fit(*padded_everygram_pipeline(3, [s[2:-1] for s in padded]))
total = sum(as_documented.score(w, ("<s>", "<s>")) for w in [*known, "<s>"])
print(f"{len(triples)} trigrams: largest difference {gap:.0e}; NLTK's padding: P after <s> <s> adds up to {total:.4f}")
assert gap < 1e-12 and abs(total - 1) > 1e-3, "either your model differs, or NLTK has changed: mend the text above"

# %% [markdown]
# Then Emma: words that are frequent but bound to one place, and the discount, chosen on the validation chapters as it should be.

# %% nbgrader={"grade": false, "grade_id": "ngram-language-model-discount", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
once, places = make_table(count_ngrams(train_text["words"], 1)), kneser_ney_tables(bigrams[0], 2)[1]
for w in (("Woodhouse",), ("Fairfax",), ("pleasure",), ("ever",)):
    share = [f"{table[0][w] / table[1][()]:.3%}" for table in (once, places)]
    print(f"{w[0]:>9}: {once[0][w]} times after {places[0][w]} tokens; shares of counts and continuations {share}")
trigram_counts, curve = count_ngrams(train_text["words"], 3), {}
trigrams, estimate = kneser_ney_tables(trigram_counts, 3), estimate_discount(trigram_counts)
for d in (0.25, 0.5, 0.75, 1.0, estimate):
    model = partial(kneser_ney, tables=trigrams, discount=d, vocab_size=vocab_size)
    curve[d] = perplexity(model, valid_text["words"], 3, characters)[0]
    print(f"D = {d:.2f}: validation perplexity {curve[d]:.1f}")
assert min(curve.values()) == curve[estimate], "n_1 / (n_1 + 2 n_2) should beat the other four"

# %% [markdown]
# ## 7. Sampling: let it write
#
# To generate, start with $n - 1$ times `<s>`, draw a token from $P(\cdot \mid h)$, append it, and go on until `</s>`. **Temperature** $\tau$ reshapes the distribution before the draw:
#
# $$p_i^{(\tau)} = \frac{p_i^{1/\tau}}{\sum_j p_j^{1/\tau}}$$
#
# $\tau = 1$ changes nothing, $\tau < 1$ favours what is likely already, $\tau \to 0$ always takes the most likely token (*greedy*), $\tau > 1$ flattens. For small $\tau$ the power underflows, so divide by the largest $p$ first, or work with logarithms; 0 stays 0. Large language models are sampled in just this way, with logits in place of $\log p$.
#
# **By hand**, $p = (\frac12, \frac14, \frac14)$. $\tau = \frac12$: squares $(\frac14, \frac1{16}, \frac1{16})$, divided by their sum: $(\frac23, \frac16, \frac16)$. $\tau = 0$: $(1, 0, 0)$.
#
# <details><summary>Hint 1</summary><code>(p / p.max()) ** (1 / temperature)</code> cannot overflow, and its largest entry is 1. Temperature 0 is a case of its own: np.argmax.</details>
# <details><summary>Hint 2</summary>Keep a list that begins with the marks. The context is its last n - 1 entries: with n = 1 that is none, but <code>tokens[-0:]</code> is everything.</details>


# %% nbgrader={"grade": false, "grade_id": "ngram-sampling", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def temper(p: ndarray, temperature: float) -> ndarray:
    """Return the distribution at this temperature: float64 of shape (V,), adding up to one, never NaN.

    Args:
        p: float64 of shape (V,), not changed: probabilities, some but not all perhaps 0, that need not add up to one.
        temperature: 0 or more; at 0 the largest entry (of equal ones the first) gets 1.0 and all others 0.0.

    Raises:
        ValueError: for a temperature below 0.
    """
    ### BEGIN SOLUTION
    if temperature < 0:
        raise ValueError(f"the temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return np.eye(len(p))[np.argmax(p)]
    powers = (p / p.max()) ** (1.0 / temperature)
    return powers / powers.sum()
    ### END SOLUTION


def generate(model, candidates: list[str], n: int, temperature: float, seed: int, max_tokens: int) -> list[str]:
    """Draw one sentence from an n-gram model; return its tokens, without "<s>" and "</s>".

    Args:
        model: a function from an n-gram (*h, w), a tuple of n tokens, to P(w | h); n is 1 or more.
        candidates: the tokens that may be drawn, "</s>" perhaps among them; their P need not add up to one.
        temperature, seed: of `temper`, and of the draws; the same seed gives the same sentence, another seed other draws.
        max_tokens: stop after so many tokens, 0 or more.
    """
    ### BEGIN SOLUTION
    rng, tokens = np.random.default_rng(seed), ["<s>"] * (n - 1)
    for _ in range(max_tokens):
        context = tokens[len(tokens) - n + 1 :]
        p = temper(np.array([model((*context, w)) for w in candidates]), temperature)
        tokens.append(candidates[rng.choice(len(candidates), p=p)])
        if tokens[-1] == "</s>":
            return tokens[n - 1 : -1]
    return tokens[n - 1 :]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ngram-sampling-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
p, cases = np.array([0.5, 0.25, 0.25]), [(0.5, np.array([4, 1, 1]) / 6), (0.0, np.eye(3)[0])]
### BEGIN HIDDEN TESTS
t = float(np.random.default_rng(seed("ngram-sampling-example")).uniform(1.5, 4))
cases += [(t, np.array([2 ** (1 / t), 1, 1]) / (2 + 2 ** (1 / t)))]
### END HIDDEN TESTS
for t, right in cases:
    why = f"p = {p} at temperature {t:.3f}: to the power of 1 / temperature, then divided by the sum"
    assert_allclose(temper(p, t), right, rtol=1e-9, atol=1e-12, err_msg=why)
only = {("<s>", "a"): 1.0, ("a", "b"): 1.0, ("b", "</s>"): 1.0}
got = generate(lambda gram: only.get(gram, 0.0), ["a", "b", "</s>"], 2, 1.0, 0, 9)
assert got == ["a", "b"], f"a model that allows only 'a b' should give ['a', 'b'], without marks; got {got}"

# %% nbgrader={"grade": true, "grade_id": "ngram-sampling-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: zeros, ties, tiny temperatures, errors; n = 1 to 3, shares of what is drawn, seeds, max_tokens.
### BEGIN HIDDEN TESTS
draw = seed("ngram-sampling-properties")
p = np.append(np.random.default_rng(draw).dirichlet(np.ones(6)) * 0.3, 0.0)
given = p.copy()
for t in (0.3, 1.0, 2.5):
    right, why = p ** (1 / t), f"p {p} at temperature {t}: zeros stay zero, the result adds up to one"
    assert_allclose(temper(p, t), right / right.sum(), rtol=1e-6, atol=1e-12, err_msg=why)
assert_equal(p, given, "temper changed its argument: return a new array")
tiny, tied = temper(np.array([1e-200, 3e-200, 0.0, 1e-200]), 0.001), temper(np.array([0.1, 0.3, 0.3]), 0)
assert_allclose(tiny, [0, 1, 0, 0], atol=1e-9, err_msg="temperature 0.001: powers underflow; divide by the largest")
assert_equal(tied, [0.0, 1.0, 0.0], "0.1, 0.3, 0.3 at temperature 0: all to the first of the largest")
with assert_raises(ValueError, msg="a temperature of -0.5 should raise ValueError"):
    temper(p, -0.5)
# these models look n-grams up in a dict; made where the notebook runs, for a call across for each token would be slow
four, lookup = ["a", "b", "c", "</s>"], partial(inside, partial, getitem)
unigram = lookup({("a",): 0.45, ("b",): 0.15, ("c",): 0.3, ("</s>",): 0.0})
for t in (1.0, 0.5):
    drawn, right = generate(unigram, four, 1, t, draw, 3000), np.array([0.45, 0.15, 0.3]) ** (1 / t)
    share = np.array([drawn.count(w) for w in "abc"]) / 3000  # known to 0.009 by 3,000 draws; allow five times that
    why = f"3,000 draws from a, b, c, P 0.45, 0.15, 0.3, temperature {t}: {right / right.sum()} expected, got {share}"
    assert np.abs(share - right / right.sum()).max() < 0.045, why
one, again, other = (generate(unigram, four, 1, 1.0, draw + i, 40) for i in (0, 0, 1))
assert one == again != other, f"the same seed gives the same, another seed another sentence: {one}, {again}, {other}"
assert_equal([generate(unigram, four, 1, 0.0, 0, size) for size in (0, 5)], [[], ["a"] * 5], "greedy, 0 and 5 tokens")
for (n, path), size in product(((2, "<s> a b </s>"), (3, "<s> <s> a b b c </s>")), (3, 9)):
    model = lookup({gram: float(gram in [*ngrams(path.split(), n)]) for gram in product(["<s>", *four], repeat=n)})
    why = f"n = {n}, only {path} allowed, max_tokens {size}: is the context the last n - 1 tokens, <s> at first?"
    assert_equal(generate(model, four[::-1], n, 1.0, draw, size), path.split()[n - 1 : -1][:size], why)
coin = lookup({("a",): 0.5, ("</s>",): 0.5})
empty = [generate(coin, ["a", "</s>"], 1, 1.0, draw + i, 9) for i in range(60)].count([])
assert 10 <= empty <= 50, f"P(</s>) = 1/2: 10 to 50 of 60 sentences should be empty (all but surely), got {empty}"
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** Kneser-Ney models of words ($n = 3$) and of characters ($n = 7$) write. We leave `<unk>` out of the candidates.

# %% nbgrader={"grade": false, "grade_id": "ngram-language-model-samples", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
letters, letter_size = kneser_ney_tables(count_ngrams(train_text["characters"], 7), 7), len(vocabularies["characters"])
by_word = partial(kneser_ney, tables=trigrams, discount=estimate, vocab_size=vocab_size)
by_letter = partial(kneser_ney, tables=letters, discount=0.75, vocab_size=letter_size)
for unit, model, n, limit, space in (("words", by_word, 3, 22, " "), ("characters", by_letter, 7, 120, "")):
    for t in (0.0, 0.5, 1.0, 1.5):
        drawn = generate(model, sorted(vocabularies[unit] - {"<unk>"}), n, t, 11, limit)
        print(f"{unit}, temperature {t}: {space.join(drawn)}")

# %% [markdown]
# The character model sees six letters, and what it writes is mostly English words, though it has never been told what a word is. The word model sees two words: they make phrases, and no plan holds them together.
#
# ## 8. Experiments: which smoothing, and what none of them can do
#
# **The comparison** (compare Chen and Goodman 1999, section 5): test perplexity over the order $n$ with all training chapters, and over the size of the training text for $n = 3$. The vocabulary is held fixed, so that all numbers are comparable; the last point adds two other novels.


# %% nbgrader={"grade": false, "grade_id": "ngram-language-model-plot-smoothing", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
def fit(method, tables):
    """A model, a function of an n-gram, from the tables of all orders up to n."""
    n = max(tables)
    if method == "Kneser-Ney":
        own, discount = kneser_ney_tables(tables[n][0], n), estimate_discount(tables[n][0])
        return partial(kneser_ney, tables=own, discount=discount, vocab_size=vocab_size)
    if method == "Good-Turing, back-off":
        adjusted = {k: simple_good_turing(Counter(tables[k][0].values())) for k in range(2, n + 1)}
        weights = backoff_weights(tables, adjusted, vocab_size)
        return partial(katz, tables=tables, adjusted=adjusted, weights=weights, vocab_size=vocab_size)
    return partial(additive, table=tables[n], vocab_size=vocab_size, k=1.0 if method == "Laplace" else 0.01)


everything = train_text["words"] + [pad(words(s), vocabularies["words"], 8) for s in others if SCALE != "gpu"]
sizes, orders = np.cumsum([len(s) - 8 for s in everything]), range(1, MAX_N + 1)  # words up to each sentence
emma = {n: make_table(count_ngrams(train_text["words"], n)) for n in orders}
runs, stops = [{k: emma[k] for k in range(1, n + 1)} for n in orders], [*np.searchsorted(sizes, (1e4, 4e4)), len(sizes)]
runs += [{k: make_table(count_ngrams(everything[:stop], k)) for k in (1, 2, 3)} for stop in stops]
(figure, axes), scores = plt.subplots(1, 2, sharey=True), {}
for method, style in (("Laplace", "s:"), ("add 0.01", "d-."), ("Good-Turing, back-off", "^--"), ("Kneser-Ney", "o-")):
    scores[method] = found = [perplexity(fit(method, t), test_text["words"], max(t), characters)[0] for t in runs]
    by_size = [*found[MAX_N:-1], found[2], found[-1]]  # Emma is one of the sizes
    axes[0].semilogy(orders, found[:MAX_N], style, label=method)
    axes[1].loglog(sizes[np.subtract([*stops[:2], len(train), stops[2]], 1)], by_size, style)
    print(f"{method}: n = 1 to {MAX_N}: {np.round(found[:MAX_N], 1)}; n = 3, by size: {np.round(by_size, 1)}")
axes[0].set(title="Kneser-Ney is best from n = 2 on", xlabel="n", ylabel="test perplexity per word")
axes[1].set(title="n = 3: Kneser-Ney wins at every size", xlabel="training words")
axes[0].legend(fontsize=8)
plt.show()
assert all(min(run) == run[-1] for run in [*zip(*scores.values(), strict=True)][1:]), "Kneser-Ney should win"

# %% [markdown]
# **Words or characters?** Per character the two can be compared, if the word model also pays for its unknown words: each `<unk>` of the test is spelled by the character model, letter by letter up to the space. (It still has a small advantage: where the spaces go is not charged.)

# %% nbgrader={"grade": false, "grade_id": "ngram-language-model-plot-letters", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
per_character, letter_bits = sum(len(s) - 7 for s in test_text["words"]) / characters, []
word_bits = np.log2(scores["Kneser-Ney"][:MAX_N]) * per_character
for n in range(1, 9):
    tables = letters if n == 7 else kneser_ney_tables(count_ngrams(train_text["characters"], n), n)
    model = partial(kneser_ney, tables=tables, discount=0.75, vocab_size=letter_size)
    letter_bits.append(math.log2(perplexity(model, test_text["characters"], n, characters)[1]))
spelled = [[*"<<<<< ", *w, " "] for s in test_words for w in s if w not in vocabularies["words"]]
spelling = -sum(math.log2(by_letter(gram)) for s in spelled for gram in ngrams(s, 7)) / characters
plt.plot(range(1, 9), letter_bits, "s--", label="characters")
plt.plot(orders, word_bits + spelling, "o-", label="words, unknown words spelled")
plt.plot(orders, word_bits, "o:", color="C1", alpha=0.5, label="words, unknown words free of charge")
plt.gca().set(title="Letters, n = 7, do nearly what words do, n = 3", xlabel="n", ylabel="bits per character")
plt.legend()
plt.show()
print(f"least bits per character: {min(letter_bits):.3f} with letters, {min(word_bits + spelling):.3f} with words")
assert 0 < min(letter_bits) - min(word_bits + spelling) < 0.1, "words should be ahead, but not by much"

# %% [markdown]
# **What no n-gram can do.** (a) *Agreement.* The subject decides between *was* and *were*, however far away it is. For nouns in singular and plural, *the sister(s) of Mr. Weston was/were*: how often does the model prefer the right form, when more and more words come between? (Exactly 50 % means that it prefers the same verb for singular and plural, which is right for one of the two.) (b) *Memory.* A rare word that has just been used is far likelier to come again. The model's forecast does not know. (*Forecast* is the sum of the model's probabilities for the words used lately, taken at every 16th token and multiplied by 16.) (c) *Loops.* At temperature 0 the next token is a function of the last $n - 1$; when they come back, so does everything after them.

# %% nbgrader={"grade": false, "grade_id": "ngram-language-model-plot-limits", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
nouns = words("sister friend daughter letter eye hand hour day year thing word brother visit horse girl house walk")
cases = [case for w in nouns for case in ((w, "was", "were"), (w + "s", "were", "was"))]
assert {noun for noun, _, _ in cases} <= vocabularies["words"], "every noun should be known in singular and plural"
between = ["", "who", "of Emma", "of Mr. Weston", "of poor Miss Taylor"]
for n, style, size in ((2, "s:", 11), (3, "^--", 6), (4, "o-", 3)):
    model, right = fit("Kneser-Ney", {n: (count_ngrams(everything, n),)}), []
    for middle in between:
        contexts = [["<s>", "<s>", "<s>", "the", noun, *middle.split()][1 - n :] for noun, _, _ in cases]
        gaps = [model((*h, yes)) - model((*h, no)) for h, (_, yes, no) in zip(contexts, cases, strict=True)]
        right.append(50 * np.mean(np.sign(gaps) + 1))  # a tie counts half
    plt.plot([m or "nothing" for m in between], right, style, markersize=size, mfc="none", label=f"n = {n}")
    print(f"right verb, n = {n}: {np.round(right)} %")
    assert right[0] > 70 > 60 > max(right[1:]), "near the noun the verb should agree, farther away by chance only"
plt.gca().set(title="With words between, agreement is chance", xlabel="between noun and verb", ylabel="right verb, %")
plt.legend()
plt.show()
said = [gram for s in valid_text["words"] + test_text["words"] for gram in ngrams(s, 3) if gram[-1] != "<s>"]
for low, high in ((2, 5), (6, 20), (21, 100), (101, 500)):
    band = {w for (w,), count in once[0].items() if low <= count <= high and w.isalpha()}
    recent = [{gram[-1] for gram in said[max(0, i - 100) : i]} & band for i in range(len(said))]
    forecast = sum(16 * by_word((*said[i][:2], w)) for i in range(0, len(said), 16) for w in recent[i])
    real = sum(gram[-1] in near for gram, near in zip(said, recent, strict=True))
    print(f"words seen {low} to {high} times, used again within 100 words: {real} times; forecast {forecast:.0f}")
    assert real > forecast, "a word that was used lately should come again more often than the model expects"
loop = generate(by_word, sorted(vocabularies["words"] - {"<unk>", "</s>"}), 3, 0.0, 0, 48)
print("greedy, without </s>:", *loop)
assert any(loop[-k:] == loop[-2 * k : -k] for k in range(1, 20)), "a greedy trigram model should end in a loop"

# %% [markdown]
# *Think:* $n = 4$ reaches over two words on paper. Why does it not help with *of Emma*? (How often was *sisters of Emma were* seen in training?)
#
# ## Recap
#
# Counting, with care for what was not counted, is a language model. MLE calls new text impossible; Laplace gives too much to too many; Good-Turing reads the unseen off the singletons; Kneser-Ney subtracts a constant and asks in how many places a word fits, and it wins at every size here. Perplexity means something only on held-out text, and between models only with the same vocabulary. But a longer context soon stops helping: its n-grams are too rare, each of them is learned alone, and *sister* teaches nothing about *daughter*. Words as vectors share what they learn; recurrent networks and attention look back further. That is the next lab, and the next sections.
#
# **What breaks at scale.** Tables grow with the text: Google's web n-grams (2006) take tens of gigabytes, and are pruned, hashed and quantised (KenLM). Plain *stupid back-off*, which does not even add up to one, comes closer to Kneser-Ney as the text grows, and could be trained on up to two trillion tokens (Brants et al. 2007). A neural model passes both with far fewer parameters, but n-gram tables live on in speech recognition and in speculative decoding.
#
# **Read on.** Good 1953, *The population frequencies of species and the estimation of population parameters*. Katz 1987. Church and Gale 1991. Gale and Sampson 1995, *Good-Turing frequency estimation without tears*. Kneser and Ney 1995, *Improved backing-off for m-gram language modeling*. Chen and Goodman 1999, *An empirical study of smoothing techniques for language modeling*. Brants et al. 2007, *Large language models in machine translation*.
#
# **Stretch goals.** (1) Modified Kneser-Ney (Chen and Goodman 1999): three discounts, for counts of 1, 2 and more, and one set for each order. (2) A cache: mix the trigram with the shares of the last 200 words, choose the weight on the validation chapters. (3) Tell Austen's novels apart: train one model for each of two novels, and let the likelihood ratio decide for single paragraphs. (4) `SCALE = "gpu"`: is there a size from which $n = 5$ pays?
