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
# # A pre-training pipeline
#
# You will build the machinery around a language model that makes pre-training work: documents packed into blocks without letting one read the other, four training objectives, weight decay where it belongs, a learning rate that warms up and falls, gradient accumulation that is *exactly* the large batch, checkpoints from which a run goes on bit for bit, and an alarm that takes a run back when its loss jumps. With it you train a decoder from random weights until it tells children's stories, let a single flipped bit ruin it, and watch it recover. Then you train a family of sizes on Jane Austen, fit a scaling law, and read off how large a model should be for the computing that you can afford.
#
# The decoder itself is given (`llmlabs.lab.decoder`, Llama's architecture in 100 lines; the lab *A transformer from scratch* builds one). No exercise needs an earlier one; the experiments in between and at the end use what you have written.

# %% tags=["parameters"] nbgrader={"grade": false, "grade_id": "pretraining-pipeline-parameters", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
SCALE = "cpu"  # or "gpu": 25 million parameters, 67 times the stories, bfloat16, a larger scaling law

# %% nbgrader={"grade": false, "grade_id": "pretraining-pipeline-imports", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
import copy
import math
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.testing import assert_allclose, assert_raises
from scipy import optimize, stats
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torch.testing import assert_close

from llmlabs.lab import pretraining_oracles as oracles
from llmlabs.lab import runs
from llmlabs.lab.data import NOVELS, austen
from llmlabs.lab.decoder import Decoder
from llmlabs.lab.machine import peak_flops
from llmlabs.lab.plotting import draw_curves, use_course_style
from llmlabs.lab.stories import MASK, VOCABULARY, decode, encode, stories, tell
from llmlabs.lab.testing import inside, load_parameters, parameters_of, seed

use_course_style()
LARGE = SCALE == "gpu"
torch.set_num_threads(1)  # models as small as these run faster without sharing the work
DEVICE = torch.device("cuda" if LARGE and torch.cuda.is_available() else "cpu")
told, held_out = stories(200_000 if LARGE else 3_000, seed=0), stories(200, seed=1)
print(f"{told[0].text}\n{len(told):,} such stories to train on, {len(held_out)} held out, {len(VOCABULARY)} tokens")

# %% [markdown]
# ## 1. Packing: no token wasted, no document read by its neighbour
#
# The stories come from a small grammar (after TinyStories, Eldan and Li 2023): simple words, but who writes one must remember who lost what. A token here is a word or a punctuation mark; the token 0, `<story>`, begins each story. Documents have all lengths, a GPU wants rows of one length $T$. On the web most pages are short and a few very long: to pad each of them to the longest would waste most of the work. (Our stories, of 60 to 72 tokens, are an easy case: about 8 %.) So we **pack**: write all documents one after the other into a stream, and cut it into **blocks** of $T$ tokens. The **target** of each input token is the token after it in the stream. The start of the next document is a target too: that is how the model learns to end.
#
# Packing puts strangers side by side. The **boundary mask** keeps them apart: with $n_i$ the number of the document that token $i$ belongs to, position $i$ may see position $j$ if
#
# $$v_{ij} = [n_i = n_j] \cdot \bigl[\, j \le i \ \text{ or } \ p_j \,\bigr],$$
#
# where $[\cdot]$ is 1 if true, else 0, and $p_j$ says whether $j$ belongs to a **prefix** that everybody in the document may read. No prefix: *causal* language modelling. Everything prefix: both directions, as BERT reads. A question as prefix and its answer after it: a *prefix LM*. (Positions need no reset: rotary embeddings know only distances.)
#
# **By hand.** Documents $(5, 6)$ and $(7)$, start 0, $T = 4$. The stream is $0, 5, 6, 0, 7, 0$: a start before each document, and one at the very end as the last target. Inputs $(0, 5, 6, 0)$ and $(7, \cdot, \cdot, \cdot)$, targets $(5, 6, 0, 7)$ and $(0, \cdot, \cdot, \cdot)$, document numbers $(0, 0, 0, 1)$ and $(1, \cdot, \cdot, \cdot)$. Places that are left over get input 0, target $-100$ (PyTorch's "do not count this") and number $-1$. In the first block position 3, the start of document 1, sees only itself.
#
# <details><summary>Hint 1</summary>Build three flat lists: the stream, the document number of each of its tokens, and the targets, which are the stream from its second token on. Then fill up and <code>reshape(-1, length)</code>.</details>
# <details><summary>Hint 2</summary><code>numbers[:, :, None] == numbers[:, None, :]</code> has shape (B, T, T). A lower triangle of ones, <code>torch.ones(T, T, dtype=torch.bool).tril()</code>, is the causal part; <code>prefix[:, None, :]</code> speaks of j.</details>


