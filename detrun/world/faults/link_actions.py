"""Actions of the faults of links: partitions, clogs, and settings that are changed for a time.

A link is cut as long as one partition cuts it. A fault strikes every link whose ends match, also those of nodes that
are named later. A role means the nodes that have it when the fault begins, to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from detrun.primitives import draws
from detrun.world.faults import kinds as planned
from detrun.world.faults.active_fault import ActiveFault, Overlays
from detrun.world.faults.kinds import FaultPlanError
from detrun.world.faults.targets import Targets
from detrun.world.network.link import Link
from detrun.world.network.packet import Packet
from detrun.world.network.rules import Verdict
from detrun.world.world import World
from detrun_scheduler.randomness import permutation


class _Witness:
    """Counts the messages that a changed link has carried; lets all of them pass."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def judge(self, packet: Packet) -> Verdict:
        packet.link.count_fault(self.fault)
        return Verdict.PASS


class LinkActions:
    """Begins the faults of links in one world.

    Invariant: ``_cuts`` has the links that partitions of the plan have cut, each with how many do now.
    """

    def __init__(self, world: World, targets: Targets, overlays: Overlays) -> None:
        self._world = world
        self._targets = targets
        self._overlays = overlays
        self._cuts: dict[Link, int] = {}

    def partition(self, fault: planned.Partition) -> ActiveFault:
        cut = self._cut_by(lambda: self._apply_partition(fault))
        if not cut:
            raise FaultPlanError(f"{fault.name}: a partition into {fault.shape or fault.groups} cuts no link here")
        for link in cut:
            self._cuts[link] = self._cuts.get(link, 0) + 1

        def heal() -> None:
            for link in cut:
                self._cuts[link] -= 1
                if not self._cuts[link]:
                    link.partitioned = False

        return ActiveFault(_count_on(cut, "partition"), lasts=fault.lasts_seconds, undo=heal)

    def _cut_by(self, apply: Callable[[], None]) -> list[Link]:
        """The links that ``apply`` partitions, whether others are partitioned or not; those stay so."""
        links = self._world.network.links
        before = [link for link in links.values() if link.partitioned]
        for link in before:
            link.partitioned = False
        apply()
        cut = [link for link in links.values() if link.partitioned]
        for link in before:
            link.partitioned = True
        return cut

    def _apply_partition(self, fault: planned.Partition) -> None:
        world = self._world
        if fault.groups:
            groups = [self._targets.group(fault, names) for names in fault.groups]
            for index, one in enumerate(groups):
                for other in groups[index + 1 :]:
                    world.partition(one, other, fault.one_way)
            return
        nodes = self._targets.group(fault, fault.nodes or ("*",))
        bits = world.run.draw(("fault", fault.name, "order"))
        shuffled = [nodes[place] for place in permutation(bits, len(nodes))]
        match fault.shape:
            case "bridge":
                world.partition_bridge(shuffled)
            case "majorities ring":
                world.partition_majorities_ring(shuffled)
            case shape:
                size = 1 if shape == "isolate" else len(shuffled) // 2
                sides = shuffled[:size], shuffled[size:]
                turned = fault.one_way and draws.bernoulli(0.5, key=("fault", fault.name, "direction"))
                world.partition(*(sides[::-1] if turned else sides), fault.one_way)

    def clog(self, fault: planned.Clog) -> ActiveFault:
        return self._on_links(fault, "clog", lambda link: link.clog(), lambda link: link.unclog())

    def change(self, fault: Any, settings: dict[str, Any], counted: str, *, witness: bool) -> ActiveFault:
        rule = _Witness(counted)
        if witness:
            self._world.faults.arm(counted)

        def apply(link: Link) -> None:
            if witness:
                link.rules.append(rule)
            for name, value in settings.items():
                self._overlays.put((link.name, name), fault.name, value, _reader(link, name), _writer(link, name))

        def restore(link: Link) -> None:
            if witness:
                link.rules.remove(rule)
            for name in settings:
                self._overlays.take_off((link.name, name), fault.name, _writer(link, name))

        return self._on_links(fault, counted, apply, restore)

    def _on_links(
        self,
        fault: Any,
        counted: str,
        apply: Callable[[Link], object],
        restore: Callable[[Link], object],
    ) -> ActiveFault:
        """``apply`` to every link that matches, also those of nodes that are named later; ``restore`` at the end."""
        links = self._targets.links(fault, fault.source, fault.destination)
        is_source = self._targets.matcher(fault, fault.source)
        is_destination = self._targets.matcher(fault, fault.destination)
        for link in links:
            apply(link)

        def told(link: Link) -> None:
            if is_source(link.source.name) and is_destination(link.destination.name):
                links.append(link)
                apply(link)

        watchers = self._world.network.on_new_link
        watchers.append(told)

        def end() -> None:
            watchers.remove(told)
            for link in links:
                restore(link)

        return ActiveFault(_count_on(links, counted), lasts=fault.lasts_seconds, undo=end)


def _count_on(links: Sequence[Link], name: str) -> Callable[[], int]:
    return lambda: sum(link.fault_counts.get(name, 0) for link in links)


def _reader(link: Link, setting: str) -> Callable[[], Any]:
    return lambda: getattr(link, setting)


def _writer(link: Link, setting: str) -> Callable[[Any], None]:
    return lambda value: setattr(link, setting, value)
