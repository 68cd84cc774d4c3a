"""Pages in a real browser: Chromium and its driver, where this machine has them.

On Debian: ``apt-get install chromium chromium-driver``.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

import detrun
from detrun.gradients.flow import strongest_path
from detrun.pages.curves import Curve, Curves, Panel, Point, curves_page
from detrun.pages.kinds import Answer, Beside, Kinds
from detrun.pages.timeline import timeline_of
from detrun.reports.failure_view import failure_view
from detrun.reports.report import Told, run_page, told_by_program, told_of_failure
from detrun.world import World
from detrun.world.faults.injection import inject
from detrun.world.faults.kinds import Pause
from detrun.world.faults.plan import FaultPlan
from detrun_recorder.recording import Recording
from tests.reports.test_failure_view import loses_an_update, reads_what_was_overwritten, waits_in_a_circle
from tests.reports.test_page import HOSTILE, NAME, hostile
from tests.reports.test_world_view import is_cut_and_slowed, writes_and_crashes

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.one_python,
    pytest.mark.skipif(
        DRIVER is None or BROWSER is None,
        reason="no Chromium with its driver here: apt-get install chromium chromium-driver",
    ),
]

Opened = Callable[[str], Chrome]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    options = ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1400,1000")
    options.binary_location = BROWSER or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = Chrome(options=options, service=Service(DRIVER))
    yield started
    started.quit()


@pytest.fixture
def opened(browser: Chrome, tmp_path: Path) -> Opened:
    """Open a page from a file, and check that nothing went wrong in it."""

    def opened(page: str) -> Chrome:
        place = tmp_path / "page.html"
        place.write_text(page, encoding="utf-8")
        browser.get(place.as_uri())
        ready = "return document.documentElement.dataset.ready === 'yes'"
        WebDriverWait(browser, 60).until(lambda driver: driver.execute_script(ready))
        assert browser.get_log("browser") == []
        return browser

    return opened


def said(browser: Chrome, place: str) -> str:
    return str(browser.find_element(By.ID, place).text)


def chosen_row(browser: Chrome) -> str:
    """Its name; asked for at once, since rows are made anew while the list scrolls."""
    return str(browser.execute_script("return document.querySelector('[aria-selected=true]').id"))


def drawn(browser: Chrome) -> dict[str, Any]:
    """What the diagram has drawn."""
    found: dict[str, Any] = browser.execute_script(
        "detrun.diagram.drawNow(); return {arrows: detrun.diagram.arrowsDrawn, lanes: detrun.diagram.rowOfLane.size}"
    )
    return found


def crossing(recording: Recording) -> int:
    """Arrows between two lanes."""
    timeline = timeline_of(recording, range(recording.steps), {})
    return sum(timeline.lane_of[arrow.origin] != timeline.lane_of[arrow.target] for arrow in timeline.arrows)


def test_lanes_arrows_and_steps_are_those_of_the_recording(opened: Opened) -> None:
    run = detrun.record(waits_in_a_circle, raise_errors=False)
    page = opened(run_page(run.recording, Told()))
    assert drawn(page) == {"arrows": crossing(run.recording), "lanes": len(run.recording.tasks)}
    assert said(page, "steps-said") == f"{run.steps} steps"
    assert said(page, "outcome").startswith("failed: DeadlockError")


def test_keys_walk_through_the_steps_and_tell_a_screen_reader_which_one_is_chosen(opened: Opened) -> None:
    run = detrun.record(loses_an_update, raise_errors=False)
    assert run.program is not None
    page = opened(run_page(run.recording, told_by_program(run.recording, *run.program)))
    canvas = page.find_element(By.ID, "canvas")
    steps = list(run.recording.iter_steps())
    main = [step.index for step in steps if step.path == "main"]
    for keys, step in (
        ((Keys.HOME,), 0),
        ((Keys.ARROW_RIGHT, Keys.ARROW_RIGHT), 2),
        ((Keys.HOME, Keys.ARROW_DOWN), main[0]),
        (("n",), main[1]),
        ((Keys.END,), run.steps - 1),
    ):
        canvas.send_keys(*keys)
        assert steps[step].path in said(page, "details")
        assert chosen_row(page) == f"row-{step}"
    canvas.send_keys(Keys.HOME, Keys.ARROW_DOWN)
    assert "counter = detrun.Atomic(0)" in said(page, "details")


def test_why_it_failed_has_both_schedules_and_a_slider_with_values(opened: Opened) -> None:
    failure = detrun.explore(loses_an_update, directory=None).failure
    assert failure is not None
    page = opened(run_page(failure.recording, told_of_failure(failure)))
    assert len(page.find_elements(By.CSS_SELECTOR, "#why-rows td.decides")) == 2
    assert len(page.find_elements(By.CSS_SELECTOR, "#why-arrow path")) == 2
    assert "Verified" in said(page, "why-text")
    slider = page.find_element(By.ID, "why-place")
    slider.send_keys(Keys.END)
    last = int(slider.get_attribute("max") or 0)
    assert said(page, "why-said") == f"turn {last + 1} of {last + 1}: main, in the passing schedule alone"
    assert held(page)["Atomic[0]"] == ["1", "2"]
    while said(page, "why-said").endswith("passing schedule alone"):
        page.find_element(By.ID, "why-back").click()
    assert said(page, "why-said").endswith(": main, in the failing schedule alone")
    page.execute_script(
        "const {why} = detrun; why.go(why.view.aligned.findIndex(([one, at]) => one === 1 && at === null))"
    )
    assert held(page)["seen"] == ["0", ""]  # the passing schedule has not come to that task
    assert "differs" in classes_of(page, "in add")


def held(page: Chrome) -> dict[str, list[str]]:
    """What both schedules hold, by name; the first of each name."""
    found: dict[str, list[str]] = {}
    for row in page.find_elements(By.CSS_SELECTOR, "#values tr:not(.group)"):
        name, *cells = [cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")]
        found.setdefault(name, cells)
    return found


def classes_of(page: Chrome, name: str) -> str:
    """How the cells of a name look."""
    rows = page.find_elements(By.CSS_SELECTOR, "#values tr:not(.group)")
    return " ".join(
        str(cell.get_attribute("class"))
        for row in rows
        if row.find_element(By.TAG_NAME, "th").text == name
        for cell in row.find_elements(By.TAG_NAME, "td")
    )


def test_the_box_beside_the_mouse_is_seen_whole_with_the_line_that_runs(opened: Opened) -> None:
    run = detrun.record(loses_an_update, raise_errors=False)
    assert run.program is not None
    page = opened(run_page(run.recording, told_by_program(run.recording, *run.program)))
    step = next(step.index for step in run.recording.iter_steps() if step.path == "main")
    place = page.execute_script(
        """
        document.getElementById("canvas").scrollIntoView({block: "center"});
        const box = document.getElementById("canvas").getBoundingClientRect();
        const diagram = detrun.diagram;
        const row = diagram.rowOfLane.get(detrun.run.lane(arguments[0]));
        return [box.left + diagram.x(arguments[0]) + 5, box.top + diagram.top(row) + 10];
        """,
        step,
    )
    mouse = ActionChains(page)
    mouse.w3c_actions.pointer_action.move_to_location(*map(int, place))
    mouse.perform()
    said_there = said(page, "hover")
    assert said_there.startswith(f"step {step}, main")
    (running,) = page.find_elements(By.CSS_SELECTOR, "#hover .source .running")
    assert running.text.strip() in said_there  # which leaves out what is cut off


def test_a_deadlock_is_drawn_as_a_circle(opened: Opened) -> None:
    run = detrun.record(waits_in_a_circle, raise_errors=False)
    assert run.program is not None
    told = told_by_program(run.recording, *run.program)
    page = opened(run_page(run.recording, told))
    assert {one.text for one in page.find_elements(By.CSS_SELECTOR, "#why-cycle text")} == {"main/left", "main/right"}
    assert len(page.find_elements(By.CSS_SELECTOR, "#why-cycle path.waits")) == 2


def test_hostile_names_are_shown_as_text(opened: Opened) -> None:
    run = detrun.record(hostile)
    page = opened(run_page(run.recording, Told(notes=[HOSTILE], facts={HOSTILE: HOSTILE})))
    assert page.title == "detrun: tests/reports/test_page.py:hostile"
    assert said(page, "notes") == HOSTILE
    assert NAME in said(page, "rows")
    assert page.find_elements(By.TAG_NAME, "img") == []


def test_lanes_are_chosen_by_name_and_the_axis_is_time_or_steps(opened: Opened) -> None:
    run = detrun.record(waits_in_a_circle, raise_errors=False)
    page = opened(run_page(run.recording, Told()))
    page.find_element(By.ID, "lane-filter").send_keys("left")
    assert drawn(page)["lanes"] == 1
    page.find_element(By.CSS_SELECTOR, "#axis option[value=time]").click()
    drawn(page)
    assert "1 s" in page.find_element(By.ID, "diagram-axis").text
    page.find_element(By.ID, "theme").click()
    assert page.get_log("browser") == []


async def hands_on(params: dict[str, Any]) -> Any:
    """The derivative flows from one task to the next by messages."""
    sender, receiver = trio.open_memory_channel[Any](1)
    results = []

    async def square() -> None:
        received = await receiver.receive()
        results.append(received * received)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(square)
        await trio.sleep(1)
        await sender.send(params["p"] * 0.5)
    return results[0] + params["p"]


def test_a_gradient_has_its_numbers_and_bows_between_the_steps_that_carried_it(opened: Opened, tmp_path: Path) -> None:
    found = detrun.gradient(hands_on, {"p": 6.0}, credit=100)
    page = opened(found.report(tmp_path / "gradient.html").read_text())
    assert "p 4.00000" in said(page, "gradient-rows")
    uses = page.find_elements(By.CSS_SELECTOR, "#gradient-credit tbody tr")
    assert len(uses) == len(found.credit["p"])
    assert any('await sender.send(params["p"] * 0.5)' in row.text and "test_browser.py" in row.text for row in uses)
    path = page.find_elements(By.CSS_SELECTOR, "#gradient-path tbody tr")
    assert len(path) == len(strongest_path(found.flow["p"]))
    assert any("results.append(received * received)" in row.text for row in path)
    path[-1].find_elements(By.TAG_NAME, "button")[-1].click()
    assert said(page, "details").startswith("step")
    drawn(page)
    between = [one for one in found.flow["p"] if one.origin >= 0]
    assert page.execute_script("return detrun.diagram.ways.drawn") == len(between) > 0


async def jumps(params: dict[str, Any]) -> Any:
    """1 below 2, and 3 more from there on."""
    await trio.sleep(0.5)
    return params["x"] * 1.0 + (3.0 if params["x"] >= 2.0 else 0.0) + detrun.uniform(0.0, 0.1)


def test_the_nearest_jumps_of_a_gradient_have_their_sizes(opened: Opened, tmp_path: Path) -> None:
    found = detrun.gradient(jumps, {"x": 1.9}, credit=5)
    page = opened(found.report(tmp_path / "gradient.html", flips=found.nearest_flips()).read_text())
    (row,) = page.find_elements(By.CSS_SELECTOR, "#gradient-flips tbody tr")
    cells = [cell.text for cell in row.find_elements(By.TAG_NAME, "td")]
    assert cells[0] == "x"
    assert cells[1].startswith("0 below, 1 above")
    assert (float(cells[2]), float(cells[3])) == (pytest.approx(0.1), pytest.approx(3.0))
    assert "params" in cells[4] or "test_browser.py" in cells[4]


def test_kinds_of_gradients_are_beside_each_other_with_their_errors(opened: Opened, tmp_path: Path) -> None:
    found = detrun.compare_gradients(jumps, {"x": 1.99}, kinds=("local", "finite"), samples=8)
    page = opened(found.report(tmp_path / "kinds.html").read_text())
    bars = page.find_elements(By.CSS_SELECTOR, "#gradient-kinds line.error")
    assert len(bars) == len(page.find_elements(By.CSS_SELECTOR, "#gradient-kinds circle")) == len(found.found) == 2
    label = page.find_element(By.CSS_SELECTOR, "#gradient-kinds svg").get_attribute("aria-label") or ""
    assert label.startswith(f"local: {found.found['local'].grads['x']:.3f}")
    assert len(page.find_elements(By.CSS_SELECTOR, "#gradient-kinds rect.reference")) == 1


def test_why_the_nearest_jumps_are_unknown_is_said(opened: Opened, tmp_path: Path) -> None:
    found = detrun.gradient(jumps, {"x": 1.9})
    page = opened(found.report(tmp_path / "gradient.html", flips_refused=NAME).read_text())
    assert said(page, "gradient-flips-refused") == f"They are unknown. {NAME}"
    assert not page.find_element(By.CSS_SELECTOR, "#gradient-flips table").is_displayed()


def test_answers_beside_each_other_are_rows_also_where_an_error_is_no_number(opened: Opened) -> None:
    answers = [Answer("local", 2.0, math.inf), Answer("difference", 2.5, 0.5), Answer("tensor", "[1, 2]", "")]
    page = opened(curves_page(Curves("a gradient", "done", {}, kinds=Kinds([Beside("x", answers, "difference")]))))
    figure = page.find_element(By.CSS_SELECTOR, "#kinds svg")
    assert [one.text for one in figure.find_elements(By.CSS_SELECTOR, "svg > text")] == [
        *("local", "2.000 ± inf"),
        *("difference", "2.500 ± 0.50"),
    ]
    assert len(figure.find_elements(By.CSS_SELECTOR, "rect.reference")) == 1


def bowl(params: dict[str, Any]) -> Any:
    return (params["x"] - 3.0) ** 2 + (params[NAME] - 3.0) ** 2 + detrun.normal(0.0, 1.0)


def test_a_tuning_has_its_losses_with_errors_and_a_panel_for_each_parameter(opened: Opened, tmp_path: Path) -> None:
    options: dict[str, Any] = {"samples": 2, "held_out": 4, "iterations": 4, "look_every": 2}
    found = detrun.minimize(bowl, {"x": 1.0, NAME: 10.0}, kind="local", **options)
    page = opened(found.report(tmp_path / "minimum.html").read_text())
    loss, *parameters = page.find_elements(By.CSS_SELECTOR, "#panels figure")
    assert len(loss.find_elements(By.CSS_SELECTOR, "circle")) == len(found.history) + len(found.looks)
    assert len(loss.find_elements(By.CSS_SELECTOR, "line.error")) == len(found.history) + len(found.looks)
    assert len(loss.find_elements(By.CSS_SELECTOR, "line.level")) == 1
    assert [one.find_element(By.TAG_NAME, "figcaption").text for one in parameters] == ["x", NAME]
    assert said(page, "outcome").startswith(f"a loss of {found.value:.6g}")
    assert page.find_elements(By.TAG_NAME, "img") == []


def test_a_verdict_is_a_square_at_the_end_of_its_curve(opened: Opened) -> None:
    curves = [Curve("one", [Point(0, 3.0), Point(10, 1.0)], Point(10, 1.5, 0.2)), Curve("none", [])]
    page = opened(curves_page(Curves("a tuning", "done", {}, [Panel("loss", "events", "s", curves)])))
    (square,) = page.find_elements(By.CSS_SELECTOR, "rect.verdict")
    circles = page.find_elements(By.CSS_SELECTOR, "#panels circle")
    assert float(square.get_attribute("x") or 0) + 4 == float(circles[-1].get_attribute("cx") or 0)
    assert len(page.find_elements(By.CSS_SELECTOR, "line.error")) == 1


def test_a_world_has_a_map_of_its_nodes_and_a_slider_through_its_moments(opened: Opened) -> None:
    run = detrun.record(writes_and_crashes)
    assert run.program is not None
    page = opened(run_page(run.recording, told_by_program(run.recording, *run.program)))
    nodes = page.find_elements(By.CSS_SELECTOR, "#world-map circle")
    assert len(nodes) == len(page.find_elements(By.CSS_SELECTOR, "#world-nodes tr")) >= 2
    page.find_element(By.ID, "world-place").send_keys(Keys.END)
    assert said(page, "world-said").startswith("after step ")
    assert "server down 2" in said(page, "world-nodes")  # it started twice


def test_partitions_and_changed_links_are_bands_over_time_and_lines_of_the_map(opened: Opened) -> None:
    run = detrun.record(is_cut_and_slowed)
    assert run.program is not None
    page = opened(run_page(run.recording, told_by_program(run.recording, *run.program)))
    cut, slowed = page.find_elements(By.CSS_SELECTOR, "#world-states rect.band.links")
    (planned,) = page.find_elements(By.CSS_SELECTOR, "#world-states rect.band.planned")
    assert float(cut.get_attribute("width") or 0) == pytest.approx(2 * float(slowed.get_attribute("width") or 0))
    for name in ("x", "width"):
        assert planned.get_attribute(name) == slowed.get_attribute(name)
    assert "client->server" in str(cut.find_element(By.TAG_NAME, "title").get_attribute("textContent"))
    times = page.execute_script("return detrun.world.moments.map((one) => one.time)")
    page.execute_script(
        "detrun.world.go(arguments[0], false)", next(at for at, time in enumerate(times) if time > 1.25)
    )
    assert len(page.find_elements(By.CSS_SELECTOR, "#world-map path.broken")) == 2
    rows = [row.text for row in page.find_elements(By.CSS_SELECTOR, "#world-links tr.wrong")]
    assert any(row.startswith("client -> server latency 0.25 s, 4000 bytes/s partitioned") for row in rows)


async def has_faults_timers_and_cancellations() -> None:
    """A node is paused by a plan, another is without power for a time, links are cut by hand, a wait is cancelled."""
    stall = Pause(name="stall", node="server", at=0.5, lasts_seconds=0.75)

    async def serve() -> None:
        while True:
            with trio.move_on_after(0.25):
                await trio.sleep(1)

    async with World(latency=0.25) as world:
        server, other = world.node("server"), world.node("other")
        server.start(serve)
        other.start(trio.sleep_forever)
        async with inject(FaultPlan((stall,)), world):
            await trio.sleep(1)
            world.partition("server", "other")
            other.power_loss()
            await trio.sleep(1)
            world.heal()
            other.restart()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever, name="patient")
                await trio.sleep(0.5)
                nursery.cancel_scope.cancel()


def marks(page: Chrome) -> dict[str, int]:
    """What the diagram has drawn beside steps and arrows."""
    found: dict[str, int] = page.execute_script(
        """
        const {diagram, faults} = detrun;
        diagram.drawNow();
        return {timers: diagram.marks.timersDrawn, cancellations: diagram.marks.cancellationsDrawn,
          bands: diagram.faults.bandsDrawn, grounds: diagram.groundsDrawn, ticks: diagram.faults.ticksDrawn};
        """
    )
    return found


def test_timers_cancellations_and_faults_are_drawn_on_both_axes_as_the_run_had_them(opened: Opened) -> None:
    run = detrun.record(has_faults_timers_and_cancellations)
    assert run.program is not None
    told = told_by_program(run.recording, *run.program)
    page = opened(run_page(run.recording, told))
    steps = list(run.recording.iter_steps())
    struck = {(event.label, step.index) for step in steps for event in step.events if event.kind == "fault"}
    assert told.timers is not None
    shown = marks(page)
    assert shown["cancellations"] == len(told.timers.cancellations)
    assert shown["timers"] == len({(one.task, one.step, one.last) for one in told.timers.timers})  # else they are one
    assert shown["ticks"] == len(struck)
    assert shown["bands"] == 4  # the stall as planned, the pause that it is, the loss of power, and the partition
    page.find_element(By.CSS_SELECTOR, "#axis option[value=time]").click()
    ends = {
        (one.task, steps[one.step].time, one.due if one.ended == "fired" else steps[one.last or 0].time)
        for one in told.timers.timers
    }
    assert {**marks(page), "ticks": 0} == {**shown, "timers": len(ends), "ticks": 0}  # those of a moment are one tick
    assert shown["grounds"] == len({step.path for step in steps if step.path.startswith(("main/server", "main/other"))})
    assert "a wait is cancelled" in said(page, "legend")
    page.find_element(By.CSS_SELECTOR, "#faults-list summary").click()
    items = WebDriverWait(page, 20).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#faults-list li"))
    assert len(items) == shown["bands"]
    assert "other is off, 1 s to 2 s" in said(page, "faults-list")


def test_a_mark_says_what_it_is_beside_the_mouse_and_a_click_goes_to_its_step(opened: Opened) -> None:
    run = detrun.record(has_faults_timers_and_cancellations)
    assert run.program is not None
    page = opened(run_page(run.recording, told_by_program(run.recording, *run.program)))
    for what, words in (("stall", "stall: pause (server"), ("is cancelled", "main/patient is cancelled by main")):
        place = page.execute_script(
            """
            document.getElementById("canvas").scrollIntoView({block: "center"});
            detrun.diagram.drawNow();
            const box = document.getElementById("canvas").getBoundingClientRect();
            const hit = detrun.diagram.hits.find((one) => one.said().includes(arguments[0]));
            return [box.left + hit.left + 2, box.top + hit.top + 2, hit.step];
            """,
            words if what == "is cancelled" else what,
        )
        mouse = ActionChains(page)
        mouse.w3c_actions.pointer_action.move_to_location(*map(int, place[:2]))
        mouse.w3c_actions.pointer_action.click()
        mouse.perform()
        assert words in said(page, "hover")
        assert chosen_row(page) == f"row-{place[2]}"


def test_timers_have_words_only_for_the_step_that_is_chosen(opened: Opened) -> None:
    run = detrun.record(has_faults_timers_and_cancellations)
    assert run.program is not None
    told = told_by_program(run.recording, *run.program)
    assert told.timers is not None
    page = opened(run_page(run.recording, told))
    said_of_step, made = page.execute_script(
        """
        const {marks} = detrun.diagram;
        const said = marks.timerSaid.bind(marks);
        let made = 0;
        marks.timerSaid = (timer) => { made += 1; return said(timer); };
        detrun.diagram.drawNow();
        detrun.choose(arguments[0]);
        return [marks.saidOf(arguments[0]), made];
        """,
        told.timers.timers[0].step,
    )
    of_step = [one for one in told.timers.timers if told.timers.timers[0].step in (one.step, one.last)]
    assert sum("deadline of" in text or "sleep of" in text for text in said_of_step) == len(of_step)
    assert made == 2 * len(of_step) < 2 * len(told.timers.timers)  # for the details, and for this test


def test_without_its_program_a_run_has_the_waits_that_time_ended(opened: Opened) -> None:
    run = detrun.record(waits_in_a_circle, raise_errors=False)
    page = opened(run_page(run.recording, Told()))
    assert marks(page)["timers"] == 2


async def many_steps() -> None:
    async def walk() -> None:
        for _ in range(20_000):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(walk)


def test_a_hundred_thousand_steps_are_opened_and_only_the_rows_that_are_seen_exist(opened: Opened) -> None:
    run = detrun.record(many_steps)
    page = opened(run_page(run.recording, Told()))
    assert said(page, "steps-said") == f"{run.steps:,} steps"
    assert len(page.find_elements(By.CSS_SELECTOR, "#rows .row")) < 100
    page.find_element(By.ID, "canvas").send_keys(Keys.END)
    assert chosen_row(page) == f"row-{run.steps - 1}"


def test_a_history_that_is_not_linearizable_has_bars_the_longest_order_and_what_is_stuck(opened: Opened) -> None:
    run = detrun.record(reads_what_was_overwritten, raise_errors=False)
    assert run.exception is not None
    page = opened(run_page(run.recording, Told(failure=failure_view(run.exception))))
    view = failure_view(run.exception).history
    assert view is not None
    assert len(page.find_elements(By.CSS_SELECTOR, "#history-bars g.bar")) == len(view.bars) >= 2
    assert len(page.find_elements(By.CSS_SELECTOR, "#history-bars circle.moment")) == len(view.states) - 1
    assert len(page.find_elements(By.CSS_SELECTOR, "#history-bars path.stuck")) == 1
    (stuck,) = page.find_elements(By.CSS_SELECTOR, "#history-order li.stuck")
    assert stuck.text.startswith(f"read() → 0 by {NAME}: no place left")
    stuck.find_element(By.TAG_NAME, "button").click()
    assert said(page, "details").startswith("step")
    assert page.find_elements(By.TAG_NAME, "img") == []
