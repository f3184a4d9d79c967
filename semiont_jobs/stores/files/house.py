"""The methods of a file store by which jobs move to it and away from it (`Moving`).

It must not know files: it calls the parts, and raises the disk's errors as `StoreError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from semiont_jobs.store import Hold
from semiont_jobs.stores.files.arriving import Arriving
from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.layout import Layout
from semiont_jobs.stores.files.leaving import Leaving
from semiont_jobs.stores.files.place import Place
from semiont_jobs.stores.files.told import told


class MovingHouse:
    """What `FileStore` has of `Moving`."""

    layout: Layout
    _arriving: Arriving
    _leaving: Leaving
    _place: Place

    def identity(self) -> str:
        """See `Moving.identity`."""
        with told(self.layout):
            return self._place.identity()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """See `Moving.turn`."""
        with told(self.layout):
            descriptor = self._place.take_turn()
        try:
            yield
        finally:
            self._place.end_turn(descriptor)

    def arrive(self, job_id: str, data: bytes, source: str) -> None:
        """See `Moving.arrive`."""
        with told(self.layout, job_id):
            self._arriving.put(job_id, data, source)

    def arrived(self) -> list[tuple[str, str]]:
        """See `Moving.arrived`."""
        with told(self.layout):
            return self._arriving.arrived()

    def arrival(self, job_id: str, source: str) -> bytes | None:
        """See `Moving.arrival`."""
        with told(self.layout, job_id):
            return self._arriving.text(job_id, source)

    def admit(self, job_id: str, source: str) -> None:
        """See `Moving.admit`."""
        with told(self.layout, job_id):
            self._arriving.admit(job_id, source)

    def dismiss(self, job_id: str, source: str) -> None:
        """See `Moving.dismiss`."""
        with told(self.layout, job_id):
            self._arriving.dismiss(job_id, source)

    def leave(self, hold: Hold, target: str) -> None:
        """See `Moving.leave`."""
        assert isinstance(hold, FileHold)
        with told(self.layout, hold.job.metadata.id):
            self._leaving.leave(hold, target)

    def departed(self) -> list[tuple[str, str]]:
        """See `Moving.departed`."""
        with told(self.layout):
            return self._leaving.departed()

    def forget(self, job_id: str, target: str) -> None:
        """See `Moving.forget`."""
        with told(self.layout, job_id):
            self._leaving.forget(job_id, target)
