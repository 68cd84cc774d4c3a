"""A level that is called serializable misses one of the two edges by which an anomaly is known (Cahill et al. 2008)."""

from __future__ import annotations

from detrun_scenarios.database.transactions.conflicts import Conflicts, Marks


class WriteSkew(Conflicts):
    """Sees readers when something is written, and no writers when something is read."""

    def ignores(self, reader: Marks, writer: int) -> None:
        """See `Conflicts.ignores`."""
        return  # right: self.depends(reader, writer)
