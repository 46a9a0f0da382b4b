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
# # LoRA and QLoRA
#
# You will write LoRA as its paper has it, merge it into a model and take it out again without a trace, put the model under it into 4 bits with NF4 and double quantisation, and train through those 4 bits. With your layers SmolLM2 (the Instruct version), a real language model of 135 million parameters, learns in a few steps to answer questions about a bank's documents with SQL that runs. You then measure what full fine-tuning, LoRA and QLoRA each learn and each forget. PEFT, bitsandbytes and TRL, the libraries that people in the field use, are the examiners: your numbers must agree with theirs.
#
# Later exercises call earlier pieces as `reference.name`, for example `reference.LoRALinear`. That module holds the course's own solutions, so an exercise that you have not solved never blocks the next one.

# %% tags=["parameters"] nbgrader={"grade": false, "grade_id": "lora-and-qlora-parameters", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
SCALE = "cpu"  # "gpu" trains for longer, fine-tunes all of SmolLM2 as well, and puts Code Llama 7B into 4 bits

# %% nbgrader={"grade": false, "grade_id": "lora-and-qlora-imports", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
import math
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from numpy.testing import assert_raises
from torch import Tensor, bfloat16, float16, float32, nn
from torch.nn import functional

from llmlabs.lab import adapter_checks, adapter_oracles, fine_tuning, fine_tuning_plots
from llmlabs.lab.bank_sql import SCHEMA, bank_database, bank_questions, rows_of
from llmlabs.lab.data import austen
from llmlabs.lab.fine_tuning import assert_near, fit, score, sft_batch
from llmlabs.lab.models import smollm2
from llmlabs.lab.oracles import tiny_llama
from llmlabs.lab.pieces import own_pieces
from llmlabs.lab.plotting import use_course_style
from llmlabs.lab.reference import lora_and_qlora as reference
from llmlabs.lab.testing import gradient_of, inside, load_parameters, parameters_of, seed

use_course_style()
torch.manual_seed(0)
DEVICE = "cuda" if SCALE == "gpu" else "cpu"
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
smol, tokenizer = smollm2(torch.bfloat16)
smol = smol.to(DEVICE).requires_grad_(False)

# %% [markdown]
# ## 1. LoRA: learn the change, not the matrix
#
# **Full fine-tuning** moves every weight of a model. For each it keeps a gradient and the optimizer's two averages, and each task leaves behind a whole new model. **Parameter-efficient fine-tuning** (PEFT) freezes the model and trains something small beside it. **LoRA** (low-rank adaptation; Hu et al. 2021, section 4.1) bets that the *change* of a matrix has a low rank. A linear layer with frozen weights $W$ of shape $(d_\mathrm{out}, d_\mathrm{in})$ and bias $b$ becomes
#
# $$h = Wx + b + \frac{\alpha}{r}\, B\,(A x)$$
#
# - $x \in \mathbb{R}^{d_\mathrm{in}}$ is the input, $h \in \mathbb{R}^{d_\mathrm{out}}$ the output. In code, $x$ may have any leading dimensions: shape $(\dots, d_\mathrm{in})$.
# - $A$ of shape $(r, d_\mathrm{in})$ squeezes the input into $r$ numbers, $B$ of shape $(d_\mathrm{out}, r)$ spreads them out again. $r$, the **rank**, is small: 4 to 64. Only $A$ and $B$ are trained: $r(d_\mathrm{in} + d_\mathrm{out})$ numbers instead of $d_\mathrm{in} d_\mathrm{out}$.
# - $\alpha / r$ scales the update, so that you can change $r$ and keep the learning rate.
# - **Start:** $B = 0$, so at first nothing changes. $A$ is random, for if both were 0, the gradient of each, which is multiplied by the other, would be 0 for ever. The paper draws $A$ from a normal distribution; its authors' code and PEFT draw it uniformly between $\pm 1/\sqrt{d_\mathrm{in}}$, and so do we.
#
# After training the update can be **merged**: $W + \frac{\alpha}{r} BA$ is one matrix, and the model is as fast as before. To go back, subtract? On paper. In floating point $(W + \Delta) - \Delta$ is not always $W$: bfloat16 has eight significant bits, and what was rounded away stays lost. So we keep the old weights until they are asked for.
#
# **By hand.** $W = \begin{pmatrix}1 & 2\\ 3 & 4\end{pmatrix}$, $A = (1, 1)$, $B = \begin{pmatrix}1\\ 0\end{pmatrix}$, $r = 1$, $\alpha = 2$, $x = (1, 0)$. $Wx = (1, 3)$; $Ax = 1$; $B \cdot 1 = (1, 0)$, times $\alpha/r = 2$ is $(2, 0)$; so $h = (3, 3)$. Merged: $W + 2BA = \begin{pmatrix}3 & 4\\ 3 & 4\end{pmatrix}$, which sends $x$ to $(3, 3)$ too.
#
# <details><summary>Hint 1</summary>Rows of a batch are inputs, so Ax is <code>x @ A.T</code>, as in torch's own linear layer. <code>nn.Parameter(torch.zeros(...))</code> makes a tensor that is trained; <code>base.requires_grad_(False)</code> freezes a module.</details>
# <details><summary>Hint 2</summary>In merge, keep <code>self.base.weight.detach().clone()</code>; then <code>self.base.weight.data.copy_(...)</code> writes into the frozen weight. Whether a copy is being kept also tells whether the layer is merged, which forward needs to know.</details>


