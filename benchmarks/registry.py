"""All kinds of queues that can be measured, in the order of the tables.

It must not import their packages: each does so when it is opened.
"""

from __future__ import annotations

from typing import Final

from peers import dirqs, hueys, npms, ours, postgresqls, procrastinates, rqs, sqlites
from peers.peer import Kind

KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for family in (ours, hueys, sqlites, dirqs, npms, rqs, postgresqls, procrastinates)
    for kind in family.KINDS
}
