"""Tensors and modules as parameters of gradients that are sampled: the same shapes, by every kind and any workers.

The programs are small enough for the exact derivative by torch's own backward.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

import detrun
from detrun import relaxed

torch = pytest.importorskip("torch")

POINT = [1.0, 0.5, -1.0]


def squares(params: Any) -> Any:
    """Returns a tensor; the derivative by ``w`` is 2 w + a, by ``a`` the sum of w."""
    return (params["w"] * (params["w"] + params["a"])).sum()


def module() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 2, dtype=torch.float64), torch.nn.Softmax(dim=0))


def pick(params: Any) -> Any:
    """3 with the first probability of the module, else 1; it also leaves traces in the module."""
    net = params["net"]
    first = detrun.from_tensor(net(torch.tensor(POINT, dtype=torch.float64))[0])
    chosen = detrun.bernoulli(first)
    with torch.no_grad():
        for one in net.parameters():
            one.add_(1.0)
    return 3.0 if chosen else 1.0


def exact(net: Any) -> dict[str, Any]:
    loss = 2.0 * net(torch.tensor(POINT, dtype=torch.float64))[0]
    names, tensors = zip(*net.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, tensors), strict=True))


@pytest.mark.parametrize(
    ("options", "within"),
    [
        ({"kind": "local"}, 1e-12),
        ({"kind": "expected"}, 1e-12),
        ({"kind": "policy"}, 1e-12),
        ({"kind": "relaxed", "temperature": 0.1}, 1e-12),
        ({"kind": "finite", "difference": "forward", "step": {"w": 1e-5, "a": 1e-6}}, 1e-4),
    ],
)
def test_a_tensor_gets_a_gradient_of_its_shape(options: dict[str, Any], within: float) -> None:
    w = torch.tensor([[1.0, 2.0, -0.5]], dtype=torch.float64, requires_grad=True)
    found = detrun.gradient(squares, {"w": w, "a": 0.5}, samples=3, **options)
    assert found.grads["w"].dtype == w.dtype
    assert torch.allclose(found.grads["w"], 2.0 * w.detach() + 0.5, atol=within)
    assert found.grads["a"] == pytest.approx(2.5, abs=within)
    assert torch.allclose(found.std_error["w"], torch.zeros(1, 3, dtype=torch.float64), atol=within)
    low, high = found.interval["w"]
    assert low.shape == high.shape == w.shape
    assert torch.equal(w.grad, found.grads["w"])
    assert "tensor of shape (1, 3), norm" in str(found)


@pytest.mark.parametrize(
    "options", [{"kind": "expected"}, {"kind": "policy"}, {"kind": "policy", "baseline": "linear"}]
)
def test_a_module_gets_gradients_by_name_and_keeps_its_numbers(options: dict[str, Any]) -> None:
    net = module()
    before = copy.deepcopy(net.state_dict())
    found = detrun.gradient(pick, {"net": net}, samples=40, **options)
    again = detrun.gradient(pick, {"net": net}, samples=40, workers=2, **options)
    truth = exact(net)
    assert found.grads["net"].keys() == truth.keys()
    for name, one in truth.items():
        error = found.std_error["net"][name]
        assert torch.all((found.grads["net"][name] - one).abs() <= 4.0 * error + 1e-12), name
        assert torch.equal(again.grads["net"][name], found.grads["net"][name])
        assert torch.equal(again.std_error["net"][name], error)
        assert torch.equal(net.state_dict()[name], before[name])
    assert again.value == found.value


def test_simultaneous_differences_and_smoothing_move_every_number() -> None:
    """Each sample is the gradient plus cross terms of mean 0."""
    w = torch.tensor([1.0, 2.0], dtype=torch.float64)
    params = {"w": w, "a": 0.5}
    for options in (
        {"kind": "finite", "difference": "simultaneous"},
        {"kind": "relaxed", "smoothing": {"w": 0.1, "a": 0.1}},
    ):
        found = detrun.gradient(squares, params, samples=30, **options)
        assert torch.all((found.grads["w"] - (2.0 * w + 0.5)).abs() <= 5.0 * found.std_error["w"])
        assert float(found.std_error["w"].max()) < 2.0
        assert torch.equal(w, torch.tensor([1.0, 2.0], dtype=torch.float64))


def test_auto_asks_the_norm_of_a_tensor_for_its_error() -> None:
    def main(params: Any) -> Any:
        return (params["w"] * detrun.to_tensor([detrun.exponential(1.0), 0.0])).sum()

    found = detrun.gradient(main, {"w": torch.tensor([1.0, 2.0])}, target_error=0.4)
    assert found.samples < 1000
    assert not any("asked for" in one or "are 0" in one for one in found.warnings)


def test_what_cannot_be_done_with_tensors_is_refused_with_the_way_out() -> None:
    many = {"w": torch.zeros(40, 30)}
    with pytest.raises(detrun.UsageError, match=r"1,200 numbers.*difference='simultaneous'"):
        detrun.gradient(squares, many, kind="finite")
    with pytest.raises(detrun.UsageError, match=r"200,000 numbers.*requires_grad_\(False\)"):
        detrun.gradient(squares, {"w": torch.zeros(200_000)}, samples=2)
    with pytest.raises(detrun.UsageError, match=r"float16, too coarse"):
        detrun.gradient(squares, {"w": torch.zeros(2, dtype=torch.float16)}, kind="finite")
    with pytest.raises(detrun.UsageError, match="use 'free'"):
        detrun.gradient(squares, {"w": torch.zeros(2)}, kind="finite", schedule="frozen")
    with pytest.raises(detrun.UsageError, match="also the name of a number"):
        detrun.gradient(squares, {"w": torch.zeros(2), "w[1]": 1.0}, samples=2)
    with pytest.raises(detrun.UsageError, match="takes numbers only"):
        detrun.compare_gradients(squares, {"w": torch.zeros(2), "a": 1.0})


def test_soft_choices_of_numbers_from_a_module_have_their_gradient() -> None:
    def main(params: Any) -> Any:
        return relaxed.where(detrun.from_tensor(params["net"](torch.ones(1))[0]), 1.0, 0.0)

    net = torch.nn.Linear(1, 1)
    found = detrun.gradient(main, {"net": net}, kind="relaxed", temperature=0.5, samples=2)
    margin = net(torch.ones(1)).item()
    share = torch.sigmoid(torch.tensor(margin / 0.5)).item()
    assert float(found.grads["net"]["weight"]) == pytest.approx(share * (1.0 - share) / 0.5, rel=1e-5)


def test_plain_runs_between_a_tape_and_its_reverse_leave_what_torch_has_saved() -> None:
    """The weight of a second layer is saved for the first one's gradient; a sample tries both sides of its draw."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    point = torch.tensor(POINT, dtype=torch.float64)

    def main(params: Any) -> Any:
        return 3.0 if detrun.bernoulli(detrun.from_tensor(torch.sigmoid(params["net"](point))[0])) else 1.0

    found = detrun.gradient(main, {"net": net}, kind="expected", samples=4)
    exact = torch.autograd.grad(2.0 * torch.sigmoid(net(point))[0], list(net.parameters()))
    for (name, _), one in zip(net.named_parameters(), exact, strict=True):
        assert torch.allclose(found.grads["net"][name], one, rtol=1e-9, atol=1e-12)
