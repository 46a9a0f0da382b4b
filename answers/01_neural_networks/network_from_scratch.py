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
# Known answers to the exercises of `network_from_scratch`: wrong ones that a test must catch, and other right ones. `llmlabs verify` grades them.

# %%
# the imports of the lab, for editors and linters; every answer below defines the whole solution cell anew
from itertools import pairwise

import numpy as np
import torch
from scipy.special import erf
from torch.nn import functional

from llmlabs.lab.reference import network_from_scratch as reference


# %% exercise="scratch-activations" kind="wrong" name="e^z / (1 + e^z), which overflows" fails="scratch-activations-properties" says="no e^1000?"
def activate(name, z):
    if name == "relu":
        return np.maximum(z, 0.0), (z > 0).astype(float)
    if name == "tanh":
        return np.tanh(z), 1 - np.tanh(z) ** 2
    if name == "gelu":
        big_phi = 0.5 * (1 + erf(z / np.sqrt(2)))
        small_phi = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return z * big_phi, big_phi + z * small_phi
    s = np.exp(z) / (1 + np.exp(z))
    if name == "sigmoid":
        return s, s * (1 - s)
    if name == "swish":
        return z * s, s + z * s * (1 - s)
    raise ValueError(f"unknown activation {name!r}")


# %% exercise="scratch-activations" kind="wrong" name="the slope taken at the activation, not at z" fails="scratch-activations-example" says="value and slope of sigmoid at z = 0"
def activate(name, z):
    if name == "relu":
        return np.maximum(z, 0.0), (z > 0).astype(float)
    if name == "tanh":
        return np.tanh(z), 1 - np.tanh(z) ** 2
    if name == "gelu":
        big_phi = 0.5 * (1 + erf(z / np.sqrt(2)))
        small_phi = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return z * big_phi, big_phi + z * small_phi
    s = np.exp(-np.logaddexp(0, -z))
    if name == "sigmoid":
        return s, np.exp(-np.logaddexp(0, -s)) * (1 - np.exp(-np.logaddexp(0, -s)))
    if name == "swish":
        return z * s, s + z * s * (1 - s)
    raise ValueError(f"unknown activation {name!r}")


# %% exercise="scratch-activations" kind="wrong" name="relu with slope 1 at z = 0" fails="scratch-activations-properties" says="relu slope 0 at 0?"
def activate(name, z):
    if name == "relu":
        return np.maximum(z, 0.0), (z >= 0).astype(float)
    if name == "tanh":
        return np.tanh(z), 1 - np.tanh(z) ** 2
    if name == "gelu":
        big_phi = 0.5 * (1 + erf(z / np.sqrt(2)))
        small_phi = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return z * big_phi, big_phi + z * small_phi
    s = np.exp(-np.logaddexp(0, -z))
    if name == "sigmoid":
        return s, s * (1 - s)
    if name == "swish":
        return z * s, s + z * s * (1 - s)
    raise ValueError(f"unknown activation {name!r}")


# %% exercise="scratch-activations" kind="wrong" name="the tanh approximation of gelu" fails="scratch-activations-properties" says="exact GELU?"
def activate(name, z):
    if name == "relu":
        return np.maximum(z, 0.0), (z > 0).astype(float)
    if name == "tanh":
        return np.tanh(z), 1 - np.tanh(z) ** 2
    if name == "gelu":
        big_phi = 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
        small_phi = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return z * big_phi, big_phi + z * small_phi
    s = np.exp(-np.logaddexp(0, -z))
    if name == "sigmoid":
        return s, s * (1 - s)
    if name == "swish":
        return z * s, s + z * s * (1 - s)
    raise ValueError(f"unknown activation {name!r}")


# %% exercise="scratch-activations" kind="wrong" name="half of the product rule for swish" fails="scratch-activations-properties" says="both terms of the product rule?"
def activate(name, z):
    if name == "relu":
        return np.maximum(z, 0.0), (z > 0).astype(float)
    if name == "tanh":
        return np.tanh(z), 1 - np.tanh(z) ** 2
    if name == "gelu":
        big_phi = 0.5 * (1 + erf(z / np.sqrt(2)))
        small_phi = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return z * big_phi, big_phi + z * small_phi
    s = np.exp(-np.logaddexp(0, -z))
    if name == "sigmoid":
        return s, s * (1 - s)
    if name == "swish":
        return z * s, s
    raise ValueError(f"unknown activation {name!r}")


# %% exercise="scratch-activations" kind="wrong" name="the slope of tanh without the square" fails="scratch-activations-example" says="value and slope of tanh at z"
def activate(name, z):
    if name == "relu":
        return np.maximum(z, 0.0), (z > 0).astype(float)
    if name == "tanh":
        return np.tanh(z), 1 - np.tanh(z)
    if name == "gelu":
        big_phi = 0.5 * (1 + erf(z / np.sqrt(2)))
        small_phi = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return z * big_phi, big_phi + z * small_phi
    s = np.exp(-np.logaddexp(0, -z))
    if name == "sigmoid":
        return s, s * (1 - s)
    if name == "swish":
        return z * s, s + z * s * (1 - s)
    raise ValueError(f"unknown activation {name!r}")


# %% exercise="scratch-activations" kind="wrong" name="relu written over z" fails="scratch-activations-properties" says="relu changed z: return new arrays"
def activate(name, z):
    if name == "relu":
        return np.maximum(z, 0.0, out=z), (z > 0).astype(float)
    if name == "tanh":
        return np.tanh(z), 1 - np.tanh(z) ** 2
    if name == "gelu":
        big_phi = 0.5 * (1 + erf(z / np.sqrt(2)))
        small_phi = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return z * big_phi, big_phi + z * small_phi
    s = np.exp(-np.logaddexp(0, -z))
    if name == "sigmoid":
        return s, s * (1 - s)
    if name == "swish":
        return z * s, s + z * s * (1 - s)
    raise ValueError(f"unknown activation {name!r}")


# %% exercise="scratch-activations" kind="wrong" name="clips z to 30 before everything" fails="scratch-activations-properties" says="value of relu for z"
def activate(name, z):
    z = np.clip(z, -30, 30)
    if name == "relu":
        return np.maximum(z, 0.0), (z > 0).astype(float)
    if name == "tanh":
        return np.tanh(z), 1 - np.tanh(z) ** 2
    if name == "gelu":
        big_phi = 0.5 * (1 + erf(z / np.sqrt(2)))
        small_phi = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return z * big_phi, big_phi + z * small_phi
    s = np.exp(-np.logaddexp(0, -z))
    if name == "sigmoid":
        return s, s * (1 - s)
    if name == "swish":
        return z * s, s + z * s * (1 - s)
    raise ValueError(f"unknown activation {name!r}")


# %% exercise="scratch-activations" kind="wrong" name="relu's slope as booleans" fails="scratch-activations-properties" says="dtypes bool, float64 mismatch"
def activate(name, z):
    if name == "relu":
        return np.maximum(z, 0.0), z > 0
    if name == "tanh":
        return np.tanh(z), 1 - np.tanh(z) ** 2
    if name == "gelu":
        big_phi = 0.5 * (1 + erf(z / np.sqrt(2)))
        small_phi = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return z * big_phi, big_phi + z * small_phi
    s = np.exp(-np.logaddexp(0, -z))
    if name == "sigmoid":
        return s, s * (1 - s)
    if name == "swish":
        return z * s, s + z * s * (1 - s)
    raise ValueError(f"unknown activation {name!r}")


# %% exercise="scratch-activations" kind="wrong" name="any other name taken for swish" fails="scratch-activations-properties" says="the unknown name 'step' should raise ValueError"
def activate(name, z):
    if name == "relu":
        return np.maximum(z, 0.0), (z > 0).astype(float)
    if name == "tanh":
        return np.tanh(z), 1 - np.tanh(z) ** 2
    if name == "gelu":
        big_phi = 0.5 * (1 + erf(z / np.sqrt(2)))
        small_phi = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return z * big_phi, big_phi + z * small_phi
    s = np.exp(-np.logaddexp(0, -z))
    if name == "sigmoid":
        return s, s * (1 - s)
    return z * s, s + z * s * (1 - s)


