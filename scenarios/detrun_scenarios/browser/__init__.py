"""A browser engine in small: documents, styles, layout, an event loop, a network, scripts.

Read from below: `dom`, `style` and `layout` make boxes of a page and know no time; `loop` and `scripting` run what
happens to it; `network` brings what it needs; `page` puts all together, and `workload` visits a site.
"""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.browser.faults import TROUBLE
from detrun_scenarios.browser.invariants import INVARIANTS
from detrun_scenarios.frame.declaration import Bug, Loss, Meaning, Parameter, Program, Scenario, Setting

_GUESS = "a guess"
_SMOOTH = "boxes are sums and maxima of it, and few words change their line"
_WORDS = "it decides how many words fit on a line, and heights jump by lines"
_WAITED = "it is waited out, and what is on its way beside seldom changes"
_WEIGHTS = "Chromium, weights of HTTP/2 by priority"
_LIGHTHOUSE = "Lighthouse 12, throttling of a slow phone"


def program(setting: Setting) -> Program:
    """The program for a setting; html5lib, tinycss2, cssselect and Pillow are imported when it is made."""
    from detrun_scenarios.browser.workload.runs import program as made

    return made(setting)


def draw(path: str, params: Mapping[str, float], seed: int) -> None:
    """The picture of a visit."""
    from detrun_scenarios.browser.pictures import draw as drawn

    drawn(path, params, seed)


SCENARIO = Scenario(
    name="browser",
    about="A browser engine: HTML, CSS, incremental layout, an event loop, fetches with weights, scripts.",
    parameters=(
        Parameter("column_width", 200.0, (80.0, 400.0), "px", "of the aside", _GUESS),
        Parameter("card_gap", 12.0, (0.0, 40.0), "px", "between cards and columns", _GUESS),
        Parameter("card_padding", 8.0, (0.0, 30.0), "px", "inside of cards", _GUESS),
        Parameter("font_size", 15.0, (8.0, 24.0), "px", "of the page", _GUESS),
        Parameter("line_height", 1.2, (1.0, 2.0), "", "of the page, in font sizes", "browsers, line-height: normal"),
        Parameter("reserved_height", 64.0, (0.0, 120.0), "px", "least height of an image", _GUESS),
        Parameter(
            "prefetch_distance",
            1250.0,
            (0.0, 4000.0),
            "px",
            "below the viewport, within which images are fetched",
            "Chromium, lazy loading on 4G",
        ),
        Parameter("style_weight", 256.0, (1.0, 256.0), "", "of style sheets, in bandwidth", _WEIGHTS, log_scale=True),
        Parameter("script_weight", 220.0, (1.0, 256.0), "", "of scripts and data", _WEIGHTS, log_scale=True),
        Parameter("image_weight", 147.0, (1.0, 256.0), "", "of images", _WEIGHTS, log_scale=True),
        Parameter("bandwidth", 200_000.0, (20_000.0, 2_000_000.0), "B/s", "of the server", _LIGHTHOUSE, log_scale=True),
        Parameter(
            "latency", 0.02, (0.002, 0.2), "s", "mean of a segment", "Lighthouse's 75 ms, scaled", log_scale=True
        ),
        Parameter(
            "work_budget",
            0.05,
            (0.002, 0.1),
            "s",
            "of one stretch of background work",
            "requestIdleCallback, W3C draft of 2022: at most 50 ms",
            log_scale=True,
        ),
    ),
    losses=(
        Loss(
            "design_distance",
            "mean square of how far edges are from the design",
            "px²",
            (
                Meaning(
                    "local", ("line_height", "reserved_height", "card_gap", "card_padding"), _SMOOTH, {"samples": 12}
                ),
                Meaning("finite", ("column_width", "font_size"), _WORDS, {"samples": 24}),
            ),
        ),
        Loss(
            "style_time",
            "until the style sheet, which holds back painting, has come",
            "s",
            (Meaning("local", ("bandwidth", "latency", "style_weight", "image_weight"), _WAITED, {"samples": 12}),),
        ),
        Loss(
            "first_paint",
            "until the first frame with content",
            "s",
            (
                Meaning(
                    "finite",
                    ("bandwidth", "latency", "style_weight", "image_weight", "work_budget"),
                    "the display ticks by the clock: a later page is painted at the same tick, or at the next",
                    {"samples": 40},
                    share=0.2,
                ),
            ),
        ),
        Loss(
            "picture_time",
            "from when an image is asked for until it is decoded",
            "s",
            (
                Meaning("local", ("latency",), _WAITED, {"samples": 12}),
                Meaning("finite", ("bandwidth",), "a chunk keeps the share with which it began", {"samples": 24}),
                Meaning("finite", ("prefetch_distance",), "whether an image is near is a decision", {"samples": 24}),
            ),
        ),
        Loss(
            "layout_shift",
            "sum of the layout shifts of a visit",
            "",
            (
                Meaning("local", ("reserved_height",), "how far things move is what is not reserved", {"samples": 12}),
                Meaning(
                    "finite",
                    ("prefetch_distance", "bandwidth"),
                    "which pictures come in one frame is a decision",
                    {"samples": 40},
                    share=0.3,
                ),
            ),
        ),
        Loss(
            "missed_frames",
            "share of frames that are not ready in time",
            "",
            (
                Meaning(
                    "relaxed",
                    ("work_budget",),
                    "frames are counted, so that only a softened threshold has a slope",
                    {"samples": 12, "temperature": 0.005},
                ),
            ),
        ),
    ),
    invariants=INVARIANTS,
    bugs=(
        Bug(
            "removed_node",
            "a picture is given to an element that was removed while it was fetched",
            ("RemovedNode.wants", "Document.remove"),
        ),
        Bug(
            "starving_microtask",
            "a script looks again and again in microtasks, and no task runs",
            ("StarvingMicrotask.pause", "App.fetch_feed"),
        ),
        Bug(
            "lost_dirt",
            "a subtree that moves loses its dirty bits",
            ("LostDirt.adopted", "Dirt.mark"),
        ),
        Bug(
            "stale_path",
            "a click travels along the path of the press",
            ("StalePath.path_of", "Document.insert"),
        ),
        Bug(
            "double_fetch",
            "between the look for a fetch and the start of one time passes",
            ("DoubleFetch.join", "Cache.start"),
        ),
    ),
    program=program,
    faults=TROUBLE,
    explore_options={"max_steps": 20_000, "preemption": "sync"},
    draw=draw,
)
