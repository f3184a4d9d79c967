"""Which sentences say what the whole text says: LexRank over a graph of likeness.

It must not know English except its stop words, nor where a sentence is.

A sentence is central when many sentences resemble it, and more so when those are central themselves
(Erkan and Radev, "LexRank", JAIR 22, 2004): PageRank, with the cosine of two sentences as the link
between them.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

Graph: TypeAlias = Sequence[Mapping[int, float]]
"""For each sentence, the sentences it resembles and how much, above 0 and up to 1."""

LEAST_LIKENESS: Final = 0.1
"""Below this cosine two sentences share a word by chance: the threshold that did best in the
paper. It also keeps the graph sparse."""

DAMPING: Final = 0.85
"""How much of its rank a sentence passes to its neighbours; the rest is spread evenly, so that
islands of the graph can be compared. The value of PageRank and of the paper."""

_SETTLED: Final = 1e-6
"""Ranks sum to 1, so a total change of a millionth cannot swap two ranks that matter."""

_MOST_ROUNDS: Final = 60
"""With a damping of 0.85 an error shrinks to 0.85**60, less than a ten-thousandth."""

_TERM = re.compile(r"[A-Za-z_][A-Za-z_0-9]+")

_STOP_TEXT: Final = (
    "a about above after again all also an and any are as at be because been before being below "
    "both but by can could did do does doing each either else even few for from further had has "
    "have having here how however if in instead into is it its itself just like may might more "
    "most must no nor not now of off on once one only onto or other others otherwise our out over "
    "own same see shall should since so some still such than that the their them then there "
    "therefore these they this those though through thus to too two under until up upon use used "
    "uses using very was way we well were what when where whether which while who whose why will "
    "with within without would yet you your"
)
STOP_WORDS: Final = frozenset(_STOP_TEXT.split())
"""Words that are in every text and do not make two sentences alike."""


def terms_of(sentence: str) -> list[str]:
    """What a sentence is about: its words and names without stop words, plurals cut."""
    return [
        _singular(word)
        for word in (found.lower() for found in _TERM.findall(sentence))
        if word not in STOP_WORDS
    ]


def _singular(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def likeness(sentences: Sequence[Sequence[str]]) -> Graph:
    """The graph of sentences, given as their terms, whose cosine is at least `LEAST_LIKENESS`.

    Terms weigh by frequency in the sentence times rarity among the sentences.
    """
    spread = Counter(term for terms in sentences for term in dict.fromkeys(terms))
    rarity = {term: math.log(1 + len(sentences) / count) for term, count in spread.items()}
    holders: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    graph: list[dict[int, float]] = [{} for _ in sentences]
    for number, terms in enumerate(sentences):
        weights = {term: count * rarity[term] for term, count in Counter(terms).items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        products: defaultdict[int, float] = defaultdict(float)
        for term, weight in weights.items():
            for earlier, earlier_weight in holders[term]:
                products[earlier] += weight / length * earlier_weight
            holders[term].append((number, weight / length))
        for earlier, cosine in products.items():
            if cosine >= LEAST_LIKENESS:
                graph[number][earlier] = graph[earlier][number] = min(cosine, 1.0)
    return graph


def rank(graph: Graph) -> list[float]:
    """How central each sentence of a graph is: above 0, and 1.0 for the most central one."""
    count = len(graph)
    if not count:
        return []
    shares = []
    for links in graph:
        total = sum(links.values())
        shares.append([(neighbour, cosine / total) for neighbour, cosine in links.items()])
    ranks = [1 / count] * count
    for _ in range(_MOST_ROUNDS):
        # The rank of a sentence without neighbours goes to all: it must not keep it.
        alone = sum(held for held, links in zip(ranks, graph, strict=True) if not links)
        following = [(1 - DAMPING + DAMPING * alone) / count] * count
        for held, handed in zip(ranks, shares, strict=True):
            for neighbour, share in handed:
                following[neighbour] += DAMPING * held * share
        change = sum(abs(new - old) for new, old in zip(following, ranks, strict=True))
        ranks = following
        if change < _SETTLED:
            break
    highest = max(ranks)
    return [value / highest for value in ranks]
