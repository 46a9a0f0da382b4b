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
# # A neural network from scratch
#
# You will build every part of a neural network in NumPy: activations, losses, initialisation, the forward and the backward pass, the optimizers SGD, RMSprop, Adam and AdamW, dropout, clipping and early stopping. At the end your network reads handwritten digits that it has never seen, and gets more than 96 % of them right. On the way you make a picture that tells, before any training, whether a deep network can learn at all. PyTorch appears only as the examiner: your gradients and update rules must agree with it.
#
# Later exercises call earlier pieces as `reference.name`, for example `reference.activate`. That module holds the course's own solutions, so an exercise that you have not solved never blocks the next one.

# %% tags=["parameters"] nbgrader={"grade": false, "grade_id": "network-from-scratch-parameters", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
SCALE = "cpu"  # "gpu" makes the trained networks four times wider; this lab is all NumPy and needs no GPU

# %% nbgrader={"grade": false, "grade_id": "network-from-scratch-imports", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
from copy import deepcopy
from functools import partial
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy import ndarray
from numpy.testing import assert_allclose, assert_equal, assert_raises
from scipy.special import erf
from torch.nn import functional

from llmlabs.lab.data import digits
from llmlabs.lab.plotting import use_course_style
from llmlabs.lab.reference import network_from_scratch as reference
from llmlabs.lab.testing import seed

use_course_style()
data = digits()
WIDTH = 512 if SCALE == "gpu" else 128
print(f"8x8 digits: {len(data.train_x)} to train on, {len(data.valid_x)} to validate, {len(data.test_x)} to test")
figure, axes = plt.subplots(1, 10, figsize=(8, 1.1), subplot_kw={"xticks": [], "yticks": []})
for digit, ax in enumerate(axes):
    ax.imshow(data.train_x[data.train_y == digit][0].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"label {digit}", fontsize=9)
plt.show()

# %% [markdown]
# ## 1. Activations: what makes a layer more than a matrix
#
# A **neuron** adds up its inputs, each times the weight of its synapse, and bends the sum $z$ by an activation $f$. Without $f$, depth is an illusion: $(xW_1)W_2 = x(W_1W_2)$, two layers equal one. Learning needs the slope $f'$ too, because every gradient that travels back is multiplied by it.
#
# | name | $f(z)$ | $f'(z)$ |
# |---|---|---|
# | `relu` | $\max(0, z)$ | 1 if $z > 0$, else 0 |
# | `sigmoid` | $\sigma(z) = 1 / (1 + e^{-z})$ | $\sigma(z)\,(1 - \sigma(z))$ |
# | `tanh` | $\tanh z$ | $1 - \tanh^2 z$ |
# | `swish` (SiLU) and `gelu` | $z\,\sigma(z)$ and $z\,\Phi(z)$ | yours to derive: $(uv)' = u'v + uv'$ |
#
# $z$ is a real number; in an array each element goes its own way. $\Phi(z) = \frac12\bigl(1 + \mathrm{erf}(z/\sqrt2)\bigr)$ is the probability that a standard normal variable is below $z$; its slope is the bell curve $\varphi(z) = e^{-z^2/2}/\sqrt{2\pi}$.
#
# **By hand, at $z = 0$.** $\sigma = \frac12$, so its slope is $\frac12 \cdot \frac12 = \frac14$, the steepest it ever gets: the slopes of ten sigmoids alone shrink a gradient at least $4^{10} \approx 10^6$ times (the weights may make up for it, or make it worse). Swish: $1 \cdot \sigma(0) + 0 \cdot \sigma'(0) = \frac12$. GELU: $\Phi(0) + 0 \cdot \varphi(0) = \frac12$. ReLU has a kink at 0; we take slope 0 there, as PyTorch does. And a trap: $e^z/(1 + e^z)$ is the sigmoid on paper, but for a computer $e^{1000} = \infty$, and $\infty/\infty$ is not a number.
#
# <details><summary>Hint 1</summary>Divide numerator and denominator of that fraction by e<sup>z</sup>: what overflows now, and does it hurt? Or write the sigmoid as e<sup>-log(1 + e^-z)</sup>, with <code>np.logaddexp(0, -z)</code> for the logarithm: nothing overflows at all.</details>
# <details><summary>Hint 2</summary>Swish is u = z times v = σ(z), so its slope is σ(z) + z σ(z)(1 - σ(z)). GELU is the same with Φ for σ and φ for σ(1 - σ).</details>


# %% nbgrader={"grade": false, "grade_id": "scratch-activations", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def activate(name: str, z: ndarray) -> tuple[ndarray, ndarray]:
    """Return the value and the slope of an activation, element by element.

    Args:
        name: "relu", "sigmoid", "tanh", "swish" or "gelu" (the exact one, with erf).
        z: float64 array of any shape, not changed. The results must be right, never NaN, from -1000 to 1000.

    Returns:
        (f(z), f'(z)): two float64 arrays of z's shape.

    Raises:
        ValueError: for any other name.

    Example:
        activate("relu", np.array([-2.0, 3.0]))  ->  ([0., 3.], [0., 1.])
    """
    ### BEGIN SOLUTION
    if name == "relu":
        return np.maximum(z, 0.0), (z > 0).astype(np.float64)
    if name == "tanh":
        return np.tanh(z), 1.0 - np.tanh(z) ** 2
    if name == "gelu":
        cdf = 0.5 * (1.0 + erf(z / np.sqrt(2.0)))
        return z * cdf, cdf + z * np.exp(-(z**2) / 2.0) / np.sqrt(2.0 * np.pi)
    s = np.exp(-np.logaddexp(0.0, -z))  # the sigmoid, without overflow
    if name == "sigmoid":
        return s, s * (1.0 - s)
    if name == "swish":
        return z * s, s + z * s * (1.0 - s)
    raise ValueError(f"unknown activation {name!r}: use relu, sigmoid, tanh, swish or gelu")
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scratch-activations-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
cases = [("relu", -2.0, 0, 0), ("sigmoid", 0, 0.5, 0.25), ("tanh", 0, 0, 1), ("swish", 0, 0, 0.5), ("gelu", 0, 0, 0.5)]
### BEGIN HIDDEN TESTS
z = float(np.random.default_rng(seed("scratch-activations-example")).uniform(0.5, 2))
cases += [("relu", z, z, 1), ("tanh", z, np.tanh(z), 1 - np.tanh(z) ** 2)]
### END HIDDEN TESTS
for name, z, value, slope in cases:
    why = f"value and slope of {name} at z = {z}: compare the table and the example by hand"
    assert_allclose(activate(name, np.array([z], float)), [[value], [slope]], rtol=1e-9, atol=1e-12, err_msg=why)

# %% nbgrader={"grade": true, "grade_id": "scratch-activations-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: values and slopes against PyTorch and its autograd, also at -1000 and 1000; z stays unchanged; unknown names.
### BEGIN HIDDEN TESTS
close = partial(assert_allclose, rtol=1e-9, atol=1e-12, strict=True)  # float64; GELU's tanh form is off by 1e-4
z = np.random.default_rng(seed("scratch-activations-properties")).normal(scale=3.0, size=(2, 3, 4))
z[0, 0, :3] = [0.0, -1000.0, 1000.0]
given, t = z.copy(), torch.tensor(z, requires_grad=True)
for name in ("relu", "sigmoid", "tanh", "swish", "gelu"):
    value, slope = activate(name, z)
    assert_equal(z, given, f"{name} changed z: return new arrays")
    expected = getattr(functional, {"swish": "silu"}.get(name, name))(t)
    why = f"{name} for z = {z.round(1).tolist()}: relu slope 0 at 0? no e^1000? both terms of the product rule? exact GELU?"
    close(value, expected.detach().numpy(), err_msg=f"value of {why}")
    close(slope, torch.autograd.grad(expected.sum(), t)[0].numpy(), err_msg=f"slope of {why}")
with assert_raises(ValueError, msg="the unknown name 'step' should raise ValueError"):
    activate("step", z)
### END HIDDEN TESTS

# %% nbgrader={"grade": false, "grade_id": "network-from-scratch-plot-activations", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
z = np.linspace(-5, 5, 101)
figure, axes = plt.subplots(1, 2, figsize=(8, 3))
for name, style in zip(("relu", "sigmoid", "tanh", "swish", "gelu"), ("-", "--", "-.", ":", (0, (5, 1))), strict=True):
    for ax, curve in zip(axes, activate(name, z), strict=True):
        ax.plot(z, curve, linestyle=style, label=name)
