"""The picture of a machine: what each process does, its memory and its disk, over the seconds of a `Story`.

Needs matplotlib, which is imported when a picture is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import detrun
from detrun_scenarios.frame.pictures import new_figure, save, spans
from detrun_scenarios.operating_system.story import Does, Story

INK, GREY, RED = "#333333", "#9aa7b4", "#d1495b"
COLOURS: Mapping[Does, str] = {
    "core 0": "#2a6f97",
    "core 1": "#3a8f5c",
    "is queued": "#d1495b",
    "waits for the disk": "#f2b134",
    "waits for another": "#cdb4db",
}


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run the story and draw it."""
    figure = new_figure(path, 10.5, 8.0)
    story = Story()
    detrun.record(story.tell, dict(params), seed=seed)
    draw_story(figure, story)
    save(figure, path)


def draw_story(figure: Any, story: Story) -> None:
    """Processes above, memory and the disk below, over the same seconds."""
    lanes, memory, disk = figure.subplots(3, 1, sharex=True, height_ratios=[4.5, 1.5, 1.2])
    for panel in (lanes, memory, disk):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize="small")
    lanes.set_xlim(story.times[0], story.times[-1])
    _draw_lanes(lanes, story)
    memory.plot(story.times, story.free, color=COLOURS["core 0"], linewidth=1.2, drawstyle="steps-post", label="free")
    memory.plot(story.times, story.dirty, color=RED, linewidth=1.2, drawstyle="steps-post", label="dirty")
    for mark, label in zip(story.watermarks, ("low and high watermark", None), strict=True):
        memory.axhline(mark, color=GREY, linewidth=0.8, linestyle="--", label=label)
    memory.set_ylabel("frames", fontsize="small")
    memory.legend(fontsize="small", frameon=False, ncols=3, loc="upper right")
    disk.plot(story.times, story.head, color=INK, linewidth=0.9, drawstyle="steps-post")
    disk.set_ylabel("arm of the disk,\nas a page", fontsize="small")
    disk.set_xlabel("virtual seconds", fontsize="small")


def _draw_lanes(panel: Any, story: Story) -> None:
    names = list(story.does)
    for row, name in enumerate(reversed(names)):
        for does, began, ended in spans(story.times, story.does[name]):
            if does in COLOURS:
                panel.barh(row, ended - began, left=began, height=0.75, color=COLOURS[does], linewidth=0)
    for does, colour in COLOURS.items():
        panel.barh(0, 0.0, color=colour, label=does if not does.startswith("core") else f"runs on {does}")
    panel.legend(fontsize="small", frameon=False, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    panel.set_yticks(range(len(names)), list(reversed(names)), fontsize="small")
    panel.tick_params(axis="y", length=0)
