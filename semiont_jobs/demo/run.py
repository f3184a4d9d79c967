"""The demonstration from beginning to end.

It must not know text analysis, nor how a queue keeps its jobs.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

from semiont_jobs.demo.corpus import documents, titles
from semiont_jobs.demo.crew import Crew
from semiont_jobs.demo.display import Display, display_for
from semiont_jobs.demo.ending import Ending
from semiont_jobs.demo.judge import judge
from semiont_jobs.demo.plan import plan
from semiont_jobs.demo.process import open_queue
from semiont_jobs.demo.report import Report, make_report
from semiont_jobs.demo.summary import print_summary
from semiont_jobs.demo.witness import account
from semiont_jobs.errors import InvalidValue
from semiont_jobs.model import FINISHED
from semiont_jobs.queue import JobQueue

LOOK_INTERVAL: Final = 0.1
"""Seconds between two looks at the progress: smooth enough for a bar."""
KILLS_AT: Final = (0.1, 0.22, 0.34, 0.46, 0.58, 0.7, 0.82)
"""Shares of the jobs done at which `chaos` kills a worker process: seven, so that at least five are
killed in the middle of a job even if one is found idle."""
MARKER: Final = ".made-by-semiont-jobs-demo"
"""A file that only a demonstration makes: a directory that contains it was made by one."""
OURS: Final = frozenset({MARKER, "jobs", "witness", "annotations", "pages"})
"""All that a demonstration makes in its directory. Anything else is not ours."""
PATIENCE: Final = 300.0
"""Seconds without any outcome after which the demonstration counts as broken."""


def main(
    *, data_dir: str, chaos: bool = False, processes: int = 2, threads: int = 1, json: bool = False
) -> int:
    """Run it; return the exit code: 0 if all jobs are complete and none was lost or done twice,
    else 1. SIGTERM and Ctrl-C end it with `SystemExit`, after the worker processes have ended.

    :param data_dir: created; one of an earlier demonstration is replaced.
    :param chaos: kill worker processes in the middle of jobs.
    :param threads: threads for each of the six workers in each process.
    :param json: print the report as JSON and nothing else.
    """
    place = _fresh(Path(data_dir))
    with Ending() as ending:
        report = run(place, ending, chaos=chaos, processes=processes, threads=threads, quiet=json)
    if json:
        print(report.as_json())
    else:
        print_summary(report)
    return 0 if report.is_clean and report.complete == report.jobs else 1


def run(
    data_dir: Path, ending: Ending, *, chaos: bool, processes: int, threads: int, quiet: bool
) -> Report:
    """Plan, run and judge the jobs of one demonstration."""
    queue = open_queue(data_dir).initialize()
    jobs = plan(titles(), queue.job_types)
    totals = Counter(job.metadata.type for job in jobs)
    if not quiet:
        print(f"{len(documents())} documents, {len(jobs)} jobs in {data_dir}", file=sys.stderr)
    begun = time.monotonic()
    queue.create_jobs(jobs)
    crew = Crew(data_dir, processes=processes, threads=threads)
    try:
        with display_for(totals, quiet=quiet) as display:
            _watch(queue, crew, display, ending, total=len(jobs), chaos=chaos)
        seconds = time.monotonic() - begun
    finally:
        crew.dismiss()
    stored = queue.query_jobs(limit=None)
    queue.close()
    return make_report(
        data_dir,
        stored,
        judge((job.metadata.id for job in jobs), stored, account(data_dir / "witness")),
        documents=len(documents()),
        seconds=seconds,
        workers_killed=crew.killed,
        pages=sorted((data_dir / "pages").glob("*.md")),
    )


def _watch(
    queue: JobQueue, crew: Crew, display: Display, ending: Ending, *, total: int, chaos: bool
) -> None:
    """Show the progress until every job has an outcome; kill and replace workers."""
    due = list(KILLS_AT) if chaos else []
    finished, since = -1, time.monotonic()
    while finished < total:
        ended = [job for status in FINISHED for job in queue.query_jobs(status=status, limit=None)]
        done = Counter(job.metadata.type for job in ended)
        display.show(done, killed=crew.killed)
        if len(ended) != finished:
            finished, since = len(ended), time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            raise TimeoutError(f"no job finished for {PATIENCE:.0f} seconds")
        if due and finished >= due[0] * total and crew.kill_one(queue):
            due.pop(0)
        crew.keep_up()
        ending.pause(LOOK_INTERVAL)


def _fresh(data_dir: Path) -> Path:
    """An empty data directory. It replaces only one that a demonstration made and to which nothing
    was added since."""
    place = Path(os.path.abspath(data_dir))
    names = set(os.listdir(place)) if place.exists() else set()
    if MARKER not in names and names:
        raise _refused("it is not empty and was not made by a demonstration", place)
    if names - OURS:
        raise _refused(f"it holds {min(names - OURS)} besides what a demonstration makes", place)
    place.mkdir(parents=True, exist_ok=True)
    # Created first, removed last: a directory half made or half removed still counts as ours.
    (place / MARKER).touch()
    for name in names - {MARKER}:
        shutil.rmtree(place / name)
    (place / "witness").mkdir()
    return place


def _refused(reason: str, place: Path) -> InvalidValue:
    return InvalidValue(f"{reason}: name another", field="data_dir", value=str(place))