axes[0].set(title="Five activations", xlabel="pre-activation z", ylabel="f(z)", ylim=(-1.2, 3))
axes[1].set(title="Slopes: a sigmoid passes on 1/4 at most", xlabel="pre-activation z", ylabel="f '(z)")
axes[0].legend()
plt.show()

# %% [markdown]
# *Think:* a ReLU neuron whose $z$ is negative for every image has slope 0 for all of them. Can training revive it? Which curves in the picture avoid that?
#
# ## 2. Two costs and their gradients
#
# For each of $N$ images the network ends in $C$ real numbers, its **logits** $s_n \in \mathbb{R}^C$. Softmax turns them into probabilities $p_n$; **cross-entropy** is the mean surprise at the true classes $y_n$; **mean squared error** (MSE) compares a prediction $\hat t$ with a target $t$, arrays of $M$ elements; $[\cdot]$ is 1 if true, else 0:
#
# $$p_{nj} = \frac{e^{s_{nj}}}{\sum_{k=1}^{C} e^{s_{nk}}}, \qquad L_{\mathrm{CE}} = -\frac1N \sum_{n=1}^{N} \log p_{n y_n}, \qquad \frac{\partial L_{\mathrm{CE}}}{\partial s_{nj}} = \frac{p_{nj} - [j = y_n]}{N}$$
# $$L_{\mathrm{MSE}} = \frac1M \sum_{m=1}^{M} (\hat t_m - t_m)^2, \qquad \frac{\partial L_{\mathrm{MSE}}}{\partial \hat t_m} = \frac{2(\hat t_m - t_m)}{M}$$
#
# **Stability.** Adding a constant to all logits of an image changes nothing, so subtract their maximum: then no exponent is above 0. And use $\log p_y = s_y - \max s - \log \sum_k e^{s_k - \max s}$, never the logarithm of a probability that may have been rounded to 0.
#
# **By hand.** $s = (0, \ln 3)$, $y = 0$: $p = (\frac14, \frac34)$, $L = \ln 4 \approx 1.386$, gradient $(-\frac34, \frac34)$: raise the true logit, lower the other. With $s = (1000, 0)$, $y = 1$ the loss is 1000; a careless program says infinity. MSE of $(1, 3)$ against $(1, 1)$: $\frac12(0 + 4) = 2$, gradient $(0, 2)$.
#
# <details><summary>Hint 1</summary>Take maximum and sum along the last axis with <code>keepdims=True</code>, so that (N, C) minus (N, 1) works row by row.</details>
# <details><summary>Hint 2</summary><code>log_p[np.arange(N), labels]</code> picks one entry a row, the log-probability of the true class. Subtracting 1 at the same index turns p into the gradient (but for the division by N).</details>


# %% nbgrader={"grade": false, "grade_id": "scratch-losses", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def softmax(logits: ndarray) -> ndarray:
    """Return probabilities over the last axis: float64, the shape (..., C) of the logits, which are not changed.

    Logits of 10,000 must not overflow.
    """
    ### BEGIN SOLUTION
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
    ### END SOLUTION


def cross_entropy(logits: ndarray, labels: ndarray) -> tuple[float, ndarray]:
    """Return the mean cross-entropy of softmax(logits) and its gradient with respect to the logits, both finite.

    Args:
        logits: float64 of shape (N, C), between -10,000 and 10,000; not changed.
        labels: int64 of shape (N,), the true classes, 0 to C - 1.

    Returns:
        (loss, gradient): a number and a float64 array of shape (N, C).

    Example:
        cross_entropy(np.array([[0.0, np.log(3)]]), np.array([0]))  ->  (1.386..., [[-0.75, 0.75]])
    """
    ### BEGIN SOLUTION
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -float(log_p[rows, labels].mean()), (np.exp(log_p) - np.eye(logits.shape[1])[labels]) / len(labels)
    ### END SOLUTION


