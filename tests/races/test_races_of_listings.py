"""What a thread notes of a folder while another one lists it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from files.places import Actors, Place, job, seen

from semiont_jobs.store import Wanted
from semiont_jobs.stores.files.index import Entry, PendingIndex
from semiont_jobs.testing.suite import eventually, some


def listed_while(
    patch: pytest.MonkeyPatch, place: Place, queue: Any, act: Callable[[], object]
) -> None:
    """Have the folder listed once, and something done at the end of that."""
    folder = place.path / "jobs" / "pending"
    os.utime(folder, (1e9, 1e9))  # long ago: one listing is enough
    compare = PendingIndex.compare
    has_acted = threading.Event()

    def compared(self: PendingIndex, standing: Any) -> Any:
        found = compare(self, standing)
        act()
        has_acted.set()
        return found

    with patch.context() as inside:
        inside.setattr(PendingIndex, "compare", compared)
        while not has_acted.is_set():  # nor sooner after the last one than listings may come
            assert queue.poll_next_pending_job(types=["of another type"]) is None


def test_a_job_that_cannot_be_read_for_a_moment_is_looked_at_again(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = actor()
    queue.create_job(job())
    queue.poll_next_pending_job()
    pending = queue.store._pending

    def meet() -> None:
        entry: Entry = some(pending.index.take(Wanted(), 2e9))
        pending.unreadable(entry)  # another program is rewriting it in place

    listed_while(monkeypatch, place, queue, meet)

    assert seen(eventually(queue.claim_next_job)).job_id == "j"


def test_after_an_interrupt_in_the_midst_of_a_listing_everything_is_read_again(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = actor()
    queue.create_job(job())
    queue.poll_next_pending_job()

    listed_while(monkeypatch, place, queue, queue.store._pending.start_over)

    assert queue.claim_next_job() is not None
