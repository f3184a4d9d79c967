"""The pictures of the architecture show what the code imports and what a real run calls."""

from __future__ import annotations

import ast
import importlib
import re
import sys
import threading
from collections.abc import Iterator
from functools import cache, reduce
from itertools import pairwise
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from semiont_jobs import JobQueue

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


@cache
def extension(name: str) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs" / "_ext"))
        return importlib.import_module(name)


rooms = extension("rooms")
run = extension("job_run")
way = extension("job_way")


draw = extension("module_diagram").draw


@cache
def drawing(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(extension(name).draw())


# -- the modules -------------------------------------------------------------------------


@cache
def imported() -> dict[str, frozenset[str]]:
    """What each module imports of the library, read from its source: a picture drawn from the
    import linter's graph must not be its own oracle."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / "semiont_jobs").rglob("*.py")
        if path.parent.name != "plugin"
    }
    found = {}
    for name, path in names.items():
        own: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                own |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                own |= {f"{node.module}.{each.name}" for each in node.names}
                own.add(str(node.module))
        # `from semiont_jobs import lifecycle` imports the one; of what comes from a module
        # with its name alone, nothing.
        found[name] = frozenset((own & names.keys()) - {"semiont_jobs"})
    return found


def between_rooms() -> set[tuple[str, str]]:
    pairs = {
        (rooms.home_of(module), rooms.home_of(other))
        for module, others in imported().items()
        if module != "semiont_jobs"
        for other in others
    }
    return {(room, other) for room, other in pairs if room != other}


def drawn_arrows() -> set[tuple[str, str]]:
    drawn = rooms.arrows(rooms.needs(extension("layers").imports()))
    return {(room, other) for room, others in drawn.items() for other in others}


def test_every_layer_of_the_contract_is_in_one_room() -> None:
    told = [name for room in rooms.ROOMS.values() for name in room.modules if "." not in name]

    assert sorted(told) == sorted(name for layer in extension("layers").layers() for name in layer)


def test_every_arrow_is_an_import() -> None:
    assert drawn_arrows() <= between_rooms()


def test_every_import_is_at_the_end_of_a_path_of_arrows() -> None:
    paths = drawn_arrows()
    for _step in rooms.ROOMS:
        paths |= {(a, d) for a, b in paths for c, d in paths if b == c}

    assert between_rooms() <= paths


def test_an_arrow_is_drawn_for_each_least_import_and_no_other() -> None:
    lines = drawing("module_diagram").findall(f"{SVG}path")

    assert len(lines) == len(drawn_arrows())


def test_a_module_that_nobody_gave_a_room_is_an_error() -> None:
    with pytest.raises(KeyError):
        draw({**imported(), "semiont_jobs.utils": frozenset()})


def test_rooms_that_import_each_other_are_an_error() -> None:
    with pytest.raises(ValueError, match="imports itself"):
        draw({**imported(), "semiont_jobs.errors": frozenset({"semiont_jobs.queue"})})


class Rect(NamedTuple):
    left: float
    top: float
    width: float
    height: float

    def is_entered(self, x: float, top: float, foot: float) -> bool:
        """Whether an upright line comes into it."""
        beside = not self.left < x < self.left + self.width
        return not beside and top < self.top + self.height and foot > self.top


def boxes(svg: ElementTree.Element) -> list[Rect]:
    return [
        Rect(*(float(each.get(side, 0)) for side in ("x", "y", "width", "height")))
        for each in svg.findall(f"{SVG}rect")[1:]  # after the ground
    ]


def test_arrows_lead_down_and_through_no_box() -> None:
    svg = drawing("module_diagram")
    rows = {(box.top, box.top + box.height) for box in boxes(svg)}
    for line in svg.findall(f"{SVG}path"):
        (first, *steps) = re.findall(r"([MCV])([^MCV]*)", line.get("d", ""))
        x, y = map(float, first[1].split())
        for kind, numbers in steps:
            *before, to_y = map(float, numbers.split())
            assert to_y > y
            if kind == "V":
                assert not any(box.is_entered(x, y, to_y) for box in boxes(svg))
            else:
                # A bend leads to the side, so it must lie between two rows.
                assert not any(y < top + 1 < to_y or y < foot < to_y for top, foot in rows)
                x = before[-1]
            y = to_y


# -- a job's way -------------------------------------------------------------------------


@cache
def stations() -> list[Any]:
    calls = run.run()
    return [stop for phase, part in way.parts(calls) for stop in way.stops(phase, part)]


def callers() -> Iterator[tuple[str, str]]:
    """Each station with the one that it stands below and is joined to by a whole line."""
    above: list[str] = []
    for stop in stations():
        above = [*above[: stop.depth], stop.name]
        if stop.depth and stop.is_direct:
            yield above[-2], stop.name


@pytest.mark.parametrize(
    "name", sorted({name for phase in way.WAY for name in phase.stations} - {run.WORK})
)
def test_a_station_is_a_function_of_the_library(name: str) -> None:
    module = "semiont_jobs"
    rest = name.split(".")
    while rest and rest[0].islower() and f"{module}.{rest[0]}" in imported():
        module += f".{rest.pop(0)}"

    assert callable(reduce(getattr, rest, importlib.import_module(module)))


def test_a_station_is_called_by_the_one_it_stands_below(tmp_path: Path) -> None:
    made: set[tuple[str, str]] = set()

    def name(frame: FrameType | None) -> str:
        if frame is None:
            return ""
        module, function = frame.f_globals.get("__name__", ""), frame.f_code.co_qualname
        own = module.startswith("semiont_jobs.")
        return f"{module.removeprefix('semiont_jobs.')}.{function}" if own else function

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            made.add((name(frame.f_back), name(frame)))

    with JobQueue(tmp_path) as queue:
        threading.setprofile(note)
        sys.setprofile(note)
        try:
            queue.enqueue({"name": "Ada"}, type="greet", id="j")
            with run.Greeter(queue):
                queue.wait_for("j", timeout=60)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    assert len(list(callers())) > 15
    assert set(callers()) <= made


def test_every_station_is_drawn_in_the_order_of_the_run() -> None:
    texts = [each.text for each in drawing("job_way_diagram").findall(f"{SVG}text")]

    names = {stop.name for stop in stations()}

    assert [text for text in texts if text in names] == [stop.name for stop in stations()]


def test_the_new_copy_of_the_job_stands_before_the_old_one_goes() -> None:
    assert [stop.moved for stop in stations() if stop.moved] == [
        ((), ("pending",)),
        (("pending",), ("pending", "running")),
        (("pending", "running"), ("running",)),
        (("running",), ("running", "complete")),
        (("running", "complete"), ("complete",)),
    ]


def test_a_station_that_the_run_did_not_come_to_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"JobQueue\.retry_job"):
        way.stops(way.Phase("", {"by_hand.JobQueue.retry_job": ""}), run.run())


def test_a_phase_that_the_run_did_not_come_to_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"Creating\.enqueue"):
        list(way.parts([]))


# -- both --------------------------------------------------------------------------------


def width(text: ElementTree.Element) -> float:
    """About what it takes, in a wide font."""
    size = float(text.get("font-size", 13))
    letter = 0.62 if "monospace" in text.get("font-family", "") else 0.55
    return size * letter * len(text.text or "") + sum(
        float(part.get("font-size", 13)) * 0.6 * len(part.text or "") + float(part.get("dx", 0))
        for part in text
    )


@pytest.mark.parametrize("name", ["module_diagram", "job_way_diagram"])
def test_no_text_runs_out_of_its_box_or_into_another(name: str) -> None:
    svg = drawing(name)
    spans = []
    for text in svg.findall(f"{SVG}text"):
        x, y = float(text.get("x", 0)), float(text.get("y", 0))
        left = x - width(text) if text.get("text-anchor") == "end" else x
        spans.append((y, left, left + width(text)))
        for box in boxes(svg):
            if box.left < x < box.left + box.width and box.top < y < box.top + box.height:
                assert left + width(text) <= box.left + box.width
    spans.sort()

    assert [a for a, b in pairwise(spans) if a[0] == b[0] and a[2] > b[1]] == []
    assert max(right for _y, _left, right in spans) <= 900


@pytest.mark.parametrize("name", ["module_diagram", "job_way_diagram"])
def test_a_picture_stands_on_a_ground_of_its_own(name: str) -> None:
    svg = drawing(name)

    ground = svg.find(f"{SVG}rect")

    assert ground is not None
    assert (ground.get("fill"), ground.get("width")) == ("#ffffff", "900")
    assert svg.get("viewBox") == f"0 0 900 {ground.get('height')}"
