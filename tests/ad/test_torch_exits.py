"""Ways through torch that lose a Value are listed with their line, and torch is left as it was."""

from __future__ import annotations

import io

import pytest

import detrun

torch = pytest.importorskip("torch")


def without_grad(x):
    with torch.no_grad():
        return detrun.from_tensor((x * torch.ones(2, dtype=torch.float64)).sum())


def saved(x):
    file = io.BytesIO()
    torch.save(detrun.to_tensor([x]), file)
    file.seek(0)
    return detrun.from_tensor(torch.load(file).sum())


WAYS = {
    "no_grad": without_grad,
    "Parameter": lambda x: detrun.from_tensor(torch.nn.Parameter(detrun.to_tensor([x])).sum()),
    "linspace": lambda x: detrun.from_tensor(torch.linspace(0.0, x, 3)[1]),
    "save": saved,
    "item": lambda x: detrun.to_tensor([x]).sum().item(),
    "float": lambda x: float(detrun.to_tensor([x]).sum()),
    "tolist": lambda x: detrun.to_tensor([x]).tolist()[0],
    "numpy": lambda x: float(detrun.to_tensor([x]).detach().numpy()[0]),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_value_that_is_lost_in_torch_is_listed(way):
    async def main(params):
        return params["x"] + way(params["x"])

    before = torch.Tensor.item, torch.Tensor.detach, torch.nn.Parameter.__new__, "numpy" in vars(torch.Tensor)
    found = detrun.gradient(main, {"x": 1.75})
    assert found.grads == {"x": 1.0}
    ((file, line, count),) = found.diagnostics.detachments
    first = way.__code__.co_firstlineno
    assert (file, count) == (__file__, 1)
    assert first <= line <= first + 4
    assert before == (torch.Tensor.item, torch.Tensor.detach, torch.nn.Parameter.__new__, "numpy" in vars(torch.Tensor))


def test_what_keeps_the_derivative_is_not_listed():
    layer = torch.nn.Linear(1, 1, dtype=torch.float64)

    async def main(params):
        tensor = params["layer"](detrun.to_tensor([params["x"]]))
        buffer = detrun.Buffer([0.0, 0.0])
        buffer[0] = tensor.sum()
        return buffer[0] + detrun.from_tensor(torch.exp(params["x"] * torch.ones((), dtype=torch.float64)))

    found = detrun.gradient(main, {"x": 0.5, "layer": layer})
    assert found.diagnostics.detachments == []
    assert found.warnings == []


def test_what_forward_mode_does_not_pass_has_no_flips_and_says_why():
    async def main(params):
        tensor = detrun.to_tensor([params["x"], 2.0])
        assert params["x"] <= 1.0
        return detrun.from_tensor(torch.tanh(tensor).sum())

    found = detrun.gradient(main, {"x": 1.0})
    assert found.one_sided == {}
    with pytest.raises(detrun.NotDifferentiableError, match="forward mode does not pass"):
        found.flips(1.0)
