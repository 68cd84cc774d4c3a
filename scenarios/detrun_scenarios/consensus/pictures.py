"""The picture of a cluster: its servers in lanes over the seconds of a `Story`, and below it what each log holds.

Needs matplotlib, which is imported when a picture is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any

import detrun
from detrun_scenarios.consensus.core.server import Role
from detrun_scenarios.consensus.story import Happening, Sample, Story
from detrun_scenarios.frame.pictures import new_figure, save, spans

FOLLOWS, STANDS, DOWN = "#dfe4ea", "#f2b134", "#ffffff"
COMMITTED, KEPT, DOUBTFUL = "#9aa7b4", "#cfe3f2", "#d1495b"
EVENT = "#d1495b"
TERMS = ("#2a6f97", "#3a8f5c", "#7a4fa3", "#c8553d", "#1b998b", "#8d6a3f")
INK = "#333333"
ENDINGS = {"crashes": "starts again", "cut off": "let in again"}  # what leaves the cluster without a leader
BIN_SECONDS = 0.02
RATE_MAX = 600.0  # commitments a second at which a lane is full


def draw(path: str | os.PathLike[str], params: Mapping[str, float], seed: int) -> None:
    """Run the story and draw it."""
    figure = new_figure(path, 10.5, 9.0)
    story = Story()
    detrun.record(story.tell, dict(params), seed=seed)
    draw_story(figure, story)
    save(figure, path)


def draw_story(figure: Any, story: Story) -> None:
    """Lanes above, logs below, over the same seconds."""
    names = list(story.samples)
    grid = figure.add_gridspec(3, 3, height_ratios=[len(names) * 0.72, 2.2, 2.2])
    lanes = figure.add_subplot(grid[0, :])
    _draw_lanes(lanes, story, names)
    first: Any = None
    committed = [max(story.samples[name][at].commit_index for name in names) for at in range(len(story.times))]
    for number, name in enumerate(names):
        panel = figure.add_subplot(grid[1 + number // 3, number % 3], sharex=first, sharey=first)
        first = panel if first is None else first
        _draw_log(panel, story.times, story.samples[name], committed)
        panel.set_title(name, fontsize="small", loc="left", color=INK)
        panel.tick_params(labelleft=number % 3 == 0, labelbottom=number >= 3, labelsize="x-small")
        if number % 3 == 0:
            panel.set_ylabel("entries, by index", fontsize="small")
        if number >= 3:
            panel.set_xlabel("virtual seconds", fontsize="small")
    _explain_logs(first)


# Lanes.


def _draw_lanes(panel: Any, story: Story, names: Sequence[str]) -> None:
    times, end = story.times, story.times[-1]
    colours = _colours_of_terms(story)
    for row, name in enumerate(names):
        samples = story.samples[name]
        base = -row
        for sample, began, ended in spans(times, samples, _looks):
            _draw_role(panel, base, began, ended, sample, colours)
        bins, rates = _rates(times, samples)
        heights = [base + 0.30 + 0.5 * min(rate / RATE_MAX, 1.0) for rate in rates]
        panel.fill_between(bins, base + 0.30, heights, step="post", color=COMMITTED, linewidth=0)
    for one in story.happenings:
        _draw_happening(panel, -names.index(one.server), one)
    starts = {term: _start_of(story, term) for term in colours}
    for one in story.happenings:
        after = [began for began, _ in starts.values() if began > one.began]
        if one.what in ENDINGS and after:
            _draw_outage(panel, one.began, min(after))
    for term, colour in colours.items():
        began, leader = starts[term]
        row = names.index(leader)
        panel.text(began + 0.02, 0.115 - row, f"term {term}", color="white", fontsize="x-small", va="center")
        panel.axvline(began, color=colour, linewidth=0.8, alpha=0.5, zorder=0)
    panel.set_yticks([0.25 - row for row in range(len(names))], labels=names, fontsize="small")
    panel.tick_params(axis="y", length=0)
    panel.tick_params(axis="x", labelsize="small")
    panel.set_xlim(0.0, end)
    panel.set_ylim(-len(names) + 0.9, 1.3)
    panel.set_xlabel("virtual seconds", fontsize="small")
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.set_title(
        "Raft: which server leads, in which term, and how fast each learns of commitments", fontsize="medium", color=INK
    )
    _explain_lanes(panel, next(iter(colours.values())))


def _start_of(story: Story, term: int) -> tuple[float, str]:
    """When a term's leader began to lead, and which server it is."""
    return next(
        (time, name)
        for at, time in enumerate(story.times)
        for name, samples in story.samples.items()
        if samples[at].role is Role.LEADER and samples[at].term == term
    )


def _draw_outage(panel: Any, began: float, ended: float) -> None:
    """The time in which no leader reaches a majority, over all lanes."""
    panel.axvspan(began, ended, color=EVENT, alpha=0.09, linewidth=0, zorder=-1)
    panel.text(
        (began + ended) / 2,
        1.05,
        f"new leader\nafter {ended - began:.2f} s",
        fontsize="x-small",
        color=EVENT,
        ha="center",
        va="center",
    )


