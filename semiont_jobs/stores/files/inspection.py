"""Inspecting a data directory without changing anything: what the doctor reports.

It must not repair anything.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from typing import Final

from attrs import frozen

from semiont_jobs.fields import now
from semiont_jobs.model import STATUSES, AnyJob, JobStatus
from semiont_jobs.stores.files.copies import BUSY, ODD_NAME, Bad, Copies
from semiont_jobs.stores.files.descriptors import Descriptor
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.journal.state import JournalState, journals, odd
from semiont_jobs.stores.files.layout import Layout, file_system_of, id_of
from semiont_jobs.stores.files.moves import jobs_below
from semiont_jobs.stores.files.sweep import TMP_GRACE

PROBE_TIMEOUT: Final = 60.0
"""Seconds for a second Python to start and try a lock: a loaded machine takes a few."""

_TRY_LOCK: Final = (
    "import os, sys; from filelock import lock_descriptor; "
    "print(lock_descriptor(os.open(sys.argv[1], int(sys.argv[2])), blocking=False))"
)


@frozen(kw_only=True)
class Inspection:
    """What is in a data directory. Paths are relative to its ``jobs`` folder."""

    bad: tuple[tuple[str, str], ...]
    """Entries of the five folders that are not valid jobs, and of ``.journal`` that are not
    journals, and why."""
    duplicates: tuple[str, ...]
    """Ids in two folders: debris of a crash, which the next actor to touch them settles."""
    orphans: tuple[str, ...]
    """Running jobs whose worker is dead; the next worker that looks rescues them."""
    leftovers: int
    """Old files in ``.tmp``."""
    quarantined: tuple[str, ...]
    """What was moved to quarantine."""
    arriving: int
    """Jobs of a transfer that was interrupted."""
    journals: tuple[JournalState, ...]
    """Files in ``.journal``."""
    oldest_due: AnyJob | None
    """Of the due jobs, the one that has waited longest."""
    locks_exclude: bool
    """Whether a second process was kept out of a locked file."""
    file_system: str
    forbidden: tuple[str, ...]
    """Folders in which this user may change nothing."""
    may_change: bool
    """Whether it may change something in others."""
    is_read_only: bool
    """Whether no user can write there, as when Linux remounts a disk that has failed."""
    free_bytes: int


def inspect(layout: Layout, copies: Copies) -> Inspection:
    """Inspect the directory. Missing folders count as empty: looking does not make them."""
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
    bad += [(f".journal/{name}", reason) for name, reason in odd(copies).items()]
    allowed = _allowed(layout)
    running = [job_id for job_id, statuses in places.items() if statuses == ["running"]]
    return Inspection(
        bad=tuple(bad),
        duplicates=tuple(
            job_id
            for job_id, statuses in places.items()
            if len(statuses) > 1 and _are_debris(copies, job_id, statuses)
        ),
        orphans=tuple(job_id for job_id in running if _is_orphan(copies, job_id)),
        leftovers=_leftovers(layout, copies),
        quarantined=tuple(
            sorted(
                name for name in copies.disk.names(layout.quarantine) if not name.endswith(".why")
            )
        ),
        arriving=len(jobs_below(copies.disk, layout.arriving)),
        journals=journals(copies),
        oldest_due=min(
            (job for job in pending if places[job.metadata.id] == ["pending"]),
            key=lambda job: job.metadata.due,
            default=None,
        ),
        locks_exclude=second_process_is_kept_out(layout, copies),
        file_system=file_system_of(layout.root),
        forbidden=tuple(name for name, may in allowed.items() if not may),
        may_change=any(allowed.values()),
        is_read_only=bool(os.statvfs(layout.root).f_flag & os.ST_RDONLY),
        free_bytes=shutil.disk_usage(layout.root).free,
    )


def second_process_is_kept_out(layout: Layout, copies: Copies) -> bool:
    """Lock a file here, and try its lock in another process.

    Only such a probe locks the format file, so no other process has to wait. If only the TypeScript
    package has worked here, there is none, and the ``jobs`` folder serves.
    """
    disk = copies.disk
    path = layout.format if disk.exists(layout.format) else layout.root
    fd, mode = _opened_to_lock(disk, path)
    try:
        if not disk.lock(fd):
            return True  # another doctor has it, and we are the second process
        return not _another_process_locks(disk, path, mode)
    finally:
        disk.close(fd)


def _another_process_locks(disk: Disk, path: str, mode: int) -> bool:
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _TRY_LOCK, path, str(mode)],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT,
            check=False,
        )
    except PermissionError:
        # This user may not start Python. A second open file of this process is kept out as another
        # process is, if locks belong to the open file, as they must.
        second, _mode = _opened_to_lock(disk, path)
        try:
            return disk.lock(second)
        finally:
            disk.close(second)
    return answer.stdout.strip() != "False"


def _opened_to_lock(disk: Disk, path: str) -> tuple[int, int]:
    """A descriptor to lock, and how it was opened.

    It is for writing if possible, since some network file systems lock no other.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC), os.O_RDWR
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EROFS, errno.EISDIR):
            raise
    return disk.open_to_read(path), os.O_RDONLY


def _is_orphan(copies: Copies, job_id: str) -> bool:
    held = copies.hold_at("running", job_id)
    if not isinstance(held, Descriptor):
        return False
    try:
        copy = copies.read_held(held, "running", job_id)
    finally:
        copies.close(held)
    # If there is no claim of ours, the TypeScript package runs it, which takes no lock.
    return not isinstance(copy, Bad) and copy.job.metadata.claim is not None


def _are_debris(copies: Copies, job_id: str, statuses: list[JobStatus]) -> bool:
    """Whether several copies of a job still exist, and no process is just moving it."""
    standing = 0
    for status in statuses:
        held = copies.hold_at(status, job_id)
        if held == BUSY:
            return False
        standing += held is not None
        if isinstance(held, Descriptor):
            copies.close(held)
    return standing > 1


def _allowed(layout: Layout) -> dict[str, bool]:
    """For each folder that exists, whether this user may change what is in it."""
    folders = (
        *layout.folders.values(),
        layout.tmp,
        layout.cancel,
        layout.quarantine,
        layout.journal,
        layout.arriving,
    )
    return {
        os.path.basename(folder): os.access(folder, os.W_OK | os.X_OK)
        for folder in folders
        if os.path.isdir(folder)
    }


def _leftovers(layout: Layout, copies: Copies) -> int:
    count = 0
    for name in copies.disk.names(layout.tmp):
        with suppress(FileNotFoundError):  # its writer has finished
            found = copies.disk.stat(os.path.join(layout.tmp, name))
            count += time.time() - found.st_mtime >= TMP_GRACE
    return count
