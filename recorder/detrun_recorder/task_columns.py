"""The columns of tasks, of their spawning and of their endings in a chunk, without what the chunk says elsewhere.

A program that starts a task for every message has thousands of tasks whose paths differ in their last number only, and
a spawn event for each that names the number after the one before. So a path is a *stem* (all before its last slash), a
*leaf* and the task's place among its siblings of that name, stems and leaves are listed once a chunk, and spawn events
lose their number wherever it is that of the next task in the list. In a key-value store of 17,000 tasks (the demo)
this takes a recording from 2.2 bytes a step to 1.5.

The rule: what a reader gives back is what the writer was given, byte for byte, whatever the tasks are called. A chunk
needs no other chunk to be read. Paths take more room than what says them, so they are counted while they are made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from detrun_recorder import format as layout
from detrun_recorder.format import Malformed, pack_varints, unpack_varint
from detrun_scheduler.errors import UsageError
from detrun_scheduler.journal import EVENT_ARGUMENTS, OPERATION, SPAWN, append_varint

Task = tuple[int, int, str]  # number, parent's number or -1, path
Ending = tuple[int, str]  # number of a task, and how it ended, see `detrun_scheduler.endings`

# In a file only: a `SPAWN` of the next task of the chunk's list, task 0 left out. Its number is kept free in `journal`.
SPAWN_NEXT = 11
PATH = re.compile(r"(?:(.*)/)?([^/]*?)(?:\[([1-9][0-9]{0,8})\])?", re.DOTALL)


def event_pattern(codes: Iterable[int], stop: int, stop_arguments: int) -> re.Pattern[bytes]:
    """Matches, at an event, all events up to the next one with code ``stop``, and that one as group 2."""
    number = rb"[\x80-\xff]*+[\x00-\x7f]"
    arguments = {**{code: EVENT_ARGUMENTS.get(code, 0) for code in codes}, 0: 0}
    del arguments[stop]
    kinds = (
        rb"[%b]%b" % (re.escape(bytes(code for code, n in arguments.items() if n == count)), number * count)
        for count in sorted(set(arguments.values()))
    )
    return re.compile(rb"((?:%b)*+)([%b]%b)" % (b"|".join(kinds), re.escape(bytes((stop,))), number * stop_arguments))


assert EVENT_ARGUMENTS[SPAWN] == 1
assert EVENT_ARGUMENTS[OPERATION] == 2
assert SPAWN_NEXT not in EVENT_ARGUMENTS
_TO_SPAWN = event_pattern(EVENT_ARGUMENTS, SPAWN, 1)
_TO_SPAWN_NEXT = event_pattern([*EVENT_ARGUMENTS, SPAWN_NEXT], SPAWN_NEXT, 0)


def pack_tasks(tasks: Sequence[Task]) -> dict[str, bytes]:
    """The columns ``spawns``, ``stems`` and ``leaves`` of ``tasks``, whose numbers ascend.

    Raises:
        UsageError: the paths have more characters than a chunk may have.
    """
    if sum(len(path) for _, _, path in tasks) > layout.PATH_CHARACTERS_MAX:
        raise UsageError(
            f"the paths of tasks {tasks[0][0]:,} to {tasks[-1][0]:,} have more than {layout.PATH_CHARACTERS_MAX:,} "
            "characters; a recording holds no more in one chunk: nest less deeply, or start fewer tasks in one step"
        )
    stems: dict[str, int] = {}
    leaves: dict[str, int] = {}
    siblings: dict[tuple[int, int], int] = {}  # (stem, leaf) -> place that the next one is expected to have
    packed: list[int] = []
    previous = 0
    for number, parent, path in tasks:
        assert number >= previous, "task numbers ascend"
        found = PATH.fullmatch(path)
        assert found is not None
        before, name, place = found.groups()
        stem = 0 if before is None else stems.setdefault(before, len(stems)) + 1
        leaf = leaves.setdefault(name, len(leaves))
        difference = int(place or 0) - siblings.get((stem, leaf), 0)
        siblings[stem, leaf] = int(place or 0) + 1
        packed += (
            number - previous,
            parent + 1,
            stem,
            leaf,
            2 * difference if difference >= 0 else -2 * difference - 1,
        )
        previous = number
    return {
        "spawns": pack_varints(packed),
        "stems": b"".join(map(layout.pack_text, stems)),
        "leaves": b"".join(map(layout.pack_text, leaves)),
    }


def unpack_tasks(spawns: bytes, stems: Sequence[str], leaves: Sequence[str], most: int) -> list[Task]:
    """The tasks of `pack_tasks`; raises `Malformed`, also for more than ``most``."""
    if len(spawns) > 5 * most and sum(byte < 0x80 for byte in spawns) > 5 * most:
        raise Malformed(f"there are more than {most} tasks in a file of this size")
    numbers = layout.unpack_varints(spawns)
    if len(numbers) % 5:
        raise Malformed("the column of spawns ends inside a task")
    tasks: list[Task] = []
    siblings: dict[tuple[int, int], int] = {}
    number = characters = 0
    for at in range(0, len(numbers), 5):
        difference, parent, stem, leaf, step = numbers[at : at + 5]
        if stem > len(stems) or leaf >= len(leaves):
            raise Malformed(f"a task has stem {stem} of {len(stems)} and leaf {leaf} of {len(leaves)}")
        place = siblings.get((stem, leaf), 0) + (step // 2 if step % 2 == 0 else -(step + 1) // 2)
        if place < 0:
            raise Malformed(f"a task has the place {place} among its siblings")
        siblings[stem, leaf] = place + 1
        path = f"{stems[stem - 1]}/{leaves[leaf]}" if stem else leaves[leaf]
        if place:
            path = f"{path}[{place}]"
        characters += len(path)
        if characters > layout.PATH_CHARACTERS_MAX:
            raise Malformed(f"the paths of a chunk's tasks have more than {layout.PATH_CHARACTERS_MAX} characters")
        number += difference
        tasks.append((number, parent - 1, path))
    return tasks


def pack_endings(endings: Sequence[Ending]) -> dict[str, bytes]:
    """The columns ``endings`` and ``ending_texts``: of each task that did not return its number and an index."""
    texts: dict[str, int] = {}
    packed: list[int] = []
    for number, text in endings:
        packed += (number, texts.setdefault(text, len(texts)))
    return {"endings": pack_varints(packed), "ending_texts": b"".join(map(layout.pack_text, texts))}


def unpack_endings(endings: bytes, texts: Sequence[str], most: int) -> list[Ending]:
    """The endings of `pack_endings`; raises `Malformed`, also for more than ``most``."""
    if len(endings) > 2 * most and sum(byte < 0x80 for byte in endings) > 2 * most:
        raise Malformed(f"more than {most} tasks end in a file of this size")
    numbers = layout.unpack_varints(endings)
    if len(numbers) % 2 or any(index >= len(texts) for index in numbers[1::2]):
        raise Malformed("the column of endings does not say how each of its tasks ended")
    return [(number, texts[index]) for number, index in zip(numbers[::2], numbers[1::2], strict=True)]


def drop_spawned(events: bytes, tasks: Sequence[Task]) -> bytes:
    """``events`` with `SPAWN_NEXT` for each `SPAWN`, if these are the tasks in order; unchanged otherwise."""
    expected = iter([number for number, _, _ in tasks if number])
    kept: list[bytes] = []
    position = 0
    while (found := _TO_SPAWN.match(events, position)) is not None:
        if unpack_varint(events, found.start(2) + 1)[0] != next(expected, None):
            return events
        kept += (found[1], bytes((SPAWN_NEXT,)))
        position = found.end()
    return b"".join((*kept, events[position:]))


def restore_spawned(events: bytes, tasks: Sequence[Task]) -> bytes:
    """The events from before `drop_spawned`; raises `Malformed`. Unknown codes stay, for the decoder to name."""
    expected = iter([number for number, _, _ in tasks if number])
    restored = bytearray()
    position = 0
    while (found := _TO_SPAWN_NEXT.match(events, position)) is not None:
        number = next(expected, None)
        if number is None:
            raise Malformed("more tasks are spawned than the chunk defines")
        restored += found[1]
        restored.append(SPAWN)
        append_varint(restored, number)
        position = found.end()
    restored += events[position:]
    return bytes(restored)
