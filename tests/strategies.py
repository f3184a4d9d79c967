"""Jobs of every status and type, as hypothesis makes them.

It must not know the codec: what is made here is a job by the model's own classes.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from semiont_jobs import (
    AnyJob,
    AssessmentDetectionParams,
    AssessmentDetectionProgress,
    AssessmentDetectionResult,
    Attempt,
    CancelledJob,
    ClaimStamp,
    CommentDetectionParams,
    CommentDetectionProgress,
    CommentDetectionResult,
    CompleteJob,
    DetectionParams,
    DetectionProgress,
    DetectionResult,
    FailedJob,
    GenerationContext,
    GenerationParams,
    GenerationProgress,
    GenerationResult,
    HighlightDetectionParams,
    HighlightDetectionProgress,
    HighlightDetectionResult,
    JobMetadata,
    PendingJob,
    ResourceContext,
    RunningJob,
    SourceContext,
    TagDetectionParams,
    TagDetectionProgress,
    TagDetectionResult,
)

SAFE: Final = 2**53 - 1
"""The largest whole number below which JavaScript's numbers have no gaps."""

# -- JSON ----------------------------------------------------------------------------------

texts: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names: Final = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
counts: Final = st.integers(0, SAFE)

# Both languages spell these alike: no exponents, no whole numbers beyond 2**53.
floats_spelled_alike: Final = st.one_of(
    st.floats(1e-4, 2**53), st.floats(-(2**53), -1e-4), st.just(0.0)
)
# JavaScript puts keys such as "7" before all others.
keys_kept_in_order: Final = texts.filter(lambda key: not re.fullmatch(r"0|[1-9][0-9]*", key))

json_scalars: Final = st.one_of(
    st.none(), st.booleans(), st.integers(-SAFE, SAFE), floats_spelled_alike, texts
)
json_values: Final = st.recursive(
    json_scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(keys_kept_in_order, inner, max_size=4)
    ),
    max_leaves=12,
)
"""Values whose text is the same in both languages (WIRE.md, the directory, rule 4)."""

any_json: Final = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
"""Any value that JSON can hold, also where the two languages spell it differently."""

objects: Final = st.dictionaries(texts, any_json, max_size=5)

# -- metadata ------------------------------------------------------------------------------

instants: Final = st.integers(0, 4_102_444_800_000).map(
    lambda milliseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
)
job_ids: Final = st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True)

_METADATA_KEYS: Final = frozenset(
    [
        "id",
        "type",
        "userId",
        "created",
        "retryCount",
        "maxRetries",
        "revision",
        "queue",
        "priority",
        "runAfter",
        "timeout",
        "claim",
        "run",
        "attempts",
        "attemptCount",
        "crashCount",
        "completedUnits",
        "unitCursors",
    ]
)
_JOB_KEYS: Final = frozenset(
    ["status", "metadata", "params", "startedAt", "completedAt", "progress", "result", "error"]
)


def extras(known: frozenset[str] = frozenset()) -> st.SearchStrategy[dict[str, Any]]:
    """Keys that no class knows, mostly none."""
    unknown = st.dictionaries(texts.filter(lambda key: key not in known), any_json, max_size=3)
    return st.just({}) | unknown


stamps: Final = st.builds(
    ClaimStamp,
    token=texts,
    worker=texts,
    host=texts,
    pid=counts,
    extra=extras(frozenset({"token", "worker", "host", "pid"})),
)
attempts: Final = st.builds(
    Attempt,
    number=counts,
    started_at=instants,
    ended_at=instants,
    worker=texts,
    outcome=st.sampled_from(["completed", "failed", "timeout", "crashed", "cancelled"]),
    error_type=st.none() | texts,
    error_module=st.none() | texts,
    message=st.none() | texts,
    traceback=st.none() | texts,
    extra=extras(
        frozenset(
            [
                "number",
                "startedAt",
                "endedAt",
                "worker",
                "outcome",
                "errorType",
                "errorModule",
                "message",
                "traceback",
            ]
        )
    ),
)


def metadata(types: st.SearchStrategy[str]) -> st.SearchStrategy[JobMetadata]:
    """Everything a job may have beside its params."""
    return st.builds(
        JobMetadata,
        id=job_ids,
        type=types,
        user_id=names,
        created=instants,
        retry_count=counts,
        max_retries=counts,
        revision=counts,
        queue=st.just("default") | names,
        priority=st.integers(-100, 100),
        run_after=st.none() | instants,
        timeout=st.none() | st.floats(1e-3, 1e6),
        claim=st.none() | stamps,
        run=st.none() | texts,
        attempts=st.lists(attempts, max_size=2).map(tuple),
        attempt_count=counts,
        crash_count=counts,
        completed_units=st.lists(texts, max_size=3).map(tuple),
        unit_cursors=st.just({}) | st.dictionaries(texts, any_json, max_size=2),
        extra=extras(_METADATA_KEYS),
    )


# -- Semiont's six types -------------------------------------------------------------------

_ids: Final = names.filter(lambda text: "/" not in text)
_maybe: Final = st.none() | texts
_types: Final = st.lists(texts, max_size=3).map(tuple)
_percentages: Final = st.integers(0, 100) | st.floats(0, 100)
_stages: Final = st.sampled_from(["analyzing", "creating"])


