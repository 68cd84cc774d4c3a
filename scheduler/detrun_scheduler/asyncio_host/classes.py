"""Classes of asyncio by which a program makes tasks, futures and event loops itself: what they mean in a run.

``asyncio.Task(...)`` and ``asyncio.Future()`` make those of a simulated loop, and the classes of asyncio's own loops
make simulated loops. Sets of tasks and futures are ordered by their hashes. asyncio's own hash by address, so that a
set of them has another order in each process; those of a simulated loop hash by the order in which they were made, and
so do those of classes that a program has derived from asyncio's. These keep that ``__hash__``; outside of runs it
gives what it gave before. ``asyncio.all_tasks`` goes through a set that lives as long as the process, whose order
depends on what was in it before.

The classes written in C cannot be changed. What a program makes by a name of theirs that it took before the run, as by
``from asyncio import Task``, hashes by address.
"""

from __future__ import annotations

import asyncio
import sys
from abc import ABCMeta
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from detrun_scheduler import current
from detrun_scheduler.asyncio_host.event_loop import SimulatedEventLoop
from detrun_scheduler.asyncio_host.tasks import Future, making, new_task
from detrun_scheduler.threads.calling import is_of_the_run

_ORIGINAL_TASK: Any = asyncio.Task
_ORIGINAL_FUTURE: Any = asyncio.Future
_ORIGINAL_ALL_TASKS: Any = asyncio.all_tasks
_ORIGINAL = "original"  # in the dictionary of a class that stands for another one
_OF_RUNS = "of_runs"
_NUMBER = "detrun_number"


class _Standing(ABCMeta):
    """Classes that stand for some of asyncio's: all instances of those are theirs. May be mixed with abstract ones."""

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        own = cls.__dict__
        if _ORIGINAL not in own:  # a program has derived it
            return super().__call__(*arguments, **options)
        return own[_OF_RUNS if is_of_the_run() else _ORIGINAL](*arguments, **options)

    def __instancecheck__(cls, instance: Any) -> bool:
        original = cls.__dict__.get(_ORIGINAL)
        return super().__instancecheck__(instance) if original is None else isinstance(instance, original)

    def __subclasscheck__(cls, subclass: Any) -> bool:
        original = cls.__dict__.get(_ORIGINAL)
        return super().__subclasscheck__(subclass) if original is None else issubclass(subclass, original)


def standing_for(original: Any, of_runs: Callable[..., Any], **more: Any) -> Any:
    """A class that makes what ``of_runs`` makes in a run, and elsewhere what ``original`` makes.

    Args:
        more: what classes that are derived from it inherit.
    """
    own = {_ORIGINAL: original, _OF_RUNS: of_runs, "__module__": original.__module__, **more}
    return _Standing(original.__name__, (original,), own)


def _task(coro: Any, *, loop: Any = None, name: Any = None, context: Any = None, **options: Any) -> Any:
    if loop is None:
        loop = asyncio.get_event_loop()
    if not isinstance(loop, SimulatedEventLoop):
        return _ORIGINAL_TASK(coro, loop=loop, name=name, context=context, **options)
    return new_task(coro, loop, loop.counts, making(sys._getframe(1)), name, context, **options)


def _future(*, loop: Any = None) -> Any:
    if loop is None:
        loop = asyncio.get_event_loop()
    return Future(loop=loop) if isinstance(loop, SimulatedEventLoop) else _ORIGINAL_FUTURE(loop=loop)


def _hash_in_order(self: Any) -> int:
    number: int | None = getattr(self, _NUMBER, None)
    if number is None:
        run: Any = current.run
        of_a_run = run is not None and run.asyncio is not None and is_of_the_run()
        number = next(run.asyncio.numbers) if of_a_run else object.__hash__(self)
        setattr(self, _NUMBER, number)
    return number


def number_derived(kind: Any = _ORIGINAL_FUTURE) -> None:
    """Let instances of classes that programs have derived from asyncio's hash by the order in which they are made."""
    one: Any
    for one in type.__subclasses__(kind):
        if one is not _ORIGINAL_TASK and one.__hash__ is object.__hash__:
            with suppress(TypeError):  # it is written in C
                one.__hash__ = _hash_in_order
        number_derived(one)


def _all_tasks(loop: Any = None) -> set[Any]:
    """As asyncio's. The set is filled in the order of hashes, on which its own order depends where these collide."""
    return set(sorted(_ORIGINAL_ALL_TASKS(loop), key=hash))  # noqa: C414  # see above


_TASK = standing_for(_ORIGINAL_TASK, _task, __hash__=_hash_in_order)
_FUTURE = standing_for(_ORIGINAL_FUTURE, _future, __hash__=_hash_in_order)
# What these names stand for, in the modules of asyncio that have them.
OF_ASYNCIO = {"Task": _TASK, "Future": _FUTURE, "all_tasks": _all_tasks}
OF_TASKS = {"Task": _TASK, "all_tasks": _all_tasks}
OF_FUTURES = {"Future": _FUTURE}
