"""The demonstration of `make demo`: record the key-value store, replay it elsewhere, differentiate it, edit it and
replay again; then a gradient over a million steps.

Each section ends with a check; the first that does not hold ends the demonstration with exit code 1.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

import detrun
from detrun.gradients.local import ENTRY_BYTES
from detrun_recorder.recording import Recording
from detrun_scenarios.key_value import client
from detrun_scenarios.key_value.history import History
from detrun_scenarios.key_value.losses import losses_of
from detrun_scenarios.key_value.replica import REPLICAS
from detrun_scenarios.key_value.workload import Parts, Workload, run_store
from detrun_scenarios.programs import thermostat

PARAMS = {"link_latency": 0.005, "retry_timeout": 0.06}
PATIENCE = 0.1
DEMONSTRATION = Workload(clients=16, operations=430, crashes=(2.0, 4.0))
STEPS_MIN = 50_000
DIRECTORY = Path(".detrun")
ROOM = thermostat.large.loss_squared_error
RELATIVE_ERROR_MAX = 1e-4
FREE_STEP = 0.1  # of a parameter's value, for differences that let the schedule move
HALVINGS_MAX = 4

# A program of its own, so that nothing can have survived from the run that was recorded.
IN_A_FRESH_PROCESS = """
import json, sys, detrun
from detrun_scenarios.key_value.demo import main
run = detrun.replay(main, json.loads(sys.argv[2]), recording=sys.argv[1])
print(run.digest)
"""

# The edit of section 4: clients wait a little before they ask again.
EDITED_AFTER = "            self.history.retries += 1\n"
EDIT = "            await trio.sleep(0.01)\n"

console = Console(highlight=False, soft_wrap=True)


class DemonstrationError(Exception):
    """Something that should hold did not."""


def check(holds: bool, otherwise: str) -> None:
    """Raise unless ``holds``."""
    if not holds:
        raise DemonstrationError(otherwise)


def heading(number: int, text: str) -> None:
    """Begin a section."""
    console.print(f"\n[bold cyan]{number}  {text}[/]")


def say(text: str, style: str = "") -> None:
    """Print indented below a heading."""
    for line in text.splitlines():
        console.print(f"   {line}", style=style, markup=not style)


@contextmanager
def timed(doing: str) -> Iterator[list[float]]:
    """Show that something is going on; the list has the seconds that it took."""
    seconds: list[float] = []
    started = time.perf_counter()
    with console.status(f"{doing} ..."):
        yield seconds
    seconds.append(time.perf_counter() - started)


async def main(params: Mapping[str, Any], history: History | None = None, parts: Parts | None = None) -> Any:
    """The store under load: the mean latency of a write."""
    found = await run_store({"patience": PATIENCE, **params}, DEMONSTRATION, history, parts or Parts())
    return losses_of(found)["write_latency"]


def record(path: Path, history: History) -> detrun.Run:
    """Section 1."""
    heading(1, "Record: one run of the store, every decision written down")
    with timed("recording") as seconds:
        run = detrun.record(main, PARAMS, history, to=path, params=PARAMS)
    size = path.stat().st_size
    say(
        f"{run.steps:,} steps of {len(run.recording.tasks):,} tasks, {run.virtual_time:.2f} virtual seconds "
        f"in {seconds[0]:.1f} real ones"
    )
    writes = len(history.write_latencies)
    say(f"{history.operations:,} operations: {writes:,} writes, {history.reads:,} reads, {history.retries} time-outs")
    for moment, replica in history.crashes:
        at, successor = next(((at, name) for at, name in history.elections if at > moment), (moment, ""))
        check(bool(successor), f"{replica} crashed at {moment} s and no replica took over")
        say(f"{moment:.2f} s: the primary, {replica}, crashed; {successor} took over {at - moment:.2f} s later")
    check(len(history.crashes) == len(DEMONSTRATION.crashes), "a crash found no primary to hit")
    say(f"mean latency of a write: {1000 * run.result:.3f} ms")
    say("every read was consistent, and no acknowledged write was lost")
    say(f"{path}: {size:,} bytes, {size / run.steps:.2f} per step")
    check(run.steps >= STEPS_MIN, f"the run has only {run.steps:,} steps")
    return run


def replay_in_a_fresh_process(run: detrun.Run, path: Path) -> None:
    """Section 2."""
    heading(2, "Replay: the same run in another process, under another hash seed")
    environment = {**os.environ, "PYTHONHASHSEED": "4242"}
    with timed("replaying") as seconds:
        fresh = subprocess.run(
            [sys.executable, "-c", IN_A_FRESH_PROCESS, str(path), json.dumps(PARAMS)],
            env=environment,
            capture_output=True,
            text=True,
        )
    check(fresh.returncode == 0, f"the replay failed:\n{fresh.stderr}")
    digest = fresh.stdout.strip()
    say(f"recorded  {run.digest}")
    say(f"replayed  {digest}   in {seconds[0]:.1f} s")
    check(digest == run.digest, "the replay was another run")
    say("equal: every step, wake-up, message, draw and result was the same")


def schedule_of(recording: Recording) -> str:
    """A hash of who ran, how each step ended and whom it woke; of everything but the times."""
    hasher = blake2b(digest_size=16)
    for chunk in recording.chunks():
        for column in (chunk.choices, chunk.outcomes, chunk.events):
            hasher.update(column)
    return hasher.hexdigest()


def perturbed(params: dict[str, float]) -> tuple[float, str]:
    """Run the store with other parameters and the same seed; its loss and its schedule."""
    run = detrun.record(main, params)
    return run.result, schedule_of(run.recording)


class Difference:
    """A central difference in one parameter, whose two runs are under way in other processes."""

    def __init__(self, pool: ProcessPoolExecutor, name: str, step: float) -> None:
        self.high, self.low = PARAMS[name] + step, PARAMS[name] - step
        self.runs: list[Future[tuple[float, str]]] = [
            pool.submit(perturbed, {**PARAMS, name: value}) for value in (self.high, self.low)
        ]

    def slope(self) -> float:
        """Divided by the step as rounded, which for a step of 1e-10 differs from the step asked for."""
        (high, _), (low, _) = (run.result() for run in self.runs)
        return (high - low) / (self.high - self.low)

    def keeps(self, schedule: str) -> bool:
        """True if both runs took the given schedule."""
        return all(run.result()[1] == schedule for run in self.runs)


def frozen_difference(
    pool: ProcessPoolExecutor, name: str, first: Difference, step: float, schedule: str
) -> Difference:
    """The first difference, or one with a smaller step, whose runs both kept the schedule."""
    difference = first
    for _ in range(HALVINGS_MAX):
        if difference.keeps(schedule):
            return difference
        step /= 2
        difference = Difference(pool, name, step)
    check(difference.keeps(schedule), f"no step in {name} down to {step:.1g} keeps the schedule")
    return difference


def differentiate(run: detrun.Run, path: Path, writes: int) -> None:
    """Section 3.

    Half the validity radius is the best step there is: a larger one risks another schedule, a smaller one leaves less
    above rounding. Times of up to 7 s are rounded by 1e-15 s, and averaging over thousands of writes takes that to
    some 1e-17 s, so a step of 1e-10 s still gives six to seven digits.
    """
    heading(3, "Differentiate: how the mean write latency responds, backward through the recording")
    with timed("replaying with the tape on, then sweeping it backward") as seconds:
        gradient = detrun.gradient(main, PARAMS, recording=path)
    check(gradient.digest == run.digest, "the differentiated run was another run")
    say(f"both derivatives from one run with the tape on and one sweep back, {seconds[0]:.1f} s")
    schedule = schedule_of(run.recording)
    steps = {name: gradient.validity[name].radius / 2 for name in PARAMS}
    check(all(0 < step < 1 for step in steps.values()), f"no step to take a difference with: {steps}")
    with (
        timed("running the store eight more times for the differences") as seconds,
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool,
    ):
        frozen = {name: Difference(pool, name, steps[name]) for name in PARAMS}
        free = {name: Difference(pool, name, FREE_STEP * PARAMS[name]) for name in PARAMS}
        slopes = {name: frozen_difference(pool, name, frozen[name], steps[name], schedule).slope() for name in PARAMS}
        naive = {name: free[name].slope() for name in PARAMS}
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("d write latency\nby d ...")
    for title in ("gradient", "difference,\nschedule kept", "relative\nerror", "difference,\nschedule free"):
        table.add_column(title, justify="right")
    errors = {name: abs(slopes[name] / gradient.grads[name] - 1) for name in PARAMS}
    for name in PARAMS:
        table.add_row(
            name, f"{gradient.grads[name]:.9f}", f"{slopes[name]:.9f}", f"{errors[name]:.0e}", f"{naive[name]:.3f}"
        )
    console.print(Padding(table, (1, 0, 1, 3)))
    for name in PARAMS:
        check(
            errors[name] < RELATIVE_ERROR_MAX,
            f"gradient and finite difference in {name} disagree: {gradient.grads[name]} and {slopes[name]}",
        )
    time_outs = gradient.grads["retry_timeout"] * writes
    say(f"link_latency: an average write waits for {gradient.grads['link_latency']:.2f} links, one after another")
    say(f"retry_timeout: {writes:,} writes waited out {time_outs:.4f} time-outs, {time_outs / writes:.4f} each")
    # What a write waits for is some number of whole time-outs and some links; nothing else holds it up.
    check(abs(time_outs - round(time_outs)) < 1e-4, "the writes waited out a fraction of a time-out")
    say("")
    say("A gradient of one run is exact for its schedule, so its difference must keep the schedule: the steps taken")
    say(", ".join(f"{steps[name]:.1e} s for {name}" for name in PARAMS) + " are half of how far each may move")
    say(f"before something comes in another order (first: {gradient.validity['link_latency'].site}).")
    say(f"The last column steps by {FREE_STEP:.0%} and lets the schedule move: two different runs, luck included.")


def edited_client(path: Path) -> ModuleType:
    """A copy of the client's source with one line more, imported."""
    source = Path(client.__file__).read_text(encoding="utf-8")
    check(source.count(EDITED_AFTER) == 1, "the line to edit is not in the client any more")
    path.write_text(source.replace(EDITED_AFTER, EDITED_AFTER + EDIT), encoding="utf-8")
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


