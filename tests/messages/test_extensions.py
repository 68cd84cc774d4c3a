"""Extension types of msgpack are numbered in one place, and the bytes of each stay what they are."""

from __future__ import annotations

import ast
import enum
from dataclasses import dataclass
from pathlib import Path

import msgpack
import numpy as np
import pytest

from detrun import pack
from detrun.ad.value import Value
from detrun.determinism.fresh_process import pack_arguments
from detrun.machines.codec import StateCodec
from detrun.messages import extensions

ROOT = Path(__file__).resolve().parents[2]
NAMES = {name for name in vars(extensions) if name.isupper() and name != "NEXT"}


@dataclass
class Point:
    x: int


class Colour(enum.Enum):
    RED = 1


def tracked() -> Value:
    value = Value.__new__(Value)
    value.primal, value.id = 0.5, 7
    return value


def numbers_in(source: str) -> list[str]:
    """What ``source`` gives as the number of each extension that it makes."""
    return [
        ast.unparse(node.args[0])
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("ExtType", "pack_ext_type")
    ]


@pytest.mark.one_python
def test_every_extension_is_numbered_by_a_name_of_the_list() -> None:
    used: set[str] = set()
    for room in ("scheduler", "recorder", "detrun"):
        for path in sorted((ROOT / room).rglob("*.py")):
            used |= {*numbers_in(path.read_text())}
    assert used == NAMES


def test_a_number_of_its_own_is_found() -> None:
    assert not {*numbers_in("import msgpack\nmsgpack.ExtType(6, b'')")} & NAMES


def test_within_one_kind_of_bytes_a_number_means_one_thing() -> None:
    for kind in ("MESSAGE", "TREE"):
        numbers = [getattr(extensions, name) for name in NAMES if name.startswith(kind)]
        assert sorted(numbers) == list(range(1, extensions.NEXT))


@pytest.mark.parametrize(
    ("one", "body"),
    [
        ((1,), b"\x92\xc7\x00\x02\x01"),
        (Point(1), b"\x82\xc7\x05\x03Point\xc0\xa1x\x01"),
        (1 << 64, b"\xc7\x09\x04\x01" + bytes(8)),
        (np.zeros(1, np.uint8), b"\xc7\x12\x05\x94\xa5numpy\xa5uint8\x91\x01\xc4\x01\x00"),
    ],
)
def test_bytes_of_messages_stay_what_they_are(one: object, body: bytes) -> None:
    message = msgpack.unpackb(pack(one), ext_hook=msgpack.ExtType)
    assert (message.code, message.data[20:]) == (1, body)


@pytest.mark.parametrize(
    ("one", "code", "content"),
    [
        ((1,), 1, b"\x91\x01"),
        (1 << 64, 2, bytes(8) + b"\x01"),
        (Point(1), 3, msgpack.packb([f"{__name__}.Point", 1])),
        (1j, 3, b"\x93\xa7complex" + b"\xcb" + bytes(8) + b"\xcb\x3f\xf0" + bytes(6)),
        (tracked(), 5, b"\x93\xa6number\x07" + b"\xcb\x3f\xe0" + bytes(6)),
        (Colour.RED, 4, msgpack.packb([f"{__name__}.Colour", "RED"])),
    ],
)
def test_bytes_of_trees_stay_what_they_are(one: object, code: int, content: bytes) -> None:
    assert msgpack.unpackb(StateCodec().pack(one), ext_hook=msgpack.ExtType) == (code, content)


def test_bytes_of_arguments_stay_what_they_are() -> None:
    assert pack_arguments(((1,),)) == b"\xd5\x01\x91\x01"
