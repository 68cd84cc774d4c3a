"""The network between the nodes of one world: its links, partitions, clogs and resets, and its names.

Every ordered pair of nodes has a `Link`, made when first asked for with the world's settings. Partitions cut links: a
link is cut or not, however many partitions cut it, and `heal` opens it whatever cut it. A node is never cut off from
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Protocol, TypeVar

from detrun.world.network.link import Link
from detrun.world.network.resolver import Resolver
from detrun.world.network.rules import Rule
from detrun.world.network.settings import LinkSettings
from detrun.world.network.tcp import Connection
from detrun.world.services import Machine, Services
from detrun_scheduler.errors import UsageError


class ConnectedMachine(Machine, Protocol):
    """A machine with its TCP connections."""

    @property
    def connections(self) -> Mapping[Connection, None]:
        """The open ones, in the order in which they were made."""


C = TypeVar("C", bound=Machine)


class Network:
    """Links between the nodes of one world.

    Attributes:
        rules: asked about every message that is not from a node to itself; see `detrun.world.network.rules`.
        links: those that have been asked for, by the names of their ends.
        settings: of each new link.
        on_new_link: called with each new link; faults that strike links by the names of their ends.
    """

    def __init__(self, services: Services, settings: Mapping[str, Any]) -> None:
        self.rules: list[Rule] = []
        self.links: dict[tuple[str, str], Link] = {}
        self.on_new_link: list[Callable[[Link], None]] = []
        self.resolver = Resolver(services)
        self._services = services
        self._faults = services.faults
        self.settings = LinkSettings().changed(settings)
        for fault in self.settings.faults(settings):
            self._faults.arm(fault)

    def link(self, source: Machine, destination: Machine) -> Link:
        """The way from one node to another."""
        key = (source.name, destination.name)
        link = self.links.get(key)
        if link is None:
            is_loopback = source is destination
            settings = LinkSettings() if is_loopback else self.settings
            link = self.links[key] = Link(self._services, self.rules, source, destination, settings)
            if not is_loopback:
                for told in self.on_new_link:
                    told(link)
        return link

    def world_closed(self) -> None:
        """The world is over: forget what is on its way, and let go of the links."""
        timers = self._services.run.timers
        # Not taken back by the program, so no observer is told.
        timers.forget([key for key in timers.live if hasattr(key, "fire")])
        for link in self.links.values():
            link.forget_messages()
        self.links.clear()

    # Partitions.

    def cut(self, sources: Iterable[Machine], destinations: Iterable[Machine], one_way: bool) -> None:
        """Let nothing through from any source to any destination, nor back unless ``one_way``."""
        receivers = list(destinations)
        for source in sources:
            for destination in receivers:
                if source is not destination:
                    self._faults.arm("partition")
                    self.link(source, destination).partitioned = True
                    if not one_way:
                        self.link(destination, source).partitioned = True

    def heal(self, pairs: Iterable[tuple[Machine, Machine]] | None = None) -> None:
        """Open the links between ``pairs``, in both directions; all links if None."""
        if pairs is None:
            for link in self.links.values():
                link.partitioned = False
            return
        for one, other in pairs:
            self.link(one, other).partitioned = self.link(other, one).partitioned = False

    def between(self, nodes: Sequence[C]) -> Iterator[tuple[C, C]]:
        """Each pair of ``nodes`` once."""
        return combinations(nodes, 2)

    def cut_all_but(self, nodes: Sequence[Machine], open_pairs: Iterable[tuple[Machine, Machine]]) -> None:
        """Cut every pair of ``nodes`` but ``open_pairs``."""
        kept = {frozenset((one.name, other.name)) for one, other in open_pairs}
        for one, other in self.between(nodes):
            if frozenset((one.name, other.name)) not in kept:
                self.cut([one], [other], one_way=False)

    def reset_connections(self, one: ConnectedMachine, other: Machine) -> int:
        """Tear down every TCP connection between two nodes; both ends see a reset. How many there were."""
        found = [connection for connection in one.connections if connection.link.destination is other]
        for connection in found:
            self._faults.count("connection reset")
            connection.tear_down()
        return len(found)

    def clogged_links(self, node: Machine, direction: str) -> list[Link]:
        """The links of ``node`` that ``direction`` names: ``in``, ``out`` or ``both``.

        Raises:
            UsageError: another word.
        """
        if direction not in ("in", "out", "both"):
            raise UsageError(f"direction={direction!r} is not valid; give 'in', 'out' or 'both'")
        others = [other for other in self._services.by_address.values() if other is not node]
        inward = [self.link(other, node) for other in others] if direction != "out" else []
        outward = [self.link(node, other) for other in others] if direction != "in" else []
        return inward + outward