# %% nbgrader={"grade": false, "grade_id": "lora-linear", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
class LoRALinear(nn.Module):
    """A frozen linear layer, `self.base`, with a trainable low-rank update times alpha / r, where r is at least 1.

    Only the parameters `self.A` (r, in) and `self.B` (out, r) are trained; weight and bias (if any) of the base are frozen.
    A and B are float32 whatever the base has, and on its device. At first A is uniform between -1/sqrt(in) and 1/sqrt(in),
    and B is 0.
    """

    def __init__(self, base: nn.Linear, r: int, alpha: float) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.base, self.scale = base.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.before_merge: Tensor | None = None
        self.to(base.weight.device)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) -> (..., out), both of the base's dtype, to which A and B are rounded for the product."""
        ### BEGIN SOLUTION
        if self.before_merge is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)
        ### END SOLUTION

    def merge(self) -> None:
        """Add the update to the base's weight, in place, for forward to use; nothing happens if it is merged already."""
        ### BEGIN SOLUTION
        if self.before_merge is None:
            self.before_merge = self.base.weight.detach().clone()
            self.base.weight.data.copy_(self.before_merge + self.scale * self.B.detach() @ self.A.detach())
        ### END SOLUTION

    def unmerge(self) -> None:
        """Give the base the weight that it had before merge, bit for bit; nothing happens if it is not merged."""
        ### BEGIN SOLUTION
        if self.before_merge is not None:
            self.base.weight.data.copy_(self.before_merge)
            self.before_merge = None
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "lora-linear-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
layer, changed = LoRALinear(inside(nn.Linear, 2, 2, bias=False), 1, 2.0), [1.0]
### BEGIN HIDDEN TESTS
changed += [float(random.Random(seed("lora-linear-example")).randint(2, 9))]
### END HIDDEN TESTS
for b in changed:
    load_parameters(layer, {"base.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "A": torch.ones(1, 2)})
    load_parameters(layer, {"B": torch.tensor([[b], [0.0]])})
    merged, why = torch.tensor([[1 + 2 * b, 2 + 2 * b], [3.0, 4.0]]), f"example by hand, but B = ({b}, 0)"
    assert_near(layer(torch.tensor([1.0, 0.0])), merged[:, 0], f"{why}: Wx + (alpha / r) B(Ax)?")
    layer.merge()
    assert_near(parameters_of(layer)["base.weight"], merged, f"{why}: merged weight W + (alpha / r) BA?")
    assert_near(layer(torch.tensor([1.0, 0.0])), merged[:, 0], f"{why}, merged: is the update added a second time?")
    layer.unmerge()

# %% nbgrader={"grade": true, "grade_id": "lora-linear-properties", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
# Tested here: start of A and B, what is trained, outputs and merged weights against PEFT, gradients, dtypes, exact unmerging.
### BEGIN HIDDEN TESTS
rng = torch.Generator().manual_seed(seed("lora-linear-properties"))
fine_tuning.check_start(LoRALinear(inside(nn.Linear, 300, 200, dtype=bfloat16), 100, 1.0), 300, 200, 100)
# bfloat16 has 8 significant bits, and a few roundings add up; float32 sums of 5 terms are good to 1e-6
for r, alpha, dtype, share in ((3, 4.0, float32, 1e-5), (2, 16.0, float32, 1e-5), (3, 8.0, bfloat16, 0.04)):
    w, a, b, x = (torch.randn(s, generator=rng) for s in ((6, 5), (r, 5), (6, r), (2, 4, 5)))
    w, x, bias, why = w.to(dtype), x.to(dtype), w[:, 0].to(dtype), f"5 inputs, 6 outputs, r {r}, alpha {alpha}, {dtype}"
    layer = LoRALinear(inside(nn.Linear, 5, 6, dtype=dtype), r, alpha)
    load_parameters(layer, {"A": a, "B": b, "base.weight": w, "base.bias": bias})
    out, merged = adapter_oracles.peft_lora(x.float(), w.float(), a, b, alpha)
    out = out + bias.float()
    assert_near(layer(x), out, f"{why}, outputs against PEFT: bias kept? alpha / r?", share, dtype)
    adapter_checks.check_gradients(layer, x, merged, alpha / r, why, share)
    adapter_checks.check_merging(layer, x, out, merged, w, why, share)
### END HIDDEN TESTS

# %% [markdown]
# **Use it: swapping adapters.** A server that switches between tasks merges one adapter, takes it out, merges the next. Here one adapter goes in and out of a real matrix of SmolLM2 in bfloat16, by PEFT, which subtracts, and by your layer.

# %% nbgrader={"grade": false, "grade_id": "lora-and-qlora-swaps", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
layer = LoRALinear(deepcopy(smol.model.layers[0].self_attn.q_proj).cpu(), 8, 16.0)
weight, _ = layer.base.weight.detach().clone(), nn.init.normal_(layer.B, std=0.02)
for times in (1, 10, 100):
    for change in [layer.merge, layer.unmerge] * times:
        change()
    weights = adapter_oracles.peft_swaps(weight, layer.A, layer.B, 16.0, times), layer.base.weight
    changed = [f"{(w != weight).float().mean():.1%}" for w in weights]
    print(f"{times:3} times in and out: {changed[0]} of the weights changed by PEFT, {changed[1]} by you")

# %% [markdown]
# *Think:* your layer pays for exactness with a second copy of each merged matrix. When is that cheap? And which third way needs neither: what does a server do that never merges at all?
#
# ## 2. Which matrices, which rank?
#
# A transformer has many linear layers. Each layer of Llama, and of SmolLM2, has seven: `q_proj`, `k_proj`, `v_proj`, `o_proj` in the attention and `gate_proj`, `up_proj`, `down_proj` in the feed-forward part. Hu et al. adapted only the attention; with a fixed number of parameters they found a small rank on several matrices better than a large rank on one (sections 4.2, 7.1). Dettmers et al. 2023 found that LoRA reaches full fine-tuning only when *all* linear layers have an adapter, and that the rank then matters little (QLoRA, section 4). Section 8 lets a rank of 2 on all seven compete with a rank of 16 on two of them.
#
# To put LoRA into a model that somebody else has written, walk over its modules, and put a `LoRALinear` in the place of each `nn.Linear` that is meant. A module is known by its path, such as `model.layers.0.self_attn.q_proj`; its parent is the module at the path without the last part.
#
# **An adapter is a file.** What comes out of all this is a small file, `adapter_model.safetensors` in PEFT's format, which the hub and most servers read. It maps names to tensors. Our layer at the path `model.layers.0.self_attn.q_proj` has the parameters `model.layers.0.self_attn.q_proj.A` and `....B`; in the file they are called
#
#     base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight
#     base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight
#
# The prefix `base_model.model.` comes from PEFT's two wrappers; after it our path follows as it is.
#
# **By hand.** A layer with 24 inputs and 12 outputs gets, for $r = 2$, an $A$ of shape $(2, 24)$ and a $B$ of shape $(12, 2)$: $2 \cdot (24 + 12) = 72$ parameters. Three such layers: 216. A model with the adapted layer `head` (3 inputs, 2 outputs, $r = 1$) has the parameters `head.base.weight`, `head.base.bias`, `head.A` and `head.B`. Its file holds `base_model.model.head.lora_A.weight`, of shape $(1, 3)$, and `base_model.model.head.lora_B.weight`, of shape $(2, 1)$.
#
# <details><summary>Hint 1</summary>Make a list of <code>model.named_modules()</code> before you change anything. <code>path.rpartition(".")</code> cuts off the last part of a path, <code>model.get_submodule(path)</code> finds a module.</details>
# <details><summary>Hint 2</summary>Freeze the model first and put the layers in afterwards, so that A and B stay trainable. <code>setattr(parent, name, new)</code> replaces a module.</details>
# <details><summary>Hint 3</summary>A name of <code>model.named_parameters()</code> ends in .A or .B if it belongs to an adapter. A copy that does not follow the model is <code>parameter.detach().clone()</code>.</details>


# %% nbgrader={"grade": false, "grade_id": "lora-inject", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def add_lora(model: nn.Module, targets: Sequence[str], r: int, alpha: float) -> int:
    """Freeze a model and put `reference.LoRALinear(layer, r, alpha)` in the place of some of its linear layers.

    Args:
        model: any model, changed in place; all of its own parameters are frozen.
        targets: each `nn.Linear` whose path has one of these names as its whole last part gets an adapter.
        r, alpha: of every adapter.

    Returns:
        The number of parameters that are trained now.

    Raises:
        ValueError: if one of the targets is the name of no linear layer. The model is then unchanged.
    """
    ### BEGIN SOLUTION
    linear = [(path, layer) for path, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    if unknown := set(targets) - {path.rpartition(".")[2] for path, _ in linear}:
        raise ValueError(f"no linear layer is named {sorted(unknown)}")
    model.requires_grad_(False)
    for path, layer in linear:
        parent, _, name = path.rpartition(".")
        if name in targets:
            setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
    ### END SOLUTION


def adapter_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return {name in PEFT's file: a copy, without gradient} for the parameters of a model named `...A` or `...B`, no others.

    The adapters' parameters, and none of the model's own, have names that end in `.A` or `.B`.
    """
    ### BEGIN SOLUTION
    adapters = {name: p.detach().clone() for name, p in model.named_parameters() if name.endswith((".A", ".B"))}
    return {f"base_model.model.{name[:-2]}.lora_{name[-1]}.weight": tensor for name, tensor in adapters.items()}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "lora-inject-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
cases = [(["v_proj"], 2, 216)]  # tiny_llama: three layers, width 24; values have 12 outputs
### BEGIN HIDDEN TESTS
r = random.Random(seed("lora-inject-example")).randint(3, 9)
cases += [(["v_proj"], r, 108 * r), (["q_proj", "down_proj"], r, (144 + 168) * r)]  # the feed-forward part is 32 wide
### END HIDDEN TESTS
for targets, r, expected in cases:
    got = add_lora(inside(tiny_llama, 0), targets, r, 4.0)
    assert got == expected, f"{targets}, r {r}: r (in + out) for each of three layers, {expected} expected, got {got}"
model = inside(nn.ModuleDict, {"head": inside(reference.LoRALinear, inside(nn.Linear, 3, 2), 1, 1.0)})
saved = {name: tuple(tensor.shape) for name, tensor in adapter_tensors(model).items()}
expected = {"base_model.model.head.lora_A.weight": (1, 3), "base_model.model.head.lora_B.weight": (2, 1)}
assert saved == expected, f"adapter_tensors, the example by hand: {expected} expected, got {saved}"

# %% nbgrader={"grade": true, "grade_id": "lora-inject-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: which layers get adapters, all else frozen, PEFT loads what is saved, logits, copies, unknown names.
### BEGIN HIDDEN TESTS
ids, x, draw = torch.tensor([[3, 1, 4, 15, 9, 26]]), torch.ones(2), seed("lora-inject-properties")
rng, plain = torch.Generator().manual_seed(draw), tiny_llama(draw)(input_ids=ids).logits
for targets, r in ((["q_proj", "v_proj"], 2), (list(ALL_LINEAR), 4), (["up_proj"], 1)):
    model, why = inside(tiny_llama, draw), f"targets {targets}, r {r}"
    count, expected = add_lora(model, targets, r, 3.0 * r), adapter_oracles.adapter_shapes(targets, r)
    wrong = sorted(fine_tuning.trainable_shapes(model).items() ^ expected.items())[:3]
    assert not wrong, f"{why}: what is trained differs from PEFT, for example {wrong}; is all else frozen?"
    assert count == sum(map(math.prod, expected.values())), f"{why}: {count} returned; sum the sizes of {expected}"
    assert_near(fine_tuning.logits_of(model, ids), plain, f"{why}: while B is 0, no logit may change")
    load_parameters(model, {name: torch.randn(shape, generator=rng) / 5 for name, shape in expected.items()})
    logits, saved = fine_tuning.logits_of(model, ids), adapter_tensors(model)
    wrong = sorted(saved.keys() ^ {f"base_model.model.{n[:-1]}lora_{n[-1]}.weight" for n in expected})[:3]
    assert not wrong, f"{why}: saved names differ from PEFT's, for example {wrong}"
    tied = fine_tuning.not_copied(adapter_tensors, model)
    assert not tied, f"{why}: the saved tensors should be copies, without a gradient, but {tied}"
    by_peft = adapter_oracles.logits_with_adapter(draw, targets, r, 3.0 * r, saved, ids)
    assert_near(logits, by_peft, f"{why}: logits of PEFT with what you saved; r and alpha passed on?")
layer, own = inside(reference.LoRALinear, inside(nn.Linear, 4, 3), 2, 1.0), inside(nn.ParameterDict, {"kA": x, "C": x})
model = inside(nn.ModuleDict, {"Block": inside(nn.ModuleDict, {"A": layer}), "own": own})
saved, wanted = sorted(adapter_tensors(model)), [f"base_model.model.Block.A.lora_{n}.weight" for n in "AB"]
assert saved == wanted, f"parameters Block.A.A, Block.A.B, own.kA, own.C: names {wanted} expected, got {saved}"
for targets in (["proj"], ["self_attn"], ["q_proj", "w_proj"], ["norm"]):
    model, why = inside(tiny_llama, 0), f"{targets}: a target that is the whole name of no linear layer"
    with assert_raises(ValueError, msg=f"{why} should raise ValueError"):
        add_lora(model, targets, 2, 4.0)
    left = fine_tuning.trainable_shapes(model)
    assert "model.layers.0.self_attn.q_proj.weight" in left, f"{targets}: after the error the model should be as before"
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** All linear layers of SmolLM2 get an adapter of rank 8. The model still says the same as before: $B = 0$.

# %% nbgrader={"grade": false, "grade_id": "lora-and-qlora-attach", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
text = tokenizer(austen("emma")[200_000:202_000], return_tensors="pt").input_ids[:, :129].to(DEVICE)
emma = fine_tuning.prose_batch(text)
before = score(smol, emma)[0]
with own_pieces(reference, globals()):
    trained = add_lora(smol, ALL_LINEAR, 8, 16.0)
print(f"{trained:,} of {smol.num_parameters():,} parameters are trained: {trained / smol.num_parameters():.1%}")
print(f"loss on a page of Emma: {before:.3f} nats a token before, {score(smol, emma)[0]:.3f} with the adapters")

# %% [markdown]
# ## 3. What fits on which GPU?
#
# Before you rent a GPU, count. Let $d$ be the width of the model (`hidden_size`), $f$ that of its feed-forward part (`intermediate_size`), $L$ the number of layers (`num_hidden_layers`), $V$ the size of the vocabulary (`vocab_size`), $n_h$ and $n_{kv}$ the numbers of heads of queries (`num_attention_heads`) and of keys (`num_key_value_heads`), and $k = n_{kv} \cdot d / n_h$ the width of keys and values. A Llama has
#
# | what | parameters |
# |---|---|
# | `q_proj`, `o_proj` | $d^2$ each |
# | `k_proj`, `v_proj` | $dk$ each, from $d$ to $k$ |
# | `gate_proj`, `up_proj` ($d$ to $f$), `down_proj` ($f$ to $d$) | $df$ each |
# | all else | $2d$ for the norms of each layer, $d$ for the last norm, $Vd$ for the embedding, and $Vd$ for the output layer unless it is *tied*, that is, shares the embedding's matrix |
#
# The first three rows count $L$ times, and so do the norms of a layer. Each adapter adds $r(d_\mathrm{in} + d_\mathrm{out})$. Now bytes. Mixed-precision training of a parameter with Adam takes 2 for the weight (bfloat16), 2 for its gradient, and 12 for the optimizer: a float32 copy of the weight and two float32 averages (Rajbhandari et al. 2020, section 3.1).
#
# | method | weights | gradients | optimizer |
# |---|---|---|---|
# | `full` | 2 for each parameter | 2 for each | 12 for each |
# | `lora` | 2 for each parameter of the model, 4 for each of the adapters | 4 for each of the adapters | 8 for each of the adapters (they are float32: no copy) |
# | `qlora` | as `lora`, but the seven kinds of matrices take 4 bits for a weight, 8 for each 64 weights, and 32 for each $64 \cdot 256$ | as `lora` | as `lora` |
#
# **By hand.** $d = 4$, $f = 6$, $L = 1$, $V = 10$, two heads, one of keys, tied. $k = 2$; matrices: $16 + 16 + 8 + 8 + 3 \cdot 24 = 120$; all else: $8 + 4 + 40 = 52$. Adapters with $r = 1$ on `q_proj` and `v_proj`: $(4 + 4) + (4 + 2) = 14$. Full: weights $2 \cdot 172 = 344$ bytes, gradients 344, optimizer $12 \cdot 172 = 2064$. LoRA: $344 + 56 = 400$, 56, 112. QLoRA: a weight of the matrices takes $\frac18\left(4 + \frac8{64} + \frac{32}{16384}\right) \approx 0.51587$ bytes, so the weights take $120 \cdot 0.51587 + 2 \cdot 52 + 56 \approx 221.904$, gradients and optimizer 56 and 112 as before.
#
# <details><summary>Hint 1</summary>Write a dict from each of the seven names to its (inputs, outputs): the weights of the matrices and of the adapters are sums over it.</details>
# <details><summary>Hint 2</summary>A weight in 4 bits takes (4 + 8 / 64 + 32 / (64 * 256)) / 8 bytes, about 0.516.</details>


# %% nbgrader={"grade": false, "grade_id": "lora-memory", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
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
    ### BEGIN SOLUTION
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
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "lora-memory-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
config = {"vocab_size": 10, "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2}
config |= {"num_key_value_heads": 1, "tie_word_embeddings": True}
cases = [("full", 1, (172, 172, 344.0, 344, 2064)), ("lora", 1, (172, 14, 400.0, 56, 112))]
cases += [("qlora", 1, (172, 14, 221.904296875, 56, 112))]
### BEGIN HIDDEN TESTS
cases += [("lora", 2, (172, 28, 456, 112, 224))]
### END HIDDEN TESTS
for method, r, expected in cases:
    found = training_bytes(config, ["q_proj", "v_proj"], r, method)
    got = tuple(found[part] for part in ("parameters", "trained", "weights", "gradients", "optimizer"))
    assert got == expected, f"example by hand, {method}, r {r}: {expected} expected, got {found}; no rounding up?"

# %% nbgrader={"grade": true, "grade_id": "lora-memory-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: counts against transformers and PEFT, tied or not, several targets; bytes of each method; wrong names.
### BEGIN HIDDEN TESTS
rng = random.Random(seed("lora-memory-properties"))
for tied, targets in ((True, ALL_LINEAR), (False, ["k_proj", "o_proj"]), (True, ["down_proj"]), (False, ["gate_proj"])):
    config = {"vocab_size": rng.randint(50, 99), "hidden_size": 24, "intermediate_size": rng.randint(30, 60)}
    config |= {"num_hidden_layers": rng.randint(2, 4), "num_attention_heads": 6, "num_key_value_heads": 2}
    n = adapter_oracles.llama_counts(config := config | {"tie_word_embeddings": tied}, targets, r := rng.randint(2, 5))
    for method in ("full", "lora", "qlora"):
        why = f"{config}, targets {targets}, r {r}, {method}"
        adapter_checks.check_bytes(training_bytes(config, targets, r, method), n, method, why)
for targets, method in ((["w_proj"], "lora"), (["q_proj", "w_proj"], "full"), (["q_proj"], "half")):
    with assert_raises(ValueError, msg=f"targets {targets}, method {method!r} should raise ValueError"):
        training_bytes(config, targets, 2, method)
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** Code Llama 7B (Rozière et al. 2023) is Llama 2, trained further on 500 billion tokens of code: full fine-tuning at its most expensive. A person who wants it to write SQL for one bank has one GPU.

# %% nbgrader={"grade": false, "grade_id": "lora-and-qlora-plot-memory", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
models, sizes = {"SmolLM2 135M": smol.config.to_dict(), "Code Llama 7B": adapter_oracles.CODE_LLAMA_7B}, {}
for name, config in (models | {"Code Llama 34B": adapter_oracles.CODE_LLAMA_34B}).items():
    for method in ("full", "lora", "qlora"):
        found = training_bytes(config, ALL_LINEAR, 16, method)
        sizes[name, method] = (found["weights"] + found["gradients"] + found["optimizer"]) / 1e9
    print(f"{name:>14}: {found['parameters']:,} parameters, {found['trained']:,} in adapters of rank 16")
fine_tuning_plots.plot_memory(sizes, limit=24)

# %% [markdown]
# *Think:* LoRA removes gradients and optimizer, yet the 7B model shrinks only from 108 to 14 GB: what is left, and why can no smaller rank help? (Activations come on top. They depend on batch and length, and are the subject of the section's last lab.)
#
# ## 4. Code is right if it runs right
#
# Now to a task: questions in English about the bank's documents, to be answered with SQL. The table has a title, a topic and a number of words for each document.
#
# **What is trained on.** Prompt and query form one text, and the loss, the model's surprise, counts at the *query* only: the model should learn to answer, not to ask. Models of transformers take `labels` for that: the tokens where the loss counts, $-100$ elsewhere. An end token after the query teaches the model to stop. `sft_batch` of the course makes such batches:
#
# | | tokens | labels |
# |---|---|---|
# | prompt 5 6, query 7, end 2 | 5 6 7 2 | -100 -100 7 2 |
# | prompt 8, query 9, end 2, filled up with 2 | 8 9 2 2 | -100 9 2 -100 |
#
# **How it is scored.** Many queries give the right answer, so comparing texts is too strict. HumanEval (Chen et al. 2021) runs generated programs against tests, and reports which pass; for SQL, Spider (Yu et al. 2018) does it with *execution accuracy*: a query is right if its rows are those of the gold query. Rows may come in any order, unless the gold query says `ORDER BY`. Beware: on one small database a wrong query can be right by luck, for many things can make a count 0. So the experiment counts the queries that agree word for word, which is stricter, and runs three of them.
#
# **By hand.** Gold gives the rows $(1), (2)$. The rows $(2), (1)$ are right if gold has no `ORDER BY`; $(1)$ is wrong, and so is $(1), (2), (2)$: rows count as often as they come. A query that the database refuses is wrong. If *gold* is refused, the data set is wrong, and that should be an error.
#
# <details><summary>Hint 1</summary>A set would forget how often a row comes. Lists that were sorted in the same way are equal if they hold the same rows.</details>
# <details><summary>Hint 2</summary>Rows of mixed types cannot be compared with &lt;, but <code>sorted(rows, key=repr)</code> always works.</details>


# %% nbgrader={"grade": false, "grade_id": "lora-code", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def same_answer(query: str, gold: str, run: Callable[[str], list[tuple] | None]) -> bool:
    """Whether a query gives the rows that the gold query gives, each as often.

    Args:
        query, gold: SQL. If gold contains ORDER BY, in capital or small letters, the order of the rows counts, else not.
        run: runs a query and returns its rows, or None if the database refuses it; such a query is wrong.

    Raises:
        ValueError: if the gold query does not run.
    """
    ### BEGIN SOLUTION
    expected, rows = run(gold), run(query)
    if expected is None:
        raise ValueError(f"the gold query does not run: {gold}")
    if rows is None or "order by" in gold.lower():
        return rows == expected
    return sorted(rows, key=repr) == sorted(expected, key=repr)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "lora-code-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
tables = {"right": [(1,), (2,)], "swapped": [(2,), (1,)], "once": [(1,)], "refused": None}
cases = [("swapped", "right", True), ("once", "right", False), ("refused", "right", False)]
### BEGIN HIDDEN TESTS
word = f"right{seed('lora-code-example')}"
tables |= {word: [(1,), (2,), (2,)], "other twice": [(1,), (1,), (2,)]}
cases += [(word, "right", False), ("right", word, False), ("other twice", word, False), (word, word, True)]
### END HIDDEN TESTS
for query, gold, right in cases:
    got = same_answer(query, gold, tables.get)
    assert got == right, f"rows {tables[query]} where {tables[gold]} are right: {right} expected, got {got}"

# %% nbgrader={"grade": true, "grade_id": "lora-code-properties", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
# Tested here: order with and without ORDER BY, repeated, missing and other rows, mixed types, empty results, refused queries.
### BEGIN HIDDEN TESTS
rows: list[tuple] = [(i, f"t{i % 3}") for i in random.Random(seed("lora-code-properties")).sample(range(99), 5)]
rows[1:3] = [(None, "t1"), ("t2", 7)]  # rows of mixed types, which < cannot compare
tables = {"select": rows, "SELECT x ORDER BY y": rows, "select x order by y": rows, "back": rows[::-1], "refused": None}
tables |= {"twice": [*rows, rows[0]], "less": rows[1:], "empty": [], "other": [*rows[:4], (-1, "t1")]}
tables |= {"SELECT border": rows, "columns": [row[::-1] for row in rows]}
ordered = ("SELECT x ORDER BY y", "select x order by y")
for gold in ("select", "SELECT border", *ordered):
    for query in ("select", "back", "refused", "twice", "less", "empty", "other", "columns"):
        got = same_answer(query, gold, tables.get)
        right = tables[query] == rows or (query == "back" and gold not in ordered)
        why = f"gold {gold!r} gives {rows}, the query {tables[query]}: {right} expected, got {got}"
        assert got == right, f"{why}; does order count only with ORDER BY, and each row as often as it comes?"
assert same_answer("empty", "empty", tables.get), "nothing found where gold finds nothing is right"
for query in ("select", "refused"):
    with assert_raises(ValueError, msg=f"the query is {query}, and gold does not run: should raise ValueError"):
        same_answer(query, "refused", tables.get)
### END HIDDEN TESTS

# %% [markdown]
# **Use it: train.** The questions that are held out ask about topics that no training question mentions, so nothing can be learned by heart but the form. The first row below gives SmolLM2 the table and three examples in its prompt, which is what one tries before training anything (for four of the questions; the other rows are for twelve). Then come a few steps of LoRA on all linear layers, four questions each.
#
# `fit` is the usual loop: AdamW on what requires a gradient. `score` needs no generation: greedy decoding gives exactly the gold query if, and only if, each of its tokens is the likeliest one after those before it, and one pass tells that for all tokens at once.

# %% nbgrader={"grade": false, "grade_id": "lora-and-qlora-train", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
(seen, held_out), STEPS = bank_questions(), 200 if SCALE == "gpu" else 10
print(f"{len(seen)} questions to train on; {len(held_out)} held out, such as\n{held_out[0].text}\n{held_out[0].sql}\n")
shown = [next(q for q in seen if word in q.sql) for word in ("AVG", "DESC", "LIKE")]
help_text = SCHEMA + "\n" + "".join(f"{fine_tuning.prompt(q)} {q.sql}\n" for q in shown)
test_batch, few = sft_batch(held_out[:12], tokenizer), sft_batch(held_out[:4], tokenizer, help_text)
scores = {"table and 3 examples in the prompt": score(smol, few), "nothing in the prompt": score(smol, test_batch)}
losses = list(fit(smol, [sft_batch(q, tokenizer) for q in fine_tuning.drawn(seen, STEPS, 4)], 2e-3, warmup=2))
scores["nothing in the prompt, after LoRA"], after = score(smol, test_batch), score(smol, emma)[0]
for name, (loss, exact) in scores.items():
    print(f"{name:>34}: loss {loss:.2f} nats a token, {exact:4.0%} of the queries word for word")
print(f"loss on a page of Emma: {before:.2f} nats a token before, {after:.2f} after {STEPS} steps")
(_, prompted), (old, untrained), (new, tuned) = scores.values()
fine_tuning_plots.plot_training(losses, old, new)
assert untrained == 0 and tuned > max(0.3, prompted), f"more than 30 %, and than the prompt, expected: {tuned:.0%}"

# %% nbgrader={"grade": false, "grade_id": "lora-and-qlora-generate", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
adapted, run = [m for m in smol.modules() if isinstance(m, LoRALinear)], partial(rows_of, bank_database())
asked = [next(q for q in held_out if word in q.sql) for word in ("AVG", "DESC", "words >")]
for module in adapted:  # merged, the model is as fast as without adapters
    module.merge()
for question, query in zip(asked, fine_tuning.write_queries(smol, tokenizer, asked), strict=True):
    print(f"{question.text}\n  {query}\n  gives {run(query)}; right: {same_answer(query, question.sql, run)}")
for module in adapted:
    module.unmerge()

# %% [markdown]
# Look at the three. The first is not gold's text, yet it gives the same row: an `ORDER BY` after `AVG` has nothing to order, so it runs right and fails word for word. The second lacks `DESC` and names the shortest document: it runs, looks plausible, and is wrong. (Another machine rounds bfloat16 otherwise and may write other queries: read yours in the same way.)
#
# **The file.** Your adapter goes to disk, and PEFT reads it into a fresh SmolLM2. The two must agree.

# %% nbgrader={"grade": false, "grade_id": "lora-and-qlora-file", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
with tempfile.TemporaryDirectory() as folder:
    size = fine_tuning.write_adapter(folder, adapter_tensors(smol), 8, 16, ALL_LINEAR)
    read = adapter_oracles.load_adapter(smollm2(torch.bfloat16)[0].to(DEVICE), folder)
by_us, by_peft = (score(model, sft_batch(held_out[:4], tokenizer))[0] for model in (smol, read))
print(f"a file of {size / 1e6:.1f} MB; loss on four held-out queries: {by_us:.3f} here, {by_peft:.3f} in PEFT")
assert abs(by_peft - by_us) < 0.05, "PEFT should compute the same from the file, but for bfloat16's rounding"

# %% [markdown]
# *Think:* the loss on Emma may have risen too, although only 1.8 % as many parameters were trained as the model has, and all of its own are frozen. Frozen weights are no promise that nothing is forgotten: what does a reader of Emma get from this model, and how would you give her the old one back without loading anything?
#
# ## 5. NF4: sixteen numbers for a bell curve
#
# With LoRA the frozen weights are the bulk of the memory, and frozen weights need not be precise. **QLoRA** (Dettmers et al. 2023, section 3) stores each in 4 bits: its **code**, the number of one of 16 values, counted from 0 in ascending order. Which 16? Weights of a trained matrix look like draws from a normal distribution. Evenly spaced values would waste codes on the tails. **NF4**, 4-bit NormalFloat, takes quantiles of the normal distribution: many values where weights are many. With $Q$ the quantile function of the standard normal distribution ($Q(0.5) = 0$, $Q(0.841) \approx 1$) and $\delta = \frac12\left(\frac1{32} + \frac1{30}\right)$:
#
# - 8 positive values: $Q(p)$ at the first 8 of 9 evenly spaced points from $p = 1 - \delta$ down to $p = \frac12$;
# - 7 negative values: $-Q(p)$ at the first 7 of 8 evenly spaced points from $p = 1 - \delta$ down to $p = \frac12$;
# - 0 itself, because padding and dead weights should be stored exactly;
# - all divided by the largest, so that they run from $-1$ to $1$.
#
# **Blocks.** The weights, row after row, are cut into blocks of 64. Each block remembers its **absmax** $c = \max_i |w_i|$ as a float32, and each weight becomes the code whose value is nearest to $w_i / c$. A large weight then spoils only its own block. Going back: value of the code, times $c$. Two codes fit into a byte, the first in the upper four bits.
#
# **By hand.** The second positive value: $p = 0.9677 - 0.4677/8 = 0.9092$, $Q(p) = 1.336$, divided by $Q(0.9677) = 1.848$: 0.723. The values around $0.5$ are $0.4407$ (code 12) and $0.5626$ (code 13). A block of four, $(0.5, -1, 0.1, 0)$: $c = 1$, codes 12, 0, 8, 7 (the value of code 8 is $0.0796$, of code 7 it is 0), bytes $12 \cdot 16 + 0 = 192$ and $8 \cdot 16 + 7 = 135$; back: $(0.4407, -1, 0.0796, 0)$.
#
# <details><summary>Hint 1</summary><code>torch.special.ndtri</code> is Q, and <code>torch.linspace(start, end, 9)</code> gives evenly spaced points; work in float64.</details>
# <details><summary>Hint 2</summary>The nearest of sorted values: <code>torch.bucketize(x, midpoints)</code> counts how many midpoints lie below x. A block of zeros has c = 0: divide by something else there, so that 0 / 0 does not become NaN.</details>
# <details><summary>Hint 3</summary>With codes as uint8, <code>codes[::2] * 16 + codes[1::2]</code> packs; <code>packed // 16</code> and <code>packed % 16</code> unpack, and <code>torch.stack(..., dim=1).flatten()</code> puts them in turn.</details>


# %% nbgrader={"grade": false, "grade_id": "lora-nf4", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def nf4_code() -> Tensor:
    """Return the 16 values of NF4, ascending from -1 to 1: float32, shape (16,)."""
    ### BEGIN SOLUTION
    delta = (1 / 32 + 1 / 30) / 2
    above, below = (torch.special.ndtri(torch.linspace(1 - delta, 0.5, n).double()[:-1]) for n in (9, 8))
    values = torch.cat([-below, torch.zeros(1).double(), above.flip(0)])
    return (values / values.max()).float()
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights cannot be cut into blocks of {block}")
    blocks, code = weight.detach().float().reshape(-1, block), nf4_code().to(weight.device)
    absmax = blocks.abs().amax(dim=1)
    shares = (blocks / absmax.clamp(min=1e-38)[:, None]).flatten()
    codes = torch.bucketize(shares, (code[:-1] + code[1:]) / 2).to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax
    ### END SOLUTION


def dequantize_nf4(packed: Tensor, absmax: Tensor, shape: Sequence[int], block: int = 64) -> Tensor:
    """Turn packed and absmax of quantize_nf4, with the same block, back into a float32 tensor of this shape."""
    ### BEGIN SOLUTION
    codes = torch.stack([packed // 16, packed % 16], dim=1).int()
    return (nf4_code().to(packed.device)[codes].reshape(-1, block) * absmax[:, None]).reshape(tuple(shape))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "lora-nf4-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
some, sizes = torch.tensor([-1, 0, 0.0796, 0.4407, 0.5626, 0.7230, 1]), [1.0]
assert_near(nf4_code()[[0, 7, 8, 12, 13, 14, 15]], some, "values number 0, 7, 8, 12, 13, 14, 15 of NF4")
### BEGIN HIDDEN TESTS
sizes += [float(seed("lora-nf4-example") % 97 + 2)]
### END HIDDEN TESTS
for c in sizes:
    found = [t.tolist() for t in quantize_nf4(c * torch.tensor([0.5, -1.0, 0.1, 0.0]), block=4)]
    assert found == [[192, 135], [c]], f"{c} * (0.5, -1, 0.1, 0): [[192, 135], [{c}]] expected, got {found}"
    back = dequantize_nf4(torch.tensor([192, 135], dtype=torch.uint8), torch.tensor([c]), (2, 2), block=4)
    assert_near(back, c * torch.tensor([[0.4407, -1.0], [0.0796, 0.0]]), f"back from bytes 192, 135 and absmax {c}")

# %% nbgrader={"grade": true, "grade_id": "lora-nf4-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: values, bytes and absmax against bitsandbytes; shapes, blocks, dtypes; blocks of zeros; errors; weight unchanged.
### BEGIN HIDDEN TESTS
rng, library = torch.Generator().manual_seed(seed("lora-nf4-properties")), adapter_oracles.bnb_code()
# bitsandbytes computed its table in float32: it is good to 4e-7
assert_near(nf4_code(), library, "values of bitsandbytes: 8 positive ones, 7 negative? divided by the largest?", 2e-6)
for shape, block, dtype in (((64, 48), 64, float32), ((6, 128), 128, bfloat16), ((2, 5, 32), 32, float16)):
    weight, why = (torch.randn(shape, generator=rng) * 0.03).to(dtype), f"shape {shape}, blocks of {block}, {dtype}"
    weight.view(-1)[:block] = 0
    given, (right, scales) = weight.clone(), adapter_oracles.bnb_nf4(weight, block)
    packed, absmax = quantize_nf4(weight, *([] if block == 64 else [block]))  # 64 is the default
    assert torch.equal(weight, given), f"{why}: the weights were changed"
    found, wanted = (packed.dtype, len(packed), absmax.dtype), (torch.uint8, len(right), float32)
    assert found == wanted, f"{why}: type and number of bytes, type of absmax: {wanted} expected, got {found}"
    assert_near(absmax, scales, f"{why}: absmax of each block of consecutive weights")
    assert absmax[0] == 0, f"{why}: absmax of a block of zeros: 0 expected, got {absmax[0]}"
    # a weight on the border of two codes may go either way by rounding: 1 byte in 1,000 is far more than chance
    wrong = (packed != right).float().mean()
    assert wrong < 1e-3, f"{why}: {wrong:.1%} of the bytes differ: nearest value? first code in the upper bits? zeros?"
    back = dequantize_nf4(right, scales, shape, *([] if block == 64 else [block]))
    values = library[torch.stack([right // 16, right % 16], 1).int()].view(-1, block) * scales[:, None]
    assert_near(back, values.view(shape), f"{why}: back, value of each code times the absmax of its block")
    assert (back.dtype, nf4_code().dtype) == (float32, float32), f"{why}: float32 expected, got {back.dtype}"
for n, block in ((100, 64), (32, 64)):
    with assert_raises(ValueError, msg=f"{n} weights in blocks of {block} should raise ValueError"):
        quantize_nf4(torch.ones(n), block)
### END HIDDEN TESTS

# %% [markdown]
# **Use it: is the bet right?** The weights of a matrix of SmolLM2, each divided by the absmax of its block; at the foot the 16 values of NF4 (red) and 16 evenly spaced ones (black). (This copy of SmolLM2 comes from a 4-bit file of another kind, GGUF's Q4_1 with blocks of 32, so that its weights lie on a lattice already, which explains the ripples of the histogram.)

# %% nbgrader={"grade": false, "grade_id": "lora-and-qlora-plot-nf4", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
matrix = smol.model.layers[10].mlp.up_proj.base.weight
fine_tuning_plots.plot_codes(matrix, {"NF4": nf4_code(), "even steps": torch.linspace(-1, 1, 16)})

# %% [markdown]
# The bet holds in part. NF4 errs a little less than even steps and uses its codes more evenly, but not equally. Its 1 stands for $Q(0.9677) = 1.85$ standard deviations, while the largest of 64 draws from a normal distribution usually lies at about 2.5; so the weights, divided by it, crowd in the middle. The spikes at $\pm 1$ are the absmaxes themselves, at least one a block. (Yoshida 2023, *NF4 Isn't Information Theoretically Optimal (and that's Good)*, works this out.)
#
# ## 6. QLoRA: train through 4 bits
#
# **Double quantisation.** A float32 absmax for 64 weights is half a bit a weight: 0.44 GB for 7 billion. So the absmaxes are quantised as well, to 8 bits: subtract their mean $\mu$ (all are positive, so that half of a signed code would lie idle), cut them into blocks of 256, and store for each the nearest of 256 values of the *dynamic* 8-bit type (Dettmers 2016), times the block's own absmax. That leaves $8/64 + 32/(64 \cdot 256) = 0.127$ bits a weight instead of 0.5. The 256 values, ascending, are given as `code8`; they run from about $-0.993$ to $1$.
#
# **The layer.** $W$ exists only as codes. When it is needed, it is made, used and thrown away:
#
# $$h = x\,\widetilde W^\top + b + \frac{\alpha}{r}\, x A^\top B^\top, \qquad \widetilde W = \mathrm{dequantise}(\text{codes})$$
#
# Rounding has no useful slope, but we need none: the codes are frozen. Only $x$, $A$ and $B$ want a gradient, and that of $x$ is $g\,\widetilde W$, plus what comes through the adapter, where $g = \partial L / \partial h$ has $h$'s shape. Here is the trap: write `functional.linear(x, W)`, and autograd keeps $\widetilde W$ until the backward pass, in *every* layer at once. The saved memory is gone. So forward and backward each make $\widetilde W$ anew: in `FrozenProduct`, a `torch.autograd.Function`, whose backward pass you write yourself.
#
# **By hand.** Absmaxes $(1, 2, 3)$: $\mu = 2$, differences $(-1, 0, 1)$, absmax of that block (`absmax2`) 1. The values nearest to $-1$, 0 and 1 are $-0.993$, 0 and 1: back come $-0.993 \cdot 1 + 2 = 1.007$, 2 and 3. A layer with 64 inputs whose weights are all 1 comes back exactly (all absmaxes are equal, so `absmax2` is 0, and each weight is 1 times its absmax): while $B = 0$, 64 inputs of 1 give 64.
#
# <details><summary>Hint 1</summary>The last block of 256 may be shorter: pad the differences with zeros, and cut the result to n. Zeros never raise an absmax.</details>
# <details><summary>Hint 2</summary>In FrozenProduct, <code>ctx.layer = layer</code> remembers the module. Its backward returns one gradient for each argument of forward: <code>grad @ ctx.layer.weight()</code> for x, <code>None</code> for the layer. Bias and adapter stay outside of it; <code>FrozenProduct.apply(x, self)</code> calls it.</details>
# <details><summary>Hint 3</summary><code>register_buffer</code> keeps a tensor in a module without training it. Do not keep <code>base</code> itself: it holds the floats that you want to be rid of.</details>


# %% nbgrader={"grade": false, "grade_id": "lora-qlora", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def quantize_scales(absmax: Tensor, code8: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Quantise n absmaxes to 8 bits, in blocks of 256, the last of which may be shorter.

    Args:
        absmax: float32 of shape (n,), not changed.
        code8: the 256 values, float32, ascending.

    Returns:
        (codes, absmax2, mean): uint8 of shape (n,), float32 with one entry a block, float32 of shape (). The codes are those
        of the values nearest to (absmax - mean) / absmax2, or of the value 0 if absmax2 is 0.
    """
    ### BEGIN SOLUTION
    mean = absmax.mean()
    blocks = functional.pad(absmax - mean, (0, -len(absmax) % 256)).view(-1, 256)
    absmax2 = blocks.abs().amax(dim=1)
    shares = blocks / absmax2.clamp(min=1e-38)[:, None]
    codes = torch.bucketize(shares, (code8[:-1] + code8[1:]) / 2).to(torch.uint8)
    return codes.flatten()[: len(absmax)], absmax2, mean
    ### END SOLUTION


class FrozenProduct(torch.autograd.Function):
    """FrozenProduct.apply(x, layer): x times the frozen weight of a QLoRALinear, for its forward. Not tested by itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: "QLoRALinear") -> Tensor:
        """x (..., in) -> (..., out), of x's dtype; ctx keeps the layer, never its weight in floats."""
        ### BEGIN SOLUTION
        ctx.layer = layer
        return x @ layer.weight().to(x.dtype).T
        ### END SOLUTION

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """grad, the gradient by the product, (..., out) -> (the gradient by x, None for the layer)."""
        ### BEGIN SOLUTION
        return grad @ ctx.layer.weight().to(grad.dtype), None
        ### END SOLUTION


class QLoRALinear(nn.Module):
    """A linear layer in NF4, in blocks of 64, with double quantisation by code8, and an update as in LoRALinear.

    Of base, a float32 or bfloat16 layer, only the bias, if any, is kept, and frozen. The parameters `self.A` and `self.B`
    are trained; r, alpha, their shapes, type and start are those of LoRALinear. Beside A, B, bias and code8 the layer holds
    at most 0.53 bytes for each weight. Use reference.quantize_nf4 and reference.dequantize_nf4.
    """

    def __init__(self, base: nn.Linear, r: int, alpha: float, code8: Tensor) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        packed, absmax = reference.quantize_nf4(base.weight)
        small = (packed, *quantize_scales(absmax, code8), code8)
        for name, tensor in zip(("packed", "codes", "absmax2", "mean", "code8"), small, strict=True):
            self.register_buffer(name, tensor)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        self.bias = None if base.bias is None else base.bias.requires_grad_(False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.to(base.weight.device)
        ### END SOLUTION

    def weight(self) -> Tensor:
        """The dequantised weight: float32, shape (out, in), made anew at each call."""
        ### BEGIN SOLUTION
        packed, codes, absmax2, mean, code8 = self.buffers()
        absmax = code8[codes.int()] * absmax2.repeat_interleave(256)[: len(codes)] + mean
        return reference.dequantize_nf4(packed, absmax, self.shape)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) -> (..., out), of x's dtype; gradients reach x, A and B; autograd keeps no float weight."""
        ### BEGIN SOLUTION
        out = FrozenProduct.apply(x, self) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)
        return out if self.bias is None else out + self.bias.to(x.dtype)
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "lora-qlora-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
code8, base, sizes = adapter_oracles.dynamic_code(), inside(nn.Linear, 64, 2, bias=False), [1.0]
### BEGIN HIDDEN TESTS
sizes += [float(seed("lora-qlora-example") % 97 + 2)]
### END HIDDEN TESTS
for c in sizes:
    codes, absmax2, mean = quantize_scales(c * torch.tensor([1.0, 2.0, 3.0]), code8)
    why = f"absmaxes {c} times (1, 2, 3)"
    assert_near(torch.stack([*absmax2, mean]), torch.tensor([c, 2 * c]), f"{why}: largest distance, mean")
    assert_near(code8[codes.int()], torch.tensor([-0.993, 0.0, 1.0]), f"{why}: values of the codes", 1e-3)
    load_parameters(base, {"weight": torch.full((2, 64), c)})
    got, why = QLoRALinear(base, 1, 1.0, code8)(torch.ones(64)), f"128 weights of {c}, x of ones, B = 0"
    assert_near(got, torch.full((2,), 64 * c), f"{why}: 64 times {c} for each of 2 outputs?")

# %% nbgrader={"grade": true, "grade_id": "lora-qlora-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: scales and weights against bitsandbytes, outputs, gradients, dtypes, what the layer holds and what autograd keeps.
### BEGIN HIDDEN TESTS
rng, code8 = torch.Generator().manual_seed(seed("lora-qlora-properties")), adapter_oracles.dynamic_code()
for absmax in (torch.rand(700, generator=rng), torch.rand(256, generator=rng), torch.full((3,), 0.5)):
    adapter_checks.check_scales(quantize_scales, absmax, code8, adapter_oracles.bnb_scales(absmax))
cases = [(256, True, float32, float32, 2, 6.0), (200, False, bfloat16, bfloat16, 3, 3.0)]
for inputs, bias, kind, dtype, r, alpha in [*cases, (256, True, float32, bfloat16, 2, 1.0)]:
    why, share = f"W (192, {inputs}), r {r}, alpha {alpha}, {kind}, x {dtype}", 3e-3 if dtype == float32 else 0.03
    w, a, b = (torch.randn(s, generator=rng) * 0.05 for s in ((192, inputs), (r, inputs), (192, r)))
    base, w = inside(nn.Linear, inputs, 192, bias=bias, dtype=kind), w.to(kind).float()
    load_parameters(base, {"weight": w.to(kind)} | ({"bias": w[:, 0]} if bias else {}))
    layer = QLoRALinear(base, r, alpha, code8)
    fine_tuning.check_start(layer, inputs, 192, r)
    load_parameters(layer, {"A": a, "B": b})
    frozen, scale, x = adapter_oracles.bnb_round_trip(w), alpha / r, torch.randn(2, 3, inputs, generator=rng).to(dtype)
    # where a code differs from bitsandbytes' by rounding, one block does by 1 %, and an output by 1e-3 of the largest
    assert_near(layer.weight(), frozen, f"{why}: bitsandbytes' weight, NF4 with double quantisation", 0.02, float32)
    total = frozen + scale * b @ a
    out = x.float() @ total.T + (w[:, 0] if bias else 0)
    assert_near(layer(x), out, f"{why}: outputs x W' + x A' B' alpha / r + bias", share, dtype)
    adapter_checks.check_gradients(layer, x, total, scale, why, share)
    adapter_checks.check_memory(layer, x, w.numel(), code8.nbytes + 4 * 192 * bias, why)
### END HIDDEN TESTS

# %% [markdown]
# **Use it: does the adapter survive?** Now all 210 matrices of SmolLM2 go through your 4 bits and back, under the adapter that was trained on the bfloat16 model. After that come four more steps of training, on the rounded weights. Compare the third row with the second only: four more steps would help the bfloat16 model too. (They are QLoRA's arithmetic, but not its memory: unpacking each matrix twice a step is slow on a CPU, so the unpacked weights stay. Your layer itself trains below, in a smaller model; `SCALE = "gpu"` does it at full size.)

# %% nbgrader={"grade": false, "grade_id": "lora-and-qlora-quantise", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
code8 = adapter_oracles.dynamic_code().to(DEVICE)
for module in adapted:
    with own_pieces(reference, globals()):
        four_bits = QLoRALinear(module.base, 1, 1.0, code8)
    (weight := module.base.weight.data).copy_(four_bits.weight())
held = fine_tuning.held_bytes(four_bits) - code8.nbytes - 4 * sum(weight.shape), adapter_oracles.bnb_bytes(weight.cpu())
print("bits for a weight of the last matrix, yours and bitsandbytes:", [round(8 * n / weight.numel(), 3) for n in held])
scores = {"bfloat16": (new, tuned, after), "NF4": (*score(smol, test_batch), score(smol, emma)[0])}
more = fine_tuning.drawn(seen, STEPS + 4, 4)[STEPS:]
list(fit(smol, [sft_batch(q, tokenizer) for q in more], 5e-4, warmup=1))
scores["NF4, 4 more steps"] = (*score(smol, test_batch), score(smol, emma)[0])
for name, (loss, exact, prose) in scores.items():
    print(f"base in {name:>17}: loss {loss:.3f}, {exact:4.0%} word for word; on Emma {prose:.2f} nats a token")
assert scores["NF4, 4 more steps"][0] < 0.7 * scores["NF4"][0], "training should repair much of the rounding"

# %% [markdown]
# *Think:* a small model has little to spare, so rounding costs it much; QLoRA reports next to no loss for 7 billion parameters and more. Why must an adapter that will be served on a 4-bit base also be *trained* on it?
#
# ## 7. The family: adapters, IA3, DoRA, AdaLoRA
#
# LoRA has relatives. Each freezes the model and trains something small; $h$ and $x$ are activations of shape $(\dots, d)$, $W$ a frozen matrix $(d_\mathrm{out}, d_\mathrm{in})$.
#
# - **Bottleneck adapter** (Houlsby et al. 2019): a small network after a block, with a residual path. $h \mapsto h + \mathrm{ReLU}(h D^\top)\,U^\top$ with $D$ of shape $(m, d)$, $U$ of shape $(d, m)$ and $m \ll d$. It cannot be merged, because of the ReLU, and so it costs time at inference.
# - **IA3** (Liu et al. 2022, section 3.3): one factor for each feature. $x \mapsto (xW^\top) \odot \ell$, with $\ell$ of shape $(d_\mathrm{out},)$. The smallest of all. It can be merged: multiply the rows of $W$. (In the feed-forward part it multiplies the input instead.)
# - **DoRA** (Liu et al. 2024, section 4): direction and length apart. With $V = W + sBA$, where $s = \alpha/r$, and $m$ of shape $(d_\mathrm{out},)$: $x \mapsto x \left(m \odot \frac{V}{\|V\|}\right)^\top$, where $\|V\|$ holds the length of each row and divides it. At the start $m = \|W\|$, so nothing changes. The lengths $\|V\|$ are treated as constants in the backward pass (section 4.3), which saves memory.
# - **AdaLoRA** (Zhang et al. 2023, section 3): no fixed rank. The update is $P\,\mathrm{diag}(\lambda)\,Q$ with $P$ of shape $(d_\mathrm{out}, r)$, $\lambda$ of shape $(r,)$, $Q$ of shape $(r, d_\mathrm{in})$. Triplet $i$ is $\lambda_i$ with column $i$ of $P$ and row $i$ of $Q$. A number $w$ matters if removing it would move the loss: its sensitivity is $s(w) = |w \cdot \partial L/\partial w|$. A triplet's importance is $s(\lambda_i)$, plus the mean sensitivity of its column, plus that of its row. Every few steps the triplets of *all* matrices are ranked together, and only the most important, as many as the budget allows, keep their $\lambda$; the others are set to 0, so the rank goes where it is needed. (The paper also smooths $s$ over steps, and keeps $P$ and $Q$ near orthogonal.)
#
# **By hand.** Bottleneck: $h = (1, 1)$, $D = (1, 1)$, $U = (1, 1)^\top$: $hD^\top = 2$, so the result is $(1, 1) + 2 \cdot (1, 1) = (3, 3)$; from $h = (-1, -1)$ the ReLU lets nothing through. IA3: $W = (3, 4)$, $x = (1, 1)$, $\ell = 2$: $7 \cdot 2 = 14$. DoRA: $W = (3, 4)$, $B = 0$, $x = (1, 1)$. $\|V\| = 5$; with $m = 5$ the output is 7, with $m = 10$ it is 14. AdaLoRA, one matrix, $r = 2$: $P = (1, 1)$, $\lambda = (1, 2)$, $Q = (1, 1)^\top$, gradients of $P$ $(0, 0)$, of $\lambda$ $(3, 1)$, of $Q$ $(0, 2)^\top$. Importance of the first: $|1 \cdot 3| + 0 + 0 = 3$; of the second: $|2 \cdot 1| + 0 + |1 \cdot 2| = 4$. With a budget of one, $\lambda$ becomes $(0, 2)$.
#
# <details><summary>Hint 1</summary>For DoRA: <code>v.norm(dim=1, keepdim=True).detach()</code>. Which axis of v, of shape (out, in), belongs to one output?</details>
# <details><summary>Hint 2</summary>For AdaLoRA: P has its triplets in columns, Q in rows. So the mean is over which axis of each?</details>


# %% nbgrader={"grade": false, "grade_id": "lora-family", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def bottleneck(h: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """Houlsby's adapter: h (..., d), down = D (m, d), up = U (d, m) -> (..., d). h is not changed."""
    ### BEGIN SOLUTION
    return h + (h @ down.T).relu() @ up.T
    ### END SOLUTION


def ia3(x: Tensor, weight: Tensor, factors: Tensor) -> Tensor:
    """IA3: x (..., in), weight W (out, in), factors (out,) -> (..., out)."""
    ### BEGIN SOLUTION
    return (x @ weight.T) * factors
    ### END SOLUTION


def dora(x: Tensor, weight: Tensor, a: Tensor, b: Tensor, magnitude: Tensor, scale: float) -> Tensor:
    """DoRA: x (..., in), weight W (out, in), a = A (r, in), b = B (out, r), magnitude m (out,), scale s -> (..., out).

    No gradient flows through the lengths of the rows of V.
    """
    ### BEGIN SOLUTION
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T
    ### END SOLUTION


def importance(triplet: list[Tensor], slopes: list[Tensor]) -> Tensor:
    """AdaLoRA: triplet = [P (out, r), lambda (r,), Q (r, in)] of a matrix, slopes: their gradients -> importances (r,).

    No tensor is changed.
    """
    ### BEGIN SOLUTION
    p, values, q = ((w * g).abs() for w, g in zip(triplet, slopes, strict=True))
    return values + p.mean(dim=0) + q.mean(dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "lora-family-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
w, x, sizes = torch.tensor([[3.0, 4.0]]), torch.ones(2), [1.0, 2.0]
### BEGIN HIDDEN TESTS
sizes += [float(seed("lora-family-example") % 97 + 3)]
### END HIDDEN TESTS
for c in sizes:
    got, why = bottleneck(torch.stack([x, -x]), torch.ones(1, 2), c * torch.ones(2, 1)), f"D = (1, 1), U = ({c}, {c})"
    assert_near(got, torch.stack([(1 + 2 * c) * x, -x]), f"bottleneck: h (1, 1) and (-1, -1), {why}: h + ReLU(...)?")
    got = ia3(x, w, torch.tensor([2 * c]))
    assert_near(got, torch.tensor([14 * c]), f"ia3: x = (1, 1), W = (3, 4), factor {2 * c}")
    got = dora(x, w, torch.ones(1, 2), torch.zeros(1, 1), torch.tensor([5 * c]), 2.0)
    assert_near(got, torch.tensor([7 * c]), f"dora: W = (3, 4), B = 0, x = (1, 1), m = {5 * c}")
    triplet = [torch.ones(1, 2), torch.tensor([1.0, 2.0]) * c, torch.ones(2, 1)]
    got = importance(triplet, [torch.zeros(1, 2), torch.tensor([3.0, 1.0]), torch.tensor([[0.0], [2.0]])])
    assert_near(got, torch.tensor([3 * c, 2 * c + 2]), f"importance, the example by hand, but lambda = ({c}, {2 * c})")

# %% nbgrader={"grade": true, "grade_id": "lora-family-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: each on larger inputs against PEFT or its formula, DoRA's gradients, inputs unchanged.
### BEGIN HIDDEN TESTS
rng = torch.Generator().manual_seed(seed("lora-family-properties"))
x, w, a, b, m, up = (torch.randn(s, generator=rng) for s in ((2, 3, 5), (6, 5), (2, 5), (6, 2), (6,), (5, 6)))
assert_near(ia3(x, w, m), adapter_oracles.peft_ia3(x, w, m), "ia3 against PEFT, W (6, 5): are the outputs scaled?")
given, want = x.clone(), x + functional.linear(functional.relu(functional.linear(x, w)), up)
assert_near(bottleneck(x, w, up), want, "bottleneck, d 5, m 6: residual path? ReLU in the middle?")
assert torch.equal(x, given), "bottleneck changed h: return a new tensor"
for scale in (0.5, 3.0):
    out, slopes = adapter_oracles.peft_dora(x, w, a, b, m, 2 * scale)
    why = f"dora against PEFT, W (6, 5), r 2, scale {scale}"
    assert_near(dora(x, w, a, b, m, scale), out, f"{why}: the length of each row, one an output, of W + sBA?")
    for name, got in zip(("a", "b", "magnitude"), gradient_of(dora, x, w, a, b, m, scale)[2:5], strict=True):
        assert_near(got, slopes[name], f"{why}: gradient by {name}; none through the lengths?", 1e-3)
sets = [[torch.randn(s, generator=rng) for s in ((4, 3), (3,), (3, 5))] for _ in range(2)]
given, ((p, v, q), (dp, dv, dq)) = deepcopy(sets), sets
want = [abs(v[i] * dv[i]) + sum(abs(p[:, i] * dp[:, i])) / 4 + sum(abs(q[i] * dq[i])) / 5 for i in range(3)]
why = "importance, P (4, 3), Q (3, 5): |w times gradient|; a column of P, a row of Q, for each triplet? means?"
assert_near(importance(*sets), torch.stack(want), why)
assert all(map(torch.equal, sets[0] + sets[1], given[0] + given[1])), "importance changed what it was given"
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** What each would train in SmolLM2, on all linear layers (the bottleneck twice a layer, $m = 16$; IA3 as in its paper on keys, values and the input of the last feed-forward matrix).

# %% nbgrader={"grade": false, "grade_id": "lora-and-qlora-family-table", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
found, (d, k, f, layers) = training_bytes(smol.config.to_dict(), ALL_LINEAR, 8, "lora"), (576, 192, 1536, 30)
outputs, lora, total = layers * (2 * d + 2 * k + 2 * f + d), int(found["trained"]), found["parameters"]
table = {"full fine-tuning": total, "bottleneck, m = 16 (not mergeable)": layers * 2 * 2 * 16 * d, "LoRA, r = 8": lora}
table |= {"DoRA, r = 8": lora + outputs, "AdaLoRA, starting at r = 12": lora * 12 // 8 + layers * 7 * 12}
for name, number in (table | {"IA3 on keys, values, down": layers * (2 * k + f)}).items():
    print(f"{name:>34}: {number:>11,} trained, {number / total:8.3%} of the model")

# %% [markdown]
# ## 8. Experiment: learn and forget
#
# Which to choose? Here is a model small enough to train it many times: a Llama of two layers, pre-trained in this notebook for a few seconds on two of Jane Austen's novels. It has never seen a line of SQL, so it has much further to go than SmolLM2. All methods get the same 30 batches of eight questions; the highest learning rate is 0.003 for full fine-tuning and 0.01 for adapters. On the way we measure what is learned (loss on held-out questions) and what is forgotten (loss on held-out pages of Austen, which none of them trains on any more).

# %% nbgrader={"grade": false, "grade_id": "lora-and-qlora-compare", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
order, (little, words, pages) = fine_tuning.drawn(seen, 30, 8), fine_tuning.austen_model(600 if SCALE == "gpu" else 150)
questions, prose = sft_batch(held_out, words), fine_tuning.prose_batch(pages[:32])
batches, paths, curves, start = [sft_batch(batch, words) for batch in order], {}, dict[str, list[float]](), {}
runs = {"full": (0, ()), "LoRA, r 16, q and v": (16, ("q_proj", "v_proj")), "LoRA, r 2, all": (2, ALL_LINEAR)}
for name, (r, targets) in (runs | {"LoRA, r 16, all": (16, ALL_LINEAR), "QLoRA, r 16, all": (16, ALL_LINEAR)}).items():
    model, _ = deepcopy(little), torch.manual_seed(0)
    with own_pieces(reference, globals()):
        trained = add_lora(model, targets, r, 2.0 * r) if r else model.num_parameters()
        if name.startswith("QLoRA"):
            torch.manual_seed(0)  # so that A starts as LoRA's does
            fine_tuning.replace_layers(model, LoRALinear, lambda old: QLoRALinear(old.base, 16, 32.0, code8.cpu()))
        start[name] = adapter_tensors(model)
        curves[name], paths[name] = fine_tuning.follow(model, batches, 1e-2 if r else 3e-3, 4, questions, prose)
    learned, forgotten = paths[name][0][0] - paths[name][-1][0], paths[name][-1][1] - paths[name][0][1]
    print(f"{name:>19}: {trained:7,} trained; SQL learned {learned:.2f}, Austen forgotten {forgotten:.2f} nats a token")
fine_tuning_plots.plot_forgetting(paths)
full, two, small, large, four_bits = (path[-1] for path in paths.values())
assert full[0] < large[0] < small[0] < two[0], "full should learn most, and rank 2 on all more than rank 16 on two"
assert full[1] > max(large[1], small[1], two[1]) + 0.3, "full fine-tuning should forget most"
assert abs(four_bits[0] - large[0]) < 0.5, "QLoRA should learn about what LoRA of the same rank learns"

# %% [markdown]
# **Which matrices, which rank?** Rank 2 on all seven kinds of matrices learns 1.51 nats a token; rank 16 on `q_proj` and `v_proj` alone has nearly twice as many parameters, learns 1.31 and forgets a little more. Rank 16 on all seven, with eight times the parameters of rank 2, gets from 1.51 to 1.75. So give every linear layer its adapter first, and then think about the rank. (This is one model, one seed and one learning rate for all adapters: an illustration of what the papers measured, not a proof.) QLoRA starts from the same $A$ as LoRA of its rank, and stays close to it.
#
# *Think:* the dots are ten steps apart. Full fine-tuning is far ahead on the new task and worst on the old one: *LoRA learns less and forgets less* (Biderman et al. 2024). But read the picture along full's path: where it had learned as much as rank 16 on all, it had forgotten about as much. So here LoRA forgets less mostly because it learns less: only rank 2 ends clearly below that path, and rank 16 on `q_proj` and `v_proj` a little. What would you add to the training data to keep Austen, and which method would you choose then? On SmolLM2, which had seen code before, ten steps of LoRA were enough: how far the new task lies from what the model knows decides as much as the method.
#
# **The same by TRL.** Nobody writes `fit` for a living. TRL's `SFTTrainer` takes prompts and completions as text, does what `sft_batch` and `fit` do, and with PEFT's `LoraConfig` what `add_lora` does. Given the same data in the same order and the same start of $A$, it must reach the same loss, step by step.

# %% nbgrader={"grade": false, "grade_id": "lora-and-qlora-trl", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
name, texts = "LoRA, r 16, all", [(fine_tuning.prompt(q), f" {q.sql}") for batch in order for q in batch]
first = {key.replace(".weight", ".default.weight"): tensor for key, tensor in start[name].items()}
config = adapter_oracles.LoraConfig(r=16, lora_alpha=32, target_modules=list(ALL_LINEAR), task_type="CAUSAL_LM")
by_trl = fine_tuning.trl_losses(deepcopy(little), words, texts, 8, 1e-2, 4, config, first)
for step in (1, 10, 20, 30):
    print(f"step {step:2}: loss {curves[name][step - 1]:.4f} with yours, {by_trl[step - 1]:.4f} with TRL and PEFT")
assert max(abs(a - b) for a, b in zip(curves[name], by_trl, strict=True)) < 0.05, "the two should agree at every step"

# %% [markdown]
# **At full size.** With `SCALE = "gpu"` and a hub at hand, the next cell puts Code Llama with 7 billion parameters into NF4 with double quantisation, by bitsandbytes, and trains adapters on all linear layers with TRL: about 4 GB of weights. Code Llama also knows *infilling*: trained with the middle of a text moved to its end (Rozière et al. 2023, section 2.3), it can write what stands between a given beginning and a given end.

# %% tags=["gpu"] nbgrader={"grade": false, "grade_id": "lora-and-qlora-full-size", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
if SCALE == "gpu":
    big, its_tokenizer = fine_tuning.load_in_4_bits("codellama/CodeLlama-7b-hf")
    texts = [(fine_tuning.prompt(q), f" {q.sql}") for batch in fine_tuning.drawn(seen, 100, 8) for q in batch]
    options = dict[str, Any](use_cpu=False, bf16=True, gradient_checkpointing=True, optim="paged_adamw_8bit")
    losses = fine_tuning.trl_losses(big, its_tokenizer, texts, 8, 2e-4, 10, config, **options)
    print(f"{big.get_memory_footprint() / 1e9:.1f} GB; loss {losses[0]:.2f} at step 1, {losses[-1]:.2f} at the end")
else:
    print('skipped: Code Llama 7B in 4 bits needs a GPU, the public hub and SCALE = "gpu"')

# %% [markdown]
# ## Recap
#
# LoRA trains $r(d_\mathrm{in} + d_\mathrm{out})$ numbers beside a frozen matrix; it starts at nothing, merges into the weights, and is a small file. It saves gradients and optimizer; what then remains are the weights, and QLoRA stores them in 4.127 bits each, by quantiles of a bell curve and a second quantisation of the scales, and unpacks them whenever they are needed. Both learn less than full fine-tuning when the new task is far from what the model knows, and both forget less. Adapters on all linear layers matter more than a large rank.
#
# **What breaks at scale.** Unpacking costs time in every step, so QLoRA is slower than LoRA, and without fused kernels much slower. Activations, not weights, fill the memory of a 4-bit model with long texts: gradient checkpointing and paged optimizers help (the lab on small hardware). Merging into a 4-bit base rounds the update away, so adapters of quantised models are served beside the base. And exact match on templates like ours is a mild test: a real one runs many databases, and asks for several samples.
#
# **Read on.** Hu et al. 2021, *LoRA* (sections 4.1, 7). Dettmers et al. 2023, *QLoRA* (section 3, appendix E). Dettmers 2016, *8-Bit Approximations for Parallelism in Deep Learning*. Rajbhandari et al. 2020, *ZeRO* (section 3). Houlsby et al. 2019, *Parameter-Efficient Transfer Learning for NLP*. Liu et al. 2022 (IA3). Liu et al. 2024, *DoRA*. Zhang et al. 2023, *AdaLoRA*. Biderman et al. 2024, *LoRA Learns Less and Forgets Less*. Rozière et al. 2023, *Code Llama*. Chen et al. 2021, *Evaluating Large Language Models Trained on Code*.
#
# **Stretch goals.** (1) Mix one batch of Austen into every three of questions, and draw the picture of learning and forgetting again. (2) Replace $\alpha/r$ by $\alpha/\sqrt r$ (rank-stabilised LoRA) and compare $r = 2$ with $r = 64$ at one learning rate. (3) Put DoRA into `add_lora`, train it on the same batches, and add its path to the picture.
