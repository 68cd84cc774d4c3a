"""Tasks that wait and to which nothing refers: in life the collector of cycles may take them at any moment.

asyncio's loop refers to its tasks weakly. So a task lives as long as the program keeps it, or as something that lives
keeps what it waits for: a timer, a socket that is watched, a queue in a variable. Otherwise the task, its coroutine and
the future that it waits for refer to each other only. Some day the program's log says "Task was destroyed but it is
pending!" (documentation of `asyncio.create_task`: save a reference).

Nothing can wake such a task, so one look is enough, when the main task has ended. It takes things as they stood at the
beginning of that task's last step, whose variables are kept for the look.

The method is the collector's own: from the reference counts of a set of objects it subtracts the references that come
from within the set. It begins with the tasks, goes to what refers to them, and frees nothing. A task counts as kept
where the look grows too large (`MOST`), and where an object is referred to by something that the collector does not
know.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterable
from types import FrameType, ModuleType
from typing import Any

from detrun_scheduler.asyncio_host.main_thread import AsyncioMain
from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.threads.simulated_thread import SimulatedThread

MOST = 300  # objects one reference further from the tasks: the collector compares each reference with each of them
_LIVING = (ModuleType, FrameType, SimulatedThread, AsyncioMain, type)  # what counts as living if it refers to something


def unreferenced(tasks: list[Any], frames: Iterable[FrameType]) -> list[Any]:
    """Those of ``tasks`` to which nothing alive refers, directly or by way of other objects.

    Args:
        tasks: that wait. The caller has no other reference to them.
        frames: that live.
    """
    if not tasks:
        return []
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
