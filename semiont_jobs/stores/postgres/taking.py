"""Taking hold of jobs: their rows are locked, their former holders gone.

It must not know why a job is wanted.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from psycopg import errors

from semiont_jobs.errors import JobDecodeError, JobHeld, JobNotFound
from semiont_jobs.stores.postgres.hold import Office, PostgresHold
from semiont_jobs.stores.postgres.sessions import Session

GRACE: Final = timedelta(seconds=3)
"""After the server released all locks, before any holder counts as dead: owners try again at least
once a second, and come back for their locks."""


def hold(office: Office, job_id: str) -> PostgresHold:
    """See `JobStore.hold`.

    A running job can only be taken from a dead holder: the lock of its key is taken for the same
    transaction, so that the holder cannot come back to life before it is over.
    """
    session = office.sessions.take()
    try:
        with office.sessions.told(job_id):
            return _hold(office, session, job_id)
    except BaseException:
        office.sessions.give_back(session)
        raise


def _hold(office: Office, session: Session, job_id: str) -> PostgresHold:
    try:
        with session.pipeline():
            session.execute("BEGIN")
            cursor = session.execute(office.statements.hold, [job_id], binary=True)
        row = cursor.fetchone()
    except errors.LockNotAvailable:
        raise JobHeld(job_id) from None
    if row is None:
        raise JobNotFound(job_id)
    status, revision, token, owner, is_asked, document = row
    if status == "running" and not _is_orphan(office, session, job_id, owner):
        raise JobHeld(job_id)
    try:
        job = office.codec.decode(document, job_id=job_id, status=status)
    except JobDecodeError as error:
        error.job_id = job_id
        raise
    return PostgresHold(office, job, session=session, mark=(revision, token), is_asked=is_asked)


def _is_orphan(office: Office, session: Session, job_id: str, owner: int | None) -> bool:
    if job_id in office.holds:
        return False
    if owner is None:
        return True
    if owner == office.liveness.key and office.liveness.vouches(owner):
        return True  # ours, but not held here: its claim was let go
    row = session.execute(office.statements.alone, [GRACE, owner]).fetchone()
    return row == (True,)
