"""What the tests of the pre-training lab compare with: plain and slow versions, and figures by PyTorch and SciPy."""

from __future__ import annotations

import copy
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from llmlabs.lab import runs
from llmlabs.lab.decoder import Decoder
from llmlabs.lab.testing import inside, load_parameters, parameters_of

Floats = NDArray[np.float64]
Triples = tuple[list[list[int]], list[list[int]], list[list[int]]]


_PARTS = (
    "inputs: a start before each document? places left over at the end only, with `start`, as few as possible?",
    "targets: the next token of the stream, also in the next block? a start at the end? -100 in places left over?",
    "numbers: a start belongs to the document that it begins, also to an empty one? -1 in places left over?",
)


def packed(documents: list[list[int]], length: int, start: int) -> Triples:
    """Inputs, targets and document numbers of packed documents, token by token."""
    tokens, owners = [], []
    for number, document in enumerate(documents):
        for token in [start, *document]:
            tokens.append(token)
            owners.append(number)
    rows: Triples = ([], [], [])
    for first in range(0, len(tokens), length):
        places = range(first, first + length)
        rows[0].append([tokens[i] if i < len(tokens) else start for i in places])
        rows[1].append([[*tokens, start][i + 1] if i < len(tokens) else -100 for i in places])
        rows[2].append([owners[i] if i < len(tokens) else -1 for i in places])
    return rows


def packing(documents: list[list[int]], length: int, start: int) -> list[tuple[list[list[int]], str]]:
    """The same, each part with what to ask if it is wrong."""
    return [*zip(packed(documents, length, start), _PARTS, strict=True)]


def visible_pairs(numbers: Tensor, prefix: Tensor | None) -> Tensor:
    """Which positions may see which, pair by pair: bool (B, T, T) from int64 (B, T) and bool (B, T)."""
    batch, length = numbers.shape
    seen = torch.zeros(batch, length, length, dtype=torch.bool)
    for b, i, j in np.ndindex(batch, length, length):
        early = j <= i or (prefix is not None and bool(prefix[b, j]))
        seen[b, i, j] = bool(numbers[b, i] == numbers[b, j]) and early
    return seen


def masking_figures(mask_tokens: Callable[..., tuple[Tensor, Tensor]], seed: int) -> dict[str, float]:
    """Measure masked language modelling on 300,000 tokens of 40 kinds, 70 % of them maskable; see FIGURES.

    Args:
        mask_tokens: takes ids, maskable, mask_id, vocabulary and generator, and returns inputs and targets.
        seed: of the tokens and of the generator.
    """
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, 40, (3000, 100), generator=generator)
    maskable = torch.rand(3000, 100, generator=generator) < 0.7
    given = ids.clone(), maskable.clone()
    # not the seed of the data: the same numbers would decide what is maskable and what becomes of a token
    inputs, targets = mask_tokens(ids, maskable, 1, 40, torch.Generator().manual_seed(seed + 1))
    again, other = (mask_tokens(ids, maskable, 1, 40, torch.Generator().manual_seed(seed + i)) for i in (1, 2))
    chosen = targets != -100
    now, was = inputs[chosen], ids[chosen]
    randoms = torch.bincount(now[(now != 1) & (now != was)], minlength=40)
    counts = {
        "entries of ids and maskable that mask_tokens changed": _count(ids != given[0], maskable != given[1]),
        "chosen tokens that may not be": _count(chosen & ~maskable),
        "targets that are not the token itself": _count(targets[chosen] != was),
        "inputs that changed though they were not chosen": _count(inputs[~chosen] != ids[~chosen]),
        "differences between two calls with the same generator": _count(again[0] != inputs, again[1] != targets),
    }
    return counts | {
        "share of the maskable tokens that are chosen": chosen[maskable].double().mean().item(),
        "share of the chosen that became the mask": (now == 1).double().mean().item(),
        "share of the chosen that stayed": (now == was).double().mean().item(),
        "how often the random token was number 0": randoms[0].item(),
        "how often the rarest of the other random tokens came": randoms[2:].min().item(),
        "how often the commonest of the other random tokens came": randoms[2:].max().item(),
        "standard deviation of how many of a row are chosen, each on its own": chosen.sum(1).double().std().item(),
        "share of other tokens that another generator chooses": (other[1] != targets).double().mean().item(),
    }


