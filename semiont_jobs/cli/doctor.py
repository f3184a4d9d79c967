"""The command that checks whether a data directory or database is healthy: doctor.

It must not mend anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import click

from semiont_jobs.cli import doctor_of_databases
from semiont_jobs.cli.app import as_json, open_to_look, place
from semiont_jobs.cli.text import age, counted, json_line, named, plain
from semiont_jobs.errors import SemiontJobsError
from semiont_jobs.fields import now
from semiont_jobs.stores import FileStore
from semiont_jobs.stores.files.inspection import Inspection

LITTLE_SPACE: Final = 100 * 1024 * 1024
"""Bytes. Below this a busy queue of small jobs fills a disk within minutes."""


class NotLookedAt(click.ClickException):
    """The place could not be inspected."""

    exit_code = 2


@click.command()
@as_json
@place
def doctor(as_json: bool) -> None:
    """Look for trouble: locks, rights, invalid files, orphans, old jobs, space; in a database also
    its version, notifications, clock and transactions.

    Changes nothing. Exit codes: 0 healthy, 1 something was found, 2 it cannot be inspected.
    """
    try:
        store: Any = open_to_look().store
        found = store.inspect()
    except (click.ClickException, SemiontJobsError, OSError) as error:
        raise NotLookedAt(str(error)) from error
    if isinstance(store, FileStore):
        checks, figures = list(_checks(found)), _figures(found)
    else:
        checks, figures = (
            list(doctor_of_databases.checks(found)),
            doctor_of_databases.figures(found),
        )
    if as_json:
        click.echo(json_line({"healthy": all(ok for ok, *_ in checks), **figures}))
    else:
        for ok, name, detail in checks:
            click.echo(f"{'ok  ' if ok else 'LOOK'}  {name:<12} {plain(detail)}")
        for path, reason in found.bad:
            click.echo(f"      {plain(path)}: {plain(reason)}")
    click.get_current_context().exit(0 if all(ok for ok, *_ in checks) else 1)


def _checks(found: Inspection) -> Iterator[tuple[bool, str, str]]:
    kept_out = "a second process is kept out"
    yield (
        found.locks_exclude,
        "locks",
        f"{kept_out if found.locks_exclude else 'a second process is NOT kept out'}"
        f" ({found.file_system or 'unknown file system'})",
    )
    yield _rights(found)
    yield not found.bad, "files", counted(len(found.bad), "cannot be read as a job or a journal")
    yield not found.duplicates, "duplicates", named(found.duplicates, "in two folders")
    yield not found.orphans, "orphans", named(found.orphans, "with a dead worker")
    yield not found.quarantined, "quarantine", counted(len(found.quarantined), "set aside")
    # No trouble: every crash may leave one, and the next worker here removes them.
    swept = ", which the next worker removes" if found.leftovers else ""
    yield True, "left over", counted(found.leftovers, f"old files in .tmp{swept}")
    broken_off = doctor_of_databases.broken_off(found.arriving)
    yield not found.arriving, "arriving", broken_off
    yield _journals(found)
    oldest = _oldest_age(found)
    waits = "nothing waits" if found.oldest_due is None else f"the oldest waits {_ago(found)}"
    yield oldest is None or oldest < doctor_of_databases.OLD, "pending", waits
    free = found.free_bytes // (1024 * 1024)
    space = f"{free:,} MiB free{', mounted read-only' if found.is_read_only else ''}"
    yield found.free_bytes >= LITTLE_SPACE and not found.is_read_only, "disk", space


def _rights(found: Inspection) -> tuple[bool, str, str]:
    if not found.forbidden:
        return True, "rights", "this user may change all folders"
    if not found.may_change:  # no trouble: the doctor may run as a separate user
        return True, "rights", "this user may only look"
    folders = ", ".join(found.forbidden)
    return False, "rights", f"this user may change nothing in {folders}"


def _journals(found: Inspection) -> tuple[bool, str, str]:
    files = found.journals
    if not files:
        return True, "journals", "none"
    size = sum(each.bytes for each in files) / (1024 * 1024)
    began = min((each.began for each in files if each.began), default=None)
    oldest = f", the oldest begun {age(began, now())} ago" if began else ""
    conditions = Counter(each.condition for each in files)
    told = ", ".join(f"{count} {name}" for name, count in conditions.items())
    trouble = conditions["kept"] + conditions["to be replayed"]
    return not trouble, "journals", f"{told}; {size:.1f} MiB{oldest}"


def _oldest_age(found: Inspection) -> float | None:
    if found.oldest_due is None:
        return None
    return (now() - found.oldest_due.metadata.due).total_seconds()


def _ago(found: Inspection) -> str:
    assert found.oldest_due is not None
    return f"{age(found.oldest_due.metadata.due, now())} ({found.oldest_due.metadata.id})"


def _figures(found: Inspection) -> dict[str, Any]:
    return {
        "locksExclude": found.locks_exclude,
        "fileSystem": found.file_system,
        "bad": [{"path": path, "reason": reason} for path, reason in found.bad],
        "duplicates": list(found.duplicates),
        "orphans": list(found.orphans),
        "quarantined": list(found.quarantined),
        "leftovers": found.leftovers,
        "arriving": found.arriving,
        "journals": [
            {
                "name": each.name,
                "bytes": each.bytes,
                "began": None if each.began is None else each.began.isoformat(),
                "condition": each.condition,
            }
            for each in found.journals
        ],
        "oldestPendingAge": _oldest_age(found),
        "forbidden": list(found.forbidden),
        "mayChange": found.may_change,
        "isReadOnly": found.is_read_only,
        "freeBytes": found.free_bytes,
    }
