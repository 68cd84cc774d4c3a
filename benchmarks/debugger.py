"""How long one waits at the prompt of ``detrun debug`` in a run of 100,000 steps.

The debugger runs at a terminal of its own (a pseudo-terminal), is sent a command, and is timed until it asks for the
next: real seconds, since the work is done by several processes. A figure is the median of the repetitions. What is
unfair: the program does next to nothing in a step, so a replay of it is quick. ``python -m benchmarks.debugger`` takes
half a minute, keeps ``benchmarks/results/debugger.json`` and puts the table into ``docs/debug-a-replay.md``; with
``--show`` it prints what is kept.
"""

from __future__ import annotations

import os
import pty
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import Pasted, captioned, machine, measure_or_show

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "benchmarks" / "results" / "debugger.json"
PASTED = Pasted(ROOT / "docs" / "debug-a-replay.md", "moves")
STEPS = 100_000
PROMPT = b"(detrun) "
PROGRAM = """
import trio

import detrun


async def main():
    seen = detrun.Atomic(0, name="seen")

    async def walk(rare):
        for at in range(50_000):
            if at % 10_000 == rare:
                seen.fetch_add(1)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(walk, 5, name="a")
        nursery.start_soon(walk, 6, name="b")
"""
# What is measured: the command, what it is called, how often, and the command before each that is not measured.
MOVES = (
    ("goto -1", "to the last step, from the first", 3, "goto 0"),
    ("back", "one step back from there", 10, ""),
    ("step", "one step forth", 10, ""),
    ("back 50000", "50,000 steps back from the end", 3, "goto -1"),
    ("back", "one step back from there", 10, ""),
    ("since seen", "back to the last use of an object, 10,000 steps ago", 3, "goto 99990"),
    ("until seen", "forth to the next use of an object, in 10,000 steps", 3, "goto 50020"),
)


class Terminal:
    """A session of the debugger at a terminal."""

    def __init__(self, file: Path) -> None:
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            os.chdir(file.parent)
            os.environ["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
            os.execv(sys.executable, [sys.executable, "-m", "detrun", "debug", str(file)])
        self.wait()

    def wait(self) -> str:
        """Until it asks for a command; what it said."""
        said = b""
        while not said.endswith(PROMPT):
            said += os.read(self.descriptor, 1 << 16)
        return said.decode()

    def seconds(self, command: str) -> float:
        """How long a command takes."""
        os.write(self.descriptor, f"{command}\n".encode())
        begun = time.perf_counter()
        said = self.wait()
        taken = time.perf_counter() - begun
        if "after" not in said:
            raise RuntimeError(f"{command} did not move: {said}")
        return taken

    def close(self) -> None:
        """Leave it."""
        os.write(self.descriptor, b"quit\n")
        os.waitpid(self.process, 0)
        os.close(self.descriptor)


def measured() -> dict[str, Any]:
    """All moves, and where they were measured."""
    import detrun

    with tempfile.TemporaryDirectory() as folder:
        program, file = Path(folder) / "walks.py", Path(folder) / "walks.detrun"
        program.write_text(PROGRAM)
        spaces: dict[str, Any] = {}
        exec(compile(PROGRAM, str(program), "exec"), spaces)
        run = detrun.record(spaces["main"], to=file, target=f"{program}:main")
        terminal = Terminal(file)
        rows = []
        for command, what, times, before in MOVES:
            taken = []
            for _ in range(times):
                if before:
                    terminal.seconds(before)
                taken.append(terminal.seconds(command))
            rows.append([command, what, statistics.median(taken), min(taken), max(taken)])
        terminal.close()
    load = f"load average {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
    return {"about": f"{machine()}, {load}", "steps": run.steps, "rows": rows}


def markdown(kept: dict[str, Any]) -> str:
    """The table of the page."""
    lines = ["| command | in a run of 100,000 steps | seconds | from, to |", "|---|---|---|---|"]
    lines += [
        f"| `{command}` | {what} | {median:.2g} | {least:.2g}, {most:.2g} |"
        for command, what, median, least, most in kept["rows"]
    ]
    return captioned(lines, f"Real seconds at the prompt, by `python -m benchmarks.debugger`; {kept['about']}.")


def main() -> None:
    """Measure and keep, or show what is kept."""
    measure_or_show(KEPT, PASTED, measured, markdown)


if __name__ == "__main__":
    main()
