"""The language identifier on sentences that it was not made from."""

from __future__ import annotations

import pytest

from llmlabs.lab.data import interface_translations
from llmlabs.lab.languages import LanguageIdentifier, trigrams


def test_trigrams_have_a_blank_at_each_end() -> None:
    assert trigrams("To  be") == [" to", "to ", "o b", " be", "be "]


def test_sentences_that_were_held_out_are_told_apart() -> None:
    texts = interface_translations()
    identifier = LanguageIdentifier({language: lines[50:] for language, lines in texts.items()})
    held_out = [(language, line) for language, lines in texts.items() for line in lines[:50]]
    right = sum(identifier.margin(line, language) > 0 for language, line in held_out)
    assert right / len(held_out) > 0.97


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where did you put the other one?", "en"),
        ("Wo hast du den anderen hingelegt?", "de"),
        ("Où avez-vous mis les autres ?", "fr"),
    ],
)
def test_everyday_sentences(text: str, language: str) -> None:
    scores = LanguageIdentifier(interface_translations()).scores(text)
    assert max(scores, key=scores.__getitem__) == language


def test_a_trigram_that_no_language_has_seen_counts_too() -> None:
    scores = LanguageIdentifier({"en": ["ab"], "de": ["cd"]}).scores("xyz")
    assert scores["en"] == scores["de"] < 0
