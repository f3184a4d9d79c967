"""The sequential model of one job: what every operation answers, and what it leaves.

Written by hand from the lifecycle page. It must not import the library, least of all
`lifecycle`: it would be its own oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from linearizability.checker import Operation

NEVER: Final = 1 << 62
"""Later than any time."""


@dataclass(frozen=True)
class State:
    """A job as anybody may see it, and what only its holder and its canceller know."""

    status: str | None = None
    """None: there is no such job."""
    revision: int = 0
    maker: str | None = None
    priority: int = 0
    retries: int = 0
    crashes: int = 0
    attempts: int = 0
    units: frozenset[str] = frozenset()
    holder: str | None = None
    result: str | None = None
    asked: int = NEVER
    """When a request to cancel this life of the job was acknowledged."""
    orphaned: bool = False
    """Its holder is dead."""
    requests: frozenset[str] = frozenset()
    """Who asks for this life to be cancelled and will have to take it back: it comes too late."""
    obeyed: frozenset[str] = frozenset()
    """Whose request the job was cancelled for: they must not be told that it came too late."""
    outlived: frozenset[str] = frozenset()
    """Whose request was obeyed in a life that a retry by hand has ended since: they find a job that
    nobody asked to stop, and may be told so."""

    @property
    def is_asked(self) -> bool:
        return self.asked != NEVER or bool(self.requests)


ABSENT: Final = State()
FINISHED: Final = ("complete", "failed", "cancelled")


def facts(state: State) -> dict[str, Any] | None:
    """What `get` shows of it."""
    if state.status is None:
        return None
    shown = asdict(state)
    for name in ("asked", "orphaned", "requests", "obeyed", "outlived"):
        del shown[name]
    return shown | {"units": sorted(state.units)}


class OneJob:
    """The model. An answer is ``{"job": facts}`` or another value, or ``{"refused": class}``."""

    initial = ABSENT
    max_retries = 1

    def step(self, state: State, operation: Operation) -> Iterable[State]:
        """See `Model.step`."""
        given, answer = operation.given or {}, operation.answer
        refusal = answer.get("refused") if isinstance(answer, dict) else None
        if refusal is not None:
            is_legal = refusal in _REFUSALS[operation.name](state, operation, given)
            return [state] if is_legal else []
        left = list(_STEPS[operation.name](state, operation, given))
        if operation.returned is None:
            return left
        if isinstance(answer, dict) and "job" in answer:
            return [each for each in left if facts(each) == answer["job"]]
        return left

    def alone(self, state: State) -> Iterable[State]:
        """Rescuers act on the jobs of the dead, claimers on jobs that somebody cancelled while
        they ran and that are pending again: neither is an operation on that job."""
        if state.status == "running" and state.orphaned:
            after = _over(state, "pending", crashes=state.crashes + 1)
            yield _over(state, "cancelled") if state.is_asked else after
        if state.status == "pending" and state.is_asked:
            yield _ended(state, "cancelled")


def _changed(state: State, **changes: Any) -> State:
    return replace(state, revision=state.revision + 1, **changes)


def _ended(state: State, status: str, **changes: Any) -> State:
    if status != "pending":
        changes = {"asked": NEVER, "requests": frozenset(), **changes}
    if status == "cancelled":
        changes["obeyed"] = state.requests
    return _changed(state, status=status, holder=None, orphaned=False, **changes)


def _over(state: State, status: str, **changes: Any) -> State:
    """An attempt is over."""
    return _ended(state, status, attempts=state.attempts + 1, **changes)


# -- what each operation leaves ----------------------------------------------------------


def _create(state: State, _operation: Operation, given: Any) -> Iterable[State]:
    if state.status is None:
        yield State(status="pending", maker=given["maker"])


def _get(state: State, _operation: Operation, _given: Any) -> Iterable[State]:
    yield state


def _claim(state: State, operation: Operation, given: Any) -> Iterable[State]:
    # A request that was acknowledged before this claim began is obeyed by it.
    if state.status == "pending" and operation.called <= state.asked:
        # Who never returned from claiming works on nothing.
        is_dead = operation.returned is None
        yield _changed(state, status="running", holder=given["holder"], orphaned=is_dead)


def _checkpoint(state: State, _operation: Operation, given: Any) -> Iterable[State]:
    if _holds(state, given):
        yield _changed(state, units=state.units | {given["unit"]})


def _look(state: State, operation: Operation, given: Any) -> Iterable[State]:
    if _holds(state, given) and (operation.answer == "cancelled") == state.is_asked:
        yield state


def _complete(state: State, _operation: Operation, given: Any) -> Iterable[State]:
    if _holds(state, given):
        yield _over(state, "complete", result=given["result"])


def _fail(state: State, _operation: Operation, given: Any) -> Iterable[State]:
    if not _holds(state, given):
        return
    if state.retries < OneJob.max_retries:
        yield _over(state, "pending", retries=state.retries + 1)
    else:
        yield _over(state, "failed")


def _release(state: State, _operation: Operation, given: Any) -> Iterable[State]:
    if _holds(state, given):
        yield _ended(state, "pending")


def _stop(state: State, _operation: Operation, given: Any) -> Iterable[State]:
    if _holds(state, given):
        yield _over(state, "cancelled")


def _cancel(state: State, operation: Operation, _given: Any) -> Iterable[State]:
    acknowledged = NEVER - 1 if operation.returned is None else operation.returned
    is_over = state.status is None or state.status in FINISHED
    is_late = is_over and operation.who not in state.obeyed
    if operation.answer is not True and (is_late or operation.who in state.outlived):
        yield replace(state, outlived=state.outlived - {operation.who})
    if operation.answer is False:
        return
    if state.status == "pending":
        yield _ended(state, "cancelled")
    elif state.status == "running":
        yield replace(state, asked=min(acknowledged, state.asked))
        if state.orphaned:
            yield _over(state, "cancelled")


def _request(state: State, operation: Operation, _given: Any) -> Iterable[State]:
    if state.status == "running":
        yield replace(state, requests=state.requests | {operation.who})


def _retry(state: State, _operation: Operation, _given: Any) -> Iterable[State]:
    if state.status in ("failed", "cancelled"):
        outlived = state.outlived | state.obeyed
        changes = {"obeyed": frozenset(), "outlived": outlived}
        yield _ended(state, "pending", retries=0, crashes=0, **changes)


def _update(state: State, _operation: Operation, given: Any) -> Iterable[State]:
    if state.status == "pending" and given["revision"] == state.revision:
        yield _changed(state, priority=given["priority"])


def _remove(state: State, _operation: Operation, _given: Any) -> Iterable[State]:
    if state.status in FINISHED:
        yield ABSENT


def _die(state: State, _operation: Operation, given: Any) -> Iterable[State]:
    is_its = state.holder is not None and state.holder.startswith(given["process"])
    yield replace(state, orphaned=True) if is_its else state


def _holds(state: State, given: Any) -> bool:
    return state.status == "running" and state.holder == given["holder"]


Step = Callable[[State, Operation, Any], Iterable[State]]

_STEPS: Final[dict[str, Step]] = {
    "create": _create,
    "get": _get,
    "claim": _claim,
    "checkpoint": _checkpoint,
    "look": _look,
    "complete": _complete,
    "fail": _fail,
    "release": _release,
    "snooze": _release,
    "stop": _stop,
    "cancel": _cancel,
    "request": _request,
    "retry": _retry,
    "update": _update,
    "remove": _remove,
    "die": _die,
}


# -- what each operation may refuse ------------------------------------------------------


def _refused_create(state: State, _operation: Operation, _given: Any) -> Iterable[str]:
    if state.status is not None:
        yield "JobExists"


def _refused_holder(state: State, _operation: Operation, given: Any) -> Iterable[str]:
    if not _holds(state, given):
        yield "ClaimLost"


def _refused_retry(state: State, operation: Operation, _given: Any) -> Iterable[str]:
    if state.status is None:
        yield "JobNotFound"
    elif state.status not in ("failed", "cancelled"):
        yield "InvalidTransition"
    if operation.overlapped:
        yield "JobHeld"


def _refused_update(state: State, operation: Operation, given: Any) -> Iterable[str]:
    is_held = state.status == "running" and not state.orphaned
    if operation.overlapped or is_held:
        yield "JobHeld"
    if state.status is None:
        yield "JobNotFound"
    elif not is_held and state.revision != given["revision"]:
        yield "StaleJob"
    elif not is_held and state.maker != given["maker"]:
        yield "InvalidJob"  # another job of that id


def _refused_never(_state: State, _operation: Operation, _given: Any) -> Iterable[str]:
    return ()


Refusals = Callable[[State, Operation, Any], Iterable[str]]

_REFUSALS: Final[dict[str, Refusals]] = {
    **dict.fromkeys(_STEPS, _refused_never),
    "create": _refused_create,
    "retry": _refused_retry,
    "update": _refused_update,
    **dict.fromkeys(
        ("checkpoint", "look", "complete", "fail", "release", "snooze", "stop"), _refused_holder
    ),
}
