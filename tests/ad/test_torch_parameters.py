"""Tensors and modules as parameters of a gradient: in the result, and in ``.grad``."""

from __future__ import annotations

import pytest
import trio

import detrun
from detrun_scheduler.errors import UsageError

torch = pytest.importorskip("torch")


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()


async def rollout(params):
    """Two tasks drive one state with a network as policy and scalar dynamics: torch inside, Values outside."""
    state = detrun.Buffer([0.5, -0.2, 0.1])
    cost = detrun.Atomic(0.0)

    async def agent(place):
        for _ in range(5):
            action = detrun.from_tensor(params["policy"](detrun.to_tensor(state)).sum())
            state[place] = state[place] * 0.9 + action * params["gain"]
            cost.fetch_add(state[place] * state[place] + action * action * 0.1)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(agent, 0)
        nursery.start_soon(agent, 2)
    return cost.load()


def differences(policy, gain, seed, step=1e-6):
    """Central differences in each number of the network, on the schedule of the seed."""
    found = {}
    for name, tensor in policy.named_parameters():
        flat = tensor.data.view(-1)
        slopes = []
        for place in range(flat.numel()):
            kept = flat[place].item()
            losses = []
            for moved in (kept - step, kept + step):
                flat[place] = moved
                losses.append(detrun.record(rollout, {"policy": policy, "gain": gain}, seed=seed).result)
            flat[place] = kept
            slopes.append((float(losses[1]) - float(losses[0])) / (2 * step))
        found[name] = slopes
    return found


def test_the_gradient_of_a_module_is_that_of_central_differences_and_lands_in_grad():
    policy = network()
    gradient = detrun.gradient(rollout, {"policy": policy, "gain": 0.3}, seed=2)
    expected = differences(policy, 0.3, 2)
    for name, tensor in policy.named_parameters():
        assert gradient.grads["policy"][name].reshape(-1).tolist() == pytest.approx(expected[name], rel=1e-6, abs=1e-8)
        assert torch.equal(tensor.grad, gradient.grads["policy"][name])
        assert not hasattr(tensor, "_detrun_mark")


@pytest.mark.parametrize("snapshots", [1, 3])
def test_windows_fill_the_same_grad_in_the_calling_process(snapshots):
    policy, again = network(), network()
    whole = detrun.gradient(rollout, {"policy": policy, "gain": 0.3}, seed=2)
    windowed = detrun.gradient(
        rollout, {"policy": again, "gain": 0.3}, recording=whole.recording, snapshots=snapshots, window=3
    )
    assert windowed.diagnostics.windows > 2
    assert windowed.grads["gain"] == whole.grads["gain"]
    for one, other in zip(policy.parameters(), again.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_without_fork_the_numbers_are_the_same(monkeypatch):
    policy = network()
    whole = detrun.gradient(rollout, {"policy": policy, "gain": 0.3}, seed=2)
    monkeypatch.setattr("detrun.gradients.windowed.can_fork", lambda: False)
    again = detrun.gradient(rollout, {"policy": policy, "gain": 0.3}, recording=whole.recording, window=3)
    assert again.grads["gain"] == whole.grads["gain"]
    assert all(torch.equal(again.grads["policy"][name], one) for name, one in whole.grads["policy"].items())


def test_grad_accumulates_as_torch_does():
    policy = network()
    for _ in range(2):
        gradient = detrun.gradient(rollout, {"policy": policy, "gain": 0.3}, seed=2)
    for name, tensor in policy.named_parameters():
        assert torch.equal(tensor.grad, gradient.grads["policy"][name] * 2)


def test_a_tensor_parameter_is_not_touched_but_for_its_grad():
    given = torch.tensor([1.0, 2.0], requires_grad=True)
    plain = torch.tensor([3.0, 4.0])

    async def main(params):
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            params["given"].mul_(2.0)
        return (params["given"] * params["plain"]).sum()

    gradient = detrun.gradient(main, {"given": given, "plain": plain})
    assert gradient.grads["given"].tolist() == given.grad.tolist() == [3.0, 4.0]
    assert gradient.grads["plain"].tolist() == [1.0, 2.0]
    assert plain.grad is None
    assert not plain.requires_grad


def test_a_tensor_that_two_modules_share_has_one_gradient():
    one, other = torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False)
    other.weight = one.weight

    async def main(params):
        return (params["one"](torch.ones(2)) + 2 * params["other"](torch.ones(2))).sum()

    for extra in ({}, {"window": 1}):
        one.weight.grad = None
        gradient = detrun.gradient(main, {"one": one, "other": other}, **extra)
        assert gradient.grads["one"]["weight"].tolist() == [[3.0, 3.0], [3.0, 3.0]]
        assert torch.equal(gradient.grads["other"]["weight"], gradient.grads["one"]["weight"])
        assert torch.equal(one.weight.grad, gradient.grads["one"]["weight"])


def test_frozen_parameters_and_those_not_reached_are_told_apart():
    policy = network()
    policy[0].bias.requires_grad_(False)

    async def main(params):
        return policy[2](torch.ones(4, dtype=torch.float64)).sum()

    gradient = detrun.gradient(main, {"policy": policy})
    assert list(gradient.grads["policy"]) == ["0.weight", "2.weight", "2.bias"]
    assert gradient.grads["policy"]["0.weight"].count_nonzero() == 0
    assert gradient.grads["policy"]["2.weight"].tolist() == [[1.0] * 4]


def test_a_module_outside_params_gets_its_grad_from_a_whole_tape_and_a_warning_from_windows():
    policy = network()

    async def main(params):
        total = params["x"]
        for _ in range(3):
            total = total + detrun.from_tensor(policy(torch.ones(3, dtype=torch.float64)).sum())
            await trio.lowlevel.checkpoint()
        return total

    gradient = detrun.gradient(main, {"x": 1.0})
    assert policy[2].bias.grad.tolist() == [3.0]
    assert gradient.warnings == []
    policy.zero_grad()
    windowed = detrun.gradient(main, {"x": 1.0}, window=1)
    assert windowed.grads == gradient.grads
    assert policy[2].bias.grad is None
    assert any("outside params" in warning for warning in windowed.warnings)


def test_a_site_beside_a_torch_block_leaves_grad_alone():
    """Validity radii sweep the tape once for each margin; only the sweep of the loss may fill ``.grad``."""
    policy = network()

    async def main(params):
        number = detrun.from_tensor(policy(detrun.to_tensor([params["x"]] * 3)).sum())
        return number if number < 10.0 else number * 2.0

    gradient = detrun.gradient(main, {"x": 1.0})
    assert gradient.validity["x"].radius < float("inf")
    assert policy[2].bias.grad.tolist() == [1.0]


def test_integers_have_no_derivative():
    with pytest.raises(UsageError, match=r"parameter 'n'.* torch.int64"):
        detrun.gradient(rollout, {"n": torch.tensor([1])})