# %% exercise="scratch-activations" kind="wrong" name="the answers of the worked example, whatever z is" fails="scratch-activations-example" says="value and slope of relu at z"
def activate(name, z):
    value, slope = {"relu": (0, 0), "sigmoid": (0.5, 0.25), "tanh": (0, 1), "swish": (0, 0.5), "gelu": (0, 0.5)}[name]
    return np.full(z.shape, float(value)), np.full(z.shape, slope)


# %% exercise="scratch-activations" kind="right" name="loops over elements with the math module and prints"
def activate(name, z):
    import math
    import sys

    def sigmoid(x):
        return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))

    value, slope = np.zeros(z.shape), np.zeros(z.shape)
    for index in np.ndindex(*z.shape):
        x = float(z[index])
        if name == "relu":
            value[index], slope[index] = (x, 1) if x > 0 else (0, 0)
        elif name == "sigmoid":
            value[index], slope[index] = sigmoid(x), sigmoid(x) * sigmoid(-x)
        elif name == "tanh":
            value[index], slope[index] = math.tanh(x), 1 - math.tanh(x) ** 2
        elif name == "swish":
            value[index], slope[index] = x * sigmoid(x), sigmoid(x) + x * sigmoid(x) * sigmoid(-x)
        elif name == "gelu":
            phi, bell = math.erfc(-x / math.sqrt(2)) / 2, math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
            value[index], slope[index] = x * phi, phi + x * bell
        else:
            raise ValueError(name)
        print(f"{name} at {index}: {value[index]:.3f}")
    print(f"{z.size} elements done", file=sys.stderr)
    return value, slope


# %% exercise="scratch-activations" kind="right" name="1 / (1 + e^-z), which warns of an overflow that does no harm"
def activate(name, z):
    if name == "relu":
        return z * (z > 0), np.where(z > 0, 1.0, 0.0)
    if name == "tanh":
        return np.tanh(z), 1 - np.tanh(z) ** 2
    if name == "gelu":
        big_phi = 0.5 * (1 + erf(z / np.sqrt(2)))
        small_phi = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return z * big_phi, big_phi + z * small_phi
    s = 1 / (1 + np.exp(-z))
    if name == "sigmoid":
        return s, s * (1 - s)
    if name == "swish":
        return z * s, s + z * s * (1 - s)
    raise ValueError(f"unknown activation {name!r}")


# %% exercise="scratch-activations" kind="right" name="the sigmoid as a tanh, the slopes from other formulas"
def activate(name, z):
    if name == "relu":
        return np.maximum(z, 0.0), (z > 0).astype(float)
    if name == "tanh":
        return 2 / (1 + np.exp(-2 * np.clip(z, -300, 300))) - 1, (1 - np.tanh(z)) * (1 + np.tanh(z))
    if name == "gelu":
        big_phi = 0.5 * (1 + erf(z / np.sqrt(2)))
        small_phi = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return z * big_phi, big_phi + z * small_phi
    s = 0.5 * (1 + np.tanh(z / 2))
    if name == "sigmoid":
        return s, s * (1 - s)
    if name == "swish":
        return z * s, z * s + s * (1 - z * s)
    raise ValueError(f"unknown activation {name!r}")


# %% exercise="scratch-activations" kind="right" name="slopes from PyTorch's autograd"
def activate(name, z):
    t = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    bend = {
        "relu": torch.relu,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "swish": functional.silu,
        "gelu": functional.gelu,
    }
    if name not in bend:
        raise ValueError(f"no activation is called {name}")
    value = bend[name](t)
    value.sum().backward()
    return value.detach().numpy(), t.grad.numpy()


# %% exercise="scratch-losses" kind="wrong" name="softmax without subtracting the maximum" fails="scratch-losses-properties" says="the maximum subtracted?"
def softmax(logits):
    e = np.exp(logits)
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), labels] -= 1
    return float(-log_p[np.arange(n), labels].mean()), gradient / n


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError(f"prediction of shape {prediction.shape}, target of shape {target.shape}")
    difference = prediction - target
    return float((difference**2).mean()), 2 * difference / difference.size


# %% exercise="scratch-losses" kind="wrong" name="softmax down the columns" fails="scratch-losses-example" says="every row adds up to one"
def softmax(logits):
    e = np.exp(logits - logits.max(axis=0, keepdims=True))
    return e / e.sum(axis=0, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), labels] -= 1
    return float(-log_p[np.arange(n), labels].mean()), gradient / n


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError(f"prediction of shape {prediction.shape}, target of shape {target.shape}")
    difference = prediction - target
    return float((difference**2).mean()), 2 * difference / difference.size


# %% exercise="scratch-losses" kind="wrong" name="softmax subtracts the maximum in place" fails="scratch-losses-properties" says="were changed: subtract into a new array"
def softmax(logits):
    logits -= logits.max(axis=-1, keepdims=True)
    e = np.exp(logits)
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), labels] -= 1
    return float(-log_p[np.arange(n), labels].mean()), gradient / n


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError(f"prediction of shape {prediction.shape}, target of shape {target.shape}")
    difference = prediction - target
    return float((difference**2).mean()), 2 * difference / difference.size


# %% exercise="scratch-losses" kind="wrong" name="the sum of the surprises, not their mean" fails="scratch-losses-properties" says="a mean, not a sum?"
def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), labels] -= 1
    return float(-log_p[np.arange(n), labels].sum()), gradient / n


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError(f"prediction of shape {prediction.shape}, target of shape {target.shape}")
    difference = prediction - target
    return float((difference**2).mean()), 2 * difference / difference.size


# %% exercise="scratch-losses" kind="wrong" name="the mean over classes too" fails="scratch-losses-example" says="logits (0, ln 3), label 0: loss"
def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), labels] -= 1
    return float(-log_p[np.arange(n), labels].sum() / logits.size), gradient / logits.size


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError(f"prediction of shape {prediction.shape}, target of shape {target.shape}")
    difference = prediction - target
    return float((difference**2).mean()), 2 * difference / difference.size


# %% exercise="scratch-losses" kind="wrong" name="the gradient not divided by N" fails="scratch-losses-properties" says="the gradient divided too?"
def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), labels] -= 1
    return float(-log_p[np.arange(n), labels].mean()), gradient


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError(f"prediction of shape {prediction.shape}, target of shape {target.shape}")
    difference = prediction - target
    return float((difference**2).mean()), 2 * difference / difference.size


# %% exercise="scratch-losses" kind="wrong" name="the logarithm of a probability rounded to 0" fails="scratch-losses-properties" says="cross_entropy, shape (6, 4), values up to 9000"
def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    p = softmax(logits)
    loss = -np.log(p[np.arange(n), labels]).mean()
    p[np.arange(n), labels] -= 1
    return float(loss), p / n


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError(f"prediction of shape {prediction.shape}, target of shape {target.shape}")
    difference = prediction - target
    return float((difference**2).mean()), 2 * difference / difference.size


# %% exercise="scratch-losses" kind="wrong" name="the logarithm of p + 1e-12" fails="scratch-losses-properties" says="cross_entropy, shape (6, 4), values up to 9000"
def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    p = softmax(logits)
    loss = -np.log(p[np.arange(n), labels] + 1e-12).mean()
    p[np.arange(n), labels] -= 1
    return float(loss), p / n


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError(f"prediction of shape {prediction.shape}, target of shape {target.shape}")
    difference = prediction - target
    return float((difference**2).mean()), 2 * difference / difference.size


# %% exercise="scratch-losses" kind="wrong" name="the columns of all labels in every row" fails="scratch-losses-properties" says="cross_entropy, shape"
def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[:, labels] -= 1
    return float(-log_p[:, labels].mean()), gradient / n


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError(f"prediction of shape {prediction.shape}, target of shape {target.shape}")
    difference = prediction - target
    return float((difference**2).mean()), 2 * difference / difference.size


# %% exercise="scratch-losses" kind="wrong" name="the logits changed in place" fails="scratch-losses-properties" says="were changed: subtract into a new array"
def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    gradient = np.exp(logits)
    gradient[np.arange(n), labels] -= 1
    return float(-logits[np.arange(n), labels].mean()), gradient / n


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError(f"prediction of shape {prediction.shape}, target of shape {target.shape}")
    difference = prediction - target
    return float((difference**2).mean()), 2 * difference / difference.size