def _colours_of_terms(story: Story) -> dict[int, str]:
    """Of each term that had a leader, in their order."""
    terms = sorted({one.term for samples in story.samples.values() for one in samples if one.role is Role.LEADER})
    return {term: TERMS[number % len(TERMS)] for number, term in enumerate(terms)}


def _looks(sample: Sample) -> tuple[Role | None, int] | None:
    """A server's role, and its term if it leads."""
    return (sample.role, sample.term if sample.role is Role.LEADER else 0) if sample.is_member else None


def _draw_role(panel: Any, base: float, began: float, ended: float, sample: Sample, colours: dict[int, str]) -> None:
    box: dict[str, Any] = {"height": 0.23, "align": "edge", "left": began}
    if not sample.is_member:
        panel.barh(base, ended - began, facecolor=DOWN, edgecolor=FOLLOWS, linewidth=1.0, **box)
    elif sample.role is None:
        panel.barh(base, ended - began, facecolor=DOWN, edgecolor=INK, hatch="////", linewidth=0.6, **box)
    elif sample.role is Role.LEADER:
        panel.barh(base, ended - began, color=colours[sample.term], **box)
    else:
        panel.barh(base, ended - began, color=FOLLOWS if sample.role is Role.FOLLOWER else STANDS, **box)


def _rates(times: Sequence[float], samples: Sequence[Sample]) -> tuple[list[float], list[float]]:
    """Commitments a second in bins of time."""
    count = int(times[-1] / BIN_SECONDS) + 1
    found = [0.0] * count
    for (before, after), time in zip(pairwise(samples), times[1:], strict=True):
        if before.role is not None and after.role is not None:
            found[int(time / BIN_SECONDS)] += max(after.commit_index - before.commit_index, 0) / BIN_SECONDS
    return [number * BIN_SECONDS for number in range(count)], found


def _draw_happening(panel: Any, base: float, one: Happening) -> None:
    is_new = one.what.startswith("replaces")  # nothing else stands in its lane before
    notes = [(one.began, one.what, is_new)]
    if one.what in ENDINGS:
        notes.append((one.ended, ENDINGS[one.what], False))
    for at, words, is_before in notes:
        panel.text(
            at + (-0.03 if is_before else 0.03),
            base + 0.64,
            words,
            fontsize="small",
            color=EVENT,
            va="center",
            ha="right" if is_before else "left",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6},
        )
        panel.plot([at], [base + 0.29], marker="v", color=EVENT, markersize=6, clip_on=False)
    if one.what == "cut off":
        panel.plot([one.began, one.ended], [base + 0.265] * 2, color=EVENT, linewidth=2.2, solid_capstyle="butt")


def _explain_lanes(panel: Any, leads: str) -> None:
    patch = _matplotlib("patches").Patch
    handles = [
        patch(color=leads, label="leads, in a colour for each term"),
        patch(color=FOLLOWS, label="follows"),
        patch(color=STANDS, label="stands for election"),
        patch(facecolor=DOWN, edgecolor=INK, hatch="////", linewidth=0.6, label="down"),
        patch(facecolor=DOWN, edgecolor=FOLLOWS, label="no member"),
        patch(color=COMMITTED, label=f"commitments a second, up to {RATE_MAX:.0f}"),
    ]
    panel.legend(
        handles=handles, fontsize="x-small", ncols=6, loc="upper center", bbox_to_anchor=(0.5, -0.1), frameon=False
    )


# Logs.


def _draw_log(panel: Any, times: Sequence[float], samples: Sequence[Sample], committed: Sequence[int]) -> None:
    """What one server's log holds: committed entries, and those of which it does not know."""
    panel.plot(times, committed, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    runs = [one.role is not None and one.last_index > 0 for one in samples]
    base = [one.base_index for one in samples]
    sure = [min(max(one.commit_index, one.base_index), one.last_index) for one in samples]
    last = [one.last_index for one in samples]
    panel.fill_between(times, base, sure, where=runs, color=KEPT, linewidth=0)
    panel.fill_between(times, sure, last, where=runs, color=DOUBTFUL, linewidth=0)
    for level, colour in ((base, TERMS[0]), (sure, TERMS[0])):
        shown = [at if there else float("nan") for at, there in zip(level, runs, strict=True)]
        panel.plot(times, shown, color=colour, linewidth=0.9)
    panel.set_xlim(0.0, times[-1])
    panel.set_ylim(0, max(committed) * 1.04)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(alpha=0.2)


def _explain_logs(panel: Any) -> None:
    patch, line = _matplotlib("patches").Patch, _matplotlib("lines").Line2D
    handles = [
        patch(facecolor=KEPT, edgecolor=TERMS[0], label="in its log, known to be committed"),
        patch(color=DOUBTFUL, label="not known to be"),
        line([], [], color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label="committed anywhere"),
    ]
    panel.legend(handles=handles, fontsize="xx-small", loc="upper left", frameon=False)


def _matplotlib(module: str) -> Any:
    return import_module(f"matplotlib.{module}")
