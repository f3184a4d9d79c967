"""JSON text as JavaScript writes it, and what is no JSON text."""

from __future__ import annotations

import enum
import json
import math
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from jsontexts import DOCUMENT, SCALARS, nested
from strategies import any_json

from semiont_jobs import JobDecodeError, JobEncodeError
from semiont_jobs.codec.jsontext import MAX_DEPTH, check, read, write

# -- the bytes, written by hand ------------------------------------------------------------


DOCUMENT_TEXT = """{
  "text": "Título — 標題 🚀",
  "empty": {
    "object": {},
    "array": [],
    "text": ""
  },
  "nested": [
    [],
    [
      {}
    ],
    [
      1,
      [
        2
      ]
    ],
    {
      "a": [
        null,
        true,
        false
      ]
    }
  ]
}"""


def test_a_document_is_indented_by_two_without_a_newline_at_its_end() -> None:
    assert write(DOCUMENT) == DOCUMENT_TEXT.encode()


@pytest.mark.parametrize(("value", "text"), SCALARS, ids=lambda value: ascii(value)[:30])
def test_a_value_is_spelled_as_javascript_spells_it(value: Any, text: str) -> None:
    assert write(value) == text.encode()


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Metres(float):
    pass


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Metres(2.0), 2),
        (Text("as it is"), "as it is"),
        (Point(1, 2), [1, 2]),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        ({Colour.RED: Level.HIGH}, {"red": 3}),
    ],
    ids=repr,
)
def test_what_extends_a_json_value_is_written_as_that(value: Any, plain: Any) -> None:
    assert write(value) == write(plain)


# -- what is written reads back ------------------------------------------------------------


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: True is not 1, but 1.0 is, as in JavaScript."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@given(value=any_json)
def test_what_is_written_reads_back_equal(value: Any) -> None:
    assert same(read(write(value)), value)


@given(value=any_json)
def test_what_is_read_is_written_with_the_same_bytes_again(value: Any) -> None:
    text = write(value)

    assert write(read(text)) == text


# -- what JSON cannot hold -----------------------------------------------------------------


DEEP: Any = "x"


for _ in range(MAX_DEPTH + 1):
    DEEP = [DEEP]


LOOP: list[Any] = []
LOOP.append(LOOP)

UNWRITABLE = [
    ({"a": [1, {"b": math.nan}]}, "a[1].b", "JSON has no NaN or infinity", "nan"),
    ({"a": math.inf}, "a", "JSON has no NaN or infinity", "inf"),
    ([Metres("-inf")], "[0]", "JSON has no NaN or infinity", "-inf"),
    ({"a": "x\ud800"}, "a", "a lone surrogate is not text", r"'x\ud800'"),
    ({"a": {"\udfff": 1}}, "a", "a key has a lone surrogate", r"'\udfff'"),
    ({"a": {1: "x"}}, "a", "keys are texts in JSON", "1"),
    ({None: 1}, "job", "keys are texts in JSON", "None"),
    ({"a": (0, b"x")}, "a[1]", "JSON cannot hold a bytes", "b'x'"),
    ({"a": {1, 2}}, "a", "JSON cannot hold a set", "{1, 2}"),
    ({"a": object}, "a", "JSON cannot hold a type", "<class 'object'>"),
    ({"a": 1j}, "a", "JSON cannot hold a complex", "1j"),
    ({"a": 10**4999}, "a", "an integer of so many digits cannot be read back", None),
    ({"a": -(10**4999)}, "a", "an integer of so many digits cannot be read back", None),
]


@pytest.mark.parametrize(("value", "path", "reason", "shown"), UNWRITABLE)
def test_what_json_cannot_hold_is_refused_with_its_path(
    value: Any, path: str, reason: str, shown: str | None
) -> None:
    with pytest.raises(JobEncodeError) as told:
        write(value, job_id="j")

    assert isinstance(told.value, TypeError)
    assert (told.value.path, told.value.reason, told.value.job_id) == (path, reason, "j")
    assert shown is None or told.value.value == shown
    assert str(told.value).startswith(f"job j: {path} = ")


@pytest.mark.parametrize(("value", "path", "reason", "shown"), UNWRITABLE)
def test_a_check_refuses_the_same_under_a_name(
    value: Any, path: str, reason: str, shown: str | None
) -> None:
    with pytest.raises(JobEncodeError) as told:
        check([value], "result")

    where = "" if path == "job" else path if path.startswith("[") else f".{path}"
    assert (told.value.path, told.value.reason) == (f"result[0]{where}", reason)


@given(value=any_json)
def test_a_check_lets_everything_else_pass(value: Any) -> None:
    check(value, "result")


@pytest.mark.parametrize("value", [DEEP, LOOP, {"a": LOOP}], ids=["deep", "loop", "inner loop"])
def test_what_is_nested_too_deep_or_in_itself_is_refused(value: Any) -> None:
    for refuse in (write, lambda given: check(given, "result")):
        with pytest.raises(JobEncodeError, match="nested deeper than 200 levels"):
            refuse(value)


@pytest.mark.parametrize("make", [lambda item: [item], lambda item: {"a": item}])
def test_two_hundred_levels_are_written_and_read(make: Callable[[Any], Any]) -> None:
    value = nested(MAX_DEPTH, make)

    assert read(write(value)) == value


@pytest.mark.parametrize("make", [lambda item: [item], lambda item: {"a": item}])
def test_one_level_more_is_refused_already_when_written(make: Callable[[Any], Any]) -> None:
    with pytest.raises(JobEncodeError, match="nested deeper than 200 levels"):
        write(nested(MAX_DEPTH + 1, make))


