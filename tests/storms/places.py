"""Where the jobs of a storm are: what stands there, seen past the library.

It must not import the library.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

FOLDERS = ("pending", "running", "complete", "failed", "cancelled")


class Place(Protocol):
    """A directory, or a schema of a database."""

    def prepare(self) -> None:
        """Before anybody comes."""
        ...

    def ids(self, status: str) -> list[str]:
        """The jobs in a status, in order; none where it cannot be told at the moment."""
        ...

    def is_drained(self) -> bool:
        """Whether nothing waits or runs."""
        ...

    def documents(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Every job: its status by where it stands, its id, its document."""
        ...


class Directory:
    """A data directory."""

    def __init__(self, data: str) -> None:
        self.jobs = Path(data) / "jobs"

    def prepare(self) -> None:
        os.makedirs(self.jobs.parent, exist_ok=True)

    def ids(self, status: str) -> list[str]:
        with suppress(FileNotFoundError):
            names = os.listdir(self.jobs / status)
            return sorted(name.removesuffix(".json") for name in names)
        return []

    def is_drained(self) -> bool:
        # Listed to and fro, as jobs go.
        folders = [self.jobs / each for each in ("pending", "running", "pending", "running")]
        return all(each.is_dir() and not os.listdir(each) for each in folders)

    def documents(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for folder in FOLDERS:
            for path in (self.jobs / folder).iterdir():
                yield folder, path.stem, json.loads(path.read_text("utf-8"))


class Database:
    """A schema of a PostgreSQL database."""

    def __init__(self, url: str) -> None:
        base, _, query = url.partition("?")
        parts = query.split("&")
        (self.schema,) = [part[7:] for part in parts if part.startswith("schema=")]
        self._url = f"{base}?{'&'.join(part for part in parts if not part.startswith('schema='))}"
        self._session: Any = None
        self._process = 0

    def prepare(self) -> None:
        pass

    def ids(self, status: str) -> list[str]:
        rows = self.ask("SELECT id FROM {s}.jobs WHERE status = %s ORDER BY id", status)
        return [row[0] for row in rows or ()]

    def is_drained(self) -> bool:
        query = "SELECT count(*) FROM {s}.jobs WHERE status IN ('pending', 'running')"
        return self.ask(query) == [(0,)]

    def documents(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for status, id_, document in self.ask("SELECT status, id, document FROM {s}.jobs") or ():
            yield status, id_, json.loads(document)

    def sever(self, application: str) -> None:
        """End a session of those processes, as an administrator does."""
        self.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = %s ORDER BY random() LIMIT 1",
            application,
        )

    def close(self) -> None:
        """Ask nothing more."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]] | None:
        """The server's answer; None while it is away, or has no such schema yet."""
        import psycopg

        try:
            if self._session is None or self._process != os.getpid():
                # A child has its parent's, but must not use it.
                self._parents, self._process = self._session, os.getpid()
                self._session = psycopg.connect(
                    self._url, autocommit=True, application_name="onlooker"
                )
            return self._session.execute(query.replace("{s}", self.schema), values).fetchall()  # type: ignore[no-any-return]
        except psycopg.errors.UndefinedTable:
            return None
        except psycopg.OperationalError:
            self.close()
            return None


def place_of(data: str) -> Directory | Database:
    """By its name."""
    return Database(data) if "://" in data else Directory(data)
