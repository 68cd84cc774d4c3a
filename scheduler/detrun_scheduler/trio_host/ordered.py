"""Sets in insertion order where trio walks sets ordered by address: cancellation and asynchronous generators."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable
from typing import Any

import trio

from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.running_loop import running_loop
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

    __slots__ = ()

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

    def __init__(self, items: Iterable[Any] = ()) -> None:
        super().__init__()
        self.data = OrderedSet()
        for item in items:
            self.add(item)


_NO_HOOKS: Any = (None, None)


class _RunnerNow:
    """The runner, as the hooks know it, of whichever run they serve."""

    __slots__ = ("runner",)

    def __init__(self) -> None:
        self.runner: Runner | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.runner, name)


class OrderedAsyncGenerators(AsyncGenerators):
    """trio's asynchronous generator hooks, finalizing in the order of first iteration instead of by address.

    Making the hooks costs several µs, so one whose hooks no living generator has serves later runs, too.

    Generators that are begun in a step of an event loop of asyncio's are that loop's.

    Attributes:
        owners: the loops of such generators that live. By address: when a generator is finalized, weak references to
            it are dead already.
    """

    __slots__ = ("hooks", "now", "owners")

    def __init__(self) -> None:
        # Ordered where trio has a `WeakSet` and a `set`, hence the mark.
        super().__init__(alive=OrderedWeakSet(), trailing_needs_finalize=OrderedSet())  # type: ignore[arg-type]
        self.hooks: Any = None
        self.now: Any = _RunnerNow()
        self.owners: dict[int, Any] = {}

    def install_hooks(self, runner: Runner) -> None:
        """Look after the generators of a run, until `close`."""
        self.now.runner = runner
        if self.hooks is None:
            super().install_hooks(self.now)  # which has what they ask for
            before = self.prev_hooks
            self.hooks = self._shared(*sys.get_asyncgen_hooks())
        else:
            before = sys.get_asyncgen_hooks()
        self.prev_hooks = before
        sys.set_asyncgen_hooks(*self.hooks)

    def _shared(self, first: Any, final: Any) -> tuple[Any, Any]:
        """Hooks that leave to trio's what is no generator of asyncio's."""
        owners = self.owners

        @trio.lowlevel.enable_ki_protection
        def begin(generator: Any) -> Any:
            loop = running_loop()
            if loop is None:
                owners.pop(address_of(generator), None)
                return first(generator)
            owners[address_of(generator)] = loop
            return loop.generator_begins(generator)

        @trio.lowlevel.enable_ki_protection
        def finish(generator: Any) -> Any:
            loop = owners.pop(address_of(generator), None)
            return final(generator) if loop is None else loop.generator_is_finalized(generator)

        return begin, finish

    @property
    def is_spare(self) -> bool:
        """Whether a later run can have this after the run is over: no generator would come back to it."""
        alive = self.alive
        return type(alive) is OrderedWeakSet and not (
            alive.data or self.trailing_needs_finalize or self.foreign or self.owners
        )

    def rest(self) -> None:
        """Wait for a later run; what was there before this one is let go of."""
        self.now.runner = None
        self.prev_hooks = _NO_HOOKS

    def end(self) -> None:
        """Let go of the hooks and the runner, which know this: a cycle of garbage."""
        self.hooks = self.now = None

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
