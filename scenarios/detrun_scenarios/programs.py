"""The programs of scenarios by name, so that recordings and commands can name them.

``detrun_scenarios.programs:consensus.small.bug_stale_read`` is a target for every command of detrun: a scenario, then,
in any order, a size, ``loss_NAME`` for a program that returns that loss alone, and ``bug_NAME`` for one that has it
planted, or ``without_NAME`` for the right one under what that bug is looked for with. Without a size it is large;
without a loss the program returns all of them by name.
"""

from __future__ import annotations

from detrun_scenarios.frame.catalogue import find_scenario
from detrun_scenarios.frame.scenario_program import ScenarioProgram
from detrun_scheduler.errors import UsageError


def __getattr__(name: str) -> ScenarioProgram:
    if not name.startswith("_"):
        try:
            scenario = find_scenario(name)
        except UsageError as error:
            raise AttributeError(str(error)) from error
        return ScenarioProgram(scenario, scenario.setting("large"))
    raise AttributeError(name)
