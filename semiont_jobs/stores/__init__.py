"""Where jobs live: a directory, this process's memory. `open_store` chooses by location."""

from __future__ import annotations

import os
from typing import Any

from semiont_jobs.errors import InvalidValue
from semiont_jobs.store import JobStore
from semiont_jobs.stores.files import FileStore
from semiont_jobs.stores.memory import MemoryStore

MEMORY = "memory:"

__all__ = ["MEMORY", "FileStore", "MemoryStore", "open_store"]


def open_store(location: str | os.PathLike[str], **options: Any) -> JobStore:
    """The store of a location: ``"memory:"``, or the path of a data directory.

    `options` are those of `FileStore`; of those the memory store takes ``fsync``, which means
    nothing to it.
    """
    text = os.fspath(location)
    if text == MEMORY:
        options.pop("fsync", None)
        return MemoryStore(**options)
    if not text or "://" in text:
        raise InvalidValue(
            "a data directory's path or 'memory:' is needed", field="data_dir", value=location
        )
    return FileStore(text, **options)
