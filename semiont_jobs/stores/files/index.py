"""What this process knows of ``pending``: which job a claimer should try next.

It must not know the disk: names and jobs are given to it. It is a cache: every decision is made
again from the locked file.

A *view* is one claimer's heap of what it may take. A job is read once, when its file is first seen,
and put into every view that it fits. A job that a claimer's ``accept`` refused is no longer in its
view. So a claim costs the same with ten pending jobs and with a hundred thousand, even if no
claimer here wants them.
"""

from __future__ import annotations

import heapq
import sys
import threading
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from semiont_jobs.codec import Turn
from semiont_jobs.store import Wanted
from semiont_jobs.stores.files.shares import Share

MOST_VIEWS: Final = 64
"""Different claimers remembered. A process has a few; one that makes a new filter for every claim
must not make this grow."""
SLACK: Final = 1000
"""Entries of a heap that may be out of date, beyond as many as are not. So a heap is tidied once
for at least so many entries that were put into it."""

Signature: TypeAlias = int
"""Which file a job was read from: its inode number and the millisecond of its last change. Sixty
bits, because Python holds no more in its second smallest number, and every job has one."""
_INODE_BITS: Final = (1 << 32) - 1
_TIME_BITS: Final = (1 << 28) - 1


def signature_of(inode: int, mtime_ns: int) -> Signature:
    """The signature of a file."""
    return ((mtime_ns // 1_000_000 & _TIME_BITS) << 32) | (inode & _INODE_BITS)


class Entry(NamedTuple):
    """One pending job, in the order in which jobs are claimed."""

    rank: int
    """The priority, negated: smaller first."""
    due: float
    created: float
    id: str
    type: str
    queue: str
    signature: Signature

    @classmethod
    def of(cls, turn: Turn, signature: Signature = 0) -> Entry:
        """The entry of a job. What many jobs have in common is held once."""
        return cls(
            -turn.priority,
            turn.created if turn.run_after is None else turn.run_after,
            turn.created,
            turn.id,
            sys.intern(turn.type),
            sys.intern(turn.queue),
            signature,
        )


class Waiting(NamedTuple):
    """One pending job that is not offered yet: its entry, in the order of time.

    It is one object, because a hundred thousand of them may wait.
    """

    until: float
    rank: int
    due: float
    created: float
    id: str
    type: str
    queue: str
    signature: Signature


Known: TypeAlias = Entry | Waiting


class _View:
    """What one claimer may take."""

    __slots__ = ("heap", "is_used", "passed_over", "passed_rank", "wanted")

    def __init__(self, wanted: Wanted, known: Iterable[Entry]) -> None:
        self.wanted = wanted
        self.heap = [entry for entry in known if wanted.covers(entry.type, entry.queue)]
        heapq.heapify(self.heap)
        self.passed_over: list[Entry] = []
        """Left to other processes for now."""
        self.passed_rank = 0
        """The most urgent rank among them."""
        self.is_used = True

    def push(self, entry: Entry) -> None:
        """Offer a job, if it is wanted."""
        if self.wanted.covers(entry.type, entry.queue):
            heapq.heappush(self.heap, entry)

    def pass_over(self, entry: Entry) -> None:
        """Leave a job to other processes."""
        if not self.passed_over or entry.rank < self.passed_rank:
            self.passed_rank = entry.rank
        self.passed_over.append(entry)

    def has_more(self) -> bool:
        """Whether a job is offered that is as urgent as what was passed over."""
        return bool(self.heap) and (not self.passed_over or self.heap[0].rank <= self.passed_rank)

    def is_full(self, known: int) -> bool:
        """Whether more than half of what it holds must be out of date."""
        return len(self.heap) + len(self.passed_over) > 2 * known + SLACK

    def tidy(self, entries: dict[str, Entry]) -> None:
        """Drop what is out of date, and offer again what was passed over."""
        both = (self.heap, self.passed_over)
        # In place: a claimer that is trying one of these jobs may put it back.
        self.heap[:] = [e for some in both for e in some if entries.get(e.id) is e]
        heapq.heapify(self.heap)
        self.passed_over = []


class PendingIndex:
    """The known pending jobs, offered in order. All methods may be called from any thread."""

    def __init__(self, share: Share | None = None) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        # In the order of use. Not an `OrderedDict`: an interrupt in the hash of a key breaks one.
        self._views: dict[Wanted, _View] = {}
        self._waiting: list[Waiting] = []
        self._waiting_entries: dict[str, Waiting] = {}
        # Ids that a claimer is trying, each with the views that came upon it meanwhile.
        self._in_hand: dict[str, list[_View]] = {}
        # Ids put while names are compared: they may be missing from those names.
        self._put_meanwhile: set[str] | None = None
        self._share = share or Share()

    # -- what is known -------------------------------------------------------------------

    def start_over(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._views.clear()
            self._waiting.clear()
            self._waiting_entries.clear()
            self._in_hand.clear()

    def put(self, turn: Turn, *, signature: Signature = 0, not_before: float = 0.0) -> None:
        """Add a job, to be offered from `not_before` (seconds since the epoch) on."""
        entry = Entry.of(turn, signature)
        if not_before == entry.due:
            not_before = entry.due  # one object less to hold
        with self._lock:
            self._put(entry, not_before)

    def _put(self, entry: Entry, not_before: float) -> None:
        self._forget(entry.id)
        if self._put_meanwhile is not None:
            self._put_meanwhile.add(entry.id)
        if not_before > 0.0:
            waiting = Waiting(not_before, *entry)
            self._waiting_entries[entry.id] = waiting
            heapq.heappush(self._waiting, waiting)
            if len(self._waiting) > 2 * len(self._waiting_entries) + SLACK:
                self._waiting = list(self._waiting_entries.values())
                heapq.heapify(self._waiting)
        else:
            self._offer(entry)

    def _offer(self, entry: Entry) -> None:
        self._entries[entry.id] = entry
        known = len(self._entries)
        full: list[_View] = []
        for view in self._views.values():
            view.push(entry)
            if view.is_full(known):
                full.append(view)
        for view in full:
            if view.is_used:
                view.is_used = False
                view.tidy(self._entries)
            else:
                # Its claimer took nothing for as long as it took to fill it. If it comes back, its
                # view is made again.
                del self._views[view.wanted]

    def compare(self, standing: Iterable[tuple[str, int]]) -> tuple[list[str], list[Known]]:
        """Compare what is known with what is in ``pending``: ids and inode numbers.

        Returns what is not known, last made first, and what seems to be another file by now. What
        is known and no longer there is forgotten.
        """
        entries, waiting = self._entries, self._waiting_entries
        seen: set[str] = set()
        fresh: list[str] = []
        changed: list[Known] = []
        with self._lock:
            put_meanwhile = self._put_meanwhile = set()
        try:
            # Without the lock: claimers need not wait for the listing of a large folder.
            for job_id, inode in standing:
                known = entries.get(job_id) or waiting.get(job_id)
                if known is None:
                    fresh.append(job_id)
                    continue
                seen.add(known.id)
                if (known.signature ^ inode) & _INODE_BITS:
                    changed.append(known)
        finally:
            with self._lock:
                self._put_meanwhile = None
        with self._lock:
            for some in (entries, waiting):
                for gone in [each for each in some if each not in seen]:
                    if gone not in put_meanwhile:
                        some.pop(gone)
            self._share.renew()
            for view in self._views.values():
                if view.passed_over:
                    view.tidy(entries)
            newer = self._in_hand.keys() | put_meanwhile
        fresh = sorted((each for each in fresh if each not in newer), reverse=True)
        return fresh, [each for each in changed if each.id not in newer]

    def waiting(self) -> list[Waiting]:
        """The known jobs that are not offered yet."""
        with self._lock:
            return list(self._waiting_entries.values())

    def postpone(self, entry: Entry, until: float) -> None:
        """Offer a job again, but not before `until` (seconds since the epoch)."""
        with self._lock:
            self._put(entry, until)

    def forget(self, job_id: str) -> None:
        """Forget a job that is no longer in ``pending``."""
        with self._lock:
            self._forget(job_id)

    def _forget(self, job_id: str) -> None:
        self._in_hand.pop(job_id, None)
        self._entries.pop(job_id, None)
        self._waiting_entries.pop(job_id, None)

    def next_due(self) -> float | None:
        """When the next waiting job is to be offered, in seconds since the epoch."""
        with self._lock:
            heap = self._waiting
            while heap and self._waiting_entries.get(heap[0].id) is not heap[0]:
                heapq.heappop(heap)
            return heap[0].until if heap else None

    # -- what is offered -----------------------------------------------------------------

    def take(self, wanted: Wanted, now: float) -> Entry | None:
        """The next job for a claimer.

        No other claimer gets it until `put`, `postpone`, `forget`, `refused` or `give_back`.
        """
        with self._lock:
            self._wake_due(now)
            view = self._view(wanted)
            if view.passed_over and self._share.is_whole:
                view.tidy(self._entries)
            while True:
                while view.has_more():
                    entry = heapq.heappop(view.heap)
                    if self._entries.get(entry.id) is not entry:
                        missed = self._in_hand.get(entry.id)
                        if missed is not None:
                            missed.append(view)  # another claimer is trying it: it may come back
                    elif self._share.leaves(entry.id):
                        view.pass_over(entry)
                    else:
                        del self._entries[entry.id]
                        self._in_hand[entry.id] = []
                        return entry
                if not view.passed_over:
                    return None
                self._share.is_done = True
                view.tidy(self._entries)

    def seems_to_offer(self, wanted: Wanted) -> bool:
        """Whether a claimer that has asked before may find something.

        What is out of date, or what another claimer is trying, counts. It takes no lock, because it
        is called after each job.
        """
        view = self._views.get(wanted)
        return view is not None and bool(view.heap or view.passed_over)

    def tried(self, *, lost: bool) -> None:
        """Note that a claimer tried its job; lost: another process was faster."""
        with self._lock:
            self._share.tried(lost=lost)

    @property
    def is_worn(self) -> bool:
        """Whether other processes took most of what is offered: a listing would show that."""
        return self._share.is_done

    def refused(self, entry: Entry) -> None:
        """Offer a job to other claimers only: the one that tried it does not want it."""
        self._back(entry, None)

    def give_back(self, entry: Entry, wanted: Wanted) -> None:
        """Offer a job again: the claimer that tried it could not take it now."""
        self._back(entry, wanted)

    def _back(self, entry: Entry, wanted: Wanted | None) -> None:
        with self._lock:
            missed = self._in_hand.pop(entry.id, None)
            if missed is None:
                return  # put or forgotten meanwhile
            if wanted is not None:
                missed.append(self._view(wanted))
            self._entries[entry.id] = entry
            for view in missed:
                view.push(entry)

    def _view(self, wanted: Wanted) -> _View:
        view = self._views.get(wanted)
        if view is None:
            view = self._views[wanted] = _View(wanted, self._entries.values())
            for missed in self._in_hand.values():
                missed.append(view)  # what others are trying is not among these
            if len(self._views) > MOST_VIEWS:
                del self._views[next(iter(self._views))]
        elif len(self._views) > 1:
            self._views[wanted] = self._views.pop(wanted)
        view.is_used = True
        return view

    def _wake_due(self, now: float) -> None:
        while self._waiting and self._waiting[0].until <= now:
            waiting = heapq.heappop(self._waiting)
            if self._waiting_entries.get(waiting.id) is waiting:
                del self._waiting_entries[waiting.id]
                self._offer(Entry(*waiting[1:]))
