"""The invariants of the system, under the names with which the code calls `require`."""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Invariant

OWN_ANSWER = "a client gets the answer to its own request"
ACCEPTED = "an accepted request is answered before the server stops"
COUNTED = "the count of requests in flight is that of requests in flight"
BOOKED = "each order that is confirmed is booked once"
LENT = "a seat of the pool is taken by one who is there"
ONE_FETCH = "of each key one fetch is on its way at most"
RECOVERED = "quotes come again when the outage is over"

INVARIANTS = (
    Invariant(OWN_ANSWER, "looked at by the client, at each answer"),
    Invariant(ACCEPTED, "within the deadline of the drain; a client that hangs up wants no answer"),
    Invariant(COUNTED, "at each change of the count"),
    Invariant(BOOKED, "retries included; at the end, orders of the database against answers of the clients"),
    Invariant(LENT, "each time one leaves"),
    Invariant(ONE_FETCH, "at each start of a fetch"),
    Invariant(RECOVERED, "half of them at least, of those asked for late enough; in workloads that say when that is"),
)
