"""The solved exercises of 09_supervised_fine_tuning/lora_and_qlora.

Made from source/09_supervised_fine_tuning/lora_and_qlora.py by `llmlabs build`: edit that file, not this one.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class LoRALinear(nn.Module):
    """A frozen linear layer, `self.base`, with a trainable low-rank update times alpha / r, where r is at least 1.

    Only the parameters `self.A` (r, in) and `self.B` (out, r) are trained; weight and bias (if any) of the base are frozen.
    A and B are float32 whatever the base has, and on its device. At first A is uniform between -1/sqrt(in) and 1/sqrt(in),
    and B is 0.
    """

    def __init__(self, base: nn.Linear, r: int, alpha: float) -> None:
        super().__init__()
        self.base, self.scale = base.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.before_merge: Tensor | None = None
        self.to(base.weight.device)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) -> (..., out), both of the base's dtype, to which A and B are rounded for the product."""
        if self.before_merge is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self) -> None:
        """Add the update to the base's weight, in place, for forward to use; nothing happens if it is merged already."""
        if self.before_merge is None:
            self.before_merge = self.base.weight.detach().clone()
            self.base.weight.data.copy_(self.before_merge + self.scale * self.B.detach() @ self.A.detach())

    def unmerge(self) -> None:
        """Give the base the weight that it had before merge, bit for bit; nothing happens if it is not merged."""
        if self.before_merge is not None:
            self.base.weight.data.copy_(self.before_merge)
            self.before_merge = None


