"""Moments become durable behind the file that names their checkpoint: in between, a restart takes older ones."""

from __future__ import annotations

from detrun_scenarios.training.parameter_server.checkpoints import Checkpoints


class StaleMoments(Checkpoints):
    """Writes the moments when the rest is safe."""

    def order(self) -> tuple[str, ...]:
        """See `Checkpoints.order`."""
        return ("weights", "latest", "moments")  # right: latest is the last
