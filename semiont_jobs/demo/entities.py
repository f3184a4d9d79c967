"""Named things in a document: exceptions, built-ins, special methods, keywords, modules, PEPs.

It must not know how a document is laid out: a name is found by its spelling and its neighbours. The
names come from the running interpreter, so they fit its own reference.
"""

from __future__ import annotations

import builtins
import keyword
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from attrs import frozen

# -- what this interpreter has -----------------------------------------------------------


def _built_in(accept: Callable[[object], bool]) -> frozenset[str]:
    return frozenset(name for name, value in vars(builtins).items() if accept(value))


_EXCEPTIONS = _built_in(lambda value: isinstance(value, type) and issubclass(value, BaseException))
_TYPES = _built_in(lambda value: isinstance(value, type)) - _EXCEPTIONS
_FUNCTIONS = _built_in(lambda value: isinstance(value, types.BuiltinFunctionType)) | {
    # `site` adds it and `-S` leaves it out; results must not depend on that.
    "help",
}
_CONSTANTS = frozenset({"None", "True", "False", "NotImplemented", "Ellipsis", "__debug__"})
_MODULES = frozenset(sys.stdlib_module_names) | {"__main__"}
_KEYWORDS = frozenset(keyword.kwlist) | frozenset(keyword.softkwlist)
_AMBIGUOUS_KEYWORDS = frozenset({"_", "type"})
"""Soft keywords that between quotes are nearly always the name or the class."""

_RUNTIME_TYPES: Final = (
    *(vars(builtins)[name] for name in sorted(_TYPES)),
    *(value for _, value in sorted(vars(types).items()) if isinstance(value, type)),
)

_METHODS = frozenset(
    f"{owner.__name__}.{name}"
    for owner in _RUNTIME_TYPES
    if owner.__name__ in _TYPES
    for name, value in vars(owner).items()
    if callable(value) and not name.startswith("_")
)

_SPECIAL_METHODS = frozenset(
    name
    for owner in _RUNTIME_TYPES
    for name, value in vars(owner).items()
    if callable(value) and re.fullmatch(r"__\w+__", name)
) | {
    # Those that the language looks up, but that none of its own types has.
    *("__getattr__", "__missing__", "__aenter__", "__aexit__", "__set_name__", "__prepare__"),
    *("__bytes__", "__matmul__", "__rmatmul__", "__imatmul__", "__ifloordiv__", "__ipow__"),
}


# -- how they are mentioned --------------------------------------------------------------


def _any_of(names: Iterable[str]) -> str:
    # The longest first: of `for` and `format`, the shorter one must not win.
    return "|".join(re.escape(name) for name in sorted(names, key=lambda name: (-len(name), name)))


def _mentions(pattern: str, **names: Iterable[str]) -> re.Pattern[str]:
    for placeholder, choices in names.items():
        pattern = pattern.replace(f"<{placeholder}>", f"(?P<name>{_any_of(choices)})")
    return re.compile(pattern)


@frozen(kw_only=True)
class _EntityType:
    """One or more patterns with a group ``name``, and how the name found is written."""

    patterns: tuple[re.Pattern[str], ...]
    canonical: str = "{name}"


