"""The picture of a robot: the room with the way through it, and over the same seconds errors, deadlines and drop-outs.

Needs matplotlib, which is imported when a picture is drawn.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import detrun
from detrun_scenarios.frame.pictures import new_figure, save
from detrun_scenarios.robot.geometry.place import Box
from detrun_scenarios.robot.losses import DEADLINE_SECONDS
from detrun_scenarios.robot.planning.route import HULL
from detrun_scenarios.robot.story import CUT, HELD_BACK, Look, Story

INK, GREY, RED = "#333333", "#9aa7b4", "#d1495b"
TRUE, BELIEVED, PLANNED = "#2a6f97", "#c8553d", "#3a8f5c"
ELLIPSE_EVERY = 20  # looks
DEVIATIONS = 3.0  # of the ellipses
ENLARGED = 5.0  # times


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run the story and draw it."""
    figure = new_figure(path, 11.0, 8.6)
    story = Story()
    detrun.record(story.tell, dict(params), seed=seed)
    draw_story(figure, story)
    save(figure, path)


def draw_story(figure: Any, story: Story) -> None:
    """The map above, time lines below."""
    room, error, deadline, camera = figure.subplots(4, 1, height_ratios=[6.5, 1.2, 1.2, 1.2])
    _draw_room(room, story)
    times = [one.time for one in story.looks]
    for panel in (error, deadline, camera):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize="small")
        panel.set_xlim(0.0, times[-1])
        panel.axvspan(CUT[0], sum(CUT), color=RED, alpha=0.12, linewidth=0)
        panel.axvspan(HELD_BACK[0], sum(HELD_BACK), color=GREY, alpha=0.3, linewidth=0)
    off = [100.0 * math.dist(one.truth, one.belief) for one in story.looks]
    doubt = [200.0 * math.sqrt(one.covariance[0] + one.covariance[2]) for one in story.looks]
    error.fill_between(times, 0.0, doubt, color=BELIEVED, alpha=0.18, linewidth=0, label="two standard deviations")
    error.plot(times, off, color=BELIEVED, linewidth=1.0, label="off")
    error.set_ylabel("the filter,\ncm", fontsize="small")
    error.legend(fontsize="x-small", frameon=False, ncols=2, loc="upper right")
    _draw_deadlines(deadline, story)
    camera.plot(times, [1_000.0 * one.picture_age for one in story.looks], color=PLANNED, linewidth=1.0)
    camera.set_ylabel("age of the last\npicture fused, ms", fontsize="small")
    camera.set_xlabel("virtual seconds; red: commands are cut off, grey: measurements are held back", fontsize="small")


def _draw_deadlines(panel: Any, story: Story) -> None:
    carried = [(one.time, 1_000.0 * one.age) for one in story.looks if one.age is not None]
    limit = 1_000.0 * DEADLINE_SECONDS
    for is_late, colour, label in ((False, TRUE, "in time"), (True, RED, "late")):
        kept = [(time, age) for time, age in carried if (age > limit) is is_late]
        panel.plot([at for at, _ in kept], [age for _, age in kept], ".", color=colour, markersize=3, label=label)
    panel.axhline(limit, color=INK, linewidth=0.8, linestyle="--")
    stopped = [one.is_stopped for one in story.looks]
    panel.fill_between(
        [one.time for one in story.looks], 0, 60, where=stopped, color=INK, alpha=0.25, linewidth=0, label="stopped"
    )
    panel.set_ylim(0.0, 60.0)
    panel.set_ylabel("age of\ncommands, ms", fontsize="small")
    panel.legend(fontsize="x-small", frameon=False, ncols=3, loc="upper right")


def _draw_room(panel: Any, story: Story) -> None:
    patches = import_module("matplotlib.patches")
    place = story.place
    for one in place.obstacles:
        if isinstance(one, Box):
            size = (one.right - one.left, one.high - one.low)
            panel.add_patch(patches.Rectangle((one.left, one.low), *size, color=GREY))
        else:
            panel.add_patch(patches.Circle((one.x, one.y), one.radius, color=GREY))
    panel.plot(*zip(*place.landmarks, strict=True), "*", color=INK, markersize=9, linestyle="", label="landmark")
    if story.course is not None:
        points = [(spot.x, spot.y) for spot in map(story.course.at, _steps(story.course.length))]
        panel.plot(*zip(*points, strict=True), color=PLANNED, linewidth=4.0, alpha=0.45, label="planned")
    panel.plot(*zip(*(one.truth for one in story.looks), strict=True), color=TRUE, linewidth=1.4, label="true")
    believed = [one.belief for one in story.looks]
    panel.plot(*zip(*believed, strict=True), color=BELIEVED, linewidth=0.9, linestyle="--", label="believed")
    for look in story.looks[::ELLIPSE_EVERY]:
        panel.add_patch(_ellipse(patches, look))
        panel.add_patch(patches.Circle(look.truth, HULL, fill=False, color=TRUE, alpha=0.22, linewidth=0.7))
    for name, (x, y, _) in place.sites.items():
        panel.annotate(name, (x, y), xytext=(6, -12), textcoords="offset points", fontsize="small", color=INK)
        panel.plot([x], [y], "o", color=INK, markersize=3)
    panel.set_xlim(-0.1, place.width + 0.1)
    panel.set_ylim(-0.1, place.height + 0.1)
    panel.set_aspect("equal")
    panel.tick_params(labelsize="small")
    panel.set_ylabel("metres", fontsize="small")
    panel.set_title(
        f"from the shelf to the bench; circles: the hull, ellipses: {DEVIATIONS:g} standard deviations, "
        f"{ENLARGED:g} times as large",
        fontsize="small",
        color=INK,
    )
    panel.legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))


def _steps(length: float) -> list[float]:
    return [length * number / 200 for number in range(201)]


def _ellipse(patches: Any, look: Look) -> Any:
    """Where the position is, at so many standard deviations: axes are the eigenvectors of the covariance."""
    across, both, up = look.covariance
    middle, half = (across + up) / 2.0, math.hypot((across - up) / 2.0, both)
    axes = [2.0 * ENLARGED * DEVIATIONS * math.sqrt(max(middle + sign * half, 0.0)) for sign in (1.0, -1.0)]
    angle = math.degrees(0.5 * math.atan2(2.0 * both, across - up))
    return patches.Ellipse(look.belief, *axes, angle=angle, fill=False, color=BELIEVED, alpha=0.7, linewidth=0.8)
