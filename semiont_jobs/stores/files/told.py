"""Reporting the disk's errors: which job, which file, in this library's own class.

It must not know what was being done.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import PurePath

from semiont_jobs.errors import SemiontJobsError, StoreError
from semiont_jobs.stores.files.layout import Layout


class told:  # noqa: N801 - reads as a statement: `with told(layout, job_id):`
    """Raise what the disk refuses in this block as a `StoreError` of that job."""

    __slots__ = ("_job_id", "_layout")

    def __init__(self, layout: Layout, job_id: str | None = None) -> None:
        self._layout = layout
        self._job_id = job_id

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, OSError) and is_disks(error):
            raise store_error(error, self._layout, self._job_id) from error


def is_disks(error: OSError) -> bool:
    """Whether the system raised this error, and no other code did.

    What a signal handler or `Wanted.accept` raises, such as a `TimeoutError`, has no number.
    """
    return error.errno is not None and not isinstance(error, SemiontJobsError)


def store_error(error: OSError, layout: Layout, job_id: str | None = None) -> StoreError:
    """The disk's error as a `StoreError` of that job.

    For the hottest paths, where entering and leaving `told` shows in a profile.
    """
    reason = error.strerror or str(error)
    # A write error has no path, and must say which of many directories has the full disk.
    path = layout.data_dir if error.filename is None else error.filename
    if error.errno == errno.EACCES:
        # For `link` and `rename` it may be either name.
        for each in (error.filename, error.filename2):
            barred = _barred(each) if isinstance(each, str) else None
            if barred is not None:
                path, reason = each, reason + _whose(barred)
                break
    return StoreError(error.errno or errno.EIO, reason, path, job_id=job_id)


def _whose(barred: str) -> str:
    """The owner and the mode of what keeps this user out.

    If a web server and its workers are two users, that is what has gone wrong.
    """
    found = os.lstat(barred)
    mode = stat.S_IMODE(found.st_mode)
    owner, own = _name_of(found.st_uid), _name_of(os.geteuid())
    return f" to {own}: {barred} is of {owner}, with mode {mode:04o} (see dir_mode and file_mode)"


def _barred(path: str) -> str | None:
    """The folder or file that keeps this user out; None: it was something else.

    It is the first folder that may not be entered, the file that may not be read and written, or
    the folder in which nothing may be changed.
    """
    above = os.path.dirname(path)
    for folder in (*map(str, reversed(PurePath(above).parents)), above):
        if os.path.isdir(folder) and not os.access(folder, os.X_OK):
            return folder
    if os.path.lexists(path) and not os.access(path, os.R_OK | os.W_OK):
        return path
    if os.path.isdir(above) and not os.access(above, os.W_OK):
        return above
    return None


def _name_of(user: int) -> str:
    import pwd  # Windows does not have it, nor a file store

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
