"""watch shows a screen that a person would keep open."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len

from semiont_jobs import FileStore, JobQueue, PermanentError
from semiont_jobs.cli.board import Board
from semiont_jobs.cli.screen import LEAST, elapsed_text, fraction_of, lines_of, told
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.waiting import eventually

if TYPE_CHECKING:
    from conftest import Run

TIMEOUT = 60.0
NASTY = "a\nb\x1b[31m\u202e\u200b文書の要約を作る長い名前"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> JobQueue:
    return JobQueue("memory:", clock=clock)


def claimed(queue: JobQueue) -> Any:
    return eventually(queue.claim_next_job)


# -- the board -----------------------------------------------------------------------------


def test_a_running_job_keeps_its_place_until_it_ends(queue: JobQueue, clock: FakeClock) -> None:
    board = Board(queue, clock=clock)
    for name in "abcde":
        queue.enqueue({}, type="t", id=name)

    def shown(places: int = 3) -> list[str | None]:
        return [one and one.id for one in board.look(places).at_work]

    claims = {claim.job.metadata.id: claim for claim in (claimed(queue) for _ in range(3))}
    before = shown()
    claims["b"].complete()
    one_left = shown()
    claims["c"].release()
    claims.update((claim.job.metadata.id, claim) for claim in (claimed(queue) for _ in range(3)))
    filled = shown(4)

    assert (["a", "b", "c"], ["a", None, "c"]) == (before, one_left)
    assert "a" == filled[0]
    assert {"a", "c", "d", "e"} == set(filled)
    assert 2 == board.look(2).more_at_work
    for claim in claims.values():
        if claim.is_open:
            claim.complete()
    assert [] == shown()


def test_a_place_that_nobody_takes_is_closed_up(queue: JobQueue, clock: FakeClock) -> None:
    board = Board(queue, clock=clock)
    for name in "abc":
        queue.enqueue({}, type="t", id=name)
    claims = [claimed(queue) for _ in range(3)]
    board.look(3)
    claims[1].complete()

    looks = [[one and one.id for one in board.look(3).at_work] for _ in range(2)]

    assert [["a", None, "c"], ["a", "c"]] == looks


def test_rates_are_of_the_last_minute(queue: JobQueue, clock: FakeClock) -> None:
    for type_name, ends in (
        ("old", "complete"),
        ("t", "complete"),
        ("t", "fail"),
        ("u", "complete"),
    ):
        if type_name == "t":
            clock.advance(31)
        queue.enqueue({}, type=type_name)
        claim = claimed(queue)
        claim.complete() if ends == "complete" else claim.fail(PermanentError("no"))
    board = Board(queue, clock=clock)

    first = board.look(5)
    clock.advance(45)
    later = board.look(5)

    assert (2, 1) == (first.done, first.failed)
    assert {"old": 0, "t": 1, "u": 1} == {row.stored.type: row.done for row in first.rows}
    assert (1, 1) == (later.done, later.failed)


def test_a_look_tells_of_due_jobs_and_of_progress(queue: JobQueue, clock: FakeClock) -> None:
    queue.enqueue({}, type="t", id="a")
    claimed(queue).report({"percentage": 40})
    queue.enqueue({}, type="t", id="b")
    queue.enqueue({}, type="t", id="c", run_after=3600)
    clock.advance(90)

    view = Board(queue, clock=clock).look(5)

    [one] = view.at_work
    assert one is not None
    assert ("a", 90.0, {"percentage": 40}, 1) == (one.id, one.elapsed, one.progress, one.attempt)
    assert (1, 90.0, 2) == (view.due, view.oldest_due_age, view.jobs["pending"])


# -- the screen ----------------------------------------------------------------------------


@pytest.fixture
def busy(queue: JobQueue, clock: FakeClock) -> Board:
    """Many types, many running jobs, and texts that no terminal should get as they are."""
    for number in range(30):
        queue.enqueue({}, type=f"{NASTY}-{number}", queue="q" if number % 2 else "default")
    for number, claim in enumerate([claimed(queue) for _ in range(25)]):
        claim.report([{"percentage": 40, "stage": NASTY}, {"page": NASTY}, None][number % 3])
    clock.advance(7)
    return Board(queue, clock=clock)


@pytest.mark.parametrize("height", [1, 5, 8, 12, 24, 45, 200])
@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_view_fits_its_screen_and_hides_nothing_that_there_is_room_for(
    busy: Board, width: int, height: int
) -> None:
    lines = lines_of(busy.look(max(height, 1)), width=width, height=height, title=NASTY)

    assert height >= len(lines)
    assert width >= max(cell_len(line.plain) for line in lines)
    assert all(line.plain.isprintable() for line in lines)
    if height == 24:
        assert 24 == len(lines)
    if height == 200:
        assert 30 + 25 + 7 == len(lines)


def test_a_narrow_screen_is_as_wide_as_the_least(busy: Board) -> None:
    lines = lines_of(busy.look(3), width=1, height=10)

    assert LEAST - 1 == cell_len(lines[0].plain)


def test_what_does_not_fit_is_counted(busy: Board) -> None:
    text = "\n".join(line.plain for line in lines_of(busy.look(18), width=80, height=24))

    types = len(re.findall(r"^a\\nb", text, re.MULTILINE))
    jobs = len(re.findall(r"^…", text, re.MULTILINE))
    assert f"and {30 - types} types more" in text
    assert f"and {25 - jobs} more" in text
    assert types > 2
    assert jobs > 2


def test_figures_stand_where_they_stood(queue: JobQueue, clock: FakeClock) -> None:
    board = Board(queue, clock=clock)
    queue.enqueue({}, type="t")
    before = [line.plain for line in lines_of(board.look(9), width=80, height=24)]
    for _ in range(1234):
        queue.enqueue({}, type="t")
    after = [line.plain for line in lines_of(board.look(9), width=80, height=24)]

    assert before[4] == after[4]
    assert [each.end() for each in re.finditer(r"\d\b(?!,)", before[5])] == [
        each.end() for each in re.finditer(r"\d\b(?!,)", after[5])
    ]
    assert [before[1].index(word) for word in ("running", "complete", "failed")] == [
        after[1].index(word) for word in ("running", "complete", "failed")
    ]


@pytest.mark.parametrize(
    ("progress", "share", "text"),
    [
        ({"percentage": 40, "stage": "drawing"}, 0.4, "40% drawing"),
        ({"percentage": 140}, 1.0, "100%"),
        ({"percentage": -5}, 0.0, "0%"),
        (
            {"totalEntityTypes": 4, "processedEntityTypes": 1, "currentEntityType": "P"},
            0.25,
            "25% P",
        ),
        (
            {"totalCategories": 0, "processedCategories": 0},
            None,
            "totalCategories 0 processedCategories 0",
        ),
        ({"total": 8, "processed": 2}, 0.25, "25%"),
        ({"done": 1, "of": 3}, 1 / 3, "33%"),
        ({"current": 3, "total": 4}, 0.75, "75%"),
        ({"percentage": True}, None, "percentage True"),
        ({"percentage": "40"}, None, "percentage 40"),
        ({"percentage": float("nan")}, None, "percentage nan"),
        ({"message": "reading", "page": 3}, None, "reading"),
        ({"page": 3, "found": 7}, None, "page 3 found 7"),
        ({}, None, ""),
        (None, None, ""),
        ([1, 2], None, "[1, 2]"),
    ],
)
def test_a_progress_is_told_in_a_few_words(progress: Any, share: float | None, text: str) -> None:
    assert (share, text) == (fraction_of(progress), told(progress))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (125, "2m05s"),
        (3600, "1h00m"),
        (86400 * 9 + 3700, "9d01h"),
    ],
)
def test_times_are_told_in_two_units(seconds: float, text: str) -> None:
    assert text == elapsed_text(seconds)


# -- the command ---------------------------------------------------------------------------


def test_a_look_as_json_has_figures_by_type(run: Run, data: Path) -> None:
    queue = JobQueue(data, fsync=False)
    queue.enqueue({}, type="t")
    claimed(queue).complete()
    queue.enqueue({}, type="u", queue="night")

    found = run("watch", "--once", "--json").json

    assert (1, 1, 0, 1) == (
        found["due"],
        found["donePerMinute"],
        found["failedPerMinute"],
        found["complete"],
    )
    by_type = {row["type"]: row for row in found["types"]}
    assert ("night", 1, 0) == tuple(by_type["u"][key] for key in ("queue", "pending", "complete"))
    assert (1, None) == (by_type["t"]["donePerMinute"], by_type["t"]["oldestPendingAge"])


class Terminal:
    """A command at a terminal of a given size."""

    def __init__(self, *arguments: str, columns: int, lines: int) -> None:
        self._fd, far = pty.openpty()
        self.resize(columns, lines)
        environment = {
            key: value
            for key, value in os.environ.items()
            if key not in ("COLUMNS", "LINES", "NO_COLOR", "CI")
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "semiont_jobs", *arguments],
            stdin=far,
            stdout=far,
            stderr=far,
            env={**environment, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(far)
        os.set_blocking(self._fd, False)
        self.text = ""

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def shows(self, pattern: str) -> bool:
        """Whether that has been shown by now."""
        with suppress(OSError):  # nothing yet, or it has ended
            self.text += os.read(self._fd, 1 << 20).decode("utf-8", "replace")
        return re.search(pattern, self.text) is not None

    def close(self) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT)
        os.close(self._fd)


def test_a_terminal_is_drawn_anew_when_resized_and_left_as_it_was(data: Path) -> None:
    queue = JobQueue(data, fsync=False)
    queue.enqueue({}, type="drawing")
    claim = claimed(queue)
    # So long an interval that only the new size can be what it is drawn for.
    arguments = ("watch", "--interval", "600", "--data-dir", str(data))
    terminal = Terminal(*arguments, columns=80, lines=24)
    try:
        eventually(lambda: terminal.shows(r"drawing.*·"), TIMEOUT)
        assert not terminal.shows(r"mworker ")
        terminal.resize(140, 45)
        terminal.process.send_signal(signal.SIGWINCH)
        eventually(lambda: terminal.shows(r"mworker "), TIMEOUT)

        terminal.process.send_signal(signal.SIGINT)

        assert 130 == terminal.process.wait(TIMEOUT)
        eventually(lambda: terminal.shows(r"\x1b\[\?1049l"), TIMEOUT)
        assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")
        assert "Traceback" not in terminal.text
    finally:
        terminal.close()
        claim.release()


def test_a_watch_reads_no_finished_job_twice(data: Path, clock: FakeClock) -> None:
    queue = JobQueue(data, fsync=False, clock=clock)
    for _ in range(3):
        queue.enqueue({}, type="t")
        claimed(queue).complete()
    store = FileStore(data, read_only=True)
    board = Board(JobQueue(store), clock=clock)
    assert 3 == board.look(5).jobs["complete"]

    # Were they read again, there would be nothing to read.
    for path in (data / "jobs" / "complete").iterdir():
        path.chmod(0)
        path.write_bytes(b"") if os.geteuid() == 0 else None

    assert 3 == board.look(5).jobs["complete"]
