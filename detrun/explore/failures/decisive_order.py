"""The order of two occurrences of virtual time as the explanation of a failure, verified by moving one of them.

Where machines send each other messages, the order of what they do follows from how long messages travel, tasks sleep
and time-outs last. No choice of the scheduler reverses two steps at different times. So one occurrence is moved:

- Of two occurrences whose handling touches the same, the one comes after the other, or the other before the one. Those
  are tried first that have most to do with what the failing step knew (`meeting_steps.py`). If a task that only
  watches finds the failure, no task of the program has tripped, and sleeps may come sooner, too; of one that is much
  shorter than it would have to be moved by, the one is moved that led to it.
- A message comes *sooner*. The latest that decides is looked for by halving: from some moment on all messages take no
  longer than the fastest of their link. The last moment from which on the run passes is that of a message which
  decides, and it is tried alone.

Then its moment is narrowed to the one step that it has to come before, or after (`retiming.py`), and the operations of
the two are named: on what both touch and the fewest other steps do.

Where a program goes wrong again and again, one order averts one failure, and the run goes on to the next. That is
enough where nothing else explains the failure (`decisive_order_of_one`).

Sources: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", TSE 2002, and Choi and Zeller,
"Isolating failure-inducing thread schedules", ISSTA 2002: the difference between a run that fails and one that passes
is narrowed until it is one. Departure: what is narrowed is the moment of an occurrence, and the latest is taken, since
a run that is changed early is another run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain

from detrun.explore.failures.explanation import Explanation, summary, told, verified
from detrun.explore.failures.meeting_steps import (
    AcrossTime,
    Meeting,
    meeting_of,
    meeting_on_the_way,
    meetings_across_time,
)
from detrun.explore.failures.moving_search import MovingSearch
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.occurrences import MESSAGE, SLEEP, TIMEOUT, Move, Occurrence
from detrun.explore.failures.retiming import INSTANT, Swap, shown_seconds
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.showing_steps import failing_operation, noted_by_check

PAIRS_MAX = 12  # that are tried before messages come sooner in bulk
ABOUT_MAX = 160  # characters of what a message says


def decisive_order(reversals: Reversals, narration: Narration) -> Explanation | None:
    """Two operations whose order was decided by when a message, a sleep or a time-out came."""
    found = OrderSearch.of(reversals, narration)
    return None if found is None else found.first_of(found.reversed_pairs(observed=0), found.sooner())


def decisive_observation(reversals: Reversals, narration: Narration) -> Explanation | None:
    """The same of operations on what the failing step looked at, or else of its task, which may say little."""
    found = OrderSearch.of(reversals, narration)
    return None if found is None else found.first_of(found.reversed_pairs(observed=1), found.reversed_pairs(observed=2))


def decisive_order_of_one(reversals: Reversals, narration: Narration) -> Explanation | None:
    """The same as `decisive_order` of a failure that comes again and again: the order that averts this one."""
    found = OrderSearch.of(reversals, narration, comes_again=True)
    if found is None:
        return None
    return found.first_of(found.reversed_pairs(observed=0), found.sooner(), found.reversed_pairs(observed=1))


class OrderSearch(MovingSearch):
    """Ways to have occurrences come in another order, so that the run passes."""

    @cached_property
    def pairs(self) -> list[AcrossTime]:
        """That meet, those that have most to do with the failure first."""
        return self.reversals.once("pairs across time", lambda: meetings_across_time(self.knowledge, self.seen))

    @cached_property
    def is_watched(self) -> bool:
        """The failure shows to a task that only watches."""
        return self.knowledge.only_watch(self.seen)

    def moved_to(self, moved: Occurrence, at: float) -> Swap | None:
        """What decides if an occurrence at another moment averts the failure; None if it does not, or was not tried."""
        found = self.retimings.at({moved.number: at})
        if found is None or not self.retimings.averts(found):
            return None
        return self.retimings.threshold(moved, at, found)

    def first_of(self, *searches: Iterator[Swap]) -> Explanation | None:
        """What the first swap says that has a name for both operations."""
        for swap in chain(*searches):
            found = _explained(self, swap)
            if found is not None:
                return found
        return None

    def reversed_pairs(self, observed: int) -> Iterator[Swap]:
        """Of pairs that meet, the one comes after the other instead, or the other before the one."""
        pairs = [pair for pair in self.pairs if pair.observed == observed]
        watchers = {self.narration.steps[step].task for step in self.seen} if self.is_watched else set()
        of_watchers: list[Swap] = []
        for pair in pairs[:PAIRS_MAX]:
            swap = self._swap(pair)
            if swap is not None and not observed and not watchers.isdisjoint((swap.first.whose, swap.then.whose)):
                of_watchers.append(swap)
            elif swap is not None:
                yield swap
        yield from of_watchers

    def _swap(self, pair: AcrossTime) -> Swap | None:
        """What decides if the one comes after the other, or the other before the one: the pair itself, if it does."""
        before, after = (self.base.timeline.times[step] for step in pair.steps)
        first, then = (self._led_to(one, after - before) for one in (pair.first, pair.then))
        ways = [(first[-1], after + INSTANT)]
        if then[-1].set_at < before - INSTANT and (then[-1].is_sent or self._sleeps(then[-1])):
            ways.append((then[-1], before - INSTANT))
        best: Swap | None = None
        for moved, at in ways:
            swap = self.moved_to(moved, at)
            if swap is None:
                continue
            if swap.first in [one.label for one in first] and swap.then in [one.label for one in then]:
                return replace(swap, first=pair.first.label, then=pair.then.label)
            best = swap if best is None else best
        return best

    def _led_to(self, one: Occurrence, seconds: float) -> list[Occurrence]:
        """An occurrence, and what led to it up to one that can be moved so far, or else to the longest."""
        if not self._sleeps(one):
            return [one]
        found: list[Occurrence] = []
        cause: Occurrence | None = one
        while cause is not None:
            found.append(cause)
            if _can_move(cause, seconds):
                return found
            cause = self.knowledge.cause_of(cause)
        longest = max(found, key=lambda each: each.seconds)
        return found[: found.index(longest) + 1]

    def _sleeps(self, one: Occurrence) -> bool:
        """Whether it is a sleep or time-out, and the failure a watcher's, in which no task of the program tripped."""
        return one.label.kind in (SLEEP, TIMEOUT) and self.is_watched

    def sooner(self) -> Iterator[Swap]:
        """The last message that averts the failure if it comes sooner, those that had not arrived by then too."""
        sent = [one for one in self.base.timeline.all if one.is_sent and one.label.kind == MESSAGE]
        if not sent:
            return
        fastest: dict[str, float] = dict.fromkeys((one.label.whose for one in sent), math.inf)
        for one in sent:
            fastest[one.label.whose] = min(fastest[one.label.whose], one.seconds)
        # A message that has its link to itself is as fast as the fastest of all.
        alone = Counter(one.label.whose for one in sent)
        fastest.update(dict.fromkeys((name for name, times in alone.items() if times == 1), min(fastest.values())))
        slow = [one for one in sent if one.due > _soonest(one, fastest)]
        last = self._last_decisive(slow, fastest)
        if last is None:
            return
        moved = slow[last]
        at = _soonest(moved, fastest)
        swap = self.moved_to(moved, at)
        if swap is not None:
            yield swap

    def _last_decisive(self, slow: Sequence[Occurrence], fastest: Mapping[str, float]) -> int | None:
        """The last index from which on all messages have to be fast for the run to pass; None if it never does.

        The last 1, 2, 4, 8 and so on are made fast until the run passes, and what lies between is halved.
        """

        def passes(index: int) -> bool | None:
            number = slow[index].number
            found = self.retimings.run(_from(number, fastest), ("sooner from", number))
            return None if found is None else self.retimings.averts(found)

        fails, back = len(slow), 1
        while True:
            index = max(len(slow) - back, 0)
            passed = passes(index) if index < fails else None
            if passed is None:
                return None
            if passed:
                break
            fails, back = index, 2 * back
        while fails - index > 1:
            middle = (index + fails) // 2
            passed = passes(middle)
            if passed is None:
                return None
            if passed:
                index = middle
            else:
                fails = middle
        return index


