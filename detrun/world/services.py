"""`Services`: shared by a world with its parts. The run, the counts of faults, the directory of machines, the nursery.

A `World` makes one `Services` and hands it to its nodes, and through them to links, sockets, processes, resolvers and
mailboxes. Parts name this file and never the world, so imports inside `detrun.world` go one way. Where a part needs
more of a neighbour above it, a small Protocol beside the part says what.

`process_here` is a context variable that tasks inherit: the process whose code is running.
"""

from __future__ import annotations

from contextvars import ContextVar
from itertools import count
from typing import Any, Protocol, TypeVar, cast

import trio

from detrun.world.fault_counts import FaultCounts
from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import ActiveRun, RunHost


class Machine(Protocol):
    """A node as the parts below it see it."""

    name: str
    address: str
    address6: str
    hostname: str
    is_powered: bool


class OwnedCode(Protocol):
    """A process as the parts below it see it: what owns the code that is running."""

    is_running: bool
    main_thread: Any  # in which its signal handlers are called
    has_real_files: bool

    @property
    def node(self) -> Any:
        """The machine that it runs on."""

    @property
    def services(self) -> Services:
        """Those of its world."""


M = TypeVar("M", bound=Machine)

# No real file descriptor is this high, so a library that passes one to the operating system is found out.
FIRST_DESCRIPTOR = 1 << 24

process_here: ContextVar[OwnedCode] = ContextVar("detrun_process")


class Services:
    """What one world shares with its parts.

    Attributes:
        run: the run that the world is in.
        host: the trio runner of that run, which holds and drops tasks and knows simulated sockets.
        faults: how often each fault has struck.
        retransmission_seconds: how long TCP waits for the first acknowledgement of a segment.
        machines: every node by its name, the driver included, in the order of naming.
        nursery: parent of the processes' root tasks; None unless the world is open.
        world: the `World` itself, for programs that ask ``node.world``; deleted when the world closes.

    Invariant: ``machines``, ``by_address``, ``by_address6`` and ``by_hostname`` hold the same nodes until `close`.
    """

    __slots__ = (
        "_descriptors",
        "by_address",
        "by_address6",
        "by_hostname",
        "faults",
        "host",
        "machines",
        "nursery",
        "retransmission_seconds",
        "run",
        "world",
    )

    def __init__(self, run: ActiveRun, faults: FaultCounts, retransmission_seconds: float, world: Any) -> None:
        self.run = run
        self.host: RunHost = run.host
        self.faults = faults
        self.retransmission_seconds = retransmission_seconds
        self.machines: dict[str, Any] = {}
        self.by_address: dict[str, Any] = {}
        self.by_address6: dict[str, Any] = {}
        self.by_hostname: dict[str, Any] = {}
        self.nursery: trio.Nursery | None = None
        self.world = world
        self._descriptors = count(FIRST_DESCRIPTOR)

    def join(self, machine: Machine) -> None:
        """Enter ``machine`` under its name, its address and its host name."""
        self.machines[machine.name] = machine
        self.by_address[machine.address] = machine
        self.by_address6[machine.address6] = machine
        self.by_hostname[machine.hostname] = machine

    def machine(self, named: Machine | str, like: M) -> M:
        """The machine that ``named`` is or names, of the type of ``like``.

        Raises:
            UsageError: there is none: a misspelt name must not make a node that runs nothing.
        """
        if not isinstance(named, str):
            return cast("M", named)
        found = self.machines.get(named)
        if found is None:
            raise UsageError(f"there is no node {named!r}; this world has {', '.join(self.machines)}")
        return cast("M", found)

    def machine_at(self, host: str, asker: M) -> M | None:
        """The machine that ``host``, an address, reaches from ``asker``; None if it reaches none."""
        if host.startswith("127.") or host == "::1":
            return asker
        return self.by_address.get(host) or self.by_address6.get(host)

    def open_nursery(self) -> trio.Nursery:
        """The nursery of the open world.

        Raises:
            UsageError: the world is not open.
        """
        if self.nursery is None:
            raise UsageError("the world is not open; use it inside 'async with detrun.World(...) as world:'")
        return self.nursery

    def new_descriptor(self, socket: object) -> int:
        """The number of a new socket, by which trio can wait for it."""
        number = next(self._descriptors)
        self.host.sockets[number] = socket
        return number

    def release_descriptor(self, number: int) -> None:
        """The socket of that number has been closed."""
        self.host.sockets.pop(number, None)

    def close(self) -> None:
        """Let go of addresses and of the world: what holds a part of it later must not hold all of it."""
        self.host.sockets.clear()
        self.by_address.clear()
        self.by_address6.clear()
        self.by_hostname.clear()
        del self.world
