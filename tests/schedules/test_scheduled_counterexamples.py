"""The protocol's counterexamples: with its rules no schedule breaks a law, and for each rule
taken out of the real code there is one that does, which the explorer finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from proofs.careless import unlinks_the_old_copy_first
from schedules.doors import timeless
from schedules.explorer import Report, explore
from schedules.stories import Stage, Story, a_stage

from semiont_jobs import InvalidTransition, JobHeld, JobQueue
from semiont_jobs.store import Hold
from semiont_jobs.stores.files import moves as moves_module
from semiont_jobs.stores.files import reader as reader_module
from semiont_jobs.stores.files.copies import BUSY, Bad, Copies, Copy
from semiont_jobs.stores.files.descriptors import HELD
from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.markers import Markers
from semiont_jobs.stores.files.moves import Moves
from semiont_jobs.stores.files.reader import Reader
from semiont_jobs.stores.files.store import FileStore

pytestmark = pytest.mark.proof

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def empty_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with a_stage(tmp_path_factory.mktemp("stage")) as one:
        yield one


@pytest.fixture
def stage(empty_stage: Stage) -> Iterator[Stage]:
    with timeless(empty_stage.world):
        yield empty_stage
        empty_stage.world.reset()


# -- the rules, taken out ----------------------------------------------------------------


def unsettled(status: str) -> Callable[[Patch], None]:
    """Who moves a job out of that folder does not settle its copies."""

    def take_out(patch: Patch) -> None:
        settle = Moves.settle

        def settled(self: Moves, job_id: str, source: Any, held: Any, mine: Any) -> Any:
            return "stays" if source == status else settle(self, job_id, source, held, mine)

        patch.setattr(Moves, "settle", settled)

    return take_out


def lets_go_early(patch: Patch) -> None:
    """C2: the old copy's descriptor is closed before its name is unlinked."""

    def closing(self: Moves, status: Any, job_id: str, held: Any, **_late: Any) -> None:
        self.copies.close(held)
        self.discard(self.layout.path(status, job_id))

    patch.setattr(Moves, "remove_older", closing)


def lower_copy_goes_unlocked(patch: Patch) -> None:
    """C3: a lower copy is unlinked by whoever sees it."""

    def cleared(self: Moves, mine: Any, held: Any, status: Any, other: Any, job_id: str) -> str:
        with suppress(FileNotFoundError):
            self.disk.unlink(self.layout.path(other, job_id))
        return "stays"

    patch.setattr(Moves, "_clear_lower", cleared)


def goes_on_although_busy(patch: Patch) -> None:
    """C4: a lower copy that somebody holds is left to them, and the job moved all the same."""
    clear = Moves._clear_lower

    def cleared(self: Moves, *arguments: Any) -> str:
        clear(self, *arguments)
        return "stays"

    patch.setattr(Moves, "_clear_lower", cleared)


def renames_into_pending(patch: Patch) -> None:
    """C5."""

    def rename_only(self: Moves, temporary: str, target: str, job: Any) -> None:
        self.disk.rename(temporary, target)

    patch.setattr(Moves, "_link_into_pending", rename_only)


def locks_ghosts(patch: Patch) -> None:
    """C9: what was locked is not compared with what the path names."""
    patch.setattr(Copies, "_names", lambda self, path, found: True)


def creates_unlocked(patch: Patch) -> None:
    """C10: the new file's lock is dropped before it is published."""
    publish = Moves.publish_new

    def published(self: Moves, job_id: str, temporary: str, descriptor: Any, **more: Any) -> Any:
        bare = HELD.open(self.disk.open, temporary)
        self.copies.close(descriptor)
        publish(self, job_id, temporary, bare, **more)
        descriptor.fd = bare.fd

    patch.setattr(Moves, "publish_new", published)


