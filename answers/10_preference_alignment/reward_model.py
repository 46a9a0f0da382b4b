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
# Known answers to the exercises of `reward_model`: wrong ones that a test must catch, and other right ones. `llmlabs verify` grades them.

# %%
# the imports of the lab, for editors and linters; every answer below defines the whole solution cell anew
import itertools
import math
import re

import numpy as np
import torch
from scipy.optimize import brentq, minimize, minimize_scalar
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from llmlabs.lab.reference import reward_model as reference


# %% exercise="reward-pairs" kind="wrong" name="the first number counts" fails="reward-pairs-example" says="the last whole number counts"
def is_right(question, answer):
    a, b = question.split("+")
    numbers = re.findall(r"-?\d+", answer)
    return bool(numbers) and int(numbers[0]) == int(a) + int(b)


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    same = prompts[:, None] == prompts[None, :]
    ahead = ratings[:, None] - ratings[None, :] >= min_gap
    return np.argwhere(same & ahead)


# %% exercise="reward-pairs" kind="wrong" name="right if the sum stands anywhere" fails="reward-pairs-example" says="'42, no, 43') should be False: the last whole number counts"
def is_right(question, answer):
    a, b = question.split("+")
    numbers = re.findall(r"-?\d+", answer)
    return str(int(a) + int(b)) in numbers


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    same = prompts[:, None] == prompts[None, :]
    ahead = ratings[:, None] - ratings[None, :] >= min_gap
    return np.argwhere(same & ahead)


# %% exercise="reward-pairs" kind="wrong" name="the minus sign dropped" fails="reward-pairs-example" says="with its minus sign"
def is_right(question, answer):
    a, b = question.split("+")
    numbers = re.findall(r"\d+", answer)
    return bool(numbers) and int(numbers[-1]) == int(a) + int(b)


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    same = prompts[:, None] == prompts[None, :]
    ahead = ratings[:, None] - ratings[None, :] >= min_gap
    return np.argwhere(same & ahead)


# %% exercise="reward-pairs" kind="wrong" name="compares the end of the text" fails="reward-pairs-example" says="should be False: the last whole number counts"
def is_right(question, answer):
    a, b = question.split("+")
    return answer.rstrip(".").endswith(str(int(a) + int(b)))


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    same = prompts[:, None] == prompts[None, :]
    ahead = ratings[:, None] - ratings[None, :] >= min_gap
    return np.argwhere(same & ahead)


# %% exercise="reward-pairs" kind="wrong" name="pairs across prompts" fails="reward-pairs-example" says="one prompt, no ties"
def is_right(question, answer):
    a, b = question.split("+")
    numbers = re.findall(r"-?\d+", answer)
    return bool(numbers) and int(numbers[-1]) == int(a) + int(b)


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    ahead = ratings[:, None] - ratings[None, :] >= min_gap
    return np.argwhere(ahead)


# %% exercise="reward-pairs" kind="wrong" name="the gap ignored" fails="reward-pairs-properties" says="less than the gap apart?"
def is_right(question, answer):
    a, b = question.split("+")
    numbers = re.findall(r"-?\d+", answer)
    return bool(numbers) and int(numbers[-1]) == int(a) + int(b)


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    same = prompts[:, None] == prompts[None, :]
    ahead = ratings[:, None] - ratings[None, :] > 0
    return np.argwhere(same & ahead)


# %% exercise="reward-pairs" kind="wrong" name="the gap has to be exceeded" fails="reward-pairs-properties" says="a gap just met counts"
def is_right(question, answer):
    a, b = question.split("+")
    numbers = re.findall(r"-?\d+", answer)
    return bool(numbers) and int(numbers[-1]) == int(a) + int(b)


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    same = prompts[:, None] == prompts[None, :]
    ahead = ratings[:, None] - ratings[None, :] > min_gap
    return np.argwhere(same & ahead)


# %% exercise="reward-pairs" kind="wrong" name="the rejected first" fails="reward-pairs-example" says="the higher of each pair first"
def is_right(question, answer):
    a, b = question.split("+")
    numbers = re.findall(r"-?\d+", answer)
    return bool(numbers) and int(numbers[-1]) == int(a) + int(b)


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    same = prompts[:, None] == prompts[None, :]
    ahead = ratings[:, None] - ratings[None, :] >= min_gap
    return np.argwhere(same & ahead)[:, ::-1]


# %% exercise="reward-pairs" kind="wrong" name="sorted by the rejected" fails="reward-pairs-properties" says="sorted by the chosen, then by the rejected?"
def is_right(question, answer):
    a, b = question.split("+")
    numbers = re.findall(r"-?\d+", answer)
    return bool(numbers) and int(numbers[-1]) == int(a) + int(b)


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    same = prompts[:, None] == prompts[None, :]
    ahead = ratings[:, None] - ratings[None, :] >= min_gap
    return np.argwhere((same & ahead).T)[:, ::-1]


# %% exercise="reward-pairs" kind="wrong" name="each pair in both orders" fails="reward-pairs-example" says="the higher of each pair first"
def is_right(question, answer):
    a, b = question.split("+")
    numbers = re.findall(r"-?\d+", answer)
    return bool(numbers) and int(numbers[-1]) == int(a) + int(b)


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    same = prompts[:, None] == prompts[None, :]
    ahead = np.abs(ratings[:, None] - ratings[None, :]) >= min_gap
    return np.argwhere(same & ahead)


# %% exercise="reward-pairs" kind="wrong" name="only the best of each prompt is chosen" fails="reward-pairs-properties" says="some are missing: any two of a prompt"
def is_right(question, answer):
    a, b = question.split("+")
    numbers = re.findall(r"-?\d+", answer)
    return bool(numbers) and int(numbers[-1]) == int(a) + int(b)


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    found = []
    for p in np.unique(prompts):
        own = np.flatnonzero(prompts == p)
        best = own[ratings[own].argmax()]
        found += [(best, j) for j in own if ratings[best] - ratings[j] >= min_gap]
    return np.array(sorted(found), int).reshape(-1, 2)


# %% exercise="reward-pairs" kind="wrong" name="replies of one prompt have to stand together" fails="reward-pairs-properties" says="some are missing: any two of a prompt"
def is_right(question, answer):
    a, b = question.split("+")
    numbers = re.findall(r"-?\d+", answer)
    return bool(numbers) and int(numbers[-1]) == int(a) + int(b)


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    found = []
    for _, run in itertools.groupby(range(len(prompts)), key=lambda i: prompts[i]):
        found += [(i, j) for i, j in itertools.permutations(run, 2) if ratings[i] - ratings[j] >= min_gap]
    return np.array(sorted(found), int).reshape(-1, 2)


# %% exercise="reward-pairs" kind="wrong" name="shape (0,) if there are no pairs" fails="reward-pairs-properties" says="no pair: (0,), int64, not (0, 2)"
def is_right(question, answer):
    a, b = question.split("+")
    numbers = re.findall(r"-?\d+", answer)
    return bool(numbers) and int(numbers[-1]) == int(a) + int(b)


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    same = prompts[:, None] == prompts[None, :]
    ahead = ratings[:, None] - ratings[None, :] >= min_gap
    return np.array(np.argwhere(same & ahead).tolist(), int)


# %% exercise="reward-pairs" kind="wrong" name="a gap of 0 allowed" fails="reward-pairs-properties" says="min_gap = 0.0 should raise ValueError"
def is_right(question, answer):
    a, b = question.split("+")
    numbers = re.findall(r"-?\d+", answer)
    return bool(numbers) and int(numbers[-1]) == int(a) + int(b)


