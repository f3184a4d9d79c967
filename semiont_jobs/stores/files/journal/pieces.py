"""What is appended to a journal by one call: some records, and a note of the file they went to.

It must not know which file that is, nor when it is synced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Final, TypeAlias

from semiont_jobs.model import AnyJob
from semiont_jobs.stores.files.journal import segment as segments
from semiont_jobs.stores.files.journal.records import removals_of, revision_of
from semiont_jobs.stores.files.journal.segment import Segment

MOST_AT_ONCE: Final = 64 * 1024
"""Bytes of records that are appended by one call: of a batch, some hundred records."""

TOLD_AT_ONCE: Final = 64
"""Removals that are appended together: they fit into any file, and one look at the folder serves
them all."""

Piece: TypeAlias = tuple[bytes, Callable[[Segment], object]]
"""What is appended by one call, and a function that notes the file it went to."""


def appended_together(
    jobs: Iterable[tuple[AnyJob, bytes]], at_of: Callable[[str], int]
) -> Iterator[Piece]:
    """The records of these revisions of jobs with their file contents.

    :param at_of: returns a moment at which the job of an id was held.
    """
    most = min(MOST_AT_ONCE, segments.MOST_BYTES // 4)
    some: list[AnyJob] = []
    records: list[bytes] = []
    size = 0
    for job, text in jobs:
        job_id = job.metadata.id
        record = revision_of(job_id, job.metadata.revision, at_of(job_id), text)
        if some and size + len(record) > most:
            yield b"".join(records), partial(_note, some)
            some, records, size = [], [], 0
        some.append(job)
        records.append(record)
        size += len(record)
    if some:
        yield b"".join(records), partial(_note, some)


def removed_together(
    removed: Mapping[str, int], note: Callable[[Mapping[str, int], Segment], object]
) -> Iterator[Piece]:
    """The records of these removals, each at its moment.

    :param note: is given some of them and the file that they went to.
    """
    left = iter(removed.items())
    for some in iter(lambda: dict(islice(left, TOLD_AT_ONCE)), {}):
        yield removals_of(some), partial(note, some)


def _note(jobs: Iterable[AnyJob], segment: Segment) -> None:
    for job in jobs:
        segment.revisions[job.metadata.id] = (job.metadata.created, job.metadata.revision)
