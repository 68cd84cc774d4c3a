"""What a run costs: the mean delay of open traffic; the delay and the goodput of flows, and what they lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import detrun
from detrun_scenarios.frame.measured import mean
from detrun_scenarios.studies.routing.traffic import Flow, PoissonStream

WARM_UP = 0.2  # of the packets of each stream, which are not measured


def delay_of(streams: Sequence[PoissonStream]) -> Any:
    """The mean seconds of a packet in the network."""
    measured = []
    for one in streams:
        first = int(WARM_UP * one.count)
        measured += [one.delays[number] for number in range(first, one.count)]
    return mean(measured)


def losses_of_flows(flows: Sequence[Flow], seconds: float) -> Mapping[str, Any]:
    """Those of flows that sent for so long.

    ``powerlessness`` is the mean over flows of log(mean delay) - log(goodput), in seconds and packets for each second:
    minus the logarithm of Kleinrock's power ("Power and deterministic rules of thumb", ICC 1979), proportionally fair.
    A flow that got nothing through counts as one whose first packet arrives at the end, the best it can have done.
    """
    arrived = [one.delays or [seconds] for one in flows]
    delays = [detrun.log(mean(one)) for one in arrived]
    goodputs = [detrun.log(len(one) / seconds) for one in arrived]
    lost = sum(one.losses for one in flows)
    return {
        "powerlessness": mean(delays) - mean(goodputs),
        "lost_share": lost / sum(one.number for one in flows),
    }
