"""How a document of the reference is laid out: headings, prose, lists, code, grammar, tables.

It must not know what a block says: other modules find sentences, names and scores.

The documents are reStructuredText that Sphinx printed as plain text, so the marks are gone and only
the layout shows what a block was. The rules, in the order they are tried, are the rows of `_RULES`.
The one that needs state is code: it is indented deeper than the text around it requires.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, Literal, TypeAlias

from attrs import field, frozen, mutable

BlockKind: TypeAlias = Literal[
    "heading",
    "rubric",
    "prose",
    "item",
    "footnote",
    "version",
    "term",
    "signature",
    "label",
    "grammar",
    "code",
    "table",
    "rule",
]
"""``term`` heads an entry of a definition list; ``signature`` heads the description of a function
or attribute; ``label`` is a line such as ``Note:`` over an indented box; ``version`` is a remark
such as ``Changed in version 3.8: ...``; ``rubric`` and ``rule`` are decoration."""

DESCRIPTION_INDENT: Final = 3
"""Columns by which Sphinx's plain-text writer indents text below a signature, below a term, and in
a literal block (its ``STDINDENT``)."""

BOX_INDENT: Final = 2
"""Columns by which it indents text in a box below ``Note:`` and the like."""


@frozen(kw_only=True)
class Block:
    """One block of a document: ``text[start:end]``, without outer white space.

    :param indent: the column where its text begins; for a list's item, after the mark.
    :param section: the nearest heading above it, or its own text for a heading; "" before the first
        one.
    :param box: the label of the box that it is in, such as ``"Note"``; "" outside of boxes.
    """

    kind: BlockKind
    start: int
    end: int
    indent: int
    section: str
    box: str


def split_blocks(text: str) -> list[Block]:
    """The blocks of a document, in order and without overlap."""
    chunks = list(_chunks(text))
    reader = _Reader()
    for position, chunk in enumerate(chunks):
        following = chunks[position + 1] if position + 1 < len(chunks) else None
        reader.read(chunk, following)
    return reader.blocks


# -- chunks: runs of lines between blank lines -------------------------------------------

_CHUNK = re.compile(r"(?:^[ \t]*\S[^\n]*(?:\n|\Z))+", re.MULTILINE)
_MARK = re.compile(r"(?:[*•]|\d{1,2}\.|\[\d+\])\s+(?=\S)")
_ITEM_LINE = re.compile(r"^ *(?:[*•]|\d{1,2}\.|\[\d+\]) +(?=\S)", re.MULTILINE)
_HEADING = re.compile(r"(?P<title>\S[^\n]*)\n(?P<mark>[*=\-~^])(?P=mark)+\s*\Z")
_RUBRIC = re.compile(r"-\[ .+ \]-\s*\Z")
_RULE = re.compile(r"[=\-_]{20,}\s*\Z")
_TABLE = re.compile(r"\+[-=]|\|")
_GRAMMAR = re.compile(r"^\s*[\w ]+?\s*::=", re.MULTILINE)
_GRAMMAR_SINCE_3_14 = re.compile(r"\w+: +(?!.* = )\S")
"""A rule has one colon, as has a name with its type; but that one is given a value."""
_LABEL = re.compile(
    r"(?P<label>Note|Warning|See also|Caution|Important|Attention|Danger|Hint|Tip|Tasks)"
    r":(?P<inline>[^\n]*)"
)
_VERSION = re.compile(r"(?:New|Added|Changed|Deprecated|Removed)\s+(?:in|since)\s+version\s+\d")
_UNFINISHED = (".", ",", ":", ";", "—")
"""A line that ends like this is a sentence or leads into the next block: no signature and no
term."""

_DESCRIPTION = re.compile(r"(?:[A-Z][a-z]*|\"[^\"\n]+\"|\*\w+\*),? [\w\"*(]")
"""How the description below a signature begins; code below ``is equivalent to`` does not."""

_SENTENCE = re.compile(r"[\"“*(]*[A-Z][^=;{}]*(?:[a-z]{2,},? ){4}", re.DOTALL)
"""A capital, then four plain words in a row: block quotes have them, code has not."""


@frozen(kw_only=True)
class _Chunk:
    """Lines between blank lines; each tight item of a list is a chunk."""

    text: str
    """Its lines, without the indentation of the first and the line feed of the last."""
    start: int
    indent: int

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @property
    def inner_indent(self) -> int:
        """The column of its second line, or of its first if there is no other."""
        lines = self.lines
        if len(lines) == 1:
            return self.indent
        return len(lines[1]) - len(lines[1].lstrip())


def _chunks(text: str) -> Iterator[_Chunk]:
    for match in _CHUNK.finditer(text):
        starts = [match.start()]
        starts += [
            item.start()
            for item in _ITEM_LINE.finditer(text, match.start() + 1, match.end())
            if _ITEM_LINE.match(text, match.start())
        ]
        for start, end in zip(starts, [*starts[1:], match.end()], strict=True):
            lines = text[start:end]
            body = lines.strip()
            indent = len(lines) - len(lines.lstrip())
            yield _Chunk(text=body, start=start + indent, indent=indent)


# -- what a chunk is ---------------------------------------------------------------------


def _is_grammar(chunk: _Chunk, _: _Chunk | None) -> bool:
    if _GRAMMAR.search(chunk.text):
        return True
    is_literal = chunk.indent >= DESCRIPTION_INDENT and not _LABEL.match(chunk.text)
    return is_literal and _GRAMMAR_SINCE_3_14.match(chunk.text) is not None


def _is_signature(chunk: _Chunk, following: _Chunk | None) -> bool:
    return (
        following is not None
        and following.indent == chunk.indent + DESCRIPTION_INDENT
        and chunk.inner_indent == chunk.indent
        and not chunk.text.endswith(_UNFINISHED)
        and not _SENTENCE.match(chunk.text)
        and _DESCRIPTION.match(following.text) is not None
    )


def _is_term(chunk: _Chunk, _: _Chunk | None) -> bool:
    return chunk.inner_indent == chunk.indent + DESCRIPTION_INDENT and not chunk.lines[
        0
    ].rstrip().endswith(_UNFINISHED)


_Rule: TypeAlias = Callable[[_Chunk, _Chunk | None], object]

_RULES: Final[tuple[tuple[BlockKind, _Rule], ...]] = (
    ("heading", lambda chunk, _: _HEADING.match(chunk.text)),
    ("rubric", lambda chunk, _: _RUBRIC.match(chunk.text)),
    ("rule", lambda chunk, _: _RULE.match(chunk.text)),
    ("table", lambda chunk, _: _TABLE.match(chunk.text)),
    ("grammar", _is_grammar),
    ("version", lambda chunk, _: _VERSION.match(chunk.text)),
    ("label", lambda chunk, _: _LABEL.match(chunk.text)),
    ("footnote", lambda chunk, _: chunk.text.startswith("[") and _MARK.match(chunk.text)),
    ("item", lambda chunk, _: _MARK.match(chunk.text)),
    ("signature", _is_signature),
    ("term", _is_term),
    ("prose", lambda _chunk, _: True),
)


def _kind_of(chunk: _Chunk, following: _Chunk | None) -> BlockKind:
    return next(kind for kind, holds in _RULES if holds(chunk, following))


_CODE_LIKE: Final = frozenset({"prose", "signature", "term", "version", "rule", "heading"})
"""Kinds that a chunk of code may be mistaken for, judged only by its own lines."""

_DOCTEST: Final = ">>> "


@mutable
class _Reader:
    """Reads chunks in order and keeps what the layout so far implies for the next one."""

    blocks: list[Block] = field(factory=list)
    _section: str = ""
    _box: str = ""
    _box_indent: int = 0
    _text_indent: int = 0
    """Where text continues; what is deeper without another reason is a literal block."""
    _code_indent: int | None = None
    """Where the current literal block began; None outside of one."""

    def read(self, chunk: _Chunk, following: _Chunk | None) -> None:
        if chunk.indent < self._box_indent:
            self._box, self._box_indent = "", 0
        if self._code_indent is not None and chunk.indent < self._code_indent:
            self._code_indent = None
        kind = _kind_of(chunk, following)
        if self._code_indent is not None:
            # A blank line inside a literal block does not end it.
            last = self.blocks.pop()
            self._add("code", last.start, chunk, last.indent)
        elif self._is_code(kind, chunk):
            # A doctest may be between paragraphs, at their indentation: then it ends with its own
            # lines.
            self._code_indent = chunk.indent if chunk.indent > self._text_indent else None
            self._add("code", chunk.start, chunk, chunk.indent)
        else:
            self._read_text(kind, chunk)

    def _is_code(self, kind: BlockKind, chunk: _Chunk) -> bool:
        if chunk.text.startswith(_DOCTEST):
            return True
        return (
            kind in _CODE_LIKE
            and chunk.indent > self._text_indent
            and not _SENTENCE.match(chunk.text)
            and not (kind == "term" and chunk.text.startswith('"'))
        )

    def _read_text(self, kind: BlockKind, chunk: _Chunk) -> None:
        self._text_indent = chunk.indent
        match kind:
            case "heading":
                self._section = chunk.lines[0].strip()
                self._box, self._box_indent = "", 0
                self._add(kind, chunk.start, chunk, chunk.indent)
            case "item" | "footnote":
                mark = _MARK.match(chunk.text)
                width = mark.end() if mark else 0
                self._text_indent += width
                self._add(kind, chunk.start + width, chunk, self._text_indent)
            case "signature":
                self._add(kind, chunk.start, chunk, chunk.indent)
                self._text_indent += DESCRIPTION_INDENT
            case "term":
                self._read_term(chunk)
            case "label":
                self._read_label(chunk)
            case _:
                self._add(kind, chunk.start, chunk, chunk.indent)

    def _read_term(self, chunk: _Chunk) -> None:
        head, _, body = chunk.text.partition("\n")
        self._add("term", chunk.start, _Chunk(text=head, start=chunk.start, indent=0), chunk.indent)
        self._text_indent += DESCRIPTION_INDENT
        skipped = len(head) + 1 + len(body) - len(body.lstrip())
        rest = _Chunk(text=body.strip(), start=chunk.start + skipped, indent=self._text_indent)
        self._add("prose", rest.start, rest, rest.indent)

    def _read_label(self, chunk: _Chunk) -> None:
        label = _LABEL.match(chunk.text)
        name = label["label"] if label else ""
        if label and label["inline"].strip():
            # The remark is the rest of this paragraph: the box ends with it.
            outer, self._box = self._box, name
            self._add("prose", chunk.start, chunk, chunk.indent)
            self._box = outer
            return
        self._box = name
        self._box_indent = self._text_indent = chunk.indent + BOX_INDENT
        self._add("label", chunk.start, chunk, chunk.indent)

    def _add(self, kind: BlockKind, start: int, last: _Chunk, indent: int) -> None:
        self.blocks.append(
            Block(
                kind=kind,
                start=start,
                end=last.start + len(last.text),
                indent=indent,
                section=self._section,
                box=self._box,
            )
        )
