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
# # Reward model training and evaluation
#
# A language model is trained to be likely, not to be good. To make it good, one first needs a number for *good*: a **reward model** reads a prompt and a reply and returns a score. You will build one on a real model, SmolLM2-135M: turn checks and ratings into preference pairs, derive the Bradley-Terry loss, fit a reward head, and then ask what it really prefers. You will find that it likes long replies, repair that, split it into heads for helpful, harmless and honest, and push it until the score rises while the replies get worse. At the end trl's `RewardTrainer` has to agree with you, and you measure what alignment costs the model elsewhere.
#
# Later exercises call earlier pieces as `reference.name`. That module holds the course's own solutions, so an exercise that you have not solved never blocks the next one.

# %% tags=["parameters"] nbgrader={"grade": false, "grade_id": "reward-model-parameters", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
SCALE = "cpu"  # "gpu": all 30 layers instead of 10, four times the training replies, on a GPU if there is one

# %% nbgrader={"grade": false, "grade_id": "reward-model-imports", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
import itertools
import math
import re

import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy import ndarray
from numpy.testing import assert_allclose, assert_array_equal, assert_raises
from scipy.optimize import brentq, minimize, minimize_scalar
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from llmlabs.lab.data import austen
from llmlabs.lab.models import smollm2
from llmlabs.lab.plotting import draw_by_length, label, use_course_style
from llmlabs.lab.preferences import bank_replies, sums
from llmlabs.lab.reference import reward_model as reference
from llmlabs.lab.rewards import LastLayerPolicy, best_of_n_curves, best_texts, claims, frozen_states, head_by_trl
from llmlabs.lab.testing import seed

use_course_style()
DEPTH, TRAIN = (30, 160) if SCALE == "gpu" else (10, 40)
replies = {"train": bank_replies(range(TRAIN), 5, seed=1), "test": bank_replies(range(200, 212), 5, seed=2)}
replies["pool"] = bank_replies(range(220, 228), 24, seed=3, most_filler=8)
replies["fresh"] = bank_replies(range(240, 248), 24, seed=5, most_filler=8)
prompts = {part: np.array([reply.prompt for reply in found]) for part, found in replies.items()}
additions = sums(400, seed=1)
print(additions[0], *replies["train"][:2], sep="\n")


# %% [markdown]
# The replies are put together from sentences whose worth is known: `helpful` counts the steps that a reply names, `harmless` is 0 if it insults the customer or asks for a PIN and 2 if not, `honest` is 0 with a boast, 2 with an admitted doubt, else 1, and `filler` counts sentences that say nothing. So we know the true worth of a reply, its **gold** score, which real projects never do. Filler costs a reader patience, little at first and then more with each sentence:
#
# $$\text{gold} = \text{helpful} + \text{harmless} + \text{honest} - 0.1 \cdot \text{filler}^2$$
#
# Nobody was asked; our raters are a formula too. They see the three qualities, but, like many people, they take a long reply for a thorough one: each sentence of filler *earns* 1.2. Noise $\varepsilon$ with standard deviation 0.5 says that they do not always agree with themselves. Only their ratings train the reward model of sections 3 to 5; where a head is trained on anything else, we say so.
#
# $$\text{rating} = \text{helpful} + \text{harmless} + \text{honest} + 1.2 \cdot \text{filler} + \varepsilon$$
#
# **How far to trust the experiments.** The settings of this lab (the 1.2, the 0.1, the numbers of replies and layers, the penalty of the heads, the training of section 8) were selected from about ninety that were tried, so that the effects show. So take each experiment for a demonstration that an effect exists, not for a measurement of how strong it usually is. The last experiments of sections 7 and 8 are therefore run once more, on draws that nothing was selected by, and both results are printed.

# %% nbgrader={"grade": false, "grade_id": "reward-model-raters", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
rng = np.random.default_rng(0)
quality = {part: np.array([r[3:] for r in found], float) for part, found in replies.items()}
gold = {part: q[:, :3].sum(axis=1) - 0.1 * q[:, 3] ** 2 for part, q in quality.items()}
rating = {part: q @ [1, 1, 1, 1.2] + rng.normal(0, 0.5, len(q)) for part, q in quality.items()}

# %% [markdown]
# ## 1. From checks and ratings to pairs
#
# People agree more on *which of two* replies is better than on a grade, so reward models learn from **preference pairs** (chosen, rejected): two replies to one prompt. There are two sources.
#
# - **Verifiable answers.** A program can check a sum, a proof, a unit test. The verifier is itself a reward: 1 for right, 0 for wrong. Its weak spot is reading the reply: where in the text is the answer? We take the last whole number.
# - **Rated replies.** Any two replies to one prompt whose ratings differ enough make a pair. Never pair replies to different prompts: then the model would learn which *prompt* got good grades. Ties say nothing and are dropped.
#
# **By hand.** "17+25" answered by "17+25=42" is right, "42, no, 43" is wrong: the last number counts. Ratings 5, 3, 3 for one prompt and 4 for another, smallest gap 1: the pairs of indices are (0, 1) and (0, 2). Replies 1 and 2 are tied; reply 3 is alone.
#
# <details><summary>Hint 1</summary><code>re.findall(r"-?\d+", answer)</code> lists the whole numbers of a text, as strings; a text may hold none.</details>
# <details><summary>Hint 2</summary>Two (N, N) tables, made with <code>x[:, None]</code> and <code>x[None, :]</code>: is the prompt the same? is the rating of i ahead of j's by the gap? <code>np.argwhere</code> of both gives the pairs in the order asked for.</details>


# %% nbgrader={"grade": false, "grade_id": "reward-pairs", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def is_right(question: str, answer: str) -> bool:
    """Check the answer to an addition.

    Args:
        question: two whole numbers, at least 0, with a plus between them, such as "17+25"; there are no blanks.
        answer: any text. Its last whole number counts, with its minus sign if one stands directly before it.

    Returns:
        True if that number is the sum; False if it is not, or if there is no number.

    Example:
        is_right("17+25", "17+25=42")  ->  True
    """
    ### BEGIN SOLUTION
    numbers = re.findall(r"-?\d+", answer)
    return bool(numbers) and int(numbers[-1]) == sum(map(int, question.split("+")))
    ### END SOLUTION


def preference_pairs(prompts: ndarray, ratings: ndarray, min_gap: float) -> ndarray:
    """List all pairs of replies to one prompt of which the first is rated higher by min_gap or more.

    Args:
        prompts: int64 of shape (N,), the prompt of each reply; those of one prompt need not stand together.
        ratings: float64 of shape (N,).
        min_gap: the smallest difference of ratings that counts, above 0.

    Returns:
        int64 of shape (P, 2): indices (chosen, rejected), sorted by the first, then by the second; (0, 2) if there are none.

    Raises:
        ValueError: if min_gap is not above 0.

    Example:
        preference_pairs(np.array([7, 7, 7, 8]), np.array([5.0, 3.0, 3.0, 4.0]), 1.0)  ->  [[0, 1], [0, 2]]
    """
    ### BEGIN SOLUTION
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, got {min_gap}: a pair of equals, or of itself, says nothing")
    same = prompts[:, None] == prompts[None, :]
    return np.argwhere(same & (ratings[:, None] - ratings[None, :] >= min_gap))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "reward-pairs-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
cases = [("17+25", "17+25=42", True), ("17+25", "42, no, 43", False), ("17+25", "I do not know.", False)]
### BEGIN HIDDEN TESTS
a, b = np.random.default_rng(seed("reward-pairs-example")).integers(50, 900, size=2).tolist()
cases += [(f"{a}+{b}", f"First {a}, then {b}: together {a + b}.", True), (f"{a}+{b}", f"It is {a + b}0.", False)]
cases += [(f"{a}+{b}", f"-{a + b}", False), (f"{a}+{b}", f"1{a + b}", False), (f"0+{a}", f"{b}? No: {a} euros", True)]
### END HIDDEN TESTS
for question, answer, expected in cases:
    why = f"is_right({question!r}, {answer!r}) should be {expected}: the last whole number counts, with its minus sign"
    assert bool(is_right(question, answer)) == expected, why
found = preference_pairs(np.array([7, 7, 7, 8]), np.array([5.0, 3.0, 3.0, 4.0]), 1.0)
why = "prompts 7, 7, 7, 8 with ratings 5, 3, 3, 4: the higher of each pair first, one prompt, no ties"
assert_array_equal(found, [[0, 1], [0, 2]], err_msg=why)