# %% nbgrader={"grade": false, "grade_id": "pretrain-packing", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def pack(documents: list[list[int]], length: int, start: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Write documents into one stream, a token `start` before each and one at the end, and cut it into blocks.

    `documents` are lists of token ids, at least one list; one may be empty, and none is changed. `length` is T.

    Returns (inputs, targets, numbers), int64 (B, T) each, B as small as possible. Inputs: the stream without its last
    token. Targets: the token after each in the stream, also where that is in the next block. Numbers: the document, from
    0, of each input; a start belongs to the document that it begins. Places left over hold `start`, -100 and -1.

    Example: the inputs of pack([[5, 6], [7]], 4) are [[0, 5, 6, 0], [7, 0, 0, 0]]; for the rest see the one by hand.
    """
    ### BEGIN SOLUTION
    stream = [token for document in documents for token in (start, *document)]
    owners = [number for number, document in enumerate(documents) for _ in range(len(document) + 1)]
    left = -len(stream) % length
    parts = [*stream, *[start] * left], [*stream[1:], start, *[-100] * left], [*owners, *[-1] * left]
    inputs, targets, numbers = (torch.tensor(part).view(-1, length) for part in parts)
    return inputs, targets, numbers
    ### END SOLUTION


def visibility(numbers: Tensor, prefix: Tensor | None = None) -> Tensor:
    """Return bool (B, T, T), on the device of numbers: may position i (axis 1) see position j (axis 2)?

    Yes where both are of one document, and j is not after i or is of the prefix. `numbers` is int64 (B, T), the document
    of each position, as `pack` returns it (-1 is one, too); `prefix` is bool (B, T), None: no prefix. Neither is changed.
    """
    ### BEGIN SOLUTION
    allowed = torch.ones(numbers.shape[1], numbers.shape[1], dtype=torch.bool, device=numbers.device).tril()
    if prefix is not None:
        allowed = allowed | prefix[:, None, :]
    return (numbers[:, :, None] == numbers[:, None, :]) & allowed
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "pretrain-packing-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
cases, rows = [([[5, 6], [7]], 4)], [[0, 0, 1, 1]]
### BEGIN HIDDEN TESTS
a, b, c = np.random.default_rng(seed("pretrain-packing-example")).integers(1, 9, size=3).tolist()
cases, rows = [*cases, ([[a], [b, c]], 3)], [*rows, [a, 9, 9]]
### END HIDDEN TESTS
for documents, length in cases:
    for got, (want, hint) in zip(pack(documents, length), oracles.packing(documents, length, 0), strict=True):
        assert got.tolist() == want, f"pack({documents}, {length}): {want} expected, got {got.tolist()}; {hint}"
for row in rows:
    want, why = oracles.visible_pairs(torch.tensor([row]), None), f"numbers {row}: one document? itself and before?"
    assert_close(visibility(torch.tensor([row])), want, msg=f"{why} {want.int().tolist()} expected")

# %% nbgrader={"grade": true, "grade_id": "pretrain-packing-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: blocks, full and part-filled, empty documents, another start; every pair of positions with and without a prefix; that a decoder gives each packed document the logits that it gives to the document alone (to 1e-4: float32 sums in another order); arguments unchanged.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("pretrain-packing-properties"))
for sizes, length in (([3, 0, 5, 1], 4), ([2, 4, 0], 9), ([1, 9], 3), ([0], 2), ([4, 6, 3], 16)):
    documents = [rng.integers(1, 50, size=n).tolist() for n in sizes]
    given, parts = copy.deepcopy(documents), pack(documents, length, 60)
    assert documents == given, "pack changed its documents: make new lists"
    for got, (want, hint) in zip(parts, oracles.packing(documents, length, 60), strict=True):
        why = f"documents of {sizes} tokens, length {length}, start 60: {want} expected, got {got.dtype} {got.tolist()}; {hint}"
        assert got.tolist() == want and got.dtype == torch.int64, why
numbers = torch.tensor([[4, 4, 4, 5, 5, 6, 6], [0, 0, 0, 0, 1, -1, -1]])
for prefix in (None, torch.tensor(rng.integers(0, 2, size=(2, 7)) == 1), numbers < 9):
    given, got = copy.deepcopy((numbers, prefix)), visibility(numbers, prefix)
    why = f"numbers {numbers.tolist()}, prefix {prefix}: axis 1 looks at axis 2: the same document, and (not later, or in j's prefix); all -1 are one document"
    assert_close(got, oracles.visible_pairs(*given), msg=why)
    assert str(given) == str((numbers, prefix)), "visibility changed its arguments"
decoder, why = Decoder(61, 16, 2, 2), "packed documents got other logits than each alone: does one see its neighbour?"
alone = torch.cat([decoder(torch.tensor([[60, *document]]))[0] for document in documents])
assert_close(decoder(parts[0], visibility(parts[2]))[0], alone, atol=1e-4, rtol=1e-4, msg=why)
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** All stories are packed; hardly a place is empty. Each row of the pictures shows what one position sees.

# %% nbgrader={"grade": false, "grade_id": "pretraining-pipeline-look", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
LENGTH = 128 if LARGE else 64
train_inputs, train_targets, train_numbers = pack([encode(story.text) for story in told], LENGTH)
print(f"{len(train_inputs):,} blocks of {LENGTH} tokens; empty places: {(train_targets == -100).float().mean():.3%}")
block, where = torch.tensor([[0] * 9 + [1] * 7]), torch.arange(16)[None]
views = {"causal": None, "prefix LM": (where < 5) | (where // 3 == 3), "both ways (BERT)": where > -1}
for number, (name, prefix) in enumerate(views.items(), 1):
    plt.subplot(1, 3, number, title=name, xlabel="position j, seen", ylabel="position i, looks", xticks=[], yticks=[])
    plt.imshow(visibility(block, prefix)[0], cmap="Blues", vmax=1.4)
plt.suptitle("Two documents in one block never meet", fontsize=11)
plt.show()

# %% [markdown]
# *Think:* a story that is cut by the end of a block goes on in another one, where its beginning cannot be seen. What can the model then not know, and what does it learn about the first words of a block? (Ding et al. 2024 pack so that hardly any document is cut.)
#
# ## 2. Objectives: what to predict, and what not to see
#
# Pre-training needs no labels: the text is its own teacher. All objectives are the same cross-entropy; they differ in what is visible and in which targets count.
#
# - **Causal LM** (GPT): predict each next token from what is before it. Every position has a target.
# - **Masked LM** (BERT; Devlin et al. 2019, section 3.1): choose 15 % of the tokens. Of the chosen, 80 % become `<mask>`, 10 % a random token, 10 % stay as they are; the target is the original, and only the chosen count. Why not always `<mask>`? Nobody writes `<mask>` later: the model must stay suspicious of, and have an opinion on, ordinary words too.
# - **Prefix LM** (T5; Raffel et al. 2020, section 3.2): the prefix is read both ways, so a target inside it can be *seen*: position $i$ would copy the answer from $i + 1$. Such targets must not count. The rule, for any mask, where the target of position $i$ is the *next* token, the input $i + 1$: if $v_{i,i+1}$ is true, it becomes $-100$. (In masked LM the target is the hidden token of the same place, so there it does not apply.)
# - **Next sentence prediction** (BERT): given two sentences, is the second the one that followed, or one from another document? Half of each. RoBERTa (Liu et al. 2019, section 4.2) found that models do as well without it. ALBERT's authors (Lan et al. 2020, section 3.1) suspect why: a sentence from another document is betrayed by its subject alone.
#
# **By hand.** 1,000 tokens: about 150 are chosen, 120 of them masked, 15 random, 15 kept. With a prefix of 3 tokens in a block of 5, positions 0 and 1 see their next token, so their targets become $-100$; position 2 is the last of the prefix, its target is outside and counts. The target of the last position, 4, is in no place of the block: it always counts.
#
# <details><summary>Hint 1</summary>Draw one uniform number for each token to choose, and another one to decide what becomes of it: below 0.8 masked, from 0.8 to 0.9 random. <code>torch.rand(shape, generator=generator)</code>, <code>torch.randint</code>, <code>torch.where</code>.</details>
# <details><summary>Hint 2</summary><code>visible.diagonal(1, 1, 2)</code> is v(i, i + 1) for i = 0 ... T - 2. It has T - 1 columns: the last target has nobody to see it.</details>


# %% nbgrader={"grade": false, "grade_id": "pretrain-objectives", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def mask_tokens(ids: Tensor, maskable: Tensor, mask_id: int, vocabulary: int, generator: torch.Generator) -> tuple:
    """Return (inputs, targets), int64 (B, T) each, for masked language modelling. All is on the CPU, nothing is changed.

    Each token of `ids` (int64, (B, T)) where `maskable` (bool, (B, T)) is True is chosen with probability 0.15, on its own.
    The input of a chosen one is mask_id with probability 0.8, a random token of 0 ... vocabulary - 1, all equally likely,
    with 0.1, and itself with 0.1; its target is the token. All other tokens stay, with the target -100. All random numbers
    come from `generator`.
    """
    ### BEGIN SOLUTION
    chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & maskable
    fate = torch.rand(ids.shape, generator=generator)
    randoms = torch.randint(vocabulary, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, torch.where(chosen & (fate > 0.9), randoms, ids))
    return inputs, torch.where(chosen, ids, -100)
    ### END SOLUTION


def hide_seen(targets: Tensor, visible: Tensor) -> Tensor:
    """Return a copy of targets (int64, (B, T)), with -100 where visible (bool, (B, T, T)) lets position i see i + 1."""
    ### BEGIN SOLUTION
    hidden = targets.clone()
    hidden[:, :-1][visible.diagonal(1, 1, 2)] = -100
    return hidden
    ### END SOLUTION


def sentence_pairs(documents: list[list[str]], rng: random.Random) -> list[tuple[str, str, bool]]:
    """Make pairs for next sentence prediction from two or more documents, each a list of sentences, none empty or changed.

    For each sentence that has a next one in its document, in order, there is one triple: with probability 1/2 (sentence,
    next one, True), else (sentence, a sentence of another document, False). Each other document is equally likely, and
    then each of its sentences. All random choices come from rng.
    """
    ### BEGIN SOLUTION
    pairs = []
    for number, document in enumerate(documents):
        others = documents[:number] + documents[number + 1 :]
        for i in range(len(document) - 1):
            follows = rng.random() < 0.5
            pairs.append((document[i], document[i + 1] if follows else rng.choice(rng.choice(others)), follows))
    return pairs
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "pretrain-objectives-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
visible = torch.tensor([[j < 3 or j <= i for j in range(5)] for i in range(5)])[None]
got = hide_seen(torch.tensor([[1, 2, 3, 4, 5]]), visible).tolist()
assert got == [[-100, -100, 3, 4, 5]], f"with a prefix of 3, 0 and 1 see their targets: hide both, got {got}"
inputs, targets = mask_tokens(ids := torch.full((1000, 10), 7), ids > 0, 1, 20, torch.Generator().manual_seed(0))
shares = [(targets == 7).double().mean().item(), (inputs == 1).double().mean().item()]
# six standard errors of 10,000 draws; a random token is the mask, too, in one case of 20
assert_allclose(shares, [0.15, 0.12], atol=0.022, err_msg="shares: 15 % are targets, and 80 % of those became the mask")
pairs, neighbours = sentence_pairs([["a", "b", "c"], ["x"]], random.Random(0)), [("a", "b"), ("b", "c")]
### BEGIN HIDDEN TESTS
pairs += sentence_pairs([["a", "b", "c"], ["x"]], random.Random(seed("pretrain-objectives-example")))
### END HIDDEN TESTS
wrong = [pair for pair in pairs if tuple(pair[:2]) != (neighbours[pair[0] == "b"] if pair[2] else (pair[0], "x"))]
assert not wrong, f"documents a, b, c and x: a True pair is a, b or b, c, a False one ends in x; {wrong}"

# %% nbgrader={"grade": true, "grade_id": "pretrain-objectives-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: shares and independence of chosen, masked, random and kept tokens, what may not be chosen, the generators; hidden targets for other masks; share, origin and evenness of wrong sentences, the next one of a sentence that occurs twice; arguments unchanged.
### BEGIN HIDDEN TESTS
figures = oracles.objective_figures(mask_tokens, hide_seen, sentence_pairs, seed("pretrain-objectives-properties"))
for name, (want, limit) in oracles.FIGURES.items():
    why = f"{name}: {want:.4g} expected, give or take {limit:.2g}, got {figures[name]:.4g}"
    assert_allclose(figures[name], want, rtol=0, atol=limit, err_msg=why)
### END HIDDEN TESTS

# %% [markdown]
# **Use it.** The beginning of a story as three objectives see it, and three pairs for next sentence prediction.

# %% nbgrader={"grade": false, "grade_id": "pretraining-pipeline-views", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
row, generator = torch.tensor([encode(told[1].text)[:24]]), torch.Generator().manual_seed(4)
hidden, _ = mask_tokens(row, row > 0, VOCABULARY.index(MASK), len(VOCABULARY), generator)
print(f"text:       {decode(row[0].tolist())}\nmasked LM:  {decode(hidden[0].tolist())}")
counted = hide_seen(row.roll(-1), visibility(torch.zeros_like(row), torch.arange(24)[None] < 12))[0, :-1]
print(f"prefix LM:  {decode(row[0, :12].tolist())} -> {decode([t for t in counted.tolist() if t >= 0])}")
print(*sentence_pairs([story.text.split(". ") for story in told[:50]], random.Random(1))[:3], sep="\n")

# %% [markdown]
# ## 3. Which weights decay, and how fast to walk
#
# **Weight decay** shrinks weights a little at each step: $\theta \leftarrow (1 - \eta\lambda)\theta$ in AdamW, with the learning rate $\eta$ and the decay $\lambda$, usually 0.1. For a matrix that keeps its outputs in bounds. The gain of a norm starts at 1 and *should* be near 1; a bias is one number for each output. Pulling those to 0 regularises nothing and hurts. The rule since GPT (Radford et al. 2018, section 4.1: "all non bias or gain weights"), as nanoGPT writes it: parameters with two or more dimensions (matrices, tables of embeddings) decay, those with fewer do not. AdamW takes **parameter groups**, dicts with their own settings.
#
# **The learning rate** $\eta_t$ at step $t = 0, 1, \dots, S - 1$. At first Adam's averages rest on a handful of gradients, so a full step is a gamble: **warm up** for $W$ steps. Then fall along a **cosine** from the peak $\eta_{\max}$ to the floor $\eta_{\min}$:
#
# $$\eta_t = \eta_{\max} \frac{t + 1}{W} \ \text{ for } t < W, \qquad \eta_t = \eta_{\min} + (\eta_{\max} - \eta_{\min})\, \frac{1 + \cos(\pi p_t)}2, \quad p_t = \min\Bigl(1, \frac{t - W}{S - W}\Bigr) \ \text{ for } t \ge W.$$
#
# **By hand.** $\eta_{\max} = 1$, $\eta_{\min} = 0.2$, $W = 4$, $S = 12$: $\eta_0 = \frac14$, $\eta_3 = 1$, $\eta_4 = 1$ (the cosine starts at the top), $\eta_8 = 0.2 + 0.8 \cdot \frac12 = 0.6$, and from $t = 12$ on $0.2$.
#
# <details><summary>Hint 1</summary><code>model.parameters()</code> gives each parameter once, also one that two layers share; <code>parameter.dim()</code> counts dimensions.</details>
# <details><summary>Hint 2</summary>Frozen parameters have <code>requires_grad</code> False: they belong to no group.</details>


# %% nbgrader={"grade": false, "grade_id": "pretrain-optimizer", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Sort the trainable parameters of a model (those with requires_grad), each once, into two groups for an optimizer.

    Returns [{"params": [...], "weight_decay": weight_decay}, {"params": [...], "weight_decay": 0.0}]: the model's own
    parameters (no copies), first those with two or more dimensions, then the others.
    """
    ### BEGIN SOLUTION
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices, others = [p for p in trainable if p.dim() >= 2], [p for p in trainable if p.dim() < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    ### END SOLUTION


def learning_rate(step: int, steps: int, warmup: int, peak: float, floor: float = 0.0) -> float:
    """Return the learning rate of step t: linear warm-up, then a cosine; see the formula.

    `step` is t, from 0, and `steps` is S; at t = S and later the rate is `floor`. `warmup` is W, from 0 (the cosine begins
    at once) to S - 1; `peak` is the highest rate. Example: learning_rate(8, 12, 4, 1.0, 0.2)  ->  0.6
    """
    ### BEGIN SOLUTION
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return floor + (peak - floor) * (1.0 + math.cos(math.pi * progress)) / 2.0
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "pretrain-optimizer-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
why = "t = 0, 3, 4, 8, 12 by hand: (t + 1) / W of the peak up to t = W - 1, then half a cosine over S - W steps from the peak to the floor"
assert_allclose([learning_rate(t, 12, 4, 1.0, 0.2) for t in (0, 3, 4, 8, 12)], [0.25, 1, 1, 0.6, 0.2], err_msg=why)
groups = runs.named_groups(parameter_groups, inside(nn.Linear, 2, 3), 0.1)
assert groups == [(0.1, ["weight"]), (0.0, ["bias"])], f"of a linear layer only the weight decays, got {groups}"
### BEGIN HIDDEN TESTS
top = float(np.random.default_rng(seed("pretrain-optimizer-example")).uniform(1, 5))
got, want = [learning_rate(t, 5, 2, top) for t in range(7)], [top / 2, top, top, top * 0.75, top * 0.25, 0, 0]
assert_allclose(got, want, rtol=1e-9, atol=1e-12, err_msg=f"S = 5, W = 2, peak {top}, floor 0 by default")
### END HIDDEN TESTS

# %% nbgrader={"grade": true, "grade_id": "pretrain-optimizer-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: groups of a decoder, of layers with biases and norms, of a convolution (three dimensions), with frozen parameters and with a shared layer; the schedule against torch's cosine, with and without warm-up, and after the last step.
### BEGIN HIDDEN TESTS
layer, decay = (nn.TransformerEncoderLayer, (8, 2, 16)), seed("pretrain-optimizer-properties") % 100 / 256 + 0.0625
kinds = (layer, (nn.LayerNorm, (4,)), (nn.Conv1d, (2, 3, 4)), (Decoder, (9, 8)), (runs.Twice, ()))
for kind, sizes, *frozen in ((*layer, "linear1.weight", "norm2.bias"), *kinds):
    groups = runs.named_groups(parameter_groups, inside(kind, *sizes), decay, frozen)
    mine = [(name, p.dim() > 1) for name, p in kind(*sizes).named_parameters() if name not in frozen]
    want = [(decay, sorted(n for n, large in mine if large)), (0.0, sorted(n for n, large in mine if not large))]
    why = f"{kind.__name__}, frozen {frozen}: {want} expected, got {groups}; two or more dimensions decay; each once, no copies"
    assert [(value, sorted(names)) for value, names in groups] == want, why
for settings in ((50, 10, 3e-3, 3e-4), (20, 0, 1.0, 0.5), (9, 1, 2.0, 0.0)):
    got, want = [learning_rate(t, *settings) for t in range(settings[0] + 3)], oracles.cosine_rates(*settings)
    why = f"S, W, peak, floor {settings}: the peak at t = W - 1, torch's cosine over S - W steps, then the floor"
    assert_allclose(got, want, rtol=1e-6, atol=1e-12, err_msg=why)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. One step, in pieces, as if it were whole
#
# Large batches make steady gradients but do not fit into memory. **Gradient accumulation** runs micro-batches one after the other, adds up their gradients (`backward` adds by itself) and steps once. It should be *exactly* the step of the large batch. With $\ell_k$ the loss of target $k$ and $n$ targets in **all** micro-batches together, the loss of the step is
#
# $$L = \frac1n \sum_{k=1}^{n} \ell_k \qquad \text{not} \qquad \frac1M \sum_{m=1}^{M} \frac{1}{n_m} \sum_{k \in m} \ell_k ,$$
#
# where micro-batch $m$ of $M$ has $n_m$ targets. The two agree only if all $n_m$ are equal. With padding, masking or prefixes they never are, and a target in a poor micro-batch then weighs more than one in a rich one. Hugging Face's trainer did just that until October 2024. The fault had been reported in 2021, but the losses looked plausible, and it was mended only when somebody compared with the large batch once more.
#
# **By hand.** A model that knows two tokens says $p = (\frac14, \frac34)$ after token 0. Micro-batch 1 has one target, token 0, with loss $\ln 4 \approx 1.386$; micro-batch 2 has three, all token 1, with loss $\ln\frac43 \approx 0.288$ each. Right: $L = (1.386 + 3 \cdot 0.288)/4 = 0.562$, and the gradient in the logits ($p$ minus the one-hot target, on average) is $\frac14\bigl[(-\frac34, \frac34) + 3\,(\frac14, -\frac14)\bigr] = (0, 0)$: three of four targets are token 1, and the model says just that. It is perfect, nothing should move. The mean of means says $L = 0.837$ and the gradient $(-\frac14, \frac14)$: it talks a perfect model out of the truth.
#
# Two more parts of the step. **bf16 autocast**: inside `torch.autocast(device_type, torch.bfloat16)` matrix products run in 16 bits (8 of them exponent, so float32's range and no loss scaling), while weights, gradients and optimizer stay in float32. Only the forward pass belongs inside; the loss is computed from logits in float32. **Clipping**: if the norm of *all* gradients together is above `max_norm`, scale them down to it, after the last micro-batch, before the step.
#
# <details><summary>Hint 1</summary>Count the targets of all micro-batches before the first forward pass. <code>cross_entropy(..., reduction="sum")</code> adds up and ignores -100 by itself.</details>
# <details><summary>Hint 2</summary>Gradients of an earlier step are still there: <code>optimizer.zero_grad()</code> once, at the beginning. <code>nn.utils.clip_grad_norm_</code> clips and returns the norm before clipping.</details>


# %% nbgrader={"grade": false, "grade_id": "pretrain-step", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def train_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, micro_batches: list, max_norm: float, bf16: bool = False
) -> tuple[float, float]:
    """Make one optimizer step on several micro-batches, the same as on all of them in one batch.

    Args:
        model: model(inputs, visible) returns logits (B, T, V).
        optimizer: of the model's parameters; gradients that are there from before are forgotten.
        micro_batches: (inputs, targets, visible) for each: int64 (B, T), int64 (B, T) with -100 where nothing counts, and
            bool (B, T, T) or None, on the model's device. One may have no target. They are not changed.
        max_norm: the gradients' global norm is clipped to it.
        bf16: run the forward passes under autocast to bfloat16; the loss is computed in float32, and weights stay so.

    Returns (mean loss over all targets of all micro-batches, global norm before clipping). Raises ValueError if no
    micro-batch has a target; the weights have not changed then.
    """
    ### BEGIN SOLUTION
    count = sum(int((targets != -100).sum()) for _, targets, _ in micro_batches)
    if count == 0:
        raise ValueError("none of the micro-batches has a target: every one is -100")
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets, visible in micro_batches:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
            logits = model(inputs, visible)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "pretrain-step-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
