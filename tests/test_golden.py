"""Files that the TypeScript package wrote, read and written back here."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from semiont_jobs import (
    BUILTIN_JOB_TYPES,
    CompleteJob,
    DetectionParams,
    DetectionProgress,
    DetectionResult,
    FailedJob,
    GenerationContext,
    GenerationParams,
    JobQueue,
    JobTypes,
    PendingJob,
    ResourceContext,
    RunningJob,
    SourceContext,
    TagDetectionResult,
)
from semiont_jobs.codec import Codec
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import some

GOLDEN = Path(__file__).parent / "golden" / "jobs"
FILES = sorted(GOLDEN.glob("*/*.json"))
CODEC = Codec(JobTypes(BUILTIN_JOB_TYPES))
SEED_KEYS = ["id", "type", "userId", "created", "retryCount", "maxRetries"]


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def decoded(name: str) -> Any:
    path = GOLDEN / f"{name}.json"
    status: Any = path.parent.name
    return CODEC.decode(path.read_bytes(), job_id=path.stem, status=status)


def has_unknown_metadata(path: Path) -> bool:
    return list(json.loads(path.read_bytes())["metadata"]) != SEED_KEYS


def test_there_are_golden_files_of_every_status() -> None:
    assert Counter(path.parent.name for path in FILES) == {
        "pending": 7,
        "running": 2,
        "complete": 6,
        "failed": 2,
        "cancelled": 2,
    }


@pytest.mark.parametrize(
    "path", [path for path in FILES if not has_unknown_metadata(path)], ids=name_of
)
def test_a_golden_file_is_written_back_byte_for_byte(path: Path) -> None:
    assert CODEC.encode(decoded(name_of(path))) == path.read_bytes()


@pytest.mark.parametrize(
    "path", [path for path in FILES if has_unknown_metadata(path)], ids=name_of
)
def test_unknown_metadata_keys_are_written_back_behind_the_known_ones(path: Path) -> None:
    written = json.loads(CODEC.encode(decoded(name_of(path))))

    assert written == json.loads(path.read_bytes())
    assert list(written["metadata"]) == [*SEED_KEYS, "userName", "userEmail", "userDomain"]
    assert list(written["params"]) == list(json.loads(path.read_bytes())["params"])


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_golden_file_has_params_of_its_types_class(path: Path) -> None:
    job = decoded(name_of(path))
    kind = CODEC.job_types.get(job.metadata.type)

    assert CODEC.params_fault(job) is None
    assert isinstance(job.params, kind.params if kind else dict)


def test_a_pending_golden_job_reads_as_this() -> None:
    job = decoded("pending/job-wait-00000")

    assert isinstance(job, PendingJob)
    assert job.params == DetectionParams(
        resource_id="res-0",  # type: ignore[arg-type]
        entity_types=("Person", "Organization"),  # type: ignore[arg-type]
        include_descriptive_references=True,
    )
    assert job.metadata.user_id == "did:web:example.com:users:alice%40example.com"
    assert job.metadata.created == datetime(2026, 1, 27, 15, 46, 50, tzinfo=UTC)
    assert (job.metadata.retry_count, job.metadata.max_retries) == (0, 3)
    assert (job.metadata.revision, job.metadata.queue, job.metadata.claim) == (0, "default", None)
    assert (job.extra, job.metadata.extra) == ({}, {})


def test_a_running_golden_job_reads_with_its_progress() -> None:
    job = decoded("running/job-held-00000")

    assert isinstance(job, RunningJob)
    assert job.started_at == datetime(2026, 11, 23, 22, 59, 35, 973_000, tzinfo=UTC)
    assert job.progress == DetectionProgress(
        total_entity_types=2,
        processed_entity_types=1,
        current_entity_type="Person",
        entities_found=5,
        entities_emitted=5,
    )


def test_complete_golden_jobs_read_with_their_results() -> None:
    detected, tagged = decoded("complete/job-done-00000"), decoded("complete/job-done-00005")

    assert isinstance(detected, CompleteJob)
    assert detected.result == DetectionResult(total_found=12, total_emitted=11, errors=1)
    assert tagged.result == TagDetectionResult(
        tags_found=6,
        tags_created=6,
        by_category={"Issue": 1, "Rule": 2, "Application": 2, "Conclusion": 1},
    )


def test_a_failed_golden_job_reads_with_its_error_and_without_a_start() -> None:
    job = decoded("failed/job-fail-00000")

    assert isinstance(job, FailedJob)
    assert job.error == 'Inference failed: "timeout" after 30s — job-fail-00000'
    assert job.started_at is None


def test_nested_params_of_a_golden_job_are_objects_of_their_classes() -> None:
    assert decoded("cancelled/job-held-00001").params == GenerationParams(
        reference_id="ann-1",  # type: ignore[arg-type]
        source_resource_id="res-1",  # type: ignore[arg-type]
        prompt='Write about "quotes", back\\slash, tab\t and newline\n',
        title="Título 1 — 標題 🚀",
        entity_types=("Location",),  # type: ignore[arg-type]
        language="en-US",
        context=GenerationContext(
            source_context=SourceContext(
                before="avant ", selected="Quantum Computing", after=" après"
            ),
            metadata=ResourceContext(
                resource_type="document",
                language="fr",
                entity_types=("Concept",),  # type: ignore[arg-type]
            ),
        ),
        temperature=0.7,
        max_tokens=2000,
    )


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A data directory as the TypeScript package left it."""
    for path in FILES:
        copy = tmp_path / "jobs" / path.parent.name / path.name
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return tmp_path


def test_a_queue_opens_the_other_sides_directory_and_finishes_its_jobs(
    shared: Path, clock: FakeClock
) -> None:
    with JobQueue(shared, fsync=False, clock=clock) as queue:
        stats = queue.get_stats()
        claim = some(queue.claim_next_job(types=["tag-annotation"]))
        claim.complete({"tagsFound": 0})

    assert (stats.pending, stats.running, stats.complete) == (7, 2, 6)
    assert (stats.failed, stats.cancelled) == (2, 2)
    text = (shared / "jobs" / "complete" / "job-later-00005.json").read_text()
    done = json.loads(text)
    assert done["params"] == {"resourceId": "res-5", "schemaId": "legal-irac", "categories": []}
    assert done["metadata"]["userName"] == "Jane Doe"
    assert done["result"] == {"tagsFound": 0}
    assert list(done) == ["status", "metadata", "params", "startedAt", "completedAt", "result"]


def test_a_job_that_the_other_side_runs_is_not_taken_for_an_orphan(
    shared: Path, clock: FakeClock
) -> None:
    with JobQueue(shared, fsync=False, foreign_stale_after=timedelta(days=3650)) as queue:
        assert queue.rescue_orphans() == 0
        assert queue.get_stats().running == 2


def test_a_job_that_the_other_side_gave_up_is_retried_by_hand(
    shared: Path, clock: FakeClock
) -> None:
    with JobQueue(shared, fsync=False, clock=clock) as queue:
        again = queue.retry_job("job-fail-00003")

    assert (again.metadata.retry_count, again.metadata.max_retries) == (0, 1)
    written = json.loads((shared / "jobs" / "pending" / "job-fail-00003.json").read_bytes())
    assert list(written) == ["status", "metadata", "params"]
    assert not (shared / "jobs" / "failed" / "job-fail-00003.json").exists()
