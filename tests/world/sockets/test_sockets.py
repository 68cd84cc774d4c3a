"""Simulated sockets against real ones: each contract runs under plain trio on this machine's loopback and in a world.

A contract returns what it saw, with the class and number of every error; the two lists must be equal.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.errors import HiddenStateError
from detrun.world import Exponential
from detrun.world.sockets.trio_sockets import TrioSocket

Contract = Callable[[], Awaitable[list[Any]]]
HOST = "127.0.0.1"


def really(contract: Contract) -> list[Any]:
    """The answer of the operating system."""
    return trio.run(contract)


def simulated(contract: Contract) -> list[Any]:
    """The answer of a world, the same on replay."""

    async def main() -> list[Any]:
        async with detrun.World():
            return await contract()

    recorded = detrun.record(main)
    assert detrun.replay(main, recording=recorded.recording).digest == recorded.digest
    return recorded.result


async def outcome_of(operation: Awaitable[Any]) -> Any:
    """The result, or the class and number of the error."""
    try:
        return await operation
    except OSError as error:
        return type(error).__name__, error.errno
    except (trio.ClosedResourceError, trio.BrokenResourceError, trio.BusyResourceError) as error:
        return type(error).__name__


def outcome_of_call(function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except OSError as error:
        return type(error).__name__, error.errno


async def listening() -> trio.socket.SocketType:
    listener = trio.socket.socket()
    await listener.bind((HOST, 0))
    listener.listen()
    return listener


async def connected_pair() -> tuple[trio.socket.SocketType, trio.socket.SocketType]:
    listener = await listening()
    client = trio.socket.socket()
    await client.connect(listener.getsockname())
    server, _ = await listener.accept()
    listener.close()
    return client, server


async def bytes_go_both_ways() -> list[Any]:
    client, server = await connected_pair()
    seen: list[Any] = [await client.send(b"hello"), await server.recv(100), await server.send(b"back")]
    seen += [await client.recv(2), await client.recv(2)]
    view = bytearray(10)
    await client.send(b"abcdef")
    seen += [await server.recv_into(view, 4), bytes(view), await server.recv_into(view), bytes(view)]
    await client.send(b"peeked")
    seen += [await server.recv(3, socket.MSG_PEEK), await server.recv(100)]
    return seen


async def addresses_and_kinds() -> list[Any]:
    listener = await listening()
    client = trio.socket.socket()
    before = client.getsockname()
    await client.connect(listener.getsockname())
    server, address = await listener.accept()
    return [
        before,
        client.getpeername() == listener.getsockname(),
        server.getpeername() == client.getsockname() == address,
        server.getsockname() == listener.getsockname(),
        client.family,
        client.type,
        listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
        client.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
        client.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE),
        client.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN),
        client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
        client.getsockname()[1] > 1024,
        client.fileno() > 0,
    ]


async def nobody_listens() -> list[Any]:
    closed = await listening()
    address = closed.getsockname()
    closed.close()
    client = trio.socket.socket()
    seen = [await outcome_of(client.connect(address))]
    with trio.socket.socket() as unbound:
        seen += [await outcome_of(unbound.send(b"x")), await outcome_of(unbound.recv(1))]
        seen += [outcome_of_call(unbound.getpeername), await outcome_of(unbound.accept())]
        seen += [outcome_of_call(unbound.shutdown, socket.SHUT_WR)]
    return seen


async def addresses_in_use() -> list[Any]:
    first = await listening()
    second = trio.socket.socket()
    seen = [await outcome_of(second.bind(first.getsockname()))]
    reusing = trio.socket.socket()
    reusing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    seen += [await outcome_of(reusing.bind(first.getsockname()))]
    seen += [await outcome_of(first.bind((HOST, 0)))]
    seen += [await outcome_of(second.bind(("192.0.2.1", 0)))]
    port = first.getsockname()[1]
    first.close()
    seen += [await outcome_of(second.bind((HOST, port)))]
    wildcard = trio.socket.socket()
    seen += [await outcome_of(wildcard.bind(("0.0.0.0", port)))]
    sharers = [trio.socket.socket() for _ in range(2)]
    for sharer in sharers:
        sharer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    await sharers[0].bind((HOST, 0))
    seen += [await outcome_of(sharers[1].bind(sharers[0].getsockname()))]
    for sharer in sharers:
        sharer.listen()
    for one in (second, reusing, wildcard, *sharers):
        one.close()
    return seen


async def half_closing() -> list[Any]:
    client, server = await connected_pair()
    await client.send(b"last words")
    client.shutdown(socket.SHUT_WR)
    seen: list[Any] = [await server.recv(100), await server.recv(100), await server.recv(100)]
    seen += [await server.send(b"answer"), await client.recv(100), await outcome_of(client.send(b"more"))]
    seen += [client.did_shutdown_SHUT_WR, server.did_shutdown_SHUT_WR]
    server.close()
    seen += [await client.recv(100)]
    client.close()
    return seen


async def reading_after_the_peer_closed() -> list[Any]:
    client, server = await connected_pair()
    await server.send(b"data")
    server.close()
    await trio.sleep(0.05)
    return [await client.recv(100), await client.recv(100), await client.recv(100)]


async def writing_after_the_peer_closed() -> list[Any]:
    client, server = await connected_pair()
    server.close()
    await trio.sleep(0.05)
    seen = [await client.send(b"first")]
    await trio.sleep(0.05)
    seen += [await outcome_of(client.send(b"second")), await outcome_of(client.send(b"third"))]
    return seen


async def closing_with_unread_bytes_resets() -> list[Any]:
    client, server = await connected_pair()
    await client.send(b"unread")
    await server.send(b"on its way")
    await trio.sleep(0.05)
    server.close()
    await trio.sleep(0.05)
    seen = [await outcome_of(client.recv(100)) for _ in range(3)]
    return [*seen, await outcome_of(client.send(b"x"))]


async def closing_under_a_reader() -> list[Any]:
    client, server = await connected_pair()
    seen: list[Any] = []

    async def read() -> None:
        seen.append(await outcome_of(client.recv(100)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.sleep(0.05)
        client.close()
    seen += [client.fileno(), await outcome_of(client.recv(1)), await outcome_of(client.send(b"x"))]
    client.close()
    seen += [await server.recv(10)]
    return seen


async def two_readers_of_one_socket() -> list[Any]:
    client, server = await connected_pair()
    seen: list[Any] = []

    async def read() -> None:
        seen.append(await outcome_of(client.recv(100)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(read)
        await trio.sleep(0.05)
        await server.send(b"for one of them")
    return sorted(seen, key=str)


async def a_cancelled_read_loses_nothing() -> list[Any]:
    client, server = await connected_pair()
    with trio.move_on_after(0.05) as scope:
        await client.recv(100)
    await server.send(b"later")
    return [scope.cancelled_caught, await client.recv(100)]


async def a_full_pipe_blocks_the_writer_until_the_reader_reads() -> list[Any]:
    client, server = await connected_pair()
    sent = 0
    with trio.move_on_after(0.3):
        while True:
            sent += await client.send(b"x" * 65536)
    with trio.move_on_after(0.05) as scope:
        await client.wait_writable()
    stuck = scope.cancelled_caught
    received = 0
    while received < sent:
        received += len(await server.recv(65536))
    with trio.move_on_after(1) as scope:
        await client.wait_writable()
    return [sent > 100_000, stuck, received == sent, scope.cancelled_caught, await client.send(b"y")]


async def a_listener_keeps_what_connected_before_accept() -> list[Any]:
    listener = await listening()
    clients = [trio.socket.socket() for _ in range(3)]
    for number, client in enumerate(clients):
        await client.connect(listener.getsockname())
        await client.send(b"%d" % number)
    seen = []
    for _ in clients:
        server, _ = await listener.accept()
        seen.append(await server.recv(10))
    return seen


async def closing_a_listener_resets_what_nobody_accepted() -> list[Any]:
    listener = await listening()
    client = trio.socket.socket()
    await client.connect(listener.getsockname())
    await trio.sleep(0.05)
    listener.close()
    await trio.sleep(0.05)
    return [await outcome_of(client.recv(10))]


async def datagrams() -> list[Any]:
    one, other = (trio.socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
    await one.bind((HOST, 0))
    await other.bind((HOST, 0))
    seen: list[Any] = [await one.sendto(b"hello", other.getsockname())]
    data, address = await other.recvfrom(100)
    seen += [data, address == one.getsockname()]
    await one.sendto(b"truncated", other.getsockname())
    await one.sendto(b"", other.getsockname())
    seen += [await other.recv(5), await other.recv(5)]
    await one.connect(other.getsockname())
    seen += [await one.send(b"connected"), await other.recv(100)]
    seen += [await outcome_of(one.sendto(b"x" * 70_000, other.getsockname()))]
    seen += [await outcome_of(trio.socket.socket(type=socket.SOCK_DGRAM).send(b"x"))]
    other.close()
    await one.send(b"nobody there")
    await trio.sleep(0.05)
    seen += [await outcome_of(one.recv(10))]
    return seen


async def an_unbound_datagram_socket_gets_a_port_by_sending() -> list[Any]:
    one, other = (trio.socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
    await other.bind((HOST, 0))
    before = one.getsockname()
    await one.sendto(b"x", other.getsockname())
    data, address = await other.recvfrom(10)
    await other.sendto(b"y", address)
    return [before, data, address[0], address[1] == one.getsockname()[1], await one.recv(10)]


async def several_buffers_at_once() -> list[Any]:
    client, server = await connected_pair()
    seen: list[Any] = [await client.sendmsg([b"one ", b"", bytearray(b"two")])]
    seen += [await server.recvmsg(4), await server.recvmsg(100, 0, socket.MSG_PEEK)]
    await client.send(b" three")
    await trio.sleep(0.05)
    buffers = [bytearray(2), bytearray(5), bytearray(9)]
    seen += [await server.recvmsg_into(buffers), [bytes(buffer) for buffer in buffers]]
    server.close()
    one, other = (trio.socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
    await one.bind((HOST, 0))
    await other.bind((HOST, 0))
    seen += [await one.sendmsg([b"data", b"gram"], [], 0, other.getsockname())]
    data, ancillary, flags, address = await other.recvmsg(100)
    seen += [data, ancillary, flags, address == one.getsockname()]
    await one.sendmsg([b"cut short"], [], 0, other.getsockname())
    seen += [(await other.recvmsg(3))[:3]]
    await one.sendmsg([b"cut too"], [], 0, other.getsockname())
    seen += [(await other.recvmsg_into([bytearray(1), bytearray(1)]))[:3]]
    return seen


async def a_duplicate_keeps_a_socket_open() -> list[Any]:
    client, server = await connected_pair()
    twin = client.dup()
    seen: list[Any] = [twin.fileno() != -1, twin.getsockname() == client.getsockname()]
    client.close()
    seen += [client.fileno(), await outcome_of(client.send(b"x")), outcome_of_call(client.getsockname)]
    seen += [await twin.send(b"through the other"), await server.recv(100)]
    client.close()
    await server.send(b"still open")
    seen += [await twin.recv(100)]
    twin.close()
    seen += [await server.recv(100), outcome_of_call(twin.dup)]
    return seen


async def a_pair_of_sockets() -> list[Any]:
    one, other = trio.socket.socketpair()
    seen: list[Any] = [one.type, await one.send(b"ping"), await other.recv(10), await other.send(b"pong")]
    seen += [await one.recv(10)]
    one.shutdown(socket.SHUT_WR)
    seen += [await other.recv(10), await other.send(b"still"), await one.recv(10)]
    other.close()
    seen += [await one.recv(10)]
    left, right = socket.socketpair()
    left.setblocking(False)
    with pytest.raises(BlockingIOError):
        left.recv(1)
    right.sendall(b"from the standard library")
    await trio.sleep(0.05)
    seen += [left.recv(100)]
    left.close()
    right.close()
    return seen


async def streams_of_trio() -> list[Any]:
    seen: list[Any] = []

    async def echo(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data)
        await stream.send_all(b"bye")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, echo, 0)
        port = listeners[0].socket.getsockname()[1]
        async with await trio.open_tcp_stream("localhost", port) as stream:
            await stream.send_all(b"a" * 300_000)
            await stream.send_eof()
            received = b""
            async for part in stream:
                received += part
            seen += [len(received), received[-3:], received.count(b"a")]
        seen.append(await outcome_of(stream.receive_some()))
        nursery.cancel_scope.cancel()
    return seen


async def names_and_numbers() -> list[Any]:
    found = await trio.socket.getaddrinfo(HOST, 80, type=socket.SOCK_STREAM)
    passive = await trio.socket.getaddrinfo(None, 80, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    seen: list[Any] = [found, [one for one in passive if one[0] == socket.AF_INET]]
    seen += [socket.getaddrinfo(HOST, "http", socket.AF_INET, socket.SOCK_STREAM)]
    try:
        await trio.socket.getaddrinfo("no-such-host.invalid", 80)
    except socket.gaierror as error:
        seen.append(error.errno)
    return seen


async def connecting_fails_in_a_stream() -> list[Any]:
    closed = await listening()
    port = closed.getsockname()[1]
    closed.close()
    try:
        await trio.open_tcp_stream(HOST, port)
    except OSError as error:
        return [type(error).__name__]
    return []


CONTRACTS = [
    bytes_go_both_ways,
    addresses_and_kinds,
    nobody_listens,
    addresses_in_use,
    half_closing,
    reading_after_the_peer_closed,
    writing_after_the_peer_closed,
    closing_with_unread_bytes_resets,
    closing_under_a_reader,
    two_readers_of_one_socket,
    a_cancelled_read_loses_nothing,
    a_full_pipe_blocks_the_writer_until_the_reader_reads,
    a_listener_keeps_what_connected_before_accept,
    closing_a_listener_resets_what_nobody_accepted,
    datagrams,
    an_unbound_datagram_socket_gets_a_port_by_sending,
    several_buffers_at_once,
    a_duplicate_keeps_a_socket_open,
    a_pair_of_sockets,
    streams_of_trio,
    names_and_numbers,
    connecting_fails_in_a_stream,
]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_simulated_sockets_keep_the_contract_of_real_ones(contract: Contract):
    assert simulated(contract) == really(contract)


# Streams under a network that loses and delays.


@settings(max_examples=40, deadline=None)
@given(
    writes=st.lists(st.binary(min_size=1, max_size=5_000), min_size=1, max_size=20),
    reads=st.lists(st.integers(1, 5_000), min_size=1, max_size=20),
    loss=st.sampled_from([0.0, 0.1, 0.4]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_stream_arrives_complete_and_in_order_whatever_the_link_does(
    writes: list[bytes], reads: list[int], loss: float, seed: int
):
    async def serve(listener: trio.socket.SocketType, received: bytearray) -> None:
        connection, _ = await listener.accept()
        for index in range(10**6):
            data = await connection.recv(reads[index % len(reads)])
            if not data:
                return
            received.extend(data)

    async def main() -> bytes:
        received = bytearray()
        async with detrun.World(latency=Exponential(0.05), loss=loss, slow_tail=loss) as world:

            async def start() -> None:
                listener = trio.socket.socket()
                await listener.bind(("0.0.0.0", 80))
                listener.listen()
                await serve(listener, received)

            world.node("server").start(start)
            await trio.sleep(0.01)
            client = None
            while client is None:
                with suppress(OSError):  # SYN is lost seven times in a row, once in twenty runs
                    client = await trio.open_tcp_stream("server", 80)
            for data in writes:
                await client.send_all(data)
            await client.aclose()
            await world.node("server").ended()
        return bytes(received)

    assert detrun.record(main, seed=seed).result == b"".join(writes)


def test_two_connections_do_not_hold_each_other_up():
    """FIFO is per connection: while one waits for a retransmission, the other goes on."""

    class LoseTheFirst:
        def __init__(self) -> None:
            self.lost = False

        def judge(self, packet: Any) -> detrun.world.Verdict:
            if not self.lost and b"slow" in bytes(getattr(packet, "data", b"")):
                self.lost = True
                return detrun.world.Verdict.DROP
            return detrun.world.Verdict.PASS

    async def main() -> list[tuple[bytes, float]]:
        arrived: list[tuple[bytes, float]] = []

        async def handle(stream: trio.SocketStream) -> None:
            async for data in stream:
                arrived.append((bytes(data), round(trio.current_time(), 6)))

        async with detrun.World(latency=0.01, retransmission_seconds=0.5) as world:
            world.node("server").start(trio.serve_tcp, handle, 80)
            await trio.sleep(0)
            one, other = [await trio.open_tcp_stream("server", 80) for _ in range(2)]
            world.add_rule(LoseTheFirst())
            start = trio.current_time()
            await one.send_all(b"slow")
            await one.send_all(b"behind")
            await other.send_all(b"fast")
            await trio.sleep(2)
            assert dict(world.faults) == {"LoseTheFirst": 1}
        return [(data, round(at - start, 6)) for data, at in arrived]

    assert detrun.record(main).result == [(b"fast", 0.01), (b"slowbehind", 0.51)]


# The standard library's face, and what it refuses.


def test_the_standard_library_makes_simulated_sockets_in_a_world_and_real_ones_after_it():
    async def main() -> list[Any]:
        async with detrun.World() as world:
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(("0.0.0.0", 8000))
            made.listen(5)
            made.setblocking(False)
            with pytest.raises(BlockingIOError):
                made.accept()
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(made))
            client = await trio.open_tcp_stream("driver", 8000)
            server = await listener.accept()
            await client.send_all(b"hi")
            return [
                isinstance(made, socket.socket),
                await server.receive_some(),
                socket.gethostname(),
                len(world.nodes),
            ]

    assert detrun.record(main).result == [True, b"hi", "driver", 0]
    with socket.socket() as real:
        assert "simulated" not in repr(real)


def test_a_blocking_operation_that_would_block_is_refused():
    async def main() -> None:
        async with detrun.World():
            made = socket.socket()
            made.bind(("0.0.0.0", 80))
            made.listen()
            made.accept()

    with pytest.raises(HiddenStateError, match=r"accept would block a task inside a run.*use streams"):
        detrun.record(main)


def test_sockets_outside_a_world_are_still_refused_in_a_run():
    async def main() -> None:
        trio.socket.socket()

    with pytest.raises(HiddenStateError, match="socket"):
        detrun.record(main)


def test_what_a_world_has_no_sockets_for_is_named_with_what_it_has():
    async def main() -> list[Any]:
        seen = []
        async with detrun.World():
            for family, kind in ((socket.AF_APPLETALK, 1), (socket.AF_INET, socket.SOCK_RAW), (socket.AF_UNIX, 5)):
                try:
                    socket.socket(family, kind)
                except OSError as error:
                    seen.append((error.errno, str(error)))
            with pytest.raises(socket.gaierror, match="'::1' needs a socket of family"):
                socket.socket().connect(("::1", 80))
        return seen

    numbers, texts = zip(*detrun.record(main).result, strict=True)
    assert numbers == (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EPROTONOSUPPORT)
    assert "not AF_APPLETALK; use a host name, an address" in texts[0]
    assert "TCP (SOCK_STREAM) and UDP (SOCK_DGRAM)" in texts[1]


def test_every_method_of_trios_sockets_is_there():
    names = {name for name in vars(trio.socket.SocketType) if not name.startswith("_")}
    assert names - {"share"} <= set(vars(TrioSocket))  # share is for Windows


def test_names_of_machines_are_those_of_nodes():
    real = os.uname()

    async def main() -> list[Any]:
        async with detrun.World() as world:
            seen: list[Any] = []

            async def ask() -> None:
                seen.extend(
                    [socket.gethostname(), trio.socket.gethostname(), socket.getfqdn(), socket.has_dualstack_ipv6()]
                )
                seen.extend([platform.node(), os.uname().nodename, os.uname().sysname == real.sysname])
                seen.extend([socket.gethostbyname("driver"), socket.gethostbyname_ex("db")])
                seen.append(socket.gethostbyaddr("10.0.0.2"))
                with pytest.raises(socket.herror):
                    socket.gethostbyaddr("10.0.0.77")

            world.node("db").start(ask)
            await world.node("db").ended()
            return seen

    assert detrun.record(main).result == [
        *("db", "db", "db", True, "db", "db", True, "10.0.0.1"),
        *(("db", [], ["10.0.0.2"]), ("db", [], ["10.0.0.2"])),
    ]
    assert os.uname() == real


def test_waiting_for_a_simulated_socket_through_trio_lowlevel():
    async def main() -> list[Any]:
        async with detrun.World():
            client, server = await connected_pair()
            raw = client._sock  # type: ignore[attr-defined]  # private
            seen = []
            for one in (raw, client, client.fileno()):  # all of what trio takes
                await trio.lowlevel.wait_writable(one)
                await server.send(b"x")
                await trio.lowlevel.wait_readable(one)
                seen.append(raw.recv(10))

            async def wait() -> None:
                seen.append(await outcome_of(trio.lowlevel.wait_readable(client.fileno())))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await trio.sleep(0.01)
                trio.lowlevel.notify_closing(client.fileno())
            number = client.fileno()
            client.close()
            with pytest.raises(HiddenStateError, match="wait_readable inside a run"):
                await trio.lowlevel.wait_readable(number)
            return seen

    assert detrun.record(main).result == [b"x", b"x", b"x", "ClosedResourceError"]


# TLS.


@asynccontextmanager
async def tls_streams(world: detrun.World, contexts: tuple[ssl.SSLContext, ssl.SSLContext]):
    client_context, server_context = contexts

    async def echo(stream: trio.SSLStream[trio.SocketStream]) -> None:
        async for data in stream:
            await stream.send_all(data[::-1])

    async def serve() -> None:
        listeners = await trio.open_ssl_over_tcp_listeners(443, server_context)
        await trio.serve_listeners(echo, listeners)

    world.node("server").start(serve)
    await trio.sleep(0.01)
    stream = await trio.open_ssl_over_tcp_stream("server", 443, ssl_context=client_context)
    yield stream
    await stream.aclose()


def test_tls_runs_over_the_simulated_network():
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("server", key_type=trustme.KeyType.RSA).configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)

    async def main() -> list[Any]:
        async with detrun.World(latency=Exponential(0.01), loss=0.1) as world:
            async with tls_streams(world, (client_context, server_context)) as stream:
                await stream.send_all(b"secret")
                return [await stream.receive_some(), stream.selected_alpn_protocol(), stream.cipher() is not None]

    recorded = detrun.record(main, seed=3)
    assert recorded.result == [b"terces", None, True]
    assert detrun.replay(main, recording=recorded.recording).digest == recorded.digest
