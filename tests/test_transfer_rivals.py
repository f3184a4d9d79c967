"""Several moves at once, or one broken off and then another: no job is lost, none in two places."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest
from files.disks import WatchedDisk
from files.places import PATIENCE, Unattended
from moving import dies
from proofs.fast import fast

from semiont_jobs import FileStore, JobNotFound, JobQueue, StoreError
from semiont_jobs.cli.main import main
from semiont_jobs.transfer import transfer

VERBS = ("arrived", "departed", "get", "hold", "arrive", "arrival", "leave", "admit", "dismiss",
         "forget")  # fmt: skip


class Cut(BaseException):
    """The process is gone, as far as the move knows."""


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    with fast(tmp_path) as place:
        yield place


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., JobQueue]]:
    with ExitStack() as made:
        yield lambda name: made.enter_context(JobQueue(tmp_path / name, fsync=False))


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody ends a running job here: it need not be waited for."""
    monkeypatch.setattr("semiont_jobs.transfer.LOOK_AGAIN", 0.0)


def cut_off(one: JobQueue, other: JobQueue, verb: str) -> None:
    """A move that dies before its first call of that verb."""

    def die(*_arguments: object) -> None:
        raise Cut

    store: Any = one.store if verb in ("leave", "forget") else other.store
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Cut):
        patched.setattr(store, verb, die)
        transfer(one, other)


def standing(queue: JobQueue) -> list[str]:
    return sorted(str(job.metadata.id) for job in queue.query_jobs(limit=None))


def work(*queues: JobQueue) -> list[str]:
    """Do all there is to do, and remove it; ids of what was done."""
    done = []
    for queue in queues:
        while (claim := queue.claim_next_job()) is not None:
            done.append(str(claim.complete().metadata.id))
            queue.remove_job(done[-1])
    return done


# -- one broken off, then another --------------------------------------------------------


def test_what_another_source_left_halfway_waits_for_that_one(
    make: Callable[..., JobQueue],
) -> None:
    one, second, other = make("one"), make("second"), make("other")
    one.enqueue({}, type="t", id="j")
    second.enqueue({}, type="t", id="k")
    cut_off(one, other, "leave")

    report = transfer(second, other)
    found = standing(one), standing(other)
    last = transfer(one, other)

    assert (1, 0, 1, True) == (report.total, report.resumed, report.waiting, report.is_whole)
    assert (["j"], ["k"]) == found
    assert (1, 0, ["j", "k"]) == (last.total, last.waiting, standing(other))


def test_jobs_of_one_id_that_two_sources_left_halfway_are_kept_apart(
    make: Callable[..., JobQueue],
) -> None:
    one, second, other = make("one"), make("second"), make("other")
    one.enqueue({"of": "one"}, type="t", id="j")
    second.enqueue({"of": "second"}, type="t", id="j")
    cut_off(one, other, "admit")

    report = transfer(second, other)
    refused = transfer(one, other)
    again = transfer(one, other)
    there = other.get_job("j")
    work(other)
    last = transfer(one, other)

    assert (True, 1) == (report.is_whole, report.waiting)
    assert {"of": "second"} == there.params  # type: ignore[union-attr]
    assert ["j"] == list(refused.refused) == list(again.refused)
    assert (1, True) == (last.resumed, last.is_whole)
    assert {"of": "one"} == other.get_job("j").params  # type: ignore[union-attr]


def test_a_job_done_after_its_move_was_broken_off_is_not_brought_back(
    make: Callable[..., JobQueue],
) -> None:
    one, other = make("one"), make("other")
    one.enqueue({}, type="t", id="j")
    cut_off(one, other, "leave")

    done = work(one)
    report = transfer(one, other)

    assert (["j"], 0, True) == (done, report.total, report.is_whole)
    assert [] == standing(other) == other.store.arrived()  # type: ignore[attr-defined]


