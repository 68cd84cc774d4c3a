"""Pipes: what os, open, selectors, asyncio and trio do with them, as Linux has it."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import selectors
import socket
import stat
import subprocess
import sys
import threading
import time
from functools import partial
from typing import Any

import pytest
import trio

import detrun
from tests.world.processes.on_a_node import on_a_node


def told(call: Any, *arguments: Any) -> Any:
    """What a call gives, or the number of its error."""
    try:
        return call(*arguments)
    except OSError as error:
        return error.errno


def what_a_pipe_does() -> list[Any]:
    """Calls and what they give; nothing that depends on the numbers of descriptors."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    found = [told(os.read, reading, 1), told(os.write, reading, b"x"), told(os.read, writing, 1)]
    found += [os.write(writing, b"abc"), os.read(reading, 2), os.read(reading, 9)]
    found += [stat.S_ISFIFO(os.fstat(reading).st_mode), told(os.lseek, reading, 0, 0), os.isatty(writing)]
    sizes = []
    while not isinstance(one := told(os.write, writing, b"x" * 8_192), int) or one > 11:
        sizes.append(one)
    found += [sizes, one, told(os.write, writing, b"y" * 4_096)]
    found += [[bool(part) for part in select.select([reading], [writing], [], 0)], len(os.read(reading, 1 << 20))]
    copy = os.dup(writing)
    os.close(writing)
    found += [told(os.write, writing, b"x"), os.write(copy, b"last")]
    with open(copy, "wb") as file:
        file.write(b" line\nnext")
    with open(reading, encoding="utf-8") as text:
        found += [text.readline(), text.read(), text.read()]
    reading, writing = os.pipe()
    os.close(reading)
    return [*found, told(os.write, writing, b"x"), told(os.close, writing), told(os.close, writing)]


def test_descriptors_of_pipes_do_what_linux_does() -> None:
    expected = what_a_pipe_does()  # outside a run: the real ones
    assert on_a_node(what_a_pipe_does) == expected
    assert detrun.record(what_a_pipe_does).result == expected


def test_a_thread_waits_for_the_other_end() -> None:
    def program() -> list[Any]:
        reading, writing = os.pipe()
        found: list[Any] = []

        def write() -> None:
            found.append(os.write(writing, b"x" * 100_000))
            os.close(writing)

        thread = threading.Thread(target=write)
        thread.start()
        total = 0
        with selectors.DefaultSelector() as selector:
            selector.register(reading, selectors.EVENT_READ)
            while selector.select() and (data := os.read(reading, 30_000)):
                total += len(data)
        thread.join()
        return [*found, total]

    for seed in range(5):
        assert on_a_node(program, seed) == [100_000, 100_000]


def test_a_write_that_the_read_end_leaves_says_how_much_was_taken() -> None:
    def program() -> list[Any]:
        reading, writing = os.pipe()
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(told(os.write, writing, b"x" * 100_000)))
        thread.start()
        time.sleep(0.05)
        os.close(reading)
        thread.join()
        return [*found, told(os.write, writing, b"x"), told(os.close, writing)]

    # As Linux has it; a real pipe is left out here, where the thread could come too late.
    assert on_a_node(program) == [65_536, errno.EPIPE, None]


def test_threads_that_print_to_one_stream_come_one_after_the_other() -> None:
    def program() -> list[str]:
        reading, writing = os.pipe()
        with open(writing, "w") as shared, open(reading) as answers:

            def write(letter: str) -> None:
                for _ in range(3):
                    shared.write(letter * 40_000 + "\n")
                    shared.flush()

            threads = [threading.Thread(target=write, args=letter) for letter in "ab"]
            for thread in threads:
                thread.start()
            lines = [answers.readline() for _ in range(6)]
            for thread in threads:
                thread.join()
            return lines

    assert set(on_a_node(program)) <= {"a" * 40_000 + "\n", "b" * 40_000 + "\n"}


def test_a_read_that_nothing_can_end_is_a_deadlock_that_says_so() -> None:
    def program() -> None:
        os.read(os.pipe()[0], 1)

    with pytest.raises(detrun.DeadlockError, match=r"os\.read: nothing comes through the pipe"):
        detrun.record(program)


