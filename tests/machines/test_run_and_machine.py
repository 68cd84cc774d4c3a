"""One program twice: as tasks that share memory in a recorded run, and as a machine fed with what they did, in order.

Both differentiate the same numbers by other code: cells, buffers, channels and forked windows there, a pure function of
plain trees here. The gradients must have the same bits, however the machine's events are cut.
"""

from __future__ import annotations

import math
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun

KINDS = ("add", "multiply", "write", "read", "send", "receive", "exchange", "maximum")
PARAMS = {"a": 0.7, "b": 1.3}
bodies = st.lists(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 3)), min_size=1, max_size=8), min_size=1, max_size=3
)


def tasks(program: list[list[tuple[str, int]]], did: list[tuple[int, str, int]]) -> Any:
    """The program as trio tasks; what they do is appended to ``did``."""

    async def main(params: dict[str, Any]) -> Any:
        cell = detrun.Atomic(params["a"])
        buffer = detrun.Buffer([0.5, 1.5, 2.5, 3.5])
        reversed_view = buffer[::-1]
        send, receive = trio.open_memory_channel[Any](math.inf)
        locals_ = [params["b"] for _ in program]
        did.clear()

        async def worker(task: int) -> None:
            for kind, index in program[task]:
                await trio.lowlevel.checkpoint()
                did.append((task, kind, index))
                local = locals_[task]
                match kind:
                    case "add":
                        old = cell.fetch_add(local * 0.25)
                        local = local * 0.5 + old
                    case "multiply":
                        cell.fetch_mul(detrun.sin(local) * 0.1 + 1.0)
                    case "write":
                        reversed_view[index] = local * params["a"]
                    case "read":
                        local = local * 0.5 + buffer[index] * 0.5
                    case "send":
                        send.send_nowait({"number": [local]})
                    case "receive":
                        try:
                            local = local + receive.receive_nowait()["number"][0] * 0.1
                        except trio.WouldBlock:
                            local = local * 0.9
                    case "exchange":
                        local = cell.exchange(local)
                    case "maximum":
                        cell.fetch_max(local)
                locals_[task] = local

        async with trio.open_nursery() as nursery:
            for task in range(len(program)):
                nursery.start_soon(worker, task)
        return detrun.sum([cell.load(), *buffer.tolist(), *locals_])

    return main


def apply(state: dict[str, Any], event: tuple[int, str, int], params: Any) -> dict[str, Any]:
    """The same operations on a state that is a tree."""
    task, kind, index = event
    locals_, buffer, queue = list(state["locals"]), list(state["buffer"]), list(state["queue"])
    cell = params["a"] if state["cell"] is None else state["cell"]
    local = params["b"] if locals_[task] is None else locals_[task]
    match kind:
        case "add":
            old = cell
            cell = cell + local * 0.25
            local = local * 0.5 + old
        case "multiply":
            cell = cell * (detrun.sin(local) * 0.1 + 1.0)
        case "write":
            buffer[3 - index] = local * params["a"]
        case "read":
            local = local * 0.5 + buffer[index] * 0.5
        case "send":
            queue.append(local)
        case "receive":
            local = local + queue.pop(0) * 0.1 if queue else local * 0.9
        case "exchange":
            cell, local = local, cell
        case "maximum":
            cell = detrun.maximum(cell, local)
    locals_[task] = local
    return {"cell": cell, "buffer": buffer, "locals": locals_, "queue": queue}


@settings(max_examples=30)
@given(bodies, st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 9))
def test_a_run_and_the_machine_of_its_events_have_the_same_gradient_to_the_last_bit(
    program: list[list[tuple[str, int]]], seed: int, snapshots: int, window: int
) -> None:
    did: list[tuple[int, str, int]] = []
    run = detrun.gradient(tasks(program, did), PARAMS, seed=seed)
    initial = {"cell": None, "buffer": [0.5, 1.5, 2.5, 3.5], "locals": [None] * len(program), "queue": []}
    machine: detrun.StateMachine[Any] = detrun.StateMachine(apply, initial, params=PARAMS)
    machine.dispatch_all(did)
    for options in ({}, {"snapshots": snapshots, "window": window}, {"snapshots": (1, 2), "window": window}):
        found = machine.gradient(
            lambda state: detrun.sum([state["cell"], *state["buffer"], *state["locals"]]),
            "params",
            **options,  # type: ignore[arg-type]
        )
        assert (found.value, found.params) == (run.value, run.grads)


def test_a_machine_inside_a_run_is_differentiated_forward_and_in_windows_too() -> None:
    """Windows measure their validity in forward mode, so that a machine's numbers carry tangents there."""

    async def main(params: dict[str, Any]) -> Any:
        machine = detrun.StateMachine(
            lambda state, event, own: {"x": state["x"] * own["a"] + event}, {"x": 1.0}, params=params, keys="observed"
        )
        for number in range(40):
            await trio.lowlevel.checkpoint()
            machine.dispatch(0.1 * number)
        return machine.value_of("x")

    whole = detrun.gradient(main, {"a": 0.9})
    assert detrun.gradient(main, {"a": 0.9}, snapshots=2, window=10).grads == whole.grads
    forward = detrun.gradient(main, {"a": 0.9}, mode="forward").grads["a"]
    assert math.isclose(forward, whole.grads["a"], rel_tol=1e-12)