def replay_an_edited_program(run: detrun.Run, path: Path) -> None:
    """Section 4."""
    heading(4, "Edit the program, and replay the recording of the old one")
    edited = Parts(client=edited_client(DIRECTORY / "edited_client.py").Client)
    say("clients now wait a little before they ask again:")
    say(f"    {EDITED_AFTER.rstrip()}\n[green]+   {EDIT.rstrip()}[/]")
    say("a strict replay stops at the first step that differs:")
    try:
        detrun.replay(main, PARAMS, None, edited, recording=path)
    except detrun.DivergenceError as error:
        console.print()
        say(str(error), style="yellow")
        console.print()
    else:
        check(False, "the edited program replayed as if it had not been edited")
    with timed("replaying with resync") as seconds:
        again = detrun.replay(main, PARAMS, None, edited, recording=path, mode="resync")
    report = again.resync
    assert report is not None
    say(
        f"with resync {report.matched:,} of {report.steps:,} steps ({report.matched / report.steps:.1%}) have their "
        f"counterpart in the recording, {seconds[0]:.1f} s"
    )
    say(f"mean latency of a write: {1000 * run.result:.3f} ms before the edit, {1000 * again.result:.3f} ms after it")
    check(0.5 < report.matched / report.steps < 1, "resync lost the recording, or did not notice the edit")


