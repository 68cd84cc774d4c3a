"""`Branch`: what became of a run that was forced another way, as plain data that crosses processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detrun.execution.finished import Finished
from detrun.execution.program import Main
from detrun_recorder.divergence import StepSummary
from detrun_recorder.recording import Recording, open_recording
from detrun_recorder.what_if import FirstDifference, WhatIfReport
from detrun_scheduler.errors import UsageError


@dataclass(slots=True)
class Branch:
    """A run that was forced another way.

    Attributes:
        loss: the number that the program returned.
        steps: of this run.
        digest: of this run, in hexadecimal.
        what_if: how far it was the base run, and what differs first.
        header: of its recording, where that is `content`.
        content: the bytes of its recording. The header in them is the base run's where the process was forked from it.
    """

    loss: float
    steps: int
    digest: str
    what_if: WhatIfReport
    header: Mapping[str, Any]
    content: bytes

    @property
    def first_difference(self) -> FirstDifference | None:
        """Where this run and the base run part; None: their steps are the same."""
        return self.what_if.first_difference

    @property
    def recording(self) -> Recording:
        """The run's own recording, which replays exactly."""
        opened = open_recording(self.content)
        if opened.header == self.header:
            return opened
        return Recording.from_chunks(self.header, list(opened.chunks()), opened.end)

    @classmethod
    def of(cls, main: Main, finished: Finished) -> Branch:
        """The branch that a what-if run was; raises what its program raised."""
        result = finished.outcome.unwrap()
        if not hasattr(result, "__float__"):
            name = getattr(main, "__qualname__", repr(main))
            raise UsageError(f"{name} returned {result!r:.80}; to be branched it must return one number")
        loss = float(getattr(result, "primal", result))
        assert finished.what_if is not None
        recording = finished.recording
        return cls(loss, finished.steps, finished.digest, finished.what_if, recording.header, recording.to_bytes())

    def packed(self) -> dict[str, Any]:
        """Plain data, without the header."""
        return {
            "loss": self.loss,
            "steps": self.steps,
            "digest": self.digest,
            "what_if": dataclasses.asdict(self.what_if),
            "content": self.content,
        }

    @classmethod
    def unpacked(cls, packed: Mapping[str, Any], header: Mapping[str, Any]) -> Branch:
        """What `packed` gave."""
        report = dict(packed["what_if"])
        first = report["first_difference"]
        if first is not None:
            first = dict(first)
            for side in ("recorded", "actual"):
                first[side] = StepSummary(**{**first[side], "events": tuple(first[side]["events"])})
            first["stack"], first["runnable"] = tuple(first["stack"]), tuple(first["runnable"])
            report["first_difference"] = FirstDifference(**first)
        return cls(**{**packed, "what_if": WhatIfReport(**report)}, header=header)
