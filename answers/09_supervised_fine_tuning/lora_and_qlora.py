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
# Known answers to the exercises of `lora_and_qlora`: wrong ones that a test must catch, and other right ones. `llmlabs verify` grades them.

# %%
# the imports of the lab, for editors and linters; every answer below defines the whole solution cell anew
import math

import torch
from torch import nn
from torch.nn import functional

from llmlabs.lab.reference import lora_and_qlora as reference


# %% exercise="lora-linear" kind="wrong" name="no scale" fails="lora-linear-properties" says="alpha / r?"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = 1.0
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="alpha, not alpha / r" fails="lora-linear-properties" says="alpha / r?"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="r / alpha" fails="lora-linear-properties" says="alpha / r?"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = r / alpha
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="both A and B start at 0" fails="lora-linear-properties" says="uniform from -1 to 1"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.zeros(r, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="B starts at random too" fails="lora-linear-properties" says="B should start at 0"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.randn(base.out_features, r) / r)
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="A from a normal distribution" fails="lora-linear-properties" says="uniform from -1 to 1"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.randn(r, base.in_features) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="A uniform between 0 and the bound" fails="lora-linear-properties" says="uniform from -1 to 1"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(0, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="A's bound from r instead of in" fails="lora-linear-properties" says="uniform from -1 to 1"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(r))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="the base is trained too" fails="lora-linear-properties" says="should be trained and nothing else"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="only the base's weight is frozen" fails="lora-linear-properties" says="should be trained and nothing else"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base
        base.weight.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="the bias left out" fails="lora-linear-properties" says="alpha / r?"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return functional.linear(x, self.base.weight) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="A and B detached in forward" fails="lora-linear-properties" says="gradient by A; does it flow"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.detach().to(x.dtype).T @ self.B.detach().to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="A and B in the base's dtype" fails="lora-linear-properties" says="float32 whatever the base has"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(
            torch.empty(r, base.in_features, dtype=base.weight.dtype).uniform_(-1, 1) / math.sqrt(base.in_features)
        )
        self.B = nn.Parameter(torch.zeros(base.out_features, r, dtype=base.weight.dtype))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="float32 comes out of a bfloat16 layer" fails="lora-linear-properties" says="torch.bfloat16 expected, got torch.float32"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x.float() @ self.A.T @ self.B.T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="a merged layer adds the update again" fails="lora-linear-example" says="is the update added a second time?"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="merged twice, added twice" fails="lora-linear-properties" says="weight after a second merge"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
        self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="unmerged by subtraction" fails="lora-linear-properties" says="subtracting rounds"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data -= (self.scale * self.B @ self.A).detach().to(self.kept.dtype)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="kept without a copy" fails="lora-linear-properties" says="weight after unmerge"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="wrong" name="taken for merged after unmerge" fails="lora-linear-properties" says="outputs after unmerge"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)


# %% exercise="lora-linear" kind="wrong" name="can be merged only once" fails="lora-linear-properties" says="weight after merge again"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if isinstance(self.kept, torch.Tensor):
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.scale * self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if isinstance(self.kept, torch.Tensor):
            self.base.weight.data.copy_(self.kept)
            self.kept = False


# %% exercise="lora-linear" kind="wrong" name="the scale forgotten in merge" fails="lora-linear-properties" says="weight after merge: W + (alpha / r) BA"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / r
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.kept = None

    def forward(self, x):
        if self.kept is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            self.base.weight.data += (self.B @ self.A).detach().to(self.kept.dtype)

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None


# %% exercise="lora-linear" kind="right" name="kaiming_uniform_, a flag, addmm and prints"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base, self.r, self.alpha, self.merged, self.old = base, r, alpha, False, None
        for parameter in base.parameters():
            parameter.requires_grad = False
        self.A = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(r, base.in_features), a=math.sqrt(5)))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        print(f"LoRA of rank {r} on {base.in_features} -> {base.out_features}")

    def forward(self, x):
        h = functional.linear(x, self.base.weight, self.base.bias)
        if not self.merged:
            down = functional.linear(x, self.A.to(x.dtype))
            h = h + functional.linear(down, self.B.to(x.dtype)) * (self.alpha / self.r)
        print(f"{tuple(x.shape)} -> {tuple(h.shape)}")
        return h

    @torch.no_grad()
    def merge(self):
        if self.merged:
            print("merged already")
            return
        self.old = self.base.weight.clone()
        new = torch.addmm(self.base.weight.float(), self.B, self.A, alpha=self.alpha / self.r)
        self.base.weight.copy_(new)
        self.merged = True

    @torch.no_grad()
    def unmerge(self):
        if self.merged:
            self.base.weight.copy_(self.old)
            self.merged, self.old = False, None


# %% exercise="lora-linear" kind="right" name="a loop over the rank and the outer products, with a warning"
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        import warnings

        super().__init__()
        self.base = base
        base.weight.requires_grad = False
        if base.bias is not None:
            base.bias.requires_grad = False
        if r > 64:
            warnings.warn("a large rank", stacklevel=2)
        bound = base.in_features**-0.5
        self.A = nn.Parameter(2 * bound * torch.rand(r, base.in_features) - bound)
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.alpha = alpha
        self.history = []
        warnings.warn("LoRA is on", stacklevel=2)

    def forward(self, x):
        h = self.base(x)
        if not self.history:
            for a, b in zip(self.A.to(x.dtype), self.B.to(x.dtype).T, strict=True):
                h = h + self.alpha / len(self.A) * (x * a).sum(-1, keepdim=True) * b
        return h

    def merge(self):
        if not self.history:
            weight = self.base.weight.data
            self.history.append(weight.clone())
            update = sum(torch.outer(b, a) for a, b in zip(self.A.data, self.B.data.T, strict=True))
            weight += (self.alpha / len(self.A) * update).to(weight.dtype)

    def unmerge(self):
        while self.history:
            self.base.weight.data.copy_(self.history.pop())


# %% exercise="lora-inject" kind="wrong" name="any path that ends in the name" fails="lora-inject-properties" says="the whole name of no linear layer should raise ValueError"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.endswith(tuple(targets))
    ]
    if not found:
        raise ValueError(targets)
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="the name anywhere in the path" fails="lora-inject-properties" says="the whole name of no linear layer should raise ValueError"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and any(name in path for name in targets)
    ]
    if not found:
        raise ValueError(targets)
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="every module of that name, linear or not" fails="lora-inject-properties" says="has no attribute 'in_features'"
def add_lora(model, targets, r, alpha):
    found = [(path, layer) for path, layer in model.named_modules() if path.rpartition(".")[2] in targets]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="every linear layer, whatever its name" fails="lora-inject-properties" says="what is trained differs from PEFT"
