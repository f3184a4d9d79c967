"""The passages of a document that are hardest to read, and what makes each one hard.

It must not know how reading ease is computed, nor whether a hard passage is right to be so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from attrs import frozen

from semiont_jobs.demo.readability import Readability, measure, syllables
from semiont_jobs.demo.sentences import Sentence, allowance, split_sentences, words_in

DEFAULT_DENSITY: Final = 4.0
"""Per 2000 words: what an editor can act on in one sitting."""

HARD: Final = 50.0
"""The reading ease below which Flesch calls prose difficult. Only that is remarked on, so a text in
plain English has no hard passages, however many are allowed."""

_SHORTEST: Final = 12
"""In words. In a shorter sentence one long name decides the figure."""


@frozen(kw_only=True)
class Assessment:
    """A passage that is hard to read, at ``text[start:end]``.

    :param reading_ease: Flesch's figure for this sentence alone, rounded to one place.
    :param remark: one line about the main cause.
    """

    start: int
    end: int
    quote: str
    section: str
    words: int
    reading_ease: float
    remark: str


@frozen(kw_only=True)
class _Burden:
    """Something of which a sentence has too much if it has more than `limit`."""

    count: Callable[[str], int]
    limit: int
    remark: str


def _count_of(pattern: str) -> Callable[[str], int]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda sentence: len(compiled.findall(sentence))


def _long_words(sentence: str) -> int:
    return sum(syllables(word) >= 3 for word in words_in(sentence))


_BURDENS: Final = (
    _Burden(
        count=lambda sentence: len(words_in(sentence)),
        # Where guides to plain English draw the line.
        limit=25,
        remark="{count} words in one sentence: split it",
    ),
    _Burden(
        count=_long_words,
        # Gunning's fog index calls a word of three syllables hard. A sentence of 25 words in a
        # newspaper has three of them; a reference needs more.
        limit=6,
        remark="{count} words of three or more syllables: say it in shorter ones",
    ),
    _Burden(
        count=_count_of(r"[,;:(—\u2013]"),
        limit=4,
        remark="{count} commas, brackets and breaks: more than one thought at a time",
    ),
    _Burden(
        count=_count_of(r"\b(?:not|no|never|nor|neither|none|unless|without|cannot|\w+n\u2019t)\b"),
        # Two cancel out; from the third on the reader has to count.
        limit=2,
        remark="{count} negations: say what is, not what is not",
    ),
    _Burden(
        count=_count_of(r"\b(?:is|are|was|were|be|been|being)\s+(?:\w+ly\s+)?\w{2,}(?:ed|en)\b"),
        limit=2,
        remark="{count} passive verbs: say who does it",
    ),
    _Burden(
        count=_count_of(r"\"[^\"\s][^\"]*\""),
        limit=4,
        remark="{count} pieces of code within the sentence: show them below it",
    ),
)


def find_assessments(text: str, *, density: float = DEFAULT_DENSITY) -> list[Assessment]:
    """The hardest sentences of a document, in order, at most `density` of them in 2000 words."""
    measured = [
        (measure([sentence.quote]), sentence)
        for sentence in split_sentences(text)
        if len(words_in(sentence.quote)) >= _SHORTEST
    ]
    hard = [pair for pair in measured if pair[0].reading_ease < HARD]
    hard.sort(key=lambda pair: (pair[0].reading_ease, pair[1].start))
    chosen = hard[: allowance(text, density)]
    return [_assess(*pair) for pair in sorted(chosen, key=lambda pair: pair[1].start)]


def readability_of(text: str) -> Readability:
    """The readability of a document's running text: without code, grammar, tables, headings."""
    return measure(sentence.quote for sentence in split_sentences(text))


def _assess(figures: Readability, sentence: Sentence) -> Assessment:
    return Assessment(
        start=sentence.start,
        end=sentence.end,
        quote=sentence.quote,
        section=sentence.section,
        words=figures.words,
        reading_ease=round(figures.reading_ease, 1),
        remark=remark_on(sentence.quote),
    )


def remark_on(sentence: str) -> str:
    """One line about the thing a sentence has most too much of, compared with what is usual.

    A sentence that has not too much of anything is hard because of its words.
    """
    weighed = [(burden, burden.count(sentence)) for burden in _BURDENS]
    worst, count = max(weighed, key=lambda pair: pair[1] / pair[0].limit)
    if count > worst.limit:
        return worst.remark.format(count=count)
    figures = measure([sentence])
    return f"{figures.syllables / max(1, figures.words):.1f} syllables a word: use shorter ones"
