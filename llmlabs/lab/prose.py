"""Cutting English prose into sentences and words, with two regular expressions that anybody can read."""

from __future__ import annotations

import re

from llmlabs.lab.data import austen

_CHAPTER = re.compile(r"\n\n\n(?=chapter )", re.IGNORECASE)
# a title such as Mr. does not end a sentence; what closes a quotation after the last mark belongs to it
_SENTENCE = re.compile(r"""(?=\S)(?:[DM]rs?\.|[^.!?])+[.!?"']*""")
_WORD = re.compile(r"[DM]rs?\.|\w+(?:['-]\w+)*|--|[^\w\s]")


def words(text: str) -> list[str]:
    """The words and punctuation marks of a text: "Oh! Mr. Knightley's" gives "Oh", "!", "Mr." and "Knightley's"."""
    return _WORD.findall(text)


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph, line breaks turned into spaces. Every token after . ! or ? begins a new one."""
    return _SENTENCE.findall(" ".join(paragraph.split()))


def novel_sentences(title: str, chapters: slice = slice(None)) -> list[str]:
    """The sentences of some chapters of a novel by Jane Austen, without the chapters' headings.

    Args:
        title: one of `llmlabs.lab.data.NOVELS`.
        chapters: which of its chapters, counted from 0; all by default.
    """
    texts = _CHAPTER.split(austen(title))[1:][chapters]
    return [s for text in texts for paragraph in text.split("\n\n")[1:] for s in sentences(paragraph)]
