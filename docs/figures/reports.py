"""Draws the pictures of docs/reports.md in a headless Chromium: `python docs/figures/reports.py [NAME ...]`.

On Debian: ``apt-get install chromium chromium-driver``.
"""

from __future__ import annotations

import contextlib
import io
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import trio
from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

import detrun
from detrun.checkers.models import Register
from detrun.reports.report import run_page, told_by_program
from detrun_scenarios.frame.catalogue import all_scenarios
from detrun_scenarios.frame.scenario_program import ScenarioProgram

HERE = Path(__file__).parent


def programs_of(page: str) -> list[str]:
    """The Python blocks of a page of documentation."""
    return [block.split("```", 1)[0] for block in (HERE.parent / page).read_text().split("```python\n")[1:]]


async def cached_register() -> None:
    """The program of docs/checkers.md: a cache that learns of a write when it has returned."""
    history = detrun.History()
    content, cache = detrun.Atomic(0), detrun.Atomic(0)

    async def writer() -> None:
        with history.call("write", 1):
            content.store(1)
            await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        cache.store(1)

    async def reader() -> None:
        with history.call("read") as call:
            await trio.lowlevel.checkpoint()
            call.result(cache.load())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer, name="writer")
        nursery.start_soon(reader, name="reader")
        nursery.start_soon(reader, name="other reader")
    detrun.linearizable(Register(0), history).raise_on_failure()


def why(page: Path) -> None:
    """A lost update, beside the nearest schedule that passes."""
    with contextlib.chdir(page.parent):  # the page then names the file without its folder
        Path("counter.py").write_text(programs_of("reports.md")[0])
        detrun.explore(runpy.run_path("counter.py")["main"], directory=None).report(page)


def history(page: Path) -> None:
    """Operations of which one has no place."""
    detrun.explore(cached_register, schedules=500, strategy="random", seed=1, directory=None).report(page)


def cluster(page: Path) -> None:
    """Servers of Raft with clients and faults."""
    scenario = all_scenarios()["consensus"]
    run = detrun.record(ScenarioProgram(scenario, scenario.setting("small")), {}, seed=1)
    assert run.program is not None
    page.write_text(run_page(run.recording, told_by_program(run.recording, *run.program)))


def gradient(page: Path) -> None:
    """How the latency of commitments depends on the delay of batches."""
    scenario = all_scenarios()["consensus"]
    latency = ScenarioProgram(scenario, scenario.setting("small", loss="commit_latency"))
    detrun.gradient(latency, {"batch_delay": 0.001}, seed=1, credit=2_000).report(page)


def kinds(page: Path) -> None:
    """The first program of docs/gradients.md, by whose timeout the kinds of gradient differ."""
    typed = programs_of("gradients.md")[0].partition(">>> found")[0]
    with contextlib.chdir(page.parent):
        Path("fetch.py").write_text("\n".join(line[4:] for line in typed.splitlines()))
        main = runpy.run_path("fetch.py")["fetch"]
        detrun.compare_gradients(main, {"timeout": 0.5, "mean": 1.0}, samples=100).report(page)


WHY = """
document.getElementById('why').scrollIntoView();
"""
HISTORY = """
document.getElementById('history').scrollIntoView();
"""
CLUSTER = """
const axis = document.getElementById('axis');
axis.value = 'time';
axis.dispatchEvent(new Event('change'));
detrun.diagram.show((path) => /server[12]\\/serve|client[12]/.test(path));
detrun.choose(420);
detrun.diagram.zoomBy(20);
document.getElementById('run').scrollIntoView();
"""
WORLD = """
detrun.world.go(d3.maxIndex(detrun.world.moments, (moment) => moment.under_way), false);
document.getElementById('world').scrollIntoView();
"""
GRADIENT = """
detrun.diagram.show((path) => /server1\\/serve|client\\d\\/use/.test(path));
detrun.choose(520);
detrun.diagram.zoomBy(9);
document.getElementById('run').scrollIntoView();
"""
KINDS = """
document.getElementById('gradient-kinds').scrollIntoView();
"""
# By name: who writes the page, what is run in it, and the size of the window.
PICTURES: dict[str, tuple[Callable[[Path], None], str, tuple[int, int]]] = {
    "why": (why, WHY, (1100, 915)),
    "history": (history, HISTORY, (1100, 400)),
    "cluster": (cluster, CLUSTER, (1300, 960)),
    "world": (cluster, WORLD, (1300, 1200)),
    "gradient": (gradient, GRADIENT, (1300, 700)),
    "kinds": (kinds, KINDS, (1000, 790)),
}


def main() -> None:
    """Draw those that are named, or all."""
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or PICTURES:
            write, script, size = PICTURES[name]
            page = Path(folder) / f"{write.__name__}.html"
            if not page.exists():
                write(page)
            _draw(page, HERE / f"report-{name}.png", script, size)


def _draw(page: Path, picture: Path, script: str, size: tuple[int, int]) -> None:
    options = ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.add_argument(f"--window-size={size[0]},{size[1]}")
    options.binary_location = shutil.which("chromium") or ""
    browser = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        browser.get(page.as_uri())
        ready = "return document.documentElement.dataset.ready === 'yes'"
        WebDriverWait(browser, 60).until(lambda driver: driver.execute_script(ready))
        browser.execute_script(script)
        browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        with Image.open(io.BytesIO(browser.get_screenshot_as_png())) as shot:
            small = shot.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            small.save(picture, optimize=True)
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
