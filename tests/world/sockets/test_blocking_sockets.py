"""Blocking sockets in threads of nodes: servers and clients of the standard library, unmodified, and time-outs."""

from __future__ import annotations

import array
import http.server
import os
import select
import socket
import struct
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
import trio

import detrun

PORT = 80


def on_two_nodes(server: Callable[[], object], client: Callable[[], Any], strike: Any = None) -> Any:
    """What the client returns; ``strike(world)`` runs half a second after it has begun."""

    async def main() -> Any:
        got: list[Any] = []
        async with detrun.World(latency=0.01) as world:
            world.node("server").start(server)
            await trio.sleep(0.1)
            world.node("client").start(keeping(client, got))
            await trio.sleep(0.5)
            if strike is not None:
                await strike(world)
            await world.node("client").ended()
        return got[0]

    run = detrun.record(main)
    assert detrun.replay(main, recording=run.recording).digest == run.digest
    return run.result


def keeping(client: Callable[[], Any], got: list[Any]) -> Callable[[], None]:
    def program() -> None:
        got.append(client())

    return program


def echo() -> None:
    """A thread for each connection, as ``socketserver`` has it."""
    with socket.create_server(("0.0.0.0", PORT)) as listening:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=answer, args=(connection,)).start()


def answer(connection: Any) -> None:
    with connection, connection.makefile("rwb") as file:
        for line in file:
            file.write(line.upper())
            file.flush()


def seconds() -> float:
    return round(time.monotonic(), 2)


def test_threads_connect_send_and_receive() -> None:
    def client() -> Any:
        with socket.create_connection(("server", PORT)) as sock:
            sock.sendall(b"one\ntwo\n")
            file = sock.makefile("r")
            sock.close()  # the file keeps it open
            return file.readline(), file.readline(), seconds()

    assert on_two_nodes(echo, client) == ("ONE\n", "TWO\n", 0.14)


def test_a_large_message_waits_for_room_and_both_directions_go_on() -> None:
    size = 3_000_000

    def slow_reader() -> None:
        with socket.create_server(("0.0.0.0", PORT)) as listening:
            connection, _ = listening.accept()
            time.sleep(2)
            left = size
            while left:
                left -= len(connection.recv(100_000))
            connection.sendall(b"done")
            connection.close()

    def client() -> Any:
        with socket.create_connection(("server", PORT)) as sock:
            sock.settimeout(0.5)
            with pytest.raises(TimeoutError, match="timed out"):
                sock.sendall(bytes(size))
            at = seconds()
            sock.settimeout(None)
            return at

    assert on_two_nodes(slow_reader, client) == 0.62


@pytest.mark.parametrize("call", ["recv", "accept", "connect", "recvfrom"])
def test_a_call_that_takes_too_long_times_out_in_virtual_time(call: str) -> None:
    async def cut(world: detrun.World) -> None:
        world.partition("server", "client")

    def client() -> Any:
        kind = socket.SOCK_DGRAM if call == "recvfrom" else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as sock:
            if call == "recv":
                sock.connect(("server", PORT))
            if call == "accept":
                sock.listen()
            if call == "recvfrom":
                sock.bind(("", 9))
            time.sleep(1)
            sock.settimeout(3)
            before = time.monotonic()
            with pytest.raises(TimeoutError):
                {
                    "recv": lambda: sock.recv(10),
                    "accept": sock.accept,
                    "connect": lambda: sock.connect(("server", PORT)),
                    "recvfrom": lambda: sock.recvfrom(10),
                }[call]()
            return time.monotonic() - before

    assert on_two_nodes(echo, client, cut) == pytest.approx(3)


def test_a_refused_connection_and_one_that_is_reset_are_errors_of_the_thread() -> None:
    async def crash(world: detrun.World) -> None:
        world.node("server").crash()

    def client() -> Any:
        found = []
        sock = socket.create_connection(("server", PORT))
        found.append((sock.recv(10), seconds()))
        try:
            socket.create_connection(("server", PORT))
        except ConnectionRefusedError:
            found.append((b"refused", seconds()))
        return found

    assert on_two_nodes(echo, client, crash) == [(b"", 0.61), (b"refused", 0.63)]


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


