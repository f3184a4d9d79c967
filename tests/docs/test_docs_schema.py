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
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from files.disks import WatchedDisk
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from reopening import Reopened
from strategies import jobs

from semiont_jobs import (
    BUILTIN_JOB_TYPES,
    AnyJob,
    FileStore,
    JobQueue,
    JobTypes,
    PermanentError,
    SemiontJobsError,
)
from semiont_jobs.codec import Codec
from semiont_jobs.codec.strict import structure_telling
from semiont_jobs.model import STATUSES, JobMetadata
from semiont_jobs.testing import JobQueueMachine
from semiont_jobs.testing.suite import some

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "reference" / "job.schema.json"
GOLDEN = sorted((ROOT / "tests" / "golden" / "jobs").glob("*/*.json"))

SCHEMA: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
CODEC = Codec(JobTypes(BUILTIN_JOB_TYPES))


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "job_schema", ROOT / "docs" / "_ext" / "job_schema.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def faults(document: Any) -> list[str]:
    """What the schema has against a document."""
    return [f"{each.json_path}: {each.message}" for each in VALIDATOR.iter_errors(document)]


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

INSTANT = "2026-01-01T12:00:00.000Z"
METADATA = {
    "id": "job-1",
    "type": "resize",
    "userId": "ada",
    "created": INSTANT,
    "retryCount": 1,
    "maxRetries": 3,
    "revision": 7,
    "queue": "nightly",
    "priority": 5,
    "runAfter": INSTANT,
    "timeout": 2.5,
    "claim": {"token": "t", "worker": "w", "host": "h", "pid": 1},
    "run": "r",
    "attempts": [
        {
            "number": 1,
            "startedAt": INSTANT,
            "endedAt": INSTANT,
            "worker": "w",
            "outcome": "failed",
            "errorType": "E",
            "errorModule": "m",
            "message": "it broke",
            "traceback": "...",
        }
    ],
    "attemptCount": 1,
    "crashCount": 1,
    "completedUnits": ["one"],
    "unitCursors": {"two": [3]},
}
OWN_KEYS: dict[str, dict[str, Any]] = {
    "pending": {},
    "running": {"startedAt": INSTANT, "progress": {"done": 1}},
    "complete": {"startedAt": INSTANT, "completedAt": INSTANT, "result": [1]},
    "failed": {"startedAt": INSTANT, "completedAt": INSTANT, "error": "it broke"},
    "cancelled": {"startedAt": INSTANT, "completedAt": INSTANT},
}
PASSAGES = {"stage": "analyzing", "percentage": 50, "message": "half"}
PARTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "detection": (
        {"resourceId": "r", "entityTypes": ["Person"], "includeDescriptiveReferences": True},
        {
            "totalEntityTypes": 2,
            "processedEntityTypes": 1,
            "currentEntityType": "Person",
            "entitiesFound": 5,
            "entitiesEmitted": 4,
        },
        {"totalFound": 5, "totalEmitted": 4, "errors": 1},
    ),
    "generation": (
        {
            "referenceId": "a",
            "sourceResourceId": "r",
            "prompt": "p",
            "title": "t",
            "entityTypes": ["Person"],
            "language": "en",
            "context": {
                "sourceContext": {"before": "b", "selected": "s", "after": "a"},
                "metadata": {"resourceType": "d", "language": "fr", "entityTypes": ["Place"]},
            },
            "temperature": 0.5,
            "maxTokens": 100,
        },
        {"stage": "fetching", "percentage": 1, "message": "m", "resultResourceId": "r"},
        {"resourceId": "r", "resourceName": "n"},
    ),
    "highlight-detection": (
        {"resourceId": "r", "instructions": "i", "density": 5},
        PASSAGES,
        {"highlightsFound": 2, "highlightsCreated": 1},
    ),
    "assessment-detection": (
        {"resourceId": "r", "instructions": "i", "tone": "balanced", "density": 5},
        PASSAGES,
        {"assessmentsFound": 2, "assessmentsCreated": 1},
    ),
    "comment-detection": (
        {"resourceId": "r", "instructions": "i", "tone": "scholarly", "density": 5},
        PASSAGES,
        {"commentsFound": 2, "commentsCreated": 1},
    ),
    "tag-detection": (
        {"resourceId": "r", "schemaId": "legal-irac", "categories": ["Issue"]},
        {
            **PASSAGES,
            "currentCategory": "Issue",
            "processedCategories": 1,
            "totalCategories": 2,
        },
        {"tagsFound": 2, "tagsCreated": 1, "byCategory": {"Issue": 2}},
    ),
}


def of_status(status: str) -> dict[str, Any]:
    """An untyped job of that status."""
    return deepcopy(
        {"status": status, "metadata": METADATA, "params": {"width": 1}, **OWN_KEYS[status]}
    )


def of_type(name: str, status: str) -> dict[str, Any]:
    """A job of one of Semiont's types, running or complete."""
    params, progress, result = PARTS[name]
    own = {"running": {"progress": progress}, "complete": {"result": result}}[status]
    document = of_status(status)
    document["metadata"]["type"] = name
    return deepcopy({**document, "params": params, **own})


SAMPLES = [
    *(of_status(status) for status in STATUSES),
    *(of_type(name, status) for name in PARTS for status in ("running", "complete")),
]


def called(document: dict[str, Any]) -> str:
    return f"{document['metadata']['type']}-{document['status']}"


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


# -- the schema and the model say the same -----------------------------------------------

