"""Branded ids: what may be one, and that fresh ones strictly increase."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from semiont_jobs import (
    InvalidJob,
    InvalidJobId,
    annotation_id,
    entity_type,
    ids,
    job_id,
    new_job_id,
    resource_id,
    user_id,
)
from semiont_jobs.testing.suite import at_once

NO_IDS = (
    "../../etc/passwd",
    "a/b",
    "..",
    ".x",
    "",
    "a\0b",
    "a" * 129,
    "ä",
    "job-1\n",
    "a b",
    "a.json",
    "\u0661",  # a digit, but not one of the ten
    None,
    5,
    b"job-1",
    ["job-1"],
)


@pytest.mark.parametrize("good", ["a", "A-z_0", "-", "9" * 128, "job-01ARZ3NDEKTSV4RRFFQ69G5FAV"])
def test_a_job_id_is_letters_digits_underscores_and_dashes(good: str) -> None:
    assert job_id(good) == good


@pytest.mark.parametrize("bad", NO_IDS)
def test_anything_else_is_no_job_id_and_the_error_says_what_it_was(bad: Any) -> None:
    with pytest.raises(InvalidJobId) as told:
        job_id(bad)

    assert isinstance(told.value, ValueError)
    assert (told.value.field, told.value.value) == ("metadata.id", bad)
    assert "metadata.id = " in str(told.value)


@pytest.mark.parametrize("make", [resource_id, annotation_id])
def test_a_uri_is_no_resource_or_annotation_id(make: Callable[[Any], str]) -> None:
    assert make("doc-1") == "doc-1"
    with pytest.raises(InvalidJob, match="pass the id, not a URI") as told:
        make("https://example.com/doc-1")

    assert told.value.value == "https://example.com/doc-1"


@pytest.mark.parametrize("make", [resource_id, annotation_id, user_id, entity_type])
@pytest.mark.parametrize("bad", ["", None, 5])
def test_an_id_is_a_text_of_at_least_one_character(make: Callable[[Any], str], bad: Any) -> None:
    with pytest.raises(InvalidJob, match="at least one character") as told:
        make(bad)

    assert told.value.value == bad


def test_users_and_entity_types_may_have_a_slash() -> None:
    assert user_id("did:web:example.com/users/alice") == "did:web:example.com/users/alice"
    assert entity_type("Person/Author") == "Person/Author"


@pytest.fixture
def first_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has made no ids yet, and will not remember those of this test."""
    monkeypatch.setattr(ids, "_ulids", ids._Ulids())


@pytest.mark.usefixtures("first_ids")
def test_a_fresh_id_is_a_job_id_that_tells_its_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    fresh = new_job_id()
    after = time.time_ns() // 1_000_000

    assert job_id(fresh) == fresh
    assert re.fullmatch(r"job-[0-9A-HJKMNP-TV-Z]{26}", fresh)
    digits = ["0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(letter) for letter in fresh[4:14]]
    moment = sum(digit << 5 * place for place, digit in enumerate(reversed(digits)))
    assert before <= moment <= after


def test_fresh_ids_strictly_increase() -> None:
    made = [new_job_id() for _ in range(20_000)]

    assert made == sorted(set(made))


def test_fresh_ids_increase_across_threads() -> None:
    made = at_once([lambda: [new_job_id() for _ in range(2_000)]] * 8)

    assert all(each == sorted(each) for each in made)
    assert len({one for each in made for one in each}) == 8 * 2_000


def test_fresh_ids_increase_although_the_clock_steps_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = new_job_id()
    hours = count(1)
    begun = time.time_ns()

    monkeypatch.setattr(time, "time_ns", lambda: begun - next(hours) * 3_600_000_000_000)
    made = [before, *(new_job_id() for _ in range(1_000))]

    assert made == sorted(set(made))


@pytest.mark.usefixtures("first_ids")
def test_fresh_ids_increase_when_a_millisecond_has_no_more_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: begun)
    monkeypatch.setattr(os, "urandom", lambda size: b"\xff" * size)

    made = [new_job_id() for _ in range(3)]

    assert made == sorted(set(made))
    assert [one[14:] for one in made] == ["Z" * 16, "0" * 16, "0" * 15 + "1"]


FORK = """
import os, sys, threading
from semiont_jobs import ids, new_job_id

new_job_id()
ids._ulids._lock.acquire()  # another thread is making an id at the moment of the fork
child = os.fork()
if not child:
    print(new_job_id(), flush=True)
    os._exit(0)
ids._ulids._lock.release()
assert os.waitpid(child, 0)[1] == 0
print(new_job_id())
"""


def test_a_forked_child_makes_ids_of_its_own() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=True
    )

    childs, parents = run.stdout.split()
    assert job_id(childs) != job_id(parents)