def serve_http() -> None:
    http.server.ThreadingHTTPServer(("0.0.0.0", PORT), _Handler).serve_forever()


def test_http_server_and_urllib_run_unmodified_through_a_partition() -> None:
    async def partition(world: detrun.World) -> None:
        world.partition("server", "client")
        await trio.sleep(2)
        world.heal()

    def client() -> Any:
        found = []
        for number in range(3):
            try:
                found.append(urllib.request.urlopen(f"http://server/{number}", timeout=1).read())
            except OSError as error:
                found.append(str(error))
            time.sleep(1)
        return found

    assert on_two_nodes(serve_http, client, partition) == [b"/0", "<urlopen error timed out>", b"/2"]


def test_a_thread_that_waits_for_ever_is_reported_with_its_socket() -> None:
    async def main() -> None:
        async with detrun.World() as world:
            node = world.node("server")
            node.start(echo)
            await node.ended()

    with pytest.raises(detrun.DeadlockError, match=r"socket\.accept: no connection comes to 0\.0\.0\.0:80"):
        detrun.record(main)


def test_what_flags_and_wrong_arguments_mean() -> None:
    def program() -> list[Any]:
        one, other = socket.socketpair()
        with pytest.raises(BlockingIOError):
            other.recv(1, socket.MSG_DONTWAIT)
        for wrong in (lambda: other.recv(-1), lambda: other.recvmsg(-1), lambda: socket.socket(fileno=-1)):
            with pytest.raises(ValueError, match="negative"):
                wrong()
        for wrong in (lambda: other.recv_into(b"abc"), lambda: one.sendmsg([10]), lambda: one.sendmsg([b""], [1])):
            with pytest.raises(TypeError):
                wrong()
        again = socket.fromfd(other.fileno(), socket.AF_UNIX, socket.SOCK_STREAM)
        other.close()
        one.settimeout(2)
        one.send(b"a")
        socket.close(one.fileno())
        return [again.recv(9), again.recv(9), type(one.gettimeout())]

    assert detrun.record(program).result == [b"a", b"", float]


