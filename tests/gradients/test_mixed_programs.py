"""Random programs that mix everything: cells, aliasing views, dropped and repeated messages, bytes, locks, sleeps,
timeouts, simulated threads, effects, tensors.

Two oracles: windows must give the bits of one tape, and central differences between runs of the same seed must agree
where those runs took the very same steps.
"""

from __future__ import annotations

import math
import time
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
import trio
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import detrun
from detrun_recorder.recording import Recording

torch: Any = import_module("torch") if find_spec("torch") else None

SCALAR_KINDS = (
    *("add", "mul", "view", "slice", "send", "drop", "twice", "pack", "lock", "sleep", "max", "sin"),
    *("deadline", "thread", "effect", "roll back"),
)
KINDS = (*SCALAR_KINDS, *(("torch", "tensor in a cell", "tensor in a message") if torch is not None else ()))


def bodies_of(kinds: tuple[str, ...]) -> Any:
    """Up to three tasks of up to seven operations each."""
    operation = st.tuples(st.sampled_from(kinds), st.integers(0, 3))
    return st.lists(st.lists(operation, min_size=1, max_size=7), min_size=1, max_size=3)


PARAMS = {"a": 0.7, "b": 1.3}


@detrun.external(derivative="identity")
def send_outside(packet: dict[str, float]) -> list[float]:
    return list(packet.values())


def program(tasks: list[list[tuple[str, int]]], *, tensors: bool = torch is not None) -> Any:
    """Trio tasks over one cell, one buffer with an aliasing view, one channel and one lock."""

    async def main(params: dict[str, Any]) -> Any:
        cell = detrun.Atomic(params["a"])
        buffer = detrun.Buffer([0.5, 1.5, 2.5, 3.5])
        middle = buffer.view(slice(1, 4))
        send, receive = trio.open_memory_channel[Any](math.inf)
        lock = trio.Lock()
        if tensors:
            vector = detrun.Atomic(detrun.to_tensor([params["a"], 0.5]))

        def in_thread(number: Any) -> Any:
            time.sleep(params["b"] * 0.01)
            return cell.fetch_add(number * 0.1) * 0.1

        async def worker(steps: list[tuple[str, int]]) -> None:
            local = params["b"]
            for kind, index in steps:
                await trio.lowlevel.checkpoint()
                match kind:
                    case "add":
                        local = local * 0.5 + cell.fetch_add(local * 0.25)
                    case "mul":
                        cell.fetch_mul(detrun.sin(local) * 0.1 + 1.0)
                    case "view":
                        middle[index % 3] = local * params["a"]
                    case "slice":
                        local = local + buffer[index] * 0.5
                        buffer[index] += local * 0.1
                    case "send":
                        await send.send([local, {"nested": cell.load()}])
                    case "drop":
                        await send.send(None)
                    case "twice":
                        message = [local * 2.0, {"nested": local}]
                        await send.send(message)
                        await send.send(message)
                    case "pack":
                        local = detrun.unpack(detrun.pack({"number": [local, 1.0]}))["number"][0] * 0.9
                    case "lock":
                        async with lock:
                            seen = cell.load()
                            await trio.lowlevel.checkpoint()
                            cell.store(seen * 0.5 + local)
                    case "sleep":
                        await trio.sleep(detrun.exponential(params["b"]) * 0.1)
                        local = local + trio.current_time() * 0.01
                    case "max":
                        cell.fetch_max(local)
                    case "sin":
                        local = detrun.sin(local) + local
                    case "deadline":
                        with trio.move_on_after(7.0) as scope:
                            scope.deadline = trio.current_time() + params["a"] * 0.01
                            await trio.sleep_forever()
                        local = local - trio.current_time() * 0.01
                    case "thread":
                        local = local + await trio.to_thread.run_sync(in_thread, local)
                    case "effect":
                        local = local * 0.5 + send_outside({"first": 2.0, "second": local})[1] * 0.25
                    case "roll back":
                        with buffer.rolled_back():
                            buffer[::2] = local
                            local = local * 0.5 + middle[1] * 0.1
                        local = local + middle[1] * 0.1
                    case "torch":
                        squashed = torch.tanh(detrun.to_tensor([local, buffer[index]]) * vector.load())
                        local = local * 0.5 + detrun.from_tensor(squashed.sum())
                    case "tensor in a cell":
                        vector.store(vector.load() * 0.5 + detrun.to_tensor([local, 1.0]) * 0.1)
                    case "tensor in a message":
                        await send.send([detrun.to_tensor([local, local * 2.0]).sum(), {"nested": vector.load()[0]}])

        async with trio.open_nursery() as nursery:
            for steps in tasks:
                nursery.start_soon(worker, steps)
        send.close()
        arrived = [0.0]
        async for message in receive:
            if message is not None:
                arrived += [number_in(message[0]), number_in(message[1]["nested"])]
        return detrun.sum(arrived) * 0.1 + cell.load() + detrun.sum(buffer.tolist()) + trio.current_time()

    return main


