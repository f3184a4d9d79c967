"""Whether the laws hold in a directory that a ledger tells of, after whatever happened to it.

It must not know what happened: a crash, an error of the disk, a power cut, or nothing. It opens
the directory with a fresh queue on the real disk, recovers, works everything off, and looks.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

from files.places import FOLDERS
from proofs.ledger import Entry, Ledger, MemoryLedger
from proofs.session import DONE, Session, at_once
from proofs.states import ABSENT, State, done, possible, seen

from semiont_jobs.testing import FakeClock

LATER: Final = 100_000
"""Seconds after the history: all that waits for its time is due."""
_LONG_AGO: Final = 1_000_000_000
"""Seconds since the epoch: older than any grace time."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]+\.json")

Texts = dict[tuple[str, str], bytes]
"""What stands in the five folders, by folder and name."""


Allowed: TypeAlias = Callable[[list[Entry]], dict[str, frozenset[State]]]


def judge(ledger: Ledger, data_dir: Path, allowed: Allowed = possible) -> list[str]:
    """Which laws are broken; none, if the list is empty.

    :param allowed: in which states each job may be after a ledger's entries.
    """
    entries = ledger.entries()
    try:
        may_be = allowed(entries)
    except AssertionError as error:
        return [str(error)]
    with at_once():
        try:
            return _Trial(may_be, entries, data_dir).verdict()
        except Exception as error:  # what recovery must never do
            return [f"recovery raised {error!r}"]


