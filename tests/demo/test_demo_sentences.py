"""Sentences end where a reader says they do."""

import pytest

from semiont_jobs.demo.corpus import documents
from semiont_jobs.demo.sentences import allowance, flatten, split_sentences, words_in


def quotes(text: str) -> list[str]:
    return [sentence.quote for sentence in split_sentences(text)]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (["One here.", "Two there."], "One here.  Two\nthere.\n"),
        (["It is so, e.g. Python is.", "Next."], "It is so, e.g. Python is. Next.\n"),
        (["See also etc. There.", "Next."], "See also etc. There. Next.\n"),
        (["It ends. [1]", "Next."], "It ends. [1]  Next.\n"),
        (['It returns "None".', '"True" is next.'], 'It returns "None". "True" is next.\n'),
        (["(It does.)", "Next."], "(It does.) Next.\n"),
        (["No point at the end"], "No point at the end\n"),
        (['Write "from ... import *" there.'], 'Write "from ... import *" there.\n'),
    ],
)
def test_a_sentence_ends_at_its_own_point_only(expected: list[str], text: str) -> None:
    assert expected == quotes(text)


def test_only_running_text_has_sentences_unless_other_kinds_are_asked_for() -> None:
    text = "Title\n*****\n\nProse.\n\n   x = 1\n\nNew in version 3.8.\n"

    assert ["Prose."] == quotes(text)
    assert ["New in version 3.8."] == [
        sentence.quote for sentence in split_sentences(text, kinds={"version"})
    ]


def test_a_sentence_knows_its_place() -> None:
    first, second = split_sentences("Title\n*****\n\nOne. Two.\n")

    assert (13, 17, True, "Title", 1) == (
        first.start,
        first.end,
        first.opens_block,
        first.section,
        first.block,
    )
    assert (18, 22, False, "Title", 1) == (
        second.start,
        second.end,
        second.opens_block,
        second.section,
        second.block,
    )


def test_a_word_broken_at_its_hyphen_is_joined() -> None:
    assert "it re-raises the error" == flatten("it re-\n   raises  the\nerror")


def test_a_word_may_have_hyphens_and_apostrophes() -> None:
    assert ["a", "non-empty", "isn\u2019t", "x"] == words_in("a non-empty isn\u2019t 3 (x)")


@pytest.mark.parametrize(("expected", "density"), [(5, 5), (1, 0.1), (15, 15)])
def test_a_density_counts_findings_in_two_thousand_words(expected: int, density: float) -> None:
    assert expected == allowance("word " * 2000, density)


def test_sentences_of_the_reference_are_what_stands_at_their_place() -> None:
    for name, text in documents().items():
        found = split_sentences(text)

        assert [] != found, name
        assert [flatten(text[each.start : each.end]) for each in found] == [
            each.quote for each in found
        ], name
        assert all(each.quote for each in found), name
