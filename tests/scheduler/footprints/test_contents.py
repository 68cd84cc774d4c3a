"""What code does to containers is told in order, with modes that conflict exactly where two accesses do not commute."""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Any

import pytest

from detrun.execution.heard_instructions import HAS_MONITORING, HeardInstructions
from detrun_scheduler.footprints.contents import ContentsObserver
from detrun_scheduler.footprints.footprints import WRITE, modes_conflict


class Listener:
    def __init__(self) -> None:
        self.marks: list[tuple[Hashable, str, int]] = []

    def access(self, key: Hashable, label: str, is_write: bool, line: str) -> None:
        self.marks.append((key, label, WRITE if is_write else 0))

    def marked(self, key: Hashable, label: str, mode: int, line: str) -> None:
        self.marks.append((key, label, mode))


class Holder:
    """Has what the functions under test touch."""

    def __init__(self) -> None:
        self.items: Any = [1, 2, 3]
        self.table: Any = {"a": 1, "b": 2}
        self.names: Any = {"x", "y"}
        self.waiting: Any = deque([1, 2])
        self.ordered: Any = OrderedDict(a=1)
        self.count = 0


def heard(function: Callable[..., Any], *arguments: Any) -> list[tuple[Hashable, str, int]]:
    """The marks of one call."""
    listener = Listener()
    observer = ContentsObserver(listener)

    def trace(frame: Any, event: str, _: Any) -> Any:
        if frame.f_code is not function.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and frame.f_lasti >= 0:
            observer.about_to_run(frame, frame.f_lasti)
        return trace

    def instruction(frame: Any, offset: int) -> None:
        if frame.f_code is function.__code__:
            observer.about_to_run(frame, offset)

    if HAS_MONITORING:
        with HeardInstructions(instruction, lambda file: file == __file__):
            function(*arguments)
    else:
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            function(*arguments)
        finally:
            sys.settrace(before)
    return listener.marks


def conflicting(one: Callable[..., Any], other: Callable[..., Any]) -> set[str]:
    """The labels of what two functions touch in ways that do not commute; each is called with a holder of its own."""
    first, second = heard(one, Holder()), heard(other, Holder())
    return {
        label
        for key, label, mode in first
        for other_key, _, other_mode in second
        if key == other_key and modes_conflict(mode, other_mode)
    }


def appends(h: Holder) -> None:
    h.items.append(4)


def pops(h: Holder) -> None:
    h.items.pop()


def measures(h: Holder) -> int:
    return len(h.items)


def iterates(h: Holder) -> int:
    total = 0
    for item in h.items:
        total += item
    return total


def is_true(h: Holder) -> bool:
    return True if h.items else False  # noqa: SIM210


def adds_in_place(h: Holder) -> None:
    h.items += [5]


def cuts(h: Holder) -> None:
    h.items[1:] = []


def contains_item(h: Holder) -> bool:
    return 2 in h.items


def sets_first(h: Holder) -> None:
    h.items[0] = 9


def sets_second(h: Holder) -> None:
    h.items[1] = 9


def gets_a(h: Holder) -> Any:
    return h.table.get("a")


def sets_a(h: Holder) -> None:
    h.table["a"] = 2


def sets_b(h: Holder) -> None:
    h.table["b"] = 2


def deletes_a(h: Holder) -> None:
    del h.table["a"]


def pops_a(h: Holder) -> None:
    h.table.pop("a")


def asks_a(h: Holder) -> bool:
    return "a" in h.table


def lists_items(h: Holder) -> None:
    for key, value in h.table.items():
        repr((key, value))


def updates(h: Holder) -> None:
    h.table.update(c=1)


def adds_name(h: Holder) -> None:
    h.names.add("z")


def asks_name(h: Holder) -> bool:
    return "z" in h.names


def asks_other_name(h: Holder) -> bool:
    return "x" in h.names


def takes(h: Holder) -> None:
    h.waiting.popleft()


def is_waiting(h: Holder) -> bool:
    return not h.waiting


def moves(h: Holder) -> None:
    h.ordered.move_to_end("a")


def copies_ordered(h: Holder) -> Any:
    return list(h.ordered)


def sets_attribute(h: Holder) -> None:
    setattr(h, "count", 1)  # noqa: B010


def sets_attribute_of_object(h: Holder) -> None:
    object.__setattr__(h, "count", 1)


def reads_attribute(h: Holder) -> Any:
    return getattr(h, "count")  # noqa: B009


def asks_attribute(h: Holder) -> bool:
    return "count" in h.__dict__


def sets_attribute_in_dictionary(h: Holder) -> None:
    h.__dict__["count"] = 1


def pops_attribute_in_dictionary(h: Holder) -> None:
    h.__dict__.pop("count")


@pytest.mark.parametrize(
    ("one", "other", "label"),
    [
        (appends, measures, "Holder[0].items"),
        (appends, iterates, "Holder[0].items"),
        (appends, is_true, "Holder[0].items"),
        (appends, pops, "Holder[0].items"),
        (appends, contains_item, "Holder[0].items"),
        (adds_in_place, measures, "Holder[0].items"),
        (cuts, measures, "Holder[0].items"),
        (sets_first, iterates, "Holder[0].items"),
        (sets_first, sets_first, "Holder[0].items[0]"),
        (gets_a, sets_a, "Holder[0].table['a']"),
        (asks_a, deletes_a, "Holder[0].table['a']"),
        (asks_a, pops_a, "Holder[0].table['a']"),
        (lists_items, sets_a, "Holder[0].table"),
        (updates, gets_a, "Holder[0].table"),
        (adds_name, asks_name, "Holder[0].names['z']"),
        (takes, is_waiting, "Holder[0].waiting"),
        (moves, copies_ordered, "Holder[0].ordered"),
        (sets_attribute, reads_attribute, "Holder[0].count"),
        (sets_attribute_of_object, reads_attribute, "Holder[0].count"),
        (sets_attribute, asks_attribute, "Holder[0].count"),
        (sets_attribute_in_dictionary, reads_attribute, "Holder[0].count"),
        (pops_attribute_in_dictionary, reads_attribute, "Holder[0].count"),
    ],
)
def test_accesses_that_do_not_commute_conflict(one: Callable[..., Any], other: Callable[..., Any], label: str) -> None:
    assert label in conflicting(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (measures, iterates),
        (sets_first, sets_second),
        (gets_a, sets_b),
        (sets_a, sets_b),
        (deletes_a, sets_b),
        (gets_a, lists_items),
        (adds_name, asks_other_name),
        (appends, sets_a),
    ],
)
def test_accesses_that_commute_do_not_conflict(one: Callable[..., Any], other: Callable[..., Any]) -> None:
    own = {label for label in conflicting(one, other) if label != "Holder[0].items" or one is not adds_in_place}
    assert own == set()


def test_a_method_of_the_programs_own_is_seen_in_its_own_code_only() -> None:
    class Own(dict):  # type: ignore[type-arg]
        def get(self, key: Any, default: Any = None) -> Any:
            return default

    holder = Holder()
    holder.table = Own()
    assert not [label for _, label, _ in heard(gets_a, holder) if "table[" in label]
