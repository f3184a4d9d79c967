"""How hard English prose is to read: syllables, sentence length, Flesch's reading ease.

It must not know what the prose is about, nor how a document is laid out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from attrs import frozen

from semiont_jobs.demo.sentences import words_in

BANDS: Final = (
    (90.0, "very easy"),
    (80.0, "easy"),
    (70.0, "fairly easy"),
    (60.0, "plain English"),
    (50.0, "fairly difficult"),
    (30.0, "difficult"),
    (float("-inf"), "very difficult"),
)
"""Flesch's own bands: the least reading ease of each, and its name."""

READING_SPEED: Final = 200
"""Words a minute: silent reading of English non-fiction is about 240 (Brysbaert 2019), and
technical prose is slower."""

_VOWELS = re.compile(r"[aeiouy]+")
_SILENT_END = re.compile(
    r"(?:(?:[aeiouyl]l|[^aeiouyl])e|(?:[aeiouyl]l|[^aeiouytdl])ed|(?:[aeiouyl]l|[^aeiouyszxcghl])es)$"
)
"""``name``, ``called``, ``types``: the last e is not spoken. In ``table``, ``created`` and
``matches`` it is."""


@frozen(kw_only=True)
class Readability:
    """Counts of a piece of prose, and the figures that follow from them."""

    words: int
    sentences: int
    syllables: int

    @property
    def words_per_sentence(self) -> float:
        return self.words / max(1, self.sentences)

    @property
    def reading_ease(self) -> float:
        """Flesch's reading ease (1948): 100 is very easy, 30 is for graduates, less is harder.

        Not limited to 0..100: single sentences are far outside, and are compared by it.
        """
        syllables_per_word = self.syllables / max(1, self.words)
        return 206.835 - 1.015 * self.words_per_sentence - 84.6 * syllables_per_word

    @property
    def grade(self) -> float:
        """The same as years at school (Kincaid 1975)."""
        syllables_per_word = self.syllables / max(1, self.words)
        return 0.39 * self.words_per_sentence + 11.8 * syllables_per_word - 15.59

    @property
    def band(self) -> str:
        """What Flesch called this reading ease: one of `BANDS`."""
        return next(name for least, name in BANDS if self.reading_ease >= least)

    @property
    def minutes(self) -> int:
        """How long it takes to read, in minutes, at least one."""
        return max(1, round(self.words / READING_SPEED))


def measure(sentences: Iterable[str]) -> Readability:
    """The readability of prose that is already split into sentences."""
    counts = [words_in(sentence) for sentence in sentences]
    return Readability(
        words=sum(len(words) for words in counts),
        sentences=sum(1 for words in counts if words),
        syllables=sum(syllables(word) for words in counts for word in words),
    )


def syllables(word: str) -> int:
    """About how many syllables an English word has, by its groups of vowels; at least one."""
    return sum(_syllables(part) for part in word.lower().split("-"))


def _syllables(part: str) -> int:
    groups = len(_VOWELS.findall(part))
    if groups > 1 and _SILENT_END.search(part):
        groups -= 1
    return max(1, groups)