def preference_pairs(prompts, ratings, min_gap):
    if min_gap < 0:
        raise ValueError(f"min_gap must be above 0, not {min_gap}")
    same = prompts[:, None] == prompts[None, :]
    ahead = ratings[:, None] - ratings[None, :] >= min_gap
    return np.argwhere(same & ahead)


# %% exercise="reward-pairs" kind="right" name="a double loop that prints"
def is_right(question, answer):
    words = re.sub(r"[^0-9-]", " ", answer).replace("-", " -").split()
    numbers = [int(word) for word in words if word.strip("-")]
    print("numbers in the answer:", numbers)
    return numbers[-1:] == [sum(int(part) for part in question.split("+"))]


def preference_pairs(prompts, ratings, min_gap):
    if not min_gap > 0:
        raise ValueError("min_gap must be above 0")
    pairs = []
    for i in range(len(prompts)):
        for j in range(len(prompts)):
            if prompts[i] == prompts[j] and ratings[i] - ratings[j] >= min_gap:
                pairs.append([i, j])
                print(f"{i} before {j}")
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


# %% exercise="reward-pairs" kind="right" name="prompt by prompt, sorted with lexsort"
def is_right(question, answer):
    found = re.search(r".*?(-?\d+)\D*$", answer, re.DOTALL)
    left, _, right = question.partition("+")
    return found is not None and int(found.group(1)) - int(left) == int(right)


def preference_pairs(prompts, ratings, min_gap):
    if min_gap <= 0:
        raise ValueError("min_gap must be above 0")
    chosen, rejected = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for p in set(prompts.tolist()):
        own = np.flatnonzero(prompts == p)
        up, down = np.nonzero(np.subtract.outer(ratings[own], ratings[own]) >= min_gap)
        chosen.append(own[up])
        rejected.append(own[down])
    c, r = np.concatenate(chosen), np.concatenate(rejected)
    order = np.lexsort((r, c))
    return np.column_stack([c, r])[order]


# %% exercise="reward-bradley-terry" kind="wrong" name="the formula as it is written, which takes the log of 0" fails="reward-bradley-terry-properties" says="rewards up to 500.0, margin 0.0: no overflow"
def bradley_terry(chosen, rejected, margin=0.0):
    x = chosen - rejected - margin
    push = np.exp(-np.logaddexp(0, x)) / len(x)
    return float(-np.log(np.exp(-np.logaddexp(0, -x))).mean()), -push, push


# %% exercise="reward-bradley-terry" kind="wrong" name="the difference clipped to 30" fails="reward-bradley-terry-properties" says="no overflow, no cut?"
def bradley_terry(chosen, rejected, margin=0.0):
    x = np.clip(chosen - rejected - margin, -30, 30)
    push = np.exp(-np.logaddexp(0, x)) / len(x)
    return float(np.logaddexp(0, -x).mean()), -push, push


# %% exercise="reward-bradley-terry" kind="wrong" name="the sum of the losses" fails="reward-bradley-terry-properties" says="margin 0.0: a mean over pairs, so divided by N?"
def bradley_terry(chosen, rejected, margin=0.0):
    x = chosen - rejected - margin
    push = np.exp(-np.logaddexp(0, x)) / len(x)
    return float(np.logaddexp(0, -x).sum()), -push, push


# %% exercise="reward-bradley-terry" kind="wrong" name="the gradient of the sum" fails="reward-bradley-terry-properties" says="gradient of the chosen, 6 pairs, rewards up to 1.0, margin 0.0: a mean over pairs, so divided by N?"
def bradley_terry(chosen, rejected, margin=0.0):
    x = chosen - rejected - margin
    push = np.exp(-np.logaddexp(0, x))
    return float(np.logaddexp(0, -x).mean()), -push, push


# %% exercise="reward-bradley-terry" kind="wrong" name="the gradients change places" fails="reward-bradley-terry-example" says="gradients -sigma(-x) and sigma(-x)"
def bradley_terry(chosen, rejected, margin=0.0):
    x = chosen - rejected - margin
    push = np.exp(-np.logaddexp(0, x)) / len(x)
    return float(np.logaddexp(0, -x).mean()), push, -push


# %% exercise="reward-bradley-terry" kind="wrong" name="the gradient with sigma of x, not of -x" fails="reward-bradley-terry-example" says="gradients -sigma(-x) and sigma(-x)"
def bradley_terry(chosen, rejected, margin=0.0):
    x = chosen - rejected - margin
    push = np.exp(-np.logaddexp(0, -x)) / len(x)
    return float(np.logaddexp(0, -x).mean()), -push, push


# %% exercise="reward-bradley-terry" kind="wrong" name="the margin ignored" fails="reward-bradley-terry-example" says="margin 1.099 taken off"
def bradley_terry(chosen, rejected, margin=0.0):
    x = chosen - rejected
    push = np.exp(-np.logaddexp(0, x)) / len(x)
    return float(np.logaddexp(0, -x).mean()), -push, push


# %% exercise="reward-bradley-terry" kind="wrong" name="the margin added" fails="reward-bradley-terry-example" says="margin 1.099 taken off"
def bradley_terry(chosen, rejected, margin=0.0):
    x = chosen - rejected + margin
    push = np.exp(-np.logaddexp(0, x)) / len(x)
    return float(np.logaddexp(0, -x).mean()), -push, push


# %% exercise="reward-bradley-terry" kind="wrong" name="the margin in the loss, not in the gradient" fails="reward-bradley-terry-example" says="margin 1.099 taken off"
def bradley_terry(chosen, rejected, margin=0.0):
    x = chosen - rejected - margin
    push = np.exp(-np.logaddexp(0, x + margin)) / len(x)
    return float(np.logaddexp(0, -x).mean()), -push, push


# %% exercise="reward-bradley-terry" kind="wrong" name="one margin for all pairs, the mean" fails="reward-bradley-terry-properties" says="a margin for each pair"
def bradley_terry(chosen, rejected, margin=0.0):
    x = chosen - rejected - np.mean(margin)
    push = np.exp(-np.logaddexp(0, x)) / len(x)
    return float(np.logaddexp(0, -x).mean()), -push, push


# %% exercise="reward-bradley-terry" kind="wrong" name="the margin of a pair counts only if it is lost" fails="reward-bradley-terry-example" says="margin 1.099 taken off"
def bradley_terry(chosen, rejected, margin=0.0):
    x = chosen - rejected - np.where(chosen > rejected, 0.0, margin)
    push = np.exp(-np.logaddexp(0, x)) / len(x)
    return float(np.logaddexp(0, -x).mean()), -push, push


# %% exercise="reward-bradley-terry" kind="wrong" name="rejected minus chosen" fails="reward-bradley-terry-example" says="chosen 1.099, rejected 0"
def bradley_terry(chosen, rejected, margin=0.0):
    x = rejected - chosen - margin
    push = np.exp(-np.logaddexp(0, x)) / len(x)
    return float(np.logaddexp(0, -x).mean()), -push, push


# %% exercise="reward-bradley-terry" kind="wrong" name="logarithms to base 2" fails="reward-bradley-terry-example" says="natural log"
def bradley_terry(chosen, rejected, margin=0.0):
    x = chosen - rejected - margin
    push = np.exp(-np.logaddexp(0, x)) / len(x)
    return float(np.logaddexp2(0, -x / np.log(2)).mean()), -push, push


