"""Where jobs live: a directory, this process's memory, PostgreSQL. `open_store` chooses by
location.

It must not know how any of them keeps jobs, and they know nothing of each other.
"""

from __future__ import annotations

import os
from typing import Any

from semiont_jobs.errors import InvalidValue
from semiont_jobs.store import JobStore
from semiont_jobs.stores.files import FileStore
from semiont_jobs.stores.files.forcing import durability_of
from semiont_jobs.stores.location import MEMORY, is_url
from semiont_jobs.stores.memory import MemoryStore

__all__ = ["MEMORY", "FileStore", "MemoryStore", "is_url", "open_store"]


def open_store(location: str | os.PathLike[str], **options: Any) -> JobStore:
    """The store for a location: ``"memory:"``, the URL of a PostgreSQL database, or the path of a
    data directory.

    `options` are those of `FileStore` or `PostgresStore`. The memory store accepts only ``fsync``
    and ``durability``, which have no effect on it. For a database any durability but ``"process"``
    is ``fsync=True``, since its server has a journal of its own.

    :raises ImportError: the location is a URL, and psycopg is not installed; the message says what
        to install.
    """
    text = os.fspath(location)
    if text == MEMORY:
        _take_durability(options)
        return MemoryStore(**options)
    if is_url(text):
        # Imported here, since an installation that keeps jobs in files has no driver.
        from semiont_jobs.stores.postgres import PostgresStore

        return PostgresStore(text, fsync=_take_durability(options), **options)
    if not text or "://" in text:
        raise InvalidValue(
            "a data directory's path, 'memory:' or a postgresql:// URL is needed",
            field="data_dir",
            value=location,
        )
    return FileStore(text, **options)


def _take_durability(options: dict[str, Any]) -> bool:
    """Remove both options; return whether acknowledged writes must survive a power cut."""
    durability = options.pop("durability", None)
    return durability_of(options.pop("fsync", True), durability) != "process"
