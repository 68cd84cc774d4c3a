"""`liveness`: heals everything at the end of a test with faults, and requires that the system converges in time.

Safety is checked while faults go on; liveness cannot be, since a system may wait for as long as it is broken. So
everything is mended at one moment, and from there on it has ``within`` virtual seconds to do its work.

Mended means: plans that are being carried out stop; partitions, clogs, loss, duplication, reordering, slow tails and
resets end on every link, whatever set them; disks fail no more (what is damaged stays damaged); `buggify` sites fall
silent; paused nodes go on, and nodes that a crash or a power loss took down run their programs again. Latencies,
bandwidths, clocks and rules of one's own stay as they are: they are what the system lives in.

Source: TigerBeetle's VOPR, whose simulation turns from safety mode to liveness mode in this way; there a core of the
nodes is mended, here all are.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import trio

from detrun.primitives.sleep import sleep
from detrun.world.faults.buggify import buggify_sites
from detrun.world.faults.injection import running_injections
from detrun.world.nodes.node import this_node
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import DetrunError, UsageError
from detrun_scheduler.running_loop import running_loop

if TYPE_CHECKING:
    from detrun.world.world import World

POLLS = 200

Check = Callable[[], object] | Callable[[], Awaitable[object]]


class NotConvergedError(DetrunError):
    """Everything was mended, and the system did not come to the state that was required in time."""


def heal_everything(world: World) -> None:
    """End every fault in ``world`` and start what is down; see the module for what that means."""
    for injection in running_injections():
        if injection.world is world:
            injection.stop()
    world.heal()
    for link in list(world.network.links.values()):
        for setting in ("loss", "duplication", "reordering", "slow_tail", "reset"):
            setattr(link, setting, 0.0)
        link.clogs = 0
        link.release()
    buggify_sites().silenced = True
    for node in world.nodes:
        if node.disk_if_used is not None:
            node.disk.faults.clear()
        node.resume()
        if (not node.is_powered or node.was_killed) and node.programs:
            node.restart()


async def liveness(
    check: Check, *, within: float, world: World | None = None, poll_seconds: float | None = None
) -> float:
    """Mend everything, and wait until ``check()`` holds; return how many virtual seconds that took.

    Args:
        check: a function, or an async function; it holds when it returns something true. An `AssertionError` from it
            means not yet, any other exception is passed on.
        within: virtual seconds from the mending on.
        world: the one to mend; by default that of the calling code.
        poll_seconds: between two checks; a two-hundredth of ``within`` by default.

    Raises:
        NotConvergedError: the time is over; chained to the last `AssertionError`, if there was one.
    """
    if not within > 0:
        raise UsageError(f"liveness: within={within!r} must be a positive number of seconds")
    pause = within / POLLS if poll_seconds is None else poll_seconds
    if not pause > 0:
        raise UsageError(f"liveness: poll_seconds={poll_seconds!r} must be a positive number of seconds")
    mended = this_node().world if world is None else world
    heal_everything(mended)
    start = float(mended.run.time)
    refusal: AssertionError | None = None
    answer: object = None
    deadline = trio.current_time() + within
    in_trio = running_loop() is None
    with trio.move_on_at(deadline) if in_trio else nullcontext():
        while in_trio or trio.current_time() < deadline:
            try:
                answer = check()
                if inspect.isawaitable(answer):
                    answer = await answer
                if answer:
                    return float(mended.run.time) - start
                refusal = None
            except AssertionError as error:
                refusal = error
            await sleep(pause)
    said = f"last raised AssertionError: {refusal}" if refusal is not None else f"last returned {answer!r}"
    nodes = ", ".join(repr(node)[6:-1] for node in mended.nodes)
    raise NotConvergedError(
        f"no convergence within {within:g} s after everything was mended at {start:g} s: "
        f"{getattr(check, '__name__', 'the check')} {said}; nodes: {nodes}; "
        f"virtual time {float(primal_of(mended.run.time)):g} s"
    ) from refusal
