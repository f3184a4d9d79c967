"""The example on a tree of thousands of files: killed half-way, it finishes when run again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from semiont_jobs import CompleteJob, JobQueue
from semiont_jobs.testing.waiting import eventually

TIMEOUT = 120.0
SCRIPT = Path(__file__).parents[2] / "examples" / "deduplicate.py"
FILES, DIFFERENT = 2000, 800


def start(tree: Path, jobs: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(SCRIPT), str(tree), str(jobs)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(queue: JobQueue) -> dict[str, CompleteJob]:
    jobs = queue.query_jobs(status="complete", type="map:checksum", limit=None)
    return {job.metadata.id: job for job in jobs if isinstance(job, CompleteJob)}


def test_a_tree_of_thousands_of_files_is_finished_by_a_second_run_after_a_kill(
    tmp_path: Path,
) -> None:
    tree, jobs = tmp_path / "tree", tmp_path / "jobs"
    for number in range(FILES):
        folder = tree / f"{number % 20:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:04}").write_text(f"text {number % DIFFERENT}")
    complete = jobs / "jobs" / "complete"

    first = start(tree, jobs)
    eventually(lambda: complete.exists() and len(os.listdir(complete)) > FILES // 10, TIMEOUT)
    first.kill()
    first.communicate(timeout=TIMEOUT)
    queue = JobQueue(jobs, fsync=False)
    before = finished(queue)
    second = start(tree, jobs)
    out, err = second.communicate(timeout=TIMEOUT)

    after = finished(queue)
    assert FILES // 10 < len(before) < FILES
    assert (0, "") == (second.returncode, err)
    linked = FILES - DIFFERENT
    assert f"{FILES} files, {DIFFERENT} different, {linked} replaced by links\n" == out
    assert before == {each: after[each] for each in before}  # to the millisecond and the revision
    crashed = [job for job in after.values() if job.metadata.crash_count]
    assert (FILES, True) == (len(after), len(crashed) <= 4)
    assert DIFFERENT == len({path.stat().st_ino for path in tree.rglob("*") if path.is_file()})