def mse(prediction: ndarray, target: ndarray) -> tuple[float, ndarray]:
    """Return the mean squared error over all elements and its gradient with respect to the prediction.

    Args:
        prediction, target: float64 arrays of one shape, not changed.

    Returns:
        (loss, gradient): a number and a float64 array of the prediction's shape.

    Raises:
        ValueError: for unequal shapes. NumPy would broadcast (N, 1) against (N,) to (N, N) without a word.

    Example:
        mse(np.array([1.0, 3.0]), np.array([1.0, 1.0]))  ->  (2.0, [0., 2.])
    """
    ### BEGIN SOLUTION
    if prediction.shape != target.shape:
        raise ValueError(f"prediction and target must have one shape, got {prediction.shape} and {target.shape}")
    error = prediction - target
    return float((error**2).mean()), 2.0 * error / error.size
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scratch-losses-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
close = partial(assert_allclose, rtol=1e-9, atol=1e-12)
close(softmax(np.array([0.0, np.log(3)])), [0.25, 0.75], err_msg="softmax of (0, ln 3)")
loss, gradient = cross_entropy(np.array([[0.0, np.log(3)]]), np.array([0]))
close([loss, *gradient[0]], [np.log(4), -0.75, 0.75], err_msg="logits (0, ln 3), label 0: loss, gradient p - one-hot")
loss, gradient = mse(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
close([loss, *gradient], [2.0, 0.0, 2.0], err_msg="mse of (1, 3) against (1, 1): 2, its gradient (0, 2)")
### BEGIN HIDDEN TESTS
x = np.random.default_rng(seed("scratch-losses-example")).normal(size=(4, 3))
close(softmax(x), torch.softmax(torch.tensor(x), -1).numpy(), err_msg=f"softmax of {x}: every row adds up to one")
### END HIDDEN TESTS

# %% nbgrader={"grade": true, "grade_id": "scratch-losses-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: losses and gradients against PyTorch, logits of thousands, arguments unchanged, mse of unequal shapes.
### BEGIN HIDDEN TESTS
rng, close = np.random.default_rng(seed("scratch-losses-properties")), partial(assert_allclose, rtol=1e-9, atol=1e-12)
for size in (1.0, 9000.0):
    x, labels, target = rng.uniform(-size, size, size=(6, 4)), rng.integers(0, 4, size=6), rng.normal(size=(6, 4))
    given, t = x.copy(), torch.tensor(x, requires_grad=True)
    why = f"shape (6, 4), values up to {size}: a mean, not a sum? the gradient divided too? the maximum subtracted?"
    close(softmax(x[None]), torch.softmax(t, -1).detach().numpy()[None], strict=True, err_msg=f"softmax, {why}")
    pairs = {"cross_entropy": (cross_entropy(x, labels), functional.cross_entropy(t, torch.tensor(labels)))}
    pairs["mse"] = mse(x, target), functional.mse_loss(t, torch.tensor(target))
    assert_equal(x, given, "the logits or the prediction were changed: subtract into a new array")
    for name, ((loss, gradient), expected) in pairs.items():
        close(float(loss), expected.item(), err_msg=f"{name}, {why}")
        close(gradient, torch.autograd.grad(expected, t)[0].numpy(), strict=True, err_msg=f"gradient of {name}, {why}")
for one, other in (((5, 1), (5,)), ((5,), (5, 1)), ((5, 1), (1, 5)), ((3,), (1,))):
    with assert_raises(ValueError, msg=f"mse of {one} and {other} should raise ValueError, not broadcast"):
        mse(np.ones(one), np.ones(other))
### END HIDDEN TESTS

# %% [markdown]
# **Use it: why not MSE for classes?** One image, two classes; the margin says how far the true logit is ahead. Look at the network that is confidently wrong, margin $-8$.

# %% nbgrader={"grade": false, "grade_id": "network-from-scratch-loss-table", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
for margin in (-8.0, -4.0, 0.0, 4.0):
    p = softmax(np.array([[margin, 0.0]]))
    _, by_p = mse(p, np.array([[1.0, 0.0]]))
    by_logit = p * (by_p - (by_p * p).sum())  # the chain rule through softmax
    push = abs(cross_entropy(np.array([[margin, 0.0]]), np.array([0]))[1][0, 0])
    print(f"margin {margin:4.0f}: |gradient| of cross-entropy {push:.4f}, of MSE {abs(by_logit[0, 0]):.4f}")

# %% [markdown]
# *Think:* the gradient of the MSE has to come back through the flat end of the softmax; that of the cross-entropy is $p - 1$ at the true logit. Which of the two teaches a network that is sure of the wrong answer?
#
# ## 3. Where to start: initialisation
#
# A layer computes $z = aW + b$ from its input $a$, with $W$ of shape $(n_\mathrm{in}, n_\mathrm{out})$. If weights are independent with mean 0 and standard deviation $\sigma_w$, then $\mathrm{Var}(z_j) = n_\mathrm{in}\, \sigma_w^2\, \mathrm{E}[a^2]$. So each layer multiplies the signal's **power**, its mean square $\mathrm{E}[a^2]$, by $n_\mathrm{in}\sigma_w^2$ (and by what the activation does to it); on the way back the gradient's power is multiplied by $n_\mathrm{out}\sigma_w^2$. A factor other than 1, to the power of the depth, vanishes or explodes.
#
# - `zero`: all neurons of a layer compute the same and get the same gradient, so they stay copies of each other for ever.
# - `xavier` (Glorot and Bengio 2010, section 4.2.1): $\sigma_w = \sqrt{2 / (n_\mathrm{in} + n_\mathrm{out})}$, a compromise between the two directions, made for tanh.
# - `he` (He et al. 2015, section 2.2): ReLU throws away half of the power, so double it: $\sigma_w = \sqrt{2 / n_\mathrm{in}}$.
# - `small` ($\sigma_w = 0.01$) and `large` ($\sigma_w = 1$) are here as warnings. Biases always start at 0.
#
# **By hand.** $n_\mathrm{in} = 50$, $n_\mathrm{out} = 150$. Xavier: $\sqrt{2/200} = 0.1$. He: $\sqrt{2/50} = 0.2$. Small: the power shrinks to $50 \cdot 0.01^2 = 0.005$ of itself in each layer.
#
# <details><summary>Hint 1</summary><code>pairwise(sizes)</code> gives (n_in, n_out) of each layer; <code>rng.normal(0, std, size=(n_in, n_out))</code> draws its weights.</details>
# <details><summary>Hint 2</summary>Make one <code>rng = np.random.default_rng(seed)</code> before the loop: one made inside would draw the same numbers for every layer.</details>


# %% nbgrader={"grade": false, "grade_id": "scratch-initialisation", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def init_params(sizes: list[int], scheme: str, seed: int = 0) -> list[ndarray]:
    """Draw the parameters of a multi-layer network.

    Args:
        sizes: the width of each layer, input first.
        scheme: "zero", "small", "xavier", "he" or "large": the standard deviation of the weights, see above.
        seed: the same seed gives the same parameters, another seed other weights.

    Returns:
        [W1, b1, W2, b2, ...], float64. The weights, of shape (n_in, n_out), are independent draws from a normal
        distribution with mean 0; the biases, of shape (n_out,), are 0.

    Raises:
        ValueError: for any other scheme.

    Example:
        [p.shape for p in init_params([64, 128, 10], "he")]  ->  [(64, 128), (128,), (128, 10), (10,)]
    """
    ### BEGIN SOLUTION
    rng = np.random.default_rng(seed)
    params = []
    for n_in, n_out in pairwise(sizes):
        deviations = {"xavier": np.sqrt(2.0 / (n_in + n_out)), "he": np.sqrt(2.0 / n_in)}
        deviations |= {"zero": 0.0, "small": 0.01, "large": 1.0}
        if scheme not in deviations:
            raise ValueError(f"unknown scheme {scheme!r}: use one of {', '.join(deviations)}")
        params += [rng.normal(0.0, deviations[scheme], size=(n_in, n_out)), np.zeros(n_out)]
    return params
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scratch-initialisation-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
shapes, cases = [np.shape(p) for p in init_params([64, 9, 2], "he")], [(50, 150, "xavier", 0.1), (50, 150, "he", 0.2)]
assert shapes == [(64, 9), (9,), (9, 2), (2,)], f"sizes [64, 9, 2]: shapes of W1, b1, W2, b2 expected, got {shapes}"
### BEGIN HIDDEN TESTS
n = int(np.random.default_rng(seed("scratch-initialisation-example")).integers(100, 200))
cases += [(n, 90, "xavier", (2 / (n + 90)) ** 0.5), (n, 90, "he", (2 / n) ** 0.5)]
### END HIDDEN TESTS
for n, m, scheme, sigma in cases:
    got = float(np.std(init_params([n, m], scheme)[0]))
    # 7,500 draws know their spread to 0.8 %; 5 % is six times that
    why = f"{scheme}, {n} inputs, {m} outputs: expected a standard deviation of {sigma:.3f}, got {got:.3f}; is it the root? fan-in?"
    assert abs(got / sigma - 1) < 0.05, why

# %% nbgrader={"grade": true, "grade_id": "scratch-initialisation-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: mean, spread and form of the distribution for each scheme, biases, seeds, independent layers, unknown schemes.
### BEGIN HIDDEN TESTS
sizes, draw = [300, 200, 300, 200], seed("scratch-initialisation-properties") % 10_000
for scheme, sigma in {"small": 0.01, "large": 1.0, "xavier": 250**-0.5, "he": 150**-0.5, "zero": 0.0}.items():
    params = [np.asarray(p) for p in init_params(sizes, scheme, draw)]
    w, shapes = params[0], [p.shape for p in params]
    assert shapes == [(300, 200), (200,), (200, 300), (300,), (300, 200), (200,)], f"sizes {sizes} gave shapes {shapes}"
    assert_equal(np.concatenate(params[1::2]), np.zeros(700), f"{scheme}: biases should start at 0", strict=True)
    assert w.dtype == np.float64, f"{scheme}: weights of type float64 expected, got {w.dtype}"
    repeated = scheme != "zero" and (np.ptp(w, axis=0).min() == 0 or np.ptp(w, axis=1).min() == 0)
    assert not repeated, f"{scheme}: a row or column of W1 repeats one number; every weight needs its own draw"
    # 60,000 draws know their mean to 0.4 % of the spread, the spread to 0.3 %, the share beyond two spreads to 0.1 %
    error = max(abs(w.mean()), abs(w.std() - sigma))
    why = f"{scheme}, 300 inputs, 200 outputs: expected mean 0 and standard deviation {sigma:.4f}, got {w.mean():.4f} and {w.std():.4f}"
    assert error <= 0.03 * sigma, why
    tail, same = float((np.abs(w) > 2 * sigma).mean()), np.array_equal(w, params[4])
    assert sigma == 0 or 0.035 < tail < 0.056, f"{scheme}: {tail:.1%} lie beyond two sigma; 4.6 % if normal"
    assert sigma == 0 or not same, f"{scheme}: layers 1 and 3 hold the same numbers; rng made inside the loop?"
    assert_equal(w, init_params(sizes, scheme, draw)[0], "the same seed should give the same weights", strict=True)
for scheme, spreads in (("xavier", [250**-0.5, 150**-0.5]), ("he", [150**-0.5, 0.1])):
    stds = [float(np.std(w)) for w in init_params([300, 200, 100], scheme, draw)[::2]]
    why = f"{scheme}, sizes [300, 200, 100]: deviations {spreads} of W1, W2 expected, got {stds}; each layer has its own n_in, n_out"
    assert_allclose(stds, spreads, rtol=0.03, err_msg=why)  # 20,000 draws know theirs to 0.5 %; this is six times that
default, zero, other = (init_params([4, 3], "he", *s)[0] for s in ([], [0], [draw + 1]))
assert np.array_equal(default, zero) and not np.array_equal(zero, other), "seed: 0 by default, others give others"
with assert_raises(ValueError, msg="the unknown scheme 'uniform' should raise ValueError"):
    init_params([3, 2], "uniform")
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Forward: from pixels to logits
#
# A network of $L$ layers repeats: multiply, add, bend. The $N$ images of a batch are the rows of $a^{(0)} = x$. For $l = 1, \dots, L$, with $n_l$ the width of layer $l$,
#
# $$z^{(l)} = a^{(l-1)} W^{(l)} + b^{(l)}, \qquad a^{(l)} = f\bigl(z^{(l)}\bigr) \odot m^{(l)} \ \text{ (only for } l < L), \qquad \text{logits} = z^{(L)}$$
#
# Shapes: $a^{(l-1)}$ $(N, n_{l-1})$, $W^{(l)}$ $(n_{l-1}, n_l)$, $b^{(l)}$ $(n_l)$, and $z^{(l)}$, $m^{(l)}$ $(N, n_l)$; $\odot$ multiplies element by element. The masks $m^{(l)}$ are for dropout (exercise 7); without them $m = 1$. The last layer is not bent: softmax belongs to the loss. The backward pass will ask what each layer received and computed, so we keep a **cache** of the pairs $(a^{(l-1)}, z^{(l)})$. In large models this memory, more than the weights, limits the batch.
#
# **By hand.** $x = (1, 2)$, $W^{(1)} = \begin{pmatrix}1 & 1\\ 1 & -1\end{pmatrix}$, $b^{(1)} = (0, 0)$, $W^{(2)} = \begin{pmatrix}2\\5\end{pmatrix}$, $b^{(2)} = 1$, ReLU: $z^{(1)} = (3, -1)$, $a^{(1)} = (3, 0)$, logit $6 + 0 + 1 = 7$. With the mask $(2, 0)$: $a^{(1)} = (6, 0)$, logit 13.
#
# <details><summary>Hint 1</summary>There are <code>len(params) // 2</code> layers; layer i (from 0) uses <code>params[2 * i]</code> and <code>params[2 * i + 1]</code>.</details>
# <details><summary>Hint 2</summary>In each turn: compute z; append (received, z) to the cache; unless it is the last layer, let received be the activation of z, times masks[i] if there are masks.</details>


# %% nbgrader={"grade": false, "grade_id": "scratch-forward", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def forward(
    params: list[ndarray], x: ndarray, activation: str, masks: list[ndarray] | None = None
) -> tuple[ndarray, list[tuple[ndarray, ndarray]]]:
    """Run a multi-layer network on a batch. Use reference.activate(name, z), which returns (value, slope).

    Args:
        params: [W1, b1, W2, b2, ...] as init_params makes them, one layer or more.
        x: float64 of shape (N, n_0).
        activation: the name of the activation that follows every layer but the last.
        masks: for each hidden layer an array of shape (N, n_l), multiplied with its activation; None: no masks.

    Returns:
        (logits, cache): float64 of shape (N, n_L), and for each layer, first to last, one pair (what the layer received,
        its z); what a layer received includes the mask. The arguments are not changed.
    """
    ### BEGIN SOLUTION
    received, cache = x, []
    layers = len(params) // 2
    for i in range(layers):
        z = received @ params[2 * i] + params[2 * i + 1]
        cache.append((received, z))
        if i < layers - 1:
            received = reference.activate(activation, z)[0]
            if masks is not None:
                received = received * masks[i]
    return z, cache
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scratch-forward-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
params = [np.array([[1.0, 1.0], [1.0, -1.0]]), np.zeros(2), np.array([[2.0], [5.0]]), np.ones(1)]
cases = [(np.array([[1.0, 2.0]]), [], 7.0), (np.array([[1.0, 2.0]]), [[np.array([[2.0, 0.0]])]], 13.0)]
### BEGIN HIDDEN TESTS
x = np.random.default_rng(seed("scratch-forward-example")).uniform(1, 2, size=(1, 2))
cases += [(x, [], (np.maximum(x @ params[0], 0) @ params[2]).item() + 1.0)]
### END HIDDEN TESTS
for x, masks, logit in cases:
    why = f"logit for x = {x}, masks {masks}: is the hidden layer bent (ReLU) and masked, and the last one neither?"
    assert_allclose(forward(params, x, "relu", *masks)[0], [[logit]], rtol=1e-9, err_msg=why)

