"""Servers and clients that block in threads, unmodified: of Python, and of seven libraries.

Each function takes the modules of a library and makes a server and a client of it, for nodes of a world.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

Pair = tuple[Callable[..., Any], Callable[..., Any]]


def noted(got: list[Any], request: Callable[[int], Any]) -> None:
    """Three requests, a second apart; what fails is noted by the name of its error."""
    for number in range(3):
        try:
            got.append(request(number))
        except Exception as error:
            got.append(type(error).__name__)
        time.sleep(1)


def app(environ: Any, start: Any) -> list[bytes]:
    """A WSGI application that answers the length of the body."""
    size = len(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % size]


def http_server_and_urllib(server_module: Any, request_module: Any) -> Pair:
    class Handler(server_module.BaseHTTPRequestHandler):  # type: ignore[misc, name-defined]  # Any, imported where it is installed
        def do_POST(self) -> None:
            answer = b"%d" % len(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            """It would print."""

    def server() -> None:
        with server_module.ThreadingHTTPServer(("0.0.0.0", 80), Handler) as serving:
            serving.serve_forever()

    def client(got: list[Any]) -> None:
        def ask(number: int) -> str:
            with request_module.urlopen("http://server/", data=b"a" * 9000 * number, timeout=1) as response:
                return str(response.read().decode())

        noted(got, ask)

    return server, client


def http_server_and_requests(server_module: Any, request_module: Any, requests: Any) -> Pair:
    return http_server_and_urllib(server_module, request_module)[0], posting(requests)


def posting(requests: Any) -> Callable[[list[Any]], None]:
    def client(got: list[Any]) -> None:
        session = requests.Session()
        noted(got, lambda number: session.post("http://server/", data=b"a" * 9000 * number, timeout=1).text)

    return client


def waitress_and_requests(waitress: Any, requests: Any) -> Pair:
    def server() -> None:
        waitress.serve(app, host="0.0.0.0", port=80, threads=2, _quiet=True)

    return server, posting(requests)


def cheroot_and_requests(wsgi: Any, requests: Any) -> Pair:
    def server() -> None:
        wsgi.Server(("0.0.0.0", 80), app, numthreads=2).start()

    return server, posting(requests)


def socketserver_and_files(socketserver: Any) -> Pair:
    class Handler(socketserver.StreamRequestHandler):  # type: ignore[misc, name-defined]  # Any, imported where it is installed
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(line.upper())

    def server() -> None:
        with socketserver.ThreadingTCPServer(("0.0.0.0", 7), Handler) as serving:
            serving.serve_forever()

    def client(got: list[Any]) -> None:
        file = socket.create_connection(("server", 7)).makefile("rw")

        def ask(number: int) -> str:
            file.write(f"a{number}\n")
            file.flush()
            return str(file.readline())

        noted(got, ask)

    return server, client


def xmlrpc_both(server_module: Any, client_module: Any) -> Pair:
    def server() -> None:
        serving = server_module.SimpleXMLRPCServer(("0.0.0.0", 80), logRequests=False)
        serving.register_function(lambda number: 2 * number, "double")
        serving.serve_forever()

    def client(got: list[Any]) -> None:
        noted(got, client_module.ServerProxy("http://server/").double)

    return server, client


def rpyc_both(rpyc: Any, servers: Any) -> Pair:
    class Service(rpyc.Service):  # type: ignore[misc, name-defined]  # Any, imported where it is installed
        def exposed_double(self, number: int) -> int:
            return 2 * number

    def client(got: list[Any]) -> None:
        connection = rpyc.connect("server", 18812, config={"sync_request_timeout": 4})
        noted(got, lambda number: connection.root.double(number))

    def server() -> None:
        servers.ThreadedServer(Service, hostname="0.0.0.0", port=18812).start()

    return server, client


def dnspython_both(message: Any, rrset: Any, resolver: Any) -> Pair:
    def server() -> None:
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(("0.0.0.0", 53))
        while True:
            wire, sender = sock.recvfrom(4096)
            query = message.from_wire(wire)
            response = message.make_response(query)
            response.answer.append(rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.1"))
            sock.sendto(response.to_wire(), sender)

    def client(got: list[Any]) -> None:
        asking = resolver.Resolver(configure=False)
        asking.nameservers, asking.lifetime = ["10.0.0.2"], 1.0
        noted(got, lambda number: asking.resolve(f"host{number}.example", "A")[0].to_text())

    return server, client


def redis_and_a_small_server(redis: Any) -> Pair:
    def answer(connection: Any) -> None:
        file = connection.makefile("rwb")
        data: dict[bytes, bytes] = {}
        while line := file.readline():
            words = [file.read(int(file.readline()[1:]) + 2)[:-2] for _ in range(int(line[1:]))]
            match words[0].upper():
                case b"SET":
                    data[words[1]] = words[2]
                    file.write(b"+OK\r\n")
                case b"GET":
                    file.write(b"$%d\r\n%s\r\n" % (len(data[words[1]]), data[words[1]]))
                case b"HELLO":
                    file.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
                case _:
                    file.write(b"+OK\r\n")
            file.flush()

    def client(got: list[Any]) -> None:
        connection = redis.Redis(host="server", socket_timeout=1, retry=None)

        def ask(number: int) -> Any:
            connection.set("key", str(number))
            return connection.get("key").decode()

        noted(got, ask)

    return accepting(6379, answer), client


def accepting(port: int, answer: Callable[[Any], None]) -> Callable[[], None]:
    def server() -> None:
        listening = socket.create_server(("0.0.0.0", port))
        while True:
            threading.Thread(target=answer, args=(listening.accept()[0],)).start()

    return server


def paho_and_a_small_broker(mqtt: Any) -> Pair:
    subscribers: list[Any] = []

    def packets(file: Any) -> Any:
        while head := file.read(1):
            size = shift = 0
            while True:
                byte = file.read(1)[0]
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            yield head[0], file.read(size)

    def answer(connection: Any) -> None:
        subscribers.clear()
        for head, body in packets(connection.makefile("rb")):
            match head >> 4:
                case 1:
                    connection.sendall(b"\x20\x02\0\0")
                case 8:
                    subscribers.append(connection)
                    connection.sendall(b"\x90\x03" + body[:2] + b"\0")
                case 3:
                    for one in subscribers:
                        one.sendall(bytes([head, len(body)]) + body)
                case 12:
                    connection.sendall(b"\xd0\0")

    def client(got: list[Any]) -> None:
        one = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="one")
        one.on_message = lambda client, data, message: got.append(message.payload.decode())
        one.on_connect = lambda client, *_: client.subscribe("topic")  # again after each reconnection
        one.connect("server")
        one.loop_start()
        time.sleep(0.5)
        for number in range(3):
            one.publish("topic", f"message {number}")
            time.sleep(1)
        time.sleep(2)
        one.disconnect()
        one.loop_stop()

    return accepting(1883, answer), client
