"""Which start of the machine this is: what was written before another start may be lost.

It must not know what was written.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from functools import cache
from typing import Final

from semiont_jobs.errors import UnsafeStore
from semiont_jobs.stores.files.layout import NETWORK_FILE_SYSTEMS, Layout, file_system_of

BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"


def check_for_journals(layout: Layout) -> None:
    """Refuse a place whose journals could not be trusted.

    :raises UnsafeStore: what another host has written may be lost though this machine was not
        restarted, or it cannot be known whether it was, or this container has its own name for its
        start.
    """
    kind = file_system_of(layout.root)
    if kind in NETWORK_FILE_SYSTEMS:
        reason = (
            f"a journal is replayed when this machine was started again, and {kind} is not of it"
        )
    elif not current():
        reason = "the system does not tell whether it was started again"
    elif is_hidden():
        reason = "this container has a name of its own for the start of the machine"
    else:
        return
    raise UnsafeStore(errno.ENOTSUP, f"{reason}: use durability='fsync'", layout.root)


@cache
def current() -> str:
    """The name of this start of the machine's kernel; empty if the system has none.

    It is the same for all processes, in most containers too.
    """
    if sys.platform == "darwin":
        return _printed_by("sysctl", "-n", "kern.bootsessionuuid")
    try:
        with open(BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def is_hidden() -> bool:
    """Whether a container has another file in its place, as those of LXC and systemd-nspawn have.

    The host would take its journals for those of another start, and replay them while its workers
    run.
    """
    try:
        return os.stat(BOOT_ID).st_dev != os.stat("/proc").st_dev
    except OSError:
        return False  # not Linux, where the name comes from elsewhere


def _printed_by(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