def add_lora(model: nn.Module, targets: Sequence[str], r: int, alpha: float) -> int:
    """Freeze a model and put `LoRALinear(layer, r, alpha)` in the place of some of its linear layers.

    Args:
        model: any model, changed in place; all of its own parameters are frozen.
        targets: each `nn.Linear` whose path has one of these names as its whole last part gets an adapter.
        r, alpha: of every adapter.

    Returns:
        The number of parameters that are trained now.

    Raises:
        ValueError: if one of the targets is the name of no linear layer. The model is then unchanged.
    """
    linear = [(path, layer) for path, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    if unknown := set(targets) - {path.rpartition(".")[2] for path, _ in linear}:
        raise ValueError(f"no linear layer is named {sorted(unknown)}")
    model.requires_grad_(False)
    for path, layer in linear:
        parent, _, name = path.rpartition(".")
        if name in targets:
            setattr(model.get_submodule(parent), name, LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return {name in PEFT's file: a copy, without gradient} for the parameters of a model named `...A` or `...B`, no others.

    The adapters' parameters, and none of the model's own, have names that end in `.A` or `.B`.
    """
    adapters = {name: p.detach().clone() for name, p in model.named_parameters() if name.endswith((".A", ".B"))}
    return {f"base_model.model.{name[:-2]}.lora_{name[-1]}.weight": tensor for name, tensor in adapters.items()}


def training_bytes(config: Mapping[str, Any], targets: Sequence[str], r: int, method: str) -> dict[str, float]:
    """Count the parameters and bytes of fine-tuning a Llama, by the two tables above.

    Args:
        config: the sizes, under the names in the text above, and tie_word_embeddings: whether the output layer is tied.
        targets, r: which of the seven kinds of matrices get an adapter of rank r. With "full" there are no adapters.
        method: "full", "lora" or "qlora".

    Returns:
        {"parameters": of the model, without adapters; "trained": how many are trained; "weights", "gradients",
        "optimizer": bytes}. Shares of a block count as fractions: nothing is rounded up.

    Raises:
        ValueError: for any other method, or a target that is not one of the seven names.
    """
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    sizes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    sizes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora") or set(targets) - set(sizes):
        raise ValueError(f"unknown method {method!r}, or unknown targets among {targets}")
    linear = layers * sum(n * m for n, m in sizes.values())
    n = linear + layers * 2 * d + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    if method == "full":
        return {"parameters": n, "trained": n, "weights": 2 * n, "gradients": 2 * n, "optimizer": 12 * n}
    adapter = layers * r * sum(sum(sizes[name]) for name in targets)
    found = {"parameters": n, "trained": adapter, "gradients": 4 * adapter, "optimizer": 8 * adapter}
    each = 2 if method == "lora" else (4 + 8 / 64 + 32 / (64 * 256)) / 8
    return found | {"weights": each * linear + 2 * (n - linear) + 4 * adapter}


def same_answer(query: str, gold: str, run: Callable[[str], list[tuple] | None]) -> bool:
    """Whether a query gives the rows that the gold query gives, each as often.

    Args:
        query, gold: SQL. If gold contains ORDER BY, in capital or small letters, the order of the rows counts, else not.
        run: runs a query and returns its rows, or None if the database refuses it; such a query is wrong.

    Raises:
        ValueError: if the gold query does not run.
    """
    expected, rows = run(gold), run(query)
    if expected is None:
        raise ValueError(f"the gold query does not run: {gold}")
    if rows is None or "order by" in gold.lower():
        return rows == expected
    return sorted(rows, key=repr) == sorted(expected, key=repr)


def nf4_code() -> Tensor:
    """Return the 16 values of NF4, ascending from -1 to 1: float32, shape (16,)."""
    delta = (1 / 32 + 1 / 30) / 2
    above, below = (torch.special.ndtri(torch.linspace(1 - delta, 0.5, n).double()[:-1]) for n in (9, 8))
    values = torch.cat([-below, torch.zeros(1).double(), above.flip(0)])
    return (values / values.max()).float()


def quantize_nf4(weight: Tensor, block: int = 64) -> tuple[Tensor, Tensor]:
    """Round n weights to NF4.

    Args:
        weight: float32, bfloat16 or float16, of any shape; not changed.
        block: how many weights share an absmax; even.

    Returns:
        (packed, absmax): uint8 of shape (n / 2,), two codes a byte, and float32 of shape (n / block,). A code is the
        number of the nearest value of nf4_code(), from 0. The weights of a block that is all 0 get the code of 0.

    Raises:
        ValueError: if n is not a multiple of block.
    """
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights cannot be cut into blocks of {block}")
    blocks, code = weight.detach().float().reshape(-1, block), nf4_code().to(weight.device)
    absmax = blocks.abs().amax(dim=1)
    shares = (blocks / absmax.clamp(min=1e-38)[:, None]).flatten()
    codes = torch.bucketize(shares, (code[:-1] + code[1:]) / 2).to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed: Tensor, absmax: Tensor, shape: Sequence[int], block: int = 64) -> Tensor:
    """Turn packed and absmax of quantize_nf4, with the same block, back into a float32 tensor of this shape."""
    codes = torch.stack([packed // 16, packed % 16], dim=1).int()
    return (nf4_code().to(packed.device)[codes].reshape(-1, block) * absmax[:, None]).reshape(tuple(shape))


def quantize_scales(absmax: Tensor, code8: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Quantise n absmaxes to 8 bits, in blocks of 256, the last of which may be shorter.

    Args:
        absmax: float32 of shape (n,), not changed.
        code8: the 256 values, float32, ascending.

    Returns:
        (codes, absmax2, mean): uint8 of shape (n,), float32 with one entry a block, float32 of shape (). The codes are those
        of the values nearest to (absmax - mean) / absmax2, or of the value 0 if absmax2 is 0.
    """
    mean = absmax.mean()
    blocks = functional.pad(absmax - mean, (0, -len(absmax) % 256)).view(-1, 256)
    absmax2 = blocks.abs().amax(dim=1)
    shares = blocks / absmax2.clamp(min=1e-38)[:, None]
    codes = torch.bucketize(shares, (code8[:-1] + code8[1:]) / 2).to(torch.uint8)
    return codes.flatten()[: len(absmax)], absmax2, mean


class FrozenProduct(torch.autograd.Function):
    """FrozenProduct.apply(x, layer): x times the frozen weight of a QLoRALinear, for its forward. Not tested by itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: "QLoRALinear") -> Tensor:
        """x (..., in) -> (..., out), of x's dtype; ctx keeps the layer, never its weight in floats."""
        ctx.layer = layer
        return x @ layer.weight().to(x.dtype).T

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """grad, the gradient by the product, (..., out) -> (the gradient by x, None for the layer)."""
        return grad @ ctx.layer.weight().to(grad.dtype), None


class QLoRALinear(nn.Module):
    """A linear layer in NF4, in blocks of 64, with double quantisation by code8, and an update as in LoRALinear.

    Of base, a float32 or bfloat16 layer, only the bias, if any, is kept, and frozen. The parameters `self.A` and `self.B`
    are trained; r, alpha, their shapes, type and start are those of LoRALinear. Beside A, B, bias and code8 the layer holds
    at most 0.53 bytes for each weight. Use quantize_nf4 and dequantize_nf4.
    """

    def __init__(self, base: nn.Linear, r: int, alpha: float, code8: Tensor) -> None:
        super().__init__()
        packed, absmax = quantize_nf4(base.weight)
        small = (packed, *quantize_scales(absmax, code8), code8)
        for name, tensor in zip(("packed", "codes", "absmax2", "mean", "code8"), small, strict=True):
            self.register_buffer(name, tensor)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        self.bias = None if base.bias is None else base.bias.requires_grad_(False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.to(base.weight.device)

    def weight(self) -> Tensor:
        """The dequantised weight: float32, shape (out, in), made anew at each call."""
        packed, codes, absmax2, mean, code8 = self.buffers()
        absmax = code8[codes.int()] * absmax2.repeat_interleave(256)[: len(codes)] + mean
        return dequantize_nf4(packed, absmax, self.shape)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) -> (..., out), of x's dtype; gradients reach x, A and B; autograd keeps no float weight."""
        out = FrozenProduct.apply(x, self) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)
        return out if self.bias is None else out + self.bias.to(x.dtype)


def bottleneck(h: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """Houlsby's adapter: h (..., d), down = D (m, d), up = U (d, m) -> (..., d). h is not changed."""
    return h + (h @ down.T).relu() @ up.T


def ia3(x: Tensor, weight: Tensor, factors: Tensor) -> Tensor:
    """IA3: x (..., in), weight W (out, in), factors (out,) -> (..., out)."""
    return (x @ weight.T) * factors


def dora(x: Tensor, weight: Tensor, a: Tensor, b: Tensor, magnitude: Tensor, scale: float) -> Tensor:
    """DoRA: x (..., in), weight W (out, in), a = A (r, in), b = B (out, r), magnitude m (out,), scale s -> (..., out).

    No gradient flows through the lengths of the rows of V.
    """
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet: list[Tensor], slopes: list[Tensor]) -> Tensor:
    """AdaLoRA: triplet = [P (out, r), lambda (r,), Q (r, in)] of a matrix, slopes: their gradients -> importances (r,).

    No tensor is changed.
    """
    p, values, q = ((w * g).abs() for w, g in zip(triplet, slopes, strict=True))
    return values + p.mean(dim=0) + q.mean(dim=1)