# %% nbgrader={"grade": true, "grade_id": "reward-pairs-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: pairs of replies in mixed order against a double loop, a gap that is met exactly, no pair at all, a gap of 0.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("reward-pairs-properties"))
groups, scores = rng.permutation(np.repeat([3, 1, 8], 5)), rng.integers(0, 9, size=15) / 2
for gap in (0.5, 1.5, 2.0):
    expected = [(i, j) for i in range(15) for j in range(15) if groups[i] == groups[j] and scores[i] - scores[j] >= gap]
    found = np.asarray(preference_pairs(groups, scores, gap))
    rows, where = {*map(tuple, found.tolist())}, f"prompts {groups.tolist()}, ratings {scores.tolist()}, min_gap {gap}"
    assert rows <= {*expected}, f"{where}: {rows - {*expected}} are no pairs: two prompts, or less than the gap apart?"
    assert rows >= {*expected}, f"{where}: some are missing: any two of a prompt, and a gap just met counts"
    assert_array_equal(found, expected, err_msg=f"{where}: are the pairs sorted by the chosen, then by the rejected?")
none = np.asarray(preference_pairs(groups, scores, 9.0))
assert none.shape == (0, 2) and none.dtype == np.int64, f"no pair: {none.shape}, {none.dtype}, not (0, 2), int64"
for gap in (0.0, -1.0):
    with assert_raises(ValueError, msg=f"min_gap = {gap} should raise ValueError"):
        preference_pairs(groups, scores, gap)
### END HIDDEN TESTS

# %% [markdown]
# Use both: any two replies to one prompt whose ratings differ become a pair, and every sum with its right and wrong answer is a pair that the verifier has made. Note the end of each line: of the pairs that our raters made, how many would the gold score turn round?

# %% nbgrader={"grade": false, "grade_id": "reward-model-use-pairs", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
checked = [(is_right(s.question, s.right), is_right(s.question, s.wrong)) for s in additions]
assert all(good and not bad for good, bad in checked), "the verifier should tell each right sum from its wrong one"
pairs = {part: preference_pairs(prompts[part], rating[part], 0.01) for part in replies}
for part, (up, down) in {part: found.T for part, found in pairs.items()}.items():
    turned = (gold[part][up] < gold[part][down]).mean()
    print(f"{part:>5}: {len(replies[part])} replies, {len(up)} pairs; gold disagrees with the raters on {turned:.0%}")
for name, i in zip(("chosen", "rejected"), pairs["train"][0], strict=True):
    print(f"{name}: {replies['train'][i].question} -> {replies['train'][i].text}")


# %% [markdown]
# ## 2. The Bradley-Terry loss
#
# Let $r_c$ and $r_r$ be the rewards of the chosen and the rejected reply. Bradley and Terry (1952) model the chance that the first is preferred by their difference alone, with $\sigma(x) = 1/(1 + e^{-x})$; the loss is the surprise at what the raters did, a mean over $N$ pairs (Ouyang et al. 2022, section 3.5):
#
# $$P(c \succ r) = \sigma(r_c - r_r), \qquad L = -\frac1N \sum_{n=1}^{N} \log \sigma(r_{c,n} - r_{r,n} - m_n), \qquad \frac{\partial L}{\partial r_{c,n}} = -\frac1N\, \sigma\bigl(-(r_{c,n} - r_{r,n} - m_n)\bigr) = -\frac{\partial L}{\partial r_{r,n}}$$
#
# $m_n \ge 0$ is a **margin** (Touvron et al. 2023, section 3.2.2): where raters said "much better", the model must be ahead by $m_n$ before it may rest. Usually $m = 0$. Three things follow. Only differences count: add 100 to all rewards and nothing changes, so a reward has no zero, and a bias in the head learns nothing. The two gradients are opposite: what lifts one reply presses the other. And a pair that is already clear, $r_c \gg r_r$, hardly pulls.
#
# **By hand.** $r_c = \ln 3$, $r_r = 0$, $m = 0$: $P = \frac34$, $L = \ln\frac43 \approx 0.288$, gradient $-\frac14$ and $\frac14$. With margin $\ln 3$ the lead is used up: $\sigma$ is taken at 0, so $L = \ln 2 \approx 0.693$, gradient $-\frac12$ and $\frac12$; $P$ is still $\frac34$. And a trap: with a difference of $-1000$ the loss is 1000, but $\log\sigma(-1000)$, computed as it is written, is $\log 0$.
#
# <details><summary>Hint 1</summary>-log σ(x) = log(1 + e<sup>-x</sup>), and <code>np.logaddexp(0, -x)</code> computes that without overflow.</details>
# <details><summary>Hint 2</summary>σ(-x) = e<sup>-log(1 + e^x)</sup>: again <code>logaddexp</code>. Divide by N; the gradient for the rejected is minus the other.</details>


# %% nbgrader={"grade": false, "grade_id": "reward-bradley-terry", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def bradley_terry(chosen: ndarray, rejected: ndarray, margin: float | ndarray = 0.0) -> tuple[float, ndarray, ndarray]:
    """Return the mean Bradley-Terry loss of N pairs and its gradients.

    Args:
        chosen, rejected: float64 of shape (N,), the rewards; not changed. Differences of 1000 must give finite results.
        margin: a number or float64 of shape (N,), taken off chosen - rejected.

    Returns:
        (loss, d_chosen, d_rejected): a number and two float64 arrays of shape (N,), the gradients of the mean loss.

    Example:
        bradley_terry(np.array([np.log(3)]), np.array([0.0]))  ->  (0.287..., [-0.25], [0.25])
    """
    ### BEGIN SOLUTION
    ahead = chosen - rejected - margin
    push = np.exp(-np.logaddexp(0.0, ahead)) / len(chosen)  # the sigmoid of -ahead, without overflow
    return float(np.logaddexp(0.0, -ahead).mean()), -push, push
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "reward-bradley-terry-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
trials = [(np.log(3), 0.0, np.log(4 / 3), 0.25), (np.log(3), np.log(3), np.log(2), 0.5)]
### BEGIN HIDDEN TESTS
x = float(np.random.default_rng(seed("reward-bradley-terry-example")).uniform(0.5, 2))
trials += [(x, 0.0, np.log1p(np.exp(-x)), 1 / (1 + np.exp(x))), (-x, 0.0, np.log1p(np.exp(x)), 1 / (1 + np.exp(-x)))]
### END HIDDEN TESTS
for ahead, margin, loss, push in trials:
    got, d_chosen, d_rejected = bradley_terry(np.array([ahead]), np.array([0.0]), margin)
    why = f"chosen {ahead:.3f}, rejected 0, margin {margin:.3f} taken off: natural log, gradients -sigma(-x) and sigma(-x)"
    assert_allclose([got, *d_chosen, *d_rejected], [loss, -push, push], rtol=1e-9, err_msg=why)

# %% nbgrader={"grade": true, "grade_id": "reward-bradley-terry-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: loss and gradients against PyTorch, with margins of both kinds, differences of 1000, arguments unchanged.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("reward-bradley-terry-properties"))
offsets: list = [0.0, 0.7, rng.uniform(0, 2, size=6), 0.0]
hints = ["a mean over pairs, so divided by N?", "margin taken off?", "a margin for each pair", "no overflow, no cut?"]
for size, margin, hint in zip((1.0, 3.0, 2.0, 500.0), offsets, hints, strict=True):
    c, r = rng.uniform(-size, size, size=(2, 6))
    c[0], r[0] = -size, size
    args = c.copy(), r.copy()
    t = [torch.tensor(x, requires_grad=True) for x in args]
    expected = -functional.logsigmoid(t[0] - t[1] - torch.as_tensor(margin, dtype=torch.float64)).mean()
    why = f"6 pairs, rewards up to {size}, margin {margin}: {hint}"
    got = bradley_terry(*args, margin) if np.any(margin) else bradley_terry(*args)
    # a margin of 0.7 that has passed through float32 costs 1e-8; any mistake costs far more than 1e-7
    assert_allclose([got[0]], [expected.item()], rtol=1e-7, err_msg=f"loss of {why}")
    grads = [g.numpy() for g in torch.autograd.grad(expected, t)]
    for name, mine, grad in zip(("chosen", "rejected"), got[1:], grads, strict=True):
        assert_allclose(mine, grad, rtol=1e-7, atol=1e-12, strict=True, err_msg=f"gradient of the {name}, {why}")
    assert_array_equal(args, (c, r), err_msg="the rewards were changed: subtract into a new array")
### END HIDDEN TESTS

# %% nbgrader={"grade": false, "grade_id": "reward-model-use-loss", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
for ahead in (-1000, -3, 0, 3, 1000):
    loss, _, push = bradley_terry(np.array([float(ahead)]), np.zeros(1))
    print(f"chosen ahead by {ahead:5}: loss {loss:8.3f}, size of the gradient {push[0]:.3f}")


