"""Values into torch and back, in programs of several tasks, against the same programs in torch alone.

The oracle runs the program with torch tensors for parameters and torch operations for the crossings, under the same
seed, so on the same interleaving; its gradient is torch's own.
"""

from __future__ import annotations

import math
import subprocess
import sys
from types import SimpleNamespace

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun import Atomic, Buffer
from detrun.ad import state
from detrun.ad.reverse import backward
from detrun.ad.value import Value
from detrun.world.network.mailbox import copied
from detrun_scheduler.errors import NotDifferentiableError, UsageError
from tests.examples import examples

torch = pytest.importorskip("torch")

BRIDGE = SimpleNamespace(
    tensor=lambda numbers: detrun.to_tensor(numbers),
    number=detrun.from_tensor,
    track=detrun.track,
    buffer=Buffer,
    send=lambda one: detrun.unpack(detrun.pack(one)),
    sin=detrun.sin,
)


class ListBuffer(list):
    """A buffer of one axis as torch sees it: a list that passes on the very objects that it holds."""

    def fetch_add(self, place, number):
        old = self[place]
        self[place] = old + number
        return old


TORCH = SimpleNamespace(
    tensor=lambda numbers: torch.stack([torch.as_tensor(one, dtype=torch.float64) for one in numbers]),
    number=lambda tensor: tensor.reshape(()),
    track=lambda tensor: tensor,
    buffer=ListBuffer,
    send=lambda one: one,
    sin=lambda x: torch.sin(torch.as_tensor(x)),
)

INSTRUCTIONS = st.tuples(
    st.sampled_from(
        ["enter", "leave", "scale", "mix", "keep", "spread", "track", "send", "scalar", "fetch_add", "element"]
    ),
    st.integers(0, 2),
    st.floats(-1, 1),
)
TASKS = st.lists(st.lists(INSTRUCTIONS, min_size=1, max_size=5), min_size=1, max_size=3)


def program(library, tasks):
    """Tasks that share a tensor, a number and a buffer; each instruction is a step."""

    async def main(params):
        x, w = params["x"], params["w"]
        vector, cell, kept = Atomic(torch.zeros(3, dtype=torch.float64)), Atomic(x * 0.5), Atomic(w * 1.0)
        buffer = library.buffer([x, x * x, 0.25])

        async def task(instructions):
            local = torch.tanh(w)
            for name, place, constant in instructions:
                number = cell.load()
                if name == "enter":
                    vector.store(library.tensor([number, buffer[place], constant]))
                elif name == "leave":
                    cell.store(library.number((vector.load() * w).sum().sin()))
                elif name == "scale":
                    local = torch.tanh(local * number + vector.load())
                elif name == "mix":
                    vector.fetch_add(number * constant * local)
                elif name == "keep":
                    kept.store(torch.sin(kept.load() + local))
                elif name == "spread":
                    for one, content in enumerate(torch.tanh(kept.load() * constant)):
                        buffer[one] = content
                elif name == "track":
                    local = library.track(local * 1.5)
                elif name == "send":
                    local, number = library.send([torch.sin(local), number])
                    cell.store(number * 0.5)
                elif name == "scalar":
                    cell.store(library.sin(number * buffer[place]) + x)
                elif name == "fetch_add":
                    cell.store(buffer.fetch_add(place, number * constant) - number)
                else:
                    cell.store(number * 0.5 + library.number(local[place]) * x)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for instructions in tasks:
                nursery.start_soon(task, instructions)
        total = cell.load() + x * library.number((kept.load() * vector.load()).sum())
        for place in range(3):
            total = total + buffer[place] * (place + 1.0)
        return total

    return main


POINT = {"x": 0.7, "w": torch.tensor([0.3, -0.8, 1.1], dtype=torch.float64)}


@examples(20)
@given(TASKS, st.integers(0, 10**6))
def test_programs_of_tasks_and_tensors_have_the_gradient_that_torch_finds(tasks, seed):
    gradient = detrun.gradient(program(BRIDGE, tasks), POINT, seed=seed)
    leaves = {
        name: torch.tensor(one, dtype=torch.float64).requires_grad_() if name == "x" else one.clone().requires_grad_()
        for name, one in POINT.items()
    }
    loss = detrun.record(program(TORCH, tasks), leaves, seed=seed).result
    loss.backward()
    assert gradient.value == pytest.approx(loss.item(), rel=1e-12, abs=1e-12)
    assert gradient.grads["x"] == pytest.approx(leaves["x"].grad.item(), rel=1e-9, abs=1e-12)
    expected = leaves["w"].grad if leaves["w"].grad is not None else torch.zeros(3)
    assert gradient.grads["w"].tolist() == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-12)


