"""`Causes`: messages that arrive at one instant go to the tasks that they are for, or to none; steps made by hand."""

from __future__ import annotations

import pytest

from detrun_recorder.causes import Cause, Causes, always
from detrun_recorder.steps import Event, Step

LEFT, RIGHT = 1, 2  # tasks
TO_LEFT, TO_RIGHT = Event("send", 0, "link a->left"), Event("send", 1, "link a->right")
FROM_LEFT, FROM_RIGHT = Event("receive", 0, "link a->left"), Event("receive", 1, "link a->right")
TIME = Event("time", time=1.0)


def messages(*records: tuple[int, tuple[Event, ...]]) -> tuple[list[tuple[int, str]], list[str]]:
    """The tasks that messages reached with the names of their channels; what is astray."""
    causes = Causes[int]()
    reaching: list[tuple[int, str]] = []
    astray: list[Cause[int]] = []
    received = 0
    for index, (task, events) in enumerate(records):
        step = Step(index, 0.0, task, f"task {task}", (task,), None, "sleep", events)
        reached = causes.take(step, always(index))
        reaching += [(task, cause.label) for cause in reached.causes if cause.kind == "message"]
        astray += reached.astray
        received += len(reached.received)
    assert received == len(reaching) + len(astray) + len(causes.pending())
    return reaching, [cause.label for cause in astray]


def wakes(left: str, right: str) -> tuple[Event, Event]:
    return Event("wake", LEFT, left), Event("wake", RIGHT, right)


def test_of_two_messages_at_one_instant_none_is_given_to_a_task_by_guess() -> None:
    both = (TO_LEFT, TO_RIGHT, TIME, FROM_RIGHT, FROM_LEFT, *wakes("x", "y"))
    assert messages((0, both), (LEFT, ()), (RIGHT, ())) == ([], ["link a->right", "link a->left"])


@pytest.mark.parametrize(("left", "right"), [("main/left/serve", "main/right/serve"), ("main/left", "main/x")])
def test_the_name_of_a_node_in_the_path_of_a_task_tells_whose_a_message_is(left: str, right: str) -> None:
    both = (TO_LEFT, TO_RIGHT, TIME, FROM_RIGHT, FROM_LEFT, *wakes(left, right))
    expected = [(LEFT, "link a->left"), (RIGHT, "link a->right")]
    assert messages((0, both), (LEFT, ()), (RIGHT, ())) == (expected, [])


def test_a_name_that_two_paths_have_tells_nothing() -> None:
    both = (TO_LEFT, TO_RIGHT, TIME, FROM_RIGHT, FROM_LEFT, *wakes("main/left/x", "main/left/y"))
    assert len(messages((0, both), (LEFT, ()), (RIGHT, ()))[1]) == 2


def test_once_a_message_came_alone_its_channel_is_known() -> None:
    alone = (TO_LEFT, TIME, FROM_LEFT, Event("wake", LEFT, "x"))
    both = (TO_LEFT, TO_RIGHT, TIME, FROM_RIGHT, FROM_LEFT, *wakes("x", "y"))
    found, astray = messages((0, alone), (LEFT, ()), (0, both), (LEFT, ()), (RIGHT, ()))
    assert found == [(LEFT, "link a->left"), (LEFT, "link a->left"), (RIGHT, "link a->right")]
    assert astray == []


def test_all_that_arrives_when_one_task_is_woken_is_its_own() -> None:
    two = (TO_LEFT, TO_LEFT, TIME, FROM_LEFT, FROM_LEFT, Event("wake", LEFT, "x"))
    assert messages((0, two), (LEFT, ())) == ([(LEFT, "link a->left")] * 2, [])


def test_what_arrives_and_wakes_no_task_is_astray() -> None:
    assert messages((0, (TO_LEFT, TIME, FROM_LEFT))) == ([], ["link a->left"])


def test_what_an_earlier_instant_brought_is_not_given_to_a_task_of_a_later_one() -> None:
    later = (TO_LEFT, TIME, FROM_LEFT, Event("time", time=2.0), Event("wake", RIGHT, "y"))
    assert messages((0, later), (RIGHT, ())) == ([], ["link a->left"])