# %% nbgrader={"grade": true, "grade_id": "scratch-forward-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: logits and cache, several activations, with and without masks, a single layer, arguments unchanged.
### BEGIN HIDDEN TESTS
rng, close = np.random.default_rng(seed("scratch-forward-properties")), partial(assert_allclose, rtol=1e-9, strict=True)
for sizes, name, masked in [([5, 7, 6, 3], "gelu", True), ([5, 7, 6, 3], "relu", False), ([4, 3], "sigmoid", False)]:
    masks = [[rng.integers(0, 2, size=(8, n)) * 1.5 for n in sizes[1:-1]]] if masked else []
    params = [rng.normal(size=shape) for n, m in pairwise(sizes) for shape in ((n, m), m)]
    args: list = [params, rng.normal(size=(8, sizes[0])), name, *masks]
    given, (logits, cache) = deepcopy(args), forward(*args)
    expected, pairs = reference.forward(*given)  # the tests of exercise 5 hold this reference against PyTorch
    where = f"sizes {sizes}, {name}, {'with' if masked else 'without'} masks"
    assert_equal(args, given, f"{where}: an argument was changed; avoid += and *= on it")
    assert len(cache) == len(pairs), f"{where}: {len(pairs)} pairs in the cache expected, one a layer; got {len(cache)}"
    for i, ((received, z), pair) in enumerate(zip(cache, pairs, strict=True), 1):
        close(received, pair[0], err_msg=f"{where}: what layer {i} received; the mask comes after the activation")
        close(z, pair[1], err_msg=f"{where}: z of layer {i}, before the activation; is the bias added?")
    close(logits, expected, err_msg=f"{where}: the logits are the last z; nothing follows it")
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Backward: the chain rule, one layer at a time
#
# Let $\delta^{(l)} = \partial L / \partial z^{(l)}$, shape $(N, n_l)$: how the loss $L$ feels each pre-activation. At the top, $\delta^{(L)}$ is the gradient that `cross_entropy` returns. From the last layer down,
#
# $$\frac{\partial L}{\partial W^{(l)}} = a^{(l-1)\top} \delta^{(l)}, \qquad \frac{\partial L}{\partial b^{(l)}} = \sum_{n=1}^{N} \delta^{(l)}_n, \qquad \delta^{(l-1)} = \bigl(\delta^{(l)} W^{(l)\top}\bigr) \odot m^{(l-1)} \odot f'\bigl(z^{(l-1)}\bigr)$$
#
# Read them by shapes: $(n_{l-1}, N)\,(N, n_l)$ is the shape of $W^{(l)}$. A bias is added to every row, so its gradient is a sum over rows. Whatever was multiplied on the way forward (weight, slope, mask) is multiplied again on the way back. This pass costs about two forward passes and gives *all* derivatives; nudging parameters one by one costs a forward pass *each*. Automatic differentiation in PyTorch or JAX is this bookkeeping, for any program.
#
# **By hand**, the network of exercise 4 with $\delta^{(2)} = 1$: $\partial L/\partial W^{(2)} = (3, 0)^\top$, $\partial L/\partial b^{(2)} = 1$. Then $\delta^{(1)} = (2, 5) \odot (1, 0) = (2, 0)$: the second neuron was off, so nothing returns through it. $\partial L/\partial W^{(1)} = (1, 2)^\top (2, 0) = \begin{pmatrix}2 & 0\\ 4 & 0\end{pmatrix}$, $\partial L/\partial b^{(1)} = (2, 0)$.
#
# <details><summary>Hint 1</summary>Go through the layers from last to first with one variable delta. Which two gradients can you write down at once, and what must happen to delta before the next turn?</details>
# <details><summary>Hint 2</summary>In layer i: dW = received.T @ delta and db = delta.sum(axis=0). Then, if i &gt; 0: delta = delta @ params[2 * i].T, times the slope at the z of layer i - 1, times masks[i - 1] if there are masks.</details>


