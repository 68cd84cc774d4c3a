"""`docs/exploration.md` against the code: its programs run and print what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import detrun

PAGE = Path(__file__).parents[3] / "docs" / "exploration.md"
BLOCKS = re.findall(r"```(python|text)\n(.*?)```", PAGE.read_text(), re.DOTALL)
PROGRAMS = [text for kind, text in BLOCKS if kind == "python"]
SHOWN = [text for kind, text in BLOCKS if kind == "text"]


def test_the_first_program_fails_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "bank.py"
    file.write_text(PROGRAMS[0])
    namespace: dict[str, object] = {}
    with pytest.raises(AssertionError) as caught:
        exec(compile(PROGRAMS[0], str(file), "exec"), namespace)
    explanation = "\n".join(caught.value.__notes__)
    assert SHOWN[0].strip() in explanation


def test_the_table_is_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    exec(PROGRAMS[1], {"detrun": detrun, "trio": __import__("trio")})
    assert SHOWN[1].strip() in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["portfolio", "random", "pct", "pos", "urw", "subset", "fifo", "bounded", "dfs", "dpor"]
)
def test_every_strategy_is_on_the_page(name: str) -> None:
    from detrun_scheduler.strategies import STRATEGIES

    assert f"`{name}`" in PAGE.read_text()
    assert set(STRATEGIES) == set(re.findall(r"^\| `(\w+)`", PAGE.read_text().partition("## Strategies")[2], re.M))
