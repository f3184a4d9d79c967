"""Ctrl-C in a program that goes on, as an interactive session does: wherever it strikes a verb, no
job stays held by nobody, none is lost, and the same queue goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from files.interrupted import VERBS, interrupt_everywhere

from semiont_jobs.stores.files.forcing import DURABILITIES, Durability

pytestmark = [
    pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are not listed"),
    # One that is dropped before its `with` began is closed all the same.
    pytest.mark.filterwarnings("ignore:unclosed scandir iterator:ResourceWarning"),
]


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("verb", VERBS)
def test_an_interrupt_at_some_places_leaves_nothing_held(
    tmp_path: Path, verb: str, durability: Durability
) -> None:
    first = (list(VERBS).index(verb) + DURABILITIES.index(durability)) % 11
    strikes, faults = interrupt_everywhere(tmp_path, verb, durability, first=first, stride=11)

    assert faults == []
    assert strikes > 10


@pytest.mark.soak
@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("verb", VERBS)
def test_an_interrupt_at_any_place_leaves_nothing_held(
    tmp_path: Path, verb: str, durability: Durability
) -> None:
    strikes, faults = interrupt_everywhere(tmp_path, verb, durability)

    assert faults == []
    assert strikes > 150
