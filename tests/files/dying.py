"""A process that dies at a step, as its caller sees it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from files.disks import Died


def dies(call: Callable[[], object]) -> None:
    with pytest.raises(Died):
        call()