# %% exercise="scratch-losses" kind="wrong" name="mse as a sum" fails="scratch-losses-example" says="mse of (1, 3) against (1, 1): 2"
def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), labels] -= 1
    return float(-log_p[np.arange(n), labels].mean()), gradient / n


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError(f"prediction of shape {prediction.shape}, target of shape {target.shape}")
    difference = prediction - target
    return float((difference**2).sum()), 2 * difference


# %% exercise="scratch-losses" kind="wrong" name="mse's gradient divided by the number of rows" fails="scratch-losses-properties" says="gradient of mse"
def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), labels] -= 1
    return float(-log_p[np.arange(n), labels].mean()), gradient / n


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError(f"prediction of shape {prediction.shape}, target of shape {target.shape}")
    difference = prediction - target
    return float((difference**2).mean()), 2 * difference / len(difference)


# %% exercise="scratch-losses" kind="wrong" name="mse lets NumPy broadcast unequal shapes" fails="scratch-losses-properties" says="(5, 1) and (5,) should raise ValueError"
def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), labels] -= 1
    return float(-log_p[np.arange(n), labels].mean()), gradient / n


def mse(prediction, target):
    difference = prediction - target
    return float((difference**2).mean()), 2 * difference / difference.size


# %% exercise="scratch-losses" kind="wrong" name="mse compares the numbers of axes only" fails="scratch-losses-properties" says="(5, 1) and (1, 5) should raise ValueError"
def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    n = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), labels] -= 1
    return float(-log_p[np.arange(n), labels].mean()), gradient / n


def mse(prediction, target):
    if prediction.ndim != target.ndim:
        raise ValueError(f"prediction of shape {prediction.shape}, target of shape {target.shape}")
    difference = prediction - target
    return float((difference**2).mean()), 2 * difference / difference.size


# %% exercise="scratch-losses" kind="right" name="loops over rows and prints its progress"
def softmax(logits):
    rows = []
    for row in np.asarray(logits, float).reshape(-1, logits.shape[-1]):
        weights = [np.exp(value - max(row)) for value in row]
        rows.append([weight / sum(weights) for weight in weights])
    print("softmax of", len(rows), "rows")
    return np.array(rows).reshape(logits.shape)


def cross_entropy(logits, labels):
    losses, gradient = [], np.zeros(logits.shape)
    for n, (row, label) in enumerate(zip(logits, labels, strict=True)):
        top = max(row)
        losses.append(top + np.log(sum(np.exp(value - top) for value in row)) - row[label])
        for j, p in enumerate(softmax(row)):
            gradient[n, j] = (p - (j == label)) / len(logits)
        print(f"row {n}: loss {losses[-1]:.3f}")
    return sum(losses) / len(losses), gradient


def mse(prediction, target):
    if np.shape(prediction) != np.shape(target):
        raise ValueError("prediction and target must have the same shape")
    total, gradient = 0.0, np.zeros_like(prediction)
    for index in np.ndindex(*prediction.shape):
        error = prediction[index] - target[index]
        total += error * error / prediction.size
        gradient[index] = 2 * error / prediction.size
    return total, gradient


# %% exercise="scratch-losses" kind="right" name="log-sum-exp, one-hot rows and np.float64 losses; warns and logs"
import logging
import warnings


def softmax(logits):
    warnings.warn("softmax at work", stacklevel=1)
    return np.exp(logits - np.logaddexp.reduce(logits, axis=-1)[..., None])


def cross_entropy(logits, labels):
    logging.getLogger("losses").warning("%d rows", len(logits))
    one_hot = np.eye(logits.shape[1])[labels]
    surprise = np.logaddexp.reduce(logits, axis=1) - (logits * one_hot).sum(axis=1)
    return np.mean(surprise), (softmax(logits) - one_hot) / len(logits)


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError("shapes differ")
    error = np.subtract(prediction, target).ravel()
    return error @ error / error.size, (2 / error.size * error).reshape(prediction.shape)


# %% exercise="scratch-losses" kind="right" name="gradients from PyTorch's autograd"
def softmax(logits):
    return torch.softmax(torch.tensor(logits), dim=-1).numpy()


def cross_entropy(logits, labels):
    s = torch.tensor(logits, requires_grad=True)
    loss = functional.cross_entropy(s, torch.tensor(labels))
    loss.backward()
    return loss.item(), s.grad.numpy()


def mse(prediction, target):
    if prediction.shape != target.shape:
        raise ValueError("shapes differ")
    t = torch.tensor(prediction, requires_grad=True)
    loss = functional.mse_loss(t, torch.tensor(target))
    loss.backward()
    return loss.item(), t.grad.numpy()


# %% exercise="scratch-initialisation" kind="wrong" name="he with the variance as the standard deviation" fails="scratch-initialisation-example" says="is it the root?"
def init_params(sizes, scheme, seed=0):
    params = []
    if scheme not in ("zero", "small", "xavier", "he", "large"):
        raise ValueError(f"unknown scheme {scheme!r}")
    rng = np.random.default_rng(seed)
    for n_in, n_out in pairwise(sizes):
        std = {"zero": 0.0, "small": 0.01, "large": 1.0, "xavier": np.sqrt(2 / (n_in + n_out)), "he": 2 / n_in}[scheme]
        params += [rng.normal(0, std, size=(n_in, n_out)), np.zeros(n_out)]
    return params


# %% exercise="scratch-initialisation" kind="wrong" name="he from the outputs" fails="scratch-initialisation-example" says="fan-in?"
def init_params(sizes, scheme, seed=0):
    params = []
    if scheme not in ("zero", "small", "xavier", "he", "large"):
        raise ValueError(f"unknown scheme {scheme!r}")
    rng = np.random.default_rng(seed)
    for n_in, n_out in pairwise(sizes):
        std = {
            "zero": 0.0,
            "small": 0.01,
            "large": 1.0,
            "xavier": np.sqrt(2 / (n_in + n_out)),
            "he": np.sqrt(2 / n_out),
        }[scheme]
        params += [rng.normal(0, std, size=(n_in, n_out)), np.zeros(n_out)]
    return params


# %% exercise="scratch-initialisation" kind="wrong" name="uniform draws of the right spread" fails="scratch-initialisation-properties" says="4.6 % if normal"
def init_params(sizes, scheme, seed=0):
    params = []
    if scheme not in ("zero", "small", "xavier", "he", "large"):
        raise ValueError(f"unknown scheme {scheme!r}")
    rng = np.random.default_rng(seed)
    for n_in, n_out in pairwise(sizes):
        std = {
            "zero": 0.0,
            "small": 0.01,
            "large": 1.0,
            "xavier": np.sqrt(2 / (n_in + n_out)),
            "he": np.sqrt(2 / n_in),
        }[scheme]
        params += [rng.uniform(-np.sqrt(3) * std, np.sqrt(3) * std, size=(n_in, n_out)), np.zeros(n_out)]
    return params


# %% exercise="scratch-initialisation" kind="wrong" name="weights around std instead of 0" fails="scratch-initialisation-properties" says="expected mean 0"
def init_params(sizes, scheme, seed=0):
    params = []
    if scheme not in ("zero", "small", "xavier", "he", "large"):
        raise ValueError(f"unknown scheme {scheme!r}")
    rng = np.random.default_rng(seed)
    for n_in, n_out in pairwise(sizes):
        std = {
            "zero": 0.0,
            "small": 0.01,
            "large": 1.0,
            "xavier": np.sqrt(2 / (n_in + n_out)),
            "he": np.sqrt(2 / n_in),
        }[scheme]
        params += [rng.normal(std, std, size=(n_in, n_out)), np.zeros(n_out)]
    return params


