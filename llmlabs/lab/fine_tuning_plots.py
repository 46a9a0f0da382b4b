"""The pictures of the labs on fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    import torch


def plot_memory(sizes: Mapping[tuple[str, str], float], limit: float) -> None:
    """Bars of gigabytes on a logarithmic axis, for each (model, method), and a line at `limit` gigabytes."""
    colours = {"full": "C3", "lora": "C1", "qlora": "C0"}
    _, ax = plt.subplots(figsize=(8, 2.8))
    for (model, method), size in sizes.items():
        bar = ax.barh(f"{model}, {method}", size, color=colours[method])
        ax.bar_label(bar, [f"{size:.3g}"], padding=4, fontsize=9, bbox={"fc": "white", "ec": "none", "pad": 1})
    ax.axvline(limit, color="black", linestyle="--", zorder=0, label=f"{limit:g} GB: a large consumer card")
    ax.set(xscale="log", xlabel="GB, without activations", xlim=(0.1, 2000))
    ax.set_title("On one consumer card: 7 billion with LoRA, 34 billion only in 4 bits")
    ax.invert_yaxis()
    ax.legend()
    plt.show()


def plot_training(losses: Sequence[float], before: float, after: float) -> None:
    """The loss of each step, and the loss on held-out topics before and after all of them."""
    steps = len(losses)
    plt.figure(figsize=(8, 2.6))
    plt.plot(range(1, steps + 1), losses, "-o", markersize=4, label="training batches")
    plt.plot([0, steps], [before, after], "D", color="C3", label="held-out topics, before and after")
    plt.gca().set(title=f"{steps} steps teach SmolLM2 the bank's SQL", xlabel="step", ylabel="loss (nats a token)")
    plt.legend()
    plt.show()


def plot_codes(weight: torch.Tensor, codes: Mapping[str, torch.Tensor], block: int = 64) -> None:
    """How weights, in units of their block's absmax, lie between the 16 values of two codes; print the codes' errors.

    Args:
        weight: a matrix whose size is a multiple of `block`.
        codes: two names, each with 16 ascending values from -1 to 1.
        block: how many weights share an absmax.
    """
    import torch

    blocks = weight.detach().float().cpu().reshape(-1, block)
    shares = blocks / blocks.abs().amax(1, keepdim=True)
    _, axes = plt.subplots(1, 2, figsize=(8, 2.8))
    counts, _, _ = axes[0].hist(shares.flatten().numpy(), bins=100, color="C5")
    for number, (name, values) in enumerate(codes.items()):
        colour, low = ("C3", "C7")[number], -counts.max() * (0.06 + 0.09 * number)
        axes[0].plot(values, torch.full((16,), low), "|", color=colour, markersize=8, markeredgewidth=2)
        nearest = torch.bucketize(shares, (values[1:] + values[:-1]) / 2)
        used = 100 * torch.bincount(nearest.flatten(), minlength=16) / nearest.numel()
        error = float((values[nearest] - shares).norm() / shares.norm())
        axes[1].bar(torch.arange(16) + 0.4 * number - 0.2, used, 0.4, label=name, color=colour)
        held = f"a code holds {float(used.min()):.1f} to {float(used.max()):.1f} % of the weights"
        print(f"{name:>10}: error {error:.1%} of the weights' size; {held}")
    axes[0].set(
        title="NF4 (red) is dense where the weights are", xlabel="weight / absmax of its block", ylabel="weights"
    )
    axes[1].set(title="NF4 uses its codes more evenly", xlabel="code", ylabel="weights (%)", ylim=(0, 18))
    axes[1].set_xticks(range(0, 16, 3))
    axes[1].legend(ncols=2)
    plt.show()


def plot_forgetting(paths: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """The way of each method: (loss on the new task, loss on the old text), every ten steps."""
    _, ax = plt.subplots(figsize=(8, 3.4))
    for (name, path), style in zip(paths.items(), ("-o", "-s", "-v", "-D", ":^"), strict=False):
        ax.plot(*zip(*path, strict=True), style, label=name)
    ax.invert_xaxis()
    ax.set_title("Full fine-tuning learns most and forgets most; 4 bits change little")
    ax.set(xlabel="loss on held-out questions (nats a token; right is better)", ylabel="loss on Austen (nats a token)")
    ax.legend(fontsize=9)
    plt.show()
