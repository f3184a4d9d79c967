"""Connections to one database: made, pooled, cut, and abandoned in a forked child.

It must not know what they are used for.

A child made by `fork` has its parent's sockets. If they stayed open there, the server would not
notice the parent's death for as long as the child lives, and the parent's jobs would look alive;
and data sent by the child would break the parent's session. So every connection is recorded. A
child first replaces their sockets with the null device, without sending anything to the server.
"""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from semiont_jobs.exits import end_last
from semiont_jobs.stores.postgres.address import Address
from semiont_jobs.stores.postgres.told import LOST, store_error

PATIENCE: Final = 10.0
"""Seconds that an operation waits for a connection: longer than a server takes to restart, and
short enough that a caller gets an error soon if it does not."""
KEEPER_PATIENCE: Final = 1.0
"""The same for what the keeper asks for again and again: while it waits, holders do not learn that
the server has been silent for too long."""
IDLE: Final = 60.0
"""Seconds after which an unused connection is closed."""

SETTINGS: Final = """
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 16000; SET lock_timeout = 10000; SET client_min_messages = warning;
SET client_encoding = 'UTF8'; SET DateStyle = 'ISO'; SET TimeZone = 'UTC';
SET default_transaction_isolation = 'read committed'; SET standard_conforming_strings = on;
SET quote_all_identifiers = off;
"""
"""What the server does about a silent client: after 16 seconds it ends the session, and so releases
its locks; by default that would take hours. The owner of a lock gives up well before (see
`liveness`). Only a process that was stopped in the middle of a move keeps a row locked for ten
seconds; a caller that waits for that row then gets an error.

The rest overrides settings of a role, a database or the environment: encodings that cannot
represent every name, instants that not every style or zone can read (the last of year 9999 is in
the next one further east), an isolation level in which concurrent claims fail, backslashes that are
doubled in strings, and quotes around the names of types, which are compared (`schema`).
"""


class _Forks:
    """Notes the forks of this process, and knows what a child must not keep."""

    def __init__(self) -> None:
        self.last = object()
        """Another object for each fork: two threads may fork at once, and a count miss one."""
        self.open: weakref.WeakSet[Session] = weakref.WeakSet()
        self.abandoned: list[object] = []
        """What belongs to the parent: kept, so that no finalizer acts on it in the child."""

    def before(self) -> None:
        """Note a fork that is about to happen."""
        self.last = object()

    def in_child(self) -> None:
        """Replace the parent's sockets."""
        for session in self.open:
            with suppress(Exception):
                null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
                os.dup2(null, session.fileno(), inheritable=False)
                os.close(null)
            self.abandoned.append(session)
        self.open = weakref.WeakSet()


class Session(psycopg.Connection[TupleRow]):
    """One connection, recorded because of forks."""

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """Connect. A fork during this call would leave the child a socket that is not recorded:
        such a connection is closed, and made again."""
        while True:
            last = _FORKS.last
            session = super().connect(conninfo, **options)
            _FORKS.open.add(session)
            if last is _FORKS.last:
                return session
            session.close()


_FORKS: Final = _Forks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_FORKS.before, after_in_child=_FORKS.in_child)


