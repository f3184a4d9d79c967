"""The lock that shows that this process lives, and the news that its session receives.

It must not know jobs: only a key, and the words that arrive by NOTIFY.

A process that works on jobs keeps one session, and on it the advisory lock of a random key. Every
job that it holds names that key as its ``owner``. When the process dies, the kernel closes the
socket, the server ends the session, and the lock is released: a process that can take it has proof
of the death. There is one lock for all jobs of a process instead of one for each, so a claim needs
no additional round trip, and two jobs cannot collide.

If only the session is lost (the server restarted, an administrator ended it, the network was down),
the owner lives. It connects again at once and takes the same lock again. If one of its jobs was
rescued meanwhile, that was done under the same lock and changed the job's row, which the holder
finds out when it next looks. If the owner has the lock back and the row is unchanged, the job was
not rescued and will not be. An owner that has received nothing for `GIVE_UP` seconds gives up: it
takes a new key, and its holders learn that their jobs are lost. The server ends the session of a
silent client only after 16 seconds (`sessions.SETTINGS`), so they learn it before another process
begins those jobs.
"""

from __future__ import annotations

import errno
import os
import secrets
import selectors
import threading
import time
from collections.abc import Callable
from typing import Final

import psycopg

from semiont_jobs.errors import QueueClosed, SemiontJobsError, StoreError
from semiont_jobs.events import logger
from semiont_jobs.retry import error_pace
from semiont_jobs.stores.postgres.sessions import PATIENCE, Session, Sessions
from semiont_jobs.stores.postgres.told import LOST
from semiont_jobs.threads import begin, lock_and_condition

HEARTBEAT: Final = 1.0
"""Seconds between two questions to the server. A proxy or a sleeping router in between answers the
kernel's probes, so only an answer of the server counts."""
SILENCE: Final = 5.0
"""Seconds without an answer after which the session counts as lost: a server that is busy, or
writes a checkpoint, answers such a question within a second."""
GIVE_UP: Final = 9.0
"""Seconds since the last answer after which the jobs count as lost: enough to replace a session
that was lost silently, and well before the server lets another process have them."""
RECONNECT: Final = 1.0
"""Seconds between two tries, at most: a server that restarts gives its clients a few seconds to
come back (`taking.GRACE`)."""


