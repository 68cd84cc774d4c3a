"""One message as the explanation of a failure, verified by leaving it out.

Where machines send each other messages, a failure is often the work of one: an append that was overtaken, a request
that was sent again, a question to a server that no longer leads. It is lost, with all draws and choices as they were.
If the run passes, three places are named: where it was sent, where it was *handled*, and what it *led to*, the last
step that would not have been without it and of which the failing one knew.

Which messages are tried:

- Of a history that has no legal order, the requests: all of the operation that has no place in it, and of the others
  those that were sent again. The client of a lost request asks once more; where the run passes then, the one that
  answered is to blame, or the repetition.
- Else those that have most to do with what the failing step knew (`what_steps_knew.py`). Without the message that this
  step itself handles, it is enough that the run goes on past this point: where every run fails, another failure
  follows.

Source of the idea: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", TSE 2002, whose input
is here what the network delivered. Departure: one message is taken out at a time, the likeliest first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

from detrun.explore.failures.decisive_order import shown_about
from detrun.explore.failures.explanation import Explanation, summary, told, verified
from detrun.explore.failures.moving_search import MovingSearch
from detrun.explore.failures.named_steps import caller_of, innermost, sent_by
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.occurrences import MESSAGE, Occurrence
from detrun.explore.failures.operations import Operation
from detrun.explore.failures.retiming import Retimed
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.showing_steps import (
    failing_operation,
    illegal_operations,
    misfits,
    noted_by_check,
)

REQUESTS_MAX = 12
MESSAGES_MAX = 24


def decisive_request(reversals: Reversals, narration: Narration) -> Explanation | None:
    """The request of an operation without which a history has a legal order."""
    if not illegal_operations(reversals.failing.error):
        return None
    search = _Search.of(reversals, narration)
    return None if search is None else search.first_of(search.requests()[:REQUESTS_MAX])


def decisive_message(reversals: Reversals, narration: Narration) -> Explanation | None:
    """The message without which the run passes, or goes on past the step that failed."""
    search = _Search.of(reversals, narration)
    return None if search is None else search.first_of(search.known()[:MESSAGES_MAX])


class _Search(MovingSearch):
    def messages(self) -> list[Occurrence]:
        """Those that a step handled."""
        steps = len(self.narration.steps)
        return [
            one
            for one in self.base.timeline.fired
            if one.label.kind == MESSAGE and one.is_sent and 0 <= one.set_in < one.handled_in < steps
        ]

    def requests(self) -> list[Occurrence]:
        """The last first."""
        steps, messages, found = self.narration.steps, self.messages(), []
        without_place = misfits(self._error)
        for operation in illegal_operations(self._error):
            called, returned = operation.step_called, operation.step_returned
            if called is None or called >= len(steps):
                continue
            until = len(steps) if returned is None else returned
            sent = [
                one
                for one in messages
                if called <= one.set_in <= until and steps[one.set_in].task == steps[called].task
            ]
            found += sent if operation in without_place else sorted(sent, key=lambda one: one.set_in)[1:]
        return sorted(found, key=lambda one: -one.handled_in)

    def known(self) -> list[Occurrence]:
        """Those that have most to do with the failure first."""
        distance, outside = self.knowledge.distance, self.outside
        known = [
            one
            for one in self.messages()
            if one.handled_in in distance and self.narration.steps[one.handled_in].task not in outside
        ]
        return sorted(known, key=lambda one: (distance[one.handled_in], -one.handled_in))

    @cached_property
    def outside(self) -> set[str]:
        """Tasks that only saw the failure: to lose an answer says nothing, for it hides what it said."""
        if not illegal_operations(self._error):
            return set()
        return {self.narration.steps[step].task for step in self.seen}

    def first_of(self, messages: Sequence[Occurrence]) -> Explanation | None:
        """What the first of them that decides says."""
        for one in messages:
            found = self.retimings.at({one.number: math.inf})
            if found is None:
                return None
            if found.passes or (one.handled_in in self.seen and self.goes_past(found)):
                return self.explained(one, found)
        return None

    def goes_past(self, found: Retimed) -> bool:
        """Whether a run without a message goes on past the step in which the failing one ends, to a like failure.

        One that hangs or fails otherwise says no more than that the message is needed.
        """
        ends = self.narration.steps[-1].time
        is_last = self.seen[-1] == len(self.narration.steps) - 1
        return is_last and found.ends_at > ends and found.fails_as(self.base)

    def explained(self, message: Occurrence, without: Retimed) -> Explanation:
        """In words."""
        narration = self.narration
        sent = sent_by(self.narration, message)
        places = [("sent", sent)] if sent is not None else []
        knowledge, outside = self.knowledge, self.outside
        followed = [
            step
            for step in knowledge.followed_from(message.handled_in)
            if step in knowledge.distance and narration.steps[step].task not in outside
        ]
        last = max(followed, default=message.handled_in)
        if last != message.handled_in:
            places.append(("handled", self._innermost(message.handled_in)))
        places.append(("led to" if last != message.handled_in else "handled", self._what_led(last)))
        pair = (places[0][1], places[-1][1]) if len(places) > 1 else None
        places += noted_by_check(narration, self._error)
        text = [
            summary(self.reversals.failing),
            f"What matters is that a message came, {message.label.whose} ({shown_about(message)}):",
            *told(narration, places),
            f"Verified both ways: as it was, the run fails again; {self._without(without)}",
        ]
        return verified(self.reversals.failing, without.trial, narration, text, places, pair, message.label.whose)

    @property
    def _error(self) -> BaseException | None:
        return self.reversals.failing.error

    def _without(self, found: Retimed) -> str:
        lost = "without it, with draws and choices as they were,"
        if found.passes:
            return f"{lost} it passes."
        how = " in the same way" if found.trial.signature == self.reversals.failing.signature else ""
        return f"{lost} it goes on past this point, and fails{how} at {found.ends_at:.9g} s."

    def _innermost(self, at: int) -> Operation:
        step = self.narration.steps[at]
        return Operation(step.task, innermost(self.narration, step), "runs", at)

    def _what_led(self, at: int) -> Operation:
        """What a step did that the failure knows of: sent a message, changed an object, or failed."""
        steps, knowledge = self.narration.steps, self.knowledge
        step = steps[at]
        if at in self.seen:
            return failing_operation(self.narration, self._error) or self._innermost(at)
        knowing, key = knowledge.known_to.get(at, (-1, None))
        if key is not None:
            lines = [mark.line for mark in step.marks if mark.key == key and mark.verb == "changes"]
            if lines and lines[-1] is not None:
                return Operation(step.task, caller_of(steps, step, lines[-1], last=True), "changes", at)
        message = knowledge.handled.get(knowing)
        sent = None if message is None or message.set_in != at else sent_by(self.narration, message)
        return sent or self._innermost(at)
