"""Semiont's six job types, as data: their params, progress and result classes.

It must not know what these jobs do. Fields, optional keys and ranges are those of the TypeScript
package `@semiont/jobs`. Ranges are checked when an object is made here, not when one is read,
because the TypeScript package does not check them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from attrs import Attribute, field, frozen

from semiont_jobs.errors import InvalidJob
from semiont_jobs.fields import is_reading, one_of, within
from semiont_jobs.ids import AnnotationId, EntityType, ResourceId
from semiont_jobs.job_types import JobType

AssessmentTone: TypeAlias = Literal["analytical", "critical", "balanced", "constructive"]
CommentTone: TypeAlias = Literal["scholarly", "explanatory", "conversational", "technical"]
GenerationStage: TypeAlias = Literal["fetching", "generating", "creating", "linking"]
DetectionStage: TypeAlias = Literal["analyzing", "creating"]


def _bare_id(owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if is_reading():
        return
    if not isinstance(value, str) or not value or "/" in value:
        raise InvalidJob(
            "an id is a text without '/': pass the id, not a URI",
            field=f"{type(owner).__name__}.{attribute.name}",
            value=value,
        )


def _texts(owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is None and attribute.default is None:
        return
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        raise InvalidJob(
            "a list or tuple of texts is needed",
            field=f"{type(owner).__name__}.{attribute.name}",
            value=value,
        )


def _tuple(value: Any) -> Any:
    # A string is a sequence, too, of letters: left as it is, it is refused by _texts.
    return tuple(value) if isinstance(value, list) else value


def _percentage() -> Any:
    return field(validator=within(0, 100))


def _density(low: int, high: int) -> Any:
    return field(default=None, validator=within(low, high))


# -- detection: named things in a resource -----------------------------------------------


@frozen(kw_only=True)
class DetectionParams:
    """Find mentions of these entity types in a resource."""

    resource_id: ResourceId = field(validator=_bare_id)
    entity_types: tuple[EntityType, ...] = field(converter=_tuple, validator=_texts)
    include_descriptive_references: bool | None = None


@frozen(kw_only=True)
class DetectionProgress:
    total_entity_types: int
    processed_entity_types: int
    current_entity_type: str | None = None
    entities_found: int
    entities_emitted: int


@frozen(kw_only=True)
class DetectionResult:
    total_found: int
    total_emitted: int
    errors: int


# -- generation: a new resource ----------------------------------------------------------


@frozen(kw_only=True)
class SourceContext:
    """The text around the passage that a resource is generated for."""

    before: str | None = None
    selected: str
    after: str | None = None


@frozen(kw_only=True)
class ResourceContext:
    """What is known of the resource that contains the passage."""

    resource_type: str | None = None
    language: str | None = None
    entity_types: tuple[EntityType, ...] | None = field(
        default=None, converter=_tuple, validator=_texts
    )


@frozen(kw_only=True)
class GenerationContext:
    source_context: SourceContext
    metadata: ResourceContext | None = None


@frozen(kw_only=True)
class GenerationParams:
    """Generate a resource for a reference found in another one."""

    reference_id: AnnotationId = field(validator=_bare_id)
    source_resource_id: ResourceId = field(validator=_bare_id)
    prompt: str | None = None
    title: str | None = None
    entity_types: tuple[EntityType, ...] | None = field(
        default=None, converter=_tuple, validator=_texts
    )
    language: str | None = None
    """A BCP 47 tag, such as ``en-US``."""
    context: GenerationContext | None = None
    temperature: float | None = field(default=None, validator=within(0.0, 1.0))
    max_tokens: int | None = field(default=None, validator=within(100, 4000))


@frozen(kw_only=True)
class GenerationProgress:
    stage: GenerationStage = field(
        validator=one_of("fetching", "generating", "creating", "linking")
    )
    percentage: float = _percentage()
    message: str | None = None
    result_resource_id: ResourceId | None = None


@frozen(kw_only=True)
class GenerationResult:
    resource_id: ResourceId
    resource_name: str


# -- highlights, assessments, comments ---------------------------------------------------


@frozen(kw_only=True)
class HighlightDetectionParams:
    """Find the key passages of a resource."""

    resource_id: ResourceId = field(validator=_bare_id)
    instructions: str | None = None
    density: float | None = _density(1, 15)
    """Highlights per 2000 words."""


@frozen(kw_only=True)
class AssessmentDetectionParams:
    """Write evaluative comments on passages of a resource."""

    resource_id: ResourceId = field(validator=_bare_id)
    instructions: str | None = None
    tone: AssessmentTone | None = field(
        default=None, validator=one_of("analytical", "critical", "balanced", "constructive")
    )
    density: float | None = _density(1, 10)
    """Assessments per 2000 words."""


@frozen(kw_only=True)
class CommentDetectionParams:
    """Write explanatory comments on passages of a resource."""

    resource_id: ResourceId = field(validator=_bare_id)
    instructions: str | None = None
    tone: CommentTone | None = field(
        default=None, validator=one_of("scholarly", "explanatory", "conversational", "technical")
    )
    density: float | None = _density(2, 12)
    """Comments per 2000 words."""


@frozen(kw_only=True)
class _PassageProgress:
    stage: DetectionStage = field(validator=one_of("analyzing", "creating"))
    percentage: float = _percentage()
    message: str | None = None


@frozen(kw_only=True)
class HighlightDetectionProgress(_PassageProgress):
    pass


@frozen(kw_only=True)
class AssessmentDetectionProgress(_PassageProgress):
    pass


@frozen(kw_only=True)
class CommentDetectionProgress(_PassageProgress):
    pass


@frozen(kw_only=True)
class HighlightDetectionResult:
    highlights_found: int
    highlights_created: int


@frozen(kw_only=True)
class AssessmentDetectionResult:
    assessments_found: int
    assessments_created: int


@frozen(kw_only=True)
class CommentDetectionResult:
    comments_found: int
    comments_created: int


# -- tags: structural roles --------------------------------------------------------------


@frozen(kw_only=True)
class TagDetectionParams:
    """Find the passages that play a role in a schema such as ``legal-irac``."""

    resource_id: ResourceId = field(validator=_bare_id)
    schema_id: str
    categories: tuple[str, ...] = field(converter=_tuple, validator=_texts)


@frozen(kw_only=True)
class TagDetectionProgress:
    stage: DetectionStage = field(validator=one_of("analyzing", "creating"))
    percentage: float = _percentage()
    current_category: str | None = None
    processed_categories: int
    total_categories: int
    message: str | None = None


@frozen(kw_only=True)
class TagDetectionResult:
    tags_found: int
    tags_created: int
    by_category: Mapping[str, int]


DETECTION: Final = JobType("detection", DetectionParams, DetectionProgress, DetectionResult)
GENERATION: Final = JobType("generation", GenerationParams, GenerationProgress, GenerationResult)
HIGHLIGHT_DETECTION: Final = JobType(
    "highlight-detection",
    HighlightDetectionParams,
    HighlightDetectionProgress,
    HighlightDetectionResult,
)
ASSESSMENT_DETECTION: Final = JobType(
    "assessment-detection",
    AssessmentDetectionParams,
    AssessmentDetectionProgress,
    AssessmentDetectionResult,
)
COMMENT_DETECTION: Final = JobType(
    "comment-detection",
    CommentDetectionParams,
    CommentDetectionProgress,
    CommentDetectionResult,
)
TAG_DETECTION: Final = JobType(
    "tag-detection", TagDetectionParams, TagDetectionProgress, TagDetectionResult
)

BUILTIN_JOB_TYPES: Final[tuple[JobType[Any, Any, Any], ...]] = (
    DETECTION,
    GENERATION,
    HIGHLIGHT_DETECTION,
    ASSESSMENT_DETECTION,
    COMMENT_DETECTION,
    TAG_DETECTION,
)
"""All six; every queue knows them in addition to your own."""
