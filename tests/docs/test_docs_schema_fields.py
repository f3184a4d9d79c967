"""Field by field the schema accepts what the model does, and refuses what no job can be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from samples import CODEC, INSTANT, PARTS, SAMPLES, VALIDATOR, faults, of_status, of_type

from semiont_jobs import SemiontJobsError
from semiont_jobs.codec.strict import structure_telling
from semiont_jobs.model import STATUSES, JobMetadata

# -- one document of each status and type, with every key --------------------------------


def called(document: dict[str, Any]) -> str:
    return f"{document['metadata']['type']}-{document['status']}"


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
