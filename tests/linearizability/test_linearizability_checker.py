"""The checker of histories: it accepts what a sequential job could have answered, and only that."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linearizability.checker import NotLinearizable, Operation, check
from linearizability.clients import ENDS, IDS, Client
from linearizability.histories import histories
from linearizability.one_job import OneJob
from proofs.witness import Line, Notebook

from semiont_jobs import MemoryStore

pytestmark = pytest.mark.proof

# -- the search, over the simplest object there is ---------------------------------------


class Register:
    """A number that can be written and read."""

    initial = 0

    def step(self, state: int, operation: Operation) -> Iterable[int]:
        if operation.name == "write":
            yield operation.given
        elif operation.returned is None or operation.answer == state:
            yield state

    def alone(self, state: int) -> Iterable[int]:
        return ()


def is_accepted(history: Sequence[Operation], model: Any) -> bool:
    try:
        check(history, model)
    except NotLinearizable:
        return False
    return True


def has_an_order(history: Sequence[Operation], model: Any) -> bool:
    """The definition, letter by letter: some order of all that returned and some that did not,
    in which nothing comes before what had returned before it was called, explains it."""
    returned = [each for each in history if each.returned is not None]
    lost = [each for each in history if each.returned is None]
    return any(
        _explains(order, model)
        for count in range(len(lost) + 1)
        for some in itertools.combinations(lost, count)
        for order in itertools.permutations([*returned, *some])
        if not any(
            after.returned is not None and after.returned < before.called
            for before, after in itertools.combinations(order, 2)
        )
    )


def _explains(order: Iterable[Operation], model: Any) -> bool:
    states = [model.initial]
    for operation in order:
        states = [after for state in states for after in model.step(state, operation)]
    return bool(states)


@st.composite
def register_histories(draw: st.DrawFn) -> list[Operation]:
    """Up to five overlapping operations with whatever answers; some never returned."""
    history = []
    for number in range(draw(st.integers(1, 5))):
        called = draw(st.integers(0, 12))
        returned = draw(st.none() | st.integers(called + 1, 14))
        name = draw(st.sampled_from(["read", "write"]))
        value = draw(st.integers(0, 2))
        # Distinct instants, as real ones are.
        end = None if returned is None else returned * 10 + number
        history.append(Operation("c", name, called * 10 + number, end, value, value))
    return history


@given(register_histories())
def test_the_search_agrees_with_the_definition(history: list[Operation]) -> None:
    assert has_an_order(history, Register()) == is_accepted(history, Register())


def test_a_read_may_see_a_write_that_never_returned_but_no_read_after_it_may_not() -> None:
    lost = Operation("a", "write", 0, None, 1)
    old, new = Operation("b", "read", 10, 20, answer=0), Operation("b", "read", 30, 40, answer=1)
    late = Operation("b", "read", 50, 60, answer=0)

    assert is_accepted([lost, old, new], Register())
    assert not is_accepted([lost, old, new, late], Register())


def test_what_died_before_an_operation_began_takes_no_effect_after_it() -> None:
    lost = Operation("a", "write", 0, None, 1, gone=25)
    old, new = Operation("b", "read", 30, 40, answer=0), Operation("b", "read", 50, 60, answer=1)

    assert is_accepted([lost, new], Register())
    assert not is_accepted([lost, old, new], Register())


# -- sequential histories of the real thing ----------------------------------------------

DEEDS = (
    *(("create", id_) for id_ in IDS),
    *((verb, id_) for verb in ("get", "cancel", "retry", "update") for id_ in IDS),
    *((verb, "") for verb in ("take", "clean", "rescue")),
    *((verb, "hold") for verb in ("checkpoint", "look", *ENDS)),
)


def played(deeds: Iterable[tuple[str, str, str]]) -> list[Line]:
    """What two clients saw who did these things, one at a time, on one store."""
    store, note = MemoryStore(), Notebook()
    clients = {who: Client(store, note, f"{who}/") for who in ("x", "y")}
    for who, verb, id_ in deeds:
        client = clients[who]
        if id_ == "hold":
            if client.claim is not None:
                client.hold(verb)
        else:
            getattr(client, verb)(*([id_] if id_ else []))
    return note.lines


DAYS = st.lists(
    st.tuples(st.sampled_from("xy"), st.sampled_from(DEEDS)).map(lambda deed: (deed[0], *deed[1])),
    max_size=40,
)


@given(DAYS)
def test_what_happens_one_at_a_time_is_always_accepted(deeds: list[tuple[str, str, str]]) -> None:
    for history in histories(played(deeds), IDS).values():
        check(history, OneJob())


@given(DAYS, st.randoms(use_true_random=False))
def test_a_history_whose_operations_take_longer_is_accepted_too(
    deeds: list[tuple[str, str, str]], chance: Any
) -> None:
    for history in histories(played(deeds), IDS).values():
        longer = [
            Operation(
                each.who,
                each.name,
                each.called - chance.randrange(4),
                None if each.returned is None else each.returned + chance.randrange(4),
                each.given,
                each.answer,
            )
            for each in history
        ]
        check(longer, OneJob())


FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a revision that is missing": lambda job: job.update(revision=job["revision"] + 1),
    "another creator": lambda job: job.update(maker="nobody"),
    "a retry too many": lambda job: job.update(retries=job["retries"] + 1),
    "an attempt too few": lambda job: job.update(attempts=job["attempts"] - 1),
    "a unit nobody did": lambda job: job.update(units=[*job["units"], "9"]),
    "another status": lambda job: job.update(
        status="failed" if job["status"] != "failed" else "complete"
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
@settings(max_examples=40)
@given(deeds=DAYS, data=st.data())
def test_one_forged_answer_makes_a_history_inexplicable(
    forgery: str, deeds: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    before = [("x", "create", "a"), ("x", "take", ""), ("x", "checkpoint", "hold")]
    lines = played([*before, *deeds, ("y", "get", "a")])
    history = histories(lines, ["a"])["a"]
    shown = [o for o in history if isinstance(o.answer, dict) and o.answer.get("job")]
    forged = data.draw(st.sampled_from(shown)).answer["job"]
    check(history, OneJob())

    FORGERIES[forgery](forged)

    with pytest.raises(NotLinearizable):
        check(history, OneJob())
