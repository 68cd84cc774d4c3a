"""Control-C: a real SIGINT to a real process, at each of the places where it can arrive."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import detrun_scheduler

# `signal.raise_signal` delivers SIGINT to this very process, synchronously: the same handler runs as after os.kill from
# outside, but at a known place. The last case sends it from outside.
PREAMBLE = """
import os, signal, sys
import trio
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies import make

def run(program, **options):
    return RunLoop(make("fifo"), **options).run(program).unwrap()

def interrupt():
    signal.raise_signal(signal.SIGINT)

log = []
"""

AFTERWARDS = """
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "the handler was not put back"
async def fine():
    await trio.sleep(1)
    return "fine"
assert run(fine) == "fine"
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print(*log)
"""


def output_of(program: str, *, standard_input: str | None = None) -> list[str]:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", PREAMBLE + program + AFTERWARDS],
        input=standard_input,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PYTHONPATH": str(Path(detrun_scheduler.__file__).parent.parent), "PATH": ""},
    )
    assert finished.stderr == ""
    assert finished.returncode == 0
    return finished.stdout.split()


def test_in_a_running_step_it_is_raised_there_and_then() -> None:
    program = """
async def child():
    try:
        interrupt()
        log.append("went on")
    except KeyboardInterrupt:
        log.append("in-step")
        raise
async def main():
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(child)
    finally:
        log.append("cleanup")
try:
    run(main)
except BaseExceptionGroup as group:
    assert group.subgroup(KeyboardInterrupt) is not None
    log.append("group")
"""
    assert output_of(program) == ["in-step", "cleanup", "group"]


def test_while_restricted_it_waits_for_a_schedule_point_of_the_main_task() -> None:
    program = """
async def main():
    interrupt()
    log.append("went on")
    try:
        await trio.lowlevel.checkpoint()
    except KeyboardInterrupt:
        log.append("at the schedule point")
        raise
try:
    run(main, restrict_keyboard_interrupt_to_checkpoints=True)
except KeyboardInterrupt:
    log.append("raised")
"""
    assert output_of(program) == ["went", "on", "at", "the", "schedule", "point", "raised"]


def test_in_protected_code_it_wakes_the_main_task_from_any_wait() -> None:
    program = """
@trio.lowlevel.enable_ki_protection
async def protected():
    interrupt()
    log.append("survived")
    await trio.sleep(1)
async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(protected)
        try:
            await trio.sleep_forever()
        except KeyboardInterrupt:
            log.append("woken")
            raise
try:
    run(main)
except BaseExceptionGroup as group:
    assert group.subgroup(KeyboardInterrupt) is not None
    log.append("group")
"""
    assert output_of(program) == ["survived", "woken", "group"]


def test_in_the_loop_itself_between_steps_it_is_delivered() -> None:
    """The oracle is loop code: an interrupt there must not tear the loop apart."""
    program = """
class Interrupting:
    def new_run(self, run): self.calls = 0
    def draw(self, stream, index): return 0
    def next_task(self, runnable, current):
        self.calls += 1
        if self.calls == 5:
            interrupt()
        return self.calls % len(runnable)
async def child():
    while True:
        await trio.lowlevel.checkpoint()
async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child)
        nursery.start_soon(child)
try:
    RunLoop(Interrupting(), max_steps=1000).run(main).unwrap()
except BaseExceptionGroup as group:
    assert group.subgroup(KeyboardInterrupt) is not None
    log.append("group")
"""
    assert output_of(program) == ["group"]


def test_after_the_main_task_has_ended_it_is_the_result_of_the_run() -> None:
    program = """
async def late():
    try:
        await trio.sleep_forever()
    finally:
        interrupt()
async def main():
    trio.lowlevel.spawn_system_task(late)
    await trio.lowlevel.checkpoint()
try:
    run(main)
except KeyboardInterrupt:
    log.append("raised")
"""
    assert output_of(program) == ["raised"]


def test_a_handler_of_the_programs_own_is_left_alone() -> None:
    program = """
signal.signal(signal.SIGINT, lambda number, frame: log.append("own"))
async def main():
    interrupt()
    await trio.sleep(1)
run(main)
signal.signal(signal.SIGINT, signal.default_int_handler)
"""
    assert output_of(program) == ["own"]


@pytest.mark.parametrize("body", ["await trio.sleep(1)", "await trio.lowlevel.checkpoint()", "pass"])
def test_sent_from_outside_it_ends_an_endless_program_that_jumps_polls_or_spins(body: str) -> None:
    program = f"""
async def main():
    print("ready", flush=True)
    while True:
        {body}
try:
    run(main)
except KeyboardInterrupt:
    log.append("stopped")
"""
    process = subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + program + AFTERWARDS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(detrun_scheduler.__file__).parent.parent), "PATH": ""},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert errors == ""
    assert output.split() == ["stopped"]
