"""Tokens as text: changes by a chat window are undone, and damage is noticed."""

from __future__ import annotations

import base64
import random
import textwrap
import zlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detrun_recorder import format as layout
from detrun_recorder.header import describe_run
from detrun_recorder.recording import Recording
from detrun_recorder.token import PREFIX, TOKEN_CHARACTERS_MAX, from_token, to_token
from detrun_scheduler.errors import RecordingFormatError, UsageError
from tests.recorder.simulated_runs import simulate


def recorded(seed: int, steps: int, **keywords: float) -> Recording:
    run = simulate(seed % 1000, steps, **keywords)  # type: ignore[arg-type]  # some are counts
    header = describe_run(seed=seed, strategy="pct", target="counter:main")
    return Recording.from_chunks(header, run.chunks, run.end)


@given(st.integers(-(2**70), 2**70), st.integers(1, 300))
def test_a_token_says_what_the_recording_decided(seed: int, steps: int) -> None:
    recording = recorded(seed, steps)
    token = from_token(to_token(recording))
    expected = [step.choice for step in recording.iter_steps() if step.choice is not None]
    assert (token.choices, token.steps, token.seed) == (expected, recording.steps, seed)
    assert (token.strategy, token.target) == ("pct", "counter:main")


@given(
    st.none()
    | st.lists(st.from_regex(r"[a-z]{1,9}/[a-zé]{1,9}\.py:[a-zé.<>]{1,9}\+[0-9]{1,4}", fullmatch=True), max_size=40)
)
def test_a_token_says_where_threads_were_interrupted(places: list[str] | None) -> None:
    recording = recorded(3, 5)
    watched = {"preemption": "line", "include": ["bank"], "exclude": ["re"], "interrupts_max": 9}
    recording.header["extra"] = watched if places is None else {**watched, "only_at": "\n".join(places)}
    token = from_token(to_token(recording))
    assert (token.preemption, token.include, token.exclude, token.interrupts_max) == ("line", ("bank",), ("re",), 9)
    assert token.only_at == (None if places is None else tuple(places))


@pytest.mark.parametrize("text", ["bank.py", "bank.py:12", "bank.py:f+x", ":f+3", "a/b.py:f+1\n\na/b.py:f+2"])
def test_a_token_with_places_that_are_no_lines_is_refused(text: str) -> None:
    recording = recorded(3, 5)
    recording.header["extra"] = {"preemption": "line", "only_at": text}
    with pytest.raises(RecordingFormatError, match="no lines of functions"):
        from_token(to_token(recording))


@given(
    st.integers(5, 100),
    st.sampled_from(("", "> ", "    ", "\t")),
    st.sampled_from(("\n", "\r\n", " \n")),
    st.booleans(),
)
def test_a_token_survives_wrapping_quoting_and_a_change_of_case(width: int, mark: str, line: str, upper: bool) -> None:
    recording = recorded(3, 200)
    text = to_token(recording)
    wrapped = line.join(mark + part for part in textwrap.wrap(text, width, break_on_hyphens=False))
    assert from_token(f"'{wrapped.upper() if upper else wrapped}'\n") == from_token(text)


def test_every_wrong_missing_or_added_letter_is_noticed() -> None:
    text = to_token(recorded(3, 60))
    for position in range(len(text)):
        for letter in "a7z":
            if text[position] != letter:
                with pytest.raises(RecordingFormatError):
                    from_token(text[:position] + letter + text[position + 1 :])
        with pytest.raises(RecordingFormatError):
            from_token(text[:position])
        with pytest.raises(RecordingFormatError):
            from_token(text[:position] + "q" + text[position:])


@pytest.mark.parametrize("steps", [20_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_a_schedule_too_long_for_a_token_names_the_way_out(steps: int) -> None:
    recording = recorded(1, steps, waiting=0.0, operating=0.0, spawning=0.0, ending=0.0)
    with pytest.raises(UsageError, match=r"too long for a token .* recording\.save\(path\)"):
        to_token(recording)


@given(st.text(max_size=50) | st.text("abcdefghij234567", max_size=200).map(PREFIX.__add__))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(RecordingFormatError):
        from_token(text)


def test_a_token_of_a_newer_format_says_so() -> None:
    with pytest.raises(RecordingFormatError, match=r"'detrun2'.*install a newer detrun"):
        from_token("detrun2-abcdef")


def signed(packed: bytes) -> str:
    content = layout.CHECKSUM.pack(zlib.crc32(packed)) + packed
    return PREFIX + base64.b32encode(content).decode().rstrip("=").lower()


def test_a_token_whose_checksum_holds_is_still_not_believed() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bomb.compress(bytes(1 << 20)) + bomb.flush()
    good = {"s": "1", "n": 1, "c": [1, b"\0"]}
    assert from_token(signed(msgpack.packb(good))).choices == [0]
    for packed in (
        b"",
        b"\x91" * 1000,
        msgpack.packb([]),
        msgpack.packb({**good, "s": 1}),
        msgpack.packb({**good, "s": "one"}),
        msgpack.packb({**good, "n": -1}),
        msgpack.packb({**good, "c": None}),
        msgpack.packb({**good, "c": [1 << 26, zeros]}),
        msgpack.packb({**good, "c": [1000, zeros]}),
        msgpack.packb({**good, "t": 5}),
    ):
        with pytest.raises(RecordingFormatError):
            from_token(signed(packed))
    with pytest.raises(RecordingFormatError, match="more than"):
        from_token(PREFIX + "a" * TOKEN_CHARACTERS_MAX)


def test_a_small_schedule_fits_on_one_line() -> None:
    size = len(to_token(recorded(random.Random(0).randrange(100), 20)))
    print(f"{size} characters for 20 steps")
    assert size < 160