# %% nbgrader={"grade": false, "grade_id": "scratch-backward", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def backward(
    params: list[ndarray],
    cache: list[tuple[ndarray, ndarray]],
    d_logits: ndarray,
    activation: str,
    masks: list[ndarray] | None = None,
) -> list[ndarray]:
    """Return the gradients of the loss with respect to all parameters. Use reference.activate(name, z).

    Args:
        params, activation, masks: what `forward` was given.
        cache: what `forward` returned, one pair (what the layer received, its z) for each layer.
        d_logits: float64 of shape (N, n_L), the gradient with respect to the logits. If the loss is a mean over the batch,
            its 1/N is already in here: do not divide again.

    Returns:
        [dW1, db1, dW2, db2, ...]: float64, with the shapes of params. The arguments are not changed.
    """
    ### BEGIN SOLUTION
    grads: list[ndarray] = []
    delta = d_logits
    for i in reversed(range(len(cache))):
        grads = [cache[i][0].T @ delta, delta.sum(axis=0), *grads]
        if i > 0:
            delta = delta @ params[2 * i].T * reference.activate(activation, cache[i - 1][1])[1]
            if masks is not None:
                delta = delta * masks[i - 1]
    return grads
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scratch-backward-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
params = [np.array([[1.0, 1.0], [1.0, -1.0]]), np.zeros(2), np.array([[2.0], [5.0]]), np.ones(1)]
cache = [(np.array([[1.0, 2.0]]), np.array([[3.0, -1.0]])), (np.array([[3.0, 0.0]]), np.array([[7.0]]))]
scales, by_hand = [1.0], {"dW1": [[2, 0], [4, 0]], "db1": [2, 0], "dW2": [[3], [0]], "db2": [1]}
### BEGIN HIDDEN TESTS
scales += [float(np.random.default_rng(seed("scratch-backward-example")).integers(2, 100))]
### END HIDDEN TESTS
for scale in scales:  # gradients are proportional to d_logits
    for got, (name, grad) in zip(backward(params, cache, np.array([[scale]]), "relu"), by_hand.items(), strict=True):
        assert_allclose(got, scale * np.array(grad), err_msg=f"{name} for d_logits {scale}: see the example by hand")

# %% nbgrader={"grade": true, "grade_id": "scratch-backward-properties", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# Tested here: every gradient against PyTorch's autograd, five activations, with and without masks, arguments unchanged.
### BEGIN HIDDEN TESTS
rng, sizes = np.random.default_rng(seed("scratch-backward-properties")), [5, 7, 6, 4, 3]
params = [rng.normal(size=shape) for n, m in pairwise(sizes) for shape in ((n, m), m)]
x, labels, drawn = rng.normal(size=(8, 5)), rng.integers(0, 3, 8), [rng.integers(0, 2, (8, n)) * 1.5 for n in (7, 6, 4)]
for name, masks in [(n, m) for n in ("relu", "sigmoid", "tanh", "swish", "gelu") for m in ([], [drawn])]:
    t = [torch.tensor(p, requires_grad=True) for p in params]
    out = torch.tensor(x) @ t[0] + t[1]
    for i in (0, 1, 2):
        bent = getattr(functional, {"swish": "silu"}.get(name, name))(out)
        out = bent * (torch.tensor(drawn[i]) if masks else 1.0) @ t[2 * i + 2] + t[2 * i + 3]
    expected = torch.autograd.grad(functional.cross_entropy(out, torch.tensor(labels)), t)
    logits, cache = reference.forward(params, x, name, *masks)
    sent: list = [params, cache, reference.cross_entropy(logits, labels)[1], name, *masks]
    given, grads = deepcopy(sent), backward(*sent)
    assert_equal(sent, given, f"{name}: an argument of backward was changed; avoid *= on it")
    for i, (got, want) in enumerate(zip(grads, expected, strict=True)):  # short float64 sums stay far below 1e-9
        why = f"d{'Wb'[i % 2]}{i // 2 + 1}, {sizes}, {name}, {'with' if masks else 'without'} masks: slope at the z of the layer below? mask on the way back too? no second 1/N? bias summed over the batch?"
        assert_allclose(got, want.numpy(), rtol=1e-9, atol=1e-12, strict=True, err_msg=why)
### END HIDDEN TESTS

# %% [markdown]
# **Use it: is it a derivative?** The definition needs no calculus: nudge one parameter $\theta$ by $\pm\epsilon$ and watch the loss, $\bigl(L(\theta + \epsilon) - L(\theta - \epsilon)\bigr) / 2\epsilon$. Here for the steepest entry of each array, on real digits. (A free test on the way: a network that knows nothing gives each of ten classes about a tenth, so the first loss is near $\ln 10 \approx 2.30$.)
#
# **Diagnosis: does the signal get through?** Twenty layers of 100 neurons on standardised digits, before any training. Above: the size of what each layer receives, as the root of its power (RMS, root mean square). Below: the size of the gradient that arrives at each layer's bias, which is $\delta^{(l)}$ summed over the batch. A saturated tanh stays between $-1$ and $1$, so above nothing looks wrong with `large`; below it does. With ReLU, Xavier halves the power in *each* layer: twenty layers leave about $2^{-20}$ of it, an RMS of $10^{-3}$. Exact zeros are drawn at $10^{-27}$. (The weights' gradient $a^\top\delta$ can look flat in a sick network: $a$ fades on the way forward, $\delta$ on the way back, and the product is equally small everywhere.)

# %% nbgrader={"grade": false, "grade_id": "network-from-scratch-gradient-check", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
params, x, y, eps = init_params([64, 32, 16, 10], "xavier"), data.train_x[:64], data.train_y[:64], 1e-5
logits, cache = forward(params, x, "gelu")
print(f"first loss {cross_entropy(logits, y)[0]:.2f}; gradients by backward and by finite differences:")
for i, grad in enumerate(backward(params, cache, cross_entropy(logits, y)[1], "gelu")):
    j, losses = np.abs(grad).argmax(), []
    for nudge in (eps, -2 * eps, eps):  # up, down, and back to where it was
        params[i].flat[j] += nudge
        losses.append(cross_entropy(forward(params, x, "gelu")[0], y)[0])
    print(f"d{'Wb'[i % 2]}{i // 2 + 1} {grad.flat[j]:13.9f} {(losses[0] - losses[1]) / (2 * eps):13.9f}")
    assert_allclose((losses[0] - losses[1]) / (2 * eps), grad.flat[j], atol=1e-8)

# %% nbgrader={"grade": false, "grade_id": "network-from-scratch-plot-norms", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
x, sizes, ratio = (data.train_x[:256] - data.train_x.mean()) / data.train_x.std(), [64, *[100] * 20, 10], {}
figure, axes = plt.subplots(2, 2, figsize=(7.2, 3.7), sharex=True)
for name, column in zip(("tanh", "relu"), axes.T, strict=True):
    for scheme, style in zip(("zero", "small", "xavier", "he", "large"), (":", "-.", "-", "--", "-."), strict=True):
        logits, cache = forward(params := init_params(sizes, scheme), x, name)
        grads = backward(params, cache, cross_entropy(logits, data.train_y[:256])[1], name)
        sizes_by_layer = [np.sqrt((a**2).mean()) for a, _ in cache], [np.linalg.norm(g) for g in grads[1::2]]
        for ax, values in zip(column, sizes_by_layer, strict=True):
            ax.semilogy(range(1, 22), np.maximum(values, 1e-27), linestyle=style, label=scheme)  # zeros at 1e-27
        ratio[f"{name} {scheme}"] = float(values[0] / (values[-2] or np.inf))  # first against last hidden layer
print("gradient at layer 1 / at layer 20:", {key: f"{value:.1g}" for key, value in ratio.items()})
axes[0, 0].set(title="tanh: only small and zero lose the signal", ylabel="RMS of layer input")
axes[0, 1].set(title="ReLU: He keeps it, Xavier halves its power")
axes[1, 0].set(title="tanh, on the way back: large explodes", xlabel="layer", ylabel="norm of bias gradient")
axes[1, 1].set(title="ReLU, on the way back: He keeps it too", xlabel="layer")
axes[0, 0].legend(fontsize=7, loc=(0.12, 0.04))
plt.show()
assert 0.1 < ratio["tanh xavier"] < 10 and 0.1 < ratio["relu he"] < 10, "a good start keeps the gradient's size"
assert ratio["relu small"] < 1e-10 and ratio["relu large"] > 1e10, "a bad start loses it or lets it explode"

