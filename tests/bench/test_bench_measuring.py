"""The benchmark suite runs, and measures what it says it does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from semiont_jobs import JobQueue

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
PATIENCE = 300.0

ON_LINUX = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="memory and idle time are read from /proc"
)

MEASURE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import run
from registry import KINDS
options = run.options_of(["--dir", sys.argv[2], "--rounds", "1", "--peers", "none", *sys.argv[3:]])
kinds = [KINDS[name] for name in ("bare", "ours")]
data, _ = run.measure(options, scale=0.01, watch=60.0, kinds=kinds)
print(json.dumps(data))
"""


def measured(place: Path, *suites: str) -> dict[str, Any]:
    """What a run of the suites says, on the bare loop and our own queue."""
    code = [sys.executable, "-c", MEASURE, str(BENCHMARKS), str(place), "--only", *suites]
    run = subprocess.run(code, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    data: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return data


def rows_of(data: dict[str, Any], who: str) -> set[str]:
    """The rows that have a sample, and no word of failure, for one kind of queue."""
    found = [each for each in data["figures"] if each["who"] == who]
    assert [each for each in found if each.get("note")] == []
    return {each["row"] for each in found if each["samples"]}


@ON_LINUX
def test_the_rows_of_one_process_and_of_waiting_are_measured(tmp_path: Path) -> None:
    data = measured(tmp_path, "process", "backlog", "waking", "reading")

    assert rows_of(data, "bare") == {"enqueue", "enqueue given", "drain"}
    assert rows_of(data, "ours") == {
        *("enqueue", "enqueue given", "enqueue 8 threads"),
        *("drain", "drain 4 threads", "drain 8 threads"),
        *("claim 1000", "claim 10000", "claim 100000", "first 100000"),
        *("refused 1000", "refused 100000", "unwanted 1000", "unwanted 100000"),
        *("memory", "memory a job", "wake", "wake within", "idle", "list", "stats"),
    }
    assert list(tmp_path.iterdir()) == []


@ON_LINUX
@pytest.mark.soak
def test_the_rows_of_many_processes_and_of_faults_are_measured(tmp_path: Path) -> None:
    suites = ("batch", "processes", "contending", "million", "killed", "rescue", "faults")

    data = measured(tmp_path, *suites)

    assert rows_of(data, "bare") == {"drain 1 process", "drain 2 processes"}
    assert rows_of(data, "ours") == {
        *("batch", "drain 1 process", "drain 2 processes", "contending", "not run", "run again"),
        *("claim 1000000", "first 1000000", "early 1000000", "killed", "rescue", "lock free"),
        *("bad 17 MiB", "bad depth", "bad integer", "bad NaN", "leftovers"),
    }


def test_the_bare_loop_writes_files_as_long_as_ours(modules: Any, tmp_path: Path) -> None:
    ours, peer = modules("peers.ours"), modules("peers.peer")
    with JobQueue(tmp_path, fsync=False) as queue:
        job = queue.create_job(ours.new_job(peer.payload_of(7)))
        around = []
        claim = None
        for status in ("pending", "running", "complete"):
            if status == "running":
                claim = queue.claim_next_job(worker="vm-12345")
            elif claim is not None:
                claim.complete(peer.RESULT)
            file = tmp_path / "jobs" / status / f"{job.metadata.id}.json"
            around.append(file.stat().st_size - len(json.dumps(peer.payload_of(7))))

    # Names of hosts and workers, and process ids, are longer or shorter elsewhere.
    assert around == pytest.approx(
        [ours.PENDING_BYTES, ours.RUNNING_BYTES, ours.COMPLETE_BYTES], abs=40
    )


def test_a_planted_job_is_one_that_the_queue_runs(modules: Any, tmp_path: Path) -> None:
    ours, peer, planting = modules("peers.ours"), modules("peers.peer"), modules("planting")
    with JobQueue(tmp_path, fsync=False) as queue:
        planting.plant(queue, tmp_path, ours.new_job(peer.payload_of(0)), 3, first=5)

        taken = [queue.claim_next_job().job.params["n"] for _ in range(3)]

    assert sorted(taken) == [5, 6, 7]


def test_a_drained_job_is_complete_with_a_result(modules: Any, tmp_path: Path) -> None:
    ours, peer = modules("peers.ours"), modules("peers.peer")
    mine = ours.Ours(tmp_path, durability="process")
    mine.enqueue([peer.payload_of(number) for number in range(3)])

    mine.drain(2)

    finished = mine.queue.query_jobs(status="complete")
    assert sorted(job.params["n"] for job in finished) == sorted(mine.ran) == [0, 1]
    assert [job.result for job in finished] == [peer.RESULT] * 2
    assert mine.queue.get_stats().pending == 1
    mine.close()


def test_a_bare_job_ends_in_the_folder_of_finished_ones(modules: Any, tmp_path: Path) -> None:
    ours, peer = modules("peers.ours"), modules("peers.peer")
    bare = ours.Bare(tmp_path, fsync=True)
    bare.enqueue([peer.payload_of(number) for number in range(4)])
    bare.took_share(1, 2)

    bare.drain(10)

    left = {folder.name: len(list(folder.iterdir())) for folder in tmp_path.iterdir()}
    assert sorted(bare.ran) == [1, 3]
    assert (left["pending"], left["running"], left["complete"], left[".tmp"]) == (2, 0, 2, 0)
    bare.close()


def test_a_queue_that_fails_has_that_in_its_row_and_no_further_turn(
    modules: Any, tmp_path: Path
) -> None:
    kinds = [modules("registry").KINDS[name] for name in ("bare", "ours")]
    figures = modules("figures").Figures(print)
    run = modules("measuring").Run(place=tmp_path, rounds=2, kinds=kinds, figures=figures)
    failed = modules("actors").ActorFailed
    turns = []

    for kind, counts in run.turns("drain", kinds):
        with run.excusing("drain", kind):
            turns.append((kind.name, counts))
            if kind.name == "bare":
                raise failed("no space left")

    assert turns == [("bare", False), ("ours", False), ("ours", True), ("ours", True)]
    assert figures.of("drain", "bare").note == "failed: no space left"


def test_a_measured_place_is_gone_afterwards(modules: Any, tmp_path: Path) -> None:
    figures = modules("figures").Figures(print)
    run = modules("measuring").Run(place=tmp_path, rounds=1, kinds=[], figures=figures)

    with run.scratch() as place:
        place.mkdir()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ran", "outcome"),
    [([0, 1, 2], (0, 0)), ([2, 0, 2, 1, 2], (0, 2)), ([0, 0], (2, 1)), ([], (3, 0))],
)
def test_jobs_not_run_and_runs_too_many_are_counted(
    modules: Any, ran: list[int], outcome: tuple[int, int]
) -> None:
    counted = modules("measuring").count_outcomes(ran, 3)

    assert counted == outcome


