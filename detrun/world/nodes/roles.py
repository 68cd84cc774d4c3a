"""`Roles`: what nodes are at a moment, told from outside, so that a planned fault can strike ``@leader``.

A role is a name and a predicate of a node: ``world.role("leader", lambda node: …)``. It is asked only when a fault
looks for a victim, and only about nodes whose process runs; it should look and change nothing. A role may have no
holder, or several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from detrun.world.nodes.node import Node
from detrun_scheduler.errors import UsageError

MARK: Final = "@"  # no name of a node begins so


class Roles:
    """The roles of one world."""

    def __init__(self) -> None:
        self._predicates: dict[str, Callable[[Node], bool]] = {}

    def declare(self, name: str, predicate: Callable[[Node], bool]) -> None:
        """From now on a node has the role whenever the predicate is true of it.

        Raises:
            UsageError: not a name.
        """
        if not isinstance(name, str) or not name or name.startswith(MARK):
            raise UsageError(f"{name!r} cannot name a role; give a text such as 'leader', without {MARK!r} before it")
        self._predicates[name] = predicate

    def __contains__(self, name: str) -> bool:
        return name in self._predicates

    def __iter__(self) -> Iterator[str]:
        return iter(self._predicates)

    def holders(self, name: str, nodes: Iterable[Node]) -> list[Node]:
        """Those of the nodes that run and have the role now."""
        predicate = self._predicates[name]
        return [node for node in nodes if node.is_running and predicate(node)]

    def clear(self) -> None:
        """The world is over."""
        self._predicates.clear()
