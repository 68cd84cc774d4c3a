"""The root task of a run: trio's, which has all others below it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import outcome
import trio
from trio.lowlevel import Task

from detrun_scheduler.trio_host.ordered import OrderedAsyncGenerators
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
    async with trio.open_nursery() as host.entry_nursery:
        async with trio.open_nursery() as host.system_nursery:
            try:
                host.main_task = host.spawn_impl(async_fn, args, host.system_nursery, None)
            except BaseException as error:
                host.main_task_outcome = outcome.Error(error)
                if host.failure_seen is not None:
                    host.failure_seen(error)
                return
        await _finish(host, host.entry_nursery)


async def _finish(host: Rooted, entry_nursery: trio.Nursery) -> None:
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
        cancel(entry_nursery.cancel_scope, "shutdown", "main task done, no more callbacks")
    host.entry_queue.done = True
