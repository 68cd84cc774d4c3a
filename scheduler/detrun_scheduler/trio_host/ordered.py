"""Sets in insertion order where trio walks sets ordered by address: cancellation and asynchronous generators."""

from __future__ import annotations

import weakref
from typing import Any

import trio

from detrun_scheduler.trio_host.private import RUN_MODULE, AsyncGenerators, CancelStatus, Runner, name_asyncgen


class OrderedSet(dict[Any, None]):
    """The part of ``set`` that trio uses on its sets of tasks and of cancel statuses, in insertion order."""

    __slots__ = ()

    add = dict.setdefault  # puts an item at the end, unless it is there; with None, its only value

    def discard(self, item: Any) -> None:
        """Take ``item`` out, if it is there."""
        dict.pop(self, item, None)

    remove = dict.__delitem__


class OrderedCancelStatus(CancelStatus):
    """A cancel status that cancels its tasks and its children in the order in which they came."""

    def __init__(self, scope: Any, parent: Any) -> None:
        # trio's at half the cost. A new status has no task and no child, and is looked at where it may be cancelled.
        self._scope = scope
        self._parent = parent
        self._tasks = OrderedSet()  # type: ignore[assignment]
        self._children = OrderedSet()  # type: ignore[assignment]
        self.effectively_cancelled = self.abandoned_by_misnesting = False
        if parent is not None:
            parent._children.add(self)
            if parent.effectively_cancelled or scope._cancel_called:
                self.recalculate()

    @property
    def children(self) -> Any:
        """A copy; `Nursery.start` walks it."""
        return tuple(self._children)

    @property
    def tasks(self) -> Any:
        """A copy; `Nursery.start` walks it."""
        return frozenset(self._tasks)


class OrderedWeakSet(weakref.WeakSet[Any]):
    """Weak references in insertion order; a ``WeakSet`` because trio tells the phases of a run apart by that type."""

    def __init__(self) -> None:
        super().__init__()
        self.data = OrderedSet()


class OrderedAsyncGenerators(AsyncGenerators):
    """trio's asynchronous generator hooks, finalizing in the order of first iteration instead of by address."""

    def __init__(self) -> None:
        # Ordered where trio has a `WeakSet` and a `set`, hence the mark.
        super().__init__(alive=OrderedWeakSet(), trailing_needs_finalize=OrderedSet())  # type: ignore[arg-type]

    async def finalize_remaining(self, runner: Runner) -> None:
        """Close every generator that is left; mirrors trio's method of this name, with ordered sets."""
        self.alive = OrderedSet.fromkeys(self.alive)  # type: ignore[assignment]
        # Let finalizers that were already queued run first.
        assert runner.init_task is not None
        runner.entry_queue.run_sync_soon(runner.reschedule, runner.init_task)
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        for generator in self.trailing_needs_finalize:
            self.alive.add(generator)
        self.trailing_needs_finalize.clear()
        while self.alive:
            batch = self.alive
            self.alive = OrderedSet()  # type: ignore[assignment]
            for generator in batch:
                await self._finalize_one(generator, name_asyncgen(generator))


def install() -> None:
    """Let trio make ordered cancel statuses, for the life of the process."""
    RUN_MODULE.CancelStatus = OrderedCancelStatus
