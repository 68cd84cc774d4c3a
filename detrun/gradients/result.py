"""`Gradient`: a number for each parameter, with validity, diagnostics and warnings; `build` makes it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from detrun.ad.diagnostics import Diagnostics
from detrun.ad.validity import Validity
from detrun.ad.value import Value, primal_of
from detrun.gradients.credit import Credit, CreditTotals, credit_report
from detrun.gradients.flow import Flow
from detrun.gradients.sampling.sample import Details
from detrun.gradients.sides import OneSided
from detrun_recorder.recording import Recording
from detrun_scheduler.errors import DetrunError

if TYPE_CHECKING:
    from detrun.gradients.carrying_lines import CarryingLines

FLIPS_SHOWN = 12  # parameters of a page whose flips are looked for unasked
BIAS = (
    "sensitivity of this run on its frozen schedule: branches, timeouts, event order and discrete draws do not move, "
    "so it is not the derivative of an expectation"
)


@dataclass(slots=True)
class RunDiagnostics(Diagnostics):
    """`Diagnostics` of the sweep, and what it took to get there."""

    windows: int = 1
    window_steps: int = 0  # 0: one whole tape
    snapshots: int = 0
    forward_steps: int = 0  # run without a tape to reach windows, over all snapshots
    taped_steps: int = 0
    entries_in_a_window_max: int = 0
    peak_bytes: int = 0  # resident memory of the largest process

    @classmethod
    def of(cls, diagnostics: Diagnostics) -> RunDiagnostics:
        """Those of one whole tape."""
        fields = {one.name: getattr(diagnostics, one.name) for one in dataclasses.fields(Diagnostics)}
        return cls(**fields, entries_in_a_window_max=diagnostics.entries)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a gradient took: runs of the program, their steps, and seconds of CPU over all processes."""

    runs: int
    steps: int
    cpu_seconds: float

    def __str__(self) -> str:
        return f"{self.runs:,} runs, {self.steps:,} steps, {self.cpu_seconds:.3g} s of CPU"


