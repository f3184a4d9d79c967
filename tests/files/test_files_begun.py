"""A segment of a journal that the disk begins to force before anybody waits for it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from files.disks import WatchedDisk
from files.loops import changes, filled, first_of
from files.places import PATIENCE, Actors, journalled
from files.test_files_interrupted import Unlocked, interrupt
from striking import struck_at

from semiont_jobs.stores.files import pending
from semiont_jobs.stores.files.descriptors import CLOSED, HELD, Descriptor
from semiont_jobs.stores.files.journal import by_journal, segment
from semiont_jobs.stores.files.journal.segment import Segment
from semiont_jobs.stores.files.layout import Layout

REFUSED = "could not be forced"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    for folder in (".tmp", ".journal"):
        (tmp_path / "jobs" / folder).mkdir(parents=True)
    return Layout(str(tmp_path))


class Begins(WatchedDisk):
    """A disk that begins, whatever the kernel can: what it was asked for is on record."""

    def begin_fdatasync(self, fd: int) -> Any:
        self._note_fd("begin_fdatasync", fd)
        return lambda: self.fdatasync(fd)


@pytest.fixture
def disk() -> Begins:
    return Begins()


@pytest.fixture
def one(layout: Layout, disk: Begins) -> Iterator[Segment]:
    made = Segment.begin(disk, layout, f"one{segment.SUFFIX}", 0o600)
    disk.calls.clear()
    yield made
    made.close()


def forcings(disk: WatchedDisk) -> list[str]:
    return [call.verb for call in disk.calls if "fdatasync" in call.verb]


def test_whoever_forces_waits_for_what_was_begun(one: Segment, disk: Begins) -> None:
    end = one.append(b"a")
    one.begin_forcing()
    assert forcings(disk) == ["begin_fdatasync"]

    one.force(end)
    one.force(end)

    assert forcings(disk) == ["begin_fdatasync", "fdatasync"]


def test_what_is_appended_afterwards_is_forced_afterwards(one: Segment, disk: Begins) -> None:
    one.append(b"a")
    one.begin_forcing()
    end = one.append(b"b")

    one.force(end)

    assert forcings(disk) == ["begin_fdatasync", "fdatasync", "fdatasync"]


def test_nothing_is_begun_twice_or_for_nothing(one: Segment, disk: Begins) -> None:
    one.begin_forcing()
    assert forcings(disk) == []
    end = one.append(b"a")
    one.begin_forcing()
    one.begin_forcing()
    one.force(end)
    one.begin_forcing()

    assert forcings(disk) == ["begin_fdatasync", "fdatasync"]


def test_another_thread_may_wait_for_what_one_has_begun(one: Segment, disk: Begins) -> None:
    end = one.append(b"a")
    one.begin_forcing()
    with ThreadPoolExecutor(1) as other:
        other.submit(one.force, end).result(PATIENCE)
    assert forcings(disk) == ["begin_fdatasync", "fdatasync"]

    one.force(end)

    assert forcings(disk) == ["begin_fdatasync", "fdatasync"]


def test_what_was_begun_and_failed_is_acknowledged_to_nobody(one: Segment, disk: Begins) -> None:
    end = one.append(b"a")
    one.begin_forcing()
    disk.refuse(errno.EIO, "fdatasync")

    with pytest.raises(OSError, match="Input/output error"):
        one.force(end)
    with pytest.raises(OSError, match=REFUSED):
        one.force(end)
    assert not one.fits(1)


def test_where_nothing_can_be_begun_whoever_forces_does_it(
    one: Segment, disk: Begins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "begin_fdatasync", lambda _fd: None)
    one.append(b"a")
    one.begin_forcing()
    end = one.append(b"b")

    one.force(end)

    assert forcings(disk) == ["fdatasync"]


def test_a_segment_that_is_closed_is_not_at_work(one: Segment, disk: Begins) -> None:
    one.append(b"a")
    one.begin_forcing()

    one.close()

    assert [call.verb for call in disk.calls][-2:] == ["fdatasync", "close"]


def test_a_segment_is_closed_though_the_disk_refuses_what_was_begun(
    layout: Layout, disk: Begins
) -> None:
    one = Segment.begin(disk, layout, f"one{segment.SUFFIX}", 0o600)
    one.append(b"a")
    one.begin_forcing()
    disk.refuse(errno.EIO, "fdatasync")

    one.close()

    assert disk.count("close", ".journal/*") == 1


def test_wherever_an_interrupt_strikes_what_is_begun_nobody_is_told_what_is_not_so(
    layout: Layout,
) -> None:
    step, is_over, refused = 0, False, 0
    while not is_over:
        disk = Begins()
        one: Any = Segment.begin(disk, layout, f"{step}{segment.SUFFIX}", 0o600)
        end = one.append(b"a record")
        one._lock = one._changed = Unlocked()
        disk.calls.clear()
        with suppress(KeyboardInterrupt), struck_at(step, interrupt) as left:
            one.begin_forcing()
            one.force(end)
        is_over = left() >= 0
        step += 1
        try:
            one.force(end)
        except OSError as error:
            assert REFUSED in str(error)  # noqa: PT017 - either is right
            refused += 1
        else:
            assert forcings(disk)[-1] == "fdatasync"
        one.close()
    assert step > refused > 5


class Unguarded:
    """Closes without the lock of all descriptors, with which a strike would stop every thread:
    Python handles no signal where it would."""

    open = HELD.open

    def close(self, descriptor: Descriptor, closer: Callable[[int], None]) -> None:
        fd, descriptor.fd = descriptor.fd, CLOSED
        HELD._open.discard(descriptor)
        if fd != CLOSED:
            closer(fd)


def out_of_time() -> None:
    raise TimeoutError


@pytest.mark.parametrize("strike", [interrupt, out_of_time])
def test_wherever_an_interrupt_strikes_its_closing_nothing_is_waited_for_twice(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, strike: Callable[[], None]
) -> None:
    """The second time it might never end."""
    monkeypatch.setattr(segment, "HELD", Unguarded())
    step, is_over = 0, False
    while not is_over:
        disk = Begins()
        one: Any = Segment.begin(disk, layout, f"{step}{segment.SUFFIX}", 0o600)
        one.append(b"a record")
        one._lock = one._changed = Unlocked()
        one.begin_forcing()
        disk.calls.clear()
        is_told = False
        try:
            with struck_at(step, strike) as left:
                one.close()
        except (KeyboardInterrupt, TimeoutError):
            is_told = True
        is_over = left() >= 0
        step += 1
        one.close()
        assert is_told != is_over
        assert len(forcings(disk)) <= 1
    assert step > 20


# -- when it is of use ---------------------------------------------------------------------


@pytest.fixture
def always_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every claim but the first comes beside an outcome, with which the disk begins early."""
    monkeypatch.setattr(pending, "BUSY_SHARE", 10**9)
    monkeypatch.setattr(by_journal, "PAYS_FROM", 1)