# %% exercise="reward-bradley-terry" kind="wrong" name="the chosen rewards overwritten" fails="reward-bradley-terry-properties" says="the rewards were changed"
def bradley_terry(chosen, rejected, margin=0.0):
    x = np.subtract(chosen, rejected + margin, out=chosen)
    push = np.exp(-np.logaddexp(0, x)) / len(x)
    return float(np.logaddexp(0, -x).mean()), -push, push


# %% exercise="reward-bradley-terry" kind="wrong" name="the same array twice, both with a minus" fails="reward-bradley-terry-example" says="gradients -sigma(-x) and sigma(-x)"
def bradley_terry(chosen, rejected, margin=0.0):
    x = chosen - rejected - margin
    push = np.exp(-np.logaddexp(0, x)) / len(x)
    return float(np.logaddexp(0, -x).mean()), -push, -push


# %% exercise="reward-bradley-terry" kind="right" name="PyTorch's autograd, with a progress bar"
def bradley_terry(chosen, rejected, margin=0.0):
    from tqdm import tqdm

    c, r = torch.tensor(chosen, requires_grad=True), torch.tensor(rejected, requires_grad=True)
    loss = -functional.logsigmoid(c - r - torch.as_tensor(margin)).mean()
    for _ in tqdm(range(1), desc="backward"):
        loss.backward()
    return loss.item(), c.grad.numpy(), r.grad.numpy()


# %% exercise="reward-bradley-terry" kind="right" name="a loop over pairs with the math module"
def bradley_terry(chosen, rejected, margin=0.0):
    margins = np.broadcast_to(margin, chosen.shape)
    loss, d_chosen = 0.0, np.zeros(len(chosen))
    for n, (c, r, m) in enumerate(zip(chosen, rejected, margins, strict=True)):
        x = c - r - m
        small = math.exp(-abs(x))
        loss += (max(-x, 0) + math.log1p(small)) / len(chosen)
        d_chosen[n] = -(small if x > 0 else 1.0) / (1 + small) / len(chosen)
    return loss, d_chosen, -d_chosen


# %% exercise="reward-bradley-terry" kind="right" name="scipy's sigmoid and its logarithm"
def bradley_terry(chosen, rejected, margin=0.0):
    from scipy.special import expit, log_expit

    x = np.subtract(chosen, np.add(rejected, margin))
    return -np.mean(log_expit(x)), expit(-x) / -x.size, expit(-x) / x.size


# %% exercise="reward-head" kind="wrong" name="position -1 whatever the mask" fails="reward-head-example" says="should pick positions 1 and 2"
def last_states(hidden, mask):
    return hidden[:, -1]


def fit_head(better, worse, l2):
    def objective(w):
        loss, d_chosen, _ = reference.bradley_terry(better @ w, worse @ w)
        return loss + l2 / 2 * w @ w, d_chosen @ (better - worse) + l2 * w

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    return minimize(objective, np.zeros(better.shape[1]), jac=True, method="L-BFGS-B", options=options).x


# %% exercise="reward-head" kind="wrong" name="the number of tokens less 1, which is for padding at the right" fails="reward-head-example" says="should pick positions 1 and 2"
def last_states(hidden, mask):
    return hidden[torch.arange(len(mask)), mask.sum(dim=1) - 1]


def fit_head(better, worse, l2):
    def objective(w):
        loss, d_chosen, _ = reference.bradley_terry(better @ w, worse @ w)
        return loss + l2 / 2 * w @ w, d_chosen @ (better - worse) + l2 * w

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    return minimize(objective, np.zeros(better.shape[1]), jac=True, method="L-BFGS-B", options=options).x


# %% exercise="reward-head" kind="wrong" name="the first real token" fails="reward-head-example" says="should pick positions 1 and 2"
def last_states(hidden, mask):
    return hidden[torch.arange(len(mask)), mask.argmax(dim=1)]


def fit_head(better, worse, l2):
    def objective(w):
        loss, d_chosen, _ = reference.bradley_terry(better @ w, worse @ w)
        return loss + l2 / 2 * w @ w, d_chosen @ (better - worse) + l2 * w

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    return minimize(objective, np.zeros(better.shape[1]), jac=True, method="L-BFGS-B", options=options).x


