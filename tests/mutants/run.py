"""Try every deliberate fault of the catalogue: `python tests/mutants/run.py [NAME ...] [-j N]`.

Exits with 1 if one survives: then a test is missing. It must not know how one is tried.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

# The folder of the tests in place of this one: modules are called here as in the tests.
sys.path[0] = str(Path(__file__).parents[1])

from mutants.catalogue import FAULTS  # noqa: E402 - found through the path set above
from mutants.fault import Fault  # noqa: E402
from mutants.finding import ROOT  # noqa: E402
from mutants.trial import Laboratory, Result, judged, unfit  # noqa: E402

IS_REQUIRED: Final = os.environ.get("SEMIONT_JOBS_POSTGRES") == "required"
AT_A_TIME: Final = (os.cpu_count() or 1) + 1
"""One more than there are cores: some faults are found by a test that waits for half a minute."""
LAST_LINES: Final = 15
"""Lines shown of what pytest said, where something is wrong."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults, with * and ?; none: all")
    parser.add_argument("-j", "--jobs", type=int, default=AT_A_TIME, metavar="N", help="at a time")
    parser.add_argument("--list", action="store_true", help="tell their names and end")
    asked = parser.parse_args(arguments)
    chosen = [f for f in FAULTS if not asked.names or any(fnmatch(f.name, n) for n in asked.names)]
    unknown = [n for n in asked.names if not any(fnmatch(f.name, n) for f in FAULTS)]
    if unknown:
        parser.error(f"no fault is called {', '.join(unknown)}: see --list")
    if asked.jobs < 1:
        parser.error("-j takes a number from 1")
    if asked.list:
        print("\n".join(f"{fault.name:44}{fault.breaks}" for fault in chosen))
        return 0
    # Also in the background of a script, where Ctrl-C is ignored: nothing must be left behind.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return tried(chosen, at_a_time=asked.jobs)
    except KeyboardInterrupt:
        print("interrupted: nothing is left behind", file=sys.stderr)
        return 130


def tried(chosen: Sequence[Fault], *, at_a_time: int) -> int:
    """Try these faults; the exit code."""
    with ExitStack() as stack:
        url = None
        if any(fault.needs_server for fault in chosen):
            chosen, url = stack.enter_context(with_server(chosen))
        scratch = Path(tempfile.mkdtemp(prefix="mutants-"))
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        laboratory = Laboratory(scratch, url=url)
        laboratory.prepare()
        pool = stack.enter_context(ThreadPoolExecutor(at_a_time))
        # Before the pool waits for its threads: what they wait for is ended.
        stack.callback(laboratory.close)
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        if not are_fit(chosen, laboratory, pool, at_a_time):
            return 1
        return told(chosen, laboratory, pool)


def are_fit(
    chosen: Sequence[Fault], laboratory: Laboratory, pool: ThreadPoolExecutor, at_a_time: int
) -> bool:
    """Whether all tests pass without a fault; those that do not prove nothing with one."""
    tests = list(dict.fromkeys(test for fault in chosen for test in fault.node_ids))
    parts = [tests[place::at_a_time] for place in range(at_a_time)]
    running = {
        pool.submit(laboratory.without_fault, part, name=f"clean-{place}"): part
        for place, part in enumerate(parts)
        if part
    }
    is_fit = True
    for future in as_completed(running):
        result = future.result()
        wrong = unfit(result, running[future])
        if wrong:
            is_fit = False
            print("without a fault these do not pass:", *wrong, sep="\n  ")
            print(last_lines(result.output))
    if is_fit:
        print(f"without a fault all {len(tests)} tests pass", flush=True)
    return is_fit


def told(chosen: Sequence[Fault], laboratory: Laboratory, pool: ThreadPoolExecutor) -> int:
    """Try each and tell of it as it ends; the exit code."""
    running: dict[Future[Result], Fault] = {
        pool.submit(laboratory.with_fault, fault): fault for fault in chosen
    }
    counts = {"caught": 0, "hung": 0, "survived": 0, "unfair": 0}
    for future in as_completed(running):
        fault, result = running[future], future.result()
        verdict = judged(result, fault.node_ids)
        counts[verdict.kind] += 1
        print(f"{verdict.kind:9}{result.seconds:6.1f}s  {fault.name:44}{fault.breaks}", flush=True)
        if verdict.detail:
            print(f"{'':18}{verdict.detail}")
        if not verdict.is_good:
            print(last_lines(result.output), flush=True)
    missed = counts["survived"] + counts["unfair"]
    hung = f" ({counts['hung']} of them by a hang)" if counts["hung"] else ""
    print(f"found {len(chosen) - missed} of {len(chosen)} faults{hung}")
    return 1 if missed else 0


@contextmanager
def with_server(chosen: Sequence[Fault]) -> Iterator[tuple[Sequence[Fault], str | None]]:
    """A PostgreSQL server for all trials, and the faults that can be tried."""
    sys.path.insert(1, str(ROOT))
    try:
        from postgres.servers import ELSEWHERE, FAST, Server, wait_out_grace

        server = None if ELSEWHERE else Server(f"mutants-{os.getpid()}", FAST)
    except ImportError as error:
        if IS_REQUIRED:
            raise
        rest = [fault for fault in chosen if not fault.needs_server]
        print(f"{len(chosen) - len(rest)} faults of the PostgreSQL store are left out: {error}")
        yield rest, None
        return
    if server is None:
        yield chosen, ELSEWHERE
        return
    try:
        wait_out_grace(server.url)
        yield chosen, server.url
    finally:
        server.end()


def last_lines(output: str) -> str:
    """The end of what pytest said, set off."""
    return "\n".join(f"    | {line}" for line in output.splitlines()[-LAST_LINES:])


if __name__ == "__main__":
    sys.exit(main())
