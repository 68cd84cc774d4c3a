"""The network at work: routers that send packets on by their shares, and the count of what became of each packet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.studies.routing.links import Link, Packet
from detrun_scenarios.studies.routing.network import CAPACITIES
from detrun_scenarios.studies.routing.softmin import shares_of, weights_of

CONSERVED = "packets are conserved"
NO_LOOPS = "a packet passes a router once at most"


class Fabric:
    """All links, started in a nursery by `start`.

    Args:
        params: the weights of links, and ``slowness``, by which the time of every packet at a link is multiplied.
        buffer: of each link, in packets; None for any number.
        link: the class of links.
    """

    def __init__(self, params: Mapping[str, Any], buffer: int | None = None, link: type[Link] = Link) -> None:
        self.shares = {
            at: (tuple(shares), tuple(shares.values())) for at, shares in shares_of(weights_of(params)).items()
        }
        self.links = {
            ends: link(ends, params["slowness"] / capacity, buffer, self.arrive, self.refuse)
            for ends, capacity in CAPACITIES.items()
        }
        self.sent = self.delivered = self.dropped = 0

    def start(self, nursery: trio.Nursery) -> None:
        """Begin to send."""
        for (begin, end), link in self.links.items():
            nursery.start_soon(link.send, name=f"{begin} to {end}")

    def enter(self, packet: Packet, router: str) -> None:
        """A packet comes into the network."""
        self.sent += 1
        packet.entered = trio.current_time()
        self.arrive(packet, router)

    def arrive(self, packet: Packet, router: str) -> None:
        """A packet is at a router, which sends it on, or at its destination."""
        detrun.always(router not in packet.passed, NO_LOOPS)
        packet.passed.append(router)
        if router == packet.destination:
            self.delivered += 1
            self.check()
            packet.sender.delivered(packet)
            return
        ends, weights = self.shares[router, packet.destination]
        end = ends[0]
        if len(ends) > 1:
            # By its own key, so that a packet goes where it went although others were sent elsewhere.
            end = detrun.choice(ends, weights, key=("route", packet.sender.name, packet.number, router))
        self.links[router, end].put(packet)

    def refuse(self, packet: Packet) -> None:
        """A packet is dropped."""
        self.dropped += 1
        packet.sender.lost(packet)

    def check(self) -> None:
        """Each packet that was sent is delivered, dropped, or in a queue."""
        inside = sum(len(link.queue) for link in self.links.values())
        known = self.delivered + self.dropped + inside
        require(self.sent == known, CONSERVED, f"{self.sent} sent, {known} known of")
