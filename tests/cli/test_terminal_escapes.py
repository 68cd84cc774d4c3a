"""Texts of recordings, programs and campaigns reach neither a terminal nor a pipe with control characters in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun
from detrun.cli import page
from detrun_recorder.recording import Recording, open_recording

EVIL = "\x1b]0;PWNED\x07\x1b[2J\x1b]8;;http://evil.example\x07\r\x9b31m\u202e\nforged"


async def main() -> None:
    detrun.Atomic(0, name="cell" + EVIL).fetch_add(1)

    async def child() -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("lost" + EVIL)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(child, name="child" + EVIL)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evil") / "run.detrun"
    with pytest.raises(BaseExceptionGroup):
        detrun.record(main, to=path)
    kept = open_recording(path)
    header = {**kept.header, "target": "module:main" + EVIL}
    Recording.from_chunks(header, list(kept.chunks()), kept.end).save(path)
    return path


def is_clean(shown: str) -> bool:
    return not any(control in shown for control in ("\x07", "\r", "\x9b", "\u202e", "\x1b]", "\x1b[2J"))


@pytest.mark.parametrize(
    "options", [(), ("--step", "0"), ("--json",), ("--json", "--step", "0"), ("--tasks",), ("--listing", "--no-replay")]
)
@pytest.mark.parametrize("terminal", [False, True])
def test_show_writes_them_out(
    file: Path,
    options: tuple[str, ...],
    terminal: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from detrun.cli.application import application

    if terminal:
        monkeypatch.setattr(page, "open_page", page.TerminalPage)
        monkeypatch.setattr("detrun.cli.show.open_page", page.TerminalPage, raising=False)
    with pytest.raises(SystemExit):
        application(["show", str(file), *options], prog_name="detrun")
    shown = capsys.readouterr().out
    assert "PWNED" in shown
    assert is_clean(shown)
    assert not any(line.startswith("forged") for line in shown.splitlines())
    if "--json" in options:
        assert any(EVIL in one for one in strings(json.loads(shown)))  # which says them as they are, escaped


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return [one for item in value for one in strings(item)] if isinstance(value, list) else []


@pytest.mark.parametrize("make", [page.PlainPage, page.TerminalPage])
def test_every_part_of_a_page_writes_them_out(
    make: Callable[[], page.Page], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = make()
    shown.heading("heading" + EVIL)
    shown.facts({"fact": EVIL, "again": EVIL})
    shown.table(["column" + EVIL], [["cell" + EVIL]], title="title" + EVIL)
    shown.text("text" + EVIL)
    shown.note("note" + EVIL)
    text = capsys.readouterr().out
    assert text.count("PWNED") == 8
    assert is_clean(text)


def test_markup_of_rich_in_a_name_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    shown = page.TerminalPage()
    shown.heading("[red]a[/red]")
    shown.table(["[b]b[/b]"], [["[link=http://evil.example]c[/link]"]], title="[i]d[/i]")
    shown.note("[e]")
    text = capsys.readouterr().out
    for name in ("[red]a[/red]", "[b]b[/b]", "c[/link]", "[i]d[/i]", "[e]"):
        assert name in text


def test_an_error_that_quotes_a_recording_and_its_repr_are_clean(file: Path) -> None:
    recording = open_recording(file)
    assert is_clean(repr(recording))

    async def other() -> None:
        await trio.sleep(1)

    with pytest.raises(detrun.DivergenceError) as caught:
        detrun.replay(other, recording=recording)
    assert is_clean(str(caught.value))


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_has_every_cell_at_any_width(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = page.TerminalPage()
    columns = ["step", "time", "task", "ended in", "did"]
    cells = ["1,200", "3.5", "main/putter", "MemorySendChannel.send", "release on Lock[1]"]
    shown.table(columns, [cells, cells], title="steps")
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width for line in lines)
    words = {word for line in lines for word in line.split()}
    assert words >= {"1,200", "3.5", "main/putter", "MemorySendChannel.send", "release", "Lock[1]"}
    assert (f"{'  did':<10}  release on Lock[1]" in lines) is (width <= 60)
