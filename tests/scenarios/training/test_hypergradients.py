"""Derivatives of what was learned by the numbers of the optimizer, through the interleaving that was recorded.

The oracle is torch alone: the updates of the run are unrolled by hand, each at the weights of the version that its push
names, with torch's own functions and autograd; nothing of detrun's tape is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

import detrun
from detrun.world import Crash, FaultPlan, PowerLoss
from detrun_scenarios.training import SCENARIO
from detrun_scenarios.training.faults import FAILURES
from detrun_scenarios.training.losses import daly_share, validation_loss, young_share
from detrun_scenarios.training.model.digits import Shard, digits
from detrun_scenarios.training.model.network import first_weights
from detrun_scenarios.training.settings import settings_of
from detrun_scenarios.training.workload import FAILING, Training, Workload, train

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

pytestmark = pytest.mark.one_python

WORKLOAD = Workload(ring_seconds=0.0, server_seconds=0.0, workers=3)
OPTIMIZER = {"step_size": 0.02, "momentum": 0.7, "weight_decay": 1e-3, "staleness_discount": 0.2}
NO_FAULTS = FaultPlan()


def training(
    way: str, seconds: float, ratio: float, faults: FaultPlan, keep: list[Training]
) -> Callable[[Mapping[str, Any]], Any]:
    """A program that trains so long and returns the validation loss; what it has made is appended to ``keep``."""
    digits()

    async def main(params: Mapping[str, Any]) -> Any:
        settings = settings_of({**SCENARIO.defaults, "compression_ratio": ratio, **params})
        found = await train(way, seconds, replace(WORKLOAD), settings, faults)
        keep.append(found)
        if way == "server":
            return validation_loss(found.monitor.held)
        assert found.monitor.replica is not None
        return validation_loss(found.monitor.replica[0])

    return main


def unrolled(run: Training, numbers: Mapping[str, Any], ratio: float) -> Any:
    """The validation loss of the same updates in the same order, by torch."""
    linear, tanh, cross_entropy = torch.nn.functional.linear, torch.tanh, torch.nn.functional.cross_entropy

    def logits(weights: Any, pixels: Any) -> Any:
        first, bias, second, other = weights.split([768, 12, 120, 10])
        return linear(tanh(linear(pixels, first.reshape(64, 12).T, bias)), second.reshape(12, 10).T, other)

    versions = [first_weights(run.seed).requires_grad_()]
    moments, kept = torch.zeros(910, dtype=torch.float64), {}
    for worker, number, version in run.monitor.applied_pushes:
        weights, batch = versions[version], run.shards[worker].batch(number)
        loss = cross_entropy(logits(weights, batch.pixels), batch.digits)
        (gradient,) = torch.autograd.grad(loss, weights, create_graph=True)
        whole = gradient + kept.get(worker, 0.0)
        sent = torch.zeros_like(whole)
        sent[torch.topk(whole.detach().abs(), round(ratio * 910)).indices] = 1.0
        kept[worker] = whole * (1.0 - sent)
        moments = numbers["momentum"] * moments + whole * sent + numbers["weight_decay"] * versions[-1]
        staleness = len(versions) - 1 - version
        shorter = numbers["step_size"] / (1.0 + numbers["staleness_discount"] * staleness)
        versions.append(versions[-1] - shorter * moments)
    return validation_loss(versions[-1])


@pytest.mark.parametrize("ratio", [1.0, 0.1])
def test_hyper_gradients_are_those_of_torch_unrolled_on_the_same_staleness(ratio: float) -> None:
    """Sums are taken in another order, hence 1e-9 and not equal; stale gradients make up most of the run."""
    keep: list[Training] = []
    program = training("server", 0.15, ratio, NO_FAULTS, keep)
    found = detrun.gradient(program, OPTIMIZER, seed=4, validity=False, verify=False)
    pushes = keep[0].monitor.applied_pushes
    assert len(pushes) > 20
    assert sum(place != version for place, (_, _, version) in enumerate(pushes)) > 10
    numbers = {name: torch.tensor(one, dtype=torch.float64, requires_grad=True) for name, one in OPTIMIZER.items()}
    loss = unrolled(keep[0], numbers, ratio)
    loss.backward()
    assert found.value == pytest.approx(loss.item(), rel=1e-11)
    assert found.grads == pytest.approx({name: one.grad.item() for name, one in numbers.items()}, rel=1e-9)


RESTART = FaultPlan((PowerLoss(node="@parameter_server", at=0.17, down_seconds=0.01),))
DEATH = FaultPlan((Crash(node="worker1", at=0.08, down_seconds=0.02),))


@pytest.mark.parametrize(("way", "seconds", "faults"), [("server", 0.3, RESTART), ("ring", 0.4, DEATH)])
def test_hyper_gradients_go_through_checkpoints_on_disk_and_copies_between_replicas(
    way: str, seconds: float, faults: FaultPlan
) -> None:
    """Against differences of the same run; all of a gradient is sent, so that nothing flips."""
    keep: list[Training] = []
    program = training(way, seconds, 1.0, faults, keep)
    at = {name: OPTIMIZER[name] for name in ("step_size", "momentum", "weight_decay")}
    found = detrun.gradient(program, at, seed=4, validity=False, verify=False)
    if way == "server":
        assert keep[0].meter.failures == 1
        assert keep[0].meter.checkpoints >= 2
    else:
        assert keep[0].coordinator is not None
        assert keep[0].coordinator.committed > 4
    for name, value in at.items():
        step = 1e-6
        above, below = (
            float(detrun.record(program, {**at, name: value + sign * step}, seed=4).result) for sign in (1, -1)
        )
        assert found.grads[name] == pytest.approx((above - below) / (2 * step), rel=1e-6)


def test_a_batch_that_is_not_whole_has_a_derivative_by_its_size() -> None:
    """The last of sixteen images counts half at 15.5; differences of the batch's weights say the same."""

    def weights(params: Mapping[str, Any]) -> Any:
        batch = Shard(0, 3, params["size"], seed=1).batch(2)
        return (batch.weights * torch.arange(16, dtype=torch.float64)).sum()

    found = detrun.gradient(weights, {"size": 15.5})
    assert found.grads["size"] == pytest.approx((15 * 15.5 - (105 + 0.5 * 15)) / 15.5**2, rel=1e-12)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("interval", [0.05, 0.2])
def test_the_time_that_is_lost_is_that_of_young_and_of_daly(interval: float) -> None:
    """Over twelve runs of four failures each. Young's formula is of first order; the share has an error of 3 %."""
    digits()
    settings = {"checkpoint_interval": interval}
    runs: list[Training] = []

    async def main(params: Mapping[str, Any]) -> None:
        seconds = FAILING.server_seconds
        runs.append(await train("server", seconds, FAILING, settings_of({**SCENARIO.defaults, **params}), FAILURES))

    for seed in range(12):
        detrun.record(main, settings, seed=seed)
    whole = 12 * FAILING.server_seconds
    saving = sum(one.meter.saving_seconds for one in runs) / sum(one.meter.checkpoints for one in runs)
    between = whole / sum(one.meter.failures for one in runs)
    measured = sum(one.meter.lost_seconds for one in runs) / whole
    for share in (young_share, daly_share):
        assert measured == pytest.approx(share(interval, saving, between, 0.05), rel=0.15)
