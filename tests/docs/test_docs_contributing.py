"""CONTRIBUTING names files, commands, environments and names that there are."""

from __future__ import annotations

import ast
import configparser
import importlib
import itertools
import re
import shlex
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.rst").read_text(encoding="utf-8")
LITERALS = sorted(set(re.findall(r"``([^`]+)``", TEXT)))
COMMANDS = [
    shlex.split(line, comments=True) for line in re.findall(r"^ +\$ (.*)$", TEXT, re.MULTILINE)
] + [shlex.split(literal) for literal in LITERALS if literal.startswith("tox ")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def environments() -> set[str]:
    """Those of tox.ini, with ``django{52,60}`` spelled out."""
    config = configparser.RawConfigParser()
    config.read(ROOT / "tox.ini")
    written = [section.removeprefix("testenv:") for section in config.sections()]
    written += re.findall(r"(?:[^\s,{]|\{[^}]*\})+", config["tox"]["env_list"])
    found = set()
    for name in written:
        parts = re.split(r"\{([^}]*)\}", name)
        choices = [each.split(",") if n % 2 else [each] for n, each in enumerate(parts)]
        found |= {"".join(each) for each in itertools.product(*choices)}
    return found


def is_path(literal: str) -> bool:
    return bool(re.fullmatch(r"[\w.-]+(/[\w.-]+)*", literal)) and (
        "/" in literal or literal.endswith((".toml", ".cfg", ".ini", ".rst"))
    )


@pytest.mark.parametrize("path", [each for each in LITERALS if is_path(each)])
def test_a_file_that_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def run_by_tox() -> list[tuple[list[str], list[str]]]:
    """Each command's environments, and what comes after ``--``."""
    found = []
    for command in COMMANDS:
        words = [word for word in command if "=" not in word or word.startswith("-")]
        if words[0] == "tox":
            [envs, *rest] = words[2:]
            assert words[1] == "-e"
            found.append((envs.split(","), rest[1:]))
    return found


def test_there_are_commands() -> None:
    assert len(run_by_tox()) > 10


@pytest.mark.parametrize("environment", sorted({e for envs, _rest in run_by_tox() for e in envs}))
def test_an_environment_that_is_named_is_there(environment: str) -> None:
    assert environment in environments()


@pytest.mark.parametrize("arguments", [rest for envs, rest in run_by_tox() if "bench" in envs])
def test_the_benchmark_takes_what_it_is_given(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    run = importlib.import_module("run")

    options = run.options_of(arguments)

    assert set(options.only) <= run.SUITES.keys()


@pytest.mark.parametrize(
    "path",
    sorted({word for _envs, rest in run_by_tox() for word in rest if word.startswith("tests")}),
)
def test_a_part_of_the_tests_is_there(path: str) -> None:
    assert (ROOT / path).is_dir()


def test_the_command_for_everything_is_that_of_the_readme() -> None:
    [command] = re.findall(r"^   \$ (.*-m tox)$", TEXT, re.MULTILINE)

    assert f"$ {command}\n" in (ROOT / "README.rst").read_text(encoding="utf-8")


def defined_in(path: Path) -> set[str]:
    """The names that a module defines or imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_a_name_of_the_code_is_defined() -> None:
    named = {each for each in LITERALS if re.fullmatch(r"[A-Z]+[a-zA-Z_]+", each)}

    defined = {name for path in (ROOT / "semiont_jobs").rglob("*.py") for name in defined_in(path)}

    assert len(named) > 15
    # SQL, and what a benchmark says.
    assert named - {"CHECK", "MISSED"} <= defined


@pytest.mark.parametrize(
    ("name", "path"),
    [
        *re.findall(r"``(\w+)``\s+in\s+``([\w/]+\.py)``", TEXT),
        *(
            (name, path)
            for path, name in re.findall(r"``([\w/]+\.py)``: the name in ``(\w+)``", TEXT)
        ),
    ],
)
def test_a_name_is_where_it_is_said_to_be(name: str, path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")

    assert name in defined_in(ROOT / path) or (name == "CHECK" and "CHECK (status" in text)


@pytest.mark.parametrize("name", ["proof", "scaled", "soak"])
def test_a_mark_of_tests_is_one(name: str) -> None:
    marks = PROJECT["tool"]["pytest"]["ini_options"]["markers"]

    assert name in LITERALS
    assert [mark for mark in marks if mark.startswith(f"{name}:")]


def test_a_contract_that_is_named_is_there() -> None:
    contracts = {each["name"] for each in PROJECT["tool"]["importlinter"]["contracts"]}

    named = re.findall(r'contract "([^"]*)"', TEXT)

    assert named
    assert set(named) <= contracts
