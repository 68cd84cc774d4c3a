"""What a cluster can be tuned by. Every number may be a `Value`.

The defaults are those of the field: election time-outs of 150 to 300 ms (Ongaro and Ousterhout 2014, section 5.6),
heartbeats at a third of the least one. The lease margin is right for clocks that are wrong by up to a fifth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from detrun_scenarios.consensus.core.server import Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The numbers of one cluster; seconds where nothing else is said.

    Attributes:
        election_timeout, election_spread, lease_margin: see `Timing`.
        heartbeat_interval: between two rounds of heartbeats.
        batch_delay: how long the first request of a batch waits for others at most.
        batch_size: the number of requests at which a batch is full and waits no longer.
        weights: follower -> its share of the leader's bandwidth, relative to those of the others; 1 if not given.
        bandwidth: bytes a second that a leader sends to all followers together; heartbeats go besides.
        snapshot_entries: a server takes a snapshot after so many entries, and keeps a quarter of them.
        has_leases, append_entries_max, snapshot_piece_bytes: see `Timing`.
    """

    election_timeout: Any = 0.150
    election_spread: Any = 0.150
    lease_margin: Any = 0.050
    heartbeat_interval: Any = 0.050
    batch_delay: Any = 0.001
    batch_size: Any = 16.0
    weights: Mapping[str, Any] = field(default_factory=dict)
    bandwidth: Any = 1e6
    snapshot_entries: int = 256
    has_leases: bool = True
    append_entries_max: int = 64
    snapshot_piece_bytes: int = 64

    @property
    def timing(self) -> Timing:
        """What the protocol itself needs."""
        return Timing(
            self.election_timeout,
            self.election_spread,
            self.lease_margin,
            self.has_leases,
            self.append_entries_max,
            self.snapshot_piece_bytes,
        )

    def rate_to(self, peer: str, peers: tuple[str, ...]) -> Any:
        """Bytes a second that a leader may send to one of its peers."""
        total: Any = 0.0
        for name in peers:
            total = total + self.weights.get(name, 1.0)
        return self.bandwidth * self.weights.get(peer, 1.0) / total
