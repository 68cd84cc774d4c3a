"""A replica applies what it has received in the order in which it came, which the network does not keep."""

from __future__ import annotations

from detrun_scenarios.database.replication.batches import Batches
from detrun_scenarios.database.replication.messages import Batch


class ReplicaOutOfOrder(Batches):
    """Waits until a batch is in the log, and not for those before it to be applied."""

    def next_to_apply(self, applied: int, durable: int) -> Batch | None:
        """See `Batches.next_to_apply`."""
        for batch in self.to_apply:
            if batch.end <= durable:  # right: and batch.begin <= applied < batch.end
                self.to_apply.remove(batch)
                return batch
        return None
