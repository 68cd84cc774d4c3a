"""Unix sockets: streams and datagrams by name, on one machine, for threads, trio and asyncio."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun

PATH = "/run/app.sock"


def replayed(main: Callable[[], Any]) -> Any:
    run = detrun.record(main)
    assert detrun.replay(main, recording=run.recording).digest == run.digest
    return run.result


def number(call: Callable[[], Any]) -> int | None:
    with pytest.raises(OSError) as raised:
        call()
    return raised.value.errno


def test_a_thread_serves_another_and_the_path_outlives_the_socket() -> None:
    def main() -> list[Any]:
        seen: list[Any] = []
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(PATH)
            seen.append(number(lambda: socket.socket(socket.AF_UNIX).connect(PATH)))
            listening.listen()

            def serve() -> None:
                connection, address = listening.accept()
                with connection:
                    seen.append((address, connection.getsockname(), connection.family))
                    connection.sendall(connection.recv(100)[::-1])

            thread = threading.Thread(target=serve)
            thread.start()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(PATH)
                client.sendall(b"abc")
                seen.append((client.recv(9), client.recv(9), client.getpeername(), client.getsockname()))
            thread.join()
            assert stat.S_ISSOCK(os.stat(PATH).st_mode)
            assert Path(PATH).is_socket()
            os.chmod(PATH, 0o777)
        seen.append(number(lambda: socket.socket(socket.AF_UNIX).connect(PATH)))
        seen.append(number(lambda: socket.socket(socket.AF_UNIX).bind(PATH)))
        Path(PATH).unlink()
        seen.append(number(lambda: socket.socket(socket.AF_UNIX).connect(PATH)))
        return [*seen, os.path.exists(PATH)]

    assert replayed(main) == [
        *(errno.ECONNREFUSED, ("", PATH, socket.AF_UNIX), (b"cba", b"", PATH, "")),
        *(errno.ECONNREFUSED, errno.EADDRINUSE, errno.ENOENT, False),
    ]


def test_datagrams_and_pairs() -> None:
    def main() -> list[Any]:
        one, other = socket.socketpair(type=socket.SOCK_DGRAM)
        one.send(b"a")
        one.send(b"")
        seen: list[Any] = [other.recvfrom(9), other.recvfrom(9), other.getpeername()]
        named, abstract = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
        named.bind(PATH)
        abstract.bind("\0here")
        named.sendto(b"b", b"\0here")
        seen.append((abstract.recvfrom(9), abstract.getsockname()))
        abstract.close()
        seen.append(number(lambda: named.sendto(b"", b"\0here")))
        seen.append(number(lambda: socket.socket(socket.AF_UNIX).connect(PATH)))
        named.settimeout(1)
        with pytest.raises(TimeoutError):
            named.recv(1)
        near, far = socket.socketpair()
        near.sendall(b"c")
        near.close()
        return [*seen, far.recv(9), far.recv(9), far.family]

    assert replayed(main) == [
        *((b"a", None), (b"", None), "", ((b"b", PATH), b"\0here")),
        *(errno.ECONNREFUSED, errno.EPROTOTYPE, b"c", b"", socket.AF_UNIX),
    ]


def test_asyncio_finds_a_stale_path_and_takes_it_over() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    async def main() -> Any:
        for _ in range(2):  # the second server finds what the first has left; newer Pythons have cleaned up
            async with await asyncio.start_unix_server(answer, PATH):
                reader, writer = await asyncio.open_unix_connection(PATH)
                writer.write(b"a\n")
                found = await reader.read(), writer.get_extra_info("peername")
                writer.close()
        return found

    assert replayed(main) == (b"A\n", PATH)


def test_a_path_belongs_to_its_node_and_is_in_the_way_after_a_crash_but_not_after_a_power_loss() -> None:
    async def main() -> list[Any]:
        seen: list[Any] = []

        async def serve() -> None:
            listening = trio.socket.socket(socket.AF_UNIX)
            try:
                await listening.bind(PATH)
            except OSError as error:
                seen.append(error.errno)
                return
            listening.listen()
            stream, _ = await listening.accept()
            await stream.send(b"hello")
            await trio.sleep_forever()

        async def ask() -> None:
            try:
                async with await trio.open_unix_socket(PATH) as stream:
                    seen.append(await stream.receive_some())
            except OSError as error:
                seen.append(type(error))

        async with detrun.World() as world:
            node = world.node("one")
            node.start(serve)
            await trio.sleep(1)
            node.start(ask)
            await trio.sleep(1)
            node.crash()
            node.restart(serve)
            await trio.sleep(1)
            node.power_loss()
            node.restart(serve)
            await trio.sleep(1)
            node.start(ask)
            await trio.sleep(1)
            world.node("other").start(ask)
            await trio.sleep(1)
        return seen

    assert replayed(main) == [b"hello", errno.EADDRINUSE, b"hello", FileNotFoundError]


def test_what_is_wrong_with_a_name_is_said() -> None:
    def main() -> None:
        with socket.socket(socket.AF_UNIX) as one:
            with pytest.raises(TypeError, match="bytes-like"):
                one.bind(("127.0.0.1", 80))
            with pytest.raises(OSError, match="too long"):
                one.bind("a" * 108)
            assert number(one.listen) == errno.EINVAL
            one.bind("")
            assert one.getsockname() == b"\x0000000"

    detrun.record(main)


def test_files_and_missing_folders_are_in_the_way_of_names_outside_of_nodes_as_in_life(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")

    def main() -> list[object]:
        with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
            return [
                number(lambda: one.bind(str(file))),
                number(lambda: one.bind(str(tmp_path / "none" / "socket"))),
                number(lambda: other.connect(str(file))),
                number(lambda: other.connect(str(tmp_path / "none"))),
            ]

    in_life = main()
    assert in_life == [errno.EADDRINUSE, errno.ENOENT, errno.ECONNREFUSED, errno.ENOENT]
    assert detrun.record(main).result == in_life