table, one, three = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]]), torch.tensor([[0]]), torch.tensor([[0, 0, 0]])
load_parameters(model := inside(runs.Bigrams, 2), {"weight": table})
sgd = inside(torch.optim.SGD, model.parameters(), lr=1.0)
got = train_step(model, sgd, [(one, one, None), (three, three + 1, None)], 1.0)
why = "targets with losses ln 4 and three times ln 4/3: 0.562 and norm 0 expected; 0.837 is the mean of means"
assert_allclose(got, [math.log(4) - 0.75 * math.log(3), 0], rtol=1e-5, atol=1e-6, err_msg=why)
assert_close(parameters_of(model)["weight"], table, msg="the model is perfect: its weights should not have moved")
### BEGIN HIDDEN TESTS
true = seed("pretrain-step-example") % 2
got, half = train_step(model, sgd, [(one + 1, one + true, None)], 9.0), true - 0.5
why = "even chances, one target, lr 1: loss ln 2, gradient (1/2, -1/2), one step of 1/2 towards the true token"
assert_allclose(got, [math.log(2), 0.5**0.5], rtol=1e-5, err_msg=why)
assert_close(parameters_of(model)["weight"], table + torch.tensor([[0.0, 0.0], [-half, half]]), msg=why)
### END HIDDEN TESTS

