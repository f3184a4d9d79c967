"""What is written comes back whole: every job, every key, by the quick ways too."""

from __future__ import annotations

import json
from datetime import datetime

import attrs
import pytest
from documents import CODEC, META, STAMP, T0, decoded, document, objects_in, text_of, with_metadata
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import PARTS, any_json, instants, jobs, texts, typed_jobs, untyped_jobs

from semiont_jobs import (
    AnyJob,
    FailedJob,
    JobMetadata,
    JobType,
    JobTypes,
    PendingJob,
    evolve,
    lifecycle,
)
from semiont_jobs.codec import Codec, Turn, read_turn
from semiont_jobs.codec.jsontext import part
from semiont_jobs.codec.quick import metadata_text
from semiont_jobs.codec.turns import read_fresh
from semiont_jobs.failure import Failure

# -- round trips ---------------------------------------------------------------------------


@given(job=untyped_jobs)
def test_an_untyped_job_comes_back_whole_in_every_status(job: AnyJob) -> None:
    data = CODEC.encode(job, is_new=True)

    assert CODEC.decode(data, job_id=job.metadata.id, status=job.status) == job
    assert CODEC.encode(CODEC.decode(data)) == data


@pytest.mark.parametrize("name", PARTS)
@settings(max_examples=40)  # of each of the six types
@given(data=st.data())
def test_a_typed_job_comes_back_whole_and_typed_in_every_status(
    name: str, data: st.DataObject
) -> None:
    job = data.draw(typed_jobs(name))

    text = CODEC.encode(job, is_new=True)
    back = CODEC.decode(text)

    assert back == job
    assert type(back.params) is type(job.params)
    assert CODEC.encode(back) == text


@given(job=jobs)
def test_what_python_writes_is_plain_json_of_the_known_shape(job: AnyJob) -> None:
    found = json.loads(CODEC.encode(job))

    assert list(found)[:3] == ["status", "metadata", "params"]
    assert list(found["metadata"])[:6] == [
        "id",
        "type",
        "userId",
        "created",
        "retryCount",
        "maxRetries",
    ]
    assert (found["status"], found["metadata"]["id"]) == (job.status, job.metadata.id)


@given(job=jobs, now=instants)
def test_a_job_that_is_claimed_and_given_back_loses_nothing(job: AnyJob, now: datetime) -> None:
    pending = PendingJob(metadata=job.metadata, params=job.params, extra={"note": 1})
    read = CODEC.decode(CODEC.encode(pending))
    assert isinstance(read, PendingJob)

    back = lifecycle.release(lifecycle.claim(read, STAMP, now))

    metadata = evolve(job.metadata, claim=None, revision=job.metadata.revision + 2)
    assert CODEC.decode(CODEC.encode(back)) == evolve(pending, metadata=metadata)


# -- the quick ways ------------------------------------------------------------------------


ODD_PLACES = (
    *((False, key) for key in ("status", "metadata", "params", "startedAt", "other")),
    *((True, key) for key in ("id", "type", "userId", "created", "retryCount", "maxRetries")),
    *((True, key) for key in ("revision", "queue", "priority", "runAfter", "run", "other")),
)
NOT_PLAIN = {'"', "\\", *map(chr, range(32))}
ODD_VALUES = (
    st.sampled_from(
        ["", "x", "pending", "running", None, True, 0, -1, 7, 1.0, [], {}, [1], {"a": 1}]
    )
    | any_json
)


@given(data=st.data())
def test_where_a_fresh_job_is_read_quickly_the_general_way_reads_the_same(
    data: st.DataObject,
) -> None:
    found = document()
    metadata = found["metadata"]
    metadata["type"] = data.draw(texts)
    for place, key in data.draw(st.lists(st.sampled_from(ODD_PLACES), max_size=2)):
        inner = metadata if place else found
        if data.draw(st.booleans()):
            inner[key] = data.draw(ODD_VALUES | instants.map(lambda at: at.isoformat()))
        else:
            inner.pop(key, None)
    text = json.dumps(found, indent=2, ensure_ascii=data.draw(st.booleans()))

    quick = read_fresh(text)

    if quick is not None:
        # The same document, laid out as nobody does.
        general = CODEC.decode(text.replace("{\n", "{", 1).encode())
        assert ("pending", general.metadata) == (general.status, quick[0])
        assert vars(quick[0]).keys() == {each.name for each in attrs.fields(JobMetadata)}
        assert general == CODEC.decode(text.encode())


@given(job=jobs)
def test_every_job_that_has_not_run_is_read_quickly(job: AnyJob) -> None:
    made = job.metadata
    assume(not set(made.type + made.queue + made.user_id) & NOT_PLAIN)
    fresh = JobMetadata(
        id=made.id,
        type=made.type,
        user_id=made.user_id,
        created=made.created,
        queue=made.queue,
        priority=made.priority,
        run_after=made.run_after,
    )
    params = {"pages": [1, 2], "title": "\u2028"}
    text = CODEC.encode(PendingJob(metadata=fresh, params=params))

    assert (fresh, params) == read_fresh(text.decode())
    assert Turn.of(fresh) == read_turn(text, job_id=made.id)
    assert read_turn(text, job_id=f"{made.id[:-1]}~") is None