def add_lora(model, targets, r, alpha):
    found = [(path, layer) for path, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="the model's other parameters stay trainable" fails="lora-inject-properties" says="what is trained differs from PEFT"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="frozen last, adapters and all" fails="lora-inject-properties" says="what is trained differs from PEFT"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    model.requires_grad_(False)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="only the first layer of a name" fails="lora-inject-properties" says="what is trained differs from PEFT"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found[:1]:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="an unknown name passes" fails="lora-inject-properties" says="the whole name of no linear layer should raise ValueError"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="an unknown name passes beside a known one" fails="lora-inject-properties" says="the whole name of no linear layer should raise ValueError"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if not found:
        raise ValueError(f"no linear layer is called {targets}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="the model is frozen before the names are looked at" fails="lora-inject-properties" says="after the error the model should be as before"
def add_lora(model, targets, r, alpha):
    model.requires_grad_(False)
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="counts the layers, not their parameters" fails="lora-inject-properties" says="returned; sum the sizes"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return len(found)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="counts all parameters" fails="lora-inject-properties" says="returned; sum the sizes"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters())


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="alpha is left at r" fails="lora-inject-properties" says="r and alpha passed on?"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, r))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="the base's weights drawn anew" fails="lora-inject-properties" says="while B is 0, no logit may change"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(
            model.get_submodule(parent),
            name,
            reference.LoRALinear(nn.Linear(layer.in_features, layer.out_features, layer.bias is not None), r, alpha),
        )
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="the saved tensors follow the model" fails="lora-inject-properties" says="lies in the same memory"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="the saved tensors carry gradients" fails="lora-inject-properties" says="requires a gradient"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="no prefix" fails="lora-inject-properties" says="saved names differ from PEFT's"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="the ending .weight forgotten" fails="lora-inject-properties" says="saved names differ from PEFT's"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="replaces .A and .B anywhere in the path" fails="lora-inject-properties" says="parameters Block.A.A, Block.A.B, own.kA, own.C: names"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        "base_model.model."
        + name.replace(".A", ".lora_A.weight").replace(".B", ".lora_B.weight"): parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith((".A", ".B"))
    }


# %% exercise="lora-inject" kind="wrong" name="saves whatever is trained" fails="lora-inject-properties" says="parameters Block.A.A, Block.A.B, own.kA, own.C: names"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


# %% exercise="lora-inject" kind="wrong" name="any name that ends in A or B" fails="lora-inject-properties" says="parameters Block.A.A, Block.A.B, own.kA, own.C: names"
def add_lora(model, targets, r, alpha):
    found = [
        (path, layer)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    if missing := set(targets) - {path.rpartition(".")[2] for path, _ in found}:
        raise ValueError(f"no linear layer is called {missing}")
    model.requires_grad_(False)
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    return {
        f"base_model.model.{name[:-1]}lora_{name[-1]}.weight": parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.endswith(("A", "B"))
    }


# %% exercise="lora-inject" kind="right" name="recursion over children, with prints"
def add_lora(model, targets, r, alpha):
    def places(parent):
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear) and name in set(targets):
                yield parent, name, child
            yield from places(child)

    todo = list(places(model))
    if len({name for _, name, _ in todo}) < len(set(targets)):
        raise ValueError("none of these names belongs to a linear layer: " + ", ".join(targets))
    for parameter in model.parameters():
        parameter.requires_grad = False
    count = 0
    for parent, name, child in todo:
        setattr(parent, name, reference.LoRALinear(child, r, alpha))
        count += r * (child.in_features + child.out_features)
        print(f"{name}: {count} parameters so far")
    return count


def adapter_tensors(model):
    tensors = {}
    for name, parameter in model.named_parameters():
        path, _, last = name.rpartition(".")
        if path and last in ("A", "B"):
            tensors["base_model.model." + path + ".lora_" + last + ".weight"] = parameter.data.clone()
            print(name)
    return tensors


