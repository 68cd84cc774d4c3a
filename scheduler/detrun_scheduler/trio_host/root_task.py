"""The root task of a run: trio's, which has all others below it, with as few nurseries as can be.

trio's root task opens two nurseries. The system nursery has the main task and system tasks. Around it stands a nursery
for one task alone, which runs the callbacks of `TrioToken.run_sync_soon`. Hardly a program has any, and a nursery is a
tenth of a small run. So that one is made when the first task is put in it, and takes the place in trio's tree of
nurseries and cancel scopes that it would have had. The steps of the root task are the same either way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import outcome
import trio
from trio.lowlevel import Task

from detrun_scheduler.trio_host.ordered import OrderedAsyncGenerators, OrderedCancelStatus
from detrun_scheduler.trio_host.private import EntryQueue, cancel


class Rooted(Protocol):
    """What the root task asks of the host."""

    tasks: set[Task]
    init_task: Task | None
    main_task: Task | None
    main_task_outcome: outcome.Outcome[Any] | None
    entry_task: Task | None
    entry_nursery: trio.Nursery | None
    system_nursery: trio.Nursery | None
    entry_queue: EntryQueue
    asyncgens: Any
    strict_exception_groups: bool
    awaits_abandoned: bool
    failure_seen: Callable[[BaseException], object] | None

    @property
    def spawn_impl(self) -> Any:
        """trio's method that spawns a task."""

    def start_entry_task(self) -> None:
        """Spawn the task that runs `TrioToken.run_sync_soon` callbacks."""


@trio.lowlevel.enable_ki_protection
async def init(host: Rooted, async_fn: Callable[..., Awaitable[object]], args: Sequence[object]) -> None:
    """The root task: trio's, with the main task in the system nursery (`Host.exited` cancels that when main is done)
    and the entry-queue task only on demand.
    """
    around: Any = None
    try:
        async with trio.open_nursery() as host.system_nursery:
            try:
                host.main_task = host.spawn_impl(async_fn, args, host.system_nursery, None)
            except BaseException as error:
                host.main_task_outcome = outcome.Error(error)
                if host.failure_seen is not None:
                    host.failure_seen(error)
        if host.main_task is not None:
            await _finish(host)
    except BaseException as error:
        around = _manager_of_entry_nursery(host)
        if not await around.__aexit__(type(error), error, error.__traceback__):
            raise
    else:
        if host.entry_nursery is None:
            await trio.lowlevel.cancel_shielded_checkpoint()  # as at the end of an empty nursery
        else:
            await _manager_of_entry_nursery(host).__aexit__(None, None, None)
    finally:
        del around, host  # no cycle of garbage through the traceback of an error


async def _finish(host: Rooted) -> None:
    """The system nursery is closed: wait for what may outlive it."""
    if len(host.tasks) > 1 + (host.entry_task is not None):
        # Tasks of a nursery that was abandoned by misnesting. trio's batches happen to end them before this
        # task gets here; ours may step this one first, and it has to be the last.
        host.awaits_abandoned = True
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
    generators: OrderedAsyncGenerators = host.asyncgens
    if host.entry_task is not None or generators.alive or generators.trailing_needs_finalize:
        if host.entry_task is None:
            host.start_entry_task()
        await generators.finalize_remaining(host)  # type: ignore[arg-type]  # the host is a runner
        cancel(open_entry_nursery(host).cancel_scope, "shutdown", "main task done, no more callbacks")
    host.entry_queue.done = True


def open_entry_nursery(host: Rooted) -> trio.Nursery:
    """The nursery around the system nursery, made when it is first asked for."""
    if host.entry_nursery is not None:
        return host.entry_nursery
    task, scope = host.init_task, trio.CancelScope()
    assert task is not None
    status = scope._cancel_status = OrderedCancelStatus(scope=scope, parent=None)
    inside = task._cancel_status
    task._activate_cancel_status(status)
    nursery = host.entry_nursery = trio.Nursery._create(task, scope, host.strict_exception_groups)
    # It stands around what is open already.
    task._child_nurseries.insert(0, task._child_nurseries.pop())
    if inside is not None:
        inside.parent = status
        task._activate_cancel_status(inside)
    return nursery


def _manager_of_entry_nursery(host: Rooted) -> Any:
    """What ends it, and is seen in tracebacks as trio's own is."""
    manager: Any = trio.open_nursery()
    manager._nursery = open_entry_nursery(host)
    manager._scope = manager._nursery.cancel_scope
    return manager
