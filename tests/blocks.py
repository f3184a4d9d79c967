"""The code blocks of the documentation's pages.

It must not know what is done with them.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.rst"))


class Block(NamedTuple):
    """One code block: where its text begins, its language, its options and its text."""

    line: int
    language: str
    options: dict[str, str]
    text: str

    @property
    def is_output(self) -> bool:
        return self.options.get("class") == "output"

    @property
    def file(self) -> str | None:
        return self.options.get("caption")


def blocks_of(page: Path) -> Iterator[Block]:
    """The code blocks of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        directive = re.fullmatch(r"( *)\.\. code-block:: (\S+)", line)
        if directive is None:
            continue
        margin = len(directive[1])
        end = number + 1
        while end < len(lines) and (
            not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > margin
        ):
            end += 1
        begin, options = number + 1, {}
        while begin < end and (option := re.fullmatch(r" *:(\w+): (.*)", lines[begin])):
            options[option[1]] = option[2]
            begin += 1
        text = textwrap.dedent("\n".join(lines[begin:end])).strip("\n")
        while begin < end and not lines[begin].strip():
            begin += 1
        yield Block(begin, directive[2], options, text + "\n")
