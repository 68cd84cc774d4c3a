"""What clients of Raft do with the answers of servers."""

from __future__ import annotations

from dataclasses import replace

import detrun
from detrun.world import Duplication, FaultPlan
from detrun_scenarios.consensus import SCENARIO
from detrun_scenarios.frame.scenario_program import ScenarioProgram

DOUBLED = FaultPlan((Duplication(rate=0.5, at=0.0),))


def test_doubled_messages_do_not_multiply_questions_while_a_leader_hands_over() -> None:
    """Each of them was answered and asked again at once: thousands of steps in a millisecond."""
    setting = replace(SCENARIO.setting("small"), faults=DOUBLED)
    for seed in range(4):
        detrun.record(ScenarioProgram(SCENARIO, setting), {}, seed=seed, max_steps=20_000)