@dataclass(slots=True)
class Gradient:
    """The result of `detrun.gradient`.

    Attributes:
        value: the loss.
        grads: d loss / d parameter by name: a number, a tensor for a tensor, and for a module a dict of tensors.
        kind: what the numbers mean: ``"local"`` is the sensitivity of this run on its frozen schedule.
        std_error: standard error of each gradient, in the shape of the gradient; 0.0 where nothing was sampled.
        samples: runs averaged over.
        bias: in a sentence, what the estimate leaves out.
        validity: by name, how far a parameter may move before the schedule itself would change (first order).
        diagnostics: entries on the tape, discontinuity sites and nearest margins, detachments by source line.
        recording: the run that was differentiated.
        digest: of that run.
        warnings: what a reader should know before using the numbers.
        credit: by parameter, the steps that carried most of its gradient; empty unless asked for.
        flow: by parameter, between which steps most of its derivative flowed; empty unless credit was asked for, and
            where windows bounded the memory.
        adjoint_sizes: by step, the largest adjoint of what it computed; empty where ``flow`` is.
        value_std_error: standard error of ``value``; 0.0 where nothing was sampled.
        interval: by parameter, where the mean of the estimate lies with probability ``confidence``: what ``bias`` says
            comes on top. Empty where nothing was sampled.
        confidence: of the intervals.
        cost: what the samples took; None where nothing was sampled.
        details: what this kind alone has to say, such as the steps of finite differences.
        one_sided: by parameter that is exactly where the run is decided, its derivatives on both sides. Where these
            agree, they are what ``grads`` says.
        flips: ``found.flips(0.1)`` says how many decisions of the run flip within that distance of each parameter,
            which are the nearest, and by how much the loss jumps there; ``found.flips.along(direction)`` along a
            direction. None where there is no single run, or a tensor among the parameters.
        of: what of the loss of samples ``value`` is and was differentiated: ``"mean"``, ``"quantile:P"``, ``"cvar:P"``.
    """

    value: float
    grads: dict[str, Any]
    kind: str
    std_error: dict[str, Any]
    samples: int
    bias: str
    validity: dict[str, Validity]
    diagnostics: RunDiagnostics
    recording: Recording
    digest: str
    warnings: list[str] = field(default_factory=list)
    credit: dict[str, list[Credit]] = field(default_factory=dict)
    flow: dict[str, list[Flow]] = field(default_factory=dict, repr=False)
    adjoint_sizes: list[tuple[int, float]] = field(default_factory=list, repr=False)
    value_std_error: float = 0.0
    interval: dict[str, Any] = field(default_factory=dict)
    confidence: float = 0.0
    cost: Cost | None = None
    details: Details | None = None
    of: str = "mean"
    one_sided: dict[str, OneSided] = field(default_factory=dict)
    flips: Any = field(default=None, repr=False, compare=False)  # a `detrun.gradients.flips.FlipFinder`

    def __str__(self) -> str:
        lines = [f"{self.kind} gradient of {self.value:.9g}{self._sampled()}"]
        width = max((len(name) for name in self.grads), default=0)
        for name, gradient in self.grads.items():
            spread = self.std_error.get(name)
            error = f" ± {spread:.2g}" if isinstance(spread, float) and spread else _spread(spread)
            radius = self.validity[name].radius if name in self.validity else inf
            valid = f"   valid within ±{radius:.3g}" if radius < inf else ""
            within = _within(self.interval.get(name))
            lines.append(f"  {name:<{width}}  {_shown(gradient)}{error}{within}{valid}")
        lines.append(f"  {self.bias}")
        if self.details is not None:
            lines.extend(f"  {line}" for line in self.details.lines())
        if self.cost is not None:
            lines.append(f"  took {self.cost}")
        for name, steps in self.credit.items():
            lines.append(f"  steps that carried most of d/d{name}:")
            lines.extend(f"    {one}" for one in steps)
        if self.diagnostics.nearest_margins:
            lines.append("  nearest to going another way, by margin:")
            lines.extend(f"    {one}" for one in self.diagnostics.nearest_margins)
        lines.extend(f"  warning: {warning}" for warning in self.warnings)
        return "\n".join(lines)

    def report(
        self, path: str | os.PathLike[str], *, flips: Mapping[str, Any] | None = None, flips_refused: str = ""
    ) -> Path:
        """Write it as one HTML file that needs no network; where it is.

        Of one run it has the space-time diagram, with the steps, the lines and the ways that carried the derivative if
        ``credit`` was asked for. For the lines the program is run once more.

        Args:
            flips: what ``flips(within)`` found, for the jumps of the loss at the nearest flips.
            flips_refused: why they could not be found.

        Raises:
            OSError: the file cannot be written.
        """
        from detrun.gradients.page import gradient_page
        from detrun.pages.page import write_page

        lines, refused = self._carrying_lines()
        page = gradient_page(self, flips or {}, flips_refused=flips_refused, lines=lines, lines_refused=refused)
        return write_page(path, page)

    def _carrying_lines(self) -> tuple[CarryingLines | None, str]:
        """The lines of the program that carried it, or why there are none."""
        if self.flips is None:
            return None, "they are known of the gradient of one run by numbers"
        from detrun.gradients.carrying_lines import carrying_lines

        of = self.flips
        try:
            return carrying_lines(of.main, of.numbers, self.recording, of.options, tapes=bool(self.flow)), ""
        except DetrunError as error:
            return None, str(error).partition("\n")[0]

    def nearest_flips(self) -> dict[str, Any]:
        """What `flips` finds within a tenth of each of the first parameters; empty where there is no single run.

        Raises:
            NotDifferentiableError: forward mode does not pass through what the program does.
            UsageError: the run could not be made again.
        """
        if self.flips is None:
            return {}
        numbers = dict(list(self.flips.numbers.items())[:FLIPS_SHOWN])
        found: dict[str, Any] = self.flips({name: 0.1 * abs(one) or 0.1 for name, one in numbers.items()})
        return found

    def _sampled(self) -> str:
        if not self.interval:
            return ""
        return (
            f" ± {self.value_std_error:.2g} ({self.of} of {self.samples:,} samples ± standard errors, "
            f"{100 * self.confidence:.4g} % intervals)"
        )


