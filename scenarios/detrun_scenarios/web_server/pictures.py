"""The picture of a site: arrivals, what is inside, the breaker, and how long each request took, over a `Story`.

Needs matplotlib, which is imported when a picture is drawn.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

import detrun
from detrun_scenarios.frame.pictures import new_figure, save, spans
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.web_server.resilience.breaker import BreakerState
from detrun_scenarios.web_server.story import FLASH, OUTAGE, Story

INK, GREY, BLUE, RED, AMBER = "#333333", "#9aa7b4", "#2a6f97", "#d1495b", "#f2b134"
BREAKER: Mapping[BreakerState, str] = {"open": RED, "half-open": AMBER}
BIN = 0.1  # seconds of arrivals that are drawn as one
KINDS = {"item": "#2a6f97", "quote": "#3a8f5c", "order": "#8f5ca8"}


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run the story and draw it."""
    figure = new_figure(path, 10.5, 8.0)
    story = Story()
    detrun.record(story.tell, dict(params), seed=seed)
    draw_story(figure, story)
    save(figure, path)


def draw_story(figure: Any, story: Story) -> None:
    """Arrivals, queues, the breaker and latencies over the same seconds."""
    arrivals, inside, breaker, seconds = figure.subplots(4, 1, sharex=True, height_ratios=[1.6, 2.0, 0.35, 2.8])
    for panel in (arrivals, inside, breaker, seconds):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize="small")
        panel.axvspan(*FLASH, color=BLUE, alpha=0.06, linewidth=0)
        panel.axvspan(OUTAGE.at, OUTAGE.at + OUTAGE.seconds, color=RED, alpha=0.06, linewidth=0)
    arrivals.set_xlim(story.times[0], story.times[-1])
    _draw_arrivals(arrivals, story)
    steps = {"linewidth": 1.1, "drawstyle": "steps-post"}
    inside.plot(story.times, story.in_flight, color=BLUE, label="in flight", **steps)
    inside.plot(story.times, story.queued, color=RED, label="wait for a connection", **steps)
    inside.plot(story.times, story.limit, color=GREY, label="admitted at once", linestyle="--", **steps)
    inside.set_ylabel("requests", fontsize="small")
    inside.legend(fontsize="small", frameon=False, ncols=3, loc="upper right")
    for state, began, ended in spans(story.times, story.breaker):
        if state in BREAKER:
            breaker.barh(0, ended - began, left=began, height=1.0, color=BREAKER[state], linewidth=0)
    breaker.set_yticks([0], ["breaker"], fontsize="small")
    breaker.tick_params(axis="y", length=0)
    _draw_seconds(seconds, story)


def _draw_arrivals(panel: Any, story: Story) -> None:
    came = Counter(int(plain(one.began) / BIN) for one in story.outcomes)
    good = Counter(int(plain(one.began) / BIN) for one in story.outcomes if one.status == 200)
    at = [number * BIN for number in range(max(came) + 1)]
    panel.bar(at, [came[number] for number in range(len(at))], BIN, align="edge", color=RED, label="not served")
    panel.bar(at, [good[number] for number in range(len(at))], BIN, align="edge", color=BLUE, label="answered")
    panel.set_ylabel(f"requests that came\nin {BIN:g} s", fontsize="small")
    panel.legend(fontsize="small", frameon=False, ncols=2, loc="upper right")
    panel.set_title("blue: a flash crowd; red: the upstream service is slow and fails", fontsize="small", color=INK)


def _draw_seconds(panel: Any, story: Story) -> None:
    for kind, colour in KINDS.items():
        good = [one for one in story.outcomes if one.kind == kind and one.status == 200]
        milliseconds = [1_000.0 * plain(one.seconds) for one in good]
        panel.scatter([one.began for one in good], milliseconds, s=6, color=colour, linewidth=0, label=kind)
    bad = [one for one in story.outcomes if one.status != 200]
    milliseconds = [1_000.0 * plain(one.seconds) for one in bad]
    panel.scatter(
        [one.began for one in bad], milliseconds, s=12, color=RED, marker="x", linewidth=0.8, label="not served"
    )
    panel.set_yscale("log")
    panel.set_ylabel("milliseconds until\nthe last answer", fontsize="small")
    panel.set_xlabel("virtual seconds at which a request came", fontsize="small")
    panel.legend(fontsize="small", frameon=False, ncols=4, loc="upper right")
