"""Looking over a data directory without changing a job: what the doctor reports.

It must not mend anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import Final

from attrs import frozen

from semiont_jobs.fields import now
from semiont_jobs.model import STATUSES, AnyJob, JobStatus
from semiont_jobs.stores.files.copies import ODD_NAME, Bad, Copies
from semiont_jobs.stores.files.descriptors import Descriptor
from semiont_jobs.stores.files.layout import Layout, file_system_of, id_of
from semiont_jobs.stores.files.sweep import TMP_GRACE

PROBE_TIMEOUT: Final = 60.0
"""Seconds for a second Python to start and try a lock: a loaded machine takes a few."""

_TRY_LOCK: Final = (
    "import os, sys; from filelock import lock_descriptor; "
    "print(lock_descriptor(os.open(sys.argv[1], os.O_RDWR), blocking=False))"
)


@frozen(kw_only=True)
class Inspection:
    """What stands in a data directory. Paths are relative to its ``jobs`` folder."""

    bad: tuple[tuple[str, str], ...]
    """Entries of the five folders that are no jobs, and why."""
    duplicates: tuple[str, ...]
    """Ids that stand in two folders: debris of a crash, which the next to touch them settles."""
    orphans: tuple[str, ...]
    """Running jobs whose worker is dead; the next worker to look rescues them."""
    leftovers: int
    """Old files in ``.tmp``."""
    quarantined: tuple[str, ...]
    """What was set aside."""
    oldest_due: AnyJob | None
    """The job that has waited longest of those that are due."""
    locks_exclude: bool
    """Whether a second process was kept out of a locked file."""
    file_system: str
    free_bytes: int


def inspect(layout: Layout, copies: Copies) -> Inspection:
    """Look. Nothing but the probe of the locks writes, and that only into ``.tmp``."""
    places: dict[str, list[JobStatus]] = {}
    bad: list[tuple[str, str]] = []
    pending: list[AnyJob] = []
    at = now()
    for status in STATUSES:
        for name in sorted(copies.disk.names(layout.folders[status])):
            job_id = id_of(name)
            copy = ODD_NAME if job_id is None else copies.read(status, job_id)
            if isinstance(copy, Bad):
                bad.append((f"{status}/{name}", copy.reason))
            elif copy is not None and job_id is not None:
                places.setdefault(job_id, []).append(status)
                if status == "pending" and copy.job.metadata.is_due(at):
                    pending.append(copy.job)
    running = [job_id for job_id, statuses in places.items() if statuses == ["running"]]
    return Inspection(
        bad=tuple(bad),
        duplicates=tuple(job_id for job_id, statuses in places.items() if len(statuses) > 1),
        orphans=tuple(job_id for job_id in running if _is_orphan(copies, job_id)),
        leftovers=_leftovers(layout),
        quarantined=tuple(
            sorted(name for name in os.listdir(layout.quarantine) if not name.endswith(".why"))
        ),
        oldest_due=min(pending, key=lambda job: job.metadata.due, default=None),
        locks_exclude=second_process_is_kept_out(layout, copies),
        file_system=file_system_of(layout.root),
        free_bytes=shutil.disk_usage(layout.root).free,
    )


def second_process_is_kept_out(layout: Layout, copies: Copies) -> bool:
    """Lock a file here and try its lock in another process."""
    path = os.path.join(layout.tmp, f"probe-{os.urandom(6).hex()}")
    fd = copies.disk.create(path, 0o600)
    try:
        copies.disk.lock(fd)
        answer = subprocess.run(
            [sys.executable, "-c", _TRY_LOCK, path],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT,
            check=False,
        )
    finally:
        copies.disk.close(fd)
        copies.disk.unlink(path)
    return answer.stdout.strip() == "False"


def _is_orphan(copies: Copies, job_id: str) -> bool:
    held = copies.hold_at("running", job_id)
    if not isinstance(held, Descriptor):
        return False
    try:
        copy = copies.read_held(held, "running", job_id)
    finally:
        copies.close(held)
    # Without a claim of ours the TypeScript package runs it, which takes no lock.
    return not isinstance(copy, Bad) and copy.job.metadata.claim is not None


def _leftovers(layout: Layout) -> int:
    return sum(time.time() - entry.stat().st_mtime >= TMP_GRACE for entry in os.scandir(layout.tmp))