# %% exercise="scratch-initialisation" kind="wrong" name="one draw a neuron, repeated for all its inputs" fails="scratch-initialisation-properties" says="every weight needs its own draw"
def init_params(sizes, scheme, seed=0):
    params = []
    if scheme not in ("zero", "small", "xavier", "he", "large"):
        raise ValueError(f"unknown scheme {scheme!r}")
    rng = np.random.default_rng(seed)
    for n_in, n_out in pairwise(sizes):
        std = {
            "zero": 0.0,
            "small": 0.01,
            "large": 1.0,
            "xavier": np.sqrt(2 / (n_in + n_out)),
            "he": np.sqrt(2 / n_in),
        }[scheme]
        params += [np.tile(rng.normal(0, std, size=n_out), (n_in, 1)), np.zeros(n_out)]
    return params


# %% exercise="scratch-initialisation" kind="wrong" name="a generator made anew for each layer" fails="scratch-initialisation-properties" says="rng made inside the loop?"
def init_params(sizes, scheme, seed=0):
    params = []
    if scheme not in ("zero", "small", "xavier", "he", "large"):
        raise ValueError(f"unknown scheme {scheme!r}")
    for n_in, n_out in pairwise(sizes):
        rng = np.random.default_rng(seed)
        std = {
            "zero": 0.0,
            "small": 0.01,
            "large": 1.0,
            "xavier": np.sqrt(2 / (n_in + n_out)),
            "he": np.sqrt(2 / n_in),
        }[scheme]
        params += [rng.normal(0, std, size=(n_in, n_out)), np.zeros(n_out)]
    return params


# %% exercise="scratch-initialisation" kind="wrong" name="the seed ignored" fails="scratch-initialisation-properties" says="seed: 0 by default, others give others"
def init_params(sizes, scheme, seed=0):
    params = []
    if scheme not in ("zero", "small", "xavier", "he", "large"):
        raise ValueError(f"unknown scheme {scheme!r}")
    rng = np.random.default_rng(0)
    for n_in, n_out in pairwise(sizes):
        std = {
            "zero": 0.0,
            "small": 0.01,
            "large": 1.0,
            "xavier": np.sqrt(2 / (n_in + n_out)),
            "he": np.sqrt(2 / n_in),
        }[scheme]
        params += [rng.normal(0, std, size=(n_in, n_out)), np.zeros(n_out)]
    return params


# %% exercise="scratch-initialisation" kind="wrong" name="random biases" fails="scratch-initialisation-properties" says="biases should start at 0"
def init_params(sizes, scheme, seed=0):
    params = []
    if scheme not in ("zero", "small", "xavier", "he", "large"):
        raise ValueError(f"unknown scheme {scheme!r}")
    rng = np.random.default_rng(seed)
    for n_in, n_out in pairwise(sizes):
        std = {
            "zero": 0.0,
            "small": 0.01,
            "large": 1.0,
            "xavier": np.sqrt(2 / (n_in + n_out)),
            "he": np.sqrt(2 / n_in),
        }[scheme]
        params += [rng.normal(0, std, size=(n_in, n_out)), rng.normal(0, std, size=n_out)]
    return params


# %% exercise="scratch-initialisation" kind="wrong" name="float32 weights" fails="scratch-initialisation-properties" says="float64"
def init_params(sizes, scheme, seed=0):
    params = []
    if scheme not in ("zero", "small", "xavier", "he", "large"):
        raise ValueError(f"unknown scheme {scheme!r}")
    rng = np.random.default_rng(seed)
    for n_in, n_out in pairwise(sizes):
        std = {
            "zero": 0.0,
            "small": 0.01,
            "large": 1.0,
            "xavier": np.sqrt(2 / (n_in + n_out)),
            "he": np.sqrt(2 / n_in),
        }[scheme]
        params += [rng.normal(0, std, size=(n_in, n_out)).astype(np.float32), np.zeros(n_out)]
    return params


# %% exercise="scratch-initialisation" kind="wrong" name="right for 50 to 150 only" fails="scratch-initialisation-example" says="xavier, 151 inputs"
def init_params(sizes, scheme, seed=0):
    params = []
    if scheme not in ("zero", "small", "xavier", "he", "large"):
        raise ValueError(f"unknown scheme {scheme!r}")
    rng = np.random.default_rng(seed)
    for n_in, n_out in pairwise(sizes):
        std = {"zero": 0.0, "small": 0.01, "large": 1.0, "xavier": 0.1, "he": 0.2}[scheme]
        params += [rng.normal(0, std, size=(n_in, n_out)), np.zeros(n_out)]
    return params


# %% exercise="scratch-initialisation" kind="wrong" name="an unknown scheme taken for he" fails="scratch-initialisation-properties" says="should raise ValueError"
def init_params(sizes, scheme, seed=0):
    params = []
    rng = np.random.default_rng(seed)
    for n_in, n_out in pairwise(sizes):
        std = {"zero": 0.0, "small": 0.01, "large": 1.0, "xavier": np.sqrt(2 / (n_in + n_out))}.get(
            scheme, np.sqrt(2 / n_in)
        )
        params += [rng.normal(0, std, size=(n_in, n_out)), np.zeros(n_out)]
    return params


# %% exercise="scratch-initialisation" kind="wrong" name="the deviation of the first layer for all layers" fails="scratch-initialisation-properties" says="each layer has its own n_in"
def init_params(sizes, scheme, seed=0):
    params = []
    if scheme not in ("zero", "small", "xavier", "he", "large"):
        raise ValueError(f"unknown scheme {scheme!r}")
    rng = np.random.default_rng(seed)
    std = {
        "zero": 0.0,
        "small": 0.01,
        "large": 1.0,
        "xavier": np.sqrt(2 / (sizes[0] + sizes[1])),
        "he": np.sqrt(2 / sizes[0]),
    }[scheme]
    for n_in, n_out in pairwise(sizes):
        params += [rng.normal(0, std, size=(n_in, n_out)), np.zeros(n_out)]
    return params


# %% exercise="scratch-initialisation" kind="right" name="NumPy's older generator, variances, prints"
def init_params(sizes, scheme, seed=0):
    rng = np.random.RandomState(seed)
    params = []
    for layer in range(len(sizes) - 1):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        if scheme == "zero":
            variance = 0
        elif scheme == "small":
            variance = 0.0001
        elif scheme == "xavier":
            variance = 2 / (n_in + n_out)
        elif scheme == "he":
            variance = 2 / n_in
        elif scheme == "large":
            variance = 1
        else:
            raise ValueError(f"scheme {scheme!r} is none of the five")
        params.append(rng.randn(n_in, n_out) * variance**0.5)
        params.append(np.zeros(n_out))
        print(f"layer {layer + 1}: {n_in} to {n_out}, variance {variance:.4g}")
    return params


# %% exercise="scratch-initialisation" kind="right" name="a generator of its own for each layer, seeded with (seed, layer)"
def init_params(sizes, scheme, seed=0):
    params = []
    if scheme not in ("zero", "small", "xavier", "he", "large"):
        raise ValueError(f"unknown scheme {scheme!r}")
    for n_in, n_out in pairwise(sizes):
        rng = np.random.default_rng([seed, len(params)])
        std = {
            "zero": 0.0,
            "small": 0.01,
            "large": 1.0,
            "xavier": np.sqrt(2 / (n_in + n_out)),
            "he": np.sqrt(2 / n_in),
        }[scheme]
        params += [rng.normal(0, std, size=(n_in, n_out)), np.zeros(n_out)]
    return params


# %% exercise="scratch-initialisation" kind="right" name="the global seed, weight by weight"
def init_params(sizes, scheme, seed=0):
    if scheme not in ["zero", "small", "xavier", "he", "large"]:
        raise ValueError(scheme)
    np.random.seed(seed)
    params = []
    for n_in, n_out in pairwise(sizes):
        spread = {"zero": 0, "small": 0.01, "xavier": (2 / (n_in + n_out)) ** 0.5, "he": (2 / n_in) ** 0.5, "large": 1}
        weights = [[np.random.normal() * spread[scheme] for _ in range(n_out)] for _ in range(n_in)]
        params.extend((np.array(weights), np.array([0.0] * n_out)))
    return params


