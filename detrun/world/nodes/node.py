"""A node: a machine with a name, an address, a disk and a clock, and the process that runs on it.

A machine is on or off; a process runs on it or not. `Node.crash` kills the process as ``kill -9`` would: its tasks are
gone and none of their code runs again, no ``finally``, no ``except``, not even when they are thrown away; the machine's
operating system closes the sockets, so peers see the end of the stream or a reset. `Node.power_loss` takes the machine
down with the process: nothing is sent, peers wait for their time-outs, and the disk keeps what had reached it.
`Node.restart` turns on what is off and runs a program anew, the same or another; the disk is the old one.
`Node.pause` stops the process as SIGSTOP would: the machine goes on receiving for it.

Code belongs to the process whose code started it: `this_node` reads a context variable, and a crash takes every task
that carries it, wherever its nursery is.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, overload

import trio

from detrun.world.network.listener import Listener
from detrun.world.network.mailbox import MESSAGE_BYTES, Envelope, Letter, copied
from detrun.world.network.network import Network
from detrun.world.network.posix import Address
from detrun.world.network.tcp import Connection
from detrun.world.nodes.process import Process, Program
from detrun.world.nodes.signals import signals_of
from detrun.world.services import Machine, Services, process_here
from detrun.world.sockets.ports import Ports
from detrun_scheduler.asyncio_host.either import for_asyncio_too
from detrun_scheduler.errors import UsageError

T = TypeVar("T")


def this_node() -> Node:
    """The node whose code this is; the code around the nodes, in ``async with World()``, is on the node ``driver``.

    Raises:
        UsageError: outside a world.
    """
    process = process_here.get(None)
    if process is None:
        raise UsageError("detrun.this_node() was called outside a world; call it from code started by node.start(...)")
    node: Node = process.node
    return node


class Node:
    """One machine of a world; made by ``world.node(name)``.

    Args:
        make_disk, make_clock: make its disk and its clock, when they are first used.

    Attributes:
        services, network: those of the world; gone with it.
        disk_if_used, clock_if_used: the disk and the clock, None before their first use.
        programs: what `restart` runs again.
        versions: what an upgrade can put in place, in the order of offering.
        version: of these, the one that an upgrade put in place.
        was_killed: the last process ended by a crash or a power loss, and none has begun since.
        unix_names: of its Unix sockets; see `unix_sockets`.
        connections: the TCP connections with an end here.
        processes: those that programs have started here, by number, until their status is collected.

    Invariant: a machine without power has no process and no connections.
    """

    def __init__(
        self,
        services: Services,
        network: Network,
        name: str,
        address: str,
        address6: str,
        *,
        make_disk: Callable[[Node], Any],
        make_clock: Callable[[Node], Any],
    ) -> None:
        self.services = services
        self.network = network
        self.name = name
        self.address = address
        self.address6 = address6
        self.hostname = name.lower()
        self.process: Process | None = None
        self.is_powered = True
        self.programs: list[Program] = []
        self.versions: dict[str, Program] = {}
        self.version = ""
        self.starts = 0
        self.was_killed = False
        self.ports: dict[int, Ports[Any]] = {socket.SOCK_STREAM: Ports(), socket.SOCK_DGRAM: Ports()}
        self.unix_names: dict[str | bytes, Any] = {}
        self.connections: dict[Connection, None] = {}
        self.processes: dict[int, Any] = {}
        self._pids = count(1)
        self.disk_if_used: Any = None
        self.clock_if_used: Any = None
        self._make_disk = make_disk
        self._make_clock = make_clock

    @property
    def world(self) -> Any:
        """The `World` that it belongs to.

        Raises:
            UsageError: the world is closed.
        """
        return self.services.world

    # Parts.

    @property
    def disk(self) -> Any:
        """The disk; it survives crashes and restarts."""
        if self.disk_if_used is None:
            self.disk_if_used = self._counted(self._make_disk(self))
        return self.disk_if_used

    @property
    def clock(self) -> Any:
        """The clock of this machine."""
        if self.clock_if_used is None:
            self.clock_if_used = self._counted(self._make_clock(self))
        return self.clock_if_used

    def _counted(self, part: Any) -> Any:
        """A disk or clock that has its faults counted by the world."""
        report = getattr(part, "report_faults_to", None)
        if report is not None:
            report(self.services.faults)
        return part

    def _tell_parts(self, event: str) -> None:
        """Tell the disk and the clock, if they have been used, of ``crash``, ``power_loss`` or ``power_on``."""
        for part in (self.disk_if_used, self.clock_if_used):
            method = getattr(part, event, None)
            if method is not None:
                method()

    # Life.

    @property
    def is_running(self) -> bool:
        """Whether a process runs here, paused or not."""
        return self.process is not None

    @property
    def is_paused(self) -> bool:
        """Whether a process is here and stands still."""
        return self.process is not None and self.process.is_paused

    def new_pid(self) -> int:
        """The number of a new process: 1, 2, … in the order of starting."""
        return next(self._pids)

    def all_processes(self) -> list[Any]:
        """The process that runs here, and the living ones that programs have started."""
        first = [] if self.process is None else [self.process]
        return [*first, *(one for one in self.processes.values() if one.is_running)]

    def start(self, function: Callable[..., object], *arguments: Any) -> None:
        """Run ``function(*arguments)`` in this node's process, which begins with the first such call.

        An async function is run by trio or asyncio, as what its code names says; an ordinary function, one that calls
        ``asyncio.run`` for example, in a simulated thread.

        The process ends when all of its tasks have; an exception in one cancels the others, and comes out of the
        world's ``async with`` with a note that names the node.

        Raises:
            UsageError: the node has no power, or the world is closed.
        """
        self.services.open_nursery()
        if not self.is_powered:
            raise UsageError(f"node {self.name!r} has no power; call restart() to turn it on and start a program")
        if self.process is None:
            self.programs = []
            self._begin()
        assert self.process is not None
        self.programs.append((function, arguments))
        self.process.start(function, arguments)

    def _begin(self) -> None:
        self.starts += 1
        self.was_killed = False
        self.process = Process(self, self.services, self.network)
        self.process.begin(self.services.open_nursery())

    def crash(self) -> None:
        """Kill the process, now and without any of its code running again. No effect if none runs.

        A task of the node itself may call this: it runs on to its next ``await`` and no further.
        """
        if self.process is not None:
            self.services.faults.count("crash")
            self.killed()

    def killed(self) -> None:
        """The process is ended by a signal, and none of its code runs again."""
        self._kill(lose_power=False)
        self._tell_parts("crash")

    def power_loss(self) -> None:
        """Turn the machine off: the process is gone, nothing is sent any more, and only what the disk holds stays."""
        if self.is_powered:
            self.services.faults.count("power loss")
            self.is_powered = False
            self._kill(lose_power=True)
            self.unix_names.clear()
            self._tell_parts("power_loss")

    def _kill(self, lose_power: bool) -> None:
        process = self.process
        if process is not None:
            self.was_killed = True
            process.is_running = False
            process.abandon()
        if lose_power:
            self.forget_connections()
        if process is not None:
            process.end()

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, as ``kill`` does from a terminal; without a handler SIGTERM ends it.

        No effect if none runs.
        """
        if self.process is not None:
            signals_of(self.process).deliver(number)

    def forget_connections(self) -> None:
        """End every TCP connection on this side alone: nothing is sent."""
        for connection in list(self.connections):
            connection.forget()
        self.connections.clear()

    def restart(self, function: Callable[..., object] | None = None, *arguments: Any) -> None:
        """Run a program anew on the old disk: ``function(*arguments)``, or without one what ran last.

        A process that is running is killed first; a machine without power is turned on.

        Raises:
            UsageError: nothing has ever run here and no function is given.
        """
        self.services.open_nursery()
        programs = [(function, arguments)] if function is not None else self.programs
        if not programs:
            raise UsageError(f"node {self.name!r} has never run anything; give restart() a function")
        self.crash()
        if not self.is_powered:
            self.is_powered = True
            self._tell_parts("power_on")
        for one, its_arguments in list(programs):
            self.start(one, *its_arguments)

    def offer(self, version: str, function: Callable[..., object], *arguments: Any) -> None:
        """Have another program ready, under a name, which `upgrade` or a planned fault may put in place."""
        self.versions[version] = (function, arguments)

    def following_version(self, to: str = "") -> str | None:
        """The version that an upgrade would put in place: ``to``, or the one offered after the one that runs.

        None if that runs already, there is none, or the machine has no power.
        """
        names = list(self.versions)
        if not self.is_powered:
            return None
        if to:
            return to if to in self.versions and to != self.version else None
        place = names.index(self.version) + 1 if self.version in self.versions else 0
        return names[place] if place < len(names) else None

    def upgrade(self, version: str = "") -> None:
        """Kill the process, and run another version on the old disk: the one named, or the one that was offered next.

        Raises:
            UsageError: there is no such version, or none that follows.
        """
        self.services.open_nursery()
        if version and version not in self.versions:
            raise UsageError(
                f"node {self.name!r} was offered no version {version!r}; there are {', '.join(self.versions) or 'none'}"
            )
        found = version or self.following_version()
        if found is None:
            raise UsageError(f"node {self.name!r} was offered no version after {self.version or 'what runs now'!r}")
        self.services.faults.count("upgrade")
        if self.process is not None:
            self.killed()
        function, arguments = self.versions[found]
        self.restart(function, *arguments)
        self.version = found

    def pause(self) -> None:
        """Let no task of the process run until `resume`. No effect if none runs or it is paused."""
        if self.process is not None and not self.process.is_paused:
            self.services.faults.count("pause")
            for process in self.all_processes():
                process.pause()

    def resume(self) -> None:
        """Let a paused process go on; what it missed, deadlines included, happens to it now."""
        if self.process is not None and self.process.is_paused:
            for process in self.all_processes():
                process.resume()

    @for_asyncio_too
    async def stop(self) -> None:
        """Cancel the process's tasks, let them clean up, and return when they have ended."""
        process = self.process
        if process is not None:
            process.scope.cancel()
            await process.ended.wait()

    @for_asyncio_too
    async def ended(self) -> None:
        """Return when no process runs here."""
        process = self.process
        if process is None:
            await trio.lowlevel.checkpoint()
        else:
            await process.ended.wait()

    def world_closed(self) -> None:
        """The world is over: let go of it and of everything that belongs to it, but for the disk and the clock."""
        if self.process is not None:
            self.process.end()
        for connection in list(self.connections):
            connection.forget()
        for ports in self.ports.values():
            ports.owners.clear()
        self.programs.clear()
        self.versions.clear()
        del self.services, self.network

    if not TYPE_CHECKING:  # a type checker must not believe in attributes that are not there

        def __getattr__(self, name: str) -> Any:
            if name in ("services", "network"):
                raise UsageError(f"node {self.name!r} belongs to a closed world; only its disk can still be read")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # The operating system's tables.

    def listener_at(self, address: Address) -> Listener[Connection] | None:
        """The backlog of the socket that listens where ``address`` points."""
        found = self.ports[socket.SOCK_STREAM].listener(address)
        return None if found is None else found.listener

    # Mailboxes.

    def send(self, to: Machine | str, message: Any, *, size: int = MESSAGE_BYTES) -> None:
        """Put ``message`` on its way to another node, or to this one; says nothing about its arrival.

        Args:
            to: a node or its name.
            message: anything; it is copied, `Value`s inside stay themselves.
            size: bytes that it counts for where bandwidth is limited.
        """
        receiver = self.services.machine(to, self)
        link = self.network.link(self, receiver)
        link.journal_entered()
        link.send(Letter(link, receiver, copied(message), size))

    @overload
    async def receive(self) -> Any: ...
    @overload
    async def receive(self, kind: type[T]) -> T: ...
    @overload
    async def receive(self, kind: tuple[type, ...]) -> Any: ...

    async def receive(self, kind: type | tuple[type, ...] | None = None) -> Any:
        """The oldest message that has come for the running process; of type ``kind``, if one is given."""
        return (await self.receive_envelope(kind)).message

    async def receive_envelope(self, kind: type | tuple[type, ...] | None = None) -> Envelope:
        """As `receive`, with the sender and the times.

        Raises:
            UsageError: no process runs on this node.
        """
        if self.process is None:
            raise UsageError(
                f"node {self.name!r} runs nothing, so no message can reach it; start a program there first"
            )
        return await self.process.mailbox.receive(kind)

    def _check(self) -> None:
        """Assert the invariants; for tests."""
        assert self.is_powered or not (self.process or self.connections), (
            f"{self!r}: off, with a process or connections"
        )
        assert self.process is None or (self.process.is_running and self.process.node is self), f"{self!r}: its process"
        for connection in self.connections:
            assert connection.machine is self, f"{connection!r} is in the table of {self.name}"
            assert not connection.is_over, f"{connection!r} is over and in the table"
            connection._check()

    def __repr__(self) -> str:
        state = "off" if not self.is_powered else "paused" if self.is_paused else "up" if self.is_running else "down"
        return f"<Node {self.name} {self.address} {state}>"
