"""Score terms: derivatives of probabilities of a run, weighted and added to the derivative of its loss.

Estimators of expectations find numbers ``c`` by other runs, and need the sum of ``c * dp`` or ``c * d(log p)`` over
probabilities ``p`` that occur in this one. Where such a ``p`` occurs, ``c * (p - its number)`` is added to a sum, and
that to the loss: its number stays, and its derivative has what was wanted. So one gradient, by whatever mode, brings
the derivative along the path and the terms together.

Source: the surrogate losses of Schulman et al., "Gradient estimation using stochastic computation graphs", 2015.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import outcome

from detrun.ad.functions import dot
from detrun.ad.torch_bridge import is_tensor, number_of
from detrun.ad.value import Value
from detrun.primitives.forcing import Address
from detrun.primitives.laws import Law


@dataclass(frozen=True, slots=True)
class Term:
    """One weight.

    Attributes:
        weight: ``c``.
        of: what is differentiated: ``"log_probability"``, ``"probability"``, or a parameter of the draw by its name.
        outcome: whose probability; None: of what came out in the run.
    """

    weight: float
    of: str = "log_probability"
    outcome: Any = None


class ScoreTerms:
    """The terms of one run, by the addresses of draws; others are added by name where they occur.

    Attributes:
        takes_scores: log-probabilities of external effects are wanted here, too (`add_effect`).
        unmet: addresses of terms that have not occurred yet.
    """

    takes_scores = False

    def __init__(self, terms: Mapping[Address, Iterable[Term]]) -> None:
        self.terms = {address: tuple(found) for address, found in terms.items()}
        self.unmet = dict.fromkeys(self.terms)
        self._weights: list[float] = []
        self._values: list[Value] = []

    def begin(self) -> None:
        """A run begins: nothing has occurred."""
        self.unmet = dict.fromkeys(self.terms)
        self._weights, self._values = [], []

    def met(self, address: Address, law: Law, drawn: Any) -> None:
        """A draw has been made."""
        if address not in self.terms:
            return
        self.unmet.pop(address, None)
        held = drawn.primal if isinstance(drawn, Value) else drawn
        for term in self.terms[address]:
            chosen = held if term.outcome is None else term.outcome
            if term.of == "log_probability":
                quantity = law.log_probability(chosen)
            elif term.of == "probability":
                quantity = law.probability(chosen)
            else:
                quantity = law.parameters[term.of]
            self.add(term.weight, quantity)

    def add(self, weight: float, quantity: Any) -> None:
        """Add ``weight * d quantity``; a plain number has no derivative, and adds nothing."""
        if isinstance(quantity, Value):
            self._weights.append(weight)
            self._values.append(quantity)

    def add_effect(self, log_probability: Any) -> None:
        """Add that of the result of an external effect."""

    def added_to(self, ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
        """How the run ended, with the terms in its loss."""
        if not self._values or not isinstance(ended, outcome.Value):
            return ended
        loss = number_of(ended.value) if is_tensor(ended.value) else ended.value
        if not isinstance(loss, Value | int | float) or isinstance(loss, bool):
            return ended  # which is no loss, and refused as such
        surplus = dot(self._weights, self._values)
        assert isinstance(surplus, Value)
        # Its number is the sum of c * p, which is taken off again: what stays is exactly the loss.
        total = loss + surplus
        total.primal = loss.primal if isinstance(loss, Value) else float(loss)
        return outcome.Value(total)
