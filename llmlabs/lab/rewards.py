"""What the lab on reward models runs beside its exercises: a frozen model, trl's trainer, a policy to bend."""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Array = NDArray[np.float64]


def padded(tokenizer: Any, texts: Sequence[str], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask of some texts, int64 of shape (texts, tokens), padded at the right with 0."""
    rows = [torch.tensor(tokenizer.encode(text)) for text in texts]
    ids, mask = (
        torch.nn.utils.rnn.pad_sequence(part, batch_first=True).to(device)
        for part in (rows, [torch.ones_like(row) for row in rows])
    )
    return ids, mask


def frozen_states(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    pick: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    depth: int,
    batch: int = 8,  # small batches stay in a processor's cache
) -> tuple[Array, Array]:
    """Run texts through a model's lowest layers, without gradients; texts of like length share a batch.

    Args:
        model: a LlamaForCausalLM; its final norm follows the layers that run.
        tokenizer: the model's.
        texts: N texts, at least one.
        pick: takes hidden states (B, T, d) and mask (B, T), returns one state a text, (B, d).
        depth: how many layers run.
        batch: the most texts at a time.

    Returns:
        The states, of shape (N, d), and the number of tokens of each text, (N,).
    """
    device, layers = model.lm_head.weight.device, model.config.num_hidden_layers
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    states, tokens = np.zeros((len(texts), model.config.hidden_size)), np.zeros(len(texts))
    model.config.num_hidden_layers = depth  # transformers runs as many layers as the configuration says
    try:
        for rows in np.array_split(order, -(-len(order) // batch)):
            ids, mask = padded(tokenizer, [texts[i] for i in rows], device)
            with torch.no_grad():
                hidden = model.model(ids, attention_mask=mask, use_cache=False).last_hidden_state
            states[rows] = pick(hidden.cpu(), mask.cpu()).float().numpy()
            tokens[rows] = mask.sum(dim=1).cpu().numpy()
    finally:
        model.config.num_hidden_layers = layers
    return states, tokens


def head_by_trl(states: Array, pairs: NDArray[np.int64], tokenizer: Any, epochs: int = 60) -> Array:
    """Fit a reward head on cached states with trl's RewardTrainer.

    The model is a Llama without layers, whose embedding of token i is state i: a reply is one token, and its score is
    the head's product with that state.

    Args:
        states: of shape (N, d).
        pairs: of shape (P, 2), indices (chosen, rejected).
        tokenizer: trl asks for one; nothing is tokenized.
        epochs: how often the pairs are seen.

    Returns:
        The weights, of shape (d,).
    """
    # these libraries take seconds to import, and nothing else of the lab needs them
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it misses a kernel that only 4-bit models need
    from datasets import Dataset  # type: ignore[import-untyped]
    from transformers import LlamaConfig, LlamaForSequenceClassification, PrinterCallback
    from trl.trainer.reward_config import RewardConfig
    from trl.trainer.reward_trainer import RewardTrainer

    table = torch.tensor(states, dtype=torch.float32)
    count, width = table.shape
    sizes: dict[str, Any] = {"vocab_size": count, "hidden_size": width, "num_hidden_layers": 0, "num_labels": 1}
    config = LlamaConfig(**sizes, num_attention_heads=1, head_dim=2)
    model = LlamaForSequenceClassification(config)
    model.model.embed_tokens.weight = torch.nn.Parameter(table, requires_grad=False)
    model.model.norm = torch.nn.Identity()
    torch.nn.init.zeros_(model.score.weight)
    data = Dataset.from_dict({"chosen_ids": pairs[:, :1].tolist(), "rejected_ids": pairs[:, 1:].tolist()})
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # transformers renames gradient_checkpointing; trl, whose default is on, knows only the old name
        warnings.simplefilter("ignore", FutureWarning)
        arguments = RewardConfig(
            folder,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            max_length=None,
            num_train_epochs=epochs,
            per_device_train_batch_size=64,
            learning_rate=5e-3,
            weight_decay=0.1,
            seed=0,
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
            logging_strategy="no",
        )
        trainer = RewardTrainer(model, arguments, train_dataset=data, processing_class=tokenizer)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    weights: Array = model.score.weight[0].detach().double().numpy()
    return weights


def claims(margins: Array, bins: int, least: int = 20) -> list[tuple[Array, Array]]:
    """Sort pairs into bins by what a reward model claims, sigmoid(|margin|).

    Args:
        margins: the reward of the chosen less that of the rejected reply, of shape (N,).
        bins: how many of equal width over [0.5, 1].
        least: bins with fewer pairs are left out.

    Returns:
        For each bin the claims and the margins of its pairs.
    """
    claimed = 1 / (1 + np.exp(-np.abs(margins)))
    index = np.minimum((claimed - 0.5) * 2 * bins, bins - 1).astype(int)
    rows = [index == b for b in range(bins)]
    return [(claimed[own], margins[own]) for own in rows if own.sum() >= least]


def best_of_n_curves(
    value: Callable[[Array, Array, int], float],
    proxy: Array,
    judged: Sequence[Array],
    prompts: NDArray[np.int64],
    ns: Sequence[int],
) -> list[Array]:
    """What the best of n by a proxy is worth to several judges, a mean over prompts.

    Args:
        value: takes the proxy's and a judge's scores of one prompt's replies and n, returns the winner's mean score.
        proxy: of shape (N,), for N replies.
        judged: each judge's scores, of shape (N,).
        prompts: the prompt of each reply, of shape (N,).
        ns: for which n.

    Returns:
        For each judge a value for each n.
    """
    groups = [prompts == prompt for prompt in np.unique(prompts)]
    return [np.mean([[value(proxy[g], scores[g], n) for n in ns] for g in groups], axis=0) for scores in judged]


def best_texts(texts: Sequence[str], prompts: NDArray[np.int64], score: Array) -> list[str]:
    """For each prompt, in their order, its text with the highest score; all three hold one entry a text."""
    groups = [np.flatnonzero(prompts == prompt) for prompt in np.unique(prompts)]
    return [texts[rows[score[rows].argmax()]] for rows in groups]


class LastLayerPolicy:
    """A language model of which only the last layer is trained; what that layer receives is computed once.

    Args:
        model: a LlamaForCausalLM.
        tokenizer: the model's.
        texts: named groups of texts.
        prompt_end: what ends a prompt. Of a text that holds it only what follows counts for the loss, else all of it.
    """

    def __init__(self, model: Any, tokenizer: Any, texts: Mapping[str, Sequence[str]], prompt_end: str) -> None:
        self.model, self.norm = model, model.model.norm
        self.block = copy.deepcopy(model.model.layers[-1]).float()
        self._inputs = {}
        device, layers = model.lm_head.weight.device, model.config.num_hidden_layers
        model.model.norm, model.config.num_hidden_layers = torch.nn.Identity(), layers - 1
        try:
            for name, group in texts.items():
                ids, mask = padded(tokenizer, group, device)
                heads = [text.partition(prompt_end) for text in group]
                starts = [len(tokenizer.encode(head + end)) if end else 0 for head, end, _ in heads]
                counted = mask.bool() & (torch.arange(ids.shape[1]) >= torch.tensor(starts)[:, None]).to(device)
                with torch.no_grad():
                    hidden = model.model(ids, use_cache=False).last_hidden_state.float()
                self._inputs[name] = ids, counted, hidden
        finally:
            model.model.norm, model.config.num_hidden_layers = self.norm, layers

    def loss(self, group: str, rows: Any = slice(None), block: Any = None) -> torch.Tensor:
        """The mean loss of a token of these texts, in nats, with `block`, or the original, as the last layer."""
        ids, counted, x = (part[rows] for part in self._inputs[group])
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
        future = torch.full((ids.shape[1],) * 2, -1e9, device=ids.device).triu(1)[None, None]
        rotation = self.model.model.rotary_emb(x, positions)
        y = (block or self.block)(x, attention_mask=future, position_ids=positions, position_embeddings=rotation)
        head = self.model.lm_head
        logits = head(self.norm(y)[:, :-1][counted[:, 1:]].to(head.weight.dtype)).float()
        return functional.cross_entropy(logits, ids[:, 1:][counted[:, 1:]])

    def measured(self, group: str, block: Any = None) -> float:
        """`loss` of all texts of a group, as a number."""
        with torch.no_grad():
            return self.loss(group, block=block).item()

    def tuned(self, group: str, steps: int, lr: float, replay: str | None = None, seed: int = 0) -> Any:
        """A copy of the last layer, trained on batches of four texts of a group.

        Args:
            group: which texts.
            steps: the number of batches.
            lr: AdamW's learning rate.
            replay: another group, of which two texts join each batch, their loss added; None for none.
            seed: the same seed draws the same batches.
        """
        block, rng = copy.deepcopy(self.block), np.random.default_rng(seed)
        optimizer = torch.optim.AdamW(block.parameters(), lr=lr, weight_decay=0.0)
        for _ in range(steps):
            loss = self.loss(group, rng.choice(len(self._inputs[group][0]), 4, replace=False), block)
            if replay:
                loss = loss + self.loss(replay, rng.choice(len(self._inputs[replay][0]), 2, replace=False), block)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return block
