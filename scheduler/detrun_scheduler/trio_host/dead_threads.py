"""Disposal of suspended threads that will never go on: their stacks are freed, and none of their code runs.

A suspended greenlet that is thrown away gets ``GreenletExit``, and its ``finally``, ``except`` and ``with`` blocks run.
Those of a process that was killed must not. So while the exception goes through a stack, the code objects of its frames
have no table of exceptions: CPython finds no block to run, and takes each frame off. What the frames' variables hold is
let go afterwards, when the tables are back. A generator that only the stack has had, as that of a ``@contextmanager``,
is made to look finished (`graveyard`), or it would run its own blocks as it is freed.

The place of the table in a code object is found, not assumed: in several code objects there must be one word, always
the same, that is the address of the table. Where there is none (another Python) a thread is kept for as long as the
process lives. So is one that stands in a finalizer: the interpreter swallows what comes out of one, and would go on
with the code below it.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

_WORD = ctypes.sizeof(ctypes.c_size_t)
_NO_TABLE = b""
_FINALIZERS = frozenset(("finalize.__call__",))  # of `weakref`, beside methods of the name ``__del__``


def free(threads: list[greenlet], suspended: tuple[type, ...], finish: Callable[[Any], None]) -> list[greenlet]:
    """Free ``threads``, which belong to the running greenlet; those that could not be.

    Args:
        suspended: the types of what may be suspended: generators and their kin.
        finish: makes one of these look finished.
    """
    left: list[greenlet] = []
    doomed: list[greenlet] = []
    for one in threads:
        if one.gr_frame is None and not one:
            continue  # never begun, or over
        is_ours = one.parent is getcurrent() and _place_of_table() is not None
        (doomed if is_ours and not _is_in_finalizer(one) else left).append(one)
    if doomed:
        # Held, so that none is finalized on the way. The collector knows what the run has made.
        alive = [one for one in gc.get_objects() if type(one) in suspended]
        for one in doomed:
            _free(one)
        _finish_what_is_left(alive, finish)
    return left


def _finish_what_is_left(alive: list[Any], finish: Callable[[Any], None]) -> None:
    """Finish those of ``alive`` that nothing else refers to any more, and what only these have referred to."""
    fresh: list[Any] = [object()]
    one = fresh[0]
    alone = sys.getrefcount(one)
    has_changed = True
    while has_changed:
        has_changed = False
        for index in reversed(range(len(alive))):
            one = alive[index]
            if sys.getrefcount(one) == alone:
                finish(one)
                del alive[index]
                has_changed = True
        one = None


def _free(thread: greenlet) -> None:
    frames = list(_frames(thread))
    with _without_tables({frame.f_code for frame in frames}):
        greenlet.throw(thread, GreenletExit)
    assert thread.dead


def _frames(thread: greenlet) -> Iterator[FrameType]:
    frame = thread.gr_frame
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_in_finalizer(thread: greenlet) -> bool:
    return any(
        frame.f_code.co_name == "__del__" or frame.f_code.co_qualname in _FINALIZERS for frame in _frames(thread)
    )


@contextmanager
def _without_tables(codes: set[CodeType]) -> Iterator[None]:
    place = _place_of_table()
    assert place is not None
    tables = [ctypes.c_size_t.from_address(id(code) + place) for code in codes]
    before = [table.value for table in tables]
    for table in tables:
        table.value = id(_NO_TABLE)
    try:
        yield
    finally:
        for table, value in zip(tables, before, strict=True):
            table.value = value


@lru_cache(maxsize=1)
def _place_of_table() -> int | None:
    """Where in a code object the address of its table of exceptions is, None if that cannot be told."""
    if sys.implementation.name != "cpython":
        return None
    places: set[int] = set()
    for number, function in enumerate((_guarded, _guarded_twice)):
        code = function.__code__
        words = (ctypes.c_size_t * (CodeType.__basicsize__ // _WORD)).from_address(id(code))
        found = {at * _WORD for at, word in enumerate(words) if word == id(code.co_exceptiontable)}
        places = found if not number else places & found
    return places.pop() if len(places) == 1 else None


def _guarded() -> int:
    try:
        return 1
    finally:
        len("")


def _guarded_twice() -> int:
    try:
        return _guarded()
    except ValueError:
        return 2
    finally:
        len("")
