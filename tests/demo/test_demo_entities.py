"""Named things are found by their names and by what stands around them."""

import pickle

import pytest

from semiont_jobs.demo.corpus import documents
from semiont_jobs.demo.entities import ENTITY_TYPES, UnknownEntityType, find_entities


@pytest.mark.parametrize(
    ("expected", "entity_type", "text"),
    [
        (["ValueError"], "Exception", 'a "ValueError" or a MyValueErrors'),
        (["OSError", "OSError"], "Exception", "OSError, then OSError"),
        (["len()"], "Built-in function", '"len()" and the len of it, s.len(), def len('),
        (["int", "dict"], "Built-in type", 'an "int", dict(a=1), the object, s.list()'),
        (["str.format()"], "Built-in method", '"str.format()" and "my.str.format"'),
        (["None", "True"], "Built-in constant", '"None" or True, and Nonesuch'),
        (["__len__()", "__getattr__()"], "Special method", '"__len__()", __getattr__, __dict__'),
        (["__dict__"], "Special attribute", '"__dict__", "__len__", "__main__", __x()__'),
        (["with", "as"], "Keyword", '"with" x "as" y for z'),
        (["with statement"], "Statement", 'the "with"\nstatement and the "try" block'),
        (["sys", "gc", "re"], "Module", 'the "sys" module; module "gc"; code\n>>> import re\n'),
        (["math"], "Module", 'call "math.fmod()" on this code.py'),
        (["PEP 343", "PEP 8"], "PEP", "**PEP 343** and PEP\n8, PEPs"),
        (["Python 3.8", "Python 2.7"], "Python version", "in version 3.8; Python 2.7; version x"),
    ],
)
def test_an_entity_is_found_where_it_is_meant(
    expected: list[str], entity_type: str, text: str
) -> None:
    assert expected == [entity.name for entity in find_entities(text, entity_type)]


def test_a_mention_tells_where_it_stands() -> None:
    text = 'Call "len()" now.'

    (entity,) = find_entities(text, "Built-in function")

    assert ("len", "len()") == (text[entity.start : entity.end], entity.name)


def test_an_unknown_type_is_refused_by_name() -> None:
    with pytest.raises(UnknownEntityType) as caught:
        find_entities("text", "Spaceship")

    assert "Spaceship" == caught.value.entity_type
    assert "'Spaceship'" in str(caught.value)
    assert str(caught.value) == str(pickle.loads(pickle.dumps(caught.value)))


@pytest.mark.parametrize("entity_type", ENTITY_TYPES)
def test_the_reference_names_things_of_every_type(entity_type: str) -> None:
    found = 0
    for name, text in documents().items():
        entities = find_entities(text, entity_type)
        found += len(entities)

        assert sorted({(each.start, each.end) for each in entities}) == [
            (each.start, each.end) for each in entities
        ], name
        for each in entities:
            assert text[each.start : each.end] in each.name, name

    assert found >= 20
