"""The lock that says that this process lives, and what is heard on its session.

It must not know jobs: only a key, and the words that come by NOTIFY.

A process that works on jobs keeps one session, and on it the advisory lock of a random key, which
every job that it holds names as its ``owner``. When the process dies, the kernel closes the socket,
the server ends the session, and the lock falls: whoever can take it has the proof. One lock for all
jobs of a process instead of one for each: a claim costs no round trip more, and two jobs cannot
collide.

When only the session is lost (the server restarted, an administrator ended it, the network was
gone), the owner lives. It connects again at once and takes the same lock again: whoever rescued
one of its jobs meanwhile did so under that lock, and has changed the job's row, which the holder
finds out when it next looks; if it has the lock back and the row is as it was, nobody rescued
the job nor will. An owner that has heard nothing for `GIVE_UP` seconds gives up: it takes a new
key, and its holders are told that their jobs are lost. The server ends the session of a silent
client only after 16 seconds (`sessions.SETTINGS`), so that they are told before anybody else
begins.
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
"""Seconds between two questions to the server. A proxy or a sleeping router between answers the
kernel's probes; only an answer of the server is one."""
SILENCE: Final = 5.0
"""Seconds without an answer after which the session is taken for lost: a server that is busy, or
writes a checkpoint, answers such a question within a second."""
GIVE_UP: Final = 9.0
"""Seconds since the last answer after which the jobs are: time for a session lost in silence to be
made again, and well before the server lets anybody else have them."""
RECONNECT: Final = 1.0
"""Seconds between two tries, at most: a server that restarts gives its clients a few to come back
(`taking.GRACE`)."""


class Liveness:
    """One process's session, its lock, and its ear.

    :param hear: called with every word that comes, in this object's thread: it must be quick.
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
        """Have the lock; its key. Returns at once while it is held.

        :raises QueueClosed: it was let go.
        :raises StoreError: it cannot be had, because there is no way to the server.
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
        """Let the lock go, and end the session. What an interrupt leaves undone, the next call
        does."""
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
        """The key of the lock; another one once it was given up."""
        return self._key

    @property
    def is_cut_off(self) -> bool:
        """Whether the lock was had, and its session is being made again: whoever asks the server
        something at this moment may wait in vain."""
        return self._thread is not None and not self._is_held

    def vouches(self, key: int) -> bool:
        """Whether jobs held under that key are ours for all we know."""
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
                # This thread must outlive whatever a hearer does: without it every job of this
                # process would be an orphan.
                logger.exception("the liveness session failed")
                self._lost(error)
            errors += 1
            # A session that stood is made again at once, before rescuers look a second time
            # (`upkeep.SECOND_LOOK`); what fails right away would make a hot loop.
            if errors > 1 or time.monotonic() - taken_at < HEARTBEAT:
                self._pause(pace(errors))

    def _take(self, session: Session) -> None:
        """Listen, and take the lock; if our own lost session has it still, end that one."""
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
                self._pause(0.1)  # a rescuer has it for a moment, or the server ends the former
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
        """Hear what comes and ask for an answer once a second, until the end; raises when the
        session is lost."""
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
            # Whoever wants to begin is told, unless the session was there a moment ago.
            if not was_held and told is not None:
                self._error = told
                self._news.notify_all()
        if told is not None and told.errno == errno.ETIMEDOUT:
            # Nor will a statement under way be answered.
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
    """A key that nobody else has."""
    return secrets.randbits(63) or 1


def nobody() -> int:
    """A key of no process. Another one each time: a rescuer locks it for a moment, and others
    would take that for a sign of life."""
    return -new_key()


def is_nobody(key: int | None) -> bool:
    """Whether a key is known to be no process's."""
    return key is None or key < 0


def _is_answered(session: Session) -> bool:
    """Whether the whole answer to the last question is in."""
    connection = session.pgconn
    while not connection.is_busy():
        result = connection.get_result()
        if result is None:
            return True
        if result.status not in _ANSWERS:
            raise StoreError(LOST, " ".join(result.get_error_message().split()))
    return False


_ANSWERS: Final = (psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK)
