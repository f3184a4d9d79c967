"""Creating jobs one by one from several threads at once: of those who wait, one serves all.

It must not know the steps on disk (`moves`).

Each for itself, the threads would hand each other the interpreter at every system call, and hardly
two would share a forced record. One that publishes what all have brought keeps the interpreter, and
forces once. The method is known as flat combining (Hendler, Incze, Shavit and Tzafrir, 2010).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Final

from semiont_jobs.model import AnyJob
from semiont_jobs.stores.files.descriptors import Descriptor
from semiont_jobs.stores.files.moves import Moves

FORSAKEN: Final = 1.0
"""Seconds between two looks whether somebody is still at it. An interrupt may strike at any step,
even where one who has served is about to say so."""


class _New:
    """A job that somebody waits for."""

    __slots__ = ("descriptor", "error", "found", "job", "party", "server", "text", "thread", "turn")

    def __init__(self, job: AnyJob, text: bytes, thread: int) -> None:
        self.job = job
        self.text = text
        self.thread = thread
        """Whose it is."""
        self.turn = threading.Lock()
        """Where that thread waits, until the job is created or theirs to create."""
        self.turn.acquire()
        self.party: list[_New] = []
        """If this is the first of those who wait: all of them, for its thread to serve."""
        self.server: int | None = None
        """The thread that does."""
        self.descriptor: Descriptor | None = None
        """Published, and held until it is durable."""
        self.found: os.stat_result | None = None
        self.error: BaseException | None = None


class Creating:
    """Creates jobs in one data directory, for the threads of one process."""

    def __init__(self, moves: Moves) -> None:
        self._moves = moves
        self._lock = threading.Lock()
        self._server: int | None = None
        """The thread that those who come now wait for."""
        self._waiting: list[_New] = []
        self._inside: set[int] = set()

    def create(self, job: AnyJob, text: bytes) -> os.stat_result:
        """Publish a new job, durably; returns what its file is.

        :raises JobExists: a job of this id stands somewhere.
        :raises OSError: the disk refused; nothing is seen of the job.
        """
        thread = threading.get_ident()
        # A signal's handler that creates a job must not wait for the thread that it stopped.
        if thread in self._inside or not self._moves.forcing.forces_together:
            return self._moves.create(job, text)
        try:
            self._inside.add(thread)
            return self._create(job, text, thread)
        finally:
            self._inside.discard(thread)

    def _create(self, job: AnyJob, text: bytes, thread: int) -> os.stat_result:
        serves, new = False, None
        try:
            with self._lock:
                if self._server is None:
                    serves, self._server = True, thread
                else:
                    new = _New(job, text, thread)
                    self._waiting.append(new)
            if new is None:
                return self._moves.create(job, text)
        finally:
            if serves:
                self._give([])
        return self._awaited(new)

    # -- waiting -------------------------------------------------------------------------

    def _awaited(self, new: _New) -> os.stat_result:
        try:
            while not new.turn.acquire(timeout=FORSAKEN) and not self._is_forsaken(new):
                continue
            if new.party:
                self._serve(new)
        except BaseException:
            self._withdraw(new)
            raise
        if new.error is not None:
            raise new.error
        if new.found is None:  # whoever served was interrupted
            return self._create(new.job, new.text, new.thread)
        return new.found

    def _is_forsaken(self, new: _New) -> bool:
        """Whether it has to be brought again, since nobody is at it any more."""
        with self._lock:
            if new not in self._waiting:
                return new.server not in self._inside
            if self._server in self._inside:
                return False
            self._waiting.remove(new)
            self._server = None
            return True

    def _withdraw(self, new: _New) -> None:
        """Its thread was interrupted. It may be created all the same."""
        with self._lock:
            party, new.party = new.party, []
            if new in self._waiting:
                self._waiting.remove(new)
        if party:
            self._give(party[1:])

    # -- serving -------------------------------------------------------------------------

    def _give(self, party: list[_New]) -> None:
        """Let those of a party and those who have come meanwhile be served by the first."""
        with self._lock:
            party, self._waiting = [*party, *self._waiting], []
            self._server = party[0].thread if party else None
            for new in party:
                new.server = self._server
        if party:
            party[0].party = party
            party[0].turn.release()

    def _serve(self, first: _New) -> None:
        party, first.party = first.party, []
        try:
            self._create_all(party)
        finally:
            self._give([])
            for new in party:
                if new is not first:
                    new.turn.release()

    def _create_all(self, party: Sequence[_New]) -> None:
        """What one of them does wrong is its own error; where the disk does not make them durable,
        none is created."""
        moves = self._moves
        try:
            published = []
            for new in party:
                try:
                    new.descriptor = moves.publish(new.job, new.text)
                except Exception as error:  # noqa: BLE001 - raised where it belongs
                    new.error = error
                else:
                    published.append((new.job, new.text, new.descriptor.fd))
            moves.forcing.published_together(published)
            for new in party:
                if new.descriptor is not None:
                    new.found = moves.acknowledge(new.descriptor)
        except BaseException as error:
            for new in party:
                if new.descriptor is not None and new.found is None:
                    moves.retract(new.job.metadata.id, new.descriptor)
                    new.error = error if isinstance(error, Exception) else None
            raise
