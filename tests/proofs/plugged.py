"""Pulls the plug of a real file system before the K-th step of a history, and judges what is there
when it is mounted again.

A program of its own, for root: it makes an image, mounts it, and forks a child that runs the history
on it. It prints what it found as JSON. It must not know what is lawful.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from files.disks import Call
from proofs.cuts import judge_after_power_cut, silence, started_again
from proofs.doors import SteadyDisk
from proofs.history import History
from proofs.journalled import judge_journalled
from proofs.ledger import MemoryLedger, PaperLedger
from proofs.session import at_once

from semiont_jobs.stores.files.forcing import Durability

_SHUTDOWN: Final = 0x8004587D
"""``FS_IOC_SHUTDOWN``: the file system stops at once, as a machine without power."""
_NO_FLUSH: Final = struct.pack("I", 2)
"""Its own journal is not written either."""

SIZES: Final = {"ext4": 64, "xfs": 320}
"""Megabytes of an image: the least that each makes."""


def main(kind: str, path: Path, durability: Durability, count: int) -> dict[str, Any]:
    """Pull it at `count` steps, spread over the history. Which laws were broken, by step."""
    gc.freeze()
    image = path / "image"
    with image.open("wb") as file:
        file.truncate(SIZES[kind] << 20)
    _run(f"mkfs.{kind}", "-q", str(image))
    mount = path / "mount"
    mount.mkdir()
    with _mounted(image, mount):
        whole = _steps(mount / "place", durability)
        shutil.rmtree(mount / "place")
    chance = random.Random(count)
    faults: dict[str, list[str]] = {}
    pulled = 0
    for n in range(count):
        k = 1 + int((n + chance.random()) * whole / count)
        ledger = path / f"ledger-{n}"
        with _mounted(image, mount):
            pulled += _in_a_child(mount, ledger, durability, k)
        with _mounted(image, mount):
            found = _judged(ledger, mount / "place" / "data", durability)
            shutil.rmtree(mount / "place", ignore_errors=True)
        if found:
            faults[f"{k} of {whole}"] = found
    return {"steps": whole, "pulled": pulled, "faults": faults}


def _steps(place: Path, durability: Durability) -> int:
    """How many the history has there: opening forces every folder above."""
    disk = SteadyDisk()
    with at_once():
        place.mkdir()
        history = History(place / "data", MemoryLedger(), disk=disk, durability=durability)
        history.run()
        steps = len(disk.calls)
        history.queue.close()
    return steps


@contextmanager
def _mounted(image: Path, mount: Path) -> Iterator[None]:
    _run("mount", "-o", "loop", str(image), str(mount))
    try:
        yield
    finally:
        _run("umount", str(mount))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _in_a_child(mount: Path, ledger: Path, durability: Durability, k: int) -> bool:
    """Run the history in a process that pulls the plug before its K-th step, and dies; whether it
    did."""
    # What was there before: a durable folder.
    place = mount / "place"
    place.mkdir()
    os.sync()
    pid = os.fork()
    if pid == 0:
        try:
            with at_once():
                disk = _PluggedDisk(mount, k)
                History(place / "data", PaperLedger(ledger), disk=disk, durability=durability).run()
        finally:
            os._exit(1)
    _pid, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


class _PluggedDisk(SteadyDisk):
    def __init__(self, mount: Path, k: int) -> None:
        super().__init__(self._pull)
        self._mount = mount
        self._k = k

    def _pull(self, number: int, _call: Call) -> None:
        if number == self._k:
            fd = os.open(self._mount, os.O_RDONLY)
            fcntl.ioctl(fd, _SHUTDOWN, _NO_FLUSH)
            os.kill(os.getpid(), signal.SIGKILL)


def _judged(ledger: Path, data_dir: Path, durability: Durability) -> list[str]:
    paper = PaperLedger(ledger)
    paper.close()
    said = MemoryLedger(paper.entries())
    judge = judge_journalled if durability == "journal" else judge_after_power_cut
    with at_once(), silence(), started_again():
        return judge(said, data_dir)


if __name__ == "__main__":
    named: Durability = sys.argv[3]  # type: ignore[assignment]
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), named, int(sys.argv[4]))))
