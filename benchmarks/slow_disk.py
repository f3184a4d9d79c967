"""Runs a command on a disk that takes a given time to make something durable.

    python benchmarks/slow_disk.py MICROSECONDS COMMAND [ARGUMENT ...]

``{}`` in an argument is the directory: an ext4 with a journal on a loop device, on a file in
memory, whose flush takes so many microseconds besides some 100 of its own. For root, on Linux, with
gcc, pkg-config and the headers of fuse3. Disks differ most in this time: one with a battery answers
within 0.1 ms, most others take 0.5 to 5.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("slow_disk.c")
BYTES: Final = 6 << 30
"""Size of the file system; what is written needs memory."""
INODES: Final = 400_000


@contextmanager
def slow_disk(microseconds: int) -> Iterator[Path]:
    """The directory, within the block."""
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
        program, backing = work / "slow_disk", work / "backing"
        fuse, place = work / "fuse", work / "place"
        flags = _told("pkg-config", "--cflags", "--libs", "fuse3").split()
        _run("gcc", "-O2", "-o", program, SOURCE, *flags)
        with backing.open("wb") as file:
            file.truncate(BYTES)
        fuse.mkdir()
        place.mkdir()
        _run(program, backing, microseconds, fuse)
        stack.callback(_run, "umount", fuse)
        device = _told("losetup", "--find", "--show", fuse / "image")
        stack.callback(_run, "losetup", "--detach", device)
        _run("mkfs.ext4", "-q", "-N", INODES, device)
        _run("mount", device, place)
        stack.callback(_run, "umount", place)
        yield place


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True)


def _told(*command: object) -> str:
    return subprocess.check_output([str(word) for word in command], text=True).strip()


def main() -> int:
    if len(sys.argv) < 3 or not sys.argv[1].isdigit():
        print(__doc__, file=sys.stderr)
        return 2
    with slow_disk(int(sys.argv[1])) as place:
        command = [word.replace("{}", str(place)) for word in sys.argv[2:]]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
