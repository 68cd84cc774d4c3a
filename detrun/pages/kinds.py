"""Several answers beside each other, with their errors: kinds of gradients, or a gradient and finite differences.

A page draws a row for each answer, with a bar of two standard errors; the answer that the others are compared with is a
band through all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NamedTuple

from detrun_scheduler.visible import visible_line

TEXT_MAX = 200


class Answer(NamedTuple):
    """What one kind says; ``error`` is a standard error."""

    kind: str
    value: Any
    error: Any


@dataclass(frozen=True, slots=True)
class Beside:
    """The answers by one parameter.

    Attributes:
        reference: the kind that the others are compared with, if there is one.
    """

    parameter: str
    answers: Sequence[Answer]
    reference: str | None


@dataclass(frozen=True, slots=True)
class Kinds:
    """What a page shows.

    Attributes:
        parameters: in the order in which they are shown.
        meanings: a name, what it means, and what it took (or an empty text).
        refused: by kind, why it has no answer.
        verdict: where the answers part, in sentences.
    """

    parameters: Sequence[Beside]
    meanings: Sequence[tuple[str, str, str]] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    verdict: Sequence[str] = ()

    def document(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "parameters": [
                [
                    visible_line(one.parameter),
                    [
                        [visible_line(kind), plain_number(value), plain_number(error)]
                        for kind, value, error in one.answers
                    ],
                    one.reference if one.reference is None else visible_line(one.reference),
                ]
                for one in self.parameters
            ],
            "meanings": [list(map(visible_line, one)) for one in self.meanings],
            "refused": [[visible_line(kind), visible_line(why)] for kind, why in self.refused.items()],
            "verdict": list(map(visible_line, self.verdict)),
        }


def plain_number(value: Any) -> float | str:
    """A finite number, or anything else as a text."""
    if isinstance(value, int | float):
        return float(value) if isfinite(value) else str(value)
    text = visible_line(str(value))
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"
