"""A real partition: the worker's host is a network namespace, whose only link is taken down."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres.servers import FAST, Server, a_schema, wait_out_grace

from semiont_jobs import JobQueue
from semiont_jobs.testing.suite import eventually

NUMBER = os.getpid() % 250
HOST, GUEST = f"10.231.{NUMBER}.1", f"10.231.{NUMBER}.2"
PORT = 54320

WORKER = textwrap.dedent("""
    import json, logging, sys, time
    from semiont_jobs import ClaimLost, JobQueue
    from semiont_jobs.stores.postgres import liveness, sessions

    def say(**facts):
        print(json.dumps({"at": time.monotonic(), **facts}), flush=True)

    # A quarter of all times, in the same order: silence is noticed, then given up, then the
    # server's kernel ends the session.
    logging.disable(logging.CRITICAL)
    liveness.HEARTBEAT, liveness.SILENCE, liveness.GIVE_UP = 0.25, 1.25, 2.25
    for old, new in (("idle = 10", "idle = 2"), ("interval = 2", "interval = 1"), ("16000", "4000")):
        assert old in sessions.SETTINGS
        sessions.SETTINGS = sessions.SETTINGS.replace(old, new)
    queue = JobQueue(sys.argv[1])
    claim = queue.claim_next_job()
    say(claimed=claim.job.metadata.id)
    lost = claim.cancelled.wait(60)
    say(told=lost)
    sys.stdin.readline()
    try:
        claim.complete({"by": "the one who was away"})
        say(refused=None)
    except ClaimLost:
        say(refused="ClaimLost")
    again = None
    deadline = time.monotonic() + 30
    while again is None and time.monotonic() < deadline:
        try:
            again = queue.claim_next_job()
        except OSError:
            continue
    say(outcome=again.complete({"by": "back"}).status)
""")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace with a link to this one."""
    name, here, there = f"semiont-{os.getpid()}", f"sj{os.getpid()}a", f"sj{os.getpid()}b"
    try:
        ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespace can be made here: {error}")
    try:
        try:
            ip("link", "add", here, "type", "veth", "peer", "name", there)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no link can be made here: {error}")
        ip("link", "set", there, "netns", name)
        ip("addr", "add", f"{HOST}/30", "dev", here)
        ip("link", "set", here, "up")
        ip("-n", name, "addr", "add", f"{GUEST}/30", "dev", there)
        ip("-n", name, "link", "set", there, "up")
        yield name
    finally:
        # The link goes with it.
        ip("netns", "del", name)


@pytest.fixture
def server(namespace: str) -> Iterator[Server]:
    """One that listens to the namespace's host, too."""
    server = Server(f"partitioned-{os.getpid()}", FAST)
    try:
        inner: Any = server._server
        socket = server.socket
        with Path(inner.pgdata, "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {GUEST}/32 trust\n")
        server.stop()
        listening = f'-h "{HOST}" -p {PORT} -k {socket.parent}'
        subprocess.run(
            [inner.bin_path / "pg_ctl", "-w", "-o", listening, "-D", inner.pgdata, "start"],
            check=True,
            cwd="/",
            user=inner.system_user,
            stdout=subprocess.DEVNULL,
        )
        yield server
    finally:
        server.end()


def test_a_worker_cut_off_by_its_network_is_told_before_its_job_is_given_to_others(
    server: Server, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    near = f"postgresql://postgres@/postgres?host={server.socket.parent}&port={PORT}"
    with a_schema(near) as schema, JobQueue(f"{near}&schema={schema}") as queue:
        wait_out_grace(near)
        job = queue.enqueue({}, type="task")
        far = f"postgresql://postgres@{HOST}:{PORT}/postgres?schema={schema}"
        worker = subprocess.Popen(
            ["ip", "netns", "exec", namespace, sys.executable, "-c", WORKER, far],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            claimed = json.loads(worker.stdout.readline())
            before = queue.rescue_orphans()

            ip("link", "set", f"sj{os.getpid()}a", "down")
            rescued = eventually(queue.rescue_orphans)
            rescued_at = time.monotonic()
            told = json.loads(worker.stdout.readline())
            ip("link", "set", f"sj{os.getpid()}a", "up")
            worker.stdin.write("\n")
            worker.stdin.flush()
            refused = json.loads(worker.stdout.readline())
            back = json.loads(worker.stdout.readline())
        finally:
            worker.kill()
            worker.communicate()

        assert claimed["claimed"] == job.metadata.id
        assert (before, rescued) == (0, 1)
        assert told["told"] is True
        assert told["at"] < rescued_at
        assert refused["refused"] == "ClaimLost"
        assert back["outcome"] == "complete"
        final = queue.get_job(job.metadata.id)
        assert final is not None
        assert [each.outcome for each in final.metadata.attempts] == ["crashed", "completed"]
