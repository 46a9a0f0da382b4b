"""Prose is cut where a reader would cut it, and nothing is lost."""

from __future__ import annotations

import pytest

from llmlabs.lab.data import austen
from llmlabs.lab.prose import novel_sentences, sentences, words


def test_words_keep_titles_hyphens_and_apostrophes_together() -> None:
    text = '"Oh! Mr. Knightley\'s well-bred -- no," said Mrs. Elton.'
    assert words(text) == [
        *('"', "Oh", "!", "Mr.", "Knightley's", "well-bred", "--", "no", ",", '"', "said", "Mrs.", "Elton", ".")
    ]


def test_sentences_end_at_marks_and_not_at_titles() -> None:
    assert sentences('He saw Mr. Elton.  "Indeed!"\nShe\nsmiled') == ["He saw Mr. Elton.", '"Indeed!"', "She smiled"]
    assert sentences(" \n ") == []


@pytest.mark.parametrize(("title", "chapters"), [("emma", 55), ("sense_and_sensibility", 50)])
def test_a_novel_is_cut_into_its_chapters(title: str, chapters: int) -> None:
    each = [novel_sentences(title, slice(i, i + 1)) for i in range(chapters + 1)]
    assert all(each[:chapters])
    assert each[chapters] == []
    assert [s for part in each for s in part] == novel_sentences(title)


def test_no_letter_of_a_chapter_is_lost() -> None:
    text = austen("emma")
    chapter = text[text.index("Emma Woodhouse, handsome") : text.index("CHAPTER II\n")]
    assert "".join("".join(novel_sentences("emma", slice(0, 1))).split()) == "".join(chapter.split())
