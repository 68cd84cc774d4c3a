"""Mailboxes: messages between nodes as objects, for protocols that are written in messages instead of bytes.

``node.send(to, message)`` puts a copy of the message on the link; ``await node.receive()`` takes the oldest that has
come. Messages travel independently: they may be lost, doubled and overtaken as the link says, and one that reaches a
node without a running process is lost. A `Value` inside a message stays the very `Value`, so adjoint flows through the
network: a dropped message passes none back, and of a duplicated one the copies add up. So it is with tensors.

A message is copied when it is sent, because what the sender changes afterwards has not been sent; so it may be anything
that ``copy.deepcopy`` copies. Frozen dataclasses of plain fields and tuples are not worth copying and are not.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import outcome
import trio
from trio.lowlevel import Abort

from detrun.ad.torch_bridge import copies_with_history, is_tensor
from detrun.ad.value import Value
from detrun.world.network.packet import Packet, Way
from detrun.world.services import Machine
from detrun_scheduler.running_loop import running_loop

Kind: TypeAlias = "type | tuple[type, ...] | None"  # of message, None for any

MESSAGE_BYTES = 512  # what a message counts for where bandwidth is limited, unless `send` is told its size
_ATOMS = frozenset((str, bytes, int, float, bool, complex, type(None), Value))


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as it arrived.

    Attributes:
        sender: the node that sent it.
        sent_at, arrived_at: virtual seconds; `Value`s where the clock was one.
    """

    sender: Machine
    message: Any
    sent_at: Any
    arrived_at: Any


class Mailbox:
    """What has come for the running process of one node, in the order of arrival."""

    __slots__ = ("arrived", "waiting")

    def __init__(self) -> None:
        self.arrived: deque[Envelope] = deque()
        self.waiting: dict[Any, Kind] = {}  # task, or future of one of asyncio's -> the type that it waits for

    async def receive(self, kind: Kind) -> Envelope:
        """The oldest message, or the oldest of a type."""
        loop = running_loop()
        if loop is None:
            await trio.lowlevel.checkpoint_if_cancelled()
        for index, envelope in enumerate(self.arrived):
            if kind is None or isinstance(envelope.message, kind):
                del self.arrived[index]
                await (trio.lowlevel.cancel_shielded_checkpoint() if loop is None else loop.checkpoint())
                return envelope
        if loop is not None:
            return await self._receive_in(loop, kind)
        task = trio.lowlevel.current_task()
        self.waiting[task] = kind

        def leave(_: object) -> Abort:
            del self.waiting[task]
            return Abort.SUCCEEDED

        found: Envelope = await trio.lowlevel.wait_task_rescheduled(leave)
        return found

    async def _receive_in(self, loop: Any, kind: Kind) -> Envelope:
        """Wait in a task of asyncio's; a message that it gets while it is being cancelled is for the next."""
        future = loop.create_future()
        self.waiting[future] = kind
        try:
            found: Envelope = await future
        except BaseException:
            if future.done() and not future.cancelled() and not self._hand_over(future.result()):
                self.arrived.appendleft(future.result())
            raise
        finally:
            self.waiting.pop(future, None)  # empty if the process was killed
        return found

    def waiting_report(self, function: str) -> str:
        """What a task waits for here, for reports of deadlocks."""
        others = len(self.arrived)
        more = f" of the type that it waits for, and {others} of others wait to be read" if others else ""
        return f"Mailbox.{function}: no message comes{more}"

    def put(self, envelope: Envelope) -> None:
        """A message has come; hand it to the task that has waited longest for one like it."""
        if not self._hand_over(envelope):
            self.arrived.append(envelope)

    def _hand_over(self, envelope: Envelope) -> bool:
        for task, kind in self.waiting.items():
            if kind is None or isinstance(envelope.message, kind):
                if type(task) is trio.lowlevel.Task:
                    del self.waiting[task]
                    trio.lowlevel.reschedule(task, outcome.Value(envelope))
                    return True
                if not task.done():  # of asyncio, which takes it out when it goes on
                    task.set_result(envelope)
                    return True
        return False


class Reader(Protocol):
    """A process as its letters see it."""

    mailbox: Mailbox


class Receiver(Protocol):
    """A node as its letters see it."""

    @property
    def process(self) -> Reader | None:
        """The running process, if there is one."""


class Letter(Packet):
    """A message on its way."""

    __slots__ = ("message", "receiver")
    protocol = "mailbox"

    def __init__(self, link: Way, receiver: Receiver, message: Any, size: int) -> None:
        super().__init__(link, size)
        self.receiver = receiver
        self.message = message

    def fire(self) -> None:
        link = self.link
        if not link.arrive(self):
            return
        process = self.receiver.process
        if process is None:
            return  # there is no process that could read it
        link.journal_left()
        process.mailbox.put(Envelope(link.source, self.message, self.sent_at, link.clock.now))

    def copy(self) -> Packet:
        return Letter(self.link, self.receiver, copied(self.message), self.size)

    def describe(self) -> str:
        return f"message {self.message!r}"


def copied(message: Any) -> Any:
    """``message`` itself if it is immutable, else a copy. A tensor's copy has the tensor's history."""
    return message if _is_immutable(message) else copy.deepcopy(message, copies_with_history(_tensors(message, set())))


def _tensors(message: Any, seen: set[int]) -> Iterator[Any]:
    """The tensors in tuples, lists, values of dicts and fields of dataclasses, which may contain themselves."""
    if is_tensor(message):
        yield message
    if type(message) in _ATOMS or id(message) in seen:
        return
    seen.add(id(message))
    parts: Iterable[Any] = ()
    if isinstance(message, tuple | list):
        parts = message
    elif isinstance(message, dict):
        parts = message.values()
    elif (fields := getattr(message, "__dataclass_fields__", None)) is not None and not isinstance(message, type):
        parts = (getattr(message, name, None) for name in fields)
    for one in parts:
        yield from _tensors(one, seen)


def _is_immutable(message: Any) -> bool:
    kind = type(message)
    if kind in _ATOMS:
        return True
    if kind is tuple or kind is frozenset:
        return all(map(_is_immutable, message))
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        return False
    return all(_is_immutable(getattr(message, name)) for name in kind.__dataclass_fields__)
