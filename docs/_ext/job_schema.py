"""The JSON Schema of a job's file, made from the classes of `semiont_jobs.model` and `builtin`.

It must not know jobs or files, only classes; nor Sphinx. ``python docs/_ext/job_schema.py``
writes ``docs/reference/job.schema.json``; a test compares the two, so that the file cannot fall
behind the classes.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import attrs

from semiont_jobs.builtin import BUILTIN_JOB_TYPES
from semiont_jobs.codec.strict import SEED_FIELDS, camel
from semiont_jobs.fields import check_count, check_seconds, check_text
from semiont_jobs.job_types import JobType
from semiont_jobs.model import JOB_CLASSES, STATUSES, JobMetadata, JobStatus

Schema = dict[str, Any]

TARGET: Final = Path(__file__).parents[1] / "reference" / "job.schema.json"
WIDTH: Final = 88
"""Characters of a line of the file: what a page of the site shows without a scroll bar."""

INSTANT: Final[Schema] = {
    "description": "A time in UTC, with milliseconds",
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
}
NOTHING: Final[Schema] = {
    "description": "No progress yet, or no result",
    "type": "object",
    "maxProperties": 0,
}
SCALARS: Final[Mapping[Any, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"$ref": "#/$defs/Instant"},
    Any: {},
}
RULES: Final[Mapping[str, Schema]] = {
    check_count.__name__: {"minimum": 0},
    check_text.__name__: {"minLength": 1},
    check_seconds.__name__: {"exclusiveMinimum": 0, "exclusiveMaximum": 1_000_000_000},
    "_check_id": {"pattern": "^[A-Za-z0-9_-]{1,128}$"},
    "_bare_id": {"pattern": "^[^/]+$"},
}
"""What a field's validator adds to its type."""