@settings(max_examples=12)
@given(TASKS, st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 3))
def test_windows_change_no_bit_whatever_tensors_cross_them(tasks, seed, snapshots, window):
    main = program(BRIDGE, tasks)
    whole = detrun.gradient(main, POINT, seed=seed)
    windowed = detrun.gradient(main, POINT, recording=whole.recording, snapshots=snapshots, window=window)
    assert windowed.value == whole.value
    assert windowed.grads["x"] == whole.grads["x"]
    assert torch.equal(windowed.grads["w"], whole.grads["w"])


async def without_track(params):
    """A raw local tensor that every step makes from the one before, over all windows."""
    hidden = params["w"] * 1.0
    for _ in range(12):
        hidden = torch.tanh(hidden * params["x"])
        await trio.lowlevel.checkpoint()
    return hidden.sum()


async def with_track(params):
    hidden = params["w"] * 1.0
    for _ in range(12):
        hidden = detrun.track(torch.tanh(hidden * params["x"]))
        await trio.lowlevel.checkpoint()
    return hidden.sum()


def test_a_local_tensor_of_an_earlier_window_keeps_its_history():
    whole = detrun.gradient(without_track, POINT)
    windowed = detrun.gradient(without_track, POINT, snapshots=3, window=2)
    assert windowed.diagnostics.windows > 4
    assert windowed.grads["x"] == whole.grads["x"] != 0.0
    assert torch.equal(windowed.grads["w"], whole.grads["w"])


def test_a_tracked_tensor_lets_go_of_the_graph_behind_it():
    tracked = detrun.gradient(with_track, POINT, snapshots=2, window=3)
    raw = detrun.gradient(without_track, POINT)
    assert tracked.grads["x"] == pytest.approx(raw.grads["x"], rel=1e-12)
    assert tracked.grads["w"].tolist() == pytest.approx(raw.grads["w"].tolist(), rel=1e-12)
    behind = detrun.track(torch.ones(2, requires_grad=True) * 2).grad_fn.next_functions[0][0]
    assert behind.next_functions == ()
    plain = torch.ones(2)
    assert detrun.track(plain) is plain


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_floating_dtype_crosses_both_ways(dtype):
    with state.taped() as tape:
        x, y = Value(0.5), Value(2.0)
        tensor = detrun.to_tensor([[x, 1.0], [y, x]], dtype=dtype)
        loss = detrun.from_tensor((tensor * 2.0).sum())
    assert tensor.dtype == dtype
    adjoints = backward(tape, {loss.id: 1.0}, wanted=[x.id, y.id])
    assert adjoints == {x.id: 4.0, y.id: 2.0}
    assert detrun.unpack(detrun.pack(tensor.detach())).tolist() == tensor.tolist()


def test_a_value_beside_a_narrow_tensor_computes_what_a_float_does():
    async def main(params):
        x = params["x"]
        narrow = torch.tensor([0.1, 0.7], dtype=torch.float32)
        scalar = narrow.sum()
        cell = Atomic(scalar)
        for one in (
            x * narrow,
            narrow / x,
            x - scalar,
            torch.add(narrow, x),
            narrow.clone().mul_(x),
            torch.tensor([3]) * x,
        ):
            cell.store(one)
        return (x * narrow).sum()

    run = detrun.record(main, {"x": 0.3})
    gradient = detrun.gradient(main, {"x": 0.3}, recording=run.recording)
    assert gradient.value == run.result.item()
    assert gradient.grads["x"] == pytest.approx(0.8, rel=1e-6)


def test_a_vector_leaves_for_a_buffer_with_one_backward_for_all():
    with state.taped() as tape:
        x = Value(0.5)
        tensor = torch.arange(4, dtype=torch.float64) * x
        buffer = Buffer(tensor.reshape(2, 2))
        again = detrun.to_tensor(buffer.T)
        loss = detrun.from_tensor((again * torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)).sum())
    leaf = again.grad_fn.next_functions[0][0].variable
    assert tape.wide[-1][0] == (leaf._detrun_mark.id,)
    assert backward(tape, {loss.id: 1.0}, wanted=[x.id])[x.id] == 0.0 * 1 + 2.0 * 2 + 1.0 * 3 + 3.0 * 4


def test_a_buffer_over_a_narrow_tensor_rounds_as_the_tensor_does():
    for dtype in (torch.float32, torch.bfloat16):
        buffer = Buffer(torch.zeros(3, dtype=dtype))
        buffer[0], buffer[1] = 0.1, Value(0.1)
        assert buffer[0] == buffer[1] == torch.tensor(0.1, dtype=dtype).item()
        assert buffer.copy()._memory.cells.dtype == dtype


