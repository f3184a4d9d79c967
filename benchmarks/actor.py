"""A process that has one queue open and does with it what it reads, line by line.

It must not know what is measured: `actors` sends JSON to its standard input; answers go to standard
output. Each kind of queue runs in its own processes, so that no queue has the memory, threads or
imports of another one.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from memory import resident_bytes
from peers.peer import Kind, Payload, Peer, Span, payload_of


class Actor:
    """Obeys one line after the other."""

    def __init__(self, family: str, name: str) -> None:
        kinds = import_module(family).KINDS
        self.kind: Kind = next(kind for kind in kinds if kind.name == name)
        self.peer: Peer | None = None

    @property
    def opened(self) -> Peer:
        assert self.peer is not None
        return self.peer

    def open(self, *, place: str, index: int = 0, of: int = 1) -> dict[str, Any]:
        self.peer = self.kind.open(Path(place))
        self.peer.took_share(index, of)
        return {}

    def close(self) -> dict[str, Any]:
        self.opened.close()
        self.peer = None
        return {}

    def enqueue(self, *, first: int, count: int, threads: int = 1) -> dict[str, Any]:
        each = count // threads
        lots = [
            [payload_of(number) for number in range(start, start + each)]
            for start in range(first, first + each * threads, each)
        ]
        return _together([lambda lot=lot: self.opened.enqueue(lot) for lot in lots])

    def enqueue_given(self, *, first: int, count: int) -> dict[str, Any]:
        payloads = [payload_of(number) for number in range(first, first + count)]
        return _answer(self.opened.enqueue_given(payloads))

    def enqueue_batch(self, *, first: int, count: int) -> dict[str, Any]:
        payloads = [payload_of(number) for number in range(first, first + count)]
        return _answer(self.opened.enqueue_batch(payloads))

    def enqueue_one(self, *, payload: Payload) -> dict[str, Any]:
        return _answer(self.opened.enqueue([payload]))

    def settle(self) -> dict[str, Any]:
        self.opened.settle()
        return {}

    def fill(self, *, first: int, count: int) -> dict[str, Any]:
        self.opened.fill([payload_of(number) for number in range(first, first + count)])
        return {}

    def drain(self, *, most: int, threads: int = 1) -> dict[str, Any]:
        """The jobs that ran, and from when to when."""
        return self._ran(_together([lambda: self.opened.drain(most)] * threads))

    def drain_singly(self, *, most: int, threads: int = 1) -> dict[str, Any]:
        return self._ran(_together([lambda: self.opened.drain_singly(most)] * threads))

    def _ran(self, answer: dict[str, Any]) -> dict[str, Any]:
        answer["ran"], self.opened.ran = self.opened.ran, []
        return answer

    def wake_within(self, *, count: int) -> dict[str, Any]:
        return {"seconds": self.opened.wake_within(count)}

    def fill_finished(self, *, count: int) -> dict[str, Any]:
        self.opened.fill_finished(count)
        return {}

    def list_finished(self) -> dict[str, Any]:
        return _timed(self.opened.list_finished)

    def count_finished(self) -> dict[str, Any]:
        return _timed(self.opened.count_finished)

    def memory(self) -> dict[str, Any]:
        return {"bytes": resident_bytes(self.opened.process_id)}

    def fate(self) -> dict[str, Any]:
        return {"fate": self.opened.fate()}

    def serve(self, *, hang: bool = False) -> dict[str, Any]:
        """Serve without returning; say which job started, and when.

        `hang`: never end it.
        """
        _say({"process": self.opened.process_id})

        def work(payload: Payload, started: float) -> dict[str, Any]:
            _say({"payload": payload, "started": started})
            if hang:
                threading.Event().wait()
            return {"ok": True}

        self.opened.serve(work)
        return {}


def _together(actions: list[Callable[[], Span]]) -> dict[str, Any]:
    """Run each in a thread (one alone in this one); from the first's begin to the last's end."""
    if len(actions) == 1:
        return _answer(actions[0]())
    spans: list[Span] = []
    threads = [threading.Thread(target=lambda a=action: spans.append(a())) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(spans) < len(actions):
        raise RuntimeError("a thread has failed")
    return _answer(Span(min(s.began for s in spans), max(s.ended for s in spans)))


def _timed(look: Callable[[], object]) -> dict[str, Any]:
    began = time.monotonic()
    look()
    return _answer(Span(began, time.monotonic()))


def _answer(span: Span) -> dict[str, Any]:
    return {"began": span.began, "ended": span.ended}


_PUT: Final = threading.Lock()


def _say(answer: dict[str, Any]) -> None:
    with _PUT:
        print(json.dumps(answer), file=_OUT, flush=True)


def main() -> None:
    family, name, *hidden = sys.argv[1:]
    for module in hidden:
        sys.modules[module] = None  # type: ignore[assignment] - what makes an import of it fail
    actor = Actor(family, name)
    _say({})
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = getattr(actor, asked.pop("do"))(**asked)
        except Exception as error:  # noqa: BLE001 - a queue that fails has that in its row
            answer = {"error": f"{type(error).__name__}: {error}"}
        _say(answer)


if __name__ == "__main__":
    # What a queue prints must not look like an answer.
    _OUT: Final = sys.stdout
    sys.stdout = sys.stderr
    main()
