"""One verb of a queue, interrupted at one place after the other, and what is wrong afterwards.

It must not know the library's steps: it looks at what stands in the directory, and at what a second
store there may do.
"""

from __future__ import annotations

import fcntl
import gc
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from files.places import AT_ONCE, FOLDERS, PATIENCE, Place, Unattended, claimed, end_journal, job
from striking import Package, interrupted_after, interrupted_at

from semiont_jobs import FileStore, JobHeld, SemiontJobsError
from semiont_jobs.claim import AnyClaim
from semiont_jobs.errors import ClaimLost
from semiont_jobs.fields import now
from semiont_jobs.stores.files import door, sweep
from semiont_jobs.stores.files.forcing import Durability

Call: TypeAlias = Callable[[], object]
LIBRARY = Package("semiont_jobs")

WINDOWS = (
    "Disk.create",
    "Disk.open",
    "Disk.open_to_read",
    "Descriptors.open",
    "Copies._text",
    "Markers.put",
)
"""Between the system call that opens a file and the step that keeps its number: the number is lost.
Python has nothing against that. The file is not locked yet, so nobody waits for it."""


def _is_locked(fd: str) -> bool:
    """Whether the file is, by whoever has it open."""
    own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    try:
        fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(own)
    return False


def actor_at(path: Path, durability: Durability) -> Unattended:
    """A queue with nothing between it and the disk."""
    queue = Unattended(FileStore(path, durability=durability), retry_policy=AT_ONCE)
    queue.initialize()
    return queue


