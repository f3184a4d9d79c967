"""Where and with what was measured: versions, cores, and the file system of a folder.

It must not name the machine: what it is made of says enough.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from peers.peer import Kind

from semiont_jobs.stores.files.layout import file_system_of
from semiont_jobs.version import __version__

TEXT: Final = 600
"""Bytes: as long as a job's file."""
TIMES: Final = 100
"""How often something is made durable, to see how long that takes."""


def described(place: Path, kinds: Sequence[Kind], servers: dict[str, str]) -> dict[str, Any]:
    """The head of a table, and of the JSON."""
    versions = {"Python": platform.python_version(), "semiont_jobs": __version__}
    versions |= {kind.package: kind.version for kind in kinds if kind.package and kind.version}
    versions |= {"SQLite": sqlite3.sqlite_version, "Linux": platform.release().split("-")[0]}
    try:
        versions["filelock"] = version("filelock")
    except PackageNotFoundError:
        versions["filelock"] = "unknown"
    return {
        "day": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "file system": file_system(place),
        "disk": disk(place),
        "versions": versions | servers,
    }


def disk(place: Path) -> dict[str, float]:
    """Median milliseconds until something is durable there: a record at the end of a file that has
    room for it, and a new file."""
    text = b"x" * TEXT
    with tempfile.TemporaryDirectory(dir=place) as folder:
        record = os.open(f"{folder}/record", os.O_RDWR | os.O_CREAT)
        os.pwrite(record, bytes(TEXT * TIMES), 0)
        os.fsync(record)

        def append(turn: int) -> None:
            os.pwrite(record, text, turn * TEXT)
            os.fdatasync(record)

        def create(turn: int) -> None:
            created = os.open(f"{folder}/{turn}", os.O_WRONLY | os.O_CREAT)
            os.write(created, text)
            os.fsync(created)
            os.close(created)

        found = {"record": _median_ms(append), "new file": _median_ms(create)}
        os.close(record)
    return found


def _median_ms(act: Callable[[int], None]) -> float:
    spent = []
    for turn in range(TIMES):
        began = time.perf_counter()
        act(turn)
        spent.append(time.perf_counter() - began)
    return round(1e3 * statistics.median(spent), 3)


def file_system(place: Path) -> str:
    """Its type and, for ext4, whether it has a journal: without one, creating files is slow for
    minutes after many were deleted, and fsync costs something else."""
    real = os.path.realpath(place)
    kind = file_system_of(real)
    if kind != "ext4":
        return kind or "unknown file system"
    device = os.stat(real).st_dev
    source = _device_name(os.major(device), os.minor(device))
    if not source or not Path("/proc/fs/jbd2").is_dir():
        return kind
    journals = [name.name for name in Path("/proc/fs/jbd2").iterdir()]
    has_one = any(name.rsplit("-", 1)[0] == source for name in journals)
    return f"{kind} with a journal" if has_one else f"{kind} without a journal"


def _device_name(major: int, minor: int) -> str:
    try:
        return Path(f"/sys/dev/block/{major}:{minor}").resolve(strict=True).name
    except OSError:
        return ""
