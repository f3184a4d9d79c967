"""A move between two directories, of which one process dies."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from files.disks import Died, WatchedDisk
from files.places import Unattended

from semiont_jobs import FileStore
from semiont_jobs.transfer import transfer


def dies(place: Path, side: str, step: int, kind: type[WatchedDisk] = WatchedDisk) -> bool:
    """Whether a move whose process dies before that call of one side's disk is not over before."""
    disks = {"one": kind(), "other": kind()}
    one, other = (
        Unattended(FileStore(place / name, fsync=False, disk=disk)).initialize()
        for name, disk in disks.items()
    )
    disks[side].die_before("*", "*", skip=step)
    try:
        transfer(one, other)
    except Died:
        return True
    finally:
        for disk in disks.values():
            with suppress(Died):
                disk.kill()
            disk.bury()
    return False