class _Trial:
    def __init__(
        self, may_be: dict[str, frozenset[State]], entries: list[Entry], data_dir: Path
    ) -> None:
        self._may_be = may_be
        self._entries = entries
        self._data_dir = data_dir
        self._jobs = data_dir / "jobs"
        self._faults: list[str] = []
        self._session = self._opened()

    def _opened(self) -> Session:
        clock = FakeClock()
        clock.advance(LATER)
        session = Session(self._data_dir, MemoryLedger(), clock=clock, is_faulty=True)
        session.queue.initialize()
        return session

    def verdict(self) -> list[str]:
        """Every law in turn."""
        self._look()
        self._check_batches()
        self._recover()
        self._work_off()
        self._session.queue.close()
        texts = self._texts()
        self._check_folders(texts)
        self._check_quarantine()
        self._check_leftovers(texts)
        return self._faults

    # -- as it was found -----------------------------------------------------------------

    def _look(self) -> None:
        """What was acknowledged stands; what was under way is done or not done."""
        queue = self._session.queue
        listed = Counter(job.metadata.id for job in queue.query_jobs(limit=None))
        found = {}
        for job_id, states in self._may_be.items():
            state = found[job_id] = seen(queue.get_job(job_id))
            self._narrow(job_id, state, states, "it was found")
            if listed.pop(job_id, 0) != (state is not ABSENT):
                self._faults.append(f"{job_id}: a listing has it otherwise than a look")
        if listed:
            self._faults.append(f"jobs that nobody created: {sorted(listed)}")
        self._found = found

    def _narrow(self, job_id: str, state: State, states: Iterable[State], when: str) -> None:
        left = frozenset(each for each in states if each.seen == state)
        if not left:
            expected = " or ".join(sorted(map(_told, states)))
            self._faults.append(f"{job_id}: {when} as {_told(state)}, not as {expected}")
        self._may_be[job_id] = left or frozenset({state})

    def _check_batches(self) -> None:
        """Of a batch a prefix stands."""
        for _phase, verb, job_id, facts in self._entries:
            if verb == "create" and "batch" in facts and self._found[job_id] is ABSENT:
                after = facts["batch"][facts["batch"].index(job_id) + 1 :]
                self._faults += [
                    f"{each} stands, {job_id} of the same batch before it does not"
                    for each in after
                    if self._found.get(each, ABSENT) is not ABSENT
                    and not self._was_begun("remove", job_id)
                ]

    def _was_begun(self, verb: str, job_id: str) -> bool:
        return any(each[:3] == ("begun", verb, job_id) for each in self._entries)

    # -- recovery ------------------------------------------------------------------------

    def _recover(self) -> None:
        """A running job is given back, its crash counted once; all others stay as they are."""
        self._session.queue.rescue_orphans()
        for job_id, states in self._may_be.items():
            rescued = done("rescue", states, {})
            state = seen(self._session.queue.get_job(job_id))
            self._narrow(job_id, state, rescued or states, "after recovery it stands")
        if self._session.queue.rescue_orphans() != 0:
            self._faults.append("a second recovery found orphans")

    def _work_off(self) -> None:
        """What waits is run once; what is over is not run, and not a byte of it changes."""
        before = self._texts()
        worked = Counter(self._session.work_off())
        for _ in range(3):
            # The second look at a bad entry sets it aside.
            if self._session.queue.claim_next_job() is not None:
                self._faults.append("something waited that could not be worked off")
        after = self._texts()
        for job_id, states in self._may_be.items():
            state = seen(self._session.queue.get_job(job_id))
            if any(each.is_over or each == ABSENT for each in states):
                if worked[job_id]:
                    self._faults.append(f"{job_id}: its work ran again after it was over")
                if _of(job_id, before, state.status) != _of(job_id, after, state.status):
                    self._faults.append(f"{job_id}: it was over, and was changed")
                continue
            ran = done("complete", done("claim", states, {}), {"result": DONE})
            stopped = frozenset(each for each in done("claim", states, {}) if each.is_over)
            self._narrow(job_id, state, ran | stopped, "in the end it stands")
            if worked[job_id] != (state.status == "complete"):
                self._faults.append(f"{job_id}: its work ran {worked[job_id]} times")

    # -- as it is left -------------------------------------------------------------------

    def _texts(self) -> Texts:
        return {
            (folder, name): (self._jobs / folder / name).read_bytes()
            for folder in FOLDERS
            for name in sorted(os.listdir(self._jobs / folder))
        }

    def _check_folders(self, texts: Texts) -> None:
        """Nothing but whole jobs, each in the one folder of its status."""
        for (folder, name), data in texts.items():
            if not _ID.fullmatch(name) or _status(data) != folder:
                self._faults.append(f"{folder}/{name} is not a {folder} job: {data[:200]!r}")
        for name, count in Counter(name for _folder, name in texts).items():
            if count > 1:
                self._faults.append(f"{name} stands in {count} folders")

    def _check_quarantine(self) -> None:
        planted = {job_id for _phase, verb, job_id, _facts in self._entries if verb == "plant"}
        for name in os.listdir(self._jobs / ".quarantine"):
            _random, _dash, rest = name.partition("-")
            if rest.removesuffix(".why") not in planted:
                why = (self._jobs / ".quarantine" / name).read_bytes()
                self._faults.append(f"{name} was set aside: {why[:300]!r}")

    def _check_leftovers(self, texts: Texts) -> None:
        """A sweep removes all that is left of the dead; and to open and recover once more
        changes nothing."""
        for folder in (".tmp", ".cancel"):
            for path in (self._jobs / folder).iterdir():
                os.utime(path, (_LONG_AGO, _LONG_AGO))
        again = self._opened()
        if again.queue.rescue_orphans() or again.work_off():
            self._faults.append("there was something left to recover or to do")
        again.queue.close()
        if self._texts() != texts:
            self._faults.append("to open and recover once more changed something")
        for folder in (".tmp", ".cancel"):
            left = os.listdir(self._jobs / folder)
            if left:
                self._faults.append(f"no sweep removes {left} from {folder}")


def _of(job_id: str, texts: Texts, status: str) -> bytes | None:
    return texts.get((status, f"{job_id}.json"))


def _status(data: bytes) -> Any:
    try:
        return json.loads(data)["status"]
    except (ValueError, TypeError, KeyError):
        return None


def _told(state: State) -> str:
    facts = [
        f"{name}={value}"
        for name, value in state._asdict().items()
        if value and name not in ("status", "max_retries") and value != "{}"
    ]
    return f"{state.status}({', '.join(facts)})"
