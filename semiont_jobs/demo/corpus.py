"""The documents of the demonstration: the Python language reference inside every CPython.

It must not know what is looked for in them, nor anything of jobs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pydoc_data.topics import topics
from types import MappingProxyType

_UNSAFE = re.compile(r"[^A-Za-z0-9-]")
"""The underscore is not safe either: it marks an escape, so no two topics share an id."""

_HEADING = re.compile(r"\s*(?P<title>\S[^\n]*)\n(?P<rule>[*=])(?P=rule)+(?:\n|$)")


def documents() -> Mapping[str, str]:
    """Every document, by resource id, in the order of the topics' names.

    About 80 documents of 30 to 9000 words: what ``help("raise")`` and the like print. The ids are
    the topics' names, made safe by `resource_id`.
    """
    return MappingProxyType({resource_id(topic): topics[topic] for topic in sorted(topics)})


def titles() -> Mapping[str, str]:
    """The title of every document, by resource id, in the order of `documents`."""
    return MappingProxyType({name: title_of(text) for name, text in documents().items()})


def resource_id(topic: str) -> str:
    """A topic's name as a resource id: of ``A-Z a-z 0-9 _ -`` only.

    Any other character becomes its code point in hexadecimal between underscores, so
    different topics have different ids.
    """
    return _UNSAFE.sub(lambda match: f"_{ord(match.group()):x}_", topic)


def title_of(text: str) -> str:
    """The title over a document, or its first line if that is not underlined; never empty."""
    heading = _HEADING.match(text)
    if heading:
        return heading["title"].rstrip()
    return next((line.strip() for line in text.splitlines() if line.strip()), "(untitled)")
