"""Claiming: from the first due unlocked row to a running job that is held.

It must not know how the hold is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Literal

import psycopg

from semiont_jobs import lifecycle
from semiont_jobs.errors import InvalidJob, JobDecodeError, JobEncodeError, StoreError
from semiont_jobs.events import Event, Hook, logger
from semiont_jobs.fields import now as clock
from semiont_jobs.model import ClaimStamp, PendingJob
from semiont_jobs.store import Accept, Wanted
from semiont_jobs.stores.postgres import rows
from semiont_jobs.stores.postgres.hold import Office, PostgresHold
from semiont_jobs.stores.postgres.sessions import Session

PAGE: Final = 100
"""Candidates that are read together for an `accept`: a worker that refuses most of the jobs reads
ten thousand of them in a hundred round trips."""
REMEMBERED: Final = 100_000
"""Refusals kept in memory: a few tens of megabytes; then `accept` is asked again."""


class Claiming:
    """Claims jobs of one schema."""

    def __init__(self, office: Office, notify: Hook) -> None:
        self._office = office
        self._notify = notify
        self._refused: set[tuple[Accept, str, int]] = set()
        self._in_doubt: set[str] = set()

    def claim(self, wanted: Wanted, stamp: ClaimStamp, now: datetime) -> PostgresHold | None:
        """See `JobStore.claim`. Called again with a stamp whose outcome was in doubt, it returns
        what was claimed then, if anything was."""
        office = self._office
        office.liveness.begin()
        if stamp.token in self._in_doubt:
            found = self._claimed_in_doubt(stamp)
            self._in_doubt.discard(stamp.token)
            if found is not None:
                return found
        for statement, values, accepted in self._candidates(wanted, now):
            hold = self._locked(statement, values, wanted, now)
            if hold is None and wanted.accept is None:
                return None
            if not isinstance(hold, PostgresHold):
                continue
            if accepted is not None and hold.job.metadata.revision != accepted:
                hold.let_go()  # changed since it was accepted: in effect another job
            elif self._begin(hold, stamp, now):
                return hold
        return None

    def peek(self, wanted: Wanted, now: datetime) -> PendingJob[Any] | None:
        """See `JobStore.peek`."""
        for job_id, revision, is_asked in self._pages(_values(wanted, now)):
            if is_asked or (wanted.accept, job_id, revision) in self._refused:
                continue
            with suppress(JobDecodeError):
                job = self._read(job_id)
                if (
                    job is not None
                    and _wants(wanted, job, now)
                    and self._accepts(wanted.accept, job)
                ):
                    return job
        return None

    # -- finding -------------------------------------------------------------------------

    def _candidates(
        self, wanted: Wanted, now: datetime
    ) -> Iterator[tuple[bytes, dict[str, Any], int | None]]:
        """Statements that lock one candidate each, in claim order; with an `accept` also the
        revision that it accepted.

        `accept` is asked before the job is locked: it may take long, or need a connection of the
        same pool.
        """
        office, values = self._office, _values(wanted, now)
        if wanted.accept is None:
            while True:
                yield office.statements.next[_filters(values)], values, None
        for job_id, revision, _is_asked in self._pages(values):
            if (wanted.accept, job_id, revision) in self._refused:
                continue
            accepted = None
            with suppress(JobDecodeError):  # it is examined once it is locked
                job = self._read(job_id)
                if job is None or not self._accepts(wanted.accept, job):
                    continue
                accepted = job.metadata.revision
            yield office.statements.pick, {"id": job_id}, accepted

    def _read(self, job_id: str) -> PendingJob[Any] | None:
        """A pending job, not locked; None: it is no longer pending."""
        office = self._office
        with office.sessions.session(job_id) as session:
            row = session.execute(office.statements.get, [job_id], binary=True).fetchone()
        if row is None or row[1] != "pending":
            return None
        job = office.codec.decode(row[0], job_id=job_id, status=row[1])
        return job if isinstance(job, PendingJob) else None

    def _pages(self, values: dict[str, Any]) -> Iterator[tuple[str, int, bool]]:
        office = self._office
        statement = office.statements.page[_filters(values)]
        after: dict[str, Any] = dict(_BEFORE_ALL)
        while True:
            with office.sessions.session() as session:
                cursor = session.execute(statement, {**values, **after})
                page = cursor.fetchall()
            for job_id, revision, is_asked, *_ in page:
                yield job_id, revision, is_asked
            if len(page) < PAGE:
                return
            job_id, _, _, priority, due, created = page[-1]
            after = {"priority": priority, "due": due, "created": created, "id": job_id}

    def _locked(
        self, statement: bytes, values: dict[str, Any], wanted: Wanted, now: datetime
    ) -> PostgresHold | Literal["unwanted"] | None:
        """Lock a candidate, if there is one (else None) and it is wanted."""
        office = self._office
        session = office.sessions.take()
        hold = None
        try:
            with office.sessions.told(None):
                with session.pipeline():
                    session.execute("BEGIN")
                    cursor = session.execute(statement, values, binary=True)
                row = cursor.fetchone()
                if row is None:
                    return None
                job_id, revision, token, is_asked, document = row
                try:
                    job = office.codec.decode(document, job_id=job_id, status="pending")
                except JobDecodeError as error:
                    set_aside(office, session, self._notify, job_id, str(error))
                    return "unwanted"
                assert isinstance(job, PendingJob)
                if not _wants(wanted, job, now):
                    _set_right(office, session, job, document)
                    return "unwanted"
            hold = PostgresHold(
                office, job, session=session, mark=(revision, token), is_asked=is_asked
            )
        finally:
            if hold is None:
                office.sessions.give_back(session)
        return hold

    def _accepts(self, accept: Accept | None, job: PendingJob[Any]) -> bool:
        if accept is None or accept(job):
            return True
        if len(self._refused) >= REMEMBERED:
            self._refused.clear()
        self._refused.add((accept, job.metadata.id, job.metadata.revision))
        return False

    # -- taking --------------------------------------------------------------------------

    def _begin(self, hold: PostgresHold, stamp: ClaimStamp, now: datetime) -> bool:
        """Make a locked job running; False: it is not running, and another is to be tried."""
        job = hold.job
        assert isinstance(job, PendingJob)
        try:
            if not hold.cancel_requested():
                hold.move(lifecycle.claim(job, stamp, now))
                return True
            # Requested of a worker that died before it could stop.
            cancelled = lifecycle.cancel(job, now)
            hold.move(cancelled)
        except (InvalidJob, JobEncodeError) as error:
            # It can be read, but what a claim adds makes it too large to be written. No claimer
            # could ever take it, and it must not block the jobs behind it. It stays locked until
            # then: a claimer with a shorter name might manage.
            try:
                hold.set_aside(str(error))
            finally:
                hold.let_go()
            self._notify(quarantined(job.metadata.id, str(error)))
            return False
        except StoreError:
            self._in_doubt.add(stamp.token)
            hold.let_go()
            raise
        except BaseException:
            hold.let_go()
            raise
        self._notify(Event(name="cancelled", at=now, job_id=job.metadata.id, job=cancelled))
        return False

    def _claimed_in_doubt(self, stamp: ClaimStamp) -> PostgresHold | None:
        office = self._office
        with office.sessions.session() as session:
            query = office.statements.claimed
            values = [office.liveness.key, stamp.token]
            row = session.execute(query, values, binary=True).fetchone()
        if row is None:
            return None
        job_id, revision, owner, document = row
        job = office.codec.decode(document, job_id=job_id, status="running")
        hold = PostgresHold(office, job, session=None, mark=(revision, stamp.token), is_asked=False)
        return hold if hold.adopt(owner) else None


def _wants(wanted: Wanted, job: PendingJob[Any], now: datetime) -> bool:
    """Decided again from the locked row."""
    metadata = job.metadata
    return wanted.covers(metadata.type, metadata.queue) and metadata.is_due(now)


def _set_right(office: Office, session: Session, job: PendingJob[Any], document: bytes) -> None:
    """Make a row's columns match its document, and end the transaction.

    They were changed by hand. If they stayed so, each search for the next job would find this one
    again, and nothing behind it. (Or they do match: the job was snoozed while an `accept` was asked
    about it.)
    """
    was = session.execute(office.statements.set_right, rows.columns(job, document)).rowcount
    session.execute("COMMIT")
    if was != 1:
        return
    logger.warning(
        "the row of job %s was changed by hand: its columns say again what its document says",
        job.metadata.id,
    )
    # Some idle workers may want it as it is.
    office.news()
    with suppress(psycopg.Error):
        session.execute(office.statements.notify, [""])


def set_aside(office: Office, session: Session, notify: Hook, job_id: str, reason: str) -> None:
    """Move a row that is not a valid job to quarantine, and end the transaction."""
    session.execute(office.statements.set_aside, {"id": job_id, "reason": rows.printable(reason)})
    session.execute("COMMIT")
    notify(quarantined(job_id, reason))


def quarantined(job_id: str, reason: str) -> Event:
    """The event of a move to quarantine."""
    return Event(name="quarantined", at=clock(), job_id=job_id, job=None, reason=reason)


def _filters(values: dict[str, Any]) -> tuple[bool, bool]:
    """Which variant of a statement: one that filters by type, by queue."""
    return (values["types"] is not None, values["queue"] is not None)


def _values(wanted: Wanted, now: datetime) -> dict[str, Any]:
    return {
        "now": now,
        "types": None if wanted.types is None else [rows.text(name) for name in wanted.types],
        "runs": [rows.text(name) for name in wanted.runs],
        "queue": None if wanted.queue is None else rows.text(wanted.queue),
        "limit": PAGE,
    }


_BEFORE_ALL: Final = {"priority": -(2**63), "due": "-infinity", "created": "-infinity", "id": ""}