# What must be refused.


def test_a_leaf_changed_in_place_is_refused():
    async def main(params):
        with torch.no_grad():
            params["w"] -= 0.1
        return (params["w"] * params["x"]).sum()

    with pytest.raises(NotDifferentiableError, match=r"shape \(3,\) was changed in place 1 times"):
        detrun.gradient(main, POINT)


def test_a_saved_tensor_changed_in_place_is_refused():
    async def main(params):
        squashed = torch.tanh(params["w"])
        loss = detrun.from_tensor(squashed.sum())
        squashed.mul_(2.0)
        return loss

    with pytest.raises(NotDifferentiableError, match="modified by an inplace operation"):
        detrun.gradient(main, POINT)


def test_a_graph_that_the_program_has_freed_is_refused():
    async def main(params):
        loss = torch.tanh(params["w"]).sum()
        loss.backward()
        return loss * params["x"]

    with pytest.raises(NotDifferentiableError, match="retain_graph=True"):
        detrun.gradient(main, POINT)


def test_a_tensor_of_another_run_is_refused():
    kept = []

    async def main(params):
        kept.append(detrun.to_tensor([params["x"]]))
        return detrun.from_tensor(kept[0].sum())

    detrun.gradient(main, {"x": 1.0})
    with pytest.raises(NotDifferentiableError, match="Values of another run"):
        detrun.gradient(main, {"x": 1.0})


def test_forward_mode_stops_at_torch():
    async def main(params):
        return detrun.to_tensor([params["x"]]).sum()

    with pytest.raises(NotDifferentiableError, match="forward mode"):
        detrun.gradient(main, {"x": 1.0}, mode="forward")
    with pytest.raises(UsageError, match="forward mode"):
        detrun.gradient(without_track, POINT, mode="forward")


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda x: detrun.to_tensor([x], dtype=torch.int64), NotDifferentiableError, "torch.int64 would cut"),
        (lambda x: detrun.to_tensor([[x], [x, x]]), UsageError, "ragged rows"),
        (lambda x: detrun.from_tensor(torch.ones(2) * x), UsageError, r"shape \(2,\) is not one number"),
        (lambda x: torch.full((2,), x), TypeError, "full"),
        (lambda x: Buffer(torch.ones((), dtype=torch.float64) * x), UsageError, "no axis"),
    ],
)
def test_mistakes_at_the_crossing_are_named(use, error, message):
    with pytest.raises(error, match=message):
        use(Value(1.0))


def test_tensors_without_grad_make_no_entry():
    with state.taped() as tape:
        Buffer(torch.ones(3))
        detrun.to_tensor([1.0, 2.0])
        assert Buffer([0.0])[0] + torch.ones(()) == 1.0
    assert len(tape) == 0


# Draws.


async def draws(params):
    distribution = torch.distributions.Normal(params["x"], torch.tensor([1.0, 2.0], dtype=torch.float64))
    first = detrun.sample(distribution)
    keyed = detrun.sample(torch.distributions.Bernoulli(torch.tensor(0.5)), key="coin")
    return (first * torch.tensor([1.0, 3.0], dtype=torch.float64)).sum() + keyed


