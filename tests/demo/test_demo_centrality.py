"""A sentence is central when others resemble it."""

import pytest

from semiont_jobs.demo.centrality import likeness, rank, terms_of


def test_terms_are_words_without_stop_words_and_plurals() -> None:
    assert ["class", "define", "method", "__len__"] == terms_of(
        "The class must define its methods, such as __len__()."
    )


def test_sentences_without_a_common_word_are_not_linked() -> None:
    graph = likeness([["cat", "mat"], ["dog", "log"]])

    assert [{}, {}] == list(graph)


def test_sentences_with_the_same_words_are_entirely_alike() -> None:
    graph = likeness([["cat", "mat"], ["mat", "cat"], ["dog"]])

    assert 1.0 == pytest.approx(graph[0][1])
    assert graph[0][1] == graph[1][0]
    assert {} == graph[2]


def test_the_sentence_that_shares_words_with_most_others_is_most_central() -> None:
    ranks = rank(likeness([["cat", "mat"], ["cat", "dog", "fox"], ["dog", "log"], ["fox", "box"]]))

    assert 1.0 == ranks[1]
    assert all(value < 1.0 for number, value in enumerate(ranks) if number != 1)


def test_nothing_has_no_ranks() -> None:
    assert [] == rank(likeness([]))