@contextmanager
def quick_disk() -> Iterator[None]:
    """No disk is waited for, and what is left over goes at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door, "_full_fsync", lambda _fd: None)
        patch.setattr(door, "_fdatasync", lambda _fd: None)
        patch.setattr(door, "_SYNCFS", lambda _fd: 0)
        patch.setattr(sweep, "TMP_GRACE", -1.0)
        yield


class Ground:
    """A directory, the queue that is interrupted, and another one that is not."""

    def __init__(self, path: Path, durability: Durability) -> None:
        self.place = Place(path)
        self.queue = actor_at(path, durability)
        self.other = actor_at(path, durability)
        self.serial = 0
        self.claim: AnyClaim | None = None
        """What the caller of the verb has in hand."""
        self.must_stand: list[str] = []
        self._open: set[tuple[str, int]] = set()
        self._threads = ThreadPoolExecutor(1)

    def close(self) -> None:
        """End both."""
        self.claim = None
        for queue in (self.queue, self.other):
            queue.close()
            end_journal(queue)
        self._threads.shutdown()

    # -- before the verb -----------------------------------------------------------------

    def new(self) -> str:
        """A pending job's id; it must not be lost."""
        self.serial += 1
        id_ = f"j{self.serial}"
        self.queue.create_job(job(id_))
        self.must_stand.append(id_)
        return id_

    def in_hand(self) -> AnyClaim:
        """A claim that the caller holds."""
        self.new()
        self.claim = claimed(self.queue)
        return self.claim

    def claimed_by_other(self) -> AnyClaim:
        """Another one's claim."""
        self.other.store._pending._listing_took = 0.0  # type: ignore[attr-defined] # it may list
        return claimed(self.other)

    def failed(self) -> str:
        """The id of a job that failed for good."""
        id_ = self.new()
        self.queue.cancel_job(id_)
        return id_

    # -- after it ------------------------------------------------------------------------

    def faults(self, where: list[str], *, is_claim_used: bool) -> list[str]:
        """What is wrong now that the verb was interrupted there."""
        faults = []
        if self.claim is not None and self.claim.is_open and is_claim_used:
            with suppress(ClaimLost):
                (self.claim.release if self.serial & 2 else self.claim.complete)()
        self.claim = None
        gc.collect()
        for queue in (self.queue, self.other):
            queue._claims.give_back_dropped()
        ended = self._threads.submit(self._go_on)
        try:
            faults += ended.result(PATIENCE)
        except TimeoutError:
            return ["the queue does not go on: somebody waits for ever"]
        except SemiontJobsError as error:
            faults.append(f"the queue does not go on: {error!r}")
        faults += self._left_open(where)
        faults += self._left_over()
        self._clear()
        return faults

    def _ids(self) -> set[str]:
        return {
            name.removesuffix(".json") for folder in FOLDERS for name in self.place.names(folder)
        }

    def _go_on(self) -> list[str]:
        """In another thread, for which a lock that stays taken is taken."""
        faults = []
        self.other.rescue_orphans()
        for id_ in self._ids():
            try:
                self.other.store.hold(id_).let_go()
            except JobHeld:
                faults.append(f"{id_} is held by nobody: {self.place.copies(id_)}")
        # What is in the folder is found without anything being put there.
        faults += self._work_off()
        self.serial += 1
        fresh = f"fresh{self.serial}"
        self.queue.create_job(job(fresh))
        faults += self._work_off()
        if self.place.copies(fresh).keys() != {"complete"}:
            faults.append(f"a new job is not done: {self.place.copies(fresh)}")
        for id_ in self.must_stand:
            if id_ not in self._ids():
                faults.append(f"{id_} is lost")
        for id_ in self._ids():
            copies = self.place.copies(id_)
            if len(copies) != 1:
                faults.append(f"{id_} stands more than once: {copies}")
        return faults

    def _work_off(self) -> list[str]:
        self.queue.store._pending._listing_took = 0.0  # type: ignore[attr-defined] # it may list
        while (claim := self.queue.claim_next_job()) is not None:
            claim.complete()
        return [
            f"{name} is not offered"
            for name in self.place.names("pending")
            if self.queue.get_job(name.removesuffix(".json")).metadata.is_due(now())  # type: ignore[union-attr]
        ]

    def _left_open(self, where: list[str]) -> list[str]:
        found: dict[tuple[str, int], str] = {}
        for fd in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                path = os.readlink(f"/proc/self/fd/{fd}")
                name = path.removeprefix(f"{self.place.jobs}/")
                if name != path and "/" in name and not name.startswith(".journal"):
                    found[fd, os.stat(int(fd)).st_ino] = name
        new = found.keys() - self._open
        self._open = set(found)
        faults = [f"{found[each]} stays locked" for each in new if _is_locked(each[0])]
        if where and where[0].split()[-1] in WINDOWS and len(new) == 1:
            return faults
        return faults + [f"{found[each]} stays open" for each in new]

    def _left_over(self) -> list[str]:
        faults = []
        self.other.store._sweep()  # type: ignore[attr-defined]
        faults += [f"{name} stays in .tmp" for name in self.place.names(".tmp")]
        faults += [f"{name} was set aside" for name in self.place.names(".quarantine")]
        return faults

    def _clear(self) -> None:
        self.must_stand.clear()
        for folder in (*FOLDERS, ".cancel", ".quarantine"):
            for path in (self.place.jobs / folder).iterdir():
                path.unlink()


def _cancel_of_others(ground: Ground) -> Call:
    id_ = ground.new()
    ground.claim = ground.claimed_by_other()
    return lambda: ground.queue.cancel_job(id_)


def _rescue(ground: Ground) -> Call:
    id_ = ground.new()
    ground.claimed_by_other()
    ground.other.store.kill_holder(id_)  # type: ignore[attr-defined]
    return ground.queue.rescue_orphans


def _with_id(ground: Ground) -> Call:
    ground.serial += 1
    id_ = f"j{ground.serial}"
    return lambda: ground.queue.create_job(job(id_))


def _update(ground: Ground) -> Call:
    queued = ground.queue.get_job(ground.new())
    return lambda: ground.queue.update_job(queued)  # type: ignore[arg-type]


