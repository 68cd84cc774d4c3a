"""What is there after a recovery: what was committed, all of it, and nothing else.

A transaction whose `commit` has returned is committed. One that was about to commit when the server ended may be or
not, and the pages say which: a number that is found in them is of a committed transaction (`transactions.versions`).
From then on its end is known, and every row has to be as the newest version of a committed transaction left it.
"""

from __future__ import annotations

from typing import Final

import detrun
from detrun.checkers.noted import About
from detrun.checkers.transactions import ABORTED, COMMITTED, UNDECIDED, Place
from detrun_scenarios.database.checks.history import History, Made
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.versions import version_of

DURABLE: Final = "committed rows, after recovery"


async def check_recovered(store: Store, history: History) -> None:
    """Fail the run unless the rows are those that were committed; an epoch of the history begins.

    The store has just been recovered, and nothing else works on it.

    Raises:
        AssertionViolatedError: a commitment is lost, or a half of it, or there is a row without one.
    """
    numbers = set[int]()
    found: dict[str, Made] = {}
    for table in store.tables.values():
        async for address, record in table.heap.scan():
            version = version_of(record)
            numbers |= {version.made_by, version.ended_by}
            made = history.at(version.made_by, address)
            unknown = f"{table.name} has {version.row}, which transaction {version.made_by} did not put there"
            detrun.always(made is not None, DURABLE, unknown)
            if made is not None and not version.ended_by:
                second = f"two versions of {made.key} count"
                detrun.always(made.key not in found, DURABLE, second)
                found[made.key] = made
    for one in history:
        if one.outcome == UNDECIDED:
            history.end(one, COMMITTED if one.made and one.number in numbers else ABORTED)
    history.epoch += 1
    expected = _newest(history)
    for key in {**expected, **found}:
        newest, got = expected.get(key), found.get(key)
        wanted = newest if newest is not None and newest.exists else None
        difference = "" if wanted == got else _difference(history, key, wanted, got)
        # Who promised it takes a walk through the history.
        about = About(not difference, _promised(history, newest) if difference else ())
        detrun.always(about, DURABLE, difference)


def _promised(history: History, version: Made | None) -> tuple[tuple[str, Place], ...]:
    """Where the transaction that made a version was taken to be durable, for an explanation; empty if it never was."""
    promised = next((one.promised for one in history if version in one.made), None)
    return () if promised is None else (("durable after", promised),)


def _newest(history: History) -> dict[str, Made]:
    newest: dict[str, Made] = {}
    made = [made for one in history if one.outcome == COMMITTED for made in one.made]
    for one in sorted(made, key=lambda one: one.version):
        newest[one.key] = one
    return newest


def _difference(history: History, key: str, wanted: Made | None, got: Made | None) -> str:
    def by(made: Made) -> str:
        return next(f"{one.name}, which {one.outcome}" for one in history if made in one.made)

    left = "no row" if wanted is None else f"the version of {by(wanted)}"
    return f"{key} should be {left}, and is " + ("not there" if got is None else f"that of {by(got)}")
