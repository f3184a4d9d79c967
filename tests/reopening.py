"""Store after store on one place, as a test opens it again."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import Any, Protocol

from semiont_jobs import JobQueue
from semiont_jobs.claim import AnyClaim
from semiont_jobs.store import JobStore


class Mortal(JobStore, Protocol):
    """A store whose holders can be made to vanish."""

    def kill_holder(self, job_id: str) -> None: ...


class Reopened:
    """For a conformance test or a machine: gives `new_store`, and calls `open_first`."""

    def new_store(self) -> Mortal:
        """Another store object on the place of this test."""
        raise NotImplementedError

    @cached_property
    def stores(self) -> list[Mortal]:
        """All of this test's, in the order in which they were made."""
        return []

    def open_first(self, **settings: Any) -> JobQueue:
        """The first queue of a test, or another one with other settings."""
        self.settings = settings
        return self.reopen()

    def reopen(self) -> JobQueue:
        self.stores.append(self.new_store())
        return JobQueue(self.stores[-1], **self.settings)

    def kill_holder(self, claim: AnyClaim) -> None:
        for store in self.stores:
            with suppress(KeyError):  # another of this test's stores holds it
                store.kill_holder(claim.job.metadata.id)
