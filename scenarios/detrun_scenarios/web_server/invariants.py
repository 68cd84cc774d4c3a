"""The invariants of the system, under the names with which the code calls `require`."""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Invariant

OWN_ANSWER = "a client gets the answer to its own request"
ACCEPTED = "an accepted request is answered before the server stops"
COUNTED = "the count of requests in flight is that of requests in flight"
BOOKED = "each order that is confirmed is booked once"

INVARIANTS = (
    Invariant(OWN_ANSWER, "looked at by the client, at each answer"),
    Invariant(ACCEPTED, "within the deadline of the drain; a client that hangs up wants no answer"),
    Invariant(COUNTED, "at each change of the count"),
    Invariant(BOOKED, "retries included; at the end, orders of the database against answers of the clients"),
)
