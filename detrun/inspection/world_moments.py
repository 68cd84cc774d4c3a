"""A world at one moment of a run: its nodes, their disks and clocks, and the messages on their way.

Part of `detrun.inspection.moments`, which reads the rest of the run. Everything here is plain data, copied when the run
is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from detrun.inspection.text import shown
from detrun.world.disk.image import SymbolicLink
from detrun.world.network.latency import Called, Constant, distribution_of
from detrun.world.network.packet import Packet
from detrun.world.network.settings import PROBABILITIES
from detrun.world.services import process_here
from detrun.world.world import World
from detrun_scheduler.clock import primal_of

if TYPE_CHECKING:
    from detrun.world.network.settings import LinkSettings
    from detrun.world.nodes.node import Node
    from detrun_scheduler.run import ActiveRun

PREVIEW_BYTES = 60


@dataclass(frozen=True, slots=True)
class DiskState:
    """A node's disk."""

    files: Mapping[str, bytes | SymbolicLink | None]
    """Path -> content as programs see it; None for a directory."""
    durable: Mapping[str, bytes | SymbolicLink | None]
    """What would be left if the power went now and nothing survived that was not synced."""

    def document(self) -> dict[str, Any]:
        """As plain JSON values: sizes, and how the content begins."""
        return {"files": _listed(self.files), "durable": _listed(self.durable)}


@dataclass(frozen=True, slots=True)
class NodeState:
    """One machine."""

    name: str
    address: str
    state: str
    """``up``, ``paused``, ``down`` (no process runs) or ``off`` (no power)."""
    starts: int
    """How often its process has begun."""
    tasks: tuple[str, ...]
    """Paths of its tasks."""
    mailbox: tuple[str, ...]
    """Messages that have arrived and were not received, the oldest first."""
    disk: DiskState | None
    """None if it was never used."""
    wall_clock: float | None
    """What its wall clock shows; None if it was never used."""
    clock_error: float | None
    """Its wall clock minus the true time."""

    def document(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "name": self.name,
            "address": self.address,
            "state": self.state,
            "starts": self.starts,
            "tasks": list(self.tasks),
            "mailbox": list(self.mailbox),
            "disk": None if self.disk is None else self.disk.document(),
            "wall_clock": self.wall_clock,
            "clock_error": self.clock_error,
        }


@dataclass(frozen=True, slots=True)
class MessageState:
    """One message on its way."""

    source: str
    destination: str
    protocol: str
    size: int
    description: str
    sent_at: float
    arrives_at: float | None
    """None: it is held back at the link."""

    def document(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "source": self.source,
            "destination": self.destination,
            "protocol": self.protocol,
            "size": self.size,
            "description": self.description,
            "sent_at": self.sent_at,
            "arrives_at": self.arrives_at,
        }


@dataclass(frozen=True, slots=True)
class LinkState:
    """One direction between two nodes."""

    source: str
    destination: str
    under_way: int
    held: int
    queue_bytes: float
    """What waits for the bandwidth."""
    partitioned: bool
    clogged: bool
    settings: str
    """Latency, and what is not as in an ideal network."""


def settings_shown(settings: LinkSettings) -> tuple[str, ...]:
    """The latency of a link, and what is not as in an ideal network, in words."""
    said = [f"latency {_delay_shown(settings.latency)}"]
    if settings.bandwidth is not None:
        said.append(f"{float(primal_of(settings.bandwidth)):g} bytes/s")
    for name in PROBABILITIES:
        probability = float(primal_of(getattr(settings, name)))
        if probability:
            said.append(f"{name.replace('_', ' ')} {probability:.3g}")
    return tuple(said)


def _delay_shown(latency: Any) -> str:
    """Seconds, or a distribution with its parameters."""
    law = distribution_of(latency)
    if isinstance(law, Constant):
        return f"{float(primal_of(law.seconds)):.6g} s"
    if not is_dataclass(law) or isinstance(law, Called):
        return "as the program says"
    numbers = ((one.name, primal_of(getattr(law, one.name))) for one in fields(law))
    return f"{type(law).__name__}({', '.join(f'{name}={number:.6g}' for name, number in numbers)})"


def state_of(node: Node) -> str:
    """``up``, ``paused``, ``down`` (no process runs) or ``off`` (no power)."""
    return "off" if not node.is_powered else "paused" if node.is_paused else "up" if node.is_running else "down"


def links_of(world: World) -> list[LinkState]:
    """Those between two nodes that were asked for until now, in that order."""
    return [
        LinkState(
            link.source.name,
            link.destination.name,
            len(link.in_flight),
            len(link.held),
            link.queue_bytes,
            link.partitioned,
            link.clogs > 0,
            ", ".join(settings_shown(link.settings)),
        )
        for link in world.network.links.values()
        if not link.is_loopback
    ]


def world_of(
    loop: ActiveRun, living: Sequence[World]
) -> tuple[World, tuple[NodeState, ...], tuple[MessageState, ...]] | None:
    """The world of a held run, of all that live, with its nodes and messages; None if none of it is still in use."""
    worlds = [one for one in living if one.run is loop]
    opened = [one for one in worlds if one.services.nursery is not None]
    if len(opened or worlds) != 1:
        return None
    (world,) = opened or worlds
    return world, tuple(_node_state(node) for node in world.nodes), tuple(_messages(world))


def _node_state(node: Node) -> NodeState:
    process = node.process
    tasks: list[str] = []
    if process is not None:
        run = process.services.run
        of_tasks = run.host.numbers.items()
        numbers = sorted(number for task, number in of_tasks if task.context.get(process_here) is process)
        tasks = [run.path_of(number) for number in numbers]
    clock, disk = node.clock_if_used, node.disk_if_used
    return NodeState(
        node.name,
        node.address,
        state_of(node),
        node.starts,
        tuple(tasks),
        () if process is None else tuple(shown(envelope.message) for envelope in process.mailbox.arrived),
        None if disk is None else DiskState(dict(disk.tree()), dict(disk.durable_tree())),
        None if clock is None else float(primal_of(clock.now())),
        None if clock is None else float(primal_of(clock.error())),
    )


def _messages(world: World) -> list[MessageState]:
    timers = world.run.timers
    arrivals = {key: time for time, sequence, key, _ in timers.heap if timers.live.get(key) == sequence}
    found = []
    for link in world.network.links.values():
        found += [_message_state(packet, arrivals.get(packet)) for packet in link.in_flight]
        found += [_message_state(packet, None) for packet in link.held]
    # The next to arrive comes first; those that are held come last. The sort is stable, so ties keep their order.
    return sorted(found, key=lambda one: (one.arrives_at is None, one.arrives_at or 0.0))


def _message_state(packet: Packet, arrives_at: float | None) -> MessageState:
    return MessageState(
        packet.source.name,
        packet.destination.name,
        packet.protocol,
        packet.size,
        packet.describe(),
        float(primal_of(packet.sent_at)),
        arrives_at,
    )


def _listed(tree: Mapping[str, bytes | SymbolicLink | None]) -> dict[str, Any]:
    return {path: None if content is None else _previewed(content) for path, content in tree.items()}


def _previewed(content: bytes | SymbolicLink) -> dict[str, Any]:
    if isinstance(content, SymbolicLink):
        return {"link": content.target}
    return {"bytes": len(content), "begins": shown(content[:PREVIEW_BYTES])}
