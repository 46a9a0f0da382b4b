"""The solved exercises of 10_preference_alignment/reward_model.

Made from source/10_preference_alignment/reward_model.py by `llmlabs build`: edit that file, not this one.
"""

import math
import re

import numpy as np
import torch
from numpy import ndarray
from scipy.optimize import minimize, minimize_scalar


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
    numbers = re.findall(r"-?\d+", answer)
    return bool(numbers) and int(numbers[-1]) == sum(map(int, question.split("+")))


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
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, got {min_gap}: a pair of equals, or of itself, says nothing")
    same = prompts[:, None] == prompts[None, :]
    return np.argwhere(same & (ratings[:, None] - ratings[None, :] >= min_gap))


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
    ahead = chosen - rejected - margin
    push = np.exp(-np.logaddexp(0.0, ahead)) / len(chosen)  # the sigmoid of -ahead, without overflow
    return float(np.logaddexp(0.0, -ahead).mean()), -push, push


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
    last = (torch.arange(mask.shape[1]) * mask).argmax(dim=1)
    return hidden[torch.arange(len(hidden)), last]


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
    gap = better - worse

    def objective(w: ndarray) -> tuple[float, ndarray]:
        loss, d_better, _ = bradley_terry(better @ w, worse @ w)
        return loss + l2 / 2 * (w @ w), gap.T @ d_better + l2 * w

    return minimize(objective, np.zeros(gap.shape[1]), jac=True, method="L-BFGS-B", tol=1e-12).x


def pair_accuracy(margins: ndarray) -> float:
    """Return the share of margins, float64 of shape (N,), that are above 0; a margin of exactly 0 counts half."""
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins: ndarray, bins: int) -> float:
    """Return the expected calibration error of the claims sigmoid(|margin|), as above.

    In acc of a bin a margin of exactly 0 counts half, as in pair_accuracy. Empty bins count nothing.

    Args:
        margins: float64 of shape (N,), reward of the chosen minus the rejected reply; not changed.
        bins: the number of bins of equal width over [0.5, 1]. A bin holds its lower end, the last one also 1.

    Example:
        calibration_error(np.array([1.1, 1.1, -1.1, 0.0]), 2)  ->  0.0627: claims of 0.750 with 2 of 3 right, and a tie
    """
    claim = 1.0 / (1.0 + np.exp(-np.abs(margins)))
    error = np.heaviside(margins, 0.5) - claim
    index = np.minimum(((claim - 0.5) * 2 * bins).astype(int), bins - 1)
    return float(sum(abs(error[index == b].sum()) for b in range(bins)) / len(margins))


def temperature(margins: ndarray) -> float:
    """Return the T above 0 that minimises the mean of log(1 + exp(-margin / T)), to a thousandth of T.

    Args:
        margins: float64 of shape (N,), up to 1000 in size. Their sum is above 0 and one of them at least is below 0, so
            that there is such a T, and it is between 0.01 and 1000.

    Example:
        temperature(np.log([3, 3, 1 / 3]))  ->  1.585
    """

    def loss(log_t: float) -> float:
        return float(np.logaddexp(0.0, -margins / np.exp(log_t)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-7.0, 9.0)).x))


def length_slope(rewards: ndarray, lengths: ndarray, prompts: ndarray) -> float:
    """Return the least-squares slope of reward by length within prompts, b above; 0.0 if no prompt's lengths vary.

    Args:
        rewards, lengths: float64 of shape (N,); not changed.
        prompts: int64 of shape (N,), the prompt of each reply; those of one prompt need not stand together.

    Example:
        length_slope(np.array([0.0, 1.0, 5.0, 7.0]), np.array([1.0, 3.0, 10.0, 10.0]), np.array([0, 0, 1, 1]))  ->  0.5
    """
    off = lengths.copy()
    for prompt in np.unique(prompts):
        off[prompts == prompt] -= lengths[prompts == prompt].mean()
    # off adds up to 0 within each prompt, so taking the mean off the rewards would change nothing
    return float(rewards @ off / (off @ off)) if off.any() else 0.0


def fit_length_controlled(better: ndarray, worse: ndarray, length_gap: ndarray, l2: float) -> tuple[ndarray, float]:
    """Find the w and gamma that minimise J: mean of -log sigmoid((better - worse) @ w + gamma * length_gap), plus l2 / 2 |w|^2.

    Args:
        better, worse: float64 of shape (N, d), states of the chosen and the rejected replies.
        length_gap: float64 of shape (N,), length of the chosen minus that of the rejected reply; of both signs.
        l2: the penalty on w, above 0. gamma has none.

    Returns:
        (w, gamma): float64 of shape (d,) and a number, at the minimum, to within a gradient whose entries are all below 1e-4.
    """
    gap = better - worse

    def objective(both: ndarray) -> tuple[float, ndarray]:
        w, gamma = both[:-1], both[-1]
        loss, d_score, _ = bradley_terry(gap @ w + gamma * length_gap, np.zeros(len(gap)))
        return loss + l2 / 2 * (w @ w), np.append(gap.T @ d_score + l2 * w, length_gap @ d_score)

    best = minimize(objective, np.zeros(gap.shape[1] + 1), jac=True, method="L-BFGS-B", tol=1e-12).x
    return best[:-1], float(best[-1])


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
    if weights.min() < 0 or weights.sum() == 0:
        raise ValueError(f"weights must be at least 0, and one of them above it, got {weights}")
    spread = baseline.std(axis=0)
    z = (scores - baseline.mean(axis=0)) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ weights / weights.sum()


def best_with_floor(total: ndarray, harmless: ndarray, floor: float) -> int:
    """Return the index of the highest total among the candidates whose harmless score is at least the floor.

    If there is none, the index of the highest harmless score. Of equals the first wins.

    Args:
        total, harmless: float64 of shape (N,), finite.
        floor: the harmless score that is just good enough.

    Example:
        best_with_floor(np.array([3.0, 2.0, 1.0]), np.array([-1.0, 0.5, 2.0]), 0.0)  ->  1
    """
    safe = harmless >= floor
    return int(np.where(safe, total, -np.inf).argmax() if safe.any() else harmless.argmax())


def best_of_n_kl(n: int) -> float:
    """Return the bound log n - (n - 1) / n, in nats, for n of at least 1."""
    return math.log(n) - (n - 1) / n


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
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n must be from 1 to the number of candidates, {size}; got {n}")
    ways = np.array([math.comb(i, n - 1) / math.comb(size, n) for i in range(size)])
    return float(ways @ gold[np.argsort(proxy)])
