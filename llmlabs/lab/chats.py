"""Constants and examples of the lab on chat templates: faults of conversations, phrases of refusal, a role-play."""

from __future__ import annotations

from typing import Final

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
"""The quality filter's limits, chosen on the part "tune" of the labelled replies."""

ALPACA_PROMPT: Final = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:\n"
)
"""How Stanford Alpaca (Taori et al. 2023) writes an instruction without input."""

TRACKED_TEMPLATE: Final = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
)
"""SmolLM2's template without its default system prompt; transformers reports which tokens the generation tag holds."""

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
