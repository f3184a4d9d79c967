"""Where a document says what something is: the terms it defines, and the rules for them.

It must not know how often a term is used, nor what is made of a definition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from attrs import frozen

from semiont_jobs.demo.blocks import Block, split_blocks
from semiont_jobs.demo.sentences import Sentence, split_sentences

DefinitionKind: TypeAlias = Literal["definition", "rule", "signature", "entry"]
"""``definition``: a sentence says what the term is. ``rule``: a sentence says what it must be.
``signature``: a function or attribute with its description. ``entry``: of a definition list."""


@frozen(kw_only=True)
class Definition:
    """A defined term, which is at ``text[start:end]``.

    :param term: on one line, without quotes: ``free variable``, ``object.__init__()``.
    :param name: what to search for to find its uses: ``__init__`` for the latter.
    :param quote: the sentence that defines it, on one line.
    :param quote_start: where that sentence starts; it ends at `quote_end`.
    """

    kind: DefinitionKind
    term: str
    name: str
    start: int
    end: int
    quote: str
    quote_start: int
    quote_end: int
    section: str


def _pattern(source: str) -> re.Pattern[str]:
    # A line may end between any two words.
    return re.compile(source.replace(" ", r"\s+"))


_STARRED: Final = r"\*(?P<term>[^*\s][^*]{0,38}[^*\s])\*"
_IS: Final = r"(?:(?:is|are)\b(?! (?:\w+ly )?\w+(?:ed|en)\b)|(?:means?|refers? to|defines?)\b)"
"""Not a passive: ``a *name* is looked up`` says what happens to it, not what it is."""
_NOUNS: Final = (
    "objects|sequences|types|values|functions|methods|classes|attributes|instances|names"
    "|expressions|literals|collections|mappings|statements|identifiers|operations|numbers"
)

_OPENINGS: Final[tuple[tuple[DefinitionKind, re.Pattern[str]], ...]] = (
    ("definition", _pattern(rf"(?:(?:An?|Any|The) )?{_STARRED}(?: [a-z]+)? {_IS}")),
    (
        "definition",
        _pattern(r"An? (?P<term>[a-z][a-z-]+(?: [a-z][a-z-]+){0,2}) is (?:an?|the|any) "),
    ),
    ("definition", _pattern(rf"(?P<term>[A-Z][a-z]+s) are (?:[a-z]+ )?(?:{_NOUNS})\b")),
    (
        "definition",
        _pattern(r"(?:The )?\"(?P<term>[^\"\n]{2,40})\"(?: [a-z]+)? (?:is|are) (?:an?|the) "),
    ),
)
"""How a defining sentence begins."""

_ANYWHERE: Final[tuple[tuple[DefinitionKind, re.Pattern[str]], ...]] = (
    (
        "definition",
        _pattern(
            r"\b(?:called|known as|termed|referred to as|said to be)(?: (?:an?|the))? " + _STARRED
        ),
    ),
    ("definition", _pattern(r"\b[Tt]he term [*“\"](?P<term>[^*”\"]{2,40})[*”\"]")),
    (
        "rule",
        _pattern(
            r"(?P<quote>[*\"])(?P<term>[\w.]{2,}(?:\(\))?)(?P=quote) (?:must|cannot|may not)\b"
        ),
    ),
)

_NOT_A_TERM: Final = frozenset({"it", "this", "that", "one", "other", "each"})
"""What may be in a term's place without being one."""

_SIGNATURE = re.compile(
    r"(?:(?:class|classmethod|static|async|exception)\s+)*(?P<path>[A-Za-z_][\w.]*)(?P<call>\()?"
)

_ENTRY = re.compile(r"\"?(?P<term>[^\"(]+[^\"(\s])")
"""``Integers ("int")`` is about integers, ``"__name__"`` about the name between the quotes."""


def find_definitions(text: str) -> list[Definition]:
    """The defined terms of a document, in order; each once, where it is first defined."""
    blocks = split_blocks(text)
    found = [
        *_in_sentences(text, split_sentences(text, blocks=blocks)),
        *_in_layout(text, blocks),
    ]
    first: dict[str, Definition] = {}
    for definition in sorted(found, key=lambda each: (each.start, each.kind)):
        # "Strings" and "string" are one term.
        first.setdefault(definition.term.lower().removesuffix("s"), definition)
    return list(first.values())


def _in_sentences(text: str, sentences: list[Sentence]) -> Iterator[Definition]:
    for sentence in sentences:
        span = (sentence.start, sentence.end)
        matches: list[tuple[DefinitionKind, re.Match[str]]] = []
        for kind, pattern in _OPENINGS:
            opening = pattern.match(text, *span)
            if opening:
                matches.append((kind, opening))
        for kind, pattern in _ANYWHERE:
            for match in pattern.finditer(text, *span):
                matches.append((kind, match))
        for kind, match in matches:
            term = " ".join(match["term"].split())
            if term.lower() not in _NOT_A_TERM:
                yield Definition(
                    kind=kind,
                    term=term,
                    name=term.removesuffix("()"),
                    start=match.start("term"),
                    end=match.end("term"),
                    quote=sentence.quote,
                    quote_start=sentence.start,
                    quote_end=sentence.end,
                    section=sentence.section,
                )


def _in_layout(text: str, blocks: list[Block]) -> Iterator[Definition]:
    openings = {
        sentence.block: sentence
        for sentence in split_sentences(text, blocks=blocks)
        if sentence.opens_block
    }
    for number, block in enumerate(blocks):
        description = openings.get(number + 1)
        if description is None or block.box == "See also":
            continue
        if block.kind == "signature":
            yield from _signatures(text, block, description)
        elif block.kind == "term":
            match = _ENTRY.match(text, block.start, block.end)
            if match:
                term = match["term"]
                yield _described("entry", term, term, match.start("term"), description)


def _signatures(text: str, block: Block, description: Sentence) -> Iterator[Definition]:
    start = block.start
    for line in text[block.start : block.end].split("\n"):
        margin = len(line) - len(line.lstrip())
        match = _SIGNATURE.match(line, margin)
        if match:
            path = match["path"]
            term = f"{path}()" if match["call"] else path
            name = path.rpartition(".")[2]
            yield _described("signature", term, name, start + match.start("path"), description)
        start += len(line) + 1


def _described(
    kind: DefinitionKind, term: str, name: str, start: int, description: Sentence
) -> Definition:
    return Definition(
        kind=kind,
        term=term,
        name=name,
        start=start,
        end=start + len(term.removesuffix("()")),
        quote=description.quote,
        quote_start=description.start,
        quote_end=description.end,
        section=description.section,
    )
