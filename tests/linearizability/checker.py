"""Whether a history of overlapping operations is one that a sequential object could have had.

It must not know what the object is: a `Model` says that. The search is Wing and Gong's, made
as late as possible and remembered (Lowe, "Testing for linearizability", 2017): going through
calls and returns in the order of time, all configurations are kept that explain what was seen
so far, a configuration being a state and the set of open operations that took effect already.
When an operation returns, it must have taken effect; those without a return may, or may not.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

S = TypeVar("S", bound=Hashable)


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation of one client."""

    who: str
    name: str
    called: int
    """When, on a clock that all clients share."""
    returned: int | None
    """None: it never did, because its process was killed. It took effect, or did not."""
    given: Any = None
    answer: Any = None
    gone: int | None = None
    """If it never returned: when it could take effect no more."""
    overlapped: bool = False
    """Whether anybody else could be at the object meanwhile."""

    def __str__(self) -> str:
        end = "never" if self.returned is None else f"{self.returned}"
        return f"{self.called}-{end} {self.who}: {self.name}({self.given}) -> {self.answer}"


class Model(Protocol[S]):
    """A sequential object."""

    initial: S

    def step(self, state: S, operation: Operation) -> Iterable[S]:
        """The states in which the operation, with the answer that it gave, can leave the object
        (of one that did not return, with any answer); none: it cannot have given it here."""
        ...

    def alone(self, state: S) -> Iterable[S]:
        """The states to which the object may go with no operation of a client."""
        ...


class NotLinearizable(AssertionError):
    """No order of the operations explains their answers."""


@dataclass(frozen=True)
class _Configuration(Generic[S]):
    state: S
    done: frozenset[Operation]


def check(history: Sequence[Operation], model: Model[S]) -> None:
    """Raise `NotLinearizable` unless an order explains the history."""
    configurations = {_Configuration(model.initial, frozenset())}
    open_: set[Operation] = set()
    for _at, kind, operation in sorted(_moments(history), key=lambda moment: moment[:2]):
        if kind == _CALL:
            open_.add(operation)
            continue
        if kind == _RETURN:
            explained = _until_done(operation, configurations, open_, model)
            if not explained:
                raise NotLinearizable(_told(operation, history, configurations))
            configurations = explained
        else:
            # It may have taken effect up to here.
            configurations = _all(configurations, open_, model)
        open_.discard(operation)
        configurations = {
            _Configuration(each.state, each.done - {operation}) for each in configurations
        }


# A call at the very moment of another's return overlaps it: calls first.
_CALL, _RETURN, _GONE = 0, 1, 2


def _moments(history: Sequence[Operation]) -> Iterable[tuple[int, int, Operation]]:
    for operation in history:
        yield operation.called, _CALL, operation
        if operation.returned is not None:
            yield operation.returned, _RETURN, operation
        elif operation.gone is not None:
            yield operation.gone, _GONE, operation


def _until_done(
    operation: Operation,
    configurations: Iterable[_Configuration[S]],
    open_: set[Operation],
    model: Model[S],
) -> set[_Configuration[S]]:
    """All configurations in which the operation is done. Others go before it where that can
    help; what can come later is left for later."""
    found: set[_Configuration[S]] = set()
    seen = set(configurations)
    to_do = list(seen)
    while to_do:
        configuration = to_do.pop()
        if operation in configuration.done:
            found.add(configuration)
            continue
        for next_ in _next(configuration, open_, model):
            if next_ not in seen:
                seen.add(next_)
                to_do.append(next_)
    return found


def _all(
    configurations: Iterable[_Configuration[S]], open_: set[Operation], model: Model[S]
) -> set[_Configuration[S]]:
    seen = set(configurations)
    to_do = list(seen)
    while to_do:
        for next_ in _next(to_do.pop(), open_, model):
            if next_ not in seen:
                seen.add(next_)
                to_do.append(next_)
    return seen


def _next(
    configuration: _Configuration[S], open_: set[Operation], model: Model[S]
) -> Iterable[_Configuration[S]]:
    for state in model.alone(configuration.state):
        yield _Configuration(state, configuration.done)
    for other in open_ - configuration.done:
        for state in model.step(configuration.state, other):
            yield _Configuration(state, configuration.done | {other})


BEFORE = 14
"""Operations shown that returned before the one that nothing explains, beside those open with
it: what led to it is among them."""


def _told(
    operation: Operation,
    history: Sequence[Operation],
    configurations: Iterable[_Configuration[Any]],
) -> str:
    assert operation.returned is not None
    until = operation.returned
    called = [each for each in history if each.called <= until]
    over = [each for each in called if each.returned is not None and each.returned <= until]
    last = sorted(over, key=lambda each: each.returned or 0)[-BEFORE:]
    ends = [each.returned if each.returned is not None else each.gone for each in called]
    still_open = [
        each for each, end in zip(called, ends, strict=True) if (end or until + 1) > until
    ]
    shown = sorted({*last, *still_open}, key=lambda each: each.called)
    lines = [f"nothing explains {operation}", "before it the state could be:"]
    lines += [f"  {each.state}" for each in list(configurations)[:5]]
    lines += ["operations open at its return, and the last before it:", *(f"  {o}" for o in shown)]
    return "\n".join(lines)
