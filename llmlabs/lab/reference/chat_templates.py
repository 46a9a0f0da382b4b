"""The solved exercises of 08_post_training_datasets/chat_templates.

Made from source/08_post_training_datasets/chat_templates.py by `llmlabs build`: edit that file, not this one.
"""

import json
import re
from typing import Any

import numpy as np
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmlabs.lab.chats import (
    IGNORE,
    MARKERS,
    REFUSALS,
    SHAREGPT_ROLES,
)


def alpaca_to_messages(row: dict[str, str]) -> list[dict[str, str]]:
    """Return the messages of an Alpaca row, with the keys "role" and "content" only: system, if any, user, assistant.

    The row has "instruction" and "output"; "input" and "system" may be missing or empty: no input, no system message. With an
    input, the user's content is the instruction, an empty line, the input. Nothing is stripped; row is not changed."""
    content = row["instruction"] + ("\n\n" + row["input"] if row.get("input") else "")
    system = [{"role": "system", "content": row["system"]}] if row.get("system") else []
    return [*system, {"role": "user", "content": content}, {"role": "assistant", "content": row["output"]}]


def messages_to_alpaca(messages: list[dict[str, str]]) -> dict[str, str]:
    """Return the Alpaca row of one exchange, with the keys "instruction", "input" (always ""), "output" and "system".

    The messages are user and assistant, with system before them or not ("system" is "" then). Other roles, or others in order
    or number, raise a ValueError: Alpaca has no room for more turns."""
    roles = [message["role"] for message in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(f"an Alpaca row holds [system,] user, assistant; these roles do not fit: {roles}")
    *system, user, assistant = (message["content"] for message in messages)
    return {"instruction": user, "input": "", "output": assistant, "system": "".join(system)}


def sharegpt_to_messages(row: dict[str, Any]) -> list[dict[str, str]]:
    """Return the messages, keys "role" and "content" only, of the entries of row["conversations"], in order.

    An entry has "from", which SHAREGPT_ROLES maps to the role, and "value", the content; other keys are dropped. A name that
    SHAREGPT_ROLES does not have raises a ValueError whose text holds the name. row is not changed."""
    if unknown := [entry["from"] for entry in row["conversations"] if entry["from"] not in SHAREGPT_ROLES]:
        raise ValueError(f"unknown speakers {unknown}: known are {', '.join(SHAREGPT_ROLES)}")
    return [{"role": SHAREGPT_ROLES[entry["from"]], "content": entry["value"]} for entry in row["conversations"]]


def messages_to_sharegpt(messages: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """Return {"conversations": entries}, an entry {"from", "value"} for each of the messages, which are not changed.

    "from" is "system", "human" or "gpt" for the roles system, user and assistant."""
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in messages]}


