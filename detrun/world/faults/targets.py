"""Targets of planned faults: the nodes and links of a world that a fault's patterns of names, or its roles, match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from detrun.primitives import draws
from detrun.world.faults.kinds import FaultPlanError, PlannedFault
from detrun.world.network.link import Link
from detrun.world.nodes.node import Node
from detrun.world.nodes.roles import MARK
from detrun.world.world import World


class Targets:
    """What faults can strike in one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def holders(self, fault: PlannedFault, role: str) -> list[Node]:
        """The nodes that have a role now, which may be none; or those that the run says it should strike instead.

        Raises:
            FaultPlanError: the world knows no such role.
        """
        roles, span = self._world.roles, self._world.run.fault_spans.get(fault.name)
        told = dict(span.holders).get(role) if span is not None else None
        if told is not None:
            return [node for node in self._world.nodes if node.name in told]
        if role not in roles:
            raise FaultPlanError(
                f"{fault.name}: {MARK}{role} is no role of this world, which has {', '.join(roles) or 'none'}; declare "
                f"it, with world.role({role!r}, predicate)"
            )
        return roles.holders(role, self._world.nodes)

    def matcher(self, fault: PlannedFault, pattern: str) -> Callable[[str], bool]:
        """Whether a name is meant: it matches a pattern, or its node has the role now."""
        if not pattern.startswith(MARK):
            return lambda name: fnmatchcase(name, pattern)
        meant = {node.name for node in self.holders(fault, pattern.removeprefix(MARK))}
        return meant.__contains__

    def nodes(self, fault: PlannedFault, pattern: str) -> list[Node]:
        """The nodes whose names match, or that have the role.

        Raises:
            FaultPlanError: no name matches, or there is no such role.
        """
        if pattern.startswith(MARK):
            return self.holders(fault, pattern.removeprefix(MARK))
        found = [node for node in self._world.nodes if fnmatchcase(node.name, pattern)]
        if not found:
            known = ", ".join(node.name for node in self._world.nodes) or "none"
            raise FaultPlanError(f"{fault.name}: no node is called {pattern!r}; this world has {known}")
        return found

    def victim(self, fault: PlannedFault, is_fit: Callable[[Node], bool] = lambda node: True) -> Node:
        """One of the nodes that match, if possible one that the fault can do something to."""
        matching = self.nodes(fault, fault.node)  # type: ignore[attr-defined]
        fit = [node for node in matching if is_fit(node)] or matching
        return fit[0] if len(fit) == 1 else fit[draws.choice(len(fit), key=("fault", fault.name, "node"))]

    def group(self, fault: PlannedFault, patterns: Sequence[str]) -> list[Node]:
        """The nodes that match one of ``patterns``, in the order of the patterns."""
        found: dict[Node, None] = {}
        driver = self._world.driver
        for pattern in patterns:
            # The driver is meant only by its own name: "*" is every node of the system under test.
            matching = [driver] if pattern == driver.name else self.nodes(fault, pattern)
            found.update(dict.fromkeys(matching))
        return list(found)

    def links(self, fault: PlannedFault, source: str, destination: str) -> list[Link]:
        """The links between nodes, or the driver, whose names match or that have the role.

        Raises:
            FaultPlanError: none does.
        """
        world = self._world
        machines = [world.driver, *world.nodes]
        is_source, is_destination = self.matcher(fault, source), self.matcher(fault, destination)
        found = [
            world.link(one, other)
            for one in machines
            if is_source(one.name)
            for other in machines
            if is_destination(other.name) and one is not other
        ]
        if not found:
            known = ", ".join(node.name for node in machines)
            raise FaultPlanError(f"{fault.name}: no link leads from {source!r} to {destination!r} among {known}")
        return found
