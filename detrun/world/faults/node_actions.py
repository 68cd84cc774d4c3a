"""Actions of the faults of one node: its process, its power, its disk, its clocks."""

from __future__ import annotations

from typing import Any

from detrun.world.faults import kinds as planned
from detrun.world.faults.active_fault import ActiveFault, Overlays
from detrun.world.faults.kinds import FaultPlanError
from detrun.world.faults.targets import Targets
from detrun.world.world import World


class NodeActions:
    """Begins the faults of nodes in one world."""

    def __init__(self, world: World, targets: Targets, overlays: Overlays) -> None:
        self._world = world
        self._targets = targets
        self._overlays = overlays

    def take_down(self, fault: planned.Crash | planned.PowerLoss) -> ActiveFault:
        by_crash = isinstance(fault, planned.Crash)
        node = self._targets.victim(fault, lambda node: node.is_running if by_crash else node.is_powered)
        faults = self._world.faults
        name = "crash" if by_crash else "power loss"
        before = faults[name]
        faults.arm(name)
        if by_crash:
            node.crash()
        else:
            node.power_loss()
        happened = faults[name] - before

        def start() -> None:
            if not node.is_running and node.programs:
                node.restart()

        again = start if fault.down_seconds is not None and happened else None
        # It strikes once: crashes that come while the node is down are not its own.
        return ActiveFault(
            lambda: happened,
            before=0,
            lasts=fault.down_seconds,
            victim=node.name,
            start=again,
            is_over=fault.down_seconds is None,
        )

    def restart(self, fault: planned.Restart) -> ActiveFault:
        node = self._targets.victim(fault, lambda node: not node.is_running and bool(node.programs))
        can = bool(node.programs)
        if can:
            node.restart()
            self._world.faults.count("restart")
        return ActiveFault(lambda: int(can), before=0, victim=node.name, is_over=True)

    def upgrade(self, fault: planned.Upgrade) -> ActiveFault:
        matching = self._targets.nodes(fault, fault.node)
        known = [version for node in matching for version in node.versions]
        if not known or (fault.to and fault.to not in known):
            which = f"the version {fault.to!r}" if fault.to else "a version"
            raise FaultPlanError(
                f"{fault.name}: no node that {fault.node!r} matches was offered {which}; offer one before, with "
                "node.offer(version, function, ...)"
            )
        node = self._targets.victim(fault, lambda node: node.following_version(fault.to) is not None)
        version = node.following_version(fault.to)
        if version is not None:
            node.upgrade(version)
        return ActiveFault(lambda: int(version is not None), before=0, victim=node.name, is_over=True)

    def pause(self, fault: planned.Pause) -> ActiveFault:
        node = self._targets.victim(fault, lambda node: node.is_running and not node.is_paused)
        self._world.faults.arm("pause")
        can = node.is_running and not node.is_paused
        node.pause()
        process = node.process

        def resume() -> None:
            if can and node.process is process:
                node.resume()

        return ActiveFault(lambda: int(can), before=0, lasts=fault.lasts_seconds, victim=node.name, undo=resume)

    def resume(self, fault: planned.Resume) -> ActiveFault:
        node = self._targets.victim(fault, lambda node: node.is_paused)
        can = node.is_paused
        if can:
            node.resume()
            self._world.faults.count("resume")
        return ActiveFault(lambda: int(can), before=0, victim=node.name, is_over=True)

    def disk(self, fault: planned.DiskFault) -> ActiveFault:
        node = self._targets.victim(fault)
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

        return ActiveFault(count, before=before, lasts=fault.lasts_seconds, victim=node.name, undo=clear)

    def clock(self, fault: planned.ClockStep | planned.ClockSkew | planned.ClockDrift) -> ActiveFault:
        node = self._targets.victim(fault)
        clock = node.clock  # counts its own faults
        if isinstance(fault, planned.ClockDrift):
            setting = ("clock", node.name)
            write = clock.set_drift
            self._overlays.put(setting, fault.name, fault.rate, lambda: clock._drift, write)
            return ActiveFault(
                lambda: int(bool(fault.rate)),
                before=0,
                lasts=fault.lasts_seconds,
                victim=node.name,
                undo=lambda: self._overlays.take_off(setting, fault.name, write),
            )
        clock.step(fault.seconds)
        if isinstance(fault, planned.ClockStep):
            return ActiveFault(lambda: int(bool(fault.seconds)), before=0, victim=node.name, is_over=True)
        return ActiveFault(
            lambda: int(bool(fault.seconds)),
            before=0,
            lasts=fault.lasts_seconds,
            victim=node.name,
            undo=lambda: clock.step(-fault.seconds),
        )