def looks_once_before_creating(patch: Patch) -> None:
    """C10: no second look while the lock is held."""

    def published(self: Moves, job_id: str, temporary: str, descriptor: Any, **_more: Any) -> Any:
        path = self.layout.path("pending", job_id)
        try:
            self.disk.link(temporary, path)
        except FileExistsError:
            self.copies.close(descriptor)
            raise moves_module.JobExists(job_id) from None
        finally:
            self.discard(temporary)
        return descriptor

    patch.setattr(Moves, "publish_new", published)


def one_request_per_id(patch: Patch) -> None:
    """C11."""
    patch.setattr(Markers, "_path", lambda self, job_id, life: f"{self._folder}/{job_id}.all")


def claimers_ignore_requests(patch: Patch) -> None:
    """C12: only the holder it was meant for obeys a request."""
    asked = FileHold.cancel_requested

    def requested(self: FileHold) -> bool:
        return self.job.status == "running" and self.job.metadata.claim is None and asked(self)

    patch.setattr(FileHold, "cancel_requested", requested)


def busy_is_running(patch: Patch) -> None:
    """C13: whatever is held in ``running`` is asked to stop, with no look at what stands."""

    def asked(self: FileStore, job_id: str, life: str) -> bool:
        self._markers.put(job_id, life)
        return True

    patch.setattr(
        JobQueue,
        "_ask_to_cancel",
        lambda self, checked, _statuses: self.store.request_cancel(checked, "any"),
    )
    patch.setattr(FileStore, "request_cancel", asked)


def denies_what_left_no_trace(patch: Patch) -> None:
    """C13: who finds another life than the one asked to stop, or none, answers no."""
    ask = JobQueue._ask_to_cancel

    def asked(self: JobQueue, checked: str, statuses: Any) -> bool | None:
        before = self.get_job(checked)
        answer = ask(self, checked, statuses)
        after = self.get_job(checked)
        is_gone = before and (after is None or after.metadata.life != before.metadata.life)
        return False if answer and is_gone else answer

    patch.setattr(JobQueue, "_ask_to_cancel", asked)


def busy_is_unfinished(patch: Patch) -> None:
    """A retry by hand takes who holds the job for its worker, with no look at what stands."""

    def held(self: JobQueue, checked: str) -> Hold:
        try:
            return self.store.hold(checked)
        except JobHeld:
            raise InvalidTransition(checked, "it is busy") from None

    patch.setattr(JobQueue, "_hold_finished", held)


def retries_once(patch: Patch) -> None:
    """C14: what stands in the way of a retry is not cleared, and not waited for."""
    patch.setattr(moves_module, "LINK_TRIES", 1)
    patch.setattr(Moves, "_clear_pending", lambda self, target, job: None)


def takes_what_it_holds(patch: Patch) -> None:
    """C16: revisions are not compared: whoever holds a copy takes it for the true one."""

    def settled(self: Moves, job_id: str, status: Any, held: Any, mine: Any, other: Any) -> str:
        return self._clear_bad(held, status, other, job_id, Bad("another copy", None))

    def cleared(self: Moves, held: Any, status: Any, other: Any, job_id: str, bad: Any) -> str:
        path = self.layout.path(other, job_id)
        lock = self.copies.hold(path)
        if lock is None or lock == BUSY:
            return "stays" if lock is None else "busy"
        self.disk.unlink(path)
        self.copies.close(lock)
        return "stays"

    patch.setattr(Moves, "_settle_with", settled)
    patch.setattr(Moves, "_clear_bad", cleared)


def looks_once(patch: Patch) -> None:
    """C17: one pass that finds nothing is proof enough."""
    patch.setattr(reader_module, "EMPTY_PASSES", 1)


def takes_the_first_found(patch: Patch) -> None:
    """C17: the first copy found is told."""
    look = Reader._look

    def first(self: Reader, job_id: str, kept_open: list[int]) -> Any:
        for status in reader_module.STATUSES:
            copy = self._copies.read(status, job_id, kept_open=kept_open)
            if isinstance(copy, Copy):
                return copy, None, True
        return look(self, job_id, kept_open)

    patch.setattr(Reader, "_look", first)