@pytest.mark.parametrize(
    "change",
    [
        ("2026-01-01T12", "2026-02-30T12"),
        ('"detection"', '"\\u0064etection"'),
        ('"retryCount": 0', '"retryCount": -1'),
        ('"retryCount": 0', '"retryCount": 0.5'),
        ('"retryCount": 0', '"retryCount": \u0660'),
        ('"retryCount": 0', '"retryCount": 01'),
        ('"params": {}', '"params": []'),
        ('"params": {}', '"params": {"a": NaN}'),
        ('"params": {}', '"params": {}, "params": {"a": 1}'),
        ('"params": {}', '"params": {}, "other": 1'),
        ("}\n}", "}\n}x"),
    ],
    ids=lambda change: change[1][:20],
)
def test_what_is_not_plain_is_left_to_the_general_way(change: tuple[str, str]) -> None:
    found = document()
    found["metadata"]["type"] = "detection"
    plain = json.dumps(found, indent=2)
    assert read_fresh(plain) is not None

    text = plain.replace(*change)

    assert text != plain
    assert read_fresh(text) is None
    assert read_turn(text.encode(), job_id="j") is None


@given(job=jobs)
def test_metadata_written_quickly_have_the_text_of_the_general_way(job: AnyJob) -> None:
    metadata = job.metadata
    text = metadata_text(metadata)

    if text is None:
        seldom = (metadata.extra, metadata.unit_cursors, metadata.completed_units, metadata.timeout)
        carrying = (metadata.claim, *metadata.attempts)
        assert any(seldom) or any(each.extra for each in carrying if each)
    else:
        general = CODEC._converter.unstructure(metadata)
        assert part(general) == text


# -- unknown keys --------------------------------------------------------------------------


@pytest.mark.parametrize("name", PARTS)
@settings(max_examples=40)  # of each of the six types
@given(data=st.data())
def test_unknown_keys_at_any_depth_come_back(name: str, data: st.DataObject) -> None:
    found = json.loads(CODEC.encode(data.draw(typed_jobs(name))))
    for place in objects_in(found):
        if data.draw(st.booleans()):
            place[f"x-{data.draw(texts)}"] = data.draw(any_json)

    job = CODEC.decode(json.dumps(found).encode())

    assert json.loads(CODEC.encode(job)) == found


@given(data=st.data())
def test_unknown_keys_of_metadata_and_params_survive_all_transitions(data: st.DataObject) -> None:
    params, _progress, _result = PARTS["generation"]
    job = PendingJob(metadata=evolve(META, type="generation"), params=data.draw(params))
    found = json.loads(CODEC.encode(job))
    places = objects_in(found["params"])
    for place in (found["metadata"], *places):
        place["x-new"] = data.draw(any_json)

    read = CODEC.decode(json.dumps(found).encode())
    assert isinstance(read, PendingJob)
    running = lifecycle.checkpoint(lifecycle.claim(read, STAMP, T0), ["p1"])
    failed = lifecycle.fail(running, Failure(error_type="E", message="m"), T0, retry_at=None)
    assert isinstance(failed, FailedJob)
    done = lifecycle.complete(
        lifecycle.claim(lifecycle.retry(failed, run="2"), STAMP, T0), None, T0
    )

    after = json.loads(CODEC.encode(CODEC.decode(CODEC.encode(done))))
    assert after["params"] == found["params"]
    assert after["metadata"]["x-new"] == found["metadata"]["x-new"]


def test_unknown_keys_stand_behind_the_known_ones_in_the_order_read() -> None:
    found = document(params={"zoom": 1, "resourceId": "r", "alpha": 2, "entityTypes": []})
    found["metadata"] = {"userName": "Ada", **found["metadata"], "type": "detection", "aaa": 0}
    found = {"aaa": 1, **found, "zzz": 2}

    back = json.loads(CODEC.encode(decoded(found)))

    assert list(back) == ["status", "metadata", "params", "aaa", "zzz"]
    assert list(back["params"]) == ["resourceId", "entityTypes", "zoom", "alpha"]
    assert list(back["metadata"])[-2:] == ["userName", "aaa"]


@attrs.frozen
class Page:
    number: int


@attrs.frozen
class Pages:
    pages: tuple[Page, ...]


def test_an_unknown_key_of_an_item_in_a_list_comes_back_at_its_item() -> None:
    codec = Codec(JobTypes([JobType("pages", Pages)]))
    found = with_metadata(type="pages")
    found["params"] = {"pages": [{"number": 1}, {"number": 2, "rotated": True}]}

    job = codec.decode(text_of(found))

    assert job.params == Pages((Page(1), Page(2)))
    assert json.loads(codec.encode(job))["params"] == found["params"]


def test_what_is_carried_for_a_place_that_is_gone_is_let_go() -> None:
    found = with_metadata(type="detection")
    found["params"] = {"resourceId": "r", "entityTypes": [], "x": {"y": 1}}
    job = decoded(found)

    changed = evolve(job, extra={"params": {"entityTypes": {5: {"z": 1}}, "resourceId": {"q": 1}}})

    assert json.loads(CODEC.encode(changed))["params"] == {"resourceId": "r", "entityTypes": []}