# %% nbgrader={"grade": true, "grade_id": "pretrain-step-properties", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# Tested here: loss, norm and weights against the large batch, for micro-batches with different numbers of targets or none, with gradients left from before, several steps with momentum, clipping, masks handed on, bfloat16 against autocast; the ValueError; arguments unchanged.
### BEGIN HIDDEN TESTS
for what, got, want, limit in oracles.step_figures(train_step, seed("pretrain-step-properties")):
    assert_allclose(got, want, rtol=limit, atol=limit / 10, err_msg=f"{what} expected is that of the large batch")
ids, model = torch.zeros(2, 3, dtype=torch.int64), inside(Decoder, 11, 8, 1, 2)
still, moving = (inside(torch.optim.SGD, model.parameters(), lr=lr, weight_decay=0.1) for lr in (0.0, 1.0))
rough, exact = (train_step(model, still, [(ids, ids, None)], 1.0, bf16)[0] for bf16 in (True, False))
assert rough != exact, "with bf16=True the loss is that of float32 to the last digit: is autocast on?"
before = parameters_of(model)
with assert_raises(ValueError, msg="micro-batches without a single target should raise ValueError"):
    train_step(model, moving, [(ids, ids - 100, None)] * 2, 1.0)
assert_close(parameters_of(model), before, rtol=0, atol=0, msg="without a target nothing should change")
### END HIDDEN TESTS

# %% [markdown]
# **Use it: how wrong is the mean of means?** A batch of 16 blocks for masked modelling, in micro-batches of two whose numbers of targets differ. The gradient with the right divisor in float32 is the truth. And bfloat16: what does it cost in accuracy, compared with the wrong divisor?

# %% nbgrader={"grade": false, "grade_id": "pretraining-pipeline-wrong", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
torch.manual_seed(0)
model, generator, mask_id = Decoder(len(VOCABULARY)), torch.Generator().manual_seed(0), VOCABULARY.index(MASK)
ids, see = train_inputs[:16], visibility(train_numbers[:16], train_numbers[:16] > -2)
hidden, wanted = mask_tokens(ids, ids > 0, mask_id, len(VOCABULARY), generator)
counts, gradients = [int((y >= 0).sum()) for y in wanted.split(2)], []
for name, divisors in {"divided by all targets": [sum(counts)] * 8, "mean of means": [8 * n for n in counts]}.items():
    for bf16 in (False, True):
        model.zero_grad()
        for x, y, v, n in zip(hidden.split(2), wanted.split(2), see.split(2), divisors, strict=True):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = model(x, v).flatten(0, 1)
            (functional.cross_entropy(logits.float(), y.flatten(), reduction="sum") / n).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
        off = (gradients[-1] - gradients[0]).norm() / gradients[0].norm()
        print(f"{min(counts)}-{max(counts)} targets a piece, {name}, bf16 {bf16}: gradient off by {off:.2%}")

# %% [markdown]
# ## 5. Checkpoints that resume bit for bit
#
# A run of weeks will be interrupted: machines fail (in 54 days of Llama 3's training there were 419 unexpected interruptions; Dubey et al. 2024, section 3.3.4). It must go on *as if nothing had happened*, and then the losses agree to the last bit. So a checkpoint holds everything that changes from step to step:
#
# - the **model**'s weights, the **optimizer**'s averages and step counts, the **scheduler**'s place;
# - the **data**: which batches were drawn, the order of this epoch, and the state of the generator that will draw the next order. Forget it, and some stories are seen twice, others never;
# - the **random** generators: dropout draws from torch's global one (on a GPU, from that device's).
#
# And two traps. `model.state_dict()` does not copy: its tensors *are* the weights, and the next step changes the "checkpoint". And `optimizer.load_state_dict(state)` may keep the tensors that it is given: training on changes them, so that going back a second time brings you elsewhere. Copy on the way in and on the way out.
#
# **By hand.** A weight of 1 and the optimizer's running mean of 0.5 are saved without copying. Three steps later both say, for example, 0.7 and 0.1, in the run *and* in the "checkpoint": there is nothing to go back to. With a copy the checkpoint still says 1 and 0.5.
#
# A `Run` has `model`, `optimizer`, `scheduler`, `generator`, `order` (a tensor) and `taken` (a number); `run.next_rows()` draws a batch.
#
# <details><summary>Hint 1</summary><code>copy.deepcopy</code> of a dict copies its tensors, too. A generator has <code>get_state()</code> and <code>set_state()</code>; the global one <code>torch.get_rng_state()</code> and <code>torch.set_rng_state()</code>; those of GPUs <code>torch.cuda.get_rng_state_all()</code> and <code>torch.cuda.set_rng_state_all()</code> (an empty list without a GPU).</details>
# <details><summary>Hint 2</summary>Copy once more in <code>restore</code>: <code>state = copy.deepcopy(state)</code> before anything is loaded.</details>


# %% nbgrader={"grade": false, "grade_id": "pretrain-checkpoint", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def checkpoint(run: runs.Run) -> dict:
    """Return all that is needed to go on with a run from here; the run itself goes on unchanged.

    It is a dict with the keys "model", "optimizer", "scheduler" (their state dicts), "data" (the state of run.generator,
    run.order, run.taken) and "random" (the states of torch's global generators, the GPUs' included): plain data that
    torch.load(..., weights_only=True) can read from a file. Whatever happens to the run later does not change it.
    """
    ### BEGIN SOLUTION
    state: dict = {part: getattr(run, part).state_dict() for part in ("model", "optimizer", "scheduler")}
    state["data"] = {"generator": run.generator.get_state(), "order": run.order, "taken": run.taken}
    state["random"] = {"cpu": torch.get_rng_state(), "gpu": torch.cuda.get_rng_state_all()}
    return copy.deepcopy(state)
    ### END SOLUTION


def restore(run: runs.Run, state: dict) -> None:
    """Bring a run, and torch's global generators, to where your `checkpoint` made `state`.

    It may be another run, with other weights and another order. `state` can be used again: what happens to the run later
    does not change it.
    """
    ### BEGIN SOLUTION
    state = copy.deepcopy(state)
    for part in ("model", "optimizer", "scheduler"):
        getattr(run, part).load_state_dict(state[part])
    run.generator.set_state(state["data"]["generator"])
    run.order, run.taken = state["data"]["order"], state["data"]["taken"]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["gpu"])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "pretrain-checkpoint-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
cases = [4]
### BEGIN HIDDEN TESTS
cases += [1 + seed("pretrain-checkpoint-example") % 3]
### END HIDDEN TESTS
for before in cases:
    got, whole = runs.interrupted(checkpoint, restore, before, 5), runs.advance(runs.tiny_run(1), before + 5)
    assert got["saved"] == whole, f"saving disturbed the run itself: losses {whole} expected, got {got['saved']}"
    why = f"another run, restored after {before} steps, is not where the first was: {got['resumed parts']} differ; loaded? copied? losses {whole[before:]} expected, got {got['resumed']}"
    assert got["resumed parts"] == [] and got["resumed"] == whole[before:], why

# %% nbgrader={"grade": true, "grade_id": "pretrain-checkpoint-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: resuming in the middle of an epoch, at its end and before the first step, twice from one checkpoint, and from a file; the names of the parts.
### BEGIN HIDDEN TESTS
hints = {"resumed": "loaded? copied?", "twice": "changed by what was resumed from it first?", "file": "loaded?"}
assert (error := runs.unreadable(checkpoint)) == "", f"only plain data? torch.load(..., weights_only=True): {error}"
for before in (0, 3, 5):  # an epoch has three batches
    got, whole = runs.interrupted(checkpoint, restore, before, 7), runs.advance(runs.tiny_run(1), before + 7)
    assert got["saved"] == whole, f"saving after {before} steps disturbed the run: {whole} expected, got {got['saved']}"
    for name, hint in hints.items():
        why = f"{name}, after {before} steps, 3 an epoch, is not where the first was: {got[f'{name} parts']} differ; {hint} losses {whole[before:]} expected, got {got[name]}"
        assert got[f"{name} parts"] == [] and got[name] == whole[before:], why
