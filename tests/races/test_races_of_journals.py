"""Threads that write to a journal, close it, or note a lost write, at the same time."""

from __future__ import annotations

import errno
import threading
from typing import Any

import pytest
from files.places import PATIENCE, Actors, Place, claimed, job, journalled, meanwhile
from races.moments import Moment

from semiont_jobs.stores.files.journal.journal import Journal
from semiont_jobs.stores.files.journal.segment import Segment


def test_a_journal_that_is_tried_again_while_a_write_is_lost_is_kept(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Journal, "in_background", False)
    queue = journalled(actor)
    queue.create_job(job())
    queue.disk.refuse(errno.EMFILE, "syncfs")
    journal: Any = queue.store._journal
    journal._turn_over()
    (stuck,) = journal._stuck

    def try_again() -> None:  # as `tend` does
        journal._old = journal._stuck[0]
        del journal._stuck[0]

    moment = Moment(monkeypatch, Journal, "_old", after=try_again)
    moment.arm()
    journal._doubt()

    assert stuck.is_doubtful
    journal._empty()


def test_what_is_written_as_a_journal_is_closed_that_must_stay_is_acknowledged(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = journalled(actor)  # its journal may bring back what is removed
    other.create_job(job("first"))
    queue = journalled(actor)
    claimed(queue).complete()
    queue.remove_job("first")
    is_written, goes_on = threading.Event(), threading.Event()
    force = Segment.force

    def forced(self: Segment, end: int) -> None:
        if not is_written.is_set():
            is_written.set()
            assert goes_on.wait(PATIENCE)
        force(self, end)

    monkeypatch.setattr(Segment, "force", forced)
    with meanwhile(lambda: queue.create_job(job())) as created:
        assert is_written.wait(PATIENCE)
        queue.close()
        goes_on.set()
        created.result(PATIENCE)

    assert place.names("pending") == ["j.json"]


def test_what_is_synced_while_its_journal_is_emptied_is_not_written_again(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = journalled(actor)
    journal: Any = queue.store._journal
    is_syncing, is_gone = threading.Event(), threading.Event()

    def sync() -> None:
        is_syncing.set()
        assert is_gone.wait(PATIENCE)

    queue.disk.before("fdatasync", "*", sync)
    forced_otherwise = Segment.forced_otherwise

    def forced(self: Segment) -> None:
        is_gone.set()
        forced_otherwise(self)

    monkeypatch.setattr(Segment, "forced_otherwise", forced)
    with meanwhile(lambda: queue.create_job(job())) as created:
        assert is_syncing.wait(PATIENCE)
        queue.close()
        created.result(PATIENCE)

    assert journal._made == 1
