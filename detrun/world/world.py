"""A world: named nodes on a simulated network, inside one run.

``async with detrun.World(...) as world:`` opens it; the body drives it, from a node of its own called ``driver``, and
when the body ends the nodes that still run are stopped: their tasks are cancelled and clean up. An exception in a node
cancels the body and comes out of the ``async with``. While a world is open, ``trio.socket`` and ``socket`` are
simulated for all code of the run; there is at most one at a time.

Everything is a function of the run: addresses go by the order in which nodes are named, draws by link, and nothing
asks the machine that simulates.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import Token
from types import TracebackType
from typing import Any, TypeAlias

import trio

from detrun.world.disk import patched_files
from detrun.world.fault_counts import FaultCounts
from detrun.world.files import files_of_code
from detrun.world.files.host_files import HostFiles
from detrun.world.network.latency import Latency
from detrun.world.network.link import Link
from detrun.world.network.network import Network
from detrun.world.network.rules import Rule
from detrun.world.nodes import node_threads
from detrun.world.nodes.node import Node
from detrun.world.nodes.process import Process
from detrun.world.nodes.roles import Roles
from detrun.world.processes import patched_processes
from detrun.world.services import OwnedCode, Services, process_here
from detrun.world.sockets import patched_sockets
from detrun.world.time.local_times import LocalTimes
from detrun_scheduler import current
from detrun_scheduler.asyncio_host.either import open_nursery
from detrun_scheduler.errors import UsageError
from detrun_scheduler.threads import localhost

Named: TypeAlias = Node | str
Group: TypeAlias = Node | str | Iterable[Node | str]

DRIVER = "driver"
NODES_MAX = 65_000


def make_disk(node: Node) -> Any:
    """The disk of a machine, when it is first used, unless its world was given another maker."""
    from detrun.world.disk.disk import Disk

    return Disk(node.name)


def make_clock(node: Node) -> Any:
    """The clock of a machine, when it is first read, unless its world was given another maker."""
    from detrun.world.time.clocks import NodeClock

    return NodeClock(node.name)


class World:
    """Nodes, links and faults of one simulated system.

    Args:
        latency: seconds that a message travels: a number, a `Value`, a distribution of `detrun.world`, or a function
            that returns seconds. Messages from a node to itself take no time.
        loss, duplication, reordering, slow_tail, reset: probability for each message, of every link.
        bandwidth: bytes per second of every link; None for unlimited.
        retransmission_seconds: how long TCP waits for an acknowledgement at first; then twice as long, and so on.
        ipv6: have names lead to the nodes' IPv6 addresses, too, where a program asks for no family.
        disk, clock: make the disk and the clock of a node, when they are first used.
        host_files: real files and directories that ``open`` and ``os`` can read in the code of nodes, where their own
            disk has nothing.
        programs: stand-ins for programs that code starts by ``subprocess``, by name: a function of the words after the
            name, which runs as a process of its own; see `detrun.world.processes`.
        link: further settings of every link; see `Link`.
    """

    def __init__(
        self,
        *,
        latency: Latency = 0.001,
        loss: Any = 0.0,
        duplication: Any = 0.0,
        reordering: Any = 0.0,
        slow_tail: Any = 0.0,
        reset: Any = 0.0,
        bandwidth: Any = None,
        retransmission_seconds: float = 0.2,
        ipv6: bool = False,
        disk: Callable[[Node], Any] = make_disk,
        clock: Callable[[Node], Any] = make_clock,
        host_files: Iterable[str | os.PathLike[str]] = (),
        programs: Mapping[str, Callable[[list[str]], object]] | None = None,
        **link: Any,
    ) -> None:
        self.run = current.require("detrun.World")
        if not retransmission_seconds > 0:
            raise UsageError(
                f"retransmission_seconds={retransmission_seconds!r} is not valid; give a positive number of seconds"
            )
        self.faults = FaultCounts()
        self.services = Services(self.run, self.faults, retransmission_seconds, self)
        settings = dict(
            latency=latency,
            bandwidth=bandwidth,
            loss=loss,
            duplication=duplication,
            reset=reset,
            reordering=reordering,
            slow_tail=slow_tail,
            **link,
        )
        self.network = Network(self.services, settings)  # refuses what no link could have
        self.network.resolver.has_ipv6 = ipv6
        self._make_disk = disk
        self._make_clock = clock
        self._host_files = HostFiles(host_files)
        self.programs = dict(programs or {})
        self._nodes: dict[str, Node] = {}
        self.roles = Roles()
        self._manager: Any = None
        self._was_opened = False
        self.on_failure: Callable[[BaseException], None] | None = None  # told what ends the world, to add a note
        self._token: Token[OwnedCode] | None = None
        self.driver = self._make(DRIVER)
        self.driver.process = self._driver_process = Process(self.driver, self.services, self.network, is_driver=True)

    # Life.

    async def __aenter__(self) -> World:
        if self._was_opened:
            raise UsageError("this world has been opened already; make another World for another 'async with'")
        if patched_sockets.is_installed():
            if localhost.is_open(self.run):
                raise UsageError("sockets of localhost are in use already; open the world before the first of them")
            raise UsageError("another world is open; a run has one at a time, with as many nodes as it needs")
        self._was_opened = True
        self._resolver_before = trio.socket.set_custom_hostname_resolver(self.network.resolver)
        self._factory_before = trio.socket.set_custom_socket_factory(patched_sockets.SocketFactory())
        try:
            patched_sockets.install(self._driver_process.running_here)
            patched_processes.install(self._driver_process.running_here)
            patched_files.install(self.services)
            files_of_code.install(self.services, self._host_files)
            node_threads.install(self.services)
            self._unwound().append(self._close)  # of a program that never leaves its block
            self.run.host.localize(LocalTimes(self.run))
            self._token = process_here.set(self._driver_process)
            self._manager = open_nursery()
            self.services.nursery = await self._manager.__aenter__()
        except BaseException:
            self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.services.open_nursery().cancel_scope.cancel()
        for node in self._nodes.values():
            node.resume()  # a process that stands still could not be cancelled
        failure: BaseException | None = None
        try:
            suppressed: bool = await self._manager.__aexit__(kind, error, trace)
            return suppressed
        except BaseExceptionGroup as group:
            # The nursery is the world's own business: what went wrong alone comes out alone.
            failure = group
            while isinstance(failure, BaseExceptionGroup) and len(failure.exceptions) == 1:
                failure = failure.exceptions[0]
        finally:
            # Threads cannot be cancelled; what they wait for is over, too.
            self.run.host.abandon([task for task in self.run.host.numbers if node_threads.is_thread_of_node(task)])
            self._close()
        if self.on_failure is not None:
            self.on_failure(failure)
        context = failure.__context__
        try:
            if failure is error:
                return False
            raise failure
        finally:
            # What this block was cancelled with is not why the node failed.
            failure.__context__ = context
            del failure, error, context

    def _close(self) -> None:
        """Give back what the world had replaced; also where the run is torn down and nothing may be awaited."""
        if self._close in self._unwound():
            self._unwound().remove(self._close)
        self.services.nursery = self._manager = None
        self._let_go()
        node_threads.restore(self.services)
        files_of_code.restore(self.services)
        patched_files.restore(self.services)
        self.run.host.localize(None)
        patched_processes.restore(self._driver_process.running_here)
        patched_sockets.restore(self._driver_process.running_here)
        if self._token is not None:
            with suppress(ValueError):  # torn down in another context than it was opened in
                process_here.reset(self._token)
            self._token = None
        with suppress(RuntimeError):  # the run is over
            trio.socket.set_custom_hostname_resolver(self._resolver_before)
            trio.socket.set_custom_socket_factory(self._factory_before)

    def _unwound(self) -> list[Callable[[], object]]:
        """What is called when all tasks of the run have ended."""
        threads = self.run.threads
        return [] if threads is None else threads.at_unwound

    @property
    def owner_of_sockets(self) -> Callable[[], Process]:
        """Gives the process whose code is running; the driver's, where no node's is."""
        return self._driver_process.running_here

    def discard(self) -> None:
        """Let go of everything, of a world that was never opened."""
        for node in self._nodes.values():
            node.forget_connections()  # the run is over, and nothing can be sent any more
        self._let_go()

    def _let_go(self) -> None:
        for node in self._nodes.values():
            node.world_closed()
        self.network.world_closed()
        self.roles.clear()
        self.services.close()

    def check_open(self) -> None:
        """Raise `UsageError` unless the world is open."""
        self.services.open_nursery()

    # Nodes.

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node but the driver, in the order in which they were first named."""
        return tuple(node for node in self._nodes.values() if node is not self.driver)

    def node(self, name: str) -> Node:
        """The node called ``name``, made if there is none.

        Raises:
            UsageError: not a name that can be a host name.
        """
        found = self._nodes.get(name)
        return found if found is not None else self._make(name)

    def _make(self, name: str) -> Node:
        if not isinstance(name, str) or not _is_host_name(name):
            raise UsageError(
                f"{name!r} cannot name a node: use letters, digits, '-', '_' and '.', beginning with a letter or digit"
            )
        if name.lower() in self.services.by_hostname or name.lower() == "localhost":
            raise UsageError(f"{name!r} is taken: host names differ by more than upper and lower case")
        number = len(self._nodes) + 1
        if number > NODES_MAX:
            raise UsageError(f"a world has at most {NODES_MAX:,} nodes")
        node = self._nodes[name] = Node(
            self.services,
            self.network,
            name,
            f"10.0.{number >> 8}.{number & 0xFF}",
            f"fd00::{number:x}",
            make_disk=self._make_disk,
            make_clock=self._make_clock,
        )
        self.services.join(node)
        return node

    def existing(self, named: Named) -> Node:
        """The node that ``named`` is or names.

        Raises:
            UsageError: there is none: a misspelt name must not make a node that runs nothing.
        """
        return self.services.machine(named, self.driver)

    def group(self, group: Group) -> list[Node]:
        """The nodes of a group: one node or name, or several."""
        members = [group] if isinstance(group, Node | str) else list(group)
        return [self.existing(one) for one in members]

    def role(self, name: str, predicate: Callable[[Node], bool]) -> None:
        """Say of which nodes a role is true, so that planned faults can strike them as ``"@name"``.

            world.role("leader", lambda node: servers[node.name].is_leader)

        The predicate is asked about nodes whose process runs, at the moment when a fault begins.

        Raises:
            UsageError: not a name.
        """
        self.roles.declare(name, predicate)

    # Links and faults.

    def link(self, source: Named, destination: Named) -> Link:
        """The way from one node to another, to be read or set: ``world.link("a", "b").loss = 0.1``."""
        return self.network.link(self.existing(source), self.existing(destination))

    def links(self, one: Group, other: Group) -> list[Link]:
        """The links between two groups, in both directions."""
        pairs = [(a, b) for a in self.group(one) for b in self.group(other) if a is not b]
        return [self.network.link(a, b) for pair in pairs for a, b in (pair, pair[::-1])]

    @property
    def rules(self) -> list[Rule]:
        """Asked about every message, in this order; append functions of a packet, or objects with a ``judge``."""
        return self.network.rules

    def add_rule(self, rule: Rule) -> None:
        """Ask ``rule`` about every message from now on; see `detrun.world.network.rules`."""
        self.network.rules.append(rule)

    def remove_rule(self, rule: Rule) -> None:
        """Ask ``rule`` no more."""
        self.network.rules.remove(rule)

    def partition(self, a: Group, b: Group, one_way: bool = False) -> None:
        """Let nothing pass between two groups; with ``one_way``, only what goes from ``a`` to ``b`` is stopped."""
        self.network.cut(self.group(a), self.group(b), one_way)

    def isolate(self, group: Group, *, but: Group = ()) -> None:
        """Cut a group off from all other nodes, clients included, but for the driver and the nodes of ``but``."""
        inside, kept = self.group(group), self.group(but)
        self.network.cut(inside, [node for node in self.nodes if node not in (*inside, *kept)], one_way=False)

    def partition_halves(self, nodes: Sequence[Named] | None = None) -> None:
        """Cut the nodes into two groups, of which the first is a majority where their number is odd."""
        chosen = self._chosen(nodes)
        middle = (len(chosen) + 1) // 2
        self.network.cut(chosen[:middle], chosen[middle:], one_way=False)

    def partition_bridge(self, nodes: Sequence[Named] | None = None) -> None:
        """Two halves that only the node in the middle can reach, and that reach only it."""
        chosen = self._chosen(nodes)
        middle = len(chosen) // 2
        self.network.cut(chosen[:middle], chosen[middle + 1 :], one_way=False)

    def partition_majorities_ring(self, nodes: Sequence[Named] | None = None) -> None:
        """Every node sees a majority, and no two see the same one: each reaches its nearest in a ring."""
        chosen = self._chosen(nodes)
        size = len(chosen)
        reach = (size // 2 + 1) // 2  # itself and so many on each side make a majority
        self.network.cut_all_but(
            chosen,
            [(chosen[i], chosen[(i + step) % size]) for i in range(size) for step in range(1, reach + 1)],
        )

    def _chosen(self, nodes: Sequence[Named] | None) -> list[Node]:
        return list(self.nodes) if nodes is None else self.group(nodes)

    def heal(self, a: Group | None = None, b: Group | None = None) -> None:
        """Open every partitioned link; with two groups, those between them; with one, those that touch it."""
        if a is None:
            self.network.heal()
            return
        others: Sequence[Node] = self.group(b) if b is not None else tuple(self._nodes.values())
        self.network.heal((one, other) for one in self.group(a) for other in others if one is not other)

    def clog(self, group: Group, seconds: Any = None, *, direction: str = "both") -> None:
        """Hold back what nodes send (``out``), receive (``in``) or both, for some time or until `unclog`."""
        for node in self.group(group):
            for link in self.network.clogged_links(node, direction):
                link.clog(seconds)

    def unclog(self, group: Group, *, direction: str = "both") -> None:
        """Undo one `clog` without an end; what was held back arrives now."""
        for node in self.group(group):
            for link in self.network.clogged_links(node, direction):
                link.unclog()

    def reset_connections(self, a: Group, b: Group) -> int:
        """Tear down the TCP connections between two groups; how many there were."""
        return sum(
            self.network.reset_connections(one, other)
            for one in self.group(a)
            for other in self.group(b)
            if one is not other
        )

    def _check(self) -> None:
        """Assert the invariants of every node, link and connection; for tests."""
        for node in self._nodes.values():
            node._check()
        for link in self.network.links.values():
            link._check()

    def __repr__(self) -> str:
        return f"<World of {len(self._nodes) - 1} nodes at {self.run.time:g} s>"


def _is_host_name(name: str) -> bool:
    return (
        0 < len(name) <= 253
        and name.isascii()
        and name[0].isalnum()
        and all(letter.isalnum() or letter in "-_." for letter in name)
        and not name.replace(".", "").isdigit()
    )
