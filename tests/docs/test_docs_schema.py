"""The JSON Schema of a job's file: whatever is written fits it, and what no job can be does not.

What the model accepts, the schema accepts, field by field and value by value; so neither says
less than the other.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from files.disks import WatchedDisk
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from reopening import Reopened
from samples import CODEC, FILE, PARTS, ROOT, SAMPLES, SCHEMA, faults
from strategies import jobs

from semiont_jobs import AnyJob, FileStore, JobQueue, PermanentError
from semiont_jobs.codec.strict import structure_telling
from semiont_jobs.model import STATUSES
from semiont_jobs.testing import JobQueueMachine
from semiont_jobs.testing.suite import some

GOLDEN = sorted((ROOT / "tests" / "golden" / "jobs").glob("*/*.json"))


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "job_schema", ROOT / "docs" / "_ext" / "job_schema.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- the file ----------------------------------------------------------------------------


def test_the_file_is_what_the_classes_say() -> None:
    made = generator().text()

    assert FILE.read_text(encoding="utf-8") == made, "run python docs/_ext/job_schema.py"


def test_the_file_is_a_schema_of_the_draft_that_it_names() -> None:
    Draft202012Validator.check_schema(SCHEMA)

    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


# -- what is written fits ----------------------------------------------------------------


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_file_of_the_typescript_package_fits(path: Path) -> None:
    assert faults(json.loads(path.read_bytes())) == []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(job=jobs)
def test_whatever_job_there_can_be_fits_when_it_is_written(job: AnyJob) -> None:
    assert faults(json.loads(CODEC.encode(job))) == []


class WritingDisk(WatchedDisk):
    """A disk that keeps the text of every job it is given to write."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: list[Any] = []

    def write(self, fd: int, data: bytes) -> None:
        if data.startswith(b"{"):
            self.documents.append(json.loads(data))
        super().write(fd, data)


class WritingMachine(Reopened, JobQueueMachine):
    """Random histories of a directory; whatever was written in one fits."""

    written: ClassVar[Counter[str]] = Counter()

    def make_queue(self, **settings: Any) -> JobQueue:
        self.place = tempfile.TemporaryDirectory()
        self.disk = WritingDisk()
        return self.open_first(**settings)

    def new_store(self) -> FileStore:
        return FileStore(Path(self.place.name, "data"), fsync=False, disk=self.disk)

    def teardown(self) -> None:
        super().teardown()
        self.place.cleanup()
        for document in self.disk.documents:
            assert faults(document) == []
        self.written.update(each["status"] for each in self.disk.documents)


def test_every_file_that_random_histories_write_fits() -> None:
    WritingMachine.TestCase.settings = settings(
        max_examples=12,
        stateful_step_count=40,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    WritingMachine.written.clear()

    WritingMachine.TestCase("runTest").runTest()

    assert set(WritingMachine.written) == set(STATUSES)


# -- one document of each status and type, with every key --------------------------------


def keys_named_in(schema: Any) -> Iterator[str]:
    """Each key that some object of the schema may have."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for each in schema.values():
            yield from keys_named_in(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from keys_named_in(each)


def keys_in(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        yield from document
        for each in document.values():
            yield from keys_in(each)
    elif isinstance(document, list):
        for each in document:
            yield from keys_in(each)


def test_the_samples_have_every_key_of_the_schema() -> None:
    assert set(keys_named_in(SCHEMA)) <= {key for each in SAMPLES for key in keys_in(each)}


# -- Semiont's types in a directory ------------------------------------------------------


@pytest.mark.parametrize("name", PARTS)
def test_every_file_of_a_typed_job_fits_from_its_creation_to_a_retry_by_hand(
    name: str, tmp_path: Path
) -> None:
    kind = some(CODEC.job_types.get(name))
    params, progress, result = (
        structure_telling(part, cls, "part")
        for part, cls in zip(PARTS[name], (kind.params, kind.progress, kind.result), strict=True)
    )
    disk = WritingDisk()
    with JobQueue(FileStore(tmp_path, fsync=False, disk=disk)) as queue:
        job = queue.enqueue(params, priority=1, timeout=60, queue="nightly")
        with some(queue.claim_next_job()) as claim:
            claim.report(progress)
            claim.checkpoint(["one"], {"two": 2})
            claim.fail(PermanentError("it broke"))
        queue.retry_job(job.metadata.id)
        queue.cancel_job(job.metadata.id)
        queue.retry_job(job.metadata.id)
        some(queue.claim_next_job()).snooze(0)
        some(queue.claim_next_job()).complete(result)

    assert [faults(each) for each in disk.documents if faults(each)] == []
    assert {each["status"] for each in disk.documents} == set(STATUSES)
