"""Which jobs the demonstration creates: six for every document.

It must not know how they are done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from semiont_jobs.builtin import (
    AssessmentDetectionParams,
    CommentDetectionParams,
    DetectionParams,
    GenerationParams,
    HighlightDetectionParams,
    TagDetectionParams,
)
from semiont_jobs.demo.entities import ENTITY_TYPES
from semiont_jobs.demo.tags import CATEGORIES, SCHEMA
from semiont_jobs.ids import annotation_id, entity_type, job_id, resource_id, user_id
from semiont_jobs.job_types import JobTypes
from semiont_jobs.model import JobMetadata, PendingJob

USER: Final = user_id("demo")


def plan(titles: Mapping[str, str], job_types: JobTypes) -> list[PendingJob[Any]]:
    """The jobs for documents, given as resource id and title, document by document.

    Ids are made of the document and the type: a second plan of the same documents would be
    refused by the queue, not run again.
    """
    jobs = []
    for document, title in titles.items():
        for params in _params(document, title):
            kind = job_types.of_params(params)
            assert kind is not None
            metadata = JobMetadata(
                id=job_id(f"{kind.name}-{document}"), type=kind.name, user_id=USER
            )
            jobs.append(PendingJob(metadata=metadata, params=params))
    return jobs


def _params(document: str, title: str) -> Iterable[object]:
    source = resource_id(document)
    yield DetectionParams(
        resource_id=source, entity_types=tuple(entity_type(each) for each in ENTITY_TYPES)
    )
    yield HighlightDetectionParams(resource_id=source, density=8)
    yield TagDetectionParams(resource_id=source, schema_id=SCHEMA, categories=tuple(CATEGORIES))
    yield AssessmentDetectionParams(resource_id=source, tone="analytical", density=5)
    yield CommentDetectionParams(resource_id=source, tone="explanatory", density=6)
    yield GenerationParams(
        reference_id=annotation_id(f"digest-of-{document}"),
        source_resource_id=source,
        title=f"Digest: {title}",
        language="en",
    )
