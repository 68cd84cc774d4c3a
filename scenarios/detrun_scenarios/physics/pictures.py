"""The picture of the scenario: six scenes as they move, and what derivatives say of a bounce and of a break.

Needs matplotlib, which is imported when a picture is drawn.
"""

from __future__ import annotations

import math
import os
import random
import statistics
from collections.abc import Mapping
from typing import Any

import detrun
from detrun_scenarios.frame.pictures import new_figure, save
from detrun_scenarios.physics.dynamics.body import Body
from detrun_scenarios.physics.geometry.placed import Placed
from detrun_scenarios.physics.geometry.shapes import Circle
from detrun_scenarios.physics.losses import AIM_ERROR, DROP_SECONDS
from detrun_scenarios.physics.scenes import billiards, bouncing_ball, cradle, pendulum
from detrun_scenarios.physics.scenes.box import Box

INK, BLUE, RED, GREY = "#333333", "#2a6f97", "#d1495b", "#9aa7b4"
COLOURS = ("#2a6f97", "#d1495b", "#3a8f5c", "#f2b134", "#7a4fa3", "#c8553d", "#1b998b")
PILED = Box(columns=6, rows=4, steps=60)
FALLING = (0, 15, 60)  # steps at which the box is shown
SLOPE_SPAN = 0.12  # m, over which slopes are drawn
SHOTS = 80
SHOT_SPEEDS = (0.5, 4.5)  # m/s
SHOT_ANGLE_MAX = 0.03  # rad
ANGLE_SPAN, ANGLES = 0.015, 101  # rad to either side of straight ahead, and how many are tried


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run the scenes and draw them."""
    figure = new_figure(path, 10.5, 11.5)
    grid = figure.add_gridspec(4, 3)
    _draw_box([figure.add_subplot(grid[0, at]) for at in range(3)], params, seed)
    _draw_break(figure.add_subplot(grid[1, :2]))
    _draw_cradle(figure.add_subplot(grid[1, 2]))
    _draw_bounces(figure.add_subplot(grid[2, 0]), params)
    _draw_slopes(figure.add_subplot(grid[2, 1]), params)
    _draw_settling(figure.add_subplot(grid[2, 2]))
    _draw_growth(figure.add_subplot(grid[3, :2]), seed)
    _draw_hand(figure.add_subplot(grid[3, 2]))
    save(figure, path)


def _draw_box(panels: list[Any], params: Mapping[str, float], seed: int) -> None:
    async def fill(numbers: Mapping[str, Any]) -> list[list[Placed]]:
        shown = []
        async with PILED.filled(numbers) as simulation:
            for step in range(PILED.steps + 1):
                if step in FALLING:
                    shown.append([_placed(body) for body in simulation.bodies if not body.is_fixed])
                await simulation.step(numbers["time_step"])
        return shown

    moments = detrun.record(fill, dict(params), seed=seed).result
    for panel, step, bodies in zip(panels, FALLING, moments, strict=True):
        for number, placed in enumerate(bodies):
            colour = COLOURS[number % len(COLOURS)]
            if isinstance(placed.shape, Circle):
                turns = [2 * math.pi * at / 24 for at in range(25)]
                centre, radius = placed.position, placed.shape.radius
                outline = [(centre.x + radius * math.cos(turn), centre.y + radius * math.sin(turn)) for turn in turns]
            else:
                outline = list(placed.corners)
            panel.fill(*zip(*outline, strict=True), facecolor=colour, edgecolor=INK, linewidth=0.6, alpha=0.85)
        panel.plot([0.0, 0.0, 3.15, 3.15], [2.3, 0.0, 0.0, 2.3], color=INK, linewidth=1.5)
        panel.set_title(f"engine, after {step * params['time_step']:.2f} s", fontsize="small", color=INK)
        panel.set_aspect("equal")
        panel.axis("off")


def _placed(body: Body) -> Placed:
    return Placed(body.shape, body.position, body.angle)


def _draw_break(panel: Any) -> None:
    shot = billiards.Break(rows=3)
    end = shot.shoot(3.0, 0.01)
    width, height = billiards.TABLE
    panel.fill([0, width, width, 0], [0, 0, height, height], color="#e3efe6", zorder=0)
    for ball in range(len(end) // 4):
        colour = INK if ball == 0 else COLOURS[(ball - 1) % len(COLOURS)]
        way = [(state[4 * ball], state[4 * ball + 1]) for _, state in shot.path]
        panel.plot(*zip(*way, strict=True), color=colour, linewidth=1.0)
        panel.plot(*way[0], "o", markersize=4, markerfacecolor="white", color=colour)
        panel.plot(*way[-1], "o", markersize=6, color=colour)
    panel.set_title(f"a break, from event to event: {shot.impacts} impacts of balls", fontsize="small", color=INK)
    panel.set_aspect("equal")
    panel.axis("off")


def _draw_cradle(panel: Any) -> None:
    times = [0.01 * at for at in range(1, 200)]
    ends = [cradle.swing(0.3, 0.97, 0.2, time) for time in times]
    for ball in range(cradle.BALLS):
        panel.plot(times, [one[ball] for one in ends], color=COLOURS[ball], linewidth=1.0)
    panel.set_title("Newton's cradle, restitution 0.97", fontsize="small", color=INK)
    _label(panel, "s", "rad")


def _draw_bounces(panel: Any, params: Mapping[str, float]) -> None:
    times = [0.01 * at for at in range(1, 180)]
    for height, colour in ((1.0, BLUE), (1.15, RED)):
        path = [bouncing_ball.height_after(time, height, params["restitution"]) for time in times]
        panel.plot(times, path, color=colour, linewidth=1.2, label=f"from {height:g} m")
    panel.axvline(DROP_SECONDS, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    panel.legend(fontsize="x-small", frameon=False)
    panel.set_title("dropped from higher, it is lower at the line", fontsize="small", color=INK)
    _label(panel, "s", "m")


def _draw_slopes(panel: Any, params: Mapping[str, float]) -> None:
    """The height at the line by the height of the drop, and the local derivatives."""
    e = params["restitution"]
    heights = [0.8 + 0.004 * at for at in range(101)]
    stepped = [bouncing_ball.height_by_steps(DROP_SECONDS, one, e, 0.01) for one in heights]
    panel.plot(heights, stepped, color=GREY, linewidth=1.0, label="in steps of 10 ms")
    exact = [bouncing_ball.height_after(DROP_SECONDS, one, e) for one in heights]
    panel.plot(heights, exact, color=BLUE, linewidth=1.5, label="exact")
    for scene, colour in (
        (lambda at: bouncing_ball.height_after(DROP_SECONDS, at["height"], e), BLUE),
        (lambda at: bouncing_ball.height_by_steps(DROP_SECONDS, at["height"], e, 0.01), RED),
    ):
        found = detrun.gradient(scene, {"height": 1.0}, verify=False)
        ends = (-SLOPE_SPAN, SLOPE_SPAN)
        line = [found.value + found.grads["height"] * end for end in ends]
        label = f"local derivative: {found.grads['height']:+.2f}"
        panel.plot([1.0 + end for end in ends], line, color=colour, linewidth=2.2, linestyle=(0, (3, 1)), label=label)
    panel.legend(fontsize="xx-small", frameon=False)
    panel.set_title(f"height after {DROP_SECONDS:g} s, by the drop", fontsize="small", color=INK)
    _label(panel, "m", "m")


def _draw_settling(panel: Any) -> None:
    dampings = [1.5 + 0.1 * at for at in range(56)]
    for amplitude, colour in ((0.6, GREY), (0.8, BLUE), (1.0, RED)):
        times = [pendulum.settling_time(amplitude, one) for one in dampings]
        panel.plot(dampings, times, color=colour, linewidth=1.2, label=f"from {amplitude:g} rad")
    panel.legend(fontsize="x-small", frameon=False)
    panel.set_title("settling time, by the damping", fontsize="small", color=INK)
    _label(panel, "N m s/rad", "s")


def sensitivities(seed: int) -> list[tuple[int, float]]:
    """Of breaks at drawn speeds and angles: impacts of balls, and the size of a derivative, in m/rad.

    It is that of where the foremost ball comes to rest along the table, by the angle of the cue ball.
    """
    drawn, found = random.Random(seed), []
    for number in range(SHOTS):
        shot = billiards.Break()
        speed = SHOT_SPEEDS[0] + (SHOT_SPEEDS[1] - SHOT_SPEEDS[0]) * number / SHOTS

        def place(at: Mapping[str, Any], shot: billiards.Break = shot, speed: float = speed) -> Any:
            shot.impacts = 0
            return shot.shoot(speed, at["angle"]).place(1).x

        angle = drawn.uniform(-SHOT_ANGLE_MAX, SHOT_ANGLE_MAX)
        slope = detrun.gradient(place, {"angle": angle}, verify=False).grads["angle"]
        found.append((shot.impacts, abs(slope)))
    return found


def _draw_growth(panel: Any, seed: int) -> None:
    found = [(impacts, slope) for impacts, slope in sensitivities(seed) if slope > 0.0]
    panel.semilogy(*zip(*found, strict=True), ".", color=BLUE, alpha=0.6, label="a break")
    counts = sorted({impacts for impacts, _ in found})
    medians = [statistics.median(slope for impacts, slope in found if impacts == one) for one in counts]
    panel.semilogy(counts, medians, color=RED, linewidth=1.5, label="median")
    panel.legend(fontsize="x-small", frameon=False)
    panel.set_title("where a ball rests, by the angle: the derivative grows with each impact", fontsize="small")
    _label(panel, "impacts of balls", "m/rad")


def _draw_hand(panel: Any) -> None:
    """The loss of one break by the angle, and its mean over what the hand is off."""
    angles = [ANGLE_SPAN * (2.0 * at / (ANGLES - 1) - 1.0) for at in range(ANGLES)]
    losses = [billiards.squared_miss(1.0, angle, rows=2) for angle in angles]
    panel.plot([1_000.0 * angle for angle in angles], losses, color=GREY, linewidth=1.0, label="one break")
    means, inner = [], [angle for angle in angles if abs(angle) <= ANGLE_SPAN - 3.0 * AIM_ERROR]
    for angle in inner:
        weights = [math.exp(-0.5 * ((one - angle) / AIM_ERROR) ** 2) for one in angles]
        means.append(sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(weights))
    panel.plot([1_000.0 * angle for angle in inner], means, color=RED, linewidth=1.8, label="mean over the hand")
    panel.legend(fontsize="x-small", frameon=False)
    panel.set_title("a break's loss jumps in the middle", fontsize="small", color=INK)
    _label(panel, "mrad", "m²")


def _label(panel: Any, across: str, up: str) -> None:
    panel.set_xlabel(across, fontsize="x-small")
    panel.set_ylabel(up, fontsize="x-small")
    panel.tick_params(labelsize="x-small")
    panel.spines[["top", "right"]].set_visible(False)