# %% [markdown]
# ## 3. A reward head on a real model
#
# Take the model's **body**, without the layer that predicts the next token. For a text of $T$ tokens it gives a hidden state in $\mathbb{R}^d$ at each; in a causal model only the *last* one has read the whole reply, so the reward is a linear function of that one: $r = w^\top h_{\text{last}}$, with $w \in \mathbb{R}^d$ (no bias, see above). Batches are padded, at the right or at the left, so "last" means the last position whose mask is 1, never simply $-1$.
#
# Here the body stays **frozen**: its states are computed once and kept, and only $w$ is fitted. Let $h_{c,n}$ and $h_{r,n}$ be the states of pair $n$. With $r_{c,n} = w^\top h_{c,n}$ and $r_{r,n} = w^\top h_{r,n}$, let $L(w)$ be the loss of section 2 (with $m = 0$). With a penalty $\lambda$ (`l2`) against large weights, we minimise
#
# $$J(w) = L(w) + \frac{\lambda}{2} \lVert w \rVert^2, \qquad \nabla J = \sum_{n=1}^{N} \frac{\partial L}{\partial r_{c,n}}\, (h_{c,n} - h_{r,n}) + \lambda w$$
#
# This is a logistic regression on *differences* of states. It is convex: there is one best $w$, and any optimizer that arrives finds the same.
#
# **By hand.** Mask $(1, 1, 0)$: last position 1. Mask $(0, 1, 1)$: last position 2. One pair with $d = 1$, $h_c = 1$, $h_r = 0$: $J(w) = \log(1 + e^{-w}) + \frac\lambda2 w^2$, so $\sigma(-w) = \lambda w$ at the best $w$. For $\lambda = \frac14 / \ln 3 \approx 0.2276$ that is $w = \ln 3$, because $\sigma(-\ln 3) = \frac14$. Without the penalty $w$ would run to infinity.
#
# <details><summary>Hint 1</summary>Positions times mask, <code>torch.arange(T) * mask</code>, has its maximum at the last real token. Then <code>hidden[torch.arange(B), last]</code>.</details>
# <details><summary>Hint 2</summary><code>scipy.optimize.minimize(f, start, jac=True, method="L-BFGS-B")</code> takes a function that returns (value, gradient). <code>reference.bradley_terry(better @ w, worse @ w)</code> gives both parts of L.</details>
# <details><summary>Hint 3</summary>scipy stops early by default: add <code>tol=1e-12</code>.</details>


