"""The npm package `@semiont/jobs`, as a measured queue: its own code, in Node.

It must not know other queues. The published archive of the package is used without dependencies:
its queue and worker use none of them, and some are not available. Stand-ins replace them, which
export the names that its one file imports.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from peers.peer import RESULT, Kind, Payload, Peer, Span, Work, pause, payload_of

PACKAGE: Final = "@semiont/jobs"
VERSION: Final = "0.2.46"
"""A version whose queue and worker are two classes on one folder, as here; later ones hand jobs to
workers through their own server."""
CREATED: Final = "2026-01-01T00:00:00.000Z"
SCRIPT: Final = Path(__file__).with_name("npm_queue.mjs")
_IMPORT: Final = re.compile(r"^import \{([^}]*)\} from '(@semiont/[a-z-]+)';$", re.MULTILINE)


def cache() -> Path:
    """Where the package is unpacked, once."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "semiont-jobs-bench" / VERSION


@functools.cache
def why_missing() -> str:
    """Why the package cannot be run; empty: it can.

    Fetches it if need be.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "there is no Node with npm"
    if _entry().exists():
        return ""
    try:
        _fetch(cache())
    except (OSError, subprocess.SubprocessError, tarfile.TarError) as error:
        return f"npm cannot fetch {PACKAGE}@{VERSION}: {type(error).__name__}"
    return ""


def _entry() -> Path:
    return cache() / "node_modules" / PACKAGE / "dist" / "index.js"


def _fetch(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(
        ["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    archive = folder / packed.stdout.split()[-1]
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "unpacked", filter="data")
    source = (folder / "unpacked" / "package" / "dist" / "index.js").read_text(encoding="utf-8")
    for names, module in _IMPORT.findall(source):
        stand_in = folder / "node_modules" / module
        stand_in.mkdir(parents=True, exist_ok=True)
        manifest = {"name": module, "type": "module", "main": "index.js"}
        (stand_in / "package.json").write_text(json.dumps(manifest))
        exports = [f"export const {name.strip()} = undefined;" for name in names.split(",")]
        (stand_in / "index.js").write_text("\n".join(exports))
    target = folder / "node_modules" / PACKAGE
    shutil.rmtree(target, ignore_errors=True)
    (folder / "unpacked" / "package").rename(target)


def _job(payload: Payload) -> dict[str, Any]:
    metadata = {"id": f"job-{payload['n']:026}", "type": "bench", "userId": "local"}
    metadata |= {"created": CREATED, "retryCount": 0, "maxRetries": 3}
    return {"status": "pending", "metadata": metadata, "params": payload}


class NpmQueue(Peer):
    """Its `JobQueue` and `JobWorker` in a Node process of its own."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.place = place
        self.node = subprocess.Popen(
            ["node", str(SCRIPT), str(_entry()), str(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._hear()

    @property
    def process_id(self) -> int:
        return self.node.pid

    def _say(self, **asked: Any) -> None:
        assert self.node.stdin is not None
        print(json.dumps(asked), file=self.node.stdin, flush=True)

    def _hear(self) -> dict[str, Any]:
        assert self.node.stdout is not None
        answer: dict[str, Any] = json.loads(self.node.stdout.readline())
        return answer

    def _ask(self, **asked: Any) -> dict[str, Any]:
        self._say(**asked)
        return self._hear()

    def enqueue(self, payloads: Sequence[Payload]) -> Span:
        answer = self._ask(do="enqueue", payloads=list(payloads))
        return Span(answer["began"], answer["ended"])

    def enqueue_batch(self, payloads: Sequence[Payload]) -> Span:
        return self.enqueue(payloads)

    def fill(self, payloads: Sequence[Payload]) -> None:
        """Write files: its own creates take longer the more jobs there are."""
        folder = self.place / "jobs" / "pending"
        for payload in payloads:
            job = _job(payload)
            (folder / f"{job['metadata']['id']}.json").write_text(json.dumps(job, indent=2))

    def fill_finished(self, count: int) -> None:
        folder = self.place / "jobs" / "complete"
        for number in range(count):
            job = _job(payload_of(number)) | {"status": "complete", "result": RESULT}
            job |= {"startedAt": CREATED, "completedAt": CREATED}
            (folder / f"{job['metadata']['id']}.json").write_text(json.dumps(job, indent=2))

    def list_finished(self) -> object:
        return self._ask(do="list")

    def count_finished(self) -> object:
        return self._ask(do="stats")

    def wake_within(self, count: int) -> list[float]:
        self._say(do="wakes", pauses=[1e3 * pause(turn) for turn in range(count)])
        return list(self._hear()["seconds"])

    def drain(self, most: int) -> Span:
        answer = self._ask(do="drain", most=most)
        self.ran += answer["ran"]
        return Span(answer["began"], answer["ended"])

    def serve(self, work: Work) -> None:
        self._ask(do="serve")
        while True:
            asked = self._hear()
            work(asked["payload"], asked["started"])
            self._say(do="go")

    def fate(self) -> str:
        stats = self._ask(do="stats")
        return f"{stats['pending']} pending, {stats['running']} running"

    def close(self) -> None:
        assert self.node.stdin is not None
        self.node.stdin.close()
        self.node.wait(30)


KINDS: Final = (
    Kind(
        name="npm",
        label=f"{PACKAGE} {VERSION}",
        durability="process",
        open=NpmQueue,
        package=PACKAGE,
        missing=why_missing,
        wakes_within=True,
        lists="listJobs()",
        counts="getStats()",
    ),
)
