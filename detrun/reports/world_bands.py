"""`WorldBands`: from when to when links were cut, clogged or set otherwise, nodes were down, and planned faults lasted.

A change is seen right after the step that made it, so each band begins and ends at the virtual time of a step. What is
looked at are the links and nodes themselves: partitions that the program makes by hand count as those of a plan do. How
the program has set a link by the end of the instant at which the link is first seen is how it is set; other settings
are bands. While a planned fault changes links, a new link is as the world makes them. Links that change alike at the
same times make one band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from detrun.execution.scope import RunScope
from detrun.inspection.world_moments import settings_shown, state_of
from detrun.world.faults import kinds
from detrun_scheduler.clock import primal_of
from detrun_scheduler.run import ActiveRun, BegunFault, RunHooks
from detrun_scheduler.visible import visible_line

if TYPE_CHECKING:
    from detrun.world.world import World

BANDS_MAX = 4_000
PARTITIONED, CLOGGED = "partitioned", "clogged"
SETTING_FAULTS = frozenset(
    one.kind
    for one in (
        kinds.LinkLatency,
        kinds.Loss,
        kinds.Duplication,
        kinds.Reordering,
        kinds.SlowTail,
        kinds.Reset,
        kinds.Bandwidth,
    )
)


@dataclass(frozen=True, slots=True)
class Band:
    """Something about a link or a node, from one virtual time to another; ``first`` and ``last`` are steps."""

    what: str
    name: str
    begin: float
    end: float
    first: int
    last: int


class Since(NamedTuple):
    """From when on something is as it is."""

    time: float
    step: int


@dataclass(slots=True)
class WorldBands(RunScope):
    """Sees changes of a world from the moment on at which it is told of it.

    Attributes:
        world: None until it is known.
        links, nodes: their bands that have ended, in the order of their ends.
        settings: how links were set, likewise: link, words, begin, end.
        planned: faults of a plan, in the order in which they began: name, kind, of what, begin, end where it is known,
            and the step in which they began.
    """

    world: World | None = None
    links: list[Band] = field(default_factory=list)
    nodes: list[Band] = field(default_factory=list)
    settings: list[tuple[str, tuple[str, ...], Since, Since]] = field(default_factory=list)
    planned: list[tuple[str, str, str, float, float | None, int]] = field(default_factory=list)
    _run: ActiveRun | None = None
    _open_links: dict[tuple[str, str], Since] = field(default_factory=dict)  # what and name -> since when
    _open_nodes: dict[str, tuple[str, Since]] = field(default_factory=dict)  # name -> state, since when
    _seen: dict[str, tuple[bool, bool, Any]] = field(default_factory=dict)  # link -> cut, clogged, settings
    _set: dict[str, tuple[tuple[str, ...], Since]] = field(default_factory=dict)  # link -> how it is set, since when
    _declared: dict[str, tuple[tuple[str, ...], float]] = field(default_factory=dict)  # likewise, as it was first set
    _now: float = 0.0  # when the step was taken
    _step: int = 0
    _next: float = 0.0  # when the next one is

    def contribute(self, hooks: RunHooks) -> None:
        """Be told of steps and of planned faults."""
        hooks.after_step.append(self.look)
        hooks.fault_began = self._began

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """See `RunScope`."""
        self._run = run
        return args

    def close(self) -> None:
        """See `RunScope`."""
        self._run = None

    def look(self, run: ActiveRun) -> None:
        """A step has been taken; where it was the last at its time, the clock has moved on."""
        self._now, self._next = self._next, float(primal_of(run.virtual_clock.now))
        self._step = run.step_index
        world = self.world
        if world is None or world.services.nursery is None or world.run is not run:
            return
        for link in world.network.links.values():
            if link.is_loopback:
                continue
            state = link.partitioned, link.clogs > 0, link.settings
            if self._seen.get(link.name) != state:
                self._changed(link.name, state)
        for node in world.nodes:
            now = state_of(node)
            before = self._open_nodes.get(node.name)
            if before is None or before[0] != now:
                if before is not None:
                    self.nodes.append(self._band(before[0], node.name, before[1]))
                self._open_nodes[node.name] = now, self._here()

    def _here(self) -> Since:
        return Since(self._now, self._step)

    def _band(self, what: str, name: str, since: Since, until: Since | None = None) -> Band:
        end = self._here() if until is None else until
        return Band(what, name, since.time, end.time, since.step, end.step)

    def _changed(self, name: str, state: tuple[bool, bool, Any]) -> None:
        cut, clogged, settings = state
        self._seen[name] = state
        for what, is_so in ((PARTITIONED, cut), (CLOGGED, clogged)):
            if is_so:
                self._open_links.setdefault((what, name), self._here())
            elif (what, name) in self._open_links:
                self.links.append(self._band(what, name, self._open_links.pop((what, name))))
        shown = settings_shown(settings)
        before, since = self._set.get(name, (None, self._here()))
        if before != shown:
            if before is not None:
                self.settings.append((name, before, since, self._here()))
            self._set[name] = shown, self._here()
        first = self._declared.get(name)
        if not self._are_settings_changed():
            if first is None or first[1] == self._now:
                self._declared[name] = shown, self._now
        elif first is None:
            made = shown if self.world is None else settings_shown(self.world.network.settings)
            self._declared[name] = made, self._now

    def _are_settings_changed(self) -> bool:
        """Whether a planned fault changes settings of links now."""
        return any(
            kind in SETTING_FAULTS and begin <= self._now and (end is None or self._now < end)
            for _, kind, _, begin, end, _ in self.planned
        )

    def _began(self, fault: BegunFault) -> None:
        begin = self._next  # in a step that has not ended yet
        about = ", ".join(part for part in (fault.victim, fault.details) if part)
        end = None if fault.lasts is None else begin + fault.lasts
        step = 0 if self._run is None else self._run.step_index
        self.planned.append((fault.name, fault.kind, about, begin, end, step))

    def document(self) -> dict[str, Any]:
        """As plain JSON values: bands of links that are alike are one, with the names of the links."""
        last = self._now
        links = [*self.links, *(self._band(what, name, since) for (what, name), since in self._open_links.items())]
        links += self._set_otherwise()
        alike: dict[tuple[str, float, float], list[Band]] = {}
        for band in links:
            alike.setdefault((band.what, band.begin, band.end), []).append(band)
        still = ((what, name, since) for name, (what, since) in self._open_nodes.items())
        nodes = [*self.nodes, *(self._band(what, name, since) for what, name, since in still if since.time < last)]
        ordered = sorted(alike.items(), key=lambda one: one[0][1:])
        return {
            "links": [
                [
                    visible_line(what),
                    begin,
                    end,
                    [visible_line(one.name) for one in bands],
                    min(one.first for one in bands),
                    max(one.last for one in bands),
                ]
                for (what, begin, end), bands in ordered[:BANDS_MAX]
            ],
            "nodes": [
                [band.what, visible_line(band.name), band.begin, band.end, band.first, band.last]
                for band in nodes[:BANDS_MAX]
            ],
            "planned": [
                [visible_line(name), kind, visible_line(about), begin, end, step]
                for name, kind, about, begin, end, step in self.planned[:BANDS_MAX]
            ],
            "end": last,
            "leftOut": sum(max(len(one) - BANDS_MAX, 0) for one in (ordered, nodes, self.planned)),
        }

    def _set_otherwise(self) -> list[Band]:
        """Where links are not as they were declared."""
        now = self._here()
        spans = [*self.settings, *((name, words, since, now) for name, (words, since) in self._set.items())]
        found = []
        for name, words, begin, end in spans:
            declared, _ = self._declared[name]
            if words != declared and begin.time < end.time:
                new = [one for one in words if one not in declared]
                gone = [f"without {one}" for one in declared if one not in words]
                found.append(self._band(", ".join(new or gone), name, begin, end))
        return found
