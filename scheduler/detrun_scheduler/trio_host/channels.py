"""Memory channels that tell the active run which messages are sent and received, see `message_order`.

A message is sent in the step that calls ``send``, also where that waits for room. It is received in the step of the
task that gets it: one that waits is handed the message, and has it when it goes on.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

import trio
from trio.lowlevel import Task

from detrun_scheduler import current
from detrun_scheduler.message_order import IN_LINE, SINCE, MessageOrder
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.trio_host.private import CHANNEL_MODULE, MemoryChannelState

KIND = "channel"


class _Senders(OrderedDict[Task, Any]):
    """The tasks that wait for room with what they send, as trio's channels have them, and the order of all messages.

    It stands here and not in the channel's state so that the two do not point at each other: what a program drops with
    a channel is gone at once.
    """

    __slots__ = ("data", "order", "waiting")

    def __init__(self, data: deque[Any]) -> None:
        super().__init__()
        self.data = data
        self.order = MessageOrder()
        self.waiting: dict[Task, list[bool]] = {}  # by sender: the entry of its message

    def __setitem__(self, task: Task, value: Any) -> None:
        """A sender waits."""
        super().__setitem__(task, value)
        run = current.run
        if run is not None and run.thread_rules >= SINCE:
            entry = self.waiting[task] = [False]
            if self.order.serial != run.serial:
                self.order.begin(run, KIND, len(self.data))
            self.order.sent(run, entry)

    def __delitem__(self, task: Task) -> None:
        """A sender was cancelled, or its end of the channel was closed."""
        super().__delitem__(task)
        entry = self.waiting.pop(task, None)
        if entry is not None:
            entry[0] = True

    def popitem(self, last: bool = True) -> tuple[Task, Any]:
        """The message of a sender enters the buffer."""
        task = next(reversed(self) if last else iter(self))
        value = self[task]
        super().__delitem__(task)
        self.waiting.pop(task, None)
        return task, value

    def clear(self) -> None:
        """The other end was closed."""
        super().clear()
        self.waiting.clear()


class NumberedChannelState(MemoryChannelState[Any]):
    """A memory channel's state that remembers the number which the active run gave it.

    Invariant: ``number`` is the channel's number in the run whose serial is ``serial``; both are -1 until one gives it.
    """

    __slots__ = ()

    send_tasks: _Senders

    def __init__(self, max_buffer_size: float) -> None:
        super().__init__(max_buffer_size)
        self.send_tasks = _Senders(self.data)

    @property
    def order(self) -> MessageOrder:
        """Of its messages."""
        order: MessageOrder = self.send_tasks.order
        return order

    @property
    def serial(self) -> int:
        """See the class."""
        return self.order.serial

    @property
    def number(self) -> int:
        """See the class."""
        return self.order.number


class _Handed:
    """A message in the hands of a task that has waited for it and has not stepped since; trio has it for an outcome."""

    __slots__ = ("order", "value")

    def __init__(self, order: MessageOrder, value: Any) -> None:
        self.order = order
        self.value = value

    def unwrap(self) -> Any:
        """Called by ``wait_task_rescheduled`` in the task's next step."""
        run = current.run
        if run is not None:
            self.order.took(run, self)
        return self.value


def _hand_over(run: ActiveRun, order: MessageOrder, task: Task, value: Any) -> None:
    """A message was handed to a task, which is now runnable."""
    handed: Any = _Handed(order, value)
    host: Any = run.host
    if task in host.held:
        host.held[task] = host.held[task][0], handed
    else:
        task._next_send = handed
    order.sent(run, handed)


def install() -> None:
    """Make memory channels journal their messages, for the life of the process; called once."""
    send_nowait, receive_nowait = trio.MemorySendChannel.send_nowait, trio.MemoryReceiveChannel.receive_nowait

    @trio.lowlevel.enable_ki_protection
    def journaled_send_nowait(self: Any, value: Any) -> None:
        run, state = current.run, self._state
        if run is None or type(state) is not NumberedChannelState:  # made before detrun was imported
            return send_nowait(self, value)
        waiting = next(iter(state.receive_tasks), None) if state.receive_tasks else None
        count = len(state.data)
        send_nowait(self, value)
        order = state.send_tasks.order
        if run.thread_rules >= SINCE:
            if order.serial != run.serial:
                order.begin(run, KIND, count)
            if waiting is None:
                order.sent(run, IN_LINE)
            else:
                _hand_over(run, order, waiting, value)
        elif waiting is None:  # a message that was handed over showed as a wake-up
            run.message_entered(order)
        return None

    @trio.lowlevel.enable_ki_protection
    def journaled_receive_nowait(self: Any) -> Any:
        run, state = current.run, self._state
        if run is None or type(state) is not NumberedChannelState:
            return receive_nowait(self)
        count, sender_waited = len(state.data), bool(state.send_tasks)
        value = receive_nowait(self)
        order = state.send_tasks.order
        if run.thread_rules >= SINCE:
            if order.serial != run.serial:
                order.begin(run, KIND, count)
            order.took_next(run)
        elif count:
            if sender_waited:
                run.message_entered(order)
            run.message_left(order)
        return value

    for journaled, original in ((journaled_send_nowait, send_nowait), (journaled_receive_nowait, receive_nowait)):
        journaled.__name__, journaled.__qualname__ = original.__name__, original.__qualname__
        journaled.__doc__ = original.__doc__
    trio.MemorySendChannel.send_nowait = journaled_send_nowait  # type: ignore[method-assign]
    trio.MemoryReceiveChannel.receive_nowait = journaled_receive_nowait  # type: ignore[method-assign]
    CHANNEL_MODULE.MemoryChannelState = NumberedChannelState
