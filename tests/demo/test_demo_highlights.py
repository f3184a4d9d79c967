"""Highlights are the sentences that say most, each of which makes sense alone."""

from semiont_jobs.demo.corpus import documents
from semiont_jobs.demo.highlights import find_highlights
from semiont_jobs.demo.sentences import allowance, flatten

TEXT = """\
Queues
******

A *queue* is a directory that keeps jobs until a worker takes them. This
was so from the first day that anyone can remember here. A worker takes
jobs from the queue and keeps them in the directory while it works.

Every worker must hold a lock on what it does, lest another one begins it.

The weather in the north of the country was fine for most of July.
The following code shows how a worker takes jobs from the queue:

   worker.take(queue)
"""


def test_the_sentence_that_defines_the_subject_comes_before_one_about_the_weather() -> None:
    (highlight,) = find_highlights(TEXT, density=5)

    assert "A *queue* is a directory that keeps jobs until a worker takes them." == highlight.quote
    assert 1.0 == highlight.score
    assert "opens its section" == highlight.reason
    assert "Queues" == highlight.section


def test_highlights_stand_in_the_order_of_the_text_with_their_reasons() -> None:
    found = find_highlights(TEXT, density=50)

    assert [("A *queue*", "opens its section"), ("Every wor", "states a rule")] == [
        (each.quote[:9], each.reason) for each in found
    ]


def test_a_sentence_that_leads_into_code_is_no_highlight() -> None:
    found = find_highlights(TEXT, density=2000)

    assert [] == [each for each in found if each.quote.endswith(":")]


def test_the_same_thing_is_not_highlighted_twice() -> None:
    twice = "A worker takes the next job of the queue when it is free.\n\n" * 2

    assert 1 == len(find_highlights(twice, density=2000))


def test_a_text_without_sentences_has_no_highlights() -> None:
    assert [] == find_highlights("   x = 1\n")


def test_highlights_of_the_reference_are_passages_of_it_and_no_more_than_allowed() -> None:
    found = 0
    for name, text in documents().items():
        highlights = find_highlights(text, density=8)
        found += len(highlights)

        assert len(highlights) <= allowance(text, 8), name
        assert sorted(each.start for each in highlights) == [each.start for each in highlights]
        for each in highlights:
            assert flatten(text[each.start : each.end]) == each.quote, name
            assert 0 < each.score <= 1, name
        assert highlights == find_highlights(text, density=8), name

    assert found >= 200
