"""Journals that do one thing wrong, each in the way that a power cut shows.

They show that the checker sees: each must be caught.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import pytest
from proofs.careless import puts_off_nothing_but_the_forcing, unlinks_the_old_copy_first
from proofs.recording import RecordingDisk

from semiont_jobs.model import AnyJob
from semiont_jobs.stores.files.descriptors import Descriptor
from semiont_jobs.stores.files.journal import replay
from semiont_jobs.stores.files.journal.journal import Journal
from semiont_jobs.stores.files.journal.records import Record
from semiont_jobs.stores.files.journal.replay import Replay
from semiont_jobs.stores.files.journal.told_on import ToldOn
from semiont_jobs.stores.files.moves import Moves

Patch = pytest.MonkeyPatch


def forces_no_journal(patch: Patch) -> None:
    patch.setattr(RecordingDisk, "fdatasync", _nothing)


def forces_no_name_of_a_journal(patch: Patch) -> None:
    forced = RecordingDisk.fsync_folder

    def fsync_folder(self: RecordingDisk, folder: str) -> None:
        if not folder.endswith("/.journal"):
            forced(self, folder)

    patch.setattr(RecordingDisk, "fsync_folder", fsync_folder)


def empties_journals_before_the_files_are_forced(patch: Patch) -> None:
    patch.setattr(Journal, "_force_files", _nothing)


def trusts_that_every_claimed_job_has_a_record(patch: Patch) -> None:
    patch.setattr(Journal, "has", lambda *_arguments: True)


def replaces_a_copy_before_it_has_a_record(patch: Patch) -> None:
    def rewrite(self: Moves, job: AnyJob, data: bytes) -> Descriptor:
        temporary, new = self.write_temporary(data)
        self.disk.rename(temporary, self.layout.path(job.status, job.metadata.id))
        self.forcing.written(job, data, new.fd)
        return new

    patch.setattr(Moves, "rewrite", rewrite)


def tells_nothing_of_removals(patch: Patch) -> None:
    patch.setattr(Journal, "remove", _nothing)


def replays_nothing(patch: Patch) -> None:
    patch.setattr(Replay, "replay", lambda _self: 0)


def replays_what_is_oldest(patch: Patch) -> None:
    def oldest(records: Iterable[Record]) -> list[Record]:
        told = {each.job_id: each for each in reversed(list(records)) if each.text is not None}
        return list(told.values())

    patch.setattr(replay, "_latest", oldest)


def replays_over_what_is_newer(patch: Patch) -> None:
    latest = replay._latest

    def loud(records: Iterable[Record]) -> list[Record]:
        return [Record(each.job_id, 2**60, each.at, each.text) for each in latest(records)]

    patch.setattr(replay, "_latest", loud)


def _nothing(*_arguments: Any, **_settings: Any) -> None:
    return None


def does_not_tell_on_of_removals(patch: Patch) -> None:
    patch.setattr(ToldOn, "add", _nothing)


CARELESS_JOURNALS: Final[Mapping[Callable[[Patch], None], str]] = {
    forces_no_journal: "complete",
    forces_no_name_of_a_journal: "complete",
    empties_journals_before_the_files_are_forced: "claim",
    trusts_that_every_claimed_job_has_a_record: "claim",
    puts_off_nothing_but_the_forcing: "loop",
    replaces_a_copy_before_it_has_a_record: "checkpoint",
    unlinks_the_old_copy_first: "complete",
    tells_nothing_of_removals: "removed elsewhere",
    does_not_tell_on_of_removals: "removed elsewhere",
    replays_nothing: "complete",
    replays_what_is_oldest: "all in one journal",
    replays_over_what_is_newer: "finished elsewhere",
}
"""What each does wrong, and the story of `proofs.emptied` in which it shows."""