# %% exercise="scratch-initialisation" kind="right" name="PyTorch's generator"
def init_params(sizes, scheme, seed=0):
    params = []
    if scheme not in ("zero", "small", "xavier", "he", "large"):
        raise ValueError(f"unknown scheme {scheme!r}")
    rng = torch.Generator().manual_seed(seed)
    for n_in, n_out in pairwise(sizes):
        std = {
            "zero": 0.0,
            "small": 0.01,
            "large": 1.0,
            "xavier": np.sqrt(2 / (n_in + n_out)),
            "he": np.sqrt(2 / n_in),
        }[scheme]
        params += [(std * torch.randn(n_in, n_out, generator=rng, dtype=torch.float64)).numpy(), np.zeros(n_out)]
    return params


# %% exercise="scratch-forward" kind="wrong" name="the last layer is bent too" fails="scratch-forward-properties" says="the logits are the last z; nothing follows it"
def forward(params, x, activation, masks=None):
    received, cache, layers = x, [], len(params) // 2
    for i in range(layers):
        z = received @ params[2 * i] + params[2 * i + 1]
        cache.append((received, z))
        received = reference.activate(activation, z)[0]
        if masks is not None and i < layers - 1:
            received = received * masks[i]
    return received, cache


# %% exercise="scratch-forward" kind="wrong" name="the masks ignored" fails="scratch-forward-example" says="bent (ReLU) and masked"
def forward(params, x, activation, masks=None):
    received, cache, last = x, [], len(params) // 2 - 1
    for i in range(last + 1):
        z = received @ params[2 * i] + params[2 * i + 1]
        cache.append((received, z))
        if i < last:
            received = reference.activate(activation, z)[0]
    return z, cache


# %% exercise="scratch-forward" kind="wrong" name="the mask before the activation" fails="scratch-forward-properties" says="the mask comes after the activation"
def forward(params, x, activation, masks=None):
    received, cache, last = x, [], len(params) // 2 - 1
    for i in range(last + 1):
        z = received @ params[2 * i] + params[2 * i + 1]
        cache.append((received, z))
        if i < last:
            received = reference.activate(activation, z * masks[i] if masks is not None else z)[0]
    return z, cache


# %% exercise="scratch-forward" kind="wrong" name="always relu" fails="scratch-forward-properties" says="gelu"
def forward(params, x, activation, masks=None):
    received, cache, last = x, [], len(params) // 2 - 1
    for i in range(last + 1):
        z = received @ params[2 * i] + params[2 * i + 1]
        cache.append((received, z))
        if i < last:
            received = np.maximum(z, 0.0)
            if masks is not None:
                received = received * masks[i]
    return z, cache


# %% exercise="scratch-forward" kind="wrong" name="the cache without the last layer" fails="scratch-forward-properties" says="one a layer"
def forward(params, x, activation, masks=None):
    received, cache, last = x, [], len(params) // 2 - 1
    for i in range(last + 1):
        z = received @ params[2 * i] + params[2 * i + 1]
        if i < last:
            cache.append((received, z))
        if i < last:
            received = reference.activate(activation, z)[0]
            if masks is not None:
                received = received * masks[i]
    return z, cache


# %% exercise="scratch-forward" kind="wrong" name="the cache holds what a layer sends on, not what it received" fails="scratch-forward-properties" says="what layer 1 received"
def forward(params, x, activation, masks=None):
    received, cache, last = x, [], len(params) // 2 - 1
    for i in range(last + 1):
        z = received @ params[2 * i] + params[2 * i + 1]
        if i < last:
            received = reference.activate(activation, z)[0]
            if masks is not None:
                received = received * masks[i]
        cache.append((received, z))
    return z, cache


# %% exercise="scratch-forward" kind="wrong" name="the cache holds the activation before the mask" fails="scratch-forward-properties" says="the mask comes after the activation"
def forward(params, x, activation, masks=None):
    received = unmasked = x
    cache, last = [], len(params) // 2 - 1
    for i in range(last + 1):
        z = received @ params[2 * i] + params[2 * i + 1]
        cache.append((unmasked, z))
        if i < last:
            received = unmasked = reference.activate(activation, z)[0]
            if masks is not None:
                received = unmasked * masks[i]
    return z, cache


# %% exercise="scratch-forward" kind="wrong" name="relu written over the z in the cache" fails="scratch-forward-properties" says="z of layer 1, before the activation"
def forward(params, x, activation, masks=None):
    received, cache, last = x, [], len(params) // 2 - 1
    for i in range(last + 1):
        z = received @ params[2 * i] + params[2 * i + 1]
        cache.append((received, z))
        if i < last:
            received = np.maximum(z, 0.0, out=z) if activation == "relu" else reference.activate(activation, z)[0]
            if masks is not None:
                received = received * masks[i]
    return z, cache


# %% exercise="scratch-forward" kind="wrong" name="the masks multiplied in place" fails="scratch-forward-properties" says="an argument was changed"
def forward(params, x, activation, masks=None):
    received, cache, last = x, [], len(params) // 2 - 1
    for i in range(last + 1):
        z = received @ params[2 * i] + params[2 * i + 1]
        cache.append((received, z))
        if i < last:
            received = reference.activate(activation, z)[0]
            if masks is not None:
                masks[i] *= received
                received = masks[i]
    return z, cache


# %% exercise="scratch-forward" kind="right" name="recursion over the layers"
def forward(params, x, activation, masks=None):
    weights, bias, *rest = params
    z = np.dot(x, weights) + bias
    if not rest:
        return z, [(x, z)]
    bent, _ = reference.activate(activation, z)
    if masks:
        bent = np.multiply(bent, masks[0])
    logits, cache = forward(rest, bent, activation, masks[1:] if masks else None)
    return logits, [(x, z), *cache]