parts = sorted(checkpoint(inside(runs.tiny_run, 5)))
assert parts == ["data", "model", "optimizer", "random", "scheduler"], f"five parts are named, got {parts}"
### END HIDDEN TESTS

# %% [markdown]
# **Use it: what does each part cost if it is forgotten?** A run is saved to a file. The file is first written under another name and then renamed, which either happens wholly or not at all: a crash in the middle of writing leaves the old checkpoint alone. Then the run is resumed six times, once with everything, and once with each part taken from another run. How far do the next 30 losses move?

# %% nbgrader={"grade": false, "grade_id": "pretraining-pipeline-parts", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
runs.advance(run := runs.tiny_run(1), 40)
with tempfile.TemporaryDirectory() as folder:
    torch.save(checkpoint(run), path := Path(folder, "step_40.part"))
    state = torch.load(path.replace(path.with_suffix(".pt")), weights_only=True)
truth, stranger = np.array(runs.advance(run, 30)), checkpoint(runs.tiny_run(9))
for part in ("", "model", "optimizer", "scheduler", "data", "random"):
    restore(run := runs.tiny_run(2), {**state, **({part: stranger[part]} if part else {})})
    gap = np.abs(np.array(runs.advance(run, 30)) - truth).max()
    print(f"{f'without {part}' if part else 'with everything':>17}: the next 30 losses differ by up to {gap:.4f}")
    assert (gap == 0) == (part == ""), "only with everything should the losses be the same, and then to the last bit"

# %% [markdown]
# *Think:* no line but the first is zero, and yet each of those runs would go on learning and nobody would see a crash. How would you notice, in a run of your own, that the data order is not restored?
#
# ## 6. The alarm: when the loss jumps
#
# Losses of large runs **spike**: a bad stretch of data, a learning rate at the edge, a bit that flips in a memory chip. Some spikes heal, some end the run. PaLM's authors (Chowdhery et al. 2022, section 5.1) met about twenty; they went back to a checkpoint about 100 steps before each, **skipped** 200 to 500 batches, and the spikes did not return.
#
# When is a loss suspicious? Noise differs from run to run, so measure it on the last losses, robustly: an outlier among them must not widen the limit. With $w$ losses $x_1, \dots, x_w$ before the newest one, $m$ their median, and
#
# $$s = \max\bigl(1.4826 \cdot \mathrm{median}_i\, |x_i - m|,\ 0.01\bigr), \qquad \text{alarm if the newest} > m + f s, \ \text{ or is NaN or infinite}.$$
#
# The median of deviations (MAD) times 1.4826 equals the standard deviation if the losses are normally distributed; 0.01 is for losses without any noise. NaN deserves its own check: every comparison with it is False.
#
# **By hand.** $w = 5$, $f = 6$, losses $2.0, 2.1, 1.9, 2.2, 1.8$: $m = 2.0$, deviations $0, 0.1, 0.1, 0.2, 0.2$ with median $0.1$, $s = 0.148$, limit $2.89$. A loss of 2.8 passes, 3.0 is an alarm. Had the first been 9 instead of 2.0: $m = 2.1$, $s = 1.4826 \cdot 0.2 = 0.297$, limit $3.88$. Mean and standard deviation would say about 20, and miss everything.
#
# **Going back.** Batches are numbered 0, 1, 2, ... Save before the first step and after every third kept step. Batch 5 gives an alarm: load what was saved after batches 0, 1, 2, forget the losses of batches 3 and 4, and go on with batch **6**. What led to the spike, 3 to 5, is not tried again. Kept: 0, 1, 2, 6, 7, 8, ...
#
# <details><summary>Hint 1</summary>Keep a list of (batch, loss) and, beside the last checkpoint, how long that list was when it was made.</details>
# <details><summary>Hint 2</summary>The number of the batch only grows; the list shrinks at an alarm: <code>del kept[length:]</code>. For the alarm: <code>np.median</code>, and <code>math.isfinite</code> before anything else.</details>


# %% nbgrader={"grade": false, "grade_id": "pretrain-recovery", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def is_spike(losses: list[float], window: int = 20, factor: float = 6.0) -> bool:
    """Say whether the last of the losses (at least one, oldest first, all but the last finite; not changed) is an alarm.

    `window` (at least 1) is w, how many losses before the last one it is compared with, and `factor` is f. If there are
    fewer than w, only NaN and infinity are alarms.
    """
    ### BEGIN SOLUTION
    before, last = losses[:-1][-window:], losses[-1]
    if not math.isfinite(last) or len(before) < window:
        return not math.isfinite(last)
    spread = 1.4826 * np.median(np.abs(np.array(before) - np.median(before)))
    return bool(last > np.median(before) + factor * max(spread, 0.01))
    ### END SOLUTION


def train_with_recovery(
    step: Callable, save: Callable, load: Callable, spiked: Callable, steps: int, every: int, limit: int = 3
) -> tuple[list[tuple[int, float]], list[int]]:
    """Train on batches 0, 1, 2, ... and go back to the last checkpoint at each alarm.

    Args:
        step, save, load: step(batch) trains on the batch of that number and returns its loss; save() returns a
            checkpoint, load(checkpoint) goes back to it.
        spiked: spiked(losses), asked once after each step, says whether that is an alarm; losses: a list of the losses of
            all kept steps, then that of the newest.
        steps: stop when so many steps are kept.
        every: save at the beginning, and after each kept step that makes their number a multiple of it, be it the last.
        limit: at so many alarms since the last save, load the checkpoint, and raise RuntimeError.

    Returns (kept, alarms): (batch, loss) of the steps that led to the final weights, in order, and the batches that gave
    an alarm. A step that was undone is not kept. No batch is trained on twice.
    """
    ### BEGIN SOLUTION
    kept: list[tuple[int, float]] = []
    alarms: list[int] = []
    saved, length, failures, batch = save(), 0, 0, 0
    while len(kept) < steps:
        kept.append((batch, step(batch)))
        if spiked([loss for _, loss in kept]):
            alarms.append(batch)
            failures += 1
            load(saved)
            del kept[length:]
            if failures == limit:
                raise RuntimeError(f"{limit} alarms since the checkpoint at step {length}, the last at batch {batch}")
        elif len(kept) % every == 0:
            saved, length, failures = save(), len(kept), 0
        batch += 1
    return kept, alarms
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "pretrain-recovery-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
calm, world = [2.0, 2.1, 1.9, 2.2, 1.8], ({5}, 8, 3)
cases = [([*calm, 2.8], 5, False), ([*calm, 3.0], 5, True), ([9.0, *calm[1:], 4.0], 5, True), ([math.nan], 5, True)]
### BEGIN HIDDEN TESTS
level = float(np.random.default_rng(seed("pretrain-recovery-example")).uniform(1, 9))
cases += [([level] * 20 + [level + more], 20, more > 0.06) for more in (0.059, 0.061, -3.0, math.inf)]
### END HIDDEN TESTS
for losses, window, want in cases:
    why = f"losses {losses}, window {window}, factor 6: {want} expected; more than the median + 6 times 1.4826 times the median deviation, or 0.01? NaN?"
    assert is_spike(losses, window) == want, why
happened, due = oracles.rehearsed(train_with_recovery, *world), oracles.rehearsed(None, *world)
for name in due:
    why = f"an alarm at batch 5, 8 steps to keep, saved every 3: {name}: {due[name]!r} expected, got {happened[name]!r}"
    assert happened[name] == due[name], why

# %% nbgrader={"grade": true, "grade_id": "pretrain-recovery-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: alarms against the formula on random losses, short histories, old losses outside of the window; several alarms, in a row and apart, other values of every; what save, load and spiked are given; the limit of alarms.
### BEGIN HIDDEN TESTS
for given, settings, want in oracles.alarm_cases(np.random.default_rng(seed("pretrain-recovery-properties"))):
    got = is_spike(losses := [*given], *settings)
    why = f"losses {given}, window and factor {settings or 'by default'}: {want} expected, got {got}; the last is not in its own window; too few to judge? NaN is an alarm; the list is now {losses}"
    assert got == want and losses[:-1] == given[:-1], why
worlds: list = [(set(), 4, 2), ({0}, 3, 5), ({4, 5}, 6, 4), ({2, 7, 9}, 7, 3), ({1, 3, 5, 7}, 4, 1)]
for world in [*worlds, ({1, 4, 5, 8}, 5, 2), ({3, 4}, 9, 9, 2), ({3}, 9, 2, 1), ({1, 2, 4}, 9, 9)]:
    happened, due = oracles.rehearsed(train_with_recovery, *world), oracles.rehearsed(None, *world)
    for name in due:
        why = f"bad batches, steps, every, limit {world}: {name}: {due[name]!r} expected, got {happened[name]!r}; forget undone steps, skip their batches"
        assert happened[name] == due[name], why
### END HIDDEN TESTS

