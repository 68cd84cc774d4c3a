"""Weights of tasks: how much more often one runnable task is to step than another, as a program says it.

A weight is set for one task or for all whose paths match a pattern, in which ``*`` stands for any characters; it goes
for tasks that there are and for those to come. Of several that go for a task the one set last counts. Weights may be
anything with a ``primal``: what chooses sees the numbers, what differentiates sees the rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError


class TaskWeights:
    """The weights of one run or of one strategy.

    Args:
        weights: by pattern of paths, to begin with.
    """

    def __init__(self, weights: Mapping[str, Any] | None = None) -> None:
        self.version = 0  # counts the changes
        self.of_paths: dict[str, tuple[int, Any]] = {}  # by path: the version that set it, and the weight
        self.of_patterns: list[tuple[int, re.Pattern[str], Any]] = []
        for pattern, weight in (weights or {}).items():
            self.set(pattern, weight)

    def set(self, pattern: str, weight: Any, is_path: bool = False) -> None:
        """Give a weight to all tasks whose paths match, or to the one with this path.

        Raises:
            UsageError: the weight is not a finite number above 0, or the pattern is no text.
        """
        if not isinstance(pattern, str):
            raise UsageError(f"a weight goes to tasks by their paths, such as 'main/worker*', not {pattern!r}")
        if isinstance(weight, bool) or not hasattr(weight, "__float__") or not 0.0 < primal_of(weight) < math.inf:
            raise UsageError(
                f"weight {weight!r} of {pattern!r} is not a finite number above 0; a task of weight 1e-9 hardly steps"
            )
        self.version += 1
        if is_path or "*" not in pattern:
            self.of_paths[pattern] = self.version, weight
        else:
            found = matching(pattern)
            self.of_patterns = [one for one in self.of_patterns if one[1] is not found]
            self.of_patterns.append((self.version, found, weight))

    @property
    def has_values(self) -> bool:
        """Whether a weight is more than a number."""
        weights = [weight for _, weight in self.of_paths.values()] + [weight for *_, weight in self.of_patterns]
        return any(hasattr(weight, "primal") for weight in weights)

    def of(self, path: str) -> Any:
        """The weight of a task; None if none was set."""
        version, weight = self.of_paths.get(path, (0, None))
        for since, pattern, other in reversed(self.of_patterns):
            if since < version:
                break
            if pattern.fullmatch(path) is not None:
                return other
        return weight


@lru_cache(maxsize=256)
def matching(pattern: str) -> re.Pattern[str]:
    """What the paths that a pattern means match, in full; ``*`` stands for any characters."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
