"""Who meets whom: where the job stands, and what each actor does to it.

It must not know in which orders their steps come, or the laws.
"""

from __future__ import annotations

import itertools

READERS = ("get", "list", "count")
ACTS = {
    "none": ("create", "create many", "cancel", "claim", "get"),
    "pending": (
        "claim", "cancel", "create", "retry", "rescue", "clean", "get", "list", "count",
    ),
    "orphan": (
        "rescue", "cancel", "claim", "create", "retry", "clean", "get", "list", "count",
    ),
    "complete": ("clean", "cancel", "create", "retry", "get", "list"),
    "failed": (
        "retry", "clean", "cancel", "claim", "create", "rescue", "get", "list", "count",
    ),
    "cancelled": ("retry", "clean", "cancel", "create", "get"),
}  # fmt: skip
"""Who meets whom: everything that may be done to a job that stands so."""
HELD = ("complete", "fail", "give up", "release", "checkpoint", "report")
BESIDE = ("cancel", "rescue", "create", "retry", "claim", "clean", "get", "list", "count")
"""What the holder of a running job does, and others meanwhile."""
AT_WORK = {
    "pending": ("work", "claim", "cancel", "create", "retry", "rescue", "clean", *READERS),
    "orphan": ("rescue", "cancel", *READERS),
}
"""Whom a worker meets that puts off the end of all older copies."""
CUT = {
    "claim cut": ("rescue", "claim", "cancel", "get"),
    "cancel cut": ("claim", "cancel", "retry", "clean", "get"),
    "complete cut": ("rescue", "cancel", "clean", "retry", "create", "get"),
    "fail cut": ("rescue", "claim", "cancel", "get", "list"),
    "give up cut": ("rescue", "retry", "clean", "get"),
    "retry cut": ("claim", "cancel", "retry", "clean", "get"),
}
"""Who comes upon two copies that a dead mover left."""
DEAR = {
    "none": {
        "create many/claim": 1273,
        "create/claim": 1273,
    },
    "pending": {
        "cancel/retry": 1302,
        "claim/claim": 2537,
        "claim/cancel": 2654,
        "cancel/cancel": 2914,
    },
    "orphan": {
        "rescue/claim": 1294,
        "rescue/retry": 1387,
        "cancel/retry": 1671,
        "rescue/cancel": 10_449,
        "cancel/cancel": 14_911,
    },
    "failed": {
        "retry/claim": 1287,
        "retry/cancel": 1961,
        "retry/retry": 4246,
    },
    "cancelled": {
        "retry/cancel": 1969,
        "retry/retry": 4246,
    },
    "claim cut": {
        "cancel/get": 567,
        "rescue/claim": 10_132,
        "rescue/cancel": 27_832,
        "cancel/cancel": 138_686,
    },
    "cancel cut": {
        "retry/clean": 601,
        "cancel/retry": 4445,
        "claim/retry": 9853,
        "retry/retry": 10_858,
    },
    "fail cut": {
        "cancel/get": 567,
        "claim/claim": 2669,
        "claim/cancel": 3243,
        "cancel/cancel": 6613,
    },
    "give up cut": {
        "retry/get": 567,
        "retry/retry": 19_644,
    },
    "retry cut": {
        "cancel/get": 567,
        "claim/get": 567,
        "claim/retry": 722,
        "cancel/clean": 1649,
        "cancel/retry": 2315,
        "claim/claim": 2691,
        "claim/cancel": 4161,
        "cancel/cancel": 6613,
    },
    "running": {
        "report/cancel": 529,
        "complete/retry": 592,
        "give up/retry": 1614,
        "fail/retry": 1631,
        "release/retry": 1631,
        "complete/cancel": 2477,
        "give up/cancel": 2477,
        "fail/claim": 3457,
        "release/claim": 3457,
        "fail/cancel": 3525,
        "release/cancel": 3525,
    },
}
"""Pairs of which more than 400 schedules differ: how many it took to see every state once. Their
actors come back for another look, and in the suite switch at most twice. Each was explored to the
end, without a limit, and broke no law."""


def pairs() -> list[tuple[str, str, str]]:
    met = [
        (start, *pair)
        for start, acts in (*ACTS.items(), *CUT.items())
        for pair in itertools.combinations_with_replacement(acts, 2)
    ]
    met += [(start, "work", other) for start, others in AT_WORK.items() for other in others]
    met += [("running", *pair) for pair in itertools.product(HELD, BESIDE)]
    return [each for each in met if not (each[1] in READERS and each[2] in READERS)]


PAIRS = pairs()
MORTAL_PAIRS = [each for each in PAIRS if not {"list", "count"} & set(each)]
"""A list tells of a dead mover's copies what `get` tells."""


TRIPLES = [
    (start, one, *others)
    for start, ones, beside in (
        ("none", ("create",), ("create", "claim", "cancel", "get")),
        ("pending", ("claim",), ("claim", "cancel", "create", "get")),
        ("running", ("fail", "give up", "release"), ("cancel", "retry", "claim", "clean")),
        ("orphan", ("rescue",), ("rescue", "cancel", "claim", "retry")),
        ("failed", ("retry",), ("retry", "cancel", "claim", "clean")),
        ("fail cut", ("claim",), ("claim", "rescue", "cancel", "get")),
    )
    for one in ones
    for others in itertools.combinations(beside, 2)
]
"""Who moves a job, and what two others do meanwhile of which each is at odds with it."""


LONGER: list[tuple[str, tuple[tuple[str, ...], ...]]] = [
    ("none", (("create", "claim", "fail", "claim", "complete"), ("create", "get", "cancel"), ("claim", "fail", "rescue"))),
    ("none", (("create", "cancel", "retry", "claim"), ("create many", "clean"), ("get", "get", "get"))),
    ("pending", (("claim", "checkpoint", "release", "claim", "complete"), ("claim", "give up", "retry"), ("cancel", "get", "list"))),
    ("running", (("checkpoint", "fail", "claim", "complete"), ("rescue", "claim", "fail"), ("cancel", "retry", "cancel"))),
    ("running", (("report", "give up", "retry", "claim"), ("cancel", "retry", "clean"), ("create", "get", "get"))),
    ("orphan", (("rescue", "claim", "complete"), ("rescue", "claim", "fail"), ("cancel", "retry"))),
    ("failed", (("retry", "claim", "complete"), ("retry", "claim", "give up"), ("clean", "create"))),
    ("fail cut", (("claim", "complete"), ("rescue", "claim", "fail"), ("cancel", "retry"))),
    ("complete cut", (("rescue", "claim"), ("clean", "create", "claim"), ("cancel", "get"))),
    ("retry cut", (("claim", "give up", "retry"), ("clean", "create"), ("cancel", "rescue"))),
]  # fmt: skip
