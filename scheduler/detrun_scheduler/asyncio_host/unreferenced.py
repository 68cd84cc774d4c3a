"""Tasks that wait and that nothing refers to: in life the collector of cycles may take them at any moment.

asyncio's loop refers to its tasks weakly, so a task lives as long as the program keeps it, or as what it waits for is
kept by something that lives: a timer, a socket that is watched, a queue in a variable. Where neither is so, the task,
the coroutine and the future that it waits for refer to each other alone, and some day the program's log says "Task was
destroyed but it is pending!" (documentation of `asyncio.create_task`: save a reference).

Nothing can wake such a task. So one look is enough, when the main task has ended, at how things stood at the beginning
of its last step: the variables that it had then are kept for the look. The method is the collector's own, reference
counts less the references that come from within a set of objects. It goes from the tasks to what refers to them, and
frees nothing. Where it gives up (`MOST`), and where an object is referred to by something that the collector does not
know, a task counts as kept.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterable
from os.path import basename
from types import CodeType, FrameType, ModuleType
from typing import Any

from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.threads.simulated_thread import SimulatedThread

DESTROYED = "Task was destroyed but it is pending!"  # what asyncio says of a task that is collected while it waits
MOST = 300  # objects one reference further from the tasks: the collector compares each reference with each of them
_BETWEEN = frozenset(("asyncio", "detrun_scheduler"))  # packages that stand between a task and the code that makes it
_LIVING = (ModuleType, FrameType, SimulatedThread, type)  # what counts as living if it refers to something


class LostTaskWarning(RuntimeWarning):
    """A task waits, and nothing that lives refers to it or to what it waits for."""


Making = tuple[CodeType, int]  # the code that made a task, and the instruction


def making() -> Making:
    """Where the task is being made whose constructor calls this."""
    frame: Any = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def lost(task: Any, made: Making | None) -> LostTaskWarning:
    """What is reported of ``task``."""
    name = getattr(task.get_coro(), "__qualname__", type(task).__qualname__)
    place = "" if made is None else f", made at {basename(made[0].co_filename)}:{_line(*made)},"
    return LostTaskWarning(
        f"a task of {name!r}{place} waits, and nothing refers to it, so that it may be collected before its end; keep "
        "it in a variable, a set or an asyncio.TaskGroup"
    )


def _line(code: CodeType, instruction: int) -> int:
    lines = (line for begin, end, line in code.co_lines() if begin <= instruction < end and line is not None)
    return next(lines, code.co_firstlineno)


def unreferenced(tasks: list[Any], frames: Iterable[FrameType]) -> list[Any]:
    """Those of ``tasks`` that nothing alive refers to, be it by way of other objects.

    Args:
        tasks: that wait. The caller has no other reference to them.
        frames: that live.
    """
    given = {address_of(task) for task in tasks}
    known = dict.fromkeys(given)  # what has been looked at
    targets: dict[int, Counter[int]] = {}  # how often an object refers to which
    alive = set(map(address_of, frames))
    own = set(map(address_of, (tasks, frames, given, known, targets, alive)))
    frontier = tuple(tasks)
    while frontier:
        if len(frontier) > MOST:
            return []
        found, at = gc.get_referrers(*frontier), {}
        for one in found:
            where = address_of(one)
            if where not in own and one is not frontier:
                at[where] = one
        del found
        references: Counter[int] = Counter()
        for where, one in at.items():
            if where not in targets:
                targets[where] = Counter(map(address_of, gc.get_referents(one)))
            references.update(targets[where])
        for one in frontier:
            where = address_of(one)
            here = 3 + (where in at) + (where in given)  # the frontier, ``one``, an argument; ``at``; ``tasks``
            if sys.getrefcount(one) - here > references[where]:
                alive.add(where)
        behind = {address_of(one) for one in frontier} - alive
        following = []
        for where, one in at.items():
            if where not in known and not behind.isdisjoint(targets[where]):
                known[where] = None
                if where in alive or issubclass(type(one), _LIVING):
                    alive.add(where)
                else:
                    following.append(one)
        del one, at
        frontier = tuple(following)
        del following
    spreading = list(alive)
    while spreading:
        for where in targets.get(spreading.pop(), ()):
            if where in known and where not in alive:
                alive.add(where)
                spreading.append(where)
    return [task for task in tasks if address_of(task) not in alive]
