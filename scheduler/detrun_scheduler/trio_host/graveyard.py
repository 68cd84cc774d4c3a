"""Disposal of suspended coroutines that will never go on: they are freed, and none of their code runs.

A suspended coroutine that is thrown away gets ``GeneratorExit``, and its ``finally`` and ``except`` blocks run. Those
of a process that was killed must not: not during the run, and not after it. So they are kept until the run is over,
and then made to look finished, after which CPython frees their frames and runs nothing. The same is done to what they
were suspended in: coroutines that they awaited, the generators of ``@contextmanager``, asynchronous generators.

Looking finished is one byte of the generator object, ``gi_frame_state``, which Python does not let one write. Its place
is found, not assumed: once per process a coroutine is watched in the states whose numbers are known, and there must be
exactly one byte that takes them. Where there is not (another Python, another implementation) the coroutines are kept
for as long as the process lives, which costs memory and keeps the promise. What has a ``__del__`` of its own, an open
file among it, is finalized as usual when the run is over. Simulated threads are another matter (`dead_threads`).
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections import deque
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import lru_cache, partial
from types import AsyncGeneratorType, GeneratorType, MethodType
from typing import Any, Protocol

from greenlet import greenlet

from detrun_scheduler.trio_host.dead_threads import free
from detrun_scheduler.trio_host.pending import SUSPENDABLE, WRAPPERS

# What may stand between a frame and the generator that it is suspended in. A generator that is only found through
# something else, such as an attribute of an object of the program, may be in use elsewhere and is let be.
_HOLDERS = (MethodType, AbstractContextManager, AbstractAsyncContextManager)
_PARTS_OF_HOLDERS = (dict, deque, tuple, partial)

# Frame states of CPython's pycore_frame.h: (created, suspended, finished) as seen from outside.
_STATES = {(3, 11): (-2, -1, 4), (3, 12): (-2, -1, 4), (3, 13): (-3, -2, 4)}
_EXECUTING, _COMPLETED = 0, 1

_kept: list[Any] = []  # where nothing better can be done


class Discarding(Protocol):
    """A set, as far as the graveyard needs one."""

    def discard(self, item: Any) -> None:
        """Take ``item`` out if it is there."""


def lay_out(dead: list[Any], coroutine: Coroutine[Any, Any, Any], to_be_finalized: Discarding) -> None:
    """Keep ``coroutine`` and what it is suspended in as ``dead``; take its generators off ``to_be_finalized``."""
    if getattr(coroutine, "is_stackless", False):
        return  # there is nothing that would run, and what steps through it is laid out by itself
    for one in suspended_in(coroutine):
        dead.append(one)
        if isinstance(one, AsyncGeneratorType):
            to_be_finalized.discard(one)


def bury(dead: list[Any]) -> None:
    """The run is over: empty ``dead`` and free what was in it, running none of it."""
    threads: list[greenlet] = []
    for one in dead:
        if isinstance(one, greenlet):
            threads.append(one)
        else:
            _finish(one)
    dead.clear()
    if threads:
        _kept.extend(threads if _offset_of_frame_state() is None else free(threads, SUSPENDABLE, _finish))


def _finish(one: Any) -> None:
    """Make a suspended coroutine or generator look finished."""
    offset = _offset_of_frame_state()
    if offset is None or not isinstance(one, SUSPENDABLE):
        _kept.append(one)
        return
    # Read here and not through cr_frame, which makes a frame object, and with it a cycle of garbage.
    state = ctypes.c_int8.from_address(id(one) + offset)
    if state.value < _EXECUTING:  # begun and suspended, or never begun
        state.value = _COMPLETED


def suspended_in(coroutine: Any) -> list[Any]:
    """``coroutine`` and every generator-like object that it would finalize if it were thrown away."""
    found: dict[int, Any] = {id(coroutine): coroutine}  # by identity, in the order of discovery
    waiting: list[tuple[Any, bool]] = [(coroutine, False)]
    while waiting:
        holder, inside = waiting.pop()
        for one in gc.get_referents(holder):
            if id(one) in found or isinstance(one, type):
                continue
            if isinstance(one, SUSPENDABLE):
                found[id(one)] = one
                waiting.append((one, False))
            elif (
                isinstance(one, _HOLDERS)
                or type(one).__name__ in WRAPPERS
                or (inside and isinstance(one, _PARTS_OF_HOLDERS))
            ):
                found[id(one)] = one
                waiting.append((one, True))
    return [one for one in found.values() if isinstance(one, SUSPENDABLE) or one is coroutine]


@lru_cache(maxsize=1)
def _offset_of_frame_state() -> int | None:
    """Where in a generator object its state is, None if that cannot be told."""
    states = _STATES.get(sys.version_info[:2])
    if states is None or sys.implementation.name != "cpython":
        return None

    def watched() -> Any:
        yield

    generator = watched()
    seen = [_bytes_of(generator)]
    next(generator)
    seen.append(_bytes_of(generator))
    next(generator, None)
    seen.append(_bytes_of(generator))
    numbers = [state & 0xFF for state in states]
    places = [
        place for place in range(object.__basicsize__, len(seen[0])) if [state[place] for state in seen] == numbers
    ]
    return places[0] if len(places) == 1 else None


def _bytes_of(generator: Any) -> bytes:
    return ctypes.string_at(id(generator), GeneratorType.__basicsize__)