# %% [markdown]
# ## 7. Are we using the machine?
#
# Count the work, then divide by the clock. A matrix of $n$ parameters does $n$ multiplications and $n$ additions for each token: $2n$ floating-point operations (FLOP) forward, and twice that backward (one product for the gradient of the input, one for that of the weights). Attention adds, in each of $L$ layers, the products $QK^\top$ and $AV$ over a context of $T$ tokens of width $d$: $4Td$ forward. So training costs, for each token,
#
# $$F = 6 N_{\mathrm{mat}} + 12\, L\, T\, d \ \text{ FLOP}$$
#
# (PaLM, appendix B), where $N_{\mathrm{mat}}$ counts the parameters of all matrices. Norms are left out: they cost next to nothing. The table of embeddings counts once, for its work as output layer; looking up a row is free. **Model FLOPs utilisation** (MFU) is the work that the formula asks for in a second, divided by what the hardware could do, its peak: $\mathrm{MFU} = F \cdot (\text{tokens per second}) / \text{peak}$. Good large runs reach 40 to 50 %. Work that an implementation does beyond the formula, such as computing activations twice, does not count.
#
# **By hand.** One matrix of $4 \times 5$ and a bias of 5: $N_{\mathrm{mat}} = 20$, and without attention $F = 120$. A decoder with $N_{\mathrm{mat}} = 100{,}000$, $L = 2$, $d = 64$, $T = 128$: $600{,}000 + 196{,}608$, a quarter of it attention. It is trained on 50,000 tokens a second, which is $4 \cdot 10^{10}$ FLOP a second: of a processor core that can do $8 \cdot 10^{10}$, one half; of an H100 ($989 \cdot 10^{12}$ in bfloat16), 0.004 %.
#
# <details><summary>Hint 1</summary>The matrices are the parameters with two or more dimensions; <code>numel()</code> counts entries. This decoder shares its embeddings with its output layer, so they come once by themselves.</details>
# <details><summary>Hint 2</summary>Add up <code>p.numel()</code> over the parameters with <code>p.dim() >= 2</code>: that is N. Then <code>6 * n + 12 * layers * context * width</code>; what is done in a second is that times the speed.</details>


# %% nbgrader={"grade": false, "grade_id": "pretrain-throughput", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def utilisation(model: nn.Module, layers: int, width: int, context: int, speed: float, peak: float) -> tuple:
    """Return (F, MFU): the operations of training on one token, and the share of the hardware's peak, from 0 to 1.

    Each matrix of `model` (parameter of two or more dimensions, whatever its names) is used once a token. `layers`, `width`,
    `context` are L, d and T of the attention, layers 0 if there is none; `speed` is in tokens, `peak` in FLOP per second.
    """
    ### BEGIN SOLUTION
    matrices = sum(parameter.numel() for parameter in model.parameters() if parameter.dim() >= 2)
    flops = 6 * matrices + 12 * layers * context * width
    return flops, flops * speed / peak
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "pretrain-throughput-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
cases = [(4, 5, 0, 0, 0, 120), (10, 10_000, 2, 64, 128, 796_608)]
### BEGIN HIDDEN TESTS
n, m = np.random.default_rng(seed("pretrain-throughput-example")).integers(3, 50, size=2).tolist()
cases += [(n, m, 0, 0, 0, 6 * n * m), (n, m, 3, 10, 7, 6 * n * m + 2520)]
### END HIDDEN TESTS
for a, b, layers, width, context, want in cases:
    why = f"linear layer {a} to {b}, L, d, T {layers, width, context}, 50,000 tokens/s, peak 8e10: F = 6 N + 12 L T d without the bias, and MFU = F * speed / peak"
    got = utilisation(inside(nn.Linear, a, b), layers, width, context, 50_000, 8e10)
    assert_allclose(got, [want, want * 50_000 / 8e10], rtol=1e-9, err_msg=why)

# %% nbgrader={"grade": true, "grade_id": "pretrain-throughput-properties", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
# Tested here: operations against those that PyTorch's own counter sees in a forward and backward pass of several decoders; the MFU; a matrix with two names, one with three dimensions, a module without any.
### BEGIN HIDDEN TESTS
speed, peak = np.random.default_rng(seed("pretrain-throughput-properties")).uniform(1e3, 1e6, size=2).tolist()
for shape, context in (((17, 8, 3, 2), 12), ((40, 16, 1, 2), 5)):
    want = oracles.counted_flops(Decoder(*shape), torch.zeros(2, context, dtype=torch.int64))
    got = utilisation(inside(Decoder, *shape), shape[2], shape[1], context, speed, peak)
    why = f"decoder V, d, L, heads {shape}, T {context}, {speed} tokens/s, peak {peak}: F as PyTorch counts it, and MFU; norms in? embeddings out?"
    assert_allclose(got, [want, want * speed / peak], rtol=1e-9, err_msg=why)
for why, model, want in oracles.odd_modules():
    assert_allclose(utilisation(model, 0, 0, 0, 1.0, 288.0), [want, want / 288], rtol=1e-9, err_msg=why)
### END HIDDEN TESTS

# %% [markdown]
# ## 8. Experiment: the run
#
# All pieces together: packed stories, the boundary mask, AdamW with two groups, warm-up and cosine, two micro-batches a step, clipping, checkpoints every 40 steps, the alarm. On the way, at batch 210, **one bit** of one weight flips, as cosmic rays and tired chips do: the highest of its exponent, which makes of 0.1 a number with 38 digits. Afterwards the finished model goes through the same flip without the alarm.
#
# Two things can be known here that real text never tells. The grammar gives the probability of each held-out story, so the mean of $-\log p$ for each token is the **lowest loss that any model can reach**, on average over many stories. (For the held-out loss each story has a row of its own. Training blocks cut stories, and the second part of one is harder to predict: its beginning is out of sight.) And a program can read the samples: is a text a *whole* story (the grammar's sentences in order)? Is it *coherent* (the same hero, toy and animal throughout, the right pronouns)?