# %% [markdown]
# *Think:* an update of $10^{-15}$ to a weight of $0.01$ changes nothing, one of $10^{15}$ destroys it. Which curves need another start, and which would clipping (shortening every gradient that is too long, exercise 7) merely hide? Why can the zero network learn nothing but its last bias?
#
# ## 6. Four ways to walk downhill
#
# Let $g_t$ be the gradient of a parameter array $\theta$ at step $t = 1, 2, \dots$ and $\eta$ the learning rate (`lr`). Everything happens element by element, and all averages start at 0.
#
# - **SGD with momentum** $\mu$, a ball that keeps rolling: $v_t = \mu v_{t-1} + g_t$, then $\theta_t = \theta_{t-1} - \eta v_t$.
# - **RMSprop**, each coordinate in units of its own recent size: $s_t = \alpha s_{t-1} + (1 - \alpha) g_t^2$, then $\theta_t = \theta_{t-1} - \eta\, g_t / (\sqrt{s_t} + \epsilon)$.
# - **Adam**, both ideas: $m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t$ and $s_t = \beta_2 s_{t-1} + (1 - \beta_2) g_t^2$, with a correction for the start at 0, $\hat m_t = m_t / (1 - \beta_1^t)$ and $\hat s_t = s_t / (1 - \beta_2^t)$, then $\theta_t = \theta_{t-1} - \eta\, \hat m_t / (\sqrt{\hat s_t} + \epsilon)$.
# - **L2 or weight decay**, strength $\lambda$: the penalty $\frac\lambda2 \|\theta\|^2$ (L2) turns $g_t$ into $g_t + \lambda\theta_{t-1}$ before all else; that is Adam's `weight_decay`. **AdamW** leaves $g_t$ alone and shrinks the parameter instead: $\theta_{t-1}$ becomes $(1 - \eta\lambda)\,\theta_{t-1}$, then comes Adam's step. For plain SGD both are the same; Adam divides the penalty by the size of the gradient, so weights with large gradients hardly decay (Loshchilov and Hutter 2019, section 2).
#
# **By hand**, $\theta = 10$, $g = 2$, $\eta = 0.1$. SGD with $\mu = 0.9$: $v = 2$, $\theta = 9.8$; the same gradient again: $v = 3.8$, $\theta = 9.42$. RMSprop, $\alpha = 0.99$: $\sqrt{s} = \sqrt{0.04} = 0.2$, a step of $0.1 \cdot 10$, $\theta = 9$: ten times too far, for want of the correction. Adam: $\hat m = \sqrt{\hat s} = 2$, $\theta = 9.9$. Now $\lambda = 0.1$: with L2 the gradient is 3 and $\theta$ is $9.9$ again, **the decay has vanished** in the division. AdamW: $10 \cdot 0.99 - 0.1 = 9.8$.
#
# <details><summary>Hint 1</summary><code>state.get("velocity", 0.0)</code> reads what was remembered, or 0 at the first step. Return a new dict, or change the old one and return it.</details>
# <details><summary>Hint 2</summary>The correction needs t: keep it in the state; at the first step t = 1. AdamW is one line: call adam_step with the shrunk parameter and without weight_decay.</details>


# %% nbgrader={"grade": false, "grade_id": "scratch-optimizers", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
# Each step takes a parameter param, its gradient grad (float64 arrays of one shape, neither is changed), a state (at first {},
# then what the last step returned) and the learning rate lr. It returns (new parameter, new state): a float64 array of the
# same shape, and a dict with what you want to remember (numbers and arrays). Names and defaults are those of torch.optim.
def sgd_step(
    param: ndarray, grad: ndarray, state: dict, lr: float = 1e-3, momentum: float = 0.0
) -> tuple[ndarray, dict]:
    """One step of SGD with momentum."""
    ### BEGIN SOLUTION
    velocity = momentum * state.get("velocity", 0.0) + grad
    return param - lr * velocity, {"velocity": velocity}
    ### END SOLUTION


def rmsprop_step(
    param: ndarray, grad: ndarray, state: dict, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8
) -> tuple[ndarray, dict]:
    """One step of RMSprop; alpha is the share of the old average that is kept; eps is added to the root, not under it."""
    ### BEGIN SOLUTION
    square = alpha * state.get("square", 0.0) + (1.0 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}
    ### END SOLUTION