def test_a_socket_and_its_descriptor_agree_on_flags() -> None:
    fcntl = pytest.importorskip("fcntl")

    def program() -> list[Any]:
        with socket.socket() as one:

            def is_nonblocking() -> bool:
                return bool(fcntl.fcntl(one, fcntl.F_GETFL) & os.O_NONBLOCK)

            found = [is_nonblocking(), one.get_inheritable()]
            one.settimeout(5)
            one.set_inheritable(True)
            found += [is_nonblocking(), fcntl.fcntl(one, fcntl.F_GETFD)]
            one.setblocking(True)
            fcntl.fcntl(one, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
            found += [is_nonblocking(), one.get_inheritable()]
            with pytest.raises(OverflowError):
                one.listen(2**31)
            return found

    assert detrun.record(program).result == [False, False, True, 0, False, False]


def test_a_socket_and_a_pipe_say_how_much_can_be_read_and_are_duplicated_by_fcntl() -> None:
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")

    def program() -> list[Any]:
        found: list[Any] = []
        one, other = socket.socketpair()
        reading, writing = os.pipe()
        os.write(writing, b"abc")
        other.send(b"abcd")
        with one, other:
            for file in (one.fileno(), reading):
                select.select([file], [], [])
                count = array.array("i", [0])
                fcntl.ioctl(file, termios.FIONREAD, count)
                copy = fcntl.fcntl(file, fcntl.F_DUPFD, 0)
                found += [count[0], fcntl.ioctl(file, termios.FIONREAD, bytes(4)), os.read(copy, 9)]
                fcntl.ioctl(file, termios.FIONBIO, struct.pack("i", 1))
                found.append(os.get_blocking(file))
        return found

    assert detrun.record(program).result == program()


def test_a_descriptor_of_a_pipe_says_which_end_it_is() -> None:
    fcntl = pytest.importorskip("fcntl")

    def program() -> list[int]:
        ends = os.pipe()
        found = [fcntl.fcntl(end, fcntl.F_GETFL) for end in ends]
        fcntl.fcntl(ends[1], fcntl.F_SETFL, os.O_NONBLOCK)
        return [*found, *(fcntl.fcntl(end, fcntl.F_GETFL) for end in ends)]

    nonblocking = os.O_WRONLY | os.O_NONBLOCK
    assert detrun.record(program).result == program() == [os.O_RDONLY, os.O_WRONLY, os.O_RDONLY, nonblocking]


def test_recv_waits_for_all_and_for_no_longer_than_the_options_say_as_in_life() -> None:
    def program() -> list[Any]:
        one, other = socket.socketpair()
        with one, other:

            def sends() -> None:
                other.send(b"ab")
                time.sleep(0.05)
                other.send(b"cdef")

            thread = threading.Thread(target=sends)
            thread.start()
            found: list[Any] = [one.recv(5, socket.MSG_WAITALL)]
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 20_000))
            found += [one.recv(9), one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)]
            with pytest.raises(BlockingIOError):
                one.recv(1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 20_000))
            with pytest.raises(BlockingIOError):
                one.sendall(bytes(10_000_000))
            thread.join()
            other.shutdown(socket.SHUT_WR)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bytes(16))
            return [*found, one.recv(3, socket.MSG_WAITALL)]

    assert detrun.record(program).result == program()


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="a call of Linux")
def test_epoll_tells_of_a_socket_once_or_when_something_has_come_as_in_life() -> None:
    def program() -> list[int]:
        with select.epoll() as epoll:
            one, other = socket.socketpair()
            third, fourth = socket.socketpair()
            with one, other, third, fourth:

                def told() -> int:
                    return len(epoll.poll(0.05))

                epoll.register(one, select.EPOLLIN | select.EPOLLET)
                other.send(b"a")
                found = [told(), told()]
                other.send(b"b")
                found += [told(), told()]
                epoll.modify(one, select.EPOLLIN | select.EPOLLONESHOT)
                found += [told(), told()]
                epoll.modify(one, select.EPOLLIN)
                found += [told(), told()]
                epoll.register(third, select.EPOLLOUT)
                found += [told(), len(epoll.poll(0.05, 1))]
                epoll.unregister(one)
                return [*found, told()]

    assert detrun.record(program).result == program() == [1, 0, 1, 0, 1, 0, 1, 1, 2, 1, 1]


def test_another_descriptor_of_a_socket_that_does_not_block_leaves_it_so() -> None:
    def program() -> list[Any]:
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            with one.dup() as copy:
                found: list[Any] = [os.get_blocking(one.fileno()), copy.gettimeout()]
            socket.close(socket.dup(one.fileno()))
            return [*found, os.get_blocking(one.fileno())]

    assert detrun.record(program).result == program() == [False, 0.0, False]


def identities() -> list[Any]:
    """The protocol that sockets show, by how they were made, and what a closed one and wrong addresses raise."""
    found: list[Any] = []
    with socket.socket() as one, socket.socket(proto=socket.IPPROTO_TCP) as other, one.dup() as copy:
        found += [one.proto, other.proto, copy.proto, "proto=0" in repr(one)]
        one.bind(("127.0.0.1", 0))
        one.listen()
        with socket.create_connection(one.getsockname()) as near, one.accept()[0] as far:
            found += [near.proto, far.proto]
        with socket.socket(fileno=other.detach()) as again:
            found.append(again.proto)
    for call in (one.settimeout, one.setblocking):
        with pytest.raises(OSError) as closed:
            call(True)
        found.append(closed.value.errno)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for data, address in (("text", ("127.0.0.1", 9)), (b"", None)):
            with pytest.raises(TypeError) as wrong:
                sock.sendto(data, address)  # type: ignore[arg-type]
            found.append(str(wrong.value).partition("not ")[2])
    with pytest.raises(OverflowError):
        socket.getnameinfo(("::1", 0, 1 << 20), 0)
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compares with Linux")
def test_protocols_and_errors_of_arguments_are_those_of_real_sockets() -> None:
    assert detrun.record(identities).result == identities()


