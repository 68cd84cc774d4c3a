"""A second reader of recordings, written from ``docs/file-format.md`` alone: the proof that the page is enough.

It imports nothing of detrun and shares no code with the reader under test. Where it has no opinion it asserts.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from typing import Any

import msgpack

EVENTS = {
    1: ("time", 0),
    2: ("spawn", 1),
    3: ("wake", 1),
    4: ("operation", 2),
    5: ("draw", 0),
    6: ("effect", 1),
    7: ("send", 1),
    8: ("receive", 1),
    9: ("observe", 1),
    10: ("fault", 1),
    11: ("spawn", 0),
}
OPERATION_NAMES = dict(
    enumerate(
        """
        load store exchange fetch_add fetch_sub fetch_mul fetch_max fetch_min compare_exchange compare_exchange_failed
        read write acquire release wait notify put get start join withdraw
        """.split()  # noqa: SIM905 (as the page lists them)
    )
)


def varint(stream: io.BytesIO) -> int:
    number = shift = 0
    while True:
        (byte,) = stream.read(1)
        number += (byte % 128) << shift
        shift += 7
        if byte < 128:
            return number


def varints(content: bytes) -> list[int]:
    stream = io.BytesIO(content)
    numbers = []
    while stream.tell() < len(content):
        numbers.append(varint(stream))
    return numbers


def column(value: Any) -> bytes:
    length, content = value
    if len(content) < length:
        content = zlib.decompress(content, wbits=-15)
    assert len(content) == length
    return bytes(content)


def texts(content: bytes) -> list[str]:
    stream = io.BytesIO(content)
    found = []
    while stream.tell() < len(content):
        found.append(stream.read(varint(stream)).decode("utf-8"))
    return found


def words(content: bytes, count: int) -> list[int]:
    if count == 0:
        return []
    width = len(content) // count
    planes = [content[plane * count : plane * count + count] for plane in range(width)]
    return [int.from_bytes(bytes(plane[index] for plane in planes), "big") for index in range(count)]


def read(content: bytes) -> dict[str, Any]:
    """Everything in a whole or truncated recording, decoded; asserts where the file breaks the format."""
    magic, major, minor, crc = struct.unpack_from("<8sHHI", content)
    assert magic == b"\x89detrun\n"
    assert (major, minor) in ((1, 0), (2, 0), (2, 1), (2, 2), (2, 3))
    assert crc == zlib.crc32(content[:12])
    position = 16
    result: dict[str, Any] = {"chunks": [], "end": None, "index": None, "header": None}
    while position + 13 <= len(content) and result["index"] is None:
        kind, length, payload_crc, head_crc = struct.unpack_from("<BIII", content, position)
        assert head_crc == zlib.crc32(struct.pack("<Q", position) + content[position : position + 9])
        payload = content[position + 13 : position + 13 + length]
        if len(payload) < length:
            return finish(result)
        assert payload_crc == zlib.crc32(payload)
        if kind < 0x80:
            value = msgpack.unpackb(payload)
            if kind == 1:
                tie = hashlib.blake2b(payload, digest_size=8).digest()
            elif (major, minor) >= (2, 1):
                assert value["header"] == tie
            if kind == 2:
                result["chunks"].append((position, value))
            else:
                result[{1: "header", 3: "end", 4: "index"}[kind]] = value
                trailer = content[position + 13 + length :]
                if kind == 4 and len(trailer) >= 20:
                    trailer_crc = zlib.crc32(trailer[:16])
                    assert struct.unpack("<8sQI", trailer) == (b"detrunIX", position, trailer_crc)
        position += 13 + length
    return finish(result)


def finish(result: dict[str, Any]) -> dict[str, Any]:
    """The steps and the index in plain terms."""
    tables: dict[str, Any] = {"tasks": {}, "kinds": [], "objects": [], "names": [], "endings": {}}
    runnable = {0}
    steps: list[dict[str, Any]] = []
    touched = []
    for _, chunk in result["chunks"]:
        columns = {name: column(value) for name, value in chunk["columns"].items()}
        assert chunk["first_step"] == len(steps)
        spawned = define(tables, columns)
        if "runnable" in columns:
            differences = varints(columns["runnable"])
            said = [sum(differences[: at + 1]) for at in range(len(differences))]
            assert said == sorted(runnable)
        before = len(steps)
        decode(chunk, columns, tables, runnable, spawned, result["header"]["ticks_per_second"], steps)
        assert len(steps) - before == chunk["steps"]
        objects = {
            event[1]
            for step in steps[before:]
            for event in step["events"]
            if event[0] in ("operation", "send", "receive")
        }
        touched.append(sorted(objects))
    if result["index"] is not None:
        result["index"] = decode_index(result["index"])
    return {**result, "tables": tables, "steps": steps, "touched": touched}


def define(tables: dict[str, Any], columns: dict[str, bytes]) -> list[int]:
    """Fill the tables; the numbers of the tasks that "spawn next" may mean."""
    for name in ("kinds", "objects", "names"):
        tables[name] += texts(columns.get(name, b""))
    ended = varints(columns.get("endings", b""))
    words_of_endings = texts(columns.get("ending_texts", b""))
    tables["endings"].update((ended[at], words_of_endings[ended[at + 1]]) for at in range(0, len(ended), 2))
    content = columns.get("tasks", b"")
    stream = io.BytesIO(content)
    number = 0
    while stream.tell() < len(content):
        number += varint(stream)
        parent = varint(stream) - 1
        tables["tasks"][number] = (parent, stream.read(varint(stream)).decode())
    stems, leaves = texts(columns.get("stems", b"")), texts(columns.get("leaves", b""))
    fields = varints(columns.get("spawns", b""))
    expected: dict[tuple[int, int], int] = {}
    number, spawned = 0, []
    while fields:
        difference, parent, stem, leaf, coded = fields[:5]
        del fields[:5]
        number += difference
        place = expected.get((stem, leaf), 0) + ((coded + 1) // -2 if coded & 1 else coded // 2)
        expected[stem, leaf] = place + 1
        path = (stems[stem - 1] + "/" if stem else "") + leaves[leaf] + (f"[{place}]" if place else "")
        tables["tasks"][number] = (parent - 1, path)
        if number:
            spawned.append(number)
    return spawned


def decode(
    chunk: dict[str, Any],
    columns: dict[str, bytes],
    tables: dict[str, Any],
    runnable: set[int],
    spawned: list[int],
    ticks_per_second: int,
    steps: list[dict[str, Any]],
) -> None:
    now: float
    if isinstance(chunk["start"], float):
        now = chunk["start"]
        bits = words(columns.get("seconds", b""), chunk["times"])
        times = [struct.unpack("<d", struct.pack("<Q", word))[0] for word in bits]
    else:
        tick, times = chunk["start"], []
        now = tick / ticks_per_second
        for difference in words(columns.get("ticks", b""), chunk["times"]):
            tick += difference
            times.append(tick / ticks_per_second)
    choices = varints(columns.get("choices", b""))
    joined = io.BytesIO(columns.get("payloads", b""))
    payloads = [joined.read(length) for length in varints(columns.get("payload_lengths", b""))]
    events = io.BytesIO(columns.get("events", b""))
    for outcome in columns.get("outcomes", b""):
        order = sorted(runnable)
        choice = choices.pop(0) if len(order) > 1 else None
        task = order[choice or 0]
        runnable.remove(task)
        ended = outcome % 128
        if ended == 0:
            runnable.add(task)
        found: list[tuple[Any, ...]] = []
        places: list[int] = []  # of the receive that comes next
        began = now
        while outcome >= 128 and (code := events.read(1)[0]) != 0:
            name, count = EVENTS[code]
            arguments = [varint(events) for _ in range(count)] if code != 11 else [spawned.pop(0)]
            if name == "time":
                now = times.pop(0)
                found.append((name, now))
            elif name in ("spawn", "wake"):
                runnable.add(arguments[0])
                found.append((name, arguments[0], tables["tasks"][arguments[0]][1]))
            elif name == "operation" and arguments[1] > 64:
                places.append(arguments[1] - 64)
            elif name == "operation":
                found.append((name, arguments[0], tables["objects"][arguments[0]], OPERATION_NAMES[arguments[1]]))
            elif name == "draw":
                found.append((name,))
            elif name == "effect":
                found.append((name, arguments[0], tables["names"][arguments[0]], payloads.pop(0)))
            else:
                table = tables["objects" if name in ("send", "receive") else "names"]
                found.append((name, arguments[0], table[arguments[0]], *places))
                places.clear()
        words_of = {0: "checkpoint", 1: "done", 2: "failed", 127: "other wait"}
        steps.append(
            {
                "time": began,
                "task": task,
                "path": tables["tasks"][task][1],
                "runnable": tuple(order),
                "choice": choice,
                "outcome": words_of[ended] if ended in words_of else tables["kinds"][ended - 3],
                "events": found,
            }
        )


def decode_index(index: dict[str, Any]) -> dict[str, Any]:
    count = index["chunks"]
    numbers = varints(column(index["objects"]))
    objects: list[list[int] | None] = []
    for _ in range(count):
        listed = numbers.pop(0)
        number, found = 0, []
        for _ in range(listed - 1):
            number += numbers.pop(0)
            found.append(number)
        objects.append(found if listed else None)

    def sums(differences: list[int]) -> list[int]:
        return [sum(differences[: place + 1]) for place in range(len(differences))]

    return {
        "positions": sums(varints(column(index["positions"]))),
        "first_steps": sums(varints(column(index["first_steps"]))),
        "starts": list(struct.unpack(f"<{count}d", column(index["starts"]))),
        "objects": objects,
    }
