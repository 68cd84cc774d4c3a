"""What is asked for and what there is: documents with features, and what each is truly worth to who asks.

The truth is never shown to the pipeline. It weighs the match most, then quality, and takes off for age.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import detrun

DOCUMENTS = 12  # that a request chooses from
SIZES = (1, 2, 3)  # of what is made of a document, in slots
TRUTH = (2.0, 1.0, -1.5)  # of match, quality and age


@dataclass(frozen=True, slots=True)
class Document:
    """One document, as a request sees it.

    Attributes:
        match, quality, age: features between 0 and 1.
        size: slots that it takes of a plan.
        work: mean seconds that a worker has to do for it.
        worth: what it brings when it is there at once; what no stage before the environment sees.
    """

    match: float
    quality: float
    age: float
    size: int
    work: float
    worth: float


def drawn_documents(request: int) -> list[Document]:
    """Those that a request chooses from."""
    found = []
    for number in range(DOCUMENTS):
        match, quality, age = (
            float(detrun.uniform(key=("document", request, number, name))) for name in ("match", "quality", "age")
        )
        size = SIZES[detrun.choice(len(SIZES), key=("size", request, number))]
        logit = sum(weight * (one - 0.5) for weight, one in zip(TRUTH, (match, quality, age), strict=True))
        found.append(Document(match, quality, age, size, 0.01 + 0.02 * size, size / (1.0 + math.exp(-2.0 * logit))))
    return found


def best_worth(documents: Sequence[Document], capacity: int) -> float:
    """Of a plan made by one who knows the truth, carried out at once."""
    best = [0.0] * (capacity + 1)
    for one in documents:
        for room in range(capacity, one.size - 1, -1):
            best[room] = max(best[room], best[room - one.size] + one.worth)
    return best[capacity]
