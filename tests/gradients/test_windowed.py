"""Reverse mode in windows: the same bits as one whole tape, nothing left behind, clear errors."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.ad.revolve import forward_steps
from detrun.gradients import windowed
from detrun_recorder.snapshots import SnapshotError, in_fork, reply

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def program(tasks: int, turns: int) -> Any:
    """Values in coroutine locals, in cells, in messages and in the clock, across any window."""

    async def main(params: dict[str, Any]) -> Any:
        cell = detrun.Atomic(params["x"])
        send, receive = trio.open_memory_channel[Any](3)

        async def worker(index: int) -> None:
            local = params["a"]
            for turn in range(turns):
                await trio.lowlevel.checkpoint()
                local = local * params["a"] + 0.01 * index
                cell.store(cell.load() * params["a"] + local)
                if turn % 7 == index:
                    await trio.sleep(local * 0.1 + detrun.exponential(params["a"]))
                if turn % 5 == 0:
                    await send.send(local)

        async def drain() -> None:
            async for value in receive:
                cell.fetch_add(value * 0.01)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            async with send, trio.open_nursery() as workers:
                for index in range(tasks):
                    workers.start_soon(worker, index)
        return cell.load() + trio.current_time() * 0.1

    return main


def children() -> set[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return {int(one) for one in file.read().split()}


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@needs_fork
@settings(max_examples=12)
@given(st.integers(1, 3), st.integers(5, 40), st.integers(1, 6), st.integers(3, 200), st.integers(0, 2**32))
def test_windows_give_the_bits_of_the_whole_tape(
    tasks: int, turns: int, snapshots: int, window: int, seed: int
) -> None:
    main, params = program(tasks, turns), {"x": 1.0, "a": 0.9}
    whole = detrun.gradient(main, params, seed=seed)
    files = open_files()
    cut = detrun.gradient(main, params, recording=whole.recording, snapshots=snapshots, window=window)
    assert (cut.grads, cut.value, cut.digest) == (whole.grads, whole.value, whole.digest)
    facts = cut.diagnostics
    assert facts.entries == whole.diagnostics.entries - len(params)  # whose leaves lie before the first window
    windows = -(-whole.recording.steps // window)
    assert facts.windows == windows
    assert facts.forward_steps == forward_steps(windows, snapshots) * window
    assert facts.sites_passed == whole.diagnostics.sites_passed
    assert open_files() == files


def test_without_fork_each_window_is_reached_by_running_again(monkeypatch: pytest.MonkeyPatch) -> None:
    main, params = program(2, 20), {"x": 1.0, "a": 0.9}
    whole = detrun.gradient(main, params)
    monkeypatch.setattr(windowed, "can_fork", lambda: False)
    cut = detrun.gradient(main, params, recording=whole.recording, window=40)
    assert cut.grads == whole.grads
    windows = cut.diagnostics.windows
    assert cut.diagnostics.forward_steps == windows * (windows - 1) // 2 * 40


@needs_fork
def test_a_memory_budget_chooses_the_window() -> None:
    main, params = program(2, 60), {"x": 1.0, "a": 0.9}
    small = detrun.gradient(main, params, memory=20_000).diagnostics
    large = detrun.gradient(main, params, memory=80_000).diagnostics
    assert small.entries_in_a_window_max < large.entries_in_a_window_max < 2 * 80_000 / 150
    assert small.windows > large.windows


@needs_fork
def test_a_run_prints_what_it_prints_once(capfd: pytest.CaptureFixture[str]) -> None:
    async def main(params: dict[str, Any]) -> Any:
        total = params["x"]
        for turn in range(6):
            print(f"turn {turn}", flush=True)
            total = total * params["x"]
            await trio.lowlevel.checkpoint()
        return total

    recording = detrun.record(main, {"x": 1.5}).recording
    capfd.readouterr()
    found = detrun.gradient(main, {"x": 1.5}, recording=recording, window=2, snapshots=1)
    assert found.grads == {"x": pytest.approx(7 * 1.5**6)}
    assert capfd.readouterr().out == "".join(f"turn {turn}\n" for turn in range(6))


@needs_fork
def test_a_divergence_in_a_snapshot_is_reported_as_one() -> None:
    turns = 10

    async def main(params: dict[str, Any]) -> Any:
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        return params["x"] * 2

    recording = detrun.record(main, {"x": 1.0}).recording
    turns = 12
    before = children()
    with pytest.raises(detrun.DivergenceError, match="replay left the recording at step"):
        detrun.gradient(main, {"x": 1.0}, recording=recording, window=3, snapshots=2)
    assert children() <= before


@needs_fork
def test_numbers_of_the_random_module_are_those_of_the_recording_in_every_window() -> None:
    async def main(params: dict[str, Any]) -> Any:
        x = params["x"]
        for _ in range(20):
            await trio.lowlevel.checkpoint()
            x = x * 0.9 + random.uniform(0.0, 1.0) * params["x"]
        return x

    recording = detrun.record(main, {"x": 1.0}, seed=1).recording
    whole = detrun.gradient(main, {"x": 1.0}, recording=recording)
    windows = detrun.gradient(main, {"x": 1.0}, recording=recording, snapshots=3, window=5)
    assert (windows.value, windows.grads) == (whole.value, whole.grads)


def test_a_result_other_than_the_recorded_one_is_a_divergence_in_windows_too() -> None:
    calls = itertools.count()  # state that outlives a run, in numbers that no step shows

    async def main(params: dict[str, Any]) -> Any:
        x = params["x"]
        for _ in range(20):
            await trio.lowlevel.checkpoint()
            x = x * 0.9 + next(calls) * 0.01 * params["x"]
        return x

    recording = detrun.record(main, {"x": 1.0}).recording
    for how in ({}, {"snapshots": 3, "window": 5}):
        with pytest.raises(detrun.DivergenceError, match="the program's result does not"):
            detrun.gradient(main, {"x": 1.0}, recording=recording, **how)


def test_windows_warn_of_a_tie_and_know_the_nearest_margins_and_validity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)

    async def main(params: dict[str, Any]) -> Any:
        x = params["x"]
        for _ in range(40):
            x = x * 1.001
            await trio.lowlevel.checkpoint()
            if x > params["limit"]:
                x = x - 0.5
        return x

    def warned(limit: float, **how: Any) -> detrun.Gradient:
        return detrun.gradient(main, {"x": 0.99, "limit": limit}, **how)

    whole = warned(0.99 * 1.001)
    windows = warned(0.99 * 1.001, snapshots=3, window=7)
    assert [one.margin for one in windows.diagnostics.nearest_margins] == [
        one.margin for one in whole.diagnostics.nearest_margins
    ]
    assert windows.warnings == whole.warnings
    assert {name: (one.down, one.up) for name, one in windows.validity.items()} == {
        name: (one.down, one.up) for name, one in whole.validity.items()
    }
    (warning,) = warned(0.99 * 1.001, snapshots=3, window=7, validity=False).warnings
    assert "exactly at a tie (> at " in warning
    assert not warned(1.0, snapshots=3, window=7).warnings


@needs_fork
def test_a_killed_snapshot_is_a_clear_error() -> None:
    main_process = os.getpid()

    async def main(params: dict[str, Any]) -> Any:
        total = params["x"]
        for turn in range(20):
            total = total * params["x"]
            if turn == 15 and os.getpid() != main_process:
                os.kill(os.getpid(), signal.SIGKILL)
            await trio.lowlevel.checkpoint()
        return total

    recording = detrun.record(main, {"x": 1.0}).recording
    before, files = children(), open_files()
    with pytest.raises(SnapshotError, match="signal 9"):
        detrun.gradient(main, {"x": 1.0}, recording=recording, window=4, snapshots=2)
    assert children() <= before
    assert open_files() == files


@needs_fork
def test_ctrl_c_leaves_no_process_behind(tmp_path: Any) -> None:
    """A real SIGINT to the process alone while snapshots sleep; afterwards no process of the chain is alive."""
    script = tmp_path / "interrupted.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys, time, trio, detrun
            parent = os.getpid()

            async def main(params):
                total = params["x"]
                for turn in range(200):
                    total = total * params["x"]
                    if turn == 150 and os.getpid() != parent:
                        open(sys.argv[1], "a").write(f"{os.getpgrp()}\\n")
                        with detrun.external_pause():
                            pass
                    await trio.lowlevel.checkpoint()
                return total

            import contextlib, signal
            from detrun_scheduler.environment.hidden_state import allowed

            @contextlib.contextmanager
            def pause():
                with allowed():
                    signal.sigwait([signal.SIGUSR1])
                yield

            detrun.external_pause = pause
            recording = detrun.record(main, {"x": 1.0}).recording
            print("ready", flush=True)
            try:
                detrun.gradient(main, {"x": 1.0}, recording=recording, window=20, snapshots=3)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            """
        )
    )
    groups = tmp_path / "groups"
    process = subprocess.Popen(
        [sys.executable, str(script), str(groups)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(600):
        if groups.exists() and groups.read_text().endswith("\n"):
            break
        subprocess.run(["sleep", "0.05"], check=True)
    process.send_signal(signal.SIGINT)
    assert process.stdout.read() == "interrupted\n"
    assert process.wait(20) == 0
    for group in {int(line) for line in groups.read_text().split()}:
        listing = subprocess.run(["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True).stdout
        assert all(one.startswith("Z") for one in listing.split())


@needs_fork
def test_in_fork_returns_plain_data_and_names_what_failed() -> None:
    assert in_fork(lambda: {"numbers": [1, 2.5], 3: b"x"}) == {"numbers": [1, 2.5], 3: b"x"}
    assert in_fork(lambda: reply("early")) == "early"
    with pytest.raises(SnapshotError, match="ZeroDivisionError"):
        in_fork(lambda: 1 / 0)

    def refuse() -> None:
        raise detrun.UsageError("no")

    with pytest.raises(detrun.UsageError, match=r"^no$"):
        in_fork(refuse)


async def three_workers(params: dict[str, Any]) -> Any:
    """10^6 steps of three tasks around one cell."""
    cell = detrun.Atomic(params["x"])

    async def worker() -> None:
        local = params["a"]
        for _ in range(333_333):
            await trio.lowlevel.checkpoint()
            local = local * params["a"] + 0.01
            cell.store(cell.load() * params["a"] + local)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(worker)
    return cell.load()


MEASURED_ALONE = """
import json, resource, runpy, sys
program = runpy.run_path(sys.argv[1])["three_workers"]
import detrun
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
found = detrun.gradient(program, {"x": 1.0, "a": 0.9}, snapshots=30)
facts = found.diagnostics
print(json.dumps([
    found.recording.steps, facts.peak_bytes - before, facts.forward_steps, facts.windows, facts.window_steps,
    found.grads["a"],
]))
"""


@needs_fork
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_million_steps_fit_in_little_memory() -> None:
    """Three tasks, 10^6 steps, 30 snapshots: the target is 300 MB over the interpreter's own and 10 % of Revolve.

    In a process of its own: this one has the memory of all tests before.
    """
    measured = subprocess.run(
        [sys.executable, "-c", MEASURED_ALONE, __file__],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        capture_output=True,
        text=True,
    )
    steps, more_bytes, forward, windows, window_steps, gradient = json.loads(measured.stdout)
    assert steps >= 1_000_000
    assert more_bytes <= 300 * 2**20
    assert forward <= 1.1 * forward_steps(windows, 30) * window_steps
    # In the limit cell = Σ a^k local with local = 0.01 / (1 - a): L = 0.01 / (1 - a)², dL/da = 0.02 / (1 - a)³ = 20.
    assert math.isclose(gradient, 20.0, rel_tol=1e-9)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="windows are reached by fork here")
def test_windows_report_the_growth_of_adjoints_that_the_whole_tape_has() -> None:
    async def main(params: dict[str, Any]) -> Any:
        x = params["x"]
        for _ in range(40):
            for _ in range(600):  # growth is noted every 4,096 entries of a tape
                x = x * 0.99
            await trio.lowlevel.checkpoint()
        return x

    whole = detrun.gradient(main, {"x": 1e9})
    cut = detrun.gradient(main, {"x": 1e9}, recording=whole.recording, snapshots=3, window=7)
    assert cut.diagnostics.adjoint_growth == whole.diagnostics.adjoint_growth
    assert len(whole.diagnostics.adjoint_growth) > 1
