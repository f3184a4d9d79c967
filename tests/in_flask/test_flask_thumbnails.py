"""The example application, run as its README says, with its worker killed in the middle."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flask", reason="Flask is not installed")
pytest.importorskip("PIL", reason="Pillow is not installed")

from PIL import Image

from semiont_jobs import JobQueue, RunningJob
from semiont_jobs.testing.waiting import eventually

pytestmark = pytest.mark.skipif(find_spec("gunicorn") is None, reason="gunicorn is not installed")

ROOT = Path(__file__).parents[2]
TIMEOUT = 60.0
SIZES = (64, 128, 256, 512, 1024)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy, for the application keeps its pictures beside itself."""
    return Path(shutil.copytree(ROOT / "examples" / "flask_thumbnails", tmp_path / "project"))


def started(project: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=TIMEOUT)


@pytest.fixture
def server(project: Path) -> Iterator[str]:
    """The address of the application's server."""
    process = started(
        project, "gunicorn", "--threads=8", "--bind=127.0.0.1:0", "thumbnails:create_app()"
    )
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    yield next(found[1] for line in lines if (found := re.search(r"at: (\S+)", line)))
    ended(process)


@pytest.fixture
def worker(project: Path) -> Iterator[subprocess.Popen[str]]:
    process = started(project, "flask", "--app", "thumbnails", "jobs", "worker", "--processes", "2")
    yield process
    ended(process)


def large_picture() -> bytes:
    """One that takes seconds."""
    data = io.BytesIO()
    Image.new("RGB", (7000, 7000), "teal").save(data, "PNG", compress_level=1)
    return data.getvalue()


def uploaded(server: str, picture: bytes) -> dict[str, Any]:
    boundary = uuid.uuid4().hex
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="picture"; filename="p.png"\r\n\r\n'
    )
    request = urllib.request.Request(
        f"{server}/pictures",
        data=head.encode() + picture + f"\r\n--{boundary}--\r\n".encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        assert answer.status == 202
        told: dict[str, Any] = json.load(answer)
        return told


def events(server: str, path: str) -> Iterator[dict[str, Any]]:
    with urllib.request.urlopen(f"{server}{path}", timeout=TIMEOUT) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        for line in stream:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


def test_a_picture_whose_worker_was_killed_gets_its_thumbnails(
    project: Path, server: str, worker: subprocess.Popen[str]
) -> None:
    upload = uploaded(server, large_picture())
    with JobQueue(project / "instance" / "jobs") as queue:

        def at_work() -> Any:
            job = queue.get_job(upload["id"])
            is_at_work = isinstance(job, RunningJob) and job.progress and job.progress["done"]
            return job.metadata.claim.pid if is_at_work else None  # type: ignore[union-attr]

        os.kill(eventually(at_work, TIMEOUT), signal.SIGKILL)
        states = list(events(server, upload["events"]))
        job: Any = queue.get_job(upload["id"])

    assert worker.poll() is None
    assert (job.metadata.crash_count, job.metadata.attempt_count) == (1, 2)
    assert states[-1]["status"] == "complete"
    assert states[-1]["thumbnails"] == [f"{size}.jpeg" for size in SIZES]
    for size in SIZES:
        address = f"{server}/pictures/{states[-1]['folder']}/{size}.jpeg"
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
            assert Image.open(io.BytesIO(answer.read())).size == (size, size)


def test_what_is_no_picture_fails_with_its_reason_and_odd_requests_are_refused(
    server: str, worker: subprocess.Popen[str]
) -> None:
    upload = uploaded(server, b"not a picture")

    *_, last = events(server, upload["events"])
    codes = []
    for path in ("/pictures/nowhere/events", "/pictures/..%2f/events", "/pictures/x/64.jpeg"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server}{path}", timeout=TIMEOUT)
        codes.append(refused.value.code)
        refused.value.close()

    assert (last["status"], last["error"]) == ("failed", "PermanentError: this is no picture")
    assert [404] * 3 == codes
