"""What is in the folder of journals, for callers that look and change nothing.

It must not repair anything.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Literal, TypeAlias

from attrs import frozen

from semiont_jobs.stores.files.copies import BUSY, Copies
from semiont_jobs.stores.files.descriptors import Descriptor
from semiont_jobs.stores.files.journal import boot
from semiont_jobs.stores.files.journal.segment import Header
from semiont_jobs.stores.files.journal.standing import NO_FILE, Standing

Condition: TypeAlias = Literal["in use", "left over", "kept", "to be replayed"]
"""Of a living process; of a dead one, to go with the next sweep; of one whose jobs' files the disk
would not take, to stay until the machine is restarted; or of an earlier start of it."""


@frozen(kw_only=True)
class JournalState:
    """One file of a journal."""

    name: str
    bytes: int
    """Its size, with the part that is not written to yet."""
    began: datetime | None
    """When its process made it; None: its first line cannot be read."""
    condition: Condition


def journals(copies: Copies) -> tuple[JournalState, ...]:
    """All that there are."""
    standing = Standing(copies.disk, copies.layout)
    found = []
    for name in standing.names():
        with suppress(FileNotFoundError):  # emptied meanwhile
            found.append(_state(copies, standing, name))
    return tuple(found)


def odd(copies: Copies) -> dict[str, str]:
    """What has a journal's name and is not one, and why."""
    return dict.fromkeys(Standing(copies.disk, copies.layout).odd(), NO_FILE)


def _state(copies: Copies, standing: Standing, name: str) -> JournalState:
    path = standing.path(name)
    fd = copies.disk.open_to_read(path)
    try:
        size = copies.disk.stat_of(fd).st_size
        header = standing.header_of(fd)
    finally:
        copies.disk.close(fd)
    began = None
    with suppress(ValueError):
        began = datetime.fromisoformat(header.began)
    return JournalState(
        name=name, bytes=size, began=began, condition=_condition(copies, path, header)
    )


def _condition(copies: Copies, path: str, header: Header) -> Condition:
    held = copies.hold(path)
    if held == BUSY:
        return "in use"
    if isinstance(held, Descriptor):
        copies.close(held)
    if header.boot != boot.current():
        return "to be replayed"
    return "kept" if header.is_kept else "left over"
