"""What may come between what a worker's loop has put off and its end: another thread's look, another program,
a signal's handler, an interrupt, want of descriptors."""

from __future__ import annotations

import dis
import errno
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
from files.loops import filled, refuse_forcing, taken, worked_off
from files.places import PATIENCE, Actors, Place, Unattended
from striking import struck_at

from semiont_jobs import StoreError
from semiont_jobs.stores.files.forcing import Durability
from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.moves import Moves


@pytest.fixture
def forced_by_fsync(actor: Actors) -> Unattended:
    """One that forces each file."""
    filled(actor(fsync=True))
    return filled(actor(fsync=True), 0)


def test_a_job_that_is_written_anew_is_not_taken_for_lost(
    queue: Unattended, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = queue.claimer()
    claim = taken(loop)
    refuse_forcing(queue, "running/a.json")
    loop.end()
    looks: list[Future[None]] = []
    rewrite = Moves.rewrite

    with ThreadPoolExecutor(1) as threads:

        def rewritten(self: Moves, *arguments: Any) -> Any:
            new = rewrite(self, *arguments)
            looks.append(threads.submit(claim.watch))  # as the keeper does, at this very moment
            threading.Event().wait(0.2)
            return new

        monkeypatch.setattr(Moves, "rewrite", rewritten)
        loop.end()
        assert looks[0].result(PATIENCE) is None

    assert claim.is_open
    assert claim.complete().status == "complete"


def test_a_job_that_is_lost_in_the_midst_of_a_commit_keeps_its_file_until_that_is_over(
    queue: Unattended, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = queue.claimer()
    first, second = taken(loop), taken(loop)
    losing: list[Future[None]] = []
    unforced = FileHold.unforced.fget
    assert unforced is not None

    with ThreadPoolExecutor(1) as threads:

        def looked_at(self: FileHold) -> Any:
            if not losing and self is first._hold:
                losing.append(threads.submit(second._lose))  # another thread has found it gone
                threading.Event().wait(0.2)
            return unforced(self)

        monkeypatch.setattr(FileHold, "unforced", property(looked_at))
        loop.end()
        assert losing[0].result(PATIENCE) is None

    assert place.copies("a").keys() == place.copies("b").keys() == {"running"}
    assert first.complete().status == "complete"


def test_one_job_that_cannot_be_written_anew_keeps_no_other_waiting(
    queue: Unattended, place: Place
) -> None:
    loop = worked_off(queue, 2)
    refuse_forcing(queue, "complete/a.json")
    loop.end()
    queue.disk.refuse(errno.ENOSPC, "rename", "complete/a.json")

    loop.end()

    assert place.copies("a").keys() == {"pending", "running", "complete"}
    assert place.copies("b").keys() == {"complete"}
    loop.end()
    assert place.copies("a").keys() == {"complete"}


def test_a_checkpoint_that_was_refused_is_written_anew(
    forced_by_fsync: Unattended, place: Place
) -> None:
    queue = forced_by_fsync
    claim = taken(queue.claimer())
    queue.disk.refuse(errno.EIO, "fsync_folder", "jobs/running")
    with pytest.raises(StoreError):
        claim.checkpoint(["page"])
    queue.disk.calls.clear()

    queue.committer.commit_all()

    assert queue.disk.count("rename", "running/a.json") == 1
    assert place.copies("a").keys() == {"running"}


def test_what_others_put_where_an_older_copy_stood_is_left_alone(
    queue: Unattended, place: Place
) -> None:
    loop = worked_off(queue, 1)
    (place.jobs / "pending" / "a.json").unlink()
    place.put("pending", "another program's", "a.json")

    loop.end()

    assert (place.jobs / "pending" / "a.json").read_text() == "another program's"
    assert place.names("running") == []


def test_a_handler_in_the_midst_of_a_commit_is_refused(queue: Unattended, place: Place) -> None:
    loop = worked_off(queue, 1)
    in_hand = taken(loop)
    refused: list[BaseException] = []

    def handle() -> None:
        for act in (in_hand.release, queue.committer.commit_all, queue.close):
            try:
                act()
            except StoreError as error:
                refused.append(error)

    queue.disk.before("unlink", "pending/a.json", handle)

    loop.end()

    assert [error.errno for error in refused] == [errno.EDEADLK] * 3  # type: ignore[attr-defined]
    assert in_hand.is_open
    assert place.copies("a").keys() == {"complete"}
    assert place.copies("b").keys() == {"running"}


def test_for_want_of_a_descriptor_nothing_is_written_anew(
    forced_by_fsync: Unattended, place: Place
) -> None:
    queue = forced_by_fsync
    loop = worked_off(queue, 2)
    queue.disk.refuse(errno.EMFILE, "fsync_folder", "jobs/complete")
    loop.end()
    assert place.copies("a").keys() == {"pending", "running", "complete"}
    queue.disk.calls.clear()

    loop.end()

    assert queue.disk.count("rename", "complete/*") == 0
    assert place.copies("a").keys() == {"complete"}


def may_be_interrupted(frame: FrameType) -> bool:
    """Whether the interpreter looks for signals here: after calls, and where it jumps back."""
    code, at = frame.f_code.co_code, frame.f_lasti - 2
    while at > 0 and dis.opname[code[at]] == "CACHE":
        at -= 2
    name = dis.opname[code[at]] if at >= 0 else ""
    return name.startswith(("CALL", "RESUME", "JUMP_BACKWARD", "JUMP_ABSOLUTE"))


def test_wherever_an_interrupt_strikes_a_claim_no_job_is_changed(
    actor: Actors, place: Place, durability: Durability
) -> None:
    filled(actor(durability=durability))
    queue = filled(actor(durability=durability, max_crashes=1000), 0)

    def strike() -> None:
        if may_be_interrupted(sys._getframe(2)):
            raise KeyboardInterrupt

    step, is_over = 0, False
    while not is_over:
        loop = queue.initialize().claimer()
        loop.deferred = queue.committer.new(queue.store)
        loop._opened = queue._opening
        with struck_at(step, strike, modules={"semiont_jobs.stores.files.deferred"}) as left:
            with suppress(KeyboardInterrupt):
                loop()
            is_over = left() >= 0
        queue.committer.commit_all()
        queue.close()
        # An interrupt right before the claim is anybody's leaves it held until the queue closes.
        queue.rescue_orphans()
        assert place.everything() == {"pending": ["a.json", "b.json", "c.json"]}, step
        assert place.document("pending", "a")["status"] == "pending"
        step += 1

    assert step > 100


def test_what_an_interrupt_left_half_let_go_of_is_not_forced(queue: Unattended) -> None:
    loop = queue.claimer()
    hold: Any = taken(loop)._hold
    hold._is_over = True
    queue.disk.calls.clear()

    loop.end()

    assert queue.disk.count("fsync", "running/a.json") == 0
    assert queue.disk.count("fdatasync") == 0
    assert loop.deferred is not None
    assert len(loop.deferred) == 0