# %% exercise="lora-inject" kind="right" name="nn.Module.set_submodule and a state dict"
def add_lora(model, targets, r, alpha):
    linear = {path: layer for path, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    meant = {path: layer for path, layer in linear.items() if path.split(".")[-1] in list(targets)}
    if any(all(path.split(".")[-1] != target for path in meant) for target in targets):
        raise ValueError(f"{list(targets)} are not among {sorted(linear)}")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for path, layer in meant.items():
        model.set_submodule(path, reference.LoRALinear(layer, r, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def adapter_tensors(model):
    state, own = model.state_dict(), {name for name, _ in model.named_parameters()}
    found = {}
    for ending in "AB":
        for name in own:
            if name.endswith("." + ending):
                found[f"base_model.model.{name.removesuffix(ending)}lora_{ending}.weight"] = state[name].clone()
    return found


# %% exercise="lora-memory" kind="wrong" name="keys and values as wide as queries" fails="lora-memory-properties" says="narrow keys and values?"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = d
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="the width divided by the heads of keys" fails="lora-memory-properties" says="narrow keys and values?"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = d // config["num_key_value_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="the output layer never counted" fails="lora-memory-properties" says="narrow keys and values?"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * 1
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="tied and untied mixed up" fails="lora-memory-example" says="example by hand, full"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (2 if config["tie_word_embeddings"] else 1)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="one norm a layer" fails="lora-memory-properties" says="narrow keys and values?"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="the last norm forgotten" fails="lora-memory-properties" says="narrow keys and values?"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="adapters of one layer only" fails="lora-memory-properties" says="else r (in + out) for each target in each layer?"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="adapters as large as the matrix" fails="lora-memory-properties" says="else r (in + out) for each target in each layer?"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * shapes[target][0] * shapes[target][1] for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="A counted, B not" fails="lora-memory-properties" says="else r (in + out) for each target in each layer?"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * shapes[target][0] for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="adapters on all seven, whatever the targets" fails="lora-memory-properties" says="else r (in + out) for each target in each layer?"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in shapes)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="r ignored" fails="lora-memory-properties" says="else r (in + out) for each target in each layer?"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="the adapters among the model's parameters" fails="lora-memory-properties" says="narrow keys and values?"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total + adapters, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="no float32 copy in full fine-tuning" fails="lora-memory-properties" says="12 bytes with a float32 copy"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 8 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="a float32 copy of float32 adapters" fails="lora-memory-properties" says="12 bytes with a float32 copy"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 12 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="adapters in two bytes" fails="lora-memory-properties" says="2 bytes each, 4 in adapters"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 2 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="the adapters' own weights forgotten" fails="lora-memory-properties" says="2 bytes each, 4 in adapters"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="gradients for the frozen weights too" fails="lora-memory-properties" says="only of what is trained"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 2 * total + 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="everything in 4 bits, embedding and norms too" fails="lora-memory-properties" says="2 bytes each, 4 in adapters"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = total * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="4 bits and nothing for the scales" fails="lora-memory-properties" says="2 bytes each, 4 in adapters"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * 4 / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="scales without double quantisation" fails="lora-memory-properties" says="2 bytes each, 4 in adapters"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 32 / 64) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="a block that is not full counted whole" fails="lora-memory-example" says="no rounding up?"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices / 2 + -(-matrices // 64) + 4 * -(-matrices // (64 * 256))
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="bits taken for bytes" fails="lora-memory-properties" says="2 bytes each, 4 in adapters"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256))
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="any other method taken for lora" fails="lora-memory-properties" says="should raise ValueError"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    for target in targets:
        if target not in shapes:
            raise ValueError(f"unknown target {target!r}")
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="an unknown target left out without a word" fails="lora-memory-properties" says="should raise ValueError"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    targets = [target for target in targets if target in shapes]
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="wrong" name="an unknown target raises KeyError" fails="lora-memory-properties" says="KeyError: 'w_proj'"
def training_bytes(config, targets, r, method):
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    k = config["num_key_value_heads"] * d // config["num_attention_heads"]
    shapes = {"q_proj": (d, d), "k_proj": (d, k), "v_proj": (d, k), "o_proj": (d, d)}
    shapes |= {"gate_proj": (d, f), "up_proj": (d, f), "down_proj": (f, d)}
    if method not in ("full", "lora", "qlora"):
        raise ValueError(f"unknown method {method!r}")
    for target in targets:
        if target not in shapes:
            raise KeyError(target)
    matrices = layers * sum(i * o for i, o in shapes.values())
    rest = 2 * d * layers + d + config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    total = matrices + rest
    adapters = layers * sum(r * sum(shapes[target]) for target in targets)
    if method == "full":
        bytes_of = {"weights": 2 * total, "gradients": 2 * total, "optimizer": 12 * total}
        return {"parameters": total, "trained": total} | bytes_of
    frozen = 2 * total
    if method == "qlora":
        frozen = 2 * rest + matrices * (4 + 8 / 64 + 32 / (64 * 256)) / 8
    bytes_of = {"weights": frozen + 4 * adapters, "gradients": 4 * adapters, "optimizer": 8 * adapters}
    return {"parameters": total, "trained": adapters} | bytes_of


# %% exercise="lora-memory" kind="right" name="a list of tensors, counted one by one, with prints"
def training_bytes(config, targets, r, method):
    width, inner = config["hidden_size"], config["intermediate_size"]
    narrow = width // config["num_attention_heads"] * config["num_key_value_heads"]
    kinds = dict.fromkeys(("q_proj", "o_proj"), (width, width))
    kinds.update(dict.fromkeys(("k_proj", "v_proj"), (width, narrow)))
    kinds.update(dict.fromkeys(("gate_proj", "up_proj"), (width, inner)))
    kinds["down_proj"] = (inner, width)
    if method not in {"full", "lora", "qlora"} or not set(targets) <= set(kinds):
        raise ValueError(f"method {method} or one of {targets} is unknown")
    tensors = [("embedding", config["vocab_size"] * width), ("last norm", width)]
    if not config["tie_word_embeddings"]:
        tensors.append(("output", config["vocab_size"] * width))
    adapters = 0
    for layer in range(config["num_hidden_layers"]):
        tensors += [("norm 1", width), ("norm 2", width)]
        for name, (inputs, outputs) in kinds.items():
            tensors.append((name, inputs * outputs))
            if name in targets and method != "full":
                adapters += r * inputs + r * outputs
        print(f"layer {layer}: {len(tensors)} tensors")
    total = sum(size for _, size in tensors)
    if method == "full":
        return {
            "parameters": total,
            "trained": total,
            "weights": total * 2,
            "gradients": total * 2,
            "optimizer": total * 12,
        }
    bits = sum(size * (4 + 0.125 + 1 / 512 if method == "qlora" and name in kinds else 16) for name, size in tensors)
    return {
        "optimizer": adapters * 8,
        "gradients": adapters * 4,
        "weights": bits / 8 + adapters * 4,
        "trained": adapters,
        "parameters": total,
    }


