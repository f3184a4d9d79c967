"""Jobs that left for another store, and may not have been admitted there yet.

It must not know what that store is. A job leaves by one rename, into a folder of the target's own.
So it either is here or has left, and no death in between leaves a doubt.
"""

from __future__ import annotations

from contextlib import suppress

from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.layout import SUFFIX
from semiont_jobs.stores.files.moves import Moves, jobs_below
from semiont_jobs.stores.files.upkeep import Upkeep


class Leaving:
    """The departures of one data directory."""

    def __init__(self, moves: Moves, upkeep: Upkeep, *, dir_mode: int) -> None:
        self._moves = moves
        self._disk = moves.disk
        self._folder = moves.layout.leaving
        self._upkeep = upkeep
        self._dir_mode = dir_mode

    def leave(self, hold: FileHold, target: str) -> None:
        """See `Moving.leave`."""
        folder = f"{self._folder}/{target}"
        self._moves.make_folders((self._folder, folder), self._dir_mode)
        self._upkeep.remove_held(hold, f"{folder}/{hold.job.metadata.id}{SUFFIX}")

    def departed(self) -> list[tuple[str, str]]:
        """See `Moving.departed`."""
        return jobs_below(self._disk, self._folder)

    def forget(self, job_id: str, target: str) -> None:
        """See `Moving.forget`."""
        with suppress(FileNotFoundError):
            self._disk.unlink(f"{self._folder}/{target}/{job_id}{SUFFIX}")
