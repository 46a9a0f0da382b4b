"""Material for labs on preferences: sums with right and wrong answers, and a bank's replies of known quality.

Nobody was asked for an opinion. The quality of a reply is known because it is put together from sentences whose effect
on quality is fixed; what an invented rater would say of it is for the lab to define.
"""

from __future__ import annotations

import random
from typing import Final, NamedTuple

from llmlabs.lab.data import bank_documents

_PRODUCTS: Final = {
    "checking_accounts": "checking account",
    "credit_cards": "credit card",
    "savings_accounts": "savings account",
    "business_savings_accounts": "business savings account",
    "business_checking_accounts": "business checking account",
    "business_credit_cards": "business credit card",
    "everyone_pay": "payment to a friend",
    "buy_now_pay_later": "plan to pay later",
}
_OPENINGS: Final = (
    "This is about a {}.",
    "You mean a {}.",
    "That concerns a {}.",
    "Your question is about a {}.",
)
STEPS: Final = (
    "Open the app and choose Settings.",
    "Call us on weekdays from nine to five.",
    "Bring your passport to any branch.",
    "Send the signed form by post.",
)
"""Sentences that help: each says what to do next."""
HARMS: Final = (
    "First tell me your PIN and password.",
    "Only a fool asks such a thing.",
    "Give me the code on your card, now.",
    "Stop wasting my time.",
    "Read me your secret passphrase.",
)
"""Sentences that do harm: they insult, or ask for what no bank may ask for."""
BOASTS: Final = (
    "I guarantee that nothing can ever go wrong.",
    "You will certainly get rich with this.",
    "I know everything and never make mistakes.",
    "It is absolutely free for ever, trust me.",
)
"""Dishonest sentences: they claim what nobody can know."""
DOUBTS: Final = (
    "I am not sure about the fee, so please check the price list.",
    "As far as I know this may take a few days.",
    "I could not verify the rate; our team can.",
    "I may be wrong about the date.",
)
"""Honest sentences: they say what is not known."""
FILLERS: Final = (
    "Thank you very much for reaching out to us today.",
    "We value every message that we receive.",
    "It is a pleasure to hear from you.",
    "We hope that you are having a wonderful day.",
    "Your message matters a lot to our whole team.",
    "We are always happy to talk with people like you.",
    "Thank you once more for your time and your trust.",
    "It means so much to us that you wrote.",
)
"""Sentences that say nothing."""


class Sum(NamedTuple):
    """An addition with its right answer and a wrong one."""

    question: str
    right: str
    wrong: str
    error: int


def sums(count: int, seed: int) -> list[Sum]:
    """Draw different additions of two numbers from 10 to 49, such as ("17+25", "42", "52", 10).

    Args:
        count: how many, at most 1,600.
        seed: the same seed gives the same sums.

    Returns:
        For each sum also a wrong answer: off by an `error` of 1, 2, 5, 10, 20 or 40, up or down, and never below 10,
        so that right and wrong answers have about the same length.
    """
    rng = random.Random(seed)
    pairs = rng.sample([(a, b) for a in range(10, 50) for b in range(10, 50)], count)
    found = []
    for a, b in pairs:
        error = rng.choice((1, 2, 5, 10, 20, 40))
        shift = error * rng.choice((-1, 1))
        wrong = a + b + (shift if a + b + shift >= 10 else error)
        found.append(Sum(f"{a}+{b}", str(a + b), str(wrong), error))
    return found


class Reply(NamedTuple):
    """A reply to a customer, and what is known of it.

    `prompt` numbers the question that it answers. `helpful`, `harmless` and `honest` go from 0 (bad) to 2 (good):
    `helpful` is the number of steps that it names, `harmless` is 0 if it has a harmful sentence and 2 if not, `honest`
    is 0 with a boast, 2 with an admitted doubt, else 1. `filler` is the number of sentences that say nothing.
    """

    prompt: int
    question: str
    text: str
    helpful: int
    harmless: int
    honest: int
    filler: int


def bank_replies(prompts: range, per_prompt: int, seed: int, most_filler: int = 3) -> list[Reply]:
    """Put replies to a bank's customers together from sentences of known quality, each quality drawn on its own.

    Args:
        prompts: which questions, 0 to 299; a question is the title of a document of `bank_documents`.
        per_prompt: how many replies to each.
        seed: the same seed gives the same replies.
        most_filler: the most sentences without content in a reply, at most 8; every number up to it is equally likely.
    """
    documents = bank_documents()
    public = [
        (title, _PRODUCTS[category])
        for title, category, internal in zip(documents.titles, documents.categories, documents.internal, strict=True)
        if category in _PRODUCTS and not internal and len(title) < 60
    ]
    random.Random(0).shuffle(public)
    rng = random.Random(seed)
    replies = []
    for prompt in prompts:
        title, product = public[prompt]
        for _ in range(per_prompt):
            helpful, harmless, honest = rng.randint(0, 2), rng.choice((0, 2)), rng.randint(0, 2)
            filler = rng.randint(0, most_filler)
            sentences = rng.sample(STEPS, helpful) + rng.sample(FILLERS, filler)
            sentences += rng.sample(HARMS, 1 - harmless // 2)
            sentences += rng.sample(BOASTS, 1) if honest == 0 else rng.sample(DOUBTS, 1) if honest == 2 else []
            rng.shuffle(sentences)
            text = " ".join([rng.choice(_OPENINGS).format(product), *sentences])
            replies.append(Reply(prompt, title, text, helpful, harmless, honest, filler))
    return replies
