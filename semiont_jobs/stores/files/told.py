"""Telling the disk's errors: which job, which file, in this library's own class.

It must not know what was being done.
"""

from __future__ import annotations

import errno
import os
import stat

from semiont_jobs.errors import SemiontJobsError, StoreError


class told:  # noqa: N801 - reads as a statement: `with told(job_id):`
    """Raise what the disk refuses in this block as a `StoreError` of that job."""

    __slots__ = ("_job_id",)

    def __init__(self, job_id: str | None = None) -> None:
        self._job_id = job_id

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, SemiontJobsError):
            raise store_error(error, self._job_id) from error


def store_error(error: OSError, job_id: str | None = None) -> StoreError:
    """What the disk refused as a `StoreError` of that job.

    For the hottest paths, where entering and leaving `told` shows in a profile.
    """
    reason = error.strerror or str(error)
    if error.errno == errno.EACCES and isinstance(error.filename, str):
        reason += _whose(error.filename)
    return StoreError(error.errno or errno.EIO, reason, error.filename, job_id=job_id)


def _whose(path: str) -> str:
    """Who owns what this user may not use, or the first folder on the way to it that can be seen:
    where a web server and its workers are two users, that is what has gone wrong."""
    while True:
        try:
            found = os.lstat(path)
            break
        except OSError:
            above = os.path.dirname(path)
            if above in ("", path):
                return ""
            path = above
    if found.st_uid == os.geteuid():
        return ""
    mode = stat.S_IMODE(found.st_mode)
    owner, own = _name_of(found.st_uid), _name_of(os.geteuid())
    return f" to {own}: {path} is of {owner}, with mode {mode:04o} (see dir_mode and file_mode)"


def _name_of(user: int) -> str:
    import pwd  # which Windows has not, and no store of files either

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