def test_lingering_for_no_time_port_0_and_what_has_no_descriptor_are_as_in_life() -> None:
    def main() -> list[object]:
        seen: list[object] = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            near = socket.create_connection(server.getsockname())
            far, _ = server.accept()
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            near.close()
            time.sleep(0.02)
            with far, pytest.raises(ConnectionResetError):
                far.recv(1)
        with socket.socket(type=socket.SOCK_DGRAM) as one, pytest.raises(OSError) as caught:
            one.sendto(b"x", ("127.0.0.1", 0))
        seen.append(caught.value.errno)
        with pytest.raises(TypeError, match="have a fileno"):
            select.select(["no file"], [], [], 0)
        with pytest.raises(socket.gaierror) as unknown:
            socket.getaddrinfo(None, None)
        return [*seen, unknown.value.errno]

    in_life = main()
    assert detrun.record(main).result == in_life


def outcome(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call returns, or the type, the number and without one the text of its error."""
    try:
        return call(*arguments)
    except Exception as error:
        number = getattr(error, "errno", None)
        return type(error).__name__, str(error) if number is None else number


_NUMBERS = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


def rare_calls() -> list[Any]:
    """Attempts to connect that are asked about again, listening sockets that are shut, wrong options, odd names."""
    found: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        found += [outcome(call, *rest) for call, *rest in ((listening.recv, 0), (listening.shutdown, 7))]
        for target in (address, ("127.0.0.1", 1)):
            with socket.socket() as near:
                near.setblocking(False)
                found.append(near.connect_ex(target))
                select.select([], [near], [], 1)
                found += [near.connect_ex(target) for _ in range(2)]
        with socket.socket() as near:
            near.connect(address)
            found.append(near.connect_ex(address))
        listening.shutdown(socket.SHUT_WR)
        for _ in range(2):
            listening.accept()[0].close()
        threading.Timer(0.05, listening.shutdown, [socket.SHUT_RDWR]).start()
        found += [outcome(listening.accept)[1] for _ in range(2)]
        found += [outcome(socket.create_connection, address)[1], outcome(listening.shutdown, socket.SHUT_RDWR)]
        listening.listen()
        socket.create_connection(listening.getsockname()).close()
        found += [outcome(listening.setsockopt, socket.SOL_SOCKET, socket.SO_REUSEADDR, wrong) for wrong in ("x", 1.5)]
        found += [outcome(listening.getsockopt, socket.SOL_SOCKET, 9999), outcome(listening.sendall, "text")]
        found += [outcome(listening.send, "text"), outcome(listening.connect, ("127.0.0.1", "80"))]
        found.append(outcome(socket.socket().connect_ex, ("::1", 1))[0])
        found += [outcome(listening.connect, (1, 2)), outcome(socket.socket, socket.AF_INET, 99)]
    long = "x" * 70 + ".com"
    found += [outcome(socket.gethostbyname, name) for name in ("", "127.1", "127.0.1")]
    found += [outcome(call, *rest)[0] for call, *rest in ((socket.gethostbyname, long), (socket.getaddrinfo, long, 1))]
    found.append(socket.getaddrinfo("1.2.3", 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4])
    found += [socket.getnameinfo(("10.9.9.9", port), _NUMBERS) for port in (80, 61000)]
    found.append(outcome(socket.getnameinfo, ("127.0.0.1", 80, 0, 0), 3))
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compares with Linux")
def test_rare_calls_of_sockets_and_of_names_answer_as_real_ones() -> None:
    assert detrun.record(rare_calls).result == rare_calls()


def services() -> list[str]:
    """The names of some ports, for streams and for datagrams."""
    return [
        socket.getnameinfo(("10.9.9.9", port), socket.NI_NUMERICHOST | flags)[1]
        for flags in (0, socket.NI_DGRAM)
        for port in (80, 53, 514, 61000)
    ]


def test_ports_have_the_names_of_their_services_whatever_the_machine_lists() -> None:
    assert detrun.record(services).result == ["http", "domain", "514", "61000", "http", "domain", "syslog", "61000"]


def calls_that_fail_with_a_buffer() -> list[tuple[str, bool]]:
    """By call, whether a bytearray can be made longer where the call's error is handled."""
    found = []

    def fails(name: str, *rest: Any, one: socket.socket, is_list: bool = False) -> None:
        buffer = bytearray(1 << 16)
        while True:
            try:
                getattr(one, name)([buffer] if is_list else buffer, *rest)
            except OSError as error:
                buffer.append(0)
                found.append((name, type(error) is BlockingIOError))
                break

    near, far = socket.socketpair()
    near.setblocking(False)
    for name in ("recv_into", "recvfrom_into", "send", "sendall"):
        fails(name, one=near)
    fails("recvmsg_into", one=near, is_list=True)
    far.close()
    time.sleep(0.01)
    for name in ("send", "sendall"):
        fails(name, one=near)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as alone:
        fails("send", one=alone)
        fails("sendto", ("127.0.0.1", 0), one=alone)
    near.close()
    return found


def test_a_call_that_fails_lets_go_of_its_buffer_as_in_life() -> None:
    in_life = calls_that_fail_with_a_buffer()
    assert len(in_life) == 9
    assert detrun.record(calls_that_fail_with_a_buffer).result == in_life


def options() -> list[Any]:
    """Options that nothing has set, those set as numbers, bytes and structures, and wrong ones."""
    found: list[Any] = []
    base, tcp = socket.SOL_SOCKET, socket.IPPROTO_TCP
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        unset = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_MAXSEG, socket.TCP_NODELAY)
        found += [stream.getsockopt(tcp, name) for name in unset]
        found += [one.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) for one in (stream, datagram)]
        found += [stream.getsockopt(base, socket.SO_LINGER, 8), stream.getsockopt(base, socket.SO_RCVTIMEO, 16)]
        for value in (struct.pack("i", 1), struct.pack("i", 0), True):
            stream.setsockopt(base, socket.SO_KEEPALIVE, value)
            found += [stream.getsockopt(base, socket.SO_KEEPALIVE, length) for length in (0, 2, 4, 8)]
        stream.setsockopt(base, socket.SO_LINGER, struct.pack("ii", 1, 7))
        found += [stream.getsockopt(base, socket.SO_LINGER, length) for length in (0, 4, 8)]
        for wrong in (2**31, -(2**31) - 1):
            found.append(outcome(stream.setsockopt, base, socket.SO_KEEPALIVE, wrong)[0])
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compares with Linux")
def test_options_of_sockets_have_linuxs_defaults_and_are_numbers_or_bytes_as_asked() -> None:
    assert detrun.record(options).result == options()