def test_draws_depend_on_the_seed_alone_and_differentiate_by_reparameterization():
    before = torch.get_rng_state()
    gradient = detrun.gradient(draws, {"x": 0.5}, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert gradient.grads["x"] == 4.0
    assert gradient.value == detrun.gradient(draws, {"x": 0.5}, seed=4).value
    assert gradient.value != detrun.gradient(draws, {"x": 0.5}, seed=5).value


def test_draws_are_standard_normal_after_their_parameters_are_taken_off():
    """1,000 draws under fixed keys; a mean beyond 4 standard errors has a false-alarm rate below 1e-4, once."""

    async def main(params):
        standard = torch.distributions.Normal(torch.zeros(10), torch.ones(10))
        return torch.cat([detrun.sample(standard, key=number) for number in range(100)])

    drawn = detrun.record(main, {}).result
    assert abs(drawn.mean().item()) < 4 / 1000**0.5
    assert abs(drawn.std().item() - 1.0) < 4 / 2000**0.5


def test_a_key_that_prints_differently_in_another_run_is_refused():
    async def main(params):
        detrun.sample(torch.distributions.Normal(0.0, 1.0), key={"a", "b"})

    with pytest.raises(UsageError, match="sample: key="):
        detrun.record(main, {})


def test_adjoints_of_two_tensors_that_torch_gives_as_one_do_not_mix():
    """Backward through ``a + b`` may return one tensor for both; each then receives more on its own."""
    with state.taped() as tape:
        x, y = Value(0.5), Value(2.0)
        a, b = detrun.to_tensor([x, 1.0]), detrun.to_tensor([y, 1.0])
        more = detrun.from_tensor((a * 10.0).sum()) + detrun.from_tensor((b * 100.0).sum())
        loss = detrun.from_tensor((a + b).sum()) + more
    for sparse in (True, False):
        assert backward(tape, {loss.id: 1.0}, wanted=[x.id, y.id], sparse=sparse) == {x.id: 11.0, y.id: 101.0}


def test_an_element_that_leaves_twice_brings_back_both():
    with state.taped() as tape:
        x = Value(0.5)
        tensor = detrun.to_tensor([x, 1.0])
        first, second = Buffer(tensor), Buffer(tensor)
        loss = first[0] * 3.0 + second[0] * 4.0
    assert backward(tape, {loss.id: 1.0}, wanted=[x.id])[x.id] == 7.0


def test_a_tracked_tensor_does_not_share_the_memory_of_the_one_before():
    async def main(params):
        before = params["w"] * 1.0
        after = detrun.track(before)
        before.mul_(100.0)
        return (after * after).sum()

    gradient = detrun.gradient(main, POINT)
    assert gradient.grads["w"].tolist() == pytest.approx((2 * POINT["w"]).tolist())


def test_a_tensor_of_values_may_be_changed_in_place_as_one_of_floats():
    async def main(params):
        tensor = detrun.to_tensor([params["x"], 1.0, params["x"]])
        tensor[0] *= 3.0
        tensor[2] = 5.0
        tensor += params["x"]
        again = detrun.unpack(detrun.pack(tensor))
        again *= 2.0
        return again.sum()

    run = detrun.record(main, {"x": 0.5})
    gradient = detrun.gradient(main, {"x": 0.5}, recording=run.recording)
    assert gradient.value == run.result.item() == 2 * (1.5 + 1.0 + 5.0 + 1.5)
    assert gradient.grads["x"] == 2 * (3.0 + 3.0)


FRESH = """
import detrun, torch

async def main(params):
    return (torch.ones(2, dtype=torch.float64) * params["x"] * torch.sin(params["x"])).sum()

print(detrun.gradient(main, {"x": 1.0}).value)
"""


RECORDED_FIRST = """
import sys
import detrun

async def main(params):
    vector = detrun.to_tensor([params["x"], 1.0])
    return detrun.from_tensor((vector * vector).sum())

assert "torch" not in sys.modules
recorded = detrun.record(main, {"x": 2.0})
assert "torch" in sys.modules
print(detrun.gradient(main, {"x": 2.0}, recording=recorded.recording).grads)
"""


def test_a_run_that_needs_torch_first_is_replayed_as_it_was():
    done = subprocess.run([sys.executable, "-c", RECORDED_FIRST], capture_output=True, text=True)
    assert done.stdout == "{'x': 4.0}\n", done.stderr


@pytest.mark.slow  # torch takes seconds to import; other tests of torch begin as this does, in one process
def test_torch_takes_values_in_a_process_that_asked_for_nothing_but_a_gradient():
    lines = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True).stdout
    assert float(lines) == pytest.approx(2 * math.sin(1.0))


def test_a_tensor_in_a_message_between_nodes_keeps_its_history_and_what_it_was_when_it_was_sent():
    """A number, a tensor that was computed and a parameter travel; a message that comes twice adds up."""

    async def main(params):
        async with detrun.World(latency=0.01, duplication=1.0) as world:
            node = world.node("a")

            async def double():
                while True:
                    whole, parts = await node.receive()
                    node.send("driver", {"whole": 2.0 * whole, "parts": parts})

            node.start(double)
            numbers = params["gain"] * torch.tensor([1.0, 2.0], dtype=torch.float64)
            world.driver.send("a", (numbers, [params["weights"]]))
            numbers.mul_(0.0)  # after it was sent
            total = 0.0
            for _ in range(4):
                found = await world.driver.receive()
                total = total + found["whole"].sum() * found["parts"][0].sum()
            return total

    weights = torch.tensor([1.0, 0.5], dtype=torch.float64)
    found = detrun.gradient(main, {"gain": 3.0, "weights": weights})
    assert found.value == 4 * 2 * 9.0 * 1.5
    assert found.grads["gain"] == 4 * 2 * 3.0 * 1.5
    assert found.grads["weights"].tolist() == [4 * 2 * 9.0] * 2


def test_a_message_that_contains_itself_is_copied_with_its_tensors():
    tensor = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    message = {"computed": 2.0 * tensor}
    message["itself"] = message
    copy = copied(message)
    assert copy["itself"] is copy
    assert copy["computed"].requires_grad
    assert copy["computed"] is not message["computed"]
