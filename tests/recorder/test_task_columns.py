"""Task columns: paths in pieces and spawns without numbers are read back exactly, for all names of tasks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun_recorder import format as layout
from detrun_recorder.format import Malformed, pack_varints
from detrun_recorder.task_columns import SPAWN_NEXT, Task, drop_spawned, pack_tasks, restore_spawned, unpack_tasks
from detrun_scheduler.journal import EVENT_ARGUMENTS, SPAWN

# What looks like a place and is none, what has slashes or brackets in odd spots, and what a program really has.
ODD = st.sampled_from(
    ["", "/", "[", "]", "[0]", "[01]", "a[1", "a]", "a[1][2]", "a\n", "[3]", "a[99999999999]", "ä/ö[7]"]
)
NAMES = st.one_of(ODD, st.sampled_from(["main", "main/worker", "main/a/worker[2]"]), st.text("/[]1a\n", max_size=8))


@st.composite
def tasks(draw: st.DrawFn) -> list[Task]:
    """Tasks with ascending numbers; many of them siblings."""
    found, number = [], draw(st.integers(0, 3))
    for name in draw(st.lists(NAMES, max_size=12)):
        for place in range(draw(st.integers(0, 4)), draw(st.integers(0, 6))):
            path = f"{name}[{place}]" if place else name
            found.append((number, draw(st.integers(-1, 300)), path))
            number += draw(st.integers(1, 3))
    return found


def texts(content: bytes) -> list[str]:
    found, position = [], 0
    while position < len(content):
        text, position = layout.unpack_text(content, position)
        found.append(text)
    return found


@given(tasks())
def test_any_tasks_come_back(given_tasks: list[Task]) -> None:
    columns = pack_tasks(given_tasks)
    assert unpack_tasks(columns["spawns"], texts(columns["stems"]), texts(columns["leaves"]), 100) == given_tasks


@given(
    st.lists(
        st.tuples(st.sampled_from([0, *EVENT_ARGUMENTS]), st.integers(0, 2**40), st.integers(0, 200), st.booleans())
    )
)
def test_events_come_back_and_lose_the_numbers_of_spawned_tasks_if_these_are_the_next(
    events: list[tuple[int, int, int, bool]],
) -> None:
    column, spawned = bytearray(), []
    for code, number, second, _ in events:
        column.append(code)
        column += pack_varints((number, second)[: EVENT_ARGUMENTS.get(code, 0)])
        if code == SPAWN:
            spawned.append(number)
    in_order = sorted({number for number in spawned if number})
    defined: list[Task] = [(number, 0, "main/task") for number in in_order]
    shorter = drop_spawned(bytes(column), defined)
    assert restore_spawned(shorter, defined) == column
    if spawned == in_order:
        assert len(shorter) == len(column) - sum(len(pack_varints((number,))) for number in spawned)
    elif len(spawned) > len(in_order):
        assert shorter == column  # one is spawned that is not defined here: all numbers stay


def test_a_spawn_too_many_is_malformed_and_an_unknown_event_is_left_for_the_decoder() -> None:
    with pytest.raises(Malformed, match="more tasks are spawned"):
        restore_spawned(bytes((SPAWN_NEXT, SPAWN_NEXT)), [(0, -1, "<init>"), (1, 0, "main")])
    assert restore_spawned(b"\x63" + bytes((SPAWN_NEXT,)), []) == b"\x63" + bytes((SPAWN_NEXT,))


def test_paths_that_no_reader_would_take_are_refused_when_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "PATH_CHARACTERS_MAX", 100)
    with pytest.raises(detrun.UsageError, match="paths of tasks 7 to 8 have more than 100 characters"):
        pack_tasks([(7, 0, "x" * 60), (8, 0, "x" * 60)])


def test_ten_thousand_siblings_take_a_hundredth_of_their_paths() -> None:
    given_tasks: list[Task] = [(n + 1, 0, f"main/network/link/deliver[{n}]" if n else "main") for n in range(10_000)]
    packed = sum(len(layout.pack_column(content)[1]) for content in pack_tasks(given_tasks).values())
    assert packed < sum(len(path) for _, _, path in given_tasks) / 100