# %% exercise="reward-head" kind="wrong" name="the mean over the real tokens" fails="reward-head-example" says="should pick positions 1 and 2"
def last_states(hidden, mask):
    return (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def fit_head(better, worse, l2):
    def objective(w):
        loss, d_chosen, _ = reference.bradley_terry(better @ w, worse @ w)
        return loss + l2 / 2 * w @ w, d_chosen @ (better - worse) + l2 * w

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    return minimize(objective, np.zeros(better.shape[1]), jac=True, method="L-BFGS-B", options=options).x


# %% exercise="reward-head" kind="wrong" name="the last of the first row for all rows" fails="reward-head-example" says="should pick positions 1 and 2"
def last_states(hidden, mask):
    return hidden[:, int(mask[0].nonzero().max())]


def fit_head(better, worse, l2):
    def objective(w):
        loss, d_chosen, _ = reference.bradley_terry(better @ w, worse @ w)
        return loss + l2 / 2 * w @ w, d_chosen @ (better - worse) + l2 * w

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    return minimize(objective, np.zeros(better.shape[1]), jac=True, method="L-BFGS-B", options=options).x


# %% exercise="reward-head" kind="wrong" name="the states in float64" fails="reward-head-example" says="in bfloat16; got"
def last_states(hidden, mask):
    last = (torch.arange(mask.shape[1], device=mask.device) * mask).argmax(dim=1)
    return hidden[torch.arange(len(mask), device=mask.device), last].double()


def fit_head(better, worse, l2):
    def objective(w):
        loss, d_chosen, _ = reference.bradley_terry(better @ w, worse @ w)
        return loss + l2 / 2 * w @ w, d_chosen @ (better - worse) + l2 * w

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    return minimize(objective, np.zeros(better.shape[1]), jac=True, method="L-BFGS-B", options=options).x


# %% exercise="reward-head" kind="wrong" name="the penalty without its half" fails="reward-head-example" says="l2 / 2 times w^2?"
def last_states(hidden, mask):
    last = (torch.arange(mask.shape[1], device=mask.device) * mask).argmax(dim=1)
    return hidden[torch.arange(len(mask), device=mask.device), last]


def fit_head(better, worse, l2):
    def objective(w):
        loss, d_chosen, _ = reference.bradley_terry(better @ w, worse @ w)
        return loss + l2 * w @ w, d_chosen @ (better - worse) + 2 * l2 * w

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    return minimize(objective, np.zeros(better.shape[1]), jac=True, method="L-BFGS-B", options=options).x


# %% exercise="reward-head" kind="wrong" name="no penalty" fails="reward-head-example" says="l2 / 2 times w^2?"
def last_states(hidden, mask):
    last = (torch.arange(mask.shape[1], device=mask.device) * mask).argmax(dim=1)
    return hidden[torch.arange(len(mask), device=mask.device), last]


def fit_head(better, worse, l2):
    def objective(w):
        loss, d_chosen, _ = reference.bradley_terry(better @ w, worse @ w)
        return loss, d_chosen @ (better - worse)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    return minimize(objective, np.zeros(better.shape[1]), jac=True, method="L-BFGS-B", options=options).x


# %% exercise="reward-head" kind="wrong" name="the sum over pairs, not the mean" fails="reward-head-properties" says="a mean over pairs?"
def last_states(hidden, mask):
    last = (torch.arange(mask.shape[1], device=mask.device) * mask).argmax(dim=1)
    return hidden[torch.arange(len(mask), device=mask.device), last]


def fit_head(better, worse, l2):
    def objective(w):
        loss, d_chosen, _ = reference.bradley_terry(better @ w, worse @ w)
        n = len(better)
        return n * loss + l2 / 2 * w @ w, n * d_chosen @ (better - worse) + l2 * w

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    return minimize(objective, np.zeros(better.shape[1]), jac=True, method="L-BFGS-B", options=options).x


# %% exercise="reward-head" kind="wrong" name="a penalty on |w|, not on its square" fails="reward-head-example" says="l2 / 2 times w^2?"
def last_states(hidden, mask):
    last = (torch.arange(mask.shape[1], device=mask.device) * mask).argmax(dim=1)
    return hidden[torch.arange(len(mask), device=mask.device), last]


def fit_head(better, worse, l2):
    def objective(w):
        loss, d_chosen, _ = reference.bradley_terry(better @ w, worse @ w)
        return loss + l2 / 2 * np.abs(w).sum(), d_chosen @ (better - worse) + l2 / 2 * np.sign(w)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    return minimize(objective, np.zeros(better.shape[1]), jac=True, method="L-BFGS-B", options=options).x


# %% exercise="reward-head" kind="wrong" name="chosen and rejected change places" fails="reward-head-example" says="does better win?"
def last_states(hidden, mask):
    last = (torch.arange(mask.shape[1], device=mask.device) * mask).argmax(dim=1)
    return hidden[torch.arange(len(mask), device=mask.device), last]


def fit_head(better, worse, l2):
    def objective(w):
        loss, d_chosen, _ = reference.bradley_terry(worse @ w, better @ w)
        return loss + l2 / 2 * w @ w, d_chosen @ (worse - better) + l2 * w

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    return minimize(objective, np.zeros(better.shape[1]), jac=True, method="L-BFGS-B", options=options).x


# %% exercise="reward-head" kind="wrong" name="a hundred steps of gradient descent, and no more" fails="reward-head-properties" says="stopped too early?"
def last_states(hidden, mask):
    last = (torch.arange(mask.shape[1], device=mask.device) * mask).argmax(dim=1)
    return hidden[torch.arange(len(mask), device=mask.device), last]


def fit_head(better, worse, l2):
    w = np.zeros(better.shape[1])
    for _ in range(100):
        _, d_chosen, _ = reference.bradley_terry(better @ w, worse @ w)
        w = w - 0.1 * (d_chosen @ (better - worse) + l2 * w)
    return w


# %% exercise="reward-head" kind="wrong" name="a logistic regression with an intercept on single replies" fails="reward-head-properties" says="only differences?"
def last_states(hidden, mask):
    last = (torch.arange(mask.shape[1], device=mask.device) * mask).argmax(dim=1)
    return hidden[torch.arange(len(mask), device=mask.device), last]


def fit_head(better, worse, l2):
    x, y = np.vstack([better, worse]), np.repeat([1, 0], len(better))
    return LogisticRegression(C=1 / (len(better) * l2), tol=1e-8, max_iter=5000).fit(x, y).coef_[0]


# %% exercise="reward-head" kind="wrong" name="the penalty fixed at 0.2276" fails="reward-head-properties" says="l2 = 0.05: a mean over pairs? l2 halved?"
def last_states(hidden, mask):
    last = (torch.arange(mask.shape[1], device=mask.device) * mask).argmax(dim=1)
    return hidden[torch.arange(len(mask), device=mask.device), last]


def fit_head(better, worse, l2):
    l2 = 0.25 / np.log(3)

    def objective(w):
        loss, d_chosen, _ = reference.bradley_terry(better @ w, worse @ w)
        return loss + l2 / 2 * w @ w, d_chosen @ (better - worse) + l2 * w

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    return minimize(objective, np.zeros(better.shape[1]), jac=True, method="L-BFGS-B", options=options).x


# %% exercise="reward-head" kind="wrong" name="the difference written over the better states" fails="reward-head-properties" says="fit_head changed its arguments"
def last_states(hidden, mask):
    last = (torch.arange(mask.shape[1], device=mask.device) * mask).argmax(dim=1)
    return hidden[torch.arange(len(mask), device=mask.device), last]


def fit_head(better, worse, l2):
    better -= worse
    worse = np.zeros_like(better)

    def objective(w):
        loss, d_chosen, _ = reference.bradley_terry(better @ w, worse @ w)
        return loss + l2 / 2 * w @ w, d_chosen @ (better - worse) + l2 * w

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    return minimize(objective, np.zeros(better.shape[1]), jac=True, method="L-BFGS-B", options=options).x


# %% exercise="reward-head" kind="right" name="a loop over rows, and Newton's method that prints"
def last_states(hidden, mask):
    rows = [row[where.nonzero()[-1, 0]] for row, where in zip(hidden, mask, strict=True)]
    return torch.stack(rows)


def fit_head(better, worse, l2):
    gap, w = better - worse, np.zeros(better.shape[1])

    def value(w):
        return np.logaddexp(0, -gap @ w).mean() + l2 / 2 * w @ w

    for step in range(100):
        p = np.exp(-np.logaddexp(0, gap @ w))  # the chance that the model gives to the wrong order
        grad = -gap.T @ p / len(gap) + l2 * w
        if np.abs(grad).max() < 1e-9:
            break
        print(f"step {step}: largest entry of the gradient {np.abs(grad).max():.1e}")
        way = np.linalg.solve((gap * (p * (1 - p))[:, None]).T @ gap / len(gap) + l2 * np.eye(len(w)), grad)
        size = 1.0
        while size > 1e-9 and value(w - size * way) > value(w):
            size /= 2
        w = w - size * way
    return w


# %% exercise="reward-head" kind="right" name="scikit-learn on the differences and their mirror images"
def last_states(hidden, mask):
    back = mask.flip(1).argmax(dim=1)  # how far the last token is from the end
    index = mask.shape[1] - 1 - back
    return hidden.gather(1, index[:, None, None].expand(-1, 1, hidden.shape[2]))[:, 0]


def fit_head(better, worse, l2):
    gap = better - worse
    x, y = np.vstack([gap, -gap]), np.repeat([1, 0], len(gap))
    found = LogisticRegression(C=1 / (2 * len(gap) * l2), fit_intercept=False, tol=1e-10, max_iter=10000).fit(x, y)
    return found.coef_[0]


# %% exercise="reward-calibration" kind="wrong" name="a tie counts nothing" fails="reward-calibration-example" says="a tie counts half"
def pair_accuracy(margins):
    return float(np.mean(margins > 0))


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = np.minimum(((claims - 0.5) * 2 * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins / np.exp(log_t)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-6}).x))


# %% exercise="reward-calibration" kind="wrong" name="an empty list for the accuracy" fails="reward-calibration-example" says="a tie counts half"
def pair_accuracy(margins):
    return []


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = np.minimum(((claims - 0.5) * 2 * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins / np.exp(log_t)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-6}).x))


# %% exercise="reward-calibration" kind="wrong" name="a tie counts in full" fails="reward-calibration-example" says="a tie counts half"
def pair_accuracy(margins):
    return float(np.mean(margins >= 0))


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = np.minimum(((claims - 0.5) * 2 * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins / np.exp(log_t)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-6}).x))


