"""A cattrs converter that changes nothing silently, and names the field that it refused.

It must not know jobs, except the three classes that keep unknown keys in ``extra``.

By itself, cattrs turns ``None`` into ``'None'``, ``'abc'`` into ``['a', 'b', 'c']`` and ``True``
into ``1``. Field names are camelCase on the wire; optional fields that are None are absent, never
null.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final, Literal, TypeVar, get_args, get_origin
from uuid import UUID

import attrs
from cattrs import Converter
from cattrs.cols import (
    homogenous_tuple_structure_factory,
    is_mapping,
    is_mutable_sequence,
    is_sequence,
    list_structure_factory,
    mapping_structure_factory,
)
from cattrs.dispatch import StructureHook, UnstructureHook
from cattrs.gen import (
    make_dict_structure_fn,
    make_dict_unstructure_fn,
    make_hetero_tuple_structure_fn,
    override,
)
from cattrs.preconf.json import configure_converter
from cattrs.v import transform_error

from semiont_jobs.errors import InvalidJob, JobDecodeError
from semiont_jobs.fields import is_reading
from semiont_jobs.model import Attempt, ClaimStamp, JobMetadata

T = TypeVar("T")

OWN_CLASSES: Final = (JobMetadata, Attempt, ClaimStamp)
"""The classes that keep unknown keys themselves; those of params, progress and result need not: the
job does it for them."""


def strict_converter(*, detailed: bool) -> Converter:
    """A new converter.

    With `detailed` it is slower, and its errors can be shown as paths.
    """
    converter = Converter(detailed_validation=detailed)
    # Enums, dates and unions of scalars, as cattrs itself writes them for json.
    configure_converter(converter)
    converter.register_structure_hook(str, structure_text)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(bool, _boolean)
    converter.register_structure_hook(datetime, structure_instant)
    converter.register_unstructure_hook(datetime, _precise_text)
    for kind in (Decimal, UUID):
        converter.register_structure_hook(kind, _from_text)
        converter.register_unstructure_hook(kind, _to_text)
    converter.register_structure_hook_func(_is_literal, _literal)
    converter.register_structure_hook_func(_is_optional_literal, _optional_literal)
    for predicate, factory, container in _CONTAINERS:
        converter.register_structure_hook_factory(predicate, _demanding(factory, container))
    converter.register_structure_hook_factory(_is_class, _class_structurer)
    converter.register_unstructure_hook_factory(_is_class, _class_unstructurer)
    return converter


@cache
def metadata_hooks() -> tuple[StructureHook, UnstructureHook]:
    """How to make `JobMetadata` from plain data, and plain data from them.

    To make these takes ten times as long as the rest of a codec. They use no class of an
    application: once is enough for all queues.
    """
    converter = strict_converter(detailed=False)
    return converter.get_structure_hook(JobMetadata), converter.get_unstructure_hook(JobMetadata)


def structure_telling(data: Any, kind: type[T], path: str) -> T:
    """`data` as a `kind`; raises `JobDecodeError` that names the first field at fault."""
    try:
        return _TELLING.structure(data, kind)
    except Exception as error:  # a class may refuse its data with any exception
        reason, where = _first_fault(error)
        raise JobDecodeError(reason, path=f"{path}{where}") from error


def structure_text(value: Any, _kind: Any = None, *, path: str = "") -> str:
    """A string, or `JobDecodeError`."""
    if type(value) is not str:
        raise JobDecodeError(f"a text is needed, not {_named(value)}", path=path)
    return value


def structure_instant(value: Any, _kind: Any = None, *, path: str = "") -> datetime:
    """An ISO 8601 instant.

    A time without an offset is local, as JavaScript reads it.
    """
    if type(value) is not str:
        raise JobDecodeError(f"an ISO 8601 time is needed, not {_named(value)}", path=path)
    try:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None and len(value) <= len("2026-01-01"):
            return instant.replace(tzinfo=UTC)  # a date alone: JavaScript reads it as of UTC
        # To UTC at once: an instant at either end of time may have none.
        return instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise JobDecodeError(f"{value[:40]!r} is not an ISO 8601 time", path=path) from error


@lru_cache(maxsize=1024)
def instant_text(value: datetime) -> str:
    """``YYYY-MM-DDTHH:MM:SS.mmmZ``: what JavaScript's toISOString writes.

    Cached: a job's few instants are written again at each of its transitions.
    """
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return value.isoformat(timespec="milliseconds")[:-6] + "Z"


def _precise_text(value: datetime) -> Any:
    """The same for an application's own instants, to the microsecond if they have any.

    Which instant one without a zone is depends on where it is read: it stays as it is, and is
    refused.
    """
    if value.utcoffset() is None:
        return value
    if value.microsecond % 1000:
        return value.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    return instant_text(value)


def camel(name: str) -> str:
    """``current_entity_type`` as ``currentEntityType``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


