"""Comments on the terms that a document defines: where each is defined, and how it is used.

It must not know how a definition is recognised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen

from semiont_jobs.demo.blocks import split_blocks
from semiont_jobs.demo.definitions import Definition, DefinitionKind, find_definitions
from semiont_jobs.demo.sentences import allowance

DEFAULT_DENSITY: Final = 6.0
"""Per 2000 words: about as many notes as a page with footnotes has."""

_WEIGHTS: Final[Mapping[DefinitionKind, int]] = {
    # A term that the text explains in a sentence is what a reader needs explained; a signature is
    # found by its heading anyway, and a rule needs its term defined first.
    "definition": 3,
    "entry": 2,
    "rule": 1,
    "signature": 1,
}

_VERBS: Final[Mapping[DefinitionKind, str]] = {
    "definition": "is defined",
    "entry": "is described",
    "rule": "is constrained",
    "signature": "is specified",
}


@frozen(kw_only=True)
class Comment:
    """A remark on a defined term, which is at ``text[start:end]``.

    :param quote: the sentence that defines it.
    :param comment: one line for the reader.
    :param uses_before: mentions above the definition: the reader met it unexplained.
    :param uses_after: mentions below the definition.
    """

    start: int
    end: int
    term: str
    quote: str
    comment: str
    uses_before: int
    uses_after: int


def find_comments(text: str, *, density: float = DEFAULT_DENSITY) -> list[Comment]:
    """Comments on the terms used most, in order, at most `density` of them in 2000 words."""
    headings = [
        (block.start, block.section) for block in split_blocks(text) if block.kind == "heading"
    ]
    weighed = []
    for definition in find_definitions(text):
        uses = _uses(text, definition)
        comment = _comment_on(definition, uses, headings)
        weighed.append((_WEIGHTS[definition.kind] * (1 + len(uses)), comment))
    weighed.sort(key=lambda pair: (-pair[0], pair[1].start))
    chosen = [comment for _, comment in weighed[: allowance(text, density)]]
    return sorted(chosen, key=lambda comment: comment.start)


def _uses(text: str, definition: Definition) -> list[int]:
    """Where the term is mentioned outside of its own definition, also in the plural."""
    return [
        match.start()
        for match in _mention(text, definition).finditer(text)
        if not definition.quote_start <= match.start() < definition.quote_end
        and not definition.start <= match.start() < definition.end
    ]


def _mention(text: str, definition: Definition) -> re.Pattern[str]:
    words = r"\s+".join(re.escape(word) for word in definition.name.split())
    if words.startswith("__"):
        return re.compile(rf"(?<!\w){words}(?!\w)")
    if definition.term.endswith("()"):
        # `count()` is a method; "count" is a word.
        return re.compile(rf"(?<![\w-]){words}(?=\()")
    if definition.kind == "signature" or text[definition.start - 1] == '"':
        # A name in code: between quotes or after a point.
        return re.compile(rf"(?<=[\".*]){words}(?![\w-])")
    return re.compile(rf"(?<![\w-]){words}(?:e?s)?(?![\w-])", re.IGNORECASE)


def _comment_on(
    definition: Definition, uses: Sequence[int], headings: Sequence[tuple[int, str]]
) -> Comment:
    after = [use for use in uses if use > definition.start]
    before = len(uses) - len(after)
    place = f" in {definition.section}" if definition.section else ""
    sentences = [f"“{definition.term}” {_VERBS[definition.kind]} here{place}."]
    if after:
        section = _section_at(after[0], headings)
        following = f", next in {section}" if section not in {"", definition.section} else ""
        sentences.append(f"Used {_times(len(after))} afterwards{following}.")
    else:
        sentences.append("Not used again afterwards.")
    if before:
        sentences.append(f"Used {_times(before)} before it is explained.")
    return Comment(
        start=definition.start,
        end=definition.end,
        term=definition.term,
        quote=definition.quote,
        comment=" ".join(sentences),
        uses_before=before,
        uses_after=len(after),
    )


def _section_at(position: int, headings: Sequence[tuple[int, str]]) -> str:
    above = [section for start, section in headings if start <= position]
    return above[-1] if above else ""


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
