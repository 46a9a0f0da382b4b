"""The solved exercises of 01_neural_networks/network_from_scratch.

Made from source/01_neural_networks/network_from_scratch.py by `llmlabs build`: edit that file, not this one.
"""

from itertools import pairwise

import numpy as np
from numpy import ndarray
from scipy.special import erf


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


def softmax(logits: ndarray) -> ndarray:
    """Return probabilities over the last axis: float64, the shape (..., C) of the logits, which are not changed.

    Logits of 10,000 must not overflow.
    """
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


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
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -float(log_p[rows, labels].mean()), (np.exp(log_p) - np.eye(logits.shape[1])[labels]) / len(labels)


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
    if prediction.shape != target.shape:
        raise ValueError(f"prediction and target must have one shape, got {prediction.shape} and {target.shape}")
    error = prediction - target
    return float((error**2).mean()), 2.0 * error / error.size


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
    rng = np.random.default_rng(seed)
    params = []
    for n_in, n_out in pairwise(sizes):
        deviations = {"xavier": np.sqrt(2.0 / (n_in + n_out)), "he": np.sqrt(2.0 / n_in)}
        deviations |= {"zero": 0.0, "small": 0.01, "large": 1.0}
        if scheme not in deviations:
            raise ValueError(f"unknown scheme {scheme!r}: use one of {', '.join(deviations)}")
        params += [rng.normal(0.0, deviations[scheme], size=(n_in, n_out)), np.zeros(n_out)]
    return params


def forward(
    params: list[ndarray], x: ndarray, activation: str, masks: list[ndarray] | None = None
) -> tuple[ndarray, list[tuple[ndarray, ndarray]]]:
    """Run a multi-layer network on a batch. Use activate(name, z), which returns (value, slope).

    Args:
        params: [W1, b1, W2, b2, ...] as init_params makes them, one layer or more.
        x: float64 of shape (N, n_0).
        activation: the name of the activation that follows every layer but the last.
        masks: for each hidden layer an array of shape (N, n_l), multiplied with its activation; None: no masks.

    Returns:
        (logits, cache): float64 of shape (N, n_L), and for each layer, first to last, one pair (what the layer received,
        its z); what a layer received includes the mask. The arguments are not changed.
    """
    received, cache = x, []
    layers = len(params) // 2
    for i in range(layers):
        z = received @ params[2 * i] + params[2 * i + 1]
        cache.append((received, z))
        if i < layers - 1:
            received = activate(activation, z)[0]
            if masks is not None:
                received = received * masks[i]
    return z, cache


def backward(
    params: list[ndarray],
    cache: list[tuple[ndarray, ndarray]],
    d_logits: ndarray,
    activation: str,
    masks: list[ndarray] | None = None,
) -> list[ndarray]:
    """Return the gradients of the loss with respect to all parameters. Use activate(name, z).

    Args:
        params, activation, masks: what `forward` was given.
        cache: what `forward` returned, one pair (what the layer received, its z) for each layer.
        d_logits: float64 of shape (N, n_L), the gradient with respect to the logits. If the loss is a mean over the batch,
            its 1/N is already in here: do not divide again.

    Returns:
        [dW1, db1, dW2, db2, ...]: float64, with the shapes of params. The arguments are not changed.
    """
    grads: list[ndarray] = []
    delta = d_logits
    for i in reversed(range(len(cache))):
        grads = [cache[i][0].T @ delta, delta.sum(axis=0), *grads]
        if i > 0:
            delta = delta @ params[2 * i].T * activate(activation, cache[i - 1][1])[1]
            if masks is not None:
                delta = delta * masks[i - 1]
    return grads


# Each step takes a parameter param, its gradient grad (float64 arrays of one shape, neither is changed), a state (at first {},
# then what the last step returned) and the learning rate lr. It returns (new parameter, new state): a float64 array of the
# same shape, and a dict with what you want to remember (numbers and arrays). Names and defaults are those of torch.optim.
def sgd_step(
    param: ndarray, grad: ndarray, state: dict, lr: float = 1e-3, momentum: float = 0.0
) -> tuple[ndarray, dict]:
    """One step of SGD with momentum."""
    velocity = momentum * state.get("velocity", 0.0) + grad
    return param - lr * velocity, {"velocity": velocity}


def rmsprop_step(
    param: ndarray, grad: ndarray, state: dict, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8
) -> tuple[ndarray, dict]:
    """One step of RMSprop; alpha is the share of the old average that is kept; eps is added to the root, not under it."""
    square = alpha * state.get("square", 0.0) + (1.0 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


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
    grad = grad + weight_decay * param
    t = state.get("t", 0) + 1
    mean = betas[0] * state.get("mean", 0.0) + (1.0 - betas[0]) * grad
    square = betas[1] * state.get("square", 0.0) + (1.0 - betas[1]) * grad**2
    root = np.sqrt(square / (1.0 - betas[1] ** t))
    return param - lr * mean / (1.0 - betas[0] ** t) / (root + eps), {"t": t, "mean": mean, "square": square}


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
    return adam_step(param * (1.0 - lr * weight_decay), grad, state, lr, betas, eps)


def dropout_mask(shape: tuple[int, ...], p: float, seed: int) -> ndarray:
    """Draw a dropout mask: a float64 array of this shape, each entry on its own 0 with probability p, else 1 / (1 - p).

    p = 0 gives ones. The same seed gives the same mask, another seed another one.

    Raises:
        ValueError: unless 0 <= p < 1.
    """
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    return (np.random.default_rng(seed).random(shape) >= p) / (1.0 - p)


def clip_by_global_norm(grads: list[ndarray], max_norm: float) -> tuple[list[ndarray], float]:
    """Scale the arrays together so that their global norm is at most max_norm (above 0, may be infinite).

    Returns:
        (clipped, norm): float64 arrays, equal to grads where the norm is at most max_norm (zeros stay zeros), and the
        global norm before clipping. The arguments are not changed.

    Example:
        clip_by_global_norm([np.array([3.0]), np.array([4.0])], 1.0)  ->  ([[0.6], [0.8]], 5.0)
    """
    norm = float(np.sqrt(sum((g**2).sum() for g in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [g * scale for g in grads], norm


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
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best >= patience, best
