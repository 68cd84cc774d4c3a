"""`docs/exploration.md` against the code: its programs run and print what it shows."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

import detrun

PAGE = Path(__file__).parents[3] / "docs" / "exploration.md"
BLOCKS = re.findall(r"```(python|text)\n(.*?)```", PAGE.read_text(), re.DOTALL)
SECTION = PAGE.read_text().partition("## Strategies\n")[2].partition("\n## ")[0]
# Programs with what they show: the text that follows them.
SHOWN = [(program, text) for (kind, program), (then, text) in pairwise(BLOCKS) if (kind, then) == ("python", "text")]


@pytest.mark.parametrize(("number", "name"), [(0, "bank.py"), (1, "transfer.py"), (2, "register.py")])
def test_a_program_fails_and_is_explained_as_the_page_says(
    number: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / name
    program, shown = SHOWN[number]
    file.write_text(program)
    with pytest.raises(AssertionError) as caught:
        exec(compile(program, str(file), "exec"), {})
    assert shown.strip() in "\n".join(caught.value.__notes__)


def test_the_table_is_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    program, shown = SHOWN[3]
    exec(program, {"detrun": detrun, "trio": __import__("trio")})
    assert shown.strip() in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["portfolio", "random", "pct", "pos", "urw", "subset", "fifo", "bounded", "dfs", "dpor"]
)
def test_every_strategy_is_on_the_page(name: str) -> None:
    from detrun_scheduler.strategies import STRATEGIES

    assert f"`{name}`" in PAGE.read_text()
    assert set(STRATEGIES) == set(re.findall(r"^\| `(\w+)`", SECTION, re.M))
