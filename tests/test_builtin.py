"""Semiont's six job types: their names on the wire, optional keys and ranges."""

from __future__ import annotations

import json
import math
from typing import Any

import attrs
import pytest

from semiont_jobs import (
    BUILTIN_JOB_TYPES,
    AssessmentDetectionParams,
    AssessmentDetectionProgress,
    CommentDetectionParams,
    CommentDetectionProgress,
    DetectionParams,
    GenerationParams,
    GenerationProgress,
    HighlightDetectionParams,
    HighlightDetectionProgress,
    InvalidJob,
    JobQueue,
    JobTypes,
    PendingJob,
    TagDetectionParams,
    TagDetectionProgress,
)
from semiont_jobs.codec import Codec
from semiont_jobs.codec.strict import camel

# WIRE.md, the six job types, by hand: keys in order, a `?` where a key may be absent.
WIRE = {
    "detection": (
        "resourceId entityTypes includeDescriptiveReferences?",
        "totalEntityTypes processedEntityTypes currentEntityType? entitiesFound entitiesEmitted",
        "totalFound totalEmitted errors",
    ),
    "generation": (
        "referenceId sourceResourceId prompt? title? entityTypes? language? context? "
        "temperature? maxTokens?",
        "stage percentage message? resultResourceId?",
        "resourceId resourceName",
    ),
    "highlight-detection": (
        "resourceId instructions? density?",
        "stage percentage message?",
        "highlightsFound highlightsCreated",
    ),
    "assessment-detection": (
        "resourceId instructions? tone? density?",
        "stage percentage message?",
        "assessmentsFound assessmentsCreated",
    ),
    "comment-detection": (
        "resourceId instructions? tone? density?",
        "stage percentage message?",
        "commentsFound commentsCreated",
    ),
    "tag-detection": (
        "resourceId schemaId categories",
        "stage percentage currentCategory? processedCategories totalCategories message?",
        "tagsFound tagsCreated byCategory",
    ),
}


def keys_of(kind: type[Any]) -> str:
    return " ".join(
        camel(each.name) + ("?" if each.default is None else "") for each in attrs.fields(kind)
    )


def test_there_are_six_types_of_these_shapes() -> None:
    found = {
        each.name: (keys_of(each.params), keys_of(each.progress), keys_of(each.result))
        for each in BUILTIN_JOB_TYPES
    }

    assert found == WIRE


def test_every_queue_knows_them() -> None:
    with JobQueue("memory:") as queue:
        assert [each.name for each in queue.job_types] == list(WIRE)


def highlight(**fields: Any) -> HighlightDetectionParams:
    return HighlightDetectionParams(**{"resource_id": "r", **fields})


def assessment(**fields: Any) -> AssessmentDetectionParams:
    return AssessmentDetectionParams(**{"resource_id": "r", **fields})


def comment(**fields: Any) -> CommentDetectionParams:
    return CommentDetectionParams(**{"resource_id": "r", **fields})


def generation(**fields: Any) -> GenerationParams:
    return GenerationParams(**{"reference_id": "a", "source_resource_id": "r", **fields})


def generating(**fields: Any) -> GenerationProgress:
    return GenerationProgress(**{"stage": "creating", "percentage": 5, **fields})


def tagging(**fields: Any) -> TagDetectionProgress:
    given = {"stage": "creating", "percentage": 5, "processed_categories": 1, "total_categories": 2}
    return TagDetectionProgress(**{**given, **fields})


RANGES = [
    (highlight, "density", 1, 15),
    (assessment, "density", 1, 10),
    (comment, "density", 2, 12),
    (generation, "temperature", 0.0, 1.0),
    (generation, "max_tokens", 100, 4000),
    (generating, "percentage", 0, 100),
    (tagging, "percentage", 0, 100),
]


@pytest.mark.parametrize(("make", "field", "low", "high"), RANGES)
def test_a_number_in_its_range_is_taken_with_both_ends(
    make: Any, field: str, low: float, high: float
) -> None:
    for good in (low, high, (low + high) / 2):
        assert getattr(make(**{field: good}), field) == good


@pytest.mark.parametrize(("make", "field", "low", "high"), RANGES)
def test_a_number_out_of_its_range_is_refused_with_field_and_value(
    make: Any, field: str, low: float, high: float
) -> None:
    for bad in (low - 0.01, high + 0.01, math.nan, math.inf, -math.inf):
        with pytest.raises(InvalidJob, match=f"{field} is from {low} to {high}") as told:
            make(**{field: bad})
        assert told.value.field.endswith(f".{field}")
        assert told.value.value is bad