class Sessions:
    """The connections of one store, from when it is opened until it is closed."""

    def __init__(self, address: Address, *, fsync: bool, read_only: bool, size: int) -> None:
        self.address = address
        self._settings = SETTINGS
        if not fsync:
            self._settings += "SET synchronous_commit = off;"
        if read_only:
            self._settings += "SET default_transaction_read_only = on;"
        self._size = size
        self._open: weakref.WeakSet[Session] = weakref.WeakSet()
        self._pool: ConnectionPool[Session] | None = None

    def connect(self) -> Session:
        """A separate connection, in autocommit.

        :raises StoreError: the server cannot be reached, or refuses the connection.
        """
        try:
            session = Session.connect(self.address.conninfo, autocommit=True)
        except psycopg.Error as error:
            raise store_error(error, self.address.shown, connecting=True) from error
        try:
            self._configure(session)
        except psycopg.Error as error:
            session.close()
            raise store_error(error, self.address.shown) from error
        return session

    def open(self) -> None:
        """Begin pooling; connects when a connection is first needed."""
        self._pool = ConnectionPool(
            self.address.conninfo,
            connection_class=Session,
            kwargs={"autocommit": True},
            configure=self._configure,
            min_size=0,
            max_size=self._size,
            max_idle=IDLE,
            timeout=PATIENCE,
            # Its pauses between tries double; an operation that needs a connection starts again.
            reconnect_timeout=PATIENCE / 2,
            num_workers=1,
            name=self.address.shown,
            open=True,
        )
        end_last(self)

    def end_with_process(self) -> None:
        """Stop the pool's threads, unless that was done. From Python 3.13 on, threads left to the
        end of the interpreter can no longer be joined: each would delay it by five seconds, and the
        pool would complain."""
        self.close()

    def close(self) -> None:
        """Close the unused connections now, and each of the others once it is given back."""
        if self._pool is not None:
            self._pool.close()

    def abandon(self) -> None:
        """In a forked child: leave the pool to the parent."""
        _FORKS.abandoned.append(self._pool)
        self._pool = None
        self._open = weakref.WeakSet()

    @contextmanager
    def session(
        self, job_id: str | None = None, *, patience: float = PATIENCE
    ) -> Iterator[Session]:
        """A connection for a moment, in autocommit; a transaction begun on it and not ended is
        rolled back when an error leaves the block.

        :param patience: seconds to wait for it.
        :raises StoreError: the server refused, or cannot be reached.
        """
        with self.told(job_id):
            session = self._get(patience)
            try:
                with session:
                    yield session
            finally:
                self._put(session)

    def take(self) -> Session:
        """A connection to keep; return it with `give_back`."""
        with self.told(None):
            return self._get(PATIENCE)

    def give_back(self, session: Session) -> None:
        """Return a taken connection; a transaction on it is rolled back."""
        with suppress(psycopg.Error):
            if not session.closed:
                session.rollback()
        self._put(session)

    def _get(self, patience: float) -> Session:
        pool = self._pool
        assert pool is not None, "the store is not open"
        try:
            return pool.getconn(patience)
        except (PoolClosed, PoolTimeout):
            if not pool.closed:
                raise
        # Closed during an operation, which finishes with a connection of its own.
        return self.connect()

    def _put(self, session: Session) -> None:
        pool = self._pool
        if pool is None or pool.closed:
            session.close()
        else:
            pool.putconn(session)

    @contextmanager
    def told(self, job_id: str | None, *, renews: bool = True) -> Iterator[None]:
        """Raise what the server refuses in this block as a `StoreError` of that job.

        :param renews: the connection that may break is one of ours.
        """
        try:
            yield
        except psycopg.Error as error:
            told = store_error(error, self.address.shown, job_id=job_id)
            if renews and told.errno == LOST:
                # One broke: the idle ones are probably broken, too.
                self.renew()
            raise told from error

    def renew(self) -> None:
        """Have idle connections replaced before they are used again."""
        pool = self._pool
        if pool is not None and not pool.closed:
            pool.drain()

    def cut(self) -> None:
        """End every wait for an answer of the silent server, in all threads."""
        for session in self._all():
            with (
                suppress(psycopg.Error, OSError),  # closed meanwhile, by its user
                socket.socket(fileno=os.dup(session.fileno())) as end,
            ):
                end.shutdown(socket.SHUT_RDWR)
        self.renew()

    def _all(self) -> list[Session]:
        while True:
            # Another thread may add a connection meanwhile.
            with suppress(RuntimeError):
                return list(self._open)

    def _configure(self, session: Session) -> None:
        self._open.add(session)
        session.execute(self._settings.encode())
        session.prepare_threshold = 3
