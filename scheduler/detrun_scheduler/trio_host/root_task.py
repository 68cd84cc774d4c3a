"""The root task of a run, which has all others below it: trio's, with the main task in the system nursery.

In a run that ends as most do the root task takes three steps, of which trio's own code is the larger part of a small
run: it opens two nurseries and spawns the main task, it leaves the one nursery, it leaves the other. So `Root` takes
these steps by itself, and leaves the state behind that trio's code would. Where anything else is to be done (a system
task has failed, asynchronous generators are left, tasks outlive their nursery) it goes on by trio's code, from where
that would be. A nursery that it has left is opened again in a later run, if nothing else knows it and nothing in it has
changed: a program cannot tell it from a new one.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from sys import getrefcount
from types import SimpleNamespace, TracebackType
from typing import Any, Protocol
from weakref import getweakrefcount

import outcome
import trio
from trio.lowlevel import Abort, Task

from detrun_scheduler.trio_host.ordered import OrderedAsyncGenerators, OrderedCancelStatus
from detrun_scheduler.trio_host.private import (
    CHECKPOINT_TRAP,
    CONTEXT,
    DETACH_TRAP,
    WAIT_TRAP,
    EntryQueue,
    NurseryManager,
    cancel,
)


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

    def spawn_main(self, async_fn: Callable[..., Awaitable[object]], args: Sequence[object]) -> Task:
        """Spawn the main task, in the system nursery."""

    def start_entry_task(self) -> None:
        """Spawn the task that runs `TrioToken.run_sync_soon` callbacks."""


def _aborted(_: object) -> Abort:
    """The root task waits for its nursery, however often it is cancelled."""
    return Abort.FAILED


_aborted.__qualname__ = "Nursery.__aexit__"  # what listings call the wait
_WAIT = WAIT_TRAP(_aborted)
_ENDED = DETACH_TRAP(outcome.Value(None))


class Root:
    """The coroutine of the root task, as far as trio and the run loop need one."""

    __slots__ = ("args", "async_fn", "begun", "host", "left", "rest")

    is_stackless = True  # it is never suspended in the midst of something
    pending = "Nursery.__aexit__"  # what it resumes from, once it has begun
    cr_running = False
    cr_frame = None  # `rest` has frames
    __name__ = __qualname__ = "init"

    def __init__(self, host: Rooted, async_fn: Callable[..., Awaitable[object]], args: Sequence[object]) -> None:
        self.host: Any = host
        self.async_fn: Any = async_fn
        self.args = args
        self.begun = self.left = False  # the system nursery has been left
        self.rest: Coroutine[Any, Any, None] | None = None  # trio's code, where that is needed

    def send(self, message: Any) -> Any:
        """Take one step."""
        if self.rest is not None:
            return self.rest.send(message)
        if not self.begun:
            return self._begin()
        message.unwrap()
        if self.left:
            _leave(self.host.entry_nursery)
            return self._end()
        if self._is_quiet():
            host = self.host
            _leave(host.system_nursery)
            host.entry_queue.done = True
            entry = host.entry_nursery
            entry._nested_child_running = False
            entry._closed = self.left = True
            return CHECKPOINT_TRAP
        rest = self.rest = _leave_by_trio(self.host, True)
        rest.send(None)  # to where a nursery that was closed at once has a schedule point; this one has waited
        return rest.send(message)

    def _begin(self) -> Any:
        host, async_fn, args = self.host, self.async_fn, self.args
        self.begun = True
        self.async_fn = self.args = ()
        task: Any = CONTEXT.task
        host.entry_nursery = _opened(task, host.strict_exception_groups)
        system = host.system_nursery = _opened(task, host.strict_exception_groups)
        try:
            host.main_task = host.spawn_main(async_fn, args)
        except BaseException as error:
            host.main_task_outcome = outcome.Error(error)
            if host.failure_seen is not None:
                host.failure_seen(error)
            self.rest = _leave_by_trio(host, False)
            return self.rest.send(None)
        system._nested_child_running = False
        system._parent_waiting_in_aexit = True
        return _WAIT

    def _is_quiet(self) -> bool:
        """Whether nothing is left but to go."""
        host = self.host
        system, entry = host.system_nursery, host.entry_nursery
        generators = host.asyncgens
        status = system.cancel_scope._cancel_status
        return not (
            len(host.tasks) > 1
            or host.entry_task is not None
            or generators.alive.data
            or generators.trailing_needs_finalize
            or system._pending_excs
            or entry._pending_excs
            or status is None
            or len(status._tasks) > 1
            or status._children
            or system.cancel_scope._registered_deadline != math.inf
            or entry.cancel_scope._registered_deadline != math.inf
            or len(host.init_task._child_nurseries) != 2
        )

    def _end(self) -> Any:
        # The host's task refers to this, and the nurseries to the task: the whole run would be a cycle of garbage.
        self.host = None
        return _ENDED

    def throw(self, *error: Any) -> Any:
        """Only a run that is given up throws something in."""
        return self.close()

    def close(self) -> None:
        """End now."""
        self._end()
        self.begun = True
        if self.rest is not None:
            self.rest.close()

    @property
    def ends_alone(self) -> bool:
        """Whether it has returned, and no nursery, scope or lock of trio's ends with it."""
        return self.rest is None

    @property
    def cr_await(self) -> Any:
        """What it stands in."""
        return self.rest

    @property
    def cr_suspended(self) -> bool:
        """Whether it has begun and not ended."""
        return self.begun and self.host is not None


