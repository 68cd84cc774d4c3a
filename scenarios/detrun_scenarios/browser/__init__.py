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
_WAITED = "it is waited out, and the line is shared smoothly"
_LEVELS = "Chromium, RequestPriority by kind of resource"
_IN_ORDER = "a late segment holds back those behind it, and which are behind it follows from when they came"
_CHOSEN = "it is one of five levels, whose weights are mixed"
_WHOLE_LEVELS = "the display ticks by the clock, and a priority is one of five levels"
_LIGHTHOUSE = "Lighthouse 12, throttling of a slow phone"


def program(setting: Setting) -> Program:
    """The program for a setting; html5lib, tinycss2, cssselect and Pillow are imported when it is made."""
    from detrun_scenarios.browser.workload.runs import program as made

    return made(setting)


def draw(path: str, params: Mapping[str, float], seed: int) -> None:
    """The picture of a visit."""
    from detrun_scenarios.browser.pictures import draw as drawn

    drawn(path, params, seed)


def _priority(name: str, share: float) -> Meaning:
    """By a priority, moved by half a level at most for differences of the softened program."""
    return Meaning("relaxed", (name,), _CHOSEN, {"samples": 12, "temperature": 1.0}, share=share)


SCENARIO = Scenario(
    name="browser",
    about="A browser engine: HTML, CSS, incremental layout, an event loop, fetches with priorities, scripts.",
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
        Parameter("style_priority", 0.0, (0.0, 4.0), "", "of style sheets, the highest is 0", _LEVELS),
        Parameter("script_priority", 1.0, (0.0, 4.0), "", "of scripts and data", _LEVELS),
        Parameter("image_priority", 3.0, (0.0, 4.0), "", "of images", _LEVELS),
        Parameter("bandwidth", 200_000.0, (20_000.0, 2_000_000.0), "B/s", "of the server", _LIGHTHOUSE, log_scale=True),
        Parameter(
            "latency", 0.02, (0.002, 0.2), "s", "mean of a segment", "Lighthouse's 75 ms, scaled", log_scale=True
        ),
        Parameter(
            "work_budget",
            0.05,
            (0.002, 0.1),
            "s",
            "frame budget: of one stretch of background work",
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
            (
                Meaning("local", ("bandwidth", "latency"), _WAITED, {"samples": 12}),
                _priority("style_priority", share=0.1),
                _priority("image_priority", share=0.15),
            ),
        ),
        Loss(
            "first_paint",
            "until the first frame with content",
            "s",
            (
                Meaning(
                    "finite",
                    ("bandwidth", "latency", "work_budget"),
                    "the display ticks by the clock: a later page is painted at the same tick, or at the next",
                    {"samples": 40},
                    share=0.2,
                ),
                Meaning("finite", ("style_priority",), _WHOLE_LEVELS, {"samples": 40}, share=0.25),
                Meaning("finite", ("image_priority",), _WHOLE_LEVELS, {"samples": 40}, share=1 / 3),
            ),
        ),
        Loss(
            "picture_time",
            "from when an image is asked for until it is decoded",
            "s",
            (
                Meaning("local", ("bandwidth",), _WAITED, {"samples": 12}),
                Meaning("finite", ("latency",), _IN_ORDER, {"samples": 40}),
                _priority("script_priority", share=0.4),
                _priority("image_priority", share=0.15),
                Meaning("finite", ("prefetch_distance",), "whether an image is near is a decision", {"samples": 24}),
            ),
        ),
        Loss(
            "layout_shift",
            "sum of the layout shifts of a visit",
            "",
            (
                Meaning("finite", ("reserved_height",), "moves of less than 3 px do not count", {"samples": 24}),
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
                    "finite",
                    ("work_budget",),
                    "frames are counted, and how many stretches there are decides how many come late",
                    {"samples": 60},
                    share=0.2,
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
            ("StalePath.path_of", "Document.remove"),
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
