"""`Gradient`: a number for each parameter, and everything needed to know how far to trust it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from detrun.ad.diagnostics import Diagnostics
from detrun.ad.validity import Validity
from detrun_recorder.recording import Recording


@dataclass(slots=True)
class Gradient:
    """The result of `detrun.gradient`.

    Attributes:
        value: the loss.
        grads: d loss / d parameter by name.
        kind: what the numbers mean: ``"local"`` is the sensitivity of this run on its frozen schedule.
        std_error: standard error of each gradient; 0.0 where nothing was sampled.
        samples: runs averaged over.
        bias: in a sentence, what the estimate leaves out.
        validity: by name, how far a parameter may move before the schedule itself would change (first order).
        diagnostics: entries on the tape, discontinuity sites and nearest margins, detachments by source line.
        recording: the run that was differentiated.
        digest: of that run.
        warnings: what a reader should know before using the numbers.
    """

    value: float
    grads: dict[str, float]
    kind: str
    std_error: dict[str, float]
    samples: int
    bias: str
    validity: dict[str, Validity]
    diagnostics: Diagnostics
    recording: Recording
    digest: str
    warnings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.kind} gradient of {self.value:.9g}"]
        width = max((len(name) for name in self.grads), default=0)
        for name, gradient in self.grads.items():
            error = f" ± {self.std_error[name]:.2g}" if self.std_error[name] else ""
            radius = self.validity[name].radius if name in self.validity else inf
            valid = f"   valid within ±{radius:.3g}" if radius < inf else ""
            lines.append(f"  {name:<{width}}  {gradient:.9g}{error}{valid}")
        lines.append(f"  {self.bias}")
        lines.extend(f"  warning: {warning}" for warning in self.warnings)
        return "\n".join(lines)