def does_not_look_again(patch: Patch) -> None:
    """C17: the highest copy of one pass is told, whether it still stands or not."""
    patch.setattr(Reader, "_still_stands", lambda self, copy: True)


# -- the stories in which they matter ----------------------------------------------------


@dataclass(frozen=True)
class Counterexample:
    """A story, and the rule without which it may end badly."""

    start: str
    scripts: tuple[tuple[str, ...], ...]
    without: Callable[[Patch], None]
    switches: int = 2
    crashes: int = 0


COUNTEREXAMPLES = {
    "c1": Counterexample("running", (("complete",), ("clean",)), unsettled("complete"), 1, 1),
    "c2": Counterexample("pending", (("claim", "fail"), ("claim",)), lets_go_early),
    "c3": Counterexample("fail cut", (("claim",), ("rescue",)), lower_copy_goes_unlocked, 3),
    "c4": Counterexample("fail cut", (("claim",), ("rescue",)), goes_on_although_busy, 3),
    "c5": Counterexample(
        "none", (("create", "claim", "fail"), ("create",)), renames_into_pending, 3
    ),
    "c6": Counterexample("pending", (("cancel",), ("claim",)), unsettled("pending"), 1, 1),
    "c7": Counterexample("running", (("complete",), ("rescue",)), unsettled("running"), 1, 1),
    "c8": Counterexample("orphan", (("rescue",), ("cancel",)), unsettled("running"), 1, 1),
    "c9": Counterexample("failed", (("retry",), ("clean",)), locks_ghosts),
    "c10 lock": Counterexample("none", (("create",), ("claim",)), creates_unlocked),
    "c10 look": Counterexample(
        "none", (("create", "claim"), ("create",)), looks_once_before_creating
    ),
    "c11": Counterexample("running", (("give up",), ("cancel", "retry")), one_request_per_id),
    "c12": Counterexample("orphan", (("rescue",), ("cancel",)), claimers_ignore_requests, 1, 1),
    "c13": Counterexample("running", (("complete",), ("get", "cancel")), busy_is_running),
    "c13 retried": Counterexample(
        "running", (("release", "claim"), ("cancel",), ("retry",)), denies_what_left_no_trace, 1
    ),
    "c13 removed": Counterexample(
        "running", (("release", "claim"), ("cancel",), ("clean",)), denies_what_left_no_trace, 1
    ),
    # `fail` has published the failed copy and holds both: a retry that read of it before waits, or
    # says that the job is held, but never that it is not finished.
    "a busy retry": Counterexample("running", (("give up",), ("get", "retry")), busy_is_unfinished),
    "c14": Counterexample("none", (("create", "claim", "fail"), ("create",)), retries_once, 2, 1),
    "c15": Counterexample("pending", (("claim",), ("get",)), unlinks_the_old_copy_first, 1, 1),
    "c16": Counterexample(
        "running", (("complete",), ("get", "rescue", "get")), takes_what_it_holds, 1, 1
    ),
    "c17 once": Counterexample("running", (("fail",), ("get",)), looks_once),
    "c17 first": Counterexample(
        "running", (("fail", "claim"), ("get", "get")), takes_the_first_found, 3
    ),
    "c17 again": Counterexample(
        "pending", (("claim", "fail"), ("get", "get")), does_not_look_again, 3
    ),
}


def explored(stage: Stage, name: str, *, until_broken: bool = False) -> Report:
    case = COUNTEREXAMPLES[name]
    story = Story(stage, case.start, *case.scripts)
    return explore(story, switches=case.switches, crashes=case.crashes, until_broken=until_broken)


@pytest.mark.parametrize("name", COUNTEREXAMPLES)
def test_a_law_is_broken_by_some_schedule_only_without_the_rule(
    stage: Stage, name: str, monkeypatch: Patch
) -> None:
    with_rule = explored(stage, name)
    with monkeypatch.context() as patch:
        COUNTEREXAMPLES[name].without(patch)
        without = explored(stage, name, until_broken=True)

    assert with_rule.violations == []
    assert len(without.violations) == 1