class Liveness:
    """One process's session, its lock, and the news it receives.

    :param hear: called with every word that arrives, in this object's thread: it must be quick.
    :param changed: called when the lock was lost, regained or given up.
    """

    def __init__(
        self, sessions: Sessions, *, hear: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        self._sessions = sessions
        self._hear = hear
        self._changed = changed
        self._lock, self._news = lock_and_condition()
        self._key = new_key()
        self._is_held = False
        self._heard_at = time.monotonic()
        self._backend: int | None = None
        self._error: StoreError | None = None
        self._ending = False
        self._thread: threading.Thread | None = None
        self._waker, self._woken = -1, -1

    def begin(self) -> int:
        """Take the lock, and return its key. Returns at once while it is held.

        :raises QueueClosed: the lock was released by `end`.
        :raises StoreError: the lock cannot be taken, because the server cannot be reached.
        :raises ThreadRefused: the system gives no thread; the next call tries again.
        """
        if self._is_held:
            return self._key
        with self._lock:
            if self._thread is None and not self._ending:
                self._start()
            self._news.wait_for(
                lambda: self._is_held or self._error is not None or self._ending, PATIENCE
            )
            if self._ending:
                raise QueueClosed("the queue was closed")
            if self._is_held:
                return self._key
            if self._error is not None:
                raise self._error
        raise StoreError(LOST, "the session is being made again", self._sessions.address.shown)

    def _start(self) -> None:
        self._woken, self._waker = os.pipe()
        self._heard_at = time.monotonic()
        thread = threading.Thread(target=self._live, name="semiont-jobs-liveness", daemon=True)
        self._thread = thread
        try:
            begin(thread)
        except BaseException:
            if thread.ident is None:  # it never began
                self._forget_thread()
            raise

    def _forget_thread(self) -> None:
        self._thread = None
        os.close(self._waker)
        os.close(self._woken)

    def end(self) -> None:
        """Release the lock, and end the session. If this is interrupted, the next call does the
        rest."""
        with self._lock:
            self._ending, self._is_held = True, False
            self._news.notify_all()
            thread = self._thread
            if thread is not None and thread.ident is None:
                self._forget_thread()  # its start was interrupted
                return
            if thread is not None:
                os.write(self._waker, b".")
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    @property
    def key(self) -> int:
        """The key of the lock; a new one after the old one was given up."""
        return self._key

    @property
    def is_cut_off(self) -> bool:
        """Whether the lock was held, and its session is being made again: a query to the server at
        this moment may wait in vain."""
        return self._thread is not None and not self._is_held

    def vouches(self, key: int) -> bool:
        """Whether jobs held under that key are ours as far as we know."""
        self._give_up_if_due()
        return key == self._key

    # -- the thread ----------------------------------------------------------------------

    def _live(self) -> None:
        try:
            self._go_on()
        finally:
            with self._lock:
                self._is_held = False
                self._forget_thread()

    def _go_on(self) -> None:
        pace = error_pace(RECONNECT)
        errors, taken_at = 0, 0.0
        while not self._ending:
            try:
                session = self._sessions.connect()
                try:
                    self._take(session)
                    errors, taken_at = 0, time.monotonic()
                    self._listen(session)
                finally:
                    session.close()
            except (psycopg.Error, OSError, SemiontJobsError) as error:
                self._lost(error)
            except Exception as error:  # noqa: BLE001
                # This thread must survive any error of a callback: without it every job of this
                # process would be an orphan.
                logger.exception("the liveness session failed")
                self._lost(error)
            errors += 1
            # A session that worked is replaced at once, before rescuers look a second time
            # (`upkeep.SECOND_LOOK`); without a pause, one that fails immediately would make a hot
            # loop.
            if errors > 1 or time.monotonic() - taken_at < HEARTBEAT:
                self._pause(pace(errors))

    def _take(self, session: Session) -> None:
        """Listen, and take the lock; if our own lost session still has it, end that one."""
        session.execute(f"LISTEN {self._sessions.address.channel}".encode())
        while not self._ending:
            key = self._key
            query = "SELECT pg_try_advisory_lock(%s)"
            if session.execute(query, [key]).fetchone() == (True,):
                with self._lock:
                    if key == self._key:
                        self._is_held, self._error = not self._ending, None
                        self._heard_at = time.monotonic()
                        self._backend = session.info.backend_pid
                        self._news.notify_all()
                        break
                session.execute("SELECT pg_advisory_unlock(%s)", [key])
            else:
                self._end_former(session, key)
                self._pause(0.1)  # a rescuer has it for a moment, or our former session
            self._give_up_if_due()
        self._changed()

    def _end_former(self, session: Session, key: int) -> None:
        query = """
            SELECT pg_terminate_backend(pid) FROM pg_locks
            WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid = %s
            AND (classid::bigint << 32) | objid::bigint = %s
        """
        if self._backend is not None:
            session.execute(query, [self._backend, key])

    def _listen(self, session: Session) -> None:
        """Receive news, and ask for an answer once a second, until the end; raise when the session
        is lost."""
        connection = session.pgconn
        asked_at: float | None = None
        with selectors.DefaultSelector() as selector:
            selector.register(session.fileno(), selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._ending:
                now = time.monotonic()
                if asked_at is None and now - self._heard_at >= HEARTBEAT:
                    connection.send_query(b"SELECT 1")
                    connection.flush()
                    asked_at = now
                limit = self._heard_at + HEARTBEAT if asked_at is None else asked_at + SILENCE
                ready = {key.fd for key, _ in selector.select(max(0.0, limit - now))}
                if session.fileno() in ready:
                    connection.consume_input()
                    while (word := connection.notifies()) is not None:
                        self._hear(word.extra.decode())
                    if asked_at is not None and _is_answered(session):
                        asked_at, self._heard_at = None, time.monotonic()
                elif asked_at is not None and time.monotonic() - asked_at >= SILENCE:
                    raise StoreError(
                        errno.ETIMEDOUT,
                        f"no answer for {SILENCE:g} seconds",
                        self._sessions.address.shown,
                    )

    def _lost(self, error: Exception) -> None:
        told = error if isinstance(error, StoreError) else None
        with self._lock:
            was_held, self._is_held = self._is_held, False
            # Waiting callers of `begin` get the error, unless the session existed a moment ago.
            if not was_held and told is not None:
                self._error = told
                self._news.notify_all()
        if told is not None and told.errno == errno.ETIMEDOUT:
            # A statement under way will not be answered either.
            self._sessions.cut()
        if was_held and not self._ending:
            logger.warning("the liveness session was lost; connecting again (%s)", error)
            self._changed()
        self._give_up_if_due()

    def _give_up_if_due(self) -> None:
        with self._lock:
            if self._is_held or time.monotonic() - self._heard_at < GIVE_UP:
                return
            self._key = new_key()
            self._heard_at = time.monotonic()
        logger.error("the server was silent for too long: the jobs in hand count as lost")
        self._changed()

    def _pause(self, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            selector.select(seconds)


def new_key() -> int:
    """A key that no other process has."""
    return secrets.randbits(63) or 1


def nobody() -> int:
    """A key of no process. A different one each time: a rescuer locks it for a moment, and others
    would take that for a sign of life."""
    return -new_key()


def is_nobody(key: int | None) -> bool:
    """Whether a key is known to belong to no process."""
    return key is None or key < 0


def _is_answered(session: Session) -> bool:
    """Whether the whole answer to the last question has arrived."""
    connection = session.pgconn
    while not connection.is_busy():
        result = connection.get_result()
        if result is None:
            return True
        if result.status not in _ANSWERS:
            raise StoreError(LOST, " ".join(result.get_error_message().split()))
    return False


_ANSWERS: Final = (psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK)