# -- scalars -----------------------------------------------------------------------------


def _integer(value: Any, _kind: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)  # JavaScript has one number type: 3.0 is its 3
    raise JobDecodeError(f"a whole number is needed, not {_named(value)}")


def _number(value: Any, _kind: Any) -> float:
    if type(value) is float or type(value) is int:
        return value  # an int stays one, so that 5 is written back as it was
    raise JobDecodeError(f"a number is needed, not {_named(value)}")


def _boolean(value: Any, _kind: Any) -> bool:
    if type(value) is bool:
        return value
    raise JobDecodeError(f"true or false is needed, not {_named(value)}")


def _to_text(value: Any) -> Any:
    # A value of another class, whatever is declared, stays as it is: it is refused when it is read.
    return str(value) if isinstance(value, Decimal | UUID) else value


def _from_text(value: Any, kind: Any) -> Any:
    text = structure_text(value)
    try:
        return kind(text)
    except (ArithmeticError, ValueError) as error:
        raise JobDecodeError(f"{text[:40]!r} is no {kind.__name__}") from error


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _is_optional_literal(kind: Any) -> bool:
    # cattrs accepts any string for one of these.
    choices = get_args(kind)
    return len(choices) == 2 and type(None) in choices and any(map(_is_literal, choices))


def _optional_literal(value: Any, kind: Any) -> Any:
    return value if value is None else _literal(value, next(filter(_is_literal, get_args(kind))))


def _literal(value: Any, kind: Any) -> Any:
    choices = get_args(kind)
    if any(value == choice and type(value) is type(choice) for choice in choices):
        return value
    # Like ranges, choices bind a writer: the other side does not check them.
    if is_reading() and any(type(value) is type(choice) for choice in choices):
        return value
    named = ", ".join(str(choice) for choice in choices)
    raise JobDecodeError(f"one of {named} is needed, not {_named(value)}")


def _named(value: Any) -> str:
    return _JSON_NAMES.get(type(value), type(value).__name__)


_JSON_NAMES: Final[Mapping[type, str]] = {
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
    list: "an array",
    dict: "an object",
}


# -- containers --------------------------------------------------------------------------


def _is_tuple(kind: Any) -> bool:
    return kind is tuple or get_origin(kind) is tuple


def _tuple_structurer(kind: Any, converter: Converter) -> StructureHook:
    arguments = get_args(kind)
    if not arguments or arguments[-1] is Ellipsis:
        return homogenous_tuple_structure_factory(kind, converter)
    return make_hetero_tuple_structure_fn(kind, converter)


_CONTAINERS: Final = (
    (is_mutable_sequence, list_structure_factory, list),
    (is_sequence, list_structure_factory, list),
    (_is_tuple, _tuple_structurer, list),
    (is_mapping, mapping_structure_factory, dict),
)


def _demanding(
    factory: Callable[[Any, Converter], StructureHook], container: type
) -> Callable[[Any, Converter], StructureHook]:
    """The factory's hook, which refuses all but a JSON array or object."""

    def make(kind: Any, converter: Converter) -> StructureHook:
        structure = factory(kind, converter)

        def demand(value: Any, target: Any) -> Any:
            if type(value) is not container:
                raise JobDecodeError(f"{_JSON_NAMES[container]} is needed, not {_named(value)}")
            return structure(value, target)

        return demand

    return make


# -- classes -----------------------------------------------------------------------------


