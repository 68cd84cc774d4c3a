"""A borrower that is cancelled while it waits keeps the seat that was handed to it, so that the pool shrinks by one."""

from __future__ import annotations

from detrun_scenarios.web_server.resilience.seats import Seats, Waiter


class LeakedConnection(Seats):
    """Takes who gives up for one who still waits."""

    def give_up(self, waiter: Waiter) -> None:
        """See `Seats.give_up`."""
        if waiter in self.waiting:  # right: else the seat is given back
            self.waiting.remove(waiter)