# %% exercise="lora-memory" kind="right" name="floats throughout"
def training_bytes(config, targets, r, method):
    d, f, layers = (float(config[name]) for name in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    k = d * config["num_key_value_heads"] / config["num_attention_heads"]
    attention = {"q_proj": d + d, "k_proj": d + k, "v_proj": d + k, "o_proj": d + d}
    both = attention | dict.fromkeys(("gate_proj", "up_proj", "down_proj"), d + f)
    if any(target not in both for target in targets):
        raise ValueError("unknown target")
    linear = layers * (2 * d * d + 2 * d * k + 3 * d * f)
    embeddings = config["vocab_size"] * d * (2 - bool(config["tie_word_embeddings"]))
    parameters = linear + embeddings + (2 * layers + 1) * d
    trained = sum(layers * r * both[target] for target in targets)
    four_bits = linear * (1 / 2 + 1 / 64 + 4 / (64 * 256))
    if method == "full":
        trained, found = parameters, (2 * parameters, 2 * parameters, 12 * parameters)
    elif method == "lora":
        found = (2 * parameters + 4 * trained, 4 * trained, 8 * trained)
    elif method == "qlora":
        found = (four_bits + 2 * (parameters - linear) + 4 * trained, 4 * trained, 8 * trained)
    else:
        raise ValueError(method)
    return dict(
        zip(("parameters", "trained", "weights", "gradients", "optimizer"), (parameters, trained, *found), strict=True)
    )


# %% exercise="lora-code" kind="wrong" name="rows as a set" fails="lora-code-properties" says="does order count only with ORDER BY, and each row as often"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        raise ValueError(f"the gold query does not run: {gold}")
    rows = run(query)
    if rows is None:
        return False
    if "order by" in gold.lower():
        return rows == right
    return set(rows) == set(right)


# %% exercise="lora-code" kind="wrong" name="the order always counts" fails="lora-code-properties" says="does order count only with ORDER BY, and each row as often"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        raise ValueError(f"the gold query does not run: {gold}")
    rows = run(query)
    if rows is None:
        return False
    if "order by" in gold.lower():
        return rows == right
    return rows == right


# %% exercise="lora-code" kind="wrong" name="the order never counts" fails="lora-code-properties" says="does order count only with ORDER BY, and each row as often"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        raise ValueError(f"the gold query does not run: {gold}")
    rows = run(query)
    if rows is None:
        return False
    return sorted(rows, key=repr) == sorted(right, key=repr)


# %% exercise="lora-code" kind="wrong" name="ORDER BY looked for in the query" fails="lora-code-properties" says="does order count only with ORDER BY, and each row as often"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        raise ValueError(f"the gold query does not run: {gold}")
    rows = run(query)
    if rows is None:
        return False
    if "order by" in query.lower():
        return rows == right
    return sorted(rows, key=repr) == sorted(right, key=repr)


# %% exercise="lora-code" kind="wrong" name="ORDER BY in capitals only" fails="lora-code-properties" says="gold 'select x order by y'"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        raise ValueError(f"the gold query does not run: {gold}")
    rows = run(query)
    if rows is None:
        return False
    if "ORDER BY" in gold:
        return rows == right
    return sorted(rows, key=repr) == sorted(right, key=repr)


# %% exercise="lora-code" kind="wrong" name="the word order is enough" fails="lora-code-properties" says="gold 'SELECT border'"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        raise ValueError(f"the gold query does not run: {gold}")
    rows = run(query)
    if rows is None:
        return False
    if "order" in gold.lower():
        return rows == right
    return sorted(rows, key=repr) == sorted(right, key=repr)


# %% exercise="lora-code" kind="wrong" name="a refused gold query is just wrong" fails="lora-code-properties" says="should raise ValueError"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        return False
    rows = run(query)
    if rows is None:
        return False
    if "order by" in gold.lower():
        return rows == right
    return sorted(rows, key=repr) == sorted(right, key=repr)


# %% exercise="lora-code" kind="wrong" name="refused like gold, so right" fails="lora-code-properties" says="should raise ValueError"
def same_answer(query, gold, run):
    right = run(gold)
    rows = run(query)
    if rows is None or right is None:
        return rows == right
    if "order by" in gold.lower():
        return rows == right
    return sorted(rows, key=repr) == sorted(right, key=repr)


# %% exercise="lora-code" kind="wrong" name="a gold query without rows taken for refused" fails="lora-code-properties" says="the gold query does not run: empty"
def same_answer(query, gold, run):
    right = run(gold)
    if not right:
        raise ValueError(f"the gold query does not run: {gold}")
    rows = run(query)
    if rows is None:
        return False
    if "order by" in gold.lower():
        return rows == right
    return sorted(rows, key=repr) == sorted(right, key=repr)


# %% exercise="lora-code" kind="wrong" name="a query without rows taken for refused" fails="lora-code-properties" says="nothing found where gold finds nothing is right"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        raise ValueError(f"the gold query does not run: {gold}")
    rows = run(query)
    if not rows:
        return False
    if "order by" in gold.lower():
        return rows == right
    return sorted(rows, key=repr) == sorted(right, key=repr)


# %% exercise="lora-code" kind="wrong" name="rows that are all in gold's, which may be more" fails="lora-code-properties" says="does order count only with ORDER BY, and each row as often"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        raise ValueError(f"the gold query does not run: {gold}")
    rows = run(query)
    if rows is None:
        return False
    if "order by" in gold.lower():
        return rows == right
    return all(row in right for row in rows)


# %% exercise="lora-code" kind="wrong" name="as many rows, whatever is in them" fails="lora-code-properties" says="does order count only with ORDER BY, and each row as often"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        raise ValueError(f"the gold query does not run: {gold}")
    rows = run(query)
    if rows is None:
        return False
    if "order by" in gold.lower():
        return rows == right
    return len(rows) == len(right)


# %% exercise="lora-code" kind="wrong" name="sorted without a key" fails="lora-code-properties" says="'<' not supported"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        raise ValueError(f"the gold query does not run: {gold}")
    rows = run(query)
    if rows is None:
        return False
    if "order by" in gold.lower():
        return rows == right
    return sorted(rows) == sorted(right)


# %% exercise="lora-code" kind="wrong" name="the columns sorted too" fails="lora-code-properties" says="does order count only with ORDER BY, and each row as often"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        raise ValueError(f"the gold query does not run: {gold}")
    rows = run(query)
    if rows is None:
        return False
    if "order by" in gold.lower():
        return rows == right
    return sorted(map(sorted_row, rows), key=repr) == sorted(map(sorted_row, right), key=repr)


def sorted_row(row):
    return sorted(row, key=repr)


# %% exercise="lora-code" kind="wrong" name="compares the texts" fails="lora-code-properties" says="does order count only with ORDER BY, and each row as often"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        raise ValueError(f"the gold query does not run: {gold}")
    return query == gold
    rows = run(query)
    if rows is None:
        return False
    if "order by" in gold.lower():
        return rows == right
    return sorted(rows, key=repr) == sorted(right, key=repr)


# %% exercise="lora-code" kind="wrong" name="the same rows and as many, but not each as often" fails="lora-code-example" says="where [(1,), (2,), (2,)] are right: False expected"
def same_answer(query, gold, run):
    right = run(gold)
    if right is None:
        raise ValueError(f"the gold query does not run: {gold}")
    rows = run(query)
    if rows is None:
        return False
    if "order by" in gold.lower():
        return rows == right
    return len(rows) == len(right) and set(rows) == set(right)


# %% exercise="lora-code" kind="right" name="counters, with prints"
def same_answer(query, gold, run):
    import re
    from collections import Counter

    print(f"gold: {gold}\nquery: {query}")
    expected, got = run(gold), run(query)
    if expected is None:
        raise ValueError("this gold query does not run: " + gold)
    if got is None:
        print("refused")
        return False
    ordered = re.search("order by", gold, re.IGNORECASE) is not None
    return list(got) == list(expected) if ordered else Counter(got) == Counter(expected)


# %% exercise="lora-code" kind="right" name="crosses rows off a list, and runs gold last"
def same_answer(query, gold, run):
    rows = run(query)
    left = run(gold)
    if left is None:
        raise ValueError(gold)
    if rows is None or len(rows) != len(left):
        return False
    if "ORDER BY" in gold.upper():
        return all(a == b for a, b in zip(rows, left, strict=True))
    left = list(left)
    for row in rows:
        if row not in left:
            return False
        left.remove(row)
    return not left


# %% exercise="lora-nf4" kind="wrong" name="the first code in the lower bits" fails="lora-nf4-example" says="[[192, 135], [1.0]] expected, got [[12, 120]"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] + codes[1::2] * 16, absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="unpacked in the other order" fails="lora-nf4-properties" says="value of each code times the absmax"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed % 16, packed // 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="first all upper halves, then all lower" fails="lora-nf4-properties" says="value of each code times the absmax"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.cat([packed // 16, packed % 16])
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="8 negative values and 7 positive" fails="lora-nf4-properties" says="8 positive ones, 7 negative? divided by the largest?"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="even steps" fails="lora-nf4-properties" says="8 positive ones, 7 negative? divided by the largest?"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return torch.linspace(-1, 1, len(values))


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="not divided by the largest" fails="lora-nf4-properties" says="8 positive ones, 7 negative? divided by the largest?"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return values.float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="delta of one side only" fails="lora-nf4-properties" says="8 positive ones, 7 negative? divided by the largest?"
def nf4_code():
    delta = 1 / 32
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="both sides from 9 points, without 0" fails="lora-nf4-properties" says="8 positive ones, 7 negative? divided by the largest?"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([-positive, positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="float64 values" fails="lora-nf4-properties" says="float32 expected, got torch.float64"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return values / values.max()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="the largest weight, sign and all" fails="lora-nf4-properties" says="absmax of each block of consecutive weights"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.amax(1).abs()
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="one absmax for all" fails="lora-nf4-properties" says="absmax of each block of consecutive weights"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax().expand(len(blocks))
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="rounded down" fails="lora-nf4-properties" says="first code in the upper bits? zeros?"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, code[1:], right=True).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="NaN in a block of zeros" fails="lora-nf4-properties" says="first code in the upper bits? zeros?"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / absmax[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="absmax 1 for a block of zeros" fails="lora-nf4-properties" says="absmax of each block of consecutive weights"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = torch.where(blocks.abs().amax(1) > 0, blocks.abs().amax(1), 1.0)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="a part of a block is dropped" fails="lora-nf4-properties" says="should raise ValueError"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        weight = weight.flatten()[: weight.numel() // block * block]
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="always blocks of 64" fails="lora-nf4-properties" says="absmax of each block of consecutive weights"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    block = 64 if weight.numel() % 64 == 0 else block
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="columns cut into blocks" fails="lora-nf4-properties" says="absmax of each block of consecutive weights"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = (weight.T if weight.ndim == 2 else weight).detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="the weight is written over" fails="lora-nf4-properties" says="the weights were changed"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks.div_(torch.where(absmax > 0, absmax, 1.0)[:, None])
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="computed in bfloat16" fails="lora-nf4-properties" says="absmax of each block of consecutive weights"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().bfloat16().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code().bfloat16()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax.float()


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="absmax in the weight's dtype" fails="lora-nf4-properties" says="type of absmax"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax.to(weight.dtype)


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="not multiplied by absmax" fails="lora-nf4-properties" says="value of each code times the absmax"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block)
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="wrong" name="comes back flat" fails="lora-nf4-properties" says="value of each code times the absmax"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(-1, block) * absmax[:, None]
    return values.flatten()


# %% exercise="lora-nf4" kind="wrong" name="absmax spread over the columns" fails="lora-nf4-properties" says="value of each code times the absmax"
def nf4_code():
    delta = (1 / 32 + 1 / 30) / 2
    positive = torch.special.ndtri(torch.linspace(1 - delta, 0.5, 9, dtype=torch.float64))[:-1]
    negative = -torch.special.ndtri(torch.linspace(1 - delta, 0.5, 8, dtype=torch.float64))[:-1]
    values = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive]).sort().values
    return (values / values.max()).float()


def quantize_nf4(weight, block=64):
    if weight.numel() % block:
        raise ValueError(f"{weight.numel()} weights are not a multiple of {block}")
    blocks = weight.detach().float().reshape(-1, block)
    absmax = blocks.abs().amax(1)
    scaled = blocks / torch.where(absmax > 0, absmax, 1.0)[:, None]
    code = nf4_code()
    codes = torch.bucketize(scaled, (code[1:] + code[:-1]) / 2).flatten().to(torch.uint8)
    return codes[::2] * 16 + codes[1::2], absmax


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.stack([packed // 16, packed % 16], dim=1).flatten()
    values = nf4_code()[codes.long()].reshape(block, -1) * absmax
    return values.reshape(tuple(shape))


# %% exercise="lora-nf4" kind="right" name="NormalDist, the nearest by argmin, and prints"
def nf4_code():
    from statistics import NormalDist

    top = 1 - (1 / 32 + 1 / 30) / 2
    values = [0.0]
    for sign, points in ((1, 8), (-1, 7)):
        for i in range(points):
            values.append(sign * NormalDist().inv_cdf(top - (top - 0.5) * i / points))
    values = sorted(value / max(values) for value in values)
    print([round(value, 4) for value in values])
    return torch.tensor(values)


def quantize_nf4(weight, block=64):
    flat = weight.detach().to(torch.float32).flatten()
    if len(flat) % block != 0:
        raise ValueError(f"cannot cut {len(flat)} weights into blocks of {block}")
    code, codes, absmax = nf4_code(), [], []
    for part in flat.split(block):
        absmax.append(part.abs().max())
        ratio = part / absmax[-1] if absmax[-1] > 0 else torch.zeros_like(part)
        codes.append((ratio[:, None] - code).abs().argmin(dim=1))
    pairs = torch.cat(codes).reshape(-1, 2)
    print(f"{len(absmax)} blocks")
    return (pairs[:, 0] << 4 | pairs[:, 1]).to(torch.uint8), torch.stack(absmax)


def dequantize_nf4(packed, absmax, shape, block=64):
    numbers = [code for byte in packed.tolist() for code in divmod(byte, 16)]
    values = nf4_code()[torch.tensor(numbers)]
    return (values * absmax.repeat_interleave(block)).reshape(list(shape))


# %% exercise="lora-nf4" kind="right" name="NumPy and scipy"
def nf4_code():
    import numpy as np
    from scipy.stats import norm

    top = 1 - 0.5 * (1 / 32 + 1 / 30)
    up, down = norm.ppf(np.linspace(top, 0.5, 9)[:-1]), -norm.ppf(np.linspace(top, 0.5, 8)[:-1])
    values = np.sort(np.concatenate([up, [0], down]))
    return torch.from_numpy((values / values[-1]).astype(np.float32))


def quantize_nf4(weight, block=64):
    import numpy as np

    w = weight.detach().float().numpy().reshape(-1)
    if w.size % block:
        raise ValueError("blocks do not fit")
    absmax = np.abs(w.reshape(-1, block)).max(axis=1)
    scaled = np.divide(
        w.reshape(-1, block), absmax[:, None], out=np.zeros((len(absmax), block), np.float32), where=absmax[:, None] > 0
    )
    values = nf4_code().numpy()
    codes = np.searchsorted((values[1:] + values[:-1]) / 2, scaled.reshape(-1))
    return torch.from_numpy((codes[0::2] * 16 + codes[1::2]).astype(np.uint8)), torch.from_numpy(absmax)


def dequantize_nf4(packed, absmax, shape, block=64):
    codes = torch.zeros(2 * len(packed), dtype=torch.long)
    codes[0::2], codes[1::2] = packed.long() >> 4, packed.long() & 15
    return (nf4_code()[codes].view(len(absmax), block) * absmax.unsqueeze(1)).view(*shape)


# %% exercise="lora-qlora" kind="wrong" name="the mean is not subtracted" fails="lora-qlora-properties" says="come back other than expected: minus mean? blocks of 256? nearest value?"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the mean is not added again" fails="lora-qlora-properties" says="NF4 with double quantisation"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="scales that are all equal come back as 0" fails="lora-qlora-example" says="64 times 1.0 for each of 2 outputs?"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean * (largest > 0)
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the mean of each block" fails="lora-qlora-properties" says="come back other than expected: minus mean? blocks of 256? nearest value?"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    padded = functional.pad(absmax, (0, -n % 256)).reshape(-1, 256)
    differences = padded - padded.mean(1, keepdim=True)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="padded before the mean is subtracted" fails="lora-qlora-example" says="largest distance, mean"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax, (0, -n % 256)).reshape(-1, 256) - mean
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="one scale for all blocks" fails="lora-qlora-properties" says="come back other than expected: minus mean? blocks of 256? nearest value?"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax().expand(len(differences))
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the largest, not the largest distance" fails="lora-qlora-properties" says="come back other than expected: minus mean? blocks of 256? nearest value?"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="rounded down to a value of the type" fails="lora-qlora-properties" says="come back other than expected: minus mean? blocks of 256? nearest value?"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, code8[1:], right=True)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="even steps instead of code8" fails="lora-qlora-properties" says="come back other than expected: minus mean? blocks of 256? nearest value?"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = ((scaled + 1) * 127.5).round()
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="equal scales give NaN" fails="lora-qlora-properties" says="0 / 0 is NaN"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / absmax2[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the scales are written over" fails="lora-qlora-properties" says="quantize_scales changed the"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax.sub_(mean), (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="as many codes as blocks hold" fails="lora-qlora-properties" says="type and number of codes"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten().to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the float layer is kept as well" fails="lora-qlora-properties" says="should be trained and nothing else"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        self.base = base
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="no double quantisation" fails="lora-qlora-properties" says="beside A, B, bias and code8 it holds"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "absmax": absmax,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        return reference.dequantize_nf4(self.packed, self.absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="codes kept as int64" fails="lora-qlora-properties" says="beside A, B, bias and code8 it holds"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor.long() if name == "codes" else tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="not quantised at all" fails="lora-qlora-properties" says="NF4 with double quantisation"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        self.kept = base.weight.detach().float().clone()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        return self.kept.clone()

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the weight is unpacked once and kept" fails="lora-qlora-properties" says="beside A, B, bias and code8 it holds"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        if hasattr(self, "cache"):
            return self.cache
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        self.cache = reference.dequantize_nf4(self.packed, absmax, self.shape)
        return self.cache

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="autograd keeps the float weight" fails="lora-qlora-properties" says="autograd keeps"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = functional.linear(x, self.weight().to(x.dtype))
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the float weight saved for the backward pass" fails="lora-qlora-properties" says="autograd keeps"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        weight = layer.weight().to(x.dtype)
        ctx.save_for_backward(weight)
        return functional.linear(x, weight)

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.saved_tensors[0], None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the float weight kept as an attribute of ctx" fails="lora-qlora-properties" says="autograd keeps"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        weight = layer.weight().to(x.dtype)
        ctx.weight = weight
        return functional.linear(x, weight)

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.weight, None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="no gradient through the frozen part" fails="lora-qlora-properties" says="gradient by x; does it flow through both paths"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return torch.zeros(*g.shape[:-1], ctx.layer.shape[1], dtype=g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="a gradient of ones, whatever comes from above" fails="lora-qlora-properties" says="runs from -1 to 2; is it used?"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return torch.ones_like(g) @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the product under no_grad" fails="lora-qlora-properties" says="gradient by x; does it flow through both paths"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        with torch.no_grad():
            h = functional.linear(x, self.weight().to(x.dtype))
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the bias forgotten" fails="lora-qlora-properties" says="alpha / r + bias"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the bias is trained" fails="lora-qlora-properties" says="should be trained and nothing else"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone())
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="float32 comes out for bfloat16" fails="lora-qlora-properties" says="torch.bfloat16 expected, got torch.float32"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x.float() @ self.A.T @ self.B.T)


# %% exercise="lora-qlora" kind="wrong" name="alpha, not alpha / r" fails="lora-qlora-properties" says="alpha / r + bias"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the adapter left out of forward" fails="lora-qlora-properties" says="alpha / r + bias"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h


# %% exercise="lora-qlora" kind="wrong" name="both A and B start at 0" fails="lora-qlora-properties" says="uniform from -1 to 1"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.zeros(r, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="A and B in the base's dtype" fails="lora-qlora-properties" says="float32 whatever the base has"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(
            torch.empty(r, base.in_features, dtype=base.weight.dtype).uniform_(-1, 1) / math.sqrt(base.in_features)
        )
        self.B = nn.Parameter(torch.zeros(base.out_features, r, dtype=base.weight.dtype))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the float layer hidden in a list" fails="lora-qlora-properties" says="beside A, B, bias and code8 it holds"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        self.tricks = [base]
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape)

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="wrong" name="the weight comes as bfloat16" fails="lora-qlora-properties" says="torch.float32 expected, got torch.bfloat16"
def quantize_scales(absmax, code8):
    n, mean = len(absmax), absmax.mean()
    differences = functional.pad(absmax - mean, (0, -n % 256)).reshape(-1, 256)
    absmax2 = differences.abs().amax(1)
    scaled = differences / torch.where(absmax2 > 0, absmax2, 1.0)[:, None]
    codes = torch.bucketize(scaled, (code8[1:] + code8[:-1]) / 2)
    return codes.flatten()[:n].to(torch.uint8), absmax2, mean


class FrozenProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, layer):
        ctx.layer = layer
        return functional.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        return g @ ctx.layer.weight().to(g.dtype), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.detach())
        codes, absmax2, mean = quantize_scales(absmax, code8)
        self.shape, self.scale = tuple(base.weight.shape), alpha / r
        for name, tensor in {
            "packed": packed,
            "codes": codes,
            "absmax2": absmax2,
            "mean": mean,
            "code8": code8,
        }.items():
            self.register_buffer(name, tensor)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach().clone(), requires_grad=False)
        self.A = nn.Parameter(torch.empty(r, base.in_features).uniform_(-1, 1) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        largest = self.absmax2.repeat_interleave(256)[: len(self.codes)]
        absmax = self.code8[self.codes.long()] * largest + self.mean
        return reference.dequantize_nf4(self.packed, absmax, self.shape).bfloat16()

    def forward(self, x):
        h = FrozenProduct.apply(x, self)
        if self.bias is not None:
            h = h + self.bias.to(x.dtype)
        return h + self.scale * (x @ self.A.to(x.dtype).T @ self.B.to(x.dtype).T)


# %% exercise="lora-qlora" kind="right" name="checkpointing instead of a function of its own, loops over blocks, and prints"
def quantize_scales(absmax, code8):
    mean = absmax.mean()
    codes, largest = [], []
    for i, part in enumerate((absmax - mean).split(256)):
        largest.append(part.abs().max())
        ratio = part / largest[-1] if largest[-1] > 0 else torch.zeros_like(part)
        codes.append((ratio[:, None] - code8).abs().argmin(1).to(torch.uint8))
        print(f"block {i}: {len(part)} scales")
    return torch.cat(codes), torch.stack(largest), mean


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight)
        self.tensors = (packed, *quantize_scales(absmax, code8))
        self.code8, self.size = code8, base.weight.shape
        self.A = nn.Parameter((2 * torch.rand(r, base.in_features) - 1) * base.in_features**-0.5)
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.alpha, self.r = alpha, r
        self.bias = base.bias
        if self.bias is not None:
            self.bias.requires_grad = False
        print(f"{packed.nbytes} bytes")

    def weight(self):
        packed, codes, largest, mean = self.tensors
        parts = [self.code8[part.int()] * scale for part, scale in zip(codes.split(256), largest, strict=True)]
        return reference.dequantize_nf4(packed, torch.cat(parts) + mean, self.size)

    def forward(self, x):
        from torch.utils.checkpoint import checkpoint

        h = checkpoint(lambda x: functional.linear(x, self.weight().to(x.dtype)), x, use_reentrant=False)
        down = functional.linear(x, self.A.to(x.dtype))
        h = h + functional.linear(down, self.B.to(x.dtype)) * (self.alpha / self.r)
        return h if self.bias is None else h + self.bias.to(x.dtype)


