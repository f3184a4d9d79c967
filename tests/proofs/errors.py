"""A history on a disk that fails at its K-th primitive, and goes on when the disk is well.

It must not know what is lawful.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from proofs.doors import FaultyDisk, SteadyDisk
from proofs.history import History
from proofs.judge import LATER, judge
from proofs.ledger import MemoryLedger
from proofs.session import Session, at_once

from semiont_jobs import JobDecodeError, SemiontJobsError, StoreError
from semiont_jobs.stores.files.descriptors import HELD
from semiont_jobs.stores.files.forcing import Durability
from semiont_jobs.testing import FakeClock

ERRNOS: Final = (
    errno.ENOSPC,
    errno.EIO,
    errno.EACCES,
    errno.EMFILE,
    errno.EDQUOT,
    errno.EROFS,
    errno.ESTALE,
)
VERBS: Final = 3
"""Verbs that meet a disk that goes on failing: the one, what follows it, and what follows that
with the queue in whatever state the second left."""


def steps(path: Path, chapters: Sequence[str], *, durability: Durability) -> tuple[int, int]:
    """How many primitives it takes to open an empty directory, and the history in all."""
    disk = SteadyDisk()
    with at_once():
        history = History(path / "whole", MemoryLedger(), disk=disk, durability=durability)
        history.queue.initialize()
        opening = len(disk.calls)
        history.run(chapters)
        whole = len(disk.calls)
        history.queue.close()
    return opening, whole


def fail_at(
    path: Path,
    chapters: Sequence[str],
    k: int,
    code: int,
    *,
    goes_on: bool,
    durability: Durability = "fsync",
) -> list[str]:
    """Run the history with that fault; what is wrong with what came of it.

    The history goes on after every verb that was refused; when the disk is well, the same queue
    object works everything off by itself.
    """
    disk = FaultyDisk(k, code, verbs=VERBS if goes_on else 0)
    data_dir = path / f"{k}-{code}"
    history = History(data_dir, MemoryLedger(), disk=disk, durability=durability, is_faulty=True)
    return _faults(history, disk, lambda: history.run(chapters))


def leave_orphans(path: Path) -> MemoryLedger:
    """A directory as dead workers leave it: one job running, one that was to stop, one whose
    move to running was not finished, and one that nobody had."""
    ledger = MemoryLedger()
    with at_once():
        session = Session(path, ledger)
        session.create_batch(["at-work", "to-stop", "moving", "waiting"])
        moving = (path / "jobs" / "pending" / "moving.json").read_bytes()
        for job_id in ("at-work", "to-stop", "moving"):
            session.claim(job_id)
        session.do("cancel", "to-stop", lambda: session.queue.cancel_job("to-stop"))
        for job_id in list(session.claims):
            session.lose_holder(job_id)
        (path / "jobs" / "pending" / "moving.json").write_bytes(moving)
        session.queue.close()
    return ledger


def recover_at(path: Path, k: int, code: int, *, goes_on: bool) -> tuple[bool, list[str]]:
    """The same for a recovery. Whether the fault was met, and what is wrong."""
    data_dir = path / f"{k}-{code}"
    ledger = leave_orphans(data_dir)
    disk = FaultyDisk(k, code, verbs=VERBS if goes_on else 0)
    clock = FakeClock()
    clock.advance(LATER)
    session = Session(data_dir, ledger, disk=disk, durability="fsync", clock=clock, is_faulty=True)
    session.after_verb = disk.verb_ended

    def recover() -> None:
        session.do("open", [], session.queue.initialize)
        for _ in range(VERBS + 1):
            session.rescue(["at-work", "to-stop", "moving"])
        session.claim("waiting")

    faults = _faults(session, disk, recover, must_fail=False)
    return bool(disk.failures), faults


def _faults(
    session: Session, disk: FaultyDisk, run: Callable[[], None], *, must_fail: bool = True
) -> list[str]:
    held_before = set(HELD._open.values())  # by disks of other tests, whose processes "died"
    with at_once():
        try:
            run()
            disk.lift()
            session.work_off()
            # All at once: a copy that a move could not remove is not taken for the job.
            jobs = session.queue.query_jobs(limit=None)
            waiting = [each.metadata.id for each in jobs if each.status in ("pending", "running")]
            session.queue.close()
        except Exception as error:  # a verb may refuse, but only in the library's own words
            return [f"{disk.failures[:1]}: raised {error!r}"]
        finally:
            left = [noted() for noted in set(HELD._open.values()) - held_before]
            for descriptor in filter(None, left):
                HELD.close(descriptor)
    faults = [] if disk.failures or not must_fail else ["nothing failed"]
    faults += [
        f"{error!r} tells nothing" for error in session.errors if not _tells(error, disk.code)
    ]
    faults += [f"the queue did not go on with {each}" for each in waiting]
    faults += [f"{len(left)} files are still open"] if left else []
    faults += judge(session.ledger, session.data_dir)
    if not faults:
        shutil.rmtree(session.data_dir)
    return [f"{disk.failures[:1]}: {fault}" for fault in faults]


def _tells(error: SemiontJobsError, code: int) -> bool:
    """Whether an error says what the disk said. A file that cannot be opened for want of
    permission is at fault itself, as it seems: it is told as one that cannot be read."""
    if isinstance(error, JobDecodeError):
        return code == errno.EACCES
    return isinstance(error, StoreError) and error.errno == code
