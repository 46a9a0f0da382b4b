"""Which language a text is in, guessed from its runs of three letters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping


def trigrams(text: str) -> list[str]:
    """The runs of three characters of a text in lower case, with a blank before and after it."""
    padded = f" {' '.join(text.lower().split())} "
    return [padded[i : i + 3] for i in range(len(padded) - 2)]


class LanguageIdentifier:
    """Naive Bayes over character trigrams (Dunning 1994, *Statistical Identification of Language*).

    Each language is a table of log-probabilities of trigrams, smoothed with half a count for each trigram of any
    language; a text is as likely as the product over its trigrams.

    Args:
        texts: by language, some hundred sentences each, about the same in all.
    """

    def __init__(self, texts: Mapping[str, Iterable[str]]) -> None:
        counts = {language: Counter(t for line in lines for t in trigrams(line)) for language, lines in texts.items()}
        size = len(set().union(*counts.values())) + 1  # one for the trigrams that no language has shown
        self._unseen: dict[str, float] = {}
        self._log: dict[str, dict[str, float]] = {}
        for language, table in counts.items():
            total = math.log(table.total() + 0.5 * size)
            self._unseen[language] = math.log(0.5) - total
            self._log[language] = {trigram: math.log(n + 0.5) - total for trigram, n in table.items()}

    def scores(self, text: str) -> dict[str, float]:
        """The mean log-probability of the text's trigrams in each language."""
        found = trigrams(text)
        return {
            language: sum(table.get(trigram, self._unseen[language]) for trigram in found) / max(1, len(found))
            for language, table in self._log.items()
        }

    def margin(self, text: str, language: str) -> float:
        """How much likelier a trigram of the text is in this language than in the best other one, as a log-ratio.

        Above 0 where this language is the likeliest. The shorter a text, the wider the margins scatter: those of names,
        numbers and single words mean little.
        """
        scores = self.scores(text)
        return scores.pop(language) - max(scores.values())