def hiding_figures(hide_seen: Callable[[Tensor, Tensor], Tensor], seed: int) -> dict[str, float]:
    """Count wrong entries of `hide_seen(targets, visible)` on random masks; see FIGURES."""
    generator = torch.Generator().manual_seed(seed)
    visible = torch.rand(20, 6, 6, generator=generator) < 0.5
    targets = torch.randint(40, (20, 6), generator=generator)
    given = targets.clone(), visible.clone()
    got = hide_seen(targets, visible)
    want = given[0].clone()
    for b, i in np.ndindex(20, 5):
        if given[1][b, i, i + 1]:
            want[b, i] = -100
    return {
        "entries of targets and visible that hide_seen changed": _count(targets != given[0], visible != given[1]),
        "targets that are not -100 just where i may see i + 1": _count(got[:, :5] != want[:, :5]),
        "last targets of blocks that did not stay": _count(got[:, 5] != want[:, 5]),
    }


def pair_figures(sentence_pairs: Callable[..., list[tuple[str, str, bool]]], seed: int) -> dict[str, float]:
    """Measure next-sentence pairs from 60 documents of one, three and ten sentences, made 25 times; see FIGURES.

    Args:
        sentence_pairs: takes documents and a random.Random.
        seed: of the latter.
    """
    documents = [[f"{number} {i}" for i in range((1, 3, 10)[number % 3])] for number in range(60)]
    given = [[*document] for document in documents]

    def make(number: int) -> list[tuple[str, str, bool]]:
        return [(a, b, follows) for a, b, follows in sentence_pairs(documents, random.Random(number))]

    rounds, again = [make(seed + i) for i in range(25)], make(seed)
    pairs = [pair for made in rounds for pair in made]
    firsts = [sentence for document in given for sentence in document[:-1]]
    home = {sentence: number for number, document in enumerate(given) for sentence in document}
    place = {sentence: (len(document), i) for document in given for i, sentence in enumerate(document)}
    after = {a: b for document in given for a, b in itertools.pairwise(document)}
    wrong = [(a, b) for a, b, follows in pairs if not follows]
    due = [("a", "b"), ("b", "a"), ("a", "c")]
    twice = [sentence_pairs([["a", "b", "a", "c"], ["x"]], random.Random(seed + i)) for i in range(20)]
    figures: dict[str, float] = {
        "documents that sentence_pairs changed": sum(a != b for a, b in zip(documents, given, strict=True)),
        "differences between two calls with the same rng": sum(a != b for a, b in zip(rounds[0], again, strict=True)),
        "calls without one pair for each sentence that has a next one, in order": sum(
            [pair[0] for pair in made] != firsts for made in rounds
        ),
        "pairs called True that are no neighbours": sum(after.get(a) != b for a, b, follows in pairs if follows),
        "documents a, b, a, c and x: calls with other pairs than a b, b a, a c, each by its place, or with x": sum(
            [(a, b) for a, b, _ in made] != [(a, b if p[2] else "x") for (a, b), p in zip(due, made, strict=False)]
            or len(made) != 3
            for made in twice
        ),
        "wrong second sentences from the same document": sum(home[a] == home[b] for a, b in wrong),
        "share of wrong pairs": len(wrong) / max(1, len(pairs)),
        "share of pairs with the answer of the pair before": _share(
            one[2] == other[2] for made in rounds for one, other in itertools.pairwise(made)
        ),
        "share of sentences whose answer another rng changes": _share(
            one[2] != other[2] for made in rounds[1:] for one, other in zip(rounds[0], made, strict=False)
        ),
    }
    figures |= {
        f"how often a wrong sentence was from the {which} document": sum(home[b] == number for _, b in wrong)
        for which, number in (("first", 0), ("last", 59))
    }
    lengths, places = Counter(place[b][0] for _, b in wrong), Counter(place[b] for _, b in wrong)
    for length in (1, 3, 10):
        figures[f"share of wrong sentences from documents of {length}"] = lengths[length] / max(1, len(wrong))
        for i in range(length):
            share = places[length, i] / max(1, lengths[length])
            figures[f"share of sentence {i} among wrong ones from documents of {length}"] = share
    return figures


def objective_figures(
    mask_tokens: Callable[..., tuple[Tensor, Tensor]],
    hide_seen: Callable[[Tensor, Tensor], Tensor],
    sentence_pairs: Callable[..., list[tuple[str, str, bool]]],
    seed: int,
) -> dict[str, float]:
    """The three measurements above."""
    figures = masking_figures(mask_tokens, seed) | hiding_figures(hide_seen, seed)
    return figures | pair_figures(sentence_pairs, seed)


