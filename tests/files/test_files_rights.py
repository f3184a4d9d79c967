"""What a user is told who may not use another user's files: whose they are."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
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
    job = path / "jobs" / "pending" / "a.json"

    def refuse() -> None:
        raise OSError(code, os.strerror(code), str(job))

    disk.before("link", "pending/*", refuse)
    with pytest.raises(StoreError) as told:
        queue.enqueue({}, type="task")
    return told.value


@pytest.mark.parametrize(
    ("barred", "right", "mode"),
    [
        ("jobs", os.X_OK, "0700"),
        ("jobs/pending", os.W_OK, "0700"),
        ("jobs/pending/a.json", os.R_OK, "0640"),
    ],
)
def test_a_stranger_is_told_who_owns_what_keeps_him_out(
    barred: str, right: int, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FileStore(tmp_path)
    JobQueue(FileStore(tmp_path, fsync=False)).initialize().close()
    if barred.endswith("json"):
        (tmp_path / barred).write_text("{}", encoding="utf-8")
        (tmp_path / barred).chmod(0o640)
    owner = pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setattr(
        os, "access", lambda path, rights: path != str(tmp_path / barred) or not rights & right
    )
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)

    error = refused(tmp_path)

    assert error.errno == errno.EACCES
    told = (
        f"Permission denied to user {STRANGER}: {tmp_path / barred} is of {owner}, with mode {mode}"
    )
    assert told in str(error)
    assert "see dir_mode and file_mode" in str(error)


AS_NOBODY = """
import os, pwd, sys
from semiont_jobs import JobQueue, StoreError
from semiont_jobs.cli.main import main
place = sys.argv[1]
JobQueue(place + "-warm").initialize().enqueue({}, type="task")  # whoever is nobody imports nothing
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
queue = JobQueue(place, durability="process").initialize()
queue.enqueue({}, type="task")
claim = queue.claim_next_job()
os.chmod(os.path.join(place, "jobs", "complete"), 0o500)
try:
    claim.complete()
except StoreError as error:
    print(error.filename, error.strerror, sep="\\n")
main(["doctor", "--data-dir", place])
"""


@pytest.fixture
def anybodys() -> Iterator[Path]:
    """A folder in which every user may write."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def test_where_a_job_may_not_go_is_named_and_not_where_it_comes_from(anybodys: Path) -> None:
    place = os.path.realpath(anybodys / "data")

    ran = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, place],
        capture_output=True,
        text=True,
        check=False,
        # Nobody may not write where root measures coverage.
        env={name: value for name, value in os.environ.items() if "COVERAGE" not in name},
    )

    path, reason, *doctor = ran.stdout.splitlines() or [ran.stderr, ""]
    assert path.startswith(f"{place}/jobs/complete/"), ran
    assert f"{place}/jobs/complete is of " in reason
    assert "LOOK  rights       this user may change nothing in complete" in doctor


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_nobody_else_is(code: int, tmp_path: Path) -> None:
    if code == errno.EACCES:
        (tmp_path / "jobs").mkdir()

    assert refused(tmp_path, code).strerror == os.strerror(code)
