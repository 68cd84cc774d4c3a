"""A process: one life of a node's program, with what its operating system keeps for it.

Code belongs to the process whose code started it: `_process` is a context variable, which tasks inherit, and threads
too (`node_threads`). A process ends with its last task, or is killed with all of them where they stand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any

import trio

from detrun.world.network.mailbox import Mailbox
from detrun.world.sockets.machine_sockets import Socket

if TYPE_CHECKING:
    from detrun.world.nodes.node import Node

Program = tuple[Callable[..., Awaitable[object]], tuple[Any, ...]]

_process: ContextVar[Process] = ContextVar("detrun_process")


class Process:
    """One life of a node's program: from a start to its end, whichever way it ends."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.context = copy_context()
        self.context.run(_process.set, self)
        self.sockets: dict[Socket, None] = {}
        self.mailbox = Mailbox()
        self.pending: list[Program] = []
        self.nursery: trio.Nursery | None = None
        self.scope = trio.CancelScope()
        self.is_running = True
        self.is_paused = False
        self.ended = trio.Event()
        self.thread_limiter: trio.CapacityLimiter | None = None

    async def run(self) -> None:
        """The process's root task."""
        failure: BaseException | None = None
        try:
            with self.scope:
                async with trio.open_nursery() as self.nursery:
                    for function, arguments in self.pending:
                        self.nursery.start_soon(function, *arguments)
        except BaseException as error:
            failure = self.node.named(error)
        if not self.is_running:
            return  # killed while this very task was running: nobody can hear what it says
        self.end()
        if failure is not None:
            # Out of the handler, lest the group become the context of what it contains: a cycle of garbage.
            try:
                raise failure
            finally:
                del failure

    def start(self, function: Callable[..., Awaitable[object]], arguments: tuple[Any, ...]) -> None:
        """Run one more task in this process."""
        if self.nursery is None:
            self.pending.append((function, arguments))
        else:
            self.context.copy().run(self.nursery.start_soon, function, *arguments)

    def end(self) -> None:
        """The process is over: its operating system takes its sockets back."""
        self.is_running = False
        for one in list(self.sockets):
            one.vanish()
        if self.node.process is self:
            self.node.process = None
        self.ended.set()
        # The context holds this process, and the nursery the tasks that hold the context: cycles of garbage, while
        # exploration keeps the garbage collector off.
        self.nursery = None
        self.pending.clear()
        self.mailbox.waiting.clear()
        del self.context