def test_a_job_halfway_to_another_place_is_told_and_not_forgotten(
    make: Callable[..., JobQueue], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, elsewhere = make("one"), make("other"), make("elsewhere")
    one.enqueue({}, type="t", id="j")
    cut_off(one, other, "admit")

    code = main(["transfer", str(tmp_path / "one"), str(tmp_path / "elsewhere")])
    told = capsys.readouterr().err
    looked = main(["doctor", "--data-dir", str(tmp_path / "other")])

    assert (1, 1) == (code, looked)
    assert "1 more on their way to FROM, or from there to another place" in told
    assert "1 of a transfer that was broken off: run it again" in capsys.readouterr().out
    assert (1, []) == (transfer(one, other).resumed, standing(elsewhere))


def test_what_an_older_version_left_halfway_is_told_and_left_alone(
    make: Callable[..., JobQueue], tmp_path: Path
) -> None:
    one, other = make("one"), make("other")
    one.enqueue({}, type="t", id="j")
    old = tmp_path / "other/jobs/.arriving/old.json"
    old.parent.mkdir()
    old.write_text("{}")

    report = transfer(one, other)

    assert (1, 1, True) == (report.total, report.waiting, old.exists())


class OldDisk(WatchedDisk):
    """A file system that cannot rename without replacing."""

    def rename_new(self, path: str, target: str) -> bool:
        self._note("rename_new", target)
        return False


def from_elsewhere(*, other: JobQueue, third: JobQueue, **_queues: JobQueue) -> list[str]:
    transfer(third, other)
    return []


def to_elsewhere(*, one: JobQueue, third: JobQueue, **_queues: JobQueue) -> list[str]:
    transfer(one, third)
    return []


def onward(*, other: JobQueue, third: JobQueue, **_queues: JobQueue) -> list[str]:
    transfer(other, third)
    return []


def both_at_work(*, one: JobQueue, other: JobQueue, **_queues: JobQueue) -> list[str]:
    return work(one, other)


@pytest.mark.parametrize(
    ("meanwhile", "kind", "side"),
    [
        *((each, WatchedDisk, "one") for each in (from_elsewhere, to_elsewhere, both_at_work)),
        *((each, WatchedDisk, "other") for each in (from_elsewhere, to_elsewhere)),
        *((each, WatchedDisk, "other") for each in (both_at_work, onward)),
        (from_elsewhere, OldDisk, "other"),
    ],
)
def test_whatever_happens_after_a_move_dies_at_any_step_each_job_is_done_once(
    make: Callable[..., JobQueue],
    tmp_path: Path,
    meanwhile: Callable[..., list[str]],
    kind: type[WatchedDisk],
    side: str,
) -> None:
    with make("full") as filling:
        filling.enqueue({}, type="t", id="waiting")
        filling.enqueue({}, type="t", id="cancelled")
        filling.cancel_job("cancelled")
    with make("thirds") as filling:
        filling.enqueue({}, type="t", id="third")
    step, is_through = 0, False
    while not is_through:
        place = tmp_path / str(step)
        shutil.copytree(tmp_path / "full", place / "one")
        shutil.copytree(tmp_path / "thirds", place / "third")
        is_through = not dies(place, side, step, kind)

        with ExitStack() as opened:
            names = ("one", "other", "third")
            made = (JobQueue(place / name, fsync=False) for name in names)
            queues = dict(zip(names, map(opened.enter_context, made), strict=True))
            done = meanwhile(**queues)
            transfer(queues["one"], queues["other"])
            done += work(*queues.values())
            left = [each for queue in queues.values() for each in standing(queue)]
        shutil.rmtree(place)

        assert ["third", "waiting"] == sorted(done), f"before step {step}"
        assert ["cancelled"] == left, f"before step {step}"
        step += 1
    assert step > 30


# -- two at once -------------------------------------------------------------------------


class Mover:
    """Moves in a thread of its own, with stores of its own, and stops before one of the steps.

    :param has_turn: False: it lost its turn, as a session that the server ends does.
    """

    def __init__(self, place: Path, *, has_turn: bool) -> None:
        self._left = -1
        self.queues = [
            Unattended(FileStore(place / name, fsync=False)).initialize()
            for name in ("one", "other")
        ]
        for queue in self.queues:
            for verb in VERBS:
                setattr(queue.store, verb, self._stepped(getattr(queue.store, verb)))
            if not has_turn:
                queue.store.turn = nullcontext  # type: ignore[attr-defined]

    def begin(self, stops_before: int) -> bool:
        """Begin a move, and return when it stops; False: it did not stop before it was over."""
        self._left = stops_before
        self._stopped, self._go_on = threading.Event(), threading.Event()
        self.error: Exception | None = None
        self.moved = 0
        self._is_waiting = False
        self._thread = threading.Thread(target=self._move)
        self._thread.start()
        assert self._stopped.wait(PATIENCE)
        return self._is_waiting

    def end(self) -> None:
        """Let it go on to its end."""
        self._go_on.set()
        self._thread.join(PATIENCE)

    def _stepped(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any) -> Any:
            if self._left == 0:
                self._is_waiting = True
                self._stopped.set()
                assert self._go_on.wait(PATIENCE)
            self._left -= 1
            return act(*arguments)

        return step

    def _move(self) -> None:
        try:
            self.moved = transfer(*self.queues).total
        except (StoreError, JobNotFound) as error:
            self.error = error
        finally:
            self._stopped.set()


@pytest.fixture
def mover(tmp_path: Path) -> Iterator[Callable[..., Mover]]:
    made: list[Mover] = []

    def begin(*, has_turn: bool) -> Mover:
        made.append(Mover(tmp_path, has_turn=has_turn))
        return made[-1]

    yield begin
    for each in made:
        each.end()
        for queue in each.queues:
            queue.close()


def test_two_moves_that_meet_at_any_step_lose_no_job_even_without_their_turn(
    make: Callable[..., JobQueue], mover: Callable[..., Mover]
) -> None:
    one, other = make("one"), make("other")
    one.enqueue({}, type="t", id="j")
    first, second = mover(has_turn=False), mover(has_turn=False)
    met = 0
    first_stops = 0
    is_first_over = False
    while not is_first_over:
        second_stops = 0
        is_second_over = False
        while not is_second_over:
            is_first_over = not first.begin(first_stops)
            is_second_over = not second.begin(second_stops)
            first.end()
            second.end()
            found = standing(one) + standing(other)
            transfer(one, other)

            where = f"stopped before {first_stops} and {second_stops}"
            assert found in ([], ["j"]), where
            assert ([], ["j"]) == (standing(one), standing(other)), where
            transfer(other, one)
            second_stops += 1
            met += 1
        first_stops += 1
    assert met > 100


def test_a_second_move_into_a_place_is_refused_at_every_step_of_the_first(
    make: Callable[..., JobQueue],
    mover: Callable[..., Mover],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, other = make("one"), make("other")
    one.enqueue({}, type="t", id="j")
    first = mover(has_turn=True)
    stops = 0
    while first.begin(stops):
        with pytest.raises(StoreError) as refused:
            transfer(one, other)
        code = main(["transfer", str(tmp_path / "one"), str(tmp_path / "other")])
        first.end()

        assert (errno.EBUSY, None, 1) == (refused.value.errno, first.error, first.moved)
        assert 1 == code
        (line,) = capsys.readouterr().err.splitlines()
        assert "another transfer to there is under way" in line
        transfer(other, one)
        stops += 1
    assert stops > 8


def test_of_processes_that_move_at_once_each_moves_or_is_refused(
    make: Callable[..., JobQueue], tmp_path: Path
) -> None:
    with make("one") as one:
        one.enqueue_many([{"n": n} for n in range(100)], type="t")
    command = [sys.executable, "-m", "semiont_jobs", "transfer", "one", "other"]

    running = [
        subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for _process in range(3)
    ]
    told = [(process.communicate(timeout=PATIENCE)[1], process.returncode) for process in running]
    with make("one") as one, make("other") as other:
        transfer(one, other)

        assert (0, 100) == (one.get_stats().total, other.get_stats().total)
    assert 0 in {code for _said, code in told}
    assert all("another transfer to there" in said for said, code in told if code)
