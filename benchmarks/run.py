"""The figures of the queue and of its alternatives, as ratios measured in one run.

    python benchmarks/run.py [--dir DIR] [--rounds 5] [--only NAME ...] [--quick]
                             [--peers NAME ...] [--free-threaded PYTHON]
                             [--json FILE] [--chart FILE]

DIR should be on a journaled local file system (ext4, xfs) or tmpfs; its type is printed. Every
figure is the median of interleaved rounds after one warm-up. Peers that are not installed, or whose
server is missing, are left out, with the reason.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import free_threading
import system
import table
from actors import ActorFailed
from attrs import evolve
from figures import Figures
from measuring import Run
from peers import servers
from peers.peer import Kind
from registry import KINDS
from suites import backlog, killed, reading, throughput, upkeep, verbs, waking
from targets import verdicts

SUITES: Final[dict[str, Callable[[Run], None]]] = {
    "process": throughput.process,
    "power": throughput.power,
    "batch": throughput.batch,
    "processes": throughput.processes,
    "contending": throughput.contending,
    "crowds": throughput.crowds,
    "backlog": backlog.backlog,
    "million": backlog.million,
    "waking": waking.waking,
    "killed": killed.killed,
    "rescue": killed.rescue,
    "verbs": verbs.verbs,
    "reading": reading.reading,
    "faults": upkeep.faults,
}
OURS: Final = ("bare", "ours", "bare-fsync", "ours-fsync", "ours-journal", "ours-watch")
QUICK: Final = {"rounds": 1, "scale": 0.1, "watch": 5.0}
"""For a quick look: a tenth of the jobs, once, which is too few to quote a figure."""


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", default=tempfile.gettempdir(), help="where to measure")
    parser.add_argument("--rounds", type=int, help="after one that warms up (5; quick: 1)")
    parser.add_argument("--only", nargs="+", choices=SUITES, default=list(SUITES))
    parser.add_argument("--quick", action="store_true", help="a look, in under two minutes")
    peers = [*KINDS, "none"]
    parser.add_argument("--peers", nargs="+", choices=peers, help="besides our own; default: all")
    free = "a free-threaded Python with this library and its peers, to measure their threads there"
    parser.add_argument("--free-threaded", type=Path, metavar="PYTHON", help=free)
    parser.add_argument("--json", type=Path, help="write the figures there")
    chart = "draw a picture there, .svg or .png (default: an .svg beside the JSON)"
    parser.add_argument("--chart", type=Path, help=chart)
    options = parser.parse_args(arguments)
    if options.json and not options.chart:
        options.chart = options.json.with_suffix(".svg")
    return options


def measure(options: argparse.Namespace, **settings: Any) -> tuple[dict[str, Any], Figures]:
    """Run the suites asked for; `settings` replace those of `Run`."""
    absent: dict[str, str] = {}
    kinds = _kinds(options.peers, absent)
    other: dict[str, str] = {}
    if options.free_threaded:
        other["free-threaded Python"] = free_threading.version_of(options.free_threaded)
        kinds += free_threading.twins(kinds, options.free_threaded)
    figures = Figures(lambda text: print(text, flush=True))
    parent = Path(tempfile.mkdtemp(prefix="bench-", dir=options.dir))
    parent.chmod(0o711)  # PostgreSQL runs as another user
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, parent, ignore_errors=True)
        versions: dict[str, str] = {}
        if any(kind.missing in _BY_SERVER for kind in kinds):
            versions = stack.enter_context(servers.running(parent))
        described = system.described(parent, kinds, other | versions)
        print(table.head(described), flush=True)
        run = Run(place=parent, rounds=options.rounds or 5, kinds=kinds, figures=figures)
        if options.quick:
            print("a quick look: a tenth of the jobs that are named", flush=True)
            run = evolve(run, **(QUICK | ({"rounds": options.rounds} if options.rounds else {})))
        run = evolve(run, **settings)
        data = {
            "system": described,
            "rounds": run.rounds,
            "quick": bool(options.quick),
            "kinds": {
                kind.name: {
                    "label": kind.label,
                    "twin_of": kind.twin_of,
                    "durability": kind.durability,
                    "jobs": run.jobs(kind.jobs),
                    "lists": kind.lists,
                    "counts": kind.counts,
                }
                for kind in kinds
            },
            "absent": absent,
        }
        took: dict[str, int] = {}
        for name in options.only:
            begun = time.monotonic()
            try:
                SUITES[name](run)
            except (ActorFailed, OSError) as error:  # a full disk, for example: the others go on
                absent[f"suite {name}"] = f"{type(error).__name__}: {error}"
            took[name] = round(time.monotonic() - begun)
            print(f"{name}: {took[name]} s", flush=True)
            data["seconds"] = took
            data |= {"figures": figures.as_data(), "targets": verdicts(figures)}
            if options.json:  # so far: a long run may be cut off
                options.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return data, figures


_BY_SERVER: Final = (servers.why_no_redis, servers.why_no_postgres)


def _kinds(peers: list[str] | None, absent: dict[str, str]) -> list[Kind]:
    """The kinds that were asked for and can be measured; notes why others cannot."""
    kinds = []
    for kind in KINDS.values():
        if peers is not None and kind.name not in (*OURS, *peers):
            continue
        why = kind.why_missing()
        if why:
            absent[kind.label] = why
        else:
            kinds.append(kind)
    return kinds


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    # If it is ended from outside, the run still stops its servers and removes its files.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit("ended"))
    data, figures = measure(options)
    for line in table.lines(data, figures):
        print(line)
    if options.json:
        print(f"figures: {options.json.resolve()}")
    if options.chart:
        _picture(data, figures, options.chart)


def _picture(data: dict[str, Any], figures: Figures, path: Path) -> None:
    """Draw it, and say where, or why not: the figures are what a run was made for."""
    try:
        from chart import draw

        is_drawn = draw(data, figures, path)
    except ImportError as error:
        print(f"no picture: {error}")
    else:
        print(f"picture: {path.resolve()}" if is_drawn else "no picture: nothing that it shows")


if __name__ == "__main__":
    main()
