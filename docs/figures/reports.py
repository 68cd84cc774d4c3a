"""Draws the pictures of docs/reports.md in a headless Chromium: `python docs/figures/reports.py`.

On Debian: ``apt-get install chromium chromium-driver``.
"""

from __future__ import annotations

import contextlib
import io
import runpy
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

import detrun
from detrun.reports.report import run_page, told_by_program
from detrun_scenarios.frame.catalogue import all_scenarios
from detrun_scenarios.frame.scenario_program import ScenarioProgram

HERE = Path(__file__).parent
COLOURS = 48  # of a picture: a third of its bytes
COUNTER = (HERE.parent / "reports.md").read_text().split("```python\n", 1)[1].split("```", 1)[0]  # its first program


def main() -> None:
    """Draw them."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with contextlib.chdir(place):  # the page then names the file without its folder
            Path("counter.py").write_text(COUNTER)
            detrun.explore(runpy.run_path("counter.py")["main"], directory=None).report("why.html")
        scenario = all_scenarios()["consensus"]
        program = ScenarioProgram(scenario, scenario.setting("small"))
        run = detrun.record(program, {}, seed=1)
        assert run.program is not None
        (place / "cluster.html").write_text(run_page(run.recording, told_by_program(run.recording, *run.program)))
        _draw(place / "why.html", HERE / "report-why.png", "", (1100, 900))
        _draw(place / "cluster.html", HERE / "report-cluster.png", CLUSTER, (1300, 960))
        latency = ScenarioProgram(scenario, scenario.setting("small", loss="commit_latency"))
        detrun.gradient(latency, {"batch_delay": 0.001}, seed=1, credit=2_000).report(place / "gradient.html")
        _draw(place / "gradient.html", HERE / "report-gradient.png", GRADIENT, (1300, 700))


CLUSTER = """
const axis = document.getElementById('axis');
axis.value = 'time';
axis.dispatchEvent(new Event('change'));
detrun.diagram.show((path) => /server\\d\\/serve|client/.test(path));
detrun.diagram.choose(420);
detrun.diagram.zoomBy(14);
document.getElementById('run').scrollIntoView();
"""


GRADIENT = """
detrun.diagram.show((path) => /server1\\/serve|client\\d\\/use/.test(path));
detrun.diagram.choose(520);
detrun.diagram.zoomBy(9);
document.getElementById('run').scrollIntoView();
"""


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
            shot.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(picture, optimize=True)
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
