"""Text about a failing schedule in a test report, and the part of its traceback that is shown.

The exception of a program comes up through dozens of frames of trio and of detrun that say nothing about it, and one
that left a nursery is wrapped in a group. Here both are taken off, so that pytest shows the test's own lines and the
introspection of its ``assert``, as it would for any other test.
"""

from __future__ import annotations

import os
import shlex
from types import TracebackType

import pytest

from detrun.explore.failures.listing import Listing
from detrun.explore.verdicts import Exploration
from detrun_scheduler.endings import exception_leaves
from detrun_scheduler.errors import DetrunError
from detrun_scheduler.user_code import is_user_file

TOKEN_CHARACTERS_MAX = 200  # longer ones are not worth a place in a report: there is the file


def essence(error: BaseException) -> BaseException:
    """The one exception that a group holds, or ``error`` itself."""
    leaves = exception_leaves(error)
    same = {(type(leaf), str(leaf)) for leaf in leaves}
    return leaves[0] if len(leaves) == 1 or (len(same) == 1 and isinstance(leaves[0], DetrunError)) else error


def without_plumbing(error: BaseException) -> BaseException:
    """``error``, with the frames of user code alone in its traceback and in those of what caused it."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if any(one is other for other in seen):
            continue
        seen.append(one)
        one.__traceback__ = _user_frames(one.__traceback__)
        waiting += [cause for cause in (one.__cause__, one.__context__) if cause is not None]
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
    return error


def _user_frames(trace: TracebackType | None) -> TracebackType | None:
    frames = []
    while trace is not None:
        if is_user_file(trace.tb_frame.f_code.co_filename):
            frames.append(trace)
        trace = trace.tb_next
    following = None
    for one in reversed(frames):
        following = TracebackType(following, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return following


def failure_text(item: pytest.Item, exploration: Exploration) -> str:
    """The end of a failing test's report: what happened, why, and the command that makes it happen again."""
    failure = exploration.failure
    assert failure is not None
    lines = [exploration.reason, *exploration.watched()]
    if failure.shrunk is not None:
        lines.append(str(failure.shrunk))
    if failure.explanation is not None:
        listing = Listing(failure.explanation.failing, failure.explanation.first_difference)
        lines += ["", str(failure.explanation).rstrip(), "", str(listing)]
    if failure.in_stock_order:
        lines += ["", failure.in_stock_order]
    lines += ["", f"signature: {failure.signature}"]
    for other in exploration.failures[1:]:
        lines.append(f"also failed: {other.count:,} × {other.signature}")
    if failure.path is None:
        return "\n".join([*lines, "to run it again:", f"    {test_command(item)}"])
    if failure.token is not None and len(failure.token) <= TOKEN_CHARACTERS_MAX:
        lines.append(f"where the file is not at hand, give the token instead: {failure.token}")
    path = os.path.relpath(failure.path, item.config.invocation_params.dir)
    return "\n".join(
        [*lines, "to run this schedule again:", f"    {test_command(item)} --detrun-replay {shlex.quote(path)}"]
    )


def test_command(item: pytest.Item) -> str:
    """How to run ``item`` alone, from where pytest was called."""
    path, colons, name = item.nodeid.partition("::")
    place = os.path.relpath(item.config.rootpath / path, item.config.invocation_params.dir)
    return f"pytest {shlex.quote(place + colons + name)}"
