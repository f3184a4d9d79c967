"""The server's errors as this library's: one line, an errno, which job.

It must not know what was being done.
"""

from __future__ import annotations

import errno
from typing import Final

import psycopg
from psycopg import errors
from psycopg_pool import PoolTimeout

from semiont_jobs.errors import StoreError

LOST: Final = errno.EAGAIN
"""For a connection that broke in the middle of something. `retry.TRANSIENT` includes it: the same
call may be made again, on another connection."""

_ENDED: Final = ("25P03", "25P04")
"""For a session that the server ended for its ``idle_in_transaction_session_timeout`` or
``transaction_timeout``: by class these are errors of a transaction."""

_BY_CLASS: Final[tuple[tuple[type[psycopg.Error], int, str], ...]] = (
    (PoolTimeout, errno.ETIMEDOUT, "no connection to the server could be had in time"),
    (errors.InsufficientPrivilege, errno.EACCES, "rights are missing"),
    (errors.ReadOnlySqlTransaction, errno.EROFS, "nothing may be changed here"),
    (errors.LockNotAvailable, errno.EBUSY, "somebody has held the job's row for too long"),
    (errors.DiskFull, errno.ENOSPC, "the server's disk is full"),
    (errors.TooManyConnections, errno.EAGAIN, "the server takes no more connections"),
    (errors.DeadlockDetected, errno.EAGAIN, "two transactions waited for each other"),
    (errors.SerializationFailure, errno.EAGAIN, "another transaction was first"),
    (errors.InvalidSchemaName, errno.ENOENT, "the schema is not there"),
    (errors.UndefinedTable, errno.ENOENT, "the schema's tables are not there"),
)
_BY_TEXT: Final[tuple[tuple[str, int, str], ...]] = (
    # Before there is a session, an error has no code in older drivers: its message decides.
    ("authentication failed", errno.EACCES, "the server does not let this user in"),
    ("no password supplied", errno.EACCES, "the server does not let this user in"),
    ("no pg_hba.conf entry", errno.EACCES, "the server does not let this user in"),
    ("pg_hba.conf rejects", errno.EACCES, "the server does not let this user in"),
    ("not permitted to log in", errno.EACCES, "the server does not let this user in"),
    ("permission denied", errno.EACCES, "the server does not let this user in"),
    ("does not exist", errno.ENOENT, "there is no such database or user"),
    ("too many clients", errno.EAGAIN, "the server takes no more connections"),
    ("timeout", errno.ETIMEDOUT, "the server does not answer"),
)


def store_error(
    error: psycopg.Error, place: str, *, job_id: str | None = None, connecting: bool = False
) -> StoreError:
    """An error of the server or the connection, as a `StoreError` of that job."""
    text = " ".join(str(error).split())
    for kind, code, reason in _BY_CLASS:
        if isinstance(error, kind):
            return StoreError(code, f"{reason} ({text})", place, job_id=job_id)
    if connecting:
        for words, code, reason in _BY_TEXT:
            if words in text:
                return StoreError(code, f"{reason} ({text})", place, job_id=job_id)
        return StoreError(
            errno.ECONNREFUSED, f"there is no way to the server ({text})", place, job_id=job_id
        )
    if is_loss(error):
        return StoreError(LOST, f"the connection was lost ({text})", place, job_id=job_id)
    return StoreError(errno.EIO, f"the server refused ({text})", place, job_id=job_id)


def is_loss(error: psycopg.Error) -> bool:
    """Whether an error means that its connection is broken."""
    if isinstance(error, errors.QueryCanceled | errors.LockNotAvailable | PoolTimeout):
        return False
    state = error.sqlstate or ""
    return state in _ENDED or (
        isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        and (state == "" or state.startswith(("08", "57P")))
    )
