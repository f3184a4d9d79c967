"""A method that is called for as long as anybody has its object.

A thread, or a store, that is given the method itself keeps the object: what nobody has any more
would be looked after until its process ends. It must not know what the method does.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import ParamSpec

A = ParamSpec("A")


def weakly(method: Callable[A, object]) -> Callable[A, None]:
    """What calls the bound method, and does nothing when its object is gone."""
    found = weakref.WeakMethod(method)

    def call(*args: A.args, **kwargs: A.kwargs) -> None:
        method = found()
        if method is not None:
            method(*args, **kwargs)

    return call
