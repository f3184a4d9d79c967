"""What is written is what JavaScript writes: it is asked, where there is one."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from jsontexts import DOCUMENT, SCALARS
from strategies import any_json, json_values

from semiont_jobs.codec.jsontext import write

STRINGIFY = """
require("readline").createInterface({input: process.stdin}).on("line", (line) => {
    const text = JSON.stringify(JSON.parse(JSON.parse(line)), null, 2);
    process.stdout.write(JSON.stringify(text) + "\\n");
});
"""
node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node on the PATH")
JavaScript = Callable[[str], bytes]


@pytest.fixture(scope="module")
def javascript() -> Iterator[JavaScript]:
    """Asks a running node for ``JSON.stringify(JSON.parse(text), null, 2)``."""
    with subprocess.Popen(
        ["node", "-e", STRINGIFY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def stringify(text: str) -> bytes:
            # As a JSON text in ASCII: no line separator within it ends the line.
            asked.write(json.dumps(text) + "\n")
            asked.flush()
            answer: str = json.loads(answers.readline())
            return answer.encode("utf-8", "backslashreplace")

        yield stringify
        asked.close()


@node
@given(value=json_values)
def test_the_bytes_are_those_of_javascripts_stringify(javascript: JavaScript, value: Any) -> None:
    assert write(value) == javascript(json.dumps(value))


@node
@pytest.mark.parametrize(("value", "text"), SCALARS, ids=lambda value: ascii(value)[:30])
def test_the_bytes_written_by_hand_are_javascripts_too(
    javascript: JavaScript, value: Any, text: str
) -> None:
    assert javascript(json.dumps(value)) == text.encode()


@node
@pytest.mark.parametrize("value", [DOCUMENT, ["a\ud800b\udfff"], {"\udc00": ""}], ids=ascii)
def test_a_document_and_lone_surrogates_are_written_as_javascript_writes_them(
    javascript: JavaScript, value: Any
) -> None:
    assert write(value, strict=False) == javascript(json.dumps(value))


def as_doubles(value: Any) -> Any:
    """The value as JavaScript knows it: all numbers are doubles, and what is beyond them null."""
    if isinstance(value, dict):
        return {key: as_doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_doubles(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return float(value)
    except OverflowError:
        return None


@node
@given(value=any_json)
def test_whatever_is_written_javascript_reads_as_the_same_value(
    javascript: JavaScript, value: Any
) -> None:
    seen = json.loads(javascript(write(value).decode()))

    assert as_doubles(seen) == as_doubles(value)