@pytest.mark.parametrize("digits", [4299, 4300])
def test_the_longest_integer_that_is_read_is_written_too(digits: int) -> None:
    text = b"9" * digits

    assert write(read(text)) == text


def test_a_lone_surrogate_that_was_read_is_written_as_javascript_does() -> None:
    value = read(rb'{"a": "x\ud800y", "b": "\uDFFF", "c": "\ud83d\ude80"}')

    assert value == {"a": "x\ud800y", "b": "\udfff", "c": "🚀"}
    assert write(value, strict=False) == (
        '{\n  "a": "x\\ud800y",\n  "b": "\\udfff",\n  "c": "🚀"\n}'.encode()
    )


# -- what is no JSON text ------------------------------------------------------------------


UNREADABLE = [
    pytest.param(b"", "not JSON: Expecting value", id="empty"),
    pytest.param(b"  \n", "not JSON: Expecting value", id="blank"),
    pytest.param(b'{"a": [1, 2', "not JSON: Expecting", id="truncated"),
    pytest.param(b'{"a": "x', "not JSON: Unterminated string", id="truncated in a text"),
    pytest.param(b'{"a": 1} {"a": 2}', "not JSON: Extra data", id="two documents"),
    pytest.param(b"\0" * 300, "not JSON: Expecting value", id="NULs"),
    pytest.param(b'{"a": 1}' + b"\0" * 300, "not JSON: Extra data", id="NULs behind"),
    pytest.param(b'{"a": "\xff"}', "not JSON: 'utf-8' codec", id="not UTF-8"),
    pytest.param('{"a": 1}'.encode("utf-16"), "not JSON: 'utf-8' codec", id="UTF-16"),
    pytest.param(b'{"a": "\xed\xa0\x80"}', "not JSON: 'utf-8' codec", id="a surrogate in bytes"),
    pytest.param(b'{"a": "x\ny"}', "not JSON: Invalid control character", id="a raw newline"),
    pytest.param(b"{'a': 1}", "not JSON: Expecting property name", id="single quotes"),
    pytest.param(b'{"a": NaN}', "not JSON: NaN", id="NaN"),
    pytest.param(b"[-Infinity]", "not JSON: -Infinity", id="infinity"),
    pytest.param(b'{"a": ' + b"9" * 5000 + b"}", "not JSON: Exceeds the limit", id="5000 digits"),
    pytest.param(b"[" * 200_000, "nested deeper than 200 levels", id="deep arrays"),
    pytest.param(b'{"a":' * 200_000, "nested deeper than 200 levels", id="deep objects"),
    pytest.param(
        b"[" * 200_000 + b"]" * 200_000, "nested deeper than 200 levels", id="deep and whole"
    ),
    pytest.param(
        b'{"a": "' + b"[" * 300 + b'", "b": ' + b"[" * 201 + b"]" * 201 + b"}",
        "nested deeper than 200 levels",
        id="deep behind brackets in a text",
    ),
    pytest.param(
        b'{"a": "' + b"x" * 10_000 + b'", "b": ' + b"[" * 201 + b"]" * 201 + b"}",
        "nested deeper than 200 levels",
        id="deep behind a long text",
    ),
    pytest.param(b'{"a": 1e999}', "not JSON", id="a number beyond all floats"),
    pytest.param(b"[-1e999]", "not JSON", id="a negative number beyond all floats"),
]


@pytest.mark.parametrize(("text", "reason"), UNREADABLE)
def test_what_is_no_json_is_refused_with_a_reason(text: bytes, reason: str) -> None:
    with pytest.raises(JobDecodeError) as told:
        read(text)

    assert isinstance(told.value, ValueError)
    assert told.value.reason.startswith(reason)
    assert len(str(told.value)) < 300


def test_a_byte_order_mark_is_accepted() -> None:
    assert read(b"\xef\xbb\xbf" + b'{"a": 1}') == {"a": 1}


def test_of_a_key_that_stands_twice_the_last_counts_as_in_javascript() -> None:
    assert read(b'{"a": 1, "b": 2, "a": 3}') == {"a": 3, "b": 2}


def test_a_key_that_means_something_elsewhere_is_a_key_like_any_other() -> None:
    text = b'{\n  "__proto__": {\n    "a": 1\n  },\n  "constructor": null\n}'

    assert write(read(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": "' + b"[{" * 500 + b'"}',
        b'{"a": "' + rb"\"[" * 500 + b'", "b": [1]}',
        rb'{"a": "\\", "b": "' + b"[" * 500 + b'"}',
        b"[" + b",".join([b"[]"] * 500) + b"]",
        # The head of a text is looked at first: it may end in the middle of a text or an escape.
        b'{"a": "' + b"[" * 10_000 + b'", "b": [[]]}',
        b'{"a": "' + rb"\"[\\" * 3_000 + b'", "b": [[]]}',
        b'{"a": "x' + rb"\"[\\" * 3_000 + b'", "b": [[]]}',
        b'{"a": "xy' + rb"\"[\\" * 3_000 + b'", "b": [[]]}',
    ],
    ids=[
        "in a text",
        "behind escaped quotes",
        "behind an escaped backslash",
        "side by side",
        "in a long text",
        *(f"in a long text of escapes, {shift} bytes on" for shift in range(3)),
    ],
)
def test_brackets_that_do_not_nest_do_not_count(text: bytes) -> None:
    assert read(text) == json.loads(text)
