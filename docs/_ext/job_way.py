"""A job's way through the library: the calls of a real run that are worth a station.

It must not know how the run is recorded, nor how the way is drawn. `WAY` says which functions
have a station, and why; where each stands, and whose call it is, comes from the run. A station
that the run did not come to is an error, so the way cannot fall behind the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from job_run import WORK, Call


class Phase(NamedTuple):
    """One part of the way: its title, the function that it begins with, and what its stations
    are there for, by their names."""

    title: str
    stations: Mapping[str, str]


WAY: Final = (
    Phase(
        "Created, in the thread of whoever enqueues",
        {
            "creating.Creating.enqueue": "params become a pending job",
            "creating.Creating._create": "is it one that can be stored?",
            "desk.QueueDesk._act": "once more, where the disk met a passing error",
            "stores.files.store.FileStore.create": "",
            "codec.documents.Documents.encode": "the job as JSON",
            "stores.files.moves.Moves.create": "no other job of this id?",
            "stores.files.moves.Moves.write_temporary": "a file in .tmp, locked and whole",
            "stores.files.moves.Moves.publish_new": "its link in pending, flushed to disk",
            "stores.files.pending.Pending.put": "into the index; wakes an idle worker",
            "desk.QueueDesk.emit": "hooks hear: created",
        },
    ),
    Phase(
        "Claimed, in a worker's thread",
        {
            "worker.JobWorker._loop": "while nobody stops it",
            "claimer.Claimer.__call__": "",
            "stores.files.deferred.FileDeferred.claim": "",
            "stores.files.pending.Pending.take": "the next due job, says the index",
            "stores.files.claiming.Claiming._claim": "is it really to be had?",
            "stores.files.copies.Copies.hold_at": "lock the job's own file",
            "stores.files.copies.Copies.read_held": "what counts is the locked file",
            "stores.files.settling.Settling.settle": "no other copy that is newer?",
            "stores.files.claiming.Claiming._begin": "",
            "lifecycle.claim": "decided: pending becomes running",
            "stores.files.deferred.FileDeferred._put_off": "flushing is put off",
            "stores.files.hold.FileHold.publish": "done, by the one who holds the lock",
            "stores.files.moves.Moves.publish_beside": "the new copy stands, locked",
            "open_claims.OpenClaims.add": "a Claim, which the keeper looks after",
            "desk.QueueDesk.emit": "hooks hear: claimed",
        },
    ),
    Phase(
        "Worked on, with a report of progress",
        {
            "worker.JobWorker.work_on": "the one place that runs your code",
            WORK: "your code",
            "claim.Claim.report": "first: is it to stop?",
            "stores.files.hold.FileHold.cancel_requested": "has somebody asked?",
            "lifecycle.report": "decided: running, with this progress",
            "stores.files.hold.FileHold.move": "",
            "stores.files.moves.Moves.rewrite": "flushed, then renamed over the old file",
            "stores.files.moves.Moves.remove_older": "what waited in pending goes",
            "desk.QueueDesk.emit": "hooks hear: reported",
        },
    ),
    Phase(
        "Completed, with what the work returned",
        {
            "recording.record": "again and again, while the disk refuses",
            "claim.Claim.complete": "",
            "lifecycle.complete": "decided: running becomes complete",
            "stores.files.deferred.FileDeferred.end": "",
            "stores.files.deferred.FileDeferred._put_off": "flushing is put off",
            "stores.files.hold.FileHold.publish": "",
            "stores.files.moves.Moves.publish_beside": "the new copy stands",
        },
    ),
    Phase(
        "Made durable, with what else the loop has stored",
        {
            "claimer.Claimer.commit_if_due": "some short jobs later, or at once",
            "stores.files.deferred.FileDeferred._commit": "",
            "stores.files.forcing.ByFsync.all_published": "flushed: file, then folder",
            "stores.files.moves.Moves.remove_older": "then the old one goes",
            "desk.QueueDesk.tell": "hooks hear: completed",
            "lookout.Lookout.tell": "wakes whoever waits for the job",
        },
    ),
)


class Stop(NamedTuple):
    """A station as the run came to it."""

    name: str
    about: str
    depth: int
    is_direct: bool
    """Whether the station above called it itself, and no function between them."""
    moved: tuple[tuple[str, ...], tuple[str, ...]] | None
    """The folders the job's file stood in before and after, if this call changed that."""


def parts(calls: list[Call]) -> Iterator[tuple[Phase, list[Call]]]:
    """Each phase with the calls from its first station's to the next phase's.

    :raises LookupError: a phase that the run did not come to.
    """
    begins = []
    for phase in WAY:
        root = next(iter(phase.stations))
        begins.append(next((n for n, call in enumerate(calls) if call.name == root), None))
        if begins[-1] is None:
            raise LookupError(f"the run did not come to {root}")
    for phase, begin, end in zip(WAY, begins, [*begins[1:], None], strict=True):
        yield phase, calls[begin:end]


def stops(phase: Phase, calls: list[Call]) -> list[Stop]:
    """The stations of a phase as the run first came to them, each below its caller.

    :raises LookupError: one that it did not come to.
    """
    found: dict[tuple[str, ...], Stop] = {}
    for call in calls:
        if call.name not in phase.stations:
            continue
        callers = [name for name in call.stack if name in phase.stations]
        path = (*reversed(callers), call.name)
        if path not in found:
            found[path] = Stop(
                name=call.name,
                about=phase.stations[call.name],
                depth=len(callers),
                is_direct=not callers or call.stack[0] == callers[0],
                moved=(call.before, call.after) if call.before != call.after else None,
            )
    missed = phase.stations.keys() - {path[-1] for path in found}
    if missed:
        raise LookupError(f"the run did not come to {', '.join(sorted(missed))}")
    return [
        # Told once, by the station that did it, not by all above it.
        stop._replace(moved=None) if any(other[:-1] == path for other in found) else stop
        for path, stop in found.items()
    ]
