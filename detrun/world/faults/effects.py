"""What each planned fault does to a world, how that ends, and how often it changed something.

`Effects.begin` looks at the kind of a fault and calls the same methods that a person would: ``node.crash()``,
``world.partition(…)``, ``link.loss = …``. Faults may overlap. Each link setting and each disk probability is an
*overlay*: the latest that is in force holds, and what was set before comes back when the last has ended, whatever the
order of ending; a link is cut as long as one partition cuts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from detrun.primitives import draws
from detrun.world.faults import kinds as planned
from detrun.world.faults.begun import Begun, Overlays
from detrun.world.faults.buggify import buggify_sites
from detrun.world.faults.kinds import FaultPlanError, PlannedFault
from detrun.world.network.latency import Constant, Exponential
from detrun.world.network.packet import Packet
from detrun.world.network.rules import Verdict
from detrun_scheduler.randomness import permutation

if TYPE_CHECKING:
    from detrun.world.network.link import Link
    from detrun.world.nodes.node import Node
    from detrun.world.world import World

# Settings of links -> under which name the network counts their effects.
_RATES = {
    planned.Loss: ("loss", "loss"),
    planned.Duplication: ("duplication", "duplication"),
    planned.Reordering: ("reordering", "reordering"),
    planned.SlowTail: ("slow_tail", "slow tail"),
    planned.Reset: ("reset", "reset"),
}


class _Witness:
    """Counts the messages that a changed link has carried; lets all of them pass."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def judge(self, packet: Packet) -> Verdict:
        packet.link.count_fault(self.fault)
        return Verdict.PASS


