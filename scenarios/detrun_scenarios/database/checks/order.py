"""Order of what a replica applies: each batch goes on where the one before it ended."""

from __future__ import annotations

from typing import Final

import detrun
from detrun_scenarios.database.replication.batches import Batches
from detrun_scenarios.database.replication.messages import Batch

IN_ORDER: Final = "a replica applies the log in its order"


class CheckedBatches(Batches):
    """See the module. Made by `in_order` from the class of batches that is to be checked."""

    def next_to_apply(self, applied: int, durable: int) -> Batch | None:
        """See `Batches.next_to_apply`."""
        batch = super().next_to_apply(applied, durable)
        if batch is not None:
            detrun.always(batch.begin == applied, IN_ORDER, f"applied is up to {applied}, and then from {batch.begin}")
        return batch


def in_order(batches: type[Batches]) -> type[CheckedBatches]:
    """Batches of a class, the right one or one with a planted bug, that are looked at."""
    return type(f"Checked{batches.__name__}", (CheckedBatches, batches), {})
