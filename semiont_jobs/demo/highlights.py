"""The key passages of a document: its most telling sentences, chosen by a score.

It must not know whose highlights they become, nor how a sentence's centrality is computed.

    score = sqrt(centrality) x place x cues

Centrality alone finds what a text repeats; a reference says its most important things once, in
the first sentence of a section and in words such as "must". So place and cues are factors:
they lift a sentence that is about the subject and leave alone one that is not. The root is
there because centrality spans about thirteenfold in one of these documents (the median of the
longer ones), no factor more than twofold: without it a text's favourite words would decide.
"""

from __future__ import annotations

import math
import re
from typing import Final

from attrs import evolve, frozen

from semiont_jobs.demo.blocks import split_blocks
from semiont_jobs.demo.centrality import likeness, rank, terms_of
from semiont_jobs.demo.sentences import Sentence, allowance, split_sentences, words_in

DEFAULT_DENSITY: Final = 5.0
"""Per 2000 words: about one to a printed page, as a reader with a marker would do."""

_SHORTEST, _LONGEST = 8, 45
"""In words. A shorter sentence depends on its neighbours; a longer one is not a highlight but a
paragraph."""

_TOO_ALIKE: Final = 0.5
"""The cosine from which a second sentence repeats the first."""

_WHOLE = re.compile(r"[.!?][\")”\u2019*]*(?:\s*\[\d+\])*$")
"""Ends like a sentence."""

_OPENS_SECTION: Final = 1.6
"""The first sentence below a heading says what the section is about (Edmundson 1969 found
place the best single sign)."""

_OPENS_BLOCK: Final = 1.2
"""The first sentence of a paragraph says what the paragraph is about, to fewer readers."""


@frozen(kw_only=True)
class _Cue:
    pattern: re.Pattern[str]
    factor: float
    reason: str


def _cue(pattern: str, factor: float, reason: str) -> _Cue:
    return _Cue(pattern=re.compile(pattern, re.IGNORECASE), factor=factor, reason=reason)


_CUES: Final = (
    # What a reader of a reference must not get wrong.
    _cue(r"\b(?:must|never|cannot|may not|not allowed|required|always)\b", 1.5, "states a rule"),
    # What the rest of the text builds on.
    _cue(
        r"^(?:(?:An?|The|In) )?\*[^*]+\*|\b(?:called|known as) (?:(?:an?|the) )?\*"
        r"|^(?:An?|The) [\w\" -]{2,40} (?:is|are) (?:an?|the)\b",
        1.4,
        "defines a term",
    ),
    _cue(r"\brais(?:es?|ed)\b|\berrors?\b", 1.25, "says what is raised"),
    _cue(r"\bby default\b|\bthe default\b|\bif omitted\b", 1.2, "gives a default"),
    _cue(r"\b(?:note that|important|recommended|should)\b", 1.2, "gives advice"),
    # An instance of the rule, not the rule.
    _cue(r"\b(?:for example|for instance|e\.g\.|such as)", 0.8, "gives an example"),
    # Out of context the reader cannot know what "it" was, or what came first.
    _cue(
        r"^(?:It|They|This|These|That|Those|Such|He|Otherwise|However|Also|Then|But|So|Here)\b",
        0.6,
        "leans on what stands before it",
    ),
    # The author's own brackets: not for the first reading.
    _cue(r"^\(", 0.6, "is an aside"),
    # Directions to other pages.
    _cue(r"^see\b|\bsee (?:also|section)\b|\bdescribed in\b", 0.5, "points elsewhere"),
)

_CENTRAL: Final = "is central to the text"
_OPENING: Final = "opens its section"


@frozen(kw_only=True)
class Highlight:
    """A key passage, at ``text[start:end]``.

    :param score: above 0; 1.0 is the document's best sentence.
    :param reason: why it was chosen, as what follows "this sentence".
    """

    start: int
    end: int
    quote: str
    section: str
    score: float
    reason: str


def find_highlights(text: str, *, density: float = DEFAULT_DENSITY) -> list[Highlight]:
    """The best sentences of a document, in order, `density` of them in 2000 words.

    Only running text is considered, and no two sentences that say nearly the same.
    """
    candidates = _candidates(text)
    graph = likeness([terms_of(sentence.quote) for sentence in candidates])
    openings = _openings(candidates)
    scored = [
        _judge(sentence, central, number in openings)
        for number, (sentence, central) in enumerate(zip(candidates, rank(graph), strict=True))
    ]
    best_first = sorted(range(len(scored)), key=lambda number: (-scored[number].score, number))
    chosen: list[int] = []
    wanted = allowance(text, density)
    for number in best_first:
        if len(chosen) == wanted:
            break
        if all(graph[number].get(other, 0.0) < _TOO_ALIKE for other in chosen):
            chosen.append(number)
    top = scored[best_first[0]].score if best_first else 1.0
    return [_scaled(scored[number], top) for number in sorted(chosen)]


def _candidates(text: str) -> list[Sentence]:
    blocks = split_blocks(text)
    return [
        sentence
        for sentence in split_sentences(text, blocks=blocks)
        if _SHORTEST <= len(words_in(sentence.quote)) <= _LONGEST
        # A sentence that ends in a colon is about what is below it; an item of a list may be half a
        # sentence. Neither makes sense alone.
        and _WHOLE.search(sentence.quote)
        and blocks[sentence.block].box != "See also"
    ]


def _openings(sentences: list[Sentence]) -> set[int]:
    first: dict[str, int] = {}
    for number, sentence in enumerate(sentences):
        first.setdefault(sentence.section, number)
    return set(first.values())


def _judge(sentence: Sentence, central: float, opens_section: bool) -> Highlight:
    place, reason = 1.0, _CENTRAL
    if opens_section:
        place, reason = _OPENS_SECTION, _OPENING
    elif sentence.opens_block:
        place = _OPENS_BLOCK
    score, strongest = math.sqrt(central) * place, place if opens_section else 1.0
    for cue in _CUES:
        if cue.pattern.search(sentence.quote):
            score *= cue.factor
            if cue.factor > strongest:
                strongest, reason = cue.factor, cue.reason
    return Highlight(
        start=sentence.start,
        end=sentence.end,
        quote=sentence.quote,
        section=sentence.section,
        score=score,
        reason=reason,
    )


def _scaled(highlight: Highlight, top: float) -> Highlight:
    # Three places: more would differ between platforms in the last digit.
    return evolve(highlight, score=round(highlight.score / top, 3))
