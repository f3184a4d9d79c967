"""JSON as JavaScript writes it: the bytes of ``JSON.stringify(value, null, 2)``.

It must not know jobs.

Python's json module cannot write this: with an indent it uses its slow writer, it writes 1.0 where
JavaScript writes 1, and it turns keys that are not strings into strings. So this module writes, and
json reads.
"""

from __future__ import annotations

import json
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Callable
from datetime import datetime
from json.encoder import encode_basestring
from typing import Any, Final, NoReturn

from semiont_jobs.errors import JobDecodeError, JobEncodeError

MAX_DEPTH: Final = 200
"""Levels of nesting. Each costs two Python frames here, and in code that walks the value; with the
default recursion limit of 1000, this leaves the caller most of its stack."""

_SMALL: Final = 1 << 60
_UNSAFE_INTEGER: Final = 10**sys.int_info.default_max_str_digits
# Python refuses to read or write integers of more digits (a denial of service otherwise).

# Possessive, and satisfied by the end of the input: no input makes it try anything twice.
_STRINGS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_HEAD: Final = 4096
"""Bytes that are checked first, and suffice if all is nesting: with 200 000 keys, taking the
strings out of the whole takes up to a tenth of a second, at every look at the file."""
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


class _Unwritable(Exception):
    """Something that JSON cannot hold; a second, slower pass finds where it is."""


# encode_basestring raises TypeError for a key that is not a string.
UNWRITABLE: Final = (_Unwritable, TypeError, UnicodeEncodeError, RecursionError)


class Written(str):
    """The JSON of an object that was written before, one level deep in its document."""

    __slots__ = ()


def part(value: Any, depth: int = 1) -> str:
    """The JSON of a value as it is written at that depth of a document."""
    return _WRITERS.get(type(value), _subclass)(value, depth)


def write(value: Any, *, job_id: str | None = None, strict: bool = True) -> bytes:
    """The JSON of `value`, in UTF-8.

    :param strict: refuse lone surrogates; otherwise they are written ``\\udXXX``, as JavaScript
        writes them (for values that were read from a file).
    :raises JobEncodeError: names the path of the first thing that JSON cannot hold.
    """
    try:
        text = part(value, 0)
        return text.encode("utf-8", "strict" if strict else "backslashreplace")
    except UNWRITABLE:
        _refuse(value, job_id=job_id)


def check(value: Any, path: str, *, job_id: str | None = None) -> None:
    """Raise `JobEncodeError` unless JSON can hold `value`; `path` is its name in the error."""
    try:
        part(value, 0).encode("utf-8")
    except UNWRITABLE:
        _refuse(value, path, job_id=job_id)


