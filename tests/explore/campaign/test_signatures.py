"""Signatures of failures, one by one: what is in them and what is left out of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from detrun.explore.campaign.signatures import (
    FailurePolicy,
    file_in_package,
    place_of,
    signature_of,
    text_of_signature,
)
from detrun.races.detector import DataRaceError
from detrun_scheduler.errors import DeadlockError, StepLimitError
from detrun_scheduler.reports.blocking import BlockedTask


def raised(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def deadlock(blocked: list[BlockedTask], cycle: tuple[str, ...] = ()) -> DeadlockError:
    error = DeadlockError("nothing can run")
    error.blocked, error.cycle = blocked, cycle
    return error


def test_the_place_is_the_innermost_line_of_the_user() -> None:
    error = raised(lambda: json.loads("{"))
    assert error.__traceback__ is not None
    inner = error.__traceback__.tb_next  # the lambda; what follows is json's own
    assert inner is not None
    assert signature_of(error) == (f"JSONDecodeError at test_signatures.py:{inner.tb_lineno}",)
    assert place_of(ValueError("never raised")) == ""


def test_a_group_is_the_set_of_its_members_in_ascending_order() -> None:
    group = ExceptionGroup(
        "several", [ValueError("x"), ExceptionGroup("", [KeyError("y"), ValueError("z")]), OSError("w")]
    )
    assert signature_of(group) == ("KeyError at ", "OSError at ", "ValueError at ")
    assert text_of_signature(signature_of(group)) == "KeyError at  + OSError at  + ValueError at "


def test_a_deadlock_is_where_and_for_what_the_tasks_of_its_cycle_wait() -> None:
    blocked = [
        BlockedTask("main", 0, "the end of its nursery (2 children)", (1, 2), ("/x/a.py:1 in main",)),
        BlockedTask("main/b", 1, "Lock held by main/c", (2,), ("/x/a.py:9 in outer", "/x/b.py:20 in inner")),
        BlockedTask("main/c", 2, "Event.wait (not set)", (), ("/x/b.py:7 in c",)),
        BlockedTask("main/d", 3, "the event loop, which does not run", (), ()),
        BlockedTask("main/e", 4, "(what no one knows)", (), ()),
    ]
    named = ["Event.wait at b.py:7", "Lock at b.py:20"]
    assert signature_of(deadlock(blocked[:3])) == (f"DeadlockError of {', '.join(named)}",)
    assert signature_of(deadlock(blocked[2:0:-1])) == signature_of(deadlock(blocked[:3]))
    assert signature_of(deadlock(blocked, ("main/b", "main/b"))) == ("DeadlockError of Lock at b.py:20",)
    assert signature_of(deadlock(blocked[:1])) == ("DeadlockError of the end of its nursery at a.py:1",)
    assert signature_of(deadlock(blocked[3:])) == ("DeadlockError of a wait, the event loop",)
    assert signature_of(deadlock([])) == ("DeadlockError",)
    # A cycle of tasks that the report does not list says nothing.
    assert signature_of(deadlock(blocked[1:3], ("gone",))) == signature_of(deadlock(blocked[:3]))


def test_a_data_race_is_its_first_variable_and_a_livelock_just_one() -> None:
    races: Any = [SimpleNamespace(variable="bank.total"), SimpleNamespace(variable="bank.other")]
    race = DataRaceError(races)
    assert signature_of(race) == ("DataRaceError on bank.total",)
    assert signature_of(StepLimitError("too many")) == ("StepLimitError",)


def test_a_file_is_named_from_the_root_of_its_package_on(tmp_path: Path) -> None:
    inner = tmp_path / "top" / "inner"
    inner.mkdir(parents=True)
    for directory in (tmp_path / "top", inner):
        (directory / "__init__.py").write_text("")
    assert file_in_package(str(inner / "file.py")) == "top/inner/file.py"
    assert file_in_package(str(tmp_path / "file.py")) == "file.py"


@pytest.mark.parametrize(
    ("ignore", "is_ignored"),
    [
        ((), False),
        (("A at x.py:3 + B",), True),
        (("A at x.py:3",), False),
        (("A at *", "B"), True),
        (("[AB]*",), True),
        (("C", "*"), True),
        (("C",), False),
    ],
)
def test_a_kind_is_ignored_as_a_whole_or_by_each_of_its_parts(ignore: tuple[str, ...], is_ignored: bool) -> None:
    assert FailurePolicy(ignore=ignore).ignores("A at x.py:3 + B") is is_ignored


def test_a_signature_with_brackets_is_ignored_as_it_stands() -> None:
    """Read as a pattern, ``[1]`` is a set of characters; one part of a group may have them, too."""
    assert FailurePolicy(ignore=("DataRaceError on cells[1]",)).ignores("DataRaceError on cells[1]")
    assert FailurePolicy(ignore=("DataRaceError on cells[1]", "B")).ignores("B + DataRaceError on cells[1]")


def test_by_default_the_first_failure_ends_a_campaign() -> None:
    assert FailurePolicy().keep_going is False
