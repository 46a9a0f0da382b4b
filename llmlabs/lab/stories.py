"""Children's stories from a small grammar, for labs that pre-train a model: simple words, but with a thread to hold.

After the idea of TinyStories (Eldan and Li 2023, https://arxiv.org/abs/2305.07759): the language is small enough for a
tiny model, and a story makes sense only if the writer remembers who lost what. A grammar adds two things that real text
does not have: the probability of each story is known, so there is a lowest loss that no model can beat; and a program
can tell whether a text is a whole story and whether it contradicts itself.
"""

from __future__ import annotations

import math
import random
import re
from itertools import accumulate
from typing import Final, NamedTuple

import torch
from torch import nn

from llmlabs.lab.decoder import generate

_GIRLS: Final = ("Anna", "Lily", "Mia", "Rosa", "Nora", "Zoe", "Ella", "Ida")
_BOYS: Final = ("Tom", "Ben", "Max", "Leo", "Sam", "Finn", "Jack", "Paul")
# names alternate, so that girls and boys are nearly equally frequent
_HEROES: Final = tuple(name for pair in zip(_GIRLS, _BOYS, strict=True) for name in pair)
# in each list the word of rank r is chosen with a probability proportional to 1 / (r + 1), r = 1, 2, ...
_SLOTS: Final[dict[str, tuple[str, ...]]] = {
    "hero": _HEROES,
    "mood": ("happy", "kind", "brave", "clever", "shy", "quiet", "curious", "funny"),
    "colour": ("red", "blue", "green", "yellow", "white", "black", "purple", "orange", "golden", "pink"),
    "toy": ("ball", "kite", "doll", "hat", "drum", "train", "book", "ring", "flute", "lamp", "shell", "puppet"),
    "weather": ("sunny", "windy", "cold", "warm", "rainy", "cloudy"),
    "place": ("park", "garden", "forest", "market", "village", "town", "field", "barn", "school", "yard"),
    "size": ("small", "big", "grey", "young", "fat", "tiny"),
    "animal": ("dog", "cat", "bird", "frog", "rabbit", "mouse", "duck", "fox", "horse", "goat", "owl", "bear"),
    "where": ("under", "behind", "near", "beside"),
    "thing": ("tree", "bench", "wall", "gate", "bush", "stone", "bridge", "boat", "basket", "log"),
    "sound": ("laughed", "smiled", "danced", "jumped", "sang", "clapped"),
    "treat": ("cake", "bread", "honey", "apples", "milk", "cheese", "soup", "nuts"),
}
_WORDS_OF_SEX: Final = {
    "kind": ("girl", "boy"),
    "he": ("she", "he"),
    "He": ("She", "He"),
    "his": ("her", "his"),
    "him": ("her", "him"),
}
# one of each row is chosen, with equal probabilities; no two texts of a row can be mistaken for each other
_STAGES: Final[tuple[tuple[str, ...], ...]] = (
    ("Once there was a {mood} {kind} named {hero} .", "{hero} was a {mood} {kind} ."),
    ("{He} had a {colour} {toy} .", "{hero} loved {his} {colour} {toy} ."),
    ("One {weather} day {he} took the {toy} to the {place} .", "{hero} played with the {toy} in the {place} ."),
    ("But then the {toy} was gone !", "Soon {he} could not find the {toy} ."),
    ("A {size} {animal} saw {him} .", "{He} met a {size} {animal} ."),
    ("“ I lost my {colour} {toy} , ” said {hero} .", "“ Have you seen my {toy} ? ” {he} asked the {animal} ."),
    ("They looked {where} the {thing} , and there was the {toy} !", "The {animal} found it {where} the {thing} ."),
    ("{hero} gave the {animal} some {treat} .", "{He} {sound} and thanked the {animal} ."),
)
STORY: Final = "<story>"
"""The token that begins each story, and so ends the one before it."""
MASK: Final = "<mask>"
"""The token that hides a word."""
_TOKEN: Final = re.compile(r"<\w+>|\w+|[^\w\s]")


def _vocabulary() -> tuple[str, ...]:
    words = {word for values in (*_SLOTS.values(), *_WORDS_OF_SEX.values()) for word in values}
    words |= {w for stage in _STAGES for text in stage for w in text.split() if not w.startswith("{")}
    return (STORY, MASK, *sorted(words))


VOCABULARY: Final = _vocabulary()
"""Every token, by its number: the two special ones, then words and punctuation."""
_NUMBER: Final = {token: number for number, token in enumerate(VOCABULARY)}
_CHANCES: Final = {
    name: [1 / (rank + 1) / sum(1 / (r + 1) for r in range(1, len(values) + 1)) for rank in range(1, len(values) + 1)]
    for name, values in _SLOTS.items()
}
_CUMULATED: Final = {name: [*accumulate(chances)] for name, chances in _CHANCES.items()}


