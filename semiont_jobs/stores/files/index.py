"""What this process knows of ``pending``: which job a claimer should try next.

It must not know the disk: names and jobs are given to it. It is a cache: every decision is
made again from the locked file.

A *view* is one claimer's heap of what it may take. A job is read once, when it is first seen,
and put into every view it fits; what a claimer's ``accept`` refused is in its view no more.
So a claim costs the same with ten pending jobs and with a hundred thousand, also when nobody
here wants them.
"""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict
from typing import Final, NamedTuple

from semiont_jobs.model import JobMetadata
from semiont_jobs.store import Wanted

MOST_VIEWS: Final = 64
"""Different claimers remembered. A process has a few; one that makes a new filter for every
claim must not make this grow."""


class Entry(NamedTuple):
    """One pending job, in the order in which jobs are claimed."""

    rank: int
    """The priority, negated: smaller first."""
    due: float
    created: float
    id: str
    type: str
    queue: str

    @classmethod
    def of(cls, metadata: JobMetadata) -> Entry:
        """The entry of a job."""
        created = metadata.created.timestamp()
        return cls(
            -metadata.priority,
            created if metadata.run_after is None else metadata.run_after.timestamp(),
            created,
            metadata.id,
            metadata.type,
            metadata.queue,
        )


class PendingIndex:
    """The pending jobs known, offered in order. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._views: OrderedDict[Wanted, list[Entry]] = OrderedDict()
        self._waiting: list[tuple[float, str]] = []
        self._waiting_entries: dict[str, Entry] = {}
        # Ids that a claimer is trying, each with the views that came upon it meanwhile.
        self._in_hand: dict[str, list[list[Entry]]] = {}

    # -- what is known -------------------------------------------------------------------

    def put(self, metadata: JobMetadata, *, not_before: float = 0.0) -> None:
        """Know a job, offered from `not_before` (seconds since the epoch) on."""
        entry = Entry.of(metadata)
        with self._lock:
            self._put(entry, not_before)

    def _put(self, entry: Entry, not_before: float) -> None:
        self._in_hand.pop(entry.id, None)
        self._entries.pop(entry.id, None)
        self._waiting_entries.pop(entry.id, None)
        if not_before > 0.0:
            self._waiting_entries[entry.id] = entry
            heapq.heappush(self._waiting, (not_before, entry.id))
        else:
            self._offer(entry)

    def _offer(self, entry: Entry) -> None:
        self._entries[entry.id] = entry
        for wanted, heap in self._views.items():
            if wanted.covers(entry.type, entry.queue):
                heapq.heappush(heap, entry)

    def unknown(self, ids: set[str]) -> list[str]:
        """Of the ids that stand in ``pending`` those not known, first made first; those known
        that stand there no more are forgotten."""
        with self._lock:
            for gone in self._entries.keys() - ids:
                del self._entries[gone]
            for gone in self._waiting_entries.keys() - ids:
                del self._waiting_entries[gone]
            fresh = ids - self._entries.keys() - self._waiting_entries.keys()
            return sorted(fresh - self._in_hand.keys())

    def waiting(self) -> list[str]:
        """The ids known that are not offered yet."""
        with self._lock:
            return list(self._waiting_entries)

    def postpone(self, entry: Entry, until: float) -> None:
        """Offer a job again, but not before `until` (seconds since the epoch)."""
        with self._lock:
            # A new tuple: views that still have the old one must not offer it sooner.
            self._put(Entry(*entry), until)

    def forget(self, job_id: str) -> None:
        """The job stands in ``pending`` no more."""
        with self._lock:
            self._in_hand.pop(job_id, None)
            self._entries.pop(job_id, None)
            self._waiting_entries.pop(job_id, None)

    def next_due(self) -> float | None:
        """When the next job that waits is to be offered, in seconds since the epoch."""
        with self._lock:
            self._drop_stale_waiting()
            return self._waiting[0][0] if self._waiting else None

    # -- what is offered -----------------------------------------------------------------

    def take(self, wanted: Wanted, now: float) -> Entry | None:
        """The next job for a claimer, in its hand until `put`, `forget` or `give_back`."""
        with self._lock:
            self._wake_due(now)
            heap = self._view(wanted)
            while heap:
                entry = heapq.heappop(heap)
                if self._entries.get(entry.id) is entry:
                    del self._entries[entry.id]
                    self._in_hand[entry.id] = []
                    return entry
                missed = self._in_hand.get(entry.id)
                if missed is not None:
                    missed.append(heap)  # in another's hand: it may come back
            return None

    def refused(self, entry: Entry) -> None:
        """A claimer does not want the job in its hand: it stays for the others."""
        self._back(entry, None)

    def give_back(self, entry: Entry, wanted: Wanted) -> None:
        """The claimer could not take the job in its hand now: offer it again."""
        self._back(entry, wanted)

    def _back(self, entry: Entry, wanted: Wanted | None) -> None:
        with self._lock:
            missed = self._in_hand.pop(entry.id, None)
            if missed is None:
                return  # put or forgotten meanwhile
            self._entries[entry.id] = entry
            if wanted is not None:
                missed.append(self._view(wanted))
            for heap in missed:
                heapq.heappush(heap, entry)

    def _view(self, wanted: Wanted) -> list[Entry]:
        heap = self._views.get(wanted)
        if heap is None:
            heap = [e for e in self._entries.values() if wanted.covers(e.type, e.queue)]
            heapq.heapify(heap)
            self._views[wanted] = heap
            if len(self._views) > MOST_VIEWS:
                self._views.popitem(last=False)
        elif len(self._views) > 1:
            self._views.move_to_end(wanted)
        return heap

    def _wake_due(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            _instant, job_id = heapq.heappop(self._waiting)
            entry = self._waiting_entries.pop(job_id, None)
            if entry is not None:
                self._offer(entry)

    def _drop_stale_waiting(self) -> None:
        while self._waiting and self._waiting[0][1] not in self._waiting_entries:
            heapq.heappop(self._waiting)