def faults(messages: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Return everything that is wrong with a conversation, by the table above; [] if all is well.

    The messages are dicts, not changed; "role" and "content" may be missing or of any type. The result is a list of pairs
    (number of the message, code), by number, and for one message in the order of the table.

    Example:
        faults([{"role": "user", "content": "Hi"}])  ->  [(0, "no-reply")]
    """
    found: list[tuple[int, str]] = [] if messages else [(0, "no-messages")]
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        spoke = [m.get("role") for m in messages[:i] if m.get("role") in ("user", "assistant")]
        checks = {
            "unknown-role": role not in ("system", "user", "assistant"),
            "late-system": role == "system" and i > 0,
            "reply-first": role == "assistant" and "user" not in spoke,
            "same-role": spoke[-1:] == [role],
            "no-text": not isinstance(content, str) or not content.strip(),
            "marker": isinstance(content, str) and any(marker in content for marker in MARKERS),
            "no-reply": i == len(messages) - 1 and role != "assistant",
        }
        found += [(i, code) for code, wrong in checks.items() if wrong]
    return found


def render(template: str, messages: list[dict[str, Any]], **variables: Any) -> str:
    """Return what a chat template makes of messages, as transformers renders it: see the list above.

    Args:
        template: sees `messages`, `raise_exception(text)` and the filter `tojson` (as json.dumps writes it, é as é).
        messages: dicts; the sandbox keeps the template from changing them.
        variables: what else the template may see, such as add_generation_prompt=True.

    Raises:
        jinja2.TemplateError: with the text that the template gave to raise_exception.
        jinja2.sandbox.SecurityError: if the template tries to change the messages or to reach a private attribute.
    """
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])

    def raise_exception(text: str) -> None:
        raise TemplateError(text)

    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return env.from_string(template).render(messages=messages, **variables)


def roleplay_template() -> str:
    """Return a Jinja chat template for role-play, in the form of the table above, for `render` and for transformers.

    It sees these variables, of which all but messages and speaker may be undefined:
        messages: the first has the role system, the others user or character. An action or thought may be missing or empty.
            For any other role, or system elsewhere, or another first role, it calls raise_exception with any text.
        speaker: the name of the character that the model plays.
        cards: dicts with "name" and "persona", whose lines follow the system message's content, in order.
        keep_thoughts: if true, all thoughts of the speaker are written, else only those after the last user message (all, if
            there is none). Thoughts of other characters never are.
        add_generation_prompt: if true, the text ends with the header of the speaker's reply.
    Texts are written as they are: nothing is stripped, and nothing stands between the parts but what the table shows.
    """
    pieces = [
        r"{% if messages[0].role != 'system' %}{{ raise_exception('the first message must be of system') }}{% endif %}",
        r"{% set ns = namespace(last=-1) %}",
        r"{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}",
        r"{% for m in messages %}{% if m.role == 'system' and loop.first %}{{ '<|im_start|>system\n' + m.content }}",
        r"{% for card in cards %}{{ '\n' + card.name + ': ' + card.persona }}{% endfor %}",
        r"{% elif m.role == 'user' %}{{ '<|im_start|>user\n' + m.content }}",
        r"{% elif m.role == 'character' %}{{ '<|im_start|>character ' + m.name + '\n' }}",
        r"{% if m.thought and m.name == speaker and (keep_thoughts or loop.index0 > ns.last) %}",
        r"{{ '<|thought|>' + m.thought + '<|/thought|>' }}{% endif %}",
        r"{% if m.action %}{{ '<|action|>' + m.action + '<|/action|>' }}{% endif %}{{ m.content }}",
        r"{% else %}{{ raise_exception('no place for a message of ' + m.role) }}{% endif %}{{ '<|im_end|>\n' }}",
        r"{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>character ' + speaker + '\n' }}{% endif %}",
    ]
    return "".join(pieces)


def encode_chat(tokenizer: Any, template: str, messages: list[dict[str, str]], **variables: Any) -> list[int]:
    """Return the token ids of a rendered conversation, in which only the template can write special tokens.

    Args:
        tokenizer: tokenizer.encode(text, add_special_tokens=False, split_special_tokens=...) gives the ids of a text.
        template: writes the texts of messages as they are, but may leave some out or repeat some.
        messages: all values are strings; not changed. Special tokens in any but "role" become ordinary characters.
        variables: trusted, and passed on: render(template, messages, **variables).

    Returns:
        The ids of the template's pieces and of the texts, each encoded by itself, in the order of the rendered text.
    """
    texts: list[str] = []

    def hold(text: str) -> str:
        texts.append(text)
        return f"\ue000{len(texts) - 1}\ue001"

    held = [{k: v if k == "role" or not v else hold(v) for k, v in message.items()} for message in messages]
    ids: list[int] = []
    for i, piece in enumerate(re.split("\ue000(\\d+)\ue001", render(template, held, **variables))):
        text = texts[int(piece)] if i % 2 else piece
        ids += tokenizer.encode(text, add_special_tokens=False, split_special_tokens=i % 2 == 1)
    return ids


def loss_labels(ids: list[int], headers: list[list[int]], end: int) -> list[int]:
    """Return the labels of a conversation's tokens: the id where it is to be learned, IGNORE elsewhere.

    Args:
        ids: the tokens of a conversation, not changed.
        headers: each, of at least one token, begins a reply to be learned; none begins with another one.
        end: the token that ends every message. Learned are the tokens after each header up to and including the next end, or
            up to the last token if none comes. Inside of a reply no header begins.
    """
    labels, learning = [IGNORE] * len(ids), False
    for i, token in enumerate(ids):
        if learning:
            labels[i] = token
            learning = token != end
        else:
            learning = any(ids[max(0, i + 1 - len(header)) : i + 1] == header for header in headers)
    return labels


def truncate(messages: list[dict[str, str]], lengths: list[int], limit: int) -> list[dict[str, str]]:
    """Return the system message, if the first message is one, and as many of the latest whole turns as fit.

    Args:
        messages: at least one; not changed. A turn begins at a user message and ends before the next one; what stands before
            the first user message, apart from the system's, belongs to the first turn (the only one, if no user speaks).
        lengths: the tokens of each message.
        limit: the most tokens the result may have. If system message and latest turn have more, a ValueError is raised.
    """
    head = 1 if messages[0]["role"] == "system" else 0
    for start in [head, *[i for i, message in enumerate(messages) if message["role"] == "user"][1:]]:
        if sum(lengths[:head]) + sum(lengths[start:]) <= limit:
            return messages[:head] + messages[start:]
    raise ValueError(f"the system message and the last turn have more than {limit} tokens: {lengths}")


def pack(examples: list[tuple[list[int], list[int]]], size: int, pad: int) -> dict[str, np.ndarray]:
    """Pack chats into rows of `size` tokens, each into the first row that has room for it, in the order given.

    Args:
        examples: (ids, labels) of each chat, of one length, from 1 to size (longer: ValueError); not changed.
        size, pad: the tokens in a row, and the id that fills what is left at its end.

    Returns:
        int64 arrays of shape (rows, size): "input_ids"; "labels" (IGNORE in padding and at the first token of each chat);
        "positions" (from 0 in each chat, 0 in padding); "segments" (1, 2, ... for the chats of a row, 0 in padding).
    """
    rows: list[list[np.ndarray]] = []
    for ids, labels in examples:
        if len(ids) > size:
            raise ValueError(f"a chat of {len(ids)} tokens does not fit into rows of {size}: truncate it first")
        row = next((row for row in rows if sum(part.shape[1] for part in row) + len(ids) <= size), None)
        if row is None:
            rows.append(row := [])
        row.append(np.array([ids, [IGNORE, *labels[1:]], [*range(len(ids))], [len(row) + 1] * len(ids)]))
    packed = np.empty((4, len(rows), size), dtype=np.int64)
    packed[:] = np.array([pad, IGNORE, 0, 0])[:, None, None]
    for number, row in enumerate(rows):
        parts = np.concatenate(row, axis=1)
        packed[:, number, : parts.shape[1]] = parts
    return dict(zip(("input_ids", "labels", "positions", "segments"), packed, strict=True))


def overlap(reply: str) -> float:
    """Return the share of a reply's runs of five words that were in it before, 0.0 if there is no run.

    Words are what stands between white space; capitals do not matter."""
    words = reply.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else 0.0


def quality_flags(reply: str, english_odds: float, limits: dict[str, float]) -> list[str]:
    """Return which of "language", "repetition", "refusal", "length" the filter finds, in this order; [] if none.

    Args:
        reply: the text; white space at its end does not matter. Use overlap(reply).
        english_odds: the logarithm of how much likelier English is than the best other language, a mean over runs of letters.
        limits: flagged are odds below "english", an overlap above "overlap", fewer words than "words"; and for its length
            also a reply whose last character is none of . ! ? " ” ) ` . Refusals are found in any case, with ’ as '.
    """
    plain = reply.lower().replace("’", "'")
    found = {
        "language": english_odds < limits["english"],
        "repetition": overlap(reply) > limits["overlap"],
        "refusal": any(phrase in plain for phrase in REFUSALS),
        "length": len(reply.split()) < limits["words"] or reply.rstrip()[-1:] not in [*'.!?"”)`'],
    }
    return [name for name, flagged in found.items() if flagged]


def precision_recall(flagged: list[bool], bad: list[bool]) -> tuple[float, float, tuple[float, float]]:
    """Return (precision, recall, (low, high)): Wilson's 95 % interval of the precision, with z = 1.96.

    Args:
        flagged, bad: what the filter says of each reply, and the truth; in each at least one is True.
    """
    hits, f, z = sum(a and b for a, b in zip(flagged, bad, strict=True)), sum(flagged), 1.96
    p = hits / f
    middle, width = p + z**2 / (2 * f), z * (p * (1 - p) / f + z**2 / (4 * f**2)) ** 0.5
    return p, hits / sum(bad), ((middle - width) / (1 + z**2 / f), (middle + width) / (1 + z**2 / f))
