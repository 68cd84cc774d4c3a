"""Descriptors passed over Unix sockets: pipes, sockets and files, within a process and between two."""

from __future__ import annotations

import gc
import os
import select
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from tests.world.processes.on_a_node import PYTHON, on_a_node


def what_passing_does() -> list[Any]:
    """What arrives, with which data, and what a call without room for it does."""
    one, other = socket.socketpair()
    reading, writing = os.pipe()
    found: list[Any] = []
    one.sendall(b"before")
    socket.send_fds(one, [b"mes", b"sage"], [writing])
    one.sendall(b"after")
    os.close(writing)
    found += [other.recv(4)]
    data, numbers, flags, _ = socket.recv_fds(other, 5, 4)
    found += [data, len(numbers), flags, other.recv(100)]
    os.write(numbers[0], b"through")
    found += [os.read(reading, 9), bool(select.select([reading], [], [], 0)[0])]
    os.close(numbers[0])
    found += [os.read(reading, 9)]  # the end of the stream
    reading, writing = os.pipe()
    socket.send_fds(one, [b"x"], [writing, writing])
    os.close(writing)
    data, numbers, flags, _ = socket.recv_fds(other, 9, 1)
    found += [data, len(numbers) >= 1]
    for number in numbers:
        os.close(number)
    found += [os.read(reading, 9)]
    reading, writing = os.pipe()
    socket.send_fds(one, [b"y"], [writing])
    os.close(writing)
    found += [other.recv(9), os.read(reading, 9)]  # closed, since nothing took it
    reading, writing = os.pipe()
    socket.send_fds(one, [b"z"], [writing])
    os.close(writing)
    other.close()
    found += [os.read(reading, 9)]  # closed with the socket
    for bad in ([12345], [-1]):
        with pytest.raises((OSError, detrun.HiddenStateError)):
            socket.send_fds(one, [b"w"], bad)
    one.close()
    near, far = socket.socketpair(type=socket.SOCK_DGRAM)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    socket.send_fds(near, [b"datagram"], [accepted.fileno()])
    accepted.close()
    data, numbers, _, _ = socket.recv_fds(far, 100, 1)
    with socket.socket(fileno=numbers[0]) as again:
        again.sendall(b"over a passed socket")
    found += [data, client.recv(100), client.recv(100)]
    client.close()
    near.close()
    far.close()
    return found


def test_descriptors_are_passed_as_on_linux() -> None:
    expected = what_passing_does()  # outside a run: the real ones
    assert on_a_node(what_passing_does) == expected
    assert detrun.record(what_passing_does).result == expected


def test_a_file_of_the_node_is_passed_with_its_position() -> None:
    def program() -> bytes:
        Path("/file").write_text("0123456789")
        one, other = socket.socketpair()
        with open("/file", "rb", 0) as file:
            file.read(3)
            socket.send_fds(one, [b"x"], [file.fileno()])
        _, numbers, _, _ = socket.recv_fds(other, 1, 1)
        with open(numbers[0], "rb", 0) as file:
            return bytes(file.read(4))

    assert on_a_node(program) == b"3456"


def test_a_worker_gets_its_connections_from_the_process_that_accepts_them() -> None:
    worker = (
        "import socket, sys\nwith socket.socket(socket.AF_UNIX) as link:\n    link.connect('/link')\n"
        "    for _ in range(2):\n        _, numbers, _, _ = socket.recv_fds(link, 1, 1)\n"
        "        with socket.socket(fileno=numbers[0]) as client:\n"
        "            client.sendall(client.recv(100).upper())\n"
    )

    async def main() -> list[bytes]:
        answers: list[bytes] = []

        def server() -> None:
            with socket.socket(socket.AF_UNIX) as link, socket.create_server(("0.0.0.0", 80)) as listening:
                link.bind("/link")
                link.listen()
                child = subprocess.Popen([PYTHON, "-c", worker])
                passing, _ = link.accept()
                for _ in range(2):
                    accepted, _ = listening.accept()
                    socket.send_fds(passing, [b"x"], [accepted.fileno()])
                    accepted.close()
                assert child.wait() == 0

        def client() -> None:
            for word in (b"one", b"two"):
                with socket.create_connection(("server", 80)) as link:
                    link.sendall(word)
                    answers.append(link.recv(100))
                    assert link.recv(100) == b""

        async with detrun.World() as world:
            world.node("server").start(server)
            await trio.sleep(1)
            world.node("client").start(client)
            await world.node("client").ended()
        return answers

    for seed in range(5):
        run = detrun.record(main, seed=seed)
        assert run.result == [b"ONE", b"TWO"]
        assert detrun.replay(main, recording=run.recording).digest == run.digest


def test_a_passed_socket_outlives_the_process_that_made_it() -> None:
    maker = (
        "import socket\nwith socket.socket(socket.AF_UNIX) as link, socket.socket() as made:\n"
        "    link.connect('/link')\n    made.bind(('0.0.0.0', 81))\n    made.listen()\n"
        "    socket.send_fds(link, [b'x'], [made.fileno()])\n"
        "    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)"
    )

    def program() -> bytes:
        with socket.socket(socket.AF_UNIX) as link:
            link.bind("/link")
            link.listen()
            child = subprocess.Popen([PYTHON, "-c", maker])
            passing, _ = link.accept()
            _, numbers, _, _ = socket.recv_fds(passing, 1, 1)
            assert child.wait() == -9
            time.sleep(1)
            with socket.socket(fileno=numbers[0]) as listening:
                client = socket.create_connection(("127.0.0.1", 81))
                accepted, _ = listening.accept()
                accepted.sendall(b"alive")
                accepted.close()
                return client.recv(100)

    assert on_a_node(program) == b"alive"
    gc.collect()
