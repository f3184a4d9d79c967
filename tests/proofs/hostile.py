"""What a hostile or broken program may leave under a job's name, and what was left there.

It must not know what the library makes of it.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from semiont_jobs import FileStore, JobQueue

FOLDERS = ("pending", "running", "complete", "failed", "cancelled")
AT_THE_LIMIT = 16 * 1024 * 1024
NEW_AT_THE_LIMIT = 14 * 1024 * 1024
"""Bytes a job's text may have."""


def document(status: str = "pending", id: str = "bad", **metadata: Any) -> dict[str, Any]:
    """A job as the TypeScript package writes it."""
    made: dict[str, Any] = {
        "status": status,
        "metadata": {
            "id": id,
            "type": "task",
            "userId": "local",
            "created": "2026-01-01T00:00:00.000Z",
            "retryCount": 0,
            "maxRetries": 3,
            **metadata,
        },
        "params": {},
    }
    if status not in ("pending", "cancelled"):
        made["startedAt"] = "2026-01-01T00:00:01.000Z"
    if status not in ("pending", "running"):
        made["completedAt"] = "2026-01-01T00:00:02.000Z"
    ends: dict[str, dict[str, Any]] = {
        "running": {"progress": {}},
        "complete": {"result": {}},
        "failed": {"error": "broke"},
    }
    return made | ends.get(status, {})


def text(status: str = "pending", id: str = "bad", **metadata: Any) -> bytes:
    """The job's text."""
    return json.dumps(document(status, id, **metadata), indent=2).encode()


def changed(status: str, /, **changes: Any) -> bytes:
    """The text of a job with other values at its top level."""
    return json.dumps(document(status) | changes).encode()


def without(status: str, *path: str) -> bytes:
    """The text of a job from which a key was taken."""
    made = document(status)
    inner: Any = made
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return json.dumps(made).encode()


def deep(levels: int, status: str = "pending") -> bytes:
    """A job whose params are nested so deep that the text has that many levels."""
    inside = b"[" * (levels - 2) + b"]" * (levels - 2)
    return changed(status, params={"in": 0}).replace(b'{"in": 0}', b'{"in": ' + inside + b"}")


def padded(data: bytes, size: int) -> bytes:
    """The same JSON with white space behind it."""
    return data + b" " * (size - len(data))


TEXTS: dict[str, Callable[[str], bytes]] = {
    "empty": lambda status: b"",
    "truncated": lambda status: text(status)[:90],
    "without its last byte": lambda status: text(status)[:-1],
    "filled with NUL": lambda status: bytes(300),
    "UTF-16": lambda status: text(status).decode().encode("utf-16"),
    "a list": lambda status: b"[]",
    "a number": lambda status: b"7",
    "null": lambda status: b"null",
    "an object of nothing": lambda status: b"{}",
    "two documents": lambda status: text(status) * 2,
    "misnamed": lambda status: text(status, id="other"),
    "of an id no job may have": lambda status: text(status, id="../bad"),
    "of an unknown status": lambda status: changed(status, status="waiting"),
    "of another folder's status": lambda status: text(
        FOLDERS[(FOLDERS.index(status) + 1) % len(FOLDERS)]
    ),
    "a status that is no text": lambda status: changed(status, status=["pending"]),
    "a status without end": lambda status: changed(status, status="p\n" * 500_000),
    "metadata that is null": lambda status: changed(status, metadata=None),
    "without an id": lambda status: without(status, "metadata", "id"),
    "params that are a list": lambda status: changed(status, params=[]),
    "a count that is a text": lambda status: text(status, retryCount="0"),
    "a count that is true": lambda status: text(status, maxRetries=True),
    "a time that is a number": lambda status: text(status, created=1767225600),
    "a time that is none": lambda status: text(status, created="yesterday"),
    "a claim that is a text": lambda status: text(status, claim="mine"),
    "attempts that are no objects": lambda status: text(status, attempts=[1]),
    "NaN": lambda status: text(status).replace(b'"params": {}', b'"params": {"n": NaN}'),
    "a float beyond floats": lambda status: text(status).replace(b": 3", b": 1e999"),
    "an integer of 5000 digits": lambda status: text(status).replace(b": 3", b": " + b"9" * 5000),
    "one level too deep": lambda status: deep(201, status),
    "200 000 levels deep": lambda status: deep(200_000, status),
    "17 MiB": lambda status: b"x" * (17 << 20),
    "one byte too long": lambda status: padded(text(status), AT_THE_LIMIT + 1),
}
"""Regular files that are no jobs of that status, though each is nearly one."""


def _fifo(path: Path, target: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path, target: Path) -> None:
    # Bound by a relative name: the path of a test's directory may be too long for a socket.
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def _folder(path: Path, target: Path) -> None:
    path.mkdir()
    (path / "kept.json").write_bytes(text())


def _symlink(path: Path, target: Path) -> None:
    path.symlink_to(target)


def _symlink_to_nothing(path: Path, target: Path) -> None:
    path.symlink_to(target.with_name("nothing"))


def _symlink_to_itself(path: Path, target: Path) -> None:
    path.symlink_to(path)


def _symlink_to_a_folder(path: Path, target: Path) -> None:
    path.symlink_to(target.parent)


def _zeros(path: Path, target: Path) -> None:
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))


ODD: dict[str, Callable[[Path, Path], None]] = {
    "a FIFO": _fifo,
    "a socket": _socket,
    "a folder": _folder,
    "a symlink": _symlink,
    "a symlink to nothing": _symlink_to_nothing,
    "a symlink to itself": _symlink_to_itself,
    "a symlink to a folder": _symlink_to_a_folder,
}
"""Entries that are no regular files, made at a path; a symlink leads to the target."""

DEVICES = {"a device without end": _zeros}
"""Those that only root may make."""

NAMES = (
    b"notes.txt", b".DS_Store", b".lock", b"job.json~", b"job.json.tmp", b"job.JSON", b".json",
    b"..json", b"a b.json", b"a.b.json", b"new\nline.json", b"\x1b[31mred.json", b"\xff\xfe.json",
    "j\u043eb.json".encode(), "job\u202e.json".encode(), "\uff11.json".encode(), b"i" * 129 + b".json",
    b"n" * 250 + b".json",
)  # fmt: skip
"""File names that are no job's; the text in such a file is a good one."""


def signature(path: Path) -> tuple[int, int, bytes]:
    """What an entry is, without opening anything but a regular file: kind and bits, inode,
    content."""
    found = path.lstat()
    content = b""
    if stat.S_ISREG(found.st_mode):
        content = path.read_bytes()
    elif stat.S_ISLNK(found.st_mode):
        content = os.readlink(path).encode()
    elif stat.S_ISDIR(found.st_mode):
        content = "\n".join(sorted(os.listdir(path))).encode("utf-8", "surrogateescape")
    return found.st_mode, found.st_ino, content


def outside(root: Path) -> dict[str, tuple[int, int, bytes, int]]:
    """Everything below a folder that is no business of the library's, times included."""
    return {
        str(path.relative_to(root)): (*signature(path), path.lstat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
    }


def store_of(queue: JobQueue) -> FileStore:
    """The queue's store, which stands on a disk."""
    assert isinstance(queue.store, FileStore)
    return queue.store


def hurry(queue: JobQueue, grace: float = 0.02) -> None:
    """Shorten the time that something bad must stand before it is called bad."""
    store_of(queue)._copies.grace = grace


def make_sweep_due(queue: JobQueue) -> None:
    """Let the minute between two sweeps be over."""
    store_of(queue)._sweeper._swept_at = float("-inf")
