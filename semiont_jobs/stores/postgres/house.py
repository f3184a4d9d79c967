"""The methods of a PostgreSQL store by which jobs move to it and away (`Moving`).

It must not know SQL: it leaves that to the parts.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from semiont_jobs.store import Hold
from semiont_jobs.stores.postgres.address import Address
from semiont_jobs.stores.postgres.arriving import Arriving
from semiont_jobs.stores.postgres.hold import Office, PostgresHold
from semiont_jobs.stores.postgres.leaving import Leaving
from semiont_jobs.stores.postgres.place import Place


class MovingHouse:
    """The `Moving` part of `PostgresStore`."""

    address: Address
    _author: int

    @property
    def _opened(self) -> Office:
        raise NotImplementedError

    def identity(self) -> str:
        """See `Moving.identity`."""
        return self._place.identity()

    def turn(self) -> AbstractContextManager[None]:
        """See `Moving.turn`."""
        return self._place.turn()

    def arrive(self, job_id: str, data: bytes, source: str) -> None:
        """See `Moving.arrive`."""
        self._arriving.put(job_id, data, source)

    def arrived(self) -> list[tuple[str, str]]:
        """See `Moving.arrived`."""
        return self._arriving.arrived()

    def arrival(self, job_id: str, source: str) -> bytes | None:
        """See `Moving.arrival`."""
        return self._arriving.text(job_id, source)

    def admit(self, job_id: str, source: str) -> None:
        """See `Moving.admit`."""
        self._arriving.admit(job_id, source)

    def dismiss(self, job_id: str, source: str) -> None:
        """See `Moving.dismiss`."""
        self._arriving.dismiss(job_id, source)

    def leave(self, hold: Hold, target: str) -> None:
        """See `Moving.leave`."""
        assert isinstance(hold, PostgresHold)
        self._leaving.leave(hold, target)

    def departed(self) -> list[tuple[str, str]]:
        """See `Moving.departed`."""
        return self._leaving.departed()

    def forget(self, job_id: str, target: str) -> None:
        """See `Moving.forget`."""
        self._leaving.forget(job_id, target)

    @property
    def _place(self) -> Place:
        return Place(self._opened.sessions, self.address.schema)

    @property
    def _arriving(self) -> Arriving:
        return Arriving(self._opened, self.address.schema, self._author)

    @property
    def _leaving(self) -> Leaving:
        return Leaving(self._opened, self.address.schema)
