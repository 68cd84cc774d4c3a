"""Cost of reversing a machine of a million events, in full and over the backward slice of the loss alone.

Two thousand accounts exchange amounts; the loss reads one of them, which a hundred of the 10⁶ events touched. *Full*
applies all events again with 30 snapshots of all accounts; *sparse* finds the slice in the index that was written while
the events were dispatched, and applies that. Memory is the growth of the process over what it was before the first
event, so the recorded events and the index are in it. Each figure comes from one fresh process.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import detrun
from benchmarks.measuring import Row, show
from detrun.ad.revolve import forward_steps
from detrun.machines.machine import WINDOW

EVENTS = 1_000_000
SNAPSHOTS = 30


def exchange(state: Any, event: Any) -> Any:
    """One account earns on what it has and on what its neighbour has."""
    account, rate = event
    state[account] = state[account] * 0.99 + rate * state[account + 1]
    return state


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(events: int = EVENTS) -> dict[str, float]:
    """Seconds of CPU, megabytes and counts of one machine."""
    before = peak_megabytes()
    machine = detrun.StateMachine(exchange, dict.fromkeys(range(2000), 1.0), keys="observed")
    start = time.process_time()
    for number in range(events):
        machine.dispatch((0 if number % (events // 100) == 0 else 2 + 2 * (number % 900), 0.01))
    dispatched = time.process_time()
    recorded = peak_megabytes()
    sparse = machine.gradient(lambda state: state[0], snapshots=SNAPSHOTS)
    sparse_done = time.process_time()
    full = machine.gradient(lambda state: state[0], snapshots=SNAPSHOTS, sparse=False)
    full_done = time.process_time()
    assert sparse.initial_state == full.initial_state, "the slice gave other bits than the full reverse"
    return {
        "dispatch": dispatched - start,
        "sparse": sparse_done - dispatched,
        "full": full_done - sparse_done,
        "slice": sparse.diagnostics.events_in_slice,
        "replayed": full.diagnostics.events_replayed,
        "optimum": forward_steps(-(-events // WINDOW), SNAPSHOTS) * WINDOW,
        "recorded": recorded - before,
        "reversed": peak_megabytes() - before,
    }


def main() -> None:
    """Measure and print."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        found = executor.submit(measured).result()
    share = found["sparse"] / found["full"]
    show(
        f"Event-sourced machine, {EVENTS:,} events",
        [
            Row(f"sparse ({found['slice']:.0f} events) / full reverse, time", f"{share:.4%}", "< 1 %", share < 0.01),
            Row("full reverse, a dispatched event", f"{found['full'] / EVENTS * 1e6:.1f} µs", "–", None),
            Row("dispatch", f"{found['dispatch'] / EVENTS * 1e6:.1f} µs an event", "–", None),
            Row(
                f"events applied again without a tape, {SNAPSHOTS} snapshots, windows of {WINDOW}",
                f"{found['replayed']:,.0f}",
                f"{found['optimum']:,.0f} (Revolve)",
                found["replayed"] == found["optimum"],
            ),
            Row("memory: events and index", f"{found['recorded']:.0f} MB", "–", None),
            Row("memory: with full reverse", f"{found['reversed']:.0f} MB", "≤ 300 MB", found["reversed"] <= 300),
        ],
    )


if __name__ == "__main__":
    main()
