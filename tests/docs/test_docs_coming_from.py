"""What the page for those who come from other queues names as ours is there.

Its code blocks run as every page's do; this is about its tables.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from semiont_jobs import JobQueue, RetryPolicy, WorkerPool, job_handler
from semiont_jobs.cli import acting, reading, running

PAGE = Path(__file__).parents[2] / "docs" / "coming-from.rst"
# Of `manage.py jobs_worker`, which only an environment with Django could be asked for;
# tests/in_django does.
FLAGS_OF_DJANGO = {
    *("--queue-name", "--exclude-queues", "--interval", "--batch", "--max-tasks"),
    *("--worker-id", "--no-startup-delay", "--backend"),
}


def ours() -> str:
    """The column of the tables that is headed "here"."""
    rows = re.findall(
        r"^   \* - (?:.+\n)     - ((?:.+\n)(?:       .+\n)*)", PAGE.read_text(), re.MULTILINE
    )
    heads = [number for number, cell in enumerate(rows) if cell == "here\n"]
    assert len(heads) == 4
    assert len(rows) > 70
    return "".join(rows[heads[0] :])


def test_every_verb_of_the_queue_is_one() -> None:
    verbs = set(re.findall(r"(?:queue|JobQueue)\.(\w+)", ours()))

    assert {"enqueue", "wait_for", "cancel_job", "retry_job"} <= verbs
    assert {verb for verb in verbs if not hasattr(JobQueue, verb)} == set()


def test_every_keyword_is_taken() -> None:
    given = set(re.findall(r"\b([a-z_]+)=", ours()))
    takers = (
        *(JobQueue, JobQueue.enqueue, JobQueue.wait_for, JobQueue.query_jobs),
        *(RetryPolicy, WorkerPool, job_handler),
    )
    taken = {name for taker in takers for name in inspect.signature(taker).parameters}
    taken |= {"days", "minutes"}  # of a timedelta, which has no signature to ask

    assert {"run_after", "timeout", "id", "permanent"} <= given
    assert given - taken == set()


def test_every_option_of_a_command_is_one() -> None:
    named = set(re.findall(r"--[a-z-]+", ours()))
    options = {
        option
        for command in (running.worker, acting.cleanup, reading.list_jobs)
        for parameter in command.params
        for option in parameter.opts
    }

    assert {"--threads", "--processes", "--older-than"} <= named
    assert named - options - FLAGS_OF_DJANGO == set()
