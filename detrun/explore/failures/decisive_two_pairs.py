"""Two pairs of operations at once as the explanation of a failure, where the reversal of one pair alone averts nothing.

A run may be wrong for two reasons, each of which is enough: then every schedule with one pair reversed still fails. Of
the pairs that come first (`operations.py`) two at a time are reversed, the likeliest first. That the run passes with
both, and fails with either, is what is verified.

A bounded search: so few pairs are combined that all combinations are tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from detrun.explore.failures.decisive_pairs import failing_line
from detrun.explore.failures.explanation import Explanation, common, summary
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.operations import Operation, Pair, pairs, reverses
from detrun.explore.failures.reversal import Reversals

PAIRS_MAX = 8


def decisive_two_pairs(reversals: Reversals, narration: Narration) -> Explanation | None:
    """Two pairs of which both have to be reversed."""
    candidates = _apart(pairs(narration, failing_line(reversals.failing.error)))
    for one, other in combinations(candidates, 2):
        for order in _both_reversed(reversals.failing.order, one, other):
            trial = reversals.try_order(order)
            if trial is None:
                return None
            if trial.error is not None:
                continue
            passing = reversals.narration(trial)
            if passing is None or not (reverses(one, passing) and reverses(other, passing)):
                continue
            if reversals.verified(one) is None and reversals.verified(other) is None:
                difference = common(reversals.failing.order, trial.order)
                return _explained(reversals, narration, (one, other), difference, passing)
    return None


def _apart(candidates: Sequence[Pair]) -> list[Pair]:
    """The first few of which no two are of the same two steps: those are reversed together anyway."""
    found: dict[tuple[int, int], Pair] = {}
    for pair in candidates:
        found.setdefault((pair.first.step, pair.second.step), pair)
        if len(found) == PAIRS_MAX:
            break
    return list(found.values())


def _both_reversed(order: Sequence[str], one: Pair, other: Pair) -> Iterator[list[str]]:
    """Orders of steps with the second of each pair before the first, whichever is reversed first."""
    numbered = list(enumerate(order))
    for pairs_in_order in ((one, other), (other, one)):
        steps = numbered
        for pair in pairs_in_order:
            steps = _held_back(steps, pair.first, pair.second)
        yield [task for _, task in steps]


def _held_back(steps: Sequence[tuple[int, str]], first: Operation, second: Operation) -> list[tuple[int, str]]:
    """The steps of the first one's task, from its operation on, put off until the second one is done."""
    places = {number: at for at, (number, _) in enumerate(steps)}
    begin, end = places.get(first.step, len(steps)), places.get(second.step, len(steps) - 1)
    between = steps[begin : end + 1]
    ahead = [one for one in between if one[1] != first.task]
    behind = [one for one in between if one[1] == first.task]
    return [*steps[:begin], *ahead, *behind, *steps[end + 1 :]]


def _explained(
    reversals: Reversals, narration: Narration, both: tuple[Pair, Pair], difference: int, passing: Narration
) -> Explanation:
    lines = [
        summary(reversals.failing),
        "What matters is the order of two pairs of operations, each of which is enough:",
    ]
    for pair in both:
        lines += [f"  first  {pair.first}", f"  then   {pair.second}"]
    lines.append("Verified: with both reversed the run passes; with one of them alone no run was seen to pass.")
    places = tuple(operation for pair in both for operation in (pair.first, pair.second))
    resource = " and ".join(dict.fromkeys(pair.resource for pair in both))
    ends = (both[0].first, both[0].second)
    text = "\n".join(lines)
    labels = ("first", "then") * 2
    return Explanation(text, ends, resource, difference, narration, passing, True, places=places, labels=labels)