_TYPES_OF_ENTITY: Final[Mapping[str, _EntityType]] = {
    "Exception": _EntityType(patterns=(_mentions(r"(?<![\w.])<name>\b", name=_EXCEPTIONS),)),
    "Built-in function": _EntityType(
        # Only in a call: "input", "next" and "open" are also English words.
        patterns=(_mentions(r"(?<![\w.])(?<!def )<name>(?=\()", name=_FUNCTIONS),),
        canonical="{name}()",
    ),
    "Built-in type": _EntityType(
        # Only as a call or between quotes, for the same reason.
        patterns=(
            _mentions(r"(?<![\w.])(?<!def )<name>(?=\()", name=_TYPES),
            _mentions(r"(?<=\")<name>(?=\")", name=_TYPES),
        )
    ),
    "Built-in method": _EntityType(
        patterns=(_mentions(r"(?<![\w.])<name>\b", name=_METHODS),), canonical="{name}()"
    ),
    "Built-in constant": _EntityType(patterns=(_mentions(r"(?<![\w.])<name>\b", name=_CONSTANTS),)),
    "Special method": _EntityType(
        patterns=(
            re.compile(r"(?<!\w)(?P<name>__(?!import__|build_class__)[a-z]\w*?__)(?=\()"),
            _mentions(r"(?<!\w)<name>(?![\w(])", name=_SPECIAL_METHODS),
        ),
        canonical="{name}()",
    ),
    "Special attribute": _EntityType(
        patterns=(
            re.compile(
                rf"(?<!\w)(?!(?:{_any_of(_SPECIAL_METHODS | _MODULES | _CONSTANTS)})(?!\w))"
                r"(?P<name>__[a-z]\w*?__)(?![\w(])"
            ),
        )
    ),
    "Keyword": _EntityType(
        patterns=(_mentions(r"(?<=\")<name>(?=\")", name=_KEYWORDS - _AMBIGUOUS_KEYWORDS),)
    ),
    "Statement": _EntityType(
        patterns=(_mentions(r"(?<=\")<name>(?=\"\s+statements?\b)", name=_KEYWORDS),),
        canonical="{name} statement",
    ),
    "Module": _EntityType(
        # Many modules have plain words as names (`code`, `string`, `types`), so the context must
        # show that it is a module: "the X module", "module X", X.name, import X.
        patterns=(
            _mentions(
                r"(?<=\")<name>(?=\"\s+(?:standard\s+|library\s+)?modules?\b)", name=_MODULES
            ),
            _mentions(r"\b[Mm]odules?\s+\"<name>(?=\")", name=_MODULES),
            _mentions(r"(?<=\")<name>(?=\.[A-Za-z]\w+(?:\.\w+)*(?:\(|\"))", name=_MODULES),
            _mentions(r"(?m)^[ >.]*(?:import|from)\s+<name>\b", name=_MODULES),
        )
    ),
    "PEP": _EntityType(patterns=(re.compile(r"\bPEP\s+(?P<name>\d+)\b"),), canonical="PEP {name}"),
    "Python version": _EntityType(
        patterns=(re.compile(r"\b(?:[Vv]ersion|Python)\s+(?P<name>[23]\.\d+(?:\.\d+)?)\b"),),
        canonical="Python {name}",
    ),
}

ENTITY_TYPES: Final = tuple(_TYPES_OF_ENTITY)
"""The types of entity that `find_entities` knows."""


class UnknownEntityType(LookupError):
    """There is no such type of entity: not one of `ENTITY_TYPES`."""

    def __init__(self, entity_type: str) -> None:
        super().__init__(entity_type)
        self.entity_type = entity_type

    def __str__(self) -> str:
        return f"unknown entity type {self.entity_type!r}; known: {', '.join(ENTITY_TYPES)}"


@frozen(kw_only=True)
class Entity:
    """A mention of a named thing, at ``text[start:end]``.

    :param name: the thing's name, the same for all its mentions: ``len()``, ``PEP 343``.
    """

    entity_type: str
    name: str
    start: int
    end: int


def find_entities(text: str, entity_type: str) -> list[Entity]:
    """All mentions of things of one type, in order, each once.

    :raises UnknownEntityType: `entity_type` is not one of `ENTITY_TYPES`.
    """
    kind = _TYPES_OF_ENTITY.get(entity_type)
    if kind is None:
        raise UnknownEntityType(entity_type)
    spans = {match.span("name") for pattern in kind.patterns for match in pattern.finditer(text)}
    return [
        Entity(
            entity_type=entity_type,
            name=kind.canonical.format(name=text[start:end]),
            start=start,
            end=end,
        )
        for start, end in sorted(spans)
    ]
