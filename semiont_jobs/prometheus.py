"""A queue's figures in Prometheus' text format.

It must not know where figures come from, nor how they get to Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Literal, TypeAlias

from semiont_jobs.metrics import BOUNDS, Histogram, ProcessMetrics, QueueMetrics, StoredMetrics
from semiont_jobs.model import STATUSES

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The content type of an HTTP response with this text."""

Labels: TypeAlias = dict[str, str]
Kind: TypeAlias = Literal["gauge", "counter", "histogram"]

_STORED: Final[tuple[tuple[str, str, Callable[[StoredMetrics], float]], ...]] = (
    ("due_jobs", "Pending jobs that could be claimed now.", lambda one: one.due),
    (
        "oldest_due_age_seconds",
        "For how long the first of the due jobs has waited; 0 if none waits.",
        lambda one: one.oldest_due_age,
    ),
    (
        "stored_retries",
        "Attempts of the stored jobs that failed and were tried again.",
        lambda one: one.retries,
    ),
    (
        "stored_rescues",
        "Attempts of the stored jobs that ended with the death of their worker.",
        lambda one: one.rescues,
    ),
)

_COUNTED: Final[tuple[tuple[str, str, Callable[[ProcessMetrics], float]], ...]] = (
    ("created", "Jobs created by this process.", lambda one: one.events.get("created", 0)),
    ("claims", "Jobs claimed by this process.", lambda one: one.events.get("claimed", 0)),
    ("completed", "Jobs completed by this process.", lambda one: one.events.get("completed", 0)),
    ("failures", "Jobs given up by this process.", lambda one: one.failures),
    (
        "retries",
        "Attempts that failed in this process and are tried again.",
        lambda one: one.retries,
    ),
    ("rescues", "Jobs of dead workers taken back by this process.", lambda one: one.rescues),
    ("cancelled", "Jobs cancelled by this process.", lambda one: one.events.get("cancelled", 0)),
    ("snoozed", "Jobs snoozed by their work.", lambda one: one.events.get("snoozed", 0)),
    ("released", "Jobs given back without an attempt.", lambda one: one.events.get("released", 0)),
    ("retried", "Jobs retried by hand in this process.", lambda one: one.events.get("retried", 0)),
    ("removed", "Finished jobs removed by this process.", lambda one: one.events.get("removed", 0)),
)


def prometheus_text(metrics: QueueMetrics) -> str:
    """Return the figures in Prometheus' format: serve them as `CONTENT_TYPE`, or write a file.

    Names that begin with ``semiont_jobs_stored_`` are of what is stored, so they fall when jobs are
    removed: none of them is a counter. Those that end in ``_total`` are of what this process did; a
    process that only reads has none.
    """
    return "".join(f"{line}\n" for line in _lines(metrics))


def _lines(metrics: QueueMetrics) -> Iterator[str]:
    stored, process = metrics.stored, metrics.process
    yield from _family(
        "stored_jobs",
        "gauge",
        "Stored jobs by status.",
        (
            ({**_labels(one), "status": status}, one.jobs[status])
            for one in stored
            for status in STATUSES
        ),
    )
    for name, text, value in _STORED:
        yield from _family(name, "gauge", text, ((_labels(one), value(one)) for one in stored))
    yield from _family(
        "unreadable_entries",
        "gauge",
        "Entries that are no jobs and were not set aside yet.",
        [({}, metrics.unreadable)],
    )
    yield from _histograms(
        "stored_wait_seconds",
        "Of stored finished jobs: from due to the beginning of the last attempt.",
        ((one, one.wait) for one in stored),
    )
    yield from _histograms(
        "stored_run_seconds",
        "Of stored finished jobs: how long the last attempt took.",
        ((one, one.run) for one in stored),
    )
    if not process:
        return
    yield from _family(
        "in_flight_jobs",
        "gauge",
        "Jobs that this process works on.",
        ((_labels(one), one.in_flight) for one in process),
    )
    for name, text, count in _COUNTED:
        samples = ((_labels(one), count(one)) for one in process)
        yield from _family(f"{name}_total", "counter", text, samples)
    yield from _histograms(
        "wait_seconds",
        "From due to the claim, of jobs claimed by this process.",
        ((one, one.wait) for one in process),
    )
    yield from _histograms(
        "run_seconds",
        "How long attempts took in this process.",
        ((one, one.run) for one in process),
    )


def _labels(one: StoredMetrics | ProcessMetrics) -> Labels:
    return {"type": one.type, "queue": one.queue}


def _heading(name: str, kind: Kind, text: str) -> Iterator[str]:
    yield f"# HELP semiont_jobs_{name} {text}"
    yield f"# TYPE semiont_jobs_{name} {kind}"


def _family(
    name: str, kind: Kind, text: str, samples: Iterable[tuple[Labels, float]]
) -> Iterator[str]:
    yield from _heading(name, kind, text)
    for labels, value in samples:
        yield _sample(name, labels, value)


def _histograms(name: str, text: str, samples: Iterable[tuple[Any, Histogram]]) -> Iterator[str]:
    yield from _heading(name, "histogram", text)
    for one, histogram in samples:
        labels = _labels(one)
        for bound, count in zip(BOUNDS, histogram.counts, strict=True):
            yield _sample(f"{name}_bucket", {**labels, "le": repr(bound)}, count)
        yield _sample(f"{name}_bucket", {**labels, "le": "+Inf"}, histogram.count)
        yield _sample(f"{name}_sum", labels, histogram.sum)
        yield _sample(f"{name}_count", labels, histogram.count)


def _sample(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"semiont_jobs_{name}{{{inside}}} {value}" if inside else f"semiont_jobs_{name} {value}"


def _escaped(text: str) -> str:
    # In addition to what the format requires: a lone surrogate, which another program may have
    # written, has no UTF-8 form.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
