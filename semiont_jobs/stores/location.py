"""What a location means: this process's memory, a database, or else a data directory.

It must not know the stores.
"""

from __future__ import annotations

from typing import Final

MEMORY: Final = "memory:"
URLS: Final = ("postgresql://", "postgres://")


def is_url(location: object) -> bool:
    """Whether a location is meant as the URL of a PostgreSQL database."""
    return isinstance(location, str) and location.startswith(URLS)
