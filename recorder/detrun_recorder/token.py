"""A small schedule as text that survives a chat window: ``detrun1-`` and letters.

A token holds the choices and what is needed to make the same run again (seed, strategy, target, where threads were
interrupted), not the events: a replay of it has nothing to compare with, and its divergences show as a choice that does
not exist.
The alphabet is base 32 in lower case, so that line wrapping, spaces, quotation marks of a mail and a change of case
do no harm; a checksum finds the rest. Larger recordings are files.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from dataclasses import dataclass
from typing import Any

from detrun_recorder import format as layout
from detrun_recorder.format import Malformed
from detrun_recorder.recording import Recording
from detrun_scheduler.errors import RecordingFormatError, UsageError

PREFIX = "detrun1-"
TOKEN_CHARACTERS_MAX = 4000
CHOICES_MAX = 1 << 20
PATTERNS_MAX = 100
PLACES_BYTES_MAX = 1 << 18
_PLACE = re.compile(r"[^:]+:.+\+\d+")  # `bank/account.py:Account.deposit+3`
_WATCHED = {"p": "preemption", "i": "include", "x": "exclude", "m": "interrupts_max"}  # of the header's ``extra``
IGNORED = str.maketrans("", "", " \t\r\n\v\f\u00a0\u200b>\"'`")


@dataclass(frozen=True, slots=True)
class ScheduleToken:
    """What a token says.

    Attributes:
        preemption, include, exclude, interrupts_max, only_at: where threads were interrupted, and how often at most;
            None and empty: at synchronization operations, or the token is older than this was written down.
    """

    seed: int
    strategy: str | None
    target: str | None
    steps: int
    choices: list[int]
    preemption: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    interrupts_max: int | None = None
    only_at: tuple[str, ...] | None = None


def to_token(recording: Recording) -> str:
    """The schedule of ``recording`` as a token.

    Raises:
        UsageError: it would have more than `TOKEN_CHARACTERS_MAX` characters, or faults were left out of the run, or
            draws forced.
    """
    if recording.fault_lengths:
        raise UsageError("a token has no place for the faults that were left out of this run; pass on its file")
    extra = recording.header.get("extra")
    watched = extra if isinstance(extra, dict) else {}
    if watched.get("force"):
        raise UsageError("a token has no place for the draws that were forced in this run; pass on its file")
    # Random choices take at least a fifth of a byte each: what has more of them than this need not be compressed.
    if recording.steps > 40 * TOKEN_CHARACTERS_MAX:
        raise too_long(recording, f"{recording.steps} steps")
    choices = b"".join(chunk.choices for chunk in recording.chunks())
    content = {
        "s": str(recording.seed or 0),
        "n": recording.steps,
        "c": layout.pack_column(choices),
    }
    if recording.strategy is not None:
        content["g"] = recording.strategy
    if recording.target is not None:
        content["t"] = recording.target
    content |= {key: watched[name] for key, name in _WATCHED.items() if watched.get(name)}
    if isinstance(places := watched.get("only_at"), str):
        content["o"] = layout.pack_column(places.encode())
    packed = layout.pack_map(content)
    signed = layout.CHECKSUM.pack(zlib.crc32(packed)) + packed
    token = PREFIX + base64.b32encode(signed).decode().rstrip("=").lower()
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise too_long(recording, f"{len(token)} characters")
    return token


def too_long(recording: Recording, size: str) -> UsageError:
    """What to raise for a schedule that does not fit."""
    where = f"it is saved in {recording.path}" if recording.path is not None else "use recording.save(path)"
    return UsageError(
        f"the schedule is too long for a token ({size}; at most {TOKEN_CHARACTERS_MAX} characters): "
        f"pass the recording as a file, {where}"
    )


def is_token(text: str) -> bool:
    """Whether ``text`` is meant as a token; whether it is a good one, `from_token` says."""
    return text[:40].translate(IGNORED).lower().startswith("detrun") and "-" in text[:40] and "." not in text[:40]


def from_token(text: str) -> ScheduleToken:
    """What the token in ``text`` says; white space, quotation marks and the case of letters do not matter.

    Raises:
        RecordingFormatError: it is not a token, a letter is wrong or missing, or it needs a newer detrun.
    """
    token = text[: 4 * TOKEN_CHARACTERS_MAX].translate(IGNORED).lower()
    if not token.startswith(PREFIX):
        if token.startswith("detrun") and token[6:].split("-")[0].isdecimal():
            raise RecordingFormatError(
                f"the token begins with {token.split('-')[0][:20]!r}; this detrun reads {PREFIX!r} only: "
                "install a newer detrun"
            )
        raise RecordingFormatError(f"{text[:20]!r} is not a schedule token: tokens begin with {PREFIX!r}")
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise RecordingFormatError(
            f"the token has more than {TOKEN_CHARACTERS_MAX} characters, so detrun did not make it; paste it once"
        )
    letters = token[len(PREFIX) :].upper()
    try:
        signed = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except (binascii.Error, ValueError) as error:
        raise RecordingFormatError("the token has letters wrong or missing; copy it again, to its end") from error
    packed = signed[4:]
    # Bits of the last letter beyond the last byte do not count for the checksum; a token has one spelling.
    respelled = base64.b32encode(signed).decode().rstrip("=")
    if len(signed) < 4 or layout.CHECKSUM.unpack(signed[:4])[0] != zlib.crc32(packed) or respelled != letters:
        raise RecordingFormatError("the token's checksum does not hold: copy it again, to its end")
    try:
        return unpack_token(packed)
    except (Malformed, ValueError) as error:
        raise RecordingFormatError(f"the token does not hold a schedule: {error}") from error


def unpack_token(packed: bytes) -> ScheduleToken:
    """What the map in a token says; raises `Malformed` or `ValueError`."""
    content = layout.unpack_map(packed)
    column, seed = content.get("c"), content.get("s")
    if not isinstance(seed, str) or len(seed) > 1000:
        raise Malformed("the seed is not text")
    if layout.column_length(column) > 5 * CHOICES_MAX:
        raise Malformed("there are too many choices")
    assert isinstance(column, list)
    names = [content.get("g"), content.get("t")]
    if not all(name is None or isinstance(name, str) for name in names):
        raise Malformed("strategy or target is not text")
    steps = layout.integer(content, "n", 1 << 62)
    choices = layout.unpack_varints(layout.unpack_column(column))
    preemption = content.get("p")
    if not (preemption is None or isinstance(preemption, str)):
        raise Malformed("the preemption is not text")
    most = layout.integer(content, "m", 1 << 62) if "m" in content else None
    watched = preemption, _patterns(content, "i"), _patterns(content, "x"), most, _places(content)
    return ScheduleToken(int(seed), names[0], names[1], steps, choices, *watched)


def _patterns(content: dict[str, Any], key: str) -> tuple[str, ...]:
    found = content.get(key, [])
    if not isinstance(found, list) or len(found) > PATTERNS_MAX or not all(isinstance(one, str) for one in found):
        raise Malformed("what was watched is not a list of patterns")
    return tuple(found)


def _places(content: dict[str, Any]) -> tuple[str, ...] | None:
    column = content.get("o")
    if column is None:
        return None
    if layout.column_length(column) > PLACES_BYTES_MAX:
        raise Malformed("there are too many places")
    places = layout.unpack_column(column).decode().splitlines()
    if not all(_PLACE.fullmatch(place) for place in places):
        raise Malformed("the places where threads were interrupted are no lines of functions")
    return tuple(places)
