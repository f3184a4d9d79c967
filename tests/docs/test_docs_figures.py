"""The figures in the configuration page are those of the code."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from semiont_jobs import FileStore, JobQueue, JobType, JobWorker, RetryPolicy, WorkerPool

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.rst").read_text(encoding="utf-8")
UNITS = {"s": 1, "days": 24 * 3600, "MiB": 1024 * 1024, "characters": 1}


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading, without the header."""
    section = re.split(rf"^{heading}\n-+\n", PAGE, flags=re.MULTILINE)[1]
    section = re.split(r"^.+\n-{4,}\n", section, flags=re.MULTILINE)[0]
    found = re.split(r"^   \* - ", section, flags=re.MULTILINE)[2:]
    return [
        [" ".join(cell.split()) for cell in re.split(r"^     - ", row, flags=re.MULTILINE)]
        for row in found
    ]


def names(heading: str) -> set[str]:
    cells = [cell for row in rows(heading) for cell in re.findall(r"``(\w+)", row[0])]
    return set(cells)


@pytest.mark.parametrize("row", rows("Constants"), ids=lambda row: row[0].strip("`"))
def test_a_constant_has_the_value_the_page_says(row: list[str]) -> None:
    module, _dot, name = row[0].strip("`").rpartition(".")
    number, *unit = row[1].split()

    value = getattr(importlib.import_module(f"semiont_jobs.{module}"), name)

    assert value == float(number) * (UNITS[unit[0]] if unit else 1)


def options_of(callable_: Any) -> set[str]:
    signature = inspect.signature(callable_)
    return {
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name != "self"
    }


@pytest.mark.parametrize(
    ("heading", "options"),
    [
        ("JobQueue", options_of(JobQueue) | (options_of(FileStore) - {"disk"})),
        ("JobType", {field.name for field in attrs.fields(JobType)}),
        ("RetryPolicy", {field.name for field in attrs.fields(RetryPolicy)}),
        ("Jobs", options_of(JobQueue.enqueue) - {"params"}),
        (
            "JobWorker",
            options_of(JobWorker) | {"stop"} | set(JobWorker.__annotations__),
        ),
        ("WorkerPool", options_of(WorkerPool) - {"queue"}),
    ],
)
def test_the_page_has_every_option_and_no_other(heading: str, options: set[str]) -> None:
    assert names(heading) == options


@pytest.mark.parametrize(
    ("heading", "callable_"),
    [
        ("JobQueue", JobQueue),
        ("JobQueue", FileStore),
        ("Jobs", JobQueue.enqueue),
        ("JobWorker", JobWorker),
        ("WorkerPool", WorkerPool),
    ],
)
def test_a_default_that_is_a_plain_value_is_the_code_s(heading: str, callable_: Any) -> None:
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(callable_).parameters.items()
    }
    told = {row[0].strip("`"): row[1] for row in rows(heading)}
    spellings = {
        name: {
            repr(value).replace("'", '"'),
            f"0o{value:o}" if type(value) is int else "",
            f"{value} s",
        }
        for name, value in defaults.items()
        if isinstance(value, int | float | str)
    }

    wrong = {
        name: told[name]
        for name, spelled in spellings.items()
        if name in told and told[name].strip("`") not in spelled
    }

    assert wrong == {}