VALUES: tuple[Any, ...] = (
    *(-101, -100, -1, 0, 0.5, 1, 1.5, 2, 10, 11, 12, 13, 15, 16, 99, 100, 101, 4000, 4001),
    *(999_999_999, 1_000_000_000),
    *("", "x", "a/b", "a b", "x" * 128, "x" * 129, INSTANT),
    *("creating", "linking", "balanced", "technical", "crashed", "pending"),
    *(True, [], [1], ["x"], {}, {"x": 1}, {"x": "y"}),
)
"""Beside and beyond each limit; of every kind."""

ANYTHING: tuple[tuple[str | int, ...], ...] = (
    ("status",),  # what the others must be follows from it
    ("metadata", "type"),  # likewise
    ("metadata", "unitCursors", "two"),
)


def paths(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something stands that the schema has a word on."""
    if path:
        yield path
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, value in items:
        if (*path, key) not in ANYTHING:
            yield from paths(value, (*path, key))


def own_paths(document: Any) -> list[tuple[str | int, ...]]:
    """Its paths; what stands in the metadata of all samples, of the first alone."""
    is_first = document is SAMPLES[0]
    return [path for path in paths(document) if is_first or path[0] != "metadata"]


def changed(document: Any, path: tuple[str | int, ...], *value: Any) -> Any:
    """A copy with that value at that path; none: with the key taken out."""
    copy = deepcopy(document)
    place = copy
    for key in path[:-1]:
        place = place[key]
    if value:
        place[path[-1]] = value[0]
    else:
        del place[path[-1]]
    return copy


def is_of_the_model(document: Any) -> bool:
    """Whether a program could have made the job."""
    try:
        job = CODEC.decode(json.dumps(document).encode())
        structure_telling(document["metadata"], JobMetadata, "metadata")
        kind = CODEC.job_types.get(job.metadata.type)
        if kind is not None:
            structure_telling(document["params"], kind.params, "params")
            for part in ("progress", "result"):
                if document.get(part, {}) != {}:
                    structure_telling(document[part], getattr(kind, part), part)
    except SemiontJobsError:
        return False
    return True


def is_always_written(path: tuple[str | int, ...]) -> bool:
    """What readers do without, and writers write all the same."""
    return path in (("progress",), ("result",))


@pytest.mark.parametrize("document", SAMPLES, ids=called)
def test_field_by_field_the_schema_accepts_what_the_model_does(document: Any) -> None:
    changes = [
        (path, *value)
        for path in own_paths(document)
        for value in [*([each] for each in VALUES), *([] if is_always_written(path) else [[]])]
    ]
    tried = [(change, changed(document, *change)) for change in changes]

    differences = [
        change for change, each in tried if is_of_the_model(each) != VALIDATOR.is_valid(each)
    ]

    assert faults(document) == []
    assert differences == []


@pytest.mark.parametrize("document", SAMPLES, ids=called)
def test_a_null_stands_for_nothing_in_a_field(document: Any) -> None:
    fields = [path for path in own_paths(document) if is_typed(document, path)]

    accepted = [path for path in fields if VALIDATOR.is_valid(changed(document, path, None))]

    assert accepted == []


def is_typed(document: Any, path: tuple[str | int, ...]) -> bool:
    """Whether it is a field of a class, and no data of an untyped job."""
    typed = document["metadata"]["type"] in PARTS
    return typed or path[0] not in ("params", "progress", "result") or path == ("params",)


# -- what no job is ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([], "$"),
        ({}, "$"),
        (changed(of_status("pending"), ("status",)), "$"),
        (changed(of_status("pending"), ("status",), "paused"), "$.status"),
        (changed(of_status("pending"), ("metadata",)), "$"),
        (changed(of_status("pending"), ("metadata", "retryCount"), -1), "$.metadata.retryCount"),
        (changed(of_status("pending"), ("metadata", "created"), "today"), "$.metadata.created"),
        (
            changed(of_status("pending"), ("metadata", "created"), "2026-01-01T12:00:00+00:00"),
            "$.metadata.created",
        ),
        (
            changed(of_status("failed"), ("metadata", "attempts", 0, "outcome"), "broken"),
            "$.metadata.attempts[0].outcome",
        ),
        (changed(of_status("pending"), ("result",), {}), "$"),
        (changed(of_status("running"), ("completedAt",), INSTANT), "$"),
        (changed(of_status("running"), ("progress",)), "$"),
        (changed(of_status("complete"), ("result",)), "$"),
        (changed(of_type("detection", "running"), ("params",), {}), "$.params"),
        (
            changed(of_type("comment-detection", "running"), ("params", "tone"), "rude"),
            "$.params.tone",
        ),
        (
            changed(of_type("detection", "running"), ("progress",), {"percentage": 5}),
            "$.progress",
        ),
        (changed(of_type("tag-detection", "complete"), ("result",), "done"), "$.result"),
    ],
)
def test_what_no_job_can_be_is_refused_where_it_is_wrong(document: Any, where: str) -> None:
    places = {each.json_path for each in VALIDATOR.iter_errors(document)}

    assert places == {where}


@pytest.mark.parametrize("status", STATUSES)
def test_keys_that_nobody_knows_may_stand_in_every_object(status: str) -> None:
    document = of_status(status)
    document["metadata"]["userName"] = document["colour"] = {"any": None}
    document["metadata"]["claim"]["zone"] = document["metadata"]["attempts"][0]["cost"] = 1.5

    assert faults(document) == []


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
