"""A digest of one document, as a page of Markdown: what it says, names, defines and consists of.

It must not know where the page is kept, nor analyse anything itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from semiont_jobs.demo.assessments import find_assessments, readability_of
from semiont_jobs.demo.comments import find_comments
from semiont_jobs.demo.corpus import title_of
from semiont_jobs.demo.entities import ENTITY_TYPES, find_entities
from semiont_jobs.demo.highlights import find_highlights
from semiont_jobs.demo.tags import CATEGORIES, tag_passages

_NAMES_SHOWN: Final = 6
"""Names of each type: what fits on a line. The rest were mentioned once."""

_LONGEST_EXAMPLE: Final = 70
"""Characters of a passage in the table of parts, so that its rows stay rows."""

_CODE = re.compile(r"\"(?=[^\s\"])((?:[^\"]|\"(?=\w))*?[^\s\"])\"(?!\w)")

_IS_CODE = re.compile(r"[^\w\s-]|_")
"""What no word contains: a term with it is a name from code."""

_MARKUP = re.compile(r"[\\`*_<|\[\]]")


def build_digest(
    text: str, *, title: str | None = None, entity_types: Sequence[str] = ENTITY_TYPES
) -> str:
    """A digest of a document in Markdown: the same text for the same document.

    :param title: of the page; default: the document's own.
    :param entity_types: which named things are listed.
    :raises UnknownEntityType: one of `entity_types` is unknown.
    """
    heading = markdown(title_of(text) if title is None else title)
    sections = (
        ("Key passages", _key_passages(text)),
        ("Defined terms", _defined_terms(text)),
        ("Names", _names(text, entity_types)),
        ("Parts", _parts(text)),
        ("Hard to read", _hard_passages(text)),
    )
    lines = [f"# {heading}", "", _summary(text), ""]
    for name, rows in sections:
        body = list(rows)
        if body:
            lines += [f"## {name}", "", *body, ""]
    return "\n".join(lines)


def markdown(quote: str) -> str:
    """A passage as Markdown: what the reference puts between straight quotes becomes code."""
    return _CODE.sub(r"`\1`", quote)


def _summary(text: str) -> str:
    figures = readability_of(text)
    minutes = "1 minute" if figures.minutes == 1 else f"{figures.minutes} minutes"
    return (
        f"{figures.words} words in {figures.sentences} sentences, {minutes} to read. "
        f"Reading ease {figures.reading_ease:.0f} ({figures.band}), "
        f"{figures.words_per_sentence:.0f} words to a sentence."
    )


def _key_passages(text: str) -> Iterator[str]:
    for highlight in find_highlights(text):
        yield f"- {markdown(highlight.quote)} *({highlight.reason})*"


def _defined_terms(text: str) -> Iterator[str]:
    for comment in find_comments(text):
        term = f"`{comment.term}`" if _IS_CODE.search(comment.term) else f"**{comment.term}**"
        yield f"- {term}: {markdown(comment.quote)}"
        yield f"  {markdown(comment.comment)}"


def _names(text: str, entity_types: Sequence[str]) -> Iterator[str]:
    rows = []
    for entity_type in entity_types:
        counts = Counter(entity.name for entity in find_entities(text, entity_type))
        shown = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_NAMES_SHOWN]
        more = len(counts) - len(shown)
        names = [f"`{name}` ({count})" for name, count in shown]
        if names:
            rest = f" and {more} more" if more else ""
            rows.append((entity_type, str(counts.total()), ", ".join(names) + rest))
    if rows:
        yield from _table(("Type", "Mentions", "Most named"), rows)


def _parts(text: str) -> Iterator[str]:
    rows = []
    for category in CATEGORIES:
        tags = tag_passages(text, category)
        if tags:
            rows.append((category, str(len(tags)), _cell(tags[0].quote)))
    if rows:
        yield from _table(("Part", "Passages", "The first one"), rows)


def _hard_passages(text: str) -> Iterator[str]:
    for assessment in find_assessments(text):
        yield f"- {markdown(assessment.quote)}"
        yield f"  Reading ease {assessment.reading_ease:.0f}: {assessment.remark}."


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield _row(head)
    yield _row("---" for _ in head)
    for row in rows:
        yield _row(row)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(quote: str) -> str:
    if len(quote) > _LONGEST_EXAMPLE:
        quote = quote[: _LONGEST_EXAMPLE - 1].rsplit(" ", 1)[0] + "…"
    # It may be cut anywhere, so quotes and stars may lack their partner: nothing is markup.
    return _MARKUP.sub(r"\\\g<0>", quote)
