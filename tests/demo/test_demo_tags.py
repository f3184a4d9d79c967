"""Every part of a reference is tagged with the part it plays."""

import pickle

import pytest

from semiont_jobs.demo.corpus import documents
from semiont_jobs.demo.sentences import flatten
from semiont_jobs.demo.tags import CATEGORIES, UnknownCategory, tag_passages

TEXT = """\
Queues
******

   queue ::= "[" job* "]"

A *queue* is a directory of jobs. Note that it may be empty. A job must
have an id. See section Jobs.

queue.take()

   Take the next job:

      job = queue.take()

   Changed in version 3.2: Takes one.

Note:

  First remark.

  Second remark.

Warning:

  A warning.

**CPython implementation detail:** It is quick.

See also: The other page.
"""


@pytest.mark.parametrize(
    ("expected", "category"),
    [
        (["A *queue* is a directory of jobs."], "Definition"),
        (['queue ::= "[" job* "]"'], "Grammar"),
        (["queue.take()"], "Signature"),
        (["job = queue.take()"], "Example"),
        (
            [
                "Note that it may be empty.",
                "Note: First remark. Second remark.",
                "Warning: A warning.",
            ],
            "Note",
        ),
        (["A job must have an id."], "Constraint"),
        (["See section Jobs.", "See also: The other page."], "See also"),
        (["Changed in version 3.2: Takes one."], "Version change"),
        (["**CPython implementation detail:** It is quick."], "Implementation detail"),
    ],
)
def test_passages_are_tagged_with_the_part_they_play(expected: list[str], category: str) -> None:
    assert expected == [tag.quote for tag in tag_passages(TEXT, category)]


def test_two_boxes_in_a_row_are_two_passages() -> None:
    text = "Note:\n\n  One.\n\nNote:\n\n  Two.\n"

    assert ["Note: One.", "Note: Two."] == [tag.quote for tag in tag_passages(text, "Note")]


def test_an_unknown_category_is_refused_by_name() -> None:
    with pytest.raises(UnknownCategory) as caught:
        tag_passages(TEXT, "Verdict")

    assert "Verdict" == caught.value.category
    assert "'Verdict'" in str(caught.value)
    assert str(caught.value) == str(pickle.loads(pickle.dumps(caught.value)))


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_reference_has_passages_of_every_category(category: str) -> None:
    found = 0
    for name, text in documents().items():
        tags = tag_passages(text, category)
        found += len(tags)

        assert sorted({(tag.start, tag.end) for tag in tags}) == [
            (tag.start, tag.end) for tag in tags
        ], name
        for tag in tags:
            assert flatten(text[tag.start : tag.end]) == tag.quote != "", name
            assert category == tag.category, name

    assert found >= 10
