"""The decoder answers with a job or `JobDecodeError`, whatever the bytes, and loses nothing of
what it accepts."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from proofs.decoding import judge
from proofs.hostile import FOLDERS, TEXTS, document, text
from proofs.soak import factor

GOLDEN = sorted((Path(__file__).parent.parent / "golden").rglob("*.json"))
VALID = [path.read_bytes() for path in GOLDEN] + [text(status) for status in FOLDERS]

pytestmark = pytest.mark.scaled

FACTOR = int(factor())
EXAMPLES = settings(
    max_examples=200 * FACTOR,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

ODD_TEXTS = ("\ud800", "\udfff\ud800", "\0", "\x1b[0m", "\u202e", "\ufeff", "__proto__", "a\nb", "",
             "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00",
             "2026-W01-1", "20260101T000000Z", "2026-01-01", "1e5")  # fmt: skip
ODD_NUMBERS = (
    0,
    -0.0,
    -1,
    1.0,
    1e16,
    1e308,
    5e-324,
    2**53,
    2**53 + 1,
    -(2**63),
    10**300,
    10**4200,
    3.5,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.sampled_from(ODD_NUMBERS)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(ODD_TEXTS)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(ODD_TEXTS), inner, max_size=3)
    ),
    max_leaves=8,
)

METADATA = ("id", "type", "userId", "created", "retryCount", "maxRetries", "revision", "queue", "priority",
            "runAfter", "timeout", "claim", "run", "attempts", "attemptCount", "crashCount",
            "completedUnits", "unitCursors", "unknown", "extra")  # fmt: skip
TOP = ("status", "metadata", "params", "startedAt", "completedAt", "progress", "result", "error", "unknown",
       "extra")  # fmt: skip
PLACES = st.sampled_from([("metadata", key) for key in METADATA] + [(key,) for key in TOP])
NAMES_OF_TYPES = ("task", "detection", "generation", "highlight-detection", "tag-detection")


def put(made: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    """Put a value at a place, if what is around it is still an object."""
    inner: Any = made
    for key in place[:-1]:
        inner = inner.get(key)
        if not isinstance(inner, dict):
            return
    inner[place[-1]] = value


@EXAMPLES
@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbf{}")
@example(b"\xef\xbb\xbf\xef\xbb\xbf{}")
def test_any_bytes_are_a_job_or_are_refused(data: bytes) -> None:
    judge(data)


@EXAMPLES
@given(VALUES)
def test_any_json_is_a_job_or_is_refused(value: Any) -> None:
    judge(json.dumps(value).encode())


@EXAMPLES
@given(
    st.sampled_from(FOLDERS),
    st.sampled_from(NAMES_OF_TYPES),
    st.lists(st.tuples(PLACES, VALUES), min_size=1, max_size=3),
)
@example("pending", "task", [(("metadata", "runAfter"), None)])
@example("running", "task", [(("progress",), None)])
@example("complete", "task", [(("result",), None)])
@example("failed", "task", [(("error",), "\ud800")])
@example("complete", "task", [(("result",), "\ud800")])
@example("pending", "task", [(("result",), {"\ud800": 1}), (("progress",), "\udfff")])
@example("complete", "detection", [(("result",), {"totalFound": 1e16})])
def test_any_value_in_any_field_is_kept_or_refused(
    status: str, kind: str, changes: list[tuple[tuple[str, ...], Any]]
) -> None:
    made = document(status, "j", type=kind)
    for place, value in changes:
        put(made, place, value)

    judge(json.dumps(made).encode())


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good text with bytes flipped, cut out, doubled, or exchanged with another's."""
    data = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(1, 40))
        how = draw(st.sampled_from(("flip", "cut", "truncate", "double", "splice", "insert")))
        if how == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut":
            del data[at : at + length]
        elif how == "truncate":
            del data[at:]
        elif how == "double":
            data[at:at] = data[at : at + length]
        elif how == "splice":
            other = draw(st.sampled_from(VALID))
            data[at:] = other[draw(st.integers(0, len(other))) :]
        else:
            data[at:at] = draw(
                st.binary(max_size=6)
                | st.sampled_from(
                    (b"NaN", b"-Infinity", b"1e999", b'"\\ud800"', b"[" * 300, b"9" * 5000)
                )
            )
    return bytes(data)


@EXAMPLES
@given(mutated())
def test_a_good_text_damaged_is_a_job_or_is_refused(data: bytes) -> None:
    judge(data)


@EXAMPLES
@given(st.sampled_from(VALID), st.data())
def test_of_a_key_that_stands_twice_the_last_counts_and_what_was_decoded_is_kept(
    valid: bytes, data: st.DataObject
) -> None:
    lines = valid.splitlines()
    line = data.draw(st.sampled_from([each for each in lines if b'": ' in each]))
    key, _colon, _value = line.partition(b": ")
    doubled = key + b": " + json.dumps(data.draw(SCALARS)).encode() + b",\n" + line

    verdict = judge(valid.replace(line, doubled, 1))

    # Only a value that opens an object or list may break when its line is doubled.
    assert verdict.job is not None or line.endswith((b"{", b"["))
    assert verdict.job is None or verdict == judge(valid)


@pytest.mark.parametrize("status", FOLDERS)
@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_made_to_hurt_is_refused_in_bounded_time(kind: str, status: str) -> None:
    data = TEXTS[kind](status)
    begun = time.process_time()

    verdict = judge(data)

    # The misnamed ones and those in the wrong folder are good jobs by themselves.
    assert (verdict.job is not None) == (kind in ("misnamed", "of another folder's status"))
    assert time.process_time() - begun < 5
