"""Pipes and signals between processes of a machine."""

from __future__ import annotations

import pytest
import trio

import detrun
from detrun_scenarios.operating_system.cpu.settings import CpuSettings
from detrun_scenarios.operating_system.ipc.pipe import Pipe
from detrun_scenarios.operating_system.ipc.signals import SignalName
from detrun_scenarios.operating_system.machine import Machine, Simulated, machine
from detrun_scenarios.operating_system.process import Process
from detrun_scenarios.operating_system.settings import Settings
from tests.scenarios.operating_system.cores import FREE


def on_machine(**programs: Simulated) -> Machine:
    """A machine on which these processes have run, each by its name, on a core of its own."""
    made: list[Machine] = []

    async def main() -> None:
        settings = Settings(cpu=CpuSettings(cores=len(programs), **FREE), call_seconds=0.0)
        async with machine(settings) as found:
            made.append(found)
            for name, program in programs.items():
                found.start(name, program)

    detrun.record(main)
    return made[0]


def test_a_full_pipe_holds_up_its_writer_and_the_end_is_seen_by_its_reader() -> None:
    pipe, times, got = Pipe(1_000), [], bytearray()

    async def writer(process: Process) -> None:
        for number in range(4):
            await process.put(pipe, bytes([number]) * 600)
            times.append(float(trio.current_time()))
        pipe.close_writing()

    async def reader(process: Process) -> None:
        while data := await process.get(pipe, 600):
            await process.compute(0.1)
            got.extend(data)

    on_machine(writer=writer, reader=reader)
    assert times == pytest.approx([0.0, 0.0, 0.1, 0.2])
    assert got == b"".join(bytes([number]) * 600 for number in range(4))


def test_a_write_without_a_reader_is_refused_also_one_that_waits() -> None:
    pipe, refused = Pipe(1_000), []

    async def writer(process: Process) -> None:
        await process.put(pipe, b"x" * 1_000)
        for _ in range(2):
            try:
                await process.put(pipe, b"y")
            except BrokenPipeError:
                refused.append(float(trio.current_time()))

    async def closer(process: Process) -> None:
        await process.sleep(0.5)
        pipe.close_reading()

    on_machine(writer=writer, closer=closer)
    assert refused == [0.5, 0.5]


def test_a_large_write_goes_in_by_parts_and_a_small_one_as_a_whole() -> None:
    pipe, got = Pipe(8_192), []

    async def writer(process: Process) -> None:
        await process.put(pipe, b"a" * 7_000)
        await process.put(pipe, b"b" * 4_096)  # waits until there is room for all of it
        await process.put(pipe, b"c" * 10_000)
        pipe.close_writing()

    async def reader(process: Process) -> None:
        await process.sleep(0.1)
        while data := await process.get(pipe, 2_000):
            got.append(len(data))
            await process.compute(0.1)

    on_machine(writer=writer, reader=reader)
    assert sum(got) == 21_096
    assert got[:4] == [2_000, 2_000, 2_000, 2_000]


def test_signals_interrupt_what_sleeps_and_what_computes_and_end_what_has_no_handler() -> None:
    seen: list[tuple[str, float]] = []

    async def target(process: Process) -> None:
        async def handler() -> None:
            await process.compute(0.01)
            seen.append(("handled", float(trio.current_time())))

        process.signals.handlers["USR1"] = handler
        try:
            await process.sleep(10.0)
        except InterruptedError:
            seen.append(("interrupted", float(trio.current_time())))
        await process.compute(1.0)
        seen.append(("computed", float(trio.current_time())))
        await process.compute(10.0)
        seen.append(("never", float(trio.current_time())))

    async def sender(process: Process) -> None:
        victim = next(one for one in process.machine.processes if one.owner == "target")
        signals: list[tuple[float, SignalName]] = [(1.0, "USR1"), (0.5, "USR1"), (2.0, "KILL")]
        for pause, signal in signals:
            await process.sleep(pause)
            process.kill(victim, signal)

    found = on_machine(target=target, sender=sender)
    assert [what for what, _ in seen] == ["handled", "interrupted", "handled", "computed"]
    assert [at for _, at in seen] == pytest.approx([1.01, 1.01, 1.51, 2.02])
    assert float(found.processes[0].ended) == pytest.approx(3.5)
    assert not found.scheduler.threads
