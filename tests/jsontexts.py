"""Values with the text that `JSON.stringify` makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

DOCUMENT = {
    "text": "Título — 標題 🚀",
    "empty": {"object": {}, "array": [], "text": ""},
    "nested": [[], [{}], [1, [2]], {"a": [None, True, False]}],
}
SCALARS = [
    (None, "null"),
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (-7, "-7"),
    (2**53 - 1, "9007199254740991"),
    (1.0, "1"),
    (-2.0, "-2"),
    (float(2**53), "9007199254740992"),
    (0.5, "0.5"),
    (-0.1, "-0.1"),
    (0.1 + 0.2, "0.30000000000000004"),
    (12345.678, "12345.678"),
    (1e15 + 0.5, "1000000000000000.5"),
    (0.0001, "0.0001"),
    ("", '""'),
    ("a/b", '"a/b"'),
    ('say "hi"', r'"say \"hi\""'),
    ("back\\slash", r'"back\\slash"'),
    ("\b\t\n\f\r", r'"\b\t\n\f\r"'),
    ("\x00\x01\x1b\x1f", r'"\u0000\u0001\u001b\u001f"'),
    ("\x7f\x80\xa0", '"\x7f\x80\xa0"'),
    ("\u2028\u2029\ufeff\u202e", '"\u2028\u2029\ufeff\u202e"'),
    ("\U0001f680", '"\U0001f680"'),
    ([], "[]"),
    ((), "[]"),
    ({}, "{}"),
    ((1, "a"), '[\n  1,\n  "a"\n]'),
]


def nested(levels: int, make: Callable[[Any], Any]) -> Any:
    """Arrays or objects, so many levels of them, the innermost empty."""
    value: Any = make(0)
    empty = type(value)()
    for _ in range(levels - 1):
        empty = make(empty)
    return empty
