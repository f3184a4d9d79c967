"""The documents of the demonstration are the interpreter's own, under ids that a job accepts."""

import re
from pydoc_data.topics import topics

import pytest

from semiont_jobs.demo.corpus import documents, resource_id, title_of, titles


def test_every_topic_of_the_interpreter_is_a_document() -> None:
    found = documents()

    assert sorted(topics.values()) == sorted(found.values())


def test_ids_fit_a_resource_id() -> None:
    unfit = [name for name in documents() if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name)]

    assert [] == unfit


@pytest.mark.parametrize(
    ("expected", "topic"),
    [
        ("raise", "raise"),
        ("string-methods", "string-methods"),
        ("a_2f_b", "a/b"),
        ("a_5f_b", "a_b"),
        ("a_20_b", "a b"),
    ],
)
def test_an_id_keeps_what_is_safe_and_escapes_the_rest(expected: str, topic: str) -> None:
    assert expected == resource_id(topic)


def test_documents_have_the_titles_that_stand_over_them() -> None:
    found = titles()

    assert 'The "raise" statement' == found["raise"]
    assert list(documents()) == list(found)
    assert [] == [name for name, title in found.items() if not title]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("Naming", "Naming\n******\n\nText.\n"),
        ("Naming", "\nNaming\n======\n"),
        ("No heading here.", "\nNo heading here.\nMore.\n"),
        ("(untitled)", " \n"),
    ],
)
def test_a_title_is_the_heading_or_else_the_first_line(expected: str, text: str) -> None:
    assert expected == title_of(text)
