"""The six workers of the demonstration: each does one job type on one document.

It must not know how a text is analysed, only what to ask and where the answers go.

A worker's output is a file named after the document, written beside it and renamed into place: if
the job runs again after a crash, it replaces its own result.
"""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from attrs import asdict

from semiont_jobs.builtin import (
    ASSESSMENT_DETECTION,
    COMMENT_DETECTION,
    DETECTION,
    GENERATION,
    HIGHLIGHT_DETECTION,
    TAG_DETECTION,
    AssessmentDetectionParams,
    AssessmentDetectionProgress,
    AssessmentDetectionResult,
    CommentDetectionParams,
    CommentDetectionProgress,
    CommentDetectionResult,
    DetectionParams,
    DetectionProgress,
    DetectionResult,
    GenerationParams,
    GenerationProgress,
    GenerationResult,
    HighlightDetectionParams,
    HighlightDetectionProgress,
    HighlightDetectionResult,
    TagDetectionParams,
    TagDetectionProgress,
    TagDetectionResult,
)
from semiont_jobs.demo.assessments import find_assessments
from semiont_jobs.demo.comments import find_comments
from semiont_jobs.demo.corpus import documents
from semiont_jobs.demo.digest import build_digest
from semiont_jobs.demo.entities import Entity, find_entities
from semiont_jobs.demo.highlights import find_highlights
from semiont_jobs.demo.tags import Tag, tag_passages
from semiont_jobs.demo.witness import START, Witness
from semiont_jobs.ids import resource_id
from semiont_jobs.model import RunningJob
from semiont_jobs.queue import JobQueue
from semiont_jobs.worker import JobWorker


class Annotator(JobWorker):
    """What the six workers share: a document to read, a witness, and a place for results."""

    def __init__(self, queue: JobQueue, data_dir: Path, witness: Witness) -> None:
        super().__init__(queue)
        self._data_dir = data_dir
        self._witness = witness

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        """Record the start with the witness, then annotate."""
        self._witness.saw(START, job.metadata.id)
        return self.annotate(job.params)

    @abstractmethod
    def annotate(self, params: Any) -> object:
        """Do the job for these params; the return value is the job's result."""

    def _keep(self, kind: str, document: str, annotations: Sequence[Any]) -> None:
        text = json.dumps([asdict(each) for each in annotations], indent=1, ensure_ascii=False)
        self._write(Path("annotations", kind, f"{document}.json"), text)

    def _write(self, name: Path, text: str) -> None:
        path = self._data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text(text, "utf-8")
        beside.replace(path)


class EntityFinder(Annotator):
    """Finds named things, one type of thing after the other."""

    job_types: ClassVar[Iterable[str] | None] = (DETECTION.name,)

    def annotate(self, params: DetectionParams) -> DetectionResult:
        """See `find_entities`."""
        text = documents()[params.resource_id]
        found: list[Entity] = []
        for number, kind in enumerate(params.entity_types):
            self.update_job_progress(
                DetectionProgress(
                    total_entity_types=len(params.entity_types),
                    processed_entity_types=number,
                    current_entity_type=kind,
                    entities_found=len(found),
                    entities_emitted=0,
                )
            )
            found += find_entities(text, kind)
        self._keep("detection", params.resource_id, found)
        return DetectionResult(total_found=len(found), total_emitted=len(found), errors=0)


class Highlighter(Annotator):
    """Finds the key passages."""

    job_types: ClassVar[Iterable[str] | None] = (HIGHLIGHT_DETECTION.name,)

    def annotate(self, params: HighlightDetectionParams) -> HighlightDetectionResult:
        """See `find_highlights`."""
        self.update_job_progress(HighlightDetectionProgress(stage="analyzing", percentage=0))
        found = find_highlights(documents()[params.resource_id], density=params.density or 5)
        self._keep("highlights", params.resource_id, found)
        return HighlightDetectionResult(highlights_found=len(found), highlights_created=len(found))


class Assessor(Annotator):
    """Assesses how readable the hardest passages are."""

    job_types: ClassVar[Iterable[str] | None] = (ASSESSMENT_DETECTION.name,)

    def annotate(self, params: AssessmentDetectionParams) -> AssessmentDetectionResult:
        """See `find_assessments`."""
        self.update_job_progress(AssessmentDetectionProgress(stage="analyzing", percentage=0))
        found = find_assessments(documents()[params.resource_id], density=params.density or 4)
        self._keep("assessments", params.resource_id, found)
        return AssessmentDetectionResult(
            assessments_found=len(found), assessments_created=len(found)
        )


class Commentator(Annotator):
    """Comments on the terms that a document defines."""

    job_types: ClassVar[Iterable[str] | None] = (COMMENT_DETECTION.name,)

    def annotate(self, params: CommentDetectionParams) -> CommentDetectionResult:
        """See `find_comments`."""
        self.update_job_progress(CommentDetectionProgress(stage="analyzing", percentage=0))
        found = find_comments(documents()[params.resource_id], density=params.density or 6)
        self._keep("comments", params.resource_id, found)
        return CommentDetectionResult(comments_found=len(found), comments_created=len(found))


class Tagger(Annotator):
    """Tags the passages that play a structural role, one role after the other."""

    job_types: ClassVar[Iterable[str] | None] = (TAG_DETECTION.name,)

    def annotate(self, params: TagDetectionParams) -> TagDetectionResult:
        """See `tag_passages`."""
        text = documents()[params.resource_id]
        found: dict[str, list[Tag]] = {}
        for number, category in enumerate(params.categories):
            self.update_job_progress(
                TagDetectionProgress(
                    stage="analyzing",
                    percentage=100 * number // len(params.categories),
                    current_category=category,
                    processed_categories=number,
                    total_categories=len(params.categories),
                )
            )
            found[category] = tag_passages(text, category)
        tags = [tag for some in found.values() for tag in some]
        self._keep("tags", params.resource_id, tags)
        return TagDetectionResult(
            tags_found=len(tags),
            tags_created=len(tags),
            by_category={category: len(some) for category, some in found.items()},
        )


class Digester(Annotator):
    """Generates a digest page of a document."""

    job_types: ClassVar[Iterable[str] | None] = (GENERATION.name,)

    def annotate(self, params: GenerationParams) -> GenerationResult:
        """See `build_digest`."""
        self.update_job_progress(GenerationProgress(stage="fetching", percentage=0))
        text = documents()[params.source_resource_id]
        self.update_job_progress(GenerationProgress(stage="generating", percentage=10))
        title = params.title or params.source_resource_id
        page = build_digest(text, title=title)
        name = Path("pages", f"{params.source_resource_id}.md")
        self._write(name, page)
        return GenerationResult(
            resource_id=resource_id(f"digest-{params.source_resource_id}"), resource_name=title
        )


ANNOTATORS: tuple[type[Annotator], ...] = (
    EntityFinder,
    Highlighter,
    Tagger,
    Assessor,
    Commentator,
    Digester,
)
"""All six, in the order in which their jobs are planned."""
