"""One directory, two languages: Python workers beside the TypeScript package's producers, readers
and workers, which take no locks and write and move files step by step."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from files.children import Children, finished
from files.places import Actors, Place, claimed, seen
from proofs import typescript
from proofs.hostile import FOLDERS
from proofs.neighbours import PATIENCE, start
from proofs.soak import factor
from proofs.typescript import TypeScript, new_job

from semiont_jobs import JobQueue, JobWorker, RunningJob
from semiont_jobs.testing.suite import eventually

pytestmark = pytest.mark.scaled

FACTOR = int(factor())
NODE = shutil.which("node")


class Counting(JobWorker):
    """Counts how often it ran each job."""

    def __init__(self, queue: JobQueue, ran: Counter[str]) -> None:
        super().__init__(queue, poll_interval=0.02)
        self.ran = ran

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        self.ran[job.metadata.id] += 1
        return {"by": "Python"}


@contextmanager
def reader(package: TypeScript) -> Iterator[None]:
    """A dashboard of the other side, that reads everything again and again."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def look() -> None:
        try:
            while not stop.is_set():
                package.look_around()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert errors == []


def produced(data: Path, prefix: str, count: int) -> subprocess.Popen[str]:
    """A process of the double that creates jobs."""
    return start(sys.executable, typescript.__file__, data, "produce", prefix, count)


def ended(place: Place) -> int:
    """How many jobs are complete."""
    return len(place.names("complete"))


# -- Python workers beside producers and readers -----------------------------------------


def test_every_job_of_the_other_side_is_done_exactly_once_and_no_reader_meets_half_a_job(
    tmp_path: Path,
) -> None:
    count = 60 * FACTOR
    data, place, ran = tmp_path / "data", Place(tmp_path / "data"), Counter[str]()
    with JobQueue(data, fsync=False) as queue, Children(tmp_path) as children:
        package, producer = TypeScript(data), TypeScript(data)
        workers = [Counting(queue, ran) for _ in range(2)]
        for worker in workers:
            worker.start()
        helper = children.start(
            """
            class Work(JobWorker):
                def execute_job(self, job):
                    witness(job.metadata.id)

            with Work(queue, poll_interval=0.02):
                witness("started")
                wait_for("stop")
            """
        )
        children.witnessed("started")
        other = produced(data, "process", count)
        for number in range(count):
            producer.create_job(new_job(f"thread-{number}", text="é" * 200))
            queue.enqueue({"n": number}, type="task", id=f"python-{number}")
        finished(other)
        eventually(lambda: ended(place) == 3 * count, PATIENCE)
        children.say("stop")
        finished(helper)
        for worker in workers:
            assert worker.stop()
        ran += children.counted()

    del ran["started"]
    assert set(ran.values()) == {1}
    assert len(ran) == 3 * count
    assert place.names(".quarantine") == []
    assert {folder: names for folder, names in place.everything().items() if names} == {
        "complete": sorted(f"{each}.json" for each in ran)
    }
    package.look_around()
    assert package.torn == 0


