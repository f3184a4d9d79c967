"""What stands in the journals of a directory, and machines that are started again.

It must not know queues.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from semiont_jobs.stores.files.journal import boot, by_journal, segment
from semiont_jobs.stores.files.journal.journal import Journal
from semiont_jobs.stores.files.journal.records import Record, records_in
from semiont_jobs.stores.files.journal.segment import HEADER_BYTES


def files(place: Path) -> list[Path]:
    """The journals' files of a data directory."""
    return sorted((place / "jobs" / ".journal").glob("*.journal"))


def records(place: Path) -> list[Record]:
    """What all journals of a directory say, file by file."""
    return [each for path in files(place) for each in records_in(path.read_bytes()[HEADER_BYTES:])]


def told(place: Path) -> list[tuple[str, int | None]]:
    """The same in short: ids and revisions, None for a removal."""
    return [(each.job_id, None if each.text is None else each.revision) for each in records(place)]


def small(monkeypatch: pytest.MonkeyPatch, size: int = 4096) -> None:
    """Have journals' files take so many bytes, and be emptied by whoever fills them."""
    monkeypatch.setattr(segment, "MOST_BYTES", size)
    monkeypatch.setattr(segment, "FIRST_STEP", size // 4)
    monkeypatch.setattr(by_journal, "LARGEST", size // 2)
    monkeypatch.setattr(Journal, "in_background", False)


@contextmanager
def another_start() -> Iterator[None]:
    """The machine was started again."""
    was, boot.current = boot.current, lambda: "another start"
    try:
        yield
    finally:
        boot.current = was
