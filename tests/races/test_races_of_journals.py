"""A lost write that one thread notes while another one moves the files it concerns."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from files.places import Actors, job, journalled
from races.moments import Moment

from semiont_jobs.stores.files.journal.journal import Journal


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