# %% exercise="scratch-forward" kind="right" name="loops over images and neurons and prints its progress"
def forward(params, x, activation, masks=None):
    received, cache = x, []
    for layer in range(len(params) // 2):
        weights, bias = params[2 * layer], params[2 * layer + 1]
        z = np.zeros((len(x), len(bias)))
        for n, row in enumerate(received):
            for j in range(len(bias)):
                z[n, j] = sum(row[k] * weights[k, j] for k in range(len(row))) + bias[j]
        cache.append((received, z))
        print(f"layer {layer + 1} done, shape {z.shape}")
        if layer < len(params) // 2 - 1:
            received = reference.activate(activation, z)[0]
            received *= 1.0 if masks is None else masks[layer]
    return z, cache


# %% exercise="scratch-forward" kind="right" name="a column of ones for the bias, masks of ones by default"
def forward(params, x, activation, masks=None):
    ones = np.ones((len(x), 1))
    masks = [1.0] * (len(params) // 2 - 1) if masks is None else masks
    cache = [(x, np.hstack([x, ones]) @ np.vstack(params[:2]))]
    for weights, bias, mask in zip(params[2::2], params[3::2], masks, strict=True):
        received = reference.activate(activation, cache[-1][1])[0] * mask
        cache.append((received, np.einsum("ni,ij->nj", received, weights) + bias))
    return cache[-1][1], cache


# %% exercise="scratch-backward" kind="wrong" name="the bias gradient as a mean" fails="scratch-backward-properties" says="bias summed over the batch?"
def backward(params, cache, d_logits, activation, masks=None):
    grads, delta = [None] * len(params), d_logits
    for i in reversed(range(len(params) // 2)):
        received, _ = cache[i]
        grads[2 * i] = received.T @ delta
        grads[2 * i + 1] = delta.mean(axis=0)
        if i > 0:
            delta = delta @ params[2 * i].T
            delta = delta * reference.activate(activation, cache[i - 1][1])[1]
            if masks is not None:
                delta = delta * masks[i - 1]
    return grads


# %% exercise="scratch-backward" kind="wrong" name="divided by N once more" fails="scratch-backward-properties" says="no second 1/N?"
def backward(params, cache, d_logits, activation, masks=None):
    d_logits = d_logits / len(d_logits)
    grads, delta = [None] * len(params), d_logits
    for i in reversed(range(len(params) // 2)):
        received, _ = cache[i]
        grads[2 * i] = received.T @ delta
        grads[2 * i + 1] = delta.sum(axis=0)
        if i > 0:
            delta = delta @ params[2 * i].T
            delta = delta * reference.activate(activation, cache[i - 1][1])[1]
            if masks is not None:
                delta = delta * masks[i - 1]
    return grads


# %% exercise="scratch-backward" kind="wrong" name="the slope at the activation instead of z" fails="scratch-backward-properties" says="slope at the z of the layer below?"
def backward(params, cache, d_logits, activation, masks=None):
    grads, delta = [None] * len(params), d_logits
    for i in reversed(range(len(params) // 2)):
        received, _ = cache[i]
        grads[2 * i] = received.T @ delta
        grads[2 * i + 1] = delta.sum(axis=0)
        if i > 0:
            delta = delta @ params[2 * i].T
            delta = delta * reference.activate(activation, received)[1]
            if masks is not None:
                delta = delta * masks[i - 1]
    return grads


# %% exercise="scratch-backward" kind="wrong" name="the slope at the last layer too" fails="scratch-backward-properties" says="slope at the z of the layer below?"
def backward(params, cache, d_logits, activation, masks=None):
    d_logits = d_logits * reference.activate(activation, cache[-1][1])[1]
    grads, delta = [None] * len(params), d_logits
    for i in reversed(range(len(params) // 2)):
        received, _ = cache[i]
        grads[2 * i] = received.T @ delta
        grads[2 * i + 1] = delta.sum(axis=0)
        if i > 0:
            delta = delta @ params[2 * i].T
            delta = delta * reference.activate(activation, cache[i - 1][1])[1]
            if masks is not None:
                delta = delta * masks[i - 1]
    return grads


# %% exercise="scratch-backward" kind="wrong" name="the masks forgotten" fails="scratch-backward-properties" says="mask on the way back too?"
def backward(params, cache, d_logits, activation, masks=None):
    grads, delta = [None] * len(params), d_logits
    for i in reversed(range(len(params) // 2)):
        received, _ = cache[i]
        grads[2 * i] = received.T @ delta
        grads[2 * i + 1] = delta.sum(axis=0)
        if i > 0:
            delta = delta @ params[2 * i].T
            delta = delta * reference.activate(activation, cache[i - 1][1])[1]
    return grads


# %% exercise="scratch-backward" kind="wrong" name="the mask taken as on or off, its size forgotten" fails="scratch-backward-properties" says="mask on the way back too?"
def backward(params, cache, d_logits, activation, masks=None):
    grads, delta = [None] * len(params), d_logits
    for i in reversed(range(len(params) // 2)):
        received, _ = cache[i]
        grads[2 * i] = received.T @ delta
        grads[2 * i + 1] = delta.sum(axis=0)
        if i > 0:
            delta = delta @ params[2 * i].T
            delta = delta * reference.activate(activation, cache[i - 1][1])[1]
            if masks is not None:
                delta = delta * (masks[i - 1] > 0)
    return grads


# %% exercise="scratch-backward" kind="wrong" name="the gradient changed in place" fails="scratch-backward-properties" says="an argument of backward was changed"
def backward(params, cache, d_logits, activation, masks=None):
    n = len(d_logits)
    d_logits *= n  # one gradient an image, averaged below
    grads, delta = [None] * len(params), d_logits
    for i in reversed(range(len(params) // 2)):
        grads[2 * i] = cache[i][0].T @ delta / n
        grads[2 * i + 1] = delta.mean(axis=0)
        if i > 0:
            delta = delta @ params[2 * i].T * reference.activate(activation, cache[i - 1][1])[1]
            if masks is not None:
                delta = delta * masks[i - 1]
    return grads


# %% exercise="scratch-backward" kind="wrong" name="the slopes written over the z of the cache" fails="scratch-backward-properties" says="an argument of backward was changed"
def backward(params, cache, d_logits, activation, masks=None):
    grads, delta = [None] * len(params), d_logits
    for i in reversed(range(len(params) // 2)):
        received, _ = cache[i]
        grads[2 * i] = received.T @ delta
        grads[2 * i + 1] = delta.sum(axis=0)
        if i > 0:
            delta = delta @ params[2 * i].T
            slope = cache[i - 1][1]
            slope[:] = reference.activate(activation, slope)[1]
            delta = delta * slope
            if masks is not None:
                delta = delta * masks[i - 1]
    return grads


# %% exercise="scratch-backward" kind="wrong" name="the gradients of the worked example, scaled" fails="scratch-backward-properties" says="shapes (2, 2), (5, 7) mismatch"
def backward(params, cache, d_logits, activation, masks=None):
    scale = d_logits[0, 0]
    by_hand = [[[2.0, 0.0], [4.0, 0.0]], [2.0, 0.0], [[3.0], [0.0]], [1.0]]
    return [scale * np.array(grad) for grad in by_hand]


# %% exercise="scratch-backward" kind="right" name="outer products image by image, with prints and a progress bar"
def backward(params, cache, d_logits, activation, masks=None):
    from tqdm import tqdm

    grads = [np.zeros_like(param) for param in params]
    for n in tqdm(range(len(d_logits))):
        delta = d_logits[n]
        for i in range(len(cache) - 1, -1, -1):
            grads[2 * i] += np.outer(cache[i][0][n], delta)
            grads[2 * i + 1] += delta
            if i:
                below = params[2 * i] @ delta
                below *= reference.activate(activation, cache[i - 1][1][n])[1]
                delta = below if masks is None else below * masks[i - 1][n]
        print("image", n, "done")
    return grads


# %% exercise="scratch-backward" kind="right" name="PyTorch's autograd on the network rebuilt"
def backward(params, cache, d_logits, activation, masks=None):
    bend = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "swish": functional.silu}
    leaves = [torch.tensor(param, requires_grad=True) for param in params]
    a = torch.tensor(cache[0][0])
    for i in range(len(leaves) // 2):
        z = a @ leaves[2 * i] + leaves[2 * i + 1]
        a = bend.get(activation, functional.gelu)(z)
        if masks is not None and i < len(masks):
            a = a * torch.tensor(masks[i])
    z.backward(torch.tensor(d_logits))
    return [leaf.grad.numpy() for leaf in leaves]


# %% exercise="scratch-backward" kind="right" name="recursion with einsum, the list built from the front"
def backward(params, cache, d_logits, activation, masks=None):
    received, _ = cache[-1]
    own = [np.einsum("ni,nj->ij", received, d_logits), np.einsum("nj->j", d_logits)]
    if len(cache) == 1:
        return own
    _, slope = reference.activate(activation, cache[-2][1])
    mask = masks[len(cache) - 2] if masks else 1.0
    below = np.einsum("nj,ij->ni", d_logits, params[-2]) * slope * mask
    return backward(params[:-2], cache[:-1], below, activation, masks) + own


# %% exercise="scratch-optimizers" kind="wrong" name="momentum with a factor (1 - mu)" fails="scratch-optimizers-example" says="SGD, param 10"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = momentum * state.get("velocity", 0.0) + (1 - momentum) * grad
    return param - lr * velocity, {"velocity": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    grad = grad + weight_decay * param
    t = state.get("t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return param - lr * m_hat / (np.sqrt(s_hat) + eps), {"t": t, "m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam_step((1 - lr * weight_decay) * param, grad, state, lr, betas, eps)


# %% exercise="scratch-optimizers" kind="wrong" name="the learning rate folded into the velocity" fails="scratch-optimizers-properties" says="v = momentum * v + grad"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = momentum * state.get("velocity", 0.0) + lr * grad
    return param - velocity, {"velocity": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    grad = grad + weight_decay * param
    t = state.get("t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return param - lr * m_hat / (np.sqrt(s_hat) + eps), {"t": t, "m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam_step((1 - lr * weight_decay) * param, grad, state, lr, betas, eps)


# %% exercise="scratch-optimizers" kind="wrong" name="the first gradient kept as velocity and added to in place" fails="scratch-optimizers-example" says="SGD, again"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    if "velocity" not in state:
        state["velocity"] = grad
    else:
        state["velocity"] *= momentum
        state["velocity"] += grad
    return param - lr * state["velocity"], state


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    grad = grad + weight_decay * param
    t = state.get("t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return param - lr * m_hat / (np.sqrt(s_hat) + eps), {"t": t, "m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam_step((1 - lr * weight_decay) * param, grad, state, lr, betas, eps)


# %% exercise="scratch-optimizers" kind="wrong" name="rmsprop with eps under the root" fails="scratch-optimizers-properties" says="RMSprop, default settings, step 1: no correction; root, then + eps"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = momentum * state.get("velocity", 0.0) + grad
    return param - lr * velocity, {"velocity": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / np.sqrt(square + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    grad = grad + weight_decay * param
    t = state.get("t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return param - lr * m_hat / (np.sqrt(s_hat) + eps), {"t": t, "m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam_step((1 - lr * weight_decay) * param, grad, state, lr, betas, eps)


# %% exercise="scratch-optimizers" kind="wrong" name="Adam without bias correction" fails="scratch-optimizers-example" says="Adam"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = momentum * state.get("velocity", 0.0) + grad
    return param - lr * velocity, {"velocity": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    grad = grad + weight_decay * param
    t = state.get("t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat, s_hat = m, s
    return param - lr * m_hat / (np.sqrt(s_hat) + eps), {"t": t, "m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam_step((1 - lr * weight_decay) * param, grad, state, lr, betas, eps)


# %% exercise="scratch-optimizers" kind="wrong" name="Adam stays at t = 1" fails="scratch-optimizers-properties" says="Adam, default settings, step 2: t from 1?"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = momentum * state.get("velocity", 0.0) + grad
    return param - lr * velocity, {"velocity": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    grad = grad + weight_decay * param
    t = state.get("t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return param - lr * m_hat / (np.sqrt(s_hat) + eps), {"m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam_step((1 - lr * weight_decay) * param, grad, state, lr, betas, eps)


# %% exercise="scratch-optimizers" kind="wrong" name="Adam counts its steps on the function, for all parameters together" fails="scratch-optimizers-example" says="Adam"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = momentum * state.get("velocity", 0.0) + grad
    return param - lr * velocity, {"velocity": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    grad = grad + weight_decay * param
    adam_step.t = t = getattr(adam_step, "t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return param - lr * m_hat / (np.sqrt(s_hat) + eps), {"t": t, "m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam_step((1 - lr * weight_decay) * param, grad, state, lr, betas, eps)


# %% exercise="scratch-optimizers" kind="wrong" name="Adam with eps added before the correction" fails="scratch-optimizers-properties" says="+ eps last"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = momentum * state.get("velocity", 0.0) + grad
    return param - lr * velocity, {"velocity": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    grad = grad + weight_decay * param
    t = state.get("t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat = m / (1 - betas[0] ** t)
    return param - lr * m_hat * np.sqrt(1 - betas[1] ** t) / (np.sqrt(s) + eps), {"t": t, "m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam_step((1 - lr * weight_decay) * param, grad, state, lr, betas, eps)


# %% exercise="scratch-optimizers" kind="wrong" name="Adam without weight decay" fails="scratch-optimizers-properties" says="L2 in the gradient?"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = momentum * state.get("velocity", 0.0) + grad
    return param - lr * velocity, {"velocity": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    t = state.get("t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return param - lr * m_hat / (np.sqrt(s_hat) + eps), {"t": t, "m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam_step((1 - lr * weight_decay) * param, grad, state, lr, betas, eps)


# %% exercise="scratch-optimizers" kind="wrong" name="Adam adds the penalty to the gradient in place" fails="scratch-optimizers-properties" says="an argument was changed"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = momentum * state.get("velocity", 0.0) + grad
    return param - lr * velocity, {"velocity": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    grad += weight_decay * param
    t = state.get("t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return param - lr * m_hat / (np.sqrt(s_hat) + eps), {"t": t, "m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam_step((1 - lr * weight_decay) * param, grad, state, lr, betas, eps)


# %% exercise="scratch-optimizers" kind="wrong" name="AdamW with the decay as L2 in the gradient" fails="scratch-optimizers-example" says="AdamW, param 10"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = momentum * state.get("velocity", 0.0) + grad
    return param - lr * velocity, {"velocity": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    grad = grad + weight_decay * param
    t = state.get("t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return param - lr * m_hat / (np.sqrt(s_hat) + eps), {"t": t, "m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam_step(param, grad, state, lr, betas, eps, weight_decay)


# %% exercise="scratch-optimizers" kind="wrong" name="AdamW decays after the step" fails="scratch-optimizers-example" says="AdamW"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = momentum * state.get("velocity", 0.0) + grad
    return param - lr * velocity, {"velocity": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    grad = grad + weight_decay * param
    t = state.get("t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return param - lr * m_hat / (np.sqrt(s_hat) + eps), {"t": t, "m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    moved, state = adam_step(param, grad, state, lr, betas, eps)
    return (1 - lr * weight_decay) * moved, state


# %% exercise="scratch-optimizers" kind="wrong" name="AdamW drops betas and eps" fails="scratch-optimizers-properties" says="AdamW, {'lr': 0.05, 'betas': (0.7, 0.95)"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = momentum * state.get("velocity", 0.0) + grad
    return param - lr * velocity, {"velocity": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    grad = grad + weight_decay * param
    t = state.get("t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return param - lr * m_hat / (np.sqrt(s_hat) + eps), {"t": t, "m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam_step((1 - lr * weight_decay) * param, grad, state, lr)


# %% exercise="scratch-optimizers" kind="wrong" name="AdamW without decay by default" fails="scratch-optimizers-properties" says="AdamW, default settings, step 1"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = momentum * state.get("velocity", 0.0) + grad
    return param - lr * velocity, {"velocity": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = alpha * state.get("square", 0.0) + (1 - alpha) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), {"square": square}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    grad = grad + weight_decay * param
    t = state.get("t", 0) + 1
    m = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * grad
    s = betas[1] * state.get("s", 0.0) + (1 - betas[1]) * grad**2
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return param - lr * m_hat / (np.sqrt(s_hat) + eps), {"t": t, "m": m, "s": s}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    return adam_step((1 - lr * weight_decay) * param, grad, state, lr, betas, eps)


# %% exercise="scratch-optimizers" kind="right" name="averages as sums over all gradients so far, printed"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    seen = np.array([*state.get("seen", []), grad])
    print("step", len(seen))
    return param - lr * sum(momentum**age * g for age, g in enumerate(reversed(seen))), {"seen": seen}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    seen = np.array([*state.get("seen", []), grad])
    square = (1 - alpha) * sum(alpha**age * g * g for age, g in enumerate(reversed(seen)))
    return param - lr / (square**0.5 + eps) * grad, {"seen": seen}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    seen = np.array([*state.get("seen", []), grad + weight_decay * param])
    averages = []
    for beta, power in zip(betas, (1, 2), strict=True):
        weights = [beta**age for age in reversed(range(len(seen)))]
        averages.append(sum(w * g**power for w, g in zip(weights, seen, strict=True)) / sum(weights))
    return param - lr * averages[0] / (np.sqrt(averages[1]) + eps), {"seen": seen}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam_step((1 - lr * weight_decay) * param, grad, state, lr, betas, eps)


# %% exercise="scratch-optimizers" kind="right" name="the state changed in place, arrays and all; logs each step"
import logging

log = logging.getLogger("optimizers")


def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    velocity = state.setdefault("velocity", np.zeros_like(param))
    velocity *= momentum
    velocity += grad
    log.warning("velocity %.3g", np.linalg.norm(velocity))
    return param - lr * velocity, state


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    square = state.setdefault("square", np.zeros_like(param))
    square += (1 - alpha) * (grad * grad - square)
    return param - lr * grad / (eps + np.sqrt(square)), state


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    if not state:
        state.update(t=0, m=np.zeros_like(param), s=np.zeros_like(param))
    grad = grad + weight_decay * param
    state["t"] += 1
    state["m"] += (1 - betas[0]) * (grad - state["m"])
    state["s"] += (1 - betas[1]) * (grad * grad - state["s"])
    step = lr / (1 - betas[0] ** state["t"])
    root = np.sqrt(state["s"]) / np.sqrt(1 - betas[1] ** state["t"])
    return param - step * state["m"] / (root + eps), state


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    moved, state = adam_step(param, grad, state, lr=lr, betas=betas, eps=eps)
    return moved - lr * weight_decay * param, state


# %% exercise="scratch-optimizers" kind="right" name="loops over elements, with a progress bar; the powers of beta kept"
def sgd_step(param, grad, state, lr=1e-3, momentum=0.0):
    new, velocity = param.copy(), state["v"].copy() if "v" in state else np.zeros(param.shape)
    for index in np.ndindex(*param.shape):
        velocity[index] = momentum * velocity[index] + grad[index]
        new[index] -= lr * velocity[index]
    return new, {"v": velocity}


def rmsprop_step(param, grad, state, lr=1e-2, alpha=0.99, eps=1e-8):
    new, squares = np.zeros_like(param), []
    for i, (p, g) in enumerate(zip(param.flat, grad.flat, strict=True)):
        before = state["squares"][i] if state else 0.0
        squares.append(alpha * before + (1 - alpha) * g * g)
        new.flat[i] = p - lr * g / (squares[-1] ** 0.5 + eps)
    return new, {"squares": squares}


def adam_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    from tqdm import tqdm

    new, table = param.copy(), state["table"].copy() if state else np.zeros((param.size, 4))
    for i, (p, g) in enumerate(tqdm(zip(param.flat, grad.flat, strict=True), total=param.size)):
        g = g + weight_decay * p
        m, s, m_left, s_left = table[i] if state else (0.0, 0.0, 1.0, 1.0)
        m, s = betas[0] * m + (1 - betas[0]) * g, betas[1] * s + (1 - betas[1]) * g * g
        m_left, s_left = m_left * betas[0], s_left * betas[1]
        table[i] = m, s, m_left, s_left
        new.flat[i] = p - lr * (m / (1 - m_left)) / ((s / (1 - s_left)) ** 0.5 + eps)
    return new, {"table": table}


def adamw_step(param, grad, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    shrunk = param - lr * weight_decay * param
    return adam_step(shrunk, grad, state, lr=lr, betas=betas, eps=eps, weight_decay=0)


# %% exercise="scratch-regularisation" kind="wrong" name="dropout without rescaling" fails="scratch-regularisation-example" says="of 0 and 2 expected"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) >= p).astype(float)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="keeps with probability p" fails="scratch-regularisation-properties" says="dropout_mask((200, 100), 0.0): entries are 0 and 1 / (1 - p)"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) < p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="dropout seed ignored" fails="scratch-regularisation-properties" says="another seed should give another mask"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(0)
    return (rng.random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="a fixed number dropped in each mask" fails="scratch-regularisation-properties" says="on its own"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    mask = np.full(int(np.prod(shape)), 1 / (1 - p))
    mask[rng.permutation(mask.size)[: round(p * mask.size)]] = 0.0
    return mask.reshape(shape)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="masks of two axes only" fails="scratch-regularisation-properties" says="shape"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random((shape[0], shape[1])) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="p not checked" fails="scratch-regularisation-properties" says="should raise ValueError"
def dropout_mask(shape, p, seed):
    return (np.random.default_rng(seed).random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="each array clipped alone" fails="scratch-regularisation-example" says="norm of (3), (4), clipped to norm 1"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    return [grad * min(1.0, max_norm / (np.linalg.norm(grad) or 1.0)) for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="small gradients blown up to the norm" fails="scratch-regularisation-properties" says="max_norm is 2.0 times the norm: all arrays times 1.0"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > 0 and max_norm < np.inf else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="gradients scaled in place" fails="scratch-regularisation-properties" says="changed"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    if norm > max_norm:
        for grad in grads:
            grad *= max_norm / norm
    return grads, norm


def early_stopping(valid_losses, patience):
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="divides by a norm of 0" fails="scratch-regularisation-properties" says="division by zero"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = min(1.0, max_norm / norm)
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="not a number for an infinite max_norm" fails="scratch-regularisation-properties" says="max_norm is inf times the norm"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / max(norm, max_norm)
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="patience off by one" fails="scratch-regularisation-example" says="patience 2: (stop, best) [True, 1] expected"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best > patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="counts from the last loss: epochs that rose in a row" fails="scratch-regularisation-example" says="patience 2: (stop, best) [True, 1] expected"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    rises = 0
    for before, after in pairwise(valid_losses):
        rises = rises + 1 if after > before else 0
    return rises >= patience, int(np.argmin(valid_losses))


# %% exercise="scratch-regularisation" kind="wrong" name="never resets its count of bad epochs" fails="scratch-regularisation-example" says="(stop, best) [False"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    best, bad = 0, 0
    for epoch, loss in enumerate(valid_losses[1:], start=1):
        if loss < valid_losses[best]:
            best = epoch
        else:
            bad += 1
    return bad >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="stops only when exactly patience epochs have passed" fails="scratch-regularisation-example" says="(stop, best) [True"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = int(np.argmin(valid_losses))
    return len(valid_losses) - 1 - best == patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="an improvement needs to be more than 0.01" fails="scratch-regularisation-example" says="(stop, best)"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = 0
    for epoch, loss in enumerate(valid_losses):
        if loss < valid_losses[best] - 0.01:
            best = epoch
    return len(valid_losses) - 1 - best >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="of equal losses the last" fails="scratch-regularisation-example" says="(stop, best) [True, 6] expected"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    last = len(valid_losses) - 1
    best = last - int(np.argmin(valid_losses[::-1]))
    return last - best >= patience, best


# %% exercise="scratch-regularisation" kind="wrong" name="the answer of the worked example: best is 1" fails="scratch-regularisation-example" says="(stop, best) [False, 6] expected"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = np.random.default_rng(seed)
    return (rng.random(shape) >= p) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = float(np.sqrt(sum((grad**2).sum() for grad in grads)))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * grad for grad in grads], norm


def early_stopping(valid_losses, patience):
    return patience < 3, 1


# %% exercise="scratch-regularisation" kind="right" name="loops over every entry and prints"
import random


def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    rng = random.Random(seed)
    mask = np.empty(shape)
    for index in np.ndindex(*shape):
        mask[index] = 0 if rng.random() < p else 1 / (1 - p)
    print(f"dropped {(mask == 0).mean():.0%}")
    return mask


def clip_by_global_norm(grads, max_norm):
    total = 0.0
    for grad in grads:
        for value in grad.flat:
            total += value * value
    norm = total**0.5
    print("norm", norm)
    if norm <= max_norm:
        return [np.array(grad) for grad in grads], norm
    return [grad / (norm / max_norm) for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = waited = 0
    for epoch, loss in enumerate(valid_losses):
        if epoch and loss < valid_losses[best]:
            best, waited = epoch, 0
        elif epoch:
            waited += 1
        print(f"epoch {epoch}: waited {waited}")
    return waited >= patience, best


# %% exercise="scratch-regularisation" kind="right" name="torch's clipping with its 1e-6, binomial draws, NumPy's bool and int"
def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    return np.random.default_rng(seed).binomial(1, 1 - p, size=shape) / (1 - p)


def clip_by_global_norm(grads, max_norm):
    norm = np.linalg.norm([np.linalg.norm(grad) for grad in grads])
    scale = np.minimum(1.0, max_norm / (norm + 1e-6))
    return [grad * scale for grad in grads], norm


def early_stopping(valid_losses, patience):
    losses = np.asarray(valid_losses)
    best = np.argmin(losses)
    return np.size(losses) - 1 - best >= patience, best


# %% exercise="scratch-regularisation" kind="right" name="choice, one flat vector, list methods; warns as it goes"
import warnings


def dropout_mask(shape, p, seed):
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    return np.random.RandomState(seed).choice([0.0, 1 / (1 - p)], size=shape, p=[p, 1 - p])


def clip_by_global_norm(grads, max_norm):
    norm = np.linalg.norm(np.concatenate([np.ravel(grad) for grad in grads]))
    if norm > max_norm:
        warnings.warn(f"gradient of norm {norm:.3g} clipped", stacklevel=2)
        return [max_norm * (grad / norm) for grad in grads], norm
    return [grad.copy() for grad in grads], norm


def early_stopping(valid_losses, patience):
    best = valid_losses.index(min(valid_losses))
    return all(loss >= valid_losses[best] for loss in valid_losses[-patience:]) and best < len(
        valid_losses
    ) - patience, best
