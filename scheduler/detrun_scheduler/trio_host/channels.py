"""Memory channels that tell the active run which messages enter and leave their buffers."""

from __future__ import annotations

from typing import Any

import trio

from detrun_scheduler import current
from detrun_scheduler.trio_host.private import CHANNEL_MODULE, MemoryChannelState


class NumberedChannelState(MemoryChannelState[Any]):
    """A memory channel's state that remembers the number which the active run gave it.

    Invariant: ``number`` is the channel's number in the run whose serial is ``serial``; both are -1 until one gives it.
    """

    __slots__ = ("number", "serial")

    def __init__(self, max_buffer_size: float) -> None:
        super().__init__(max_buffer_size)
        self.serial = -1
        self.number = -1


def install() -> None:
    """Make memory channels journal their buffers, for the life of the process; called once."""
    send_nowait, receive_nowait = trio.MemorySendChannel.send_nowait, trio.MemoryReceiveChannel.receive_nowait

    @trio.lowlevel.enable_ki_protection
    def journaled_send_nowait(self: Any, value: Any) -> None:
        run = current.run
        if run is None:
            return send_nowait(self, value)
        state = self._state
        buffered = not state.receive_tasks
        send_nowait(self, value)
        # A value handed to a waiting receiver shows as that task's wake-up.
        if buffered:
            run.message_entered(state)
        return None

    @trio.lowlevel.enable_ki_protection
    def journaled_receive_nowait(self: Any) -> Any:
        run = current.run
        if run is None:
            return receive_nowait(self)
        state = self._state
        was_buffered, sender_waited = bool(state.data), bool(state.send_tasks)
        value = receive_nowait(self)
        if was_buffered:
            if sender_waited:
                run.message_entered(state)
            run.message_left(state)
        return value

    for journaled, original in ((journaled_send_nowait, send_nowait), (journaled_receive_nowait, receive_nowait)):
        journaled.__name__, journaled.__qualname__ = original.__name__, original.__qualname__
        journaled.__doc__ = original.__doc__
    trio.MemorySendChannel.send_nowait = journaled_send_nowait  # type: ignore[method-assign]
    trio.MemoryReceiveChannel.receive_nowait = journaled_receive_nowait  # type: ignore[method-assign]
    CHANNEL_MODULE.MemoryChannelState = NumberedChannelState
