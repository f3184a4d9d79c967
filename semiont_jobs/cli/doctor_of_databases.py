"""What the doctor reports about a database.

It must not query the server: that is done already.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from semiont_jobs.cli.text import age, counted, named
from semiont_jobs.fields import now

if TYPE_CHECKING:
    from semiont_jobs.stores.postgres.inspection import DatabaseInspection

OLD: Final = 3600.0
"""Seconds. If a due job has waited for an hour, no worker wants it, or there are too few."""
FAR: Final = 5.0
"""Difference of two clocks, in seconds, beyond which delayed jobs begin at a surprising time. The
claimer's clock decides."""


def checks(found: DatabaseInspection) -> Iterator[tuple[bool, str, str]]:
    """For each check: whether it passed, its name, and what was found."""
    tested = "" if found.is_tested else ", which this version was not tested on"
    yield found.is_tested, "server", f"PostgreSQL {found.server}{tested}"
    yield True, "schema", f"version {found.schema_version}"
    kept_out = "is kept out" if found.locks_exclude else "is NOT kept out"
    yield found.locks_exclude, "locks", f"a second session {kept_out}"
    arrives = "arrive" if found.is_notified else "do NOT arrive: workers look every second instead"
    yield found.is_notified, "news", f"notifications {arrives}"
    yield not found.bad, "rows", counted(len(found.bad), "cannot be read as a job")
    yield not found.orphans, "orphans", named(found.orphans, "with a dead worker")
    yield not found.quarantined, "quarantine", counted(len(found.quarantined), "set aside")
    yield not found.arriving, "arriving", broken_off(found.arriving)
    waits = _waiting(found)
    yield waits is None or waits < OLD, "pending", _oldest(found)
    idle = found.idle_transactions
    yield not idle, "transactions", counted(idle, "idle for minutes, which keeps dead rows")
    ahead = found.clock_ahead
    apart = f"the server's is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    yield abs(ahead) < FAR, "clocks", apart
    yield True, "size", f"{found.bytes_used // (1024 * 1024):,} MiB"


def broken_off(arriving: int) -> str:
    """The report on so many jobs that arrived and are not admitted."""
    again = ": run it again, from the same place" if arriving else ""
    return counted(arriving, f"of a transfer that was broken off{again}")


def figures(found: DatabaseInspection) -> dict[str, Any]:
    """The same for programs."""
    return {
        "server": found.server,
        "isTested": found.is_tested,
        "schemaVersion": found.schema_version,
        "locksExclude": found.locks_exclude,
        "isNotified": found.is_notified,
        "bad": [{"id": job_id, "reason": reason} for job_id, reason in found.bad],
        "orphans": list(found.orphans),
        "quarantined": list(found.quarantined),
        "arriving": found.arriving,
        "oldestPendingAge": _waiting(found),
        "idleTransactions": found.idle_transactions,
        "clockAhead": found.clock_ahead,
        "bytesUsed": found.bytes_used,
    }


def _waiting(found: DatabaseInspection) -> float | None:
    return None if found.oldest_due is None else (now() - found.oldest_due[1]).total_seconds()


def _oldest(found: DatabaseInspection) -> str:
    if found.oldest_due is None:
        return "nothing waits"
    job_id, since = found.oldest_due
    return f"the oldest waits {age(since, now())} ({job_id})"