def polled() -> list[Any]:
    """What `poll` says of sockets and pipes in all their states, asked for everything, for input, and for nothing."""
    found: list[Any] = []
    pause = 0.03

    def say(what: Any) -> None:
        time.sleep(pause)
        for events in (select.POLLIN | select.POLLOUT | select.POLLRDHUP, select.POLLIN, 0):
            poll = select.poll()
            poll.register(what, events)
            found.append([event for _, event in poll.poll(0)])

    def pair(family: socket.AddressFamily) -> tuple[socket.socket, socket.socket]:
        if family == socket.AF_UNIX:
            return socket.socketpair()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            return socket.create_connection(listening.getsockname()), listening.accept()[0]

    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as near:
        for one in (near, listening):
            say(one)
        near.connect(listening.getsockname())
        say(listening)
    for family in (socket.AF_INET, socket.AF_UNIX):
        near, far = pair(family)
        say(near)
        far.send(b"a")
        say(near)
        far.shutdown(socket.SHUT_WR)
        say(near)
        near.shutdown(socket.SHUT_WR)
        for one in (near, far):
            say(one)
        far.close(), near.close()
        near, far = pair(family)
        far.close()
        say(near)
        near.close()
        near, far = pair(family)
        near.send(b"unread")
        time.sleep(pause)
        far.close()
        say(near)
        found.append(near.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        say(near)
        near.close()
    with socket.socket() as near:
        near.setblocking(False)
        near.connect_ex(("127.0.0.1", 1))
        say(near)
    for kept in (0, 1):
        ends = os.pipe()
        say(ends[kept])
        os.write(ends[1], b"a")
        for end in ends:
            say(end)
        os.close(ends[1 - kept])
        say(ends[kept])
        if kept == 0:
            os.read(ends[0], 9)
            say(ends[0])
        os.close(ends[kept])
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compares with Linux")
def test_poll_tells_of_errors_ends_and_what_is_shut_as_in_life() -> None:
    assert detrun.record(polled).result == polled()


def left() -> list[Any]:
    """A thread waits until its peer has gone, for nothing else; what was closed is said to be so, or is forgotten."""
    found: list[Any] = []
    near, far = socket.socketpair()
    poll, epoll = select.poll(), select.epoll()
    poll.register(near, 0)
    epoll.register(near, select.EPOLLRDHUP | select.EPOLLONESHOT)
    threading.Timer(0.02, far.close).start()
    found += [[event for _, event in one.poll()] for one in (poll, epoll)]
    found += [len(epoll.poll(0.01)), [event for _, event in poll.poll()]]
    epoll.modify(near, select.EPOLLIN)
    found.append(len(epoll.poll(0.01)))
    near.close()
    found += [[event for _, event in poll.poll()], epoll.poll(0.01)]
    epoll.close()
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compares with Linux")
def test_a_peer_that_leaves_is_waited_for_alone() -> None:
    assert detrun.record(left).result == left()


def test_a_loop_that_polls_a_closed_number_lets_time_pass() -> None:
    """pysyncobj leaves its listener in its poll object; in life its loop turns without waiting until it is stopped."""

    def main() -> tuple[list[Any], int]:
        near, _far = socket.socketpair()
        poll = select.poll()
        number = near.fileno()
        poll.register(near, select.POLLIN)
        near.close()
        found = []
        while time.monotonic() < 1.0:
            found.append(poll.poll(250))
        poll.register(number, select.POLLIN)
        return [*found, poll.poll(250)], number

    found, number = detrun.record(main).result
    assert found == [[(number, select.POLLNVAL)], [], [], [], [], [(number, select.POLLNVAL)]]


def rare_polls() -> list[Any]:
    """Objects of `poll` and `epoll` that are closed, that know a socket already, that another thread waits in."""
    near, far = socket.socketpair()
    poll, epoll = select.poll(), select.epoll()
    for one in (poll, epoll):
        one.register(near, select.POLLIN)
    found: list[Any] = [poll.register(near, select.POLLIN), outcome(epoll.register, near, select.POLLIN), epoll.closed]
    thread = threading.Thread(target=poll.poll)
    thread.start()
    time.sleep(0.02)
    found.append(outcome(poll.poll, 0))
    far.send(b"a")
    thread.join()
    number = near.fileno()
    near.close(), far.close()
    found += [outcome(epoll.modify, number, 0), outcome(epoll.unregister, number), outcome(poll.poll, 2**31)[0]]
    epoll.close()
    with socket.socket() as near:
        found += [epoll.closed, *(outcome(call, near) for call in (epoll.register, epoll.unregister))]
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compares with Linux")
def test_rare_calls_of_poll_and_epoll_answer_as_real_ones() -> None:
    assert detrun.record(rare_polls).result == rare_polls()
