"""Another thread's step at one moment of this one: right before, or right after, an attribute is read.

With the interpreter's lock no thread comes between two reads that nothing is called between. Without
it, any may.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


class Moment:
    """Calls something once, when an attribute is read the next time after `arm`."""

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        kind: type[Any],
        name: str,
        *,
        before: Callable[[], object] | None = None,
        after: Callable[[], object] | None = None,
    ) -> None:
        self._name = name
        self._before = before
        self._after = after
        self._is_armed = False
        patch.setattr(kind, name, self, raising=False)

    def arm(self) -> None:
        """The next read is the moment."""
        self._is_armed = True

    def __get__(self, one: Any, _kind: object = None) -> Any:
        is_it, self._is_armed = self._is_armed, False
        if is_it and self._before is not None:
            self._before()
        value = vars(one)[self._name]
        if is_it and self._after is not None:
            self._after()
        return value

    def __set__(self, one: Any, value: object) -> None:
        vars(one)[self._name] = value


class Filling(dict[Any, Any]):
    """To which another thread adds right after something was looked up."""

    def __init__(self, known: dict[Any, Any], added: dict[Any, Any]) -> None:
        super().__init__(known)
        self._added = added

    def get(self, key: Any, default: Any = None) -> Any:
        found = super().get(key, default)
        self.update(self._added)
        self._added.clear()
        return found
