"""What a process takes: memory and processor time, as Linux reports them in ``/proc``.

It must not know what the process does.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def resident_bytes(process: int) -> int:
    """The memory of a process that is resident now."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(process)


def processor_seconds(process: int) -> float:
    """The processor time of its threads, to the nanosecond: `times` counts in ticks, and an idle
    process takes none in ten seconds."""
    spent = 0
    for task in Path(f"/proc/{process}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that ended meanwhile
            spent += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return spent / 1e9
