"""`os.sendfile` to simulated sockets and pipes."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import detrun

pytestmark = pytest.mark.skipif(not hasattr(os, "sendfile"), reason="this system does not have the call")

CONTENT = bytes(range(200)) * 5000


def failure(*arguments: Any) -> int | None:
    try:
        os.sendfile(*arguments)
    except OSError as error:
        return error.errno
    return None


def observations() -> Iterator[Any]:
    """What a program sees on any Linux."""
    near, far = socket.socketpair()
    reading, writing = os.pipe()
    with near, far, tempfile.TemporaryFile() as file:
        file.write(CONTENT)
        file.flush()
        source = file.fileno()
        os.lseek(source, 7, os.SEEK_SET)
        for offset in (None, 3):  # only the first moves the place in the file
            yield os.sendfile(near.fileno(), source, offset, 10), os.lseek(source, 0, os.SEEK_CUR), far.recv(100)
        yield os.sendfile(near.fileno(), source, len(CONTENT), 3), os.sendfile(near.fileno(), source, 0, 0)
        yield os.sendfile(near.fileno(), source, len(CONTENT) - 2, 30), far.recv(100)
        for offset, count in ((-1, 3), (0, -1)):
            yield failure(near.fileno(), source, offset, count)
        os.write(writing, b"abc")
        yield failure(near.fileno(), reading, None, 3), failure(near.fileno(), reading, 0, 3), os.read(reading, 9)
        yield os.sendfile(writing, source, 5, 3), os.read(reading, 9)
        near.setblocking(False)
        sent = os.sendfile(near.fileno(), source, 0, len(CONTENT))
        yield 0 < sent < len(CONTENT), failure(near.fileno(), source, sent, 1)
        far.setblocking(False)
        yield all(piece == CONTENT[place : place + 1000] for place, piece in pieces(far))
        near.close()
        os.close(reading)
        yield failure(writing, source, 0, 3)
    os.close(writing)


def pieces(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
    place = 0
    while True:
        try:
            data = sock.recv(1000, socket.MSG_WAITALL)
        except BlockingIOError:
            return
        yield place, data[:1000]
        place += len(data)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compares with Linux")
def test_places_ends_and_errors_are_those_of_the_operating_system() -> None:
    assert detrun.record(lambda: list(observations())).result == list(observations())


def test_a_blocking_socket_sends_all_of_a_file_of_the_node() -> None:
    found: list[bool] = []

    def program() -> None:
        near, far = socket.socketpair()
        received: list[bytes] = []

        def reader() -> None:
            with far:
                while data := far.recv(100_000):
                    received.append(data)

        with open("content", "wb") as file:
            file.write(CONTENT)
        thread = threading.Thread(target=reader)
        thread.start()
        with near, open("content", "rb") as file:
            sent = os.sendfile(near.fileno(), file.fileno(), 0, 2 * len(CONTENT))
        thread.join()
        found.append(sent == len(CONTENT) and b"".join(received) == CONTENT)

    async def main() -> None:
        async with detrun.World() as world:
            world.node("node").start(program)
            await world.node("node").ended()

    detrun.record(main)
    assert found == [True]
