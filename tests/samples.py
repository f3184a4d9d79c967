"""One document of each status and type, with every key, and their schema."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from semiont_jobs import BUILTIN_JOB_TYPES, JobTypes
from semiont_jobs.codec import Codec
from semiont_jobs.model import STATUSES

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "reference" / "job.schema.json"
SCHEMA: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
CODEC = Codec(JobTypes(BUILTIN_JOB_TYPES))


def faults(document: Any) -> list[str]:
    """What the schema has against a document."""
    return [f"{each.json_path}: {each.message}" for each in VALIDATOR.iter_errors(document)]


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
