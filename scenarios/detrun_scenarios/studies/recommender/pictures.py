"""The picture of the recommender: how well it predicts as it learns, and what each decision of the past was worth.

Needs matplotlib, which is imported when a picture is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import detrun
from detrun_scenarios.frame.pictures import new_figure, save
from detrun_scenarios.studies.recommender import million
from detrun_scenarios.studies.recommender.crowd import drawn
from detrun_scenarios.studies.recommender.service import Seen, Service, Traffic

STORY = Traffic(fronts=8, visits=400, users=20, items=20)
WINDOW = 200  # visits of a moving mean
EVENTS = 300_000


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run two services on the same crowd and fold a long log, and draw both."""
    figure = new_figure(path, 10.5, 6.4)
    seen: dict[str, Seen] = {}

    async def story(params: Mapping[str, Any]) -> None:
        crowd = drawn(STORY.users, STORY.items, STORY.turn)
        for is_serving in (False, True):
            service = Service(STORY, crowd, params, is_serving)
            await service.run()
            seen[service.name] = service.seen

    detrun.record(story, dict(params), seed=seed)
    losses, missed, worth = figure.subplots(3, 1)
    losses.plot(moving(seen["logged"].log_losses), color="#2a6f97", label="items shown evenly")
    losses.set_ylabel("log loss, nats", fontsize="small")
    for name, colour, label in (("logged", "#9aa7b4", "items shown evenly"), ("serving", "#d1495b", "by the model")):
        missed.plot(moving(seen[name].missed), color=colour, label=label)
    missed.set_ylabel("clicks missed", fontsize="small")
    missed.set_xlabel(f"visits; means over {WINDOW}", fontsize="small")
    draw_worth(worth)
    for panel in (losses, missed, worth):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize="small")
    missed.legend(fontsize="small", frameon=False)
    save(figure, path)


def draw_worth(panel: Any) -> None:
    """The derivative of the last loss by the weight of each event of the observed user."""
    machine = million.machine_of(EVENTS)
    gradient = machine.gradient(million.last_loss, "events")
    assert gradient.events is not None
    places = sorted(place for place, _ in gradient.events.largest(1_000))
    worth = [gradient.events[place][3] for place in places]
    panel.axhline(0.0, color="#9aa7b4", linewidth=0.8)
    panel.vlines(places, 0.0, worth, color="#3a8f5c", linewidth=2.0)
    panel.set_xlim(0, EVENTS)
    panel.set_ylabel("d loss / d weight", fontsize="small")
    panel.set_xlabel(
        f"event of {EVENTS:,}: what each visit of one user was worth for the prediction at the end", fontsize="small"
    )


def moving(numbers: Sequence[float]) -> list[float]:
    """Means over `WINDOW` numbers."""
    sums = [0.0, *accumulate(float(one) for one in numbers)]
    return [(sums[at + WINDOW] - sums[at]) / WINDOW for at in range(len(numbers) - WINDOW + 1)]
