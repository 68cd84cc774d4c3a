"""Servers and clients that block in threads, unmodified, on nodes of a world, and pools of threads.

None of the libraries is needed to develop detrun, so each test is skipped where its library is not installed. Run this
file as a script to print the rows of ``docs/compatibility.md`` for what is installed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from detrun_scheduler import current

sys.path.insert(0, str(Path(__file__).resolve().parent))
from partitions import replayed, through_a_partition

pytestmark = [pytest.mark.external, pytest.mark.one_python]

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
    class Handler(socketserver.StreamRequestHandler):  # type: ignore[misc, name-defined]  # Any, imported in the test
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
    class Service(rpyc.Service):  # type: ignore[misc, name-defined]  # Any, imported in the test
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
        one.connect("server")
        one.subscribe("topic")
        one.loop_start()
        time.sleep(0.5)
        for number in range(3):
            one.publish("topic", f"message {number}")
            time.sleep(1)
        time.sleep(2)
        one.disconnect()
        one.loop_stop()

    return accepting(1883, answer), client


# What makes server and client, the modules that it is given, and what the client gets.
PAIRS: dict[str, tuple[Callable[..., Pair], tuple[str, ...], list[Any]]] = {
    "waitress": (waitress_and_requests, ("waitress", "requests"), ["0", "ReadTimeout", "18000"]),
    "cheroot": (cheroot_and_requests, ("cheroot.wsgi", "requests"), ["0", "ReadTimeout", "18000"]),
    "socketserver": (socketserver_and_files, ("socketserver",), ["A0\n", "A1\n", "A2\n"]),
    "xmlrpc": (xmlrpc_both, ("xmlrpc.server", "xmlrpc.client"), [0, 2, 4]),
    "rpyc": (rpyc_both, ("rpyc", "rpyc.utils.server"), [0, 2, 4]),
    "dnspython": (
        dnspython_both,
        ("dns.message", "dns.rrset", "dns.resolver"),
        ["192.0.2.1", "LifetimeTimeout", "192.0.2.1"],
    ),
    "redis": (redis_and_a_small_server, ("redis",), ["0", "TimeoutError", "2"]),
    "paho-mqtt": (paho_and_a_small_broker, ("paho.mqtt.client",), ["message 0", "message 1", "message 2"]),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_server_and_its_client_through_a_partition(name: str) -> None:
    make, modules, expected = PAIRS[name]
    assert through_a_partition(trio, *make(*(pytest.importorskip(module) for module in modules))) == expected


def test_three_nodes_of_pysyncobj_elect_a_leader_and_survive_a_partition() -> None:
    pysyncobj = pytest.importorskip("pysyncobj")

    class Counter(pysyncobj.SyncObj):  # type: ignore[misc, name-defined]  # Any, imported in the test
        def __init__(self, name: str, others: list[str]) -> None:
            super().__init__(f"{name}:4000", [f"{one}:4000" for one in others])
            self.value = 0

        @pysyncobj.replicated
        def add(self) -> int:
            self.value += 1
            return self.value

    def member(name: str, others: list[str], got: dict[str, Any]) -> None:
        counter = Counter(name, others)
        time.sleep(5)  # there is a leader
        if name == "a":
            got["first"] = counter.add(sync=True, timeout=4)
        time.sleep(2)  # the partition is over
        if name == "a":
            got["second"] = counter.add(sync=True, timeout=9)
        time.sleep(12)
        got[name] = counter.value

    async def main() -> dict[str, Any]:
        got: dict[str, Any] = {}
        names = ["a", "b", "c"]
        async with detrun.World(latency=0.002) as world:
            for name in names:
                world.node(name).start(member, name, [one for one in names if one != name], got)
            await trio.sleep(6)
            world.partition("a", ["b"])
            await trio.sleep(0.8)
            world.heal()
            for name in names:
                await world.node(name).ended()
        return got

    assert replayed(main) == {"first": 1, "second": 2, "a": 2, "b": 2, "c": 2}


def test_pools_of_threads() -> None:
    def pool() -> list[int]:
        from multiprocessing.pool import ThreadPool

        with ThreadPool(3) as threads:
            return threads.map(lambda number: number**2, range(6))

    assert replayed(pool) == [0, 1, 4, 9, 16, 25]
    joblib = pytest.importorskip("joblib")

    def parallel() -> Any:
        calls = (joblib.delayed(pow)(number, 2) for number in range(6))
        return joblib.Parallel(n_jobs=3, backend="threading")(calls)

    assert replayed(parallel) == [0, 1, 4, 9, 16, 25]


def test_a_thread_whose_name_has_an_address_in_it_has_a_path_without_it() -> None:
    def program() -> list[str]:
        found: list[str] = []

        def tell() -> None:
            run: Any = current.run
            found.append(run.path_of(run.current))

        thread = threading.Thread(target=tell, name="of <object at 0x7f3a5c0d1e20> 140737488355328 at 1767225600000")
        thread.start()
        thread.join()
        return found

    assert detrun.record(program).result == ["main/of <object at ...> ... at 1767225600000"]


def table() -> str:
    """Rows of ``docs/compatibility.md``."""
    lines = ["| library | version |", "|---|---|"]
    for name in (*PAIRS, "requests", "pysyncobj", "joblib"):
        try:
            lines.append(f"| {name} | {importlib.metadata.version(name)} |")
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"| {name} | of Python, or not installed |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
