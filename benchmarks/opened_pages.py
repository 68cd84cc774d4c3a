"""How much CPU a browser takes to open the report of 100,000 steps, and `detrun report` to write it.

Pages are written by the command and opened from a file by headless Chromium, three times each, by a new one each time.
A figure is the median. The browser's seconds are CPU time of the page's main thread, by its own account
(``TaskDuration`` of the DevTools protocol), until the second frame after the page says that it is ready: its process's
start, unpacking, scripts, layout and drawing. What is unfair: drawing is by the processor here, which has help at a
screen. ``python -m benchmarks.opened_pages`` takes two minutes and needs ``chromium`` and ``chromedriver``; it keeps
``benchmarks/results/opened-pages.json`` and puts the table into ``docs/reports.md``; with ``--show`` it prints what is
kept.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measuring import Pasted, captioned, machine, measure_or_show

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "benchmarks" / "results" / "opened-pages.json"
PASTED = Pasted(ROOT / "docs" / "reports.md", "opening")
TIMES = 3
# What is opened: what it is called, and the body of its program's main function.
PROGRAMS = {
    "steps of five tasks, which end well": """
    async def walk():
        for _ in range(20_000):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(walk)
""",
    "the same with a channel, a lock and a failure at the end": """
    send, receive = trio.open_memory_channel(1)
    lock = trio.Lock()

    async def produce():
        for at in range(12_500):
            async with lock:
                await send.send(at)
        await send.aclose()

    async def consume():
        total = 0
        async for at in receive:
            total += at
            await trio.lowlevel.checkpoint()
        assert total == 0

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        nursery.start_soon(consume)
        nursery.start_soon(trio.sleep, 1)
        for _ in range(50_000):
            await trio.lowlevel.checkpoint()
""",
    "50,000 timers of five tasks": """
    async def wait(pause):
        for _ in range(10_000):
            await trio.sleep(pause)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for pause in range(5):
            nursery.start_soon(wait, 0.01 + 0.001 * pause)
""",
}


@contextmanager
def browser() -> Iterator[Any]:
    """Headless Chromium.

    Raises:
        RuntimeError: it is not installed.
    """
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    found, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if found is None or driver is None:
        raise RuntimeError("no Chromium with its driver here: apt-get install chromium chromium-driver")
    options = ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1400,1000")
    options.binary_location = found
    started = Chrome(options=options, service=Service(driver))
    started.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    yield started
    started.quit()


def opening(driver: Any, page: Path) -> float:
    """CPU seconds of a browser that has opened nothing else."""
    from selenium.webdriver.support.wait import WebDriverWait

    driver.get(page.as_uri())
    ready = "return document.documentElement.dataset.ready === 'yes'"
    WebDriverWait(driver, 60).until(lambda one: one.execute_script(ready))
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


def written(folder: Path, body: str) -> tuple[Path, int, float]:
    """The page of a program's run, the steps of the run, and CPU seconds of ``detrun report``."""
    import detrun

    program, file, page = folder / "program.py", folder / "run.detrun", folder / "page.html"
    text = f"import trio\n\n\nasync def main():\n{body}"
    program.write_text(text)
    spaces: dict[str, Any] = {}
    exec(compile(text, str(program), "exec"), spaces)
    run = detrun.record(spaces["main"], to=file, target=f"{program}:main", raise_errors=False)
    path = os.pathsep.join(entry for entry in sys.path if entry)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "detrun", "report", str(file), "-o", str(page)],
        check=True,
        capture_output=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return page, run.steps, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured() -> dict[str, Any]:
    """All pages, and where they were opened."""
    rows = []
    for what, body in PROGRAMS.items():
        with tempfile.TemporaryDirectory() as folder:
            page, steps, seconds = written(Path(folder), body)
            taken = []
            for _ in range(TIMES):
                with browser() as driver:
                    taken.append(opening(driver, page))
                    version = driver.capabilities["browserVersion"]
            size, median = page.stat().st_size, statistics.median(taken)
            rows.append([what, steps, size, seconds, median, min(taken), max(taken)])
    return {"about": f"{machine()}; Chromium {version}", "rows": rows}


def markdown(kept: dict[str, Any]) -> str:
    """The table of the page."""
    lines = ["| a run with | steps | page, MB | writing, s | opening, s | from, to |", "|---|---:|---:|---:|---:|---|"]
    lines += [
        f"| {what} | {steps:,} | {size / 1e6:.1f} | {seconds:.1f} | {median:.2g} | {least:.2g}, {most:.2g} |"
        for what, steps, size, seconds, median, least, most in kept["rows"]
    ]
    return captioned(lines, f"CPU seconds, by `python -m benchmarks.opened_pages`; {kept['about']}.")


def main() -> None:
    """Measure and keep, or show what is kept."""
    measure_or_show(KEPT, PASTED, measured, markdown)


if __name__ == "__main__":
    main()
