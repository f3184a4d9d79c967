"""A history whose process is killed from outside, at one of its system calls, by strace.

A program of its own: it forks a child that waits, attaches strace to it, and lets it go, so that
no call of a starting Python counts. It prints what it found as JSON.
"""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from proofs.history import History
from proofs.judge import judge
from proofs.ledger import PaperLedger
from proofs.session import at_once

from semiont_jobs.stores.files.forcing import Durability

CALLS: Final = (
    "openat",
    "flock",
    "write",
    "pwrite64",
    "link",
    "linkat",
    "rename",
    "renameat",
    "unlink",
    "unlinkat",
    "mkdir",
    "fsync",
    "fdatasync",
    "syncfs",
    "close",
)
"""Those by which the store changes the disk or comes by a lock, as kernels name them."""
PATIENCE: Final = 60.0


def main(path: Path, durability: Durability, count: int, seed: int) -> dict[str, Any]:
    """Kill at `count` pairs of a call and how often it was made before; 0: at all there are."""
    gc.freeze()
    made = _count(path, durability)
    points = [(call, k) for call, times in sorted(made.items()) for k in range(1, times + 1)]
    if count:
        points = random.Random(seed).sample(points, count)
    faults: dict[str, list[str]] = {}
    killed = 0
    for call, k in points:
        place = path / f"{call}-{k}"
        place.mkdir()
        status = _traced(place, durability, "-e", f"inject={call}:signal=SIGKILL:when={k}")
        killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        ledger = PaperLedger(place / "ledger")
        ledger.close()
        found = judge(ledger, place / "data")
        if found:
            faults[f"{call} {k}"] = found
        shutil.rmtree(place)
    return {"calls": made, "points": len(points), "killed": killed, "faults": faults}


def _count(path: Path, durability: Durability) -> dict[str, int]:
    """How often a whole history makes each call."""
    place = path / "whole"
    place.mkdir()
    log = place / "calls"
    _traced(place, durability, "-o", str(log))
    names = (
        line.split("(", 1)[0].split()[-1] for line in log.read_text().splitlines() if "(" in line
    )
    return {name: n for name, n in Counter(names).items() if name in CALLS}


def _traced(place: Path, durability: Durability, *options: str) -> int:
    """Run a history under strace; its exit status, as `os.waitpid` tells it."""
    waits, goes = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(waits, 1)
        try:
            with at_once():
                History(place / "data", PaperLedger(place / "ledger"), durability=durability).run()
        finally:
            os._exit(0)
    out = () if "-o" in options else ("-o", os.devnull)
    tracer = subprocess.Popen(
        ["strace", "-qq", "-p", str(pid), *out, "-e", f"trace=?{',?'.join(CALLS)}", *options]
    )
    deadline = time.monotonic() + PATIENCE
    while not _is_traced(pid):
        assert tracer.poll() is None, "strace does not trace"
        assert time.monotonic() < deadline, "strace does not attach"
    os.write(goes, b"x")
    _pid, status = os.waitpid(pid, 0)
    tracer.wait(PATIENCE)
    os.close(waits)
    os.close(goes)
    return status


def _is_traced(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return not any(line.split() == ["TracerPid:", "0"] for line in lines)


if __name__ == "__main__":
    where, named, count, seed = sys.argv[1:]
    durability: Durability = named  # type: ignore[assignment]
    print(json.dumps(main(Path(where), durability, int(count), int(seed))))
