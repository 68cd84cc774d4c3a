"""`HistoryView`: a history that is not linearizable, for a report: a bar for each operation, and how far an order goes.

Clients are rows, time goes to the right, an operation is a bar from its call to its return; one that is pending has no
end. The operations of the longest legal order have their places in it, with the state of the object after each; those
that find no place behind it are *stuck*. Other operations of the same object are shown beside those that have no legal
order, as far as they overlap them. Positions are the ranks of calls and returns among those shown.

Source of the form: the pictures of Porcupine (Athalye, 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detrun.checkers.histories import Operation
from detrun.checkers.linearizability import ILLEGAL, Linearizability
from detrun_scheduler.visible import visible_line

OPERATIONS_MAX = 400
TEXT_MAX = 200  # characters of an operation or a state


@dataclass(frozen=True, slots=True)
class Bar:
    """One operation.

    Attributes:
        client: its row.
        text: the call and what came back.
        begin, end: positions of the call and of the return; None while it has not returned.
        place: in the longest legal order, from 0; None if it is not in it.
        role: ``legal``, ``stuck``, ``pending`` or ``other``.
        called, returned: steps of the run; None where they are unknown.
    """

    client: int
    text: str
    begin: int
    end: int | None
    place: int | None
    role: str
    called: int | None
    returned: int | None


@dataclass(frozen=True, slots=True)
class HistoryView:
    """What there is to draw.

    Attributes:
        part: the object whose history it is, where there are several.
        clients: who called, in the order of their first calls.
        bars: in the order of their calls.
        states: before the longest order, and after each of its operations.
        left_out: operations that are not shown.
    """

    part: str
    clients: list[str]
    bars: list[Bar]
    states: list[str]
    left_out: int

    def document(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "part": self.part,
            "clients": self.clients,
            "bars": [
                [one.client, one.text, one.begin, one.end, one.place, one.role, one.called, one.returned]
                for one in self.bars
            ],
            "states": self.states,
            "leftOut": self.left_out,
        }


def history_view(found: object) -> HistoryView | None:
    """Of what a checker found; None if that is no illegal history."""
    if not isinstance(found, Linearizability) or found.verdict != ILLEGAL:
        return None
    # The least illegal part has what returned after its moment as pending, in copies: positions of calls are the same.
    least = {one.called: one for one in found.illegal}
    places = {one.called: place for place, one in enumerate(found.longest)}
    stuck = {one.called for one in found.stuck}
    shown = [least.get(one.called, one) for one in _shown(found)]
    positions = sorted({at for one in shown for at in (one.called, one.returned) if at is not None})
    rank = {at: index for index, at in enumerate(positions)}
    clients = list(dict.fromkeys(one.process for one in shown))

    def bar(one: Operation) -> Bar:
        role = "other"
        if one.called in least:
            role = "legal" if one.called in places else "stuck" if one.called in stuck else "pending"
        end = None if one.returned is None else rank[one.returned]
        place = places.get(one.called)
        steps = one.step_called, one.step_returned
        return Bar(clients.index(one.process), _short(one), rank[one.called], end, place, role, *steps)

    return HistoryView(
        "" if found.partition is None else _short(repr(found.partition)),
        list(map(visible_line, clients)),
        [bar(one) for one in shown],
        [_short(repr(state)) for state in found.states],
        found.operations - len(shown),
    )


def _shown(found: Linearizability) -> Sequence[Operation]:
    """The operations without a legal order, and as many that overlap them as there is room for; by their calls."""
    least = {one.called for one in found.illegal}
    begin = min(least)
    end = max(one.returned or one.called for one in found.illegal)
    around = [one for one in found.whole if one.called <= end and (one.returned is None or one.returned >= begin)]
    others = [one for one in around if one.called not in least][: max(OPERATIONS_MAX - len(least), 0)]
    return sorted([*found.illegal, *others], key=lambda one: one.called)


def _short(text: object) -> str:
    said = visible_line(str(text))
    return said if len(said) <= TEXT_MAX else f"{said[: TEXT_MAX - 1]}…"
