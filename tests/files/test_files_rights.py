"""What a user is told who may not use another user's files: whose they are."""

from __future__ import annotations

import errno
import os
import pwd
import sys
from pathlib import Path

import pytest
from files.disks import WatchedDisk

from semiont_jobs import FileStore, JobQueue, StoreError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no store of files there")

STRANGER = 54321
"""The number of a user without a name."""


def refused(path: Path, code: int = errno.EACCES) -> StoreError:
    """What a queue tells of that."""
    disk = WatchedDisk()
    queue = JobQueue(FileStore(path, fsync=False, disk=disk)).initialize()
    disk.before("link", "pending/*", lambda: _raise(code, path / "jobs" / "pending" / "gone"))
    with pytest.raises(StoreError) as told:
        queue.enqueue({}, type="task")
    return told.value


def _raise(code: int, path: Path) -> None:
    raise OSError(code, os.strerror(code), str(path))


def test_a_stranger_is_told_who_owns_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)

    error = refused(tmp_path)

    assert error.errno == errno.EACCES
    pending = tmp_path / "jobs" / "pending"
    assert f"Permission denied to user {STRANGER}: {pending} is of {owner}, with mode 0700" in str(
        error
    )
    assert "see dir_mode and file_mode" in str(error)


@pytest.mark.parametrize(("user", "code"), [(os.geteuid(), errno.EACCES), (STRANGER, errno.EROFS)])
def test_nobody_else_is(
    user: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)

    assert refused(tmp_path, code).strerror == os.strerror(code)
