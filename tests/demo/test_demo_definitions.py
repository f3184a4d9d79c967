"""A definition is recognised by the words that make it one."""

import pytest

from semiont_jobs.demo.corpus import documents
from semiont_jobs.demo.definitions import find_definitions
from semiont_jobs.demo.sentences import flatten


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ([("definition", "scope")], "A *scope* defines the visibility of a name.\n"),
        ([("definition", "free variable")], "If it is not, it is called a *free\nvariable*.\n"),
        ([("definition", "bytes object")], "A bytes object is an immutable array.\n"),
        ([("definition", "Lists")], "Lists are mutable sequences.\n"),
        ([("definition", "KeyError")], '"KeyError" is a subclass of "LookupError".\n'),
        ([("definition", "duck")], "So the term “duck” means a bird.\n"),
        (
            [("definition", "mutable"), ("definition", "immutable")],
            "Some are said to be *mutable*; others are called *immutable*.\n",
        ),
        ([("rule", "stop")], "Here *stop* must not be zero.\n"),
        ([("rule", "hash()")], 'The value of "hash()" cannot change.\n'),
        ([("entry", "Integers")], 'Integers ("int")\n   These are numbers.\n'),
        ([("entry", "__doc__")], '"__doc__"\n   The documentation.\n'),
        ([("signature", "object.__len__()")], "object.__len__(self)\n\n   Called by it.\n"),
        (
            [("signature", "d.get()"), ("signature", "d.size")],
            "d.get(key)\nd.size\n\n   Return it.\n",
        ),
    ],
)
def test_a_defined_term_is_found(expected: list[tuple[str, str]], text: str) -> None:
    assert expected == [(each.kind, each.term) for each in find_definitions(text)]


@pytest.mark.parametrize(
    "text",
    [
        "The *name* is looked up at once.\n",
        "This is called it.\n",
        "*k* must not be zero.\n",
        "See also:\n\n  Module “x”\n     Another page.\n",
    ],
)
def test_what_only_mentions_a_term_does_not_define_it(text: str) -> None:
    assert [] == find_definitions(text)


def test_a_term_is_defined_once_where_it_comes_first() -> None:
    text = "A *scope* is a region.\n\nThe *scope* is a part. A *scopes* is many.\n"

    (definition,) = find_definitions(text)

    assert (3, 8) == (definition.start, definition.end)
    assert "A *scope* is a region." == definition.quote


def test_definitions_of_the_reference_are_at_their_place_and_in_order() -> None:
    found = 0
    for name, text in documents().items():
        definitions = find_definitions(text)
        found += len(definitions)

        assert sorted(each.start for each in definitions) == [each.start for each in definitions]
        for each in definitions:
            written = flatten(text[each.start : each.end])
            assert each.term.removesuffix("()") == written.removesuffix("()"), name
            assert flatten(text[each.quote_start : each.quote_end]) == each.quote, name

    assert found >= 200
