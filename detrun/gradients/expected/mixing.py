"""Where two draws act on each other's effect: entries that are not a sum of what either does alone.

Whether the slope of a margin along one draw can change with another is seen in the operations between them: it can if
both come together in a product, in a quotient, or inside a function that bends. A sum of the two leaves it as it is.
What is found is a superset: two effects that mix and cancel are taken to mix.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from detrun.ad.tape import NO_PARENT, WIDE
from detrun.gradients.expected.taped_run import TapedRun
from detrun.primitives.draw_log import Draw

WORK = 400_000  # entries that are swept for the pairs of one run, about; pairs beyond are taken to mix


class Mixing:
    """Which entries of a run mix two of its draws."""

    def __init__(self, run: TapedRun) -> None:
        self.run = run
        self._by_pair: dict[tuple[int, int], set[int]] = {}
        self._work = WORK
        self._of_any: bytearray | None = None

    def can_mix(self, one: Draw, other: Draw, entries: Iterable[int]) -> bool:
        """Whether the slope of one of these entries along either draw may change with the other."""
        assert one.noise_id is not None
        assert other.noise_id is not None
        if self._of_any is None:
            self._of_any = self._swept_for_any()
        first_id = self.run.tape.first_id
        entries = [entry for entry in entries if entry >= first_id and self._of_any[entry - first_id]]
        if not entries:
            return False
        pair = min(one.noise_id, other.noise_id), max(one.noise_id, other.noise_id)
        mixed = self._by_pair.get(pair)
        if mixed is None:
            tape = self.run.tape
            self._work -= tape.first_id + len(tape) - pair[0]
            if self._work < 0:
                return True
            mixed = self._by_pair[pair] = self._swept(*pair)
        return any(entry in mixed for entry in entries)

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

    def _swept(self, first: int, second: int) -> set[int]:
        tape, bends = self.run.tape, self.run.bends
        by_first, by_second, mixed = {first}, {second}, set[int]()
        cells = iter(tape.entries[4 * (first + 1 - tape.first_id) :])
        for entry, (left, right, left_partial, right_partial) in enumerate(
            zip(cells, cells, cells, cells, strict=True), first + 1
        ):
            if left == WIDE:
                parents: tuple[int, ...] = tuple(tape.wide[right][0])
                meet = entry in bends
            else:
                parents = (left if left_partial else NO_PARENT, right if right_partial else NO_PARENT)
                meet = False
            is_first = not by_first.isdisjoint(parents)
            is_second = not by_second.isdisjoint(parents)
            if is_first:
                by_first.add(entry)
            if is_second and entry != second:
                by_second.add(entry)
            if not (is_first and is_second):
                continue
            if left != WIDE:
                meet = self._meet(parents, entry, abs(left_partial) == abs(right_partial) == 1.0, by_first, by_second)
            if meet or not mixed.isdisjoint(parents):
                mixed.add(entry)
        return mixed

    def _meet(self, parents: tuple[int, ...], entry: int, is_sum: bool, first: set[int], second: set[int]) -> bool:
        left, right = parents
        in_bends = self.run.bends.get(entry)
        if in_bends is not None and ((right in first and right in second) or not in_bends):
            return True
        return not is_sum and ((left in first and right in second) or (left in second and right in first))