def _can_move(one: Occurrence, seconds: float) -> bool:
    """A message takes any time; a sleep or time-out no more than twice its own, or it would be another one."""
    return one.label.kind not in (SLEEP, TIMEOUT) or one.seconds >= seconds


def _soonest(one: Occurrence, fastest: Mapping[str, float]) -> float:
    return one.set_at + fastest.get(one.label.whose, one.seconds)


def _from(number: int, fastest: Mapping[str, float]) -> Move:
    """Every message from one on is as fast as its link has been."""

    def move(one: Occurrence) -> float | None:
        if one.number < number or not one.is_sent or one.label.kind != MESSAGE:
            return None
        soonest = _soonest(one, fastest)
        return soonest if soonest < one.due else None

    return move


# In words.


def _explained(search: OrderSearch, swap: Swap) -> Explanation | None:
    narration, timeline = search.narration, search.base.timeline
    known = timeline.labelled()
    first, then = known.get(swap.first), known.get(swap.then)
    if first is None or then is None or not 0 <= first.handled_in < len(narration.steps):
        return None
    if first.handled_in < then.handled_in < len(narration.steps):
        meeting = meeting_of(narration, timeline, first.handled_in, then.handled_in)
        about = "the order of two operations"
    else:
        meeting = None if then.handled_in >= 0 else meeting_on_the_way(narration, then.set_in, first.handled_in)
        about = "that what was sent by then had not come"
    if meeting is None:
        return None
    return explained_by_moving(search, swap, meeting, f"{about}{f' on {meeting.resource}' if meeting.resource else ''}")