def test_asyncio_and_trio_wait_for_pipes() -> None:
    async def in_asyncio() -> list[Any]:
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader),
            open(reading, "rb", 0),  # noqa: SIM115
        )
        out, _ = await loop.connect_write_pipe(asyncio.Protocol, open(writing, "wb", 0))  # noqa: SIM115
        out.write(b"x" * 70_000)
        found = [len(await reader.readexactly(70_000))]
        out.close()
        found.append(await reader.read())
        transport.close()
        other, end = os.pipe()
        came = asyncio.Event()
        loop.add_reader(other, came.set)
        os.write(end, b"y")
        await came.wait()
        return [*found, loop.remove_reader(other), os.read(other, 1)]

    expected = [70_000, b"", True, b"y"]
    assert detrun.record(in_asyncio).result == expected
    assert on_a_node(lambda: asyncio.run(in_asyncio())) == expected

    async def main() -> list[Any]:
        found: list[Any] = []

        async def in_trio() -> None:
            reading, writing = os.pipe()
            async with trio.open_nursery() as nursery, trio.lowlevel.FdStream(reading) as source:
                sink = trio.lowlevel.FdStream(writing)
                nursery.start_soon(sink.send_all, b"z" * 70_000)
                total = 0
                while total < 70_000:
                    total += len(await source.receive_some())
                await sink.aclose()
                found.extend([total, await source.receive_some()])

        async with detrun.World() as world:
            world.node("a").start(in_trio)
            await world.node("a").ended()
        return found

    assert detrun.record(main).result == [70_000, b""]


def test_a_crash_closes_the_ends_of_a_process() -> None:
    async def main() -> None:
        def program() -> None:
            os.read(os.pipe()[0], 1)

        async with detrun.World() as world:
            world.node("a").start(program)
            await trio.sleep(1)
            assert len(world.run.host.sockets) == 2
            world.node("a").crash()
            assert not world.run.host.sockets

    detrun.record(main)


def test_descriptors_of_pipes_become_others_and_are_closed_together_as_in_life() -> None:
    def program() -> list[Any]:
        reading, writing = os.pipe()
        other_reading, other_writing = os.pipe()
        found: list[Any] = [os.dup2(writing, other_writing) == other_writing, os.read(other_reading, 1)]
        os.write(other_writing, b"a")
        os.close(writing)
        found.append(os.read(reading, 1))
        os.dup2(reading, reading)
        os.closerange(min(reading, other_writing), max(reading, other_writing, other_reading) + 1)
        for number in (reading, other_reading, other_writing):
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.close(number)
        return found

    assert on_a_node(program) == program() == [True, b"", b"a"]


def test_descriptors_of_files_pipes_and_sockets_are_closed_together_from_any_number_on() -> None:
    def program(beginning: int) -> int:
        taken = [os.open("/file", os.O_RDWR | os.O_CREAT), *os.pipe(), socket.socket().detach()]
        taken.append(os.dup(taken[0]))
        os.closerange(beginning or min(taken), max(taken) + 1)
        for number in taken:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.close(number)
        return len(taken)

    assert [on_a_node(partial(program, beginning)) for beginning in (0, 3)] == [5, 5]


def test_a_child_closes_its_standard_streams_with_all_that_it_has() -> None:
    text = """
import os
reading, writing = os.pipe()
os.closerange(0, writing + 1)
for number in (0, 1, 2, reading, writing):
    try:
        os.write(number, b"x")
        os._exit(1)
    except OSError:
        pass
os._exit(7)
"""

    def program() -> list[Any]:
        child = subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return [child.stdout.read(), child.wait()]  # type: ignore[union-attr]

    assert on_a_node(program) == program() == [b"", 7]


def test_what_a_program_closes_of_the_runs_own_standard_streams_stays_open_for_the_run() -> None:
    child = "import os, sys; print(sys.stderr); print(os.read(0, 9)); os.write(2, b'x')"

    def program() -> list[Any]:
        os.close(2)
        ended = subprocess.run([sys.executable, "-c", child], input=b"in", stdout=subprocess.PIPE, check=False)
        return [told(os.close, 2), told(os.write, 2, b"x"), ended.stdout.split(), ended.returncode]

    assert on_a_node(program) == [errno.EBADF, errno.EBADF, [b"None", b"b'in'"], 1]


def test_a_child_writes_to_the_standard_stream_that_it_is_given(capfd: pytest.CaptureFixture[str]) -> None:
    def program() -> None:
        subprocess.run([sys.executable, "-c", "print('told')"], stdout=2, check=True)

    on_a_node(program)
    out, err = capfd.readouterr()
    assert ("told" in out, "told" in err) == (False, True)


def test_closing_all_descriptors_on_a_node_leaves_the_real_ones() -> None:
    def program() -> bool:
        number = os.open("/file", os.O_RDWR | os.O_CREAT)
        os.closerange(3, number + 1)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.close(number)
        return True

    reading, writing = os.pipe()
    assert on_a_node(program)
    os.close(reading)
    os.close(writing)
    with pytest.raises(detrun.HiddenStateError, match=r"os\.dup2 of a simulated descriptor onto 1"):
        on_a_node(lambda: os.dup2(os.pipe()[1], 1))