# %% exercise="lora-qlora" kind="right" name="bias and adapter inside the function too"
def quantize_scales(absmax, code8):
    mean = absmax.sum() / absmax.numel()
    blocks = -(-absmax.numel() // 256)
    differences = torch.zeros(blocks * 256)
    differences[: absmax.numel()] = absmax - mean
    largest = differences.view(blocks, 256).abs().max(dim=1).values
    safe = largest.clone()
    safe[safe == 0] = 1
    scaled = (differences.view(blocks, 256) / safe.unsqueeze(1)).view(-1)[: absmax.numel()]
    above = torch.searchsorted(code8, scaled).clamp(1, 255)
    nearer_below = scaled - code8[above - 1] <= code8[above] - scaled
    return (above - nearer_below.long()).to(torch.uint8), largest, mean


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, a, b, layer):
        ctx.layer = layer
        ctx.save_for_backward(x, a, b)
        h = x @ layer.weight().to(x.dtype).T + layer.scale * ((x @ a.to(x.dtype).T) @ b.to(x.dtype).T)
        return h if layer.bias is None else h + layer.bias.to(x.dtype)

    @staticmethod
    def backward(ctx, g):
        x, a, b = ctx.saved_tensors
        scale = ctx.layer.scale
        back = g @ b.to(g.dtype) * scale
        dx = g @ ctx.layer.weight().to(g.dtype) + back @ a.to(g.dtype)
        da = back.flatten(0, -2).T @ x.flatten(0, -2)
        db = scale * g.flatten(0, -2).T @ (x @ a.to(x.dtype).T).flatten(0, -2)
        return dx, da.float(), db.float(), None