def test_no_reader_of_the_other_side_meets_half_a_job_or_a_name_that_is_none(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    package = TypeScript(data)
    with JobQueue(data, fsync=False) as queue, reader(package):
        for number in range(150 * FACTOR):
            queue.enqueue({"text": "é" * 5000}, type="task", id=f"j{number}", max_retries=0)
            claim = claimed(queue)
            claim.report({"percentage": 50})
            claim.checkpoint([f"unit-{number}"])
            if number % 3 == 0:
                claim.fail("broke")
                queue.retry_job(f"j{number}")
                claimed(queue).complete()
            else:
                claim.complete({"n": number})
            if number % 5 == 0:
                queue.cleanup_completed_jobs(timedelta(0))

    assert package.torn == 0


@pytest.mark.proof
def test_a_reader_of_the_other_side_beside_twenty_thousand_transitions_meets_only_whole_jobs(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    transitions = Counter[str]()
    with JobQueue(data, fsync=False) as queue:
        other = subprocess.Popen(
            [sys.executable, typescript.__file__, str(data), "read"],
            stdout=subprocess.PIPE,
            text=True,
        )
        queue.subscribe(lambda event: transitions.update([event.name]))
        number = 0
        while transitions.total() < 20_000:
            number += 1
            queue.enqueue({"text": "é" * 500}, type="task", id=f"j{number}")
            claim = claimed(queue)
            claim.checkpoint([f"unit-{number}"])
            claim.release()
            claim = claimed(queue)
            if number % 2:
                claim.complete({"n": number})
            else:
                claim.cancel()
                queue.retry_job(claim.job.metadata.id)
            if number % 10 == 0:
                while (waiting := queue.claim_next_job()) is not None:
                    waiting.complete()
                queue.cleanup_completed_jobs(timedelta(0))
        (data / "stop").touch()
        said, _ = other.communicate(timeout=PATIENCE)

    assert other.returncode == 0
    looks, torn = map(int, said.split())
    assert torn == 0
    assert looks > 10


# -- a TypeScript worker beside Python producers -----------------------------------------


def test_a_worker_of_the_other_side_does_every_job_once_and_housekeeping_leaves_it_alone(
    tmp_path: Path,
) -> None:
    count = 80 * FACTOR
    data, place = tmp_path / "data", Place(tmp_path / "data")
    with JobQueue(data, fsync=False) as queue:
        queue.start_keeper()
        worker = start(sys.executable, typescript.__file__, data, "work")
        ids = []
        for number in range(count):
            # An id of ours is looked for again once the job stands, when that worker may have it.
            ids.append(queue.enqueue({"n": number}, type="task").metadata.id)
            assert queue.rescue_orphans() == 0
        eventually(lambda: ended(place) == count, PATIENCE)
        (data / "stop").touch()
        finished(worker)

        done = [seen(queue.get_job(each)) for each in ids]

    assert {each.status for each in done} == {"complete"}
    assert {str(each.result) for each in done if each.status == "complete"} == {
        "{'by': 'TypeScript'}"
    }
    assert place.names(".quarantine") == []


def test_a_job_that_the_other_side_runs_is_left_alone_until_it_is_stale_and_then_done(
    actor: Actors, place: Place
) -> None:
    queue = actor(foreign_stale_after=timedelta(minutes=30))
    package = TypeScript(actor.path)
    package.create_job(new_job("j"))
    package.start(seen(package.poll_next_pending_job()))
    for _ in range(3):
        assert queue.rescue_orphans() == 0
        assert queue.claim_next_job() is None
    path = package.path("running", "j")
    half_an_hour_ago = path.stat().st_mtime - 1801
    os.utime(path, (half_an_hour_ago, half_an_hour_ago))

    assert queue.rescue_orphans() == 1

    assert claimed(queue).complete().metadata.crash_count == 1
    assert place.everything() == {"complete": ["j.json"]}


def test_progress_that_the_other_side_writes_keeps_its_job_from_being_stale(
    actor: Actors, place: Place
) -> None:
    queue = actor(foreign_stale_after=timedelta(minutes=30))
    package = TypeScript(actor.path)
    package.create_job(new_job("j"))
    running = package.start(seen(package.poll_next_pending_job()))
    os.utime(package.path("running", "j"), (1_700_000_000, 1_700_000_000))

    package.update_job(running | {"progress": {"percentage": 5}})

    assert queue.rescue_orphans() == 0
    assert place.copies() == {"running": 0}


# -- the real thing ----------------------------------------------------------------------


SCRIPT = """
const fs = require('fs').promises, path = require('path');
const [data, role, count] = process.argv.slice(2);
const folders = ['pending', 'running', 'complete', 'failed', 'cancelled'];
const file = (job) => path.join(data, 'jobs', job.status, job.metadata.id + '.json');
const write = (job) => fs.writeFile(file(job), JSON.stringify(job, null, 2), 'utf-8');
async function produce() {
  for (let n = 0; n < Number(count); n++) {
    await write({status: 'pending', metadata: {id: 'node-' + n, type: 'task', userId: 'u',
      created: new Date().toISOString(), retryCount: 0, maxRetries: 3},
      params: {text: 'é'.repeat(20000), big: 1e21, small: 1.5}});
  }
}
async function read() {
  let looks = 0, isOver = false;
  while (!isOver) {  // and once more when all are complete
    isOver = (await fs.readdir(path.join(data, 'jobs', 'complete'))).length === Number(count);
    for (const folder of folders) {
      for (const name of await fs.readdir(path.join(data, 'jobs', folder))) {
        let text;
        try { text = await fs.readFile(path.join(data, 'jobs', folder, name), 'utf-8'); }
        catch (error) { if (error.code === 'ENOENT') continue; throw error; }
        if (folder === 'pending') continue;  // where its own producer may be writing
        const job = JSON.parse(text);
        if (job.metadata.id + '.json' !== name || job.status !== folder) throw new Error(name);
        if (JSON.stringify(job, null, 2) !== text) throw new Error('other bytes: ' + name);
        looks++;
      }
    }
  }
  console.log(looks);
}
(role === 'produce' ? produce() : read());
"""


@pytest.mark.skipif(NODE is None, reason="there is no node on this machine")
def test_jobs_that_node_writes_are_done_once_and_node_reads_what_we_write_byte_for_byte(
    tmp_path: Path,
) -> None:
    count = 60 * FACTOR
    data, place, ran = tmp_path / "data", Place(tmp_path / "data"), Counter[str]()
    script = tmp_path / "package.cjs"
    script.write_text(SCRIPT)
    with JobQueue(data, fsync=False) as queue:
        looking = start(NODE, script, data, "read", count)
        with Counting(queue, ran):
            finished(start(NODE, script, data, "produce", count))
            eventually(lambda: ended(place) == count, PATIENCE)
        looks = int(finished(looking))

    assert {f"node-{number}": 1 for number in range(count)} == ran
    assert looks >= count
    assert place.names(".quarantine") == []
    assert {"complete"} == {folder for folder in FOLDERS if place.names(folder)}