_ZERO = (
    "entries of ids and maskable that mask_tokens changed",
    "chosen tokens that may not be",
    "targets that are not the token itself",
    "inputs that changed though they were not chosen",
    "differences between two calls with the same generator",
    "entries of targets and visible that hide_seen changed",
    "targets that are not -100 just where i may see i + 1",
    "last targets of blocks that did not stay",
    "documents that sentence_pairs changed",
    "differences between two calls with the same rng",
    "calls without one pair for each sentence that has a next one, in order",
    "pairs called True that are no neighbours",
    "documents a, b, a, c and x: calls with other pairs than a b, b a, a c, each by its place, or with x",
    "wrong second sentences from the same document",
)
FIGURES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(_ZERO, (0.0, 0.0)),
    # 210,000 maskable tokens, 31,500 chosen ones, of 40 kinds; limits are six standard errors
    # from 0.15 * 0.85 * 70 + 0.15^2 * 21; rows with exactly 15 % would have 0.7
    "standard deviation of how many of a row are chosen, each on its own": (3.066, 0.24),
    "share of the maskable tokens that are chosen": (0.15, 0.0047),
    "share of the chosen that became the mask": (0.8 + 0.1 / 40, 0.0135),
    "share of the chosen that stayed": (0.1 + 0.1 / 40, 0.0103),
    "how often the random token was number 0": (78.75, 53),
    "how often the rarest of the other random tokens came": (76.7, 53),
    "how often the commonest of the other random tokens came": (76.7, 53),
    "share of other tokens that another generator chooses": (2 * 0.7 * 0.15 * 0.85, 0.01),
    # 5,500 pairs, half of them wrong; limits are six standard errors again
    **{
        f"share of {what}": (0.5, 0.0413)
        for what in (
            "wrong pairs",
            "pairs with the answer of the pair before",
            "sentences whose answer another rng changes",
        )
    },
    **{f"how often a wrong sentence was from the {which} document": (46.6, 41) for which in ("first", "last")},
    **{f"share of wrong sentences from documents of {length}": (1 / 3, 0.066) for length in (1, 3, 10)},
    **{
        f"share of sentence {i} among wrong ones from documents of {length}": (1 / length, limit)
        for length, limit in ((1, 0.0), (3, 0.12), (10, 0.066))
        for i in range(length)
    },
}
"""What the figures above should be, and how much chance may change them."""


def _count(*wrong: Tensor) -> float:
    return float(sum(int(part.sum()) for part in wrong))


def _share(found: Iterable[bool]) -> float:
    values = [*found]
    return sum(values) / max(1, len(values))


def cosine_rates(steps: int, warmup: int, peak: float, floor: float) -> list[float]:
    """The learning rates of a linear warm-up, of PyTorch's cosine, and of three steps after the last one."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=peak)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - warmup, eta_min=floor)
    rates = [peak * (step + 1) / warmup for step in range(warmup)]
    for _ in range(steps - warmup):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        cosine.step()
    return [*rates, floor, floor, floor]


def step_figures(train_step: Callable[..., tuple[float, float]], seed: int) -> Iterator[tuple[str, Any, Any, float]]:
    """Steps of a tiny decoder in micro-batches, beside those in one batch: (what, got, wanted, tolerance).

    Before the first step there are gradients already, which have to be forgotten.

    Args:
        train_step: takes model, optimizer, micro_batches, max_norm and bf16, and returns loss and norm.
        seed: of the data and the weights. The rows of the batch have different numbers of targets, the last two none.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs, targets = torch.randint(11, (2, 6, 7), generator=generator)
    targets[torch.rand(6, 7, generator=generator) < torch.linspace(0, 0.9, 6)[:, None]] = -100
    targets[0, 0], targets[4:] = 3, -100
    visible = (torch.rand(6, 7, 7, generator=generator) < 0.5) | torch.eye(7, dtype=torch.bool)
    for max_norm, bf16, rows in (
        (1e9, False, [1, 3, 2]),
        (0.1, False, [2, 2, 2]),
        (1e9, True, [4, 2]),
        (1e9, True, [1, 2, 3]),
        (0.5, False, [6]),
    ):
        torch.manual_seed(seed)
        mine, model = Decoder(11, 8, 1, 2), inside(Decoder, 11, 8, 1, 2)
        load_parameters(model, {name: p.detach() for name, p in mine.named_parameters()})
        runs.leave_gradients(model)
        theirs = inside(torch.optim.SGD, model.parameters(), lr=0.1, momentum=0.9)
        own = torch.optim.SGD(mine.parameters(), lr=0.1, momentum=0.9)
        # float32 sums in another order stay far below 1e-4; in bfloat16 a gradient has three digits, and it matters
        # whether the loss is divided before or after it: the norm of the second step has been seen to differ by 4 %
        close = 0.15 if bf16 else 1e-4
        for number in (1, 2):
            where = f"step {number} in micro-batches of {rows} rows, max_norm {max_norm}, bf16 {bf16}"
            pieces = [*zip(inputs.split(rows), targets.split(rows), visible.split(rows), strict=True)]
            given = copy.deepcopy(pieces)
            loss, norm = train_step(model, theirs, pieces, max_norm, *([True] if bf16 else []))
            for piece, before in zip(pieces, given, strict=True):
                same = all(map(torch.equal, piece, before))
                yield f"{where}: are the micro-batches unchanged?", same, True, 0.0
            own.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = mine(inputs, visible)
            whole = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
            # the same weights, before any step: a loss from logits in float32 is exact, one in bfloat16 is not
            strict = 1e-4 if number == 1 else close
            whole.backward()
            full = nn.utils.clip_grad_norm_(mine.parameters(), max_norm)
            own.step()
            yield (
                f"{where}: loss; divided by all targets? mask handed on? bf16 just if asked, loss in float32?",
                loss,
                whole.item(),
                strict,
            )
            yield f"{where}: norm before clipping; old gradients forgotten? clipped once?", norm, full.item(), close
            for name, value in parameters_of(model).items():
                yield f"{where}: is {name} still in float32?", value.dtype == torch.float32, True, 0.0
                wanted = mine.get_parameter(name).detach().numpy()
                yield f"{where}: {name}; clipped before the step, all gradients together?", value.numpy(), wanted, close