@pytest.mark.usefixtures("always_ahead")
def test_a_claim_of_what_the_journal_tells_of_is_made_while_the_disk_is_at_the_outcome(
    actor: Actors,
) -> None:
    queue = filled(journalled(actor), 4)
    claimer, claim = first_of(queue)
    claim.complete()
    following = claimer()
    assert following is not None
    claimer.follow(following)
    following.outcome_follows()
    queue.disk.calls.clear()

    following.complete()

    steps = [step for step in changes(queue) if "/" in step]
    assert [step.partition(" ")[0] for step in steps] == [
        "rename", "write_at", "begin_fdatasync", "rename", "fdatasync", "unlink", "unlink",
    ]  # fmt: skip


@pytest.mark.usefixtures("always_ahead")
def test_a_claim_that_needs_a_record_is_forced_with_the_outcome(actor: Actors) -> None:
    filled(journalled(actor), 5)
    queue = journalled(actor)  # whose journal tells nothing of these jobs
    queue.poll_next_pending_job()
    claimer, claim = first_of(queue)
    for _ in range(3):
        claim.complete()
        following = claimer()
        assert following is not None
        claim = following
        claimer.follow(claim)
        claim.outcome_follows()

    assert queue.disk.count("begin_fdatasync") == 0
    assert queue.disk.count("fdatasync") == 4


def test_it_is_not_begun_before_it_pays(actor: Actors, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has had the disk begin takes longer to end."""
    monkeypatch.setattr(pending, "BUSY_SHARE", 10**9)
    monkeypatch.setattr(by_journal, "PAYS_FROM", 3)
    queue = filled(journalled(actor), 7)
    begun = []

    for claim in queue.claims():
        claim.complete()
        begun.append(queue.disk.count("begin_fdatasync"))

    assert begun == [0, 0, 0, 1, 2, 3, 4]