def build(
    loss: Value | float,
    grads: dict[str, Any],
    *,
    depends: bool,
    diagnostics: RunDiagnostics,
    recording: Recording,
    digest: str,
    validity: Mapping[str, Validity] = MappingProxyType({}),
    credits: Mapping[str, CreditTotals] = MappingProxyType({}),
    flows: Mapping[str, list[Flow]] = MappingProxyType({}),
    adjoint_sizes: Sequence[tuple[int, float]] = (),
    one_sided: Mapping[str, OneSided] = MappingProxyType({}),
    flips: Any = None,
) -> Gradient:
    """The one place where a `Gradient` is made.

    Args:
        loss: what the program returned.
        grads: ``d loss / d parameter`` by name.
        depends: whether the loss depends on some parameter through Values.
        diagnostics: of the sweep; its warnings come first in those of the result.
        recording: the run that was differentiated, with its ``digest``.
        validity: by parameter; empty if it was not measured.
        credits: by parameter, if they were asked for.
        flows: likewise.
        adjoint_sizes: likewise, by step.
    """
    warnings = [*diagnostics.warnings]
    if not depends:
        warnings.append("the loss is a plain number: it does not depend on any parameter through Values")
    for name, near in validity.items():
        if near.radius == 0.0:
            sides = one_sided.get(name)
            if sides is not None and sides.agreed is not None:
                grads[name] = sides.agreed
                continue
            warnings.append(
                f"{name} is exactly where this run is decided ({near.site}): the smallest change may take another "
                "schedule, and the derivative is at best one-sided" + ("" if sides is None else f": {sides}")
            )
        elif not near.complete and not any("nearest margins only" in one for one in warnings):
            warnings.append(
                "validity was measured on the nearest margins only, since there are very many parameters and branches; "
                "validity=False leaves it out"
            )
    return Gradient(
        value=primal_of(loss),
        grads=grads,
        kind="local",
        std_error=dict.fromkeys(grads, 0.0),
        samples=1,
        bias=BIAS,
        validity=dict(validity),
        diagnostics=diagnostics,
        recording=recording,
        digest=digest,
        warnings=warnings + diagnostics.detachment_warnings(),
        credit={name: credit_report(totals, recording) for name, totals in credits.items()},
        flow=dict(flows),
        adjoint_sizes=list(adjoint_sizes),
        one_sided=dict(one_sided),
        flips=flips,
    )


def _spread(std_error: Any) -> str:
    """The norm of the errors of a tensor's numbers, which is the error of its norm or more."""
    if not hasattr(std_error, "norm"):
        return ""
    return f" ± {float(std_error.norm()):.2g}"


def _within(interval: Any) -> str:
    if not isinstance(interval, tuple) or not isinstance(interval[1], float) or interval[1] == inf:
        return ""
    return f"   in [{interval[0]:.6g}, {interval[1]:.6g}]"


def _shown(gradient: Any) -> str:
    """A number, or shape and norm of a tensor, or those of each tensor of a module."""
    if isinstance(gradient, dict):
        return "{" + ", ".join(f"{name}: {_shown(one)}" for name, one in gradient.items()) + "}"
    if hasattr(gradient, "shape"):
        return f"tensor of shape {tuple(gradient.shape)}, norm {float(gradient.norm()):.9g}"
    return f"{gradient:.9g}"