class Story(NamedTuple):
    """A story and the logarithm of the grammar's probability of it."""

    text: str
    log_p: float


class Reading(NamedTuple):
    """What a program finds in a text: a whole story? And one whose hero, toy, animal and pronouns stay the same?"""

    whole: bool
    coherent: bool


def stories(count: int, seed: int) -> list[Story]:
    """Tell `count` stories of 60 to 72 tokens each, the start not counted; the same seed tells the same ones."""
    rng = random.Random(seed)
    return [_story(rng) for _ in range(count)]


def _story(rng: random.Random) -> Story:
    chosen: dict[str, str] = {}
    log_p, sentences = 0.0, []
    for stage in _STAGES:
        template = stage[rng.randrange(len(stage))]
        log_p -= math.log(len(stage))
        for slot in ["hero", *re.findall(r"{(\w+)}", template)]:  # the hero first, for the pronouns
            if slot in _SLOTS and slot not in chosen:
                index = rng.choices(range(len(_SLOTS[slot])), cum_weights=_CUMULATED[slot])[0]
                chosen[slot] = _SLOTS[slot][index]
                log_p += math.log(_CHANCES[slot][index])
        sentences.append(template.format(**chosen, **_words_of(chosen["hero"])))
    return Story(tidy(" ".join(sentences)), log_p)


def _words_of(hero: str) -> dict[str, str]:
    return {slot: words[hero in _BOYS] for slot, words in _WORDS_OF_SEX.items()}


def tidy(text: str) -> str:
    """Take out the blanks before punctuation and inside of quotation marks."""
    return re.sub(r" ([.,!?”])", r"\1", text).replace("“ ", "“")


def encode(text: str) -> list[int]:
    """The tokens of a text.

    Raises:
        KeyError: if a word is not in VOCABULARY.
    """
    return [_NUMBER[token] for token in _TOKEN.findall(text)]


def decode(ids: list[int]) -> str:
    """The text of tokens; decode(encode(text)) == text for a story."""
    return tidy(" ".join(VOCABULARY[number] for number in ids))


def read(text: str) -> Reading:
    """Read a text as a story of this grammar.

    It is whole if it consists of the grammar's sentences in their order, whatever words stand in the slots. It is
    coherent if, besides, every slot holds the same word wherever it occurs, and the pronouns fit the hero.
    """
    rest = " ".join(_TOKEN.findall(text))
    found: dict[str, set[str]] = {}
    for patterns in _PATTERNS:
        match = next((match for pattern in patterns if (match := pattern.match(rest))), None)
        if match is None:
            return Reading(whole=False, coherent=False)
        for group, word in match.groupdict().items():
            found.setdefault(group.rstrip("_"), set()).add(word)
        rest = rest[match.end() :]
    words = _words_of(next(iter(found["hero"])))
    fits = all(len(values) == 1 and (slot in _SLOTS or values == {words[slot]}) for slot, values in found.items())
    return Reading(whole=not rest, coherent=not rest and fits)


def _pattern(template: str) -> re.Pattern[str]:
    count: dict[str, int] = {}
    text = ""
    for part in re.split(r"({\w+})", template):
        if part.startswith("{"):
            slot = part[1:-1]
            count[slot] = count.get(slot, 0) + 1
            text += f"(?P<{slot}{'_' * count[slot]}>{'|'.join({**_SLOTS, **_WORDS_OF_SEX}[slot])})"
        else:
            text += re.escape(part)
    return re.compile(text + r"(?: |$)")


_PATTERNS: Final = [[_pattern(template) for template in stage] for stage in _STAGES]


def tell(model: nn.Module, count: int, device: torch.device, seed: int = 0) -> tuple[list[str], int, int]:
    """Let a model tell `count` stories, each up to its end or 75 tokens.

    Args:
        model: a decoder over VOCABULARY, on the device.
        count: how many.
        device: of the model.
        seed: the same seed and model tell the same stories, on one kind of device.

    Returns:
        The texts, how many of them are whole stories, and how many are coherent; see `read`.
    """
    start = torch.zeros(count, 1, dtype=torch.int64, device=device)
    told = generate(model, start, 75, generator=torch.Generator().manual_seed(seed))[:, 1:].tolist()
    texts = [decode(ids[: ids.index(0)] if 0 in ids else ids) for ids in told]
    readings = [read(text) for text in texts]
    return texts, sum(reading.whole for reading in readings), sum(reading.coherent for reading in readings)