# Nurseries that have been left, for later runs: to make one, with its scope and the scope's status, takes 3 µs.
_spares: list[Any] = []
SPARES_MAX = 2


def _made() -> Any:
    """A nursery that is not open, with its scope and the scope's status."""
    scope = trio.CancelScope()
    scope._has_been_entered = True
    status = scope._cancel_status = OrderedCancelStatus(scope, None)
    nursery: Any = trio.Nursery.__new__(trio.Nursery)  # its metaclass has no public constructor
    nursery.__init__(SimpleNamespace(_child_nurseries=[], _cancel_status=status), scope, True)
    nursery._parent_task = scope._cancel_status = None
    return nursery


def _taken(nurseries: list[Any]) -> tuple[Any, tuple[int, ...]]:
    """The last of ``nurseries``, which loses it; and how many refer to it, to its scope and to the scope's status."""
    nursery = nurseries.pop()
    scope, status = nursery.cancel_scope, nursery._cancel_status
    weak = getweakrefcount(nursery) + getweakrefcount(scope) + getweakrefcount(status)
    return nursery, (getrefcount(nursery), getrefcount(scope), getrefcount(status), weak)


_ALONE = _taken([_made()])[1]
_ATTRIBUTES = len(vars(_made()))


def _is_as_made(nursery: Any) -> bool:
    """Whether the run in which a nursery was open has left nothing in it, a change of its scope for one."""
    scope, status = nursery.cancel_scope, nursery._cancel_status
    return not (
        scope._cancel_called
        or scope._shield
        or scope._deadline != math.inf
        or status.effectively_cancelled
        or status._tasks
        or status._children
        or nursery._children
        or nursery._pending_starts
        or len(vars(nursery)) != _ATTRIBUTES
    )


def _opened(task: Any, strict_exception_groups: bool) -> trio.Nursery:
    """A nursery that ``task`` has opened: what `NurseryManager.__aenter__` makes, or one of an earlier run.

    That has to be one which nothing else knows any more, neither a task nor a variable of that run.
    """
    nursery: Any
    nursery, references = _taken(_spares) if _spares else (None, ())
    if references != _ALONE or not _is_as_made(nursery):
        nursery = _made()
    outside, status = task._cancel_status, nursery._cancel_status
    if outside is not None:
        outside._tasks.remove(task)
        outside._children.add(status)
        status._parent = outside
    status._tasks.add(task)
    task._cancel_status = nursery.cancel_scope._cancel_status = status
    nursery._parent_task = task
    nursery._strict_exception_groups = strict_exception_groups
    nursery._nested_child_running = True
    nursery._parent_waiting_in_aexit = nursery._closed = False
    task._child_nurseries.append(nursery)
    return nursery  # type: ignore[no-any-return]


def _leave(nursery: Any) -> None:
    """The innermost nursery of the root task, which is closed, has no errors and no scopes inside it, is left."""
    task, scope = nursery._parent_task, nursery.cancel_scope
    task._child_nurseries.pop()
    status = scope._cancel_status
    outside = task._cancel_status = status._parent
    status._tasks.remove(task)
    if outside is not None:
        outside._tasks.add(task)
        outside._children.remove(status)
        status._parent = None
    scope._cancel_status = None
    nursery._parent_task = None
    if len(_spares) < SPARES_MAX:
        _spares.append(nursery)


class _Opened:
    """A nursery that is open already, as a context manager."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._scope = nursery.cancel_scope

    async def __aenter__(self) -> None:
        """It is open already."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return await NurseryManager.__aexit__(self, kind, error, trace)  # type: ignore[arg-type]  # has its attributes


@trio.lowlevel.enable_ki_protection
async def _leave_by_trio(host: Rooted, has_main: bool) -> None:
    """Leave the system nursery, and end."""
    assert host.entry_nursery is not None
    assert host.system_nursery is not None
    async with _Opened(host.entry_nursery):
        async with _Opened(host.system_nursery):
            pass
        if has_main:
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