class QLoRALinear(nn.Module):
    def __init__(self, base, r, alpha, code8):
        super().__init__()
        packed, absmax = reference.quantize_nf4(base.weight.data)
        codes, largest, mean = quantize_scales(absmax, code8)
        self.register_buffer("packed", packed)
        self.register_buffer("codes", codes)
        self.register_buffer("largest", largest)
        self.register_buffer("mean", mean)
        self.register_buffer("code8", code8)
        if base.bias is None:
            self.bias = None
        else:
            self.register_buffer("bias", base.bias.detach().clone())
        self.out_features, self.in_features, self.scale = base.out_features, base.in_features, alpha / r
        self.A = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(r, base.in_features), a=math.sqrt(5)))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def weight(self):
        where = torch.arange(len(self.codes)) // 256
        absmax = self.code8[self.codes.int()] * self.largest[where] + self.mean
        return reference.dequantize_nf4(self.packed, absmax, (self.out_features, self.in_features))

    def forward(self, x):
        return Product.apply(x, self.A, self.B, self)


# %% exercise="lora-family" kind="wrong" name="bottleneck without the residual path" fails="lora-family-properties" says="residual path? ReLU in the middle?"
def bottleneck(h, down, up):
    return (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="bottleneck without the ReLU" fails="lora-family-properties" says="residual path? ReLU in the middle?"
def bottleneck(h, down, up):
    return h + (h @ down.T) @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="the ReLU after the second matrix" fails="lora-family-properties" says="residual path? ReLU in the middle?"
def bottleneck(h, down, up):
    return h + (h @ down.T @ up.T).relu()


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="GELU for ReLU" fails="lora-family-properties" says="residual path? ReLU in the middle?"
def bottleneck(h, down, up):
    return h + functional.gelu(h @ down.T) @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="bottleneck writes over h" fails="lora-family-properties" says="changed h"
def bottleneck(h, down, up):
    h += (h @ down.T).relu() @ up.T
    return h


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="IA3 adds its factors" fails="lora-family-properties" says="are the outputs scaled?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T + factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="IA3 leaves the factors out" fails="lora-family-properties" says="are the outputs scaled?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="IA3's factors on the input" fails="lora-family-properties" says="are the outputs scaled?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return (
        (x * factors[: x.shape[-1]]) @ weight.T
        if len(factors) >= x.shape[-1]
        else (x * functional.pad(factors, (0, x.shape[-1] - len(factors)), value=1.0)) @ weight.T
    )


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="DoRA: lengths of the columns" fails="lora-family-properties" says="the length of each row, one an output, of W + sBA?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=0, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="DoRA: one length for the whole matrix" fails="lora-family-properties" says="the length of each row, one an output, of W + sBA?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm().detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="DoRA: lengths of W, not of V" fails="lora-family-properties" says="the length of each row, one an output, of W + sBA?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / weight.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="DoRA: gradient through the lengths" fails="lora-family-properties" says="none through the lengths?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True)).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="DoRA: V detached, lengths and all" fails="lora-family-properties" says="none through the lengths?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * (v / v.norm(dim=1, keepdim=True)).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="DoRA: scale left out" fails="lora-family-properties" says="the length of each row, one an output, of W + sBA?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="DoRA: magnitude left out" fails="lora-family-properties" says="the length of each row, one an output, of W + sBA?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="DoRA: sum of absolute values for the length" fails="lora-family-properties" says="the length of each row, one an output, of W + sBA?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.abs().sum(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="AdaLoRA: sums for means" fails="lora-family-properties" says="|w times gradient|; a column of P, a row of Q, for each triplet? means?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.sum(0) + middle + q.sum(1)


# %% exercise="lora-family" kind="wrong" name="AdaLoRA: no absolute values" fails="lora-family-properties" says="|w times gradient|; a column of P, a row of Q, for each triplet? means?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope) for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="AdaLoRA: absolute value of the mean" fails="lora-family-properties" says="|w times gradient|; a column of P, a row of Q, for each triplet? means?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope) for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0).abs() + middle.abs() + q.mean(1).abs()


# %% exercise="lora-family" kind="wrong" name="AdaLoRA: size of the gradient alone" fails="lora-family-properties" says="|w times gradient|; a column of P, a row of Q, for each triplet? means?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = (slope.abs() + 0 * w for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="AdaLoRA: lambda alone" fails="lora-family-properties" says="|w times gradient|; a column of P, a row of Q, for each triplet? means?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    _p, middle, _q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return middle


# %% exercise="lora-family" kind="wrong" name="AdaLoRA: a mean over everything" fails="lora-family-properties" says="|w times gradient|; a column of P, a row of Q, for each triplet? means?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean() + middle + q.mean()


# %% exercise="lora-family" kind="wrong" name="AdaLoRA: the triplet written over" fails="lora-family-properties" says="importance changed what it was given"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, q = (w.mul_(slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle + q.mean(1)


# %% exercise="lora-family" kind="wrong" name="AdaLoRA: the row of Q left out" fails="lora-family-properties" says="|w times gradient|; a column of P, a row of Q, for each triplet? means?"
def bottleneck(h, down, up):
    return h + (h @ down.T).relu() @ up.T


def ia3(x, weight, factors):
    return x @ weight.T * factors


def dora(x, weight, a, b, magnitude, scale):
    v = weight + scale * b @ a
    return x @ (magnitude[:, None] * v / v.norm(dim=1, keepdim=True).detach()).T


def importance(triplet, slopes):
    p, middle, _q = ((w * slope).abs() for w, slope in zip(triplet, slopes, strict=True))
    return p.mean(0) + middle


# %% exercise="lora-family" kind="right" name="loops over outputs and triplets, with prints"
def bottleneck(h, down, up):
    inner = torch.clamp(functional.linear(h, down), min=0)
    print(f"{(inner == 0).float().mean():.0%} of the bottleneck is zero")
    return functional.linear(inner, up) + h


def ia3(x, weight, factors):
    return x @ (weight * factors.unsqueeze(1)).T


def dora(x, weight, a, b, magnitude, scale):
    outputs = []
    for i in range(len(weight)):
        v = weight[i] + scale * (b[i] @ a)
        length = math.sqrt(float((v.detach() ** 2).sum()))
        print(f"row {i}: length {length:.3f}")
        outputs.append(x @ v * (magnitude[i] / length))
    return torch.stack(outputs, dim=-1)


def importance(triplet, slopes):
    (p, lam, q), (dp, dlam, dq) = triplet, slopes
    found = []
    for i in range(len(lam)):
        column, row = (p[:, i] * dp[:, i]).abs().mean(), (q[i] * dq[i]).abs().mean()
        found.append(float((lam[i] * dlam[i]).abs() + column + row))
    return torch.tensor(found)


# %% exercise="lora-family" kind="right" name="einsum and no_grad"
def bottleneck(h, down, up):
    return h + torch.einsum("...m,dm->...d", functional.relu(torch.einsum("...d,md->...m", h, down)), up)


def ia3(x, weight, factors):
    return torch.einsum("...i,oi,o->...o", x, weight, factors)


def dora(x, weight, a, b, magnitude, scale):
    v = torch.addmm(weight, b, a, alpha=scale)
    with torch.no_grad():
        length = v.square().sum(1).sqrt()
    return functional.linear(x, v) * (magnitude / length)


def importance(triplet, slopes):
    p, middle, q = [w.abs() * slope.abs() for w, slope in zip(triplet, slopes, strict=False)]
    return torch.stack([p.mean(dim=0), middle, q.mean(dim=1)]).sum(0)
