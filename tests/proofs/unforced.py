"""What a power cut may leave of a store that forces nothing (`fsync=False`), as laws.

It must not know file systems. A job may be lost, or be as it was at any time before: but as it
was, whole, and not in any other way; and recovery goes on with all that is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from proofs.cuts import LONG_AGO, OF_A_BATCH, is_torn
from proofs.judge import _Trial  # the same trial, of what is allowed here
from proofs.ledger import Entry, MemoryLedger
from proofs.session import Session, at_once
from proofs.states import ABSENT, State, done, evolving, seen

from semiont_jobs import JobDecodeError


def been(entries: list[Entry]) -> dict[str, frozenset[State]]:
    """All states that each job may have been in so far, with and without a request to cancel
    that was made at any time; and its absence."""
    ever: dict[str, set[State]] = {}
    for job_id, states in evolving(entries):
        ever.setdefault(job_id, {ABSENT}).update(states)
    asked = {entry.job_id for entry in entries if entry.verb == "cancel"}
    for job_id in asked & ever.keys():
        ever[job_id] |= {
            state._replace(is_asked=True)
            for state in ever[job_id]
            if state.status in ("pending", "running")
        }
    return {job_id: frozenset(states) for job_id, states in ever.items()}


def judge_unforced(ledger: MemoryLedger, data_dir: Path) -> list[str]:
    """Which of these laws are broken, once what is torn was set aside by the ordinary looks for
    work, orphans, and old jobs."""
    entries = ledger.entries()
    try:
        with at_once():
            _look_around(data_dir)
            allowed = _with_rescues(been(entries))
            faults = _Trial(allowed, entries, data_dir).verdict()
    except Exception as error:  # what must never happen
        return [f"recovery raised {error!r}"]
    aside = data_dir / "jobs" / ".quarantine"
    torn = [path.name for path in aside.iterdir() if path.suffix != ".why" and is_torn(path)]
    return [
        fault
        for fault in faults
        if OF_A_BATCH not in fault
        and not (fault.endswith("folders") and _are_over(fault.partition(" ")[0], data_dir))
        and not any(fault.startswith((f"{name} was set", f"{name}.why was set")) for name in torn)
    ]


def _look_around(data_dir: Path) -> None:
    session = Session(data_dir, MemoryLedger())
    for _ in range(3):
        session.try_to_claim("nothing")
        session.queue.rescue_orphans()
        session.queue.cleanup_completed_jobs(LONG_AGO, cancelled=True)
    session.queue.close()


def _are_over(name: str, data_dir: Path) -> bool:
    """Whether all copies of a job stand in finished folders: an older one stays beside the true
    one until the job is retried or removed."""
    standing = {path.parent.name for path in (data_dir / "jobs").glob(f"[a-z]*/{name}")}
    return standing <= {"complete", "failed", "cancelled"}


def _with_rescues(allowed: dict[str, frozenset[State]]) -> dict[str, frozenset[State]]:
    return {
        job_id: states | done("rescue", (each for each in states if each != ABSENT), {})
        for job_id, states in allowed.items()
    }


def found(data_dir: Path, job_ids: Iterable[str]) -> dict[str, State]:
    """The jobs as they are found before anybody is rescued; absent, where all is torn."""
    with at_once():
        session = Session(data_dir, MemoryLedger())
        states = {}
        for job_id in job_ids:
            try:
                states[job_id] = seen(session.queue.get_job(job_id))
            except JobDecodeError:
                states[job_id] = ABSENT
        session.queue.close()
    return states