@pytest.mark.parametrize(("make", "field", "low", "high"), RANGES)
def test_what_is_no_number_is_in_no_range(make: Any, field: str, low: float, high: float) -> None:
    for bad in ("5", True, [5]):
        with pytest.raises(InvalidJob, match="is a number"):
            make(**{field: bad})


CHOICES = [
    (assessment, "tone", "analytical critical balanced constructive"),
    (comment, "tone", "scholarly explanatory conversational technical"),
    (generating, "stage", "fetching generating creating linking"),
    (tagging, "stage", "analyzing creating"),
    (
        lambda **given: HighlightDetectionProgress(**{"percentage": 5, **given}),
        "stage",
        "analyzing creating",
    ),
    (
        lambda **given: AssessmentDetectionProgress(**{"percentage": 5, **given}),
        "stage",
        "analyzing creating",
    ),
    (
        lambda **given: CommentDetectionProgress(**{"percentage": 5, **given}),
        "stage",
        "analyzing creating",
    ),
]


@pytest.mark.parametrize(("make", "field", "choices"), CHOICES)
def test_a_choice_is_one_of_these(make: Any, field: str, choices: str) -> None:
    for good in choices.split():
        assert getattr(make(**{field: good}), field) == good
    with pytest.raises(InvalidJob, match=f"is one of {', '.join(choices.split())}") as told:
        make(**{field: "sarcastic"})
    assert told.value.value == "sarcastic"


IDS = [
    (lambda value: highlight(resource_id=value), "resource_id"),
    (lambda value: assessment(resource_id=value), "resource_id"),
    (lambda value: comment(resource_id=value), "resource_id"),
    (lambda value: DetectionParams(resource_id=value, entity_types=()), "resource_id"),
    (
        lambda value: TagDetectionParams(resource_id=value, schema_id="s", categories=()),
        "resource_id",
    ),
    (lambda value: generation(reference_id=value), "reference_id"),
    (lambda value: generation(source_resource_id=value), "source_resource_id"),
]


@pytest.mark.parametrize(("make", "field"), IDS)
@pytest.mark.parametrize("bad", ["https://example.com/doc-1", "", None, 5])
def test_a_uri_is_refused_where_an_id_belongs(make: Any, field: str, bad: Any) -> None:
    with pytest.raises(InvalidJob, match="pass the id, not a URI") as told:
        make(bad)

    assert told.value.field.endswith(f".{field}")
    assert told.value.value == bad


LISTS = [
    (lambda value: DetectionParams(resource_id="r", entity_types=value), "entity_types"),  # type: ignore[arg-type]
    (
        lambda value: TagDetectionParams(resource_id="r", schema_id="s", categories=value),  # type: ignore[arg-type]
        "categories",
    ),
    (lambda value: generation(entity_types=value), "entity_types"),
]


@pytest.mark.parametrize(("make", "field"), LISTS)
def test_a_list_of_texts_is_kept_as_a_tuple(make: Any, field: str) -> None:
    assert getattr(make(["Person", "Place"]), field) == ("Person", "Place")
    assert getattr(make(()), field) == ()


@pytest.mark.parametrize(("make", "field"), LISTS)
@pytest.mark.parametrize("bad", ["Person", [1], ("a", None), {"a": 1}])
def test_a_bare_text_is_no_list_of_texts(make: Any, field: str, bad: Any) -> None:
    with pytest.raises(InvalidJob, match="a list or tuple of texts is needed") as told:
        make(bad)

    assert told.value.field.endswith(f".{field}")


OUT_OF_RANGE: list[tuple[str, dict[str, Any]]] = [
    ("highlight-detection", {"resourceId": "http://x/y", "density": 500}),
    ("assessment-detection", {"resourceId": "r", "tone": "sarcastic", "density": 0}),
    ("comment-detection", {"resourceId": "", "tone": "", "density": -1.5}),
    (
        "generation",
        {"referenceId": "a/b", "sourceResourceId": "", "temperature": 2, "maxTokens": 1},
    ),
]


@pytest.mark.parametrize(("name", "params"), OUT_OF_RANGE)
def test_ranges_do_not_bind_what_is_read_because_the_other_side_checks_none(
    name: str, params: dict[str, Any]
) -> None:
    codec = Codec(JobTypes(BUILTIN_JOB_TYPES))
    kind = codec.job_types.get(name)
    text = json.dumps(
        {
            "status": "pending",
            "metadata": {
                "id": "j",
                "type": name,
                "userId": "u",
                "created": "2026-01-01T12:00:00.000Z",
                "retryCount": 0,
                "maxRetries": 3,
            },
            "params": params,
        },
        indent=2,
    ).encode()

    job = codec.decode(text)

    assert isinstance(job, PendingJob)
    assert kind is not None
    assert isinstance(job.params, kind.params)
    assert codec.encode(job) == text