def counted_flops(model: nn.Module, ids: Tensor) -> float:
    """The floating-point operations of a forward and backward pass for each token, as PyTorch counts them."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(ids).sum().backward()
    return counter.get_total_flops() / ids.numel()


def odd_modules() -> list[tuple[str, Any, int]]:
    """Modules whose matrices are easily miscounted: (what to say, module, FLOP of training on one token)."""
    return [
        ("a linear layer of 3 x 3 with two names: a matrix with two names is one", inside(runs.Twice), 54),
        ("a LayerNorm of 4 alone: one dimension, no matrix, whatever its name", inside(nn.LayerNorm, 4), 0),
        ("a convolution of 3 x 2 x 4: three dimensions are two or more", inside(nn.Conv1d, 2, 3, 4), 144),
    ]


def scaling_loss(law: Floats, sizes: ArrayLike, tokens: ArrayLike) -> Floats:
    """E + A / N^alpha + B / D^beta, with law (E, A, alpha, B, beta)."""
    e, a, alpha, b, beta = law
    return np.asarray(e + a * np.asarray(sizes, float) ** -alpha + b * np.asarray(tokens, float) ** -beta)


def fitted_law(sizes: Floats, tokens: Floats, losses: Floats, near: Floats) -> tuple[Floats, Floats]:
    """SciPy's least-squares fit of a scaling law, by the logarithms of its numbers, from a start near the truth.

    Returns:
        (law, interval): (5,), and the ends of the 95 % confidence intervals, (2, 5).
    """
    from scipy import optimize, stats

    def law(x: tuple[Floats, Floats], *logs: float) -> Floats:
        return scaling_loss(np.exp(logs), *x)

    best, covariance = optimize.curve_fit(law, (sizes, tokens), losses, p0=np.log(near))
    reach = stats.t.ppf(0.975, len(losses) - 5) * np.sqrt(np.diag(covariance))
    return np.exp(best), np.exp([best - reach, best + reach])


def scaling_cases(rng: np.random.Generator) -> list[tuple[Floats, Floats, Floats, Floats]]:
    """Laws, and the sizes, tokens and losses of 12 runs that obey them, without noise and with noise of 0.01."""
    cases = []
    sizes, tokens = (x.ravel() for x in np.meshgrid([2e3, 2e4, 2e5, 2e6], [2e4, 3e5, 4e6]))
    for law, noise in (
        ([0.8, 3.0, 0.25, 60.0, 0.45], 0.0),
        ([1.5, 9.0, 0.4, 30.0, 0.4], 0.01),
        ([1.0, 20.0, 0.5, 15.0, 0.3], 0.01),
    ):
        losses = scaling_loss(np.array(law), sizes, tokens) + noise * rng.normal(size=12)
        cases.append((np.array(law), sizes, tokens, losses))
    return cases


def searched_optimum(law: Floats, flops: float) -> float:
    """The size with the lowest loss for a budget of 6 N D = flops, by trying 100,001 sizes."""
    sizes = np.geomspace(1e1, 1e13, 100_001)
    return float(sizes[scaling_loss(law, sizes, flops / 6 / sizes).argmin()])


Training = Callable[..., tuple[list[tuple[int, float]], list[int]]]


def rehearsed(train: Training | None, bad: set[int], steps: int, every: int, *limit: int) -> dict[str, Any]:
    """Let `train` train without a model, and note what it does: its "weights" are the list of its batches.

    Args:
        train: train(step, save, load, spiked, steps, every, limit), which returns the kept steps as (batch, loss) and
            the batches that gave an alarm; None: the plain loop of this module.
        bad: the batches with a loss of 100, at which the alarm is due; the loss of others is a tenth of their number.
        steps, every, limit: handed on; no limit: the default.

    Returns:
        What happened, by name; "the error" is "RuntimeError" if that was raised, else "".
    """
    weights: list[int] = []
    tried: list[int] = []
    saves: list[int] = []
    loads: list[int] = []
    judged: list[list[float]] = []

    def step(batch: int) -> float:
        if len(tried) == 40:  # a loop that trains on the same batches for ever
            raise RuntimeError("40 batches were tried, and it goes on")
        weights.append(batch)
        tried.append(batch)
        return 100.0 if batch in bad else batch / 10

    def save() -> list[int]:
        saves.append(len(weights))
        return [*weights]

    def load(state: list[int]) -> None:
        loads.append(len(state))
        weights[:] = state

    def spiked(losses: list[float]) -> bool:
        judged.append([*losses])
        return losses[-1:] == [100.0]

    kept: Any = []
    alarms: Any = []
    error = ""
    try:
        train = _plain_training if train is None else train
        kept, alarms = train(step, save, load, spiked, steps, every, *limit)
    except (RuntimeError, ValueError) as raised:
        error = "none, but it goes on for ever" if len(tried) == 40 else type(raised).__name__
    return {
        "the batches that were tried": tried,
        "the batches that the final model was trained on": weights,
        "the error": error,
        "the kept (batch, loss)": [(pair[0], pair[1]) for pair in kept],
        "the alarms": [*alarms],
        "the numbers of kept steps at each save": saves,
        "the numbers of kept steps at each load": loads,
        "the losses that the alarm was asked about": judged,
    }


def _plain_training(
    step: Callable[[int], float],
    save: Callable[[], Any],
    load: Callable[[Any], object],
    spiked: Callable[[list[float]], bool],
    steps: int,
    every: int,
    limit: int = 3,
) -> tuple[list[tuple[int, float]], list[int]]:
    done: list[tuple[int, float]] = []  # up to the last save
    since: list[tuple[int, float]] = []
    alarms: list[int] = []
    state, batch, in_a_row = save(), 0, 0
    while len(done) + len(since) < steps:
        since.append((batch, step(batch)))
        if spiked([loss for _, loss in done + since]):
            alarms.append(batch)
            in_a_row += 1
            since = []
            load(state)
            if in_a_row == limit:
                raise RuntimeError
        elif len(done) + len(since) in range(0, steps + 1, every):
            done, since, in_a_row = done + since, [], 0
            state = save()
        batch += 1
    return done + since, alarms


def alarm_cases(rng: np.random.Generator) -> list[tuple[list[float], tuple[int, float] | tuple[()], bool]]:
    """Losses, (window, factor) and whether the last loss is an alarm: at the limit, infinite, or too few to judge."""
    cases: list[tuple[list[float], tuple[int, float] | tuple[()], bool]] = []
    for window, factor, scale in ((5, 3.0, 0.3), (20, 6.0, 0.1), (8, 4.0, 0.001), (1, 2.0, 0.1), (4, 5.0, 2.0)):
        for more in (0, 1, 30):
            before = (3 + scale * rng.standard_t(2, size=window + more)).tolist()
            recent = np.array(before[more:])
            spread = 1.4826 * np.median(np.abs(recent - np.median(recent)))
            limit = float(np.median(recent) + factor * max(float(spread), 0.01))
            ends = ((limit + 1e-4, True), (limit - 1e-4, False), (-np.inf, True))
            cases += [([*before, last], (window, factor), alarm) for last, alarm in ends]
        few = [1.0] * (window - 1)
        cases += [([*few, 1e6], (window, factor), False), ([*few, np.nan], (window, factor), True)]
    # the default window is 20; with a factor of 0 the limit is the median itself, which is no alarm
    cases += [([1.0] * few + [9.0], (), few > 19) for few in (19, 20, 21)]
    return [*cases, ([2.0, 4.0, 3.0, 3.0], (3, 0.0), False)]
