"""The kit finds what is wrong: backends with one fault each."""

from __future__ import annotations

import unittest
from typing import Any

import pytest
from in_django.faulty import FAULTS
from in_django.shapes import InMemory, OnFiles

from semiont_jobs.testing.django import BackendConformanceMixin


def outcome_of(kit: type[Any], names: list[str]) -> unittest.TestResult:
    result = unittest.TestResult()
    unittest.TestSuite(kit(name) for name in names).run(result)
    return result


def names_of(tests: list[Any]) -> set[str]:
    return {test.id().rpartition(".")[2] for test, _how in tests}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_kit_finds(fault: str) -> None:
    class Faulty(InMemory, BackendConformanceMixin, unittest.TestCase):
        BACKEND = f"in_django.faulty.{fault}"

    asked = [f"test_{name}" for name in FAULTS[fault].found_by]  # type: ignore[attr-defined]

    result = outcome_of(Faulty, asked)

    assert names_of(result.failures) | names_of(result.errors) == set(asked)


def test_nothing_is_left_out_for_a_backend_that_supports_everything() -> None:
    class Whole(OnFiles, BackendConformanceMixin, unittest.TestCase):
        pass

    names = unittest.defaultTestLoader.getTestCaseNames(Whole)
    result = outcome_of(Whole, list(names))

    assert result.testsRun == len(names) > 80
    assert (result.skipped, result.failures, result.errors) == ([], [], [])


def test_what_a_backend_does_not_support_is_left_out() -> None:
    class Modest(InMemory, BackendConformanceMixin, unittest.TestCase):
        BACKEND = "in_django.faulty.Modest"

    asked = ["test_a_task_is_not_run_before_its_time", "test_a_result_can_be_had_again"]
    result = outcome_of(Modest, [*asked, "test_an_unknown_id_is_said_not_to_exist"])

    assert sorted(reason for _test, reason in result.skipped) == [
        "Modest.supports_defer is False",
        "Modest.supports_get_result is False",
        "Modest.supports_get_result is False",
    ]