# %% exercise="reward-calibration" kind="wrong" name="a tie counts nothing in the bins" fails="reward-calibration-example" says="a tie claims and scores 0.5"
def pair_accuracy(margins):
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), margins > 0
    index = np.minimum(((claims - 0.5) * 2 * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins / np.exp(log_t)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-6}).x))


# %% exercise="reward-calibration" kind="wrong" name="one bin for all pairs" fails="reward-calibration-properties" says="5 bins over [0.5, 1]"
def pair_accuracy(margins):
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = np.zeros(len(margins), int)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins / np.exp(log_t)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-6}).x))


# %% exercise="reward-calibration" kind="wrong" name="bins over [0, 1]" fails="reward-calibration-properties" says="5 bins over [0.5, 1]"
def pair_accuracy(margins):
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = np.minimum((claims * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins / np.exp(log_t)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-6}).x))


# %% exercise="reward-calibration" kind="wrong" name="claims of 1 fall out of the last bin" fails="reward-calibration-properties" says="absolute values? p = 1?"
def pair_accuracy(margins):
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = ((claims - 0.5) * 2 * bins).astype(int)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins / np.exp(log_t)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-6}).x))


# %% exercise="reward-calibration" kind="wrong" name="every bin weighs the same" fails="reward-calibration-example" says="3 / 4 claim 0.750"
def pair_accuracy(margins):
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = np.minimum(((claims - 0.5) * 2 * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += 1 / bins * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins / np.exp(log_t)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-6}).x))


# %% exercise="reward-calibration" kind="wrong" name="the claim for the chosen, not for the reply that the model prefers" fails="reward-calibration-example" says="3 / 4 claim 0.750"
def pair_accuracy(margins):
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-margins)), np.heaviside(margins, 0.5)
    index = np.clip(((claims - 0.5) * 2 * bins).astype(int), 0, bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins / np.exp(log_t)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-6}).x))


# %% exercise="reward-calibration" kind="wrong" name="empty bins make it nan" fails="reward-calibration-properties" says="empty ones too"
def pair_accuracy(margins):
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = np.minimum(((claims - 0.5) * 2 * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        with np.errstate(all="ignore"):
            error += own.mean() * abs(right[own].sum() / own.sum() - claims[own].sum() / own.sum())
    return float(error)


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins / np.exp(log_t)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-6}).x))


# %% exercise="reward-calibration" kind="wrong" name="errors of bins with their signs, which cancel" fails="reward-calibration-properties" says="absolute values?"
def pair_accuracy(margins):
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = np.minimum(((claims - 0.5) * 2 * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * (right[own].mean() - claims[own].mean())
    return float(abs(error))


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins / np.exp(log_t)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-6}).x))


# %% exercise="reward-calibration" kind="wrong" name="the factor 1 / T instead of T" fails="reward-calibration-example" says="sigma(1.099 / T) = 2/3"
def pair_accuracy(margins):
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = np.minimum(((claims - 0.5) * 2 * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins * np.exp(log_t)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-6}).x))


# %% exercise="reward-calibration" kind="wrong" name="the logarithm of T" fails="reward-calibration-example" says="sigma(1.099 / T) = 2/3"
def pair_accuracy(margins):
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = np.minimum(((claims - 0.5) * 2 * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins / np.exp(log_t)).mean()

    return float(1.0 * minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-6}).x)


# %% exercise="reward-calibration" kind="wrong" name="searches between 0.1 and 10 only" fails="reward-calibration-properties" says="T from 0.01 to 1000?"
def pair_accuracy(margins):
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = np.minimum(((claims - 0.5) * 2 * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    def loss(log_t):
        return np.logaddexp(0, -margins / np.exp(log_t)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-2.3, 2.3), method="bounded", options={"xatol": 1e-6}).x))


