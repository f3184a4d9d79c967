"""A comment tells where a term is defined and how often it is used."""

import pytest

from semiont_jobs.demo.comments import find_comments
from semiont_jobs.demo.corpus import documents
from semiont_jobs.demo.sentences import allowance

TEXT = """\
Names
*****

The scope matters.

Scopes
======

A *scope* defines where a name is seen.

Lookup
======

The scope is searched, then other scopes. Not the microscope.
"""


def test_a_comment_counts_uses_before_and_after_the_definition() -> None:
    (comment,) = find_comments(TEXT)

    assert "scope" == comment.term == TEXT[comment.start : comment.end]
    assert (2, 2) == (comment.uses_before, comment.uses_after)
    assert (
        "“scope” is defined here in Scopes. Used twice afterwards, next in Lookup. "
        "Used twice before it is explained."
    ) == comment.comment


def test_a_term_that_is_not_used_again_is_told_so() -> None:
    (comment,) = find_comments("A *widget* is an object.\n")

    assert "“widget” is defined here. Not used again afterwards." == comment.comment


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        # The method is meant only where it is called, the attribute only in code.
        (1, 's.count(x)\n\n   Return a count.  The count of "count(1)".\n'),
        (1, 's.size\n\n   Return its size.  Larger than the size, "s.size" is not.\n'),
        (2, "object.__len__(self)\n\n   Return it.  See __len__ and __len__().\n"),
    ],
)
def test_a_name_from_code_is_not_mistaken_for_the_word(expected: int, text: str) -> None:
    (comment,) = find_comments(text)

    assert expected == comment.uses_after


def test_the_terms_that_are_used_most_are_commented_on_first() -> None:
    text = "A *rare* is a thing.\n\nA *cat* is a pet. The cat sat, and the cat ate.\n"

    (comment,) = find_comments(text, density=2)

    assert "cat" == comment.term


def test_comments_on_the_reference_are_at_their_terms_and_no_more_than_allowed() -> None:
    found = 0
    for name, text in documents().items():
        comments = find_comments(text, density=6)
        found += len(comments)

        assert len(comments) <= allowance(text, 6), name
        assert sorted(each.start for each in comments) == [each.start for each in comments], name
        for each in comments:
            assert 0 <= each.start < each.end <= len(text), name
            assert "\n" not in each.comment, name
        assert comments == find_comments(text, density=6), name

    assert found >= 100
