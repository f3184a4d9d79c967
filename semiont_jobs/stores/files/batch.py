"""Creating many jobs at once: written together, made durable together.

It must not know what the jobs are.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Final

from semiont_jobs.errors import JobExists, abridged
from semiont_jobs.events import logger
from semiont_jobs.stores.files.copies import Copy
from semiont_jobs.stores.files.descriptors import HELD, Descriptor
from semiont_jobs.stores.files.forcing import Texts
from semiont_jobs.stores.files.journal.records import moment
from semiont_jobs.stores.files.moves import Moves
from semiont_jobs.threads import pause

PAUSES: Final = (0.0, 0.05, 0.2)
"""Seconds before each try to remove the published jobs of a refused batch. Another thread may free
a descriptor meanwhile, and the caller should not wait long for the error."""


def create_batch(
    moves: Moves, texts: Texts, *, are_unseen: bool = False
) -> dict[str, os.stat_result]:
    """Publish new jobs in order; return the stat result of each job's file.

    All files are written and made durable before the first one is published, so that a full disk is
    met while no job is visible. With fsync, one ``syncfs`` serves all files, and one fsync of the
    folder all names; a journal is synced once. After a crash a prefix of the batch exists.

    If this raises, the jobs already published are removed, except those that a worker has claimed
    meanwhile and those that the disk refuses to open (these are logged) or to unlink.

    :param are_unseen: no other caller can have used these ids, so no folder is checked for them.
    :raises JobExists: one of them exists.
    """
    if not are_unseen:
        moves.look_first(texts)
    written: list[tuple[str, str]] = []
    published: dict[str, os.stat_result] = {}
    moments: dict[str, int] = {}
    last: Descriptor | None = None
    try:
        for job_id, (_job, data) in texts.items():
            written.append((job_id, _write(moves, data)))
        moves.forcing.batch_written([path for _job_id, path in written])
        for job_id, path in written:
            # Locked while it is published: see `Moves.publish`. Not all at once: a process may be
            # allowed only a thousand open files.
            descriptor, found = _lock(moves, job_id, path)
            # Not earlier: closing this one may free the descriptor that removing jobs needs.
            if last is not None:
                moves.copies.close(last)
            last = descriptor
            moves.publish_new(job_id, path, descriptor, is_unseen=are_unseen)
            published[job_id] = found
            # While it is held: later than the removal of a job that had this id before, and earlier
            # than its own.
            moments[job_id] = moment()
        if last is not None:
            moves.copies.close(last)
        moves.forcing.batch_published(texts, moments)
    except BaseException:
        if last is not None:
            moves.copies.close(last)
        for _job_id, path in written[len(published) :]:
            moves.discard(path)
        _take_all_back(moves, published)
        raise
    return published


def _take_all_back(moves: Moves, job_ids: Collection[str]) -> None:
    """Remove the published jobs; an error with one must not keep the others."""
    left = list(job_ids)
    for seconds in PAUSES:
        pause(seconds)
        left = [job_id for job_id in left if not _try_to_take_back(moves, job_id)]
        if not left:
            return
    logger.error(
        "of %d jobs that were refused together these stand all the same: %s",
        len(job_ids),
        abridged(", ".join(left)),
    )


def _try_to_take_back(moves: Moves, job_id: str) -> bool:
    try:
        _take_back(moves, job_id)
    except OSError:
        return False
    return True


def _take_back(moves: Moves, job_id: str) -> None:
    """Unlink a job of a refused batch, unless a worker works on it already."""
    held = moves.copies.hold_at("pending", job_id)
    if not isinstance(held, Descriptor):
        return
    try:
        copy = moves.copies.read_held(held, "pending", job_id)
        if isinstance(copy, Copy) and copy.job.metadata.revision == 0:
            # Not `discard`: a refusal is tried again, and logged.
            moves.disk.unlink(moves.layout.path("pending", job_id))
    finally:
        moves.copies.close(held)


def _write(moves: Moves, data: bytes) -> str:
    """Write a whole temporary file. It needs no lock before it is published."""
    path = moves.temporary_name()
    descriptor = HELD.open(moves.disk.create, path, moves.file_mode)
    try:
        moves.disk.write(descriptor.fd, data)
    except BaseException:
        moves.discard(path)
        raise
    finally:
        moves.copies.close(descriptor)
    return path


def _lock(moves: Moves, job_id: str, path: str) -> tuple[Descriptor, os.stat_result]:
    descriptor = HELD.open(moves.disk.open, path)
    try:
        if not moves.disk.lock(descriptor.fd):
            raise JobExists(job_id, "its file is held by another program")
        return descriptor, moves.disk.stat_of(descriptor.fd)
    except BaseException:
        moves.copies.close(descriptor)
        raise
