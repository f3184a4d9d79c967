"""The layout of a document is read back from its plain text."""

import pytest

from semiont_jobs.demo.blocks import split_blocks
from semiont_jobs.demo.corpus import documents


def kinds_and_texts(text: str) -> list[tuple[str, str]]:
    return [(block.kind, text[block.start : block.end]) for block in split_blocks(text)]


def test_headings_open_sections() -> None:
    text = "Above.\n\nOne\n***\n\nFirst.\n\nTwo\n===\n\nSecond.\n"

    blocks = split_blocks(text)

    assert [
        ("prose", ""),
        ("heading", "One"),
        ("prose", "One"),
        ("heading", "Two"),
        ("prose", "Two"),
    ] == [(block.kind, block.section) for block in blocks]


def test_a_literal_block_goes_on_over_blank_lines_until_the_text_returns() -> None:
    text = "It is the same as:\n\n   x = 1\n\n   y = 2\n\nAfter it.\n"

    assert [
        ("prose", "It is the same as:"),
        ("code", "x = 1\n\n   y = 2"),
        ("prose", "After it."),
    ] == kinds_and_texts(text)


def test_a_doctest_between_paragraphs_ends_with_its_own_lines() -> None:
    text = "Before.\n\n>>> 1 + 1\n2\n\nAfter.\n"

    assert [
        ("prose", "Before."),
        ("code", ">>> 1 + 1\n2"),
        ("prose", "After."),
    ] == kinds_and_texts(text)


def test_what_is_indented_below_a_signature_is_its_description() -> None:
    text = "object.__len__(self)\n\n   Called to implement it. Must be an integer.\n"

    assert [
        ("signature", "object.__len__(self)"),
        ("prose", "Called to implement it. Must be an integer."),
    ] == kinds_and_texts(text)


def test_code_below_the_words_is_equivalent_to_makes_them_no_signature() -> None:
    text = "is equivalent to\n\n   class Foo(object):\n       pass\n"

    assert ["prose", "code"] == [kind for kind, _ in kinds_and_texts(text)]


def test_an_entry_of_a_definition_list_is_a_term_and_its_text() -> None:
    text = "Tuples\n   The items of a tuple are\n   arbitrary objects.\n"

    assert [
        ("term", "Tuples"),
        ("prose", "The items of a tuple are\n   arbitrary objects."),
    ] == kinds_and_texts(text)


def test_items_are_told_without_their_marks() -> None:
    text = "* one\n\n* two\n  lines\n\n1. three\n\n[1] a note at the foot\n"

    assert [
        ("item", "one"),
        ("item", "two\n  lines"),
        ("item", "three"),
        ("footnote", "a note at the foot"),
    ] == kinds_and_texts(text)


def test_items_without_blank_lines_between_them_are_items_each() -> None:
    assert [("item", "one"), ("item", "two")] == kinds_and_texts("* one\n* two\n")


def test_a_box_ends_where_its_indentation_ends() -> None:
    text = "Note:\n\n  Inside it.\n\n  Also inside.\n\nOutside.\n"

    assert [("label", "Note"), ("prose", "Note"), ("prose", "Note"), ("prose", "")] == [
        (block.kind, block.box) for block in split_blocks(text)
    ]


def test_a_remark_on_the_line_of_its_label_is_a_box_of_one_paragraph() -> None:
    text = "See also: The other page.\n\nOutside.\n"

    assert [("prose", "See also"), ("prose", "")] == [
        (block.kind, block.box) for block in split_blocks(text)
    ]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("grammar", '   raise_stmt ::= "raise" [expression]\n'),
        ("grammar", '   raise_stmt: "raise" [expression]\n   name: NAME\n'),
        ("code", "   x: annotation = 1\n   y: annotation\n"),
        ("table", "+---+---+\n| a | b |\n+---+---+\n"),
        ("version", "Changed in version 3.8: Now it is.\n"),
        ("version", "Added in version 3.12.\n"),
        ("rubric", "-[ Footnotes ]-\n"),
        ("rule", "======================\n"),
    ],
)
def test_other_blocks_are_known_by_their_own_marks(expected: str, text: str) -> None:
    assert [expected] == [block.kind for block in split_blocks(text)]


def test_blocks_of_the_reference_are_in_order_and_lie_inside_of_the_text() -> None:
    for name, text in documents().items():
        edges = [edge for block in split_blocks(text) for edge in (block.start, block.end)]

        assert sorted(edges) == edges, name
        assert 0 <= edges[0], name
        assert edges[-1] <= len(text), name


def test_nothing_of_the_reference_is_lost_between_blocks() -> None:
    for name, text in documents().items():
        blocks = split_blocks(text)
        gaps = [0, *(block.end for block in blocks)], [*(b.start for b in blocks), len(text)]
        between = "".join(text[end:start] for end, start in zip(*gaps, strict=True))

        assert set() == set(between) - set(" \n*•[].0123456789"), name


def test_the_reference_has_blocks_of_every_kind_that_is_looked_for() -> None:
    found = {block.kind for text in documents().values() for block in split_blocks(text)}

    assert (
        set()
        == {
            *("heading", "prose", "item", "footnote", "version", "term"),
            *("signature", "label", "grammar", "code", "table"),
        }
        - found
    )