def schema() -> Schema:
    """The whole schema: what a job has in each status, and what each of Semiont's types has."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:semiont-jobs:job:1",
        "title": "A job of semiont_jobs, as its file in the data directory has it",
        "description": "Keys that are not named here may stand in every object.",
        "type": "object",
        "required": ["status", "metadata", "params"],
        "properties": {
            "status": {"enum": list(STATUSES)},
            "metadata": _ref(JobMetadata),
            "params": {"type": "object"},
        },
        "allOf": [
            *(_when({"status": status}, _of_status(status)) for status in STATUSES),
            *(
                _when({"metadata": {"type": each.name}}, _of_type(each))
                for each in BUILTIN_JOB_TYPES
            ),
        ],
        "$defs": {
            "Instant": INSTANT,
            "Nothing": NOTHING,
            **{name: _of_class(kind) for name, kind in _classes().items()},
        },
    }


def text() -> str:
    """What the file contains."""
    return _laid_out(schema()) + "\n"


# -- statuses and types ------------------------------------------------------------------


def _own_fields(status: JobStatus) -> list[str]:
    """What a job of that status has besides what all have."""
    names = [each.name for each in attrs.fields(JOB_CLASSES[status])]
    return [name for name in names if name not in ("metadata", "params", "extra")]


def _of_status(status: JobStatus) -> Schema:
    kind = JOB_CLASSES[status]
    hints, fields = get_type_hints(kind), attrs.fields_dict(kind)
    names = _own_fields(status)
    others = dict.fromkeys(name for each in STATUSES for name in _own_fields(each))
    properties = {camel(name): _type(hints[name]) for name in names}
    properties |= {camel(name): False for name in others if name not in names}
    # A start that never was is left out; that nothing was reported, or returned, is written.
    required = [
        camel(name)
        for name in names
        if fields[name].default is attrs.NOTHING or name in ("progress", "result")
    ]
    return {"description": _told(kind), **_object(required, properties)}


def _of_type(job_type: JobType[Any, Any, Any]) -> Schema:
    parts = {"progress": job_type.progress, "result": job_type.result}
    nothing = {"$ref": "#/$defs/Nothing"}
    typed = {name: {"anyOf": [nothing, _ref(kind)]} for name, kind in parts.items()}
    return {"properties": {"params": _ref(job_type.params), **typed}}


def _when(what: Mapping[str, Any], then: Schema) -> Schema:
    return {"if": _is(what), "then": then}


def _is(what: Any) -> Schema:
    if not isinstance(what, Mapping):
        return {"const": what}
    return _object(list(what), {key: _is(value) for key, value in what.items()})


# -- classes -----------------------------------------------------------------------------


def _classes() -> dict[str, type]:
    """The classes that stand within a job, each behind the first one that has it."""
    found: dict[str, type] = {}

    def visit(kind: Any) -> None:
        if attrs.has(kind) and kind.__name__ not in found:
            found[kind.__name__] = kind
            hints = get_type_hints(kind)
            for each in attrs.fields(kind):
                visit(hints[each.name])
        for argument in get_args(kind):
            visit(argument)

    visit(JobMetadata)
    for each in BUILTIN_JOB_TYPES:
        for kind in (each.params, each.progress, each.result):
            visit(kind)
    return found


def _of_class(kind: type) -> Schema:
    hints = get_type_hints(kind)
    required: list[str] = []
    properties: Schema = {}
    for each in attrs.fields(kind):
        if each.name == "extra":
            continue
        key = camel(each.name)
        properties[key] = {**_type(hints[each.name]), **_rule(each.validator)}
        if each.default is attrs.NOTHING or (kind is JobMetadata and each.name in SEED_FIELDS):
            required.append(key)
        elif each.default is not None:
            properties[key]["default"] = _default(each.default)
    told = {"description": _told(kind)} if kind.__doc__ else {}
    return {**told, "type": "object", **_object(required, properties)}


def _object(required: list[str], properties: Schema) -> Schema:
    return (
        {"required": required, "properties": properties} if required else {"properties": properties}
    )


def _type(hint: Any) -> Schema:
    """What a field of that type is, where it is not None: that is left out."""
    hint = getattr(hint, "__supertype__", hint)
    if isinstance(hint, TypeVar):
        return {}
    if hint in SCALARS:
        return dict(SCALARS[hint])
    if attrs.has(hint):
        return _ref(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0])}
    if origin is Mapping:
        values = _type(arguments[1])
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    [one] = [each for each in arguments if each is not NoneType]
    return _type(one)


def _rule(validator: Callable[..., Any] | None) -> Schema:
    if validator is None:
        return {}
    # A range is what its validator was made with.
    made_with = inspect.getclosurevars(validator).nonlocals
    if {"low", "high"} <= made_with.keys():
        return {"minimum": _plain(made_with["low"]), "maximum": _plain(made_with["high"])}
    return dict(RULES.get(validator.__name__, {}))


def _default(default: Any) -> Any:
    made = default.factory() if hasattr(default, "factory") else default
    return list(made) if isinstance(made, tuple) else made


def _plain(number: float) -> float:
    return int(number) if number == int(number) else number


def _told(kind: type) -> str:
    """The first sentence of what a class says of itself."""
    words = " ".join((kind.__doc__ or "").split())
    return re.split(r"\.( |$)", words)[0].replace("``", "")


def _ref(kind: Any) -> Schema:
    return {"$ref": f"#/$defs/{kind.__name__}"}


# -- the file ----------------------------------------------------------------------------


def _laid_out(value: Any, indent: int = 0, before: int = 0) -> str:
    """JSON whose objects and arrays stand on one line where that is not too long."""
    line = json.dumps(value)
    if indent + before + len(line) < WIDTH or not isinstance(value, dict | list):
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        names = {key: f"{json.dumps(key)}: " for key in value}
        rows = [names[key] + _laid_out(value[key], indent + 2, len(names[key])) for key in value]
    else:
        rows = [_laid_out(each, indent + 2) for each in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([opening, ",\n".join(inner + row for row in rows), " " * indent + closing])


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