def as_read(value: Any) -> Any:
    """`value` as `read` would return it from its JSON, without the detour.

    Tuples become lists; strings and numbers of a subclass become plain ones. What JSON cannot hold
    stays as it is.
    """
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if isinstance(value, dict):
        return {as_read(key): as_read(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_read(item) for item in value]
    if isinstance(value, str):
        return str.__str__(value)
    for plain in (int, float):
        if isinstance(value, plain):
            return plain(value)
    return value


_AS_THEY_ARE: Final = frozenset({str, int, float, bool, type(None)})


def read(data: bytes) -> Any:
    """The value of JSON in UTF-8, with or without a byte-order mark.

    :raises JobDecodeError: not JSON, not UTF-8, `NaN`, too deep, or an integer of thousands of
        digits.
    """
    return read_whole(text_of(data))


def read_whole(text: str) -> Any:
    """The value of a string from `text_of`; raises `JobDecodeError` as `read` does."""
    value, end = read_at(text, 0)
    if end != len(text):
        error = json.JSONDecodeError("Extra data", text, end)
        raise JobDecodeError(f"not JSON: {error}") from error
    return value


def text_of(data: bytes) -> str:
    """Decode JSON, without a byte-order mark and white space around it, if it is not too deep.

    :raises JobDecodeError: not UTF-8, or too deep.
    """
    # Most documents are shallow; only one with that many brackets can be too deep.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_depth(data)
    try:
        # What json's own decode() does, without its two regular expressions for white space.
        return data.removeprefix(BOM_UTF8).decode("utf-8").strip(" \t\n\r")
    except ValueError as error:
        raise JobDecodeError(f"not JSON: {error}") from error


def read_at(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at `start` in a string from `text_of`, and where it ends.

    :raises JobDecodeError: not JSON, `NaN`, or an integer of thousands of digits.
    """
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        if isinstance(error, JobDecodeError):
            raise
        raise JobDecodeError(f"not JSON: {error}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise JobDecodeError(f"not JSON: {name}")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise JobDecodeError(f"not JSON: no float is as large as {text[:40]}")
    return number


# Made once: json.loads makes one at every call that has options.
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _check_depth(data: bytes) -> None:
    """Refuse deep nesting before the parser recurses."""
    # A cut falls within a string at worst; the rest of that string is left out, too.
    for some in (data[:_HEAD], data):
        depth = 0
        for bracket in _STRINGS.sub(b"", some).translate(None, _NOT_BRACKETS):
            depth += 1 if bracket in b"[{" else -1
            if depth > MAX_DEPTH:
                raise JobDecodeError(f"nested deeper than {MAX_DEPTH} levels")


# -- writing -----------------------------------------------------------------------------

# The beginning of a line, by depth. The deepest is for an item that is refused for its depth.
_LINES: Final = tuple("\n" + "  " * depth for depth in range(MAX_DEPTH + 2))


def _object(value: dict[Any, Any], depth: int) -> str:
    if depth >= MAX_DEPTH:
        raise _Unwritable
    if not value:
        return "{}"
    depth += 1
    line = _LINES[depth]
    # Strings and small numbers are most of what jobs hold: one call less for each.
    parts = [
        f"{encode_basestring(key)}: {encode_basestring(item)}"
        if type(item) is str
        else f"{encode_basestring(key)}: {item}"
        if type(item) is int and -_SMALL < item < _SMALL
        else f"{encode_basestring(key)}: {_WRITERS.get(type(item), _subclass)(item, depth)}"
        for key, item in value.items()
    ]
    return f"{{{line}{f',{line}'.join(parts)}{_LINES[depth - 1]}}}"


def _array(value: list[Any] | tuple[Any, ...], depth: int) -> str:
    if depth >= MAX_DEPTH:
        raise _Unwritable
    if not value:
        return "[]"
    depth += 1
    line = _LINES[depth]
    parts = [_WRITERS.get(type(item), _subclass)(item, depth) for item in value]
    return f"[{line}{f',{line}'.join(parts)}{_LINES[depth - 1]}]"


def _string(value: str, _depth: int) -> str:
    return encode_basestring(value)


def _written(value: Written, _depth: int) -> str:
    return value


def _boolean(value: bool, _depth: int) -> str:
    return "true" if value else "false"


def _null(_value: None, _depth: int) -> str:
    return "null"


def _integer(value: int, _depth: int) -> str:
    if -_SMALL < value < _SMALL or -_UNSAFE_INTEGER < value < _UNSAFE_INTEGER:
        return int.__repr__(value)
    raise _Unwritable


def _number(value: float, _depth: int) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        raise _Unwritable
    # 2**53: up to here every integral float has the same digits in both languages.
    if value.is_integer() and abs(value) <= 9007199254740992:
        return int.__repr__(int(value))
    return float.__repr__(value)


def _subclass(value: Any, depth: int) -> str:
    # An enum of strings or numbers, a named tuple, an ordered dict: written as what they extend.
    if isinstance(value, str):
        return encode_basestring(str.__str__(value))
    if isinstance(value, int):
        return _integer(int(value), depth)
    if isinstance(value, float):
        return _number(float(value), depth)
    if isinstance(value, dict):
        return _object(value, depth)
    if isinstance(value, (list, tuple)):
        return _array(value, depth)
    raise _Unwritable


_WRITERS: Final[dict[type, Callable[[Any, int], str]]] = {
    str: _string,
    Written: _written,
    int: _integer,
    float: _number,
    bool: _boolean,
    type(None): _null,
    dict: _object,
    list: _array,
    tuple: _array,
}


# -- refusing ----------------------------------------------------------------------------


def _refuse(value: Any, path: str = "", *, job_id: str | None) -> NoReturn:
    reason, where, culprit = _fault(value, path, 0) or ("JSON cannot hold this", path, value)
    raise JobEncodeError(reason, path=where or "job", value=culprit, job_id=job_id)


def _fault(value: Any, path: str, depth: int) -> tuple[str, str, Any] | None:
    """The first thing in `value` that JSON cannot hold: why, where, what."""
    if depth >= MAX_DEPTH and isinstance(value, (dict, list, tuple)):
        return f"nested deeper than {MAX_DEPTH} levels (or within itself)", path, "..."
    if isinstance(value, dict):
        return _fault_in_object(value, path, depth)
    if isinstance(value, (list, tuple)):
        faults = (_fault(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value))
        return next((fault for fault in faults if fault), None)
    reason = _scalar_fault(value)
    return (reason, path, value) if reason else None


def _fault_in_object(value: dict[Any, Any], path: str, depth: int) -> tuple[str, str, Any] | None:
    for key, item in value.items():
        if not isinstance(key, str):
            return "keys are texts in JSON", path, key
        if _scalar_fault(key):
            return "a key has a lone surrogate", path, key
        fault = _fault(item, f"{path}.{key}" if path else key, depth + 1)
        if fault:
            return fault
    return None


def _scalar_fault(value: Any) -> str | None:
    if isinstance(value, str):
        try:
            str.encode(value, "utf-8")
        except UnicodeEncodeError:
            return "a lone surrogate is not text"
        return None
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        fits = -_UNSAFE_INTEGER < value < _UNSAFE_INTEGER
        return None if fits else "an integer of so many digits cannot be read back"
    if isinstance(value, float):
        finite = value == value and abs(value) != float("inf")
        return None if finite else "JSON has no NaN or infinity"
    if isinstance(value, datetime) and value.utcoffset() is None:
        return "JSON cannot hold a datetime without a time zone"
    return f"JSON cannot hold a {type(value).__name__}"
