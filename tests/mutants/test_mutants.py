"""The catalogue of faults keeps up with the code, and a trial tells what happened.

Whether the faults are found is for `tox -e mutants`, which takes minutes.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from mutants.catalogue import FAULTS
from mutants.fault import Fault
from mutants.finding import ROOT, NoSuchTest, node_id
from mutants.trial import Result, judged, name_in_report, unfit

FEWEST = 40
TESTS = ("tests/test_x.py::test_a", "tests/test_x.py::TestB::test_b")


@cache
def text_of(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


@cache
def names_in(path: str) -> frozenset[str]:
    """The functions and classes that a file defines, classes' own among them."""
    tree = ast.parse(text_of(path))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
    )


@cache
def names_in_the_suite() -> frozenset[str]:
    """Those of the conformance suite, which stores' test classes extend."""
    paths = (ROOT / "semiont_jobs" / "testing").glob("*.py")
    return frozenset().union(*(names_in(str(path.relative_to(ROOT))) for path in paths))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# -- the catalogue -----------------------------------------------------------------------


def test_there_are_at_least_forty_faults_and_no_two_of_one_name() -> None:
    names = [fault.name for fault in FAULTS]

    assert len(names) >= FEWEST
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_stands_once_in_its_file_and_leaves_it_a_program(fault: Fault) -> None:
    before = text_of(fault.path)

    after = fault.applied(before)

    compile(after, fault.path, "exec")
    assert after != before


def test_the_tests_that_faults_name_are_there() -> None:
    node_ids = {node_id for fault in FAULTS for node_id in fault.node_ids}

    missing = []
    for each in node_ids:
        path, _outermost, *rest = each.partition("[")[0].split("::")
        methods = names_in(path) | names_in_the_suite()
        missing += [each for name in rest if name not in methods]

    assert all(fault.tests for fault in FAULTS)
    assert missing == []


def test_a_test_is_found_by_its_name_wherever_it_is(tmp_path: Path) -> None:
    write(tmp_path / "tests" / "some" / "test_x.py", "def test_a() -> None: ...")
    write(tmp_path / "tests" / "test_y.py", "class TestB(Suite):\n    def test_b(self): ...")

    assert node_id("test_a[some::parameter]", tmp_path) == (
        "tests/some/test_x.py::test_a[some::parameter]"
    )
    assert node_id("TestB::test_b", tmp_path) == "tests/test_y.py::TestB::test_b"


@pytest.mark.parametrize("name", ["test_twice", "test_b", "test_nowhere", "helper"])
def test_a_test_that_is_nowhere_or_in_two_places_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / "tests" / "test_x.py", "def test_twice() -> None: ...\ndef helper(): ...")
    write(tmp_path / "tests" / "test_y.py", "def test_twice() -> None: ...")
    write(tmp_path / "tests" / "test_z.py", "class TestB(Suite):\n    def test_b(self): ...")

    with pytest.raises(NoSuchTest):
        node_id(name, tmp_path)


@pytest.mark.parametrize("text", ["", "one two", "one and one"])
def test_a_fault_whose_text_does_not_stand_there_once_is_refused(text: str) -> None:
    fault = Fault(name="f", file="x.py", was="one", becomes="1", breaks="", tests=TESTS)

    if text.count("one") == 1:
        assert fault.applied(text) == "1 two"
        return
    with pytest.raises(ValueError, match="times, not once"):
        fault.applied(text)


# -- the verdict -------------------------------------------------------------------------


def test_a_fault_is_caught_when_each_of_its_tests_fails_for_some_parameter() -> None:
    cases = {
        "tests.test_x.test_a": frozenset({"failed"}),
        "tests.test_x.TestB.test_b": frozenset({"passed", "failed"}),
    }

    assert judged(Result(1, cases, 0.1), TESTS).kind == "caught"


@pytest.mark.parametrize("code", [0, 1])
def test_a_fault_that_one_of_its_tests_lets_pass_survives(code: int) -> None:
    cases = {
        "tests.test_x.test_a": frozenset({"failed"} if code else {"passed"}),
        "tests.test_x.TestB.test_b": frozenset({"passed"}),
    }

    verdict = judged(Result(code, cases, 0.1), TESTS)

    assert verdict.kind == "survived"
    assert TESTS[1] in verdict.detail
    assert not verdict.is_good


def test_a_fault_whose_tests_were_skipped_survives() -> None:
    cases = dict.fromkeys(map(name_in_report, TESTS), frozenset({"skipped"}))

    assert judged(Result(0, cases, 0.1), TESTS).kind == "survived"


def test_a_hang_finds_a_fault_and_is_told_as_such() -> None:
    verdict = judged(Result(None, {}, 180.0), TESTS)

    assert verdict.kind == "hung"
    assert verdict.is_good


@pytest.mark.parametrize("code", [2, 3, 4, 5, -9])
def test_what_cannot_be_tested_at_all_finds_no_fault(code: int) -> None:
    cases = dict.fromkeys(map(name_in_report, TESTS), frozenset({"failed"}))

    assert judged(Result(code, cases, 0.1), TESTS).kind == "unfair"


def test_a_test_that_does_not_pass_without_a_fault_proves_nothing() -> None:
    cases = {
        "tests.test_x.test_a": frozenset({"passed", "skipped"}),
        "tests.test_x.TestB.test_b": frozenset({"skipped"}),
    }

    assert unfit(Result(0, cases, 0.1), [*TESTS, "tests/test_x.py::test_c"]) == [
        TESTS[1],
        "tests/test_x.py::test_c",
    ]
