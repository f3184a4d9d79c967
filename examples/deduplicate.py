"""Check a directory tree and replace files of the same content by hard links, durably.

Run ``deduplicate.py TREE JOBS``. You may kill it at any time: run it again and it continues. It
does not read a file again, unless the file has changed. Without arguments it works on a small tree
of its own.
"""

import hashlib
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from semiont_jobs import ItemFailed, JobQueue, WorkerPool


def seen(path: Path) -> list:
    """Return a file as an item: if its size or time changes, it is another item."""
    found = path.stat()
    return [str(path), found.st_size, found.st_mtime_ns]


def checksum(file: list) -> str:
    """Return the digest of a file's content. Raises OSError if the disk cannot read it."""
    with open(file[0], "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def link_together(paths: list) -> int:
    """Make all paths names of one file; return how many were not. A second call does nothing."""
    first, *others = map(Path, paths)
    linked = 0
    for other in others:
        if other.samefile(first) or other.read_bytes() != first.read_bytes():
            continue
        new = other.with_name(f".{other.name}.link")
        new.unlink(missing_ok=True)  # left by a run that was killed here
        new.hardlink_to(first)
        new.rename(other)  # at every moment a file of this name exists
        linked += 1
    return linked


def deduplicate(tree: Path, jobs: Path) -> None:
    files = [seen(path) for path in sorted(tree.rglob("*")) if path.is_file()]
    # fsync=False: results survive a kill; a power cut may cost some of them.
    with JobQueue(jobs, fsync=False) as queue, WorkerPool(queue, threads=4) as pool:
        same = defaultdict(list)
        checked = pool.as_completed(checksum, files, name="checksum", key=str, progress=True)
        for outcome in checked:
            try:
                same[outcome.result()].append(outcome.item[0])
            except ItemFailed as error:
                print(f"not readable: {error}")
        groups = sorted(sorted(paths) for paths in same.values() if len(paths) > 1)
        linked = sum(pool.map(link_together, groups, name="link", key=str, progress=True))
        print(f"{len(files)} files, {len(same)} different, {linked} replaced by links")


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        tree, jobs = Path(place, "tree"), Path(place, "jobs")
        tree.mkdir()
        for number in range(60):
            (tree / f"{number:02}.txt").write_text(f"this is text {number % 20}\n")
        deduplicate(tree, jobs)
        deduplicate(tree, jobs)
        print(f"{len({os.stat(path).st_ino for path in tree.iterdir()})} files on the disk")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        deduplicate(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        main()

# Output:
# 60 files, 20 different, 40 replaced by links
# 60 files, 20 different, 40 replaced by links
# 20 files on the disk
