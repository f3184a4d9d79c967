"""A digest is a page of Markdown with what the analyses found, and only with that."""

import pytest

from semiont_jobs.demo.corpus import documents, titles
from semiont_jobs.demo.digest import build_digest, markdown

TEXT = """\
The "take" method
*****************

   take ::= "take" [job]

A *job* is a piece of work that the "take" method hands to one worker
only.  If no job is there, the method must raise "KeyError" at once.
"""

PAGE = """\
# The `take` method

28 words in 2 sentences, 1 minute to read. Reading ease 93 (very easy), 14 words to a sentence.

## Key passages

- A *job* is a piece of work that the `take` method hands to one worker only. \
*(opens its section)*

## Defined terms

- **job**: A *job* is a piece of work that the `take` method hands to one worker only.
  “job” is defined here in The `take` method. Used once afterwards. \
Used once before it is explained.

## Names

| Type | Mentions | Most named |
| --- | --- | --- |
| Exception | 1 | `KeyError` (1) |

## Parts

| Part | Passages | The first one |
| --- | --- | --- |
| Definition | 1 | A \\*job\\* is a piece of work that the "take" method hands to one… |
| Grammar | 1 | take ::= "take" \\[job\\] |
| Constraint | 1 | If no job is there, the method must raise "KeyError" at once. |
"""


def test_a_digest_tells_what_was_found_and_leaves_out_what_was_not() -> None:
    assert PAGE == build_digest(TEXT)


def test_a_digest_has_the_title_and_the_names_that_were_asked_for() -> None:
    page = build_digest(TEXT, title="Taking", entity_types=["PEP"])

    assert page.startswith("# Taking\n")
    assert "## Names" not in page


@pytest.mark.parametrize(
    ("expected", "quote"),
    [
        ("the `with` statement", 'the "with" statement'),
        ("`a = 1`, `b`", '"a = 1", "b"'),
        ("nothing here", "nothing here"),
    ],
)
def test_code_between_straight_quotes_becomes_code(expected: str, quote: str) -> None:
    assert expected == markdown(quote)


def test_every_document_of_the_reference_has_a_digest_and_always_the_same() -> None:
    found = titles()
    for name, text in documents().items():
        page = build_digest(text)

        assert f"# {markdown(found[name])}" == page.partition("\n")[0], name
        assert "## Parts" in page or "## Key passages" in page, name
        assert page == build_digest(text), name