def adam_step(
    param: ndarray,
    grad: ndarray,
    state: dict,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[ndarray, dict]:
    """One step of Adam; weight_decay is an L2 penalty; betas is (beta_1, beta_2); eps is added to the root."""
    ### BEGIN SOLUTION
    grad = grad + weight_decay * param
    t = state.get("t", 0) + 1
    mean = betas[0] * state.get("mean", 0.0) + (1.0 - betas[0]) * grad
    square = betas[1] * state.get("square", 0.0) + (1.0 - betas[1]) * grad**2
    root = np.sqrt(square / (1.0 - betas[1] ** t))
    return param - lr * mean / (1.0 - betas[0] ** t) / (root + eps), {"t": t, "mean": mean, "square": square}
    ### END SOLUTION


def adamw_step(
    param: ndarray,
    grad: ndarray,
    state: dict,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> tuple[ndarray, dict]:
    """One step of AdamW: the parameter times 1 - lr * weight_decay, then Adam's step with the gradient as it is."""
    ### BEGIN SOLUTION
    return adam_step(param * (1.0 - lr * weight_decay), grad, state, lr, betas, eps)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scratch-optimizers-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
p, g = np.array([10.0]), np.array([2.0])
first, state = sgd_step(p, g, {}, lr=0.1, momentum=0.9)
got = [first, sgd_step(first, g, state, lr=0.1, momentum=0.9)[0], rmsprop_step(p, g, {}, lr=0.1)[0]]
got += [adam_step(p, g, {}, lr=0.1)[0]] + [f(p, g, {}, lr=0.1, weight_decay=0.1)[0] for f in (adam_step, adamw_step)]
names = ("SGD", "SGD, again", "RMSprop", "Adam", "Adam with L2", "AdamW")
for name, value, expected in zip(names, got, (9.8, 9.42, 9, 9.9, 9.9, 9.8), strict=True):
    why = f"{name}, param 10, grad 2: see the example by hand (or was param changed in place before?)"
    assert_allclose(value, [expected], rtol=1e-6, err_msg=why)  # eps moves RMSprop by 5e-8
### BEGIN HIDDEN TESTS
p, g = np.random.default_rng(seed("scratch-optimizers-example")).uniform(1, 2, size=(2, 3))
assert_allclose(sgd_step(p, g, {}, lr=0.5)[0], p - 0.5 * g, err_msg=f"sgd, param {p}, grad {g}, lr 0.5")
### END HIDDEN TESTS

# %% nbgrader={"grade": true, "grade_id": "scratch-optimizers-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: 30 steps of each against torch.optim, default and other settings, zero and tiny gradients, no side effects.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("scratch-optimizers-properties"))
start, scale = rng.normal(size=(2, 3)), [[0.0, 1e-8, 1.0], [1.0, 1.0, 1.0]]  # eps decides for tiny gradients
other = {"lr": 0.05, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.3}
why = "v = momentum * v + grad, without lr; then param - lr * v"
runs: list = [(sgd_step, torch.optim.SGD, {"lr": 0.1, "momentum": 0.8}, why)]
runs += [(rmsprop_step, torch.optim.RMSprop, {"lr": 0.1, "alpha": 0.8, "eps": 1e-3}, "no correction; root, then + eps")]
runs += [(adam_step, torch.optim.Adam, other, "t from 1? both averages corrected? L2 in the gradient? + eps last")]
runs += [(adamw_step, torch.optim.AdamW, other, "param * (1 - lr * weight_decay), then Adam, gradient as it is")]
for (step, library, more, why), full in [(run, full) for run in runs for full in (False, True)]:
    settings, t, param, state = more if full else {}, torch.tensor(start, requires_grad=True), start, {}
    optimizer = library([t], **settings)
    for number in range(1, 31):  # float64 in another order of operations stays far below 1e-9
        grad = rng.normal(size=(2, 3)) * scale
        if full and number > 15:  # a schedule: the velocity must not have the old lr in it
            settings = {**more, "lr": more["lr"] / 2}
            optimizer.param_groups[0]["lr"] = settings["lr"]
        t.grad, given = torch.tensor(grad), deepcopy([param, grad])
        optimizer.step()
        new, state = step(param, grad, state, **settings)
        where = f"{library.__name__}, {settings or 'default settings'}, step {number}"
        assert_equal([param, grad], given, f"{where}: an argument was changed; return param - ..., never param -= ...")
        assert_allclose(new, t.detach().numpy(), rtol=1e-9, atol=1e-11, strict=True, err_msg=f"{where}: {why}")
        param = new
### END HIDDEN TESTS

# %% [markdown]
# **Use it: L2 is not weight decay.** Weights of 1 get pure noise as their gradient, for some small, for some large. There is nothing to learn, so decay should shrink all of them alike. Which of the two does?

# %% nbgrader={"grade": false, "grade_id": "network-from-scratch-decay", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
noise = np.random.default_rng(0).normal(size=(500, 400)) * np.repeat([0.01, 0.1, 1.0, 10.0], 100)
for name, step in (("Adam with L2", adam_step), ("AdamW", adamw_step)):
    param, state = np.ones(400), {}
    for grad in noise:
        param, state = step(param, grad, state, lr=1e-3, weight_decay=1.0)
    left = param.reshape(4, 100).mean(axis=1)
    print(f"{name:>12}: mean weight left for noise of 0.01, 0.1, 1, 10: {left.round(2)}; pure decay {0.999**500:.2f}")
    assert (np.ptp(left) < 0.1) == (name == "AdamW"), "AdamW should shrink all weights alike, Adam with L2 should not"

# %% [markdown]
# ## 7. Staying honest: dropout, clipping, early stopping
#
# - **Dropout** (Srivastava et al. 2014): in training, each activation of each image becomes 0 with probability $p$, so that no neuron can rely on another one. The survivors are multiplied by $1/(1 - p)$, which keeps the mean: $p \cdot 0 + (1 - p) \cdot \frac1{1 - p} = 1$. At test time nothing is dropped or rescaled.
# - **Clipping** (Pascanu et al. 2013): let $\|g\| = \sqrt{\sum_i \|g_i\|^2}$ be the norm of all gradient arrays $g_i$ *together*. If it is above $c$ (`max_norm`), multiply each array by $c / \|g\|$: a shorter step in the same direction.
# - **Early stopping**: watch the loss on images that you do not train on. When it has not beaten its best for `patience` epochs (one **epoch** is one pass over all training images), stop and return to the best epoch.
#
# **By hand.** Gradients $(3)$ and $(4)$, $c = 1$: the norm is 5, the result $(0.6)$ and $(0.8)$; clipping each alone would give $(1)$ and $(1)$, another direction. Validation losses $0.9, 0.7, 0.8, 0.75$: the best epoch is number 1 (we count from 0), two epochs ago; with patience 2 stop, with patience 3 go on.
#
# <details><summary>Hint 1</summary>A uniform number from [0, 1) is below p with probability p: draw, compare, divide. For clipping: when must nothing be scaled? Small gradients must not be blown up.</details>
# <details><summary>Hint 2</summary>The last epoch is number <code>len(valid_losses) - 1</code>. How many epochs have passed since <code>np.argmin(valid_losses)</code>?</details>


# %% nbgrader={"grade": false, "grade_id": "scratch-regularisation", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def dropout_mask(shape: tuple[int, ...], p: float, seed: int) -> ndarray:
    """Draw a dropout mask: a float64 array of this shape, each entry on its own 0 with probability p, else 1 / (1 - p).

    p = 0 gives ones. The same seed gives the same mask, another seed another one.

    Raises:
        ValueError: unless 0 <= p < 1.
    """
    ### BEGIN SOLUTION
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    return (np.random.default_rng(seed).random(shape) >= p) / (1.0 - p)
    ### END SOLUTION


def clip_by_global_norm(grads: list[ndarray], max_norm: float) -> tuple[list[ndarray], float]:
    """Scale the arrays together so that their global norm is at most max_norm (above 0, may be infinite).

    Returns:
        (clipped, norm): float64 arrays, equal to grads where the norm is at most max_norm (zeros stay zeros), and the
        global norm before clipping. The arguments are not changed.

    Example:
        clip_by_global_norm([np.array([3.0]), np.array([4.0])], 1.0)  ->  ([[0.6], [0.8]], 5.0)
    """
    ### BEGIN SOLUTION
    norm = float(np.sqrt(sum((g**2).sum() for g in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [g * scale for g in grads], norm
    ### END SOLUTION


def early_stopping(valid_losses: list[float], patience: int) -> tuple[bool, int]:
    """Decide after an epoch whether to stop.

    Args:
        valid_losses: the validation loss after each epoch so far, at least one.
        patience: stop when this many epochs or more have passed since the best one.

    Returns:
        (stop, best): whether to stop, and the best epoch, counted from 0. Of equal losses the first is the best.

    Example:
        early_stopping([0.9, 0.7, 0.8, 0.75], patience=2)  ->  (True, 1)
    """
    ### BEGIN SOLUTION
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best >= patience, best
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "scratch-regularisation-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
mask = np.asarray(dropout_mask((4, 5), 0.5, seed=1))
assert mask.shape == (4, 5) and set(mask.flat) == {0, 2}, f"for p = 0.5 a mask (4, 5) of 0 and 2 expected, got {mask}"
clipped, norm = clip_by_global_norm([np.array([3.0]), np.array([4.0])], 1.0)
assert_allclose(
    [norm, *np.ravel(clipped)],
    [5, 0.6, 0.8],
    rtol=1e-5,
    err_msg="norm of (3), (4), clipped to norm 1: one factor for all",
)
curves = [([0.9, 0.7, 0.8, 0.75], 2, True, 1), ([0.9, 0.7, 0.8, 0.75], 3, False, 1)]
### BEGIN HIDDEN TESTS
n = int(np.random.default_rng(seed("scratch-regularisation-example")).integers(3, 9))
curves += [(down := [*range(n, 0, -1)], 1, False, n - 1), ([*down, 9, 1], 2, True, n - 1), ([5, 5, 4, 4], 1, True, 2)]
curves += [([1, 0.9, 0.95, 0.8, 0.85], 2, False, 3), ([0.5, 0.6, 0.7, 0.8], 2, True, 0), ([0.5, 0.495], 1, False, 1)]
### END HIDDEN TESTS
for losses, patience, *expected in curves:
    got, why = [*early_stopping(losses, patience)], "count the epochs since the best one; any lower loss is a new best"
    assert got == expected, f"losses {losses}, patience {patience}: (stop, best) {expected} expected, got {got}: {why}"

# %% nbgrader={"grade": true, "grade_id": "scratch-regularisation-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: share, size and independence of dropped entries, seeds, limits of p; clipping needed or not, zeros; arguments unchanged.
### BEGIN HIDDEN TESTS
draw = seed("scratch-regularisation-properties") % 10_000
for p in (0.0, 0.3, 0.8):
    mask, where = np.asarray(dropout_mask((200, 100), p, draw)), f"dropout_mask((200, 100), {p})"
    zeros, values = mask == 0, np.array([0, 1 / (1 - p)] if p else [1.0])
    assert_allclose(np.unique(mask), values, rtol=1e-9, strict=True, err_msg=f"{where}: entries are 0 and 1 / (1 - p)")
    # 20,000 draws know the share to 0.0035, the 100 draws of a row to 0.046: the limits are six times that
    assert zeros.shape == (200, 100) and abs(zeros.mean() - p) < 0.02, f"{where}: share of zeros {zeros.mean():.3f}"
    assert max(np.abs(zeros.mean(axis=a) - p).max() for a in (0, 1)) < 0.28, f"{where}: whole rows or columns drop out"
    assert_equal(mask, dropout_mask((200, 100), p, draw), "the same seed should give the same mask")
assert not np.array_equal(mask, dropout_mask((200, 100), p, draw + 1)), "another seed should give another mask"
for shape in ((2, 5, 5), (50,)):
    got = np.shape(dropout_mask(shape, 0.5, draw))
    assert got == shape, f"dropout_mask({shape}, 0.5) has shape {got}; a shape may have any number of axes"
# 30 masks of 50 entries: their numbers of zeros spread by 3.5, and by chance they take only three values once in 10**13
counts = {float((np.asarray(dropout_mask((50,), 0.5, i)) == 0).sum()) for i in range(30)}
assert len(counts) > 3, f"every mask has {counts} zeros of 50: each entry should be drawn on its own"
for p in (-0.1, 1.0, 1.5):
    with assert_raises(ValueError, msg=f"p = {p} should raise ValueError"):
        dropout_mask((2, 3), p, draw)
given = [*np.random.default_rng(draw).normal(size=(2, 3, 4)), np.zeros(2)]
norm = float(np.linalg.norm(np.concatenate([g.ravel() for g in given])))
for share in (0.1, 0.9, 2.0, np.inf):
    clipped, got = clip_by_global_norm(grads := deepcopy(given), share * norm)
    assert_equal(grads, given, "clip_by_global_norm changed its argument; scale into new arrays")
    why = f"max_norm is {share} times the norm: all arrays times {min(1.0, share)}, together; last, the norm before"
    for scaled, right in zip([*clipped, got], [*(g * min(1.0, share) for g in given), norm], strict=True):
        assert_allclose(np.asarray(scaled), right, rtol=1e-5, err_msg=why)  # torch divides by norm + 1e-6
assert_equal(clip_by_global_norm([np.zeros(3)], 1.0), ([np.zeros(3)], 0.0), "zeros stay zeros, with norm 0")
### END HIDDEN TESTS

# %% [markdown]
# ## 8. Experiments: your network learns to read
#
# All that is left is the loop: shuffle, cut into batches, forward, loss, backward, clip, step; after each epoch look at the validation loss, and keep the best parameters. Dropout acts in training only.
#
# - **Which optimizer?** With momentum 0.9 repeated gradients add up to ten times the step ($1 + 0.9 + 0.81 + \dots = 10$), so before you praise momentum compare it with plain SGD at ten times the rate.
# - **Overfitting.** 200 images, a fifth of them with a random label: enough neurons learn even the wrong labels by heart. The dots mark the best of all 150 epochs, to which early stopping returns if its patience lasts.
# - **The whole thing.** All training images, two hidden layers, GELU, AdamW, dropout, clipping, early stopping. Only here, and only once, the test images are used.


# %% nbgrader={"grade": false, "grade_id": "network-from-scratch-fit", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
def fit(x, y, step, hidden, activation="relu", dropout=0.0, max_norm=np.inf, epochs=30, patience=10**6):
    """Train on x, y with one of the steps above; return the best epoch's parameters, the loss curves, the best epoch."""
    rng, params = np.random.default_rng(0), init_params([64, *hidden, 10], "he")
    best, states, curves = params, [{} for _ in params], {"training": [], "validation": []}
    for epoch in range(epochs):
        for rows in np.array_split(rng.permutation(len(x)), len(x) // 50):
            masks = [dropout_mask((len(rows), n), dropout, int(rng.integers(2**31))) for n in hidden]
            logits, cache = forward(params, x[rows], activation, masks)
            grads = backward(params, cache, cross_entropy(logits, y[rows])[1], activation, masks)
            triples = zip(params, clip_by_global_norm(grads, max_norm)[0], states, strict=True)
            params, states = map(list, zip(*(step(*triple) for triple in triples), strict=True))
        for part, images, labels in (("training", x, y), ("validation", data.valid_x, data.valid_y)):
            curves[part].append(cross_entropy(forward(params, images, activation)[0], labels)[0])
        stop, best_epoch = early_stopping(curves["validation"], patience)
        best = params if best_epoch == epoch else best
        if stop:
            break
    return best, curves, best_epoch


choices: list = [(sgd_step, {"lr": 0.1}), (sgd_step, {"lr": 1.0}), (sgd_step, {"lr": 0.1, "momentum": 0.9})]
choices += [(rmsprop_step, {"lr": 0.003}), (adam_step, {"lr": 0.01}), (adamw_step, {"lr": 0.01})]
for (step, options), style in zip(choices, ("-", ":", "-.", "--", "-", ":"), strict=True):
    name = f"{step.__name__}, " + ", ".join(f"{key} {value}" for key, value in options.items())
    losses = fit(data.train_x, data.train_y, partial(step, **options), [WIDTH])[1]["training"]
    plt.semilogy(range(1, 31), losses, linestyle=style, label=name)
    print(f"{name:>30}: training loss {losses[4]:.3f} after 5 epochs, {losses[-1]:.4f} after 30")
plt.gca().set(title="The learning rate matters as much as the rule", xlabel="epoch", ylabel="training loss")
plt.legend(loc="lower left", fontsize=9)
plt.show()

# %% nbgrader={"grade": false, "grade_id": "network-from-scratch-overfit", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
rng = np.random.default_rng(0)
lowest: dict[str, float] = {}
x, y, wrong = data.train_x[:200], data.train_y[:200].copy(), rng.random(200) < 0.2
y[wrong] = rng.integers(0, 10, size=wrong.sum())
for name, decay, dropout, colour in [("plain", 0, 0, "C0"), ("decay 1", 1, 0, "C1"), ("dropout 0.5", 0, 0.5, "C2")]:
    step = partial(adamw_step, lr=3e-3, weight_decay=decay)
    _, curves, best = fit(x, y, step, [2 * WIDTH], dropout=dropout, epochs=150)
    plt.plot(curves["training"], ":", color=colour)
    plt.plot(curves["validation"], "-o", markevery=[best], color=colour, label=name)
    lowest[name], last = curves["validation"][best], curves["validation"][-1]
    print(f"{name:>12}: validation loss {lowest[name]:.3f} at best (epoch {best}), {last:.3f} at the end")
plt.gca().set(title="Dropout reaches the lowest validation loss", xlabel="epoch", ylabel="loss", ylim=(0, 1.2))
plt.plot([], [], "k-", label="validation (dot: best epoch)")
plt.plot([], [], "k:", label="training")
plt.legend()
plt.show()
assert min(lowest.values()) == lowest["dropout 0.5"], "with the seeds of this cell dropout should win"

# %% nbgrader={"grade": false, "grade_id": "network-from-scratch-final", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
step = partial(adamw_step, lr=3e-3, weight_decay=0.1)
params, curves, best = fit(data.train_x, data.train_y, step, [WIDTH, WIDTH // 2], "gelu", 0.2, 1.0, 100, 10)
p = softmax(forward(params, data.test_x, "gelu")[0])
missed, accuracy = np.flatnonzero(p.argmax(axis=1) != data.test_y), (p.argmax(axis=1) == data.test_y).mean()
print(f"{accuracy:.1%} of {len(p)} test images read correctly; epochs: {len(curves['training'])}, best: {best}")
assert accuracy >= 0.96, "expected at least 96 %: which piece differs from the reference?"
figure, axes = plt.subplots(1, 6, figsize=(8, 1.9), subplot_kw={"xticks": [], "yticks": []})
figure.suptitle("Missed test images: some would puzzle you too")
for ax, i in zip(axes, missed, strict=False):
    ax.imshow(data.test_x[i].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{data.test_y[i]} read as {p[i].argmax()}\n({p[i].max():.0%} sure)", fontsize=9)
plt.show()

# %% [markdown]
# ## Recap
#
# A network is matrices with bends between them; backpropagation is the chain rule with a cache, and costs about two forward passes however many parameters there are. Whether gradients arrive at all is decided by the start: Xavier for tanh (at this depth He does as well), He for ReLU. Adam divides by the size of the gradient, so an L2 penalty inside it fades, and AdamW decays the weights outside. On images that were not trained on, dropout lowers the best loss; decay hardly lowers it, but keeps it from rising again; early stopping returns to the best epoch.
#
# **What breaks at scale.** Float64 becomes BF16 or FP16: $\epsilon$ and the order of sums start to matter, and with FP16's short range the loss must be scaled (the lab on mixed precision). The cache outgrows the memory, so activations are computed again on the way back. Adam's two averages take twice the memory of the parameters. Initialisation alone no longer carries a hundred layers: residual paths and layer normalisation do.
#
# **Read on.** Rumelhart, Hinton, Williams 1986, *Learning representations by back-propagating errors*. Glorot and Bengio 2010 (initialisation: section 4.2.1). He et al. 2015 (section 2.2). Hendrycks and Gimpel 2016, *Gaussian Error Linear Units* (section 2). Kingma and Ba 2015, *Adam* (algorithm 1; the bias correction: section 3). Loshchilov and Hutter 2019, *Decoupled Weight Decay Regularization* (section 2). Srivastava et al. 2014, *Dropout*. Pascanu, Mikolov, Bengio 2013 (clipping: section 3.2).
#
# **Stretch goals.** (1) Write `fit` yourself, with a learning rate that warms up and then falls along a cosine. (2) Add layer normalisation with its backward pass, and draw the picture of norms again with the small start. (3) Make the twenty-layer ReLU network train to 90 %, first with He, then with Xavier, then with residual connections.
