"""Sentences and words of a document, and how many findings of a kind its length allows.

It must not know what makes a sentence important, hard or a definition.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from attrs import frozen

from semiont_jobs.demo.blocks import Block, BlockKind, split_blocks

WORDS_PER_DENSITY: Final = 2000
"""A density counts findings per this many words: the unit of Semiont's job types."""

READING: Final[frozenset[BlockKind]] = frozenset({"prose", "item"})
"""Blocks that are read as running text. Remarks on versions and footnotes are sentences too, but
about the history and details of the subject: callers can ask for them."""

_WORD = re.compile(r"[A-Za-z]+(?:[\u2019'-][A-Za-z]+)*")

_BOUNDARY = re.compile(
    r"[.!?][\")”\u2019*]*(?:\s*\[\d+\])*(?P<gap>\s+)(?=[\"“\u2018*(]{0,2}[A-Z_\d]|\"|\Z)"
)
"""The end of a sentence: its point, what closes after it (a quote, a bracket, a footnote's number),
white space, and something that can begin the next one."""

_NOT_AN_END = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|etc|resp|[A-Z])\.|\.\.\.?)$", re.IGNORECASE)
"""What has a point without ending a sentence. An ellipsis in these documents marks omitted code; a
lone capital is an initial."""

_BROKEN_AT_HYPHEN = re.compile(r"(?<=\w-)\n\s*(?=\w)")


@frozen(kw_only=True)
class Sentence:
    """A sentence of a document, at ``text[start:end]``.

    :param quote: the sentence on one line, a word broken over two lines joined.
    :param block: the place of its block in `split_blocks`.
    :param opens_block: whether it is the first of its block.
    """

    start: int
    end: int
    quote: str
    block: int
    opens_block: bool
    section: str


def split_sentences(
    text: str, *, kinds: Collection[BlockKind] = READING, blocks: Iterable[Block] | None = None
) -> list[Sentence]:
    """The sentences in a document's blocks of these kinds, in order.

    :param blocks: what `split_blocks` returned for the text, if the caller has it already.
    """
    found = []
    for number, block in enumerate(split_blocks(text) if blocks is None else blocks):
        if block.kind in kinds:
            found += _in_block(text, number, block)
    return found


def _in_block(text: str, number: int, block: Block) -> list[Sentence]:
    found = []
    start = block.start
    ends = [
        (match.start("gap"), match.end("gap"))
        for match in _BOUNDARY.finditer(text, block.start, block.end)
        if not _NOT_AN_END.search(text, block.start, match.start() + 1)
    ]
    for end, following in [*ends, (block.end, block.end)]:
        found.append(
            Sentence(
                start=start,
                end=end,
                quote=flatten(text[start:end]),
                block=number,
                opens_block=start == block.start,
                section=block.section,
            )
        )
        start = following
    return found


def flatten(passage: str) -> str:
    """A passage on one line: line ends and runs of blanks become one blank.

    A word that was broken at its own hyphen is joined: ``re-\\nraises`` is ``re-raises``.
    """
    return " ".join(_BROKEN_AT_HYPHEN.sub("", passage).split())


def words_in(passage: str) -> list[str]:
    """The words of a passage, as written; ``non-empty`` and ``isn't`` are one word each."""
    return _WORD.findall(passage)


def allowance(text: str, density: float) -> int:
    """How many findings a text of this length may have: `density` in 2000 words, at least 1."""
    return max(1, round(len(words_in(text)) * density / WORDS_PER_DENSITY))
