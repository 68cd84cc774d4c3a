"""A recorded run step by step: its program is run once more, with what a narration hears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from detrun.execution.options import Options
from detrun.explore.campaign import observed as observed  # so that detrun's own objects leave footprints
from detrun.explore.campaign.program import Program
from detrun.explore.failures.narration import Narration, narrate
from detrun_recorder.format import unpack_varints
from detrun_recorder.recording import Recording
from detrun_scheduler.run import RunHooks


def narrated(
    recording: Recording, main: Any, arguments: Sequence[object], options: Options, wanted: range | None = None
) -> Narration:
    """The narration of a recorded run, with external effects as in a replay.

    Args:
        wanted: see `narrate`.
    """
    choices = unpack_varints(b"".join(chunk.choices for chunk in recording.chunks()))
    options = replace(options.with_recorded(recording, main), fault_lengths=recording.fault_lengths)
    results = chain.from_iterable(chunk.payloads for chunk in recording.chunks())
    hooks = RunHooks(replayed_effect=lambda name: next(results, None))
    return narrate(Program(main, arguments, options), recording.seed or 0, choices, hooks, wanted=wanted)
