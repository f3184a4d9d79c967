"""Creating jobs: one row, or many at once, all or none; also in a transaction of the caller's.

It must not know what the jobs are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.pq import PipelineStatus

from semiont_jobs.errors import InvalidValue, JobExists
from semiont_jobs.stores.postgres.rows import COPIED, Statements

FEW: Final = 3
"""Up to so many rows, one statement each is faster than a COPY, which takes four round trips."""


def check_connection(connection: object) -> None:
    """Refuse a caller's connection on which jobs cannot be written.

    :raises InvalidValue: it is not a connection, or its state or settings do not fit.
    """
    if not isinstance(connection, psycopg.Connection) or connection.closed:
        rule = "an open psycopg.Connection is needed"
    elif connection.info.encoding != "utf-8":
        rule = "its client_encoding must be UTF8: not every text can be written in another"
    elif connection.pgconn.pipeline_status != PipelineStatus.OFF:
        # The result of a statement would not be known before the caller's next sync: neither
        # whether the job existed already, nor whether it was stored.
        rule = "it is in pipeline mode, in which no answer comes in time"
    else:
        return
    raise InvalidValue(rule, field="connection", value=connection)


def insert(
    session: psycopg.Connection[Any], statements: Statements, batch: Mapping[str, dict[str, Any]]
) -> None:
    """Store new rows in order, all or none, in a transaction of its own, or as a part of the one
    that is open.

    :raises JobExists: one of them exists.
    """
    # Not `session.cursor()`: a caller's connection may create cursors with other placeholders.
    with session.transaction(), psycopg.Cursor(session) as cursor:
        if len(batch) > FEW:
            _copy(cursor, statements, batch)
            return
        for job_id, row in batch.items():
            cursor.execute(statements.create, row)
            if cursor.rowcount != 1:
                raise JobExists(job_id)


def _copy(
    cursor: psycopg.Cursor[Any], statements: Statements, batch: Mapping[str, dict[str, Any]]
) -> None:
    try:
        with cursor.copy(statements.copy) as copy:
            for row in batch.values():
                # Not as bytes: if `standard_conforming_strings` is off, psycopg doubles their
                # backslashes, and the server would store something else.
                written = {**row, "document": f"\\x{row['document'].hex()}"}
                copy.write_row([written[column] for column in COPIED])
    except errors.UniqueViolation as error:
        found = re.search(r"=\(([A-Za-z0-9_-]+)\)", error.diag.message_detail or "")
        raise JobExists(found[1] if found else next(iter(batch))) from error