class Effects:
    """Begins faults in one world, and remembers what is to come back."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._overlays = Overlays()
        self._cuts: dict[Link, int] = {}  # how many partitions cut it

    def begin(self, fault: PlannedFault) -> Begun:
        """Let ``fault`` begin."""
        match fault:
            case planned.Crash() | planned.PowerLoss():
                return self._take_down(fault)
            case planned.Restart():
                return self._restart(fault)
            case planned.Upgrade():
                return self._upgrade(fault)
            case planned.Pause():
                return self._pause(fault)
            case planned.Resume():
                return self._resume(fault)
            case planned.Partition():
                return self._partition(fault)
            case planned.Clog():
                return self._clog(fault)
            case planned.LinkLatency():
                latency = (
                    Exponential(fault.mean_seconds, fault.seconds) if fault.mean_seconds else Constant(fault.seconds)
                )
                return self._links(fault, {"latency": latency}, "latency", witness=True)
            case planned.Bandwidth():
                settings = {"bandwidth": fault.bytes_per_second}
                if fault.queue_bytes_max is not None:
                    settings["queue_bytes_max"] = fault.queue_bytes_max
                return self._links(fault, settings, "bandwidth", witness=True)
            case planned.Loss() | planned.Duplication() | planned.Reordering() | planned.SlowTail() | planned.Reset():
                setting, counted = _RATES[type(fault)]
                delay = getattr(fault, "delay_seconds", None)
                # The delay comes first: a link reads it when its rate is set.
                before = {f"{setting}_delay": delay} if delay is not None else {}
                return self._links(fault, {**before, setting: fault.rate}, counted, witness=False)
            case planned.DiskFault():
                return self._disk(fault)
            case planned.ClockStep() | planned.ClockSkew() | planned.ClockDrift():
                return self._clock(fault)
            case planned.Buggify():
                return self._buggify(fault)
        raise FaultPlanError(f"{fault.name}: nothing is known about how to begin a {type(fault).__name__}")

    # Nodes.

    def _matching(self, fault: PlannedFault, pattern: str) -> list[Node]:
        found = [node for node in self.world.nodes if fnmatchcase(node.name, pattern)]
        if not found:
            known = ", ".join(node.name for node in self.world.nodes) or "none"
            raise FaultPlanError(f"{fault.name}: no node is called {pattern!r}; this world has {known}")
        return found

    def _victim(self, fault: PlannedFault, is_fit: Callable[[Node], bool] = lambda node: True) -> Node:
        """One of the nodes that match, if possible one that the fault can do something to."""
        matching = self._matching(fault, fault.node)  # type: ignore[attr-defined]
        fit = [node for node in matching if is_fit(node)] or matching
        return fit[0] if len(fit) == 1 else fit[draws.choice(len(fit), key=("fault", fault.name, "node"))]

    def _counter(self, name: str) -> Callable[[], int]:
        faults = self.world.faults
        return lambda: faults[name]

    def _take_down(self, fault: planned.Crash | planned.PowerLoss) -> Begun:
        by_crash = isinstance(fault, planned.Crash)
        node = self._victim(fault, lambda node: node.is_running if by_crash else node.is_powered)
        count = self._counter("crash" if by_crash else "power loss")
        before = count()
        self.world.faults.arm("crash" if by_crash else "power loss")
        if by_crash:
            node.crash()
        else:
            node.power_loss()
        happened = count() - before

        def start() -> None:
            if not node.is_running and node.programs:
                node.restart()

        again = start if fault.down_seconds is not None and happened else None
        # The effect is this crash and not those that come while the node is down.
        return Begun(
            lambda: happened,
            before=0,
            lasts=fault.down_seconds,
            victim=node.name,
            start=again,
            is_over=fault.down_seconds is None,
        )

    def _restart(self, fault: planned.Restart) -> Begun:
        node = self._victim(fault, lambda node: not node.is_running and bool(node.programs))
        can = bool(node.programs)
        if can:
            node.restart()
            self.world.faults.count("restart")
        return Begun(lambda: int(can), before=0, victim=node.name, is_over=True)

    def _upgrade(self, fault: planned.Upgrade) -> Begun:
        matching = self._matching(fault, fault.node)
        known = [version for node in matching for version in node.versions]
        if not known or (fault.to and fault.to not in known):
            which = f"the version {fault.to!r}" if fault.to else "a version"
            raise FaultPlanError(
                f"{fault.name}: no node that {fault.node!r} matches was offered {which}; offer one before, with "
                "node.offer(version, function, ...)"
            )
        node = self._victim(fault, lambda node: node.following_version(fault.to) is not None)
        version = node.following_version(fault.to)
        if version is not None:
            node.upgrade(version)
        return Begun(lambda: int(version is not None), before=0, victim=node.name, is_over=True)

    def _pause(self, fault: planned.Pause) -> Begun:
        node = self._victim(fault, lambda node: node.is_running and not node.is_paused)
        self.world.faults.arm("pause")
        can = node.is_running and not node.is_paused
        node.pause()
        process = node.process

        def resume() -> None:
            if can and node.process is process:
                node.resume()

        return Begun(lambda: int(can), before=0, lasts=fault.lasts_seconds, victim=node.name, undo=resume)

    def _resume(self, fault: planned.Resume) -> Begun:
        node = self._victim(fault, lambda node: node.is_paused)
        can = node.is_paused
        if can:
            node.resume()
            self.world.faults.count("resume")
        return Begun(lambda: int(can), before=0, victim=node.name, is_over=True)

    # Links.

    def _partition(self, fault: planned.Partition) -> Begun:
        cut = self._cut_by(lambda: self._apply_partition(fault))
        if not cut:
            raise FaultPlanError(f"{fault.name}: a partition into {fault.shape or fault.groups} cuts no link here")
        for link in cut:
            self._cuts[link] = self._cuts.get(link, 0) + 1

        def heal() -> None:
            for link in cut:
                self._cuts[link] -= 1
                if not self._cuts[link]:
                    del self._cuts[link]
                    link.partitioned = False

        return Begun(_on_links(cut, "partition"), lasts=fault.lasts_seconds, undo=heal)

    def _cut_by(self, apply: Callable[[], None]) -> list[Link]:
        """The links that ``apply`` partitions, whether others are partitioned or not; those stay so."""
        links = self.world.network.links
        before = [link for link in links.values() if link.partitioned]
        for link in before:
            link.partitioned = False
        apply()
        cut = [link for link in links.values() if link.partitioned]
        for link in before:
            link.partitioned = True
        return cut

    def _apply_partition(self, fault: planned.Partition) -> None:
        world = self.world
        if fault.groups:
            groups = [self._group(fault, names) for names in fault.groups]
            for index, one in enumerate(groups):
                for other in groups[index + 1 :]:
                    world.partition(one, other, fault.one_way)
            return
        nodes = self._group(fault, fault.nodes or ("*",))
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

    def _group(self, fault: PlannedFault, patterns: Sequence[str]) -> list[Node]:
        found: dict[Node, None] = {}
        driver = self.world.driver
        for pattern in patterns:
            # The driver is meant only by its own name: "*" is every node of the system under test.
            matching = [driver] if pattern == driver.name else self._matching(fault, pattern)
            found.update(dict.fromkeys(matching))
        return list(found)

    def _links_of(self, fault: PlannedFault, source: str, destination: str) -> list[Link]:
        world = self.world
        everybody = [world.driver, *world.nodes]
        found = [
            world.link(one, other)
            for one in everybody
            if fnmatchcase(one.name, source)
            for other in everybody
            if fnmatchcase(other.name, destination) and one is not other
        ]
        if not found:
            known = ", ".join(node.name for node in everybody)
            raise FaultPlanError(f"{fault.name}: no link leads from {source!r} to {destination!r} among {known}")
        return found

    def _clog(self, fault: planned.Clog) -> Begun:
        return self._on_links(fault, "clog", lambda link: link.clog(), lambda link: link.unclog())

    def _links(self, fault: Any, settings: dict[str, Any], counted: str, *, witness: bool) -> Begun:
        rule = _Witness(counted)
        if witness:
            self.world.faults.arm(counted)

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
    ) -> Begun:
        """``apply`` to every link that matches, also those of nodes that are named later; ``restore`` at the end."""
        links = self._links_of(fault, fault.source, fault.destination)
        for link in links:
            apply(link)

        def told(link: Link) -> None:
            if fnmatchcase(link.source.name, fault.source) and fnmatchcase(link.destination.name, fault.destination):
                links.append(link)
                apply(link)

        watchers = self.world.network.on_new_link
        watchers.append(told)

        def end() -> None:
            watchers.remove(told)
            for link in links:
                restore(link)

        return Begun(_on_links(links, counted), lasts=fault.lasts_seconds, undo=end)

    # Disks, clocks, the program.

    def _disk(self, fault: planned.DiskFault) -> Begun:
        node = self._victim(fault)
        faults = node.disk.faults
        kind = fault.fault
        setting = ("disk", node.name, kind)

        def count() -> int:
            return int(faults.counts[kind])

        before = count()

        def write(rate_and_place: Any) -> None:
            rate, below = rate_and_place
            faults.set(below=below, **{kind: rate})

        def write_slowness(seconds: Any) -> None:
            faults.slow_seconds = seconds

        if fault.rate:
            self._overlays.put(
                setting,
                fault.name,
                (fault.rate, fault.path or None),
                lambda: (faults.probabilities.get(kind, 0.0), faults.places.get(kind)),
                write,
            )
        slowness = ("disk", node.name, "slow seconds")
        if fault.slow_seconds is not None:
            self._overlays.put(slowness, fault.name, fault.slow_seconds, lambda: faults.slow_seconds, write_slowness)
        if fault.times:
            faults.order(kind, fault.path, fault.times, owner=fault.name)

        def clear() -> None:
            if fault.rate:
                self._overlays.take_off(setting, fault.name, write)
            if fault.slow_seconds is not None:
                self._overlays.take_off(slowness, fault.name, write_slowness)
            faults.withdraw(fault.name)

        return Begun(count, before=before, lasts=fault.lasts_seconds, victim=node.name, undo=clear)

    def _clock(self, fault: planned.ClockStep | planned.ClockSkew | planned.ClockDrift) -> Begun:
        node = self._victim(fault)
        clock = node.clock

        def told(name: str) -> None:
            if clock.on_fault is None:
                self.world.faults.count(name)

        if isinstance(fault, planned.ClockDrift):
            setting = ("clock", node.name)
            write = clock.set_drift
            self._overlays.put(setting, fault.name, fault.rate, lambda: clock._drift, write)
            told("clock drift")
            return Begun(
                lambda: int(bool(fault.rate)),
                before=0,
                lasts=fault.lasts_seconds,
                victim=node.name,
                undo=lambda: self._overlays.take_off(setting, fault.name, write),
            )
        clock.step(fault.seconds)
        told("clock step")
        if isinstance(fault, planned.ClockStep):
            return Begun(lambda: int(bool(fault.seconds)), before=0, victim=node.name, is_over=True)
        return Begun(
            lambda: int(bool(fault.seconds)),
            before=0,
            lasts=fault.lasts_seconds,
            victim=node.name,
            undo=lambda: clock.step(-fault.seconds),
        )

    def _buggify(self, fault: planned.Buggify) -> Begun:
        sites = buggify_sites()
        before = sites.enabled, sites.fires
        sites.enabled, sites.fires = fault.enabled, fault.fires

        def restore() -> None:
            sites.enabled, sites.fires = before

        return Begun(lambda: sum(site.fired for site in sites.by_name.values()), undo=restore)


def _on_links(links: Sequence[Link], name: str) -> Callable[[], int]:
    return lambda: sum(link.fault_counts.get(name, 0) for link in links)


def _reader(link: Link, setting: str) -> Callable[[], Any]:
    return lambda: getattr(link, setting)


def _writer(link: Link, setting: str) -> Callable[[Any], None]:
    return lambda value: setattr(link, setting, value)
