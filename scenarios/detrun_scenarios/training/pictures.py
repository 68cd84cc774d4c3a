"""The picture of a training: the loss, the updates that count, and who is up, over the seconds of a `Story`.

Needs matplotlib, which is imported when a picture is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import detrun
from detrun_scenarios.frame.pictures import new_figure, save, spans
from detrun_scenarios.training.parameter_server.server import SERVER
from detrun_scenarios.training.story import FAILURES, Story

BLUE, GREEN, RED = "#2a6f97", "#3a8f5c", "#d1495b"


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run the story and draw it."""
    figure = new_figure(path, 9.5, 7.0)
    story = Story()
    detrun.record(story.tell, dict(params), seed=seed)
    draw_story(figure, story)
    save(figure, path)


def draw_story(figure: Any, story: Story) -> None:
    """The loss above, updates in the middle, nodes below, over the same seconds."""
    loss, updates, nodes = figure.subplots(3, 1, sharex=True, height_ratios=[2.0, 2.0, 1.4])
    for panel in (loss, updates, nodes):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize="small")
        for at in FAILURES:
            panel.axvline(at, color=RED, linewidth=0.8, linestyle="--")
    loss.set_xlim(0.0, story.times[-1])
    loss.plot(story.times, story.losses, color=BLUE, linewidth=1.4, label="cross-entropy of the validation images")
    loss.plot(story.times, story.accuracies, color=GREEN, linewidth=1.4, label="share that is read rightly")
    loss.set_ylim(0.0)
    loss.legend(fontsize="small", frameon=False, loc="upper right")
    updates.plot(story.times, story.versions, color=BLUE, linewidth=1.4, label="updates in the weights")
    for name, counts in story.pushes.items():
        updates.plot(story.times, counts, linewidth=1.0, alpha=0.7, label=f"applied of {name}")
    updates.set_ylabel("updates", fontsize="small")
    updates.legend(fontsize="small", frameon=False, ncols=2, loc="upper left")
    names = list(reversed(story.is_up))
    for row, name in enumerate(names):
        for is_up, began, ended in spans(story.times, story.is_up[name]):
            colour = (RED if name == SERVER else BLUE) if is_up else "none"
            nodes.barh(row, ended - began, left=began, height=0.6, color=colour, linewidth=0)
    nodes.set_yticks(range(len(names)), names, fontsize="small")
    nodes.tick_params(axis="y", length=0)
    nodes.set_xlabel("virtual seconds; dashed: the server loses its power", fontsize="small")
