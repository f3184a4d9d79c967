"""A verb that a signal interrupts, or that a signal's handler calls: nothing is left in the way of
those who come, and nothing of it is seen."""

from __future__ import annotations

import threading
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from files.journals import told
from files.places import PATIENCE, Actors, Place, claimed, job, journalled, meanwhile
from striking import interrupted_at, struck_at

from semiont_jobs import JobExists, StoreError
from semiont_jobs.stores.files import index, pending
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.journal import segment
from semiont_jobs.stores.files.journal.segment import Segment
from semiont_jobs.stores.files.layout import Layout


def interrupt(*_arguments: object) -> None:
    """As Ctrl-C does."""
    raise KeyboardInterrupt


def test_a_job_whose_creator_is_interrupted_right_after_the_link_is_gone(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, other = actor(), actor()
    link = queue.disk.link

    def struck(source: str, target: str) -> None:
        link(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(queue.disk, "link", struck)
    with pytest.raises(KeyboardInterrupt):
        queue.create_job(job())

    assert not place.copies()
    assert not place.names(".tmp")
    other.create_job(job())
    claimed(other)


def test_somebody_elses_job_is_not_taken_away_where_the_link_is_refused(
    actor: Actors, place: Place
) -> None:
    queue, other = actor(), actor()
    queue.disk.before("link", "pending/j.json", lambda: other.create_job(job()))

    with pytest.raises(JobExists):
        queue.create_job(job())

    assert place.copies() == {"pending": 0}
    assert not place.names(".tmp")


@pytest.mark.parametrize("verb", ["write_at", "fdatasync"])
def test_a_handler_that_creates_a_job_in_the_midst_of_the_journals_writing_is_refused(
    actor: Actors, place: Place, verb: str
) -> None:
    queue = journalled(actor)
    refused = []

    def handle() -> None:
        with pytest.raises(StoreError, match="signal's handler") as caught:
            queue.create_job(job("by-handler"))
        refused.append(caught.value)

    queue.create_job(job("first"))
    queue.disk.before(verb, "*", handle)
    queue.create_job(job("j"))
    queue.create_job(job("last"))

    assert len(refused) == 1
    assert told(place.path) == [("first", 0), ("j", 0), ("last", 0)]
    assert place.names("pending") == ["first.json", "j.json", "last.json"]


def test_a_handler_may_close_the_queue_in_the_midst_of_the_journals_writing(
    actor: Actors, place: Place
) -> None:
    queue = journalled(actor)
    queue.disk.before("fdatasync", "*", queue.store.close)

    queue.create_job(job())

    assert place.copies() == {"pending": 0}
    assert not place.names(".journal")


class Unlocked(nullcontext[None]):
    """A lock and its condition, where a `with` is about to let go of a lock: Python handles no
    signal there, but here one strikes."""

    def notify_all(self) -> None:
        """Nobody waits."""

    def wait(self, _timeout: float) -> None:
        """Somebody is said to force the segment, and nobody does."""
        raise AssertionError


# In a free-threaded Python it may strike a finalizer, too: of that Python only says that it is
# ignored.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_wherever_an_interrupt_strikes_the_forcing_of_a_segment_nobody_waits_for_it(
    tmp_path: Path,
) -> None:
    layout, disk = Layout(str(tmp_path)), Disk()
    (tmp_path / "jobs" / ".tmp").mkdir(parents=True)
    (tmp_path / "jobs" / ".journal").mkdir()
    step, is_over = 0, False
    while not is_over:
        one: Any = Segment.begin(disk, layout, f"{step}{segment.SUFFIX}", 0o600)
        end = one.append(b"a record")
        one._lock = one._changed = Unlocked()
        with suppress(KeyboardInterrupt), struck_at(step, interrupt) as left:
            one.force(end)
        is_over = left() >= 0
        step += 1
        if one.fits(1):
            one.force(end)
        else:
            with pytest.raises(OSError, match="could not be forced"):
                one.force(end)
        one.close()
    assert step > 50


def test_a_thread_that_waits_for_one_that_was_interrupted_looks_again(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = journalled(actor)
    queue.create_job(job("first"))
    store: Any = queue.store
    current: Segment = store._journal._current
    end = current.append(b"")
    current._safe = 0
    current._forcing = threading.get_ident()  # and nobody will notify
    waiter = threading.Thread(target=current.force, args=(end,), daemon=True)
    waiter.start()
    current._forcing = None
    waiter.join(PATIENCE)

    assert not waiter.is_alive()


def test_wherever_an_interrupt_strikes_a_look_for_jobs_they_are_found_afterwards(
    actor: Actors,
) -> None:
    queue, other = actor(), actor()
    looks: Any = queue.store._pending  # type: ignore[attr-defined]
    step, is_over = 0, False
    while not is_over:
        other.create_job(job(f"j{step}"))
        looks._listed_mtime, looks._listing_took = -1, 0.0  # it is to be listed
        claim = None
        with (
            suppress(KeyboardInterrupt),
            interrupted_at(step, modules={pending.__name__, index.__name__}) as left,
        ):
            claim = queue.claim_next_job()
        is_over = left() >= 0
        step += 1
        if claim is None:
            with meanwhile(queue.claim_next_job) as found:
                claim = found.result(PATIENCE)
        assert claim is not None, step
        claim.complete()
    assert step > 30
