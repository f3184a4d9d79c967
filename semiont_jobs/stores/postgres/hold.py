"""The PostgreSQL store's `Hold`: a row locked for a moment, or a claim for as long as a job runs.

It must not know how the hold was acquired.

A hold begins as a transaction in which the job's row is locked. Once it has made the job running,
it is a claim. A claim has no transaction, but two other things: the lock that shows that this
process lives (`liveness`), and the token in the row, which fences every operation of the holder. A
hold whose connection broke is in doubt: its last write may have succeeded or not; its next write
replaces either.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
from attrs import define, frozen

from semiont_jobs.codec import Codec, Written
from semiont_jobs.errors import ClaimLost, QueueClosed, StoreError
from semiont_jobs.model import AnyJob, PendingJob, RunningJob
from semiont_jobs.stores.postgres import rows
from semiont_jobs.stores.postgres.liveness import Liveness
from semiont_jobs.stores.postgres.rows import Statements
from semiont_jobs.stores.postgres.sessions import KEEPER_PATIENCE, Session, Sessions
from semiont_jobs.threads import pop_entry


@define(kw_only=True, eq=False)
class Office:
    """What the parts of a store share, from when it is opened until it is closed."""

    sessions: Sessions
    statements: Statements
    codec: Codec
    liveness: Liveness
    holds: dict[str, PostgresHold]
    """The claims of this store object, by job id: any other job is not held here."""
    news: Callable[[], None]
    """Wakes this process's idle workers."""
    is_over: bool = False
    """The store was closed: a thread inside an operation finishes it, but claims nothing more."""

    def close(self) -> None:
        """Let go of every claim that no thread is storing at this moment. The lock and the sessions
        go with the last of the others: without them another process would take its job for an
        orphan."""
        # First: a thread that begins to hold a job records that, and checks this afterwards.
        self.is_over = True
        for hold in list(self.holds.values()):
            hold.let_go_if_idle()
        self.leave()

    def leave(self) -> None:
        """Note that a claim has ended. After the last one, the lock and the sessions go."""
        if self.is_over and not self.holds:
            self.liveness.end()
            self.sessions.close()


@frozen
class Seen:
    """What was seen of a held job."""

    stands: bool
    is_asked: bool


