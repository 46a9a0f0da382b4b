"""What tests of the labs on adapters check of a layer of the notebook, in messages that name the likely mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from llmlabs.lab.fine_tuning import assert_near, bytes_kept_for_backward, held_bytes
from llmlabs.lab.testing import gradient_of, inside, load_parameters, parameter_gradients, parameters_of

if TYPE_CHECKING:
    import torch

NF4_BYTES: Final = (4 + 8 / 64 + 32 / (64 * 256)) / 8
"""Of a weight in NF4 with double quantisation: its code, its share of an 8-bit scale and of a float32 one."""

HINTS: Final = {
    "parameters": "narrow keys and values? two norms a layer and one at the end? an output layer of its own if untied?",
    "trained": "with full all, else r (in + out) for each target in each layer?",
    "weights": "2 bytes each, 4 in adapters; with qlora the seven kinds of matrices alone in 4 bits, plus both scales?",
    "gradients": "only of what is trained, 2 bytes with full, 4 in adapters?",
    "optimizer": "12 bytes with a float32 copy, 8 without?",
}
"""The likely mistake, for each number that `check_bytes` looks at."""


def check_gradients(
    layer: torch.nn.Module, x: torch.Tensor, total: torch.Tensor, scale: float, why: str, share: float
) -> None:
    """Raise AssertionError unless gradients by x, A and B of an adapted linear layer are right.

    Looked at are the gradients of the sum of the outputs, and that by x of a sum in which outputs weigh differently.

    Args:
        layer: with the parameters `A` (r, in) and `B` (out, r).
        x: inputs (..., in).
        total: weight and update together, (out, in).
        scale: of the update: alpha / r.
        why: what was given; messages begin with it.
        share: how far an entry may be off, as a share of the largest.
    """
    import torch

    own = {name: value.float() for name, value in parameters_of(layer).items()}
    sums = x.float().flatten(0, -2).sum(0)
    # x needs a gradient as well, or nothing would where A and B are detached
    slopes = {"x": gradient_of(layer, x)[0], **parameter_gradients(layer, x.detach().clone().requires_grad_())}
    wanted = {"x": total.sum(0).expand(x.shape), "A": scale * own["B"].sum(0)[:, None] * sums}
    for name, want in (wanted | {"B": scale * (own["A"] @ sums).expand(own["B"].shape)}).items():
        assert_near(slopes[name], want, f"{why}: gradient by {name}; does it flow through both paths, scaled?", share)
    g = torch.linspace(-1, 2, total.shape[0]).to(x.dtype)
    after = inside(torch.nn.Linear, len(g), 1, bias=False, dtype=x.dtype)
    load_parameters(after, {"weight": g[None]})
    got = gradient_of(inside(torch.nn.Sequential, layer, after), x)[0]
    hint = "gradient by x where that by the outputs runs from -1 to 2; is it used?"
    assert_near(got, (g.float() @ total).expand(x.shape), f"{why}: {hint}", share)


def check_merging(
    layer: Any, x: torch.Tensor, out: torch.Tensor, merged: torch.Tensor, weight: torch.Tensor, why: str, share: float
) -> None:
    """Raise AssertionError unless a LoRA layer merges once, unmerges bit for bit, and computes the same throughout.

    Args:
        layer: with the parameter `base.weight` and the methods `merge` and `unmerge`.
        x, out: inputs, and the outputs that are due.
        merged, weight: the weight with the update and without.
        why, share: as for `check_gradients`.
    """
    for step in ("merge", "a second merge", "unmerge", "a second unmerge", "merge again", "unmerge again"):
        (layer.unmerge if "unmerge" in step else layer.merge)()
        got = parameters_of(layer)["base.weight"]
        want = weight if "unmerge" in step else merged
        assert_near(got, want, f"{why}: weight after {step}: W + (alpha / r) BA if merged, else W, expected", share)
        assert_near(
            layer(x), out, f"{why}: outputs after {step}: the same merged or not; is the update added once?", share
        )
    if not bool((got == weight).all()):
        raise AssertionError(f"{why}: unmerge should restore the weight bit for bit; subtracting rounds")


def check_bytes(found: Mapping[str, float], counts: Mapping[str, int], method: str, why: str) -> None:
    """Raise AssertionError unless parameters and bytes of fine-tuning are right.

    Args:
        found: what the notebook counts.
        counts: of transformers and PEFT: {"linear", "other", "adapter"}.
        method: "full", "lora" or "qlora".
        why: what was given; messages begin with it.
    """
    model, adapter = counts["linear"] + counts["other"], counts["adapter"]
    linear = (NF4_BYTES if method == "qlora" else 2) * counts["linear"]
    weights = linear + 2 * counts["other"] + 4 * adapter
    due: dict[str, float] = {"trained": adapter, "weights": weights, "gradients": 4 * adapter, "optimizer": 8 * adapter}
    if method == "full":
        due = {"trained": model, "weights": 2 * model, "gradients": 2 * model, "optimizer": 12 * model}
    for part, right in ({"parameters": model} | due).items():
        if abs(found[part] - right) > 0.01:
            raise AssertionError(f"{why}, {part}: {right:.1f} expected, got {found[part]:.1f}; {HINTS[part]}")


def check_scales(
    function: Callable[[torch.Tensor, torch.Tensor], Any], absmax: torch.Tensor, code8: torch.Tensor, want: torch.Tensor
) -> None:
    """Raise AssertionError unless absmaxes are rightly quantised to 8 bits in blocks of 256.

    Args:
        function: (absmax, code8) -> (codes, absmax2, mean).
        absmax: float32 of shape (n,).
        code8: the 256 values.
        want: the absmaxes that are due when they have been turned back.
    """
    import torch

    n, given, (codes, absmax2, mean) = len(absmax), absmax.clone(), function(absmax, code8)
    if not torch.equal(absmax, given):
        raise AssertionError(f"quantize_scales changed the {n} absmaxes")
    found, sizes = (codes.dtype, len(codes), len(absmax2)), (torch.uint8, n, -(-n // 256))
    if found != sizes:
        raise AssertionError(
            f"{n} absmaxes: type and number of codes, number of absmax2: {sizes} expected, got {found}"
        )
    if bool((given == given[0]).all()) and (absmax2.any() or code8[codes.int()].any()):
        raise AssertionError(f"{n} equal absmaxes: absmax2 is 0, and so is the value of each code; 0 / 0 is NaN")
    back = code8[codes.int()] * absmax2.repeat_interleave(256)[:n] + mean
    off = 1 - float(((back - want).abs() < 1e-6).float().mean())
    # one value in 200 may lie on a border and go either way by rounding
    if off > 0.005:
        raise AssertionError(
            f"{n} absmaxes: {off:.1%} come back other than expected: minus mean? blocks of 256? nearest value?"
        )


def check_memory(layer: torch.nn.Module, x: torch.Tensor, weights: int, others: int, why: str) -> None:
    """Raise AssertionError unless a QLoRA layer holds codes for its weights, and autograd keeps no float weight.

    Args:
        layer: with the parameters `A` and `B`.
        x: inputs.
        weights: how many the frozen matrix has.
        others: bytes of what the layer may hold beside A, B and the codes.
        why: what was given; messages begin with it.
    """
    own = sum(value.nbytes for name, value in parameters_of(layer).items() if name in ("A", "B")) + others
    held, kept = (held_bytes(layer) - own) / weights, bytes_kept_for_backward(layer, x)
    if held > 0.53:
        raise AssertionError(
            f"{why}: beside A, B, bias and code8 it holds {held:.2f} bytes a weight, at most 0.53 expected"
        )
    limit = 0.6 * weights + 3 * own + 4 * x.nbytes  # codes may be kept, floats may not
    if kept > limit:
        raise AssertionError(f"{why}: autograd keeps {kept} bytes, under {limit:.0f} expected: a float weight? on ctx?")
