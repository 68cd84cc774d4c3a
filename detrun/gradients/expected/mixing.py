"""Where two draws act on each other's effect: entries that are not a sum of what either does alone.

Whether the slope of a margin along one draw can change with another is seen in the operations between them: it can if
both come together in a product, in a quotient, or inside a function that bends. A sum of the two leaves it as it is.

How much the slope changes is the mixed second derivative. It is carried forward as the slopes are, through sums,
products and quotients, whose own second derivatives follow from the partials on the tape. Those of other functions are
not on it: then it is not a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from detrun.ad.tape import WIDE
from detrun.gradients.expected.taped_run import TapedRun
from detrun.primitives.draw_log import Draw

WORK = 400_000  # entries that are swept for the pairs of one run, about; those beyond are not known


class Mixing:
    """Which entries of a run mix two of its draws."""

    def __init__(self, run: TapedRun) -> None:
        self.run = run
        self._by_pair: dict[tuple[int, int], dict[int, float]] = {}
        self._work = WORK
        self._of_any: bytearray | None = None

    def of(self, one: Draw, other: Draw, seeds: Mapping[int, float]) -> float:
        """The derivative of a weighted sum of entries by the noises beneath two draws; nan if it is not known.

        It is 0 where the slope along either draw does not change with the other.
        """
        assert one.noise_id is not None
        assert other.noise_id is not None
        if self._of_any is None:
            self._of_any = self._swept_for_any()
        first_id = self.run.tape.first_id
        mixing = [entry for entry in seeds if entry >= first_id and self._of_any[entry - first_id]]
        if not mixing:
            return 0.0
        pair = min(one.noise_id, other.noise_id), max(one.noise_id, other.noise_id)
        mixed = self._by_pair.get(pair)
        if mixed is None:
            tape = self.run.tape
            self._work -= tape.first_id + len(tape) - pair[0]
            if self._work < 0:
                return math.nan
            mixed = self._by_pair[pair] = self._swept(*pair)
        return sum(mixed.get(entry, 0.0) * seeds[entry] for entry in mixing)

    def _swept_for_any(self) -> bytearray:
        """Whether each entry mixes some two draws: one sweep, which spares most runs those of their pairs."""
        tape, bends = self.run.tape, self.run.bends
        first_id, noises = tape.first_id, {draw.noise_id for draw in self.run.draws}
        of_any = bytearray(len(tape))
        # The first and the last noise that reach an entry: more than one where they differ.
        firsts, lasts = [math.inf] * len(tape), [-math.inf] * len(tape)
        cells = iter(tape.entries)
        for entry, (left, right, left_partial, right_partial) in enumerate(
            zip(cells, cells, cells, cells, strict=True)
        ):
            if entry + first_id in noises:
                firsts[entry] = lasts[entry] = entry + first_id
                continue
            parents = tape.wide[right][0] if left == WIDE else (left, right)
            reached = [one - first_id for one in parents if one >= first_id and firsts[one - first_id] < math.inf]
            if not reached:
                continue
            firsts[entry] = min(firsts[one] for one in reached)
            lasts[entry] = max(lasts[one] for one in reached)
            if any(of_any[one] for one in reached):
                of_any[entry] = 1
            elif firsts[entry] != lasts[entry]:
                is_product = left != WIDE and len(reached) == 2 and not abs(left_partial) == abs(right_partial) == 1.0
                of_any[entry] = is_product or entry + first_id in bends
        return of_any

    def _swept(self, first: int, second: int) -> dict[int, float]:
        tape = self.run.tape
        by_first, by_second, mixed = {first: 1.0}, {second: 1.0}, dict[int, float]()
        cells = iter(tape.entries[4 * (first + 1 - tape.first_id) :])
        for entry, (left, right, left_partial, right_partial) in enumerate(
            zip(cells, cells, cells, cells, strict=True), first + 1
        ):
            if left == WIDE:
                parents, partials = tape.wide[right]
                if callable(partials):  # through torch: nothing is known behind it
                    partials = [math.nan] * len(parents)
            else:
                parents, partials = (left, right), (left_partial, right_partial)
            terms = [
                Term(partial, by_first.get(one, 0.0), by_second.get(one, 0.0), mixed.get(one, 0.0))
                if partial
                else STILL
                for one, partial in zip(parents, partials, strict=True)
            ]
            slope = sum(term.first * term.partial for term in terms)
            if slope:
                by_first[entry] = slope
            slope = sum(term.second * term.partial for term in terms)
            if slope and entry != second:
                by_second[entry] = slope
            if any(term.first for term in terms) and any(term.second for term in terms):
                own = _own(terms, self.run.bends.get(entry), left == right, left == WIDE)
                found = own + sum(term.mixed * term.partial for term in terms)
                if found:
                    mixed[entry] = found
        return mixed


class Term(NamedTuple):
    """What goes into an operation: its partial there, its slopes along two draws, its mixed derivative."""

    partial: float
    first: float
    second: float
    mixed: float


STILL = Term(0.0, 0.0, 0.0, 0.0)


def _own(terms: Sequence[Term], is_linear_in_first: bool | None, is_square: bool, is_wide: bool) -> float:
    """What an operation adds to the mixed derivatives of what goes into it; nan if it is not known.

    Args:
        terms: two, unless it is wide.
        is_linear_in_first: None: it is a sum or a product.
    """
    if is_wide:
        return 0.0 if is_linear_in_first is None else math.nan
    left, right = terms
    crossed = left.first * right.second + left.second * right.first
    if is_linear_in_first:  # a quotient
        return -left.partial * (left.partial * crossed + 2.0 * right.partial * right.first * right.second)
    if is_linear_in_first is not None:
        return math.nan
    if right is STILL or left is STILL or not crossed:
        return 0.0
    sizes = {abs(left.partial), abs(right.partial)}
    if sizes == {1.0}:
        return 0.0  # a sum
    # Factors that are equal or 1 are told from a mean or a remainder by their names only.
    return math.nan if is_square or len(sizes) == 1 or 1.0 in sizes else crossed