def _in_hand(act: Callable[[AnyClaim], object]) -> Callable[[Ground], Call]:
    def arrange(ground: Ground) -> Call:
        claim = ground.in_hand()
        return lambda: act(claim)

    return arrange


def _by_id(
    arrange: Callable[[Ground], str], act: Callable[[Unattended, str], object]
) -> Callable[[Ground], Call]:
    def arranged(ground: Ground) -> Call:
        id_ = arrange(ground)
        return lambda: act(ground.queue, id_)

    return arranged


def _goes(arrange: Callable[[Ground], Call]) -> Callable[[Ground], Call]:
    """Of a job that need not stand afterwards."""

    def arranged(ground: Ground) -> Call:
        call = arrange(ground)
        ground.must_stand.clear()
        return call

    return arranged


VERBS: dict[str, Callable[[Ground], Call]] = {
    "enqueue": lambda ground: lambda: ground.queue.enqueue({"a": 1}, type="task"),
    "create_job": _with_id,
    "enqueue_many": lambda ground: lambda: ground.queue.enqueue_many([{}, {}, {}], type="task"),
    "claim_next_job": _by_id(Ground.new, lambda queue, _id: queue.claim_next_job()),
    "complete": _in_hand(lambda claim: claim.complete({"b": 2})),
    "fail": _in_hand(lambda claim: claim.fail("broke")),
    "release": _in_hand(lambda claim: claim.release()),
    "snooze": _in_hand(lambda claim: claim.snooze(timedelta(seconds=-1))),
    "report": _in_hand(lambda claim: claim.report({"percent": 3})),
    "checkpoint": _in_hand(lambda claim: claim.checkpoint(["a"])),
    "cancel of a claim": _in_hand(lambda claim: claim.cancel()),
    "cancel_job of a pending one": _by_id(Ground.new, lambda queue, id_: queue.cancel_job(id_)),
    "cancel_job of a running one": _by_id(
        lambda ground: ground.in_hand().job_id, lambda queue, id_: queue.cancel_job(id_)
    ),
    "cancel_job of another's": _cancel_of_others,
    "retry_job": _by_id(Ground.failed, lambda queue, id_: queue.retry_job(id_)),
    "remove_job": _goes(_by_id(Ground.failed, lambda queue, id_: queue.remove_job(id_))),
    "cleanup_completed_jobs": _goes(
        _by_id(
            Ground.failed,
            lambda queue, _id: queue.cleanup_completed_jobs(timedelta(-1), cancelled=True),
        )
    ),
    "update_job": _update,
    "rescue_orphans": _rescue,
    "poll_next_pending_job": _by_id(Ground.new, lambda queue, _id: queue.poll_next_pending_job()),
}


def interrupt_everywhere(
    path: Path, verb: str, durability: Durability, *, first: int = 0, stride: int = 1
) -> tuple[int, list[str]]:
    """Interrupt a verb at every place (or at some); how often, and what was wrong afterwards."""
    faults: list[str] = []
    strikes = 0
    with quick_disk():
        for strike in (interrupted_at, interrupted_after):
            ground = Ground(path / strike.__name__, durability)
            gc.freeze()
            try:
                place, is_over = first, False
                while not is_over:
                    call: Any = VERBS[verb](ground)
                    result: object = None
                    where: list[str] = []
                    kept: list[BaseException] = []
                    with strike(place, modules=LIBRARY, where=where) as left:
                        try:
                            result = call()
                        except KeyboardInterrupt as error:
                            if strikes % 3 == 0:
                                kept.append(error)  # and its traceback, as an interactive session
                    is_over = left() >= 0
                    del call, result
                    # What a kept traceback refers to of the caller's own is not dropped.
                    found = ground.faults(where, is_claim_used=bool(kept) or strikes % 3 == 1)
                    faults += [
                        f"{each} [{verb}, {strike.__name__} {place}, {where}]" for each in found
                    ]
                    strikes += 1
                    place += stride
            finally:
                gc.unfreeze()
                ground.close()
    return strikes, faults