def explained_by_moving(search: OrderSearch, swap: Swap, meeting: Meeting, matters: str) -> Explanation:
    """The two operations that matter, and what was moved so that the run passes.

    Args:
        matters: of the two, in words.
    """
    failing, narration = search.reversals.failing, search.narration
    places = [("first", meeting.first), ("then", meeting.then), *noted_by_check(narration, failing.error)]
    failed = failing_operation(narration, failing.error)
    if failed is not None and failed.step not in (meeting.first.step, meeting.then.step):
        places.append(("and shows in", failed))
    text = [
        summary(failing),
        f"What matters is {matters}:",
        *told(narration, places),
        *what_moved(narration, swap, "the order would have been the other one"),
    ]
    pair = meeting.first, meeting.then
    return verified(failing, swap.passing.trial, narration, text, places, pair, meeting.resource)


def shown_about(message: Occurrence) -> str:
    """What a message says, as far as it is shown."""
    return message.about if len(message.about) <= ABOUT_MAX else f"{message.about[:ABOUT_MAX]}…"


def what_moved(narration: Narration, swap: Swap, instead_of_it: str) -> Iterator[str]:
    """What was moved: when it began, how long it took, and what came of the run in which it took another time.

    Args:
        instead_of_it: what would have been, in words.
    """
    moved, passing = swap.moved, swap.passing
    sender = narration.steps[moved.set_in].task if 0 <= moved.set_in < len(narration.steps) else ""
    took, instead = moved.due - moved.set_at, swap.moment - moved.set_at
    if moved.label.kind == MESSAGE:
        what = f"The message {moved.label.whose}, sent by {sender} at {moved.set_at:.9g} s ({shown_about(moved)})"
    elif moved.label.kind == SLEEP:
        what = f"The sleep that {sender} began at {moved.set_at:.9g} s"
    else:
        what = f"The sleep or time-out that {sender} set at {moved.set_at:.9g} s"
    yield f"{what} took {took:.6g} s."
    yield f"Had it taken {shown_seconds(instead)} s, {instead_of_it}."
    averted = "it passes" if passing.passes else f"it goes on, and fails anew at {passing.ends_at:.9g} s"
    yield (
        f"Verified both ways: as it was, the run fails again; so moved, with draws and choices as they were, {averted}."
    )