@pytest.mark.parametrize(
    ("given", "chart"),
    [
        ([], None),
        (["--json", "a/figures.json"], Path("a/figures.svg")),
        (["--json", "a/figures.json", "--chart", "b.png"], Path("b.png")),
        # As tox gives its own before those that come after `--`.
        (["--json", "tox.json", "--json", "mine.json"], Path("mine.svg")),
    ],
)
def test_the_picture_is_beside_the_figures_unless_told_otherwise(
    modules: Any, given: list[str], chart: Path | None
) -> None:
    options = modules("run").options_of(given)

    assert options.chart == chart


def test_tox_has_the_picture_drawn() -> None:
    text = (ROOT / "tox.ini").read_text(encoding="utf-8")

    assert "python benchmarks/run.py --json {env_dir}/benchmark.json {posargs}" in text


@ON_LINUX
def test_a_run_says_where_its_figures_are_and_why_there_is_no_picture(tmp_path: Path) -> None:
    run = subprocess.run(
        [
            *(sys.executable, str(BENCHMARKS / "run.py"), "--dir", str(tmp_path), "--quick"),
            *("--peers", "none", "--only", "verbs", "--json", str(tmp_path / "figures.json")),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[-2:] == [
        f"figures: {(tmp_path / 'figures.json').resolve()}",
        "no picture: nothing that it shows",
    ]


def test_how_long_a_disk_takes_is_measured(modules: Any, tmp_path: Path) -> None:
    found = modules("system").disk(tmp_path)

    assert found.keys() == {"record", "new file"}
    assert all(0 < ms < 1000 for ms in found.values())
    assert list(tmp_path.iterdir()) == []


def why_no_slow_disk() -> str:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "only root may mount"
    if not os.access("/dev/fuse", os.W_OK) or not Path("/dev/shm").is_dir():
        return "there is no FUSE, or no memory to mount from"
    missing = [each for each in ("gcc", "pkg-config", "mkfs.ext4", "losetup") if not which(each)]
    if missing:
        return f"{missing[0]} is missing"
    headers = subprocess.run(["pkg-config", "--exists", "fuse3"], check=False)
    return "" if headers.returncode == 0 else "the headers of fuse3 are missing"


@pytest.mark.skipif(why_no_slow_disk() != "", reason=why_no_slow_disk())
def test_a_disk_that_is_made_slow_takes_so_long_to_make_something_durable(tmp_path: Path) -> None:
    look = (
        "import json, pathlib, sys; sys.path.insert(0, sys.argv[1]); import system;"
        " print(json.dumps(system.disk(pathlib.Path(sys.argv[2]))))"
    )
    program = [sys.executable, str(BENCHMARKS / "slow_disk.py")]

    run = subprocess.run(
        [*program, "20000", sys.executable, "-c", look, str(BENCHMARKS), "{}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    unsaid = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert (run.returncode, run.stderr) == (0, "")
    assert all(ms >= 20 for ms in json.loads(run.stdout).values())
    assert (unsaid.returncode, "MICROSECONDS COMMAND" in unsaid.stderr) == (2, True)
    assert "slow_disk" not in Path("/proc/mounts").read_text()


def test_queues_that_are_compared_are_given_as_many_jobs_except_the_slowest(modules: Any) -> None:
    kinds = [kind for kind in modules("registry").KINDS.values() if kind.name != "rq"]

    counts = {kind.durability: set() for kind in kinds}
    for kind in kinds:
        counts[kind.durability].add(kind.jobs)

    assert counts == {"process": {3000}, "1 s": {3000}, "power": {1000}}


def test_kinds_take_turns_and_crowds_have_fewer_rounds(modules: Any, tmp_path: Path) -> None:
    kinds = [modules("registry").KINDS[name] for name in ("bare", "ours")]
    figures = modules("figures").Figures(print)
    run = modules("measuring").Run(place=tmp_path, rounds=5, kinds=kinds, figures=figures)

    crowds = [kind.name for kind in modules("suites.throughput")._crowded(run, "drain", kinds)]
    few = [(kind.name, counts) for kind, counts in run.turns("list", kinds, 2)]

    once = [("bare", True), ("ours", True)]
    assert crowds == ["bare", "ours"] * 3
    assert few == [("bare", False), ("ours", False), *once, *once]
    assert len(list(run.turns("drain", kinds))) == 12


@pytest.mark.parametrize("rhythm", [0.01, 0.02, 0.1])
def test_pauses_meet_a_worker_in_every_phase_of_its_rhythm_as_often(
    modules: Any, rhythm: float
) -> None:
    pauses = [modules("peers.peer").pause(turn) for turn in range(1000)]

    phases = Counter(int(10 * (pause % rhythm) / rhythm) for pause in pauses)
    assert 0.1 <= min(pauses) <= max(pauses) <= 0.2
    assert all(80 <= phases[tenth] <= 120 for tenth in range(10))