def _is_class(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return attrs.has(origin) or (isinstance(origin, type) and dataclasses.is_dataclass(origin))


def _fields(kind: Any) -> list[tuple[str, Any]]:
    origin = get_origin(kind) or kind
    if attrs.has(origin):
        return [(each.name, each.default) for each in attrs.fields(origin)]
    return [(each.name, each.default) for each in dataclasses.fields(origin)]


def _class_structurer(kind: Any, converter: Converter) -> StructureHook:
    # Any: the signature of cattrs has named options besides the fields' overrides.
    names: dict[str, Any] = {name: override(rename=camel(name)) for name, _default in _fields(kind)}
    if kind not in OWN_CLASSES:
        return _of_an_object(make_dict_structure_fn(kind, converter, **names))
    names["extra"] = override(omit=True)
    structure = make_dict_structure_fn(kind, converter, **names)
    known = frozenset(camel(name) for name in names if name != "extra")

    def carry(value: Any, target: Any) -> Any:
        if type(value) is not dict:
            raise JobDecodeError(f"an object is needed, not {_named(value)}")
        made = structure(value, target)
        if value.keys() <= known:
            return made
        return attrs.evolve(made, extra={k: v for k, v in value.items() if k not in known})

    return carry


def _of_an_object(structure: StructureHook) -> StructureHook:
    """The hook, refusing what is not an object. cattrs only asks which keys are in it: if no field
    is required, any string or array would do, and be written back as an empty object."""

    def demand(value: Any, target: Any) -> Any:
        if type(value) is not dict and not isinstance(value, Mapping):
            raise JobDecodeError(f"an object is needed, not {_named(value)}")
        return structure(value, target)

    return demand


def _class_unstructurer(kind: Any, converter: Converter) -> UnstructureHook:
    if kind in OWN_CLASSES:
        return _own_unstructurer(kind, converter)
    names: dict[str, Any] = {name: override(rename=camel(name)) for name, _default in _fields(kind)}
    optional = frozenset(camel(name) for name, default in _fields(kind) if default is None)
    unstructure = make_dict_unstructure_fn(kind, converter, **names)
    if not optional:
        return unstructure

    def without_none(value: Any) -> dict[str, Any]:
        # If cattrs did it, omitted fields would move behind the others: other bytes.
        pairs = unstructure(value).items()
        return {key: item for key, item in pairs if item is not None or key not in optional}

    return without_none


def _own_unstructurer(kind: Any, converter: Converter) -> UnstructureHook:
    names: dict[str, Any] = {
        name: override(rename=camel(name), omit_if_default=name not in SEED_FIELDS)
        for name, _default in _fields(kind)
    }
    names["extra"] = override(omit=True)
    unstructure = make_dict_unstructure_fn(kind, converter, **names)

    known = frozenset(camel(name) for name in names if name != "extra")

    def restore(value: Any) -> dict[str, Any]:
        document = unstructure(value)
        if value.extra:
            document.update({k: v for k, v in value.extra.items() if k not in known})
        return document

    return restore


METADATA_KEYS: Final = frozenset(
    camel(each.name) for each in attrs.fields(JobMetadata) if each.name != "extra"
)
"""The keys that metadata may have of its own."""

SEED_FIELDS: Final = ("id", "type", "user_id", "created", "retry_count", "max_retries")
"""What the TypeScript package requires in metadata: always written."""

REQUIRED_KEYS: Final = frozenset(camel(name) for name in SEED_FIELDS)
"""The keys that all metadata have."""


# -- locating errors ---------------------------------------------------------------------

_TELLING: Final = strict_converter(detailed=True)


def _first_fault(error: BaseException) -> tuple[str, str]:
    """What is wrong and where (``.density``, ``.pages[3]``), for an error of `_TELLING`."""
    faults: list[BaseException] = []

    def note(fault: BaseException, _kind: type | None) -> str:
        faults.append(fault)
        return ""

    path = transform_error(error, format_exception=note)[0].rpartition("@ $")[2]
    where = ".".join(camel(part) for part in path.split("."))
    fault = faults[0] if faults else error
    if isinstance(fault, InvalidJob):  # of a validator: cattrs knows the class, not the field
        return fault.reason, f"{where}.{camel(fault.field.rpartition('.')[2])}"
    if isinstance(fault, JobDecodeError):
        return fault.reason, where
    if isinstance(fault, KeyError):
        return "missing", where
    return f"{type(fault).__name__}: {fault}", where