class PostgresHold:
    """Ownership of one row.

    :param session: a connection with a transaction in which the row is locked; None: a claim.
    :param mark: the revision and the token in the row as it was found.
    """

    def __init__(
        self,
        office: Office,
        job: AnyJob,
        *,
        session: Session | None,
        mark: tuple[int, str | None],
        is_asked: bool,
    ) -> None:
        self._office = office
        self.job = job
        self._session = session
        self._base = mark
        self._token = secrets.token_hex(12)
        self._tried: list[int] = []
        self._owner: int | None = None
        self._params: Written | None = None
        self._is_asked = is_asked
        self._seen: Seen | None = None
        self._is_parents = False
        self._is_at_work = False

    # -- moving --------------------------------------------------------------------------

    def move(self, job: AnyJob) -> None:
        """See `Hold.move`.

        :raises QueueClosed: the store was closed in the middle of a claim.
        """
        was = self._is_at_work
        try:
            self._is_at_work = True
            self._move(job)
        finally:
            self._is_at_work = was

    def _move(self, job: AnyJob) -> None:
        office = self._office
        was = self.job
        if self._is_parents:
            raise ClaimLost(job.metadata.id, "the process that claimed it forked this one")
        if self._params is None or was.status != "running":
            self._params = office.codec.written_params(job)
        is_update = job.status == was.status == "running"
        document = office.codec.encode(job, params=self._params, is_update=is_update)
        values = rows.columns(job, document)
        values["keeps_asked"] = (
            isinstance(job, PendingJob | RunningJob) and job.metadata.life == was.metadata.life
        )
        if isinstance(job, RunningJob):
            self._own(job)
        values.update(
            token=self._token,
            owner=self._owner if isinstance(job, RunningJob) else None,
            base=self._base[0],
            base_token=self._base[1],
            tried=self._tried,
        )
        try:
            found = self._write(values)
        except StoreError:
            # In doubt: it may have been stored all the same.
            self._tried.append(values["revision"])
            self._leave_session(broken=True)
            if not isinstance(was, RunningJob):
                self._disown()
            raise
        if not found:
            self.let_go()
            raise ClaimLost(job.metadata.id, "somebody else moved or removed the job")
        self._base, self._tried, self.job = (values["revision"], self._token), [], job
        if not isinstance(job, RunningJob):
            self.let_go()

    def leave(self, statement: bytes, target: str) -> None:
        """Remove the job by a statement that records where it goes; the hold ends."""
        self._finish(statement, {"id": self.job.metadata.id, "target": target})

    def set_aside(self, reason: str) -> None:
        """Move the row, which no claim can take, to quarantine; the hold ends."""
        values = {"id": self.job.metadata.id, "reason": rows.printable(reason)}
        self._finish(self._office.statements.set_aside, values)

    def _finish(self, statement: bytes, values: Any) -> None:
        """Execute the last statement on the locked row."""
        session = self._session
        assert session is not None
        with self._office.sessions.told(self.job.metadata.id):
            session.execute(statement, values)
            session.execute("COMMIT")
        self.let_go()

    def let_go(self) -> None:
        """See `Hold.let_go`."""
        self._leave_session()
        self._disown()

    def let_go_if_idle(self) -> None:
        """Let go of it, unless a thread is storing the job now: that thread uses the session."""
        if not self._is_at_work:
            self.let_go()

    def abandon(self) -> None:
        """In a forked child: leave the job to the parent."""
        self._is_parents, self._session, self._owner = True, None, None

    def adopt(self, owner: int) -> bool:
        """Continue as the claim whose answer was lost; False: it is too late for that."""
        job = self.job
        if not isinstance(job, RunningJob) or not self._office.liveness.vouches(owner):
            return False
        self._own(job)
        if self._owner != owner:
            self._disown()
        return self._owner == owner

    def _own(self, job: RunningJob[Any, Any]) -> None:
        """Prepare before the row says that this process has the job: no process may take it for an
        orphan, and its mark from now on is the claim's token."""
        if self._owner is None:
            self._owner = self._office.liveness.begin()
            if job.metadata.claim is not None:
                self._token = job.metadata.claim.token
            self._office.holds[job.metadata.id] = self
            if self._office.is_over:
                self._disown()
                raise QueueClosed("the queue was closed")

    def _disown(self) -> None:
        holds, job_id = self._office.holds, self.job.metadata.id
        if holds.get(job_id) is self:
            pop_entry(holds, job_id, self)
        self._owner = None
        self._office.leave()

    def _write(self, values: dict[str, Any]) -> bool:
        office, session = self._office, self._session
        job_id = self.job.metadata.id
        wakes = values["status"] == "pending"
        if session is None:
            with office.sessions.session(job_id) as session:
                found = session.execute(office.statements.put, values).rowcount == 1
                if wakes:
                    self._tell(session)
            return found
        with office.sessions.told(job_id):
            with session.pipeline():
                written = session.execute(office.statements.put, values)
                session.execute("COMMIT")
            found = written.rowcount == 1
            if wakes:
                self._tell(session)
        self._leave_session()
        return found

    def _tell(self, session: Session) -> None:
        """Wake idle workers. The job is stored: an error here is not a failure."""
        self._office.news()
        with suppress(psycopg.Error):
            session.execute(self._office.statements.notify, [""])

    def _leave_session(self, *, broken: bool = False) -> None:
        session, self._session = self._session, None
        if session is not None:
            if broken:
                session.close()
            self._office.sessions.give_back(session)

    # -- looking -------------------------------------------------------------------------

    def is_standing(self) -> bool:
        """See `Hold.is_standing`."""
        # `Claim.watch` asks both questions, one after the other: one query answers them.
        seen, self._seen = self._seen, None
        return (seen or self._look()).stands

    def cancel_requested(self) -> bool:
        """See `Hold.cancel_requested`."""
        if self._session is not None:
            return self._is_asked  # as the locked row says
        seen = self._seen = self._look()
        return seen.is_asked  # not `_seen`, which another thread may take

    def _look(self) -> Seen:
        office = self._office
        if self._session is not None:
            return Seen(stands=True, is_asked=self._is_asked)
        if self._owner is None or not office.liveness.vouches(self._owner):
            return Seen(stands=False, is_asked=False)
        if office.liveness.is_cut_off:
            return Seen(stands=True, is_asked=False)
        job_id = self.job.metadata.id
        try:
            with office.sessions.session(job_id, patience=KEEPER_PATIENCE) as session:
                row = session.execute(office.statements.look, [job_id]).fetchone()
        except StoreError:
            # The server is unreachable. As far as we know the job is ours until we give up our
            # lock; its code must not fail because of that.
            return Seen(stands=office.liveness.vouches(self._owner), is_asked=False)
        if row is None:
            return Seen(stands=False, is_asked=False)
        is_asked, revision, token = row
        stands = (revision, token) == self._base or (
            token == self._token and revision in self._tried
        )
        return Seen(stands=stands, is_asked=stands and is_asked)
