"""State of the AD core at the present moment: the next id, and the tape that is on, if one is.

Ids count on from the `first_id` of a run and are allotted by the same operations whether or not a tape is on. A forked
copy or a replay of the run therefore gives each `Value` the id it had before, counted from the first, and the adjoints
that cross from one window to another are a plain ``{id: adjoint}``, even for Values that wait in a coroutine's locals.

No id is allotted twice in a process. A `Value` that outlives its run, in a global or a closure, has an id below the
first of the next run, and an adjoint that arrives there is noticed (`reverse.refuse_foreign`) instead of being added
to whatever else has that number.

The state is module-level because a run owns the process anyway, and because reading a module's attribute costs 5 ns.
Read it as ``state.taping``, never by importing the name: the names are rebound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Protocol

from detrun.ad.sites import Sites
from detrun.ad.tape import Tape
from detrun_scheduler.errors import UsageError


class Notebook(Protocol):
    """What keeps the notes of a run: a `Tape`, or a book beside a run in forward mode."""

    sites: Sites
    detachments: dict[tuple[str, int], int]


def _no_tape(cells: tuple[Any, ...]) -> None:
    raise AssertionError(f"entry {cells} recorded while no tape is on")


def _no_torch_function(function: Any, args: Any, kwargs: Any) -> Any:
    raise AssertionError("a torch function met a Value before torch_calls.install()")


# What torch calls in place of a function of its own that has a `Value` among its arguments.
torch_function: Callable[[Any, Any, Any], Any] = _no_torch_function


def _no_array_ufunc(ufunc: Any, method: str, inputs: Any, keywords: Any) -> Any:
    raise AssertionError("a function of numpy met a Value before numpy_calls.install()")


# What numpy calls in place of a function of its own that has a `Value` among its arguments.
array_ufunc: Callable[[Any, str, Any, Any], Any] = _no_array_ufunc

# What puts torch's tensors back as they were, if they were watched in this run.
at_end: Callable[[], None] | None = None

# Taken with ``next(state.ids)``.
ids: Iterator[int] = count()
first_id: int = 0  # of the run that goes on, or of the last one
_furthest = 0  # no id from here on was allotted before the last `rewind`
_spaces = count(1)
OWN_SPACE = 1 << 48  # ids from here on belong to those who reserved them
taping: bool = False
tape: Tape | None = None
noting: bool = False  # margins and detachments are noted: while a tape is on, and in forward mode
notebook: Notebook | None = None  # where to; the tape, while one is on
# Told the id of each entry of a tape whose operation is not linear, but for products: divisions by Values, functions;
# and whether only its second argument bends it. None: it interests no one.
bends: Callable[[int, bool], None] | None = None
extend: Callable[[tuple[Any, Any, Any, Any]], None] = _no_tape
in_run: bool = False


def begin_run(first: int | None = None) -> None:
    """Start a run with ids that are not in use, or with those from ``first`` on, and no tape.

    Raises `UsageError` inside a run or while a tape is on.
    """
    global ids, in_run, first_id, _furthest
    if in_run:
        raise UsageError("begin_run: a run is in progress in this process, and runs do not nest; call end_run() first")
    if taping:
        raise UsageError("begin_run: a tape is on; call stop_tape() first")
    _furthest = next(ids)
    first_id = _furthest if first is None else first
    ids = count(first_id)
    in_run = True


def end_run() -> None:
    """End the run and switch off a tape that it left on. Safe to call twice, so it fits in a ``finally``."""
    global ids, in_run, first_id, _furthest, at_end
    _switch_off()
    if at_end is not None:
        at_end()
        at_end = None
    upcoming = next(ids)
    if _furthest < upcoming < OWN_SPACE:
        _furthest = upcoming
    ids = count(_furthest)
    if first_id >= OWN_SPACE:
        first_id = _furthest  # what is made now, outside of runs, has ids of the common space
    in_run = False


def rewind(next_id: int) -> None:
    """Allot ids from ``next_id`` on, once more: the run goes back to a snapshot, and makes the same Values again."""
    global ids, _furthest
    upcoming = peek_id()
    if upcoming < OWN_SPACE:
        _furthest = max(_furthest, upcoming)
    ids = count(next_id)


def reserve_space() -> int:
    """The first id of a range that is allotted once, for objects that number their Values over several runs."""
    return next(_spaces) * OWN_SPACE


def peek_id() -> int:
    """The id that the next `Value` will get."""
    global ids
    # `itertools.count` shows its position only by moving (its pickling is gone in 3.14), so take one and put it back.
    upcoming = next(ids)
    ids = count(upcoming)
    return upcoming


def values_exist() -> bool:
    """Whether this process has allotted any id so far."""
    return _furthest > 0 or peek_id() > 0


def start_tape() -> Tape:
    """Record from here on, on a new tape whose first id is the next one. Raises `UsageError` if a tape is on."""
    global taping, tape, extend, noting, notebook
    if tape is not None:
        raise UsageError(f"start_tape: the tape that began at id {tape.first_id} is still on; call stop_tape() first")
    tape = Tape(peek_id())
    extend = tape.entries.extend
    taping = noting = True
    notebook = tape
    return tape


def start_notes(book: Notebook) -> None:
    """Note margins and detachments in ``book`` from here on, without a tape. Raises `UsageError` if a tape is on."""
    global noting, notebook
    if tape is not None:
        raise UsageError("start_notes: a tape is on, which takes the notes; call stop_tape() first")
    noting, notebook = True, book


def stop_tape() -> Tape:
    """Stop recording and hand over the tape. Raises `UsageError` if none is on."""
    if tape is None:
        raise UsageError("stop_tape: no tape is on; call start_tape() first")
    finished = tape
    _switch_off()
    # Holds by construction while every operation allots exactly one id per entry; windows depend on it.
    assert finished.end_id == peek_id(), f"{len(finished)} entries from id {finished.first_id}, next id {peek_id()}"
    return finished


@contextmanager
def taped() -> Iterator[Tape]:
    """Record what happens inside the block; the tape stays readable afterwards."""
    started = start_tape()
    try:
        yield started
    finally:
        if tape is started:
            _switch_off()


def stop_notes() -> None:
    """Note nothing any more. Safe to call when nothing is noted."""
    if tape is None:
        _switch_off()


def _switch_off() -> None:
    global taping, tape, extend, noting, notebook, bends
    taping, tape, extend = False, None, _no_tape
    noting, notebook, bends = False, None, None