def _density(low: int, high: int) -> st.SearchStrategy[float | None]:
    return st.none() | st.integers(low, high) | st.floats(low, high)


def _passages(kind: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, stage=_stages, percentage=_percentages, message=_maybe)


PARTS: Final[dict[str, tuple[st.SearchStrategy[Any], ...]]] = {
    "detection": (
        st.builds(
            DetectionParams,
            resource_id=_ids,
            entity_types=_types,
            include_descriptive_references=st.none() | st.booleans(),
        ),
        st.builds(
            DetectionProgress,
            total_entity_types=counts,
            processed_entity_types=counts,
            current_entity_type=_maybe,
            entities_found=counts,
            entities_emitted=counts,
        ),
        st.builds(DetectionResult, total_found=counts, total_emitted=counts, errors=counts),
    ),
    "generation": (
        st.builds(
            GenerationParams,
            reference_id=_ids,
            source_resource_id=_ids,
            prompt=_maybe,
            title=_maybe,
            entity_types=st.none() | _types,
            language=_maybe,
            context=st.none()
            | st.builds(
                GenerationContext,
                source_context=st.builds(
                    SourceContext, before=_maybe, selected=texts, after=_maybe
                ),
                metadata=st.none()
                | st.builds(
                    ResourceContext,
                    resource_type=_maybe,
                    language=_maybe,
                    entity_types=st.none() | _types,
                ),
            ),
            temperature=st.none() | st.floats(0, 1),
            max_tokens=st.none() | st.integers(100, 4000),
        ),
        st.builds(
            GenerationProgress,
            stage=st.sampled_from(["fetching", "generating", "creating", "linking"]),
            percentage=_percentages,
            message=_maybe,
            result_resource_id=_maybe,
        ),
        st.builds(GenerationResult, resource_id=texts, resource_name=texts),
    ),
    "highlight-detection": (
        st.builds(
            HighlightDetectionParams,
            resource_id=_ids,
            instructions=_maybe,
            density=_density(1, 15),
        ),
        _passages(HighlightDetectionProgress),
        st.builds(HighlightDetectionResult, highlights_found=counts, highlights_created=counts),
    ),
    "assessment-detection": (
        st.builds(
            AssessmentDetectionParams,
            resource_id=_ids,
            instructions=_maybe,
            tone=st.sampled_from([None, "analytical", "critical", "balanced", "constructive"]),
            density=_density(1, 10),
        ),
        _passages(AssessmentDetectionProgress),
        st.builds(AssessmentDetectionResult, assessments_found=counts, assessments_created=counts),
    ),
    "comment-detection": (
        st.builds(
            CommentDetectionParams,
            resource_id=_ids,
            instructions=_maybe,
            tone=st.sampled_from([None, "scholarly", "explanatory", "conversational", "technical"]),
            density=_density(2, 12),
        ),
        _passages(CommentDetectionProgress),
        st.builds(CommentDetectionResult, comments_found=counts, comments_created=counts),
    ),
    "tag-detection": (
        st.builds(TagDetectionParams, resource_id=_ids, schema_id=texts, categories=_types),
        st.builds(
            TagDetectionProgress,
            stage=_stages,
            percentage=_percentages,
            current_category=_maybe,
            processed_categories=counts,
            total_categories=counts,
            message=_maybe,
        ),
        st.builds(
            TagDetectionResult,
            tags_found=counts,
            tags_created=counts,
            by_category=st.dictionaries(texts, counts, max_size=3),
        ),
    ),
}
"""Of each type: how its params, progress and result are made."""

# -- jobs ----------------------------------------------------------------------------------


def _jobs(
    type_names: st.SearchStrategy[str],
    params: st.SearchStrategy[Any],
    progress: st.SearchStrategy[Any],
    result: st.SearchStrategy[Any],
) -> st.SearchStrategy[AnyJob]:
    given: dict[str, st.SearchStrategy[Any]] = {
        "metadata": metadata(type_names),
        "params": params,
        "extra": extras(_JOB_KEYS),
    }
    return st.one_of(
        st.builds(PendingJob, **given),
        st.builds(RunningJob, started_at=instants, progress=progress, **given),
        st.builds(CompleteJob, started_at=instants, completed_at=instants, result=result, **given),
        st.builds(
            FailedJob,
            started_at=st.none() | instants,
            completed_at=instants,
            error=texts,
            **given,
        ),
        st.builds(CancelledJob, started_at=st.none() | instants, completed_at=instants, **given),
    )


def typed_jobs(name: str) -> st.SearchStrategy[AnyJob]:
    """Jobs of one of Semiont's types, in every status."""
    params, progress, result = PARTS[name]
    return _jobs(st.just(name), params, st.none() | progress, st.none() | result)


untyped_jobs: Final = _jobs(
    names.filter(lambda name: name not in PARTS),
    objects,
    any_json.filter(lambda value: value is not None),
    any_json.filter(lambda value: value is not None),
)
"""Jobs of types that nobody registered: plain data, where ``{}`` is what None is written as."""

jobs: Final = st.one_of(untyped_jobs, *(typed_jobs(name) for name in PARTS))
"""Any job."""
