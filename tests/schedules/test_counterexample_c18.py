"""Counterexample C18, of power cuts: what must be durable before what is forced in that order, and
without the rule is not. No schedule shows it, since every process sees what is not durable yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from files import test_files_durability as durability
from files import test_files_durable_settling as settling
from files.places import Actors
from proofs.careless import unlinks_the_old_copy_before_it_forces_the_new

from semiont_jobs.stores.files.moves import Moves
from semiont_jobs.stores.files.upkeep import Upkeep

pytestmark = pytest.mark.proof

Patch = pytest.MonkeyPatch


def forces_after_replacing(patch: Patch) -> None:
    """Progress is renamed over the old file before it is forced."""

    def rewritten(self: Moves, job: Any, data: bytes) -> Any:
        temporary, new = self.write_temporary(data)
        self.disk.rename(temporary, self.layout.path(job.status, job.metadata.id))
        self.forcing.written(job, data, new.fd)
        return new

    patch.setattr(Moves, "rewrite", rewritten)


def settles_unforced(patch: Patch) -> None:
    """The older copy goes although the newer may not be durable."""
    patch.setattr(Moves, "_secure_mine", lambda self, held, status: None)
    patch.setattr(Moves, "_secure_other", lambda self, path, status: None)


def cleans_unforced(patch: Patch) -> None:
    """A finished job is unlinked although an earlier unlink of its worker may not be durable."""
    remove = Upkeep._remove_some

    def removed(self: Upkeep, *arguments: Any) -> Any:
        self._moves.forcing.is_durable = False
        return remove(self, *arguments)

    patch.setattr(Upkeep, "_remove_some", removed)


def moves_in_order(actor: Actors) -> None:
    durability.test_c18_a_move_forces_the_new_file_and_its_folder_before_the_old_name_goes(
        actor, "complete"
    )


def rewrites_in_order(actor: Actors) -> None:
    durability.test_c18_a_rewrite_forces_the_new_file_before_it_replaces_the_old(
        actor, "checkpoint"
    )


def settles_newer_in_order(actor: Actors) -> None:
    settling.test_c18_settling_an_older_copy_forces_the_newer_one_before_the_older_goes(
        actor, actor.place
    )


def settles_older_in_order(actor: Actors) -> None:
    settling.test_c18_settling_forces_the_copy_that_stays_before_the_older_one_goes(
        actor, actor.place
    )


ORDERS: dict[str, tuple[Callable[[Actors], None], Callable[[Patch], None]]] = {
    "move": (moves_in_order, unlinks_the_old_copy_before_it_forces_the_new),
    "rewrite": (rewrites_in_order, forces_after_replacing),
    "settle an older copy": (settles_newer_in_order, settles_unforced),
    "settle beside an older copy": (settles_older_in_order, settles_unforced),
    "clean": (
        settling.test_c18_cleaning_forces_all_five_folders_before_the_first_unlink_and_one_after_the_last,
        cleans_unforced,
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_c18_what_a_power_cut_must_find_is_forced_in_order_only_with_the_rule(
    tmp_path: Path, name: str, monkeypatch: Patch
) -> None:
    is_in_order, without = ORDERS[name]
    is_in_order(Actors(tmp_path / "with"))
    with monkeypatch.context() as patch:
        without(patch)

        with pytest.raises(AssertionError):
            is_in_order(Actors(tmp_path / "without"))