# %% nbgrader={"grade": false, "grade_id": "reward-head", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def last_states(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Pick each text's state at its last real token.

    Args:
        hidden: floating-point tensor of shape (B, T, d).
        mask: int64 of shape (B, T), 1 at the tokens of the text and 0 at padding, which may be at the right or the left;
            each row has a 1.

    Returns:
        A tensor of shape (B, d) with the dtype of hidden.

    Example:
        mask [[1, 1, 0]] picks hidden[0, 1], mask [[0, 1, 1]] picks hidden[0, 2]
    """
    ### BEGIN SOLUTION
    last = (torch.arange(mask.shape[1]) * mask).argmax(dim=1)
    return hidden[torch.arange(len(hidden)), last]
    ### END SOLUTION


def fit_head(better: ndarray, worse: ndarray, l2: float) -> ndarray:
    """Find the w that minimises the mean Bradley-Terry loss of rewards better @ w and worse @ w, plus l2 / 2 times |w| squared.

    Args:
        better, worse: float64 of shape (N, d): row n holds the states of the chosen and the rejected reply of pair n; not
            changed.
        l2: the penalty, above 0.

    Returns:
        float64 of shape (d,): at the minimum, to within a gradient whose entries are all below 1e-4.

    Example:
        fit_head(np.array([[1.0]]), np.array([[0.0]]), 0.25 / np.log(3))  ->  [1.0986]
    """
    ### BEGIN SOLUTION
    gap = better - worse

    def objective(w: ndarray) -> tuple[float, ndarray]:
        loss, d_better, _ = reference.bradley_terry(better @ w, worse @ w)
        return loss + l2 / 2 * (w @ w), gap.T @ d_better + l2 * w

    return minimize(objective, np.zeros(gap.shape[1]), jac=True, method="L-BFGS-B", tol=1e-12).x
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "reward-head-example", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
hidden, batch = torch.arange(12.0).reshape(2, 3, 2), torch.tensor([[1, 1, 0], [0, 1, 1]])
picked = last_states(hidden, batch)
why = f"masks [1, 1, 0] and [0, 1, 1] should pick positions 1 and 2, states [2, 3] and [10, 11]; got {picked.tolist()}"
assert picked.tolist() == [[2.0, 3.0], [10.0, 11.0]], why
one = [(1.0, 0.25 / np.log(3), np.log(3))]
### BEGIN HIDDEN TESTS
w = float(np.random.default_rng(seed("reward-head-example")).uniform(0.5, 2))
one += [(1.0, 1 / (1 + np.exp(w)) / w, w), (-2.0, 2 / (1 + np.exp(2 * w)) / w, -w)]
masks = torch.tensor([[1, 0, 0], [0, 0, 1], [1, 1, 1]])
picked = last_states(torch.stack([hidden[0]] * 3).to(torch.bfloat16), masks)
why = f"masks {masks.tolist()} should pick positions 0, 2, 2, states [0, 1], [4, 5], [4, 5], in bfloat16; got {picked}"
assert picked.tolist() == [[0.0, 1.0], [4.0, 5.0], [4.0, 5.0]] and picked.dtype == torch.bfloat16, why
### END HIDDEN TESTS
for state, l2, w in one:
    got = fit_head(np.array([[state]]), np.array([[0.0]]), l2)
    # the gradient may be off by 1e-4, and here the curvature is above 0.1: w by 1e-3
    assert_allclose(got, [w], atol=1e-3, err_msg=f"states {state}, 0, l2 {l2:.4f}: does better win? l2 / 2 times w^2?")

# %% nbgrader={"grade": true, "grade_id": "reward-head-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: the weights against scikit-learn's logistic regression and by their gradient, for several penalties; arguments unchanged.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("reward-head-properties"))
for n, l2 in [(40, 0.05), (40, 1.0), (90, 0.3)]:
    up, down = rng.normal(size=(2, n, 4)) + 2.0
    up += rng.uniform(0, 1, size=4)
    given = up.copy(), down.copy()
    w = np.asarray(fit_head(up, down, l2))
    assert_array_equal(given, (up, down), err_msg="fit_head changed its arguments")
    # a logistic regression without intercept on each difference and its mirror image has the same minimum
    x, labels = np.concatenate([up - down, down - up]), np.repeat([1, 0], n)
    twin = LogisticRegression(C=1 / (2 * n * l2), fit_intercept=False, tol=1e-10, max_iter=1000).fit(x, labels)
    where = f"{n} pairs, d = 4, l2 = {l2}: a mean over pairs? l2 halved? only differences? stopped too early?"
    # the curvature is at least l2, so a gradient below 1e-4 an entry leaves w off by 2e-4 / l2 at most
    assert_allclose(w, twin.coef_[0], atol=2e-4 / l2, strict=True, err_msg=f"weights, {where}")
    t = torch.tensor(w, requires_grad=True)
    loss = -functional.logsigmoid(torch.tensor(up - down) @ t).mean() + l2 / 2 * (t @ t)
    slope = torch.autograd.grad(loss, t)[0].abs().max().item()
    assert slope < 1e-4, f"the gradient at your w has an entry of {slope:.2g}, above 1e-4, {where}"
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** Now the real thing, `frozen_states` of `llmlabs.lab.rewards`, which calls your `last_states`. SmolLM2 reads every text once, in bfloat16, and we keep one state a text: that of the token `<|im_end|>` that closes the reply. At "cpu" the texts pass the lowest 10 of the 30 layers only, which is a third of the work. Each of the 576 numbers of a state is centred and scaled by its spread over the training texts.

# %% nbgrader={"grade": false, "grade_id": "reward-model-states", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
model, tokenizer = smollm2(torch.bfloat16)
model = model.to("cuda" if SCALE == "gpu" and torch.cuda.is_available() else "cpu")
texts = {part: [f"Customer: {r.question}\nBank: {r.text}<|im_end|>" for r in found] for part, found in replies.items()}
texts["sums"] = [f"{s.question}={answer}<|im_end|>" for s in additions for answer in (s.right, s.wrong)]
states, length = {}, {}
for part, found in texts.items():
    states[part], length[part] = frozen_states(model, tokenizer, found, last_states, DEPTH)
centre, spread = states["train"].mean(axis=0), states["train"].std(axis=0)
states |= {part: (states[part] - centre) / spread for part in replies}
first = states["sums"][:480]  # 240 sums to train on, each right and wrong, and 160 to test
right, wrong = ((states["sums"] - first.mean(axis=0)) / first.std(axis=0)).reshape(400, 2, -1).swapaxes(0, 1)
print({part: f"{len(n)} texts of {n.mean():.0f} tokens" for part, n in length.items()})


# %% nbgrader={"grade": false, "grade_id": "reward-model-heads", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
def training_states(found: ndarray) -> tuple[ndarray, ndarray]:  # of the chosen and of the rejected replies
    return states["train"][found[:, 0]], states["train"][found[:, 1]]


L2 = 0.003
seen = (right[240:] - wrong[240:]) @ fit_head(right[:240], wrong[:240], L2) > 0
errors = np.array([s.error for s in additions[240:]])
plain = fit_head(*training_states(pairs["train"]), L2)
margins = {part: (states[part] @ plain)[pairs[part]] @ [1, -1] for part in replies}
ahead = rating["test"][pairs["test"]] @ [1, -1]
figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
by_error = {f"{a} or {b}": seen[(errors == a) | (errors == b)].mean() for a, b in ((1, 2), (5, 10), (20, 40))}
by_gap = {f"{a} to {b}": (margins["test"][(ahead >= a) & (ahead < b)] > 0).mean() for a, b in ((0, 1), (1, 3), (3, 9))}
for ax, bars, colour in zip(axes, (by_error, by_gap), ("C0", "C1"), strict=True):
    ax.bar([*bars], [*bars.values()], color=colour)
    ax.axhline(0.5, color="black", linestyle=":")
label(axes[0], "Sums: only gross errors are seen", "size of the error", "share in the right order")
label(axes[1], "Replies: the clearer, the more often right", "difference of the ratings", "")
plt.show()
hits = (margins["test"] > 0).mean()
print(f"held-out accuracy: sums {seen.mean():.1%}, replies (new questions, known sentences) {hits:.1%}")
assert by_error["20 or 40"] > by_error["1 or 2"] and hits > 0.75, "it reads tone"


# %% [markdown]
# The dotted line is a coin. The head reads tone, promises and instructions off the frozen states, but not whether a sum is right to the last unit: ten layers, read by a line that was fitted to 240 sums, do not show it. Exercise 1's verifier is right every time. Where an answer can be checked, check it, and keep reward models for what cannot be.
#
# Mind what "held out" means here. The questions of the test are new, and so are the mixtures, but every reply, in training and in test, is put together from the same 25 sentences and four openings. So the accuracy says that the head weighs known sentences rightly in replies that it has not seen; it does not say how the head would judge the same thoughts in other words, and there one should expect less. Real preference data have the same weakness in a milder form: test pairs come from the same raters, prompts and models as the training pairs.
#
# ## 4. Accuracy, calibration and margin
#
# The **margin** of a pair is from here on what the model reaches, $\Delta = r_c - r_r$, not the $m_n$ that section 2 demands of it. **Accuracy** is the share of pairs with $\Delta > 0$, where a tie counts half. But the rewards also claim a probability: for the reply that the model itself prefers, $p = \sigma(|\Delta|) \in [\frac12, 1]$. The model is **calibrated** if of all pairs with $p \approx 0.8$ it gets 80 % right. Cut $[\frac12, 1]$ into $B$ bins of equal width; with $n_b$ of the $N$ pairs in bin $b$, of which a share $\mathrm{acc}_b$ is in the right order at a mean claim $\mathrm{conf}_b$, the **expected calibration error** (Guo et al. 2017, section 2) is
#
# $$\mathrm{ECE} = \sum_{b=1}^{B} \frac{n_b}{N}\, \bigl|\,\mathrm{acc}_b - \mathrm{conf}_b\,\bigr|$$
#
# Overconfidence has a one-number cure, **temperature scaling**: divide all margins by the $T > 0$ that makes $\frac1N \sum_n \log\bigl(1 + e^{-\Delta_n/T}\bigr)$ smallest on pairs that were not trained on. No order changes, so accuracy stays.
#
# **By hand.** $\Delta = (\ln 3, \ln 3, -\ln 3, 0)$. Accuracy $(1 + 1 + 0 + \frac12)/4 = 0.625$. Two bins, $[0.5, 0.75)$ and $[0.75, 1]$: the tie claims 0.5 and scores 0.5, no error; the other three claim 0.75 and score $\frac23$. $\mathrm{ECE} = \frac34 \cdot \frac1{12} = 0.0625$. Temperature of $(\ln 3, \ln 3, -\ln 3)$: two of three are right, so the best claim is $\frac23$, $\ln 3 / T = \ln 2$, $T = 1.585$.
#
# <details><summary>Hint 1</summary><code>np.heaviside(margins, 0.5)</code> is 1, ½ or 0. The bin of p is the whole part of (p - ½) · 2B; p = 1 belongs to the last bin.</details>
# <details><summary>Hint 2</summary>n_b / N times the difference of two means is the difference of two sums, divided by N.</details>
# <details><summary>Hint 3</summary>The loss has one valley in log T: <code>minimize_scalar</code> with <code>bounds=(-7, 9)</code> finds it.</details>


# %% nbgrader={"grade": false, "grade_id": "reward-calibration", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def pair_accuracy(margins: ndarray) -> float:
    """Return the share of margins, float64 of shape (N,), that are above 0; a margin of exactly 0 counts half."""
    ### BEGIN SOLUTION
    return float(np.heaviside(margins, 0.5).mean())
    ### END SOLUTION


def calibration_error(margins: ndarray, bins: int) -> float:
    """Return the expected calibration error of the claims sigmoid(|margin|), as above.

    In acc of a bin a margin of exactly 0 counts half, as in pair_accuracy. Empty bins count nothing.

    Args:
        margins: float64 of shape (N,), reward of the chosen minus the rejected reply; not changed.
        bins: the number of bins of equal width over [0.5, 1]. A bin holds its lower end, the last one also 1.

    Example:
        calibration_error(np.array([1.1, 1.1, -1.1, 0.0]), 2)  ->  0.0627: claims of 0.750 with 2 of 3 right, and a tie
    """
    ### BEGIN SOLUTION
    claim = 1.0 / (1.0 + np.exp(-np.abs(margins)))
    error = np.heaviside(margins, 0.5) - claim
    index = np.minimum(((claim - 0.5) * 2 * bins).astype(int), bins - 1)
    return float(sum(abs(error[index == b].sum()) for b in range(bins)) / len(margins))
    ### END SOLUTION


def temperature(margins: ndarray) -> float:
    """Return the T above 0 that minimises the mean of log(1 + exp(-margin / T)), to a thousandth of T.

    Args:
        margins: float64 of shape (N,), up to 1000 in size. Their sum is above 0 and one of them at least is below 0, so
            that there is such a T, and it is between 0.01 and 1000.

    Example:
        temperature(np.log([3, 3, 1 / 3]))  ->  1.585
    """
    ### BEGIN SOLUTION

    def loss(log_t: float) -> float:
        return float(np.logaddexp(0.0, -margins / np.exp(log_t)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-7.0, 9.0)).x))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "reward-calibration-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
m = np.array([1.1, 1.1, -1.1, 0.0])
claim = 1 / (1 + np.exp(-1.1))
assert_allclose([pair_accuracy(m)], [0.625], err_msg=f"accuracy of margins {m.tolist()}: a tie counts half")
why = f"margins {m.tolist()}, two bins: a tie claims and scores 0.5; 3 / 4 claim {claim:.3f}, and 2 of 3 are right"
assert_allclose([calibration_error(m, 2)], [0.75 * abs(2 / 3 - claim)], err_msg=why)
triples = [(np.log(3), np.log(3) / np.log(2))]
### BEGIN HIDDEN TESTS
x = float(np.random.default_rng(seed("reward-calibration-example")).uniform(0.2, 5))
triples += [(x, x / np.log(2))]
### END HIDDEN TESTS
for x, expected in triples:
    why = f"T of margins {x:.3f}, {x:.3f}, {-x:.3f}: two of three right, so sigma({x:.3f} / T) = 2/3; to a thousandth of T"
    assert_allclose([temperature(np.array([x, x, -x]))], [expected], rtol=2e-3, err_msg=why)

# %% nbgrader={"grade": true, "grade_id": "reward-calibration-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: accuracy with ties; the calibration error bin by bin, certain claims in the last bin; the temperature against a root of the loss's slope.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("reward-calibration-properties"))
for n, bins in [(60, 5), (200, 4), (20, 40), (7, 1)]:
    p = rng.uniform(0.5, 1, size=n)
    m = np.log(p / (1 - p)) * np.where((p - 0.5) * 2 * bins % 2 < 1, 1, -1)  # bins right and wrong by turns
    m[:3] = 40.0, -40.0, 0.0  # two certain claims and a tie
    given, where = m.copy(), f"{n} margins"
    right, sure = [1.0 if x > 0 else 0.0 if x < 0 else 0.5 for x in m], [1 / (1 + math.exp(-abs(x))) for x in m]
    assert_allclose([pair_accuracy(m)], [sum(right) / n], err_msg=f"accuracy of {where}: share above 0, ties half")
    held: dict[int, list[float]] = {}
    for ok, p in zip(right, sure, strict=True):
        held.setdefault(min(int((p - 0.5) / 0.5 * bins), bins - 1), []).append(ok - p)
    expected = sum(len(d) / n * abs(sum(d) / len(d)) for d in held.values())
    why = f"calibration error of {where}, {bins} bins over [0.5, 1], empty ones too: weights n_b / N? absolute values? p = 1?"
    assert_allclose([calibration_error(m, bins)], [expected], rtol=1e-9, atol=1e-12, err_msg=why)
    assert_array_equal(m, given, err_msg="the margins were changed")
    m = rng.normal(0.4, 1, size=n)
    m[:2] = 0.0, -0.3
    m[2] += 1 + max(-m.sum(), 0.0)  # of both signs, and the sum is above 0
    s = brentq(lambda s, m=m: (m * np.exp(-np.logaddexp(0, s * m))).mean(), 1e-3, 1e3, xtol=1e-12)
    for best in (0.012, 1.0, 100.0)[: 3 if n > 50 else 2]:  # k times the margins need k times the temperature
        why = f"temperature of {where}: smallest mean of log(1 + e^(-m / T)), T from 0.01 to 1000? here T = {best}"
        assert_allclose([temperature(best * s * m)], [best], rtol=2e-3, err_msg=why)
### END HIDDEN TESTS

# %% [markdown]
# Use them on the pool: 8 new questions with 24 replies each, up to 8 sentences of filler, more than the head has ever seen. $T$ comes from the first four questions, the picture from the other four; bins of fewer than 20 pairs are not drawn.

# %% nbgrader={"grade": false, "grade_id": "reward-model-use-calibration", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
first = prompts["pool"][pairs["pool"][:, 0]] < 224
t, rest = temperature(margins["pool"][first]), margins["pool"][~first]
plt.figure(figsize=(5, 3.4))
plt.plot([0.5, 1], [0.5, 1], ":", color="black", label="calibrated")
for name, m, style in (("raw", rest, "o-"), (f"divided by T = {t:.2f}", rest / t, "s--")):
    groups = claims(m, 8)
    plt.plot([p.mean() for p, _ in groups], [pair_accuracy(own) for _, own in groups], style, label=name)
    print(f"{name}: accuracy {pair_accuracy(m):.1%}, mean margin {m.mean():.2f}, ECE {calibration_error(m, 8):.3f}")
label(plt.gca(), "The head is too sure; one number mends it", "claimed probability", "share in the right order")
plt.show()
assert t > 1 and calibration_error(rest / t, 8) < calibration_error(rest, 8), "scaling should cure overconfidence"


# %% [markdown]
# ## 5. Length bias
#
# So far the judge was the raters' own formula. A reward model that has learned their taste for filler looks *accurate* on held-out ratings. Two tests see through it. **Slope**: regress the reward on the length, *within* prompts, so that long answers to hard questions do not count as bias. With reward $r_i$ and length $\ell_i$ of reply $i$, and $\bar r$, $\bar\ell$ the means over the replies to *its* prompt,
#
# $$b = \frac{\sum_i (r_i - \bar r)(\ell_i - \bar\ell)}{\sum_i (\ell_i - \bar\ell)^2}$$
#
# **Gold**: compare with labels in which length earns nothing. Singhal et al. (2023, *A Long Way to Go*) found that much of what RLHF had gained was length.
#
# A cure is to give the length its own weight while training and to take it away afterwards (Dubois et al. 2024 do this to a leaderboard). With $\Delta\ell_n$ the length of the chosen minus that of the rejected reply, fit
#
# $$P(c \succ r) = \sigma\bigl(w^\top (h_{c,n} - h_{r,n}) + \gamma\, \Delta\ell_n\bigr)$$
#
# for $w$ and the number $\gamma$ together, with the penalty on $w$ only, and use $w^\top h$ alone as the reward. What length explains, the free $\gamma$ explains at no cost, so $w$ need not.
#
# **By hand.** One prompt, lengths $(1, 3)$, rewards $(0, 1)$: centred $(-1, 1)$ and $(-\frac12, \frac12)$, slope $1/2$. Add a second prompt, lengths $(10, 10)$, rewards $(5, 7)$: its lengths do not vary, the slope stays $\frac12$. And the control: if all states are equal, only $\gamma$ can explain. Length gaps $(1, 1, -1)$ say that the longer reply won two pairs of three, so the best $\sigma(\gamma)$ is $\frac23$: $\gamma = \ln 2$ and $w = 0$.
#
# <details><summary>Hint 1</summary>For each prompt subtract the mean of its rewards and of its lengths. Then one division of two sums over all replies.</details>
# <details><summary>Hint 2</summary>Optimise one vector of d + 1 numbers, (w, γ). <code>reference.bradley_terry(score, np.zeros(N))</code> gives the loss and its gradient by the score; the gradient by γ is <code>length_gap @ d_score</code>, without penalty.</details>


# %% nbgrader={"grade": false, "grade_id": "reward-length", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def length_slope(rewards: ndarray, lengths: ndarray, prompts: ndarray) -> float:
    """Return the least-squares slope of reward by length within prompts, b above; 0.0 if no prompt's lengths vary.

    Args:
        rewards, lengths: float64 of shape (N,); not changed.
        prompts: int64 of shape (N,), the prompt of each reply; those of one prompt need not stand together.

    Example:
        length_slope(np.array([0.0, 1.0, 5.0, 7.0]), np.array([1.0, 3.0, 10.0, 10.0]), np.array([0, 0, 1, 1]))  ->  0.5
    """
    ### BEGIN SOLUTION
    off = lengths.copy()
    for prompt in np.unique(prompts):
        off[prompts == prompt] -= lengths[prompts == prompt].mean()
    # off adds up to 0 within each prompt, so taking the mean off the rewards would change nothing
    return float(rewards @ off / (off @ off)) if off.any() else 0.0
    ### END SOLUTION


def fit_length_controlled(better: ndarray, worse: ndarray, length_gap: ndarray, l2: float) -> tuple[ndarray, float]:
    """Find the w and gamma that minimise J: mean of -log sigmoid((better - worse) @ w + gamma * length_gap), plus l2 / 2 |w|^2.

    Args:
        better, worse: float64 of shape (N, d), states of the chosen and the rejected replies.
        length_gap: float64 of shape (N,), length of the chosen minus that of the rejected reply; of both signs.
        l2: the penalty on w, above 0. gamma has none.

    Returns:
        (w, gamma): float64 of shape (d,) and a number, at the minimum, to within a gradient whose entries are all below 1e-4.
    """
    ### BEGIN SOLUTION
    gap = better - worse

    def objective(both: ndarray) -> tuple[float, ndarray]:
        w, gamma = both[:-1], both[-1]
        loss, d_score, _ = reference.bradley_terry(gap @ w + gamma * length_gap, np.zeros(len(gap)))
        return loss + l2 / 2 * (w @ w), np.append(gap.T @ d_score + l2 * w, length_gap @ d_score)

    best = minimize(objective, np.zeros(gap.shape[1] + 1), jac=True, method="L-BFGS-B", tol=1e-12).x
    return best[:-1], float(best[-1])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "reward-length-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
r, words, of = np.array([0.0, 1.0, 5.0, 7.0]), np.array([1.0, 3.0, 10.0, 10.0]), np.array([0, 0, 1, 1])
cases = [(r, words, of, 0.5), (r, np.array([4.0, 4.0, 10.0, 10.0]), of, 0.0), (r, words / 100, of, 50.0)]
units, same = [1.0], np.zeros((3, 1))
### BEGIN HIDDEN TESTS
k = float(np.random.default_rng(seed("reward-length-example")).uniform(1, 3))
cases += [(k * words + 100 * of, words, of, k), (r[[2, 0, 1, 3]], words[[2, 0, 1, 3]], of[[2, 0, 1, 3]], 0.5)]
units += [k]
### END HIDDEN TESTS
for rewards, lengths, groups, slope in cases:
    why = f"rewards {rewards.round(2)}, lengths {lengths}, prompts {groups}: slope of reward by length; own means; 0.0 if flat"
    assert_allclose([length_slope(rewards, lengths, groups)], [slope], rtol=1e-9, atol=1e-12, err_msg=why)
for unit in units:
    w, gamma = fit_length_controlled(same, same, unit * np.array([1.0, 1.0, -1.0]), 0.1)
    why = f"equal states, length gaps {unit:.2f} times (1, 1, -1): w = 0, and sigma(gamma times {unit:.2f}) = 2/3"
    # a gradient below 1e-4 leaves w off by 1e-4 / l2 at most, and gamma by less
    assert_allclose([*w, gamma], [0, np.log(2) / unit], atol=1.1e-3, err_msg=why)

# %% nbgrader={"grade": true, "grade_id": "reward-length-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: the slope against least squares with a constant for each prompt; the gradient of the objective at w and gamma; arguments unchanged.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("reward-length-properties"))
groups, lengths = rng.permutation(np.repeat([2, 9, 4], [3, 6, 5])), rng.integers(5, 60, size=14).astype(float)
rewards = 0.3 * lengths + 10.0 * groups + rng.normal(size=14)
given = rewards.copy(), lengths.copy(), groups.copy()
design = np.column_stack([lengths, *(groups == g for g in (2, 9, 4))])
expected = np.linalg.lstsq(design, rewards, rcond=None)[0][0]
why = "14 replies to 3 prompts, in mixed order, against least squares with a constant for each prompt: sums over all replies?"
assert_allclose([length_slope(rewards, lengths, groups)], [expected], rtol=1e-7, err_msg=why)
assert_array_equal(np.concatenate(given), np.concatenate([rewards, lengths, groups]), err_msg="arguments were changed")
for l2 in (0.05, 0.5):
    up, down, more = rng.normal(size=(50, 3)) + 0.4, rng.normal(size=(50, 3)), rng.normal(0.5, 1, size=50)
    up[:, 0] += more  # a state that knows the length
    w, gamma = fit_length_controlled(up, down, more, l2)
    assert np.shape(w) == (3,), f"3 numbers a state, so w should have shape (3,), got {np.shape(w)}"
    t = torch.tensor([*np.asarray(w).tolist(), float(gamma)], dtype=torch.float64, requires_grad=True)
    score = torch.tensor(up - down) @ t[:3] + t[3] * torch.tensor(more)
    grads = torch.autograd.grad(-functional.logsigmoid(score).mean() + l2 / 2 * (t[:3] @ t[:3]), t)[0]
    where = f"50 pairs, d = 3, l2 = {l2}"
    by_w, by_gamma = grads[:3].abs().max().item(), grads[3].abs().item()
    assert by_w < 1e-4, f"{where}: gradient by w {by_w:.2g}: a mean? l2 / 2 |w|^2? fitted with gamma, + gamma?"
    assert by_gamma < 1e-4, f"{where}: the gradient by gamma is {by_gamma:.2g}; is it fitted too, without penalty?"
### END HIDDEN TESTS

# %% [markdown]
# Use both on the pool: the plain head of exercise 3, the length-controlled one, and, for comparison, a head that was trained on the gold scores. Gold judges, and trains, the pairs whose gold scores differ by 0.5 or more. Lengths are in units of ten tokens; rewards are divided by their standard deviation to be comparable.

# %% nbgrader={"grade": false, "grade_id": "reward-model-use-length", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
longer = length["train"][pairs["train"]] @ [0.1, -0.1]  # in units of ten tokens
controlled, _ = fit_length_controlled(*training_states(pairs["train"]), longer, L2)
judges = {"raters": pairs["pool"], "gold": preference_pairs(prompts["pool"], gold["pool"], 0.5)}
ideal = fit_head(*training_states(preference_pairs(prompts["train"], gold["train"], 0.5)), L2)
heads = {"plain": plain, "length-controlled": controlled, "trained on gold": ideal}
pool = {name: states["pool"] @ w / (states["pool"] @ w).std() for name, w in heads.items()}
slopes = {name: length_slope(r, length["pool"] / 10, prompts["pool"]) for name, r in pool.items()}
agree = {name: {judge: pair_accuracy(r[p] @ [1, -1]) for judge, p in judges.items()} for name, r in pool.items()}
for name, found in agree.items():
    by = ", ".join(f"with {judge} {share:.1%}" for judge, share in found.items())
    print(f"{name:>18}: {slopes[name]:+.2f} for ten tokens more; agrees {by}")
draw_by_length({f"{name}: {slope:+.2f}": pool[name] for name, slope in slopes.items()}, length["pool"], gold["pool"])
assert slopes["length-controlled"] < slopes["plain"], "the control should lower the slope"
assert agree["length-controlled"]["gold"] > agree["plain"]["gold"], "the control should bring the head nearer to gold"


# %% [markdown]
# The raters agree best with the head that shares their bias. Judged by gold, that head is worse than a coin on this pool, where replies hold up to eight sentences of filler. The cure is partial: the length-controlled head is nearer to gold, but no better than a coin. Filler can be told by more than its length, and what else of it stands in the states $w$ may still reward; and since naming steps makes a reply longer too, $\gamma$ takes some of their worth along.
#
# ## 6. Helpful, harmless, honest
#
# One number hides what it trades. Askell et al. (2021) ask an assistant to be helpful, harmless and honest; Bai et al. (2022, section 4) saw the first two pull apart: a model that refuses everything is harmless. So train one head for each, from pairs judged by that quality only, and add them up in the open. Rewards have no zero and no unit, so each head $k$ is first put on one scale, with mean $\mu_k$ and standard deviation $s_k$ over a fixed set of **baseline** replies:
#
# $$R_i = \sum_{k=1}^{K} \frac{\omega_k}{\sum_j \omega_j} \cdot \frac{r_{ik} - \mu_k}{s_k}, \qquad \omega_k \ge 0$$
#
# A weighted sum always has a price: enough help buys any harm. A **floor** is not for sale: of the candidates whose harmless score is at least the floor take the one with the highest $R$; if none is, take the most harmless.
#
# **By hand.** Baseline of two replies with scores $(0, 10)$ and $(2, 30)$: $\mu = (1, 20)$, $s = (1, 10)$. A reply with $(3, 20)$ has $z = (2, 0)$; weights $(1, 3)$ give $R = \frac14 \cdot 2 + \frac34 \cdot 0 = 0.5$. Totals $(3, 2, 1)$, harmless $(-1, 0.5, 2)$: floor 0 picks reply 1, floor 3 picks reply 2.
#
# <details><summary>Hint 1</summary>A head that gives all baseline replies one score has s = 0 and must not divide by it: <code>np.where(s &gt; 0, s, 1.0)</code> divides by 1, and a product with <code>s &gt; 0</code> makes its share 0.</details>
# <details><summary>Hint 2</summary><code>np.where(harmless &gt;= floor, total, -np.inf)</code> keeps the candidates that may win.</details>


# %% nbgrader={"grade": false, "grade_id": "reward-heads", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def weighted_reward(scores: ndarray, baseline: ndarray, weights: ndarray) -> ndarray:
    """Add up the scores of K heads on one scale, R above.

    Args:
        scores: float64 of shape (N, K); not changed, nor are the others.
        baseline: float64 of shape (M, K): its means and standard deviations (divided by M) set the scale. A head with a
            standard deviation of 0 adds 0 to every reply, and its weight still counts in the sum of the weights.
        weights: float64 of shape (K,), at least 0.

    Returns:
        float64 of shape (N,).

    Raises:
        ValueError: if a weight is below 0 or all are 0.

    Example:
        weighted_reward(np.array([[3.0, 20.0]]), np.array([[0.0, 10.0], [2.0, 30.0]]), np.array([1.0, 3.0]))  ->  [0.5]
    """
    ### BEGIN SOLUTION
    if weights.min() < 0 or weights.sum() == 0:
        raise ValueError(f"weights must be at least 0, and one of them above it, got {weights}")
    spread = baseline.std(axis=0)
    z = (scores - baseline.mean(axis=0)) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ weights / weights.sum()
    ### END SOLUTION


def best_with_floor(total: ndarray, harmless: ndarray, floor: float) -> int:
    """Return the index of the highest total among the candidates whose harmless score is at least the floor.

    If there is none, the index of the highest harmless score. Of equals the first wins.

    Args:
        total, harmless: float64 of shape (N,), finite.
        floor: the harmless score that is just good enough.

    Example:
        best_with_floor(np.array([3.0, 2.0, 1.0]), np.array([-1.0, 0.5, 2.0]), 0.0)  ->  1
    """
    ### BEGIN SOLUTION
    safe = harmless >= floor
    return int(np.where(safe, total, -np.inf).argmax() if safe.any() else harmless.argmax())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "reward-heads-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
base, cases = np.array([[0.0, 10.0], [2.0, 30.0]]), [([3.0, 20.0], [1.0, 3.0], 0.5)]
picks = [([3.0, 2.0, 1.0], [-1.0, 0.5, 2.0], 0.0, 1), ([3.0, 2.0, 1.0], [-1.0, 0.5, 2.0], 3.0, 2)]
### BEGIN HIDDEN TESTS
x = float(np.random.default_rng(seed("reward-heads-example")).uniform(2, 5))
cases += [([1.0, 20.0 + 10 * x], [2.0, 6.0], 0.75 * x), ([1.0 + x, -7.0], [5.0, 0.0], x)]
picks += [([1.0, 5.0, 5.0], [0.0, 0.0, 4.0], 0.0, 1), ([9.0, 1.0, 2.0], [-3.0, -2.0, -2.0], 0.0, 1)]
picks += [([-5.0, -1.0, -2.0], [-1.0, 0.0, 3.0], 0.5, 2)]
### END HIDDEN TESTS
for row, weights, total in cases:
    why = f"scores {row}, weights {weights}: each head's (score - mean) / std of the baseline, by M; weights that add up to 1"
    assert_allclose(weighted_reward(np.array([row]), base, np.array(weights)), [total], rtol=1e-9, err_msg=why)
for total, harmless, floor, best in picks:
    got, where = int(best_with_floor(np.array(total), np.array(harmless), floor)), f"harmless {harmless}, floor {floor}"
    why = "highest total at the floor or above, else the most harmless; the first of equals; counted among all"
    assert got == best, f"totals {total}, {where}: {best} expected, got {got}: {why}"

# %% nbgrader={"grade": true, "grade_id": "reward-heads-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: other sizes, head by head; a constant head; bad weights; arguments unchanged.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("reward-heads-properties"))
s, base, weights = rng.normal(size=(6, 3)), rng.normal(2, [5, 1, 0.1], size=(9, 3)), rng.uniform(0.5, 2, size=3)
given = s.copy(), base.copy(), weights.copy()
z = [(s[:, k] - sum(base[:, k]) / 9) / math.sqrt(np.mean((base[:, k] - base[:, k].mean()) ** 2)) for k in range(3)]
expected = sum(w * column for w, column in zip(weights, z, strict=True)) / sum(weights)
why = "6 replies, 3 heads, baseline of 9: mean and spread (divided by M) of the baseline, not of the scores?"
assert_allclose(weighted_reward(s, base, weights), expected, rtol=1e-9, strict=True, err_msg=why)
assert all(map(np.array_equal, (s, base, weights), given)), "weighted_reward changed an argument"
flat = base.copy()
flat[:, 1] = 2.0
expected = (weights[0] * z[0] + weights[2] * z[2]) / sum(weights)
why = "head 1 gives all of the baseline 2.0: it adds 0 to every reply, and its weight stays in the sum of weights"
assert_allclose(weighted_reward(s, flat, weights), expected, rtol=1e-9, err_msg=why)
for bad in ([1.0, -0.5, 1.0], [0.0, 0.0, 0.0]):
    with assert_raises(ValueError, msg=f"weights {bad} should raise ValueError"):
        weighted_reward(s, base, np.array(bad))
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** One head for each quality, fitted to pairs that are judged by that quality alone. Then best of six: from the 24 replies to each question of the pool six are drawn, 40 times, and the best by $R$ is kept, without a floor and with one. The weights of helpful and harmless add up to 1, and honest always weighs 0.2. The baseline is the training replies, so a floor of 0 is their mean harmless score.

# %% nbgrader={"grade": false, "grade_id": "reward-model-use-heads", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
aspects = []
for k, name in enumerate(("helpful", "harmless", "honest")):
    train, test = (preference_pairs(prompts[part], quality[part][:, k], 1.0) for part in ("train", "test"))
    aspects.append(fit_head(*training_states(train), L2))
    r = states["test"] @ aspects[k]
    hit, cross = pair_accuracy(r[test] @ [1, -1]), np.corrcoef(r, quality["test"][:, :3].T)[0, 1:]
    print(f"{name:>9} head: accuracy {hit:.1%}; correlation with helpful, harmless, honest: {cross.round(2)}")
    assert hit > 0.7 and cross.argmax() == k, f"the {name} head should read its own quality best"
train, scores = (states[part] @ np.array(aspects).T for part in ("train", "pool"))
rng, shares = np.random.default_rng(0), np.linspace(0, 1, 11)
safe = weighted_reward(scores, train, np.array([0.0, 1, 0]))
draws = [rng.choice(np.flatnonzero(prompts["pool"] == p), 6, replace=False) for p in range(220, 228) for _ in range(40)]
for floor, style, name in ((-np.inf, "-o", ""), (0.0, ":s", ", with a floor")):
    totals = [weighted_reward(scores, train, np.array([1 - share, share, 0.2])) for share in shares]
    picked = [[rows[best_with_floor(total[rows], safe[rows], floor)] for rows in draws] for total in totals]
    for k, quality_name in enumerate(("helpful", "harmless")):
        plt.plot(shares, quality["pool"][picked, k].mean(axis=1), style, color=f"C{k}", label=quality_name + name)
label(plt.gca(), "What one weight buys, the other pays", "weight of harmless (helpful: 1 - it)", "quality of the pick")
plt.show()


# %% [markdown]
# With the floor, the harmless line hardly depends on the weights any more. Its price is help: more than half a step where helpful has all the weight, next to nothing where harmless has it.
#
# ## 7. Best of $n$, and too much of it
#
# The simplest way to use a reward model needs no training: draw $n$ replies, keep the best (**best-of-$n$**, or **rejection sampling**). How far does that move the policy? The Kullback-Leibler divergence of the best-of-$n$ policy $\pi_{\text{bo}n}$ from the policy $\pi$ is at most the following (Stiennon et al. 2020, appendix G.3; Beirami et al. 2024 show that it is a bound):
#
# $$\mathrm{KL}(\pi_{\text{bo}n} \,\|\, \pi) \le \log n - \frac{n - 1}{n}$$
#
# To measure best-of-$n$ we need not draw: take $N$ candidates, sorted by the proxy reward from lowest to highest, with gold scores $g_0, \dots, g_{N-1}$. Of the $\binom{N}{n}$ subsets of size $n$, candidate $i$ is the best of those whose other $n - 1$ members are among the $i$ below it (Nakano et al. 2021, *WebGPT*):
#
# $$\mathrm{E}[g_{\text{bo}n}] = \sum_{i=n-1}^{N-1} \frac{\binom{i}{n-1}}{\binom{N}{n}}\, g_i$$
#
# **By hand.** $n = 2$: KL at most $\ln 2 - \frac12 = 0.193$. Proxy $(1, 2, 3)$, gold $(5, 7, 0)$, $n = 2$: subsets {0,1}, {0,2}, {1,2} have proxy winners 1, 2, 2, mean gold $\frac13 \cdot 7 + \frac23 \cdot 0 = 2.33$; $n = 1$ gives 4.
#
# <details><summary>Hint 1</summary><code>math.comb(i, n - 1)</code> is 0 for i &lt; n - 1, so the sum may start at 0.</details>
# <details><summary>Hint 2</summary>The sorted gold scores are <code>gold[np.argsort(proxy)]</code>; divide the integers of <code>math.comb</code> by one another before they become floats.</details>


# %% nbgrader={"grade": false, "grade_id": "reward-best-of-n", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def best_of_n_kl(n: int) -> float:
    """Return the bound log n - (n - 1) / n, in nats, for n of at least 1."""
    ### BEGIN SOLUTION
    return math.log(n) - (n - 1) / n
    ### END SOLUTION


def best_of_n_value(proxy: ndarray, gold: ndarray, n: int) -> float:
    """Return the mean gold score of the best of n by the proxy, over all subsets of n of the N candidates.

    Args:
        proxy: float64 of shape (N,), N up to 200; no two equal, in any order; not changed.
        gold: float64 of shape (N,), not changed.
        n: how many are drawn, without putting back.

    Raises:
        ValueError: unless 1 <= n <= N.

    Example:
        best_of_n_value(np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0, 0.0]), 2)  ->  2.333
    """
    ### BEGIN SOLUTION
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n must be from 1 to the number of candidates, {size}; got {n}")
    ways = np.array([math.comb(i, n - 1) / math.comb(size, n) for i in range(size)])
    return float(ways @ gold[np.argsort(proxy)])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "reward-best-of-n-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
bounds, cases = [(1, 0.0), (2, np.log(2) - 0.5)], [(2, 7 / 3), (1, 4.0), (3, 0.0)]
### BEGIN HIDDEN TESTS
n = int(np.random.default_rng(seed("reward-best-of-n-example")).integers(5, 99))
bounds += [(n, np.log(n) - 1 + 1 / n)]
### END HIDDEN TESTS
for n, kl in bounds:
    assert_allclose([best_of_n_kl(n)], [kl], rtol=1e-9, atol=1e-12, err_msg=f"{n}: log n - (n - 1) / n, natural log")
for n, value in cases:
    got = best_of_n_value(np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0, 0.0]), n)
    why = f"proxy (1, 2, 3), gold (5, 7, 0), n = {n}: the gold of winner i, by proxy, times C(i, n-1) / C(N, n)"
    assert_allclose([got], [value], atol=1e-9, err_msg=why)


# %% nbgrader={"grade": true, "grade_id": "reward-best-of-n-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: best-of-n against all subsets, candidates in any order; 200 candidates; an n that is too small or too large.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("reward-best-of-n-properties"))
proxy, score = np.array([3.0, 6.0, 0.0, 5.0, 1.0, 4.0, 2.0]) + rng.uniform(0, 0.5), rng.normal(size=7)
given = proxy.copy(), score.copy()
for n in range(1, 8):
    winners = [score[max(rows, key=lambda i: proxy[i])] for rows in itertools.combinations(range(7), n)]
    why = f"7 candidates, n = {n}, against the mean over all {len(winners)} subsets: sorted by the proxy?"
    assert_allclose([best_of_n_value(proxy, score, n)], [np.mean(winners)], rtol=1e-9, err_msg=why)
    assert_array_equal(given, (proxy, score), err_msg="best_of_n_value changed its arguments")
many = rng.permutation(200).astype(float)
why = "200 candidates, gold = proxy = 0 to 199, mixed: the highest of 100 is 100 * 201 / 101 - 1 in the mean; int64 overflows"
assert_allclose([best_of_n_value(many, many.copy(), 100)], [100 * 201 / 101 - 1], rtol=1e-7, err_msg=why)
for n in (0, 8):
    with assert_raises(ValueError, msg=f"n = {n} of 7 candidates should raise ValueError"):
        best_of_n_value(proxy, score, n)
### END HIDDEN TESTS


# %% [markdown]
# **Use it: Goodhart's law, drawn.** (When a measure becomes a target, it stops being a good measure.) For each question of the pool, best of $n$ out of 24 by a proxy, judged by proxy (centred, so that a random reply, $n = 1$, earns 0) and by gold. The gold score is what we want; the proxy is what we can compute (Gao, Schulman and Hilton 2022 do this with a large reward model as gold). The thin lines, and the lines "fresh" of the table, are the same on eight other questions with replies drawn by another seed, which nothing in this lab was selected by.

# %% nbgrader={"grade": false, "grade_id": "reward-model-overoptimisation", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
ns, curves = range(1, 13), {}
figure, axes = plt.subplots(1, 2, figsize=(7, 3))
for part, (i, (name, w)) in itertools.product(("pool", "fresh"), enumerate(heads.items())):
    r = (states[part] - states[part].mean(axis=0)) @ w
    judged = (r / r.std(), gold[part], quality[part][:, 3])
    curves[part, name] = own, real, filler = best_of_n_curves(best_of_n_value, r, judged, prompts[part], ns)
    look = {"marker": "os^"[i], "markersize": 3, "label": name} if part == "pool" else {"linewidth": 0.7}
    for ax, curve in zip(axes, (own, real), strict=True):
        ax.plot([best_of_n_kl(n) for n in ns], curve, color=f"C{i}", **look)
    print(f"{part:>5}, {name:>17}: own reward {own[0]:z.2f} {own[3]:.2f} {own[11]:.2f} for n = 1, 4, 12;", end=" ")
    print(f"gold {real[0]:.2f} {real[3]:5.2f} {real[11]:5.2f}; filler {filler[0]:.1f} {filler[3]:.1f} {filler[11]:.1f}")
label(axes[0], "The score always rises", "KL bound, nats", "own reward of the winner, sd")
label(axes[1], "What we wanted need not", "KL bound, nats", "gold score of the winner")
plt.show()
at_8 = {name: curves["pool", name][1][7] for name in heads}
assert at_8["plain"] < curves["pool", "plain"][1][0] - 0.1, "the plain head should be over-optimised"
assert at_8["length-controlled"] > at_8["plain"] + 0.1, "the length-controlled head should hold out longer"


# %% [markdown]
# With each $n$ the plain head's own reward rises, while the gold score of its winners falls below that of a random reply ($n = 1$), on both draws. The length-controlled head first loses a little on the pool and then gains a little; on the fresh draw it gains more. A proxy that is trained on gold gains most. Do not read much into the right ends: there a curve rests on a few winners for each of eight questions.
#
# *Think:* which column of the printed table would have warned you, if you had no gold score? Would a larger $n$ be better or worse for a head that is unbiased, but noisy?
#
# ## 8. Experiments: trl, and the tax
#
# **trl's RewardTrainer.** The field's own tool trains a `...ForSequenceClassification` with one label on columns `chosen_ids` and `rejected_ids`, by the loss of exercise 2. Our body is frozen and its states are cached, so `head_by_trl` (in `llmlabs.lab.rewards`, worth reading) builds a Llama with *no* layers whose "embedding" of token $i$ is the cached state of reply $i$: each reply is one token, and what trl trains is exactly our head. It has weight decay in place of our penalty and stops after 60 epochs, so the weights come close but are not equal. It must reach the accuracy of exercise 3.


# %% nbgrader={"grade": false, "grade_id": "reward-model-trl", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
theirs = states["test"] @ head_by_trl(states["train"], pairs["train"], tokenizer)
trl_accuracy, own_accuracy = pair_accuracy(theirs[pairs["test"]] @ [1, -1]), pair_accuracy(margins["test"])
alike = np.corrcoef(theirs, states["test"] @ plain)[0, 1]
print(f"held-out accuracy: yours {own_accuracy:.1%}, trl's {trl_accuracy:.1%}; correlation of the rewards {alike:.3f}")
assert abs(own_accuracy - trl_accuracy) < 0.05 and alike > 0.9, "the two heads should agree"


# %% [markdown]
# **The alignment tax.** What does a policy lose elsewhere when it is bent towards a reward? Take SmolLM2 itself as the policy. For 12 training questions keep the best of 5 replies by the length-controlled reward, and train the last layer on them for five steps, twice: alone, and with two passages of Jane Austen beside each batch (Ouyang et al. 2022 mix pre-training text in like this, PPO-ptx). Then both again, with batches drawn by another seed, which nothing was selected by. On *other* questions: how much likelier, in nats a token, is the reply with the best gold score than the one with the worst? And, on other pages of *Emma*: the perplexity $e^{\text{loss}}$, lower is better.


# %% nbgrader={"grade": false, "grade_id": "reward-model-tax", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
passages = [text for text in austen("emma").split("\n\n") if 300 < len(text) < 350][:12]
groups = {"replay": passages[:4], "general": passages[4:]}
groups["train"] = best_texts(texts["train"], prompts["train"], states["train"] @ controlled)[:12]
for name, sign in (("best", 1), ("worst", -1)):
    groups[name] = best_texts(texts["test"], prompts["test"], sign * gold["test"])
policy = LastLayerPolicy(model, tokenizer, groups, "\nBank:")
blocks = {"before": policy.block}
for again, name in enumerate(("", ", again")):
    blocks["on replies only" + name] = policy.tuned("train", 5, 1e-3, seed=again)
    blocks["with Austen mixed in" + name] = policy.tuned("train", 5, 1e-3, "replay", seed=again)
gain, perplexity = {}, {}
plt.figure(figsize=(6, 3))
for (name, block), marker in zip(blocks.items(), "osD^v", strict=True):
    loss = {group: policy.measured(group, block) for group in ("best", "worst", "general")}
    gain[name], perplexity[name] = loss["worst"] - loss["best"], math.exp(loss["general"])
    plt.plot(gain[name], perplexity[name], marker, markersize=9, label=name)
    print(f"{name:>27}: best reply ahead by {gain[name]:+.3f} nats a token, perplexity of Emma {perplexity[name]:.1f}")
label(plt.gca(), "Alignment is paid for elsewhere: in Emma", "best reply ahead, nats a token", "perplexity of Emma")
plt.show()
assert min(gain.values()) == gain["before"], "both trainings should favour the better replies"
assert perplexity["before"] < perplexity["with Austen mixed in"] < perplexity["on replies only"], "a tax expected"


# %% [markdown]
# Both seeds agree in direction: training on replies alone raises the perplexity most, and two passages of Austen beside each batch take most of that tax away, with some of the gain. The passages mixed in are from the same book as those measured, so expect less help on text of other kinds.
#
# ## Recap
#
# A reward model is a language model with one number at the end, fitted to differences. Held-out accuracy says how well it copies its raters, with their errors; length slopes, gold labels and calibration say more. Several heads make trades visible, and a floor makes some of them impossible. Push an imperfect reward and it may part from what you meant, here already at the first step; the KL divergence says how hard you push. And what the policy gains it may pay for elsewhere, so measure that too.
#
# **What breaks at scale.** The body is trained too, and then overfits within an epoch or two. Real raters disagree on about a quarter of the pairs (Ouyang et al. 2022, section 3.4), and differ by language and culture. Policies find errors of the reward that no reply in the training data shows, so reward models are trained again on the policy's own replies. Checks by programs replace reward models wherever they can.
#
# **Read on.** Bradley and Terry 1952. Stiennon et al. 2020, *Learning to summarize from human feedback* (appendix G.3: the KL of best-of-n). Ouyang et al. 2022, *Training language models to follow instructions* (section 3.5; PPO-ptx). Bai et al. 2022, *Training a helpful and harmless assistant* (section 4). Touvron et al. 2023, *Llama 2* (section 3.2.2: margins). Gao, Schulman, Hilton 2022, *Scaling laws for reward model overoptimization*. Singhal et al. 2023, *A long way to go*. Guo et al. 2017, *On calibration of modern neural networks* (section 2).
#
# **Stretch goals.** (1) Give `bradley_terry` margins that grow with the difference of the ratings: does accuracy or calibration gain? (2) Fit five heads on different halves of the pairs and use their *lowest* reward as proxy: does over-optimisation come later? (3) Set `SCALE = "gpu"`: do all 30 layers tell right sums from wrong ones better?
