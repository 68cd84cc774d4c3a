"""`DiskFaults`: the faults of a disk. Keyed draws decide which calls they strike; each strike is counted.

Each kind of fault has a probability per chance (one call, one sector written, one sector in flight when the power goes,
as the table says) and can be ordered for the next chance besides. Draws are keyed by disk and kind, so that switching
one fault on leaves all others as they were. Every fault that strikes is counted, here and in the counts given.

| kind | at each | what happens |
|---|---|---|
| ``fsync_loss`` | fsync | reports success; nothing became durable, and it stays pending |
| ``fsync_failure`` | fsync | `OSError` EIO; the data stays in the cache, marked clean: no later fsync writes it |
| ``torn_sector`` | surviving sector at power loss | first bytes new, the rest old: not even a sector is atomic |
| ``bit_flip_at_rest`` | sector made durable | one bit is wrong on the disk; the cache shows it only when read anew |
| ``bit_flip_on_read`` | read | one bit of what was read is wrong; the disk is not |
| ``misdirected_write`` | sector made durable | lands on another sector of the disk; the right one keeps what it had |
| ``read_error`` | read | `OSError` EIO |
| ``write_error`` | write | `OSError` EIO, nothing written |
| ``no_space`` | write | `OSError` ENOSPC, nothing written, whatever room there is |
| ``slow`` | call | takes ``slow_seconds`` more |

Sources: Rebello et al., "Can applications recover from fsync failures?", ATC 2020 (pages marked clean); Bairavasundaram
et al., "An analysis of data corruption in the storage stack", FAST 2008 (misdirected and lost writes).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from detrun.ad.outer_sites import site
from detrun.ad.value import Value
from detrun.world.fault_counts import FaultCounts
from detrun_scheduler import randomness
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError

KINDS = (
    "fsync_loss",
    "fsync_failure",
    "torn_sector",
    "bit_flip_at_rest",
    "bit_flip_on_read",
    "misdirected_write",
    "read_error",
    "write_error",
    "no_space",
    "slow",
)


class _Order(NamedTuple):
    """A fault that is to strike for sure."""

    path: str  # empty: any
    owner: str  # who may take it back


class DiskFaults:
    """The faults of one disk.

    Args:
        probabilities: by kind; a `Value` makes each decision a discontinuity site.
        below: strikes only files whose path begins with this.
        slow_seconds: how much longer a slow call takes; may be a `Value`.
    """

    def __init__(
        self,
        *,
        below: str = "/",
        slow_seconds: Any = 1.0,
        **probabilities: Any,
    ) -> None:
        self.below = below
        self.slow_seconds = slow_seconds
        self.reported: FaultCounts | None = None
        self.probabilities: dict[str, Any] = {}
        self.places: dict[str, str] = {}  # kind -> where it strikes, if not below `below`
        self.counts = dict.fromkeys(KINDS, 0)
        self.ordered: dict[str, list[_Order]] = {kind: [] for kind in KINDS}
        self.set(**probabilities)

    def set(self, *, below: str | None = None, **probabilities: Any) -> None:
        """Change probabilities, from now on.

        Args:
            below: where these kinds strike; by default where all do.

        Raises:
            UsageError: no such kind of fault, or not a probability.
        """
        for kind, probability in probabilities.items():
            _check_kind(kind)
            primal = primal_of(probability)
            if not isinstance(primal, float | int) or not 0.0 <= primal <= 1.0:
                raise UsageError(f"disk faults: {kind}={primal!r} is not a probability; give a number in [0, 1]")
            self.probabilities[kind] = probability
            if below is None:
                self.places.pop(kind, None)
            else:
                self.places[kind] = _absolute(below)
            if primal > 0.0:
                self._arm(kind)

    def clear(self) -> None:
        """No faults from now on: probabilities to zero, orders withdrawn. Counts stay."""
        self.probabilities.clear()
        self.places.clear()
        for orders in self.ordered.values():
            orders.clear()

    def order(self, kind: str, path: str = "", times: int = 1, owner: str = "") -> None:
        """Let a fault strike for sure at its next chance, or at the next one with the file ``path``."""
        _check_kind(kind)
        self.ordered[kind].extend([_Order(_absolute(path) if path else "", owner)] * times)
        self._arm(kind)

    def withdraw(self, owner: str) -> None:
        """Take back the orders of ``owner``, as far as they have not struck."""
        for orders in self.ordered.values():
            orders[:] = [one for one in orders if one.owner != owner]

    def report_to(self, counts: FaultCounts) -> None:
        """Have what strikes counted elsewhere too, as ``"disk fsync loss"`` and the like."""
        self.reported = counts
        for kind in KINDS:
            if self.ordered[kind] or primal_of(self.probabilities.get(kind, 0.0)) > 0.0:
                self._arm(kind)

    def _arm(self, kind: str) -> None:
        if self.reported is not None:
            self.reported.arm(counted_name(kind))

    def fail_next_fsync(self, path: str = "") -> None:
        """The next fsync fails with EIO and loses what it should have written."""
        self.order("fsync_failure", path)

    def lose_next_fsync(self, path: str = "") -> None:
        """The next fsync claims success and does nothing."""
        self.order("fsync_loss", path)

    def fail_next_read(self, path: str = "") -> None:
        """The next read fails with EIO."""
        self.order("read_error", path)

    def fail_next_write(self, path: str = "") -> None:
        """The next write to the disk fails with EIO. Buffered files write when they are flushed."""
        self.order("write_error", path)

    def outstanding(self) -> list[str]:
        """The kinds that were asked for, by probability or by order, and never struck."""
        return [
            kind
            for kind in KINDS
            if not self.counts[kind] and (self.ordered[kind] or primal_of(self.probabilities.get(kind, 0.0)) > 0.0)
        ]

    def strikes(self, kind: str, path: str, draw: Callable[[str], int]) -> bool:
        """Decide about one chance; ``draw`` gives 64 bits of the stream of a kind."""
        ordered = self.ordered[kind]
        if ordered:
            # One for this file before one for any, the oldest first.
            found = next((one for wanted in (path, "") for one in ordered if one.path == wanted), None)
            if found is not None:
                ordered.remove(found)
                return self._struck(kind)
        probability = self.probabilities.get(kind)
        if probability is None or not path.startswith(self.places.get(kind, self.below)):
            return False
        unit = randomness.to_unit(draw(kind))
        strikes = randomness.bernoulli(unit, probability)
        if isinstance(probability, Value):
            site("disk fault", kind, probability, unit)
        return self._struck(kind) if strikes else False

    def _struck(self, kind: str) -> bool:
        self.counts[kind] += 1
        if self.reported is not None:
            self.reported.count(counted_name(kind))
        return True


def counted_name(kind: str) -> str:
    """What a world's counts call a kind."""
    return f"disk {kind.replace('_', ' ')}"


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise UsageError(f"disk faults: no kind {kind!r}; choose from {', '.join(KINDS)}")


def _absolute(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"
