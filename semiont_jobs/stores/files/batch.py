"""Creating many jobs at once: written together, made durable together.

It must not know what the jobs are.
"""

from __future__ import annotations

import os

from semiont_jobs.errors import JobExists
from semiont_jobs.stores.files.copies import Copy
from semiont_jobs.stores.files.descriptors import HELD, Descriptor
from semiont_jobs.stores.files.forcing import Texts
from semiont_jobs.stores.files.journal.records import moment
from semiont_jobs.stores.files.moves import Moves


def create_batch(
    moves: Moves, texts: Texts, *, are_unseen: bool = False
) -> dict[str, os.stat_result]:
    """Publish new jobs in order; returns what the file of each is.

    All files are written and made durable before the first is published: a full disk is met
    while nothing is seen yet. With fsync, one ``syncfs`` serves all of them, one fsync of the
    folder all their names; a journal is forced once. After a crash a prefix stands.

    When it raises, those published already are taken back, but for what a worker has claimed
    in the meantime.

    :param are_unseen: nobody can have used these ids, and nobody looks.
    :raises JobExists: one of them exists.
    """
    at = moment()
    if not are_unseen:
        moves.look_first(texts)
    written: list[tuple[str, str]] = []
    published: dict[str, os.stat_result] = {}
    try:
        for job_id, (_job, data) in texts.items():
            written.append((job_id, _write(moves, data)))
        moves.forcing.batch_written([path for _job_id, path in written])
        for job_id, path in written:
            # Locked for its publication: see `Moves.publish`. Not all at once, for a process may
            # have no more than a thousand files open.
            descriptor, found = _lock(moves, job_id, path)
            moves.publish_new(job_id, path, descriptor, is_unseen=are_unseen)
            published[job_id] = found
            moves.copies.close(descriptor)
        moves.forcing.batch_published(texts, at)
    except BaseException:
        for _job_id, path in written[len(published) :]:
            moves.discard(path)
        for job_id in published:
            _take_back(moves, job_id)
        raise
    return published


def _take_back(moves: Moves, job_id: str) -> None:
    """Unlink a job of a batch that is refused, unless somebody works on it already."""
    held = moves.copies.hold_at("pending", job_id)
    if not isinstance(held, Descriptor):
        return
    try:
        copy = moves.copies.read_held(held, "pending", job_id)
        if isinstance(copy, Copy) and copy.job.metadata.revision == 0:
            moves.discard(moves.layout.path("pending", job_id))
    finally:
        moves.copies.close(held)


def _write(moves: Moves, data: bytes) -> str:
    """A whole temporary file. Nobody needs its lock before it is published."""
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