def thermostat_difference(name: str) -> float:
    """The central difference of the long run; nothing in it lets the schedule depend on a parameter."""
    value = ROOM.scenario.defaults[name]
    step = 1e-5 * value
    losses = [detrun.record(ROOM, {**ROOM.scenario.defaults, name: value + sign * step}).result for sign in (1.0, -1.0)]
    return float(losses[0] - losses[1]) / (2 * step)


def differentiate_a_million_steps() -> None:
    """Section 5."""
    heading(5, "A million steps: a gradient in bounded memory, and the decisions that mattered")
    say("a room, a thermostat and a meter around shared memory (scenarios/detrun_scenarios/thermostat/room.py)")
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        timed("differentiating a million steps in windows") as seconds,
    ):
        expected = pool.submit(thermostat_difference, "gain")
        found = detrun.gradient(ROOM, ROOM.scenario.defaults, snapshots=30, credit=3)
        difference = expected.result()
    facts = found.diagnostics
    say(
        f"{found.recording.steps:,} steps, {facts.entries:,} operations on numbers; {facts.windows:,} windows of "
        f"{facts.window_steps:,} steps behind at most {facts.snapshots} forked snapshots, {seconds[0]:.0f} s"
    )
    whole = facts.entries * ENTRY_BYTES / 2**20
    say(f"the largest process took {facts.peak_bytes / 2**20:.0f} MB; one tape would have taken {whole:,.0f} MB more")
    error = abs(found.grads["gain"] / difference - 1)
    say(f"d mean squared error / d gain = {found.grads['gain']:.9g}, difference {difference:.9g} ({error:.0e} apart)")
    say("the steps that carried most of it, of a million:")
    for one in found.credit["gain"]:
        say(f"   {one}")
    check(error < RELATIVE_ERROR_MAX, f"the gradient over a million steps is off by {error:.1e}")
    check(facts.peak_bytes < 300 * 2**20, "a window took too much memory")


def demonstrate() -> int:
    """Run all sections; the exit code."""
    started = time.perf_counter()
    DIRECTORY.mkdir(exist_ok=True)
    path = DIRECTORY / "key_value.detrun"
    workload = DEMONSTRATION
    console.print(
        f"[bold]A key-value store on {REPLICAS} replicas and {workload.clients} clients, in ordinary trio[/] "
        "(scenarios/detrun_scenarios/key_value)"
    )
    try:
        history = History()
        run = record(path, history)
        replay_in_a_fresh_process(run, path)
        differentiate(run, path, len(history.write_latencies))
        replay_an_edited_program(run, path)
        differentiate_a_million_steps()
    except DemonstrationError as error:
        console.print(f"\ndoes not hold: {error}", style="bold red", markup=False)
        return 1
    console.print(f"\n[bold green]All of it held[/], in {time.perf_counter() - started:.0f} s. To look further:")
    say(f"detrun show {path}                         what is in the recording")
    say(f"detrun show {path} --perfetto trace.json   the run as a timeline, for ui.perfetto.dev")
    say(f"detrun replay {path}                       the run once more")
    return 0


if __name__ == "__main__":
    sys.exit(demonstrate())
