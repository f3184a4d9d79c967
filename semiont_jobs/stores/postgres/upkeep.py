"""Upkeep: the jobs of dead workers, and the removal of finished ones.

It must not know what becomes of an orphan, or how long finished jobs are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from semiont_jobs.errors import JobDecodeError, JobHeld, JobNotFound
from semiont_jobs.events import Hook
from semiont_jobs.model import FINISHED, AnyJob, JobStatus
from semiont_jobs.stores.postgres.claiming import set_aside
from semiont_jobs.stores.postgres.hold import Office, PostgresHold
from semiont_jobs.stores.postgres.liveness import is_nobody
from semiont_jobs.stores.postgres.rows import text
from semiont_jobs.stores.postgres.sessions import KEEPER_PATIENCE
from semiont_jobs.stores.postgres.taking import GRACE, hold
from semiont_jobs.threads import pause

SECOND_LOOK: Final = 0.2
"""Seconds until a free lock is tried again: an owner that only lost its session, for example to an
administrator, has it again after a few hundredths of a second. A dead owner's jobs are still back
within a second."""
REMOVED_AT_ONCE: Final = 1000
"""Rows of one transaction: few enough that other transactions hardly wait for it."""


def orphans(office: Office, notify: Hook) -> Iterator[PostgresHold]:
    """See `JobStore.orphans`. A holder is dead if the lock of its key can be taken.

    Yields none while this process is cut off from the server: its own jobs come first.
    """
    if office.liveness.is_cut_off:
        return
    values = {
        "grace": GRACE,
        # Without a session of our own no key in the table is ours.
        "mine": office.liveness.key,
        "held": list(office.holds),
    }
    with office.sessions.session(patience=KEEPER_PATIENCE) as session:
        found = session.execute(office.statements.orphans, values).fetchall()
    if any(owner != office.liveness.key and not is_nobody(owner) for _, owner in found):
        pause(SECOND_LOOK)
    for job_id, _owner in found:
        try:
            held = hold(office, job_id)
        except (JobHeld, JobNotFound):
            continue
        except JobDecodeError as error:
            with office.sessions.session(job_id) as session:
                set_aside(office, session, notify, job_id, str(error))
            continue
        if held.job.status == "running":
            yield held
        else:
            held.let_go()


def remove(
    office: Office,
    statuses: Iterable[JobStatus],
    before: datetime,
    removed: Callable[[AnyJob], object],
    type_name: str | None,
) -> None:
    """See `JobStore.remove`."""
    values = {
        "statuses": [status for status in statuses if status in FINISHED],
        "before": before,
        "type": None if type_name is None else text(type_name),
        "limit": REMOVED_AT_ONCE,
    }
    while True:
        with office.sessions.session() as session:
            gone = session.execute(office.statements.remove, values, binary=True).fetchall()
        for job_id, document in gone:
            try:
                removed(office.codec.decode(document, job_id=job_id))
            except JobDecodeError:
                continue  # its columns say that it ended; there is no job to report
        if len(gone) < REMOVED_AT_ONCE:
            return


def remove_one(office: Office, job_id: str) -> AnyJob | None:
    """See `JobStore.remove_one`."""
    values = {"id": job_id, "statuses": list(FINISHED)}
    with office.sessions.session(job_id=job_id) as session:
        gone = session.execute(office.statements.remove_finished, values, binary=True).fetchone()
    return None if gone is None else office.codec.decode(gone[0], job_id=job_id)
