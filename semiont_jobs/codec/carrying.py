"""What no class knows of a document: taken off when it is read, put back when it is written.

It must not know jobs: it compares JSON values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def remainder(raw: Any, known: Any) -> dict[Any, Any]:
    """What `raw` has beyond `known`, in the same shape; list items by their index."""
    if isinstance(raw, dict) and isinstance(known, dict):
        pairs = raw.items()
        places: Any = known
    elif isinstance(raw, list) and isinstance(known, (list, tuple)) and len(raw) == len(known):
        pairs = enumerate(raw)  # type: ignore[assignment]
        places = dict(enumerate(known))
    else:
        return {}
    carried: dict[Any, Any] = {}
    for key, value in pairs:
        if key not in places:
            carried[key] = value
        elif value != places[key]:
            inner = remainder(value, places[key])
            if inner:
                carried[key] = inner
    return carried


def restore(document: Any, carried: Mapping[Any, Any]) -> None:
    """Put back what `remainder` took, after what is known."""
    for key, value in carried.items():
        if isinstance(document, dict) and key not in document:
            document[key] = value
        elif isinstance(value, Mapping) and _has(document, key):
            document[key] = _copy(document[key])
            if isinstance(document[key], (dict, list)):
                restore(document[key], value)


def _has(document: Any, key: Any) -> bool:
    if isinstance(document, list):
        return isinstance(key, int) and key < len(document)
    return isinstance(document, dict) and key in document


def _copy(value: Any) -> Any:
    # The caller's own params or progress may be in the document: never write into them.
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, (list, tuple)) else value
