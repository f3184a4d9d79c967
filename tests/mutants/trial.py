"""A trial: one fault in a copy of the tree, the tests that must notice it run there, a verdict.

It must not know the catalogue. The checkout itself is never written to: another run of the tests, an
editor or a commit may be looking at it.
"""

from __future__ import annotations

import compileall
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Final, Literal
from xml.etree import ElementTree

from attrs import field, frozen
from mutants.fault import Fault
from mutants.finding import ROOT

NEEDED: Final = ("semiont_jobs", "tests", "pyproject.toml")
"""What of the tree the named tests read."""
PATIENCE: Final = 180.0
"""Seconds that the tests of one fault have: many times what the slowest take on a busy machine. A
fault that makes them wait for ever is found too, only later."""
LAST_WORDS: Final = 20.0
"""Seconds that a run of tests has to tidy up, once it is told to end."""

Ending = Literal["passed", "failed", "skipped"]
Kind = Literal["caught", "hung", "survived", "unfair"]


@frozen
class Result:
    """How a run of tests ended."""

    code: int | None
    """What pytest returned; None: it was still at work when its time was up."""
    cases: Mapping[str, frozenset[Ending]]
    """The endings of each test that was run, all its parameters together."""
    seconds: float
    output: str = field(repr=False, default="")


@frozen
class Verdict:
    """What a run with a fault in it shows."""

    kind: Kind
    detail: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the fault was found."""
        return self.kind in ("caught", "hung")


def judged(result: Result, tests: Iterable[str]) -> Verdict:
    """The verdict on a fault that each of these tests must notice."""
    if result.code is None:
        return Verdict("hung", f"still at work after {PATIENCE:g} seconds")
    if result.code not in (0, 1):
        # Nothing was tested: a fault that nobody can even import is found by no test of ours.
        return Verdict("unfair", f"pytest ended with {result.code}")
    blind = [test for test in tests if "failed" not in result.cases.get(name_in_report(test), ())]
    if blind:
        return Verdict("survived", f"passes: {', '.join(blind)}")
    return Verdict("caught")


def unfit(result: Result, tests: Iterable[str]) -> list[str]:
    """Which of these tests did not pass, in a run without a fault."""
    return [test for test in tests if result.cases.get(name_in_report(test)) not in _PASSED]


_PASSED: Final = (frozenset({"passed"}), frozenset({"passed", "skipped"}))


def name_in_report(test: str) -> str:
    """How pytest's report names a test that has this node id, without parameters."""
    path, *parts = test.partition("[")[0].split("::")
    return ".".join((*path.removesuffix(".py").split("/"), *parts))


class Laboratory:
    """Copies of the tree, and the runs of tests in them. Used from several threads."""

    def __init__(self, scratch: Path, *, url: str | None = None) -> None:
        self._scratch = scratch
        self._url = url
        self._clean = scratch / "clean"
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    def prepare(self) -> None:
        """Make the copy that all others are copied from."""
        for name in NEEDED:
            source, target = ROOT / name, self._clean / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)
        # By content, not by time and size: a fault may have as many characters as what it
        # replaces, and be written within the same second.
        package = str(self._clean / "semiont_jobs")
        compileall.compile_dir(package, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)

    def without_fault(self, tests: Iterable[str], *, name: str) -> Result:
        """Run tests in a copy as it is."""
        return self._run(name, tests, None)

    def with_fault(self, fault: Fault) -> Result:
        """Run a fault's tests in a copy with the fault in it."""
        return self._run(fault.name, fault.node_ids, fault)

    def close(self) -> None:
        """End what is running; nothing begins any more."""
        with self._lock:
            self._is_closed = True
            running = list(self._running)
        for process in running:
            _end(process)

    def _run(self, name: str, tests: Iterable[str], fault: Fault | None) -> Result:
        place = self._scratch / name
        tree = place / "tree"
        shutil.copytree(self._clean, tree)
        if fault is not None:
            path = tree / fault.path
            path.write_text(fault.applied(path.read_text("utf-8")), "utf-8")
        (place / "tmp").mkdir()
        report = place / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"]
        command += [f"--basetemp={place / 'tests'}", f"--junit-xml={report}", *tests]
        environment = {
            **os.environ,
            "PYTHONPATH": str(tree),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(place / "tmp"),
        }
        if self._url is not None:
            environment["SEMIONT_JOBS_TEST_URL"] = self._url
        began = time.monotonic()
        with (place / "output").open("wb") as output:
            code = self._ended(command, cwd=tree, env=environment, output=output)
        seconds = time.monotonic() - began
        text = (place / "output").read_text("utf-8", "replace")
        cases = _cases_of(report) if report.exists() else {}
        shutil.rmtree(place, ignore_errors=True)
        return Result(code, cases, seconds, text)

    def _ended(
        self, command: list[str], *, cwd: Path, env: Mapping[str, str], output: object
    ) -> int | None:
        with self._lock:
            if self._is_closed:
                raise InterruptedError("the trials were ended")
            # A session of its own: whatever the tests start can be ended with them, and Ctrl-C on
            # the terminal is ours to pass on.
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,  # type: ignore[arg-type]
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(process)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)
            with self._lock:
                self._running.discard(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a run, politely at first, and whatever it has left behind."""
    with suppress(ProcessLookupError, subprocess.TimeoutExpired):
        if process.poll() is None:
            # As Ctrl-C does: fixtures stop the processes that tests have started.
            process.send_signal(signal.SIGINT)
            process.wait(LAST_WORDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _cases_of(report: Path) -> dict[str, frozenset[Ending]]:
    endings: dict[str, set[Ending]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.get("name", "").partition("[")[0]
        within = endings.setdefault(f"{case.get('classname')}.{name}", set())
        told = {child.tag for child in case}
        if told & {"failure", "error"}:
            within.add("failed")
        else:
            within.add("skipped" if "skipped" in told else "passed")
    return {name: frozenset(within) for name, within in endings.items()}
