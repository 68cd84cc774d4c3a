"""The picture of a database: its clients' requests in lanes, its log, and its pages, over the seconds of a `Story`.

Needs matplotlib, which is imported when a picture is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import detrun
from detrun_scenarios.database.story import CLIENTS, State, Story
from detrun_scenarios.frame.pictures import new_figure, save, spans

INK, GREY = "#333333", "#9aa7b4"
COLOURS = {
    "new_order": "#2a6f97",
    "payment": "#3a8f5c",
    "delivery": "#f2b134",
    "order_status": "#7a4fa3",
    "stock_level": "#1b998b",
}
UNANSWERED = "#d1495b"
STATES: Mapping[State, str] = {"off": "#c9c9c9", "recovers": "#f6e3b4"}
KILOBYTE = 1000.0


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run the story and draw it."""
    figure = new_figure(path, 10.5, 7.5)
    story = Story()
    detrun.record(story.tell, dict(params), seed=seed)
    draw_story(figure, story)
    save(figure, path)


def draw_story(figure: Any, story: Story) -> None:
    """Requests above, the log and the pages below, over the same seconds."""
    times = [one.time for one in story.samples]
    requests, log, pages = figure.subplots(3, 1, sharex=True, height_ratios=[3.0, 2.0, 1.5])
    for panel in (requests, log, pages):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize="small")
        for state, began, ended in spans(times, [one.state for one in story.samples]):
            if state in STATES:
                panel.axvspan(began, ended, color=STATES[state], linewidth=0, zorder=0)
    requests.set_xlim(0.0, story.samples[-1].time)
    _draw_requests(requests, story)
    gap = float("nan")

    def line(panel: Any, values: list[float], colour: str, label: str, dash: str = "-") -> None:
        shown = [value or gap for value in values]
        panel.plot(times, shown, dash, color=colour, label=label, linewidth=1.3, drawstyle="steps-post")

    ends = [max(one.log_end, one.log_begin) / KILOBYTE for one in story.samples]  # until it is found, in recovery
    line(log, ends, INK, "end of the log")
    line(log, [one.applied / KILOBYTE for one in story.samples], COLOURS["delivery"], "applied by the replica", "--")
    line(log, [one.log_begin / KILOBYTE for one in story.samples], UNANSWERED, "where it is kept from")
    log.set_ylabel("log, kilobytes", fontsize="small")
    log.legend(fontsize="small", frameon=False, loc="upper left")
    line(pages, [float(one.frames) for one in story.samples], GREY, "pages in memory")
    line(pages, [float(one.dirty) for one in story.samples], COLOURS["new_order"], "not yet written")
    pages.set_ylabel("pages", fontsize="small")
    pages.legend(fontsize="small", frameon=False, loc="upper left")
    pages.set_xlabel("virtual seconds; grey: no power, yellow: recovery", fontsize="small")


def _draw_requests(panel: Any, story: Story) -> None:
    for one in story.asked:
        lane = CLIENTS - int(one.client.removeprefix("client"))
        colour = UNANSWERED if one.outcome is None else COLOURS[one.name]
        began, ended = float(one.began), float(one.ended)
        panel.barh(lane, ended - began, left=began, height=0.7, color=colour, linewidth=0)
    for name, colour in {**COLOURS, "no answer": UNANSWERED}.items():
        panel.barh(0, 0.0, color=colour, label=name.replace("_", " "))
    panel.legend(fontsize="small", frameon=False, ncols=6, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    panel.set_yticks(range(CLIENTS), [f"client {CLIENTS - lane}" for lane in range(CLIENTS)], fontsize="small")
