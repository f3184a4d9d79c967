"""The measured queues: one module per family behind the protocol in `peer`.

`KINDS` has them all, in the order of the tables. Importing this imports none of their packages.
"""

from __future__ import annotations

from typing import Final

from peers import dirqs, hueys, npms, ours, procrastinates, rqs, sqlites
from peers.peer import Kind

KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for family in (ours, hueys, sqlites, dirqs, npms, rqs, procrastinates)
    for kind in family.KINDS
}