# %% exercise="reward-calibration" kind="wrong" name="a coarse grid of temperatures" fails="reward-calibration-example" says="to a thousandth of T"
def pair_accuracy(margins):
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = np.minimum(((claims - 0.5) * 2 * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    grid = np.logspace(-2, 3, 200)
    return float(grid[np.argmin([np.logaddexp(0, -margins / t).mean() for t in grid])])


# %% exercise="reward-calibration" kind="wrong" name="the temperature that makes the mean claim equal to the accuracy" fails="reward-calibration-properties" says="smallest mean of log(1 + e^(-m / T))"
def pair_accuracy(margins):
    return float(np.heaviside(margins, 0.5).mean())


def calibration_error(margins, bins):
    claims, right = 1 / (1 + np.exp(-np.abs(margins))), np.heaviside(margins, 0.5)
    index = np.minimum(((claims - 0.5) * 2 * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        own = index == b
        if own.any():
            error += own.mean() * abs(right[own].mean() - claims[own].mean())
    return float(error)


def temperature(margins):
    def gap(log_t):
        return np.mean(1 / (1 + np.exp(-np.abs(margins) / np.exp(log_t)))) - np.mean(margins > 0)

    return float(np.exp(brentq(gap, -7, 14)))


# %% exercise="reward-calibration" kind="right" name="loops that print, and a root of the slope"
def pair_accuracy(margins):
    points = [1.0 if m > 0 else 0.5 if m == 0 else 0.0 for m in margins]
    return sum(points) / len(points)


def calibration_error(margins, bins):
    found = {}
    for m in margins:
        claim = 1 / (1 + math.exp(-abs(m)))
        hits, claims = found.setdefault(min(int((claim - 0.5) * 2 * bins), bins - 1), ([], []))
        hits.append(1.0 if m > 0 else 0.5 if m == 0 else 0.0)
        claims.append(claim)
    for b in sorted(found):
        print(f"bin {b}: {len(found[b][0])} pairs")
    return sum(abs(sum(hits) - sum(claims)) for hits, claims in found.values()) / len(margins)


def temperature(margins):
    def slope(log_t):  # of the loss by 1 / T
        return -(margins * np.exp(-np.logaddexp(0, margins * np.exp(-log_t)))).sum()

    return math.exp(brentq(slope, -7, 7, xtol=1e-10))


# %% exercise="reward-calibration" kind="right" name="np.histogram with edges, and Newton's method in 1 / T"
def pair_accuracy(margins):
    return ((np.sign(margins) + 1) / 2).mean()


def calibration_error(margins, bins):
    claims = np.exp(-np.logaddexp(0, -np.abs(margins)))
    gap = (np.sign(margins) + 1) / 2 - claims
    sums, _ = np.histogram(claims, bins=bins, range=(0.5, 1.0), weights=gap)
    return np.abs(sums).sum() / len(margins)


def temperature(margins):
    unit = np.abs(margins).max()
    x, low, high = margins / unit, 0.0, 1e6
    for _ in range(200):
        b = (low + high) / 2
        if (x * np.exp(-np.logaddexp(0, b * x))).sum() > 0:
            low = b
        else:
            high = b
    return unit / b


# %% exercise="reward-length" kind="wrong" name="one slope over all prompts, means of all replies" fails="reward-length-example" says="own means"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    for p in np.unique(prompts):
        own = np.full(len(x), p == p)
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    return float(r @ x / (x @ x)) if x @ x > 0 else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    def objective(v):
        w, gamma = v[:-1], v[-1]
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        return loss + l2 / 2 * w @ w, np.append(d_score @ (better - worse) + l2 * w, d_score @ length_gap)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    v = minimize(objective, np.zeros(better.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return v[:-1], float(v[-1])


# %% exercise="reward-length" kind="wrong" name="the mean of the slopes of the prompts" fails="reward-length-properties" says="sums over all replies?"
def length_slope(rewards, lengths, prompts):
    slopes = []
    for p in np.unique(prompts):
        own = prompts == p
        x = lengths[own] - lengths[own].mean()
        if x @ x > 0:
            slopes.append(rewards[own] @ x / (x @ x))
    return float(np.mean(slopes)) if slopes else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    def objective(v):
        w, gamma = v[:-1], v[-1]
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        return loss + l2 / 2 * w @ w, np.append(d_score @ (better - worse) + l2 * w, d_score @ length_gap)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    v = minimize(objective, np.zeros(better.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return v[:-1], float(v[-1])


# %% exercise="reward-length" kind="wrong" name="a correlation, not a slope" fails="reward-length-example" says="slope of reward by length"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    for p in np.unique(prompts):
        own = prompts == p
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    return float(r @ x / np.sqrt((x @ x) * (r @ r))) if x @ x > 0 else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    def objective(v):
        w, gamma = v[:-1], v[-1]
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        return loss + l2 / 2 * w @ w, np.append(d_score @ (better - worse) + l2 * w, d_score @ length_gap)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    v = minimize(objective, np.zeros(better.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return v[:-1], float(v[-1])


# %% exercise="reward-length" kind="wrong" name="the slope of length by reward" fails="reward-length-example" says="slope of reward by length"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    for p in np.unique(prompts):
        own = prompts == p
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    return float(r @ x / (r @ r)) if x @ x > 0 else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    def objective(v):
        w, gamma = v[:-1], v[-1]
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        return loss + l2 / 2 * w @ w, np.append(d_score @ (better - worse) + l2 * w, d_score @ length_gap)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    v = minimize(objective, np.zeros(better.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return v[:-1], float(v[-1])


# %% exercise="reward-length" kind="wrong" name="lengths not centred" fails="reward-length-example" says="own means"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    for p in np.unique(prompts):
        own = prompts == p
        r[own] -= r[own].mean()
    return float(r @ x / (x @ x)) if x @ x > 0 else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    def objective(v):
        w, gamma = v[:-1], v[-1]
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        return loss + l2 / 2 * w @ w, np.append(d_score @ (better - worse) + l2 * w, d_score @ length_gap)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    v = minimize(objective, np.zeros(better.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return v[:-1], float(v[-1])


# %% exercise="reward-length" kind="wrong" name="nan if no prompt's lengths vary" fails="reward-length-example" says="0.0 if flat"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    for p in np.unique(prompts):
        own = prompts == p
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    np.seterr(all="ignore")
    return float(r @ x / (x @ x))


def fit_length_controlled(better, worse, length_gap, l2):
    def objective(v):
        w, gamma = v[:-1], v[-1]
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        return loss + l2 / 2 * w @ w, np.append(d_score @ (better - worse) + l2 * w, d_score @ length_gap)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    v = minimize(objective, np.zeros(better.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return v[:-1], float(v[-1])


# %% exercise="reward-length" kind="wrong" name="flat only if all lengths are one number" fails="reward-length-example" says="0.0 if flat"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    for p in np.unique(prompts):
        own = prompts == p
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    np.seterr(all="ignore")
    if np.ptp(lengths) == 0:
        return 0.0
    return float(r @ x / (x @ x))


def fit_length_controlled(better, worse, length_gap, l2):
    def objective(v):
        w, gamma = v[:-1], v[-1]
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        return loss + l2 / 2 * w @ w, np.append(d_score @ (better - worse) + l2 * w, d_score @ length_gap)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    v = minimize(objective, np.zeros(better.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return v[:-1], float(v[-1])


# %% exercise="reward-length" kind="wrong" name="prompts come in runs" fails="reward-length-properties" says="in mixed order"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    cuts = np.flatnonzero(np.diff(prompts)) + 1
    for own in np.split(np.arange(len(x)), cuts):
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    return float(r @ x / (x @ x)) if x @ x > 0 else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    def objective(v):
        w, gamma = v[:-1], v[-1]
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        return loss + l2 / 2 * w @ w, np.append(d_score @ (better - worse) + l2 * w, d_score @ length_gap)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    v = minimize(objective, np.zeros(better.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return v[:-1], float(v[-1])


# %% exercise="reward-length" kind="wrong" name="the prompt's mean taken off the caller's rewards" fails="reward-length-properties" says="arguments were changed"
def length_slope(rewards, lengths, prompts):
    r, x = rewards, lengths
    for p in np.unique(prompts):
        own = prompts == p
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    return float(r @ x / (x @ x)) if x @ x > 0 else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    def objective(v):
        w, gamma = v[:-1], v[-1]
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        return loss + l2 / 2 * w @ w, np.append(d_score @ (better - worse) + l2 * w, d_score @ length_gap)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    v = minimize(objective, np.zeros(better.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return v[:-1], float(v[-1])


# %% exercise="reward-length" kind="wrong" name="gamma is penalised too" fails="reward-length-properties" says="is it fitted too, without penalty?"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    for p in np.unique(prompts):
        own = prompts == p
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    return float(r @ x / (x @ x)) if x @ x > 0 else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    def objective(v):
        w, gamma = v[:-1], v[-1]
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        return loss + l2 / 2 * v @ v, np.append(d_score @ (better - worse) + l2 * w, d_score @ length_gap + l2 * gamma)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    v = minimize(objective, np.zeros(better.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return v[:-1], float(v[-1])


# %% exercise="reward-length" kind="wrong" name="no gamma, the plain head" fails="reward-length-properties" says="is it fitted too, without penalty?"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    for p in np.unique(prompts):
        own = prompts == p
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    return float(r @ x / (x @ x)) if x @ x > 0 else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    return reference.fit_head(better, worse, l2), 0.0


# %% exercise="reward-length" kind="wrong" name="gamma first, alone, then w" fails="reward-length-properties" says="is it fitted too, without penalty?"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    for p in np.unique(prompts):
        own = prompts == p
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    return float(r @ x / (x @ x)) if x @ x > 0 else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    gamma = minimize_scalar(lambda g: np.logaddexp(0, -g * length_gap).mean(), bounds=(-20, 20), method="bounded").x

    def objective(w):
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        return loss + l2 / 2 * w @ w, d_score @ (better - worse) + l2 * w

    return minimize(objective, np.zeros(better.shape[1]), jac=True, options={"gtol": 1e-8}).x, float(gamma)


# %% exercise="reward-length" kind="wrong" name="gamma with the wrong sign" fails="reward-length-properties" says="+ gamma?"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    for p in np.unique(prompts):
        own = prompts == p
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    return float(r @ x / (x @ x)) if x @ x > 0 else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    def objective(v):
        w, gamma = v[:-1], v[-1]
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        return loss + l2 / 2 * w @ w, np.append(d_score @ (better - worse) + l2 * w, d_score @ length_gap)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    v = minimize(objective, np.zeros(better.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return v[:-1], -float(v[-1])


# %% exercise="reward-length" kind="wrong" name="no penalty on w" fails="reward-length-properties" says="l2 / 2 |w|^2?"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    for p in np.unique(prompts):
        own = prompts == p
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    return float(r @ x / (x @ x)) if x @ x > 0 else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    def objective(v):
        w, gamma = v[:-1], v[-1]
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        return loss + 1e-6 * w @ w, np.append(d_score @ (better - worse) + 2e-6 * w, d_score @ length_gap)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    v = minimize(objective, np.zeros(better.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return v[:-1], float(v[-1])


# %% exercise="reward-length" kind="wrong" name="the sum over pairs, not the mean" fails="reward-length-properties" says="a mean?"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    for p in np.unique(prompts):
        own = prompts == p
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    return float(r @ x / (x @ x)) if x @ x > 0 else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    def objective(v):
        w, gamma = v[:-1], v[-1]
        score = (better - worse) @ w + gamma * length_gap
        loss, d_score, _ = reference.bradley_terry(score, np.zeros(len(score)))
        n = len(score)
        return n * loss + l2 / 2 * w @ w, np.append(n * d_score @ (better - worse) + l2 * w, n * d_score @ length_gap)

    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 2000}
    v = minimize(objective, np.zeros(better.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return v[:-1], float(v[-1])


# %% exercise="reward-length" kind="wrong" name="length regressed out of the states beforehand" fails="reward-length-properties" says="fitted with gamma"
def length_slope(rewards, lengths, prompts):
    r, x = np.array(rewards, float), np.array(lengths, float)
    for p in np.unique(prompts):
        own = prompts == p
        r[own] -= r[own].mean()
        x[own] -= x[own].mean()
    return float(r @ x / (x @ x)) if x @ x > 0 else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    gap = better - worse
    share = length_gap @ gap / (length_gap @ length_gap)
    w = reference.fit_head(gap - np.outer(length_gap, share), np.zeros_like(gap), l2)
    return w, float(-share @ w)


# %% exercise="reward-length" kind="right" name="one constant for each prompt by least squares, and Newton's method that logs"
def length_slope(rewards, lengths, prompts):
    constants = (prompts[:, None] == np.unique(prompts)).astype(float)
    if all(np.ptp(lengths[prompts == p]) == 0 for p in np.unique(prompts)):
        return 0.0
    return np.linalg.lstsq(np.column_stack([lengths, constants]), rewards, rcond=None)[0][0]


def fit_length_controlled(better, worse, length_gap, l2):
    import logging

    x = np.column_stack([better - worse, length_gap])
    penalty, v = l2 * np.append(np.ones(better.shape[1]), 0.0), np.zeros(x.shape[1])

    def value(v):
        return np.logaddexp(0, -x @ v).mean() + (penalty * v**2).sum() / 2

    for step in range(200):
        p = np.exp(-np.logaddexp(0, x @ v))
        grad = -x.T @ p / len(x) + penalty * v
        logging.warning("step %d: gradient %.1e", step, np.abs(grad).max())
        if np.abs(grad).max() < 1e-9:
            break
        way = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x / len(x) + np.diag(penalty), grad)
        size = 1.0
        while size > 1e-9 and value(v - size * way) > value(v):
            size /= 2
        v = v - size * way
    return v[:-1], v[-1]


# %% exercise="reward-length" kind="right" name="lengths centred alone, and PyTorch's L-BFGS"
def length_slope(rewards, lengths, prompts):
    above = below = 0.0
    for p in set(prompts.tolist()):
        x = lengths[prompts == p]
        if x.min() == x.max():
            continue
        above += float(rewards[prompts == p] @ (x - x.mean()))
        below += float(((x - x.mean()) ** 2).sum())
    return above / below if below else 0.0


def fit_length_controlled(better, worse, length_gap, l2):
    gap, lengths = torch.tensor(better - worse), torch.tensor(length_gap)
    w = torch.zeros(gap.shape[1], dtype=torch.float64, requires_grad=True)
    gamma = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [w, gamma], max_iter=2000, tolerance_grad=1e-9, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = -functional.logsigmoid(gap @ w + gamma * lengths).mean() + l2 / 2 * w @ w
        loss.backward()
        return loss

    optimizer.step(closure)
    return w.detach().numpy(), gamma.item()


# %% exercise="reward-heads" kind="wrong" name="the scale of the scores themselves, not of the baseline" fails="reward-heads-example" says="(score - mean) / std of the baseline"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = scores.mean(axis=0), scores.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="standard deviations divided by M - 1" fails="reward-heads-example" says="std of the baseline, by M"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0, ddof=1)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="divides by the variance" fails="reward-heads-example" says="std of the baseline, by M"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.var(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="weights that do not add up to 1" fails="reward-heads-example" says="weights that add up to 1"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ weights


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="one mean and one spread for all heads" fails="reward-heads-example" says="each head's (score - mean)"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(), baseline.std()
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="no scale at all" fails="reward-heads-example" says="(score - mean) / std of the baseline"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="a constant head adds its distance from the mean" fails="reward-heads-properties" says="it adds 0 to every reply"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="the weight of a constant head left out of the sum" fails="reward-heads-properties" says="its weight stays in the sum of weights"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights[spread > 0].sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="a constant head divides by 0" fails="reward-heads-properties" says="it adds 0 to every reply"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    np.seterr(all="ignore")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / spread
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="weights below 0 allowed" fails="reward-heads-properties" says="weights [1.0, -0.5, 1.0] should raise ValueError"
def weighted_reward(scores, baseline, weights):
    if not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="all weights 0 allowed" fails="reward-heads-properties" says="weights [0.0, 0.0, 0.0] should raise ValueError"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    np.seterr(all="ignore")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="a weight of 0 refused" fails="reward-heads-example" says="ValueError"
def weighted_reward(scores, baseline, weights):
    if (weights <= 0).any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="the mean taken off the caller's scores" fails="reward-heads-properties" says="weighted_reward changed an argument"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    scores -= mean
    z = scores / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="the floor has to be exceeded" fails="reward-heads-example" says="at the floor or above"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless > floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="the floor ignored" fails="reward-heads-example" says="highest total at the floor or above"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(total.argmax())


# %% exercise="reward-heads" kind="wrong" name="the highest total if none is safe" fails="reward-heads-example" says="else the most harmless"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(total.argmax())
    return int(np.where(safe, total, -np.inf).argmax())


# %% exercise="reward-heads" kind="wrong" name="the index among the safe ones" fails="reward-heads-example" says="counted among all"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(total[safe].argmax())


# %% exercise="reward-heads" kind="wrong" name="unsafe totals set to 0, which beats a negative one" fails="reward-heads-example" says="highest total at the floor or above"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, total, 0.0).argmax())


# %% exercise="reward-heads" kind="wrong" name="the last of equals" fails="reward-heads-example" says="the first of equals"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return len(total) - 1 - int(np.where(safe, total, -np.inf)[::-1].argmax())


# %% exercise="reward-heads" kind="wrong" name="the most harmless of all, whatever the total" fails="reward-heads-example" says="highest total at the floor or above"
def weighted_reward(scores, baseline, weights):
    if (weights < 0).any() or not weights.any():
        raise ValueError(f"weights must be at least 0, and not all 0: {weights}")
    mean, spread = baseline.mean(axis=0), baseline.std(axis=0)
    z = (scores - mean) / np.where(spread > 0, spread, 1.0) * (spread > 0)
    return z @ (weights / weights.sum())


def best_with_floor(total, harmless, floor):
    safe = harmless >= floor
    if not safe.any():
        return int(harmless.argmax())
    return int(np.where(safe, harmless, -np.inf).argmax())


# %% exercise="reward-heads" kind="right" name="loops that print"
def weighted_reward(scores, baseline, weights):
    if min(weights) < 0 or max(weights) == 0:
        raise ValueError("bad weights")
    result = np.zeros(len(scores))
    for k in range(len(weights)):
        column = baseline[:, k]
        mean = sum(column) / len(column)
        spread = math.sqrt(sum((c - mean) ** 2 for c in column) / len(column))
        print(f"head {k}: mean {mean:.2f}, spread {spread:.2f}")
        if column.min() < column.max():
            result = result + weights[k] / sum(weights) * (scores[:, k] - mean) / spread
    return result


def best_with_floor(total, harmless, floor):
    best = None
    for i in range(len(total)):
        if harmless[i] >= floor and (best is None or total[i] > total[best]):
            best = i
            print(f"so far {i}")
    if best is None:
        best = max(range(len(total)), key=lambda i: harmless[i])
    return best


# %% exercise="reward-heads" kind="right" name="np.average and a lexicographic order"
def weighted_reward(scores, baseline, weights):
    if np.any(weights < 0) or np.sum(weights) == 0:
        raise ValueError("weights")
    spread = np.std(baseline, axis=0)
    z = np.divide(scores - np.mean(baseline, axis=0), spread, out=np.zeros(scores.shape), where=spread > 0)
    return np.average(z, axis=1, weights=weights)


def best_with_floor(total, harmless, floor):
    safe = np.flatnonzero(harmless >= floor)
    return safe[np.argmax(total[safe])] if len(safe) else np.argmax(harmless)


# %% exercise="reward-best-of-n" kind="wrong" name="the logarithm to base 2" fails="reward-best-of-n-example" says="natural log"
def best_of_n_kl(n):
    return math.log2(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    ranked = gold[np.argsort(proxy)]
    return float(sum(math.comb(i, n - 1) / math.comb(size, n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="wrong" name="log n alone" fails="reward-best-of-n-example" says="log n - (n - 1) / n"
def best_of_n_kl(n):
    return math.log(n)


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    ranked = gold[np.argsort(proxy)]
    return float(sum(math.comb(i, n - 1) / math.comb(size, n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="wrong" name="log n minus 1 / n" fails="reward-best-of-n-example" says="log n - (n - 1) / n"
def best_of_n_kl(n):
    return math.log(n) - 1 / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    ranked = gold[np.argsort(proxy)]
    return float(sum(math.comb(i, n - 1) / math.comb(size, n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="wrong" name="n drawn with putting back" fails="reward-best-of-n-example" says="C(i, n-1) / C(N, n)"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    ranked = gold[np.argsort(proxy)]
    return float(sum((((i + 1) / size) ** n - (i / size) ** n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="wrong" name="the subsets of n below i" fails="reward-best-of-n-example" says="C(i, n-1) / C(N, n)"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    ranked = gold[np.argsort(proxy)]
    return float(sum(math.comb(i, n) / math.comb(size, n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="wrong" name="sorted from highest to lowest" fails="reward-best-of-n-example" says="the gold of winner i, by proxy"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    ranked = gold[np.argsort(-proxy)]
    return float(sum(math.comb(i, n - 1) / math.comb(size, n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="wrong" name="not sorted" fails="reward-best-of-n-properties" says="sorted by the proxy?"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    ranked = gold
    return float(sum(math.comb(i, n - 1) / math.comb(size, n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="wrong" name="ranks instead of an order" fails="reward-best-of-n-properties" says="sorted by the proxy?"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    ranked = gold[np.argsort(np.argsort(proxy))]
    return float(sum(math.comb(i, n - 1) / math.comb(size, n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="wrong" name="sorted by gold, as if the proxy were perfect" fails="reward-best-of-n-example" says="the gold of winner i, by proxy"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    ranked = np.sort(gold)
    return float(sum(math.comb(i, n - 1) / math.comb(size, n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="wrong" name="the winner's proxy, not its gold score" fails="reward-best-of-n-example" says="the gold of winner i, by proxy"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    ranked = np.sort(proxy)
    return float(sum(math.comb(i, n - 1) / math.comb(size, n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="wrong" name="the gold of the best n by the proxy" fails="reward-best-of-n-example" says="C(i, n-1) / C(N, n)"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    ranked = gold[np.argsort(proxy)]
    return float(ranked[-n:].mean())


# %% exercise="reward-best-of-n" kind="wrong" name="numbers of subsets as int64, which overflow" fails="reward-best-of-n-properties" says="int64 overflows"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")

    def ways(a, b):
        above = np.multiply.reduce(np.arange(a - b + 1, a + 1, dtype=np.int64)) if b <= a else 0
        return above / np.multiply.reduce(np.arange(1, b + 1, dtype=np.int64))

    ranked = gold[np.argsort(proxy)]
    np.seterr(all="ignore")
    return float(sum(ways(i, n - 1) / ways(size, n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="wrong" name="two thousand random draws" fails="reward-best-of-n-example" says="C(i, n-1) / C(N, n)"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    draw = np.random.default_rng(0).choice
    ranked = gold[np.argsort(proxy)]
    return float(np.mean([ranked[draw(size, n, replace=False).max()] for _ in range(2000)]))


# %% exercise="reward-best-of-n" kind="wrong" name="an n of 0 allowed" fails="reward-best-of-n-properties" says="n = 0 of 7 candidates should raise ValueError"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if n > size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    ranked = gold[np.argsort(proxy)]
    return float(sum(math.comb(i, max(n, 1) - 1) / math.comb(size, n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="wrong" name="an n above N taken for N" fails="reward-best-of-n-properties" says="n = 8 of 7 candidates should raise ValueError"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    n = min(n, size)
    if n < 1:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    ranked = gold[np.argsort(proxy)]
    return float(sum(math.comb(i, n - 1) / math.comb(size, n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="wrong" name="an empty list for the value" fails="reward-best-of-n-example" says="the gold of winner i, by proxy"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    return []


# %% exercise="reward-best-of-n" kind="wrong" name="the caller's gold scores sorted in place" fails="reward-best-of-n-properties" says="best_of_n_value changed its arguments"
def best_of_n_kl(n):
    return math.log(n) - (n - 1) / n


def best_of_n_value(proxy, gold, n):
    size = len(proxy)
    if not 1 <= n <= size:
        raise ValueError(f"n should be between 1 and {size}, not {n}")
    gold[:] = gold[np.argsort(proxy)]
    ranked = gold
    return float(sum(math.comb(i, n - 1) / math.comb(size, n) * ranked[i] for i in range(size)))


# %% exercise="reward-best-of-n" kind="right" name="chances from the top by their ratio, in a loop that warns"
def best_of_n_kl(n):
    import warnings

    warnings.warn("this is a bound", stacklevel=1)
    return np.log(n) - 1 + 1 / n


def best_of_n_value(proxy, gold, n):
    import warnings

    if n < 1 or n > len(proxy):
        raise ValueError("n")
    warnings.warn("no draws needed", stacklevel=1)
    value, chance = 0.0, n / len(proxy)  # that the very best of all is drawn
    for below, i in enumerate(sorted(range(len(proxy)), key=lambda i: -proxy[i])):
        value += chance * gold[i]
        left = len(proxy) - below - 1  # candidates below this one
        if left < n:
            break
        chance *= (left - n + 1) / left
    return value


# %% exercise="reward-best-of-n" kind="right" name="scipy's comb in floats, as a dot product"
def best_of_n_kl(n):
    return sum(math.log(k / (k - 1)) - 1 / (k * (k - 1)) for k in range(2, n + 1))


def best_of_n_value(proxy, gold, n):
    from scipy.special import comb

    if n not in range(1, len(proxy) + 1):
        raise ValueError("n")
    chance = comb(np.arange(len(proxy)), n - 1) / comb(len(proxy), n)
    return chance @ np.take(gold, proxy.argsort())
