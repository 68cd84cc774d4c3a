"""TLS on blocking sockets: ``ssl.SSLContext.wrap_socket`` in simulated threads, unmodified."""

from __future__ import annotations

import errno
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import detrun

trustme = pytest.importorskip("trustme")
pytestmark = pytest.mark.one_python


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server called localhost, and of a client that trusts it. RSA: lengths of ECDSA signatures vary."""
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    serving, asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost", key_type=trustme.KeyType.RSA).configure_cert(serving)
    authority.configure_trust(asking)
    return serving, asking


def with_server(context: ssl.SSLContext, serve: Callable[[Any], object], ask: Callable[[Any], Any]) -> Any:
    """What ``ask`` returns of an unencrypted connection, whose other end ``serve`` has in a thread, encrypted."""

    def main() -> Any:
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def accept() -> None:
                with listening.accept()[0] as raw, context.wrap_socket(raw, server_side=True) as encrypted:
                    serve(encrypted)

            thread = threading.Thread(target=accept)
            thread.start()
            with socket.create_connection(listening.getsockname()) as raw:
                found = ask(raw)
            thread.join()
            return found

    run = detrun.record(main)
    assert detrun.replay(main, recording=run.recording).digest == run.digest
    return run.result


def test_a_handshake_lines_a_large_message_a_time_out_and_a_goodbye(contexts: Any) -> None:
    serving, asking = contexts
    size = 700_000  # more than two buffers hold

    def serve(sock: Any) -> None:
        file = sock.makefile("rwb")
        file.write(file.readline().upper())
        file.flush()
        time.sleep(1)
        file.write(b"%d\n" % len(file.read(size)))
        file.flush()
        sock.unwrap()

    def ask(raw: Any) -> Any:
        with asking.wrap_socket(raw, server_hostname="localhost") as sock:
            kinds = isinstance(sock, ssl.SSLSocket), isinstance(sock, socket.socket), raw.fileno()
            sock.sendall(b"hello\n")
            found = [kinds, sock.version(), sock.getpeercert()["subjectAltName"], sock.recv(100)]
            sock.settimeout(0.5)
            with pytest.raises(TimeoutError, match="The read operation timed out"):
                sock.recv(1)
            found.append(round(time.monotonic(), 2))
            sock.settimeout(None)
            sock.sendall(b"a" * size)
            return [*found, sock.recv(100), sock.recv(100), sock.unwrap() is sock]

    assert with_server(serving, serve, ask) == [
        *((True, True, -1), "TLSv1.3", (("DNS", "localhost"),), b"HELLO\n"),
        *(0.5, b"700000\n", b"", True),
    ]


def test_a_certificate_that_is_not_trusted_ends_both_sides(contexts: Any) -> None:
    serving, _ = contexts
    seen: list[str] = []

    def main() -> str:
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def serve() -> None:
                with listening.accept()[0] as raw, pytest.raises(ssl.SSLError) as raised:
                    serving.wrap_socket(raw, server_side=True)
                seen.append(raised.value.reason)

            thread = threading.Thread(target=serve)
            thread.start()
            with socket.create_connection(listening.getsockname()) as raw, pytest.raises(ssl.SSLError) as raised:
                ssl.create_default_context().wrap_socket(raw, server_hostname="localhost")
            thread.join()
        return str(raised.value.reason)

    assert detrun.record(main).result == "CERTIFICATE_VERIFY_FAILED"
    assert seen == ["TLSV1_ALERT_UNKNOWN_CA"]


def test_a_non_blocking_one_says_what_it_waits_for_and_is_told_by_select(contexts: Any) -> None:
    serving, asking = contexts
    size = 3_000_000

    def serve(sock: Any) -> None:
        time.sleep(1)
        rest = size
        while rest:
            rest -= len(sock.recv(100_000))
        for _ in range(3):
            sock.sendall(b"abc")

    def ask(raw: Any) -> Any:
        raw.setblocking(False)
        sock = asking.wrap_socket(raw, server_hostname="localhost", do_handshake_on_connect=False)
        waits: dict[str, None] = {}

        def when_ready(call: Callable[..., Any], *arguments: Any) -> Any:
            while True:
                try:
                    return call(*arguments)
                except ssl.SSLWantReadError:
                    waits["read"] = None
                    select.select([sock], [], [])
                except ssl.SSLWantWriteError:
                    waits["write"] = None
                    select.select([], [sock], [])

        when_ready(sock.do_handshake)
        view = memoryview(b"a" * size)
        while view:
            view = view[when_ready(sock.send, view) :]
        # One byte at a time: of a record that is unread in part, `pending` tells, and of the next ones `select`.
        return list(waits), b"".join(when_ready(sock.recv, 1) for _ in range(9))

    assert with_server(serving, serve, ask) == (["read", "write"], b"abcabcabc")


def test_a_connection_that_is_reset_or_cut_short_says_so(contexts: Any) -> None:
    serving, asking = contexts

    def ask(raw: Any) -> Any:
        with asking.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False) as sock:
            with pytest.raises(ssl.SSLEOFError):
                sock.recv(1)
            return sock.pending()

    assert with_server(serving, lambda sock: sock.shutdown(socket.SHUT_WR), ask) == 0


def test_the_names_of_ssl_come_back(contexts: Any) -> None:
    before = ssl.SSLContext.sslsocket_class
    detrun.record(lambda: socket.socket().close())
    assert ssl.SSLContext.sslsocket_class is before
    assert "_wrap_socket" not in vars(ssl.SSLContext)


def test_certificates_on_the_disk_of_a_node_are_found_and_those_of_another_node_are_not() -> None:
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    leaf = authority.issue_cert("server", key_type=trustme.KeyType.ECDSA)
    found: list[object] = []

    def serve() -> None:
        Path("cert.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
        Path("key.pem").write_bytes(leaf.private_key_pem.bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("cert.pem", keyfile="key.pem")
        with socket.create_server(("", 443)) as listener, context.wrap_socket(listener, server_side=True) as secure:
            connection, _ = secure.accept()
            with connection:
                connection.sendall(b"hello")

    def ask() -> None:
        time.sleep(1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with pytest.raises(FileNotFoundError):
            context.load_verify_locations("cert.pem")  # of the server's disk
        Path("ca.pem").write_bytes(authority.cert_pem.bytes())
        context.load_verify_locations(cafile="ca.pem")
        with (
            socket.create_connection(("server", 443)) as plain,
            context.wrap_socket(plain, server_hostname="server") as secure,
        ):
            found.append(secure.recv(5))

    async def main() -> None:
        async with detrun.World() as world:
            world.node("server").start(serve)
            world.node("client").start(ask)
            await world.node("client").ended()

    detrun.record(main)
    assert found == [b"hello"]


def test_a_socket_that_is_wrapped_before_it_connects_shakes_hands_by_connect_and_by_connect_ex(contexts: Any) -> None:
    serving, asking = contexts

    def main() -> list[Any]:
        found: list[Any] = []
        with socket.create_server(("127.0.0.1", 0)) as listening:
            address = listening.getsockname()

            def accept() -> None:
                for _ in range(2):
                    with listening.accept()[0] as raw, serving.wrap_socket(raw, server_side=True) as encrypted:
                        encrypted.sendall(encrypted.recv(9)[::-1])

            thread = threading.Thread(target=accept)
            thread.start()
            for name in ("connect", "connect_ex"):
                with asking.wrap_socket(socket.socket(), server_hostname="localhost") as sock:
                    found.append(getattr(sock, name)(address))
                    sock.sendall(b"abc")
                    found.append(sock.recv(9))
            thread.join()
        with asking.wrap_socket(socket.socket(), server_hostname="localhost") as sock:
            found.append(sock.connect_ex(address))
        return found

    assert detrun.record(main).result == [None, b"cba", 0, b"cba", errno.ECONNREFUSED]


def after_a_reset(contexts: Any, call: Callable[[Any], Any]) -> list[Any]:
    """What a call says, thrice, once the peer has reset the connection."""
    serving, asking = contexts
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near, far = socket.create_connection(listening.getsockname()), listening.accept()[0]

    def serve() -> None:
        with serving.wrap_socket(far, server_side=True) as encrypted:
            encrypted.recv(1)
            encrypted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    thread = threading.Thread(target=serve)
    thread.start()
    found: list[Any] = []
    with asking.wrap_socket(near, server_hostname="localhost") as sock:
        sock.sendall(b"1")
        thread.join()
        time.sleep(0.02)
        for _ in range(3):
            try:
                found.append(call(sock))
            except OSError as error:
                found.append(type(error).__name__)
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compares with Linux")
@pytest.mark.parametrize("call", [lambda sock: sock.recv(1), lambda sock: sock.send(b"x")], ids=["read", "write"])
def test_a_reset_is_what_this_python_makes_of_it_and_stays(contexts: Any, call: Callable[[Any], Any]) -> None:
    in_life = after_a_reset(contexts, call)
    assert detrun.record(partial(after_a_reset, contexts, call)).result == in_life
