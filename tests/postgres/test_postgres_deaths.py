"""When the server or a process dies, jobs go on, each once."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap

import psycopg
import pytest
from postgres.owners import Make, asked, held, is_owned_anew, owner_backend
from postgres.servers import FAST, Server, sql

from semiont_jobs import ClaimLost, JobCancelled, JobQueue
from semiont_jobs.stores.postgres.rows import LOCKS_SINCE
from semiont_jobs.testing.suite import PATIENCE, eventually, some

# -- the server dies -----------------------------------------------------------------------


def test_jobs_in_hand_survive_a_restart_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "psycopg.pool")
    server = Server(f"restarted-{os.getpid()}", {**FAST, "fsync": "on"})
    try:
        with JobQueue(server.url) as queue, JobQueue(server.url) as other:
            claim = held(queue)
            waiting = queue.enqueue({"page": 2}, type="task")
            other.start_keeper()

            server.stop()
            server.start()
            # Nor by hand: it is asked for, as that of any living holder.
            assert eventually(lambda: asked(other, claim))

            eventually(lambda: owner_backend(server.url, queue))
            with pytest.raises(JobCancelled):
                eventually(claim.raise_if_cancelled)  # its process may be cut off a moment longer
            claim.checkpoint(["a"])
            assert claim.complete({"pages": 1}).status == "complete"
            assert some(other.get_job(claim.job.metadata.id)).metadata.crash_count == 0
            assert eventually(other.claim_next_job).job.metadata.id == waiting.metadata.id
    finally:
        server.end()


def test_jobs_in_hand_survive_the_kill_of_one_of_the_server_s_processes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It ends every session then, and all locks fall, but it does not count as started anew."""
    caplog.set_level(logging.CRITICAL, "psycopg.pool")
    server = Server(f"killed-{os.getpid()}", {**FAST, "fsync": "on"})
    try:
        with JobQueue(server.url) as queue, JobQueue(server.url) as other:
            claim = held(queue)
            other.start_keeper()
            [(started, now)] = sql(server.url, "SELECT pg_postmaster_start_time(), now()")

            backend = owner_backend(server.url, queue)

            with psycopg.connect(server.url) as victim:
                os.kill(victim.info.backend_pid, signal.SIGKILL)
            eventually(lambda: is_owned_anew(server.url, queue, backend))
            [(locks_since, still)] = sql(
                server.url, f"SELECT {LOCKS_SINCE}, pg_postmaster_start_time()"
            )

            assert claim.complete().metadata.crash_count == 0
            assert still == started
            assert locks_since > now
    finally:
        server.end()


# -- the process dies ----------------------------------------------------------------------


def test_a_killed_process_is_rescued_from_though_its_forked_child_lives(
    make_queue: Make, url: str
) -> None:
    script = textwrap.dedent("""
        import os, sys, time, warnings
        from semiont_jobs import JobQueue
        queue = JobQueue(sys.argv[1])
        queue.enqueue({}, type="task")
        claim = queue.claim_next_job()
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        child = os.fork()
        if child == 0:
            sys.stdin.read()  # lives until the test ends
            os._exit(0)
        print(child, flush=True)
        time.sleep(600)
    """)
    parent = subprocess.Popen(
        [sys.executable, "-c", script, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    queue = make_queue()
    before = queue.rescue_orphans()

    parent.kill()
    parent.wait(PATIENCE)
    rescued = eventually(queue.rescue_orphans)
    os.kill(child, 0)  # it lives
    parent.communicate(timeout=PATIENCE)

    assert (before, rescued) == (0, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking with threads
def test_a_forked_child_has_sessions_of_its_own_and_disturbs_none_of_its_parents(
    make_queue: Make, server_url: str
) -> None:
    queue = make_queue()
    claim = held(queue)
    backend = owner_backend(server_url, queue)

    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            for use in (claim.raise_if_cancelled, claim.checkpoint, claim.complete, claim.release):
                with pytest.raises(ClaimLost):
                    use()
            queue.enqueue({"by": "child"}, type="task")
            mine = some(queue.claim_next_job())
            os._exit(7 if mine.complete().status == "complete" else 1)
        finally:
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert code == 7
    assert owner_backend(server_url, queue) == backend
    claim.raise_if_cancelled()
    assert claim.complete().status == "complete"
    assert queue.get_stats().complete == 2
