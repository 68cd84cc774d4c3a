"""The libraries that run unmodified over the simulated network, and a script that tries them all in fresh processes.

``python tests/external/libraries.py`` makes an environment with the libraries at pinned versions, records each program
in a process of its own, replays it in another one under another hash seed, compares the two digests and results, and
keeps what came out in ``benchmarks/results/libraries.json``, of which the table in ``docs/compatibility.md`` is made.
A program is run calm, through a partition, and through a crash of the server, which begins anew.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KEPT = ROOT / "benchmarks" / "results" / "libraries.json"
PAGE = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- libraries -->\n", "<!-- end of libraries -->"
DEPENDENCIES = ("trio", "msgpack", "greenlet", "sortedcontainers", "click", "rich")  # detrun's, as constraints.txt pins
PINNED = (
    *("aiohttp==3.14.5", "uvicorn==0.54.0", "fastapi==0.165.0", "httpx==0.28.1", "hypercorn==0.18.0"),
    *("websockets==17.4", "redis==8.1.0", "waitress==3.0.2", "cheroot==11.1.2", "requests==2.34.2", "rpyc==6.0.2"),
    *("dnspython==2.9.2", "paho-mqtt==2.2.0", "pysyncobj==0.3.17", "sqlalchemy==2.1.9", "joblib==1.6.0", "apsw"),
)
SECONDS = 120  # for one process
SEEDS = ("1", "77")  # PYTHONHASHSEED of the process that records, and of the one that replays

sys.path.insert(0, str(HERE))
import asyncio_libraries as on_asyncio  # noqa: E402
import thread_libraries as on_threads  # noqa: E402
import trio  # noqa: E402
import whole_libraries as whole  # noqa: E402

import detrun  # noqa: E402


class Library(NamedTuple):
    """One program of libraries.

    Attributes:
        name: as the table calls it.
        distributions: the packages, whose versions the table has; none: of Python.
        modules: that ``make`` is given.
        make: a server and a client, or else whole programs by what happens to them.
        beside: trio or asyncio, which the program that drives server and client uses.
        expected: what the client got, by what happens.
    """

    name: str
    distributions: tuple[str, ...]
    modules: tuple[str, ...]
    make: Callable[..., Any]
    beside: Any
    expected: Mapping[str, Any]


DIGESTS = [["e3b0c4", "41edec"], ["c4a700", "556ac8"], ["82396e", "c526c6"]]  # SHA-256 of 0 to 5 thousand letters a
SQUARES = [0, 1, 4, 9, 16, 25]


def _expected(calm: Any, partition: Any, crash: Any) -> dict[str, Any]:
    return {"calm": calm, "partition": partition, "crash": crash}


LIBRARIES = (
    Library(
        *("aiohttp, server and client", ("aiohttp",), ("aiohttp", "aiohttp.web"), on_asyncio.aiohttp_both, asyncio),
        _expected([0, 9_000, 18_000], [0, "TimeoutError", 18_000], [0, "ClientConnectorError", 18_000]),
    ),
    Library(
        *("uvicorn with FastAPI, and httpx", ("uvicorn", "fastapi", "httpx"), ("uvicorn", "fastapi", "httpx")),
        *(on_asyncio.uvicorn_with_fastapi_and_httpx, asyncio),
        _expected([0, 1, 2], [0, "ReadTimeout", 2], [0, "ConnectError", 2]),
    ),
    Library(
        *("hypercorn and httpx", ("hypercorn", "httpx"), ("hypercorn.config", "hypercorn.asyncio", "httpx")),
        *(on_asyncio.hypercorn_and_httpx_with_two_requests_at_once, asyncio),
        _expected(
            *([DIGESTS[0], middle, DIGESTS[2]] for middle in (DIGESTS[1], ["ReadTimeout"] * 2, ["ConnectError"] * 2))
        ),
    ),
    Library(
        *("websockets, server and client", ("websockets",), ("websockets.asyncio.client", "websockets.asyncio.server")),
        *(on_asyncio.websockets_both, asyncio),
        _expected(*[["0!", "1!", "2!"]] * 2, ["0!", "ConnectionClosedError", "ConnectionClosedError"]),
    ),
    Library(
        *("redis.asyncio, against a small server", ("redis",), ("redis.asyncio",)),
        *(on_asyncio.redis_and_a_small_server, asyncio),
        _expected(["0", "1", "2"], ["0", "TimeoutError", "2"], ["0", "ConnectionError", "2"]),
    ),
    Library(
        *("redis, against a small server", ("redis",), ("redis",), on_threads.redis_and_a_small_server, trio),
        _expected(["0", "1", "2"], ["0", "TimeoutError", "2"], ["0", "ConnectionError", "2"]),
    ),
    Library(
        *("http.server and urllib", (), ("http.server", "urllib.request"), on_threads.http_server_and_urllib, trio),
        _expected(["0", "9000", "18000"], *[["0", "URLError", "18000"]] * 2),
    ),
    Library(
        *("http.server and requests", ("requests",), ("http.server", "urllib.request", "requests")),
        *(on_threads.http_server_and_requests, trio),
        _expected(["0", "9000", "18000"], ["0", "ConnectTimeout", "18000"], ["0", "ConnectionError", "18000"]),
    ),
    Library(
        *("waitress and requests", ("waitress", "requests"), ("waitress", "requests")),
        *(on_threads.waitress_and_requests, trio),
        _expected(["0", "9000", "18000"], ["0", "ReadTimeout", "18000"], ["0", "ConnectionError", "18000"]),
    ),
    Library(
        *("cheroot and requests", ("cheroot", "requests"), ("cheroot.wsgi", "requests")),
        *(on_threads.cheroot_and_requests, trio),
        _expected(["0", "9000", "18000"], ["0", "ReadTimeout", "18000"], ["0", "ConnectionError", "18000"]),
    ),
    Library(
        *("socketserver", (), ("socketserver",), on_threads.socketserver_and_files, trio),
        _expected(*[["A0\n", "A1\n", "A2\n"]] * 2, ["A0\n", "", "BrokenPipeError"]),
    ),
    Library(
        *("xmlrpc", (), ("xmlrpc.server", "xmlrpc.client"), on_threads.xmlrpc_both, trio),
        _expected([0, 2, 4], [0, 2, 4], [0, "ConnectionRefusedError", 4]),
    ),
    Library(
        *("rpyc, server and client", ("rpyc",), ("rpyc", "rpyc.utils.server"), on_threads.rpyc_both, trio),
        _expected([0, 2, 4], [0, 2, 4], [0, "EOFError", "EOFError"]),
    ),
    Library(
        *("pysyncobj, three nodes that elect a leader", ("pysyncobj",), ("pysyncobj", "pysyncobj.node")),
        *(whole.pysyncobj_of_three, trio),
        _expected(*({"first": 1, "second": 2, "a": 2, "b": 2, "c": 2} for _ in range(3))),
    ),
    Library(
        *("dnspython, against a small server", ("dnspython",), ("dns.message", "dns.rrset", "dns.resolver")),
        *(on_threads.dnspython_both, trio),
        _expected(["192.0.2.1"] * 3, *[["192.0.2.1", "LifetimeTimeout", "192.0.2.1"]] * 2),
    ),
    Library(
        *("paho-mqtt, against a small broker", ("paho-mqtt",), ("paho.mqtt.client",)),
        *(on_threads.paho_and_a_small_broker, trio),
        _expected(*[["message 0", "message 1", "message 2"]] * 2, ["message 0", "message 2"]),
    ),
    Library(
        *("SQLAlchemy on SQLite", ("sqlalchemy",), ("sqlalchemy",), whole.sqlalchemy_on_sqlite, trio),
        {"power loss": {"many": True, "kept": True, "durable": True}},
    ),
    Library(
        *("multiprocessing.pool.ThreadPool", (), ("multiprocessing.pool",), whole.pool_of_threads, trio),
        {"calm": SQUARES, "crash": [SQUARES]},
    ),
    Library(
        *("joblib's threads", ("joblib",), ("joblib",), whole.joblib_in_threads, trio),
        {"calm": SQUARES, "crash": [SQUARES]},
    ),
)


def programs(library: Library) -> dict[str, tuple[Callable[..., Any], str]]:
    """The programs of a library and their backends, by what happens to them.

    Raises:
        ImportError: one of its modules is not installed.
    """
    made = library.make(*(importlib.import_module(module) for module in library.modules))
    if isinstance(made, dict):
        return {name: (program, "auto") for name, program in made.items()}
    kinds = {"calm": _nothing, "partition": _partition, "crash": _crash}
    backend = library.beside.__name__
    return {name: (partial(_driven, library.beside, *made, strike), backend) for name, strike in kinds.items()}


async def _driven(beside: Any, server: Any, client: Any, strike: Callable[..., Any]) -> list[Any]:
    """What the client notes of three requests, a second apart, the second of which meets what happens."""
    got: list[Any] = []
    async with detrun.World(latency=0.01, loss=0.01) as world:
        world.node("server").start(server)
        await beside.sleep(0.5)
        world.node("client").start(client, got)
        await beside.sleep(0.8)
        await strike(world, beside)
        await world.node("client").ended()
    return got


async def _nothing(world: detrun.World, beside: Any) -> None:
    """No fault."""


async def _partition(world: detrun.World, beside: Any) -> None:
    world.partition("server", "client")
    await beside.sleep(1.5)
    world.heal()


async def _crash(world: detrun.World, beside: Any) -> None:
    world.node("server").crash()
    await beside.sleep(0.7)
    world.node("server").restart()


def tried(library: Library, kind: str, python: str) -> dict[str, Any]:
    """Record a program in a fresh process, replay it in another; what came out."""
    with tempfile.TemporaryDirectory() as directory:
        file = str(Path(directory) / "run.detrun")
        ends = []
        for action, seed in zip(("record", "replay"), SEEDS, strict=True):
            paths = os.pathsep.join(map(str, (ROOT, ROOT / "scheduler", ROOT / "recorder")))
            done = subprocess.run(
                [python, __file__, "--one", action, library.name, kind, file],
                env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": seed},
                cwd=directory,
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
            if done.returncode:
                return {"problem": f"{action}: {(done.stderr.strip().splitlines() or ['?'])[-1]}"}
            ends.append(json.loads(done.stdout.strip().splitlines()[-1]))
    return judged(*ends, library.expected[kind])


def judged(recorded: dict[str, Any], replayed: dict[str, Any], expected: Any) -> dict[str, Any]:
    """What came out of both processes, or what is wrong with it."""
    if recorded != replayed:
        return {"problem": "the replay differs"}
    if recorded["result"] != json.loads(json.dumps(expected)):
        return {"problem": f"unexpected result {recorded['result']}"}
    return recorded


def one(action: str, name: str, kind: str, file: str) -> None:
    """Record or replay one program in this process, and print how it went."""
    library = next(one for one in LIBRARIES if one.name == name)
    program, backend = programs(library)[kind]
    run: Any
    if action == "record":
        run = detrun.record(program, backend=backend, to=file)  # type: ignore[arg-type]  # a word of three
    else:
        run = detrun.replay(program, recording=file)
    print(json.dumps({"digest": run.digest, "steps": run.steps, "result": run.result}))


def table(kept: dict[str, Any]) -> str:
    """The table of ``docs/compatibility.md``."""
    kinds = ("calm", "partition", "crash")
    lines = ["| library | version | on | steps, calm | partition | crash |", "|---|---|---|---:|---:|---:|"]
    for row in kept["rows"]:
        cells = [
            _cell(row["runs"].get(kind) or (row["runs"].get("power loss") if kind == "crash" else None))
            for kind in kinds
        ]
        lines.append(
            " | ".join(("| " + row["library"], ", ".join(row["versions"]) or "of Python", row["on"], *cells)) + " |"
        )
    return "\n".join(lines) + "\n"


def _cell(run: dict[str, Any] | None) -> str:
    if run is None:
        return "–"
    return f"**{run['problem']}**" if "problem" in run else f"{run['steps']:,}"


def prepare(directory: Path) -> str:
    """The interpreter of an environment with the libraries, which is made if it is not there."""
    python = directory / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    wanted = [*(f"{name}=={pins[name]}" for name in DEPENDENCIES), *PINNED]
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--no-input", *wanted], check=True)
    return str(python)


def main(arguments: list[str] | None = None) -> None:
    """Try all, print the table, keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv-libraries", help="made if it is not there")
    parser.add_argument(
        "--only", action="append", default=[], metavar="WORDS", help="libraries with this in their names"
    )
    parser.add_argument("--show", action="store_true", help="run nothing: print the table of what is kept")
    parser.add_argument(
        "--one", nargs=4, metavar=("ACTION", "LIBRARY", "KIND", "FILE"), help="what the script calls itself with"
    )
    options = parser.parse_args(arguments)
    if options.one:
        one(*options.one)
        return
    kept: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {"rows": []}
    if not options.show:
        python = prepare(options.environment)
        rows = {row["library"]: row for row in kept["rows"]}
        for library in LIBRARIES:
            if not options.only or any(words in library.name for words in options.only):
                rows[library.name] = _row(library, python)
        kept = {"python": platform.python_version(), "rows": [rows[one.name] for one in LIBRARIES if one.name in rows]}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    print(table(kept), end="")


def _row(library: Library, python: str) -> dict[str, Any]:
    code = f"from importlib.metadata import version; print(*map(version, {library.distributions!r}))"
    versions = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    runs = {}
    for kind in library.expected:
        print(f"{library.name}: {kind}", file=sys.stderr)
        runs[kind] = tried(library, kind, python)
    on = "asyncio" if library.beside is asyncio else "threads"
    return {"library": library.name, "versions": versions, "on": on, "runs": runs}


if __name__ == "__main__":
    main()
