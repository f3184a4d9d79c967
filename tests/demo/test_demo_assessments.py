"""Assessments remark on what is hard to read, and on nothing else."""

import pytest

from semiont_jobs.demo.assessments import HARD, find_assessments, readability_of, remark_on
from semiont_jobs.demo.corpus import documents
from semiont_jobs.demo.sentences import allowance, flatten

EASY = "The cat sat on the mat and the dog lay on the floor next to it."
HEAVY = (
    "Implementation-dependent representations of heterogeneous collections necessitate "
    "comprehensive documentation of operational characteristics and their interoperability."
)


def test_the_hardest_sentence_is_found_and_placed() -> None:
    text = f"Title\n*****\n\n{EASY} {HEAVY}\n"

    (assessment,) = find_assessments(text)

    assert HEAVY == assessment.quote == text[assessment.start : assessment.end]
    assert "Title" == assessment.section
    assert assessment.reading_ease < HARD


def test_a_text_in_plain_english_has_no_hard_passages() -> None:
    assert [] == find_assessments(f"{EASY} {EASY}\n", density=10)


def test_a_short_sentence_is_not_judged() -> None:
    assert [] == find_assessments("Implementation-dependent representations necessitate it.\n")


@pytest.mark.parametrize(
    ("expected", "sentence"),
    [
        ("30 words in one sentence: split it", "word " * 30),
        ("12 words of three or more syllables: say it in shorter ones", "immutable " * 12),
        (
            "6 commas, brackets and breaks: more than one thought at a time",
            "a, b, c, d; e: f (g) h",
        ),
        ("3 negations: say what is, not what is not", "It does not say no and never did."),
        ("3 passive verbs: say who does it", "It is called, is used and was quickly removed."),
        (
            "5 pieces of code within the sentence: show them below it",
            'Use "a" "b" "c" "d" "e" then.',
        ),
        ("4.0 syllables a word: use shorter ones", "immutable immutable"),
    ],
)
def test_the_remark_names_what_weighs_most(expected: str, sentence: str) -> None:
    assert expected == remark_on(sentence)


def test_only_running_text_is_measured() -> None:
    figures = readability_of(f"Title\n*****\n\n{EASY}\n\n   code = not_counted(1)\n")

    assert (16, 1) == (figures.words, figures.sentences)


def test_hard_passages_of_the_reference_are_passages_of_it_and_no_more_than_allowed() -> None:
    found = 0
    for name, text in documents().items():
        assessments = find_assessments(text, density=5)
        found += len(assessments)

        assert len(assessments) <= allowance(text, 5), name
        assert sorted(each.start for each in assessments) == [each.start for each in assessments]
        for each in assessments:
            assert flatten(text[each.start : each.end]) == each.quote, name
            assert each.reading_ease < HARD, name
            assert "\n" not in each.remark, name
        assert assessments == find_assessments(text, density=5), name

    assert found >= 100
