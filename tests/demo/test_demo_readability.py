"""Reading ease follows Flesch, on counts made by hand."""

import pytest

from semiont_jobs.demo.readability import measure, syllables


@pytest.mark.parametrize(
    ("expected", "word"),
    [
        (1, "name"),
        (1, "types"),
        (1, "called"),
        (2, "table"),
        (2, "matches"),
        (2, "handled"),
        (3, "exception"),
        (3, "non-empty"),
        (4, "immutable"),
        (1, "x"),
    ],
)
def test_syllables_are_counted_as_they_are_spoken(expected: int, word: str) -> None:
    assert expected == syllables(word)


def test_reading_ease_follows_the_formula() -> None:
    figures = measure(["The cat sat on the mat.", "It was a black cat."])

    assert (11, 2, 11) == (figures.words, figures.sentences, figures.syllables)
    assert 206.835 - 1.015 * 5.5 - 84.6 * 1 == pytest.approx(figures.reading_ease)
    assert 0.39 * 5.5 + 11.8 - 15.59 == pytest.approx(figures.grade)
    assert "very easy" == figures.band


def test_long_words_are_very_difficult() -> None:
    figures = measure(["Implementation responsibilities necessitate comprehensive documentation."])

    assert "very difficult" == figures.band


def test_nothing_to_read_is_easy_and_takes_a_minute() -> None:
    figures = measure([])

    assert (0, 0, "very easy", 1) == (
        figures.words,
        figures.sentences,
        figures.band,
        figures.minutes,
    )
