"""A request that a client repeated because its answer was lost takes effect a second time (section 6.3)."""

from __future__ import annotations

from detrun_scenarios.consensus.state_machine import StateMachine


class DuplicateApplied(StateMachine):
    """Knows sessions, and never looks at the numbers of their requests."""

    def is_repeated(self, session: str, number: int) -> bool:
        """See `StateMachine.is_repeated`."""
        return False  # right: number <= the number of the last request
