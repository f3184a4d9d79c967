"""Stores that do one thing wrong, each in the way that a power cut, and nothing else, shows.

They show that the checker sees: each must be caught.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
from proofs.recording import RecordingDisk

from semiont_jobs.model import AnyJob, JobStatus
from semiont_jobs.stores.files import layout, store
from semiont_jobs.stores.files.descriptors import Descriptor
from semiont_jobs.stores.files.forcing import ByFsync, Copied, Forcing
from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.markers import Markers
from semiont_jobs.stores.files.moves import Moves
from semiont_jobs.stores.files.upkeep import Upkeep

Patch = pytest.MonkeyPatch


def forces_no_file(patch: Patch) -> None:
    patch.setattr(RecordingDisk, "fsync", _nothing)


def forces_no_folder(patch: Patch) -> None:
    patch.setattr(RecordingDisk, "fsync_folder", _nothing)


def forces_no_batch(patch: Patch) -> None:
    patch.setattr(RecordingDisk, "syncfs", lambda _self, _folder: True)


def forces_folders_before_it_publishes(patch: Patch) -> None:
    """Right calls in the wrong order."""
    move, write = Moves.move, Moves.write_temporary

    def early(self: Moves, job: AnyJob, data: bytes) -> Descriptor:
        def forced(whole: bytes) -> tuple[str, Descriptor]:
            path, new = write(self, whole)
            self.secure_folder(job.status)
            self.disk.fsync(new.fd)
            return path, new

        with patch.context() as inside:
            inside.setattr(self, "write_temporary", forced)
            inside.setattr(self, "forcing", Forcing(self.disk, self.layout))
            return move(self, job, data)

    patch.setattr(Moves, "move", early)


def renames_a_rewrite_before_it_forces_it(patch: Patch) -> None:
    def rewrite(self: Moves, job: AnyJob, data: bytes) -> Descriptor:
        temporary, new = self.write_temporary(data)
        self.disk.rename(temporary, self.layout.path(job.status, job.metadata.id))
        self.disk.fsync(new.fd)
        return new

    patch.setattr(Moves, "rewrite", rewrite)


def unlinks_the_old_copy_before_it_forces_the_new(patch: Patch) -> None:
    move = FileHold._move

    def moved(self: FileHold, job: AnyJob, data: bytes) -> None:
        if job.status == self.job.status or self._older:
            move(self, job, data)
            return
        moves = self._moves
        new = moves.publish_beside(job, data)
        moves.discard(moves.layout.path(self.job.status, job.metadata.id))
        moves.forcing.published(job, data, new.fd)
        self._adopt(new, job, data)
        self.forced()

    patch.setattr(FileHold, "_move", moved)


def unlinks_the_old_copy_first(patch: Patch) -> None:
    move = FileHold._move

    def unlink_first(self: FileHold, job: AnyJob, data: bytes) -> None:
        if job.status != self.job.status:
            self._moves.discard(self._moves.layout.path(self.job.status, job.metadata.id))
        move(self, job, data)

    patch.setattr(FileHold, "_move", unlink_first)


def puts_off_nothing_but_the_forcing(patch: Patch) -> None:
    """What a loop replaces goes at once."""
    publish = FileHold.publish

    def published(self: FileHold, job: AnyJob, data: bytes, committing: Any) -> None:
        publish(self, job, data, committing)
        for status, held in self._older:
            self._moves.remove_older(status, job.metadata.id, held)

    patch.setattr(FileHold, "publish", published)


def forces_the_first_of_what_was_put_off(patch: Patch) -> None:
    force = ByFsync.all_published

    def first(self: ByFsync, copies: Sequence[Copied]) -> None:
        force(self, copies[:1])

    patch.setattr(ByFsync, "all_published", first)


def settles_without_securing_the_other_copy(patch: Patch) -> None:
    patch.setattr(Moves, "_secure_other", _nothing)


def settles_without_securing_its_own_copy(patch: Patch) -> None:
    patch.setattr(Moves, "_secure_mine", _nothing)


def cleans_without_forcing_the_folders_first(patch: Patch) -> None:
    def remove_some(
        self: Upkeep,
        status: JobStatus,
        names: list[str],
        spent: Any,
        removed: Callable[[AnyJob], object],
    ) -> None:
        holds = [hold for name in names if (hold := self._hold_spent(status, name, spent))]
        for hold in holds:
            hold.remove()
        self._moves.secure_folder(status)
        for hold in holds:
            removed(hold.job)

    patch.setattr(Upkeep, "_remove_some", remove_some)


def cleans_without_forcing_what_it_removed(patch: Patch) -> None:
    remove_some = Upkeep._remove_some

    def removed(self: Upkeep, *arguments: Any) -> None:
        with patch.context() as inside:
            inside.setattr(self._moves, "secure_folder", lambda _status: None)
            remove_some(self, *arguments)

    patch.setattr(Upkeep, "_remove_some", removed)


def lets_copies_come_back_to_finished_folders(patch: Patch) -> None:
    patch.setattr(Moves, "secure_absence", _nothing)


def does_not_force_its_folders(patch: Patch) -> None:
    patch.setattr(layout, "secure_folders", _nothing)


def does_not_force_requests_to_cancel(patch: Patch) -> None:
    def made(*arguments: Any, fsync: bool, **settings: Any) -> Markers:
        return Markers(*arguments, fsync=False, **settings)

    patch.setattr(store, "Markers", made)


def trusts_requests_to_cancel_that_are_there(patch: Patch) -> None:
    put = Markers.put

    def trusting(self: Markers, job_id: str, life: str) -> None:
        if not self._disk.exists(self._path(job_id, life)):
            put(self, job_id, life)

    patch.setattr(Markers, "put", trusting)


def _nothing(*_arguments: Any, **_settings: Any) -> None:
    return None


CARELESS: Final[dict[Callable[[Patch], None], tuple[str, str]]] = {
    forces_no_file: ("history", "/done.json"),
    forces_no_folder: ("history", "running/done.json"),
    forces_no_batch: ("history", "/failing.json"),
    forces_folders_before_it_publishes: ("history", "running/done.json"),
    renames_a_rewrite_before_it_forces_it: ("checkpoint", "running/checkpoint-0.json"),
    unlinks_the_old_copy_before_it_forces_the_new: ("history", "running/done.json"),
    unlinks_the_old_copy_first: ("history", "running/done.json"),
    puts_off_nothing_but_the_forcing: ("history", "running/loop1.json"),
    forces_the_first_of_what_was_put_off: ("history", "running/loop1.json"),
    does_not_force_its_folders: ("claim", "running/claim-0.json"),
    does_not_force_requests_to_cancel: ("history", "/.cancel/"),
    trusts_requests_to_cancel_that_are_there: ("cancel", "/.cancel/"),
    cleans_without_forcing_the_folders_first: ("remove", "complete/remove-0.json"),
    cleans_without_forcing_what_it_removed: ("remove", "complete/remove-0.json"),
    lets_copies_come_back_to_finished_folders: ("retry", "failed/retry-0.json"),
    settles_without_securing_the_other_copy: ("complete", "complete/complete-0.json"),
    settles_without_securing_its_own_copy: ("claim", "running/claim-0.json"),
}
"""What each does wrong, and where it shows: in the history of one process, or when processes die
in that verb and another recovers; from the first step on a path with that in it."""
