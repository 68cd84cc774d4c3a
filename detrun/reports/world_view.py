"""`WorldView`: a world at chosen moments of its run: which nodes are up, what is on its way, what their disks hold.

The moments are spread over the steps and over the virtual time of the run, and there is one after each step in which a
fault took effect, so that no crash falls between two of them. Beside them there are bands, which know exactly when
something changed (`detrun.reports.world_bands`).
"""

from __future__ import annotations

import gc
import math
import sys
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from detrun.inspection.world_moments import DiskState, LinkState, MessageState, NodeState, links_of, world_of
from detrun.reports.world_bands import CLOGGED, PARTITIONED, WorldBands
from detrun.world.disk.image import SymbolicLink
from detrun_recorder.recording import Recording
from detrun_scheduler.clock import primal_of
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.visible import visible_line

SPREAD = 40  # moments over its steps, and as many over its time
OF_FAULTS_MAX = 60
SEARCHES_MAX = 20  # for a world that is not there
FILES_MAX = 12  # of a node, in one moment
MESSAGES_MAX = 20
DESCRIPTION_MAX = 120  # characters of a message
LINKS_MAX = 400


def world_view_of(recording: Recording) -> WorldView:
    """One that looks after steps which are spread over a run, and after those with faults."""
    faults: list[int] = []
    spread: list[int] = []
    end = recording.virtual_time
    for step in recording.iter_steps():
        if any(event.kind == "fault" for event in step.events):
            faults.append(step.index + 1)
        if step.time >= len(spread) * end / SPREAD:
            spread.append(step.index + 1)
    every = max(-(-len(faults) // OF_FAULTS_MAX), 1)
    by_steps = range(1, recording.steps + 1, -(-max(recording.steps, 1) // SPREAD))
    return WorldView(sorted({*spread, *by_steps, *faults[::every]}), len(faults) - len(faults[::every]))


@dataclass(slots=True)
class WorldView:
    """What was seen of a world; of a run without one, nothing.

    Args:
        moments: after how many steps to look, ascending.
        faults_left_out: steps with faults after which it does not look.
    """

    moments: list[int]
    faults_left_out: int = 0
    bands: WorldBands = field(default_factory=WorldBands)
    texts: dict[str, int] = field(default_factory=dict)  # settings of links, with their numbers
    seen: list[dict[str, Any]] = field(default_factory=list)
    next: float = field(init=False)
    _worlds: list[Any] = field(default_factory=list)
    _searches: int = 0

    def __post_init__(self) -> None:
        self.next = self.moments[0] if self.moments else math.inf

    def look(self, run: ActiveRun) -> None:
        """See `Looker`."""
        later = bisect_right(self.moments, run.step_index)
        self.next = self.moments[later] if later < len(self.moments) else math.inf
        kind = getattr(sys.modules.get("detrun.world.world"), "World", None)
        if kind is None:
            return
        if not any(one.run is run for one in self._worlds):
            self._worlds = [one for one in gc.get_objects() if type(one) is kind]
            self._searches += 1
            if self._searches == SEARCHES_MAX:
                self.next = math.inf
        found = world_of(run, self._worlds)
        if found is not None:
            self.bands.world, nodes, messages = found
            links = links_of(self.bands.world)
            self.seen.append(
                {
                    "step": run.step_index,
                    "time": float(primal_of(run.virtual_clock.now)),
                    "nodes": [_node(node) for node in nodes],
                    "links": _links(messages),
                    "settings": [self._link(one) for one in links[:LINKS_MAX]],
                    "links_left_out": max(len(links) - LINKS_MAX, 0),
                    "messages": [_message(one) for one in messages[:MESSAGES_MAX]],
                    "under_way": len(messages),
                }
            )

    def document(self) -> dict[str, Any] | None:
        """As plain JSON values; None if there was no world."""
        self._worlds = []
        if not self.seen:
            return None
        return {
            "moments": self.seen,
            "texts": list(self.texts),
            "bands": self.bands.document(),
            "faults_left_out": self.faults_left_out,
        }

    def _link(self, one: LinkState) -> list[Any]:
        """Source, destination, how it is set, what is wrong with it, bytes in its queue, messages on it and held."""
        text = self.texts.setdefault(visible_line(one.settings), len(self.texts))
        wrong = [name for name, is_so in ((PARTITIONED, one.partitioned), (CLOGGED, one.clogged)) if is_so]
        route = visible_line(one.source), visible_line(one.destination)
        return [*route, text, " and ".join(wrong), round(one.queue_bytes), one.under_way, one.held]


def _node(node: NodeState) -> dict[str, Any]:
    return {
        "name": visible_line(node.name),
        "state": node.state,
        "starts": node.starts,
        "tasks": len(node.tasks),
        "mailbox": len(node.mailbox),
        "clock": node.clock_error,
        "disk": [] if node.disk is None else _files(node.disk)[:FILES_MAX],
        "files_left_out": 0 if node.disk is None else max(len(_files(node.disk)) - FILES_MAX, 0),
    }


def _files(disk: DiskState) -> list[list[Any]]:
    """Path, bytes as programs see them, and bytes that a loss of power leaves; None where it is not there."""
    paths = sorted(path for path in {*disk.files, *disk.durable} if disk.files.get(path, b"") is not None)
    return [[visible_line(path), _size(disk.files.get(path)), _size(disk.durable.get(path))] for path in paths]


def _size(content: bytes | SymbolicLink | None) -> int | None:
    if isinstance(content, SymbolicLink):
        return len(content.target.encode("utf-8", "surrogateescape"))
    return None if content is None else len(content)


def _links(messages: tuple[MessageState, ...]) -> list[list[Any]]:
    """Source, destination, how many are on their way, how many are held back."""
    under_way = Counter((one.source, one.destination) for one in messages)
    held = Counter((one.source, one.destination) for one in messages if one.arrives_at is None)
    return [[*route, count, held[route]] for route, count in under_way.items()]


def _message(one: MessageState) -> list[Any]:
    route = f"{one.source} -> {one.destination}"
    return [visible_line(route), one.protocol, one.size, one.arrives_at, _short(one.description)]


def _short(text: str) -> str:
    said = visible_line(text)
    return said if len(said) <= DESCRIPTION_MAX else f"{said[: DESCRIPTION_MAX - 1]}…"