# %% nbgrader={"grade": false, "grade_id": "pretraining-pipeline-run", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
STEPS, BATCH, RATE, FAULT = (6_000, 128, 1.5e-3, 3_410) if LARGE else (320, 16, 8e-3, 210)
STAGES, SHAPE = (0, STEPS // 16, STEPS // 4, STEPS), (512, 8, 8) if LARGE else (64, 2, 4)
held = [torch.cat(x).to(DEVICE) for x in zip(*(pack([encode(s.text)], 80) for s in held_out), strict=True)]
fewest = -sum(story.log_p for story in held_out) / int((held[1] >= 0).sum())


def new_run() -> runs.Run:
    """A fresh run of the main model."""
    torch.manual_seed(0)
    model = Decoder(len(VOCABULARY), *SHAPE).to(DEVICE)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.1), lr=RATE, betas=(0.9, 0.95))
    schedule = LambdaLR(optimizer, lambda t: learning_rate(t, STEPS, STEPS // 10, 1.0, 0.1))  # of RATE
    return runs.Run(model, optimizer, schedule, len(train_inputs), BATCH, torch.Generator().manual_seed(0))


def story_step(run: runs.Run, batch: int) -> float:
    """One step on the batch of that number, in two micro-batches; before one of the steps, a bit flips."""
    while run.taken < batch:  # after an alarm, batches are skipped
        run.next_rows()
    if batch == FAULT:
        run.model.get_parameter("blocks.0.feed_out.weight").data.view(torch.int32)[0, 0] ^= 1 << 30
    parts = [[x[r].to(DEVICE) for x in (train_inputs, train_targets, train_numbers)] for r in run.next_rows().chunk(2)]
    loss, _ = train_step(run.model, run.optimizer, [(x, y, visibility(z)) for x, y, z in parts], 1.0, bf16=LARGE)
    run.scheduler.step()
    return loss


def look() -> None:
    """At some stages of the main run, print the held-out loss and what 30 sampled stories are like."""
    if (step := run.scheduler.last_epoch) in STAGES:
        logits = run.model(held[0], visibility(held[2])).detach().flatten(0, 1)
        held_losses.append(functional.cross_entropy(logits, held[1].flatten()).item())
        texts, whole, coherent = tell(run.model, 30, DEVICE)
        print(f"step {step}: held-out loss {held_losses[-1]:.3f}; of 30 samples {whole} whole, {coherent} coherent")
        print(f"   {texts[1][:240]}")


def watched_step(batch: int) -> float:
    """A step of the main run, with a clock and a log."""
    look()
    began, loss = time.perf_counter(), story_step(run, batch)
    log.append((batch, loss, time.perf_counter() - began))
    return loss


run, log, held_losses = new_run(), list[tuple[int, float, float]](), list[float]()
save, load = lambda: checkpoint(run), lambda state: restore(run, state)
kept, alarms = train_with_recovery(watched_step, save, load, is_spike, STEPS, every=STEPS // 8)
look()
print(f"alarms at batches {alarms}; no model can reach a loss below {fewest:.3f}")
assert alarms == [FAULT] and held_losses[-1] < fewest + 0.1, "one alarm, and a loss near the lowest"

# %% nbgrader={"grade": false, "grade_id": "pretraining-pipeline-lost", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
lost = new_run()
restore(lost, {**checkpoint(run), "data": checkpoint(lost)["data"]})  # the finished model, and the batches from 0
log_without = [story_step(lost, batch) for batch in range(FAULT - 2, FAULT + 4)]
plt.semilogy(*np.array(log).T[:2], linewidth=1, label="training")
plt.axvline(FAULT, color="C3", linestyle="--", label="a bit flips: NaN, back to the last checkpoint")
plt.axhline(fewest, color="black", linestyle=":", label="lowest that is possible for whole stories")
plt.title(f"A flipped bit costs the run {len(log) - STEPS - 1} finished steps, not its life")
plt.gca().set(xlabel="batch", ylabel="loss (nats per token)")
plt.gca().yaxis.set(ticks=[0.4, 0.6, 1, 2, 4], major_formatter="{x:g}", minor_formatter="")
plt.legend(loc="upper right", bbox_to_anchor=(0.61, 1))
plt.show()
print("the finished model, without the alarm, two steps before the flip and four from it on:", np.round(log_without, 2))
assert math.isfinite(log_without[1]) and not math.isfinite(log_without[-1]), "without the alarm the run should be lost"

# %% nbgrader={"grade": false, "grade_id": "pretraining-pipeline-machine", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
name, peak = peak_flops(DEVICE)
speed = len(log) * BATCH * LENGTH / sum(seconds for _, _, seconds in log)
flops, share = utilisation(run.model, SHAPE[1], SHAPE[0], LENGTH, speed, peak)
print(f"{flops:,} FLOP a token, {speed:,.0f} tokens/s; {name}: {peak / 1e9:,.0f} GFLOP/s; MFU {share:.0%}, this time")

# %% [markdown]
# *Think:* look at the stages: form first, memory last. Whole stories come long before coherent ones, because the order of sentences is in every example, while copying the right hero needs attention to look back. Which kind of error would a smaller model keep for ever?
#
# **The masked objective, with the same pieces.** The decoder becomes an encoder by the mask alone: everything of a document is visible. Only 15 % of the places teach, so it learns more slowly for each token that it reads; but it may use both sides.

# %% nbgrader={"grade": false, "grade_id": "pretraining-pipeline-masked", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
torch.manual_seed(0)
encoder, generator = Decoder(len(VOCABULARY), *SHAPE).to(DEVICE), torch.Generator().manual_seed(0)
optimizer = torch.optim.AdamW(parameter_groups(encoder, 0.1), lr=RATE, betas=(0.9, 0.95))
schedule = LambdaLR(optimizer, lambda t: learning_rate(t, STEPS // 2, STEPS // 20, 1.0, 0.1))
for _ in range(STEPS // 2):
    rows = torch.randint(len(train_inputs), (BATCH,), generator=generator)
    hidden, wanted = mask_tokens(train_inputs[rows], train_inputs[rows] > 0, mask_id, len(VOCABULARY), generator)
    see = visibility(train_numbers[rows], train_numbers[rows] > -2)
    train_step(encoder, optimizer, [(hidden.to(DEVICE), wanted.to(DEVICE), see.to(DEVICE))], 1.0, bf16=LARGE)
    schedule.step()
hidden, wanted = mask_tokens(ids := held[0].cpu(), ids > 0, mask_id, len(VOCABULARY), generator)
guesses = encoder(hidden.to(DEVICE), visibility(held[2], held[2] > -2)).argmax(-1).cpu()
asked = (wanted >= 0) & (hidden == mask_id)
right, naive = ((x == wanted[asked]).double().mean().item() for x in (guesses[asked], wanted[asked].mode().values))
print(f"{right:.0%} of the masked words of held-out stories are guessed; always the most frequent token: {naive:.0%}")
print(*(decode(x[1, :62].tolist()) for x in (hidden, torch.where(hidden == mask_id, guesses, hidden))), sep="\n")
assert right > 3 * naive, "with the seeds of this cell the encoder should have learned to fill gaps"

# %% [markdown]
# ## 9. Scaling laws: how large a model for my budget?
#
# Train models with $N$ parameters on $D$ tokens, and the loss follows a formula over many orders of magnitude (Kaplan et al. 2020; this form: Hoffmann et al. 2022, "Chinchilla", section 3.3):
#
# $$L(N, D) = E + \frac{A}{N^{\alpha}} + \frac{B}{D^{\beta}} .$$
#
# $E$ is the entropy of the text, which no model can beat; the second term is the price of being small, the third that of having read little. Five numbers, fitted by least squares to measured losses. All five are above 0, so fit their logarithms: then no step of the fit can leave the allowed region. The fit also gives the covariance of those logarithms, $s^2 (J^\top J)^{-1}$: $J$ holds the derivatives of the fitted losses by them, and $s^2$ is the sum of squared errors over $n - 5$, with $n$ points. With $\sigma$ the root of its diagonal, the 95 % **confidence interval** of each number is $\exp(\log \theta \pm t\,\sigma)$, where $t$ is the 97.5 % point of Student's distribution with $n - 5$ degrees of freedom.
#
# **The best size for a budget.** Training costs about $C = 6ND$ operations. With $C$ fixed, $D = C/6N$, and the derivative of $L$ in $N$ vanishes where $\alpha A N^{-\alpha} = \beta B D^{-\beta}$, so
#
# $$N_{\mathrm{opt}} = \Bigl(\frac{\alpha A}{\beta B}\Bigr)^{\frac{1}{\alpha + \beta}} \Bigl(\frac C6\Bigr)^{\frac{\beta}{\alpha + \beta}}, \qquad D_{\mathrm{opt}} = \frac{C}{6 N_{\mathrm{opt}}} .$$
#
# **By hand.** $A = B$, $\alpha = \beta = \frac12$: the first factor is 1, $N_{\mathrm{opt}} = D_{\mathrm{opt}} = \sqrt{C/6}$; for $C = 600$ both are 10. Four times the computing: twice the model *and* twice the text. With the numbers in the source of the paper for web text ($A = 406.4$, $B = 410.7$, $\alpha = 0.3392$, $\beta = 0.2849$) the budget of Chinchilla, $5.76 \cdot 10^{23}$, gives 40 billion parameters and 2.4 trillion tokens; with the exponents as the paper prints them, 0.34 and 0.28, 32 billion. The paper's other two methods said about 70 billion and 1.4 trillion, and so Chinchilla was built. Besiroglu et al. (2024) found out why: the fit had stopped too early, and its intervals were far too narrow. A fit wants to be checked.
#
# <details><summary>Hint 1</summary><code>optimize.curve_fit(f, xdata, losses, p0=start)</code> wants f(xdata, p1, ..., p5) and returns (best, covariance); xdata may be a tuple of two arrays.</details>
# <details><summary>Hint 2</summary>A start that works: the logarithms of E = 0.7 times the lowest loss, A = B = 10, alpha = beta = 0.4. <code>stats.t.ppf(0.975, n - 5)</code>.</details>


# %% nbgrader={"grade": false, "grade_id": "pretrain-scaling", "locked": false, "points": 0, "schema_version": 3, "solution": true, "task": false}
def fit_scaling_law(sizes: np.ndarray, tokens: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit L(N, D) by least squares in the losses, with the logarithms of E, A, alpha, B, beta as what is varied.

    `sizes`, `tokens` and `losses` are N, D and L of n measurements, n at least 6, float64 (n,); they are not changed.

    Returns (law, interval): float64 of shape (5,), E, A, alpha, B, beta; and of shape (2, 5), the lower and the upper
    ends of their 95 % confidence intervals. The covariance of the logarithms is s^2 (J^T J)^-1, J the derivatives of the
    fitted losses by them, s^2 the sum of squared errors over n - 5 (the default of SciPy's curve_fit).
    """

    ### BEGIN SOLUTION
    def law(x: tuple[np.ndarray, np.ndarray], *logs: float) -> np.ndarray:
        e, a, alpha, b, beta = np.exp(logs)
        return e + a * x[0] ** -alpha + b * x[1] ** -beta

    start = np.log([0.7 * losses.min(), 10.0, 0.4, 10.0, 0.4])
    best, covariance = optimize.curve_fit(law, (sizes, tokens), losses, p0=start, maxfev=20_000)
    reach = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp([best - reach, best + reach])
    ### END SOLUTION


def compute_optimal(law: np.ndarray, flops: float) -> tuple[float, float]:
    """Return (N, D), size and number of tokens with the lowest loss among all with 6 N D = flops.

    `law` holds E, A, alpha, B, beta. Example: compute_optimal(np.array([1.0, 3.0, 0.5, 3.0, 0.5]), 600.0)  ->  (10.0, 10.0)
    """
    ### BEGIN SOLUTION
    _, a, alpha, b, beta = law
    size = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (flops / 6) ** (beta / (alpha + beta))
    return float(size), float(flops / 6 / size)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "pretrain-scaling-example", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
laws: list = [([1, 3, 0.5, 3, 0.5], 600, [10, 10]), ([1.69, 406.4, 0.3392, 410.7, 0.2849], 5.76e23, [4.03e10, 2.38e12])]
### BEGIN HIDDEN TESTS
budget = float(np.random.default_rng(seed("pretrain-scaling-example")).uniform(1e3, 1e6))
laws += [([2.0, 7.0, 0.5, 7.0, 0.5], budget, [(budget / 6) ** 0.5] * 2)]
### END HIDDEN TESTS
for law, budget, want in laws:  # Chinchilla's are known to three digits
    why = f"law E, A, alpha, B, beta {law}, C = {budget:.3g}: best N and D; C / 6? which exponent where?"
    assert_allclose(compute_optimal(np.array(law), budget), want, rtol=5e-3, err_msg=why)
(sizes, tokens), law = np.mgrid[3:6:4j, 4:6:3j].reshape(2, 12), np.array([1.2, 5.0, 0.3, 40.0, 0.5])
got, _ = fit_scaling_law(10**sizes, 10**tokens, oracles.scaling_loss(law, 10**sizes, 10**tokens))
assert_allclose(got, law, rtol=1e-4, err_msg="losses without noise from a known law: E, A, alpha, B, beta")

# %% nbgrader={"grade": true, "grade_id": "pretrain-scaling-properties", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Tested here: known laws found again, without noise and with it; the intervals, against SciPy's covariance; the optimum, against a search over sizes; arguments unchanged. Tolerances: two searches for a minimum stop at slightly different places of a flat valley.
### BEGIN HIDDEN TESTS
rng = np.random.default_rng(seed("pretrain-scaling-properties"))
for law, sizes, tokens, losses in oracles.scaling_cases(rng):
    given, (want, ends) = copy.deepcopy((sizes, tokens, losses)), oracles.fitted_law(sizes, tokens, losses, law)
    got, interval = fit_scaling_law(sizes, tokens, losses)
    assert all(map(np.array_equal, given, (sizes, tokens, losses))), "fit_scaling_law changed its arguments"
    why = f"losses from the law {law}: not the least squares of the losses? another order of E, A, alpha, B, beta?"
    assert_allclose(got, want, rtol=1e-3, err_msg=why)
    why = f"intervals for the law {law}: exp(log +- t sigma), t of Student with n - 5 degrees of freedom at 97.5 %, lower ends first"
    assert_allclose(interval, ends, rtol=1e-3, strict=True, err_msg=why)
    n, d = compute_optimal(law, budget := float(10 ** rng.uniform(8, 11)))
    why = f"law {law}, C = {budget:.3g}: N by a search for the lowest loss, and 6 N D = C"
    assert_allclose([n, 6 * n * d], [oracles.searched_optimum(law, budget), budget], rtol=2e-3, err_msg=why)
### END HIDDEN TESTS

# %% [markdown]
# **Experiment: a family of models reads Jane Austen.** Real text now, and single characters as tokens, so that the vocabulary is tiny and a model's size is in its blocks. Every size is trained once, with warm-up and then a *constant* rate, and its loss on a held-out novel is measured on the way: one run gives many values of $D$. (With a cosine, each $D$ would need a run of its own, for the loss is good only once the rate has fallen. Hägele et al. 2024 compare the two.) The budget of this cell is a quarter of a minute, so the models see a fifth of a million characters and know little more than spelling. Look at the intervals before you believe a number: what do a few cheap runs settle, and what not? The interval of the best size is a jackknife: the fit is repeated without each of the sizes, and the spread of the results is scaled up to a 95 % interval.
#
# $N$ counts everything but the table of embeddings, as Kaplan et al. do. The intervals of the five numbers take all points as independent; those of one run are not, so they are too narrow. And compare $D$ with what has been read (left picture): every best size asks for more text than any of these models has seen, so it is an extrapolation.

# %% nbgrader={"grade": false, "grade_id": "pretraining-pipeline-family", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
novels, unseen = "".join(austen(title) for title in NOVELS if title != "persuasion"), austen("persuasion")
number_of = {character: number for number, character in enumerate(sorted(set(novels)))}
text, check = (torch.tensor([number_of.get(c, 0) for c in part], device=DEVICE) for part in (novels, unseen))
CONTEXT, ROWS, WIDTHS = (256, 64, (64, 96, 128, 192, 256, 384)) if LARGE else (64, 8, (8, 16, 24, 40, 64))
MARKS, points = (1000, 2000, 4000, 8000) if LARGE else (60, 100, 160, 260, 420), []
check = check[: 96 * (CONTEXT + 1)].view(96, CONTEXT + 1)
for width in WIDTHS:
    torch.manual_seed(0)
    model, generator = Decoder(len(number_of), width, 2, 2).to(DEVICE), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.1), lr=0.03 / width**0.5, betas=(0.9, 0.95))
    schedule = LambdaLR(optimizer, lambda t: min(1.0, (t + 1) / 20))
    for step in range(1, MARKS[-1] + 1):
        rows = text[torch.randint(len(text) - CONTEXT, (ROWS, 1), generator=generator) + torch.arange(CONTEXT + 1)]
        train_step(model, optimizer, [(rows[:, :-1], rows[:, 1:], None)], 1.0, bf16=LARGE)
        schedule.step()
        if step in MARKS:
            loss = functional.cross_entropy(model(check[:, :-1]).detach().flatten(0, 1), check[:, 1:].flatten()).item()
            points.append((model.blocks_size(), step * ROWS * CONTEXT, loss))
    print(f"{points[-1][0]:9,} parameters, held-out losses", *(f"{p[2]:.3f}" for p in points[-len(MARKS) :]))

# %% nbgrader={"grade": false, "grade_id": "pretraining-pipeline-law", "locked": true, "points": 0, "schema_version": 3, "solution": false, "task": false}
np.seterr(over="ignore")  # an interval may reach from 0 to infinity
optima, (law, interval) = [], fit_scaling_law(*(data := np.array(points, float).T))
for name, value, low, high in zip(("E", "A", "alpha", "B", "beta"), law, *interval, strict=True):
    print(f"{name:>5} = {value:7.3f}, 95 % interval {low:7.3f} to {high:7.3f}")
print(f"typical error of the fit: {np.std(oracles.scaling_loss(law, *data[:2]) - data[2]):.3f} nats")
for budget in np.array([0.3, 1.0, 3.0]) * 6 * np.median(data[0]) * data[1].max():
    n, d = compute_optimal(law, budget)
    optima.append((n, budget, float(oracles.scaling_loss(law, n, d))))
    rest = [fit_scaling_law(*data[:, data[0] != size])[0] for size in sorted(set(data[0]))]
    logs = np.log([compute_optimal(other, budget)[0] for other in rest])
    spread = np.exp(stats.t.ppf(0.975, len(logs) - 1) * np.sqrt((len(logs) - 1) * np.var(logs)))
    print(f"C {budget:.1e}: best N {n:,.0f} (95 %: {n / spread:,.0f} to {n * spread:,.0f}), D {d:,.0f} = {d / n:.0f} N")
figure, (left, right) = plt.subplots(1, 2, sharey=True)
draw_curves(left, lambda n, d: oracles.scaling_loss(law, n, d), points, points[0][0], points[-1][0], "D = {:,.0f}")
draw_curves(right, lambda n, c: oracles.scaling_loss(law, n, c / 6 / n), optima, n / 30, n * 10, "C = {:.1e} FLOP")
left.set(title="Measured losses and the fitted law", xlabel="parameters N", ylabel="held-out loss (nats per character)")
right.set(title="Fitted law: each budget has a best size (dot)", xlabel="parameters N")
plt.show()

# %% [markdown]
# ## Recap
#
# Packing wastes nothing, if a mask keeps documents apart; objectives differ only in what is visible and which targets count. A step in pieces is the step of the large batch if it is divided by the targets of all pieces. A run is more than weights: optimizer, schedule, data order and random numbers, each copied, or it is another run that resumes. An alarm on a robust statistic and a checkpoint turn a fatal fault into a few lost steps. And a handful of small runs tells how to spend a large budget, with intervals that say how far to trust it.
#
# **What breaks at scale.** A checkpoint of a large model is terabytes, written in parts by thousands of machines while training goes on. The data order must survive a change in the number of machines. Spikes come from the model itself (attention logits that grow), and are prevented by normalising queries and keys, or by shrinking the gradient of the embeddings. A law that is fitted on small models is extrapolated over five orders of magnitude, and the price of *using* a model argues for smaller ones, trained longer than Chinchilla's optimum.
#
# **Read on.** Devlin et al. 2019, *BERT* (section 3.1). Raffel et al. 2020, *T5* (section 3.2). Liu et al. 2019, *RoBERTa* (section 4). Lan et al. 2020, *ALBERT* (section 3.1). Radford et al. 2018, *Improving Language Understanding by Generative Pre-Training* (section 4.1). Chowdhery et al. 2022, *PaLM* (section 5.1; appendix B). Dubey et al. 2024, *The Llama 3 Herd of Models* (section 3.3). Kaplan et al. 2020, *Scaling Laws for Neural Language Models*. Hoffmann et al. 2022, *Training Compute-Optimal Large Language Models* (section 3). Besiroglu et al. 2024, *Chinchilla Scaling: A replication attempt*. Hägele et al. 2024, *Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations*. Eldan and Li 2023, *TinyStories*. Ding et al. 2024, *Fewer Truncations Improve Language Modeling*.
#
# **Stretch goals.** (1) Pack without cutting stories: sort them into blocks by best fit, and see whether the held-out loss comes closer to the lowest one. (2) Train the main model as a prefix LM and let it finish stories that you begin. (3) Repeat the scaling experiment with a cosine for each D, and compare the two laws and their intervals.
