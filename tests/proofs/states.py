"""Which states a ledger allows each job to be in.

It must not know `semiont_jobs.lifecycle`: what a verb makes of a job is written here once more
by hand, or the library would be its own oracle.

What was acknowledged is done, what was begun is done or not done, and there is nothing in
between: so a job may be in one state, or, after a crash or an error, in one of a few.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from proofs.ledger import Entry, Facts

from semiont_jobs.model import AnyJob

MAX_CRASHES: Final = 1
"""A job is given up when its second worker dies."""


class State(NamedTuple):
    """A job as the laws see it. Values of the caller's are JSON text, so that two states can be
    compared and kept in sets."""

    status: str
    params: str = ""
    max_retries: int = 0
    retries: int = 0
    crashes: int = 0
    units: tuple[str, ...] = ()
    cursors: str = "{}"
    progress: str = ""
    result: str = ""
    outcomes: tuple[str, ...] = ()
    is_asked: bool = False
    """Asked to stop in this life: not seen in the job's file."""

    @property
    def seen(self) -> State:
        """What can be seen of it in the job's file."""
        return self._replace(is_asked=False)

    @property
    def is_over(self) -> bool:
        """Whether it is in a status that only a retry by hand leads out of."""
        return self.status in ("complete", "failed", "cancelled")


ABSENT: Final = State("absent")


def text(value: Any) -> str:
    """A value of the caller's as it is compared."""
    return json.dumps(value, sort_keys=True)


def seen(job: AnyJob | None) -> State:
    """A job as it was read."""
    if job is None:
        return ABSENT
    metadata = job.metadata
    return State(
        status=job.status,
        params=text(job.params),
        max_retries=metadata.max_retries,
        retries=metadata.retry_count,
        crashes=metadata.crash_count,
        units=metadata.completed_units,
        cursors=text(metadata.unit_cursors),
        progress=text(job.progress) if job.status == "running" else "",
        result=text(job.result) if job.status == "complete" else "",
        outcomes=tuple(attempt.outcome for attempt in metadata.attempts),
    )


def possible(
    entries: Iterable[Entry], make: Make | None = None, undoable: Collection[str] = ()
) -> dict[str, frozenset[State]]:
    """In which states each job may be after these entries.

    :param make: what a verb makes of a job's states; None: `done`.
    :param undoable: verbs that are done or not done also when they were acknowledged.
    """
    return dict(evolving(entries, make, undoable))


def evolving(
    entries: Iterable[Entry], make: Make | None = None, undoable: Collection[str] = ()
) -> Iterator[tuple[str, frozenset[State]]]:
    """The same, entry by entry: the job that each is of, and in which states it may be then."""
    make = make or done
    may_be: dict[str, frozenset[State]] = {}
    before: dict[str, frozenset[State]] = {}
    for phase, verb, job_id, facts in entries:
        if verb not in EFFECTS:
            continue  # of no job
        if phase == "begun":
            before[job_id] = may_be.get(job_id, frozenset({ABSENT}))
            may_be[job_id] = before[job_id] | make(verb, before[job_id], facts)
        elif phase == "acknowledged":
            may_be[job_id] = make(verb, before[job_id], facts)
            if verb in undoable:
                may_be[job_id] |= before[job_id]
            assert may_be[job_id], f"{verb} of {job_id} was acknowledged, but cannot be"
        if job_id in may_be:
            yield job_id, may_be[job_id]


def done(verb: str, states: Iterable[State], facts: Facts) -> frozenset[State]:
    """What the verb makes of jobs in these states; those it cannot act on are left out."""
    found = (EFFECTS[verb](state, facts) for state in states)
    return frozenset(state for state in found if state is not None)


Make: TypeAlias = Callable[[str, frozenset[State], Facts], frozenset[State]]

Effect: TypeAlias = Callable[[State, Facts], State | None]


def _create(job: State, facts: Facts) -> State | None:
    if job.status != "absent":
        return None
    return State("pending", params=text(facts["params"]), max_retries=facts["max_retries"])


def _refuse(job: State, facts: Facts) -> State | None:
    return job


def _edit(job: State, facts: Facts) -> State | None:
    return job._replace(params=text(facts["params"])) if job.status == "pending" else None


def _claim(job: State, facts: Facts) -> State | None:
    if job.status != "pending":
        return None
    if job.is_asked:
        return _over(job, "cancelled")  # of a worker that died before it could obey
    return job._replace(status="running", progress="{}")


def _report(job: State, facts: Facts) -> State | None:
    return job._replace(progress=text(facts["progress"])) if job.status == "running" else None


def _checkpoint(job: State, facts: Facts) -> State | None:
    if job.status != "running":
        return None
    units = job.units + tuple(unit for unit in facts["units"] if unit not in job.units)
    return job._replace(units=units, cursors=text({**json.loads(job.cursors), **facts["cursors"]}))


def _complete(job: State, facts: Facts) -> State | None:
    if job.status != "running":
        return None
    return _over(job, "complete", "completed")._replace(result=text(facts["result"]))


def _fail(job: State, facts: Facts) -> State | None:
    if job.status != "running":
        return None
    if facts["is_permanent"] or job.retries >= job.max_retries:
        return _over(job, "failed", "failed")
    return _back(job, "failed")._replace(retries=job.retries + 1)


def _release(job: State, facts: Facts) -> State | None:
    return _back(job) if job.status == "running" else None


def _cancel(job: State, facts: Facts) -> State | None:
    if job.status == "running":
        return job._replace(is_asked=True)
    return _over(job, "cancelled") if job.status == "pending" else None


def _obey(job: State, facts: Facts) -> State | None:
    return _over(job, "cancelled", "cancelled") if job.status == "running" else None


def _rescue(job: State, facts: Facts) -> State | None:
    if job.status != "running":
        return None
    if job.is_asked:
        return _over(job, "cancelled", "cancelled")
    crashed = job._replace(crashes=job.crashes + 1)
    if crashed.crashes > MAX_CRASHES:
        return _over(crashed, "failed", "crashed")
    return _back(crashed, "crashed")


def _retry(job: State, facts: Facts) -> State | None:
    if job.status not in ("failed", "cancelled"):
        return None
    return _back(job)._replace(retries=0, crashes=0)


def _remove(job: State, facts: Facts) -> State | None:
    return ABSENT if job.is_over else None


def _over(job: State, status: str, *outcome: str) -> State:
    return job._replace(status=status, progress="", outcomes=job.outcomes + outcome, is_asked=False)


def _back(job: State, *outcome: str) -> State:
    return job._replace(status="pending", progress="", outcomes=job.outcomes + outcome)


EFFECTS: Final[Mapping[str, Effect]] = {
    "create": _create,
    "refuse": _refuse,
    "edit": _edit,
    "claim": _claim,
    "take": _claim,
    "report": _report,
    "checkpoint": _checkpoint,
    "complete": _complete,
    "fail": _fail,
    "snooze": _release,
    "release": _release,
    "cancel": _cancel,
    "obey": _obey,
    "rescue": _rescue,
    "retry": _retry,
    "remove": _remove,
}
"""``take`` is a claim by a loop, which a power cut may undo until the loop has waited for its disk;
``obey`` is the holder's answer to a request to cancel, ``refuse`` the creation of an id that
exists. Verbs beside these are of no job."""
