"""The network between the nodes: addresses, links, partitions and clogs.

Every ordered pair of nodes has a `Link`, made when first asked for with the world's defaults. Partitions are cuts of
links: a pair is cut as often as partitions cut it is not counted, `heal` opens it whatever closed it. A node is never
cut off from itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, count
from typing import TYPE_CHECKING, Any

import trio

from detrun.world.network.link import Link
from detrun.world.network.resolver import Resolver
from detrun.world.network.rules import Rule
from detrun_scheduler.errors import UsageError

if TYPE_CHECKING:
    from detrun.world.fault_counts import FaultCounts
    from detrun.world.nodes.node import Node
    from detrun.world.sockets.machine_sockets import Socket
    from detrun.world.world import World
    from detrun_scheduler.run import ActiveRun

# No real file descriptor is this high, so a library that passes one to the operating system is found out.
FIRST_DESCRIPTOR = 1 << 24


class Network(trio.abc.SocketFactory):
    """Links between the nodes of one world, and what trio needs to make sockets there.

    Attributes:
        rules: asked about every message that is not from a node to itself; see `detrun.world.rules`.
    """

    def __init__(self, world: World, run: ActiveRun, faults: FaultCounts, defaults: dict[str, Any]) -> None:
        self.world = world
        self.run = run
        self.faults = faults
        self.defaults = defaults
        self.rules: list[Rule] = []
        self.links: dict[tuple[str, str], Link] = {}
        self.on_new_link: list[Callable[[Link], None]] = []  # faults that strike links by the names of their ends
        self.by_address: dict[str, Node] = {}
        self.by_hostname: dict[str, Node] = {}
        self.resolver = Resolver(self)
        self._descriptors = count(FIRST_DESCRIPTOR)

    def socket(
        self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0
    ) -> trio.socket.SocketType:
        """What ``trio.socket.socket`` makes."""
        from detrun.world.sockets.stdlib_sockets import SimulatedSocket
        from detrun.world.sockets.trio_sockets import TrioSocket

        return TrioSocket(SimulatedSocket(family, type, proto))

    def new_descriptor(self, socket: Socket) -> int:
        """The number of a new socket, by which it can be waited for."""
        number = next(self._descriptors)
        self.run.host.sockets[number] = socket
        return number

    def join(self, node: Node) -> None:
        """Give ``node`` its place among the names and addresses."""
        self.by_address[node.address] = node
        self.by_hostname[node.hostname] = node

    def node_at(self, host: str, asker: Node) -> Node | None:
        """The node that ``host``, an address, reaches from ``asker``."""
        return asker if host.startswith("127.") else self.by_address.get(host)

    def link(self, source: Node, destination: Node) -> Link:
        """The way from one node to another."""
        key = (source.name, destination.name)
        link = self.links.get(key)
        if link is None:
            link = self.links[key] = Link(self, source, destination)
            if source is not destination:
                link.configure(**self.defaults)
                for told in self.on_new_link:
                    told(link)
        return link

    def world_closed(self) -> None:
        """The world is over: forget what is on its way, and let go of nodes and links."""
        timers = self.run.timers
        # Not taken back by the program, so no observer is told.
        timers.forget([key for key in timers.live if hasattr(key, "fire")])
        for link in self.links.values():
            link.in_flight.clear()
            link.held.clear()
        self.links.clear()
        self.run.host.sockets.clear()
        self.by_address.clear()
        self.by_hostname.clear()
        del self.world, self.resolver.network

    # Partitions.

    def cut(self, sources: Iterable[Node], destinations: Iterable[Node], one_way: bool) -> None:
        """Let nothing through from any source to any destination, nor back unless ``one_way``."""
        receivers = list(destinations)
        for source in sources:
            for destination in receivers:
                if source is not destination:
                    self.faults.arm("partition")
                    self.link(source, destination).partitioned = True
                    if not one_way:
                        self.link(destination, source).partitioned = True

    def heal(self, pairs: Iterable[tuple[Node, Node]] | None = None) -> None:
        """Open the links between ``pairs``, in both directions; all links if None."""
        if pairs is None:
            for link in self.links.values():
                link.partitioned = False
            return
        for one, other in pairs:
            self.link(one, other).partitioned = self.link(other, one).partitioned = False

    def between(self, nodes: Sequence[Node]) -> Iterator[tuple[Node, Node]]:
        """Each pair of ``nodes`` once."""
        return combinations(nodes, 2)

    def cut_all_but(self, nodes: Sequence[Node], open_pairs: Iterable[tuple[Node, Node]]) -> None:
        """Cut every pair of ``nodes`` but ``open_pairs``."""
        kept = {frozenset((one.name, other.name)) for one, other in open_pairs}
        for one, other in self.between(nodes):
            if frozenset((one.name, other.name)) not in kept:
                self.cut([one], [other], one_way=False)

    def reset_connections(self, one: Node, other: Node) -> int:
        """Tear down every TCP connection between two nodes; both ends see a reset. How many there were."""
        found = [connection for connection in one.connections if connection.link.destination is other]
        for connection in found:
            self.faults.count("connection reset")
            connection.tear_down()
        return len(found)

    def clogged_links(self, node: Node, direction: str) -> list[Link]:
        """The links of ``node`` that ``direction`` names: ``in``, ``out`` or ``both``.

        Raises:
            UsageError: another word.
        """
        if direction not in ("in", "out", "both"):
            raise UsageError(f"direction={direction!r}: say 'in', 'out' or 'both'")
        others = [other for other in self.by_address.values() if other is not node]
        inward = [self.link(other, node) for other in others] if direction != "out" else []
        outward = [self.link(node, other) for other in others] if direction != "in" else []
        return inward + outward
