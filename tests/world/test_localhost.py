"""The network of one machine that a program of asyncio's has where it opens no world."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from typing import Any

import pytest

import detrun
from detrun.errors import UsageError

taken_before = socket.socket


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


def test_a_server_and_its_clients_in_one_program_need_no_world() -> None:
    async def client(port: int, name: bytes, order: list[bytes]) -> None:
        reader, writer = await asyncio.open_connection("localhost", port)
        writer.write(name + b"\n")
        order.append(await reader.readline())
        writer.close()
        await writer.wait_closed()

    async def main() -> bytes:
        order: list[bytes] = []
        async with await asyncio.start_server(echo, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            await asyncio.gather(client(port, b"a", order), client(port, b"b", order))
        return b"".join(order)

    before = socket.socket
    run = detrun.record(main)
    assert detrun.replay(main, recording=run.recording).digest == run.digest
    assert {detrun.record(main, seed=seed).result for seed in range(12)} == {b"a\nb\n", b"b\na\n"}
    assert detrun.record(main, asyncio_order="fifo").result == b"a\nb\n"
    assert socket.socket is before


def test_a_thread_may_block_on_a_socket_of_it_and_one_that_is_dropped_is_closed() -> None:
    def client(port: int) -> tuple[bytes, bool]:
        sock = socket.create_connection(("localhost", port))
        sock.sendall(b"hello\n")
        return sock.recv(100), threading.current_thread() is threading.main_thread()

    async def main() -> tuple[bytes, bool]:
        async with await asyncio.start_server(echo, "127.0.0.1") as server:
            found = await asyncio.to_thread(client, server.sockets[0].getsockname()[1])
        # From Python 3.12 on the server has waited for its connection, of which the thread's end was dropped.
        return found

    assert detrun.record(main).result == (b"hello\n", False)


def test_datagrams_and_socket_methods_of_the_loop() -> None:
    class Answering(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.transport.sendto(data.upper(), address)

    async def main() -> tuple[bytes, str]:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Answering, local_addr=("127.0.0.1", 9))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(("127.0.0.1", 9))
            await loop.sock_sendall(sock, b"hello")
            found = await loop.sock_recv(sock, 100)
        transport.close()
        await asyncio.sleep(0)
        with socket.socket() as sock:
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, ("127.0.0.1", 1))
            except OSError as error:
                return found, type(error).__name__
        return found, "connected"

    assert detrun.record(main).result == (b"HELLO", "ConnectionRefusedError")


def test_a_writer_is_paused_while_its_reader_is_slow() -> None:
    size = 1_000_000

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)
        writer.write(b"%d" % len(await reader.read(-1)))
        writer.close()

    async def main() -> tuple[float, float, bytes]:
        loop = asyncio.get_running_loop()
        async with await asyncio.start_server(slow, "127.0.0.1", 7):
            reader, writer = await asyncio.open_connection("127.0.0.1", 7)
            for _ in range(5):
                writer.write(bytes(size))
                await writer.drain()
            drained = loop.time()
            writer.write_eof()  # half of the connection; the answer comes by the other
            answer = await reader.read()
            writer.close()
            return drained, loop.time(), answer

    assert detrun.record(main).result == (5, 5, b"5000000")


def test_names_and_addresses_of_the_outside_are_unknown() -> None:
    async def main(host: str) -> None:
        await asyncio.open_connection(host, 80)

    with pytest.raises(socket.gaierror, match="no node is called 'example"):
        detrun.record(main, "example.com")
    with pytest.raises(OSError, match="No route to host"):
        detrun.record(main, "192.0.2.1")


def test_a_world_is_opened_before_the_first_socket_and_a_failed_run_leaves_nothing() -> None:
    async def main() -> None:
        await asyncio.start_server(echo, "127.0.0.1", 7)
        async with detrun.World():
            pass

    before = socket.socket
    with pytest.raises(UsageError, match="sockets of localhost are in use already; open the world before"):
        detrun.record(main)
    gc.collect()
    assert socket.socket is before


def test_threads_that_use_sockets_need_no_world_by_whatever_name_they_call_them() -> None:
    def main() -> Any:
        with taken_before() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            one = socket.create_connection(listening.getsockname())
            other, _ = listening.accept()
            one.sendall(b"hello")
            kept = isinstance(other, taken_before), isinstance(other, socket.socket)
            again = socket.socket(fileno=other.detach())
            one.close()
            return again.recv(10), again.recv(10), other.fileno(), kept

    run = detrun.record(main)
    assert run.result == (b"hello", b"", -1, (True, True))
    assert detrun.replay(main, recording=run.recording).digest == run.digest


def test_a_task_may_connect_where_no_time_passes() -> None:
    async def main() -> bytes:
        async with await asyncio.start_server(echo, "127.0.0.1") as server:
            sock = socket.create_connection(server.sockets[0].getsockname())
            reader, writer = await asyncio.open_connection(sock=sock)
            writer.write(b"a\n")
            answer = await reader.readline()
            writer.close()
            return answer

    run = detrun.record(main)
    assert run.result == b"a\n"
    assert detrun.replay(main, recording=run.recording).digest == run.digest
