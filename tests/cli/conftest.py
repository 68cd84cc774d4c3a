"""A directory with programs, and the command line called in it: in this process, or as a user's shell would."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from detrun.cli.application import application

PROGRAMS = """
import sys
import socket

import trio

import detrun

KEPT = []
EDIT = False


async def race(params):
    x = detrun.Atomic(params["x"])

    async def add():
        await trio.lowlevel.checkpoint()
        x.fetch_add(params["step"])

    async def double():
        await trio.lowlevel.checkpoint()
        x.fetch_mul(2.0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(add)
        nursery.start_soon(double)
    return x.load()


async def queue(params):
    free, total = 0.0, 0.0
    for _ in range(30):
        await trio.sleep(detrun.exponential(params["between"]))
        start = detrun.maximum(trio.current_time(), free)
        total = total + (start - trio.current_time())
        free = start + detrun.exponential(params["service"])
    return total


async def rounds():
    async def worker(count):
        for _ in range(count):
            await trio.sleep(0.5)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(worker, 4 + number)
    return "done"


async def edited():
    async def worker(count):
        for _ in range(count):
            await trio.sleep(0.5)
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(worker, 4 + number)
    return "done"


async def prints():
    print("said by the program")
    return {"numbers": [1, 2.5, float("inf")], "other": int}


async def fails():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(unlucky)


async def unlucky():
    await trio.sleep(1)
    raise ValueError("no luck")


async def exits():
    sys.exit(9)


async def deadlocks():
    a, b = trio.Lock(), trio.Lock()

    async def takes(one, other):
        async with one:
            await trio.sleep(1)
            async with other:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(takes, a, b)
        nursery.start_soon(takes, b, a)


async def spins():
    while True:
        await trio.lowlevel.checkpoint()


async def blocks():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(opens_a_socket)


async def opens_a_socket():
    socket.socket()


async def nests():
    detrun.record(spins)


async def remembers():
    KEPT.append(1)
    for _ in KEPT:
        await trio.lowlevel.checkpoint()


async def no_number(params):
    return str(params["x"])


async def needs_two(first, second):
    pass


def ordinary():
    pass
"""

Call = Callable[..., Result]

# Before click 8.2 the runner mixed both outputs unless told not to; since then it cannot be told.
_SEPARATE = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
RUNNER = CliRunner(**_SEPARATE)  # type: ignore[arg-type]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with ``programs.py`` in it; what the command line imports is forgotten afterwards."""
    (tmp_path / "programs.py").write_text(PROGRAMS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(sys.modules)
    yield tmp_path
    for name in [name for name in sys.modules if name not in before]:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def call(directory: Path) -> Call:
    """Call the command line in this process; ``given`` is its standard input."""

    def call(*arguments: str, code: int = 0, given: str | None = None) -> Result:
        result = RUNNER.invoke(application, arguments, input=given)
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture
def call_json(call: Call) -> Callable[..., dict[str, Any]]:
    """The same with ``--json``: the document."""

    def call_json(*arguments: str, code: int = 0) -> dict[str, Any]:
        document = json.loads(call(*arguments, "--json", code=code).stdout)
        assert document["command"] == arguments[0]
        assert document["exit_code"] == code
        assert document["ok"] is (code == 0)
        assert (document["error"] is None) is (code == 0)
        return dict(document)

    return call_json


@pytest.fixture
def shell(directory: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call ``python -m detrun`` in a process of its own."""

    def shell(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        return subprocess.run(
            [sys.executable, "-m", "detrun", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": path, **environment},
            check=False,
        )

    return shell
