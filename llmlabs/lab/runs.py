"""A training run as one object, and what tests need to interrupt, repeat and examine one.

A run is more than its weights: the optimizer's averages, the place in the schedule, the order of the data and the
random numbers change from step to step as well, and whoever forgets one of them resumes another run.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from llmlabs.lab.decoder import Decoder
from llmlabs.lab.testing import inside_submission


@dataclass
class Run:
    """All that a training run changes as it goes, but for torch's global random generators, which drive dropout.

    Attributes:
        model, optimizer, scheduler: of torch.
        rows: how many rows of data there are.
        batch: how many of them make a batch.
        generator: on the CPU; draws a new order at the start of each epoch.
        order: int64 (rows,), this epoch's order; empty before the first batch.
        taken: how many batches have been drawn since the beginning.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    rows: int
    batch: int
    generator: torch.Generator
    order: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    taken: int = 0

    def next_rows(self) -> Tensor:
        """Draw the numbers of the next batch's rows; what is left over at the end of an epoch is dropped."""
        start = self.taken % (self.rows // self.batch) * self.batch
        if start == 0:
            self.order = torch.randperm(self.rows, generator=self.generator)
        self.taken += 1
        return self.order[start : start + self.batch]


def tiny_run(seed: int) -> Run:
    """A run of a tiny decoder with dropout on 7 rows, 2 a batch; torch's global generator is set to the seed."""
    torch.manual_seed(seed)
    model = Decoder(13, width=8, layers=1, heads=2, dropout=0.2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 10))
    return Run(model, optimizer, scheduler, 7, 2, torch.Generator().manual_seed(seed))


def advance(run: Run, steps: int) -> list[float]:
    """Train a run that `tiny_run` made, and return the loss of each step."""
    data = torch.randint(13, (7, 9), generator=torch.Generator().manual_seed(0))
    losses = []
    for _ in range(steps):
        rows = data[run.next_rows()]
        loss = functional.cross_entropy(run.model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        run.optimizer.zero_grad()
        loss.backward()
        run.optimizer.step()
        run.scheduler.step()
        losses.append(loss.item())
    return losses


@inside_submission
def interrupted(
    save: Callable[[Run], Any], restore: Callable[[Run, Any], object], before: int, after: int
) -> dict[str, list[Any]]:
    """Save a run after `before` steps and resume it in several ways, for `after` steps each.

    Args:
        save: takes a run and returns its checkpoint.
        restore: takes another run and a checkpoint, and brings the run to where the checkpoint was made.
        before, after: numbers of steps.

    Returns:
        The losses: "saved", of the run that was saved, from its beginning; "resumed", of a run with another seed that
        has made 3 steps of its own; "twice", of a third run from the same checkpoint; "file", after the checkpoint was
        written with torch.save and read with torch.load. And "resumed parts" and so on: what of that run, right after
        it was restored, was not as in the first run when that was saved.
    """
    run = tiny_run(1)
    losses: dict[str, list[Any]] = {"saved": advance(run, before)}
    due = copy.deepcopy(_parts(run))
    checkpoint = save(run)
    file = io.BytesIO()
    torch.save(checkpoint, file)
    losses["saved"] += advance(run, after)
    for seed, name in enumerate(("resumed", "twice", "file"), 2):
        other = tiny_run(seed)
        advance(other, 3)
        file.seek(0)
        restore(other, torch.load(file, weights_only=False) if name == "file" else checkpoint)
        losses[f"{name} parts"] = [part for part, value in _parts(other).items() if not _same(value, due[part])]
        losses[name] = advance(other, after)
    return losses


def _parts(run: Run) -> dict[str, Any]:
    """What a run is made of at this moment, by names for people."""
    return {
        "the weights of the model": run.model.state_dict(),
        "the averages of the optimizer": run.optimizer.state_dict(),
        "the place of the scheduler": run.scheduler.state_dict(),
        "the generator of the data": run.generator.get_state(),
        "the order of the data": run.order,
        "the number of batches taken": run.taken,
        "torch's random numbers": torch.get_rng_state(),
    }


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


@inside_submission
def unreadable(save: Callable[[Run], Any]) -> str:
    """Why a checkpoint of a run could not be read from a file as plain data, or nothing."""
    file = io.BytesIO()
    torch.save(save(tiny_run(5)), file)
    file.seek(0)
    try:
        torch.load(file, weights_only=True)
    except Exception as error:
        lines = str(error).splitlines()
        return next((line.strip() for line in lines if "Unsupported" in line), lines[0])
    return ""


@inside_submission
def named_groups(
    group: Callable[[nn.Module, float], list[dict[str, Any]]],
    model: nn.Module,
    decay: float,
    frozen: tuple[str, ...] = (),
) -> list[tuple[float, list[str]]]:
    """Call `group(model, decay)` and name the parameters of each group that it returns.

    Args:
        group: returns groups for an optimizer: dicts with "params" and "weight_decay".
        model: its parameters named in `frozen` are set not to require gradients.
        decay: the weight decay.
        frozen: names of parameters.

    Returns:
        (weight decay, names of the parameters in the group's order) for each group; "?" for a tensor that is not one of
        the model's parameters, such as a copy.
    """
    parameters = dict(model.named_parameters())
    for name in frozen:
        parameters[name].requires_grad_(False)
    names: Mapping[int, str] = {id(parameter): name for name, parameter in parameters.items()}
    return [(float(g["weight_decay"]), [names.get(id(p), "?") for p in g["params"]]) for g in group(model, decay)]


@inside_submission
def leave_gradients(model: nn.Module) -> None:
    """Give each parameter a gradient of ones, such as a backward pass from before would leave behind."""
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)


class Bigrams(nn.Module):
    """The smallest language model: row i of its table `weight` (V, V) holds the logits of the token after token i."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(vocabulary, vocabulary))

    def forward(self, ids: Tensor, visible: Tensor | None = None) -> Tensor:
        """Return the logits (B, T, V) for ids (B, T); what is visible does not matter to it."""
        return self.weight[ids]


class Twice(nn.Module):
    """A module in which two names stand for one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = self.first
