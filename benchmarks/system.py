"""Where and with what was measured: versions, cores, and the file system of a folder.

It must not name the machine: what it is made of says enough.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from peers.peer import Kind

from semiont_jobs.stores.files.layout import file_system_of
from semiont_jobs.version import __version__


def described(place: Path, kinds: Sequence[Kind], servers: dict[str, str]) -> dict[str, Any]:
    """For the head of a table, and for JSON."""
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
        "versions": versions | servers,
    }


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
