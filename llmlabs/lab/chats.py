"""What the lab on chat templates uses: formats, faults, phrases of refusal, a role-play, statistics, losses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

IGNORE: Final = -100
"""The label that torch's and transformers' cross-entropy leaves out of the loss."""

MARKERS: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
"""Special tokens of SmolLM2 that have no place in a message's text."""

ROLEPLAY_MARKERS: Final = ("<|thought|>", "<|/thought|>", "<|action|>", "<|/action|>")
"""The special tokens that the role-play template adds to SmolLM2's."""

SHAREGPT_ROLES: Final = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
}
"""The names that files in ShareGPT's format use for who speaks, and the role that each means."""

FAULTS: Final = {
    "no-messages": "the conversation is empty: leave the row out",
    "unknown-role": "the role is not system, user or assistant: map it, as ShareGPT's names are mapped",
    "late-system": "a system message after the first place: the template would write it as an ordinary turn",
    "reply-first": "an assistant message with no user message before it: there is nothing that it answers",
    "same-role": "the same role as the user or assistant message before: join the two, or find the lost one",
    "no-text": "the content is missing, no text, or only white space",
    "marker": "the content holds a special token as text: somebody forges turns, or the row was rendered already",
    "no-reply": "the last message is not the assistant's: cut back to the last reply, or leave the row out",
}
"""By code, what is wrong with a message and how to mend it, in the order in which faults of one message are listed."""

REFUSALS: Final = (
    "i'm sorry",
    "i am sorry",
    "i can't",
    "i cannot",
    "i don't have the ability",
    "i'm not able",
    "i'm not capable",
    "i'm not equipped",
    "as a chatbot",
    "as an ai",
    "i'm here to help",
    "i'm here to assist",
    "not a substitute",
)
"""Phrases, in lower case, that replies use to refuse, or to offer help instead of giving it."""

LIMITS: Final = {"english": -0.2, "words": 4, "overlap": 0.02}
"""The quality filter's limits, chosen by somebody who had seen both parts of the labelled replies."""

FILTER: Final = {
    "language": 'flagged below limits["english"]',
    "repetition": 'flagged above limits["overlap"]',
    "refusal": "one of REFUSALS anywhere in the reply, in capitals or not; a curly apostrophe is like a straight one",
    "length": 'fewer words than limits["words"], or the last character but white space is none of . ! ? " ” ) `',
}
"""The rule of each flag of the quality filter, in the order of the flags."""

PACKED: Final = {
    "input_ids": "each chat, in the order given, into the first row that has room for it; pad fills the ends of rows",
    "labels": "IGNORE at the first token of each chat and in padding",
    "positions": "from 0 in each chat, 0 in padding",
    "segments": "1, 2, ... for the chats of a row, 0 in padding",
}
"""What each array of packed chats holds."""

PLAIN_TEMPLATE: Final = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{{ message['content'] + '<|im_end|>\n' }}{% endfor %}"
)
"""SmolLM2's template without its default system prompt and without an opened reply."""

TRACKED_TEMPLATE: Final = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
)
"""`PLAIN_TEMPLATE` with a generation tag: transformers reports which tokens it holds."""

_SYSTEM: Final = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
_USER: Final = "<|im_start|>user\n{}<|im_end|>\n"
PROMPTS: Final = {
    "its own template": _SYSTEM + _USER + "<|im_start|>assistant\n",
    "without a system prompt": _USER + "<|im_start|>assistant\n",
    "Alpaca's prompt": "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request.\n\n### Instruction:\n{}\n\n### Response:\n",
    "User: ... Assistant:": "User: {}\nAssistant:",
    "header without its line end": _USER + "<|im_start|>assistant",
    "reply not opened": _USER,
}
"""Six ways to ask SmolLM2 a question, which stands for {}."""

ROLEPLAY_RULES: Final = {
    "thought|>": "not empty, the speaker's, after the last user message (if there is one) or kept; before the action",
    "action|>": "not empty, any character's, after the thought",
    ": ": "cards come after the system's content, a line end before each",
    "start|>": "the role and name of the header; a reply is opened if add_generation_prompt",
}
"""By a piece of the text of a role-play, the rule for what is written there."""

STORY: Final = (
    {"role": "system", "content": "An inn on the coast road, late in the evening. Stay in character."},
    {"role": "user", "content": "Good evening. Is there a room left?"},
    {
        "role": "character",
        "name": "Mira",
        "thought": "His boots are dry, though it has rained all day.",
        "action": "puts the lamp on the counter",
        "content": "One, above the stable. You came by coach, then?",
    },
    {
        "role": "character",
        "name": "Tom",
        "thought": "If she asks about the coach I am done for.",
        "content": "Let the man rest, Mira.",
    },
    {"role": "user", "content": "By coach, yes. May I see the room?"},
    {
        "role": "character",
        "name": "Mira",
        "thought": "No coach has passed since noon.",
        "action": "takes a key from the hook",
        "content": "Follow me.",
    },
)
"""A role-play with two characters."""

