"""dirq, a directory queue, as a measured queue.

It must not know other queues.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from peers.peer import Kind, Payload, SimplePeer


class Dirq(SimplePeer):
    """`QueueSimple`: a link locks an element, which is removed once done; no outcome is kept."""

    def __init__(self, place: Path) -> None:
        from dirq.QueueSimple import QueueSimple

        super().__init__()
        self.queue = QueueSimple(str(place))
        self._names = iter(self.queue)

    def put(self, payload: Payload) -> None:
        self.queue.add(json.dumps(payload))

    def run_one(self, work: Callable[[Payload], object]) -> bool:
        # Its iterator lists one folder after the other, once; at its end it is made again. Never
        # use `for`, which makes it again at every job.
        for _ in range(2):
            while (name := next(self._names, None)) is not None:
                if self.queue.lock(name):
                    work(json.loads(self.queue.get(name)))
                    self.queue.remove(name)
                    return True
            self._names = iter(self.queue)
        return False

    def fate(self) -> str:
        locked = len(list(Path(self.queue.path).rglob("*.lck")))
        return f"{self.queue.count() - locked} ready, {locked} locked"

    def close(self) -> None:
        """Nothing is open."""


KINDS: Final = (
    Kind(
        name="dirq",
        label="dirq",
        durability="process",
        open=Dirq,
        package="dirq",
        outcomes="none",
    ),
)