def number_in(one: Any) -> Any:
    return detrun.from_tensor(one) if hasattr(one, "detach") else one


def steps_of(recording: Recording) -> list[tuple[bytes, bytes, bytes]]:
    """The steps of a run, without their times."""
    return [(chunk.choices, chunk.outcomes, chunk.events) for chunk in recording.chunks()]


@settings(max_examples=25)
@given(bodies_of(KINDS), st.integers(0, 2**32), st.integers(1, 4), st.integers(3, 20))
def test_mixed_programs_agree_with_differences_and_windows_with_the_whole_tape(
    tasks: list[list[tuple[str, int]]], seed: int, snapshots: int, window: int
) -> None:
    main = program(tasks)
    whole = detrun.gradient(main, PARAMS, seed=seed)
    again = detrun.gradient(main, PARAMS, recording=whole.recording)
    assert (again.grads, again.digest) == (whole.grads, whole.digest)
    cut = detrun.gradient(main, PARAMS, recording=whole.recording, snapshots=snapshots, window=window)
    assert (cut.grads, cut.value) == (whole.grads, whole.value)
    for name, at in PARAMS.items():
        step = 1e-6
        assume(whole.validity[name].radius > 2 * step)
        up = detrun.record(main, {**PARAMS, name: at + step}, seed=seed)
        down = detrun.record(main, {**PARAMS, name: at - step}, seed=seed)
        assert steps_of(up.recording) == steps_of(down.recording) == steps_of(whole.recording)
        difference = (float(up.result) - float(down.result)) / (2 * step)
        # Truncation is of order step² and rounding of order 1e-16 / step, relative to losses below about 1e3.
        assert whole.grads[name] == pytest.approx(difference, rel=1e-6, abs=1e-6)


@settings(max_examples=25)
@given(
    bodies_of(SCALAR_KINDS),
    st.integers(0, 2**32),
    st.floats(-1.0, 1.0),
    st.floats(-1.0, 1.0),
)
def test_mixed_programs_have_the_same_gradient_forward_and_second_derivatives_that_are_its_differences(
    tasks: list[list[tuple[str, int]]], seed: int, by_a: float, by_b: float
) -> None:
    """``H d = (g(p + h d) - g(p - h d)) / 2h`` up to ``h²``, with h = 1e-5. Not through tensors: theirs is torch's."""
    main, direction = program(tasks, tensors=False), {"a": by_a, "b": by_b}
    reverse = detrun.gradient(main, PARAMS, seed=seed)
    forward = detrun.gradient(main, PARAMS, seed=seed, mode="forward")
    assert forward.value == reverse.value
    assert forward.grads == pytest.approx(reverse.grads, rel=1e-9, abs=1e-9)
    twice = detrun.hessian_vector_product(main, PARAMS, direction, seed=seed)
    assert twice.grads == pytest.approx(reverse.grads, rel=1e-12, abs=1e-12)
    step = 1e-5
    assume(all(validity.radius > 2 * step for validity in reverse.validity.values()))
    up, down = (
        detrun.gradient(main, {name: at + sign * step * direction[name] for name, at in PARAMS.items()}, seed=seed)
        for sign in (1.0, -1.0)
    )
    assert steps_of(up.recording) == steps_of(down.recording)
    for name in PARAMS:
        difference = (up.grads[name] - down.grads[name]) / (2 * step)
        assert twice.product[name] == pytest.approx(difference, rel=1e-6, abs=1e-6)
