"""A forked child keeps none of its parent's locks, and its parent keeps them all."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from files.children import PATIENCE, Children, is_alive, kill
from files.places import Unattended, claimed, job, seen

from semiont_jobs import FileStore, JobQueue
from semiont_jobs.testing.suite import eventually

pytestmark = pytest.mark.proof


@pytest.fixture
def queue(children: Children) -> Iterator[JobQueue]:
    with Unattended(FileStore(children.data, fsync=False)) as opened:
        yield opened


FORKS = {
    "os.fork": """
        pid = os.fork()
        if pid == 0:
            witness(f"child:{os.getpid()}")
            wait_for("never")
            os._exit(0)
    """,
    "multiprocessing": """
        import multiprocessing
        def child():
            witness(f"child:{os.getpid()}")
            wait_for("never")
        multiprocessing.get_context("fork").Process(target=child).start()
    """,
    "Popen": """
        import subprocess
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        witness(f"child:{child.pid}")
    """,
    "Popen that keeps files open": """
        import subprocess
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False
        )
        witness(f"child:{child.pid}")
    """,
}


@pytest.mark.parametrize("how", FORKS)
def test_a_child_that_outlives_a_killed_worker_does_not_keep_its_job(
    children: Children, queue: JobQueue, how: str
) -> None:
    queue.create_job(job())
    worker = children.start(
        "import warnings\nwarnings.simplefilter('ignore')\n"
        "claim = queue.claim_next_job()\nassert claim\n"
        + "\n".join(line[8:] for line in FORKS[how].splitlines())
        + "\nwitness('holding')\nwait_for('never')\n"
    )
    children.witnessed("holding")
    eventually(lambda: any(word.startswith("child:") for word in children.words()), PATIENCE)
    child = int(next(word for word in children.words() if word.startswith("child:"))[6:])
    assert queue.rescue_orphans() == 0

    kill(worker)

    assert is_alive(child)
    assert queue.rescue_orphans() == 1
    assert claimed(queue).job.metadata.crash_count == 1


def test_a_child_forked_while_left_over_files_are_swept_keeps_no_lock(
    children: Children, queue: JobQueue
) -> None:
    queue.create_job(job())
    jobs = children.data / "jobs"
    # A left-over may be a second name of a live job: its lock is the job's.
    (jobs / ".tmp" / "left").hardlink_to(jobs / "pending" / "j.json")
    os.utime(jobs / "pending" / "j.json", (1_700_000_000, 1_700_000_000))

    children.start("""
        from semiont_jobs.stores.files.door import Disk
        class Forking(Disk):
            def unlink(self, path):
                if path.endswith("left") and os.fork() == 0:
                    witness("child")
                    wait_for("never")
                os.unlink(path)
        JobQueue(FileStore(data, fsync=False, disk=Forking())).initialize()
        witness("swept")
        wait_for("never")
    """)
    children.witnessed("child")
    children.witnessed("swept")

    assert os.listdir(jobs / ".tmp") == []
    assert eventually(queue.claim_next_job).complete().status == "complete"


def test_a_forked_child_cannot_finish_its_parents_job_but_works_on_others(
    children: Children, queue: JobQueue
) -> None:
    queue.create_job(job())
    printed = children.run(
        """
        import warnings
        warnings.simplefilter("ignore")
        claim = queue.claim_next_job()
        queue.create_job(new("k"))
        pid = os.fork()
        if pid == 0:
            try:
                claim.complete({"by": "the child"})
            except ClaimLost:
                witness("refused")
            mine = queue.claim_next_job()
            witness(f"child:{mine.job.metadata.id}")
            mine.complete({"by": "the child"})
            os._exit(0)
        os.waitpid(pid, 0)
        print(claim.complete({"by": "the parent"}).status)
        """
    )

    assert printed.split() == ["complete"]
    assert children.words() == ["refused", "child:k"]
    assert seen(queue.get_job("j")).result == {"by": "the parent"}
    assert seen(queue.get_job("k")).result == {"by": "the child"}
