"""Whether a pool's parts can be sent to another process: checked before one is started.

It must not know what happens there.
"""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from multiprocessing.reduction import ForkingPickler
from typing import Any

from semiont_jobs.errors import InvalidValue
from semiont_jobs.handlers import Handler
from semiont_jobs.pool.child import Assignment


def check_can_travel(assignment: Assignment) -> None:
    """Check that all of an assignment can be sent.

    :raises InvalidValue: the first part that cannot.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InvalidValue(
            "a process of a pool imports the script that made the pool: put what starts it under"
            ' if __name__ == "__main__"',
            field="processes",
            value=assignment.orders.processes,
        )
    for post in assignment.posts:
        check_importable(post.given, field=post.place)
    if assignment.initializer is not None:
        check_importable(assignment.initializer, field="initializer")
    try:
        ForkingPickler.dumps(assignment.queue)
    except InvalidValue:
        raise
    except Exception as error:
        rule = f"what it is made with cannot be taken to another process: {error}"
        raise InvalidValue(rule, field="queue", value=assignment.queue) from error


def check_importable(given: Any, *, field: str) -> None:
    """Check that another process can import or unpickle it.

    :raises InvalidValue: it cannot.
    """
    try:
        ForkingPickler.dumps(given)
    except (pickle.PicklingError, AttributeError, TypeError, RecursionError) as error:
        rule = f"another process cannot import it: {error}"
        raise InvalidValue(rule, field=field, value=given) from error
    # What was typed into an interpreter cannot be imported.
    origin = given.function if isinstance(given, Handler) else given
    main = sys.modules["__main__"]
    has_file = hasattr(main, "__file__") or getattr(main, "__spec__", None) is not None
    if getattr(origin, "__module__", None) == "__main__" and not has_file:
        rule = f"another process cannot import it: {sys.executable} was not given a file"
        raise InvalidValue(rule, field=field, value=given)
