"""The parts that a reference is made of: definitions, grammar, examples, notes, constraints.

It must not know why a passage is there, only what part it plays: a schema of roles, like
``legal-irac`` for judgments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from attrs import frozen

from semiont_jobs.demo.blocks import Block, BlockKind, split_blocks
from semiont_jobs.demo.definitions import find_definitions
from semiont_jobs.demo.sentences import flatten, split_sentences

SCHEMA: Final = "python-reference"
"""The name of this set of categories, for the ``schemaId`` of a job."""


class UnknownCategory(LookupError):
    """There is no such category in this schema: not one of `CATEGORIES`."""

    def __init__(self, category: str) -> None:
        super().__init__(category)
        self.category = category

    def __str__(self) -> str:
        return f"unknown category {self.category!r}; {SCHEMA} has: {', '.join(CATEGORIES)}"


@frozen(kw_only=True)
class Tag:
    """A passage that plays a part, at ``text[start:end]``; `quote` is it on one line."""

    category: str
    start: int
    end: int
    quote: str
    section: str


@frozen(kw_only=True)
class _Passage:
    start: int
    end: int
    section: str


_Finder: TypeAlias = Callable[[str, list[Block]], Iterable[_Passage]]


def _of_kind(*kinds: BlockKind) -> _Finder:
    def find(_text: str, blocks: list[Block]) -> Iterable[_Passage]:
        for block in blocks:
            if block.kind in kinds:
                yield _Passage(start=block.start, end=block.end, section=block.section)

    return find


def _in_box(*labels: str) -> _Finder:
    """Whole boxes: the label and everything that is indented below it."""

    def find(_text: str, blocks: list[Block]) -> Iterable[_Passage]:
        opened: Block | None = None
        last: Block | None = None
        for block in blocks:
            inside = block.box in labels
            # Two boxes may follow each other: a label, or a paragraph that begins with its label,
            # opens the next one.
            starts = inside and (opened is None or block.indent <= opened.indent)
            if opened is not None and last is not None and (starts or not inside):
                yield _Passage(start=opened.start, end=last.end, section=opened.section)
                opened = None
            if starts:
                opened = block
            last = block
        if opened is not None and last is not None:
            yield _Passage(start=opened.start, end=last.end, section=opened.section)

    return find


def _sentences_with(pattern: str) -> _Finder:
    compiled = re.compile(pattern)

    def find(text: str, blocks: list[Block]) -> Iterable[_Passage]:
        for sentence in split_sentences(text, blocks=blocks):
            if compiled.search(sentence.quote):
                yield _Passage(start=sentence.start, end=sentence.end, section=sentence.section)

    return find


def _blocks_with(pattern: str) -> _Finder:
    compiled = re.compile(pattern)

    def find(text: str, blocks: list[Block]) -> Iterable[_Passage]:
        for block in blocks:
            if block.kind in {"prose", "item"} and compiled.match(text, block.start, block.end):
                yield _Passage(start=block.start, end=block.end, section=block.section)

    return find


def _defining_sentences(text: str, _blocks: list[Block]) -> Iterable[_Passage]:
    for definition in find_definitions(text):
        if definition.kind == "definition":
            yield _Passage(
                start=definition.quote_start, end=definition.quote_end, section=definition.section
            )


_ROLES: Final[Mapping[str, tuple[_Finder, ...]]] = {
    "Definition": (_defining_sentences,),
    "Grammar": (_of_kind("grammar"),),
    "Signature": (_of_kind("signature"),),
    "Example": (_of_kind("code"),),
    "Note": (
        _in_box("Note", "Warning", "Caution", "Important", "Attention", "Danger", "Hint", "Tip"),
        _sentences_with(r"^\(?Note(?: that|,) "),
    ),
    "Constraint": (
        _sentences_with(
            r"\b(?:must|cannot|may not|may only|can only|not (?:be )?(?:allowed|permitted|legal))\b"
            r"|\b(?:is|are) (?:illegal|an error|required|forbidden|disallowed|mandatory)\b"
            r"|\b(?:SyntaxError|TypeError|ValueError)\" (?:\w+ )?(?:is|will be) raised"
        ),
    ),
    "See also": (_in_box("See also"), _sentences_with(r"^\(?See (?:also|section|the|[A-Z\"])")),
    "Version change": (_of_kind("version"),),
    "Implementation detail": (_blocks_with(r"\*\*CPython\s+implementation\s+detail:\*\*"),),
}

CATEGORIES: Final = tuple(_ROLES)
"""The categories of the schema, in the order in which a reader meets them."""


def tag_passages(text: str, category: str) -> list[Tag]:
    """All passages of a document that play one part, in order and each once.

    :raises UnknownCategory: `category` is not one of `CATEGORIES`.
    """
    finders = _ROLES.get(category)
    if finders is None:
        raise UnknownCategory(category)
    blocks = split_blocks(text)
    found = {(each.start, each.end): each for find in finders for each in find(text, blocks)}
    return [
        Tag(
            category=category,
            start=start,
            end=end,
            quote=flatten(text[start:end]),
            section=passage.section,
        )
        for (start, end), passage in sorted(found.items())
    ]
