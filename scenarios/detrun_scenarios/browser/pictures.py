"""The picture of a browser: the painted page, the waterfall of its fetches, and the main thread with its frames.

Needs matplotlib and Pillow, which are imported when a picture is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import detrun
from detrun_scenarios.browser.loop.event_loop import TICK_SECONDS
from detrun_scenarios.browser.page import Browser
from detrun_scenarios.browser.paint.raster import rastered
from detrun_scenarios.browser.story import Story
from detrun_scenarios.frame.pictures import new_figure, save
from detrun_scenarios.frame.plain import plain

INK, GREY, RED = "#333333", "#9aa7b4", "#d1495b"
FETCHES = {"document": "#2a6f97", "style": "#3a8f5c", "script": "#c8871e", "data": "#8f5ca8", "image": "#7a8794"}
TASKS = {
    "parser": "#2a6f97",
    "network": "#3a8f5c",
    "timer": "#c8871e",
    "user": "#d1495b",
    "background": "#b8c2cc",
    "frame": "#333333",
}


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run the story and draw it."""
    figure = new_figure(path, 12.0, 8.4)
    story = Story()
    detrun.record(story.tell, dict(params), seed=seed)
    draw_story(figure, story)
    save(figure, path)


def draw_story(figure: Any, story: Story) -> None:
    """The page on the left, the network on the right, and the main thread below."""
    assert story.browser is not None
    grid = figure.add_gridspec(2, 2, height_ratios=[2.6, 1.0], width_ratios=[1.15, 1.0])
    page, network = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    page.imshow(rastered(story.items, story.browser.decoders.pictures, story.viewport), interpolation="antialiased")
    page.set_xticks([])
    page.set_yticks([])
    page.set_title("what is painted at the end", fontsize="small", color=INK)
    _draw_fetches(network, story.browser)
    _draw_thread(figure.add_subplot(grid[1, :]), story.browser)


def _draw_fetches(panel: Any, browser: Browser) -> None:
    panel.spines[["top", "right", "left"]].set_visible(False)
    transfers = browser.connection.transfers
    for row, one in enumerate(transfers):
        began = plain(one.began)
        ended = began if one.ended is None else plain(one.ended)
        panel.barh(row, 1e3 * (ended - began), left=1e3 * began, height=0.7, color=FETCHES[one.kind], linewidth=0)
        panel.text(1e3 * ended + 4, row, f"{len(one.body) / 1e3:.1f} kB", va="center", fontsize="x-small", color=INK)
    rows = {one.address: row for row, one in enumerate(transfers)}
    for address, began, ended in browser.decoders.busy:
        left, width = 1e3 * plain(began), 1e3 * (plain(ended) - plain(began))
        panel.barh(rows[address] + 0.35, max(width, 2.0), left=left, height=0.3, color=RED, linewidth=0)
    names = [one.address.removeprefix("/page/0/") for one in transfers]
    panel.set_yticks(range(len(transfers)), names, fontsize="x-small")
    panel.tick_params(axis="y", length=0)
    panel.tick_params(axis="x", labelsize="small")
    panel.invert_yaxis()
    panel.set_xlabel("milliseconds", fontsize="small")
    panel.set_title("fetches; red: the image is decoded", fontsize="small", color=INK)


def _draw_thread(panel: Any, browser: Browser) -> None:
    panel.spines[["top", "right", "left"]].set_visible(False)
    rows = {name: row for row, name in enumerate(TASKS)}
    for kind, began, ended in browser.loop.busy:
        left, width = 1e3 * plain(began), 1e3 * (plain(ended) - plain(began))
        panel.barh(rows[kind], max(width, 0.6), left=left, height=0.75, color=TASKS[kind], linewidth=0)
    for frame in browser.loop.frames:
        is_missed = plain(frame.ready) - frame.due > TICK_SECONDS
        panel.axvline(
            1e3 * frame.due, color=RED if is_missed else GREY, linewidth=0.6, alpha=0.9 if is_missed else 0.35
        )
    painted = browser.meter.paints
    if painted:
        panel.axvline(1e3 * plain(painted[0]), color=TASKS["parser"], linewidth=1.4, linestyle="--")
    panel.set_yticks(range(len(TASKS)), list(TASKS), fontsize="small")
    panel.tick_params(axis="y", length=0)
    panel.tick_params(axis="x", labelsize="small")
    panel.invert_yaxis()
    panel.set_xlim(left=0.0)
    panel.set_xlabel("milliseconds", fontsize="small")
    panel.set_title(
        "the main thread; lines: ticks at which a frame was due, red if it was missed; dashed: first paint",
        fontsize="small",
        color=INK,
    )
