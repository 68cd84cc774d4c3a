"""How much traffic, and which services: one whose items do not depend on the model, one that serves by it, or both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun_scenarios.frame.declaration import Program, Setting, Size
from detrun_scenarios.frame.measured import mean
from detrun_scenarios.studies.recommender.crowd import drawn
from detrun_scenarios.studies.recommender.service import Service, Traffic

TRAFFIC: Mapping[Size, Traffic] = {
    "small": Traffic(),
    "medium": Traffic(visits=75, users=10, items=12),
    "large": Traffic(fronts=8, visits=2_500, users=60, items=60),
}


def program(setting: Setting) -> Program:
    """The recommender for a setting."""
    traffic = TRAFFIC[setting.size]
    total = traffic.fronts * traffic.visits

    async def main(params: Mapping[str, Any]) -> dict[str, Any]:
        crowd = drawn(traffic.users, traffic.items, traffic.turn)
        found: dict[str, Any] = {}
        if setting.loss in (None, "log_loss"):
            logged = Service(traffic, crowd, params, is_serving=False)
            await logged.run()
            found["log_loss"] = mean(logged.seen.log_losses)
            if setting.loss is None:
                logged.check()
        if setting.loss in (None, "missed_clicks"):
            is_alone = setting.loss is not None
            serving = Service(traffic, crowd, params, is_serving=True, cost_share=1.0 / total if is_alone else 0.0)
            await serving.run()
            found["missed_clicks"] = 0.0 if is_alone else mean(serving.seen.missed)  # alone, each is a cost
            if setting.loss is None:
                serving.check()
        return found

    return main
