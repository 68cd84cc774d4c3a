"""The picture of a minimization."""

from __future__ import annotations

import importlib.util
import struct
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import detrun
from detrun.errors import UsageError
from detrun.minimizing import picture

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib: pip install 'detrun[plots]'"
)


def bowl(params: dict[str, Any]) -> Any:
    """Least at 3 in each."""
    return sum((one - 3.0) ** 2 for one in params.values()) + detrun.normal(0.0, 1.0)


def minimum(**keywords: Any) -> detrun.Minimum:
    given: dict[str, Any] = {"kind": "local", "samples": 2, "held_out": 4, "iterations": 4, "look_every": 2}
    return detrun.minimize(bowl, {"x": 1.0, "$y": 100.0}, **{**given, **keywords})


@needs_matplotlib
def test_a_picture_shows_the_loss_its_looks_and_every_parameter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Any] = []
    figure_module = import_module("matplotlib.figure")
    save = figure_module.Figure.savefig
    monkeypatch.setattr(
        figure_module.Figure, "savefig", lambda self, *args, **kw: (figures.append(self), save(self, *args, **kw))[1]
    )
    found = minimum()
    found.plot(tmp_path / "bowl.png")
    head = (tmp_path / "bowl.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack(">II", head[16:])) > 500  # pixels
    loss, *panels = figures[0].axes
    assert list(loss.lines[0].get_ydata()) == [one.value for one in found.history]
    (looked,) = loss.containers
    assert list(looked.lines[0].get_ydata()) == [one.value for one in found.looks]
    assert list(looked.lines[0].get_xdata()) == [1, 3, 5]
    assert [panel.get_title() for panel in panels] == ["x", "$y"]
    assert list(panels[0].lines[0].get_ydata()) == [
        *(one.params["x"] for one in found.history),
        found.looks[-1].params["x"],
    ]


@needs_matplotlib
def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "bowl.odd", "no format"),
        (tmp_path / "bowl", "no format"),
        ("no/a.png", "directory"),
    ):
        with pytest.raises(UsageError, match=said):
            picture.check_picture(path)
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(UsageError, match="cannot write"):
        minimum(iterations=1).plot(tmp_path / "taken.png")


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        assert name.startswith("matplotlib")
        raise ImportError(name)

    monkeypatch.setattr(picture, "import_module", missing)
    with pytest.raises(UsageError, match=r"pip install 'detrun\[plots\]'"):
        minimum(iterations=1).plot(tmp_path / "bowl.png")
