"""Optimized routing: a packet network whose link weights and congestion control are learned.

Read `network` and `softmin` first, then `links`, `fabric` and `traffic`; `optimum` is the theory
behind.
"""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.studies.routing.fabric import CONSERVED, NO_LOOPS
from detrun_scenarios.studies.routing.links import IN_ORDER
from detrun_scenarios.studies.routing.network import LINKS, name_of
from detrun_scenarios.studies.routing.pictures import draw
from detrun_scenarios.studies.routing.workload import program

_WEIGHTS = tuple(name_of(link) for link in LINKS)
_DRAWN = "where a packet goes is drawn, and the weight moves the probability"
_COUNTED = "windows are counted in whole packets, and which packet finds a full buffer is a jump"

SCENARIO = Scenario(
    name="routing",
    about="A packet network: softmin weights of its links, and the constants of TCP's congestion control.",
    parameters=(
        *(
            Parameter(
                name,
                1.0,
                (0.02, 6.0),
                "",
                "weight of a link",
                "OSPF in Cisco IOS, where links are fast",
            )
            for name in _WEIGHTS
        ),
        Parameter("slowness", 1.0, (0.5, 1.1), "", "by which all links are slower", "their capacities"),
        Parameter("increase", 1.0, (0.1, 4.0), "packets", "of a window in a round trip", "RFC 5681", log_scale=True),
        Parameter("decrease", 0.5, (0.1, 0.95), "", "what a loss leaves of a window", "RFC 5681"),
    ),
    losses=(
        Loss(
            "mean_delay",
            "mean time of a packet in the network, under open traffic",
            "s",
            (
                Meaning("policy", _WEIGHTS, _DRAWN, {"samples": 100}, share=0.3),
                Meaning("local", ("slowness",), "it stretches all times", {"samples": 8}, share=0.02),
            ),
        ),
        Loss(
            "powerlessness",
            "log of delay over goodput of a flow, the mean over flows",
            "",
            (Meaning("finite", ("increase", "decrease"), _COUNTED, {"samples": 12}, share=0.2),),
        ),
        Loss(
            "lost_share",
            "packets of flows that were dropped",
            "",
            (Meaning("finite", ("increase", "decrease"), _COUNTED, {"samples": 12}, share=0.2),),
        ),
    ),
    invariants=(
        Invariant(CONSERVED, "each packet that was sent is delivered, dropped, or in a queue"),
        Invariant(NO_LOOPS, "no packet comes back to a router"),
        Invariant(IN_ORDER, "first come, first served"),
    ),
    program=program,
    draw=draw,
)
