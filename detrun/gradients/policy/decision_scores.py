"""The score of each decision by itself: one sweep forward over the tape, from the parameters to what decides.

A sweep backward gives one weighted sum of scores. Here each decision's own score is wanted, for its weight is known
only when the other samples are. Entries that lead to no decision are passed over; of the others each holds its
derivative by every parameter. Cost: the entries that lead to decisions, times the number of parameters. Where tensors
lie on the way, whose pullbacks go backward only, there is one sweep backward for each decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from detrun.ad.reverse import backward
from detrun.ad.tape import CELLS, NO_PARENT, WIDE, Tape

Row = list[float]  # by parameter


def derivatives(tape: Tape, parameters: Sequence[int], wanted: Iterable[int]) -> dict[int, Row]:
    """The derivatives of entries by leaves.

    Args:
        tape: of a whole run.
        parameters: ids of the leaves.
        wanted: ids of the entries.

    Returns: by id a row; an id that depends on no parameter, or is older than the tape, has none.
    """
    wanted = list(dict.fromkeys(wanted))
    try:
        return _forward(tape, parameters, wanted)
    except _BackwardOnlyError:
        found = {}
        for one in wanted:
            adjoints = backward(tape, {one: 1.0}, wanted=parameters)
            found[one] = [float(adjoints[parameter]) for parameter in parameters]
        return found


class _BackwardOnlyError(Exception):
    """A pullback takes or gives something else than numbers."""


def _forward(tape: Tape, parameters: Sequence[int], wanted: Sequence[int]) -> dict[int, Row]:
    first, entries = tape.first_id, tape.entries
    leads = bytearray(len(tape))
    for one in wanted:
        if one >= first:
            leads[one - first] = 1
    place = leads.rfind(1)
    while place >= 0:
        left, right = entries[place * CELLS : place * CELLS + 2]
        for parent in tape.wide[right][0] if left == WIDE else (left, right):
            if parent >= first:
                leads[parent - first] = 1
        place = leads.rfind(1, 0, place)
    rows: dict[int, Row] = {}
    for number, one in enumerate(parameters):
        rows[one] = [float(other == number) for other in range(len(parameters))]
    place = leads.find(1)
    while place >= 0:
        entry = first + place
        if entry not in rows and entries[place * CELLS] != NO_PARENT:
            row = _row(tape, entry, rows)
            if row is not None:
                rows[entry] = row
        place = leads.find(1, place + 1)
    return {one: rows[one] for one in wanted if one in rows}


def _row(tape: Tape, entry: int, rows: dict[int, Row]) -> Row | None:
    parents, partials = tape.parents_of(entry)
    if not any(parent in rows for parent in parents):
        return None
    if callable(partials):
        try:
            partials = list(partials(1.0))
        except (TypeError, AttributeError) as error:
            raise _BackwardOnlyError from error
        if not all(isinstance(partial, float | int) for partial in partials):
            raise _BackwardOnlyError
    found: Row | None = None
    for parent, partial in zip(parents, partials, strict=True):
        row = rows.get(parent)
        if row is not None and partial:
            added = [partial * one for one in row]
            found = added if found is None else [a + b for a, b in zip(found, added, strict=True)]
    return found