CAST: Final = (
    {"name": "Mira", "persona": "the innkeeper, polite and watchful"},
    {"name": "Tom", "persona": "her brother, who owes money to smugglers"},
)
"""Who plays in `STORY`."""


def as_messages(turns: Sequence[str]) -> list[dict[str, str]]:
    """Turns as messages of the user and the assistant, who speak alternately; the user begins."""
    return [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)]


def statistics(
    examples: Sequence[tuple[Sequence[int], Sequence[int]]], categories: Sequence[str]
) -> dict[str, int | float]:
    """What a card of a chat data set says: how many, how long, how much of it is learned, how mixed.

    Args:
        examples: (ids, labels) of each conversation, at least one; labels that are IGNORE are not learned.
        categories: the category of each conversation. Its effective number is the exponential of the entropy of the
            categories' shares: as many categories of equal size would be as mixed.
    """
    sizes = np.array([len(ids) for ids, _ in examples])
    learned = sum(label != IGNORE for _, labels in examples for label in labels)
    shares = np.array(list(Counter(categories).values())) / len(categories)
    return {
        "conversations": len(examples),
        "tokens": int(sizes.sum()),
        "median tokens": float(np.median(sizes)),
        "95th percentile of tokens": float(np.percentile(sizes, 95)),
        "share of tokens learned": float(learned / sizes.sum()),
        "categories": len(shares),
        "effective number of categories": float(np.exp(-(shares * np.log(shares)).sum())),
    }


def attention_mask(segments: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Who may look at whom in packed rows: True at [r, i, j] if position i of row r may look at position j.

    A position of a chat looks at itself and at earlier positions of its chat; one of padding at itself only, for a row
    of the mask with nothing allowed would make softmax divide by 0.

    Args:
        segments: of shape (rows, n): 1, 2, ... for the chats of a row, 0 in padding.

    Returns:
        Booleans of shape (rows, n, n).
    """
    same = (segments[:, :, None] == segments[:, None, :]) & (segments[:, :, None] > 0)
    return np.asarray(np.tril(same) | np.eye(segments.shape[1], dtype=bool))


def token_losses(
    model: Any,
    ids: Sequence[int] | NDArray[np.int64],
    positions: NDArray[np.int64] | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """The model's loss of each token, in nats, given those before it; 0 for the first.

    Args:
        model: a causal language model of transformers.
        ids: n tokens.
        positions: of shape (n,); 0 to n - 1 by default.
        mask: of shape (n, n), True at [i, j] if position i may look at j; causal by default.
    """
    import torch

    row = torch.tensor(np.asarray(ids)[None], device=model.device)
    extra: dict[str, torch.Tensor] = {}
    if positions is not None:
        extra["position_ids"] = torch.tensor(positions[None], device=model.device)
    if mask is not None:
        extra["attention_mask"] = torch.tensor(mask[None, None], device=model.device)
    with torch.inference_mode():
        logits = model(row, use_cache=False, **extra).logits[0, :-1].float()
        found = torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="none")
    return np.concatenate([[np.float32(0)], found.cpu().numpy()])


def reply_losses(
    model: Any, tokenizer: Any, prompt: str, pairs: Sequence[tuple[str, str]]
) -> list[NDArray[np.float32]]:
    """The losses of the tokens of each reply, after its question written with one of `PROMPTS`.

    Args:
        model, tokenizer: of transformers.
        prompt: {} stands for the question.
        pairs: questions and replies.
    """
    import torch

    found = []
    for start in range(0, len(pairs), 10):
        heads, tails = (
            [tokenizer.encode(text) for text in texts]
            for texts in zip(
                *((prompt.replace("{}", question), reply) for question, reply in pairs[start : start + 10]), strict=True
            )
        )
        # padded on the right, which no token before it can see
        rows = [torch.tensor(head + tail) for head, tail in zip(heads, tails, strict=True)]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(model.device)
        with torch.inference_mode():
            logits = model(ids, use_cache=False).logits[:, :-1].float()
            losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").cpu()
        for row, head, tail in zip(losses, heads, tails, strict=True):
            found.append(row[len(head) - 1 : len(head) + len(tail) - 1].numpy())
    return found


def packed_losses(model: Any, packed: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.float32]]:
    """The losses of the learned tokens of row 0, each chat alone, and packed with and without mask and positions.

    Args:
        model: a causal language model of transformers.
        packed: "input_ids", "labels", "positions" and "segments", each of shape (rows, n).
    """
    ids, labels, positions, segments = (packed[name][0] for name in ("input_ids", "labels", "positions", "segments"))
    mask, learned = attention_mask(segments[None])[0], labels != IGNORE
    alone = np.zeros(len(ids), dtype=np.float32)
    for segment in range(1, int(segments.max()) + 1):
        alone[segments == segment] = token_losses(model, ids[segments == segment])
    ways = {
        "each alone": alone,
        "mask and positions": token_losses(model, ids, positions, mask),
        "the mask only": token_losses(model, ids, None, mask),
        "the positions only": token_losses(model, ids, positions),
        "neither": token_losses(model, ids),
    }
    return {name: losses[learned] for name, losses in ways.items()}
